//! Exported models, read back and computed by ONNX's specification: no other program is needed. What ONNX Runtime makes
//! of the same files is checked by hand with `tests/fixtures/onnx_check.py`.

use crate::common::onnx;
use bptt::{
    Backend, Cell, Cpu, EngineOptions, Error, Head, Inference, Input, Layers, Layout, Loss, Model, Parameters, Readout,
    Real, Recurrent, Sequence, StateDict, States,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::common::onnx::{Attribute, Value};
use crate::common::{CELLS, Case, Named, PLACES, assert_close, losses, wide};
use bptt::interchange::onnx::{ModelInput, export, export_step, state_dict, weights};
use bptt::ndarray::{Array1, ArrayD, Axis, s};
use pollster::block_on;

/// Every cell, one and two directions and layers, rows of one and of several lengths, every head;
/// and what else a model may have.
fn cases() -> Vec<Case> {
    let (mut cases, losses) = (Vec::new(), losses());
    for cell in CELLS {
        for (bidirectional, layers) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
            for ragged in [false, true] {
                for at in PLACES {
                    let loss = losses[cases.len() % losses.len()].clone();
                    let case = Case { bidirectional, layers, ragged, at, ..Case::new(cell) }.sizes([7, 5, 3, 4, 3]);
                    cases.push(case.with_loss(loss));
                }
            }
        }
        let case = Case { ragged: true, loss: Loss::CrossEntropy, ..Case::new(cell) };
        cases.push(Case { bias: false, layers: 3, bidirectional: true, ..case.clone() });
        cases.extend(PLACES.map(|at| Case { reverse: true, layers: 2, at, ..case.clone() }.sizes([7, 5, 3, 4, 3])));
        cases.push(Case { tokens: true, ..case.clone() }.sizes([9, 4, 13, 5, 13]));
        cases.push(Case { tokens: true, at: Readout::Final, layers: 2, ..case.clone() }.sizes([6, 3, 7, 5, 2]));
        let embedded = Case { layers: 2, bidirectional: true, ..case.clone() }.sizes([6, 5, 3, 4, 3]);
        cases.push(embedded.clone().embedded(9));
        cases.push(embedded.tied(9));
        cases.push(case.sizes([1, 1, 1, 1, 1]));
    }
    cases
}

fn reads(case: &Case) -> ModelInput {
    if case.tokens { ModelInput::Tokens } else { ModelInput::Dense }
}

fn parameters(model: &Model, case: &Case) -> StateDict {
    Layout::new(model).to_state_dict::<f32>(&case.parameters(model))
}

/// The case's sequence with NaN, or a token that is none, at padding.
fn poisoned<R: Real>(case: &Case) -> Sequence<R> {
    let mut sequence: Sequence<R> = case.sequence();
    let lengths: Vec<usize> = (0..case.rows).map(|row| sequence.length(row)).collect();
    match &mut sequence.input {
        Input::Dense(x) => x
            .indexed_iter_mut()
            .filter(|((t, row, _), _)| *t >= lengths[*row])
            .for_each(|(_, value)| *value = R::from_f64(f64::NAN)),
        Input::Tokens(tokens) => tokens
            .indexed_iter_mut()
            .filter(|((t, row), _)| *t >= lengths[*row])
            .for_each(|(_, token)| *token = 1 << 20),
        _ => unreachable!("the crate has no third kind"),
    }
    sequence
}

fn states<R: Real>(states: &States<R>, end: &str) -> Named {
    let both = [("h", Some(&states.h)), ("c", states.c.as_ref())];
    both.into_iter().filter_map(|(letter, array)| Some((format!("{letter}_{end}"), wide(array?)))).collect()
}

/// What the graph's inputs are for a sequence.
fn inputs<R: Real>(sequence: &Sequence<R>) -> BTreeMap<String, Value> {
    let input = match &sequence.input {
        Input::Dense(x) => ("x".to_owned(), Value::Float(wide(x))),
        Input::Tokens(tokens) => ("tokens".to_owned(), Value::Int(tokens.mapv(i64::from).into_dyn())),
        _ => unreachable!("the crate has no third kind"),
    };
    let lengths = (0..sequence.shape().1).map(|row| sequence.length(row) as i64);
    let lengths = ("lengths".to_owned(), Value::Int(Array1::from_iter(lengths).into_dyn()));
    let initial = states(sequence.initial.as_ref().unwrap(), "0").into_iter();
    initial.map(|(name, array)| (name, Value::Float(array))).chain([input, lengths]).collect()
}

/// What the crate itself says: `y`, `logits`, `h_n`, `c_n`.
fn answers<B: Backend>(backend: &B, case: &Case) -> Named {
    let model = case.model();
    let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let said = block_on(engine.logits(&poisoned::<f32>(case))).unwrap();
    let mut y = said.logits.clone();
    case.loss.output(&mut y);
    let mut named = vec![("y".to_owned(), wide(&y)), ("logits".to_owned(), wide(&said.logits))];
    named.extend(states(&said.states, "n"));
    named
}

#[test]
fn an_exported_model_computes_what_the_engine_computes() {
    let backend = Cpu::<f64>::with_threads(1).unwrap();
    for case in cases() {
        let model = case.model();
        let file = export(&model, &parameters(&model, &case), reads(&case), &[]).unwrap();
        let got = onnx::Model::read(&file).run(inputs(&poisoned::<f64>(&case)));
        let want = answers(&backend, &case);
        assert_eq!(got.len(), want.len(), "{case}");
        for (name, want) in &want {
            assert_close(&format!("{case}: {name}"), &got[name], want, 1e-12, 1e-2);
        }
    }
}

/// Cases without a reverse direction and padding.
fn forward_cases() -> impl Iterator<Item = Case> {
    cases().into_iter().filter(|case| !case.bidirectional && !case.reverse && !case.ragged)
}

#[test]
fn a_step_by_step_export_computes_what_the_engine_computes_of_the_whole() {
    let backend = Cpu::<f64>::with_threads(1).unwrap();
    let mut seen = 0;
    for case in forward_cases() {
        let model = case.model();
        let file = export_step(&model, &parameters(&model, &case), reads(&case), &[]).unwrap();
        let file = onnx::Model::read(&file);
        let sequence = poisoned::<f64>(&case);
        let mut next = inputs(&sequence);
        next.remove("lengths");
        if case.at == Readout::MeanPool {
            let zeros = |size| Value::Float(ArrayD::zeros(vec![1, case.rows, size]));
            next.extend([("mean_0".to_owned(), zeros(case.hidden)), ("count_0".to_owned(), zeros(1))]);
        }
        let want: BTreeMap<String, ArrayD<f64>> = answers(&backend, &case).into_iter().collect();
        for t in 0..case.steps {
            match &sequence.input {
                Input::Dense(x) => next.insert("x".into(), Value::Float(wide(&x.slice(s![t..=t, .., ..]).to_owned()))),
                Input::Tokens(tokens) => {
                    let tokens = tokens.slice(s![t..=t, ..]).mapv(i64::from).into_dyn();
                    next.insert("tokens".into(), Value::Int(tokens))
                }
                _ => unreachable!("the crate has no third kind"),
            };
            let got = file.run(next.clone());
            for name in ["y", "logits"] {
                let want = match case.at {
                    Readout::PerStep => want[name].slice_axis(Axis(0), (t..=t).into()).to_owned(),
                    _ if t + 1 < case.steps => continue,
                    _ => want[name].clone(),
                };
                assert_close(&format!("{case}: {name} of step {t}"), &got[name], &want, 1e-12, 1e-2);
                seen += 1;
            }
            let states = got.into_iter().filter_map(|(name, array)| Some((name.strip_suffix("_n")?.to_owned(), array)));
            next = states.map(|(name, array)| (format!("{name}_0"), Value::Float(array))).collect();
        }
        for state in next.keys().filter(|name| ["h_0", "c_0"].contains(&name.as_str())) {
            let Value::Float(got) = &next[state] else { panic!("{state}") };
            assert_close(&format!("{case}: {state}"), got, &want[&state.replace('0', "n")], 1e-12, 1e-2);
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn a_step_of_a_network_that_reads_from_the_end_is_refused() {
    let case = Case { bidirectional: true, ..Case::new(Cell::Gru) };
    let model = case.model();
    let error = export_step(&model, &parameters(&model, &case), ModelInput::Dense, &[]).unwrap_err().to_string();
    assert!(error.contains("needs a network that reads forward"), "{error}");
}

#[test]
fn a_headless_model_exports_its_output() {
    let backend = Cpu::<f64>::with_threads(1).unwrap();
    for cell in CELLS {
        let case = Case { ragged: true, layers: 2, bidirectional: true, ..Case::new(cell) };
        let model = case.headless();
        let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
        engine.set_parameters(&case.parameters(&model)).unwrap();
        let sequence = poisoned(&case);
        let want = block_on(engine.forward(&sequence)).unwrap();
        let file = export(&model, &parameters(&model, &case), ModelInput::Dense, &[]).unwrap();
        let got = onnx::Model::read(&file).run(inputs(&sequence));
        assert_close(&format!("{case}"), &got["output"], &wide(&want.output), 1e-12, 1e-2);
        for (name, want) in states(&want.states, "n") {
            assert_close(&format!("{case}: {name}"), &got[&name], &want, 1e-12, 1e-2);
        }
    }
}

#[test]
fn the_file_records_versions_inputs_outputs_and_notes() {
    let model = Model::new(
        Recurrent::new(Cell::Lstm, 3, 4).layers(2).bidirectional(true),
        Head::new(5, Loss::CrossEntropy, Readout::Final),
    );
    let weights = Layout::new(&model).to_state_dict(&vec![0.5_f32; Layout::new(&model).len()]);
    let notes = [("bptt", "{\"format\":1}"), ("licence", "none — at all")];
    let file = onnx::Model::read(&export(&model, &weights, ModelInput::Dense, &notes).unwrap());
    assert_eq!((file.ir_version, file.opset), (8, (String::new(), 17)));
    assert_eq!(file.producer, ("bptt".into(), env!("CARGO_PKG_VERSION").into()));
    assert_eq!(file.notes, notes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(file.name, "lstm");
    assert_eq!(file.inputs, ["x: 1 [T, B, 3]", "lengths: 6 [B]", "h_0: 1 [4, B, 4]", "c_0: 1 [4, B, 4]"]);
    assert_eq!(file.outputs, ["y: 1 [1, B, 5]", "logits: 1 [1, B, 5]", "h_n: 1 [4, B, 4]", "c_n: 1 [4, B, 4]"]);

    let model = Model::new(Recurrent::new(Cell::Gru, 3, 4), Head::new(3, Loss::CrossEntropy, Readout::PerStep));
    let weights = Layout::new(&model).to_state_dict(&vec![0.5_f32; Layout::new(&model).len()]);
    let file = onnx::Model::read(&export(&model, &weights, ModelInput::Tokens, &[]).unwrap());
    assert_eq!(file.inputs, ["tokens: 7 [T, B]", "lengths: 6 [B]", "h_0: 1 [1, B, 4]"]);
    assert_eq!(file.outputs, ["y: 1 [T, B, 3]", "logits: 1 [T, B, 3]", "h_n: 1 [1, B, 4]"]);
}

#[test]
fn layers_are_connected_node_by_node() {
    let model = Model::new(
        Recurrent::new(Cell::Gru, 3, 4).layers(2).bidirectional(true),
        Head::new(5, Loss::BinaryCrossEntropy, Readout::Final),
    );
    let weights = Layout::new(&model).to_state_dict(&vec![0.5_f32; Layout::new(&model).len()]);
    let file = onnx::Model::read(&export(&model, &weights, ModelInput::Dense, &[]).unwrap());
    let lines = file.nodes.iter().map(|node| {
        assert_eq!(node.name, *node.outputs.iter().find(|output| !output.is_empty()).unwrap());
        format!("{} = {}({})", node.outputs.join(" "), node.operator, node.inputs.join(" "))
    });
    let expected = [
        "h_0_l0 h_0_l1 = Split(h_0 directions)",
        "Y_l0 h_n_l0 = GRU(x W_l0 R_l0 B_l0 lengths h_0_l0)",
        "by_row_l0 = Transpose(Y_l0)",
        "output_l0 = Reshape(by_row_l0 side_by_side)",
        " h_n_l1 = GRU(output_l0 W_l1 R_l1 B_l1 lengths h_0_l1)",
        "h_n = Concat(h_n_l0 h_n_l1)",
        "final_by_row = Transpose(h_n_l1)",
        "features = Reshape(final_by_row one_prediction)",
        "product = MatMul(features W_head)",
        "logits = Add(product B_head)",
        "y = Sigmoid(logits)",
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    let gru = &file.nodes[1].attributes;
    let attributes = [
        ("direction", Attribute::Text("bidirectional".into())),
        ("hidden_size", Attribute::Int(4)),
        ("linear_before_reset", Attribute::Int(1)),
    ];
    assert_eq!(gru.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>(), attributes);
}

#[test]
fn exported_arrays_read_back_as_the_state_dict() {
    for case in cases() {
        let model = case.model();
        let dict = parameters(&model, &case);
        assert_eq!(state_dict(&model, &weights(&model, &dict).unwrap()).unwrap(), dict, "{case}");
    }
}

#[test]
fn gates_are_in_the_order_of_the_specification() {
    // One hidden unit and one input, both directions: each number tells where it came from.
    let model = |cell| Model::headless(Recurrent::new(cell, 1, 1).bidirectional(true));
    let numbered = |model: &Model| {
        let block: Vec<f32> = (1..=Layout::new(model).len()).map(|number| number as f32).collect();
        weights(model, &Layout::new(model).to_state_dict(&block)).unwrap()
    };
    let rows = |dict: &StateDict, name: &str| dict.get(name).unwrap().iter().copied().collect::<Vec<_>>();
    // PyTorch: i, f, g, o are 1 to 4 in weight_ih, 5 to 8 in weight_hh, 9 to 12 in bias_ih, 13 to 16 in bias_hh.
    let lstm = numbered(&model(Cell::Lstm));
    assert_eq!(rows(&lstm, "W_l0"), [1.0, 4.0, 2.0, 3.0, 17.0, 20.0, 18.0, 19.0]);
    assert_eq!(rows(&lstm, "R_l0"), [5.0, 8.0, 6.0, 7.0, 21.0, 24.0, 22.0, 23.0]);
    assert_eq!(rows(&lstm, "B_l0")[..8], [9.0, 12.0, 10.0, 11.0, 13.0, 16.0, 14.0, 15.0]);
    assert_eq!(lstm.get("B_l0").unwrap().shape(), [2, 8]);
    // r, z, n.
    let gru = numbered(&model(Cell::Gru));
    assert_eq!(rows(&gru, "W_l0"), [2.0, 1.0, 3.0, 14.0, 13.0, 15.0]);
    assert_eq!(rows(&gru, "B_l0")[..6], [8.0, 7.0, 9.0, 11.0, 10.0, 12.0]);
}

#[test]
fn all_mismatched_weights_are_named() {
    let model = Case::new(Cell::Gru).model();
    let Err(Error::StateDict(lines)) = export(&model, &StateDict::default(), ModelInput::Dense, &[]) else { panic!() };
    assert_eq!(lines.len(), 6, "{lines:?}");
    let Err(Error::StateDict(lines)) = state_dict(&model, &parameters(&model, &Case::new(Cell::Gru))) else { panic!() };
    assert!(lines.contains(&"missing: W_l0 [1, 9, 2]".to_owned()), "{lines:?}");
    assert!(lines.contains(&"unexpected: head.bias [2]".to_owned()), "{lines:?}");
}

/// For `tests/fixtures/onnx_check.py`, which names a folder for them: each case as a model, and beside it what goes in
/// and what the crate says in f32.
#[test]
fn the_cases_are_written_for_onnx_runtime() {
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("ONNX_CASES").map_or(own.path().to_owned(), PathBuf::from);
    for (number, case) in cases().iter().enumerate() {
        let model = case.model();
        let file = export(&model, &parameters(&model, case), reads(case), &[("case", &case.to_string())]).unwrap();
        let path = folder.join(format!("{number:03}"));
        std::fs::write(path.with_extension("onnx"), file).unwrap();
        if !case.bidirectional && !case.reverse && !case.ragged {
            let step = export_step(&model, &parameters(&model, case), reads(case), &[]).unwrap();
            std::fs::write(folder.join(format!("{number:03}_step.onnx")), step).unwrap();
        }
        let named = inputs(&poisoned::<f32>(case)).into_iter().map(|(name, value)| match value {
            Value::Float(array) => (format!("input/{name}"), array),
            Value::Int(array) => (format!("input/{name}"), array.mapv(|value| value as f64)),
            Value::Bool(_) => panic!("{name}"),
        });
        let said = answers(&Cpu::<f32>::new(), case).into_iter();
        let all: Vec<(String, ArrayD<f64>)> =
            named.chain(said.map(|(name, array)| (format!("output/{name}"), array))).collect();
        let dict: StateDict = all.into_iter().map(|(name, array)| (name, array.mapv(|value| value as f32))).collect();
        std::fs::write(path.with_extension("safetensors"), dict.to_safetensors(None).unwrap()).unwrap();
        let read = std::fs::read(path.with_extension("safetensors")).unwrap();
        assert!(StateDict::from_safetensors(&read).unwrap().to_safetensors(None).unwrap() == read, "{case}");
    }
}
