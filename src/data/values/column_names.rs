//! Column names in messages.

use std::borrow::Cow;

/// The names, separated by commas, as a flag takes them: quoted as in CSV if one has a comma, a quote or a space at an
/// end, or is empty. At most 40 names are shown, and 40 characters of each.
pub fn list_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 40;
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(SHOWN).map(|name| quoted(&shortened(name))).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A name, shortened for a message.
pub(in crate::data) fn shortened(name: &str) -> Cow<'_, str> {
    const SHOWN: usize = 40;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]).into(),
        None => name.into(),
    }
}

fn quoted(name: &str) -> String {
    if name.is_empty() || name.contains([',', '"', '\n', '\r']) || name.trim() != name {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_shown_by_its_first_ones() {
        let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let text = list_names(names.iter().map(String::as_str));
        assert!(text.starts_with("0, 1, 2") && text.ends_with("38, 39 and 960 more"), "{text}");
        assert_eq!(list_names([&*"é".repeat(1_000_000), "b"]), format!("{}…, b", "é".repeat(40)));
    }

    #[test]
    fn ambiguous_names_are_quoted() {
        assert_eq!(
            list_names(["a", "b c", "Preis, EUR", "", " d", "5\" pipe"]),
            r#"a, b c, "Preis, EUR", "", " d", "5"" pipe""#
        );
    }
}
