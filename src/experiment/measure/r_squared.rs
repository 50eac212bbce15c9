//! The coefficient of determination.

/// R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)² of pairs of truth and prediction, where ȳ is the mean of these truths: 1 if all are
/// right, 0 for who always predicts their mean, and below 0 for who is worse. A pair with a NaN, which is missing, is
/// ignored. NaN if all truths are equal, or if there are none.
pub(crate) fn r_squared(pairs: &[(f64, f64)]) -> f64 {
    let present = || pairs.iter().filter(|(truth, predicted)| !truth.is_nan() && !predicted.is_nan());
    let mean = present().map(|(truth, _)| truth).sum::<f64>() / present().count() as f64;
    let [left, all] = present().fold([0.0; 2], |[left, all], (truth, predicted)| {
        [left + (truth - predicted).powi(2), all + (truth - mean).powi(2)]
    });
    if all > 0.0 { 1.0 - left / all } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_squared_is_the_share_of_the_variance_that_is_predicted() {
        // The mean is 2.5: 1 - (0.25 + 0 + 0.25 + 0) / (2.25 + 0.25 + 0.25 + 2.25).
        let pairs = [(1.0, 1.5), (2.0, 2.0), (3.0, 2.5), (4.0, 4.0)];
        assert_eq!(r_squared(&pairs), 0.9);
        let missing = [pairs.as_slice(), &[(f64::NAN, 9.0), (9.0, f64::NAN)]].concat();
        assert_eq!(r_squared(&missing), 0.9);
        assert_eq!(r_squared(&pairs.map(|(truth, _)| (truth, truth))), 1.0);
        assert_eq!(r_squared(&pairs.map(|(truth, _)| (truth, 2.5))), 0.0);
        // From the wrong end: 1 - (9 + 1 + 1 + 9) / 5.
        assert_eq!(r_squared(&pairs.map(|(truth, _)| (truth, 5.0 - truth))), -3.0);
        assert!(r_squared(&[(2.0, 1.0), (2.0, 3.0)]).is_nan() && r_squared(&[]).is_nan());
    }
}
