//! Calendars against known columns that were computed by hand.

use std::f64::consts::TAU;
use std::sync::Arc;

use ndarray::{Array3, s};

use super::CalendarInput;
use crate::batch::Input;
use crate::data::{
    Column, ColumnRoles, EncodedSeries, Examples, Frame, MissingPolicy, RelativeTo, ScalingKind, Series, SeriesCodec,
    SeriesTable,
};
use crate::error::Result;

const FRAME: Frame = Frame { window: 6, horizon: 3 };

fn calendar(text: &str) -> Vec<CalendarInput> {
    text.split(',').map(|text| text.parse().unwrap()).collect()
}

/// Columns `v` and `w` over these labels, the first `rows` of which have values, and further columns.
fn table(labels: &[String], rows: usize, more: &[(String, Vec<f64>)]) -> SeriesTable {
    let value = |row: usize, factor: usize| if row < rows { ((row * factor) % 17) as f64 } else { f64::NAN };
    let column = |(name, factor): (&str, usize)| Column {
        name: name.into(),
        values: (0..labels.len()).map(|row| value(row, factor)).collect(),
    };
    let mut columns: Vec<Column> = [("v", 5), ("w", 7)].map(column).into();
    columns.extend(more.iter().map(|(name, values)| Column { name: name.clone(), values: values.clone() }));
    SeriesTable { label_name: "time".into(), labels: labels.to_vec(), columns, ..SeriesTable::default() }
}

fn roles(known: &[(String, Vec<f64>)]) -> ColumnRoles {
    ColumnRoles {
        targets: vec!["v".into(), "w".into()],
        known: known.iter().map(|(name, _)| name.clone()).collect(),
        ..ColumnRoles::default()
    }
}

/// With a calendar over labels, of which the first `rows` have values.
fn encoded(labels: &[String], rows: usize, fields: &str) -> Result<Arc<EncodedSeries>> {
    let series = Series::with_future_times(table(labels, rows, &[]), &roles(&[]), MissingPolicy::Refuse)?;
    fit(series, rows).calendar(calendar(fields)).encode(series_of(labels, rows))
}

fn series_of(labels: &[String], rows: usize) -> Series {
    Series::with_future_times(table(labels, rows, &[]), &roles(&[]), MissingPolicy::Refuse).unwrap()
}

fn fit(series: Series, rows: usize) -> SeriesCodec {
    SeriesCodec::fit(&series, FRAME, rows, |_| ScalingKind::None).unwrap()
}

fn texts(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// Hours from noon on the 28th of February 2024, a leap year.
fn hours(rows: usize) -> Vec<String> {
    let label = |row: usize| {
        let hour = 12 + row;
        let day = ["02-28", "02-29", "03-01", "03-02", "03-03", "03-04"][hour / 24];
        format!("2024-{day} {:02}:00", hour % 24)
    };
    (0..rows).map(label).collect()
}

/// Hour as sines, and day and weekday as classes, of rows of [`hours`].
fn by_hand(rows: usize) -> Vec<(String, Vec<f64>)> {
    let hour = |row: usize| ((12 + row) % 24) as f64;
    let day = |row: usize| [28, 29, 1, 2, 3, 4][(12 + row) / 24];
    // The 28th is a Wednesday.
    let weekday = |row: usize| (2 + (12 + row) / 24) % 7;
    let all = |of: &dyn Fn(usize) -> f64| (0..rows).map(of).collect::<Vec<f64>>();
    let is = |same: bool| if same { 1.0 } else { 0.0 };
    let mut columns = vec![
        ("sin".to_owned(), all(&|row| (TAU * hour(row) / 24.0).sin())),
        ("cos".to_owned(), all(&|row| (TAU * hour(row) / 24.0).cos())),
    ];
    columns.extend((1..=31).map(|class| (format!("day {class}"), all(&|row| is(day(row) == class)))));
    columns.extend((0..7).map(|class| (format!("weekday {class}"), all(&|row| is(weekday(row) == class)))));
    columns
}

fn inputs(encoded: &Arc<EncodedSeries>) -> Array3<f32> {
    let windows = encoded.all_windows().unwrap();
    let batch = windows.batch(&(0..windows.len()).collect::<Vec<_>>(), windows.steps(0)).unwrap();
    let Input::Dense(x) = batch.sequence.input else { panic!() };
    x
}

#[test]
fn a_calendar_is_what_known_columns_computed_by_hand_are() {
    let (rows, future) = (70, 12);
    let known = by_hand(rows + future);
    for (panel, segment, relative) in
        [(false, 1, RelativeTo::None), (true, 1, RelativeTo::Mean), (false, 3, RelativeTo::Last)]
    {
        let shape = |codec: SeriesCodec| codec.relative_to(relative).segment(segment);
        let as_panel = |series: Series| if panel { series.into_panel() } else { series };
        let labels = hours(rows + future);
        let read = |known: &[_]| {
            as_panel(Series::new(table(&labels, rows, known), &roles(known), MissingPolicy::Mask).unwrap())
        };
        let columns = shape(fit(read(&known), rows)).encode(read(&known)).unwrap();
        let own = || as_panel(series_of(&labels[..rows], rows));
        let computed = shape(fit(own(), rows)).calendar(calendar("hour,day:classes,weekday:classes"));
        let computed = computed.encode(own()).unwrap();
        assert_eq!(computed.codec().input_size(), columns.codec().input_size());
        assert_eq!(inputs(&computed), inputs(&columns));
        // Beyond the last row, where the one is read and the other continues the labels.
        let mut rollouts = [&computed, &columns].map(|encoded| encoded.rollout(rows, future).unwrap());
        for _ in 0..future / FRAME.horizon {
            let [one, other] = [0, 1].map(|index| rollouts[index].next_input().unwrap());
            assert_eq!(one, other);
            let outputs = vec![0.5; rollouts[0].batch_rows() * computed.codec().outputs()];
            rollouts.iter_mut().for_each(|rollout| rollout.push(&outputs).unwrap());
        }
        let [one, other] = rollouts.map(crate::data::Rollout::finish);
        assert_eq!(one, other);
    }
}

#[test]
fn months_quarters_and_weeks_continue_as_such_beyond_the_end() {
    // The last input of each row of the first window beyond the end: the calendar of the rows 3 to 6 + 3 after.
    let ahead = |labels: &[&str], fields: &str| {
        let labels = texts(labels);
        let encoded = encoded(&labels, labels.len(), fields).unwrap();
        let x = encoded.rollout(labels.len(), 3).unwrap().next_input().unwrap();
        let classes = x.slice(s![3.., 0, 2..]).to_owned();
        classes.rows().into_iter().map(|row| row.iter().position(|value| *value == 1.0).unwrap()).collect::<Vec<_>>()
    };
    let ends = ["2023-04-30", "2023-05-31", "2023-06-30", "2023-07-31", "2023-08-31", "2023-09-30"];
    assert_eq!(ahead(&ends, "month:classes"), [9, 10, 11]);
    assert_eq!(ahead(&ends, "day:classes"), [30, 29, 30]);
    assert_eq!(ahead(&["2023Q1", "2023Q2", "2023Q3", "2023Q4", "2024Q1", "2024Q2"], "quarter:classes"), [2, 3, 0]);
    assert_eq!(ahead(&["2024-07", "2024-08", "2024-09", "2024-10", "2024-11", "2024-12"], "month:classes"), [0, 1, 2]);
    let weeks = ["2020-W46", "2020-W47", "2020-W48", "2020-W49", "2020-W50", "2020-W51"];
    assert_eq!(ahead(&weeks, "week:classes"), [51, 52, 0]);
    // From Monday to Friday.
    let days = ["2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"];
    assert_eq!(ahead(&days, "weekday:classes"), [3, 4, 0]);
}

#[test]
fn the_calendar_is_that_of_the_written_local_time() {
    let label = |row: usize| format!("2024-03-{:02}T{:02}:00+09:00", 1 + row / 24, row % 24);
    let labels: Vec<String> = (0..48).map(label).collect();
    let x = inputs(&encoded(&labels, 48, "hour:classes").unwrap());
    // The first row of the first window has the hour of the row 3 later.
    let hour = x.slice(s![0, 0, 2..]).iter().position(|value| *value == 1.0);
    assert_eq!(hour, Some(3));
}

#[test]
fn times_that_do_not_continue_are_read_from_rows_without_values() {
    // Days with a gap: their steps differ.
    let day = |day: usize| format!("2024-01-{day:02}");
    let days = |days: &[usize]| days.iter().map(|number| day(*number)).collect::<Vec<_>>();
    let measured: Vec<usize> = (1..=10).chain(15..=20).collect();
    let rows = measured.len();
    let alone = encoded(&days(&measured), rows, "weekday").unwrap();
    let error = alone.rollout(rows, 2).unwrap_err().to_string();
    assert!(
        error.starts_with("the calendar: expected times for 2 rows from the first of the forecast on, got"),
        "{error}"
    );
    assert!(
        error.contains("steps between dates differ") && error.contains("add rows with the times to come"),
        "{error}"
    );
    // With the next four days there are four rows, and a horizon that ends with them.
    let longer: Vec<usize> = measured.iter().copied().chain([21, 22, 23, 24]).collect();
    let with_times = encoded(&days(&longer), rows, "weekday:classes").unwrap();
    assert_eq!(with_times.series().len(), rows);
    let mut rollout = with_times.rollout(rows, 4).unwrap();
    let mut weekdays = Vec::new();
    while let Some(x) = rollout.next_input() {
        weekdays.push(x.slice(s![5, 0, 2..]).iter().position(|value| *value == 1.0).unwrap());
        rollout.push(&[0.0; 6]).unwrap();
    }
    // The 23rd, a Tuesday, ends the first horizon, and the 24th the second.
    assert_eq!(weekdays, [1, 2]);
    assert_eq!(rollout.finish().labels, days(&[21, 22, 23, 24]));
    let error = with_times.rollout(rows, 5).unwrap_err().to_string();
    assert!(error.contains("got times for 4: steps between dates differ"), "{error}");
    // No memory is asked for what is never read.
    let error = encoded(&hours(30), 30, "hour").unwrap().rollout(30, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("at most 16777216 with a calendar"), "{error}");
}

#[test]
fn labels_that_do_not_determine_a_calendar_are_refused() {
    let error = |labels: &[&str], fields: &str| {
        let labels = texts(labels);
        encoded(&labels, labels.len(), fields).unwrap_err().to_string()
    };
    let days = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-06"];
    let advice = "write them as dates, such as 2024-01-31 or 2024-01-31 13:00, or leave out the calendar";
    let dates = "the calendar: expected dates in column \"time\", got labels that are";
    for (labels, what) in [
        (["x", "y", "a", "b", "c", "d"], "neither numbers nor dates, such as \"x\""),
        (["1", "2", "3", "4", "5", "6"], "numbers, such as \"1\""),
        (["t1", "t2", "t3", "t4", "t5", "t6"], "numbers within words, such as \"t1\""),
        (["2014/15", "2015/16", "2016/17", "2017/18", "2018/19", "2019/20"], "pairs of years, such as \"2014/15\""),
        (["9:00", "10:00", "11:00", "12:00", "13:00", "14:00"], "times of day without a date, such as \"9:00\""),
    ] {
        assert_eq!(error(&labels, "hour"), format!("{dates} {what}; {advice}"));
    }
    let hour = "times of day for the hour, got dates without a time such as \"2024-01-01\": the column would be constant; \
                leave out hour";
    assert_eq!(error(&days, "weekday,hour"), format!("the calendar: expected {hour}"));
    let months = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06"];
    let day = "dates with a day for the weekday, got months such as \"2024-01\"; leave out weekday";
    assert_eq!(error(&months, "month,weekday"), format!("the calendar: expected {day}"));
    let week = ["2024-W01", "2024-W02", "2024-W03", "2024-W04", "2024-W05", "2024-W06"];
    assert!(error(&week, "month").contains("got weeks such as \"2024-W01\""));
    assert!(error(&days, "day,day:classes").contains("expected day once, got twice"));
    let short = SeriesCodec { frame: Frame { window: 2, horizon: 3 }, ..fit(series_of(&texts(&days), 6), 6) };
    assert!(short.validate().is_ok() && short.calendar(calendar("day")).validate().is_err());
    // A month that is the same in all rows.
    let encoded = encoded(&texts(&days), 6, "day,month").unwrap();
    let error = encoded.check_calendar(4).unwrap_err().to_string();
    let expected = "a month that differs between training rows, got the same month in all 4 of them; leave out month";
    assert_eq!(error, format!("the calendar: expected {expected}"));
}

#[test]
fn a_codec_without_a_calendar_is_read_and_one_with_it_survives_its_file() {
    let labels = hours(30);
    let plain = fit(series_of(&labels, 30), 30);
    let json = serde_json::to_string(&plain).unwrap();
    assert!(!json.contains("calendar"));
    assert_eq!(serde_json::from_str::<SeriesCodec>(&json).unwrap(), plain);
    let with = plain.calendar(calendar("hour,weekday:classes"));
    let json = serde_json::to_string(&with).unwrap();
    assert!(json.contains("\"calendar\":[\"hour\",\"weekday:classes\"]"), "{json}");
    assert_eq!(serde_json::from_str::<SeriesCodec>(&json).unwrap(), with);
}
