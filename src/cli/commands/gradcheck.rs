//! `bptt gradcheck`.

use std::path::PathBuf;

use bptt::experiment::config::{Config, Data, ModelConfig, RunConfig, SIZE, TextConfig};
use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::gradcheck::{CheckedGradients, Deviation, GradientCheck};
use bptt::experiment::model::model_file;
use bptt::experiment::settings::Settings;
use bptt::format::{cell, left, path_text, right, short, widest};
use bptt::{Error, Head, Layout, Loss, Model, Precision, Readout, Recurrent};
use clap::{Args, ValueHint};
use serde_json::{Value, json};

use super::model_args::open_model;
use crate::cli::args::{Flags, READOUTS, SetArgs, one_of, whole, with_sets};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, print_json, print_line};

#[derive(Args)]
pub(crate) struct GradcheckArgs {
    /// Folder of a run, or a model.safetensors, to check
    ///
    /// Without one, the flags describe the network.
    #[arg(value_hint = ValueHint::AnyPath)]
    run: Option<PathBuf>,
    /// Steps of the longest row (T)
    ///
    /// The other rows are shorter.
    #[arg(long, value_parser = whole::<1, 4096>, value_name = "T", default_value = "6")]
    length: usize,
    /// Number of rows (B)
    #[arg(long, value_parser = whole::<1, 4096>, value_name = "B", default_value = "5")]
    batch: usize,
    /// Number of inputs per step (I) [default: 3]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "I", conflicts_with = "run")]
    inputs: Option<usize>,
    /// Number of outputs (O) [default: 3]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "O", conflicts_with = "run")]
    outputs: Option<usize>,
    /// Elements per tensor compared with differences
    ///
    /// They are spread evenly. Every element is compared with the gradient in f64.
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N", default_value = "200")]
    elements: usize,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Steps that predict: every, last, mean [default: every]
    #[arg(long, value_parser = one_of::<Readout>(READOUTS), hide_possible_values = true, value_name = "AT", conflicts_with = "run")]
    predict: Option<Readout>,
    /// Embedding size per token [default: no tokens]
    ///
    /// The network then reads I different tokens instead of I numbers.
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N", conflicts_with = "run")]
    embedding: Option<usize>,
    /// Share the embedding with the output layer
    #[arg(long, conflicts_with = "run")]
    tied: bool,
    #[command(flatten)]
    model: Flags<ModelConfig>,
    #[command(flatten)]
    on: Flags<RunConfig>,
    #[command(flatten)]
    set: SetArgs,
}

pub(crate) async fn gradcheck(args: &GradcheckArgs) -> Result<(), Failure> {
    let (model, parameters, settings) = subject(args)?;
    let device = OpenDevice::open(&settings.device_options()).await?;
    let check = GradientCheck {
        model: &model,
        parameters: &parameters,
        steps: args.length,
        rows: args.batch,
        elements: args.elements,
        seed: settings.seed,
    };
    let checked = check.run(&device).await?;
    let (failure, tolerances) = (checked.failure(), checked.tolerances);
    let unit = match settings.precision {
        Precision::F16 => "2 · 2⁻¹⁰",
        _ => "32 · 2⁻²³",
    };
    if args.json {
        print_json(summary(&device.describe(), &model, &checked));
    } else {
        print_line(heading("device", &device.describe()));
        print_line(heading("model", &model_file::describe(&model)));
        let (t, b, loss) = (args.length, args.batch, short(checked.loss));
        print_line(heading(
            "data",
            &format!("{b} random rows of up to {t} steps, seed {}, loss {loss}", settings.seed),
        ));
        print_line(heading("masks", &dropped(&model.recurrent)));
        print_line("");
        table(&checked).iter().for_each(print_line);
        print_line("");
        print_line(heading(
            "limits",
            &format!(
                "device {:.1e}: {unit} · √(T · (B + G·H + I)); differences {:.0e}; relative to the greatest of a tensor, or \
             of a step",
                tolerances.device, tolerances.differences
            ),
        ));
    }
    match failure {
        Some(message) => Err(Error::Failed(message).into()),
        None if args.json => Ok(()),
        None => {
            print_line(heading(
                "passed",
                "the device, f64 and the differences agree in every tensor and at every step",
            ));
            Ok(())
        }
    }
}

/// The model, its parameters, and the settings of the command.
fn subject(args: &GradcheckArgs) -> Result<(Model, Vec<f32>, Settings), Failure> {
    let given = Config { run: args.on.0.clone(), model: args.model.0.clone(), ..Config::default() };
    let mut given = with_sets(given, &args.set.set, &["model", "run"], None)?;
    let model = &mut given.model;
    if model.init_from.is_some() {
        let reason = "--init-from: to check the weights of a run, type `bptt gradcheck RUN`";
        return Err(Error::Unsupported(reason.into()).into());
    }
    if let Some(run) = &args.run {
        if *model != ModelConfig::default() {
            let reason = format!("{}: the network is that of the run: remove the model flags", path_text(run));
            return Err(Error::Unsupported(reason).into());
        }
        let file = open_model(run)?;
        let file = file.file;
        let layout = Layout::new(&file.model);
        let settings = settings(args, given)?;
        return Ok((file.model, layout.to_block(&file.weights)?, settings));
    }
    model.hidden.get_or_insert(6);
    let settings = settings(args, given)?;
    let (inputs, outputs) = (args.inputs.unwrap_or(3), args.outputs.unwrap_or(3));
    let at = args.predict.unwrap_or(Readout::PerStep);
    let head = if args.tied {
        // The embedding is tied to the head, so there are as many outputs as tokens.
        Head::new(inputs, Loss::CrossEntropy, at)
    } else {
        Head::new(outputs, Loss::SquaredError, at)
    };
    let model = settings.network(inputs, head);
    model.validate()?;
    let parameters = settings.initialisation().draw(&model, settings.seed)?;
    Ok((model, parameters, settings))
}

/// Device, seed and model as in every command: as for text, which has every model flag. No data are read.
fn settings(args: &GradcheckArgs, given: Config) -> Result<Settings, Failure> {
    let text = TextConfig { embedding: args.embedding, tied: args.tied.then_some(true), ..TextConfig::default() };
    let data = Some(Data::Text(text));
    Ok(Settings::new(Config { data, ..given })?)
}

fn dropped(recurrent: &Recurrent) -> String {
    match (recurrent.dropout, recurrent.recurrent_dropout) {
        (0.0, 0.0) => "none".into(),
        (between, of_states) => format!("dropout {between}, recurrent dropout {of_states}"),
    }
}

fn table(checked: &CheckedGradients) -> Vec<String> {
    let tolerances = checked.tolerances;
    let worst = |worst: &Deviation, most: f64| {
        let index: Vec<String> = worst.index.iter().map(usize::to_string).collect();
        let error = format!("{}{:.1e}", if worst.error > most { "✗ " } else { "" }, worst.error);
        [error, if index.is_empty() { String::new() } else { format!("[{}]", index.join(", ")) }]
    };
    let mut rows = vec![["tensor", "shape", "device / f64", "at", "f64 / differences", "at"].map(String::from)];
    for of in &checked.gradients {
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

fn summary(device: &str, model: &Model, checked: &CheckedGradients) -> Value {
    let tolerances = checked.tolerances;
    let worst =
        |worst: &Deviation| json!({"error": worst.error, "index": worst.index, "got": worst.got, "want": worst.want});
    let tensors = checked.gradients.iter().map(|of| {
        json!({
            "name": of.name, "shape": of.shape, "device": worst(&of.device),
            "differences": of.differences.as_ref().map(worst),
        })
    });
    json!({
        "device": device,
        "parameters": model_file::parameters(model),
        "tolerance": {"device": tolerances.device, "differences": tolerances.differences},
        "passed": checked.failure().is_none(),
        "checked": tensors.collect::<Vec<_>>(),
    })
}
