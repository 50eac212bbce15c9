//! The rooms of the page, without a browser.

use bptt::experiment::config::{RunConfig, SeriesConfig};
use bptt::experiment::{LoadedModel, PathCount};
use bptt_web::device::Device;
use bptt_web::errors::ErrorKind;
use bptt_web::limits::now;
use bptt_web::line::Line;
use bptt_web::series::{self, SeriesOptions, SeriesRoom, sunspots};
use bptt_web::text::{TextOptions, TextRoom};
use bptt_web::three_steps::{ThreeSteps, ThreeStepsNumbers, ThreeStepsOptions};
use bptt_web::through_time::{ThroughTime, ThroughTimeOptions};
use serde_json::{Value, json};

fn cpu() -> Device {
    now(Device::open("cpu")).unwrap()
}

fn options<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn close(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() < 1e-13 * want.abs().max(1.0), "{what}: {got} {want}");
}

/// The page shows sentences: one line, with what to do or what was expected.
#[track_caller]
fn sentence<T>(result: bptt::Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    assert!(!message.contains('\n') && message.len() < 400, "{message}");
    parts.iter().for_each(|part| assert!(message.contains(part), "{message}: expected {part:?}"));
}

mod line {
    use super::*;

    const POINTS: [f64; 6] = [-1.0, -3.0, 0.0, 1.0, 2.0, 4.0];

    #[test]
    fn the_gradient_of_a_line_is_that_of_its_formula() {
        let mut line = Line::new(&POINTS, 0.5, -0.25).unwrap();
        let numbers = line.numbers().unwrap();
        let [mut loss, mut d_slope, mut d_intercept] = [0.0; 3];
        for (point, prediction) in POINTS.chunks(2).zip(&numbers.predictions) {
            let error = 0.5 * point[0] - 0.25 - point[1];
            close("ŷ", *prediction, 0.5 * point[0] - 0.25);
            loss += error * error / 3.0;
            d_slope += 2.0 * error * point[0] / 3.0;
            d_intercept += 2.0 * error / 3.0;
        }
        close("loss", numbers.loss, loss);
        close("d_slope", numbers.d_slope, d_slope);
        close("d_intercept", numbers.d_intercept, d_intercept);
        let next = line.step(0.1).unwrap();
        close("slope", next.slope, 0.5 - 0.1 * d_slope);
        close("intercept", next.intercept, -0.25 - 0.1 * d_intercept);
    }

    #[test]
    fn small_steps_find_the_line_and_large_ones_run_away_until_it_is_set_again() {
        let exact = [0.0, 1.0, 1.0, 3.0, 2.0, 5.0];
        let mut line = Line::new(&exact, 0.0, 0.0).unwrap();
        for _ in 0..2000 {
            line.step(0.1).unwrap();
        }
        let numbers = line.numbers().unwrap();
        assert!((numbers.slope - 2.0).abs() < 1e-9 && (numbers.intercept - 1.0).abs() < 1e-9, "{numbers:?}");
        line.set(0.0, 0.0).unwrap();
        let failed = (0..2000).find_map(|_| line.step(10.0).err()).expect("it ran away");
        assert!(failed.to_string().contains("not finite"), "{failed}");
        line.set(1.0, 0.0).unwrap();
        assert!(line.step(0.1).unwrap().loss.is_finite());
    }

    #[test]
    fn points_that_are_none_are_refused() {
        sentence(Line::new(&[], 0.0, 0.0), &["1 to 1000 pairs"]);
        sentence(Line::new(&[1.0], 0.0, 0.0), &["1 numbers"]);
        sentence(Line::new(&[1.0, f64::NAN], 0.0, 0.0), &["a coordinate"]);
        sentence(Line::new(&POINTS, 0.0, 0.0).unwrap().step(-1.0), &["the learning rate"]);
    }
}

mod three_steps {
    use super::*;

    /// The lecture's example by hand, as tests/engine/lecture.rs of the library has it.
    struct ByHand {
        h: Vec<Vec<f64>>,
        z: Vec<Vec<f64>>,
        slope: Vec<Vec<f64>>,
        da: Vec<f64>,
        loss: f64,
        dh: Vec<Vec<f64>>,
        dz: Vec<Vec<f64>>,
    }

    fn by_hand(numbers: &ThreeStepsNumbers, activation: &str, loss: &str) -> ByHand {
        let weights = &numbers.weights;
        let f = |z: f64| match activation {
            "tanh" => z.tanh(),
            "sigmoid" => 1.0 / (1.0 + (-z).exp()),
            "relu" => z.max(0.0),
            _ => z,
        };
        let slope_of = |z: f64| match activation {
            "tanh" => 1.0 / z.cosh().powi(2),
            "sigmoid" => (-z).exp() / (1.0 + (-z).exp()).powi(2),
            "relu" => f64::from(z > 0.0),
            _ => 1.0,
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let size = weights.b_h.len();
        let (mut h, mut z, mut slope) = (vec![numbers.h[0].clone()], Vec::new(), Vec::new());
        for t in 0..3 {
            let z_t: Vec<f64> = (0..size)
                .map(|i| dot(&weights.w_xh[i], &numbers.x[t]) + dot(&weights.w_hh[i], &h[t]) + weights.b_h[i])
                .collect();
            h.push(z_t.iter().map(|z| f(*z)).collect());
            slope.push(z_t.iter().map(|z| slope_of(*z)).collect::<Vec<f64>>());
            z.push(z_t);
        }
        let a: Vec<f64> = weights.w_hy.iter().zip(&weights.b_y).map(|(row, b)| dot(row, &h[3]) + b).collect();
        let y = &numbers.y;
        let (y_hat, total): (Vec<f64>, f64) = match loss {
            "binary" => {
                let y_hat: Vec<f64> = a.iter().map(|a| 1.0 / (1.0 + (-a).exp())).collect();
                let total = y_hat.iter().zip(y).map(|(p, y)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())).sum();
                (y_hat, total)
            }
            "classes" => {
                let normalizer: f64 = a.iter().map(|a| a.exp()).sum();
                let y_hat: Vec<f64> = a.iter().map(|a| a.exp() / normalizer).collect();
                let total = -y_hat.iter().zip(y).map(|(p, y)| y * p.ln()).sum::<f64>();
                (y_hat, total)
            }
            _ => (a.clone(), a.iter().zip(y).map(|(a, y)| (a - y).powi(2)).sum()),
        };
        let factor = if loss == "squared" { 2.0 } else { 1.0 };
        let da: Vec<f64> = y_hat.iter().zip(y).map(|(y_hat, y)| factor * (y_hat - y)).collect();
        let mut dh =
            vec![(0..size).map(|i| da.iter().zip(&weights.w_hy).map(|(d, w)| d * w[i]).sum()).collect::<Vec<f64>>()];
        let mut dz = Vec::new();
        for t in (0..3).rev() {
            let dz_t: Vec<f64> = dh[dh.len() - 1].iter().zip(&slope[t]).map(|(dh, slope)| dh * slope).collect();
            dh.push((0..size).map(|j| dz_t.iter().zip(&weights.w_hh).map(|(d, w)| d * w[j]).sum()).collect());
            dz.push(dz_t);
        }
        dh.reverse();
        dz.reverse();
        ByHand { h, z, slope, da, loss: total, dh, dz }
    }

    fn all_close(what: &str, got: &[Vec<f64>], want: &[Vec<f64>]) {
        assert_eq!(
            got.iter().map(Vec::len).collect::<Vec<_>>(),
            want.iter().map(Vec::len).collect::<Vec<_>>(),
            "{what}"
        );
        got.iter().flatten().zip(want.iter().flatten()).for_each(|(got, want)| close(what, *got, *want));
    }

    #[test]
    fn every_number_is_the_one_by_hand_and_terms_sum_to_the_gradient() {
        for size in [1, 2] {
            for activation in ["tanh", "sigmoid", "relu", "identity"] {
                for loss in ["squared", "binary", "classes"] {
                    let settings = json!({ "size": size, "activation": activation, "loss": loss });
                    let mut room = ThreeSteps::new(options(settings)).unwrap();
                    for _ in 0..2 {
                        let numbers = room.numbers().unwrap();
                        let hand = by_hand(&numbers, activation, loss);
                        let what = |name: &str| format!("{size} {activation} {loss}: {name}");
                        all_close(&what("h"), &numbers.h, &hand.h);
                        all_close(&what("z"), &numbers.z, &hand.z);
                        all_close(&what("slope"), &numbers.slope, &hand.slope);
                        all_close(&what("da"), std::slice::from_ref(&numbers.da), &[hand.da]);
                        all_close(&what("dh"), &numbers.dh, &hand.dh);
                        all_close(&what("dz"), &numbers.dz, &hand.dz);
                        close(&what("loss"), numbers.loss, hand.loss);
                        let weights = &numbers.weights;
                        for t in 0..3 {
                            for i in 0..size {
                                for j in 0..size {
                                    let jacobian = hand.slope[t][i] * weights.w_hh[i][j];
                                    close(&what("jacobian"), numbers.jacobian[t][i][j], jacobian);
                                    let term = hand.dz[t][i] * hand.h[t][j];
                                    close(&what("term"), numbers.terms.w_hh[t][i][j], term);
                                }
                            }
                        }
                        for i in 0..size {
                            for j in 0..size {
                                let sum: f64 = (0..3).map(|t| numbers.terms.w_hh[t][i][j]).sum();
                                close(&what("w_hh"), numbers.gradient.w_hh[i][j], sum);
                                let sum: f64 = (0..3).map(|t| numbers.terms.w_xh[t][i][j]).sum();
                                close(&what("w_xh"), numbers.gradient.w_xh[i][j], sum);
                            }
                            let sum: f64 = (0..3).map(|t| numbers.terms.b_h[t][i]).sum();
                            close(&what("b_h"), numbers.gradient.b_h[i], sum);
                        }
                        let next = room.update(0.5).unwrap().weights;
                        close(&what("updated b_h"), next.b_h[0], weights.b_h[0] - 0.5 * numbers.gradient.b_h[0]);
                        close(
                            &what("updated w_hh"),
                            next.w_hh[0][0],
                            weights.w_hh[0][0] - 0.5 * numbers.gradient.w_hh[0][0],
                        );
                        close(
                            &what("updated w_hy"),
                            next.w_hy[0][0],
                            weights.w_hy[0][0] - 0.5 * numbers.gradient.w_hy[0][0],
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_default_numbers_are_the_lectures() {
        let numbers = ThreeSteps::new(ThreeStepsOptions::default()).unwrap().numbers().unwrap();
        // tests/engine/lecture.rs: X, H_0, W_XH, W_HH, B_IH + B_HH, and the first of its outputs.
        assert_eq!(numbers.x, [[0.5, -1.0], [1.25, 0.75], [-0.5, 0.25]]);
        assert_eq!(numbers.h[0], [0.375, -0.625]);
        assert_eq!(numbers.weights.w_xh, [[0.5, -0.25], [0.75, 1.0]]);
        assert_eq!(numbers.weights.w_hh, [[0.625, -0.875], [0.5, 0.25]]);
        assert_eq!(numbers.weights.b_h, [0.125 - 0.5, -0.25 + 0.375]);
        assert_eq!((&numbers.weights.w_hy[..], &numbers.weights.b_y[..]), (&[vec![1.5, -0.5]][..], &[0.25][..]));
        assert_eq!(numbers.y, [1.0]);
    }

    #[test]
    fn numbers_are_set_one_by_one() {
        let mut room = ThreeSteps::new(ThreeStepsOptions::default()).unwrap();
        assert_eq!(room.set("w_hh", 0, 1, 2.5).unwrap().weights.w_hh[0][1], 2.5);
        assert_eq!(room.set("x", 2, 0, 0.125).unwrap().x[2][0], 0.125);
        assert_eq!(room.set("h_0", 1, 0, 0.75).unwrap().h[0][1], 0.75);
        sentence(room.set("w_hh", 2, 0, 1.0), &["the place in w_hh", "row 2, column 0"]);
        sentence(room.set("w", 0, 0, 1.0), &["x, h_0, w_xh"]);
        sentence(room.set("y", 0, 0, 2.0), &["numbers from 0 to 1"]);
        sentence(room.set("x", 0, 0, f64::INFINITY), &["x: expected"]);
        assert_eq!(room.numbers().unwrap().y, [1.0]);
    }

    #[test]
    fn an_update_that_leaves_all_numbers_names_its_number_and_changes_nothing() {
        let settings = json!({ "activation": "identity", "loss": "squared" });
        let mut room = ThreeSteps::new(options(settings)).unwrap();
        let failed = (1..50).find_map(|update| {
            let before = room.numbers().unwrap();
            room.update(10.0).err().map(|error| (update, before, error))
        });
        let (update, before, error) = failed.expect("it ran away");
        assert!(update > 2, "{update}");
        assert!(error.to_string().starts_with(&format!("step {update}:")), "{update}: {error}");
        assert_eq!(room.numbers().unwrap(), before);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let of = |settings| ThreeSteps::new(options(settings));
        sentence(of(json!({ "size": 3 })), &["size: expected 1 to 2, got 3"]);
        sentence(of(json!({ "x": [[1.0], [1.0], [1.0]] })), &["w_xh"]);
        sentence(of(json!({ "x": [] })), &["the inputs of a step"]);
        sentence(of(json!({ "loss": "classes", "y": [1.0, 1.0, 0.0] })), &["a single 1"]);
    }
}

mod through_time {
    use super::*;

    fn room(clip: Option<f64>) -> ThroughTime {
        let settings =
            json!({ "length": 12, "hidden": 10, "batch": 16, "learning_rate": 0.01, "clip": clip, "seed": 3 });
        ThroughTime::new(&cpu(), &options::<ThroughTimeOptions>(settings)).unwrap()
    }

    #[test]
    fn all_four_networks_learn_and_examining_their_gradient_changes_nothing() {
        let (mut examined, mut left_alone) = (room(Some(1.0)), room(Some(1.0)));
        assert_eq!(now(examined.prepare()).unwrap().total, 0);
        assert_eq!(examined.names(), ["tanh RNN", "IRNN", "LSTM", "GRU"]);
        for network in 0..4 {
            let mut losses = Vec::new();
            for step in 1..=300 {
                if step % 10 == 1 {
                    let gradient = now(examined.gradient(network)).unwrap();
                    assert_eq!((gradient.norms.len(), gradient.radii.is_empty()), (12, false));
                    assert!(gradient.clip_factor <= 1.0 && gradient.gradient_norm > 0.0);
                }
                let taken = now(examined.step(network, 1)).unwrap();
                assert_eq!(taken.step, step);
                losses.push(taken.loss);
            }
            assert_eq!(now(left_alone.step(network, 300)).unwrap().loss, losses[299]);
            let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
            assert!(mean(&losses[280..]) < 0.7 * mean(&losses[..20]), "{network}: {losses:?}");
        }
    }

    #[test]
    fn the_norms_end_with_that_of_the_last_step_and_fall_in_a_tanh_network() {
        let mut room = room(None);
        let gradient = now(room.gradient(0)).unwrap();
        let factor = gradient.factor.unwrap();
        assert!(factor < 1.0, "{factor}");
        let by_norms = (gradient.norms[0] / gradient.norms[11]).powf(1.0 / 11.0);
        close("factor", factor, by_norms);
        assert_eq!((gradient.radii.len(), now(room.gradient(2)).unwrap().radii.len()), (1, 4));
    }

    #[test]
    fn clipping_scales_the_gradient_of_later_steps() {
        let (mut clipped, mut free) = (room(Some(1e-3)), room(None));
        let first = now(clipped.step(0, 1)).unwrap();
        close("factor", first.clip_factor, 1e-3 / (first.gradient_norm + 1e-6));
        assert_eq!(now(free.step(0, 1)).unwrap().clip_factor, 1.0);
        clipped.set_clip(None).unwrap();
        assert_eq!(now(clipped.step(0, 1)).unwrap().clip_factor, 1.0);
        sentence(clipped.set_clip(Some(0.0)), &["clip_norm"]);
        sentence(now(clipped.step(4, 1)), &["the network: expected 0 to 3"]);
    }
}

mod text {
    use super::*;

    const SETTINGS: fn() -> Value = || json!({ "cell": "gru", "hidden": 24, "layers": 1, "window": 16, "batch": 8, "learning_rate": 0.02, "seed": 1 });

    fn lines() -> Vec<u8> {
        "to be or not to be, that is the question.\n".repeat(30).into_bytes()
    }

    #[test]
    fn a_text_is_learned_and_continued_as_the_program_continues_it() {
        let device = cpu();
        let mut room = TextRoom::new(&device, lines(), &options::<TextOptions>(SETTINGS())).unwrap();
        let first = now(room.step(1)).unwrap().loss;
        now(room.step(149)).unwrap();
        let last = now(room.step(1)).unwrap().loss;
        assert!(last < 0.3 * first, "{first} {last}");
        let validation = now(room.validate()).unwrap();
        assert!(validation.loss.unwrap() < 0.5 * first && validation.step == 151, "{validation:?}");
        let sample = now(room.sample("to be", 60, 0.7, 5)).unwrap();
        assert_eq!(sample.chars().count(), 60);

        let bytes = now(room.model_file()).unwrap();
        let (folder, mut continued) = (tempfile::tempdir().unwrap(), Vec::new());
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let model = LoadedModel::open(&path).unwrap();
        let prompt = model.prompt(Some("to be")).unwrap();
        let device = bptt::experiment::DeviceOptions { name: "cpu".into(), threads: Some(1), ..Default::default() };
        let sampling = bptt::train::Sampling::default().temperature(0.7);
        let mut each = |bytes: &[u8]| {
            continued.extend_from_slice(bytes);
            Ok(true)
        };
        bptt::block_on(model.sample(&device, &prompt, 60, (sampling, 5), &mut each)).unwrap();
        assert_eq!(String::from_utf8(continued).unwrap(), sample);
    }

    #[test]
    fn texts_that_cannot_be_learned_are_refused() {
        let of = |text: &[u8]| TextRoom::new(&cpu(), text.to_vec(), &options::<TextOptions>(SETTINGS()));
        sentence(of(b"a"), &["the text has 1 character,", "take a longer text"]);
        sentence(of(b""), &["the text"]);
        sentence(of(&[0xFF; 400]), &["the text", "UTF-8"]);
        sentence(of(&vec![b'a'; 5_000_001]), &["5.0 MB", "at most 5 MB"]);
        sentence(of(&[b'a'; 5000]), &["at least two different characters"]);
        let different: String = (0x4e00..0x4e00 + 9000).filter_map(char::from_u32).collect();
        sentence(of(different.repeat(2).as_bytes()), &["9000 different characters", "at most 8192"]);
    }
}

mod series_room {
    use super::*;

    fn settings(changes: Value) -> SeriesOptions {
        let mut settings = json!({
            "target": "SUNACTIVITY", "window": 22, "horizon": 11, "cell": "lstm", "hidden": 16, "learning_rate": 0.005,
            "seed": 1, "quantiles": [0.1, 0.5, 0.9]
        });
        changes.as_object().unwrap().iter().for_each(|(name, value)| settings[name] = value.clone());
        options(settings)
    }

    #[test]
    fn sunspots_are_learned_and_the_model_file_forecasts_the_same_in_the_program() {
        let device = cpu();
        let mut room = SeriesRoom::new(&device, sunspots().as_bytes(), &settings(json!({}))).unwrap();
        let first = now(room.step(1)).unwrap();
        now(room.step(249)).unwrap();
        let last = now(room.step(50)).unwrap();
        assert!(last.loss < 0.6 * first.loss, "{first:?} {last:?}");
        let forecast = now(room.results(11)).unwrap();
        let scores = &forecast.scores;
        assert!(scores.beats && scores.network.rmse < scores.naive.rmse, "{scores:?}");
        assert!((0.3..=1.0).contains(&scores.coverage.unwrap()), "{scores:?}");
        assert_eq!(forecast.future.labels, (2009..2020).map(|year| year.to_string()).collect::<Vec<_>>());
        for row in 0..11 {
            let of = |values: &[f64]| values[row];
            assert!(of(&forecast.future.low) <= of(&forecast.future.median));
            assert!(of(&forecast.future.median) <= of(&forecast.future.high));
        }
        let past = &forecast.past;
        assert_eq!((past.first, past.values.len(), past.labels[0].as_str()), (0, 309, "1700"));
        let test = &forecast.test;
        assert_eq!(test.rows, (309 - room.describe().test..309).collect::<Vec<_>>());
        assert!([&test.median, &test.low, &test.high].iter().all(|values| values.len() == test.rows.len()));
        assert_eq!(test.truth, past.values[test.rows[0]..]);

        let bytes = now(room.model_file()).unwrap();
        let mut loaded = SeriesRoom::from_model(&device, &bytes, sunspots().as_bytes()).unwrap();
        assert_eq!(now(loaded.results(11)).unwrap(), forecast);
        sentence(now(loaded.step(1)), &["not trained further"]);

        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("model.safetensors"), &bytes).unwrap();
        std::fs::write(path("sunspots.csv"), sunspots()).unwrap();
        let model = LoadedModel::open(path("model.safetensors")).unwrap();
        let run = RunConfig { device: Some("cpu".into()), threads: Some(1), ..RunConfig::default() };
        let data = SeriesConfig { file: Some(path("sunspots.csv")), ..SeriesConfig::default() };
        let input = model.series(&run, data).unwrap();
        let lines = bptt::block_on(model.forecast(input, Some(11), PathCount::Automatic)).unwrap().lines();
        // Rows with the label, and the quantiles as they are printed.
        for row in 0..11 {
            let label = &forecast.future.labels[row];
            let line = lines.iter().find(|line| line.trim_start().starts_with(label)).expect("a row");
            let numbers: Vec<f64> = line.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
            let future = &forecast.future;
            for (got, want) in numbers.iter().zip([&future.low, &future.median, &future.high]) {
                assert!((got - want[row]).abs() < 0.51 * 10f64.powi(-decimals(line)), "{line}: {}", want[row]);
            }
            assert_eq!(numbers.len(), 3, "{line}");
        }
    }

    /// The digits after the point of a line's last number.
    fn decimals(line: &str) -> i32 {
        line.trim_end().rsplit_once('.').map_or(0, |(_, digits)| digits.len() as i32)
    }

    #[test]
    fn a_point_forecast_has_no_range() {
        let mut room = SeriesRoom::new(&cpu(), sunspots().as_bytes(), &settings(json!({ "quantiles": [] }))).unwrap();
        now(room.step(5)).unwrap();
        let forecast = now(room.results(20)).unwrap();
        assert_eq!(forecast.scores.coverage, None);
        assert_eq!((forecast.future.median.len(), forecast.future.low.len()), (20, 0));
        assert_eq!(forecast.future.naive, vec![2.9; 20]);
    }

    #[test]
    fn a_file_of_the_reader_is_described_and_its_gaps_are_told() {
        let rows: String = (0..80)
            .map(|day| {
                let value = (f64::from(day) * 0.4).sin();
                let value = if day == 30 { String::new() } else { format!("{value:.3}") };
                format!("{};{};word\n", day + 1, value.replace('.', ","))
            })
            .collect();
        let csv = format!("day;level;remark\n{rows}");
        let columns = series::columns(csv.as_bytes()).unwrap();
        assert_eq!(columns.columns, ["day", "level", "remark"]);
        assert_eq!((columns.numeric, columns.rows), (vec!["level".to_owned()], 80));
        assert_eq!(columns.time.as_deref(), Some("day"));
        let changes = json!({ "target": "level", "time": "day", "window": 8, "horizon": 2 });
        let mut room = SeriesRoom::new(&cpu(), csv.as_bytes(), &settings(changes)).unwrap();
        let description = room.describe();
        assert!(description.notes.iter().any(|note| note.starts_with("1 missing value:")), "{description:?}");
        now(room.step(3)).unwrap();
        assert_eq!(now(room.results(3)).unwrap().future.labels, ["81", "82", "83"]);
    }

    #[test]
    fn predictions_in_parts_are_those_at_once_and_end_with_a_step() {
        let rows: String = (0..5000).map(|row| format!("{row},{:.3}\n", (f64::from(row) * 0.4).sin())).collect();
        let csv = format!("t,v\n{rows}");
        let changes = json!({ "target": "v", "window": 4, "horizon": 2, "hidden": 4 });
        let [mut parts, mut at_once] =
            [(); 2].map(|()| SeriesRoom::new(&cpu(), csv.as_bytes(), &settings(changes.clone())).unwrap());
        let mut before = 0;
        loop {
            let progress = now(parts.predict()).unwrap();
            assert!(progress.done > before && progress.done - before <= 512 && progress.total > 700, "{progress:?}");
            before = progress.done;
            if progress.done == progress.total {
                break;
            }
        }
        assert!(before > 512);
        let results = now(parts.results(2)).unwrap();
        assert_eq!(results, now(at_once.results(2)).unwrap());
        now(parts.predict()).unwrap();
        for room in [&mut parts, &mut at_once] {
            now(room.step(1)).unwrap();
        }
        let after = now(parts.results(2)).unwrap();
        assert_eq!(after, now(at_once.results(2)).unwrap());
        assert_ne!(after, results);
    }

    #[test]
    fn a_column_is_read_whatever_the_others_hold_and_labels_come_first() {
        let of = |csv: &str, target: &str| {
            let changes = json!({ "target": target, "window": 4, "horizon": 1 });
            SeriesRoom::new(&cpu(), csv.as_bytes(), &settings(changes))
        };
        let rows: String = (0..60).map(|row| format!("{row},{},{}\n", row % 7, row % 5)).collect();
        let csv = format!("t,good,bad\n{}", rows.replace("\n9,2,4\n", "\n9,2,oops\n"));
        assert_eq!(series::columns(csv.as_bytes()).unwrap().numeric, ["good", "bad"]);
        assert!(of(&csv, "good").is_ok());
        sentence(of(&csv, "bad"), &["row 10", "oops"]);
        let days: String = (1..29).map(|day| format!("{}.5,2001-01-{day:02}\n", day % 6)).collect();
        let swapped = format!("value,day\n{days}");
        sentence(of(&swapped, "day"), &["must be in the first column, which is \"value\" here"]);
    }

    #[test]
    fn the_learning_rate_of_later_steps_changes_without_a_new_network() {
        let [mut still, mut changed] =
            [(); 2].map(|()| SeriesRoom::new(&cpu(), sunspots().as_bytes(), &settings(json!({}))).unwrap());
        for room in [&mut still, &mut changed] {
            now(room.step(2)).unwrap();
        }
        changed.set_learning_rate(0.0).unwrap();
        let before = now(changed.results(1)).unwrap();
        assert_eq!(now(changed.step(3)).unwrap().step, 5);
        assert_eq!(now(changed.results(1)).unwrap(), before);
        now(still.step(3)).unwrap();
        assert_ne!(now(still.results(1)).unwrap(), before);
        sentence(changed.set_learning_rate(-1.0), &["the learning rate"]);
    }

    #[test]
    fn files_and_models_that_do_not_fit_are_refused() {
        let device = cpu();
        let of = |csv: &[u8], changes| SeriesRoom::new(&device, csv, &settings(changes));
        let csv = "t,v\n1,2\n2,x\n";
        sentence(of(csv.as_bytes(), json!({ "target": "v" })), &["the CSV file, row 2", "\"x\""]);
        sentence(of(csv.as_bytes(), json!({ "target": "w" })), &["\"w\""]);
        sentence(of(b"", json!({})), &["the CSV file"]);
        sentence(of(b"\xff\xfe\x00", json!({})), &["the CSV file"]);
        sentence(of(b"t,v\n1,2\n2,3\n", json!({ "target": "v" })), &["the CSV file", "at least"]);
        sentence(of(sunspots().as_bytes(), json!({ "time": "SUNACTIVITY" })), &["move the column"]);
        sentence(of(sunspots().as_bytes(), json!({ "window": 0 })), &["window: expected 1 to 1024, got 0"]);
        sentence(of(sunspots().as_bytes(), json!({ "quantiles": [0.9, 0.1] })), &["quantile"]);
        sentence(series::columns(b"only\n1\n2\n"), &["one column"]);
        sentence(series::columns(&vec![b'1'; 20_000_001]), &["at most 20 MB"]);

        let mut room = SeriesRoom::new(&device, sunspots().as_bytes(), &settings(json!({}))).unwrap();
        let model = now(room.model_file()).unwrap();
        sentence(SeriesRoom::from_model(&device, &model, b"t,v\n1,2\n"), &["SUNACTIVITY"]);
        sentence(SeriesRoom::from_model(&device, &model[..100], sunspots().as_bytes()), &["safetensors"]);
        let lines = "to be or not to be\n".repeat(40).into_bytes();
        let text_settings = json!({
            "cell": "rnn", "hidden": 4, "layers": 1, "window": 8, "batch": 2, "learning_rate": 0.01, "seed": 1
        });
        let mut text = TextRoom::new(&device, lines, &options::<TextOptions>(text_settings)).unwrap();
        let model = now(text.model_file()).unwrap();
        sentence(SeriesRoom::from_model(&device, &model, sunspots().as_bytes()), &["not one of a series"]);
    }
}

#[test]
fn an_error_is_of_its_kind_whatever_its_words_are() {
    let constant: String = (0..60).map(|row| format!("{row},7\n")).collect();
    let settings = json!({
        "target": "lost", "window": 4, "horizon": 1, "cell": "rnn", "hidden": 4, "learning_rate": 0.01, "seed": 1
    });
    let csv = format!("t,lost\n{constant}");
    let error = SeriesRoom::new(&cpu(), csv.as_bytes(), &options(settings)).err().expect("a constant column");
    assert!(error.to_string().contains("lost"), "{error}");
    assert_eq!(ErrorKind::of(&error), ErrorKind::Input);
    assert_eq!(ErrorKind::of(&bptt::Error::DeviceLost("unplugged".into())), ErrorKind::Device);
    assert_eq!(ErrorKind::of(&bptt::Error::NoDevice("none".into())), ErrorKind::Device);
    let diverged = bptt::Error::NonFinite { step: 2, what: "loss" };
    assert_eq!(ErrorKind::of(&diverged), ErrorKind::Diverged);
}

#[test]
fn a_device_that_is_none_is_refused() {
    sentence(now(Device::open("tpu")), &["auto, gpu or cpu"]);
    assert_eq!(cpu().describe().kind, "cpu");
}
