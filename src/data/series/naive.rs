//! Forecasts of a value from the values before it, without a network.

/// The seasonal naive forecast (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.2) of row
/// `first` + `step` from the rows before `first`: the value at the same position in the last known period, or in an
/// earlier one if it is missing, and NaN if there is none. A period of 1 gives the last value.
pub(crate) fn seasonal_naive(values: &[f64], first: usize, step: usize, period: usize) -> f64 {
    // As many periods back as are needed to get before the first forecast row.
    let Some(latest) = (first + step % period).checked_sub(period) else { return f64::NAN };
    (0..=latest).rev().step_by(period).map(|row| values[row]).find(|value| !value.is_nan()).unwrap_or(f64::NAN)
}

/// The drift forecast (the same, 5.2) of row `first` + `step`: the line through the first and the last known value
/// before `first`, as it goes on. NaN if there are not two of them. No value lies before row `begin`.
pub(crate) fn drift(values: &[f64], begin: usize, first: usize, step: usize) -> f64 {
    let known = begin..first.max(begin);
    let is_known = |row: &usize| !values[*row].is_nan();
    let (Some(oldest), Some(latest)) = (known.clone().find(is_known), known.rev().find(is_known)) else {
        return f64::NAN;
    };
    if oldest == latest {
        return f64::NAN;
    }
    let slope = (values[latest] - values[oldest]) / (latest - oldest) as f64;
    values[latest] + slope * (first + step - latest) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    #[test]
    fn drift_goes_on_along_the_line_through_the_ends_of_the_past() {
        let values = [1.0, 5.0, 2.0, 4.0, 100.0];
        assert_eq!([0, 1, 2].map(|step| drift(&values, 0, 4, step)), [5.0, 6.0, 7.0]);
        // Missing ends: the line is through what is known, and time goes on between.
        assert_eq!(drift(&[N, 1.0, N, 3.0, N, 9.0], 0, 5, 0), 5.0);
        assert_eq!(drift(&[7.0, 1.0, N, 3.0, N, 9.0], 1, 5, 0), 5.0);
        assert!(
            drift(&values, 0, 1, 0).is_nan() && drift(&values, 0, 0, 0).is_nan() && drift(&values, 4, 2, 0).is_nan()
        );
    }

    #[test]
    fn the_season_before_is_the_last_one_that_is_known() {
        let values = [1.0, 2.0, 3.0, 4.0, N, 9.0];
        assert_eq!([0, 1, 2].map(|step| seasonal_naive(&values, 4, step, 2)), [3.0, 4.0, 3.0]);
        assert_eq!(seasonal_naive(&values, 6, 0, 2), 3.0);
        assert!(seasonal_naive(&values, 1, 0, 2).is_nan() && seasonal_naive(&[N, 1.0], 2, 0, 2).is_nan());
    }
}
