//! Models as serde types and as files: what is saved is read back, and what a newer version added is refused by its name.

use std::path::Path;

use crate::common::{CELLS, Case, projected};
use crate::random_calls::{Dice, draw_case};
use bptt::ndarray::Array3;
use bptt::{
    Activation, Backend, Cell, Cpu, Embedding, EngineOptions, Error, Head, Inference, Initialisation, Layout, Loss,
    Model, Optimizer, Readout, Recurrent, Reduction, SavedModel, Sequence, StateDict, Trainer, TrainerOptions, Wait,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

/// A model of a few hundred weights with every part.
fn whole() -> Model {
    let recurrent = Recurrent::new(Cell::Rnn(Activation::Relu), 4, 4).layers(2).dropout(0.1).recurrent_dropout(0.2);
    let head = Head::new(6, Loss::SmoothedCrossEntropy { smoothing: 0.1 }, Readout::MeanPool);
    Model::new(recurrent, head.reduction(Reduction::SumOverOutputs)).embedding(Embedding::tied(6))
}

fn saved(model: &Model) -> SavedModel {
    let weights = Layout::new(model).to_state_dict(&Initialisation::default().draw(model, 3).unwrap());
    SavedModel::new(model.clone(), weights)
}

fn bytes(saved: &SavedModel) -> Vec<u8> {
    let mut bytes = Vec::new();
    saved.write_to(&mut bytes).unwrap();
    bytes
}

fn description(saved: &SavedModel) -> Value {
    let text = StateDict::safetensors_note(&bytes(saved), "bptt").unwrap().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A file with the weights and another description.
fn described(saved: &SavedModel, description: &Value) -> bptt::Result<SavedModel> {
    let bytes = saved.weights.to_safetensors(Some(("bptt", &description.to_string()))).unwrap();
    SavedModel::read_from(&bytes[..], bytes.len() as u64)
}

fn refusal(saved: &SavedModel, description: &Value) -> String {
    described(saved, description).unwrap_err().to_string()
}

/// The loaded weights give the same outputs in an engine and in a trainer, whose average begins with them too.
fn hold_opened<B: Backend>(backend: &B) {
    let saved = saved(&whole());
    let tokens = Sequence::tokens(bptt::ndarray::array![[0, 1], [2, 3], [4, 5]]);
    let mut trainer = Trainer::new(backend, saved.model(), Optimizer::sgd(0.1), 1).unwrap();
    trainer.load_state_dict(&saved.weights).unwrap();
    let want = trainer.logits(&tokens).wait().unwrap().logits;
    let mut engine = saved.engine(backend, &EngineOptions::default()).unwrap();
    assert_eq!(engine.logits(&tokens).wait().unwrap().logits, want);
    let options = TrainerOptions::default().engine(EngineOptions::default().ema_decay(0.9));
    let mut opened = saved.trainer(backend, Optimizer::sgd(0.1), 1, options).unwrap();
    assert_eq!(opened.logits(&tokens).wait().unwrap().logits, want);
    assert_eq!(opened.averaged().unwrap().logits(&tokens).wait().unwrap().logits, want);
}

#[test]
fn a_saved_model_opens_as_an_engine_and_as_a_trainer() {
    hold_opened(&Cpu::<f32>::new());
    hold_opened(&Cpu::<f64>::default());
    if let Some(gpu) = crate::common::gpu::gpu() {
        hold_opened(&gpu);
    }
    let mut other = saved(&whole());
    other.weights = saved(&Case::new(Cell::Gru).model()).weights;
    let refused = other.engine(&Cpu::<f32>::new(), &EngineOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::StateDict(_)), "{refused}");
    let refused = other.trainer(&Cpu::<f32>::new(), Optimizer::sgd(0.1), 1, TrainerOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::StateDict(_)), "{refused}");
}

#[test]
fn a_model_of_any_kind_is_read_back_as_it_was_saved() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(1));
    let drawn = (0..300).map(|_| {
        let case = draw_case(&mut dice);
        if dice.one_in(8) { case.headless() } else { case.model() }
    });
    let cells = CELLS.map(|cell| Case::new(cell).model());
    let projected = projected().into_iter().map(|case| case.model());
    for model in drawn.chain(cells).chain(projected).chain([whole()]) {
        let json = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<Model>(&json).unwrap(), model, "{json}");
        let saved = saved(&model).with_step(7).with_metadata("of mine", &(1, "a")).unwrap();
        let bytes = bytes(&saved);
        let read = SavedModel::read_from(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!((read.model(), read.step(), &read.weights), (&model, Some(7), &saved.weights));
        assert_eq!(read.metadata::<(i32, String)>("of mine").unwrap(), Some((1, "a".to_owned())));
        assert!(self::bytes(&read) == bytes, "{json}");
        // In f64.
        let wide = SavedModel::new(model, saved.weights.to::<f64>());
        let mut bytes = Vec::new();
        wide.write_to(&mut bytes).unwrap();
        let read = SavedModel::<f64>::read_from(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(read.weights, wide.weights);
    }
}

#[test]
fn the_form_is_the_one_that_is_documented() {
    let model = json!({
        "embedding": {"vocabulary": 6, "tied": true},
        "recurrent": {
            "cell": {"rnn": "relu"}, "input_size": 4, "hidden_size": 4, "layers": 2, "direction": "forward", "bias": true,
            "dropout": 0.1, "recurrent_dropout": 0.2
        },
        "head": {
            "outputs": 6, "loss": {"smoothed-cross-entropy": {"smoothing": 0.1}}, "readout": "mean",
            "reduction": "sum-over-outputs"
        }
    });
    assert_eq!(serde_json::to_value(whole()).unwrap(), model);
    let file = description(&saved(&whole()).with_step(5).with_metadata("unit", &"kW").unwrap());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(file, json!({"format": 2, "bptt": version, "model": model, "step": 5, "metadata": {"unit": "kW"}}));
    let page = include_str!("../../docs/networks.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    let described: Model = serde_json::from_value(example["model"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&described).unwrap(), example["model"]);
    let weights = Layout::new(&described).to_state_dict(&Initialisation::default().draw(&described, 1).unwrap());
    self::described(&SavedModel::new(described, weights), &example).unwrap();
    // What is left out.
    let least = json!({"recurrent": {"cell": "gru", "input_size": 2, "hidden_size": 3}});
    assert_eq!(serde_json::from_value::<Model>(least).unwrap(), Model::headless(Recurrent::new(Cell::Gru, 2, 3)));
    let head = json!({"outputs": 1, "loss": "squared-error", "readout": "every"});
    let expected = Head::new(1, Loss::SquaredError, Readout::PerStep);
    assert_eq!(serde_json::from_value::<Head>(head).unwrap(), expected);
}

/// The objects of a description, by the path of their keys.
fn objects(value: &mut Value, path: String, each: &mut dyn FnMut(&str, &mut Value)) {
    if value.is_object() {
        each(&path, value);
    }
    for (key, value) in value.as_object_mut().into_iter().flatten() {
        objects(value, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, each);
    }
}

#[test]
fn a_key_of_a_newer_version_is_refused_by_its_name_at_every_level() {
    let saved = saved(&whole());
    let mut newer = description(&saved);
    newer["bptt"] = "0.3.0".into();
    described(&saved, &newer).unwrap();
    let mut paths = Vec::new();
    objects(&mut newer.clone(), String::new(), &mut |path, _| paths.push(path.to_owned()));
    let expected = [
        "",
        "model",
        "model.embedding",
        "model.head",
        "model.head.loss",
        "model.head.loss.smoothed-cross-entropy",
        "model.recurrent",
        "model.recurrent.cell",
    ];
    assert_eq!(paths, expected);
    // An object that is a name with its parameters has one name.
    for path in paths.iter().filter(|path| !path.ends_with("loss") && !path.ends_with("cell")) {
        let mut description = newer.clone();
        objects(&mut description, String::new(), &mut |at, object| {
            if at == path {
                object["zoneout"] = json!({"p": [0.5]});
            }
        });
        let key = if path.is_empty() { "zoneout".to_owned() } else { format!("{path}.zoneout") };
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!("the model's description has `{key}`, which bptt {version} does not know");
        let writer = "it was written by bptt 0.3.0: update bptt";
        assert_eq!(refusal(&saved, &description), format!("{expected}; {writer}"));
        // Not newer: damaged.
        description["bptt"] = version.into();
        assert_eq!(refusal(&saved, &description), format!("{expected}; it was written by bptt {version}"));
        // A later form, of whichever version.
        description["format"] = 3.into();
        assert_eq!(refusal(&saved, &description), format!("{expected}; it was written by bptt {version}: update bptt"));
    }
}

#[test]
fn a_name_of_a_newer_version_is_refused_at_every_level() {
    let saved = saved(&whole());
    let mut newer = description(&saved);
    newer["bptt"] = "0.10.0".into();
    let refused = |pointer: &str, value: Value, what: &str| {
        let mut description = newer.clone();
        *description.pointer_mut(pointer).unwrap() = value;
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "the model's description has {what}, which bptt {version} does not know; it was written by bptt 0.10.0: update bptt"
        );
        assert_eq!(refusal(&saved, &description), expected);
    };
    refused("/model/recurrent/cell", "xlstm".into(), "`xlstm` as `model.recurrent.cell`");
    refused("/model/recurrent/cell", json!({"xlstm": {"heads": 4}}), "`model.recurrent.cell.xlstm`");
    refused("/model/recurrent/cell", json!({"rnn": "swish"}), "`swish` as `model.recurrent.cell.rnn`");
    refused("/model/recurrent/direction", "outward".into(), "`outward` as `model.recurrent.direction`");
    refused("/model/head/loss", "poisson".into(), "`poisson` as `model.head.loss`");
    refused("/model/head/loss", json!({"focal": {"gamma": 2}}), "`model.head.loss.focal`");
    refused("/model/head/readout", "attention".into(), "`attention` as `model.head.readout`");
    refused("/model/head/reduction", "median".into(), "`median` as `model.head.reduction`");
    // Another crate's cell has a name too, by which nothing finds it.
    refused("/model/recurrent/cell", "custom".into(), "`custom` as `model.recurrent.cell`");
}

#[test]
fn a_wrong_value_is_refused_with_its_key_and_the_version_that_wrote_it() {
    let saved = saved(&whole());
    let own = description(&saved);
    let version = env!("CARGO_PKG_VERSION");
    let refused = |pointer: &str, value: Value, expected: &str| {
        let mut description = own.clone();
        *description.pointer_mut(pointer).unwrap() = value;
        assert_eq!(refusal(&saved, &description), format!("the model's description: {expected}"));
    };
    let by = format!("; it was written by bptt {version}");
    let hidden = "/model/recurrent/hidden_size";
    let of = |key: &str, reason: &str| format!("`{key}`: {reason}{by}");
    refused(hidden, "four".into(), &of("model.recurrent.hidden_size", "invalid type: string \"four\", expected usize"));
    refused(hidden, json!(-1), &of("model.recurrent.hidden_size", "invalid value: integer `-1`, expected usize"));
    refused(hidden, json!(0), "hidden_size: expected 1 to 16777216, got 0");
    refused("/model/head", json!({}), &of("model.head", "missing field `outputs`"));
    refused(
        "/model/recurrent/bias",
        json!([true]),
        &of("model.recurrent.bias", "invalid type: sequence, expected a boolean"),
    );
    refused(
        "/model/embedding",
        json!({"vocabulary": 7, "tied": true}),
        "outputs: expected as many as there are tied vectors, 7, got 6",
    );
    let quantile = json!({"quantile": {"quantiles": [0.1, "half"]}});
    let key = "model.head.loss.quantile.quantiles[1]";
    refused("/model/head/loss", quantile, &of(key, "invalid type: string \"half\", expected f64"));
    let mut without = own.clone();
    without.as_object_mut().unwrap().remove("model");
    assert_eq!(refusal(&saved, &without), format!("the model's description: missing field `model`{by}"));
    let mut earlier = own.clone();
    earlier["format"] = 1.into();
    let expected =
        "expected a model of format 2, got format 1: an earlier version of bptt wrote it, and only that one reads it";
    assert_eq!(refusal(&saved, &earlier), expected);
    assert_eq!(
        saved.clone().with_metadata("a", &1).unwrap().metadata::<String>("a").unwrap_err().to_string(),
        format!("the model's description: `metadata.a`: invalid type: integer `1`, expected a string{by}")
    );
}

#[test]
fn a_file_is_saved_whole_or_not_at_all_and_read_with_its_name_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let entries = || folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let (first, second) = (saved(&whole()), saved(&Case::new(Cell::Lstm).model()));
    first.save(&path).unwrap();
    second.save(&path).unwrap();
    assert_eq!(SavedModel::load(&path).unwrap().weights, second.weights);
    // Weights of another model.
    let wrong = SavedModel::new(second.model().clone(), first.weights.clone());
    assert!(matches!(wrong.save(&path), Err(Error::StateDict(_))));
    let mut invalid = second.model().clone();
    invalid.recurrent.layers = 0;
    let invalid = SavedModel::new(invalid, second.weights.clone()).save(&path).unwrap_err();
    assert_eq!(invalid.to_string(), "layers: expected 1 to 64, got 0");
    assert_eq!(SavedModel::load(&path).unwrap().weights, second.weights);
    assert_eq!(entries(), ["model.safetensors"]);
    assert!(matches!(second.save(folder.path().join("no/such.safetensors")), Err(Error::Io { .. })));
    // Each error names the file.
    let named = |path: &Path, expected: &str| {
        let error = SavedModel::load(path).unwrap_err();
        assert!(matches!(error, Error::Data { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("{}: {expected}", path.display()));
    };
    named(folder.path(), "expected a file, got a folder");
    std::fs::write(&path, second.weights.to_safetensors(None).unwrap()).unwrap();
    named(&path, "expected a model that bptt saved, got tensors without its description; see `bptt inspect`");
    let text = description(&second).to_string();
    let other = Layout::new(first.model()).to_state_dict(&Initialisation::default().draw(first.model(), 1).unwrap());
    std::fs::write(&path, other.to_safetensors(Some(("bptt", &text))).unwrap()).unwrap();
    let error = SavedModel::load(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: the state dict does not fit the model:\n", path.display())), "{error}");
    let missing = SavedModel::load(folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, Error::Io { path, .. } if path.ends_with("none")));
}

#[test]
fn a_trainer_goes_on_with_the_weights_that_another_saved() {
    let model = Case::new(Cell::Gru).model();
    let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(1e-2), 1).unwrap();
    let batch = Case::new(Cell::Gru).batch();
    for _ in 0..3 {
        trainer.step(&batch).wait().unwrap();
    }
    let saved = trainer.saved_model().wait().unwrap();
    assert_eq!((saved.step(), saved.written_by()), (Some(3), env!("CARGO_PKG_VERSION")));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gru.safetensors");
    saved.save(&path).unwrap();
    let saved = SavedModel::load(&path).unwrap();
    let mut again = Trainer::new(&Cpu::new(), saved.model(), Optimizer::adam(1e-2), 2).unwrap();
    again.load_state_dict(&saved.weights).unwrap();
    let x = Array3::from_shape_fn((4, 2, model.recurrent.input_size), |(t, b, i)| (t + b + i) as f32 / 7.0);
    let sequence = Sequence::dense(x);
    assert_eq!(trainer.predict(&sequence).wait().unwrap(), again.predict(&sequence).wait().unwrap());
}
