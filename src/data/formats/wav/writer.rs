//! Writes wav files, block by block.

use std::io::{self, Write};

use ndarray::ArrayView2;

use super::{EXTENSIBLE, GUID, WavFormat, WavSpec};
use crate::error::{Error, Result};

/// A wav file that is written block by block. Its length is known beforehand, so nothing has to be written twice.
#[derive(Debug)]
pub struct WavWriter<W> {
    to: W,
    spec: WavSpec,
    /// The frames that are still to come.
    left: u64,
    /// Whether the samples have an odd number of bytes, behind which a chunk has one of padding.
    padded: bool,
    clipping: Clipping,
}

/// What was beyond full scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clipping {
    /// The number of samples that whole numbers could not hold, and that were set to full scale.
    pub clipped: u64,
    /// The largest magnitude; full scale is 1.
    pub peak: f32,
}

impl<W: Write> WavWriter<W> {
    /// Writes the header of a file of `frames` frames.
    ///
    /// # Errors
    /// [`Error::Value`] for channels or frames that no header can hold; [`Error::Io`] without a path.
    pub fn new(mut to: W, spec: WavSpec, frames: u64) -> Result<Self> {
        let most = usize::from(u16::MAX) / usize::from(spec.format.bits() / 8);
        if !(1..=most).contains(&usize::from(spec.channels)) {
            return Err(Error::value("the channels", format!("1 to {most}"), spec.channels));
        }
        let Some(bytes) = frames.checked_mul(spec.frame_bytes() as u64).filter(|bytes| *bytes < 1 << 62) else {
            return Err(Error::value("the frames", "less than 2^62 bytes", frames));
        };
        to.write_all(&header(spec, frames)).map_err(unwritten)?;
        Ok(Self { to, spec, left: frames, padded: !bytes.is_multiple_of(2), clipping: Clipping::default() })
    }

    /// Writes frames, \[frames, channels\]. Whole numbers are rounded to the nearest, and clipped beyond full scale.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels, [`Error::Value`] for more frames than the header says;
    /// [`Error::Io`] without a path.
    pub fn write(&mut self, frames: ArrayView2<'_, f32>) -> Result<()> {
        let (count, channels) = frames.dim();
        if channels != usize::from(self.spec.channels) {
            return Err(Error::shape("the frames", &[count, self.spec.channels.into()], frames.shape()));
        }
        if count as u64 > self.left {
            return Err(Error::value("the frames", format!("at most {}, as in the header", self.left), count));
        }
        self.left -= count as u64;
        let mut bytes = Vec::with_capacity(count * self.spec.frame_bytes());
        for sample in &frames {
            self.clipping.peak = self.clipping.peak.max(sample.abs());
            self.clipping.clipped += u64::from(self.spec.format.is_pcm() && sample.abs() > 1.0);
            match self.spec.format {
                WavFormat::Pcm16 => bytes.extend_from_slice(&whole(*sample, 16).to_le_bytes()[..2]),
                WavFormat::Pcm24 => bytes.extend_from_slice(&whole(*sample, 24).to_le_bytes()[..3]),
                WavFormat::Pcm32 => bytes.extend_from_slice(&whole(*sample, 32).to_le_bytes()),
                WavFormat::Float32 => bytes.extend_from_slice(&sample.to_le_bytes()),
                WavFormat::Float64 => bytes.extend_from_slice(&f64::from(*sample).to_le_bytes()),
            }
        }
        self.to.write_all(&bytes).map_err(unwritten)
    }

    /// Ends the file, and returns what was beyond full scale.
    ///
    /// # Errors
    /// [`Error::Value`] for fewer frames than the header says; [`Error::Io`] without a path.
    pub fn finish(mut self) -> Result<Clipping> {
        if self.left > 0 {
            return Err(Error::value("the frames", "as many as in the header", format!("{} fewer", self.left)));
        }
        self.to.write_all(if self.padded { &[0] } else { &[] }).and_then(|()| self.to.flush()).map_err(unwritten)?;
        Ok(self.clipping)
    }
}

fn unwritten(source: io::Error) -> Error {
    Error::Io { path: "".into(), source }
}

/// The nearest whole number of so many bits.
fn whole(sample: f32, bits: u32) -> i32 {
    let scale = f64::from(1u32 << (bits - 1));
    (f64::from(sample) * scale).round().clamp(-scale, scale - 1.0) as i32
}

/// Everything before the samples.
fn header(spec: WavSpec, frames: u64) -> Vec<u8> {
    let WavSpec { rate, channels, format } = spec;
    let frame = spec.frame_bytes();
    let data = frames * frame as u64;
    // The format tag alone is for what all programs know.
    let extended = channels > 2 || (format.is_pcm() && format.bits() > 16);
    let mut fmt = Vec::new();
    fmt.extend(if extended { EXTENSIBLE } else { format.tag() }.to_le_bytes());
    fmt.extend(channels.to_le_bytes());
    fmt.extend(rate.to_le_bytes());
    fmt.extend(u32::try_from(u64::from(rate) * frame as u64).unwrap_or(u32::MAX).to_le_bytes());
    // [`WavWriter::new`] has checked it.
    fmt.extend((frame as u16).to_le_bytes());
    fmt.extend(format.bits().to_le_bytes());
    if extended {
        // The size of what follows, the valid bits, and channels without a place of their own.
        fmt.extend([22u16, format.bits()].iter().flat_map(|field| field.to_le_bytes()));
        fmt.extend(0u32.to_le_bytes());
        fmt.extend(format.tag().to_le_bytes());
        fmt.extend(GUID);
    } else if !format.is_pcm() {
        fmt.extend(0u16.to_le_bytes());
    }
    let chunk = |name: &[u8; 4], contents: &[u8]| {
        let length = (contents.len() as u32).to_le_bytes();
        [&name[..], &length, contents].concat()
    };
    let mut chunks = chunk(b"fmt ", &fmt);
    if !format.is_pcm() {
        chunks.extend(chunk(b"fact", &u32::try_from(frames).unwrap_or(u32::MAX).to_le_bytes()));
    }
    let size = 4 + chunks.len() as u64 + 8 + data + data % 2;
    let (name, size, length) = match (u32::try_from(size), u32::try_from(data)) {
        (Ok(size), Ok(length)) if size < u32::MAX => (b"RIFF", size, length),
        _ => {
            let sizes = [size + 36, data, frames].into_iter().flat_map(u64::to_le_bytes);
            let sizes: Vec<u8> = sizes.chain([0; 4]).collect();
            chunks = [chunk(b"ds64", &sizes), chunks].concat();
            (b"RF64", u32::MAX, u32::MAX)
        }
    };
    [&name[..], &size.to_le_bytes(), b"WAVE", &chunks, b"data", &length.to_le_bytes()].concat()
}
