//! What the page refuses, because a browser's memory and patience end earlier than a program's.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bptt::{Error, Result};
use serde::Serialize;

/// The most bytes of each kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FileLimits {
    /// A text to learn from.
    pub text: usize,
    /// A CSV file.
    pub table: usize,
    /// A model.
    pub model: usize,
}

/// What the page takes, which reads no file that is larger.
pub const FILES: FileLimits = FileLimits { text: 5_000_000, table: 20_000_000, model: 64_000_000 };

/// Refuses a file that is too large, before it is copied.
///
/// # Errors
/// [`Error::Unsupported`] with its size.
pub fn file(what: &str, bytes: usize, limit: usize) -> Result<()> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{what} has {:.1} MB, and this page takes at most {} MB: take a part of it, or the program bptt",
        bytes as f64 / 1e6,
        limit / 1_000_000
    )))
}

/// A number between two others.
///
/// # Errors
/// [`Error::Value`] with the name.
pub fn within<T: PartialOrd + Display + Copy>(what: &str, value: T, range: RangeInclusive<T>) -> Result<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(Error::Value { what: what.into(), expected, got: value.to_string() })
}

/// A learning rate.
///
/// # Errors
/// [`Error::Value`] for a number that is negative or not finite.
pub fn learning_rate(rate: f64) -> Result<f64> {
    within("the learning rate", rate, 0.0..=1e6)
}

/// The value of a future that does not wait, as all of the CPU backend.
///
/// # Errors
/// Those of the future.
pub fn now<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => Err(Error::Failed("the CPU backend waited".into())),
    }
}

/// One of the reports of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// The number of kernels of the room that are compiled.
    pub done: usize,
    /// The number of kernels of the room; 0 on the CPU.
    pub total: usize,
}
