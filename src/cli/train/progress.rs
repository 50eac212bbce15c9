//! What a run shows and writes while it goes on.

use bptt::experiment::files::checkpoints::{Checkpoints, Position};
use bptt::experiment::files::flow_log::FlowLog;
use bptt::experiment::files::folder::{Folder, Log, json_line};
use bptt::experiment::files::history::History;
use bptt::experiment::files::names::TIMINGS;
use bptt::experiment::files::tensorboard::Tensorboard;
use bptt::train::{Metrics, Observer, StepCounts, WriteSeek};
use bptt::{HiddenGradientNorms, Result};

use super::shown::{Before, Pace, Plan, Shown};
use crate::cli::args::ShowArgs;
use crate::cli::terminal::interrupt;

/// Shows the steps, writes `metrics.jsonl`, `timings.jsonl` and event files, and stores checkpoints.
pub(crate) struct Progress<'a> {
    shown: Shown,
    plan: Plan,
    history: History,
    timings: Log,
    flow: Option<FlowLog>,
    checkpoints: Checkpoints<'a>,
    tensorboard: Option<Tensorboard>,
}

impl<'a> Progress<'a> {
    /// Of a run that begins, or that goes on from a position.
    pub(crate) fn new(
        folder: &Folder,
        plan: Plan,
        flow: Option<FlowLog>,
        (checkpoints, tensorboard): (Checkpoints<'a>, Option<Tensorboard>),
        from: Option<&Position>,
        show: ShowArgs,
    ) -> Result<Self> {
        let history = History::new(folder, from.map(|position| position.metrics))?;
        let timings = match from {
            None => folder.log(TIMINGS)?,
            Some(position) => folder.log_from(TIMINGS, position.timings, |_| Ok(()))?,
        };
        let position = from.cloned().unwrap_or_default();
        let before = Before {
            steps: history.known().steps,
            seconds: position.seconds,
            work: StepCounts { sequences: position.sequences, time_steps: position.time_steps },
            val_loss: history.known().val_loss,
            validations: history.known().validations,
        };
        let shown = Shown::new("", plan, before, show)?;
        Ok(Self { shown, plan, timings, history, flow, checkpoints, tensorboard })
    }

    /// How fast the run has been so far.
    pub(crate) fn pace(&self) -> Pace {
        self.shown.pace()
    }

    /// Clears the bar and leaves the files on the disk.
    pub(crate) fn finish(mut self) -> Result<(History, Option<FlowLog>)> {
        self.shown.finish();
        self.history.sync()?;
        self.timings.sync()?;
        self.tensorboard.iter_mut().try_for_each(Tensorboard::sync)?;
        Ok((self.history, self.flow))
    }
}

impl Observer for Progress<'_> {
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()> {
        self.history.append(metrics)?;
        self.tensorboard.iter_mut().try_for_each(|events| events.append(metrics))?;
        self.shown.show(metrics, work);
        let pace = self.pace();
        if metrics.step.is_multiple_of(self.plan.timed_every) || metrics.step == self.plan.steps {
            let timing = serde_json::json!({
                "step": metrics.step, "epoch": metrics.epoch, "seconds": pace.seconds,
                "sequences_per_second": pace.sequences, "time_steps_per_second": pace.time_steps,
            });
            self.timings.append(&json_line(&timing)?)?;
        }
        Ok(())
    }

    fn wants_hidden_gradient_norms(&mut self, step: u64) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.wants(step))
    }

    fn hidden_gradient_norms(&mut self, step: u64, flow: &HiddenGradientNorms) -> Result<()> {
        self.flow.as_mut().map_or(Ok(()), |log| log.take(step, flow))
    }

    fn stop(&mut self) -> bool {
        interrupt::asked()
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        step == 0 || step == self.plan.steps || interrupt::asked() || self.checkpoints.is_due(step)
    }

    fn checkpoint(&mut self, step: u64) -> Result<Option<(&mut dyn WriteSeek, String)>> {
        self.tensorboard.iter_mut().try_for_each(Tensorboard::sync)?;
        let position = Position {
            metrics: self.history.sync()?,
            timings: self.timings.sync()?,
            flow: self.flow.as_mut().map(FlowLog::sync).transpose()?,
            seconds: self.pace().seconds,
            sequences: self.shown.work().sequences,
            time_steps: self.shown.work().time_steps,
        };
        let (file, note) = self.checkpoints.begin(step, position)?;
        Ok(Some((file, note)))
    }

    fn checkpoint_written(&mut self, written: Result<()>) -> Result<()> {
        self.checkpoints.written(written)
    }
}
