//! Metrics without units, over one series or several, and whether a network is worth it.

use serde_json::{Map, Value, json};

use super::comparison::{ComparedMetric, Comparison, Verdict};
use super::metric::{Metric, dash};
use super::quantiles::{crps, mean};
use super::series_errors::{Forecaster, PartErrors, SeriesErrors};
use crate::data::{ForecastErrors, NaiveScale};
use crate::format::{cell, grouped, left, right, widest};
use crate::report::Table;

/// The metrics that can be averaged over series of any units.
const METRICS: [Metric<(ForecastErrors, NaiveScale)>; 4] = [
    Metric::new("MASE", "mase", |(errors, scale): &(ForecastErrors, NaiveScale)| scale.mase(errors)),
    Metric::new("RMSSE", "rmsse", |(errors, scale): &(ForecastErrors, NaiveScale)| scale.rmsse(errors)),
    Metric::new("sMAPE", "smape", |(errors, _): &(ForecastErrors, NaiveScale)| errors.smape).percent(),
    Metric::new("WAPE", "wape", |(errors, _): &(ForecastErrors, NaiveScale)| errors.wape).share(),
];

/// The mean and the median over series, by [`METRICS`], and the overall weighted average from the means.
struct OverSeries {
    mean: [f64; METRICS.len()],
    median: [f64; METRICS.len()],
    owa: f64,
}

impl SeriesErrors {
    fn scores(&self, errors: &ForecastErrors, target: usize) -> [f64; METRICS.len()] {
        METRICS.map(|metric| (metric.of)(&(*errors, self.scales[target])))
    }

    /// The metrics of a forecaster over some targets; a series without a value of a metric counts in none of it.
    fn over(&self, part: &PartErrors, targets: &[usize], errors: &dyn Fn(usize) -> ForecastErrors) -> OverSeries {
        let means = |errors: &dyn Fn(usize) -> ForecastErrors| {
            let all: Vec<_> = targets.iter().map(|target| self.scores(&errors(*target), *target)).collect();
            std::array::from_fn(|score| sorted(all.iter().map(|scores: &[f64; METRICS.len()]| scores[score])))
        };
        let [mase, rmsse, smape, wape]: [Vec<f64>; METRICS.len()] = means(errors);
        let naive2: [Vec<f64>; METRICS.len()] = means(&|target| part.naive2[target]);
        let over = |known: &[f64]| mean(known.iter().copied());
        // The average of both metrics in units of Naive2's, each of which is averaged over the series first.
        let owa = (over(&smape) / over(&naive2[2]) + over(&mase) / over(&naive2[0])) / 2.0;
        let owa = if owa.is_finite() { owa } else { f64::NAN };
        let all = [mase, rmsse, smape, wape];
        OverSeries { mean: all.each_ref().map(|all| over(all)), median: all.each_ref().map(|all| median(all)), owa }
    }

    fn of_forecaster(&self, part: &PartErrors, forecaster: usize, targets: &[usize]) -> OverSeries {
        self.over(part, targets, &|target| part.accuracies[forecaster][target].overall)
    }

    fn all_targets(&self) -> Vec<usize> {
        (0..self.targets.len()).collect()
    }

    /// The metrics of the main split for the terminal, a row for each forecaster: of one series, or the means and the
    /// medians over several. CRPS and interval score have the units of the series, and are there for one.
    pub(super) fn score_lines(&self) -> Vec<String> {
        let Some(part) = self.main() else { return Vec::new() };
        let of = |forecaster| self.of_forecaster(part, forecaster, &self.all_targets());
        let all: Vec<OverSeries> = (0..self.forecasters.len()).map(of).collect();
        let texts = |values: &[f64]| METRICS.iter().zip(values).map(|(metric, value)| (metric.text)(*value)).collect();
        let rows = |values: &dyn Fn(usize) -> Vec<String>| -> Vec<(String, Vec<String>)> {
            self.forecasters.iter().enumerate().map(|(of, forecaster)| (forecaster.name.into(), values(of))).collect()
        };
        let names = |more: &[&'static str]| [&METRICS.map(|metric| metric.name)[..], more].concat();
        let means = |of: usize| -> Vec<String> { [texts(&all[of].mean), vec![dash(all[of].owa)]].concat() };
        match (&self.targets[..], &part.spreads[..]) {
            ([_], [spread]) => {
                let of_range = |of: usize| {
                    let winkler = spread.winkler.get(of).map(|score| dash(*score));
                    [dash(crps(spread.pinball[of]))].into_iter().chain(winkler).collect::<Vec<_>>()
                };
                let more = if spread.winkler.is_empty() { &["OWA", "CRPS"][..] } else { &["OWA", "CRPS", "Winkler"] };
                aligned(part.name, &names(more), &rows(&|of| [means(of), of_range(of)].concat()))
            }
            ([_], _) => aligned(part.name, &names(&["OWA"]), &rows(&means)),
            (targets, _) => {
                let over = |what: &str| format!("{}, {what} of {}", part.name, grouped(targets.len() as u64));
                let mut lines = aligned(&over("mean"), &names(&["OWA"]), &rows(&means));
                lines.extend(aligned(&over("median"), &names(&[]), &rows(&|of| texts(&all[of].median))));
                lines
            }
        }
    }

    /// What the metrics are, in words.
    pub(super) fn score_notes(&self) -> String {
        let units = match self.season {
            1 => "MASE and RMSSE: in units of the error of the last value in the training part".to_owned(),
            season => format!(
                "MASE: in units of the error of the value {} rows before in the training part, RMSSE: of the last value",
                grouped(season as u64)
            ),
        };
        format!("{units}; OWA: sMAPE and MASE in units of Naive2's")
    }

    /// Every metric of the main split for the report: a row for each series and forecaster, and for the means and
    /// medians over several series.
    pub(super) fn score_table(&self, listed: usize) -> Option<Table> {
        let part = self.main()?;
        let mut columns = vec!["series", "forecast", "RMSE", "MAE"];
        columns.extend(METRICS.map(|metric| metric.name));
        columns.push("OWA");
        if !part.spreads.is_empty() {
            columns.extend(["pinball", "CRPS"]);
        }
        if self.quantiles.interval().is_some() {
            columns.push("Winkler");
        }
        let mut rows = Vec::new();
        let scores = |values: &[f64; METRICS.len()]| -> Vec<String> {
            METRICS.iter().zip(values).map(|(metric, value)| (metric.text)(*value)).collect()
        };
        let width = columns.len();
        let mut add = |first: [&str; 2], cells: Vec<String>| {
            let mut row: Vec<String> = first.iter().map(|text| (*text).to_owned()).chain(cells).collect();
            row.resize(width, "–".into());
            rows.push(row);
        };
        let none = || vec!["–".to_owned(); 2];
        for (of, Forecaster { name, .. }) in self.forecasters.iter().enumerate().filter(|_| self.targets.len() > 1) {
            let over = self.of_forecaster(part, of, &self.all_targets());
            add(["mean", name], [none(), scores(&over.mean), vec![dash(over.owa)]].concat());
            add(["median", name], [none(), scores(&over.median)].concat());
        }
        for (index, target) in self.targets.iter().enumerate().take(listed) {
            for (of, forecaster) in self.forecasters.iter().enumerate() {
                let errors = &part.accuracies[of][index].overall;
                let over = self.of_forecaster(part, of, &[index]);
                let mut cells = vec![dash(errors.rmse), dash(errors.mae)];
                cells.extend(scores(&over.mean));
                cells.push(dash(over.owa));
                if let Some(spread) = part.spreads.get(index) {
                    cells.extend([dash(spread.pinball[of]), dash(crps(spread.pinball[of]))]);
                    cells.extend(spread.winkler.get(of).map(|score| dash(*score)));
                }
                add([&target.name, forecaster.name], cells);
            }
        }
        let caption = format!("Metrics, {}; {}", part.name, self.score_notes());
        Some(Table { caption, columns: columns.into_iter().map(str::to_owned).collect(), rows })
    }

    /// The metrics of a target for the summary, by the prefix of each forecaster.
    pub(super) fn scores_of_target(&self, part: &PartErrors, target: usize) -> Map<String, Value> {
        let mut map = Map::new();
        for (of, Forecaster { prefix, .. }) in self.forecasters.iter().enumerate() {
            let over = self.of_forecaster(part, of, &[target]);
            map.extend(
                METRICS.iter().zip(over.mean).map(|(metric, value)| (format!("{prefix}{}", metric.key), json!(value))),
            );
            map.insert(format!("{prefix}owa"), json!(over.owa));
            if let Some(spread) = part.spreads.get(target) {
                map.insert(format!("{prefix}crps"), json!(crps(spread.pinball[of])));
                map.extend(spread.winkler.get(of).map(|score| (format!("{prefix}winkler"), json!(score))));
            }
        }
        let [mase, _, smape, _] = self.scores(&part.naive2[target], target);
        map.extend([("naive2_mase".into(), json!(mase)), ("naive2_smape".into(), json!(smape))]);
        map
    }

    /// The means and the medians over all targets for the summary.
    pub(super) fn scores_over_targets(&self, part: &PartErrors) -> [(String, Value); 2] {
        let (mut means, mut medians) = (Map::new(), Map::new());
        for (of, Forecaster { prefix, .. }) in self.forecasters.iter().enumerate() {
            let OverSeries { mean, median, owa } = self.of_forecaster(part, of, &self.all_targets());
            for ((metric, mean), median) in METRICS.iter().zip(mean).zip(median) {
                means.insert(format!("{prefix}{}", metric.key), json!(mean));
                medians.insert(format!("{prefix}{}", metric.key), json!(median));
            }
            means.insert(format!("{prefix}owa"), json!(owa));
        }
        [("mean".into(), means.into()), ("median".into(), medians.into())]
    }

    /// The network against the best baseline on the main split: of one series by the metric of its comparisons, of
    /// several over all of them in their scaled units.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let part = self.main()?;
        let (metric, errors) = match self.targets.len() {
            1 if !self.panel => self.compared(part, 0),
            _ => self.compared_over_all(part),
        };
        let baselines = self.forecasters.iter().zip(&errors).filter_map(|(of, error)| Some((of.baseline?, error)));
        let comparisons = baselines
            .map(|(name, error)| Comparison::new(part.name, ComparedMetric::Error(metric), errors[0], name, *error));
        Verdict::of(&comparisons.collect::<Vec<_>>())
    }
}

/// A table with a title over its names.
fn aligned(title: &str, columns: &[&str], rows: &[(String, Vec<String>)]) -> Vec<String> {
    // This width aligns it with the tables of errors of a series with short labels.
    let width = widest(rows.iter().map(|(name, _)| cell(name)).chain([title.to_owned()])).max(23);
    let line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        left(name, width) + &cells.map(|text| format!("  {}", right(text, 10))).collect::<String>()
    };
    let head = line(title, &mut columns.iter().copied());
    let rows = rows.iter().map(|(name, cells)| line(name, &mut cells.iter().map(String::as_str)));
    std::iter::once(head).chain(rows).chain([String::new()]).collect()
}

/// Those that are known, ascending.
fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut known: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    known
}

/// Of an even number, the mean of the middle two; NaN if there are none.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::series_errors::tests::{errors, of_pairs};
    use super::*;

    /// Three series, of which the last is constant in training, with forecasts of two values each.
    fn three() -> SeriesErrors {
        let naive2 = [[(100.0, 110.0), (100.0, 90.0)], [(10.0, 12.0), (10.0, 6.0)], [(5.0, 5.0), (5.0, 6.0)]];
        let network = [[(100.0, 105.0), (100.0, 95.0)], [(10.0, 11.0), (10.0, 9.0)], [(5.0, 5.5), (5.0, 5.5)]];
        let of = |pairs: [[(f64, f64); 2]; 3]| pairs.map(|pairs| of_pairs(&pairs)).to_vec();
        let mut errors = errors(&[("x", 1.0), ("y", 1.0), ("z", 1.0)], vec![of(network), of(naive2)]);
        errors.parts[0].naive2 = of(naive2).iter().map(|target| target.overall).collect();
        let scale = |seasonal_mae| NaiveScale { seasonal_mae, last_value_rmse: 2.0 * seasonal_mae };
        errors.scales = vec![scale(10.0), scale(2.0), scale(0.0)];
        errors
    }

    #[test]
    fn means_and_medians_over_series_leave_out_what_is_undefined() {
        let errors = three();
        let summary = &errors.summary()["test"];
        // MASE: 5/10, 1/2 and undefined; sMAPE by the definition.
        assert_eq!((&summary["mean"]["mase"], &summary["median"]["mase"]), (&json!(0.5), &json!(0.5)));
        assert_eq!(summary["mean"]["naive_mase"], json!((10.0 / 10.0 + 3.0 / 2.0) / 2.0));
        assert!(summary["targets"]["z"]["mase"].is_null() && summary["targets"]["z"]["owa"].is_null());
        let smape = |pairs: [(f64, f64); 2]| {
            pairs.iter().map(|(y, f)| 200.0 * (y - f).abs() / (y.abs() + f.abs())).sum::<f64>() / 2.0
        };
        let of_each = [
            smape([(100.0, 105.0), (100.0, 95.0)]),
            smape([(10.0, 11.0), (10.0, 9.0)]),
            smape([(5.0, 5.5), (5.0, 5.5)]),
        ];
        let near = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 1e-9, "{value}");
        near(&summary["mean"]["smape"], of_each.iter().sum::<f64>() / 3.0);
        // In the order of size: x, z, y.
        near(&summary["median"]["smape"], of_each[2]);
        near(&summary["targets"]["x"]["wape"], 0.05);
        near(&summary["targets"]["y"]["rmsse"], 0.25);
    }

    #[test]
    fn the_overall_weighted_average_is_1_for_naive2_and_averages_before_it_divides() {
        let errors = three();
        let summary = &errors.summary()["test"];
        assert_eq!(summary["mean"]["naive_owa"], json!(1.0));
        let number = |key: &str| summary["mean"][key].as_f64().unwrap();
        let expected = (number("smape") / number("naive_smape") + number("mase") / number("naive_mase")) / 2.0;
        assert_eq!(number("owa"), expected);
        // Not the mean of the averages of each.
        let of_each = ["x", "y"].map(|name| summary["targets"][name]["owa"].as_f64().unwrap());
        assert!((expected - (of_each[0] + of_each[1]) / 2.0).abs() > 1e-3);
    }

    #[test]
    fn every_forecaster_and_metric_is_in_the_report_and_the_main_ones_in_the_terminal() {
        let errors = three();
        let lines = errors.score_lines();
        assert!(lines[0].starts_with("test, mean of 3 ") && lines[0].ends_with("OWA"), "{lines:#?}");
        assert!(lines[1].starts_with("network") && lines[2].starts_with("last value"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("test, median of 3 ")), "{lines:#?}");
        let table = errors.score_table(24).unwrap();
        assert_eq!(table.rows.len(), 2 * (2 + 3));
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{:?}", table.rows);
        let verdict = errors.verdict().unwrap().words();
        assert!(verdict.starts_with("worth it: beats the only baseline, the last value, by "), "{verdict}");
        assert!(verdict.contains("(test scaled MSE "), "{verdict}");
    }
}
