//! The forecast errors of a series, compared with naive forecasts.

use serde_json::{Map, Value, json};

use super::comparison::{self, BaselineName, Comparison};
use super::metric::{Metric, four};
use super::quantiles::Quantiles;
use crate::data::{ForecastErrors, NaiveScale, TargetErrors};
use crate::experiment::config::ScaleName;
use crate::format::share;

/// The errors of every forecaster on every split after training.
pub(crate) struct SeriesErrors {
    pub(crate) targets: Vec<TargetName>,
    /// K.
    pub(crate) horizon: usize,
    /// The forecasters, the network first.
    pub(crate) forecasters: Vec<Forecaster>,
    /// The quantiles of the network.
    pub(crate) quantiles: Quantiles,
    /// How the ranges of the naive forecasts are estimated, in words.
    pub(crate) ranges: String,
    pub(crate) parts: Vec<PartErrors>,
    /// What the units of the targets are.
    pub(crate) scale: ScaleName,
    /// Whether each target is a series of its own.
    pub(crate) panel: bool,
    /// The period of the seasonal naive forecast that MASE is measured by; 1 for the last value.
    pub(crate) season: usize,
    /// By target: what their errors are scaled by.
    pub(crate) scales: Vec<NaiveScale>,
}

pub(crate) struct TargetName {
    pub(crate) name: String,
    /// The unit of each scaled target.
    pub(crate) unit: f64,
}

#[derive(Clone, Copy)]
pub(crate) struct Forecaster {
    pub(crate) name: &'static str,
    /// The prefix of its keys in the summary.
    pub(crate) prefix: &'static str,
    /// The baseline's names; `None` for the network.
    pub(crate) baseline: Option<BaselineName>,
    /// Whether pictures can draw it: it repeats an earlier value.
    pub(crate) repeats: bool,
}

/// A split of the rows.
pub struct PartErrors {
    pub(crate) name: &'static str,
    /// The labels of its first and last row.
    pub(crate) ends: [String; 2],
    /// The number of forecasts within it.
    pub(crate) count: usize,
    /// By forecaster, then by target.
    pub(crate) accuracies: Vec<Vec<TargetErrors>>,
    /// By target; empty without quantiles.
    pub(crate) spreads: Vec<Spread>,
    /// The errors of Naive2, by target.
    pub(crate) naive2: Vec<ForecastErrors>,
}

/// The quantile errors of a target, over all steps of the horizon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The mean pinball loss over all quantiles, by forecaster; NaN for one without a range.
    pub(crate) pinball: Vec<f64>,
    /// The coverage of the outermost quantiles, likewise; empty for one quantile.
    pub(crate) coverage: Vec<f64>,
    /// The interval score of the outermost quantiles, likewise.
    pub(crate) winkler: Vec<f64>,
    /// The mean of −ln p(y) by the distributions that the network predicts; `None` without them.
    pub(crate) likelihood: Option<f64>,
}

impl PartErrors {
    /// `1921–1955`.
    pub(super) fn span(&self) -> String {
        format!("{}–{}", self.ends[0], self.ends[1])
    }
}

/// `0.1–0.9`.
pub(super) fn range([low, high]: [f64; 2]) -> String {
    format!("{low}–{high}")
}

/// The errors in the units of the data.
pub(super) const RMSE: Metric<ForecastErrors> =
    Metric::new("RMSE", "rmse", |errors: &ForecastErrors| errors.rmse).with_unit();
pub(super) const MAE: Metric<ForecastErrors> =
    Metric::new("MAE", "mae", |errors: &ForecastErrors| errors.mae).with_unit();

impl SeriesErrors {
    /// The most important split: test, or else validation.
    pub(crate) fn main(&self) -> Option<&PartErrors> {
        self.parts.iter().find(|part| part.name == "test").or(self.parts.first())
    }

    /// The metric by which forecasts of a target are compared, and its value for each forecaster: that of ranges if the
    /// network forecasts quantiles.
    pub(super) fn compared(&self, part: &PartErrors, target: usize) -> (&'static str, Vec<f64>) {
        match part.spreads.get(target) {
            Some(spread) => ("pinball loss", spread.pinball.clone()),
            None => ("RMSE", part.accuracies.iter().map(|of| of[target].overall.rmse).collect()),
        }
    }

    /// The best forecaster of a single target that a picture can draw beside the network; `None` if none can be
    /// compared.
    pub(crate) fn best_drawn(&self) -> Option<usize> {
        self.best_of(&self.compared(self.main()?, 0).1)
    }

    /// The best by these errors of those that repeat an earlier value.
    fn best_of(&self, errors: &[f64]) -> Option<usize> {
        let known = (1..errors.len()).filter(|of| self.forecasters[*of].repeats && !errors[*of].is_nan());
        known.min_by(|a, b| errors[*a].total_cmp(&errors[*b]))
    }

    /// `test RMSE 18.67, last value 30.44`: the network and the best drawn forecast, for a single target.
    pub(crate) fn headline(&self) -> Option<String> {
        let part = self.main()?;
        let (measure, errors) = self.compared(part, 0);
        let beside = self.best_of(&errors).map(|of| format!(", {} {}", self.forecasters[of].name, four(errors[of])));
        Some(format!("{} {measure} {}{}", part.name, four(errors[0]), beside.unwrap_or_default()))
    }

    /// The metric by which forecasts of all targets are compared, in their scaled units, and its value for each
    /// forecaster.
    pub(super) fn compared_over_all(&self, part: &PartErrors) -> (&'static str, Vec<f64>) {
        let forecasters = 0..self.forecasters.len();
        if part.spreads.is_empty() {
            ("scaled MSE", forecasters.map(|of| self.scaled(part, of).0).collect())
        } else {
            ("scaled pinball loss", forecasters.map(|of| self.scaled_pinball(part, of)).collect())
        }
    }

    /// The same of a panel; `None` without one, whose targets may have nothing in common.
    fn compared_overall(&self, part: &PartErrors) -> Option<(&'static str, Vec<f64>)> {
        self.panel.then(|| self.compared_over_all(part))
    }

    /// `test scaled MSE 0.3571, last value 1.294`: the network and the best naive forecast over all series of a panel.
    pub(crate) fn overall_headline(&self) -> Option<String> {
        let part = self.main()?;
        let (measure, errors) = self.compared_overall(part)?;
        let beside = self.best_of(&errors).map(|of| format!(", {} {}", self.forecasters[of].name, four(errors[of])));
        Some(format!("{} {measure} {}{}", part.name, four(errors[0]), beside.unwrap_or_default()))
    }

    /// The network compared with each naive forecast, on each split.
    pub(crate) fn comparisons(&self) -> Vec<Comparison> {
        let mut comparisons = Vec::new();
        for part in &self.parts {
            for (forecaster, baseline) in
                self.forecasters.iter().enumerate().filter_map(|(of, forecaster)| Some((of, forecaster.baseline?)))
            {
                if let Some((measure, errors)) = self.compared_overall(part) {
                    let measure = comparison::ComparedMetric::Error(measure);
                    comparisons.push(Comparison::new(part.name, measure, errors[0], baseline, errors[forecaster]));
                }
                for (index, target) in self.targets.iter().enumerate() {
                    let (measure, errors) = self.compared(part, index);
                    let measure = comparison::ComparedMetric::Error(measure);
                    let of = Comparison::new(part.name, measure, errors[0], baseline, errors[forecaster]);
                    let target = (self.targets.len() > 1 || self.panel).then(|| target.name.clone());
                    comparisons.push(Comparison { target, ..of });
                }
            }
        }
        comparisons
    }

    /// The main results as names and numbers.
    pub(crate) fn key_figures(&self) -> Vec<(String, String)> {
        let Some(part) = self.main() else { return Vec::new() };
        let mut figures = self.errors_of(part);
        if let (Some(ends), [Spread { coverage, .. }]) = (self.quantiles.interval(), &part.spreads[..]) {
            let name = format!("{}, within {} (expected {})", part.name, range(ends), share(ends[1] - ends[0]));
            figures.extend(coverage.first().map(|coverage| (name, share(*coverage))));
        }
        figures
    }

    fn errors_of(&self, part: &PartErrors) -> Vec<(String, String)> {
        let figure = |index: usize, forecaster: usize| four(part.accuracies[forecaster][index].overall.rmse);
        if let Some((measure, errors)) = self.compared_overall(part) {
            let figures = self.forecasters.iter().zip(errors);
            return figures.map(|(of, error)| (format!("{} {measure}, {}", part.name, of.name), four(error))).collect();
        }
        match &self.targets[..] {
            [_] => self
                .forecasters
                .iter()
                .enumerate()
                .map(|(index, forecaster)| (format!("{} RMSE, {}", part.name, forecaster.name), figure(0, index)))
                .collect(),
            // The table has what does not fit into a row.
            targets => targets
                .iter()
                .enumerate()
                .take(4)
                .map(|(index, target)| {
                    let beside = format!("{} (last value {})", figure(index, 0), figure(index, 1));
                    (format!("{} RMSE, {}", part.name, target.name), beside)
                })
                .collect(),
        }
    }

    /// By split: the numbers of a single target are at the top level, those of several under their names.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let part = |part: &PartErrors| {
            let mut value = Map::new();
            value.insert("from".into(), json!(part.ends[0]));
            value.insert("until".into(), json!(part.ends[1]));
            value.insert("forecasts".into(), json!(part.count));
            let errors = |target: usize| {
                let mut errors = self.errors(part, |of| &of[target]);
                errors.extend(self.scores_of_target(part, target));
                if let Some(Spread { pinball, coverage, likelihood, .. }) = part.spreads.get(target) {
                    errors.extend(likelihood.map(|value| ("negative_log_likelihood".to_owned(), json!(value))));
                    for (name, values) in [("pinball", pinball), ("coverage", coverage)] {
                        let values = self.forecasters.iter().zip(values);
                        errors.extend(values.map(|(of, value)| (format!("{}{name}", of.prefix), json!(value))));
                    }
                }
                errors
            };
            match &self.targets[..] {
                [_] => value.extend(errors(0)),
                targets => {
                    let by_name = targets.iter().enumerate();
                    let by_name = by_name.map(|(index, target)| (target.name.clone(), errors(index).into()));
                    value.insert("targets".into(), Value::Object(by_name.collect()));
                    value.extend(self.scores_over_targets(part));
                }
            }
            if self.scale == ScaleName::Standard {
                let scaled = self.forecasters.iter().enumerate().flat_map(|(index, Forecaster { prefix, .. })| {
                    let (mse, mae) = self.scaled(part, index);
                    [(format!("{prefix}mse"), json!(mse)), (format!("{prefix}mae"), json!(mae))]
                });
                value.insert("standardized".into(), Value::Object(scaled.collect()));
            }
            (part.name.to_owned(), Value::Object(value))
        };
        self.parts.iter().map(part).collect()
    }

    fn errors(&self, part: &PartErrors, target: impl Fn(&Vec<TargetErrors>) -> &TargetErrors) -> Map<String, Value> {
        let of = |accuracy: &dyn Fn(&TargetErrors) -> ForecastErrors| {
            let mut errors = Map::new();
            for (Forecaster { prefix, .. }, all) in self.forecasters.iter().zip(&part.accuracies) {
                let ForecastErrors { rmse, mae, .. } = accuracy(target(all));
                errors.extend([(format!("{prefix}rmse"), json!(rmse)), (format!("{prefix}mae"), json!(mae))]);
            }
            errors
        };
        let mut errors = of(&|target| target.overall);
        if self.horizon > 1 {
            let by_step = (0..self.horizon).map(|step| of(&|target| target.by_step[step]).into()).collect();
            errors.insert("by_step".into(), Value::Array(by_step));
        }
        errors
    }

    /// The mean pinball loss over targets in scaled units: over those that every forecaster has a range of, unless it has
    /// none at all.
    fn scaled_pinball(&self, part: &PartErrors, forecaster: usize) -> f64 {
        let has_range = |spread: &Spread, of: usize| !spread.pinball[of].is_nan();
        let ranged = |of: &usize| part.spreads.iter().any(|spread| has_range(spread, *of));
        let ranged: Vec<usize> = (0..self.forecasters.len()).filter(ranged).collect();
        let counts = part.accuracies[0].iter().map(|accuracy| accuracy.overall.count);
        let of_targets = part.spreads.iter().zip(&self.targets).zip(counts);
        let common = |spread: &Spread| ranged.iter().all(|of| has_range(spread, *of));
        let of_targets = of_targets.filter(|((spread, _), count)| *count > 0 && common(spread));
        let (sum, count) = of_targets.fold((0.0, 0.0), |(sum, all), ((spread, target), count)| {
            (sum + count as f64 * spread.pinball[forecaster] / target.unit, all + count as f64)
        });
        sum / count
    }

    /// MSE and MAE over all targets in scaled units.
    pub(super) fn scaled(&self, part: &PartErrors, forecaster: usize) -> (f64, f64) {
        let (mut squares, mut sum, mut count) = (0.0, 0.0, 0.0);
        for (accuracy, target) in part.accuracies[forecaster].iter().zip(&self.targets) {
            let ForecastErrors { rmse, mae, count: n, .. } = accuracy.overall;
            if n > 0 {
                squares += n as f64 * (rmse / target.unit).powi(2);
                sum += n as f64 * mae / target.unit;
                count += n as f64;
            }
        }
        (squares / count, sum / count)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const LAST_VALUE: BaselineName = BaselineName { key: "last_value", words: "the last value" };

    fn accuracy(rmse: f64, mae: f64, count: usize) -> TargetErrors {
        let overall = ForecastErrors { rmse, mae, count, ..ForecastErrors::of([]) };
        TargetErrors { overall, by_step: vec![overall, overall] }
    }

    /// The errors of pairs of truth and forecast.
    pub(in super::super) fn of_pairs(pairs: &[(f64, f64)]) -> TargetErrors {
        let overall = ForecastErrors::of(pairs.iter().copied());
        TargetErrors { overall, by_step: vec![overall, overall] }
    }

    pub(in super::super) fn errors(targets: &[(&str, f64)], accuracies: Vec<Vec<TargetErrors>>) -> SeriesErrors {
        let ends = ["a".to_owned(), "b".to_owned()];
        SeriesErrors {
            targets: targets.iter().map(|(name, unit)| TargetName { name: (*name).into(), unit: *unit }).collect(),
            horizon: 2,
            forecasters: vec![
                Forecaster { name: "network", prefix: "", baseline: None, repeats: false },
                Forecaster { name: "last value", prefix: "naive_", baseline: Some(LAST_VALUE), repeats: true },
            ],
            quantiles: Quantiles::of(&crate::Loss::SquaredError),
            ranges: String::new(),
            parts: vec![PartErrors {
                name: "test",
                ends,
                count: 3,
                naive2: accuracies[1].iter().map(|target| target.overall).collect(),
                accuracies,
                spreads: Vec::new(),
            }],
            scale: ScaleName::Standard,
            panel: false,
            season: 1,
            scales: vec![NaiveScale { seasonal_mae: 1.0, last_value_rmse: 1.0 }; targets.len()],
        }
    }

    #[test]
    fn standardized_errors_combine_all_targets() {
        let none = accuracy(f64::NAN, f64::NAN, 0);
        let network = vec![accuracy(2.0, 1.0, 6), accuracy(30.0, 20.0, 2), none.clone()];
        let naive = vec![accuracy(4.0, 2.0, 6), accuracy(10.0, 10.0, 2), none];
        let errors = errors(&[("x", 2.0), ("y", 10.0), ("z", 1.0)], vec![network, naive]);
        let summary = &errors.summary()["test"]["standardized"];
        assert_eq!(summary["mse"], json!((6.0 * 1.0 + 2.0 * 9.0) / 8.0));
        assert_eq!(summary["mae"], json!((6.0 * 0.5 + 2.0 * 2.0) / 8.0));
        assert_eq!(summary["naive_mse"], json!((6.0 * 4.0 + 2.0 * 1.0) / 8.0));
        assert!(errors.summary()["test"]["targets"]["z"]["rmse"].is_null());
    }

    #[test]
    fn table_columns_are_aligned() {
        let accuracies = || vec![accuracy(1234.5, 0.25, 3), accuracy(1e-5, 20.0, 3)];
        let errors = errors(&[("x", 1.0), ("a long name", 1.0)], vec![accuracies(), accuracies()]);
        for table in [errors.table(&RMSE), errors.table_by_step(&errors.parts[0])] {
            let widths: Vec<usize> = table.iter().map(|line| line.chars().count()).collect();
            assert!(widths.iter().all(|width| *width == widths[0]), "{table:#?}");
        }
        assert_eq!(errors.table(&RMSE).len(), 3);
        assert_eq!(errors.tables().len(), 5);
    }
}
