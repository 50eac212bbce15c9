//! `bptt gradcheck`.

use std::path::PathBuf;

use bptt::experiment::config::{Config, Data, SIZE, TextConfig};
use bptt::experiment::files::flow_log::stack_name;
use bptt::experiment::model::model_file;
use bptt::experiment::settings::Settings;
use bptt::format::{cell, left, path_text, right, short, widest};
use bptt::ndarray::{Array, Array2, ArrayD, Axis, Dimension, ShapeBuilder};
use bptt::{
    Batch, Cpu, DropoutKey, Error, Head, Input, Layout, Loss, Model, Readout, Recurrent, Result, Sequence, States,
    Targets,
};
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::super::device::gradients::{Gradients, STEP, Subject};
use super::apply::open_model;
use crate::cli::args::{ModelArgs, RunArgs, one_of, whole};
use crate::cli::device::opened;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, say, say_json};

#[derive(Args)]
pub(crate) struct GradcheckArgs {
    /// A run's folder, or a model.safetensors alone, whose network and weights are checked; without one the flags of the
    /// model say what
    run: Option<PathBuf>,
    /// T, the steps of the longest row; the others are shorter
    #[arg(long, value_parser = whole::<1, 4096>, value_name = "T", default_value = "6")]
    length: usize,
    /// B, the rows
    #[arg(long, value_parser = whole::<1, 4096>, value_name = "B", default_value = "5")]
    batch: usize,
    /// I, the numbers that the network reads a step [default: 3]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "I", conflicts_with = "run")]
    inputs: Option<usize>,
    /// O, the numbers that it predicts [default: 3]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "O", conflicts_with = "run")]
    outputs: Option<usize>,
    /// Elements of each tensor that are held against central differences, evenly spread; all are held against f64
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N", default_value = "200")]
    elements: usize,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Outputs that the predictions are made from: every step's, the last, or the mean of all [default: every]
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT", conflicts_with = "run")]
    predict: Option<Readout>,
    /// Size of a trained vector for each of I tokens [default: none, the network reads numbers]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N", conflicts_with = "run")]
    embedding: Option<usize>,
    /// Use the embedding as the weights of the head too
    #[arg(long, conflicts_with = "run")]
    tied: bool,
    #[command(flatten)]
    on: RunArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// The worst of two arrays that ought to be the same.
#[derive(Clone, Debug, Default)]
struct Worst {
    /// |got − want| over the scale.
    error: f64,
    index: Vec<usize>,
    got: f64,
    want: f64,
}

/// One line of the table.
struct Checked {
    name: String,
    shape: Vec<usize>,
    /// The device against the CPU in f64.
    device: Worst,
    /// The CPU in f64 against central differences; the flow has none.
    differences: Option<Worst>,
}

/// The most that either may be off: see [`tolerances`].
#[derive(Clone, Copy)]
struct Tolerances {
    device: f64,
    differences: f64,
}

pub(crate) fn gradcheck(args: &GradcheckArgs) -> Result<(), Failure> {
    let (model, parameters, settings) = subject(args)?;
    let batch = batch(&model, args, settings.seed)?;
    let opened = opened::open(&settings.device, settings.threads, settings.kernel)?;
    let masks = DropoutKey { seed: settings.seed, step: 1, first_row: 0 };
    let subject = Subject { model: &model, parameters: &parameters, batch: &batch, masks };
    let want = subject.analytic(&Cpu::<f64>::with_threads(1)?, settings.kernel)?;
    let got = opened.gradients(&subject)?;
    let differences = subject.differences(args.elements, &want.arrays)?;
    let checked = compare(&model, &got, &want, &differences);
    let tolerances = tolerances(&model, args);
    let failed = failed(&checked, tolerances);
    if args.json {
        say_json(summary(&opened.describe(), &model, &checked, tolerances, failed.is_none()));
    } else {
        say(heading("device", &opened.describe()));
        say(heading("model", &model_file::describe(&model)));
        let (t, b, loss) = (args.length, args.batch, short(want.loss));
        say(heading("data", &format!("{b} random rows of up to {t} steps, seed {}, loss {loss}", settings.seed)));
        say(heading("masks", &dropped(&model.recurrent)));
        say("");
        table(&checked, tolerances).iter().for_each(say);
        say("");
        say(heading(
            "limits",
            &format!(
                "device {:.1e}: 32 · 2⁻²³ · √(T · (B + G·H + I)); differences {:.0e}; relative to the greatest of a tensor, or \
             of a step",
                tolerances.device, tolerances.differences
            ),
        ));
    }
    match failed {
        Some(message) => Err(Error::Failed(message).into()),
        None if args.json => Ok(()),
        None => {
            say(heading("passed", "the device, f64 and the differences agree in every tensor and at every step"));
            Ok(())
        }
    }
}

/// The model, its parameters, and the settings of the command.
fn subject(args: &GradcheckArgs) -> Result<(Model, Vec<f32>, Settings), Failure> {
    let mut model = args.model.clone();
    if model.init_from.is_some() {
        let reason = "--init-from: a run whose weights are to be checked is named without a flag, `bptt gradcheck RUN`";
        return Err(Failure::usage(Error::Unsupported(reason.into())));
    }
    if let Some(run) = &args.run {
        if model != ModelArgs::default() {
            let reason =
                format!("{}: the run says what its network is; no flag of the model goes with it", path_text(run));
            return Err(Failure::usage(Error::Unsupported(reason)));
        }
        let file = open_model(run)?;
        let layout = Layout::new(&file.model);
        let settings = settings(args, ModelArgs::default())?;
        return Ok((file.model, layout.to_block(&file.weights)?, settings));
    }
    model.hidden.get_or_insert(6);
    let settings = settings(args, model)?;
    let (inputs, outputs) = (args.inputs.unwrap_or(3), args.outputs.unwrap_or(3));
    let at = args.predict.unwrap_or(Readout::PerStep);
    let head = match args.tied {
        // The vectors of what is read are the weights of what is told.
        true => Head::new(inputs, Loss::CrossEntropy, at),
        false => Head::new(outputs, Loss::SquaredError, at),
    };
    let model = settings.network(inputs, head);
    model.validate().map_err(Failure::usage)?;
    let parameters = settings.initialisation().draw(&model, settings.seed);
    Ok((model, parameters, settings))
}

/// Device, seed and model as every command reads them: as of a text, which has every flag of the model. No data of these
/// settings are ever read.
fn settings(args: &GradcheckArgs, model: ModelArgs) -> Result<Settings, Failure> {
    let text = TextConfig { embedding: args.embedding, tied: args.tied.then_some(true), ..TextConfig::default() };
    let data = Some(Data::Text(text));
    Settings::new(Config { run: args.on.config(), data, model: model.config(), ..Config::default() })
        .map_err(Failure::usage)
}

/// Random rows that begin with states other than zero and end at different steps.
fn batch(model: &Model, args: &GradcheckArgs, seed: u64) -> Result<Batch> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The first streams are those of initialisation and shuffling.
    rng.set_stream(1 << 32);
    let head = model.head.as_ref().ok_or_else(|| Error::Unsupported("a model without a head has no loss".into()))?;
    let recurrent = &model.recurrent;
    let (steps, rows, predictions) = (args.length, args.batch, head.predictions(args.length));
    let mut below = |most: usize| ((u64::from(rng.next_u32()) * most as u64) >> 32) as u32;
    let input = match &model.embedding {
        Some(embedding) => Input::Tokens(Array2::from_shape_simple_fn((steps, rows), || below(embedding.vocabulary))),
        None => Input::Dense(fill((steps, rows, recurrent.input_size), &mut below)),
    };
    let lengths = (0..rows).map(|row| steps - 2 * row % steps).collect();
    let targets = match head.loss.takes_classes() {
        true => Targets::Classes(Array2::from_shape_simple_fn((predictions, rows), || below(head.outputs))),
        // From 0 to 1, as the targets of a binary cross-entropy.
        false => {
            Targets::Values(fill((predictions, rows, head.target_size()), &mut below).mapv_into(|y| 0.5 + 0.5 * y))
        }
    };
    let mut states = States::zeros(recurrent, rows);
    states.h = fill(states.h.raw_dim(), &mut below);
    states.c = states.c.map(|c| fill(c.raw_dim(), &mut below));
    let sequence = Sequence { input, lengths: Some(lengths), resets: None, initial: Some(states) };
    Ok(Batch::new(sequence, targets))
}

/// Multiples of the differences' step in ±1.
fn fill<D: Dimension>(shape: impl ShapeBuilder<Dim = D>, below: &mut impl FnMut(usize) -> u32) -> Array<f32, D> {
    Array::from_shape_simple_fn(shape, || ((f64::from(below(1 << 18)) - 131_072.0) * STEP) as f32)
}

fn dropped(recurrent: &Recurrent) -> String {
    match (recurrent.dropout, recurrent.recurrent_dropout) {
        (0.0, 0.0) => "none".into(),
        (between, of_states) => format!("dropout {between}, recurrent dropout {of_states}"),
    }
}

/// The device computes in f32, whose relative rounding is at most 2⁻²⁴. A gradient is a sum of some n = T · (B + G·H + I)
/// products, over the steps, the rows and a product's inner sizes; the error of such a sum grows like √n where roundings are
/// independent (Higham, Accuracy and Stability of Numerical Algorithms, 2.8), and each term went through some tens of
/// roundings of f, gates and their derivatives, a driver's exp and tanh among them: 32 · 2⁻²³ · √n. A sign or a factor that is
/// wrong is off by the order of 1. Differences are in f64: see [`Subject::differences`].
fn tolerances(model: &Model, args: &GradcheckArgs) -> Tolerances {
    let recurrent = &model.recurrent;
    let terms = args.batch + recurrent.cell.gates() * recurrent.hidden_size + recurrent.input_size;
    Tolerances { device: 32.0 * f64::from(f32::EPSILON) * ((args.length * terms) as f64).sqrt(), differences: 1e-6 }
}

/// Tensor by tensor, then dx and ‖∂L/∂h_t‖ step by step.
fn compare(model: &Model, got: &Gradients, want: &Gradients, differences: &[ArrayD<f64>]) -> Vec<Checked> {
    let size = |array: &ArrayD<f64>| array.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    // What is nothing beside all other gradients is rounding, and has no relative error.
    let least = want.arrays.iter().map(|(_, array)| size(array)).fold(0.0, f64::max) / 1024.0;
    let mut checked = Vec::new();
    let mut steps = Vec::new();
    for (((name, want), (_, got)), differences) in want.arrays.iter().zip(&got.arrays).zip(differences) {
        let scale = size(want).max(least);
        checked.push(Checked {
            name: name.clone(),
            shape: want.shape().to_vec(),
            device: Worst::of(got, want, scale),
            differences: Some(Worst::of(want, differences, scale)),
        });
        for t in 0..want.shape()[0] * usize::from(name == "dx") {
            let at = |array: &ArrayD<f64>| array.index_axis(Axis(0), t).to_owned();
            let (got, want, differences) = (at(got), at(want), at(differences));
            let scale = size(&want).max(least);
            steps.push(Checked {
                name: format!("dx at step {t}"),
                shape: want.shape().to_vec(),
                device: Worst::of(&got, &want, scale),
                differences: Some(Worst::of(&want, &differences, scale)),
            });
        }
    }
    checked.extend(steps);
    let least = want.flow.iter().fold(0.0, |most: f64, norm| most.max(*norm)) / 1024.0;
    for (stack, (got, want)) in got.flow.rows().into_iter().zip(want.flow.rows()).enumerate() {
        for (t, (got, want)) in got.iter().zip(want).enumerate() {
            let error = (got - want).abs() / want.max(least);
            let device = Worst { error: refuse_nan(error), index: Vec::new(), got: *got, want: *want };
            let name = format!("‖∂L/∂h‖ of {} at step {t}", stack_name(&model.recurrent, stack));
            checked.push(Checked { name, shape: Vec::new(), device, differences: None });
        }
    }
    checked
}

/// NaN is the worst there is.
fn refuse_nan(error: f64) -> f64 {
    if error.is_nan() { f64::INFINITY } else { error }
}

impl Worst {
    /// Of what both have: an element that was not looked at is NaN in `want`.
    fn of(got: &ArrayD<f64>, want: &ArrayD<f64>, scale: f64) -> Self {
        let mut worst = Self::default();
        for ((index, got), want) in got.indexed_iter().zip(want).filter(|(_, want)| !want.is_nan()) {
            let error = if got == want { 0.0 } else { refuse_nan((got - want).abs() / scale) };
            if error > worst.error || worst.index.is_empty() {
                worst = Self { error, index: bptt::ndarray::Dimension::slice(&index).to_vec(), got: *got, want: *want };
            }
        }
        worst
    }
}

/// What is off the most, in words.
fn failed(checked: &[Checked], tolerances: Tolerances) -> Option<String> {
    let sides = |of: &Checked| {
        let differences = of.differences.clone().map(|worst| (worst, tolerances.differences, "f64", "differences"));
        let device = Some((of.device.clone(), tolerances.device, "the device", "f64"));
        [device, differences].into_iter().flatten().collect::<Vec<_>>()
    };
    let all = checked.iter().flat_map(|of| sides(of).into_iter().map(move |side| (of, side)));
    let beyond: Vec<_> = all.filter(|(_, (worst, tolerance, ..))| worst.error > *tolerance).collect();
    let greater = |a: &Worst, b: &Worst| a.error.total_cmp(&b.error);
    let (of, (worst, tolerance, got, want)) = beyond.iter().max_by(|a, b| greater(&a.1.0, &b.1.0))?;
    let at = if worst.index.is_empty() { String::new() } else { format!(" at {:?}", worst.index) };
    // A step's own are in the table.
    let mut names: Vec<&str> =
        beyond.iter().map(|(of, _)| of.name.as_str()).filter(|name| !name.contains(" at step ")).collect();
    names.dedup();
    let names = if names.is_empty() { "no tensor as a whole".into() } else { names.join(", ") };
    Some(format!(
        "gradcheck: {} is off the most{at}: {got} says {:e}, {want} {:e}; relative error {:.1e}, over {tolerance:.1e}\n  \
         beyond it: {names}",
        of.name, worst.got, worst.want, worst.error
    ))
}

fn table(checked: &[Checked], tolerances: Tolerances) -> Vec<String> {
    let worst = |worst: &Worst, most: f64| {
        let index: Vec<String> = worst.index.iter().map(usize::to_string).collect();
        let error = format!("{}{:.1e}", if worst.error > most { "✗ " } else { "" }, worst.error);
        [error, if index.is_empty() { String::new() } else { format!("[{}]", index.join(", ")) }]
    };
    let mut rows = vec![["tensor", "shape", "device / f64", "at", "f64 / differences", "at"].map(String::from)];
    for of in checked {
        let shape: Vec<String> = of.shape.iter().map(usize::to_string).collect();
        let shape = if shape.is_empty() { String::new() } else { format!("[{}]", shape.join(", ")) };
        let [device, device_at] = worst(&of.device, tolerances.device);
        let differences = of.differences.as_ref().map(|of| worst(of, tolerances.differences));
        let [difference, difference_at] = differences.unwrap_or_default();
        rows.push([cell(&of.name), shape, device, device_at, difference, difference_at]);
    }
    let width = |column: usize| widest(rows.iter().map(|row| row[column].as_str()));
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 | 3 | 5 => left(cell, *width),
            _ => right(cell, *width),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn summary(device: &str, model: &Model, checked: &[Checked], tolerances: Tolerances, passed: bool) -> Value {
    let worst =
        |worst: &Worst| json!({"error": worst.error, "index": worst.index, "got": worst.got, "want": worst.want});
    let tensors = checked.iter().map(|of| {
        json!({
            "name": of.name, "shape": of.shape, "device": worst(&of.device),
            "differences": of.differences.as_ref().map(worst),
        })
    });
    json!({
        "device": device,
        "parameters": model_file::parameters(model),
        "tolerance": {"device": tolerances.device, "differences": tolerances.differences},
        "passed": passed,
        "checked": tensors.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_element_is_told_by_its_index_and_nan_is_worse_than_any() {
        let array = |values: [f64; 4]| ArrayD::from_shape_vec(vec![2, 2], values.to_vec()).unwrap();
        let want = array([1.0, 2.0, 4.0, f64::NAN]);
        let worst = Worst::of(&array([1.0, 2.5, 4.0, 9.0]), &want, 4.0);
        assert_eq!((worst.error, worst.index.as_slice()), (0.125, &[0, 1][..]), "what was not looked at has no part");
        let worst = Worst::of(&array([1.0, 9.0, f64::NAN, 0.0]), &want, 4.0);
        assert_eq!((worst.error, worst.index.as_slice()), (f64::INFINITY, &[1, 0][..]));
    }

    #[test]
    fn what_is_beyond_its_limit_is_named_the_worst_first() {
        let tolerances = Tolerances { device: 1e-4, differences: 1e-6 };
        let worst = |error| Worst { error, index: vec![2, 1], got: 1.0, want: 2.0 };
        let line = |name: &str, device, differences| Checked {
            name: name.into(),
            shape: vec![3, 3],
            device: worst(device),
            differences: Some(worst(differences)),
        };
        assert_eq!(failed(&[line("a", 9e-5, 9e-7)], tolerances), None);
        let message = failed(&[line("a", 2e-4, 0.0), line("b", 0.5, 0.0), line("c", 0.0, 2e-6)], tolerances).unwrap();
        assert!(
            message.starts_with("gradcheck: b is off the most at [2, 1]: the device says 1e0, f64 2e0"),
            "{message}"
        );
        assert!(message.ends_with("beyond it: a, b, c"), "{message}");
    }
}
