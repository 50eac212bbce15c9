//! What the bits of results depend on besides the model, data and settings.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use crate::engine::platform;
use crate::real::Real;

/// The version of the order of sums on this backend. Increased with every change that changes the bits of a run, so
/// that resuming a run across such a change reports it. `tests/engine/cpu.rs` detects such changes.
const ORDER_OF_SUMS: u32 = 1;

/// The pairs of [`Backend::arithmetic`](crate::Backend::arithmetic). They exclude the number of threads and the vector
/// width: every element of a product is one chain over all of k, and blocks follow from shapes.
pub(super) fn arithmetic<R: Real>() -> Vec<(&'static str, String)> {
    let rounding = if Arch::new().dispatch(RoundsOnce::<R>(PhantomData)) { "rounded once" } else { "rounded twice" };
    vec![
        ("device", "CPU".into()),
        ("numbers", format!("f{}", 8 * size_of::<R>())),
        ("order of sums", ORDER_OF_SUMS.to_string()),
        ("a·b + c", rounding.into()),
        ("elementary functions", platform()),
    ]
}

/// Whether the instruction set rounds a·b + c once, as AVX2, AVX-512 and NEON do, or also after the product.
struct RoundsOnce<R>(PhantomData<R>);

impl<R: Real> WithSimd for RoundsOnce<R> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        // (1 + ε)(1 − ε) − 1 = −ε², which is lost if the product is rounded to 1.
        let [a, b, c] = [R::one() + R::epsilon(), R::one() - R::epsilon(), -R::one()].map(|number| number.splat(simd));
        let sum = R::multiply_add(simd, a, b, c);
        let mut lanes = [R::zero(); 64];
        if let Some(lane) = R::vectors_mut::<S>(&mut lanes).first_mut() {
            *lane = sum;
        }
        lanes[0] != R::zero()
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use pulp::{Scalar, Simd};

    use super::RoundsOnce;

    fn rounds_once<S: Simd>(simd: S) -> [bool; 2] {
        [simd.vectorize(RoundsOnce::<f32>(PhantomData)), simd.vectorize(RoundsOnce::<f64>(PhantomData))]
    }

    #[test]
    fn avx2_and_avx512_round_once_and_plain_code_rounds_twice() {
        assert_eq!(rounds_once(Scalar), [false; 2]);
        #[cfg(target_arch = "x86_64")]
        {
            let narrow = pulp::x86::V3::try_new().map(rounds_once);
            let wide = pulp::x86::V4::try_new().map(rounds_once);
            [narrow, wide].into_iter().flatten().for_each(|both| assert_eq!(both, [true; 2]));
        }
    }
}
