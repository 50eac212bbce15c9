//! Labelled sequences from a file.

use std::path::Path;

use bptt::data::{
    DateOrder, DecimalMark, Image, Labelled, Labels, LabelsAs, LongColumns, Missing, ReadOptions, Scaling, ScalingKind,
    read_input,
};
use bptt::{Error, Result};
use serde::{Deserialize, Serialize};

use super::args::{DataArgs, Given, LabelsAsName, MissingName, ReadName, ScaleName};
use super::digest::Files;
use super::fingerprints;
use super::label_codec::LabelCodec;
use super::labelled_task::{Emphasis, Encoded, LabelledTask, origin};
use super::model_file::{Codec, ModelFile};
use super::objective;
use super::series_data::{dates_as_the_model, missing_as_the_model, written_alike};
use super::settings::{Settings, as_the_model, shares, shares_beside_test, unsupported};
use super::trained_on::{self, Relation};
use bptt::format::path_text;
use bptt::format::{grouped, short};

/// What a model of labelled sequences knows of its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SequencesCodec {
    /// How an image becomes a sequence.
    read: ReadName,
    pub(crate) missing: MissingName,
    scale: ScaleName,
    /// What each dimension is called; empty where they have no names.
    pub(crate) dimensions: Vec<String>,
    /// How each dimension comes to the network's units.
    pub(crate) scaling: Vec<Scaling>,
    pub(crate) labels: LabelCodec,
    /// What comes first in the dates that order steps, where that was told or they showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dates: Option<DateOrder>,
    /// How numbers were written, where that was told or one of them showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimal: Option<DecimalMark>,
}

impl SequencesCodec {
    /// Fits to the sequences of `labelled` that train.
    fn fit(labelled: &Labelled, training: &[usize], data: &DataArgs) -> Result<Self> {
        let scale = data.scale.unwrap_or(ScaleName::None);
        let fit = |dimension| {
            let values: Vec<f64> = labelled.input.values(training, dimension).collect();
            Scaling::fit_rounded(scale.into(), &values, labelled.input.precision())
        };
        Ok(Self {
            read: data.read.unwrap_or(ReadName::Rows),
            missing: data.missing.unwrap_or(MissingName::Error),
            scale,
            dimensions: labelled.dimensions.clone(),
            scaling: (0..labelled.input.dimensions().unwrap_or_default()).map(fit).collect(),
            labels: LabelCodec::fit(&labelled.labels, training)?,
            dates: labelled.dates,
            decimal: labelled.decimal,
        })
    }

    /// Brings a file's sequences and labels to the model's numbers.
    fn encode(&self, mut labelled: Labelled, path: &Path) -> Result<Encoded> {
        labelled.arrange(&self.dimensions).map_err(|error| error.in_file(path))?;
        let (expected, got) = (self.scaling.len(), labelled.input.dimensions().unwrap_or_default());
        if expected != got {
            let message = format!("expected {} a step, as the model reads, got {got}", dimensions(expected));
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
        let mut labelled = labelled.scaled(&self.scaling).map_err(|error| error.in_file(path))?;
        if self.missing == MissingName::Mask {
            labelled.mask();
        }
        Encoded::new(labelled, &self.labels).map_err(|error| error.in_file(path))
    }

    /// I.
    pub(crate) fn input_size(&self) -> usize {
        match self.missing {
            MissingName::Mask => 2 * self.scaling.len(),
            MissingName::Error | MissingName::Ffill => self.scaling.len(),
        }
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        format!("sequences of {}, {}", self.describe_dimensions(), self.labels.describe())
    }

    fn describe_dimensions(&self) -> String {
        let names = self.dimensions.join(", ");
        match self.dimensions.is_empty() || names.len() > 60 {
            true => dimensions(self.scaling.len()),
            false => format!("{} ({names})", dimensions(self.scaling.len())),
        }
    }

    fn describe_file(&self, name: &str, path: &Path, labelled: &Labelled) -> String {
        let count = grouped(labelled.input.len() as u64);
        format!("{name} ({}), {count} sequences of {}", path_text(path), self.describe_dimensions())
    }

    /// What becomes of numbers before the network reads them.
    fn describe_units(&self) -> Vec<String> {
        let scale = match self.scale {
            ScaleName::None => None,
            ScaleName::Standard => Some("each dimension scaled to mean 0 and standard deviation 1"),
            ScaleName::MinMax => Some("each dimension scaled to 0 to 1"),
        };
        let missing = match self.missing {
            MissingName::Error => None,
            MissingName::Ffill => Some("missing values: the last one before"),
            MissingName::Mask => Some("missing values: 0, and as many dimensions again that tell where"),
        };
        [scale, missing].into_iter().flatten().map(str::to_owned).collect()
    }

    /// What to change where the numbers are left as they are and f32 rounds what distinguishes them, or they are too large
    /// for a network.
    fn advise(&self, labelled: &Labelled) -> Vec<String> {
        if self.scale != ScaleName::None {
            return Vec::new();
        }
        let all: Vec<usize> = (0..labelled.input.len()).collect();
        let mut lines = Vec::new();
        let mut largest: f64 = 0.0;
        for dimension in 0..self.scaling.len() {
            let values: Vec<f64> = labelled.input.values(&all, dimension).collect();
            let size = values.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
            largest = largest.max(size);
            let [step, varies] = [size * f64::from(f32::EPSILON), Scaling::fit(ScalingKind::Standard, &values).unit];
            let constant = values.iter().all(|value| *value == values[0]);
            // What a file of f32 lost before is not here to be scaled.
            if !constant && varies < 100.0 * step && labelled.input.precision() < f32::EPSILON.into() {
                let name = self
                    .dimensions
                    .get(dimension)
                    .map_or_else(|| (dimension + 1).to_string(), |name| format!("{name:?}"));
                let [step, varies] = [step, varies].map(short);
                lines.push(format!(
                    "dimension {name} varies by {varies}, and f32 has steps of {step} there: --scale standard scales it first"
                ));
            }
        }
        lines.truncate(3);
        // Beyond, gates are open or closed whatever else a step tells.
        if largest > 10.0 {
            let largest = short(largest);
            lines.push(format!("numbers as they are, up to {largest}: --scale standard suits a network better"));
        }
        lines
    }
}

/// Reads the files that the settings name.
pub(crate) fn load(settings: &mut Settings, model: Option<&ModelFile>) -> Result<LabelledTask> {
    let (seed, codec) = (settings.seed, model.map(|model| &model.codec));
    let Given { data, model: asked, training: learning, .. } = settings.given();
    let known = match codec {
        Some(Codec::Sequences(codec)) => Some(codec),
        _ => None,
    };
    as_the_model("read", &mut data.read, known.map(|known| known.read), ReadName::Rows)?;
    missing_as_the_model(&mut data.missing, known.map(|known| known.missing))?;
    dates_as_the_model(&mut data.dates, known.and_then(|known| known.dates))?;
    as_the_model("scale", &mut data.scale, known.map(|known| known.scale), ScaleName::None)?;
    let path = data.sequences.clone().unwrap_or_default();
    if let Some(known) = known.map(|known| name_of(&known.labels)) {
        as_the_model("labels-as", &mut data.labels_as, Some(known), known)?;
    }
    let mut options = options(data);
    let mut files = Files::new();
    let of_decimal = known.and_then(|known| known.decimal);
    // Labels and a second file may be others with the same sequences: these alone are what is known again.
    let (first, sha256) =
        read(&path, data.labels.as_deref(), &options, of_decimal, (&mut files, ["sequences", "labels"]))?;
    // A later file for the model is read as the first one is, and so is the test file.
    let of_decimal = of_decimal.or(first.decimal);
    // Few labels of another file may look like something else.
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
    files.check(&path, "--sequences", &mut data.sha256)?;
    let of_training = Relation::new(model, &sha256, data);
    let shares = shares_of_first(data, of_training.default_shares([0.7, 0.15, 0.15]))?;
    if known.is_none() && first.labels == Labels::None {
        return Err(no_labels(&path, "--labels"));
    }
    let (n, split_seed) = (first.input.len(), *data.split_seed.get_or_insert(seed));
    let drawn = || first.labels.split(n, shares, split_seed).map_err(|error| error.in_file(&path));
    let hash = |sequence| fingerprints::hash_of_sequence(&first.input, sequence);
    let (split, relation) = of_training.sequences(n, hash, drawn)?;
    let trained = (!data.applies).then(|| trained_on::of_sequences(sha256, data, shares, &split, hash));
    let [training, validation, rest] = split;
    let codec = match known {
        Some(known) => known.clone(),
        None => SequencesCodec::fit(&first, &training, data)?,
    };
    let natural = codec.labels.head().map_err(|error| error.in_file(&path))?;
    let head = objective::of_classes(natural, asked, learning, model)?;
    let name = name(&path);
    let mut words = vec![codec.describe_file(&name, &path, &first)];
    words.extend(first.notes.iter().cloned());
    let advice = if known.is_none() { codec.advise(&first) } else { Vec::new() };
    let first = codec.encode(first, &path)?;
    let test = match test {
        Some((path, test)) if test.labels == Labels::None => return Err(no_labels(&path, "--test-labels")),
        Some((path, test)) => {
            words.push(format!("tested on {}", path_text(&path)));
            words.extend(test.notes.iter().map(|note| format!("test file: {note}")));
            codec.encode(test, &path)?.whole()?
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
        emphasis: Emphasis::new(learning, &codec.labels, &parts[0])?,
        origin: origin(trained, &codec.labels, &parts[0], model, data.applies),
        relation,
        parts,
        blank: Vec::new(),
        codec: Codec::Sequences(codec),
    })
}

/// The shares of the first file that train, validate and test.
fn shares_of_first(data: &mut DataArgs, default: [f64; 3]) -> Result<[f64; 3]> {
    match (data.test_file.is_some(), data.validation) {
        (true, _) if data.split.is_some() => {
            Err(unsupported("--split excludes --test-file, which is the test part: --validation sets its own share"))
        }
        (true, share) => {
            let shares = shares_beside_test(share);
            data.validation = Some(shares[1]);
            Ok(shares)
        }
        (false, Some(_)) => Err(unsupported("--validation goes with --test-file; --split sets its own")),
        (false, None) if data.test_labels.is_some() => {
            Err(unsupported("--test-labels are those of --test-file, which is not there"))
        }
        (false, None) => shares(&mut data.split, default),
    }
}

/// What the settings tell of files, with every default filled in.
fn options(data: &mut DataArgs) -> ReadOptions {
    let column = |column: &mut Option<String>, default: &str| column.get_or_insert(default.into()).clone();
    ReadOptions {
        missing: data.missing.map(Missing::from).unwrap_or_default(),
        labels: data.labels_as.map(labels_as),
        image: match data.read {
            None | Some(ReadName::Rows) => Image::Rows,
            Some(ReadName::Pixels) => Image::Pixels,
        },
        limit: data.limit(),
        columns: LongColumns {
            id: column(&mut data.id, "id"),
            time: column(&mut data.time, "time"),
            label: data.label.clone(),
            decimal: data.decimal,
            dates: data.dates,
        },
    }
}

fn labels_as(name: LabelsAsName) -> LabelsAs {
    match name {
        LabelsAsName::Classes => LabelsAs::Classes,
        LabelsAsName::Values => LabelsAs::Values,
    }
}

/// What a model's labels are.
fn name_of(labels: &LabelCodec) -> LabelsAsName {
    match labels {
        LabelCodec::Classes(_) => LabelsAsName::Classes,
        LabelCodec::Values(_) => LabelsAsName::Values,
    }
}

/// The sequences, and the digest of their file without that of labels. `known`: how numbers are written in the files that
/// are known already. `flags` name the two files in the digest of all.
fn read(
    path: &Path,
    labels: Option<&Path>,
    options: &ReadOptions,
    known: Option<DecimalMark>,
    (files, flags): (&mut Files, [&str; 2]),
) -> Result<(Labelled, String)> {
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
        Labelled::from_bytes(&file, path, labels, &ReadOptions { columns, ..options.clone() })
    };
    Ok((written_alike(options.columns.decimal, known, |file: &Labelled| file.decimal, read)?, sha256))
}

/// `JapaneseVowels` of `JapaneseVowels_TRAIN.ts.gz`.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.strip_suffix("_TRAIN").unwrap_or(stem).to_owned()
}

fn dimensions(count: usize) -> String {
    if count == 1 { "1 dimension".into() } else { format!("{} dimensions", grouped(count as u64)) }
}

fn no_labels(path: &Path, flag: &str) -> Error {
    let message = format!(
        "expected labels, got none: {flag} names them where they are in a file of their own (.npy, idx), --label the \
         column of a .csv"
    );
    Error::Data { path: path.into(), place: String::new(), message }
}
