//! Models that the library saved, for the program, and models that the program trained, for the library.

#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/save_and_load.rs"]
mod save_and_load;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::common::program::{json, refused, succeeds, train};
use bptt::data::Vocabulary;
use bptt::experiment::Codec;
use bptt::{Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, SavedModel, StateDict, Trainer, block_on};
use serde_json::Value;

#[test]
fn a_forecaster_that_the_library_saved_is_measured_forecast_and_trained_on_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("sunspots.csv"), bptt::data::SUNSPOTS).unwrap();
    let file = path.join("m.safetensors");
    block_on(save_and_load::train_and_save(&file)).unwrap();
    let own = block_on(save_and_load::load_and_forecast(&file, 3)).unwrap();
    let expected: Vec<String> = own.iter().map(|(year, value)| format!("{year}{value:14.0}")).collect();
    let forecast = succeeds(path, "forecast m.safetensors sunspots.csv --rows 3 --device cpu --threads 1");
    let lines: Vec<String> = forecast.lines().skip(1).map(|line| line.replace(' ', "")).collect();
    assert_eq!(lines, expected.iter().map(|line| line.replace(' ', "")).collect::<Vec<_>>(), "{forecast}");
    let shown = succeeds(path, "inspect m.safetensors");
    for part in ["gru 1 → 16 → 1, 929 parameters", "a series, SUNACTIVITY, one step ahead from windows of 22"] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let metadata = &json(path, "inspect m.safetensors --json")["model"]["metadata"];
    assert_eq!(metadata["source"], "Royal Observatory of Belgium");
    let measured = json(path, "eval m.safetensors sunspots.csv --device cpu --threads 1 --json");
    assert!(measured.to_string().contains("rmse"), "{measured}");
    train(path, "r", "series sunspots.csv --init-from m.safetensors --epochs 1 --threads 1");
    let on = SavedModel::load(path.join("r/model.safetensors")).unwrap();
    assert_eq!(on.codec().unwrap(), SavedModel::load(&file).unwrap().codec().unwrap());
}

#[test]
fn a_run_of_the_program_is_loaded_by_the_library_and_saved_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.txt"), "the cell reads the gate. ".repeat(20)).unwrap();
    fs::create_dir(path.join("names")).unwrap();
    for (class, names) in [("a", "Ada\nAna\nAva\nAla\nAra\n"), ("b", "Bob\nBub\nBab\nBib\nBeb\n")] {
        fs::write(path.join("names").join(format!("{class}.txt")), names).unwrap();
    }
    let rows = (0..8).flat_map(|id| (0..4).map(move |t| (id, t)));
    let two = rows.fold("id,time,x,label\n".to_owned(), |mut text, (id, t)| {
        writeln!(text, "{id},{t},{},{}", id * t, id % 2).unwrap();
        text
    });
    fs::write(path.join("two.csv"), two).unwrap();
    fs::write(
        path.join("rolls.json"),
        r#"{"train":[[[60,64],[60],[62]]],"valid":[[[60],[62,64]]],"test":[[[64],[60]]]}"#,
    )
    .unwrap();
    for (name, arguments) in [
        ("series", "series"),
        ("text", "text t.txt --window 8 --steps 2 --embedding 4"),
        ("classes", "classes names --bidirectional --epochs 1"),
        ("sequences", "sequences two.csv --epochs 1"),
        ("rolls", "rolls rolls.json --epochs 1"),
        ("task", "task adding --length 6 --steps 2 --cell rnn --set model.activation=relu"),
    ] {
        let arguments = if name == "series" { "--epochs 1" } else { arguments };
        train(path, name, &format!("{arguments} --hidden 5 --threads 1"));
        let file = path.join(name).join("model.safetensors");
        let saved = SavedModel::load(&file).unwrap();
        assert!(saved.step().is_some(), "{name}");
        assert_eq!(format!("{:?}", saved.codec().unwrap().unwrap().kind()).to_lowercase(), name);
        let again = path.join(format!("{name}.safetensors"));
        saved.save(&again).unwrap();
        assert!(fs::read(&file).unwrap() == fs::read(&again).unwrap(), "{name}");
    }
    // Ten lines of code forecast as the program does.
    let forecast = succeeds(path, "forecast series --rows 2 --device cpu --threads 1");
    let own = block_on(save_and_load::load_and_forecast(&path.join("series/model.safetensors"), 2)).unwrap();
    for (line, (year, value)) in forecast.lines().skip(1).zip(own) {
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [year, format!("{value:.0}")], "{forecast}");
    }
}

#[test]
fn a_text_model_that_the_library_saved_is_sampled_and_names_what_a_newer_version_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let vocabulary = vocabulary_of("abc");
    let head = Head::new(vocabulary.len(), Loss::CrossEntropy, Readout::PerStep);
    let model = Model::new(Recurrent::new(Cell::Lstm, vocabulary.len(), 3), head);
    let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(1e-2), 1).unwrap();
    let codec = Codec::Text { vocabulary };
    let saved = block_on(trainer.saved_model()).unwrap();
    saved.clone().with_codec(&codec).unwrap().save(path.join("m.safetensors")).unwrap();
    assert_eq!(
        succeeds(path, "sample m.safetensors --length 20 --device cpu --threads 1").trim_end().chars().count(),
        20
    );
    // A codec of other data.
    let refusal = saved.clone().with_codec(&Codec::Text { vocabulary: Vocabulary::bytes() }).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "the model's description: expected a network of 256 inputs and 256 outputs, as its data have, got one of 4 and 4"
    );
    // Without one, only the library can use it.
    saved.save(path.join("plain.safetensors")).unwrap();
    assert!(succeeds(path, "inspect plain.safetensors").contains("lstm 4 → 3 → 4"));
    let expected = ["plain.safetensors: expected `data` in the model's description, what the data taught"];
    refused(path, "sample plain.safetensors", 1, &expected);
    refused(path, "export plain.safetensors m.onnx", 1, &expected);

    let bytes = fs::read(path.join("m.safetensors")).unwrap();
    let weights = StateDict::from_safetensors(&bytes).unwrap();
    let own: Value = serde_json::from_str(&StateDict::safetensors_note(&bytes, "bptt").unwrap().unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let newer = |change: fn(&mut Value), key: &str| {
        let mut description = own.clone();
        description["bptt"] = "0.3.0".into();
        change(&mut description);
        let bytes = weights.to_safetensors(Some(("bptt", &description.to_string()))).unwrap();
        fs::write(path.join("newer.safetensors"), bytes).unwrap();
        let what = format!(
            "newer.safetensors: the model's description has {key}, which bptt {version} does not know; it was written by \
             bptt 0.3.0: update bptt"
        );
        for command in ["inspect", "inspect --json", "sample --length 3 --device cpu", "train text t.txt --init-from"] {
            refused(path, &format!("{command} newer.safetensors"), 1, &[&what]);
        }
    };
    fs::write(path.join("t.txt"), "the cell reads the gate. ".repeat(20)).unwrap();
    newer(|it| it["model"]["recurrent"]["zoneout"] = 0.1.into(), "`model.recurrent.zoneout`");
    newer(|it| it["model"]["recurrent"]["cell"] = "xlstm".into(), "`xlstm` as `model.recurrent.cell`");
    newer(|it| it["data"]["text"]["merges"] = 7.into(), "`data.text.merges`");
    newer(|it| it["data"] = serde_json::json!({"video": {"rate": 25}}), "`data.video`");
    newer(|it| it["data"]["text"]["vocabulary"] = "words".into(), "`words` as `data.text.vocabulary`");
}

fn vocabulary_of(text: &str) -> Vocabulary {
    let text =
        bptt::data::Text::from_bytes(text.as_bytes().to_vec(), Path::new("text"), bptt::data::TextUnit::Characters)
            .unwrap();
    Vocabulary::characters(&text.histogram(0..text.len()).unwrap(), 1).unwrap()
}
