//! One time step of a row of the GRU: n = tanh(z_n + r ∘ hn), h_t = (1 − z) ∘ n + z ∘ h_{t−1}, where hn is
//! W_hn h_{t−1} + b_hn.
//!
//! The four numbers of a unit are stored in the order n, r, z, hn. So the three from the input product (n, r, z) and
//! the three from the recurrent product (r, z, hn) are each contiguous, and so are their gradients.

use super::simd::{LANES, each, load, sigmoid, store, tanh};
use crate::real::Real;

/// Converts the products' results, \[4·H\], to n, r, z in place (hn stays), and computes h_t \[H\] from h_{t−1} \[H\].
#[inline(always)]
pub(crate) fn forward<R: Real>(gates: &mut [R], h_before: &[R], h: &mut [R]) {
    let whole = h.len() - h.len() % LANES;
    for at in (0..whole).step_by(LANES) {
        forward_units::<R, LANES>(at, gates, h_before, h);
    }
    for at in whole..h.len() {
        forward_units::<R, 1>(at, gates, h_before, h);
    }
}

#[inline(always)]
fn forward_units<R: Real, const N: usize>(at: usize, gates: &mut [R], h_before: &[R], h: &mut [R]) {
    let hidden = h.len();
    let z_n: [R; N] = load(gates, at);
    let r: [R; N] = sigmoid(load(gates, hidden + at));
    let z: [R; N] = sigmoid(load(gates, 2 * hidden + at));
    let hn: [R; N] = load(gates, 3 * hidden + at);
    let n: [R; N] = tanh(each(|k| z_n[k] + r[k] * hn[k]));
    let h_before: [R; N] = load(h_before, at);
    store(gates, at, n);
    store(gates, hidden + at, r);
    store(gates, 2 * hidden + at, z);
    store::<R, N>(h, at, each(|k| (R::one() - z[k]) * n[k] + z[k] * h_before[k]));
}

/// From dh_t \[H\], writes dn, dr, dz, dn ∘ r over n, r, z, hn, and over dh what bypasses the product to h_{t−1}: dh ∘
/// z.
#[inline(always)]
pub(crate) fn backward<R: Real>(gates: &mut [R], h_before: &[R], dh: &mut [R]) {
    let whole = dh.len() - dh.len() % LANES;
    for at in (0..whole).step_by(LANES) {
        backward_units::<R, LANES>(at, gates, h_before, dh);
    }
    for at in whole..dh.len() {
        backward_units::<R, 1>(at, gates, h_before, dh);
    }
}

#[inline(always)]
fn backward_units<R: Real, const N: usize>(at: usize, gates: &mut [R], h_before: &[R], dh: &mut [R]) {
    let (hidden, one) = (dh.len(), R::one());
    let n: [R; N] = load(gates, at);
    let r: [R; N] = load(gates, hidden + at);
    let z: [R; N] = load(gates, 2 * hidden + at);
    let hn: [R; N] = load(gates, 3 * hidden + at);
    let h_before: [R; N] = load(h_before, at);
    let dh_t: [R; N] = load(dh, at);
    let dn: [R; N] = each(|k| dh_t[k] * (one - z[k]) * (one - n[k] * n[k]));
    store(gates, at, dn);
    store::<R, N>(gates, hidden + at, each(|k| dn[k] * hn[k] * r[k] * (one - r[k])));
    store::<R, N>(gates, 2 * hidden + at, each(|k| dh_t[k] * (h_before[k] - n[k]) * z[k] * (one - z[k])));
    store::<R, N>(gates, 3 * hidden + at, each(|k| dn[k] * r[k]));
    store::<R, N>(dh, at, each(|k| dh_t[k] * z[k]));
}
