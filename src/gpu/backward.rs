//! The reverse time loop: chunks against their direction, in each layers downwards (in two directions layers downwards, in
//! each all chunks), a dispatch a step or a chunk, and then the weight gradients of the layer as one product each over all
//! steps of a chunk. That sum over T·B is the chain rule's sum over time; `+=` adds chunks and micro-batches.

use std::ops::Range;

use super::builder::{Binding, Product};
use super::forward::{Unroll, keep};
use super::kernel::{FLOW, MASK, SCATTER};
use super::uniforms::{Copy, Flow, Step, Tokens};
use crate::model::Role;
use crate::model::plan::{Chunk, Cost};

impl Unroll<'_, '_> {
    /// All layers of a sweep, from dy in the last layer's y and the carries to every gradient sum, dx, and the gradient of
    /// the entering states, at last dh_0, in the carries.
    pub(super) fn backward(&mut self, places: Range<usize>, resets: bool) {
        let recurrent = &self.net.model.recurrent;
        for layer in (0..recurrent.layers).rev() {
            for place in places.clone().rev() {
                self.backward_chunks(layer, place);
            }
            for chunk in &self.b.plan.chunks[places.clone()] {
                for direction in 0..recurrent.directions() {
                    let stack = layer * recurrent.directions() + direction;
                    match (self.drops_recurrent(), resets) {
                        (true, _) => self.history_masked(stack, direction, chunk),
                        (false, true) => self.mask_history(stack, direction, chunk),
                        (false, false) => {}
                    }
                    self.weight_gradients(layer, stack, direction, chunk);
                    self.flow(layer, stack, direction, chunk);
                }
                self.input_gradient(layer, chunk);
            }
        }
        self.embed_backward(places);
    }

    /// The chunks at `place` of every direction's forward order, against time; the directions take turns.
    fn backward_chunks(&mut self, layer: usize, place: usize) {
        let directions = self.net.model.recurrent.directions();
        let longest = (0..directions).map(|direction| self.chunk(direction, place).steps.len()).max().unwrap_or(0);
        // One step more than there are: the last product alone gives the gradient of the entering state.
        let most = self.b.plan.step.count;
        for s in (0..=longest).step_by(most) {
            for direction in 0..directions {
                let (stack, chunk) = (layer * directions + direction, self.chunk(direction, place));
                let n = chunk.steps.len();
                if s > n {
                    continue;
                }
                let count = most.min(n + 1 - s);
                // Step n lies beyond the chunk: it has no slots, and only the step before it flows into it.
                let at = |s: usize| if direction == 0 { (n as u32).wrapping_sub(1 + s as u32) } else { s as u32 };
                let (slot_in, slot_out) = Self::slots(direction, 0);
                let step = Step {
                    t: at(s),
                    onward: if direction == 0 { u32::MAX } else { 1 },
                    slot_in: at(s).wrapping_add(slot_in as u32),
                    slot_out: at(s).wrapping_add(slot_out as u32),
                    product: u32::from(s > 0),
                    epilogue: u32::from(s + count <= n),
                    ..self.step(stack, 0, count)
                };
                self.backward_steps(layer, stack, chunk, step);
            }
        }
    }

    fn backward_steps(&mut self, layer: usize, stack: usize, chunk: &Chunk, step: Step) {
        let flags = self.b.span(chunk.flags);
        let weight = self.net.parameter(Role::WeightHh { stack }).binding;
        let (z, dy) = (self.b.tensor(chunk.z[stack]), self.b.tensor(chunk.y[layer]));
        // The LSTM's derivatives come from its gates and c, those of the other cells from h.
        let history = self.b.tensor(*chunk.c.get(stack).unwrap_or(&chunk.h[stack]));
        let carry_h = self.b.tensor(self.b.plan.carry_h[stack]);
        let carry_c = self.b.plan.carry_c.get(stack).map(|carry| self.b.tensor(*carry));
        let draw = Binding::whole(&self.net.draw);
        let bindings: Vec<&Binding> =
            [&flags, &weight, &z, &history, &dy, &carry_h].into_iter().chain(&carry_c).chain([&draw]).collect();
        let (constants, plan) = (self.step_constants(self.b.plan.step.held[1]), &self.b.plan.step);
        let (gates4, has_c) = (self.net.gates4(), carry_c.is_some());
        let cost = Cost::backward_steps(plan, self.rows(), &self.net.sizes, gates4, has_c).times(step.count as usize);
        self.b.dispatch(self.net.backward_step(self.flow.is_some()), &constants, &bindings, &step, plan.grid, cost);
    }

    /// Zero history where a state was reset, so that dW_hh sees the state that really entered.
    fn mask_history(&mut self, stack: usize, direction: usize, chunk: &Chunk) {
        let width = 4 * self.net.sizes.h4;
        let rows = chunk.steps.len() * self.rows();
        let (enters, _) = Self::slots(direction, 0);
        let uniform = Copy {
            rows: rows as u32,
            width: width as u32,
            ld_to: width as u32,
            to_first: (enters * self.rows() * width) as u32,
            bit: keep(direction),
            ..Copy::default()
        };
        let bindings = [&self.b.span(chunk.flags), &self.b.tensor(chunk.h[stack])];
        let grid = self.b.limits.rows_and_columns(rows, width);
        self.b.dispatch(MASK, &[], &bindings, &uniform, grid, Cost::each(rows * width, 1, 1));
    }

    /// dW_hh += dzᵀ · h_{t−1}, dW_ih += dzᵀ · x, db += Σ dz, over all steps of the chunk.
    fn weight_gradients(&mut self, layer: usize, stack: usize, direction: usize, chunk: &Chunk) {
        let sizes = self.net.sizes;
        let k = chunk.steps.len() * self.rows();
        let (m, n4) = (4 * self.net.gates4(), self.net.gates4());
        let dz_input = self.b.matrix(chunk.z[stack], 0, sizes.z4);
        let dz_recurrent = self.b.matrix(chunk.z[stack], self.net.recurrent_column(), sizes.z4);
        let (enters, _) = Self::slots(direction, 0);
        let h = self.b.matrix(chunk.h[stack], enters * self.rows() * sizes.h4, sizes.h4);
        let (dw_ih, dw_hh) = (self.net.gradient(Role::WeightIh { stack }), self.net.gradient(Role::WeightHh { stack }));
        self.b.weight_gradient(&dz_recurrent, &h, &dw_hh, m, sizes.h4, k);
        match (self.input(layer, chunk), chunk.tokens) {
            (Some(x), _) => self.b.weight_gradient(&dz_input, &x, &dw_ih, m, x.ld, k),
            (None, Some([_, starts, order])) => {
                let tokens = self.net.model.recurrent.input_size;
                let uniform =
                    Tokens { rows: tokens as u32, n4: n4 as u32, ldz: sizes.z4 as u32, ldw: 4 * dw_ih.ld as u32 };
                let bindings = [&self.b.span(starts), &self.b.span(order), &dz_input.binding, &dw_ih.binding];
                let grid = self.b.limits.rows_and_columns(tokens, n4);
                self.b.dispatch(SCATTER, &[], &bindings, &uniform, grid, Cost::sums(k * n4, tokens * n4));
            }
            (None, None) => unreachable!("a chunk has x or tokens"),
        }
        if self.net.model.recurrent.bias {
            let (db_ih, db_hh) = (self.net.gradient(Role::BiasIh { stack }), self.net.gradient(Role::BiasHh { stack }));
            self.b.bias_gradients(&dz_input, k, &[(0, &db_ih), (self.net.recurrent_column(), &db_hh)]);
        }
    }

    /// The norms of dh_t, which the steps have left in the place of dy, where they are asked for.
    fn flow(&mut self, layer: usize, stack: usize, direction: usize, chunk: &Chunk) {
        let Some(norms) = &self.flow else { return };
        let (sizes, rows) = (self.net.sizes, self.rows());
        let count = rows * sizes.h4;
        let parts = self.b.plan.flow_parts();
        let uniform = Flow {
            count: count as u32,
            h4: sizes.h4 as u32,
            y4: sizes.y4 as u32,
            y_column: (direction * sizes.h4) as u32,
            first: ((stack * self.b.plan.steps + chunk.steps.start) * parts) as u32,
        };
        let bindings = [&self.b.tensor(chunk.y[layer]), norms];
        let grid = [chunk.steps.len() as u32, parts as u32, 1];
        self.b.dispatch(FLOW, &[], &bindings, &uniform, grid, Cost::each(4 * chunk.steps.len() * count, 4, 1));
    }

    /// dy of the layer below, through the masks between the two, or dx: Σ over directions of dz · W_ih.
    fn input_gradient(&mut self, layer: usize, chunk: &Chunk) {
        let directions = self.net.model.recurrent.directions();
        let target = match layer {
            0 => chunk.dx.map(|dx| self.b.matrix(dx, 0, self.net.sizes.x4)),
            _ => Some(self.y(layer - 1, chunk)),
        };
        let Some(target) = target else { return };
        for direction in 0..directions {
            let stack = layer * directions + direction;
            let dz = self.b.matrix(chunk.z[stack], 0, self.net.sizes.z4);
            let weight = self.net.parameter(Role::WeightIh { stack });
            self.b.matmul(Product {
                sides: (false, false),
                a: &dz,
                b: &weight,
                bias: None,
                c: &target,
                m: chunk.steps.len() * self.rows(),
                n4: target.ld,
                k: 4 * self.net.gates4(),
                accumulate: direction > 0,
            });
        }
        if layer > 0 && self.drops_above(layer - 1) {
            self.output_gradient_masked(layer - 1, chunk);
        }
    }
}
