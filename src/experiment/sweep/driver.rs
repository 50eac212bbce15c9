//! A sweep in its folder: begins it, or joins in.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::draw::Draw;
use super::plan::Plan;
use super::record::{Records, read, to_json, write, write_first};
use super::standing::Standing;
use crate::experiment::config::Config;
use crate::experiment::config::agree::{difference, unsupported};
use crate::experiment::defaults::{check_paths, make_paths_absolute};
use crate::experiment::files::folder::{Folder, io_error};
use crate::experiment::files::names;
use crate::experiment::settings::Settings;
use crate::experiment::training::{Experiment, TrainingLength};
use crate::format::{path_text, shell_quoted};
use crate::{Error, Result};

/// The settings of a sweep, in its folder.
pub(super) const SWEEP: &str = "sweep.toml";
/// Those of every trial but what varies.
pub(super) const BASE: &str = "base.toml";

const ROUNDS: &str = "rounds";
pub(super) const CLAIMS: &str = "claims";
const RESULTS: &str = "results";

/// Parses a configuration file.
pub(super) type ReadConfig = fn(&Path) -> Result<Config>;

/// A sweep: its settings, and the folder that its trials are in. Several processes, on several machines, may have it open.
pub struct Sweep {
    path: PathBuf,
    pub(super) plan: Plan,
    pub(super) read_config: ReadConfig,
}

impl Sweep {
    /// Begins the sweep of these settings in `out`, a new folder, or without it in the next unused `runs/NAME-N`. If `out`
    /// has a sweep of the same settings, it is joined.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Value`] for settings that do not go together, such as two rungs that end at the same
    /// step, for a batch that depends on the free memory, for an `out` with anything else in it, and for data without a
    /// validation split; those of reading the data. Nothing is written then.
    pub fn open(mut given: Config, name: &str, out: Option<&Path>, read_config: ReadConfig) -> Result<Self> {
        check_paths(&mut given)?;
        make_paths_absolute(&mut given)?;
        let mut plan = Plan::new(given)?;
        // Looked at in this order, as another process may begin it now: its settings are the first file that it writes.
        let is_free = out.is_none_or(is_free);
        if let Some(path) = out.filter(|out| out.join(SWEEP).is_file()) {
            check_same(&plan, &read_config(&path.join(SWEEP))?, path)?;
            return Self::join(path, read_config);
        }
        if let Some(path) = out.filter(|_| !is_free) {
            return Err(unsupported(format!(
                "--out {}: expected a folder that does not exist yet, an empty one, or the sweep of the same settings; \
                 nothing was written",
                path_text(path)
            )));
        }
        plan.check_batch()?;
        let (digest, length) = check_trials(&plan)?;
        plan.check_rungs(&length)?;
        pin(&mut plan.base, digest)?;
        let path = match out {
            Some(path) => {
                fs::create_dir_all(path).map_err(io_error(path))?;
                path.to_path_buf()
            }
            None => {
                let folder = Folder::create(None, name, |_| false)?;
                folder.write_config(BASE, base(&plan)?.as_bytes())?;
                folder.path().to_path_buf()
            }
        };
        let text = plan.config().to_toml()?;
        let head = format!(
            "# bptt {}: the settings of this sweep. `bptt sweep --worker FOLDER` continues it, beside other workers too.\n",
            env!("CARGO_PKG_VERSION")
        );
        let text = head + text.split_once('\n').map_or("", |(_, rest)| rest);
        if !write_first(&path.join(SWEEP), text.as_bytes())? {
            check_same(&plan, &read_config(&path.join(SWEEP))?, &path)?;
        }
        Self::join(&path, read_config)
    }

    /// The sweep in a folder, to work on it beside others.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none; those of its settings.
    pub fn join(path: &Path, read_config: ReadConfig) -> Result<Self> {
        let file = path.join(SWEEP);
        if !file.is_file() {
            let run = if path.join(names::CONFIG).is_file() { "; `bptt train --resume` resumes a run" } else { "" };
            let message = format!("expected the folder of a sweep, with {SWEEP}{run}");
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
        let plan = Plan::new(read_config(&file)?)?;
        for folder in [ROUNDS, CLAIMS, RESULTS] {
            let path = path.join(folder);
            fs::create_dir_all(&path).map_err(io_error(&path))?;
        }
        if !path.join(BASE).is_file() {
            write(&path.join(BASE), base(&plan)?.as_bytes())?;
        }
        Ok(Self { path: path.into(), plan, read_config })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of runs, if all were trained: the trials times their seeds.
    pub fn runs(&self) -> usize {
        self.plan.trials.saturating_mul(self.plan.seeds)
    }

    /// The trials and the folder in words: names and texts, of which an empty name continues the line before.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.plan.describe();
        facts.push(("sweep", path_text(&self.path)));
        facts.push((
            "",
            format!(
                "{} joins in; a run whose worker is silent for {} s is taken again",
                self.resumed_by(),
                self.plan.claim_timeout
            ),
        ));
        facts
    }

    /// The command that continues the sweep.
    pub fn resumed_by(&self) -> String {
        format!("bptt sweep --worker {}", shell_quoted(&self.path))
    }

    /// Whether the data are others than when the sweep began, as far as a trial can read them.
    ///
    /// # Errors
    /// Of the settings.
    pub(super) fn has_other_data(&self) -> Result<bool> {
        let mut plan = self.plan.clone();
        pin(&mut plan.base, None)?;
        let (now, before) = (check_trials(&plan), pinned(&self.plan.base)?);
        Ok(before.is_some() && now.is_ok_and(|(now, _)| now != before))
    }

    /// The records of all workers.
    pub(super) fn records(&self) -> Records {
        Records::new(self.path.join(RESULTS))
    }

    /// How far the sweep is, by its records. Rounds whose turn has come are drawn.
    ///
    /// # Errors
    /// Those of the files.
    pub(super) fn standing(&self, records: &mut Records, draws: &mut Vec<Draw>) -> Result<Standing> {
        records.refresh()?;
        loop {
            let standing = Standing::new(&self.plan, records, draws);
            if !standing.wants_draws {
                return Ok(standing);
            }
            let round = self.plan.rounds().enumerate().find(|(_, round)| round.start > draws.len());
            let Some((index, round)) = round else { return Ok(standing) };
            draws.extend(self.draw_round(index + 1, round, &standing)?);
        }
    }

    /// The settings of a round: those in its file, which the first worker that comes to the round writes.
    fn draw_round(&self, number: usize, round: Range<usize>, before: &Standing) -> Result<Vec<Draw>> {
        let path = self.path.join(ROUNDS).join(format!("round-{number:03}.json"));
        let count = round.len();
        if !path.is_file() {
            let ranked = before.ranked(&self.plan);
            let told: Vec<(&Draw, usize)> =
                ranked.iter().enumerate().map(|(rank, trial)| (&trial.draw, rank)).collect();
            write_first(&path, &to_json(&self.plan.draws(round, &told)?)?)?;
        }
        let draws: Vec<Draw> = read(&path)?;
        if draws.len() == count {
            return Ok(draws);
        }
        let message = format!("expected the settings of {count} trials, got {}", draws.len());
        Err(Error::Data { path, place: String::new(), message })
    }
}

/// `base.toml`.
fn base(plan: &Plan) -> Result<String> {
    let text = plan.base.to_toml()?;
    let head = format!(
        "# bptt {}: the settings of every trial but those that vary, for `bptt train --config {BASE}`.\n",
        env!("CARGO_PKG_VERSION")
    );
    Ok(head + text.split_once('\n').map_or("", |(_, rest)| rest))
}

/// Whether a sweep may begin in a folder: there is nothing in it but what one left that was killed at once.
fn is_free(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return path.symlink_metadata().is_err() };
    let is_left = |name: &str| name.starts_with(".bptt-") && name.ends_with(".part");
    entries.flatten().all(|entry| entry.file_name().to_str().is_some_and(is_left))
}

/// Reads the data as the first trial does whose settings go together; returns the digest of its files, if it has one, and its
/// length.
///
/// # Errors
/// [`Error::Unsupported`] where none do, or the data have no validation split; those of reading the data.
fn check_trials(plan: &Plan) -> Result<(Option<Value>, TrainingLength)> {
    let first = plan.rounds().next().unwrap_or(1..1);
    let mut refused = None;
    for draw in plan.draws(first, &[])? {
        let settings = plan.settings(&draw, Some(1)).and_then(Settings::new);
        match settings.and_then(Experiment::load).and_then(|experiment| {
            experiment.batches()?;
            let validation = experiment.validation(1)?.is_some();
            Ok((experiment, validation))
        }) {
            Ok((_, false)) => {
                return Err(unsupported(
                    "a sweep ranks its trials by their validation split, and the data leave none: set --split",
                ));
            }
            Ok((mut experiment, true)) => {
                let batches = experiment.batches()?.per_epoch();
                let settings = &mut experiment.settings;
                settings.set_epoch(settings.run.steps_per_epoch(batches));
                return Ok((pinned(settings.config())?, experiment.length(batches)));
            }
            Err(error @ (Error::Unsupported(_) | Error::Value { .. })) => {
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| unsupported("there are no trials")))
}

/// Notes the digest of the data, so that no trial has others; `None` forgets it.
fn pin(base: &mut Config, digest: Option<Value>) -> Result<()> {
    let Some(section) = base.data.as_ref().map(|data| data.kind().section()) else { return Ok(()) };
    let mut map = base.to_map()?;
    if let Some(keys) = map.get_mut(section).and_then(Value::as_object_mut) {
        keys.remove("sha256");
        keys.extend(digest.map(|digest| ("sha256".to_owned(), digest)));
    }
    *base = serde_json::from_value(Value::Object(map)).map_err(|error| unsupported(error.to_string()))?;
    Ok(())
}

/// The digest of the data in the settings.
fn pinned(base: &Config) -> Result<Option<Value>> {
    let section = base.data.as_ref().map_or("", |data| data.kind().section());
    Ok(base.to_map()?.get(section).and_then(|keys| keys.get("sha256")).cloned())
}

/// Refuses settings that differ from those of the sweep in `path`.
fn check_same(plan: &Plan, stored: &Config, path: &Path) -> Result<()> {
    // The data are compared when they are read.
    let settings = |config: &Config| -> Result<Map<String, Value>> {
        let mut sections = Plan::identity(config).to_map()?;
        sections.values_mut().filter_map(Value::as_object_mut).for_each(|keys| drop(keys.remove("sha256")));
        Ok(sections)
    };
    match difference(&settings(&plan.config())?, &settings(stored)?) {
        None => Ok(()),
        Some(differs) => Err(unsupported(format!(
            "--out {}: expected a new folder, or the sweep of the same settings, got one of others: {differs}; nothing was \
             written",
            path_text(path)
        ))),
    }
}
