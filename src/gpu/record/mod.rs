//! Records the commands of a pass, part by part, into the current list of a builder. Nothing is computed before
//! submission.

pub(crate) mod backward;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod forward;
pub(crate) mod head;
pub(crate) mod loss;
pub(crate) mod projection;

use std::ops::Range;

use crate::gpu::commands::builder::{Binding, Builder, Matrix};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::uniforms::{Copy, Step};
use crate::gpu::device::kernel::{COPY, flag};
use crate::gpu::weights::DeviceWeights;
use crate::model::plan::{Chunk, Cost, StateKind, StepForm, StepShape, Storage, TensorId};

/// The flag of a step within the row's length.
pub(crate) const ALIVE: u32 = 1;

/// A state and its (layer, direction).
pub(crate) type StateOf = (StateKind, usize);

/// The flag of a direction: the state entering the step is kept, not reset.
pub(crate) fn keep(direction: usize) -> u32 {
    2 << direction
}

/// A pass being recorded, shared by its parts.
pub(crate) struct Recording<'b, 'a> {
    pub(crate) builder: &'b mut Builder<'a>,
    pub(crate) weights: &'b DeviceWeights,
    /// The destination of the norms of dh_t, if requested.
    pub(crate) gradient_norms: Option<Binding>,
}

impl<'a> Recording<'_, 'a> {
    pub(crate) fn rows(&self) -> usize {
        self.builder.plan.rows
    }

    /// The direction of a (layer, direction) in time: 0 forward, 1 reverse.
    pub(crate) fn direction(&self, layer_direction: usize) -> usize {
        usize::from(self.weights.model.recurrent.is_reverse(layer_direction))
    }

    /// The (layer, direction)s of a layer.
    pub(crate) fn of_layer(&self, layer: usize) -> Range<usize> {
        let directions = self.weights.model.recurrent.directions();
        layer * directions..(layer + 1) * directions
    }

    /// The first vec4 of a (layer, direction) in a row of its layer's y.
    pub(crate) fn y_column(&self, layer_direction: usize) -> usize {
        layer_direction % self.weights.model.recurrent.directions() * self.weights.sizes.state4
    }

    /// The chunk at index `chunk_index` of a direction's order.
    pub(crate) fn chunk(&self, direction: usize, chunk_index: usize) -> &'a Chunk {
        let chunks = &self.builder.plan.chunks;
        if direction == 0 { &chunks[chunk_index] } else { &chunks[chunks.len() - 1 - chunk_index] }
    }

    /// The history indices that step `t` of a chunk reads and writes (in the direction's time).
    pub(crate) fn history_indices(direction: usize, t: usize) -> (usize, usize) {
        if direction == 0 { (t, t + 1) } else { (t + 1, t) }
    }

    /// The history indices of the states entering and leaving a chunk of n steps, in the direction's order.
    pub(crate) fn border_indices(direction: usize, n: usize) -> (usize, usize) {
        if direction == 0 { (0, n) } else { (n, 0) }
    }

    /// The position of the states of a (layer, direction) at an index of their history in a chunk.
    pub(crate) fn history_position(
        &self,
        chunk: &Chunk,
        (kind, layer_direction): StateOf,
        index: usize,
    ) -> BufferOffset {
        let histories = match kind {
            StateKind::H => &chunk.h,
            StateKind::C => &chunk.c,
        };
        self.builder.tensor(histories[layer_direction]).position(self.state_bytes(kind) * index as u64)
    }

    /// The bytes of a state of a (layer, direction).
    pub(crate) fn state_bytes(&self, kind: StateKind) -> u64 {
        self.weights.sizes.state_bytes(kind, self.rows())
    }

    /// The position of a state among the saved ones that enter a chunk.
    pub(crate) fn border_position(&self, chunk: &Chunk, (kind, layer_direction): StateOf) -> BufferOffset {
        let border = chunk.border.expect("the states between chunks are kept");
        let recurrent = &self.weights.model.recurrent;
        let offset = self.weights.sizes.carried_offset(recurrent, kind, layer_direction, self.rows());
        self.builder.tensor(border).position(offset)
    }

    /// The positions of an initial and a final state.
    pub(crate) fn ends(&self, of: StateOf) -> (BufferOffset, BufferOffset) {
        let direction = self.direction(of.1);
        let (first, last) = (self.chunk(direction, 0), self.chunk(direction, self.builder.plan.chunks.len() - 1));
        let (enters, _) = Self::border_indices(direction, first.steps.len());
        let (_, leaves) = Self::border_indices(direction, last.steps.len());
        let enters = match first.border {
            Some(_) => self.border_position(first, of),
            None => self.history_position(first, of, enters),
        };
        (enters, self.history_position(last, of, leaves))
    }

    /// The ranges of chunks that go through all layers together: single chunks, or with a reverse direction all of
    /// them: with both, a layer reads both directions of the one below, which reach a chunk at different times.
    pub(crate) fn chunk_sequences(&self) -> Vec<Range<usize>> {
        let chunks = self.builder.plan.chunks.len();
        if self.weights.model.recurrent.has_reverse() {
            std::iter::once(0..chunks).collect()
        } else {
            (0..chunks).map(|chunk_index| chunk_index..chunk_index + 1).collect()
        }
    }

    /// The input of layer `layer` in a chunk.
    pub(crate) fn input(&self, layer: usize, chunk: &Chunk) -> Option<Matrix> {
        match layer {
            0 => chunk.x.map(|x| self.builder.matrix(x, 0, self.weights.sizes.x4)),
            _ => Some(self.layer_output(layer - 1, chunk)),
        }
    }

    /// Whether the output of a layer is read from its history: in networks of one direction without masks in between.
    /// Padding there is not 0 but the row's final state, or in reverse its initial one, whose gradient is 0.
    pub(crate) fn outputs_history(&self, layer: usize) -> bool {
        self.weights.model.recurrent.directions() == 1 && !self.drops_above(layer)
    }

    /// The output of a layer in a chunk, as the next layer or the head reads it.
    pub(crate) fn layer_output(&self, layer: usize, chunk: &Chunk) -> Matrix {
        let sizes = self.weights.sizes;
        if self.outputs_history(layer) {
            let (_, leaves) = Self::history_indices(self.direction(layer), 0);
            return self.builder.matrix(chunk.h[layer], leaves * self.rows() * sizes.state4, sizes.state4);
        }
        self.y(layer, chunk)
    }

    /// The gradients of z of a (layer, direction) in a chunk, from a column on.
    pub(crate) fn dz(&self, layer_direction: usize, chunk: &Chunk, column: usize) -> Matrix {
        let z = self.builder.matrix(chunk.z[layer_direction], column, self.weights.sizes.z4);
        Matrix { storage: z.storage.of_gradients(), ..z }
    }

    /// The y of a layer in a chunk; its gradient in the backward pass.
    pub(crate) fn y(&self, layer: usize, chunk: &Chunk) -> Matrix {
        self.builder.matrix(chunk.y[layer], 0, self.weights.sizes.y4)
    }

    /// Whether the network has recurrent dropout.
    pub(crate) fn drops_recurrent(&self) -> bool {
        self.weights.model.recurrent.recurrent_dropout > 0.0
    }

    /// Whether there is dropout between `layer` and the one above.
    pub(crate) fn drops_above(&self, layer: usize) -> bool {
        let recurrent = &self.weights.model.recurrent;
        recurrent.dropout > 0.0 && layer + 1 < recurrent.layers
    }

    /// The constants of a step kernel.
    pub(crate) fn step_constants(&self, shape: &StepShape) -> Vec<(&'static str, f64)> {
        let [x, y, z] = shape.group;
        // A single part has all of k: one kernel for all sizes.
        let part = if shape.parts == 1 { u32::MAX } else { shape.part as u32 };
        let mut constants = self.weights.model.recurrent.cell.definition().constants().to_vec();
        constants.extend([
            ("DROPOUT", flag(self.drops_recurrent())),
            ("GROUP_X", x as f64),
            ("GROUP_Y", y as f64),
            ("GROUP_Z", z as f64),
            ("PARTS", shape.parts as f64),
            ("PART", f64::from(part)),
        ]);
        if shape.form.is_shared() {
            constants.push(("SHARED_VEC4S", shape.shared_vec4s as f64));
        }
        if matches!(shape.form, StepForm::Split { .. }) {
            constants.push(("STAGED", flag(shape.staged)));
        }
        constants
    }

    /// The uniform of `count` forward steps from step `t` on. The backward pass changes some of its fields.
    pub(crate) fn step(&self, layer_direction: usize, t: usize, count: usize) -> Step {
        let sizes = self.weights.sizes;
        let direction = self.direction(layer_direction);
        let (index_in, index_out) = Self::history_indices(direction, t);
        Step {
            t: t as u32,
            t_step: if direction == 0 { 1 } else { u32::MAX },
            count: count as u32,
            index_in: index_in as u32,
            index_out: index_out as u32,
            batch: self.rows() as u32,
            hidden: self.weights.model.recurrent.hidden_size as u32,
            h4: sizes.h4 as u32,
            state4: sizes.state4 as u32,
            z4: sizes.z4 as u32,
            y4: sizes.y4 as u32,
            y_column: self.y_column(layer_direction) as u32,
            keep: keep(direction),
            product: 1,
            epilogue: 1,
            // Without recurrent masks all layers share their uniforms.
            layer_direction: if self.drops_recurrent() { layer_direction as u32 } else { 0 },
            parameter_first: 0,
            parameter_ld: 0,
        }
    }

    /// The gradient of h of a (layer, direction) on its way back, at the beginning of the binding.
    pub(crate) fn carry_of_h(&self, layer_direction: usize) -> Binding {
        let plan = self.builder.plan;
        self.builder.tensor(*plan.projected_carries.get(layer_direction).unwrap_or(&plan.carries[layer_direction]))
    }

    /// Copies columns of a matrix that is stored like this to one that is not in halves.
    pub(crate) fn copy(&mut self, flags: &Binding, (from, storage): (&Binding, Storage), to: &Binding, uniform: Copy) {
        let (rows, width) = (uniform.rows as usize, uniform.width as usize);
        let grid = self.builder.limits.rows_and_columns(rows, width);
        self.builder.dispatch(
            COPY.stored(storage),
            &[],
            &[flags, from, to],
            &uniform,
            grid,
            Cost::each(rows * width, 1, 2),
        );
    }

    pub(crate) fn clear(&mut self, tensor: TensorId) {
        let binding = self.builder.tensor(tensor);
        self.builder.push(GpuCommand::Clear { to: binding.position(0), bytes: binding.bytes });
    }
}
