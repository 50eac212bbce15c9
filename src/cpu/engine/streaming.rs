//! Streaming through a CPU engine.

use ndarray::{ArrayViewMut3, Axis};

use super::CpuEngine;
use crate::allocate;
use crate::batch::{Sequence, States, Validated};
use crate::cpu::pass::load::{InitialState, fit};
use crate::engine::StatefulRows;
use crate::engine::passes::Objective;
use crate::engine::streaming::Streaming;
use crate::error::{Error, Result};
use crate::real::Real;

impl<R: Real> Streaming for CpuEngine<R> {
    type DeviceStates = States<R>;
    type DeviceOutputs = Vec<R>;

    fn states_bytes(states: &States<R>) -> u64 {
        (states.arrays().map(|array| array.len()).sum::<usize>() * size_of::<R>()) as u64
    }

    fn outputs_bytes(outputs: &Vec<R>) -> u64 {
        (outputs.capacity() * size_of::<R>()) as u64
    }

    fn zero_states(&mut self, rows: usize) -> Result<States<R>> {
        States::try_zeros(&self.model.recurrent, rows, "the carried states")
    }

    fn clear_states(&mut self, states: &mut States<R>, row: Option<usize>) {
        for array in std::iter::once(&mut states.h).chain(&mut states.c) {
            match row {
                Some(row) => array.index_axis_mut(Axis(1), row).fill(R::zero()),
                None => array.fill(R::zero()),
            }
        }
    }

    fn copy_states(&mut self, from: &States<R>, to: &mut States<R>) {
        to.h.assign(&from.h);
        to.c.iter_mut().zip(&from.c).for_each(|(to, from)| to.assign(from));
    }

    fn write_states(&mut self, from: &States<R>, to: &mut States<R>) -> Result<()> {
        self.copy_states(from, to);
        Ok(())
    }

    async fn read_states(&mut self, states: &States<R>) -> Result<States<R>> {
        let mut copy = self.zero_states(states.h.dim().1)?;
        self.copy_states(states, &mut copy);
        Ok(copy)
    }

    fn advance(
        &mut self,
        sequence: Validated<'_, Sequence<R>>,
        states: &mut States<R>,
        outputs: &mut Vec<R>,
    ) -> Result<()> {
        let sequence = &*sequence;
        let (steps, rows) = sequence.shape();
        let shape = self.model.output_shape(steps, rows);
        let len = shape.0 * shape.1 * shape.2;
        allocate::reserve(outputs, len.saturating_sub(outputs.len()), "the outputs")?;
        fit(outputs, len);
        let view = ArrayViewMut3::from_shape(shape, &mut outputs[..len]);
        let view = view.map_err(|error| Error::Failed(error.to_string()))?;
        let start = sequence.initial.as_ref().map_or(InitialState::Carried(&*states, 0), InitialState::Given);
        let blocks = self.infer(sequence, start, view)?;
        self.blocks[..blocks].iter().for_each(|block| block.store_states(&self.passes.model, states, 0));
        Ok(())
    }

    async fn loss_from<S: Real>(
        &mut self,
        objective: Objective<'_, S, Self>,
        states: &mut States<R>,
        rows: StatefulRows,
    ) -> Result<f64> {
        let (loss, blocks) = self.infer_loss(&objective, InitialState::Carried(&*states, rows.first_row))?;
        self.blocks[..blocks].iter().for_each(|block| block.store_states(&self.passes.model, states, rows.first_row));
        Ok(loss)
    }

    /// Exchanges the buffers.
    async fn read_outputs(&mut self, outputs: &mut Vec<R>, to: &mut Vec<R>) -> Result<()> {
        std::mem::swap(outputs, to);
        Ok(())
    }
}
