//! The buffers that the passes over all shapes work on, one pass at a time.

use std::cmp::Reverse;

use crate::error::Result;
use crate::gpu::commands::builder::allocate;
use crate::gpu::device::Gpu;
use crate::model::plan::TensorSpec;

/// Buffers, the largest first. A pass's largest tensor lies in the first of them, and so on: a smaller pass takes none beside
/// those of a larger one.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<wgpu::Buffer>);

impl Arena {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(wgpu::Buffer::size).sum()
    }

    /// The bytes once a pass with these tensors works on them too.
    pub(crate) fn planned(&self, tensors: &[TensorSpec]) -> u64 {
        self.sizes(tensors).map(|(has, wants)| has.max(wants)).sum()
    }

    /// Whether such a pass finds room as they are.
    pub(crate) fn holds(&self, tensors: &[TensorSpec]) -> bool {
        self.sizes(tensors).all(|(has, wants)| wants <= has)
    }

    /// A buffer for each tensor; those that were too small are made anew, and no pass may work on them still.
    pub(crate) fn take(&mut self, gpu: &Gpu, tensors: &[TensorSpec]) -> Result<Vec<wgpu::Buffer>> {
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

    /// Gives all back but the `count` largest.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    pub(crate) fn clear(&mut self) {
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
