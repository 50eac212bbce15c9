//! What files from anywhere are made of: bytes, numbers and words that nobody meant.

use serde_json::{Map, Value, json};

use super::case::Case;

/// Names and words that are hard to print.
pub(crate) const WORDS: [&str; 13] = [
    "",
    " ",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "a\nb",
    "a\r\tb\0",
    "\u{9b}2J\u{7f}",
    "\u{202e}txt.exe\u{2066}",
    "=1+1",
    "@a,\"b\"",
    "<script>alert(1)</script>&amp;",
    "ü 💥 é",
    "../../etc/passwd",
];

/// One of [`WORDS`], or a very long one.
pub(crate) fn word(case: &Case<'_>) -> String {
    match case.below(6) {
        0 => case.pick(&["a", "ß", "\u{1b}"]).repeat(case.pick(&[255, 70_000, 140_000])),
        _ => case.pick(&WORDS).to_owned(),
    }
}

/// Whole numbers about the ends of what types hold.
pub(crate) const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    255,
    65_535,
    65_536,
    1 << 24,
    (1 << 31) - 1,
    1 << 32,
    (1 << 53) + 1,
    1 << 61,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

/// A word that is an argument of a command: the system takes none of more than 128 KiB, and none with a zero.
pub(crate) fn argument(case: &Case<'_>) -> String {
    let mut word = word(case).replace('\0', "");
    while word.len() > 100_000 {
        word.pop();
    }
    word
}

/// A value of any kind.
pub(crate) fn value(case: &Case<'_>) -> Value {
    match case.below(12) {
        0..=4 => json!(case.pick(&NUMBERS)),
        5 => json!(-1),
        6 => json!(case.pick(&[0.5, -0.0, 1e-308, 1e308, f64::from(f32::MAX) * 2.0, 1.5e300])),
        7 => Value::Null,
        8 => json!(case.chance(50)),
        9 => json!(word(case)),
        10 => json!(vec![0; case.pick(&[0, 1, 3, 100_000])]),
        _ => (0..case.pick(&[1, 3, 200])).fold(json!(0), |value, _| json!([value])),
    }
}

/// How many places a value has at which there is something.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(places).sum::<usize>(),
        Value::Object(map) => map.values().map(places).sum(),
        _ => 0,
    }
}

/// Changes one place of a value, one of those below it.
pub(crate) fn change_value(value: &mut Value, case: &Case<'_>) {
    let place = case.below(places(value));
    change_at(value, place, case);
}

fn change_at(value: &mut Value, mut place: usize, case: &Case<'_>) {
    if place == 0 {
        change_whole(value, case);
        return;
    }
    place -= 1;
    let within: Vec<&mut Value> = match value {
        Value::Array(values) => values.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => return,
    };
    for value in within {
        let of_it = places(value);
        if place < of_it {
            return change_at(value, place, case);
        }
        place -= of_it;
    }
}

fn change_whole(value: &mut Value, case: &Case<'_>) {
    match value {
        Value::Array(values) if !values.is_empty() && case.chance(70) => match case.below(3) {
            0 => {
                let one = case.below(values.len());
                values.remove(one);
            }
            1 => {
                let again = values[case.below(values.len())].clone();
                values.extend(vec![again; case.pick(&[1, 10, 70_000])]);
            }
            _ => {
                let other = case.below(values.len());
                values.swap(0, other);
            }
        },
        Value::Object(map) if !map.is_empty() && case.chance(80) => {
            let key = map.keys().nth(case.below(map.len())).cloned().unwrap_or_default();
            match case.below(3) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(word(case), value_of(map, &key))),
                _ => drop(map.insert(key, self::value(case))),
            }
        }
        // Near what was there, which checks of single values let pass.
        Value::Number(number) if case.chance(30) => {
            let number = number.as_f64().unwrap_or_default();
            *value = json!(case.pick(&[number + 1.0, number - 1.0, -number, number * 2.0]));
            if let Some(whole) = value.as_f64().filter(|whole| whole.fract() == 0.0 && whole.abs() < 1e15) {
                *value = json!(whole as i64);
            }
        }
        _ => *value = self::value(case),
    }
}

fn value_of(map: &Map<String, Value>, key: &str) -> Value {
    map.get(key).cloned().unwrap_or_default()
}

/// Changes some bytes; `other` is a file of which a part may come in.
pub(crate) fn change_bytes(bytes: &mut Vec<u8>, other: &[u8], case: &Case<'_>) {
    let length = bytes.len();
    let at = case.below(length);
    match case.below(10) {
        _ if length == 0 => bytes.push(case.number() as u8),
        0..=2 => bytes[at] ^= 1 << case.below(8),
        3 => bytes[at] = case.number() as u8,
        4 => bytes.truncate(at),
        5 => bytes.extend_from_slice(&vec![case.number() as u8; case.pick(&[1, 8, 4096, 1 << 20])]),
        6 => drop(bytes.drain(at..length.min(at + 1 + case.below(64)))),
        7 => {
            let number = case.pick(&NUMBERS).to_le_bytes();
            let at = at.min(length.saturating_sub(8));
            let end = length.min(at + case.pick(&[1, 2, 4, 8]));
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        8 => {
            let again = bytes[at..length.min(at + 64)].to_vec();
            bytes.splice(at..at, again);
        }
        // The beginning of one and the end of the other.
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[at.min(other.len())..]);
        }
    }
}

/// A safetensors file taken apart: its header, and the numbers behind it.
pub(crate) struct Tensors {
    pub(crate) header: Value,
    pub(crate) numbers: Vec<u8>,
}

impl Tensors {
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (header, numbers) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some(Self { header: serde_json::from_slice(header).ok()?, numbers: numbers.to_vec() })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut header = self.header.to_string();
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &self.numbers].concat()
    }

    /// A change of what describes a tensor, or of its numbers.
    pub(crate) fn change_tensor(&mut self, case: &Case<'_>) {
        let Some(header) = self.header.as_object_mut() else { return };
        let names: Vec<String> = header.keys().filter(|name| *name != "__metadata__").cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = names[case.below(names.len())].clone();
        match case.below(8) {
            0 => drop(header.remove(&name)),
            1 => {
                let of_it = header.remove(&name).unwrap_or_default();
                header.insert(word(case), of_it);
            }
            2 => {
                let dtypes = ["F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "C64", "F4"];
                header[&name]["dtype"] = json!(case.pick(&dtypes));
            }
            3 => header[&name]["shape"] = value(case),
            4 => change_value(&mut header[&name]["shape"], case),
            5 => change_value(&mut header[&name]["data_offsets"], case),
            6 if !self.numbers.is_empty() => {
                let numbers = [f32::NAN, f32::INFINITY, f32::MAX, -f32::MAX, f32::MIN_POSITIVE / 2.0];
                let number = case.pick(&numbers).to_le_bytes();
                let many = case.chance(30);
                let at = case.below(self.numbers.len() / 4) * 4;
                let places = if many { (0..self.numbers.len() / 4 * 4).step_by(4).collect() } else { vec![at] };
                places.into_iter().for_each(|at| self.numbers[at..at + 4].copy_from_slice(&number));
            }
            _ => change_value(&mut self.header, case),
        }
    }
}
