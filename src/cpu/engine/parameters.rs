//! The parameters of a network on the CPU, and the optimizer's numbers.

use std::ops::Range;

use super::CpuEngine;
use crate::engine::{FlatBlock, Parameters, Skipped, Training, no_slot, numbers_of};
use crate::error::Result;
use crate::model::{Layout, Model};
use crate::real::Real;

impl<R: Real> CpuEngine<R> {
    fn block(&mut self, block: FlatBlock) -> Result<&mut [R]> {
        let count = self.slot_count();
        match block {
            FlatBlock::Parameters => Ok(&mut self.passes.parameters),
            FlatBlock::Slot(slot) if slot < count => Ok(&mut self.slots.0[slot]),
            FlatBlock::Slot(slot) => Err(no_slot(slot, count)),
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

    fn slot_count(&self) -> usize {
        self.options.rule.map_or(0, |rule| rule.slots())
    }

    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut dyn FnMut(&[R]) -> Result<()>,
    ) -> Result<()> {
        let numbers = numbers_of(&self.layout, &tensors)?;
        take(&self.block(block)?[numbers])
    }

    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut dyn FnMut(&mut [R]) -> Result<()>,
    ) -> Result<()> {
        let numbers = numbers_of(&self.layout, &tensors)?;
        if let FlatBlock::Parameters = block {
            self.last.parameters_change();
            if self.ended.is_told() {
                self.restart(Skipped { in_row: 0, ..self.skipped })?;
            }
            self.passes.parameters_changed();
        }
        fill(&mut self.block(block)?[numbers])
    }
}
