//! A series as the inputs of a network.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::data::{Column, ColumnCodec, Frame, Series, SeriesCodec, list_names};
use crate::error::{Error, Result};

/// A series in scaled units; [`SeriesCodec`] defines the order of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedSeries {
    pub(super) codec: SeriesCodec,
    pub(super) series: Series,
    /// Targets, features and their masks: \[rows, inputs\].
    pub(super) past: Array2<f32>,
    /// The known columns and their masks, as far as all of them are known: \[rows, inputs\].
    pub(super) known: Array2<f32>,
}

impl EncodedSeries {
    /// The series in the units of the data.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The codec that encoded it.
    pub fn codec(&self) -> &SeriesCodec {
        &self.codec
    }

    /// Writes x, \[W, I\], of the example whose first predicted row is `first`. `past` are the targets and features of
    /// the W rows before it.
    pub(super) fn write_inputs(&self, past: ArrayView2<'_, f32>, first: usize, mut x: ArrayViewMut2<'_, f32>) {
        let Frame { window, horizon } = self.codec.frame;
        let width = past.ncols();
        x.slice_mut(s![.., ..width]).assign(&past);
        if self.known.ncols() > 0 {
            let known = self.known.slice(s![first + horizon - window..first + horizon, ..]);
            x.slice_mut(s![.., width..]).assign(&known);
        }
    }
}

impl SeriesCodec {
    /// Encodes `series`.
    ///
    /// # Errors
    /// [`Error::Value`] if it has other columns, a missing value in a column without a mask, or a scaled value beyond
    /// f32.
    pub fn encode(&self, series: Series) -> Result<Arc<EncodedSeries>> {
        self.validate()?;
        let pairs =
            [(series.targets(), &self.targets), (series.features(), &self.features), (series.known(), &self.known)];
        for (columns, codecs) in pairs {
            if !columns.iter().map(|column| &column.name).eq(codecs.iter().map(|codec| &codec.name)) {
                let expected = list_names(self.roles().columns());
                let got = list_names(series.columns().map(|column| column.name.as_str()));
                return Err(Error::value("the columns of the series", expected, got));
            }
        }
        let past: Vec<_> =
            series.targets().iter().chain(series.features()).zip(self.targets.iter().chain(&self.features)).collect();
        let known: Vec<_> = series.known().iter().zip(&self.known).collect();
        let known_rows = known.iter().map(|(column, _)| column.values.len()).min().unwrap_or_default();
        let (past, known) = (scaled(&series, &past, series.len())?, scaled(&series, &known, known_rows)?);
        Ok(Arc::new(EncodedSeries { codec: self.clone(), series, past, known }))
    }
}

/// Values, then masks: \[rows, inputs\].
fn scaled(series: &Series, columns: &[(&Column, &ColumnCodec)], rows: usize) -> Result<Array2<f32>> {
    let masks = columns.iter().filter(|(_, codec)| codec.masked).count();
    let mut inputs = Array2::zeros((rows, columns.len() + masks));
    let mut mask = columns.len();
    for (index, (column, codec)) in columns.iter().enumerate() {
        for (row, value) in column.values[..rows].iter().enumerate() {
            let scaled = codec.scaling.scale(*value) as f32;
            if value.is_nan() && !codec.masked {
                let expected = "a value, as this column always had when the network was trained";
                return Err(Error::value(series.place(row, column), expected, "a missing value"));
            }
            if !value.is_nan() && !scaled.is_finite() {
                let expected = format!("a number within f32 in units of {}", codec.scaling.unit);
                return Err(Error::value(series.place(row, column), expected, value));
            }
            inputs[[row, index]] = if value.is_nan() { 0.0 } else { scaled };
        }
        if codec.masked {
            let present = column.values[..rows].iter().map(|value| f32::from(u8::from(!value.is_nan())));
            inputs.slice_mut(s![.., mask]).iter_mut().zip(present).for_each(|(input, present)| *input = present);
            mask += 1;
        }
    }
    Ok(inputs)
}
