//! Suggestions for misspelled words.

/// Maximum length of a word or a name in bytes.
const LONGEST: usize = 100;

/// The name that was most probably meant: one that the word starts, one that starts the word, or the one with the
/// fewest different letters, if it is close enough.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are not typing mistakes, and the comparison takes the product of the lengths.
    let may_be = |text: &str| text.len() <= LONGEST;
    let names: Vec<&str> = names.filter(|name| may_be(name)).collect();
    if !may_be(word) {
        return None;
    }
    let begins = |a: &str, b: &str| a.len() >= 3 && b.starts_with(a);
    let begun = names.iter().filter(|name| begins(word, name) || begins(name, word));
    if let Some(name) = begun.min_by_key(|name| name.len().abs_diff(word.len())) {
        return Some(name);
    }
    let by_distance = names.iter().map(|name| (distance(word, name), *name)).min()?;
    let (differ, name) = by_distance;
    (differ <= (word.chars().count().min(name.len()) / 3).max(1) && word.len().min(name.len()) > 2).then_some(name)
}

/// The number of inserted, deleted, changed or swapped letters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least.min(rows[i - 2][j - 2] + 1)
                    } else {
                        least
                    }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_close_words_only() {
        let flags = ["epochs", "hidden", "layers", "window", "text", "test-file", "profile", "lr", "batch", "out"];
        let of = |word: &str| nearest(word, flags.into_iter());
        for (word, flag) in [
            ("epoch", "epochs"),
            ("hiden", "hidden"),
            ("hidden-units", "hidden"),
            ("lasers", "layers"),
            ("widnow", "window"),
            ("test", "test-file"),
            ("batchs", "batch"),
        ] {
            assert_eq!(of(word), Some(flag), "{word}");
        }
        for word in ["prime", "bogus", "temperature", "rl", "x", "momentum", "ou"] {
            assert_eq!(of(word), None, "{word}");
        }
    }

    #[test]
    fn a_very_long_word_gets_no_suggestion() {
        let long = "epochs".repeat(200_000);
        assert_eq!(nearest(&long, ["epochs", &long].into_iter()), None);
        assert_eq!(nearest("epoch", [&*long, "epochs"].into_iter()), Some("epochs"));
    }

    #[test]
    fn swapped_letters_count_as_one_edit() {
        assert_eq!([distance("trian", "train"), distance("", "ab"), distance("abc", "axcd")], [1, 2, 2]);
    }
}
