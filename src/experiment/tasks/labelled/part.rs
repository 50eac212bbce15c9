//! Parts of labelled sequences, and what is predicted of them.

use std::sync::Arc;

use crate::Result;
use crate::data::{LabelledSequences, Labels, Subset};
use crate::experiment::model::label_codec::{LabelCodec, no_labels};
use crate::train::ConfusionMatrix;

/// Sequences that train, validate or test.
pub(crate) struct LabelledPart {
    /// In the model's numbers.
    pub(super) examples: Subset,
    /// The labels as they were read, of all sequences of the file.
    pub(super) labels: Arc<Labels>,
}

/// A file's sequences in the model's numbers.
#[derive(Clone)]
pub(crate) struct EncodedLabels {
    labelled: Arc<LabelledSequences>,
    labels: Arc<Labels>,
}

impl EncodedLabels {
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

/// A measured part.
pub(super) struct MeasuredPart<'a> {
    pub(super) name: &'static str,
    pub(super) part: &'a LabelledPart,
    pub(super) predicted: PartPredictions,
    /// The loss, as in training.
    pub(super) loss: f64,
}

/// The predictions of a part.
pub(super) enum PartPredictions {
    Classes(ConfusionMatrix),
    /// ŷ of each sequence, in the data's units.
    Values(Vec<Vec<f64>>),
}

/// By the index of the class that is predicted for each sequence.
pub(super) fn confusion(part: &LabelledPart, predicted: &[usize], classes: usize) -> Result<ConfusionMatrix> {
    let Labels::Classes { of, .. } = &part.examples.labelled().labels else { return Err(no_labels()) };
    let truths = part.examples.sequences().iter().map(|sequence| of[*sequence] as usize);
    ConfusionMatrix::new(classes, truths.zip(predicted.iter().copied()))
}
