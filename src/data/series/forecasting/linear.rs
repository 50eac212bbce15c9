//! A linear autoregression of the windows that a network reads.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Array3, Axis, s};

use crate::allocate;
use crate::data::common::least_squares::solve_with_ridge;
use crate::data::series::encoded::Window;
use crate::data::series::windows::Windows;
use crate::data::{Examples, Frame, Scaling};
use crate::error::{Error, Result};

/// The most lags: a product of them is held in memory.
const LAGS: usize = 1024;

/// The most numbers in an array of coefficients, or of targets at a time.
const NUMBERS: usize = 1 << 22;

/// About as many multiplications to fit, a second of one core. Beyond them a part of the windows is fitted to.
const MULTIPLICATIONS: u64 = 1 << 32;

/// The windows in a product.
const ROWS: usize = 512;

/// The forecast of each of the K rows after a window as a linear function of the window's values, fitted by least
/// squares in f64: a direct forecast, from the same windows, scalings and [`RelativeTo`](crate::data::RelativeTo) as
/// the network's.
///
/// Of a [panel](crate::data::Series::into_panel), one regression is for all members; otherwise each target has one, from
/// its own past. A missing value is 0 in scaled units, as the network reads it. The normal equations of the centred
/// values have a ridge of 1e-9 of the mean variance of a lag, so that they have a solution however the lags depend on
/// each other; the intercept has none. Of a window of more than 1024 rows the last ones count, and if the products would
/// take over 2³² multiplications, a part of the windows, drawn evenly and always alike.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearAutoregression {
    regressions: Vec<Regression>,
    frame: Frame,
    /// The number of windows that it was fitted to, of how many.
    windows: [usize; 2],
}

/// K linear functions of p lags.
#[derive(Clone, Debug, PartialEq)]
struct Regression {
    /// \[p\], the means of the lags.
    centre: Array1<f64>,
    /// \[p, K\].
    coefficients: Array2<f64>,
    /// \[K\], the means of the targets.
    intercept: Array1<f64>,
}

impl LinearAutoregression {
    /// Fits to training windows; `None` if there are fewer of them than coefficients of a forecast.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if there is none for the coefficients.
    pub fn fit(windows: &Windows) -> Result<Option<Self>> {
        let codec = windows.encoded().codec();
        let Frame { window, horizon } = codec.frame;
        let lags = window.min(LAGS).min((NUMBERS / horizon).max(1));
        let count = windows.len();
        if count < lags + 1 {
            return Ok(None);
        }
        let of_each = lags as u64 * (lags + horizon) as u64;
        let most = (MULTIPLICATIONS / of_each).min(count as u64) as usize;
        let fitted = most.max((4 * lags).min(count));
        let examples = evenly(count, fitted);
        let targets = if codec.panel { 1 } else { codec.targets.len() };
        let fit = |target| Regression::fit(windows, target, &examples, lags);
        let regressions = (0..targets).map(fit).collect::<Result<_>>()?;
        Ok(Some(Self { regressions, frame: codec.frame, windows: [fitted, count] }))
    }

    /// The number of windows that it was fitted to, and the number of training windows.
    pub fn windows(&self) -> [usize; 2] {
        self.windows
    }

    /// The number of values that a forecast is made of.
    pub fn lags(&self) -> usize {
        self.regressions.first().map_or(0, |regression| regression.centre.len())
    }

    /// The forecasts in the units of the data, \[N, K, Q\], N windows and all targets; NaN if an example is left out.
    ///
    /// # Errors
    /// [`Error::Value`] for windows of another frame or with other targets, [`Error::NoMemory`] without memory.
    pub fn forecast(&self, windows: &Windows) -> Result<Array3<f64>> {
        self.check(windows)?;
        let mut forecast = windows.missing();
        let all: Vec<usize> = (0..windows.len()).collect();
        for (target, regression) in self.regressions.iter().enumerate() {
            for examples in all.chunks(rows_at_once(self.frame.horizon)) {
                let scaled = regression.predict(windows, target, examples)?;
                for (example, row) in examples.iter().zip(scaled.rows()) {
                    let TargetWindow { scaling, target, .. } = windows.target_window(*example, target);
                    let to = forecast.slice_mut(s![windows.examples[*example].window, .., target]);
                    to.into_iter().zip(row).for_each(|(to, value)| *to = scaling.unscale(*value));
                }
            }
        }
        Ok(forecast)
    }

    /// Truth less forecast for some of these windows, drawn evenly, in their scaled units: \[n, K\] for each regression.
    /// NaN where the truth is missing.
    ///
    /// # Errors
    /// Those of [`forecast`](Self::forecast).
    pub fn residuals(&self, windows: &Windows) -> Result<Vec<Array2<f64>>> {
        self.check(windows)?;
        let examples = evenly(windows.len(), (NUMBERS / self.frame.horizon).clamp(1, windows.len().max(1)));
        let of = |(target, regression): (usize, &Regression)| {
            let mut residuals = allocate::array((examples.len(), self.frame.horizon), "the errors of a regression")?;
            let step = rows_at_once(self.frame.horizon);
            for (examples, mut to) in examples.chunks(step).zip(residuals.axis_chunks_iter_mut(Axis(0), step)) {
                to.assign(&(targets(windows, target, examples)? - regression.predict(windows, target, examples)?));
            }
            Ok(residuals)
        };
        self.regressions.iter().enumerate().map(of).collect()
    }

    fn check(&self, windows: &Windows) -> Result<()> {
        let codec = windows.encoded().codec();
        let targets = if codec.panel { 1 } else { codec.targets.len() };
        if codec.frame != self.frame || targets != self.regressions.len() {
            let expected = format!("{:?} and {} regressions", self.frame, self.regressions.len());
            return Err(Error::value("the windows", expected, format!("{:?} and {targets}", codec.frame)));
        }
        Ok(())
    }
}

/// A target of an example's member, in the units of the data.
struct TargetWindow<'a> {
    /// The W values that the example shows; NaN if missing.
    shown: &'a [f64],
    /// The K values that follow; NaN if missing.
    truth: &'a [f64],
    /// How both are scaled.
    scaling: Scaling,
    /// Its place among all targets.
    target: usize,
}

impl Windows {
    /// The `target` of an example's member.
    fn target_window(&self, example: usize, target: usize) -> TargetWindow<'_> {
        let example = self.examples[example];
        let (first, codec) = (self.firsts[example.window], &self.encoded.codec);
        let Window { shown, scalings, .. } = self.window(example);
        let (shown, scaling) = (shown[target], scalings[target]);
        let target = codec.targets_of(example.member).start + target;
        let truth = &self.encoded.series.truths()[target].values[first..first + codec.frame.horizon];
        TargetWindow { shown, truth, scaling, target }
    }
}

impl Regression {
    /// Fits to these examples; `target` is one of a member's.
    fn fit(windows: &Windows, target: usize, examples: &[usize], lags: usize) -> Result<Self> {
        let horizon = windows.encoded().codec().frame.horizon;
        let count = examples.len() as f64;
        let (mut centre, mut intercept) = (Array1::zeros(lags), Array1::zeros(horizon));
        for part in examples.chunks(rows_at_once(horizon)) {
            centre += &inputs(windows, target, part, lags)?.sum_axis(Axis(0));
            intercept += &targets(windows, target, part)?.sum_axis(Axis(0));
        }
        centre /= count;
        intercept /= count;
        let mut normal = allocate::array((lags, lags), "the products of lags")?;
        let mut coefficients = allocate::array((lags, horizon), "the coefficients of a regression")?;
        for part in examples.chunks(rows_at_once(horizon)) {
            let x = inputs(windows, target, part, lags)? - &centre;
            let y = targets(windows, target, part)? - &intercept;
            general_mat_mul(1.0, &x.t(), &x, 1.0, &mut normal);
            general_mat_mul(1.0, &x.t(), &y, 1.0, &mut coefficients);
        }
        solve_with_ridge(&mut normal, &mut coefficients);
        Ok(Self { centre, coefficients, intercept })
    }

    /// \[n, K\], in the scaled units of the windows.
    fn predict(&self, windows: &Windows, target: usize, examples: &[usize]) -> Result<Array2<f64>> {
        let x = inputs(windows, target, examples, self.centre.len())? - &self.centre;
        let mut y = allocate::array((examples.len(), self.intercept.len()), "the forecasts of a regression")?;
        y += &self.intercept;
        general_mat_mul(1.0, &x, &self.coefficients, 1.0, &mut y);
        Ok(y)
    }
}

/// The examples in a product, with K targets each.
fn rows_at_once(horizon: usize) -> usize {
    (NUMBERS / horizon).clamp(1, ROWS)
}

/// The last values of each window in its units, \[n, p\].
fn inputs(windows: &Windows, target: usize, examples: &[usize], lags: usize) -> Result<Array2<f64>> {
    let mut x = allocate::array((examples.len(), lags), "the lags of a regression")?;
    for (row, example) in x.rows_mut().into_iter().zip(examples) {
        let TargetWindow { shown, scaling, .. } = windows.target_window(*example, target);
        let scaled = |value: &f64| if value.is_nan() { 0.0 } else { scaling.scale(*value) };
        row.into_iter().zip(&shown[shown.len() - lags..]).for_each(|(to, value)| *to = scaled(value));
    }
    Ok(x)
}

/// What follows each window in its units, \[n, K\]; NaN if missing.
fn targets(windows: &Windows, target: usize, examples: &[usize]) -> Result<Array2<f64>> {
    let horizon = windows.encoded().codec().frame.horizon;
    let mut y = allocate::array((examples.len(), horizon), "the targets of a regression")?;
    for (row, example) in y.rows_mut().into_iter().zip(examples) {
        let TargetWindow { truth, scaling, .. } = windows.target_window(*example, target);
        row.into_iter().zip(truth).for_each(|(to, value)| *to = scaling.scale(*value));
    }
    Ok(y)
}

/// `fitted` of `count` numbers, one from each of as many equal stretches. The place in a stretch moves on by the golden
/// ratio: at equal distances, all of them could be examples of one member of a panel.
fn evenly(count: usize, fitted: usize) -> Vec<usize> {
    let stretch = count as f64 / fitted as f64;
    let place = |n: usize| (n as f64 * 0.618_033_988_749_894_9).fract();
    (0..fitted).map(|n| (((n as f64 + place(n)) * stretch) as usize).min(count - 1)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{
        Column, ColumnRoles, EncodedSeries, MissingPolicy, RelativeTo, ScalingKind, Series, SeriesCodec, SeriesTable,
    };

    /// Columns `a`, `b`, … as targets, fitted to all rows.
    fn encoded(columns: &[Vec<f64>], frame: Frame, relative: RelativeTo, panel: bool) -> Arc<EncodedSeries> {
        let rows = columns[0].len();
        let names: Vec<String> = (0..columns.len()).map(|n| char::from(b'a' + n as u8).to_string()).collect();
        let column = |(name, values): (&String, &Vec<f64>)| Column { name: name.clone(), values: values.clone() };
        let table = SeriesTable {
            label_name: "t".into(),
            labels: (0..rows).map(|row| row.to_string()).collect(),
            columns: names.iter().zip(columns).map(column).collect(),
            ..SeriesTable::default()
        };
        let roles = ColumnRoles { targets: names, ..ColumnRoles::default() };
        let series = Series::new(table, &roles, MissingPolicy::Mask).unwrap();
        let series = if panel { series.into_panel() } else { series };
        let codec = SeriesCodec::fit(&series, frame, rows, |_| ScalingKind::Standard).unwrap().relative_to(relative);
        codec.encode(series).unwrap()
    }

    /// Pseudo-random numbers within ±1 (Knuth's linear congruential generator).
    fn noise() -> impl FnMut() -> f64 {
        let mut state = 7u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / 8_388_608.0 - 1.0
        }
    }

    /// x_t = 0.6 x_{t−1} − 0.3 x_{t−2} + 5 + noise.
    fn second_order(rows: usize, noise: &mut impl FnMut() -> f64) -> Vec<f64> {
        let mut x = vec![7.0, 7.5];
        (2..rows).for_each(|row| x.push(0.6 * x[row - 1] - 0.3 * x[row - 2] + 5.0 + noise()));
        x
    }

    #[test]
    fn the_coefficients_are_those_of_the_process_that_made_the_series() {
        let x = second_order(20_000, &mut noise());
        let encoded = encoded(std::slice::from_ref(&x), Frame { window: 3, horizon: 2 }, RelativeTo::None, false);
        let windows = encoded.windows(3..20_000).unwrap();
        let fitted = LinearAutoregression::fit(&windows).unwrap().unwrap();
        assert_eq!((fitted.windows(), fitted.lags()), ([19_996, 19_996], 3));
        let expected = [[0.0, 0.0], [-0.3, -0.18], [0.6, 0.06]];
        for (got, expected) in fitted.regressions[0].coefficients.iter().zip(expected.as_flattened()) {
            assert!((got - expected).abs() < 0.02, "{got} {expected}");
        }
        let forecast = fitted.forecast(&windows).unwrap();
        let of = |row: usize| 0.6 * x[row - 1] - 0.3 * x[row - 2] + 5.0;
        assert!((0..100).all(|n| (forecast[[n, 0, 0]] - of(n + 3)).abs() < 0.1));
        let residuals = fitted.residuals(&windows).unwrap();
        let unit = encoded.codec().targets[0].scaling.unit;
        assert!((residuals[0][[5, 1]] * unit - (x[9] - forecast[[5, 1, 0]])).abs() < 1e-9);
    }

    #[test]
    fn lags_that_follow_from_each_other_do_no_harm() {
        // Two sines are a linear recurrence of four lags; ten say the same several times, and of a window that is seen
        // from its last value, that is always 0.
        let wave = |row: usize| 1e6 + (row as f64 * 0.7).sin() + 0.5 * (row as f64 * 0.3).cos();
        let x: Vec<f64> = (0..400).map(wave).collect();
        for relative in [RelativeTo::None, RelativeTo::Last, RelativeTo::Mean] {
            let encoded = encoded(std::slice::from_ref(&x), Frame { window: 10, horizon: 3 }, relative, false);
            let fitted = LinearAutoregression::fit(&encoded.windows(10..300).unwrap()).unwrap().unwrap();
            let later = encoded.windows(300..400).unwrap();
            let errors = fitted.forecast(&later).unwrap() - later.truth();
            assert!(errors.iter().all(|error| error.abs() < 1e-3), "{relative:?} {errors}");
        }
    }

    #[test]
    fn windows_without_movement_forecast_the_mean_and_too_few_windows_nothing() {
        let mut x = vec![3.0; 30];
        x[29] = 4.0;
        let encoded = encoded(&[x], Frame { window: 4, horizon: 1 }, RelativeTo::Last, false);
        let flat = encoded.windows(4..20).unwrap();
        let fitted = LinearAutoregression::fit(&flat).unwrap().unwrap();
        assert!(fitted.forecast(&flat).unwrap().iter().all(|value| *value == 3.0));
        assert_eq!(LinearAutoregression::fit(&encoded.windows(4..8).unwrap()).unwrap(), None);
        assert!(LinearAutoregression::fit(&encoded.windows(4..9).unwrap()).unwrap().is_some());
    }

    #[test]
    fn a_panel_has_one_regression_in_scaled_units() {
        let mut noise = noise();
        let x = second_order(300, &mut noise);
        let larger: Vec<f64> = x.iter().map(|value| 1000.0 + 50.0 * value).collect();
        let frame = Frame { window: 3, horizon: 2 };
        let of = |columns: &[Vec<f64>], panel| {
            let encoded = encoded(columns, frame, RelativeTo::Mean, panel);
            let windows = encoded.windows(3..300).unwrap();
            let fitted = LinearAutoregression::fit(&windows).unwrap().unwrap();
            (fitted.regressions.len(), fitted.forecast(&windows).unwrap())
        };
        let (alone, forecast) = of(std::slice::from_ref(&x), false);
        // The second series is the first in other units, so that both together say what each says.
        let (together, of_both) = of(&[x.clone(), larger.clone()], true);
        let (each, of_each) = of(&[x, larger], false);
        assert_eq!((alone, together, each), (1, 1, 2));
        for (at, value) in forecast.indexed_iter() {
            let (n, step, _) = at;
            for both in [&of_both, &of_each] {
                assert!((both[[n, step, 0]] - value).abs() < 1e-6, "{at:?}");
                assert!((both[[n, step, 1]] - 1000.0 - 50.0 * value).abs() < 1e-4, "{at:?}");
            }
        }
    }

    #[test]
    fn a_part_of_many_windows_is_drawn_evenly_from_all_members() {
        let drawn = evenly(7 * 1000, 1000);
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.len() == 1000 && drawn[999] < 7000);
        for member in 0..7 {
            let count = drawn.iter().filter(|example| **example % 7 == member).count();
            assert!((120..170).contains(&count), "{member}: {count}");
        }
        assert_eq!(evenly(5, 5), [0, 1, 2, 3, 4]);
    }
}
