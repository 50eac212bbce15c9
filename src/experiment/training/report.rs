//! What a run writes after its weights: pictures, the report and a summary.

use serde_json::{Map, Value, json};

use super::missing::Missing;
use super::pace::Pace;
use super::run::{TrainedSteps, TrainingRun};
use crate::experiment::files::names;
use crate::experiment::measure::comparison::Verdict;
use crate::experiment::measure::{comparison, loss};
use crate::experiment::model::model_file;
use crate::experiment::ranks::StepBytes;
use crate::experiment::resume;
use crate::experiment::settings::Settings;
use crate::experiment::tasks::task::Results;
use crate::format::{grouped, path_json, shell_quoted, short};
use crate::plot::{Baseline, Drawing, Epochs, Steps};
use crate::report::Report;
use crate::train::{BestValidation, Outcome};
use crate::{Result, plot};

/// The report's file.
const REPORT: &str = "report.html";

impl TrainingRun<'_> {
    /// The pictures of every run, by file name.
    pub(super) fn figures(
        &self,
        history: &dyn Steps,
        best: Option<BestValidation>,
        last_weight: f64,
    ) -> Result<Vec<(&'static str, Drawing)>> {
        if history.count() == 0 {
            return Ok(Vec::new());
        }
        let Settings { run, epochs, optimizer, .. } = &self.experiment.settings;
        let steps = run.steps_per_epoch(self.batches_per_epoch());
        let epochs = Epochs { steps, on_axis: epochs.is_some(), last_weight };
        let name = self.name();
        let baseline: Option<Baseline> = self.experiment.task.baseline().filter(|_| best.is_some());
        let of = loss::name(&self.experiment.task.head().loss);
        let loss = plot::loss(&format!("{name}: loss"), of, history, epochs, baseline.as_ref())?;
        let norm = plot::gradient_norm(&format!("{name}: gradient norm"), history, epochs, optimizer.clip_norm)?;
        Ok(vec![("loss.svg", loss), ("gradient_norm.svg", norm)])
    }

    /// The weight of an epoch's last step compared with its first, for a picture: the last batch may be smaller.
    pub(super) fn weight_of_last_step(&self) -> f64 {
        let Settings { run, .. } = &self.experiment.settings;
        let steps = run.steps_per_epoch(self.batches_per_epoch());
        let weight = |step: u64| -> Option<f64> {
            let first = step * run.accumulate;
            let batches = first..self.batches_per_epoch().min(first + run.accumulate);
            batches.map(|number| Some(self.training.batch(number).ok()?.total_weight())).sum()
        };
        // If a file cannot be read any more, all steps have equal weight.
        let weights = weight(0).zip(weight(steps.saturating_sub(1)));
        let share = weights.map(|(first, last)| last / first).filter(|share| *share > 0.0 && *share < 1.0);
        share.unwrap_or(1.0)
    }

    pub(super) fn write_figures(&self, figures: &[(&'static str, Drawing)], missing: &mut Missing) {
        for (name, picture) in figures {
            missing.keep(name, self.folder.write(name, picture.file().as_bytes()));
        }
    }

    /// Writes the pictures, the files and the report of the results. `facts`: names and texts for the report, beside
    /// those of the run.
    pub fn write_results(
        &self,
        steps: &mut TrainedSteps,
        results: Results,
        facts: Vec<(String, String)>,
        missing: &mut Missing,
    ) {
        for (what, error) in results.missing {
            missing.keep::<()>(what, Err(error));
        }
        self.write_figures(&results.figures, missing);
        for (name, contents) in &results.files {
            missing.keep(name, self.folder.write(name, contents));
        }
        let figures = steps.figures.drain(..).chain(results.figures);
        let report = Report {
            title: self.name(),
            verdict: results
                .verdict
                .iter()
                .map(Verdict::words)
                .chain(comparison::sentences(&results.comparisons))
                .collect(),
            key_figures: key_figures(&steps.outcome, &steps.pace, results.key_figures),
            facts: joined(self.facts().into_iter().chain(facts).chain(missing.facts()).collect()),
            tables: results.tables,
            figures: figures.map(|(_, picture)| picture).collect(),
            command: self.command(),
        };
        missing.keep(REPORT, self.folder.write(REPORT, report.html().as_bytes()));
    }

    /// The command that repeats the run.
    fn command(&self) -> String {
        let config = self.folder.path().join(names::CONFIG);
        let text = std::fs::read_to_string(&config).unwrap_or_default();
        let longer = resume::repeated_by(&text).map(str::to_owned);
        longer.unwrap_or_else(|| format!("bptt train --config {}", shell_quoted(&config)))
    }

    /// The run as JSON, for other programs. The settings are those of `config.toml`.
    ///
    /// # Errors
    /// If a setting is a path that is not UTF-8.
    pub fn summary(&self, steps: &TrainedSteps, missing: &Missing) -> Result<Map<String, Value>> {
        let TrainedSteps { outcome, loss, pace, skipped, .. } = steps;
        let value = json!({
            "run": path_json(self.folder.path()),
            "device": self.device.describe(),
            "data": self.experiment.task.describe(),
            "model": model_file::describe(&self.experiment.model),
            "parameters": model_file::parameters(&self.experiment.model),
            "settings": self.experiment.settings.config().to_map()?,
            "memory": self.memory.json(),
            "epochs": outcome.last.epoch,
            "steps": outcome.last.step,
            "skipped": skipped,
            "ended": outcome.stop_reason,
            "seconds": pace.seconds,
            "sequences_per_second": pace.sequences,
            "time_steps_per_second": pace.time_steps,
            "loss": loss.mean,
            "loss_over_steps": loss.steps,
            "val_loss": outcome.last.val_loss,
            "best": outcome.best,
        });
        let mut summary = if let Value::Object(map) = value { map } else { Map::new() };
        if let Some(ranks) = &self.ranks {
            summary.insert("ranks".into(), json!(ranks.size()));
            let sent = steps.sent.map(|StepBytes { most, all }| json!({"most": most, "all": all}));
            summary.insert("bytes_sent_per_step".into(), json!(sent));
        }
        if !missing.words().is_empty() {
            summary.insert("missing".into(), json!(missing.words()));
        }
        Ok(summary)
    }
}

/// The report's first row: the task's entries, then those of every run.
fn key_figures(outcome: &Outcome, pace: &Pace, mut of_task: Vec<(String, String)>) -> Vec<(String, String)> {
    let best = outcome.best.map(|best| ("lowest validation loss".to_owned(), short(best.val_loss)));
    of_task.extend(best);
    of_task.push(("steps".into(), grouped(outcome.last.step)));
    of_task.push(("time".into(), pace.time()));
    of_task
}

/// Joins lines whose name is empty with the previous one.
pub(crate) fn joined(lines: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    for (name, text) in lines {
        match facts.last_mut().filter(|_| name.is_empty()) {
            Some((_, before)) => *before = format!("{before}\n{text}"),
            None => facts.push((name, text)),
        }
    }
    facts
}
