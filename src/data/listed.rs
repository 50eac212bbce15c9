//! Names of columns in a message.

/// The names between commas, as a flag of the program takes them: in quotes as in a CSV file where one has a comma, a quote
/// or a space at an end, or is empty.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn quoted(name: &str) -> String {
    match name.is_empty() || name.contains([',', '"', '\n', '\r']) || name.trim() != name {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_read_as_two_or_as_none_stands_in_quotes() {
        assert_eq!(
            listed(["a", "b c", "Preis, EUR", "", " d", "5\" pipe"]),
            r#"a, b c, "Preis, EUR", "", " d", "5"" pipe""#
        );
    }
}
