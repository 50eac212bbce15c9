//! The library's words as Python has them: settings are keyword arguments there, and flags are not.

use bptt::experiment::config::Config;
use serde_json::{Value, json};

/// The sections of a configuration.
const SECTIONS: [&str; 10] =
    ["series", "text", "sequences", "classes", "rolls", "audio", "task", "run", "model", "training"];

/// What was expected of a setting, from the words of serde.
pub(crate) fn expected(error: &serde_json::Error) -> String {
    let words = error.to_string();
    // `unknown variant `x`, expected one of `a`, `b``, and of two `expected `a` or `b``.
    if let Some((_, names)) = words.split_once(", expected ").filter(|_| words.starts_with("unknown variant")) {
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        return match names.split_last() {
            Some((last, [])) => (*last).into(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => words,
        };
    }
    match words.rsplit_once("untagged enum ") {
        Some((_, "BatchSize")) => return "a whole number of at least 1, or \"auto\"".into(),
        // Of bytes.
        Some((_, "Given")) => return "bytes, as in \"2GiB\", \"1.5GB\" or 1000000".into(),
        _ => {}
    }
    let typed = words.split_once(", expected ").filter(|_| words.starts_with("invalid "));
    match typed.map_or_else(|| words.strip_prefix("expected ").unwrap_or(&words), |(_, expected)| expected) {
        "usize" | "u64" | "u32" | "u16" | "u8" if words.starts_with("invalid value") => {
            "a whole number of at least 0".into()
        }
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        "a boolean" => "True or False".into(),
        "a sequence" => "a list".into(),
        "a string" => "a text".into(),
        "string or map" => "a text".into(),
        other => other.into(),
    }
}

/// A value of JSON as Python writes it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => "None".into(),
        other => other.to_string(),
    }
}

/// Whether a section has the key.
fn has(section: &str, key: &str) -> bool {
    serde_json::from_value::<Config>(json!({section: {key: null}})).is_ok()
}

/// Whether a word is one of a setting's names, of which it has some and no others.
fn is_choice(key: &str, word: &str) -> bool {
    let takes = |section: &str, word: &str| serde_json::from_value::<Config>(json!({section: {key: word}})).is_ok();
    SECTIONS.iter().any(|section| takes(section, word) && !takes(section, "\u{1}"))
}

/// A value behind `name=`.
fn quoted(value: &str) -> String {
    if value.parse::<f64>().is_ok() { value.into() } else { format!("{value:?}") }
}

/// The text with its flags as keyword arguments, `--out runs/a` as `out="runs/a"`, and settings without their section.
/// Commands of the program, between backticks, stay as they are.
pub(crate) fn in_python(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut is_command, mut is_begin) = (text, false, true);
    while let Some(character) = rest.chars().next() {
        if is_begin && !is_command {
            let is_subject = out.is_empty() || out.ends_with(": ");
            if let Some((words, length)) = flag(rest, is_subject).or_else(|| setting(rest)) {
                out += &words;
                rest = &rest[length..];
                is_begin = false;
                continue;
            }
        }
        is_command ^= character == '`';
        is_begin = matches!(character, ' ' | '(' | '\n');
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

/// The length of a name of small letters and hyphens.
fn name_length(text: &str) -> usize {
    let end = text.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')).unwrap_or(text.len());
    text[..end].trim_end_matches('-').len()
}

/// A flag at the beginning of the text as a keyword argument, and the length that it had.
fn flag(text: &str, is_subject: bool) -> Option<(String, usize)> {
    let name = &text.strip_prefix("--")?[..name_length(&text[2..])];
    if name.is_empty() {
        return None;
    }
    let (after, length) = (&text[2 + name.len()..], 2 + name.len());
    if let Some((words, more)) = after.strip_prefix(' ').filter(|_| name == "set").and_then(setting) {
        return Some((words, length + 1 + more));
    }
    let key = name.replace('-', "_");
    if (is_subject && after.starts_with(':')) || after.starts_with('=') {
        return Some((key, length));
    }
    let Some(after) = after.strip_prefix(' ') else { return Some((format!("{key}="), length)) };
    // `--out runs/a: expected …`
    if let Some((value, _)) = after.split_once(": ").filter(|(value, _)| is_subject && !value.contains("--")) {
        return Some((format!("{key}={}", quoted(value)), length + 1 + value.len()));
    }
    let word = after.split([' ', ',', ';', ':', ')']).next().unwrap_or_default();
    if word.parse::<f64>().is_ok() || is_choice(name, word) {
        return Some((format!("{key}={}", quoted(word)), length + 1 + word.len()));
    }
    Some((format!("{key}="), length))
}

/// A setting with its section at the beginning of the text, without it, and the length that it had.
fn setting(text: &str) -> Option<(String, usize)> {
    let (section, after) = text.split_once('.')?;
    let key = &after[..name_length(after)];
    if key.is_empty() || !SECTIONS.contains(&section) || !has(section, key) {
        return None;
    }
    Some((key.replace('-', "_"), section.len() + 1 + key.len()))
}
