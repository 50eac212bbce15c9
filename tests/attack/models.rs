//! Models whose description or tensors are not those of any network.

use std::fs;

use serde_json::{Value, json};

use super::case::each;
use super::changes::Tensors;
use super::runs::{OUT, Run, Wholes};

/// What can be done with a model's file.
const COMMANDS: [&str; 10] = [
    "inspect m.safetensors",
    "inspect m.safetensors --json",
    "eval m.safetensors --device cpu --threads 1",
    "eval m.safetensors --device cpu --threads 1 --json",
    "predict m.safetensors --device cpu --threads 1 --out predicted.csv",
    "sample m.safetensors --length 20 --device cpu --threads 1",
    "forecast m.safetensors --rows 3 --device cpu --threads 1 --out forecast.csv --svg forecast.svg",
    "export m.safetensors m.onnx",
    "export m.safetensors weights.safetensors --names lstm,fc",
    "flow m.safetensors --device cpu --threads 1 --json",
];

/// A description that promises more than the file has.
#[test]
fn a_small_model_file_that_promises_a_huge_network_is_refused() {
    let wholes = Wholes::default();
    each("huge models", 24, |case| {
        let (whole, _) = wholes.of(Run::named("sunspots"))?;
        let original = fs::read(whole.join(OUT).join("model.safetensors")).unwrap();
        let mut tensors = Tensors::of(&original).ok_or("expected tensors")?;
        let text = tensors.header["__metadata__"]["bptt"].as_str().unwrap_or("{}").to_owned();
        let mut description: Value = serde_json::from_str(&text).unwrap_or_default();
        let size = case.pick(&["layers", "layers", "hidden_size", "input_size", "outputs"]);
        let number = case.pick(&[1u64 << 20, 1 << 24, 1 << 31, 1 << 32, 1 << 40, 1 << 62, u64::MAX]);
        description[size] = json!(number);
        if case.chance(30) {
            description["embedding"] = json!({"vocabulary": number, "tied": case.chance(50)});
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
        match ended.code == 0 && !command.starts_with("inspect") {
            true => ended.wrong("expected a refusal"),
            false => Ok(()),
        }
    });
}
