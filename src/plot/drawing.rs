//! A picture as SVG text: a file of its own, or a part of a page that has the style already.

use std::fmt::{Display, Write};

use crate::format::{one_line, visible};

/// Colours by class, the same for every picture, so that many can stand in one page. A viewer that knows no media
/// queries shows the light ones, and so does paper.
pub const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#57606a}\
.title{font-size:16px;font-weight:600}.title,.name{fill:#1f2328}.small{font-size:11px}.tiny{font-size:9px}\
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
.given{fill:#0550ae}.drawn{fill:#1f2328}\
.halo{fill:#1f2328;stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}\
.page{fill:#fff}.band{fill:#f3f5f8}.grid{stroke:#e4e8ec}.axis{stroke:#8c959f}\
path{fill:none;stroke-linejoin:round;stroke-linecap:round}\
.ink{stroke:#1f2328;stroke-width:1.6}.blue{stroke:#0969da;stroke-width:2}.orange{stroke:#c4570d;stroke-width:1.8}\
.green{stroke:#1a7f37;stroke-width:1.8}.violet{stroke:#8250df;stroke-width:1.8}\
.fine{stroke-width:1.1}.dotted{stroke-width:1.5;stroke-dasharray:.1 4.5}\
.thin{stroke:#6e7781;stroke-width:1.2;stroke-dasharray:4 3}.faint{stroke:#9ec5f5;stroke-width:1}\
.bar{fill:#0969da}path.area{stroke:none;fill:#0969da;fill-opacity:.16}path.area.orange{fill:#c4570d}\
path.area.beyond{fill-opacity:.05;stroke:#0969da;stroke-opacity:.7;stroke-width:1;stroke-dasharray:3 3}circle.orange{fill:#c4570d;stroke:#fff}circle.blue{fill:#0969da;stroke:#fff}\
.right{fill:#0550ae}.wrong{fill:#953800}.black{fill:#1f2328}.missed{fill:#d0d7de}.low{fill:#000}.high{fill:#fff}\
@media screen and (prefers-color-scheme:dark){text{fill:#9198a1}.title,.name{fill:#f0f6fc}\
.given{fill:#79c0ff}.drawn{fill:#f0f6fc}.halo{fill:#f0f6fc;stroke:#0d1117}\
.page{fill:#0d1117}.band{fill:#171d26}.grid{stroke:#262c36}.axis{stroke:#656c76}\
.ink{stroke:#f0f6fc}.blue{stroke:#4493f8}.orange{stroke:#f0883e}.green{stroke:#3fb950}.violet{stroke:#ab7df8}.thin{stroke:#8d96a0}.faint{stroke:#1f4a86}\
.bar{fill:#4493f8}path.area{fill:#4493f8;fill-opacity:.28}path.area.orange{fill:#f0883e}\
path.area.beyond{fill-opacity:.08;stroke:#4493f8}circle.orange{fill:#f0883e;stroke:#0d1117}circle.blue{fill:#4493f8;stroke:#0d1117}\
.right{fill:#4493f8}.wrong{fill:#e2762e}.black{fill:#f0f6fc}.missed{fill:#3d444d}.low{fill:#fff}.high{fill:#000}}";

/// The width of a picture that could have any.
pub(super) const WIDTH: f64 = 880.0;

/// Free to the right of everything.
pub(super) const RIGHT: f64 = 24.0;

/// Which end of a text stands at the given x.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture with a title, and a sentence that tells a newcomer what to look for.
pub struct Drawing {
    title: String,
    description: String,
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    /// An empty page of so many pixels, its title above `left`.
    pub fn new(title: &str, description: &str, [width, height]: [f64; 2], left: f64) -> Self {
        let (title, description) = (title.to_owned(), description.to_owned());
        let mut drawing = Self { title, description, width, height, body: String::new() };
        drawing.put("<rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"6\"/>");
        let title = fitted(&drawing.title, width - left - RIGHT, TITLE_SIZE);
        drawing.text(left, 30.0, "title", Anchor::Start, &title);
        drawing
    }

    /// The text alternative of the picture.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Adds elements.
    pub fn put(&mut self, element: impl Display) {
        let _ = writeln!(self.body, "{element}");
    }

    /// `class` may be several or none.
    pub fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (class, text) = (attribute("class", class), escape(text));
        self.put(format_args!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{text}</text>"));
    }

    /// Adds a line from one point to another, in pixels.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let ends = format!("x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y1:.1}\" y2=\"{y2:.1}\"");
        self.put(format_args!("<line class=\"{class}\" {ends}/>"));
    }

    /// A rectangle at `[x, y]` of `[width, height]`.
    pub fn rectangle(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2]) {
        let place = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
        self.put(format_args!("<rect class=\"{class}\" {place}/>"));
    }

    /// A line through the points that leaves out what is not finite; a point alone becomes a dash.
    pub fn path(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<(f64, f64)> = points.collect();
        let mut path = String::new();
        for run in points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
            if let [(x, y)] = run {
                let _ = write!(path, "M{:.1} {y:.1}h6", x - 3.0);
                continue;
            }
            for (index, (x, y)) in run.iter().enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
            }
        }
        if !path.is_empty() {
            self.put(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        }
    }

    /// What lies between two heights over each x; what is not finite is left out.
    pub fn area(&mut self, class: &str, points: impl Iterator<Item = (f64, [f64; 2])>) {
        let points: Vec<(f64, [f64; 2])> = points.collect();
        let mut path = String::new();
        for run in points.split(|(x, y)| ![*x, y[0], y[1]].iter().all(|number| number.is_finite())) {
            let edges = run.iter().map(|(x, y)| (x, y[0])).chain(run.iter().rev().map(|(x, y)| (x, y[1])));
            for (index, (x, y)) in edges.enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
            }
            path.push_str(if run.is_empty() { "" } else { "Z" });
        }
        if !path.is_empty() {
            self.put(format_args!("<path class=\"area {class}\" d=\"{path}\"/>"));
        }
    }

    /// The picture as a file. A window that is narrower shows all of it.
    pub fn file(&self) -> String {
        let Self { width, height, .. } = self;
        self.wrapped(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" style=\"max-width:100%;height:auto\">\n<style>{STYLE}</style>"
        ))
    }

    /// The picture as a part of a page that brings [`STYLE`].
    pub fn inline(&self) -> String {
        let Self { width, height, .. } = self;
        self.wrapped(&format!(
            "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">"
        ))
    }

    fn wrapped(&self, begin: &str) -> String {
        let (title, description) = (escape(&self.title), escape(&self.description));
        format!("{begin}\n<title>{title}</title>\n<desc>{description}</desc>\n{}</svg>\n", self.body)
    }
}

/// The size of titles and of what has no class, in pixels.
pub(super) const TITLE_SIZE: f64 = 16.0;
pub(super) const TEXT_SIZE: f64 = 13.0;

fn attribute(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!(" {name}=\"{value}\"") }
}

/// No font is at hand to measure with: this is a little more than most take.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    width_of(text.chars().map(columns).sum(), size)
}

fn width_of(columns: usize, size: f64) -> f64 {
    0.555 * size * columns as f64
}

/// The text, or as much of both its ends as has room, with an ellipsis between them: names that begin alike often
/// differ at the end.
pub(super) fn fitted(text: &str, width: f64, size: f64) -> String {
    // As it is drawn.
    let text = one_line(text);
    if text_width(&text, size) <= width {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    // As many as fit: one at a time from both ends, so that what no picture has room for is not looked at.
    let (mut kept, mut taken) = (0, columns('…'));
    while kept + 1 < chars.len() {
        let next = if kept % 2 == 0 { kept / 2 } else { chars.len() - kept / 2 - 1 };
        taken += columns(chars[next]);
        if width_of(taken, size) > width {
            break;
        }
        kept += 1;
    }
    let end = chars.len() - kept / 2;
    chars[..kept - kept / 2].iter().chain(&['…']).chain(&chars[end..]).collect()
}

/// How many columns a character takes in a monospaced font: none where it joins the one before, two for the scripts of
/// East Asia and for emoji. The ranges are the large ones of Unicode's Annex 11.
pub(super) fn columns(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Text as XML and HTML have it; what neither may contain, and what turns the order of writing around, is shown as text.
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
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0), (4.0, f64::INFINITY), (f64::NAN, 1.0)];
        drawing.path("blue", points.into_iter());
        assert!(drawing.file().contains("d=\"M0.0 1.0L1.0 2.0M0.0 4.0h6\""), "{}", drawing.file());
        drawing.path("orange", [(f64::NAN, f64::NAN)].into_iter());
        assert!(!drawing.file().contains("class=\"orange\""));
    }

    #[test]
    fn an_area_goes_there_and_back_and_leaves_out_what_is_not_finite() {
        let mut drawing = Drawing::new("t", "d", [100.0, 100.0], 10.0);
        let points = [(0.0, [1.0, 2.0]), (1.0, [3.0, 4.0]), (2.0, [f64::NAN, 1.0]), (3.0, [5.0, 6.0])];
        drawing.area("blue", points.into_iter());
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
