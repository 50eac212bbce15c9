//! Reads wav files, block by block or as a whole.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use ndarray::{Array2, s};

use super::{EXTENSIBLE, FLOAT, GUID, PCM, WavFormat, WavSpec};
use crate::allocate;
use crate::data::{InputLimit, open_input};
use crate::error::{Error, Result};
use crate::sizes::Count;

/// The length of a chunk whose end was not known when its header was written, or that a ds64 chunk has.
const OPEN: u32 = u32::MAX;

/// Frames at a time of a file that is read as a whole.
const BLOCK: usize = 1 << 16;

/// A wav file that is read block by block, with memory for no more than a block.
#[derive(Debug)]
pub struct WavReader<R> {
    from: R,
    path: PathBuf,
    spec: WavSpec,
    frames: u64,
    read: u64,
}

/// A chunk's header.
struct Chunk {
    name: [u8; 4],
    /// Where its contents begin.
    begin: u64,
    length: u32,
}

impl WavReader<BufReader<File>> {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; those of [`new`](WavReader::new).
    pub fn open(path: &Path) -> Result<Self> {
        let (file, length) = open_input(path)?;
        WavReader::new(BufReader::new(file), length, path)
    }
}

impl<R: Read> WavReader<R> {
    /// Reads the header of a file of `length` bytes; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Data`] for what is not a wav file, for a format other than those of [`WavFormat`], and for a file that
    /// ends before its samples do, with the byte where it was noticed.
    pub fn new(from: R, length: u64, path: &Path) -> Result<Self> {
        let mut header = Header { from, at: 0, length, path };
        let riff = header.take::<12>("a RIFF header")?;
        let is_64 = &riff[..4] == b"RF64";
        if !(is_64 || &riff[..4] == b"RIFF") || &riff[8..] != b"WAVE" {
            let message = "expected a wav file, which begins with RIFF (or RF64), a length and WAVE";
            return Err(Error::data(path, "", message));
        }
        let (mut spec, mut long) = (None, None);
        loop {
            let chunk = header.chunk(spec.is_some())?;
            match &chunk.name {
                b"fmt " => spec = Some(header.format(&chunk)?),
                b"ds64" if is_64 => {
                    let sizes = header.take::<16>("the sizes of a ds64 chunk")?;
                    long = Some(u64::from_le_bytes(sizes[8..].try_into().unwrap_or_default()));
                }
                b"data" => {
                    let Some(spec) = spec else {
                        return Err(header.refused(&chunk, "expected a fmt chunk before the data chunk, got none"));
                    };
                    let frames = header.frames(&chunk, spec, long)?;
                    return Ok(Self { from: header.from, path: path.into(), spec, frames, read: 0 });
                }
                _ => {}
            }
            // A chunk of odd length is followed by a byte of padding.
            header.skip_to(chunk.begin + u64::from(chunk.length) + u64::from(chunk.length % 2))?;
        }
    }

    /// What the file holds.
    pub fn spec(&self) -> WavSpec {
        self.spec
    }

    /// The number of frames of the file.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The next frames, at most `most`, with full scale from −1 to 1: \[frames, channels\]; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Data`] for a sample that is not a finite number in f32, by frame and channel, counted from 1, and for a
    /// file that was truncated while it was read; [`Error::Io`]; [`Error::NoMemory`].
    pub fn read(&mut self, most: usize) -> Result<Option<Array2<f32>>> {
        let (channels, frame) = (usize::from(self.spec.channels), self.spec.frame_bytes());
        let count = usize::try_from(self.frames - self.read).unwrap_or(usize::MAX).min(most);
        if count == 0 {
            return Ok(None);
        }
        let mut bytes: Vec<u8> = allocate::zeros(count * frame, "a block of sound")?;
        self.from.read_exact(&mut bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                let message = format!("expected {} frames, as when it was opened: it was truncated", self.frames);
                Error::data(&self.path, "", message)
            }
            _ => Error::Io { path: self.path.clone(), source },
        })?;
        let mut block = allocate::array((count, channels), "a block of sound")?;
        let samples = bytes.chunks_exact(frame / channels).map(|bytes| sample(bytes, self.spec.format));
        for (index, (to, sample)) in block.iter_mut().zip(samples).enumerate() {
            if !sample.is_finite() {
                let (frame, channel) = (self.read + (index / channels) as u64 + 1, index % channels + 1);
                let place = format!(", frame {frame}, channel {channel}");
                return Err(Error::data(&self.path, place, format!("expected a finite number, got {sample}")));
            }
            *to = sample;
        }
        self.read += count as u64;
        Ok(Some(block))
    }
}

/// A sample with full scale from −1 to 1.
fn sample(bytes: &[u8], format: WavFormat) -> f32 {
    match (format, bytes) {
        (WavFormat::Pcm16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
        (WavFormat::Pcm24, &[a, b, c]) => (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0,
        (WavFormat::Pcm32, &[a, b, c, d]) => (f64::from(i32::from_le_bytes([a, b, c, d])) / 2_147_483_648.0) as f32,
        (WavFormat::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (WavFormat::Float64, bytes) => f64::from_le_bytes(bytes.try_into().unwrap_or_default()) as f32,
        _ => f32::NAN,
    }
}

/// The part of a file before its samples.
struct Header<'a, R> {
    from: R,
    /// The bytes so far.
    at: u64,
    /// The bytes of the file.
    length: u64,
    path: &'a Path,
}

impl<R: Read> Header<'_, R> {
    /// The next N bytes, of `what`.
    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        if self.length - self.at < N as u64 {
            let (at, rest) = (self.at, self.length - self.at);
            let message = format!("expected {what}, {N} bytes, got the end of the file after {rest}");
            return Err(Error::data(self.path, format!(", byte {at}"), message));
        }
        self.from.read_exact(&mut bytes).map_err(|source| Error::Io { path: self.path.into(), source })?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// The header of the next chunk. `has_format`: whether the fmt chunk was read.
    fn chunk(&mut self, has_format: bool) -> Result<Chunk> {
        let [a, b, c, d, length @ ..] = self.take::<8>(if has_format { "a data chunk" } else { "a fmt chunk" })?;
        let chunk = Chunk { name: [a, b, c, d], begin: self.at, length: u32::from_le_bytes(length) };
        let is_data = &chunk.name == b"data";
        if !is_data && u64::from(chunk.length) > self.length - chunk.begin {
            let rest = self.length - chunk.begin;
            return Err(self.refused(&chunk, &format!("expected {} bytes, got {rest}: truncated", chunk.length)));
        }
        Ok(chunk)
    }

    fn skip_to(&mut self, at: u64) -> Result<()> {
        let count = at.min(self.length).saturating_sub(self.at);
        let skipped = io::copy(&mut (&mut self.from).take(count), &mut io::sink());
        self.at += skipped.map_err(|source| Error::Io { path: self.path.into(), source })?;
        Ok(())
    }

    fn refused(&self, chunk: &Chunk, message: &str) -> Error {
        let place = format!(", chunk {:?} at byte {}", String::from_utf8_lossy(&chunk.name), chunk.begin - 8);
        Error::data(self.path, place, message)
    }

    fn format(&mut self, chunk: &Chunk) -> Result<WavSpec> {
        if chunk.length < 16 {
            return Err(self.refused(chunk, &format!("expected at least 16 bytes, got {}", chunk.length)));
        }
        let fields = self.take::<16>("a fmt chunk")?;
        let u16_at = |at: usize| u16::from_le_bytes([fields[at], fields[at + 1]]);
        let rate = u32::from_le_bytes([fields[4], fields[5], fields[6], fields[7]]);
        let (mut tag, channels, frame, bits) = (u16_at(0), u16_at(2), u16_at(12), u16_at(14));
        if tag == EXTENSIBLE {
            let extension = if chunk.length >= 40 { self.take::<24>("the extension of a fmt chunk")? } else { [0; 24] };
            // The size of the extension, the valid bits and the places of the channels come before.
            tag = if extension[10..] == GUID { u16::from_le_bytes([extension[8], extension[9]]) } else { 0 };
        }
        let Some(format) = WavFormat::of(tag, bits) else {
            let got = match tag {
                PCM => format!("PCM of {bits} bits"),
                FLOAT => format!("floats of {bits} bits"),
                tag => format!("format {tag} of {bits} bits"),
            };
            let message =
                format!("expected PCM of 16, 24 or 32 bits or floats of 32 or 64 bits, got {got}: convert it");
            return Err(self.refused(chunk, &message));
        };
        let spec = WavSpec { rate, channels, format };
        if channels == 0 || rate == 0 {
            let got = format!("{channels} channels at {rate} frames a second");
            return Err(self.refused(chunk, &format!("expected at least one channel and a rate above 0, got {got}")));
        }
        if usize::from(frame) != spec.frame_bytes() {
            let message = format!("expected frames of {} bytes, got {frame}", spec.frame_bytes());
            return Err(self.refused(chunk, &message));
        }
        Ok(spec)
    }

    /// The number of frames in a data chunk; `long`: its length by a ds64 chunk.
    fn frames(&self, chunk: &Chunk, spec: WavSpec, long: Option<u64>) -> Result<u64> {
        let rest = self.length - chunk.begin;
        let bytes = match (chunk.length, long) {
            (OPEN, Some(long)) => long,
            // Written to a pipe: the samples go up to the end.
            (OPEN, None) => rest - rest % spec.frame_bytes() as u64,
            (length, _) => length.into(),
        };
        if bytes > rest {
            let message = format!("expected {bytes} bytes of samples, got {rest}: the file was truncated");
            return Err(self.refused(chunk, &message));
        }
        let frame = spec.frame_bytes() as u64;
        if bytes == 0 || !bytes.is_multiple_of(frame) {
            let message = format!("expected samples in whole frames of {frame} bytes, got {bytes} bytes");
            return Err(self.refused(chunk, &message));
        }
        Ok(bytes / frame)
    }
}

/// A whole recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// What the file holds.
    pub spec: WavSpec,
    /// The samples, full scale from −1 to 1: \[frames, channels\].
    pub samples: Array2<f32>,
}

impl Audio {
    /// The whole of a wav file, whose samples must fit into `limit`; `path` is for messages.
    ///
    /// # Errors
    /// Those of [`WavReader`]; [`Error::Data`] for more samples than the limit allows.
    pub fn from_wav(bytes: &[u8], path: &Path, limit: InputLimit) -> Result<Self> {
        let mut reader = WavReader::new(Cursor::new(bytes), bytes.len() as u64, path)?;
        let (spec, frames) = (reader.spec(), reader.frames());
        let memory = Count::from(frames) * usize::from(spec.channels) * size_of::<f32>();
        limit.check(memory.get(), path, "", "in memory")?;
        // The frames are in `bytes`, so that there are no more than an index can count.
        let mut samples: Array2<f32> = allocate::array((frames as usize, usize::from(spec.channels)), "a recording")?;
        let mut at = 0;
        while let Some(block) = reader.read(BLOCK)? {
            samples.slice_mut(s![at..at + block.nrows(), ..]).assign(&block);
            at += block.nrows();
        }
        Ok(Self { spec, samples })
    }

    /// The length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.nrows() as f64 / f64::from(self.spec.rate)
    }
}
