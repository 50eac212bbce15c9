//! An experiment: settings, data and the form of the network.

use serde_json::{Value, json};

use super::pace::TrainingLength;
use crate::data::Batches;
use crate::experiment::config::{Config, ModelConfig};
use crate::experiment::files::digest::Digest;
use crate::experiment::memory;
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::Origin;
use crate::experiment::resume::ResumableRun;
use crate::experiment::settings::Settings;
use crate::experiment::setup::build_model;
use crate::experiment::tasks::load;
use crate::experiment::tasks::task::{Order, Task};
use crate::train::{Decay, KeepWeights};
use crate::{Error, Model, Result};

/// Settings with their data and the form of the network.
pub struct Experiment {
    /// The settings, with defaults from the data filled in.
    pub settings: Settings,
    /// The data as the network reads them.
    pub task: Box<dyn Task>,
    /// The form of the network.
    pub model: Model,
    /// The model of the initial weights.
    pub start: Option<ModelFile>,
}

impl Experiment {
    /// Reads the data, and the model of the initial weights if there is one.
    ///
    /// # Errors
    /// If a file cannot be read, or the settings do not fit the data.
    pub fn load(settings: Settings) -> Result<Self> {
        Self::load_resumed(settings, None)
    }

    /// The same for a resumed run. Its checkpoint replaces the initial weights, whose file may no longer exist.
    ///
    /// # Errors
    /// See [`load`](Self::load).
    pub fn load_resumed(mut settings: Settings, resumed: Option<&ResumableRun>) -> Result<Self> {
        let gone = settings.init_from.clone().filter(|path| path.metadata().is_err());
        let start = match gone.zip(resumed) {
            Some((path, run)) => run.model(&path)?,
            None => None,
        };
        match start {
            None => {
                let start = settings.open_start()?;
                Self::with_start(settings, start)
            }
            start => Self::with_start(settings, start),
        }
    }

    /// The same without weights, for a plan.
    ///
    /// # Errors
    /// See [`load`](Self::load).
    pub fn load_form(mut settings: Settings) -> Result<Self> {
        let start = settings.open_form()?;
        Self::with_start(settings, start)
    }

    /// The same data, which are not read again, for a network of other settings.
    ///
    /// # Errors
    /// Those of [`Settings::new`]; [`Error::Unsupported`] where these settings do not fit the data, and for a network
    /// that starts from another's weights: that one determines how the data are read.
    pub fn with_network(self, network: ModelConfig) -> Result<Self> {
        if network.init_from.is_some() {
            let reason = "expected a network with initial weights of its own, got --init-from";
            return Err(Error::Unsupported(reason.into()));
        }
        let Self { settings, task, .. } = self;
        let mut settings = Settings::new(Config { model: network, ..settings.config().clone() })?;
        let model = build_model(&mut settings, task.as_ref(), None)?;
        Ok(Self { settings, task, model, start: None })
    }

    fn with_start(mut settings: Settings, start: Option<ModelFile>) -> Result<Self> {
        memory::check_files(&mut settings)?;
        let task = load::load(&mut settings, start.as_ref())?;
        let model = build_model(&mut settings, task.as_ref(), start.as_ref())?;
        Ok(Self { settings, task, model, start })
    }

    /// The training batches.
    ///
    /// # Errors
    /// If the split leaves no training data.
    pub fn batches(&self) -> Result<Box<dyn Batches + '_>> {
        let Settings { batch, buckets, seed, .. } = self.settings;
        let batches = self.task.training(Order { rows: batch, buckets, seed })?;
        batches.ok_or_else(|| Error::Unsupported("the split leaves no training data".into()))
    }

    /// The batches to validate with, of so many rows; `None` where the split leaves no validation data.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there are none and settings go by the validation loss, which it names.
    pub fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        let run = &self.settings.run;
        let validation = self.task.validation(rows)?;
        let by_it = [
            ("--patience", run.patience.is_some()),
            ("--keep best", run.keep == KeepWeights::Best),
            ("--schedule plateau", matches!(run.schedule.decay, Decay::Plateau { .. })),
        ];
        let by_it: Vec<&str> = by_it.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
        if validation.is_none() && !by_it.is_empty() {
            let (flags, need) = (by_it.join(" and "), if by_it.len() == 1 { "needs" } else { "need" });
            let reason = format!("{flags} {need} a validation loss, and the split leaves no validation data");
            return Err(Error::Unsupported(reason));
        }
        Ok(validation)
    }

    /// How long its training is to be, in epochs of so many batches.
    pub fn length(&self, batches: u64) -> TrainingLength {
        let Settings { run, epochs, .. } = &self.settings;
        TrainingLength {
            steps: run.steps(batches),
            epochs: *epochs,
            timed_every: run.validate_every.unwrap_or(1),
            unit: self.task.unit(),
        }
    }

    /// What every rank of a run must have in common, beside the program.
    pub(super) fn identity(&self, checkpoint: Option<u64>) -> Result<Value> {
        let mut config = self.settings.config().clone();
        // Each machine may have its own devices and paths.
        (config.run.device, config.run.threads) = (None, None);
        (config.training.memory, config.training.micro_batch) = (None, None);
        config.files().into_iter().for_each(|(_, file)| *file = None);
        let origin = serde_json::to_string(&self.origin()).map_err(|error| Error::Failed(error.to_string()))?;
        let mut data = Digest::new();
        data.update(origin.as_bytes());
        Ok(json!({"settings": config.to_map()?, "data": data.text(), "checkpoint": checkpoint}))
    }

    /// The origin of the trained weights: the task's data, after those of the initial weights.
    pub(super) fn origin(&self) -> Origin {
        let mut origin = self.task.origin().clone();
        let before = self.start.as_ref().and_then(|start| start.origin.as_ref());
        let before = before.map_or(&[][..], |origin| &origin.data);
        let before: Vec<_> = before.iter().filter(|it| !origin.data.contains(it)).cloned().collect();
        origin.data.splice(0..0, before);
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::config::{CellName, Data, SeriesConfig};

    #[test]
    fn another_network_for_the_same_data_is_that_of_its_settings_and_reads_no_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        let rows: String = (0..80).map(|row| format!("{row},{}\n", row * row % 17)).collect();
        std::fs::write(&file, format!("t,x\n{rows}")).unwrap();
        let gru = ModelConfig { cell: Some(CellName::Gru), hidden: Some(3), ..ModelConfig::default() };
        let series = SeriesConfig { file: Some(file.clone()), window: Some(4), ..SeriesConfig::default() };
        let lstm = Config { data: Some(Data::Series(series)), ..Config::default() };
        let load = |given| Experiment::load(Settings::new(given).unwrap()).unwrap();
        let (of_lstm, of_gru) = (load(lstm.clone()), load(Config { model: gru.clone(), ..lstm }));
        std::fs::write(&file, "other text").unwrap();
        let other = of_lstm.with_network(gru.clone()).unwrap();
        assert_eq!((&other.model, other.settings.config()), (&of_gru.model, of_gru.settings.config()));
        assert_eq!(other.batches().unwrap().batch(0).unwrap(), of_gru.batches().unwrap().batch(0).unwrap());
        let from_another = ModelConfig { init_from: Some(file), ..ModelConfig::default() };
        let error = other.with_network(from_another).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.ends_with("got --init-from")));
    }
}
