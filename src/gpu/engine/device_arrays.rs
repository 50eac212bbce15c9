//! Forward and backward passes on device buffers of the caller, without transfer to the host.

use super::GpuEngine;
use crate::allocate;
use crate::batch::{Input, Sequence};
use crate::error::{Error, Result};
use crate::gpu::commands::builder::{Binding, Builder};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::uniforms::{Copy, Narrow};
use crate::gpu::device::kernel::{COPY, NARROW};
use crate::gpu::pass::staging::HostInputs;
use crate::gpu::pass::{PassKind, StateEnds};
use crate::gpu::record::ALIVE;
use crate::memory::BatchShape;
use crate::model::Recurrent;
use crate::model::plan::{ALIGNMENT, Checkpointing, Cost, Span, StateKind, Storage, TensorId};
use crate::sizes::{Count, ON_DEVICE};

/// Device buffers of the caller: packed f32, with usage `STORAGE`. `None` means zeros for inputs, and no output.
///
/// | | `sequence` | `h`, `c` |
/// |---|---|---|
/// | forward reads | x, \[T, B, I\] | h_0, \[L·D, B, S\], c_0, \[L·D, B, H\] |
/// | forward writes | output, \[T, B, D·S\] | h_n, c_n |
/// | backward reads | d_output, \[T, B, D·S\] | d_h_n, d_c_n |
/// | backward writes | dx, \[T, B, I\] | dh_0, dc_0 |
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceArrays<'a> {
    /// The sequence, see the table.
    pub sequence: Option<&'a wgpu::Buffer>,
    /// h of each (layer, direction), see the table.
    pub h: Option<&'a wgpu::Buffer>,
    /// c of each (layer, direction), for cells with c only.
    pub c: Option<&'a wgpu::Buffer>,
}

impl DeviceArrays<'_> {
    fn check(&self, recurrent: &Recurrent, (steps, rows, size): (usize, usize, usize), names: [&str; 3]) -> Result<()> {
        let states = |size| Count::from(rows) * recurrent.num_layer_directions() * size;
        let (of_h, of_c) = (states(recurrent.state_size()), states(recurrent.hidden_size));
        let numbers = Count::from(steps) * rows * size;
        for (name, buffer, numbers) in
            [(names[0], self.sequence, numbers), (names[1], self.h, of_h), (names[2], self.c, of_c)]
        {
            let Some(buffer) = buffer else { continue };
            if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
                return Err(Error::value(name, "a buffer with the usage STORAGE", format!("{:?}", buffer.usage())));
            }
            let bytes = (numbers * 4usize).get();
            if buffer.size() != bytes {
                let expected = format!("a buffer of {bytes} bytes");
                return Err(Error::value(name, expected, format!("{} bytes", buffer.size())));
            }
        }
        match self.c {
            Some(_) if !recurrent.cell.has_cell_state() => {
                Err(Error::Unsupported(format!("the cell {} has no {}", recurrent.cell.name(), names[2])))
            }
            _ => Ok(()),
        }
    }
}

/// The direction of a copy between the caller's layout and the padded one.
#[derive(Clone, Copy, PartialEq)]
enum TransferDirection {
    In,
    Out,
}

/// A copy between the caller's buffer and a tensor of the pass.
struct Transfer<'a> {
    way: TransferDirection,
    /// The caller's buffer, and the index of the first element in it.
    buffer: &'a wgpu::Buffer,
    first: usize,
    /// The position of the rows in a buffer of the pass.
    position: BufferOffset,
    rows: usize,
    /// Consecutive parts of a row, each padded to whole vec4 in the tensor.
    parts: usize,
    part: usize,
    /// The chunk whose flags mask the rows.
    masked: Option<usize>,
    /// Room for the rows on the way into a tensor of halves.
    through: Option<Span>,
}

impl<'a> Transfer<'a> {
    /// A copy of `rows` rows, between element `first` of the caller's buffer and a position in the pass.
    fn new(
        way: TransferDirection,
        buffer: &'a wgpu::Buffer,
        first: usize,
        position: BufferOffset,
        [rows, parts, part]: [usize; 3],
    ) -> Self {
        Self { way, buffer, first, position, rows, parts, part, masked: None, through: None }
    }
}

impl GpuEngine {
    /// Runs the recurrent layers forward on the caller's buffers, for `steps` × `rows` with `lengths` as in
    /// [`Sequence`]. Enqueues only. Never reads x at padding.
    ///
    /// # Errors
    /// [`Error::Value`] for a buffer of the wrong size or usage, and a length out of range.
    #[expect(clippy::missing_panics_doc, reason = "a pass that was planned for x has a place for it")]
    pub fn forward_on_device(
        &mut self,
        (steps, rows): (usize, usize),
        lengths: Option<&[usize]>,
        from: DeviceArrays<'_>,
        to: DeviceArrays<'_>,
    ) -> Result<()> {
        let recurrent = self.weights.model.recurrent.clone();
        let Some(x) = from.sequence else {
            return Err(Error::Unsupported("a forward pass needs x".into()));
        };
        if self.weights.model.embedding.is_some() {
            let reason = "a model with an embedding reads token ids, not x from a buffer";
            return Err(Error::Unsupported(reason.into()));
        }
        let batch_shape = BatchShape::new(steps, rows);
        batch_shape.check(&self.weights.model, ON_DEVICE)?;
        from.check(&recurrent, (steps, rows, recurrent.input_size), ["x", "h_0", "c_0"])?;
        to.check(&recurrent, (steps, rows, recurrent.output_size()), ["output", "h_n", "c_n"])?;
        // Lengths, checks and flags are those of a token sequence, whose tokens are never read.
        let tokens = Input::Tokens(allocate::array((steps, rows), "the flags of every step")?);
        let sequence: Sequence =
            Sequence { input: tokens, lengths: lengths.map(<[usize]>::to_vec), resets: None, initial: None };
        sequence.validate(&self.weights.model)?;
        let dropout = self.dropout_params(rows)?;
        self.prepare(self.shape(batch_shape, true, Checkpointing::Output))?;
        self.stage_host_inputs(&sequence, HostInputs::Backward);
        self.stage_dropout(dropout);
        let (i, s) = (recurrent.input_size, recurrent.state_size());
        let mut load = Vec::new();
        let mut store = Vec::new();
        for (index, chunk) in self.pass().plan.chunks.iter().enumerate() {
            let n = chunk.steps.len() * rows;
            let first = chunk.steps.start * rows;
            let position = self.position(chunk.x.expect("a dense pass has x"));
            load.push(Transfer {
                masked: Some(index),
                ..Transfer::new(TransferDirection::In, x, first * i, position, [n, 1, i])
            });
            let (y, shape) = (self.position(chunk.y[recurrent.layers - 1]), [n, recurrent.directions(), s]);
            let first = first * recurrent.output_size();
            store.extend(to.sequence.map(|buffer| Transfer::new(TransferDirection::Out, buffer, first, y, shape)));
        }
        let mut clear = Vec::new();
        let halves = Some(self.weights.sizes.storage).filter(|storage| !storage.is_full());
        let carries: Vec<Span> = self.pass().plan.carries_of_h().collect();
        for StateEnds { of: (kind, layer_direction), enters, leaves, bytes } in &self.pass().ends {
            let (from, to, size) = match kind {
                StateKind::H => (from.h, to.h, s),
                StateKind::C => (from.c, to.c, recurrent.hidden_size),
            };
            // Forward, the carries are free.
            let through = halves.filter(|_| *kind == StateKind::H).map(|_| carries[*layer_direction]);
            let transfer = |way, buffer, position: &BufferOffset| {
                let first = layer_direction * rows * size;
                Transfer { through, ..Transfer::new(way, buffer, first, position.clone(), [rows, 1, size]) }
            };
            match from {
                Some(buffer) => load.push(transfer(TransferDirection::In, buffer, enters)),
                None => clear.push(GpuCommand::Clear { to: enters.clone(), bytes: *bytes }),
            }
            store.extend(to.map(|buffer| transfer(TransferDirection::Out, buffer, leaves)));
        }
        let (load, store) = (self.transfers(&load)?, self.transfers(&store)?);
        let pack = self.pack();
        let forward = self.pass().forward(PassKind::Output).into_iter().flatten();
        self.recorder.record(pack.iter().chain(&clear).chain(&load).chain(forward).chain(&store));
        self.recorder.submit();
        self.last.finished_forward(batch_shape);
        Ok(())
    }

    /// Runs the last forward pass backward on the caller's buffers: adds to the gradient sums. Enqueues only.
    ///
    /// # Errors
    /// As for [`forward_on_device`](Self::forward_on_device); [`Error::Unsupported`] without a preceding forward pass.
    pub fn backward_on_device(&mut self, from: DeviceArrays<'_>, to: DeviceArrays<'_>) -> Result<()> {
        let recurrent = self.weights.model.recurrent.clone();
        let BatchShape { steps, rows, .. } = self.last.forward()?;
        from.check(&recurrent, (steps, rows, recurrent.output_size()), ["d_output", "d_h_n", "d_c_n"])?;
        to.check(&recurrent, (steps, rows, recurrent.input_size), ["dx", "dh_0", "dc_0"])?;
        self.prepare_gradient_norms()?;
        self.last.begin();
        let mut clear = Vec::new();
        let mut load = Vec::new();
        let mut store = Vec::new();
        let (i, s) = (recurrent.input_size, recurrent.state_size());
        let plan = &self.pass().plan;
        for chunk in &plan.chunks {
            let (first, n) = (chunk.steps.start * rows, chunk.steps.len() * rows);
            let y = chunk.y[recurrent.layers - 1];
            let transfer = |way, buffer, tensor, parts: usize, part: usize| {
                Transfer::new(way, buffer, first * parts * part, self.position(tensor), [n, parts, part])
            };
            match from.sequence {
                Some(buffer) => load.push(transfer(TransferDirection::In, buffer, y, recurrent.directions(), s)),
                None => clear.push(self.clear_tensor(y)),
            }
            if let (Some(buffer), Some(dx)) = (to.sequence, chunk.dx) {
                store.push(transfer(TransferDirection::Out, buffer, dx, 1, i));
            }
        }
        let of_h = plan.carries_of_h().enumerate().map(|carry| (carry, s, from.h, to.h));
        let of_c = plan.carries_of_c().enumerate().map(|carry| (carry, recurrent.hidden_size, from.c, to.c));
        for ((layer_direction, carry), size, from, to) in of_h.chain(of_c) {
            let (position, bytes) = self.span(carry);
            let first = layer_direction * rows * size;
            let transfer = |way, buffer| Transfer::new(way, buffer, first, position.clone(), [rows, 1, size]);
            match from {
                Some(buffer) => load.push(transfer(TransferDirection::In, buffer)),
                None => clear.push(GpuCommand::Clear { to: position.clone(), bytes }),
            }
            store.extend(to.map(|buffer| transfer(TransferDirection::Out, buffer)));
        }
        let (load, store) = (self.transfers(&load)?, self.transfers(&store)?);
        // Only once nothing can fail: the request to clear the sums is given once.
        let begin = self.reset_sums();
        let backward = self.backward_lists().into_iter().flatten();
        self.recorder.record(begin.iter().chain(&clear).chain(&load).chain(backward).chain(&store));
        self.recorder.submit();
        self.last.finished_backward(self.gradient_norms);
        Ok(())
    }

    fn position(&self, tensor: TensorId) -> BufferOffset {
        BufferOffset::of(&self.pass().buffers[tensor.0])
    }

    fn clear_tensor(&self, tensor: TensorId) -> GpuCommand {
        let (to, bytes) = self.tensor(tensor);
        GpuCommand::Clear { to, bytes }
    }

    /// The commands of copies to and from the caller's buffers, which may differ at every call.
    fn transfers(&self, transfers: &[Transfer<'_>]) -> Result<Vec<GpuCommand>> {
        let pass = self.pass();
        let mut builder = Builder::on(&self.gpu, &pass.plan, pass.buffers.clone(), None);
        for transfer in transfers {
            let Transfer { way, buffer, first, ref position, rows, parts, part, masked, through } = *transfer;
            // A binding starts at an aligned byte; the kernel adds the rest of the offset.
            let begin = (4 * first as u64) / ALIGNMENT * ALIGNMENT;
            let bytes = (4 * (first + rows * parts * part) as u64) - begin;
            let theirs = Binding { buffer: buffer.clone(), offset: begin, bytes };
            let storage = if through.is_some() { self.weights.sizes.storage } else { Storage::Full };
            let at = |numbers: u64| (position.offset / storage.bytes(numbers)) as usize;
            let whole = Binding::whole(&position.buffer);
            let into = through.filter(|_| way == TransferDirection::In).map(|room| builder.span(room));
            let (ours, ours_first) = into.clone().map_or((whole.clone(), at(1)), |room| (room, 0));
            let flags = builder.span(pass.plan.chunks[masked.unwrap_or(0)].flags);
            let padded = part.next_multiple_of(4);
            for p in 0..parts {
                let plain = (parts * part, first - begin as usize / 4 + p * part);
                let packed = (parts * padded, ours_first + p * padded);
                let ((ld_from, from_first), (ld_to, to_first)) =
                    if way == TransferDirection::In { (plain, packed) } else { (packed, plain) };
                let width = if way == TransferDirection::In { padded } else { part };
                let uniform = Copy {
                    rows: rows as u32,
                    width: width as u32,
                    columns: part as u32,
                    ld_from: ld_from as u32,
                    from_first: from_first as u32,
                    ld_to: ld_to as u32,
                    to_first: to_first as u32,
                    masked: u32::from(masked.is_some()),
                    bit: ALIVE,
                };
                let (from, to) = if way == TransferDirection::In { (&theirs, &ours) } else { (&ours, &theirs) };
                let grid = builder.limits.rows_and_columns(rows, width);
                builder.dispatch(
                    if way == TransferDirection::In { COPY } else { COPY.stored(storage) },
                    &[],
                    &[&flags, from, to],
                    &uniform,
                    grid,
                    Cost::each(rows * width, 1, 2),
                );
            }
            if let Some(room) = into {
                let count = rows * parts * padded / 4;
                let uniform = Narrow { count: count as u32, first: at(4) as u32 };
                let (grid, cost) = (builder.limits.elements(count), Cost::each(4 * count, 1, 2));
                builder.dispatch(NARROW.stored(storage), &[], &[&room, &whole], &uniform, grid, cost);
            }
        }
        let list = builder.end_list();
        Ok(builder.finish()?.take(list))
    }
}
