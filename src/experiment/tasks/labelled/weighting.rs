//! What training does to the labels of classes.

use super::class_weights::class_weights;
use super::part::LabelledPart;
use crate::Result;
use crate::data::{Examples, Subset};
use crate::experiment::config::Names;
use crate::experiment::config::agree::unsupported;
use crate::experiment::model::label_codec::LabelCodec;
use crate::format::short;

/// The columns of a line of the terminal that describes data.
pub(super) const WIDTH: usize = 78;

/// What training does to the labels of classes. Validation, which it goes by, does the same; results do not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LossWeighting {
    /// How much of each label is spread over all classes.
    pub(super) smoothing: f64,
    /// The weight of each class.
    pub(super) weights: Option<Vec<f64>>,
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
        let entries = class_weights_set.filter(|_| !training.examples.is_empty());
        let weights =
            entries.map(|entries| class_weights(entries, names, &training.examples.class_counts())).transpose()?;
        Ok(Self { smoothing, weights })
    }

    pub(super) fn is_none(&self) -> bool {
        self.smoothing == 0.0 && self.weights.is_none()
    }

    pub(super) fn of(&self, examples: &Subset) -> Result<Subset> {
        let smoothed = examples.clone().smoothing(self.smoothing)?;
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
        // Of more than two it is the loss that tells it.
        let smoothing = (self.smoothing > 0.0 && names.len() == 2)
            .then(|| format!("labels smoothed in training by {}", self.smoothing));
        weights.into_iter().chain(smoothing).collect()
    }
}

/// `begin` and texts with commas between them, of which those have an ellipsis that the line has no room for.
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
