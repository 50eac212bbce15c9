//! `bptt inspect`.

use std::path::PathBuf;

use bptt::{Error, Result, StateDict};
use clap::Args;
use serde_json::{Value, json};

use super::devices::bytes;
use super::model_file::{self, ModelFile};
use super::progress::{grouped, short};
use super::train::heading;

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A run's folder, its model.safetensors, or any other safetensors file
    file: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// A tensor in figures.
struct Summary<'a> {
    name: &'a str,
    shape: &'a [usize],
    norm: f64,
    least: f64,
    most: f64,
    /// Numbers that are NaN or infinite.
    non_finite: usize,
}

pub(crate) fn inspect(args: &InspectArgs) -> Result<()> {
    let (path, bytes_of_file) = model_file::read(&args.file)?;
    let refused = |error: Error| Error::Data { path: path.clone(), place: String::new(), message: error.to_string() };
    let description = StateDict::safetensors_note(&bytes_of_file, model_file::KEY);
    let description = description.map_err(|error| model_file::no_model(&path, &error))?;
    let weights = StateDict::from_safetensors(&bytes_of_file).map_err(refused)?;
    // A description that is there has to be right, or is told to be wrong.
    let model = description.as_ref().map(|_| ModelFile::open(&args.file)).transpose()?;
    let tensors: Vec<Summary<'_>> = weights.iter().map(summary).collect();
    let count: u64 = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum();
    if args.json {
        let tensors: Vec<Value> = tensors.iter().map(to_json).collect();
        let model = description.map(|text| serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)));
        super::say(json!({"file": path, "parameters": count, "model": model, "tensors": tensors}));
        return Ok(());
    }
    super::say(heading("file", &format!("{}, {}", path.display(), bytes(bytes_of_file.len() as u64))));
    match model {
        Some(model) => model.describe().iter().for_each(|(name, text)| super::say(heading(name, text))),
        None => super::say(heading("model", "tensors without a description: not written by `bptt train`")),
    }
    super::say(heading("total", &format!("{} parameters in {} tensors\n", grouped(count), tensors.len())));
    let width = tensors.iter().map(|tensor| tensor.name.chars().count()).max().unwrap_or_default();
    super::say(format!("{:width$}  {:>14}  {:>10}  {:>10}  {:>10}", "tensor", "shape", "norm", "least", "greatest"));
    for tensor in &tensors {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let shape = format!("[{}]", shape.join(", "));
        let [norm, least, most] = [tensor.norm, tensor.least, tensor.most].map(short);
        let bad = match tensor.non_finite {
            0 => String::new(),
            count => format!("  {} not finite", grouped(count as u64)),
        };
        super::say(format!("{:width$}  {shape:>14}  {norm:>10}  {least:>10}  {most:>10}{bad}", tensor.name));
    }
    Ok(())
}

fn summary<'a>((name, array): (&'a str, &'a bptt::ndarray::ArrayD<f32>)) -> Summary<'a> {
    let wide = || array.iter().map(|value| f64::from(*value));
    Summary {
        name,
        shape: array.shape(),
        norm: wide().map(|value| value * value).sum::<f64>().sqrt(),
        least: wide().fold(f64::INFINITY, f64::min),
        most: wide().fold(f64::NEG_INFINITY, f64::max),
        non_finite: wide().filter(|value| !value.is_finite()).count(),
    }
}

fn to_json(tensor: &Summary<'_>) -> Value {
    let Summary { name, shape, norm, least, most, non_finite } = tensor;
    json!({"name": name, "shape": shape, "norm": norm, "min": least, "max": most, "non_finite": non_finite})
}
