//! Recurrent networks trained by backpropagation through time (BPTT), on any GPU that wgpu reaches and on the CPU.
//!
//! Kernels are WGSL compute shaders; the host unrolls the forward pass, then runs the reverse time loop with gradient
//! sums that stay on the device. The CPU path in Rust is both the reference that the GPU path is tested against and what
//! runs where there is no GPU. Either can be embedded: whole, with [`Trainer`], or as layers without head, loss and
//! optimizer, with [`Layers::forward`] and [`Layers::backward`].
//!
//! ```
//! use bptt::ndarray::{Array2, Array3};
//! use bptt::{Batch, Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Targets, Trainer};
//!
//! # pollster::block_on(async {
//! let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(3, Loss::CrossEntropy, Readout::Final));
//! let backend = Cpu::new(); // or Gpu::new(GpuOptions::default()).await?, or Gpu::from_device(device, queue)?
//! let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(1e-2).clip_norm(1.0), 1)?;
//! let x = Array3::from_shape_fn((5, 4, 2), |(t, b, i)| (t * b + i) as f32 * 0.1); // [T, B, I]
//! let classes = Array2::from_shape_fn((1, 4), |(_, b)| b as u32 % 3); // one a row
//! let batch = Batch::new(Sequence::dense(x).lengths(vec![5, 2, 4, 5]), Targets::Classes(classes));
//! for _ in 0..20 {
//!     trainer.step(&batch).await?; // enqueues
//! }
//! println!("loss {:?}", trainer.loss().await?); // waits
//! # Ok::<(), bptt::Error>(()) }).unwrap();
//! ```
//!
//! # Letters
//!
//! T time steps · B batch rows · I input size · H hidden size · G gates a cell (1 RNN, 3 GRU, 4 LSTM) · O outputs ·
//! L layers · D directions · P predictions a row (T for a head at every step, else 1). A leading `d` is the gradient of
//! the loss with respect to what follows. Arrays are row major; sequences are time major, \[T, B, ·\].
//!
//! Weights have PyTorch's names, shapes and gate order: `weight_ih_l0` \[G·H, I\], `weight_hh_l0` \[G·H, H\],
//! `bias_ih_l0`, `bias_hh_l0`, the suffix `_reverse` for the second direction; LSTM gates i, f, g, o, GRU gates r, z, n.
//! What textbooks call W_xh, W_hh, W_hy are `weight_ih`, `weight_hh`, `head.weight`; their single b_h is
//! `bias_ih + bias_hh`, their b_y `head.bias`.
//!
//! # Equations
//!
//! ```text
//! head   a_t = W_hy h_t + b_y at every step, at each row's last, or of the mean of its h_t; ŷ = g(a)
//! loss   L = Σ w·loss / Σ w, or the sum; g identity: squared error, absolute error, Huber's loss, quantile loss;
//!        g sigmoid: binary cross-entropy; all averaged over O; g softmax: cross-entropy; all from the logits a
//! RNN    z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh;  h_t = f(z_t)
//!        dh_t = da_t W_hy + dz_{t+1} W_hh;  dz_t = dh_t ∘ f'(h_t)
//!        dW_hh = Σ_t dz_tᵀ h_{t-1};  dW_ih = Σ_t dz_tᵀ x_t;  db = Σ_t dz_t;  dx_t = dz_t W_ih;  dh_0 = dz_1 W_hh
//! LSTM   i, f, o = σ(·), g = tanh(·);  c_t = f ∘ c_{t-1} + i ∘ g;  h_t = o ∘ tanh c_t
//! GRU    r, z = σ(·);  n = tanh(W_in x + b_in + r ∘ (W_hn h_{t-1} + b_hn));  h_t = (1 − z) ∘ n + z ∘ h_{t-1}
//! drop   in training W_hh (m ∘ h_{t-1}) in place of W_hh h_{t-1}, and m_t ∘ h_t in place of h_t as the x_t of the layer
//!        above; each m is 0 with the rate p as its probability, otherwise 1 / (1 − p)
//! ```
//!
//! The update divides the gradient sums once, clips, and follows PyTorch's formulas: see [`OptimizerKind`].
//!
//! # What holds everywhere
//!
//! * Rows have lengths. At padding the output is 0, and whatever lies there, in the input, the targets or their weights, NaN
//!   included, changes nothing and is not refused. Each row's final state is its own; the reverse direction starts at each
//!   row's end.
//! * Gradients accumulate as weighted sums, so that micro-batches, and batches before one update, equal the large batch;
//!   what dropout drops is a function of the step, the row in it and the place in the network ([`DropoutKey`]), so with
//!   it too.
//! * A sequence in pieces, each begun with the final states of the one before, gives the outputs of the whole.
//! * The order of every sum follows from shapes alone: the same device gives the same bits every run, and the CPU path
//!   for any number of threads.
//! * Which calls may follow which, and what they answer after a step that is not finite, is the same on either path:
//!   see [`Engine`] and [`Trainer`].
//! * No call panics on its input but those few that say so, as slices do: shapes and ranges are checked before anything is
//!   dispatched, and an [`Error`] names the tensor, what was expected and what came. What there is no memory for is an error
//!   too. The library does not print and has no global state.
//!
//! # Features
//!
//! `cli` (default) adds what the `bptt` program needs. With `default-features = false` the library has no command-line
//! dependency, and compiles for the web.

// A library never panics on its input and never prints: both are the caller's to decide.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

/// The programs of the documents, so that they compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct EmbeddingPage;

#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-pytorch.md")]
struct ComingFromPytorch;

// The tests beside the code share a file with those outside, which know the crate by its name.
#[cfg(test)]
extern crate self as bptt;

mod allocate;
mod batch;
pub mod cpu;
pub mod data;
mod dropout;
mod elementary;
mod engine;
mod error;
#[cfg(feature = "cli")]
pub mod experiment;
pub mod format;
pub mod gpu;
mod gradient_norms;
pub mod interchange;
mod memory;
pub mod model;
mod optim;
pub mod plot;
mod profile;
mod real;
pub mod report;
mod sizes;
pub mod train;
mod version;

pub use batch::{Batch, Input, InputGradient, Output, OutputGradient, Sequence, States, Targets};
pub use cpu::{Cpu, CpuEngine};
pub use dropout::DropoutKey;
pub use engine::{
    Backend, Engine, EngineOptions, Evaluation, FlatBlock, Inference, Inspection, Layers, Logits, Parameters,
    SkippedUpdates, StatefulRows, StepReport, Training,
};
pub use error::{Error, Result};
pub use gpu::Gpu;
pub use gradient_norms::HiddenGradientNorms;
pub use memory::{BatchShape, Memory, MemoryPart};
pub use model::{
    Activation, Cell, Embedding, Head, Initialisation, Layout, Loss, Model, Readout, Recurrent, RecurrentInit,
    RecurrentKernel, Reduction, SafetensorsFile, StateDict, StateDictPrefixes, StoredTensor,
};
pub use optim::{Optimizer, OptimizerKind, OptimizerStep};
pub use profile::{Profile, ProfilePart};
pub use real::Real;
pub use train::{Prediction, Trainer, TrainerOptions};
pub use version::VERSION;
pub use {ndarray, wgpu};
