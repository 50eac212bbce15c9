//! The kinds of data, and what has a meaning for each.

use std::fmt;

use super::agree::unsupported;
use super::{Config, DataConfig};
use crate::Result;

/// What the data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, token by token.
    Text,
    /// A series from a table.
    Series,
    /// Labelled sequences of numbers.
    Sequences,
    /// A folder of texts, a class each.
    Classes,
    /// Piano rolls.
    Rolls,
    /// A synthetic task.
    Task,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Text => "a text",
            Self::Series => "a series",
            Self::Sequences => "labelled sequences",
            Self::Classes => "a folder of texts",
            Self::Rolls => "piano rolls",
            Self::Task => "a synthetic task",
        };
        write!(f, "{name} ({})", self.flag())
    }
}

impl Kind {
    /// What names such data.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Text => "--text",
            Self::Series => "--csv",
            Self::Sequences => "--sequences",
            Self::Classes => "--classes",
            Self::Rolls => "--rolls",
            Self::Task => "--task",
        }
    }
}

/// For which kinds of data a key has a meaning. Sources are not among them, nor what every kind has.
pub(crate) const KEYS: [(&str, &str, &[Kind]); 35] = {
    use Kind::{Classes, Rolls, Sequences, Series, Task, Text};
    [
        ("data", "split", &[Text, Series, Sequences, Classes, Rolls]),
        ("data", "test-file", &[Sequences]),
        ("data", "validation", &[Series, Sequences]),
        ("data", "window", &[Text, Series]),
        ("data", "scale", &[Series, Sequences]),
        ("data", "missing", &[Series, Sequences]),
        ("data", "decimal", &[Series, Sequences]),
        ("data", "dates", &[Series, Sequences]),
        ("data", "input-limit", &[Series, Sequences, Classes, Rolls]),
        ("data", "bytes", &[Text]),
        ("data", "min-count", &[Text, Classes]),
        ("data", "carry-state", &[Text]),
        ("data", "target", &[Series]),
        ("data", "features", &[Series]),
        ("data", "known", &[Series]),
        ("data", "horizon", &[Series]),
        ("data", "season", &[Series]),
        ("data", "train-until", &[Series]),
        ("data", "labels", &[Sequences]),
        ("data", "test-labels", &[Sequences]),
        ("data", "labels-as", &[Sequences]),
        ("data", "read", &[Sequences]),
        ("data", "id", &[Sequences]),
        ("data", "time", &[Sequences]),
        ("data", "label", &[Sequences]),
        ("data", "keys", &[Rolls]),
        ("data", "length", &[Task]),
        ("model", "embedding", &[Text, Classes, Task]),
        ("model", "tied", &[Text]),
        ("training", "loss", &[Series]),
        ("training", "huber-delta", &[Series]),
        ("training", "quantiles", &[Series]),
        ("training", "label-smoothing", &[Text, Sequences, Classes]),
        ("training", "class-weights", &[Sequences, Classes]),
        ("training", "buckets", &[Sequences, Classes, Rolls]),
    ]
};

/// A key that names data, their kind, and whether it is given.
type Source = (&'static str, Kind, fn(&DataConfig) -> bool);

/// The keys of `[data]` that name data.
pub(crate) const SOURCES: [Source; 6] = [
    ("text", Kind::Text, |data| data.text.is_some()),
    ("csv", Kind::Series, |data| data.csv.is_some()),
    ("sequences", Kind::Sequences, |data| data.sequences.is_some()),
    ("classes", Kind::Classes, |data| data.classes.is_some()),
    ("rolls", Kind::Rolls, |data| data.rolls.is_some()),
    ("task", Kind::Task, |data| data.task.is_some()),
];

/// The kinds of the data that are named.
pub fn named(data: &DataConfig) -> Vec<Kind> {
    SOURCES.iter().filter(|(.., is_given)| is_given(data)).map(|(_, kind, _)| *kind).collect()
}

/// Refuses keys that mean nothing for this kind of data.
pub(crate) fn check_keys(kind: Kind, given: &Config) -> Result<()> {
    let given = given.to_map()?;
    let has = |section: &str, key: &str| given.get(section).is_some_and(|section| section.get(key).is_some());
    match KEYS.iter().find(|(section, key, kinds)| has(section, key) && !kinds.contains(&kind)) {
        Some((section, key, kinds)) => {
            let kinds: Vec<String> = kinds.iter().map(Kind::to_string).collect();
            Err(unsupported(format!("--{key} ({section}.{key}) is for {}; this is {kind}", kinds.join(" or "))))
        }
        None => Ok(()),
    }
}
