//! The passes of a CPU engine.

use ndarray::ArrayViewMut3;

use super::CpuEngine;
use super::plan::chunk;
use crate::allocate;
use crate::batch::{Output, Sequence, Validated};
use crate::cpu::kernels::update::CpuUpdate;
use crate::cpu::pass::block::{ChunkPlan, RowBlock};
use crate::cpu::pass::load::InitialState;
use crate::cpu::pass::predictions::{CpuPredictions, PassLoss};
use crate::cpu::pass::{PassKind, PassRows, Sums};
use crate::dropout::DropoutParams;
use crate::engine::passes::{CompletedSums, Objective, Passes};
use crate::engine::streaming::Streaming;
use crate::engine::{Hooks, Inference, Inspection, Logits, LossSum, StatefulRows};
use crate::error::Result;
use crate::model::Readout;
use crate::real::Real;

impl<R: Real> CpuEngine<R> {
    /// The dropout parameters of a training pass over `rows` rows.
    fn draw(&self, rows: usize) -> Result<Option<DropoutParams>> {
        let recurrent = &self.passes.model.recurrent;
        self.masks.map(|masks| DropoutParams::new(masks, recurrent, rows)).transpose()
    }

    /// The chunk plan of a training pass.
    fn training_plan(&self, steps: usize, dx: bool) -> ChunkPlan {
        ChunkPlan { chunk: chunk(&self.passes.model, &self.options, steps), backward: true, dx }
    }

    /// The chunk plan of a forward pass without a backward pass.
    fn inference_plan(&self, steps: usize) -> ChunkPlan {
        ChunkPlan { chunk: self.passes.shortest_chunk(steps), backward: false, dx: false }
    }

    /// Runs forward without a backward pass, and writes the logits, or without a head the last layer's h, in the order
    /// of `Model::output_shape`, leaving padding unchanged. Returns the number of blocks, which have the final states.
    pub(super) fn infer<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        start: InitialState<'_, S, R>,
        mut outputs: ArrayViewMut3<'_, R>,
    ) -> Result<usize> {
        let (steps, rows) = sequence.shape();
        self.begin_pass();
        let readout = self.model.head.as_ref().map(|head| head.readout);
        let kind = if readout.is_some() { PassKind::Logits } else { PassKind::Output };
        let store = |blocks: &[RowBlock<R>]| {
            for block in blocks {
                let (held, logits) = (block.held.clone(), &block.head.logits);
                match readout {
                    None => block.store_sequence(&mut outputs, held, block.outputs.last().map_or(&[], Vec::as_slice)),
                    Some(Readout::PerStep) => block.store_sequence(&mut outputs, held, logits),
                    Some(Readout::Final | Readout::MeanPool) if block.is_last() => {
                        block.store_sequence(&mut outputs, 0..1, logits)
                    }
                    Some(Readout::Final | Readout::MeanPool) => {}
                }
            }
        };
        let plan = self.inference_plan(steps);
        let rows_of = PassRows { sequence, start, draw: None };
        let blocks = &mut self.blocks;
        self.passes.within(rows, |passes| passes.forward(blocks, rows_of, plan, kind, store))?;
        Ok(self.passes.model.blocks(rows))
    }

    /// Runs forward without a backward pass. Returns the sum of the losses and the number of blocks, which have the
    /// final states.
    pub(super) fn infer_loss<S: Real>(
        &mut self,
        objective: &Objective<'_, S, Self>,
        start: InitialState<'_, S, R>,
    ) -> Result<(f64, usize)> {
        let sequence = objective.sequence();
        let (steps, rows) = sequence.shape();
        let plan = self.inference_plan(steps);
        self.begin_pass();
        let rows_of = PassRows { sequence, start, draw: None };
        let blocks = &mut self.blocks;
        with_loss(objective, |loss| {
            self.passes.within(rows, |passes| passes.forward(blocks, rows_of, plan, PassKind::Loss(loss), |_| {}))
        })?;
        let count = self.passes.model.blocks(rows);
        Ok((blocks[..count].iter().map(|block| block.head.loss).sum(), count))
    }

    /// Begins a pass, which overwrites the blocks of the previous one.
    pub(super) fn begin_pass(&mut self) {
        self.last.begin();
        self.gradient_norms = None;
    }
}

impl<R: Real> Hooks for CpuEngine<R> {
    type Predictions<'a> = CpuPredictions<'a, R>;
    type Losses = f64;
    type Update<'a> = CpuUpdate<'a, R>;
}

impl<R: Real> Passes for CpuEngine<R> {
    async fn forward_validated(&mut self, sequence: Validated<'_, Sequence<R>>) -> Result<Output<R>> {
        let sequence = &*sequence;
        let (steps, rows) = sequence.shape();
        let draw = self.draw(rows)?;
        self.begin_pass();
        let start = sequence.initial.as_ref().map_or(InitialState::Zero, InitialState::Given);
        let mut output = allocate::array((steps, rows, self.model.recurrent.output_size()), "the output")?;
        let store = |blocks: &[RowBlock<R>]| {
            for block in blocks {
                if let Some(top) = block.outputs.last() {
                    block.store_sequence(&mut output.view_mut(), block.held.clone(), top);
                }
            }
        };
        let plan = self.training_plan(steps, true);
        let (blocks, of_sequence) = (&mut self.blocks, PassRows { sequence, start, draw });
        self.passes.within(rows, |passes| passes.forward(blocks, of_sequence, plan, PassKind::Output, store))?;
        self.last.finished_forward(sequence.batch_shape());
        Ok(Output { output, states: self.passes.final_states(&self.blocks[..self.passes.model.blocks(rows)], rows) })
    }

    async fn accumulate_validated<S: Real>(
        &mut self,
        objective: Objective<'_, S, Self>,
        carry: Option<StatefulRows>,
        completed: Option<&mut CompletedSums<'_, R>>,
    ) -> Result<()> {
        let sequence = objective.sequence();
        let (steps, rows) = sequence.shape();
        let draw = self.draw(rows)?;
        if let Some(carry) = carry {
            carry.check(&self.model, rows, self.carried_rows())?;
        }
        self.begin_pass();
        self.options.check_memory(self.plan(sequence.batch_shape())?.total())?;
        if let (Some(carry), None) = (carry, &self.carried) {
            self.carried = Some(self.zero_states(carry.rows)?);
        }
        self.open_sums();
        let start = match (&sequence.initial, carry, &self.carried) {
            (Some(initial), ..) => InitialState::Given(initial),
            (None, Some(carry), Some(carried)) => InitialState::Carried(carried, carry.first_row),
            _ => InitialState::Zero,
        };
        let (plan, gradient_norms) =
            (self.training_plan(steps, self.options.input_gradient), self.takes_gradient_norms);
        let of_batch = PassRows { sequence, start, draw };
        let (blocks, gradients) = (&mut self.blocks, &mut self.gradients);
        with_loss(&objective, |loss| {
            let sums = Sums { gradients, completed };
            self.passes.within(rows, |passes| passes.train(blocks, of_batch, plan, (loss, gradient_norms), sums))
        })?;
        let blocks = &self.blocks[..self.passes.model.blocks(rows)];
        self.loss += blocks.iter().map(|block| block.head.loss).sum::<f64>();
        if let (Some(carry), Some(carried)) = (carry, &mut self.carried) {
            blocks.iter().for_each(|block| block.store_states(&self.passes.model, carried, carry.first_row));
        }
        self.gradient_norms = gradient_norms.then(|| self.gradient_norms_of(steps, rows));
        self.last.accumulated(sequence.batch_shape(), gradient_norms);
        Ok(())
    }

    async fn logits_validated<S: Real>(&mut self, sequence: Validated<'_, Sequence<S>>) -> Result<Logits<R>> {
        let sequence = &*sequence;
        self.model.require_head()?;
        let (steps, rows) = sequence.shape();
        let mut logits = allocate::array(self.model.output_shape(steps, rows), "the logits")?;
        let start = sequence.initial.as_ref().map_or(InitialState::Zero, InitialState::Given);
        let blocks = self.infer(sequence, start, logits.view_mut())?;
        let states = self.passes.final_states(&self.blocks[..blocks], rows);
        Ok(Logits { logits, states })
    }

    async fn evaluate_validated<S: Real>(&mut self, objective: Objective<'_, S, Self>) -> Result<LossSum<R>> {
        let sequence = objective.sequence();
        let start = sequence.initial.as_ref().map_or(InitialState::Zero, InitialState::Given);
        let (loss_sum, blocks) = self.infer_loss(&objective, start)?;
        let states = self.passes.final_states(&self.blocks[..blocks], sequence.shape().1);
        Ok(LossSum { loss_sum, states })
    }
}

impl<R: Real> Inference for CpuEngine<R> {}

/// Calls `f` with the loss of an objective.
fn with_loss<R: Real, S: Real, T>(
    objective: &Objective<'_, S, CpuEngine<R>>,
    f: impl FnOnce(PassLoss<'_, S, R>) -> T,
) -> T {
    match objective {
        Objective::Batch(batch) => f(PassLoss::Batch(batch)),
        Objective::Custom { loss, first_row, .. } => {
            f(PassLoss::Custom(&|predictions: CpuPredictions<'_, R>| loss.loss(predictions), *first_row))
        }
    }
}
