//! Defaults that depend on other settings, and settings that exclude each other.

use std::path::{Path, PathBuf};

use super::config::agree::unsupported;
use super::config::{
    BUNDLED, CellName, Config, DataKind, ModelConfig, OnNan, OptimizerName, ScheduleConfig, SeriesConfig,
    TrainingConfig,
};
use crate::format::path_text;
use crate::train::{Decay, KeepWeights, RunLength, RunOptions, Schedule};
use crate::{Activation, Direction, Error, Initialisation, Optimizer, OptimizerKind, RecurrentInit, Result};

/// `on-nan = "back"`: the maximum number of rollbacks. The rate is then 1/32 of what it was.
pub(super) const MAX_ROLLBACKS: u32 = 5;

/// Makes paths absolute, so that a configuration works from any folder.
pub(super) fn make_paths_absolute(given: &mut Config) -> Result<()> {
    for (key, path) in given.files().into_iter().filter_map(|(key, file)| Some((key, file.as_mut()?))) {
        // A resumed run does not need its initial weights; if they are needed after all, the error comes then.
        let absent = key == "init-from" && path.metadata().is_err();
        if path.as_os_str() != BUNDLED && !absent {
            *path = whole_path(path)?;
        }
    }
    Ok(())
}

/// Refuses network settings together with `init-from`, which sets the network. Dropout is allowed: it affects training
/// only. `of_data`: whether the data settings contain network settings.
pub(super) fn check_starting_network(model: &ModelConfig, of_data: bool) -> Result<()> {
    let ModelConfig { init_from, init_sha256, dropout, recurrent_dropout, .. } = model.clone();
    let alone = ModelConfig { init_from, init_sha256, dropout, recurrent_dropout, ..ModelConfig::default() };
    if *model != alone || of_data {
        let reason = "--init-from (model.init-from) brings its network with it: expected no other setting of [model] \
                      but dropout and recurrent-dropout, and no embedding, tied or predict";
        return Err(unsupported(reason));
    }
    Ok(())
}

impl DataKind {
    /// H, if not set.
    pub fn default_hidden(self) -> usize {
        match self {
            Self::Series => 16,
            Self::Audio => 32,
            Self::Text | Self::Rolls | Self::Classes => 128,
            Self::Sequences | Self::Task => 64,
        }
    }

    /// The length of a run, if not set.
    pub fn default_length(self) -> RunLength {
        match self {
            Self::Series | Self::Rolls => RunLength::Epochs(50),
            Self::Classes => RunLength::Epochs(15),
            Self::Sequences | Self::Audio => RunLength::Epochs(100),
            Self::Text => RunLength::Epochs(10),
            Self::Task => RunLength::Steps(2000),
        }
    }

    /// The learning rate, if not set.
    pub fn default_learning_rate(self) -> f64 {
        match self {
            Self::Series | Self::Audio | Self::Task => 5e-3,
            Self::Text | Self::Classes => 2e-3,
            Self::Sequences | Self::Rolls => 1e-3,
        }
    }
}

/// The length of the run, its schedule and its validations.
pub(super) fn run_options(training: &mut TrainingConfig, kind: DataKind, on_nan: OnNan) -> Result<RunOptions> {
    if training.epochs.is_none() && training.steps.is_none() {
        match kind.default_length() {
            RunLength::Epochs(epochs) => training.epochs = Some(epochs),
            RunLength::Steps(steps) => training.steps = Some(steps),
        }
    }
    let duration = match (training.epochs, training.steps) {
        (Some(epochs), None) => RunLength::Epochs(epochs),
        (None, Some(steps)) => RunLength::Steps(steps),
        _ => return Err(unsupported("--epochs and --steps (training): expected one of them")),
    };
    if kind == DataKind::Task {
        training.val_every.get_or_insert(100);
    }
    let patience = training.patience;
    let default_keep = if patience.is_some() { KeepWeights::Best } else { KeepWeights::Last };
    Ok(RunOptions {
        duration,
        accumulate: *training.accumulate.get_or_insert(1),
        schedule: schedule(training)?,
        validate_every: training.val_every,
        patience,
        keep: training.keep.unwrap_or(default_keep),
        max_rollbacks: if on_nan == OnNan::Back { MAX_ROLLBACKS } else { 0 },
    })
}

/// `train-until` and `validation`, or `split`, or neither.
pub(super) fn series_split(data: &mut SeriesConfig, applies: bool) -> Result<()> {
    let bundled = data.file.as_deref() == Some(Path::new(BUNDLED));
    if data.test_until.is_some() && data.train_until.is_none() {
        return Err(unsupported("--test-until needs --train-until; --split divides all rows"));
    }
    if data.split.is_some() && (data.train_until.is_some() || data.validation.is_some()) {
        return Err(unsupported("--split excludes --train-until and --validation: it sets all three shares"));
    }
    if data.split.is_none() {
        if data.train_until.is_none() && bundled && !applies {
            data.train_until = Some("1920".into());
        }
        match (&data.train_until, data.validation) {
            (Some(_), _) => drop(data.validation.get_or_insert(0.4)),
            (None, Some(_)) => return Err(unsupported("--validation needs --train-until; --split sets its own share")),
            // The run of the model or the defaults decide, once the file is known.
            (None, None) => {}
        }
    }
    Ok(())
}

/// Refuses dropout between layers if there is one layer.
pub(super) fn check_dropout(dropout: f64, layers: usize) -> Result<()> {
    if dropout > 0.0 && layers == 1 {
        Err(unsupported(format!(
            "--dropout {dropout} (model.dropout) acts between layers, and there is one: take --layers 2 or more, or \
             --set model.recurrent-dropout={dropout}"
        )))
    } else {
        Ok(())
    }
}

/// Refuses a projection of another cell than the LSTM, and one that does not make h smaller.
fn check_projection(cell: CellName, model: &ModelConfig) -> Result<()> {
    let (Some(size), Some(hidden)) = (model.proj_size, model.hidden) else { return Ok(()) };
    if cell != CellName::Lstm {
        return Err(unsupported("model.proj-size is for --cell lstm"));
    }
    if size >= hidden {
        return Err(Error::value("model.proj-size", format!("below --hidden, which is {hidden}"), size));
    }
    Ok(())
}

/// Fills in the network's settings.
pub(super) fn cell_settings(
    model: &mut ModelConfig,
    kind: DataKind,
    (embedding, tied): (Option<usize>, bool),
) -> Result<(Option<Activation>, Initialisation)> {
    let cell = *model.cell.get_or_insert(CellName::Lstm);
    model.hidden.get_or_insert(kind.default_hidden());
    let layers = *model.layers.get_or_insert(1);
    check_projection(cell, model)?;
    if let (true, Some(size), Some(output)) = (tied, embedding, model.proj_size.or(model.hidden))
        && size != output
    {
        return Err(unsupported(format!(
            "--embedding {size} with --tied: expected the {output} numbers that a layer puts out, or no \
             --embedding"
        )));
    }
    check_dropout(*model.dropout.get_or_insert(0.0), layers)?;
    model.recurrent_dropout.get_or_insert(0.0);
    set_direction(model)?;
    let recurrent = *model.init.get_or_insert(RecurrentInit::Uniform);
    if cell == CellName::Rnn {
        model.activation.get_or_insert(Activation::Tanh);
    } else if model.activation.is_some() {
        return Err(unsupported("model.activation is for --cell rnn; lstm and gru have activations of their own"));
    }
    if model.forget_bias.is_some() && cell != CellName::Lstm {
        return Err(unsupported("model.forget-bias is for --cell lstm"));
    }
    Ok((model.activation, Initialisation { recurrent, forget_bias: model.forget_bias }))
}

pub(super) fn optimizer(training: &mut TrainingConfig, kind: DataKind) -> Result<Optimizer> {
    let rate = *training.lr.get_or_insert(kind.default_learning_rate());
    let sgd = |momentum, nesterov| Optimizer::new(OptimizerKind::Sgd { momentum, dampening: 0.0, nesterov }, rate);
    let mut optimizer = match training.optimizer.get_or_insert(OptimizerName::Adam) {
        OptimizerName::Sgd => sgd(0.0, false),
        OptimizerName::Momentum => sgd(0.9, false),
        OptimizerName::Nesterov => sgd(0.9, true),
        OptimizerName::Rmsprop => Optimizer::rmsprop(rate),
        OptimizerName::Adam => Optimizer::adam(rate),
        OptimizerName::Adamw => Optimizer::adamw(rate),
    };
    optimizer.weight_decay = *training.weight_decay.get_or_insert(optimizer.weight_decay);
    optimizer.clip_norm = Some(*training.clip.get_or_insert(1.0)).filter(|clip| *clip != 0.0);
    optimizer.validate()?;
    Ok(optimizer)
}

pub(super) fn schedule(training: &mut TrainingConfig) -> Result<Schedule> {
    // An unknown epoch length is filled in later.
    let decay = match *training.schedule.get_or_insert(ScheduleConfig::Constant) {
        ScheduleConfig::Constant => Decay::Constant,
        ScheduleConfig::Step { every, factor } => Decay::Step { every: every.unwrap_or(1), factor },
        ScheduleConfig::Exponential { every, factor } => Decay::Exponential { every: every.unwrap_or(1), factor },
        ScheduleConfig::Cosine { floor } => Decay::Cosine { floor },
        ScheduleConfig::Plateau { patience, factor } => Decay::Plateau { patience, factor },
    };
    let schedule = Schedule { warmup: *training.warmup.get_or_insert(0), decay };
    schedule.validate()?;
    Ok(schedule)
}

/// A configuration file is UTF-8, so its paths must be too.
pub(super) fn check_paths(given: &mut Config) -> Result<()> {
    let mut files = given.files().into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?)));
    match files.find(|(_, path)| path.to_str().is_none()) {
        Some((key, path)) => Err(unsupported(format!(
            "--{key} {}: expected a path in UTF-8, since the run's configuration names it; rename the file",
            path_text(path)
        ))),
        None => Ok(()),
    }
}

pub(super) fn whole_path(path: &Path) -> Result<PathBuf> {
    let whole = path.canonicalize().map_err(|source| Error::Io { path: path.into(), source })?;
    match whole.to_str() {
        Some(_) => Ok(whole),
        None => {
            Err(unsupported(format!("{}: the path is not UTF-8, which a configuration file needs", path_text(path))))
        }
    }
}

/// `bidirectional` is `direction = "both"` by another name, which a configuration is not written with.
fn set_direction(model: &mut ModelConfig) -> Result<()> {
    let direction = match (model.direction, model.bidirectional.take()) {
        (Some(Direction::Both), Some(false)) => Err("model.direction both and model.bidirectional false"),
        (Some(Direction::Forward), Some(true)) => Err("model.direction forward and --bidirectional"),
        (Some(Direction::Reverse), Some(true)) => Err("model.direction reverse and --bidirectional"),
        (None, Some(true)) => Ok(Direction::Both),
        (direction, _) => Ok(direction.unwrap_or_default()),
    };
    let refused = |both| unsupported(format!("{both} exclude each other: expected one of them"));
    model.direction = Some(direction.map_err(refused)?);
    Ok(())
}
