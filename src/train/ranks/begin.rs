//! What ranks compare: what they start with, and their batches.

use std::hash::{DefaultHasher, Hash, Hasher};

use ndarray::s;

use crate::batch::{Input, Sequence};
use crate::communicator::{AGREED, Ranks};
use crate::engine::{Engine, FlatBlock};
use crate::error::{Error, Result};
use crate::real::Real;
use crate::train::trainer::Trainer;

/// How many steps begin with a comparison: the first, and the one after its update.
const COMPARED_STEPS: u8 = 2;

impl<E: Engine> Trainer<E> {
    /// Lets the next steps begin with a comparison.
    pub(in crate::train) fn restart_comparison(&mut self) {
        self.comparisons = COMPARED_STEPS;
    }

    /// The comparison at the beginning of a step, where there is one.
    pub(in crate::train) async fn compare_at_step(&mut self) -> Result<()> {
        if self.ranks.is_some() && self.comparisons > 0 {
            self.share_weights().await?;
            self.compare_ranks().await?;
            self.comparisons -= 1;
        }
        Ok(())
    }

    /// Checks that all ranks are at the same step, with the same settings and the same bits in their blocks. Every rank
    /// returns the same error.
    pub(in crate::train) async fn compare_ranks(&mut self) -> Result<()> {
        let Some(ranks) = self.ranks.clone() else { return Ok(()) };
        let before = ranks.communicator().bytes_sent();
        let digests = self.digests().await;
        let digests = self.agreed(digests)?;
        let message: Vec<u8> = digests.iter().flat_map(|(_, digest)| digest.to_le_bytes()).collect();
        let all = ranks.gather(&message)?;
        self.sent.leave_out(ranks.communicator().bytes_sent().saturating_sub(before));
        for (rank, other) in all.iter().enumerate().skip(1) {
            let mut pairs = digests.iter().zip(all[0].chunks(8).zip(other.chunks(8)));
            if let Some(((what, _), _)) = pairs.find(|(_, (first, other))| first != other) {
                return Err(Error::Failed(format!(
                    "rank {rank} differs from rank 0 in {what}: every rank needs the same model, options, seed and weights, \
                     and a device with the same arithmetic"
                )));
            }
        }
        Ok(())
    }

    /// What must be the same on every rank, with the digest of each.
    async fn digests(&mut self) -> Result<Vec<(&'static str, u64)>> {
        let skipped = self.engine.skipped().await?;
        let mut digests = vec![
            ("the model", digest_of(&format!("{:?}", self.engine.model()))),
            ("the optimizer", digest_of(&format!("{:?}", self.optimizer))),
            ("the parameter groups", digest_of(&format!("{:?}", self.options.engine.parameter_groups))),
            ("whether states are carried", u64::from(self.options.carry_state)),
            ("the seed", self.seed),
            ("the number of steps", self.step),
            ("the skipped updates", digest_of(&format!("{skipped:?}"))),
        ];
        for block in self.blocks() {
            let name = match block {
                FlatBlock::Parameters => "the parameters",
                FlatBlock::OptimizerState(_) => "the optimizer state",
                FlatBlock::AveragedParameters => "the average of the parameters",
            };
            let (mut hasher, tensors) = (DefaultHasher::new(), self.engine.layout().tensors().len());
            let mut take = |piece: &[E::Real]| {
                piece.iter().for_each(|number| hasher.write_u64(number.as_f64().to_bits()));
                Ok(())
            };
            self.engine.read_tensors(block, 0..tensors, &mut take).await?;
            digests.push((name, hasher.finish()));
        }
        Ok(digests)
    }

    /// The blocks that an update changes.
    fn blocks(&self) -> Vec<FlatBlock> {
        let states = (0..self.engine.optimizer_blocks()).map(FlatBlock::OptimizerState);
        let averaged = self.averages().then_some(FlatBlock::AveragedParameters);
        [FlatBlock::Parameters].into_iter().chain(states).chain(averaged).collect()
    }

    /// Replaces the blocks by those of rank 0, if the ranks [share](Self::sharing_weights) them.
    pub(in crate::train) async fn share_weights(&mut self) -> Result<()> {
        let Some(ranks) = self.ranks.clone().filter(|_| self.shares_weights) else { return Ok(()) };
        let mut numbers = Vec::new();
        for block in self.blocks() {
            let read = if ranks.leads() { self.engine.read_block(block, &mut numbers).await } else { Ok(()) };
            ranks.agree(read.map(|()| [0.0; AGREED]))?;
            ranks.take_first(&mut numbers)?;
            let written = if ranks.leads() { Ok(()) } else { self.engine.write_block(block, &numbers) };
            self.announced(written)?;
        }
        Ok(())
    }

    /// Adds a batch to the digest of those since the last update: its shape, Σ w, and the input of its first and last rows.
    pub(in crate::train) fn digest_batch<S: Real>(&mut self, sequence: &Sequence<S>, weight: f64) {
        if self.ranks.is_none() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (self.batches_digest, sequence.shape(), &sequence.lengths, weight.to_bits()).hash(&mut hasher);
        let rows = sequence.shape().1;
        for row in [0, rows.saturating_sub(1)] {
            match &sequence.input {
                Input::Dense(x) => {
                    x.slice(s![..sequence.length(row), row, ..])
                        .iter()
                        .for_each(|x| x.as_f64().to_bits().hash(&mut hasher));
                }
                Input::Tokens(tokens) => {
                    tokens.slice(s![..sequence.length(row), row]).iter().for_each(|token| token.hash(&mut hasher));
                }
            }
        }
        self.batches_digest = hasher.finish();
    }

    /// Names the first rank whose batches are not those of rank 0, after their digests have differed.
    pub(super) fn compare_batches(&self, ranks: &Ranks) -> Result<()> {
        let all = ranks.gather(&self.batches_digest.to_le_bytes())?;
        let Some(rank) = all.iter().position(|digest| *digest != all[0]) else { return Ok(()) };
        Err(Error::Failed(format!(
            "step {}: the batches of rank {rank} are not those of rank 0: every rank needs the same whole batches in the \
             same order, and computes its rows of them",
            self.step + 1
        )))
    }
}

fn digest_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
