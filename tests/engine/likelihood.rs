//! The likelihoods of distributions, on every path.

use crate::common::gpu::gpu;
use crate::magnitudes::of_logits;
use bptt::ndarray::Array3;
use bptt::{Backend, Cpu, Loss, Targets};

const LEAST_SCALE: f64 = 1.0 / 8192.0;
const LEAST_DISPERSION: f64 = 1.0 / 1_048_576.0;

/// A loss, the target of a prediction, its logits, −ln p and its gradient: the formulas of `Loss` at 60 digits, by mpmath's
/// loggamma and differences of 1e-20. The values of targets and logits are exact in f32.
type Likelihood = (Loss, Vec<f32>, Vec<f64>, f64, Vec<f64>);

#[rustfmt::skip]
fn likelihoods() -> Vec<Likelihood> {
    vec![
        (Loss::Gaussian, vec![0.5], vec![0.5, 0.0], 0.5526017073519051, vec![0.0, 0.7212205061320325]),
        (Loss::Gaussian, vec![1.5], vec![-0.25, 1.5], 1.9793580548056713, vec![-0.6044440366557778, -0.027761429113897635]),
        (Loss::Gaussian, vec![3.0], vec![0.0, -4.0], 13475.381228425722, vec![-8985.643116956586, -26534.317643693812]),
        (Loss::Gaussian, vec![0.0], vec![100.0, 60.0], 6.402168367432691, vec![0.02777766475005558, -0.029629380968962733]),
        (Loss::Gaussian, vec![2.0], vec![1.0, -10000.0], 33554423.908025187, vec![-67108864.0, 0.0]),
        (Loss::Gaussian, vec![1000.0], vec![-1000.0, 10000.0], 10.149278916899606, vec![-1.999999951171876e-05, 9.599999892578126e-05]),
        (Loss::Gaussian, vec![1.0], vec![1.0, -30.0], -8.09197481330804, vec![0.0, 7.665764730196759e-10]),
        (Loss::StudentT, vec![0.5], vec![0.5, 0.0, 0.0], 0.6435593420074218, vec![0.0, 0.7212205061320325, -0.016267802846512188]),
        (Loss::StudentT, vec![1.5], vec![-0.25, 1.5, 1.0], 2.1224119125053194, vec![-0.5964544021858952, -0.021043254178145968, -0.02987268667047744]),
        (Loss::StudentT, vec![30.0], vec![0.0, -4.0, -2.0], 19.00107810094911, vec![-0.10423085146227427, -2.0936587735812866, 0.7438787953512637]),
        (Loss::StudentT, vec![0.0], vec![3.0, 2.0, 60.0], 2.6724940753009094, vec![0.6528289789126205, -0.39690296930887903, -6.900162451961008e-05]),
        (Loss::StudentT, vec![2.0], vec![1.0, -10000.0, -10000.0], 18.02182673926206, vec![-2.9999999105930355, 0.0, 0.0]),
        (Loss::StudentT, vec![1000.0], vec![-1000.0, 10.0, 10000.0], 8051.891131792165, vec![-4.001013152028332, -800.0529090285021, 0.4046042555320815]),
        (Loss::StudentT, vec![1.5], vec![1.0, 0.5, 1000000.0], 1.024508012585172, vec![-0.5268353607660586, 0.4706353757268708, -3.643600641045911e-13]),
        (Loss::NegativeBinomial, vec![0.0, 1.0], vec![0.0, 0.0], 0.566038568895838, vec![0.3377343097312678, -0.07057611131475423]),
        (Loss::NegativeBinomial, vec![3.0, 1.0], vec![1.0, -1.0], 2.348963589700987, vec![-0.6652728259171419, 0.0697250988751936]),
        (Loss::NegativeBinomial, vec![12.0, 4.0], vec![0.5, 0.25], 4.684718485762885, vec![-1.9847998880530011, -0.448187185861047]),
        (Loss::NegativeBinomial, vec![0.0, 1.0], vec![-10000.0, 0.0], 0.0, vec![0.0, 0.0]),
        (Loss::NegativeBinomial, vec![2.0, 1.0], vec![-10000.0, 0.0], 20000.166557583165, vec![-2.0, -0.29530788824105375]),
        (Loss::NegativeBinomial, vec![5.0, 0.5], vec![4.0, -10000.0], 3.3081920500051467, vec![-0.7309636834154606, 0.0]),
        (Loss::NegativeBinomial, vec![1000.0, 1.0], vec![1010.0, -10000.0], 4.422997624881091, vec![0.009891462532902883, 0.0]),
        (Loss::NegativeBinomial, vec![1000.0, 1000.0], vec![0.5, 0.75], 6.1900235862652995, vec![-0.4599075163966126, 0.2869412127380454]),
        (Loss::NegativeBinomial, vec![250000.0, 10000.0], vec![24.0, -3.0], 11.261365869768746, vec![-3.5427244280348638, -1.1843927233899254]),
        (Loss::NegativeBinomial, vec![0.0, 100.0], vec![1000.0, 2.0], 46.8519009851592, vec![0.0047013934299334455, -17.455234521601565]),
        (Loss::NegativeBinomial, vec![7.0, 1.0], vec![6.0, 10000.0], 11.157222399063112, vec![-2.761723909831742e-06, 9.991281138177541e-05]),
        (Loss::NegativeBinomial, vec![1.0, 1.0], vec![0.5, -6.0], 1.0015783916903176, vec![-0.016525582574804975, 0.0012334473221929188]),
    ]
}

/// `f32`: whether the path computes in f32.
fn values_and_gradients_are_those_of_60_digits<B: Backend>(backend: &B, path: &str, f32: bool) {
    for (loss, target, logits, value, gradient) in likelihoods() {
        let targets = Targets::Values(Array3::from_shape_fn((1, 3, target.len()), |(_, _, k)| target[k]));
        let (got, got_gradient) = of_logits(backend, loss.clone(), &logits, targets, &[1.0, 0.0, 0.5]);
        // Logarithms of f32 are right to 5e-7 near 0; what multiplies them grows with the loss.
        let within = |got: f64, want: f64| {
            let (relative, floor) = if f32 { (3e-6, 3e-6) } else { (1e-13, 1e-13) };
            (got - want).abs() <= 1.5 * (relative * want.abs() + floor)
        };
        assert!(
            within(got, 1.5 * value),
            "{path}, {loss:?}, {target:?}, {logits:?}: {got:e}, expected {:e}",
            1.5 * value
        );
        for (got, want) in got_gradient.iter().zip(&gradient) {
            let right = within(*got, 1.5 * want);
            assert!(right, "{path}, {loss:?}, {target:?}, {logits:?}: d {got:e}, expected {:e}", 1.5 * want);
        }
    }
}

#[test]
fn values_and_gradients_are_those_of_60_digits_on_every_backend_also_for_enormous_logits() {
    values_and_gradients_are_those_of_60_digits(&Cpu::<f64>::with_threads(1).unwrap(), "f64", false);
    values_and_gradients_are_those_of_60_digits(&Cpu::<f32>::with_threads(1).unwrap(), "f32", true);
    if let Some(gpu) = gpu() {
        values_and_gradients_are_those_of_60_digits(&gpu, "GPU", true);
    }
}

#[test]
fn a_logit_that_is_not_a_number_gives_a_loss_that_is_none() {
    fn losses<B: Backend>(backend: &B) {
        for (loss, target, logits, ..) in likelihoods() {
            for place in 0..logits.len() {
                let mut logits = logits.clone();
                logits[place] = f64::NAN;
                let targets = Targets::Values(Array3::from_shape_fn((1, 3, target.len()), |(_, _, k)| target[k]));
                let (got, gradient) = of_logits(backend, loss.clone(), &logits, targets, &[1.0, 0.0, 0.5]);
                let is_nan = got.is_nan() || gradient.iter().any(|da| da.is_nan());
                assert!(is_nan, "{loss:?} {target:?} {logits:?}: {got}");
            }
        }
    }
    losses(&Cpu::<f64>::with_threads(1).unwrap());
    if let Some(gpu) = gpu() {
        losses(&gpu);
    }
}

#[test]
fn the_parameters_of_a_distribution_are_in_their_units_and_within_their_ranges() {
    let ln_2 = std::f64::consts::LN_2;
    for (loss, logits, parameters) in [
        (Loss::Gaussian, vec![-3.0, 0.0], vec![-3.0, ln_2 + LEAST_SCALE]),
        (Loss::Gaussian, vec![7.0, -1e4], vec![7.0, LEAST_SCALE]),
        (Loss::StudentT, vec![-3.0, 0.0, 0.0], vec![-3.0, ln_2 + LEAST_SCALE, 2.0 + ln_2]),
        (Loss::StudentT, vec![1.0, 1e4, -1e4], vec![1.0, 1e4 + LEAST_SCALE, 2.0]),
        (Loss::NegativeBinomial, vec![0.0, 0.0], vec![ln_2, ln_2 + LEAST_DISPERSION]),
        (Loss::NegativeBinomial, vec![1e4, -1e4], vec![1e4, LEAST_DISPERSION]),
    ] {
        // Those of two targets, one after the other.
        let twice = [&logits[..], &logits].concat();
        let mut outputs = Array3::from_shape_vec((1, 1, twice.len()), twice).unwrap();
        loss.output(&mut outputs);
        for (got, want) in outputs.iter().zip(parameters.iter().cycle()) {
            assert!((got - want).abs() <= 1e-15 * want.abs(), "{loss:?} {logits:?}: {got}, expected {want}");
        }
    }
}

#[test]
fn the_predicted_distribution_has_the_likelihood_that_is_the_loss() {
    for (loss, target, logits, value, _) in likelihoods() {
        let mut outputs = Array3::from_shape_vec((1, 1, logits.len()), logits.clone()).unwrap();
        loss.output(&mut outputs);
        let of = loss.distribution(&outputs.into_raw_vec_and_offset().0).unwrap();
        // A mean below the smallest number has no logarithm.
        if logits[0] == -10_000.0 && target[0] > 0.0 {
            continue;
        }
        let unit = target.get(1).copied().unwrap_or(1.0);
        let of = bptt::data::Scaling { offset: 0.0, unit: f64::from(unit) }.unscale_distribution(of);
        let target = f64::from(target[0]);
        let got = of.negative_log_likelihood(target);
        assert!((got - value).abs() <= 1e-11 * (1.0 + value.abs()), "{loss:?} {target} {logits:?}: {got} {value}");
    }
    assert_eq!(Loss::Gaussian.distribution(&[1.0]), None);
    assert_eq!(Loss::SquaredError.distribution(&[1.0]), None);
}
