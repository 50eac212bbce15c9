//! The settings of a sweep.

use serde::{Deserialize, Serialize};

use super::Space;

/// The trials of a sweep, beside the settings that all of them share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SweepConfig {
    /// Number of trials; 20 by default, and all combinations of a grid.
    pub trials: Option<usize>,
    /// How the settings of a trial are chosen; at random by default.
    pub method: Option<MethodName>,
    /// What the trials are ranked by; the validation loss by default.
    pub metric: Option<MetricName>,
    /// Runs of each trial, which differ in their seed; 1 by default.
    pub seeds: Option<usize>,
    /// η of successive halving: the best 1/η of the trials go on from a rung to the next; without it all are trained to
    /// their end.
    pub halving: Option<u32>,
    /// Number of rungs of successive halving, the last of which is the end of the run; by default up to 3.
    pub rungs: Option<u32>,
    /// Trials that are drawn at once by TPE, from the results of the rounds before; 8 by default.
    pub round: Option<usize>,
    /// Seconds without a sign of life after which the run of a worker is taken again; 120 by default.
    pub claim_timeout: Option<u64>,
    /// The settings that vary.
    #[serde(skip_serializing_if = "Space::is_empty")]
    pub space: Space,
}

impl SweepConfig {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How the settings of a trial are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    /// Every combination of the values.
    Grid,
    /// Drawn independently.
    #[default]
    Random,
    /// Drawn by a tree-structured Parzen estimator (Bergstra et al. 2011).
    Tpe,
}

/// What trials are ranked by, of the validation split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricName {
    /// The loss that training reports, of the weights that the run keeps.
    #[default]
    ValLoss,
    /// The share of correct predictions.
    Accuracy,
    /// The mean of the classes' recalls.
    BalancedAccuracy,
    /// The mean of the classes' F1 scores.
    MacroF1,
    /// The root mean squared error.
    Rmse,
    /// The mean absolute error.
    Mae,
    /// The mean absolute scaled error.
    Mase,
    /// The symmetric mean absolute percentage error.
    Smape,
    /// The weighted absolute percentage error.
    Wape,
    /// The share of the variance that is explained.
    RSquared,
    /// Bits per character.
    BitsPerCharacter,
    /// The error-to-signal ratio.
    Esr,
}

impl MetricName {
    /// Whether the greatest value is the best.
    pub fn is_higher_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::BalancedAccuracy | Self::MacroF1 | Self::RSquared)
    }
}
