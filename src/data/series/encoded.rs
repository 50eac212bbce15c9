//! A series as a network reads it.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::data::{Examples, Frame, Roll, Series, SeriesCodec, Windows};
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

    /// The examples whose K target rows all lie within `targets`, in the order of time, to learn from. Those with a missing
    /// target are left out, also where a value before stands for it.
    ///
    /// # Errors
    /// [`Error::Value`] where `targets` lies outside the series, begins before the first row with a whole window before
    /// it, or is not empty and holds no example.
    pub fn windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let horizon = self.codec.frame.horizon;
        let mut complete = 0;
        let windows = self.select(&targets, |row, here| {
            complete = if here.iter().all(|there| *there) { complete + 1 } else { 0 };
            complete >= horizon && row + 1 >= targets.start + horizon
        })?;
        match windows.is_empty() && !targets.is_empty() {
            true => Err(self.none_in(&targets, format!("{horizon} rows in succession with all targets"))),
            false => Ok(windows),
        }
    }

    /// The examples whose K target rows all lie within `targets`, in the order of time, to measure forecasts by: those
    /// without any target are left out, and of the others the missing ones do not count.
    ///
    /// # Errors
    /// As of [`windows`](Self::windows).
    pub fn measured_windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let horizon = self.codec.frame.horizon;
        let mut last = None;
        let windows = self.select(&targets, |row, here| {
            last = if here.contains(&true) { Some(row) } else { last };
            row + 1 >= targets.start + horizon && last.is_some_and(|last| last + horizon > row)
        })?;
        match windows.is_empty() && !targets.is_empty() {
            true => Err(self.none_in(&targets, format!("{horizon} rows with a target"))),
            false => Ok(windows),
        }
    }

    /// The examples whose last row `takes` in ascending order, with which targets of it are there.
    fn select(
        self: &Arc<Self>,
        targets: &Range<usize>,
        mut takes: impl FnMut(usize, &[bool]) -> bool,
    ) -> Result<Windows> {
        let Frame { window, horizon } = self.codec.frame;
        let rows = self.series.len();
        if targets.start < window || targets.end > rows || targets.start > targets.end {
            let expected = format!("rows from {window} to {rows}");
            return Err(Error::value("the targets of the windows", expected, format!("{targets:?}")));
        }
        let mut here = Vec::new();
        let mut firsts = Vec::new();
        for row in targets.clone() {
            here.clear();
            here.extend(self.series.truths().iter().map(|column| !column.values[row].is_nan()));
            if takes(row, &here) {
                firsts.push(row + 1 - horizon);
            }
        }
        let left_out = (targets.len() + 1).saturating_sub(horizon) - firsts.len();
        Ok(Windows::new(self.clone(), firsts, left_out))
    }

    fn none_in(&self, targets: &Range<usize>, expected: String) -> Error {
        let labels = self.series.labels();
        let what = format!("the rows from {:?} to {:?}", labels[targets.start], labels[targets.end - 1]);
        Error::value(what, expected, format!("none in {} rows", targets.len()))
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
    /// the last of the `steps`; [`Error::Unsupported`] where more than one horizon is asked for and a feature's future is
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
