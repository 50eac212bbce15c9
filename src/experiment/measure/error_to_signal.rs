//! The error-to-signal ratio of sound.

use ndarray::ArrayView2;

/// The factor of the filter before a pre-emphasised ratio, as in the code of Wright, Damskägg & Välimäki (2019).
pub(crate) const PRE_EMPHASIS: f64 = 0.85;

/// Error-to-signal ratios (Wright, Damskägg, Juvela & Välimäki 2020): 0 is perfect, and silence has 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ErrorToSignal {
    /// Σ (y − ŷ)² / Σ y² over all frames and channels; NaN if the signal is silent.
    pub(crate) plain: f64,
    /// The same after the filter v\[n\] − 0.85 v\[n−1\] over both, which weighs high frequencies as the ear does; v is 0
    /// before the first frame.
    pub(crate) pre_emphasised: f64,
}

impl ErrorToSignal {
    /// That of an estimate, \[frames, channels\].
    pub(crate) fn of(truth: ArrayView2<'_, f64>, estimate: ArrayView2<'_, f64>) -> Self {
        let (mut plain, mut filtered) = ([0.0; 2], [0.0; 2]);
        for (truth, estimate) in truth.columns().into_iter().zip(estimate.columns()) {
            let mut before = [0.0; 2];
            for (y, estimate) in truth.iter().zip(estimate) {
                let now = [y - estimate, *y];
                for (index, value) in now.into_iter().enumerate() {
                    plain[index] += value * value;
                    filtered[index] += (value - PRE_EMPHASIS * before[index]).powi(2);
                }
                before = now;
            }
        }
        let ratio = |[error, signal]: [f64; 2]| if signal > 0.0 { error / signal } else { f64::NAN };
        Self { plain: ratio(plain), pre_emphasised: ratio(filtered) }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn the_ratios_of_four_frames_are_those_computed_by_hand() {
        let truth = array![[1.0], [2.0], [0.0], [-1.0]];
        let estimate = array![[1.0], [1.0], [1.0], [-1.0]];
        let ratio = ErrorToSignal::of(truth.view(), estimate.view());
        // Errors 0, 1, -1, 0 by a signal of 1, 2, 0, -1.
        assert_eq!(ratio.plain, 2.0 / 6.0);
        // Filtered: errors 0, 1, -1.85, 0.85; signal 1, 1.15, -1.7, -1.
        let (error, signal) = (1.0 + 1.85f64.powi(2) + 0.85f64.powi(2), 1.0 + 1.15f64.powi(2) + 1.7f64.powi(2) + 1.0);
        assert!((ratio.pre_emphasised - error / signal).abs() < 1e-15, "{ratio:?}");
    }

    #[test]
    fn silence_has_a_ratio_of_1_and_channels_are_added_up() {
        let truth = array![[1.0, 0.0], [-3.0, 4.0], [2.0, 2.0]];
        let silence = ErrorToSignal::of(truth.view(), Array2::zeros((3, 2)).view());
        assert_eq!(silence, ErrorToSignal { plain: 1.0, pre_emphasised: 1.0 });
        // One channel is perfect, of the other nothing is there: 20 of 34.
        let half = array![[1.0, 0.0], [-3.0, 0.0], [2.0, 0.0]];
        assert_eq!(ErrorToSignal::of(truth.view(), half.view()).plain, 20.0 / 34.0);
        assert!(ErrorToSignal::of(Array2::zeros((3, 1)).view(), array![[1.0], [1.0], [1.0]].view()).plain.is_nan());
    }
}
