//! Parameters and optimizer state of a CPU engine.

use std::ops::Range;

use super::CpuEngine;
use crate::engine::{FlatBlock, Parameters, SkippedUpdates, Training, no_optimizer_block, numbers_of};
use crate::error::Result;
use crate::model::{Layout, Model};
use crate::real::Real;

impl<R: Real> CpuEngine<R> {
    fn block(&mut self, block: FlatBlock) -> Result<&mut [R]> {
        let count = self.optimizer_blocks();
        match block {
            FlatBlock::Parameters => Ok(&mut self.passes.parameters),
            FlatBlock::OptimizerState(index) if index < count => Ok(&mut self.optimizer_state.0[index]),
            FlatBlock::OptimizerState(index) => Err(no_optimizer_block(index, count)),
        }
    }
}

impl<R: Real> Parameters for CpuEngine<R> {
    type Real = R;

    fn model(&self) -> &Model {
        &self.model
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn optimizer_blocks(&self) -> usize {
        self.options.optimizer.map_or(0, |rule| rule.state_blocks())
    }

    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[R]) -> Result<()> + Send),
    ) -> Result<()> {
        let numbers = numbers_of(&self.layout, &tensors)?;
        take(&self.block(block)?[numbers])
    }

    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut (dyn FnMut(&mut [R]) -> Result<()> + Send),
    ) -> Result<()> {
        let numbers = numbers_of(&self.layout, &tensors)?;
        if let FlatBlock::Parameters = block {
            self.last.parameters_change();
            if self.bad_step.is_reported() {
                self.restart(SkippedUpdates { in_row: 0, ..self.skipped })?;
            }
            self.passes.parameters_changed();
        }
        fill(&mut self.block(block)?[numbers])
    }
}
