//! The forecasts of the folds, from the files that their runs wrote.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Axis};

use super::driver::Backtest;
use super::folds::Fold;
use super::plan::rows;
use crate::data::NaiveScale;
use crate::experiment::config::RefitName;
use crate::experiment::files::folder::io_error;
use crate::experiment::measure::quantiles::{POINT, column, middle, of_column};
use crate::experiment::measure::series_errors::Forecaster;
use crate::experiment::tasks::series::forecast_columns::{FORECASTS, TRUTH, column_of_baseline};
use crate::experiment::tasks::series::forecasters::{DRIFT, LAST_VALUE, LINEAR, NETWORK, SEASONAL};
use crate::{Error, Result};

/// The forecasters in the order of the tables, the network first.
const FORECASTERS: [Forecaster; 5] = [NETWORK, LAST_VALUE, SEASONAL, DRIFT, LINEAR];

/// The forecasts of every fold.
pub(super) struct Forecasts {
    /// Those that every fold has, the network first.
    pub(super) forecasters: Vec<Forecaster>,
    /// The quantiles of the network, ascending, of which the middle one is its forecast where there is no other.
    pub(super) quantiles: Vec<f64>,
    /// Whether the network forecasts one value between its quantiles, which stands for the median as in the results of a
    /// run.
    pub(super) around_point: bool,
    /// The names of the targets.
    pub(super) targets: Vec<String>,
    pub(super) folds: Vec<FoldForecasts>,
    /// What is not scored, and why.
    pub(super) notes: Vec<String>,
}

/// The forecasts of a fold, K rows of Q targets.
pub(super) struct FoldForecasts {
    /// \[K, Q\]; NaN if missing.
    pub(super) truth: Array2<f64>,
    /// By forecaster, the values and the quantiles of each, \[K, Q\] each; no quantiles if they are not known.
    pub(super) by_forecaster: Vec<(Array2<f64>, Vec<Array2<f64>>)>,
    /// By target: what its errors are scaled by, from the rows up to the origin.
    pub(super) scales: Vec<NaiveScale>,
    /// By target: whether it is forecast: it reaches the origin with a window, and the network was trained on it.
    pub(super) is_forecast: Vec<bool>,
}

impl Backtest {
    /// Reads the forecasts of all folds.
    pub(super) fn forecasts(&self) -> Result<Forecasts> {
        let series = &self.plan.data.series;
        let targets: Vec<String> = series.targets().iter().map(|column| column.name.clone()).collect();
        let files = self.folds().iter().map(|fold| self.read(fold, &targets)).collect::<Result<Vec<_>>>()?;
        let quantiles = files[0].quantiles();
        if let Some(other) = files.iter().find(|file| file.quantiles() != quantiles) {
            let message =
                format!("expected the quantiles of the first fold, {quantiles:?}, got {:?}", other.quantiles());
            return Err(Error::Data { path: other.path.clone(), place: String::new(), message });
        }
        let mut notes = Vec::new();
        let mut forecasters = Vec::new();
        for forecaster in FORECASTERS {
            let without: Vec<usize> =
                (1..).zip(&files).filter(|(_, file)| !file.has(&forecaster)).map(|of| of.0).collect();
            match (without.len(), forecaster.baseline) {
                (0, _) => forecasters.push(forecaster),
                // Without a season there is none in any fold.
                (count, Some(_)) if count == files.len() && forecaster.name == SEASONAL.name => {}
                (_, Some(_)) => notes.push(format!(
                    "{} is left out: {} too few training windows for it",
                    forecaster.name,
                    folds_have(&without)
                )),
                (_, None) => {
                    let message = "expected the forecasts of a network, got none".into();
                    return Err(Error::Data { path: files[0].path.clone(), place: String::new(), message });
                }
            }
        }
        let season = self.plan.season().unwrap_or(1);
        let fold = |(fold, file): (&Fold, &FoldFile)| {
            let scale = |target: usize| {
                let rows = series.rows_of(target);
                let end = fold.known.clamp(rows.start, rows.end);
                NaiveScale::of(&series.truths()[target].values[rows.start..end], season)
            };
            let is_forecast = |target: usize| file.present[target] && self.reaches(fold, target);
            FoldForecasts {
                truth: file.column(TRUTH).unwrap_or_else(|| file.nothing()),
                by_forecaster: forecasters.iter().map(|forecaster| file.of(forecaster, &quantiles)).collect(),
                scales: (0..targets.len()).map(scale).collect(),
                is_forecast: (0..targets.len()).map(is_forecast).collect(),
            }
        };
        let folds: Vec<FoldForecasts> = self.folds().iter().zip(&files).map(fold).collect();
        notes.extend(self.unscored(&targets, &folds));
        let around_point =
            !quantiles.is_empty() && files.iter().all(|file| file.names.iter().any(|name| name == POINT));
        Ok(Forecasts { forecasters, quantiles, around_point, targets, folds, notes })
    }

    /// Whether a target has a window up to the origin of a fold, and a row after it.
    fn reaches(&self, fold: &Fold, target: usize) -> bool {
        let rows = self.plan.data.series.rows_of(target);
        rows.start + self.plan.data.frame.window <= fold.known && fold.known < rows.end
    }

    /// The series of each fold that are not scored.
    fn unscored(&self, targets: &[String], folds: &[FoldForecasts]) -> Vec<String> {
        let mut notes = Vec::new();
        for (fold, of) in self.folds().iter().zip(folds) {
            let names = |fits: &dyn Fn(usize) -> bool| {
                let names: Vec<&str> =
                    (0..targets.len()).filter(|target| fits(*target)).map(|of| &*targets[of]).collect();
                (!names.is_empty())
                    .then(|| format!("{} series, {}", names.len(), crate::data::list_names(names.iter().copied())))
            };
            let no_truth = |target: usize| of.truth.column(target).iter().all(|value| value.is_nan());
            let (number, origin) = (fold.number, self.origin(fold));
            let absent = names(&|target| !self.reaches(fold, target));
            notes.extend(absent.map(|names| {
                format!("fold {number} leaves out what has no window up to {origin} and a row after it: {names}")
            }));
            // Later networks know the series of the first, unless each is trained from scratch.
            let trained = if self.plan.refit == RefitName::Scratch { fold } else { &self.folds()[0] };
            let data = &self.plan.data;
            let untrained = |target: usize| self.reaches(fold, target) && !of.is_forecast[target];
            let short = names(&|target| untrained(target) && data.is_short(target, trained.train_end));
            notes.extend(short.map(|names| {
                format!(
                    "fold {number} leaves out what its network was not trained on, with fewer than {} up to {}: {names}",
                    rows(data.frame.rows()),
                    self.plan.label(trained.train_end - 1)
                )
            }));
            let other = names(&|target| untrained(target) && !data.is_short(target, trained.train_end));
            notes.extend(other.map(|names| format!("fold {number} has no forecast after {origin} of {names}")));
            let unknown = names(&|target| of.is_forecast[target] && no_truth(target));
            notes.extend(unknown.map(|names| format!("fold {number} has no true value after {origin} of {names}")));
        }
        notes
    }

    /// Reads the file of a fold.
    fn read(&self, fold: &Fold, targets: &[String]) -> Result<FoldFile> {
        let path = self.path().join(fold.folder()).join(FORECASTS);
        let bytes = std::fs::read(&path).map_err(io_error(&path))?;
        let is_long = self.plan.data.is_long();
        FoldFile::parse(&bytes, &path, targets, is_long, fold.test().len())
    }
}

/// `fold 1 has`, `folds 1, 2 and 9 have`.
fn folds_have(folds: &[usize]) -> String {
    let words: Vec<String> = folds.iter().map(usize::to_string).collect();
    match &words[..] {
        [one] => format!("fold {one} has"),
        [all @ .., last] => format!("folds {} and {last} have", all.join(", ")),
        [] => String::new(),
    }
}

/// What a run wrote of the test rows of a fold.
struct FoldFile {
    path: PathBuf,
    /// The names of the columns of a target.
    names: Vec<String>,
    /// \[C, K, Q\]: the columns of each row and target; NaN where a field is empty.
    values: Array3<f64>,
    /// By target: whether the file has forecasts of it.
    present: Vec<bool>,
}

impl FoldFile {
    /// From the text of a `forecast.csv`.
    fn parse(bytes: &[u8], path: &Path, targets: &[String], is_long: bool, horizon: usize) -> Result<Self> {
        let error = |place: String, message: String| Error::Data { path: path.into(), place, message };
        let mut csv = csv::Reader::from_reader(bytes);
        let header = csv.headers().map_err(|reason| error(String::new(), reason.to_string()))?.clone();
        // The id in long form; the label, the part, the origin and the step.
        let first = if is_long { 5 } else { 4 };
        let header: Vec<&str> = header.iter().skip(first).collect();
        let has = |target: &String| is_long || header.contains(&format!("{target}_{TRUTH}").as_str());
        let here: Vec<usize> = (0..targets.len()).filter(|target| has(&targets[*target])).collect();
        let blocks = if is_long { 1 } else { here.len() };
        if blocks == 0 || header.is_empty() || !header.len().is_multiple_of(blocks) {
            return Err(error(", line 1".into(), "expected the columns of a run's forecasts".into()));
        }
        let width = header.len() / blocks;
        let prefix = if is_long { String::new() } else { format!("{}_", targets[here[0]]) };
        let names: Vec<String> =
            header[..width].iter().map(|name| name.strip_prefix(&prefix).unwrap_or(name).to_owned()).collect();
        let mut values = Array3::from_elem((width, horizon, targets.len()), f64::NAN);
        let mut present = vec![false; targets.len()];
        if !is_long {
            here.iter().for_each(|target| present[*target] = true);
        }
        let index: HashMap<&str, usize> = targets.iter().map(String::as_str).zip(0..).collect();
        for (record, line) in csv.records().zip(2_usize..) {
            let place = || format!(", line {line}");
            let record = record.map_err(|reason| error(place(), reason.to_string()))?;
            let field = |index: usize| record.get(index).unwrap_or_default();
            if field(first - 3) != "test" {
                continue;
            }
            let step = field(first - 1).parse().ok().filter(|step| (1..=horizon).contains(step));
            let Some(step): Option<usize> = step else {
                return Err(error(place(), format!("expected a step from 1 to {horizon}, got {:?}", field(first - 1))));
            };
            let of_row =
                if is_long { vec![index.get(field(0)).copied()] } else { here.iter().copied().map(Some).collect() };
            for (block, target) in of_row.into_iter().enumerate() {
                let Some(target) = target else {
                    return Err(error(place(), format!("expected a series of the backtest, got {:?}", field(0))));
                };
                present[target] = true;
                for column in 0..width {
                    let text = field(first + block * width + column);
                    let value = if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() };
                    let Some(value) = value else {
                        return Err(error(place(), format!("expected a number, got {text:?}")));
                    };
                    values[[column, step - 1, target]] = value;
                }
            }
        }
        Ok(Self { path: path.into(), names, values, present })
    }

    fn column(&self, name: &str) -> Option<Array2<f64>> {
        let column = self.names.iter().position(|of| of == name)?;
        Some(self.values.index_axis(Axis(0), column).to_owned())
    }

    /// \[K, Q\] missing values.
    fn nothing(&self) -> Array2<f64> {
        let (_, steps, targets) = self.values.dim();
        Array2::from_elem((steps, targets), f64::NAN)
    }

    /// The quantiles of the network.
    fn quantiles(&self) -> Vec<f64> {
        self.names.iter().filter_map(|name| of_column(name)).collect()
    }

    fn has(&self, forecaster: &Forecaster) -> bool {
        let name = forecaster.baseline.map(|baseline| baseline.key);
        self.names.iter().any(|column| match name {
            Some(key) => column == key,
            None => column == POINT || of_column(column).is_some(),
        })
    }

    /// The values of a forecaster, and its quantiles if all of them are known.
    fn of(&self, forecaster: &Forecaster, quantiles: &[f64]) -> (Array2<f64>, Vec<Array2<f64>>) {
        let name = |quantile: &f64| match forecaster.baseline {
            Some(baseline) => column_of_baseline(baseline.key, &column(*quantile)),
            None => column(*quantile),
        };
        let ranges: Option<Vec<_>> = quantiles.iter().map(|quantile| self.column(&name(quantile))).collect();
        let ranges = ranges.unwrap_or_default();
        let point = self.column(forecaster.baseline.map_or(POINT, |baseline| baseline.key));
        let middle = || ranges.get(middle(quantiles)).cloned();
        let point = point.or_else(middle).unwrap_or_else(|| self.nothing());
        (point, ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn parse(text: &str, names: &[&str], is_long: bool) -> Result<FoldFile> {
        FoldFile::parse(text.as_bytes(), Path::new("forecast.csv"), &targets(names), is_long, 2)
    }

    #[test]
    fn the_test_rows_of_a_wide_file_are_read_by_target_and_others_are_passed_over() {
        let text = "t,part,origin,step,a_truth,a_forecast,a_last_value,b_truth,b_forecast,b_last_value\n\
                    1,validation,0,1,9,9,9,9,9,9\n2,test,1,1,1.5,2,3,,5,6\n3,test,1,2,7,8,9,10,11,12\n";
        let file = parse(text, &["a", "left out", "b"], false).unwrap();
        assert_eq!(file.present, [true, false, true]);
        let truth = file.column(TRUTH).unwrap();
        assert_eq!((truth[[0, 0]], truth[[1, 2]]), (1.5, 10.0));
        assert!(truth[[0, 2]].is_nan() && truth[[0, 1]].is_nan());
        assert!(file.has(&NETWORK) && file.has(&LAST_VALUE) && !file.has(&LINEAR) && file.quantiles().is_empty());
        assert_eq!(file.of(&LAST_VALUE, &[]).0[[1, 2]], 12.0);
    }

    #[test]
    fn a_long_file_has_its_series_in_any_order_and_quantiles_stand_for_the_forecast() {
        let text = "id,t,part,origin,step,truth,q0.1,q0.5,last_value,last_value_q0.1,last_value_q0.5\n\
                    b,2,test,1,1,1,2,3,4,5,6\na,2,test,1,1,7,8,9,10,11,12\na,3,test,1,2,13,14,15,16,17,18\n";
        let file = parse(text, &["a", "b"], true).unwrap();
        assert_eq!(file.quantiles(), [0.1, 0.5]);
        let (network, ranges) = file.of(&NETWORK, &[0.1, 0.5]);
        assert_eq!((network[[0, 0]], network[[0, 1]], ranges[0][[1, 0]]), (9.0, 3.0, 14.0));
        let (last, ranges) = file.of(&LAST_VALUE, &[0.1, 0.5]);
        assert_eq!((last[[0, 1]], ranges[1][[0, 1]]), (4.0, 6.0));
        assert!(last[[1, 1]].is_nan());
    }

    #[test]
    fn a_file_that_no_run_wrote_is_refused_by_its_line() {
        let head = "t,part,origin,step,a_truth,a_forecast\n";
        let error = |text: &str| parse(text, &["a"], false).err().unwrap().to_string();
        assert!(error(&format!("{head}2,test,1,3,1,2\n")).contains("line 2: expected a step from 1 to 2, got \"3\""));
        assert!(error(&format!("{head}2,test,1,1,1,x\n")).contains("line 2: expected a number, got \"x\""));
        assert!(error("t,part,origin,step,b_truth\n").contains("line 1: expected the columns"));
    }

    #[test]
    fn folds_are_listed_in_a_sentence() {
        assert_eq!([folds_have(&[3]), folds_have(&[1, 2, 9])], ["fold 3 has", "folds 1, 2 and 9 have"]);
    }
}
