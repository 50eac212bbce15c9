//! The forecasts of the network and of what it is compared with, and their errors.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array3, Axis, Zip};

use super::conformal;
use super::forecasters::{DRIFT, LAST_VALUE, LINEAR, NETWORK, SEASONAL};
use super::series_task::SeriesTask;
use crate::data::series::naive::{KnownRows, SeasonalNaive};
use crate::data::{ColumnCodec, LinearAutoregression, NaiveScale, Scaling, Windows, forecast_errors, list_names};
use crate::experiment::device::network::Network;
use crate::experiment::measure::naive_range;
use crate::experiment::measure::naive_range::{ColumnForecast, NaiveForecast};
use crate::experiment::measure::naive2::SeasonalIndices;
use crate::experiment::measure::quantiles::{coverage, interval_score, mean, mean_pinball};
use crate::experiment::measure::ranges::{Decoded, Ranges};
use crate::experiment::measure::series_errors::{Forecaster, PartErrors, SeriesErrors, Spread, TargetName};
use crate::format::grouped;
use crate::model::likelihood::LEAST_SCALE;
use crate::{Distribution, Error, Result};

/// The forecasts of every window after training, \[N, K, Q\], in the units of the data.
pub(super) struct Forecasts {
    pub(super) truth: Array3<f64>,
    /// By forecaster, the network first.
    pub(super) all: Vec<(Forecaster, Array3<f64>)>,
    /// By forecaster, the network first, and by quantile: the network has one entry without quantiles, and the others
    /// none if their range is unknown.
    pub(super) ranges: Vec<Vec<Array3<f64>>>,
    /// Naive2; `None` if it is the last value.
    naive2: Option<Array3<f64>>,
    /// The linear autoregression, in words.
    linear: String,
    /// −ln p(y) of the network, if it predicts distributions.
    likelihoods: Option<Array3<f64>>,
}

impl Forecasts {
    /// Those of the network, by quantile.
    pub(super) fn quantiles(&self) -> &[Array3<f64>] {
        &self.ranges[0]
    }
}

/// The seasonal naive forecast of columns.
fn seasonal(period: usize) -> impl for<'a> Fn(&'a [f64]) -> ColumnForecast<'a> {
    move |values| {
        let naive = SeasonalNaive::new(values, period);
        Box::new(move |first, step| naive.forecast(first, step))
    }
}

/// The drift forecast of columns.
fn drift(values: &[f64]) -> ColumnForecast<'_> {
    let known = KnownRows::new(values);
    Box::new(move |first, step| known.drift(first, step))
}

/// −ln p(y) of the truth, in the units of the data; NaN where one is missing.
fn negative_log_likelihoods(distributions: &Array3<Option<Distribution>>, truth: &Array3<f64>) -> Array3<f64> {
    Zip::from(distributions).and(truth).map_collect(|distribution, truth| match distribution {
        Some(distribution) if !truth.is_nan() => distribution.negative_log_likelihood(*truth),
        _ => f64::NAN,
    })
}

impl SeriesTask {
    /// What the outputs of the network are as forecasts: with the shifts of the model, or those of the validation
    /// windows.
    pub(super) async fn ranges(&self, network: &mut Network, rows: usize) -> Result<Ranges> {
        let conformal = match (&self.calibrates, &self.validation) {
            (Some(levels), Some(windows)) => {
                Some(conformal::fit((&self.head.loss, levels), windows, network, rows).await?)
            }
            _ => self.encoded.codec().conformal.clone(),
        };
        Ok(self.ranges_with(conformal))
    }

    pub(super) async fn forecasts(&self, network: &mut Network, ranges: &Ranges, rows: usize) -> Result<Forecasts> {
        let decoded = ranges.decode(&self.after, &network.predict(&self.after, rows).await?)?;
        let Decoded { by_quantile: quantiles, distributions } = decoded;
        let truth = self.after.truth();
        let likelihoods = distributions.map(|distributions| negative_log_likelihoods(&distributions, &truth));
        let middle = quantiles[ranges.quantiles().middle()].clone();
        let (mut all, mut ranges) = (vec![(NETWORK, middle)], vec![quantiles]);
        let season = self.season.map(|season| (SEASONAL, season));
        for (forecaster, period) in [(LAST_VALUE, 1)].into_iter().chain(season) {
            let naive = self.after.naive(period)?;
            ranges.push(self.naive_range(&naive, period));
            all.push((forecaster, naive));
        }
        let straight = self.after.drift();
        ranges.push(self.range_of(&straight, &[&drift]));
        all.push((DRIFT, straight));
        let linear = match &self.training {
            None => "no linear autoregression: no training windows are here".into(),
            Some(training) => match LinearAutoregression::fit(training)? {
                None => {
                    let lags = grouped(self.frame().window as u64);
                    format!(
                        "no linear autoregression: fewer training windows than its {lags} coefficients and a constant"
                    )
                }
                Some(linear) => {
                    let forecast = linear.forecast(&self.after)?;
                    ranges.push(self.linear_range(&forecast, &linear, training)?);
                    all.push((LINEAR, forecast));
                    self.describe_linear(&linear)
                }
            },
        };
        Ok(Forecasts { truth, all, ranges, naive2: self.naive2(), linear, likelihoods })
    }

    /// The values of a target in the training part; none if nothing was trained on here.
    fn training_values(&self, target: usize) -> &[f64] {
        let (rows, train) = (self.series().rows_of(target), &self.split.train);
        let end = if train.is_empty() { rows.start } else { train.end.clamp(rows.start, rows.end) };
        &self.series().truths()[target].values[rows.start..end]
    }

    /// Naive2 for every window after training; `None` if no target is seasonal, and it is the last value.
    fn naive2(&self) -> Option<Array3<f64>> {
        let (season, series) = (self.season?, self.series());
        let fit = |target| SeasonalIndices::fit(self.training_values(target), series.rows_of(target).start, season);
        let indices: Vec<_> = (0..series.targets().len()).map(fit).collect();
        indices.iter().any(Option::is_some).then(|| {
            self.after.forecasts(|target| {
                let known = KnownRows::new(&series.truths()[target].values);
                let indices = indices[target].as_ref();
                move |first, step| match indices {
                    Some(indices) => indices.naive2(&known, first, step),
                    None => known.before(first).map_or(f64::NAN, |(_, value)| value),
                }
            })
        })
    }

    /// A naive forecast as a range, by quantile: shifted by the quantiles of its errors up to the end of training, or of
    /// those of the last value for a target that is not known for long enough. NaN for a target with too few of either;
    /// empty if that is so of all, or without quantiles.
    pub(super) fn naive_range(&self, naive: &Array3<f64>, period: usize) -> Vec<Array3<f64>> {
        self.range_of(naive, &[&seasonal(period), &seasonal(1)])
    }

    /// The same of any forecast, by the errors of the first of `forecasts` that has enough.
    fn range_of(&self, values: &Array3<f64>, forecasts: &[NaiveForecast<'_>]) -> Vec<Array3<f64>> {
        naive_range::ranges(values, &self.known(), forecasts, &self.quantiles()).unwrap_or_default()
    }

    /// Each target up to the end of training.
    fn known(&self) -> Vec<&[f64]> {
        self.series().truths().iter().map(|column| &column.values[..self.split.train.end]).collect()
    }

    /// The same of the linear autoregression, by its errors in the windows that it was fitted to.
    fn linear_range(
        &self,
        forecast: &Array3<f64>,
        linear: &LinearAutoregression,
        training: &Windows,
    ) -> Result<Vec<Array3<f64>>> {
        let quantiles = self.quantiles();
        if quantiles.values().is_empty() {
            return Ok(Vec::new());
        }
        let (residuals, scalings) = (linear.residuals(training)?, self.after.scalings());
        Ok(naive_range::regression_ranges(forecast, &scalings, &residuals, &quantiles).unwrap_or_default())
    }

    /// −ln p(y) of a naive forecast as the centre of a normal distribution whose deviation is the root of its mean squared
    /// error up to the end of training, as the density of scaled numbers: what a network with the likelihood of a
    /// distribution is to fall below. `None` of counts, since a distribution around a last count of 0 has none of the
    /// others.
    pub(super) fn naive_likelihoods(
        &self,
        windows: &Windows,
        naive: &Array3<f64>,
        scalings: &[Vec<Scaling>],
    ) -> Option<Array3<f64>> {
        if self.head.loss.takes_counts() {
            return None;
        }
        let errors = naive_range::root_mean_squares(self.frame().horizon, &self.known(), &seasonal(1));
        let truth = windows.truth();
        Some(Array3::from_shape_fn(naive.raw_dim(), |place @ (window, step, target)| {
            let unit = scalings[window][target].unit;
            let deviation = errors[[step, target]].max(unit * LEAST_SCALE);
            Distribution::Normal { mean: naive[place], deviation }.negative_log_likelihood(truth[place]) - unit.ln()
        }))
    }

    fn describe_linear(&self, linear: &LinearAutoregression) -> String {
        let [fitted, all] = linear.windows();
        let count = |number: usize| grouped(number as u64);
        let lags = match linear.lags() {
            lags if lags == self.frame().window => "the same window".to_owned(),
            lags => format!("the last {} rows of the window", count(lags)),
        };
        let drawn = if fitted < all { format!("{} of {}", count(fitted), count(all)) } else { count(all) };
        format!("linear AR: a linear autoregression of {lags}, fitted to {drawn} training windows by least squares")
    }

    /// The quantile errors of each target.
    fn spreads(&self, forecasts: &Forecasts, examples: &[usize]) -> Vec<Spread> {
        let quantiles = self.quantiles();
        if quantiles.values().is_empty() {
            return Vec::new();
        }
        let part = |array: &Array3<f64>| array.select(Axis(0), examples);
        let truth = part(&forecasts.truth);
        let likelihoods = forecasts.likelihoods.as_ref().map(part);
        let ranges: Vec<Vec<Array3<f64>>> =
            forecasts.ranges.iter().map(|range| range.iter().map(part).collect()).collect();
        let of_target = |target: usize| {
            let of = |array: &'_ Array3<f64>| array.index_axis(Axis(2), target).to_owned();
            let truth = of(&truth);
            let pinball = |range: &Vec<Array3<f64>>| {
                let loss = |index: usize, quantile| {
                    let forecast = range.get(index).map(of);
                    forecast.map_or(f64::NAN, |forecast| mean_pinball(quantile, truth.view(), forecast.view()))
                };
                quantiles.mean(loss)
            };
            let covered = |range: &Vec<Array3<f64>>| match &range[..] {
                [low, .., high] => coverage(truth.view(), of(low).view(), of(high).view()),
                _ => f64::NAN,
            };
            let interval = quantiles.interval();
            let winkler = |range: &Vec<Array3<f64>>| match (&range[..], interval) {
                ([low, .., high], Some(ends)) => interval_score(ends, truth.view(), of(low).view(), of(high).view()),
                _ => f64::NAN,
            };
            let covers = if interval.is_some() { &ranges[..] } else { &[] };
            let likelihood = likelihoods.as_ref().map(|of_all| mean(of(of_all).into_iter().filter(|of| !of.is_nan())));
            Spread {
                pinball: ranges.iter().map(pinball).collect(),
                coverage: covers.iter().map(covered).collect(),
                winkler: covers.iter().map(winkler).collect(),
                likelihood,
            }
        };
        (0..self.series().targets().len()).map(of_target).collect()
    }

    pub(super) fn errors(&self, forecasts: &Forecasts) -> Result<SeriesErrors> {
        let labels = self.series().labels();
        let part = |name, rows: Range<usize>, examples: Vec<usize>| {
            let truth = forecasts.truth.select(Axis(0), &examples);
            let of = |forecast: &Array3<f64>| forecast_errors(truth.view(), forecast.select(Axis(0), &examples).view());
            let accuracies = forecasts.all.iter().map(|(_, forecast)| of(forecast)).collect::<Result<_>>()?;
            // Behind the network, the last value.
            let naive2 = of(forecasts.naive2.as_ref().unwrap_or(&forecasts.all[1].1))?;
            let naive2 = naive2.into_iter().map(|target| target.overall).collect();
            let ends = [rows.start, rows.end - 1].map(|row| labels[row].clone());
            let spreads = self.spreads(forecasts, &examples);
            Ok::<_, Error>(PartErrors { name, ends, count: examples.len(), accuracies, spreads, naive2 })
        };
        let (validation, test) = (&self.split.validation, &self.split.test);
        let mut parts = Vec::new();
        for (name, rows) in self.split.parts().skip_while(|(name, _)| *name == "training") {
            parts.push(part(name, rows.clone(), self.within(rows))?);
        }
        if parts.len() == 2 {
            let both = self.within(validation).into_iter().chain(self.within(test)).collect();
            parts.push(part("both", validation.start..test.end, both)?);
        }
        let codec = self.encoded.codec();
        let target = |column: &ColumnCodec| TargetName { name: column.name.clone(), unit: column.scaling.unit };
        let season = self.season.unwrap_or(1);
        let scale = |target| NaiveScale::of(self.training_values(target), season);
        Ok(SeriesErrors {
            targets: codec.targets.iter().map(target).collect(),
            horizon: codec.frame.horizon,
            forecasters: forecasts.all.iter().map(|(forecaster, _)| *forecaster).collect(),
            quantiles: self.quantiles(),
            ranges: self.range_notes(forecasts),
            parts,
            scale: self.scale,
            panel: codec.panel,
            season,
            scales: (0..codec.targets.len()).map(scale).collect(),
        })
    }

    /// The explanation of the baselines.
    pub(super) fn notes(&self, forecasts: &Forecasts) -> String {
        let season = self.season.map(|season| {
            let without = self.after.without_season(season);
            let or = if without.is_empty() {
                String::new()
            } else {
                format!(", or the last value where {} has none", self.names(without))
            };
            format!("; seasonal naive: the value {} rows before{or}", grouped(season as u64))
        });
        let season = season.unwrap_or_default();
        format!(
            "last value: the naive forecast of no change{season}; drift: the line through the first and the last value; {}",
            forecasts.linear
        )
    }

    /// Some of many targets by name.
    fn names(&self, targets: Vec<usize>) -> String {
        list_names(targets.iter().map(|target| self.series().targets()[*target].name.as_str()))
    }

    /// How the ranges of the baselines are estimated, and of which targets there are none.
    fn range_notes(&self, forecasts: &Forecasts) -> String {
        let last = &self.series().labels()[self.split.train.end - 1];
        let all: Vec<usize> = (0..self.series().targets().len()).collect();
        let mut notes = Vec::new();
        // By the targets without a range.
        let mut groups: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
        for ((forecaster, _), range) in forecasts.all.iter().zip(&forecasts.ranges).skip(1) {
            let without = match range.first() {
                Some(range) => all.iter().copied().filter(|target| is_missing(range, *target)).collect(),
                None => all.clone(),
            };
            // One without an example has no network's forecast either.
            let without: Vec<usize> =
                without.into_iter().filter(|target| !is_missing(&forecasts.quantiles()[0], *target)).collect();
            groups.entry(without).or_default().push(forecaster.name);
        }
        let ranged: Vec<&str> = groups
            .iter()
            .filter(|(without, _)| without.len() < all.len())
            .flat_map(|(_, names)| names.clone())
            .collect();
        if !ranged.is_empty() {
            let season = self.season.filter(|season| !self.after.without_season(*season).is_empty());
            let or = season.map_or("", |_| ", or of the last value's where too few seasons are known");
            notes.push(format!(
                "{} as a range: shifted by the quantiles of its errors in the rows up to {last}{or}",
                ranged.join(", ")
            ));
        }
        for (without, names) in groups.iter().filter(|(without, _)| !without.is_empty()) {
            let of = if all.len() > 1 { format!(" of {}", self.names(without.clone())) } else { String::new() };
            notes.push(format!(
                "{}: no range{of}, since the rows up to {last} are too few to estimate its errors",
                names.join(", ")
            ));
        }
        notes.join("; ")
    }
}

/// Whether there is no forecast of a target.
fn is_missing(forecast: &Array3<f64>, target: usize) -> bool {
    forecast.index_axis(Axis(2), target).iter().all(|value| value.is_nan())
}
