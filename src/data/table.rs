//! A series from a column of comma-separated text.

use std::path::Path;

use super::Series;
use crate::error::{Error, Result};

/// The bundled series: the yearly mean sunspot number, 1700–2008, columns `YEAR` and `SUNACTIVITY`.
pub const SUNSPOTS: &str = include_str!("../../data/sunspots.csv");

/// The names in the first line of comma-separated text. `path` is what errors name.
///
/// # Errors
/// [`Error::Data`] where the text is empty or not UTF-8.
pub fn columns(text: &[u8], path: &Path) -> Result<Vec<String>> {
    let headers = csv::Reader::from_reader(text).headers().cloned();
    let headers = headers.map_err(|error| refused(path, String::new(), unreadable(&error)))?;
    if headers.iter().all(|name| name.trim().is_empty()) {
        let message = "expected a line of column names and rows of numbers, got an empty file";
        return Err(refused(path, String::new(), message.into()));
    }
    Ok(headers.iter().map(|name| name.trim().trim_start_matches('\u{feff}').to_owned()).collect())
}

impl Series {
    /// Reads the column `target` of comma-separated text whose first line names the columns; the first column gives the
    /// labels. `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the names, and the column.
    pub fn from_csv(text: &[u8], path: &Path, target: &str) -> Result<Self> {
        let columns = columns(text, path)?;
        let Some(index) = columns.iter().position(|name| name == target) else {
            let message = format!("expected a column {target:?}, got the columns {}", columns.join(", "));
            return Err(refused(path, String::new(), message));
        };
        let mut series =
            Self { name: target.into(), label_name: columns[0].clone(), labels: Vec::new(), values: Vec::new() };
        for (row, record) in csv::Reader::from_reader(text).records().enumerate() {
            let record = record.map_err(|error| refused(path, format!(", row {}", row + 1), unreadable(&error)))?;
            let line = record.position().map_or(0, csv::Position::line);
            let place = format!(", row {} (line {line}), column {target:?}", row + 1);
            let field = record[index].trim();
            let value = match field.parse::<f64>() {
                _ if field.is_empty() => Err("a missing value".into()),
                Ok(value) if (value as f32).is_finite() => Ok(value),
                _ => Err(format!("{field:?}")),
            };
            let value = value.map_err(|got| refused(path, place, format!("expected a finite number, got {got}")))?;
            series.values.push(value);
            series.labels.push(record[0].trim().to_owned());
        }
        match series.is_empty() {
            true => Err(refused(path, String::new(), "expected rows below the column names, got none".into())),
            false => Ok(series),
        }
    }
}

fn refused(path: &Path, place: String, message: String) -> Error {
    Error::Data { path: path.into(), place, message }
}

fn unreadable(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, pos } => {
            let line = pos.as_ref().map(|pos| format!(" in line {}", pos.line())).unwrap_or_default();
            format!("expected {expected_len} fields, got {len}{line}")
        }
        csv::ErrorKind::Utf8 { .. } => "expected UTF-8 text, got other bytes".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Examples, Scaling, ScalingKind, Split, Windows};

    fn sunspots() -> Series {
        Series::from_csv(SUNSPOTS.as_bytes(), Path::new("sunspots.csv"), "SUNACTIVITY").unwrap()
    }

    #[test]
    fn the_bundled_series_has_every_year_from_1700_to_2008() {
        let series = sunspots();
        let years: Vec<f64> = (1700..=2008).map(f64::from).collect();
        assert_eq!(series.positions(), Some(years));
        assert_eq!((series.values[0], series.values[308]), (5.0, 2.9));
    }

    #[test]
    fn windows_hold_the_values_before_their_target() {
        let series = sunspots();
        let split = Split::at(series.len(), 22, series.rows_until("1920").unwrap(), 0.4).unwrap();
        assert_eq!((split.train.clone(), split.validation, split.test), (22..221, 221..256, 256..309));
        let scaling = Scaling::fit(ScalingKind::Standard, &series.values[..221]);
        let scaled: Vec<f32> = series.values.iter().map(|value| scaling.scale(*value) as f32).collect();
        let windows = Windows::new(scaled.as_slice().into(), 22, split.train).unwrap();
        assert_eq!(windows.len(), 199);
        let batch = windows.batch(&[198, 0], 22).unwrap();
        let expected = (0..22).map(|t| [scaled[198 + t], scaled[t]]);
        assert_eq!(
            batch.sequence,
            crate::Sequence::dense(ndarray::Array3::from_shape_fn((22, 2, 1), {
                let expected: Vec<_> = expected.collect();
                move |(t, b, _)| expected[t][b]
            }))
        );
        let crate::Targets::Values(y) = batch.targets else { panic!() };
        assert_eq!(y.into_raw_vec_and_offset().0, [scaled[220], scaled[22]]);
    }

    #[test]
    fn shares_split_the_targets_that_have_a_whole_window() {
        let split = Split::shares(110, 10, [0.7, 0.15, 0.15]).unwrap();
        assert_eq!((split.train, split.validation, split.test), (10..80, 80..95, 95..110));
        assert!(Split::shares(110, 10, [0.7, 0.2, 0.2]).is_err());
        assert!(Split::shares(10, 10, [0.7, 0.15, 0.15]).is_err());
    }

    #[test]
    fn a_refused_number_is_named_by_row_and_column() {
        let error = |text: &str| Series::from_csv(text.as_bytes(), Path::new("a.csv"), "v").unwrap_err().to_string();
        let place = "a.csv, row 2 (line 3), column \"v\": expected a finite number";
        assert_eq!(error("t,v\n1,2\n2,x\n"), format!("{place}, got \"x\""));
        assert_eq!(error("t,v\n1,2\n2,\n"), format!("{place}, got a missing value"));
        assert_eq!(error("t,v\n1,2\n2,inf\n"), format!("{place}, got \"inf\""));
        assert_eq!(error("t,v\n1,2\n2\n"), "a.csv, row 2: expected 2 fields, got 1 in line 3");
        assert_eq!(error("t,w\n1,2\n"), "a.csv: expected a column \"v\", got the columns t, w");
        assert!(error("").contains("got an empty file"));
        assert!(error("t,v\n").contains("got none"));
    }
}
