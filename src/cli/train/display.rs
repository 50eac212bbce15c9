//! Training progress: a bar if standard error is a terminal, and lines if not.

use std::fmt;
use std::time::{Duration, Instant};

use bptt::experiment::training::{ResumedProgress, TrainingClock, TrainingLength, seconds_text};
use bptt::format::{grouped, short};
use bptt::train::{Metrics, Observer, StepCounts};
use bptt::{Error, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::args::ShowArgs;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::printed::eprint_line;

/// Approximate maximum number of lines with validation losses: all of them are in `metrics.jsonl`.
const LINES: u64 = 12;

/// Seconds between two lines, if nothing else is printed and there is no bar.
const EVERY: Duration = Duration::from_secs(10);

/// Shows the training of one network.
pub(crate) struct TrainingDisplay {
    /// The prefix of each line, if several networks are trained.
    name: String,
    /// `None`: standard error is not a terminal.
    bar: Option<ProgressBar>,
    args: ShowArgs,
    length: TrainingLength,
    steps_before: u64,
    clock: TrainingClock,
    val_loss: Option<f64>,
    validations: u64,
    /// The losses since the last line: that of a single batch is noisy.
    losses: (f64, u64),
    logged: Instant,
    /// Whether lines are by time only.
    is_sparse: bool,
}

impl TrainingDisplay {
    pub(crate) fn new(
        name: impl Into<String>,
        length: &TrainingLength,
        before: &ResumedProgress,
        args: ShowArgs,
    ) -> Result<Self> {
        let name = name.into();
        let bar = if args.quiet {
            ProgressBar::hidden()
        } else {
            // indicatif itself draws nothing if stderr is not a terminal.
            ProgressBar::with_draw_target(Some(length.steps), ProgressDrawTarget::stderr_with_hz(12))
        };
        let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{:#}", HumanDuration(Duration::from_secs(state.eta().as_secs())));
        };
        let style = ProgressStyle::with_template("{prefix}{bar:14.blue} {percent:>3}%  {wide_msg} {left} left")
            .map_err(|error| Error::Failed(error.to_string()))?;
        bar.set_style(style.progress_chars("━╸ ").with_key("left", left));
        if !name.is_empty() {
            bar.set_prefix(format!("{name:<10}"));
        }
        bar.set_position(before.steps);
        bar.reset_eta();
        let bar = Some(bar).filter(|bar| !bar.is_hidden());
        Ok(Self {
            name,
            bar,
            args,
            length: *length,
            steps_before: before.steps,
            clock: TrainingClock::start(before, length.unit),
            val_loss: before.val_loss,
            validations: before.validations,
            losses: (0.0, 0),
            logged: Instant::now(),
            is_sparse: false,
        })
    }

    /// Without a line for some of the validations: for many short runs.
    pub(crate) fn sparse(mut self) -> Self {
        self.is_sparse = true;
        self
    }

    /// A step was reported.
    fn show(&mut self, metrics: &Metrics, work: StepCounts) {
        self.clock.add(work);
        self.val_loss = metrics.val_loss.or(self.val_loss);
        self.validations += u64::from(metrics.val_loss.is_some());
        if metrics.skipped {
            self.line(&format!(
                "{}the loss or the gradient norm is not finite; the step is skipped",
                columns(&self.place(metrics))
            ));
        } else {
            self.losses = (self.losses.0 + metrics.loss, self.losses.1 + 1);
        }
        if self.is_due(metrics) {
            self.line(&self.describe(metrics));
            (self.losses, self.logged) = ((0.0, 0), Instant::now());
        }
        if let Some(bar) = &self.bar {
            let validation = self.val_loss.map(|loss| format!("  val {}", short(loss))).unwrap_or_default();
            let place = match self.length.epochs {
                Some(epochs) => format!("epoch {}/{epochs}", metrics.epoch),
                None => format!("step {}/{}", grouped(metrics.step), grouped(self.length.steps)),
            };
            // Short enough for a terminal with 80 columns.
            bar.set_message(format!(
                "{place}  loss {}{validation}  {}",
                short(metrics.loss),
                self.clock.pace().brief()
            ));
            bar.set_position(metrics.step);
        }
    }

    fn is_due(&self, metrics: &Metrics) -> bool {
        if let Some(every) = self.args.log_every {
            return metrics.step.is_multiple_of(every);
        }
        let every = (self.length.steps / self.length.timed_every.max(1)).div_ceil(LINES).max(1);
        let of_validation = !self.is_sparse && metrics.val_loss.is_some() && self.validations.is_multiple_of(every);
        of_validation || self.bar.is_none() && self.logged.elapsed() >= EVERY
    }

    /// The position, loss and remaining time of a run.
    fn describe(&self, metrics: &Metrics) -> String {
        let (sum, count) = self.losses;
        let loss = if count == 0 { metrics.loss } else { sum / count as f64 };
        let validation = self.val_loss.map(|loss| format!("  validation {}", short(loss))).unwrap_or_default();
        let (done, left) =
            (metrics.step.saturating_sub(self.steps_before), self.length.steps.saturating_sub(metrics.step));
        let left = match left {
            0 => String::new(),
            left => {
                let seconds = self.clock.elapsed() * left as f64 / done.max(1) as f64;
                format!("  {} left", seconds_text(seconds))
            }
        };
        let place = columns(&self.place(metrics));
        format!("{place}loss {}{validation}  {}{left}", short(loss), self.clock.pace().brief())
    }

    fn place(&self, metrics: &Metrics) -> String {
        let epochs = self.length.epochs.map(|epochs| format!("/{epochs}")).unwrap_or_default();
        format!("step {}/{}, epoch {}{epochs}", grouped(metrics.step), grouped(self.length.steps), metrics.epoch)
    }

    fn line(&self, text: &str) {
        let name = if self.name.is_empty() { String::new() } else { format!("{:<10}", self.name) };
        match &self.bar {
            Some(bar) => bar.println(name + text),
            None if self.args.quiet => {}
            None => eprint_line(name + text),
        }
    }
}

/// This width aligns the lines of most runs.
fn columns(place: &str) -> String {
    format!("{place:<28}  ")
}

impl Observer for TrainingDisplay {
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()> {
        self.show(metrics, work);
        Ok(())
    }

    fn stop(&mut self, _step: u64) -> bool {
        interrupt::asked()
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        let asked = interrupt::asked_to_save();
        if asked {
            self.line(&format!("SIGUSR1: a checkpoint after step {}", grouped(step)));
        }
        asked
    }
}

impl Drop for TrainingDisplay {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
