//! The parameters of an engine and its optimizer state.

use std::borrow::Borrow;
use std::ops::Range;

use ndarray::{ArrayD, IxDyn};

use super::sealed::Sealed;
use super::{Backend, EngineOptions};
use crate::allocate::reserve;
use crate::error::{Error, Result};
use crate::model::{Initialisation, Layout, Model, SavedModel, StateDict};
use crate::real::Real;

/// A flat block of numbers in the layout's order that an engine keeps between steps. It names a place:
/// [`Parameters::exchange_average`] puts the average in that of the parameters, and these in that of the average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlatBlock {
    /// The parameters.
    Parameters,
    /// The optimizer-state block of this index, below
    /// [`OptimizerKind::state_blocks`](crate::OptimizerKind::state_blocks).
    OptimizerState(usize),
    /// The moving average of the parameters, with [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay). Before the
    /// first update it is zero, or what was written to it.
    AveragedParameters,
}

/// The parameters of a network on a device and the optimizer state. Every block is in the [`Layout`]'s order.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Parameters: Sealed {
    /// The number type of the backend.
    type Real: Real;

    /// The model.
    fn model(&self) -> &Model;

    /// The position of each parameter in the flat block.
    fn layout(&self) -> &Layout;

    /// The number of optimizer-state blocks: [`OptimizerKind::state_blocks`](crate::OptimizerKind::state_blocks).
    fn optimizer_blocks(&self) -> usize;

    /// Reads some of the layout's [`tensors`](Layout::tensors), given by index, and passes their numbers to `take` in
    /// order and in pieces. The CPU backend passes its own memory without a copy, the GPU backend some megabytes at a
    /// time. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor or block that does not exist. An error of `take` stops reading and is returned.
    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[Self::Real]) -> Result<()> + Send),
    ) -> Result<()>;

    /// Writes some of the layout's tensors; `fill` provides their numbers in pieces. Writing parameters also clears a
    /// bad step that stopped updating, if it has been reported.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor or block that does not exist. An error of `fill` stops writing and is returned;
    /// pieces already written stay.
    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut (dyn FnMut(&mut [Self::Real]) -> Result<()> + Send),
    ) -> Result<()>;

    /// Copies a block onto another one on the device. [Enqueues](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Unsupported`] for a block that does not exist; those of the device.
    fn copy_block(&mut self, from: FlatBlock, to: FlatBlock) -> Result<()>;

    /// Puts the parameters and their average in each other's place, on the device and without a third block. Every pass
    /// then computes with the average, until a second call restores the order; in between, updates are refused. A
    /// [`Trainer`](crate::Trainer) does both with [`averaged`](crate::Trainer::averaged). [Enqueues](crate#waiting),
    /// and leaves an error of the device to the next call, so that what is exchanged can be exchanged back.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay); nothing is then
    /// exchanged.
    fn exchange_average(&mut self) -> Result<()>;

    /// Whether the parameters and their average are in each other's place.
    fn is_exchanged(&self) -> bool;

    /// The parameters as one flat block in the layout's order. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::NoMemory`], and those of the device.
    async fn parameters(&mut self) -> Result<Vec<Self::Real>> {
        let mut numbers = Vec::new();
        self.read_block(FlatBlock::Parameters, &mut numbers).await?;
        Ok(numbers)
    }

    /// Reads a whole block into `to`, replacing its contents. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`] for a block that does not exist; [`Error::NoMemory`] if `to` cannot grow.
    async fn read_block(&mut self, block: FlatBlock, to: &mut Vec<Self::Real>) -> Result<()> {
        let (length, all) = (self.layout().len(), 0..self.layout().tensors().len());
        to.clear();
        reserve(to, length, "a copy of the parameters")?;
        self.read_tensors(block, all, &mut append_to(to)).await
    }

    /// Replaces a whole block.
    ///
    /// # Errors
    /// [`Error::Shape`] if the length is not the layout's; [`Error::Value`] for a block that does not exist.
    fn write_block(&mut self, block: FlatBlock, numbers: &[Self::Real]) -> Result<()> {
        let (expected, all) = (self.layout().len(), 0..self.layout().tensors().len());
        if numbers.len() != expected {
            let name = match block {
                FlatBlock::Parameters => "parameters".into(),
                FlatBlock::OptimizerState(index) => format!("optimizer-state block {index}"),
                FlatBlock::AveragedParameters => "averaged parameters".into(),
            };
            return Err(Error::shape(name, &[expected], &[numbers.len()]));
        }
        self.write_tensors(block, all, &mut take_from(numbers))
    }

    /// Replaces all parameters. The length must be the layout's. Clears a bad step that stopped updating, if it has
    /// been reported.
    ///
    /// # Errors
    /// [`Error::Shape`] for another length; those of the device.
    fn set_parameters(&mut self, block: &[Self::Real]) -> Result<()> {
        self.write_block(FlatBlock::Parameters, block)
    }

    /// Draws all parameters: those that a [`Trainer`](crate::Trainer) with this seed begins with.
    ///
    /// # Errors
    /// Those of [`Initialisation::draw`], which leave everything unchanged; those of the device.
    fn initialise(&mut self, initialisation: Initialisation, seed: u64) -> Result<()> {
        let block = initialisation.draw(self.model(), seed)?;
        let (tensors, mut numbers) = (self.layout().tensors().len(), block.iter());
        self.write_tensors(FlatBlock::Parameters, 0..tensors, &mut |piece| {
            convert(piece, &mut numbers);
            Ok(())
        })
    }

    /// Replaces all parameters with those of a state dict, in f32 or f64, as [`set_parameters`](Self::set_parameters) does.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every difference; the parameters are then unchanged.
    fn load_state_dict<S: Real>(&mut self, dict: &StateDict<S>) -> Result<()> {
        for (tensor, array) in self.layout().arrays(dict)?.into_iter().enumerate() {
            let mut numbers = array.iter();
            self.write_tensors(FlatBlock::Parameters, tensor..tensor + 1, &mut |piece| {
                convert(piece, &mut numbers);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One tensor of the parameters, by [`Layout`] name. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`] for a name that the layout does not have.
    async fn parameter(&mut self, name: &str) -> Result<ArrayD<Self::Real>> {
        let tensor = self.layout().index_of(name)?;
        read_tensor(self, FlatBlock::Parameters, tensor).await
    }

    /// Replaces one tensor of the parameters, by [`Layout`] name, as [`set_parameters`](Self::set_parameters) does all.
    ///
    /// # Errors
    /// [`Error::Value`] for a name that the layout does not have; [`Error::Shape`] for another shape.
    fn set_parameter(&mut self, name: &str, array: &ArrayD<Self::Real>) -> Result<()> {
        let tensor = self.layout().index_of(name)?;
        let expected = &self.layout().tensors()[tensor].shape;
        if array.shape() != expected {
            return Err(Error::shape(name, expected, array.shape()));
        }
        let mut numbers = array.iter();
        let fill = &mut |piece: &mut [Self::Real]| {
            piece.iter_mut().zip(&mut numbers).for_each(|(to, number)| *to = *number);
            Ok(())
        };
        self.write_tensors(FlatBlock::Parameters, tensor..tensor + 1, fill)
    }

    /// The optimizer state: [`OptimizerKind::state_blocks`](crate::OptimizerKind::state_blocks) flat blocks in the
    /// layout's order. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::NoMemory`], and those of the device.
    async fn optimizer_state(&mut self) -> Result<Vec<Vec<Self::Real>>> {
        let mut optimizer_state = Vec::new();
        for index in 0..self.optimizer_blocks() {
            let mut numbers = Vec::new();
            self.read_block(FlatBlock::OptimizerState(index), &mut numbers).await?;
            optimizer_state.push(numbers);
        }
        Ok(optimizer_state)
    }

    /// Replaces the optimizer state. Needs the same number of blocks, each of the layout's length.
    ///
    /// # Errors
    /// [`Error::Value`] for another number of blocks, [`Error::Shape`] for one of another length; those of the device.
    fn set_optimizer_state(&mut self, optimizer_state: &[Vec<Self::Real>]) -> Result<()> {
        check_optimizer_state(optimizer_state, self.optimizer_blocks(), self.layout().len())?;
        let mut blocks = optimizer_state.iter().enumerate();
        blocks.try_for_each(|(index, numbers)| self.write_block(FlatBlock::OptimizerState(index), numbers))
    }
}

/// Reads the tensor with this index in the layout.
pub(crate) async fn read_tensor<P: Parameters + ?Sized>(
    engine: &mut P,
    block: FlatBlock,
    tensor: usize,
) -> Result<ArrayD<P::Real>> {
    let (mut numbers, shape) = (Vec::new(), engine.layout().tensors()[tensor].shape.clone());
    reserve(&mut numbers, shape.iter().product(), "a copy of a tensor")?;
    engine.read_tensors(block, tensor..tensor + 1, &mut append_to(&mut numbers)).await?;
    shaped(&shape, numbers)
}

/// Fills pieces with numbers, one after the other.
pub(crate) fn take_from<R: Copy>(numbers: &[R]) -> impl FnMut(&mut [R]) -> Result<()> {
    let mut rest = numbers;
    move |piece| {
        let (now, later) = rest.split_at(piece.len());
        piece.copy_from_slice(now);
        rest = later;
        Ok(())
    }
}

/// Takes pieces of numbers, to be read one after the other.
pub(crate) fn append_to<R: Copy>(numbers: &mut Vec<R>) -> impl FnMut(&[R]) -> Result<()> {
    |piece| {
        numbers.extend_from_slice(piece);
        Ok(())
    }
}

impl<R: Real> SavedModel<R> {
    /// Creates an engine with the model and its weights: for predictions, for a [`Session`](crate::Session), or, with an
    /// optimizer in the options, for training steps of your own. [`trainer`](Self::trainer) creates a trainer.
    ///
    /// # Errors
    /// Those of [`Backend::engine`]; [`Error::StateDict`] if the weights are not those of the model.
    pub fn engine<B: Backend>(&self, backend: &B, options: &EngineOptions) -> Result<B::Engine> {
        let mut engine = backend.engine(self.model(), options)?;
        engine.load_state_dict(&self.weights)?;
        Ok(engine)
    }
}

/// Fills a piece with the next numbers, in the type of the engine.
fn convert<'a, R: Real, S: Real>(piece: &mut [R], numbers: &mut impl Iterator<Item = &'a S>) {
    piece.iter_mut().zip(numbers).for_each(|(to, number)| *to = R::from_f64(number.as_f64()));
}

/// Numbers in the shape of their tensor.
pub(crate) fn shaped<R>(shape: &[usize], numbers: Vec<R>) -> Result<ArrayD<R>> {
    ArrayD::from_shape_vec(IxDyn(shape), numbers).map_err(|error| Error::Failed(error.to_string()))
}

/// The range in the flat block that these tensors of the layout occupy.
///
/// # Errors
/// [`Error::Value`] if the range is not within the layout's tensors.
pub(crate) fn numbers_of(layout: &Layout, tensors: &Range<usize>) -> Result<Range<usize>> {
    let all = layout.tensors();
    match all.get(tensors.clone()) {
        Some([first, .., last]) => Ok(first.offset..last.range().end),
        Some([only]) => Ok(only.range()),
        Some([]) => Ok(0..0),
        None => Err(Error::value("tensors", format!("some of 0..{}", all.len()), format!("{tensors:?}"))),
    }
}

/// Checks for `count` blocks with one number per parameter.
pub(crate) fn check_optimizer_state<R>(
    optimizer_state: &[impl Borrow<Vec<R>>],
    count: usize,
    parameters: usize,
) -> Result<()> {
    if optimizer_state.len() != count {
        return Err(Error::value("the optimizer state", format!("{count} blocks"), optimizer_state.len()));
    }
    let mut lengths = optimizer_state.iter().map(|block| block.borrow().len()).enumerate();
    match lengths.find(|(_, length)| *length != parameters) {
        Some((index, length)) => Err(Error::shape(format!("optimizer-state block {index}"), &[parameters], &[length])),
        None => Ok(()),
    }
}

/// The error for an average that does not exist.
pub(crate) fn no_average() -> Error {
    let reason = "an average of the parameters needs EngineOptions::ema_decay, which is not set";
    Error::Unsupported(reason.into())
}

/// Refuses an update while the average is in the parameters' place.
pub(crate) fn check_not_exchanged(exchanged: bool) -> Result<()> {
    if exchanged {
        let reason = "an update needs the parameters, and their average is in their place: exchange them again";
        return Err(Error::Unsupported(reason.into()));
    }
    Ok(())
}

/// The error for an optimizer-state block that does not exist.
pub(crate) fn no_optimizer_block(index: usize, count: usize) -> Error {
    Error::value("the index of an optimizer-state block", format!("a number below {count}"), index)
}
