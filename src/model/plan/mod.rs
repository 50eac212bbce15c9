//! The plan of the GPU backend: every buffer, time chunk and workgroup, from (model, T, B, limits), before anything is
//! allocated. No size is computed anywhere else.
//!
//! On the device every row is padded to whole vec4: I, H and O become multiples of 4, and the padding is zero.

mod cost;
mod dispatch;
mod parameters;
mod products;
mod row_sizes;
mod scratch;
mod sequence;
mod steps;
mod storage;

pub(crate) use cost::Cost;
pub(crate) use dispatch::{ColumnSumPlan, Grid, LOSS_SUMS};
pub(crate) use parameters::{ParameterPlan, RowSpan};
pub(crate) use products::{MatmulPlan, ProductTile};
pub(crate) use row_sizes::{StateKind, Vec4Sizes};
pub(crate) use sequence::{Checkpointing, Chunk, PassShape, Predictions, SequencePlan, Span, TensorId, carried_states};
pub use steps::StepDemand;
pub(crate) use steps::{MAX_HELD_WEIGHTS, StepForm, StepPlan, StepShape, StepTile};
pub(crate) use storage::Storage;

use crate::error::{Error, Result};

/// The limits of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// The largest storage binding in bytes. No tensor of a time chunk is larger.
    pub max_binding: u64,
    /// The largest buffer in bytes.
    pub max_buffer: u64,
    /// The maximum number of workgroups per grid dimension.
    pub max_groups: u32,
    /// The maximum workgroup memory in bytes, at least 16 KiB.
    pub max_shared: u32,
    /// The number of 4 × 4 blocks of weights that a thread may keep in registers; 0 where its compiler is not known.
    pub held_weights: usize,
    /// The most turns that the loops of a thread may take together in a dispatch.
    pub max_turns: usize,
    /// Whether the device is a software driver on the CPU, which needs other tiles.
    pub software: bool,
}

/// The alignment of buffer bindings: the largest that a WebGPU device may require.
pub(crate) const ALIGNMENT: u64 = 256;

/// [`DeviceLimits::max_turns`] of Mesa 22.3's lavapipe, which silently leaves a loop after 65,535 turns in total per
/// invocation, and of GPUs, on which a thread has waited for that many reads after half a second: a system's watchdog ends
/// dispatches of two seconds.
pub(crate) const MAX_TURNS_OF_SOFTWARE: usize = 60_000;
pub(crate) const MAX_TURNS_OF_GPUS: usize = 1 << 20;

/// The maximum steps per chunk. Bounds the commands and uniforms of a chunk, and its time on the device.
const MAX_CHUNK: usize = 4096;

/// The minimum steps per chunk when chosen to save memory: each chunk has the overhead of its dispatches.
const MIN_CHUNK: usize = 32;

/// A number of elements in whole vec4, rounded up.
pub(crate) fn vec4s(numbers: usize) -> usize {
    numbers.div_ceil(4)
}

/// A buffer of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorSpec {
    /// Its contents: `z_l0_reverse[2]` for the third chunk.
    pub name: String,
    /// Its size, a multiple of 16.
    pub bytes: u64,
}

impl DeviceLimits {
    /// Those of any GPU with WebGPU, and registers enough, for tests.
    #[cfg(test)]
    pub(crate) const LEAST_GPU: Self = Self {
        max_binding: 1 << 27,
        max_buffer: 1 << 28,
        max_groups: 65_535,
        max_shared: 16 * 1024,
        held_weights: MAX_HELD_WEIGHTS,
        max_turns: MAX_TURNS_OF_GPUS,
        software: false,
    };

    pub(crate) fn check(&self, spec: &TensorSpec) -> Result<()> {
        if spec.bytes > self.max_binding {
            return Err(over_limit(&spec.name, spec.bytes, "the device's largest storage binding", self.max_binding));
        }
        self.check_buffer(&spec.name, spec.bytes)
    }

    pub(crate) fn check_buffer(&self, name: &str, bytes: u64) -> Result<()> {
        if bytes > self.max_buffer {
            Err(over_limit(name, bytes, "the device's largest buffer", self.max_buffer))
        } else {
            Ok(())
        }
    }
}

fn over_limit(name: &str, bytes: u64, limit: &'static str, limit_bytes: u64) -> Error {
    let remedy = "use a smaller batch, micro-batches or fewer hidden units";
    Error::Limit { tensor: name.into(), bytes, limit, limit_bytes, remedy }
}
