//! `bptt flow --compare`: several networks in one picture.

use bptt::experiment::config::{CellName, Config, ModelConfig};
use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::gradient_flow::{GradientFlow, TrainedFlow, measured_batch};
use bptt::experiment::loaded_model::AppliedModel;
use bptt::experiment::settings::Settings;
use bptt::experiment::tasks::load;
use bptt::experiment::training::{Experiment, ResumedProgress};
use bptt::format::{grouped, short};
use bptt::plot::{GradientPanel, gradient_flow};
use bptt::{Activation, Error, RecurrentInit};
use serde_json::json;

use super::args::{FlowArgs, open};
use super::report::{DESCRIPTION, report, to_json};
use crate::cli::commands::model_args::open_model;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, print_line};
use crate::cli::train::display::TrainingDisplay;

/// The names of the networks, and their different settings.
///
/// The LSTM starts with a forget bias of 1 unless another is set (Gers et al. 2000; Jozefowicz et al. 2015), as is
/// usual: with the bias of all other weights its gates would start half closed. Even so, σ(1) = 0.73 per step lets
/// little through at first; the picture shows that gates can learn to stay open.
fn networks(model: &ModelConfig) -> [(&'static str, ModelConfig); 4] {
    let of = |cell, activation, init, forget_bias| ModelConfig {
        cell: Some(cell),
        activation,
        init,
        forget_bias,
        // Only the LSTM has one.
        proj_size: model.proj_size.filter(|_| cell == CellName::Lstm),
        ..model.clone()
    };
    let (tanh, relu) = (Some(Activation::Tanh), Some(Activation::Relu));
    [
        ("tanh RNN", of(CellName::Rnn, tanh, None, None)),
        ("IRNN", of(CellName::Rnn, relu, Some(RecurrentInit::Identity), None)),
        ("LSTM", of(CellName::Lstm, None, None, Some(model.forget_bias.unwrap_or(1.0)))),
        ("GRU", of(CellName::Gru, None, None, None)),
    ]
}

/// The four networks at initialisation and after training.
pub(crate) async fn trained(args: &FlowArgs) -> Result<(), Failure> {
    let given = args.settings.config(args.data.as_ref())?;
    let ModelConfig { cell, activation, init, init_from, .. } = &given.model;
    if cell.is_some() || activation.is_some() || init.is_some() || init_from.is_some() {
        let reason =
            "--compare sets --cell, model.activation and model.init for each network, and does not take --init-from";
        return Err(Error::Unsupported(reason.into()).into());
    }
    let is_silent = args.json || args.show.quiet;
    let mut experiment = Experiment::load(Settings::new(given.clone())?)?;
    let device = OpenDevice::open(&experiment.settings.device_options()).await?;
    let (task, rows) = (experiment.task.as_ref(), experiment.settings.rows_at_once());
    let (batch, words) = measured_batch(task, rows, args.whole_loss)?;
    if !is_silent {
        print_line(heading("device", &device.describe()));
        print_line(heading("data", &format!("{}; {words}", task.describe()[0])));
    }
    let hidden = experiment.settings.hidden;
    let title = format!("How much of the gradient reaches step t: {}, {hidden} hidden units", task.name());
    let per_epoch = experiment.batches()?.per_epoch();
    let steps = experiment.length(per_epoch).steps;
    let mut flows = Vec::new();
    for (name, network) in networks(&given.model) {
        experiment = experiment.with_network(network)?;
        experiment.settings.set_epoch(experiment.settings.run.steps_per_epoch(per_epoch));
        let length = experiment.length(per_epoch);
        let mut display = TrainingDisplay::new(name, &length, &ResumedProgress::default(), args.show)?;
        let flow = TrainedFlow::train(&experiment, &device, (name, &batch), &mut display).await?;
        drop(display);
        if !is_silent {
            let words = match &flow.stopped {
                Some(reason) => format!("stopped: {reason}"),
                None => format!("{} steps, loss {}", grouped(flow.steps), short(flow.after.loss)),
            };
            print_line(heading(name, &words));
        }
        flows.push(flow);
    }
    report_trained(args, title, steps, &flows)
}

/// Reports networks whose training should have had `steps` steps.
fn report_trained(args: &FlowArgs, title: String, steps: u64, flows: &[TrainedFlow]) -> Result<(), Failure> {
    // Some may have stopped early.
    let done = || flows.iter().map(|flow| flow.steps);
    let (least, most) = (done().min().unwrap_or(steps), done().max().unwrap_or(steps));
    let after = if least == most {
        format!("after {} steps", grouped(most))
    } else {
        format!("after {} to {} steps", grouped(least), grouped(most))
    };
    let losses: Vec<String> =
        flows.iter().map(|flow| format!("{} {}", flow.after.name, two_digits(flow.after.loss))).collect();
    let losses = format!("‖∂L/∂h‖ {after}, loss: {}", losses.join(", "));
    let (initial, trained): (Vec<_>, Vec<_>) = flows.iter().map(|flow| (&flow.before, &flow.after)).unzip();
    let panels = [panel("‖∂L/∂h‖ at initialisation", &initial), panel(&losses, &trained)];
    let picture = gradient_flow(&title, DESCRIPTION, &panels);
    let after_training = flows.iter().map(|flow| {
        let mut network = to_json(&flow.after);
        network["steps"] = json!(flow.steps);
        if let Some(reason) = &flow.stopped {
            network["stopped"] = json!(reason);
        }
        network
    });
    let json = json!({
        "steps": steps,
        "at_initialisation": initial.iter().map(|flow| to_json(flow)).collect::<Vec<_>>(),
        "after_training": after_training.collect::<Vec<_>>(),
    });
    report(args, &[], &[("at initialisation".to_owned(), initial), (after, trained)], &picture, json)
}

/// The networks of several runs on the data of the first.
pub(crate) async fn loaded(args: &FlowArgs, given: &Config) -> Result<(), Failure> {
    let AppliedModel { settings, task, mut network, rows, .. } = open(args, given).await?;
    let (batch, words) = measured_batch(task.as_ref(), rows, args.whole_loss)?;
    let clip = given.training.clip.or(settings.optimizer.clip_norm).filter(|clip| *clip > 0.0);
    let name = |run: &std::path::Path, cell: &str| {
        let file = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy().into_owned();
        format!("{file} ({cell})")
    };
    let cell = network.model().recurrent.cell.name();
    let mut measured = vec![GradientFlow::measure(&mut network, name(&args.runs[0], cell), &batch, clip).await?];
    for run in &args.runs[1..] {
        let model = open_model(run)?;
        load::check_fits(&model.file, task.as_ref())?;
        let mut network = model.network(&settings.device_options()).await?;
        let cell = model.file.model.recurrent.cell.name();
        measured.push(GradientFlow::measure(&mut network, name(run, cell), &batch, clip).await?);
    }
    let facts = [("data", words)];
    let panel = panel("‖∂L/∂h‖ of the last layer", &measured.iter().collect::<Vec<_>>());
    let title = format!("{}: gradient flow", task.name());
    let picture = gradient_flow(&title, DESCRIPTION, &[panel]);
    let json = json!({"networks": measured.iter().map(to_json).collect::<Vec<_>>()});
    report(args, &facts, &[(String::new(), measured.iter().collect())], &picture, json)
}

/// Two significant digits, if they are not far behind the point.
fn two_digits(value: f64) -> String {
    let digits = 1 - value.abs().log10().floor().clamp(-5.0, 1.0) as i32;
    format!("{value:.*}", digits as usize)
}

/// A line for each network, of its last layer and the forward direction: the one that every network has.
fn panel(name: &str, networks: &[&GradientFlow]) -> GradientPanel {
    let lines = networks.iter().enumerate().map(|(hue, network)| network.line_of_network(hue));
    GradientPanel { name: name.into(), lines: lines.collect() }
}
