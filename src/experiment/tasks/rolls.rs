//! Predicts the next frame of a piece, in which any keys may sound.

use std::io::Write;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use ndarray::Array2;
use serde_json::json;

use super::super::config::agree::{as_the_model, in_flag, shares};
use super::super::config::{RollsConfig, limit};
use super::super::device::network::Network;
use super::super::files::digest::Digest;
use super::super::files::folder::unwritten;
use super::super::measure::comparison;
use super::super::measure::comparison::{BaselineName, Comparison};
use super::super::model::codec::Codec;
use super::super::model::model_file::ModelFile;
use super::super::model::origin::Origin;
use super::relation::{OTHER_FILE, Relation};
use super::task::{MeasureOptions, Order, Pending, Results, Task};
use super::{fingerprints, objective, relation};
use crate::data::{Batches, Examples, NextStep, PianoKeys, PianoRolls, SequentialBatches, ShuffledBatches, read_input};
use crate::format::{grouped, path_text, short};
use crate::plot::{Baseline, Lengths, PianoRoll};
use crate::{Error, Head, Loss, Readout, Reduction, Result};

/// The baselines.
const FREQUENCIES: BaselineName = BaselineName { key: "frequencies", words: "the frequencies of the keys" };
const REPEATED: BaselineName = BaselineName { key: "repeated", words: "the previous frame" };

/// The flag for the range of keys.
const KEYS: &str = "--keys";

pub(crate) struct RollsTask {
    name: String,
    path: PathBuf,
    rolls: PianoRolls,
    /// The pieces of training, validation and test.
    parts: [Range<usize>; 3],
    head: Head,
    /// How often each key sounds in the training split, or in all pieces without one.
    frequencies: Option<Vec<f64>>,
    origin: Origin,
    relation: Option<String>,
}

impl RollsTask {
    pub(crate) fn load(data: &mut RollsConfig, applies: bool, model: Option<&ModelFile>) -> Result<Self> {
        let path = data.file.clone().unwrap_or_default();
        let text = read_input(&path, limit(data.input_limit))?;
        let mut digest = Digest::new();
        digest.update(&text);
        let sha256 = digest.check(&path, "rolls FILE", &mut data.sha256)?;
        let of_training = Relation::new(model, &sha256, data.splitting(), applies);
        let known = match model.map(|model| &model.codec) {
            Some(Codec::Rolls { keys }) => Some(keys),
            _ => None,
        };
        let range_set = match known {
            Some(PianoKeys::Numbers(numbers)) => {
                let of_model = format!("{}-{}", numbers.start(), numbers.end());
                as_the_model("keys", &mut data.keys, Some(of_model), String::new())?;
                Some(numbers.clone())
            }
            _ => data.keys.as_deref().map(range).transpose()?,
        };
        let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let rolls = if csv {
            PianoRolls::csv_within(&text, &path, limit(data.input_limit))?
        } else {
            PianoRolls::json_within(&text, &path, range_set, limit(data.input_limit))
                .map_err(|error| in_flag(KEYS, error))?
        };
        drop(text);
        if let Some(known) = known.filter(|known| *known != rolls.keys()) {
            let message = format!("expected the model's keys, {}, got {}", words(known), words(rolls.keys()));
            return Err(Error::Data { path, place: String::new(), message });
        }
        if let (PianoKeys::Numbers(numbers), None) = (rolls.keys(), &data.keys) {
            data.keys = Some(format!("{}-{}", numbers.start(), numbers.end()));
        }
        let rolls = match (rolls.parts(), &data.split) {
            (Some(_), None) if of_training.splits() => rolls,
            _ => rolls.split(shares(&mut data.split, of_training.default_shares([0.7, 0.15, 0.15]))?)?,
        };
        of_training.check_shares(data.split.as_ref())?;
        let parts = rolls.parts().cloned().unwrap_or_default();
        let hash = |piece: usize| fingerprints::hash_of_piece(&rolls.pieces()[piece]);
        // The splits of a single piece are frames of it; the file is only recognised as a whole.
        let (parts, relation) = if rolls.is_cut() {
            (parts, of_training.describe(Some(OTHER_FILE)))
        } else {
            of_training.pieces(parts, hash)
        };
        let of_model = model.and_then(|model| model.origin.as_ref()?.frequencies.clone());
        let of_model = of_model.filter(|frequencies| frequencies.len() == rolls.keys().len());
        // The training data may be here only in part.
        let frequencies = of_model.filter(|_| applies).or_else(|| frequencies(&rolls, parts[0].clone()));
        let hash = (!rolls.is_cut()).then_some(hash);
        let trained =
            (!parts[0].is_empty() && !applies).then(|| relation::of_pieces(sha256, &data.splitting(), &parts, hash));
        let origin =
            Origin { data: trained.into_iter().collect(), frequencies: frequencies.clone(), ..Origin::default() };
        let natural = Head::new(rolls.keys().len(), Loss::BinaryCrossEntropy, Readout::PerStep);
        let head = objective::head(Head { reduction: Reduction::SumOverOutputs, ..natural }, &mut None, model)?;
        let name = path.file_stem().map_or("rolls".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Self { name, path, rolls, parts, head, frequencies, origin, relation })
    }

    fn examples(&self, part: usize) -> Result<NextStep<&PianoRolls>> {
        NextStep::new(&self.rolls, self.parts[part].clone())
    }

    /// Nats per frame of always predicting the key frequencies.
    fn by_frequencies(&self, part: usize) -> Option<f64> {
        let frequencies = self.frequencies.as_ref()?;
        // With all keys silent, and the change for each that sounds.
        let silent: f64 = frequencies.iter().map(|p| -(1.0 - p).ln()).sum();
        let frames = self.frames(part).collect::<Vec<_>>();
        let sounding = |key: &u32| (1.0 - frequencies[*key as usize]).ln() - frequencies[*key as usize].ln();
        let sum: f64 = frames.iter().map(|(_, frame)| silent + frame.iter().map(sounding).sum::<f64>()).sum();
        (!frames.is_empty()).then(|| sum / frames.len() as f64)
    }

    /// Every predicted frame, after its predecessor.
    fn frames(&self, part: usize) -> impl Iterator<Item = (&Vec<u32>, &Vec<u32>)> {
        self.rolls.pieces()[self.parts[part].clone()].iter().flat_map(|piece| piece.iter().zip(&piece[1..]))
    }
}

/// As in `21-108`.
fn range(text: &str) -> Result<RangeInclusive<u32>> {
    let ends = text.split_once('-').and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    ends.filter(|(low, high)| low <= high).map(|(low, high)| low..=high).ok_or_else(|| Error::Value {
        what: KEYS.into(),
        expected: "the lowest and the highest key, as in 21-108".into(),
        got: format!("{text:?}"),
    })
}

fn words(keys: &PianoKeys) -> String {
    match keys {
        PianoKeys::Numbers(numbers) => format!("{} to {}", numbers.start(), numbers.end()),
        PianoKeys::Names(names) => match &names[..] {
            [first, .., last] => format!("{} by name, {first} to {last}", names.len()),
            _ => names.join(", "),
        },
    }
}

/// How often each key sounds in the predicted frames, with add-one smoothing, so that none is 0 or 1.
fn frequencies(rolls: &PianoRolls, pieces: Range<usize>) -> Option<Vec<f64>> {
    let (mut counts, mut frames) = (vec![1.0; rolls.keys().len()], 2.0);
    for frame in rolls.pieces()[pieces.clone()].iter().flat_map(|piece| &piece[1..]) {
        frames += 1.0;
        frame.iter().for_each(|key| counts[*key as usize] += 1.0);
    }
    counts.iter_mut().for_each(|count| *count /= frames);
    (!pieces.is_empty()).then_some(counts)
}

/// True positives divided by all keys that sound or are predicted (Bay, Ehmann & Downie 2009). A key is predicted from
/// ½ on.
struct FrameAccuracy {
    hits: u64,
    all: u64,
}

impl FrameAccuracy {
    fn value(&self) -> f64 {
        if self.all == 0 { f64::NAN } else { self.hits as f64 / self.all as f64 }
    }

    fn add(&mut self, truth: &[u32], expected: impl Fn(u32) -> bool, keys: u32) {
        for key in 0..keys {
            let (sounds, expected) = (truth.binary_search(&key).is_ok(), expected(key));
            self.hits += u64::from(sounds && expected);
            self.all += u64::from(sounds || expected);
        }
    }
}

impl Task for RollsTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let keys = self.rolls.keys();
        let lengths: Vec<usize> = self.rolls.pieces().iter().map(|piece| piece.len() - 1).collect();
        let cut = self.rolls.is_cut();
        let pieces = match lengths.len() {
            count if cut || count == 1 => "1 piece".into(),
            count => format!("{} pieces", grouped(count as u64)),
        };
        let [training, validation, test] = ["training", "validation", "test"];
        let parts = [training, validation, test].into_iter().zip(&self.parts).filter(|(_, part)| !part.is_empty());
        let count = |part: &Range<usize>| if cut { lengths[part.clone()].iter().sum() } else { part.len() };
        let parts: Vec<String> = parts.map(|(name, part)| format!("{name} {}", grouped(count(part) as u64))).collect();
        let mut lines = vec![
            format!("{} ({}), {pieces}, {} keys, {}", self.name, path_text(&self.path), keys.len(), words(keys)),
            format!("the next frame at every step; {}", lengths.iter().copied().collect::<Lengths>().line(60)),
            format!("{} {}", parts.join(", "), if cut { "frames" } else { "pieces" }),
        ];
        lines.extend(self.rolls.notes().iter().cloned());
        lines.extend(self.relation.clone());
        lines
    }

    fn input_size(&self) -> usize {
        self.rolls.keys().len()
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        Codec::Rolls { keys: self.rolls.keys().clone() }
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        let examples = self.examples(0)?;
        Ok(if examples.is_empty() {
            None
        } else {
            Some(Box::new(ShuffledBatches::new(examples, order.rows, order.buckets, order.seed)?))
        })
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        let examples = self.examples(1)?;
        Ok(if examples.is_empty() { None } else { Some(Box::new(SequentialBatches::new(examples, rows)?)) })
    }

    fn forward_only(&self) -> Option<&'static str> {
        Some("the reverse direction of a piece has already read the frame that is predicted")
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn relation(&self) -> Option<&str> {
        self.relation.as_deref()
    }

    fn baseline(&self) -> Option<Baseline> {
        let loss = self.by_frequencies(1)?;
        Some(Baseline { name: "frequencies of keys, validation".into(), loss })
    }

    fn longest_measured(&self) -> usize {
        let pieces = self.parts[1..].iter().flat_map(|part| &self.rolls.pieces()[part.clone()]);
        pieces.map(|piece| piece.len().saturating_sub(1)).max().unwrap_or_default()
    }

    fn results_bytes(&self) -> u64 {
        // One probability per key for every frame of a split.
        let frames = |part: &Range<usize>| self.rolls.pieces()[part.clone()].iter().map(Vec::len).sum::<usize>();
        let most = self.parts[1..].iter().map(frames).max().unwrap_or_default();
        4 * (most * self.rolls.keys().len()) as u64
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let mut results = Results::default();
            let mut table = Vec::new();
            let keys = self.rolls.keys().len() as u32;
            for (part, name) in [(1, "validation"), (2, "test")] {
                let examples = self.examples(part)?;
                if examples.is_empty() {
                    continue;
                }
                let loss = network.evaluate(&SequentialBatches::new(&examples, rows)?).await?;
                let predictions = network.predict(&examples, rows).await?;
                let mut accuracy = FrameAccuracy { hits: 0, all: 0 };
                let mut repeated = FrameAccuracy { hits: 0, all: 0 };
                let predicted = predictions.iter().flat_map(|piece| piece.outer_iter());
                for ((before, frame), p) in self.frames(part).zip(predicted) {
                    accuracy.add(frame, |key| p[key as usize] >= 0.5, keys);
                    repeated.add(frame, |key| before.binary_search(&key).is_ok(), keys);
                }
                let frequencies = self.by_frequencies(part).unwrap_or(f64::NAN);
                let percent = |share: f64| format!("{:.1} %", 100.0 * share);
                let row = [short(loss), short(frequencies), percent(accuracy.value()), percent(repeated.value())];
                results.key_figures.push((format!("nats per frame, {name}"), short(loss)));
                let value = json!({
                    "loss": loss, "baseline_loss": self.by_frequencies(part),
                    "accuracy": accuracy.value(), "baseline_accuracy": repeated.value(),
                });
                results.summary.insert(name.into(), value);
                let (nats, share) = (
                    comparison::ComparedMetric::Error("nats per frame"),
                    comparison::ComparedMetric::Share("accuracy"),
                );
                results.comparisons.extend([
                    Comparison::new(name, nats, loss, FREQUENCIES, frequencies),
                    Comparison::new(name, share, accuracy.value(), REPEATED, repeated.value()),
                ]);
                table.push([name.to_owned()].into_iter().chain(row).collect());
                let first = &self.rolls.pieces()[self.parts[part].start];
                results.figures.retain(|(file, _)| *file != "roll.svg");
                results.figures.push(("roll.svg", self.picture(name, first, &predictions[0])));
            }
            if table.is_empty() {
                results.lines.push("every piece was used in training: nothing is left to test".into());
                return Ok(results);
            }
            let caption =
                "Per frame: the loss summed over keys; accuracy: hits divided by all keys that sound or were predicted";
            results.put_table(caption, &["part", "nats", "frequencies", "accuracy", "repeated"], table);
            results.lines.push(
                "per frame; frequencies: nats of always predicting the key frequencies; accuracy: hits by all that"
                    .into(),
            );
            results.lines.push("sounds or was predicted; repeated: accuracy of repeating the previous frame".into());
            Ok(results)
        })
    }

    fn predictions<'a>(
        &'a self,
        network: &'a mut Network,
        rows: usize,
        out: &'a mut (dyn Write + Send),
    ) -> Pending<'a, ()> {
        Box::pin(async move {
            let first = if self.parts[0].len() == self.rolls.pieces().len() { 0 } else { self.parts[1].start };
            let pieces = first..self.rolls.pieces().len();
            let predictions = network.predict(&NextStep::new(&self.rolls, pieces.clone())?, rows).await?;
            let mut csv = csv::Writer::from_writer(out);
            let names = self.rolls.keys().names();
            csv.write_record(["piece", "step"].into_iter().map(str::to_owned).chain(names)).map_err(unwritten)?;
            for (piece, prediction) in pieces.zip(&predictions) {
                let (number, begin) = self.rolls.origin(piece);
                for (step, p) in prediction.outer_iter().enumerate() {
                    let place = [(number + 1).to_string(), (begin + step + 2).to_string()];
                    csv.write_record(place.into_iter().chain(p.iter().map(f32::to_string))).map_err(unwritten)?;
                }
            }
            csv.flush().map_err(unwritten)
        })
    }
}

impl RollsTask {
    fn picture(&self, part: &str, piece: &[Vec<u32>], predicted: &Array2<f32>) -> crate::plot::Drawing {
        let keys = self.rolls.keys().len();
        let mut truth = vec![false; (piece.len() - 1) * keys];
        for (step, frame) in piece[1..].iter().enumerate() {
            frame.iter().for_each(|key| truth[step * keys + *key as usize] = true);
        }
        let first_key = match self.rolls.keys() {
            PianoKeys::Numbers(numbers) => *numbers.start() as usize,
            PianoKeys::Names(_) => 0,
        };
        let predicted: Vec<f32> = predicted.iter().copied().collect();
        let title = format!("{}, the first piece of the {part} split", self.name);
        PianoRoll { title, first_key, keys, truth: &truth, predicted: &predicted }.draw()
    }
}
