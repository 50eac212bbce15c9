//! `bptt forecast`.

use std::io::Write;
use std::path::PathBuf;

use bptt::data::{DateOrder, DecimalMark, EncodedSeries, Forecast};
use bptt::experiment::config::{Bytes, Data, RunConfig, SeriesConfig};
use bptt::experiment::files::folder::{io_error, unwritten};
use bptt::experiment::files::new_file;
use bptt::experiment::files::spreadsheet::PlainFields;
use bptt::experiment::model::codec::Codec;
use bptt::experiment::settings::Settings;
use bptt::experiment::tasks::series::rolled::{Rolled, roll};
use bptt::experiment::tasks::series::series_data::SeriesData;
use bptt::format::{Digits, ahead, cell, grouped, left, path_text, right, widest};
use bptt::plot::{Drawing, RolledTarget, Rows};
use bptt::{Error, Result, plot};
use clap::Args;
use serde_json::{Value, json};

use super::apply::{given, on_device, open_model};
use crate::cli::args::{DATES, DECIMAL, Flags, one_of, whole};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{note, say, say_json};

/// The most rows: each is a step of the network on its own outputs, which say nothing long before.
const ROWS: usize = 100_000;

#[derive(Args)]
pub(crate) struct ForecastArgs {
    /// A run's folder, or a model.safetensors alone, of a series
    run: PathBuf,
    /// The series to forecast [default: the run's own]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// With FILE: the mark before its decimals, a point or a comma [default: what the numbers show, or else as the run's]
    #[arg(long, requires = "file", value_parser = one_of::<DecimalMark>(DECIMAL), hide_possible_values = true, value_name = "MARK")]
    decimal: Option<DecimalMark>,
    /// With FILE: what comes first in dates such as 5/3/2021 [default: as in the run's; what the rows show]
    #[arg(long, requires = "file", value_parser = one_of::<DateOrder>(DATES), hide_possible_values = true, value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// The most that may come of the file, as in 4GiB [default: the run's; 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    input_limit: Option<Bytes>,
    /// How many rows [default: the model's horizon]
    #[arg(long, value_parser = whole::<1, ROWS>, value_name = "N")]
    rows: Option<usize>,
    /// Where to write them as comma-separated text too; an existing file is left alone
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With --out: put an apostrophe before names that begin with =, +, - or @, which a spreadsheet would take for formulas
    #[arg(long, requires = "out")]
    spreadsheet: bool,
    /// Where to draw them, after what came before; an existing file is left alone
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print nothing but the forecast, as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    on: Flags<RunConfig>,
}

pub(crate) async fn forecast(args: &ForecastArgs) -> Result<(), Failure> {
    new_file::check_table("--out", args.out.as_deref())?;
    new_file::check_picture("--svg", args.svg.as_deref())?;
    let model = open_model(&args.run)?;
    let Codec::Series { series: codec, .. } = &model.codec else {
        let message =
            format!("a forecast goes on with a series; {} is of {}", path_text(&model.path), model.codec.kind());
        return Err(Error::Unsupported(message).into());
    };
    if model.model.recurrent.bidirectional {
        let reason = "a forecast goes forward on its own outputs; the reverse direction would start from these: train it \
                      without --bidirectional";
        return Err(Error::Unsupported(reason.into()).into());
    }
    let ForecastArgs { decimal, dates, input_limit, .. } = *args;
    let series = SeriesConfig { file: args.file.clone(), decimal, dates, input_limit, ..SeriesConfig::default() };
    let data = Some(Data::Series(series.clone())).filter(|_| series != SeriesConfig::default());
    let mut settings = Settings::new(given(&args.run, &model, &args.on.0, data)?)?;
    let read =
        settings.series().map_or_else(|| Err(no_series()), |series| SeriesData::read(series, Some(&model.codec)))?;
    if args.file.is_some() {
        read.remarks().iter().for_each(note);
    }
    let SeriesData { name, path, series, .. } = read;
    let refused = |error: Error| Failure::from(error.in_file(&path));
    let encoded = codec.encode(series).map_err(refused)?;
    let steps = args.rows.unwrap_or(codec.frame.horizon);
    let rolling = encoded.rollout(encoded.series().len(), steps).map_err(refused)?;
    let mut network = on_device(&model, &settings).await?;
    let forecast = roll(&mut network, vec![rolling]).await?.remove(0);
    if let Some(path) = &args.out {
        let text = csv(&encoded, &forecast)?;
        new_file::write_with(path, |file| {
            if !args.spreadsheet {
                return file.write_all(&text).map_err(io_error(path));
            }
            let mut fields = PlainFields::new(file);
            fields.write_all(&text).and_then(|()| fields.finish()).map_err(io_error(path))
        })?;
    }
    if let Some(path) = &args.svg {
        new_file::write(path, picture(&name, &encoded, &forecast).file().as_bytes())?;
    }
    match args.json {
        true => say_json(json(&encoded, &forecast)),
        false => table(&encoded, &forecast).iter().for_each(say),
    }
    Ok(())
}

fn no_series() -> Error {
    Error::Unsupported("the run is not of a series".into())
}

/// Labels and targets in columns.
fn table(encoded: &EncodedSeries, rolled: &Rolled) -> Vec<String> {
    let (series, horizon) = (encoded.series(), encoded.codec().frame.horizon);
    let labels = std::iter::once(series.label_name()).chain(rolled.middle().labels.iter().map(String::as_str));
    let mut lines: Vec<String> = labels.map(cell).collect();
    let origin = rolled.middle().origin;
    for (target, column) in series.targets().iter().enumerate() {
        let values = || rolled.forecasts.iter().map(|forecast| forecast.values.column(target));
        // A digit place is the same for all, so that the columns are ones of numbers.
        let digits = Digits::of(&column.values, values().flatten().copied());
        let quantiles = rolled.quantiles.values().iter().map(|quantile| format!("{} q{quantile}", column.name));
        let names = if quantiles.len() == 0 { vec![column.name.clone()] } else { quantiles.collect() };
        for (name, values) in names.into_iter().zip(values()) {
            let values = values.iter().map(|value| digits.write(*value));
            append(&mut lines, std::iter::once(name).chain(values).collect());
        }
    }
    if let Some(why) = why_counted(encoded, rolled) {
        lines.push(String::new());
        lines.push(format!("{why}: rows are counted"));
    }
    if origin + 1 < series.len() {
        lines.push(String::new());
        lines.push(format!(
            "from the rows up to {}: the network reads what is known of {} rows after them",
            series.labels()[origin],
            grouped(horizon as u64)
        ));
    }
    if let (Some(_), true) = (rolled.quantiles.interval(), rolled.middle().labels.len() > horizon) {
        lines.push(String::new());
        lines.push(format!(
            "after {} each range is as if the forecasts before it had come: in truth it widens",
            ahead(horizon)
        ));
    }
    lines
}

/// Why rows have a number and no label.
fn why_counted(encoded: &EncodedSeries, rolled: &Rolled) -> Option<String> {
    encoded.series().why_counted(encoded.series().len(), rolled.middle().labels.len())
}

/// Puts a column to the right of the lines.
fn append(lines: &mut [String], column: Vec<String>) {
    let column: Vec<String> = column.iter().map(|text| cell(text)).collect();
    let (before, width) = (widest(lines.iter()), widest(column.iter()));
    for (line, text) in lines.iter_mut().zip(&column) {
        *line = format!("{}  {}", left(line, before), right(text, width));
    }
}

fn json(encoded: &EncodedSeries, rolled: &Rolled) -> Value {
    let series = encoded.series();
    let by_target = |forecast: &Forecast| {
        let targets = series.targets().iter().enumerate();
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
    if let Some(why) = why_counted(encoded, rolled) {
        json["counted"] = why.into();
    }
    if !rolled.quantiles.values().is_empty() {
        let quantiles = rolled.quantiles.values().iter().zip(&rolled.forecasts);
        let quantiles = quantiles.map(|(quantile, forecast)| (quantile.to_string(), by_target(forecast)));
        json["quantiles"] = Value::Object(quantiles.collect());
    }
    json
}

/// As `bptt predict` writes it, without a part and a truth: every row with the last that is known, and how far behind it.
fn csv(encoded: &EncodedSeries, rolled: &Rolled) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut csv = csv::Writer::from_writer(&mut text);
    let mut record = vec![encoded.series().label_name().to_owned(), "origin".into(), "step".into()];
    let origin = rolled.middle().origin;
    let (known, passed) = (&encoded.series().labels()[origin], encoded.series().len() - 1 - origin);
    let (targets, names) = (encoded.series().targets(), rolled.quantiles.columns());
    record.extend(targets.iter().flat_map(|target| names.iter().map(move |name| format!("{}_{name}", target.name))));
    csv.write_record(&record).map_err(unwritten)?;
    for (row, label) in rolled.middle().labels.iter().enumerate() {
        record.clear();
        record.extend([label.clone(), known.clone(), (passed + row + 1).to_string()]);
        for target in 0..targets.len() {
            record.extend(rolled.forecasts.iter().map(|forecast| forecast.values[[row, target]].to_string()));
        }
        csv.write_record(&record).map_err(unwritten)?;
    }
    csv.flush().map_err(unwritten)?;
    drop(csv);
    Ok(text)
}

fn picture(name: &str, encoded: &EncodedSeries, rolled: &Rolled) -> Drawing {
    let series = encoded.series();
    let labels = [series.labels(), &rolled.middle().labels].concat();
    let positions = series.positions();
    let targets = series.truths().iter().enumerate().map(|(target, column)| RolledTarget {
        name: &column.name,
        truth: &column.values,
        forecasts: vec![rolled.picture(series.len(), target)],
    });
    let rows = rolled.middle().labels.len();
    let last = series.labels().last().map(String::as_str).unwrap_or_default();
    let rows = if rows == 1 { "the row".to_owned() } else { format!("{} rows", grouped(rows as u64)) };
    plot::Rolled {
        title: format!("{name}: {rows} after {} {last}", series.label_name()),
        rows: Rows { name: series.label_name(), positions: positions.as_deref(), labels: &labels },
        horizon: encoded.codec().frame.horizon.saturating_sub(series.len() - 1 - rolled.middle().origin),
        range: rolled.quantiles.interval(),
        targets: targets.collect(),
    }
    .draw()
}
