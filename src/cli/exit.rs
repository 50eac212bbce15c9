//! Exit codes: the one place that maps errors to them.

use bptt::Error;
use bptt::format::{indented, one_line, path_text};

/// The exit codes, as the long help and the manual page show them.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    finished; a picture, report or measurement that failed after training is \
       listed as \"missing\"
  1    failed: a file, the data, the device or the numbers
  2    usage error: a flag or a configuration key is wrong, or an output exists already
  3    the GPU was lost
  130  stopped by Ctrl-C (SIGINT)
  143  stopped by SIGTERM";

pub(crate) const FAILED: u8 = 1;
const USAGE: u8 = 2;
const LOST: u8 = 3;

/// Why a command failed.
pub(crate) enum Failure {
    /// An error, reported on standard error.
    Error(Error),
    /// Stopped by a signal. The work so far is kept and reported.
    Stopped(i32),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Error(error) => code(error),
            // As in a shell.
            Self::Stopped(signal) => u8::try_from(128 + signal).unwrap_or(FAILED),
        }
    }

    /// The message for standard error.
    pub(crate) fn message(&self) -> Option<String> {
        use std::io::ErrorKind::{IsADirectory, NotADirectory};
        match self {
            Self::Stopped(_) => None,
            Self::Error(Error::Io { path, source }) if source.kind() == IsADirectory => {
                Some(format!("{}: expected a file, got a folder", path_text(path)))
            }
            Self::Error(Error::Io { path, source }) if source.kind() == NotADirectory => {
                Some(format!("{}: expected a folder in its path, got a file", path_text(path)))
            }
            Self::Error(error) => Some(shown(error)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// An error as text. Continuation lines are indented, so that file contents never start an unindented line.
fn shown(error: &Error) -> String {
    match error {
        Error::Data { path, place, message } => {
            format!("{}{}: {}", path_text(path), one_line(place), indented(message))
        }
        Error::Io { path, source } => format!("{}: {source}", path_text(path)),
        // Lines from a driver.
        Error::Device(_) | Error::NoDevice(_) | Error::DeviceLost(_) => error.to_string(),
        _ => indented(&error.to_string()),
    }
}

/// The exit code of an error. Usage errors are values or combinations; errors from a file, a device or the numbers of a
/// network have other types, which `Network` ensures for computations.
fn code(error: &Error) -> u8 {
    match error {
        Error::Unsupported(_) | Error::Value { .. } => USAGE,
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => USAGE,
        Error::DeviceLost(_) => LOST,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_maps_to_one_exit_code() {
        let io = |kind: std::io::ErrorKind| Error::Io { path: "a".into(), source: kind.into() };
        let data = Error::Data { path: "a".into(), place: String::new(), message: "b".into() };
        let value = Error::Value { what: "lr".into(), expected: "a number".into(), got: "b".into() };
        let cases = [
            (Error::Unsupported("--epochs and --steps".into()), 2),
            (value, 2),
            (io(std::io::ErrorKind::AlreadyExists), 2),
            (io(std::io::ErrorKind::NotFound), 1),
            (io(std::io::ErrorKind::StorageFull), 1),
            (data, 1),
            (Error::Failed("step 3: the loss is not finite".into()), 1),
            (Error::StateDict(Vec::new()), 1),
            (Error::NoDevice("none".into()), 1),
            (Error::Device("refused".into()), 1),
            (Error::OutOfMemory { tensor: "x".into(), bytes: 1 }, 1),
            (Error::DeviceLost("unplugged".into()), 3),
        ];
        for (error, code) in cases {
            assert_eq!(Failure::from(error).code(), code);
        }
        assert_eq!([2, 15].map(|signal| Failure::Stopped(signal).code()), [130, 143]);
    }

    #[test]
    fn the_readme_and_the_help_list_the_same_exit_codes() {
        let manual = include_str!("../../docs/program.md");
        for line in TABLE.lines().skip(1) {
            let code = line.split_whitespace().next().unwrap_or_default();
            if code.parse::<u8>().is_ok() {
                assert!(manual.contains(&format!("\n| {code} | ")), "{code} has no row in docs/program.md");
            }
        }
    }
}
