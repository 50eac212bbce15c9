//! What a run shows and writes while it goes on.

use std::fmt;
use std::time::{Duration, Instant};

use bptt::train::{Checkpoint, Metrics, Observer, Work};
use bptt::{Error, Flow, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::checkpoints::{Checkpoints, Position};
use super::flow_log::FlowLog;
use super::folder::{Folder, Log};
use super::interrupt;
use super::task::Unit;
use super::tensorboard::Tensorboard;

/// A line a step.
const METRICS: &str = "metrics.jsonl";

/// A line now and then, of time and pace.
const TIMINGS: &str = "timings.jsonl";

/// Lines of validation losses above the bar, at most about so many: all of them are in `metrics.jsonl`.
const LINES: u64 = 20;

/// How long a run is to be.
pub(crate) struct Plan {
    pub(crate) steps: u64,
    /// Where the length was told in epochs.
    pub(crate) epochs: Option<u64>,
    /// Steps between two lines of `timings.jsonl`.
    pub(crate) timed_every: u64,
    /// What the pace is counted in.
    pub(crate) unit: Unit,
}

/// How fast a run was.
pub(crate) struct Pace {
    pub(crate) seconds: f64,
    /// Sequences a second.
    pub(crate) sequences: f64,
    /// Time steps of all sequences a second.
    pub(crate) time_steps: f64,
    unit: Unit,
}

impl Pace {
    pub(crate) fn time(&self) -> String {
        match self.seconds {
            seconds if seconds < 100.0 => format!("{seconds:.1} s"),
            seconds if seconds < 5400.0 => format!("{} min {} s", seconds as u64 / 60, seconds as u64 % 60),
            seconds => format!("{} h {} min", seconds as u64 / 3600, seconds as u64 / 60 % 60),
        }
    }

    /// In few characters: `107k chr/s`.
    fn brief(&self) -> String {
        let (rate, unit) = match self.unit {
            Unit::Sequences => (self.sequences, "seq/s"),
            Unit::Characters => (self.time_steps, "chr/s"),
        };
        match rate {
            rate if rate < 1e4 => format!("{rate:.0} {unit}"),
            rate if rate < 1e7 => format!("{:.0}k {unit}", rate / 1e3),
            rate => format!("{:.0}M {unit}", rate / 1e6),
        }
    }

    fn rate(&self) -> String {
        match self.unit {
            Unit::Sequences => format!("{} sequences/s", grouped(self.sequences as u64)),
            Unit::Characters => format!("{} characters/s", grouped(self.time_steps as u64)),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.time(), self.rate())
    }
}

/// Draws the bar, where stderr is a terminal, writes `metrics.jsonl`, `timings.jsonl` and event files, and stores checkpoints.
pub(crate) struct Progress<'a> {
    bar: ProgressBar,
    started: Instant,
    /// Of the run before it was gone on with.
    seconds: f64,
    plan: Plan,
    /// All steps so far.
    work: Work,
    val_loss: Option<f64>,
    validations: u64,
    metrics: Log,
    timings: Log,
    history: Vec<Metrics>,
    flow: Option<FlowLog>,
    checkpoints: Checkpoints<'a>,
    tensorboard: Option<Tensorboard>,
}

impl<'a> Progress<'a> {
    /// Of a run that begins, or that goes on from a position. `quiet`: no bar.
    pub(crate) fn new(
        folder: &Folder,
        plan: Plan,
        flow: Option<FlowLog>,
        (checkpoints, tensorboard): (Checkpoints<'a>, Option<Tensorboard>),
        from: Option<&Position>,
        quiet: bool,
    ) -> Result<Self> {
        let bar = match quiet {
            true => ProgressBar::hidden(),
            // indicatif itself draws nothing where stderr is no terminal.
            false => ProgressBar::with_draw_target(Some(plan.steps), ProgressDrawTarget::stderr_with_hz(12)),
        };
        let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{:#}", HumanDuration(Duration::from_secs(state.eta().as_secs())));
        };
        let style = ProgressStyle::with_template("{bar:14.blue} {percent:>3}%  {wide_msg} {left} left")
            .map_err(|error| Error::Unsupported(error.to_string()))?;
        bar.set_style(style.progress_chars("━╸ ").with_key("left", left));
        let (metrics, timings, before) = match from {
            None => (folder.log(METRICS)?, folder.log(TIMINGS)?, Vec::new()),
            Some(position) => {
                let (metrics, before) = folder.log_from(METRICS, position.metrics)?;
                (metrics, folder.log_from(TIMINGS, position.timings)?.0, before)
            }
        };
        let history = before.split_inclusive(|byte| *byte == b'\n').map(serde_json::from_slice);
        let history: Vec<Metrics> = history.collect::<Result<_, _>>().map_err(|error| {
            let (path, place) = (folder.path().join(METRICS), String::new());
            Error::Data { path, place, message: format!("expected the run's own lines: {error}") }
        })?;
        let position = from.cloned().unwrap_or_default();
        bar.set_position(history.len() as u64);
        bar.reset_eta();
        Ok(Self {
            bar,
            started: Instant::now(),
            seconds: position.seconds,
            plan,
            work: Work { sequences: position.sequences, time_steps: position.time_steps },
            val_loss: history.iter().rev().find_map(|metrics| metrics.val_loss),
            validations: history.iter().filter(|metrics| metrics.val_loss.is_some()).count() as u64,
            metrics,
            timings,
            history,
            flow,
            checkpoints,
            tensorboard,
        })
    }

    /// How fast the run has been so far.
    pub(crate) fn pace(&self) -> Pace {
        let seconds = self.seconds + self.started.elapsed().as_secs_f64();
        let rate = |count: u64| count as f64 / seconds.max(1e-9);
        let Work { sequences, time_steps } = self.work;
        Pace { seconds, sequences: rate(sequences), time_steps: rate(time_steps), unit: self.plan.unit }
    }

    /// Clears the bar and leaves the files on the disk.
    pub(crate) fn finish(mut self) -> Result<(Vec<Metrics>, Option<FlowLog>)> {
        self.bar.finish_and_clear();
        self.metrics.sync()?;
        self.timings.sync()?;
        self.tensorboard.iter_mut().try_for_each(Tensorboard::sync)?;
        Ok((self.history, self.flow))
    }
}

impl Observer for Progress<'_> {
    fn step(&mut self, metrics: &Metrics, work: Work) -> Result<()> {
        self.work.sequences += work.sequences;
        self.work.time_steps += work.time_steps;
        self.val_loss = metrics.val_loss.or(self.val_loss);
        self.history.push(*metrics);
        self.metrics.append(&line(metrics)?)?;
        self.tensorboard.iter_mut().try_for_each(|events| events.append(metrics))?;
        let pace = self.pace();
        if metrics.step.is_multiple_of(self.plan.timed_every) || metrics.step == self.plan.steps {
            let timing = serde_json::json!({
                "step": metrics.step, "epoch": metrics.epoch, "seconds": pace.seconds,
                "sequences_per_second": pace.sequences, "time_steps_per_second": pace.time_steps,
            });
            self.timings.append(&line(&timing)?)?;
        }
        if !self.bar.is_hidden() {
            let validation = self.val_loss.map(|loss| format!("  val {}", short(loss))).unwrap_or_default();
            let place = match self.plan.epochs {
                Some(epochs) => format!("epoch {}/{epochs}", metrics.epoch),
                None => format!("step {}/{}", grouped(metrics.step), grouped(self.plan.steps)),
            };
            let loss = short(metrics.loss);
            if let Some(val_loss) = metrics.val_loss {
                self.validations += 1;
                let every = (self.plan.steps / self.plan.timed_every.max(1)).div_ceil(LINES).max(1);
                if self.validations.is_multiple_of(every) {
                    self.bar.println(format!("{place:<18}loss {loss}  validation {}", short(val_loss)));
                }
            }
            if metrics.skipped {
                self.bar
                    .println(format!("{place:<18}the loss or the gradient norm is not finite; the step is skipped"));
            }
            // Short enough for a terminal of 80 columns.
            self.bar.set_message(format!("{place}  loss {loss}{validation}  {}", pace.brief()));
            self.bar.set_position(metrics.step);
        }
        Ok(())
    }

    fn wants_flow(&mut self, step: u64) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.wants(step))
    }

    fn flow(&mut self, step: u64, flow: &Flow) -> Result<()> {
        self.flow.as_mut().map_or(Ok(()), |log| log.take(step, flow))
    }

    fn stop(&mut self) -> bool {
        interrupt::asked()
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        step == 0 || step == self.plan.steps || interrupt::asked() || self.checkpoints.is_due(step)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.tensorboard.iter_mut().try_for_each(Tensorboard::sync)?;
        let position = Position {
            metrics: self.metrics.sync()?,
            timings: self.timings.sync()?,
            flow: self.flow.as_mut().map(FlowLog::sync).transpose()?,
            seconds: self.pace().seconds,
            sequences: self.work.sequences,
            time_steps: self.work.time_steps,
        };
        self.checkpoints.save(checkpoint, position)
    }
}

/// A line of JSON.
pub(crate) fn line(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| Error::Unsupported(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Four digits that matter; a dash for what could not be measured.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "–".into(),
        0.0 => "0".into(),
        size if !(1e-4..1e5).contains(&size) => format!("{value:.2e}"),
        size => format!("{value:.*}", (3 - size.log10().floor() as i32).clamp(0, 6) as usize),
    }
}

/// 12,345.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}
