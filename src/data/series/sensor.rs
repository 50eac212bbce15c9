//! A virtual sensor: columns of a table from other columns of the same row and of those before it.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::codec::{check_varies, width};
use super::encoded::scaled_columns;
use crate::data::{Column, ColumnCodec, DateOrder, DecimalMark, MissingPolicy, ScalingKind, Series, Signal};
use crate::error::{Error, Result};
use crate::model::Model;

/// Everything that is stored with a network's weights to estimate columns, the targets, from others of the same times,
/// the inputs.
///
/// A step has the inputs and then a mask for each of these that has one, 1 where the value exists and 0 where it is
/// missing. Its outputs are the targets, which are not inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorCodec {
    /// The name of the label column.
    pub label_name: String,
    /// The date order of the labels, if they are dates such as `5/3/2021`; other data are read in the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// The decimal mark of the file, if it was set or proved by a number; other files are read with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<DecimalMark>,
    /// How missing inputs are handled.
    pub missing: MissingPolicy,
    /// The targets; none has a mask.
    pub targets: Vec<ColumnCodec>,
    /// The inputs.
    pub now: Vec<ColumnCodec>,
    /// W: the number of rows that a row is estimated from, the last one its own; with `carry_state` that of a step of
    /// truncated BPTT.
    pub window: usize,
    /// Whether the rows are read from the first to the last with the state carried on.
    pub carry_state: bool,
}

impl SensorCodec {
    /// Fits to the rows before `train_end`. The targets of `inputs` are the inputs; `targets` have a value for each row,
    /// NaN if it is missing. `kind` returns the scaling of a column by name.
    ///
    /// # Errors
    /// [`Error::Value`] if the rows before `train_end` have no value of a column, or a target is constant in them.
    pub fn fit(
        inputs: &Series,
        targets: &[Column],
        train_end: usize,
        (window, carry_state): (usize, bool),
        kind: impl Fn(&str) -> ScalingKind,
    ) -> Result<Self> {
        let train_end = train_end.min(inputs.len());
        let fit = |column: &Column, masked: bool| ColumnCodec::fit(column, train_end, masked, kind(&column.name));
        targets.iter().try_for_each(|column| check_varies(column, train_end))?;
        let now = inputs.gaps().into_iter().map(|(column, gaps)| fit(column, gaps > 0)).collect::<Result<_>>()?;
        let codec = Self {
            label_name: inputs.label_name().into(),
            dates: inputs.dates(),
            decimal: inputs.decimal(),
            missing: inputs.missing(),
            targets: targets.iter().map(|column| fit(column, false)).collect::<Result<_>>()?,
            now,
            window,
            carry_state,
        };
        codec.validate()?;
        Ok(codec)
    }

    /// I.
    pub fn input_size(&self) -> usize {
        width(&self.now)
    }

    /// Refuses a codec that cannot be valid: no target or input, a target with a mask, an empty window or one beyond
    /// 2^24, or scalings that are not finite.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn validate(&self) -> Result<()> {
        if !(1..=Model::SIZE).contains(&self.window) {
            return Err(Error::value("window", format!("1 to {}", Model::SIZE), self.window));
        }
        for (what, columns) in [("the targets", &self.targets), ("the inputs", &self.now)] {
            if columns.is_empty() {
                return Err(Error::value(what, "at least one column", "none"));
            }
        }
        if self.targets.iter().any(|column| column.masked) {
            return Err(Error::value("the targets", "none with a mask", "one with a mask"));
        }
        self.targets.iter().chain(&self.now).try_for_each(ColumnCodec::validate)
    }

    /// Encodes inputs and targets as [`fit`](Self::fit) takes them.
    ///
    /// # Errors
    /// [`Error::Value`] for a missing value in an input without a mask, and a scaled value beyond f32.
    pub fn encode(&self, inputs: &Series, targets: &[Column]) -> Result<Signal> {
        self.validate()?;
        let rows = inputs.len();
        let x = scaled_columns(inputs, inputs.targets(), &self.now, rows)?;
        let mut y = Array2::zeros((rows, targets.len()));
        for (index, (column, codec)) in targets.iter().zip(&self.targets).enumerate() {
            for row in 0..rows {
                let (value, unit) = (column.values[row], codec.scaling.unit);
                let scaled = codec.scaling.scale(value) as f32;
                if scaled.is_infinite() {
                    let expected = format!("a number within f32 in units of {unit}");
                    return Err(Error::value(inputs.place(row, column), expected, value));
                }
                y[[row, index]] = scaled;
            }
        }
        Signal::new(x, y)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::{ColumnRoles, SeriesTable};

    const N: f64 = f64::NAN;

    fn column(name: &str, values: &[f64]) -> Column {
        Column { name: name.into(), values: values.to_vec() }
    }

    fn inputs(columns: &[Column]) -> Series {
        let roles = ColumnRoles {
            targets: columns.iter().map(|column| column.name.clone()).collect(),
            ..ColumnRoles::default()
        };
        let labels = (0..columns[0].values.len()).map(|row| row.to_string()).collect();
        let table = SeriesTable { label_name: "t".into(), labels, columns: columns.to_vec(), ..SeriesTable::default() };
        Series::new(table, &roles, MissingPolicy::Mask).unwrap()
    }

    fn fit(inputs: &Series, targets: &[Column]) -> Result<SensorCodec> {
        SensorCodec::fit(inputs, targets, 3, (4, false), |_| ScalingKind::MinMax)
    }

    #[test]
    fn inputs_and_targets_of_a_row_are_scaled_by_the_training_rows_and_missing_ones_marked() {
        let inputs = inputs(&[column("a", &[0.0, 2.0, 4.0, 8.0]), column("b", &[1.0, N, 3.0, N])]);
        let targets = [column("y", &[N, 10.0, 20.0, 40.0])];
        let codec = fit(&inputs, &targets).unwrap();
        assert_eq!(codec.input_size(), 3);
        let signal = codec.encode(&inputs, &targets).unwrap();
        // a, b, and the mask of b.
        assert_eq!(signal.x(), array![[0.0, 0.0, 1.0], [0.5, 0.0, 0.0], [1.0, 1.0, 1.0], [2.0, 0.0, 0.0]]);
        assert_eq!(signal.y(), array![[0.0], [0.0], [1.0], [3.0]]);
        assert_eq!([0, 1].map(|row| signal.is_known(row)), [false, true]);
        let json = serde_json::to_string(&codec).unwrap();
        assert_eq!(serde_json::from_str::<SensorCodec>(&json).unwrap(), codec);
    }

    #[test]
    fn a_column_that_cannot_be_fitted_and_a_value_that_cannot_be_scaled_are_refused_by_name() {
        let known = inputs(&[column("a", &[1.0, 2.0, 3.0, 4.0])]);
        let error = |inputs: &Series, values: &[f64]| fit(inputs, &[column("y", values)]).unwrap_err().to_string();
        let what = "the training split of column \"y\": expected values";
        assert_eq!(error(&known, &[N, N, N, 4.0]), format!("{what}, got none in 3 rows"));
        assert_eq!(error(&known, &[N, 2.0, 2.0, 4.0]), format!("{what} that differ, got only 2 in 3 rows"));
        let late = inputs(&[column("a", &[N, N, N, 4.0])]);
        assert!(error(&late, &[1.0, 2.0, 3.0, 4.0]).contains("column \"a\": expected values, got none in 3 rows"));
        let targets = [column("y", &[1.0, 2.0, 3.0, 1e39])];
        let refused = fit(&known, &targets).unwrap().encode(&known, &targets).unwrap_err().to_string();
        let expected = format!("row 4 (\"3\"), column \"y\": expected a number within f32 in units of 2, got {}", 1e39);
        assert_eq!(refused, expected);
        for window in [0, usize::MAX] {
            let fitted = SensorCodec::fit(&known, &targets, 4, (window, true), |_| ScalingKind::None);
            assert!(fitted.unwrap_err().to_string().starts_with("window: expected 1 to"));
        }
    }
}
