//! Forecasts a series from a window of its last rows.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use ndarray::Array3;
use serde_json::Value;

use super::super::relation::Relation;
use super::super::task::{MeasureOptions, Order, Pending, Results, Task};
use super::super::{objective, relation};
use super::conformal;
use super::forecast_columns::{FORECASTS, TRUTH, column_of_baseline};
use super::forecasters::SEASONAL;
use super::series_data::{NO_COUNTS, SeriesData, span, split, split_lines, with_advice};
use crate::data::{
    Batches, Conformal, EncodedSeries, Examples, Frame, SequentialBatches, Series, SeriesCodec, SeriesSplit,
    ShuffledBatches, Windows, list_names,
};
use crate::experiment::config::agree::in_flag;
use crate::experiment::config::{ScaleName, SeriesConfig, WeighName};
use crate::experiment::device::network::Network;
use crate::experiment::measure::comparison::BaselineName;
use crate::experiment::measure::loss;
use crate::experiment::measure::quantiles::{Quantiles, pinball};
use crate::experiment::measure::ranges::Ranges;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::Origin;
use crate::format::{ahead, grouped};
use crate::plot::Baseline;
use crate::{Error, Head, Result};

pub(crate) struct SeriesTask {
    pub(super) name: String,
    /// A description of the data.
    pub(super) facts: Vec<String>,
    pub(super) scale: ScaleName,
    /// The period of the seasonal naive forecast.
    pub(super) season: Option<usize>,
    pub(super) encoded: Arc<EncodedSeries>,
    pub(super) head: Head,
    /// The quantiles of the distributions that the network predicts; none if it predicts none.
    pub(super) levels: Vec<f64>,
    /// The quantiles whose conformal ranges are fitted once the network is trained.
    pub(super) calibrates: Option<Quantiles>,
    pub(super) split: SeriesSplit,
    pub(super) training: Option<Windows>,
    pub(super) validation: Option<Windows>,
    /// Validation and test: all forecasts that are measured.
    pub(super) after: Windows,
    pub(super) origin: Origin,
    pub(super) relation: Option<String>,
}

impl SeriesTask {
    /// Reads the file of `data` and fills in its defaults.
    pub(crate) fn load(data: &mut SeriesConfig, applies: bool, model: Option<&ModelFile>) -> Result<Self> {
        let codec = model.map(|model| &model.codec);
        let mut read = SeriesData::read(data, codec)?;
        let of_training = Relation::new(model, &read.sha256, data.splitting(), applies);
        let split = split(&read.series, read.frame, data, &of_training, &read.path)?;
        let (split, relation) = of_training.series(&read.series, read.frame, split)?;
        if codec.is_none() && !split.train.is_empty() {
            read.leave_out_short(data, split.train.end)?;
        }
        // An applied model keeps its settings.
        let trains = !split.train.is_empty() && !applies;
        let trained = trains.then(|| relation::of_series(read.sha256.clone(), &data.splitting(), &read.series, &split));
        let mut facts = read.describe(&span(&read.series, &(0..read.series.len())));
        facts.extend(relation.clone());
        if let Some(until) = data.test_until.as_ref().filter(|_| split.test.end < read.series.len()) {
            let unused = grouped((read.series.len() - split.test.end) as u64);
            facts.push(format!("the {unused} rows after {until} (--test-until) are not used"));
        }
        let mut codec = match codec {
            Some(Codec::Series { series, .. }) => series.clone(),
            _ if split.train.is_empty() => {
                return Err(Error::Unsupported("--split leaves no training data".into()));
            }
            _ => read.fit(split.train.end).map_err(|error| error.in_file(&read.path))?,
        };
        let SeriesData { name, path, series, scale, .. } = read;
        let in_file = |error: Error| error.in_file(&path);
        // Further training needs other shifts.
        let fitted = codec.conformal.take().filter(|_| applies);
        if fitted.is_some() {
            data.conformal.get_or_insert(true);
        }
        let head = objective::of_series(codec.outputs(), data, model)?;
        let levels = conformal::levels(data, &head.loss)?;
        if levels.is_some() && applies && fitted.is_none() {
            facts.push("ranges: not conformal yet, since these are fitted when training ends".into());
        }
        codec.conformal = conformal::of_model(levels.as_ref(), fitted)?;
        let calibrates = levels.filter(|_| !applies);
        let of_counts = head.loss.takes_counts();
        if of_counts {
            series.check_counts().map_err(|error| with_advice(in_file(error), &[NO_COUNTS]))?;
        }
        let stored = data.quantiles.as_ref().filter(|_| head.loss.is_likelihood());
        let stored = stored.cloned().unwrap_or_default();
        let rows = split.test.end;
        let encoded = codec.encode(series).map_err(in_file)?;
        if trains {
            encoded.check_calendar(split.train.end).map_err(|error| in_file(in_flag("--calendar", error)))?;
        }
        let windows = |targets: &Range<usize>| windows(&encoded, targets, of_counts, data.weigh).map_err(in_file);
        // Without training, a split shorter than a window does no harm.
        let training = windows(&split.train).or_else(|error| if applies { Ok(None) } else { Err(error) })?;
        let validation = windows(&split.validation)?;
        calibrates.as_ref().map_or(Ok(()), |levels| conformal::check(levels, validation.as_ref()))?;
        let after = encoded.measured_windows(split.train.end..rows).map_err(in_file)?;
        if let Some(season) = data.season.filter(|_| !after.is_empty()) {
            after.naive(season).map_err(|error| in_flag("--season", error))?;
        }
        let season = season(data, model.filter(|_| applies), &after, &mut facts);
        let trained_on = training.as_ref().filter(|_| !applies);
        facts.extend(members_left_out(encoded.codec(), trained_on, Some(&after).filter(|after| !after.is_empty())));
        let origin = Origin { data: trained.into_iter().collect(), season, ..Origin::default() };
        Ok(Self {
            name,
            facts,
            scale,
            season,
            encoded,
            head,
            levels: stored,
            calibrates,
            split,
            training,
            validation,
            after,
            origin,
            relation,
        })
    }

    pub(super) fn series(&self) -> &Series {
        self.encoded.series()
    }

    pub(super) fn frame(&self) -> Frame {
        self.encoded.codec().frame
    }

    /// The windows after training whose targets all lie in `rows`.
    pub(super) fn within(&self, rows: &Range<usize>) -> Vec<usize> {
        let firsts = self.after.first_rows().iter().enumerate();
        let inside = |first: usize| rows.contains(&first) && first + self.frame().horizon <= rows.end;
        firsts.filter(|(_, first)| inside(**first)).map(|(example, _)| example).collect()
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        let conformal = self.encoded.codec().conformal.clone();
        self.calibrates.clone().unwrap_or_else(|| self.ranges_with(conformal).quantiles().clone())
    }

    /// What the outputs of the network are as forecasts with these shifts.
    pub(super) fn ranges_with(&self, conformal: Option<Conformal>) -> Ranges {
        Ranges::new(&self.head.loss, &self.levels, conformal)
    }
}

/// The training examples in a part, if it has rows.
fn windows(
    encoded: &Arc<EncodedSeries>,
    targets: &Range<usize>,
    of_counts: bool,
    weigh: Option<WeighName>,
) -> Result<Option<Windows>> {
    if targets.is_empty() {
        return Ok(None);
    }
    let windows = encoded.windows(targets.clone())?;
    let windows = if of_counts { windows.of_counts()? } else { windows };
    Ok(Some(if weigh == Some(WeighName::Series) { windows.weigh_members_alike() } else { windows }))
}

/// The season: other data use that of the applied model's run if they reach back far enough.
fn season(data: &SeriesConfig, applied: Option<&ModelFile>, after: &Windows, facts: &mut Vec<String>) -> Option<usize> {
    let of_run = applied.and_then(|model| model.origin.as_ref()?.season);
    let fits = of_run.filter(|season| !after.is_empty() && after.naive(*season).is_ok());
    let season = data.season.or(fits);
    if let (Some(left_out), None, false) = (of_run, season, after.is_empty()) {
        facts.push(format!("no seasonal naive forecast: a season of {left_out} rows starts before these"));
    }
    season
}

/// The series of a panel that are not trained on or not measured, in words.
fn members_left_out(codec: &SeriesCodec, training: Option<&Windows>, after: Option<&Windows>) -> Vec<String> {
    let of = |(what, windows): (&str, Option<&Windows>)| {
        let members = windows.map(Windows::without_example).filter(|members| codec.panel && !members.is_empty())?;
        let names = list_names(members.iter().map(|member| codec.targets[*member].name.as_str()));
        Some(format!("{what}: {} series, {names}", grouped(members.len() as u64)))
    };
    let parts = [
        ("not trained on, without a complete training window", training),
        ("not measured, without a window after training", after),
    ];
    parts.into_iter().filter_map(of).collect()
}

impl Task for SeriesTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = self.facts.clone();
        lines.extend(split_lines(self.series(), &self.split));
        let left_out = |windows: &Windows| windows.left_out() as u64;
        let (training, after) = (self.training.as_ref().map_or(0, left_out), left_out(&self.after));
        if training + after > 0 {
            let (training, after) = (grouped(training), grouped(after));
            lines.push(format!(
                "windows left out: {training} in training with a missing target, {after} later without a target"
            ));
        }
        lines
    }

    fn input_size(&self) -> usize {
        self.encoded.codec().input_size()
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        let (series, quantiles) = (self.encoded.codec().clone(), self.levels.clone());
        Codec::Series { scale: self.scale, series, quantiles }
    }

    fn calibrated<'a>(&'a self, network: &'a mut Network, rows: usize) -> Pending<'a, Option<Codec>> {
        Box::pin(async move {
            let conformal = self.ranges(network, rows).await?.conformal().cloned();
            let series = SeriesCodec { conformal, ..self.encoded.codec().clone() };
            let codec = Codec::Series { scale: self.scale, series, quantiles: self.levels.clone() };
            Ok(Some(codec).filter(|_| self.calibrates.is_some()))
        })
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match &self.training {
            Some(windows) => Some(Box::new(ShuffledBatches::new(windows, order.rows, order.buckets, order.seed)?)),
            None => None,
        })
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match &self.validation {
            Some(windows) => Some(Box::new(SequentialBatches::new(windows, rows)?)),
            None => None,
        })
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn relation(&self) -> Option<&str> {
        self.relation.as_deref()
    }

    fn baseline(&self) -> Option<Baseline> {
        let windows = self.validation.as_ref()?;
        let (truth, naive) = (windows.truth(), windows.naive(1).ok()?);
        let scalings = windows.scalings();
        // A member of a panel is one target.
        let weight = |target: usize| if self.series().is_panel() { f64::from(windows.weight_of(target)) } else { 1.0 };
        let mean_of = |forecast: &Array3<f64>, loss: &dyn Fn(f64) -> f64| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (((window, _, target), truth), naive) in truth.indexed_iter().zip(forecast) {
                let error = (truth - naive) / scalings[window][target].unit;
                if !error.is_nan() {
                    sum += weight(target) * loss(error);
                    weights += weight(target);
                }
            }
            sum / weights
        };
        let quantiles = Quantiles::of(&self.head.loss);
        let loss = if self.head.loss.is_likelihood() {
            let losses = self.naive_likelihoods(windows, &naive, &scalings)?;
            let known = losses.indexed_iter().filter(|(_, loss)| !loss.is_nan());
            let weighed = known.map(|((_, _, target), loss)| (weight(target) * loss, weight(target)));
            let (sum, weights) = weighed.fold((0.0, 0.0), |(sum, all), (loss, weight)| (sum + loss, all + weight));
            Some(sum / weights).filter(|loss| loss.is_finite())?
        } else if quantiles.values().is_empty() {
            mean_of(&naive, &|error| loss::of_error(&self.head.loss, error))
        } else {
            // Ranges are compared with ranges.
            match &self.naive_range(&naive, 1)[..] {
                [] => return None,
                // Other series than the network's would be no baseline of it.
                [first, ..] if first.iter().zip(&naive).any(|(bound, value)| bound.is_nan() && !value.is_nan()) => {
                    return None;
                }
                range => quantiles.mean(|index, quantile| mean_of(&range[index], &|error| pinball(quantile, error))),
            }
        };
        Some(Baseline { name: "last value, validation".into(), loss })
    }

    fn results_bytes(&self) -> u64 {
        // The forecasts of every forecaster and the truth in f64 with copies of a part of them, ranges, and all of them
        // as text, whose memory grows by doubling; then what each prediction is held in, and the errors of each target.
        let (of_value, of_prediction, of_error) = (8 * 24 + 240, 400, 4 * 3 * 48);
        let (codec, windows) = (self.encoded.codec(), self.after.first_rows().len());
        let each = match self.head.loss.outputs_per_target() {
            // Distributions, their likelihoods, and their quantiles.
            parameters if self.head.loss.is_likelihood() => parameters + self.quantiles().forecasts(),
            outputs => outputs,
        };
        let values = windows * each * codec.outputs() * codec.members();
        let errors = codec.targets.len() * (codec.frame.horizon + 2);
        (values * of_value + windows * (64 + codec.members() * of_prediction) + errors * of_error) as u64
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, json, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let mut results = Results::default();
            if self.after.is_empty() {
                results.lines.push("every row was used in training: nothing is left to test".into());
                return Ok(results);
            }
            let ranges = self.ranges(network, rows).await?;
            let forecasts = self.forecasts(network, &ranges, rows).await?;
            let errors = self.errors(&forecasts)?;
            results.lines = errors.lines(&self.notes(&forecasts));
            results.lines.extend(ranges.conformal().map(conformal::describe));
            if json {
                results.summary = errors.summary();
                if !errors.quantiles.values().is_empty() {
                    let quantiles = errors.quantiles.named().map(|(_, level)| level);
                    results.summary.insert("quantiles".into(), quantiles.collect());
                }
            }
            results.key_figures = errors.key_figures();
            results.tables = errors.tables();
            let names: Vec<&str> = errors.targets.iter().map(|target| target.name.as_str()).collect();
            // The dashed line of the picture is the best baseline that repeats a value, which its title names.
            let mut period = 1;
            let title = match (&names[..], errors.headline()) {
                ([unit], Some(headline)) => {
                    results.summary.insert("unit".into(), Value::String((*unit).into()));
                    let best = errors.best_drawn().map(|of| errors.forecasters[of].prefix);
                    period = self.season.filter(|_| best == Some(SEASONAL.prefix)).unwrap_or(1);
                    format!("{unit}, {}: {headline}", ahead(errors.horizon))
                }
                _ => {
                    let what = if errors.panel { "series" } else { "targets" };
                    let headline = errors.overall_headline().map(|words| format!(": {words}")).unwrap_or_default();
                    format!("{}: {} {what}, {}{headline}", self.name, names.len(), ahead(errors.horizon))
                }
            };
            results.comparisons = errors.comparisons();
            results.verdict = errors.verdict();
            results.figures.push(("forecast.svg", self.picture(forecasts.quantiles(), title, period)));
            let rolled = self.rolled(network, &ranges).await;
            let rolled = results.attempt("rolled.svg", rolled).flatten();
            results.figures.extend(rolled.map(|drawing| ("rolled.svg", drawing)));
            let names = ranges.quantiles().columns();
            let mut columns = vec![(TRUTH.to_owned(), &forecasts.truth)];
            columns.extend(names.iter().cloned().zip(forecasts.quantiles()));
            for ((forecaster, naive), range) in forecasts.all.iter().zip(&forecasts.ranges).skip(1) {
                let Some(BaselineName { key, .. }) = forecaster.baseline else { continue };
                columns.push((key.to_owned(), naive));
                let range = range.iter().enumerate().filter(|(index, _)| ranges.quantiles().point() != Some(*index));
                columns.extend(range.map(|(index, range)| (column_of_baseline(key, &names[index]), range)));
            }
            // The rows that the errors cover.
            let whole = |first: &usize| !self.part_of(*first).is_empty();
            let examples = self.after.first_rows().iter().enumerate().filter(|(_, first)| whole(first));
            let examples: Vec<usize> = examples.map(|(example, _)| example).collect();
            results.put_file(FORECASTS, |out| self.write(&self.after, &examples, &columns, out));
            Ok(results)
        })
    }

    fn predictions<'a>(
        &'a self,
        network: &'a mut Network,
        rows: usize,
        out: &'a mut (dyn Write + Send),
    ) -> Pending<'a, ()> {
        Box::pin(async move {
            let windows = self.encoded.all_windows()?;
            let ranges = self.ranges(network, rows).await?;
            let names = ranges.quantiles().columns();
            let forecasts = ranges.decode(&windows, &network.predict(&windows, rows).await?)?.by_quantile;
            let truth = windows.truth();
            let columns: Vec<(String, &Array3<f64>)> =
                std::iter::once((TRUTH.into(), &truth)).chain(names.into_iter().zip(&forecasts)).collect();
            let examples: Vec<usize> = (0..windows.first_rows().len()).collect();
            self.write(&windows, &examples, &columns, out)
        })
    }
}
