//! Numbers in halves.

use super::common::gpu;
use super::{floats, run};
use crate::gpu::commands::uniforms::Narrow;
use crate::gpu::device::kernel::NARROW;
use crate::gpu::pass::staging;
use crate::model::plan::Storage;

#[test]
fn halves_keep_numbers_in_their_range_and_what_is_beyond_is_infinite_or_no_number() {
    let Some(gpu) = gpu() else { return };
    let in_range = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1.000_5,
        0.333_333_34,
        -std::f32::consts::PI,
        65504.0,
        -65504.0,
        65503.9,
        6.2e-5,
        -6.0e-5,
        3.1e-6,
        6.0e-8,
        -1.0e-9,
        1.0e-40,
    ];
    let beyond = [65504.1, -65520.0, 70000.0, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
    let values: Vec<f32> = in_range.into_iter().chain(beyond).collect();
    let uniform = Narrow { count: values.len() as u32 / 4, first: 1 };
    let grid = gpu.limits().elements(values.len() / 4);
    let before = floats(&vec![0xffff_ffff; values.len() / 2 + 4]);
    let words = &run(&gpu, NARROW.stored(Storage::Halves), &[], &uniform, &[&values, &before], grid)[0];
    let outside = [&words[..2], &words[2 + values.len() / 2..]].concat();
    assert!(outside.iter().all(|word| word.to_bits() == 0xffff_ffff), "nothing is written outside of the numbers");
    let halves: Vec<f32> = staging::of_halves(&words[2..2 + values.len() / 2]).collect();
    for (value, half) in std::iter::zip(&values, &halves) {
        if value.is_nan() {
            assert!(half.is_nan(), "{value} became {half}");
        } else if value.abs() > 65504.0 {
            assert_eq!(*half, value.signum() * f32::INFINITY, "{value}");
        } else {
            // To nearest or toward 0, and to 0 below 2⁻²⁴.
            let most = (value.abs() / 1024.0).max(2.0f32.powi(-24));
            assert!((half - value).abs() <= most, "{value} became {half}");
        }
    }
    // The host rounds to nearest, and reads back what it has written.
    let host: Vec<f32> = staging::of_halves(&floats(&staging::to_halves(&values))).collect();
    for (host, value) in std::iter::zip(host, &values).filter(|(_, value)| value.abs() <= 65504.0) {
        assert!((host - value).abs() <= (value.abs() / 2048.0).max(2.0f32.powi(-25)), "{value} became {host}");
    }
}
