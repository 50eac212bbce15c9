//! Merges flags into a configuration file.

use serde_json::{Map, Value};

use super::agree::unsupported;
use super::{Config, DataKind, LossConfig};
use crate::Result;

/// The keys that a newly set key excludes in its section.
const EXCLUDED: [(&[&str], &[&str]); 16] = [
    (&["epochs", "steps"], &["epochs", "steps"]),
    // Which weights are kept depends on early stopping.
    (&["patience"], &["keep"]),
    // The batch that fits is searched again.
    (&["batch", "memory", "recompute"], &["micro-batch"]),
    // Each of these sets the loss.
    (&["loss"], &["quantiles"]),
    (&["quantiles"], &["loss"]),
    // Nothing is forecast then.
    (
        &["now"],
        &[
            "features",
            "known",
            "calendar",
            "horizon",
            "segment",
            "relative",
            "panel",
            "static",
            "ids",
            "weigh",
            "scale-over",
            "season",
            "quantiles",
            "conformal",
            "window",
        ],
    ),
    (&["split"], &["train-until", "validation", "test-until"]),
    (&["train-until", "test-file"], &["split"]),
    (&["test-file"], &["test-labels"]),
    // Other files have another digest.
    (&["test-file", "labels", "test-labels", "wet"], &["sha256"]),
    (&["bytes"], &["min-count"]),
    // Another optimizer has its own default weight decay.
    (&["optimizer"], &["weight-decay"]),
    (&["cell"], &["activation", "forget-bias", "proj-size"]),
    // Two names of one thing.
    (&["direction"], &["bidirectional"]),
    (&["bidirectional"], &["direction"]),
    (
        &["init-from"],
        &[
            "cell",
            "activation",
            "hidden",
            "proj-size",
            "layers",
            "dropout",
            "recurrent-dropout",
            "direction",
            "bidirectional",
            "init",
            "forget-bias",
            "init-sha256",
        ],
    ),
];

/// Keys of a kind of data that define what is learned. They also hold for other files.
const LEARNED: [&str; 8] =
    ["loss", "quantiles", "predict", "embedding", "tied", "label-smoothing", "class-weights", "buckets"];

/// Whether the loss of the flags, or else that of the file, forecasts quantiles.
fn keeps_quantiles(flags: &Map<String, Value>, file: &Map<String, Value>) -> bool {
    let loss = flags.get("loss").or(file.get("loss")).and_then(Value::as_str);
    loss.and_then(|loss| loss.parse::<LossConfig>().ok()).is_some_and(LossConfig::has_quantiles)
}

/// The settings of a file, overridden by flags. Keys that a flag excludes are removed if the flag changes the value.
///
/// # Errors
/// If a path is not UTF-8.
pub fn merge_flags(file: Config, flags: &Config) -> Result<Config> {
    let kind = flags.data.as_ref().or(file.data.as_ref()).map(super::Data::kind);
    let (mut merged, flags) = (file.to_map()?, flags.to_map()?);
    if let Some(kind) = kind {
        let section = kind.section();
        // Settings of another kind of data do not apply.
        DataKind::ALL.iter().filter(|other| **other != kind).for_each(|other| drop(merged.remove(other.section())));
        let given = flags.get(section).and_then(Value::as_object);
        let of_file = merged.entry(section).or_insert_with(|| Map::new().into());
        if let (Some(given), Some(of_file)) = (given, of_file.as_object_mut()) {
            // Other data have their own settings.
            if given.contains_key("file") || given.contains_key("name") {
                of_file
                    .retain(|key, _| LEARNED.contains(&key.as_str()) && (kind != DataKind::Task || key != "predict"));
            }
        }
        // These come with the network of the initial weights.
        let starts = flags.get("model").is_some_and(|model| model.get("init-from").is_some());
        if let (true, Some(of_file)) = (starts, merged.get_mut(section).and_then(Value::as_object_mut)) {
            ["embedding", "tied", "predict"].iter().for_each(|key| drop(of_file.remove(*key)));
        }
    }
    // Most configurations have none.
    for section in ["backtest", "sweep"].into_iter().filter(|section| flags.contains_key(*section)) {
        merged.entry(section).or_insert_with(|| Map::new().into());
    }
    for (section, values) in &flags {
        let (Some(values), Some(merged)) =
            (values.as_object(), merged.get_mut(section).and_then(|it| it.as_object_mut()))
        else {
            continue;
        };
        for (flags, keys) in EXCLUDED {
            // A loss with quantiles and its quantiles belong together.
            if matches!((flags, keys), (["loss"], _) | (["quantiles"], _)) && keeps_quantiles(values, merged) {
                continue;
            }
            if flags.iter().any(|flag| values.contains_key(*flag) && values.get(*flag) != merged.get(*flag)) {
                keys.iter().for_each(|key| drop(merged.remove(*key)));
            }
        }
        merged.extend(values.clone());
    }
    serde_json::from_value(Value::Object(merged)).map_err(|error| unsupported(format!("--config: {error}")))
}
