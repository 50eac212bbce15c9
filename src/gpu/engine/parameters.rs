//! Parameters and optimizer state of a GPU engine.

use std::ops::Range;

use super::GpuEngine;
use super::updater::Updater;
use crate::engine::{FlatBlock, Parameters, SkippedUpdates, Training, no_average};
use crate::error::Result;
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::model::{Layout, Model};

impl GpuEngine {
    /// Before parameters are written.
    fn parameters_change(&mut self) -> Result<()> {
        self.last.parameters_change();
        if self.bad_step.is_reported() {
            let in_all = self.updater.as_ref().map_or(0, Updater::skipped_in_all);
            self.restart(SkippedUpdates { in_all, ..SkippedUpdates::default() })?;
        }
        self.unpacked = true;
        Ok(())
    }
}

impl Parameters for GpuEngine {
    type Real = f32;

    fn model(&self) -> &Model {
        &self.weights.model
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn optimizer_blocks(&self) -> usize {
        self.weights.optimizer_state.len()
    }

    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[f32]) -> Result<()> + Send),
    ) -> Result<()> {
        let buffer = self.block(block)?;
        self.read_spans(&buffer, tensors, take).await
    }

    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut (dyn FnMut(&mut [f32]) -> Result<()> + Send),
    ) -> Result<()> {
        let (buffer, spans) = (self.block(block)?, self.spans(tensors)?);
        if let FlatBlock::Parameters = block {
            self.parameters_change()?;
        }
        self.write_spans(&buffer, &spans, fill)?;
        self.gpu.check()
    }

    fn copy_block(&mut self, from: FlatBlock, to: FlatBlock) -> Result<()> {
        let (source, target) = (self.block(from)?, self.block(to)?);
        if let FlatBlock::Parameters = to {
            self.parameters_change()?;
        }
        if from != to {
            let bytes = source.size();
            let (from, to) = (BufferOffset::of(&source), BufferOffset::of(&target));
            self.recorder.record([&GpuCommand::Copy { from, to, bytes }]);
        }
        self.gpu.check()
    }

    fn exchange_average(&mut self) -> Result<()> {
        let average = self.updater.as_ref().and_then(Updater::average).ok_or_else(no_average)?;
        self.recorder.record([&average.exchange]);
        self.exchanged = !self.exchanged;
        self.last.parameters_change();
        self.unpacked = true;
        Ok(())
    }

    fn is_exchanged(&self) -> bool {
        self.exchanged
    }
}
