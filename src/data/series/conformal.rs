//! Ranges of forecasts from their errors on held-out windows.

use serde::{Deserialize, Serialize};

use crate::data::Scaling;
use crate::error::{Error, Result};

/// Split conformal prediction: each quantile of a forecast is shifted by a quantile of its errors in windows that the
/// network was not trained on (Papadopoulos et al. 2002 for a point forecast; Romano, Patterson & Candès 2019, theorem
/// 2, for quantiles, each end by its own errors). Of n exchangeable windows and one more, the truth of that one is below
/// the quantile q with a probability of at most q for q < 1/2, and at least q for q > 1/2. The windows of a series depend
/// on each other, so that this is no guarantee for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conformal {
    /// The quantiles, ascending.
    pub levels: Vec<f64>,
    /// n, the number of held-out examples.
    pub examples: usize,
    /// By quantile, what is added to each output (see [`SeriesCodec`](crate::data::SeriesCodec)), in the units of the
    /// window.
    pub shifts: Vec<Vec<f64>>,
    /// Which of the quantiles is a forecast of one value that stands for the median. It is not shifted, and may lie
    /// outside the range if its errors lean to one side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<usize>,
}

impl Conformal {
    /// The least number of examples from which all of the quantiles `levels` can be estimated: 1/q − 1, or 1/(1 − q) − 1.
    pub fn least_examples(levels: &[f64]) -> usize {
        let of = |level: &f64| (1.0 / level.min(1.0 - level) - 1.0 - 1e-9).ceil().max(1.0) as usize;
        levels.iter().map(of).max().unwrap_or(1)
    }

    /// Fits to the errors of `examples` examples, in the units of their windows: for each quantile of `levels` by output. The
    /// forecast with the index `point` is not shifted.
    ///
    /// # Errors
    /// [`Error::Value`] if an output has fewer errors than [`least_examples`](Self::least_examples).
    pub(super) fn of_errors(
        levels: &[f64],
        point: Option<usize>,
        examples: usize,
        errors: impl Iterator<Item = Vec<Vec<f64>>>,
    ) -> Result<Self> {
        let least = Self::least_examples(levels);
        let mut shifts = Vec::with_capacity(levels.len());
        for (index, (level, outputs)) in levels.iter().zip(errors).enumerate() {
            if let Some(few) = outputs.iter().find(|errors| errors.len() < least) {
                let expected = format!("at least {least} for the quantiles {levels:?}");
                return Err(Error::value("the examples of a conformal range", expected, few.len()));
            }
            let shift = |errors: Vec<f64>| if point == Some(index) { 0.0 } else { quantile_of(errors, *level) };
            shifts.push(outputs.into_iter().map(shift).collect());
        }
        Ok(Self { levels: levels.to_vec(), examples, shifts, point })
    }

    /// Shifts the outputs of one or more examples one after the other, by quantile in the units of the data, with the
    /// scaling of each, and sorts quantiles that cross then.
    pub fn shift_outputs(&self, by_quantile: &mut [Vec<f64>], scalings: &[Scaling]) {
        let outputs = self.shifts.first().map_or(1, Vec::len);
        let mut values = vec![0.0; by_quantile.len()];
        for (index, scaling) in scalings.iter().enumerate() {
            values.iter_mut().zip(&*by_quantile).for_each(|(value, of)| *value = of[index]);
            self.shift_one(&mut values, index % outputs, scaling.unit);
            by_quantile.iter_mut().zip(&values).for_each(|(of, value)| of[index] = *value);
        }
    }

    /// Shifts the quantiles of one output.
    pub(super) fn shift_one(&self, values: &mut [f64], output: usize, unit: f64) {
        values.iter_mut().zip(&self.shifts).for_each(|(value, shifts)| *value += shifts[output] * unit);
        // Around one forecast they are shifted by ascending quantiles of the same errors, and cannot cross.
        if self.point.is_none() {
            values.sort_by(f64::total_cmp);
        }
    }

    /// Refuses shifts that are not those of `outputs` outputs, or not finite.
    pub(super) fn validate(&self, outputs: usize) -> Result<()> {
        let ascending = self.levels.is_sorted_by(|a, b| a < b) && self.levels.iter().all(|q| (0.0..1.0).contains(q));
        if !ascending || self.levels.is_empty() {
            let expected = "quantiles between 0 and 1, each greater than the one before";
            return Err(Error::value("the conformal range", expected, format!("{:?}", self.levels)));
        }
        let fits = |shifts: &Vec<f64>| shifts.len() == outputs && shifts.iter().all(|shift| shift.is_finite());
        if self.shifts.len() == self.levels.len() && self.shifts.iter().all(fits) {
            return Ok(());
        }
        let expected = format!("{outputs} finite shifts for each of {} quantiles", self.levels.len());
        Err(Error::value("the conformal range", expected, "others"))
    }
}

/// The ⌊q (n + 1)⌋-th smallest of n errors for q < 1/2, the ⌈q (n + 1)⌉-th for q > 1/2, and the mean of both for the
/// median. There are enough of them.
fn quantile_of(mut errors: Vec<f64>, level: f64) -> f64 {
    errors.sort_by(f64::total_cmp);
    // 0.7 · 10 is not 7 in floating point.
    let rank = level * (errors.len() + 1) as f64;
    let rank = if (rank - rank.round()).abs() < 1e-9 { rank.round() } else { rank };
    let at = |rank: f64| errors[(rank as usize).clamp(1, errors.len()) - 1];
    if level < 0.5 {
        at(rank.floor())
    } else if level > 0.5 {
        at(rank.ceil())
    } else {
        at(rank.floor()).midpoint(at(rank.ceil()))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Nearly normal noise, the same for the same seed.
    fn noise(seed: u64, count: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
    }

    /// The shifts of quantiles of a forecast with these errors.
    fn fit(levels: &[f64], point: Option<usize>, errors: &[f64]) -> Conformal {
        let of_quantiles = levels.iter().map(|_| vec![errors.to_vec()]);
        Conformal::of_errors(levels, point, errors.len(), of_quantiles).unwrap()
    }

    #[test]
    fn the_shifts_are_the_conformal_quantiles_of_the_errors() {
        let errors: Vec<f64> = (1..=9).rev().map(f64::from).collect();
        // n + 1 = 10: the 1st, 7th and 9th smallest; the point is left alone.
        let shifts = fit(&[0.1, 0.5, 0.7, 0.9], Some(1), &errors).shifts.concat();
        assert_eq!(shifts, [1.0, 0.0, 7.0, 9.0]);
        // Between two ranks the range is the wider one, and the median is between both.
        let shifts = fit(&[0.15, 0.5, 0.85], None, &errors[..8]).shifts.concat();
        assert_eq!(shifts, [2.0, 5.5, 9.0]);
    }

    #[test]
    fn too_few_examples_for_a_quantile_are_refused() {
        assert_eq!(Conformal::least_examples(&[0.1, 0.5, 0.9]), 9);
        assert_eq!(Conformal::least_examples(&[0.05, 0.9]), 19);
        let errors = |count| vec![vec![vec![1.0; count]]; 2].into_iter();
        let fit = |count| Conformal::of_errors(&[0.1, 0.9], None, count, errors(count));
        assert!(fit(9).is_ok());
        let error = fit(8).unwrap_err().to_string();
        assert!(error.contains("at least 9") && error.ends_with('8'), "{error}");
    }

    /// The probability of a new value in the range of n exchangeable ones is Beta-distributed: of `tests` new values
    /// Beta-binomially many are in it, from the ranks: Beta(r_high − r_low, n + 1 − (r_high − r_low)).
    #[test]
    fn exchangeable_noise_is_covered_as_the_beta_binomial_distribution_has_it() {
        let (n, tests, runs) = (99, 200, 400);
        for (levels, inside) in [([0.1, 0.9], 80.0), ([0.25, 0.75], 50.0)] {
            let covered: Vec<f64> = (0..runs)
                .map(|run| {
                    let values = noise(run, n + tests);
                    let shifts = fit(&levels, None, &values[..n]).shifts.concat();
                    values[n..].iter().filter(|value| (shifts[0]..=shifts[1]).contains(value)).count() as f64
                })
                .collect();
            let (a, b, m) = (inside, (n + 1) as f64 - inside, tests as f64);
            let mean = m * a / (a + b);
            let variance = m * a * b * (a + b + m) / ((a + b).powi(2) * (a + b + 1.0));
            let got = covered.iter().sum::<f64>() / runs as f64;
            let spread = covered.iter().map(|count| (count - got).powi(2)).sum::<f64>() / (runs - 1) as f64;
            // Four standard errors of the mean, and of the variance about as many.
            assert!((got - mean).abs() < 4.0 * (variance / runs as f64).sqrt(), "{levels:?}: {got}, not {mean}");
            assert!(
                (spread / variance - 1.0).abs() < 4.0 * (2.0 / runs as f64).sqrt(),
                "{levels:?}: {spread}, not {variance}"
            );
        }
    }

    #[test]
    fn shifted_quantiles_that_cross_are_sorted() {
        let conformal = Conformal {
            levels: vec![0.1, 0.9],
            examples: 9,
            shifts: vec![vec![3.0, -1.0], vec![0.5, 1.0]],
            point: None,
        };
        let mut by_quantile = vec![vec![0.0, 0.0, 1.0, 1.0], vec![1.0, 1.0, 9.0, 9.0]];
        let [one, two] = [1.0, 2.0].map(|unit| Scaling { offset: 7.0, unit });
        conformal.shift_outputs(&mut by_quantile, &[one, one, two, two]);
        assert_eq!(by_quantile, [[1.5, -1.0, 7.0, -1.0], [3.0, 2.0, 10.0, 11.0]]);
    }

    #[test]
    fn a_forecast_whose_errors_lean_to_one_side_stays_where_it_is() {
        let errors: Vec<f64> = (1..=9).map(f64::from).collect();
        let conformal = fit(&[0.1, 0.5, 0.9], Some(1), &errors);
        let mut by_quantile = vec![vec![20.0]; 3];
        conformal.shift_outputs(&mut by_quantile, &[Scaling { offset: 0.0, unit: 2.0 }]);
        assert_eq!(by_quantile, [[22.0], [20.0], [38.0]]);
    }

    #[test]
    fn shifts_of_other_outputs_are_refused() {
        let conformal = fit(&[0.1, 0.9], None, &noise(1, 20));
        assert!(conformal.validate(1).is_ok());
        assert!(conformal.validate(2).is_err());
        assert!(Conformal { levels: vec![0.9, 0.1], ..conformal.clone() }.validate(1).is_err());
        assert!(Conformal { shifts: vec![vec![f64::NAN]; 2], ..conformal }.validate(1).is_err());
    }
}
