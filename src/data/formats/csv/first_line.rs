//! Decides whether the first line is a header or a row.

use std::collections::HashMap;
use std::path::Path;

use super::separator::{is_time, is_time_above, is_value};
use crate::data::input::encoding::quoted;
use crate::data::values::number::is_missing;
use crate::error::{Error, Result};

/// Maximum length of a column name in bytes: it is copied into titles, messages, tables and files.
pub(super) const NAME: usize = 1 << 20;

/// The column names, from the first record of a file.
///
/// # Errors
/// [`Error::Data`] if there are none, one is longer than the limit, or two are equal.
/// them is meant.
pub(super) fn header(record: &csv::StringRecord, path: &Path) -> Result<Vec<String>> {
    let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
    if names.iter().all(String::is_empty) {
        return Err(Error::data(path, "", "expected a header line and rows below it, got an empty file"));
    }
    if let Some((name, field)) = names.iter().zip(1..).find(|(name, _)| name.len() > NAME) {
        let message =
            format!("expected names of columns of at most {NAME} bytes, got one of {}, field {field}", name.len());
        return Err(Error::data(path, "", message));
    }
    let mut seen = HashMap::new();
    // Empty names, as after a trailing comma, are not duplicates: these columns cannot be requested.
    for (name, field) in names.iter().zip(1..).filter(|(name, _)| !name.is_empty()) {
        if let Some(first) = seen.insert(name, field) {
            let message = format!("expected one column {}, got two, the fields {first} and {field}", quoted(name));
            return Err(Error::data(path, "", message));
        }
    }
    Ok(names)
}

/// The meaning of the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstLine {
    Names,
    /// Names that are numbers or dates, such as years.
    Numbers,
    /// A row.
    Values,
    Either,
}

/// Names are words. If all fields after the first are values, the first line is a row, unless they could also be names:
/// whole numbers or times after a word or an empty field, such as years over the columns of a table. `below`: the first
/// field of the next line, which shows that `t0` is a time.
pub(super) fn first_line(fields: &[&str], below: Option<&str>) -> FirstLine {
    let [first, rest @ ..] = fields else { return FirstLine::Names };
    let rest: Vec<&str> = rest.iter().copied().filter(|field| !field.is_empty()).collect();
    let whole = |field: &str| field.parse::<u64>().ok();
    let values = rest.iter().all(|field| is_value(field));
    if !values || !rest.iter().chain([first]).any(|field| !is_missing(field) && is_value(field)) || rest.is_empty() {
        return FirstLine::Names;
    }
    if rest.iter().all(|field| is_missing(field)) && !is_value(first) {
        return FirstLine::Names;
    }
    let mut seen = rest.clone();
    seen.sort_unstable();
    seen.dedup();
    let names = seen.len() == rest.len() && rest.iter().all(|field| whole(field).is_some() || is_time(field));
    if first.is_empty() || !(is_value(first) || below.is_some_and(|below| is_time_above(first, below))) {
        return if names || first.is_empty() { FirstLine::Numbers } else { FirstLine::Values };
    }
    let numbers: Option<Vec<u64>> = [first].into_iter().chain(&rest).map(|field| whole(field)).collect();
    let ascend = |numbers: Vec<u64>| numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
    let times = fields.iter().all(|field| whole(field).is_none() && is_time(field));
    if numbers.map_or(times, ascend) { FirstLine::Either } else { FirstLine::Values }
}

/// The same for columns of keys, which are 0 or 1 in every row.
pub(super) fn first_of_keys(fields: &[&str]) -> FirstLine {
    match fields {
        [] => FirstLine::Names,
        ["0", "1"] => FirstLine::Either,
        _ if fields.iter().all(|field| matches!(*field, "0" | "1")) => FirstLine::Values,
        _ => FirstLine::Names,
    }
}

/// `"1" "2" "3"`, of the first fields.
pub(super) fn shown(fields: &[&str]) -> String {
    let some: Vec<String> = fields.iter().take(4).map(|field| quoted(field)).collect();
    let more = if fields.len() > some.len() { " …" } else { "" };
    format!("{}{more}", some.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::records::Records;
    use super::*;

    #[test]
    fn a_column_name_of_megabytes_is_refused() {
        let names = |length: usize| {
            let text = format!("t,{}\n1,2\n", "x".repeat(length));
            let records = Records::open(text.as_bytes(), Path::new("a.csv"));
            records.map(|records| records.names()[1].len()).map_err(|error| error.to_string())
        };
        assert_eq!(names(NAME), Ok(NAME));
        let expected = "a.csv: expected names of columns of at most 1048576 bytes, got one of 1048577, field 2";
        assert_eq!(names(NAME + 1), Err(expected.into()));
    }

    #[test]
    fn a_first_line_of_values_is_a_row_and_an_ambiguous_one_is_refused() {
        for (line, expected) in [
            ("t,v", FirstLine::Names),
            ("t", FirstLine::Names),
            ("5", FirstLine::Names),
            ("year,1st quarter", FirstLine::Names),
            ("t,v,,", FirstLine::Names),
            ("t,NA", FirstLine::Names),
            ("Q1,Q2", FirstLine::Names),
            ("May,June", FirstLine::Names),
            ("country,1990,1991", FirstLine::Numbers),
            (",0,1,2", FirstLine::Numbers),
            ("shop,2020-01-01,2020-02-01", FirstLine::Numbers),
            ("2020-01-01,5.5", FirstLine::Values),
            ("2020-01-01,", FirstLine::Names),
            ("2020-01-01,NA", FirstLine::Values),
            ("3 Jan 2020,17", FirstLine::Values),
            ("12:30,17,18", FirstLine::Values),
            ("Monday,5.5,3", FirstLine::Values),
            ("a,3,3", FirstLine::Values),
            ("1990,20", FirstLine::Values),
            ("0.5,1.5", FirstLine::Values),
            ("Jan 2020,17", FirstLine::Values),
            ("Q1 2000,17", FirstLine::Values),
            ("Mon 01.01.2024,17", FirstLine::Values),
            ("13/1/2021,17", FirstLine::Values),
            ("t0,17", FirstLine::Numbers),
            ("t0,17.5", FirstLine::Values),
            ("a,0.125,3", FirstLine::Values),
            ("Jan 2020,Feb 2020,Mar 2020", FirstLine::Either),
            ("0,1", FirstLine::Either),
            ("1990,1991,1992", FirstLine::Either),
        ] {
            assert_eq!(first_line(&line.split(',').collect::<Vec<_>>(), None), expected, "{line}");
        }
        assert_eq!(first_line(&["t0", "17"], Some("t1")), FirstLine::Values);
        assert_eq!(first_line(&["shop", "1990"], Some("a1")), FirstLine::Numbers);
    }
}
