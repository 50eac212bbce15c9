//! How the numbers of a tensor are stored on the device.

use crate::model::Precision;

/// The form of a tensor's numbers. Indices are in vec4 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Storage {
    /// f32.
    #[default]
    Full,
    /// f16, two in a word.
    Halves,
    /// The same, of gradients times the loss scale.
    ScaledHalves,
}

impl Storage {
    /// That of z and h forward.
    pub(crate) fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Full,
            Precision::F16 => Self::Halves,
        }
    }

    /// That of gradients in the same buffer.
    pub(crate) fn of_gradients(self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Halves | Self::ScaledHalves => Self::ScaledHalves,
        }
    }

    pub(crate) fn is_full(self) -> bool {
        self == Self::Full
    }

    /// The bytes of this many numbers.
    pub(crate) fn bytes(self, numbers: u64) -> u64 {
        match self {
            Self::Full => 4 * numbers,
            Self::Halves | Self::ScaledHalves => 2 * numbers,
        }
    }
}
