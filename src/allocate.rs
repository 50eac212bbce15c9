//! Checked allocation of vectors and arrays whose size depends on input: out of memory is an error and not an abort.

use ndarray::{Array, Dimension, IntoDimension};

use crate::error::{Error, Result};
use crate::sizes::Count;

/// Allocations smaller than this are not checked.
const SMALL: usize = 1 << 12;

/// The advice of an out-of-memory error.
const REMEDY: &str =
    "use a smaller batch, a shorter sequence, a smaller network, less data or a machine with more memory";

/// Reserves space for `more` values.
///
/// # Errors
/// [`Error::NoMemory`] with the name `what`.
pub(crate) fn reserve<T>(vector: &mut Vec<T>, more: usize, what: &str) -> Result<()> {
    vector.try_reserve_exact(more).map_err(|_| none(what, Count::from(vector.len()) + more, size_of::<T>()))
}

/// Appends a value to a vector that grows row by row.
///
/// # Errors
/// [`Error::NoMemory`] with the name `what`.
pub(crate) fn push<T>(vector: &mut Vec<T>, value: T, what: &str) -> Result<()> {
    vector.try_reserve(1).map_err(|_| none(what, Count::from(vector.len()) + 1usize, size_of::<T>()))?;
    vector.push(value);
    Ok(())
}

/// Appends text.
///
/// # Errors
/// [`Error::NoMemory`] with the name `what`.
#[cfg(feature = "csv")]
pub(crate) fn text(all: &mut String, more: &str, what: &str) -> Result<()> {
    all.try_reserve(more.len()).map_err(|_| none(what, Count::from(all.len()) + more.len(), 1))?;
    all.push_str(more);
    Ok(())
}

/// All values of an iterator.
///
/// # Errors
/// [`Error::NoMemory`] names `what` they are.
pub(crate) fn collect<T>(values: impl IntoIterator<Item = T>, what: &str) -> Result<Vec<T>> {
    let (mut all, mut values) = (Vec::new(), values.into_iter());
    reserve(&mut all, values.size_hint().0, what)?;
    values.try_for_each(|value| push(&mut all, value, what))?;
    Ok(all)
}

/// Asks for the memory that short-lived lists are about to take, and gives it back: where it is missing this is the
/// error, so that the lists themselves need not be asked for one by one.
///
/// # Errors
/// [`Error::NoMemory`] names `what` they are.
pub(crate) fn probe(bytes: Count, what: &str) -> Result<()> {
    let len = usize::try_from(bytes.get()).map_err(|_| none(what, bytes, 1))?;
    reserve(&mut Vec::<u8>::new(), len, what)
}

/// `len` times this value.
///
/// # Errors
/// [`Error::NoMemory`] with the name `what`.
#[cfg(feature = "csv")]
pub(crate) fn filled<T: Clone>(len: usize, value: T, what: &str) -> Result<Vec<T>> {
    let mut all = Vec::new();
    reserve(&mut all, len, what)?;
    all.resize(len, value);
    Ok(all)
}

/// `len` zero or empty values. The system allocates the pages on first write.
///
/// # Errors
/// [`Error::NoMemory`] with the name `what`.
pub(crate) fn zeros<T: Clone + Default>(len: usize, what: &str) -> Result<Vec<T>> {
    if len >= SMALL {
        // Tested with a separate reservation: only `vec![0; n]` gets untouched zero pages.
        let mut asked = Vec::<T>::new();
        reserve(&mut asked, len, what)?;
        std::hint::black_box(&asked);
    }
    Ok(vec![T::default(); len])
}

/// An array of zeros.
///
/// # Errors
/// [`Error::NoMemory`] with the name `what`.
pub(crate) fn array<T: Clone + Default, S: IntoDimension<Dim = D>, D: Dimension>(
    shape: S,
    what: &str,
) -> Result<Array<T, D>> {
    let shape = shape.into_dimension();
    let count = shape.slice().iter().fold(Count::from(1usize), |count, size| count * *size);
    let none = || none(what, count, size_of::<T>());
    let len = usize::try_from(count.get()).map_err(|_| none())?;
    Array::from_shape_vec(shape, zeros(len, what)?).map_err(|_| none())
}

fn none(what: &str, count: Count, size: usize) -> Error {
    Error::NoMemory { what: what.into(), bytes: (count * size).get(), remedy: REMEDY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_allocation_is_an_error_that_names_the_buffer() {
        let error = zeros::<f32>(1 << 60, "the gates").unwrap_err().to_string();
        assert!(error.starts_with("not enough memory for the gates (4611686018427387904 bytes); "), "{error}");
        for shape in [[usize::MAX, usize::MAX, 2], [1 << 32, 1 << 32, 1], [1 << 40, 1 << 20, 1]] {
            assert!(matches!(array::<f32, _, _>(shape, "x"), Err(Error::NoMemory { .. })), "{shape:?}");
        }
        assert_eq!(array::<f32, _, _>((2, 3), "x").unwrap(), ndarray::Array2::<f32>::zeros((2, 3)));
        let mut held = vec![1u8];
        assert!(reserve(&mut held, usize::MAX, "x").is_err());
        assert_eq!(held, [1]);
    }
}
