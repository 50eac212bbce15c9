//! Room 1: a line through points by gradient descent. With T = 1 and f(z) = z, a recurrent network is linear regression:
//! W_ih is the slope and b_ih the intercept, and all else is frozen.

use bptt::ndarray::Array3;
use bptt::{
    Activation, Batch, Cell, Cpu, CpuEngine, EngineOptions, Error, Head, Inference, Layers, Loss, Model, Optimizer,
    ParameterGroup, Parameters, Readout, Recurrent, Result, Sequence, Targets, Trainer, TrainerOptions, Training,
};
use serde::Serialize;

use super::limits::{self, now};

/// The most points.
const POINTS: usize = 1000;

const SLOPE: &str = "rnn.weight_ih_l0";
const INTERCEPT: &str = "rnn.bias_ih_l0";

/// A line and its points.
pub struct Line {
    trainer: Trainer<CpuEngine<f64>>,
    batch: Batch<f64>,
}

/// The line, its loss and its gradient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LineNumbers {
    /// ŷ grows by it with each unit of x.
    pub slope: f64,
    /// ŷ at x = 0.
    pub intercept: f64,
    /// L, the mean of (ŷ − y)².
    pub loss: f64,
    /// ∂L/∂slope.
    pub d_slope: f64,
    /// ∂L/∂intercept.
    pub d_intercept: f64,
    /// ŷ of each point.
    pub predictions: Vec<f64>,
}

impl Line {
    /// A line with points x, y, x, y and so on.
    ///
    /// # Errors
    /// [`Error::Value`] for no points, too many, half a point, or numbers that are not finite.
    pub fn new(points: &[f64], slope: f64, intercept: f64) -> Result<Self> {
        let head = Head::new(1, Loss::SquaredError, Readout::PerStep);
        let model = Model::new(Recurrent::new(Cell::Rnn(Activation::Identity), 1, 1), head);
        let frozen =
            ["rnn.weight_hh_l0", "rnn.bias_hh_l0", "head.*"].map(|pattern| ParameterGroup::new(pattern).frozen());
        let options = TrainerOptions::default().engine(EngineOptions::default().parameter_groups(frozen));
        let trainer = Trainer::with_options(&Cpu::<f64>::with_threads(1)?, &model, Optimizer::sgd(0.1), 1, options)?;
        let mut line = Self { trainer, batch: batch(points)? };
        line.set(slope, intercept)?;
        Ok(line)
    }

    /// Sets the points.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn set_points(&mut self, points: &[f64]) -> Result<()> {
        self.batch = batch(points)?;
        Ok(())
    }

    /// Sets the line.
    ///
    /// # Errors
    /// [`Error::Value`] for numbers that are not finite.
    pub fn set(&mut self, slope: f64, intercept: f64) -> Result<()> {
        let slope = limits::within("the slope", slope, -1e6..=1e6)?;
        let intercept = limits::within("the intercept", intercept, -1e6..=1e6)?;
        let block: Vec<f64> = self
            .trainer
            .layout()
            .tensors()
            .iter()
            .map(|tensor| match tensor.name.as_str() {
                SLOPE => slope,
                INTERCEPT => intercept,
                "head.weight" => 1.0,
                _ => 0.0,
            })
            .collect();
        self.trainer.engine().set_parameters(&block)
    }

    /// The line, its loss and its gradient.
    ///
    /// # Errors
    /// None for a line that was made.
    pub fn numbers(&mut self) -> Result<LineNumbers> {
        let count = self.batch.total_weight();
        let engine = self.trainer.engine();
        engine.clear_gradients();
        now(engine.accumulate(&self.batch, None))?;
        let mut gradient = |name: &str| Ok::<f64, Error>(now(engine.gradient(name))?.sum() / count);
        let (d_slope, d_intercept) = (gradient(SLOPE)?, gradient(INTERCEPT)?);
        let loss = now(engine.loss_sum())? / count;
        engine.clear_gradients();
        let predictions = now(engine.logits(&self.batch.sequence))?.logits.into_iter().collect();
        let mut parameter = |name: &str| Ok::<f64, Error>(now(engine.parameter(name))?.sum());
        Ok(LineNumbers {
            slope: parameter(SLOPE)?,
            intercept: parameter(INTERCEPT)?,
            loss,
            d_slope,
            d_intercept,
            predictions,
        })
    }

    /// A step of gradient descent.
    ///
    /// # Errors
    /// [`Error::NonFinite`] once the line has run away beyond all numbers; [`Error::Value`] for the rate.
    pub fn step(&mut self, learning_rate: f64) -> Result<LineNumbers> {
        self.trainer.set_learning_rate(limits::learning_rate(learning_rate)?)?;
        now(self.trainer.step(&self.batch))?;
        now(self.trainer.finish())?;
        self.numbers()
    }
}

/// All points as rows of one step, \[1, B, 1\].
fn batch(points: &[f64]) -> Result<Batch<f64>> {
    if points.is_empty() || !points.len().is_multiple_of(2) || points.len() > 2 * POINTS {
        let (expected, got) = (format!("1 to {POINTS} pairs of x and y"), format!("{} numbers", points.len()));
        return Err(Error::Value { what: "the points".into(), expected, got });
    }
    points.iter().try_for_each(|number| limits::within("a coordinate", *number, -1e6..=1e6).map(drop))?;
    let column =
        |offset: usize| Array3::from_shape_fn((1, points.len() / 2, 1), |(_, row, _)| points[2 * row + offset]);
    Ok(Batch::new(Sequence::dense(column(0)), Targets::Values(column(1))))
}
