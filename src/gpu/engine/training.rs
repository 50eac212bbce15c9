//! Updates and carried states of a GPU engine.

use super::GpuEngine;
use super::updater::Updater;
use crate::batch::States;
use crate::engine::{SkippedUpdates, StepReport, Training};
use crate::error::{Error, Result};
use crate::gpu::commands::program::BufferOffset;
use crate::gpu::commands::uniforms::Status;
use crate::gpu::pass::carried::CarriedStates;
use crate::gpu::pass::staging;
use crate::optim::OptimizerStep;

impl Training for GpuEngine {
    async fn update(&mut self, update: &OptimizerStep) -> Result<()> {
        update.validate::<f32>(self.options.optimizer)?;
        self.bad_step.check()?;
        let cleared = self.clear_sums();
        self.recorder.record(&cleared);
        self.last.parameters_change();
        self.unpacked = true;
        // Without an optimizer no update is valid.
        if let Some(updater) = &mut self.updater {
            updater.update(&self.gpu, &self.recorder, update).await?;
        }
        self.used = true;
        Ok(())
    }

    async fn report(&mut self) -> Result<Option<StepReport>> {
        self.bad_step.check()?;
        let Some(updater) = &mut self.updater else { return Ok(None) };
        match updater.report(&self.recorder).await {
            Err(Error::NonFinite { step, what }) => Err(self.bad_step.report(step, what)),
            report => report,
        }
    }

    async fn skipped(&mut self) -> Result<SkippedUpdates> {
        let Some(updater) = &self.updater else { return Ok(SkippedUpdates::default()) };
        let status = self.read(&[self.whole(updater.status())]).await?;
        let status: Status = bytemuck::pod_read_unaligned(&bytemuck::cast_slice(&status)[..size_of::<Status>()]);
        Ok(updater.skipped(&status))
    }

    fn restart(&mut self, skipped: SkippedUpdates) -> Result<()> {
        if let Some(updater) = &mut self.updater {
            updater.restart(&self.recorder, skipped);
        }
        self.bad_step.forget();
        self.gpu.check()
    }

    fn may_update(&self) -> Result<()> {
        self.bad_step.check()
    }

    fn unreported(&self) -> usize {
        self.updater.as_ref().map_or(0, Updater::unreported)
    }

    fn in_flight(&self) -> usize {
        self.updater.as_ref().map_or(0, Updater::in_flight)
    }

    async fn states(&mut self) -> Result<Option<States>> {
        let Some(carried) = &self.carried else { return Ok(None) };
        let rows = carried.rows;
        let numbers = self.read(&[self.whole(&carried.states)]).await?;
        self.states_from(&numbers, rows).map(Some)
    }

    fn set_states(&mut self, states: Option<&States>) -> Result<()> {
        let Some(states) = states else {
            self.carried = None;
            return Ok(());
        };
        let rows = states.h.dim().1;
        states.check(&self.weights.model.recurrent, rows, "carried")?;
        let carried = CarriedStates::new(&self.gpu, &self.weights, rows)?;
        let mut packed = Vec::new();
        let mut all = Vec::new();
        for array in std::iter::once(&states.h).chain(&states.c) {
            staging::pack(array, 0..array.dim().0, 1, |_, _| true, &mut packed);
            all.extend_from_slice(&packed);
        }
        self.recorder.write(&BufferOffset::of(&carried.states), &all);
        self.carried = Some(carried);
        self.gpu.check()
    }
}
