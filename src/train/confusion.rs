//! Confusion matrices and classification metrics.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Counts of (true class, predicted class) pairs. Ratios with an empty denominator are NaN. Stored sparsely: there are
/// at most as many entries as examples, however many classes there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// The (true, predicted) pairs that occurred, with counts.
    pairs: BTreeMap<(usize, usize), u64>,
    /// The classes that occurred.
    of_class: BTreeMap<usize, Counts>,
}

/// Counts for one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Examples of this class.
    support: u64,
    /// Examples predicted as this class.
    predicted: u64,
    /// Examples of this class predicted correctly.
    right: u64,
}

impl ConfusionMatrix {
    /// Counts (true class, predicted class) pairs.
    ///
    /// # Errors
    /// [`Error::Value`] for a class that is not below `classes`.
    pub fn new(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Result<Self> {
        Self::from_counts(classes, pairs.into_iter().map(|pair| (pair, 1)))
    }

    /// Like [`new`](Self::new), for pairs with multiplicities. Sums saturate at `u64::MAX`.
    ///
    /// # Errors
    /// [`Error::Value`] for a class that is not below `classes`.
    pub fn from_counts(classes: usize, counts: impl IntoIterator<Item = ((usize, usize), u64)>) -> Result<Self> {
        let mut matrix = Self { classes, pairs: BTreeMap::new(), of_class: BTreeMap::new() };
        for ((truth, predicted), count) in counts {
            if truth >= classes || predicted >= classes {
                let expected = format!("two classes below {classes}");
                return Err(Error::value("truth and prediction", expected, format!("{truth} and {predicted}")));
            }
            if count == 0 {
                continue;
            }
            let add = |sum: &mut u64| *sum = sum.saturating_add(count);
            add(matrix.pairs.entry((truth, predicted)).or_default());
            add(&mut matrix.of_class.entry(truth).or_default().support);
            add(&mut matrix.of_class.entry(predicted).or_default().predicted);
            if truth == predicted {
                add(&mut matrix.of_class.entry(truth).or_default().right);
            }
        }
        Ok(matrix)
    }

    /// The number of classes, whether they occurred or not.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The (true, predicted) pairs that occurred, in ascending order, with counts.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = ((usize, usize), u64)> {
        self.pairs.iter().map(|(pair, count)| (*pair, *count))
    }

    /// The row of a true class: the predicted classes that occurred, in ascending order, with counts.
    pub fn row(&self, truth: usize) -> impl Iterator<Item = (usize, u64)> {
        self.pairs.range((truth, 0)..=(truth, usize::MAX)).map(|((_, predicted), count)| (*predicted, *count))
    }

    /// The count of one (true, predicted) pair.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.pairs.get(&(truth, predicted)).copied().unwrap_or_default()
    }

    /// The total number of examples.
    pub fn total(&self) -> u64 {
        self.sum(|class| class.support)
    }

    /// The fraction predicted correctly.
    pub fn accuracy(&self) -> f64 {
        share(self.sum(|class| class.right), self.total())
    }

    /// Balanced accuracy: the mean recall of the classes that occur.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls = self.of_class.keys().map(|class| self.recall(*class)).filter(|recall| !recall.is_nan());
        let (sum, count) = recalls.fold((0.0, 0.0), |(sum, count), recall| (sum + recall, count + 1.0));
        sum / count
    }

    /// The macro F1: the mean F1 of the classes that occur or are predicted.
    pub fn macro_f1(&self) -> f64 {
        let sum: f64 = self.of_class.keys().map(|class| self.f1(*class)).sum();
        sum / self.of_class.len() as f64
    }

    /// The accuracy of always predicting the class that is most frequent in training, where `training` is the number of
    /// training examples per class. The mean if several are tied.
    pub fn majority_share(&self, training: &[usize]) -> f64 {
        let training = &training[..self.classes.min(training.len())];
        let largest = training.iter().max().filter(|count| **count > 0);
        let all = training.iter().enumerate().filter(|(_, count)| Some(*count) == largest);
        let supports: Vec<u64> = all.map(|(class, _)| self.support(class)).collect();
        let support = supports.iter().fold(0, |sum: u64, support| sum.saturating_add(*support));
        share(support, self.total()) / supports.len() as f64
    }

    /// The number of examples of a class.
    pub fn support(&self, class: usize) -> u64 {
        self.of(class).support
    }

    /// False positives and false negatives of a class.
    pub fn mistakes(&self, class: usize) -> (u64, u64) {
        let Counts { support, predicted, right } = self.of(class);
        (predicted.saturating_sub(right), support.saturating_sub(right))
    }

    /// The precision of a class: the fraction of its predictions that are correct.
    pub fn precision(&self, class: usize) -> f64 {
        share(self.of(class).right, self.of(class).predicted)
    }

    /// The recall of a class: the fraction of its examples that are predicted correctly.
    pub fn recall(&self, class: usize) -> f64 {
        share(self.of(class).right, self.support(class))
    }

    /// The F1 of a class, the harmonic mean of its precision and recall.
    pub fn f1(&self, class: usize) -> f64 {
        let Counts { support, predicted, right } = self.of(class);
        2.0 * right as f64 / (support as f64 + predicted as f64)
    }

    fn of(&self, class: usize) -> Counts {
        self.of_class.get(&class).copied().unwrap_or_default()
    }

    fn sum(&self, part: impl Fn(&Counts) -> u64) -> u64 {
        self.of_class.values().fold(0, |sum: u64, class| sum.saturating_add(part(class)))
    }
}

fn share(part: u64, all: u64) -> f64 {
    part as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_recall_and_precision_follow_from_pairs() {
        let pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 0)];
        let matrix = ConfusionMatrix::new(3, pairs).unwrap();
        let pairs: Vec<_> = matrix.pairs().collect();
        assert_eq!(pairs, [((0, 0), 3), ((0, 1), 1), ((1, 0), 1), ((1, 1), 1)]);
        assert_eq!((matrix.row(1).collect::<Vec<_>>(), matrix.row(2).count()), (vec![(0, 1), (1, 1)], 0));
        assert_eq!((matrix.count(0, 1), matrix.count(2, 1), matrix.mistakes(0)), (1, 0, (1, 1)));
        assert_eq!((matrix.total(), matrix.support(0), matrix.support(2)), (6, 4, 0));
        assert_eq!(matrix.accuracy(), 4.0 / 6.0);
        assert_eq!((matrix.recall(0), matrix.precision(0)), (0.75, 0.75));
        assert_eq!((matrix.recall(1), matrix.precision(1)), (0.5, 0.5));
        assert!(matrix.recall(2).is_nan() && matrix.precision(2).is_nan());
        // The class that does not occur does not count.
        assert_eq!(matrix.balanced_accuracy(), 0.625);
        assert_eq!((matrix.f1(0), matrix.f1(1), matrix.macro_f1()), (0.75, 0.5, 0.625));
        assert!(matrix.f1(2).is_nan());
        // One that is predicted and does not occur has an F1 of 0: (4/5 + 0) / 2.
        let wrong = ConfusionMatrix::new(3, [(0, 0), (0, 0), (0, 1)]).unwrap();
        assert_eq!((wrong.f1(0), wrong.f1(1), wrong.macro_f1()), (0.8, 0.0, 0.4));
    }

    #[test]
    fn the_majority_class_is_that_of_the_training_data() {
        let matrix = ConfusionMatrix::new(3, [(0, 0), (1, 0), (1, 1), (1, 2)]).unwrap();
        assert_eq!(matrix.majority_share(&[5, 3, 1]), 0.25);
        assert_eq!(matrix.majority_share(&[1, 3, 1]), 0.75);
        assert_eq!(matrix.majority_share(&[0, 0, 2]), 0.0);
        // Who has no reason to tell one of the two is right by the mean of their shares.
        assert_eq!(matrix.majority_share(&[3, 3, 1]), 0.5);
        // Classes that are none are passed over.
        assert_eq!(matrix.majority_share(&[5, 3, 1, 9]), 0.25);
        assert!(matrix.majority_share(&[]).is_nan() && matrix.majority_share(&[0, 0, 0]).is_nan());
    }

    #[test]
    fn an_unknown_class_is_refused() {
        let error = ConfusionMatrix::new(2, [(0, 2)]).unwrap_err().to_string();
        assert_eq!(error, "truth and prediction: expected two classes below 2, got 0 and 2");
        let none = ConfusionMatrix::new(0, []).unwrap();
        assert!(none.accuracy().is_nan() && none.macro_f1().is_nan());
    }

    #[test]
    fn a_class_that_does_not_occur_takes_no_memory() {
        let last = usize::MAX - 1;
        let matrix = ConfusionMatrix::new(usize::MAX, [(7, 7), (7, last), (last, 7)]).unwrap();
        assert_eq!((matrix.classes(), matrix.pairs().len(), matrix.total()), (usize::MAX, 3, 3));
        assert_eq!((matrix.recall(7), matrix.precision(7), matrix.balanced_accuracy()), (0.5, 0.5, 0.25));
        let full = ConfusionMatrix::from_counts(1, [((0, 0), u64::MAX), ((0, 0), 1)]).unwrap();
        assert_eq!((full.total(), full.accuracy()), (u64::MAX, 1.0));
    }
}
