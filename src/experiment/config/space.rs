//! The settings that a sweep varies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The most values of a list or a range.
const VALUES: usize = 10_000;

/// The greatest integer of a range: up to here a 64-bit float has every one.
const INTEGER: i64 = 1 << 53;

/// The settings that vary, by name (`training.lr`), in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Space(pub BTreeMap<String, Dimension>);

/// What a setting is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Dimension {
    /// Any of some values: `[32, 64]`.
    List(Vec<Value>),
    /// Evenly spaced numbers, both ends included: `{ range = [0, 0.5], step = 0.1 }`.
    Range {
        /// The first number.
        from: f64,
        /// No number is greater.
        until: f64,
        /// The distance of two numbers.
        step: f64,
    },
    /// A whole number, both ends included: `{ integers = [1, 3] }`.
    Integers(i64, i64),
    /// A whole number whose logarithm is uniform, both ends included: `{ log-integers = [16, 512] }`.
    LogIntegers(i64, i64),
    /// A number: `{ uniform = [0.0, 0.5] }`.
    Uniform(f64, f64),
    /// A number whose logarithm is uniform: `{ log-uniform = [1e-4, 1e-1] }`.
    LogUniform(f64, f64),
}

/// What a value of `[sweep.space]` may be.
const FORMS: &str = "expected a list, { range = [A, B], step = S }, or a distribution: uniform, log-uniform, integers or \
                     log-integers = [A, B]";

impl Space {
    /// Whether nothing varies.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values by their full names: `training.lr = [1, 2]` in TOML is a table `training` with a key `lr`.
    ///
    /// # Errors
    /// What was expected, for a section without a key.
    pub fn flatten(map: Map<String, Value>) -> Result<Vec<(String, Value)>, String> {
        let mut flat = Vec::new();
        for (name, value) in map {
            match value {
                Value::Object(keys) if !name.contains('.') => {
                    flat.extend(keys.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
                }
                value if name.contains('.') => flat.push((name, value)),
                _ => return Err(format!("{name}: expected SECTION.KEY, as in training.lr")),
            }
        }
        Ok(flat)
    }
}

impl TryFrom<Map<String, Value>> for Space {
    type Error = String;

    fn try_from(map: Map<String, Value>) -> Result<Self, String> {
        let mut space = BTreeMap::new();
        for (name, value) in Self::flatten(map)? {
            let dimension = Dimension::read(&value).map_err(|expected| format!("{name}: {expected}, got {value}"))?;
            if space.insert(name.clone(), dimension).is_some() {
                return Err(format!("{name}: expected it once"));
            }
        }
        Ok(Self(space))
    }
}

impl From<Space> for Map<String, Value> {
    fn from(space: Space) -> Self {
        space.0.into_iter().map(|(name, dimension)| (name, dimension.to_value())).collect()
    }
}

impl Dimension {
    /// Reads a value of `[sweep.space]`.
    ///
    /// # Errors
    /// What was expected.
    pub fn read(value: &Value) -> Result<Self, String> {
        let map = match value {
            Value::Array(values) if values.is_empty() => return Err("expected at least one value".into()),
            Value::Array(values) if values.len() > VALUES => return Err(format!("expected at most {VALUES} values")),
            Value::Array(values) => return Ok(Self::List(values.clone())),
            Value::Object(map) => map,
            _ => return Err(FORMS.into()),
        };
        let names: Vec<&str> = map.keys().map(String::as_str).collect();
        let ends = |name: &str| {
            let ends = map.get(name).and_then(Value::as_array).map(Vec::as_slice);
            let pair = |[a, b]: &[Value; 2]| Some([a.as_f64()?, b.as_f64()?]);
            let pair = ends.and_then(|ends| <&[Value; 2]>::try_from(ends).ok()).and_then(pair);
            let pair = pair.filter(|[a, b]| a < b && (b - a).is_finite());
            pair.ok_or_else(|| format!("expected {name} = [A, B] with numbers, A below B"))
        };
        let above_0 = |name: &str, [a, b]: [f64; 2]| {
            if a > 0.0 { Ok([a, b]) } else { Err(format!("expected {name} = [A, B] with A above 0")) }
        };
        let whole = |name: &str, ends: [f64; 2]| {
            let is_whole = ends.iter().all(|end| end.fract() == 0.0 && end.abs() <= INTEGER as f64);
            let expected = || format!("expected {name} = [A, B] with whole numbers of at most 2^53");
            if is_whole { Ok(ends.map(|end| end as i64)) } else { Err(expected()) }
        };
        match names[..] {
            ["range"] | ["range", "step"] => {
                let [from, until] = ends("range")?;
                let step = match map.get("step") {
                    None => 1.0,
                    Some(step) => {
                        step.as_f64().filter(|step| *step > 0.0).ok_or("expected a step that is a number above 0")?
                    }
                };
                let count = (until - from) / step;
                if count < VALUES as f64 {
                    Ok(Self::Range { from, until, step })
                } else {
                    Err(format!("expected a range of at most {VALUES} values: take a greater step"))
                }
            }
            ["integers"] => whole("integers", ends("integers")?).map(|[a, b]| Self::Integers(a, b)),
            ["log-integers"] => {
                let ends = above_0("log-integers", ends("log-integers")?)?;
                whole("log-integers", ends).map(|[a, b]| Self::LogIntegers(a, b))
            }
            ["uniform"] => ends("uniform").map(|[a, b]| Self::Uniform(a, b)),
            ["log-uniform"] => above_0("log-uniform", ends("log-uniform")?).map(|[a, b]| Self::LogUniform(a, b)),
            _ => Err(FORMS.into()),
        }
    }

    /// As it is written.
    pub fn to_value(&self) -> Value {
        match self {
            Self::List(values) => json!(values),
            Self::Range { from, until, step } => {
                json!({"range": [number(*from), number(*until)], "step": number(*step)})
            }
            Self::Integers(from, until) => json!({"integers": [from, until]}),
            Self::LogIntegers(from, until) => json!({"log-integers": [from, until]}),
            Self::Uniform(from, until) => json!({"uniform": [from, until]}),
            Self::LogUniform(from, until) => json!({"log-uniform": [from, until]}),
        }
    }

    /// All values, in their order; `None` for a distribution other than of a few integers.
    pub fn values(&self) -> Option<Vec<Value>> {
        match self {
            Self::List(values) => Some(values.clone()),
            Self::Range { from, until, step } => {
                // 0.1 + 0.1 + 0.1 is a little more than 0.3.
                let count = ((until - from) / step + 1e-9).floor() as usize;
                Some((0..=count).map(|index| number(rounded(from + step * index as f64, 12))).collect())
            }
            Self::Integers(from, until) if until - from < VALUES as i64 => {
                Some((*from..=*until).map(Value::from).collect())
            }
            _ => None,
        }
    }

    /// Some of its values, by which a setting's own check can tell whether it takes them: all, or both ends.
    pub fn examples(&self) -> Vec<Value> {
        match self {
            Self::Integers(from, until) | Self::LogIntegers(from, until) => vec![json!(from), json!(until)],
            Self::Uniform(from, until) | Self::LogUniform(from, until) => vec![json!(from), json!(until)],
            finite => finite.values().unwrap_or_default(),
        }
    }

    /// The value at `u` of [0, 1), of a number that is uniform there. Numbers of a distribution are rounded to four
    /// significant digits, so that they are the same on every machine and easily typed.
    pub(crate) fn at(&self, u: f64) -> Value {
        let between = |from: f64, until: f64| rounded(from + u * (until - from), 4).clamp(from, until);
        let logarithmic = |from: f64, until: f64| (from.ln() + u * (until.ln() - from.ln())).exp();
        match self {
            Self::Uniform(from, until) => json!(between(*from, *until)),
            Self::LogUniform(from, until) => json!(rounded(logarithmic(*from, *until), 4).clamp(*from, *until)),
            Self::Integers(from, until) => {
                let count = (until - from + 1) as f64;
                json!((from + (u * count).floor() as i64).min(*until))
            }
            Self::LogIntegers(from, until) => {
                let value = logarithmic(*from as f64 - 0.5, *until as f64 + 0.5);
                json!((value.round() as i64).clamp(*from, *until))
            }
            finite => {
                let values = finite.values().unwrap_or_default();
                let index = ((u * values.len() as f64) as usize).min(values.len().saturating_sub(1));
                values.into_iter().nth(index).unwrap_or_default()
            }
        }
    }

    /// Where a value lies: the inverse of [`at`](Self::at), in the middle of the interval of a whole number or of a value
    /// of a list; `None` for a value of another space.
    pub(crate) fn position(&self, value: &Value) -> Option<f64> {
        let logarithmic = |from: f64, until: f64, value: f64| (value.ln() - from.ln()) / (until.ln() - from.ln());
        let position = match self {
            Self::Uniform(from, until) => (value.as_f64()? - from) / (until - from),
            Self::LogUniform(from, until) => logarithmic(*from, *until, value.as_f64()?),
            Self::Integers(from, until) => (value.as_f64()? - *from as f64 + 0.5) / (until - from + 1) as f64,
            Self::LogIntegers(from, until) => logarithmic(*from as f64 - 0.5, *until as f64 + 0.5, value.as_f64()?),
            finite => {
                let values = finite.values()?;
                (values.iter().position(|other| other == value)? as f64 + 0.5) / values.len() as f64
            }
        };
        Some(position.clamp(0.0, 1.0))
    }

    /// Whether its values have no order that matters: those of a list.
    #[cfg(feature = "tpe")]
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

/// A number with so many significant digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// A number, whole where it can be: settings that count take no fraction.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < INTEGER as f64 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dimension, String> {
        Dimension::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn every_form_is_read_and_written_as_it_was() {
        for text in [
            r#"[32,"a",[0.1,0.9],true]"#,
            r#"{"range":[0,0.5],"step":0.1}"#,
            r#"{"integers":[1,3]}"#,
            r#"{"log-integers":[16,512]}"#,
            r#"{"uniform":[-0.5,0.5]}"#,
            r#"{"log-uniform":[0.0001,0.1]}"#,
        ] {
            assert_eq!(read(text).unwrap().to_value().to_string(), text);
        }
        for (text, part) in [
            ("[]", "at least one value"),
            ("3", "expected a list"),
            (r#"{"normal":[0,1]}"#, "expected a list"),
            (r#"{"uniform":[1,0]}"#, "A below B"),
            (r#"{"uniform":[0,1,2]}"#, "A below B"),
            (r#"{"log-uniform":[0,1]}"#, "A above 0"),
            (r#"{"integers":[0.5,1]}"#, "whole numbers"),
            (r#"{"integers":[0,1e300]}"#, "whole numbers"),
            (r#"{"range":[0,1],"step":0}"#, "a step that is a number above 0"),
            (r#"{"range":[0,1],"step":1e-9}"#, "at most 10000 values"),
            (r#"{"uniform":[0,1],"step":0.1}"#, "expected a list"),
        ] {
            assert!(read(text).unwrap_err().contains(part), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn a_range_has_both_ends_and_no_rounding_errors() {
        let values = |text| serde_json::to_string(&read(text).unwrap().values().unwrap()).unwrap();
        assert_eq!(values(r#"{"range":[0,0.5],"step":0.1}"#), "[0,0.1,0.2,0.3,0.4,0.5]");
        assert_eq!(values(r#"{"range":[16,50],"step":16}"#), "[16,32,48]");
        assert_eq!(values(r#"{"integers":[-1,1]}"#), "[-1,0,1]");
    }

    #[test]
    fn values_are_within_their_ends_and_lie_where_they_were_drawn() {
        for text in [
            "[1,2,3]",
            r#"{"range":[0,0.5],"step":0.1}"#,
            r#"{"integers":[1,3]}"#,
            r#"{"log-integers":[1,512]}"#,
            r#"{"uniform":[-0.5,0.5]}"#,
            r#"{"log-uniform":[0.00012345,0.1]}"#,
        ] {
            let dimension = read(text).unwrap();
            let ends: Vec<f64> = dimension.examples().iter().map(|value| value.as_f64().unwrap()).collect();
            for step in 0..=1000 {
                let value = dimension.at(f64::from(step) / 1000.0);
                let number = value.as_f64().unwrap();
                assert!(ends[0] <= number && number <= ends[ends.len() - 1], "{text}: {number}");
                let position = dimension.position(&value).unwrap();
                assert_eq!(dimension.at(position), value, "{text} at {position}");
            }
        }
        let near = |text, u| read(text).unwrap().at(u).as_f64().unwrap();
        assert!((near(r#"{"log-uniform":[0.0001,0.1]}"#, 0.5) - 0.003162).abs() < 1e-9);
    }

    #[test]
    fn names_may_be_quoted_or_tables_and_are_refused_without_a_key() {
        let space = |text: &str| toml::from_str::<Space>(text).map(|space| space.0.into_keys().collect::<Vec<_>>());
        let names = vec!["model.hidden".to_owned(), "training.lr".to_owned()];
        assert_eq!(space("\"training.lr\" = [1]\nmodel.hidden = [1]").unwrap(), names);
        assert_eq!(space("training.lr = { uniform = [0, 1] }\n[model]\nhidden = [1]").unwrap(), names);
        assert!(space("lr = [1]").unwrap_err().to_string().contains("expected SECTION.KEY"));
        assert!(space("\"training.lr\" = 3").unwrap_err().to_string().contains("training.lr: expected a list"));
    }
}
