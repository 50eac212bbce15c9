//! The inputs of a step from the fields of a line.

use ndarray::Array2;

use super::fields::{Fields, Line};
use crate::data::{ColumnCodec, DecimalMark, MissingPolicy, Scaling, SensorCodec};
use crate::experiment::config::MissingName;
use crate::experiment::model::audio_codec::AudioCodec;
use crate::experiment::model::sequences_codec::SequencesCodec;

/// How numbers become inputs.
enum Encoding {
    /// Scaled column by column, and a mask for each column that has one: `missing`, 0 or 1, for a missing value, and the
    /// other for one that is there.
    Columns { columns: Vec<ColumnCodec>, missing: u8 },
    /// Samples of each channel.
    Audio(AudioCodec),
}

/// The numbers of lines as inputs of a network.
pub(super) struct Numbers {
    fields: Fields,
    encoding: Encoding,
    missing: MissingPolicy,
    /// The value of each column in the line before; NaN at the beginning.
    last: Vec<f64>,
}

impl Numbers {
    fn new(names: Vec<String>, decimal: Option<DecimalMark>, encoding: Encoding, missing: MissingPolicy) -> Self {
        let last = vec![f64::NAN; names.len()];
        Self { fields: Fields::new(names, decimal.unwrap_or(DecimalMark::Point)), encoding, missing, last }
    }

    /// The columns of a sensor.
    pub(super) fn of_sensor(codec: &SensorCodec, decimal: Option<DecimalMark>) -> Self {
        let names = codec.now.iter().map(|column| column.name.clone()).collect();
        let encoding = Encoding::Columns { columns: codec.now.clone(), missing: 0 };
        Self::new(names, decimal.or(codec.decimal), encoding, codec.missing)
    }

    /// The dimensions of labelled sequences.
    pub(super) fn of_sequences(codec: &SequencesCodec, decimal: Option<DecimalMark>) -> Self {
        let names = codec.names();
        let (missing, masked) = match codec.missing {
            MissingName::Error => (MissingPolicy::Refuse, false),
            MissingName::Ffill => (MissingPolicy::Forward, false),
            MissingName::Mask => (MissingPolicy::Mask, true),
        };
        let column =
            |(name, scaling): (&String, &Scaling)| ColumnCodec { name: name.clone(), scaling: *scaling, masked };
        let columns = names.iter().zip(&codec.scaling).map(column).collect();
        Self::new(names, decimal.or(codec.decimal), Encoding::Columns { columns, missing: 1 }, missing)
    }

    /// The channels of sound.
    pub(super) fn of_audio(codec: &AudioCodec, decimal: Option<DecimalMark>) -> Self {
        Self::new(AudioCodec::channels(&codec.dry), decimal, Encoding::Audio(codec.clone()), MissingPolicy::Refuse)
    }

    /// Columns that are inputs as they are.
    pub(super) fn plain(names: &[&str], decimal: Option<DecimalMark>) -> Self {
        let column = |name: &&str| ColumnCodec {
            name: (*name).to_owned(),
            scaling: Scaling { offset: 0.0, unit: 1.0 },
            masked: false,
        };
        let names_of = names.iter().map(|name| (*name).to_owned()).collect();
        let encoding = Encoding::Columns { columns: names.iter().map(column).collect(), missing: 0 };
        Self::new(names_of, decimal, encoding, MissingPolicy::Refuse)
    }

    /// How the lines are read.
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// Whether a blank line could be meant for a missing value: that of a single column.
    pub(super) fn could_be_blank(&self) -> bool {
        self.last.len() == 1 && self.missing != MissingPolicy::Refuse
    }

    /// Forgets the values of the lines before.
    pub(super) fn reset(&mut self) {
        self.last.fill(f64::NAN);
    }

    /// The inputs of a line, \[I\]; `None` for one with names. Otherwise what was expected and what came.
    pub(super) fn read(&mut self, line: &str) -> Result<Option<Vec<f32>>, String> {
        let Line::Cells(cells, mark) = self.fields.read(line)? else { return Ok(None) };
        let mut values = Vec::with_capacity(cells.len());
        for ((cell, last), name) in cells.iter().zip(&self.last).zip(self.fields.names()) {
            let number = mark.number(cell).map_err(|(expected, got)| refused(name, &expected, &got))?;
            let last = Some(*last).filter(|last| !last.is_nan());
            let number = match number {
                Some(number) => number,
                None => self.missing.stand_in(last).map_err(|expected| refused(name, expected, "a missing value"))?,
            };
            values.push(number);
        }
        let inputs = self.encode(&values)?;
        self.last = values;
        Ok(Some(inputs))
    }

    fn encode(&self, values: &[f64]) -> Result<Vec<f32>, String> {
        match &self.encoding {
            Encoding::Columns { columns, missing } => {
                let mut inputs = Vec::with_capacity(2 * columns.len());
                for (column, value) in columns.iter().zip(values) {
                    let input = column.input(*value);
                    inputs.push(input.map_err(|(expected, got)| refused(&column.name, &expected, &got))?);
                }
                let masked = columns.iter().zip(values).filter(|(column, _)| column.masked);
                inputs.extend(masked.map(|(_, value)| f32::from(if value.is_nan() { *missing } else { 1 - missing })));
                Ok(inputs)
            }
            Encoding::Audio(codec) => {
                let sample = |(value, name): (&f64, &String)| {
                    let sample = Some(*value as f32).filter(|sample| sample.is_finite());
                    sample.ok_or_else(|| refused(name, "a sample within f32", &value.to_string()))
                };
                let samples = values.iter().zip(self.fields.names()).map(sample).collect::<Result<_, String>>()?;
                let frame = Array2::from_shape_vec((1, values.len()), samples).map_err(|error| error.to_string())?;
                let (inputs, _) = codec.encode(frame).into_raw_vec_and_offset();
                Ok(inputs)
            }
        }
    }
}

fn refused(name: &str, expected: &str, got: &str) -> String {
    format!("{name:?}: expected {expected}, got {got}")
}
