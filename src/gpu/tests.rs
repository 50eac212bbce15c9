//! Each kernel by itself at sizes that do not divide evenly: outputs begin as NaN, and guard regions lie behind them.

use pollster::block_on;

use super::builder::{Binding, bind};
use super::device::Gpu;
use super::kernel::{Access, Stem, matmul};
use super::kernel::{
    COLUMN_SUM, COPY, Constants, EMBED, EMBED_BACKWARD, FLOW, GATHER, LOSS, MASK, MEAN, NORM, NORM_PARTIAL, REDUCE,
    SCATTER, SPREAD, SUM, UPDATE,
};
use super::program::{Command, Place, Recorder};
use super::uniforms::{
    ColumnSum, Copy, Embedding, Flow, Loss, Matmul, Mean, Reduce, Status, Sum, Tokens, Uniform, Update,
};
use crate::model::DeviceLimits;
use crate::model::plan::{ALIGNMENT, Cost, Grid, ProductTile, vec4s};
use common::gpu;

/// The device that the tests outside of the crate take.
#[allow(unreachable_pub, reason = "there it is shared by name")]
#[path = "../../tests/common/gpu.rs"]
mod common;

const SIZES: [usize; 7] = [1, 3, 17, 33, 64, 65, 130];

/// What lies behind every buffer, and must still lie there afterwards.
const GUARD: [f32; 64] = [12345.0; 64];

/// Runs a kernel over buffers in the order of its bindings, and returns those that it may write.
fn run<U: Uniform>(
    gpu: &Gpu,
    stem: Stem,
    constants: Constants<'_>,
    uniform: &U,
    buffers: &[&[f32]],
    grid: Grid,
) -> Vec<Vec<f32>> {
    assert_eq!((stem.uniform, stem.bindings.len()), (U::NAME, buffers.len()), "{}", stem.name);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let make = |size, usage| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let bindings: Vec<Binding> = buffers
        .iter()
        .map(|numbers| {
            let bytes = 4 * numbers.len() as u64;
            let buffer = make(bytes + 256, usage);
            gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
            gpu.queue().write_buffer(&buffer, bytes, bytemuck::cast_slice(&GUARD));
            // The guard is bound too: a driver may drop what is written beyond a binding.
            Binding { buffer, offset: 0, bytes: bytes + 256 }
        })
        .collect();
    let uniforms = make(ALIGNMENT, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
    gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(uniform));
    let kernel = gpu.kernel(stem, constants);
    let group = bind(gpu.device(), &kernel, &uniforms, &bindings);
    let mut recorder = Recorder::new(gpu);
    recorder.record([&Command::Dispatch { kernel, bindings: group, offset: 0, grid, cost: Cost::default() }]);
    recorder.submit();
    let written = stem.bindings.iter().zip(&bindings).filter(|((_, access), _)| *access == Access::ReadWrite);
    let numbers = written.map(|(_, binding)| {
        let size = binding.buffer.size();
        let staging = make(size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut recorder = Recorder::new(gpu);
        let to = Place { buffer: staging.clone(), offset: 0 };
        recorder.record([&Command::Copy { from: binding.place(0), to, bytes: size }]);
        let submission = recorder.submit();
        let mapped = gpu.map(&staging);
        block_on(gpu.wait(submission, mapped)).unwrap();
        let mut numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&staging.slice(..).get_mapped_range().unwrap());
        let guard = numbers.split_off(numbers.len() - GUARD.len());
        assert_eq!(guard, GUARD, "{} wrote behind a buffer", stem.name);
        numbers
    });
    numbers.collect()
}

/// Multiples of 1/8 in ±1: sums of their products are exact in f32, so that results can be compared with `==`.
fn number(seed: usize, index: usize) -> f32 {
    let mixed = (index * 2 + 1).wrapping_mul(0x9e37_79b9).wrapping_add(seed.wrapping_mul(0x85eb_ca6b)) as u32;
    ((mixed ^ (mixed >> 15)).wrapping_mul(0x846c_a68b) >> 28) as f32 / 8.0 - 1.0
}

/// A matrix in whole vec4 a row, what is added zero; and its element as a function.
fn matrix(seed: usize, rows: usize, columns: usize) -> (Vec<f32>, impl Fn(usize, usize) -> f32) {
    let ld = 4 * vec4s(columns);
    let at = move |row: usize, column: usize| number(seed, row * columns + column);
    let packed = (0..rows * ld).map(|i| if i % ld < columns { at(i / ld, i % ld) } else { 0.0 }).collect();
    (packed, at)
}

fn nan(count: usize) -> Vec<f32> {
    vec![f32::NAN; count]
}

fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().map(|word| f32::from_bits(*word)).collect()
}

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
    let (stem, constants) = matmul(tile, (ta, tb));
    let grid = limits.matmul_parts(tile, rows, 4 * n4, k, 1).grid;
    let c = &run(gpu, stem, &constants, &uniform, &[&a, &b, &bias_row, &c], grid)[0];
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
fn products_are_exact_in_every_tile_at_every_size_with_either_side_transposed_with_bias_and_accumulating() {
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
fn a_product_cut_along_k_and_reduced_equals_the_whole_one() {
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
        let (stem, constants) = matmul(tile, (true, false));
        let [gx, gy, _] = limits.matmul_parts(tile, m, 4 * n4, k, 1).grid;
        let scratch = nan(parts * m * 4 * n4);
        let scratch = &run(&gpu, stem, &constants, &uniform, &[&a, &b, &a, &scratch], [gx, gy, 3])[0];
        let uniform = Reduce {
            rows: m as u32,
            n4: n4 as u32,
            parts: parts as u32,
            stride: (m * n4) as u32,
            ldc: n4 as u32,
            c_first: 0,
        };
        let c = vec![0.25; m * 4 * n4];
        let c = &run(&gpu, REDUCE, &[], &uniform, &[scratch, &c], limits.rows_and_columns(m, n4))[0];
        for row in 0..m {
            for column in 0..n {
                let sum: f32 = (0..k).map(|l| a_at(l, row) * b_at(l, column)).sum();
                assert_eq!(c[row * 4 * n4 + column], 0.25 + sum, "{tile:?} [{m}, {n}, {k}] at [{row}, {column}]");
            }
        }
    }
}

#[test]
fn the_plan_cuts_a_long_weight_gradient_into_parts_that_cover_k_once() {
    let software = DeviceLimits { max_binding: 1 << 27, max_buffer: 1 << 28, max_groups: 65_535, software: true };
    for limits in [software, DeviceLimits { software: false, ..software }] {
        for m in SIZES.map(|m| m.next_multiple_of(4)) {
            for k in [1, 3, 130, 2048, 65_536, 1_000_000] {
                let plan = limits.weight_gradient(m, 64, k);
                assert_eq!(plan.part * (plan.parts - 1) + plan.last, k);
                assert!(plan.last > 0 && plan.last <= plan.part && plan.part.div_ceil(4) <= 60_000);
                assert!(plan.scratch == 0 || plan.scratch == 16 * (plan.parts * m * 16) as u64);
                let (grid, part, _) = limits.column_sum(k, m / 4);
                assert!(part * grid[1] as usize >= k && part * (grid[1] as usize - 1) < k && part <= 60_000);
            }
        }
    }
}

#[test]
fn column_sum_is_exact_at_every_size_and_in_parts() {
    let Some(gpu) = gpu() else { return };
    for rows in SIZES {
        for n in SIZES {
            let (values, at) = matrix(1, rows, n);
            let n4 = vec4s(n);
            for parts in [1, 3] {
                let part_rows = rows.div_ceil(parts);
                let parts = rows.div_ceil(part_rows);
                let uniform = ColumnSum {
                    rows: rows as u32,
                    part_rows: part_rows as u32,
                    n4: n4 as u32,
                    ld: n4 as u32,
                    out_stride: n4 as u32,
                    ..ColumnSum::default()
                };
                let grid = [gpu.limits().column_sum(rows, n4).0[0], parts as u32, 1];
                let out = &run(&gpu, COLUMN_SUM, &[], &uniform, &[&values, &nan(parts * 4 * n4)], grid)[0];
                for column in 0..n {
                    let got: f32 = (0..parts).map(|part| out[part * 4 * n4 + column]).sum();
                    assert_eq!(got, (0..rows).map(|row| at(row, column)).sum::<f32>(), "[{rows}, {n}] column {column}");
                }
            }
        }
    }
}

#[test]
fn copy_and_mask_pad_cut_and_zero_rows_at_every_size() {
    let Some(gpu) = gpu() else { return };
    for rows in SIZES {
        for columns in SIZES {
            let ld = 4 * vec4s(columns);
            let flags: Vec<u32> = (0..rows as u32).map(|row| 1 + row % 3).collect();
            // What lies in a row that is not alive is never read.
            let from: Vec<f32> = (0..rows * columns)
                .map(|i| if flags[i / columns] & 1 == 1 { number(1, i) } else { f32::NAN })
                .collect();
            let uniform = Copy {
                rows: rows as u32,
                width: ld as u32,
                columns: columns as u32,
                ld_from: columns as u32,
                ld_to: ld as u32,
                masked: 1,
                bit: 1,
                ..Copy::default()
            };
            let grid = gpu.limits().rows_and_columns(rows, ld);
            let flags_bits = floats(&flags);
            let to = &run(&gpu, COPY, &[], &uniform, &[&flags_bits, &from, &nan(rows * ld)], grid)[0];
            let want = |i: usize| {
                let alive = flags[i / ld] & 1 == 1 && i % ld < columns;
                if alive { from[i / ld * columns + i % ld] } else { 0.0 }
            };
            assert!((0..rows * ld).all(|i| to[i] == want(i)), "copy [{rows}, {columns}]");
            let full = vec![1.5; rows * ld];
            let masked = &run(&gpu, MASK, &[], &Copy { bit: 2, ..uniform }, &[&flags_bits, &full], grid)[0];
            let want = |i: usize| if flags[i / ld] & 2 == 2 { 1.5 } else { 0.0 };
            assert!((0..rows * ld).all(|i| masked[i] == want(i)), "mask [{rows}, {columns}]");
        }
    }
}

#[test]
fn gather_and_scatter_are_the_products_with_one_hot_rows() {
    let Some(gpu) = gpu() else { return };
    for (i, vocabulary) in SIZES.into_iter().enumerate() {
        for n in SIZES {
            let rows = SIZES[(i + n) % SIZES.len()];
            let gates = n.next_multiple_of(4);
            let (weight, weight_at) = matrix(1, gates, vocabulary);
            let (bias, bias_at) = matrix(2, 1, gates);
            let (dz, dz_at) = matrix(3, rows, gates);
            let tokens: Vec<u32> = (0..rows).map(|row| (row * 7 % vocabulary) as u32).collect();
            let (n4, ldw) = (gates / 4, 4 * vec4s(vocabulary));
            let uniform = Tokens { rows: rows as u32, n4: n4 as u32, ldz: n4 as u32, ldw: ldw as u32 };
            let z = nan(rows * gates);
            let grid = gpu.limits().rows_and_columns(rows, n4);
            let z = &run(&gpu, GATHER, &[], &uniform, &[&floats(&tokens), &weight, &bias, &z], grid)[0];
            let mut order: Vec<u32> = (0..rows as u32).collect();
            order.sort_by_key(|row| tokens[*row as usize]);
            let starts: Vec<u32> =
                (0..=vocabulary).map(|v| tokens.iter().filter(|t| (**t as usize) < v).count() as u32).collect();
            let uniform = Tokens { rows: vocabulary as u32, ..uniform };
            let dw = vec![0.5; gates * ldw];
            let grid = gpu.limits().rows_and_columns(vocabulary, n4);
            let dw = &run(&gpu, SCATTER, &[], &uniform, &[&floats(&starts), &floats(&order), &dz, &dw], grid)[0];
            for gate in 0..gates {
                for (row, token) in tokens.iter().enumerate() {
                    let want = weight_at(gate, *token as usize) + bias_at(0, gate);
                    assert_eq!(z[row * gates + gate], want, "gather [{rows}, {gates}] of {vocabulary}");
                }
                for token in 0..vocabulary {
                    let mine = (0..rows).filter(|row| tokens[*row] as usize == token);
                    let want = 0.5 + mine.map(|row| dz_at(row, gate)).sum::<f32>();
                    assert_eq!(dw[gate * ldw + token], want, "scatter [{rows}, {gates}] of {vocabulary}");
                }
            }
        }
    }
}

#[test]
fn a_token_is_its_vector_and_a_vectors_gradient_that_of_all_its_tokens() {
    let Some(gpu) = gpu() else { return };
    for (i, vocabulary) in SIZES.into_iter().enumerate() {
        for n in SIZES {
            let rows = SIZES[(i + n) % SIZES.len()];
            let size = n.next_multiple_of(4);
            let (vectors, vectors_at) = matrix(1, vocabulary, size);
            let (dx, dx_at) = matrix(2, rows, size);
            let alive = |row: usize| row % 3 != 1;
            let tokens: Vec<u32> = (0..rows).map(|row| (row * 7 % vocabulary) as u32).collect();
            let flags: Vec<u32> = (0..rows).map(|row| 2 | u32::from(alive(row))).collect();
            let uniform = Embedding { rows: rows as u32, n4: size as u32 / 4 };
            let x = nan(rows * size);
            let grid = gpu.limits().rows_and_columns(rows, size / 4);
            let x = &run(&gpu, EMBED, &[], &uniform, &[&floats(&flags), &floats(&tokens), &vectors, &x], grid)[0];
            let mut order: Vec<u32> = (0..rows as u32).filter(|row| alive(*row as usize)).collect();
            order.sort_by_key(|row| tokens[*row as usize]);
            let below = |v: usize| order.iter().filter(|row| (tokens[**row as usize] as usize) < v).count() as u32;
            let starts: Vec<u32> = (0..=vocabulary).map(below).collect();
            let uniform = Embedding { rows: vocabulary as u32, ..uniform };
            let sums = vec![0.5; vocabulary * size];
            let grid = gpu.limits().rows_and_columns(vocabulary, size / 4);
            let bindings = [&floats(&starts)[..], &floats(&order), &dx, &sums];
            let sums = &run(&gpu, EMBED_BACKWARD, &[], &uniform, &bindings, grid)[0];
            for column in 0..size {
                for row in 0..rows {
                    let want = if alive(row) { vectors_at(tokens[row] as usize, column) } else { 0.0 };
                    assert_eq!(x[row * size + column], want, "x [{rows}, {size}] of {vocabulary}");
                }
                for token in 0..vocabulary {
                    let mine = (0..rows).filter(|row| alive(*row) && tokens[*row] as usize == token);
                    let want = 0.5 + mine.map(|row| dx_at(row, column)).sum::<f32>();
                    assert_eq!(sums[token * size + column], want, "vectors [{vocabulary}, {size}] of {rows}");
                }
            }
        }
    }
}

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

#[test]
fn loss_and_its_gradient_are_right_at_every_size_and_for_any_number_of_lanes() {
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
                let share = if kind == 5 { levels.len() } else { 1 };
                let mut values: Vec<f32> =
                    (0..predictions * outputs / share).map(|i| 0.5 + 0.5 * number(2, i)).collect();
                // One logit that is its target, and one at delta from it, where the slopes change.
                values[0] = logits[0];
                values[predictions * outputs / share - 1] = logits[(predictions - 1) * ld + outputs - 1] + 0.75;
                let classes: Vec<u32> = (0..predictions).map(|p| (p * 5 % outputs) as u32).collect();
                let targets = if kind == 2 { floats(&classes) } else { [&values[..], &levels].concat() };
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
                let grid = gpu.limits().predictions(predictions, lanes);
                let buffers: [&[f32]; 4] = [&targets, &weights, &logits, &nan(predictions)];
                let written = run(&gpu, LOSS, &[("LOSS", kind as f64)], &uniform, &buffers, grid);
                for p in 0..predictions {
                    let a: Vec<f32> = (0..outputs).map(|o| 4.0 * at(p, o)).collect();
                    let y: Vec<(f32, f32)> =
                        (0..outputs).map(|o| (values[(p * outputs + o) / share], levels[o % levels.len()])).collect();
                    let (loss, da) = loss_by_definition(&uniform, kind, &a, classes[p] as usize, &y);
                    let factor = f64::from(weights[p] * uniform.factor);
                    let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 2e-6 * want.abs().max(1.0);
                    assert!(close(written[1][p], factor * loss), "loss {kind} [{predictions}, {outputs}] at {p}");
                    let right = (0..outputs).all(|o| close(written[0][p * ld + o], factor * da[o]));
                    assert!(right, "da {kind} [{predictions}, {outputs}] at {p}");
                }
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
fn the_norm_is_right_at_every_size_and_a_value_that_is_not_finite_latches_the_first_step() {
    let Some(gpu) = gpu() else { return };
    let norm = |gradients: &[f32], loss: f32, (skips, bad_step, bad_in_row): (u32, u32, u32)| -> Status {
        let before = Status { bad_step, bad_in_row, ..Status::default() };
        let before = [bytemuck::cast_slice(bytemuck::bytes_of(&before)), &[0.0f32; 2][..]].concat();
        let count = gradients.len() / 4;
        let groups = gpu.limits().norm_groups(count);
        let uniform = Update {
            count: count as u32,
            partials: groups as u32,
            step: 7,
            inverse_divisor: 0.5,
            clip_norm: 1.0,
            skips,
            ..Update::default()
        };
        let partials = nan(groups.next_multiple_of(4));
        let grid = [groups as u32, 1, 1];
        let partials = &run(&gpu, NORM_PARTIAL, &[], &uniform, &[gradients, &partials], grid)[0];
        let written = run(&gpu, NORM, &[], &uniform, &[partials, &[loss, 0.0, 0.0, 0.0], &before], [1, 1, 1]);
        bytemuck::pod_read_unaligned(&bytemuck::cast_slice(&written[1])[..size_of::<Status>()])
    };
    for size in SIZES.into_iter().chain([20_000]) {
        let gradients: Vec<f32> = (0..4 * size).map(|i| 0.01 * number(1, i)).collect();
        let want = 0.5 * gradients.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let got = norm(&gradients, 3.0, (0, 0, 0));
        assert!((f64::from(got.norm) - want).abs() < 1e-6 * want, "{} {want}", got.norm);
        assert_eq!((got.loss, got.bad_step), (1.5, 0));
        let scale = 0.5 * (1.0 / (want + 1e-6)).min(1.0);
        assert!((f64::from(got.scale) - scale).abs() < 1e-6, "{} {scale}", got.scale);
    }
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
}

#[test]
fn planned_work_beyond_the_limit_is_submitted_in_parts_that_follow_each_other() {
    let Some(gpu) = gpu() else { return };
    let buffer = |bytes: u64, usage| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    };
    let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let (value, total) = (buffer(16, storage), buffer(16, storage));
    gpu.queue().write_buffer(&value, 0, bytemuck::cast_slice(&[1.0f32; 4]));
    let uniforms = buffer(ALIGNMENT, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
    gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&Sum { count: 1 }));
    let kernel = gpu.kernel(SUM, &[]);
    let bindings = bind(gpu.device(), &kernel, &uniforms, &[Binding::whole(&value), Binding::whole(&total)]);
    let add =
        Command::Dispatch { kernel, bindings, offset: 0, grid: [1, 1, 1], cost: Cost { operations: 10, bytes: 0 } };
    let staging = buffer(16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let before = gpu.counters().submits;
    let mut recorder = Recorder::new(&gpu);
    recorder.limit = 25;
    recorder.record(std::iter::repeat_n(&add, 8));
    let to = Place { buffer: staging.clone(), offset: 0 };
    recorder.record([&Command::Copy { from: Binding::whole(&total).place(0), to, bytes: 16 }]);
    let submission = recorder.submit();
    // Other tests submit to the same device, so there may be more.
    assert!(gpu.counters().submits - before >= 3);
    let mapped = gpu.map(&staging);
    block_on(gpu.wait(submission, mapped)).unwrap();
    let numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&staging.slice(..).get_mapped_range().unwrap());
    assert_eq!(numbers[0], 8.0);
}

#[test]
fn a_sequence_beyond_the_binding_limit_is_cut_into_chunks_and_a_step_beyond_it_refused_by_name() {
    use crate::model::plan::{Keeps, ParameterPlan, SequencePlan, Shape};
    use crate::{Cell, Model, Recurrent, RecurrentKernel};
    let model = Model::headless(Recurrent::new(Cell::Lstm, 8, 64));
    let parameters = ParameterPlan::new(&model);
    let limits = DeviceLimits { max_binding: 1 << 20, max_buffer: 1 << 28, max_groups: 65_535, software: true };
    let plan = |rows| {
        let shape = Shape { steps: 1000, rows, tokens: false, dx: true, resets: false, keeps: Keeps::Everything };
        SequencePlan::new(&model, &parameters, &limits, shape, None, RecurrentKernel::Auto)
    };
    let cut = plan(16).unwrap();
    assert!(cut.chunks.len() > 1);
    assert!(cut.tensors.iter().all(|spec| spec.bytes <= limits.max_binding));
    let covered: Vec<usize> = cut.chunks.iter().flat_map(|chunk| chunk.steps.clone()).collect();
    assert!(covered.into_iter().eq(0..1000));
    // Whatever the length of the last chunk, the parts of its products find room in scratch.
    for software in [true, false] {
        let limits = DeviceLimits { software, ..limits };
        for steps in 60..130 {
            let shape = Shape { steps, rows: 5, tokens: false, dx: true, resets: false, keeps: Keeps::Everything };
            let plan = SequencePlan::new(&model, &parameters, &limits, shape, Some(60), RecurrentKernel::Auto).unwrap();
            let room = plan.tensors[plan.scratch.0].bytes;
            let k = plan.chunks.iter().map(|chunk| 5 * chunk.steps.len());
            assert!(k.into_iter().all(|k| limits.weight_gradient(256, 64, k).scratch <= room), "T = {steps}");
        }
    }
    let error = plan(4096).unwrap_err().to_string();
    assert!(error.starts_with("z_l0[0] takes 4194304 bytes, over the device's largest storage binding"), "{error}");
}

#[test]
fn update_takes_adams_second_step_at_every_size_and_none_once_a_step_was_bad() {
    let Some(gpu) = gpu() else { return };
    let (beta1, beta2, eps, rate, root_bias2) = (0.9, 0.999, 1e-3, 0.02, 0.04);
    let uniform = Update {
        step: 2,
        rate: rate as f32,
        root_bias2: root_bias2 as f32,
        shrink: 1.0,
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
            let status = Status { scale: 0.5, bad_in_row, ..Status::default() };
            let status = [bytemuck::cast_slice(bytemuck::bytes_of(&status)), &[0.0f32; 2][..]].concat();
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
fn sum_adds_every_value_once() {
    let Some(gpu) = gpu() else { return };
    for count in SIZES.into_iter().chain([256, 257, 10_000]) {
        let values: Vec<f32> = (0..count).map(|i| number(1, i)).collect();
        let total = &run(&gpu, SUM, &[], &Sum { count: count as u32 }, &[&values, &[0.5, 0.0, 0.0, 0.0]], [1, 1, 1])[0];
        assert_eq!(total[0], 0.5 + values.iter().sum::<f32>(), "{count} values");
    }
}

#[test]
fn flow_takes_the_norm_of_every_step_of_a_direction_in_parts_however_small_it_is() {
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
            let uniform =
                Flow { count: count as u32, h4: h4 as u32, y4: y4 as u32, y_column: h4 as u32, first: first as u32 };
            let grid = [steps as u32, parts as u32, 1];
            let got = &run(&gpu, FLOW, &[], &uniform, &[&dh, &nan(2 * (first + steps * parts))], grid)[0];
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
fn mean_and_spread_take_every_step_once_and_leave_the_other_buffer_as_it_is() {
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

#[test]
fn nothing_that_an_earlier_pass_left_in_a_buffer_reaches_the_next_one() {
    use crate::{Activation, At, Backend, Batch, Cell, Engine, EngineOptions, Head, Loss, Model, Recurrent, Sequence};
    let Some(gpu) = gpu() else { return };
    for cell in [Cell::Rnn(Activation::Sigmoid), Cell::Lstm, Cell::Gru] {
        for at in [At::Every, At::Last, At::Mean] {
            let recurrent = Recurrent::new(cell, 3, 5).layers(2).bidirectional(true);
            let model = Model::new(recurrent, Head::new(3, Loss::SquaredError, at));
            let options = EngineOptions { chunk: Some(3), input_gradient: true, ..EngineOptions::default() };
            let mut engine = gpu.engine(&model, &options).unwrap();
            engine.set_parameters(&crate::Initialisation::default().draw(&model, 1)).unwrap();
            let x = ndarray::Array3::from_shape_fn((7, 4, 3), |(t, b, i)| number(1, 12 * t + 3 * b + i));
            let predictions = if at == At::Every { 7 } else { 1 };
            let y = ndarray::Array3::from_shape_fn((predictions, 4, 3), |(p, b, o)| number(2, 12 * p + 3 * b + o));
            let sequence = Sequence::dense(x).lengths(vec![7, 1, 5, 3]);
            let batch = Batch::new(sequence, crate::Targets::Values(y));
            let results = |engine: &mut crate::gpu::GpuEngine| {
                engine.clear_gradients();
                block_on(engine.accumulate(&batch, None)).unwrap();
                (block_on(engine.gradients()).unwrap(), block_on(engine.input_gradient()).unwrap())
            };
            let clean = results(&mut engine);
            for buffer in &engine.pass().buffers {
                gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&nan(buffer.size() as usize / 4)));
            }
            let (gradients, input) = results(&mut engine);
            assert!(gradients.iter().zip(&clean.0).all(|(a, b)| a.to_bits() == b.to_bits()), "{cell:?} {at:?}");
            assert_eq!(input, clean.1, "{cell:?} {at:?}");
        }
    }
}
