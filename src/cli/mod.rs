//! The `bptt` program: one file a subcommand, and the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a program is for")]

mod args;
mod bench;
mod bench_work;
mod chart;
mod device;
mod devices;
mod folder;
mod pictures;
mod progress;
mod series_task;
mod settings;
mod synthetic_task;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains recurrent networks (RNN, LSTM, GRU) by backpropagation through time on any GPU, and on the CPU.
#[derive(Parser)]
#[command(name = "bptt", version, max_term_width = 100)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; without arguments on the bundled yearly sunspot numbers
    Train(Box<args::TrainArgs>),
    /// Time the training step of a fixed network and print one line of JSON
    Bench(bench::BenchArgs),
    /// List the devices that `--device` can name
    Devices,
}

/// Exit codes: 0, 1 where the command failed, 2 where it was not understood.
pub(crate) fn main() -> ExitCode {
    let result = match Program::parse().command {
        Command::Train(args) => train::train(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Devices => devices::devices(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
