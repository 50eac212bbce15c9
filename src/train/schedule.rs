//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A learning-rate schedule: a factor for each step, with a linear warm-up followed by a decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Schedule {
    /// Warm-up steps: the factor of step n is n / `warmup`.
    pub warmup: u64,
    /// The decay after the warm-up.
    pub decay: Decay,
}

/// The decay of the learning rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Decay {
    /// Constant.
    #[default]
    Constant,
    /// Multiplied by `factor` after every `every` steps.
    Step {
        /// Steps between two decays.
        every: u64,
        /// From 0 to 1.
        factor: f64,
    },
    /// Multiplied by `factor` over every `every` steps, smoothly.
    Exponential {
        /// Steps over which the rate is multiplied by `factor`.
        every: u64,
        /// From 0 to 1.
        factor: f64,
    },
    /// Half a cosine, ending at the factor `floor` (Loshchilov & Hutter 2017, without restarts).
    Cosine {
        /// From 0 to 1.
        floor: f64,
    },
    /// Multiplied by `factor` after `patience` validations in a row without improvement.
    Plateau {
        /// Validations without improvement.
        patience: u64,
        /// From 0 to 1.
        factor: f64,
    },
}

impl Schedule {
    /// A decay without warm-up.
    pub fn new(decay: Decay) -> Self {
        Self { warmup: 0, decay }
    }

    /// Sets the warm-up steps.
    pub fn warmup(mut self, steps: u64) -> Self {
        self.warmup = steps;
        self
    }

    /// Whether the factor is always 1.
    pub fn is_constant(&self) -> bool {
        self.warmup == 0 && self.decay == Decay::Constant
    }

    /// Checks that counts are above 0 and factors are from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Value`] names the count or the factor.
    pub fn validate(&self) -> Result<()> {
        let (count, factor) = match self.decay {
            Decay::Constant => (None, None),
            Decay::Step { every, factor } | Decay::Exponential { every, factor } => {
                (Some(("the schedule's every", every)), Some(("the schedule's factor", factor)))
            }
            Decay::Cosine { floor } => (None, Some(("the schedule's floor", floor))),
            Decay::Plateau { patience, factor } => {
                (Some(("the schedule's patience", patience)), Some(("the schedule's factor", factor)))
            }
        };
        if let Some((name, _)) = count.filter(|(_, count)| *count == 0) {
            return Err(Error::value(name, "at least 1", 0));
        }
        match factor.filter(|(_, factor)| !(0.0..=1.0).contains(factor)) {
            Some((name, factor)) => Err(Error::value(name, "a number from 0 to 1", factor)),
            None => Ok(()),
        }
    }

    /// The factor of `step`, counted from 1, in a run of `steps` steps, after `plateaus` decays on a plateau.
    pub fn factor(&self, step: u64, steps: u64, plateaus: u32) -> f64 {
        if step <= self.warmup {
            return step as f64 / self.warmup as f64;
        }
        let after = step - 1 - self.warmup;
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Step { every, factor } => factor.powf((after / every) as f64),
            Decay::Exponential { every, factor } => factor.powf(after as f64 / every as f64),
            Decay::Cosine { floor } => {
                let share = after as f64 / steps.saturating_sub(self.warmup).max(1) as f64;
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
            }
            Decay::Plateau { factor, .. } => factor.powf(f64::from(plateaus)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, steps: u64) -> Vec<f64> {
        (1..=steps).map(|step| (schedule.factor(step, steps, 0) * 1000.0).round() / 1000.0).collect()
    }

    #[test]
    fn the_learning_rate_warms_up_linearly_and_then_decays() {
        let schedule = |decay| Schedule { warmup: 2, decay };
        assert_eq!(rates(schedule(Decay::Constant), 4), [0.5, 1.0, 1.0, 1.0]);
        let step = Decay::Step { every: 2, factor: 0.5 };
        assert_eq!(rates(schedule(step), 7), [0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
        let exponential = Decay::Exponential { every: 2, factor: 0.25 };
        assert_eq!(rates(schedule(exponential), 5), [0.5, 1.0, 1.0, 0.5, 0.25]);
        let cosine = Decay::Cosine { floor: 0.1 };
        assert_eq!(rates(schedule(cosine), 6), [0.5, 1.0, 1.0, 0.868, 0.55, 0.232]);
    }

    #[test]
    fn each_plateau_multiplies_the_rate_by_the_factor() {
        let schedule = Schedule { warmup: 0, decay: Decay::Plateau { patience: 3, factor: 0.5 } };
        assert_eq!([0, 1, 2].map(|plateaus| schedule.factor(9, 10, plateaus)), [1.0, 0.5, 0.25]);
    }

    #[test]
    fn counts_of_zero_and_factors_above_one_are_refused() {
        let refused = |decay| Schedule { warmup: 0, decay }.validate().unwrap_err().to_string();
        assert!(refused(Decay::Step { every: 0, factor: 0.5 }).contains("every"));
        assert!(refused(Decay::Exponential { every: 1, factor: 1.5 }).contains("1.5"));
        assert!(refused(Decay::Cosine { floor: f64::NAN }).contains("floor"));
        assert!(refused(Decay::Plateau { patience: 0, factor: 0.5 }).contains("patience"));
    }
}
