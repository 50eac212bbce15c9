//! What is stored with the weights of a network that turns one sound into another.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::data::Audio;
use crate::{Error, Layout, Model, Result, Role, StateDict};

/// The rate and the levels of the sounds that a network was trained on. A step is a frame; its inputs and outputs are
/// the channels, in units of their root mean square over the training split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AudioCodec {
    /// Frames per second.
    pub rate: u32,
    /// The level of each channel that is read; 1 for one that is silent.
    pub dry: Vec<f64>,
    /// The level of each channel that is made.
    pub wet: Vec<f64>,
}

impl AudioCodec {
    /// Fits to recordings, of which the first `train_end` frames are for training.
    ///
    /// # Errors
    /// [`Error::Value`] if all channels of either are silent there.
    pub(crate) fn fit(dry: &Audio, wet: &Audio, train_end: usize) -> Result<Self> {
        let levels = |what: &str, audio: &Audio| -> Result<Vec<f64>> {
            let level = |channel: ndarray::ArrayView1<'_, f32>| {
                let squares = channel.iter().take(train_end).map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
                Some((squares / train_end.max(1) as f64).sqrt()).filter(|level| *level > 0.0)
            };
            let levels: Vec<Option<f64>> = audio.samples.columns().into_iter().map(level).collect();
            if levels.iter().all(Option::is_none) {
                let what = format!("the training split of {what}, {train_end} frames");
                return Err(Error::Value { what, expected: "a sound".into(), got: "silence".into() });
            }
            Ok(levels.into_iter().map(|level| level.unwrap_or(1.0)).collect())
        };
        Ok(Self { rate: dry.spec.rate, dry: levels("DRY", dry)?, wet: levels("WET", wet)? })
    }

    /// Refuses a codec without channels, or with levels that are none.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub(crate) fn validate(&self) -> Result<()> {
        for (what, levels) in [("the dry channels", &self.dry), ("the wet channels", &self.wet)] {
            let refused = |got| Err(Error::Value { what: what.into(), expected: "levels above 0".into(), got });
            if levels.is_empty() {
                return refused("none".into());
            }
            if let Some(level) = levels.iter().find(|level| !(level.is_finite() && **level > 0.0)) {
                return refused(level.to_string());
            }
        }
        Ok(())
    }

    /// The names of channels, by their levels.
    pub(crate) fn channels(levels: &[f64]) -> Vec<String> {
        (1..=levels.len()).map(|channel| format!("channel {channel}")).collect()
    }

    /// Frames in the network's units, \[frames, channels\].
    pub(crate) fn encode(&self, mut dry: Array2<f32>) -> Array2<f32> {
        scale(&mut dry, self.dry.iter().map(|level| 1.0 / level));
        dry
    }

    /// The weights of a network that reads and makes samples, full scale being 1, instead of numbers in units of the levels:
    /// those of the first layer are divided by the levels of what it reads, those of the head multiplied by those of what
    /// it makes.
    ///
    /// # Errors
    /// [`Error::StateDict`] if the weights are not those of the model.
    pub fn of_samples(&self, model: &Model, weights: &StateDict) -> Result<StateDict> {
        let layout = Layout::new(model);
        let mut block: Vec<f32> = layout.to_block(weights)?;
        for tensor in layout.tensors() {
            let values = block[tensor.range()].iter_mut().zip(0..);
            match tensor.role {
                Role::WeightIh { layer_direction } if layer_direction < model.recurrent.directions() => {
                    values.for_each(|(value, index): (&mut f32, usize)| {
                        *value = (f64::from(*value) / self.dry[index % self.dry.len()]) as f32;
                    });
                }
                Role::HeadWeight | Role::HeadBias => {
                    let columns = tensor.len() / self.wet.len();
                    values.for_each(|(value, index): (&mut f32, usize)| {
                        *value = (f64::from(*value) * self.wet[index / columns]) as f32;
                    });
                }
                _ => {}
            }
        }
        Ok(layout.to_state_dict(&block))
    }

    /// The targets in the network's units, likewise.
    pub(crate) fn encode_wet(&self, mut wet: Array2<f32>) -> Array2<f32> {
        scale(&mut wet, self.wet.iter().map(|level| 1.0 / level));
        wet
    }

    /// The network's outputs as sound.
    pub(crate) fn decode(&self, outputs: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut wet = outputs.to_owned();
        scale(&mut wet, self.wet.iter().copied());
        wet
    }
}

/// Multiplies each channel by its factor.
fn scale(samples: &mut Array2<f32>, factors: impl Iterator<Item = f64>) {
    for (mut channel, factor) in samples.columns_mut().into_iter().zip(factors) {
        channel.mapv_inplace(|sample| (f64::from(sample) * factor) as f32);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::{WavFormat, WavSpec};

    #[test]
    fn channels_are_in_units_of_their_level_in_training_and_silence_is_refused() {
        let spec = WavSpec { rate: 8000, channels: 2, format: WavFormat::Pcm16 };
        let dry = Audio { spec, samples: array![[0.3, 0.0], [-0.4, 0.0], [0.9, 0.5]] };
        let wet = Audio { spec, samples: array![[1.0, 0.5], [1.0, -0.5], [0.0, 0.0]] };
        let codec = AudioCodec::fit(&dry, &wet, 2).unwrap();
        assert_eq!((codec.rate, &codec.wet, codec.dry[1]), (8000, &vec![1.0, 0.5], 1.0));
        assert!((codec.dry[0] - 0.125f64.sqrt()).abs() < 1e-8);
        let encoded = codec.encode(dry.samples.clone());
        assert!((encoded[[0, 0]] - 0.3 / 0.125f32.sqrt()).abs() < 1e-6 && encoded[[2, 1]] == 0.5);
        assert_eq!(codec.decode(codec.encode_wet(wet.samples.clone()).view()), wet.samples);
        let silent = Audio { spec, samples: Array2::zeros((3, 2)) };
        let error = AudioCodec::fit(&dry, &silent, 2).unwrap_err().to_string();
        assert_eq!(error, "the training split of WET, 2 frames: expected a sound, got silence");
        assert!(codec.validate().is_ok());
        for wet in [vec![], vec![0.0], vec![f64::NAN]] {
            assert!(AudioCodec { wet, ..codec.clone() }.validate().is_err());
        }
    }

    #[test]
    fn weights_of_samples_make_the_same_sound_without_a_scaling() {
        use crate::{
            Backend, Cell, Cpu, Direction, EngineOptions, Head, Inference, Loss, Parameters, Readout, Recurrent,
        };
        let codec = AudioCodec { rate: 8000, dry: vec![0.25, 3.0], wet: vec![0.5, 7.0] };
        let recurrent = Recurrent::new(Cell::Gru, 2, 3).layers(2).direction(Direction::Both);
        let model = Model::new(recurrent, Head::new(2, Loss::SquaredError, Readout::PerStep));
        let layout = Layout::new(&model);
        let block: Vec<f32> = (0..layout.len()).map(|i| ((i * 7 % 13) as f32 - 6.0) * 0.07).collect();
        let samples = Array2::from_shape_fn((5, 2), |(t, channel)| 0.1 * (t * 2 + channel) as f32 - 0.4);
        let made = |block: &[f32], x: Array2<f32>| {
            let mut engine = Cpu::<f32>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
            engine.set_parameters(block).unwrap();
            let sequence = crate::Sequence::dense(x.insert_axis(ndarray::Axis(1)));
            let logits = crate::block_on(engine.logits(&sequence)).unwrap().logits;
            logits.index_axis(ndarray::Axis(1), 0).to_owned()
        };
        let want = codec.decode(made(&block, codec.encode(samples.clone())).view());
        let weights = codec.of_samples(&model, &layout.to_state_dict(&block)).unwrap();
        let got = made(&layout.to_block(&weights).unwrap(), samples);
        let error = (&got - &want).iter().fold(0.0_f32, |most, error| most.max(error.abs()));
        assert!(error < 1e-5, "{got} {want}");
    }
}
