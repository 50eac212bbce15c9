//! Where the masks of dropout lie on the way forward and back. The recurrent ones within a chunk are the step kernels' own.

use super::builder::Binding;
use super::forward::{ALIVE, Unroll, keep};
use super::kernel::{DROP_IN, DROP_TO};
use super::uniforms::{self, Dropout};
use crate::dropout::Draw;
use crate::model::plan::{Chunk, Cost};

impl Unroll<'_, '_> {
    /// Whether the network has recurrent dropout.
    pub(super) fn drops_recurrent(&self) -> bool {
        self.net.model.recurrent.recurrent_dropout > 0.0
    }

    /// Whether there is dropout between `layer` and the one above.
    pub(super) fn drops_above(&self, layer: usize) -> bool {
        let recurrent = &self.net.model.recurrent;
        recurrent.dropout > 0.0 && layer + 1 < recurrent.layers
    }

    /// The state that enters a chunk, as its first step's product reads it.
    pub(super) fn enter_masked(&mut self, stack: usize, direction: usize, chunk: &Chunk) {
        let n = chunk.steps.len();
        let (enters, _) = Self::border_slots(direction, n);
        let first = if direction == 0 { 0 } else { n - 1 };
        let slot = self.rows() * self.net.sizes.h4;
        let uniform = Dropout {
            rows: self.rows() as u32,
            from_first: (enters * slot) as u32,
            to_first: (first % 2 * slot) as u32,
            recurrent: 1,
            ..self.masks_of(stack)
        };
        let (h, entering) = (self.b.tensor(chunk.h[stack]), self.b.tensor(self.b.plan.entering[stack]));
        self.drop_to(chunk, &h, &entering, uniform);
    }

    /// The direction's half of y through its masks.
    pub(super) fn output_masked(&mut self, stack: usize, chunk: &Chunk) {
        let (directions, sizes) = (self.net.model.recurrent.directions(), self.net.sizes);
        let (layer, direction) = (stack / directions, stack % directions);
        let (_, leaves) = Self::slots(direction, 0);
        let uniform = Dropout {
            rows: (chunk.steps.len() * self.rows()) as u32,
            from_first: (leaves * self.rows() * sizes.h4) as u32,
            ld_to: sizes.y4 as u32,
            to_first: (direction * sizes.h4) as u32,
            bit: ALIVE,
            t: chunk.steps.start as u32,
            ..self.masks_of(stack)
        };
        let (h, y) = (self.b.tensor(chunk.h[stack]), self.b.tensor(chunk.y[layer]));
        self.drop_to(chunk, &h, &y, uniform);
    }

    /// The gradient of what `layer` handed on, in its y, through the masks of all directions.
    pub(super) fn output_gradient_masked(&mut self, layer: usize, chunk: &Chunk) {
        let sizes = self.net.sizes;
        let uniform = Dropout {
            rows: (chunk.steps.len() * self.rows()) as u32,
            width: sizes.y4 as u32,
            ld_to: sizes.y4 as u32,
            bit: ALIVE,
            t: chunk.steps.start as u32,
            ..self.masks_of(layer * self.net.model.recurrent.directions())
        };
        let y = self.b.tensor(chunk.y[layer]);
        self.drop_in(chunk, &y, uniform);
    }

    /// The history as it entered the products, so that dW_hh sees that; zero where a state was reset.
    pub(super) fn history_masked(&mut self, stack: usize, direction: usize, chunk: &Chunk) {
        let (enters, _) = Self::slots(direction, 0);
        let uniform = Dropout {
            rows: (chunk.steps.len() * self.rows()) as u32,
            to_first: (enters * self.rows() * self.net.sizes.h4) as u32,
            bit: keep(direction),
            recurrent: 1,
            ..self.masks_of(stack)
        };
        let h = self.b.tensor(chunk.h[stack]);
        self.drop_in(chunk, &h, uniform);
    }

    /// Rows of a (layer, direction) alone, one behind the other.
    fn masks_of(&self, stack: usize) -> Dropout {
        let h4 = self.net.sizes.h4 as u32;
        let (batch, stack) = (self.rows() as u32, stack as u32);
        Dropout { width: h4, ld_from: h4, ld_to: h4, batch, h4, stack, ..Dropout::default() }
    }

    fn drop_to(&mut self, chunk: &Chunk, from: &Binding, to: &Binding, uniform: Dropout) {
        let (flags, draw) = (self.b.span(chunk.flags), Binding::whole(&self.net.draw));
        let (rows, width) = (uniform.rows as usize, uniform.width as usize);
        let grid = self.b.limits.rows_and_columns(rows, width);
        self.b.dispatch(DROP_TO, &[], &[&flags, from, to, &draw], &uniform, grid, cost(rows, width));
    }

    fn drop_in(&mut self, chunk: &Chunk, to: &Binding, uniform: Dropout) {
        let (flags, draw) = (self.b.span(chunk.flags), Binding::whole(&self.net.draw));
        let (rows, width) = (uniform.rows as usize, uniform.width as usize);
        let grid = self.b.limits.rows_and_columns(rows, width);
        self.b.dispatch(DROP_IN, &[], &[&flags, to, &draw], &uniform, grid, cost(rows, width));
    }
}

/// Ten rounds of some thirty operations for each vec4.
fn cost(rows: usize, width: usize) -> Cost {
    Cost::each(4 * rows * width, 75, 2)
}

/// What the kernels read of a draw; `None` drops nothing.
pub(super) fn uniform(draw: Option<Draw>) -> uniforms::Draw {
    let Some(Draw { key: [key_low, key_high], first_row, between, recurrent }) = draw else {
        return uniforms::Draw { scale: 1.0, recurrent_scale: 1.0, ..uniforms::Draw::default() };
    };
    uniforms::Draw {
        key_low,
        key_high,
        first_row,
        threshold: between.threshold,
        scale: between.scale as f32,
        recurrent_threshold: recurrent.threshold,
        recurrent_scale: recurrent.scale as f32,
    }
}
