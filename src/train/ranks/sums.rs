//! Sums over ranks: gradients and losses.

use std::ops::Range;

use crate::communicator::{AGREED, Ranks, SumsAhead, bytes_of_sum};
use crate::engine::{Engine, EngineOptions, Layers, parameter_groups};
use crate::error::{Error, Result};
use crate::model::{Layout, Model};
use crate::real::Real;
use crate::train::trainer::{GradientSums, Trainer};

/// The exchanges in a step of [`run`](crate::train::run) besides those of the gradients: of the loss, and of what observers ask
/// for.
const SMALL_SUMS: usize = 2;

/// The sums over ranks of a step of [`run`](crate::train::run), whatever its batches are: of each [series](series) of tensors
/// the gradient sums; and for each series, and twice more, 4 numbers in f64. The number
/// of elements of each sum, and the bytes of one. `R`: the number type of the backend.
///
/// # Errors
/// Those of [`Model::validate`]; [`Error::Value`] for [`parameter_groups`](EngineOptions::parameter_groups) that the model cannot
/// have.
pub(crate) fn sums_of_step<R: Real>(model: &Model, options: &EngineOptions) -> Result<Vec<(usize, usize)>> {
    model.validate()?;
    let layout = Layout::new(model);
    let small = (AGREED + 1, size_of::<f64>());
    let mut sums = vec![small; SMALL_SUMS];
    for tensors in series(&layout, model.recurrent.directions(), options)? {
        let numbers = crate::engine::numbers_of(&layout, &tensors)?;
        sums.extend([small, (numbers.len(), size_of::<R>())]);
    }
    Ok(sums)
}

/// The bytes that a rank sends in a step of [`run`](crate::train::run), whatever its batches are: with
/// [`bytes_of_sum`] the gradient sums of the head and of each layer, without frozen tensors, which follow each other in the
/// [`Layout`] unless there are frozen ones between them, and for each such series, and twice more, a sum of 4 numbers in f64. Not counted are the exchanges of
/// [`hidden_gradient_norms`](crate::Trainer::hidden_gradient_norms) and
/// [`input_gradient`](crate::Trainer::input_gradient) where they are asked for, those of validations and checkpoints, the
/// comparisons of what ranks start with, and [shared weights](crate::Trainer::sharing_weights). `R`: the number type of the
/// backend. A run counts what it sends in [`Outcome::bytes_sent_per_step`](crate::train::Outcome::bytes_sent_per_step).
///
/// # Errors
/// Those of [`Model::validate`]; [`Error::Value`] for a rank that is not below the size, and for
/// [`parameter_groups`](EngineOptions::parameter_groups) that the model cannot have.
pub fn bytes_sent_per_step<R: Real>(model: &Model, options: &EngineOptions, rank: usize, size: usize) -> Result<u64> {
    if rank >= size {
        return Err(Error::value("the rank", format!("a number below the size of {size}"), rank));
    }
    let sums = sums_of_step::<R>(model, options)?;
    Ok(sums.iter().map(|(count, element)| bytes_of_sum(*count, *element, rank, size)).sum())
}

/// The tensors that are not frozen, in as few ranges of consecutive ones as possible.
fn trained(layout: &Layout, options: &EngineOptions) -> Result<Vec<Range<usize>>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in parameter_groups::update_ranges(&options.parameter_groups, layout)? {
        match joined.last_mut().filter(|last| last.end == range.tensors.start) {
            Some(last) => last.end = range.tensors.end,
            None => joined.push(range.tensors),
        }
    }
    Ok(joined)
}

/// The series of tensors whose gradients ranks add up, one after another: those that are not frozen, in the order in which a
/// backward pass completes them.
pub(super) fn series(layout: &Layout, directions: usize, options: &EngineOptions) -> Result<Vec<Range<usize>>> {
    let trained = trained(layout, options)?;
    let within = |part: &Range<usize>, range: &Range<usize>| part.start.max(range.start)..part.end.min(range.end);
    let order = layout.backward_order(directions);
    let parts = order.iter().flat_map(|part| trained.iter().map(move |range| within(part, range)));
    Ok(parts.filter(|tensors| !tensors.is_empty()).collect())
}

/// The tensors that are not in these ranges.
fn others(of: &[Range<usize>], tensors: usize) -> Vec<Range<usize>> {
    let begins = std::iter::once(0).chain(of.iter().map(|range| range.end));
    let ends = of.iter().map(|range| range.start).chain([tensors]);
    begins.zip(ends).map(|(begin, end)| begin..end).filter(|range| !range.is_empty()).collect()
}

impl<E: Engine> Trainer<E> {
    /// Adds up the gradient sums and losses of all ranks in their engines.
    pub(in crate::train) async fn sum_over_ranks(&mut self) -> Result<()> {
        let Some(ranks) = self.ranks.clone() else { return Ok(()) };
        let ahead = self.sums_ahead.take().map(SumsAhead::finish).transpose()?;
        let mut ahead = ahead.into_iter().flatten().peekable();
        for tensors in self.series_of_sums()? {
            match ahead.next_if(|(summed, _)| *summed == tensors) {
                Some((tensors, sums)) => {
                    let written = self.engine.change_gradients(tensors, &mut |numbers| put(numbers, &sums)).await;
                    self.announced(written)?;
                }
                None => sum_gradients(&mut self.engine, &ranks, tensors).await?,
            }
        }
        let local = self.engine.loss_sum().await;
        // Whole numbers below 2³², whose sums are exact.
        let halves = [self.batches_digest as u32, (self.batches_digest >> 32) as u32].map(f64::from);
        let [loss_sum, sums @ ..] = ranks.agree(local.map(|loss_sum| [loss_sum, halves[0], halves[1]]))?;
        if sums != halves.map(|half| half * ranks.size() as f64) {
            self.compare_batches(&ranks)?;
        }
        let set = self.engine.set_loss_sum(loss_sum);
        self.announced(set)
    }

    /// The [series](series) of this trainer.
    pub(super) fn series_of_sums(&self) -> Result<Vec<Range<usize>>> {
        let directions = self.engine.model().recurrent.directions();
        series(self.engine.layout(), directions, &self.options.engine)
    }

    /// Whether the engine's sums are those of this rank's rows alone: of all tensors before an update, of frozen ones after
    /// it too.
    fn tensors_apart(&self) -> Result<Vec<Range<usize>>> {
        let layout = self.engine.layout();
        match self.sums {
            GradientSums::Used(_) => Ok(others(&trained(layout, &self.options.engine)?, layout.tensors().len())),
            GradientSums::Nothing | GradientSums::Open { .. } => Ok(others(&[], layout.tensors().len())),
        }
    }

    /// The gradient sums of a range of tensors over all ranks, as one block. Leaves those of the engine as they are.
    pub(in crate::train) async fn gradient_sums(&mut self, tensors: Range<usize>) -> Result<Vec<E::Real>> {
        let numbers = crate::engine::numbers_of(self.engine.layout(), &tensors)?;
        let mut block = Vec::new();
        let mut take = |piece: &[E::Real]| {
            block.extend_from_slice(piece);
            Ok(())
        };
        let read = self.engine.read_gradients(tensors.clone(), &mut take).await;
        let Some(ranks) = self.ranks.clone() else { return read.map(|()| block) };
        let apart = self.tensors_apart()?;
        ranks.agree(read.map(|()| [0.0; AGREED]))?;
        for range in apart {
            let range = range.start.max(tensors.start)..range.end.min(tensors.end);
            if !range.is_empty() {
                let part = crate::engine::numbers_of(self.engine.layout(), &range)?;
                ranks.sum(&mut block[part.start - numbers.start..part.end - numbers.start])?;
            }
        }
        Ok(block)
    }

    /// Σ w·loss over all ranks that belongs to the gradient sums.
    pub(in crate::train) async fn loss_sum_of_gradients(&mut self) -> Result<f64> {
        let local = self.engine.loss_sum().await;
        match self.sums {
            GradientSums::Used(_) => local,
            GradientSums::Nothing | GradientSums::Open { .. } => self.sum_of_ranks(local),
        }
    }
}

/// Replaces numbers by as many.
fn put<R: Real>(numbers: &mut [R], by: &[R]) -> Result<()> {
    numbers.copy_from_slice(by);
    Ok(())
}

/// Adds up the gradient sums of some tensors in the engines of all ranks.
async fn sum_gradients<E: Layers>(engine: &mut E, ranks: &Ranks, tensors: Range<usize>) -> Result<()> {
    let mut agreed = false;
    let summed = engine
        .change_gradients(tensors, &mut |numbers| {
            agreed = true;
            ranks.agree(Ok([0.0; AGREED]))?;
            ranks.sum(numbers)
        })
        .await;
    match summed {
        // The others are told before they begin, or, after it, where they are next.
        Err(error) if !agreed || !ranks.have_parted() => ranks.agree(Err(error)).map(|_| ()),
        summed => summed,
    }
}
