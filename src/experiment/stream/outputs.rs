//! What the outputs of a network are in words and in the units of the data.

use ndarray::{Array2, ArrayView1};

use super::prediction::Cell;
use crate::Result;
use crate::data::{ColumnCodec, Vocabulary};
use crate::experiment::model::audio_codec::AudioCodec;
use crate::experiment::model::label_codec::{LabelCodec, most_probable};

/// What a prediction ŷ is, \[O\].
pub(super) enum Outputs {
    /// A class with the probability of each, or values.
    Labels(LabelCodec),
    /// Columns of a table.
    Columns(Vec<ColumnCodec>),
    /// Samples.
    Sound(AudioCodec),
    /// The probability of each key.
    Keys(Vec<String>),
    /// The next character.
    Next(Vocabulary),
}

impl Outputs {
    /// The names of the columns of a prediction.
    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Self::Labels(labels) => labels.columns(),
            Self::Columns(columns) => columns.iter().map(|column| format!("{}_estimate", column.name)).collect(),
            Self::Sound(codec) => AudioCodec::channels(&codec.wet),
            Self::Keys(names) => names.clone(),
            Self::Next(_) => ["next", "p"].map(str::to_owned).to_vec(),
        }
    }

    /// A prediction in these columns.
    pub(super) fn cells(&self, predicted: ArrayView1<'_, f32>) -> Result<Vec<Cell>> {
        let numbers = |numbers: &mut dyn Iterator<Item = String>| numbers.map(Cell::Number).collect();
        Ok(match self {
            Self::Labels(labels) => {
                let text = matches!(labels, LabelCodec::Classes(_));
                let cells = labels.cells(&labels.decode(predicted)).into_iter().enumerate();
                cells.map(|(at, cell)| if text && at == 0 { Cell::Text(cell) } else { Cell::Number(cell) }).collect()
            }
            Self::Columns(columns) => {
                let values = predicted.iter().zip(columns);
                numbers(&mut values.map(|(y, column)| column.scaling.unscale((*y).into()).to_string()))
            }
            Self::Sound(codec) => {
                let frame = Array2::from_shape_fn((1, predicted.len()), |(_, channel)| predicted[channel]);
                numbers(&mut codec.decode(frame.view()).iter().map(f32::to_string))
            }
            Self::Keys(_) => numbers(&mut predicted.iter().map(f32::to_string)),
            Self::Next(vocabulary) => {
                let shares: Vec<f64> = predicted.iter().map(|share| f64::from(*share)).collect();
                let next = most_probable(&shares);
                let token = vocabulary.decode(&[u32::try_from(next).unwrap_or(u32::MAX)])?;
                vec![Cell::character(&token), Cell::Number(predicted[next].to_string())]
            }
        })
    }
}
