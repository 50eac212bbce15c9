//! Updates and carried states of a CPU engine.

use std::sync::Arc;

use super::CpuEngine;
use crate::batch::States;
use crate::cpu::kernels::average::average;
use crate::cpu::kernels::norm::norm;
use crate::cpu::kernels::update::{self, CpuUpdate, GradientScale};
use crate::cpu::parallel::clock::Phase;
use crate::cpu::pass::PassContext;
use crate::engine::parameter_groups::check_steps;
use crate::engine::{CustomOptimizer, SkippedUpdates, StepReport, Training, check_not_exchanged};
use crate::error::Result;
use crate::optim::{OptimizerStep, rounded};
use crate::real::Real;

impl<R: Real> CpuEngine<R> {
    fn apply(&mut self, update: &OptimizerStep) {
        self.used = true;
        if self.refused.is_some() {
            self.refusals += 1;
            self.skipped.in_all += 1;
            return;
        }
        let PassContext { threads, clock, .. } = &self.passes;
        let gradients = self.ranges.iter().map(|range| &self.gradients[range.numbers(&self.layout)]);
        let norm = norm(threads, clock, gradients, &mut self.squares) / update.divisor;
        // A value beyond the backend's type is not finite, whatever type it was summed in.
        let held = |value: f64| if R::from_f64(value).is_finite() { value } else { R::from_f64(value).as_f64() };
        let (loss, norm) = (held(held(self.loss) / update.divisor), held(norm));
        let bad = [("loss", loss), ("gradient norm", norm)].into_iter().find(|(_, value)| !value.is_finite());
        if let Some((what, _)) = bad {
            self.skipped.in_row = self.skipped.in_row.saturating_add(1);
            self.skipped.in_all += 1;
            if self.skipped.in_row > self.options.max_skipped_updates {
                self.refused = Some((update.step, what));
                self.refusals += 1;
            } else {
                self.reports.push_back(StepReport { step: update.step, loss, norm, skipped: true });
            }
            return;
        }
        self.skipped.in_row = 0;
        let (own, updates) = (&self.custom_optimizer, update.updates(self.skipped.in_all));
        let PassContext { threads, clock, parameters, .. } = &mut self.passes;
        for range in &self.ranges {
            let update = range.settings.of(update);
            let coefficients = update.coefficients(self.skipped.in_all);
            let (rule, scale) = (update.optimizer.kind, GradientScale::new(&update, &coefficients, norm));
            let numbers = range.numbers(&self.layout);
            let weights = update::UpdatePart {
                parameters: &mut parameters[numbers.clone()],
                gradients: &self.gradients[numbers.clone()],
                optimizer_state: self.optimizer_state.range(&numbers),
            };
            threads.each(weights, |part| {
                let timer = clock.begin();
                update::apply(rule, &coefficients, scale, part, (|part: CpuUpdate<'_, R>| own.update(part), updates));
                clock.end(timer, Phase::Update, || 0);
            });
        }
        if let Some(decay) = self.options.ema_decay {
            let weight = rounded(update.average_weight(decay, self.skipped.in_all));
            average(threads, clock, &mut self.averaged, parameters, weight);
        }
        self.passes.parameters_changed();
        self.reports.push_back(StepReport { step: update.step, loss, norm, skipped: false });
    }
}

impl<R: Real> Training for CpuEngine<R> {
    async fn update(&mut self, update: &OptimizerStep) -> Result<()> {
        self.check_update(update)?;
        self.bad_step.check()?;
        self.last.parameters_change();
        let threads = self.passes.threads.clone();
        threads.within(self.squares.len(), || self.apply(update));
        Ok(())
    }

    fn check_update(&self, update: &OptimizerStep) -> Result<()> {
        update.validate::<R>(self.options.optimizer)?;
        self.custom_optimizer.check(update.optimizer.kind)?;
        check_steps::<R>(&self.ranges, update)?;
        check_not_exchanged(self.exchanged)
    }

    fn set_custom_optimizer(&mut self, optimizer: Arc<dyn CustomOptimizer<Self>>) -> Result<()> {
        self.custom_optimizer.set(self.options.optimizer, optimizer)
    }

    async fn report(&mut self) -> Result<Option<StepReport>> {
        self.bad_step.check()?;
        match (self.reports.pop_front(), self.refused) {
            (None, Some((step, what))) => {
                self.refusals = 0;
                Err(self.bad_step.report(step, what))
            }
            (report, _) => Ok(report),
        }
    }

    async fn loss_sum(&mut self) -> Result<f64> {
        Ok(self.loss)
    }

    fn set_loss_sum(&mut self, loss_sum: f64) -> Result<()> {
        self.loss = loss_sum;
        Ok(())
    }

    async fn skipped(&mut self) -> Result<SkippedUpdates> {
        Ok(self.skipped)
    }

    fn restart(&mut self, skipped: SkippedUpdates) -> Result<()> {
        self.reports.clear();
        // Without an optimizer no update was ever skipped.
        let skipped = self
            .options
            .optimizer
            .map_or(SkippedUpdates::default(), |_| skipped.within(self.options.max_skipped_updates));
        (self.refused, self.refusals, self.skipped) = (None, 0, skipped);
        self.bad_step.forget();
        Ok(())
    }

    fn may_update(&self) -> Result<()> {
        self.bad_step.check()
    }

    fn unreported(&self) -> usize {
        self.reports.len() + self.refusals
    }

    fn in_flight(&self) -> usize {
        self.unreported()
    }

    async fn states(&mut self) -> Result<Option<States<R>>> {
        Ok(self.carried.clone())
    }

    fn set_states(&mut self, states: Option<&States<R>>) -> Result<()> {
        if let Some(states) = states {
            states.check(&self.model.recurrent, states.h.shape()[1], "carried")?;
        }
        self.carried = states.cloned();
        Ok(())
    }
}
