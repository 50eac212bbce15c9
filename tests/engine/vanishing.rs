//! Why long dependencies are hard: with the identity as activation a gradient shrinks or grows by one factor a step.

use crate::common;
use bptt::ndarray::Array3;
use bptt::{
    Activation, Backend, Cell, Cpu, EngineOptions, Layers, Model, OutputGradient, Parameters, Real, Recurrent, Sequence,
};
use pollster::block_on;

type RealOf<B> = <<B as Backend>::Engine as Parameters>::Real;

fn reals<R: Real>(values: impl IntoIterator<Item = f64>) -> Vec<R> {
    values.into_iter().map(R::from_f64).collect()
}

/// W_hh = ρ Q with an orthogonal Q, so all its singular values are ρ, and with the identity as activation ‖dh‖ changes
/// by that factor a step. Q is half a Hadamard matrix: every number here is a short binary fraction, and so exact.
fn gradients_vanish_or_explode_by_the_spectral_radius_per_step<B: Backend>(backend: &B) {
    let q = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];
    let square = |v: &Array3<RealOf<B>>| v.iter().map(|d| d.as_f64() * d.as_f64()).sum::<f64>();
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

fn cpu_f64() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

#[test]
fn gradients_vanish_or_explode_by_the_spectral_radius_per_step_in_f64() {
    gradients_vanish_or_explode_by_the_spectral_radius_per_step(&cpu_f64());
}

#[test]
fn gradients_vanish_or_explode_by_the_spectral_radius_per_step_in_f32() {
    gradients_vanish_or_explode_by_the_spectral_radius_per_step(&Cpu::new());
}

#[test]
fn gradients_vanish_or_explode_by_the_spectral_radius_per_step_on_the_gpu() {
    common::gpu::gpu().iter().for_each(gradients_vanish_or_explode_by_the_spectral_radius_per_step);
}
