//! The report of a run: one HTML page without external files.

use std::fmt::Write;

use crate::plot::{Drawing, STYLE, escape};
use crate::version::VERSION;

/// The style of the page without its pictures: names of elements only, as the classes belong to the pictures.
const PAGE_STYLE: &str = include_str!("report.css");

/// The contents of a report as plain text.
pub struct Report {
    /// The heading of the page.
    pub title: String,
    /// Whether the network is worth it, and comparisons with the baselines, a sentence each.
    pub verdict: Vec<String>,
    /// The names and values of the main results.
    pub key_figures: Vec<(String, String)>,
    /// The names and texts of the settings: device, data, model and so on. A text may have several lines.
    pub facts: Vec<(String, String)>,
    /// The pictures, in the order of the page.
    pub figures: Vec<Drawing>,
    /// The tables, in the order of the page.
    pub tables: Vec<Table>,
    /// The command that repeats the run.
    pub command: String,
}

/// A table of results.
pub struct Table {
    /// The caption above the table.
    pub caption: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// The page. It has no script and loads nothing, and its content security policy forbids both.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        let key_figure = |(name, value): &(String, String)| {
            format!("<li><span>{}</span><strong>{}</strong></li>", escape(name), escape(value))
        };
        let fact = |(name, text): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(text));
        let sentence = |text: &String| format!("<p>{}.</p>", escape(&capitalised(text)));
        put(&mut html, "", ["", ""], self.verdict.iter().map(sentence));
        put(&mut html, "", ["<ul>", "</ul>"], self.key_figures.iter().map(key_figure));
        put(&mut html, "Run", ["<dl>", "</dl>"], self.facts.iter().map(fact));
        put(&mut html, "Pictures", ["", ""], self.figures.iter().map(figure));
        put(&mut html, "Results", ["", ""], self.tables.iter().map(Table::html));
        let command = Some(format!("<pre><code>{}</code></pre>", escape(&self.command)));
        put(&mut html, "Repeat the run", ["", ""], command.into_iter());
        let _ = write!(html, "<footer>bptt {VERSION}</footer>\n</main>\n</body>\n</html>\n");
        html
    }
}

/// The text with a capital letter at its beginning.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Adds a section of the page, unless it has no parts.
fn put(html: &mut String, heading: &str, [begin, end]: [&str; 2], parts: impl Iterator<Item = String>) {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return;
    }
    let heading = if heading.is_empty() { String::new() } else { format!("<h2>{heading}</h2>\n") };
    let _ = writeln!(html, "<section>\n{heading}{begin}\n{}\n{end}\n</section>", parts.join("\n"));
}

/// A picture with its description as the caption.
fn figure(drawing: &Drawing) -> String {
    let (svg, caption) = (drawing.inline(), escape(drawing.description()));
    format!("<figure>\n<div>\n{svg}</div>\n<figcaption>{caption}</figcaption>\n</figure>")
}

impl Table {
    fn html(&self) -> String {
        let column = |index: usize| self.rows.iter().filter_map(move |row| row.get(index));
        let numbers: Vec<bool> = (0..self.columns.len())
            .map(|index| column(index).all(|cell| is_number(cell)) && !self.rows.is_empty())
            .collect();
        let cells = |tag: &str, row: &[String]| {
            let cell = |(index, text): (usize, &String)| {
                let align = if numbers.get(index) == Some(&true) { " align=\"right\"" } else { "" };
                format!("<{tag}{align}>{}</{tag}>", escape(text))
            };
            format!("<tr>{}</tr>", row.iter().enumerate().map(cell).collect::<String>())
        };
        let rows: Vec<String> = self.rows.iter().map(|row| cells("td", row)).collect();
        let (caption, head) = (escape(&self.caption), cells("th", &self.columns));
        format!(
            "<div tabindex=\"0\">\n<table>\n<caption>{caption}</caption>\n<thead>{head}</thead>\n<tbody>\n{}\n</tbody>\n</table>\n</div>",
            rows.join("\n")
        )
    }
}

/// Whether a cell contains a number or stands for one.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['−', '-', '<', '>', '+']);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || ".,%e−- ×⁰¹²³⁴⁵⁶⁷⁸⁹⁻".contains(c))
        || ["", "–", "NaN"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Lengths;
    use crate::plot::tests::check_markup;

    fn report(text: &str) -> Report {
        Report {
            title: text.into(),
            verdict: vec![text.into()],
            key_figures: vec![(text.into(), text.into())],
            facts: vec![(text.into(), format!("{text}\n{text}"))],
            figures: vec![Lengths::from_iter([3, 4, 4]).draw(text), Lengths::from_iter([3]).draw(text)],
            tables: vec![Table { caption: text.into(), columns: vec![text.into()], rows: vec![vec![text.into()]] }],
            command: text.into(),
        }
    }

    #[test]
    fn no_text_can_bring_markup_into_the_page() {
        let html = report("<script src=\"x\">alert(1)</script>&").html();
        check_markup(&html);
        assert!(!html.contains("<script"), "{html}");
    }

    #[test]
    fn the_page_needs_nothing_beside_it_and_holds_the_style_of_its_pictures_once() {
        let html = report("run").html();
        let outside = ["<script", "http:", "https:", "src=", "url(", "@import", "<link", "href"];
        outside.iter().for_each(|outside| assert!(!html.contains(outside), "{outside}"));
        assert_eq!((html.matches("<svg").count(), html.matches(STYLE).count()), (2, 1));
        assert!(html.contains("default-src 'none'"));
    }

    #[test]
    fn what_is_empty_has_no_heading() {
        let (key_figures, facts, figures, tables) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let html =
            Report { title: "t".into(), verdict: Vec::new(), key_figures, facts, figures, tables, command: "c".into() }
                .html();
        check_markup(&html);
        assert!(!html.contains("<ul>") && !html.contains("Pictures") && html.contains("Repeat the run"));
    }

    #[test]
    fn columns_of_numbers_are_aligned_right_and_no_others() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let rows = vec![row(["a", "1,234", "1921–1955"]), row(["b", "−0.5", "7"]), row(["c", "–", "8"])];
        let html = Table { caption: "t".into(), columns: row(["x", "y", "z"]), rows }.html();
        assert!(html.contains("<tr><td>a</td><td align=\"right\">1,234</td><td>1921–1955</td></tr>"), "{html}");
    }
}
