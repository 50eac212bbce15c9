//! What the likelihoods of distributions need of a series: counts with their units as targets, and forecasts that are
//! distributions in the units of the data.

use ndarray::{Array2, Array3};

use crate::data::series::encoded::Window;
use crate::data::{Scaling, Series, Windows};
use crate::error::{Error, Result};
use crate::model::{Distribution, Loss};
use crate::real::Real;

/// The largest count: up to here all whole numbers are exact.
const MOST: f64 = 9_007_199_254_740_992.0;

impl Scaling {
    /// A distribution of scaled numbers in the units of the data. That of counts is one of counts before and after: what
    /// [`Loss::NegativeBinomial`] predicts for a unit of 1 becomes that for `unit`, and the offset must be 0.
    pub fn unscale_distribution(&self, scaled: Distribution) -> Distribution {
        match scaled {
            Distribution::Normal { mean, deviation } => {
                Distribution::Normal { mean: self.unscale(mean), deviation: deviation * self.unit }
            }
            Distribution::StudentT { location, scale, freedom } => {
                Distribution::StudentT { location: self.unscale(location), scale: scale * self.unit, freedom }
            }
            Distribution::NegativeBinomial { mean, dispersion } => {
                Distribution::NegativeBinomial { mean: mean * self.unit, dispersion: dispersion / self.unit.sqrt() }
            }
        }
    }
}

impl Series {
    /// Refuses targets that are not counts.
    ///
    /// # Errors
    /// [`Error::Value`] names the first value that is negative or not whole, by row and column.
    pub fn check_counts(&self) -> Result<()> {
        let bad = |row: &usize, value: f64| (value < 0.0 || value.fract() > 0.0 || value > MOST).then_some(*row);
        let first = |column: &[f64]| (0..column.len()).find(|row| bad(row, column[*row]).is_some());
        let all = self.targets().iter().filter_map(|column| first(&column.values).map(|row| (row, column)));
        match all.min_by_key(|(row, _)| *row) {
            Some((row, column)) => {
                let expected = "a count, a whole number of at least 0";
                Err(Error::value(self.place(row, column), expected, column.values[row]))
            }
            None => Ok(()),
        }
    }
}

impl Windows {
    /// The same windows with targets for [`Loss::NegativeBinomial`]: instead of each scaled number the count and its unit,
    /// so that the targets are \[1, B, 2·Q·K\]. The unit is that of the column's scaling, whose offset must be 0.
    ///
    /// # Errors
    /// [`Error::Value`] for a value that is no count, and for a scaling with an offset.
    pub fn of_counts(mut self) -> Result<Self> {
        self.encoded.series().check_counts()?;
        let codec = self.encoded.codec();
        if !codec.relative.is_none() {
            return Err(Error::value(
                "what windows are seen from",
                "nothing, for counts",
                format!("{:?}", codec.relative),
            ));
        }
        if let Some(column) = codec.targets.iter().find(|column| column.scaling.offset != 0.0) {
            let what = format!("the scaling of column {:?}", column.name);
            return Err(Error::value(what, "an offset of 0, for counts", column.scaling.offset));
        }
        self.counts = true;
        Ok(self)
    }

    /// ŷ, \[1, P·Q·K\] per example with the P parameters of each target's distribution by `loss`, as distributions in the
    /// units of the data: \[N, K, Q\], N windows and all targets; `None` if the example is left out.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are more or fewer predictions than examples, or one has another shape, as for every
    /// `loss` that is no likelihood of a distribution.
    pub fn decode_distributions<R: Real>(
        &self,
        loss: &Loss,
        predictions: &[Array2<R>],
    ) -> Result<Array3<Option<Distribution>>> {
        if predictions.len() != self.examples.len() {
            return Err(Error::shape("the predictions", &[self.examples.len()], &[predictions.len()]));
        }
        let (codec, each) = (self.encoded.codec(), loss.outputs_per_target());
        let mut decoded = self.missing().mapv(|_| None);
        for (index, (example, prediction)) in self.examples.iter().zip(predictions).enumerate() {
            let outputs = each * codec.outputs();
            let targets = codec.targets_of(example.member);
            let Window { scalings, .. } = self.window(*example);
            let numbers: Vec<f64> = prediction.iter().map(|value| value.as_f64()).collect();
            let distributions: Option<Vec<Distribution>> =
                numbers.chunks(each).map(|outputs| loss.distribution(outputs)).collect();
            let Some(distributions) = distributions.filter(|_| prediction.shape() == [1, outputs]) else {
                let tensor = format!("the prediction of example {index}");
                return Err(Error::shape(tensor, &[1, outputs], prediction.shape()));
            };
            let mut decoded = decoded.slice_mut(ndarray::s![example.window, .., targets]);
            let scaled = distributions.into_iter().zip(scalings.iter().cycle());
            decoded.iter_mut().zip(scaled).for_each(|(to, (of, scaling))| *to = Some(scaling.unscale_distribution(of)));
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::array;

    use super::*;
    use crate::batch::Targets;
    use crate::data::{
        Column, ColumnRoles, EncodedSeries, Examples, Frame, MissingPolicy, RelativeTo, ScalingKind, SeriesCodec,
        SeriesTable,
    };

    const N: f64 = f64::NAN;
    const A: [f64; 8] = [0.0, 4.0, 2.0, 6.0, 0.0, 6.0, N, 1.0];

    fn encoded(a: &[f64], kind: ScalingKind, relative: RelativeTo) -> Arc<EncodedSeries> {
        let labels = (0..a.len()).map(|row| row.to_string()).collect();
        let columns = vec![Column { name: "a".into(), values: a.to_vec() }];
        let table = SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() };
        let series = Series::new(table, &ColumnRoles::one("a"), MissingPolicy::Mask).unwrap();
        let codec = SeriesCodec::fit(&series, Frame { window: 2, horizon: 2 }, 6, |_| kind).unwrap();
        codec.relative_to(relative).encode(series).unwrap()
    }

    #[test]
    fn the_targets_of_counts_are_counts_with_their_unit_and_the_inputs_stay_scaled() {
        let windows =
            encoded(&A, ScalingKind::MeanAbsolute, RelativeTo::None).all_windows().unwrap().of_counts().unwrap();
        let batch = windows.batch(&[0, 3], 2).unwrap();
        let Targets::Values(targets) = &batch.targets else { panic!("classes") };
        // The mean of the first six is 3; a missing count is 0, with a weight of 0.
        assert_eq!(targets, &array![[[2.0, 3.0, 6.0, 3.0], [6.0, 3.0, 0.0, 3.0]]]);
        assert_eq!(batch.weights, Some(array![[1.0, 0.0]]));
        let plain = encoded(&A, ScalingKind::MeanAbsolute, RelativeTo::None).all_windows().unwrap();
        assert_eq!(plain.batch(&[0, 3], 2).unwrap().sequence, batch.sequence);
    }

    #[test]
    fn counts_need_whole_numbers_of_at_least_0_and_a_scaling_without_an_offset() {
        let refused = |a: &[f64], kind, relative| {
            encoded(a, kind, relative).all_windows().unwrap().of_counts().unwrap_err().to_string()
        };
        let of = |value: f64| {
            let mut a = A;
            a[3] = value;
            a[5] = -1.0;
            refused(&a, ScalingKind::None, RelativeTo::None)
        };
        let expected = "row 4 (\"3\"), column \"a\": expected a count, a whole number of at least 0, got";
        assert_eq!(of(1.5), format!("{expected} 1.5"));
        assert_eq!(of(-2.0), format!("{expected} -2"));
        assert!(of(1e17).starts_with(expected));
        let offset = refused(&A, ScalingKind::Standard, RelativeTo::None);
        assert!(offset.starts_with("the scaling of column \"a\": expected an offset of 0"), "{offset}");
        assert!(refused(&A, ScalingKind::MeanAbsolute, RelativeTo::Last).contains("Last"));
        assert!(encoded(&A, ScalingKind::None, RelativeTo::None).all_windows().unwrap().of_counts().is_ok());
    }

    #[test]
    fn distributions_are_decoded_in_the_units_of_each_window() {
        let windows = encoded(&A, ScalingKind::Standard, RelativeTo::Last).all_windows().unwrap();
        let unit = windows.encoded().codec().targets[0].scaling.unit;
        let predictions = vec![array![[0.0f32, 1.0, 2.0, 0.5]]; windows.len()];
        let decoded = windows.decode_distributions(&Loss::Gaussian, &predictions).unwrap();
        // The last value before the first forecast is 4, and before the second 2.
        let normal = |mean: f64, deviation: f64| Some(Distribution::Normal { mean, deviation });
        assert_eq!(decoded[[0, 0, 0]], normal(4.0, unit));
        assert_eq!(decoded[[1, 1, 0]], normal(2.0 + 2.0 * unit, 0.5 * unit));
        let counts = encoded(&A, ScalingKind::MeanAbsolute, RelativeTo::None).all_windows().unwrap();
        let decoded = counts.decode_distributions(&Loss::NegativeBinomial, &predictions).unwrap();
        let expected = Distribution::NegativeBinomial { mean: 6.0, dispersion: 0.5 / f64::sqrt(3.0) };
        assert_eq!(decoded[[0, 1, 0]], Some(expected));
        for loss in [Loss::StudentT, Loss::SquaredError] {
            assert!(windows.decode_distributions(&loss, &predictions).is_err(), "{loss:?}");
        }
        assert!(windows.decode_distributions(&Loss::Gaussian, &predictions[1..]).is_err());
    }
}
