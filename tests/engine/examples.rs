//! The programs in examples/ do what their first lines say.

use std::path::Path;

use bptt::block_on;
use bptt::data::{Text, TextUnit};

#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/character_model.rs"]
mod character_model;
#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/embed.rs"]
mod embed;
#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/fine_tune.rs"]
mod fine_tune;
#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/forecast_series.rs"]
mod forecast_series;
#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/own_loss.rs"]
mod own_loss;
#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/ragged_classes.rs"]
mod ragged_classes;

#[test]
fn the_embedding_example_learns_to_echo_its_signal() {
    if crate::common::gpu::gpu().is_none() {
        return;
    }
    let losses = block_on(embed::run(200)).unwrap();
    assert!(losses[199] < 0.3 * losses[0], "{} {}", losses[0], losses[199]);
}

#[test]
fn the_example_of_a_loss_of_ones_own_learns_the_same_on_both_backends() {
    let [before, after] = own_loss::train(&bptt::Cpu::new(), None).unwrap();
    // What is left, 0.75, is the share of the targets that are far off.
    assert!(before > 0.9 && after < 0.8, "{before} {after}");
    let Some(gpu) = crate::common::gpu::gpu() else { return };
    let [first, last] = own_loss::train(&gpu, Some(&gpu)).unwrap();
    assert!((first - before).abs() < 1e-4 && (last - after).abs() < 1e-2, "{first} {before}, {last} {after}");
}

fn hold_fine_tuning(backend: &impl bptt::Backend<Engine: bptt::Parameters<Real = f32>>) {
    let saved = fine_tune::pretrained(backend).unwrap();
    let (tuned, [before, after, of_average]) = fine_tune::fine_tune(backend, &saved).unwrap();
    assert!(before > 1.0 && after < 0.1 * before && of_average < 0.1 * before, "{before} {after} {of_average}");
    let is_kept = |name| saved.weights.get(name).unwrap() == tuned.weights.get(name).unwrap();
    assert!(is_kept("embedding.weight") && !is_kept("head.weight") && !is_kept("rnn.weight_hh_l0"));
}

#[test]
fn the_fine_tuning_example_keeps_the_embedding_and_learns_the_rest_on_both_backends() {
    hold_fine_tuning(&bptt::Cpu::new());
    crate::common::gpu::gpu().iter().for_each(hold_fine_tuning);
}

#[test]
fn the_series_example_beats_the_last_value_and_forecasts_eleven_years() {
    let lines = block_on(forecast_series::forecast()).unwrap();
    let number = |after: &str| {
        let rest = lines[0].split(after).nth(1).unwrap();
        rest.split([',', ';']).next().unwrap().trim().parse::<f64>().unwrap()
    };
    assert!(number("RMSE") < 0.8 * number("last value"), "{}", lines[0]);
    assert_eq!(lines.len(), 12);
    assert!(lines[1].starts_with("2009 ") && lines[11].starts_with("2019 "), "{lines:?}");
}

#[test]
fn the_character_model_example_repeats_a_text_that_it_has_learned() {
    let repeated = "the cell reads the gate and the gate reads the cell. ".repeat(60);
    let text = Text::from_bytes(repeated.into_bytes(), Path::new("text"), TextUnit::Characters).unwrap();
    let (nats, sample) = block_on(character_model::continue_text(&text, 150, "the cell ", 30)).unwrap();
    assert!(nats < 0.2, "{nats}");
    assert!(sample.starts_with("the cell reads the gate"), "{sample}");
}

#[test]
fn the_ragged_classes_example_distinguishes_ramps_from_noise() {
    let confusion = block_on(ragged_classes::train_and_test()).unwrap();
    assert_eq!(confusion.total(), 300);
    assert!(confusion.accuracy() > 0.85, "{}", confusion.accuracy());
}
