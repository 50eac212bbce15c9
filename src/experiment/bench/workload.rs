//! The workload that a benchmark times: a network, its batch and its weights, all from an integer hash, so that any
//! program in any language can start from the same bits.

use ndarray::{Array2, Array3, ArrayD};
use serde::Serialize;

use crate::experiment::config::CellName;
use crate::{Batch, Error, Head, Input, Layout, Loss, Model, Readout, Recurrent, Result, Sequence, StateDict, Targets};

/// Named sizes; C is a character model, whose input is one of I tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum WorkloadSize {
    /// B 16, T 32, I 32, H 64, O 32
    S,
    /// B 64, T 128, I 128, H 256, O 128
    M,
    /// B 128, T 128, I 256, H 1024, O 256
    L,
    /// B 32, T 64, 96 tokens, H 512, O 96
    C,
}

/// Maximum number of elements of a tensor: 4 GiB of f32.
const NUMBERS: usize = 1 << 30;

/// The largest value of each size.
pub const MOST: usize = 1 << 20;

/// The sizes of batch and network.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// B.
    pub rows: usize,
    /// T.
    pub steps: usize,
    /// I: numbers per step, or number of distinct tokens.
    pub inputs: usize,
    /// H.
    pub hidden: usize,
    /// O.
    pub outputs: usize,
    /// Whether the input is one of I tokens.
    pub tokens: bool,
}

/// A network, its weights and its batch.
pub struct Workload {
    /// The form of the network.
    pub model: Model,
    /// The weights by name.
    pub weights: StateDict,
    /// The batch of every step.
    pub batch: Batch,
    /// Nominal operations of a training step: forward 2·T·B·(I·G·H + H·G·H + H·O), backward twice that.
    pub operations: f64,
}

impl WorkloadSize {
    /// All named sizes.
    pub const ALL: [Self; 4] = [Self::S, Self::M, Self::L, Self::C];

    /// Its letter.
    pub fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::M => "M",
            Self::L => "L",
            Self::C => "C",
        }
    }

    /// The size of a name, in either case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| name.eq_ignore_ascii_case(size.name()))
    }

    /// B, T, I, H and O.
    pub fn sizes(self) -> Sizes {
        let [rows, steps, inputs, hidden, outputs] = match self {
            Self::S => [16, 32, 32, 64, 32],
            Self::M => [64, 128, 128, 256, 128],
            Self::L => [128, 128, 256, 1024, 256],
            Self::C => [32, 64, 96, 512, 96],
        };
        Sizes { rows, steps, inputs, hidden, outputs, tokens: self == Self::C }
    }
}

impl Sizes {
    /// Refuses sizes beyond any machine before anything is allocated.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the flags.
    pub fn check(&self) -> Result<()> {
        let Self { rows, steps, inputs, hidden, outputs, tokens } = *self;
        let input = rows * steps * if tokens { 1 } else { inputs };
        let weights = 4 * hidden * (inputs + hidden) + hidden * outputs;
        for (what, numbers, remedy) in
            [("x", input, "--batch, --steps or --input"), ("the weights", weights, "--hidden")]
        {
            if numbers > NUMBERS {
                let reason =
                    format!("{what} would be {numbers} numbers, and at most {NUMBERS} are taken: fewer {remedy}");
                return Err(Error::Unsupported(reason));
            }
        }
        Ok(())
    }
}

impl Workload {
    /// One layer, a head at every step, softmax cross-entropy; the weights uniform in ±1/√H.
    pub fn new(cell: CellName, sizes: Sizes) -> Self {
        let Sizes { rows, steps, inputs, hidden, outputs, tokens } = sizes;
        let cell = cell.with_activation(None);
        let head = Head::new(outputs, Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(Recurrent::new(cell, inputs, hidden), head);
        let bound = 1.0 / (hidden as f64).sqrt();
        // The layout's order is the hash's: W_ih, W_hh, b_ih, b_hh, W_hy, b_y take the seeds 1 to 6.
        let layout = Layout::new(&model);
        let weights = layout.tensors().iter().zip(1..).map(|(tensor, seed)| {
            let mut values = uniform(seed, bound);
            (
                tensor.name.clone(),
                ArrayD::from_shape_simple_fn(tensor.shape.as_slice(), || values.next().unwrap_or(0.0)),
            )
        });
        let weights = weights.collect();
        let mut input = hash(7);
        let input = if tokens {
            let mut token = || input.next().unwrap_or(0) % inputs as u32;
            Input::Tokens(Array2::from_shape_simple_fn((steps, rows), &mut token))
        } else {
            let mut values = uniform(7, 1.0);
            Input::Dense(Array3::from_shape_simple_fn((steps, rows, inputs), || values.next().unwrap_or(0.0)))
        };
        let mut classes = hash(8);
        let classes = Array2::from_shape_simple_fn((steps, rows), || classes.next().unwrap_or(0) % outputs as u32);
        let sequence = Sequence { input, lengths: None, resets: None, initial: None };
        let gates = inputs * cell.input_gates() + hidden * cell.recurrent_gates();
        let products = gates * hidden + hidden * outputs;
        let operations = 6.0 * (steps * rows) as f64 * products as f64;
        Self { model, weights, batch: Batch::new(sequence, Targets::Classes(classes)), operations }
    }
}

/// Wellons' `lowbias32` over 0, 1, 2, … from an offset that the seed sets.
fn hash(seed: u32) -> impl Iterator<Item = u32> {
    let offset = seed.wrapping_mul(0x9E37_79B9);
    (0..=u32::MAX).map(move |i| {
        let mut x = i.wrapping_add(offset);
        x ^= x >> 16;
        x = x.wrapping_mul(0x7FEB_352D);
        x ^= x >> 15;
        x = x.wrapping_mul(0x846C_A68B);
        x ^ (x >> 16)
    })
}

/// Uniform in ±`bound`, with 24 bits.
fn uniform(seed: u32, bound: f64) -> impl Iterator<Item = f32> {
    let bound = bound as f32;
    hash(seed).map(move |bits| (((bits >> 8) as f32) * (1.0 / 16_777_216.0) * 2.0 - 1.0) * bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_start_with_known_bits() {
        let work = Workload::new(CellName::Rnn, WorkloadSize::S.sizes());
        let first = work.weights.get("rnn.weight_ih_l0").map(|array| array.iter().take(2).copied().collect::<Vec<_>>());
        let expected = uniform(1, 0.125).take(2).collect::<Vec<_>>();
        assert_eq!(first, Some(expected));
        assert_eq!(hash(1).next(), Some(33_350_994));
    }
}
