//! A run's training in words.

use std::fmt::Write;

use bptt::experiment::settings::Settings;
use bptt::format::{grouped, short};
use bptt::plot::Steps;
use bptt::train::{Decay, KeepWeights, Outcome, StopReason};
use bptt::{Loss, Result};

use super::shown::Pace;
use crate::cli::terminal::printed::heading;

pub(crate) fn describe_schedule(settings: &Settings) -> String {
    let schedule = &settings.run.schedule;
    let mut words = match schedule.warmup {
        0 => String::new(),
        steps => format!("the rate rises over {} steps", grouped(steps)),
    };
    let decay = match schedule.decay {
        Decay::Constant => return words,
        Decay::Step { every, factor } => format!("falls to {factor} of it after every {} steps", grouped(every)),
        Decay::Exponential { every, factor } => format!("falls to {factor} of it over every {} steps", grouped(every)),
        Decay::Cosine { floor } => format!("falls along a cosine to {floor} of it"),
        Decay::Plateau { patience, factor } => {
            format!("falls to {factor} of it after {patience} validations without improvement")
        }
    };
    let _ = write!(words, "{}{decay}", if words.is_empty() { "the rate " } else { ", then " });
    words
}

/// The training loss as a run reports it in the end. One batch says little: it is the mean over the last steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecentLoss {
    pub(crate) mean: f64,
    pub(crate) steps: u64,
}

impl RecentLoss {
    /// Over those since the validation before the last one, `every` steps ago.
    pub(crate) fn of(history: &dyn Steps, every: u64) -> Result<Self> {
        let (steps, before) = (history.count().min(every), history.count().saturating_sub(every));
        let (mut seen, mut sum) = (0, 0.0);
        history.each(&mut |metrics| {
            sum += if seen < before { 0.0 } else { metrics.loss };
            seen += 1;
        })?;
        Ok(Self { mean: sum / steps as f64, steps })
    }
}

pub(crate) fn describe_outcome(outcome: &Outcome, loss: RecentLoss, pace: &Pace, keep: KeepWeights) -> Vec<String> {
    let last = &outcome.last;
    let over = if loss.steps > 1 { format!(" over the last {} steps", loss.steps) } else { String::new() };
    let validation = last.val_loss.map(|loss| format!(", validation {}", short(loss))).unwrap_or_default();
    let best = outcome.best.filter(|best| best.step < last.step || last.val_loss.is_none());
    let best = best.map(|best| {
        let epoch = if best.epoch > 1 { format!(" (epoch {})", best.epoch) } else { String::new() };
        format!(", at its lowest {} after step {}{epoch}", short(best.val_loss), grouped(best.step))
    });
    let why = match outcome.stop_reason {
        StopReason::Finished => "",
        StopReason::NoImprovement => ": ended early, since the validation loss no longer improved",
        StopReason::Stopped => ": stopped as asked, with what was learned so far",
    };
    let kept = outcome.best.filter(|best| keep == KeepWeights::Best && best.step < last.step);
    let kept = kept.map(|best| format!("those after step {}, of the lowest loss", grouped(best.step)));
    let mut lines = vec![
        heading("done", &format!("{} steps in {pace}{why}", grouped(last.step))),
        heading("loss", &format!("{}{over}{validation}{}", short(loss.mean), best.unwrap_or_default())),
    ];
    lines.extend(kept.map(|words| heading("weights", &words)));
    lines
}

pub(crate) fn loss_name(loss: &Loss) -> &'static str {
    match loss {
        Loss::SquaredError => "squared error",
        Loss::AbsoluteError => "absolute error",
        Loss::Huber { .. } => "Huber's loss",
        Loss::Quantile { .. } => "quantile loss",
        Loss::BinaryCrossEntropy => "binary cross-entropy",
        Loss::CrossEntropy => "cross-entropy",
        Loss::SmoothedCrossEntropy { .. } => "smoothed cross-entropy",
    }
}
