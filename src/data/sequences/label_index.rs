//! What has a label, and where the labels of a sequence are among all.

use std::ops::Range;

/// What has a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LabelsPer {
    /// A sequence as a whole, predicted after its last step or from all of them.
    #[default]
    Sequence,
    /// Each step, predicted at that step. Some may have none.
    Step,
}

impl LabelsPer {
    /// In words: `sequence` or `step`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Step => "step",
        }
    }

    /// In words: `sequences` or `steps`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Sequence => "sequences",
            Self::Step => "steps",
        }
    }
}

/// Where the labels of each sequence are among all. By default each sequence has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LabelIndex {
    /// Where those of each sequence end, if its steps have labels.
    ends: Option<Vec<usize>>,
}

impl LabelIndex {
    /// For sequences of these lengths, with a label at each step.
    pub(super) fn of_steps(lengths: impl Iterator<Item = usize>) -> Self {
        let end = |end: &mut usize, length| {
            *end += length;
            Some(*end)
        };
        Self { ends: Some(lengths.scan(0, end).collect()) }
    }

    /// The labels of a sequence.
    pub(crate) fn of(&self, sequence: usize) -> Range<usize> {
        match &self.ends {
            None => sequence..sequence + 1,
            Some(ends) => sequence.checked_sub(1).map_or(0, |before| ends[before])..ends[sequence],
        }
    }

    /// The sequence of a label, and its step if each has a label.
    pub(super) fn place(&self, label: usize) -> (usize, Option<usize>) {
        match &self.ends {
            None => (label, None),
            Some(ends) => {
                let sequence = ends.partition_point(|end| *end <= label);
                let begin = sequence.checked_sub(1).map_or(0, |before| ends[before]);
                (sequence, Some(label - begin))
            }
        }
    }

    /// `the label of sequence 3`, or `the label of sequence 3, step 2`.
    pub(crate) fn name(&self, label: usize) -> String {
        let (sequence, step) = self.place(label);
        let step = step.map_or(String::new(), |step| format!(", step {}", step + 1));
        format!("the label of sequence {}{step}", sequence + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_sequence_and_sequences_by_label() {
        let each = LabelIndex::default();
        assert_eq!((each.of(2), each.place(2), each.name(2)), (2..3, (2, None), "the label of sequence 3".into()));
        let steps = LabelIndex::of_steps([2, 1, 3].into_iter());
        assert_eq!([0, 1, 2].map(|sequence| steps.of(sequence)), [0..2, 2..3, 3..6]);
        let places: Vec<_> = (0..6).map(|label| steps.place(label)).collect();
        let expected = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)];
        assert_eq!(places, expected.map(|(sequence, step)| (sequence, Some(step))));
        assert_eq!(steps.name(4), "the label of sequence 3, step 2");
    }
}
