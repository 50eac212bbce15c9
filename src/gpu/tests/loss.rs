//! Losses and da.

use std::collections::BTreeSet;

use ndarray::ArrayView1;

use super::common::gpu;
use super::{SIZES, floats, matrix, nan, number, run};
use crate::cpu::kernels::likelihood;
use crate::gpu::Gpu;
use crate::gpu::commands::uniforms::Loss;
use crate::gpu::device::kernel::{CUSTOM_LOSS, LOSS};
use crate::model::DeviceLimits;
use crate::model::plan::{MAX_TURNS_OF_SOFTWARE, vec4s};

/// (loss, da) of one prediction in f64, from the definitions; the quantile that an output is for comes with it.
fn loss_by_definition(loss: &Loss, kind: usize, a: &[f32], class: usize, values: &[(f32, f32)]) -> (f64, Vec<f64>) {
    let a: Vec<f64> = a.iter().map(|a| f64::from(*a)).collect();
    let (delta, smoothing) = (f64::from(loss.delta), f64::from(loss.smoothing));
    if kind == 2 {
        let sum: f64 = a.iter().map(|a| a.exp()).sum();
        let y = |o| smoothing / a.len() as f64 + if o == class { 1.0 - smoothing } else { 0.0 };
        let da = a.iter().enumerate().map(|(o, a)| a.exp() / sum - y(o)).collect();
        return (a.iter().enumerate().map(|(o, a)| -y(o) * (a.exp() / sum).ln()).sum(), da);
    }
    let terms = a.iter().zip(values).map(|(a, (y, q))| {
        let (a, y, q) = (*a, f64::from(*y), f64::from(*q));
        let (p, error) = (1.0 / (1.0 + (-a).exp()), a - y);
        match kind {
            0 => (error.powi(2), 2.0 * error),
            1 => (-y * p.ln() - (1.0 - y) * (1.0 - p).ln(), p - y),
            3 if error == 0.0 => (0.0, 0.0),
            3 => (error.abs(), error.signum()),
            4 if error.abs() <= delta => (0.5 * error.powi(2), error),
            4 => (delta * (error.abs() - 0.5 * delta), delta * error.signum()),
            5 if error > 0.0 => ((1.0 - q) * error, 1.0 - q),
            5 if error < 0.0 => (-q * error, -q),
            _ => (0.0, 0.5 - q),
        }
    });
    let (losses, da): (Vec<f64>, Vec<f64>) = terms.unzip();
    (losses.iter().sum(), da)
}

/// The predictions that a workgroup of a grid of `groups` takes.
fn taken(group: usize, groups: usize, at_once: usize, predictions: usize) -> impl Iterator<Item = usize> {
    (0..predictions).filter(move |p| p / at_once % groups == group)
}

#[test]
fn loss_and_gradient_are_correct_at_every_size_and_number_of_workgroups() {
    let Some(gpu) = gpu() else { return };
    for outputs in SIZES {
        for predictions in SIZES {
            let ld = 4 * vec4s(outputs);
            let (logits, at) = matrix(1, predictions, outputs);
            let logits: Vec<f32> = logits.iter().map(|a| 4.0 * a).collect();
            let weights: Vec<f32> = (0..predictions).map(|p| [1.0, 0.0, 0.5][p % 3]).collect();
            let lanes = gpu.limits().loss_lanes(outputs);
            // Cross-entropy with label smoothing and without.
            for (kind, smoothing) in [(0, 0.0), (1, 0.0), (2, 0.0), (2, 0.25), (3, 0.0), (4, 0.0), (5, 0.0)] {
                let levels: Vec<f32> =
                    (1..=if outputs % 3 == 0 { 3 } else { outputs }).map(|i| i as f32 / 256.0).collect();
                let rests: Vec<f32> = levels.iter().map(|level| 1.0 - level).collect();
                let share = if kind == 5 { levels.len() } else { 1 };
                let mut values: Vec<f32> =
                    (0..predictions * outputs / share).map(|i| 0.5 + 0.5 * number(2, i)).collect();
                // One logit that is its target, and one at delta from it, where the slopes change.
                values[0] = logits[0];
                values[predictions * outputs / share - 1] = logits[(predictions - 1) * ld + outputs - 1] + 0.75;
                let classes: Vec<u32> = (0..predictions).map(|p| (p * 5 % outputs) as u32).collect();
                let targets = if kind == 2 { floats(&classes) } else { [&values[..], &levels, &rests].concat() };
                let uniform = Loss {
                    predictions: predictions as u32,
                    outputs: outputs as u32,
                    ld: ld as u32,
                    lanes: lanes as u32,
                    factor: if kind == 2 { 1.0 } else { 0.25 },
                    delta: 0.75,
                    smoothing,
                    quantiles: levels.len() as u32,
                };
                let want: Vec<(f64, Vec<f64>)> = (0..predictions)
                    .map(|p| {
                        let a: Vec<f32> = (0..outputs).map(|o| 4.0 * at(p, o)).collect();
                        let y = (0..outputs).map(|o| (values[(p * outputs + o) / share], levels[o % levels.len()]));
                        let y: Vec<(f32, f32)> = y.collect();
                        let (loss, da) = loss_by_definition(&uniform, kind, &a, classes[p] as usize, &y);
                        let factor = f64::from(weights[p] * uniform.factor);
                        (factor * loss, da.iter().map(|da| factor * da).collect())
                    })
                    .collect();
                check(&gpu, kind, &uniform, [&targets, &weights, &logits], &want);
            }
        }
    }
}

/// Compares loss and da with those of each prediction that are wanted: with a workgroup for each part of the predictions,
/// and one or two for all of them.
fn check(gpu: &Gpu, kind: usize, uniform: &Loss, [targets, weights, logits]: [&[f32]; 3], want: &[(f64, Vec<f64>)]) {
    let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 2e-6 * want.abs().max(1.0);
    let Loss { outputs, ld, lanes, .. } = *uniform;
    let (outputs, ld, lanes, predictions) = (outputs as usize, ld as usize, lanes as usize, want.len());
    let grid = gpu.limits().predictions(predictions, lanes);
    for groups in BTreeSet::from([grid[0], grid[0].min(2), 1]) {
        let sums = [vec![0.5; groups as usize], nan(1)].concat();
        let buffers = [targets, weights, logits, &sums];
        let written = run(gpu, LOSS, &[("LOSS", kind as f64)], uniform, &buffers, [groups, 1, 1]);
        for (p, (_, da)) in want.iter().enumerate() {
            let right = (0..outputs).all(|o| close(written[0][p * ld + o], da[o]));
            assert!(right, "da {kind} [{predictions}, {outputs}] at {p}: {:?} {da:?}", &written[0][p * ld..]);
        }
        let (sums, behind) = written[1].split_at(groups as usize);
        for (group, got) in sums.iter().enumerate() {
            let of_group = taken(group, groups as usize, 64 / lanes, predictions);
            let loss = 0.5 + of_group.map(|p| want[p].0).sum::<f64>();
            assert!(close(*got, loss), "loss {kind} [{predictions}, {outputs}] of {group}: {got} {loss}");
        }
        assert!(behind[0].is_nan(), "the sum of no workgroup is as it was");
    }
}

#[test]
fn likelihoods_are_the_hosts_at_every_size_and_number_of_workgroups() {
    let Some(gpu) = gpu() else { return };
    type Kernel = fn(&mut [f64], ArrayView1<'_, f32>, f64) -> f64;
    let kernels: [(usize, usize, Kernel); 3] =
        [(6, 2, likelihood::gaussian), (7, 3, likelihood::student_t), (8, 2, likelihood::negative_binomial)];
    for (kind, each, of_host) in kernels {
        for outputs in SIZES.map(|size| size.next_multiple_of(each)) {
            for predictions in SIZES {
                let ld = 4 * vec4s(outputs);
                let (logits, at) = matrix(1, predictions, outputs);
                let logits: Vec<f32> = logits.iter().map(|a| 2.0 * a).collect();
                let weights: Vec<f32> = (0..predictions).map(|p| [1.0, 0.0, 0.5][p % 3]).collect();
                let size = if kind == 8 { outputs } else { outputs / each };
                // Of counts from 0 to 8 every second one is a unit, from 1 to 9.
                let value = |i: usize| match kind {
                    8 => (4.5 + 4.5 * number(2, i)).floor() + (i % 2) as f32,
                    _ => number(2, i),
                };
                let values: Vec<f32> = (0..predictions * size).map(value).collect();
                let uniform = Loss {
                    predictions: predictions as u32,
                    outputs: outputs as u32,
                    ld: ld as u32,
                    lanes: gpu.limits().loss_lanes(outputs) as u32,
                    factor: 0.25,
                    ..Loss::default()
                };
                let want = (0..predictions).map(|p| {
                    let mut a: Vec<f64> = (0..outputs).map(|o| f64::from(2.0 * at(p, o))).collect();
                    let y = ArrayView1::from(&values[p * size..][..size]);
                    (of_host(&mut a, y, f64::from(0.25 * weights[p])), a)
                });
                check(&gpu, kind, &uniform, [&values, &weights, &logits], &want.collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn losses_of_enormous_logits_stay_finite() {
    let Some(gpu) = gpu() else { return };
    let logits = [1e4, -1e4, 0.0, 0.0];
    for (kind, smoothing, targets, want, da) in [
        (1, 0.0, vec![0.0, 1.0], 2e4, [1.0, -1.0]),
        (2, 0.0, floats(&[1]), 2e4, [1.0, -1.0]),
        (2, 0.5, floats(&[1]), 1.5e4, [0.75, -0.75]),
    ] {
        let uniform = Loss { predictions: 1, outputs: 2, ld: 4, lanes: 1, factor: 1.0, smoothing, ..Loss::default() };
        let buffers: [&[f32]; 4] = [&targets, &[1.0], &logits, &[0.0]];
        let written = run(&gpu, LOSS, &[("LOSS", f64::from(kind))], &uniform, &buffers, [1, 1, 1]);
        assert_eq!((written[1][0], &written[0][..2]), (want, &da[..]));
    }
}

#[test]
fn the_losses_of_a_caller_are_added_and_padding_is_cleared_and_does_not_count() {
    let Some(gpu) = gpu() else { return };
    for outputs in SIZES {
        for predictions in SIZES {
            let ld = 4 * vec4s(outputs);
            let weights: Vec<f32> = (0..predictions).map(|p| [1.0, 0.0, 1.0][p % 3]).collect();
            // What the caller left there.
            let at_padding = |i: usize, value: f32| if weights[i] == 0.0 { f32::NAN } else { value };
            let losses: Vec<f32> = (0..predictions).map(|p| at_padding(p, number(1, p))).collect();
            let da: Vec<f32> = (0..predictions * ld).map(|i| at_padding(i / ld, number(2, i))).collect();
            let lanes = gpu.limits().loss_lanes(outputs);
            let uniform = Loss {
                predictions: predictions as u32,
                outputs: outputs as u32,
                ld: ld as u32,
                lanes: lanes as u32,
                ..Loss::default()
            };
            let grid = gpu.limits().predictions(predictions, lanes);
            for groups in BTreeSet::from([grid[0], grid[0].min(2), 1]) {
                let sums = vec![0.5; groups as usize];
                let buffers: [&[f32]; 4] = [&weights, &da, &sums, &losses];
                let written = run(&gpu, CUSTOM_LOSS, &[], &uniform, &buffers, [groups, 1, 1]);
                for (i, got) in written[0].iter().enumerate() {
                    let clear = weights[i / ld] == 0.0 || i % ld >= outputs;
                    assert_eq!(*got, if clear { 0.0 } else { da[i] }, "da [{predictions}, {outputs}] at {i}");
                }
                for (group, got) in written[1].iter().enumerate() {
                    let counting = taken(group, groups as usize, 64 / lanes, predictions).filter(|p| weights[*p] > 0.0);
                    let want = 0.5 + counting.map(|p| losses[p]).sum::<f32>();
                    assert_eq!(*got, want, "[{predictions}, {outputs}] of {group}");
                }
            }
        }
    }
}

#[test]
fn no_thread_takes_more_turns_for_the_largest_logits_than_a_software_driver_allows() {
    let limits = DeviceLimits::LEAST_GPU;
    // No binding is larger than 2 GiB, and a chunk has no more predictions than tiles of 32 rows in a grid.
    for outputs in 1..=MAX_TURNS_OF_SOFTWARE {
        let predictions = (1usize << 31).div_ceil(16 * vec4s(outputs)).min(32 * limits.max_groups as usize);
        let lanes = limits.loss_lanes(outputs);
        let turns = predictions.div_ceil(limits.predictions(predictions, lanes)[0] as usize * (64 / lanes));
        // The softmax goes three times over its outputs, and adds twice in a tree.
        let each = 1 + 3 * outputs.div_ceil(lanes) + 2 * lanes.ilog2() as usize;
        assert!(turns * each <= MAX_TURNS_OF_SOFTWARE, "{outputs} outputs: {turns} times {each}");
    }
}
