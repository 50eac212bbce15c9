//! The labels of a series' rows: their order, and how they go on beyond the last.

use super::calendar::{civil_from_days, days_from_civil};
use crate::error::{Error, Result};

/// The ways of writing a date that are recognised, with zeros for digits.
const DATES: [&str; 11] = [
    "0000-00",
    "00000000",
    "0000-00-00",
    "0000-00-00 00:00",
    "0000-00-00 00:00:00",
    "0000-00-00T00:00",
    "0000-00-00T00:00:00",
    "0000-00-00 00:00Z",
    "0000-00-00 00:00:00Z",
    "0000-00-00T00:00Z",
    "0000-00-00T00:00:00Z",
];

const DAY: i64 = 24 * 60 * 60;

/// The labels as numbers, where all of them are and each is above the one before. Dates without hyphens are none: between
/// the last day of a month and the next there would be a gap.
pub(super) fn positions(labels: &[String]) -> Option<Vec<f64>> {
    if labels.iter().all(|label| form_of(label) == "00000000" && Moment::read(label).is_some()) {
        return None;
    }
    let numbers = labels.iter().map(|label| label.trim().parse::<f64>().ok().filter(|n| n.is_finite()));
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    numbers.is_sorted_by(|a, b| a < b).then_some(numbers)
}

/// Refuses labels that are all numbers, or all dates of one form, and of which one is not above the one before: rows that
/// are not in the order of time cannot be split by it.
pub(super) fn check_order(labels: &[String], lines: &[usize], name: &str) -> Result<()> {
    let number = |label: &String| label.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let form = labels.first().map(|label| form_of(label)).filter(|form| DATES.contains(&form.as_str()));
    let date = |label: &String| {
        let alike = form.as_ref().is_some_and(|form| *form == form_of(label));
        alike.then(|| Moment::read(label)?.seconds()).flatten()
    };
    let row = if let Some(dates) = labels.iter().map(date).collect::<Option<Vec<_>>>() {
        dates.windows(2).position(|pair| pair[1] <= pair[0])
    } else if let Some(numbers) = labels.iter().map(number).collect::<Option<Vec<_>>>() {
        numbers.windows(2).position(|pair| pair[1] <= pair[0])
    } else {
        None
    };
    match row {
        Some(row) => {
            let got = format!("{:?} after {:?}; sort the rows, one for each {name}", labels[row + 1], labels[row]);
            Err(Error::value(place(labels, lines, row + 1, name), "the first column in ascending order", got))
        }
        None => Ok(()),
    }
}

/// `row 7 (line 8, "2024-01-07"), column "load"`, for messages; `lines` are empty where there is no file.
pub(super) fn place(labels: &[String], lines: &[usize], row: usize, column: &str) -> String {
    let line = lines.get(row).map(|line| format!("line {line}, ")).unwrap_or_default();
    format!("row {} ({line}{:?}), column {column:?}", row + 1, labels[row])
}

/// The number of labels up to and with `until`; see [`super::Series::rows_until`].
pub(super) fn rows_until(labels: &[String], name: &str, until: &str) -> Result<usize> {
    let refused = |expected: String, got: String| Error::value("the last label of the training part", expected, got);
    let (Some(first), Some(last)) = (labels.first(), labels.last()) else { return Ok(0) };
    let (rows, beyond) = match positions(labels) {
        Some(positions) => {
            let expected = || format!("a number, as all of column {name:?}");
            let until = until.trim().parse::<f64>().map_err(|_| refused(expected(), format!("{until:?}")))?;
            (
                positions.partition_point(|position| *position <= until),
                positions.last().is_some_and(|last| until > *last),
            )
        }
        None => {
            if let Some(row) = labels.windows(2).position(|pair| pair[0] > pair[1]) {
                let got = format!("{:?} after {:?} in row {}", labels[row + 1], labels[row], row + 2);
                return Err(refused(format!("column {name:?} in ascending order"), got));
            }
            let within = |label: &String| label.as_str() <= until || label.starts_with(until);
            (labels.partition_point(within), until > last.as_str())
        }
    };
    match rows == 0 || beyond {
        true => Err(refused(format!("a label from {first:?} to {last:?}"), format!("{until:?}"))),
        false => Ok(rows),
    }
}

/// The labels of the `count` rows that follow the first `before`: those that are there, then theirs carried on where they
/// are numbers or dates of constant step, and otherwise `+n`, n counted from the last of the first `before`.
pub(super) fn following(labels: &[String], before: usize, count: usize) -> Vec<String> {
    let given = &labels[before.min(labels.len())..];
    let missing = count.saturating_sub(given.len());
    let beyond = dates(labels, missing).or_else(|| numbers(labels, missing));
    let beyond = beyond.unwrap_or_else(|| (count - missing + 1..=count).map(|step| format!("+{step}")).collect());
    given.iter().take(count).cloned().chain(beyond).collect()
}

/// The step from each to the next, where it is the same and upwards.
fn constant_step<T: Copy + PartialOrd + std::ops::Sub<Output = T>>(numbers: &[T]) -> Option<T> {
    let step = match numbers {
        [first, second, ..] if second > first => *second - *first,
        _ => return None,
    };
    numbers.windows(2).all(|pair| pair[1] > pair[0] && pair[1] - pair[0] == step).then_some(step)
}

/// A label with zeros for digits.
fn form_of(label: &str) -> String {
    label.replace(|c: char| c.is_ascii_digit(), "0")
}

/// A date and a time of day.
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    seconds: i64,
}

impl Moment {
    /// Reads a label whose digits are in the order of a date, year first; what it does not have begins at 1, or at 0.
    fn read(label: &str) -> Option<Self> {
        let digits: Vec<i64> = label.bytes().filter(u8::is_ascii_digit).map(|digit| i64::from(digit - b'0')).collect();
        let year = digits.get(..4)?.iter().fold(0, |number, digit| 10 * number + digit);
        let pairs: Vec<i64> =
            digits[4..].chunks(2).map(|pair| pair.iter().fold(0, |number, digit| 10 * number + digit)).collect();
        let part = |index: usize, least: i64| pairs.get(index).copied().unwrap_or(least);
        let (month, day) = (part(0, 1), part(1, 1));
        let (hour, minute, second) = (part(2, 0), part(3, 0), part(4, 0));
        days_from_civil(year, month, day)?;
        let seconds = (hour < 24 && minute < 60 && second < 60).then_some((hour * 60 + minute) * 60 + second)?;
        Some(Self { year, month, day, seconds })
    }

    /// In the form of `DATES`.
    fn write(&self, form: &str) -> Option<String> {
        let Self { year, month, day, seconds } = self;
        days_from_civil(*year, *month, *day).filter(|_| (0..=9999).contains(year))?;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let digits = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
        let mut digits = digits.chars();
        Some(form.chars().filter_map(|c| if c == '0' { digits.next() } else { Some(c) }).collect())
    }

    fn months(&self) -> i64 {
        self.year * 12 + self.month - 1
    }

    /// Since 1970.
    fn seconds(&self) -> Option<i64> {
        Some(days_from_civil(self.year, self.month, self.day)? * DAY + self.seconds)
    }

    fn at_month(&self, months: i64) -> Self {
        Self { year: months.div_euclid(12), month: months.rem_euclid(12) + 1, ..*self }
    }

    fn at_second(seconds: i64) -> Self {
        let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
        Self { year, month, day, seconds: seconds.rem_euclid(DAY) }
    }
}

/// `count` more dates, where all labels are such and their step is a number of months or of seconds.
fn dates(labels: &[String], count: usize) -> Option<Vec<String>> {
    let first = form_of(labels.first()?);
    let form = DATES.into_iter().find(|form| *form == first)?;
    let moments: Vec<Moment> =
        labels.iter().map(|label| Moment::read(label).filter(|_| form_of(label) == form)).collect::<Option<_>>()?;
    let last = moments.last()?;
    let step_of = 1..=i64::try_from(count).ok()?;
    // The same day of each month: a number of days would not stay constant.
    if moments.iter().all(|moment| (moment.day, moment.seconds) == (last.day, last.seconds)) {
        let months: Vec<i64> = moments.iter().map(Moment::months).collect();
        if let Some(step) = constant_step(&months) {
            return step_of.map(|n| last.at_month(last.months() + n * step).write(form)).collect();
        }
    }
    let seconds: Vec<i64> = moments.iter().map(Moment::seconds).collect::<Option<_>>()?;
    let (step, last) = (constant_step(&seconds)?, *seconds.last()?);
    step_of.map(|n| Moment::at_second(last + n * step).write(form)).collect()
}

/// `count` more numbers, where all labels are such, written without an exponent, and their step is constant.
fn numbers(labels: &[String], count: usize) -> Option<Vec<String>> {
    let fraction = |label: &String| label.split_once('.').map_or(0, |(_, digits)| digits.len());
    let decimals = labels.iter().map(fraction).max()?;
    // In units of the last decimal, so that nothing is rounded.
    let numbers: Vec<i128> = labels.iter().map(|label| fixed_point(label, decimals)).collect::<Option<_>>()?;
    let (step, mut last) = (constant_step(&numbers)?, *numbers.last()?);
    let next = |_| {
        last = last.checked_add(step)?;
        let digits = format!("{:0width$}", last.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let (sign, point) = (if last < 0 { "-" } else { "" }, if decimals > 0 { "." } else { "" });
        Some(format!("{sign}{whole}{point}{fraction}"))
    };
    (0..count).map(next).collect()
}

/// A decimal number times 10^decimals; `None` also for one with leading zeros, which the next would not have.
fn fixed_point(label: &str, decimals: usize) -> Option<i128> {
    let (sign, digits) = label.strip_prefix('-').map_or(("", label), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let long = whole.len() + decimals > 30;
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || long || !plain(whole) || !plain(fraction) {
        return None;
    }
    format!("{sign}{whole}{fraction:0<decimals$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[track_caller]
    fn continues(labels: &[&str], next: &[&str]) {
        assert_eq!(following(&owned(labels), labels.len(), next.len()), next);
    }

    #[test]
    fn dates_go_on_through_leap_days_and_the_ends_of_years() {
        continues(&["2024-02-27", "2024-02-28"], &["2024-02-29", "2024-03-01"]);
        continues(&["1900-02-27", "1900-02-28"], &["1900-03-01"]);
        continues(&["20001217", "20001224"], &["20001231", "20010107"]);
        continues(&["20240130", "20240131"], &["20240201"]);
        continues(&["2018-06-26 18:00:00", "2018-06-26 19:00:00"], &["2018-06-26 20:00:00"]);
        continues(&["1999-12-31T23:15", "1999-12-31T23:30"], &["1999-12-31T23:45", "2000-01-01T00:00"]);
        continues(&["2020-02-28T12:00:00Z", "2020-02-29T00:00:00Z"], &["2020-02-29T12:00:00Z"]);
    }

    #[test]
    fn months_go_on_by_months() {
        continues(&["1960-10", "1960-11", "1960-12"], &["1961-01", "1961-02"]);
        continues(&["1960-01", "1960-04"], &["1960-07", "1960-10", "1961-01"]);
        continues(&["2023-01-01", "2023-02-01", "2023-03-01"], &["2023-04-01"]);
        continues(&["2022-12-31", "2023-12-31"], &["2024-12-31"]);
    }

    #[test]
    fn numbers_go_on_as_they_are_written() {
        continues(&["2007", "2008"], &["2009", "2010"]);
        continues(&["0.1", "0.2", "0.3"], &["0.4", "0.5"]);
        continues(&["-1.5", "-1.0"], &["-0.5", "0.0", "0.5"]);
        continues(&["98", "99"], &["100"]);
    }

    #[test]
    fn what_has_no_constant_step_is_counted() {
        for labels in [
            &["1", "2", "4"][..],
            &["3", "2", "1"],
            &["a", "b"],
            &["7"],
            &["2024-03-31", "2024-06-30", "2024-09-30"],
            &["2023-02-28", "2023-02-30"],
            &["2023-02-28", "2023-03"],
            &["007", "008"],
            &["1e3", "2e3"],
            &["", ""],
            &["9999-11", "9999-12"],
        ] {
            continues(labels, &["+1", "+2"]);
        }
    }

    #[test]
    fn numbers_and_dates_that_do_not_ascend_are_refused_and_other_labels_are_not() {
        let refused = |labels: &[&str], row: usize| {
            let error = check_order(&owned(labels), &[], "t").unwrap_err().to_string();
            let [before, label] = [labels[row - 2], labels[row - 1]];
            let expected = "expected the first column in ascending order";
            let way = "sort the rows, one for each t";
            let place = format!("row {row} ({label:?}), column \"t\"");
            assert_eq!(error, format!("{place}: {expected}, got {label:?} after {before:?}; {way}"));
        };
        refused(&["1", "3", "2"], 3);
        refused(&["7", "7"], 2);
        refused(&["10", "9.5"], 2);
        refused(&["2024-01-31", "2024-02-01", "2024-01-30"], 3);
        refused(&["20240102", "20240101"], 2);
        refused(&["2024-01-01 01:00", "2024-01-01 01:00"], 2);
        // A number among them is above the one before, whatever its digits.
        for labels in [&["9", "10"][..], &["b", "a"], &["x", "x"], &["2024-01-01", "then"], &["1"], &[]] {
            check_order(&owned(labels), &[], "t").unwrap();
        }
    }

    #[test]
    fn labels_that_are_there_come_first() {
        let labels = owned(&["1", "2", "3", "4"]);
        assert_eq!(following(&labels, 2, 1), ["3"]);
        assert_eq!(following(&labels, 2, 3), ["3", "4", "5"]);
        assert_eq!(following(&owned(&["x", "y", "z"]), 2, 3), ["z", "+2", "+3"]);
        assert!(following(&labels, 4, 0).is_empty());
    }

    #[test]
    fn years_are_numbers_and_days_without_hyphens_are_dates() {
        assert_eq!(positions(&owned(&["1999", "2000"])), Some(vec![1999.0, 2000.0]));
        assert_eq!(positions(&owned(&["20001231", "20010132"])), Some(vec![20_001_231.0, 20_010_132.0]));
        let days = owned(&["20001230", "20001231", "20010101"]);
        assert_eq!(positions(&days), None);
        assert_eq!(rows_until(&days, "t", "2000").unwrap(), 2);
    }

    #[test]
    fn a_date_stands_for_all_of_its_hours_and_one_outside_is_refused() {
        let hours = owned(&["2020-01-01 22:00", "2020-01-01 23:00", "2020-01-02 00:00", "2020-01-03 00:00"]);
        assert_eq!(rows_until(&hours, "t", "2020-01-01").unwrap(), 2);
        assert_eq!(rows_until(&hours, "t", "2020-01-02 00:00").unwrap(), 3);
        assert_eq!(rows_until(&hours, "t", "2020-01-03").unwrap(), 4);
        let years = owned(&["1999", "2000", "2001"]);
        assert_eq!(rows_until(&years, "t", "2000.5").unwrap(), 2);
        assert_eq!(rows_until(&years, "t", "2001").unwrap(), 3);
        for (labels, until) in [(&years, "1998"), (&years, "2002"), (&hours, "2019"), (&hours, "2020-01-04")] {
            let error = rows_until(labels, "t", until).unwrap_err().to_string();
            let (first, last) = (&labels[0], &labels[labels.len() - 1]);
            let expected = format!("expected a label from {first:?} to {last:?}, got {until:?}");
            assert_eq!(error, format!("the last label of the training part: {expected}"));
        }
        assert!(rows_until(&years, "t", "soon").is_err());
        assert!(
            rows_until(&owned(&["b", "a"]), "t", "a").unwrap_err().to_string().contains("\"a\" after \"b\" in row 2")
        );
    }
}
