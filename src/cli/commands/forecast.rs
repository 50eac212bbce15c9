//! `bptt forecast`.

use std::io::Write;
use std::path::PathBuf;

use bptt::data::{DateOrder, DecimalMark};
use bptt::experiment::config::{Bytes, RunConfig, SeriesConfig};
use bptt::experiment::files::folder::io_error;
use bptt::experiment::files::new_file;
use bptt::experiment::files::spreadsheet::PlainFields;
use clap::Args;

use super::apply::open_model;
use crate::cli::args::{DATES, DECIMAL, Flags, one_of, whole};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{note, say, say_json};

/// The most rows: each is a step of the network on its own outputs, which mean nothing long before.
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
    let ForecastArgs { decimal, dates, input_limit, .. } = *args;
    let data = SeriesConfig { file: args.file.clone(), decimal, dates, input_limit, ..SeriesConfig::default() };
    let series = model.series(&args.on.0, data)?;
    if args.file.is_some() {
        series.remarks.iter().for_each(note);
    }
    let forecast = model.forecast(series, args.rows).await?;
    if let Some(path) = &args.out {
        let text = forecast.to_csv()?;
        new_file::write_with(path, |file| {
            if !args.spreadsheet {
                return file.write_all(&text).map_err(io_error(path));
            }
            let mut fields = PlainFields::new(file);
            fields.write_all(&text).and_then(|()| fields.finish()).map_err(io_error(path))
        })?;
    }
    if let Some(path) = &args.svg {
        new_file::write(path, forecast.picture().file().as_bytes())?;
    }
    if args.json {
        say_json(forecast.to_json());
    } else {
        forecast.lines().iter().for_each(say);
    }
    Ok(())
}
