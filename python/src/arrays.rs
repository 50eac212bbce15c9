//! NumPy arrays to the library's and back.
//!
//! Inputs are copied while the GIL is held, in the library's order of axes: another thread may write into an array
//! while a step computes. Results are new arrays that take over the library's memory.

use std::fmt::{Debug, Display};

use bptt::ndarray::{Array, Array1, Array2, Array3, ArrayD, Dimension};
use bptt::{Error, Sequence, StateDict, States};
use numpy::{
    Element, IntoPyArray, PyArray, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods, dtype,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::errors::OrRaise;

/// The number type of a network.
pub(crate) trait Number: bptt::Real + Element {}

impl Number for f32 {}
impl Number for f64 {}

/// The library's error for a value.
pub(crate) fn value<T>(what: &str, expected: &str, got: impl ToString) -> PyResult<T> {
    Err(Error::Value { what: what.into(), expected: expected.into(), got: got.to_string() }).or_raise()
}

/// As NumPy sees it. A tensor that PyTorch differentiates is refused, since its graph would end here without a word, and
/// so are masked values, whose mask would be lost.
pub(crate) fn untyped<'py>(any: &Bound<'py, PyAny>, what: &str) -> PyResult<Bound<'py, PyUntypedArray>> {
    if let Ok(array) = any.cast_exact::<PyUntypedArray>() {
        return Ok(array.clone());
    }
    if let Ok(array) = any.cast::<PyUntypedArray>() {
        if any.py().import("numpy.ma")?.call_method1("is_masked", (any,))?.is_truthy()? {
            let expected = "an array without masked values (.filled(number) gives them one, and weights= of 0 leave \
                            predictions out)";
            return value(what, expected, "a MaskedArray with some");
        }
        return Ok(array.clone());
    }
    if any.hasattr("detach")? && any.getattr("requires_grad")?.is_truthy()? {
        let expected = format!("a tensor outside PyTorch's graph, which ends here: {what}.detach()");
        return value(what, &expected, "one that requires grad");
    }
    Ok(any.py().import("numpy")?.call_method1("asarray", (any,))?.cast_into::<PyUntypedArray>()?)
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
    let given = untyped(any, what)?;
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
    let mut typed = typed.cast_into::<PyArray<T, D>>()?;
    if !in_whole_elements(&typed) {
        typed = typed.call_method0("copy")?.cast_into::<PyArray<T, D>>()?;
    }
    let borrowed = typed.try_readonly()?;
    let mut view = borrowed.as_array();
    if batch_first {
        view.swap_axes(0, 1);
    }
    Ok(view.as_standard_layout().into_owned())
}

/// Whether a view can be made: its strides count elements, and each lies where its type may lie. A field of a packed
/// record array has neither.
fn in_whole_elements<T: Element, D: Dimension>(array: &Bound<'_, PyArray<T, D>>) -> bool {
    array.is_aligned() && array.strides().iter().all(|stride| stride % size_of::<T>() as isize == 0)
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

/// Whole numbers of at least 0, \[T, B\]: token ids or classes, which may be truth values.
pub(crate) fn indices(any: &Bound<'_, PyAny>, batch_first: bool, what: &str) -> PyResult<Array2<u32>> {
    let given = untyped(any, what)?;
    if given.dtype().kind() == b'b' {
        return ordered::<bool, _>(&given, what, batch_first).map(|numbers| numbers.mapv(u32::from));
    }
    whole_numbers(&given, what, batch_first, 0)
}

/// Whole numbers of at least `least`. Others are not cut off to whole ones, and truth values are none.
fn whole_numbers<D: Dimension<Pattern: Debug>>(
    given: &Bound<'_, PyUntypedArray>,
    what: &str,
    batch_first: bool,
    least: u32,
) -> PyResult<Array<u32, D>> {
    match given.dtype().kind() {
        b'i' => unsigned(ordered::<i64, D>(given, what, batch_first)?, what, least),
        b'u' => unsigned(ordered::<u64, D>(given, what, batch_first)?, what, least),
        b'f' => {
            let expected = "an array of whole numbers (.astype(int) of an array and .long() of a tensor make them)";
            value(what, expected, format!("dtype {}", given.dtype()))
        }
        _ => value(what, "an array of whole numbers", format!("dtype {}", given.dtype())),
    }
}

/// The same numbers, which must fit.
fn unsigned<T: Copy + Display + TryInto<u32>, D: Dimension<Pattern: Debug>>(
    numbers: Array<T, D>,
    what: &str,
    least: u32,
) -> PyResult<Array<u32, D>> {
    let fits = |number: T| number.try_into().is_ok_and(|number| number >= least);
    if let Some((at, number)) = numbers.indexed_iter().find(|(_, number)| !fits(**number)) {
        let what = if D::NDIM == Some(1) { format!("{what}[{at:?}]") } else { format!("{what} at {at:?}") };
        return value(&what, &format!("a whole number of at least {least}, below 2^32"), number);
    }
    // All fit.
    Ok(numbers.mapv(|number| number.try_into().unwrap_or_default()))
}

/// h, or h and c in a tuple or a list. A list of numbers is h itself: h and c have three axes each.
pub(crate) fn states<T: Number>(any: &Bound<'_, PyAny>, what: &str) -> PyResult<States<T>> {
    let pair: Vec<Bound<'_, PyAny>> = match (any.cast::<PyTuple>(), any.cast::<PyList>()) {
        (Ok(pair), _) => pair.iter().collect(),
        (_, Ok(list)) if !list.is_empty() && is_list_of_states(list)? => list.iter().collect(),
        _ => return Ok(States { h: array(any, &format!("h_{what}"))?, c: None }),
    };
    let (h, c) = match pair.as_slice() {
        [h] => (h, None),
        [h, c] => (h, Some(c).filter(|c| !c.is_none())),
        _ => return value(what, "h, or a tuple of h and c", format!("{} of them", pair.len())),
    };
    let c = c.map(|c| array(c, &format!("c_{what}"))).transpose()?;
    Ok(States { h: array(h, &format!("h_{what}"))?, c })
}

fn is_list_of_states(list: &Bound<'_, PyList>) -> PyResult<bool> {
    for state in list {
        if !state.is_none() && untyped(&state, "initial")?.ndim() != 3 {
            return Ok(false);
        }
    }
    Ok(true)
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
    let given = untyped(x, "x")?;
    let mut sequence = match (given.ndim(), given.dtype().kind()) {
        (2, b'f') => {
            let axes = if rows.batch_first { "[B, T" } else { "[T, B" };
            let expected =
                format!("{axes}, I] of numbers (x[:, :, None] if I is 1), or token ids {axes}], whole numbers");
            return value("x", &expected, format!("shape {:?} of {}", given.shape(), given.dtype()));
        }
        (2, _) => Sequence::tokens(indices(&given, rows.batch_first, "token ids")?).to(),
        _ => Sequence::dense(steps(&given, rows.batch_first, "x")?),
    };
    if let Some(lengths) = rows.lengths {
        let lengths: Array1<u32> = whole_numbers(&untyped(lengths, "lengths")?, "lengths", false, 1)?;
        sequence = sequence.lengths(lengths.iter().map(|length| *length as usize).collect());
    }
    if let Some(initial) = rows.initial {
        sequence = sequence.initial(states(initial, "0")?);
    }
    Ok(sequence)
}

/// A tensor of PyTorch as NumPy can read it: one on a GPU, or that PyTorch differentiates, has no array, nor has one of a
/// type that NumPy lacks, such as bfloat16, of which all numbers are numbers of f32.
fn of_torch<'py>(tensor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let tensor = tensor.call_method0("detach")?.call_method0("cpu")?;
    let dtype = tensor.getattr("dtype")?.str()?.to_string();
    let lacks = ["torch.bfloat16", "torch.float8"].iter().any(|name| dtype.starts_with(name));
    if lacks { tensor.call_method0("float") } else { Ok(tensor) }
}

/// The arrays of a mapping with their names; values may be PyTorch's tensors.
fn named<'py>(mapping: &Bound<'py, PyAny>) -> PyResult<Vec<(String, Bound<'py, PyUntypedArray>)>> {
    let each = |item: PyResult<Bound<'py, PyAny>>| {
        let (name, tensor): (String, Bound<'_, PyAny>) = item?.extract()?;
        let tensor = if tensor.hasattr("detach")? { of_torch(&tensor)? } else { tensor };
        let array = untyped(&tensor, &name)?;
        Ok((name, array))
    };
    mapping.call_method0("items")?.try_iter()?.map(each).collect()
}

/// Named tensors of a mapping; values may be arrays or PyTorch's tensors.
pub(crate) fn state_dict<T: Number>(mapping: &Bound<'_, PyAny>) -> PyResult<StateDict<T>> {
    let tensors = named(mapping)?.into_iter().map(|(name, tensor)| {
        let array: ArrayD<T> = array(&tensor, &name)?;
        Ok((name, array))
    });
    tensors.collect::<PyResult<Vec<_>>>().map(|tensors| tensors.into_iter().collect())
}

/// Whether one of them has numbers in double precision.
pub(crate) fn has_doubles(mapping: &Bound<'_, PyAny>) -> PyResult<bool> {
    let is_double = |(_, tensor): (_, Bound<'_, PyUntypedArray>)| {
        tensor.dtype().kind() == b'f' && tensor.dtype().itemsize() >= size_of::<f64>()
    };
    Ok(named(mapping)?.into_iter().any(is_double))
}

/// Named tensors as a dict of arrays.
pub(crate) fn state_dict_out<T: Number>(py: Python<'_>, dict: &StateDict<T>) -> PyResult<Py<PyDict>> {
    let out = PyDict::new(py);
    for (name, tensor) in dict.iter() {
        out.set_item(name, tensor.clone().into_pyarray(py))?;
    }
    Ok(out.unbind())
}
