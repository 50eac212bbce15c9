//! The `bptt` program: one file per subcommand, and the only place that prints.

mod args;
mod backtest;
mod bench;
mod command_line;
mod commands;
mod config_file;
mod device;
mod examples;
mod exit;
mod flow;
mod nearest;
mod provenance;
mod ranks;
mod sweep;
mod terminal;
mod train;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Failure;

use self::terminal::printed::{eprint_line, eprint_lines};

/// Train recurrent networks (RNN, LSTM, GRU) on any GPU and on the CPU.
#[derive(Parser)]
#[command(name = "bptt", version = bptt::VERSION, subcommand_required = true, arg_required_else_help = true)]
#[command(after_long_help = format!("{}\n\n{}", examples::PROGRAM, exit::TABLE))]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network [default: on the bundled sunspot numbers]
    #[command(after_long_help = examples::TRAIN)]
    Train(Box<args::TrainArgs>),
    /// Evaluate forecasts of a series from several origins
    ///
    /// Takes the flags of train series. Each fold is a run, trained on the rows up to its origin.
    #[command(after_long_help = examples::BACKTEST)]
    Backtest(Box<backtest::args::BacktestArgs>),
    /// Search for settings: many trials, each a run, ranked by validation
    ///
    /// The file has the settings that all trials share, and in [sweep.space] those that vary.
    #[command(after_long_help = examples::SWEEP)]
    Sweep(Box<sweep::args::SweepArgs>),
    /// Estimate training memory by category
    ///
    /// Takes the flags of train. With --batch auto it shows the largest batch that fits.
    #[command(after_long_help = examples::PLAN)]
    Plan(Box<commands::plan::PlanArgs>),
    /// Evaluate a trained network on its test split or on other data
    #[command(after_long_help = examples::EVAL)]
    Eval(Box<commands::eval::EvalArgs>),
    /// Write the predictions of a trained network as CSV
    #[command(after_long_help = examples::PREDICT)]
    Predict(Box<commands::predict::PredictArgs>),
    /// Make sound with a trained network of audio
    #[command(after_long_help = examples::APPLY)]
    Apply(commands::apply::ApplyArgs),
    /// Forecast a series beyond its last row
    #[command(after_long_help = examples::FORECAST)]
    Forecast(commands::forecast::ForecastArgs),
    /// Generate text, character by character
    #[command(after_long_help = examples::SAMPLE)]
    Sample(commands::sample::SampleArgs),
    /// Predict from lines or characters as they come
    ///
    /// Reads standard input and writes a line for each prediction at once. By default on the CPU, since a line at a time is too
    /// little work for a GPU.
    #[command(after_long_help = examples::STREAM)]
    #[command(mut_arg("device", commands::stream::by_default_the_cpu))]
    Stream(commands::stream::StreamArgs),
    /// Show how much gradient reaches each time step
    #[command(after_long_help = examples::FLOW)]
    Flow(Box<flow::args::FlowArgs>),
    /// Check the gradients of a network on a device
    ///
    /// Each is compared with that in f64, and this with central differences of the loss.
    #[command(after_long_help = examples::GRADCHECK)]
    Gradcheck(Box<commands::gradcheck::GradcheckArgs>),
    /// Show the layers, shapes and norms of a model
    Inspect(commands::inspect::InspectArgs),
    /// Export a trained network to ONNX, C, RTNeural or PyTorch
    #[command(after_long_help = examples::EXPORT)]
    Export(commands::export::ExportArgs),
    /// List the devices for --device
    Devices(device::devices::DevicesArgs),
    /// Time the training step of a fixed network, as JSON
    #[command(after_long_help = examples::BENCH)]
    Bench(Box<bench::command::BenchArgs>),
    /// Write a configuration file with every setting
    Init(commands::init::InitArgs),
    /// Print a completion script for a shell
    Completions(commands::init::CompletionsArgs),
    /// Print the manual page for man
    Man(commands::init::ManArgs),
}

impl Command {
    fn opens_a_device(&self) -> bool {
        match self {
            Self::Inspect(_) | Self::Init(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Train(_) | Self::Backtest(_) | Self::Sweep(_) | Self::Plan(_) | Self::Eval(_) => true,
            Self::Predict(_) | Self::Forecast(_) => true,
            Self::Apply(_)
            | Self::Sample(_)
            | Self::Stream(_)
            | Self::Flow(_)
            | Self::Export(_)
            | Self::Gradcheck(_)
            | Self::Devices(_)
            | Self::Bench(_) => true,
        }
    }
}

/// Runs a command. Its exit codes are in `exit.rs`.
pub(crate) fn main() -> ExitCode {
    terminal::interrupt::end_without_memory();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program: Program = match command_line::parse(&arguments) {
        Ok(program) => program,
        Err(code) => return code,
    };
    if program.command.opens_a_device() {
        device::drivers::quiet();
    }
    let result = bptt::block_on(run(program.command));
    if ranks::rank_in_run().is_some() && ranks::follows() {
        ranks::end(result.as_ref().err());
        return result.err().map_or(ExitCode::SUCCESS, |failure| ExitCode::from(failure.code()));
    }
    let code = reported(&result);
    ranks::end(result.as_ref().err());
    code
}

/// Reports how a command ended.
fn reported(result: &Result<(), Failure>) -> ExitCode {
    match (result, terminal::printed::stdout_error()) {
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()), Some(error)) => {
            eprint_line(format_args!("error: standard output: {error}"));
            ExitCode::FAILURE
        }
        (Err(failure), _) => {
            if let Some(words) = failure.message() {
                eprint_lines(&format!("error: {words}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Runs a command; `main` is the only place that blocks on the device.
async fn run(command: Command) -> Result<(), Failure> {
    if !matches!(command, Command::Train(_) | Command::Sweep(_)) {
        ranks::refuse()?;
    }
    match command {
        Command::Train(args) => train::command::train(&args).await,
        Command::Backtest(args) => backtest::command::backtest(&args).await,
        Command::Sweep(args) => sweep::command::sweep(&args).await,
        Command::Plan(args) => commands::plan::plan(&args).await,
        Command::Eval(args) => commands::eval::eval(&args).await,
        Command::Predict(args) => commands::predict::predict(&args).await,
        Command::Apply(args) => commands::apply::apply(&args).await,
        Command::Forecast(args) => commands::forecast::forecast(&args).await,
        Command::Sample(args) => commands::sample::sample(&args).await,
        Command::Stream(args) => commands::stream::stream(&args).await,
        Command::Flow(args) => flow::command::flow(&args).await,
        Command::Gradcheck(args) => commands::gradcheck::gradcheck(&args).await,
        Command::Inspect(args) => Ok(commands::inspect::inspect(&args)?),
        Command::Export(args) => commands::export::export(&args).await,
        Command::Devices(args) => Ok(device::devices::devices(&args).await?),
        Command::Bench(args) => bench::command::bench(&args).await,
        Command::Init(args) => Ok(commands::init::init(&args)?),
        Command::Completions(args) => {
            commands::init::completions(&args, &mut command_line::prepared(Program::command()));
            Ok(())
        }
        Command::Man(args) => Ok(commands::init::man(&args, &command_line::prepared(Program::command()))?),
    }
}
