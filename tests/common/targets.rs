//! What is done with bytes that come from anywhere: each is read or refused, and what was read says the same when it is
//! written and read again. Shared by the fuzzer's targets and by `tests/mutated.rs`.

#![allow(dead_code, reason = "each target uses a part")]
#![allow(clippy::unwrap_used, reason = "what fails here is what is looked for")]

use std::path::Path;

use bptt::data::{
    Audio, ColumnRoles, InputLimit, LabelledSequences, LabelsPer, MissingPolicy, ReadOptions, Series, SeriesTable,
    WavFormat, WavReader, WavWriter, csv_columns,
};
use bptt::ndarray::s;
use bptt::train::Checkpoint;
use bptt::{Error, Real, SavedModel, StateDict};

// The program's own reading of a configuration, which the library does not have.
#[allow(unreachable_pub, unused_imports, reason = "the program's visibilities, of which a part is used")]
#[path = "../../src/cli/args/mod.rs"]
mod args;
#[path = "../../src/cli/config_file.rs"]
mod config_file;
#[path = "../../src/cli/nearest.rs"]
mod nearest;

const GAPS: [MissingPolicy; 3] = [MissingPolicy::Refuse, MissingPolicy::Forward, MissingPolicy::Mask];

/// A series in comma-separated text, its first column forecast from the others; and sequences in long form.
pub(crate) fn csv(bytes: &[u8]) {
    let path = Path::new("a.csv");
    for missing in GAPS {
        for labels_per in [LabelsPer::Sequence, LabelsPer::Step] {
            let options = ReadOptions { missing, labels_per, ..ReadOptions::default() };
            let _ = LabelledSequences::from_bytes(bytes, path, None, &options);
        }
    }
    let Ok(names) = csv_columns(bytes, path) else { return };
    let names: Vec<&str> = names.iter().skip(1).map(String::as_str).filter(|name| !name.is_empty()).collect();
    let Ok(table) = SeriesTable::from_csv(bytes, path, &names, None) else { return };
    let rows = table.labels.len();
    assert!(table.columns.iter().all(|column| column.values.len() == rows) && table.lines.len() == rows);
    let Some((target, features)) = names.split_first() else { return };
    let roles = ColumnRoles {
        targets: vec![(*target).into()],
        features: features.iter().map(|name| (*name).into()).collect(),
        known: Vec::new(),
    };
    for missing in GAPS {
        let Ok(series) = Series::new(table.clone(), &roles, missing) else { continue };
        let whole = |values: &[f64]| missing == MissingPolicy::Mask || values.iter().all(|value| value.is_finite());
        assert!(series.targets().iter().chain(series.features()).all(|column| whole(&column.values)));
    }
}

/// Sequences as the UEA and UCR archives have them.
pub(crate) fn ts(bytes: &[u8]) {
    labelled(bytes, "a.ts", None);
}

/// An array of NumPy's, as sequences and as the labels of others.
pub(crate) fn npy(bytes: &[u8]) {
    labelled(bytes, "a.npy", None);
    labelled(bytes, "a.npy", Some(bytes));
}

/// Sound: in blocks as in one, and written again as it was read.
pub(crate) fn wav(bytes: &[u8]) {
    let path = Path::new("a.wav");
    let Ok(whole) = Audio::from_wav(bytes, path, InputLimit::default()) else { return };
    let mut reader = WavReader::new(bytes, bytes.len() as u64, path).unwrap();
    let mut frames = 0;
    while let Some(block) = reader.read(3).unwrap() {
        assert!(block == whole.samples.slice(s![frames..frames + block.nrows(), ..]));
        frames += block.nrows();
    }
    assert!(frames as u64 == reader.frames() && frames == whole.samples.nrows());
    let mut written = Vec::new();
    let mut writer = WavWriter::new(&mut written, whole.spec, frames as u64).unwrap();
    writer.write(whole.samples.view()).unwrap();
    writer.finish().unwrap();
    let again = Audio::from_wav(&written, path, InputLimit::default()).unwrap();
    // The nearest of 32 bits may be another number of f32.
    assert!(again == whole || whole.spec.format == WavFormat::Pcm32);
}

fn labelled(bytes: &[u8], path: &str, labels: Option<&[u8]>) {
    let cases = GAPS.into_iter().flat_map(|missing| [LabelsPer::Sequence, LabelsPer::Step].map(|per| (missing, per)));
    for (missing, labels_per) in cases {
        let options = ReadOptions { missing, labels_per, ..ReadOptions::default() };
        let labels = labels.map(|bytes| (bytes, Path::new("labels.npy")));
        match LabelledSequences::from_bytes(bytes, Path::new(path), labels, &options) {
            Ok(mut read) => {
                // A gap is no number until it has its mask.
                if missing == MissingPolicy::Mask {
                    read.mask();
                }
                read.validate().unwrap();
            }
            Err(error) => assert!(matches!(error, Error::Data { .. }), "{error}"),
        }
    }
}

/// A configuration: written again it is the same.
pub(crate) fn toml(bytes: &[u8]) {
    let path = Path::new("bptt.toml");
    let Ok(given) = config_file::parse(bytes, path) else { return };
    let text = ::toml::to_string(&given).unwrap();
    let again = config_file::parse(text.as_bytes(), path).unwrap();
    // As texts, in which a number that is none equals itself.
    assert!(::toml::to_string(&again).unwrap() == text, "{text}");
}

/// A run's checkpoint, as it is and as if its checksum was right.
pub(crate) fn checkpoint(bytes: &[u8]) {
    again::<f32>(bytes);
    let mut sealed = bytes.to_vec();
    if let Some((header, body)) = sealed.split_at_mut_checked(64) {
        let mut hash = hmac_sha256::Hash::new();
        hash.update(&header[..32]);
        hash.update(&body);
        header[32..].copy_from_slice(&hash.finalize());
    }
    again::<f32>(&sealed);
    again::<f64>(&sealed);
}

fn again<R: Real>(bytes: &[u8]) {
    let Ok((checkpoint, note)) = Checkpoint::<R>::from_bytes(bytes) else { return };
    // Bytes for numbers, of which one that is none differs from itself.
    let written = checkpoint.to_bytes(&note).unwrap();
    let (same, same_note) = Checkpoint::<R>::from_bytes(&written).unwrap();
    assert!(same.to_bytes(&same_note).unwrap() == written && note == same_note);
}

/// Weights.
pub(crate) fn safetensors(bytes: &[u8]) {
    let _ = StateDict::safetensors_note(bytes, "bptt");
    if let Ok(model) = SavedModel::<f32>::read_from(bytes, bytes.len() as u64) {
        let mut written = Vec::new();
        model.write_to(&mut written).unwrap();
        let again = SavedModel::<f32>::read_from(&written[..], written.len() as u64).unwrap();
        assert!(again.model() == model.model() && again.step() == model.step());
    }
    let Ok(weights) = StateDict::from_safetensors(bytes) else { return };
    let written = weights.to_safetensors(None).unwrap();
    assert!(StateDict::from_safetensors(&written).unwrap().to_safetensors(None).unwrap() == written);
}
