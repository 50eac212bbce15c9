//! The plan: every byte, time chunk and workgroup of the GPU path, from (model, T, B, limits), before anything is
//! allocated. No size is computed anywhere else.
//!
//! On the device every row is rounded up to whole vec4: I, H and O become multiples of 4, and what is added is zero.

mod cost;
mod dispatch;
mod parameters;
mod sequence;

pub(crate) use cost::Cost;
pub(crate) use dispatch::{Grid, MatmulPlan, ProductTile, StepPlan};
pub(crate) use parameters::{ParameterPlan, RowSpan};
pub(crate) use sequence::{
    Checkpointing, Chunk, PassShape, Predictions, SequencePlan, Span, TensorId, Vec4Sizes, carried_states,
};

use crate::error::{Error, Result};

/// What a device allows, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// The largest storage binding in bytes: no tensor of a time chunk is larger.
    pub max_binding: u64,
    /// The largest buffer in bytes.
    pub max_buffer: u64,
    /// Workgroups in a dimension of a dispatch.
    pub max_groups: u32,
    /// Whether the device is the CPU in disguise: other tiles are fast there, and its loops end early.
    pub software: bool,
}

/// The alignment of bindings into a buffer: the largest that WebGPU allows a device to ask for.
pub(crate) const ALIGNMENT: u64 = 256;

/// Mesa 22.3's lavapipe silently leaves a loop after 65,535 iterations of all loops of an invocation. Every kernel stays
/// below this number.
const MAX_ITERATIONS: usize = 60_000;

/// Steps of the longest chunk: bounds the commands and uniforms that a chunk needs, and a watchdog's patience.
const MAX_CHUNK: usize = 4096;

/// Steps of the shortest chunk that is chosen to save memory: each costs dispatches for the products of all its steps.
const MIN_CHUNK: usize = 32;

/// Numbers rounded up to whole vec4.
pub(crate) fn vec4s(numbers: usize) -> usize {
    numbers.div_ceil(4)
}

/// A named buffer of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorSpec {
    /// What it holds, `z_l0_reverse[2]` for the third chunk.
    pub name: String,
    /// Its size, whole multiples of 16.
    pub bytes: u64,
}

impl DeviceLimits {
    pub(crate) fn check(&self, spec: &TensorSpec) -> Result<()> {
        if spec.bytes > self.max_binding {
            return Err(over(&spec.name, spec.bytes, "the device's largest storage binding", self.max_binding));
        }
        self.check_buffer(&spec.name, spec.bytes)
    }

    pub(crate) fn check_buffer(&self, name: &str, bytes: u64) -> Result<()> {
        match bytes > self.max_buffer {
            true => Err(over(name, bytes, "the device's largest buffer", self.max_buffer)),
            false => Ok(()),
        }
    }
}

fn over(name: &str, bytes: u64, limit: &'static str, limit_bytes: u64) -> Error {
    let remedy = "take a smaller batch, micro-batches, or fewer hidden units";
    Error::Limit { tensor: name.into(), bytes, limit, limit_bytes, remedy }
}
