//! Predicts the next character of a text.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

use super::super::config::TextConfig;
use super::super::config::agree::{as_the_model, shares, unsupported};
use super::super::device::network::Network;
use super::super::files::digest::Digest;
use super::super::measure::comparison::{BaselineName, Comparison};
use super::super::measure::{comparison, frequencies, loss};
use super::super::model::codec::Codec;
use super::super::model::model_file::ModelFile;
use super::super::model::origin::Origin;
use super::generate::{SAMPLED, generate};
use super::relation::Relation;
use super::task::{MeasureOptions, Order, Pending, Results, Task, Unit};
use super::{objective, relation};
use crate::data::{Batches, CharacterCounts, ContiguousStreams, RandomWindows, Text, TextSplit, TextUnit, Vocabulary};
use crate::format::{grouped, path_text, short};
use crate::plot::{Baseline, TextSample};
use crate::{Error, Head, Loss, Readout, Result};

/// Maximum number of characters of a split that are measured during a run; `eval` measures all.
const MEASURED: u64 = 1 << 18;

/// The baseline.
const FREQUENCIES: BaselineName = BaselineName { key: "frequencies", words: "the frequencies of the characters" };

/// Windows that each stream of an evaluation reads before its first prediction.
const WARM_UP: usize = 4;

pub(crate) struct TextTask {
    name: String,
    text: Text,
    vocabulary: Vocabulary,
    parts: TextSplit,
    window: usize,
    carry_state: bool,
    head: Head,
    /// The cross-entropy of validation and test under the character frequencies of the training split, in nats per
    /// character.
    frequencies: [Option<f64>; 2],
    /// The same for the characters that are measured during a run.
    begun: [Option<f64>; 2],
    /// The same for validation, with label smoothing.
    baseline: Option<f64>,
    /// Unknown characters of validation and test.
    unknown: [u64; 2],
    /// Distinct characters of the file.
    different: usize,
    origin: Origin,
    relation: Option<String>,
}

impl TextTask {
    pub(crate) fn load(data: &mut TextConfig, applies: bool, model: Option<&ModelFile>) -> Result<Self> {
        let path = data.file.clone().unwrap_or_default();
        let known = match model.map(|model| &model.codec) {
            Some(Codec::Text { vocabulary }) => Some(vocabulary),
            _ => None,
        };
        let of_model = known.map(|vocabulary| vocabulary.unit() == TextUnit::Bytes);
        let bytes = as_the_model("bytes", &mut data.bytes, of_model, false)?;
        if known.is_some() {
            // It was used for the model's vocabulary, and is not used here.
            data.min_count = None;
        } else if bytes && data.min_count.is_some() {
            return Err(unsupported("text.min-count is for characters; --bytes takes all 256 bytes"));
        }
        let unit = if bytes { TextUnit::Bytes } else { TextUnit::Characters };
        let mut digest = Digest::new();
        let text = Text::open(&path, unit, &mut |bytes| digest.update(bytes))?;
        let sha256 = digest.check(&path, "text FILE", &mut data.sha256)?;
        let window = *data.window.get_or_insert(64);
        let of_training = Relation::new(model, &sha256, data.splitting(), applies);
        let shares = shares(&mut data.split, of_training.default_shares([0.9, 0.1, 0.0]))?;
        let parts = TextSplit::shares(text.len(), window, shares).map_err(|error| error.in_file(&path))?;
        let seen = of_training.seen_characters(&text)?;
        let (parts, relation) = of_training.text(parts, text.len(), seen, window)?;
        let training = text.histogram(parts.train.clone())?;
        let vocabulary = match (known, bytes) {
            (Some(vocabulary), _) => vocabulary.clone(),
            (None, true) => Vocabulary::bytes(),
            (None, false) => {
                let vocabulary = Vocabulary::characters(&training, *data.min_count.get_or_insert(1));
                vocabulary.map_err(|error| error.in_file(&path))?
            }
        };
        let held_back = [&parts.validation, &parts.test].map(|part| text.histogram(part.clone()));
        let [validation, test] = held_back;
        let held_back = [validation?, test?];
        let [validation, test] = [&parts.validation, &parts.test].map(|part| text.histogram(beginning(part)));
        let begun = [validation?, test?];
        let natural = Head::new(vocabulary.len(), Loss::CrossEntropy, Readout::PerStep);
        let head = objective::of_classes(natural, &mut None, &mut data.label_smoothing, model)?;
        let of_model = model.and_then(|model| model.origin.as_ref()?.frequencies.clone());
        let counts = match of_model.filter(|counts| applies && counts.len() == vocabulary.len()) {
            Some(counts) => counts,
            None => counts(&vocabulary, &training),
        };
        let frequencies = held_back.each_ref().map(|part| cross_entropy(&vocabulary, &counts, part, 0.0));
        let smoothing = data.label_smoothing.unwrap_or_default();
        let baseline = cross_entropy(&vocabulary, &counts, &begun[0], smoothing);
        let begun = begun.each_ref().map(|part| cross_entropy(&vocabulary, &counts, part, 0.0));
        let unknown = held_back.each_ref().map(|part| vocabulary.unknown_in(part));
        let all = held_back.iter().chain([&training]).flat_map(|part| part.iter().map(|(character, _)| character));
        let different = all.collect::<BTreeSet<char>>().len();
        let trained = if parts.train.is_empty() || applies {
            Vec::new()
        } else {
            vec![relation::of_text(sha256, &data.splitting(), &text, &parts)?]
        };
        let origin = Origin { data: trained, frequencies: Some(counts), ..Origin::default() };
        let name = path.file_stem().map_or("text".into(), |stem| stem.to_string_lossy().into_owned());
        let carry_state = *data.carry_state.get_or_insert(false);
        Ok(Self {
            name,
            text,
            vocabulary,
            parts,
            window,
            carry_state,
            head,
            frequencies,
            begun,
            baseline,
            unknown,
            different,
            origin,
            relation,
        })
    }

    /// A split in streams with a warm-up, so that the measurement is close to one pass with the state carried on. With
    /// one row, or for a short split, it is exactly that.
    fn streams(&self, part: Range<u64>, rows: usize) -> Result<ContiguousStreams<&Text, &Vocabulary>> {
        let length = part.end - part.start;
        let warm_up = (WARM_UP * self.window) as u64;
        // A stream should be long compared with its warm-up.
        let rows = (length / (4 * warm_up)).clamp(1, rows as u64) as usize;
        let warm_up = if rows == 1 { 0 } else { warm_up as usize };
        ContiguousStreams::new(&self.text, &self.vocabulary, part, self.window, rows, warm_up)
    }

    /// Whether a split has anything to predict: a known character after its first.
    fn is_predictable(&self, part: &Range<u64>) -> Result<bool> {
        if part.end - part.start < 2 || self.vocabulary.unknown().is_none() {
            return Ok(part.end - part.start > 1);
        }
        let predicted = part.start + 1..part.end;
        Ok(self.vocabulary.unknown_in(&self.text.histogram(predicted.clone())?) < predicted.end - predicted.start)
    }

    /// The prompt of the sample in the report: the start of text that was not trained on.
    fn prime(&self) -> Result<Vec<u32>> {
        let held_back = self.parts.train.end..self.text.len();
        let part = if held_back.is_empty() { self.parts.train.clone() } else { held_back };
        let mut ids = Vec::new();
        let end = part.end.min(part.start + 64);
        self.text.for_each(part.start..end, |character| ids.push(self.vocabulary.id(character)))?;
        Ok(ids)
    }
}

/// The characters of a split that are measured during a run.
fn beginning(part: &Range<u64>) -> Range<u64> {
    part.start..part.end.min(part.start + MEASURED)
}

/// The count of each character of the vocabulary.
fn counts(vocabulary: &Vocabulary, histogram: &CharacterCounts) -> Vec<f64> {
    let mut counts = vec![0.0; vocabulary.len()];
    histogram.iter().for_each(|(character, count)| counts[vocabulary.id(character) as usize] += count as f64);
    counts
}

/// The cross-entropy in nats per character of `part` under these training counts, without its unknown characters;
/// `None` if either is empty.
fn cross_entropy(vocabulary: &Vocabulary, known: &[f64], part: &CharacterCounts, smoothing: f64) -> Option<f64> {
    let mut part = counts(vocabulary, part);
    if let Some(unknown) = vocabulary.unknown() {
        part[unknown as usize] = 0.0;
    }
    let empty = [known, &part].iter().any(|counts| counts.iter().all(|count| *count == 0.0));
    (!empty).then(|| frequencies::cross_entropy(known, &part, None, smoothing))
}

impl TextTask {
    /// The generated sample, which shows more than a loss.
    async fn put_sample(&self, network: &mut Network, seed: u64, results: &mut Results) -> Result<()> {
        let prime = self.prime()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut sampled = Vec::new();
        let mut take = |id: u32| {
            sampled.push(id);
            Ok(true)
        };
        generate(network, &self.vocabulary, &prime, 600, SAMPLED, &mut rng, &mut take).await?;
        let words = |ids: &[u32]| Ok::<_, Error>(String::from_utf8_lossy(&self.vocabulary.decode(ids)?).into_owned());
        let (prime, sampled) = (words(&prime)?, words(&sampled)?);
        let temperature = SAMPLED.temperature;
        results.lines.push(String::new());
        results.lines.push(format!("a sample at temperature {temperature}, after {prime:?}:"));
        results.lines.push(String::new());
        results.lines.extend(sampled.trim().lines().take(12).map(|line| format!("    {line}")));
        results.summary.insert("sample".into(), json!({"prime": prime, "text": sampled}));
        let title = format!("{}: a sample at temperature {temperature}", self.name);
        let picture = TextSample { title: &title, prime: &prime, sampled: &sampled };
        results.figures.push(("sample.svg", picture.draw()));
        Ok(())
    }
}

impl Task for TextTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let bytes = self.vocabulary.unit() == TextUnit::Bytes;
        let unit = if bytes { "bytes" } else { "characters" };
        let different = self.different;
        let kinds = match self.vocabulary.unknown().map(|known| known as usize) {
            // Characters only in the vocabulary come from another text.
            Some(known) if known == different && self.unknown == [0; 2] => {
                format!("{known} distinct, plus unknown")
            }
            Some(known) => format!("{different} distinct; the vocabulary has {known}, plus unknown"),
            None => format!("{different} distinct of 256"),
        };
        let all = grouped(self.text.len());
        let mut lines = vec![format!("{} ({}), {all} {unit}, {kinds}", self.name, path_text(self.text.path()))];
        lines.extend(self.relation.clone());
        if !self.parts.train.is_empty() {
            lines.push(if self.carry_state {
                format!("windows of {} in contiguous streams, with the state carried on (truncated BPTT)", self.window)
            } else {
                format!("random windows of {}, each from a zero state", self.window)
            });
        }
        let parts =
            [("training", &self.parts.train), ("validation", &self.parts.validation), ("test", &self.parts.test)];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, part)| !part.is_empty())
            .map(|(name, part)| format!("{name} {}", grouped(part.end - part.start)))
            .collect();
        lines.push(parts.join(", "));
        let longest = self.parts.validation.end - self.parts.validation.start;
        let longest = longest.max(self.parts.test.end - self.parts.test.start);
        if longest > MEASURED && !self.parts.train.is_empty() {
            lines.push(format!("a run measures the first {} of a split, `bptt eval` all of it", grouped(MEASURED)));
        }
        for (name, unknown) in [("validation", self.unknown[0]), ("test", self.unknown[1])] {
            if unknown > 0 {
                lines.push(format!("{} characters of {name} are unknown to the vocabulary", grouped(unknown)));
            }
        }
        lines
    }

    fn input_size(&self) -> usize {
        self.vocabulary.len()
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        Codec::Text { vocabulary: self.vocabulary.clone() }
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        let (text, vocabulary, part) = (&self.text, &self.vocabulary, self.parts.train.clone());
        Ok(match (part.is_empty(), self.carry_state) {
            (true, _) => None,
            (false, true) => {
                Some(Box::new(ContiguousStreams::new(text, vocabulary, part, self.window, order.rows, 0)?))
            }
            (false, false) => {
                Some(Box::new(RandomWindows::new(text, vocabulary, part, self.window, order.rows, order.seed)?))
            }
        })
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        let part = beginning(&self.parts.validation);
        Ok(if self.is_predictable(&part)? { Some(Box::new(self.streams(part, rows)?)) } else { None })
    }

    fn carries_state(&self) -> bool {
        self.carry_state
    }

    fn forward_only(&self) -> Option<&'static str> {
        Some("the reverse direction of a text has already read the character that is predicted")
    }

    fn unit(&self) -> Unit {
        Unit::Characters
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn relation(&self) -> Option<&str> {
        self.relation.as_deref()
    }

    fn baseline(&self) -> Option<Baseline> {
        let loss = self.baseline?;
        Some(Baseline { name: "frequencies of characters, validation".into(), loss })
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, seed, whole, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let mut results = Results::default();
            let held_back = [("validation", &self.parts.validation), ("test", &self.parts.test)];
            // With the same characters as the network.
            let frequencies = if whole { self.frequencies } else { self.begun };
            let mut parts: Vec<_> = held_back.into_iter().zip(frequencies).collect();
            if whole && self.parts.validation.is_empty() && self.parts.test.is_empty() {
                // All of the text, with no test split.
                parts = vec![(("training", &self.parts.train), None)];
            }
            let mut losses = Vec::new();
            for ((name, part), frequencies) in parts {
                if part.is_empty() {
                    continue;
                }
                let part = if whole { part.clone() } else { beginning(part) };
                if !self.is_predictable(&part)? {
                    results
                        .lines
                        .push(format!("{name}: none of its characters is in the vocabulary; nothing is measured"));
                    continue;
                }
                let loss = network.evaluate(&self.streams(part.clone(), rows)?).await?;
                let bits = loss / std::f64::consts::LN_2;
                let numbers = [loss, bits, loss.exp(), frequencies.unwrap_or(f64::NAN)].map(short);
                results.key_figures.push((format!("bits per character, {name}"), short(bits)));
                losses.push([name.to_owned()].into_iter().chain(numbers).collect());
                let value = json!({
                    "loss": loss, "bits_per_character": bits, "perplexity": loss.exp(), "baseline_loss": frequencies,
                    "characters": part.end - part.start - 1,
                });
                results.summary.insert(name.into(), value);
                if let Some(frequencies) = frequencies {
                    let measure = comparison::ComparedMetric::Error("nats per character");
                    results.comparisons.push(Comparison::new(name, measure, loss, FREQUENCIES, frequencies));
                }
            }
            if !losses.is_empty() {
                let columns = ["part", "nats", "bits", "perplexity", "frequencies"];
                results.put_table("Loss per character, with the state carried on", &columns, losses);
                let warm_up = WARM_UP * self.window;
                results.lines.push(format!(
                    "per character, with the state carried on, in streams that warm up on {warm_up} characters; frequencies: \
                     nats of predicting the character frequencies"
                ));
                if loss::plain(&self.head) != self.head {
                    results.lines.push("nats, bits and perplexity: without label smoothing".into());
                }
            }
            let sample = self.put_sample(network, seed, &mut results).await;
            results.attempt("sample.svg", sample);
            Ok(results)
        })
    }

    fn predictions<'a>(&'a self, _: &'a mut Network, _: usize, _: &'a mut (dyn Write + Send)) -> Pending<'a, ()> {
        Box::pin(async move {
            Err(Error::Unsupported(
                "a model of a text has no table of predictions: `bptt sample` generates text, `bptt eval` measures the model".into(),
            ))
        })
    }
}
