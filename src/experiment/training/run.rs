//! A training run: its device, its network, its folder, and the steps.

use std::path::Path;

use super::loaded::Experiment;
use super::missing;
use super::missing::Missing;
use super::opened::OpenRun;
use super::pace::{Pace, ResumedProgress, TrainingLength};
use super::recent_loss::RecentLoss;
use super::recorder::RunRecorder;
use crate::data::Batches;
use crate::experiment::config::OnNan;
use crate::experiment::device::network::Network;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::files::arithmetic::Arithmetic;
use crate::experiment::files::checkpoints::Checkpoints;
use crate::experiment::files::flow_log::FlowLog;
use crate::experiment::files::folder::{Folder, io_error};
use crate::experiment::files::history::Known;
use crate::experiment::files::tensorboard::Tensorboard;
use crate::experiment::files::{checkpoints, names};
use crate::experiment::measure::loss;
use crate::experiment::memory::MemoryPlan;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::model_file;
use crate::experiment::ranks::{RunRanks, StepBytes};
use crate::experiment::resume::ResumableRun;
use crate::experiment::settings::Settings;
use crate::experiment::setup::trained_network;
use crate::experiment::tasks::task;
use crate::experiment::tasks::task::{MeasureOptions, Results};
use crate::format::{path_text, shell_quoted, short};
use crate::plot::Drawing;
use crate::train::{KeepWeights, Observer, Outcome};
use crate::{Error, Result};

/// A run that is ready to train.
pub struct TrainingRun<'a> {
    pub(super) experiment: &'a Experiment,
    /// The device.
    pub device: OpenDevice,
    /// Its memory plan.
    pub memory: MemoryPlan,
    /// The rows of a measured batch.
    rows: usize,
    /// Its folder.
    pub folder: Folder,
    /// The checkpoint that it resumes from, or the end of the run that it extends.
    pub(super) resumed: Option<ResumableRun>,
    pub(super) training: Box<dyn Batches + 'a>,
    validation: Option<Box<dyn Batches + 'a>>,
    /// The model's description for its file.
    description: String,
    /// The ranks that it is shared out to, and these in words.
    pub(super) ranks: Option<RunRanks>,
    pub(super) shared: Vec<String>,
    /// What the bits of its steps depend on.
    pub(super) arithmetic: Arithmetic,
}

/// The finished steps of a run.
pub struct TrainedSteps {
    /// How training ended.
    pub outcome: Outcome,
    /// The training loss of the last steps.
    pub loss: RecentLoss,
    /// The pace.
    pub pace: Pace,
    /// Steps whose updates were skipped.
    pub skipped: u64,
    /// The bytes that ranks sent in a step that exchanges gradients alone, counted. `None` without other ranks.
    pub sent: Option<StepBytes>,
    /// The pictures of the steps, by file name.
    pub figures: Vec<(&'static str, Drawing)>,
}

impl<'a> TrainingRun<'a> {
    /// Opens the device, plans the memory, and creates the network and the run's folder: `out`, or the next unused
    /// `runs/NAME-N`. Open settings are filled in. With `ranks`, it is rank 0's part of a run that they share: the others
    /// [follow](super::FollowedRun).
    ///
    /// # Errors
    /// If the device has not enough memory, the split leaves no training data, or the folder exists; if another rank has
    /// other settings or data, or an error.
    pub async fn open(
        experiment: &'a mut Experiment,
        resumed: Option<ResumableRun>,
        out: Option<&Path>,
        ranks: Option<&RunRanks>,
    ) -> Result<(Self, Network)> {
        let step = resumed.as_ref().and_then(|run| run.saved.as_ref()).map(|(saved, _)| saved.step);
        let own = |experiment: &Experiment, per_epoch| {
            let codec = experiment.task.codec();
            let description = model_file::description(&experiment.model, &codec, &experiment.origin())?;
            Ok((folder(experiment, resumed, out, &description, per_epoch)?, description))
        };
        let OpenRun { experiment, device, memory, rows, arithmetic, network, training, validation, shared, own } =
            OpenRun::open(experiment, step, ranks, own).await?;
        let ((folder, resumed), description) = own;
        let ranks = ranks.cloned();
        let run = Self {
            experiment,
            device,
            memory,
            rows,
            folder,
            resumed,
            training,
            validation,
            description,
            ranks,
            shared,
            arithmetic,
        };
        Ok((run, network))
    }

    /// How a GPU runs the recurrent steps, in words.
    pub(super) fn kernel(&self) -> Option<String> {
        self.device.describe_kernel(&self.experiment.model, self.memory.rows)
    }

    /// Batches of an epoch.
    pub(super) fn batches_per_epoch(&self) -> u64 {
        self.training.per_epoch()
    }

    /// The length of the run.
    pub fn length(&self) -> TrainingLength {
        self.experiment.length(self.batches_per_epoch())
    }

    /// Trains, and stores the weights, logs, checkpoints and pictures of the steps. `display` makes the observer that
    /// receives every step and may stop the run, from its length and earlier totals; `|_, _| Ok(())` shows nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] if a step is not finite; otherwise errors of the data, the device, the folder and the display.
    pub async fn train<D: Observer>(
        &self,
        network: &mut Network,
        display: impl FnOnce(&TrainingLength, &ResumedProgress) -> Result<D>,
        missing: &mut Missing,
    ) -> Result<TrainedSteps> {
        let Settings { run, flow_every, tensorboard, checkpoints, .. } = &self.experiment.settings;
        let length = self.length();
        let saved = self.resumed.as_ref().and_then(|run| run.saved.as_ref());
        let position = saved.map(|(_, position)| position);
        let recurrent = &self.experiment.model.recurrent;
        let flow = flow_every.map(|every| FlowLog::new(&self.folder, every, recurrent, position)).transpose()?;
        let arithmetic = self.arithmetic.clone();
        let checkpoints = Checkpoints::new(&self.folder, arithmetic, &self.description, *checkpoints)?;
        let after = saved.map(|(saved, _)| saved.step);
        let tensorboard = tensorboard.then(|| Tensorboard::new(&self.folder, after)).transpose()?;
        let mut recorder = RunRecorder::new(&self.folder, length, (flow, checkpoints, tensorboard), position, display)?;
        let checkpoint = saved.map(|(saved, _)| saved.read()).transpose()?;
        let (training, validation) = (self.training.as_ref(), self.validation.as_deref());
        let outcome = network.run(checkpoint, training, validation, run, &mut recorder).await;
        let pace = recorder.pace();
        let (history, flow) = recorder.finish()?;
        let Known { skipped, last, .. } = *history.known();
        let best = outcome.as_ref().ok().and_then(|outcome| outcome.best);
        let mut figures = Vec::new();
        // After an error of a step too: the network then has the last good weights.
        let kept = self.keep(network, last.map_or(0, |last| last.step), missing).await;
        let drawn = self.figures(&history, best, self.weight_of_last_step());
        figures.extend(missing.keep("the pictures of the steps", drawn).unwrap_or_default());
        let flow = flow.and_then(|flow| missing.keep("flow.svg", flow.finish(&self.name())).flatten());
        figures.extend(flow.map(|flow| ("flow.svg", flow)));
        self.write_figures(&figures, missing);
        // The error of the steps may also be why the weights cannot be stored, and is more specific.
        let all_have_it = matches!(outcome, Err(Error::NonFinite { .. }));
        let outcome = outcome.map_err(|error| self.stopped(error, history.known(), kept.is_ok()));
        // The others wait until the weights are kept.
        let outcome = RunRanks::all(self.ranks.as_ref().filter(|_| all_have_it), outcome)?;
        kept?;
        let sent = self.ranks.as_ref().map(|ranks| ranks.sent(outcome.bytes_sent_per_step)).transpose();
        let sent = missing.keep("the bytes that ranks sent", sent).flatten().flatten();
        let loss = missing.keep("the mean of the last losses", RecentLoss::of(&history, length.timed_every));
        let loss = loss.unwrap_or(RecentLoss { mean: outcome.last.loss, steps: 1 });
        Ok(TrainedSteps { outcome, loss, pace, skipped, sent, figures })
    }

    /// Measures the trained network on validation and test data; `None` if that failed. `json`: whether to build the
    /// summary.
    pub async fn measure(&self, network: Network, json: bool, missing: &mut Missing) -> Option<Results> {
        let measures = missing::measures(&self.folder, missing);
        // The others measure their share of it.
        let measures = match &self.ranks {
            Some(ranks) => missing.keep("results", ranks.decided(measures)).unwrap_or(false),
            None => measures,
        };
        if !measures {
            return None;
        }
        missing::measure(&self.folder, missing, self.measured(network, json)).await
    }

    /// The same as a part of more work, which stops where the machine, its disk or its device fails, or its memory for the first
    /// time: the run is then measured again when it is resumed.
    ///
    /// # Errors
    /// What may pass.
    pub(crate) async fn measure_or_fail(
        &self,
        network: Network,
        json: bool,
        missing: &mut Missing,
    ) -> Result<Option<Results>> {
        if !missing::measures(&self.folder, missing) {
            return Ok(None);
        }
        let measured = async {
            let mut results = self.measured(network, json).await?;
            match results.missing.iter().position(|(_, error)| error.is_of_machine()) {
                Some(index) => Err(results.missing.swap_remove(index).1),
                None => Ok(results),
            }
        };
        missing::measure_or_fail(&self.folder, missing, measured).await
    }

    async fn measured(&self, network: Network, json: bool) -> Result<Results> {
        let Self { experiment, device, rows, ranks, .. } = self;
        measured(experiment, device, network, (*rows, json), ranks.as_ref()).await
    }

    /// Stores the weights after `step` steps.
    async fn keep(&self, network: &mut Network, step: u64, missing: &mut Missing) -> Result<()> {
        let described = |codec: Option<&Codec>| model_file::after_training(&self.description, step, codec);
        let calibrated = self.experiment.task.calibrated(network, self.rows).await;
        let calibrated = calibrated.and_then(|codec| codec.map(|codec| described(Some(&codec))).transpose());
        // The weights are kept whatever cannot be fitted to them.
        let calibrated = missing.keep("what is fitted to the trained network", calibrated).flatten();
        let description = calibrated.map_or_else(|| described(None), Ok)?;
        let mut file = self.folder.begin(names::MODEL)?;
        let written = network.write_weights(&mut file, (model_file::KEY, &description)).await;
        file.end(written)
    }

    /// The error that ended the steps, with what is left of the run; `kept`: whether the weights are stored.
    fn stopped(&self, error: Error, history: &Known, kept: bool) -> Error {
        let folder = self.folder.path();
        match error {
            Error::DeviceLost(reason) => match checkpoints::latest(&self.folder) {
                Some(last) => Error::DeviceLost(format!(
                    "{reason}; the last checkpoint is {}, and `bptt train --resume {}` resumes from it",
                    path_text(&last),
                    shell_quoted(folder)
                )),
                None => Error::DeviceLost(reason),
            },
            Error::NonFinite { step, what } => {
                let Settings { run, on_nan, .. } = &self.experiment.settings;
                let which = match run.keep {
                    KeepWeights::Best if history.validations > 0 => "of the lowest validation loss",
                    _ => "before it",
                };
                let kept = if kept {
                    format!("; the weights {which} are in {}", path_text(&folder.join(names::MODEL)))
                } else {
                    String::new()
                };
                let before = match (on_nan, self.experiment.settings.max_skipped_updates()) {
                    (OnNan::Back, _) => format!(", after the run rolled back {} times", run.max_rollbacks),
                    (OnNan::Stop | OnNan::Skip, 0) => String::new(),
                    (OnNan::Stop | OnNan::Skip, most) => format!(", as in the {most} steps before"),
                };
                let seen =
                    history.last.map(|last| format!(" (loss before it: {})", short(last.loss))).unwrap_or_default();
                Error::Failed(format!(
                    "step {step}: the {what} is not finite{before}{seen}{kept}; try a smaller --lr or --clip"
                ))
            }
            other => other,
        }
    }

    /// The prefix of titles.
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.experiment.task.name(), self.experiment.settings.cell.name())
    }

    /// Whether to profile the steps.
    pub fn profiles(&self) -> bool {
        self.experiment.settings.profile
    }

    /// Which weights are stored, in words.
    pub fn keep_weights(&self) -> KeepWeights {
        self.experiment.settings.run.keep
    }

    /// The names of the run's files.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn file_names(&self) -> Result<Vec<String>> {
        let path = self.folder.path();
        let entries = std::fs::read_dir(path).map_err(io_error(path))?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names)
    }

    /// Marks the run as finished; its last checkpoint stays.
    ///
    /// # Errors
    /// If the folder is not writable.
    pub fn finish(&self) -> Result<()> {
        checkpoints::finish(&self.folder)
    }
}

/// Measures a trained network, `rows` at once.
pub(super) async fn measured(
    Experiment { task, model, settings, .. }: &Experiment,
    device: &OpenDevice,
    mut network: Network,
    (rows, json): (usize, bool),
    ranks: Option<&RunRanks>,
) -> Result<Results> {
    network.set_profile(false)?;
    if loss::measured(model) != *model {
        let weights = network.state_dict().await?;
        // One of the two is enough.
        drop(network);
        network = RunRanks::all(ranks, trained_network(device, model, &weights))?;
        if let Some(ranks) = ranks {
            network = network.with_communicator(ranks.communicator().clone(), false)?;
        }
    }
    let measure = MeasureOptions { rows, seed: settings.seed, whole: false, json };
    task::results(task.as_ref(), &mut network, measure).await
}

/// The folder of a run, with its configuration.
fn folder(
    experiment: &Experiment,
    resumed: Option<ResumableRun>,
    out: Option<&Path>,
    description: &str,
    per_epoch: u64,
) -> Result<(Folder, Option<ResumableRun>)> {
    let Experiment { settings, task, .. } = experiment;
    let create = || Folder::create(out, &task.name(), checkpoints::is_beginning);
    let Some(mut resumed) = resumed else {
        let folder = create()?;
        folder.write_config(names::CONFIG, settings.config().to_toml()?.as_bytes())?;
        return Ok((folder, None));
    };
    if let Some(folder) = resumed.folder.take() {
        return Ok((folder, Some(resumed)));
    }
    resumed.check_length(settings.run.steps_per_epoch(per_epoch), settings.run.steps(per_epoch))?;
    let folder = create()?;
    let text = settings.config().to_toml()?;
    let config = match resumed.beginning() {
        // A run that starts from these settings has its own first line.
        Some(beginning) => beginning + text.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    };
    resumed.begin_longer(&folder, &config, description)?;
    // Written last: it makes the folder a run, which has its start by then.
    folder.write_config(names::CONFIG, config.as_bytes())?;
    Ok((folder, Some(resumed)))
}
