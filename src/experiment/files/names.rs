//! The names of the files in a run's folder.

/// The settings of the run.
pub const CONFIG: &str = "config.toml";

/// The trained model.
pub const MODEL: &str = "model.safetensors";

/// The metrics of each step, a line each.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// The time that each step took, a line each.
pub const TIMINGS: &str = "timings.jsonl";

/// The norms of ∂L/∂h_t, a line for each step that was measured.
pub(crate) const FLOW: &str = "flow.jsonl";
