//! `bptt flow --compare`: several networks in one picture.

use bptt::experiment::config::{CellName, Config, ModelConfig};
use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::gradient_flow::{GradientFlow, measured_batch};
use bptt::experiment::loaded_model::AppliedModel;
use bptt::experiment::settings::Settings;
use bptt::experiment::setup::{new_network, trained_network};
use bptt::experiment::tasks::load;
use bptt::experiment::training::{Experiment, ResumedProgress, TrainingLength};
use bptt::format::{grouped, short};
use bptt::plot::{FlowPanel, FlowPicture};
use bptt::train::KeepWeights;
use bptt::{Activation, Error, RecurrentInit};
use serde_json::json;

use super::args::{FlowArgs, open};
use super::report::{DESCRIPTION, report, to_json};
use crate::cli::commands::apply::open_model;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, print_line};
use crate::cli::train::display::TrainingDisplay;

/// What the networks are called, and in what their settings differ.
///
/// The LSTM begins with a forget bias of 1 unless told otherwise (Gers et al. 2000; Jozefowicz et al. 2015), as it is taught
/// and used: with the biases of all other weights its gates begin half closed. Even so σ(1) = 0.73 a step lets little through
/// at first; that gates can be learned to stay open is what the picture shows.
fn networks(model: &ModelConfig) -> [(&'static str, ModelConfig); 4] {
    let of = |cell, activation, init, forget_bias| ModelConfig {
        cell: Some(cell),
        activation,
        init,
        forget_bias,
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

/// The four networks, as they begin and after training.
pub(crate) async fn trained(args: &FlowArgs) -> Result<(), Failure> {
    let given = args.settings.config(args.data.as_ref())?;
    let ModelConfig { cell, activation, init, init_from, .. } = &given.model;
    if cell.is_some() || activation.is_some() || init.is_some() || init_from.is_some() {
        let reason =
            "--compare sets --cell, model.activation and model.init itself, for each network, and starts from none";
        return Err(Error::Unsupported(reason.into()).into());
    }
    let (mut begun, mut ended, mut reasons, mut done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut facts, mut steps) = (Vec::new(), 0);
    let mut title = String::new();
    for (name, model) in networks(&given.model) {
        let given = Config { model, ..given.clone() };
        let mut experiment = Experiment::load(Settings::new(given)?)?;
        let per_epoch = experiment.batches()?.per_epoch();
        experiment.settings.set_epoch(experiment.settings.run.steps_per_epoch(per_epoch));
        let training = experiment.batches()?;
        let Experiment { settings, task, model, .. } = &experiment;
        let task = task.as_ref();
        let device = OpenDevice::open(&settings.device_options()).await?;
        let rows = settings.micro_batch.unwrap_or(settings.batch).min(settings.batch);
        let (batch, words) = measured_batch(task, rows, args.whole_loss)?;
        if facts.is_empty() {
            let hidden = settings.hidden;
            facts = vec![("device", device.describe()), ("data", format!("{}; {words}", task.describe()[0]))];
            steps = settings.run.steps(training.per_epoch());
            title = format!("How much of the gradient reaches step t: {}, {hidden} hidden units", task.name());
            if !args.json && !args.show.quiet {
                facts.iter().for_each(|(name, text)| print_line(heading(name, text)));
            }
        }
        let mut network = new_network(&device, settings, model, task, None)?;
        let clip = settings.optimizer.clip_norm;
        let mut initial = trained_network(&device, model, &network.state_dict().await?)?;
        begun.push(GradientFlow::measure(&mut initial, name.into(), &batch, clip).await?);
        drop(initial);
        let validation = task.validation(rows)?;
        let validation =
            validation.as_deref().filter(|_| settings.run.keep == KeepWeights::Best || settings.run.patience.is_some());
        let timed_every = settings.run.validate_every.unwrap_or(1);
        let length = TrainingLength { steps, epochs: settings.epochs, timed_every, unit: task.unit() };
        let mut display = TrainingDisplay::new(name, &length, &ResumedProgress::default(), args.show)?;
        let outcome = network.run(None, training.as_ref(), validation, &settings.run, &mut display).await;
        drop(display);
        let stopped = match outcome {
            Ok(outcome) => {
                done.push(outcome.last.step);
                None
            }
            // The weights are those before the step that failed, and a picture of them says why.
            Err(Error::NonFinite { step, what }) => {
                done.push(step.saturating_sub(1));
                Some(Error::NonFinite { step, what }.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        let mut trained = trained_network(&device, model, &network.state_dict().await?)?;
        let after = GradientFlow::measure(&mut trained, name.into(), &batch, clip).await?;
        if !args.json && !args.show.quiet {
            let words = match &stopped {
                Some(reason) => format!("stopped: {reason}"),
                None => {
                    let steps = done.last().copied().unwrap_or_default();
                    format!("{} steps, loss {}", grouped(steps), short(after.loss))
                }
            };
            print_line(heading(name, &words));
        }
        reasons.push(stopped);
        ended.push(after);
    }
    // Patience may end some of them early.
    let (least, most) = (done.iter().min().copied().unwrap_or(steps), done.iter().max().copied().unwrap_or(steps));
    let after = if least == most {
        format!("after {} steps", grouped(most))
    } else {
        format!("after {} to {} steps", grouped(least), grouped(most))
    };
    let losses: Vec<String> = ended.iter().map(|of| format!("{} {}", of.name, two_digits(of.loss))).collect();
    let losses = format!("‖∂L/∂h‖ {after}, loss: {}", losses.join(", "));
    let panels = vec![panel("‖∂L/∂h‖ at initialisation", &begun), panel(&losses, &ended)];
    let picture = FlowPicture { title, description: DESCRIPTION.into(), panels };
    let part = |flows: &[GradientFlow]| flows.iter().map(to_json).collect::<Vec<_>>();
    let mut after_training = part(&ended);
    for ((network, reason), done) in after_training.iter_mut().zip(&reasons).zip(&done) {
        network["steps"] = json!(done);
        // Of one that was trained to its end there is none.
        if let Some(reason) = reason {
            network["stopped"] = json!(reason);
        }
    }
    let json = json!({"steps": steps, "at_initialisation": part(&begun), "after_training": after_training});
    let parts = [("at initialisation".to_owned(), begun.iter().collect()), (after, ended.iter().collect())];
    report(args, &[], &parts, &picture, json)
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
        let mut network = model.network(&settings).await?;
        let cell = model.file.model.recurrent.cell.name();
        measured.push(GradientFlow::measure(&mut network, name(run, cell), &batch, clip).await?);
    }
    let facts = [("data", words)];
    let panels = vec![panel("‖∂L/∂h‖ of the last layer", &measured)];
    let title = format!("{}: gradient flow", task.name());
    let picture = FlowPicture { title, description: DESCRIPTION.into(), panels };
    let json = json!({"networks": measured.iter().map(to_json).collect::<Vec<_>>()});
    report(args, &facts, &[(String::new(), measured.iter().collect())], &picture, json)
}

/// Two digits that matter, where they are not far behind the point.
fn two_digits(value: f64) -> String {
    let digits = 1 - value.abs().log10().floor().clamp(-5.0, 1.0) as i32;
    format!("{value:.*}", digits as usize)
}

/// A line for each network, of its last layer and the forward direction: the one that every network has.
fn panel(name: &str, networks: &[GradientFlow]) -> FlowPanel {
    let lines = networks.iter().enumerate().map(|(hue, network)| network.line_of_network(hue));
    FlowPanel { name: name.into(), lines: lines.collect() }
}
