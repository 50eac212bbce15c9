//! Quantile forecasts.

use ndarray::{Array2, ArrayView2};

use crate::{Error, Loss, Result};

/// The default quantiles.
pub(crate) const DEFAULT: [f64; 3] = [0.1, 0.5, 0.9];

/// The column of a forecast of one value.
pub(crate) const POINT: &str = "forecast";

/// The column of a quantile.
pub(crate) fn column(quantile: f64) -> String {
    format!("q{quantile}")
}

/// The quantile of a [`column`]; `None` if it is none.
pub(crate) fn of_column(name: &str) -> Option<f64> {
    name.strip_prefix('q')?.parse().ok()
}

/// The index of the quantile that stands for the target: the nearest to the median, the lower of two.
pub(crate) fn middle(quantiles: &[f64]) -> usize {
    let distance = |index: &usize| (quantiles[*index] - 0.5).abs();
    (0..quantiles.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or_default()
}

/// Quantiles, ascending; empty if the network forecasts one value per target.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    levels: Vec<f64>,
    /// Whether the network forecasts one value per target, which stands for the median.
    around_point: bool,
}

impl Quantiles {
    pub(crate) fn of(loss: &Loss) -> Self {
        match loss {
            Loss::Quantile { quantiles } => Self { levels: quantiles.clone(), around_point: false },
            _ => Self { levels: Vec::new(), around_point: false },
        }
    }

    /// Those of a loss for a series: of distributions `stored`, or by default [`DEFAULT`].
    pub(crate) fn of_series(loss: &Loss, stored: &[f64]) -> Self {
        let levels = if stored.is_empty() { &DEFAULT } else { stored };
        if loss.is_likelihood() { Self { levels: levels.to_vec(), around_point: false } } else { Self::of(loss) }
    }

    /// Quantiles around a forecast of one value per target, which stands for the median, whether or not that is one of
    /// them.
    pub(crate) fn around_point(levels: &[f64]) -> Self {
        let mut levels = levels.to_vec();
        if !levels.contains(&0.5) {
            levels.insert(levels.partition_point(|level| *level < 0.5), 0.5);
        }
        Self { levels, around_point: true }
    }

    /// The quantiles, in ascending order.
    pub fn values(&self) -> &[f64] {
        &self.levels
    }

    /// The number of outputs per target.
    pub(crate) fn outputs(&self) -> usize {
        if self.around_point { 1 } else { self.forecasts() }
    }

    /// The number of forecasts per target.
    pub fn forecasts(&self) -> usize {
        self.levels.len().max(1)
    }

    /// The index of the forecast of one value per target among the quantiles around it; `None` without these.
    pub(crate) fn point(&self) -> Option<usize> {
        self.around_point.then(|| self.middle())
    }

    /// The index of the quantile that stands for the target.
    pub fn middle(&self) -> usize {
        middle(&self.levels)
    }

    /// The lowest and the highest quantile; `None` if there are fewer than two.
    pub fn interval(&self) -> Option<[f64; 2]> {
        match self.levels[..] {
            [lowest, .., highest] => Some([lowest, highest]),
            _ => None,
        }
    }

    /// The column names.
    pub fn columns(&self) -> Vec<String> {
        if self.levels.is_empty() {
            vec![POINT.into()]
        } else {
            let name = |(index, quantile): (usize, &f64)| {
                if self.point() == Some(index) { POINT.into() } else { column(*quantile) }
            };
            self.levels.iter().enumerate().map(name).collect()
        }
    }

    /// The quantiles with their indices, without a forecast of one value that stands for the median.
    pub(crate) fn named(&self) -> impl Iterator<Item = (usize, f64)> {
        self.levels.iter().copied().enumerate().filter(|(index, _)| self.point() != Some(*index))
    }

    /// `0.1, 0.5, 0.9`.
    pub(crate) fn words(&self) -> String {
        self.named().map(|(_, level)| level.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The mean of `of` over all quantiles and their indices.
    pub(crate) fn mean(&self, of: impl Fn(usize, f64) -> f64) -> f64 {
        self.levels.iter().enumerate().map(|(index, quantile)| of(index, *quantile)).sum::<f64>()
            / self.levels.len() as f64
    }

    /// The number that a draw does not exceed with probability `level`, above 0 and below 1, from `values` of at least two
    /// quantiles, ascending: on the line between two of them, and beyond the outermost on the exponential tail through
    /// both values on that side, ln P linear in the number. Gluonts' `QuantileForecast` interpolates likewise.
    pub(crate) fn value_at(&self, values: &[f64], level: f64) -> f64 {
        let levels = &self.levels;
        let (last, above) = (levels.len() - 1, levels.partition_point(|quantile| *quantile < level));
        let [a, b] = match above {
            0 => [0, 1],
            above if above > last => [last, last - 1],
            above => [above - 1, above],
        };
        let share = match above {
            0 => (level / levels[0]).ln() / (levels[1] / levels[0]).ln(),
            above if above > last => {
                ((1.0 - level) / (1.0 - levels[last])).ln() / ((1.0 - levels[last - 1]) / (1.0 - levels[last])).ln()
            }
            _ => (level - levels[a]) / (levels[b] - levels[a]),
        };
        values[a] + share * (values[b] - values[a])
    }

    /// The outputs of one prediction by quantile, each like those of a network with one value per target. Crossing
    /// quantiles of a target are sorted, which never increases their error (Chernozhukov, Fernández-Val and Galichon
    /// 2010).
    pub(crate) fn split(&self, outputs: &[f32]) -> Vec<Vec<f32>> {
        if self.around_point {
            return vec![outputs.to_vec(); self.forecasts()];
        }
        let mut split = vec![Vec::with_capacity(outputs.len() / self.outputs()); self.forecasts()];
        for target in outputs.chunks(self.outputs()) {
            let mut target = target.to_vec();
            target.sort_by(f32::total_cmp);
            split.iter_mut().zip(target).for_each(|(of_quantile, value)| of_quantile.push(value));
        }
        split
    }

    /// The same for many predictions, \[1, O\] each.
    pub(crate) fn split_all(&self, predictions: &[Array2<f32>]) -> Vec<Vec<Array2<f32>>> {
        let mut split = vec![Vec::with_capacity(predictions.len()); self.forecasts()];
        for prediction in predictions {
            let outputs: Vec<f32> = prediction.iter().copied().collect();
            for (all, of_quantile) in split.iter_mut().zip(self.split(&outputs)) {
                all.push(Array2::from_shape_fn((1, of_quantile.len()), |(_, output)| of_quantile[output]));
            }
        }
        split
    }
}

/// Refuses quantiles that are not ascending numbers above 0 and below 1.
///
/// # Errors
/// [`Error::Value`] of `what`.
pub(crate) fn check(what: &str, quantiles: &[f64]) -> Result<()> {
    if quantiles.is_sorted_by(|a, b| a < b) && quantiles.iter().all(|quantile| *quantile > 0.0 && *quantile < 1.0) {
        return Ok(());
    }
    let expected = "numbers above 0 and below 1, each greater than the one before";
    let got: Vec<String> = quantiles.iter().map(f64::to_string).collect();
    Err(Error::Value { what: what.into(), expected: expected.into(), got: got.join(", ") })
}

/// The pinball loss of a quantile forecast that is `error` below the truth (Koenker and Bassett 1978).
pub(crate) fn pinball(quantile: f64, error: f64) -> f64 {
    if error > 0.0 { quantile * error } else { (quantile - 1.0) * error }
}

/// The mean pinball loss of `forecast` as this quantile, \[N, K\] like `truth`. Missing values are ignored; without
/// values it is NaN.
pub(crate) fn mean_pinball(quantile: f64, truth: ArrayView2<'_, f64>, forecast: ArrayView2<'_, f64>) -> f64 {
    let losses = truth.iter().zip(forecast).map(|(truth, forecast)| pinball(quantile, truth - forecast));
    mean(losses.filter(|loss| !loss.is_nan()))
}

/// The share of `truth`, \[N, K\], from `low` to `high`, likewise.
pub(crate) fn coverage(truth: ArrayView2<'_, f64>, low: ArrayView2<'_, f64>, high: ArrayView2<'_, f64>) -> f64 {
    let ranges = truth.iter().zip(low.iter().zip(high)).filter(|(truth, _)| !truth.is_nan());
    mean(ranges.map(|(truth, (low, high))| if (low..=high).contains(&truth) { 1.0 } else { 0.0 }))
}

/// The mean interval score (Winkler 1972; Gneiting & Raftery 2007, eq. 43) of the range from `low` to `high`, forecasts
/// of these two quantiles: its width, and for a value outside the distance to it over the share that should lie on that
/// side. For a central range of 1 − α that is 2/α of the distance.
pub(crate) fn interval_score(
    quantiles: [f64; 2],
    truth: ArrayView2<'_, f64>,
    low: ArrayView2<'_, f64>,
    high: ArrayView2<'_, f64>,
) -> f64 {
    let score = |(truth, (low, high)): (&f64, (&f64, &f64))| {
        let (below, above) = ((low - truth).max(0.0), (truth - high).max(0.0));
        if truth.is_nan() { f64::NAN } else { high - low + below / quantiles[0] + above / (1.0 - quantiles[1]) }
    };
    mean(truth.iter().zip(low.iter().zip(high)).map(score).filter(|score| !score.is_nan()))
}

/// The continuous ranked probability score as quantiles approximate it: ∫ 2 ρ_q dq as the mean over the quantiles, twice
/// the mean pinball loss. For central ranges and the median that is the weighted interval score (Bracher, Ray, Gneiting
/// & Reich 2021, eq. 2 and 3).
pub(crate) fn crps(pinball: f64) -> f64 {
    2.0 * pinball
}

/// NaN if empty.
pub(crate) fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
    sum / count
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn quantiles(quantiles: &[f64]) -> Quantiles {
        Quantiles::of(&Loss::Quantile { quantiles: quantiles.to_vec() })
    }

    #[test]
    fn crossing_quantiles_are_sorted_within_their_target() {
        let three = quantiles(&[0.1, 0.5, 0.9]);
        assert_eq!(three.split(&[2.0, 1.0, 3.0, 7.0, 9.0, 8.0]), [[1.0, 7.0], [2.0, 8.0], [3.0, 9.0]]);
        assert_eq!(Quantiles::of(&Loss::SquaredError).split(&[2.0, 1.0]), [[2.0, 1.0]]);
    }

    #[test]
    fn draws_lie_between_quantiles_and_fall_off_exponentially_beyond_them() {
        let three = quantiles(&[0.1, 0.5, 0.9]);
        let at = |level| three.value_at(&[-1.0, 0.0, 4.0], level);
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        let within = [(0.1, -1.0), (0.3, -0.5), (0.5, 0.0), (0.6, 1.0), (0.9, 4.0)];
        within.iter().for_each(|(level, value)| near(at(*level), *value));
        // Each further factor of 5 of the probability is one more distance of the two outermost values.
        let beyond = [(0.02, -2.0), (0.004, -3.0), (0.98, 8.0), (0.996, 12.0)];
        beyond.iter().for_each(|(level, value)| near(at(*level), *value));
        assert!(at(1e-16).is_finite() && at(1.0 - 1e-16).is_finite());
        assert_eq!(three.value_at(&[2.0, 2.0, 2.0], 0.01), 2.0);
    }

    #[test]
    fn the_middle_quantile_is_the_one_nearest_the_median() {
        assert_eq!(quantiles(&[0.1, 0.5, 0.9]).middle(), 1);
        assert_eq!(quantiles(&[0.05, 0.1, 0.4]).middle(), 2);
        assert_eq!(quantiles(&[0.4, 0.6]).middle(), 0);
        assert_eq!(Quantiles::of(&Loss::AbsoluteError).middle(), 0);
        assert_eq!(quantiles(&[0.9]).interval(), None);
    }

    #[test]
    fn the_pinball_loss_is_smallest_at_the_quantile() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        let loss = |quantile: f64, at: f64| values.iter().map(|value| pinball(quantile, value - at)).sum::<f64>();
        for (quantile, best) in [(0.15, 2.0), (0.55, 6.0), (0.95, 10.0)] {
            assert!(values.iter().all(|at| loss(quantile, *at) >= loss(quantile, best)), "{quantile}");
        }
    }

    #[test]
    fn the_interval_score_is_the_width_and_a_penalty_for_what_is_outside() {
        // Within, 2 below and 3 above a range of 4 for 80 %, and a missing value: 4, 4 + 10·2, 4 + 10·3.
        let truth = array![[2.0, -2.0], [7.0, f64::NAN]];
        let (low, high) = (truth.mapv(|_| 0.0), truth.mapv(|_| 4.0));
        let score = interval_score([0.1, 0.9], truth.view(), low.view(), high.view());
        assert!((score - (4.0 + 24.0 + 34.0) / 3.0).abs() < 1e-12, "{score}");
        // It is 2/α of the pinball losses of both ends, whatever their levels: their sum over each share.
        let loss = |quantile: f64, end: &ndarray::Array2<f64>| mean_pinball(quantile, truth.view(), end.view());
        for [a, b] in [[0.1, 0.9], [0.05, 0.7]] {
            let score = interval_score([a, b], truth.view(), low.view(), high.view());
            assert!((score - loss(a, &low) / a - loss(b, &high) / (1.0 - b)).abs() < 1e-9, "{a} {b} {score}");
        }
    }

    #[test]
    fn the_crps_of_the_median_alone_is_the_absolute_error_and_of_many_quantiles_the_integral() {
        assert_eq!(crps(pinball(0.5, -3.0)), 3.0);
        // The uniform distribution from 0 to 1, of which CRPS(y) = y² − y + 1/3 (the integral over both sides of y).
        let levels: Vec<f64> = (1..1000).map(|n| f64::from(n) / 1000.0).collect();
        for y in [0.2, 0.5, 1.4] {
            let score = crps(mean(levels.iter().map(|q| pinball(*q, y - q))));
            let expected = if y <= 1.0 { y * y - y + 1.0 / 3.0 } else { y - 2.0 / 3.0 };
            assert!((score - expected).abs() < 1e-3, "{y}: {score} {expected}");
        }
    }

    #[test]
    fn missing_values_are_ignored_and_bounds_belong_to_the_range() {
        let truth = array![[1.0, 2.0], [f64::NAN, 5.0]];
        let (low, high) = (truth.mapv(|_| 1.0), truth.mapv(|_| 3.0));
        assert!((coverage(truth.view(), low.view(), high.view()) - 2.0 / 3.0).abs() < 1e-12);
        let expected = (0.25 * 0.0 + 0.25 * 1.0 + 0.25 * 4.0) / 3.0;
        assert!((mean_pinball(0.25, truth.view(), low.view()) - expected).abs() < 1e-12);
        let nothing = truth.slice(ndarray::s![..0, ..]);
        assert!(coverage(nothing, nothing, nothing).is_nan());
    }
}
