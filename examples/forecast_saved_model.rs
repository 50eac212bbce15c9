//! Forecasts a series with a trained model, and prints the same lines as `bptt forecast RUN --rows N`:
//!
//! ```sh
//! bptt train
//! cargo run --example forecast_saved_model -- runs/sunspots-1 12
//! ```

use bptt::Error;
use bptt::experiment::config::{RunConfig, SeriesConfig};
use bptt::experiment::{LoadedModel, PathCount};

/// The forecast of the run's own series in columns.
pub(crate) async fn forecast(run: &str, rows: Option<usize>) -> bptt::Result<Vec<String>> {
    let model = LoadedModel::open(run)?;
    let series = model.series(&RunConfig::default(), SeriesConfig::default())?;
    Ok(model.forecast(series, rows, PathCount::Automatic).await?.lines())
}

fn main() -> bptt::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let run = arguments.first().map_or("runs/sunspots-1", String::as_str);
    let number = |rows: &String| rows.parse().map_err(|_| Error::Unsupported(format!("expected rows, got {rows:?}")));
    let rows = arguments.get(1).map(number).transpose()?;
    bptt::block_on(forecast(run, rows))?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
