//! Rows missing in time.

use std::borrow::Cow;
use std::fmt;

use super::column::TimeColumn;
use super::extrapolation::{DateSteps, counted, counts, on_weekdays, span, walls};
use super::label::Reading;
use super::label::calendar::DAY;
use super::label::numbers::write_fixed;

/// Rows missing between others, judged by the most common step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeGaps {
    /// The number of missing rows.
    pub missing: usize,
    /// The number of gaps.
    pub places: usize,
    /// The labels around the first gap.
    pub first: [String; 2],
    /// The most common step, in words.
    pub step: String,
}

impl fmt::Display for TimeGaps {
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

/// Steps that are not even, as counted in months if the labels are a month apart, and otherwise as time or numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnevenSteps {
    /// The labels around the first step that differs from the one before it.
    pub first: [String; 2],
    /// The step between them, and the one before it, in words.
    pub steps: [String; 2],
}

impl fmt::Display for UnevenSteps {
    /// `steps in time are not even: "2024-01-05 10:00" to "2024-01-05 10:07" is 7 minutes, and the step before it 10 minutes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first: [before, after], steps: [step, earlier] } = self;
        write!(f, "steps in time are not even: {before:?} to {after:?} is {step}, and the step before it {earlier}")
    }
}

/// A step in words.
type Words = Box<dyn Fn(i128) -> String>;

/// What steps are counted in.
fn keys_of<'a>(times: &'a TimeColumn, walls: Option<&'a [i128]>) -> Option<(Cow<'a, [i128]>, Words)> {
    Some(match (times.reading(), walls) {
        (Reading::Numbers { decimals: Some(decimals), .. } | Reading::NumberInWords { decimals }, _) => {
            (Cow::Borrowed(&times.keys), Box::new(move |step| write_fixed(step, decimals)))
        }
        (Reading::Seasons, _) => (Cow::Borrowed(&times.keys), Box::new(|step| counted(step, "year"))),
        (Reading::Dates { unit, .. }, Some(walls)) => match counts(unit, walls)? {
            (DateSteps::Even, _) => (Cow::Borrowed(&times.keys), Box::new(span)),
            (_, months) => (months, Box::new(|step| counted(step, "month"))),
        },
        _ => return None,
    })
}

/// The local clocks of dates; `None` within if they are other labels.
fn walls_of(times: &TimeColumn, labels: &[String]) -> Option<Option<Vec<i128>>> {
    match times.reading() {
        Reading::Dates { .. } => walls(times, labels).map(Some),
        _ => Some(None),
    }
}

/// `None` if all steps are even, of days from Monday to Friday, or of counts that roll over.
pub(crate) fn uneven(times: &TimeColumn, labels: &[String]) -> Option<UnevenSteps> {
    let walls = walls_of(times, labels)?;
    let (keys, words) = keys_of(times, walls.as_deref())?;
    let step = |row: usize| keys[row] - keys[row - 1];
    let row = (2..keys.len()).find(|row| step(*row) != step(row - 1))?;
    let usual = usual_step(&keys);
    let is_usual = |usual: i128| match &walls {
        Some(walls) => usual == DAY && on_weekdays(walls),
        None => carries(&keys, usual),
    };
    // The same hour of each day, across clock changes.
    let is_daily =
        walls.as_ref().is_some_and(|walls| walls.windows(2).all(|pair| pair[1] - pair[0] == walls[1] - walls[0]));
    if is_daily || usual.is_some_and(is_usual) {
        return None;
    }
    let label = |row: usize| labels.get(row).cloned();
    Some(UnevenSteps { first: [label(row - 1)?, label(row)?], steps: [words(step(row)), words(step(row - 1))] })
}

/// `None` if nothing is missing, or no step is the most common one.
pub(crate) fn find(times: &TimeColumn, labels: &[String]) -> Option<TimeGaps> {
    let walls = walls_of(times, labels)?;
    let (keys, words) = keys_of(times, walls.as_deref())?;
    let usual = usual_step(&keys).filter(|usual| *usual > 0)?;
    let dates = matches!(times.reading(), Reading::Dates { .. });
    if !dates && carries(&keys, usual) {
        return None;
    }
    // The weekday follows from the label's local clock, not UTC.
    let weekdays = walls.as_ref().filter(|walls| usual == DAY && on_weekdays(walls));
    let missing = |row: usize, step: i128| match (step % usual, weekdays) {
        (0, Some(walls)) => {
            let day = walls[row].div_euclid(DAY);
            // 1970 started on a Thursday.
            (day + 1..day + step / DAY).filter(|day| (day + 3).rem_euclid(7) < 5).count()
        }
        (0, None) => usize::try_from(step / usual - 1).unwrap_or(usize::MAX),
        _ => 0,
    };
    let (mut first, mut places, mut all) = (None, 0, 0_usize);
    for (row, pair) in keys.windows(2).enumerate() {
        let missing = missing(row, pair[1] - pair[0]);
        if missing > 0 {
            first = first.or(Some(row));
            places += 1;
            // Numbers may be farther apart than any count of rows.
            all = all.saturating_add(missing);
        }
    }
    let row = first?;
    Some(TimeGaps {
        missing: all,
        places,
        first: [labels.get(row)?.clone(), labels.get(row + 1)?.clone()],
        step: words(usual),
    })
}

/// The step of more than half of the rows: all others together are fewer.
fn usual_step(keys: &[i128]) -> Option<i128> {
    let steps = || keys.windows(2).map(|pair| pair[1] - pair[0]);
    let (mut usual, mut lead) = (0, 0_usize);
    for step in steps() {
        match lead {
            0 => (usual, lead) = (step, 1),
            _ if step == usual => lead += 1,
            _ => lead -= 1,
        }
    }
    let count = steps().filter(|step| *step == usual).count();
    (2 * count > steps().len()).then_some(usual)
}

/// Whether steps between numbers are larger only where two-part counts roll over, as in `202052`, `202101` for weeks or
/// `19904`, `19911` for quarters: nothing is missing there.
fn carries(keys: &[i128], usual: i128) -> bool {
    let larger: Vec<usize> = (1..keys.len()).filter(|row| keys[*row] - keys[row - 1] > usual).collect();
    let step = |row: &usize| keys[*row] - keys[row - 1];
    let [first, .., last] = larger[..] else {
        return larger.iter().all(|row| of_years(keys, *row));
    };
    // Equal steps at equal distances, except for years with an extra week or day.
    let apart = |pair: &[usize]| pair[1] - pair[0];
    let distances = || larger.windows(2).map(apart);
    let even = distances().max().unwrap_or(0) - distances().min().unwrap_or(0) <= 1;
    let ends = distances().max().is_some_and(|most| first <= most + 1 && keys.len() - last <= most + 1);
    (even && ends && larger.iter().all(|row| step(row) == step(&first)))
        || larger.iter().all(|row| of_years(keys, *row))
}

/// Whether the number before `row` is the last quarter, month, week or day of a year, and that at `row` the first of
/// the next.
fn of_years(keys: &[i128], row: usize) -> bool {
    [(10, &[2, 3, 4, 6][..]), (100, &[12, 13, 52, 53]), (1000, &[365, 366])].iter().any(|(base, ends)| {
        let (before, after) = (keys[row - 1], keys[row]);
        (1700..2300).contains(&before.div_euclid(*base))
            && after == (before.div_euclid(*base) + 1) * base + 1
            && ends.contains(&before.rem_euclid(*base))
    })
}
