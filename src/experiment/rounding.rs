//! What other weights change in the results of a trained model.

use super::config::RunConfig;
use super::loaded_model::LoadedModel;
use super::tasks::task::MeasureOptions;
use crate::{Result, StateDict};

/// One of the main results of a model, with its own weights and with others.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedFigure {
    /// What is measured, and on which part of the data.
    pub name: String,
    /// With the model's own weights.
    pub own: String,
    /// With the others.
    pub other: String,
}

impl LoadedModel {
    /// Measures the model on the test part of its run's data, on the CPU, with its own weights and with `others`. Without a
    /// test part it is the part that the run measures. Results that do not change are left out, unless none does.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a model file without its run, which names no data; if the data
    /// cannot be read; [`Error::StateDict`](crate::Error::StateDict) if the weights are not those of the model.
    pub async fn compare_weights(&self, others: &StateDict) -> Result<Vec<ComparedFigure>> {
        let on = RunConfig { device: Some("cpu".into()), ..RunConfig::default() };
        let mut applied = self.apply(self.config(&on, None)?).await?;
        let measure = MeasureOptions { rows: applied.rows, seed: applied.settings.seed, whole: true, json: false };
        let own = applied.task.results(&mut applied.network, measure).await?.key_figures;
        applied.network.load_state_dict(others)?;
        let other = applied.task.results(&mut applied.network, measure).await?.key_figures;
        let pairs = own.into_iter().zip(other);
        let figures = pairs.map(|((name, own), (_, other))| ComparedFigure { name, own, other });
        let figures: Vec<ComparedFigure> = figures.collect();
        let is_of_test = |figure: &ComparedFigure| figure.name.contains("test");
        let has_test = figures.iter().any(is_of_test);
        let figures: Vec<ComparedFigure> =
            figures.into_iter().filter(|figure| !has_test || is_of_test(figure)).collect();
        // Baselines do not change. Without any change, the first figure says so.
        let changed: Vec<ComparedFigure> =
            figures.iter().filter(|figure| figure.own != figure.other).cloned().collect();
        Ok(if changed.is_empty() { figures.into_iter().take(1).collect() } else { changed })
    }
}
