//! The arguments that make an object again: what `repr` shows and what a pickle keeps.

use pyo3::BoundObject;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The arguments of a class's constructor.
pub(crate) struct Arguments<'py> {
    py: Python<'py>,
    positional: Vec<Bound<'py, PyAny>>,
    named: Bound<'py, PyDict>,
}

impl<'py> Arguments<'py> {
    pub(crate) fn new(py: Python<'py>) -> Self {
        Self { py, positional: Vec::new(), named: PyDict::new(py) }
    }

    /// Adds one by its place.
    pub(crate) fn with(mut self, argument: impl IntoPyObject<'py>) -> PyResult<Self> {
        self.positional.push(argument.into_pyobject(self.py).map_err(Into::into)?.into_any().into_bound());
        Ok(self)
    }

    /// Adds one by its name, unless it is the default.
    pub(crate) fn named<T: IntoPyObject<'py> + PartialEq>(self, name: &str, argument: T, default: T) -> PyResult<Self> {
        if argument != default {
            self.named.set_item(name, argument)?;
        }
        Ok(self)
    }

    /// The call of the constructor, as it is written.
    pub(crate) fn call(&self, class: &str) -> PyResult<String> {
        let text = |argument: &Bound<'py, PyAny>| Ok(argument.repr()?.to_string());
        let mut words = self.positional.iter().map(text).collect::<PyResult<Vec<_>>>()?;
        for (name, argument) in &self.named {
            words.push(format!("{name}={}", text(&argument)?));
        }
        Ok(format!("{class}({})", words.join(", ")))
    }

    /// What `__reduce__` returns: the constructor with its keywords, and its other arguments.
    pub(crate) fn reduce(self, class: Bound<'py, PyType>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let functools = self.py.import("functools")?;
        let make = functools.getattr("partial")?.call((class,), Some(&self.named))?;
        Ok((make, PyTuple::new(self.py, self.positional)?))
    }
}
