//! Relative windows, segments and panels against the same done to the data by hand.

use std::sync::Arc;

use ndarray::{Array2, Array3, Axis, s};

use super::*;
use crate::batch::{Input, Targets};
use crate::data::{Examples, Frame, MissingPolicy, Scaling, ScalingKind};

const N: f64 = f64::NAN;

/// Whole numbers that jump about, so that means of four are exact.
fn walk(rows: usize, from: f64) -> Vec<f64> {
    (0..rows).map(|row| from + ((row * row * 7 + row * 3) % 23) as f64).collect()
}

fn table(columns: &[(&str, Vec<f64>)]) -> SeriesTable {
    let columns: Vec<Column> =
        columns.iter().map(|(name, values)| Column { name: (*name).into(), values: values.clone() }).collect();
    let labels = (0..columns[0].values.len()).map(|row| row.to_string()).collect();
    SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() }
}

fn roles(targets: &[&str], features: &[&str], known: &[&str]) -> ColumnRoles {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ColumnRoles { targets: owned(targets), features: owned(features), known: owned(known) }
}

/// As a panel.
fn panel(columns: &[(&str, Vec<f64>)], roles: &ColumnRoles) -> Series {
    Series::new(table(columns), roles, MissingPolicy::Mask).unwrap().into_panel()
}

fn series(columns: &[(&str, Vec<f64>)], roles: &ColumnRoles) -> Series {
    Series::new(table(columns), roles, MissingPolicy::Mask).unwrap()
}

fn fit(series: &Series, frame: Frame, kind: ScalingKind) -> SeriesCodec {
    SeriesCodec::fit(series, frame, series.len(), |_| kind).unwrap()
}

fn arrays(windows: &Windows, examples: &[usize]) -> (Array3<f32>, Array3<f32>) {
    let batch = windows.batch(examples, windows.steps(0)).unwrap();
    let (Input::Dense(x), Targets::Values(y)) = (batch.sequence.input, batch.targets) else { panic!() };
    (x, y)
}

/// Encoded as it is, without any scaling.
fn as_it_is(columns: &[(&str, Vec<f64>)], roles: &ColumnRoles, frame: Frame) -> Arc<EncodedSeries> {
    let series = series(columns, roles);
    fit(&series, frame, ScalingKind::None).encode(series).unwrap()
}

#[test]
fn relative_windows_are_those_of_data_that_were_made_relative_by_hand() {
    let frame = Frame { window: 4, horizon: 3 };
    let (v, w) = (walk(30, 100.0), walk(31, -5.0)[1..].to_vec());
    let roles = roles(&["v", "w"], &["f"], &[]);
    let whole = series(&[("v", v.clone()), ("w", w.clone()), ("f", walk(30, 0.0))], &roles);
    let codec = fit(&whole, frame, ScalingKind::Standard);
    let feature: Vec<f64> = walk(30, 0.0).iter().map(|value| codec.features[0].scaling.scale(*value)).collect();
    for relative in [RelativeTo::Last, RelativeTo::Mean, RelativeTo::Standard] {
        let windows = codec.clone().relative_to(relative).encode(whole.clone()).unwrap().all_windows().unwrap();
        for (example, first) in windows.first_rows().iter().copied().enumerate() {
            let rows = first - 4..first + 3;
            let by_hand = |values: &[f64], Scaling { unit, .. }: Scaling| {
                let shown = &values[first - 4..first];
                let mean = shown.iter().sum::<f64>() / 4.0;
                let variance = shown.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4.0;
                let (offset, unit) = match relative {
                    RelativeTo::Last => (shown[3], unit),
                    RelativeTo::Mean => (mean, unit),
                    _ => (mean, variance.sqrt().hypot(1e-5f64.sqrt() * unit)),
                };
                (offset, unit, values[rows.clone()].iter().map(|value| (value - offset) / unit).collect::<Vec<f64>>())
            };
            let hands = [by_hand(&v, codec.targets[0].scaling), by_hand(&w, codec.targets[1].scaling)];
            let columns = [("v", hands[0].2.clone()), ("w", hands[1].2.clone()), ("f", feature[rows.clone()].to_vec())];
            let want = as_it_is(&columns, &roles, frame).all_windows().unwrap();
            assert_eq!(arrays(&windows, &[example]), arrays(&want, &[0]), "{relative:?} from row {first} on");
            // What comes out is in the units of the data again.
            let zeros = vec![Array2::<f32>::from_elem((1, 6), 0.5); windows.len()];
            let decoded = windows.decode(&zeros).unwrap();
            for (target, (offset, unit, _)) in hands.iter().enumerate() {
                assert_eq!(decoded[[example, 2, target]], 0.5 * unit + offset);
                assert_eq!(windows.scalings()[example][target], Scaling { offset: *offset, unit: *unit });
            }
        }
    }
}

#[test]
fn a_relative_window_sees_gaps_as_0_and_is_seen_from_what_it_shows() {
    let values = vec![1.0, 5.0, N, N, N, N, 8.0, 9.0];
    let whole = series(&[("v", values)], &ColumnRoles::one("v"));
    let codec = SeriesCodec { segment: 3, ..fit(&whole, Frame { window: 3, horizon: 1 }, ScalingKind::None) };
    let windows = codec.relative_to(RelativeTo::Last).encode(whole).unwrap().all_windows().unwrap();
    // Values and masks, row by row: the last value is 5 of rows 0 to 2, and there is none of rows 2 to 4.
    let x = |example| arrays(&windows, &[example]).0.into_raw_vec_and_offset().0;
    assert_eq!(x(0), [-4.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(x(2), [0.0; 6]);
    assert_eq!(arrays(&windows, &[3]).1[[0, 0, 0]], 8.0);
    assert_eq!(x(4), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(arrays(&windows, &[4]).1[[0, 0, 0]], 1.0);
}

#[test]
fn a_segmented_window_is_that_of_a_file_with_a_row_for_each_segment() {
    let (rows, segment) = (24, 3);
    let frame = Frame { window: 6, horizon: 3 };
    let (v, k) = (walk(rows, 2.0), walk(rows, 50.0));
    let whole = series(&[("v", v.clone()), ("k", k.clone())], &roles(&["v"], &[], &["k"]));
    let codec = fit(&whole, frame, ScalingKind::None).segment(segment);
    assert_eq!((codec.steps(), codec.input_size(), codec.outputs()), (2, 6, 3));
    let windows = codec.encode(whole).unwrap().all_windows().unwrap();
    // A column for each place in a segment.
    let places = |values: &[f64], place: usize| values.iter().skip(place).step_by(segment).copied().collect();
    let names = ["v0", "v1", "v2", "k0", "k1", "k2"];
    let columns: Vec<(&str, Vec<f64>)> = names
        .iter()
        .zip([&v, &v, &v, &k, &k, &k])
        .enumerate()
        .map(|(index, (name, values))| (*name, places(values, index % segment)))
        .collect();
    let by_hand = as_it_is(&columns, &roles(&names[..3], &[], &names[3..]), Frame { window: 2, horizon: 1 });
    let by_hand = by_hand.all_windows().unwrap();
    assert_eq!(by_hand.len(), 6);
    for (example, first) in by_hand.first_rows().iter().enumerate() {
        let at = windows.first_rows().iter().position(|row| *row == first * segment).unwrap();
        let ((x, y), (want, want_y)) = (arrays(&windows, &[at]), arrays(&by_hand, &[example]));
        assert_eq!(y, want_y);
        // By hand all targets come before all known columns; in a segment each row has both.
        for (input, by_hand) in [0, 2, 4, 1, 3, 5].into_iter().enumerate() {
            assert_eq!(x.slice(s![.., 0, by_hand]), want.slice(s![.., 0, input]), "input {by_hand} before row {first}");
        }
    }
}

#[test]
fn a_segment_must_divide_the_window() {
    let whole = series(&[("v", walk(30, 0.0))], &ColumnRoles::one("v"));
    let codec = fit(&whole, Frame { window: 10, horizon: 1 }, ScalingKind::Standard);
    for segment in [0, 3, 20] {
        let error = codec.clone().segment(segment).encode(whole.clone()).unwrap_err().to_string();
        assert_eq!(error, format!("segment: expected a number of rows that divides the window of 10, got {segment}"));
    }
    assert!(codec.segment(5).encode(whole).is_ok());
}

/// Two series with a gap in one, and a known column of both.
fn two() -> [(&'static str, Vec<f64>); 3] {
    let mut b = walk(30, 1000.0);
    b[20] = N;
    [("a", walk(30, 0.0)), ("b", b), ("k", walk(34, 3.0)[..30].to_vec())]
}

#[test]
fn the_examples_of_a_panel_are_those_of_each_series_alone() {
    let frame = Frame { window: 5, horizon: 2 };
    let columns = two();
    let together = panel(&columns, &roles(&["a", "b"], &[], &["k"]));
    let codec = fit(&together, frame, ScalingKind::Standard).relative_to(RelativeTo::Mean);
    let encoded = codec.encode(together).unwrap();
    let all = encoded.all_windows().unwrap();
    let trained = encoded.windows(5..30).unwrap();
    assert_eq!((all.len(), all.first_rows().len(), codec.members()), (2 * 24, 24, 2));
    // Windows that predict row 20 are left out for the series that lacks it.
    assert_eq!((trained.len(), trained.left_out(), trained.first_rows().len()), (2 * 24 - 2, 2, 24));
    assert!(trained.truth()[[14, 0, 1]].is_nan() && trained.truth()[[14, 0, 0]] == columns[0].1[19]);
    for member in 0..2 {
        let alone = series(&[columns[member].clone(), columns[2].clone()], &roles(&[["a", "b"][member]], &[], &["k"]));
        let mut of_one = fit(&alone, frame, ScalingKind::Standard).relative_to(RelativeTo::Mean);
        assert_eq!(of_one.targets[0].scaling, codec.targets[member].scaling);
        // One series of the panel has a mask, so all have.
        of_one.targets[0].masked = true;
        let alone = of_one.encode(alone).unwrap().all_windows().unwrap();
        let examples: Vec<usize> = (0..alone.len()).collect();
        let of_panel: Vec<usize> = examples.iter().map(|example| 2 * example + member).collect();
        assert_eq!(arrays(&all, &of_panel), arrays(&alone, &examples));
        let weights = |windows: &Windows, examples: &[usize]| windows.batch(examples, 5).unwrap().weights;
        assert_eq!(weights(&all, &of_panel), weights(&alone, &examples));
        // A forecast comes back to its own series.
        let outputs = |example: usize| Array2::from_shape_fn((1, 2), |(_, output)| (3 * example + output) as f32);
        let decoded = all.decode(&(0..all.len()).map(outputs).collect::<Vec<_>>()).unwrap();
        let want = alone.decode(&of_panel.iter().map(|example| outputs(*example)).collect::<Vec<_>>()).unwrap();
        assert_eq!(decoded.index_axis(Axis(2), member), want.index_axis(Axis(2), 0));
    }
}

#[test]
fn a_panel_of_one_series_is_that_series() {
    let frame = Frame { window: 6, horizon: 2 };
    let [alone, panel] = [series, panel].map(|series| {
        let whole = series(&two()[1..], &roles(&["b"], &["k"], &[]));
        fit(&whole, frame, ScalingKind::MinMax).encode(whole).unwrap()
    });
    let [a, b] = [&alone, &panel].map(|encoded| encoded.measured_windows(8..30).unwrap());
    assert_eq!((a.first_rows(), a.left_out(), a.scalings()), (b.first_rows(), b.left_out(), b.scalings()));
    let all: Vec<usize> = (0..a.len()).collect();
    assert_eq!(arrays(&a, &all), arrays(&b, &all));
}

#[test]
fn a_series_of_a_panel_begins_and_ends_with_its_own_values() {
    let frame = Frame { window: 5, horizon: 2 };
    let [(_, mut a), (_, mut b), _] = two();
    a[20..].fill(N);
    b[..8].fill(N);
    let whole = panel(&[("a", a.clone()), ("b", b)], &roles(&["a", "b"], &[], &[]));
    assert_eq!((whole.rows_of(0), whole.rows_of(1)), (0..20, 8..30));
    // What is outside is neither refused nor filled nor marked; row 20 of b is a gap.
    let gaps: Vec<usize> = whole.gaps().into_iter().map(|(_, count)| count).collect();
    assert_eq!(gaps, [0, 1]);
    let error = whole.clone().with_missing(MissingPolicy::Refuse).unwrap_err().to_string();
    assert!(error.starts_with("row 21 (\"20\"), column \"b\"") && error.ends_with("the first of 1"), "{error}");
    let whole = whole.with_missing(MissingPolicy::Forward).unwrap();
    assert!(whole.targets()[1].values[7].is_nan() && whole.targets()[0].values[20].is_nan());
    let codec = fit(&whole, frame, ScalingKind::Standard);
    assert_eq!((codec.input_size(), codec.targets[0].scaling), (1, Scaling::fit(ScalingKind::Standard, &a[..20])));
    let encoded = codec.encode(whole).unwrap();
    // Windows of a predict up to row 19, those of b read from row 8 on; two of b predict the gap.
    let trained = encoded.windows(5..30).unwrap();
    assert_eq!((trained.len(), trained.left_out(), trained.without_example()), (14 + 14, 1 + 2, vec![]));
    assert!(trained.truth()[[0, 0, 1]].is_nan() && trained.truth()[[0, 0, 0]] == a[5]);
    assert_eq!(encoded.measured_windows(22..30).unwrap().without_example(), [0]);
    // Only b reaches up to the end.
    let mut rollout = encoded.rollout(30, 2).unwrap();
    assert_eq!((rollout.batch_rows(), rollout.next_input().unwrap().shape()), (1, &[5, 1, 1][..]));
    rollout.push(&[0.5, 0.25]).unwrap();
    let forecast = rollout.finish();
    assert!(forecast.values.column(0).iter().all(|value| value.is_nan()));
    assert_eq!(forecast.values[[1, 1]], codec.targets[1].scaling.unscale(0.25));
    assert!(encoded.rollout(10, 2).unwrap().batch_rows() == 1 && encoded.rollout(14, 2).unwrap().batch_rows() == 2);
}

#[test]
fn a_panel_and_targets_together_are_not_encoded_alike() {
    let columns = two();
    let roles = roles(&["a", "b"], &[], &[]);
    let [together, panel] = [series(&columns, &roles), panel(&columns, &roles)];
    let codec = fit(&panel, Frame { window: 5, horizon: 2 }, ScalingKind::Standard);
    let error = codec.encode(together).unwrap_err().to_string();
    assert_eq!(error, "the series: expected a panel: each target by itself, got all targets together");
    let left = panel.without_targets(&[0]).unwrap();
    assert_eq!((left.targets()[0].name.as_str(), left.rows_of(0)), ("b", 0..30));
    assert!(left.without_targets(&[0]).is_err());
}

#[test]
fn a_rollout_feeds_relative_forecasts_back_in_the_units_of_the_data() {
    let frame = Frame { window: 4, horizon: 2 };
    let columns: Vec<(&str, Vec<f64>)> = two()[..1].iter().cloned().chain([("c", walk(30, 7.0))]).collect();
    let whole = panel(&columns, &roles(&["a", "c"], &[], &[]));
    let codec = fit(&whole, frame, ScalingKind::Standard).segment(2);
    for relative in [RelativeTo::None, RelativeTo::Last, RelativeTo::Mean, RelativeTo::Standard] {
        let codec = codec.clone().relative_to(relative);
        let encoded = codec.encode(whole.clone()).unwrap();
        // The network predicts half of the first value that it reads, and the last one.
        let outputs =
            |x: &Array3<f32>| x.axis_iter(Axis(1)).flat_map(|x| [x[[0, 0]] / 2.0, x[[1, 1]]]).collect::<Vec<f32>>();
        let mut rollout = encoded.rollout(30, 5).unwrap();
        let mut by_hand: Vec<Vec<f64>> = columns.iter().map(|(_, values)| values.clone()).collect();
        while let Some(x) = rollout.next_input() {
            assert_eq!(x.shape(), [2, 2, 2]);
            rollout.push(&outputs(&x)).unwrap();
            for (values, codec) in by_hand.iter_mut().zip(&codec.targets) {
                let shown = &values[values.len() - 4..];
                let scaling = relative.scaling(codec.scaling, shown);
                let [first, last] = [shown[0], shown[3]].map(|value| scaling.scale(value) as f32);
                values.extend([first / 2.0, last].map(|output| scaling.unscale(f64::from(output))));
            }
        }
        let forecast = rollout.finish();
        for (target, values) in by_hand.iter().enumerate() {
            assert_eq!(forecast.values.column(target).to_vec(), values[30..35], "{relative:?}");
        }
    }
}

#[test]
fn values_too_far_apart_for_a_windows_own_unit_are_refused() {
    let whole = series(&[("v", vec![-3e38, 3e38, 0.0, 1.0, 2.0])], &ColumnRoles::one("v"));
    let mut codec = fit(&whole, Frame { window: 2, horizon: 1 }, ScalingKind::None);
    assert!(codec.encode(whole.clone()).is_ok());
    codec.relative = RelativeTo::Last;
    let error = codec.encode(whole).unwrap_err().to_string();
    assert!(error.starts_with("column \"v\": expected numbers within f32 of each other"), "{error}");
}

#[test]
fn a_codec_of_an_older_file_is_plain() {
    let whole = series(&[("v", walk(30, 0.0))], &ColumnRoles::one("v"));
    let codec = fit(&whole, Frame { window: 10, horizon: 1 }, ScalingKind::Standard);
    let json = serde_json::to_string(&codec).unwrap();
    assert!(!json.contains("relative") && !json.contains("segment") && !json.contains("panel"), "{json}");
    assert_eq!(serde_json::from_str::<SeriesCodec>(&json).unwrap(), codec);
    let codec = SeriesCodec { panel: true, ..codec.relative_to(RelativeTo::Standard).segment(5) };
    assert_eq!(serde_json::from_str::<SeriesCodec>(&serde_json::to_string(&codec).unwrap()).unwrap(), codec);
}
