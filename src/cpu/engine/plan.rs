//! The planned memory of a CPU engine.

use crate::cpu::gemm::transposed;
use crate::cpu::kernels::norm::chunks;
use crate::cpu::pass::buffer_sizes::{BlockShape, BufferSizes, SPAN};
use crate::cpu::pass::mapped_model::MappedModel;
use crate::cpu::pass::{packed_weights, weight_gradient};
use crate::engine::EngineOptions;
use crate::engine::parameter_groups::UpdateRange;
use crate::memory::{BatchShape, Memory, MemoryPart};
use crate::model::Layout;
use crate::real::Real;

/// The memory that does not depend on the batch.
pub(super) fn fixed<R: Real>(
    mapped: &MappedModel,
    layout: &Layout,
    (options, ranges): (&EngineOptions, &[UpdateRange]),
    threads: usize,
) -> Memory {
    let (rows, columns) = weight_gradient::scratch_shape(&weight_gradient::tiles(mapped, layout, threads));
    let numbers = [
        (MemoryPart::Weights, layout.len() + packed_weights::numbers::<R>(mapped)),
        (MemoryPart::Gradients, layout.len()),
        (MemoryPart::Optimizer, options.optimizer.map_or(0, |rule| rule.state_blocks()) * layout.len()),
        (MemoryPart::Optimizer, averaged(layout, options)),
        (MemoryPart::Workspace, threads * transposed::PackScratch::<R>::numbers(rows, columns)),
    ];
    let mut memory = Memory::default();
    numbers.iter().for_each(|(part, numbers)| memory.add(*part, (numbers * size_of::<R>()) as u64));
    memory.add(MemoryPart::Optimizer, (squares(layout, ranges) * size_of::<f64>()) as u64);
    memory
}

/// The numbers of the moving average.
pub(super) fn averaged(layout: &Layout, options: &EngineOptions) -> usize {
    options.ema_decay.map_or(0, |_| layout.len())
}

/// The number of partial sums of the gradient norm.
pub(super) fn squares(layout: &Layout, ranges: &[UpdateRange]) -> usize {
    ranges.iter().map(|range| chunks(range.numbers(layout).len())).sum()
}

/// The memory of a training pass over a batch whose rows all have T steps; with `gradient_norms` including the norms of
/// dh_t.
pub(super) fn of_batch<R: Real>(
    mapped: &MappedModel,
    options: &EngineOptions,
    gradient_norms: bool,
    batch_shape: BatchShape,
) -> Memory {
    let BatchShape { steps, rows, tokens, resets, .. } = batch_shape;
    let (chunk, most, dx) = (chunk(mapped, options, steps), mapped.block_rows(rows), options.input_gradient);
    let block = |rows| {
        let shape = BlockShape { steps, rows, chunk, dense: !tokens, backward: true, dx, resets };
        BufferSizes::new(mapped, shape).memory::<R>(mapped)
    };
    // All blocks but the last are equal.
    let (whole, left) = (rows / most, rows % most);
    let mut planned = block(most).times(whole as u64);
    if left > 0 {
        planned += block(left);
    }
    if gradient_norms {
        let squares = mapped.blocks(rows) * mapped.layer_directions.len() * steps * size_of::<f64>();
        planned.add(MemoryPart::Workspace, squares as u64);
    }
    planned
}

/// The memory of the carried states of `rows` rows.
pub(super) fn carried<R: Real>(mapped: &MappedModel, rows: usize) -> Memory {
    let numbers = mapped.layer_directions.len() * rows * (mapped.state_size() + mapped.cell_state());
    let mut memory = Memory::default();
    memory.add(MemoryPart::Carried, (numbers * size_of::<R>()) as u64);
    memory
}

/// Steps per chunk of a training pass: all, or with recompute the requested number or the one that needs the least
/// memory, in whole spans, so that no sum depends on it.
pub(super) fn chunk(mapped: &MappedModel, options: &EngineOptions, steps: usize) -> usize {
    if !options.recompute {
        return steps;
    }
    let chunk = options.chunk.unwrap_or_else(|| {
        let bytes = |steps, chunk| {
            let shape = BlockShape { steps, rows: 1, chunk, dense: false, backward: true, dx: false, resets: false };
            let memory = BufferSizes::new(mapped, shape).memory::<f32>(mapped);
            memory.total() - memory.of(MemoryPart::Input)
        };
        // One more step per chunk costs its buffers, one more chunk its border; the sum is smallest where both are
        // equal.
        let (step, border) = (bytes(2, 2) - bytes(1, 1), bytes(2, 1) - bytes(1, 1));
        (steps as f64 * border as f64 / step as f64).sqrt() as usize
    });
    chunk.clamp(1, steps).next_multiple_of(SPAN)
}
