//! Tasks: what a network is trained for, by kind of data.

pub mod fingerprints;
pub mod generate;
pub mod labelled;
pub mod load;
pub mod objective;
pub mod relation;
pub mod rolls;
pub mod series;
pub mod signals;
pub mod synthetic;
pub mod task;
pub mod text;
