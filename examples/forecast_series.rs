//! Forecasts the yearly sunspot number with the library alone: windows of a series, early stopping, errors beside those of
//! the last value, and the eleven years after the last row.
//!
//! `cargo run --release --example forecast_series`

use std::path::Path;

use bptt::data::{
    ColumnRoles, Frame, MissingPolicy, SUNSPOTS, ScalingKind, SequentialBatches, Series, SeriesCodec, SeriesSplit,
    SeriesTable, ShuffledBatches, forecast_errors,
};
use bptt::train::{KeepWeights, RunLength, RunOptions, predict, run};
use bptt::{Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, Sequence, Trainer};

/// Rows that the network reads.
const WINDOW: usize = 22;

pub(crate) async fn forecast() -> Result<Vec<String>> {
    // Data: a column of a table, split in time order, scaled by its training rows alone.
    let table = SeriesTable::from_csv(SUNSPOTS.as_bytes(), Path::new("sunspots.csv"), &["SUNACTIVITY"], None)?;
    let series = Series::new(table, &ColumnRoles::one("SUNACTIVITY"), MissingPolicy::Refuse)?;
    let frame = Frame { window: WINDOW, horizon: 1 };
    let split = SeriesSplit::shares(series.len(), frame, [0.7, 0.15, 0.15])?;
    let codec = SeriesCodec::fit(&series, frame, split.train.end, |_| ScalingKind::Standard)?;
    let (inputs, outputs) = (codec.input_size(), codec.outputs());
    let encoded = codec.encode(series)?;

    // Training, on validation loss.
    let recurrent = Recurrent::new(Cell::Lstm, inputs, 16);
    let model = Model::new(recurrent, Head::new(outputs, Loss::SquaredError, Readout::Final));
    let backend = Cpu::new(); // or Gpu::new(GpuOptions::default()).await?
    let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(5e-3).clip_norm(1.0), 1)?;
    let training = ShuffledBatches::new(encoded.windows(split.train)?, 32, 1, 1)?;
    let validation = SequentialBatches::new(encoded.windows(split.validation)?, 32)?;
    let options = RunOptions::new(RunLength::Epochs(60)).patience(15).keep(KeepWeights::Best);
    let outcome = run(&mut trainer, &training, Some(&validation), &options, &mut ()).await?;
    let best = outcome.best.map(|best| best.epoch).unwrap_or_default();

    // Errors in the units of the data.
    let test = encoded.measured_windows(split.test)?;
    let predicted = test.decode(&predict(&mut trainer, &test, 32).await?)?; // [N, K, Q]
    let rmse = |forecast: &bptt::ndarray::Array3<f64>| {
        forecast_errors(test.truth().view(), forecast.view()).map(|errors| errors[0].overall.rmse)
    };
    let mut lines = vec![format!(
        "test RMSE {:.2}, last value {:.2}; weights of epoch {best}",
        rmse(&predicted)?,
        rmse(&test.naive(1)?)?
    )];

    // The years after the last row: each forecast is an input of the next.
    let mut rollout = encoded.rollout(encoded.series().len(), 11)?;
    while let Some(x) = rollout.next_input() {
        let y = trainer.predict(&Sequence::dense(x)).await?.y; // [1, 1, Q·K]
        rollout.push(&y.into_iter().collect::<Vec<f32>>())?;
    }
    let forecast = rollout.finish();
    lines.extend(forecast.labels.iter().zip(&forecast.values).map(|(year, value)| format!("{year} {value:6.1}")));
    Ok(lines)
}

fn main() -> Result<()> {
    bptt::block_on(forecast())?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
