//! A trained model, applied to its own data or others.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::config::merge::merge_flags;
use super::config::{Config, Data, ModelConfig, RunConfig, TaskConfig, check_files};
use super::device::network::Network;
use super::device::open::{DeviceOptions, OpenDevice};
use super::files::names::CONFIG;
use super::model::codec::Codec;
use super::model::model_file::ModelFile;
use super::settings::Settings;
use super::setup::trained_network;
use super::tasks::task::{MeasureOptions, Results, Task};
use super::tasks::{load, task};
use crate::format::path_text;
use crate::{Error, Result};

/// A trained model: its weights and what was fitted to its data.
///
/// ```no_run
/// use bptt::experiment::config::RunConfig;
/// use bptt::experiment::loaded_model::LoadedModel;
///
/// # bptt::block_on(async {
/// let model = LoadedModel::open("runs/sunspots-1")?;
/// let mut applied = model.apply(model.config(&RunConfig::default(), None)?).await?;
/// let results = applied.evaluate(false).await?;
/// results.lines.iter().for_each(|line| println!("{line}"));
/// # Ok::<(), bptt::Error>(()) }).unwrap();
/// ```
pub struct LoadedModel {
    /// The model's file.
    pub file: ModelFile,
    pub(super) run: PathBuf,
    read_config: fn(&Path) -> Result<Config>,
}

impl LoadedModel {
    /// Reads a model: `run` is a run's folder or a `model.safetensors`. For an unfinished run, the weights are those of
    /// its latest checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is not a model of this version.
    pub fn open(run: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(run, Config::read)
    }

    /// Like [`open`](Self::open), with another parser for the run's configuration.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn open_with(run: impl AsRef<Path>, read_config: fn(&Path) -> Result<Config>) -> Result<Self> {
        let run = run.as_ref();
        Ok(Self { file: ModelFile::open(run)?, run: run.into(), read_config })
    }

    /// Opens the device, and reads the data that the configuration names as the model reads them.
    ///
    /// # Errors
    /// If the data cannot be read or are of another kind; errors of the device.
    pub async fn apply(&self, config: Config) -> Result<AppliedModel> {
        let mut settings = Settings::new(config)?;
        let task = load::load(&mut settings, Some(&self.file))?;
        load::check_fits(&self.file, task.as_ref())?;
        settings.set_form(&self.file.model)?;
        settings.check_batch(&self.file.model)?;
        let device = OpenDevice::open_for_inference(&settings.device_options()).await?;
        let network = trained_network(&device, &self.file.model, &self.file.weights)?;
        let rows = settings.rows_at_once();
        Ok(AppliedModel { settings, task, network, device, rows })
    }

    /// A network of the model on a device.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn network(&self, device: &DeviceOptions) -> Result<Network> {
        let device = OpenDevice::open_for_inference(device).await?;
        trained_network(&device, &self.file.model, &self.file.weights)
    }

    /// The configuration of the model's run, with other data or another device if set. For a model file without its
    /// run, the data must be set.
    ///
    /// # Errors
    /// If the data are unknown or the run's configuration cannot be read.
    pub fn config(&self, on: &RunConfig, data: Option<Data>) -> Result<Config> {
        let (run, model) = (&self.run, &self.file);
        let kind = model.codec.kind();
        // A synthetic task needs no run.
        let data = match (&model.codec, data) {
            (Codec::Task { task }, Some(Data::Task(data))) => {
                Some(Data::Task(TaskConfig { name: Some(*task), ..data }))
            }
            (Codec::Task { task }, None) if !run.join(CONFIG).is_file() => {
                Some(Data::Task(TaskConfig { name: Some(*task), ..TaskConfig::default() }))
            }
            (_, data) => data,
        };
        let names_data = data.as_ref().is_some_and(Data::is_named);
        let flags = Config { run: on.clone(), data, ..Config::default() };
        if names_data {
            return Ok(flags.applied());
        }
        let config = run.join(CONFIG);
        if !config.is_file() {
            let (run, kind) = (path_text(run), kind);
            return Err(Error::Unsupported(format!("{run}: a model file does not name its data: add {kind}")));
        }
        // The network is in the model file; the initial weights need not exist any more.
        let given = Config { model: ModelConfig::default(), ..merge_flags((self.read_config)(&config)?, &flags)? };
        check_files(&config, &given, &flags)?;
        Ok(given.applied())
    }
}

/// A model on its device, with data as it reads them.
pub struct AppliedModel {
    /// The settings, with defaults from the data filled in.
    pub settings: Settings,
    /// The data.
    pub task: Box<dyn Task>,
    /// The network.
    pub network: Network,
    /// The device.
    pub device: OpenDevice,
    /// Maximum number of sequences on the device at once.
    pub rows: usize,
}

impl AppliedModel {
    /// Evaluates the model on data that it was not trained on, and compares it with baselines. `json`: whether to build
    /// the summary.
    ///
    /// # Errors
    /// Those of the data and the device.
    pub async fn evaluate(&mut self, json: bool) -> Result<Results> {
        let measure = MeasureOptions { rows: self.rows, seed: self.settings.seed, whole: true, json };
        task::results(self.task.as_ref(), &mut self.network, measure).await
    }

    /// Writes the predictions of every example as comma-separated text.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for texts and synthetic tasks; those of the data, the device and of writing.
    pub async fn predict(&mut self, to: &mut (dyn Write + Send)) -> Result<()> {
        self.task.predictions(&mut self.network, self.rows, to).await
    }
}
