//! What a model was trained on, which travels with its weights.

use serde::{Deserialize, Serialize};

/// What weights come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Origin {
    /// The data that they were trained on, those of the weights that the run began with first.
    pub data: Vec<TrainedOn>,
    /// What the training part has of each class or character, or the share of its frames in which a key sounds.
    pub(crate) frequencies: Option<Vec<f64>>,
    /// The period of the seasonal naive forecast.
    pub(crate) season: Option<usize>,
}

/// A file that was split and trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrainedOn {
    pub(crate) sha256: String,
    /// How it was split, as the settings have it.
    pub(crate) split: Option<Vec<f64>>,
    pub(crate) split_seed: Option<u64>,
    pub(crate) train_until: Option<String>,
    pub(crate) validation: Option<f64>,
    pub(crate) parts: Parts,
}

/// Which of its rows are in which part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Parts {
    /// Training, validation and test follow each other: where each ends, in rows or characters.
    InOrder { ends: [u64; 3], samples: Vec<String> },
    /// Two sequences a hexadecimal digit, the first in its lower half: 0 trains, 1 validates, 2 tests. And what those that
    /// train are known by, up to so many.
    Drawn { parts: String, samples: Vec<String> },
}

impl Default for Parts {
    fn default() -> Self {
        Self::InOrder { ends: [0; 3], samples: Vec::new() }
    }
}
