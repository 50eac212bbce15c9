//! The library from outside: gradients, updates and runs on either backend, against f64, finite differences and other programs.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

#[path = "../common/mod.rs"]
mod common;

mod accumulate;
mod adapters;
mod average;
mod average_of_runs;
mod c_header;
mod call_order;
#[cfg(feature = "experiment")]
mod cells;
mod cpu;
mod custom_loss;
mod custom_optimizer;
mod direction;
mod documents;
mod double_precision;
mod dropout;
mod embed;
mod evaluate;
mod examples;
mod extreme_sizes;
mod faults;
mod finite_differences;
mod floors;
mod gpu;
mod gradient_norms;
mod half_precision;
mod head;
mod initialise;
mod invalid_calls;
mod keras;
mod kernels;
#[cfg(feature = "csv")]
mod learning;
mod lecture;
mod lengths;
mod likelihood;
mod magnitudes;
mod not_finite;
mod onnx;
mod parameter_groups;
mod pieces;
mod prefetch;
mod profile;
mod projection;
mod pytorch;
mod random_calls;
mod ranks;
mod recompute;
mod refused_input;
mod resume;
mod rtneural;
mod run;
mod saved_model;
mod send;
mod session;
mod shaders;
mod step_labels;
mod sums;
mod updates;
mod vanishing;
