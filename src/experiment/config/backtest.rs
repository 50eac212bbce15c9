//! The settings of a backtest.

use serde::{Deserialize, Serialize};

/// The folds of a backtest, beside the settings of the run that each fold is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BacktestConfig {
    /// Number of folds; 5 by default.
    pub folds: Option<usize>,
    /// Rows between the origins of two folds; the horizon by default.
    pub stride: Option<usize>,
    /// How the network of a fold comes about; from scratch by default.
    pub refit: Option<RefitName>,
}

impl BacktestConfig {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How the network of a fold comes about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefitName {
    /// Every fold trains a new network.
    #[default]
    Scratch,
    /// Every fold after the first trains the network of the fold before on.
    Continue,
    /// The network of the first fold forecasts from every origin.
    None,
}
