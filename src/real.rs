//! The two floating-point types that a path can compute in.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::AddAssign;

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
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f32 {
    fn from_wide(value: f64) -> Self {
        value as f32
    }
    fn to_wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_wide(value: f64) -> Self {
        value
    }
    fn to_wide(self) -> f64 {
        self
    }
}
