//! How often each character occurs.

/// Counts of characters. A byte counts as the character with its number, U+0000 to U+00FF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharacterCounts {
    /// By code point, up to the highest that occurs: one addition per character in any language.
    counts: Vec<u64>,
}

impl CharacterCounts {
    /// Counts one more.
    pub fn add(&mut self, character: char) {
        let code = character as usize;
        if code >= self.counts.len() {
            self.counts.resize(code + 1, 0);
        }
        self.counts[code] += 1;
    }

    /// The characters that occur with their counts, in the order of their code points.
    pub fn iter(&self) -> impl Iterator<Item = (char, u64)> + '_ {
        let counts = (0u32..).zip(&self.counts).filter(|(_, count)| **count > 0);
        counts.filter_map(|(code, count)| Some((char::from_u32(code)?, *count)))
    }

    /// The total count.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl FromIterator<char> for CharacterCounts {
    fn from_iter<I: IntoIterator<Item = char>>(characters: I) -> Self {
        let mut histogram = Self::default();
        characters.into_iter().for_each(|character| histogram.add(character));
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_in_code_point_order() {
        let histogram: CharacterCounts = "zu 漢a漢".chars().collect();
        let counts: Vec<_> = histogram.iter().collect();
        assert_eq!(counts, [(' ', 1), ('a', 1), ('u', 1), ('z', 1), ('漢', 2)]);
        assert_eq!(histogram.total(), 6);
        assert_eq!(histogram, "漢漢a uz".chars().collect());
    }
}
