//! A trained model over data: what `eval` and `predict` have in common.

use std::path::{Path, PathBuf};

use bptt::experiment::config::merge::over;
use bptt::experiment::config::{BatchSize, Config, Data, ModelConfig, RunConfig, SIZE, TaskConfig, check_files};
use bptt::experiment::device::network::Network;
use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::files::names::CONFIG;
use bptt::experiment::model::codec::Codec;
use bptt::experiment::model::model_file::ModelFile;
use bptt::experiment::settings::Settings;
use bptt::experiment::setup::trained_network;
use bptt::experiment::tasks::load;
use bptt::experiment::tasks::task::Task;
use bptt::format::path_text;
use bptt::{Error, Result};
use clap::Args;

use crate::cli::args::{Flags, ReadArgs, whole};
use crate::cli::config_file;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::note;

#[derive(Args)]
pub(crate) struct ApplyArgs {
    /// Folder of a run, or a model.safetensors
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub(crate) run: PathBuf,
    /// Sequences per batch [default: the run's, or 32]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "B")]
    pub(crate) batch: Option<usize>,
    #[command(flatten)]
    pub(crate) on: Flags<RunConfig>,
    #[command(flatten)]
    pub(crate) data: ReadArgs,
}

/// A model on its device, and data as it reads them.
pub(crate) struct Applied {
    pub(crate) settings: Settings,
    pub(crate) task: Box<dyn Task>,
    pub(crate) network: Network,
    /// What computes, in words.
    pub(crate) device: String,
    /// Sequences at once.
    pub(crate) rows: usize,
}

impl Applied {
    pub(crate) async fn open(args: &ApplyArgs) -> Result<Self, Failure> {
        let model = open_model(&args.run)?;
        let mut given = given(&args.run, &model, &args.on.0, args.data.data(model.codec.kind())?)?;
        given.training.batch = args.batch.map(BatchSize::Rows).or(given.training.batch);
        let mut settings = Settings::new(given)?;
        let task = load::load(&mut settings, Some(&model))?;
        load::check_fits(&model, task.as_ref())?;
        settings.set_form(&model.model)?;
        settings.check_batch(&model.model)?;
        let device = OpenDevice::open(&settings.device_options()).await?;
        let network = trained_network(&device, &model.model, &model.weights)?;
        let rows = settings.micro_batch.unwrap_or(settings.batch).min(settings.batch);
        Ok(Self { settings, task, network, device: device.describe(), rows })
    }
}

/// The model of a run's folder or of a file; of a run that is not finished, which weights these are is printed.
pub(crate) fn open_model(run: &Path) -> Result<ModelFile> {
    let model = ModelFile::open(run)?;
    model.note.iter().for_each(note);
    Ok(model)
}

/// The model on a device, to be measured and to predict.
pub(crate) async fn on_device(model: &ModelFile, settings: &Settings) -> Result<Network> {
    let device = OpenDevice::open(&settings.device_options()).await?;
    trained_network(&device, &model.model, &model.weights)
}

/// The settings of the run that a model is of, with what is set of data and device.
pub(crate) fn given(run: &Path, model: &ModelFile, on: &RunConfig, data: Option<Data>) -> Result<Config> {
    let kind = model.codec.kind();
    // A model of a synthetic task needs no run to say which.
    let data = match (&model.codec, data) {
        (Codec::Task { task }, Some(Data::Task(data))) => Some(Data::Task(TaskConfig { name: Some(*task), ..data })),
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
        return Err(Error::Unsupported(format!(
            "{run}: a model alone does not say which data: name them behind it, {kind}"
        )));
    }
    // The network is in the model's file; what its weights began with need no longer be there.
    let given = Config { model: ModelConfig::default(), ..over(config_file::read(&config)?, &flags)? };
    check_files(&config, &given, &flags)?;
    Ok(given.applied())
}
