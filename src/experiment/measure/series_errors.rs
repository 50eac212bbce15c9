//! How far the forecasts of a series are from what came, beside those that need no network.

use serde_json::{Map, Value, json};

use super::comparison::{self, BaselineName, Comparison};
use super::quantiles::Quantiles;
use crate::data::{ForecastErrors, TargetErrors};
use crate::format::{cell, left, right, share, widest};
use crate::report::Table;

/// The errors of every forecaster, on every part that was not trained on.
pub(crate) struct SeriesErrors {
    pub(crate) targets: Vec<TargetName>,
    /// K.
    pub(crate) horizon: usize,
    /// Who forecasts, the network first.
    pub(crate) forecasters: Vec<Forecaster>,
    /// What the network tells of each target.
    pub(crate) quantiles: Quantiles,
    /// Where the ranges of those without a network come from, in words.
    pub(crate) ranges: String,
    pub(crate) parts: Vec<PartErrors>,
    /// Whether the targets' units are the standard deviations of training.
    pub(crate) standard: bool,
}

pub(crate) struct TargetName {
    pub(crate) name: String,
    /// What is 1 to the network.
    pub(crate) unit: f64,
}

#[derive(Clone, Copy)]
pub(crate) struct Forecaster {
    pub(crate) name: &'static str,
    /// What its keys in a summary begin with.
    pub(crate) prefix: &'static str,
    /// What the network is compared with; `None` for itself.
    pub(crate) baseline: Option<BaselineName>,
}

/// A stretch of rows.
pub struct PartErrors {
    pub(crate) name: &'static str,
    /// The labels of its first row and its last.
    pub(crate) ends: [String; 2],
    /// Forecasts that lie in it.
    pub(crate) count: usize,
    /// By forecaster, then by target.
    pub(crate) accuracies: Vec<Vec<TargetErrors>>,
    /// By target; none where the network tells no quantiles.
    pub(crate) spreads: Vec<Spread>,
}

/// What forecasts of a target are worth as quantiles, over all steps of the horizon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The mean of the pinball losses of all quantiles, by forecaster; NaN for one without a range.
    pub(crate) pinball: Vec<f64>,
    /// The share of what came between the outermost quantiles, likewise; none for one quantile.
    pub(crate) coverage: Vec<f64>,
}

impl PartErrors {
    /// `1921–1955`.
    fn span(&self) -> String {
        format!("{}–{}", self.ends[0], self.ends[1])
    }
}

/// `0.1–0.9`.
fn range([low, high]: [f64; 2]) -> String {
    format!("{low}–{high}")
}

/// An error of an [`ForecastErrors`], by its name.
type ErrorMeasure = (&'static str, fn(&ForecastErrors) -> f64);

const RMSE: ErrorMeasure = ("RMSE", |accuracy| accuracy.rmse);
const MAE: ErrorMeasure = ("MAE", |accuracy| accuracy.mae);

impl SeriesErrors {
    /// The part that counts most: the test's, or else validation's.
    pub(crate) fn main(&self) -> Option<&PartErrors> {
        self.parts.iter().find(|part| part.name == "test").or(self.parts.first())
    }

    /// By what the forecasts of a target are compared, and what each forecaster comes to: as ranges where the network tells
    /// one.
    fn compared(&self, part: &PartErrors, target: usize) -> (&'static str, Vec<f64>) {
        match part.spreads.get(target) {
            Some(spread) => ("pinball loss", spread.pinball.clone()),
            None => ("RMSE", part.accuracies.iter().map(|of| of[target].overall.rmse).collect()),
        }
    }

    /// The forecaster without a network that comes closest, of a lone target; `None` where none can be compared.
    pub(crate) fn best_baseline(&self) -> Option<usize> {
        let (_, errors) = self.compared(self.main()?, 0);
        let known = (1..errors.len()).filter(|forecaster| !errors[*forecaster].is_nan());
        known.min_by(|a, b| errors[*a].total_cmp(&errors[*b]))
    }

    /// `test RMSE 18.67, last value 30.44`: the best of those without a network beside the network, for a lone target.
    pub(crate) fn headline(&self) -> Option<String> {
        let part = self.main()?;
        let (measure, errors) = self.compared(part, 0);
        let beside = self.best_baseline().map(|of| format!(", {} {}", self.forecasters[of].name, four(errors[of])));
        Some(format!("{} {measure} {}{}", part.name, four(errors[0]), beside.unwrap_or_default()))
    }

    /// The network beside each of the others, on each part.
    pub(crate) fn comparisons(&self) -> Vec<Comparison> {
        let mut comparisons = Vec::new();
        for part in &self.parts {
            for (forecaster, baseline) in
                self.forecasters.iter().enumerate().filter_map(|(of, forecaster)| Some((of, forecaster.baseline?)))
            {
                for (index, target) in self.targets.iter().enumerate() {
                    let (measure, errors) = self.compared(part, index);
                    let measure = comparison::Metric::Error(measure);
                    let of = Comparison::new(part.name, measure, errors[0], baseline, errors[forecaster]);
                    let target = (self.targets.len() > 1).then(|| target.name.clone());
                    comparisons.push(Comparison { target, ..of });
                }
            }
        }
        comparisons
    }

    /// In words, a line each.
    pub(crate) fn lines(&self, notes: &str) -> Vec<String> {
        let mut lines = self.table(RMSE);
        let quantiles = !self.quantiles.values().is_empty();
        if self.horizon > 1 || quantiles {
            lines.push(String::new());
            lines.extend(self.table(MAE));
            lines.push(String::new());
        }
        if quantiles {
            lines.extend(self.table_of("pinball", &self.names(), |part, index| {
                part.spreads[index].pinball.iter().map(|loss| dash(*loss)).collect()
            }));
            lines.push(String::new());
            lines.extend(self.table_of_coverage());
        }
        if self.horizon > 1 {
            lines.extend(self.main().into_iter().flat_map(|part| self.table_by_step(part)));
            lines.push(String::new());
        }
        lines.push(match &self.targets[..] {
            [target] => format!("in units of {}; {notes}", target.name),
            _ => format!("in each target's own units; {notes}"),
        });
        lines.extend(self.quantile_notes());
        if let Some(part) = self.main().filter(|_| self.standard && self.horizon > 1) {
            let of = |forecaster: usize| {
                let (mse, mae) = self.scaled(part, forecaster);
                format!("{} {}, {}", self.forecasters[forecaster].name, four(mse), four(mae))
            };
            let all: Vec<String> = (0..self.forecasters.len()).map(of).collect();
            lines.push(format!("in standard deviations of training, {}: MSE, MAE of {}", part.name, all.join("; ")));
        }
        lines
    }

    /// What quantiles and their errors are.
    fn quantile_notes(&self) -> Vec<String> {
        let Some(middle) = self.quantiles.values().get(self.quantiles.middle()) else { return Vec::new() };
        let within = self.quantiles.interval().map(|ends| format!("; coverage: the share within {}", range(ends)));
        let words = self.quantiles.words();
        vec![
            format!(
                "RMSE and MAE of the quantile {middle}; pinball: the mean loss of {words}{}",
                within.unwrap_or_default()
            ),
            self.ranges.clone(),
        ]
    }

    fn names(&self) -> Vec<&str> {
        self.forecasters.iter().map(|forecaster| forecaster.name).collect()
    }

    /// A row a part and target, a column a forecaster.
    fn table(&self, measure: ErrorMeasure) -> Vec<String> {
        let cells = |part: &PartErrors, index: usize| {
            part.accuracies.iter().map(|of| four(measure.1(&of[index].overall))).collect::<Vec<_>>()
        };
        self.table_of(measure.0, &self.names(), cells)
    }

    /// How often the truth lies between the outermost quantiles, and how often it is to.
    fn table_of_coverage(&self) -> Vec<String> {
        let Some(ends) = self.quantiles.interval() else { return Vec::new() };
        let expected = share(ends[1] - ends[0]);
        let columns = [self.names(), vec!["expected"]].concat();
        let mut lines = self.table_of("coverage", &columns, |part, index| {
            part.spreads[index].coverage.iter().copied().map(share).chain([expected.clone()]).collect()
        });
        lines.push(String::new());
        lines
    }

    /// A row a part and target, with these columns.
    fn table_of(&self, name: &str, columns: &[&str], of: impl Fn(&PartErrors, usize) -> Vec<String>) -> Vec<String> {
        let span_width = widest(self.parts.iter().map(|part| cell(&part.span())));
        let target_width = self.target_width();
        let names: Vec<String> = columns.iter().map(|name| cell(name)).collect();
        let cells = |texts: &[String]| -> String {
            let width = |name: &str| name.chars().count().max(10);
            names.iter().zip(texts).map(|(name, text)| format!("  {}", right(text, width(name)))).collect()
        };
        let mut lines = vec![format!("{name:<12}{}{}{}", left("", span_width), left("", target_width), cells(&names))];
        for part in &self.parts {
            for (index, target) in self.targets.iter().enumerate() {
                let (name, span) = if index == 0 { (part.name, part.span()) } else { ("", String::new()) };
                let target = if target_width > 0 { format!("  {}", cell(&target.name)) } else { String::new() };
                let (span, target) = (left(&cell(&span), span_width), left(&target, target_width));
                lines.push(format!("{name:<12}{span}{target}{}", cells(&of(part, index))));
            }
        }
        lines
    }

    /// A row a target and forecaster, a column a step.
    fn table_by_step(&self, part: &PartErrors) -> Vec<String> {
        let steps = some_steps(self.horizon, 5);
        let title = format!("RMSE by step ahead, {}", part.name);
        let names = |target: &TargetName, forecaster: &Forecaster| match self.targets.len() {
            1 => forecaster.name.to_owned(),
            _ => format!("{}, {}", cell(&target.name), forecaster.name),
        };
        let mut rows = Vec::new();
        for (index, target) in self.targets.iter().enumerate() {
            for (forecaster, of) in self.forecasters.iter().zip(&part.accuracies) {
                let values: String =
                    steps.iter().map(|step| format!("{:>10}", four(of[index].by_step[step - 1].rmse))).collect();
                rows.push((names(target, forecaster), values));
            }
        }
        let width = widest(rows.iter().map(|(name, _)| name).chain([&title]));
        let header: String = steps.iter().map(|step| format!("{step:>10}")).collect();
        let rows = rows.into_iter().map(|(name, values)| left(&name, width) + &values);
        std::iter::once(left(&title, width) + &header).chain(rows).collect()
    }

    /// Of the column of targets; none where there is one alone.
    fn target_width(&self) -> usize {
        if self.targets.len() > 1 { 2 + widest(self.targets.iter().map(|target| cell(&target.name))) } else { 0 }
    }

    /// For the report.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let who = |measure: ErrorMeasure| {
            self.forecasters.iter().map(move |forecaster| format!("{}, {}", measure.0, forecaster.name))
        };
        let fixed = ["part", "rows", "target", "forecasts"].map(str::to_owned);
        let mut rows = Vec::new();
        for part in &self.parts {
            for (index, target) in self.targets.iter().enumerate() {
                let mut row = vec![part.name.to_owned(), part.span(), target.name.clone(), part.count.to_string()];
                for (_, value) in [RMSE, MAE] {
                    row.extend(part.accuracies.iter().map(|of| four(value(&of[index].overall))));
                }
                rows.push(row);
            }
        }
        let caption = match self.horizon {
            1 => "SeriesErrors one step ahead, in units of the data".to_owned(),
            horizon => format!("SeriesErrors over all {horizon} steps ahead, in units of the data"),
        };
        let columns = fixed.into_iter().chain(who(RMSE)).chain(who(MAE)).collect();
        let mut tables = vec![Table { caption, columns, rows }];
        if let Some(part) = self.main().filter(|_| self.horizon > 1) {
            for (index, target) in self.targets.iter().enumerate() {
                let row = |step: usize| {
                    let errors = [RMSE, MAE].into_iter().flat_map(|(_, value)| {
                        part.accuracies.iter().map(move |of| four(value(&of[index].by_step[step - 1])))
                    });
                    std::iter::once(step.to_string()).chain(errors).collect()
                };
                tables.push(Table {
                    caption: format!("SeriesErrors of {} by step ahead, {}", target.name, part.name),
                    columns: std::iter::once("step".to_owned()).chain(who(RMSE)).chain(who(MAE)).collect(),
                    rows: some_steps(self.horizon, 25).into_iter().map(row).collect(),
                });
            }
        }
        tables.extend(self.quantile_table());
        if let Some(part) = self.main().filter(|_| self.standard) {
            let row = |(index, forecaster): (usize, &Forecaster)| {
                let (mse, mae) = self.scaled(part, index);
                vec![forecaster.name.to_owned(), four(mse), four(mae)]
            };
            tables.push(Table {
                caption: format!("SeriesErrors in standard deviations of the training part, {}", part.name),
                columns: ["forecast", "MSE", "MAE"].map(str::to_owned).to_vec(),
                rows: self.forecasters.iter().enumerate().map(row).collect(),
            });
        }
        tables
    }

    /// For the report; `None` where the network tells no quantiles.
    fn quantile_table(&self) -> Option<Table> {
        self.quantiles.values().first()?;
        let notes = self.quantile_notes().join("; ");
        let fixed = ["part", "rows", "target"].map(str::to_owned).into_iter();
        let pinball = self.forecasters.iter().map(|forecaster| format!("pinball, {}", forecaster.name));
        let coverage = self.quantiles.interval().into_iter().flat_map(|ends| {
            self.forecasters.iter().map(move |forecaster| format!("within {}, {}", range(ends), forecaster.name))
        });
        let mut rows = Vec::new();
        for part in &self.parts {
            for (target, spread) in self.targets.iter().zip(&part.spreads) {
                let mut row = vec![part.name.to_owned(), part.span(), target.name.clone()];
                row.extend(spread.pinball.iter().map(|loss| dash(*loss)));
                row.extend(spread.coverage.iter().copied().map(share));
                rows.push(row);
            }
        }
        let columns = fixed.chain(pinball).chain(coverage).collect();
        Some(Table { caption: format!("Quantiles, in units of the data; {notes}"), columns, rows })
    }

    /// The results in a few names and numbers.
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
        match &self.targets[..] {
            [_] => self
                .forecasters
                .iter()
                .enumerate()
                .map(|(index, forecaster)| (format!("{} RMSE, {}", part.name, forecaster.name), figure(0, index)))
                .collect(),
            // More than a row holds are in the table.
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

    /// By part: one target's numbers stand beside the part's rows, those of several under their names.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let part = |part: &PartErrors| {
            let mut value = Map::new();
            value.insert("from".into(), json!(part.ends[0]));
            value.insert("until".into(), json!(part.ends[1]));
            value.insert("forecasts".into(), json!(part.count));
            let errors = |target: usize| {
                let mut errors = self.errors(part, |of| &of[target]);
                if let Some(Spread { pinball, coverage }) = part.spreads.get(target) {
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
                }
            }
            if self.standard {
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

    /// MSE and MAE in units of the network, over all targets.
    fn scaled(&self, part: &PartErrors, forecaster: usize) -> (f64, f64) {
        let (mut squares, mut sum, mut count) = (0.0, 0.0, 0.0);
        for (accuracy, target) in part.accuracies[forecaster].iter().zip(&self.targets) {
            let ForecastErrors { rmse, mae, count: n } = accuracy.overall;
            if n > 0 {
                squares += n as f64 * (rmse / target.unit).powi(2);
                sum += n as f64 * mae / target.unit;
                count += n as f64;
            }
        }
        (squares / count, sum / count)
    }
}

/// Steps from 1 to the last, at most `most` of them.
fn some_steps(horizon: usize, most: usize) -> Vec<usize> {
    if horizon <= most {
        return (1..=horizon).collect();
    }
    (0..most).map(|n| (n * horizon + (most - 1) / 2) / (most - 1)).map(|step| step.max(1)).collect()
}

/// Four digits that matter, or a dash for what there is not.
fn dash(value: f64) -> String {
    if value.is_nan() { "–".into() } else { four(value) }
}

/// Four digits that matter, or as many as stand before the point.
pub(crate) fn four(value: f64) -> String {
    let before = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    match before {
        -4..=15 => format!("{value:.*}", (3 - before).max(0) as usize),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_all_or_go_evenly_from_the_first_to_the_last() {
        assert_eq!(some_steps(3, 5), [1, 2, 3]);
        assert_eq!(some_steps(24, 5), [1, 6, 12, 18, 24]);
        assert_eq!(some_steps(96, 13), [1, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96]);
        for horizon in 1..200 {
            let steps = some_steps(horizon, 5);
            assert!(steps.is_sorted_by(|a, b| a < b) && steps[0] == 1 && steps.last() == Some(&horizon), "{steps:?}");
        }
    }

    #[test]
    fn four_digits_matter_whatever_the_size() {
        let sizes = [0.0, 3.2e-9, 0.000_123_4, 0.5, 15.25, 16_372.6, 1.5e20].map(four);
        assert_eq!(sizes, ["0.000", "3.200e-9", "0.0001234", "0.5000", "15.25", "16373", "1.500e20"]);
    }

    const LAST_VALUE: BaselineName = BaselineName { key: "last_value", words: "the last value" };

    fn accuracy(rmse: f64, mae: f64, count: usize) -> TargetErrors {
        let overall = ForecastErrors { rmse, mae, count };
        TargetErrors { overall, by_step: vec![overall, overall] }
    }

    fn errors(targets: &[(&str, f64)], accuracies: Vec<Vec<TargetErrors>>) -> SeriesErrors {
        let ends = ["a".to_owned(), "b".to_owned()];
        SeriesErrors {
            targets: targets.iter().map(|(name, unit)| TargetName { name: (*name).into(), unit: *unit }).collect(),
            horizon: 2,
            forecasters: vec![
                Forecaster { name: "network", prefix: "", baseline: None },
                Forecaster { name: "last value", prefix: "naive_", baseline: Some(LAST_VALUE) },
            ],
            quantiles: Quantiles::of(&crate::Loss::SquaredError),
            ranges: String::new(),
            parts: vec![PartErrors { name: "test", ends, count: 3, accuracies, spreads: Vec::new() }],
            standard: true,
        }
    }

    #[test]
    fn standardized_errors_are_those_of_all_targets_together() {
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
    fn the_columns_of_a_table_are_aligned() {
        let accuracies = || vec![accuracy(1234.5, 0.25, 3), accuracy(1e-5, 20.0, 3)];
        let errors = errors(&[("x", 1.0), ("a long name", 1.0)], vec![accuracies(), accuracies()]);
        for table in [errors.table(RMSE), errors.table_by_step(&errors.parts[0])] {
            let widths: Vec<usize> = table.iter().map(|line| line.chars().count()).collect();
            assert!(widths.iter().all(|width| *width == widths[0]), "{table:#?}");
        }
        assert_eq!(errors.table(RMSE).len(), 3);
        assert_eq!(errors.tables().len(), 4);
    }
}
