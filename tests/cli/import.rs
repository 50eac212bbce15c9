//! Files from elsewhere, and files that were damaged, from outside: what is wrong is told whole, by name, and nothing
//! is written.

use std::path::Path;

use crate::common::program::{bptt, refused, train};
use bptt::StateDict;
use bptt::ndarray::ArrayD;

/// A folder with a run of a small network, `a`: rnn.* of 4 hidden units, head.* of one output.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "task adding --length 6 --hidden 4 --steps 2");
    folder
}

/// The weights of the run, and the description in its file.
fn model(folder: &Path) -> (StateDict, String) {
    let bytes = std::fs::read(folder.join("a/model.safetensors")).unwrap();
    let description = StateDict::safetensors_note(&bytes, "bptt").unwrap().unwrap();
    (StateDict::from_safetensors(&bytes).unwrap(), description)
}

fn write(folder: &Path, file: &str, weights: &StateDict, description: &str) {
    std::fs::write(folder.join(file), weights.to_safetensors(Some(("bptt", description))).unwrap()).unwrap();
}

/// A file of a header, and so many bytes of zero.
fn raw(folder: &Path, file: &str, header: &str, data: usize) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    std::fs::write(folder.join(file), bytes).unwrap();
}

/// Every command that reads a model's file refuses this one, in words that have its name and `parts`.
#[track_caller]
fn refused_by_all(folder: &Path, file: &str, parts: &[&str]) {
    let parts = [&[file], parts].concat();
    let run = "--device cpu --length 6";
    refused(folder, &format!("inspect {file}"), 1, &parts);
    refused(folder, &format!("inspect {file} --json"), 1, &parts);
    refused(folder, &format!("train task adding {run} --steps 1 --out c --init-from {file}"), 1, &parts);
    refused(folder, &format!("eval {file} {run}"), 1, &parts);
    refused(folder, &format!("export {file} c.onnx"), 1, &parts);
    refused(folder, &format!("export {file} c.safetensors"), 1, &parts);
}

#[test]
fn all_missing_unexpected_and_mismatched_tensors_are_listed_with_the_file() {
    let folder = folder();
    let (weights, description) = model(folder.path());
    let kept = weights.iter().filter(|(name, _)| *name != "rnn.bias_hh_l0").map(|(name, array)| match name {
        "head.weight" => (name.to_owned(), array.t().to_owned()),
        _ => (name.to_owned(), array.clone()),
    });
    let other = ("embedding.weight".to_owned(), ArrayD::zeros(vec![5, 2]));
    write(folder.path(), "wrong.safetensors", &kept.chain([other]).collect(), &description);
    let lines = [
        "missing: rnn.bias_hh_l0 [16]",
        "shape mismatch: head.weight: expected [1, 4], got [4, 1]",
        "unexpected: embedding.weight [5, 2]",
    ];
    refused_by_all(folder.path(), "wrong.safetensors", &lines);
}

#[test]
fn weights_with_another_hidden_size_than_the_description_are_refused() {
    let folder = folder();
    let (weights, description) = model(folder.path());
    let other = description.replace("\"hidden_size\":4", "\"hidden_size\":5");
    assert_ne!(other, description);
    write(folder.path(), "other.safetensors", &weights, &other);
    let lines = ["rnn.weight_hh_l0: expected [20, 5], got [16, 4]", "head.weight: expected [1, 5], got [1, 4]"];
    refused_by_all(folder.path(), "other.safetensors", &lines);
}

#[test]
fn an_invalid_safetensors_file_is_refused_with_the_reason() {
    let folder = folder();
    let folder = folder.path();
    let tensor = |name: &str, kind: &str, begin: usize| {
        format!(r#""{name}":{{"dtype":"{kind}","shape":[2],"data_offsets":[{begin},{}]}}"#, begin + 8)
    };
    raw(folder, "overlap.safetensors", &format!("{{{},{}}}", tensor("w", "F32", 0), tensor("v", "F32", 4)), 12);
    raw(folder, "twice.safetensors", &format!("{{{},{}}}", tensor("w", "F32", 0), tensor("w", "F32", 0)), 8);
    raw(folder, "integers.safetensors", &format!("{{{}}}", tensor("w", "I32", 0)), 8);
    raw(folder, "cut.safetensors", &format!("{{{}}}", tensor("w", "F32", 0)), 7);
    std::fs::write(folder.join("huge.safetensors"), [&(4_u64 << 30).to_le_bytes()[..], b"{}"].concat()).unwrap();
    std::fs::write(folder.join("empty.safetensors"), "").unwrap();
    refused_by_all(folder, "overlap.safetensors", &["invalid offset for tensor `v`"]);
    refused_by_all(folder, "twice.safetensors", &["names w twice"]);
    let shown = bptt(folder, "inspect integers.safetensors");
    assert!(shown.status.success(), "{shown:?}");
    assert!(String::from_utf8(shown.stdout).unwrap().contains("I32"));
    refused_by_all(folder, "cut.safetensors", &["the file was truncated"]);
    refused_by_all(folder, "huge.safetensors", &["a header of 4294967296 bytes", "a file of 10"]);
    refused_by_all(folder, "empty.safetensors", &["got 0 bytes"]);
}

#[test]
fn a_model_with_an_integer_tensor_is_refused_by_its_name() {
    let folder = folder();
    let (weights, description) = model(folder.path());
    write(folder.path(), "integers.safetensors", &weights, &description);
    let mut bytes = std::fs::read(folder.path().join("integers.safetensors")).unwrap();
    // The first tensor of the header, of elements as wide.
    let at = bytes.windows(5).position(|word| word == b"\"F32\"").unwrap();
    bytes[at..at + 5].copy_from_slice(b"\"I32\"");
    std::fs::write(folder.path().join("integers.safetensors"), bytes).unwrap();
    refused_by_all(folder.path(), "integers.safetensors", &["expected element type F32, F64, F16 or BF16, got I32"]);
}

#[test]
fn both_forms_of_torch_save_are_refused_with_the_conversion() {
    let folder = folder();
    let folder = folder.path();
    // The head of an archive whose first entry is `archive/data.pkl`, and the number with which older ones begin.
    let name = b"archive/data.pkl";
    let archive = [b"PK\x03\x04", &[0; 22][..], &[name.len() as u8, 0, 0, 0], name, b"\x80\x02}q\0."].concat();
    std::fs::write(folder.join("zip.pt"), archive).unwrap();
    std::fs::write(
        folder.join("legacy.pth"),
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9",
    )
    .unwrap();
    for file in ["zip.pt", "legacy.pth"] {
        refused_by_all(folder, file, &["torch.save", "torch.load('x.pt', weights_only=True)", "s.save_file("]);
    }
}

#[test]
fn a_pytorch_state_dict_is_inspected_but_refused_where_a_description_is_needed() {
    let folder = folder();
    let (weights, _) = model(folder.path());
    std::fs::write(folder.path().join("plain.safetensors"), weights.to_safetensors(None).unwrap()).unwrap();
    let shown = bptt(folder.path(), "inspect plain.safetensors");
    assert!(shown.status.success());
    assert!(String::from_utf8(shown.stdout).unwrap().contains("rnn.weight_hh_l0"));
    let parts = ["plain.safetensors", "without its description"];
    refused(folder.path(), "train task adding --device cpu --out c --init-from plain.safetensors", 1, &parts);
    refused(folder.path(), "export plain.safetensors c.onnx", 1, &parts);
}
