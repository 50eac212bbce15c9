//! Two recordings of the same length: a sound, and what is to be made of it.

use std::path::{Path, PathBuf};

use crate::data::{Audio, WavSpec, read_input};
use crate::experiment::config::agree::unsupported;
use crate::experiment::config::{AudioConfig, limit};
use crate::experiment::files::digest::Files;
use crate::experiment::model::audio_codec::AudioCodec;
use crate::format::{grouped, path_text};
use crate::{Error, Result};

/// So many samples at full scale in a row are one that went beyond it.
const CLIPPED: usize = 3;

/// What counts as full scale: the last step of 16 bits.
const FULL: f32 = 32767.0 / 32768.0;

pub(super) struct AudioData {
    pub(super) name: String,
    /// For messages.
    pub(super) path: PathBuf,
    pub(super) dry: Audio,
    pub(super) wet: Audio,
    /// The files in words, and what is remarkable about them.
    pub(super) facts: Vec<String>,
    pub(super) sha256: String,
}

impl AudioData {
    /// Reads both files of `data`, and puts their digest into them. With `model` they must be of its rate and channels.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read; [`Error::Data`] for what they hold, and where they differ in rate or
    /// length; [`Error::Unsupported`] without a second file.
    pub(super) fn read(data: &mut AudioConfig, model: Option<&AudioCodec>) -> Result<Self> {
        let path = data.file.clone().unwrap_or_default();
        let Some(wet_path) = data.wet.clone() else {
            return Err(unsupported("expected two files: `audio DRY WET`, or DRY --wet WET for a trained model"));
        };
        let mut files = Files::new();
        let mut read = |flag: &str, path: &Path| {
            let bytes = read_input(path, limit(data.input_limit))?;
            files.add(flag, path, &bytes);
            Audio::from_wav(&bytes, path, limit(data.input_limit))
        };
        let (dry, wet) = (read("audio", &path)?, read("wet", &wet_path)?);
        let sha256 = files.check(&path, "audio DRY WET", &mut data.sha256)?;
        let refused = |message: String| Err(Error::data(&wet_path, "", message));
        let (rate, frames) = (dry.spec.rate, dry.samples.nrows());
        if wet.spec.rate != rate {
            let (rate, got) = (grouped(rate.into()), grouped(wet.spec.rate.into()));
            return refused(format!("expected {rate} Hz, as {} has, got {got} Hz: resample one", path_text(&path)));
        }
        if wet.samples.nrows() != frames {
            let (count, got) = (grouped(frames as u64), grouped(wet.samples.nrows() as u64));
            return refused(format!(
                "expected {count} frames ({:.3} s), as {} has, got {got} ({:.3} s): both must begin and end together; cut \
                 what only one of them has",
                dry.seconds(),
                path_text(&path),
                wet.seconds()
            ));
        }
        if let Some(model) = model {
            check_rate(model, rate, &path)?;
            check_channels("DRY", model.dry.len(), dry.spec, &path)?;
            check_channels("WET", model.wet.len(), wet.spec, &wet_path)?;
        }
        let mut facts = Vec::new();
        for (what, path, audio) in [("dry", &path, &dry), ("wet", &wet_path, &wet)] {
            let (channels, format) = (channels(audio.spec.channels.into()), audio.spec.format.words());
            facts.push(format!("{what}: {}, {channels}, {format}", path_text(path)));
        }
        facts.push(format!("{} frames, {:.1} s at {} Hz", grouped(frames as u64), dry.seconds(), grouped(rate.into())));
        for (what, audio) in [("dry", &dry), ("wet", &wet)] {
            let clipped = clipped(audio);
            if clipped > 0 {
                let count = grouped(clipped as u64);
                facts.push(format!("the {what} sound stays at full scale in {count} places: it may be clipped"));
            }
        }
        let name = path.file_stem().map_or("audio".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Self { name, path, dry, wet, facts, sha256 })
    }
}

/// `2 channels`.
fn channels(count: usize) -> String {
    if count == 1 { "1 channel".into() } else { format!("{} channels", grouped(count as u64)) }
}

/// Refuses a rate that the model was not trained at.
///
/// # Errors
/// [`Error::Data`] names both.
pub(crate) fn check_rate(model: &AudioCodec, rate: u32, path: &Path) -> Result<()> {
    if rate == model.rate {
        return Ok(());
    }
    let (expected, got) = (grouped(model.rate.into()), grouped(rate.into()));
    Err(Error::data(
        path,
        "",
        format!("expected {expected} Hz, as the model was trained at, got {got} Hz: resample it"),
    ))
}

/// Refuses other channels than those of `what` (DRY or WET) that the model was trained with.
///
/// # Errors
/// [`Error::Data`] names both.
pub(crate) fn check_channels(what: &str, expected: usize, spec: WavSpec, path: &Path) -> Result<()> {
    let got = usize::from(spec.channels);
    if got == expected {
        return Ok(());
    }
    let (expected, got) = (channels(expected), channels(got));
    let message = format!("expected {expected}, as {what} of the training had, got {got}: split or mix them");
    Err(Error::data(path, "", message))
}

/// The number of places where a channel stays at full scale.
fn clipped(audio: &Audio) -> usize {
    let runs = |channel: ndarray::ArrayView1<'_, f32>| {
        let (mut run, mut count) = (0, 0);
        for sample in channel {
            run = if sample.abs() >= FULL { run + 1 } else { 0 };
            count += usize::from(run == CLIPPED);
        }
        count
    };
    audio.samples.columns().into_iter().map(runs).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::WavFormat;

    #[test]
    fn only_what_stays_at_full_scale_counts_as_clipped() {
        let spec = WavSpec { rate: 8000, channels: 2, format: WavFormat::Pcm16 };
        let samples =
            array![[1.0, 0.0], [-1.0, FULL], [FULL, 1.0], [1.0, 0.5], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0],];
        assert_eq!(clipped(&Audio { spec, samples }), 3);
    }
}
