//! The results of a backtest: tables, a summary, a picture, and the files that hold them.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::driver::{BACKTEST, Backtest};
use super::forecasts::Forecasts;
use super::scores::{Scores, key};
use crate::experiment::config::agree::words;
use crate::experiment::files::folder::unwritten;
use crate::experiment::measure::comparison::Verdict;
use crate::experiment::measure::metric::{Metric, Needs, four};
use crate::experiment::measure::quantiles::{POINT, column};
use crate::experiment::measure::series_errors::Forecaster;
use crate::experiment::measure::series_tables::some_steps;
use crate::experiment::tasks::series::forecast_columns::{TRUTH, column_of_baseline};
use crate::experiment::training::joined;
use crate::format::{cell, grouped, left, path_json, right, shell_quoted, widest};
use crate::plot::{BacktestChart, Drawing, ErrorLine, RolledOut, RolloutTarget, RowAxis};
use crate::report::{Report, Table};
use crate::{Error, Result};

/// The most folds in a table of the terminal, and the most steps.
const FOLDS_SHOWN: usize = 24;
const STEPS_SHOWN: usize = 6;

/// The names of the files.
const CSV: &str = "backtest.csv";
const METRICS: &str = "metrics.json";
const PICTURE: &str = "backtest.svg";
const REPORT: &str = "report.html";

/// What a backtest found.
pub struct BacktestResults {
    /// In words, one line each; the first says whether the network is worth it.
    pub lines: Vec<String>,
    /// The same numbers and more, as JSON.
    pub summary: Map<String, Value>,
    forecasts: Forecasts,
    verdict: Option<Verdict>,
    tables: Vec<Text>,
}

/// A table for the terminal and the report.
struct Text {
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Backtest {
    /// Scores the forecasts of all folds, which have to be finished.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] for the forecasts of a fold that cannot be read.
    pub fn results(&self) -> Result<BacktestResults> {
        let forecasts = self.forecasts()?;
        let verdict = forecasts.verdict();
        let tables = self.tables(&forecasts);
        let mut lines: Vec<String> = verdict.iter().flat_map(|verdict| [verdict.words(), String::new()]).collect();
        let steps = some_steps(forecasts.horizon(), STEPS_SHOWN);
        lines.extend(overall(&forecasts).iter().flat_map(Text::lines));
        lines.extend(self.by_fold(&forecasts, &some_steps(self.folds().len(), FOLDS_SHOWN)).lines());
        if self.folds().len() > FOLDS_SHOWN {
            lines.pop();
            let more = self.folds().len() - FOLDS_SHOWN;
            lines.extend([format!("and {} more folds, which {METRICS} has", grouped(more as u64)), String::new()]);
        }
        lines.extend(by_step(&forecasts, &steps).iter().flat_map(Text::lines));
        lines.extend(self.notes(&forecasts));
        let summary = self.summary(&forecasts, verdict.as_ref());
        Ok(BacktestResults { lines, summary, forecasts, verdict, tables })
    }

    /// Writes the results into the folder: `backtest.csv`, `metrics.json`, `backtest.svg` and `report.html`. `facts`:
    /// names and texts for the report, beside those of the backtest.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub fn write(&self, results: &BacktestResults, facts: Vec<(String, String)>) -> Result<()> {
        let json = serde_json::to_string_pretty(&results.summary).map_err(|error| Error::Failed(error.to_string()))?;
        self.folder.write(METRICS, format!("{json}\n").as_bytes())?;
        let mut csv = Vec::new();
        self.write_csv(&results.forecasts, &mut csv)?;
        self.folder.write(CSV, &csv)?;
        let picture = self.picture(&results.forecasts);
        self.folder.write(PICTURE, picture.file().as_bytes())?;
        let own = self.describe().into_iter().map(|(name, text)| (name.to_owned(), text));
        let report = Report {
            title: format!("{}, backtest", self.plan.data.name),
            verdict: results.verdict.iter().map(Verdict::words).chain(self.notes(&results.forecasts)).collect(),
            key_figures: key_figures(&results.forecasts),
            facts: joined(own.chain(facts).collect()),
            figures: vec![picture],
            tables: results.tables.iter().map(Text::of_report).collect(),
            command: format!("bptt backtest --config {}", shell_quoted(&self.path().join(BACKTEST))),
        };
        self.folder.write(REPORT, report.html().as_bytes())
    }

    /// The names of the files of the results.
    pub fn files() -> [&'static str; 4] {
        [CSV, METRICS, PICTURE, REPORT]
    }

    /// The tables of the report, with every fold and step.
    fn tables(&self, forecasts: &Forecasts) -> Vec<Text> {
        let mut tables = overall(forecasts);
        tables.push(self.by_fold(forecasts, &(1..=self.folds().len()).collect::<Vec<_>>()));
        tables.extend(by_step(forecasts, &(1..=forecasts.horizon()).collect::<Vec<_>>()));
        tables
    }

    /// A row for each of some folds, by number, and a column for each forecaster.
    fn by_fold(&self, forecasts: &Forecasts, numbers: &[usize]) -> Text {
        let metric = forecasts.compared();
        let row = |number: &usize| {
            let fold = &self.folds()[number - 1];
            let first = format!("fold {number}, after {}", cell(self.origin(fold)));
            std::iter::once(first)
                .chain(values(forecasts, metric, number - 1..*number, 0..forecasts.horizon()))
                .collect()
        };
        let names = forecasts.forecasters.iter().map(|forecaster| forecaster.name.to_owned());
        let columns = std::iter::once(format!("{} by fold", metric.name)).chain(names).collect();
        Text { caption: format!("{} by fold", metric.name), columns, rows: numbers.iter().map(row).collect() }
    }

    /// What the numbers are, in words.
    fn notes(&self, forecasts: &Forecasts) -> Vec<String> {
        let units = match &forecasts.targets[..] {
            [target] => format!("in units of {target}; every fold weighs alike"),
            targets => {
                format!("means over {} targets, without units; every fold weighs alike", grouped(targets.len() as u64))
            }
        };
        let scale = match self.plan.season() {
            None | Some(1) => "MASE and RMSSE: in units of the error of the last value one row ahead".to_owned(),
            Some(season) => format!(
                "MASE: in units of the error of the value {} rows before, RMSSE: of the last value one row ahead",
                grouped(season as u64)
            ),
        };
        let mut notes = vec![format!("{units}; {scale}, in the rows up to each origin")];
        if let [first, .., last] = forecasts.quantiles[..] {
            let expected = crate::format::share(last - first);
            notes.push(format!(
                "coverage: the share within the quantiles {first} to {last}, of which {expected} is expected"
            ));
        }
        let unknown: Vec<&str> = (1..forecasts.forecasters.len())
            .filter(|of| !forecasts.quantiles.is_empty() && forecasts.has_no_range(*of))
            .map(|of| forecasts.forecasters[of].name)
            .collect();
        if !unknown.is_empty() {
            notes.push(format!(
                "no range in every fold, and so no pinball loss: {}; the training rows are too few to estimate its errors",
                unknown.join(", ")
            ));
        }
        notes.extend(forecasts.notes.iter().cloned());
        notes
    }

    fn summary(&self, forecasts: &Forecasts, verdict: Option<&Verdict>) -> Map<String, Value> {
        let (folds, targets, steps) = (0..self.folds().len(), 0..forecasts.targets.len(), 0..forecasts.horizon());
        let mut summary = Map::new();
        summary.insert("backtest".into(), json!(path_json(self.path())));
        summary.insert("data".into(), json!(self.plan.data.name));
        summary.insert("targets".into(), json!(forecasts.targets));
        let settings = &self.plan.config.backtest;
        summary.insert("folds".into(), json!(self.folds().len()));
        summary.insert("stride".into(), json!(settings.stride));
        summary.insert("horizon".into(), json!(forecasts.horizon()));
        summary.insert("refit".into(), json!(words(&self.plan.refit)));
        summary.insert("season".into(), json!(self.plan.season()));
        summary.insert("quantiles".into(), json!(forecasts.quantiles));
        summary.extend(verdict.map(|verdict| ("verdict".to_owned(), verdict.json())));
        summary.insert("overall".into(), forecasts.json(folds.clone(), targets.clone(), steps.clone()).into());
        let wins = |(of, name): (usize, &Forecaster)| {
            let [better, all] = forecasts.wins(of);
            (key(name), json!({"folds": all, "network_better": better}))
        };
        let wins: Map<String, Value> = forecasts.forecasters.iter().enumerate().skip(1).map(wins).collect();
        summary.insert("compared_by_fold".into(), wins.into());
        if forecasts.targets.len() > 1 {
            let of = |(target, name): (usize, &String)| {
                (name.clone(), forecasts.json(folds.clone(), target..target + 1, steps.clone()).into())
            };
            let by_target: Map<String, Value> = forecasts.targets.iter().enumerate().map(of).collect();
            summary.insert("by_target".into(), by_target.into());
        }
        let of_fold = |(index, fold): (usize, &super::folds::Fold)| {
            let mut value = Map::new();
            value.insert("fold".into(), json!(fold.number));
            value.insert("train_until".into(), json!(self.plan.label(fold.train_end - 1)));
            value.insert("origin".into(), json!(self.origin(fold)));
            value.insert("test_until".into(), json!(self.plan.label(fold.end - 1)));
            value.insert("training_rows".into(), json!(fold.train_end));
            value.insert("validation_rows".into(), json!(fold.validation().len()));
            value.extend(forecasts.json(index..index + 1, targets.clone(), steps.clone()));
            Value::Object(value)
        };
        summary.insert("by_fold".into(), self.folds().iter().enumerate().map(of_fold).collect());
        let of_step = |step: usize| {
            let mut value = Map::new();
            value.insert("step".into(), json!(step + 1));
            value.extend(forecasts.json(folds.clone(), targets.clone(), step..step + 1));
            Value::Object(value)
        };
        summary.insert("by_step".into(), (0..forecasts.horizon()).map(of_step).collect());
        summary.insert("notes".into(), json!(forecasts.notes));
        summary
    }

    /// A line for each fold, target and step: the truth, and the forecast of each forecaster with its quantiles if they
    /// are known in every fold.
    fn write_csv(&self, forecasts: &Forecasts, out: &mut Vec<u8>) -> Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let mut record: Vec<String> = ["fold", "origin", "step"].map(str::to_owned).into();
        record.push(self.plan.data.series.label_name().to_owned());
        record.extend(["target", TRUTH, POINT].map(str::to_owned));
        record.extend(forecasts.quantiles.iter().map(|quantile| column(*quantile)));
        // Those of a baseline are not known in every fold if too few rows precede its first origin.
        let has_ranges: Vec<bool> = (0..forecasts.forecasters.len()).map(|of| !forecasts.has_no_range(of)).collect();
        for (forecaster, has_ranges) in forecasts.forecasters.iter().zip(&has_ranges).skip(1) {
            let key = key(forecaster);
            record.push(key.clone());
            let quantiles = forecasts.quantiles.iter().filter(|_| *has_ranges);
            record.extend(quantiles.map(|quantile| column_of_baseline(&key, &column(*quantile))));
        }
        csv.write_record(&record).map_err(unwritten)?;
        // A missing value is an empty field, as in the data.
        let text = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
        for (fold, of) in self.folds().iter().zip(&forecasts.folds) {
            for (target, name) in forecasts.targets.iter().enumerate().filter(|(target, _)| of.is_forecast[*target]) {
                for step in 0..forecasts.horizon() {
                    record.clear();
                    let row = self.plan.label(fold.known + step).to_owned();
                    record.extend([fold.number.to_string(), self.origin(fold).to_owned(), (step + 1).to_string(), row]);
                    let (network, ranges) = &of.by_forecaster[0];
                    record.extend([name.clone(), text(of.truth[[step, target]]), text(network[[step, target]])]);
                    record.extend(ranges.iter().map(|range| text(range[[step, target]])));
                    for ((values, ranges), has_ranges) in of.by_forecaster.iter().zip(&has_ranges).skip(1) {
                        record.push(text(values[[step, target]]));
                        let ranges = ranges.iter().filter(|_| *has_ranges);
                        record.extend(ranges.map(|range| text(range[[step, target]])));
                    }
                    csv.write_record(&record).map_err(unwritten)?;
                }
            }
        }
        csv.flush().map_err(unwritten)
    }

    fn picture(&self, forecasts: &Forecasts) -> Drawing {
        let series = &self.plan.data.series;
        let positions = series.positions();
        let metric = forecasts.compared();
        let targets = series.truths().iter().enumerate().map(|(target, column)| {
            let rolled = self.folds().iter().zip(&forecasts.folds).filter(|(_, of)| of.is_forecast[target]);
            let rolled = rolled.map(|(fold, of)| {
                let (values, ranges) = &of.by_forecaster[0];
                let range = match &ranges[..] {
                    [low, .., high] => Some([low, high].map(|range| range.column(target).to_vec())),
                    _ => None,
                };
                RolledOut { first: fold.known, values: values.column(target).to_vec(), range }
            });
            RolloutTarget { name: &column.name, truth: &column.values, forecasts: rolled.collect() }
        });
        let lines = forecasts.forecasters.iter().enumerate().map(|(of, forecaster)| {
            let value = |folds: Range<usize>, steps: Range<usize>| {
                (metric.of)(&forecasts.scores(of, folds, 0..forecasts.targets.len(), steps))
            };
            ErrorLine {
                name: forecaster.name,
                by_fold: (0..self.folds().len()).map(|fold| value(fold..fold + 1, 0..forecasts.horizon())).collect(),
                by_step: (0..forecasts.horizon()).map(|step| value(0..self.folds().len(), step..step + 1)).collect(),
            }
        });
        let title = match &forecasts.targets[..] {
            [target] => format!("{target}: forecasts of every fold, from each dot on"),
            targets => format!("{}: {} targets, forecasts of every fold", self.plan.data.name, targets.len()),
        };
        BacktestChart {
            title,
            rows: RowAxis { name: series.label_name(), positions: positions.as_deref(), labels: series.labels() },
            horizon: forecasts.horizon(),
            range: match forecasts.quantiles[..] {
                [low, .., high] => Some([low, high]),
                _ => None,
            },
            targets: targets.collect(),
            measure: metric.name,
            origins: self.folds().iter().map(|fold| self.origin(fold).to_owned()).collect(),
            lines: lines.collect(),
        }
        .draw()
    }
}

impl Text {
    /// Aligned, with an empty line behind.
    fn lines(&self) -> Vec<String> {
        let rows = || std::iter::once(&self.columns).chain(&self.rows);
        let first = widest(rows().filter_map(|row| row.first()).map(|name| cell(name))).max(22);
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|column| widest(rows().filter_map(|row| row.get(column))).max(9)).collect();
        let line = |row: &Vec<String>| {
            let (name, cells) =
                (row.first().map(|name| cell(name)).unwrap_or_default(), row.iter().zip(&widths).skip(1));
            left(&name, first) + &cells.map(|(text, width)| format!("  {}", right(text, *width))).collect::<String>()
        };
        rows().map(line).chain([String::new()]).collect()
    }

    fn of_report(&self) -> Table {
        Table { caption: self.caption.clone(), columns: self.columns.clone(), rows: self.rows.clone() }
    }
}

/// The text of a metric of every forecaster.
fn values(
    forecasts: &Forecasts,
    metric: &Metric<Scores>,
    folds: Range<usize>,
    steps: Range<usize>,
) -> impl Iterator<Item = String> {
    let targets = 0..forecasts.targets.len();
    (0..forecasts.forecasters.len())
        .map(move |of| (metric.text)((metric.of)(&forecasts.scores(of, folds.clone(), targets.clone(), steps.clone()))))
}

/// Every metric over all folds, a row for each forecaster: those of the forecasts, and those of their ranges.
fn overall(forecasts: &Forecasts) -> Vec<Text> {
    let over = format!("over {} folds", grouped(forecasts.folds.len() as u64));
    let table = |title: String, is_first: bool, metrics: Vec<&'static Metric<Scores>>| {
        let row = |(of, forecaster): (usize, &Forecaster)| {
            let scores = forecasts.overall(of);
            let mut row = vec![forecaster.name.to_owned()];
            row.extend(metrics.iter().map(|metric| (metric.text)((metric.of)(&scores))));
            if is_first {
                let [better, all] = forecasts.wins(of);
                row.push(if of == 0 { String::new() } else { format!("{better} of {all}") });
            }
            row
        };
        let mut columns = vec![title.clone()];
        columns.extend(metrics.iter().map(|metric| metric.name.to_owned()));
        columns.extend(is_first.then(|| "beaten in".to_owned()));
        Text { caption: title, columns, rows: forecasts.forecasters.iter().enumerate().map(row).collect() }
    };
    let all = || forecasts.metrics(forecasts.targets.len() > 1);
    let (points, ranges): (Vec<_>, Vec<_>) = all().partition(|metric| metric.needs == Needs::Point);
    let mut tables = vec![table(over.clone(), true, points)];
    if !ranges.is_empty() {
        tables.push(table(format!("{over}, ranges"), false, ranges));
    }
    tables
}

/// A row for each forecaster and a column for each of some steps; none if there is one step.
fn by_step(forecasts: &Forecasts, steps: &[usize]) -> Option<Text> {
    let metric = forecasts.compared();
    let title = format!("{} by step ahead", metric.name);
    let row = |(of, forecaster): (usize, &Forecaster)| {
        let value = |step: &usize| {
            let (folds, targets) = (0..forecasts.folds.len(), 0..forecasts.targets.len());
            (metric.text)((metric.of)(&forecasts.scores(of, folds, targets, step - 1..*step)))
        };
        std::iter::once(forecaster.name.to_owned()).chain(steps.iter().map(value)).collect()
    };
    let columns = std::iter::once(title.clone()).chain(steps.iter().map(usize::to_string)).collect();
    let rows = forecasts.forecasters.iter().enumerate().map(row).collect();
    (steps.len() > 1).then_some(Text { caption: title, columns, rows })
}

/// The compared metric of every forecaster.
fn key_figures(forecasts: &Forecasts) -> Vec<(String, String)> {
    let metric = forecasts.compared();
    let of = |(of, forecaster): (usize, &Forecaster)| {
        let value = (metric.of)(&forecasts.overall(of));
        let text = if value.is_nan() { "–".to_owned() } else { four(value) };
        (format!("{}, {}", metric.name, forecaster.name), text)
    };
    forecasts.forecasters.iter().enumerate().map(of).collect()
}
