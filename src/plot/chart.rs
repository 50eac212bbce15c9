//! Charts: panels above one another over the same x axis, each with lines, areas, cells and points.

use std::collections::HashSet;

pub(super) use super::axis::Scale;
use super::axis::{Axis, Tick, extent};
use super::drawing::{Anchor, Drawing, RIGHT, TEXT_SIZE, WIDTH, escape, fitted, text_width};

/// The height of the title.
const HEAD: f64 = 44.0;
/// The height of a row of the legend.
const ROW: f64 = 20.0;
/// The height below the last panel: the labels of x and its name.
const FOOT: f64 = 56.0;
/// The least space between two labels of x.
const GAP: f64 = 12.0;
/// The opacity of cells up to which black text has more contrast with them than white, or on a dark page white than
/// black. The better one has a contrast of at least 4.5.
const TURN: f64 = 0.78;
/// The height of the only panel of a chart, and of each of several.
pub(super) const TALL: f64 = 288.0;
pub(super) const LOW: f64 = 150.0;

/// Panels over one x axis.
#[derive(Default)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) x_name: String,
    pub(super) x_scale: Scale,
    /// Whether the x axis begins at 0, wherever the first point is.
    pub(super) x_from_0: bool,
    /// Whether x increases to the left.
    pub(super) x_reversed: bool,
    /// The width of the panels in pixels, if it is not what the page leaves.
    pub(super) plot_width: Option<f64>,
    /// Whether all panels have the same y axis.
    pub(super) y_shared: bool,
    pub(super) panels: Vec<Panel>,
}

/// Marks over a y axis.
#[derive(Default)]
pub(super) struct Panel {
    pub(super) name: String,
    /// In pixels.
    pub(super) height: f64,
    pub(super) y_scale: Scale,
    /// Whether a linear y axis begins at 0, however far that is from the marks.
    pub(super) y_from_0: bool,
    /// In the order of drawing.
    pub(super) marks: Vec<Mark>,
}

/// Something drawn in a panel.
pub(super) struct Mark {
    /// Shown in the legend, or at the top of a band; the same name and class are shown once. May be empty.
    pub(super) name: String,
    pub(super) class: String,
    pub(super) shape: Shape,
}

/// Points are (x, y). What is not finite is not drawn, nor what has no logarithm on a logarithmic axis.
pub(super) enum Shape {
    /// A line through points.
    Line(Vec<(f64, f64)>),
    /// The area between a lower and an upper y at each x.
    Area(Vec<(f64, [f64; 2])>),
    /// Rectangles, and the opacities that the legend shows.
    Cells(Vec<Cell>, &'static [f64]),
    /// A single point.
    Dot((f64, f64)),
    /// A horizontal line at a y.
    Level(f64),
    /// A range of x with its name at the top.
    Band([f64; 2]),
}

/// A rectangle in the coordinates of the axes.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) x: [f64; 2],
    /// Its lower and its upper edge.
    pub(super) y: [f64; 2],
    pub(super) opacity: f64,
    /// In the middle of the cell: none, or one or two lines.
    pub(super) lines: Vec<String>,
    /// May be empty.
    pub(super) tooltip: String,
}

impl Mark {
    pub(super) fn new(name: impl Into<String>, class: impl Into<String>, shape: Shape) -> Self {
        Self { name: name.into(), class: class.into(), shape }
    }

    pub(super) fn line(name: impl Into<String>, class: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self::new(name, class, Shape::Line(points))
    }

    /// Points that the axes contain if they are finite.
    fn corners(&self) -> Vec<(f64, f64)> {
        match &self.shape {
            Shape::Line(points) => points.clone(),
            Shape::Area(points) => points.iter().flat_map(|(x, ys)| ys.map(|y| (*x, y))).collect(),
            Shape::Cells(cells, _) => cells.iter().flat_map(|Cell { x, y, .. }| [(x[0], y[0]), (x[1], y[1])]).collect(),
            Shape::Level(y) => vec![(f64::NAN, *y)],
            Shape::Band(xs) => xs.map(|x| (x, f64::NAN)).into(),
            Shape::Dot(point) => vec![*point],
        }
    }

    fn is_in_legend(&self) -> bool {
        !matches!(self.shape, Shape::Band(_))
    }

    fn legend_name(&self) -> String {
        fitted(&self.name, 600.0, TEXT_SIZE)
    }

    fn legend_width(&self) -> f64 {
        46.0 + text_width(&self.legend_name(), TEXT_SIZE)
    }

    /// Draws the entry of the legend with its text on the baseline `y`.
    fn draw_legend(&self, drawing: &mut Drawing, [x, y]: [f64; 2]) {
        let ends = [x, x + 24.0];
        match &self.shape {
            Shape::Area(_) => drawing.area(&self.class, ends.map(|x| [x, y + 0.5, y - 9.5])),
            Shape::Cells(_, opacities) => {
                let width = 24.0 / opacities.len() as f64;
                for (index, opacity) in opacities.iter().enumerate() {
                    drawing.rectangle(&self.class, [x + width * index as f64, y - 9.5], [width, 10.0], *opacity);
                }
            }
            Shape::Dot(_) => drawing.circle(&self.class, [x + 16.0, y - 4.5]),
            _ => drawing.path(&self.class, ends.map(|x| [x, y - 4.5])),
        }
        drawing.text("", [x + 32.0, y], Anchor::Start, &self.legend_name());
    }
}

impl Chart {
    pub(super) fn draw(&self) -> Drawing {
        let named = self.named();
        let axes: Vec<Axis> = self.panels.iter().zip(&named).map(|(panel, named)| self.y_axis(panel, named)).collect();
        let ticks = axes.iter().flat_map(|axis| &axis.ticks);
        let left = ticks.map(|tick| text_width(&tick.text, TEXT_SIZE)).fold(40.0, f64::max).ceil() + 24.0;
        let right = self.plot_width.map_or(WIDTH - RIGHT, |width| left + width);
        let page = WIDTH.max(right + RIGHT);
        let x = self.x_axis(left, right, page);
        let rows = |(panel, named): (&Panel, &Vec<_>)| legend_rows(&panel.name, named, page - RIGHT - left);
        let legends: Vec<Vec<Vec<&Mark>>> = self.panels.iter().zip(&named).map(rows).collect();
        let height = |(panel, rows): (&Panel, &Vec<_>)| ROW * rows.len() as f64 + 22.0 + panel.height;
        let panels: f64 = self.panels.iter().zip(&legends).map(height).sum();
        let slant = self.slanted_height(right - left);
        let size = [page, HEAD + panels - 10.0 + FOOT + slant];
        let mut drawing = Drawing::new(&self.title, &self.description, size, left);
        let mut bottom = HEAD - 10.0;
        for (((panel, y), legend), named) in self.panels.iter().zip(&axes).zip(&legends).zip(&named) {
            let top = bottom + ROW * legend.len() as f64 + 22.0;
            bottom = top + panel.height;
            let frame = Frame { x: &x, y, left, right, top, bottom };
            frame.draw(&mut drawing, panel, named);
            frame.draw_head(&mut drawing, page - RIGHT, &panel.name, legend);
        }
        for tick in &x.ticks {
            if slant > 0.0 {
                let x = left + x.position(tick.value) * (right - left);
                drawing.slanted_text("", [x + 4.0, bottom + 14.0], &tick.text);
            } else {
                let [from, until] = label_span(&x, tick, [left, right], page);
                drawing.text("", [(from + until) / 2.0, bottom + 20.0], Anchor::Middle, &tick.text);
            }
        }
        let name = fitted(&self.x_name, right - left, TEXT_SIZE);
        drawing.text("", [right, bottom + 42.0 + slant], Anchor::End, &name);
        drawing
    }

    fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.panels.iter().flat_map(|panel| &panel.marks)
    }

    /// The marks of each panel whose name is shown: the first ones with that name and class.
    fn named(&self) -> Vec<Vec<&Mark>> {
        let mut seen = HashSet::new();
        let panels = self.panels.iter().map(|panel| {
            let named = panel.marks.iter().filter(|mark| !mark.name.is_empty());
            named.filter(|mark| seen.insert((&mark.name, &mark.class))).collect()
        });
        panels.collect()
    }

    /// The height of the labels of x where they are slanted: names that do not fit side by side.
    fn slanted_height(&self, width: f64) -> f64 {
        let Scale::Names(names) = &self.x_scale else { return 0.0 };
        let widest = names.iter().map(|name| text_width(name, TEXT_SIZE)).fold(0.0, f64::max);
        if widest > width / names.len() as f64 - 8.0 { widest * std::f64::consts::FRAC_1_SQRT_2 } else { 0.0 }
    }

    fn x_axis(&self, left: f64, right: f64, page: f64) -> Axis {
        let points = self.marks().flat_map(Mark::corners).map(|(x, _)| x);
        let (from, until) = match &self.x_scale {
            Scale::Names(names) => (0.0, names.len().max(1) as f64),
            _ => extent(points.chain(self.x_from_0.then_some(0.0)), |_| 0.5),
        };
        let from = if self.x_from_0 { 0.0 } else { from };
        let ends = if self.x_reversed { [until, from] } else { [from, until] };
        let mut axis = Axis { ends, is_logarithmic: false, ticks: Vec::new() };
        let most = if matches!(self.x_scale, Scale::Rows(_)) { 7 } else { 9 };
        // The most ticks whose labels do not overlap.
        for count in (1..=most).rev() {
            let mut ticks = self.x_scale.ticks(from, until, count, right - left);
            if self.x_reversed {
                ticks.reverse();
            }
            let (all, mut end) = (ticks.len(), f64::NEG_INFINITY);
            if !matches!(self.x_scale, Scale::Names(_)) {
                ticks.retain(|tick| {
                    let [from, until] = label_span(&axis, tick, [left, right], page);
                    let is_free = from >= end + GAP;
                    end = if is_free { until } else { end };
                    is_free
                });
            }
            let is_complete = ticks.len() == all;
            axis.ticks = ticks;
            if is_complete {
                break;
            }
        }
        axis
    }

    fn y_axis(&self, panel: &Panel, named: &[&Mark]) -> Axis {
        let count = (panel.height / 36.0).clamp(2.0, 6.0) as usize;
        let marks: Vec<&Mark> = if self.y_shared { self.marks().collect() } else { panel.marks.iter().collect() };
        let values = marks.into_iter().flat_map(Mark::corners).map(|(_, y)| y);
        // The names of bands take up to two rows above the lines.
        let names = named.iter().filter(|mark| matches!(mark.shape, Shape::Band(_))).count().min(2);
        let above = 0.05 + ROW * names as f64 / panel.height;
        let is_logarithmic = matches!(panel.y_scale, Scale::Logarithmic);
        let (from, until) = match &panel.y_scale {
            Scale::Fixed([from, until], _) => (*from, *until),
            Scale::Names(names) => (names.len().max(1) as f64, 0.0),
            Scale::Logarithmic => {
                let (from, until) = extent(values.filter(|value| *value > 0.0).map(f64::log10), |_| 0.2);
                (from - 0.03 * (until - from), until + above * (until - from))
            }
            _ => {
                let (from, until) = extent(values, |value| if value == 0.0 { 0.5 } else { 0.1 * value.abs() });
                let span = until - from;
                let is_near_0 = (0.0..0.5 * span).contains(&from);
                (if is_near_0 || panel.y_from_0 { 0.0 } else { from - 0.05 * span }, until + above * span)
            }
        };
        Axis { ends: [from, until], is_logarithmic, ticks: panel.y_scale.ticks(from, until, count, 0.0) }
    }
}

impl Panel {
    /// Whether all values are positive and the greatest is more than `factor` times the least.
    pub(super) fn spans_a_factor_of(&self, factor: f64) -> bool {
        let values = self.marks.iter().flat_map(Mark::corners).map(|(_, y)| y).filter(|y| y.is_finite());
        let (least, most) = values.fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), y| (a.min(y), b.max(y)));
        least > 0.0 && most > factor * least
    }
}

/// The legend of a panel in rows, the first beside its name.
fn legend_rows<'a>(name: &str, named: &[&'a Mark], width: f64) -> Vec<Vec<&'a Mark>> {
    let (mut rows, mut free) = (vec![Vec::new()], width - text_width(name, TEXT_SIZE) - 10.0);
    for mark in named.iter().filter(|mark| mark.is_in_legend()) {
        if mark.legend_width() > free {
            rows.push(Vec::new());
            free = width;
        }
        free -= mark.legend_width();
        rows.last_mut().into_iter().for_each(|row| row.push(*mark));
    }
    rows
}

/// The left and the right end of a label of x: centred on its tick, but on the page.
fn label_span(x: &Axis, tick: &Tick, [left, right]: [f64; 2], page: f64) -> [f64; 2] {
    let half = text_width(&tick.text, TEXT_SIZE) / 2.0;
    let middle = left + x.position(tick.value) * (right - left);
    let middle = middle.min(page - 4.0 - half).max(4.0 + half);
    [middle - half, middle + half]
}

/// The place of a panel.
struct Frame<'a> {
    x: &'a Axis,
    y: &'a Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + self.x.position(value) * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.position(value) * (self.bottom - self.top)
    }

    fn at(&self, (x, y): (f64, f64)) -> [f64; 2] {
        [self.x(x), self.y(y)]
    }

    fn draw(&self, drawing: &mut Drawing, panel: &Panel, named: &[&Mark]) {
        let bands = panel.marks.iter().filter(|mark| matches!(mark.shape, Shape::Band(_)));
        bands.for_each(|mark| self.mark(drawing, mark));
        for tick in &self.y.ticks {
            let y = self.y(tick.value);
            drawing.line("grid", [self.left, y], [self.right, y]);
            drawing.text("", [self.left - 8.0, y + 4.5], Anchor::End, &tick.text);
        }
        for tick in &self.x.ticks {
            let x = self.x(tick.value);
            drawing.line("axis", [x, self.bottom], [x, self.bottom + 5.0]);
            if matches!(panel.y_scale, Scale::Names(_)) {
                drawing.line("grid", [x, self.top], [x, self.bottom]);
            }
        }
        let others = panel.marks.iter().filter(|mark| !matches!(mark.shape, Shape::Band(_)));
        others.for_each(|mark| self.mark(drawing, mark));
        drawing.line("axis", [self.left, self.bottom], [self.right, self.bottom]);
        self.name_bands(drawing, named);
    }

    fn mark(&self, drawing: &mut Drawing, mark: &Mark) {
        match &mark.shape {
            Shape::Line(points) => drawing.path(&mark.class, points.iter().map(|point| self.at(*point))),
            Shape::Area(points) => {
                let points = points.iter().map(|(x, [low, high])| [self.x(*x), self.y(*low), self.y(*high)]);
                drawing.area(&mark.class, points);
            }
            Shape::Cells(cells, _) => cells.iter().for_each(|cell| self.cell(drawing, &mark.class, cell)),
            Shape::Level(y) => drawing.path(&mark.class, [self.left, self.right].map(|x| [x, self.y(*y)])),
            Shape::Band([from, until]) => {
                let (from, until) = (self.x(*from), self.x(*until));
                drawing.rectangle(&mark.class, [from, self.top], [until - from, self.bottom - self.top], 1.0);
            }
            Shape::Dot(point) => drawing.circle(&mark.class, self.at(*point)),
        }
    }

    fn cell(&self, drawing: &mut Drawing, class: &str, cell: &Cell) {
        let ([left, bottom], [right, top]) = (self.at((cell.x[0], cell.y[0])), self.at((cell.x[1], cell.y[1])));
        if !cell.tooltip.is_empty() {
            drawing.put(format_args!("<g><title>{}</title>", escape(&cell.tooltip)));
        }
        drawing.rectangle(class, [left, top], [right - left, bottom - top], cell.opacity);
        let first = (top + bottom) / 2.0 + 4.0 - 7.5 * cell.lines.len().saturating_sub(1) as f64;
        for (index, line) in cell.lines.iter().enumerate() {
            let at = [(left + right) / 2.0, first + 15.0 * index as f64];
            drawing.text(ink(cell.opacity), at, Anchor::Middle, line);
        }
        if !cell.tooltip.is_empty() {
            drawing.put("</g>");
        }
    }

    /// The name of the panel, and the legend at the right.
    fn draw_head(&self, drawing: &mut Drawing, right: f64, name: &str, rows: &[Vec<&Mark>]) {
        let first = self.top - 12.0 - ROW * (rows.len() - 1) as f64;
        drawing.text("", [self.left, first], Anchor::Start, &fitted(name, right - self.left, TEXT_SIZE));
        for (index, row) in rows.iter().enumerate() {
            // The text of the last entry ends at the edge.
            let mut x = right + 14.0 - row.iter().map(|mark| mark.legend_width()).sum::<f64>();
            for mark in row {
                mark.draw_legend(drawing, [x, first + ROW * index as f64]);
                x += mark.legend_width();
            }
        }
    }

    /// A name that would overlap the one before is a row lower.
    fn name_bands(&self, drawing: &mut Drawing, named: &[&Mark]) {
        let (mut end, mut row) = (f64::NEG_INFINITY, 0);
        for mark in named {
            let Shape::Band([from, _]) = mark.shape else { continue };
            let width = text_width(&mark.name, TEXT_SIZE);
            let x = (self.x(from) + 6.0).min(self.right - width);
            row = if x < end + 8.0 { (row + 1) % 2 } else { 0 };
            end = x + width;
            drawing.text("", [x, self.top + 16.0 + ROW * f64::from(row)], Anchor::Start, &mark.name);
        }
    }
}

/// The class of small text on a cell.
pub(super) fn ink(opacity: f64) -> &'static str {
    if opacity <= TURN { "low small" } else { "high small" }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::drawing::STYLE;
    use super::*;

    fn chart(marks: Vec<Mark>) -> Chart {
        let panels = vec![Panel { name: "y".into(), height: TALL, marks, ..Panel::default() }];
        let (title, description) = ("t".into(), "d".into());
        Chart { title, description, x_name: "x".into(), x_from_0: true, panels, ..Chart::default() }
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
    pub(in crate::plot) fn no_text_lies_over_another(svg: &str) {
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
                let mut chart = chart(vec![Mark::line("truth", "ink", points)]);
                chart.x_scale = Scale::Rows((0..=last).map(label).collect());
                chart.x_from_0 = false;
                chart.panels[0].name = "a column whose name is long ".repeat(8);
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
            let mut chart = chart(vec![Mark::line("a", "blue", vec![(from, 1.1e-7), (until, 1.3e-7)])]);
            chart.x_from_0 = false;
            let svg = chart.draw().file();
            no_text_lies_over_another(&svg);
            assert!(boxes(&svg).iter().filter(|(_, place)| (380.0..390.0).contains(&place[3])).count() >= 2, "{svg}");
        }
    }

    #[test]
    fn a_legend_that_has_no_room_beside_the_name_goes_below_it() {
        let line = |name: &str| Mark::line(name, "blue", vec![(0.0, 1.0), (1.0, 2.0)]);
        let short = chart(vec![line("a"), line("b")]).draw().file();
        let long = chart(vec![line(&"long ".repeat(12)), line(&"name ".repeat(12)), line("c")]).draw().file();
        assert!(short.contains("viewBox=\"0 0 880 420\""), "{short}");
        assert!(long.contains("viewBox=\"0 0 880 440\""), "{long}");
    }

    #[test]
    fn a_logarithmic_panel_leaves_out_what_has_no_logarithm() {
        let mut chart = chart(vec![Mark::line("", "blue", vec![(0.0, 1.0), (1.0, 0.0), (2.0, -1.0), (3.0, 10.0)])]);
        chart.panels[0].y_scale = Scale::Logarithmic;
        let svg = chart.draw().file();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("h6").count(), 2, "two points alone");
    }

    #[test]
    fn neighbouring_bands_that_are_narrow_are_named_in_two_rows() {
        let mut chart = chart(vec![Mark::line("", "blue", vec![(0.0, 1.0), (100.0, 2.0)])]);
        let band = |name: &str, range| Mark::new(name, "band", Shape::Band(range));
        chart.panels[0].marks.extend([band("validation", [90.0, 93.0]), band("test", [93.0, 100.0])]);
        let svg = chart.draw().file();
        let y = |name: &str| {
            svg.lines().find(|line| line.contains(name)).unwrap().split("y=\"").nth(1).unwrap()[..5].to_owned()
        };
        assert_ne!(y(">validation<"), y(">test<"));
    }

    #[test]
    fn the_text_of_a_point_covers_no_line() {
        let line = (0..200).map(|x| (f64::from(x), 5.0)).collect();
        let mut chart = chart(vec![Mark::line("", "blue", line)]);
        chart.panels[0].marks.push(Mark::new("here", "orange", Shape::Dot((100.0, 5.0))));
        let svg = chart.draw().file();
        let (_, [_, _, _, bottom]) = boxes(&svg).into_iter().find(|(text, _)| text == "here").unwrap();
        assert!(bottom < HEAD + ROW + 12.0, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "in the panel and in the legend");
    }

    #[test]
    fn a_name_is_in_the_legend_once_whichever_panels_have_it() {
        let panel = || Panel {
            name: "y".into(),
            height: LOW,
            marks: ["a", "a", "b"].map(|name| Mark::line(name, "blue", vec![(0.0, 1.0)])).into(),
            ..Panel::default()
        };
        let svg = Chart { panels: vec![panel(), panel()], ..Chart::default() }.draw().file();
        assert_eq!([">a<", ">b<", ">y<"].map(|name| svg.matches(name).count()), [1, 1, 2], "{svg}");
    }

    #[test]
    fn panels_that_share_their_y_axis_draw_a_value_at_the_same_height() {
        let panel = |most: f64| Panel {
            height: LOW,
            marks: vec![Mark::line("", "blue", vec![(0.0, 1.0), (1.0, most)])],
            ..Panel::default()
        };
        let heights = |y_shared: bool| -> Vec<f64> {
            let svg = Chart { y_shared, panels: vec![panel(2.0), panel(9.0)], ..Chart::default() }.draw().file();
            let paths = svg.lines().filter(|line| line.starts_with("<path"));
            paths.map(|line| line.split(['L', ' ']).nth(3).unwrap().parse().unwrap()).collect()
        };
        let (own, shared) = (heights(false), heights(true));
        assert!((shared[1] - shared[0] - (LOW + ROW + 22.0)).abs() < 0.2, "{shared:?}");
        assert!((own[1] - own[0] - (LOW + ROW + 22.0)).abs() > 5.0, "{own:?}");
    }

    fn colour(style: &str, class: &str) -> [f64; 3] {
        let rule = style.split('}').find_map(|rule| rule.rsplit_once(&format!(".{class} {{ fill: #"))).unwrap().1;
        let digits: String = rule.chars().take_while(char::is_ascii_hexdigit).collect();
        let digits = if digits.len() == 3 { digits.chars().flat_map(|d| [d, d]).collect() } else { digits };
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()))
    }

    /// WCAG 2.2: the relative luminance, and the ratio of two.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let linear = |value: f64| match value / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        };
        let [a, b] = [a, b]
            .map(|[red, green, blue]| 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_text_on_a_cell_has_the_contrast_of_wcag_aa_on_both_pages() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for style in [light, dark] {
            let page = colour(style, "page");
            for class in ["right", "wrong"] {
                for strength in (0..=100).map(|percent| f64::from(percent) / 100.0) {
                    let full = colour(style, class);
                    let mixed = [0, 1, 2].map(|n| full[n] * strength + page[n] * (1.0 - strength));
                    let ratio = contrast(mixed, colour(style, ink(strength).split(' ').next().unwrap()));
                    assert!(ratio >= 4.5, "{class} at {strength}: {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn every_other_text_has_the_contrast_of_wcag_aa_on_both_pages() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for style in [light, dark] {
            let grey: &str = style.split("text {").nth(1).unwrap().split("fill: #").nth(1).unwrap();
            let grey = [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&grey[at..at + 2], 16).unwrap()));
            let inks = ["name", "given", "drawn"].map(|class| colour(style, class));
            for ink in inks.into_iter().chain([grey]) {
                for page in ["page", "band"].map(|class| colour(style, class)) {
                    assert!(contrast(ink, page) >= 4.5, "{ink:?} on {page:?}: {:.2}", contrast(ink, page));
                }
            }
        }
    }
}
