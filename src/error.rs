//! The crate's error type. Every message names the tensor, flag, file or line, what was expected and what was given.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// The errors of this crate.
///
/// `Debug` writes the message as `Display` does, because that is what a `main` that returns a [`Result`] prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor's shape does not fit the model or the batch.
    #[error("{}: expected shape {}, got {}", shortened(tensor), shortened(expected), shortened(got))]
    Shape {
        /// The tensor's name.
        tensor: String,
        /// The expected shape.
        expected: String,
        /// The actual shape.
        got: String,
    },
    /// A value is out of range: a length of zero, a class not below the number of outputs, a negative weight.
    #[error("{}: expected {}, got {}", shortened(what), shortened(expected), shortened(got))]
    Value {
        /// The name of the value, with its index if it has one.
        what: String,
        /// The expected range.
        expected: String,
        /// The actual value.
        got: String,
    },
    /// A combination of settings or calls that is meaningless or not supported.
    #[error("{}", shortened(.0))]
    Unsupported(String),
    /// An operation failed for a reason other than its settings.
    #[error("{}", shortened(.0))]
    Failed(String),
    /// A state dict does not fit the model. Lists all differences; the message shows the first 20.
    #[error("the state dict does not fit the model:{}", differences(.0))]
    StateDict(Vec<String>),
    /// The loss or the gradient norm was not finite. The weights are those from before this step.
    #[error("step {step}: the {what} is not finite; the weights are kept as they were before this step")]
    NonFinite {
        /// The first step, counted from 1, whose update was rejected.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
    },
    /// No GPU adapter was found, or none matches the request.
    #[error("no GPU: {0}")]
    NoDevice(String),
    /// The device is permanently lost, with all its contents: it was unplugged, reset or abandoned by its driver.
    #[error("the GPU was lost: {0}")]
    DeviceLost(String),
    /// The device has no memory left for a buffer.
    #[error("not enough GPU memory for {tensor} ({bytes} bytes); use a smaller batch or micro-batches")]
    OutOfMemory {
        /// The tensor's name.
        tensor: String,
        /// The buffer's size in bytes.
        bytes: u64,
    },
    /// The host has no memory left for an allocation whose size depends on the input.
    #[error("not enough memory for {what} ({bytes} bytes); {remedy}")]
    NoMemory {
        /// What the memory is for.
        what: String,
        /// Its size in bytes.
        bytes: u64,
        /// How to reduce the size.
        remedy: &'static str,
    },
    /// The device lacks a requirement or rejected a command.
    #[error("GPU: {0}")]
    Device(String),
    /// A buffer exceeds a device limit or the memory budget.
    #[error("{tensor} needs {bytes} bytes, more than {limit} of {limit_bytes} bytes; {remedy}")]
    Limit {
        /// The tensor's name.
        tensor: String,
        /// Its size in bytes.
        bytes: u64,
        /// The name of the limit.
        limit: &'static str,
        /// The limit in bytes.
        limit_bytes: u64,
        /// How to reduce the size.
        remedy: &'static str,
    },
    /// A data file is invalid.
    #[error("{}{}: {}", path.display(), shortened(place), shortened(message))]
    Data {
        /// The file.
        path: PathBuf,
        /// The position, such as `, row 7, column "SUNACTIVITY"`, or empty.
        place: String,
        /// What was expected and what was found.
        message: String,
    },
    /// The operating system failed to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The beginning and end of a text, as much as a message shows: a name in a file can have any length.
fn shortened(text: &str) -> Cow<'_, str> {
    const MOST: usize = 1500;
    const BEGIN: usize = 800;
    const END: usize = 400;
    if text.len() <= MOST {
        return Cow::Borrowed(text);
    }
    let begin = text.char_indices().nth(BEGIN).map_or(text.len(), |(at, _)| at);
    let end = text.char_indices().rev().nth(END - 1).map_or(0, |(at, _)| at);
    if end > begin {
        format!("{}… ({} bytes more) …{}", &text[..begin], end - begin, &text[end..]).into()
    } else {
        Cow::Borrowed(text)
    }
}

/// The first lines, and how many more there are.
fn differences(lines: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = lines.iter().take(SHOWN).map(|line| format!("\n  {}", shortened(line))).collect();
    if lines.len() > SHOWN {
        text += &format!("\n  … and {} more", lines.len() - SHOWN);
    }
    text
}

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the reason is the machine, its disk or its device, and not what was asked of them.
    #[cfg(feature = "experiment")]
    pub(crate) fn is_of_machine(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::DeviceLost(_) | Self::NoDevice(_) | Self::Device(_))
    }

    /// Whether there was no memory left, which may be for what else runs.
    #[cfg(feature = "experiment")]
    pub(crate) fn is_lack_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. } | Self::NoMemory { .. })
    }

    pub(crate) fn shape(tensor: impl Into<String>, expected: &[usize], got: &[usize]) -> Self {
        Self::Shape { tensor: tensor.into(), expected: format!("{expected:?}"), got: format!("{got:?}") }
    }

    pub(crate) fn value(what: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Value { what: what.into(), expected: expected.into(), got: got.to_string() }
    }

    /// Turns an error about a value or combination into [`Error::Failed`]: for callers that have already checked the
    /// settings.
    pub fn failed(self) -> Self {
        match self {
            Self::Shape { .. } | Self::Value { .. } | Self::Unsupported(_) => Self::Failed(self.to_string()),
            other => other,
        }
    }

    /// Turns an error about a value into [`Error::Data`] for the file it came from. Other errors are unchanged.
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Value { what, expected, got } => {
                Self::data(path, format!(", {what}"), format!("expected {expected}, got {got}"))
            }
            other => other,
        }
    }

    /// `place` is empty or begins with a comma.
    pub(crate) fn data(path: &Path, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Data { path: path.into(), place: place.into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_by_both_ends_and_the_omitted_length() {
        let long = "é".repeat(1_000_000);
        let all = [
            Error::data(Path::new("a"), format!(", column {long:?}"), format!("expected {long}; sort the rows")),
            Error::value(long.clone(), "a number", long.clone()),
            Error::Unsupported(long.clone()),
            Error::shape(long.clone(), &[1; 100_000], &[2]),
            Error::StateDict(vec![long.clone(); 30]),
        ];
        for error in all {
            let text = error.to_string();
            assert!(text.len() < 60_000 && text.contains(" bytes more) …"), "{} bytes", text.len());
        }
        let text = Error::Unsupported(format!("a{long}b")).to_string();
        assert!(text.starts_with("aéé") && text.ends_with("éb") && text.contains("… (1997604 bytes more) …"), "{text}");
        assert_eq!(format!("{:?}", Error::NoDevice("no driver".into())), "no GPU: no driver");
        let whole = "x".repeat(1500);
        assert_eq!(Error::Unsupported(whole.clone()).to_string(), whole);
        let many = Error::StateDict((0..1000).map(|n| n.to_string()).collect()).to_string();
        assert!(many.ends_with("\n  18\n  19\n  … and 980 more"), "{many}");
    }
}
