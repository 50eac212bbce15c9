//! Forecast errors in tables.

use super::metric::{Metric, dash, four};
use super::series_errors::{Forecaster, MAE, PartErrors, RMSE, SeriesErrors, TargetName, range};
use crate::data::ForecastErrors;
use crate::experiment::config::ScaleName;
use crate::format::{cell, grouped, left, right, share, widest};
use crate::report::Table;

/// Maximum number of series of a panel in a table.
const LISTED: usize = 24;

impl SeriesErrors {
    /// The table as text lines.
    pub(crate) fn lines(&self, notes: &str) -> Vec<String> {
        let mut lines = self.table(&RMSE);
        lines.push(String::new());
        let quantiles = !self.quantiles.values().is_empty();
        if self.horizon > 1 || quantiles {
            lines.extend(self.table(&MAE));
            lines.push(String::new());
        }
        if quantiles {
            lines.extend(self.table_of("pinball", &self.names(), |part, index| {
                part.spreads[index].pinball.iter().map(|loss| dash(*loss)).collect()
            }));
            lines.push(String::new());
            lines.extend(self.table_of_coverage());
            lines.extend(self.table_of_likelihood());
        }
        if self.horizon > 1 {
            lines.extend(self.main().into_iter().flat_map(|part| self.table_by_step(part)));
            lines.push(String::new());
        }
        lines.extend(self.score_lines());
        if self.listed() < self.targets.len() {
            let more = grouped((self.targets.len() - self.listed()) as u64);
            lines.push(format!("and {more} more series, which --json lists"));
        }
        lines.push(match &self.targets[..] {
            [target] => format!("in units of {}; {notes}", target.name),
            _ if self.panel => format!("in each series' own units; {notes}"),
            _ => format!("in each target's own units; {notes}"),
        });
        lines.push(self.score_notes());
        lines.extend(self.quantile_notes());
        if let Some(part) = self.main().filter(|_| self.panel || (self.standard() && self.horizon > 1)) {
            let of = |forecaster: usize| {
                let (mse, mae) = self.scaled(part, forecaster);
                format!("{} {}, {}", self.forecasters[forecaster].name, four(mse), four(mae))
            };
            let all: Vec<String> = (0..self.forecasters.len()).map(of).collect();
            let over = if self.panel { "over all series, " } else { "" };
            lines.push(format!("{over}{}, {}: MSE, MAE of {}", self.units(), part.name, all.join("; ")));
        }
        lines
    }

    /// The number of targets in tables: that of a panel may be large.
    fn listed(&self) -> usize {
        if self.panel { self.targets.len().min(LISTED) } else { self.targets.len() }
    }

    fn standard(&self) -> bool {
        self.scale == ScaleName::Standard
    }

    /// The units of scaled targets, in words.
    fn units(&self) -> &'static str {
        match self.scale {
            ScaleName::Standard => "in standard deviations of training",
            ScaleName::MinMax => "in ranges of training",
            ScaleName::MeanAbsolute => "in mean absolute values of training",
            ScaleName::None => "in units of the data",
        }
    }

    /// Explains the quantiles and their errors.
    fn quantile_notes(&self) -> Vec<String> {
        let Some(middle) = self.quantiles.values().get(self.quantiles.middle()) else { return Vec::new() };
        let within = self.quantiles.interval().map(|ends| format!("; coverage: the share within {}", range(ends)));
        let words = self.quantiles.words();
        let (middle, words) = match self.quantiles.point() {
            Some(_) => ("forecast".to_owned(), format!("{words} and, as the median, of the forecast")),
            None => (format!("quantile {middle}"), words),
        };
        vec![
            format!("RMSE and MAE of the {middle}; pinball: the mean loss of {words}{}", within.unwrap_or_default()),
            self.ranges.clone(),
        ]
        .into_iter()
        .chain(self.has_likelihood().then(|| {
            "-ln p: the mean negative log-likelihood of the true values by the network's distributions".to_owned()
        }))
        .collect()
    }

    fn names(&self) -> Vec<&str> {
        self.forecasters.iter().map(|forecaster| forecaster.name).collect()
    }

    /// One row per split and target, one column per forecaster.
    pub(super) fn table(&self, metric: &Metric<ForecastErrors>) -> Vec<String> {
        let cells = |part: &PartErrors, index: usize| {
            part.accuracies.iter().map(|of| four((metric.of)(&of[index].overall))).collect::<Vec<_>>()
        };
        self.table_of(metric.name, &self.names(), cells)
    }

    /// The measured coverage of the outermost quantiles, and the expected one.
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

    /// Whether the network predicts distributions.
    fn has_likelihood(&self) -> bool {
        self.parts.iter().flat_map(|part| &part.spreads).any(|spread| spread.likelihood.is_some())
    }

    /// The negative log-likelihood of the network.
    fn table_of_likelihood(&self) -> Vec<String> {
        if !self.has_likelihood() {
            return Vec::new();
        }
        let mut lines =
            self.table_of("-ln p", &self.names()[..1], |part, index| vec![dash_signed(part.spreads[index].likelihood)]);
        lines.push(String::new());
        lines
    }

    /// One row per split and target, with these columns.
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
            for (index, target) in self.targets.iter().enumerate().take(self.listed()) {
                let (name, span) = if index == 0 { (part.name, part.span()) } else { ("", String::new()) };
                let target = if target_width > 0 { format!("  {}", cell(&target.name)) } else { String::new() };
                let (span, target) = (left(&cell(&span), span_width), left(&target, target_width));
                lines.push(format!("{name:<12}{span}{target}{}", cells(&of(part, index))));
            }
        }
        lines
    }

    /// One row per target and forecaster, one column per step.
    pub(super) fn table_by_step(&self, part: &PartErrors) -> Vec<String> {
        let steps = some_steps(self.horizon, 5);
        let title = format!("RMSE by step ahead, {}", part.name);
        let names = |target: &TargetName, forecaster: &Forecaster| match self.targets.len() {
            1 => forecaster.name.to_owned(),
            _ => format!("{}, {}", cell(&target.name), forecaster.name),
        };
        let mut rows = Vec::new();
        for (index, target) in self.targets.iter().enumerate().take(self.listed()) {
            // Of several targets, the report has the others.
            let shown = |forecaster: &Forecaster| {
                self.targets.len() == 1 || forecaster.repeats || forecaster.baseline.is_none()
            };
            let all = self.forecasters.iter().zip(&part.accuracies).filter(|(forecaster, _)| shown(forecaster));
            for (forecaster, of) in all {
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

    /// The target column; empty if there is only one target.
    fn target_width(&self) -> usize {
        if self.targets.len() > 1 { 2 + widest(self.targets.iter().map(|target| cell(&target.name))) } else { 0 }
    }

    /// The tables of the report.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let who =
            |name: &'static str| self.forecasters.iter().map(move |forecaster| format!("{name}, {}", forecaster.name));
        let fixed = ["part", "rows", "target", "forecasts"].map(str::to_owned);
        let mut rows = Vec::new();
        for part in &self.parts {
            for (index, target) in self.targets.iter().enumerate().take(self.listed()) {
                let mut row = vec![part.name.to_owned(), part.span(), target.name.clone(), part.count.to_string()];
                for metric in [RMSE, MAE] {
                    row.extend(part.accuracies.iter().map(|of| four((metric.of)(&of[index].overall))));
                }
                rows.push(row);
            }
        }
        let caption = match self.horizon {
            1 => "Errors one step ahead, in units of the data".to_owned(),
            horizon => format!("Errors over all {horizon} steps ahead, in units of the data"),
        };
        let columns = fixed.into_iter().chain(who(RMSE.name)).chain(who(MAE.name)).collect();
        let mut tables = vec![Table { caption, columns, rows }];
        if let Some(part) = self.main().filter(|_| self.horizon > 1) {
            for (index, target) in self.targets.iter().enumerate().take(self.listed()) {
                let row = |step: usize| {
                    let errors = [RMSE, MAE].into_iter().flat_map(|metric| {
                        part.accuracies.iter().map(move |of| four((metric.of)(&of[index].by_step[step - 1])))
                    });
                    std::iter::once(step.to_string()).chain(errors).collect()
                };
                tables.push(Table {
                    caption: format!("Errors of {} by step ahead, {}", target.name, part.name),
                    columns: std::iter::once("step".to_owned()).chain(who(RMSE.name)).chain(who(MAE.name)).collect(),
                    rows: some_steps(self.horizon, 25).into_iter().map(row).collect(),
                });
            }
        }
        tables.extend(self.quantile_table());
        tables.extend(self.score_table(self.listed()));
        if let Some(part) = self.main().filter(|_| self.panel || self.standard()) {
            let row = |(index, forecaster): (usize, &Forecaster)| {
                let (mse, mae) = self.scaled(part, index);
                vec![forecaster.name.to_owned(), four(mse), four(mae)]
            };
            tables.push(Table {
                caption: if self.panel {
                    format!("Errors over all series, {}, {}", self.units(), part.name)
                } else {
                    format!("Errors in standard deviations of the training split, {}", part.name)
                },
                columns: ["forecast", "MSE", "MAE"].map(str::to_owned).to_vec(),
                rows: self.forecasters.iter().enumerate().map(row).collect(),
            });
        }
        tables
    }

    /// The quantile table of the report; `None` without quantiles.
    fn quantile_table(&self) -> Option<Table> {
        self.quantiles.values().first()?;
        let notes = self.quantile_notes().join("; ");
        let fixed = ["part", "rows", "target"].map(str::to_owned).into_iter();
        let pinball = self.forecasters.iter().map(|forecaster| format!("pinball, {}", forecaster.name));
        let coverage = self.quantiles.interval().into_iter().flat_map(|ends| {
            self.forecasters.iter().map(move |forecaster| format!("within {}, {}", range(ends), forecaster.name))
        });
        let has_likelihood = self.has_likelihood();
        let likelihood = has_likelihood.then(|| "-ln p, network".to_owned());
        let mut rows = Vec::new();
        for part in &self.parts {
            for (target, spread) in self.targets.iter().zip(&part.spreads).take(self.listed()) {
                let mut row = vec![part.name.to_owned(), part.span(), target.name.clone()];
                row.extend(spread.pinball.iter().map(|loss| dash(*loss)));
                row.extend(spread.coverage.iter().copied().map(share));
                row.extend(has_likelihood.then(|| dash_signed(spread.likelihood)));
                rows.push(row);
            }
        }
        let columns = fixed.chain(pinball).chain(coverage).chain(likelihood).collect();
        Some(Table { caption: format!("Quantiles, in units of the data; {notes}"), columns, rows })
    }
}

/// Four digits of a number of either sign, or a dash.
fn dash_signed(value: Option<f64>) -> String {
    match value.filter(|value| !value.is_nan()) {
        Some(value) if value < 0.0 => format!("-{}", four(-value)),
        Some(value) => four(value),
        None => "–".into(),
    }
}

/// Steps from 1 to the last one, ascending and as evenly as whole numbers allow, at most `most` of them; the last one
/// alone if that is 1.
pub(crate) fn some_steps(horizon: usize, most: usize) -> Vec<usize> {
    match most {
        _ if horizon <= most => (1..=horizon).collect(),
        0 => Vec::new(),
        1 => vec![horizon],
        // 1 + n · (horizon - 1) / (most - 1), rounded.
        _ => (0..most).map(|n| 1 + (2 * n * (horizon - 1) + most - 1) / (2 * (most - 1))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_all_shown_or_as_many_as_there_is_place_for_evenly_spaced() {
        assert_eq!(some_steps(3, 5), [1, 2, 3]);
        assert_eq!(some_steps(7, 6), [1, 2, 3, 5, 6, 7]);
        assert_eq!(some_steps(25, 5), [1, 7, 13, 19, 25]);
        assert_eq!((some_steps(9, 1), some_steps(9, 0)), (vec![9], vec![]));
        for most in 2..40 {
            for horizon in 1..200 {
                let steps = some_steps(horizon, most);
                assert!(steps[0] == 1 && steps.last() == Some(&horizon), "{most}: {steps:?}");
                assert_eq!(steps.len(), horizon.min(most), "{most}: {steps:?}");
                let gaps: Vec<usize> = steps.windows(2).map(|pair| pair[1] - pair[0]).collect();
                let (least, widest) = (gaps.iter().min(), gaps.iter().max());
                assert!(least.is_none_or(|least| *least > 0 && *widest.unwrap() <= least + 1), "{most}: {steps:?}");
            }
        }
    }
}
