//! Experiments: what a trained model is beyond its weights, how each kind of data becomes batches, what is measured and
//! against which baseline, and the folder in which all of it is kept. All that the `bptt` program does, without a line
//! printed.
//!
//! A trained model is a [`LoadedModel`]: it forecasts, generates, measures and predicts. Training is an [`Experiment`],
//! the settings with the data that they name, and a [`TrainingRun`]:
//!
//! ```no_run
//! use bptt::experiment::config::{Config, Data, SeriesConfig};
//! use bptt::experiment::{Experiment, LoadedModel, Missing, Settings, TrainingRun};
//!
//! # bptt::block_on(async {
//! let data = Data::Series(SeriesConfig { file: Some("load.csv".into()), ..SeriesConfig::default() });
//! let settings = Settings::new(Config { data: Some(data), ..Config::default() })?;
//! let mut experiment = Experiment::load(settings)?;
//! let (run, mut network) = TrainingRun::open(&mut experiment, None, Some("runs/load".as_ref()), None).await?;
//! let mut missing = Missing::default();
//! let mut steps = run.train(&mut network, |_, _| Ok(()), &mut missing).await?;
//! let results = run.measure(network, false, &mut missing).await.unwrap_or_default();
//! run.write_results(&mut steps, results, Vec::new(), &mut missing);
//! run.finish()?;
//!
//! let model = LoadedModel::open("runs/load")?;
//! # Ok::<(), bptt::Error>(()) }).unwrap();
//! ```

pub mod apply;
pub mod backtest;
pub mod bench;
pub mod config;
mod defaults;
pub mod device;
pub mod files;
pub mod forecast;
pub mod gradcheck;
pub mod gradient_flow;
pub mod loaded_model;
pub mod measure;
pub mod memory;
pub mod model;
pub mod ranks;
pub mod resume;
pub mod rounding;
pub mod sample;
pub mod scaling;
pub mod settings;
pub mod setup;
pub mod stream;
pub mod sweep;
pub mod tasks;
pub mod training;

pub use config::Config;
pub use device::open::{DeviceOptions, OpenDevice};
pub use forecast::{ForecastInput, SeriesForecast};
pub use loaded_model::{AppliedModel, LoadedModel};
pub use model::codec::Codec;
pub use model::model_file::ModelFile;
pub use ranks::RunRanks;
pub use sample::Prompt;
pub use settings::Settings;
pub use stream::{Item, Items, Latencies, Prediction, Stream};
pub use tasks::series::paths::PathCount;
pub use training::{Experiment, FollowedRun, Missing, TrainingRun};
