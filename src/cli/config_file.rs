//! Parses a configuration file, and checks its values like flags.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use bptt::data::{read_settings, utf8};
use bptt::experiment::config::merge::merge_flags;
use bptt::experiment::config::{BUNDLED, Config, Data, DataKind, check_files};
use bptt::experiment::files::names::CONFIG;
use bptt::experiment::settings::Settings;
use bptt::format::path_text;
use bptt::{Error, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args;
use super::args::{DataCommand, Setting, SettingsArgs, element_text, unknown};

/// Reads a configuration file.
///
/// # Errors
/// [`Error::Unsupported`] names the line and the key that is unknown or has a value that its flag would refuse: the
/// same error and exit code as for a flag.
pub(crate) fn read(path: &Path) -> Result<Config> {
    if path.is_dir() {
        let own = path.join(CONFIG);
        let tip = if own.is_file() { format!("; a run's own is {}", path_text(&own)) } else { String::new() };
        let message = format!("expected a configuration file, got a folder{tip}");
        return Err(Error::Data { path: path.into(), place: String::new(), message });
    }
    parse(&read_settings(path)?, path)
}

/// Like [`read`], from the bytes of the file; errors name `path`.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Config> {
    let text = utf8(bytes, path).map_err(|error| unsupported(error.to_string()))?;
    let refused = |error: toml::de::Error| {
        unsupported(format!("{}: {}", path_text(path), error.to_string().trim_end().replace('\n', "\n  ")))
    };
    check_values(DeTable::parse(text).map_err(refused)?.get_ref(), text, path)?;
    Config::parse(text, path)
}

/// Passes each value to the parser of its setting, so that no limit is written twice.
fn check_values(sections: &DeTable<'_>, text: &str, path: &Path) -> Result<()> {
    for (section, values) in sections {
        let place = |key: &Spanned<Cow<'_, str>>, name: &str| {
            let line = 1 + text[..key.span().start].matches('\n').count();
            format!("{}, line {line}, {name}", path_text(path))
        };
        let DeValue::Table(values) = values.get_ref() else {
            return Err(unknown(&place(section, section.get_ref()), None, section.get_ref()));
        };
        let Some(settings) = args::section(section.get_ref()) else {
            let names = args::SECTIONS.map(|name| format!("[{name}]")).join(", ");
            let message = format!("expected one of the sections {names}");
            return Err(unsupported(format!("{}: {message}", place(section, section.get_ref()))));
        };
        for (key, value) in values {
            if (section.get_ref().as_ref(), key.get_ref().as_ref()) == ("sweep", "space") {
                args::check_space(value.get_ref(), text, path)?;
                continue;
            }
            let name = format!("{}.{}", section.get_ref(), key.get_ref());
            let Some(setting) = settings.iter().find(|setting| setting.key == key.get_ref()) else {
                if OWN.contains(&key.get_ref().as_ref()) {
                    continue;
                }
                return Err(unknown(&place(key, &name), Some(section.get_ref()), key.get_ref()));
            };
            if let Some((element, expected)) = refused(setting, value) {
                let line = 1 + text[..element.start].matches('\n').count();
                let message = format!("{}, line {line}, {name}: {expected}, got {}", path_text(path), &text[element]);
                return Err(unsupported(message));
            }
        }
    }
    Ok(())
}

/// The invalid value, or element of a list, and what was expected. serde reports wrong types better.
fn refused(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Option<(Range<usize>, String)> {
    let elements: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
        DeValue::Array(elements) => elements.iter().collect(),
        _ => vec![value],
    };
    let names = matches!(value.get_ref(), DeValue::Array(_));
    let reason = |elements: &[&Spanned<DeValue<'_>>]| {
        let words: Vec<String> = elements.iter().map(|element| element_text(element.get_ref(), names)).collect();
        setting.parse(&words.join(",")).err()
    };
    // A list may have a million elements: it is parsed as a whole, and bisected if that fails.
    let mut part = &elements[..];
    while part.len() > 1 && reason(part).is_some() {
        let (first, second) = part.split_at(part.len() / 2);
        part = if reason(first).is_some() { first } else { second };
    }
    match part {
        [element] => Some((element.span(), reason(part)?)),
        _ => None,
    }
}

fn unsupported(message: String) -> Error {
    Error::Unsupported(message)
}

/// Keys that a run writes for its own repetition, and that are not settings.
const OWN: [&str; 3] = ["split-seed", "sha256", "init-sha256"];

/// The settings of a configuration file, or defaults, overridden by flags.
pub(crate) fn resolve(file: Option<&Path>, args: &SettingsArgs, data: Option<&DataCommand>) -> Result<Settings> {
    Settings::new(resolve_config(file, args, data)?)
}

/// The same before its defaults are filled in.
pub(crate) fn resolve_config(file: Option<&Path>, args: &SettingsArgs, data: Option<&DataCommand>) -> Result<Config> {
    let flags = args.config(data)?;
    let given = file.map(read).transpose()?.unwrap_or_default();
    let names_data = given.data.is_some();
    if let (None, Some(set)) = (data, &flags.data) {
        let kind = given.data.as_ref().map_or(DataKind::Series, Data::kind);
        if set.kind() != kind {
            let section = set.kind().section();
            let keys = flags.to_map()?;
            let key = keys[section].as_object().and_then(|keys| keys.keys().next()).map_or("", String::as_str);
            let message = format!("the data are {kind}, whose settings are in [{}]", kind.section());
            return Err(unsupported(format!("--set {section}.{key}: {message}")));
        }
    }
    let mut config = match file {
        Some(_) => merge_flags(given, &flags)?,
        None => flags.clone(),
    };
    // Without data, the sunspots are used.
    if let (None, false, Some(data)) = (data, names_data, &mut config.data)
        && !data.is_named()
    {
        data.set_file(Some(BUNDLED.into()))?;
    }
    if let Some(path) = file {
        check_files(path, &config, &flags)?;
    }
    Ok(config)
}
