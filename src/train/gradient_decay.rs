//! Analysis of the norms of ∂L/∂h_t: how fast gradients vanish or explode through time, and why.

use ndarray::{Array2, ArrayView2, ArrayView3, s};

use crate::batch::{Batch, Sequence};
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::model::{Activation, Direction, Layout, Model, Readout, Role, StateDict};
use crate::real::Real;

/// The factor by which ‖∂L/∂h_t‖ changes per step backward through time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradientDecay {
    /// The geometric mean of ‖∂L/∂h_t‖ / ‖∂L/∂h_{t+1}‖; in the reverse direction of ‖∂L/∂h_{t+1}‖ / ‖∂L/∂h_t‖.
    pub factor: f64,
    /// The number of ratios averaged.
    pub steps: usize,
}

impl GradientDecay {
    /// Computes the factor from norms in the order in which the gradient reaches them, up to the first that is 0 or not
    /// finite (norms too small for f32 have no ratio). `None` for fewer than two.
    pub fn along(norms: impl IntoIterator<Item = f64>) -> Option<Self> {
        let norms: Vec<f64> = norms.into_iter().take_while(|norm| *norm > 0.0 && norm.is_finite()).collect();
        let steps = norms.len().checked_sub(1).filter(|steps| *steps > 0)?;
        // The intermediate norms cancel in the product of ratios.
        let factor = ((norms[steps].ln() - norms[0].ln()) / steps as f64).exp();
        Some(Self { factor, steps })
    }

    /// Computes the factor of each (layer, direction), over the steps whose gradient comes only from the loss of later
    /// steps: there ∂L/∂h_t is ∂L/∂h_{t+1} propagated through one step.
    ///
    /// With a head at the last step, these are all steps before the end of the shortest row. A head at every step adds
    /// a loss at each step with a weight, so only the steps before the first of these count; [`last_alone`] keeps only
    /// each row's last prediction. `None` if there are no two such steps in a row, as with a head over the mean, and
    /// below the last layer of a bidirectional network, where the loss reaches every step from both ends.
    ///
    /// # Errors
    /// [`Error::Shape`] if the norms do not fit the model and batch; the errors of [`Batch::validate`].
    pub fn of(gradient_norms: &HiddenGradientNorms, model: &Model, batch: &Batch) -> Result<Vec<Option<Self>>> {
        batch.validate(model)?;
        let (recurrent, head) = (&model.recurrent, model.require_head()?);
        let (steps, rows) = batch.sequence.shape();
        if gradient_norms.norms.dim() != (recurrent.num_layer_directions(), steps) {
            return Err(Error::shape(
                "the norms of ∂L/∂h_t",
                &[recurrent.num_layer_directions(), steps],
                gradient_norms.norms.shape(),
            ));
        }
        let counted = |row: &usize| (0..batch.predictions()).any(|p| batch.weight(p, *row) > 0.0);
        let shortest = (0..rows).filter(counted).map(|row| batch.sequence.length(row)).min().unwrap_or(0);
        let losses = |t: &usize| (0..rows).any(|row| batch.weight(*t, row) > 0.0);
        // The steps in the order in which the gradient reaches them.
        let forward = match head.readout {
            Readout::PerStep => 0..(0..steps).find(losses).map_or(0, |first| first + 1),
            Readout::Final => 0..shortest,
            Readout::MeanPool => 0..0,
        };
        let reverse = match head.readout {
            Readout::PerStep => (0..steps).rfind(losses).unwrap_or(0)..shortest,
            Readout::Final => 0..shortest,
            Readout::MeanPool => 0..0,
        };
        let factor = |layer_direction: usize| {
            let layer = layer_direction / recurrent.directions();
            if recurrent.direction == Direction::Both && layer + 1 < recurrent.layers {
                return None;
            }
            let norms = gradient_norms.norms.row(layer_direction);
            if recurrent.is_reverse(layer_direction) {
                Self::along(reverse.clone().map(|t| norms[t]))
            } else {
                Self::along(forward.clone().rev().map(|t| norms[t]))
            }
        };
        Ok((0..recurrent.num_layer_directions()).map(factor).collect())
    }

    /// The number of steps after which the norm is `share` times its initial value. `None` if it changes in the other
    /// direction.
    pub fn steps_until(&self, share: f64) -> Option<f64> {
        let steps = share.ln() / self.factor.ln();
        (steps > 0.0 && steps.is_finite()).then_some(steps)
    }
}

/// Keeps only each row's last prediction with a weight above 0. With a head at every step, L is then the loss at the
/// end of the row, and no loss at step t hides its ∂L/∂h_t.
pub fn last_alone(batch: Batch) -> Batch {
    let (predictions, rows) = (batch.predictions(), batch.sequence.shape().1);
    let last: Vec<Option<usize>> =
        (0..rows).map(|row| (0..predictions).rfind(|p| batch.weight(*p, row) > 0.0)).collect();
    let weight = |(p, row): (usize, usize)| if last[row] == Some(p) { batch.weight(p, row) } else { 0.0 };
    let weights = Array2::from_shape_fn((predictions, rows), weight);
    batch.weights(weights)
}

/// The spectral radius ρ, the largest magnitude of an eigenvalue, by Gelfand's formula ρ = lim ‖Aᵏ‖^(1/k). The matrix
/// power is squared repeatedly, which doubles k, and normalised each time (Gelfand 1941; Horn & Johnson, Matrix
/// Analysis, 5.6.14). At k = 2²⁴ the relative error is below n·ln(k) / k even for a single Jordan block of size n.
pub fn spectral_radius(matrix: ArrayView2<'_, f64>) -> f64 {
    const SQUARINGS: usize = 24;
    let norm = |power: &Array2<f64>| power.iter().map(|value| value * value).sum::<f64>().sqrt();
    let (mut power, mut logarithm, mut share) = (matrix.to_owned(), 0.0, 1.0);
    for _ in 0..SQUARINGS {
        let size = norm(&power);
        if size == 0.0 {
            return 0.0;
        }
        logarithm += share * size.ln();
        power /= size;
        power = power.dot(&power);
        share /= 2.0;
    }
    (logarithm + share * norm(&power).ln()).exp()
}

/// The spectral radius of each gate's block of W_hh, \[H, H\], with the gate's name, for each (layer, direction); of the
/// product of W_hr and the block, \[S, S\], if h is projected. The vanilla RNN has one block, without a name. With the identity as activation, it is the long-term factor per step.
/// Otherwise f′ below 1 makes the factor smaller: gradients vanish if the radius is far below 1, and can explode only
/// if it is above 1 (Pascanu, Mikolov & Bengio 2013). In an LSTM or GRU, a gate is only one of several paths.
///
/// # Errors
/// [`Error::StateDict`] if the weights do not fit the model.
pub fn recurrent_radii(model: &Model, weights: &StateDict) -> Result<Vec<Vec<(&'static str, f64)>>> {
    let layout = Layout::new(model);
    let block: Vec<f64> = layout.to_block(weights)?.into_iter().map(f64::from).collect();
    let gates: Vec<&str> = model.recurrent.cell.definition().recurrent_names().collect();
    let hidden = model.recurrent.hidden_size;
    let matrix = |tensor: &crate::model::Tensor| {
        let shape = (tensor.shape[0], tensor.shape[1]);
        ArrayView2::from_shape(shape, &block[tensor.range()]).map_err(|error| Error::Unsupported(error.to_string()))
    };
    let of = |layer_direction: usize| {
        let Some(weight_hh) = layout.find(Role::WeightHh { layer_direction }) else { return Ok(None) };
        let weight_hh = matrix(weight_hh)?;
        let weight_hr = layout.find(Role::WeightHr { layer_direction }).map(matrix).transpose()?;
        let radius = |(gate, name): (usize, &&'static str)| {
            let of_gate = weight_hh.slice(s![gate * hidden..(gate + 1) * hidden, ..]);
            let radius = match weight_hr {
                Some(weight_hr) => spectral_radius(weight_hr.dot(&of_gate).view()),
                None => spectral_radius(of_gate),
            };
            (*name, radius)
        };
        Ok(Some(gates.iter().enumerate().map(radius).collect()))
    };
    (0..model.recurrent.num_layer_directions()).filter_map(|layer_direction| of(layer_direction).transpose()).collect()
}

/// The mean of f′(z_t) in a layer of the vanilla RNN, over its units and each row's steps, computed from its output h,
/// \[T, B, D·H\]. Near 0 the layer is saturated, and its gradient vanishes whatever W_hh is.
pub fn mean_derivative<R: Real, S: Real>(
    activation: Activation,
    output: ArrayView3<'_, R>,
    sequence: &Sequence<S>,
) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for (row, of_row) in output.axis_iter(ndarray::Axis(1)).enumerate() {
        let own = of_row.slice(s![..sequence.length(row), ..]);
        sum += own.iter().map(|h| activation.derivative(h.as_f64())).sum::<f64>();
        count += own.len();
    }
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Targets;
    use crate::model::{Cell, Head, Loss, Recurrent};
    use ndarray::{Array3, arr2};

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-6 * want.abs().max(1e-3), "{got} {want}");
    }

    #[test]
    fn the_spectral_radius_is_right_for_real_complex_and_defective_eigenvalues() {
        close(spectral_radius(arr2(&[[2.0, 1.0], [1.0, 2.0]]).view()), 3.0);
        // A rotation by any angle times 0.7, whose eigenvalues are complex.
        let (sin, cos) = 0.3f64.sin_cos();
        close(spectral_radius(arr2(&[[0.7 * cos, -0.7 * sin], [0.7 * sin, 0.7 * cos]]).view()), 0.7);
        // A Jordan block: ‖Aᵏ‖ grows like k·ρᵏ, and ‖A‖ itself is 1000 times ρ.
        let jordan = spectral_radius(arr2(&[[0.5, 500.0], [0.0, 0.5]]).view());
        assert!((jordan / 0.5 - 1.0).abs() < 1e-5, "{jordan}");
        assert_eq!(spectral_radius(arr2(&[[0.0, 3.0], [0.0, 0.0]]).view()), 0.0);
        close(spectral_radius(arr2(&[[-1e-20, 0.0], [0.0, 1e-30]]).view()) * 1e20, 1.0);
        assert!(spectral_radius(arr2(&[[f64::NAN]]).view()).is_nan());
    }

    fn model(at: Readout, bidirectional: bool, layers: usize) -> Model {
        let recurrent = Recurrent::new(Cell::Gru, 1, 2).bidirectional(bidirectional).layers(layers);
        Model::new(recurrent, Head::new(1, Loss::SquaredError, at))
    }

    fn batch(at: Readout, lengths: Vec<usize>) -> Batch {
        let (steps, rows) = (*lengths.iter().max().unwrap(), lengths.len());
        let predictions = if at == Readout::PerStep { steps } else { 1 };
        let targets = Targets::Values(Array3::zeros((predictions, rows, 1)));
        Batch::new(Sequence::dense(Array3::zeros((steps, rows, 1))).lengths(lengths), targets)
    }

    /// Norms that halve with each step back in time, and in the reverse direction with each step on, up to step `until`.
    fn halving(model: &Model, steps: usize, until: usize) -> HiddenGradientNorms {
        let directions = model.recurrent.directions();
        let norms = Array2::from_shape_fn((model.recurrent.num_layer_directions(), steps), |(layer_direction, t)| {
            match layer_direction % directions {
                _ if t >= until => 1e6,
                0 => 0.5f64.powi(-(t as i32)),
                _ => 0.5f64.powi(t as i32),
            }
        });
        HiddenGradientNorms { norms }
    }

    #[test]
    fn the_decay_factor_uses_only_steps_before_the_shortest_row_ends() {
        for at in [Readout::Final, Readout::PerStep] {
            let (model, batch) = (model(at, false, 2), last_alone(batch(at, vec![7, 5, 6])));
            for factor in GradientDecay::of(&halving(&model, 7, 5), &model, &batch).unwrap() {
                let factor = factor.unwrap();
                assert_eq!(factor.steps, 4);
                close(factor.factor, 0.5);
                close(factor.steps_until(0.25).unwrap(), 2.0);
                assert_eq!(factor.steps_until(10.0), None);
            }
        }
    }

    #[test]
    fn the_reverse_direction_is_measured_in_its_own_order_and_only_in_the_last_layer() {
        let (model, batch) = (model(Readout::Final, true, 2), batch(Readout::Final, vec![7, 5]));
        let factors = GradientDecay::of(&halving(&model, 7, 5), &model, &batch).unwrap();
        assert_eq!(factors[..2], [None, None]);
        for factor in &factors[2..] {
            assert_eq!(factor.unwrap().steps, 4);
            close(factor.unwrap().factor, 0.5);
        }
    }

    #[test]
    fn there_is_no_decay_factor_if_every_step_has_a_loss() {
        for at in [Readout::PerStep, Readout::MeanPool] {
            let (model, batch) = (model(at, false, 1), batch(at, vec![4, 4]));
            assert_eq!(GradientDecay::of(&halving(&model, 4, 4), &model, &batch).unwrap(), [None], "{at:?}");
        }
    }

    #[test]
    fn steps_with_a_norm_of_0_are_excluded_from_the_factor() {
        assert_eq!(GradientDecay::along([1.0, 0.0, 0.0]), None);
        assert_eq!(GradientDecay::along([0.0]), None);
        let factor = GradientDecay::along([8.0, 4.0, 2.0, 0.0, 7.0]).unwrap();
        assert_eq!(factor.steps, 2);
        close(factor.factor, 0.5);
        let growing = GradientDecay::along([1.0, 10.0, 100.0]).unwrap();
        close(growing.steps_until(10.0).unwrap(), 1.0);
        assert_eq!(GradientDecay::along([1.0, 1.0]).unwrap().steps_until(0.01), None);
    }

    #[test]
    fn norms_of_another_model_or_batch_are_refused() {
        let (model, batch) = (model(Readout::Final, false, 1), batch(Readout::Final, vec![4]));
        let error =
            GradientDecay::of(&HiddenGradientNorms { norms: Array2::zeros((1, 5)) }, &model, &batch).unwrap_err();
        assert!(error.to_string().contains("[1, 4], got [1, 5]"), "{error}");
    }

    #[test]
    fn only_the_last_weighted_prediction_of_each_row_is_kept() {
        let mut batch = batch(Readout::PerStep, vec![4, 2]);
        batch.weights = Some(arr2(&[[1.0, 3.0], [2.0, 1.0], [0.5, 9.0], [0.0, 9.0]]));
        let weights = last_alone(batch).weights.unwrap();
        assert_eq!(weights, arr2(&[[0.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 0.0]]));
    }

    #[test]
    fn each_gate_has_the_radius_of_its_own_block() {
        let model = Model::headless(Recurrent::new(Cell::Lstm, 1, 2).bias(false));
        let layout = Layout::new(&model);
        let mut block = vec![0.0f32; layout.len()];
        let tensor =
            layout.tensors().iter().find(|tensor| tensor.role == Role::WeightHh { layer_direction: 0 }).unwrap();
        for gate in 0..4 {
            let at = tensor.offset + 4 * gate;
            block[at..at + 4].copy_from_slice(&[0.0, gate as f32, gate as f32, 0.0]);
        }
        let radii = recurrent_radii(&model, &layout.to_state_dict(&block)).unwrap();
        let names: Vec<&str> = radii[0].iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["i", "f", "g", "o"]);
        radii[0].iter().enumerate().for_each(|(gate, (_, radius))| close(*radius, gate as f64));
    }

    #[test]
    fn the_mean_derivative_covers_each_rows_own_steps() {
        let h =
            Array3::from_shape_fn((3, 2, 1), |(t, row, _)| if t == 2 && row == 1 { f32::NAN } else { 0.5 * t as f32 });
        let sequence = Sequence::<f32>::dense(Array3::zeros((3, 2, 1))).lengths(vec![3, 2]);
        let mean = |activation| mean_derivative(activation, h.view(), &sequence);
        close(mean(Activation::Tanh), (1.0 + 0.75 + 0.0 + 1.0 + 0.75) / 5.0);
        close(mean(Activation::Relu), 3.0 / 5.0);
        close(mean(Activation::Sigmoid), 0.5 / 5.0);
        close(mean(Activation::Identity), 1.0);
    }
}
