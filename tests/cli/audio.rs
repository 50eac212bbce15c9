//! Sound from sound, from outside: learning an amplifier, streaming files through it, and what is refused.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use bptt::block_on;
use bptt::data::{WavFormat, WavReader};
use bptt::experiment::device::open::DeviceOptions;
use bptt::experiment::loaded_model::LoadedModel;
use bptt::ndarray::{Array2, Axis, concatenate, s};
use serde_json::Value;

use crate::common::program::{bptt, entries, json, read, refused, succeeds, train};
use crate::common::sound;

const RATE: u32 = 8000;

/// Three tones that come and go, with noise: \[frames, 1\].
fn dry(frames: usize) -> Array2<f32> {
    Array2::from_shape_fn((frames, 1), |(frame, _)| {
        let time = frame as f64 / f64::from(RATE);
        let tone = |pitch: f64, speed: f64| (TAU * pitch * time).sin() * (speed * time).sin();
        let noise = (frame as f64 * 0.618_033_988 * (1.0 + (frame % 7) as f64)).fract() - 0.5;
        (0.3 * tone(110.0, 3.1) + 0.25 * tone(277.0, 5.3) + 0.2 * tone(620.0, 2.3) + 0.1 * noise) as f32
    })
}

/// A known function with memory: a high-pass, a stage that saturates unevenly, and a low-pass.
fn wet(dry: &Array2<f32>) -> Array2<f32> {
    let (mut charge, mut cone) = (0.0, 0.0);
    dry.mapv(|x| {
        charge += 0.03 * (x - charge);
        let driven = 4.0 * (x - charge);
        let saturated = if driven > 0.0 { driven.tanh() } else { 0.6 * (driven / 0.6).tanh() };
        cone += 0.4 * (saturated - cone);
        0.8 * cone
    })
}

/// A folder with `dry.wav` and `wet.wav` of 3 s.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dry = dry(3 * RATE as usize);
    sound::write(&folder.path().join("dry.wav"), RATE, WavFormat::Pcm24, &dry);
    sound::write(&folder.path().join("wet.wav"), RATE, WavFormat::Pcm16, &wet(&dry));
    folder
}

const LEARNED: &str =
    "audio dry.wav wet.wav --hidden 16 --window 128 --batch 16 --epochs 150 --lr 0.01 --schedule cosine";
const TINY: &str = "audio dry.wav wet.wav --hidden 4 --window 256 --batch 8 --epochs 1";

/// What a model makes of a file, `block` frames at a time.
fn applied(run: &Path, file: &Path, block: usize) -> Vec<u8> {
    let (model, mut from, mut to) = (LoadedModel::open(run).unwrap(), WavReader::open(file).unwrap(), Vec::new());
    let device = DeviceOptions { name: "cpu".into(), ..DeviceOptions::default() };
    block_on(model.apply_to_sound(&device, &mut from, &mut to, Some(WavFormat::Float32), block)).unwrap();
    to
}

#[test]
fn an_amplifier_is_learned_below_one_percent_and_a_streamed_file_is_the_whole_one_to_the_bit() {
    let folder = folder();
    let path = folder.path();
    let summary: Value = serde_json::from_str(&train(path, "amp", &format!("{LEARNED} --json"))).unwrap();
    let test = &summary["test"];
    let of = |key: &str| test[key].as_f64().unwrap();
    assert!(of("esr") < 0.01 && of("pre_emphasised_esr") < 0.04, "{test}");
    assert!(of("filter_esr") > 3.0 * of("esr"), "{test}");
    assert_eq!(summary["baselines"]["test"]["linear_filter"]["beaten"], true, "{summary}");
    assert!(entries(&path.join("amp")).contains(&"sound.svg".into()));
    let stdout = succeeds(path, "apply amp dry.wav --out made.wav --bits float --device cpu");
    assert!(stdout.starts_with("3.0 s of sound in ") && stdout.ends_with("as fast as it sounds\n"), "{stdout}");
    let made = fs::read(path.join("made.wav")).unwrap();
    for block in [1, 777, 1 << 20] {
        assert!(applied(&path.join("amp"), &path.join("dry.wav"), block) == made, "{block} frames at a time");
    }
    // What it makes of the frames of the test split is what was measured, but for the beginning of a lane.
    let (made, wet) = (sound::read(&path.join("made.wav")).samples, sound::read(&path.join("wet.wav")).samples);
    let [made, wet] = [&made, &wet].map(|sound| sound.slice(s![21_600.., ..]).mapv(f64::from));
    let esr = (&made - &wet).mapv(|error| error * error).sum() / wet.mapv(|sample| sample * sample).sum();
    assert!((esr / of("esr") - 1.0).abs() < 0.02, "{esr} {test}");
    // A file of 8 blocks and a half.
    let long = dry(34_900);
    sound::write(&path.join("long.wav"), RATE, WavFormat::Float32, &long);
    succeeds(path, "apply amp long.wav --out long-made.wav --device cpu");
    let long_made = sound::read(&path.join("long-made.wav"));
    assert_eq!((long_made.spec.format, long_made.samples.dim()), (WavFormat::Float32, (34_900, 1)));
    assert!(
        applied(&path.join("amp"), &path.join("long.wav"), 1 << 20) == fs::read(path.join("long-made.wav")).unwrap()
    );
}

#[test]
fn any_number_of_channels_is_read_and_made() {
    let folder = folder();
    let path = folder.path();
    let left = sound::read(&path.join("dry.wav")).samples;
    let both = concatenate![Axis(1), left, left.mapv(|sample| -0.5 * sample)];
    sound::write(&path.join("both.wav"), RATE, WavFormat::Pcm32, &both);
    for (run, dry, wet, size, channels) in [("a", "both", "wet", "2 → 4 → 1", 1), ("b", "dry", "both", "1 → 4 → 2", 2)]
    {
        let stdout = train(path, run, &format!("audio {dry}.wav {wet}.wav --hidden 4 --window 256 --epochs 1"));
        assert!(stdout.contains(size) && stdout.contains("24,000 frames, 3.0 s at 8,000 Hz"), "{stdout}");
        succeeds(path, &format!("apply {run} {dry}.wav --out {run}.wav --device cpu"));
        let made = sound::read(&path.join(format!("{run}.wav")));
        assert_eq!(
            (made.spec.channels, made.spec.format),
            (channels, sound::read(&path.join(format!("{dry}.wav"))).spec.format)
        );
    }
    refused(path, "apply a dry.wav --out c.wav", 1, &["dry.wav", "expected 2 channels", "got 1 channel"]);
    refused(
        path,
        "eval b both.wav --wet wet.wav",
        1,
        &["both.wav", "expected 1 channel, as DRY of the training had, got 2"],
    );
}

#[test]
fn what_is_beyond_full_scale_is_clipped_with_a_note_and_kept_in_floats() {
    let folder = folder();
    let path = folder.path();
    let loud = sound::read(&path.join("dry.wav")).samples.mapv(|sample| 3.0 * sample);
    sound::write(&path.join("wet.wav"), RATE, WavFormat::Float64, &loud);
    train(path, "loud", "audio dry.wav wet.wav --hidden 8 --window 64 --batch 8 --epochs 20 --lr 0.01");
    let output = bptt(path, "apply loud dry.wav --out whole.wav --device cpu --bits 16");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("beyond full scale and are clipped"), "{stderr}");
    assert!(stderr.contains("--bits float keeps them"), "{stderr}");
    let output = bptt(path, "apply loud dry.wav --out float.wav --device cpu --bits float");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let [whole, float] = ["whole.wav", "float.wav"].map(|name| sound::read(&path.join(name)));
    assert_eq!((whole.spec.format, float.spec.format), (WavFormat::Pcm16, WavFormat::Float32));
    assert!(float.samples.iter().any(|sample| *sample > 1.0) && whole.samples.iter().all(|sample| sample.abs() <= 1.0));
    for (whole, float) in whole.samples.iter().zip(&float.samples) {
        assert!((whole - float.clamp(-1.0, 32767.0 / 32768.0)).abs() <= 0.5 / 32768.0 + 1e-7);
    }
    // Recorded beyond full scale.
    sound::write(&path.join("wet.wav"), RATE, WavFormat::Pcm16, &loud);
    let stdout = train(path, "x", TINY);
    assert!(
        stdout.contains("the wet sound stays at full scale in ") && stdout.contains("it may be clipped"),
        "{stdout}"
    );
}

#[test]
fn files_that_do_not_belong_together_or_end_early_are_refused_and_nothing_is_written() {
    let folder = folder();
    let path = folder.path();
    let samples = dry(24_000);
    sound::write(&path.join("fast.wav"), 16_000, WavFormat::Pcm16, &samples);
    sound::write(&path.join("short.wav"), RATE, WavFormat::Pcm16, &dry(23_990));
    sound::write(&path.join("silent.wav"), RATE, WavFormat::Pcm16, &Array2::zeros((24_000, 1)));
    let whole = fs::read(path.join("wet.wav")).unwrap();
    fs::write(path.join("cut.wav"), &whole[..whole.len() - 7]).unwrap();
    fs::write(path.join("text.wav"), "no sound").unwrap();
    fs::create_dir(path.join("folder")).unwrap();
    let refuse = |arguments: &str, code, parts: &[&str]| refused(path, arguments, code, parts);
    refuse("train audio dry.wav fast.wav", 1, &["fast.wav", "expected 8,000 Hz, as ", "got 16,000 Hz: resample one"]);
    let parts = ["short.wav", "expected 24,000 frames (3.000 s)", "got 23,990 (2.999 s)", "cut what only one"];
    refuse("train audio dry.wav short.wav", 1, &parts);
    refuse("train audio dry.wav cut.wav", 1, &["cut.wav", "expected 48000 bytes of samples, got 47993", "truncated"]);
    refuse("train audio text.wav wet.wav", 1, &["text.wav", "byte 0: expected a RIFF header"]);
    refuse("train audio dry.wav silent.wav", 1, &["the training split of WET", "got silence"]);
    refuse("train audio dry.wav", 2, &["`audio DRY WET`"]);
    refuse("train audio dry.wav folder", 1, &["folder", "audio: expected a file, got a folder"]);
    refuse("train audio dry.wav gone.wav", 1, &["gone.wav"]);
    refuse("train audio dry.wav wet.wav --bidirectional", 2, &["--bidirectional", "while it comes in"]);
    refuse("train audio dry.wav wet.wav --set audio.input-limit=1KiB", 1, &["1024"]);
    refuse("train dry.wav", 2, &["bptt train audio dry.wav WET"]);
    train(path, "amp", TINY);
    train(path, "other", "task adding --length 5 --steps 1");
    refuse(
        "apply amp fast.wav --out a.wav",
        1,
        &["fast.wav", "expected 8,000 Hz, as the model was trained at, got 16,000 Hz"],
    );
    refuse("apply amp cut.wav --out a.wav", 1, &["cut.wav", "truncated"]);
    refuse("apply amp text.wav --out a.wav", 1, &["text.wav"]);
    refuse("apply amp dry.wav --out wet.wav", 2, &["--out wet.wav", "does not exist yet"]);
    refuse("apply amp dry.wav --out a.mp3", 2, &["--out a.mp3", "ends in .wav", "a.wav"]);
    refuse("apply amp dry.wav --out none/a.wav", 2, &["none", "expected an existing folder"]);
    refuse("apply amp dry.wav --out a.wav --bits 20", 2, &["--bits", "16, 24, 32 or float"]);
    refuse(
        "apply other dry.wav --out a.wav",
        2,
        &["only a model of audio makes sound", "a synthetic task", "`bptt predict`"],
    );
    refuse("predict amp", 2, &["`bptt apply RUN in.wav --out out.wav`"]);
    refuse("eval amp dry.wav", 2, &["--wet WET"]);
    // A sample that is no number, far behind the header.
    let mut broken = samples;
    broken[[20_000, 0]] = f32::NAN;
    sound::write(&path.join("nan.wav"), RATE, WavFormat::Float32, &broken);
    refuse("apply amp nan.wav --out a.wav", 1, &["nan.wav, frame 20001, channel 1: expected a finite number, got NaN"]);
}

#[test]
fn a_run_goes_on_to_the_bit_and_a_model_is_measured_on_other_sounds() {
    let folder = folder();
    let path = folder.path();
    let arguments = "audio dry.wav wet.wav --hidden 4 --window 256 --batch 8 --set training.val-every=1";
    train(path, "whole", &format!("{arguments} --steps 20"));
    train(path, "part", &format!("{arguments} --steps 13"));
    train(path, "more", "--resume part --steps 20");
    assert!(read(path, "whole/metrics.jsonl") == read(path, "more/metrics.jsonl"));
    let own = json(path, "eval whole --json");
    assert!(own["trained_on"].as_str().unwrap().contains("its splits are those of the run"), "{own}");
    assert!(own["validation"]["esr"].is_f64() && own["test"]["frames"] == 2400, "{own}");
    let other = dry(9000).mapv(|sample| 0.5 * sample);
    sound::write(&path.join("d.wav"), RATE, WavFormat::Pcm16, &other);
    sound::write(&path.join("w.wav"), RATE, WavFormat::Pcm16, &wet(&other));
    let measured = json(path, "eval whole d.wav --wet w.wav --json");
    assert_eq!((&measured["test"]["frames"], measured["validation"].is_null()), (&9000.into(), true), "{measured}");
    assert!(measured["test"]["filter_esr"].as_f64().unwrap() < 1.0, "{measured}");
    let stdout = train(path, "on", "audio d.wav w.wav --init-from whole --steps 2");
    assert!(stdout.contains("lstm 1 → 4 → 1"), "{stdout}");
    for command in ["inspect whole", "plan whole", "flow whole --device cpu", "export whole m.onnx"] {
        succeeds(path, command);
    }
}
