//! Gradients through time shown, and proven, from outside.

use crate::common::program;
use crate::common::program::{command, entries, json, refused, succeeds, train};
use serde_json::Value;

fn norms(stack: &Value) -> Vec<f64> {
    stack["norms"].as_array().unwrap().iter().map(|norm| norm.as_f64().unwrap()).collect()
}

#[test]
fn the_gradient_vanishes_in_a_tanh_rnn_and_not_in_an_irnn() {
    let folder = tempfile::tempdir().unwrap();
    let compared =
        json(folder.path(), "flow task adding --length 60 --hidden 16 --steps 3 --device cpu --json --out flow.svg");
    let falls = |network: usize| {
        let norms = norms(&compared["at_initialisation"][network]["stacks"][0]);
        assert_eq!(norms.len(), 60);
        norms[0] / norms[59]
    };
    let names: Vec<&str> =
        compared["at_initialisation"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tanh RNN", "IRNN", "LSTM", "GRU"]);
    assert!(falls(0) < 1e-9, "{}", falls(0));
    assert!((0.1..10.0).contains(&falls(1)), "{}", falls(1));
    assert!(falls(2) > 1e3 * falls(0), "the LSTM loses less, even before it has learned to keep");
    let rnn = &compared["at_initialisation"][0]["stacks"][0];
    let (factor, radius) = (&rnn["factor"]["a_step"], &rnn["spectral_radius"]["weight_hh"]);
    // Where tanh is hardly saturated, W_hh alone makes the factor.
    let share = factor.as_f64().unwrap() / radius.as_f64().unwrap();
    assert!((0.7..1.1).contains(&share), "{rnn}");
    assert!((0.5..1.0).contains(&rnn["mean_derivative"].as_f64().unwrap()));
    let svg = std::fs::read_to_string(folder.path().join("flow.svg")).unwrap();
    for part in ["‖∂L/∂h‖ at initialisation", "after 3 steps", ">tanh RNN ×", ">LSTM ×"] {
        assert!(svg.contains(part), "{part}");
    }
}

#[test]
fn the_gradient_norms_of_a_run_fill_one_line_per_layer_and_direction() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "task adding --length 12 --hidden 4 --layers 2 --bidirectional --steps 2");
    for columns in ["60", "100"] {
        let output = command(folder.path(), "flow a --device cpu").env("COLUMNS", columns).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        for part in ["● l0 ", "▲ l0_reverse ", "■ l1 ", "◆ l1_reverse ", "t = 11", "validation split", "ρ_f "]
        {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        let widest = said.lines().filter(|line| line.contains(['│', '└'])).map(|line| line.chars().count()).max();
        assert_eq!(widest, columns.parse().ok());
    }
    let flow = json(folder.path(), "flow a --device cpu --json");
    let stacks = flow["networks"][0]["stacks"].as_array().unwrap();
    assert_eq!(stacks.iter().map(|of| norms(of).len()).collect::<Vec<_>>(), [12; 4]);
    // Below the last layer a loss arrives from both ends.
    assert!(stacks[0]["factor"].is_null() && stacks[2]["factor"]["over_steps"] == 11, "{flow}");
}

#[test]
fn with_a_loss_at_every_step_only_the_last_is_shown_unless_all_are_requested() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "task copy --length 5 --hidden 4 --steps 2");
    let of = |flags: &str| json(folder.path(), &format!("flow a --device cpu --json {flags}"))["networks"][0].clone();
    let (alone, whole) = (of(""), of("--whole-loss"));
    assert_eq!(alone["stacks"][0]["factor"]["over_steps"], 24);
    assert!(whole["stacks"][0]["factor"].is_null());
    assert!(norms(&alone["stacks"][0])[0] < norms(&whole["stacks"][0])[0]);
}

#[test]
fn networks_that_stop_early_are_reported_with_their_steps() {
    let folder = tempfile::tempdir().unwrap();
    let run = "flow series bundled:sunspots --window 8 --hidden 3 --epochs 30 --patience 1 --lr 0 --device cpu";
    let compared = json(folder.path(), &format!("{run} --json"));
    let planned = compared["steps"].as_u64().unwrap();
    for network in compared["after_training"].as_array().unwrap() {
        // The first validation is the best one, and the second no better.
        assert_eq!(network["steps"].as_u64(), Some(planned / 15), "{network}");
    }
    let said = program::succeeds(folder.path(), run);
    assert!(said.contains(&format!("GRU       {} steps, loss", planned / 15)), "{said}");
}

#[test]
fn runs_are_compared_on_the_data_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    for (name, cell) in [("a", "rnn"), ("b", "gru")] {
        train(folder.path(), name, &format!("task adding --length 12 --hidden 4 --cell {cell} --steps 2"));
    }
    train(folder.path(), "c", "task copy --length 5 --hidden 4 --steps 2");
    let compared = json(folder.path(), "flow --compare a b --device cpu --json");
    let names = compared["networks"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["a (rnn)", "b (gru)"]);
    refused(folder.path(), "flow --compare a c --device cpu", 1, &["c", "reads 10 numbers"]);
    refused(folder.path(), "flow a b", 2, &["--compare"]);
    refused(folder.path(), "flow", 2, &["bptt flow RUN"]);
    refused(folder.path(), "flow a --hidden 3", 2, &["--batch", "--clip"]);
    refused(folder.path(), "flow task adding --cell gru", 2, &["--cell"]);
    refused(folder.path(), "flow a --out c", 2, &["--out c", "does not exist yet"]);
}

#[test]
fn flow_every_writes_the_requested_steps_and_changes_no_weight() {
    let folder = tempfile::tempdir().unwrap();
    let run = "task adding --length 9 --hidden 4 --layers 2 --steps 7 --set training.micro-batch=5";
    train(folder.path(), "plain", run);
    train(folder.path(), "watched", &format!("{run} --set training.flow-every=3"));
    let file = |run: &str, name: &str| std::fs::read(folder.path().join(run).join(name)).unwrap();
    assert_eq!(file("plain", "model.safetensors"), file("watched", "model.safetensors"));
    let text = String::from_utf8(file("watched", "flow.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3, 6]);
    for line in &lines {
        for stack in ["l0", "l1"] {
            assert_eq!(line["norms"][stack].as_array().unwrap().len(), 9, "{line}");
        }
    }
    let report = String::from_utf8(file("watched", "report.html")).unwrap();
    assert!(report.contains("gradient flow in training") && report.contains(">step 6<"));
    assert!(!entries(&folder.path().join("plain")).iter().any(|name| name.starts_with("flow")));
}

#[test]
fn every_cell_passes_the_gradient_check_with_dropout() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        "--layers 2 --bidirectional --dropout 0.2 --set model.recurrent-dropout=0.3 --hidden 3 --elements 20 --json";
    for cell in [
        "rnn",
        "rnn --set model.activation=relu",
        "rnn --set model.activation=sigmoid",
        "lstm --set model.forget-bias=1",
        "gru",
    ] {
        let checked = json(folder.path(), &format!("gradcheck --device cpu --cell {cell} {flags}"));
        assert_eq!(checked["passed"], true);
        let names: Vec<&str> =
            checked["checked"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap()).collect();
        for name in ["rnn.weight_hh_l1_reverse", "head.bias", "dx at step 5", "‖∂L/∂h‖ of l1_reverse at step 0"]
        {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
}

#[test]
fn a_run_passes_the_gradient_check_with_its_own_weights() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "task copy --length 5 --hidden 4 --cell gru --steps 2");
    let said = succeeds(folder.path(), "gradcheck a --device cpu --elements 10");
    assert!(said.contains("gru 10 → 4 → 9") && said.contains("\npassed "), "{said}");
    refused(folder.path(), "gradcheck a --cell gru", 2, &["remove the model flags"]);
    refused(folder.path(), "gradcheck --dropout 1", 2, &["--dropout"]);
    refused(folder.path(), "gradcheck --init-from a", 2, &["bptt gradcheck RUN"]);
}

#[test]
fn a_resumed_run_has_the_gradient_norms_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = "task adding --length 6 --hidden 3 --steps 6 --set training.checkpoint-every=4 --set training.checkpoints=3 --set training.flow-every=2";
    train(folder.path(), "whole", run);
    train(folder.path(), "broken", run);
    let broken = folder.path().join("broken");
    // As if it had been killed after the checkpoint of step 4, with a line behind it.
    for file in ["checkpoints/finished", "checkpoints/step-000000000006.ckpt", "report.html", "flow.svg"] {
        std::fs::remove_file(broken.join(file)).unwrap();
    }
    succeeds(folder.path(), "train --resume broken");
    for file in ["flow.jsonl", "flow.svg", "model.safetensors"] {
        let read = |run: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
        assert_eq!(read("whole"), read("broken"), "{file}");
    }
}

#[test]
fn embeddings_and_all_readouts_pass_the_gradient_check() {
    let folder = tempfile::tempdir().unwrap();
    for flags in ["--embedding 4 --inputs 7", "--embedding 6 --tied --inputs 7", "--predict last", "--predict mean"] {
        let checked = json(folder.path(), &format!("gradcheck --device cpu --elements 30 --json {flags}"));
        assert_eq!(checked["passed"], true, "{flags}");
    }
}

#[test]
fn a_network_with_an_embedding_has_gradient_norms_and_a_mean_derivative() {
    let folder = tempfile::tempdir().unwrap();
    train(
        folder.path(),
        "a",
        "task copy --length 5 --hidden 4 --embedding 3 --cell rnn --layers 2 --dropout 0.2 --steps 2",
    );
    let flow = json(folder.path(), "flow a --device cpu --json");
    for stack in flow["networks"][0]["stacks"].as_array().unwrap() {
        assert!((0.0..=1.0).contains(&stack["mean_derivative"].as_f64().unwrap()), "{stack}");
    }
}
