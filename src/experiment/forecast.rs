//! Forecasts of a series by a trained model.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::config::agree::unsupported;
use super::config::{Data, FORECAST_ROWS, NumberRange, RunConfig, SeriesConfig};
use super::device::network::Network;
use super::files::folder::unwritten;
use super::loaded_model::LoadedModel;
use super::measure::ranges::Ranges;
use super::model::codec::Codec;
use super::settings::Settings;
use super::tasks::series::paths;
use super::tasks::series::paths::{PathCount, PathPlan, Paths};
use super::tasks::series::rolled::{RolledForecast, roll};
use super::tasks::series::series_data::{NO_COUNTS, SeriesData, with_advice};
use crate::data::{Column, EncodedSeries, Forecast, Series, list_names};
use crate::format::{Digits, ahead, cell, grouped, left, path_text, right, widest};
use crate::plot::{Drawing, RolloutTarget, RowAxis};
use crate::{Error, Result, plot};

/// Maximum number of targets side by side.
const LISTED: usize = 24;

/// A series as a model reads it, and the device for its forecast.
pub struct ForecastInput {
    settings: Settings,
    series: NamedSeries,
    /// Notes on how the file was read.
    pub remarks: Vec<String>,
}

/// A series and its file.
pub(super) struct NamedSeries {
    name: String,
    path: PathBuf,
    series: Series,
}

impl From<SeriesData> for NamedSeries {
    fn from(SeriesData { name, path, series, .. }: SeriesData) -> Self {
        Self { name, path, series }
    }
}

/// A series with its forecast.
pub struct SeriesForecast {
    name: String,
    encoded: Arc<EncodedSeries>,
    rolled: RolledForecast,
    /// Draws of the forecast.
    paths: Option<Paths>,
    /// How many were wanted, if there are fewer, and why there are none.
    planned: PathPlan,
}

impl LoadedModel {
    /// Reads the series that `data` names, or by default that of the model's run.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model is not of a series or has a reverse direction; errors of reading the file.
    pub fn series(&self, on: &RunConfig, data: SeriesConfig) -> Result<ForecastInput> {
        if let Codec::Sensor { .. } = &self.file.codec {
            return Err(unsupported(format!(
                "{} estimates a row from columns of the same row (--now) and forecasts nothing: `bptt predict` writes the \
                 estimate of each row",
                path_text(&self.file.path)
            )));
        }
        let Codec::Series { .. } = &self.file.codec else {
            return Err(unsupported(format!(
                "only a series can be forecast; {} is of {}",
                path_text(&self.file.path),
                self.file.codec.kind()
            )));
        };
        let data = Some(Data::Series(data.clone())).filter(|_| data != SeriesConfig::default());
        let mut settings = Settings::new(self.config(on, data)?)?;
        let series = settings.series().ok_or_else(|| unsupported("the run is not of a series"))?;
        let read = SeriesData::read(series, Some(&self.file.codec))?;
        let remarks = read.remarks();
        Ok(ForecastInput { settings, series: read.into(), remarks })
    }

    /// Forecasts the `rows` rows after the last one, by default as many as the model's horizon. Beyond the horizon each
    /// forecast builds on the previous ones: the quantiles there are those of sample paths, whose steps are drawn from the
    /// predicted distributions. `paths` is their number; only of a network with a horizon of 1 that predicts distributions
    /// or three quantiles they can be drawn.
    ///
    /// # Errors
    /// If the series is too short or lacks columns, or `paths` cannot be drawn; if `rows` is not from 1 to
    /// [`FORECAST_ROWS`]; errors of the device.
    pub async fn forecast(
        &self,
        input: ForecastInput,
        rows: Option<usize>,
        paths: PathCount,
    ) -> Result<SeriesForecast> {
        let ForecastInput { settings, series, .. } = input;
        let mut network = self.network(&settings.device_options()).await?;
        self.forecast_on(&mut network, series, rows, (paths, settings.seed)).await
    }

    /// Like [`forecast`](Self::forecast), by a network of the model, with the seed of the paths.
    ///
    /// # Errors
    /// As of [`forecast`](Self::forecast).
    pub(super) async fn forecast_on(
        &self,
        network: &mut Network,
        NamedSeries { name, path, series }: NamedSeries,
        rows: Option<usize>,
        (paths, seed): (PathCount, u64),
    ) -> Result<SeriesForecast> {
        if let Some(rows) = rows.filter(|rows| !(1..=FORECAST_ROWS).contains(rows)) {
            return Err(Error::value("--rows", NumberRange::Whole(1, FORECAST_ROWS as u64).to_string(), rows));
        }
        let Codec::Series { series: codec, quantiles, .. } = &self.file.codec else {
            return Err(unsupported("only a series can be forecast"));
        };
        let in_file = |error: Error| error.in_file(&path);
        let loss = &self.file.model.require_head()?.loss;
        if loss.takes_counts() {
            series.check_counts().map_err(|error| with_advice(in_file(error), &[NO_COUNTS]))?;
        }
        let encoded = codec.encode(series).map_err(in_file)?;
        let steps = rows.unwrap_or(codec.frame.horizon);
        let rolling = encoded.rollout(encoded.series().len(), steps).map_err(in_file)?;
        let ranges = Ranges::new(loss, quantiles, codec.conformal.clone());
        let planned = paths::plan(paths, [steps, rolling.forecast_targets().count()], &ranges, codec)?;
        let mut rolled = roll(network, &ranges, vec![rolling.clone()]).await?.remove(0);
        let paths = match planned.count {
            0 => None,
            count => Some(paths::draw(network, &ranges, &rolling, count, seed).await?),
        };
        if let Some(paths) = &paths {
            paths.widen(&mut rolled, codec.frame.horizon);
        }
        Ok(SeriesForecast { name, encoded, rolled, paths, planned })
    }
}

impl SeriesForecast {
    /// Labels and targets in columns, as `bptt forecast` prints them, with notes below.
    pub fn lines(&self) -> Vec<String> {
        let Self { encoded, rolled, .. } = self;
        let (series, horizon) = (encoded.series(), encoded.codec().frame.horizon);
        let labels = std::iter::once(series.label_name()).chain(rolled.middle().labels.iter().map(String::as_str));
        let mut lines: Vec<String> = labels.map(cell).collect();
        let origin = rolled.middle().origin;
        for (target, column) in self.forecast_targets().take(LISTED) {
            let values = || rolled.forecasts.iter().map(|forecast| forecast.values.column(target));
            // All values have the same number of decimals, so that columns align.
            let digits = Digits::of(&column.values, values().flatten().copied());
            let mut names = vec![column.name.clone(); rolled.quantiles.forecasts()];
            rolled.quantiles.named().for_each(|(index, level)| names[index] = format!("{} q{level}", column.name));
            for (name, values) in names.into_iter().zip(values()) {
                let values = values.iter().map(|value| digits.write(*value));
                append(&mut lines, std::iter::once(name).chain(values).collect());
            }
        }
        if let Some(why) = self.numbering_reason() {
            lines.push(String::new());
            lines.push(format!("{why}: rows are numbered"));
        }
        let forecast = self.forecast_targets().count();
        if forecast > LISTED {
            lines.push(String::new());
            lines.push(format!("and {} more series, which --out and --json have", grouped((forecast - LISTED) as u64)));
        }
        let [ended, short] = self.not_forecast();
        let last = &series.labels()[series.len() - 1];
        // A window, and what the known columns end before the horizon does.
        let reads = encoded.codec().frame.window + series.len() - 1 - origin;
        for (why, names) in [
            (format!("ended before {last}"), ended),
            (format!("without the {} rows up to {last} that it is made from", grouped(reads as u64)), short),
        ] {
            if !names.is_empty() {
                lines.push(String::new());
                lines.push(format!("not forecast, {why}: {}", list_names(names)));
            }
        }
        if origin + 1 < series.len() {
            lines.push(String::new());
            lines.push(format!(
                "from the rows up to {}: the network also reads the known columns of the {} rows after them",
                series.labels()[origin],
                grouped(horizon as u64)
            ));
        }
        let beyond = rolled.middle().labels.len() > horizon;
        if let (Some(paths), true) = (&self.paths, beyond) {
            lines.push(String::new());
            lines.push(format!(
                "after {} the quantiles are those of {} sample paths{}, drawn with the seed {}{}",
                ahead(horizon),
                grouped(paths.count() as u64),
                self.fewer(),
                paths.seed,
                if encoded.codec().members() == 1 && series.targets().len() > 1 {
                    "; the targets of a row are drawn independently of each other"
                } else {
                    ""
                }
            ));
        } else if let (Some(_), true) = (rolled.quantiles.interval(), beyond) {
            lines.push(String::new());
            lines.push(format!(
                "after {} each range assumes that the forecasts before it were exact: the true range is wider",
                ahead(horizon)
            ));
            lines.extend(self.planned.obstacle.iter().map(|why| format!("no sample paths: {why}")));
        }
        lines
    }

    /// The values in the units of the data, by row, target and quantile; NaN for a series of a panel that is not forecast.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        let places = self.rolled.middle().values.indexed_iter().map(|(place, _)| place);
        places.flat_map(|place| self.rolled.forecasts.iter().map(move |forecast| forecast.values[place]))
    }

    /// Why there are not as many paths as by default, in brackets.
    fn fewer(&self) -> String {
        let words = |wanted| format!(" (no more of all series fit into memory, instead of {})", grouped(wanted as u64));
        self.planned.wanted.map(words).unwrap_or_default()
    }

    /// The targets that are forecast.
    fn forecast_targets(&self) -> impl Iterator<Item = (usize, &Column)> {
        let targets = self.encoded.series().targets().iter().enumerate();
        targets.filter(|(target, _)| self.is_forecast(*target))
    }

    fn is_forecast(&self, target: usize) -> bool {
        self.rolled.middle().values.column(target).iter().any(|value| !value.is_nan())
    }

    /// The series of a panel that are not: those that end before the forecast begins, and those that have no whole window
    /// before it.
    fn not_forecast(&self) -> [Vec<&str>; 2] {
        let series = self.encoded.series();
        let mut names = [Vec::new(), Vec::new()];
        for (target, column) in series.targets().iter().enumerate().filter(|(target, _)| !self.is_forecast(*target)) {
            names[usize::from(series.rows_of(target).end == series.len())].push(column.name.as_str());
        }
        names
    }

    /// Why rows are numbered instead of labelled.
    fn numbering_reason(&self) -> Option<String> {
        let series = self.encoded.series();
        series.numbering_reason(series.len(), self.rolled.middle().labels.len())
    }

    /// The forecast as JSON.
    pub fn to_json(&self) -> Value {
        let Self { encoded, rolled, .. } = self;
        let series = encoded.series();
        let by_target = |forecast: &Forecast| {
            let targets = self.forecast_targets();
            let values = |target| json!(forecast.values.column(target).to_vec());
            Value::Object(targets.map(|(target, column)| (column.name.clone(), values(target))).collect())
        };
        let mut json = json!({
            "after": series.labels().last(),
            "origin": series.labels().get(rolled.middle().origin),
            "horizon": encoded.codec().frame.horizon,
            "labels": rolled.middle().labels,
            "targets": by_target(rolled.middle()),
        });
        if let Some(why) = self.numbering_reason() {
            json["counted"] = why.into();
        }
        if let Some(paths) = &self.paths {
            json["paths"] = json!({"count": paths.count(), "seed": paths.seed});
            if let Some(wanted) = self.planned.wanted {
                json["paths"]["wanted"] = wanted.into();
            }
        }
        let [ended, short] = self.not_forecast();
        if !ended.is_empty() || !short.is_empty() {
            json["not_forecast"] = json!([&ended[..], &short[..]].concat());
        }
        if !rolled.quantiles.values().is_empty() {
            let quantiles = rolled.quantiles.named();
            let quantiles = quantiles.map(|(index, level)| (level.to_string(), by_target(&rolled.forecasts[index])));
            json["quantiles"] = Value::Object(quantiles.collect());
        }
        json
    }

    /// The forecast as comma-separated text, in the columns of `bptt predict` except part and truth: each row with the
    /// last known row and the distance from it; in long form if the data are.
    ///
    /// # Errors
    /// If there is not enough memory for the text.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let Self { encoded, rolled, .. } = self;
        let mut text = Vec::new();
        let mut csv = csv::Writer::from_writer(&mut text);
        let long = encoded.codec().long.as_ref();
        let mut record: Vec<String> = long.map(|form| form.id.clone()).into_iter().collect();
        record.extend([encoded.series().label_name().to_owned(), "origin".into(), "step".into()]);
        let origin = rolled.middle().origin;
        let (known, passed) = (&encoded.series().labels()[origin], encoded.series().len() - 1 - origin);
        let names = rolled.quantiles.columns();
        let targets: Vec<(usize, &Column)> = self.forecast_targets().collect();
        if long.is_some() {
            record.extend(names);
        } else {
            record
                .extend(targets.iter().flat_map(|(_, of)| names.iter().map(move |name| format!("{}_{name}", of.name))));
        }
        csv.write_record(&record).map_err(unwritten)?;
        // In long form a line has one target, and otherwise all.
        for targets in targets.chunks(if long.is_some() { 1 } else { targets.len() }) {
            for (row, label) in rolled.middle().labels.iter().enumerate() {
                record.clear();
                record.extend(targets.first().filter(|_| long.is_some()).map(|(_, column)| column.name.clone()));
                record.extend([label.clone(), known.clone(), (passed + row + 1).to_string()]);
                for (target, _) in targets {
                    record.extend(rolled.forecasts.iter().map(|forecast| forecast.values[[row, *target]].to_string()));
                }
                csv.write_record(&record).map_err(unwritten)?;
            }
        }
        csv.flush().map_err(unwritten)?;
        drop(csv);
        Ok(text)
    }

    /// Writes the sample paths as comma-separated text: the number of the path, the row and its step from the last known
    /// row, and the targets; in long form if the data are, with a line for each series. Writes nothing without paths.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_paths(&self, out: &mut dyn Write) -> Result<()> {
        self.paths.as_ref().map_or(Ok(()), |paths| paths.write(&self.encoded, &self.rolled, out))
    }

    /// The picture of the forecast after the known rows.
    pub fn picture(&self) -> Drawing {
        let Self { name, encoded, rolled, .. } = self;
        let series = encoded.series();
        let labels = [series.labels(), &rolled.middle().labels].concat();
        let positions = series.positions();
        let targets = series.truths().iter().enumerate().map(|(target, column)| RolloutTarget {
            name: &column.name,
            truth: &column.values,
            forecasts: vec![rolled.picture(series.len(), target)],
        });
        let rows = rolled.middle().labels.len();
        let last = series.labels().last().map(String::as_str).unwrap_or_default();
        let rows = if rows == 1 { "the row".to_owned() } else { format!("{} rows", grouped(rows as u64)) };
        plot::RolloutChart {
            title: format!("{name}: {rows} after {} {last}", series.label_name()),
            rows: RowAxis { name: series.label_name(), positions: positions.as_deref(), labels: &labels },
            horizon: encoded.codec().frame.horizon.saturating_sub(series.len() - 1 - rolled.middle().origin),
            range: rolled.quantiles.interval(),
            widened: self.paths.is_some(),
            targets: targets.collect(),
        }
        .draw()
    }
}

/// Appends a column to the right of the lines.
fn append(lines: &mut [String], column: Vec<String>) {
    let column: Vec<String> = column.iter().map(|text| cell(text)).collect();
    let (before, width) = (widest(lines.iter()), widest(column.iter()));
    for (line, text) in lines.iter_mut().zip(&column) {
        *line = format!("{}  {}", left(line, before), right(text, width));
    }
}
