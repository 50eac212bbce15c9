//! The floating-point types of the backends.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::AddAssign;

use pulp::Simd;

use crate::elementary;

/// `f32`, or `f64` on the CPU backend.
pub trait Real: ndarray::NdFloat + AddAssign + Sum + Default + Debug + sealed::Sealed {
    /// Rounds to the nearest value.
    fn from_f64(value: f64) -> Self;
    /// The exact value as f64.
    fn as_f64(self) -> f64;

    /// Appends the value's bytes in little-endian order.
    #[doc(hidden)]
    fn put_le_bytes(self, bytes: &mut Vec<u8>);
    /// The value of little-endian bytes.
    #[doc(hidden)]
    fn from_le_bytes(bytes: &[u8]) -> Self;

    /// e^z, vectorisable if the type has such a form.
    #[doc(hidden)]
    fn vector_exp(self) -> Self;
    /// σ(z), likewise.
    #[doc(hidden)]
    fn vector_sigmoid(self) -> Self;
    /// tanh(z), likewise.
    #[doc(hidden)]
    fn vector_tanh(self) -> Self;

    /// Selects the implementation for this type.
    #[doc(hidden)]
    fn choose<T: ForEachReal + ?Sized>(of: &T) -> &T::Of<Self>;

    /// A SIMD register of values.
    #[doc(hidden)]
    type Vector<S: Simd>: Copy;
    /// The value in every lane.
    #[doc(hidden)]
    fn splat<S: Simd>(self, simd: S) -> Self::Vector<S>;
    /// a·b + c, rounded once if the instruction set supports it.
    #[doc(hidden)]
    fn multiply_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// a + b.
    #[doc(hidden)]
    fn vector_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// The whole vectors in a slice.
    #[doc(hidden)]
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    /// The mutable [`vectors`](Self::vectors).
    #[doc(hidden)]
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];
}

/// A pair of implementations, one per number type.
#[doc(hidden)]
pub trait ForEachReal {
    /// The one for a type.
    type Of<R: Real>: ?Sized;
    /// The one for f32.
    fn single(&self) -> &Self::Of<f32>;
    /// The one for f64.
    fn double(&self) -> &Self::Of<f64>;
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
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
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

    fn choose<T: ForEachReal + ?Sized>(of: &T) -> &T::Of<Self> {
        of.single()
    }

    type Vector<S: Simd> = S::f32s;
    #[inline(always)]
    fn splat<S: Simd>(self, simd: S) -> S::f32s {
        simd.splat_f32s(self)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }
    #[inline(always)]
    fn vector_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
    #[inline(always)]
    fn vectors<S: Simd>(values: &[Self]) -> &[S::f32s] {
        S::as_simd_f32s(values).0
    }
    #[inline(always)]
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(values).0
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
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
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

    fn choose<T: ForEachReal + ?Sized>(of: &T) -> &T::Of<Self> {
        of.double()
    }

    type Vector<S: Simd> = S::f64s;
    #[inline(always)]
    fn splat<S: Simd>(self, simd: S) -> S::f64s {
        simd.splat_f64s(self)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(a, b, c)
    }
    #[inline(always)]
    fn vector_add<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.add_f64s(a, b)
    }
    #[inline(always)]
    fn vectors<S: Simd>(values: &[Self]) -> &[S::f64s] {
        S::as_simd_f64s(values).0
    }
    #[inline(always)]
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::f64s] {
        S::as_mut_simd_f64s(values).0
    }
}
