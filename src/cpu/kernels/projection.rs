//! What surrounds the products with W_hr at a time step: padding, the output, and the whole gradient of h.

use crate::cells::StepRows;
use crate::real::Real;

/// After the product that made `h`, \[rows, S\]: copies it to the output, \[rows, D·S\]. At padding h_t is h_{t−1}, and
/// the output 0.
pub(crate) fn forward<R: Real>(step: StepRows<'_, R>, h_before: &[R], h: &mut [R], output: &mut [R]) {
    let (size, width) = (h.len() / step.lengths.len(), output.len() / step.lengths.len());
    for (row, length) in step.lengths.iter().enumerate() {
        let (h, output) = (&mut h[row * size..][..size], &mut output[row * width + step.column..][..size]);
        if step.t < *length {
            output.copy_from_slice(h);
        } else {
            h.copy_from_slice(&h_before[row * size..][..size]);
            output.fill(R::zero());
        }
    }
}

/// Before the product that makes dm_t: moves the whole dh_t, \[rows, S\], from `dh` to `whole`, with the gradient from
/// above, \[rows, D·S\]. At padding `dh` passes through unchanged, and `whole` is 0. Accumulates the square, if
/// requested.
pub(crate) fn backward<R: Real>(
    step: StepRows<'_, R>,
    d_output: Option<&[R]>,
    dh: &mut [R],
    whole: &mut [R],
    mut square: Option<&mut f64>,
) {
    let size = dh.len() / step.lengths.len();
    for (row, length) in step.lengths.iter().enumerate() {
        let (dh, whole) = (&mut dh[row * size..][..size], &mut whole[row * size..][..size]);
        if step.t >= *length {
            whole.fill(R::zero());
            continue;
        }
        whole.copy_from_slice(dh);
        dh.fill(R::zero());
        if let Some(d_output) = d_output {
            let width = d_output.len() / step.lengths.len();
            let d_output = &d_output[row * width + step.column..][..size];
            whole.iter_mut().zip(d_output).for_each(|(dh, d_output)| *dh += *d_output);
        }
        if let Some(square) = &mut square {
            **square += whole.iter().map(|dh| dh.as_f64() * dh.as_f64()).sum::<f64>();
        }
    }
}
