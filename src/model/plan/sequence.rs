//! The buffers of a pass over \[T, B\]: contents, size and writer of each.

use std::ops::Range;

use super::dispatch::NORM_RANGE;
use super::{
    ALIGNMENT, DeviceLimits, MAX_CHUNK, MIN_CHUNK, ParameterPlan, StateKind, StepPlan, Storage, TensorSpec, Vec4Sizes,
    scratch,
};
use crate::error::{Error, Result};
use crate::memory::{Memory, MemoryPart};
use crate::model::{Head, Model, Precision, Readout, RecurrentKernel};

/// The index of a buffer in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TensorId(pub(crate) usize);

/// A range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) tensor: TensorId,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// The buffers of a time chunk of n steps. Recomputed buffers are those of the first chunk: see [`Checkpointing`].
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) steps: Range<usize>,
    /// \[L, B, S\] of h, then \[L, B, H\] of c: the states entering the chunk, if its other buffers are recomputed.
    pub(crate) border: Option<TensorId>,
    /// x, \[n, B, I\], zero at padding: written by the host, copied from the caller's buffer or looked up in the
    /// embedding. `None` if W_ih reads tokens.
    pub(crate) x: Option<TensorId>,
    /// The host's other inputs, in one buffer: the spans below.
    pub(crate) host_inputs: TensorId,
    /// \[n, B\] flags of each step of each row.
    pub(crate) flags: Span,
    /// \[n, B\] token ids; \[V + 1\] and \[n·B\], the rows sorted by token.
    pub(crate) tokens: Option<[Span; 3]>,
    /// Per (layer, direction): \[n, B, kept·H\], gates forward and dz backward.
    pub(crate) z: Vec<TensorId>,
    /// Per (layer, direction): \[n + 1, B, S\], the states before and after each step. The first one in the direction's
    /// order is copied in.
    pub(crate) h: Vec<TensorId>,
    /// The same for c, \[n + 1, B, H\]; empty if the cell has none.
    pub(crate) c: Vec<TensorId>,
    /// Per (layer, direction): \[n, B, H\], what the cell computes and W_hr projects to h; empty without a projection.
    pub(crate) m: Vec<TensorId>,
    /// Per layer: \[n, B, D·S\], the output forward; backward, once read, its gradient. With a projection, and in passes
    /// with gradient norms, a backward step leaves the whole dh_t there.
    pub(crate) y: Vec<TensorId>,
    /// dx, \[n, B, I\], if requested or needed by the embedding.
    pub(crate) dx: Option<TensorId>,
}

/// A range of predictions: those of a chunk, or one per row for a head at the last step or over the mean.
#[derive(Clone, Debug)]
pub(crate) struct Predictions {
    /// P·B of the range.
    pub(crate) rows: usize,
    /// The index of its first p.
    pub(crate) first: usize,
    /// The chunk whose host inputs contain targets and weights.
    pub(crate) chunk: usize,
    /// \[rows, D·S\]: the head's input, unless it reads the history directly; backward its gradient.
    pub(crate) features: TensorId,
    /// \[rows, O\]: logits, then da.
    pub(crate) logits: TensorId,
    /// \[rows\] classes, or \[rows, O\] values; or \[rows, O / Q\] values, followed by q and 1 − q of the Q quantiles.
    pub(crate) targets: Span,
    /// \[rows\].
    pub(crate) weights: Span,
    /// \[B\]: 1 / length of each row, for a head over the mean.
    pub(crate) shares: Option<Span>,
}

/// The plan of a pass over \[T, B\].
#[derive(Clone, Debug)]
pub(crate) struct SequencePlan {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    pub(crate) step: StepPlan,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) predictions: Vec<Predictions>,
    /// The losses of a range of predictions, if they are the caller's.
    pub(crate) custom_losses: Option<TensorId>,
    /// Per (layer, direction): \[B, H\], the gradient with respect to h on its way back, finally dh_0, or with a
    /// projection the gradient of m_t; then, if the cell has c, the same for c.
    pub(crate) carries: Vec<TensorId>,
    /// Per (layer, direction), with a projection only: \[B, S\], the gradient with respect to h on its way back.
    pub(crate) projected_carries: Vec<TensorId>,
    /// vec4 per row of the gradient of h, and of the cell's own.
    carry_vec4s: [usize; 2],
    /// Per (layer, direction), with recurrent dropout only: \[2, B, S\], masked h as it enters this step and the next.
    pub(crate) h_masked: Vec<TensorId>,
    /// Per direction, if a chunk looks up more rows than there are tokens: the first layer's W_ih transposed, \[V, G·H\].
    pub(crate) token_weights: Vec<TensorId>,
    /// Gradients whose sums are in parts.
    pub(crate) scratch: TensorId,
    pub(crate) tensors: Vec<TensorSpec>,
    /// How each of them is stored.
    pub(crate) storage: Vec<Storage>,
    /// The memory of all buffers.
    pub(crate) memory: Memory,
}

/// What a pass keeps of each chunk. Everything else is in buffers shared by all chunks and recomputed when needed
/// again. For unidirectional networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Checkpointing {
    /// Everything; nothing is recomputed.
    Everything,
    /// The states entering each chunk: all that training and a loss need. The next two keep them too.
    Borders,
    /// The last layer's output and its gradient, for a pass without a head.
    Output,
    /// The logits.
    Logits,
}

/// The maximum number of chunks over all (layer, direction) pairs. Each has its own buffers and commands on the host.
const MAX_LAYER_CHUNKS: usize = 1 << 16;

/// The input of [`SequencePlan::new`] besides the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PassShape {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    /// Whether the input consists of token ids.
    pub(crate) tokens: bool,
    /// Whether dx is requested.
    pub(crate) dx: bool,
    /// Whether a state is reset within the sequence.
    pub(crate) resets: bool,
    pub(crate) checkpointing: Checkpointing,
    /// Whether the loss is the caller's.
    pub(crate) custom_loss: bool,
    pub(crate) precision: Precision,
}

impl SequencePlan {
    pub(crate) fn new(
        model: &Model,
        parameters: &ParameterPlan,
        limits: &DeviceLimits,
        shape: PassShape,
        chunk: Option<usize>,
        kernel: RecurrentKernel,
    ) -> Result<Self> {
        let r = &model.recurrent;
        let sizes = Vec4Sizes::new(model, shape.precision);
        let PassShape { steps, rows, tokens, checkpointing, .. } = shape;
        if rows.checked_mul(steps).is_none_or(|rows| rows > u32::MAX as usize / 64) {
            return Err(Error::value("T·B", "at most 67 million", format!("{steps}·{rows}")));
        }
        let step = limits.steps(rows, [sizes.h4, sizes.state4], r.cell.recurrent_gates(), kernel.for_network(r));
        // One token may select every row of a step.
        let most = if tokens { limits.max_turns } else { step.most_rows(limits) };
        if rows > most {
            return Err(Error::value("B", format!("at most {most} rows at once on the GPU; use micro-batches"), rows));
        }
        sizes.check_loops(limits.max_turns)?;
        let chunk = chunk
            .or_else(|| (checkpointing != Checkpointing::Everything).then(|| cheapest_chunk(model, &sizes, steps)));
        let n = chunk_steps(&sizes, limits, shape, chunk);
        if steps.div_ceil(n).saturating_mul(r.num_layer_directions()) > MAX_LAYER_CHUNKS {
            let most = n.saturating_mul((MAX_LAYER_CHUNKS / r.num_layer_directions()).max(1));
            let expected = format!("at most {most} on the GPU in chunks of {n}; use fewer steps or longer chunks");
            return Err(Error::value("the time steps", expected, steps));
        }
        let mut plan = Self {
            steps,
            rows,
            step,
            chunks: Vec::new(),
            predictions: Vec::new(),
            custom_losses: None,
            carries: Vec::new(),
            projected_carries: Vec::new(),
            carry_vec4s: [sizes.state4, sizes.h4],
            h_masked: Vec::new(),
            token_weights: Vec::new(),
            scratch: TensorId(0),
            tensors: Vec::new(),
            storage: Vec::new(),
            memory: Memory::default(),
        };
        for first in (0..steps).step_by(n) {
            plan.add_chunk(model, &sizes, shape, first..steps.min(first + n));
        }
        plan.add_carries(model, &sizes);
        // The first range of predictions is the longest.
        let longest = plan.predictions.first().filter(|_| shape.custom_loss).map(|run| run.rows as u64);
        plan.custom_losses = longest.map(|rows| plan.tensor(MemoryPart::Head, "losses".into(), rows));
        if tokens && model.embedding.is_none() && limits.packs_weights() && n * rows >= r.input_size {
            let numbers = 16 * sizes.x4 as u64 * sizes.input4 as u64;
            let directions = &layer_direction_names(model)[..r.directions()];
            let copies = directions
                .iter()
                .map(|of| plan.tensor(MemoryPart::Workspace, format!("transposed weight_ih_{of}"), numbers));
            plan.token_weights = copies.collect();
        }
        // The last chunk may be shorter and still have more parts, since part sizes are rounded.
        let chunks = plan.chunks.iter().map(|chunk| chunk.steps.len() * rows).collect();
        let predictions = plan.predictions.iter().map(|run| run.rows);
        let scratch = scratch::bytes(model, &sizes, parameters, limits, &chunks, predictions) / 4;
        plan.scratch = plan.tensor(MemoryPart::Workspace, "scratch".into(), scratch);
        plan.tensors.iter().try_for_each(|spec| limits.check(spec))?;
        Ok(plan)
    }

    /// Adds the buffers of the next chunk, which has these steps.
    fn add_chunk(&mut self, model: &Model, sizes: &Vec4Sizes, shape: PassShape, chunk: Range<usize>) {
        let (r, layer_directions) = (&model.recurrent, layer_direction_names(model));
        let PassShape { steps, rows, tokens, dx, checkpointing, .. } = shape;
        let (index, n, full) = (self.chunks.len(), chunk.len(), Storage::Full);
        let shared = self.chunks.first().filter(|_| checkpointing != Checkpointing::Everything).cloned();
        let again = |of: fn(&Chunk) -> &Vec<TensorId>| shared.as_ref().map(|chunk| of(chunk).clone());
        let mut tensor = |part, name: &str, numbers: u64, storage| {
            self.stored_tensor(part, format!("{name}[{index}]"), numbers, storage)
        };
        let border = (checkpointing != Checkpointing::Everything && n < steps)
            .then(|| tensor(MemoryPart::States, "border", carried_states(model, sizes, rows).bytes / 4, full));
        let numbers = |rows: usize, vec4s: usize| 4 * rows as u64 * vec4s as u64;
        let (inputs, outputs) = (numbers(n * rows, sizes.x4), numbers(n * rows, sizes.y4));
        let history = |kind| numbers((n + 1) * rows, sizes.of_state(kind));
        // Host inputs and requested outputs exist for every chunk. An embedding is looked up again.
        let embedded = shared.as_ref().filter(|_| model.embedding.is_some());
        let x = embedded.map_or_else(
            || (!tokens || model.embedding.is_some()).then(|| tensor(MemoryPart::Input, "x", inputs, full)),
            |chunk| chunk.x,
        );
        let dx = embedded.map_or_else(
            || (dx && !tokens || model.embedding.is_some()).then(|| tensor(MemoryPart::Outputs, "dx", inputs, full)),
            |chunk| chunk.dx,
        );
        let mut of_layer_directions = |part, name: &str, numbers: u64, storage| -> Vec<TensorId> {
            layer_directions.iter().map(|s| tensor(part, &format!("{name}_{s}"), numbers, storage)).collect()
        };
        let gates = numbers(n * rows, sizes.z4);
        let z = again(|chunk| &chunk.z)
            .unwrap_or_else(|| of_layer_directions(MemoryPart::Gates, "z", gates, sizes.storage));
        let h = again(|chunk| &chunk.h)
            .unwrap_or_else(|| of_layer_directions(MemoryPart::States, "h", history(StateKind::H), sizes.storage));
        let c = if r.cell.has_cell_state() {
            let history = history(StateKind::C);
            again(|chunk| &chunk.c).unwrap_or_else(|| of_layer_directions(MemoryPart::States, "c", history, full))
        } else {
            Vec::new()
        };
        let m = if r.proj_size.is_some() {
            let numbers = numbers(n * rows, sizes.h4);
            again(|chunk| &chunk.m).unwrap_or_else(|| of_layer_directions(MemoryPart::States, "m", numbers, full))
        } else {
            Vec::new()
        };
        let y = (0..r.layers)
            .map(|l| match &shared {
                Some(chunk) if checkpointing != Checkpointing::Output || l + 1 < r.layers => chunk.y[l],
                _ => tensor(MemoryPart::Outputs, &format!("y_l{l}"), outputs, full),
            })
            .collect();
        let mut host_inputs = HostInputs { id: TensorId(self.tensors.len()), bytes: 0 };
        let flags = host_inputs.span(n * rows);
        let tokens = tokens.then(|| {
            [host_inputs.span(n * rows), host_inputs.span(model.vocabulary() + 1), host_inputs.span(n * rows)]
        });
        let run = model.head.as_ref().and_then(|head| match head.readout {
            Readout::PerStep => Some(n * rows),
            Readout::Final | Readout::MeanPool => (index == 0).then_some(rows),
        });
        let spans = run.map(|run| {
            (
                run,
                host_inputs.span(run * sizes.target + sizes.quantiles),
                host_inputs.span(run),
                sizes.mean.then(|| host_inputs.span(rows)),
            )
        });
        let host_inputs = self.tensor(MemoryPart::Input, format!("labels[{index}]"), host_inputs.bytes / 4);
        let chunk = Chunk { steps: chunk, border, x, host_inputs, flags, tokens, z, h, c, m, y, dx };
        if let (Some(head), Some(spans)) = (&model.head, spans) {
            self.add_predictions(head, sizes, checkpointing, &chunk, spans);
        }
        self.chunks.push(chunk);
    }

    /// Adds the predictions of a chunk under construction: their number, and the spans of targets, weights and shares.
    fn add_predictions(
        &mut self,
        head: &Head,
        sizes: &Vec4Sizes,
        checkpointing: Checkpointing,
        chunk: &Chunk,
        (rows, targets, weights, shares): (usize, Span, Span, Option<Span>),
    ) {
        let index = self.chunks.len();
        let numbers = |vec4s: usize| 4 * rows as u64 * vec4s as u64;
        let features = match head.readout {
            Readout::PerStep => chunk.y[chunk.y.len() - 1],
            Readout::Final | Readout::MeanPool => self.tensor(MemoryPart::Head, "features".into(), numbers(sizes.y4)),
        };
        let shares_logits = index > 0 && !matches!(checkpointing, Checkpointing::Everything | Checkpointing::Logits);
        let logits = match self.predictions.first().filter(|_| shares_logits) {
            Some(run) => run.logits,
            None => self.tensor(MemoryPart::Head, format!("logits[{index}]"), numbers(sizes.o4)),
        };
        let first = if head.readout == Readout::PerStep { chunk.steps.start } else { 0 };
        let run = Predictions { rows, first, chunk: index, features, logits, targets, weights, shares };
        self.predictions.push(run);
    }

    /// Adds the buffers that pass data from chunk to chunk.
    fn add_carries(&mut self, model: &Model, sizes: &Vec4Sizes) {
        let (r, layer_directions) = (&model.recurrent, layer_direction_names(model));
        let [states, of_cell] = [sizes.state4, sizes.h4].map(|vec4s| 4 * self.rows as u64 * vec4s as u64);
        let mut carries = |name: &str, numbers: u64| -> Vec<TensorId> {
            layer_directions
                .iter()
                .map(|s| self.tensor(MemoryPart::Workspace, format!("{name}_{s}"), numbers))
                .collect()
        };
        let of_rows = carries("carry", of_cell * StateKind::of(r).len() as u64);
        let projected = if r.proj_size.is_some() { carries("projected_carry", states) } else { Vec::new() };
        let h_masked = if r.recurrent_dropout > 0.0 { carries("entering_h", 2 * states) } else { Vec::new() };
        (self.carries, self.projected_carries, self.h_masked) = (of_rows, projected, h_masked);
    }

    fn tensor(&mut self, part: MemoryPart, name: String, numbers: u64) -> TensorId {
        self.stored_tensor(part, name, numbers, Storage::Full)
    }

    fn stored_tensor(&mut self, part: MemoryPart, name: String, numbers: u64, storage: Storage) -> TensorId {
        let bytes = storage.bytes(numbers).max(16).next_multiple_of(16);
        self.memory.add(part, bytes);
        self.tensors.push(TensorSpec { name, bytes });
        self.storage.push(storage);
        TensorId(self.tensors.len() - 1)
    }

    /// The bytes of the gradient of h in a carry, and of the cell's own gradients: of h or m, and of c.
    fn carry_bytes(&self) -> [u64; 2] {
        self.carry_vec4s.map(|vec4s| 16 * self.rows as u64 * vec4s as u64)
    }

    /// Per (layer, direction): the gradient with respect to h, in the carries.
    pub(crate) fn carries_of_h(&self) -> impl Iterator<Item = Span> {
        let [bytes, _] = self.carry_bytes();
        let carries = if self.projected_carries.is_empty() { &self.carries } else { &self.projected_carries };
        carries.iter().map(move |tensor| Span { tensor: *tensor, offset: 0, bytes })
    }

    /// The same with respect to c; empty if the cell has none.
    pub(crate) fn carries_of_c(&self) -> impl Iterator<Item = Span> {
        let [_, bytes] = self.carry_bytes();
        let with_c = self.carries.iter().filter(move |tensor| self.tensors[tensor.0].bytes > bytes);
        with_c.map(move |tensor| Span { tensor: *tensor, offset: bytes, bytes })
    }

    /// The span of a whole tensor.
    pub(crate) fn whole(&self, tensor: TensorId) -> Span {
        Span { tensor, offset: 0, bytes: self.tensors[tensor.0].bytes }
    }

    /// The memory of all buffers and approximately of the uniforms. Equal uniforms are shared: one per dispatch of a
    /// direction's steps over the longest chunk, and one per other kernel of a layer. With dropout, masks need their
    /// own per layer, and masks between layers also per chunk.
    pub(crate) fn planned(&self, model: &Model) -> Memory {
        let recurrent = &model.recurrent;
        let longest = self.chunks[0].steps.len();
        let dispatches = if recurrent.proj_size.is_some() {
            // Forward the cell, the product and with recurrent dropout the masks; backward dh_t, the product and the cell.
            (5 + usize::from(recurrent.recurrent_dropout > 0.0)) * longest + 1
        } else {
            (2 * longest + 1).div_ceil(self.step.count)
        };
        let steps = recurrent.directions() * dispatches;
        let of_layers = if recurrent.recurrent_dropout > 0.0 { (steps + 4) * recurrent.layers } else { steps };
        let between = if recurrent.dropout > 0.0 { 3 * (recurrent.layers - 1) * self.chunks.len() } else { 0 };
        let mut memory = self.memory;
        memory.add(
            MemoryPart::Workspace,
            ALIGNMENT * (of_layers + between + 12 * recurrent.num_layer_directions() + 8) as u64,
        );
        memory
    }

    /// The bytes of the norms of dh_t and of the uniforms of their commands, which are about as many as all others.
    pub(crate) fn planned_gradient_norms(&self, model: &Model) -> u64 {
        self.gradient_norms().bytes + self.planned_uniforms(model)
    }

    /// An upper bound of what a pass over a smaller shape needs besides the shared buffers; with `gradient_norms`
    /// including the norms.
    pub(crate) fn planned_further(&self, model: &Model, gradient_norms: bool) -> u64 {
        self.planned_uniforms(model) + if gradient_norms { self.planned_gradient_norms(model) } else { 0 }
    }

    fn planned_uniforms(&self, model: &Model) -> u64 {
        self.planned(model).total() - self.memory.total()
    }

    /// The number of parts of the norm of a step's dh_t, each over a range of rows and units.
    pub(crate) fn gradient_norm_parts(&self) -> usize {
        (self.rows * self.carry_vec4s[0]).div_ceil(NORM_RANGE).max(1)
    }

    /// The norms of dh_t of every (layer, direction) and step, two numbers per part. Allocated on request only.
    pub(crate) fn gradient_norms(&self) -> TensorSpec {
        let bytes = 8 * (self.carries.len() * self.steps * self.gradient_norm_parts()) as u64;
        TensorSpec { name: "flow".into(), bytes: bytes.next_multiple_of(16) }
    }
}

/// The suffixes of buffer names for each (layer, direction).
fn layer_direction_names(model: &Model) -> Vec<String> {
    let recurrent = &model.recurrent;
    (0..recurrent.num_layer_directions()).map(|layer_direction| recurrent.suffix(layer_direction)).collect()
}

/// The carried states of `rows` rows: h of every (layer, direction), then c.
pub(crate) fn carried_states(model: &Model, sizes: &Vec4Sizes, rows: usize) -> TensorSpec {
    let states: u64 = StateKind::of(&model.recurrent).iter().map(|kind| sizes.state_bytes(*kind, rows)).sum();
    let bytes = (model.recurrent.num_layer_directions() as u64 * states).next_multiple_of(16);
    TensorSpec { name: "carried states".into(), bytes }
}

/// The spans of the buffer of host inputs, each aligned.
struct HostInputs {
    id: TensorId,
    bytes: u64,
}

impl HostInputs {
    fn span(&mut self, words: usize) -> Span {
        let span = Span { tensor: self.id, offset: self.bytes, bytes: 4 * words as u64 };
        self.bytes += span.bytes.next_multiple_of(ALIGNMENT);
        span
    }
}

/// The chunk length that needs the least memory when only states between chunks are kept. One more step costs its
/// buffers, one more chunk its border; the sum is smallest where both are equal.
fn cheapest_chunk(model: &Model, sizes: &Vec4Sizes, steps: usize) -> usize {
    let states: usize = StateKind::of(&model.recurrent).iter().map(|kind| sizes.of_state(*kind)).sum();
    let m = if model.recurrent.proj_size.is_some() { sizes.h4 } else { 0 };
    let logits = model.head.as_ref().map_or(0, |head| if head.readout == Readout::PerStep { sizes.o4 } else { 0 });
    let step = model.recurrent.layers * (sizes.z4 + states + m + sizes.y4) + logits;
    let border = model.recurrent.layers * states;
    ((steps as f64 * border as f64 / step as f64).sqrt() as usize).max(MIN_CHUNK)
}

/// The longest chunk whose tensors are within the limits. At least one step; if even that is too large, the size check
/// reports it.
fn chunk_steps(sizes: &Vec4Sizes, limits: &DeviceLimits, shape: PassShape, chunk: Option<usize>) -> usize {
    let PassShape { steps, rows, tokens, .. } = shape;
    let bytes = |vec4s: usize, storage: Storage| storage.bytes(4 * rows as u64 * vec4s as u64);
    let widest = sizes.x4.max(sizes.y4).max(sizes.o4);
    let bytes_per_step = bytes(widest, Storage::Full).max(bytes(sizes.z4, sizes.storage));
    let by_bytes = limits.max_binding.min(limits.max_buffer) / bytes_per_step.max(1);
    // The history has one more state than there are steps, and the host inputs hold several numbers per row.
    let history = (limits.max_binding / (16 * rows as u64 * sizes.h4 as u64)).saturating_sub(1);
    let host_inputs = limits.max_binding / (4 * rows as u64 * (4 + sizes.outputs.max(1)) as u64);
    // The smallest tile of any kernel covers 32 rows per workgroup.
    let groups = u64::from(limits.max_groups) * 32 / rows as u64;
    let mut most = by_bytes.min(history).min(host_inputs).min(groups).min(MAX_CHUNK as u64) as usize;
    if tokens {
        // In the worst case, one token selects every row of the chunk.
        most = most.min(limits.max_turns / rows);
    }
    chunk.unwrap_or(most).min(most).clamp(1, steps)
}
