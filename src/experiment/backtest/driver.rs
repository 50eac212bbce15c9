//! A backtest in its folder: begins or resumes it, and runs its folds.

use std::path::{Path, PathBuf};

use super::folds::Fold;
use super::plan::{Plan, series_of};
use crate::experiment::config::agree::{difference, unsupported};
use crate::experiment::config::{Config, Data, ModelConfig, RefitName, RunConfig, SeriesConfig, check_files};
use crate::experiment::files::checkpoints::FINISHED;
use crate::experiment::files::folder::Folder;
use crate::experiment::files::names;
use crate::experiment::loaded_model::LoadedModel;
use crate::experiment::resume::{ResumableRun, ResumeRequest, elsewhere};
use crate::experiment::settings::Settings;
use crate::experiment::tasks::series::forecast_columns::FORECASTS;
use crate::experiment::training::{Experiment, Missing, ResumedProgress, TrainedSteps, TrainingLength, TrainingRun};
use crate::format::path_text;
use crate::train::{Observer, StopReason};
use crate::{Error, Result};

/// The settings of a backtest, in its folder.
pub(super) const BACKTEST: &str = "backtest.toml";

/// Parses a configuration file.
type ReadConfig = fn(&Path) -> Result<Config>;

/// A backtest: runs of a series' network, one for each fold, and the folder that they are in.
pub struct Backtest {
    pub(super) folder: Folder,
    pub(super) plan: Plan,
    /// What folds that have begun take from this call: the device, and the place of the file.
    flags: Config,
    read_config: ReadConfig,
}

impl Backtest {
    /// Begins the backtest of these settings in `out`, a new folder, or without it in the next unused `runs/NAME-N`. If
    /// `out` has a backtest of the same settings, it is resumed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for settings that do not go together, for more folds than the series has rows for, and
    /// for an `out` with anything else in it; [`Error::Data`] for a series that has changed since; those of reading the
    /// series. Nothing is written then.
    pub fn open(given: Config, out: Option<&Path>, read_config: ReadConfig) -> Result<Self> {
        let RunConfig { device, threads, .. } = given.run.clone();
        let existing = out.filter(|out| out.join(BACKTEST).is_file());
        if existing.is_none() {
            Folder::check_free(out, is_beginning)?;
        }
        let plan = Plan::new(given)?;
        if let Some(path) = existing {
            let stored = read_config(&path.join(BACKTEST))?;
            check_same(&plan, &stored, path)?;
            let flags = flags(device, threads, file(&plan.config));
            return Ok(Self { folder: Folder::open(path)?, plan, flags, read_config });
        }
        plan.check_first_run()?;
        let folder = Folder::create(out, &format!("{}-backtest", plan.data.name), is_beginning)?;
        let text = plan.config.to_toml()?;
        let head = format!(
            "# bptt {}: the settings of this backtest. `bptt backtest --config {BACKTEST}` repeats it.\n",
            env!("CARGO_PKG_VERSION")
        );
        let text = head + text.split_once('\n').map_or("", |(_, rest)| rest);
        folder.write_config(BACKTEST, text.as_bytes())?;
        Ok(Self { folder, plan, flags: Config::default(), read_config })
    }

    /// The backtest in a folder. `flags` may set the device, the threads and another place of the same series.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, another process runs it, or the series has changed since;
    /// [`Error::Unsupported`] for other flags.
    pub fn resume(path: &Path, flags: &Config, read_config: ReadConfig) -> Result<Self> {
        let file = path.join(BACKTEST);
        if !file.is_file() {
            let run = if path.join(names::CONFIG).is_file() { "; `bptt train --resume` resumes a run" } else { "" };
            let message = format!("expected the folder of a backtest, with {BACKTEST}{run}");
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
        let folder = Folder::open(path)?;
        let stored = read_config(&file)?;
        let mut given = elsewhere(stored.clone(), flags)?;
        check_files(&file, &given, flags)?;
        series_of(&mut given)?.sha256 = None;
        let plan = Plan::new(given)?;
        check_same(&plan, &stored, path)?;
        Ok(Self { folder, plan, flags: flags.clone(), read_config })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folds, in the order of their origins.
    pub fn folds(&self) -> &[Fold] {
        &self.plan.folds
    }

    /// The label of the last row that a fold knows.
    pub fn origin(&self, fold: &Fold) -> &str {
        self.plan.label(fold.known - 1)
    }

    /// The data, the folds and the folder in words: names and texts, of which an empty name continues the line before.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.plan.describe();
        facts.push(("backtest", path_text(self.path())));
        facts.extend(self.folder.note().map(|note| ("", note.to_owned())));
        facts
    }

    /// Whether a fold trains a network.
    pub fn trains(&self, fold: &Fold) -> bool {
        self.plan.refit != RefitName::None || fold.number == 1
    }

    /// Whether a fold has its forecasts.
    pub fn is_finished(&self, fold: &Fold) -> bool {
        let folder = self.folder_of(fold);
        folder.join(FORECASTS).is_file() && (!self.trains(fold) || folder.join(FINISHED).is_file())
    }

    fn folder_of(&self, fold: &Fold) -> PathBuf {
        self.path().join(fold.folder())
    }

    /// Trains the network of a fold and measures it, as `bptt train series` does: from the start, or from the last
    /// checkpoint. `begin` gets the run before its first step, and `display` makes the observer of its steps. `facts`
    /// are for the report of the run. Returns how it went, which may be that the observer stopped it; `None` if it had
    /// finished before.
    ///
    /// # Errors
    /// Those of the run; [`Error::Failed`] if its forecasts could not be measured or written.
    pub async fn train_fold<D: Observer>(
        &self,
        fold: &Fold,
        facts: Vec<(String, String)>,
        begin: impl FnOnce(&TrainingRun<'_>),
        display: impl FnOnce(&TrainingLength, &ResumedProgress) -> Result<D>,
        missing: &mut Missing,
    ) -> Result<Option<TrainedSteps>> {
        let folder = self.folder_of(fold);
        let resumed = if folder.join(names::CONFIG).is_file() {
            self.check_cuts(fold, &folder)?;
            let asked = ResumeRequest::of_part(&self.flags, self.read_config);
            let Some(run) = ResumableRun::open(&folder, &asked)? else { return Ok(None) };
            Some(run)
        } else {
            None
        };
        let settings = match &resumed {
            Some(run) => Settings::new(run.given.clone())?,
            None => Settings::new(self.plan.run(fold, self.before(fold).as_deref())?)?,
        };
        let mut experiment = Experiment::load_resumed(settings, resumed.as_ref())?;
        let (run, mut network) = TrainingRun::open(&mut experiment, resumed, Some(&folder), None).await?;
        begin(&run);
        let mut steps = run.train(&mut network, display, missing).await?;
        if steps.outcome.stop_reason == StopReason::Stopped {
            return Ok(Some(steps));
        }
        let Some(results) = run.measure(network, false, missing).await else { return Err(self.unmeasured(fold)) };
        run.write_results(&mut steps, results, facts, missing);
        if !folder.join(FORECASTS).is_file() {
            return Err(self.unmeasured(fold));
        }
        run.finish()?;
        Ok(Some(steps))
    }

    /// Forecasts from the origin of a fold with the network of the first.
    ///
    /// # Errors
    /// Those of the network's file, the data and the device.
    pub async fn forecast_fold(&self, fold: &Fold) -> Result<()> {
        let first = self.folder_of(&self.plan.folds[0]);
        let model = LoadedModel::open_with(first, self.read_config)?;
        let config = Config { model: ModelConfig::default(), ..self.plan.run(fold, None)? };
        let mut applied = model.apply(config.applied()).await?;
        let results = applied.evaluate(false).await?;
        let Some((_, contents)) = results.files.iter().find(|(name, _)| *name == FORECASTS) else {
            let reason = results.missing.into_iter().find(|(name, _)| *name == FORECASTS);
            return Err(reason.map_or_else(|| self.unmeasured(fold), |(_, error)| error));
        };
        self.folder.make(&fold.folder())?;
        self.folder.write(&format!("{}/{FORECASTS}", fold.folder()), contents)
    }

    fn unmeasured(&self, fold: &Fold) -> Error {
        let folder = path_text(&self.folder_of(fold));
        Error::Failed(format!("fold {}: its forecasts are missing, for the reason above ({folder})", fold.number))
    }

    /// The folder of the run whose weights a fold starts from.
    fn before(&self, fold: &Fold) -> Option<PathBuf> {
        let goes_on = self.plan.refit == RefitName::Continue && fold.number > 1;
        goes_on.then(|| self.folder_of(&self.plan.folds[fold.number - 2]))
    }

    /// Refuses a run in the place of a fold that has other cuts.
    fn check_cuts(&self, fold: &Fold, folder: &Path) -> Result<()> {
        let path = folder.join(names::CONFIG);
        let [mut here, mut planned] = [(self.read_config)(&path)?, self.plan.run(fold, None)?];
        let cuts = |config: &mut Config| -> Result<_> {
            let SeriesConfig { train_until, validation, test_until, sha256, .. } = series_of(config)?.clone();
            Ok((train_until, validation, test_until, sha256))
        };
        if cuts(&mut here)? == cuts(&mut planned)? {
            return Ok(());
        }
        let message = format!("expected the run of fold {} of the backtest, got one of other rows", fold.number);
        Err(Error::Data { path, place: String::new(), message })
    }
}

/// The paths that a backtest may have written before it has its settings.
fn is_beginning(path: &Path) -> bool {
    path == Path::new(&format!("{BACKTEST}.part"))
}

/// The file of the series.
fn file(config: &Config) -> Option<PathBuf> {
    match &config.data {
        Some(Data::Series(series)) => series.file.clone(),
        _ => None,
    }
}

fn flags(device: Option<String>, threads: Option<usize>, file: Option<PathBuf>) -> Config {
    Config {
        run: RunConfig { device, threads, ..RunConfig::default() },
        data: Some(Data::Series(SeriesConfig { file, ..SeriesConfig::default() })),
        ..Config::default()
    }
}

/// Refuses settings or a series that differ from those of the backtest in `path`.
fn check_same(plan: &Plan, stored: &Config, path: &Path) -> Result<()> {
    let ((here, now), (there, before)) = (Plan::identity(&plan.config)?, Plan::identity(stored)?);
    if here != there {
        let differs = difference(&here.to_map()?, &there.to_map()?);
        return Err(unsupported(format!(
            "--out {}: expected a new folder, or the backtest of the same settings, got one of others: {}; nothing was \
             written",
            path_text(path),
            differs.unwrap_or_default()
        )));
    }
    if now == before {
        return Ok(());
    }
    let digest = |sha256: Option<String>| sha256.unwrap_or_else(|| "unknown".into());
    let message = format!(
        "expected the file as the backtest in {} has it, SHA-256 {}, got {}: it has changed since, and the folds would not \
         be of one series; another --out begins a backtest of it as it is now",
        path_text(path),
        digest(before),
        digest(now)
    );
    Err(Error::Data { path: plan.data.path.clone(), place: String::new(), message })
}
