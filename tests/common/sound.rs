//! Sound files that a test writes and reads.

use std::fs::{self, File};
use std::path::Path;

use bptt::data::{Audio, InputLimit, WavFormat, WavSpec, WavWriter};
use bptt::ndarray::Array2;

/// Writes samples: \[frames, channels\].
pub fn write(path: &Path, rate: u32, format: WavFormat, samples: &Array2<f32>) {
    let spec = WavSpec { rate, channels: samples.ncols() as u16, format };
    let mut writer = WavWriter::new(File::create(path).unwrap(), spec, samples.nrows() as u64).unwrap();
    writer.write(samples.view()).unwrap();
    writer.finish().unwrap();
}

pub fn read(path: &Path) -> Audio {
    Audio::from_wav(&fs::read(path).unwrap(), path, InputLimit::default()).unwrap()
}

/// Writes `dry` as `dry.wav`, and as `wet.wav` what a stage without memory makes of it.
pub fn saturated(folder: &Path, dry: &Array2<f32>) {
    for (file, samples) in [("dry.wav", dry), ("wet.wav", &dry.mapv(|x| 0.7 * (3.0 * x).tanh()))] {
        write(&folder.join(file), 8000, WavFormat::Float32, samples);
    }
}
