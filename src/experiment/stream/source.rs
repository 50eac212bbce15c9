//! What an item of a stream is to a network.

use super::fields::Fields;
use super::items::Item;
use super::numbers::Numbers;
use crate::data::{PianoKeys, TextUnit, Vocabulary, list_names};

/// The inputs of one step, or the tokens of several.
pub(super) enum Inputs {
    /// \[I\].
    Numbers(Vec<f32>),
    /// \[T\].
    Tokens(Vec<u32>),
}

/// What an item is.
pub(super) enum Content {
    /// Inputs.
    Inputs(Inputs),
    /// Names of columns.
    Names,
    /// The end of a sequence.
    End,
    /// A sequence without steps.
    Empty,
}

/// How an item becomes inputs.
pub(super) enum Source {
    /// A character or a byte of a text.
    Token(CountingVocabulary),
    /// A line of text, which is a sequence.
    Text(CountingVocabulary),
    /// Numbers of a step.
    Numbers(Numbers),
    /// The keys that are active at a step.
    Keys(PianoKeys),
    /// The number of a token below a limit.
    Id(u32),
}

/// A vocabulary, and the number of characters read that are unknown to it.
pub(super) struct CountingVocabulary {
    vocabulary: Vocabulary,
    unknown: u64,
}

impl CountingVocabulary {
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        Self { vocabulary: vocabulary.clone(), unknown: 0 }
    }

    fn encode(&mut self, text: &str) -> Vec<u32> {
        let tokens = self.vocabulary.encode(text);
        self.unknown += tokens.iter().filter(|token| Some(**token) == self.vocabulary.unknown()).count() as u64;
        tokens
    }
}

impl Source {
    /// What is read at once.
    pub(super) fn item(&self) -> Item {
        match self {
            Self::Token(CountingVocabulary { vocabulary, .. }) => match vocabulary.unit() {
                TextUnit::Characters => Item::Character,
                TextUnit::Bytes => Item::Byte,
            },
            _ => Item::Line,
        }
    }

    /// The items in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Token(_) => "a text, character by character".into(),
            Self::Text(_) => "lines of text".into(),
            Self::Numbers(numbers) => format!("lines of {}", numbers.fields().words()),
            Self::Keys(keys) => format!("lines of active keys, {}", range(keys)),
            Self::Id(below) => format!("lines of a token, 0 to {}", below.saturating_sub(1)),
        }
    }

    /// The columns of a line, if it has any.
    pub(super) fn fields_mut(&mut self) -> Option<&mut Fields> {
        match self {
            Self::Numbers(numbers) => Some(numbers.fields_mut()),
            _ => None,
        }
    }

    /// The number of characters read that are unknown to the vocabulary.
    pub(super) fn unknown(&self) -> u64 {
        match self {
            Self::Token(CountingVocabulary { unknown, .. }) | Self::Text(CountingVocabulary { unknown, .. }) => {
                *unknown
            }
            _ => 0,
        }
    }

    /// Forgets what the items before were.
    pub(super) fn reset(&mut self) {
        if let Self::Numbers(numbers) = self {
            numbers.reset();
        }
    }

    /// An item as inputs. Otherwise what was expected and what came.
    pub(super) fn read(&mut self, item: &[u8]) -> Result<Content, String> {
        let tokens = |tokens| Ok(Content::Inputs(Inputs::Tokens(tokens)));
        if self.item() == Item::Byte {
            return tokens(item.iter().map(|byte| u32::from(*byte)).collect());
        }
        let text = std::str::from_utf8(item);
        let text = text.map_err(|_| format!("expected UTF-8, got the bytes {}", shortened(item)))?;
        match self {
            Self::Token(counted) => tokens(counted.encode(text)),
            Self::Text(counted) => match text.trim() {
                "" => Ok(Content::Empty),
                line => tokens(counted.encode(line)),
            },
            // No active key is silence.
            Self::Keys(keys) => active(keys, text).map(|active| Content::Inputs(Inputs::Numbers(active))),
            Self::Numbers(numbers) if numbers.fields().is_blank(text) => Ok(Content::End),
            Self::Id(_) if text.trim().is_empty() => Ok(Content::End),
            Self::Numbers(numbers) => numbers
                .read(text)
                .map(|inputs| inputs.map_or(Content::Names, |inputs| Content::Inputs(Inputs::Numbers(inputs)))),
            Self::Id(below) => {
                let id = text.trim().parse().ok().filter(|id: &u32| id < below);
                let refused = || format!("expected a token, 0 to {}, got {:?}", *below - 1, text.trim());
                tokens(vec![id.ok_or_else(refused)?])
            }
        }
    }
}

/// The first bytes of an item.
fn shortened(item: &[u8]) -> String {
    item[..item.len().min(40)].escape_ascii().to_string()
}

/// The keys in words.
fn range(keys: &PianoKeys) -> String {
    match keys {
        PianoKeys::Numbers(numbers) => format!("numbers from {} to {}", numbers.start(), numbers.end()),
        PianoKeys::Names(names) => list_names(names.iter().map(String::as_str)),
    }
}

/// Which keys are active, 1 for each, from their names between blanks or commas, or in an array of JSON.
fn active(keys: &PianoKeys, line: &str) -> Result<Vec<f32>, String> {
    let line = line.trim();
    let inside = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).unwrap_or(line);
    let mut active = vec![0.0; keys.len()];
    for name in inside.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty()) {
        let name = name.trim_matches('"');
        let place = match keys {
            PianoKeys::Numbers(numbers) => {
                let number = name.parse().ok().filter(|number| numbers.contains(number));
                number.map(|number: u32| (number - numbers.start()) as usize)
            }
            PianoKeys::Names(names) => names.iter().position(|other| other == name),
        };
        let place = place.ok_or_else(|| format!("expected keys, {}, got {name:?}", range(keys)))?;
        active[place] = 1.0;
    }
    Ok(active)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_keys_are_read_by_number_or_name_and_none_is_silence() {
        let numbers = PianoKeys::Numbers(60..=62);
        for line in ["60 62", "[60, 62]", "62,60", " 60\t62 60"] {
            assert_eq!(active(&numbers, line).unwrap(), [1.0, 0.0, 1.0], "{line:?}");
        }
        assert_eq!(active(&numbers, "").unwrap(), [0.0; 3]);
        assert_eq!(active(&numbers, "59").unwrap_err(), "expected keys, numbers from 60 to 62, got \"59\"");
        let names = PianoKeys::Names(vec!["kick".into(), "snare".into()]);
        assert_eq!(active(&names, "[\"snare\"]").unwrap(), [0.0, 1.0]);
        assert_eq!(active(&names, "hat").unwrap_err(), "expected keys, kick, snare, got \"hat\"");
    }
}
