//! The `bptt` program: one file a subcommand, and the only place that prints.

mod apply;
mod args;
mod bench;
mod bench_basics;
mod bench_compare;
mod bench_profile;
mod bench_sweep;
mod bench_work;
mod command_line;
mod config_file;
mod device;
mod devices;
mod drivers;
mod ending;
mod eval;
mod examples;
mod exit;
mod export;
mod flow;
mod flow_chart;
mod flow_compare;
mod forecast;
mod free_memory;
mod gradcheck;
mod gradients;
mod help;
mod init;
mod inspect;
mod interrupt;
mod memory;
mod nearest;
mod new_file;
mod plan;
mod predict;
mod printed;
mod profile_table;
mod progress;
mod provenance;
mod sample;
mod shown;
mod train;
mod train_words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Failure;
use printed::{note, note_lines};

/// Trains recurrent networks (RNN, LSTM, GRU) by backpropagation through time on any GPU, and on the CPU.
#[derive(Parser)]
#[command(name = "bptt", version = bptt::VERSION, subcommand_required = true, arg_required_else_help = true)]
#[command(after_long_help = format!("{}\n\n{}", examples::PROGRAM, exit::TABLE))]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; without arguments on the bundled yearly sunspot numbers
    #[command(after_long_help = examples::TRAIN)]
    Train(Box<args::TrainArgs>),
    /// Tell what memory training takes, by what it is for, and the largest batch that fits; takes the flags of train
    #[command(after_long_help = examples::PLAN)]
    Plan(Box<plan::PlanArgs>),
    /// Measure a trained network, on its own test part or on other data
    #[command(after_long_help = examples::EVAL)]
    Eval(Box<eval::EvalArgs>),
    /// Write what a trained network says of each example, as comma-separated text
    #[command(after_long_help = examples::PREDICT)]
    Predict(Box<predict::PredictArgs>),
    /// Go on with a series beyond its last row
    #[command(after_long_help = examples::FORECAST)]
    Forecast(forecast::ForecastArgs),
    /// Go on with a text, character by character
    #[command(after_long_help = examples::SAMPLE)]
    Sample(sample::SampleArgs),
    /// Show how much of the gradient reaches each step: where it vanishes, where it explodes
    #[command(after_long_help = examples::FLOW)]
    Flow(Box<flow::FlowArgs>),
    /// Check every gradient of a network on a device: against f64, and that against differences of the loss
    #[command(after_long_help = examples::GRADCHECK)]
    Gradcheck(Box<gradcheck::GradcheckArgs>),
    /// Show a run or a safetensors file: layers, shapes, counts, norms
    Inspect(inspect::InspectArgs),
    /// Write a trained network for other programs: as ONNX, or as the weights of a PyTorch module
    #[command(after_long_help = examples::EXPORT)]
    Export(export::ExportArgs),
    /// List the devices that `--device` can name
    Devices(devices::DevicesArgs),
    /// Time the training step of a fixed network and print one line of JSON
    #[command(after_long_help = examples::BENCH)]
    Bench(Box<bench::BenchArgs>),
    /// Write a configuration file with every setting, its meaning and its default
    Init(init::InitArgs),
    /// Print a script that completes commands and flags in a shell
    Completions(init::CompletionsArgs),
    /// Print the manual page, in the form that `man` reads
    Man(init::ManArgs),
}

impl Command {
    fn opens_a_device(&self) -> bool {
        match self {
            Self::Inspect(_) | Self::Export(_) | Self::Init(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Train(_) | Self::Plan(_) | Self::Eval(_) | Self::Predict(_) | Self::Forecast(_) => true,
            Self::Sample(_) | Self::Flow(_) | Self::Gradcheck(_) | Self::Devices(_) | Self::Bench(_) => true,
        }
    }
}

/// Runs what the command line asks for. Its exit codes are in `exit.rs`.
pub(crate) fn main() -> ExitCode {
    interrupt::end_without_memory();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program: Program = match command_line::parse(&arguments) {
        Ok(program) => program,
        Err(code) => return code,
    };
    if program.command.opens_a_device() {
        drivers::quiet();
    }
    let result = match program.command {
        Command::Train(args) => train::train(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Predict(args) => predict::predict(&args),
        Command::Forecast(args) => forecast::forecast(&args),
        Command::Sample(args) => sample::sample(&args),
        Command::Flow(args) => flow::flow(&args),
        Command::Gradcheck(args) => gradcheck::gradcheck(&args),
        Command::Inspect(args) => inspect::inspect(&args).map_err(Failure::from),
        Command::Export(args) => export::export(&args),
        Command::Devices(args) => devices::devices(&args).map_err(Failure::from),
        Command::Bench(args) => bench::bench(&args),
        Command::Init(args) => init::init(&args).map_err(Failure::from),
        Command::Completions(args) => {
            init::completions(&args, &mut command_line::prepared(Program::command()));
            Ok(())
        }
        Command::Man(args) => init::man(&args, &command_line::prepared(Program::command())).map_err(Failure::from),
    };
    match (result, printed::unsaid()) {
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()), Some(error)) => {
            note(format_args!("error: standard output: {error}"));
            ExitCode::FAILURE
        }
        (Err(failure), _) => {
            if let Some(words) = failure.told() {
                note_lines(&format!("error: {words}"));
            }
            ExitCode::from(failure.code())
        }
    }
}
