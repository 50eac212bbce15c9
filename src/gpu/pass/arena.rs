//! The buffers shared by the passes over all shapes, used by one pass at a time.

use std::cmp::Reverse;

use crate::error::Result;
use crate::gpu::commands::builder::allocate;
use crate::gpu::device::Gpu;
use crate::model::plan::TensorSpec;

/// Buffers in descending size. A pass's largest tensor uses the first one, and so on, so a smaller pass needs no other
/// buffers than a larger one.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<wgpu::Buffer>);

impl Arena {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(wgpu::Buffer::size).sum()
    }

    /// The total bytes after growing for a pass with these tensors.
    pub(crate) fn planned(&self, tensors: &[TensorSpec]) -> u64 {
        self.sizes(tensors).map(|(has, wants)| has.max(wants)).sum()
    }

    /// Whether a pass with these tensors fits without growing.
    pub(crate) fn holds(&self, tensors: &[TensorSpec]) -> bool {
        self.sizes(tensors).all(|(has, wants)| wants <= has)
    }

    /// Returns a buffer for each tensor. Buffers that are too small are replaced; no existing pass may still use them.
    pub(crate) fn take(&mut self, gpu: &Gpu, tensors: &[TensorSpec]) -> Result<Vec<wgpu::Buffer>> {
        let mut taken = vec![None; tensors.len()];
        for (place, index) in by_size(tensors).into_iter().enumerate() {
            let spec = &tensors[index];
            if self.0.get(place).is_none_or(|buffer| buffer.size() < spec.bytes) {
                // The small one is freed before a larger one is allocated.
                drop((place < self.0.len()).then(|| self.0.remove(place)));
                self.0.insert(place, allocate(gpu, spec)?);
            }
            taken[index] = self.0.get(place).cloned();
        }
        Ok(taken.into_iter().flatten().collect())
    }

    /// Frees all but the `count` largest buffers.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The size of each buffer, and the size that the tensors need.
    fn sizes(&self, tensors: &[TensorSpec]) -> impl Iterator<Item = (u64, u64)> {
        let wants = by_size(tensors).into_iter().map(|index| tensors[index].bytes);
        let count = self.0.len().max(tensors.len());
        let has = self.0.iter().map(wgpu::Buffer::size).chain(std::iter::repeat(0));
        has.zip(wants.chain(std::iter::repeat(0))).take(count)
    }
}

/// The indices of the tensors, largest first.
fn by_size(tensors: &[TensorSpec]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|index| Reverse(tensors[*index].bytes));
    order
}
