//! Parameters and optimizer state of a GPU engine.

use std::ops::Range;

use super::GpuEngine;
use super::updater::Updater;
use crate::engine::{FlatBlock, Parameters, SkippedUpdates, Training};
use crate::error::Result;
use crate::model::{Layout, Model};

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
            self.last.parameters_change();
            if self.bad_step.is_reported() {
                let in_all = self.updater.as_ref().map_or(0, Updater::skipped_in_all);
                self.restart(SkippedUpdates { in_row: 0, in_all })?;
            }
            self.unpacked = true;
        }
        self.write_spans(&buffer, &spans, fill)?;
        self.gpu.check()
    }
}
