//! Steps from states that stay on the device.

use std::fmt::Debug;

use super::options::StatefulRows;
use super::passes::{Objective, Passes};
use crate::batch::{Sequence, States, Validated};
use crate::error::Result;
use crate::real::Real;

/// What a [`Session`](super::Session) is made of, and an evaluation of batches that continue each other: states of rows
/// on the device, and steps from them.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Streaming: Passes {
    /// The states of some rows on the device.
    type DeviceStates: Debug;

    /// The outputs of a step on their way to the host. A buffer that is reused.
    type DeviceOutputs: Debug + Default;

    /// The bytes of states.
    fn states_bytes(states: &Self::DeviceStates) -> u64;

    /// The bytes of a buffer of outputs.
    fn outputs_bytes(outputs: &Self::DeviceOutputs) -> u64;

    /// Allocates zero states.
    fn zero_states(&mut self, rows: usize) -> Result<Self::DeviceStates>;

    /// Sets the states of one row to zero, or of all.
    fn clear_states(&mut self, states: &mut Self::DeviceStates, row: Option<usize>);

    /// Copies states of as many rows.
    fn copy_states(&mut self, from: &Self::DeviceStates, to: &mut Self::DeviceStates);

    /// Writes states of as many rows.
    fn write_states(&mut self, from: &States<Self::Real>, to: &mut Self::DeviceStates) -> Result<()>;

    /// Reads the states. Waits for all earlier calls.
    async fn read_states(&mut self, states: &Self::DeviceStates) -> Result<States<Self::Real>>;

    /// Runs the sequence forward from `states`, or from its own initial states, and leaves the final states there.
    /// Enqueues only.
    fn advance(
        &mut self,
        sequence: Validated<'_, Sequence<Self::Real>>,
        states: &mut Self::DeviceStates,
        outputs: &mut Self::DeviceOutputs,
    ) -> Result<()>;

    /// The sum of the losses of an objective, whose rows are some of those of `states`: they start from these, and
    /// leave their final states there. Waits for the sum.
    async fn loss_from<S: Real>(
        &mut self,
        objective: Objective<'_, S, Self>,
        states: &mut Self::DeviceStates,
        rows: StatefulRows,
    ) -> Result<f64>;

    /// Waits for the outputs, in the order of `Model::output_shape`, and leaves them at the beginning of `to`. Values
    /// at padding are arbitrary.
    async fn read_outputs(&mut self, outputs: &mut Self::DeviceOutputs, to: &mut Vec<Self::Real>) -> Result<()>;
}
