//! Writes `dry.wav`, plucked strings, and `wet.wav`, what a small amplifier makes of them, for `bptt train audio`.
//!
//! ```sh
//! cargo run --release --example amplifier -- 20       # so many seconds; 20 if not given
//! bptt train audio dry.wav wet.wav --hidden 16
//! ```
//!
//! The amplifier is a known function with memory: a coupling capacitor (a high-pass), a stage that saturates on one side
//! before the other and sags as it is driven, and a loudspeaker (a low-pass).

use std::error::Error;
use std::f64::consts::TAU;
use std::fs::File;
use std::io::BufWriter;

use bptt::data::{WavFormat, WavSpec, WavWriter};
use bptt::ndarray::Array2;

const RATE: u32 = 44_100;

/// Strings of a guitar, plucked four times a second, in every position of the neck.
fn strings(frames: usize) -> Vec<f64> {
    let every = RATE as usize / 4;
    let mut sound = vec![0.0; frames];
    for pluck in 0..frames.div_ceil(every) {
        // Fractions of multiples of irrational numbers stand for chance.
        let chance = |factor: f64| (pluck as f64 * factor).fract();
        let pitch = 82.4 * 2f64.powf((36.0 * chance(0.618_034)).floor() / 12.0);
        let loud = 0.08 + 0.3 * chance(0.414_214);
        for (frame, sample) in sound[pluck * every..].iter_mut().take(4 * every).enumerate() {
            let time = frame as f64 / f64::from(RATE);
            let harmonic = |number: u32| {
                let n = f64::from(number);
                (-time * (2.0 + 1.5 * n)).exp() / n * (TAU * pitch * n * time + n).sin()
            };
            *sample += loud * (1..9).map(harmonic).sum::<f64>() * (time * 400.0).min(1.0);
        }
    }
    sound
}

fn amplified(dry: &[f64]) -> Vec<f64> {
    let (mut charge, mut sag, mut cone) = (0.0, 0.0, 0.0);
    let stage = |x: &f64| {
        charge += 0.01 * (x - charge);
        let driven = 6.0 * (x - charge) / (1.0 + sag);
        sag += 0.002 * (driven.abs() - sag);
        let saturated = if driven > 0.0 { driven.tanh() } else { 0.7 * (driven / 0.7).tanh() };
        cone += 0.35 * (saturated - cone);
        0.8 * cone
    };
    dry.iter().map(stage).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(20), |seconds| seconds.parse())?;
    let dry = strings(RATE as usize * seconds);
    for (path, sound) in [("wet.wav", amplified(&dry)), ("dry.wav", dry)] {
        let samples = Array2::from_shape_fn((sound.len(), 1), |(frame, _)| sound[frame] as f32);
        let spec = WavSpec { rate: RATE, channels: 1, format: WavFormat::Pcm24 };
        let mut writer = WavWriter::new(BufWriter::new(File::create(path)?), spec, sound.len() as u64)?;
        writer.write(samples.view())?;
        println!("{path}: {seconds} s, peak {:.2}", writer.finish()?.peak);
    }
    Ok(())
}
