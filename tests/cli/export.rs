//! Trained networks for other programs, from outside.

use crate::common::onnx;
use crate::common::onnx::Value;
use crate::common::program::{bptt, refused, train};
use bptt::StateDict;
use bptt::interchange::onnx::state_dict;
use bptt::ndarray::ArrayD;
use bptt::{Cell, Head, Loss, Model, Readout, Recurrent};

/// A run of a few steps, in the folder `a`.
fn run(arguments: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", &format!("{arguments} --hidden 4 --steps 2"));
    folder
}

fn read(folder: &tempfile::TempDir, file: &str) -> StateDict {
    StateDict::from_safetensors(&std::fs::read(folder.path().join(file)).unwrap()).unwrap()
}

fn export(folder: &tempfile::TempDir, arguments: &str) -> String {
    let output = bptt(folder.path(), &format!("export {arguments}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_is_exported_to_onnx_with_its_weights_and_description() {
    let folder = run("task adding --length 6 --cell gru --layers 2");
    let said = export(&folder, "a model.onnx");
    for part in ["model.onnx, ", "x [T, B, 2], lengths [B], h_0 [2, B, 4]", "y, logits [1, B, 1], h_n [2, B, 4]"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let file = onnx::Model::read(&std::fs::read(folder.path().join("model.onnx")).unwrap());
    assert_eq!(file.inputs, ["x: 1 [T, B, 2]", "lengths: 6 [B]", "h_0: 1 [2, B, 4]"]);
    let own = std::fs::read(folder.path().join("a/model.safetensors")).unwrap();
    assert_eq!(file.notes[0], ("bptt".to_owned(), StateDict::safetensors_note(&own, "bptt").unwrap().unwrap()));
    let arrays = file.constants.iter().filter_map(|(name, value)| match value {
        Value::Float(array) if name.starts_with(['W', 'R', 'B']) => Some((name.clone(), array.mapv(|x| x as f32))),
        _ => None,
    });
    let model = Model::new(Recurrent::new(Cell::Gru, 2, 4).layers(2), Head::new(1, Loss::SquaredError, Readout::Final));
    let weights = state_dict(&model, &arrays.collect::<StateDict>()).unwrap();
    assert_eq!(weights, read(&folder, "a/model.safetensors"));
}

#[test]
fn a_token_network_is_exported_with_token_inputs() {
    let folder = run("task copy --length 4 --cell lstm");
    let said = export(&folder, "a/model.safetensors model.onnx");
    assert!(said.contains("tokens [T, B] below "), "{said}");
    let file = onnx::Model::read(&std::fs::read(folder.path().join("model.onnx")).unwrap());
    assert_eq!(file.inputs[0], "tokens: 7 [T, B]");
    let said = export(&folder, "a step.onnx --step");
    assert!(said.contains("inputs    tokens [1, B] below ") && said.contains(", h_0, c_0 [1, B, 4]"), "{said}");
    let file = onnx::Model::read(&std::fs::read(folder.path().join("step.onnx")).unwrap());
    assert_eq!(file.inputs, ["tokens: 7 [1, B]", "h_0: 1 [1, B, 4]", "c_0: 1 [1, B, 4]"]);
}

/// What the exported run says of its inputs and outputs.
fn interface(folder: &tempfile::TempDir) -> serde_json::Value {
    export(folder, "a model.onnx");
    let file = onnx::Model::read(&std::fs::read(folder.path().join("model.onnx")).unwrap());
    let (_, text) = file.notes.iter().find(|(key, _)| key == "bptt_interface").unwrap();
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_onnx_file_of_a_series_names_every_input_and_output() {
    let folder = tempfile::tempdir().unwrap();
    let row = |t: usize| {
        let b = if t == 5 { String::new() } else { format!("{}", t % 3) };
        format!("{t},{},{b},{},{}\n", t % 5, t % 4, t % 7)
    };
    let rows: String = (0..60).map(row).collect();
    std::fs::write(folder.path().join("s.csv"), format!("t,a,b,k,c\n{rows}")).unwrap();
    let arguments =
        "series s.csv --target a,c --features b --known k --window 6 --horizon 2 --missing mask --quantiles 0.1,0.9";
    train(folder.path(), "a", &format!("{arguments} --hidden 4 --steps 2"));
    let interface = interface(&folder);
    let columns = interface["input"]["columns"].as_array().unwrap();
    let named: Vec<(String, u64)> = columns
        .iter()
        .map(|column| {
            let name = column["column"].as_str().map_or_else(|| format!("mask {}", column["mask"]), str::to_owned);
            (name, column["rows_ahead"].as_u64().unwrap())
        })
        .collect();
    let expected = [("a", 0), ("c", 0), ("b", 0), ("mask \"b\"", 0), ("k", 2)];
    assert_eq!(named, expected.map(|(name, ahead)| (name.to_owned(), ahead)));
    assert_eq!(interface["input"]["window"], 6);
    let outputs = interface["outputs"]["each"].as_array().unwrap();
    let order: Vec<String> = outputs
        .iter()
        .map(|output| format!("{} {} {}", output["step"], output["column"].as_str().unwrap(), output["quantile"]))
        .collect();
    let expected = ["1 a 0.1", "1 a 0.9", "1 c 0.1", "1 c 0.9", "2 a 0.1", "2 a 0.9", "2 c 0.1", "2 c 0.9"];
    assert_eq!(order, expected);
    assert!(outputs.iter().all(|output| output["unit"].as_f64().unwrap() > 0.0));
    assert!(interface["outputs"]["sort"].as_str().unwrap().contains("ascending order"));
}

#[test]
fn the_onnx_file_of_a_text_classifier_names_every_token_and_class() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("c")).unwrap();
    for (class, lines) in [("x", "ab\nba\naab\nbba\n"), ("y", "cd\ndc\nccd\nddc\n"), ("z", "ef\nfe\neef\nffe\n")] {
        std::fs::write(folder.path().join("c").join(format!("{class}.txt")), lines).unwrap();
    }
    train(folder.path(), "a", "classes c --hidden 4 --steps 2 --split 1,0,0");
    let interface = interface(&folder);
    assert_eq!(interface["input"]["tokens"], serde_json::json!(["a", "b", "c", "d", "e", "f"]));
    assert_eq!(interface["input"]["unknown"], 6);
    assert_eq!(interface["outputs"]["each"], serde_json::json!(["x", "y", "z"]));
}

#[test]
fn exported_weights_use_the_names_of_a_module() {
    let folder = run("task adding --length 6");
    export(&folder, "a plain.safetensors");
    assert_eq!(read(&folder, "plain.safetensors"), read(&folder, "a/model.safetensors"));
    export(&folder, "a named.safetensors --names encoder.lstm,");
    let named = read(&folder, "named.safetensors");
    let names: Vec<&str> = named.iter().map(|(name, _)| name).collect();
    let stems = ["bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0"].map(|stem| format!("encoder.lstm.{stem}"));
    assert_eq!(names, [&["bias".to_owned()], &stems[..], &["weight".to_owned()]].concat());
    let weight: &ArrayD<f32> = named.get("weight").unwrap();
    assert_eq!(Some(weight), read(&folder, "a/model.safetensors").get("head.weight"));
}

#[test]
fn wrong_export_arguments_are_refused_and_nothing_is_overwritten() {
    let folder = run("task adding --length 6");
    let folder = folder.path();
    std::fs::write(folder.join("there.onnx"), "kept").unwrap();
    refused(folder, "export a there.onnx", 2, &["there.onnx", "does not exist yet"]);
    assert_eq!(std::fs::read_to_string(folder.join("there.onnx")).unwrap(), "kept");
    refused(folder, "export a model.pt", 2, &["FILE.onnx, FILE.h or FILE.safetensors", "model.pt"]);
    refused(folder, "export a model", 2, &["FILE.onnx, FILE.h or FILE.safetensors"]);
    refused(folder, "export a model.onnx --names lstm,fc", 2, &["--names", "FILE.safetensors"]);
    refused(folder, "export a w.safetensors --names lstm", 2, &["--names", "two or three attributes", "got lstm"]);
    refused(folder, "export nowhere model.onnx", 1, &["nowhere"]);
    refused(folder, "export there.onnx model.onnx", 1, &["there.onnx", "safetensors"]);
}
