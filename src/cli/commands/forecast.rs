//! `bptt forecast`.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use bptt::data::{DateOrder, DecimalMark};
use bptt::experiment::PathCount;
use bptt::experiment::config::agree::unsupported;
use bptt::experiment::config::{Bytes, FORECAST_ROWS, RunConfig, SAMPLE_PATHS, SeriesConfig};
use bptt::experiment::files::folder::io_error;
use bptt::experiment::files::new_file;
use bptt::experiment::files::spreadsheet::PlainFields;
use clap::{Args, ValueHint};

use super::model_args::open_model;
use crate::cli::args::{DATES, DECIMAL, Flags, one_of, whole};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{eprint_line, print_json, print_line};

#[derive(Args)]
pub(crate) struct ForecastArgs {
    /// Folder of a run, or a model.safetensors, of a series
    #[arg(value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// Series to forecast [default: the run's]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Decimal mark of FILE: . or , [default: detected]
    #[arg(long, requires = "file", value_parser = one_of::<DecimalMark>(DECIMAL), hide_possible_values = true, value_name = "MARK")]
    decimal: Option<DecimalMark>,
    /// Date order of FILE: day-first, month-first, year-first
    ///
    /// By default that of the run, or what the rows show.
    #[arg(long, requires = "file", value_parser = one_of::<DateOrder>(DATES), hide_possible_values = true, value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// Largest input, as in 4GiB [default: 1GiB]
    ///
    /// It limits the file and what it unpacks to. By default it is the run's.
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    input_limit: Option<Bytes>,
    /// Number of rows to forecast [default: the horizon]
    #[arg(long, value_parser = whole::<1, FORECAST_ROWS>, value_name = "N")]
    rows: Option<usize>,
    /// Number of sample paths [default: 1000 beyond the horizon]
    ///
    /// By default ten are beyond the outermost quantile, so that there may be more, and no more than fit into 1 GiB.
    /// Each step of a path is drawn from the predicted distribution and read as the past of the next step, with --seed.
    /// The quantiles beyond the horizon are those of the paths. It needs a network with a horizon of 1 that predicts
    /// distributions or at least three quantiles; for others there are none. 0 is for none.
    #[arg(long, value_parser = whole::<0, SAMPLE_PATHS>, value_name = "N")]
    paths: Option<usize>,
    /// New CSV file for the sample paths
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    paths_out: Option<PathBuf>,
    /// New CSV file for the forecast
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Quote names in --out that a spreadsheet reads as formulas
    ///
    /// They begin with =, +, - or @, and get an apostrophe before them.
    #[arg(long, requires = "out")]
    spreadsheet: bool,
    /// New SVG file with a picture of the forecast
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
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
    new_file::check_table("--paths-out", args.paths_out.as_deref())?;
    let paths = match (args.paths, &args.paths_out) {
        (Some(0), Some(_)) => return Err(unsupported("--paths-out: there are no paths with --paths 0").into()),
        (Some(count), _) => PathCount::Exactly(count),
        (None, Some(_)) => PathCount::EveryRow,
        (None, None) => PathCount::Automatic,
    };
    let model = open_model(&args.run)?;
    let ForecastArgs { decimal, dates, input_limit, .. } = *args;
    let data = SeriesConfig { file: args.file.clone(), decimal, dates, input_limit, ..SeriesConfig::default() };
    let series = model.series(&args.on.0, data)?;
    if args.file.is_some() {
        series.remarks.iter().for_each(eprint_line);
    }
    let forecast = model.forecast(series, args.rows, paths).await?;
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
    if let Some(path) = &args.paths_out {
        new_file::write_with(path, |file| {
            if !args.spreadsheet {
                return forecast.write_paths(&mut BufWriter::new(file));
            }
            let mut fields = PlainFields::new(file);
            forecast.write_paths(&mut fields)?;
            fields.finish().map_err(io_error(path))
        })?;
    }
    if let Some(path) = &args.svg {
        new_file::write(path, forecast.picture().file().as_bytes())?;
    }
    if args.json {
        print_json(forecast.to_json());
    } else {
        forecast.lines().iter().for_each(print_line);
    }
    Ok(())
}
