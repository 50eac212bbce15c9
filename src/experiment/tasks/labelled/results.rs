//! The results for labelled sequences in tables, figures and JSON.

use serde_json::json;

use super::super::task::Results;
use super::labelled_task::LabelledTask;
use super::part::{MeasuredPart, PartPredictions};
use super::weighting::LossWeighting;
use crate::data::{Examples, ForecastErrors, Labels, LabelsPer, Scaling};
use crate::experiment::measure::comparison;
use crate::experiment::measure::comparison::{BaselineName, Comparison};
use crate::experiment::measure::r_squared::r_squared;
use crate::format::{grouped, share, short};
use crate::plot::Confusion;
use crate::report::Table;
use crate::train::ConfusionMatrix;

/// Maximum number of classes with a line each in the terminal.
const FEW: usize = 12;

/// Maximum number of classes with a row each in the report.
const ROWS: usize = 1000;

/// Maximum number of classes for which the summary has every pair, including zero counts.
const DENSE: usize = 100;

/// Explanations of the columns.
const BALANCED: &str = "balanced: the mean recall of the classes";

const MACRO_F1: &str = "F1: the mean F1 of the classes";

const MAJORITY: &str = "majority: always predicting the largest training class";

const FREQUENCIES: &str = "frequencies: the cross-entropy of always predicting the training class frequencies";

const PLAIN: &str = "cross-entropy: without class weights and label smoothing";

const MEAN: &str = "in the labels' units; mean: always predicting the mean of the training split; R²: the share of the \
                    variance that is predicted";

/// The baselines.
const LARGEST_CLASS: BaselineName = BaselineName { key: "majority", words: "the largest training class" };

const CLASS_FREQUENCIES: BaselineName = BaselineName { key: "frequencies", words: "the frequencies of the classes" };

const TRAINING_MEAN: BaselineName = BaselineName { key: "mean", words: "the mean of the training split" };

impl LabelledTask {
    pub(super) fn class_results(
        &self,
        measured: &[MeasuredPart<'_>],
        classes: &[String],
        json: bool,
        results: &mut Results,
    ) {
        let training = self.class_counts();
        // Without known frequencies there is no baseline.
        let known = |what| training.as_ref().map(|_| what);
        let mut names = vec!["accuracy"];
        names.extend(known("majority"));
        names.extend(["balanced", "F1", "cross-entropy"]);
        names.extend(known("frequencies"));
        let mut rows = Vec::new();
        for MeasuredPart { name, part, predicted, loss } in measured {
            let PartPredictions::Classes(matrix) = predicted else { continue };
            let baseline = self.baseline_loss(part, &LossWeighting { smoothing: 0.0, weights: None });
            let (accuracy, balanced, f1) = (matrix.accuracy(), matrix.balanced_accuracy(), matrix.macro_f1());
            let majority = training.as_ref().map(|counts| matrix.majority_share(counts));
            results.key_figures.push((format!("accuracy, {name}"), share(accuracy)));
            results.key_figures.extend(majority.map(|majority| (format!("majority class, {name}"), share(majority))));
            let mut row = vec![(*name).to_owned()];
            row.extend([Some(accuracy), majority, Some(balanced), Some(f1)].into_iter().flatten().map(share));
            row.extend([Some(*loss), baseline].into_iter().flatten().map(short));
            rows.push(row);
            if json {
                let mut value = json!({
                    "sequences": part.examples.len(), "accuracy": accuracy, "majority_share": majority,
                    "balanced_accuracy": balanced, "macro_f1": f1, "loss": loss, "baseline_loss": baseline,
                });
                if self.labels_per() == LabelsPer::Step {
                    value["steps"] = json!(matrix.total());
                }
                let (key, counts) = confusion_json(matrix);
                value[key] = counts;
                results.summary.insert((*name).into(), value);
            }
            let (share, error) =
                (comparison::ComparedMetric::Share("accuracy"), comparison::ComparedMetric::Error("cross-entropy"));
            let majority = majority.map(|other| Comparison::new(name, share, accuracy, LARGEST_CLASS, other));
            let frequencies = baseline.map(|other| Comparison::new(name, error, *loss, CLASS_FREQUENCIES, other));
            results.comparisons.extend(majority.into_iter().chain(frequencies));
        }
        let mut notes = vec![BALANCED, MACRO_F1];
        notes.extend([known(MAJORITY), known(FREQUENCIES)].into_iter().flatten());
        notes.extend((!self.weighting.is_none()).then_some(PLAIN));
        let per = self.labels_per();
        let caption = format!("Accuracy and cross-entropy in nats per {}; {}", per.name(), notes.join("; "));
        results.put_table(&caption, &[&["part"], names.as_slice()].concat(), rows);
        results.lines.extend(notes.into_iter().map(str::to_owned));
        if json {
            results.summary.insert("classes".into(), json!(classes));
        }
        let Some(MeasuredPart { name, predicted: PartPredictions::Classes(matrix), .. }) = measured.last() else {
            return;
        };
        put_classes(results, name, classes, matrix, per);
        let title = format!("{}, {name}", self.name);
        let majority = training.map(|counts| matrix.majority_share(&counts));
        let picture = Confusion { title: &title, classes, matrix, majority };
        results.figures.push(("confusion.svg", picture.draw()));
    }

    pub(super) fn value_results(&self, measured: &[MeasuredPart<'_>], scalings: &[Scaling], results: &mut Results) {
        let mut rows = Vec::new();
        for MeasuredPart { name, part, predicted, loss } in measured {
            let (Labels::Values(values), PartPredictions::Values(predictions)) = (&*part.labels, predicted) else {
                continue;
            };
            let mut errors = Vec::new();
            for (output, scaling) in scalings.iter().enumerate() {
                let truths = part.examples.labels().map(|label| values[[label, output]]);
                let pairs: Vec<(f64, f64)> =
                    truths.zip(predictions).map(|(truth, predicted)| (truth, predicted[output])).collect();
                let mean: Vec<(f64, f64)> = pairs.iter().map(|(truth, _)| (*truth, scaling.offset)).collect();
                let r_squared = r_squared(&pairs);
                let [predicted, mean] = [pairs, mean].map(ForecastErrors::of);
                let what = if scalings.len() == 1 { (*name).into() } else { format!("{name}, value {}", output + 1) };
                results.key_figures.push((format!("RMSE, {what}"), short(predicted.rmse)));
                results.key_figures.push((format!("RMSE of the mean, {what}"), short(mean.rmse)));
                let rmse = comparison::ComparedMetric::Error("RMSE");
                let target = (scalings.len() > 1).then(|| format!("value {}", output + 1));
                let beside = Comparison::new(name, rmse, predicted.rmse, TRAINING_MEAN, mean.rmse);
                results.comparisons.push(Comparison { target, ..beside });
                let mut row = vec![what];
                row.extend([predicted.rmse, mean.rmse, predicted.mae, mean.mae, r_squared].map(short));
                rows.push(row);
                errors.push(json!({
                    "rmse": predicted.rmse, "mae": predicted.mae, "r_squared": r_squared,
                    "mean_rmse": mean.rmse, "mean_mae": mean.mae,
                }));
            }
            let mut value = json!({"sequences": part.examples.len(), "loss": loss, "values": errors});
            if self.labels_per() == LabelsPer::Step {
                value["steps"] = json!(part.examples.label_count());
            }
            results.summary.insert((*name).into(), value);
        }
        let columns = ["part", "RMSE", "mean's RMSE", "MAE", "mean's MAE", "R²"];
        results.put_table(&format!("Errors {MEAN}"), &columns, rows);
        results.lines.push(MEAN.into());
    }
}

/// Precision and recall of each class; in the terminal if there are few.
fn put_classes(results: &mut Results, part: &str, classes: &[String], matrix: &ConfusionMatrix, per: LabelsPer) {
    let row = |(class, name): (usize, &String)| {
        let [precision, recall] = [matrix.precision(class), matrix.recall(class)].map(share);
        vec![name.clone(), precision, recall, grouped(matrix.support(class))]
    };
    let mut rows: Vec<Vec<String>> = classes.iter().enumerate().take(ROWS).map(row).collect();
    if let Some(more) = classes.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let more = format!("… and {} more", grouped(more as u64));
        rows.push([more].into_iter().chain([const { String::new() }; 3]).collect());
    }
    let columns = ["precision", "recall", per.plural()];
    if classes.len() <= FEW {
        results.lines.push(String::new());
        results.put_lines(&[&[part], &columns[..]].concat(), &rows);
    }
    let columns = std::iter::once("class").chain(columns).map(str::to_owned).collect();
    results.tables.push(Table { caption: format!("Classes, {part}"), columns, rows });
}

/// With few classes one row of counts for each; with many `[truth, predicted, count]` of the pairs that occurred, at
/// most as many as there are sequences.
fn confusion_json(matrix: &ConfusionMatrix) -> (&'static str, serde_json::Value) {
    let classes = matrix.classes();
    if classes <= DENSE {
        let row = |truth| (0..classes).map(|predicted| matrix.count(truth, predicted)).collect::<Vec<_>>();
        return ("confusion", (0..classes).map(row).collect());
    }
    let pair = |((truth, predicted), count)| json!([truth, predicted, count]);
    ("confusion_pairs", matrix.pairs().map(pair).collect())
}
