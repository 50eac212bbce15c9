//! What is the same in all rows of a series of a panel.

use ndarray::{ArrayViewMut1, s};
use serde::{Deserialize, Serialize};

use crate::data::common::scaling::is_constant;
use crate::data::{Scaling, ScalingKind};
use crate::error::{Error, Result};

/// A column that is the same in all rows of a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StaticColumn {
    /// The column's name.
    pub name: String,
    /// What the file has, by series; empty if it is missing.
    pub texts: Vec<String>,
    /// The same as numbers, NaN if it is missing; `None` if one of them is none.
    pub numbers: Option<Vec<f64>>,
}

impl StaticColumn {
    /// The same for the series with these indices.
    pub(super) fn of_series(&self, indices: &[usize]) -> Self {
        Self {
            name: self.name.clone(),
            texts: indices.iter().map(|index| self.texts[*index].clone()).collect(),
            numbers: self.numbers.as_ref().map(|numbers| indices.iter().map(|index| numbers[*index]).collect()),
        }
    }
}

/// The encoding of a [`StaticColumn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticCodec {
    /// The column's name.
    pub name: String,
    /// Its inputs.
    pub encoding: StaticEncoding,
}

/// The inputs of a [`StaticColumn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StaticEncoding {
    /// The number, scaled, 0 if it is missing; then a mask, if the column had a missing number when it was fitted: 1
    /// where the number exists and 0 where it is missing.
    Number {
        /// The scaling to mean 0 and standard deviation 1 over the series.
        scaling: Scaling,
        /// Whether there is a mask.
        masked: bool,
    },
    /// One input for each class, in this order: 1 for the class of the series, and 0 for the others. All are 0 if it is
    /// missing or another.
    Classes(Vec<String>),
}

impl StaticCodec {
    /// Fits to a column: to its numbers, or to its texts as classes if they are no numbers or `classes` is set.
    ///
    /// # Errors
    /// [`Error::Value`] if the column has the same value for all of several series, from which nothing can be learned.
    pub fn fit(column: &StaticColumn, classes: bool) -> Result<Self> {
        let same = match column.numbers.as_ref().filter(|_| !classes) {
            Some(numbers) => is_constant(numbers),
            None => column.texts.iter().all(|text| *text == column.texts[0]),
        };
        if same && column.texts.len() > 1 {
            let expected = "a value that tells some of the series apart";
            let got = format!("{:?} for all {}", column.texts[0], column.texts.len());
            return Err(Error::value(format!("the static column {:?}", column.name), expected, got));
        }
        let encoding = match column.numbers.as_ref().filter(|_| !classes) {
            Some(numbers) => StaticEncoding::Number {
                scaling: Scaling::fit(ScalingKind::Standard, numbers),
                masked: numbers.iter().any(|number| number.is_nan()),
            },
            None => {
                let mut classes: Vec<String> = column.texts.iter().filter(|text| !text.is_empty()).cloned().collect();
                classes.sort();
                classes.dedup();
                StaticEncoding::Classes(classes)
            }
        };
        Ok(Self { name: column.name.clone(), encoding })
    }

    /// The number of inputs.
    pub fn width(&self) -> usize {
        match &self.encoding {
            StaticEncoding::Number { masked, .. } => 1 + usize::from(*masked),
            StaticEncoding::Classes(classes) => classes.len(),
        }
    }

    /// The series whose class is none of those that are known, by index.
    pub fn unknown(&self, column: &StaticColumn) -> Vec<usize> {
        match &self.encoding {
            StaticEncoding::Number { .. } => Vec::new(),
            StaticEncoding::Classes(known) => {
                let is_unknown = |text: &String| !text.is_empty() && known.binary_search(text).is_err();
                (0..column.texts.len()).filter(|index| is_unknown(&column.texts[*index])).collect()
            }
        }
    }

    /// Writes the inputs of a series.
    ///
    /// # Errors
    /// [`Error::Value`] for a text in a column of numbers, a missing number in one without a mask, and a number beyond
    /// f32.
    pub(super) fn write(&self, column: &StaticColumn, series: usize, mut inputs: ArrayViewMut1<'_, f32>) -> Result<()> {
        match &self.encoding {
            StaticEncoding::Number { scaling, masked } => {
                let refused = |expected: &str| {
                    let what = format!("the static column {:?} of series {}", self.name, series + 1);
                    Error::value(what, expected, format!("{:?}", column.texts[series]))
                };
                let number = match &column.numbers {
                    Some(numbers) => numbers[series],
                    None => return Err(refused("numbers alone, as when the network was trained")),
                };
                if number.is_nan() && !masked {
                    return Err(refused("a number, as every series had when the network was trained"));
                }
                inputs[0] = if number.is_nan() { 0.0 } else { scaling.scale(number) as f32 };
                if !inputs[0].is_finite() {
                    return Err(refused(&format!("a number within f32 in units of {}", scaling.unit)));
                }
                inputs.slice_mut(s![1..]).fill(f32::from(u8::from(!number.is_nan())));
            }
            StaticEncoding::Classes(classes) => {
                inputs.fill(0.0);
                if let Ok(class) = classes.binary_search(&column.texts[series]) {
                    inputs[class] = 1.0;
                }
            }
        }
        Ok(())
    }

    /// Refuses classes out of order, and a scaling that is not finite or whose unit is not above 0.
    pub(super) fn validate(&self) -> Result<()> {
        match &self.encoding {
            StaticEncoding::Classes(classes) if classes.is_sorted_by(|a, b| a < b) => Ok(()),
            StaticEncoding::Number { scaling: Scaling { offset, unit }, .. }
                if offset.is_finite() && unit.is_finite() && *unit > 0.0 =>
            {
                Ok(())
            }
            other => {
                let expected = "ascending classes, or a scaling with finite numbers and a unit above 0";
                Err(Error::value(format!("the static column {:?}", self.name), expected, format!("{other:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    fn column(texts: &[&str]) -> StaticColumn {
        let number = |text: &&str| if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() };
        StaticColumn {
            name: "c".into(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            numbers: texts.iter().map(number).collect(),
        }
    }

    fn inputs(codec: &StaticCodec, column: &StaticColumn, series: usize) -> Vec<f32> {
        let mut inputs = Array1::from_elem(codec.width(), 9.0);
        codec.write(column, series, inputs.view_mut()).unwrap();
        inputs.to_vec()
    }

    #[test]
    fn numbers_are_scaled_over_the_series_and_words_are_classes() {
        let sizes = column(&["1", "3", "1", "3"]);
        let codec = StaticCodec::fit(&sizes, false).unwrap();
        assert_eq!([inputs(&codec, &sizes, 0), inputs(&codec, &sizes, 1)], [[-1.0], [1.0]]);
        let codec = StaticCodec::fit(&sizes, true).unwrap();
        assert_eq!([inputs(&codec, &sizes, 0), inputs(&codec, &sizes, 1)], [[1.0, 0.0], [0.0, 1.0]]);
        let regions = column(&["south", "north", "", "south"]);
        let codec = StaticCodec::fit(&regions, false).unwrap();
        assert_eq!(codec.encoding, StaticEncoding::Classes(vec!["north".into(), "south".into()]));
        assert_eq!([0, 1, 2].map(|series| inputs(&codec, &regions, series)), [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]);
        let others = column(&["east", "north"]);
        assert_eq!((codec.unknown(&others), inputs(&codec, &others, 0)), (vec![0], vec![0.0, 0.0]));
    }

    #[test]
    fn missing_numbers_have_a_mask_and_are_refused_where_none_was_missing() {
        let gap = column(&["1", "", "3"]);
        let codec = StaticCodec::fit(&gap, false).unwrap();
        assert_eq!([0, 1, 2].map(|series| inputs(&codec, &gap, series)), [[-1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]);
        let codec = StaticCodec::fit(&column(&["1", "3"]), false).unwrap();
        for (other, expected) in [(&gap, "as every series had"), (&column(&["1", "big"]), "numbers alone")] {
            let error = codec.write(other, 1, Array1::zeros(1).view_mut()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("\"c\" of series 2"), "{error}");
        }
    }

    #[test]
    fn a_column_that_tells_no_series_apart_is_refused() {
        for texts in [&["a", "a"][..], &["2", "2"]] {
            let error = StaticCodec::fit(&column(texts), false).unwrap_err().to_string();
            assert!(error.contains("tells some of the series apart") && error.contains("for all 2"), "{error}");
        }
        assert!(StaticCodec::fit(&column(&["a"]), false).is_ok());
    }
}
