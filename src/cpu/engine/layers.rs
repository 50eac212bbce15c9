//! The recurrent layers of a CPU engine.

use std::ops::Range;

use super::CpuEngine;
use crate::allocate;
use crate::batch::{InputGradient, OutputGradient, States};
use crate::dropout::DropoutKey;
use crate::engine::{Layers, numbers_of};
use crate::error::Result;
use crate::memory::BatchShape;
use crate::real::Real;

impl<R: Real> CpuEngine<R> {
    fn input_gradient_of(&self, batch_shape: BatchShape) -> Result<InputGradient<R>> {
        let BatchShape { steps, rows, tokens, .. } = batch_shape;
        let recurrent = &self.passes.model.recurrent;
        let mut initial = States::try_zeros(recurrent, rows, "dh_0 and dc_0")?;
        let shape = (steps, rows, recurrent.input_size);
        let mut x = if tokens { None } else { Some(allocate::array(shape, "dx")?) };
        for block in &self.blocks[..self.passes.model.blocks(rows)] {
            block.store_initial_gradient(&mut initial);
            if let Some(x) = &mut x {
                block.store_sequence(&mut x.view_mut(), 0..block.mask.steps, &block.d_input);
            }
        }
        Ok(InputGradient { x, initial })
    }
}

impl<R: Real> Layers for CpuEngine<R> {
    async fn read_gradients(
        &mut self,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[R]) -> Result<()> + Send),
    ) -> Result<()> {
        take(&self.gradients[numbers_of(&self.layout, &tensors)?])
    }

    async fn change_gradients(
        &mut self,
        tensors: Range<usize>,
        change: &mut (dyn FnMut(&mut [R]) -> Result<()> + Send),
    ) -> Result<()> {
        change(&mut self.gradients[numbers_of(&self.layout, &tensors)?])
    }

    fn clear_gradients(&mut self) {
        self.gradients.fill(R::zero());
        self.loss = 0.0;
        self.used = false;
    }

    fn set_dropout(&mut self, masks: Option<DropoutKey>) {
        self.masks = masks;
    }

    async fn backward(&mut self, gradient: &OutputGradient<R>) -> Result<InputGradient<R>> {
        let batch_shape = self.last.forward_for(gradient, &self.model.recurrent)?;
        let BatchShape { steps, rows, .. } = batch_shape;
        self.begin_pass();
        self.open_sums();
        let blocks = &mut self.blocks[..self.passes.model.blocks(rows)];
        let (gradients, gradient_norms) = (&mut self.gradients, self.takes_gradient_norms);
        self.passes.within(rows, |passes| passes.back(blocks, gradient, gradient_norms, gradients));
        self.gradient_norms = gradient_norms.then(|| self.gradient_norms_of(steps, rows));
        self.last.finished_backward(gradient_norms);
        self.input_gradient_of(batch_shape)
    }

    async fn input_gradient(&mut self) -> Result<InputGradient<R>> {
        self.input_gradient_of(self.last.gradient(self.options.input_gradient)?)
    }
}
