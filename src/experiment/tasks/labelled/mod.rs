//! Labelled sequences of numbers, and lines of text in classes.

pub mod class_weights;
pub mod classes;
pub mod labelled_task;
mod part;
pub mod predictions;
mod results;
pub mod sequences;
mod weighting;
