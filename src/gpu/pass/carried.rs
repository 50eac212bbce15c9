//! The states carried between batches for truncated BPTT. They stay on the device.

use super::Pass;
use crate::engine::StatefulRows;
use crate::error::Result;
use crate::gpu::commands::builder::allocate;
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::device::Gpu;
use crate::gpu::record::StateOf;
use crate::gpu::weights::DeviceWeights;
use crate::model::Recurrent;
use crate::model::plan::{StateKind, carried_states};

/// h of every (layer, direction), \[·, rows, S\], then c, \[·, rows, H\], in whole vec4.
#[derive(Debug)]
pub struct CarriedStates {
    pub(crate) rows: usize,
    pub(crate) states: wgpu::Buffer,
}

/// h of each (layer, direction), then c of each: the order of everything that has one entry for each of them.
pub(crate) fn all_states(recurrent: &Recurrent) -> impl Iterator<Item = StateOf> {
    let layer_directions = recurrent.num_layer_directions();
    let of_kind = move |&kind: &StateKind| (0..layer_directions).map(move |layer_direction| (kind, layer_direction));
    StateKind::of(recurrent).iter().flat_map(of_kind)
}

impl CarriedStates {
    /// Zero states: wgpu initialises buffers to zero.
    pub(crate) fn new(gpu: &Gpu, weights: &DeviceWeights, rows: usize) -> Result<Self> {
        Ok(Self { rows, states: allocate(gpu, &carried_states(&weights.model, &weights.sizes, rows))? })
    }

    /// Commands that clear the states of a row.
    pub(crate) fn clear_row(&self, weights: &DeviceWeights, row: usize) -> Vec<GpuCommand> {
        let command = |of: StateOf| GpuCommand::Clear {
            to: self.position(weights, of, row),
            bytes: weights.sizes.state_bytes(of.0, 1),
        };
        all_states(&weights.model.recurrent).map(command).collect()
    }

    /// The position of the states of a (layer, direction) from row `row` on.
    fn position(&self, weights: &DeviceWeights, (kind, layer_direction): StateOf, row: usize) -> BufferOffset {
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
