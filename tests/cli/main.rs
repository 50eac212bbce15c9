//! The program from outside: what it prints, what it writes, what it refuses, and its exit codes.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

#[path = "../common/mod.rs"]
mod common;

mod audio;
mod average;
mod backtest;
mod baselines;
mod bench;
mod c_export;
mod calendar;
mod changed_data;
mod codes;
mod conformal;
mod distributions;
mod documents;
mod eval;
mod every_step;
mod export;
#[cfg(unix)]
mod faults;
mod flow;
mod folder;
mod groups;
mod import;
mod inputs;
mod kernel;
mod log;
mod memory;
mod messages;
mod names;
mod objective;
mod panel;
mod precision;
mod program;
mod projection;
mod reading;
mod resume;
mod rolls;
mod saved_model;
mod scaling;
mod sensor;
mod sequences;
mod series;
mod set;
mod stream;
mod summary;
mod sweep;
mod tensorboard;
mod text;
