//! Streams sound through a trained model.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use ndarray::Axis;

use super::config::agree::unsupported;
use super::device::open::DeviceOptions;
use super::loaded_model::LoadedModel;
use super::model::audio_codec::AudioCodec;
use super::model::codec::Codec;
use super::tasks::signals::audio_data::{check_channels, check_rate};
use crate::data::{Clipping, WavFormat, WavReader, WavSpec, WavWriter};
use crate::format::{grouped, path_text};
use crate::{Error, Result, Sequence};

/// Frames at a time. They do not change the result.
pub const BLOCK: usize = 4096;

/// A sound that was made.
#[derive(Clone, Copy, Debug)]
pub struct AppliedSound {
    /// The length of the sound in seconds.
    pub seconds: f64,
    /// How long it took, in seconds.
    pub took: f64,
    /// What was beyond full scale.
    pub clipping: Clipping,
    /// How its samples are stored.
    pub format: WavFormat,
}

impl AppliedSound {
    /// In one line.
    pub fn line(&self) -> String {
        let Self { seconds, took, .. } = self;
        let pace = seconds / took.max(1e-9);
        let pace = if pace < 10.0 { format!("{pace:.1}") } else { grouped(pace as u64) };
        format!("{seconds:.1} s of sound in {took:.1} s, {pace} times as fast as it sounds")
    }

    /// A note where samples were clipped.
    pub fn note(&self) -> Option<String> {
        let Clipping { clipped, peak } = self.clipping;
        (clipped > 0).then(|| {
            format!(
                "note: {} samples were beyond full scale and are clipped, the largest by {:.1} dB: --bits float keeps them",
                grouped(clipped),
                20.0 * f64::from(peak).log10()
            )
        })
    }
}

impl LoadedModel {
    /// What the model knows of its sounds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model of other data.
    fn audio(&self) -> Result<&AudioCodec> {
        match &self.file.codec {
            Codec::Audio(codec) => Ok(codec),
            other => Err(unsupported(format!(
                "only a model of audio makes sound; {} is of {}: `bptt predict` writes what it predicts",
                path_text(&self.file.path),
                other.kind()
            ))),
        }
    }

    /// Refuses a model of other data, and a file at `path` of another rate or other channels than the model's.
    ///
    /// # Errors
    /// [`Error::Unsupported`], and [`Error::Data`] names what was expected.
    pub fn check_sound(&self, spec: WavSpec, path: &Path) -> Result<()> {
        let codec = self.audio()?;
        check_rate(codec, spec.rate, path)?;
        check_channels("DRY", codec.dry.len(), spec, path)
    }

    /// Streams the rest of a file through the network, from a state of zero, `block` frames at a time, with memory for no
    /// more than these. `format` is that of the file that is written, by default that of the one that is read.
    ///
    /// # Errors
    /// Those of the device, of reading and of writing; [`Error::Failed`] if a number is not finite.
    pub async fn apply_to_sound<R: Read, W: Write>(
        &self,
        device: &DeviceOptions,
        from: &mut WavReader<R>,
        to: W,
        format: Option<WavFormat>,
        block: usize,
    ) -> Result<AppliedSound> {
        let codec = self.audio()?;
        let mut network = self.network(device).await?;
        let WavSpec { rate, format: own, .. } = from.spec();
        let format = format.unwrap_or(own);
        let outputs = u16::try_from(codec.wet.len()).unwrap_or(u16::MAX);
        let mut writer = WavWriter::new(to, WavSpec { rate, channels: outputs, format }, from.frames())?;
        let mut session = network.session(1)?;
        let started = Instant::now();
        while let Some(frames) = from.read(block)? {
            let x = codec.encode(frames).insert_axis(Axis(1));
            let y = session.step(&Sequence::dense(x)).await?;
            let made = codec.decode(y.index_axis(Axis(1), 0));
            if let Some(sample) = made.iter().find(|sample| !sample.is_finite()) {
                return Err(Error::Failed(format!("the network's output is not finite: {sample}")));
            }
            writer.write(made.view())?;
        }
        let clipping = writer.finish()?;
        let seconds = from.frames() as f64 / f64::from(rate);
        Ok(AppliedSound { seconds, took: started.elapsed().as_secs_f64(), clipping, format })
    }
}
