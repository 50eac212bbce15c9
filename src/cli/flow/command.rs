//! `bptt flow`: how much of the gradient reaches each step.

use bptt::Error;
use bptt::experiment::config::{Config, ModelConfig, TrainingConfig};
use bptt::experiment::files::new_file;
use bptt::experiment::gradient_flow::{GradientFlow, measured_batch};
use bptt::experiment::loaded_model::AppliedModel;
use bptt::experiment::model::model_file;
use bptt::format::path_json;
use bptt::plot::{GradientPanel, gradient_flow};
use serde_json::json;

use super::args::{FlowArgs, open};
use super::compare;
use super::report::{DESCRIPTION, report, to_json};
use crate::cli::exit::Failure;

pub(crate) async fn flow(args: &FlowArgs) -> Result<(), Failure> {
    let compare = args.compare || args.data.is_some();
    new_file::check_picture("--out", args.out.as_deref())?;
    let usage = |message: &str| Err(Error::Unsupported(message.into()).into());
    match (&args.runs[..], compare) {
        ([], false) => return usage("expected a run: `bptt flow RUN`, or --compare"),
        ([_, _, ..], false) => return usage("use --compare to draw several runs in one picture"),
        ([], true) => return compare::trained(args).await,
        _ => {}
    }
    if args.show.log_every.is_some() {
        return usage("--log-every is for training: use it with --compare and without runs");
    }
    let given = args.settings.config(None)?;
    let TrainingConfig { batch, clip, .. } = given.training;
    if given.model != ModelConfig::default() || given.training != (TrainingConfig { batch, clip, ..Default::default() })
    {
        return usage(
            "the network and its training are those of the run: only the data, --batch and --clip can be set",
        );
    }
    if compare { compare::loaded(args, &given).await } else { of_run(args, &given).await }
}

async fn of_run(args: &FlowArgs, given: &Config) -> Result<(), Failure> {
    let run = &args.runs[0];
    let AppliedModel { settings, task, mut network, rows, .. } = open(args, given).await?;
    let (batch, words) = measured_batch(task.as_ref(), rows, args.whole_loss)?;
    let clip = given.training.clip.or(settings.optimizer.clip_norm).filter(|clip| *clip > 0.0);
    let name = format!("{}, {}", task.name(), settings.cell.name());
    let flow = GradientFlow::measure(&mut network, name, &batch, clip).await?;
    let facts = [("model", model_file::describe(network.model())), ("data", words.clone())];
    let panel = GradientPanel { name: format!("‖∂L/∂h‖, {words}"), lines: flow.lines() };
    let picture = gradient_flow(&format!("{}: gradient flow", flow.name), DESCRIPTION, &[panel]);
    let json = json!({"of": path_json(run), "networks": [to_json(&flow)]});
    report(args, &facts, &[(String::new(), vec![&flow])], &picture, json)
}
