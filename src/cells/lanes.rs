//! A group of hidden units as one number. With many slices the compiler cannot rule out aliasing and would keep the
//! cells' loops scalar; over local arrays it vectorises them.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::real::Real;

/// One number for each of `N` hidden units. Every operation acts on all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lanes<R, const N: usize>([R; N]);

impl<R: Real, const N: usize> Lanes<R, N> {
    /// The same number for every unit.
    #[inline(always)]
    pub fn splat(number: R) -> Self {
        Self([number; N])
    }

    /// 0.
    #[inline(always)]
    pub fn zero() -> Self {
        Self::splat(R::zero())
    }

    /// 1.
    #[inline(always)]
    pub fn one() -> Self {
        Self::splat(R::one())
    }

    /// σ(z) = 1 / (1 + e^−z).
    #[inline(always)]
    pub fn sigmoid(self) -> Self {
        self.map(R::vector_sigmoid)
    }

    /// tanh(z).
    #[inline(always)]
    pub fn tanh(self) -> Self {
        self.map(R::vector_tanh)
    }

    /// f of each number. Vectorised if `f` is inlined and has neither calls nor branches.
    #[inline(always)]
    pub fn map(self, f: impl Fn(R) -> R) -> Self {
        Self::each(|k| f(self.0[k]))
    }

    /// The numbers from index `at` on.
    #[inline(always)]
    pub(super) fn load(from: &[R], at: usize) -> Self {
        let mut lanes = [R::zero(); N];
        lanes.copy_from_slice(&from[at..at + N]);
        Self(lanes)
    }

    /// Writes the numbers from index `at` on.
    #[inline(always)]
    pub(super) fn store(self, to: &mut [R], at: usize) {
        to[at..at + N].copy_from_slice(&self.0);
    }

    /// Computes each number from its index.
    #[inline(always)]
    fn each(f: impl Fn(usize) -> R) -> Self {
        let mut lanes = [R::zero(); N];
        for (index, lane) in lanes.iter_mut().enumerate() {
            *lane = f(index);
        }
        Self(lanes)
    }
}

macro_rules! operators {
    ($($Operator:ident $method:ident $symbol:tt;)*) => {
        $(impl<R: Real, const N: usize> $Operator for Lanes<R, N> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self::each(|k| self.0[k] $symbol other.0[k])
            }
        })*
    };
}

operators! {
    Add add +;
    Sub sub -;
    Mul mul *;
    Div div /;
}

impl<R: Real, const N: usize> Neg for Lanes<R, N> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|number| -number)
    }
}
