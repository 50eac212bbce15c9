//! Prints the losses of the first 20 steps of rooms 3, 4 and 5 on the CPU as JSON: what the page must show, whatever its
//! device, within rounding. The settings are printed with them, as the page takes them.
//!
//! `cargo run --example losses`

use bptt::Result;
use bptt_web::device::Device;
use bptt_web::limits::now;
use bptt_web::series::{SeriesRoom, sunspots};
use bptt_web::text::TextRoom;
use bptt_web::through_time::ThroughTime;
use serde_json::{Value, json};

/// The steps that are compared.
const STEPS: usize = 20;

/// A text that anyone can write down.
fn text() -> String {
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.\n".repeat(40)
}

fn parsed<T: serde::de::DeserializeOwned>(settings: &Value) -> Result<T> {
    serde_json::from_value(settings.clone()).map_err(|error| bptt::Error::Unsupported(error.to_string()))
}

fn losses() -> Result<Value> {
    let device = now(Device::open("cpu"))?;

    let time_options =
        json!({ "length": 20, "hidden": 16, "batch": 16, "learning_rate": 0.005, "clip": 1.0, "seed": 1 });
    let mut room = ThroughTime::new(&device, &parsed(&time_options)?)?;
    let mut networks = Vec::new();
    for (index, name) in room.names().into_iter().enumerate() {
        let losses = (0..STEPS).map(|_| Ok(now(room.step(index, 1))?.loss)).collect::<Result<Vec<f64>>>()?;
        networks.push(json!({ "name": name, "losses": losses }));
    }

    let text_options = json!({
        "cell": "gru", "hidden": 32, "layers": 1, "window": 32, "batch": 8, "learning_rate": 0.005, "seed": 1
    });
    let mut room = TextRoom::new(&device, text().into_bytes(), &parsed(&text_options)?)?;
    let text_losses = (0..STEPS).map(|_| Ok(now(room.step(1))?.loss)).collect::<Result<Vec<f64>>>()?;

    let series_options = json!({
        "target": "SUNACTIVITY", "window": 22, "horizon": 11, "cell": "lstm", "hidden": 16, "learning_rate": 0.005,
        "seed": 1, "quantiles": [0.1, 0.5, 0.9]
    });
    let mut room = SeriesRoom::new(&device, sunspots().as_bytes(), &parsed(&series_options)?)?;
    let series_losses = (0..STEPS).map(|_| Ok(now(room.step(1))?.loss)).collect::<Result<Vec<f64>>>()?;

    Ok(json!({
        "through_time": { "options": time_options, "networks": networks },
        "text": { "text": text(), "options": text_options, "losses": text_losses },
        "series": { "options": series_options, "losses": series_losses },
    }))
}

fn main() -> Result<()> {
    println!("{:#}", losses()?);
    Ok(())
}
