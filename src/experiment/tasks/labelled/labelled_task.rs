//! Predicts a class or values for whole sequences, or for each of their steps.

use std::io::Write;

use ndarray::ArrayView2;

use super::super::task::{MeasureOptions, Order, Pending, Results, Task};
use super::part::{LabelledPart, MeasuredPart, PartPredictions, confusion};
use super::weighting::{LossWeighting, WIDTH, as_many_as_fit};
use crate::data::{Batches, Examples, Labels, LabelsPer, SequentialBatches, ShuffledBatches, Subset};
use crate::experiment::device::network::Network;
use crate::experiment::measure::frequencies;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::label_codec::{LabelCodec, most_probable, no_labels};
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::{Origin, TrainedOn};
use crate::format::grouped;
use crate::plot::{Baseline, Lengths};
use crate::{Head, Result};

/// The names of the splits.
pub(super) const PARTS: [&str; 3] = ["training", "validation", "test"];

pub(crate) struct LabelledTask {
    pub(crate) name: String,
    /// A description of the data.
    pub(crate) words: Vec<String>,
    pub(crate) input_size: usize,
    pub(crate) head: Head,
    pub(crate) labels: LabelCodec,
    pub(crate) codec: Codec,
    /// What identifies a sequence.
    pub(crate) id_name: &'static str,
    /// Training, validation and test; empty if there is no such split.
    pub(crate) parts: [LabelledPart; 3],
    pub(crate) weighting: LossWeighting,
    /// Lines of the file without a sequence; predictions list them as empty.
    pub(crate) blank: Vec<usize>,
    /// The class counts are those of the training split, in these data or those of the model.
    pub(crate) origin: Origin,
    /// How the sequences relate to the training data of a model, in words.
    pub(crate) relation: Option<String>,
}

/// The class counts of the training data, if a model is trained on these splits. An applied model has its own.
pub(crate) fn origin(
    trained: Option<TrainedOn>,
    labels: &LabelCodec,
    training: &LabelledPart,
    model: Option<&ModelFile>,
    applies: bool,
) -> Origin {
    if training.examples.is_empty() || (applies && model.is_some_and(|model| model.origin.is_some())) {
        let frequencies = model.and_then(|model| model.origin.as_ref()?.frequencies.clone());
        return Origin { frequencies, ..Origin::default() };
    }
    let counts = || training.examples.class_counts().into_iter().map(|count| count as f64).collect();
    let frequencies = matches!(labels, LabelCodec::Classes(_)).then(counts);
    Origin { data: trained.into_iter().collect(), frequencies, ..Origin::default() }
}

impl LabelledTask {
    fn not_empty(&self, part: usize) -> Option<&LabelledPart> {
        self.parts.get(part).filter(|part| !part.examples.is_empty())
    }

    /// What has a label.
    pub(super) fn labels_per(&self) -> LabelsPer {
        self.parts[0].examples.labelled().labels_per
    }

    /// The loss on a split of one prediction for all labels: the class frequencies, or the mean.
    pub(super) fn baseline_loss(&self, part: &LabelledPart, weighting: &LossWeighting) -> Option<f64> {
        let part = &part.examples;
        match &part.labelled().labels {
            Labels::None => None,
            Labels::Classes { .. } => {
                let known = self.origin.frequencies.as_ref()?;
                let part: Vec<f64> = part.class_counts().into_iter().map(|count| count as f64).collect();
                Some(frequencies::cross_entropy(known, &part, weighting.weights.as_deref(), weighting.smoothing))
            }
            Labels::Values(values) => {
                self.not_empty(0)?;
                let squares = part.labels().flat_map(|label| values.row(label).to_vec()).map(|value| value.powi(2));
                let sum: f64 = squares.filter(|square| !square.is_nan()).sum();
                Some(sum / (part.label_count() * values.ncols()) as f64)
            }
        }
    }

    /// The predictions for the examples, one example after the other: one each, or one for each step. They are reduced
    /// by `take`: the probabilities of many sequences in many classes would not fit into memory.
    pub(super) async fn predict<T: Clone + Default>(
        &self,
        network: &mut Network,
        examples: &Subset,
        rows: usize,
        take: impl Fn(Vec<f64>) -> T,
    ) -> Result<Vec<T>> {
        let counts = (0..examples.len()).map(|example| examples.labels_of(example).len());
        let mut all: Vec<T> = Vec::new();
        let begin = |count: usize| {
            let begin = all.len();
            all.resize(begin + count, T::default());
            begin
        };
        let begins: Vec<usize> = counts.map(begin).collect();
        let mut each = |example: usize, predictions: ArrayView2<'_, f32>| {
            let places = all[begins[example]..].iter_mut();
            places
                .zip(predictions.rows())
                .for_each(|(place, prediction)| *place = take(self.labels.decode(prediction)));
            Ok(())
        };
        network.predict_each(examples, rows, &mut each).await?;
        Ok(all)
    }

    /// The number of training labels per class, if known.
    pub(super) fn class_counts(&self) -> Option<Vec<usize>> {
        let LabelCodec::Classes(names) = &self.labels else { return None };
        let counts = self.origin.frequencies.as_ref().filter(|counts| counts.len() == names.len())?;
        Some(counts.iter().map(|count| *count as usize).collect())
    }

    /// How many of the steps have a label, if not all.
    fn describe_missing(&self) -> Option<String> {
        let parts = || self.parts.iter().map(|part| &part.examples);
        let (all, present) = (parts().flat_map(Subset::labels).count(), parts().map(Subset::label_count).sum());
        let [present, steps] = [present, all].map(|count: usize| grouped(count as u64));
        (!self.unlabelled() && present != steps)
            .then(|| format!("labels at {present} of {steps} steps; the others have weight 0"))
    }

    /// The number of labels per class in training, or in the measured data: largest first, as many as fit.
    fn describe_labels(&self) -> Option<String> {
        let part = self.not_empty(0).or(self.not_empty(2))?;
        let LabelCodec::Classes(names) = &self.labels else {
            let (what, per) = (self.labels.describe(), self.labels_per().name());
            return Some(format!("{what} per {per}, scaled to mean 0 and standard deviation 1"));
        };
        let of_part = part.examples.class_counts();
        if of_part.is_empty() {
            return Some(format!("without labels; the model predicts {}", self.labels.describe()));
        }
        // The training data of a model may be here only in part.
        let of_training = self.not_empty(0).and_then(|_| self.class_counts());
        let mut counts: Vec<(usize, &String)> = of_training.unwrap_or(of_part).into_iter().zip(names).collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let at = if self.labels_per() == LabelsPer::Step { " at every step" } else { "" };
        let of = at.to_owned() + if self.not_empty(0).is_some() { " in training" } else { "" };
        if let [(first, _), .., (last, _)] = counts[..]
            && first == last
        {
            return Some(format!("{}{of}, {} of each", self.labels.describe(), grouped(first as u64)));
        }
        let texts = counts.iter().map(|(count, name)| format!("{name} {}", grouped(*count as u64)));
        Some(as_many_as_fit(&format!("{}{of}: ", self.labels.describe()), texts))
    }

    fn lengths(&self) -> Lengths {
        let examples = self.parts.iter().map(|part| &part.examples);
        examples.flat_map(|part| (0..part.len()).map(|example| part.steps(example))).collect()
    }

    fn unlabelled(&self) -> bool {
        self.parts.iter().any(|part| !part.examples.is_empty() && *part.labels == Labels::None)
    }
}

impl Task for LabelledTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = self.words.clone();
        lines.extend(self.relation.clone());
        lines.push(self.lengths().line(WIDTH));
        lines.extend(self.describe_labels());
        lines.extend(self.describe_missing());
        lines.extend(self.weighting.describe(&self.labels));
        let parts = PARTS.into_iter().zip(&self.parts).filter(|(_, part)| !part.examples.is_empty());
        let counts = parts.map(|(name, part)| format!("{name} {}", grouped(part.examples.len() as u64)));
        lines.push(counts.collect::<Vec<_>>().join(", "));
        lines
    }

    fn input_size(&self) -> usize {
        self.input_size
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        self.codec.clone()
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        let Some(part) = self.not_empty(0) else { return Ok(None) };
        let learned = self.weighting.of(&part.examples)?;
        if self.unlabelled() || learned.is_empty() {
            Err(no_labels())
        } else {
            Ok(Some(Box::new(ShuffledBatches::new(learned, order.rows, order.buckets, order.seed)?)))
        }
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        let Some(part) = self.not_empty(1) else { return Ok(None) };
        let measured = self.weighting.of(&part.examples)?;
        if measured.is_empty() { Ok(None) } else { Ok(Some(Box::new(SequentialBatches::new(measured, rows)?))) }
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn relation(&self) -> Option<&str> {
        self.relation.as_deref()
    }

    fn baseline(&self) -> Option<Baseline> {
        let loss = self.baseline_loss(self.not_empty(1)?, &self.weighting)?;
        let name = match &self.labels {
            LabelCodec::Classes(_) => "frequencies of classes, validation",
            LabelCodec::Values(_) => "mean of training, validation",
        };
        Some(Baseline { name: name.into(), loss })
    }

    fn longest_measured(&self) -> usize {
        let measured = self.parts[1..].iter().map(|part| &part.examples);
        measured.flat_map(|part| (0..part.len()).map(|example| part.steps(example))).max().unwrap_or_default()
    }

    fn results_bytes(&self) -> u64 {
        // For classes the predicted index, and a count per pair; for values each one in f64, with its truth.
        let of_one = match &self.labels {
            LabelCodec::Classes(_) => 64,
            LabelCodec::Values(scalings) => 64 + 16 * scalings.len(),
        };
        // One table row per class.
        let classes = if let LabelCodec::Classes(classes) = &self.labels { 512 * classes.len() } else { 0 };
        self.parts[1..].iter().map(|part| (part.examples.labels().count() * of_one + classes) as u64).sum()
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, json, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let mut results = Results::default();
            if self.unlabelled() {
                return Err(no_labels());
            }
            let mut measured = Vec::new();
            for part in [1, 2] {
                let name = PARTS[part];
                if let Some(part) = self.not_empty(part).filter(|part| part.examples.label_count() > 0) {
                    let predicted = match &self.labels {
                        LabelCodec::Classes(classes) => {
                            let predicted =
                                self.predict(network, &part.examples, rows, |shares| most_probable(&shares)).await?;
                            PartPredictions::Classes(confusion(part, &predicted, classes.len())?)
                        }
                        LabelCodec::Values(_) => {
                            PartPredictions::Values(self.predict(network, &part.examples, rows, |values| values).await?)
                        }
                    };
                    let loss = network.evaluate(&SequentialBatches::new(&part.examples, rows)?).await?;
                    measured.push(MeasuredPart { name, part, predicted, loss });
                }
            }
            if measured.is_empty() {
                let why = if self.not_empty(1).or(self.not_empty(2)).is_some() {
                    "no step outside the training split has a label"
                } else {
                    "every sequence was used in training"
                };
                results.lines.push(format!("{why}: nothing is left to test"));
            } else {
                match &self.labels {
                    LabelCodec::Classes(classes) => self.class_results(&measured, classes, json, &mut results),
                    LabelCodec::Values(scalings) => self.value_results(&measured, scalings, &mut results),
                }
            }
            let lengths = self.lengths();
            if lengths.vary() {
                let title = format!("{}, all sequences", self.name);
                results.figures.push(("lengths.svg", lengths.draw(&title)));
            }
            Ok(results)
        })
    }

    fn predictions<'a>(
        &'a self,
        network: &'a mut Network,
        rows: usize,
        out: &'a mut (dyn Write + Send),
    ) -> Pending<'a, ()> {
        Box::pin(self.write_predictions(network, rows, out))
    }
}
