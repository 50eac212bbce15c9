//! The embedding: tokens to x before the first layer, and dx back to their vectors.

use std::ops::Range;

use super::forward::Unroll;
use super::kernel::{EMBED, EMBED_BACKWARD};
use super::uniforms::Embedding;
use crate::model::Role;
use crate::model::plan::Cost;

impl Unroll<'_, '_> {
    /// x of some chunks, where the tokens have vectors.
    pub(super) fn embed(&mut self, places: Range<usize>) {
        if self.net.model.embedding.is_none() {
            return;
        }
        let vectors = self.net.parameter(Role::Embedding);
        for chunk in &self.b.plan.chunks[places] {
            let (Some(x), Some([tokens, ..])) = (chunk.x, chunk.tokens) else { continue };
            let (rows, n4) = (chunk.steps.len() * self.rows(), vectors.ld);
            let bindings = [&self.b.span(chunk.flags), &self.b.span(tokens), &vectors.binding, &self.b.tensor(x)];
            let uniform = Embedding { rows: rows as u32, n4: n4 as u32 };
            let grid = self.b.limits.rows_and_columns(rows, n4);
            self.b.dispatch(EMBED, &[], &bindings, &uniform, grid, Cost::each(4 * rows * n4, 1, 2));
        }
    }

    /// The vectors' gradients += dx of some chunks.
    pub(super) fn embed_backward(&mut self, places: Range<usize>) {
        let Some(embedding) = &self.net.model.embedding else { return };
        let gradient = self.net.gradient(Role::Embedding);
        for chunk in &self.b.plan.chunks[places] {
            let (Some(dx), Some([_, starts, order])) = (chunk.dx, chunk.tokens) else { continue };
            let n4 = gradient.ld;
            let bindings = [&self.b.span(starts), &self.b.span(order), &self.b.tensor(dx), &gradient.binding];
            let uniform = Embedding { rows: embedding.vocabulary as u32, n4: n4 as u32 };
            let grid = self.b.limits.rows_and_columns(embedding.vocabulary, n4);
            let cost = Cost::sums(chunk.steps.len() * self.rows() * n4, embedding.vocabulary * n4);
            self.b.dispatch(EMBED_BACKWARD, &[], &bindings, &uniform, grid, cost);
        }
    }
}
