//! `bptt inspect`.

use std::path::PathBuf;

use bptt::experiment::files::folder::in_file;
use bptt::experiment::model::model_file;
use bptt::format::{bytes, cell, grouped, left, path_json, path_text, short, widest};
use bptt::{Result, SafetensorsFile, StoredTensor};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::terminal::printed::{eprint_line, heading, print_json, print_line};

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// Folder of a run, or any safetensors file
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    file: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Statistics of a tensor.
struct Summary {
    name: String,
    element_type: String,
    shape: Vec<usize>,
    /// `None` if its elements are not real numbers, or there are none.
    figures: Option<Figures>,
}

struct Figures {
    norm: f64,
    least: f64,
    most: f64,
    /// The number of NaN and infinities.
    non_finite: usize,
}

pub(crate) fn inspect(args: &InspectArgs) -> Result<()> {
    let found = model_file::read(&args.file)?;
    let path = found.path.clone();
    let (file, length) = found.open()?;
    let file = SafetensorsFile::open(file, length).map_err(|error| model_file::no_model(&path, error))?;
    let description = file.note(model_file::KEY).map(str::to_owned);
    let mut tensors = Vec::new();
    let each = file.each(|mut tensor| {
        tensors.push(summary(&mut tensor)?);
        Ok(())
    });
    each.map_err(in_file(&path))?;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    // If there is a description, it must be valid.
    let note = found.note.clone();
    let model = description.as_ref().map(|_| found.saved_model()).transpose()?;
    let lines = model.as_ref().map(model_file::describe_saved).transpose().map_err(in_file(&path))?;
    note.iter().filter(|_| model.is_some()).for_each(eprint_line);
    let count: u64 = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum();
    if args.json {
        let tensors: Vec<Value> = tensors.iter().map(to_json).collect();
        let model = description.map(|text| serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)));
        print_json(json!({"file": path_json(&path), "parameters": count, "model": model, "tensors": tensors}));
        return Ok(());
    }
    print_line(heading("file", &format!("{}, {}", path_text(&path), bytes(length))));
    match lines {
        Some(lines) => lines.iter().for_each(|(name, text)| print_line(heading(name, text))),
        None => print_line(heading("model", "tensors without a description: not written by `bptt train`")),
    }
    print_line(heading("total", &format!("{} parameters in {} tensors", grouped(count), tensors.len())));
    print_line("");
    let width = widest(tensors.iter().map(|tensor| cell(&tensor.name)));
    let line = |[name, element_type, shape, norm, least, most]: [&str; 6]| {
        let name = left(&cell(name), width);
        format!("{name}  {element_type:<7}  {shape:>14}  {norm:>10}  {least:>10}  {most:>10}")
    };
    print_line(line(["tensor", "type", "shape", "norm", "least", "greatest"]));
    for Summary { name, element_type, shape, figures } in &tensors {
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        let shape = format!("[{}]", sizes.join(", "));
        let [norm, least, most] = match figures {
            Some(figures) => [figures.norm, figures.least, figures.most].map(short),
            None => ["–"; 3].map(str::to_owned),
        };
        let bad = match figures.as_ref().map_or(0, |figures| figures.non_finite) {
            0 => String::new(),
            count => format!("  {} not finite", grouped(count as u64)),
        };
        print_line(line([name, element_type, &shape, &norm, &least, &most]) + &bad);
    }
    Ok(())
}

fn summary(tensor: &mut StoredTensor<'_>) -> Result<Summary> {
    let (mut squares, mut least, mut most, mut non_finite) = (0.0, f64::INFINITY, f64::NEG_INFINITY, 0);
    let mut empty = true;
    let real = tensor.for_each(|value| {
        squares += value * value;
        (least, most) = (least.min(value), most.max(value));
        non_finite += usize::from(!value.is_finite());
        empty = false;
    })?;
    Ok(Summary {
        name: tensor.name().into(),
        element_type: tensor.element_type(),
        shape: tensor.shape().into(),
        figures: (real && !empty).then(|| Figures { norm: f64::sqrt(squares), least, most, non_finite }),
    })
}

fn to_json(tensor: &Summary) -> Value {
    let Summary { name, element_type, shape, figures } = tensor;
    let figure = |of: fn(&Figures) -> f64| figures.as_ref().map(of);
    json!({
        "name": name, "dtype": element_type, "shape": shape,
        "norm": figure(|it| it.norm), "min": figure(|it| it.least), "max": figure(|it| it.most),
        "non_finite": figures.as_ref().map(|it| it.non_finite),
    })
}
