//! The norm of the gradient, and the update.

use super::common::gpu;
use super::{SIZES, floats, nan, number, run};
use crate::gpu::commands::uniforms::{Status, Update};
use crate::gpu::device::kernel::{NORM, NORM_PARTIAL, UPDATE, UPDATE_TRANSPOSED};
use crate::gpu::weights::loss_sum;
use crate::model::plan::LOSS_SUMS;

#[test]
fn the_norm_is_exact_at_every_size_and_the_first_non_finite_step_latches() {
    let Some(gpu) = gpu() else { return };
    let norm = |gradients: &[f32], loss: f32, (max_skipped_updates, bad_step, bad_in_row): (u32, u32, u32)| -> Status {
        let before = Status { bad_step, bad_in_row, skipped: 4 + bad_in_row, ..Status::default() };
        let before = [bytemuck::cast_slice(bytemuck::bytes_of(&before)), &[0.0f32; 1][..]].concat();
        let choices = [[0.25, 0.5, 0.75, 0.125], [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]].concat();
        let count = gradients.len() / 4;
        let groups = gpu.limits().norm_groups(count);
        let uniform = Update {
            count: count as u32,
            partials: groups as u32,
            step: 7,
            inverse_divisor: 0.5,
            clip_norm: 1.0,
            max_skipped_updates,
            known: 4,
            choices: 3,
            ..Update::default()
        };
        let partials = nan(2 * groups.next_multiple_of(2));
        let grid = [groups as u32, 1, 1];
        let partials = &run(&gpu, NORM_PARTIAL, &[], &uniform, &[gradients, &partials], grid)[0];
        let mut losses = [0.0; LOSS_SUMS];
        losses[LOSS_SUMS - 2] = loss;
        let written = run(&gpu, NORM, &[], &uniform, &[partials, &losses, &before, &choices], [1, 1, 1]);
        bytemuck::pod_read_unaligned(&bytemuck::cast_slice(&written[1])[..size_of::<Status>()])
    };
    for size in SIZES.into_iter().chain([20_000]) {
        for factor in [0.01, 1e-30, 1e-20, 1e20, 1e35] {
            // What lies beyond the first part is smaller by far.
            let of = |i: usize| if i < 16_384 { factor } else { 1e-6 * factor };
            let gradients: Vec<f32> = (0..4 * size).map(|i| of(i) * number(1, i)).collect();
            let want = 0.5 * gradients.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let got = norm(&gradients, 3.0, (0, 0, 0));
            assert!((f64::from(got.norm) - want).abs() < 1e-6 * want, "{} {want}", got.norm);
            assert_eq!((got.loss, got.bad_step), (1.5, 0));
            assert_eq!((got.skipped, got.rate, got.root_bias2), (4, 0.25, 0.5));
            assert_eq!((got.fresh, got.average), (0.75, 0.125));
            let scale = 0.5 * (1.0 / (want + 1e-6)).min(1.0);
            assert!((f64::from(got.scale) - scale).abs() < 1e-6 * scale, "{} {scale}", got.scale);
        }
    }
    // Of zeros, and beyond f32 although every number of it is finite.
    assert_eq!(norm(&[0.0; 8], 3.0, (0, 0, 0)).norm, 0.0);
    let got = norm(&[3e38; 8], 3.0, (0, 0, 0));
    assert_eq!((got.bad_step, got.bad_norm, got.bad_in_row), (7, 1, 1));
    for bad in [f32::NAN, f32::INFINITY] {
        let got = norm(&[1.0, bad, 0.0, 0.0], 3.0, (0, 0, 0));
        assert_eq!((got.bad_step, got.bad_norm, got.bad_in_row), (7, 1, 1));
        let got = norm(&[1.0; 4], bad, (0, 0, 0));
        assert_eq!((got.bad_step, got.bad_norm, got.bad_in_row), (7, 0, 1));
        let last = |gradient: f32, before| {
            let got = norm(&[gradient; 4], 3.0, before);
            (got.bad_step, got.bad_in_row)
        };
        assert_eq!(last(bad, (0, 5, 1)), (5, 1));
        assert_eq!(last(1.0, (0, 5, 1)), (5, 1));
        // Two in a row are passed over, and the third is not.
        assert_eq!(last(bad, (2, 6, 1)), (7, 2));
        assert_eq!(last(bad, (2, 6, 2)), (7, 3));
        assert_eq!(last(bad, (2, 6, 3)), (6, 3));
        assert_eq!(last(1.0, (2, 6, 2)), (6, 0));
        assert_eq!(last(1.0, (2, 6, 3)), (6, 3));
    }
    // The numbers are those for the steps skipped beyond the four that the host knows of.
    for (skipped, rate) in [(1, 1.0), (2, 5.0)] {
        let got = norm(&[1.0; 4], 3.0, (2, 6, skipped));
        assert_eq!((got.skipped, got.bad_in_row, got.rate), (4 + skipped, 0, rate));
    }
    assert_eq!(norm(&[f32::NAN; 4], 3.0, (2, 6, 1)).skipped, 6);
}

#[test]
fn the_norm_and_the_host_add_every_part_of_the_loss_in_the_same_order() {
    let Some(gpu) = gpu() else { return };
    // Sums of the first are exact in any order, those of the second round.
    for factor in [1.0, 0.1] {
        let losses: Vec<f32> = (0..LOSS_SUMS).map(|i| factor * number(1, i)).collect();
        let uniform = Update { partials: 1, inverse_divisor: 0.5, choices: 1, ..Update::default() };
        let before = nan(size_of::<Status>().next_multiple_of(16) / 4);
        let buffers: [&[f32]; 4] = [&[1.0; 4], &losses, &before, &[0.0; 4]];
        let written = run(&gpu, NORM, &[], &uniform, &buffers, [1, 1, 1]);
        assert_eq!(f64::from(written[1][0]), 0.5 * loss_sum(&losses));
        if factor == 1.0 {
            assert_eq!(loss_sum(&losses), losses.iter().map(|loss| f64::from(*loss)).sum::<f64>());
        }
    }
}

#[test]
fn update_makes_adams_second_step_at_every_size_and_none_after_a_bad_step() {
    let Some(gpu) = gpu() else { return };
    let (beta1, beta2, eps, rate, root_bias2) = (0.9, 0.999, 1e-3, 0.02, 0.04);
    let uniform = Update {
        step: 2,
        shrink: 1.0,
        rate_factor: 1.0,
        momentum: beta1 as f32,
        alpha: beta2 as f32,
        eps: eps as f32,
        one_minus_momentum: (1.0 - beta1) as f32,
        one_minus_alpha: (1.0 - beta2) as f32,
        ..Update::default()
    };
    for size in SIZES {
        let numbers = |seed, factor: f32| -> Vec<f32> { (0..4 * size).map(|i| factor * number(seed, i)).collect() };
        let (g, w, m) = (numbers(1, 1.0), numbers(2, 1.0), numbers(3, 0.1));
        let v: Vec<f32> = numbers(4, 0.1).iter().map(|v| v.abs()).collect();
        for bad_in_row in [0, 1] {
            let status = Status {
                scale: 0.5,
                bad_in_row,
                rate: rate as f32,
                root_bias2: root_bias2 as f32,
                ..Status::default()
            };
            let status = [bytemuck::cast_slice(bytemuck::bytes_of(&status)), &[0.0f32; 1][..]].concat();
            let buffers: [&[f32]; 6] = [&g, &status, &w, &m, &v, &[0.0; 4]];
            let uniform = Update { count: size as u32, ..uniform };
            let written = run(&gpu, UPDATE, &[("RULE", 2.0)], &uniform, &buffers, gpu.limits().elements(size));
            if bad_in_row != 0 {
                assert_eq!(written[..3], [w.clone(), m.clone(), v.clone()], "{size} vec4");
                continue;
            }
            for i in 0..4 * size {
                let g = 0.5 * f64::from(g[i]);
                let m = beta1 * f64::from(m[i]) + (1.0 - beta1) * g;
                let v = beta2 * f64::from(v[i]) + (1.0 - beta2) * g * g;
                let w = f64::from(w[i]) - rate * m / (v.sqrt() / root_bias2 + eps);
                let close = |got: f32, want: f64| (f64::from(got) - want).abs() < 1e-6;
                let right = close(written[0][i], w) && close(written[1][i], m) && close(written[2][i], v);
                assert!(right, "{size} vec4 at {i}");
            }
        }
    }
}

#[test]
fn an_update_with_copies_of_w_hh_gives_the_bits_of_one_without_and_transposes_every_w_hh_of_its_range() {
    let Some(gpu) = gpu() else { return };
    for shape @ [rows4, columns4] in [[1, 1], [8, 8], [9, 3], [3, 17]] {
        let size = 4 * rows4 * columns4;
        for (recurrent, bad_in_row) in [(1, 0), (2, 0), (3, 0), (3, 1)] {
            // Other parameters lie before each W_hh and behind the last. Of all, the range is not the first, nor is its W_hh.
            let (first, others) = (70, 65);
            let count = recurrent * (others + size) + others;
            let begins = |of: usize| others + of * (others + size);
            let copy_begins = |of: usize| 3 + of * (size + 1);
            let place = |of| [(first + begins(of)) as u32, copy_begins(of) as u32];
            let places: Vec<u32> = [[0, 0]].into_iter().chain((0..recurrent).map(place)).flatten().collect();
            let uniform = Update {
                count: count as u32,
                shrink: 0.5,
                rate_factor: 1.0,
                momentum: 0.9,
                alpha: 0.9,
                eps: 1e-3,
                one_minus_momentum: 0.1,
                one_minus_alpha: 0.1,
                first: first as u32,
                recurrent: recurrent as u32,
                first_recurrent: 1,
                rows4: rows4 as u32,
                columns4: columns4 as u32,
                ..Update::default()
            };
            let status = Status { scale: 0.5, bad_in_row, rate: 0.02, root_bias2: 0.04, ..Status::default() };
            let status = [bytemuck::cast_slice(bytemuck::bytes_of(&status)), &[0.0f32; 1][..]].concat();
            let numbers = |seed| -> Vec<f32> { (0..4 * count).map(|i| number(seed, i)).collect() };
            let (g, w, m) = (numbers(1), numbers(2), numbers(3));
            let v: Vec<f32> = numbers(4).iter().map(|v| v.abs()).collect();
            let mut buffers: Vec<&[f32]> = vec![&g, &status, &w, &m, &v, &[0.0; 4]];
            let rule = [("RULE", 2.0)];
            let want = run(&gpu, UPDATE, &rule, &uniform, &buffers, gpu.limits().elements(count));
            let (places, copies) = (floats(&places), nan(4 * copy_begins(recurrent)));
            buffers.extend([&places[..], &copies]);
            let grid = gpu.limits().with_blocks(count - recurrent * size, recurrent, shape);
            let got = run(&gpu, UPDATE_TRANSPOSED, &rule, &uniform, &buffers, grid);
            assert!(got[..3] == want[..3], "{recurrent} of {shape:?}");
            assert_eq!(got[0] == w, bad_in_row != 0);
            let mut of_copies = copies.clone();
            for of in (0..recurrent).filter(|_| bad_in_row == 0) {
                let (rows, columns) = (4 * rows4, 4 * columns4);
                for i in 0..rows * columns {
                    let (column, row) = (i / rows, i % rows);
                    of_copies[4 * copy_begins(of) + i] = got[0][4 * begins(of) + row * columns + column];
                }
            }
            let same = got[4].iter().zip(&of_copies).all(|(got, want)| got.to_bits() == want.to_bits());
            assert!(same, "the copies of {recurrent} of {shape:?}");
        }
    }
}
