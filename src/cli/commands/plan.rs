//! `bptt plan`.

use std::path::PathBuf;

use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::files::names::CONFIG;
use bptt::experiment::memory::plan_memory;
use bptt::experiment::model::model_file;
use bptt::experiment::scaling::{Link, MOST_RANKS, Scaling, StepTime, TimedStep, time_step};
use bptt::experiment::settings::Settings;
use bptt::experiment::setup::training_planner;
use bptt::experiment::tasks::task::Task;
use bptt::experiment::training::Experiment;
use bptt::format::bytes;
use bptt::{Error, Model};
use clap::{Args, ValueHint};
use serde_json::{Value, json};

use crate::cli::args::{DataCommand, SettingsArgs, bandwidth, duration, seconds, whole};
use crate::cli::config_file;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, headings, print_json, print_line};

#[derive(Args)]
pub(crate) struct PlanArgs {
    /// Folder of a run whose settings to take; flags override them
    #[arg(conflicts_with = "config", value_hint = ValueHint::DirPath)]
    run: Option<PathBuf>,
    #[command(subcommand)]
    data: Option<DataCommand>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Read settings from a file; flags override them
    #[arg(long, value_name = "FILE", help_heading = "Run", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long, help_heading = "Run")]
    json: bool,
    #[command(flatten)]
    ranks: RanksArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Ranks")]
struct RanksArgs {
    /// Plan one of N ranks (mpirun), and what more of them bring
    ///
    /// Prints the bytes that a step sends over the network, the step's time, and strong and weak scaling up to 1,024 ranks, on
    /// paper. Without --step-time a few steps are timed on this device.
    #[arg(long, value_name = "N", value_parser = whole::<1, MOST_RANKS>)]
    ranks: Option<usize>,
    /// Bandwidth of a rank's link, in each direction [default: 1Gbit]
    #[arg(long, value_name = "RATE", value_parser = bandwidth, requires = "ranks", hide_short_help = true)]
    bandwidth: Option<f64>,
    /// Time of a message besides its bytes [default: 50us]
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "ranks", hide_short_help = true)]
    latency: Option<f64>,
    /// Time of a step on one rank that computes the whole batch [default: timed]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "ranks", hide_short_help = true)]
    step_time: Option<f64>,
    /// Part of --step-time that fewer rows do not save [default: 0]
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "step_time", hide_short_help = true)]
    fixed_time: Option<f64>,
}

/// The plan for a number of ranks.
struct RanksPlan {
    ranks: usize,
    scaling: Scaling,
    timed: Option<TimedStep>,
    /// The network between ranks, and where its numbers are from.
    link: String,
}

impl RanksArgs {
    fn link(&self) -> (Link, String) {
        let default = Link::GIGABIT_ETHERNET;
        let link = Link {
            bandwidth: self.bandwidth.unwrap_or(default.bandwidth),
            latency: self.latency.unwrap_or(default.latency),
        };
        let words = match (self.bandwidth, self.latency) {
            (None, None) => ", the defaults: Gigabit Ethernet (--bandwidth, --latency)",
            (None, Some(_)) => "; the bandwidth is the default (--bandwidth)",
            (Some(_), None) => "; the latency is the default (--latency)",
            (Some(_), Some(_)) => "",
        };
        (link, link.describe() + words)
    }

    /// The time of a step on one rank, as given or as timed.
    async fn step(
        &self,
        (device, task, model): (&OpenDevice, &dyn Task, &Model),
        mut settings: Settings,
    ) -> Result<(StepTime, Option<TimedStep>), Failure> {
        let Some(whole) = self.step_time else {
            let planner = training_planner(device, &settings, model)?;
            let fits = plan_memory(&mut settings, &planner, task, 1, false).and_then(|plan| plan.check_free());
            let timed = match fits {
                Ok(()) => time_step(device, &settings, model, task).await,
                Err(error) => Err(error),
            };
            let timed = timed.map_err(|error| {
                Error::Failed(format!("no step can be timed on this device; give its time with --step-time: {error}"))
            })?;
            return Ok((timed.time(), Some(timed)));
        };
        let fixed = self.fixed_time.unwrap_or_default();
        if fixed > whole {
            let reason = format!("--fixed-time: expected at most the {whole} s of --step-time, got {fixed} s");
            return Err(Error::Unsupported(reason).into());
        }
        Ok((StepTime { whole, fixed }, None))
    }
}

impl RanksPlan {
    fn print(&self) {
        let Self { ranks, scaling, timed, link } = self;
        let mut network = scaling.describe_exchange(*ranks);
        network.push(link.clone());
        headings("network", &network).iter().for_each(print_line);
        let source = match timed {
            Some(timed) => timed.describe(),
            None => "as --step-time says; that of a run is its batch / sequences_per_second of timings.jsonl".into(),
        };
        let mut step = scaling.describe_step(*ranks);
        step.push(source);
        headings("step", &step).iter().for_each(print_line);
        headings("ranks", &scaling.describe_limits()).iter().for_each(print_line);
        let assumed: Vec<String> = scaling.assumptions().iter().map(|words| (*words).to_owned()).collect();
        headings("assumes", &assumed).iter().for_each(print_line);
    }
}

/// Estimates the memory of `bptt train` without allocating it: reads the data, but makes no network. With `--ranks` also what
/// ranks bring, for which it may time steps of one.
pub(crate) async fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let config = args.run.as_ref().map(|run| run.join(CONFIG)).or(args.config.clone());
    let settings = config_file::resolve(config.as_deref(), &args.settings, args.data.as_ref())?;
    let Experiment { mut settings, task, model, .. } = Experiment::load_form(settings)?;
    let device = OpenDevice::open(&settings.device_options()).await?;
    let planner = training_planner(&device, &settings, &model)?;
    let (before, ranks) = (settings.clone(), args.ranks.ranks);
    let planned = plan_memory(&mut settings, &planner, task.as_ref(), ranks.unwrap_or(1), true)?;
    let ranks = match ranks {
        Some(ranks) => {
            let (step, timed) = args.ranks.step((&device, task.as_ref(), &model), before).await?;
            let (link, words) = args.ranks.link();
            let scaling = Scaling::new((&device, &settings, &model), planned.batch, link, step)?;
            Some(RanksPlan { ranks, scaling, timed, link: words })
        }
        None => None,
    };
    if args.json {
        let mut summary = planned.json();
        summary.insert("device".into(), Value::String(device.describe()));
        summary.insert("kernel".into(), json!(device.kernel(&model, planned.rows)));
        if let Some(RanksPlan { ranks, scaling, timed, .. }) = &ranks {
            summary.insert("scaling".into(), scaling.json(*ranks, timed.as_ref()));
        }
        print_json(Value::Object(summary));
        return Ok(());
    }
    print_line(heading("device", &device.describe()));
    let kernel = device.describe_kernel(&model, planned.rows);
    kernel.iter().for_each(|words| print_line(heading("kernel", words)));
    print_line(heading("model", &model_file::describe(&model)));
    print_line(heading("batch", &planned.shape()));
    headings("memory", &planned.describe_cuts()).iter().for_each(print_line);
    planned.describe_driver().iter().for_each(|line| print_line(heading("", line)));
    if let Some(words) = planned.shortage() {
        print_line(heading("", &format!("bptt train would be refused: it {words}")));
    }
    ranks.iter().for_each(RanksPlan::print);
    print_line("");
    let total = planned.total();
    for (name, count) in planned.parts().into_iter().chain([("total", total)]) {
        print_line(format!("{name:<16}{:>10}{:>7.1} %", bytes(count), 100.0 * count as f64 / total as f64));
    }
    if let Some(RanksPlan { ranks, scaling, .. }) = &ranks {
        print_line("");
        scaling.table(*ranks).iter().for_each(print_line);
    }
    Ok(())
}
