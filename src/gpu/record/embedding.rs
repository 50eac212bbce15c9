//! The embedding: from tokens to x, and from dx to the gradients of the vectors.

use std::ops::Range;

use super::Recording;
use crate::gpu::commands::uniforms::Embedding;
use crate::gpu::device::kernel::{EMBED, EMBED_BACKWARD};
use crate::model::Role;
use crate::model::plan::Cost;

/// Looks up x of some chunks, if tokens have vectors.
pub(crate) fn look_up(rec: &mut Recording<'_, '_>, chunk_range: Range<usize>) {
    if rec.weights.model.embedding.is_none() {
        return;
    }
    let vectors = rec.weights.parameter(Role::Embedding);
    for chunk in &rec.builder.plan.chunks[chunk_range] {
        let (Some(x), Some([tokens, ..])) = (chunk.x, chunk.tokens) else { continue };
        let (rows, n4) = (chunk.steps.len() * rec.rows(), vectors.ld);
        let bindings =
            [&rec.builder.span(chunk.flags), &rec.builder.span(tokens), &vectors.binding, &rec.builder.tensor(x)];
        let uniform = Embedding { rows: rows as u32, n4: n4 as u32 };
        let grid = rec.builder.limits.rows_and_columns(rows, n4);
        rec.builder.dispatch(EMBED, &[], &bindings, &uniform, grid, Cost::each(4 * rows * n4, 1, 2));
    }
}

/// Adds dx of some chunks to the gradients of the vectors.
pub(crate) fn scatter_gradients(rec: &mut Recording<'_, '_>, chunk_range: Range<usize>) {
    let Some(embedding) = &rec.weights.model.embedding else { return };
    let gradient = rec.weights.gradient(Role::Embedding);
    for chunk in &rec.builder.plan.chunks[chunk_range] {
        let (Some(dx), Some([_, starts, order])) = (chunk.dx, chunk.tokens) else { continue };
        let n4 = gradient.ld;
        let bindings =
            [&rec.builder.span(starts), &rec.builder.span(order), &rec.builder.tensor(dx), &gradient.binding];
        let uniform = Embedding { rows: embedding.vocabulary as u32, n4: n4 as u32 };
        let grid = rec.builder.limits.rows_and_columns(embedding.vocabulary, n4);
        let cost = Cost::sums(chunk.steps.len() * rec.rows() * n4, embedding.vocabulary * n4);
        rec.builder.dispatch(EMBED_BACKWARD, &[], &bindings, &uniform, grid, cost);
    }
}
