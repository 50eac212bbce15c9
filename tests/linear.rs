//! What lecture notes show with the identity as activation, where everything can be told beforehand: how a gradient
//! vanishes or explodes, and that one step without a past is a linear regression.

mod common;

use bptt::ndarray::{Array1, Array3};
use bptt::{
    Activation, At, Backend, Batch, Cell, Cpu, Engine, EngineOptions, Head, Loss, Model, Optimizer, OutputGradient,
    Real, Recurrent, Sequence, Targets, Trainer,
};
use common::assert_close;
use pollster::block_on;

type RealOf<B> = <<B as Backend>::Engine as Engine>::Real;

fn reals<R: Real>(values: impl IntoIterator<Item = f64>) -> Vec<R> {
    values.into_iter().map(R::from_wide).collect()
}

/// W_hh = ρ Q with an orthogonal Q, so all its singular values are ρ, and with the identity as activation ‖dh‖ changes
/// by that factor a step. Q is half a Hadamard matrix: every number here is a short binary fraction, and so exact.
fn the_gradient_vanishes_or_explodes_by_the_spectral_radius_a_step<B: Backend>(backend: &B) {
    let q = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];
    let square = |v: &Array3<RealOf<B>>| v.iter().map(|d| d.to_wide() * d.to_wide()).sum::<f64>();
    for radius in [0.5, 1.0, 2.0] {
        let recurrent = Recurrent::new(Cell::Rnn(Activation::Identity), 1, 4).bias(false);
        let mut engine = backend.engine(&Model::headless(recurrent), &EngineOptions::default()).unwrap();
        let w_hh = q.as_flattened().iter().map(|q| radius * q / 2.0);
        engine.set_parameters(&reals([0.0; 4].into_iter().chain(w_hh))).unwrap();
        let d_h_n = Array3::from_shape_vec((1, 1, 4), reals([1.0, 0.0, -2.0, 3.0])).unwrap();
        for steps in 1..=12 {
            block_on(engine.forward(&Sequence::dense(Array3::zeros((steps, 1, 1))))).unwrap();
            let gradient = OutputGradient { h_n: Some(d_h_n.clone()), ..OutputGradient::default() };
            let dh_0 = block_on(engine.backward(&gradient)).unwrap().initial.h;
            let factor = (square(&dh_0) / square(&d_h_n)).sqrt();
            assert_eq!(factor, f64::powi(radius, steps as i32), "radius {radius}, {steps} steps");
        }
    }
}

/// T = 1 and the identity: a linear regression. Plain gradient descent on the squared error ends at the line that the
/// normal equations give.
fn gradient_descent_on_one_linear_step_finds_slope_and_intercept<B: Backend>(backend: &B, relative: f64, floor: f64) {
    let x = [-1.0, -0.625, -0.25, 0.125, 0.5, 0.75, 1.0];
    // Not quite on a line, so that the fit has something to weigh.
    let y = [-2.0, -1.25, -1.0, -0.25, 0.0, 0.875, 1.0];
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let covariance: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let slope = covariance / x.iter().map(|x| (x - mean_x).powi(2)).sum::<f64>();
    let intercept = mean_y - slope * mean_x;

    let recurrent = Recurrent::new(Cell::Rnn(Activation::Identity), 1, 1);
    let model = Model::new(recurrent, Head::new(1, Loss::SquaredError, At::Last));
    let mut trainer = Trainer::new(backend, &model, Optimizer::sgd(0.1), 1).unwrap();
    // W_xh, W_hh, b_ih, b_hh, W_hy, b_y: the slope is W_hy·W_xh, and W_hh meets only h_0 = 0.
    trainer.engine().set_parameters(&reals([0.5, 0.25, 0.0, 0.0, 1.0, 0.0])).unwrap();
    let column = |values: &[f64]| Array3::from_shape_fn((1, values.len(), 1), |(_, row, _)| values[row] as f32);
    let batch = Batch::new(Sequence::dense(column(&x)), Targets::Values(column(&y)));
    for _ in 0..150 {
        block_on(trainer.step(&batch)).unwrap();
    }
    let at = block_on(trainer.predict(&Sequence::dense(column(&[0.0, 1.0])))).unwrap();
    let (at_0, at_1) = (at[[0, 0, 0]].to_wide(), at[[0, 1, 0]].to_wide());
    let got = Array1::from_vec(vec![at_1 - at_0, at_0]).into_dyn();
    let expected = Array1::from_vec(vec![slope, intercept]).into_dyn();
    assert_close("slope and intercept", &got, &expected, relative, floor);
    let w_hh = block_on(trainer.engine().parameters()).unwrap()[1];
    assert_eq!(w_hh.to_wide(), 0.25, "W_hh has no part in one step from zero");
}

fn cpu_f64() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

#[test]
fn the_gradient_vanishes_or_explodes_by_the_spectral_radius_a_step_in_f64() {
    the_gradient_vanishes_or_explodes_by_the_spectral_radius_a_step(&cpu_f64());
}

#[test]
fn the_gradient_vanishes_or_explodes_by_the_spectral_radius_a_step_in_f32() {
    the_gradient_vanishes_or_explodes_by_the_spectral_radius_a_step(&Cpu::new());
}

#[test]
fn gradient_descent_on_one_linear_step_finds_slope_and_intercept_in_f64() {
    gradient_descent_on_one_linear_step_finds_slope_and_intercept(&cpu_f64(), 1e-13, 1.0);
}

#[test]
fn gradient_descent_on_one_linear_step_finds_slope_and_intercept_in_f32() {
    // Descent stops where η·dL/dw is under half a unit of w: some ten units of 6e-8 from the minimum.
    gradient_descent_on_one_linear_step_finds_slope_and_intercept(&Cpu::new(), 2e-6, 1.0);
}
