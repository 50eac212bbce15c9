//! Checks every gradient of a network: a device against the CPU backend in f64, and that against central differences of
//! the loss.

mod gradients;

use ndarray::{Array, Array2, ArrayD, Axis, Dimension, ShapeBuilder};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use self::gradients::{Gradients, STEP, Subject};
use super::device::open::{AnyBackend, OpenDevice};
use crate::{
    Batch, Cpu, DropoutKey, EngineOptions, Error, Input, Loss, Model, Precision, Result, Sequence, States, Targets,
};

/// A network whose gradients are checked, on random data.
pub struct GradientCheck<'a> {
    /// The form of the network, with a head.
    pub model: &'a Model,
    /// Its parameters, in the order of [`Layout`](crate::Layout).
    pub parameters: &'a [f32],
    /// T of the longest row; the others are shorter.
    pub steps: usize,
    /// B.
    pub rows: usize,
    /// Elements per tensor that are compared with central differences, evenly spread.
    pub elements: usize,
    /// The seed of the data and of dropout.
    pub seed: u64,
}

/// The largest difference between two arrays that should be equal.
#[derive(Clone, Debug, Default)]
pub struct Deviation {
    /// |computed − expected|, relative to the largest element of the tensor, or of a step.
    pub error: f64,
    /// Its index; empty for a single number.
    pub index: Vec<usize>,
    /// The computed value.
    pub got: f64,
    /// The expected value.
    pub want: f64,
}

/// A checked gradient.
pub struct CheckedGradient {
    /// The tensor, or one step of it.
    pub name: String,
    /// Its shape; empty for a norm.
    pub shape: Vec<usize>,
    /// The device against the CPU backend in f64.
    pub device: Deviation,
    /// The CPU backend in f64 against central differences; norms have none.
    pub differences: Option<Deviation>,
}

/// The largest relative errors that pass.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    /// Of the device: 32 · 2⁻²³ · √(T · (B + G·H + I)); with halves 2 · 2⁻¹⁰ · √(T · (B + G·H + I)).
    pub device: f64,
    /// Of f64 against central differences.
    pub differences: f64,
}

/// The relative error of a half whose other bits were cut off, as some drivers do.
const HALF_ERROR: f64 = 1.0 / 1024.0;

/// The result of a check.
pub struct CheckedGradients {
    /// Σ w·loss in f64.
    pub loss: f64,
    /// By tensor, then dx and ‖∂L/∂h_t‖ by step.
    pub gradients: Vec<CheckedGradient>,
    /// The largest relative errors that pass.
    pub tolerances: Tolerances,
}

impl GradientCheck<'_> {
    /// Computes all gradients in three ways and compares them.
    ///
    /// # Errors
    /// If the model has no head or does not fit the device.
    pub async fn run(&self, device: &OpenDevice) -> Result<CheckedGradients> {
        device.check_options(self.model)?;
        let batch = self.batch()?;
        let masks = DropoutKey { seed: self.seed, step: 1, first_row: 0 };
        let subject = Subject { model: self.model, parameters: self.parameters, batch: &batch, masks };
        let want = subject.analytic(&Cpu::<f64>::with_threads(1)?, EngineOptions::default()).await?;
        let options = device.engine_options(EngineOptions::default());
        let got = match device.backend() {
            AnyBackend::Cpu(backend) => subject.analytic(backend, options).await?,
            AnyBackend::Gpu(backend) => subject.analytic(backend, options).await?,
        };
        let differences = subject.differences(self.elements, &want.arrays).await?;
        let gradients = compare(self.model, &got, &want, &differences);
        Ok(CheckedGradients { loss: want.loss, gradients, tolerances: self.tolerances(device.precision()) })
    }

    /// The device computes in f32, whose relative rounding error is at most 2⁻²⁴. A gradient is a sum of about n = T ·
    /// (B + G·H + I) products over steps, rows and inner sizes. The error of such a sum grows like √n if roundings are
    /// independent (Higham, Accuracy and Stability of Numerical Algorithms, 2.8), and each term has gone through some
    /// tens of roundings of f, gates and their derivatives, including a driver's exp and tanh: 32 · 2⁻²³ · √n. Halves add
    /// the errors of what is stored as such, of 2⁻¹⁰ at most, but few to each term: 2 · 2⁻¹⁰ · √n. A wrong sign or
    /// factor gives an error of the order of 1. Differences are in f64: see [`Subject::differences`].
    fn tolerances(&self, precision: Precision) -> Tolerances {
        let recurrent = &self.model.recurrent;
        let gates = recurrent.cell.recurrent_gates().max(recurrent.cell.input_gates());
        let terms = self.rows + gates * recurrent.hidden_size + recurrent.input_size;
        let unit = match precision {
            Precision::F32 => 32.0 * f64::from(f32::EPSILON),
            Precision::F16 => 2.0 * HALF_ERROR,
        };
        Tolerances { device: unit * ((self.steps * terms) as f64).sqrt(), differences: 1e-6 }
    }

    /// Random rows with non-zero initial states and different lengths.
    fn batch(&self) -> Result<Batch> {
        let (model, steps, rows) = (self.model, self.steps, self.rows);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // The first streams belong to initialisation and shuffling.
        rng.set_stream(1 << 32);
        let head =
            model.head.as_ref().ok_or_else(|| Error::Unsupported("a model without a head has no loss".into()))?;
        let recurrent = &model.recurrent;
        let predictions = head.predictions(steps);
        let mut below = |most: usize| ((u64::from(rng.next_u32()) * most as u64) >> 32) as u32;
        let input = match &model.embedding {
            Some(embedding) => {
                Input::Tokens(Array2::from_shape_simple_fn((steps, rows), || below(embedding.vocabulary)))
            }
            None => Input::Dense(fill((steps, rows, recurrent.input_size), &mut below)),
        };
        let lengths = (0..rows).map(|row| steps - 2 * row % steps).collect();
        let targets = if head.loss.takes_classes() {
            Targets::Classes(Array2::from_shape_simple_fn((predictions, rows), || below(head.outputs)))
        } else {
            let shape = (predictions, rows, head.target_size());
            Targets::Values(match head.loss {
                // Whole numbers above 0 are counts as well as units.
                Loss::NegativeBinomial => Array::from_shape_simple_fn(shape, || 1.0 + below(8) as f32),
                // From 0 to 1, as binary cross-entropy needs.
                _ => fill(shape, &mut below).mapv_into(|y| 0.5 + 0.5 * y),
            })
        };
        let mut states = States::zeros(recurrent, rows);
        states.h = fill(states.h.raw_dim(), &mut below);
        states.c = states.c.map(|c| fill(c.raw_dim(), &mut below));
        let sequence = Sequence { input, lengths: Some(lengths), resets: None, initial: Some(states) };
        Ok(Batch::new(sequence, targets))
    }
}

/// Multiples of the difference step in ±1.
fn fill<D: Dimension>(shape: impl ShapeBuilder<Dim = D>, below: &mut impl FnMut(usize) -> u32) -> Array<f32, D> {
    Array::from_shape_simple_fn(shape, || ((f64::from(below(1 << 18)) - 131_072.0) * STEP) as f32)
}

/// By tensor, then dx and ‖∂L/∂h_t‖ by step.
fn compare(model: &Model, got: &Gradients, want: &Gradients, differences: &[ArrayD<f64>]) -> Vec<CheckedGradient> {
    let size = |array: &ArrayD<f64>| array.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    // A gradient that is negligible beside the others is rounding noise, without a relative error.
    let least = want.arrays.iter().map(|(_, array)| size(array)).fold(0.0, f64::max) / 1024.0;
    let mut checked = Vec::new();
    let mut steps = Vec::new();
    for (((name, want), (_, got)), differences) in want.arrays.iter().zip(&got.arrays).zip(differences) {
        let scale = size(want).max(least);
        checked.push(CheckedGradient {
            name: name.clone(),
            shape: want.shape().to_vec(),
            device: Deviation::of(got, want, scale),
            differences: Some(Deviation::of(want, differences, scale)),
        });
        for t in 0..want.shape()[0] * usize::from(name == "dx") {
            let at = |array: &ArrayD<f64>| array.index_axis(Axis(0), t).to_owned();
            let (got, want, differences) = (at(got), at(want), at(differences));
            let scale = size(&want).max(least);
            steps.push(CheckedGradient {
                name: format!("dx at step {t}"),
                shape: want.shape().to_vec(),
                device: Deviation::of(&got, &want, scale),
                differences: Some(Deviation::of(&want, &differences, scale)),
            });
        }
    }
    checked.extend(steps);
    let least = want.hidden_norms.iter().fold(0.0, |most: f64, norm| most.max(*norm)) / 1024.0;
    for (layer_direction, (got, want)) in got.hidden_norms.rows().into_iter().zip(want.hidden_norms.rows()).enumerate()
    {
        for (t, (got, want)) in got.iter().zip(want).enumerate() {
            let error = (got - want).abs() / want.max(least);
            let device = Deviation { error: refuse_nan(error), index: Vec::new(), got: *got, want: *want };
            let name = format!("‖∂L/∂h‖ of {} at step {t}", model.recurrent.suffix(layer_direction));
            checked.push(CheckedGradient { name, shape: Vec::new(), device, differences: None });
        }
    }
    checked
}

/// NaN is worse than any error.
fn refuse_nan(error: f64) -> f64 {
    if error.is_nan() { f64::INFINITY } else { error }
}

impl Deviation {
    /// The largest difference of all elements, except for those that are NaN in `want`, which were not computed.
    fn of(got: &ArrayD<f64>, want: &ArrayD<f64>, scale: f64) -> Self {
        let mut worst = Self::default();
        for ((index, got), want) in got.indexed_iter().zip(want).filter(|(_, want)| !want.is_nan()) {
            let error = if got == want { 0.0 } else { refuse_nan((got - want).abs() / scale) };
            if error > worst.error || worst.index.is_empty() {
                worst = Self { error, index: Dimension::slice(&index).to_vec(), got: *got, want: *want };
            }
        }
        worst
    }
}

impl CheckedGradients {
    /// Describes the gradient with the largest excess; `None` if all pass.
    pub fn failure(&self) -> Option<String> {
        let tolerances = self.tolerances;
        let sides = |of: &CheckedGradient| {
            let differences = of.differences.clone().map(|worst| (worst, tolerances.differences, "f64", "differences"));
            let device = Some((of.device.clone(), tolerances.device, "the device", "f64"));
            [device, differences].into_iter().flatten().collect::<Vec<_>>()
        };
        let all = self.gradients.iter().flat_map(|of| sides(of).into_iter().map(move |side| (of, side)));
        let beyond: Vec<_> = all.filter(|(_, (worst, tolerance, ..))| worst.error > *tolerance).collect();
        let greater = |a: &Deviation, b: &Deviation| a.error.total_cmp(&b.error);
        let (of, (worst, tolerance, got, want)) = beyond.iter().max_by(|a, b| greater(&a.1.0, &b.1.0))?;
        let at = if worst.index.is_empty() { String::new() } else { format!(" at {:?}", worst.index) };
        // Single steps are in the table.
        let mut names: Vec<&str> =
            beyond.iter().map(|(of, _)| of.name.as_str()).filter(|name| !name.contains(" at step ")).collect();
        names.dedup();
        let names = if names.is_empty() { "no tensor as a whole".into() } else { names.join(", ") };
        Some(format!(
            "gradcheck: {} has the largest error{at}: {got} computed {:e}, {want} {:e}; relative error {:.1e}, over {tolerance:.1e}\n  \
             beyond it: {names}",
            of.name, worst.got, worst.want, worst.error
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_element_is_reported_by_index_and_nan_is_the_worst() {
        let array = |values: [f64; 4]| ArrayD::from_shape_vec(vec![2, 2], values.to_vec()).unwrap();
        let want = array([1.0, 2.0, 4.0, f64::NAN]);
        let worst = Deviation::of(&array([1.0, 2.5, 4.0, 9.0]), &want, 4.0);
        assert_eq!((worst.error, worst.index.as_slice()), (0.125, &[0, 1][..]), "what was not looked at has no part");
        let worst = Deviation::of(&array([1.0, 9.0, f64::NAN, 0.0]), &want, 4.0);
        assert_eq!((worst.error, worst.index.as_slice()), (f64::INFINITY, &[1, 0][..]));
    }

    #[test]
    fn differences_beyond_their_limit_are_named_worst_first() {
        let tolerances = Tolerances { device: 1e-4, differences: 1e-6 };
        let worst = |error| Deviation { error, index: vec![2, 1], got: 1.0, want: 2.0 };
        let line = |name: &str, device, differences| CheckedGradient {
            name: name.into(),
            shape: vec![3, 3],
            device: worst(device),
            differences: Some(worst(differences)),
        };
        let failure = |gradients| CheckedGradients { loss: 0.0, gradients, tolerances }.failure();
        assert_eq!(failure(vec![line("a", 9e-5, 9e-7)]), None);
        let message = failure(vec![line("a", 2e-4, 0.0), line("b", 0.5, 0.0), line("c", 0.0, 2e-6)]).unwrap();
        assert!(
            message.starts_with("gradcheck: b has the largest error at [2, 1]: the device computed 1e0, f64 2e0"),
            "{message}"
        );
        assert!(message.ends_with("beyond it: a, b, c"), "{message}");
    }
}
