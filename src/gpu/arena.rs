//! The buffers that the passes over all shapes work on, one pass at a time, and the memory that they take.

use std::cmp::Reverse;

use super::builder::allocate;
use super::device::Gpu;
use super::engine::GpuEngine;
use super::pass::Pass;
use super::updater::Updater;
use crate::error::{Error, Result};
use crate::memory::{Memory, MemoryPart};
use crate::model::plan::{SequencePlan, TensorSpec};

/// Buffers, the largest first. A pass's largest tensor lies in the first of them, and so on: a smaller pass takes none beside
/// those of a larger one.
#[derive(Debug, Default)]
pub(super) struct Arena(Vec<wgpu::Buffer>);

impl Arena {
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(wgpu::Buffer::size).sum()
    }

    /// The bytes once a pass with these tensors works on them too.
    pub(super) fn planned(&self, tensors: &[TensorSpec]) -> u64 {
        self.sizes(tensors).map(|(has, wants)| has.max(wants)).sum()
    }

    /// Whether such a pass finds room as they are.
    pub(super) fn holds(&self, tensors: &[TensorSpec]) -> bool {
        self.sizes(tensors).all(|(has, wants)| wants <= has)
    }

    /// A buffer for each tensor; those that were too small are made anew, and no pass may work on them still.
    pub(super) fn take(&mut self, gpu: &Gpu, tensors: &[TensorSpec]) -> Result<Vec<wgpu::Buffer>> {
        let mut taken = vec![None; tensors.len()];
        for (place, index) in by_size(tensors).into_iter().enumerate() {
            let spec = &tensors[index];
            if self.0.get(place).is_none_or(|buffer| buffer.size() < spec.bytes) {
                // The small one is given back before there is a larger one.
                drop((place < self.0.len()).then(|| self.0.remove(place)));
                self.0.insert(place, allocate(gpu, spec)?);
            }
            taken[index] = self.0.get(place).cloned();
        }
        Ok(taken.into_iter().flatten().collect())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The bytes of each buffer, and those that tensors want in its place.
    fn sizes(&self, tensors: &[TensorSpec]) -> impl Iterator<Item = (u64, u64)> {
        let wants = by_size(tensors).into_iter().map(|index| tensors[index].bytes);
        let count = self.0.len().max(tensors.len());
        let has = self.0.iter().map(wgpu::Buffer::size).chain(std::iter::repeat(0));
        has.zip(wants.chain(std::iter::repeat(0))).take(count)
    }
}

/// The tensors' indices, the largest first.
fn by_size(tensors: &[TensorSpec]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|index| Reverse(tensors[*index].bytes));
    order
}

impl GpuEngine {
    /// Lets passes go whose buffers are too small to share, and others until this one fits into the memory budget, before
    /// anything of it is allocated.
    pub(super) fn make_room(&mut self, plan: &SequencePlan) -> Result<()> {
        if !self.passes.is_empty() && !self.arena.holds(&plan.tensors) {
            self.recorder.submit();
            self.passes.clear();
            // The device still works on the small buffers, which are to be gone before there are larger ones.
            self.gpu.settle();
        }
        let fits = |engine: &Self| engine.options.check_memory(engine.with_pass(plan).total());
        while !self.passes.is_empty() && fits(self).is_err() {
            self.drop_pass();
        }
        if fits(self).is_err() {
            // As large as earlier passes made them they are larger than what this one needs.
            self.arena.clear();
        }
        fits(self)
    }

    /// Lets go of every pass and of the buffers that they work on, and waits until the device has them back.
    pub(super) fn let_go(&mut self) {
        self.recorder.submit();
        self.passes.clear();
        self.arena.clear();
        self.gpu.settle();
    }

    /// What `make` allocates for the pass at hand; where the device has no room for it, once more without the passes over
    /// other shapes, and without buffers that this one has no use for.
    pub(super) fn without_others<T>(&mut self, mut make: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        match make(self) {
            Err(Error::OutOfMemory { .. }) => {
                self.recorder.submit();
                self.passes.drain(..self.passes.len().saturating_sub(1));
                self.arena.0.truncate(self.passes.last().map_or(0, |pass| pass.buffers.len()));
                self.gpu.settle();
                make(self)
            }
            made => made,
        }
    }

    /// What is there once a pass of this plan works on the shared buffers too, beside the passes that still can.
    pub(super) fn with_pass(&self, plan: &SequencePlan) -> Memory {
        let planned = plan.planned(&self.network.model);
        let mut memory = self.fixed_memory() + planned;
        let passes = self.passes.iter().filter(|_| self.arena.holds(&plan.tensors));
        memory.add(MemoryPart::Workspace, passes.map(Pass::own_bytes).sum());
        memory.add(MemoryPart::Workspace, self.arena.planned(&plan.tensors) - plan.memory.total());
        memory
    }

    /// What is there whatever the batches.
    pub(super) fn fixed_memory(&self) -> Memory {
        let mut memory = self.network.memory();
        memory.add(MemoryPart::Optimizer, self.updater.as_ref().map_or(0, Updater::bytes));
        memory.add(MemoryPart::Carried, self.carried.as_ref().map_or(0, |carried| carried.states.size()));
        memory.add(MemoryPart::Workspace, self.losses.size() + self.recorder.bytes());
        memory
    }
}
