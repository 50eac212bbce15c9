//! Updates and carried states of a GPU engine.

use std::sync::Arc;

use super::GpuEngine;
use super::hooks::GpuUpdate;
use super::updater::Updater;
use crate::batch::States;
use crate::engine::parameter_groups::check_steps;
use crate::engine::streaming::Streaming;
use crate::engine::{CustomOptimizer, SkippedUpdates, StepReport, Training, check_not_exchanged};
use crate::error::{Error, Result};
use crate::gpu::commands::program::BufferOffset;
use crate::gpu::commands::uniforms::{LossScale, Status};
use crate::gpu::weights::loss_sum;
use crate::model::plan::LOSS_SUMS;
use crate::optim::{OptimizerKind, OptimizerStep};

impl Training for GpuEngine {
    async fn update(&mut self, update: &OptimizerStep) -> Result<()> {
        self.check_update(update)?;
        self.bad_step.check()?;
        let cleared = self.clear_sums();
        self.recorder.record(&cleared);
        self.last.parameters_change();
        // The other optimizers write the copies too.
        self.unpacked |= matches!(self.options.optimizer, Some(OptimizerKind::Custom(_)));
        // Without an optimizer no update is valid.
        if let Some(updater) = &mut self.updater {
            let custom = |update: GpuUpdate<'_>| self.custom_optimizer.update(update);
            updater.update(&self.gpu, &self.recorder, update, &self.weights, custom).await?;
        }
        self.used = true;
        Ok(())
    }

    fn check_update(&self, update: &OptimizerStep) -> Result<()> {
        update.validate::<f32>(self.options.optimizer)?;
        self.custom_optimizer.check(update.optimizer.kind)?;
        check_steps::<f32>(&self.ranges, update)?;
        check_not_exchanged(self.exchanged)
    }

    fn set_custom_optimizer(&mut self, optimizer: Arc<dyn CustomOptimizer<Self>>) -> Result<()> {
        self.custom_optimizer.set(self.options.optimizer, optimizer)
    }

    async fn report(&mut self) -> Result<Option<StepReport>> {
        self.bad_step.check()?;
        let Some(updater) = &mut self.updater else { return Ok(None) };
        match updater.report(&self.recorder).await {
            Err(Error::NonFinite { step, what }) => Err(self.bad_step.report(step, what)),
            report => report,
        }
    }

    async fn loss_sum(&mut self) -> Result<f64> {
        let cleared = self.clear_sums();
        self.recorder.record(&cleared);
        Ok(loss_sum(&self.read_buffer(&self.weights.loss).await?))
    }

    fn set_loss_sum(&mut self, loss_sum: f64) -> Result<()> {
        let cleared = self.clear_sums();
        self.recorder.record(&cleared);
        // One part has all of it.
        let mut parts = [0.0; LOSS_SUMS];
        parts[0] = loss_sum as f32;
        self.recorder.write(&BufferOffset::of(&self.weights.loss), &parts);
        self.gpu.check()
    }

    async fn skipped(&mut self) -> Result<SkippedUpdates> {
        let Some(updater) = &self.updater else { return Ok(SkippedUpdates::default()) };
        let buffers = std::iter::once(updater.status()).chain(&self.weights.loss_scale);
        let ranges: Vec<_> = buffers.map(|buffer| (BufferOffset::of(buffer), buffer.size())).collect();
        let words = self.read(&ranges).await?;
        let (status, scale) = bytemuck::cast_slice(&words).split_at(ranges[0].1 as usize);
        let skipped = updater.skipped(&bytemuck::pod_read_unaligned::<Status>(&status[..size_of::<Status>()]));
        let scale = scale.get(..size_of::<LossScale>()).map(bytemuck::pod_read_unaligned::<LossScale>);
        Ok(SkippedUpdates { loss_scale: scale.map(Into::into), ..skipped })
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
        match &self.carried {
            Some(carried) => self.states_on_host(carried).await.map(Some),
            None => Ok(None),
        }
    }

    fn set_states(&mut self, states: Option<&States>) -> Result<()> {
        let Some(states) = states else {
            self.carried = None;
            return Ok(());
        };
        let rows = states.h.dim().1;
        states.check(&self.weights.model.recurrent, rows, "carried")?;
        let mut carried = self.zero_states(rows)?;
        self.write_states(states, &mut carried)?;
        self.carried = Some(carried);
        Ok(())
    }
}
