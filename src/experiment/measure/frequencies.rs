//! The cross-entropy of predicting the class frequencies of training.

/// The cross-entropy in nats per prediction, where `known` are the training counts and `part` those of the measured
/// split, of the same classes; add-one smoothing keeps every known frequency above 0. With `weights` and `smoothing` it
/// is the minimum of the loss with these over all constant predictions. NaN if nothing is measured.
pub(crate) fn cross_entropy(known: &[f64], part: &[f64], weights: Option<&[f64]>, smoothing: f64) -> f64 {
    let shares = |counts: &[f64], more: f64| -> Vec<f64> {
        let weight = |class: usize| weights.map_or(1.0, |weights| weights[class]);
        let counts: Vec<f64> = counts.iter().enumerate().map(|(class, count)| weight(class) * (count + more)).collect();
        let total: f64 = counts.iter().sum();
        let spread = smoothing / counts.len() as f64;
        counts.iter().map(|count| (1.0 - smoothing) * count / total + spread).collect()
    };
    shares(part, 0.0).iter().zip(shares(known, 1.0)).map(|(part, known)| -part * known.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_equal_frequencies_the_cross_entropy_is_the_entropy() {
        let entropy = -(0.25f64 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
        assert!((cross_entropy(&[0.0, 2.0], &[5.0, 15.0], None, 0.0) - entropy).abs() < 1e-12);
        assert!(cross_entropy(&[9.0, 9.0], &[0.0, 0.0], None, 0.0).is_nan());
    }

    #[test]
    fn balanced_weights_make_the_frequencies_uninformative() {
        let (counts, balanced) = ([99.0, 9.0], [1.0, 10.0]);
        let loss = cross_entropy(&counts, &[100.0, 10.0], Some(&balanced), 0.0);
        assert!((loss - 2f64.ln()).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn smoothing_matches_the_loss() {
        // 0.1 of the target goes to both classes, of which the second never occurs.
        let told: f64 = 0.9 * 100.0 / 101.0 + 0.05;
        let expected = -(0.95 * told.ln() + 0.05 * (1.0 - told).ln());
        let loss = cross_entropy(&[99.0, 0.0], &[7.0, 0.0], None, 0.1);
        assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
    }
}
