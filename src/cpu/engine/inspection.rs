//! Diagnostics of a CPU engine.

use ndarray::Array2;

use super::CpuEngine;
use super::plan::{carried, of_batch};
use crate::batch::{Batch, Validated};
use crate::cpu::pass::block::RowBlock;
use crate::engine::{Compilation, Inspection};
use crate::error::Result;
use crate::gradient_norms::HiddenGradientNorms;
use crate::memory::{BatchShape, Memory, MemoryPart};
use crate::model::RecurrentKernel;
use crate::profile::Profile;
use crate::real::Real;
use crate::sizes::ON_HOST;

impl<R: Real> CpuEngine<R> {
    /// The memory that does not depend on the batch.
    fn fixed_memory(&self) -> Memory {
        let mut memory = Memory::default();
        let carried = self.carried.as_ref().map_or(0, |s| s.h.len() + s.c.as_ref().map_or(0, |c| c.len()));
        let numbers = [
            (MemoryPart::Gradients, self.gradients.len()),
            (MemoryPart::Optimizer, self.optimizer_state.0.iter().map(Vec::len).sum()),
            (MemoryPart::Optimizer, self.averaged.len()),
            (MemoryPart::Carried, carried),
        ];
        numbers.iter().for_each(|(part, numbers)| memory.add(*part, (numbers * size_of::<R>()) as u64));
        memory.add(MemoryPart::Weights, self.passes.weight_bytes() as u64);
        memory.add(MemoryPart::Workspace, self.passes.scratch_bytes() as u64);
        memory.add(MemoryPart::Optimizer, (self.squares.len() * size_of::<f64>()) as u64);
        memory
    }

    pub(super) fn gradient_norms_of(&self, steps: usize, rows: usize) -> HiddenGradientNorms {
        let mut squares = Array2::zeros((self.passes.model.recurrent.num_layer_directions(), steps));
        self.blocks[..self.passes.model.blocks(rows)].iter().for_each(|block| block.add_squares(&mut squares));
        HiddenGradientNorms { norms: squares.mapv_into(f64::sqrt) }
    }
}

impl<R: Real> Inspection for CpuEngine<R> {
    fn set_profile(&mut self, on: bool) -> Result<()> {
        self.passes.clock.set(on)
    }

    async fn profile(&mut self) -> Result<Profile> {
        self.passes.clock.take()
    }

    fn set_hidden_gradient_norms(&mut self, on: bool) {
        self.takes_gradient_norms = on;
    }

    async fn hidden_gradient_norms(&mut self) -> Result<HiddenGradientNorms> {
        self.last.gradient_norms()?;
        self.gradient_norms.clone().ok_or_else(HiddenGradientNorms::none)
    }

    async fn compile<S: Real>(&mut self, batch: &Batch<S>) -> Result<Compilation> {
        Validated::batch::<R>(batch, &self.model)?;
        self.last.begin();
        Ok(Compilation::default())
    }

    fn kernel(&self, _rows: usize) -> Option<RecurrentKernel> {
        None
    }

    fn memory(&self) -> Memory {
        self.fixed_memory() + self.blocks.iter().map(RowBlock::memory).sum()
    }

    /// Rows shorter than T need less.
    fn plan(&self, batch_shape: BatchShape) -> Result<Memory> {
        batch_shape.check(&self.model, ON_HOST)?;
        let mapped = &self.passes.model;
        let mut planned = of_batch::<R>(mapped, &self.options, self.takes_gradient_norms, batch_shape);
        if self.carried.is_none() {
            planned += carried::<R>(mapped, batch_shape.carried);
        }
        let held = self.blocks.iter().map(RowBlock::memory).sum();
        Ok(self.fixed_memory() + planned.max(held))
    }
}
