//! What is told of whole sequences, whatever they come from: one of several classes, or values.

use std::io::Write;
use std::sync::Arc;

use ndarray::ArrayView2;
use serde_json::json;

use super::super::task::{MeasureOptions, Order, Pending, Results, Task};
use super::class_weights::class_weights;
use crate::data::{
    Batches, Examples, ForecastErrors, LabelledSequences, Labels, Scaling, SequentialBatches, ShuffledBatches, Subset,
};
use crate::experiment::config::Names;
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::network::Network;
use crate::experiment::measure::comparison::{BaselineName, Comparison};
use crate::experiment::measure::{comparison, frequencies};
use crate::experiment::model::codec::Codec;
use crate::experiment::model::label_codec::{LabelCodec, no_labels};
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::{Origin, TrainedOn};
use crate::format::{grouped, share, short};
use crate::plot::{Baseline, Confusion, Lengths};
use crate::report::Table;
use crate::train::ConfusionMatrix;
use crate::{Head, Result};

/// The columns of a line of the terminal that describes data.
const WIDTH: usize = 78;

/// Classes that the terminal has a line each for.
const FEW: usize = 12;

/// Classes that the report has a row each for.
const ROWS: usize = 1000;

/// Classes of which the summary has every pair, those that did not occur too.
const DENSE: usize = 100;

/// What columns of the results are.
const BALANCED: &str = "balanced: the mean recall of the classes";
const MAJORITY: &str = "majority: always predicting the largest class of training";
const FREQUENCIES: &str = "frequencies: the cross-entropy of always predicting the class frequencies of training";
const PLAIN: &str = "cross-entropy: of all sequences alike, without the weights and the smoothing of training";
const MEAN: &str = "in the labels' units; mean: always predicting the mean of the training part";

/// What needs no network.
const LARGEST_CLASS: BaselineName = BaselineName { key: "majority", words: "the largest class of training" };
const CLASS_FREQUENCIES: BaselineName = BaselineName { key: "frequencies", words: "the frequencies of the classes" };
const TRAINING_MEAN: BaselineName = BaselineName { key: "mean", words: "the mean of the training part" };

/// The names of the parts.
pub(super) const PARTS: [&str; 3] = ["training", "validation", "test"];

pub(crate) struct LabelledTask {
    pub(crate) name: String,
    /// What was read, in words.
    pub(crate) words: Vec<String>,
    pub(crate) input_size: usize,
    pub(crate) head: Head,
    pub(crate) labels: LabelCodec,
    pub(crate) codec: Codec,
    /// What a sequence's name is.
    pub(crate) id_name: &'static str,
    /// Training, validation and test; empty where there is nothing.
    pub(crate) parts: [LabelledPart; 3],
    pub(crate) weighting: LossWeighting,
    /// Lines of the file that hold no sequence, of which predictions tell that there are none.
    pub(crate) blank: Vec<usize>,
    /// The counts of classes in it are those of the training part, be it here or the model's.
    pub(crate) origin: Origin,
    /// How the sequences stand to those that a model was trained on, in words.
    pub(crate) relation: Option<String>,
}

/// What training does to the labels of classes. Validation, which it goes by, does the same; results do not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LossWeighting {
    /// How much of each label is spread over all classes.
    smoothing: f64,
    /// The weight of each class.
    weights: Option<Vec<f64>>,
}

impl LossWeighting {
    /// As the settings have it, for the labels of `training`.
    ///
    /// # Errors
    /// Where the labels are not classes, and as of [`class_weights`].
    pub(crate) fn new(
        (smoothing, class_weights_set): (Option<f64>, Option<&Names>),
        labels: &LabelCodec,
        training: &LabelledPart,
    ) -> Result<Self> {
        let smoothing = smoothing.unwrap_or_default();
        let LabelCodec::Classes(names) = labels else {
            let flags = [("--class-weights", class_weights_set.is_some()), ("label-smoothing", smoothing > 0.0)];
            return match flags.iter().find(|(_, given)| *given) {
                Some((flag, _)) => {
                    let way = "--labels-as classes takes numbers for names";
                    Err(unsupported(format!("{flag} is for classes; these labels are values ({way})")))
                }
                None => Ok(Self { smoothing, weights: None }),
            };
        };
        // Without a training part nothing is learned.
        let told = class_weights_set.filter(|_| !training.examples.is_empty());
        let weights = told.map(|told| class_weights(told, names, &training.examples.class_counts())).transpose()?;
        Ok(Self { smoothing, weights })
    }

    fn is_none(&self) -> bool {
        self.smoothing == 0.0 && self.weights.is_none()
    }

    fn of(&self, examples: &Subset) -> Result<Subset> {
        let smoothed = examples.clone().smoothing(self.smoothing)?;
        match &self.weights {
            Some(weights) => smoothed.class_weights(weights.iter().map(|weight| *weight as f32).collect()),
            None => Ok(smoothed),
        }
    }

    /// In words, a line each.
    fn describe(&self, labels: &LabelCodec) -> Vec<String> {
        let LabelCodec::Classes(names) = labels else { return Vec::new() };
        let weights = self.weights.as_ref().map(|weights| {
            let texts = names.iter().zip(weights).map(|(name, weight)| format!("{name} {}", short(*weight)));
            as_many_as_fit("weights in training: ", texts)
        });
        // Of more than two it is the loss that tells it.
        let smoothing = (self.smoothing > 0.0 && names.len() == 2)
            .then(|| format!("labels smoothed in training by {}", self.smoothing));
        weights.into_iter().chain(smoothing).collect()
    }
}

/// `begin` and texts with commas between them, of which those have an ellipsis that the line has no room for.
fn as_many_as_fit(begin: &str, texts: impl Iterator<Item = String>) -> String {
    let mut line = begin.to_owned();
    for (index, text) in texts.enumerate() {
        let text = format!("{}{text}", if index == 0 { "" } else { ", " });
        if line.chars().count() + text.chars().count() > WIDTH {
            return line + ", …";
        }
        line.push_str(&text);
    }
    line
}

/// Sequences that train, validate or test.
pub struct LabelledPart {
    /// In the model's numbers.
    pub(super) examples: Subset,
    /// The labels as they were read, of all sequences of the file.
    pub(super) labels: Arc<Labels>,
}

/// A file's sequences in the model's numbers.
#[derive(Clone)]
pub(crate) struct Encoded {
    labelled: Arc<LabelledSequences>,
    labels: Arc<Labels>,
}

impl Encoded {
    /// Brings labels to the model's numbers; the sequences are.
    ///
    /// # Errors
    /// Names the label that the model does not know.
    pub(crate) fn new(mut labelled: LabelledSequences, codec: &LabelCodec) -> Result<Self> {
        let labels = Arc::new(labelled.labels.clone());
        codec.encode(&mut labelled.labels)?;
        Ok(Self { labelled: Arc::new(labelled), labels })
    }

    /// What a sequence's name is: `named`, or a number where they have none.
    pub(crate) fn id_name(&self, named: &'static str) -> &'static str {
        if self.labelled.ids.is_empty() { "number" } else { named }
    }

    /// Some of the sequences.
    ///
    /// # Errors
    /// As of [`Subset::new`].
    pub(crate) fn part(&self, sequences: Vec<usize>) -> Result<LabelledPart> {
        Ok(LabelledPart { examples: Subset::new(self.labelled.clone(), sequences)?, labels: self.labels.clone() })
    }

    /// All of them.
    ///
    /// # Errors
    /// As of [`Subset::new`].
    pub(crate) fn whole(&self) -> Result<LabelledPart> {
        self.part((0..self.labelled.input.len()).collect())
    }
}

/// What a model of these parts is trained on, by the counts of its classes. A model that is there and only applied has its
/// own.
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
    Origin { data: trained.into_iter().collect(), frequencies, season: None }
}

/// A measured part.
struct MeasuredPart<'a> {
    name: &'static str,
    part: &'a LabelledPart,
    told: PartPredictions,
    /// The loss, as in training.
    loss: f64,
}

/// What was told of a part.
enum PartPredictions {
    Classes(ConfusionMatrix),
    /// ŷ of each sequence, in the data's units.
    Values(Vec<Vec<f64>>),
}

impl LabelledTask {
    fn not_empty(&self, part: usize) -> Option<&LabelledPart> {
        self.parts.get(part).filter(|part| !part.examples.is_empty())
    }

    /// The loss on a part of who tells what the training part has, whatever the sequence: the frequencies of its classes,
    /// or its mean.
    fn baseline_loss(&self, part: &LabelledPart, weighting: &LossWeighting) -> Option<f64> {
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
                let squares = part.sequences().iter().flat_map(|row| values.row(*row).to_vec());
                let sum: f64 = squares.map(|value: f64| value.powi(2)).sum();
                Some(sum / (part.len() * values.ncols()) as f64)
            }
        }
    }

    /// The probability of each class, or the values in the data's units.
    fn told(&self, prediction: ArrayView2<'_, f32>) -> Vec<f64> {
        let outputs = prediction.iter().map(|output| f64::from(*output));
        match &self.labels {
            LabelCodec::Classes(names) if names.len() == 2 => {
                outputs.flat_map(|second| [1.0 - second, second]).collect()
            }
            LabelCodec::Classes(_) => outputs.collect(),
            LabelCodec::Values(scalings) => {
                outputs.zip(scalings).map(|(output, scaling)| scaling.unscale(output)).collect()
            }
        }
    }

    /// What the network tells of each sequence of a part, of which `take` keeps what is needed: the probabilities of many
    /// sequences in many classes have room nowhere.
    pub(super) async fn predict<T: Clone + Default>(
        &self,
        network: &mut Network,
        examples: &dyn Examples,
        rows: usize,
        take: impl Fn(Vec<f64>) -> T,
    ) -> Result<Vec<T>> {
        let mut all = vec![T::default(); examples.len()];
        let mut each = |example: usize, prediction: ArrayView2<'_, f32>| {
            all[example] = take(self.told(prediction));
            Ok(())
        };
        network.predict_each(examples, rows, &mut each).await?;
        Ok(all)
    }

    fn class_results(&self, measured: &[MeasuredPart<'_>], classes: &[String], json: bool, results: &mut Results) {
        let training = self.class_counts();
        // Where they are not known there is nothing to compare with.
        let known = |what| training.as_ref().map(|_| what);
        let mut names = vec!["accuracy"];
        names.extend(known("majority"));
        names.extend(["balanced", "cross-entropy"]);
        names.extend(known("frequencies"));
        let mut rows = Vec::new();
        for MeasuredPart { name, part, told, loss } in measured {
            let PartPredictions::Classes(matrix) = told else { continue };
            let baseline = self.baseline_loss(part, &LossWeighting { smoothing: 0.0, weights: None });
            let (accuracy, balanced) = (matrix.accuracy(), matrix.balanced_accuracy());
            let majority = training.as_ref().map(|counts| matrix.majority_share(counts));
            results.key_figures.push((format!("accuracy, {name}"), share(accuracy)));
            results.key_figures.extend(majority.map(|majority| (format!("majority class, {name}"), share(majority))));
            let mut row = vec![(*name).to_owned()];
            row.extend([Some(accuracy), majority, Some(balanced)].into_iter().flatten().map(share));
            row.extend([Some(*loss), baseline].into_iter().flatten().map(short));
            rows.push(row);
            if json {
                let mut value = json!({
                    "sequences": matrix.total(), "accuracy": accuracy, "majority_share": majority,
                    "balanced_accuracy": balanced, "loss": loss, "baseline_loss": baseline,
                });
                let (key, counts) = confusion_json(matrix);
                value[key] = counts;
                results.summary.insert((*name).into(), value);
            }
            let (share, error) = (comparison::Metric::Share("accuracy"), comparison::Metric::Error("cross-entropy"));
            let majority = majority.map(|other| Comparison::new(name, share, accuracy, LARGEST_CLASS, other));
            let frequencies = baseline.map(|other| Comparison::new(name, error, *loss, CLASS_FREQUENCIES, other));
            results.comparisons.extend(majority.into_iter().chain(frequencies));
        }
        let mut notes = vec![BALANCED];
        notes.extend([known(MAJORITY), known(FREQUENCIES)].into_iter().flatten());
        notes.extend((!self.weighting.is_none()).then_some(PLAIN));
        let caption = format!("ForecastErrors and cross-entropy in nats a sequence; {}", notes.join("; "));
        results.put_table(&caption, &[&["part"], names.as_slice()].concat(), rows);
        results.lines.extend(notes.into_iter().map(str::to_owned));
        if json {
            results.summary.insert("classes".into(), json!(classes));
        }
        let Some(MeasuredPart { name, told: PartPredictions::Classes(matrix), .. }) = measured.last() else { return };
        put_classes(results, name, classes, matrix);
        let title = format!("{}, {name}", self.name);
        let majority = training.map(|counts| matrix.majority_share(&counts));
        let picture = Confusion { title: &title, classes, matrix, majority };
        results.figures.push(("confusion.svg", picture.draw()));
    }

    fn value_results(&self, measured: &[MeasuredPart<'_>], scalings: &[Scaling], results: &mut Results) {
        let mut rows = Vec::new();
        for MeasuredPart { name, part, told, loss } in measured {
            let (Labels::Values(values), PartPredictions::Values(predictions)) = (&*part.labels, told) else {
                continue;
            };
            let mut errors = Vec::new();
            for (output, scaling) in scalings.iter().enumerate() {
                let truths = part.examples.sequences().iter().map(|sequence| values[[*sequence, output]]);
                let pairs: Vec<(f64, f64)> =
                    truths.zip(predictions).map(|(truth, told)| (truth, told[output])).collect();
                let mean: Vec<(f64, f64)> = pairs.iter().map(|(truth, _)| (*truth, scaling.offset)).collect();
                let [told, mean] = [pairs, mean].map(ForecastErrors::of);
                let what = if scalings.len() == 1 { (*name).into() } else { format!("{name}, value {}", output + 1) };
                results.key_figures.push((format!("RMSE, {what}"), short(told.rmse)));
                results.key_figures.push((format!("RMSE of the mean, {what}"), short(mean.rmse)));
                let rmse = comparison::Metric::Error("RMSE");
                let target = (scalings.len() > 1).then(|| format!("value {}", output + 1));
                let beside = Comparison::new(name, rmse, told.rmse, TRAINING_MEAN, mean.rmse);
                results.comparisons.push(Comparison { target, ..beside });
                let mut row = vec![what];
                row.extend([told.rmse, mean.rmse, told.mae, mean.mae].map(short));
                rows.push(row);
                errors.push(json!({"rmse": told.rmse, "mae": told.mae, "mean_rmse": mean.rmse, "mean_mae": mean.mae}));
            }
            let value = json!({"sequences": part.examples.len(), "loss": loss, "values": errors});
            results.summary.insert((*name).into(), value);
        }
        let columns = ["part", "RMSE", "mean's RMSE", "MAE", "mean's MAE"];
        results.put_table(&format!("Errors {MEAN}"), &columns, rows);
        results.lines.push(MEAN.into());
    }

    /// How many sequences of each class the model is trained on, where that is known.
    fn class_counts(&self) -> Option<Vec<usize>> {
        let LabelCodec::Classes(names) = &self.labels else { return None };
        let counts = self.origin.frequencies.as_ref().filter(|counts| counts.len() == names.len())?;
        Some(counts.iter().map(|count| *count as usize).collect())
    }

    /// How many sequences of each class train, or are measured where nothing does: the largest first, as many as fit.
    fn describe_labels(&self) -> Option<String> {
        let part = self.not_empty(0).or(self.not_empty(2))?;
        let LabelCodec::Classes(names) = &self.labels else {
            return Some(format!("{} a sequence, learned at mean 0 and standard deviation 1", self.labels.describe()));
        };
        let of_part = part.examples.class_counts();
        if of_part.is_empty() {
            return Some(format!("without labels; the model predicts {}", self.labels.describe()));
        }
        // What is here of a model's training may be a part of it.
        let of_training = self.not_empty(0).and_then(|_| self.class_counts());
        let mut counts: Vec<(usize, &String)> = of_training.unwrap_or(of_part).into_iter().zip(names).collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let of = if self.not_empty(0).is_some() { " in training" } else { "" };
        if let [(first, _), .., (last, _)] = counts[..]
            && first == last
        {
            return Some(format!("{}{of}, {} of each", self.labels.describe(), grouped(first as u64)));
        }
        let texts = counts.iter().map(|(count, name)| format!("{name} {}", grouped(*count as u64)));
        Some(as_many_as_fit(&format!("{}{of}: ", self.labels.describe()), texts))
    }

    fn lengths(&self) -> Vec<usize> {
        let examples = self.parts.iter().map(|part| &part.examples);
        examples.flat_map(|part| (0..part.len()).map(|example| part.steps(example))).collect()
    }

    fn unlabelled(&self) -> bool {
        self.parts.iter().any(|part| !part.examples.is_empty() && *part.labels == Labels::None)
    }
}

/// Precision and recall of each class: in the terminal where they are few.
fn put_classes(results: &mut Results, part: &str, classes: &[String], matrix: &ConfusionMatrix) {
    let row = |(class, name): (usize, &String)| {
        let [precision, recall] = [matrix.precision(class), matrix.recall(class)].map(share);
        vec![name.clone(), precision, recall, grouped(matrix.support(class))]
    };
    let mut rows: Vec<Vec<String>> = classes.iter().enumerate().take(ROWS).map(row).collect();
    if let Some(more) = classes.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let more = format!("… and {} more", grouped(more as u64));
        rows.push([more].into_iter().chain([const { String::new() }; 3]).collect());
    }
    let columns = ["precision", "recall", "sequences"];
    if classes.len() <= FEW {
        results.lines.push(String::new());
        results.put_lines(&[&[part], &columns[..]].concat(), &rows);
    }
    let columns = std::iter::once("class").chain(columns).map(str::to_owned).collect();
    results.tables.push(Table { caption: format!("Classes, {part}"), columns, rows });
}

impl Task for LabelledTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = self.words.clone();
        lines.extend(self.relation.clone());
        lines.push(Lengths(&self.lengths()).line(WIDTH));
        lines.extend(self.describe_labels());
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
        if self.unlabelled() {
            Err(no_labels())
        } else {
            let learned = self.weighting.of(&part.examples)?;
            Ok(Some(Box::new(ShuffledBatches::new(learned, order.rows, order.buckets, order.seed)?)))
        }
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match self.not_empty(1) {
            Some(part) => Some(Box::new(SequentialBatches::new(self.weighting.of(&part.examples)?, rows)?)),
            None => None,
        })
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
        // Of a class which one, and of each pair a count; of values each, in f64, beside its truth.
        let of_one = match &self.labels {
            LabelCodec::Classes(_) => 64,
            LabelCodec::Values(scalings) => 64 + 16 * scalings.len(),
        };
        // A row of a table for each class.
        let classes = if let LabelCodec::Classes(classes) = &self.labels { 512 * classes.len() } else { 0 };
        self.parts[1..].iter().map(|part| (part.examples.len() * of_one + classes) as u64).sum()
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
                if let Some(part) = self.not_empty(part) {
                    let told = match &self.labels {
                        LabelCodec::Classes(classes) => {
                            let told = self.predict(network, &part.examples, rows, |told| most_probable(&told)).await?;
                            PartPredictions::Classes(confusion(part, &told, classes.len())?)
                        }
                        LabelCodec::Values(_) => {
                            PartPredictions::Values(self.predict(network, &part.examples, rows, |told| told).await?)
                        }
                    };
                    let loss = network.evaluate(&SequentialBatches::new(&part.examples, rows)?).await?;
                    measured.push(MeasuredPart { name, part, told, loss });
                }
            }
            if measured.is_empty() {
                results.lines.push("every sequence was trained on: nothing is left to test".into());
            } else {
                match &self.labels {
                    LabelCodec::Classes(classes) => self.class_results(&measured, classes, json, &mut results),
                    LabelCodec::Values(scalings) => self.value_results(&measured, scalings, &mut results),
                }
            }
            let lengths = self.lengths();
            if lengths.iter().any(|length| *length != lengths[0]) {
                let title = format!("{}, all sequences", self.name);
                results.figures.push(("lengths.svg", Lengths(&lengths).draw(&title)));
            }
            Ok(results)
        })
    }

    fn predictions<'a>(&'a self, network: &'a mut Network, rows: usize, out: &'a mut dyn Write) -> Pending<'a, ()> {
        Box::pin(self.write_predictions(network, rows, out))
    }
}

/// The index of the greatest, the first of several.
pub(super) fn most_probable(told: &[f64]) -> usize {
    (0..told.len()).fold(0, |best, class| if told[class] > told[best] { class } else { best })
}

/// By the index of the class that was told of each sequence.
fn confusion(part: &LabelledPart, told: &[usize], classes: usize) -> Result<ConfusionMatrix> {
    let Labels::Classes { of, .. } = &part.examples.labelled().labels else { return Err(no_labels()) };
    let truths = part.examples.sequences().iter().map(|sequence| of[*sequence] as usize);
    ConfusionMatrix::new(classes, truths.zip(told.iter().copied()))
}

/// Of few classes a row of counts for each; of many `[truth, predicted, count]` of the pairs that occurred, of which there are
/// at most as many as sequences.
fn confusion_json(matrix: &ConfusionMatrix) -> (&'static str, serde_json::Value) {
    let classes = matrix.classes();
    if classes <= DENSE {
        let row = |truth| (0..classes).map(|predicted| matrix.count(truth, predicted)).collect::<Vec<_>>();
        return ("confusion", (0..classes).map(row).collect());
    }
    let pair = |((truth, predicted), count)| json!([truth, predicted, count]);
    ("confusion_pairs", matrix.pairs().map(pair).collect())
}
