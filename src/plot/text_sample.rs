//! What a network of text says.

use super::drawing::{Anchor, Drawing, columns, escape};

const LEFT: f64 = 24.0;
const TOP: f64 = 84.0;
/// From one line to the next.
const LINE: f64 = 19.0;
const COLUMNS: usize = 88;
/// Columns from one tab stop to the next.
const TAB: usize = 4;
/// The width of the picture: 88 columns of the widest usual font.
const PAGE: f64 = 760.0;
const LINES: usize = 30;
/// Lines of a long prime before the first with what was sampled.
const PRIME_LINES: usize = 6;

/// A given beginning and what was sampled after it.
pub struct TextSample<'a> {
    /// The heading of the picture.
    pub title: &'a str,
    /// The text that the sample continues.
    pub prime: &'a str,
    /// The sampled text.
    pub sampled: &'a str,
}

/// Which part of the text a piece of a line belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Prime,
    Sampled,
}

/// The characters of a line as they are shown.
#[derive(Default)]
struct Line(Vec<(Part, String)>);

impl TextSample<'_> {
    /// About 30 lines of at most 88 columns: the end of the prime and the beginning of what was sampled.
    pub fn draw(&self) -> Drawing {
        let lines = self.lines();
        let description = "After the given beginning each symbol is drawn from the network's own distribution: look how \
                           long words, line breaks and sense hold together.";
        let size = [PAGE, TOP + LINE * lines.len() as f64 + 8.0];
        let mut drawing = Drawing::new(self.title, description, size, LEFT);
        drawing.text(LEFT, 56.0, "mono given", Anchor::Start, "given");
        drawing.text(LEFT + 58.0, 56.0, "mono drawn", Anchor::Start, "sampled");
        for (index, line) in lines.iter().enumerate() {
            let y = TOP + LINE * index as f64;
            let span = |part: Part, class: &str| match line.text(part) {
                text if text.is_empty() => String::new(),
                text => format!("<tspan class=\"{class}\">{}</tspan>", escape(&text)),
            };
            let spans = span(Part::Prime, "given") + &span(Part::Sampled, "drawn");
            if !spans.is_empty() {
                let place = format!("xml:space=\"preserve\" x=\"{LEFT}\" y=\"{y}\"");
                drawing.put(format_args!("<text class=\"mono\" {place}>{spans}</text>"));
            }
        }
        drawing
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::default()];
        let characters = |part: Part, text: &str| text.chars().map(|character| (part, character)).collect::<Vec<_>>();
        for (part, character) in characters(Part::Prime, self.prime) {
            push(&mut lines, part, character);
        }
        let first_sampled = lines.len() - 1;
        for (part, character) in characters(Part::Sampled, self.sampled.trim_end()) {
            push(&mut lines, part, character);
            // One more than are shown tells that there are more.
            if lines.len() > first_sampled + LINES + 1 {
                break;
            }
        }
        let omitted = |part: Part| Line(vec![(part, "…".into())]);
        if first_sampled > PRIME_LINES {
            drop(lines.splice(..first_sampled - PRIME_LINES, [omitted(Part::Prime)]));
        }
        if lines.len() > LINES {
            lines.truncate(LINES - 1);
            lines.push(omitted(Part::Sampled));
        }
        lines
    }
}

impl Line {
    fn columns(&self) -> usize {
        self.0.iter().flat_map(|(_, shown)| shown.chars()).map(columns).sum()
    }

    /// What of the line belongs to a part.
    fn text(&self, part: Part) -> String {
        self.0.iter().filter(|(of, _)| *of == part).map(|(_, shown)| shown.as_str()).collect()
    }

    /// What follows the last space, which is the whole line where it has none.
    fn take_last_word(&mut self) -> Vec<(Part, String)> {
        match self.0.iter().rposition(|(_, shown)| shown == " ") {
            Some(space) => self.0.split_off(space + 1),
            None => Vec::new(),
        }
    }
}

/// Adds a character to the last line, or begins another with it and with the word that it belongs to.
fn push(lines: &mut Vec<Line>, part: Part, character: char) {
    if character == '\n' {
        lines.push(Line::default());
        return;
    }
    let Some(line) = lines.last_mut() else { return };
    let at = line.columns();
    let shown = visible(character, at);
    if at + shown.chars().map(columns).sum::<usize>() <= COLUMNS {
        line.0.push((part, shown));
        return;
    }
    let mut next = if character == ' ' { Vec::new() } else { line.take_last_word() };
    next.push((part, visible(character, 0)));
    lines.push(Line(next));
}

/// A character as it can be seen at a column: a tab as an arrow to its stop, and other control characters, or what would
/// be drawn nowhere or turn the line around, as Rust writes them.
fn visible(character: char, column: usize) -> String {
    match character {
        '\t' => format!("→{}", " ".repeat(TAB - column % TAB - 1)),
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}'
        | '\u{ffff}' => character.escape_default().to_string(),
        _ if character.is_control() => character.escape_default().to_string(),
        _ => character.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(prime: &str, sampled: &str) -> Vec<[String; 2]> {
        let lines = TextSample { title: "t", prime, sampled }.lines();
        lines.iter().map(|line| [Part::Prime, Part::Sampled].map(|part| line.text(part))).collect()
    }

    #[test]
    fn line_breaks_stay_and_long_lines_are_wrapped() {
        let parts = |prime: &str, sampled: &str| [prime.to_owned(), sampled.to_owned()];
        assert_eq!(lines("ab\nc", "d\n\ne"), [parts("ab", ""), parts("c", "d"), parts("", ""), parts("", "e")]);
        let widths: Vec<usize> = lines("", &"x".repeat(200)).iter().map(|[_, line]| line.len()).collect();
        assert_eq!(widths, [88, 88, 24]);
        let wide: Vec<usize> = lines("", &"字".repeat(50)).iter().map(|[_, line]| line.chars().count()).collect();
        assert_eq!(wide, [44, 6]);
        let words = lines("", &"seven77 ".repeat(12));
        assert_eq!(words[1][1], "seven77", "a word stays whole");
    }

    #[test]
    fn a_long_prime_keeps_its_end_and_a_long_sample_its_beginning() {
        let numbered = |name: &str| (0..100).map(|n| format!("{name} {n}\n")).collect::<String>();
        let lines = lines(&numbered("prime"), &numbered("sample"));
        assert_eq!(lines.len(), 30);
        assert_eq!((lines[0][0].as_str(), lines[1][0].as_str(), lines[6][0].as_str()), ("…", "prime 94", "prime 99"));
        assert_eq!((lines[7][1].as_str(), lines[29][1].as_str()), ("sample 0", "…"));
    }

    #[test]
    fn control_characters_are_seen() {
        let svg = TextSample { title: "t", prime: "\u{0}\t|\r", sampled: "\u{1b}[31m\u{202e}<b>" }.draw().file();
        assert!(svg.contains(">\\u{0}→  |\\r<") && svg.contains(">\\u{1b}[31m\\u{202e}&lt;b&gt;<"), "{svg}");
    }
}
