//! An engine's parameters, and the numbers that its optimizer keeps of each of them.

use std::borrow::Borrow;
use std::ops::Range;

use super::sealed::Sealed;
use crate::allocate::reserve;
use crate::error::{Error, Result};
use crate::model::{Layout, Model};
use crate::real::Real;

/// A flat block of numbers in the layout's order that an engine keeps between its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlatBlock {
    /// The parameters.
    Parameters,
    /// The rule's number of this index for each of them, of
    /// [`OptimizerKind::state_blocks`](crate::OptimizerKind::state_blocks).
    OptimizerState(usize),
}

/// The parameters of a network on a device, and the optimizer's numbers, each block in the [`Layout`]'s order.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Parameters: Sealed {
    /// The type that the path computes in.
    type Real: Real;

    /// The model.
    fn model(&self) -> &Model;

    /// Where each parameter lies in the flat block.
    fn layout(&self) -> &Layout;

    /// The blocks of the rule's numbers, [`OptimizerKind::state_blocks`](crate::OptimizerKind::state_blocks).
    fn optimizer_blocks(&self) -> usize;

    /// Hands `take` the numbers of some of the layout's [`tensors`](Layout::tensors), by their indices there, in their order
    /// and in pieces: the CPU path its own, which are not copied, the GPU path some megabytes at a time.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor or a block that is not there; those of `take`, after which it is not called again.
    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut dyn FnMut(&[Self::Real]) -> Result<()>,
    ) -> Result<()>;

    /// Has `fill` bring the numbers of some tensors, likewise in pieces. Of the parameters: the bad step that ended updating
    /// is forgotten, once its report was given.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor or a block that is not there; those of `fill`, after which the pieces before are other
    /// numbers and those behind are as they were.
    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut dyn FnMut(&mut [Self::Real]) -> Result<()>,
    ) -> Result<()>;

    /// The parameters as one flat block in the layout's order.
    async fn parameters(&mut self) -> Result<Vec<Self::Real>> {
        let mut numbers = Vec::new();
        self.read_block(FlatBlock::Parameters, &mut numbers).await?;
        Ok(numbers)
    }

    /// A block as a whole, in the place of what `to` held.
    ///
    /// # Errors
    /// [`Error::Value`] for one that is not there; [`Error::NoMemory`] where there is none for it.
    async fn read_block(&mut self, block: FlatBlock, to: &mut Vec<Self::Real>) -> Result<()> {
        let (length, all) = (self.layout().len(), 0..self.layout().tensors().len());
        to.clear();
        reserve(to, length, "a copy of the parameters")?;
        let mut take = |piece: &[Self::Real]| {
            to.extend_from_slice(piece);
            Ok(())
        };
        self.read_tensors(block, all, &mut take).await
    }

    /// Replaces a block as a whole.
    ///
    /// # Errors
    /// [`Error::Shape`] for another length than the layout's, [`Error::Value`] for a block that is not there.
    fn write_block(&mut self, block: FlatBlock, numbers: &[Self::Real]) -> Result<()> {
        let (expected, all) = (self.layout().len(), 0..self.layout().tensors().len());
        if numbers.len() != expected {
            let name = match block {
                FlatBlock::Parameters => "parameters".into(),
                FlatBlock::OptimizerState(index) => format!("slot {index}"),
            };
            return Err(Error::shape(name, &[expected], &[numbers.len()]));
        }
        let mut rest = numbers;
        self.write_tensors(block, all, &mut |piece| {
            let (now, later) = rest.split_at(piece.len());
            piece.copy_from_slice(now);
            rest = later;
            Ok(())
        })
    }

    /// Replaces all parameters. The length must be the layout's. The bad step that ended updating is forgotten, once its
    /// report was given.
    fn set_parameters(&mut self, block: &[Self::Real]) -> Result<()> {
        self.write_block(FlatBlock::Parameters, block)
    }

    /// The numbers that the rule keeps for each parameter,
    /// [`OptimizerKind::state_blocks`](crate::OptimizerKind::state_blocks) flat blocks in the layout's order.
    async fn optimizer_state(&mut self) -> Result<Vec<Vec<Self::Real>>> {
        let mut optimizer_state = Vec::new();
        for index in 0..self.optimizer_blocks() {
            let mut numbers = Vec::new();
            self.read_block(FlatBlock::OptimizerState(index), &mut numbers).await?;
            optimizer_state.push(numbers);
        }
        Ok(optimizer_state)
    }

    /// Replaces them: as many blocks as there are, each of the layout's length.
    fn set_optimizer_state(&mut self, optimizer_state: &[Vec<Self::Real>]) -> Result<()> {
        check_optimizer_state(optimizer_state, self.optimizer_blocks(), self.layout().len())?;
        let mut blocks = optimizer_state.iter().enumerate();
        blocks.try_for_each(|(index, numbers)| self.write_block(FlatBlock::OptimizerState(index), numbers))
    }
}

/// The numbers of a flat block that some tensors of the layout have.
///
/// # Errors
/// [`Error::Value`] for tensors that it does not have.
pub(crate) fn numbers_of(layout: &Layout, tensors: &Range<usize>) -> Result<Range<usize>> {
    let all = layout.tensors();
    match all.get(tensors.clone()) {
        Some([first, .., last]) => Ok(first.offset..last.range().end),
        Some([only]) => Ok(only.range()),
        Some([]) => Ok(0..0),
        None => Err(Error::value("tensors", format!("some of 0..{}", all.len()), format!("{tensors:?}"))),
    }
}

/// Refuses other than the `count` blocks that a rule keeps, of a number for each of the `parameters`.
pub(crate) fn check_optimizer_state<R>(
    optimizer_state: &[impl Borrow<Vec<R>>],
    count: usize,
    parameters: usize,
) -> Result<()> {
    if optimizer_state.len() != count {
        return Err(Error::value("the optimizer's slots", format!("{count} for its rule"), optimizer_state.len()));
    }
    let mut lengths = optimizer_state.iter().map(|block| block.borrow().len()).enumerate();
    match lengths.find(|(_, length)| *length != parameters) {
        Some((index, length)) => Err(Error::shape(format!("slot {index}"), &[parameters], &[length])),
        None => Ok(()),
    }
}

/// That a rule keeps no numbers of this index.
pub(crate) fn no_optimizer_block(index: usize, count: usize) -> Error {
    Error::value("the optimizer's slot", format!("one of the {count} of its rule"), index)
}
