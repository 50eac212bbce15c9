//! The two floating-point types that a path can compute in.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::AddAssign;

use crate::elementary;

/// `f32`, or `f64` on the CPU path.
pub trait Real:
    ndarray::NdFloat
    + faer::traits::ComplexField
    + faer::traits::RealField
    + AddAssign
    + Sum
    + Default
    + Debug
    + sealed::Sealed
{
    /// The nearest value.
    fn from_wide(value: f64) -> Self;
    /// The same value, or for f32 a wider one.
    fn to_wide(self) -> f64;

    /// The bytes of the value, the least significant first.
    #[doc(hidden)]
    fn put_le_bytes(self, bytes: &mut Vec<u8>);
    /// The value of as many bytes as it has.
    #[doc(hidden)]
    fn from_le_bytes(bytes: &[u8]) -> Self;

    /// e^z in a form that vectorises where the type has one.
    #[doc(hidden)]
    fn vector_exp(self) -> Self;
    /// σ(z), likewise.
    #[doc(hidden)]
    fn vector_sigmoid(self) -> Self;
    /// tanh(z), likewise.
    #[doc(hidden)]
    fn vector_tanh(self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f32 {
    fn put_le_bytes(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
    fn from_le_bytes(bytes: &[u8]) -> Self {
        bytes.first_chunk().map_or(Self::NAN, |word| Self::from_le_bytes(*word))
    }
    #[inline(always)]
    fn from_wide(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn vector_exp(self) -> Self {
        elementary::exp(self)
    }
    #[inline(always)]
    fn vector_sigmoid(self) -> Self {
        elementary::sigmoid(self)
    }
    #[inline(always)]
    fn vector_tanh(self) -> Self {
        elementary::tanh(self)
    }
}

impl Real for f64 {
    fn put_le_bytes(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
    fn from_le_bytes(bytes: &[u8]) -> Self {
        bytes.first_chunk().map_or(Self::NAN, |word| Self::from_le_bytes(*word))
    }
    #[inline(always)]
    fn from_wide(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn vector_exp(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn vector_sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }
    #[inline(always)]
    fn vector_tanh(self) -> Self {
        self.tanh()
    }
}
