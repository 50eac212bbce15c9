//! The embedding: tokens to x before the first layer, and dx back to their vectors.

use std::ops::Range;

use super::Recording;
use crate::gpu::commands::uniforms::Embedding;
use crate::gpu::device::kernel::{EMBED, EMBED_BACKWARD};
use crate::model::Role;
use crate::model::plan::Cost;

/// x of some chunks, where the tokens have vectors.
pub(crate) fn look_up(rec: &mut Recording<'_, '_>, places: Range<usize>) {
    if rec.net.model.embedding.is_none() {
        return;
    }
    let vectors = rec.net.parameter(Role::Embedding);
    for chunk in &rec.b.plan.chunks[places] {
        let (Some(x), Some([tokens, ..])) = (chunk.x, chunk.tokens) else { continue };
        let (rows, n4) = (chunk.steps.len() * rec.rows(), vectors.ld);
        let bindings = [&rec.b.span(chunk.flags), &rec.b.span(tokens), &vectors.binding, &rec.b.tensor(x)];
        let uniform = Embedding { rows: rows as u32, n4: n4 as u32 };
        let grid = rec.b.limits.rows_and_columns(rows, n4);
        rec.b.dispatch(EMBED, &[], &bindings, &uniform, grid, Cost::each(4 * rows * n4, 1, 2));
    }
}

/// The vectors' gradients += dx of some chunks.
pub(crate) fn scatter_gradients(rec: &mut Recording<'_, '_>, places: Range<usize>) {
    let Some(embedding) = &rec.net.model.embedding else { return };
    let gradient = rec.net.gradient(Role::Embedding);
    for chunk in &rec.b.plan.chunks[places] {
        let (Some(dx), Some([_, starts, order])) = (chunk.dx, chunk.tokens) else { continue };
        let n4 = gradient.ld;
        let bindings = [&rec.b.span(starts), &rec.b.span(order), &rec.b.tensor(dx), &gradient.binding];
        let uniform = Embedding { rows: embedding.vocabulary as u32, n4: n4 as u32 };
        let grid = rec.b.limits.rows_and_columns(embedding.vocabulary, n4);
        let cost = Cost::sums(chunk.steps.len() * rec.rows() * n4, embedding.vocabulary * n4);
        rec.b.dispatch(EMBED_BACKWARD, &[], &bindings, &uniform, grid, cost);
    }
}
