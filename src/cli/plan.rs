//! `bptt plan`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::args::Given;
use super::device;
use super::memory;
use super::model_file::{self, CONFIG};
use super::settings::Settings;
use super::task;
use super::train::{form, heading, planner};
use bptt::format::bytes;

#[derive(Args)]
pub(crate) struct PlanArgs {
    /// A run's folder, whose settings are taken; flags change them
    #[arg(conflicts_with = "config")]
    run: Option<PathBuf>,
    /// Settings from a file; flags change them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    given: Given,
}

/// Tells what `bptt train` would take of memory, and takes nothing of it: the data are read, and no network is made.
pub(crate) fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let config = args.run.as_ref().map(|run| run.join(CONFIG)).or(args.config.clone());
    let mut settings = Settings::resolve(config.as_deref(), &args.given).map_err(Failure::usage)?;
    let start = settings.open_form()?;
    let task = task::load(&mut settings, start.as_ref()).map_err(Failure::usage)?;
    let model = form(&mut settings, task.as_ref(), start.as_ref())?;
    let opened = device::open(&settings.device, settings.threads, settings.kernel)?;
    let planner = planner(&opened, &settings, &model)?;
    let planned = memory::settle(&mut settings, &planner, task.as_ref(), true)?;
    if args.json {
        let mut summary = planned.json();
        summary.insert("device".into(), Value::String(opened.describe()));
        summary.insert("kernel".into(), json!(opened.kernel(&model, planned.rows)));
        super::say_json(Value::Object(summary));
        return Ok(());
    }
    super::say(heading("device", &opened.describe()));
    let kernel = opened.describe_kernel(&model, planned.rows);
    kernel.iter().for_each(|words| super::say(heading("kernel", words)));
    super::say(heading("model", &model_file::describe(&model)));
    super::say(heading("batch", &planned.shape()));
    for (index, line) in planned.describe_cuts().iter().enumerate() {
        super::say(heading(if index == 0 { "memory" } else { "" }, line));
    }
    if let Some(words) = planned.shortage() {
        super::say(heading("", &format!("bptt train would be refused: it {words}")));
    }
    super::say("");
    let total = planned.total();
    for (name, count) in planned.parts().into_iter().chain([("in all", total)]) {
        super::say(format!("{name:<16}{:>10}{:>7.1} %", bytes(count), 100.0 * count as f64 / total as f64));
    }
    Ok(())
}
