//! Converts flags to keys and values of TOML.

use bptt::Error;
use toml::de::{DeTable, DeValue};

use super::super::nearest::nearest;
use super::sections::{SECTIONS, section};

/// The error for an unknown key, with the one that was probably meant.
pub(crate) fn unknown(place: &str, within: Option<&str>, key: &str) -> Error {
    let settings = |name: &'static str| section(name).unwrap_or_default().into_iter();
    let keys = SECTIONS.into_iter().flat_map(|name| settings(name).map(move |setting| (name, setting.key)));
    let keys: Vec<(&str, &str)> = keys.collect();
    let in_its_section = |own: &str| if within == Some(own) { String::new() } else { format!(" of [{own}]") };
    let same = keys.iter().find(|(_, other)| *other == key);
    let near = || {
        let own = keys.iter().filter(|(of, _)| within == Some(*of)).map(|(_, key)| *key);
        let name = nearest(key, own).or_else(|| nearest(key, keys.iter().map(|(_, key)| *key)))?;
        keys.iter().find(|(of, key)| *key == name && within == Some(*of)).or(keys.iter().find(|(_, key)| *key == name))
    };
    let tip = match same {
        Some((own, _)) => format!("it is a key{}", in_its_section(own)),
        None => match near() {
            Some((own, key)) => format!("a similar one is {key}{}", in_its_section(own)),
            None => "`bptt init` writes a file with every key".into(),
        },
    };
    Error::Unsupported(format!("{place}: unknown key; {tip}"))
}

/// A TOML value, or a bare word, as typed after a flag.
pub(crate) fn toml_text(text: &str) -> String {
    let source = format!("value = {text}");
    let Ok(table) = DeTable::parse(&source) else { return text.into() };
    match table.get_ref().iter().next().map(|(_, value)| value.get_ref()) {
        Some(DeValue::String(word)) => word.to_string(),
        Some(DeValue::Array(elements)) => {
            elements.iter().map(|element| element_text(element.get_ref(), true)).collect::<Vec<_>>().join(",")
        }
        _ => text.into(),
    }
}

/// A value as typed after a flag; list elements are quoted.
pub(crate) fn element_text(value: &DeValue<'_>, names: bool) -> String {
    match value {
        DeValue::String(text) if names => format!("\"{}\"", text.replace('"', "\"\"")),
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.to_string(),
        },
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(truth) => truth.to_string(),
        // No flag takes one, and serde reports an error.
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}
