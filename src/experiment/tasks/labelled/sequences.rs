//! Labelled sequences from a file.

use std::path::{Path, PathBuf};

use super::super::relation::Relation;
use super::super::series::series_data::{dates_as_the_model, missing_as_the_model, written_alike};
use super::super::{fingerprints, objective, relation};
use super::labelled_task::{LabelledTask, origin};
use super::part::EncodedLabels;
use super::weighting::LossWeighting;
use crate::data::{
    DecimalMark, ImageLayout, LabelKind, LabelledSequences, Labels, LabelsPer, LongColumns, MissingPolicy, ReadOptions,
    read_input,
};
use crate::experiment::config::agree::{as_the_model, shares, shares_beside_test, unsupported};
use crate::experiment::config::{LabelsAsName, MissingName, ReadName, ScaleName, SequencesConfig, limit};
use crate::experiment::files::digest::Files;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::label_codec::LabelCodec;
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::sequences_codec::{SequencesCodec, dimensions};
use crate::format::path_text;
use crate::{Error, Head, Readout, Result};

/// Reads the files of the settings.
pub(crate) fn load(
    data: &mut SequencesConfig,
    applies: bool,
    seed: u64,
    model: Option<&ModelFile>,
) -> Result<LabelledTask> {
    let codec = model.map(|model| &model.codec);
    let known = match codec {
        Some(Codec::Sequences(codec)) => Some(codec),
        _ => None,
    };
    as_the_model("read", &mut data.read, known.map(|known| known.read), ReadName::Rows)?;
    missing_as_the_model(&mut data.missing, known.map(|known| known.missing))?;
    dates_as_the_model(&mut data.dates, known.and_then(|known| known.dates))?;
    as_the_model("scale", &mut data.scale, known.map(|known| known.scale), ScaleName::None)?;
    let path = data.file.clone().unwrap_or_default();
    if let Some(known) = known.map(|known| name_of(&known.labels)) {
        as_the_model("labels-as", &mut data.labels_as, Some(known), known)?;
    }
    // A model predicts where it was trained to.
    let readout = model.and_then(|model| model.model.head.as_ref()).map(|head| head.readout).or(data.predict);
    let labels_per = if readout == Some(Readout::PerStep) { LabelsPer::Step } else { LabelsPer::Sequence };
    let of_decimal = known.and_then(|known| known.decimal);
    let ReadFiles { first, test, sha256 } = read_files(data, &path, labels_per, of_decimal)?;
    let of_training = Relation::new(model, &sha256, data.splitting(), applies);
    let shares = shares_of_first(data, of_training.default_shares([0.7, 0.15, 0.15]))?;
    if known.is_none() && first.labels == Labels::None {
        return Err(no_labels(&path, "--labels"));
    }
    let (n, split_seed) = (first.input.len(), *data.split_seed.get_or_insert(seed));
    let drawn = || first.split(shares, split_seed).map_err(|error| error.in_file(&path));
    let hash = |sequence| fingerprints::hash_of_sequence(&first.input, sequence);
    let (split, relation) = of_training.sequences(n, hash, drawn)?;
    let trained = (!applies).then(|| relation::of_sequences(sha256, &data.splitting(), shares, &split, hash));
    let [training, validation, rest] = split;
    let codec = match known {
        Some(known) => known.clone(),
        None => SequencesCodec::fit(&first, &training, data)?,
    };
    let natural = codec.labels.head().map_err(|error| error.in_file(&path))?;
    let natural = match labels_per {
        LabelsPer::Sequence => natural,
        LabelsPer::Step => Head { readout: Readout::PerStep, ..natural },
    };
    let head = objective::of_classes(natural, &mut data.predict, &mut data.label_smoothing, model)?;
    let name = name(&path);
    let mut words = vec![codec.describe_file(&name, &path, &first)];
    words.extend(first.notes.iter().cloned());
    let advice = if known.is_none() { codec.advise(&first)? } else { Vec::new() };
    let first = encode(&codec, first, &path)?;
    let test = match test {
        Some((path, test)) if test.labels == Labels::None => return Err(no_labels(&path, "--test-labels")),
        Some((path, test)) => {
            words.push(format!("tested on {}", path_text(&path)));
            words.extend(test.notes.iter().map(|note| format!("test file: {note}")));
            encode(&codec, test, &path)?.whole()?
        }
        None => first.part(rest)?,
    };
    words.extend(codec.describe_units().into_iter().chain(advice));
    let parts = [first.part(training)?, first.part(validation)?, test];
    Ok(LabelledTask {
        name,
        words,
        input_size: codec.input_size(),
        head,
        labels: codec.labels.clone(),
        id_name: first.id_name("id"),
        weighting: LossWeighting::new((data.label_smoothing, data.class_weights.as_ref()), &codec.labels, &parts[0])?,
        origin: origin(trained, &codec.labels, &parts[0], model, applies),
        relation,
        parts,
        blank: Vec::new(),
        codec: Codec::Sequences(codec),
    })
}

/// The files of labelled sequences.
struct ReadFiles {
    first: LabelledSequences,
    /// The test file and its path.
    test: Option<(PathBuf, LabelledSequences)>,
    /// The digest of the first file without its labels.
    sha256: String,
}

/// Reads the file at `path`, its labels and the test file, with the decimal mark of a model if there is one.
fn read_files(
    data: &mut SequencesConfig,
    path: &Path,
    labels_per: LabelsPer,
    of_decimal: Option<DecimalMark>,
) -> Result<ReadFiles> {
    let mut options = ReadOptions { labels_per, ..options(data) };
    let mut files = Files::new();
    // Labels and the test file may differ for the same sequences: the sequences alone are recognised.
    let (first, sha256) =
        read(path, data.labels.as_deref(), &options, of_decimal, (&mut files, ["sequences", "labels"]))?;
    // A later file for the model, and the test file, are read like the first one.
    let of_decimal = of_decimal.or(first.decimal);
    // A few labels of another file may look like another kind.
    data.labels_as = data.labels_as.or(match first.labels {
        Labels::None => None,
        Labels::Classes { .. } => Some(LabelsAsName::Classes),
        Labels::Values(_) => Some(LabelsAsName::Values),
    });
    options.labels = data.labels_as.map(labels_as);
    options.columns.dates = options.columns.dates.or(first.dates);
    let test = match &data.test_file {
        Some(path) => {
            let (test, _) = read(
                path,
                data.test_labels.as_deref(),
                &options,
                of_decimal,
                (&mut files, ["test-file", "test-labels"]),
            )?;
            Some((path.clone(), test))
        }
        None => None,
    };
    files.check(path, "sequences FILE", &mut data.sha256)?;
    Ok(ReadFiles { first, test, sha256 })
}

/// The shares of the first file for training, validation and test.
fn shares_of_first(data: &mut SequencesConfig, default: [f64; 3]) -> Result<[f64; 3]> {
    match (data.test_file.is_some(), data.validation) {
        (true, _) if data.split.is_some() => Err(unsupported(
            "--split excludes --test-file, which is the test split: set the validation share with --validation",
        )),
        (true, share) => {
            let shares = shares_beside_test(share);
            data.validation = Some(shares[1]);
            Ok(shares)
        }
        (false, Some(_)) => Err(unsupported("--validation needs --test-file; --split sets its own share")),
        (false, None) if data.test_labels.is_some() => Err(unsupported("--test-labels needs --test-file")),
        (false, None) => shares(&mut data.split, default),
    }
}

/// The file settings, with every default filled in.
fn options(data: &mut SequencesConfig) -> ReadOptions {
    let column = |column: &mut Option<String>, default: &str| column.get_or_insert(default.into()).clone();
    ReadOptions {
        missing: data.missing.map(MissingPolicy::from).unwrap_or_default(),
        labels: data.labels_as.map(labels_as),
        image: match data.read {
            None | Some(ReadName::Rows) => ImageLayout::Rows,
            Some(ReadName::Pixels) => ImageLayout::Pixels,
        },
        limit: limit(data.input_limit),
        labels_per: LabelsPer::default(),
        columns: LongColumns {
            id: column(&mut data.id, "id"),
            time: column(&mut data.time, "time"),
            label: data.label.clone(),
            decimal: data.decimal,
            dates: data.dates,
        },
    }
}

fn labels_as(name: LabelsAsName) -> LabelKind {
    match name {
        LabelsAsName::Classes => LabelKind::Classes,
        LabelsAsName::Values => LabelKind::Values,
    }
}

/// The kind of a model's labels.
fn name_of(labels: &LabelCodec) -> LabelsAsName {
    match labels {
        LabelCodec::Classes(_) => LabelsAsName::Classes,
        LabelCodec::Values(_) => LabelsAsName::Values,
    }
}

/// The sequences, and the digest of their file without labels. `known`: the decimal mark of earlier files. `flags` name
/// the two files in the digest of all.
fn read(
    path: &Path,
    labels: Option<&Path>,
    options: &ReadOptions,
    known: Option<DecimalMark>,
    (files, flags): (&mut Files, [&str; 2]),
) -> Result<(LabelledSequences, String)> {
    let mut bytes = |flag: &str, path: &Path| {
        let bytes = read_input(path, options.limit)?;
        let sha256 = files.add(flag, path, &bytes);
        Ok::<_, Error>((bytes, sha256))
    };
    let (file, sha256) = bytes(flags[0], path)?;
    let labels = match labels {
        Some(path) => Some((bytes(flags[1], path)?.0, path)),
        None => None,
    };
    let labels = labels.as_ref().map(|(bytes, path)| (bytes.as_slice(), *path));
    let read = |decimal| {
        let columns = LongColumns { decimal, ..options.columns.clone() };
        LabelledSequences::from_bytes(&file, path, labels, &ReadOptions { columns, ..options.clone() })
    };
    Ok((written_alike(options.columns.decimal, known, |file: &LabelledSequences| file.decimal, read)?, sha256))
}

/// The name `JapaneseVowels` for `JapaneseVowels_TRAIN.ts.gz`.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.strip_suffix("_TRAIN").unwrap_or(stem).to_owned()
}

fn no_labels(path: &Path, flag: &str) -> Error {
    let message = format!(
        "expected labels, got none: {flag} names them where they are in a file of their own (.npy, idx), --label the \
         column of a .csv"
    );
    Error::Data { path: path.into(), place: String::new(), message }
}

/// Encodes the sequences and labels of a file for the model.
fn encode(codec: &SequencesCodec, mut labelled: LabelledSequences, path: &Path) -> Result<EncodedLabels> {
    labelled.arrange(&codec.dimensions).map_err(|error| error.in_file(path))?;
    let (expected, got) = (codec.scaling.len(), labelled.input.dimensions().unwrap_or_default());
    if expected != got {
        let message = format!("expected {} per step, as the model reads, got {got}", dimensions(expected));
        return Err(Error::Data { path: path.into(), place: String::new(), message });
    }
    let mut labelled = labelled.scaled(&codec.scaling).map_err(|error| error.in_file(path))?;
    if codec.missing == MissingName::Mask {
        labelled.mask();
    }
    EncodedLabels::new(labelled, &codec.labels).map_err(|error| error.in_file(path))
}
