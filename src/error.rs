//! The one error type. Every message names the tensor, flag, file or line, what was expected and what came.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor does not have the shape that the model and the batch ask for.
    #[error("{}: expected shape {}, got {}", cut(tensor), cut(expected), cut(got))]
    Shape {
        /// The tensor's name.
        tensor: String,
        /// The shape asked for.
        expected: String,
        /// The shape that came.
        got: String,
    },
    /// A value is outside its range: a length of zero, a class beyond the outputs, a negative weight.
    #[error("{}: expected {}, got {}", cut(what), cut(expected), cut(got))]
    Value {
        /// What holds the value, with its index.
        what: String,
        /// The range asked for.
        expected: String,
        /// The value that came.
        got: String,
    },
    /// A combination that has no meaning, or that this crate does not do.
    #[error("{}", cut(.0))]
    Unsupported(String),
    /// Work that was begun could not be ended, for a reason that is no setting's.
    #[error("{}", cut(.0))]
    Failed(String),
    /// A state dict does not fit the model. The differences are listed at once; a message shows the first 20.
    #[error("the state dict does not fit the model:{}", differences(.0))]
    StateDict(Vec<String>),
    /// The loss or the gradient norm was not finite. The weights are those before the named step.
    #[error("step {step}: the {what} is not finite; the weights are kept as they were before this step")]
    NonFinite {
        /// The first step, counted from 1, whose update was refused.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
    },
    /// No adapter answered, or none that fits the request.
    #[error("no GPU: {0}")]
    NoDevice(String),
    /// The device is gone for good, with all that it held: it was unplugged, reset, or given up by its driver.
    #[error("the GPU was lost: {0}")]
    DeviceLost(String),
    /// The device has no room for a buffer.
    #[error(
        "the GPU has no memory left for {tensor}, which takes {bytes} bytes; take a smaller batch or micro-batches"
    )]
    OutOfMemory {
        /// The tensor's name.
        tensor: String,
        /// The bytes that it takes.
        bytes: u64,
    },
    /// The machine has no room for something whose size comes from sizes or files.
    #[error("no memory left for {what}, which takes {bytes} bytes; {remedy}")]
    NoMemory {
        /// What it is.
        what: String,
        /// The bytes that it takes.
        bytes: u64,
        /// What to change.
        remedy: &'static str,
    },
    /// The device is lacking something, or refused a command.
    #[error("GPU: {0}")]
    Device(String),
    /// A buffer is over a limit of the device or over the memory budget.
    #[error("{tensor} takes {bytes} bytes, over {limit} of {limit_bytes} bytes; {remedy}")]
    Limit {
        /// The tensor's name.
        tensor: String,
        /// The bytes that it takes.
        bytes: u64,
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        limit_bytes: u64,
        /// What to change.
        remedy: &'static str,
    },
    /// A data file cannot be used.
    #[error("{}{}: {}", path.display(), cut(place), cut(message))]
    Data {
        /// The file.
        path: PathBuf,
        /// `, row 7, column "SUNACTIVITY"`, or empty.
        place: String,
        /// What was expected and what came.
        message: String,
    },
    /// The system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// As much of a text as a message shows, with what is at its end: a name in a file may have any length.
fn cut(text: &str) -> Cow<'_, str> {
    const MOST: usize = 1500;
    const BEGIN: usize = 800;
    const END: usize = 400;
    if text.len() <= MOST {
        return Cow::Borrowed(text);
    }
    let begin = text.char_indices().nth(BEGIN).map_or(text.len(), |(at, _)| at);
    let end = text.char_indices().rev().nth(END - 1).map_or(0, |(at, _)| at);
    match end > begin {
        true => format!("{}… ({} bytes more) …{}", &text[..begin], end - begin, &text[end..]).into(),
        false => Cow::Borrowed(text),
    }
}

/// The first of some lines, and how many more there are.
fn differences(lines: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = lines.iter().take(SHOWN).map(|line| format!("\n  {}", cut(line))).collect();
    if lines.len() > SHOWN {
        text += &format!("\n  … and {} more", lines.len() - SHOWN);
    }
    text
}

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn shape(tensor: impl Into<String>, expected: &[usize], got: &[usize]) -> Self {
        Self::Shape { tensor: tensor.into(), expected: format!("{expected:?}"), got: format!("{got:?}") }
    }

    pub(crate) fn value(what: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Value { what: what.into(), expected: expected.into(), got: got.to_string() }
    }

    /// The refusal of a value or a combination as a failure: for those who had checked what they asked for.
    pub fn failed(self) -> Self {
        match self {
            Self::Shape { .. } | Self::Value { .. } | Self::Unsupported(_) => Self::Failed(self.to_string()),
            other => other,
        }
    }

    /// The refusal of a value as that of the file which it came from; any other error as it is.
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
    fn a_message_shows_both_ends_of_a_long_text_and_how_much_is_left_out() {
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
        let whole = "x".repeat(1500);
        assert_eq!(Error::Unsupported(whole.clone()).to_string(), whole);
        let many = Error::StateDict((0..1000).map(|n| n.to_string()).collect()).to_string();
        assert!(many.ends_with("\n  18\n  19\n  … and 980 more"), "{many}");
    }
}
