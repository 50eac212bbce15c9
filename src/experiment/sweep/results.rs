//! The results of a sweep: the table of its trials, the winner, a picture, and the files that hold them.

use serde_json::{Map, Value, json};

use super::draw::Draw;
use super::driver::{BASE, SWEEP, Sweep};
use super::record::{Work, to_json, write};
use super::standing::{Trial, deviation, mean};
use crate::experiment::config::MetricName;
use crate::experiment::config::agree::words;
use crate::experiment::files::folder::unwritten;
use crate::experiment::training::joined;
use crate::format::{cell, grouped, left, path_json, right, shell_quoted, short, widest};
use crate::plot::{SweepAxis, SweepChart, SweepLine};
use crate::report::{Report, Table};
use crate::{Error, Result};

/// The most trials in the table of the terminal.
const SHOWN: usize = 24;

const CSV: &str = "sweep.csv";
const METRICS: &str = "metrics.json";
const PICTURE: &str = "sweep.svg";
const REPORT: &str = "report.html";

/// What a sweep found.
pub struct SweepResults {
    /// In words, one line each.
    pub lines: Vec<String>,
    /// The same numbers and more, as JSON.
    pub summary: Map<String, Value>,
    verdict: Vec<String>,
    rows: Vec<Vec<String>>,
    columns: Vec<String>,
    csv: Vec<u8>,
    picture: SweepChart,
    command: String,
}

impl Sweep {
    /// Ranks the trials; `None` while there are runs left.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] for files that cannot be read; [`Error::Failed`] where all trials failed.
    pub fn results(&self) -> Result<Option<SweepResults>> {
        let (mut records, mut draws) = (self.records(), Vec::new());
        let standing = self.standing(&mut records, &mut draws)?;
        if !standing.next.is_empty() {
            return Ok(None);
        }
        let ranked = standing.ranked(&self.plan);
        let Some(best) = ranked.first().filter(|best| best.failed.is_none()) else {
            let reason = ranked.first().and_then(|trial| trial.failed.clone()).unwrap_or_default();
            let (all, folder) = (grouped(ranked.len() as u64), self.folder_of(1, 1));
            return Err(Error::Failed(format!("all {all} trials failed, trial 1 ({folder}) since {reason}")));
        };
        let test: Vec<_> = (1..=self.plan.seeds)
            .filter_map(|seed| records.get(Work { trial: best.number, seed, rung: self.plan.rungs() }))
            .map(|record| &record.test)
            .collect();
        let (winner, verdict) = (self.winner(best), self.verdict(&ranked));
        let (columns, rows) = (self.columns(), ranked.iter().map(|trial| self.row(trial)).collect::<Vec<_>>());
        let tested = tested(&test);
        let command = self.command(&best.draw, 1);
        let mut lines = table(&columns, &rows[..rows.len().min(SHOWN)]);
        if rows.len() > SHOWN {
            lines.push(format!("and {} more trials, which {CSV} has", grouped((rows.len() - SHOWN) as u64)));
        }
        lines.push(String::new());
        lines.extend([winner.clone()].into_iter().chain(verdict.iter().cloned()));
        lines.extend(tested.iter().cloned());
        lines.extend([String::new(), format!("    {command}")]);
        let summary = self.summary(&ranked, &test, &verdict, &command);
        let csv = self.csv(&ranked)?;
        let picture = self.picture(&standing.trials, best.number);
        let verdict = [winner].into_iter().chain(verdict).chain(tested).collect();
        Ok(Some(SweepResults { lines, summary, verdict, rows, columns, csv, picture, command }))
    }

    /// Writes the results into the folder: `sweep.csv`, `metrics.json`, `sweep.svg` and `report.html`. `facts`: names and
    /// texts for the report, beside those of the sweep.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub fn write(&self, results: &SweepResults, facts: Vec<(String, String)>) -> Result<()> {
        let file = |name: &str| self.path().join(name);
        write(&file(METRICS), &to_json(&results.summary)?)?;
        write(&file(CSV), &results.csv)?;
        let picture = results.picture.draw();
        write(&file(PICTURE), picture.file().as_bytes())?;
        let own = self.describe().into_iter().map(|(name, text)| (name.to_owned(), text));
        let report = Report {
            title: format!("{}, sweep of {} trials", self.name(), grouped(self.plan.trials as u64)),
            verdict: results.verdict.clone(),
            key_figures: Vec::new(),
            facts: joined(own.chain(facts).collect()),
            figures: vec![picture],
            tables: vec![Table {
                caption: "The trials, the best first".into(),
                columns: results.columns.clone(),
                rows: results.rows.clone(),
            }],
            command: format!("bptt sweep {}\n{}", shell_quoted(&file(SWEEP)), results.command),
        };
        write(&file(REPORT), report.html().as_bytes())
    }

    /// The names of the files of the results.
    pub fn files() -> [&'static str; 4] {
        [CSV, METRICS, PICTURE, REPORT]
    }

    /// The name of the folder.
    fn name(&self) -> String {
        let name = self.path().file_name().map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "sweep".into())
    }

    /// The command line that repeats a run of a trial.
    fn command(&self, draw: &Draw, seed: usize) -> String {
        let mut command = format!("bptt train --config {}", shell_quoted(&self.path().join(BASE)));
        for (name, value) in draw {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            command += &format!(" --set {name}={}", shell_quoted(value.as_ref()));
        }
        command + &format!(" --seed {}", self.plan.seed_of(seed))
    }

    fn metric(&self) -> String {
        match self.plan.metric {
            MetricName::ValLoss => "validation loss".into(),
            metric => words(&metric),
        }
    }

    /// The numbers by which a trial is ranked.
    fn ranked_by<'a>(&self, trial: &'a Trial) -> &'a [f64] {
        if trial.metrics.is_empty() { &trial.losses } else { &trial.metrics }
    }

    fn winner(&self, best: &Trial) -> String {
        let values: Vec<String> = best.draw.iter().map(|(name, value)| format!("{name} {}", text(value))).collect();
        let seeds = match self.plan.seeds {
            1 => String::new(),
            seeds => format!(" over {seeds} seeds"),
        };
        let value = with_deviation(self.ranked_by(best));
        format!("winner: trial {}, {} {value}{seeds}: {}", best.number, self.metric(), values.join(", "))
    }

    /// How far the next trial is behind the winner, if both were trained as far.
    fn margin(&self, ranked: &[&Trial]) -> Option<Margin> {
        let [best, next, ..] = ranked else { return None };
        if next.failed.is_some() || best.rung != next.rung {
            return None;
        }
        let [a, b] = [best, next].map(|trial| self.ranked_by(trial));
        let spread = deviation(a).zip(deviation(b)).map(|(a, b)| ((a * a + b * b) / 2.0).sqrt());
        Some(Margin { runner_up: next.number, difference: (mean(a) - mean(b)).abs(), spread })
    }

    /// Whether the winner is better than the next by more than its seeds differ, and how many trials failed, in words.
    fn verdict(&self, ranked: &[&Trial]) -> Vec<String> {
        let mut lines = Vec::new();
        let failed = ranked.iter().filter(|trial| trial.failed.is_some()).count();
        match (self.margin(ranked), ranked) {
            (Some(margin), _) => lines.push(margin.words()),
            (None, [best, next, ..]) if next.failed.is_none() => {
                let [before, all] = [next.steps, best.steps].map(grouped);
                lines.push(format!("the runner-up, trial {}, was left after {before} of {all} steps", next.number));
            }
            _ => {}
        }
        if failed > 0 {
            lines.push(format!("{} of {} trials failed", grouped(failed as u64), grouped(ranked.len() as u64)));
        }
        lines
    }
}

/// The table, the file of it, and the picture.
impl Sweep {
    fn columns(&self) -> Vec<String> {
        let mut columns = vec!["trial".to_owned()];
        columns.extend(self.plan.sweep.space.0.keys().cloned());
        columns.push("steps".into());
        if self.plan.metric != MetricName::ValLoss {
            columns.push(self.metric());
        }
        columns.extend(["validation loss".to_owned(), "".to_owned()]);
        columns
    }

    fn row(&self, trial: &Trial) -> Vec<String> {
        let mut row = vec![trial.number.to_string()];
        row.extend(trial.draw.values().map(text));
        row.push(grouped(trial.steps));
        let of = |values: &[f64]| {
            if trial.failed.is_some() || values.is_empty() { "–".into() } else { with_deviation(values) }
        };
        if self.plan.metric != MetricName::ValLoss {
            row.push(of(&trial.metrics));
        }
        row.push(of(&trial.losses));
        row.push(self.state(trial));
        row
    }

    /// What became of a trial, in words; empty where it was trained to its end.
    fn state(&self, trial: &Trial) -> String {
        match &trial.failed {
            Some(reason) => format!("failed: {reason}"),
            None if trial.rung < self.plan.rungs() => format!("left at rung {}", trial.rung),
            None => String::new(),
        }
    }

    fn csv(&self, ranked: &[&Trial]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut csv = csv::Writer::from_writer(&mut bytes);
        let names = self.plan.sweep.space.0.keys().map(String::as_str);
        let has_metric = self.plan.metric != MetricName::ValLoss;
        let metric = words(&self.plan.metric).replace('-', "_");
        let mut head: Vec<String> = ["rank", "trial"].into_iter().chain(names).map(str::to_owned).collect();
        head.extend(["rung", "steps", "state"].map(str::to_owned));
        if has_metric {
            head.extend([metric.clone(), format!("{metric}_deviation")]);
        }
        head.extend(["val_loss", "val_loss_deviation"].map(str::to_owned));
        head.extend((1..=self.plan.seeds).map(|seed| format!("val_loss_seed_{}", self.plan.seed_of(seed))));
        csv.write_record(&head).map_err(unwritten)?;
        let number = |value: Option<f64>| {
            value.filter(|value| value.is_finite()).map_or(String::new(), |value| value.to_string())
        };
        for (trial, rank) in ranked.iter().zip(1..) {
            let mut record = vec![rank.to_string(), trial.number.to_string()];
            record.extend(trial.draw.values().map(text));
            let state = if trial.failed.is_some() || trial.rung < self.plan.rungs() {
                self.state(trial)
            } else {
                "trained".into()
            };
            record.extend([trial.rung.to_string(), trial.steps.to_string(), state]);
            if has_metric {
                record.extend([number(Some(mean(&trial.metrics))), number(deviation(&trial.metrics))]);
            }
            record.extend([number(Some(trial.loss())), number(deviation(&trial.losses))]);
            record.extend((0..self.plan.seeds).map(|seed| number(trial.losses.get(seed).copied())));
            csv.write_record(&record).map_err(unwritten)?;
        }
        csv.flush().map_err(unwritten)?;
        drop(csv);
        Ok(bytes)
    }

    fn summary(
        &self,
        ranked: &[&Trial],
        test: &[&Map<String, Value>],
        verdict: &[String],
        command: &str,
    ) -> Map<String, Value> {
        let number = |values: &[f64]| json!({"mean": mean(values), "deviation": deviation(values), "by_seed": values});
        let trial = |(trial, rank): (&&Trial, usize)| {
            let folders = (1..=self.plan.seeds)
                .map(|seed| Work { trial: trial.number, seed, rung: 1 }.folder().to_string_lossy().into_owned());
            let mut value = json!({
                "rank": rank, "trial": trial.number, "settings": trial.draw, "rung": trial.rung, "steps": trial.steps,
                "trained": trial.failed.is_none() && trial.rung == self.plan.rungs(),
                "failed": trial.failed, "runs": folders.collect::<Vec<_>>(),
            });
            if trial.failed.is_none() {
                value["val_loss"] = number(&trial.losses);
                if !trial.metrics.is_empty() {
                    value["metric"] = number(&trial.metrics);
                }
            }
            value
        };
        let mut summary = Map::new();
        summary.insert("sweep".into(), json!(path_json(self.path())));
        summary.insert("settings".into(), json!(self.plan.sweep));
        summary.insert(
            "seeds".into(),
            json!((1..=self.plan.seeds).map(|seed| self.plan.seed_of(seed)).collect::<Vec<_>>()),
        );
        summary.insert("metric".into(), json!(words(&self.plan.metric)));
        summary.insert("higher_is_better".into(), json!(self.plan.metric.is_higher_better()));
        let mut winner = ranked.iter().zip(1..).next().map(trial).unwrap_or_default();
        winner["command"] = json!(command);
        winner["test_by_seed"] = json!(test);
        winner["words"] = json!(verdict);
        winner["runner_up"] = self.margin(ranked).map(|margin| margin.json()).unwrap_or_default();
        summary.insert("winner".into(), winner);
        summary.insert("trials".into(), ranked.iter().zip(1..).map(trial).collect());
        summary
    }

    /// The picture of all trials, by number.
    fn picture(&self, trials: &[Trial], best: usize) -> SweepChart {
        let space = &self.plan.sweep.space.0;
        let axes = space.iter().map(|(name, dimension)| {
            let examples = dimension.examples();
            let ticks = match dimension.values() {
                Some(values) if values.len() <= 12 => values,
                Some(_) => [examples.first(), examples.last()].into_iter().flatten().cloned().collect(),
                None => [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0].map(|u| dimension.at(u)).into(),
            };
            let tick = |value: &Value| Some((dimension.position(value)?, text(value)));
            SweepAxis { name: name.clone(), ticks: ticks.iter().filter_map(tick).collect() }
        });
        let last = self.plan.rungs();
        let line = |trial: &Trial| SweepLine {
            number: trial.number,
            positions: space
                .iter()
                .map(|(name, dimension)| {
                    trial.draw.get(name).and_then(|value| dimension.position(value)).unwrap_or(f64::NAN)
                })
                .collect(),
            value: if trial.failed.is_some() { f64::NAN } else { mean(self.ranked_by(trial)) },
            is_trained: trial.rung == last,
            is_best: trial.number == best,
        };
        SweepChart {
            title: format!("{}: {} trials", self.name(), grouped(trials.len() as u64)),
            metric: self.metric(),
            is_higher_better: self.plan.metric.is_higher_better(),
            axes: axes.collect(),
            lines: trials.iter().map(line).collect(),
        }
    }
}

/// How far the runner-up is behind.
struct Margin {
    runner_up: usize,
    difference: f64,
    /// The root mean square of the standard deviations of both trials' seeds.
    spread: Option<f64>,
}

impl Margin {
    fn is_within(&self) -> Option<bool> {
        self.spread.map(|spread| self.difference <= spread)
    }

    fn words(&self) -> String {
        let after = format!("the runner-up, trial {}, is {} behind", self.runner_up, short(self.difference));
        let spread = short(self.spread.unwrap_or(f64::NAN));
        match self.is_within() {
            Some(true) => {
                format!("{after}: within the spread of the seeds, {spread}, so that others may turn it round")
            }
            Some(false) => format!("{after}: more than the spread of the seeds, {spread}"),
            None => format!("{after}; how much of it is chance, one seed does not show (--seeds)"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "trial": self.runner_up, "difference": self.difference, "spread": self.spread,
            "within_spread": self.is_within(),
        })
    }
}

/// A value of a setting.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// `0.1234 ± 0.0012`, or without a deviation of one value.
fn with_deviation(values: &[f64]) -> String {
    let deviation = deviation(values).map(|deviation| format!(" ± {}", short(deviation))).unwrap_or_default();
    format!("{}{deviation}", short(mean(values)))
}

/// The test results of the winner: its plain numbers, and no baseline's.
fn tested(test: &[&Map<String, Value>]) -> Vec<String> {
    let of_network = ["accuracy", "macro_f1", "rmse", "mae", "r_squared", "bits_per_character", "esr", "loss"];
    let texts = of_network.iter().filter_map(|name| {
        let values: Option<Vec<f64>> = test.iter().map(|part| part.get(*name)?.as_f64()).collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(format!("{} {}", name.replace('_', " "), with_deviation(&values)))
    });
    let texts: Vec<String> = texts.take(3).collect();
    if texts.is_empty() {
        return Vec::new();
    }
    vec![format!("its test split, which nothing was chosen by: {}", texts.join(", "))]
}

/// Aligned lines, of which the last column, a text, is at the left.
fn table(columns: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let all = || std::iter::once(columns).chain(rows.iter().map(Vec::as_slice));
    let last = columns.len() - 1;
    let width = |column: usize| widest(all().filter_map(|row| row.get(column)).map(|text| cell(text)));
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (text, width))| {
            // A reason is not cut.
            if column == last { left(text, 0) } else { right(&cell(text), *width) }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}
