//! What copies rows, or looks them up by tokens.

use super::common::gpu;
use super::{SIZES, floats, matrix, nan, number, run};
use crate::gpu::commands::uniforms::{Copy, Embedding, Tokens, Transpose};
use crate::gpu::device::kernel::{COPY, EMBED, EMBED_BACKWARD, GATHER, MASK, SCATTER, TRANSPOSE, flag};
use crate::model::plan::vec4s;

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
fn gather_and_scatter_equal_products_with_one_hot_rows() {
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
            let gather = |transposed, weight: &[f32]| {
                let constants = [("TRANSPOSED_W", flag(transposed))];
                run(&gpu, GATHER, &constants, &uniform, &[&floats(&tokens), weight, &bias, &z], grid).remove(0)
            };
            let transpose = Transpose { rows4: n4 as u32, columns4: ldw as u32 / 4 };
            let copies = gpu.limits().rows_and_columns(ldw / 4, n4);
            let transposed = &run(&gpu, TRANSPOSE, &[], &transpose, &[&weight, &nan(gates * ldw)], copies)[0];
            let z = gather(false, &weight);
            assert_eq!(gather(true, transposed), z, "gather [{rows}, {gates}] of {vocabulary}");
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
fn a_token_selects_its_vector_and_adds_to_its_gradient() {
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
