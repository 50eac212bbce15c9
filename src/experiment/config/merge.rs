//! Flags over a configuration file.

use serde_json::{Map, Value};

use super::Config;
use super::agree::unsupported;
use super::kind::{KEYS, Kind, SOURCES};
use crate::Result;

/// The settings of a file with flags over them. What a flag excludes goes, where the file says otherwise than the flag.
pub fn over(file: Config, flags: &Config) -> Result<Config> {
    let (mut merged, flags) = (file.to_map()?, flags.to_map()?);
    let excluded: &[(&str, &[&str], &[&str])] = &[
        ("training", &["epochs", "steps"], &["epochs", "steps"]),
        ("training", &["schedule"], &["decay-every", "decay-factor", "decay-floor", "decay-patience"]),
        // Which weights are kept goes by whether a run ends early.
        ("training", &["patience"], &["keep"]),
        // What fits is found anew.
        ("training", &["batch", "memory", "recompute"], &["micro-batch"]),
        // Each of them says which loss.
        ("training", &["loss"], &["huber-delta", "quantiles"]),
        ("training", &["huber-delta"], &["loss", "quantiles"]),
        ("training", &["quantiles"], &["loss", "huber-delta"]),
        ("data", &["split"], &["train-until", "validation"]),
        ("data", &["train-until", "test-file"], &["split"]),
        ("data", &["test-file"], &["test-labels"]),
        // Other files have another digest.
        ("data", &["test-file", "labels", "test-labels"], &["sha256"]),
        ("data", &["bytes"], &["min-count"]),
        // Another rule has a weight decay of its own.
        ("training", &["optimizer"], &["weight-decay"]),
        ("model", &["cell"], &["activation", "forget-bias"]),
        (
            "model",
            &["init-from"],
            &[
                "cell",
                "activation",
                "hidden",
                "layers",
                "embedding",
                "tied",
                "dropout",
                "recurrent-dropout",
                "predict",
                "bidirectional",
                "init",
                "forget-bias",
                "init-sha256",
            ],
        ),
    ];
    let kind_of = |given: &Map<String, Value>| {
        let data = given.get("data").and_then(|data| data.as_object());
        let named = SOURCES.iter().find(|(source, ..)| data.is_some_and(|data| data.contains_key(*source)));
        named.map(|(_, kind, _)| *kind)
    };
    if let Some(kind) = kind_of(&flags) {
        // Every step of some data is told, of others none but one; of either are tasks.
        let is_alike = kind_of(&merged) == Some(kind) && kind != Kind::Task;
        if let Some(model) = merged.get_mut("model").and_then(|model| model.as_object_mut()).filter(|_| !is_alike) {
            model.remove("predict");
        }
        // Of other data nothing in the file tells.
        merged.insert("data".into(), Map::new().into());
        for (section, key, _) in KEYS.iter().filter(|(.., kinds)| !kinds.contains(&kind)) {
            if let Some(section) = merged.get_mut(*section).and_then(|section| section.as_object_mut()) {
                section.remove(*key);
            }
        }
    }
    for (section, values) in &flags {
        let (Some(values), Some(merged)) =
            (values.as_object(), merged.get_mut(section).and_then(|it| it.as_object_mut()))
        else {
            continue;
        };
        for (_, flags, keys) in excluded.iter().filter(|(of, ..)| of == section) {
            if flags.iter().any(|flag| values.contains_key(*flag) && values.get(*flag) != merged.get(*flag)) {
                keys.iter().for_each(|key| drop(merged.remove(*key)));
            }
        }
        merged.extend(values.clone());
    }
    serde_json::from_value(Value::Object(merged)).map_err(|error| unsupported(format!("--config: {error}")))
}
