//! What to do with missing values.

use serde::{Deserialize, Serialize};

/// What becomes of missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingPolicy {
    /// They are refused.
    #[default]
    Refuse,
    /// The last value before takes their place as an input. No forecast is held against it: as a target it is missing, as
    /// under [`Mask`](Self::Mask).
    Forward,
    /// Each is 0 in the network's units, and a dimension of its own marks it, unlike a 0 that was measured: see
    /// [`LabelledSequences::mask`](crate::data::LabelledSequences::mask) and [`SeriesCodec`](crate::data::SeriesCodec). As a target it is not learned from:
    /// examples that predict one are left out, and where forecasts are measured it does not count.
    Mask,
}

impl MissingPolicy {
    /// What stands in the place of a missing number after `last`, NaN for a mask; otherwise what was expected.
    pub(in crate::data) fn stand_in(self, last: Option<f64>) -> Result<f64, &'static str> {
        match (self, last) {
            (Self::Refuse, _) => Err("a finite number"),
            (Self::Forward, Some(last)) => Ok(last),
            (Self::Forward, None) => Err("a first number to fill forward from"),
            (Self::Mask, _) => Ok(f64::NAN),
        }
    }
}
