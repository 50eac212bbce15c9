//! Sampling of an output.

use std::cmp::Ordering;

use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::model::uniform;

/// Samples an output from softmax(a / temperature), optionally restricted to the most probable ones.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// At least 0. 1: the network's probabilities; 0: always the most probable output.
    pub temperature: f64,
    /// Restricts sampling to the `k` most probable outputs, at least 1. `None`: no restriction.
    pub top_k: Option<usize>,
    /// Nucleus sampling (Holtzman et al. 2020): restricts sampling to the fewest most probable outputs whose
    /// probabilities, after temperature and `top_k`, add up to this; above 0 and at most 1. `None`: no restriction.
    pub top_p: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: None }
    }
}

impl Sampling {
    /// Sets the temperature.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Restricts sampling to the most probable outputs, this many.
    pub fn top_k(mut self, top_k: impl Into<Option<usize>>) -> Self {
        self.top_k = top_k.into();
        self
    }

    /// Restricts sampling to the most probable outputs whose probabilities add up to this.
    pub fn top_p(mut self, top_p: impl Into<Option<f64>>) -> Self {
        self.top_p = top_p.into();
        self
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Value`] with the name of the field.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::value("temperature", "a finite number of at least 0", self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(Error::value("top_k", "at least 1", 0));
        }
        match self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            Some(p) => Err(Error::value("top_p", "a number above 0 and at most 1", p)),
            None => Ok(()),
        }
    }

    /// Samples an index of `logits` (a), never `excluded` or one of −∞. Among equal logits, the first counts as more
    /// probable. Draws one random number, or none for temperature 0.
    ///
    /// # Errors
    /// [`Error::Value`] as in [`validate`](Self::validate), for a logit that is NaN or +∞, and if no index remains.
    pub fn pick(&self, logits: &[f32], excluded: Option<usize>, rng: &mut ChaCha8Rng) -> Result<usize> {
        self.validate()?;
        let mut choices = Vec::with_capacity(logits.len());
        for (index, logit) in logits.iter().enumerate().filter(|(index, _)| Some(*index) != excluded) {
            if logit.is_nan() || *logit == f32::INFINITY {
                return Err(Error::value(format!("logits[{index}]"), "a number below infinity", logit));
            }
            if *logit > f32::NEG_INFINITY {
                choices.push((index, f64::from(*logit)));
            }
        }
        // Stable: equal logits stay in order.
        choices.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or(Ordering::Equal));
        let Some((first, highest)) = choices.first().copied() else {
            return Err(Error::value("logits", "a finite one that is not excluded", "none"));
        };
        if self.temperature == 0.0 {
            return Ok(first);
        }
        choices.truncate(self.top_k.unwrap_or(usize::MAX));
        let exp = |(index, logit): (usize, f64)| (index, ((logit - highest) / self.temperature).exp());
        let mut choices: Vec<(usize, f64)> = choices.into_iter().map(exp).collect();
        if let Some(p) = self.top_p {
            let enough = p * choices.iter().map(|(_, weight)| weight).sum::<f64>();
            let mut sum = 0.0;
            let reached = choices.iter().position(|(_, weight)| {
                sum += weight;
                sum >= enough
            });
            choices.truncate(reached.map_or(choices.len(), |last| last + 1));
        }
        let mut left = uniform(rng) * choices.iter().map(|(_, weight)| weight).sum::<f64>();
        for (index, weight) in choices {
            if left < weight {
                return Ok(index);
            }
            left -= weight;
        }
        // Reached only by rounding.
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const ALL: Sampling = Sampling { temperature: 1.0, top_k: None, top_p: None };

    /// Logits of these probabilities.
    fn logits(probabilities: &[f64]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() as f32).collect()
    }

    /// How often each is drawn, as a share.
    fn shares(sampling: Sampling, probabilities: &[f64], excluded: Option<usize>) -> Vec<f64> {
        const DRAWS: usize = 20_000;
        let (logits, mut rng) = (logits(probabilities), ChaCha8Rng::seed_from_u64(7));
        let mut counts = vec![0.0; logits.len()];
        (0..DRAWS).for_each(|_| counts[sampling.pick(&logits, excluded, &mut rng).unwrap()] += 1.0);
        counts.iter().map(|count| count / DRAWS as f64).collect()
    }

    fn assert_near(got: &[f64], expected: &[f64]) {
        // Four standard deviations of a share are at most 0.0142.
        let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.0142 && (*b > 0.0 || *a == 0.0));
        assert!(near && got.len() == expected.len(), "{got:?}, expected {expected:?}");
    }

    #[test]
    fn probabilities_are_the_softmax_at_the_temperature() {
        let p = [0.5, 0.1, 0.3, 0.1];
        assert_near(&shares(ALL, &p, None), &p);
        // p² and √p.
        let powers = |power: f64| {
            let sum: f64 = p.iter().map(|p| p.powf(power)).sum();
            p.map(|p| p.powf(power) / sum)
        };
        assert_near(&shares(Sampling { temperature: 0.5, ..ALL }, &p, None), &powers(2.0));
        assert_near(&shares(Sampling { temperature: 2.0, ..ALL }, &p, None), &powers(0.5));
    }

    #[test]
    fn top_k_and_top_p_cut_off_the_least_probable() {
        let p = [0.05, 0.5, 0.15, 0.3];
        let top = |top_k, top_p| shares(Sampling { top_k, top_p, ..ALL }, &p, None);
        assert_near(&top(Some(2), None), &[0.0, 0.625, 0.0, 0.375]);
        assert_near(&top(Some(9), None), &p);
        assert_near(&top(None, Some(0.45)), &[0.0, 1.0, 0.0, 0.0]);
        assert_near(&top(None, Some(0.55)), &[0.0, 0.625, 0.0, 0.375]);
        assert_near(&top(None, Some(1.0)), &p);
        // Among the two of top-k the first has 0.625 already.
        assert_near(&top(Some(2), Some(0.6)), &[0.0, 1.0, 0.0, 0.0]);
        // By a temperature of 0.5 it has 0.25 / 0.365 = 0.68 of all.
        let cold = Sampling { temperature: 0.5, top_p: Some(0.65), ..ALL };
        assert_near(&shares(cold, &p, None), &[0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn excluded_and_impossible_tokens_are_never_drawn() {
        assert_near(&shares(ALL, &[0.5, 0.3, 0.2], Some(0)), &[0.0, 0.6, 0.4]);
        assert_near(&shares(ALL, &[0.5, 0.0, 0.5], None), &[0.5, 0.0, 0.5]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let greedy = Sampling { temperature: 0.0, ..ALL };
        assert_eq!(greedy.pick(&[9.0, 1.0, 2.0], Some(0), &mut rng).unwrap(), 2);
        // What is excluded is not read either.
        assert_eq!(greedy.pick(&[f32::NAN, 1.0], Some(0), &mut rng).unwrap(), 1);
    }

    #[test]
    fn among_equal_logits_the_first_is_the_most_probable() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for sampling in [
            Sampling { temperature: 0.0, ..ALL },
            Sampling { top_k: Some(1), ..ALL },
            Sampling { top_p: Some(0.1), ..ALL },
            Sampling { temperature: f64::MIN_POSITIVE, top_k: Some(1), top_p: Some(1.0) },
        ] {
            assert_eq!(sampling.pick(&[0.0, 3.0, 3.0, -1.0], None, &mut rng).unwrap(), 1, "{sampling:?}");
            assert_eq!(sampling.pick(&[-0.0, 0.0], None, &mut rng).unwrap(), 0, "{sampling:?}");
        }
    }

    #[test]
    fn extreme_logits_and_temperatures_draw_a_probable_token() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let logits = [f32::MAX, f32::MIN, -f32::MIN_POSITIVE, f32::NEG_INFINITY];
        for temperature in [f64::MIN_POSITIVE, 1e-9, 1.0, 1e30] {
            assert_eq!(Sampling { temperature, ..ALL }.pick(&logits, None, &mut rng).unwrap(), 0);
        }
        let hot = Sampling { temperature: f64::MAX, ..ALL };
        assert!((0..100).all(|_| hot.pick(&logits, None, &mut rng).unwrap() < 3));
    }

    #[test]
    fn equal_random_numbers_draw_equal_tokens() {
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..50).map(|_| ALL.pick(&logits(&[0.1; 10]), None, &mut rng).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn invalid_settings_and_logits_are_refused_by_name() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut refusal = |sampling: Sampling, logits: &[f32], excluded| {
            sampling.pick(logits, excluded, &mut rng).unwrap_err().to_string()
        };
        for temperature in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(
                refusal(Sampling { temperature, ..ALL }, &[1.0], None).starts_with("temperature: expected a finite")
            );
        }
        assert_eq!(refusal(Sampling { top_k: Some(0), ..ALL }, &[1.0], None), "top_k: expected at least 1, got 0");
        for p in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(refusal(Sampling { top_p: Some(p), ..ALL }, &[1.0], None).starts_with("top_p: expected a number"));
        }
        for logit in [f32::NAN, f32::INFINITY] {
            assert!(refusal(ALL, &[1.0, logit], None).starts_with("logits[1]: expected a number below infinity, got"));
        }
        assert!(refusal(ALL, &[], None).starts_with("logits: expected a finite one"));
        assert!(refusal(ALL, &[1.0, f32::NEG_INFINITY], Some(0)).starts_with("logits: expected a finite one"));
    }
}
