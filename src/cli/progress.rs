//! What a run shows and writes while it goes on.

use std::time::{Duration, Instant};

use bptt::train::{Metrics, Observer};
use bptt::{Error, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::folder::{Folder, Growing};

/// How long a run is to be.
pub(crate) struct Plan {
    pub(crate) steps: u64,
    /// Where the length was told in epochs.
    pub(crate) epochs: Option<u64>,
    /// Steps between two lines of `timings.jsonl`.
    pub(crate) timed_every: u64,
}

/// Draws the bar, where stderr is a terminal, and writes `metrics.jsonl` and `timings.jsonl`.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// Sequences in the first n steps, for n = step.
    sequences: Box<dyn Fn(u64) -> u64>,
    plan: Plan,
    val_loss: Option<f64>,
    metrics: Growing,
    timings: Growing,
    /// Every step so far.
    pub(crate) history: Vec<Metrics>,
}

impl Progress {
    /// `sequences` tells how many sequences the first n steps take; `quiet`: no bar.
    pub(crate) fn new(
        folder: &Folder,
        plan: Plan,
        sequences: impl Fn(u64) -> u64 + 'static,
        quiet: bool,
    ) -> Result<Self> {
        let bar = match quiet {
            true => ProgressBar::hidden(),
            // indicatif itself draws nothing where stderr is no terminal.
            false => ProgressBar::with_draw_target(Some(plan.steps), ProgressDrawTarget::stderr_with_hz(12)),
        };
        let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:#}", HumanDuration(Duration::from_secs(state.eta().as_secs())));
        };
        let style = ProgressStyle::with_template("{bar:14.blue} {percent:>3}%  {wide_msg} {left} left")
            .map_err(|error| Error::Unsupported(error.to_string()))?;
        bar.set_style(style.progress_chars("━╸ ").with_key("left", left));
        Ok(Self {
            bar,
            started: Instant::now(),
            sequences: Box::new(sequences),
            plan,
            val_loss: None,
            metrics: folder.begin("metrics.jsonl")?,
            timings: folder.begin("timings.jsonl")?,
            history: Vec::new(),
        })
    }

    /// Seconds since the start, and sequences a second up to `step`.
    pub(crate) fn pace(&self, step: u64) -> (f64, f64) {
        let seconds = self.started.elapsed().as_secs_f64();
        (seconds, (self.sequences)(step) as f64 / seconds.max(1e-9))
    }

    /// Clears the bar and gives the two files their names.
    pub(crate) fn finish(self) -> Result<Vec<Metrics>> {
        self.bar.finish_and_clear();
        self.metrics.commit()?;
        self.timings.commit()?;
        Ok(self.history)
    }
}

impl Observer for Progress {
    fn step(&mut self, metrics: &Metrics) -> Result<()> {
        self.val_loss = metrics.val_loss.or(self.val_loss);
        self.history.push(*metrics);
        self.metrics.append(&line(metrics)?)?;
        let (seconds, rate) = self.pace(metrics.step);
        if metrics.step.is_multiple_of(self.plan.timed_every) || metrics.step == self.plan.steps {
            let timing = serde_json::json!({
                "step": metrics.step, "epoch": metrics.epoch, "seconds": seconds, "sequences_per_second": rate,
            });
            self.timings.append(&line(&timing)?)?;
        }
        if !self.bar.is_hidden() {
            let validation = self.val_loss.map(|loss| format!("  val {}", short(loss))).unwrap_or_default();
            let place = match self.plan.epochs {
                Some(epochs) => format!("epoch {}/{epochs}", metrics.epoch),
                None => format!("step {}/{}", grouped(metrics.step), grouped(self.plan.steps)),
            };
            let (loss, norm, rate) = (short(metrics.loss), short(metrics.grad_norm), grouped(rate as u64));
            self.bar.set_message(format!("{place}  loss {loss}{validation}  norm {norm}  {rate} seq/s"));
            self.bar.set_position(metrics.step);
        }
        Ok(())
    }
}

fn line(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| Error::Unsupported(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Four digits that matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
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
