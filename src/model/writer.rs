//! Who wrote a description, and why it cannot be read: the key, what is wrong with it, and the version.

use serde::Deserialize;

use crate::version::RELEASE;

/// The version of the form. A key never changes its meaning: what means something else gets another name. So a later
/// form can be read unless it has a key or a name that this version does not know. A key that this form lacks is to be
/// written only where it says something, so that other files stay readable.
pub(super) const FORMAT: u32 = 2;

/// Who wrote a description.
#[derive(Deserialize)]
pub(super) struct Writer {
    pub(super) format: u32,
    /// From format 2 on.
    pub(super) bptt: Option<String>,
}

impl Writer {
    /// Whether what this version does not know may be known to the writer.
    fn is_newer(&self) -> bool {
        self.format > FORMAT || self.bptt.as_deref().is_some_and(|version| numbers(version) > numbers(RELEASE))
    }

    /// The writer in words.
    fn name(&self) -> String {
        self.bptt.as_ref().map_or_else(|| "another version of bptt".into(), |version| format!("bptt {version}"))
    }

    /// The reason for `error`, which came of reading `json`, the value of the key `part` of the description, or all of
    /// it.
    pub(super) fn refusal(&self, part: &str, json: &str, error: &serde_json::Error) -> String {
        let message = error.to_string();
        // A description is one line: the key says more.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let place = place(json, offset(json, error));
        let key = [part, &place].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".");
        let reason = match unknown(message) {
            // An unknown key, and a name that is a key, are the last of the place.
            Some(("variant", name)) if !key.ends_with(&format!(".{name}")) => {
                format!("the model's description has `{name}` as `{key}`, which bptt {RELEASE} does not know")
            }
            Some(_) => format!("the model's description has `{key}`, which bptt {RELEASE} does not know"),
            None if key.is_empty() => format!("the model's description: {message}"),
            None => format!("the model's description: `{key}`: {message}"),
        };
        let update = if self.is_newer() { ": update bptt" } else { "" };
        format!("{reason}; it was written by {}{update}", self.name())
    }
}

/// The numbers of a version, for comparison.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|number| number.parse().ok()).collect()
}

/// Whether serde's message is of an unknown field or variant, and its name.
fn unknown(message: &str) -> Option<(&str, &str)> {
    let (what, rest) = message.strip_prefix("unknown ")?.split_once(" `")?;
    Some((what, rest.split_once('`')?.0))
}

/// The number of bytes that were read when the error occurred.
fn offset(json: &str, error: &serde_json::Error) -> usize {
    let lines = json.split_inclusive('\n').take(error.line().saturating_sub(1));
    (lines.map(str::len).sum::<usize>() + error.column()).min(json.len())
}

/// An object or array that is open at some place of a JSON text.
enum Open {
    /// With the key that was read last.
    Object(Option<String>),
    /// With the number of elements before.
    Array(usize),
}

/// The keys that lead to the byte `end` of a JSON text, as in `recurrent.cell` or `columns[3].name`.
fn place(json: &str, end: usize) -> String {
    let mut open: Vec<Open> = Vec::new();
    let mut bytes = json.bytes().enumerate().take(end);
    // Whether a string is a key: after a brace or a comma of an object.
    let mut is_key = false;
    while let Some((begin, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let mut escaped = false;
                let close = bytes.find(|(_, byte)| {
                    let closes = *byte == b'"' && !escaped;
                    escaped = *byte == b'\\' && !escaped;
                    closes
                });
                let text = close.and_then(|(close, _)| serde_json::from_str(&json[begin..=close]).ok());
                if let (true, Some(Open::Object(key))) = (is_key, open.last_mut()) {
                    *key = text;
                }
            }
            b'{' => open.push(Open::Object(None)),
            b'[' => open.push(Open::Array(0)),
            b'}' | b']' => drop(open.pop()),
            b',' => match open.last_mut() {
                Some(Open::Object(key)) => *key = None,
                Some(Open::Array(before)) => *before += 1,
                None => {}
            },
            _ => {}
        }
        is_key = matches!(byte, b'{' | b',') || (is_key && byte.is_ascii_whitespace());
    }
    let mut place = String::new();
    for level in open {
        match level {
            Open::Object(None) => {}
            Open::Object(Some(key)) if place.is_empty() => place = key,
            Open::Object(Some(key)) => place = format!("{place}.{key}"),
            Open::Array(before) => place = format!("{place}[{before}]"),
        }
    }
    place
}
