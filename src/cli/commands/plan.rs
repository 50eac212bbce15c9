//! `bptt plan`.

use std::path::PathBuf;

use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::files::names::CONFIG;
use bptt::experiment::memory::plan_memory;
use bptt::experiment::model::model_file;
use bptt::experiment::setup::training_planner;
use bptt::experiment::training::Experiment;
use bptt::format::bytes;
use clap::{Args, ValueHint};
use serde_json::{Value, json};

use crate::cli::args::{DataCommand, SettingsArgs};
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
}

/// Estimates the memory of `bptt train` without allocating it: reads the data, but makes no network.
pub(crate) async fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let config = args.run.as_ref().map(|run| run.join(CONFIG)).or(args.config.clone());
    let settings = config_file::resolve(config.as_deref(), &args.settings, args.data.as_ref())?;
    let Experiment { mut settings, task, model, .. } = Experiment::load_form(settings)?;
    let device = OpenDevice::open(&settings.device_options()).await?;
    let planner = training_planner(&device, &settings, &model)?;
    let planned = plan_memory(&mut settings, &planner, task.as_ref(), 1, true)?;
    if args.json {
        let mut summary = planned.json();
        summary.insert("device".into(), Value::String(device.describe()));
        summary.insert("kernel".into(), json!(device.kernel(&model, planned.rows)));
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
    print_line("");
    let total = planned.total();
    for (name, count) in planned.parts().into_iter().chain([("total", total)]) {
        print_line(format!("{name:<16}{:>10}{:>7.1} %", bytes(count), 100.0 * count as f64 / total as f64));
    }
    Ok(())
}
