//! One time step of a row of the GRU: n = tanh(z_n + r ∘ hn), h_t = (1 − z) ∘ n + z ∘ h_{t−1}, where hn is
//! W_hn h_{t−1} + b_hn.
//!
//! The four numbers a unit lie in the order n, r, z, hn. So the three that the input product fills (n, r, z) and the
//! three that the recurrent product fills (r, z, hn) each lie side by side, and so do their gradients.

use crate::real::Real;

/// Turns what the products left in \[4·H\] into n, r, z in place (hn stays); from h_{t−1} \[H\] writes h_t \[H\].
#[inline(always)]
pub(super) fn forward<R: Real>(gates: &mut [R], h_before: &[R], h: &mut [R]) {
    let (n, r, z, hn) = split(gates, h.len());
    let h_before = &h_before[..h.len()];
    for (j, h) in h.iter_mut().enumerate() {
        r[j] = r[j].vector_sigmoid();
        z[j] = z[j].vector_sigmoid();
        n[j] = (n[j] + r[j] * hn[j]).vector_tanh();
        *h = (R::one() - z[j]) * n[j] + z[j] * h_before[j];
    }
}

/// From dh_t \[H\] writes dn, dr, dz, dn ∘ r over n, r, z, hn, and over dh what reaches h_{t−1} past the product: dh ∘ z.
#[inline(always)]
pub(super) fn backward<R: Real>(gates: &mut [R], h_before: &[R], dh: &mut [R]) {
    let one = R::one();
    let (n, r, z, hn) = split(gates, dh.len());
    let h_before = &h_before[..dh.len()];
    for (j, dh) in dh.iter_mut().enumerate() {
        let (nt, rt, zt) = (n[j], r[j], z[j]);
        let dn = *dh * (one - zt) * (one - nt * nt);
        n[j] = dn;
        r[j] = dn * hn[j] * rt * (one - rt);
        z[j] = *dh * (h_before[j] - nt) * zt * (one - zt);
        hn[j] = dn * rt;
        *dh *= zt;
    }
}

/// n, r, z, hn, each of exactly `hidden` numbers: the bounds that let the loops become vector code.
#[inline(always)]
fn split<R>(gates: &mut [R], hidden: usize) -> (&mut [R], &mut [R], &mut [R], &mut [R]) {
    let (n, rest) = gates.split_at_mut(hidden);
    let (r, rest) = rest.split_at_mut(hidden);
    let (z, hn) = rest.split_at_mut(hidden);
    (n, r, z, &mut hn[..hidden])
}
