//! The duration and speed of training.

use std::fmt;
use std::time::Instant;

use crate::experiment::tasks::task::Unit;
use crate::format::grouped;
use crate::train::StepCounts;

/// The length of a run.
#[derive(Clone, Copy, Debug)]
pub struct TrainingLength {
    /// The number of steps.
    pub steps: u64,
    /// Number of epochs, if the length was set in epochs.
    pub epochs: Option<u64>,
    /// Steps between two validations and two lines of `timings.jsonl`.
    pub timed_every: u64,
    /// The unit of the pace.
    pub unit: Unit,
}

/// The totals of a resumed run before.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResumedProgress {
    /// Steps.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// What these steps read.
    pub work: StepCounts,
    /// The last validation loss.
    pub val_loss: Option<f64>,
    /// The number of validations.
    pub validations: u64,
}

/// The time and work of a run so far.
#[derive(Clone, Copy, Debug)]
pub struct TrainingClock {
    started: Instant,
    seconds_before: f64,
    work: StepCounts,
    unit: Unit,
}

impl TrainingClock {
    /// Starts now, with the totals before.
    pub fn start(before: &ResumedProgress, unit: Unit) -> Self {
        Self { started: Instant::now(), seconds_before: before.seconds, work: before.work, unit }
    }

    /// Adds the work of a step.
    pub fn add(&mut self, work: StepCounts) {
        // A corrupted checkpoint may contain any number.
        self.work.sequences = self.work.sequences.saturating_add(work.sequences);
        self.work.time_steps = self.work.time_steps.saturating_add(work.time_steps);
    }

    /// The work of all steps so far.
    pub fn work(&self) -> StepCounts {
        self.work
    }

    /// Seconds since the start.
    pub fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The pace so far.
    pub fn pace(&self) -> Pace {
        let seconds = self.seconds_before + self.elapsed();
        let rate = |count: u64| count as f64 / seconds.max(1e-9);
        let StepCounts { sequences, time_steps } = self.work;
        Pace { seconds, sequences: rate(sequences), time_steps: rate(time_steps), unit: self.unit }
    }
}

/// The pace of a run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Seconds of training.
    pub seconds: f64,
    /// Sequences per second.
    pub sequences: f64,
    /// Time steps of all sequences per second.
    pub time_steps: f64,
    unit: Unit,
}

impl Pace {
    /// The time in words.
    pub fn time(&self) -> String {
        match self.seconds {
            seconds if seconds < 100.0 => format!("{seconds:.1} s"),
            seconds => seconds_text(seconds),
        }
    }

    /// Short form: `107k chr/s`.
    pub fn brief(&self) -> String {
        let (rate, unit) = match self.unit {
            Unit::Sequences => (self.sequences, "seq/s"),
            Unit::Characters => (self.time_steps, "chr/s"),
            Unit::Rows => (self.time_steps, "rows/s"),
            Unit::Frames => (self.time_steps, "frames/s"),
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
            Unit::Rows => format!("{} rows/s", grouped(self.time_steps as u64)),
            Unit::Frames => format!("{} frames/s", grouped(self.time_steps as u64)),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.time(), self.rate())
    }
}

/// Whole seconds in words.
pub fn seconds_text(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{} min {} s", seconds as u64 / 60, seconds as u64 % 60),
        seconds => format!("{} h {} min", seconds as u64 / 3600, seconds as u64 / 60 % 60),
    }
}
