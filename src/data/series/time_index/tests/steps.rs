//! Offsets, zones and steps that are not even.

use super::*;

#[test]
fn times_with_offsets_are_instants_whose_local_clocks_may_go_back() {
    // Clocks go back at 3:00: the hour from 2:00 comes twice, told apart by the offset alone.
    let back = ["2024-10-27T01:00+02:00", "2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00", "2024-10-27T03:00+01:00"];
    assert_eq!(order(&back).unwrap().gaps(&owned(&back)), None);
    assert_eq!(order(&back).unwrap().uneven(&owned(&back)), None);
    let without = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"];
    refused(&without, "write offsets from UTC where clocks go back");
    // An offset that goes back further than the clock goes forward.
    refused(&["2024-01-01T10:00+01:00", "2024-01-01T10:30+02:00", "2024-01-01T11:00+01:00"], "sort the rows");
}

#[test]
fn hours_in_a_zone_continue_across_its_clock_changes_and_ambiguous_ones_are_told() {
    if times::label::zone::local_of("Europe/Berlin", 0).is_none() {
        return;
    }
    let zone = |labels: &[&str]| labels.iter().map(|label| format!("{label}[Europe/Berlin]")).collect::<Vec<_>>();
    let continued = |labels: &[&str], next: &[&str]| {
        let (labels, next) = (zone(labels), zone(next));
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        continues(&labels, &next.iter().map(String::as_str).collect::<Vec<_>>());
    };
    continued(
        &["2024-03-31T00:00:00+01:00", "2024-03-31T01:00:00+01:00"],
        &["2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"],
    );
    continued(
        &["2024-10-27T01:00+02:00", "2024-10-27T02:00+02:00"],
        &["2024-10-27T02:00+01:00", "2024-10-27T03:00+01:00"],
    );
    // Days begin at midnight of the zone.
    continued(
        &["2024-03-29T00:00+01:00", "2024-03-30T00:00+01:00"],
        &["2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"],
    );
    let labels = zone(&["2024-10-27T00:30", "2024-10-27T01:30", "2024-10-27T02:30", "2024-10-27T03:30"]);
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    refused(&labels, "a local time that occurs twice in Europe/Berlin: write +02:00[Europe/Berlin] for the first");
    is_counted(
        &labels[..2],
        "the next, 2024-10-27T02:30[Europe/Berlin], is a local time that occurs twice in Europe/Berlin: write \
         +02:00[Europe/Berlin] for the first and +01:00[Europe/Berlin] for the second",
    );
    let labels = zone(&["2024-03-31T00:30", "2024-03-31T01:30", "2024-03-31T02:30", "2024-03-31T03:30"]);
    refused(&labels.iter().map(String::as_str).collect::<Vec<_>>(), "a local time that never occurs in Europe/Berlin");
}

#[test]
fn steps_that_are_not_even_are_told_with_the_first_of_them() {
    let uneven = |labels: &[&str]| order(labels).unwrap().uneven(&owned(labels)).map(|steps| steps.to_string());
    let told = uneven(&["2024-01-01 10:00", "2024-01-01 10:10", "2024-01-01 10:17", "2024-01-01 10:29"]);
    let expected = "steps in time are not even: \"2024-01-01 10:10\" to \"2024-01-01 10:17\" is 7 minutes, and the step \
                    before it 10 minutes";
    assert_eq!(told.as_deref(), Some(expected));
    assert!(uneven(&["1", "2", "4", "7"]).unwrap().contains("\"2\" to \"4\" is 2, and the step before it 1"));
    assert!(uneven(&["2024-01", "2024-02", "2024-04", "2024-09"]).unwrap().contains("is 2 months"));
    for even in [
        &["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"][..],
        &["2024-01-15", "2024-02-15", "2024-03-15"],
        &["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"],
        &["2020Q3", "2020Q4", "2021Q1"],
        &["202051", "202052", "202101", "202102"],
        &["2024-03-30T12:00+01:00", "2024-03-31T12:00+02:00", "2024-04-01T12:00+02:00"],
        &["b", "a", "d"],
        &["1"],
    ] {
        assert_eq!(uneven(even), None, "{even:?}");
    }
}
