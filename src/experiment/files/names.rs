//! The names of the files in a run's folder.

/// The settings of the run.
pub const CONFIG: &str = "config.toml";

/// The trained model.
pub const MODEL: &str = "model.safetensors";

/// The metrics, one line per step.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// The timings, one line per validation.
pub const TIMINGS: &str = "timings.jsonl";

/// The norms of ∂L/∂h_t, one line per recorded step.
pub(crate) const FLOW: &str = "flow.jsonl";
