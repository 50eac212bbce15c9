//! Trains recurrent neural networks (RNN, LSTM, GRU) by backpropagation through time (BPTT), on any GPU supported by
//! wgpu and on the CPU.
//!
//! The kernels are WGSL compute shaders. The host unrolls the forward pass and then the backward pass over time;
//! gradient sums stay on the device. The CPU backend, written in Rust, is both the reference for the GPU tests and the
//! backend for machines without a GPU. Embed the crate at either of two levels: [`Trainer`] trains a whole model;
//! [`Layers::forward`] and [`Layers::backward`] run the recurrent layers alone, for programs with their own head. Parts
//! of a trainer can be your own: a cell is two functions of one hidden unit (see [`cells`]), a loss is a closure over
//! logits or a kernel ([`CustomLoss`]), and so is an optimizer over weights and gradients ([`CustomOptimizer`]).
//!
//! ```
//! use bptt::ndarray::{Array2, Array3};
//! use bptt::{Batch, Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Targets, Trainer, Wait};
//!
//! let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(3, Loss::CrossEntropy, Readout::Final));
//! let backend = Cpu::new(); // or Gpu::new(GpuOptions::default()).wait()?, or Gpu::from_device(device, queue)?
//! let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(1e-2).clip_norm(1.0), 1)?;
//! let x = Array3::from_shape_fn((5, 4, 2), |(t, b, i)| (t * b + i) as f32 * 0.1); // [T, B, I]
//! let classes = Array2::from_shape_fn((1, 4), |(_, b)| b as u32 % 3); // [P, B], one per row
//! let batch = Batch::new(Sequence::dense(x).lengths(vec![5, 2, 4, 5]), Targets::Classes(classes));
//! for _ in 0..20 {
//!     trainer.step(&batch).wait()?; // enqueues
//! }
//! println!("loss {:?}", trainer.loss().wait()?); // waits
//! # Ok::<(), bptt::Error>(())
//! ```
//!
//! # Notation
//!
//! T time steps · B batch rows · I input size · H hidden size · S size of h (H, or less if h is projected) · G gates
//! per cell (1 RNN, 3 GRU, 4 LSTM) · O outputs · L layers · D directions · P predictions per row (T for a head at every
//! step, otherwise 1). A leading `d` is the gradient of the loss with respect to what follows. Arrays are row major;
//! sequences are time major, \[T, B, ·\].
//!
//! Weights have PyTorch's names, shapes and gate order: `weight_ih_l0` \[G·H, I\], `weight_hh_l0` \[G·H, S\],
//! `bias_ih_l0` and `bias_hh_l0` \[G·H\], and for a projected h `weight_hr_l0` \[S, H\], with the suffix `_reverse` for
//! the reverse direction. The gate order is i, f, g, o for the LSTM and r, z, n for the GRU. The textbook's W_xh, W_hh
//! and W_hy are `weight_ih`, `weight_hh` and `head.weight`; its single b_h is `bias_ih + bias_hh`, and its b_y is
//! `head.bias`.
//!
//! # Equations
//!
//! ```text
//! head   a_t = W_hy h_t + b_y at every step, at each row's last step, or from the mean of the row's h_t; ŷ = g(a)
//! loss   L = Σ w·loss / Σ w, or Σ w·loss; all losses are computed from the logits a
//!        g identity: squared error, absolute error, Huber loss, quantile loss; g sigmoid: binary cross-entropy;
//!        these are averaged over O; g softmax: cross-entropy; g the parameters of a distribution (softplus): its negative
//!        log-likelihood, averaged over the targets
//! RNN    z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh;  h_t = f(z_t)
//!        dh_t = da_t W_hy + dz_{t+1} W_hh;  dz_t = dh_t ∘ f'(h_t)
//!        dW_hh = Σ_t dz_tᵀ h_{t-1};  dW_ih = Σ_t dz_tᵀ x_t;  db = Σ_t dz_t;  dx_t = dz_t W_ih;  dh_0 = dz_1 W_hh
//! LSTM   i, f, o = σ(·), g = tanh(·);  c_t = f ∘ c_{t-1} + i ∘ g;  h_t = o ∘ tanh c_t
//!        projected: m_t = o ∘ tanh c_t;  h_t = W_hr m_t;  dm_t = dh_t W_hr;  dW_hr = Σ_t dh_tᵀ m_t
//! GRU    r, z = σ(·);  n = tanh(W_in x + b_in + r ∘ (W_hn h_{t-1} + b_hn));  h_t = (1 − z) ∘ n + z ∘ h_{t-1}
//! drop   in training, recurrent dropout replaces W_hh h_{t-1} by W_hh (k ∘ h_{t-1}), and dropout between layers passes
//!        k_t ∘ h_t to the layer above; each k is 0 with probability p, otherwise 1 / (1 − p)
//! ```
//!
//! The update divides the gradient sums once, clips, and follows PyTorch's formulas: see [`OptimizerKind`].
//!
//! # Sums and means
//!
//! An [`Engine`] leaves everything summed, so that batches can be added up. A [`Trainer`] divides by [`Head::divisor`]:
//! Σ w of all predictions in the sums, or 1 for [`Reduction::Sum`]. A loss per prediction is a mean over the O outputs
//! for [`Reduction::Mean`].
//!
//! | Engine: weighted sums | Trainer: divided | Of which batches |
//! |---|---|---|
//! | [`Training::loss_sum`] | [`Trainer::accumulated_loss`], [`StepReport::loss`] | all since the last update |
//! | [`Layers::gradients`], [`gradient`](Layers::gradient) | [`Trainer::gradients`], [`gradient`](Trainer::gradient) | all since the last update |
//! | [`Layers::input_gradient`] | [`Trainer::input_gradient`] | the last batch; of an engine the last pass |
//! | [`Inspection::hidden_gradient_norms`] | [`Trainer::hidden_gradient_norms`] | of a trainer all since the last update; of an engine the last pass |
//! | [`Inference::evaluate`]: [`LossSum`] | [`Trainer::evaluate`]: [`Evaluation`]; [`train::evaluate`] | the one given; all |
//!
//! The sums of the last update can be read until the next pass adds to them. [`Training::update`] divides by
//! [`OptimizerStep::divisor`], and its [`StepReport`] is divided by it as well: loss, and the norm of the gradient
//! before clipping.
//!
//! # Guarantees
//!
//! * **Padding.** Rows have lengths. Output at padding is 0. Values at padding, in the input, the targets or their
//!   weights, are ignored even if they are NaN. Each row has its own final state, and the reverse direction starts at
//!   each row's end.
//! * **Accumulation.** Gradients are accumulated as weighted sums, so micro-batches, or several batches before one
//!   update, equal one large batch. This includes dropout: a mask depends only on the step, the row and the unit
//!   ([`DropoutKey`]).
//! * **Pieces.** Processing a sequence in pieces, each starting from the final states of the one before, gives the same
//!   outputs as the whole.
//! * **Determinism.** The order of every sum follows from shapes alone. The same device gives the same bits in every
//!   run, and the CPU backend gives them for any number of threads.
//! * **One set of rules.** Both backends allow the same order of calls and handle non-finite steps in the same way: see
//!   [`Engine`] and [`Trainer`].
//! * **No panics on input.** Shapes and ranges are checked before anything is dispatched. An [`Error`] names the
//!   tensor, what was expected and what was given. Running out of memory is an error too. The few functions that panic,
//!   as slices do, say so. The library does not print and has no global state.
//!
//! # Waiting
//!
//! Methods that reach the device are async, since a browser must not block. Each says whether it enqueues or waits:
//!
//! | | CPU | GPU, native | GPU, in a browser |
//! |---|---|---|---|
//! | enqueues: [`Trainer::step`], [`Training::accumulate`] and [`update`](Training::update) | computes | records commands and submits them | the same |
//! | waits: every method that returns numbers | computes | blocks the thread until the device is done | yields to the event loop |
//!
//! A native future does all its work when it is first polled, on the thread that polls it, and is never pending. A
//! program without an executor calls `Wait::wait` on it, as above, or `block_on` for a whole async block. On an
//! executor, give a long one, such as that of [`train::run`], a thread of its own. All futures are `Send`, except in a
//! browser, where wgpu's handles are not; so `tokio::spawn(async move { run(&mut trainer, …).await })` compiles too,
//! and occupies one of the executor's threads until the run is over.
//!
//! # Features
//!
//! | Feature | Adds | Crates |
//! |---|---|---|
//! | `csv` | tables, labelled sequences and piano rolls from CSV files | csv |
//! | `gzip` | gzip-compressed files | flate2 |
//! | `npz` | NumPy's .npz archives | zip, flate2 |
//! | `experiment` | `bptt::experiment`: what the program trains, measures and keeps; includes `csv` | csv, toml |
//! | `tpe` | sweeps by a tree-structured Parzen estimator | tpe |
//! | `mpi` | `MpiCommunicator`, for ranks that are processes under `mpirun`; needs an MPI library | mpi |
//! | `cli` (default) | the program `bptt`; includes all others but `tpe` and `mpi` | clap, indicatif, toml and more |
//!
//! With `default-features = false`, the library reads .ts, .tsv, .npy, idx and JSON files, has no command-line
//! dependencies and compiles for the web. A file that needs a missing feature is refused with an error that names the
//! feature.

// docs.rs marks each item with the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// The library never panics on its input and never prints.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

/// The programs in the README and the documents, so that they are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct EmbeddingPage;

#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-pytorch.md")]
struct ComingFromPytorch;

// Unit tests share code with the integration tests, which call the crate `bptt`.
#[cfg(test)]
extern crate self as bptt;

mod allocate;
mod batch;
pub mod cells;
pub mod communicator;
pub mod cpu;
pub mod data;
mod dropout;
mod elementary;
mod engine;
mod error;
#[cfg(feature = "experiment")]
pub mod experiment;
mod files;
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
mod special;
pub mod train;
mod version;

pub use batch::{Batch, Input, InputGradient, Output, OutputGradient, Sequence, States, Targets};
pub use cpu::{Cpu, CpuEngine, CpuPrediction, CpuPredictions, CpuUpdate, GradientScale};
pub use dropout::DropoutKey;
pub use engine::{
    Backend, Compilation, CustomLoss, CustomOptimizer, Engine, EngineHandle, EngineOptions, FlatBlock, Hooks,
    Inference, Inspection, Layers, Logits, LossScale, LossSum, ParameterGroup, Parameters, Session, SkippedUpdates,
    Snapshot, StatefulRows, StepReport, Training,
};
#[cfg(not(target_arch = "wasm32"))]
pub use engine::{Wait, block_on};
pub use error::{Error, Result};
pub use gpu::{Gpu, GpuEngine, GpuOptions, GpuPredictions, GpuUpdate};
pub use gradient_norms::HiddenGradientNorms;
pub use memory::{BatchShape, Memory, MemoryPart};
pub use model::{
    Activation, Cell, Direction, Distribution, Embedding, Head, Initialisation, Layout, Loss, Model, Precision,
    Readout, Recurrent, RecurrentInit, RecurrentKernel, Reduction, Role, SafetensorsFile, SavedModel, StateDict,
    StateDictPrefixes, StoredTensor,
};
pub use optim::{CustomKind, Optimizer, OptimizerKind, OptimizerStep};
pub use profile::{Profile, ProfilePart};
pub use real::Real;
pub use train::{Averaged, Evaluation, Prediction, Trainer, TrainerOptions};
pub use version::VERSION;
pub use {ndarray, wgpu};
