//! Rows that are missing in time.

use std::fmt;

use super::label::DAY;
use super::numbers::write_fixed;
use super::onward::{Steps, counted, counts, on_weekdays, span, walls};
use super::{Reading, Times};

/// Rows that are not there between others, by the step that most rows are apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapsInTime {
    /// How many rows are missing.
    pub missing: usize,
    /// In how many places.
    pub places: usize,
    /// The labels of the rows around the first place.
    pub first: [String; 2],
    /// The step that most rows are apart, in words.
    pub step: String,
}

impl fmt::Display for GapsInTime {
    /// `10 rows are missing in time: none between "2024-01-05" and "2024-01-16", where most are 1 day apart`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, places, first: [after, before], step } = self;
        let (rows, more) = match (missing, places) {
            (1, _) => ("1 row is".to_owned(), String::new()),
            (_, 1) => (format!("{missing} rows are"), String::new()),
            _ => (format!("{missing} rows are"), format!(", the first of {places} places")),
        };
        write!(f, "{rows} missing in time: none between {after:?} and {before:?}{more}, where most are {step} apart")
    }
}

/// `None` where nothing is missing, or no step is that of most rows.
pub(in crate::data) fn find(times: &Times, labels: &[String]) -> Option<GapsInTime> {
    let (keys, words): (Vec<i128>, Box<dyn Fn(i128) -> String>) = match times.reading {
        Reading::Numbers { decimals: Some(decimals) } | Reading::Behind { decimals } => {
            (times.keys.clone(), Box::new(move |step| write_fixed(step, decimals)))
        }
        Reading::Numbers { decimals: None } => return None,
        Reading::Seasons => (times.keys.clone(), Box::new(|step| counted(step, "year"))),
        Reading::Dates { unit, .. } => match counts(unit, &walls(times, labels)?)? {
            (Steps::Even, _) => (times.keys.clone(), Box::new(span)),
            (_, months) => (months, Box::new(|step| counted(step, "month"))),
        },
    };
    let mut steps: Vec<i128> = keys.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let all = steps.clone();
    steps.sort_unstable();
    let usual = steps.chunk_by(|a, b| a == b).max_by_key(|equal| equal.len())?;
    let usual = (2 * usual.len() > steps.len()).then_some(usual[0]).filter(|usual| *usual > 0)?;
    let dates = matches!(times.reading, Reading::Dates { .. });
    let weekdays = dates && usual == DAY && walls(times, labels).is_some_and(|walls| on_weekdays(&walls));
    let missing = |from: i128, step: i128| match step % usual {
        0 if weekdays => {
            let day = from.div_euclid(DAY);
            // 1970 began on a Thursday.
            (day + 1..day + step / DAY).filter(|day| (day + 3).rem_euclid(7) < 5).count()
        }
        0 => usize::try_from(step / usual - 1).unwrap_or(0),
        _ => 0,
    };
    let places: Vec<(usize, usize)> =
        keys.iter().zip(&all).map(|(from, step)| missing(*from, *step)).enumerate().filter(|(_, n)| *n > 0).collect();
    let (row, _) = *places.first()?;
    Some(GapsInTime {
        missing: places.iter().map(|(_, missing)| missing).sum(),
        places: places.len(),
        first: [labels.get(row)?.clone(), labels.get(row + 1)?.clone()],
        step: words(usual),
    })
}
