//! What is trained: settings, data and the form of the network.

use super::pace::TrainingLength;
use crate::data::Batches;
use crate::experiment::memory;
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::Origin;
use crate::experiment::resume::ResumableRun;
use crate::experiment::settings::Settings;
use crate::experiment::setup::build_model;
use crate::experiment::tasks::load;
use crate::experiment::tasks::task::{Order, Task};
use crate::{Error, Model, Result};

/// Settings with the data that they name and the form of the network.
pub struct Experiment {
    /// The settings, with what the data left open filled in.
    pub settings: Settings,
    /// The data as the network reads them.
    pub task: Box<dyn Task>,
    /// The form of the network.
    pub model: Model,
    /// The model whose weights training starts from.
    pub start: Option<ModelFile>,
}

impl Experiment {
    /// Reads the data, and the model that training starts from, if the settings name one.
    ///
    /// # Errors
    /// Where a file cannot be read, or the settings do not fit the data.
    pub fn load(settings: Settings) -> Result<Self> {
        Self::load_resumed(settings, None)
    }

    /// The same for a run that is resumed. Its checkpoint replaces the weights that it started from, whose file may be gone by
    /// then.
    ///
    /// # Errors
    /// As of [`load`](Self::load).
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
    /// As of [`load`](Self::load).
    pub fn load_form(mut settings: Settings) -> Result<Self> {
        let start = settings.open_form()?;
        Self::with_start(settings, start)
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
    /// Where the split leaves nothing to train on.
    pub fn batches(&self) -> Result<Box<dyn Batches + '_>> {
        let Settings { batch, buckets, seed, .. } = self.settings;
        let batches = self.task.training(Order { rows: batch, buckets, seed })?;
        batches.ok_or_else(|| Error::Unsupported("the split leaves nothing to train on".into()))
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

    /// What the trained weights come from: the task's data, after those of the weights that training starts from.
    pub(super) fn origin(&self) -> Origin {
        let mut origin = self.task.origin().clone();
        let before = self.start.as_ref().and_then(|start| start.origin.as_ref());
        let before = before.map_or(&[][..], |origin| &origin.data);
        let before: Vec<_> = before.iter().filter(|it| !origin.data.contains(it)).cloned().collect();
        origin.data.splice(0..0, before);
        origin
    }
}
