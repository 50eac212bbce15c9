//! Weights in fewer bits.

use half::f16;
use ndarray::{ArrayD, Axis, Ix2};

use crate::error::{Error, Result};
use crate::model::{Layout, Model, Role, StateDict};

/// How a header stores the weights. Biases are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightFormat {
    /// 4 bytes: as trained.
    #[default]
    F32,
    /// 2 bytes: IEEE half precision, a relative error of at most 2⁻¹¹; below 2⁻¹⁴ an absolute one of at most 2⁻²⁵.
    F16,
    /// 1 byte: whole numbers from −127 to 127 times a scale in f32 for each row, the largest magnitude of the row over
    /// 127. A row is the weights of one sum of a gate, of one number of a projected h, of one output, or of one token.
    Int8,
}

impl WeightFormat {
    /// Its name: `f32`, `f16`, `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

/// A row of a matrix in int8: the scale and the numbers. A row of zeros has the scale 0.
pub(super) fn quantised(row: &[f32]) -> (f32, Vec<i8>) {
    let most = row.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let scale = most / 127.0;
    // The least magnitudes of f32 have no quotient.
    if scale == 0.0 {
        return (0.0, vec![0; row.len()]);
    }
    (scale, row.iter().map(|weight| (weight / scale).round().clamp(-127.0, 127.0) as i8).collect())
}

/// A weight in f16.
///
/// # Errors
/// [`Error::Value`] names the tensor if the weight is beyond 65,504.
pub(super) fn halved(weight: f32, tensor: &str) -> Result<f16> {
    let half = f16::from_f32(weight);
    if half.is_finite() {
        return Ok(half);
    }
    Err(Error::value(tensor, "weights within ±65504 for f16; use f32 or int8", weight))
}

/// The weights that a header with this format computes with, in f32 and in the layout of `model`. With `tokens` and no
/// embedding, a column of the first layer's W_ih is a token's and is rounded as a row.
///
/// # Errors
/// [`Error::StateDict`] if the weights are not those of the model, [`Error::Value`] for a weight that is not finite or
/// beyond f16.
pub fn rounded(model: &Model, dict: &StateDict, format: WeightFormat, tokens: bool) -> Result<StateDict> {
    let layout = Layout::new(model);
    let mut block = layout.to_block(dict)?;
    for tensor in layout.tensors() {
        let values = &mut block[tensor.range()];
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::value(&tensor.name, "finite weights", value));
        }
        let &[rows, columns] = &tensor.shape[..] else { continue };
        let by_column = by_column(model, tensor.role, tokens);
        match format {
            WeightFormat::F32 => {}
            WeightFormat::F16 => {
                for value in values.iter_mut() {
                    *value = halved(*value, &tensor.name)?.to_f32();
                }
            }
            WeightFormat::Int8 if by_column => {
                for column in 0..columns {
                    let places = || (0..rows).map(|row| row * columns + column);
                    let (scale, whole) = quantised(&places().map(|place| values[place]).collect::<Vec<_>>());
                    places().zip(whole).for_each(|(place, whole)| values[place] = scale * f32::from(whole));
                }
            }
            WeightFormat::Int8 => {
                for row in values.chunks_exact_mut(columns) {
                    let (scale, whole) = quantised(row);
                    row.iter_mut().zip(whole).for_each(|(value, whole)| *value = scale * f32::from(whole));
                }
            }
        }
    }
    Ok(layout.to_state_dict(&block))
}

/// Whether a header has the columns of a matrix as rows: those of tokens without an embedding.
pub(super) fn by_column(model: &Model, role: Role, tokens: bool) -> bool {
    tokens && model.embedding.is_none() && role == Role::WeightIh { layer_direction: 0 }
}

/// The rows of a matrix one after the other, or its columns.
pub(super) fn rows_of(array: &ArrayD<f32>, by_column: bool) -> Vec<Vec<f32>> {
    match array.view().into_dimensionality::<Ix2>() {
        Ok(matrix) => matrix.axis_iter(Axis(usize::from(by_column))).map(|row| row.to_vec()).collect(),
        Err(_) => vec![array.iter().copied().collect()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Head, Loss, Readout, Recurrent};

    #[test]
    fn a_row_of_int8_is_within_half_a_step_of_its_largest_weight_over_127() {
        let row = [0.5, -1.27, 0.004, 0.006, 0.0];
        let (scale, whole) = quantised(&row);
        assert_eq!(whole, [50, -127, 0, 1, 0]);
        assert!((scale - 0.01).abs() < 1e-8);
        assert_eq!(quantised(&[0.0, 0.0]), (0.0, vec![0, 0]));
        assert_eq!(quantised(&[1e-45]), (0.0, vec![0]));
    }

    #[test]
    fn tokens_are_rounded_by_column_and_biases_stay() {
        let model = Model::new(Recurrent::new(Cell::Gru, 3, 2), Head::new(3, Loss::CrossEntropy, Readout::PerStep));
        let layout = Layout::new(&model);
        let block: Vec<f32> = (0..layout.len()).map(|i| ((i * 7 % 11) as f32 - 5.0) * 0.37).collect();
        let dict = layout.to_state_dict(&block);
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        for tokens in [false, true] {
            let whole = rounded(&model, &dict, WeightFormat::Int8, tokens).unwrap();
            for (name, array) in dict.iter() {
                let is_by_column = tokens && name == "rnn.weight_ih_l0";
                let (rows, got) = (rows_of(array, is_by_column), rows_of(whole.get(name).unwrap(), is_by_column));
                for (row, got) in rows.iter().zip(&got) {
                    let step = if array.ndim() == 2 { largest(row) / 127.0 } else { 0.0 };
                    assert!(row.iter().zip(got).all(|(a, b)| (a - b).abs() <= 0.5001 * step), "{name}");
                }
            }
        }
        let halves = rounded(&model, &dict, WeightFormat::F16, true).unwrap();
        assert!(halves.iter().zip(dict.iter()).all(|((_, a), (name, b))| {
            a.iter().zip(b).all(|(a, b)| if name.contains("bias") { a == b } else { *a == f16::from_f32(*b).to_f32() })
        }));
        assert_eq!(rounded(&model, &dict, WeightFormat::F32, true).unwrap(), dict);
    }

    #[test]
    fn weights_that_a_format_does_not_have_are_refused_by_name() {
        let model = Model::headless(Recurrent::new(Cell::Gru, 1, 1));
        let layout = Layout::new(&model);
        let refused = |value: f32, format| {
            let dict = layout.to_state_dict(&vec![value; layout.len()]);
            rounded(&model, &dict, format, false).unwrap_err().to_string()
        };
        assert!(refused(1e5, WeightFormat::F16).contains("rnn.weight_ih_l0: expected weights within ±65504 for f16"));
        assert!(refused(f32::NAN, WeightFormat::F32).contains("rnn.weight_ih_l0: expected finite weights"));
    }
}
