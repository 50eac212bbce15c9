//! The settings of a run: flags over a configuration file over defaults, checked for consistency.

use std::path::PathBuf;

use super::config::agree::unsupported;
use super::config::{
    BatchSize, CellName, Config, Data, DataKind, ModelConfig, OnNan, RunConfig, ScheduleConfig, SeriesConfig,
    TaskConfig, TaskName,
};
use super::defaults::{
    cell_settings, check_dropout, check_paths, check_starting_network, make_paths_absolute, optimizer, run_options,
    series_split,
};
use super::device::open::{DeviceOptions, Place};
use super::model::model_file::ModelFile;
use crate::data::CopyTask;
use crate::train::{Decay, RunOptions};
use crate::{
    Activation, Direction, Embedding, Head, Initialisation, Model, Optimizer, ParameterGroup, Precision, Recurrent,
    RecurrentKernel, Result,
};

/// The largest batch, in numbers: 16 GiB of f32. A larger one is computed in micro-batches, with the same result.
const BATCH: f64 = (1u64 << 32) as f64;

/// `on-nan = "skip"`: the maximum number of consecutive skipped steps.
const SKIPS: u32 = 9;

/// All settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration with every independent default filled in: the text of `config.toml`.
    given: Config,
    pub(crate) kind: DataKind,
    /// The random seed.
    pub seed: u64,
    /// The device by name.
    pub device: String,
    /// Number of CPU threads; `None`: all cores.
    pub threads: Option<usize>,
    /// How a GPU runs the recurrent steps.
    pub kernel: RecurrentKernel,
    /// How a GPU stores z, h and copies of W_hh.
    pub precision: Precision,
    /// Whether to measure the time of each kernel or phase.
    pub profile: bool,
    /// The place of this process among others of its machine; `None`: it has the machine to itself.
    pub(crate) place: Option<Place>,
    /// The recurrent cell.
    pub cell: CellName,
    /// Hidden units H.
    pub hidden: usize,
    /// The size that h is projected to.
    proj_size: Option<usize>,
    pub(crate) layers: usize,
    /// The direction in which the network reads.
    pub direction: Direction,
    /// The embedding size.
    embedding: Option<usize>,
    tied: bool,
    dropout: f64,
    recurrent_dropout: f64,
    activation: Option<Activation>,
    initialisation: Initialisation,
    /// The run or file of the initial weights.
    pub init_from: Option<PathBuf>,
    /// 1 until it is known: see [`fits_batch`](Self::fits_batch).
    pub batch: usize,
    /// Maximum number of sequences on the device at once; `None`: the whole batch.
    pub micro_batch: Option<usize>,
    /// Memory limit for training, in bytes.
    pub memory: Option<u64>,
    /// Whether activations are recomputed in the backward pass.
    pub recompute: bool,
    /// Number of groups of sequences of similar length.
    pub buckets: usize,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Tensors with settings of their own.
    pub parameter_groups: Vec<ParameterGroup>,
    /// Decay of a moving average of the weights.
    pub ema_decay: Option<f64>,
    /// Number of epochs, if the length is set in epochs.
    pub epochs: Option<u64>,
    /// Steps between checkpoints, and the number kept.
    pub checkpoints: (Option<u64>, usize),
    /// Whether event files for TensorBoard are written.
    pub tensorboard: bool,
    /// What to do when a step is not finite.
    pub on_nan: OnNan,
    /// The length of the run, its schedule and its validations.
    pub run: RunOptions,
    /// Steps between records of ‖∂L/∂h_t‖.
    pub flow_every: Option<u64>,
}

impl Settings {
    /// Fills in every default that does not depend on the data.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for settings that do not go together, by their flags;
    /// [`Error::Value`](crate::Error::Value) for a number out of its range;
    /// [`Error::Io`](crate::Error::Io) where a file that they name is not there.
    pub fn new(mut given: Config) -> Result<Self> {
        check_paths(&mut given)?;
        given.check_ranges()?;
        if !given.backtest.is_empty() {
            return Err(unsupported("[backtest] has the folds of `bptt backtest`: a single run has none"));
        }
        if !given.sweep.is_empty() {
            return Err(unsupported("[sweep] has the trials of `bptt sweep`: a single run has none"));
        }
        let applies = given.applies;
        let data = given.data.get_or_insert_with(Data::sunspots);
        let kind = data.kind();
        if let Data::Series(series) = data {
            series_split(series, applies)?;
        }
        let ((embedding, tied), predict, buckets) = (data.embedding(), data.predict(), data.buckets());
        let RunConfig { device, threads, kernel, precision, profile, seed } = &mut given.run;
        let (seed, device, threads) =
            (*seed.get_or_insert(1), device.get_or_insert_with(|| "auto".into()).clone(), *threads);
        let (kernel, profile) = (*kernel.get_or_insert_default(), profile.unwrap_or(false));
        let precision = *precision.get_or_insert_default();
        make_paths_absolute(&mut given)?;
        let init_from = given.model.init_from.clone();
        if init_from.is_some() {
            check_starting_network(&given.model, embedding.is_some() || tied || predict.is_some())?;
        }
        let (activation, initialisation) = match init_from {
            Some(_) => (None, Initialisation::default()),
            None => cell_settings(&mut given.model, kind, (embedding, tied))?,
        };
        let model = &mut given.model;
        let training = &mut given.training;
        let on_nan = *training.on_nan.get_or_insert_default();
        let run = run_options(training, kind, on_nan)?;
        Ok(Self {
            kind,
            seed,
            device,
            threads,
            kernel,
            precision,
            profile,
            place: None,
            cell: model.cell.unwrap_or(CellName::Lstm),
            hidden: model.hidden.unwrap_or_default(),
            proj_size: model.proj_size,
            layers: model.layers.unwrap_or(1),
            direction: model.direction.unwrap_or_default(),
            embedding: embedding.or(model.proj_size.or(model.hidden).filter(|_| tied)),
            tied,
            dropout: model.dropout.unwrap_or_default(),
            recurrent_dropout: model.recurrent_dropout.unwrap_or_default(),
            activation,
            initialisation,
            init_from,
            batch: match *training.batch.get_or_insert(BatchSize::Rows(32)) {
                BatchSize::Rows(rows) => rows,
                BatchSize::Fitting(_) if training.micro_batch.is_some() => {
                    return Err(unsupported("--batch auto excludes training.micro-batch: it takes what fits at once"));
                }
                BatchSize::Fitting(_) => 1,
            },
            micro_batch: training.micro_batch,
            memory: training.memory.map(|memory| memory.0),
            recompute: *training.recompute.get_or_insert(false),
            buckets,
            optimizer: optimizer(training, kind)?,
            parameter_groups: training.groups.iter().flatten().map(|group| group.0.clone()).collect(),
            ema_decay: training.ema_decay,
            epochs: training.epochs,
            checkpoints: (training.checkpoint_every, *training.checkpoints.get_or_insert(2)),
            tensorboard: training.tensorboard.unwrap_or(false),
            on_nan,
            flow_every: training.flow_every,
            run,
            given,
        })
    }

    /// The data settings, for the tasks to fill in.
    pub(crate) fn data(&mut self) -> &mut Data {
        self.given.data.get_or_insert_with(Data::sunspots)
    }

    /// The series settings; `None` for other data.
    pub fn series(&mut self) -> Option<&mut SeriesConfig> {
        match self.data() {
            Data::Series(series) => Some(series),
            _ => None,
        }
    }

    /// Whether a trained model is only evaluated.
    pub(crate) fn applies(&self) -> bool {
        self.given.applies
    }

    /// The largest file that is held in memory while it is read, and its size. Unreadable files are reported when they
    /// are read.
    pub fn largest_file(&mut self) -> Option<(PathBuf, u64)> {
        // A text is read in ranges.
        if matches!(self.kind, DataKind::Text | DataKind::Classes) {
            return None;
        }
        let files = self.files().into_iter().filter(|(key, _)| *key != "init-from");
        let sizes = files.filter_map(|(_, path)| {
            let metadata = path.metadata().ok().filter(|metadata| metadata.is_file())?;
            Some((path, metadata.len()))
        });
        sizes.max_by_key(|(_, length)| *length)
    }

    /// The files and folders that are read, by their keys.
    pub(crate) fn files(&mut self) -> Vec<(&'static str, PathBuf)> {
        self.given.files().into_iter().filter_map(|(key, file)| Some((key, file.clone()?))).collect()
    }

    /// The model of the initial weights; its digest is stored in the settings.
    ///
    /// # Errors
    /// See [`ModelFile::open`]; also if the settings are for another file.
    pub fn open_start(&mut self) -> Result<Option<ModelFile>> {
        let Some(path) = &self.init_from else { return Ok(None) };
        ModelFile::open_checked(path, &mut self.given.model.init_sha256).map(Some)
    }

    /// The same without the weights.
    ///
    /// # Errors
    /// See `ModelFile::open_form`; also if the settings are for another file.
    pub fn open_form(&mut self) -> Result<Option<ModelFile>> {
        let Some(path) = &self.init_from else { return Ok(None) };
        ModelFile::open_form(path, &mut self.given.model.init_sha256).map(Some)
    }

    /// Takes the network's settings from an existing model, and its dropout unless another is set.
    ///
    /// # Errors
    /// If that dropout does not fit the model.
    pub fn set_form(&mut self, model: &Model) -> Result<()> {
        let recurrent = &model.recurrent;
        self.embedding = model.embedding.as_ref().map(|_| recurrent.input_size);
        self.tied = model.embedding.as_ref().is_some_and(|embedding| embedding.tied);
        (self.cell, self.activation) = CellName::of(recurrent.cell)?;
        (self.hidden, self.proj_size) = (recurrent.hidden_size, recurrent.proj_size);
        (self.layers, self.direction) = (recurrent.layers, recurrent.direction);
        let ModelConfig { dropout, recurrent_dropout, .. } = self.given.model;
        self.dropout = dropout.unwrap_or(recurrent.dropout);
        self.recurrent_dropout = recurrent_dropout.unwrap_or(recurrent.recurrent_dropout);
        check_dropout(self.dropout, self.layers)
    }

    /// Fills in what depends on the length of an epoch, in steps. It is not stored in the configuration: another batch
    /// size gives another epoch length.
    pub fn set_epoch(&mut self, steps: u64) {
        // Occasional validations show the progress within a long epoch.
        let every = if self.kind == DataKind::Text { steps.min(250) } else { steps };
        self.run.validate_every = Some(self.given.training.val_every.unwrap_or(every));
        if let (
            Some(ScheduleConfig::Step { every: None, .. } | ScheduleConfig::Exponential { every: None, .. }),
            Decay::Step { every, .. } | Decay::Exponential { every, .. },
        ) = (self.given.training.schedule, &mut self.run.schedule.decay)
        {
            *every = steps;
        }
    }

    /// Whether to use the largest batch that fits.
    pub fn fits_batch(&self) -> bool {
        matches!(self.given.training.batch, Some(BatchSize::Fitting(_)))
    }

    /// Number of sequences on the device at once.
    pub fn rows_at_once(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch).min(self.batch)
    }

    /// Sets the batch size and the number of sequences on the device at once, so that a repeated run does the same.
    pub fn set_batch(&mut self, batch: usize, micro_batch: usize) {
        (self.batch, self.micro_batch) = (batch, Some(micro_batch));
        let training = &mut self.given.training;
        (training.batch, training.micro_batch) = (Some(BatchSize::Rows(batch)), Some(micro_batch));
    }

    /// Sets the device by its identity.
    pub fn set_device(&mut self, name: &str) {
        name.clone_into(&mut self.device);
        self.given.run.device = Some(name.into());
    }

    /// Whether there is an embedding.
    pub fn has_embedding(&self) -> bool {
        self.embedding.is_some()
    }

    /// A network for data with `inputs` numbers per step, or kinds of tokens.
    pub fn network(&self, inputs: usize, head: Head) -> Model {
        let cell = self.cell.with_activation(self.activation);
        let recurrent = Recurrent::new(cell, self.embedding.unwrap_or(inputs), self.hidden)
            .proj_size(self.proj_size)
            .layers(self.layers)
            .direction(self.direction)
            .dropout(self.dropout)
            .recurrent_dropout(self.recurrent_dropout);
        let embedding = self.embedding.map(|_| Embedding { vocabulary: inputs, tied: self.tied });
        Model { embedding, ..Model::new(recurrent, head) }
    }

    /// Refuses a batch that no memory has room for, before any is asked for. Only where the settings alone determine
    /// its size: elsewhere the data bound it.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) names the flags and the numbers that it would take.
    pub fn check_batch(&self, model: &Model) -> Result<()> {
        let (steps, flag) = match &self.given.data {
            Some(Data::Text(text)) => (text.window.unwrap_or_default(), "window"),
            Some(Data::Task(TaskConfig { name: Some(TaskName::Copy), length, .. })) => {
                (CopyTask::new(length.unwrap_or_default()).length(), "length")
            }
            Some(Data::Task(task)) => (task.length.unwrap_or_default(), "length"),
            _ => return Ok(()),
        };
        // Floating point does not overflow.
        let r = &model.recurrent;
        let units = (r.layers * r.directions()) as f64 * r.hidden_size as f64;
        let outputs = model.head.as_ref().map_or(0, |head| head.outputs);
        // Per step and row: x on the host; gates, states, logits, and an embedding with its gradient on the device.
        let rows = self.rows_at_once() as f64;
        let vector = model.embedding.as_ref().map_or(0, |_| r.input_size);
        // Limited or recomputed passes are planned once the device is open.
        let device = if self.recompute || self.memory.is_some() {
            0.0
        } else {
            units * (r.cell.input_gates() + 1) as f64 + (outputs + 2 * vector) as f64
        };
        let numbers = steps as f64 * (self.batch as f64 * 2.0 + rows * device);
        if numbers > BATCH {
            Err(unsupported(format!(
                "--batch {} of --{flag} {steps} takes {numbers:.1e} numbers, over {BATCH:.1e}: make either smaller, or \
                 do it in parts with --memory or training.micro-batch",
                self.batch
            )))
        } else {
            Ok(())
        }
    }

    /// Maximum number of consecutive skipped updates; one more ends the run. At half precision gradients beyond the range of
    /// halves lower the loss scale.
    pub fn max_skipped_updates(&self) -> u32 {
        if self.on_nan == OnNan::Skip || self.precision == Precision::F16 { SKIPS } else { 0 }
    }

    /// The options of the device.
    pub fn device_options(&self) -> DeviceOptions {
        let Self { device, threads, kernel, precision, profile, place, .. } = self;
        let (threads, kernel, precision, profile) = (*threads, *kernel, *precision, *profile);
        DeviceOptions { name: device.clone(), threads, kernel, precision, profile, place: *place }
    }

    /// The initialisation of the weights.
    pub fn initialisation(&self) -> Initialisation {
        self.initialisation
    }

    /// All settings so far.
    pub fn config(&self) -> &Config {
        &self.given
    }
}
