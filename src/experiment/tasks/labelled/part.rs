//! Splits of labelled sequences and their predictions.

use std::sync::Arc;

use crate::Result;
use crate::data::{LabelledSequences, Labels, Subset};
use crate::experiment::model::label_codec::{LabelCodec, no_labels};
use crate::train::ConfusionMatrix;

/// The sequences of a split.
pub(crate) struct LabelledPart {
    /// As the model encodes them.
    pub(super) examples: Subset,
    /// The original labels of all sequences or steps in the file.
    pub(super) labels: Arc<Labels>,
}

/// The sequences of a file as the model encodes them.
#[derive(Clone)]
pub(crate) struct EncodedLabels {
    labelled: Arc<LabelledSequences>,
    labels: Arc<Labels>,
}

impl EncodedLabels {
    /// Encodes labels; the sequences are encoded already.
    ///
    /// # Errors
    /// Names a label that is unknown to the model.
    pub(crate) fn new(mut labelled: LabelledSequences, codec: &LabelCodec) -> Result<Self> {
        let (labels, index) = (Arc::new(labelled.labels.clone()), labelled.label_index());
        codec.encode(&mut labelled.labels, &index)?;
        Ok(Self { labelled: Arc::new(labelled), labels })
    }

    /// The name of a sequence: `named`, or its number.
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

    /// All sequences.
    ///
    /// # Errors
    /// See [`Subset::new`].
    pub(crate) fn whole(&self) -> Result<LabelledPart> {
        self.part((0..self.labelled.input.len()).collect())
    }
}

/// A measured split.
pub(super) struct MeasuredPart<'a> {
    pub(super) name: &'static str,
    pub(super) part: &'a LabelledPart,
    pub(super) predicted: PartPredictions,
    /// The loss, as in training.
    pub(super) loss: f64,
}

/// The predictions of a split.
pub(super) enum PartPredictions {
    Classes(ConfusionMatrix),
    /// ŷ of each sequence or step, in the units of the data.
    Values(Vec<Vec<f64>>),
}

/// The predicted class of each sequence or step beside its label, if that is not missing.
pub(super) fn confusion(part: &LabelledPart, predicted: &[usize], classes: usize) -> Result<ConfusionMatrix> {
    let labels = &part.examples.labelled().labels;
    let Labels::Classes { of, .. } = labels else { return Err(no_labels()) };
    let pairs = part.examples.labels().zip(predicted).filter(|(label, _)| !labels.is_missing(*label));
    ConfusionMatrix::new(classes, pairs.map(|(label, predicted)| (of[label] as usize, *predicted)))
}
