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
pub(crate) fn find(times: &Times, labels: &[String]) -> Option<GapsInTime> {
    let (keys, words): (Vec<i128>, Box<dyn Fn(i128) -> String>) = match times.reading {
        Reading::Numbers { decimals: Some(decimals), .. } | Reading::Behind { decimals } => {
            (times.keys.clone(), Box::new(move |step| write_fixed(step, decimals)))
        }
        Reading::Numbers { decimals: None, .. } => return None,
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
    if !dates && carries(&keys, usual) {
        return None;
    }
    // Which weekday it is tells the clock of the label, not UTC.
    let weekdays = dates.then(|| walls(times, labels)).flatten().filter(|walls| usual == DAY && on_weekdays(walls));
    let missing = |row: usize, step: i128| match (step % usual, &weekdays) {
        (0, Some(walls)) => {
            let day = walls[row].div_euclid(DAY);
            // 1970 began on a Thursday.
            (day + 1..day + step / DAY).filter(|day| (day + 3).rem_euclid(7) < 5).count()
        }
        (0, None) => usize::try_from(step / usual - 1).unwrap_or(usize::MAX),
        _ => 0,
    };
    let places: Vec<(usize, usize)> =
        all.iter().enumerate().map(|(row, step)| (row, missing(row, *step))).filter(|(_, n)| *n > 0).collect();
    let (row, _) = *places.first()?;
    Some(GapsInTime {
        // Numbers may be as far apart as no count of rows is.
        missing: places.iter().fold(0, |sum, (_, missing)| sum.saturating_add(*missing)),
        places: places.len(),
        first: [labels.get(row)?.clone(), labels.get(row + 1)?.clone()],
        step: words(usual),
    })
}

/// Whether numbers are larger steps apart only where they count in two places, as in `202052`, `202101` for weeks or
/// `19904`, `19911` for quarters of years: nothing is missing there.
fn carries(keys: &[i128], usual: i128) -> bool {
    let larger: Vec<usize> = (1..keys.len()).filter(|row| keys[*row] - keys[row - 1] > usual).collect();
    let step = |row: &usize| keys[*row] - keys[row - 1];
    let [first, .., last] = larger[..] else {
        return larger.iter().all(|row| of_years(keys, *row));
    };
    // The same step at distances that are the same, but for years with a week or a day more.
    let apart = |pair: &[usize]| pair[1] - pair[0];
    let distances = || larger.windows(2).map(apart);
    let even = distances().max().unwrap_or(0) - distances().min().unwrap_or(0) <= 1;
    let ends = distances().max().is_some_and(|most| first <= most + 1 && keys.len() - last <= most + 1);
    (even && ends && larger.iter().all(|row| step(row) == step(&first)))
        || larger.iter().all(|row| of_years(keys, *row))
}

/// Whether the number before `row` is the last quarter, month, week or day of a year, and the one there the first of the next.
fn of_years(keys: &[i128], row: usize) -> bool {
    [(10, &[2, 3, 4, 6][..]), (100, &[12, 13, 52, 53]), (1000, &[365, 366])].iter().any(|(base, ends)| {
        let (before, after) = (keys[row - 1], keys[row]);
        (1700..2300).contains(&before.div_euclid(*base))
            && after == (before.div_euclid(*base) + 1) * base + 1
            && ends.contains(&before.rem_euclid(*base))
    })
}
