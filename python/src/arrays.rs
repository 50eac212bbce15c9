//! NumPy arrays to the library's and back.
//!
//! Inputs are copied while the GIL is held, in the library's order of axes: another thread may write into an array
//! while a step computes. Results are new arrays that take over the library's memory.

use bptt::ndarray::{Array, Array2, Array3, ArrayD, Dimension};
use bptt::{Error, Sequence, StateDict, States};
use numpy::{
    Element, IntoPyArray, PyArray, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods, dtype,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::errors::OrRaise;

/// The number type of a network.
pub(crate) trait Number: bptt::Real + Element {}

impl Number for f32 {}
impl Number for f64 {}

/// The library's error for a value.
pub(crate) fn value<T>(what: &str, expected: &str, got: impl ToString) -> PyResult<T> {
    Err(Error::Value { what: what.into(), expected: expected.into(), got: got.to_string() }).or_raise()
}

/// As NumPy sees it.
fn untyped<'py>(any: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    match any.cast::<PyUntypedArray>() {
        Ok(array) => Ok(array.clone()),
        Err(_) => Ok(any.py().import("numpy")?.call_method1("asarray", (any,))?.cast_into::<PyUntypedArray>()?),
    }
}

/// A copy of an array of numbers of any type, which must have D axes.
pub(crate) fn array<T: Element + Copy, D: Dimension>(any: &Bound<'_, PyAny>, what: &str) -> PyResult<Array<T, D>> {
    ordered(any, what, false)
}

/// The same, with the first two axes swapped if rows come first.
fn ordered<T: Element + Copy, D: Dimension>(
    any: &Bound<'_, PyAny>,
    what: &str,
    batch_first: bool,
) -> PyResult<Array<T, D>> {
    let given = untyped(any)?;
    if let Some(axes) = D::NDIM
        && given.ndim() != axes
    {
        let expected = format!("an array of {axes} axes");
        return value(what, &expected, format!("shape {:?}", given.shape()));
    }
    if !matches!(given.dtype().kind(), b'f' | b'i' | b'u' | b'b') {
        return value(what, "an array of numbers", format!("dtype {}", given.dtype()));
    }
    let py = any.py();
    // Nothing is copied if it has this type already.
    let typed = py.import("numpy")?.call_method1("asarray", (given, dtype::<T>(py)))?;
    let typed = typed.cast_into::<PyArray<T, D>>()?;
    let borrowed = typed.try_readonly()?;
    let mut view = borrowed.as_array();
    if batch_first {
        view.swap_axes(0, 1);
    }
    Ok(view.as_standard_layout().into_owned())
}

/// The same on the way back.
pub(crate) fn given_order<T: Number>(mut array: Array3<T>, batch_first: bool) -> Array3<T> {
    if batch_first {
        array.swap_axes(0, 1);
    }
    array
}

/// \[T, B, ·\], from \[B, T, ·\] if rows come first.
pub(crate) fn steps<T: Number>(any: &Bound<'_, PyAny>, batch_first: bool, what: &str) -> PyResult<Array3<T>> {
    ordered(any, what, batch_first)
}

/// \[T, B\] likewise.
pub(crate) fn weights<T: Number>(any: &Bound<'_, PyAny>, batch_first: bool) -> PyResult<Array2<T>> {
    ordered(any, "weights", batch_first)
}

/// Whole numbers of at least 0, \[T, B\].
pub(crate) fn indices(any: &Bound<'_, PyAny>, batch_first: bool, what: &str) -> PyResult<Array2<u32>> {
    let given = untyped(any)?;
    if !matches!(given.dtype().kind(), b'i' | b'u' | b'b') {
        return value(what, "an array of whole numbers", format!("dtype {}", given.dtype()));
    }
    let numbers = ordered::<i64, _>(any, what, batch_first)?;
    if let Some((at, number)) = numbers.indexed_iter().find(|(_, number)| u32::try_from(**number).is_err()) {
        return value(&format!("{what} at {at:?}"), "a whole number of at least 0, below 2^32", number);
    }
    Ok(numbers.mapv(|number| number as u32))
}

/// h, or h and c.
pub(crate) fn states<T: Number>(any: &Bound<'_, PyAny>, what: &str) -> PyResult<States<T>> {
    let Ok(pair) = any.cast::<PyTuple>() else {
        return Ok(States { h: array(any, &format!("h_{what}"))?, c: None });
    };
    let c = match pair.len() {
        1 => None,
        2 => Some(pair.get_item(1)?).filter(|c| !c.is_none()),
        count => return value(what, "h, or a tuple of h and c", format!("a tuple of {count}")),
    };
    let c = c.map(|c| array(&c, &format!("c_{what}"))).transpose()?;
    Ok(States { h: array(&pair.get_item(0)?, &format!("h_{what}"))?, c })
}

/// h and c as a tuple; of a cell without c, h and None.
pub(crate) fn states_out<T: Number>(py: Python<'_>, states: States<T>) -> PyResult<Py<PyAny>> {
    let c = states.c.map(|c| c.into_pyarray(py).into_any());
    Ok((states.h.into_pyarray(py), c).into_pyobject(py)?.into_any().unbind())
}

/// What a batch's input may have beside x.
pub(crate) struct Rows<'a, 'py> {
    pub(crate) lengths: Option<&'a Bound<'py, PyAny>>,
    pub(crate) initial: Option<&'a Bound<'py, PyAny>>,
    pub(crate) batch_first: bool,
}

/// x of \[T, B, I\], or token ids \[T, B\].
pub(crate) fn sequence<T: Number>(x: &Bound<'_, PyAny>, rows: &Rows<'_, '_>) -> PyResult<Sequence<T>> {
    let mut sequence = match untyped(x)?.ndim() {
        2 => Sequence::tokens(indices(x, rows.batch_first, "token ids")?).to(),
        _ => Sequence::dense(steps(x, rows.batch_first, "x")?),
    };
    if let Some(lengths) = rows.lengths {
        let lengths: Vec<i64> = array::<i64, bptt::ndarray::Ix1>(lengths, "lengths")?.to_vec();
        if let Some((row, length)) = lengths.iter().enumerate().find(|(_, length)| **length < 1) {
            return value(&format!("lengths[{row}]"), "at least 1", length);
        }
        sequence = sequence.lengths(lengths.into_iter().map(|length| length as usize).collect());
    }
    if let Some(initial) = rows.initial {
        sequence = sequence.initial(states(initial, "0")?);
    }
    Ok(sequence)
}

/// Named tensors of a mapping; values may be arrays or PyTorch's tensors.
pub(crate) fn state_dict<T: Number>(mapping: &Bound<'_, PyAny>) -> PyResult<StateDict<T>> {
    let items = mapping.call_method0("items")?;
    let mut tensors = Vec::new();
    for item in items.try_iter()? {
        let (name, tensor): (String, Bound<'_, PyAny>) = item?.extract()?;
        // A tensor on a GPU, or one that PyTorch differentiates, has no array.
        let tensor =
            if tensor.hasattr("detach")? { tensor.call_method0("detach")?.call_method0("cpu")? } else { tensor };
        let array: ArrayD<T> = array(&tensor, &name)?;
        tensors.push((name, array));
    }
    Ok(tensors.into_iter().collect())
}

/// Named tensors as a dict of arrays.
pub(crate) fn state_dict_out<T: Number>(py: Python<'_>, dict: &StateDict<T>) -> PyResult<Py<PyDict>> {
    let out = PyDict::new(py);
    for (name, tensor) in dict.iter() {
        out.set_item(name, tensor.clone().into_pyarray(py))?;
    }
    Ok(out.unbind())
}
