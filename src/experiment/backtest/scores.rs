//! The errors of the forecasts of all folds.

use std::ops::Range;

use ndarray::{Array2, s};
use serde_json::{Map, Value, json};

use super::forecasts::{FoldForecasts, Forecasts};
use crate::data::ForecastErrors;
use crate::data::series::ratio;
use crate::experiment::measure::comparison::{ComparedMetric, Comparison, Verdict};
use crate::experiment::measure::metric::{Metric, Needs};
use crate::experiment::measure::quantiles::{coverage, crps, interval_score, mean, mean_pinball};
use crate::experiment::measure::series_errors::Forecaster;

/// The part of the data that the verdict names.
const PART: &str = "backtest";

/// The errors of a forecaster over folds, targets and steps. Every fold weighs alike: each error is first the mean of a
/// fold's rows and then that of the folds. NaN where there is nothing to compare, or the forecast is not a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    pub(super) rmse: f64,
    pub(super) mae: f64,
    mase: f64,
    rmsse: f64,
    smape: f64,
    wape: f64,
    pinball: f64,
    crps: f64,
    coverage: f64,
    winkler: f64,
    /// The pinball loss in units of the MASE.
    scaled_pinball: f64,
}

/// Every metric, in the order of the tables.
static METRICS: [Metric<Scores>; 11] = [
    metric("RMSE", "rmse", |scores| scores.rmse).with_unit(),
    metric("MAE", "mae", |scores| scores.mae).with_unit(),
    metric("MASE", "mase", |scores| scores.mase),
    metric("RMSSE", "rmsse", |scores| scores.rmsse),
    metric("sMAPE", "smape", |scores| scores.smape).percent(),
    metric("WAPE", "wape", |scores| scores.wape).share(),
    metric("pinball", "pinball", |scores| scores.pinball).with_unit().needs(Needs::Quantiles),
    metric("CRPS", "crps", |scores| scores.crps).with_unit().needs(Needs::Quantiles),
    metric("scaled pinball", "scaled_pinball", |scores| scores.scaled_pinball).needs(Needs::Quantiles),
    metric("coverage", "coverage", |scores| scores.coverage).share().needs(Needs::Interval),
    metric("Winkler", "winkler", |scores| scores.winkler).with_unit().needs(Needs::Interval),
];

const fn metric(name: &'static str, key: &'static str, of: fn(&Scores) -> f64) -> Metric<Scores> {
    Metric::new(name, key, of)
}

/// The errors of a fold's forecast of a target.
struct Cell {
    errors: ForecastErrors,
    mase: Option<f64>,
    squared_scaled: Option<f64>,
    size: f64,
    pinball: f64,
    scaled_pinball: Option<f64>,
    coverage: f64,
    winkler: f64,
}

impl Forecasts {
    /// Every fold, target and step.
    pub(super) fn overall(&self, forecaster: usize) -> Scores {
        self.scores(forecaster, 0..self.folds.len(), 0..self.targets.len(), 0..self.horizon())
    }

    /// K.
    pub(super) fn horizon(&self) -> usize {
        self.folds.first().map_or(0, |fold| fold.truth.nrows())
    }

    /// The errors of a forecaster over these folds, targets and steps. Those without units are averaged over targets.
    pub(super) fn scores(
        &self,
        forecaster: usize,
        folds: Range<usize>,
        targets: Range<usize>,
        steps: Range<usize>,
    ) -> Scores {
        let of = |target| self.scores_of_target(forecaster, folds.clone(), target, steps.clone());
        let all: Vec<Scores> = targets.filter_map(of).collect();
        if let [alone] = &all[..] {
            return alone.clone();
        }
        let over = |of: fn(&Scores) -> f64| mean(all.iter().map(of));
        // Of a constant series there is no scale, whoever forecasts it. A forecast that is not a number stays.
        let defined = |of: fn(&Scores) -> f64, whole: fn(&Scores) -> f64| {
            mean(all.iter().filter(|scores| !of(scores).is_nan() || whole(scores).is_nan()).map(of))
        };
        let none = f64::NAN;
        Scores {
            rmse: none,
            mae: none,
            mase: defined(|scores| scores.mase, |scores| scores.mae),
            rmsse: defined(|scores| scores.rmsse, |scores| scores.mae),
            smape: over(|scores| scores.smape),
            wape: defined(|scores| scores.wape, |scores| scores.mae),
            pinball: none,
            crps: none,
            coverage: over(|scores| scores.coverage),
            winkler: none,
            scaled_pinball: defined(|scores| scores.scaled_pinball, |scores| scores.pinball),
        }
    }

    /// `None` if no fold forecasts the target.
    fn scores_of_target(
        &self,
        forecaster: usize,
        folds: Range<usize>,
        target: usize,
        steps: Range<usize>,
    ) -> Option<Scores> {
        let cells = self.folds[folds].iter().filter_map(|fold| self.cell(fold, forecaster, target, steps.clone()));
        let cells: Vec<Cell> = cells.collect();
        if cells.is_empty() {
            return None;
        }
        let of = |value: &dyn Fn(&Cell) -> f64| mean(cells.iter().map(value));
        let scaled = |value: &dyn Fn(&Cell) -> Option<f64>| mean(cells.iter().filter_map(value));
        let pinball = of(&|cell| cell.pinball);
        Some(Scores {
            rmse: of(&|cell| cell.errors.rmse.powi(2)).sqrt(),
            mae: of(&|cell| cell.errors.mae),
            mase: scaled(&|cell| cell.mase),
            rmsse: scaled(&|cell| cell.squared_scaled).sqrt(),
            smape: of(&|cell| cell.errors.smape),
            wape: ratio(of(&|cell| cell.errors.mae), of(&|cell| cell.size)).unwrap_or(f64::NAN),
            pinball,
            crps: crps(pinball),
            coverage: of(&|cell| cell.coverage),
            winkler: of(&|cell| cell.winkler),
            scaled_pinball: scaled(&|cell| cell.scaled_pinball),
        })
    }

    /// `None` if the target is not forecast, or has no true value.
    fn cell(&self, fold: &FoldForecasts, forecaster: usize, target: usize, steps: Range<usize>) -> Option<Cell> {
        let column = |array: &Array2<f64>| array.slice(s![steps.clone(), target..target + 1]).to_owned();
        let truth = column(&fold.truth);
        let known: Vec<usize> = (0..truth.nrows()).filter(|row| !truth[[*row, 0]].is_nan()).collect();
        if known.is_empty() || !fold.is_forecast[target] {
            return None;
        }
        let (point, ranges) = &fold.by_forecaster[forecaster];
        let point = column(point);
        let pairs = || known.iter().map(|row| (truth[[*row, 0]], point[[*row, 0]]));
        // A forecast that is not a number is no missing value.
        let is_number = pairs().all(|(_, forecast)| !forecast.is_nan());
        let errors = ForecastErrors::of(pairs().filter(|_| is_number));
        let ranges: Vec<Array2<f64>> = ranges.iter().map(column).collect();
        let is_range = known.iter().all(|row| ranges.iter().all(|range| !range[[*row, 0]].is_nan()));
        let ranges = if is_range { ranges } else { Vec::new() };
        let pinball = |(range, quantile): (&Array2<f64>, &f64)| mean_pinball(*quantile, truth.view(), range.view());
        let losses = ranges.iter().zip(&self.quantiles).map(pinball);
        let of_point = (self.around_point && !ranges.is_empty()).then(|| mean_pinball(0.5, truth.view(), point.view()));
        let pinball = mean(losses.chain(of_point));
        let (coverage, winkler) = match (&ranges[..], &self.quantiles[..]) {
            ([low, .., high], [first, .., last]) => (
                coverage(truth.view(), low.view(), high.view()),
                interval_score([*first, *last], truth.view(), low.view(), high.view()),
            ),
            _ => (f64::NAN, f64::NAN),
        };
        let scale = &fold.scales[target];
        Some(Cell {
            mase: ratio(errors.mae, scale.seasonal_mae),
            squared_scaled: ratio(errors.rmse, scale.last_value_rmse).map(|scaled| scaled * scaled),
            size: mean(known.iter().map(|row| truth[[*row, 0]].abs())),
            scaled_pinball: ratio(pinball, scale.seasonal_mae),
            errors,
            pinball,
            coverage,
            winkler,
        })
    }

    /// The metrics that these forecasts have, over several targets those without units.
    pub(super) fn metrics(&self, several: bool) -> impl Iterator<Item = &'static Metric<Scores>> + use<> {
        let quantiles = self.quantiles.len();
        METRICS.iter().filter(move |metric| {
            let least = match metric.needs {
                Needs::Point => 0,
                Needs::Quantiles => 1,
                Needs::Interval => 2,
            };
            quantiles >= least && !(several && metric.has_unit)
        })
    }

    /// The metric by which forecasters are compared: RMSE, or of ranges the pinball loss, and over several targets the
    /// same without units.
    pub(super) fn compared(&self) -> &'static Metric<Scores> {
        let key = match (self.targets.len(), self.quantiles.is_empty()) {
            (1, true) => "rmse",
            (1, false) => "pinball",
            (_, true) => "rmsse",
            (_, false) => "scaled_pinball",
        };
        METRICS.iter().find(|metric| metric.key == key).unwrap_or(&METRICS[0])
    }

    /// The network against every baseline over all folds.
    fn comparisons(&self) -> Vec<Comparison> {
        let metric = self.compared();
        let network = (metric.of)(&self.overall(0));
        let baselines = self.forecasters.iter().enumerate().filter_map(|(of, name)| Some((of, name.baseline?)));
        baselines
            .map(|(of, name)| {
                Comparison::new(PART, ComparedMetric::Error(metric.name), network, name, (metric.of)(&self.overall(of)))
            })
            .collect()
    }

    /// Whether the network is worth it, against the best baseline.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        Verdict::of(&self.comparisons())
    }

    /// In how many folds the network is better than a forecaster, and of how many.
    pub(super) fn wins(&self, forecaster: usize) -> [usize; 2] {
        let metric = self.compared();
        let of = |forecaster: usize, fold: usize| {
            (metric.of)(&self.scores(forecaster, fold..fold + 1, 0..self.targets.len(), 0..self.horizon()))
        };
        let pairs = (0..self.folds.len()).map(|fold| (of(0, fold), of(forecaster, fold)));
        let known: Vec<(f64, f64)> = pairs.filter(|(_, other)| !other.is_nan()).collect();
        [known.iter().filter(|(network, other)| network < other).count(), known.len()]
    }

    /// Whether the ranges of a forecaster are not known in every fold.
    pub(super) fn has_no_range(&self, forecaster: usize) -> bool {
        self.folds.iter().any(|fold| fold.by_forecaster[forecaster].1.is_empty())
    }

    /// The metrics of every forecaster by its name, as JSON.
    pub(super) fn json(&self, folds: Range<usize>, targets: Range<usize>, steps: Range<usize>) -> Map<String, Value> {
        let several = targets.len() > 1;
        let of = |forecaster: usize| -> Map<String, Value> {
            let scores = self.scores(forecaster, folds.clone(), targets.clone(), steps.clone());
            self.metrics(several).map(|metric| (metric.key.into(), json!((metric.of)(&scores)))).collect()
        };
        self.forecasters.iter().enumerate().map(|(index, name)| (key(name), Value::Object(of(index)))).collect()
    }
}

/// The name of a forecaster in the summary.
pub(super) fn key(forecaster: &Forecaster) -> String {
    forecaster.baseline.map_or(forecaster.name, |baseline| baseline.key).to_owned()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::NaiveScale;
    use crate::experiment::tasks::series::forecasters::{LAST_VALUE, NETWORK};

    /// A fold of two rows and two targets, with a network's and a baseline's forecast.
    fn fold(truth: Array2<f64>, network: Array2<f64>, other: Array2<f64>) -> FoldForecasts {
        let scale = |seasonal_mae| NaiveScale { seasonal_mae, last_value_rmse: 2.0 * seasonal_mae };
        FoldForecasts {
            truth,
            by_forecaster: vec![(network, Vec::new()), (other, Vec::new())],
            scales: vec![scale(2.0), scale(0.0)],
            is_forecast: vec![true; 2],
        }
    }

    fn forecasts(folds: Vec<FoldForecasts>) -> Forecasts {
        let targets = ["a", "b"].map(str::to_owned).into();
        let forecasters = vec![NETWORK, LAST_VALUE];
        let quantiles = Vec::new();
        Forecasts { forecasters, quantiles, around_point: false, targets, folds, notes: Vec::new() }
    }

    #[test]
    fn every_fold_weighs_alike_whatever_is_missing_in_it() {
        let truth = array![[1.0, 5.0], [f64::NAN, 5.0]];
        let first = fold(truth, array![[5.0, 5.0], [9.0, 5.0]], array![[1.0, 5.0], [1.0, 5.0]]);
        let second =
            fold(array![[1.0, 5.0], [1.0, 5.0]], array![[1.0, 5.0], [3.0, 7.0]], array![[2.0, 6.0], [2.0, 6.0]]);
        let all = forecasts(vec![first, second]);
        let of = |folds| all.scores(0, folds, 0..1, 0..2);
        // Of one row 4, and of two rows 0 and 2.
        assert_eq!((of(0..1).mae, of(1..2).mae, of(0..2).mae), (4.0, 1.0, 2.5));
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} for {want}");
        near(of(0..2).rmse, ((16.0 + 2.0) / 2.0_f64).sqrt());
        near(of(0..2).mase, 1.25);
        near(of(0..2).rmsse, 0.75);
        assert_eq!(all.wins(1), [0, 2]);
        // The second target is constant before the origins: it has no scale, and counts in the means that need none.
        let over = all.scores(0, 0..2, 0..2, 0..2);
        near(over.mase, 1.25);
        near(over.wape, (2.5 / 1.0 + 0.5 / 5.0) / 2.0);
        assert!(over.rmse.is_nan() && all.scores(0, 0..2, 1..2, 0..2).mase.is_nan());
    }

    #[test]
    fn a_forecast_between_quantiles_is_scored_as_the_median() {
        let truth = array![[1.0, 5.0], [2.0, 5.0]];
        let (low, high) = (truth.mapv(|value| value - 2.0), truth.mapv(|value| value + 4.0));
        let mut of = fold(truth.clone(), truth.mapv(|value| value + 1.0), truth.clone());
        of.by_forecaster.iter_mut().for_each(|(_, ranges)| *ranges = vec![low.clone(), high.clone()]);
        let mut all = forecasts(vec![of]);
        all.quantiles = vec![0.1, 0.9];
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} for {want}");
        near(all.scores(0, 0..1, 0..1, 0..2).pinball, (0.2 + 0.4) / 2.0);
        all.around_point = true;
        near(all.scores(0, 0..1, 0..1, 0..2).pinball, (0.2 + 0.5 + 0.4) / 3.0);
        near(all.scores(1, 0..1, 0..1, 0..2).pinball, (0.2 + 0.4) / 3.0);
    }

    #[test]
    fn a_forecast_that_is_no_number_is_not_missing_and_beats_nothing() {
        let truth = || array![[1.0, 5.0], [2.0, 5.0]];
        let good = fold(truth(), truth(), array![[2.0, 6.0], [2.0, 6.0]]);
        let failed = fold(truth(), array![[f64::NAN, 5.0], [2.0, 5.0]], array![[2.0, 6.0], [2.0, 6.0]]);
        let all = forecasts(vec![good, failed]);
        assert!(all.scores(0, 0..2, 0..1, 0..2).mae.is_nan() && all.overall(0).rmsse.is_nan());
        assert!(all.verdict().unwrap().words().starts_with("not worth it"));
        // What is not forecast at all is left out.
        let mut all = all;
        all.folds[1].is_forecast = vec![false; 2];
        assert_eq!(all.scores(0, 0..2, 0..1, 0..2).mae, 0.0);
        assert!(all.verdict().unwrap().words().starts_with("worth it"));
    }
}
