//! Sums over rows, steps and predictions.

use super::common::gpu;
use super::{SIZES, matrix, nan, number, run};
use crate::gpu::commands::uniforms::{ColumnSum, GradientNorms, Mean, Reduce};
use crate::gpu::device::kernel::{COLUMN_SUM, GRADIENT_NORMS, MEAN, REDUCE, SPREAD};
use crate::model::plan::vec4s;

#[test]
fn column_sum_is_exact_at_every_size_and_in_parts_with_last_ones_of_any_length() {
    let Some(gpu) = gpu() else { return };
    for rows in SIZES {
        for n in SIZES {
            let (values, at) = matrix(1, rows, n);
            let n4 = vec4s(n);
            for parts in [1, 3] {
                let part = rows.div_ceil(parts);
                let parts = rows.div_ceil(part);
                // Without the first vec4 of columns, if there are others, and behind something else.
                let (column, first) = (usize::from(n4 > 1), 2);
                let uniform = ColumnSum {
                    rows: rows as u32,
                    part_rows: part as u32,
                    n4: (n4 - column) as u32,
                    ld: n4 as u32,
                    column: column as u32,
                    first: first as u32,
                };
                let grid = [gpu.limits().column_sum(rows, n4 - column).grid[0], parts as u32, 1];
                let out = nan(4 * (first + parts * (n4 - column)));
                let out = &run(&gpu, COLUMN_SUM, &[], &uniform, &[&values, &out], grid)[0];
                assert!(out[..4 * first].iter().all(|value| value.is_nan()), "what stood before is as it was");
                for (i, got) in out[4 * first..].iter().enumerate() {
                    let (part_index, place) = (i / (4 * (n4 - column)), i % (4 * (n4 - column)) + 4 * column);
                    let of_part = part_index * part..((part_index + 1) * part).min(rows);
                    let want = if place < n { of_part.map(|row| at(row, place)).sum::<f32>() } else { 0.0 };
                    assert_eq!(*got, want, "[{rows}, {n}] part {part_index} column {place}");
                }
            }
        }
    }
}

#[test]
fn reduce_adds_every_part_of_up_to_four_blocks_once_and_nothing_between_them() {
    let Some(gpu) = gpu() else { return };
    for count in [1, 3, 17, 65, 130usize] {
        // vec4, parts, room between two parts, where they begin and where the sum goes.
        let blocks = [(count, 3, 2, 5, 1), (2 * count, 1, 0, 500, 140), (1, 70, 1, 900, 410), (count, 2, 0, 1100, 420)];
        let scratch: Vec<f32> = (0..4 * 1400).map(|i| number(1, i)).collect();
        let before = vec![0.5; 4 * 560];
        for used in 1..=blocks.len() {
            let blocks = &blocks[..used];
            let of = |field: fn(&(usize, usize, usize, usize, usize)) -> usize| {
                std::array::from_fn(|block| blocks.get(block).map_or(0, |block| field(block) as u32))
            };
            let all: usize = blocks.iter().map(|block| block.0).sum();
            let begins = |block: usize| blocks.iter().take(block).map(|block| block.0).sum::<usize>() as u32;
            let uniform = Reduce {
                begin: std::array::from_fn(begins),
                scratch: of(|block| block.3),
                stride: of(|block| block.0 + block.2),
                parts: of(|block| block.1),
                to: of(|block| block.4),
                count: all as u32,
            };
            let out = &run(&gpu, REDUCE, &[], &uniform, &[&scratch, &before], gpu.limits().elements(all))[0];
            let mut want = before.clone();
            for (vec4s, parts, between, first, to) in blocks {
                for i in 0..4 * vec4s {
                    let part = |part| scratch[4 * (first + part * (vec4s + between)) + i];
                    want[4 * to + i] += (0..*parts).map(part).sum::<f32>();
                }
            }
            assert_eq!(out, &want, "{used} blocks around {count} vec4");
        }
    }
}

#[test]
fn gradient_norms_are_exact_when_split_and_for_tiny_values() {
    let Some(gpu) = gpu() else { return };
    // Rows, vec4 of a direction, steps; the last one takes two parts.
    for (rows, h4, steps) in [(1, 1, 1), (3, 2, 5), (17, 9, 2), (130, 33, 3)] {
        let (y4, count) = (2 * h4, rows * h4);
        let parts = usize::div_ceil(count, 4096);
        for scale in [1.0, 1e-30, 1e30] {
            let at = |t: usize, i: usize| scale * number(4, t * 4 * count + i);
            let dh: Vec<f32> = (0..steps * rows * 4 * y4)
                .map(|i| {
                    let (row, column) = (i / (4 * y4), i % (4 * y4));
                    // The other direction's half is not to be read.
                    let own = column.checked_sub(4 * h4);
                    own.map_or(f32::NAN, |unit| at(row / rows, row % rows * 4 * h4 + unit))
                })
                .collect();
            let first = 3;
            let uniform = GradientNorms {
                count: count as u32,
                state4: h4 as u32,
                y4: y4 as u32,
                y_column: h4 as u32,
                first: first as u32,
            };
            let grid = [steps as u32, parts as u32, 1];
            let got = &run(&gpu, GRADIENT_NORMS, &[], &uniform, &[&dh, &nan(2 * (first + steps * parts))], grid)[0];
            assert!(got[..2 * first].iter().all(|value| value.is_nan()), "what stood before is as it was");
            for t in 0..steps {
                let own = &got[2 * (first + t * parts)..2 * (first + (t + 1) * parts)];
                let square = own.chunks(2).map(|pair| f64::from(pair[0]).powi(2) * f64::from(pair[1])).sum::<f64>();
                let want = (0..4 * count).map(|i| f64::from(at(t, i)).powi(2)).sum::<f64>();
                assert!((square / want - 1.0).abs() < 1e-5, "{rows} {h4} {scale} step {t}: {square} {want}");
            }
        }
    }
}

#[test]
fn mean_and_its_gradient_use_every_step_once_and_leave_the_other_buffer() {
    let Some(gpu) = gpu() else { return };
    for rows in SIZES {
        for (steps, n4) in SIZES.into_iter().zip([1, 2, 9, 3]) {
            let width = 4 * n4;
            let count = rows * width;
            let shares: Vec<f32> = (0..rows).map(|row| 1.0 / (1 << (row % 4)) as f32).collect();
            let before: Vec<f32> = (0..count).map(|i| number(1, i)).collect();
            let y: Vec<f32> = (0..steps * count).map(|i| number(2, i)).collect();
            for accumulate in [0, 1] {
                let uniform = Mean { steps: steps as u32, rows: rows as u32, n4: n4 as u32, accumulate };
                let grid = gpu.limits().elements(rows * n4);
                let features = if accumulate == 0 { nan(count) } else { before.clone() };
                let written = run(&gpu, MEAN, &[], &uniform, &[&shares, &features, &y], grid);
                for i in 0..count {
                    let sum: f32 = (0..steps).map(|t| y[t * count + i]).sum();
                    let want = sum * shares[i / width] + if accumulate == 0 { 0.0 } else { before[i] };
                    assert_eq!(written[0][i], want, "mean [{steps}, {rows}, {width}] at {i}");
                }
                assert_eq!(written[1][..y.len()], y);
                let written = run(&gpu, SPREAD, &[], &uniform, &[&shares, &before, &nan(steps * count)], grid);
                let right = (0..steps * count).all(|i| written[1][i] == before[i % count] * shares[i % count / width]);
                assert!(right, "spread [{steps}, {rows}, {width}]");
                assert_eq!(written[0][..count], before);
            }
        }
    }
}
