//! The split settings.

use crate::experiment::config::{AudioConfig, ClassesConfig, RollsConfig, SequencesConfig, SeriesConfig, TextConfig};
use crate::experiment::model::origin::TrainedOn;

/// The split settings.
pub(crate) struct Splitting<'a> {
    /// The shares of training, validation and test.
    pub(crate) shares: &'a mut Option<Vec<f64>>,
    /// The last training row of a series, and the validation share of the rows after it.
    pub(crate) until: Option<(&'a mut Option<String>, &'a mut Option<f64>)>,
    /// The last test row of a series.
    pub(crate) test_until: Option<&'a mut Option<String>>,
    /// The validation share of the first file beside a test file.
    pub(crate) beside_test: Option<&'a mut Option<f64>>,
    /// Whether there is a test file.
    pub(crate) has_test_file: bool,
    /// The seed of a random split.
    pub(crate) seed: Option<&'a mut Option<u64>>,
}

impl<'a> Splitting<'a> {
    /// With shares only.
    pub(super) fn by(shares: &'a mut Option<Vec<f64>>) -> Self {
        Self { shares, until: None, test_until: None, beside_test: None, has_test_file: false, seed: None }
    }

    pub(super) fn train_until(&self) -> Option<&String> {
        self.until.as_ref().and_then(|(until, _)| until.as_ref())
    }

    pub(super) fn test_until(&self) -> Option<&String> {
        self.test_until.as_ref().and_then(|until| until.as_ref())
    }

    pub(super) fn validation(&self) -> Option<f64> {
        let of_series = self.until.as_ref().and_then(|(_, share)| **share);
        of_series.or(self.beside_test.as_ref().and_then(|share| **share))
    }

    /// Reuses the split of the run for the same data, unless the settings set another (`is_set`).
    pub(super) fn put(&mut self, of: &TrainedOn, is_set: bool) {
        if !is_set {
            self.shares.clone_from(&of.split);
            if let Some((until, validation)) = &mut self.until {
                until.clone_from(&of.train_until);
                **validation = of.validation;
            }
            if let Some(until) = &mut self.test_until {
                until.clone_from(&of.test_until);
            }
            if let Some(validation) = &mut self.beside_test {
                **validation = of.validation;
            }
        }
        if let Some(seed) = &mut self.seed {
            **seed = seed.or(of.split_seed);
        }
    }
}

impl SeriesConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting {
            until: Some((&mut self.train_until, &mut self.validation)),
            test_until: Some(&mut self.test_until),
            ..Splitting::by(&mut self.split)
        }
    }
}

impl TextConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting::by(&mut self.split)
    }
}

impl SequencesConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting {
            beside_test: Some(&mut self.validation),
            has_test_file: self.test_file.is_some(),
            seed: Some(&mut self.split_seed),
            ..Splitting::by(&mut self.split)
        }
    }
}

impl ClassesConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting { seed: Some(&mut self.split_seed), ..Splitting::by(&mut self.split) }
    }
}

impl AudioConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting::by(&mut self.split)
    }
}

impl RollsConfig {
    pub(crate) fn splitting(&mut self) -> Splitting<'_> {
        Splitting::by(&mut self.split)
    }
}
