//! A picture as SVG text: a file, or part of a page that contains the style.

use std::fmt::{Display, Write};

use unicode_width::UnicodeWidthStr;

use crate::format::{one_line, visible};

/// The colours and fonts of all pictures, by class. Printers, and viewers without media queries, use the light colours.
pub const STYLE: &str = include_str!("style.css");

/// The width of a chart.
pub(super) const WIDTH: f64 = 880.0;

/// The margin at the right edge.
pub(super) const RIGHT: f64 = 24.0;

/// Font sizes in pixels: of the classes `title` and `small`, and of text without either.
const TITLE_SIZE: f64 = 16.0;
pub(super) const SMALL_SIZE: f64 = 11.0;
pub(super) const TEXT_SIZE: f64 = 13.0;

/// The part of a text that is placed at the given x.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG picture with a title and a description of what to look for. Coordinates are in pixels.
pub struct Drawing {
    title: String,
    description: String,
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    /// An empty page of `[width, height]` with its title at `left`.
    pub fn new(title: &str, description: &str, [width, height]: [f64; 2], left: f64) -> Self {
        let (title, description) = (title.to_owned(), description.to_owned());
        let mut drawing = Self { title, description, width, height, body: String::new() };
        drawing.put("<rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"6\"/>");
        let title = fitted(&drawing.title, width - left - RIGHT, TITLE_SIZE);
        drawing.text("title", [left, 30.0], Anchor::Start, &title);
        drawing
    }

    /// The text alternative of the picture.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The same picture with another one below it.
    #[must_use]
    pub(in crate::plot) fn above(mut self, below: Self) -> Self {
        let height = self.height;
        self.put(format_args!("<g transform=\"translate(0 {height:.1})\">"));
        self.body += &below.body;
        self.put("</g>");
        self.description = format!("{} {}", self.description, below.description);
        (self.width, self.height) = (self.width.max(below.width), self.height + below.height);
        self
    }

    /// Adds SVG elements.
    pub fn put(&mut self, element: impl Display) {
        let _ = writeln!(self.body, "{element}");
    }

    /// Adds a text at a point. `class` may be several classes or empty.
    pub fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.put(format_args!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{}</text>", escape(text)));
    }

    /// Adds a text that rises at 45° and ends at a point.
    pub fn slanted_text(&mut self, class: &str, [x, y]: [f64; 2], text: &str) {
        self.put(format_args!("<g transform=\"translate({x:.1} {y:.1}) rotate(-45)\">"));
        self.text(class, [0.0, 0.0], Anchor::End, text);
        self.put("</g>");
    }

    /// Adds a straight line between two points.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let ends = format!("x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y1:.1}\" y2=\"{y2:.1}\"");
        self.put(format_args!("<line class=\"{class}\" {ends}/>"));
    }

    /// Adds a rectangle of `[width, height]` with its top left corner at `[x, y]`. Nothing is drawn below an opacity of
    /// 0.02, which cannot be seen.
    pub fn rectangle(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2], opacity: f64) {
        let opacity = match opacity {
            1.0.. => String::new(),
            0.02.. => format!(" fill-opacity=\"{opacity:.2}\""),
            _ => return,
        };
        let place = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
        self.put(format_args!("<rect class=\"{class}\" {place}{opacity}/>"));
    }

    /// Adds a dot, unless its place is not finite.
    pub fn circle(&mut self, class: &str, [x, y]: [f64; 2]) {
        if x.is_finite() && y.is_finite() {
            self.put(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"));
        }
    }

    /// Adds a line through points. Points that are not finite interrupt it; a single point becomes a dash.
    pub fn path(&mut self, class: &str, points: impl IntoIterator<Item = [f64; 2]>) {
        let points: Vec<[f64; 2]> = points.into_iter().collect();
        let runs = points.split(|point| !point.iter().all(|number| number.is_finite()));
        self.put_path(
            class,
            runs.map(|run| match run {
                [[x, y]] => format!("M{:.1} {y:.1}h6", x - 3.0),
                run => polyline(run),
            }),
        );
    }

    /// Adds the area between two heights at each x. Points that are not finite interrupt it.
    pub fn area(&mut self, class: &str, points: impl IntoIterator<Item = [f64; 3]>) {
        let points: Vec<[f64; 3]> = points.into_iter().collect();
        let runs = points.split(|point| !point.iter().all(|number| number.is_finite()));
        self.put_path(
            &format!("area {class}"),
            runs.filter(|run| !run.is_empty()).map(|run| {
                let there = run.iter().map(|[x, low, _]| [*x, *low]);
                let back = run.iter().rev().map(|[x, _, high]| [*x, *high]);
                polyline(&there.chain(back).collect::<Vec<_>>()) + "Z"
            }),
        );
    }

    fn put_path(&mut self, class: &str, parts: impl Iterator<Item = String>) {
        let path: String = parts.collect();
        if !path.is_empty() {
            self.put(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        }
    }

    /// The picture as a file, which shrinks to fit a narrow window.
    pub fn file(&self) -> String {
        let attributes = "xmlns=\"http://www.w3.org/2000/svg\" style=\"max-width:100%;height:auto\"";
        self.svg(attributes, &format!("<style>\n{STYLE}</style>\n"))
    }

    /// The picture as part of a page that contains [`STYLE`].
    pub fn inline(&self) -> String {
        self.svg("", "")
    }

    fn svg(&self, attributes: &str, style: &str) -> String {
        let Self { width, height, body, .. } = self;
        let (title, description) = (escape(&self.title), escape(&self.description));
        format!(
            "<svg {attributes} viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             {style}<title>{title}</title>\n<desc>{description}</desc>\n{body}</svg>\n"
        )
    }
}

/// The path data of a line through points.
fn polyline(points: &[[f64; 2]]) -> String {
    let to = |(index, [x, y]): (usize, &[f64; 2])| format!("{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    points.iter().enumerate().map(to).collect()
}

/// The width of a text in pixels, estimated: a little more than it takes in most fonts.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    0.555 * size * text.width() as f64
}

/// The text, shortened to fit by an ellipsis in the middle: names with a common beginning often differ at the end.
pub(super) fn fitted(text: &str, width: f64, size: f64) -> String {
    let text = one_line(text);
    if text_width(&text, size) <= width {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    // Characters at both ends in turn, as long as they fit.
    let (mut kept, mut free) = (0, width - text_width("…", size));
    while kept + 1 < chars.len() {
        let next = if kept % 2 == 0 { kept / 2 } else { chars.len() - 1 - kept / 2 };
        free -= text_width(chars[next].encode_utf8(&mut [0; 4]), size);
        if free < 0.0 {
            break;
        }
        kept += 1;
    }
    let (first, last) = (&chars[..kept.div_ceil(2)], &chars[chars.len() - kept / 2..]);
    first.iter().chain(&['…']).chain(last).collect()
}

/// Text for XML and HTML. Characters that neither may contain, and those that change the direction of writing, are
/// shown as escape sequences.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leaves_out_what_is_not_finite() {
        let mut drawing = Drawing::new("t", "d", [100.0, 100.0], 10.0);
        let points = [[0.0, 1.0], [1.0, 2.0], [2.0, f64::NAN], [3.0, 4.0], [4.0, f64::INFINITY], [f64::NAN, 1.0]];
        drawing.path("blue", points);
        assert!(drawing.file().contains("d=\"M0.0 1.0L1.0 2.0M0.0 4.0h6\""), "{}", drawing.file());
        drawing.path("orange", [[f64::NAN, f64::NAN]]);
        assert!(!drawing.file().contains("class=\"orange\""));
    }

    #[test]
    fn an_area_goes_there_and_back_and_leaves_out_what_is_not_finite() {
        let mut drawing = Drawing::new("t", "d", [100.0, 100.0], 10.0);
        let points = [[0.0, 1.0, 2.0], [1.0, 3.0, 4.0], [2.0, f64::NAN, 1.0], [3.0, 5.0, 6.0]];
        drawing.area("blue", points);
        let path = "class=\"area blue\" d=\"M0.0 1.0L1.0 3.0L1.0 4.0L0.0 2.0ZM3.0 5.0L3.0 6.0Z\"";
        assert!(drawing.file().contains(path), "{}", drawing.file());
    }

    #[test]
    fn a_text_that_has_no_room_keeps_both_its_ends() {
        assert_eq!(fitted("short", 100.0, 13.0), "short");
        assert_eq!(fitted("a_long_prefix_first", 60.0, 13.0), "a_lo…rst");
        assert_eq!(fitted("四文字熟語四文字熟語", 60.0, 13.0), "四文…語");
        assert_eq!(fitted("anything", 0.0, 13.0), "…");
    }

    #[test]
    fn what_xml_forbids_does_not_get_into_a_picture() {
        assert_eq!(
            escape("<a href=\"x\">&\u{1b}\u{0}\u{ffff}\n"),
            "&lt;a href=&quot;x&quot;&gt;&amp;\\u{1b}\\u{0}\\u{ffff}\n"
        );
        assert_eq!(escape("a\u{202e}b\u{2067}\u{9b}"), "a\\u{202e}b\\u{2067}\\u{9b}");
    }
}
