//! From logits to the parameters of a distribution.

use ndarray::{Array3, Axis};

use crate::real::Real;
use crate::special::softplus;

// Powers of two, which every number type represents.
/// The least scale of a normal and of Student's t distribution, 2⁻¹³.
pub(crate) const LEAST_SCALE: f64 = 1.0 / 8192.0;
/// What the degrees of freedom of Student's t distribution are above.
pub(crate) const LEAST_FREEDOM: f64 = 2.0;
/// The least dispersion of a negative binomial distribution for a unit of 1, 2⁻²⁰.
pub(crate) const LEAST_DISPERSION: f64 = 1.0 / 1_048_576.0;

/// What a parameter is of its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    /// a.
    Identity,
    /// softplus(a) + `least`.
    Softplus { least: f64 },
}

/// Replaces logits, in succession over the last axis, by the parameters that they stand for.
pub(super) fn parameters<R: Real>(logits: &mut Array3<R>, links: &[Link]) {
    for mut row in logits.lanes_mut(Axis(2)) {
        for (a, link) in row.iter_mut().zip(links.iter().cycle()) {
            if let Link::Softplus { least } = link {
                *a = R::from_f64(softplus(a.as_f64()) + least);
            }
        }
    }
}
