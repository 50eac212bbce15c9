//! Parameter initialisation. Done on the host, so that every device starts from the same bits.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::config::Model;
use super::layout::{Layout, Role};
use crate::allocate;
use crate::cells::Initial;
use crate::error::{Error, Result};

/// The initialisation of W_hh. All other parameters are initialised as in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RecurrentInit {
    /// Uniform in ±1/√H, as in PyTorch.
    #[default]
    Uniform,
    /// A random orthogonal matrix per gate (Saxe et al. 2014), \[H, S\]: orthonormal columns if h is projected.
    Orthogonal,
    /// The identity per gate; with ReLU this is the IRNN (Le, Jaitly & Hinton 2015).
    Identity,
}

/// Parameter initialisation: weights and biases uniform in ±1/√H (the head and an embedding tied to it: ±1/√(D·S));
/// W_hh as set here; an untied embedding standard normal, as in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Initialisation {
    /// The initialisation of W_hh.
    pub recurrent: RecurrentInit,
    /// The LSTM's forget-gate bias (Jozefowicz et al. 2015 use 1): sets b_ih to this value and b_hh to 0 in that gate.
    pub forget_bias: Option<f64>,
}

impl Initialisation {
    /// Sets the initialisation of W_hh.
    pub fn recurrent(mut self, recurrent: RecurrentInit) -> Self {
        self.recurrent = recurrent;
        self
    }

    /// Sets the bias of the cell's forget gate.
    pub fn forget_bias(mut self, forget_bias: impl Into<Option<f64>>) -> Self {
        self.forget_bias = forget_bias.into();
        self
    }

    /// Draws the parameters of `model`, as one flat block, from ChaCha8 with `seed`. The result is the same on every
    /// machine. [`Parameters::initialise`](crate::Parameters::initialise) draws them for an engine.
    ///
    /// # Errors
    /// Those of [`Model::validate`]; [`Error::Value`] for a forget bias that is not finite in f32; [`Error::NoMemory`].
    pub fn draw(&self, model: &Model, seed: u64) -> Result<Vec<f32>> {
        model.validate()?;
        if let Some(bias) = self.forget_bias.filter(|bias| !(*bias as f32).is_finite()) {
            return Err(Error::value("forget_bias", "a number that is finite in f32", bias));
        }
        let layout = Layout::new(model);
        let block = allocate::zeros(layout.len(), "the first weights")?;
        Ok(self.fill(block, &layout, model, seed))
    }

    fn fill(&self, mut block: Vec<f32>, layout: &Layout, model: &Model, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (h, s) = (model.recurrent.hidden_size, model.recurrent.state_size());
        let cell = model.recurrent.cell.definition();
        for tensor in layout.tensors() {
            let values = &mut block[tensor.range()];
            let fan = match tensor.role {
                Role::Embedding if !model.is_tied() => {
                    values.iter_mut().for_each(|value| *value = normal(&mut rng) as f32);
                    continue;
                }
                Role::Embedding | Role::HeadWeight | Role::HeadBias => model.recurrent.output_size(),
                _ => h,
            };
            if let Role::CellParameter { index, .. } = tensor.role
                && let Initial::Constant(value) = cell.parameters()[index].initial
            {
                values.fill(value);
                continue;
            }
            let bound = 1.0 / (fan as f64).sqrt();
            values.iter_mut().for_each(|value| *value = ((2.0 * uniform(&mut rng) - 1.0) * bound) as f32);
            match (tensor.role, self.recurrent) {
                (Role::WeightHh { .. }, RecurrentInit::Orthogonal) => {
                    values.chunks_exact_mut(h * s).for_each(|gate| orthogonal(gate, h, s, &mut rng));
                }
                (Role::WeightHh { .. }, RecurrentInit::Identity) => {
                    values.chunks_exact_mut(h * s).for_each(|gate| {
                        gate.iter_mut().enumerate().for_each(|(i, value)| *value = f32::from(i / s == i % s));
                    });
                }
                _ => {}
            }
            if let (Some(gate), Some(bias)) = (cell.forget_gate(), self.forget_bias) {
                let gate = cell.sums()[gate];
                let (block, bias) = match tensor.role {
                    Role::BiasIh { .. } => (gate.input, bias as f32),
                    Role::BiasHh { .. } => (gate.recurrent, 0.0),
                    _ => (None, 0.0),
                };
                block.into_iter().for_each(|block| values[block * h..][..h].fill(bias));
            }
        }
        block
    }
}

/// Uniform in \[0, 1) with 53 random bits.
pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A matrix \[h, s\], s at most h, with orthonormal columns, and rows if it is square: Gram–Schmidt on vectors of normal numbers,
/// applied twice, which suffices for working precision (Giraud et al. 2005).
fn orthogonal(matrix: &mut [f32], h: usize, s: usize, rng: &mut ChaCha8Rng) {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(s);
    while rows.len() < s {
        let mut row: Vec<f64> = (0..h).map(|_| normal(rng)).collect();
        for _ in 0..2 {
            for other in &rows {
                let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        if norm > 1e-6 {
            row.iter_mut().for_each(|a| *a /= norm);
            rows.push(row);
        }
    }
    for (index, to) in matrix.iter_mut().enumerate() {
        let (row, column) = (index / s, index % s);
        *to = if s < h { rows[column][row] } else { rows[row][column] } as f32;
    }
}

/// A standard normal number (Box–Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - uniform(rng), uniform(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
