//! Parameters and optimizer state of a CPU engine.

use std::ops::Range;

use super::CpuEngine;
use crate::engine::{FlatBlock, Parameters, SkippedUpdates, Training, no_average, no_optimizer_block, numbers_of};
use crate::error::Result;
use crate::model::{Layout, Model};
use crate::real::Real;

impl<R: Real> CpuEngine<R> {
    fn block(&mut self, block: FlatBlock) -> Result<&mut Vec<R>> {
        let count = self.optimizer_blocks();
        match block {
            FlatBlock::Parameters => Ok(&mut self.passes.parameters),
            FlatBlock::OptimizerState(index) if index < count => Ok(&mut self.optimizer_state.0[index]),
            FlatBlock::OptimizerState(index) => Err(no_optimizer_block(index, count)),
            FlatBlock::AveragedParameters if self.options.ema_decay.is_some() => Ok(&mut self.averaged),
            FlatBlock::AveragedParameters => Err(no_average()),
        }
    }

    /// Before parameters are written.
    fn parameters_change(&mut self) -> Result<()> {
        self.last.parameters_change();
        if self.bad_step.is_reported() {
            self.restart(SkippedUpdates { in_row: 0, ..self.skipped })?;
        }
        self.passes.parameters_changed();
        Ok(())
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
            self.parameters_change()?;
        }
        fill(&mut self.block(block)?[numbers])
    }

    fn copy_block(&mut self, from: FlatBlock, to: FlatBlock) -> Result<()> {
        // Both are there before either is changed.
        self.block(from)?;
        self.block(to)?;
        let numbers = std::mem::take(self.block(from)?);
        if from != to {
            self.block(to)?.copy_from_slice(&numbers);
        }
        *self.block(from)? = numbers;
        if let FlatBlock::Parameters = to { self.parameters_change() } else { Ok(()) }
    }

    fn exchange_average(&mut self) -> Result<()> {
        self.block(FlatBlock::AveragedParameters)?;
        std::mem::swap(&mut self.passes.parameters, &mut self.averaged);
        self.exchanged = !self.exchanged;
        self.last.parameters_change();
        self.passes.parameters_changed();
        Ok(())
    }

    fn is_exchanged(&self) -> bool {
        self.exchanged
    }
}
