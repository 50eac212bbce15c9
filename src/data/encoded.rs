//! A series as a network reads it.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::{Frame, Roll, Series, SeriesCodec, Windows};
use crate::error::{Error, Result};

/// A series in the network's units; [`SeriesCodec`] has the order of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    pub(super) codec: SeriesCodec,
    pub(super) series: Series,
    /// Targets, features and their masks: \[rows, inputs\].
    pub(super) past: Array2<f32>,
    /// The known columns and their masks, as far as all are known: \[rows, inputs\].
    pub(super) known: Array2<f32>,
}

impl Encoded {
    /// The series in the data's units.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// What it was encoded with.
    pub fn codec(&self) -> &SeriesCodec {
        &self.codec
    }

    /// The examples whose K target rows all lie within `targets`, in the order of time. Those with a missing target are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Value`] where `targets` lies outside the series, begins before the first row with a whole window before
    /// it, or is not empty and holds no example.
    pub fn windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let Frame { window, horizon } = self.codec.frame;
        let rows = self.series.len();
        if targets.start < window || targets.end > rows || targets.start > targets.end {
            let expected = format!("rows from {window} to {rows}");
            return Err(Error::value("the targets of the windows", expected, format!("{targets:?}")));
        }
        let missing = |row: usize| self.series.targets().iter().any(|column| column.values[row].is_nan());
        let (mut firsts, mut complete) = (Vec::new(), 0);
        for row in targets.clone() {
            complete = if missing(row) { 0 } else { complete + 1 };
            if complete >= horizon {
                firsts.push(row + 1 - horizon);
            }
        }
        let left_out = (targets.len() + 1).saturating_sub(horizon) - firsts.len();
        if firsts.is_empty() && !targets.is_empty() {
            let labels = self.series.labels();
            let what = format!("the rows from {:?} to {:?}", labels[targets.start], labels[targets.end - 1]);
            let got = format!("none in {} rows", targets.len());
            return Err(Error::value(what, format!("{horizon} rows in succession with all targets"), got));
        }
        Ok(Windows::new(self.clone(), firsts, left_out))
    }

    /// Every example whose K target rows lie in the series, in the order of time, to predict and to measure: those with a
    /// missing target are among them, and their weight is 0.
    ///
    /// # Errors
    /// [`Error::Value`] where the series is too short for one.
    pub fn all_windows(self: &Arc<Self>) -> Result<Windows> {
        let Frame { window, horizon } = self.codec.frame;
        let rows = self.series.len();
        if rows < self.codec.frame.rows() {
            let expected = format!("at least a window of {window} and a horizon of {horizon}");
            return Err(Error::value("the series", expected, format!("{rows} rows")));
        }
        Ok(Windows::new(self.clone(), (window..=rows - horizon).collect(), 0))
    }

    /// A forecast of `steps` rows from row `first` on, made of the rows before it. With the number of rows for `first` it
    /// goes beyond the last.
    ///
    /// # Errors
    /// [`Error::Value`] where there is no whole window before `first`, or no such row, and where a known column ends before
    /// the last horizon does; [`Error::Unsupported`] where more than one horizon is asked for and a feature's future is
    /// needed for it.
    pub fn roll(self: &Arc<Self>, first: usize, steps: usize) -> Result<Roll> {
        Roll::new(self.clone(), first, steps)
    }

    /// Writes x, \[W, I\], of the example whose first predicted row is `first`. `past` are the W rows before it, without
    /// what is known beforehand.
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
