//! What a backtest does: its settings, its series and its folds.

use std::path::Path;

use super::folds::{Cuts, Fold, VALIDATION};
use crate::data::Series;
use crate::experiment::config::agree::unsupported;
use crate::experiment::config::{BacktestConfig, Config, Data, ModelConfig, RefitName, SeriesConfig};
use crate::experiment::memory;
use crate::experiment::settings::Settings;
use crate::experiment::tasks::series::series_data::SeriesData;
use crate::experiment::training::Experiment;
use crate::format::{ahead, grouped};
use crate::{Error, Result};

/// The default number of folds.
const FOLDS: usize = 5;

/// The settings of a backtest with its series, cut into folds.
pub(super) struct Plan {
    /// The settings of every fold but its cuts, and those of the backtest; all of them are filled in.
    pub(super) config: Config,
    pub(super) data: SeriesData,
    pub(super) folds: Vec<Fold>,
    pub(super) refit: RefitName,
    stride: usize,
}

impl Plan {
    /// Reads the series that the settings name, fills in what they leave open, and cuts the series into folds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for data that are no series to forecast, and for settings of the cuts that a backtest
    /// makes itself; otherwise those of reading the series, and of [`Cuts::folds`].
    pub(super) fn new(mut given: Config) -> Result<Self> {
        let backtest = std::mem::take(&mut given.backtest);
        let series = series_of(&mut given)?;
        check(series)?;
        let validation = series.validation.take();
        let mut settings = Settings::new(given)?;
        memory::check_files(&mut settings)?;
        let start = settings.open_form()?;
        let series = settings.series().ok_or_else(no_series)?;
        // Those of the bundled series.
        (series.train_until, series.validation) = (None, None);
        let data = SeriesData::read(series, start.as_ref().map(|start| &start.codec))?;
        let mut config = settings.config().clone();
        series_of(&mut config)?.validation = validation;
        let (frame, refit) = (data.frame, backtest.refit.unwrap_or_default());
        let (folds, stride) = (backtest.folds.unwrap_or(FOLDS), backtest.stride.unwrap_or(frame.horizon));
        config.backtest = BacktestConfig { folds: Some(folds), stride: Some(stride), refit: Some(refit) };
        let folds = Cuts { folds, stride, frame, validation }.folds(data.series.len())?;
        check_labels(&data.series, &folds, &data.path)?;
        Ok(Self { config, data, folds, refit, stride })
    }

    /// Reads the data of the first fold as its run does, which has the fewest rows: what that refuses is known before
    /// anything is written.
    ///
    /// # Errors
    /// Those of [`Experiment::load`], [`Experiment::batches`] and [`Experiment::validation`].
    pub(super) fn check_first_run(&self) -> Result<()> {
        let experiment = Experiment::load(Settings::new(self.run(&self.folds[0], None)?)?)?;
        experiment.batches()?;
        experiment.validation(1)?;
        Ok(())
    }

    /// The settings of the run of a fold. `before`: the folder of the run whose weights it starts from.
    pub(super) fn run(&self, fold: &Fold, before: Option<&Path>) -> Result<Config> {
        let mut config = Config { backtest: BacktestConfig::default(), ..self.config.clone() };
        let labels = self.data.series.labels();
        let series = series_of(&mut config)?;
        series.train_until = Some(labels[fold.train_end - 1].clone());
        series.validation = Some(fold.validation_share());
        series.test_until = Some(labels[fold.end - 1].clone());
        if let Some(before) = before {
            // These come with the weights.
            series.predict = None;
            let ModelConfig { dropout, recurrent_dropout, .. } = config.model;
            config.model =
                ModelConfig { init_from: Some(before.into()), dropout, recurrent_dropout, ..ModelConfig::default() };
        }
        Ok(config)
    }

    /// The period of the seasonal naive forecast.
    pub(super) fn season(&self) -> Option<usize> {
        match &self.config.data {
            Some(Data::Series(series)) => series.season,
            _ => None,
        }
    }

    /// The settings other than where the data are and on which device they are read; the digest of the data.
    pub(super) fn identity(config: &Config) -> Result<(Config, Option<String>)> {
        let mut config = config.clone();
        (config.run.device, config.run.threads) = (None, None);
        let series = series_of(&mut config)?;
        series.file = None;
        let sha256 = series.sha256.take();
        Ok((config, sha256))
    }

    /// The label of a row.
    pub(super) fn label(&self, row: usize) -> &str {
        &self.data.series.labels()[row]
    }

    /// The data, the folds and the validation part in words: names and texts, of which an empty name continues the line
    /// before.
    pub(super) fn describe(&self) -> Vec<(&'static str, String)> {
        let series = &self.data.series;
        let span = format!("{}–{}", self.label(0), self.label(series.len() - 1));
        let data = self.data.describe(&span).into_iter().enumerate();
        let mut facts: Vec<(&'static str, String)> =
            data.map(|(index, line)| (if index == 0 { "data" } else { "" }, line)).collect();
        let [first, last] = [&self.folds[0], &self.folds[self.folds.len() - 1]];
        let origins = match self.folds.len() {
            1 => format!("one, from the origin {}", self.label(first.known - 1)),
            count => format!(
                "{}, from the origins {} to {}, {} apart",
                grouped(count as u64),
                self.label(first.known - 1),
                self.label(last.known - 1),
                rows(self.stride)
            ),
        };
        facts.push(("folds", format!("{origins}; one forecast each, {}", ahead(self.data.frame.horizon))));
        let sizes = [first.validation().len(), last.validation().len()];
        let set = match &self.config.data {
            Some(Data::Series(SeriesConfig { validation: Some(share), .. })) => *share,
            _ => VALIDATION,
        };
        facts.push((
            "",
            match sizes {
                [_, 0] => "no validation part".to_owned(),
                [a, b] if a == b => format!("validation: the last {} before each origin", rows(a)),
                [a, b] => format!(
                    "validation: the last {} of the rows before each origin, {} to {} of them (--validation)",
                    crate::format::share(set),
                    grouped(a as u64),
                    grouped(b as u64)
                ),
            },
        ));
        facts.push(("", refit_words(self.refit).to_owned()));
        facts
    }
}

/// `1 row`, `12 rows`.
pub(super) fn rows(count: usize) -> String {
    if count == 1 { "1 row".into() } else { format!("{} rows", grouped(count as u64)) }
}

/// How the networks come about, in words.
fn refit_words(refit: RefitName) -> &'static str {
    match refit {
        RefitName::Scratch => "every fold trains a new network",
        RefitName::Continue => "every fold trains the network of the fold before on, with the scaling of the first",
        RefitName::None => "the network of the first fold forecasts from every origin; the baselines are fitted anew",
    }
}

fn no_series() -> Error {
    unsupported("a backtest forecasts a series: expected `bptt backtest FILE`")
}

/// The settings of the series.
pub(super) fn series_of(given: &mut Config) -> Result<&mut SeriesConfig> {
    let data = given.data.get_or_insert_with(Data::sunspots);
    let kind = data.kind();
    match data {
        Data::Series(series) => Ok(series),
        _ => Err(unsupported(format!("a backtest forecasts a series, and the data are {kind}"))),
    }
}

/// Refuses settings that a backtest has no use for, or sets itself.
fn check(series: &SeriesConfig) -> Result<()> {
    if series.file.is_none() {
        return Err(unsupported("expected a file: `bptt backtest FILE`"));
    }
    let estimates = [("--now", series.now.is_some()), ("--carry-state", series.carry_state == Some(true))];
    if let Some((flag, _)) = estimates.iter().find(|(_, is_set)| *is_set) {
        return Err(unsupported(format!(
            "{flag}: a virtual sensor forecasts nothing, and a backtest is of forecasts; `bptt train series` measures it"
        )));
    }
    let cuts = [
        ("--train-until", series.train_until.is_some()),
        ("--split", series.split.is_some()),
        ("--test-until", series.test_until.is_some()),
    ];
    match cuts.iter().find(|(_, is_set)| *is_set) {
        Some((flag, _)) => Err(unsupported(format!(
            "{flag}: a backtest cuts the series itself, by --folds, --stride and --horizon; --validation is the share of \
             the rows before each origin that validates"
        ))),
        None => Ok(()),
    }
}

/// Refuses labels that do not name the ends of the parts: the runs of the folds are cut by them.
fn check_labels(series: &Series, folds: &[Fold], path: &Path) -> Result<()> {
    for fold in folds {
        for end in [fold.train_end, fold.end] {
            let label = &series.labels()[end - 1];
            let rows = series.rows_until(label);
            if rows.as_ref().ok() != Some(&end) {
                let found = rows.map_or_else(|error| error.to_string(), |rows| format!("row {rows} for row {end}"));
                let message = format!(
                    "expected a {} of its own for every row, by which --train-until and --test-until cut the series; \
                     {label:?} finds {found}",
                    series.label_name()
                );
                return Err(Error::Data { path: path.into(), place: format!(", fold {}", fold.number), message });
            }
        }
    }
    Ok(())
}
