//! The library's errors as exceptions, with the library's words.

use bptt::Error;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyMemoryError, PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::words::in_python;

create_exception!(bptt, BpttError, PyException, "What failed for another reason than its settings.");
create_exception!(bptt, DataError, PyValueError, "A file or a table is invalid.");
create_exception!(bptt, DeviceError, BpttError, "There is no such GPU, or it lacks something.");
create_exception!(bptt, DeviceLost, DeviceError, "The GPU is lost with all its contents.");
create_exception!(bptt, OutOfMemory, DeviceError, "The GPU, or the memory limit, has no room.");
create_exception!(
    bptt,
    NonFinite,
    BpttError,
    "A loss or a gradient norm is not finite. The weights are those before it."
);

/// The exception of an error.
pub(crate) fn exception(error: Error) -> PyErr {
    let words = in_python(&error.to_string());
    match error {
        Error::Shape { .. } | Error::Value { .. } | Error::Unsupported(_) | Error::StateDict(_) => {
            PyValueError::new_err(words)
        }
        Error::Data { .. } => DataError::new_err(words),
        Error::NonFinite { .. } => NonFinite::new_err(words),
        Error::NoDevice(_) | Error::Device(_) => DeviceError::new_err(words),
        Error::DeviceLost(_) => DeviceLost::new_err(words),
        Error::OutOfMemory { .. } | Error::Limit { .. } => OutOfMemory::new_err(words),
        Error::NoMemory { .. } => PyMemoryError::new_err(words),
        // With a number, Python makes it FileNotFoundError and the like. The system's words precede that number.
        Error::Io { path, source } => match source.raw_os_error() {
            Some(number) => {
                let words = source.to_string();
                let words = words.strip_suffix(&format!(" (os error {number})")).unwrap_or(&words).to_owned();
                PyOSError::new_err((number, words, path.to_string_lossy().into_owned()))
            }
            None => PyOSError::new_err(words),
        },
        _ => BpttError::new_err(words),
    }
}

/// A result with the library's error as an exception.
pub(crate) trait OrRaise<T> {
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for bptt::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(exception)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("BpttError", py.get_type::<BpttError>())?;
    module.add("DataError", py.get_type::<DataError>())?;
    module.add("DeviceError", py.get_type::<DeviceError>())?;
    module.add("DeviceLost", py.get_type::<DeviceLost>())?;
    module.add("OutOfMemory", py.get_type::<OutOfMemory>())?;
    module.add("NonFinite", py.get_type::<NonFinite>())
}
