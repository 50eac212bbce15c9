//! Predictions from a stream: after each line or character that comes, the one that follows from it.

mod fields;
mod items;
mod latencies;
mod numbers;
mod outputs;
mod prediction;
mod reader;
mod source;
mod table;

use std::collections::VecDeque;

pub use items::{Item, Items};
pub use latencies::Latencies;
use numbers::Numbers;
use outputs::Outputs;
pub use prediction::Prediction;
use prediction::record;
use reader::{Predicting, Reader, Steps};
use source::{Content, CountingVocabulary, Source};
use table::Table;

use super::config::TaskName;
use super::device::network::Network;
use super::loaded_model::LoadedModel;
use super::model::codec::Codec;
use super::model::label_codec::LabelCodec;
use crate::data::{DecimalMark, Scaling};
use crate::format::grouped;
use crate::{Readout, Result};

/// What reads a stream.
enum Kind<'n> {
    /// A series, whose forecast after each row is that of `bptt forecast`.
    Series(Table, &'n LoadedModel, &'n mut Network),
    /// Steps, with their inputs and outputs.
    Steps(Box<Source>, Reader<'n>, Predicting),
}

/// A model that reads a stream. Made by [`LoadedModel::stream`].
///
/// ```no_run
/// use bptt::experiment::{DeviceOptions, LoadedModel};
///
/// # bptt::block_on(async {
/// let model = LoadedModel::open("runs/pump-1")?;
/// let mut network = model.network(&DeviceOptions { name: "cpu".into(), ..DeviceOptions::default() }).await?;
/// let mut stream = model.stream(&mut network, None)?;
/// for line in ["20.1,3.4", "20.2,3.3"] {
///     for prediction in stream.read(line.as_bytes()).await? {
///         println!("{}", prediction.to_json(stream.columns()));
///     }
/// }
/// # Ok::<(), bptt::Error>(()) }).unwrap();
/// ```
pub struct Stream<'n> {
    kind: Kind<'n>,
    columns: Vec<String>,
    /// What is read and what follows, in words.
    words: [String; 2],
    /// The items read so far.
    items: u64,
    /// A note that has not been taken.
    note: Option<String>,
    /// Whether a blank line has ended a sequence.
    has_ended: bool,
}

impl LoadedModel {
    /// Reads a stream with a [`network`](Self::network) of the model, from a state of zero. The decimal mark is by default
    /// that of the file of the training.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for a model that needs more than a stream has; those of the device.
    pub fn stream<'n>(&'n self, network: &'n mut Network, decimal: Option<DecimalMark>) -> Result<Stream<'n>> {
        let head = self.file.model.require_head()?;
        let whole = self.file.model.recurrent.has_reverse() || head.readout == Readout::MeanPool;
        let kind = |source, outputs, reader| {
            Kind::Steps(Box::new(source), reader, Predicting { outputs, loss: head.loss.clone() })
        };
        // A sequence comes to an end, and can be read as a whole.
        let sequence = |network: &'n mut Network| {
            if whole {
                Ok(Reader::Whole { network, steps: Steps::default() })
            } else {
                Ok(Reader::Steps(network.session(1)?))
            }
        };
        let kind = match &self.file.codec {
            Codec::Series { series, quantiles, .. } => {
                Kind::Series(Table::new(self, (series, quantiles), decimal)?, self, network)
            }
            Codec::Text { vocabulary } => {
                let source = Source::Token(CountingVocabulary::new(vocabulary));
                kind(source, Outputs::Next(vocabulary.clone()), Reader::Steps(network.session(1)?))
            }
            Codec::Classes { vocabulary, classes } => {
                let outputs = Outputs::Labels(LabelCodec::Classes(classes.clone()));
                kind(
                    Source::Text(CountingVocabulary::new(vocabulary)),
                    outputs,
                    Reader::Whole { network, steps: Steps::default() },
                )
            }
            Codec::Rolls { keys } => {
                let source = Source::Keys(keys.clone());
                kind(source, Outputs::Keys(keys.names()), Reader::Steps(network.session(1)?))
            }
            Codec::Audio(codec) => {
                let source = Source::Numbers(Numbers::of_audio(codec, decimal));
                kind(source, Outputs::Sound(codec.clone()), Reader::Steps(network.session(1)?))
            }
            Codec::Sensor { sensor, .. } => {
                let reader = if sensor.carry_state {
                    Reader::Steps(network.session(1)?)
                } else {
                    Reader::Windows { network, window: sensor.window, rows: VecDeque::new() }
                };
                kind(
                    Source::Numbers(Numbers::of_sensor(sensor, decimal)),
                    Outputs::Columns(sensor.targets.clone()),
                    reader,
                )
            }
            Codec::Sequences(codec) => {
                let source = Source::Numbers(Numbers::of_sequences(codec, decimal));
                kind(source, Outputs::Labels(codec.labels.clone()), sequence(network)?)
            }
            Codec::Task { task: TaskName::Adding } => {
                let value = LabelCodec::Values(vec![Scaling { offset: 0.0, unit: 1.0 }]);
                kind(
                    Source::Numbers(Numbers::plain(&["number", "mark"], decimal)),
                    Outputs::Labels(value),
                    sequence(network)?,
                )
            }
            Codec::Task { task: TaskName::Copy } => {
                let tokens = LabelCodec::Classes((0..head.outputs).map(|token| token.to_string()).collect());
                let below = u32::try_from(self.file.model.vocabulary()).unwrap_or(u32::MAX);
                kind(Source::Id(below), Outputs::Labels(tokens), sequence(network)?)
            }
        };
        Ok(Stream::new(kind, head.readout))
    }
}

impl<'n> Stream<'n> {
    fn new(kind: Kind<'n>, readout: Readout) -> Self {
        let (item, of_kind, words) = match &kind {
            Kind::Series(table, ..) => {
                let words = format!("the forecast after each row, from row {} on", grouped(table.window() as u64));
                ("line", table.columns(), [format!("lines of {}", table.fields().words()), words])
            }
            Kind::Steps(source, reader, Predicting { outputs, .. }) => {
                let what = match reader {
                    Reader::Steps(_) if readout == Readout::PerStep => "a prediction for each",
                    Reader::Steps(_) => "after each the prediction of the sequence so far",
                    Reader::Windows { .. } => "a prediction for each, from the last rows of a window",
                    Reader::Whole { .. } if matches!(**source, Source::Text(_)) => "a prediction for each",
                    Reader::Whole { .. } => "the predictions of a sequence, after a blank line or the end",
                };
                let item = if matches!(**source, Source::Token(_)) { "character" } else { "line" };
                (item, outputs.columns(), [source.words(), what.to_owned()])
            }
        };
        let columns = std::iter::once(item.to_owned()).chain(of_kind).collect();
        Self { kind, columns, words, items: 0, note: None, has_ended: false }
    }

    /// What [`read`](Self::read) takes at once.
    pub fn item(&self) -> Item {
        match &self.kind {
            Kind::Steps(source, ..) => source.item(),
            Kind::Series(..) => Item::Line,
        }
    }

    /// What is read, and what follows from it, in words.
    pub fn words(&self) -> &[String; 2] {
        &self.words
    }

    /// The names of the columns of a prediction.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// These names as a line of comma-separated text, with its end.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn header(&self) -> Result<String> {
        record(self.columns.iter().cloned())
    }

    /// A note on what was read, once: on columns that are not read, and on the first blank line.
    pub fn note(&mut self) -> Option<String> {
        if let Some(note) = self.note.take() {
            return Some(note);
        }
        match &mut self.kind {
            Kind::Series(table, ..) => table.fields_mut().note(),
            Kind::Steps(source, ..) => source.fields_mut()?.note(),
        }
    }

    /// A note on characters that the vocabulary does not have, of all that was read.
    pub fn unknown(&self) -> Option<String> {
        let Kind::Steps(source, ..) = &self.kind else { return None };
        let count = source.unknown();
        (count > 0).then(|| format!("note: characters that are unknown to the vocabulary: {}", grouped(count)))
    }

    /// Reads an item: see [`item`](Self::item). Returns the prediction that follows from it; none for a line with names of
    /// columns, before a whole window, and within a sequence that is read as a whole, whose predictions follow at its end.
    ///
    /// A blank line ends a sequence: the next line begins from zero. In a text it is a character like others, a blank
    /// line of text has an empty prediction, and a blank line of keys is silence.
    ///
    /// # Errors
    /// [`crate::Error::Data`] names the line, what was expected and what came; those of the device.
    pub async fn read(&mut self, item: &[u8]) -> Result<Vec<Prediction>> {
        self.items += 1;
        let number = self.items;
        match &mut self.kind {
            Kind::Series(table, ..) if table.is_end(item) => self.end_at(number).await,
            Kind::Series(table, model, network) => {
                Ok(table.read((*model, &mut **network), (item, number)).await?.into_iter().collect())
            }
            Kind::Steps(source, reader, predicting) => {
                let item_is = source.item();
                let is_sequence = matches!(**source, Source::Text(_));
                match source.read(item).map_err(|message| item_is.refused(number, message))? {
                    Content::Names => Ok(Vec::new()),
                    Content::End => self.end_at(number).await,
                    Content::Empty => Ok(vec![predicting.empty(number)]),
                    Content::Inputs(inputs) => {
                        let mut predictions = reader.read(inputs, number, predicting).await?;
                        if is_sequence {
                            predictions = reader.end(predicting).await?;
                        }
                        Ok(predictions)
                    }
                }
            }
        }
    }

    /// Ends a sequence at a blank line.
    async fn end_at(&mut self, number: u64) -> Result<Vec<Prediction>> {
        if !self.has_ended {
            self.has_ended = true;
            let is_ambiguous = match &self.kind {
                Kind::Steps(source, ..) => matches!(&**source, Source::Numbers(numbers) if numbers.could_be_blank()),
                Kind::Series(..) => false,
            };
            let missing = if is_ambiguous { "; a missing value is written as NA" } else { "" };
            self.note =
                Some(format!("note: line {number} is blank: the next line begins a sequence, from zero{missing}"));
        }
        self.end().await
    }

    /// Ends the stream, and the sequence in it. Returns its predictions if it is read as a whole.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn end(&mut self) -> Result<Vec<Prediction>> {
        match &mut self.kind {
            Kind::Steps(source, reader, predicting) => {
                source.reset();
                reader.end(predicting).await
            }
            Kind::Series(table, ..) => {
                table.reset();
                Ok(Vec::new())
            }
        }
    }
}
