//! The `bptt` program: one file a subcommand, and the only place that prints.

mod args;
mod bench;
mod bench_work;
mod device;
mod devices;
mod folder;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the tasks that draw these are still to come"))]
mod pictures;
mod progress;
#[cfg_attr(not(test), expect(dead_code, reason = "the runs that write a report are still to come"))]
mod report;
mod series_task;
mod settings;
mod synthetic_task;
mod task;
mod train;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use bptt::Error;
use clap::{Parser, Subcommand};

/// Trains recurrent networks (RNN, LSTM, GRU) by backpropagation through time on any GPU, and on the CPU.
#[derive(Parser)]
#[command(name = "bptt", version, max_term_width = 110, disable_help_flag = true)]
struct Program {
    /// Print help
    // The short form of clap's two: one line a flag.
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
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
        Command::Bench(args) => bench::bench(&args).map_err(Failure::from),
        Command::Devices => devices::devices().map_err(Failure::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "error: {}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints a line. A reader that went away, as in `bptt train | head`, is no reason to end a run.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// An error with its exit code.
struct Failure {
    code: u8,
    error: Error,
}

impl Failure {
    /// An error in what was asked for; a file that cannot be read is none.
    fn usage(error: Error) -> Self {
        let code = if matches!(error, Error::Io { .. } | Error::Data { .. }) { 1 } else { 2 };
        Self { code, error }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: 1, error }
    }
}
