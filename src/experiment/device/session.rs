//! Streaming through a network, on whichever device was chosen.

use ndarray::ArrayView3;

use crate::cpu::CpuEngine;
use crate::gpu::GpuEngine;
use crate::{Error, Result, Sequence, Session};

/// Rows whose states stay on the device from step to step: a [`Session`] on a [`Network`](super::network::Network).
/// Errors are [`Error::Failed`].
pub enum NetworkSession<'n> {
    /// On the CPU.
    Cpu(Session<&'n mut CpuEngine<f32>>),
    /// On a GPU.
    Gpu(Session<&'n mut GpuEngine>),
}

impl NetworkSession<'_> {
    /// Runs the next time steps of every row. Returns the logits, \[P, B, O\].
    ///
    /// # Errors
    /// Where the sequence does not fit the network or the rows, and those of the device.
    pub async fn step(&mut self, sequence: &Sequence) -> Result<ArrayView3<'_, f32>> {
        match self {
            Self::Cpu(session) => session.step(sequence).await,
            Self::Gpu(session) => session.step(sequence).await,
        }
        .map_err(Error::failed)
    }

    /// Resets all rows: they start from zero.
    pub fn reset(&mut self) {
        match self {
            Self::Cpu(session) => session.reset(),
            Self::Gpu(session) => session.reset(),
        }
    }
}
