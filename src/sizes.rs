//! Counts of numbers and bytes with saturating arithmetic. All sizes from callers are multiplied here, for both
//! backends.

use std::iter::Sum;
use std::ops::{Add, Mul};

use crate::error::{Error, Result};
use crate::memory::BatchShape;
use crate::model::Model;

/// The most bytes that can be requested from a device.
pub(crate) const ON_DEVICE: u64 = i64::MAX as u64;

/// The most bytes that the host can address.
pub(crate) const ON_HOST: u64 = if (usize::MAX as u64) < ON_DEVICE { usize::MAX as u64 } else { ON_DEVICE };

/// A number of elements or bytes. Saturates at `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count(u64);

impl Count {
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// Fails for more bytes than `addressable`.
    ///
    /// # Errors
    /// [`Error::Limit`] with the name `what` and the remedy.
    pub(crate) fn within(self, addressable: u64, what: impl FnOnce() -> String, remedy: &'static str) -> Result<()> {
        let Self(bytes) = self;
        if bytes > addressable {
            let limit = "the address space";
            Err(Error::Limit { tensor: what(), bytes, limit, limit_bytes: addressable, remedy })
        } else {
            Ok(())
        }
    }
}

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Self(count as u64)
    }
}

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Self(count)
    }
}

impl<T: Into<Self>> Add<T> for Count {
    type Output = Self;

    fn add(self, other: T) -> Self {
        Self(self.0.saturating_add(other.into().0))
    }
}

impl<T: Into<Self>> Mul<T> for Count {
    type Output = Self;

    fn mul(self, other: T) -> Self {
        Self(self.0.saturating_mul(other.into().0))
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// The error for an empty batch.
pub(crate) fn no_steps_or_rows(steps: usize, rows: usize) -> Error {
    Error::value("the batch's [T, B]", "at least 1 step and 1 row", format!("[{steps}, {rows}]"))
}

impl BatchShape {
    /// Rejects an empty shape, and one whose buffers exceed `addressable` bytes. For any other shape, neither backend's
    /// size computations overflow.
    pub(crate) fn check(&self, model: &Model, addressable: u64) -> Result<()> {
        let Self { steps, rows, carried, .. } = *self;
        if steps == 0 || rows == 0 {
            return Err(no_steps_or_rows(steps, rows));
        }
        let (recurrent, count) = (&model.recurrent, |count: usize| Count::from(count));
        let layer_directions = count(recurrent.num_layer_directions());
        let outputs = model.head.as_ref().map_or(0, |head| head.outputs);
        // An upper bound of what either backend keeps per step and row: gates, states, carries and outputs of every
        // (layer, direction), input and output, each with its gradient and padded to whole vec4.
        let of_each = (count(recurrent.hidden_size) + 3usize) * (20 + recurrent.cell.definition().kept());
        let of_ends = count(recurrent.input_size) + outputs + recurrent.output_size() + 8usize;
        let width = layer_directions * of_each + of_ends * 4usize;
        let pass = (count(steps) + 2usize) * (count(rows) + 32usize) * width * size_of::<f64>();
        let remedy = "use fewer rows or time steps at once";
        pass.within(addressable, || format!("a pass over [T, B] = [{steps}, {rows}]"), remedy)?;
        let states = layer_directions * of_each * carried * size_of::<f64>();
        states.within(addressable, || format!("the carried states of {carried} rows"), "carry fewer rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_beyond_64_bits_is_refused_with_its_purpose() {
        let all = Count::from(usize::MAX);
        assert_eq!((all * all + 1usize, [all, all].into_iter().sum::<Count>()), (Count(u64::MAX), Count(u64::MAX)));
        Count::from(ON_HOST).within(ON_HOST, String::new, "").unwrap();
        let error = Count::from(1u64 << 63).within(ON_DEVICE, || "x".into(), "take less").unwrap_err().to_string();
        let limit = "the address space of 9223372036854775807 bytes";
        assert_eq!(error, format!("x needs 9223372036854775808 bytes, more than {limit}; take less"));
    }
}
