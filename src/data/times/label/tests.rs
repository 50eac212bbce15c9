//! What a label of each form means.

use super::calendar::{TimeUnit, day_of};
use super::*;

/// Its unit, its local time and its offset in seconds.
#[track_caller]
fn meant(label: &str) -> (TimeUnit, String, Option<i64>) {
    let time = read(label, DateOrder::DayFirst, &mut Vec::new()).unwrap_or_else(|| panic!("{label}"));
    let (date, since) = day_of(time.wall).unwrap();
    let seconds = since / calendar::SECOND;
    let nanoseconds = since % calendar::SECOND;
    let clock = format!("{:02}:{:02}:{:02}.{nanoseconds:09}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    (time.unit, format!("{date} {clock}"), time.offset)
}

#[test]
fn every_form_of_a_moment_means_that_moment() {
    for label in [
        "2024-01-31T13:45",
        "2024-01-31t13:45:00",
        "2024-01-31 13:45",
        "2024-01-31 13:45:00.000000000",
        "2024-01-31 1:45 PM",
        "2024-01-31 1:45pm",
        "2024/01/31 13:45",
        "20240131T1345",
        "20240131T134500",
        "202401311345",
        "2024-W05-3T13:45",
        "2024-031T13:45",
        "31.01.2024 13:45",
        "31/01/2024, 13:45",
        "31 January 2024 13:45",
        "31-Jan-2024 13:45",
        "31-JAN-24 13:45",
        "Jan 31, 2024 1:45 PM",
        "January 31 2024 13:45",
        "2024 Jan 31 13:45",
        "Wed, 31 Jan 2024 13:45",
        "Wednesday, January 31, 2024 1:45 p.m.",
    ] {
        assert_eq!(meant(label), (TimeUnit::Moment, "2024-01-31 13:45:00.000000000".into(), None), "{label}");
    }
    for (label, offset) in [
        ("2024-01-31T13:45:30.25Z", 0),
        ("2024-01-31T13:45:30,25z", 0),
        ("2024-01-31 13:45:30.25 UTC", 0),
        ("Wed, 31 Jan 2024 13:45:30.25 GMT", 0),
        ("2024-01-31T13:45:30.25+00:00[UTC]", 0),
        ("2024-01-31T13:45:30.25+02:00", 7200),
        ("2024-01-31T13:45:30.25+0200", 7200),
        ("2024-01-31T13:45:30.25 +02", 7200),
        ("Wed, 31 Jan 2024 13:45:30.25 +0200", 7200),
        ("31 Jan 2024 13:45:30.25 +0200", 7200),
        ("2024-01-31 13:45:30.25-05:30", -19_800),
        ("2024-01-31 13:45:30.25−05:30", -19_800),
    ] {
        assert_eq!(meant(label), (TimeUnit::Moment, "2024-01-31 13:45:30.250000000".into(), Some(offset)), "{label}");
    }
}

#[test]
fn every_form_of_a_period_means_its_first_day() {
    for (unit, first, labels) in [
        (
            TimeUnit::Moment,
            "2024-01-31",
            &["20240131", "2024-W05-3", "2024-031", "Jan 31, 2024", "31 January 2024"][..],
        ),
        (TimeUnit::Month, "2024-03-01", &["2024-03", "202403", "2024M03", "Mar 2024", "March-24", "3/2024"]),
        (TimeUnit::Quarter, "2024-07-01", &["2024Q3", "2024-Q3", "Q3 2024", "3Q2024", "2024 q3"]),
        (TimeUnit::Week, "2024-01-29", &["2024-W05", "2024W05", "W05 2024"]),
        (TimeUnit::Half, "2024-07-01", &["2024H2", "2H 2024"]),
    ] {
        for label in labels {
            assert_eq!(meant(label), (unit, format!("{first} 00:00:00.000000000"), None), "{label}");
        }
    }
    for none in ["Thu, 31 Jan 2024", "2023-02-29", "2024-W53-1", "2024-366x", "31 Foo 2024", "2024Q5", "24:30"] {
        let time = read(none, DateOrder::DayFirst, &mut Vec::new());
        assert!(time.is_none_or(|time| time.unit == TimeUnit::Clock), "{none}: {time:?}");
    }
}

#[test]
fn a_zone_in_brackets_gives_the_offset_or_must_agree_with_it() {
    fn error(label: &str) -> Option<String> {
        zone_error(label, DateOrder::DayFirst).map(|error| error.to_string())
    }
    fn zoned(label: &str) -> Option<i64> {
        read(label, DateOrder::DayFirst, &mut Vec::new()).and_then(|time| time.offset)
    }
    // Without a time zone database, a written offset is taken as it is.
    assert_eq!(zoned("2024-01-31T13:45+05:00[Nowhere/At_All]"), Some(18_000));
    let unknown = "whose time zone \"Nowhere/At_All\" no database of this machine has";
    assert!(error("2024-01-31T13:45[Nowhere/At_All]").unwrap().starts_with(unknown));
    assert!(error("2024-01-31T13:45+05:00").is_none() && zoned("2024-01-31T13:45[]").is_none());
    assert_eq!(zoned("2024-01-31T13:45[Europe/Berlin]"), Some(3600));
    assert_eq!(zoned("2024-07-01T13:45[Europe/Berlin]"), Some(7200));
    assert_eq!(zoned("2024-07-01T13:45:00+02:00[Europe/Berlin]"), Some(7200));
    let other = "whose offset Europe/Berlin does not have at that time: it is +02:00";
    assert_eq!(error("2024-07-01T13:45:00+01:00[Europe/Berlin]").as_deref(), Some(other));
    let never = "a local time that never occurs in Europe/Berlin, where clocks go forward from +01:00 to +02:00";
    assert_eq!(error("2024-03-31T02:30[Europe/Berlin]").as_deref(), Some(never));
    let twice = "a local time that occurs twice in Europe/Berlin: write +02:00[Europe/Berlin] for the first and \
                 +01:00[Europe/Berlin] for the second";
    assert_eq!(error("2024-10-27T02:30[Europe/Berlin]").as_deref(), Some(twice));
    for (label, offset) in [("02:30+02:00", 7200), ("02:30+01:00", 3600), ("03:00", 3600), ("01:59", 7200)] {
        assert_eq!(zoned(&format!("2024-10-27T{label}[Europe/Berlin]")), Some(offset), "{label}");
    }
}
