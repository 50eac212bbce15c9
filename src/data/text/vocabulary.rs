//! The token ids of characters.

use serde::{Deserialize, Serialize};

use crate::data::CharacterCounts;
use crate::error::{Error, Result};

/// The unit of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextUnit {
    /// Unicode characters (scalar values), from UTF-8.
    #[default]
    Characters,
    /// Bytes of any file.
    Bytes,
}

/// The token ids of characters, 0 to [`len`](Self::len) − 1. It is stored with the weights, which are useless without
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredVocabulary", into = "StoredVocabulary")]
pub struct Vocabulary {
    /// By id; empty for bytes, which are their own ids.
    characters: Vec<char>,
    /// By code point, up to the highest known.
    ids: Vec<u32>,
}

/// As JSON: `"bytes"`, or `{"characters":"\n !abc"}`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredVocabulary {
    Bytes,
    Characters(String),
}

impl Vocabulary {
    /// The 256 bytes.
    pub fn bytes() -> Self {
        Self { characters: Vec::new(), ids: (0..256).collect() }
    }

    /// The characters that occur at least `least` times, in the order of their code points, followed by one id for all
    /// others, the unknown. Made from the training split only, so that nothing of the other splits leaks in.
    ///
    /// # Errors
    /// [`Error::Value`] if there are fewer than two characters, since nothing could be learned.
    pub fn characters(histogram: &CharacterCounts, least: u64) -> Result<Self> {
        Self::known(histogram.iter().filter(|(_, count)| *count >= least).map(|(character, _)| character).collect())
    }

    fn known(characters: Vec<char>) -> Result<Self> {
        if let Some(pair) = characters.windows(2).find(|pair| pair[0] >= pair[1]) {
            let got = format!("{:?} before {:?}", pair[0], pair[1]);
            return Err(Error::value("the vocabulary", "characters in the order of their code points", got));
        }
        let highest = match characters[..] {
            [] | [_] => {
                let got = if characters.is_empty() { "none".into() } else { format!("only {:?}", characters[0]) };
                return Err(Error::value("the vocabulary", "at least two different characters", got));
            }
            [.., highest] => highest as usize,
        };
        let mut ids = vec![characters.len() as u32; highest + 1];
        (0..).zip(&characters).for_each(|(id, character)| ids[*character as usize] = id);
        Ok(Self { characters, ids })
    }

    /// The unit.
    pub fn unit(&self) -> TextUnit {
        if self.characters.is_empty() { TextUnit::Bytes } else { TextUnit::Characters }
    }

    /// The number of ids, including the unknown: the inputs and outputs of a network.
    pub fn len(&self) -> usize {
        match self.unit() {
            TextUnit::Characters => self.characters.len() + 1,
            TextUnit::Bytes => 256,
        }
    }

    /// Always false: there are at least two characters and the unknown.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The characters with an id of their own, by id; empty for bytes.
    pub fn known_characters(&self) -> &[char] {
        &self.characters
    }

    /// The id of unknown characters; `None` for bytes.
    pub fn unknown(&self) -> Option<u32> {
        (self.unit() == TextUnit::Characters).then_some(self.characters.len() as u32)
    }

    /// The id of a character, or of the byte with its number.
    pub fn id(&self, character: char) -> u32 {
        self.ids.get(character as usize).copied().unwrap_or(self.characters.len() as u32)
    }

    /// The ids of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self.unit() {
            TextUnit::Characters => text.chars().map(|character| self.id(character)).collect(),
            TextUnit::Bytes => text.bytes().map(u32::from).collect(),
        }
    }

    /// The text of ids: UTF-8, with U+FFFD for the unknown; bytes unchanged.
    ///
    /// # Errors
    /// [`Error::Value`] names an id that is not below [`len`](Self::len).
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut text = Vec::with_capacity(ids.len());
        for (i, id) in ids.iter().enumerate() {
            let index = *id as usize;
            if index >= self.len() {
                return Err(Error::value(format!("ids[{i}]"), format!("an id below {}", self.len()), id));
            }
            match self.unit() {
                TextUnit::Characters => {
                    let character = self.characters.get(index).copied().unwrap_or(char::REPLACEMENT_CHARACTER);
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                TextUnit::Bytes => text.push(index as u8),
            }
        }
        Ok(text)
    }

    /// The number of counted characters without an id of their own.
    pub fn unknown_in(&self, histogram: &CharacterCounts) -> u64 {
        let strangers = histogram.iter().filter(|(character, _)| Some(self.id(*character)) == self.unknown());
        strangers.map(|(_, count)| count).sum()
    }
}

impl From<Vocabulary> for StoredVocabulary {
    fn from(vocabulary: Vocabulary) -> Self {
        match vocabulary.unit() {
            TextUnit::Bytes => StoredVocabulary::Bytes,
            TextUnit::Characters => StoredVocabulary::Characters(vocabulary.characters.into_iter().collect()),
        }
    }
}

impl TryFrom<StoredVocabulary> for Vocabulary {
    type Error = Error;

    fn try_from(stored: StoredVocabulary) -> Result<Self> {
        match stored {
            StoredVocabulary::Bytes => Ok(Self::bytes()),
            StoredVocabulary::Characters(characters) => Self::known(characters.chars().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(text: &str) -> CharacterCounts {
        text.chars().collect()
    }

    #[test]
    fn ids_follow_code_points_and_unknown_comes_last() {
        let vocabulary = Vocabulary::characters(&histogram("übel, bös"), 1).unwrap();
        assert_eq!(vocabulary.encode(" ,belsöüx漢"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
        assert_eq!((vocabulary.len(), vocabulary.unknown()), (9, Some(8)));
        assert_eq!(vocabulary.decode(&[7, 2, 8]).unwrap(), "üb\u{fffd}".as_bytes());
        assert_eq!(vocabulary.decode(&[9]).unwrap_err().to_string(), "ids[0]: expected an id below 9, got 9");
        assert_eq!(vocabulary.unknown_in(&histogram("blöd, öde")), 2);
    }

    #[test]
    fn rare_characters_are_unknown() {
        let counted = histogram("abracadabra");
        let vocabulary = Vocabulary::characters(&counted, 2).unwrap();
        assert_eq!(vocabulary.encode("abrcd"), [0, 1, 2, 3, 3]);
        assert_eq!(vocabulary.unknown_in(&counted), 2);
    }

    #[test]
    fn bytes_are_their_own_ids() {
        let vocabulary = Vocabulary::bytes();
        assert_eq!((vocabulary.len(), vocabulary.unknown()), (256, None));
        assert_eq!(vocabulary.encode("aß"), [97, 195, 159]);
        assert_eq!(vocabulary.decode(&(0..256).collect::<Vec<_>>()).unwrap(), (0..=255).collect::<Vec<u8>>());
        assert!(vocabulary.decode(&[256]).is_err());
        assert_eq!(vocabulary.unknown_in(&(0..=255u8).map(char::from).collect()), 0);
    }

    #[test]
    fn a_vocabulary_needs_more_than_one_character() {
        let refusal = |text, least| Vocabulary::characters(&histogram(text), least).unwrap_err().to_string();
        assert_eq!(refusal("aaaa", 1), "the vocabulary: expected at least two different characters, got only 'a'");
        assert!(refusal("aab", 2).ends_with("got only 'a'"));
        assert!(refusal("", 1).ends_with("got none"));
    }

    #[test]
    fn a_vocabulary_survives_json_and_an_invalid_one_is_refused() {
        for vocabulary in [Vocabulary::bytes(), Vocabulary::characters(&histogram("\n\"\\\u{7f}é🦀\0"), 1).unwrap()]
        {
            let json = serde_json::to_string(&vocabulary).unwrap();
            assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary, "{json}");
        }
        for json in
            [r#"{"characters":"ba"}"#, r#"{"characters":"aa"}"#, r#"{"characters":"a"}"#, r#""words""#, "3", "{}"]
        {
            assert!(serde_json::from_str::<Vocabulary>(json).is_err(), "{json}");
        }
    }
}
