//! The cells: what one step computes for one hidden unit.
//!
//! A cell is an implementation of [`CellFunctions`]: the sums that a unit has, and two functions, forward and backward,
//! that see the sums and states of one unit, in Rust and in WGSL. [`Cell::custom`] makes a cell from it. Everything
//! else, from the products that make the sums to the gradients of the weights, is the same for all cells.
//!
//! `examples/peephole_lstm.rs` defines a cell with parameters of its own, `examples/min_gru.rs` one without W_hh.

mod activation;
mod cell;
mod check;
mod definition;
mod functions;
mod gru;
mod lanes;
mod lstm;
mod rnn;
mod rows;

pub use activation::Activation;
pub use cell::{Cell, CustomCell};
pub(crate) use definition::{CellDefinition, SumSpan};
pub use functions::{
    BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Initial, Sum, UnitParameter,
};
pub use lanes::Lanes;
pub(crate) use rows::{BackwardRows, ForwardRows, StepRows};
