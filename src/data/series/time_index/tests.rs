//! Labels of series, read and continued.

use super::*;

mod steps;

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// Of column `t`, which is not in a file.
fn order(labels: &[&str]) -> Result<TimeIndex, String> {
    read(&owned(labels), &[], "t", None, false).map_err(|error| error.to_string())
}

#[track_caller]
fn continues(labels: &[&str], next: &[&str]) {
    let order = order(labels).unwrap();
    assert_eq!(order.following(&owned(labels), labels.len(), next.len()), next);
    assert_eq!(order.numbering_reason(&owned(labels), labels.len(), next.len()), None);
}

#[track_caller]
fn is_counted(labels: &[&str], why: &str) {
    let order = order(labels).unwrap();
    assert_eq!(order.following(&owned(labels), labels.len(), 2), ["+1", "+2"]);
    assert_eq!(order.numbering_reason(&owned(labels), labels.len(), 2).as_deref(), Some(why));
}

#[track_caller]
fn refused(labels: &[&str], part: &str) {
    let error = order(labels).expect_err(part);
    assert!(error.contains(part), "{error:?} has not {part:?}");
}

#[track_caller]
fn noted(labels: &[&str], note: &str) {
    let notes = order(labels).unwrap().notes;
    assert!(notes.iter().any(|of| of.contains(note)), "{notes:?} have not {note:?}");
}

fn until(labels: &[&str], until: &str) -> Result<usize, String> {
    let error = |error: Error| error.to_string();
    order(labels)?.rows_until(&owned(labels), "t", until).map_err(error)
}

#[test]
fn dates_continue_across_leap_days_and_year_ends() {
    continues(&["2024-02-27", "2024-02-28"], &["2024-02-29", "2024-03-01"]);
    continues(&["1900-02-27", "1900-02-28"], &["1900-03-01"]);
    continues(&["20001217", "20001224"], &["20001231", "20010107"]);
    continues(&["20240130", "20240131"], &["20240201"]);
    continues(&["2018-06-26 18:00:00", "2018-06-26 19:00:00"], &["2018-06-26 20:00:00"]);
    continues(&["1999-12-31T23:15", "1999-12-31T23:30"], &["1999-12-31T23:45", "2000-01-01T00:00"]);
    continues(&["2020-02-28T12:00:00Z", "2020-02-29T00:00:00Z"], &["2020-02-29T12:00:00Z"]);
}

#[test]
fn months_continue_by_month() {
    continues(&["1960-10", "1960-11", "1960-12"], &["1961-01", "1961-02"]);
    continues(&["1960-01", "1960-04"], &["1960-07", "1960-10", "1961-01"]);
    continues(&["2023-01-01", "2023-02-01", "2023-03-01"], &["2023-04-01"]);
    continues(&["2022-12-31", "2023-12-31"], &["2024-12-31"]);
}

#[test]
fn numbers_continue_in_their_notation() {
    continues(&["2007", "2008"], &["2009", "2010"]);
    continues(&["0.1", "0.2", "0.3"], &["0.4", "0.5"]);
    continues(&["-1.5", "-1.0"], &["-0.5", "0.0", "0.5"]);
    continues(&["98", "99"], &["100"]);
}

#[test]
fn labels_without_a_constant_step_are_numbered_with_the_reason() {
    is_counted(&["1", "2", "4"], "steps between numbers differ (1 before \"2\", 2 before \"4\")");
    is_counted(&["0.5", "1", "2"], "steps between numbers differ (0.5 before \"1\", 1.0 before \"2\")");
    is_counted(&["a", "b"], "labels are neither numbers nor dates");
    is_counted(&["7"], "a single row has no step to the next");
    is_counted(&["1e3", "2e3"], "numbers with an exponent or leading zeros are not continued");
    is_counted(&["007", "008"], "numbers with an exponent or leading zeros are not continued");
    is_counted(&["9999-11", "9999-12"], "the next cannot be written in their form");
    let why = "steps between dates differ (1 day before \"2021-01-06\", 2 days before \"2021-01-08\")";
    is_counted(&["2021-01-05", "2021-01-06", "2021-01-08"], why);
    // A holiday as well as the weekend.
    let why = "steps between dates differ (1 day before \"2021-01-08\", 4 days before \"2021-01-12\")";
    is_counted(&["2021-01-07", "2021-01-08", "2021-01-12"], why);
    is_counted(
        &["2021Q1", "2021Q2", "2021Q4"],
        "steps between dates differ (3 months before \"2021Q2\", 6 months before \"2021Q4\")",
    );
    is_counted(&["22:00", "23:00"], "the day ends, and they have no date");
    is_counted(
        &["2021-01-30", "2021-02-27", "2021-03-29"],
        "steps between dates differ (28 days before \"2021-02-27\", 30 days before \"2021-03-29\")",
    );
}

#[test]
fn month_ends_quarters_business_days_and_weeks_continue() {
    continues(&["2024-03-31", "2024-06-30", "2024-09-30"], &["2024-12-31", "2025-03-31"]);
    continues(&["31.01.2021", "28.02.2021"], &["31.03.2021", "30.04.2021"]);
    continues(&["2022-12-31", "2023-12-31"], &["2024-12-31"]);
    // The last weekday of each month: the 31st of May 2020 was a Sunday.
    continues(&["2020-05-29", "2020-06-30", "2020-07-31"], &["2020-08-31", "2020-09-30", "2020-10-30"]);
    continues(
        &["2021-01-07", "2021-01-08", "2021-01-11"],
        &["2021-01-12", "2021-01-13", "2021-01-14", "2021-01-15", "2021-01-18"],
    );
    continues(&["2020-W52", "2020-W53"], &["2021-W01", "2021-W02"]);
    continues(&["2021-W01-1", "2021-W01-2"], &["2021-W01-3"]);
    continues(&["2021Q3", "2021Q4"], &["2022Q1", "2022Q2"]);
    continues(&["Q3 2021", "Q4 2021"], &["Q1 2022"]);
    continues(&["4Q20", "1Q21"], &["2Q21"]);
    continues(&["2021-H2", "2022-H1"], &["2022-H2"]);
    continues(&["2021M11", "2021M12"], &["2022M01"]);
    continues(&["2021-363", "2021-364"], &["2021-365", "2022-001"]);
    continues(&["2019/20", "2020/21"], &["2021/22", "2022/23"]);
    continues(&["1998-1999", "1999-2000"], &["2000-2001"]);
    continues(&["2008/09", "2009/10"], &["2010/11", "2011/12", "2012/13"]);
    continues(&["202011", "202012"], &["202101"]);
}

#[test]
fn the_next_labels_keep_the_form_of_the_previous_ones() {
    continues(&["30/12/2021", "31/12/2021"], &["01/01/2022"]);
    continues(&["9/29/2021", "9/30/2021"], &["10/1/2021", "10/2/2021"]);
    continues(&["30.12.21", "31.12.21", "01.01.22"], &["02.01.22"]);
    continues(&["30 December 2021", "31 December 2021"], &["01 January 2022"]);
    continues(&["8 Mar 2021", "9 Mar 2021"], &["10 Mar 2021"]);
    continues(&["Apr 2021", "May 2021"], &["Jun 2021"]);
    continues(&["MAY-21", "JUN-21"], &["JUL-21"]);
    continues(&["April 2021", "May 2021"], &["June 2021"]);
    continues(&["2021-Mar-30", "2021-Mar-31"], &["2021-Apr-01"]);
    continues(&["Mon, 1 Mar 2021", "Tue, 2 Mar 2021"], &["Wed, 3 Mar 2021"]);
    continues(&["March 1, 2021", "March 2, 2021"], &["March 3, 2021"]);
    continues(&["2021-01-01T00:00:00.500Z", "2021-01-01T00:00:01.000Z"], &["2021-01-01T00:00:01.500Z"]);
    continues(&["2021-01-01T10:00+02:00", "2021-01-01T11:00+02:00"], &["2021-01-01T12:00+02:00"]);
    // Midnight of each day, though the clocks went forward.
    continues(
        &["2021-03-27T00:00+01:00", "2021-03-28T00:00+01:00", "2021-03-29T00:00+02:00"],
        &["2021-03-30T00:00+02:00"],
    );
    // Each hour, likewise.
    continues(&["2021-03-28 01:00+01:00", "2021-03-28 03:00+02:00"], &["2021-03-28 04:00+02:00"]);
    continues(&["8:00", "9:00"], &["10:00"]);
    continues(&["23:00:00", "24:00:00", "25:00:00"], &["26:00:00"]);
    continues(&["11:00 AM", "12:00 PM"], &["1:00 PM", "2:00 PM"]);
    continues(&["2021-01-01 11:30 pm", "2021-01-02 12:30 am"], &["2021-01-02 1:30 am"]);
    continues(&["2021-01-01 23:00", "2021-01-01 24:00"], &["2021-01-02 01:00"]);
    continues(&["t9", "t10"], &["t11"]);
    continues(&["s098", "s099"], &["s100", "s101"]);
    continues(&["20210101T0930", "20210101T0945"], &["20210101T1000"]);
    continues(&["05/Mar/2021:10:59:59", "05/Mar/2021:11:00:00"], &["05/Mar/2021:11:00:01"]);
    // A day without its hour is its beginning.
    continues(&["2021-01-01 12:00", "2021-01-02", "2021-01-02 12:00"], &["2021-01-03 00:00"]);
}

#[test]
fn numbers_and_dates_must_ascend_and_other_labels_need_not() {
    let out_of_order = |labels: &[&str], row: usize| {
        let error = order(labels).unwrap_err();
        let [before, label] = [labels[row - 2], labels[row - 1]];
        let expected = "expected the first column in ascending order";
        let utc = |label: &str| label.replace("03:00+02:00", "01:00Z");
        let way = if utc(before) == utc(label) {
            "the same time twice: expected one row per time; join a date and a time column into one, and \
             write offsets from UTC where clocks go back"
        } else if labels.len() == 2 {
            "the newest rows come first: reverse their order"
        } else {
            "sort the rows, one per t"
        };
        let place = format!("row {row} ({label:?}), column \"t\"");
        assert_eq!(error, format!("{place}: {expected}, got {label:?} after {before:?}; {way}"));
    };
    out_of_order(&["1", "3", "2"], 3);
    out_of_order(&["7", "7"], 2);
    out_of_order(&["10", "9.5"], 2);
    out_of_order(&["2024-01-31", "2024-02-01", "2024-01-30"], 3);
    out_of_order(&["20240102", "20240101"], 2);
    out_of_order(&["2024-01-01 01:00", "2024-01-01 01:00"], 2);
    out_of_order(&["t10", "t9"], 2);
    out_of_order(&["2020/21", "2019/20"], 2);
    // The same moment by two clocks.
    out_of_order(&["2024-01-01T01:00Z", "2024-01-01T03:00+02:00"], 2);
    refused(&["14/3/2021", "13/3/2021"], "got \"13/3/2021\" after \"14/3/2021\", read day first; the newest rows");
    let value = read(&owned(&["7", "5"]), &[], "t", None, true).unwrap_err().to_string();
    assert!(value.ends_with("and it is read as a value too: put a column of times, or a count, before it"), "{value}");
    // A number among them is above the one before, whatever its digits.
    for labels in [&["9", "10"][..], &["b", "a"], &["x", "x"], &["1"], &[]] {
        order(labels).unwrap();
    }
    let unchecked = "order of rows not checked: labels of column \"t\" are neither numbers nor dates, such as \"b\"";
    assert_eq!(order(&["b", "a", "7"]).unwrap().notes, [unchecked]);
    noted(&["t1", "t2"], "numbers with the same words around them, as in \"t1\"");
}

#[test]
fn the_first_label_that_is_not_a_time_is_named() {
    refused(
        &["1", "2", "Total"],
        "row 3 (\"Total\"), column \"t\": expected a number like \"1\", got \"Total\"; remove the row",
    );
    refused(
        &["2021-01", "", "2021-03"],
        "row 2 (\"\"), column \"t\": expected a date like \"2021-01\", got an empty label",
    );
    refused(&["5 March 2021", "6 March 2021", "30 February 2021"], "row 3 (\"30 February 2021\")");
    refused(&["2021-01-01T10:00Z", "2021-01-01T11:00Z", "2021-01-01 12:00"], "row 3");
    refused(&["2021-01", "2021-02", "2021-03-01"], "row 3");
    refused(&["2023-02-28", "2023-02-30"], "row 2 (\"2023-02-30\"), column \"t\": expected a date like \"2023-02-28\"");
}

#[test]
fn day_and_month_follow_from_a_number_above_12_or_the_row_order_or_the_flag() {
    noted(&["12/3/2021", "13/3/2021"], "are read day first, the only way to read \"13/3/2021\" in row 2");
    noted(&["3.12.2021", "3.13.2021"], "are read month first, the only way to read \"3.13.2021\" in row 2");
    noted(&["1/3/2021", "2/3/2021", "1/4/2021"], "are read day first, the only order in which the rows ascend");
    noted(&["1/3/2021", "1/4/2021", "2/1/2021"], "are read month first, the only order in which the rows ascend");
    noted(&["21-01-30", "21-01-31", "21-02-01"], "are read year first");
    refused(&["21-01-30", "21-01-31"], "day-first or year-first, got \"21-01-30\", which is 21 January 2030 day first");
    noted(
        &["30.12.98", "31.12.98"],
        "years of column \"t\" have two digits, 1969 to 2068: \"30.12.98\" is 30 December 1998",
    );
    noted(&["202101", "202102"], "read as dates, not as numbers: \"202101\" is January 2021");
    let question = "row 1 (\"1/2/2021\"), column \"t\": expected --dates to tell how dates are written, day-first or month-first, got \"1/2/2021\", which is 1 February 2021 day first, 2 January 2021 month first, and the rows ascend either way";
    let labels = owned(&["1/2/2021", "2/3/2021", "3/4/2021"]);
    assert_eq!(read(&labels, &[], "t", None, false).unwrap_err().to_string(), question);
    for (told, next) in [(DateOrder::DayFirst, "1 February 2021"), (DateOrder::MonthFirst, "2 January 2021")] {
        let order = read(&labels, &[], "t", Some(told), false).unwrap();
        assert_eq!(order.dates(), Some(told));
        assert!(times::readings(&labels[0], &[told]).starts_with(next));
    }
    // What was told holds for other forms of dates too, and for numbers, which it says nothing of.
    for labels in [&["2021-01-05", "2021-01-06"][..], &["1", "2"]] {
        assert_eq!(read(&owned(labels), &[], "t", Some(DateOrder::MonthFirst), false).unwrap().dates(), None);
    }
    // Nothing else is made of what does not fit, in whatever order the rows are, or where others fit neither way.
    let days = |form: fn(i32) -> String| (1..=28).map(form).collect::<Vec<_>>();
    let mut odd = days(|day| format!("02/{day:02}/2024"));
    odd[3] = "Total".into();
    let reversed = days(|day| format!("02/{:02}/2024", 29 - day));
    for (labels, row) in [(days(|day| format!("02/{day:02}/2024")), 13), (reversed, 1), (odd, 13)] {
        let error = read(&labels, &[], "t", Some(DateOrder::DayFirst), false).unwrap_err().to_string();
        let part = "expected a date that can be read day first, as set by --dates or the model, got \"02/";
        assert!(error.starts_with(&format!("row {row} (")) && error.contains(part), "{error}");
        assert!(error.ends_with("February 2024 month first"), "{error}");
    }
}

#[test]
fn numbers_with_a_decimal_comma_continue_with_it() {
    continues(&["0,05", "0,1", "0,15"], &["0,20", "0,25"]);
    continues(&["0,8", "0,9"], &["1,0", "1,1"]);
    continues(&["1,998", "1,999"], &["2,000"]);
    assert_eq!(order(&["0,5", "1"]).unwrap().positions(&owned(&["0,5", "1"])), Some(vec![0.5, 1.0]));
    assert_eq!(until(&["0,05", "0,1", "0,15"], "0,12"), Ok(2));
    refused(&["0,1", "0,05"], "newest");
    // What can be part of a larger number is no number with words before it.
    for labels in [&["998", "999", "1,000"][..], &["1 000", "1 001"], &["v1.2.9", "v1.2.10"], &["0,5 s", "1,0 s"]] {
        let notes = order(labels).map(|order| order.notes.concat());
        assert!(notes.as_ref().map_or(true, |notes| notes.contains("order of rows not checked")), "{notes:?}");
    }
}

#[test]
fn a_letter_and_a_hyphen_count_towards_the_present_and_other_words_do_not() {
    noted(&["t-3", "t-2", "t-1"], "as in \"t-3\", from \"t-3\" to \"t-1\"");
    is_counted(&["t-3", "t-2", "t-1"], "labels that count down are not continued beyond their end");
    noted(&["lag-2", "lag-1", "lag-0"], "from \"lag-2\" to \"lag-0\"");
    for newest_first in [&["2024-52", "2024-51", "2024-50"][..], &["Week-3", "Week-2", "Week-1"], &["t-9", "t-8"]] {
        refused(newest_first, "the newest rows come first: reverse their order");
    }
}

#[test]
fn a_year_colon_month_is_a_month_unless_other_labels_are_clock_times() {
    continues(&["1990:11", "1990:12"], &["1991:01", "1991:02"]);
    noted(&["1990:10", "1990:55", "1991:40"], "read as hours and minutes, as in \"1990:10\"");
    continues(&["1990:10", "1990:55"], &["1991:40"]);
    continues(&["1999:50", "2000:00", "2000:10"], &["2000:20"]);
    assert_eq!(until(&["1990:11", "1990:12", "1991:01"], "1990"), Ok(2));
}

#[test]
fn digit_only_dates_follow_the_date_order_and_six_digits_have_none() {
    continues(&["30012024", "31012024"], &["01022024", "02022024"]);
    noted(&["01312024", "02012024"], "read month first, the only way to read \"01312024\" in row 1");
    refused(&["01012024", "02022024"], "day-first or month-first");
    refused(&["02022024", "31012024"], "read day first");
    refused(&["300124", "310124", "010224"], "a year of four digits");
    // Numbers all the same.
    continues(&["100101", "100102"], &["100103"]);
    order(&["240131", "240201"]).unwrap();
}

#[test]
fn labels_without_a_successor_are_numbered_with_the_reason() {
    let why = "days of a month without its year are not continued";
    is_counted(&["30-Jan", "31-Jan"], why);
    is_counted(&["Jan-5", "Jan-6"], why);
    is_counted(&["Jan-9", "Jan-10", "Jan-11", "Jan-12"], why);
    is_counted(&["Jan-30", "Jan-31"], "it is not clear whether the number in \"Jan-30\" is a year or a day");
    continues(&["t000", "t001"], &["t002"]);
    is_counted(&["2023-11-30", "2023-12-30", "2024-01-30"], "February 2024 has no day 30");
}

#[test]
fn existing_labels_come_first() {
    let following = |labels: &[&str], before, count| order(labels).unwrap().following(&owned(labels), before, count);
    let labels = &["1", "2", "3", "4"];
    assert_eq!(following(labels, 2, 1), ["3"]);
    assert_eq!(following(labels, 2, 3), ["3", "4", "5"]);
    assert_eq!(following(&["x", "y", "z"], 2, 3), ["z", "+2", "+3"]);
    assert!(following(labels, 4, 0).is_empty());
}

#[test]
fn plain_years_are_numbers_and_hyphenless_days_are_dates() {
    let positions = |labels: &[&str]| order(labels).unwrap().positions(&owned(labels));
    assert_eq!(positions(&["1999", "2000"]), Some(vec![1999.0, 2000.0]));
    assert_eq!(positions(&["20001231", "20010132"]), Some(vec![20_001_231.0, 20_010_132.0]));
    let days = &["20001230", "20001231", "20010101"];
    assert_eq!(positions(days), None);
    assert_eq!(until(days, "2000"), Ok(2));
    // Nanoseconds are not rounded.
    order(&["1609459200000000001", "1609459200000000002"]).unwrap();
}

#[test]
fn a_date_covers_all_its_hours_and_one_out_of_range_is_refused() {
    let hours = &["2020-01-01 22:00", "2020-01-01 23:00", "2020-01-02 00:00", "2020-01-03 00:00"];
    assert_eq!(until(hours, "2020-01-01"), Ok(2));
    assert_eq!(until(hours, "1 Jan 2020"), Ok(2));
    assert_eq!(until(hours, "2020-01-02 00:00"), Ok(3));
    assert_eq!(until(hours, "2020-01-03"), Ok(4));
    let years = &["1999", "2000", "2001"];
    assert_eq!(until(years, "2000.5"), Ok(2));
    assert_eq!(until(years, "2001"), Ok(3));
    for (labels, of) in [(&years[..], "1998"), (years, "2002"), (hours, "2019"), (hours, "2020-01-04")] {
        let (first, last) = (&labels[0], &labels[labels.len() - 1]);
        let expected = format!("expected a label from {first:?} to {last:?}, got {of:?}");
        assert_eq!(until(labels, of), Err(format!("the last label of the training split: {expected}")));
    }
    assert!(until(years, "soon").unwrap_err().contains("a number, as all of column \"t\""));
    assert!(until(years, " ").unwrap_err().contains("a label from \"1999\" to \"2001\", got none"));
}

#[test]
fn the_end_of_training_can_be_given_in_any_form() {
    let days = &["30.03.2022", "31.03.2022", "01.04.2022", "02.04.2022"];
    for (of, rows) in
        [("31.03.2022", 2), ("2022-03", 2), ("2022-03-31", 2), ("Mar 2022", 2), ("2022", 4), ("1 Apr 2022", 3)]
    {
        assert_eq!(until(days, of), Ok(rows), "{of}");
    }
    assert_eq!(until(&["2021Q3", "2021Q4", "2022Q1"], "2021"), Ok(2));
    assert_eq!(until(&["2021-W01", "2021-W02", "2021-W06"], "2021-01"), Ok(2));
    assert_eq!(until(&["t8", "t9", "t10", "t11"], "t10"), Ok(3));
    assert_eq!(until(&["t8", "t9", "t10", "t12"], "11"), Ok(3));
    assert_eq!(until(&["2019/20", "2020/21", "2021/22"], "2020"), Ok(2));
    assert_eq!(until(&["9:00", "10:00", "10:30", "11:00"], "10:00"), Ok(2));
    let zoned = &["2022-01-01T00:00+01:00", "2022-01-01T23:00+01:00", "2022-01-02T00:00+01:00"];
    assert_eq!(until(zoned, "2022-01-01"), Ok(2));
    assert_eq!(until(zoned, "2022-01-01T22:00Z"), Ok(2));
    assert!(until(days, "2022-03-31T00:00Z").unwrap_err().contains("without an offset"));
    // Where a label is no time it is known by its text alone.
    assert_eq!(until(&["b", "a"], "a"), Ok(2));
    assert!(until(&["b", "a"], "c").unwrap_err().contains("one of the labels of column \"t\""));
    assert!(until(&["b", "a", "b"], "b").unwrap_err().contains("which rows 1 and 3 have"));
    // Of dates that go by no order.
    let iso = &["2021-01-02", "2021-02-01", "2021-02-03"];
    let error = until(iso, "2/1/2021").unwrap_err();
    assert!(
        error.contains("got \"2/1/2021\", which is 2 January 2021 day first, 1 February 2021 month first"),
        "{error}"
    );
    assert_eq!(until(iso, "13/1/2021"), Ok(1));
    // Of two ways the one within the data is meant.
    assert_eq!(until(&["2021-01-02", "2021-01-05", "2021-02-03"], "5/1/2021"), Ok(2));
}

#[test]
fn training_ends_at_the_row_before_a_time_between_two_rows() {
    let words = &["t8", "t9", "t10", "t11"];
    for (of, rows) in [("t8.5", 1), ("9.5", 2), ("t10.999", 3), ("t10.001", 3)] {
        assert_eq!(until(words, of), Ok(rows), "{of}");
    }
    for outside in ["t7.5", "t11.5"] {
        assert!(until(words, outside).unwrap_err().contains("a label from \"t8\" to \"t11\""), "{outside}");
    }
    assert_eq!(until(&["t-4", "t-3", "t-2", "t-1"], "t-2.5"), Ok(2));
    // What a product of binary fractions is rounded by is no row between.
    let tenths: Vec<String> = (0..100).map(|n| format!("{n}.{} s", n % 10)).collect();
    let tenths: Vec<&str> = tenths.iter().map(String::as_str).collect();
    (0..100).for_each(|n| assert_eq!(until(&tenths, &format!("{n}.{}", n % 10)), Ok(n + 1), "{n}"));
}

#[test]
fn a_time_of_day_without_a_date_has_no_utc_offset() {
    let labels = &["09:00+02:00", "10:00+02:00"];
    noted(labels, "order of rows not checked");
    is_counted(labels, "labels are neither numbers nor dates");
}

#[test]
fn weekends_are_not_gaps_in_any_time_zone_but_holidays_are() {
    let monday = jiff::civil::date(2020, 1, 6);
    for zone in ["+01:00", "+14:00", "-05:00", "Z"] {
        let days = |left_out: Option<i32>| {
            let days = (0..60).filter(|day| day % 7 < 5 && Some(*day) != left_out);
            let label = |day: i32| format!("{} 00:00:00{zone}", monday + jiff::Span::new().days(day));
            days.map(label).collect::<Vec<_>>()
        };
        let gaps = |left_out| {
            let days = days(left_out);
            order(&days.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().gaps(&days)
        };
        assert_eq!(gaps(None), None, "{zone}");
        let found = gaps(Some(8)).unwrap();
        assert_eq!((found.missing, found.places), (1, 1), "{zone}");
        assert!(found.first[0].starts_with("2020-01-13") && found.first[1].starts_with("2020-01-15"), "{found}");
    }
}

#[test]
fn rows_missing_in_time_are_counted() {
    let gaps = |labels: &[&str]| order(labels).unwrap().gaps(&owned(labels)).map(|gaps| gaps.to_string());
    let days = &["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-14", "2021-01-15"];
    let found =
        "10 rows are missing in time: none between \"2021-01-03\" and \"2021-01-14\", where most are 1 day apart";
    assert_eq!(gaps(days).as_deref(), Some(found));
    // Weekends are not missing, a holiday is.
    assert_eq!(gaps(&["2021-01-07", "2021-01-08", "2021-01-11", "2021-01-12"]), None);
    let found = gaps(&["2021-01-07", "2021-01-08", "2021-01-11", "2021-01-13", "2021-01-14", "2021-01-15"]).unwrap();
    assert!(found.starts_with("1 row is missing in time: none between \"2021-01-11\" and \"2021-01-13\""), "{found}");
    let found = gaps(&["2021-01", "2021-02", "2021-03", "2021-06", "2021-07", "2021-09"]).unwrap();
    assert!(
        found.contains("3 rows are missing") && found.contains("the first of 2 places, where most are 1 month apart")
    );
    // Weeks, quarters and such, whose numbers carry.
    let weeks: Vec<String> =
        (2020..2023).flat_map(|year| (1..=52).map(move |week| format!("{year}{week:02}"))).collect();
    let quarters: Vec<String> = (0..20).map(|row| format!("{}{}", 1990 + row / 4, row % 4 + 1)).collect();
    let pointed: Vec<String> = (0..20).map(|row| format!("{}.{}", 1990 + row / 4, row % 4 + 1)).collect();
    for labels in [&weeks[..], &weeks[..60], &quarters, &quarters[..6], &pointed] {
        assert_eq!(gaps(&labels.iter().map(String::as_str).collect::<Vec<_>>()), None, "{labels:?}");
    }
    // Without a most common step, no row is known to be missing.
    assert_eq!(gaps(&["1", "2", "3", "6", "8"]), None);
    let giant = ["0", "1", "2", "3", "900000000000000000000000000000", "1800000000000000000000000000000"];
    assert!(gaps(&giant[..5]).unwrap().starts_with(&format!("{} rows are missing", usize::MAX)));
    assert_eq!(gaps(&["1", "2", "4", "5"]).map(|found| found.contains("1 row is missing")), Some(true));
    for none in
        [&["1", "2", "3"][..], &["a", "b"], &["1", "2", "4", "7"], &["1"], &["2021-01-31", "2021-02-28", "2021-03-31"]]
    {
        assert_eq!(gaps(none), None, "{none:?}");
    }
}
