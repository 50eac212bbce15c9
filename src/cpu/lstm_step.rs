//! One time step of a row of the LSTM: c_t = f ∘ c_{t−1} + i ∘ g, h_t = o ∘ tanh c_t.

use crate::real::Real;

/// Turns z \[4·H\] into the gates i, f, g, o in place; from c_{t−1} \[H\] writes c_t \[H\] and h_t \[H\].
#[inline(always)]
pub(super) fn forward<R: Real>(gates: &mut [R], c_before: &[R], c: &mut [R], h: &mut [R]) {
    let (i, f, g, o) = split(gates, h.len());
    let (c_before, c) = (&c_before[..h.len()], &mut c[..h.len()]);
    for (j, h) in h.iter_mut().enumerate() {
        i[j] = i[j].vector_sigmoid();
        f[j] = f[j].vector_sigmoid();
        g[j] = g[j].vector_tanh();
        o[j] = o[j].vector_sigmoid();
        c[j] = f[j] * c_before[j] + i[j] * g[j];
        *h = o[j] * c[j].vector_tanh();
    }
}

/// From dh_t and dc_t \[H\] writes dz_t over the gates, and dc_{t−1} over dc; dh becomes 0, since nothing of it reaches
/// h_{t−1} past the product. c_t is made again rather than kept: the history holds what *enters* each step.
#[inline(always)]
pub(super) fn backward<R: Real>(gates: &mut [R], c_before: &[R], dh: &mut [R], dc: &mut [R]) {
    let one = R::one();
    let (i, f, g, o) = split(gates, dh.len());
    let (c_before, dc) = (&c_before[..dh.len()], &mut dc[..dh.len()]);
    for (j, dh) in dh.iter_mut().enumerate() {
        let (it, ft, gt, ot) = (i[j], f[j], g[j], o[j]);
        let tanh_c = (ft * c_before[j] + it * gt).vector_tanh();
        let d = dc[j] + *dh * ot * (one - tanh_c * tanh_c);
        i[j] = d * gt * it * (one - it);
        f[j] = d * c_before[j] * ft * (one - ft);
        g[j] = d * it * (one - gt * gt);
        o[j] = *dh * tanh_c * ot * (one - ot);
        dc[j] = d * ft;
        *dh = R::zero();
    }
}

/// i, f, g, o, each of exactly `hidden` numbers: the bounds that let the loops become vector code.
#[inline(always)]
fn split<R>(gates: &mut [R], hidden: usize) -> (&mut [R], &mut [R], &mut [R], &mut [R]) {
    let (i, rest) = gates.split_at_mut(hidden);
    let (f, rest) = rest.split_at_mut(hidden);
    let (g, o) = rest.split_at_mut(hidden);
    (i, f, g, &mut o[..hidden])
}
