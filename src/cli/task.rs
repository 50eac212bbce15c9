//! What a run is about, whatever its data.

use bptt::data::Examples;
use bptt::{Engine, Head, Result, Trainer};
use serde_json::{Map, Value};

use super::pictures::Baseline;

/// What a network is trained for: where its examples come from, and how well it does in the end.
pub(crate) trait Task {
    /// What the run's folder is called after.
    fn name(&self) -> String;
    /// The data in words, a line each.
    fn describe(&self) -> Vec<String>;
    /// I.
    fn input_size(&self) -> usize;
    fn head(&self) -> Head;
    fn training(&self) -> &dyn Examples;
    fn validation(&self) -> Option<&dyn Examples>;
    fn baseline(&self) -> Option<Baseline>;
    /// Measures the trained network, `rows` examples at a time.
    async fn results<E: Engine>(&self, trainer: &mut Trainer<E>, rows: usize) -> Result<Results>;
}

/// What came of a task.
pub(crate) struct Results {
    /// In words, a line each.
    pub(crate) lines: Vec<String>,
    /// For the summary in JSON.
    pub(crate) summary: Map<String, Value>,
    /// Files for the run's folder.
    pub(crate) files: Vec<(&'static str, String)>,
}
