//! A pass over all blocks: forward, head and loss, backward, weight gradients.

pub(crate) mod block;
pub(crate) mod buffer_sizes;
pub(crate) mod head;
pub(crate) mod load;
pub(crate) mod mapped_model;
pub(crate) mod packed_weights;
pub(crate) mod pass_weights;
pub(crate) mod predictions;
pub(crate) mod unroll;
pub(crate) mod weight_gradient;

use std::sync::{Mutex, PoisonError};

use self::block::{ChunkPlan, RowBlock};
use self::buffer_sizes::SPAN;
use self::load::InitialState;
use self::mapped_model::MappedModel;
use self::packed_weights::PackedWeights;
use self::pass_weights::PassWeights;
use self::predictions::PassLoss;
use self::weight_gradient::{TileGroup, WeightTile, WeightTiles};
use crate::allocate;
use crate::batch::{OutputGradient, Sequence, States};
use crate::cpu::gemm::shared::SharedBlock;
use crate::cpu::gemm::transposed::PackScratch;
use crate::cpu::parallel::clock::{Clock, Phase};
use crate::cpu::parallel::threads::Threads;
use crate::dropout::DropoutParams;
use crate::engine::passes::CompletedSums;
use crate::error::Result;
use crate::model::{Layout, Readout};
use crate::real::Real;

/// Everything that passes need besides the blocks.
#[derive(Debug)]
pub(crate) struct PassContext<R> {
    pub(crate) threads: Threads,
    pub(crate) model: MappedModel,
    pub(crate) parameters: Vec<R>,
    prepared: PackedWeights<R>,
    tiles: Vec<WeightTile>,
    /// The tiles of the tensors that are complete together.
    groups: Vec<TileGroup>,
    /// One per thread. Contended only if the work runs in a pool of more threads.
    scratches: Vec<Mutex<PackScratch<R>>>,
    pub(crate) clock: Clock,
}

/// The result of a forward pass.
#[derive(Clone, Copy)]
pub(crate) enum PassKind<'a, S, R: Real> {
    /// The output of the recurrent layers.
    Output,
    /// The head's logits.
    Logits,
    /// The loss.
    Loss(PassLoss<'a, S, R>),
}

/// The rows of a pass, and their initial states.
#[derive(Clone, Copy)]
pub(crate) struct PassRows<'a, S, R> {
    pub(crate) sequence: &'a Sequence<S>,
    pub(crate) start: InitialState<'a, S, R>,
    pub(crate) draw: Option<DropoutParams>,
}

/// The gradient sums to which a pass adds, and who is told of those that are complete.
pub(crate) struct Sums<'a, 'b, R> {
    pub(crate) gradients: &'a mut [R],
    pub(crate) completed: Option<&'a mut CompletedSums<'b, R>>,
}

impl<R: Real> PassContext<R> {
    /// With zero parameters.
    pub(crate) fn new(threads: Threads, model: MappedModel, layout: &Layout) -> Result<Self> {
        let tiles = weight_gradient::tiles(&model, layout, threads.count());
        let (rows, columns) = weight_gradient::scratch_shape(&tiles);
        let groups = weight_gradient::groups(&tiles, layout, model.recurrent.directions());
        Ok(Self {
            scratches: (0..threads.count()).map(|_| Mutex::new(PackScratch::new(rows, columns))).collect(),
            tiles,
            groups,
            threads,
            parameters: allocate::zeros(layout.len(), "the parameters")?,
            prepared: PackedWeights::new(&model)?,
            model,
            clock: Clock::default(),
        })
    }

    /// To be called after each change of the parameters.
    pub(crate) fn parameters_changed(&mut self) {
        self.prepared.parameters_changed();
    }

    /// Calls `f`, which processes `rows` rows, on one of the threads if others will share its work.
    pub(crate) fn within<T: Send>(&mut self, rows: usize, f: impl FnOnce(&mut Self) -> T + Send) -> T {
        let (blocks, block_rows) = (self.model.blocks(rows), self.model.block_rows(rows).min(rows));
        let weights = self
            .model
            .layer_directions
            .iter()
            .map(|layer_direction| layer_direction.weight_hh.len())
            .max()
            .unwrap_or_default();
        let shared = SharedBlock::new(&self.threads, blocks);
        let shares = shared.shares(block_rows * weights).max(shared.step_shares(block_rows * self.model.hidden()));
        self.threads.clone().within(blocks * shares, || f(self))
    }

    /// Steps per chunk in forward passes without a backward pass: one span, to save memory. A reverse direction
    /// starts at the end of the whole sequence.
    pub(crate) fn shortest_chunk(&self, steps: usize) -> usize {
        if self.model.recurrent.has_reverse() { steps } else { SPAN }
    }

    /// Runs all rows forward through the sequence; `after` sees the blocks after each chunk.
    pub(crate) fn forward<S: Real>(
        &mut self,
        blocks: &mut Vec<RowBlock<R>>,
        rows: PassRows<'_, S, R>,
        plan: ChunkPlan,
        kind: PassKind<'_, S, R>,
        mut after: impl FnMut(&[RowBlock<R>]),
    ) -> Result<()> {
        let blocks = self.begin(blocks, &rows, plan)?;
        let weights = self.weights(blocks.len());
        for chunk in 0..rows.sequence.shape().0.div_ceil(plan.chunk) {
            self.threads.each(&mut *blocks, |block| {
                let block = &mut block[0];
                if chunk == 0 {
                    block.load(&self.model, rows.sequence, rows.start, rows.draw, plan);
                }
                if block.move_to_chunk(chunk) {
                    unroll::forward(&weights, block);
                    if !matches!(kind, PassKind::Output) {
                        head::forward(&weights, block);
                    }
                    if let (Some(head), PassKind::Loss(loss)) = (&self.model.head, kind) {
                        head::loss(head, block, loss);
                    }
                }
            });
            after(blocks);
        }
        Ok(())
    }

    /// Runs forward, loss and backward over a batch, and adds the gradients of all weights; with `norms`, also the
    /// squares of dh_t. In a pass with several chunks, each chunk is recomputed before its backward pass, except a
    /// block's last one, which it still holds.
    pub(crate) fn train<S: Real>(
        &mut self,
        blocks: &mut Vec<RowBlock<R>>,
        rows: PassRows<'_, S, R>,
        plan: ChunkPlan,
        (loss, norms): (PassLoss<'_, S, R>, bool),
        sums: Sums<'_, '_, R>,
    ) -> Result<()> {
        let blocks = self.begin(blocks, &rows, plan)?;
        let weights = self.weights(blocks.len());
        let mut sums = sums;
        let Some(head) = &self.model.head else { return Ok(()) };
        let every = head.readout == Readout::PerStep;
        let chunks = rows.sequence.shape().0.div_ceil(plan.chunk);
        for chunk in (0..chunks).rev() {
            self.threads.each(&mut *blocks, |block| {
                let block = &mut block[0];
                if chunk + 1 == chunks {
                    let timer = self.clock.begin();
                    block.load(&self.model, rows.sequence, rows.start, rows.draw, plan);
                    self.clock.end(timer, Phase::Load, || 0);
                    for early in 0..block.chunks() - 1 {
                        block.move_to_chunk(early);
                        unroll::forward(&weights, block);
                        if !every {
                            head::forward(&weights, block);
                        }
                    }
                }
                if !block.move_to_chunk(chunk) {
                    return;
                }
                unroll::forward(&weights, block);
                let timer = self.clock.begin();
                if every || block.is_last() {
                    head::forward(&weights, block);
                    head::loss(head, block, loss);
                }
                self.clock.end(timer, Phase::Head, || head::operations(&self.model, block));
                if block.is_last() {
                    block.begin_squares(norms);
                }
                let timer = self.clock.begin();
                head::backward(&weights, block);
                self.clock.end(timer, Phase::HeadBackward, || head::operations(&self.model, block));
                unroll::backward(&weights, block, head.readout != Readout::Final, plan.dx);
            });
            match sums.completed.as_mut().filter(|_| chunk == 0) {
                None => self.weight_gradients(blocks, sums.gradients, true),
                Some(completed) => self.last_weight_gradients(blocks, sums.gradients, completed),
            }
        }
        Ok(())
    }

    /// Runs a pass that ended after the recurrent layers backward from a gradient of the caller.
    pub(crate) fn back(
        &self,
        blocks: &mut [RowBlock<R>],
        gradient: &OutputGradient<R>,
        gradient_norms: bool,
        gradients: &mut [R],
    ) {
        let weights = self.weights(blocks.len());
        let chunks = blocks.iter().map(RowBlock::chunks).max().unwrap_or_default();
        for chunk in (0..chunks).rev() {
            self.threads.each(&mut *blocks, |block| {
                let block = &mut block[0];
                if !block.move_to_chunk(chunk) {
                    return;
                }
                if block.is_last() {
                    block.begin_squares(gradient_norms);
                } else {
                    unroll::forward(&weights, block);
                }
                block.load_gradient(&self.model, gradient);
                unroll::backward(&weights, block, gradient.output.is_some(), true);
            });
            self.weight_gradients(blocks, gradients, false);
        }
    }

    /// Prepares the blocks of the rows, and the weights for the forward pass.
    fn begin<'b, S: Real>(
        &mut self,
        blocks: &'b mut Vec<RowBlock<R>>,
        rows: &PassRows<'_, S, R>,
        plan: ChunkPlan,
    ) -> Result<&'b mut [RowBlock<R>]> {
        let batch = rows.sequence.shape().1;
        let count = self.model.blocks(batch);
        // Before anything is computed. Memory for another shape may be in the way.
        if self.reserve(blocks, rows, plan).is_err() {
            blocks.clear();
            self.reserve(blocks, rows, plan).inspect_err(|_| blocks.clear())?;
        }
        let timer = self.clock.begin();
        self.prepared.refresh(&self.threads, &self.model, &self.parameters, plan.backward);
        self.clock.end(timer, Phase::Packing, || 0);
        Ok(&mut blocks[..count])
    }

    /// Reserves the memory of the rows' blocks.
    fn reserve<S: Real>(
        &self,
        blocks: &mut Vec<RowBlock<R>>,
        rows: &PassRows<'_, S, R>,
        plan: ChunkPlan,
    ) -> Result<()> {
        let batch = rows.sequence.shape().1;
        let (count, block_rows) = (self.model.blocks(batch), self.model.block_rows(batch));
        if blocks.len() < count {
            blocks.resize_with(count, RowBlock::default);
        }
        for (index, block) in blocks[..count].iter_mut().enumerate() {
            block.first_row = index * block_rows;
            block.reserve(&self.model, rows.sequence, plan)?;
        }
        Ok(())
    }

    /// The final states of the rows in all blocks.
    pub(crate) fn final_states(&self, blocks: &[RowBlock<R>], rows: usize) -> States<R> {
        let mut states = States::zeros(&self.model.recurrent, rows);
        blocks.iter().for_each(|block| block.store_states(&self.model, &mut states, 0));
        states
    }

    /// Adds the weight gradients of all blocks.
    fn weight_gradients(&self, blocks: &[RowBlock<R>], gradients: &mut [R], with_head: bool) {
        self.add_tiles(blocks, WeightTiles { tiles: &self.tiles, gradients }, with_head);
    }

    /// Adds the last weight gradients of a batch, and tells of each group of tensors that is complete.
    fn last_weight_gradients(&self, blocks: &[RowBlock<R>], gradients: &mut [R], completed: &mut CompletedSums<'_, R>) {
        for group in &self.groups {
            let gradients = &mut gradients[group.numbers.clone()];
            self.add_tiles(blocks, WeightTiles { tiles: &self.tiles[group.tiles.clone()], gradients }, true);
            completed(group.numbers.clone(), gradients);
        }
    }

    fn add_tiles(&self, blocks: &[RowBlock<R>], tiles: WeightTiles<'_, R>, with_head: bool) {
        self.threads.each(tiles, |tile| {
            let mut scratch = self.scratches[self.threads.index()].lock().unwrap_or_else(PoisonError::into_inner);
            let (timer, tiles) = (self.clock.begin(), tile.tiles);
            weight_gradient::accumulate(&self.model, blocks, with_head, tile, &mut scratch);
            self.clock.end(timer, Phase::WeightGradients, || {
                let rows = blocks.iter().map(RowBlock::held_rows).sum();
                tiles.iter().map(|tile| tile.operations(rows)).sum()
            });
        });
    }

    /// The bytes of the threads' scratch.
    pub(crate) fn scratch_bytes(&self) -> usize {
        let scratches =
            self.scratches.iter().map(|scratch| scratch.lock().unwrap_or_else(PoisonError::into_inner).len());
        scratches.sum::<usize>() * size_of::<R>()
    }

    /// The bytes of the parameters and their packed copies.
    pub(crate) fn weight_bytes(&self) -> usize {
        (self.prepared.len() + self.parameters.len()) * size_of::<R>()
    }

    fn weights(&self, blocks: usize) -> PassWeights<'_, R> {
        PassWeights {
            model: &self.model,
            parameters: &self.parameters,
            prepared: &self.prepared,
            shared: SharedBlock::new(&self.threads, blocks),
            clock: &self.clock,
        }
    }
}
