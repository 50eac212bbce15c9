//! What training shows of itself while it goes on: a bar where standard error is a terminal, and lines where it is a file.

use std::fmt;
use std::time::{Duration, Instant};

use bptt::experiment::tasks::task::Unit;
use bptt::format::{grouped, short};
use bptt::train::{Metrics, Observer, StepCounts};
use bptt::{Error, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::args::ShowArgs;
use crate::cli::terminal::printed::note;

/// Lines of validation losses, at most about so many: all of them are in `metrics.jsonl`.
const LINES: u64 = 12;

/// Between two lines, where nothing else is told and no bar shows how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// How long a run is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) steps: u64,
    /// Where the length was told in epochs.
    pub(crate) epochs: Option<u64>,
    /// Steps between two validations, and two lines of `timings.jsonl`.
    pub(crate) timed_every: u64,
    /// What the pace is counted in.
    pub(crate) unit: Unit,
}

/// What was done before, where a run is gone on with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    pub(crate) steps: u64,
    pub(crate) seconds: f64,
    pub(crate) work: StepCounts,
    pub(crate) val_loss: Option<f64>,
    pub(crate) validations: u64,
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
            seconds => time(seconds),
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

/// Whole seconds in words.
fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{} min {} s", seconds as u64 / 60, seconds as u64 % 60),
        seconds => format!("{} h {} min", seconds as u64 / 3600, seconds as u64 / 60 % 60),
    }
}

/// The steps of one network's training.
pub(crate) struct Shown {
    /// What each line begins with, where several networks are trained one after the other.
    name: &'static str,
    /// `None`: standard error is no terminal.
    bar: Option<ProgressBar>,
    args: ShowArgs,
    plan: Plan,
    before: Before,
    started: Instant,
    /// Of all steps so far.
    work: StepCounts,
    val_loss: Option<f64>,
    validations: u64,
    /// The losses since the last line: one batch says little.
    losses: (f64, u64),
    logged: Instant,
}

impl Shown {
    pub(crate) fn new(name: &'static str, plan: Plan, before: Before, args: ShowArgs) -> Result<Self> {
        let bar = match args.quiet {
            true => ProgressBar::hidden(),
            // indicatif itself draws nothing where stderr is no terminal.
            false => ProgressBar::with_draw_target(Some(plan.steps), ProgressDrawTarget::stderr_with_hz(12)),
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
        let now = Instant::now();
        let (work, val_loss, validations) = (before.work, before.val_loss, before.validations);
        let bar = Some(bar).filter(|bar| !bar.is_hidden());
        Ok(Self {
            name,
            bar,
            args,
            plan,
            before,
            started: now,
            work,
            val_loss,
            validations,
            losses: (0.0, 0),
            logged: now,
        })
    }

    /// Of all steps so far.
    pub(crate) fn work(&self) -> StepCounts {
        self.work
    }

    /// How fast the run has been so far.
    pub(crate) fn pace(&self) -> Pace {
        let seconds = self.before.seconds + self.started.elapsed().as_secs_f64();
        let rate = |count: u64| count as f64 / seconds.max(1e-9);
        let StepCounts { sequences, time_steps } = self.work;
        Pace { seconds, sequences: rate(sequences), time_steps: rate(time_steps), unit: self.plan.unit }
    }

    /// A step was reported.
    pub(crate) fn show(&mut self, metrics: &Metrics, work: StepCounts) {
        // What a checkpoint says of the steps before may be any number.
        self.work.sequences = self.work.sequences.saturating_add(work.sequences);
        self.work.time_steps = self.work.time_steps.saturating_add(work.time_steps);
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
            let place = match self.plan.epochs {
                Some(epochs) => format!("epoch {}/{epochs}", metrics.epoch),
                None => format!("step {}/{}", grouped(metrics.step), grouped(self.plan.steps)),
            };
            // Short enough for a terminal of 80 columns.
            bar.set_message(format!("{place}  loss {}{validation}  {}", short(metrics.loss), self.pace().brief()));
            bar.set_position(metrics.step);
        }
    }

    fn is_due(&self, metrics: &Metrics) -> bool {
        if let Some(every) = self.args.log_every {
            return metrics.step.is_multiple_of(every);
        }
        let every = (self.plan.steps / self.plan.timed_every.max(1)).div_ceil(LINES).max(1);
        let of_validation = metrics.val_loss.is_some() && self.validations.is_multiple_of(every);
        of_validation || self.bar.is_none() && self.logged.elapsed() >= EVERY
    }

    /// Where the run stands, how well it does, and how long it still takes.
    fn describe(&self, metrics: &Metrics) -> String {
        let (sum, count) = self.losses;
        let loss = if count == 0 { metrics.loss } else { sum / count as f64 };
        let validation = self.val_loss.map(|loss| format!("  validation {}", short(loss))).unwrap_or_default();
        let (done, left) =
            (metrics.step.saturating_sub(self.before.steps), self.plan.steps.saturating_sub(metrics.step));
        let left = match left {
            0 => String::new(),
            left => {
                let seconds = self.started.elapsed().as_secs_f64() * left as f64 / done.max(1) as f64;
                format!("  {} left", time(seconds))
            }
        };
        let place = columns(&self.place(metrics));
        format!("{place}loss {}{validation}  {}{left}", short(loss), self.pace().brief())
    }

    fn place(&self, metrics: &Metrics) -> String {
        let epochs = self.plan.epochs.map(|epochs| format!("/{epochs}")).unwrap_or_default();
        format!("step {}/{}, epoch {}{epochs}", grouped(metrics.step), grouped(self.plan.steps), metrics.epoch)
    }

    fn line(&self, text: &str) {
        let name = if self.name.is_empty() { String::new() } else { format!("{:<10}", self.name) };
        match &self.bar {
            Some(bar) => bar.println(name + text),
            None if self.args.quiet => {}
            None => note(name + text),
        }
    }

    /// Clears the bar.
    pub(crate) fn finish(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// So that what follows stands below each other in most runs.
fn columns(place: &str) -> String {
    format!("{place:<28}  ")
}

impl Observer for Shown {
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()> {
        self.show(metrics, work);
        Ok(())
    }
}
