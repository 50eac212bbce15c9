//! Forecasts of a value from the values before it, without a network.

/// The seasonal naive forecast (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.2) of a column.
/// A period of 1 gives the last value.
pub(crate) struct SeasonalNaive {
    period: usize,
    /// For each row the value at its position in the last period that has one, up to its own; NaN if none has.
    filled: Vec<f64>,
}

impl SeasonalNaive {
    pub(crate) fn new(values: &[f64], period: usize) -> Self {
        let mut filled = values.to_vec();
        for row in period..filled.len() {
            if filled[row].is_nan() {
                filled[row] = filled[row - period];
            }
        }
        Self { period, filled }
    }

    /// Row `first` + `step` from the rows before `first`: the value at the same position in the last known period, or in
    /// an earlier one if it is missing, and NaN if there is none.
    pub(crate) fn forecast(&self, first: usize, step: usize) -> f64 {
        // As many periods back as are needed to get before the first forecast row.
        (first + step % self.period).checked_sub(self.period).map_or(f64::NAN, |row| self.filled[row])
    }
}

/// The rows of a column that have a value.
pub(crate) struct KnownRows<'a> {
    values: &'a [f64],
    oldest: Option<usize>,
    /// For each row the last one before it.
    latest: Vec<Option<usize>>,
}

impl<'a> KnownRows<'a> {
    pub(crate) fn new(values: &'a [f64]) -> Self {
        let latest = (0..values.len()).scan(None, |last, row| {
            *last = if values[row].is_nan() { *last } else { Some(row) };
            Some(*last)
        });
        let latest: Vec<Option<usize>> = std::iter::once(None).chain(latest).collect();
        Self { values, oldest: values.iter().position(|value| !value.is_nan()), latest }
    }

    /// The last row before `first` that has a value, and the value.
    pub(crate) fn before(&self, first: usize) -> Option<(usize, f64)> {
        self.latest[first].map(|row| (row, self.values[row]))
    }

    /// The drift forecast (the same, 5.2) of row `first` + `step`: the line through the first and the last known value
    /// before `first`, as it goes on. NaN if there are not two of them.
    pub(crate) fn drift(&self, first: usize, step: usize) -> f64 {
        let (Some(oldest), Some((latest, last))) = (self.oldest, self.before(first)) else { return f64::NAN };
        if oldest == latest {
            return f64::NAN;
        }
        let slope = (last - self.values[oldest]) / (latest - oldest) as f64;
        last + slope * (first + step - latest) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    #[test]
    fn drift_goes_on_along_the_line_through_the_ends_of_the_past() {
        let values = [1.0, 5.0, 2.0, 4.0, 100.0];
        assert_eq!([0, 1, 2].map(|step| KnownRows::new(&values).drift(4, step)), [5.0, 6.0, 7.0]);
        // Missing ends: the line is through what is known, and time goes on between.
        let gaps = [N, 1.0, N, 3.0, N, 9.0];
        let known = KnownRows::new(&gaps);
        assert_eq!((known.drift(5, 0), known.before(5), known.before(6)), (5.0, Some((3, 3.0)), Some((5, 9.0))));
        assert!([1, 2, 3].iter().all(|first| known.drift(*first, 0).is_nan()));
        assert!(known.before(1).is_none() && known.before(0).is_none());
    }

    #[test]
    fn the_season_before_is_the_last_one_that_is_known() {
        let values = [1.0, 2.0, 3.0, 4.0, N, 9.0];
        let naive = SeasonalNaive::new(&values, 2);
        assert_eq!([0, 1, 2].map(|step| naive.forecast(4, step)), [3.0, 4.0, 3.0]);
        assert_eq!(naive.forecast(6, 0), 3.0);
        assert!(naive.forecast(1, 0).is_nan() && SeasonalNaive::new(&[N, 1.0], 2).forecast(2, 0).is_nan());
    }
}
