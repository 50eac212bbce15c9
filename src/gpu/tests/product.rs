//! Products: whole, and cut along k.

use super::common::gpu;
use super::{SIZES, matrix, nan, run};
use crate::gpu::commands::uniforms::{Matmul, Reduce};
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{REDUCE, matmul};
use crate::model::DeviceLimits;
use crate::model::plan::{ProductTile, vec4s};

const TILES: [ProductTile; 3] = [ProductTile::Registers, ProductTile::Block(64), ProductTile::Block(32)];

/// A whole product in such tiles, sides stored as told.
fn product(
    gpu: &Gpu,
    tile: ProductTile,
    (ta, tb): (bool, bool),
    (m, n, k): (usize, usize, usize),
    bias: bool,
    accumulate: bool,
) {
    let limits = gpu.limits();
    let plan = limits.matmul_parts(tile, m, n, k, 1);
    let (a, a_at) = if ta { matrix(1, k, m) } else { matrix(1, m, k) };
    let (b, b_at) = if tb { matrix(2, n.next_multiple_of(4), k) } else { matrix(2, k, n) };
    let (bias_row, bias_at) = matrix(3, 1, n);
    let n4 = vec4s(n);
    let rows = if ta { m.next_multiple_of(4) } else { m };
    let c = if accumulate { vec![0.5; rows * 4 * n4] } else { nan(rows * 4 * n4) };
    let ld = |transposed, rows, columns| vec4s(if transposed { rows } else { columns }) as u32;
    let uniform = Matmul {
        m: rows as u32,
        n4: n4 as u32,
        k: plan.part as u32,
        k_last: plan.last as u32,
        lda: ld(ta, m, k),
        ldb: ld(tb, k, n),
        ldc: n4 as u32,
        bias: bias.into(),
        accumulate: accumulate.into(),
        ..Matmul::default()
    };
    let (entry, constants) = matmul(tile, (ta, tb));
    let grid = limits.matmul_parts(tile, rows, 4 * n4, k, 1).grid;
    let c = &run(gpu, entry, &constants, &uniform, &[&a, &b, &bias_row, &c], grid)[0];
    for row in 0..m {
        for column in 0..n {
            let sum: f32 = (0..k)
                .map(|l| if ta { a_at(l, row) } else { a_at(row, l) } * if tb { b_at(column, l) } else { b_at(l, column) })
                .sum();
            let start = if bias { bias_at(0, column) } else { 0.0 } + if accumulate { 0.5 } else { 0.0 };
            let got = c[row * 4 * n4 + column];
            assert_eq!(got, start + sum, "{tile:?} A {ta} B {tb} [{m}, {n}, {k}] at [{row}, {column}]");
        }
    }
}

#[test]
fn products_are_exact_for_every_tile_size_transpose_bias_and_accumulation() {
    let Some(gpu) = gpu() else { return };
    for (i, m) in SIZES.into_iter().enumerate() {
        for (j, n) in SIZES.into_iter().enumerate() {
            let k = SIZES[(i + 2 * j) % SIZES.len()];
            for sides in [(false, true), (false, false), (true, false)] {
                for tile in TILES {
                    product(&gpu, tile, sides, (m, n, k), (i + j) % 2 == 0, j % 2 == 0);
                }
            }
        }
    }
}

#[test]
fn a_product_split_along_k_equals_the_whole() {
    let Some(gpu) = gpu() else { return };
    let limits = gpu.limits();
    for (tile, (m, n, k)) in
        TILES.into_iter().flat_map(|tile| [(4, 3, 130), (64, 33, 2050), (12, 130, 1027)].map(|size| (tile, size)))
    {
        let (a, a_at) = matrix(1, k, m);
        let (b, b_at) = matrix(2, k, n);
        let n4 = vec4s(n);
        let (part, parts) = (k.div_ceil(3).next_multiple_of(4), 3);
        let uniform = Matmul {
            m: m as u32,
            n4: n4 as u32,
            k: part as u32,
            k_last: (k - 2 * part) as u32,
            lda: vec4s(m) as u32,
            ldb: n4 as u32,
            ldc: n4 as u32,
            a_stride: (part * vec4s(m)) as u32,
            b_stride: (part * n4) as u32,
            c_stride: (m * n4) as u32,
            ..Matmul::default()
        };
        let (entry, constants) = matmul(tile, (true, false));
        let [gx, gy, _] = limits.matmul_parts(tile, m, 4 * n4, k, 1).grid;
        let scratch = nan(parts * m * 4 * n4);
        let scratch = &run(&gpu, entry, &constants, &uniform, &[&a, &b, &a, &scratch], [gx, gy, 3])[0];
        let count = (m * n4) as u32;
        let uniform = Reduce {
            begin: [0, count, count, count],
            stride: [count, 0, 0, 0],
            parts: [parts as u32, 0, 0, 0],
            count,
            ..Reduce::default()
        };
        let c = vec![0.25; m * 4 * n4];
        let c = &run(&gpu, REDUCE, &[], &uniform, &[scratch, &c], limits.elements(m * n4))[0];
        for row in 0..m {
            for column in 0..n {
                let sum: f32 = (0..k).map(|l| a_at(l, row) * b_at(l, column)).sum();
                assert_eq!(c[row * 4 * n4 + column], 0.25 + sum, "{tile:?} [{m}, {n}, {k}] at [{row}, {column}]");
            }
        }
    }
}

#[test]
fn the_plan_splits_a_long_weight_gradient_along_k_without_gaps() {
    for limits in [true, false].map(|software| DeviceLimits { software, ..DeviceLimits::LEAST_GPU }) {
        for m in SIZES.map(|m| m.next_multiple_of(4)) {
            for k in [1, 3, 130, 2048, 65_536, 1_000_000] {
                let plan = limits.weight_gradient(m, 64, k);
                assert_eq!(plan.part * (plan.parts - 1) + plan.last, k);
                assert!(plan.last > 0 && plan.last <= plan.part && plan.part.div_ceil(4) <= 60_000);
                assert!(plan.scratch == 0 || plan.scratch == 16 * (plan.parts * m * 16) as u64);
                let sum = limits.column_sum(k, m / 4);
                assert!(sum.part * sum.parts >= k && sum.part * (sum.parts - 1) < k && sum.part <= 60_000);
            }
        }
    }
}
