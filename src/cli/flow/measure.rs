//! How much of the gradient reaches each step of a network: flags, measurement, words.

use std::path::{Path, PathBuf};

use bptt::experiment::config::BatchSize;
use bptt::experiment::files::flow_log::stack_name;
use bptt::experiment::network::Network;
use bptt::experiment::tasks::task::Task;
use bptt::format::{path_text, short};
use bptt::ndarray::{Axis, s};
use bptt::plot::FlowPicture;
use bptt::train::{GradientDecay, last_alone, mean_derivative, recurrent_radii};
use bptt::{
    Backend, Batch, Cell, Cpu, Embedding, EngineOptions, Error, Layers, Layout, Model, Parameters, Readout, Result,
    Sequence, StateDict,
};
use clap::Args;
use pollster::block_on;
use serde_json::{Value, json};

use super::chart::{chart, columns, mark};
use crate::cli::args::{DataCommand, ReadArgs, SettingsArgs, ShowArgs};
use crate::cli::commands::apply::{Applied, ApplyArgs};
use crate::cli::exit::Failure;
use crate::cli::new_file;
use crate::cli::terminal::printed::{heading, say, say_json};

#[derive(Args)]
pub(crate) struct FlowArgs {
    /// A run's folder, or a model.safetensors alone; with --compare several, or none: they are then trained
    pub(crate) runs: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) data: Option<DataCommand>,
    /// Other data of the run's kind than its own
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,
    /// Draw several networks in one picture: those of the runs, or without runs a tanh RNN, an IRNN, an LSTM and a GRU of
    /// the same size, as they begin and after training by the other flags
    #[arg(long)]
    pub(crate) compare: bool,
    /// Where each step has a prediction: the gradient of all of them, not of each row's last alone
    #[arg(long)]
    pub(crate) whole_loss: bool,
    /// Write the picture, which must not exist yet
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) out: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// What one network does to a gradient.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) loss: f64,
    /// Of the whole gradient, before clipping.
    pub(crate) gradient_norm: f64,
    /// What clipping multiplies it by.
    pub(crate) clipped: f64,
    /// A (layer, direction) each.
    pub(crate) stacks: Vec<Stack>,
    /// D.
    directions: usize,
}

/// A (layer, direction).
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) norms: Vec<f64>,
    pub(crate) factor: Option<GradientDecay>,
    /// The spectral radius of each gate's block of W_hh.
    radii: Vec<(&'static str, f64)>,
    /// Of f, the vanilla RNN's.
    mean_derivative: Option<f64>,
}

/// A run on its device, with what the flags say of data, batch and device.
pub(crate) fn open(args: &FlowArgs, run: &Path) -> Result<Applied, Failure> {
    let SettingsArgs { run: on, training, .. } = args.settings.clone();
    let data = ReadArgs { file: args.data_file.clone(), ..ReadArgs::default() };
    Applied::open(&ApplyArgs { run: run.into(), batch: training.batch.and_then(BatchSize::rows), on, data })
}

/// What to look for in the picture.
pub(crate) const DESCRIPTION: &str = "\
    The gradient goes back through time as the arrow shows. A straight line that falls loses the same factor at every \
    step: what lies beyond it can hardly be learned. Where a line stays level, the network can learn from its first steps.";

/// The batch that is measured, and which it is.
pub(crate) fn batch(task: &dyn Task, rows: usize, whole_loss: bool) -> Result<(Batch, String)> {
    let order = bptt::experiment::tasks::task::Order { rows, buckets: 1, seed: 1 };
    let (part, batch) = match (task.validation(rows)?, task.training(order)?) {
        (Some(validation), _) => ("validation", validation.batch(0)?),
        (None, Some(training)) => ("training", training.batch(0)?),
        (None, None) => return Err(Error::Unsupported("neither validation nor training part has an example".into())),
    };
    let (steps, rows) = batch.sequence.shape();
    let every = task.head().readout == Readout::PerStep;
    let (batch, of) = match (every, whole_loss) {
        (true, false) => (last_alone(batch), ", the loss of each row's last step"),
        (true, true) => (batch, ", the loss of every step"),
        (false, _) => (batch, ""),
    };
    Ok((batch, format!("{rows} sequences of the {part} part, {steps} steps{of}")))
}

/// One pass of a batch through a network whose optimizer changes nothing.
pub(crate) fn measure(network: &mut dyn Network, name: String, batch: &Batch, clip: Option<f64>) -> Result<Measured> {
    let (flow, report) = network.hidden_gradient_norms(batch)?;
    let (model, weights) = (network.model().clone(), network.state_dict()?);
    let factors = GradientDecay::of(&flow, &model, batch)?;
    let radii = recurrent_radii(&model, &weights)?;
    let derivatives = mean_derivatives(&model, &weights, &batch.sequence)?;
    let norms = flow.norms.axis_iter(Axis(0)).map(|norms| norms.to_vec());
    let stacks = norms.zip(factors).zip(radii).enumerate().map(|(stack, ((norms, factor), radii))| Stack {
        name: stack_name(&model.recurrent, stack),
        norms,
        factor,
        radii,
        mean_derivative: derivatives.get(stack).copied(),
    });
    // As PyTorch clips.
    let clipped = clip.map_or(1.0, |clip| (clip / (report.norm + 1e-6)).min(1.0));
    let directions = model.recurrent.directions();
    let (loss, gradient_norm) = (report.loss, report.norm);
    Ok(Measured { name, loss, gradient_norm, clipped, stacks: stacks.collect(), directions })
}

/// The mean of f′ of each (layer, direction) of a vanilla RNN, and nothing for other cells: each layer's output is that of
/// the network that ends with it.
fn mean_derivatives(model: &Model, weights: &StateDict, sequence: &Sequence) -> Result<Vec<f64>> {
    let Cell::Rnn(activation) = model.recurrent.cell else { return Ok(Vec::new()) };
    let layout = Layout::new(model);
    let block = layout.to_block(weights)?;
    let hidden = model.recurrent.hidden_size;
    let mut means = Vec::new();
    for layers in 1..=model.recurrent.layers {
        // Only a head can be tied to; dropout has no part in this, and one layer none to have it.
        let recurrent = model.recurrent.clone().layers(layers).dropout(0.0).recurrent_dropout(0.0);
        let embedding = model.embedding.as_ref().map(|embedding| Embedding::new(embedding.vocabulary));
        let cut = Model { embedding, ..Model::headless(recurrent) };
        let mut engine = Cpu::new().engine(&cut, &EngineOptions::default())?;
        let of_cut = Layout::new(&cut);
        let whole = |role| layout.tensors().iter().find(|tensor| tensor.role == role);
        let parts =
            of_cut.tensors().iter().filter_map(|tensor| whole(tensor.role)).map(|tensor| &block[tensor.range()]);
        engine.set_parameters(&parts.flatten().copied().collect::<Vec<f32>>())?;
        let output = block_on(engine.forward(sequence))?.output;
        for direction in 0..model.recurrent.directions() {
            let own = output.slice(s![.., .., direction * hidden..(direction + 1) * hidden]);
            means.push(mean_derivative(activation, own, sequence));
        }
    }
    Ok(means)
}

/// A line's name with its factor.
pub(crate) fn labelled(name: &str, factor: Option<GradientDecay>) -> String {
    match factor {
        Some(factor) => format!("{name} ×{} a step", short_factor(factor.factor)),
        None => name.into(),
    }
}

/// Two digits behind the point, or as many as tell it from 1.
fn short_factor(factor: f64) -> String {
    match (factor - 1.0).abs() {
        near if near > 0.9 => short(factor),
        near if near >= 0.095 => format!("{factor:.2}"),
        near if near >= 0.0095 => format!("{factor:.3}"),
        _ => format!("{factor:.4}"),
    }
}

/// In words that need no logarithm.
fn describe(factor: GradientDecay) -> String {
    let steps = |share| factor.steps_until(share).map(short_steps);
    let words = match (steps(0.01), steps(10.0)) {
        (Some(steps), _) => format!(", 1 % is left after {steps}"),
        (_, Some(steps)) => format!(", grows ×10 every {steps}"),
        _ => String::new(),
    };
    format!("×{} a step{words}", short_factor(factor.factor))
}

fn short_steps(steps: f64) -> String {
    match steps {
        steps if steps < 10.0 => format!("{steps:.1} steps"),
        steps => format!("{} steps", bptt::format::grouped(steps.round() as u64)),
    }
}

impl Measured {
    /// The forward direction of the last layer, by which a network stands in a comparison: the others are in the table.
    pub(crate) fn last_forward(&self) -> &Stack {
        &self.stacks[self.stacks.len() - self.directions]
    }

    /// A line a (layer, direction), each beginning with its mark from `first` on.
    fn table(&self, first: usize, alone: bool) -> Vec<String> {
        let stack = |(index, of): (usize, &Stack)| {
            let name = match (alone, self.stacks.len()) {
                (true, _) => of.name.clone(),
                (false, 1) => self.name.clone(),
                _ => format!("{} {}", self.name, of.name),
            };
            let from_end = match &of.norms[..] {
                [first, .., last] => format!("from {last:.1e} at t = {} to {first:.1e} at t = 0", of.norms.len() - 1),
                norms => norms.iter().map(|norm| format!("{norm:.1e} at t = 0")).collect(),
            };
            let radii = of.radii.iter().map(|(gate, radius)| match *gate {
                "" => format!("ρ(W_hh) {}", short(*radius)),
                gate => format!("ρ_{gate} {}", short(*radius)),
            });
            let radii = radii.collect::<Vec<_>>().join(", ");
            let derivative = of.mean_derivative.map(|mean| format!(", mean f′ {}", short(mean))).unwrap_or_default();
            let words = of.factor.map(describe).into_iter().chain([from_end, format!("{radii}{derivative}")]);
            let begin = format!("{} {name:<12}", mark(first + index));
            let line = |(index, words)| format!("{:14}{words}", if index == 0 { begin.as_str() } else { "" });
            words.enumerate().map(line).collect::<Vec<_>>()
        };
        self.stacks.iter().enumerate().flat_map(stack).collect()
    }
}

pub(crate) fn to_json(measured: &Measured) -> Value {
    let stacks = measured.stacks.iter().map(|of| {
        let factor = of.factor.map(|factor| {
            json!({
                "a_step": factor.factor, "over_steps": factor.steps,
                "steps_to_1_percent": factor.steps_until(0.01), "steps_to_10_times": factor.steps_until(10.0),
            })
        });
        let radii: serde_json::Map<String, Value> = of
            .radii
            .iter()
            .map(|(gate, radius)| match *gate {
                "" => ("weight_hh".to_owned(), json!(radius)),
                gate => (gate.to_owned(), json!(radius)),
            })
            .collect();
        json!({
            "name": of.name, "norms": of.norms, "factor": factor, "spectral_radius": radii,
            "mean_derivative": of.mean_derivative,
        })
    });
    json!({
        "name": measured.name, "loss": measured.loss, "gradient_norm": measured.gradient_norm,
        "clipped_by": measured.clipped, "stacks": stacks.collect::<Vec<_>>(),
    })
}

/// Prints what was asked for, and writes the picture. Each part has a name, and a chart of its own.
pub(crate) fn tell(
    args: &FlowArgs,
    facts: &[(&str, String)],
    parts: &[(String, Vec<&Measured>)],
    picture: &FlowPicture,
    json: Value,
) -> Result<(), Failure> {
    if let Some(path) = &args.out {
        new_file::write(path, picture.draw().file().as_bytes())?;
    }
    if args.json {
        say_json(json);
    }
    if args.json || args.show.quiet {
        return Ok(());
    }
    facts.iter().for_each(|(name, text)| say(heading(name, text)));
    for (name, networks) in parts {
        say("");
        let name = if name.is_empty() { String::new() } else { format!(", {name}") };
        say(format!("‖∂L/∂h‖ over the steps, against time{name}"));
        let lines: Vec<&[f64]> =
            networks.iter().flat_map(|network| &network.stacks).map(|stack| stack.norms.as_slice()).collect();
        chart(&lines, columns()).iter().for_each(say);
        say("");
        let mut first = 0;
        for network in networks {
            network.table(first, networks.len() == 1).iter().for_each(say);
            first += network.stacks.len();
        }
        for network in networks.iter().filter(|network| network.clipped < 1.0) {
            let Measured { name, gradient_norm, clipped, .. } = network;
            let (norm, clipped) = (short(*gradient_norm), short(*clipped));
            say(format!("{name}: the gradient's norm is {norm}; clipping makes it, and every ‖∂L/∂h‖, ×{clipped}"));
        }
    }
    if let Some(path) = &args.out {
        say("");
        say(heading("picture", &path_text(path)));
    }
    Ok(())
}
