//! A pass over all blocks: forward, head and loss, backward, weight gradients.

use super::block::{Block, ROWS, Start};
use super::head;
use super::network::{Network, Prepared};
use super::threads::Threads;
use super::unroll::{self, Weights};
use super::weight_gradient::{self, Tile, Tiles};
use crate::batch::{Batch, OutputGradient, Sequence, States};
use crate::dropout::Draw;
use crate::model::{At, Layout};
use crate::real::Real;

/// All that the passes over a batch need beside its blocks.
#[derive(Debug)]
pub(super) struct Passes<R> {
    pub(super) threads: Threads,
    pub(super) network: Network,
    pub(super) parameters: Vec<R>,
    prepared: Vec<Prepared<R>>,
    /// Whether `prepared` is behind `parameters`.
    stale: bool,
    tiles: Vec<Tile>,
}

/// What follows the unrolled stack.
#[derive(Clone, Copy)]
pub(super) enum Then<'a> {
    /// Nothing.
    Stop,
    /// The head's logits.
    Logits,
    /// The loss.
    Loss(&'a Batch),
    /// The loss, and everything's gradient; with dx where `input` says so, with the squares of dh_t where `flow` does.
    Gradient { batch: &'a Batch, input: bool, flow: bool },
}

/// How many blocks a batch has.
pub(super) fn blocks_of(rows: usize) -> usize {
    rows.div_ceil(ROWS)
}

impl<R: Real> Passes<R> {
    /// With parameters of zero.
    pub(super) fn new(threads: Threads, network: Network, layout: &Layout) -> Self {
        Self {
            threads,
            parameters: vec![R::zero(); layout.len()],
            prepared: network.stacks.iter().map(|stack| Prepared::new(&network, stack)).collect(),
            stale: true,
            tiles: weight_gradient::tiles(&network, layout),
            network,
        }
    }

    /// To be told after each change of the parameters.
    pub(super) fn parameters_changed(&mut self) {
        self.stale = true;
    }

    fn prepare(&mut self) {
        if self.stale {
            for (prepared, stack) in self.prepared.iter_mut().zip(&self.network.stacks) {
                prepared.refresh(&self.network, stack, &self.parameters);
            }
            self.stale = false;
        }
    }

    /// Takes all rows through the sequence, block by block.
    pub(super) fn run<S: Real>(
        &mut self,
        blocks: &mut Vec<Block<R>>,
        sequence: &Sequence<S>,
        start: Start<'_, S, R>,
        draw: Option<Draw>,
        then: Then<'_>,
    ) {
        let count = blocks_of(sequence.shape().1);
        if blocks.len() < count {
            blocks.resize_with(count, Block::default);
        }
        self.prepare();
        let weights = self.weights();
        let blocks = &mut blocks[..count];
        blocks.iter_mut().enumerate().for_each(|(index, block)| block.first_row = index * ROWS);
        self.threads.each(blocks, |block| {
            let block = &mut block[0];
            block.load(&self.network, sequence, start, draw);
            unroll::forward(&weights, block);
            self.follow(&weights, block, then);
        });
    }

    fn follow(&self, weights: &Weights<'_, R>, block: &mut Block<R>, then: Then<'_>) {
        let Some(head) = &self.network.head else { return };
        if matches!(then, Then::Stop) {
            return;
        }
        head::logits(weights, block);
        if let Then::Loss(batch) | Then::Gradient { batch, .. } = then {
            head::loss(head, block, batch);
        }
        if let Then::Gradient { input, flow, .. } = then {
            block.begin_flow(flow);
            head::backward(weights, block);
            unroll::backward(weights, block, head.at != At::Last, input);
        }
    }

    /// The way back of a pass that stopped after the stack, from a gradient of the caller's.
    pub(super) fn back(&self, blocks: &mut [Block<R>], gradient: &OutputGradient<R>, flow: bool) {
        let weights = self.weights();
        self.threads.each(blocks, |block| {
            let block = &mut block[0];
            block.load_gradient(&self.network, gradient);
            block.begin_flow(flow);
            unroll::backward(&weights, block, gradient.output.is_some(), true);
        });
    }

    /// The states with which the rows of all blocks ended.
    pub(super) fn final_states(&self, blocks: &[Block<R>], rows: usize) -> States<R> {
        let mut states = States::zeros(&self.network.recurrent, rows);
        blocks.iter().for_each(|block| block.store_states(&self.network, &mut states, 0));
        states
    }

    /// Adds the weight gradients of all blocks.
    pub(super) fn weight_gradients(&self, blocks: &[Block<R>], gradients: &mut [R], with_head: bool) {
        self.threads.each(Tiles { tiles: &self.tiles, gradients }, |tile| {
            weight_gradient::accumulate(&self.network, blocks, with_head, tile);
        });
    }

    /// The bytes of the parameters and of their other forms.
    pub(super) fn bytes(&self) -> usize {
        let prepared = self.prepared.iter().map(|p| p.weight_ih.len() + p.weight_hh.len() + p.bias.len());
        (prepared.sum::<usize>() + self.parameters.len()) * size_of::<R>()
    }

    fn weights(&self) -> Weights<'_, R> {
        Weights { network: &self.network, parameters: &self.parameters, prepared: &self.prepared }
    }
}
