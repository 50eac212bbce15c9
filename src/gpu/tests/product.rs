//! Products: whole, and cut along k.

use super::common::gpu;
use super::{SIZES, matrix, nan, run};
use crate::gpu::commands::uniforms::{Matmul, Reduce};
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{REDUCE, matmul};
use crate::model::DeviceLimits;
use crate::model::plan::{MAX_TURNS_OF_GPUS, MAX_TURNS_OF_SOFTWARE, ProductTile, Storage, vec4s};

/// A product's sizes and settings.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// m, n and k.
    sizes: (usize, usize, usize),
    /// Which of A and B are stored transposed.
    sides: (bool, bool),
    bias: bool,
    accumulate: bool,
}

/// The sides of all products of a pass.
const SIDES: [(bool, bool); 3] = [(false, true), (false, false), (true, false)];

/// vec4 before a matrix in its buffer.
const FIRST: usize = 3;

/// The vec4 from one row to the next of a matrix that is part of a wider one.
fn ld(columns: usize) -> usize {
    vec4s(columns) + 2
}

/// A matrix of `rows` rows of whole vec4 as a part of a wider one, of NaN around it.
fn part_of_nan(matrix: &[f32], rows: usize) -> Vec<f32> {
    let columns = matrix.len() / rows;
    let mut wider = nan(4 * (FIRST + rows * ld(columns)));
    for (row, values) in matrix.chunks_exact(columns).enumerate() {
        let start = 4 * (FIRST + row * ld(columns));
        wider[start..start + columns].copy_from_slice(values);
    }
    wider
}

/// C in whole vec4 a row, where both A and B are parts of wider matrices of NaN, and so is C, in which nothing else may
/// change. A has `rows` rows of op(A).
fn product(gpu: &Gpu, tile: ProductTile, case: Case, [a, b, bias]: [&[f32]; 3], rows: usize) -> Vec<f32> {
    let Case { sizes: (m, n, k), sides: (ta, tb), .. } = case;
    let n4 = vec4s(n);
    let plan = gpu.limits().matmul_parts(tile, rows, 4 * n4, k, 1);
    let uniform = Matmul {
        m: [rows as u32, 0],
        n4: [n4 as u32, 0],
        ldb: [ld(if tb { k } else { n }) as u32, 0],
        ldc: [ld(n) as u32, 0],
        a_first: [FIRST as u32, 0],
        b_first: [FIRST as u32, 0],
        c_first: [FIRST as u32, 0],
        lda: ld(if ta { m } else { k }) as u32,
        k: plan.part as u32,
        k_last: plan.last as u32,
        parts: 1,
        bias: case.bias.into(),
        accumulate: case.accumulate.into(),
        ..Matmul::default()
    };
    let [a, b] = [(a, if ta { k } else { m }), (b, if tb { 4 * n4 } else { k })].map(|(x, rows)| part_of_nan(x, rows));
    let before = vec![if case.accumulate { 0.5 } else { f32::NAN }; rows * 4 * n4];
    let (entry, constants) = matmul(tile, [Storage::Full; 3], case.sides, false);
    let buffers = [&a, &b, bias, &part_of_nan(&before, rows)];
    let wider = &run(gpu, entry, &constants, &uniform, &buffers, plan.grid)[0];
    let start = |row: usize| 4 * (FIRST + row * ld(n));
    let c: Vec<f32> = (0..rows).flat_map(|row| wider[start(row)..].iter().take(4 * n4).copied()).collect();
    let is_number = |values: &[f32]| values.iter().any(|value| !value.is_nan());
    let around = (0..rows).any(|row| is_number(&wider[start(row) + 4 * n4..start(row + 1)]));
    assert!(!around && !is_number(&wider[..start(0)]), "{tile:?} {case:?} wrote outside of C");
    c
}

/// A product of sums that are exact, compared with the host's.
fn check(gpu: &Gpu, tile: ProductTile, case: Case) {
    let Case { sizes: (m, n, k), sides: (ta, tb), .. } = case;
    let (a, a_at) = if ta { matrix(1, k, m) } else { matrix(1, m, k) };
    let (b, b_at) = if tb { matrix(2, n.next_multiple_of(4), k) } else { matrix(2, k, n) };
    let (bias, bias_at) = matrix(3, 1, n);
    let c = product(gpu, tile, case, [&a, &b, &bias], if ta { m.next_multiple_of(4) } else { m });
    for row in 0..m {
        for column in 0..n {
            let sum: f32 = (0..k)
                .map(|l| if ta { a_at(l, row) } else { a_at(row, l) } * if tb { b_at(column, l) } else { b_at(l, column) })
                .sum();
            let start = if case.bias { bias_at(0, column) } else { 0.0 } + if case.accumulate { 0.5 } else { 0.0 };
            let got = c[row * 4 * vec4s(n) + column];
            assert_eq!(got, start + sum, "{tile:?} {case:?} at [{row}, {column}]");
        }
    }
}

#[test]
fn products_are_exact_for_every_tile_size_transpose_bias_and_accumulation() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Vec::new();
    for (i, m) in SIZES.into_iter().enumerate() {
        for (j, n) in SIZES.into_iter().enumerate() {
            let k = SIZES[(i + 2 * j) % SIZES.len()];
            cases.push(((m, n, k), (i + j) % 2 == 0, j % 2 == 0));
        }
    }
    // Several workgroups of the largest tile on either side, and many slabs.
    let long =
        [(513, 65, 130), (65, 513, 33), (130, 64, 513), (1, 513, 513), (513, 1, 3), (3, 17, 513), (513, 513, 17)];
    cases.extend(long.into_iter().enumerate().map(|(i, sizes)| (sizes, i % 2 == 0, i % 3 == 0)));
    for (sizes, bias, accumulate) in cases {
        for sides in SIDES {
            for tile in ProductTile::ALL {
                check(&gpu, tile, Case { sizes, sides, bias, accumulate });
            }
        }
    }
}

#[test]
fn products_have_the_same_bits_in_every_tile() {
    let Some(gpu) = gpu() else { return };
    // Not exact: any other order of the sums has other bits.
    let inexact = |seed: usize, rows: usize, columns: usize| {
        let (matrix, _) = matrix(seed, rows, columns);
        matrix.into_iter().enumerate().map(|(i, value)| value * (1.0 + (i % 977) as f32 / 1009.0)).collect::<Vec<_>>()
    };
    for (i, sizes) in [(130, 65, 513), (64, 132, 64), (33, 4, 130), (260, 64, 17)].into_iter().enumerate() {
        let (m, n, k) = sizes;
        for (ta, tb) in SIDES {
            let case = Case { sizes, sides: (ta, tb), bias: i % 2 == 0, accumulate: i % 2 == 1 };
            let a = if ta { inexact(1, k, m) } else { inexact(1, m, k) };
            let b = if tb { inexact(2, n.next_multiple_of(4), k) } else { inexact(2, k, n) };
            let rows = if ta { m.next_multiple_of(4) } else { m };
            let of = |tile| product(&gpu, tile, case, [&a, &b, &inexact(3, 1, n)], rows);
            let bits = |c: Vec<f32>| c.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let expected = bits(of(ProductTile::Registers));
            for tile in ProductTile::ALL {
                assert!(bits(of(tile)) == expected, "{tile:?} {case:?}");
            }
        }
    }
}

#[test]
fn a_number_that_is_not_finite_stays_in_its_row_of_the_product() {
    let Some(gpu) = gpu() else { return };
    let (m, n, k) = (130, 65, 67);
    for (tile, value) in ProductTile::ALL.into_iter().flat_map(|tile| [(tile, f32::NAN), (tile, f32::INFINITY)]) {
        for (place, sides) in [0, k - 1].into_iter().flat_map(|place| SIDES.map(|sides| (place, sides))) {
            let case = Case { sizes: (m, n, k), sides, bias: false, accumulate: false };
            let (mut a, _) = if sides.0 { matrix(1, k, m) } else { matrix(1, m, k) };
            a[if sides.0 { place * 4 * vec4s(m) + 5 } else { 5 * 4 * vec4s(k) + place }] = value;
            let (b, _) = if sides.1 { matrix(2, n.next_multiple_of(4), k) } else { matrix(2, k, n) };
            let rows = if sides.0 { m.next_multiple_of(4) } else { m };
            let c = product(&gpu, tile, case, [&a, &b, &a], rows);
            for (row, values) in c.chunks_exact(4 * vec4s(n)).enumerate() {
                let all_finite = values[..n].iter().all(|value| value.is_finite());
                assert_eq!(all_finite, row != 5, "{tile:?} {case:?}, {value} at {place}: row {row}");
            }
        }
    }
}

#[test]
fn products_split_along_k_equal_the_whole_alone_and_in_pairs() {
    let Some(gpu) = gpu() else { return };
    let limits = gpu.limits();
    // m, n and k, and m and n of a second product, whose A is a range of columns of the first one's.
    let sizes = [([4, 3, 130], [4, 70]), ([64, 33, 2050], [60, 1]), ([12, 130, 1027], [8, 140])];
    for (tile, ([m, n, k], second), pair) in ProductTile::ALL
        .into_iter()
        .flat_map(|tile| sizes.map(|sizes| (tile, sizes)))
        .flat_map(|(tile, sizes)| [false, true].map(|pair| (tile, sizes, pair)))
    {
        let first4 = usize::from(m > second[0]);
        let (a, a_at) = matrix(1, k, m);
        let (b, b_at) = matrix(2, k, n);
        let (other, other_at) = matrix(3, k, second[1]);
        let (part, parts) = (k.div_ceil(3).next_multiple_of(4), 3);
        let [n4, second4] = [n, second[1]].map(vec4s);
        let both = |first: usize, second: usize| [first as u32, if pair { second as u32 } else { 0 }];
        let uniform = Matmul {
            m: both(m, second[0]),
            n4: both(n4, second4),
            ldb: both(n4, second4),
            ldc: both(n4, second4),
            a_first: both(0, first4),
            c_first: both(0, parts * m * n4),
            b_stride: both(part * n4, part * second4),
            c_stride: both(m * n4, second[0] * second4),
            lda: vec4s(m) as u32,
            a_stride: (part * vec4s(m)) as u32,
            k: part as u32,
            k_last: (k - 2 * part) as u32,
            parts: parts as u32,
            ..Matmul::default()
        };
        let (entry, constants) = matmul(tile, [Storage::Full; 3], (true, false), pair);
        let of = |m, n| limits.matmul_parts(tile, m, n, k, 1).grid;
        let [[x, y, _], [second_x, second_y, _]] = [of(m, 4 * n4), of(second[0], 4 * second4)];
        let grid = if pair { [x.max(second_x), y.max(second_y), 6] } else { [x, y, 3] };
        let [count, second_count] = [m * n4, if pair { second[0] * second4 } else { 0 }];
        let scratch = nan(4 * parts * (count + second_count));
        let scratch = &run(&gpu, entry, &constants, &uniform, &[&a, &b, &other, &scratch], grid)[0];
        let all = (count + second_count) as u32;
        let uniform = Reduce {
            begin: [0, count as u32, all, all],
            scratch: [0, (parts * count) as u32, 0, 0],
            stride: [count as u32, second_count as u32, 0, 0],
            parts: [parts as u32, parts as u32, 0, 0],
            to: [0, count as u32, 0, 0],
            count: all,
        };
        let c = vec![0.25; 4 * (count + second_count)];
        let c = &run(&gpu, REDUCE, &[], &uniform, &[scratch, &c], limits.elements(count + second_count))[0];
        let what = format!("{tile:?} [{m}, {n}, {k}] with {second:?}: {pair}");
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let sum: f32 = (0..k).map(|l| a_at(l, row) * b_at(l, column)).sum();
            assert_eq!(c[row * 4 * n4 + column], 0.25 + sum, "{what}, the first at [{row}, {column}]");
        }
        let columns = if pair { second[1] } else { 0 };
        for (row, column) in (0..second[0]).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let sum: f32 = (0..k).map(|l| a_at(l, row + 4 * first4) * other_at(l, column)).sum();
            let got = c[4 * count + row * 4 * second4 + column];
            assert_eq!(got, 0.25 + sum, "{what}, the second at [{row}, {column}]");
        }
    }
}

#[test]
fn the_plan_splits_a_long_weight_gradient_along_k_without_gaps() {
    let of = |(software, max_turns)| DeviceLimits { software, max_turns, ..DeviceLimits::LEAST_GPU };
    for limits in [(true, MAX_TURNS_OF_SOFTWARE), (false, MAX_TURNS_OF_GPUS)].map(of) {
        for m in SIZES.map(|m| m.next_multiple_of(4)) {
            for k in [1, 3, 130, 2048, 65_536, 1_000_000] {
                let plan = limits.weight_gradients(&[(m, 64)], k)[0];
                assert_eq!(plan.part * (plan.parts - 1) + plan.last, k);
                assert!(plan.last > 0 && plan.last <= plan.part && plan.part.div_ceil(4) <= limits.max_turns);
                assert!(plan.scratch == 0 || plan.scratch == 16 * (plan.parts * m * 16) as u64);
                let sum = limits.column_sum(k, m / 4);
                assert!(sum.part * sum.parts >= k && sum.part * (sum.parts - 1) < k && sum.part <= limits.max_turns);
            }
        }
    }
}
