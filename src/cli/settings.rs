//! The settings of a run: defaults, then a configuration file, then flags; written back with every one resolved.

use std::path::{Path, PathBuf};

use bptt::train::{Duration, Keep, RunOptions};
use bptt::{Activation, Cell, Error, Head, Initialisation, Model, Optimizer, Recurrent, RecurrentInit, Result, Rule};
use serde::{Deserialize, Serialize};

use super::args::{CellName, OptimizerName, TaskName, TrainArgs};

/// What stands for the bundled series in place of a path.
pub(crate) const BUNDLED: &str = "bundled:sunspots";

/// All that a run depends on: the keys of `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) device: String,
    pub(crate) threads: Option<usize>,
    pub(crate) data: DataSettings,
    pub(crate) model: ModelSettings,
    pub(crate) training: TrainingSettings,
    pub(crate) optimizer: Optimizer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub(crate) enum DataSettings {
    Series(SeriesSettings),
    Adding(SyntheticSettings),
    Copy(SyntheticSettings),
}

/// A series and its split: either `train_until` and `validation`, or `split`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesSettings {
    pub(crate) csv: String,
    pub(crate) sha256: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) window: usize,
    pub(crate) train_until: Option<String>,
    pub(crate) validation: Option<f64>,
    pub(crate) split: Option<[f64; 3]>,
}

/// How long the sequences are, and how many there are of each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyntheticSettings {
    pub(crate) length: usize,
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSettings {
    pub(crate) cell: CellName,
    pub(crate) activation: Option<Activation>,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) bidirectional: bool,
    pub(crate) init: RecurrentInit,
    pub(crate) forget_bias: Option<f64>,
}

/// Either `epochs` or `steps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainingSettings {
    pub(crate) batch: usize,
    pub(crate) micro_batch: Option<usize>,
    pub(crate) epochs: Option<u64>,
    pub(crate) steps: Option<u64>,
    pub(crate) validate_every: Option<u64>,
    pub(crate) keep: Keep,
}

impl Settings {
    /// Defaults or the configuration file, with the flags over it.
    pub(crate) fn resolve(args: &TrainArgs) -> Result<Self> {
        let synthetic = args.task.is_some();
        let mut settings = match &args.config {
            Some(path) => Self::read(path)?,
            None => Self::defaults(synthetic),
        };
        settings.take_data(args)?;
        settings.take_model(args);
        settings.take_training(args);
        settings.take_optimizer(args);
        args.seed.inspect(|seed| settings.seed = *seed);
        args.device.iter().for_each(|device| settings.device.clone_from(device));
        settings.threads = args.threads.or(settings.threads);
        settings.check()?;
        Ok(settings)
    }

    fn defaults(synthetic: bool) -> Self {
        let series = SeriesSettings {
            csv: BUNDLED.into(),
            sha256: None,
            target: None,
            window: 22,
            train_until: Some("1920".into()),
            validation: Some(0.4),
            split: None,
        };
        Self {
            seed: 1,
            device: "auto".into(),
            threads: None,
            data: DataSettings::Series(series),
            model: ModelSettings {
                cell: CellName::Lstm,
                activation: None,
                hidden: if synthetic { 64 } else { 16 },
                layers: 1,
                bidirectional: false,
                init: RecurrentInit::Uniform,
                forget_bias: None,
            },
            training: TrainingSettings {
                batch: 32,
                micro_batch: None,
                epochs: (!synthetic).then_some(50),
                steps: synthetic.then_some(2000),
                validate_every: synthetic.then_some(100),
                keep: Keep::Last,
            },
            optimizer: Optimizer::adam(5e-3).clip_norm(1.0),
        }
    }

    /// Reads a configuration file; unknown and missing keys are refused by name.
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
        toml::from_str(&text).map_err(|error| Error::Data {
            path: path.into(),
            place: String::new(),
            message: error.to_string().trim_end().into(),
        })
    }

    fn take_data(&mut self, args: &TrainArgs) -> Result<()> {
        if let Some(task) = args.task {
            let length = match task {
                TaskName::Adding => 50,
                TaskName::Copy => 10,
            };
            let settings = SyntheticSettings { length, train: 100_000, validation: 1000, test: 1000 };
            self.data = match task {
                TaskName::Adding => DataSettings::Adding(settings),
                TaskName::Copy => DataSettings::Copy(settings),
            };
        }
        if let Some(path) = &args.csv {
            let window = match &self.data {
                DataSettings::Series(series) => series.window,
                _ => 22,
            };
            self.data = DataSettings::Series(SeriesSettings {
                csv: whole_path(path)?,
                sha256: None,
                target: None,
                window,
                train_until: None,
                validation: None,
                split: Some([0.7, 0.15, 0.15]),
            });
        }
        match &mut self.data {
            DataSettings::Adding(settings) | DataSettings::Copy(settings) => {
                let series = [
                    ("--target", args.target.is_some()),
                    ("--window", args.window.is_some()),
                    ("--train-until", args.train_until.is_some()),
                    ("--validation", args.validation.is_some()),
                    ("--split", args.split.is_some()),
                ];
                if let Some((flag, _)) = series.iter().find(|(_, given)| *given) {
                    return Err(unsupported(format!("{flag} is for a series; this run is of a synthetic task")));
                }
                settings.length = args.length.unwrap_or(settings.length);
            }
            DataSettings::Series(series) => {
                if args.length.is_some() {
                    return Err(unsupported("--length is for --task; a series takes --window".into()));
                }
                series.window = args.window.unwrap_or(series.window);
                series.target = args.target.clone().or(series.target.take());
                if let Some(shares) = &args.split {
                    let three = shares.as_slice().try_into().map_err(|_| Error::Value {
                        what: "--split".into(),
                        expected: "three shares, as in 0.7,0.15,0.15".into(),
                        got: format!("{} of them", shares.len()),
                    })?;
                    (series.split, series.train_until, series.validation) = (Some(three), None, None);
                }
                if let Some(until) = &args.train_until {
                    series.train_until = Some(until.clone());
                    series.validation = series.validation.or(Some(0.4));
                    series.split = None;
                }
                if let Some(share) = args.validation {
                    if series.train_until.is_none() {
                        return Err(unsupported("--validation goes with --train-until; --split sets its own".into()));
                    }
                    series.validation = Some(share);
                }
            }
        }
        Ok(())
    }

    fn take_model(&mut self, args: &TrainArgs) {
        let model = &mut self.model;
        model.cell = args.cell.unwrap_or(model.cell);
        model.activation = args.activation.or(model.activation.filter(|_| model.cell == CellName::Rnn));
        if model.cell == CellName::Rnn {
            model.activation = model.activation.or(Some(Activation::Tanh));
        }
        model.hidden = args.hidden.unwrap_or(model.hidden);
        model.layers = args.layers.unwrap_or(model.layers);
        model.bidirectional = args.bidirectional.unwrap_or(model.bidirectional);
        model.init = args.init.unwrap_or(model.init);
        model.forget_bias = args.forget_bias.or(model.forget_bias.filter(|_| model.cell == CellName::Lstm));
    }

    fn take_training(&mut self, args: &TrainArgs) {
        let training = &mut self.training;
        training.batch = args.batch.unwrap_or(training.batch);
        training.micro_batch = args.micro_batch.or(training.micro_batch);
        if args.epochs.is_some() || args.steps.is_some() {
            (training.epochs, training.steps) = (args.epochs, args.steps);
        }
        training.validate_every = args.validate_every.or(training.validate_every);
        training.keep = args.keep.unwrap_or(training.keep);
    }

    fn take_optimizer(&mut self, args: &TrainArgs) {
        let optimizer = &mut self.optimizer;
        let rate = args.lr.unwrap_or(optimizer.learning_rate);
        let sgd = |momentum, nesterov| Optimizer::new(Rule::Sgd { momentum, dampening: 0.0, nesterov }, rate);
        if let Some(name) = args.optimizer {
            let chosen = match name {
                OptimizerName::Sgd => sgd(0.0, false),
                OptimizerName::Momentum => sgd(0.9, false),
                OptimizerName::Nesterov => sgd(0.9, true),
                OptimizerName::Rmsprop => Optimizer::rmsprop(rate),
                OptimizerName::Adam => Optimizer::adam(rate),
                OptimizerName::Adamw => Optimizer::adamw(rate),
            };
            *optimizer = Optimizer { clip_norm: optimizer.clip_norm, clip_value: optimizer.clip_value, ..chosen };
        }
        optimizer.learning_rate = rate;
        optimizer.weight_decay = args.weight_decay.unwrap_or(optimizer.weight_decay);
        if let Some(clip) = args.clip {
            optimizer.clip_norm = (clip > 0.0).then_some(clip);
        }
    }

    /// What neither the flags' parser nor the file's can see: sizes of zero in a file, and what excludes what.
    fn check(&self) -> Result<()> {
        let (model, training) = (&self.model, &self.training);
        let mut sizes = vec![
            ("model.hidden", Some(model.hidden as u64)),
            ("model.layers", Some(model.layers as u64)),
            ("training.batch", Some(training.batch as u64)),
            ("training.micro_batch", training.micro_batch.map(|rows| rows as u64)),
            ("training.epochs", training.epochs),
            ("training.steps", training.steps),
            ("training.validate_every", training.validate_every),
            ("threads", self.threads.map(|threads| threads as u64)),
        ];
        match &self.data {
            DataSettings::Series(series) => sizes.push(("data.window", Some(series.window as u64))),
            DataSettings::Adding(task) | DataSettings::Copy(task) => sizes.extend([
                ("data.length", Some(task.length as u64)),
                ("data.train", Some(task.train as u64)),
                ("data.validation", Some(task.validation as u64)),
                ("data.test", Some(task.test as u64)),
            ]),
        }
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == Some(0)) {
            return Err(Error::Value { what: (*key).into(), expected: "at least 1".into(), got: "0".into() });
        }
        if model.activation.is_some() && model.cell != CellName::Rnn {
            return Err(unsupported(
                "--activation (model.activation) is the rnn's; lstm and gru have their own".into(),
            ));
        }
        if model.forget_bias.is_some() && model.cell != CellName::Lstm {
            return Err(unsupported("--forget-bias (model.forget_bias) is the lstm's".into()));
        }
        if training.epochs.is_some() == training.steps.is_some() {
            return Err(unsupported("training.epochs and training.steps: expected one of them".into()));
        }
        if let DataSettings::Series(series) = &self.data
            && (series.split.is_some() == series.train_until.is_some()
                || series.validation.is_some() != series.train_until.is_some())
        {
            let expected = "expected either data.split, or data.train_until and data.validation";
            return Err(unsupported(expected.into()));
        }
        self.optimizer.validate()
    }

    pub(crate) fn network(&self, input_size: usize, head: Head) -> Model {
        let settings = &self.model;
        let cell = match settings.cell {
            CellName::Rnn => Cell::Rnn(settings.activation.unwrap_or_default()),
            CellName::Lstm => Cell::Lstm,
            CellName::Gru => Cell::Gru,
        };
        let recurrent = Recurrent::new(cell, input_size, settings.hidden)
            .layers(settings.layers)
            .bidirectional(settings.bidirectional);
        Model::new(recurrent, head)
    }

    pub(crate) fn initialisation(&self) -> Initialisation {
        Initialisation { recurrent: self.model.init, forget_bias: self.model.forget_bias }
    }

    pub(crate) fn run_options(&self) -> RunOptions {
        let training = &self.training;
        RunOptions {
            duration: match (training.epochs, training.steps) {
                (Some(epochs), _) => Duration::Epochs(epochs),
                (None, steps) => Duration::Steps(steps.unwrap_or_default()),
            },
            validate_every: training.validate_every,
            keep: training.keep,
        }
    }

    /// The text of `config.toml`.
    pub(crate) fn to_toml(&self) -> Result<String> {
        let body = toml::to_string(self).map_err(|error| unsupported(format!("config.toml: {error}")))?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(format!(
            "# bptt {version}: every setting of this run. `bptt train --config config.toml` repeats it.\n\n{body}"
        ))
    }
}

/// An absolute path, so that a configuration file works from any folder.
fn whole_path(path: &Path) -> Result<String> {
    let whole: PathBuf = path.canonicalize().map_err(|source| Error::Io { path: path.into(), source })?;
    match whole.to_str() {
        Some(text) => Ok(text.into()),
        None => Err(unsupported(format!("--csv {}: the path is not UTF-8", path.display()))),
    }
}

fn unsupported(message: String) -> Error {
    Error::Unsupported(message)
}
