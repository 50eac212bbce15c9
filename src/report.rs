//! The report of a run: one HTML page that needs nothing beside it.

use std::fmt::Write;

use crate::plot::{Drawing, STYLE, escape};
use crate::version::VERSION;

/// Names of elements alone: the classes belong to the pictures.
const PAGE_STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1f2328;--text:#424a53;--faint:#57606a;--page:#fff;--panel:#f6f8fa;--edge:#d0d7de}\
@media screen and (prefers-color-scheme:dark){:root{--ink:#f0f6fc;--text:#c9d1d9;--faint:#9198a1;--page:#0d1117;--panel:#151b23;--edge:#30363d}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--page);color:var(--text);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}\
main{max-width:62rem;margin:0 auto;padding:clamp(1.25rem,4vw,3rem) clamp(1rem,4vw,2rem)}\
h1{margin:0 0 1.5rem;font-size:clamp(1.4rem,4vw,1.9rem);line-height:1.25;color:var(--ink);overflow-wrap:anywhere}\
h2{margin:2.75rem 0 .9rem;font-size:1.15rem;color:var(--ink)}\
p{margin:.35rem 0;font-size:1.05rem;color:var(--ink)}p:last-child{margin-bottom:1.25rem}\
ul{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:0;padding:0;list-style:none}\
li{padding:.75rem 1rem;background:var(--panel);border:1px solid var(--edge);border-radius:8px;overflow-wrap:anywhere}\
li span{display:block;color:var(--faint);font-size:.85rem}\
li strong{color:var(--ink);font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.5rem;margin:0}\
dt{color:var(--faint)}dd{margin:0;white-space:pre-line;overflow-wrap:anywhere}\
figure{margin:0 0 2rem}\
figure div,section div{overflow-x:auto}figure div{border:1px solid var(--edge);border-radius:8px}\
figure svg{display:block;max-width:100%;height:auto;margin:0 auto}\
figcaption{margin:.6rem .1rem 0;font-size:.95rem}\
section div+div{margin-top:1.75rem}\
table{min-width:min(100%,32rem);border-collapse:collapse;font-size:.95rem;font-variant-numeric:tabular-nums}\
caption{padding:0 0 .5rem;text-align:left}\
th,td{padding:.4rem 1rem .4rem 0;border-bottom:1px solid var(--edge);text-align:left;vertical-align:baseline}\
th:last-child,td:last-child{padding-right:0}\
th{color:var(--faint);font-weight:400}[align]{text-align:right;white-space:nowrap}\
pre{margin:0;padding:.9rem 1rem;background:var(--panel);border:1px solid var(--edge);border-radius:8px;white-space:pre-wrap;\
overflow-wrap:anywhere;font:.9rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
code{font:inherit;user-select:all}\
footer{margin-top:3rem;color:var(--faint);font-size:.85rem}\
@media(max-width:34rem){dl{display:block}dt{margin-top:.6rem}}\
@page{margin:16mm}\
@media print{body{font-size:10.5pt}main{max-width:none;padding:0}h2{break-after:avoid}figure,table,ul,pre{break-inside:avoid}\
figure div,section div{overflow:visible}figure div{border:0}figure svg{max-height:220mm}}";

/// What a report says, all of it as plain text.
pub struct Report {
    /// The heading of the page.
    pub title: String,
    /// Whether the network beats what needs none, a sentence each.
    pub verdict: Vec<String>,
    /// The results in a few names and numbers.
    pub key_figures: Vec<(String, String)>,
    /// Device, data, model and the like; a text may have several lines.
    pub facts: Vec<(String, String)>,
    /// The pictures, in the order of the page.
    pub figures: Vec<Drawing>,
    /// The tables, in the order of the page.
    pub tables: Vec<Table>,
    /// What repeats the run.
    pub command: String,
}

/// Results in rows.
pub struct Table {
    /// The caption above the table.
    pub caption: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// The page. It has no script and asks for nothing outside itself, and tells the browser to hold it to that.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
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

/// As a sentence begins.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// A part of the page, unless it is empty.
fn put(html: &mut String, heading: &str, [begin, end]: [&str; 2], parts: impl Iterator<Item = String>) {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return;
    }
    let heading = if heading.is_empty() { String::new() } else { format!("<h2>{heading}</h2>\n") };
    let _ = writeln!(html, "<section>\n{heading}{begin}\n{}\n{end}\n</section>", parts.join("\n"));
}

/// A small screen shows the whole picture.
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

/// Whether a cell is aligned with the numbers above and below it.
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
            figures: vec![Lengths(&[3, 4, 4]).draw(text), Lengths(&[3]).draw(text)],
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
