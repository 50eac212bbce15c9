//! What a classifier took for what, and the shares that are told of it.

use ndarray::Array2;

use crate::error::{Error, Result};

/// Counts of true and predicted classes. A share of nothing is NaN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// \[classes, classes\], a row a true class.
    counts: Array2<u64>,
}

impl ConfusionMatrix {
    /// Counts pairs of a true class and the predicted one.
    ///
    /// # Errors
    /// [`Error::Value`] for a class that is not below `classes`.
    pub fn new(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Result<Self> {
        let mut counts = Array2::zeros((classes, classes));
        for (truth, predicted) in pairs {
            match counts.get_mut((truth, predicted)) {
                Some(count) => *count += 1,
                None => {
                    let expected = format!("two classes below {classes}");
                    return Err(Error::value("truth and prediction", expected, format!("{truth} and {predicted}")));
                }
            }
        }
        Ok(Self { counts })
    }

    /// \[classes, classes\], a row a true class.
    pub fn counts(&self) -> &Array2<u64> {
        &self.counts
    }

    /// How many examples were counted.
    pub fn total(&self) -> u64 {
        self.counts.sum()
    }

    /// The share that was told right.
    pub fn accuracy(&self) -> f64 {
        share(self.counts.diag().sum(), self.total())
    }

    /// The mean recall of the classes that occur: what accuracy would be if they were of equal size.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls = (0..self.counts.nrows()).map(|class| self.recall(class)).filter(|recall| !recall.is_nan());
        let (sum, count) = recalls.fold((0.0, 0.0), |(sum, count), recall| (sum + recall, count + 1.0));
        sum / count
    }

    /// The accuracy of who always tells the class that is largest in training, of which `training` has how many examples
    /// each class has there; of several that are largest the mean.
    pub fn majority_share(&self, training: &[usize]) -> f64 {
        let largest = training.iter().max().filter(|count| **count > 0);
        let supports: Vec<u64> = (0..self.counts.nrows().min(training.len()))
            .filter(|class| Some(&training[*class]) == largest)
            .map(|class| self.support(class))
            .collect();
        share(supports.iter().sum(), self.total()) / supports.len() as f64
    }

    /// How many are of a class, below the number of them.
    pub fn support(&self, class: usize) -> u64 {
        self.counts.row(class).sum()
    }

    /// Of those that were told to be of a class, the share that is.
    pub fn precision(&self, class: usize) -> f64 {
        share(self.counts[[class, class]], self.counts.column(class).sum())
    }

    /// Of those that are of a class, the share that was told to be.
    pub fn recall(&self, class: usize) -> f64 {
        share(self.counts[[class, class]], self.support(class))
    }
}

fn share(part: u64, all: u64) -> f64 {
    part as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn shares_are_of_rows_and_columns() {
        let pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 0)];
        let matrix = ConfusionMatrix::new(3, pairs).unwrap();
        assert_eq!(*matrix.counts(), array![[3, 1, 0], [1, 1, 0], [0, 0, 0]]);
        assert_eq!((matrix.total(), matrix.support(0), matrix.support(2)), (6, 4, 0));
        assert_eq!(matrix.accuracy(), 4.0 / 6.0);
        assert_eq!((matrix.recall(0), matrix.precision(0)), (0.75, 0.75));
        assert_eq!((matrix.recall(1), matrix.precision(1)), (0.5, 0.5));
        assert!(matrix.recall(2).is_nan() && matrix.precision(2).is_nan());
        // The class that does not occur does not count.
        assert_eq!(matrix.balanced_accuracy(), 0.625);
    }

    #[test]
    fn the_majority_is_that_of_training_and_not_of_what_is_measured() {
        let matrix = ConfusionMatrix::new(3, [(0, 0), (1, 0), (1, 1), (1, 2)]).unwrap();
        assert_eq!(matrix.majority_share(&[5, 3, 1]), 0.25);
        assert_eq!(matrix.majority_share(&[1, 3, 1]), 0.75);
        assert_eq!(matrix.majority_share(&[0, 0, 2]), 0.0);
        // Who has no reason to tell one of the two is right by the mean of their shares.
        assert_eq!(matrix.majority_share(&[3, 3, 1]), 0.5);
        assert!(matrix.majority_share(&[]).is_nan() && matrix.majority_share(&[0, 0, 0]).is_nan());
    }

    #[test]
    fn a_class_that_there_is_not_is_refused() {
        let error = ConfusionMatrix::new(2, [(0, 2)]).unwrap_err().to_string();
        assert_eq!(error, "truth and prediction: expected two classes below 2, got 0 and 2");
        assert!(ConfusionMatrix::new(0, []).unwrap().accuracy().is_nan());
    }
}
