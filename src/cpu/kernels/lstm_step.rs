//! One time step of a row of the LSTM: c_t = f ∘ c_{t−1} + i ∘ g, h_t = o ∘ tanh c_t.

use super::simd::{LANES, each, load, sigmoid, store, tanh};
use crate::real::Real;

/// Converts z \[4·H\] to the gates i, f, g, o in place, and computes c_t \[H\] and h_t \[H\] from c_{t−1} \[H\].
#[inline(always)]
pub(crate) fn forward<R: Real>(gates: &mut [R], c_before: &[R], c: &mut [R], h: &mut [R]) {
    let whole = h.len() - h.len() % LANES;
    for at in (0..whole).step_by(LANES) {
        forward_units::<R, LANES>(at, gates, c_before, c, h);
    }
    for at in whole..h.len() {
        forward_units::<R, 1>(at, gates, c_before, c, h);
    }
}

#[inline(always)]
fn forward_units<R: Real, const N: usize>(at: usize, gates: &mut [R], c_before: &[R], c: &mut [R], h: &mut [R]) {
    let hidden = h.len();
    let i: [R; N] = sigmoid(load(gates, at));
    let f: [R; N] = sigmoid(load(gates, hidden + at));
    let g: [R; N] = tanh(load(gates, 2 * hidden + at));
    let o: [R; N] = sigmoid(load(gates, 3 * hidden + at));
    let c_before: [R; N] = load(c_before, at);
    let c_t: [R; N] = each(|k| f[k] * c_before[k] + i[k] * g[k]);
    let tanh_c = tanh(c_t);
    store(gates, at, i);
    store(gates, hidden + at, f);
    store(gates, 2 * hidden + at, g);
    store(gates, 3 * hidden + at, o);
    store(c, at, c_t);
    store::<R, N>(h, at, each(|k| o[k] * tanh_c[k]));
}

/// From dh_t and dc_t \[H\], writes dz_t over the gates and dc_{t−1} over dc. dh becomes 0, since nothing of it
/// bypasses the product to h_{t−1}. c_t is recomputed rather than kept: the history contains the states that *enter*
/// each step.
#[inline(always)]
pub(crate) fn backward<R: Real>(gates: &mut [R], c_before: &[R], dh: &mut [R], dc: &mut [R]) {
    let whole = dh.len() - dh.len() % LANES;
    for at in (0..whole).step_by(LANES) {
        backward_units::<R, LANES>(at, gates, c_before, dh, dc);
    }
    for at in whole..dh.len() {
        backward_units::<R, 1>(at, gates, c_before, dh, dc);
    }
}

#[inline(always)]
fn backward_units<R: Real, const N: usize>(at: usize, gates: &mut [R], c_before: &[R], dh: &mut [R], dc: &mut [R]) {
    let (hidden, one) = (dh.len(), R::one());
    let i: [R; N] = load(gates, at);
    let f: [R; N] = load(gates, hidden + at);
    let g: [R; N] = load(gates, 2 * hidden + at);
    let o: [R; N] = load(gates, 3 * hidden + at);
    let c_before: [R; N] = load(c_before, at);
    let dh_t: [R; N] = load(dh, at);
    let dc_t: [R; N] = load(dc, at);
    let tanh_c: [R; N] = tanh(each(|k| f[k] * c_before[k] + i[k] * g[k]));
    let d: [R; N] = each(|k| dc_t[k] + dh_t[k] * o[k] * (one - tanh_c[k] * tanh_c[k]));
    store::<R, N>(gates, at, each(|k| d[k] * g[k] * i[k] * (one - i[k])));
    store::<R, N>(gates, hidden + at, each(|k| d[k] * c_before[k] * f[k] * (one - f[k])));
    store::<R, N>(gates, 2 * hidden + at, each(|k| d[k] * i[k] * (one - g[k] * g[k])));
    store::<R, N>(gates, 3 * hidden + at, each(|k| dh_t[k] * tanh_c[k] * o[k] * (one - o[k])));
    store::<R, N>(dc, at, each(|k| d[k] * f[k]));
    store(dh, at, [R::zero(); N]);
}
