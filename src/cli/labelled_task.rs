//! What is told of whole sequences, whatever they come from: one of several classes, or values.

use std::io::Write;
use std::path::Path;

use bptt::data::{Accuracy, Batches, Examples, InOrder, Labelled, Labels, Scaling, Shuffled, Subset};
use bptt::ndarray::Array2;
use bptt::train::ConfusionMatrix;
use bptt::{Error, Head, Result};
use serde_json::json;

use super::label_codec::{LabelCodec, no_labels};
use super::model_file::Codec;
use super::network::Network;
use super::pictures::{Baseline, Confusion, Lengths, share};
use super::progress::{grouped, short};
use super::report::Table;
use super::task::{Measure, Order, Results, Task};

/// The columns of a line of the terminal that describes data.
const WIDTH: usize = 78;

/// Classes that the terminal has a line each for.
const FEW: usize = 12;

/// The names of the parts.
const PARTS: [&str; 3] = ["training", "validation", "test"];

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
    /// Training, validation and test, each in the model's numbers; empty where there is nothing.
    pub(crate) parts: [Subset; 3],
}

/// A measured part.
struct Measured<'a> {
    part: &'static str,
    subset: &'a Subset,
    /// ŷ of each sequence.
    predictions: Vec<Vec<f64>>,
    /// The loss, as in training.
    loss: f64,
}

impl LabelledTask {
    fn not_empty(&self, part: usize) -> Option<&Subset> {
        self.parts.get(part).filter(|subset| !subset.is_empty())
    }

    /// The loss on a part of who tells what the training part has, whatever the sequence: the frequencies of its classes,
    /// each count taken as one more so that none is 0, or its mean.
    fn baseline_loss(&self, part: &Subset) -> Option<f64> {
        let training = self.not_empty(0)?;
        match &part.labelled().labels {
            Labels::None => None,
            Labels::Classes { .. } => {
                let known: Vec<f64> = training.class_counts().into_iter().map(|count| count as f64 + 1.0).collect();
                let total: f64 = known.iter().sum();
                let nats = |(count, known): (usize, &f64)| -(known / total).ln() * count as f64;
                Some(part.class_counts().into_iter().zip(&known).map(nats).sum::<f64>() / part.len() as f64)
            }
            Labels::Values(values) => {
                let squares = part.sequences().iter().flat_map(|row| values.row(*row).to_vec());
                let sum: f64 = squares.map(|value| f64::from(value).powi(2)).sum();
                Some(sum / (part.len() * values.ncols()) as f64)
            }
        }
    }

    /// The probability of each class, or the values in the data's units.
    fn told(&self, prediction: &Array2<f32>) -> Vec<f64> {
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

    fn predict(&self, network: &mut dyn Network, subset: &Subset, rows: usize) -> Result<Vec<Vec<f64>>> {
        Ok(network.predict(subset, rows)?.iter().map(|prediction| self.told(prediction)).collect())
    }

    fn measure<'a>(
        &'a self,
        network: &mut dyn Network,
        part: &'static str,
        subset: &'a Subset,
        rows: usize,
    ) -> Result<Measured<'a>> {
        let predictions = self.predict(network, subset, rows)?;
        let loss = network.evaluate(&InOrder::new(subset, rows)?)?;
        Ok(Measured { part, subset, predictions, loss })
    }

    fn class_results(&self, measured: &[Measured<'_>], classes: &[String], results: &mut Results) -> Result<()> {
        let mut names = vec!["accuracy", "majority", "balanced", "cross-entropy"];
        // Without a training part there are no frequencies to compare with.
        names.extend(self.not_empty(0).map(|_| "frequencies"));
        let mut rows = Vec::new();
        for Measured { part, subset, predictions, loss } in measured {
            let matrix = confusion(subset, predictions, classes.len())?;
            let baseline = self.baseline_loss(subset);
            let (accuracy, majority, balanced) =
                (matrix.accuracy(), matrix.majority_share(), matrix.balanced_accuracy());
            results.key_figures.push((format!("accuracy, {part}"), share(accuracy)));
            results.key_figures.push((format!("majority class, {part}"), share(majority)));
            let mut row = vec![(*part).to_owned()];
            row.extend([accuracy, majority, balanced].map(share));
            row.extend([Some(*loss), baseline].into_iter().flatten().map(short));
            rows.push(row);
            let value = json!({
                "sequences": matrix.total(), "accuracy": accuracy, "majority_share": majority,
                "balanced_accuracy": balanced, "loss": loss, "baseline_loss": baseline,
                "confusion": matrix.counts().rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>(),
            });
            results.summary.insert((*part).into(), value);
        }
        results.put_table(
            "Accuracy beside the share of the largest class; balanced: the mean recall of the classes; cross-entropy in \
             nats a sequence, beside that of who knows the classes' shares in training alone",
            &[&["part"], names.as_slice()].concat(),
            rows,
        );
        results
            .lines
            .push("majority: who always tells the largest class; balanced: the mean recall of the classes".into());
        if self.not_empty(0).is_some() {
            results
                .lines
                .push("frequencies: the cross-entropy of who knows the classes' shares in training alone".into());
        }
        results.summary.insert("classes".into(), json!(classes));
        let Some(Measured { part, subset, predictions, .. }) = measured.last() else { return Ok(()) };
        let matrix = confusion(subset, predictions, classes.len())?;
        results.put_classes(part, classes, &matrix);
        let counts: Vec<u64> = matrix.counts().iter().copied().collect();
        let title = format!("{}, {part}", self.name);
        let picture = Confusion { title: &title, classes, counts: &counts };
        results.figures.push(("confusion.svg", picture.draw()));
        Ok(())
    }

    fn value_results(&self, measured: &[Measured<'_>], scalings: &[Scaling], results: &mut Results) {
        let mut rows = Vec::new();
        for Measured { part, subset, predictions, loss } in measured {
            let Labels::Values(values) = &subset.labelled().labels else { continue };
            let mut errors = Vec::new();
            for (output, scaling) in scalings.iter().enumerate() {
                let truths = subset.sequences().iter().map(|row| scaling.unscale(f64::from(values[[*row, output]])));
                let pairs: Vec<(f64, f64)> =
                    truths.zip(predictions).map(|(truth, told)| (truth, told[output])).collect();
                let mean: Vec<(f64, f64)> = pairs.iter().map(|(truth, _)| (*truth, scaling.offset)).collect();
                let [told, mean] = [pairs, mean].map(Accuracy::of);
                let name = if scalings.len() == 1 { (*part).into() } else { format!("{part}, value {}", output + 1) };
                results.key_figures.push((format!("RMSE, {name}"), short(told.rmse)));
                results.key_figures.push((format!("RMSE of the mean, {name}"), short(mean.rmse)));
                let mut row = vec![name];
                row.extend([told.rmse, mean.rmse, told.mae, mean.mae].map(short));
                rows.push(row);
                errors.push(json!({"rmse": told.rmse, "mae": told.mae, "mean_rmse": mean.rmse, "mean_mae": mean.mae}));
            }
            let value = json!({"sequences": subset.len(), "loss": loss, "values": errors});
            results.summary.insert((*part).into(), value);
        }
        results.put_table(
            "Errors in the labels' units, beside those of who always tells the mean of the training part",
            &["part", "RMSE", "mean's RMSE", "MAE", "mean's MAE"],
            rows,
        );
        results.lines.push("in the labels' units; mean: who always tells the mean of the training part".into());
    }

    /// How many sequences of each class train, or are measured where nothing does: the largest first, as many as fit.
    fn describe_labels(&self) -> Option<String> {
        let part = self.not_empty(0).or(self.not_empty(2))?;
        let LabelCodec::Classes(names) = &self.labels else {
            return Some(format!("{} a sequence, learned at mean 0 and standard deviation 1", self.labels.describe()));
        };
        let mut counts: Vec<(usize, &String)> = part.class_counts().into_iter().zip(names).collect();
        if counts.is_empty() {
            return Some(format!("without labels; the model tells {}", self.labels.describe()));
        }
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let of = if self.not_empty(0).is_some() { " in training" } else { "" };
        if let [(first, _), .., (last, _)] = counts[..]
            && first == last
        {
            return Some(format!("{}{of}, {} of each", self.labels.describe(), grouped(first as u64)));
        }
        let mut line = format!("{}{of}: ", self.labels.describe());
        for (index, (count, name)) in counts.iter().enumerate() {
            let text = format!("{}{name} {}", if index == 0 { "" } else { ", " }, grouped(*count as u64));
            if line.chars().count() + text.chars().count() > WIDTH {
                line.push_str(", …");
                break;
            }
            line.push_str(&text);
        }
        Some(line)
    }

    fn lengths(&self) -> Vec<usize> {
        self.parts.iter().flat_map(|part| (0..part.len()).map(|example| part.steps(example))).collect()
    }

    fn unlabelled(&self) -> bool {
        self.parts.iter().any(|part| !part.is_empty() && part.labelled().labels == Labels::None)
    }
}

impl Results {
    /// A table for the terminal and the report; the first column of both is words, the others numbers.
    fn put_table(&mut self, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        // What a row is shows in its first word.
        let head = std::iter::once(String::new()).chain(columns.iter().skip(1).cloned()).collect();
        self.put_lines(head, &rows);
        self.tables.push(Table { caption: caption.into(), columns, rows });
    }

    fn put_lines(&mut self, head: Vec<String>, rows: &[Vec<String>]) {
        let length = |cell: &String| cell.chars().count();
        let first = rows.iter().filter_map(|row| row.first()).chain(head.first()).map(length).max();
        let first = first.unwrap_or_default().max(10);
        let widths: Vec<usize> = head.iter().skip(1).map(|name| length(name).max(9)).collect();
        for row in std::iter::once(&head).chain(rows) {
            let mut line = format!("{:<first$}", row[0]);
            for (cell, width) in row.iter().skip(1).zip(&widths) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            self.lines.push(line);
        }
    }

    /// Precision and recall of each class: in the terminal where they are few.
    fn put_classes(&mut self, part: &str, classes: &[String], matrix: &ConfusionMatrix) {
        let row = |(class, name): (usize, &String)| {
            let [precision, recall] = [matrix.precision(class), matrix.recall(class)].map(share);
            vec![name.clone(), precision, recall, grouped(matrix.support(class))]
        };
        let rows: Vec<Vec<String>> = classes.iter().enumerate().map(row).collect();
        let columns = ["class", "precision", "recall", "sequences"].map(str::to_owned).to_vec();
        if classes.len() <= FEW {
            self.lines.push(String::new());
            let mut head = columns.clone();
            head[0] = part.into();
            self.put_lines(head, &rows);
        }
        self.tables.push(Table { caption: format!("Classes, {part}"), columns, rows });
    }
}

impl Task for LabelledTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = self.words.clone();
        lines.push(Lengths(&self.lengths()).line(WIDTH));
        lines.extend(self.describe_labels());
        let count = |(name, part): (&str, &Subset)| format!("{name} {}", grouped(part.len() as u64));
        let parts = PARTS.into_iter().zip(&self.parts).filter(|(_, part)| !part.is_empty());
        lines.push(parts.map(count).collect::<Vec<_>>().join(", "));
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
        match self.unlabelled() {
            true => Err(no_labels()),
            false => Ok(Some(Box::new(Shuffled::new(part, order.rows, order.buckets, order.seed)?))),
        }
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match self.not_empty(1) {
            Some(part) => Some(Box::new(InOrder::new(part, rows)?)),
            None => None,
        })
    }

    fn baseline(&self) -> Option<Baseline> {
        let loss = self.baseline_loss(self.not_empty(1)?)?;
        let name = match &self.labels {
            LabelCodec::Classes(_) => "frequencies of classes, validation",
            LabelCodec::Values(_) => "mean of training, validation",
        };
        Some(Baseline { name: name.into(), loss })
    }

    fn results(&self, network: &mut dyn Network, Measure { rows, .. }: Measure) -> Result<Results> {
        let mut results = Results::default();
        if self.unlabelled() {
            return Err(no_labels());
        }
        let mut measured = Vec::new();
        for part in [1, 2] {
            if let Some(subset) = self.not_empty(part) {
                measured.push(self.measure(network, PARTS[part], subset, rows)?);
            }
        }
        if measured.is_empty() {
            results.lines.push("every sequence was trained on: nothing is left to test".into());
        } else {
            match &self.labels {
                LabelCodec::Classes(classes) => self.class_results(&measured, classes, &mut results)?,
                LabelCodec::Values(scalings) => self.value_results(&measured, scalings, &mut results),
            }
        }
        let lengths = self.lengths();
        if lengths.iter().any(|length| *length != lengths[0]) {
            let title = format!("{}, all sequences", self.name);
            results.figures.push(("lengths.svg", Lengths(&lengths).draw(&title)));
        }
        Ok(results)
    }

    fn predictions(&self, network: &mut dyn Network, rows: usize, out: &mut dyn Write) -> Result<()> {
        let unwritable = |error: csv::Error| Error::Unsupported(format!("the predictions: {error}"));
        let mut csv = csv::Writer::from_writer(out);
        let mut names = vec![self.id_name.to_owned(), "part".into()];
        match &self.labels {
            LabelCodec::Classes(classes) => {
                names.extend(["label".into(), "predicted".into()]);
                names.extend(classes.iter().map(|class| format!("p_{class}")));
            }
            LabelCodec::Values(scalings) if scalings.len() == 1 => names.extend(["label".into(), "predicted".into()]),
            LabelCodec::Values(scalings) => {
                let column = |what: &'static str| (1..=scalings.len()).map(move |output| format!("{what}_{output}"));
                names.extend(column("label").chain(column("predicted")));
            }
        }
        csv.write_record(&names).map_err(unwritable)?;
        for (name, part) in PARTS.into_iter().zip(&self.parts).filter(|(_, part)| !part.is_empty()) {
            let predictions = self.predict(network, part, rows)?;
            for (sequence, told) in part.sequences().iter().zip(predictions) {
                let number = (sequence + 1).to_string();
                let id = part.labelled().ids.get(*sequence).unwrap_or(&number);
                let mut record = vec![id.clone(), name.to_owned()];
                record.extend(self.truth(part.labelled(), *sequence));
                if let LabelCodec::Classes(classes) = &self.labels {
                    record.extend(classes.get(most_probable(&told)).cloned());
                }
                // As exact as the network computes.
                record.extend(told.iter().map(|number| (*number as f32).to_string()));
                csv.write_record(&record).map_err(unwritable)?;
            }
        }
        csv.flush().map_err(|error| Error::Unsupported(format!("the predictions: {error}")))
    }
}

impl LabelledTask {
    /// The label of a sequence as it is written, empty where it is not known.
    fn truth(&self, labelled: &Labelled, sequence: usize) -> Vec<String> {
        match (&labelled.labels, &self.labels) {
            (Labels::Classes { names, of }, _) => vec![names[of[sequence] as usize].clone()],
            (Labels::Values(values), LabelCodec::Values(scalings)) => {
                let units = |(value, scaling): (&f32, &Scaling)| scaling.unscale(f64::from(*value)) as f32;
                values.row(sequence).iter().zip(scalings).map(units).map(|value| value.to_string()).collect()
            }
            (_, LabelCodec::Values(scalings)) => vec![String::new(); scalings.len()],
            _ => vec![String::new()],
        }
    }
}

/// The index of the greatest, the first of several.
fn most_probable(told: &[f64]) -> usize {
    (0..told.len()).fold(0, |best, class| if told[class] > told[best] { class } else { best })
}

fn confusion(subset: &Subset, predictions: &[Vec<f64>], classes: usize) -> Result<ConfusionMatrix> {
    let Labels::Classes { of, .. } = &subset.labelled().labels else { return Err(no_labels()) };
    let truths = subset.sequences().iter().map(|sequence| of[*sequence] as usize);
    ConfusionMatrix::new(classes, truths.zip(predictions.iter().map(|told| most_probable(told))))
}

/// The refusal of what a file had.
pub(crate) fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Value { what, expected, got } => Error::Data {
            path: path.into(),
            place: format!(", {what}"),
            message: format!("expected {expected}, got {got}"),
        },
        other => other,
    }
}
