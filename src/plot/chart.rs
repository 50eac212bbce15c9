//! Charts of lines and bars, one panel above another over the same x axis.

use super::axis::{Axis, Tick, extent, logarithmic_ticks, round_step, round_ticks};
use super::drawing::{Anchor, Drawing, RIGHT, TEXT_SIZE, WIDTH, fitted, text_width};

/// Between the title's place and the first panel's names.
const HEAD: f64 = 44.0;
/// A row of names above a panel.
const ROW: f64 = 20.0;
/// Free between two labels of x.
const GAP: f64 = 12.0;
/// Below the last panel: the labels of x and its name.
const FOOT: f64 = 56.0;
/// The panel of a chart that has one.
pub(super) const TALL: f64 = 288.0;

/// A line of the chart.
pub(super) struct Line {
    /// What the legend calls it; nothing where it does not.
    pub(super) name: String,
    /// `ink`, `blue`, `orange`, `thin` or `faint`.
    pub(super) class: &'static str,
    /// What is not finite is left out, and so is what has no logarithm where y is drawn by it.
    pub(super) points: Vec<(f64, f64)>,
}

impl Line {
    pub(super) fn new(name: impl Into<String>, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), class, points }
    }
}

/// What lies between two heights.
pub(super) struct Area {
    /// What the legend calls it; nothing where it does not.
    pub(super) name: String,
    /// `blue` or `orange`.
    pub(super) class: &'static str,
    /// x, and the lower and the upper height there. What is not finite is left out.
    pub(super) points: Vec<(f64, [f64; 2])>,
}

/// A point, and a text beside it unless that is empty.
pub(super) struct Dot {
    pub(super) text: String,
    /// `blue` or `orange`.
    pub(super) class: &'static str,
    pub(super) at: (f64, f64),
}

/// A bar from 0 to `height`.
pub(super) struct Bar {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) height: f64,
}

/// A stretch of the x axis with a name.
pub(super) struct Band {
    pub(super) name: String,
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) shaded: bool,
}

pub(super) struct Panel {
    pub(super) y_name: String,
    /// In pixels.
    pub(super) height: f64,
    /// Whether y is drawn by its logarithm.
    pub(super) logarithmic: bool,
    /// Whether y begins at 0 where it is not, however far off that is.
    pub(super) y_from_0: bool,
    pub(super) bands: Vec<Band>,
    pub(super) bars: Vec<Bar>,
    /// Below the lines.
    pub(super) areas: Vec<Area>,
    pub(super) lines: Vec<Line>,
    pub(super) dots: Vec<Dot>,
}

impl Panel {
    /// A linear panel with lines alone.
    pub(super) fn new(y_name: impl Into<String>, height: f64, lines: Vec<Line>) -> Self {
        let (bands, bars, areas, dots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { y_name: y_name.into(), height, logarithmic: false, y_from_0: false, bands, bars, areas, lines, dots }
    }
}

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) x_name: String,
    /// Where x counts rows: their labels.
    pub(super) x_labels: Option<Vec<String>>,
    /// Whether there is nothing between the whole numbers of x.
    pub(super) x_counts: bool,
    /// Whether x begins at 0 whatever the first point.
    pub(super) x_from_0: bool,
    pub(super) panels: Vec<Panel>,
}

impl Chart {
    pub(super) fn draw(&self) -> Drawing {
        let axes: Vec<Axis> = self.panels.iter().map(Panel::y_axis).collect();
        let widest = axes.iter().flat_map(|axis| &axis.ticks).map(|tick| text_width(&tick.text, TEXT_SIZE));
        let left = widest.fold(40.0, f64::max).ceil() + 24.0;
        let x = self.x_axis(left);
        let heads: Vec<Vec<Vec<Entry<'_>>>> = self.panels.iter().map(|panel| panel.legend_rows(left)).collect();
        let panel = |(panel, rows): (&Panel, &Vec<_>)| ROW * rows.len() as f64 + 22.0 + panel.height;
        let panels: f64 = self.panels.iter().zip(&heads).map(panel).sum();
        let height = HEAD + panels - 10.0 + FOOT;
        let mut drawing = Drawing::new(&self.title, &self.description, [WIDTH, height], left);
        let mut top = HEAD;
        for ((panel, y), rows) in self.panels.iter().zip(&axes).zip(&heads) {
            top += ROW * rows.len() as f64 + 12.0;
            let frame = PlotArea { x: &x, y, logarithmic: panel.logarithmic, left, top, bottom: top + panel.height };
            frame.draw(&mut drawing, panel, rows);
            top = frame.bottom + 10.0;
        }
        self.name_x(&mut drawing, &x, left, top - 10.0);
        drawing
    }

    /// The labels and the name below the last panel.
    fn name_x(&self, drawing: &mut Drawing, x: &Axis, left: f64, bottom: f64) {
        for tick in &x.ticks {
            let [from, until] = span(x, tick, left);
            drawing.text((from + until) / 2.0, bottom + 20.0, "", Anchor::Middle, &tick.text);
        }
        let name = fitted(&self.x_name, WIDTH - RIGHT - left, TEXT_SIZE);
        drawing.text(WIDTH - RIGHT, bottom + 42.0, "", Anchor::End, &name);
    }

    fn x_axis(&self, left: f64) -> Axis {
        let points = self.panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points).map(|(x, _)| *x);
        let bars = self.panels.iter().flat_map(|panel| &panel.bars).flat_map(|bar| [bar.from, bar.until]);
        let (from, until) = extent(points.chain(bars).chain(self.x_from_0.then_some(0.0)), |_| 0.5);
        let from = if self.x_from_0 { 0.0 } else { from };
        let ticks = |count: usize| match &self.x_labels {
            None => round_ticks(from, until, count, self.x_counts),
            Some(labels) => labelled_ticks(labels, from, until, count, WIDTH - RIGHT - left),
        };
        // As many as leave every label free of its neighbours, which at the edges are moved inwards.
        let most = if self.x_labels.is_some() { 7 } else { 9 };
        let mut axis = Axis { from, until, ticks: ticks(most) };
        for count in (1..most).rev() {
            let overlap = |pair: &[Tick]| span(&axis, &pair[0], left)[1] + GAP > span(&axis, &pair[1], left)[0];
            if !axis.ticks.windows(2).any(overlap) {
                return axis;
            }
            axis.ticks = ticks(count);
        }
        // Two that have no room beside each other.
        let mut end = f64::NEG_INFINITY;
        let mut kept = Vec::new();
        for tick in std::mem::take(&mut axis.ticks) {
            let [from, until] = span(&axis, &tick, left);
            if from >= end + GAP {
                end = until;
                kept.push(tick);
            }
        }
        Axis { ticks: kept, ..axis }
    }
}

impl Panel {
    fn y_axis(&self) -> Axis {
        let count = (self.height / 36.0).clamp(2.0, 6.0) as usize;
        let areas = self.areas.iter().flat_map(|area| &area.points).flat_map(|(_, heights)| *heights);
        let points = self.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).chain(areas);
        let bars = self.bars.iter().flat_map(|bar| [0.0, bar.height]);
        // The names of the bands need room above the lines.
        let names = self.bands.iter().filter(|band| !band.name.is_empty()).count().min(2);
        let above = 0.05 + ROW * names as f64 / self.height;
        if self.logarithmic {
            let positive = points.filter(|value| *value > 0.0);
            let (from, until) = extent(positive.map(f64::log10), |_| 0.2);
            let (from, until) = (from - 0.03 * (until - from), until + above * (until - from));
            return Axis { from, until, ticks: logarithmic_ticks(from, until, count) };
        }
        let (from, until) = extent(points.chain(bars), |value| if value == 0.0 { 0.5 } else { 0.1 * value.abs() });
        let span = until - from;
        // Where 0 is not far off, the axis shows it.
        let from = if (0.0..0.5 * span).contains(&from) || self.y_from_0 { 0.0 } else { from - 0.05 * span };
        let until = until + above * span;
        Axis { from, until, ticks: round_ticks(from, until, count, !self.bars.is_empty()) }
    }

    /// The lines and areas with names, in rows that fit beside the panel's name and below it.
    fn legend_rows(&self, left: f64) -> Vec<Vec<Entry<'_>>> {
        let (mut rows, mut free) =
            (vec![Vec::new()], WIDTH - RIGHT - left - text_width(&self.y_name, TEXT_SIZE) - 10.0);
        let lines = self.lines.iter().map(|Line { name, class, .. }| Entry { name, class, is_area: false });
        let areas = self.areas.iter().map(|Area { name, class, .. }| Entry { name, class, is_area: true });
        for entry in lines.chain(areas).filter(|entry| !entry.name.is_empty()) {
            let width = entry.width();
            if width > free {
                rows.push(Vec::new());
                free = WIDTH - RIGHT - left;
            }
            free -= width;
            rows.last_mut().into_iter().for_each(|row| row.push(entry));
        }
        rows
    }
}

/// What the legend has of a line or an area.
#[derive(Clone, Copy)]
struct Entry<'a> {
    name: &'a str,
    class: &'static str,
    is_area: bool,
}

impl Entry<'_> {
    fn width(&self) -> f64 {
        46.0 + text_width(self.name, TEXT_SIZE)
    }

    /// With the foot of its text at `[x, y]`.
    fn draw(&self, drawing: &mut Drawing, [x, y]: [f64; 2]) {
        let ends = [x, x + 24.0];
        if self.is_area {
            drawing.area(self.class, ends.map(|x| (x, [y + 0.5, y - 9.5])).into_iter())
        } else {
            drawing.path(self.class, ends.map(|x| (x, y - 4.5)).into_iter())
        }
        drawing.text(x + 32.0, y, "", Anchor::Start, self.name);
    }
}

/// About `count` labels at round numbers of rows, or at both ends where there are none between.
fn labelled_ticks(labels: &[String], from: f64, until: f64, count: usize, room: f64) -> Vec<Tick> {
    let step = round_step(until - from, count).max(1.0);
    let tick = |row: f64| {
        let text = fitted(labels.get(row as usize)?, room, TEXT_SIZE);
        Some(Tick { value: row.floor(), text })
    };
    let rows = (from / step).ceil() as usize..=(until / step).floor() as usize;
    let ticks: Vec<Tick> = rows.filter_map(|n| tick(n as f64 * step)).collect();
    if ticks.len() > 1 { ticks } else { [from.ceil(), until.floor()].into_iter().filter_map(tick).collect() }
}

/// Where the label of a tick of x begins and ends: about its value, and on the page.
fn span(x: &Axis, tick: &Tick, left: f64) -> [f64; 2] {
    let half = text_width(&tick.text, TEXT_SIZE) / 2.0;
    let middle = place(x, tick.value, left).min(WIDTH - 4.0 - half).max(4.0 + half);
    [middle - half, middle + half]
}

/// Where a value of the x axis stands.
fn place(x: &Axis, value: f64, left: f64) -> f64 {
    left + (value - x.from) / (x.until - x.from) * (WIDTH - RIGHT - left)
}

/// Where a panel stands in the picture.
struct PlotArea<'a> {
    x: &'a Axis,
    y: &'a Axis,
    logarithmic: bool,
    left: f64,
    top: f64,
    bottom: f64,
}

impl PlotArea<'_> {
    fn x(&self, value: f64) -> f64 {
        place(self.x, value, self.left)
    }

    /// Not finite where a logarithm would not be.
    fn y(&self, value: f64) -> f64 {
        let height = if self.logarithmic { value.log10() } else { value };
        self.bottom - (height - self.y.from) / (self.y.until - self.y.from) * (self.bottom - self.top)
    }

    fn draw(&self, drawing: &mut Drawing, panel: &Panel, rows: &[Vec<Entry<'_>>]) {
        let (left, right) = (self.left, WIDTH - RIGHT);
        self.shade(drawing, panel);
        for tick in &self.y.ticks {
            let at = self.y(tick.value);
            drawing.line("grid", [left, at], [right, at]);
            drawing.text(left - 8.0, at + 4.5, "", Anchor::End, &tick.text);
        }
        for bar in &panel.bars {
            let (from, until, top) = (self.x(bar.from), self.x(bar.until), self.y(bar.height));
            // A pixel of the page between two bars.
            drawing.rectangle("bar", [from + 0.5, top], [(until - from - 1.0).max(0.5), self.bottom - top]);
        }
        for tick in &self.x.ticks {
            let at = self.x(tick.value);
            drawing.line("axis", [at, self.bottom], [at, self.bottom + 5.0]);
        }
        drawing.line("axis", [left, self.bottom], [right, self.bottom]);
        for area in &panel.areas {
            let points = area.points.iter().map(|(x, heights)| (self.x(*x), heights.map(|height| self.y(height))));
            drawing.area(area.class, points);
        }
        for line in &panel.lines {
            drawing.path(line.class, line.points.iter().map(|(x, y)| (self.x(*x), self.y(*y))));
        }
        self.name_bands(drawing, panel);
        panel.dots.iter().for_each(|dot| self.dot(drawing, panel, dot));
        let first = self.top - 12.0 - ROW * (rows.len() - 1) as f64;
        let name = fitted(&panel.y_name, right - left, TEXT_SIZE);
        drawing.text(left, first, "", Anchor::Start, &name);
        // Flush with the right edge.
        for (index, row) in rows.iter().enumerate() {
            let mut at = right + 14.0 - row.iter().map(Entry::width).sum::<f64>();
            let y = first + ROW * index as f64;
            for entry in row {
                entry.draw(drawing, [at, y]);
                at += entry.width();
            }
        }
    }

    fn shade(&self, drawing: &mut Drawing, panel: &Panel) {
        for band in panel.bands.iter().filter(|band| band.shaded) {
            let (from, until) = (self.x(band.from), self.x(band.until));
            drawing.rectangle("band", [from, self.top], [until - from, self.bottom - self.top]);
        }
    }

    /// A name that would run into the one before goes a row lower.
    fn name_bands(&self, drawing: &mut Drawing, panel: &Panel) {
        let (mut end, mut row) = (f64::NEG_INFINITY, 0);
        for band in panel.bands.iter().filter(|band| !band.name.is_empty()) {
            let width = text_width(&band.name, TEXT_SIZE);
            let at = (self.x(band.from) + 6.0).min(WIDTH - RIGHT - width);
            row = if at < end + 8.0 { (row + 1) % 2 } else { 0 };
            end = at + width;
            drawing.text(at, self.top + 16.0 + ROW * f64::from(row), "", Anchor::Start, &band.name);
        }
    }

    /// Its text, if it has one, stands below the point or above it, where it covers the fewest points.
    fn dot(&self, drawing: &mut Drawing, panel: &Panel, dot: &Dot) {
        let (x, y) = (self.x(dot.at.0), self.y(dot.at.1));
        if !x.is_finite() || !y.is_finite() {
            return;
        }
        drawing.put(format_args!("<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>", dot.class));
        if dot.text.is_empty() {
            return;
        }
        let half = text_width(&dot.text, TEXT_SIZE) / 2.0;
        let middle = x.min(WIDTH - RIGHT - half).max(self.left + half);
        let covered = |line: f64| {
            let points = panel.lines.iter().flat_map(|line| &line.points).map(|(x, y)| (self.x(*x), self.y(*y)));
            points.filter(|(x, y)| (x - middle).abs() < half && (line - 13.0..line + 5.0).contains(y)).count()
        };
        let inside = |line: &f64| (self.top + 14.0..self.bottom - 6.0).contains(line);
        let lines = [y + 20.0, y - 11.0, y - 28.0, y - 45.0].into_iter().filter(inside);
        let line = lines.min_by_key(|line| covered(*line)).unwrap_or(y - 11.0);
        drawing.text(middle, line, "halo", Anchor::Middle, &dot.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Line>) -> Chart {
        let panels = vec![Panel::new("y", TALL, lines)];
        let (title, description) = ("t".into(), "d".into());
        Chart { title, description, x_name: "x".into(), x_labels: None, x_counts: false, x_from_0: true, panels }
    }

    /// Where each text of a picture is: from, until, top, bottom.
    fn boxes(svg: &str) -> Vec<(String, [f64; 4])> {
        let of = |line: &str| {
            let (tag, text) = line.strip_prefix("<text")?.strip_suffix("</text>")?.split_once('>')?;
            let number = |name: &str| tag.split(name).nth(1)?.split('"').next()?.parse::<f64>().ok();
            let size = if tag.contains("title") { 16.0 } else { TEXT_SIZE };
            let (x, y, width) = (number(" x=\"")?, number(" y=\"")?, text_width(text, size));
            let from = match tag.split("text-anchor=\"").nth(1) {
                None => x,
                Some(anchor) => x - if anchor.starts_with("end") { width } else { width / 2.0 },
            };
            Some((text.to_owned(), [from, from + width, y - 0.75 * size, y + 0.2 * size]))
        };
        svg.lines().filter_map(of).collect()
    }

    #[track_caller]
    fn no_text_lies_over_another(svg: &str) {
        let boxes = boxes(svg);
        for (index, (a, [left, right, top, bottom])) in boxes.iter().enumerate() {
            assert!(*left > -1.0 && *right < WIDTH + 1.0, "{a:?} is cut off at {left} or {right}");
            for (b, other) in &boxes[index + 1..] {
                let apart = *right <= other[0] || other[1] <= *left || *bottom <= other[2] || other[3] <= *top;
                assert!(apart, "{a:?} lies over {b:?}: {:?}", [left, right, top, bottom]);
            }
        }
    }

    #[test]
    fn no_label_lies_over_another_whatever_the_labels_and_wherever_they_end() {
        let forms: [fn(usize) -> String; 6] = [
            |row| format!("2021-01-{:02} {:02}:00:00", 1 + row / 24 % 28, row % 24),
            |row| (1700 + row).to_string(),
            |row| format!("2021-01-01T00:{:02}:00.000+02:00 Europe/Berlin", row % 60),
            |row| "a very long label ".repeat(9) + &row.to_string(),
            |row| format!("w{row}"),
            |row| "x".repeat(1 + 7 * (row % 5)),
        ];
        for (form, label) in forms.into_iter().enumerate() {
            for (first, last) in [(0, 1), (0, 30), (199, 260), (397, 399), (101, 400), (7, 7)] {
                let points = (first..=last).map(|row| (row as f64, (row % 7) as f64)).collect();
                let mut chart = chart(vec![Line::new("truth", "ink", points)]);
                chart.x_labels = Some((0..=last).map(label).collect());
                chart.x_from_0 = false;
                chart.panels[0].y_name = "a column whose name is long ".repeat(8);
                let svg = chart.draw().file();
                no_text_lies_over_another(&svg);
                let below: Vec<f64> = boxes(&svg).iter().map(|(_, place)| place[3]).filter(|y| *y > 370.0).collect();
                // The axis' name, and two labels where two have room.
                let least = if first == last || form == 3 { 2 } else { 3 };
                assert!(below.len() >= least, "{first} to {last}: {svg}");
            }
        }
    }

    #[test]
    fn large_numbers_of_an_axis_have_room() {
        for (from, until) in
            [(1_622_505_600.0, 1_625_097_600.0), (1e9 + 0.25, 1e9 + 0.75), (20_010_101.0, 20_011_231.0)]
        {
            let mut chart = chart(vec![Line::new("a", "blue", vec![(from, 1.1e-7), (until, 1.3e-7)])]);
            chart.x_from_0 = false;
            let svg = chart.draw().file();
            no_text_lies_over_another(&svg);
            assert!(boxes(&svg).iter().filter(|(_, place)| (380.0..390.0).contains(&place[3])).count() >= 2, "{svg}");
        }
    }

    #[test]
    fn a_legend_that_has_no_room_beside_the_name_goes_below_it() {
        let line = |name: &str| Line::new(name, "blue", vec![(0.0, 1.0), (1.0, 2.0)]);
        let short = chart(vec![line("a"), line("b")]).draw().file();
        let long = chart(vec![line(&"long ".repeat(12)), line(&"name ".repeat(12)), line("c")]).draw().file();
        assert!(short.contains("viewBox=\"0 0 880 420\""), "{short}");
        assert!(long.contains("viewBox=\"0 0 880 440\""), "{long}");
    }

    #[test]
    fn a_logarithmic_panel_leaves_out_what_has_no_logarithm() {
        let mut chart = chart(vec![Line::new("", "blue", vec![(0.0, 1.0), (1.0, 0.0), (2.0, -1.0), (3.0, 10.0)])]);
        chart.panels[0].logarithmic = true;
        let svg = chart.draw().file();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("h6").count(), 2, "two points alone");
    }

    #[test]
    fn neighbouring_bands_that_are_narrow_are_named_in_two_rows() {
        let mut chart = chart(vec![Line::new("", "blue", vec![(0.0, 1.0), (100.0, 2.0)])]);
        let band = |name: &str, from, until| Band { name: name.into(), from, until, shaded: true };
        chart.panels[0].bands = vec![band("validation", 90.0, 93.0), band("test", 93.0, 100.0)];
        let svg = chart.draw().file();
        let y = |name: &str| {
            svg.lines().find(|line| line.contains(name)).unwrap().split("y=\"").nth(1).unwrap()[..5].to_owned()
        };
        assert_ne!(y(">validation<"), y(">test<"));
    }

    #[test]
    fn the_text_of_a_point_avoids_the_lines() {
        let y_of_text = |height: f64| {
            let line = (0..200).map(|x| (f64::from(x), height)).collect();
            let mut chart =
                chart(vec![Line::new("", "blue", line), Line::new("", "thin", vec![(0.0, 0.0), (9.0, 10.0)])]);
            chart.panels[0].dots.push(Dot { text: "here".into(), class: "orange", at: (100.0, 5.0) });
            let svg = chart.draw().file();
            let attribute = |element: &str, name: &str| {
                let line = svg.lines().find(|line| line.contains(element)).unwrap();
                line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
            };
            attribute(">here<", "y") - attribute("<circle", "cy")
        };
        assert!(y_of_text(5.5) > 0.0 && y_of_text(4.5) < 0.0);
    }
}
