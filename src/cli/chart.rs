//! Line charts as SVG text, legible on a light and on a dark page.

use std::fmt::Write;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;

/// Colours by class. A viewer that knows no media queries shows the light ones.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#57606a}\
.title{font-size:16px;font-weight:600;fill:#1f2328}.page{fill:#fff}.band{fill:#f3f5f8}.grid{stroke:#e4e8ec}.axis{stroke:#8c959f}\
path{fill:none;stroke-linejoin:round;stroke-linecap:round}\
.ink{stroke:#1f2328;stroke-width:1.6}.blue{stroke:#0969da;stroke-width:2}.orange{stroke:#c4570d;stroke-width:1.8}\
.thin{stroke:#8c959f;stroke-width:1.1;stroke-dasharray:4 3}.faint{stroke:#9ec5f5;stroke-width:1}\
@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#f0f6fc}.page{fill:#0d1117}.band{fill:#171d26}.grid{stroke:#262c36}\
.axis{stroke:#656c76}.ink{stroke:#f0f6fc}.blue{stroke:#4493f8}.orange{stroke:#f0883e}.thin{stroke:#7d8590}.faint{stroke:#1f4a86}}";

/// A line of the chart.
pub(crate) struct Line {
    /// What the legend calls it.
    pub(crate) name: String,
    /// `ink`, `blue`, `orange`, `thin` or `faint`.
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A stretch of the x axis with a name.
pub(crate) struct Band {
    pub(crate) name: String,
    pub(crate) from: f64,
    pub(crate) until: f64,
}

pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x_name: String,
    pub(crate) y_name: String,
    /// Whether y is drawn by its logarithm; all of it must be above 0.
    pub(crate) logarithmic: bool,
    /// Where x counts rows: their labels.
    pub(crate) x_labels: Option<Vec<String>>,
    /// Whether x begins at 0 whatever the first point.
    pub(crate) x_from_0: bool,
    pub(crate) bands: Vec<Band>,
    pub(crate) lines: Vec<Line>,
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let (x, y) = (self.x_axis(), self.y_axis());
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let to_x = |value: f64| LEFT + (value - x.from) / (x.until - x.from) * (right - LEFT);
        let height = |value: f64| if self.logarithmic { value.log10() } else { value };
        let to_y = |value: f64| bottom - (height(value) - y.from) / (y.until - y.from) * (bottom - TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"30\">{title}</text>\n",
            title = escape(&self.title),
        );
        let mut put = |text: String| svg.push_str(&text);
        for (index, band) in self.bands.iter().enumerate() {
            let (from, until) = (to_x(band.from), to_x(band.until));
            // Every other one is shaded, so that two neighbours differ.
            if index % 2 == 1 {
                let width = until - from;
                put(format!(
                    "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>\n",
                    bottom - TOP
                ));
            }
            put(format!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n", from + 6.0, TOP + 16.0, escape(&band.name)));
        }
        for tick in &y.ticks {
            let at = to_y(tick.value);
            put(format!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n"));
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 8.0,
                at + 4.5,
                tick.text
            ));
        }
        for tick in &x.ticks {
            let at = to_x(tick.value);
            put(format!(
                "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\n",
                bottom + 5.0
            ));
            let text = escape(&tick.text);
            let middle = at.min(WIDTH - 4.0 - text_width(&tick.text) / 2.0);
            put(format!("<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>\n", bottom + 20.0));
        }
        put(format!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n"));
        put(format!(
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            HEIGHT - 14.0,
            escape(&self.x_name)
        ));
        put(format!("<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>\n", TOP - 12.0, escape(&self.y_name)));
        for line in &self.lines {
            let mut path = String::new();
            // A point alone would be invisible.
            if let [(x, y)] = line.points[..] {
                let _ = write!(path, "M{:.1} {:.1}h-12", to_x(x), to_y(y));
            }
            for (index, (x, y)) in line.points.iter().enumerate().filter(|_| line.points.len() > 1) {
                let command = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", to_x(*x), to_y(*y));
            }
            put(format!("<path class=\"{}\" d=\"{path}\"/>\n", line.class));
        }
        svg.push_str(&self.legend());
        svg.push_str("</svg>\n");
        svg
    }

    /// Right of the y axis' name, flush with the right edge.
    fn legend(&self) -> String {
        let width = |line: &Line| 34.0 + text_width(&line.name) + 18.0;
        let mut at = WIDTH - RIGHT + 10.0 - self.lines.iter().map(width).sum::<f64>();
        let (y, mut svg) = (TOP - 16.0, String::new());
        for line in &self.lines {
            let (class, name) = (line.class, escape(&line.name));
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{at:.1} {y:.1}h24\"/>");
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{name}</text>", at + 32.0, y + 4.5);
            at += width(line);
        }
        svg
    }

    fn x_axis(&self) -> Axis {
        let (from, until) = extent(self.lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x));
        let from = if self.x_from_0 { 0.0 } else { from };
        let ticks = match &self.x_labels {
            None => round_ticks(from, until, 9),
            Some(labels) => {
                let widest = labels.iter().map(|label| text_width(label)).fold(40.0, f64::max);
                let count = ((WIDTH - LEFT - RIGHT) / (widest + 20.0)).clamp(1.0, 7.0);
                let step = round_step(until - from, count as usize).max(1.0);
                let rows = (from / step).ceil() as usize..=(until / step).floor() as usize;
                let tick = |n: usize| {
                    let row = (n as f64 * step) as usize;
                    labels.get(row).map(|text| Tick { value: row as f64, text: text.clone() })
                };
                rows.filter_map(tick).collect()
            }
        };
        Axis { from, until, ticks }
    }

    fn y_axis(&self) -> Axis {
        let values = self.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
        if self.logarithmic {
            let (from, until) = extent(values.map(f64::log10));
            let (from, until) = (from - 0.03 * (until - from), until + 0.05 * (until - from));
            return Axis { from, until, ticks: logarithmic_ticks(from, until) };
        }
        let (from, until) = extent(values);
        let span = until - from;
        // Where 0 is not far off, the axis shows it. The names of the bands need room above the lines.
        let from = if (0.0..0.5 * span).contains(&from) { 0.0 } else { from - 0.05 * span };
        let until = until + if self.bands.is_empty() { 0.05 } else { 0.12 } * span;
        Axis { from, until, ticks: round_ticks(from, until, 6) }
    }
}

struct Axis {
    from: f64,
    until: f64,
    ticks: Vec<Tick>,
}

struct Tick {
    value: f64,
    text: String,
}

/// The least and the greatest finite value, apart from each other.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (from, until) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    match from <= until {
        true if from < until => (from, until),
        true => (from - 0.5, until + 0.5),
        false => (0.0, 1.0),
    }
}

/// 1, 2 or 5 times a power of ten, so that at most `count` steps fit in `span`.
fn round_step(span: f64, count: usize) -> f64 {
    let least = span / count as f64;
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

fn round_ticks(from: f64, until: f64, count: usize) -> Vec<Tick> {
    let step = round_step(until - from, count);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let multiples = (from / step).ceil() as i64..=(until / step).floor() as i64;
    let tick = |n: i64| Tick { value: n as f64 * step, text: minus(format!("{:.digits$}", n as f64 * step)) };
    multiples.map(tick).collect()
}

/// At 1, 2 and 5 times the powers of ten, or at the powers alone where that would be many. `from` and `until` are
/// logarithms.
fn logarithmic_ticks(from: f64, until: f64) -> Vec<Tick> {
    let factors: &[f64] = if until - from > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = from.floor() as i32..=until.ceil() as i32;
    let values = powers.flat_map(|power| factors.iter().map(move |factor| (*factor, power)));
    let tick = |(factor, power): (f64, i32)| {
        let value = factor * 10f64.powi(power);
        let text = match power {
            -4..=-1 => format!("{value:.*}", power.unsigned_abs() as usize),
            0..=4 => format!("{value:.0}"),
            _ => format!("{factor:.0}e{power}"),
        };
        (from..=until).contains(&value.log10()).then_some(Tick { value, text })
    };
    values.filter_map(tick).collect()
}

/// No font is at hand to measure with: this is a little more than most take at 13 px.
fn text_width(text: &str) -> f64 {
    7.2 * text.chars().count() as f64
}

fn minus(text: String) -> String {
    text.replace('-', "−")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let texts = |ticks: Vec<Tick>| ticks.into_iter().map(|tick| tick.text).collect::<Vec<_>>();
        assert_eq!(
            texts(round_ticks(1921.0, 2008.0, 9)),
            ["1930", "1940", "1950", "1960", "1970", "1980", "1990", "2000"]
        );
        assert_eq!(texts(round_ticks(-0.3, 0.31, 6)), ["−0.2", "0.0", "0.2"].map(String::from).to_vec());
        assert_eq!(texts(logarithmic_ticks(-1.5, 0.1)), ["0.05", "0.1", "0.2", "0.5", "1"]);
    }
}
