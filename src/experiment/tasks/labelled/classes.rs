//! Lines of text with classes, from a folder with a file per class.

use std::collections::BTreeSet;

use super::super::relation::Relation;
use super::super::{fingerprints, objective, relation};
use super::labelled_task::{LabelledTask, origin};
use super::part::EncodedLabels;
use super::weighting::LossWeighting;
use crate::Result;
use crate::data::{CharacterCounts, LabelledLines, LabelledSequences, Labels, Vocabulary};
use crate::experiment::config::agree::shares;
use crate::experiment::config::{ClassesConfig, limit};
use crate::experiment::files::digest::Files;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::label_codec::{LabelCodec, no_labels};
use crate::experiment::model::model_file::ModelFile;
use crate::format::{grouped, path_text};

/// Reads the folder, or with a model also a file of lines without classes.
pub(crate) fn load(
    data: &mut ClassesConfig,
    applies: bool,
    seed: u64,
    model: Option<&ModelFile>,
) -> Result<LabelledTask> {
    let codec = model.map(|model| &model.codec);
    let path = data.file.clone().unwrap_or_default();
    // A file instead of a folder has no classes.
    let mut files = if path.is_file() { Files::new() } else { Files::in_folder() };
    let lines = LabelledLines::read(&path, limit(data.input_limit), &mut |file, bytes| {
        drop(files.add("classes", file, bytes))
    })?;
    let sha256 = files.check(&path, "classes FOLDER", &mut data.sha256)?;
    let of_training = Relation::new(model, &sha256, data.splitting(), applies);
    let shares = shares(&mut data.split, of_training.default_shares([0.8, 0.1, 0.1]))?;
    let (labels, n) = (lines.labels(), lines.lines().len());
    let split_seed = *data.split_seed.get_or_insert(seed);
    let drawn = || lines.split(shares, split_seed).map_err(|error| error.in_file(&path));
    let hash = |line: usize| fingerprints::hash_of_line(&lines.lines()[line]);
    let (split, relation) = of_training.sequences(n, hash, drawn)?;
    let trained = (!applies).then(|| relation::of_sequences(sha256, &data.splitting(), shares, &split, hash));
    let [training, validation, test] = split;
    let (vocabulary, classes) = match (codec, &labels) {
        (Some(Codec::Classes { vocabulary, classes }), _) => (vocabulary.clone(), classes.clone()),
        (_, Labels::Classes { names, .. }) => {
            let characters: CharacterCounts = training.iter().flat_map(|line| lines.lines()[*line].chars()).collect();
            let vocabulary = Vocabulary::characters(&characters, *data.min_count.get_or_insert(1));
            (vocabulary.map_err(|error| error.in_file(&path))?, names.clone())
        }
        _ => return Err(no_labels()),
    };
    let codec = LabelCodec::Classes(classes.clone());
    let natural = codec.head().map_err(|error| error.in_file(&path))?;
    let head = objective::of_classes(natural, &mut data.predict, &mut data.label_smoothing, model)?;
    let held_back: CharacterCounts =
        validation.iter().chain(&test).flat_map(|line| lines.lines()[*line].chars()).collect();
    let name = path.file_stem().map_or("classes".into(), |name| name.to_string_lossy().into_owned());
    let known = vocabulary.len() - usize::from(vocabulary.unknown().is_some());
    let different = lines.lines().iter().flat_map(|line| line.chars()).collect::<BTreeSet<char>>().len();
    let kinds = if known == different && vocabulary.unknown_in(&held_back) == 0 {
        format!("{known} distinct characters, plus unknown")
    } else {
        format!("{different} distinct characters; the vocabulary has {known}, plus unknown")
    };
    let (count, place) = (grouped(n as u64), path_text(&path));
    let mut words = vec![format!("{name} ({place}), {count} lines, {kinds}")];
    if lines.repeats() > 0 {
        let repeats = grouped(lines.repeats() as u64);
        words.push(format!("{repeats} lines are duplicates within their class; duplicates share a split"));
    }
    let blank = if labels == Labels::None { lines.blank().to_vec() } else { Vec::new() };
    if !lines.blank().is_empty() {
        let count = grouped(lines.blank().len() as u64);
        words.push(format!("blank lines, skipped: {count}"));
    }
    let unknown = vocabulary.unknown_in(&held_back);
    if unknown > 0 {
        words.push(format!("{} characters of validation and test are unknown to the vocabulary", grouped(unknown)));
    }
    let ids = lines.lines().to_vec();
    let labelled = LabelledSequences { ids, ..lines.labelled(&vocabulary) };
    let encoded = EncodedLabels::new(labelled, &codec).map_err(|error| error.in_file(&path))?;
    let parts = [encoded.part(training)?, encoded.part(validation)?, encoded.part(test)?];
    Ok(LabelledTask {
        name,
        words,
        input_size: vocabulary.len(),
        head,
        weighting: LossWeighting::new((data.label_smoothing, data.class_weights.as_ref()), &codec, &parts[0])?,
        origin: origin(trained, &codec, &parts[0], model, applies),
        relation,
        labels: codec,
        codec: Codec::Classes { vocabulary, classes },
        id_name: encoded.id_name("line"),
        parts,
        blank,
    })
}
