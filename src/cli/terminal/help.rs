//! Fits help to the terminal: breaks lines between words.

/// The width of help lines for a terminal width.
pub(crate) fn width(columns: usize) -> usize {
    columns.clamp(50, 110)
}

/// Minimum width of the text beside a name; otherwise it goes below the name.
const RIGHT: usize = 24;

/// Wraps text at `width`, except for longer words. Continuation lines are aligned with the text after a flag;
/// paragraphs at the margin are refilled.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut fills = false;
    for line in text.lines() {
        let at_margin = !line.is_empty() && !line.starts_with(' ');
        match lines.last_mut() {
            Some(before) if fills && at_margin => *before = format!("{before} {line}"),
            _ => lines.push(line.to_owned()),
        }
        fills = at_margin && !line.ends_with(':') && !line.starts_with("Usage: ");
    }
    let mut out = String::new();
    for line in lines {
        wrap(line.trim_end(), width, &mut out);
    }
    out
}

fn wrap(line: &str, width: usize, out: &mut String) {
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let hang = hang(line, indent).filter(|hang| hang + RIGHT <= width);
    let mut column = 0;
    let mut begun = false;
    let (mut rest, margin) = (line, hang.unwrap_or(indent));
    while !rest.is_empty() {
        let gap = rest.chars().take_while(|c| *c == ' ').count();
        let word: String = rest[gap..].chars().take_while(|c| *c != ' ').collect();
        let length = word.chars().count();
        if begun && !word.is_empty() && column + gap + length > width && column > margin {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', margin));
            column = margin;
        } else {
            out.extend(std::iter::repeat_n(' ', gap));
            column += gap;
        }
        out.push_str(&word);
        column += length;
        begun = begun || !word.is_empty();
        rest = &rest[gap + word.len()..];
    }
    out.push('\n');
}

/// The column of the text after a name: after the first gap of several spaces.
fn hang(line: &str, indent: usize) -> Option<usize> {
    let body = &line[indent..];
    let gap = body.find("  ")?;
    let text = body[gap..].find(|c| c != ' ')?;
    Some(indent + body[..gap].chars().count() + text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_continue_in_the_same_column() {
        let text = "      --lr <RATE>  The learning rate of every step that is taken, in all\n\nUsage: bptt\n";
        let expected = "      --lr <RATE>  The learning rate of every step\n                   that is taken, in all\n\nUsage: bptt\n";
        assert_eq!(wrapped(text, 52), expected);
    }

    #[test]
    fn paragraphs_are_filled_and_examples_are_not() {
        let text = "Examples:\n  bptt a\n  bptt b\n\nOne two\nthree four five.\n";
        assert_eq!(wrapped(text, 14), "Examples:\n  bptt a\n  bptt b\n\nOne two three\nfour five.\n");
    }

    #[test]
    fn an_overlong_word_gets_its_own_line() {
        assert_eq!(wrapped("    aaaaaaaaaaaa bb\n", 10), "    aaaaaaaaaaaa\n    bb\n");
    }
}
