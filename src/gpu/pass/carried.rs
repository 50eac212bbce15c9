//! The states carried between batches for truncated BPTT. They stay on the device.

use super::Pass;
use crate::engine::StatefulRows;
use crate::error::Result;
use crate::gpu::commands::builder::allocate;
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::device::Gpu;
use crate::gpu::weights::DeviceWeights;
use crate::model::plan::carried_states;

/// h of every (layer, direction), then c: \[·, rows, H\] in whole vec4.
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
        let bytes = 16 * weights.sizes.h4 as u64;
        let firsts = (0..self.states.size()).step_by(self.rows * bytes as usize);
        let command = |first: u64| GpuCommand::Clear {
            to: BufferOffset { buffer: self.states.clone(), offset: first + row as u64 * bytes },
            bytes,
        };
        firsts.map(command).collect()
    }

    fn position(&self, weights: &DeviceWeights, layer_direction: usize, carry: StatefulRows) -> BufferOffset {
        let row = 16 * weights.sizes.h4 as u64;
        BufferOffset {
            buffer: self.states.clone(),
            offset: row * (layer_direction * self.rows + carry.first_row) as u64,
        }
    }

    /// Commands that copy the rows' carried states to the initial states of the pass.
    pub(crate) fn enter(&self, weights: &DeviceWeights, pass: &Pass, carry: StatefulRows) -> Vec<GpuCommand> {
        let bytes = pass.state_bytes(weights);
        let enters = pass.ends.iter().enumerate().map(|(layer_direction, (enters, _))| GpuCommand::Copy {
            from: self.position(weights, layer_direction, carry),
            to: enters.clone(),
            bytes,
        });
        enters.collect()
    }

    /// Commands that copy the final states of the pass back to the rows.
    pub(crate) fn leave(&self, weights: &DeviceWeights, pass: &Pass, carry: StatefulRows) -> Vec<GpuCommand> {
        let bytes = pass.state_bytes(weights);
        let leaves = pass.ends.iter().enumerate().map(|(layer_direction, (_, leaves))| GpuCommand::Copy {
            from: leaves.clone(),
            to: self.position(weights, layer_direction, carry),
            bytes,
        });
        leaves.collect()
    }
}
