//! Numbers of Python: whole ones have any size and sign.

use bptt::experiment::config::{FORECAST_ROWS, LAYERS, NumberRange, SAMPLE_PATHS, SIZE, THREADS};
use pyo3::prelude::*;

use crate::arrays::value;

pub(crate) const SIZES: NumberRange = NumberRange::Whole(1, SIZE as u64);
pub(crate) const STACKED: NumberRange = NumberRange::Whole(1, LAYERS as u64);
pub(crate) const THREAD_COUNTS: NumberRange = NumberRange::Whole(1, THREADS as u64);
pub(crate) const ROWS: NumberRange = NumberRange::Whole(1, FORECAST_ROWS as u64);
pub(crate) const PATHS: NumberRange = NumberRange::Whole(0, SAMPLE_PATHS as u64);
pub(crate) const ANY: NumberRange = NumberRange::Whole(0, u64::MAX);

/// A whole number, or the nearest one that 128 bits hold: its range is checked where its name is known.
pub(crate) fn whole(any: &Bound<'_, PyAny>) -> PyResult<i128> {
    let index = any.py().import("operator")?.call_method1("index", (any,))?;
    match index.extract() {
        Ok(number) => Ok(number),
        Err(_) if index.lt(0)? => Ok(i128::MIN),
        Err(_) => Ok(i128::MAX),
    }
}

/// The same, which may be left out.
pub(crate) fn whole_if_any(any: &Bound<'_, PyAny>) -> PyResult<Option<i128>> {
    if any.is_none() { Ok(None) } else { whole(any).map(Some) }
}

/// A whole number that is within a range.
pub(crate) fn within(number: i128, what: &str, range: NumberRange) -> PyResult<u64> {
    match u64::try_from(number).ok().filter(|number| range.contains_whole(*number)) {
        Some(number) => Ok(number),
        None => value(what, &range.to_string(), number),
    }
}

/// A size that is within a range.
pub(crate) fn size(number: i128, what: &str, range: NumberRange) -> PyResult<usize> {
    let number = within(number, what, range)?;
    usize::try_from(number).or_else(|_| value(what, &range.to_string(), number))
}

/// The same, which may be left out.
pub(crate) fn size_if_any(number: Option<i128>, what: &str, range: NumberRange) -> PyResult<Option<usize>> {
    number.map(|number| size(number, what, range)).transpose()
}

/// A number that is within a range.
pub(crate) fn real_within(number: f64, what: &str, range: NumberRange) -> PyResult<f64> {
    if range.contains(number) { Ok(number) } else { value(what, &range.to_string(), number) }
}
