//! `bptt flow`: how much of the gradient reaches each step.

use std::path::Path;

use bptt::experiment::model::model_file;
use bptt::format::path_json;
use bptt::plot::{FlowLine, FlowPanel, FlowPicture};
use bptt::{Error, Result};
use serde_json::json;

use super::compare;
use super::measure::{DESCRIPTION, FlowArgs, Measured, batch, labelled, measure, open, tell, to_json};
use crate::cli::args::{ModelArgs, TrainingArgs};
use crate::cli::commands::apply::Applied;
use crate::cli::exit::Failure;
use crate::cli::new_file;

pub(crate) fn flow(args: &FlowArgs) -> Result<(), Failure> {
    let compare = args.compare || args.data.is_some();
    new_file::check_picture("--out", args.out.as_deref())?;
    let usage = |message: &str| Err(Failure::usage(Error::Unsupported(message.into())));
    match (&args.runs[..], compare) {
        ([], false) => return usage("expected a run: `bptt flow RUN`, or --compare"),
        ([_, _, ..], false) => return usage("several runs go into one picture with --compare"),
        ([], true) => return compare::trained(args),
        _ => {}
    }
    if args.show.log_every.is_some() {
        return usage("--log-every is for training: with --compare and no run");
    }
    let TrainingArgs { batch, clip, .. } = args.settings.training;
    if args.settings.model != ModelArgs::default()
        || args.settings.training != (TrainingArgs { batch, clip, ..Default::default() })
    {
        return usage(
            "a run says what its network is and how it learned: beside data only --batch and --clip go with one",
        );
    }
    if compare { compare::loaded(args) } else { of_run(args, &args.runs[0]) }
}

fn of_run(args: &FlowArgs, run: &Path) -> Result<(), Failure> {
    let Applied { settings, task, mut network, rows, .. } = open(args, run)?;
    let (batch, words) = batch(task.as_ref(), rows, args.whole_loss)?;
    let clip = args.settings.training.clip.or(settings.optimizer.clip_norm).filter(|clip| *clip > 0.0);
    let name = format!("{}, {}", task.name(), settings.cell.name());
    let measured = measure(network.as_mut(), name, &batch, clip)?;
    let facts = [("model", model_file::describe(network.model())), ("data", words.clone())];
    let lines = measured.stacks.iter().enumerate();
    let directions = network.model().recurrent.directions();
    let lines = lines.map(|(stack, of)| FlowLine {
        name: labelled(&of.name, of.factor),
        hue: stack / directions,
        reverse: stack % directions > 0,
        norms: of.norms.clone(),
        clipped: measured.clipped,
    });
    let panels = vec![FlowPanel { name: format!("‖∂L/∂h‖, {words}"), lines: lines.collect() }];
    let picture =
        FlowPicture { title: format!("{}: gradient flow", measured.name), description: DESCRIPTION.into(), panels };
    let at = |measured: &Measured| json!({"of": path_json(run), "networks": [to_json(measured)]});
    tell(args, &facts, &[(String::new(), vec![&measured])], &picture, at(&measured))
}
