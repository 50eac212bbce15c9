//! Dates of many kinds, written in many forms.

use jiff::civil::Date;
use rand_chacha::ChaCha8Rng;

use super::label::calendar::{DAY, MONTHS, WEEKDAYS, day_of, nanoseconds};
use super::*;
use crate::data::corruption::{below, damaged, rng};

/// Days in their order, the first after the twelfth of its month so that its order is known.
fn days(rng: &mut ChaCha8Rng) -> Vec<Date> {
    let first =
        nanoseconds(Date::constant(1975 + below(80, rng) as i16, 1 + below(12, rng) as i8, 13 + below(15, rng) as i8));
    let mut wall = first;
    let mut next = || {
        let (date, _) = day_of(wall).unwrap();
        wall += DAY * (1 + below(40, rng) as i128);
        date
    };
    (0..20).map(|_| next()).collect()
}

/// How to write a day.
type TimeFormatter = fn(Date) -> String;

fn month(date: Date) -> &'static str {
    MONTHS[date.month() as usize - 1]
}

fn weekday(date: Date) -> &'static str {
    WEEKDAYS[date.weekday().to_monday_zero_offset() as usize]
}

const FORMS: [TimeFormatter; 28] = [
    |d| d.to_string(),
    |d| format!("{:04}/{:02}/{:02}", d.year(), d.month(), d.day()),
    |d| format!("{:04}.{}.{}", d.year(), d.month(), d.day()),
    |d| format!("{:04}{:02}{:02}", d.year(), d.month(), d.day()),
    |d| format!("{:02}{:02}{:04}", d.day(), d.month(), d.year()),
    |d| format!("{:02}/{:02}/{:04}", d.day(), d.month(), d.year()),
    |d| format!("{}/{}/{:04}", d.month(), d.day(), d.year()),
    |d| format!("{}.{}.{:04}", d.day(), d.month(), d.year()),
    |d| format!("{}. {}. {:04}", d.day(), d.month(), d.year()),
    |d| format!("{:02}-{:02}-{:04}", d.day(), d.month(), d.year()),
    |d| format!("{} {} {}", d.day(), month(d), d.year()),
    |d| format!("{:02}-{}-{}", d.day(), &month(d)[..3], d.year()),
    |d| format!("{:02}{}{}", d.day(), month(d)[..3].to_uppercase(), d.year()),
    |d| format!("{} {}, {}", month(d), d.day(), d.year()),
    |d| format!("{}-{}-{:02}", d.year(), &month(d)[..3].to_lowercase(), d.day()),
    |d| {
        format!(
            "{}, {} {} {}",
            &WEEKDAYS[d.weekday().to_monday_zero_offset() as usize][..3],
            d.day(),
            month(d),
            d.year()
        )
    },
    // RFC 2822, and the dates of HTTP.
    |d| format!("{}, {:02} {} {} 07:30:00 +0200", &weekday(d)[..3], d.day(), &month(d)[..3], d.year()),
    |d| format!("{}, {:02} {} {} 07:30:00 GMT", &weekday(d)[..3], d.day(), &month(d)[..3], d.year()),
    // RFC 9557.
    |d| format!("{d}T07:30:00+00:00[UTC]"),
    |d| format!("{d}T07:30:00.250000-05:00"),
    |d| format!("{:04}{:02}{:02}T073000Z", d.year(), d.month(), d.day()),
    |d| format!("{d}T00:00:00.000Z"),
    |d| format!("{d} 07:30:00+02:00"),
    |d| format!("{d}T07:30-0500"),
    |d| format!("{}/{}/{} 7:30 PM", d.month(), d.day(), d.year()),
    |d| format!("{:04}-{:03}", d.year(), d.day_of_year()),
    |d| format!("{d} 7:30"),
    |d| {
        format!(
            "{:04}-W{:02}-{}",
            d.iso_week_date().year(),
            d.iso_week_date().week(),
            d.weekday().to_monday_one_offset()
        )
    },
];

#[test]
fn ascending_dates_are_accepted_in_every_form_and_disordered_ones_are_not() {
    let mut rng = rng(0);
    for form in FORMS {
        for _ in 0..30 {
            let days = days(&mut rng);
            let labels: Vec<String> = days.iter().copied().map(form).collect();
            let times =
                read(&labels[..], None, RowGroups::SERIES).unwrap_or_else(|trouble| panic!("{trouble:?} {labels:?}"));
            assert_eq!(times.out_of_order(), None, "{labels:?}");
            let apart = |keys: Vec<i128>| keys.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
            assert_eq!(apart(times.keys), apart(days.iter().copied().map(nanoseconds).collect()), "{labels:?}");
            let turned: Vec<String> = labels.iter().rev().cloned().collect();
            assert!(read(&turned[..], None, RowGroups::SERIES).unwrap().out_of_order().is_some(), "{turned:?}");
            let mut doubled = labels.clone();
            let row = 1 + below(days.len() - 1, &mut rng);
            doubled[row] = doubled[row - 1].clone();
            assert_eq!(read(&doubled[..], None, RowGroups::SERIES).unwrap().out_of_order(), Some(row), "{doubled:?}");
            let mut odd = labels.clone();
            odd[row] = ["Total", "", "-", "n/a", "31.2.2021", "2021-13-01"][below(6, &mut rng)].into();
            match read(&odd[..], None, RowGroups::SERIES) {
                Err(TimeError::Odd { row: named, date: true, .. }) => assert_eq!(named, row, "{odd:?}"),
                other => panic!("{other:?} {odd:?}"),
            }
        }
    }
}

#[test]
fn a_parsed_time_is_written_as_it_was() {
    let mut rng = rng(1);
    for form in FORMS {
        for _ in 0..20 {
            // Even steps, so that the rest continues the first three.
            let first = nanoseconds(days(&mut rng)[0]);
            let step = DAY * (1 + below(400, &mut rng) as i128);
            let label = |n: i128| form(day_of(first + n * step).unwrap().0);
            let labels: Vec<String> = (0..20).map(label).collect();
            let known = 12;
            // Without a one-digit day it is unknown whether days have leading zeros.
            if (0..known).all(|n| day_of(first + n * step).unwrap().0.day() > 9) {
                continue;
            }
            let known = known as usize;
            let Ok(times) = read(&labels[..known], Some(order_of(&labels)), RowGroups::SERIES) else {
                panic!("{labels:?}")
            };
            assert_eq!(beyond(&times, &labels[..known], 20 - known), Ok(labels[known..].to_vec()));
        }
    }
}

/// As the whole column is read.
fn order_of(labels: &[String]) -> DateOrder {
    read(labels, None, RowGroups::SERIES).unwrap().date_order().unwrap_or(DateOrder::DayFirst)
}

#[test]
fn corrupted_labels_do_not_panic() {
    let mut rng = rng(2);
    for _ in 0..3000 {
        let form = FORMS[below(FORMS.len(), &mut rng)];
        let text = days(&mut rng).into_iter().map(form).collect::<Vec<_>>().join("\n").into_bytes();
        let text = String::from_utf8_lossy(&damaged(text, &mut rng)).into_owned();
        let labels: Vec<String> = text.lines().map(str::to_owned).collect();
        let Ok(times) = read(&labels[..], None, RowGroups::SERIES) else { continue };
        let _ = (times.found.notes(&labels[..], "t"), beyond(&times, &labels, 3), gaps_of(&times, &labels));
        for label in &labels {
            rows_until(&times, &labels, label);
        }
    }
}
