//! Networks learn: a real series better than the naive forecast, and a task that needs memory.

use std::path::Path;

use bptt::data::{
    AddingTask, ColumnRoles, ForecastErrors, Frame, MissingPolicy, SUNSPOTS, ScalingKind, SequentialBatches, Series,
    SeriesCodec, SeriesSplit, SeriesTable, ShuffledBatches,
};
use bptt::train::{RunLength, RunOptions, evaluate, predict, run};
use bptt::{Activation, Backend, Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Trainer};

use crate::common;

/// The root mean squared errors after 1920: of 50 epochs of a network with 16 hidden units, and of the last value.
async fn sunspots<B: Backend>(backend: &B, cell: Cell, seed: u64) -> (f64, f64) {
    let table = SeriesTable::from_csv(SUNSPOTS.as_bytes(), Path::new("sunspots.csv"), &["SUNACTIVITY"], None).unwrap();
    let series = Series::new(table, &ColumnRoles::one("SUNACTIVITY"), MissingPolicy::Refuse).unwrap();
    let frame = Frame { window: 22, horizon: 1 };
    let split = SeriesSplit::at(series.len(), frame, series.rows_until("1920").unwrap(), 0.0).unwrap();
    let codec = SeriesCodec::fit(&series, frame, split.train.end, |_| ScalingKind::Standard).unwrap();
    let encoded = codec.encode(series).unwrap();
    let [training, test] = [split.train, split.test].map(|rows| encoded.windows(rows).unwrap());
    let model = Model::new(Recurrent::new(cell, 1, 16), Head::new(1, Loss::SquaredError, Readout::Final));
    let mut trainer = Trainer::new(backend, &model, Optimizer::adam(5e-3).clip_norm(1.0), seed).unwrap();
    let duration = RunLength::Epochs(50);
    let options = RunOptions::new(duration);
    let training = ShuffledBatches::new(&training, 32, 1, seed).unwrap();
    run(&mut trainer, &training, None, &options, &mut ()).await.unwrap();
    let forecast = test.decode(&predict(&mut trainer, &test, 32).await.unwrap()).unwrap();
    let rmse = |forecast| ForecastErrors::of(test.truth().into_iter().zip(forecast)).rmse;
    (rmse(forecast), rmse(test.naive(1).unwrap()))
}

/// PyTorch reaches 18.0 (RNN), 17.8 (LSTM) and 17.4 (GRU) as the mean of three seeds; 19.5 leaves room for theirs.
fn forecasts_sunspots<B: Backend>(backend: &B) {
    for cell in [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru] {
        let runs = [1, 2, 3].map(|seed| pollster::block_on(sunspots(backend, cell, seed)));
        let mean = runs.iter().map(|(network, _)| network / 3.0).sum::<f64>();
        assert!((runs[0].1 - 30.436).abs() < 1e-3, "{cell:?}: the last value's {}", runs[0].1);
        assert!(mean < 19.5, "{cell:?}: {runs:?}");
    }
}

/// The validation error of the adding problem, T = 20, after 1500 steps. Who always answers 1 has 1/6.
async fn adding<B: Backend>(backend: &B, cell: Cell) -> f64 {
    let task = AddingTask { length: 20 };
    let (training, validation) = (task.examples(1, 0, 100_000).unwrap(), task.examples(1, 100_000, 500).unwrap());
    let model = Model::new(Recurrent::new(cell, AddingTask::INPUTS, 32), task.head());
    let mut trainer = Trainer::new(backend, &model, Optimizer::adam(5e-3).clip_norm(1.0), 1).unwrap();
    let duration = RunLength::Steps(1500);
    let options = RunOptions::new(duration);
    let training = ShuffledBatches::new(&training, 32, 1, 1).unwrap();
    run(&mut trainer, &training, None, &options, &mut ()).await.unwrap();
    evaluate(&mut trainer, &SequentialBatches::new(&validation, 100).unwrap()).await.unwrap()
}

fn solves_the_adding_problem<B: Backend>(backend: &B) {
    for cell in [Cell::Lstm, Cell::Gru] {
        let error = pollster::block_on(adding(backend, cell));
        assert!(error < 0.02, "{cell:?}: {error}");
    }
}

#[test]
fn each_cell_forecasts_sunspots_as_well_as_pytorch_on_the_cpu() {
    forecasts_sunspots(&Cpu::new());
}

#[test]
fn lstm_and_gru_solve_the_adding_problem_on_the_cpu() {
    solves_the_adding_problem(&Cpu::new());
}

#[test]
fn each_cell_forecasts_sunspots_as_well_as_pytorch_on_the_gpu() {
    common::gpu::gpu().iter().for_each(forecasts_sunspots);
}

#[test]
fn lstm_and_gru_solve_the_adding_problem_on_the_gpu() {
    common::gpu::gpu().iter().for_each(solves_the_adding_problem);
}
