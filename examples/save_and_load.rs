//! Trains a forecaster of the sunspot numbers with the library, saves it as one file, and loads it again. The program reads
//! the same file, and this example reads what `bptt train` has written:
//!
//! ```sh
//! cargo run --release --example save_and_load -- sunspots.safetensors
//! bptt forecast sunspots.safetensors data/sunspots.csv --rows 3
//! cargo run --release --example save_and_load -- runs/sunspots-1/model.safetensors
//! ```

use std::path::Path;

use bptt::data::{
    ColumnRoles, Frame, MissingPolicy, SUNSPOTS, ScalingKind, Series, SeriesCodec, SeriesTable, ShuffledBatches,
};
use bptt::experiment::Codec;
use bptt::experiment::config::ScaleName;
use bptt::train::{RunLength, RunOptions, run};
use bptt::{
    Cell, Cpu, Error, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, SavedModel, Sequence, Trainer,
    TrainerOptions,
};

fn sunspots(roles: &ColumnRoles) -> Result<Series> {
    let table = SeriesTable::from_csv(SUNSPOTS.as_bytes(), Path::new("sunspots.csv"), &["SUNACTIVITY"], None)?;
    Series::new(table, roles, MissingPolicy::Refuse)
}

pub(crate) async fn train_and_save(path: &Path) -> Result<()> {
    let series = sunspots(&ColumnRoles::one("SUNACTIVITY"))?;
    let (rows, frame) = (series.len(), Frame { window: 22, horizon: 1 });
    let codec = SeriesCodec::fit(&series, frame, rows, |_| ScalingKind::Standard)?;
    let recurrent = Recurrent::new(Cell::Gru, codec.input_size(), 16);
    let model = Model::new(recurrent, Head::new(codec.outputs(), Loss::SquaredError, Readout::Final));
    let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(5e-3).clip_norm(1.0), 1)?;
    let encoded = codec.encode(series)?;
    let batches = ShuffledBatches::new(encoded.windows(frame.window..rows)?, 32, 1, 1)?;
    run(&mut trainer, &batches, None, &RunOptions::new(RunLength::Epochs(20)), &mut ()).await?;

    let codec = Codec::Series { scale: ScaleName::Standard, series: codec, quantiles: Vec::new() };
    trainer
        .saved_model()
        .await?
        .with_codec(&codec)?
        .with_metadata("source", &"Royal Observatory of Belgium")?
        .save(path)
}

pub(crate) async fn load_and_forecast(path: &Path, rows: usize) -> Result<Vec<(String, f64)>> {
    let saved = SavedModel::load(path)?;
    let mut trainer = saved.trainer(&Cpu::new(), Optimizer::sgd(0.0), 1, TrainerOptions::default())?;
    let Some(Codec::Series { series: codec, .. }) = saved.codec()? else {
        return Err(Error::Unsupported(format!("{}: expected a model of a series", path.display())));
    };

    let encoded = codec.encode(sunspots(&codec.roles())?)?;
    let mut rollout = encoded.rollout(encoded.series().len(), rows)?;
    while let Some(x) = rollout.next_input() {
        let y = trainer.predict(&Sequence::dense(x)).await?.y; // [1, 1, O]
        rollout.push(&y.into_iter().collect::<Vec<f32>>())?;
    }
    let forecast = rollout.finish();
    Ok(forecast.labels.into_iter().zip(forecast.values.column(0).to_vec()).collect())
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "sunspots.safetensors".into());
    bptt::block_on(async {
        if !Path::new(&path).exists() {
            train_and_save(Path::new(&path)).await?;
        }
        for (year, value) in load_and_forecast(Path::new(&path), 3).await? {
            println!("{year} {value:6.1}");
        }
        Ok(())
    })
}
