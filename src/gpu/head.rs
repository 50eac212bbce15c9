//! The head: logits in one product, loss with its gradient in one kernel, and back.

use std::ops::Range;

use super::builder::{Binding, Matrix, Product};
use super::forward::Unroll;
use super::kernel::{LOSS, MEAN, SPREAD, SUM, Stem};
use super::program::{Command, Place};
use super::uniforms::{Copy, Loss, Mean, Sum};
use crate::model::plan::{Cost, Predictions, Span, TensorId};
use crate::model::{self, At, Head, Role};

impl Unroll<'_, '_> {
    /// What a head over the mean of all steps needs of some chunks.
    pub(super) fn features(&mut self, places: Range<usize>) {
        for run in &self.b.plan.predictions {
            if let Some(shares) = run.shares {
                self.over_steps(MEAN, shares, run.features, places.clone());
            }
        }
    }

    /// What the head reads of a run of predictions.
    fn head_input(&self, head: &Head, run: &Predictions) -> Matrix {
        match head.at {
            At::Every => self.handed_on(self.net.model.recurrent.layers - 1, &self.b.plan.chunks[run.chunk]),
            At::Last | At::Mean => self.b.matrix(run.features, 0, self.net.sizes.y4),
        }
    }

    /// The logits of some runs of predictions.
    pub(super) fn logits(&mut self, head: &Head, runs: Range<usize>) {
        let sizes = self.net.sizes;
        for run in &self.b.plan.predictions[runs] {
            if head.at == At::Last {
                self.final_states(run.features);
            }
            let features = self.head_input(head, run);
            let (weight, bias) = (self.net.parameter(Role::HeadWeight), self.net.parameter(Role::HeadBias));
            let logits = self.b.matrix(run.logits, 0, sizes.o4);
            self.b.matmul(Product {
                sides: (false, true),
                a: &features,
                b: &weight,
                bias: Some(&bias.binding),
                c: &logits,
                m: run.rows,
                n4: sizes.o4,
                k: 4 * sizes.y4,
                accumulate: false,
            });
        }
    }

    /// Each direction's own final state side by side, as the features of a head at the last step.
    fn final_states(&mut self, features: TensorId) {
        let recurrent = &self.net.model.recurrent;
        for direction in 0..recurrent.directions() {
            let stack = (recurrent.layers - 1) * recurrent.directions() + direction;
            let chunk = self.chunk(direction, self.b.plan.chunks.len() - 1);
            let (_, leaves) = Self::border_slots(direction, chunk.steps.len());
            let uniform = self.beside(direction, leaves * self.rows() * 4 * self.net.sizes.h4, false);
            let (flags, h) = (self.b.span(chunk.flags), self.b.tensor(chunk.h[stack]));
            let features = self.b.tensor(features);
            self.copy(&flags, &h, &features, uniform);
        }
    }

    /// `MEAN`: the features from the last layer's y in some chunks. `SPREAD`: from their gradient that of y.
    fn over_steps(&mut self, stem: Stem, shares: Span, features: TensorId, places: Range<usize>) {
        let (rows, n4) = (self.rows(), self.net.sizes.y4);
        let (shares, features) = (self.b.span(shares), self.b.tensor(features));
        for chunk in &self.b.plan.chunks[places] {
            let steps = chunk.steps.len();
            let accumulate = u32::from(chunk.steps.start > 0);
            let uniform = Mean { steps: steps as u32, rows: rows as u32, n4: n4 as u32, accumulate };
            let y = self.b.tensor(chunk.y[self.net.model.recurrent.layers - 1]);
            let (grid, cost) = (self.b.limits.elements(rows * n4), Cost::sums(steps * rows * n4, rows * n4));
            self.b.dispatch(stem, &[], &[&shares, &features, &y], &uniform, grid, cost);
        }
    }

    /// B rows of a direction's states into its columns of the features, or back.
    fn beside(&self, direction: usize, first: usize, back: bool) -> Copy {
        let (narrow, wide) = (4 * self.net.sizes.h4, 4 * self.net.sizes.y4);
        let column = (direction * narrow) as u32;
        let (ld_from, ld_to) = if back { (wide, narrow) } else { (narrow, wide) };
        let (from_first, to_first) = if back { (column, first as u32) } else { (first as u32, column) };
        Copy {
            rows: self.rows() as u32,
            width: narrow as u32,
            columns: narrow as u32,
            ld_from: ld_from as u32,
            from_first,
            ld_to: ld_to as u32,
            to_first,
            masked: 0,
            bit: 0,
        }
    }

    /// The weighted loss of each prediction of some runs, and da over the logits.
    pub(super) fn loss(&mut self, head: &Head, runs: Range<usize>) {
        for run in &self.b.plan.predictions[runs] {
            let lanes = self.b.limits.loss_lanes(head.outputs);
            let uniform = Loss {
                predictions: run.rows as u32,
                outputs: head.outputs as u32,
                ld: 4 * self.net.sizes.o4 as u32,
                lanes: lanes as u32,
                factor: head.output_factor() as f32,
                delta: if let model::Loss::Huber { delta } = head.loss { delta as f32 } else { 0.0 },
                smoothing: head.loss.smoothing() as f32,
                quantiles: head.loss.quantiles().len() as u32,
            };
            let (targets, weights) = (self.b.span(run.targets), self.b.span(run.weights));
            let (logits, losses) = (self.b.tensor(run.logits), self.b.tensor(run.losses));
            let grid = self.b.limits.predictions(run.rows, lanes);
            let constants = [("LOSS", self.net.loss_kind())];
            let cost = Cost::each(run.rows * head.outputs, 8, 2);
            self.b.dispatch(LOSS, &constants, &[&targets, &weights, &logits, &losses], &uniform, grid, cost);
        }
    }

    /// The losses of all predictions added to the network's.
    pub(super) fn sum_losses(&mut self) {
        for run in &self.b.plan.predictions {
            let (losses, total) = (self.b.tensor(run.losses), Binding::whole(&self.net.loss));
            let uniform = Sum { count: run.rows as u32 };
            self.b.dispatch(SUM, &[], &[&losses, &total], &uniform, [1, 1, 1], Cost::each(run.rows, 1, 1));
        }
    }

    /// The carries start from zero.
    pub(super) fn clear_carries(&mut self) {
        let carries: Vec<TensorId> = self.b.plan.carry_h.iter().chain(&self.b.plan.carry_c).copied().collect();
        carries.into_iter().for_each(|carry| self.clear(carry));
    }

    /// dy of some chunks, in the last layer's y, from a head with one prediction a row: nothing from one at the last step,
    /// whose gradient is in the carries.
    pub(super) fn output_gradient(&mut self, head: &Head, places: Range<usize>) {
        let last = self.net.model.recurrent.layers - 1;
        if head.at == At::Last {
            self.b.plan.chunks[places.clone()].iter().for_each(|chunk| self.clear(chunk.y[last]));
        }
        for run in &self.b.plan.predictions {
            if let Some(shares) = run.shares {
                self.over_steps(SPREAD, shares, run.features, places.clone());
            }
        }
    }

    /// dW_hy, db_y, and the gradient of the features of some runs: in the last layer's y for a head at every step, in the
    /// carries for one at the last.
    pub(super) fn head_backward(&mut self, head: &Head, runs: Range<usize>) {
        let sizes = self.net.sizes;
        let recurrent = &self.net.model.recurrent;
        for run in &self.b.plan.predictions[runs] {
            let da = self.b.matrix(run.logits, 0, sizes.o4);
            let (features, d_features) = (self.head_input(head, run), self.b.matrix(run.features, 0, sizes.y4));
            let weight = self.net.parameter(Role::HeadWeight);
            let (dw, db) = (self.net.gradient(Role::HeadWeight), self.net.gradient(Role::HeadBias));
            self.b.weight_gradient(&da, &features, &dw, 4 * sizes.o4, sizes.y4, run.rows);
            self.b.bias_gradients(&da, run.rows, &[(0, &db)]);
            self.b.matmul(Product {
                sides: (false, false),
                a: &da,
                b: &weight,
                bias: None,
                c: &d_features,
                m: run.rows,
                n4: sizes.y4,
                k: 4 * sizes.o4,
                accumulate: false,
            });
            if head.at == At::Last {
                for direction in 0..recurrent.directions() {
                    let stack = (recurrent.layers - 1) * recurrent.directions() + direction;
                    let uniform = self.beside(direction, 0, true);
                    let flags = self.b.span(self.b.plan.chunks[0].flags);
                    let carry = self.b.tensor(self.b.plan.carry_h[stack]);
                    self.copy(&flags, &d_features.binding, &carry, uniform);
                }
            }
        }
    }

    fn clear(&mut self, tensor: TensorId) {
        let binding = self.b.tensor(tensor);
        let to = Place { buffer: binding.buffer, offset: binding.offset };
        self.b.push(Command::Clear { to, bytes: binding.bytes });
    }
}
