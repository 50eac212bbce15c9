//! Vectors and arrays whose size comes from sizes or files: what there is no memory for is an error, and no abort.

use ndarray::{Array, Dimension, IntoDimension};

use crate::error::{Error, Result};
use crate::sizes::Count;

/// Numbers from here on are asked for before they are made: what is smaller is of no weight beside what a program has.
const SMALL: usize = 1 << 12;

/// What to do where there is no memory.
const REMEDY: &str =
    "take a smaller batch, a shorter sequence, a smaller network or less data, or a machine with more memory";

/// Room for `more` values behind those of a vector.
///
/// # Errors
/// [`Error::NoMemory`] names `what` they are.
pub(crate) fn reserve<T>(vector: &mut Vec<T>, more: usize, what: &str) -> Result<()> {
    vector.try_reserve_exact(more).map_err(|_| none(what, Count::from(vector.len()) + more, size_of::<T>()))
}

/// One more value behind those of a vector that grows row by row.
///
/// # Errors
/// [`Error::NoMemory`] names `what` they are.
pub(crate) fn push<T>(vector: &mut Vec<T>, value: T, what: &str) -> Result<()> {
    vector.try_reserve(1).map_err(|_| none(what, Count::from(vector.len()) + 1usize, size_of::<T>()))?;
    vector.push(value);
    Ok(())
}

/// More text behind what is there.
///
/// # Errors
/// [`Error::NoMemory`] names `what` it is.
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "long form is read by the program alone"))]
pub(crate) fn text(all: &mut String, more: &str, what: &str) -> Result<()> {
    all.try_reserve(more.len()).map_err(|_| none(what, Count::from(all.len()) + more.len(), 1))?;
    all.push_str(more);
    Ok(())
}

/// `len` values that are zero or empty, whose pages the system hands out once they are written.
///
/// # Errors
/// [`Error::NoMemory`] names `what` they are.
pub(crate) fn zeros<T: Clone + Default>(len: usize, what: &str) -> Result<Vec<T>> {
    if len >= SMALL {
        // Asked for by itself, since only a vector of zeros made at once is of pages that are not yet there.
        let mut asked = Vec::<T>::new();
        reserve(&mut asked, len, what)?;
        std::hint::black_box(&asked);
    }
    Ok(vec![T::default(); len])
}

/// An array of zeros.
///
/// # Errors
/// [`Error::NoMemory`] names `what` it is.
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
    fn what_no_machine_has_is_an_error_that_names_it() {
        let error = zeros::<f32>(1 << 60, "the gates").unwrap_err().to_string();
        assert!(error.starts_with("no memory left for the gates, which takes 4611686018427387904 bytes; "), "{error}");
        for shape in [[usize::MAX, usize::MAX, 2], [1 << 32, 1 << 32, 1], [1 << 40, 1 << 20, 1]] {
            assert!(matches!(array::<f32, _, _>(shape, "x"), Err(Error::NoMemory { .. })), "{shape:?}");
        }
        assert_eq!(array::<f32, _, _>((2, 3), "x").unwrap(), ndarray::Array2::<f32>::zeros((2, 3)));
        let mut held = vec![1u8];
        assert!(reserve(&mut held, usize::MAX, "x").is_err());
        assert_eq!(held, [1]);
    }
}
