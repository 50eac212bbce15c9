//! Encodes a series for a network, and decodes its predictions.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::calendar;
use super::calendar::CalendarInput;
use crate::data::common::scaling::is_constant;
use crate::data::{
    Column, ColumnRoles, Conformal, DateOrder, DecimalMark, Frame, LongForm, MissingPolicy, RelativeTo, Scaling,
    ScalingKind, Series, StaticCodec, StaticColumn,
};
use crate::error::{Error, Result};

/// Everything that is stored with a network's weights to forecast from new data.
///
/// # Inputs
/// A row has these inputs, in this order: the targets, the features, and a mask for each of these that has one; then
/// the known columns, and a mask for each of these that has one; then the [`calendar`](Self::calendar). A mask is 1
/// where the value exists and 0 where it is missing (Che et al. 2018). The known columns and the calendar are shifted by
/// K rows: row t has targets_t, features_t and known_{t+K}, so that the last K rows of the window contain the known
/// values of all predicted rows. A step of an example has N such rows, one after the other: [`segment`](Self::segment);
/// then what is the same in all rows of a member: its [`statics`](Self::statics), and with [`ids`](Self::ids) an input for
/// each member, 1 for its own and 0 for the others, so that each has a vector of its own in the input weights.
///
/// # Outputs
/// Q targets at K steps: output k·Q + q is target q, k + 1 rows after the last input row.
///
/// # Panels
/// With [`panel`](Self::panel), each target is a series of its own under one network: a member. An example is of one
/// member and has its target alone, so that Q is 1 in the lines above; features and known columns are those of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesCodec {
    /// The name of the label column.
    pub label_name: String,
    /// The date order of the labels, if they are dates such as `5/3/2021`; other data are read in the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// The decimal mark of the file, if it was set or proved by a number; other files are read with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<DecimalMark>,
    /// W and K.
    pub frame: Frame,
    /// How missing values are handled.
    pub missing: MissingPolicy,
    /// The targets.
    pub targets: Vec<ColumnCodec>,
    /// The features: known up to the present.
    pub features: Vec<ColumnCodec>,
    /// The columns whose future values are known.
    pub known: Vec<ColumnCodec>,
    /// Inputs that follow from the times of the rows and are known in advance like `known`, but not read from the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calendar: Vec<CalendarInput>,
    /// What the targets of a window are seen from.
    #[serde(default, skip_serializing_if = "RelativeTo::is_none")]
    pub relative: RelativeTo,
    /// N, the number of rows that make one step; it divides W.
    #[serde(default = "one_row", skip_serializing_if = "is_one_row")]
    pub segment: usize,
    /// Whether each target is a series of its own under one network: [`Series::into_panel`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub panel: bool,
    /// The columns of the file, if it is in long form: the targets are ids then, and the series a panel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongForm>,
    /// What is the same in all rows of a member of a panel.
    #[serde(default, rename = "static", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<StaticCodec>,
    /// Whether the member itself is an input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ids: bool,
    /// The conformal ranges of the forecasts, fitted with the trained weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conformal: Option<Conformal>,
}

fn one_row() -> usize {
    1
}

fn is_one_row(segment: &usize) -> bool {
    *segment == 1
}

/// The encoding of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnCodec {
    /// The column's name.
    pub name: String,
    /// The scaling.
    pub scaling: Scaling,
    /// Whether it has a mask, because it had missing values when it was fitted.
    pub masked: bool,
}

impl SeriesCodec {
    /// Fits to the rows of `series` before `train_end`. `kind` returns the scaling of a column by name.
    ///
    /// # Errors
    /// [`Error::Value`] if the frame is empty or its window shorter than the horizon with known columns, and if the
    /// rows before `train_end` have no value of a column, or a target is constant in them that is not one of a panel.
    pub fn fit(series: &Series, frame: Frame, train_end: usize, kind: impl Fn(&str) -> ScalingKind) -> Result<Self> {
        let train_end = train_end.min(series.len());
        // In the order of the columns: targets, features, known.
        let mut gaps = series.gaps().into_iter().map(|(_, count)| count > 0);
        let mut fit =
            |column: &Column| ColumnCodec::fit(column, train_end, gaps.next().unwrap_or_default(), kind(&column.name));
        let mut fit_all = |columns: &[Column]| columns.iter().map(&mut fit).collect::<Result<Vec<_>>>();
        let mut codec = Self {
            label_name: series.label_name().into(),
            dates: series.dates(),
            decimal: series.decimal(),
            frame,
            missing: series.missing(),
            targets: fit_all(series.targets())?,
            features: fit_all(series.features())?,
            known: fit_all(series.known())?,
            calendar: Vec::new(),
            relative: RelativeTo::None,
            segment: 1,
            panel: series.is_panel(),
            long: None,
            statics: Vec::new(),
            ids: false,
            conformal: None,
        };
        // One network reads the series of a panel, so that all have a mask or none.
        let masked = codec.panel && codec.targets.iter().any(|column| column.masked);
        codec.targets.iter_mut().for_each(|column| column.masked |= masked);
        if !codec.panel {
            series.targets().iter().try_for_each(|column| check_varies(column, train_end))?;
        }
        codec.validate()?;
        Ok(codec)
    }

    /// The columns by name, for [`Series::new`] on new data.
    pub fn roles(&self) -> ColumnRoles {
        let names = |columns: &[ColumnCodec]| columns.iter().map(|column| column.name.clone()).collect();
        ColumnRoles { targets: names(&self.targets), features: names(&self.features), known: names(&self.known) }
    }

    /// Scales all series of a panel by one scaling of this kind, fitted to their values before row `train_end`.
    #[must_use]
    pub fn scale_together(mut self, series: &Series, train_end: usize, kind: ScalingKind) -> Self {
        let rows = ..train_end.min(series.len());
        let values: Vec<f64> = series.targets().iter().flat_map(|column| column.values[rows].to_vec()).collect();
        let scaling = Scaling::fit(kind, &values);
        self.targets.iter_mut().for_each(|target| target.scaling = scaling);
        self
    }

    /// Sets the calendar. [`encode`](Self::encode) refuses labels that do not determine it, and
    /// [`EncodedSeries::check_calendar`](crate::data::EncodedSeries::check_calendar) one that is constant in training.
    #[must_use]
    pub fn calendar(self, calendar: Vec<CalendarInput>) -> Self {
        Self { calendar, ..self }
    }

    /// Sets what the targets of a window are seen from.
    #[must_use]
    pub fn relative_to(self, relative: RelativeTo) -> Self {
        Self { relative, ..self }
    }

    /// Adds what tells the members of a panel apart: the static columns of `series`, those named in `classes` as classes
    /// even if they are numbers, and with `ids` the member itself.
    ///
    /// # Errors
    /// [`Error::Value`] for a column that is the same for all members.
    pub fn with_members(mut self, series: &Series, classes: &[String], ids: bool) -> Result<Self> {
        let fit = |column: &StaticColumn| StaticCodec::fit(column, classes.contains(&column.name));
        self.statics = series.statics().iter().map(fit).collect::<Result<_>>()?;
        self.ids = ids;
        Ok(self)
    }

    /// Sets the number of rows that make one step; it must divide the window.
    #[must_use]
    pub fn segment(self, rows: usize) -> Self {
        Self { segment: rows, ..self }
    }

    /// The number of series under the network: that of the targets in a panel, and otherwise 1.
    pub fn members(&self) -> usize {
        if self.panel { self.targets.len() } else { 1 }
    }

    /// The targets of a member.
    pub(super) fn targets_of(&self, member: usize) -> Range<usize> {
        if self.panel { member..member + 1 } else { 0..self.targets.len() }
    }

    /// W / N, the number of steps of an example.
    pub fn steps(&self) -> usize {
        self.frame.window / self.segment
    }

    /// I.
    pub fn input_size(&self) -> usize {
        self.segment * self.row_size() + self.member_size()
    }

    /// The inputs of a step that are the same in all rows of a member.
    pub(super) fn member_size(&self) -> usize {
        self.static_size() + if self.ids { self.members() } else { 0 }
    }

    pub(super) fn static_size(&self) -> usize {
        self.statics.iter().map(StaticCodec::width).sum()
    }

    /// The inputs of a row.
    pub(super) fn row_size(&self) -> usize {
        width(&self.targets[self.targets_of(0)])
            + width(&self.features)
            + width(&self.known)
            + calendar::width(&self.calendar)
    }

    /// The output of step `step` of a target, counted from 0.
    pub(super) fn output(&self, step: usize, target: usize) -> usize {
        let targets = self.targets_of(0).len();
        step * targets + if self.panel { 0 } else { target }
    }

    /// O = Q·K.
    pub fn outputs(&self) -> usize {
        self.targets_of(0).len() * self.frame.horizon
    }

    /// Refuses a codec that cannot be valid: no target, an empty frame or one beyond 2^24, a window shorter than the
    /// horizon with known columns or a calendar, a calendar with a field twice, a segment that does not divide the window,
    /// members with and without a mask, or scalings that are not finite.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn validate(&self) -> Result<()> {
        self.frame.check()?;
        let Frame { window, horizon } = self.frame;
        if !(self.known.is_empty() && self.calendar.is_empty()) && window < horizon {
            let expected = format!("at least the horizon, {horizon}, to hold what is known of it");
            return Err(Error::value("window", expected, window));
        }
        if self.targets.is_empty() {
            return Err(Error::value("the targets", "at least one column", "none"));
        }
        if self.segment == 0 || !window.is_multiple_of(self.segment) {
            let expected = format!("a number of rows that divides the window of {window}");
            return Err(Error::value("segment", expected, self.segment));
        }
        let twice = |(index, input): (usize, &CalendarInput)| {
            self.calendar[..index].iter().any(|other| other.field == input.field)
        };
        if let Some((_, input)) = self.calendar.iter().enumerate().find(|input| twice(*input)) {
            return Err(Error::value("the calendar", format!("{} once", input.field.name()), "twice"));
        }
        if !self.panel && (self.ids || !self.statics.is_empty()) {
            return Err(Error::value("the inputs of members", "a panel", "one series"));
        }
        self.statics.iter().try_for_each(StaticCodec::validate)?;
        if self.panel && self.targets.iter().any(|column| column.masked != self.targets[0].masked) {
            return Err(Error::value("the targets of the panel", "all with a mask or all without", "some of each"));
        }
        self.targets.iter().chain(&self.features).chain(&self.known).try_for_each(ColumnCodec::validate)?;
        self.conformal.as_ref().map_or(Ok(()), |conformal| conformal.validate(self.outputs()))
    }
}

/// Refuses a target that is constant before row `train_end`, from which nothing can be learned.
pub(super) fn check_varies(column: &Column, train_end: usize) -> Result<()> {
    let values = &column.values[..train_end];
    match values.iter().find(|value| !value.is_nan()).filter(|_| is_constant(values)) {
        Some(value) => {
            let what = format!("the training split of column {:?}", column.name);
            Err(Error::value(what, "values that differ", format!("only {value} in {train_end} rows")))
        }
        None => Ok(()),
    }
}

impl ColumnCodec {
    /// Fits to the values before row `train_end`.
    ///
    /// # Errors
    /// [`Error::Value`] if there is none.
    pub(super) fn fit(column: &Column, train_end: usize, masked: bool, kind: ScalingKind) -> Result<Self> {
        let values = &column.values[..train_end];
        if values.iter().all(|value| value.is_nan()) {
            let what = format!("the training split of column {:?}", column.name);
            return Err(Error::value(what, "values", format!("none in {train_end} rows")));
        }
        Ok(Self { name: column.name.clone(), scaling: Scaling::fit(kind, values), masked })
    }

    /// A value in scaled units; 0 if it is missing. Otherwise what was expected, and what came.
    pub(crate) fn input(&self, value: f64) -> std::result::Result<f32, (String, String)> {
        if value.is_nan() && !self.masked {
            let expected = "a value, as this column always had when the network was trained";
            return Err((expected.into(), "a missing value".into()));
        }
        let scaled = in_units(self.scaling, value);
        if scaled.is_finite() {
            Ok(scaled)
        } else {
            Err((format!("a number within f32 in units of {}", self.scaling.unit), value.to_string()))
        }
    }

    /// Refuses a scaling that is not finite, or whose unit is not above 0.
    pub(super) fn validate(&self) -> Result<()> {
        let Scaling { offset, unit } = self.scaling;
        if offset.is_finite() && unit.is_finite() && unit > 0.0 {
            return Ok(());
        }
        let got = format!("offset {offset}, unit {unit}");
        Err(Error::value(format!("the scaling of column {:?}", self.name), "finite numbers, the unit above 0", got))
    }
}

/// A value in scaled units; 0 if it is missing.
pub(super) fn in_units(scaling: Scaling, value: f64) -> f32 {
    if value.is_nan() { 0.0 } else { scaling.scale(value) as f32 }
}

/// The number of inputs of columns and their masks.
pub(super) fn width(columns: &[ColumnCodec]) -> usize {
    columns.len() + columns.iter().filter(|column| column.masked).count()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::SeriesTable;

    const FRAME: Frame = Frame { window: 2, horizon: 2 };

    fn series(columns: &[(&str, &[f64])], known: usize) -> Series {
        let name = |index: usize| columns[index].0.to_owned();
        let roles = ColumnRoles {
            targets: vec![name(0)],
            features: (1..columns.len() - known).map(name).collect(),
            known: (columns.len() - known..columns.len()).map(name).collect(),
        };
        let table = SeriesTable {
            label_name: "t".into(),
            labels: (0..columns[0].1.len()).map(|row| row.to_string()).collect(),
            columns: columns
                .iter()
                .map(|(name, values)| Column { name: (*name).into(), values: values.to_vec() })
                .collect(),
            ..SeriesTable::default()
        };
        Series::new(table, &roles, MissingPolicy::Mask).unwrap()
    }

    fn fit(series: &Series, train_end: usize) -> Result<SeriesCodec> {
        SeriesCodec::fit(series, FRAME, train_end, |_| ScalingKind::MinMax)
    }

    #[test]
    fn a_column_that_varies_only_by_rounding_counts_as_constant() {
        let values = [0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2, 1.3, 0.3];
        let series = |name: &str| series(&[("v", &[0.0, 4.0, 2.0, 4.0, 4.0, 2.0]), (name, &values)], 0);
        for kind in [ScalingKind::Standard, ScalingKind::MinMax] {
            let codec = SeriesCodec::fit(&series("x"), FRAME, 4, |_| kind).unwrap();
            let scaled = codec.encode(series("x")).unwrap().past().column(1).to_vec();
            assert_eq!(scaled.iter().map(|value| value.round()).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        }
        let target = self::series(&[("v", &values)], 0);
        let error = SeriesCodec::fit(&target, FRAME, 4, |_| ScalingKind::Standard).unwrap_err().to_string();
        assert!(error.contains("values that differ"), "{error}");
    }

    #[test]
    fn scalings_are_fitted_to_the_training_split_only() {
        let series = series(&[("v", &[0.0, 2.0, 4.0, 1e9]), ("w", &[3.0, 3.0, 3.0, 7.0])], 0);
        let codec = fit(&series, 3).unwrap();
        assert_eq!(codec.targets[0].scaling, Scaling { offset: 0.0, unit: 4.0 });
        assert_eq!(codec.features[0].scaling, Scaling { offset: 3.0, unit: 3.0 });
        assert_eq!(codec.encode(series).unwrap().past().row(1), array![0.5, 0.0]);
    }

    #[test]
    fn a_column_that_cannot_be_fitted_is_refused_by_name() {
        let nan = f64::NAN;
        let error = |columns: &[(&str, &[f64])], end| fit(&series(columns, 0), end).unwrap_err().to_string();
        let what = "the training split of column";
        assert_eq!(
            error(&[("v", &[2.0, nan, 2.0, 5.0])], 3),
            format!("{what} \"v\": expected values that differ, got only 2 in 3 rows")
        );
        assert_eq!(
            error(&[("v", &[1.0, 2.0, 3.0]), ("w", &[nan, nan, 1.0])], 2),
            format!("{what} \"w\": expected values, got none in 2 rows")
        );
        let known = series(&[("v", &[1.0, 2.0, 3.0]), ("k", &[1.0, 2.0, 3.0])], 1);
        let short = SeriesCodec::fit(&known, Frame { window: 1, horizon: 2 }, 3, |_| ScalingKind::None);
        assert!(short.unwrap_err().to_string().starts_with("window: expected at least the horizon, 2"));
        for frame in
            [Frame { window: 0, ..FRAME }, Frame { horizon: 0, ..FRAME }, Frame { horizon: usize::MAX, ..FRAME }]
        {
            assert!(SeriesCodec::fit(&known, frame, 3, |_| ScalingKind::None).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn a_missing_input_is_0_and_marked_in_its_mask() {
        let nan = f64::NAN;
        let columns: &[(&str, &[f64])] =
            &[("v", &[1.0, nan, 3.0]), ("w", &[5.0, 6.0, 7.0]), ("x", &[nan, 6.0, 8.0]), ("k", &[1.0, nan, 2.0])];
        let series = series(columns, 1);
        let codec = fit(&series, 3).unwrap();
        assert_eq!(codec.input_size(), 4 + 3);
        let encoded = codec.encode(series).unwrap();
        // v, w, x, and the masks of v and x.
        let past = [[0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
        assert_eq!(encoded.past(), ndarray::arr2(&past));
        assert_eq!(*encoded.known(), array![[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]);
    }

    #[test]
    fn new_data_must_match_the_training_data() {
        let whole = series(&[("v", &[1.0, 2.0, 3.0]), ("w", &[1.0, 2.0, 3.0])], 0);
        let codec = fit(&whole, 3).unwrap();
        let error = |series| codec.encode(series).unwrap_err().to_string();
        let gap = series(&[("v", &[1.0, 2.0, 3.0]), ("w", &[1.0, f64::NAN, 3.0])], 0);
        let expected = "a value, as this column always had when the network was trained";
        assert_eq!(error(gap), format!("row 2 (\"1\"), column \"w\": expected {expected}, got a missing value"));
        let other = series(&[("v", &[1.0, 2.0]), ("u", &[1.0, 2.0])], 0);
        assert_eq!(error(other), "the columns of the series: expected v, w, got v, u");
        let mut tiny = codec.clone();
        tiny.targets[0].scaling.unit = 1e-39;
        let error = tiny.encode(whole.clone()).unwrap_err().to_string();
        assert!(error.starts_with("row 2 (\"1\"), column \"v\": expected a number within f32"), "{error}");
        tiny.targets[0].scaling.unit = 0.0;
        assert!(tiny.encode(whole).unwrap_err().to_string().contains("the scaling of column \"v\""));
    }

    #[test]
    fn a_codec_survives_its_file() {
        let series = series(&[("v", &[0.1, f64::NAN, 0.7]), ("k", &[1.0, 2.0, 3.0])], 1);
        let codec = SeriesCodec::fit(&series, FRAME, 3, |_| ScalingKind::Standard).unwrap();
        let json = serde_json::to_string(&codec).unwrap();
        let again: SeriesCodec = serde_json::from_str(&json).unwrap();
        assert_eq!(again.roles(), codec.roles());
        assert_eq!(again.encode(series.clone()).unwrap().past(), codec.encode(series).unwrap().past());
        assert!(serde_json::from_str::<SeriesCodec>(&json.replace("horizon", "horizons")).is_err());
    }
}
