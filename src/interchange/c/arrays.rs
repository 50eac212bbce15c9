//! The weights as arrays of C.

use std::io::{self, Write};

use ndarray::ArrayD;

use super::names::float;
use super::rounding::{WeightFormat, by_column, halved, quantised, rows_of};
use crate::error::{Error, Result};
use crate::model::{Cell, Layout, Model, Role, StateDict, Tensor};

/// A matrix of a header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    /// The name behind the prefix, such as `w_ih_l0`.
    pub(super) symbol: String,
    role: Role,
    /// The name of the tensor.
    tensor: String,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether it is stored column by column; `rows` and `columns` are those of the header.
    by_column: bool,
}

/// A bias of a header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bias {
    pub(super) symbol: String,
    pub(super) values: Vec<f32>,
}

/// The matrices of a model, in the order of its parameters.
pub(super) fn matrices(model: &Model, tokens: bool) -> Vec<Matrix> {
    let layout = Layout::new(model);
    layout.tensors().iter().filter_map(|tensor| matrix(model, tensor, tokens)).collect()
}

fn matrix(model: &Model, tensor: &Tensor, tokens: bool) -> Option<Matrix> {
    let symbol = match tensor.role {
        Role::Embedding => "vectors".to_owned(),
        Role::WeightIh { layer_direction } => format!("w_ih_l{layer_direction}"),
        Role::WeightHh { layer_direction } => format!("w_hh_l{layer_direction}"),
        Role::WeightHr { layer_direction } => format!("w_hr_l{layer_direction}"),
        Role::HeadWeight => "w_y".to_owned(),
        Role::BiasIh { .. } | Role::BiasHh { .. } | Role::CellParameter { .. } | Role::HeadBias => return None,
    };
    let &[rows, columns] = &tensor.shape[..] else { return None };
    let by_column = by_column(model, tensor.role, tokens);
    let (rows, columns) = if by_column { (columns, rows) } else { (rows, columns) };
    Some(Matrix { symbol, role: tensor.role, tensor: tensor.name.clone(), rows, columns, by_column })
}

/// The biases of a model: those of both products together, except for the gate of a GRU that has r between them.
///
/// # Errors
/// [`Error::StateDict`] if the weights are not those of the model.
pub(super) fn biases(model: &Model, dict: &StateDict) -> Result<Vec<Bias>> {
    let layout = Layout::new(model);
    let arrays = layout.arrays(dict)?;
    let array = |role: Role| {
        let index = layout.tensors().iter().position(|tensor| tensor.role == role)?;
        Some(arrays[index].iter().copied().collect::<Vec<f32>>())
    };
    let r = &model.recurrent;
    let mut biases = Vec::new();
    for layer_direction in 0..r.num_layer_directions() {
        let of_input = array(Role::BiasIh { layer_direction });
        let Some((mut sums, hh)) = of_input.zip(array(Role::BiasHh { layer_direction })) else { continue };
        let apart = if r.cell == Cell::Gru { 2 * r.hidden_size } else { sums.len() };
        let both = sums.iter_mut().zip(&hh).take(apart);
        both.for_each(|(sum, hh)| *sum = (f64::from(*sum) + f64::from(*hh)) as f32);
        biases.push(Bias { symbol: format!("b_l{layer_direction}"), values: sums });
        if apart < hh.len() {
            biases.push(Bias { symbol: format!("b_hn_l{layer_direction}"), values: hh[apart..].to_vec() });
        }
    }
    biases.extend(array(Role::HeadBias).map(|values| Bias { symbol: "b_y".into(), values }));
    Ok(biases)
}

impl Matrix {
    /// Whether it has this role.
    pub(super) fn is(&self, role: Role) -> bool {
        self.role == role
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self, format: WeightFormat) -> u64 {
        let weights = (self.rows * self.columns) as u64;
        match format {
            WeightFormat::F32 => 4 * weights,
            WeightFormat::F16 => 2 * weights,
            WeightFormat::Int8 => weights + 4 * self.rows as u64,
        }
    }

    /// Writes the array, in int8 with the scales.
    ///
    /// # Errors
    /// [`Error::Value`] for a weight that the format does not have; [`Error::Io`], without a file name, if `to` fails.
    pub(super) fn write(
        &self,
        prefix: &str,
        layout: &Layout,
        dict: &StateDict,
        format: WeightFormat,
        to: &mut impl Write,
    ) -> Result<()> {
        let arrays = layout.arrays(dict)?;
        let index = layout.tensors().iter().position(|tensor| tensor.role == self.role);
        let Some(array): Option<&ArrayD<f32>> = index.and_then(|index| arrays.get(index).copied()) else {
            return Err(Error::Unsupported(format!("the model has no tensor {}", self.tensor)));
        };
        let rows = rows_of(array, self.by_column);
        let values = || rows.iter().flatten().copied();
        if let Some(value) = values().find(|value| !value.is_finite()) {
            return Err(Error::value(&self.tensor, "finite weights", value));
        }
        let name = format!("{prefix}_{}", self.symbol);
        let shape = format!("{} rows of {}", self.rows, self.columns);
        match format {
            WeightFormat::F32 => put(to, "float", &name, self.rows * self.columns, &shape, values().map(float)),
            WeightFormat::F16 => {
                let halves = values().map(|weight| Ok(halved(weight, &self.tensor)?.to_bits().to_string()));
                let halves = halves.collect::<Result<Vec<String>>>()?;
                put(to, "uint16_t", &name, halves.len(), &shape, halves.into_iter())
            }
            WeightFormat::Int8 => {
                let quantised: Vec<(f32, Vec<i8>)> = rows.iter().map(|row| quantised(row)).collect();
                let whole = quantised.iter().flat_map(|(_, whole)| whole.iter().map(i8::to_string));
                put(to, "int8_t", &name, self.rows * self.columns, &shape, whole)?;
                let scales = quantised.iter().map(|(scale, _)| float(*scale));
                put(to, "float", &format!("{name}_scale"), self.rows, "one for each row", scales)
            }
        }
    }
}

/// Writes a constant array, with a comment.
///
/// # Errors
/// [`Error::Io`], without a file name, if `to` fails.
pub(super) fn put(
    to: &mut impl Write,
    kind: &str,
    name: &str,
    length: usize,
    comment: &str,
    numbers: impl Iterator<Item = String>,
) -> Result<()> {
    const WIDTH: usize = 100;
    let write = || -> io::Result<()> {
        write!(to, "/* {comment} */\nstatic const {kind} {name}[{length}] = {{")?;
        let mut column = usize::MAX;
        for number in numbers {
            if column.saturating_add(number.len()) > WIDTH {
                write!(to, "\n   ")?;
                column = 3;
            }
            write!(to, " {number},")?;
            column += number.len() + 2;
        }
        writeln!(to, "\n}};")
    };
    write().map_err(unwritten)
}

/// The error of a writer, whose file the caller knows.
pub(super) fn unwritten(source: io::Error) -> Error {
    Error::Io { path: "the header".into(), source }
}
