//! Handling of missing values.

use serde::{Deserialize, Serialize};

/// How missing values are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingPolicy {
    /// Refuse them.
    #[default]
    Refuse,
    /// Use the last value before as input. As a target it stays missing, as under [`Mask`](Self::Mask), and no forecast
    /// is compared with it.
    Forward,
    /// Use 0 in scaled units, with an additional dimension that marks it, unlike a measured 0: see
    /// [`LabelledSequences::mask`](crate::data::LabelledSequences::mask) and [`SeriesCodec`](crate::data::SeriesCodec).
    /// Training leaves out examples with a missing target, and measurements ignore it.
    Mask,
}

impl MissingPolicy {
    /// The replacement of a missing number after `last`, NaN for a mask; otherwise what was expected.
    pub(crate) fn stand_in(self, last: Option<f64>) -> Result<f64, &'static str> {
        match (self, last) {
            (Self::Refuse, _) => Err("a finite number"),
            (Self::Forward, Some(last)) => Ok(last),
            (Self::Forward, None) => Err("a first number to fill forward from"),
            (Self::Mask, _) => Ok(f64::NAN),
        }
    }
}
