//! The buffers of a pass over \[T, B\]: what each holds, its bytes, and who writes it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::dispatch::NORM_RANGE;
use super::{
    ALIGNMENT, DeviceLimits, MAX_CHUNK, MAX_ITERATIONS, MIN_CHUNK, ParameterPlan, StepPlan, TensorSpec, vec4s,
};
use crate::error::{Error, Result};
use crate::memory::{Memory, MemoryPart};
use crate::model::{Cell, Head, Model, Readout, RecurrentKernel};

/// A buffer of the plan, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TensorId(pub(crate) usize);

/// A range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) tensor: TensorId,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// The buffers of a time chunk of n steps, which are those of the first chunk where they are made again: see
/// [`Checkpointing`].
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) steps: Range<usize>,
    /// \[L, B, H\] of h, then of c: the states that enter the chunk, where its other buffers are made again.
    pub(crate) border: Option<TensorId>,
    /// x, \[n, B, I\]: written by the host, from the caller's buffer or from the embedding, zero at padding. None where
    /// W_ih reads tokens itself.
    pub(crate) x: Option<TensorId>,
    /// What the host writes beside x, in one buffer: the spans below.
    pub(crate) host_inputs: TensorId,
    /// \[n, B\] flags of each step of each row.
    pub(crate) flags: Span,
    /// \[n, B\] token ids; \[V + 1\] and \[n·B\]: the rows sorted by token.
    pub(crate) tokens: Option<[Span; 3]>,
    /// Of each (layer, direction): \[n, B, kept·H\], the gates forward and dz backward.
    pub(crate) z: Vec<TensorId>,
    /// Of each (layer, direction): \[n + 1, B, H\], the states at the steps' borders; the first in its direction's
    /// order is copied in.
    pub(crate) h: Vec<TensorId>,
    /// The same of c, the LSTM's.
    pub(crate) c: Vec<TensorId>,
    /// A layer: \[n, B, D·H\], the output forward; backward, once it was read, the gradient with respect to it.
    pub(crate) y: Vec<TensorId>,
    /// dx, \[n, B, I\], where it is asked for, or goes on into the embedding.
    pub(crate) dx: Option<TensorId>,
}

/// A run of predictions: those of a chunk, or the one a row of a head at the last step or over the mean.
#[derive(Clone, Debug)]
pub(crate) struct Predictions {
    /// P·B of the run.
    pub(crate) rows: usize,
    /// The index of its first p.
    pub(crate) first: usize,
    /// The chunk whose labels hold targets and weights.
    pub(crate) chunk: usize,
    /// \[rows, D·H\]: what the head reads, unless that is the history as it lies; backward its gradient.
    pub(crate) features: TensorId,
    /// \[rows, O\]: logits, then da.
    pub(crate) logits: TensorId,
    /// \[rows\].
    pub(crate) losses: TensorId,
    /// \[rows\] classes, or \[rows, O\] values; or \[rows, O / Q\] values, and q and 1 − q of the Q quantiles behind them.
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
    /// Of each (layer, direction): \[B, H\]: the gradient with respect to h (c) on its way back; at the end dh_0 (dc_0).
    pub(crate) carry_h: Vec<TensorId>,
    pub(crate) carry_c: Vec<TensorId>,
    /// Of each (layer, direction), with recurrent dropout alone: \[2, B, H\], h through its mask as it enters this step
    /// and the next.
    pub(crate) h_masked: Vec<TensorId>,
    /// The results of products that are cut along k.
    pub(crate) scratch: TensorId,
    pub(crate) tensors: Vec<TensorSpec>,
    /// The bytes of all buffers.
    pub(crate) memory: Memory,
}

/// What a pass keeps of each chunk; the others go through buffers that all chunks share, and are made again where they are
/// needed a second time. Of networks of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Checkpointing {
    /// Everything.
    Everything,
    /// The states that enter it, all that training and a loss need; as the next two do.
    Borders,
    /// The last layer's output and its gradient, which a pass without a head hands over.
    Output,
    /// The logits.
    Logits,
}

/// The most chunks of all (layer, direction)s: each has buffers and commands of its own, and a host has to hold them.
const MAX_LAYER_CHUNKS: usize = 1 << 16;

/// What [`SequencePlan::new`] plans for beside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PassShape {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    /// Whether the input is token ids.
    pub(crate) tokens: bool,
    /// Whether dx is asked for.
    pub(crate) dx: bool,
    /// Whether a state is reset within the sequence.
    pub(crate) resets: bool,
    pub(crate) checkpointing: Checkpointing,
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
        let sizes = Vec4Sizes::new(model);
        let PassShape { steps, rows, tokens, checkpointing, .. } = shape;
        if rows.checked_mul(steps).is_none_or(|rows| rows > u32::MAX as usize / 64) {
            return Err(Error::value("T·B", "at most 67 million", format!("{steps}·{rows}")));
        }
        // A workgroup of the recurrent step may hold as few as 4 rows; one token may take every row of a step.
        let most = if tokens { MAX_ITERATIONS } else { 4 * limits.max_groups as usize };
        if rows > most {
            return Err(Error::value("B", format!("at most {most} rows at once on the GPU: take micro-batches"), rows));
        }
        sizes.check_loops(model)?;
        let chunk = chunk
            .or_else(|| (checkpointing != Checkpointing::Everything).then(|| cheapest_chunk(model, &sizes, steps)));
        let n = chunk_steps(&sizes, limits, shape, chunk);
        if steps.div_ceil(n).saturating_mul(r.num_layer_directions()) > MAX_LAYER_CHUNKS {
            let most = n.saturating_mul((MAX_LAYER_CHUNKS / r.num_layer_directions()).max(1));
            let expected = format!("at most {most} on the GPU, in chunks of {n}: take fewer or longer ones");
            return Err(Error::value("the time steps", expected, steps));
        }
        let mut plan = Self {
            steps,
            rows,
            step: limits.steps(rows, sizes.h4, r.cell.gates(), kernel),
            chunks: Vec::new(),
            predictions: Vec::new(),
            carry_h: Vec::new(),
            carry_c: Vec::new(),
            h_masked: Vec::new(),
            scratch: TensorId(0),
            tensors: Vec::new(),
            memory: Memory::default(),
        };
        for first in (0..steps).step_by(n) {
            plan.add_chunk(model, &sizes, shape, first..steps.min(first + n));
        }
        plan.add_carries(model, &sizes);
        let scratch = plan.scratch_bytes(model, parameters, limits) / 4;
        plan.scratch = plan.tensor(MemoryPart::Workspace, "scratch".into(), scratch);
        plan.tensors.iter().try_for_each(|spec| limits.check(spec))?;
        Ok(plan)
    }

    /// The buffers of the next chunk, which has these steps.
    fn add_chunk(&mut self, model: &Model, sizes: &Vec4Sizes, shape: PassShape, chunk: Range<usize>) {
        let (r, layer_directions) = (&model.recurrent, layer_direction_names(model));
        let PassShape { steps, rows, tokens, dx, checkpointing, .. } = shape;
        let (index, n) = (self.chunks.len(), chunk.len());
        let shared = self.chunks.first().filter(|_| checkpointing != Checkpointing::Everything).cloned();
        let again = |of: fn(&Chunk) -> &Vec<TensorId>| shared.as_ref().map(|chunk| of(chunk).clone());
        let mut tensor = |part, name: &str, numbers: u64| self.tensor(part, format!("{name}[{index}]"), numbers);
        let border = (checkpointing != Checkpointing::Everything && n < steps)
            .then(|| tensor(MemoryPart::States, "border", carried_numbers(model, rows)));
        let numbers = |rows: usize, vec4s: usize| 4 * rows as u64 * vec4s as u64;
        let (inputs, outputs) = (numbers(n * rows, sizes.x4), numbers(n * rows, sizes.y4));
        let history = numbers((n + 1) * rows, sizes.h4);
        // What the host writes or asks for is of every chunk; an embedding's vectors are looked up again.
        let embedded = shared.as_ref().filter(|_| model.embedding.is_some());
        let x = embedded.map_or_else(
            || (!tokens || model.embedding.is_some()).then(|| tensor(MemoryPart::Input, "x", inputs)),
            |chunk| chunk.x,
        );
        let dx = embedded.map_or_else(
            || (dx && !tokens || model.embedding.is_some()).then(|| tensor(MemoryPart::Outputs, "dx", inputs)),
            |chunk| chunk.dx,
        );
        let mut of_layer_directions = |part, name: &str, numbers: u64| -> Vec<TensorId> {
            layer_directions.iter().map(|s| tensor(part, &format!("{name}_{s}"), numbers)).collect()
        };
        let gates = numbers(n * rows, sizes.z4);
        let z = again(|chunk| &chunk.z).unwrap_or_else(|| of_layer_directions(MemoryPart::Gates, "z", gates));
        let h = again(|chunk| &chunk.h).unwrap_or_else(|| of_layer_directions(MemoryPart::States, "h", history));
        let c = match r.cell {
            Cell::Lstm => {
                again(|chunk| &chunk.c).unwrap_or_else(|| of_layer_directions(MemoryPart::States, "c", history))
            }
            _ => Vec::new(),
        };
        let y = (0..r.layers)
            .map(|l| match &shared {
                Some(chunk) if checkpointing != Checkpointing::Output || l + 1 < r.layers => chunk.y[l],
                _ => tensor(MemoryPart::Outputs, &format!("y_l{l}"), outputs),
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
        let chunk = Chunk { steps: chunk, border, x, host_inputs, flags, tokens, z, h, c, y, dx };
        if let (Some(head), Some(spans)) = (&model.head, spans) {
            self.add_predictions(head, sizes, checkpointing, &chunk, spans);
        }
        self.chunks.push(chunk);
    }

    /// The predictions of a chunk that is not yet added: their number, and the spans of targets, weights and shares.
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
        // Each chunk's own, so that they are added up in the end, in their order.
        let losses = self.tensor(MemoryPart::Head, format!("losses[{index}]"), rows as u64);
        let first = if head.readout == Readout::PerStep { chunk.steps.start } else { 0 };
        let run = Predictions { rows, first, chunk: index, features, logits, losses, targets, weights, shares };
        self.predictions.push(run);
    }

    /// What goes from chunk to chunk.
    fn add_carries(&mut self, model: &Model, sizes: &Vec4Sizes) {
        let (r, layer_directions) = (&model.recurrent, layer_direction_names(model));
        let states = 4 * self.rows as u64 * sizes.h4 as u64;
        let mut carries = |name: &str, numbers: u64| -> Vec<TensorId> {
            layer_directions
                .iter()
                .map(|s| self.tensor(MemoryPart::Workspace, format!("{name}_{s}"), numbers))
                .collect()
        };
        let carry_h = carries("carry_h", states);
        let carry_c = if r.cell.has_cell_state() { carries("carry_c", states) } else { Vec::new() };
        let h_masked = if r.recurrent_dropout > 0.0 { carries("entering_h", 2 * states) } else { Vec::new() };
        (self.carry_h, self.carry_c, self.h_masked) = (carry_h, carry_c, h_masked);
    }

    fn tensor(&mut self, part: MemoryPart, name: String, numbers: u64) -> TensorId {
        let bytes = (4 * numbers).max(16).next_multiple_of(16);
        self.memory.add(part, bytes);
        self.tensors.push(TensorSpec { name, bytes });
        TensorId(self.tensors.len() - 1)
    }

    fn scratch_bytes(&self, model: &Model, parameters: &ParameterPlan, limits: &DeviceLimits) -> u64 {
        use crate::model::Role::{HeadWeight, WeightHh, WeightIh};
        let sizes = Vec4Sizes::new(model);
        // The last chunk may be shorter, and yet be cut into more parts: a part's size is rounded.
        let lengths: BTreeSet<usize> = self.chunks.iter().map(|chunk| chunk.steps.len() * self.rows).collect();
        let weights = (0..model.recurrent.num_layer_directions())
            .flat_map(|layer_direction| [WeightIh { layer_direction }, WeightHh { layer_direction }])
            .flat_map(|role| lengths.iter().map(move |k| (role, *k)));
        let head = self.predictions.iter().map(|run| (HeadWeight, run.rows));
        let bytes = weights.chain(head).map(|(role, k)| {
            let weight = parameters.get(role);
            let columns = match role {
                HeadWeight => sizes.o4,
                // Those of both biases.
                _ => sizes.z4,
            };
            let product = limits.weight_gradient(weight.rows(), 4 * weight.ld(), k).scratch;
            product.max(limits.column_sum(k, columns).2)
        });
        bytes.max().unwrap_or(0)
    }

    /// The span of a whole tensor.
    pub(crate) fn whole(&self, tensor: TensorId) -> Span {
        Span { tensor, offset: 0, bytes: self.tensors[tensor.0].bytes }
    }

    /// The bytes of all buffers, and of about as many uniforms as their commands will have: equal ones share a place, so
    /// it is one for each dispatch of a direction's steps over the longest chunk and for each other kernel of a layer.
    /// Masks are a layer's own, and those between layers a chunk's own.
    pub(crate) fn planned(&self, model: &Model) -> Memory {
        let recurrent = &model.recurrent;
        let longest = self.chunks[0].steps.len();
        let steps = recurrent.directions() * (2 * longest + 1).div_ceil(self.step.count);
        let of_layers = if recurrent.recurrent_dropout > 0.0 { (steps + 4) * recurrent.layers } else { steps };
        let between = if recurrent.dropout > 0.0 { 3 * (recurrent.layers - 1) * self.chunks.len() } else { 0 };
        let mut memory = self.memory;
        memory.add(
            MemoryPart::Workspace,
            ALIGNMENT * (of_layers + between + 12 * recurrent.num_layer_directions() + 8) as u64,
        );
        memory
    }

    /// The bytes of the norms of dh_t and of the uniforms of what takes them, whose commands are about as many as all others.
    pub(crate) fn planned_gradient_norms(&self, model: &Model) -> u64 {
        self.gradient_norms().bytes + self.planned_uniforms(model)
    }

    /// What a pass over a smaller shape, on the same buffers, takes beside them at the most; with `gradient_norms` also
    /// for the norms.
    pub(crate) fn planned_further(&self, model: &Model, gradient_norms: bool) -> u64 {
        self.planned_uniforms(model) + if gradient_norms { self.planned_gradient_norms(model) } else { 0 }
    }

    fn planned_uniforms(&self, model: &Model) -> u64 {
        self.planned(model).total() - self.memory.total()
    }

    /// Parts of the norm of a step's dh_t, each of a range of its rows and units.
    pub(crate) fn gradient_norm_parts(&self) -> usize {
        let widest = self.carry_h.iter().map(|carry| self.tensors[carry.0].bytes as usize / 16).max();
        widest.unwrap_or(0).div_ceil(NORM_RANGE).max(1)
    }

    /// The norms of dh_t of every (layer, direction) and step, each part two numbers. No pass has them unless asked.
    pub(crate) fn gradient_norms(&self) -> TensorSpec {
        let bytes = 8 * (self.carry_h.len() * self.steps * self.gradient_norm_parts()) as u64;
        TensorSpec { name: "flow".into(), bytes: bytes.next_multiple_of(16) }
    }
}

/// What the buffers of each (layer, direction) are called by.
fn layer_direction_names(model: &Model) -> Vec<String> {
    let directions = model.recurrent.directions();
    (0..model.recurrent.num_layer_directions())
        .map(|layer_direction| {
            format!("l{}{}", layer_direction / directions, ["", "_reverse"][layer_direction % directions])
        })
        .collect()
}

/// The states of `rows` rows between batches: h of every (layer, direction), then c.
pub(crate) fn carried_states(model: &Model, rows: usize) -> TensorSpec {
    TensorSpec { name: "carried states".into(), bytes: 4 * carried_numbers(model, rows) }
}

fn carried_numbers(model: &Model, rows: usize) -> u64 {
    let kinds = 1 + u64::from(model.recurrent.cell.has_cell_state());
    4 * kinds * model.recurrent.num_layer_directions() as u64 * rows as u64 * vec4s(model.recurrent.hidden_size) as u64
}

/// Rows in vec4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vec4Sizes {
    /// I.
    pub(crate) x4: usize,
    /// H.
    pub(crate) h4: usize,
    /// What a step keeps: G·H, or for the GRU 4·H.
    pub(crate) z4: usize,
    /// D·H.
    pub(crate) y4: usize,
    /// O.
    pub(crate) o4: usize,
    /// O, not rounded.
    pub(crate) outputs: usize,
    /// Numbers a target: 1 for a class.
    pub(crate) target: usize,
    /// What the host tells of the quantiles, q and 1 − q of each; 0 where the loss is of none.
    quantiles: usize,
    /// Whether the head is over the mean of all steps.
    mean: bool,
}

impl Vec4Sizes {
    pub(crate) fn new(model: &Model) -> Self {
        let r = &model.recurrent;
        let h4 = vec4s(r.hidden_size);
        let kept = if r.cell == Cell::Gru { 4 } else { r.cell.gates() };
        let outputs = model.head.as_ref().map_or(0, |head| head.outputs);
        Self {
            // Tied vectors lie as the head reads them.
            x4: if model.is_tied() { r.directions() * h4 } else { vec4s(r.input_size) },
            h4,
            z4: kept * h4,
            y4: r.directions() * h4,
            o4: vec4s(outputs),
            outputs,
            target: model
                .head
                .as_ref()
                .map_or(0, |head| if head.loss.takes_classes() { 1 } else { head.target_size() }),
            quantiles: model.head.as_ref().map_or(0, |head| 2 * head.loss.quantiles().len()),
            mean: model.head.as_ref().is_some_and(|head| head.readout == Readout::MeanPool),
        }
    }
}

impl Vec4Sizes {
    /// Refuses sizes over which an invocation cannot loop.
    fn check_loops(&self, model: &Model) -> Result<()> {
        let gates4 = model.recurrent.cell.gates() * self.h4;
        let loops = [("input_size", self.x4), ("hidden_size", gates4.max(self.y4)), ("outputs", self.o4)];
        match loops.into_iter().find(|(_, vec4s)| *vec4s > MAX_ITERATIONS) {
            Some((name, vec4s)) => {
                let expected = format!("at most {} numbers in a product on the GPU", 4 * MAX_ITERATIONS);
                Err(Error::value(name, expected, 4 * vec4s))
            }
            None => Ok(()),
        }
    }
}

/// The spans of the buffer that the host writes beside x, each at an aligned offset.
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

/// The chunk of a pass that keeps only borders which takes the least memory: a step more costs its buffers once, a chunk
/// more its border, and the sum is least where they are alike.
fn cheapest_chunk(model: &Model, sizes: &Vec4Sizes, steps: usize) -> usize {
    let states = sizes.h4 * (1 + usize::from(model.recurrent.cell.has_cell_state()));
    let logits = model.head.as_ref().map_or(0, |head| if head.readout == Readout::PerStep { sizes.o4 } else { 0 });
    let step = model.recurrent.layers * (sizes.z4 + states + sizes.y4) + logits;
    let border = model.recurrent.layers * states;
    ((steps as f64 * border as f64 / step as f64).sqrt() as usize).max(MIN_CHUNK)
}

/// The longest chunk whose tensors are within the limits; at least one step, whose size is then refused by name.
fn chunk_steps(sizes: &Vec4Sizes, limits: &DeviceLimits, shape: PassShape, chunk: Option<usize>) -> usize {
    let PassShape { steps, rows, tokens, .. } = shape;
    let widest = sizes.x4.max(sizes.z4).max(sizes.y4).max(sizes.o4);
    let bytes_per_step = 16 * rows as u64 * widest as u64;
    let by_bytes = limits.max_binding.min(limits.max_buffer) / bytes_per_step.max(1);
    // The history has one state more than the chunk has steps, and the labels hold several numbers a row.
    let history = (limits.max_binding / (16 * rows as u64 * sizes.h4 as u64)).saturating_sub(1);
    let host_inputs = limits.max_binding / (4 * rows as u64 * (4 + sizes.outputs.max(1)) as u64);
    // The narrowest tiles of any kernel put 32 rows into a workgroup.
    let groups = u64::from(limits.max_groups) * 32 / rows as u64;
    let mut most = by_bytes.min(history).min(host_inputs).min(groups).min(MAX_CHUNK as u64) as usize;
    if tokens {
        // In the worst case one token takes every row of the chunk.
        most = most.min(MAX_ITERATIONS / rows);
    }
    chunk.unwrap_or(most).min(most).clamp(1, steps)
}
