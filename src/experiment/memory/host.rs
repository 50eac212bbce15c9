//! What the program uses beside its network, where the device has no memory of its own.

use crate::experiment::device::free_memory::resident;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::model::model_file;
use crate::experiment::settings::Settings;
use crate::train::KeepWeights;
use crate::{Batch, Input, Model, Targets};

/// What the program uses after it has planned: code that was not yet read, what the allocator holds back, and the pictures
/// and the report in the end.
pub(super) const LATER: u64 = 8 << 20;

/// How many copies of the model's description there are while a file of it is written: as the run keeps it, as it is read
/// and written again for the step, as the note of the file, and in its header.
pub(super) const DESCRIPTIONS: u64 = 5;

/// Bytes of a step in the pictures, and the most steps that they show apart.
pub(super) const BYTES_OF_STEP: u64 = 256;
pub(super) const STEPS: u64 = 1 << 16;

/// Bytes by their use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostMemory {
    /// The program and its data, as it plans.
    pub(super) program: u64,
    /// A batch as it is handed over, and the part of it that is computed at once.
    pub(super) batch: u64,
    /// Copies of the weights, and of the optimizer's state: what a checkpoint writes at once, the best weights, and those to
    /// roll back to; and copies of the model's description.
    pub(super) copies: u64,
    /// The predictions of all that the network is measured on.
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

/// The program itself and its data, without the driver of a GPU.
pub(super) fn program(device: &OpenDevice) -> u64 {
    resident().saturating_sub(device.driver_bytes)
}

/// The copies of the weights that a run holds beside its network's own, in f32: what a checkpoint writes at once, and those
/// that its settings ask for.
pub(super) fn copies(settings: &Settings, model: &Model) -> u64 {
    let weights = 4 * model_file::parameters(model);
    let with_state = 1 + settings.optimizer.kind.state_blocks() as u64;
    let best = u64::from(settings.run.keep == KeepWeights::Best);
    let rollback = if settings.run.max_rollbacks > 0 { with_state } else { 0 };
    // A checkpoint that a run resumes from is taken apart as it goes into the network, before there is anything else of it.
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
    // A row alone comes without, and beside shorter ones with them.
    let lengths = batch.sequence.shape().1 * size_of::<usize>();
    let resets = batch.sequence.resets.as_ref().map_or(0, |resets| resets.len());
    (4 * (numbers + targets + weights) + lengths + resets) as u64
}
