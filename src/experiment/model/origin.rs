//! What a model was trained on; stored with its weights.

use serde::{Deserialize, Serialize};

use super::super::measure::linear::LinearFit;

/// The origin of weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Origin {
    /// The training data, starting with those of the initial weights.
    pub data: Vec<TrainedOn>,
    /// The training counts of each class or character, or the share of training frames in which a key sounds.
    pub(crate) frequencies: Option<Vec<f64>>,
    /// The period of the seasonal naive forecast.
    pub(crate) season: Option<usize>,
    /// The linear function that is the baseline of a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) linear: Option<LinearFit>,
}

/// A file that was split and used for training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrainedOn {
    pub(crate) sha256: String,
    /// The split settings.
    pub(crate) split: Option<Vec<f64>>,
    pub(crate) split_seed: Option<u64>,
    pub(crate) train_until: Option<String>,
    pub(crate) validation: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) test_until: Option<String>,
    pub(crate) parts: Parts,
}

/// Which rows are in which split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Parts {
    /// Training, validation and test follow each other: the end of each, in rows or characters.
    InOrder { ends: [u64; 3], samples: Vec<String> },
    /// Two sequences per hexadecimal digit, the first in its lower half: 0 trains, 1 validates, 2 tests. `samples` are
    /// digests of training sequences, up to a limit.
    Drawn { parts: String, samples: Vec<String> },
}

impl Default for Parts {
    fn default() -> Self {
        Self::InOrder { ends: [0; 3], samples: Vec::new() }
    }
}
