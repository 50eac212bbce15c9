//! The recurrent layers of a GPU engine.

use std::ops::Range;

use super::GpuEngine;
use crate::allocate;
use crate::batch::{InputGradient, OutputGradient};
use crate::dropout::DropoutKey;
use crate::engine::{Layers, append_to, numbers_of, take_from};
use crate::error::Result;
use crate::gpu::commands::program::GpuCommand;
use crate::gpu::pass::staging;

impl Layers for GpuEngine {
    async fn read_gradients(
        &mut self,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[f32]) -> Result<()> + Send),
    ) -> Result<()> {
        let cleared = self.clear_sums();
        self.recorder.record(&cleared);
        self.read_spans(&self.weights.gradients, tensors, take).await
    }

    async fn change_gradients(
        &mut self,
        tensors: Range<usize>,
        change: &mut (dyn FnMut(&mut [f32]) -> Result<()> + Send),
    ) -> Result<()> {
        let (spans, range) = (self.spans(tensors.clone())?, numbers_of(&self.layout, &tensors)?);
        let mut numbers = Vec::new();
        allocate::reserve(&mut numbers, range.len(), "a copy of the gradients")?;
        self.read_gradients(tensors, &mut append_to(&mut numbers)).await?;
        change(&mut numbers)?;
        self.write_spans(&self.weights.gradients, &spans, &mut take_from(&numbers))?;
        self.gpu.check()
    }

    fn clear_gradients(&mut self) {
        (self.used, self.cleared) = (false, true);
    }

    fn set_dropout(&mut self, masks: Option<DropoutKey>) {
        self.masks = masks;
    }

    async fn backward(&mut self, gradient: &OutputGradient) -> Result<InputGradient> {
        let recurrent = self.weights.model.recurrent.clone();
        self.last.forward_for(gradient, &recurrent)?;
        self.prepare_gradient_norms()?;
        self.last.begin();
        let mut begin = self.reset_sums();
        let mut numbers = std::mem::take(&mut self.numbers);
        let pass = self.pass();
        for chunk in &pass.plan.chunks {
            let (position, bytes) = self.tensor(chunk.y[recurrent.layers - 1]);
            match &gradient.output {
                Some(output) => {
                    // The kernels read dy only within rows, so padding needs no mask here.
                    let alive = |_, _| true;
                    staging::pack(output, chunk.steps.clone(), recurrent.directions(), alive, &mut numbers);
                    self.recorder.write(&position, &numbers);
                }
                None => begin.push(GpuCommand::Clear { to: position, bytes }),
            }
        }
        let of_h = pass.plan.carries_of_h().enumerate().map(|carry| (carry, &gradient.h_n));
        let of_c = pass.plan.carries_of_c().enumerate().map(|carry| (carry, &gradient.c_n));
        for ((layer_direction, carry), array) in of_h.chain(of_c) {
            let (position, bytes) = self.span(carry);
            match array {
                Some(array) => {
                    staging::pack(array, layer_direction..layer_direction + 1, 1, |_, _| true, &mut numbers);
                    self.recorder.write(&position, &numbers);
                }
                None => begin.push(GpuCommand::Clear { to: position, bytes }),
            }
        }
        self.numbers = numbers;
        self.recorder.record(begin.iter().chain(self.backward_lists().into_iter().flatten()));
        let gradient = self.read_input_gradient().await?;
        self.last.finished_backward(self.gradient_norms);
        Ok(gradient)
    }

    async fn input_gradient(&mut self) -> Result<InputGradient> {
        self.last.gradient(self.options.input_gradient)?;
        self.read_input_gradient().await
    }
}
