//! What an error means to the page.

use bptt::Error;

/// What the page does about an error, beside showing its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The device failed or is not there: the page offers another.
    Device,
    /// The loss or the gradient is beyond all numbers: smaller steps help.
    Diverged,
    /// The settings or the data do not fit.
    Input,
}

impl ErrorKind {
    /// The kind of an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NoDevice(_) | Error::DeviceLost(_) | Error::Device(_) | Error::OutOfMemory { .. } => Self::Device,
            Error::NonFinite { .. } => Self::Diverged,
            _ => Self::Input,
        }
    }

    /// Its name in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Diverged => "diverged",
            Self::Input => "input",
        }
    }
}
