//! Memory of the program besides the network, if the device has no memory of its own.

use crate::experiment::device::free_memory::resident;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::model::model_file;
use crate::experiment::settings::Settings;
use crate::train::KeepWeights;
use crate::{Batch, Input, Model, Targets};

/// Memory that the program uses after planning: code not yet loaded, the allocator's reserves, and the pictures and
/// report at the end.
pub(super) const LATER: u64 = 8 << 20;

/// The number of copies of the model's description while a file is written: the run's own, the one parsed and
/// serialised again for the step, the metadata, and the header.
pub(super) const DESCRIPTIONS: u64 = 5;

/// Bytes per step in the pictures, and the maximum number of separate steps.
pub(super) const BYTES_OF_STEP: u64 = 256;
pub(super) const STEPS: u64 = 1 << 16;

/// Bytes by category.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostMemory {
    /// The program and its data at planning time.
    pub(super) program: u64,
    /// A batch, and the micro-batch of it that is being computed.
    pub(super) batch: u64,
    /// Copies of the weights and of the optimizer's state: for a checkpoint, the best weights and rollbacks; and copies
    /// of the model's description.
    pub(super) copies: u64,
    /// The predictions for all measured data.
    pub(super) results: u64,
}

impl HostMemory {
    pub(super) fn parts(self) -> [(&'static str, u64); 4] {
        let Self { program, batch, copies, results } = self;
        [("program, data", program), ("batch", batch), ("copies", copies), ("results", results)]
    }

    pub(super) fn total(self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }
}

/// The program and its data, without a GPU driver.
pub(super) fn program(device: &OpenDevice) -> u64 {
    resident().saturating_sub(device.driver_bytes)
}

/// The copies of the weights that a run holds besides the network's own, in f32: for a checkpoint, and those that its
/// settings require.
pub(super) fn copies(settings: &Settings, model: &Model) -> u64 {
    let weights = 4 * model_file::parameters(model);
    let with_state = 1 + settings.optimizer.kind.state_blocks() as u64 + u64::from(settings.ema_decay.is_some());
    let best = u64::from(settings.run.keep == KeepWeights::Best);
    let rollback = if settings.run.max_rollbacks > 0 { with_state } else { 0 };
    // A checkpoint is consumed while it is loaded, before other copies exist.
    weights * (1 + best + rollback)
}

/// Bytes of a batch before a network reads it.
pub(super) fn batch_bytes(batch: &Batch) -> u64 {
    let numbers = match &batch.sequence.input {
        Input::Dense(x) => x.len(),
        Input::Tokens(tokens) => tokens.len(),
    };
    let targets = match &batch.targets {
        Targets::Values(values) => values.len(),
        Targets::Classes(classes) => classes.len(),
    };
    let weights = batch.weights.as_ref().map_or(0, |weights| weights.len());
    // A single row needs no lengths; shorter rows do.
    let lengths = batch.sequence.shape().1 * size_of::<usize>();
    let resets = batch.sequence.resets.as_ref().map_or(0, |resets| resets.len());
    (4 * (numbers + targets + weights) + lengths + resets) as u64
}
