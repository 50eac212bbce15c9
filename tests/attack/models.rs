//! Models whose description or tensors are not those of any network.

use std::fs;

use serde_json::{Value, json};

use super::case::each;
use super::changes::{Tensors, change_bytes, change_value};
use super::runs::{OUT, Run, Wholes, data};

/// A model of each kind of data.
const MODELS: [&str; 11] = [
    "sunspots",
    "several columns",
    "lanes of a text",
    "bytes",
    "classes of sequences",
    "values of sequences",
    "lines in classes",
    "rolls",
    "sensor",
    "sound",
    "copying",
];

/// What can be done with a model's file.
const COMMANDS: [&str; 11] = [
    "inspect m.safetensors",
    "inspect m.safetensors --json",
    "eval m.safetensors --device cpu --threads 1",
    "eval m.safetensors --device cpu --threads 1 --json",
    "predict m.safetensors --device cpu --threads 1 --out predicted.csv",
    "sample m.safetensors --length 20 --device cpu --threads 1",
    "forecast m.safetensors --rows 3 --device cpu --threads 1 --out forecast.csv --svg forecast.svg",
    "apply m.safetensors dry.wav --out applied.wav --device cpu --threads 1",
    "export m.safetensors m.onnx",
    "export m.safetensors weights.safetensors --names lstm,fc",
    "flow m.safetensors --device cpu --threads 1 --json",
];

/// The data of a model, where they have to be named.
fn data_of(model: &str) -> &'static str {
    match model {
        "several columns" | "sensor" => "series series.csv",
        "sound" => "audio dry.wav wet.wav",
        "lanes of a text" | "bytes" => "text text.txt",
        "classes of sequences" => "sequences classes.ts",
        "values of sequences" => "sequences values.csv",
        "lines in classes" => "classes names",
        "rolls" => "rolls rolls.json",
        _ => "",
    }
}

#[test]
fn a_corrupted_model_is_read_or_refused() {
    let wholes = Wholes::default();
    each("mutated models", 160, |case| {
        let name = case.pick(&MODELS);
        let run = Run::named(name);
        let (whole, _) = wholes.of(run)?;
        data(case.folder());
        let original = fs::read(whole.join(OUT).join("model.safetensors")).unwrap();
        let mut tensors = Tensors::of(&original).ok_or("expected tensors")?;
        let mut bytes = None;
        for _ in 0..1 + case.below(2) {
            match case.below(10) {
                0..=5 => {
                    let text = tensors.header["__metadata__"]["bptt"].as_str().unwrap_or("{}").to_owned();
                    let mut description: Value = serde_json::from_str(&text).unwrap_or_default();
                    change_value(&mut description, case);
                    tensors.header["__metadata__"] = json!({"bptt": description.to_string()});
                }
                6..=8 => tensors.change_tensor(case),
                _ => {
                    let mut changed = tensors.to_bytes();
                    change_bytes(&mut changed, &original[..original.len() / 2], case);
                    bytes = Some(changed);
                }
            }
        }
        fs::write(case.folder().join("m.safetensors"), bytes.unwrap_or_else(|| tensors.to_bytes())).unwrap();
        for _ in 0..2 {
            let command = if case.chance(15) {
                format!(
                    "train {} --init-from m.safetensors --steps 2 --device cpu --threads 1 --out begun",
                    data_of(name)
                )
            } else {
                let command = case.pick(&COMMANDS);
                let takes_data = ["eval", "predict"].iter().any(|name| command.starts_with(name));
                format!("{command} {}", if takes_data || command.starts_with("flow") { data_of(name) } else { "" })
            };
            let ended = case.bptt(&command).go().map_err(|reason| format!("{name}: {reason}"))?;
            // Each writes what must not exist yet.
            for file in ["predicted.csv", "forecast.csv", "forecast.svg", "m.onnx", "weights.safetensors"] {
                let _ = fs::remove_file(case.folder().join(file));
            }
            let _ = fs::remove_dir_all(case.folder().join("begun"));
            drop(ended);
        }
        Ok(())
    });
}

/// A description that promises more than the file has.
#[test]
fn a_small_model_file_that_declares_a_huge_network_is_refused() {
    let wholes = Wholes::default();
    each("huge models", 24, |case| {
        let (whole, _) = wholes.of(Run::named("sunspots"))?;
        let original = fs::read(whole.join(OUT).join("model.safetensors")).unwrap();
        let mut tensors = Tensors::of(&original).ok_or("expected tensors")?;
        let text = tensors.header["__metadata__"]["bptt"].as_str().unwrap_or("{}").to_owned();
        let mut description: Value = serde_json::from_str(&text).unwrap_or_default();
        let size = case.pick(&["layers", "layers", "hidden_size", "input_size", "outputs"]);
        let number = case.pick(&[1u64 << 20, 1 << 24, 1 << 31, 1 << 32, 1 << 40, 1 << 62, u64::MAX]);
        let part = if size == "outputs" { "head" } else { "recurrent" };
        description["model"][part][size] = json!(number);
        if case.chance(30) {
            description["model"]["embedding"] = json!({"vocabulary": number, "tied": case.chance(50)});
        }
        if case.chance(50) {
            // Without its tensors the file has some hundred bytes.
            tensors = Tensors { header: json!({}), numbers: Vec::new() };
        }
        tensors.header["__metadata__"] = json!({"bptt": description.to_string()});
        fs::write(case.folder().join("m.safetensors"), tensors.to_bytes()).unwrap();
        let command = case.pick(&COMMANDS);
        let ended = case.bptt(command).go()?;
        // `inspect` shows what is there, whatever is said of it.
        if ended.code == 0 && !command.starts_with("inspect") { ended.wrong("expected a refusal") } else { Ok(()) }
    });
}
