//! A text that a network continued.

use unicode_width::UnicodeWidthStr;

use super::drawing::{Anchor, Drawing, escape};
use crate::format::is_hidden;

const LEFT: f64 = 24.0;
/// The baseline of the first line.
const TOP: f64 = 84.0;
/// The distance between two lines.
const LINE: f64 = 19.0;
const COLUMNS: usize = 88;
/// Columns between two tab stops.
const TAB: usize = 4;
/// The width of the picture: 88 columns of the widest common font.
const WIDTH: f64 = 760.0;
const LINES: usize = 30;
/// The lines of a long prime before the line where the sample begins.
const PRIME_LINES: usize = 6;

/// A prime and the text that was sampled after it.
pub struct TextSample<'a> {
    /// The title of the picture.
    pub title: &'a str,
    /// The text that the sample continues.
    pub prime: &'a str,
    /// The sampled text.
    pub sampled: &'a str,
}

/// The texts of a line that belong to the prime and to the sample.
type Line = [String; 2];

impl TextSample<'_> {
    /// Draws at most 30 lines of 88 columns: the end of the prime and the beginning of the sample.
    pub fn draw(&self) -> Drawing {
        let lines = self.lines();
        let description = "After the given text each symbol is drawn from the network's distribution: words, line \
                           breaks and sense should hold together for long.";
        let size = [WIDTH, TOP + LINE * lines.len() as f64 + 8.0];
        let mut drawing = Drawing::new(self.title, description, size, LEFT);
        drawing.text("mono given", [LEFT, 56.0], Anchor::Start, "given");
        drawing.text("mono drawn", [LEFT + 58.0, 56.0], Anchor::Start, "sampled");
        for (index, [given, sampled]) in lines.iter().enumerate() {
            let y = TOP + LINE * index as f64;
            let spans = [("given", given), ("drawn", sampled)].into_iter().filter(|(_, text)| !text.is_empty());
            let spans: String =
                spans.map(|(class, text)| format!("<tspan class=\"{class}\">{}</tspan>", escape(text))).collect();
            if !spans.is_empty() {
                let place = format!("xml:space=\"preserve\" x=\"{LEFT}\" y=\"{y}\"");
                drawing.put(format_args!("<text class=\"mono\" {place}>{spans}</text>"));
            }
        }
        drawing
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::default()];
        self.prime.chars().for_each(|character| push(&mut lines, 0, character));
        let first_sampled = lines.len() - 1;
        for character in self.sampled.trim_end().chars() {
            push(&mut lines, 1, character);
            // One more than is shown, so that the end is marked.
            if lines.len() > first_sampled + LINES + 1 {
                break;
            }
        }
        if first_sampled > PRIME_LINES {
            lines.splice(..first_sampled - PRIME_LINES, [["…".into(), String::new()]]);
        }
        if lines.len() > LINES {
            lines.truncate(LINES - 1);
            lines.push([String::new(), "…".into()]);
        }
        lines
    }
}

/// Adds a character to the prime (0) or the sample (1) of the last line. Where it does not fit, it begins a line,
/// together with the word that it belongs to.
fn push(lines: &mut Vec<Line>, part: usize, character: char) {
    let Some(line) = lines.last_mut().filter(|_| character != '\n') else {
        return lines.push(Line::default());
    };
    let column = line.iter().map(|text| text.width()).sum();
    let shown = shown(character, column);
    if column + shown.width() <= COLUMNS {
        line[part] += &shown;
        return;
    }
    let mut next = if character == ' ' { Line::default() } else { take_last_word(line) };
    next[part] += &self::shown(character, 0);
    lines.push(next);
}

/// Removes what follows the last space. A line without spaces is left as it is.
fn take_last_word([given, sampled]: &mut Line) -> Line {
    match (given.rfind(' '), sampled.rfind(' ')) {
        (_, Some(space)) => [String::new(), sampled.split_off(space + 1)],
        (Some(space), None) => [given.split_off(space + 1), std::mem::take(sampled)],
        (None, None) => Line::default(),
    }
}

/// A character as it is shown at a column: a tab as an arrow up to the next tab stop, and characters that cannot be
/// seen as escape sequences.
fn shown(character: char, column: usize) -> String {
    match character {
        '\t' => format!("→{}", " ".repeat(TAB - column % TAB - 1)),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => {
            character.escape_default().to_string()
        }
        _ if is_hidden(character) => character.escape_default().to_string(),
        _ => character.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(prime: &str, sampled: &str) -> Vec<[String; 2]> {
        TextSample { title: "t", prime, sampled }.lines()
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
