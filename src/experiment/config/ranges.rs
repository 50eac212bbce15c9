//! The numbers that settings may have, which flags, configuration files and other callers share.

use std::fmt;

use serde_json::Value;

use super::{COUNT, Config, LAYERS, SIZE, THREADS};
use crate::{Error, Result};

/// The numbers that a setting may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NumberRange {
    /// Whole numbers from the first to the second.
    Whole(u64, u64),
    /// From 0 to 1.
    Share,
    /// From 0 to below 1.
    Below1,
    /// Finite and at least 0.
    AtLeast0,
    /// Above 0 and below 1.
    Quantile,
    /// Finite in f32: a parameter of the network.
    Single,
    /// 0, or a positive number that f32 has: a smaller one would be 0 there, and erase a gradient.
    Norm,
}

impl NumberRange {
    /// The largest whole number of a configuration file: those of TOML are signed.
    pub const SIGNED: Self = Self::Whole(0, i64::MAX as u64);
    const SIZES: Self = Self::Whole(1, SIZE as u64);
    const COUNTS: Self = Self::Whole(1, COUNT as u64);

    /// Whether it includes a number.
    pub fn contains(self, value: f64) -> bool {
        match self {
            Self::Whole(least, most) => value.fract() == 0.0 && value >= least as f64 && value <= most as f64,
            Self::Share => (0.0..=1.0).contains(&value),
            Self::Below1 => (0.0..1.0).contains(&value),
            Self::AtLeast0 => value >= 0.0 && value.is_finite(),
            Self::Quantile => value > 0.0 && value < 1.0,
            Self::Single => (value as f32).is_finite(),
            Self::Norm => {
                let (least, most) = NORMS;
                value == 0.0 || (f64::from(least)..=f64::from(most)).contains(&value)
            }
        }
    }

    /// The same of a whole number, to its last digit.
    pub fn contains_whole(self, value: u64) -> bool {
        match self {
            Self::Whole(least, most) => (least..=most).contains(&value),
            _ => self.contains(value as f64),
        }
    }

    /// The range of a setting that is a number, or a list of them: its key in a section of a configuration file.
    pub fn of(section: &str, key: &str) -> Option<Self> {
        Some(match (section, key) {
            ("run", "threads") => Self::Whole(1, THREADS as u64),
            ("run", "seed") | ("training", "warmup") => Self::SIGNED,
            ("model", "layers") => Self::Whole(1, LAYERS as u64),
            ("model", "forget-bias") => Self::Single,
            ("model", "dropout" | "recurrent-dropout") | ("training", "ema-decay") => Self::Below1,
            ("text" | "sequences" | "classes", "label-smoothing") => Self::Below1,
            ("training", "lr" | "weight-decay") => Self::AtLeast0,
            ("training", "clip") => Self::Norm,
            ("series" | "sequences", "validation") => Self::Share,
            ("series", "quantiles") => Self::Quantile,
            ("series", "horizon" | "window" | "season" | "segment")
            | ("text" | "audio", "window")
            | ("text" | "classes" | "task", "embedding")
            | ("sequences" | "classes" | "rolls", "buckets")
            | ("task", "length")
            | ("model", "hidden" | "proj-size")
            | ("training", "batch" | "micro-batch") => Self::SIZES,
            ("text" | "classes", "min-count")
            | (
                "training",
                "epochs" | "steps" | "patience" | "accumulate" | "val-every" | "flow-every" | "checkpoint-every"
                | "checkpoints",
            ) => Self::COUNTS,
            _ => return None,
        })
    }
}

/// The least and the largest positive gradient norm limit.
const NORMS: (f32, f32) = (f32::MIN_POSITIVE, f32::MAX);

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Share => f.write_str("a number from 0 to 1"),
            Self::Below1 => f.write_str("a number from 0 to below 1"),
            Self::AtLeast0 => f.write_str("a finite number of at least 0"),
            Self::Quantile => f.write_str("a number above 0 and below 1"),
            Self::Single => write!(f, "a number from {:e} to {:e}", f32::MIN, f32::MAX),
            Self::Norm => write!(f, "0, or a number from {:e} to {:e}", NORMS.0, NORMS.1),
        }
    }
}

impl Config {
    /// Refuses a number that its setting does not allow. Those of flags and configuration files have been checked with
    /// the same [`NumberRange`] when they were read.
    ///
    /// # Errors
    /// [`Error::Value`] names the setting, as in `training.lr`.
    pub fn check_ranges(&self) -> Result<()> {
        for (section, keys) in &self.to_map()? {
            for (key, value) in keys.as_object().into_iter().flatten() {
                let Some(range) = NumberRange::of(section, key) else { continue };
                let numbers = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                let is_outside = |number: &&Value| match (number.as_u64(), number.as_f64()) {
                    (Some(whole), _) => !range.contains_whole(whole),
                    (None, Some(number)) => !range.contains(number),
                    // Words, such as the batch size auto.
                    (None, None) => false,
                };
                if let Some(number) = numbers.iter().find(is_outside) {
                    return Err(Error::value(format!("{section}.{key}"), range.to_string(), number));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Settings;

    #[test]
    fn settings_refuse_a_number_out_of_its_range_by_its_name() {
        let refused = |section: &str, key: &str, value: Value| {
            let config: Config = serde_json::from_value(serde_json::json!({section: {key: value}})).expect("a config");
            Settings::new(config).map(drop).expect_err("out of its range").to_string()
        };
        let expected = "training.lr: expected a finite number of at least 0, got -0.5";
        assert_eq!(refused("training", "lr", (-0.5).into()), expected);
        assert_eq!(
            refused("model", "hidden", 0.into()),
            "model.hidden: expected a whole number from 1 to 16777216, got 0"
        );
        assert_eq!(
            refused("training", "ema-decay", 1.into()),
            "training.ema-decay: expected a number from 0 to below 1, got 1.0"
        );
        let quantiles = refused("series", "quantiles", vec![0.5, 1.0].into());
        assert_eq!(quantiles, "series.quantiles: expected a number above 0 and below 1, got 1.0");
        assert!(
            refused("run", "seed", u64::MAX.into()).starts_with("run.seed: expected a whole number from 0 to 9223")
        );
    }

    #[test]
    fn every_number_within_its_range_passes() {
        let config = serde_json::json!({"training": {"batch": "auto", "clip": 0, "lr": 0.0}, "run": {"seed": 0}});
        let config: Config = serde_json::from_value(config).expect("a config");
        assert_eq!(config.check_ranges().map_err(|error| error.to_string()), Ok(()));
    }
}
