//! The forward unroll: chunk by chunk upwards through all layers (in two directions layer by layer, chunk by chunk, the
//! reverse direction downwards), a dispatch a step or, where W_hh is small, a chunk.

use std::ops::Range;

use super::builder::{Binding, Builder, Matrix, Product};
use super::kernel::{COPY, GATHER, flag};
use super::network::Network;
use super::program::Place;
use super::uniforms::{Copy, Step, Tokens};
use crate::model::Role;
use crate::model::plan::{Chunk, Cost, StepPlan, TensorId};

/// The flag of a step of a row: it lies below the row's length.
pub(super) const ALIVE: u32 = 1;

/// The flag of a direction: the state that enters the step is kept.
pub(super) fn keep(direction: usize) -> u32 {
    2 << direction
}

/// What the passes in both time directions share.
pub(super) struct Unroll<'b, 'a> {
    pub(super) b: &'b mut Builder<'a>,
    pub(super) net: &'b Network,
    /// Where the parts of the norms of dh_t go, where they are asked for.
    pub(super) flow: Option<Binding>,
}

impl<'b, 'a> Unroll<'b, 'a> {
    pub(super) fn rows(&self) -> usize {
        self.b.plan.rows
    }

    /// The chunk at a place of a direction's order.
    pub(super) fn chunk(&self, direction: usize, place: usize) -> &'a Chunk {
        let chunks = &self.b.plan.chunks;
        if direction == 0 { &chunks[place] } else { &chunks[chunks.len() - 1 - place] }
    }

    /// The history slot that step `t` of a chunk reads (forward in time of the direction), and the one it writes.
    pub(super) fn slots(direction: usize, t: usize) -> (usize, usize) {
        if direction == 0 { (t, t + 1) } else { (t + 1, t) }
    }

    /// The slot that enters a chunk of n steps in the direction's order, and the one that leaves it.
    pub(super) fn border_slots(direction: usize, n: usize) -> (usize, usize) {
        if direction == 0 { (0, n) } else { (n, 0) }
    }

    pub(super) fn slot_place(&self, history: TensorId, slot: usize) -> Place {
        self.b.tensor(history).place(self.slot_bytes() * slot as u64)
    }

    pub(super) fn slot_bytes(&self) -> u64 {
        16 * (self.rows() * self.net.sizes.h4) as u64
    }

    /// Where a stack's state enters the whole sequence, and where it leaves it.
    pub(super) fn ends(&self, stack: usize, cell_state: bool) -> (Place, Place) {
        let direction = stack % self.net.model.recurrent.directions();
        let history = |chunk: &'a Chunk| if cell_state { chunk.c[stack] } else { chunk.h[stack] };
        let (first, last) = (self.chunk(direction, 0), self.chunk(direction, self.b.plan.chunks.len() - 1));
        let (enters, _) = Self::border_slots(direction, first.steps.len());
        let (_, leaves) = Self::border_slots(direction, last.steps.len());
        let index = usize::from(cell_state) * self.net.model.recurrent.stacks() + stack;
        let enters = match first.border {
            Some(_) => self.border_place(first, index),
            None => self.slot_place(history(first), enters),
        };
        (enters, self.slot_place(history(last), leaves))
    }

    /// What layer `layer` reads in a chunk.
    pub(super) fn input(&self, layer: usize, chunk: &Chunk) -> Option<Matrix> {
        match layer {
            0 => chunk.x.map(|x| self.b.matrix(x, 0, self.net.sizes.x4)),
            _ => Some(self.handed_on(layer - 1, chunk)),
        }
    }

    /// Whether what a layer hands on is read where its steps leave it, in the history: in one direction, and without masks
    /// in between. Padding is not 0 there, but the state that the row has ended with, whose gradient is 0.
    pub(super) fn hands_on_history(&self, layer: usize) -> bool {
        self.net.model.recurrent.directions() == 1 && !self.drops_above(layer)
    }

    /// What a layer hands on in a chunk, as the next one or the head reads it.
    pub(super) fn handed_on(&self, layer: usize, chunk: &Chunk) -> Matrix {
        let sizes = self.net.sizes;
        if self.hands_on_history(layer) {
            let (_, leaves) = Self::slots(0, 0);
            return self.b.matrix(chunk.h[layer], leaves * self.rows() * sizes.h4, sizes.h4);
        }
        self.y(layer, chunk)
    }

    /// The y of a layer in a chunk; on the way back its gradient.
    pub(super) fn y(&self, layer: usize, chunk: &Chunk) -> Matrix {
        self.b.matrix(chunk.y[layer], 0, self.net.sizes.y4)
    }

    /// What the steps of both ways are made with; `held` is of one of them.
    pub(super) fn step_constants(&self, held: usize) -> [(&'static str, f64); 8] {
        let StepPlan { tile, group: (x, y), .. } = self.b.plan.step;
        [
            ("ACTIVATION", self.net.activation()),
            ("ROWS", tile as f64),
            ("DROPOUT", flag(self.drops_recurrent())),
            ("PACKED", flag(self.net.packed.is_some())),
            ("STAGED", flag(held > 0)),
            ("HELD", held.max(1) as f64),
            ("GROUP_X", x as f64),
            ("GROUP_Y", y as f64),
        ]
    }

    /// The uniform of `count` forward steps from step `t` on; backward changes what differs.
    pub(super) fn step(&self, stack: usize, t: usize, count: usize) -> Step {
        let sizes = self.net.sizes;
        let direction = stack % self.net.model.recurrent.directions();
        let (slot_in, slot_out) = Self::slots(direction, t);
        Step {
            t: t as u32,
            onward: if direction == 0 { 1 } else { u32::MAX },
            count: count as u32,
            slot_in: slot_in as u32,
            slot_out: slot_out as u32,
            batch: self.rows() as u32,
            hidden: self.net.model.recurrent.hidden_size as u32,
            h4: sizes.h4 as u32,
            z4: sizes.z4 as u32,
            y4: sizes.y4 as u32,
            y_column: (direction * sizes.h4) as u32,
            keep: keep(direction),
            product: 0,
            epilogue: 1,
            // Without masks of their own all layers share their uniforms.
            stack: if self.drops_recurrent() { stack as u32 } else { 0 },
        }
    }

    /// The runs of chunks that go through all layers together: each by itself, but in two directions all of them, since a
    /// layer reads what both directions of the one below have made, and these come to a chunk at different times.
    pub(super) fn sweeps(&self) -> Vec<Range<usize>> {
        let chunks = self.b.plan.chunks.len();
        match self.net.model.recurrent.bidirectional {
            true => std::iter::once(0..chunks).collect(),
            false => (0..chunks).map(|place| place..place + 1).collect(),
        }
    }

    /// All layers of a sweep, from x and the entering states to the leaving states, and to the y of every layer but the
    /// last whose history is not what it hands on.
    pub(super) fn forward(&mut self, places: Range<usize>) {
        self.embed(places.clone());
        for layer in 0..self.net.model.recurrent.layers {
            for place in places.clone() {
                self.forward_chunks(layer, place);
            }
            if layer + 1 < self.net.model.recurrent.layers && !self.hands_on_history(layer) {
                self.outputs(layer, places.clone());
            }
        }
    }

    /// The y of a layer.
    pub(super) fn outputs(&mut self, layer: usize, places: Range<usize>) {
        for chunk in &self.b.plan.chunks[places] {
            for direction in 0..self.net.model.recurrent.directions() {
                self.output(layer, direction, chunk);
            }
        }
    }

    /// The states that have left the chunk before are kept as those that enter this one, where all others are made again.
    pub(super) fn keep(&mut self, place: usize) {
        let chunk = self.chunk(0, place);
        if place > 0 && chunk.border.is_some() {
            let before = self.chunk(0, place - 1);
            for (index, history) in before.h.iter().chain(&before.c).enumerate() {
                let from = self.slot_place(*history, before.steps.len());
                self.b.copy(from, self.border_place(chunk, index), self.slot_bytes());
            }
        }
    }

    /// The place of a stack's h (then, after all stacks, c) among the kept states that enter a chunk.
    fn border_place(&self, chunk: &Chunk, index: usize) -> Place {
        let border = chunk.border.expect("the states between chunks are kept");
        self.slot_place(border, index)
    }

    /// The chunks at `place` of every direction's order. The directions take turns, so that a device may overlap them.
    fn forward_chunks(&mut self, layer: usize, place: usize) {
        let directions = self.net.model.recurrent.directions();
        let mut longest = 0;
        for direction in 0..directions {
            let (stack, chunk) = (layer * directions + direction, self.chunk(direction, place));
            longest = longest.max(chunk.steps.len());
            self.project(layer, stack, chunk);
            if chunk.border.is_some() {
                self.enter(stack, chunk);
            } else if place > 0 {
                self.carry_on(stack, direction, place);
            }
            if self.drops_recurrent() {
                self.enter_masked(stack, direction, chunk);
            }
        }
        let most = self.b.plan.step.count;
        for s in (0..longest).step_by(most) {
            for direction in 0..directions {
                let chunk = self.chunk(direction, place);
                let n = chunk.steps.len();
                if s < n {
                    let t = if direction == 0 { s } else { n - 1 - s };
                    let stack = layer * directions + direction;
                    let step = self.step(stack, t, most.min(n - s));
                    self.forward_steps(stack, chunk, step);
                }
            }
        }
    }

    /// z = x · W_ihᵀ + b_ih for all steps of the chunk at once; the token's column of W_ih where x is a token.
    fn project(&mut self, layer: usize, stack: usize, chunk: &Chunk) {
        let rows = chunk.steps.len() * self.rows();
        let weight = self.net.parameter(Role::WeightIh { stack });
        let bias = self.net.parameter(Role::BiasIh { stack });
        let z = self.b.matrix(chunk.z[stack], 0, self.net.sizes.z4);
        let n4 = self.net.gates4();
        match (self.input(layer, chunk), chunk.tokens) {
            (Some(x), _) => self.b.matmul(Product {
                sides: (false, true),
                a: &x,
                b: &weight,
                bias: Some(&bias.binding),
                c: &z,
                m: rows,
                n4,
                k: 4 * weight.ld,
                accumulate: false,
            }),
            (None, Some([tokens, ..])) => {
                let uniform = Tokens { rows: rows as u32, n4: n4 as u32, ldz: z.ld as u32, ldw: 4 * weight.ld as u32 };
                let bindings = [&self.b.span(tokens), &weight.binding, &bias.binding, &z.binding];
                let grid = self.b.limits.rows_and_columns(rows, n4);
                self.b.dispatch(GATHER, &[], &bindings, &uniform, grid, Cost::each(4 * rows * n4, 1, 2));
            }
            (None, None) => unreachable!("a chunk has x or tokens"),
        }
    }

    /// The kept states of a stack enter the chunk.
    fn enter(&mut self, stack: usize, chunk: &Chunk) {
        let stacks = self.net.model.recurrent.stacks();
        let histories = [chunk.h.get(stack), chunk.c.get(stack)];
        for (kind, history) in histories.into_iter().enumerate() {
            let Some(history) = history else { continue };
            let (from, to) = (self.border_place(chunk, kind * stacks + stack), self.slot_place(*history, 0));
            self.b.copy(from, to, self.slot_bytes());
        }
    }

    /// The state that left the chunk before, in the direction's order, enters this one.
    fn carry_on(&mut self, stack: usize, direction: usize, place: usize) {
        let (before, chunk) = (self.chunk(direction, place - 1), self.chunk(direction, place));
        let (_, leaves) = Self::border_slots(direction, before.steps.len());
        let (enters, _) = Self::border_slots(direction, chunk.steps.len());
        let mut histories = vec![(before.h[stack], chunk.h[stack])];
        if self.net.model.recurrent.cell.has_cell_state() {
            histories.push((before.c[stack], chunk.c[stack]));
        }
        for (from, to) in histories {
            let (from, to) = (self.slot_place(from, leaves), self.slot_place(to, enters));
            self.b.copy(from, to, self.slot_bytes());
        }
    }

    fn forward_steps(&mut self, stack: usize, chunk: &Chunk, step: Step) {
        let weight = match &self.net.packed {
            Some(packed) => packed.weight(stack),
            None => self.net.parameter(Role::WeightHh { stack }).binding,
        };
        let bias = self.net.parameter(Role::BiasHh { stack }).binding;
        let (flags, z, h) = (self.b.span(chunk.flags), self.b.tensor(chunk.z[stack]), self.b.tensor(chunk.h[stack]));
        let c = chunk.c.get(stack).map(|c| self.b.tensor(*c));
        // Something must be bound without recurrent dropout; the carry is the stack's own, and rests until backward.
        let entering = self.b.tensor(*self.b.plan.entering.get(stack).unwrap_or(&self.b.plan.carry_h[stack]));
        let draw = Binding::whole(&self.net.draw);
        let bindings: Vec<&Binding> =
            [&flags, &weight, &bias, &z, &h].into_iter().chain(&c).chain([&entering, &draw]).collect();
        let (constants, plan) = (self.step_constants(self.b.plan.step.held[0]), &self.b.plan.step);
        let (gates4, has_c) = (self.net.gates4(), chunk.c.get(stack).is_some());
        let cost = Cost::forward_steps(plan, self.rows(), &self.net.sizes, gates4, has_c).times(step.count as usize);
        self.b.dispatch(self.net.forward_step(), &constants, &bindings, &step, plan.grid, cost);
    }

    /// The direction's half of y: the history's leaving slots, 0 at padding; through its masks where a layer follows.
    fn output(&mut self, layer: usize, direction: usize, chunk: &Chunk) {
        let directions = self.net.model.recurrent.directions();
        if self.drops_above(layer) {
            return self.output_masked(layer * directions + direction, chunk);
        }
        let (_, leaves) = Self::slots(direction, 0);
        let width = 4 * self.net.sizes.h4;
        let rows = chunk.steps.len() * self.rows();
        let uniform = Copy {
            rows: rows as u32,
            width: width as u32,
            columns: width as u32,
            ld_from: width as u32,
            from_first: (leaves * self.rows() * width) as u32,
            ld_to: 4 * self.net.sizes.y4 as u32,
            to_first: (direction * width) as u32,
            masked: 1,
            bit: ALIVE,
        };
        let h = self.b.tensor(chunk.h[layer * directions + direction]);
        let (flags, y) = (self.b.span(chunk.flags), self.b.tensor(chunk.y[layer]));
        self.copy(&flags, &h, &y, uniform);
    }

    pub(super) fn copy(&mut self, flags: &Binding, from: &Binding, to: &Binding, uniform: Copy) {
        let (rows, width) = (uniform.rows as usize, uniform.width as usize);
        let grid = self.b.limits.rows_and_columns(rows, width);
        self.b.dispatch(COPY, &[], &[flags, from, to], &uniform, grid, Cost::each(rows * width, 1, 2));
    }
}
