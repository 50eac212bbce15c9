//! Writes the logs of a run during training.

use super::pace::{Pace, ResumedProgress, TrainingClock, TrainingLength};
use crate::experiment::files::checkpoints::{Checkpoints, Position};
use crate::experiment::files::flow_log::FlowLog;
use crate::experiment::files::folder::{Folder, Log, json_line};
use crate::experiment::files::history::History;
use crate::experiment::files::names::TIMINGS;
use crate::experiment::files::tensorboard::Tensorboard;
use crate::train::{Metrics, Observer, StepCounts, WriteSeek};
use crate::{HiddenGradientNorms, Result};

/// Writes `metrics.jsonl`, `timings.jsonl` and event files, stores checkpoints, and passes every step to a display.
pub(super) struct RunRecorder<'a, D> {
    display: D,
    length: TrainingLength,
    clock: TrainingClock,
    history: History,
    timings: Log,
    flow: Option<FlowLog>,
    checkpoints: Checkpoints<'a>,
    tensorboard: Option<Tensorboard>,
}

impl<'a, D: Observer> RunRecorder<'a, D> {
    /// For a new run, or one resumed at a position.
    pub(super) fn new(
        folder: &Folder,
        length: TrainingLength,
        (flow, checkpoints, tensorboard): (Option<FlowLog>, Checkpoints<'a>, Option<Tensorboard>),
        from: Option<&Position>,
        display: impl FnOnce(&TrainingLength, &ResumedProgress) -> Result<D>,
    ) -> Result<Self> {
        let history = History::new(folder, from.map(|position| position.metrics))?;
        let timings = match from {
            None => folder.log(TIMINGS)?,
            Some(position) => folder.log_from(TIMINGS, position.timings, |_| Ok(()))?,
        };
        let position = from.cloned().unwrap_or_default();
        let before = ResumedProgress {
            steps: history.known().steps,
            seconds: position.seconds,
            work: StepCounts { sequences: position.sequences, time_steps: position.time_steps },
            val_loss: history.known().val_loss,
            validations: history.known().validations,
        };
        let display = display(&length, &before)?;
        let clock = TrainingClock::start(&before, length.unit);
        Ok(Self { display, length, clock, timings, history, flow, checkpoints, tensorboard })
    }

    /// The pace so far.
    pub(super) fn pace(&self) -> Pace {
        self.clock.pace()
    }

    /// Ends the display and syncs the files.
    pub(super) fn finish(mut self) -> Result<(History, Option<FlowLog>)> {
        self.history.sync()?;
        self.timings.sync()?;
        self.tensorboard.iter_mut().try_for_each(Tensorboard::sync)?;
        Ok((self.history, self.flow))
    }
}

impl<D: Observer> Observer for RunRecorder<'_, D> {
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()> {
        self.history.append(metrics)?;
        self.tensorboard.iter_mut().try_for_each(|events| events.append(metrics))?;
        self.clock.add(work);
        self.display.step(metrics, work)?;
        let pace = self.pace();
        if metrics.step.is_multiple_of(self.length.timed_every) || metrics.step == self.length.steps {
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

    fn stop(&mut self, step: u64) -> bool {
        self.display.stop(step)
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        let asked = self.display.wants_checkpoint(step) || self.display.stop(step);
        asked || step == 0 || step == self.length.steps || self.checkpoints.is_due(step)
    }

    fn checkpoint(&mut self, step: u64) -> Result<Option<(&mut dyn WriteSeek, String)>> {
        self.tensorboard.iter_mut().try_for_each(Tensorboard::sync)?;
        let position = Position {
            metrics: self.history.sync()?,
            timings: self.timings.sync()?,
            flow: self.flow.as_mut().map(FlowLog::sync).transpose()?,
            seconds: self.pace().seconds,
            sequences: self.clock.work().sequences,
            time_steps: self.clock.work().time_steps,
        };
        let (file, note) = self.checkpoints.begin(step, position)?;
        Ok(Some((file, note)))
    }

    fn checkpoint_written(&mut self, written: Result<()>) -> Result<()> {
        self.checkpoints.written(written)
    }
}
