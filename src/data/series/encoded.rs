//! A series as the inputs of a network.

use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut1, ArrayViewMut2, s};

use crate::data::{Column, ColumnCodec, Frame, Scaling, Series, SeriesCodec, list_names};
use crate::error::{Error, Result};

/// A series with what encodes it; [`SeriesCodec`] defines the order of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedSeries {
    pub(super) codec: SeriesCodec,
    pub(super) series: Series,
    /// The features in scaled units, then their masks: \[rows, inputs\].
    features: Array2<f32>,
    /// The known columns and their masks, likewise, as far as all of them are known.
    known: Array2<f32>,
}

/// The rows that a forecast of one member reads.
pub(super) struct Window<'a> {
    /// The first predicted row.
    first: usize,
    /// The W values before it of each target of the member; NaN if missing.
    pub(super) shown: Vec<&'a [f64]>,
    /// How each is scaled, in the window and in its forecast.
    pub(super) scalings: Vec<Scaling>,
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

    /// The window of a member before row `first`.
    pub(super) fn window(&self, member: usize, first: usize) -> Window<'_> {
        let rows = first - self.codec.frame.window..first;
        self.window_of(member, first, |target| &self.series.targets()[target].values[rows.clone()])
    }

    /// The same with these W values of each target.
    pub(super) fn window_of<'a>(&self, member: usize, first: usize, shown: impl Fn(usize) -> &'a [f64]) -> Window<'a> {
        let targets = self.codec.targets_of(member);
        let shown: Vec<&[f64]> = targets.clone().map(shown).collect();
        let columns = self.codec.targets[targets].iter().zip(&shown);
        let scalings = columns.map(|(column, shown)| self.codec.relative.scaling(column.scaling, shown)).collect();
        Window { first, shown, scalings }
    }

    /// Writes x, \[W / N, I\], of a window.
    pub(super) fn write_inputs(&self, window: &Window<'_>, mut x: ArrayViewMut2<'_, f32>) {
        let Frame { window: rows, horizon } = self.codec.frame;
        let past = self.codec.row_size() - self.known.ncols();
        let mut row = 0;
        for mut step in x.rows_mut() {
            for mut inputs in step.exact_chunks_mut(self.codec.row_size()) {
                self.write_past(window, row, inputs.slice_mut(s![..past]));
                if self.known.ncols() > 0 {
                    inputs.slice_mut(s![past..]).assign(&self.known.row(window.first + horizon - rows + row));
                }
                row += 1;
            }
        }
    }

    /// Writes the targets, the features and their masks of a row of a window.
    fn write_past(&self, window: &Window<'_>, row: usize, mut inputs: ArrayViewMut1<'_, f32>) {
        let (targets, features) = (window.shown.len(), self.codec.features.len());
        let mut mask = targets + features;
        for (target, (shown, scaling)) in window.shown.iter().zip(&window.scalings).enumerate() {
            let value = shown[row];
            inputs[target] = in_units(*scaling, value);
            // All targets of a member or none: the codec of a panel gives them a mask alike.
            if self.codec.targets[target].masked {
                inputs[mask] = f32::from(u8::from(!value.is_nan()));
                mask += 1;
            }
        }
        if features > 0 {
            let of = self.features.row(window.first - self.codec.frame.window + row);
            inputs.slice_mut(s![targets..targets + features]).assign(&of.slice(s![..features]));
            inputs.slice_mut(s![mask..]).assign(&of.slice(s![features..]));
        }
    }

    /// Target values of a forecast from row `first` on in the units of a window: \[K·Q\].
    pub(super) fn scale_targets<'a>(
        &'a self,
        member: usize,
        window: &'a Window<'_>,
    ) -> impl Iterator<Item = f32> + use<'a> {
        let rows = window.first..window.first + self.codec.frame.horizon;
        let columns = &self.series.targets()[self.codec.targets_of(member)];
        rows.flat_map(move |row| {
            let values = columns.iter().map(move |column| column.values[row]);
            values.zip(&window.scalings).map(|(value, scaling)| in_units(*scaling, value))
        })
    }
}

impl SeriesCodec {
    /// Encodes `series`.
    ///
    /// # Errors
    /// [`Error::Value`] if it has other columns, is a panel and the codec of none or the other way round, a missing
    /// value in a column without a mask, or a scaled value beyond f32.
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
        if series.is_panel() != self.panel {
            let words = |panel| if panel { "a panel: each target by itself" } else { "all targets together" };
            return Err(Error::value("the series", words(self.panel), words(series.is_panel())));
        }
        for (target, (column, codec)) in series.targets().iter().zip(&self.targets).enumerate() {
            series.rows_of(target).try_for_each(|row| scaled(&series, column, codec, row).map(drop))?;
            self.check_relative(column, codec)?;
        }
        let features = scaled_columns(&series, series.features(), &self.features, series.len())?;
        let known_rows = series.known().iter().map(|column| column.values.len()).min().unwrap_or_default();
        let known = scaled_columns(&series, series.known(), &self.known, known_rows)?;
        Ok(Arc::new(EncodedSeries { codec: self.clone(), series, features, known }))
    }

    /// Refuses a target whose values are too far apart for a window's own scaling.
    fn check_relative(&self, column: &Column, codec: &ColumnCodec) -> Result<()> {
        if self.relative.is_none() {
            return Ok(());
        }
        let present = column.values.iter().filter(|value| !value.is_nan());
        let (least, most) = present.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let unit = self.relative.least_unit(codec.scaling);
        if least <= most && !(((most - least) / unit) as f32).is_finite() {
            let expected = format!("numbers within f32 of each other in units of {unit}");
            return Err(Error::value(format!("column {:?}", column.name), expected, format!("{least} to {most}")));
        }
        Ok(())
    }
}

/// Values, then masks: \[rows, inputs\].
pub(super) fn scaled_columns(
    series: &Series,
    columns: &[Column],
    codecs: &[ColumnCodec],
    rows: usize,
) -> Result<Array2<f32>> {
    let masks = codecs.iter().filter(|codec| codec.masked).count();
    let mut inputs = Array2::zeros((rows, columns.len() + masks));
    let mut mask = columns.len();
    for (index, (column, codec)) in columns.iter().zip(codecs).enumerate() {
        for row in 0..rows {
            inputs[[row, index]] = scaled(series, column, codec, row)?;
        }
        if codec.masked {
            let present = column.values[..rows].iter().map(|value| f32::from(u8::from(!value.is_nan())));
            inputs.slice_mut(s![.., mask]).iter_mut().zip(present).for_each(|(input, present)| *input = present);
            mask += 1;
        }
    }
    Ok(inputs)
}

/// A value in scaled units; 0 if it is missing.
fn in_units(scaling: Scaling, value: f64) -> f32 {
    if value.is_nan() { 0.0 } else { scaling.scale(value) as f32 }
}

/// A value in the units of its column, which must exist if the column has no mask.
fn scaled(series: &Series, column: &Column, codec: &ColumnCodec, row: usize) -> Result<f32> {
    let value = column.values[row];
    if value.is_nan() && !codec.masked {
        let expected = "a value, as this column always had when the network was trained";
        return Err(Error::value(series.place(row, column), expected, "a missing value"));
    }
    let scaled = in_units(codec.scaling, value);
    if !scaled.is_finite() {
        let expected = format!("a number within f32 in units of {}", codec.scaling.unit);
        return Err(Error::value(series.place(row, column), expected, value));
    }
    Ok(scaled)
}

#[cfg(test)]
impl EncodedSeries {
    /// The targets, the features and their masks of all rows, in units of the columns: \[rows, inputs\].
    pub(super) fn past(&self) -> Array2<f32> {
        let codec = SeriesCodec { relative: crate::data::RelativeTo::None, ..self.codec.clone() };
        let rows = self.series.len();
        let encoded =
            Self { codec: SeriesCodec { frame: Frame { window: rows, ..codec.frame }, ..codec }, ..self.clone() };
        let window = encoded.window(0, rows);
        let mut past = Array2::zeros((rows, encoded.codec.row_size() - self.known.ncols()));
        past.rows_mut().into_iter().enumerate().for_each(|(row, inputs)| encoded.write_past(&window, row, inputs));
        past
    }

    /// The known columns and their masks.
    pub(super) fn known(&self) -> &Array2<f32> {
        &self.known
    }
}
