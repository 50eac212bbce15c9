//! `--set section.key=value`: any setting of a configuration file on the command line.

use bptt::experiment::config::{Config, DataKind};
use bptt::{Error, Result};
use serde_json::{Map, Value};

use super::sections::{SECTIONS, section};
use super::toml_value::{toml_text, unknown};

/// The settings from flags and `--set`. `kind`: the kind of data, if the command line names it.
///
/// # Errors
/// [`Error::Unsupported`] names a key that is unknown, set twice or of another kind of data, and a value that is
/// invalid for its key.
pub(crate) fn with_sets(flags: Config, sets: &[String], allowed: &[&str], kind: Option<DataKind>) -> Result<Config> {
    if sets.is_empty() {
        return Ok(flags);
    }
    let refused = |name: &str, message: String| Err(Error::Unsupported(format!("--set {name}: {message}")));
    let mut map = flags.to_map()?;
    for text in sets {
        let Some((name, value)) = text.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
            return refused(text, "expected SECTION.KEY=VALUE, as in training.accumulate=4".into());
        };
        let Some((of, key)) = name.split_once('.') else {
            return Err(unknown(&format!("--set {name}"), None, name));
        };
        let Some(settings) = section(of) else {
            let names = SECTIONS.map(|name| format!("[{name}]")).join(", ");
            return refused(name, format!("expected a key of one of the sections {names}"));
        };
        let Some(setting) = settings.iter().find(|setting| setting.key == key) else {
            return Err(unknown(&format!("--set {name}"), Some(of), key));
        };
        let is_data = DataKind::ALL.iter().any(|kind| kind.section() == of);
        if let Some(kind) = kind.filter(|kind| is_data && kind.section() != of) {
            return refused(name, format!("the data are {kind}, whose settings are in [{}]", kind.section()));
        }
        if !allowed.is_empty() && !allowed.contains(&of) {
            let names: Vec<String> = allowed.iter().map(|name| format!("[{name}]")).collect();
            return refused(name, format!("this command takes the settings of {}", names.join(" and ")));
        }
        let parsed = match setting.parse(&toml_text(value)) {
            // A quoted name may contain commas.
            Ok(Value::Array(_)) if value.starts_with('"') => setting.parse(value),
            parsed => parsed,
        };
        let value = match parsed {
            Ok(value) => value,
            Err(expected) => return refused(name, format!("{expected}, got {value}")),
        };
        let keys = map.entry(of).or_insert_with(|| Map::new().into());
        if keys.as_object_mut().and_then(|keys| keys.insert(key.into(), value)).is_some() {
            return refused(name, "expected it once: a flag or another --set sets it too".into());
        }
    }
    serde_json::from_value(Value::Object(map)).map_err(|error| Error::Unsupported(format!("--set: {error}")))
}
