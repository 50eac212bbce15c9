//! Label smoothing and class weights in training.

use super::class_weights::class_weights;
use super::part::LabelledPart;
use crate::Result;
use crate::data::{Examples, Subset};
use crate::experiment::config::Names;
use crate::experiment::config::agree::unsupported;
use crate::experiment::model::label_codec::LabelCodec;
use crate::format::short;

/// The width of a line that describes data in the terminal.
pub(super) const WIDTH: usize = 78;

/// Label smoothing and class weights. They apply to training and validation, but not to results.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LossWeighting {
    /// Label smoothing.
    pub(super) smoothing: f64,
    /// The class weights.
    pub(super) weights: Option<Vec<f64>>,
}

impl LossWeighting {
    /// From the settings, for the labels of `training`.
    ///
    /// # Errors
    /// If the labels are not classes; see also [`class_weights`].
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
                    let way = "--labels-as classes reads numbers as class names";
                    Err(unsupported(format!("{flag} is for classes; these labels are values ({way})")))
                }
                None => Ok(Self { smoothing, weights: None }),
            };
        };
        // Without a training split there is no training.
        let entries = class_weights_set.filter(|_| !training.examples.is_empty());
        let weights =
            entries.map(|entries| class_weights(entries, names, &training.examples.class_counts())).transpose()?;
        Ok(Self { smoothing, weights })
    }

    pub(super) fn is_none(&self) -> bool {
        self.smoothing == 0.0 && self.weights.is_none()
    }

    /// The examples of training or validation: those that have a label.
    pub(super) fn of(&self, examples: &Subset) -> Result<Subset> {
        let smoothed = examples.clone().labelled_only().smoothing(self.smoothing)?;
        match &self.weights {
            Some(weights) => smoothed.class_weights(weights.iter().map(|weight| *weight as f32).collect()),
            None => Ok(smoothed),
        }
    }

    /// In words, a line each.
    pub(super) fn describe(&self, labels: &LabelCodec) -> Vec<String> {
        let LabelCodec::Classes(names) = labels else { return Vec::new() };
        let weights = self.weights.as_ref().map(|weights| {
            let texts = names.iter().zip(weights).map(|(name, weight)| format!("{name} {}", short(*weight)));
            as_many_as_fit("weights in training: ", texts)
        });
        // For more than two classes, the loss reports it.
        let smoothing = (self.smoothing > 0.0 && names.len() == 2)
            .then(|| format!("labels smoothed in training by {}", self.smoothing));
        weights.into_iter().chain(smoothing).collect()
    }
}

/// `begin` and texts separated by commas; those that do not fit into the line become an ellipsis.
pub(super) fn as_many_as_fit(begin: &str, texts: impl Iterator<Item = String>) -> String {
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
