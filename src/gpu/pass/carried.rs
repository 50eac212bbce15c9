//! The states carried between batches for truncated BPTT. They stay on the device.

use super::Pass;
use crate::engine::StatefulRows;
use crate::error::Result;
use crate::gpu::commands::builder::allocate;
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::device::Gpu;
use crate::gpu::weights::DeviceWeights;
use crate::model::plan::{StateKind, carried_states};

/// h of every (layer, direction), \[·, rows, S\], then c, \[·, rows, H\], in whole vec4.
#[derive(Debug)]
pub struct CarriedStates {
    pub(crate) rows: usize,
    pub(crate) states: wgpu::Buffer,
}

impl CarriedStates {
    /// Zero states: wgpu initialises buffers to zero.
    pub(crate) fn new(gpu: &Gpu, weights: &DeviceWeights, rows: usize) -> Result<Self> {
        Ok(Self { rows, states: allocate(gpu, &carried_states(&weights.model, rows))? })
    }

    /// Commands that clear the states of a row.
    pub(crate) fn clear_row(&self, weights: &DeviceWeights, row: usize) -> Vec<GpuCommand> {
        let recurrent = &weights.model.recurrent;
        let kinds = StateKind::of(recurrent).iter();
        let states = kinds.flat_map(|kind| (0..recurrent.num_layer_directions()).map(|index| (*kind, index)));
        let command = |(kind, layer_direction)| GpuCommand::Clear {
            to: self.position(weights, (kind, layer_direction), row),
            bytes: weights.sizes.state_bytes(kind, 1),
        };
        states.map(command).collect()
    }

    /// The position of the states of a (layer, direction) from row `row` on.
    fn position(
        &self,
        weights: &DeviceWeights,
        (kind, layer_direction): (StateKind, usize),
        row: usize,
    ) -> BufferOffset {
        let first = weights.sizes.carried_offset(&weights.model.recurrent, kind, layer_direction, self.rows);
        BufferOffset { buffer: self.states.clone(), offset: first + weights.sizes.state_bytes(kind, row) }
    }

    /// Commands that copy the rows' carried states to the initial states of the pass.
    pub(crate) fn enter(&self, weights: &DeviceWeights, pass: &Pass, carry: StatefulRows) -> Vec<GpuCommand> {
        let enters = pass.ends.iter().map(|ends| GpuCommand::Copy {
            from: self.position(weights, ends.of, carry.first_row),
            to: ends.enters.clone(),
            bytes: ends.bytes,
        });
        enters.collect()
    }

    /// Commands that copy the final states of the pass back to the rows.
    pub(crate) fn leave(&self, weights: &DeviceWeights, pass: &Pass, carry: StatefulRows) -> Vec<GpuCommand> {
        let leaves = pass.ends.iter().map(|ends| GpuCommand::Copy {
            from: ends.leaves.clone(),
            to: self.position(weights, ends.of, carry.first_row),
            bytes: ends.bytes,
        });
        leaves.collect()
    }
}
