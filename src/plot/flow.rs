//! The norms of ∂L/∂h_t over the steps, against time: the way that the gradient takes.

use super::axis::{Axis, Tick, extent, logarithmic_ticks, round_ticks};
use super::drawing::{Anchor, Drawing, RIGHT, TEXT_SIZE, WIDTH, fitted, text_width};
use crate::format::decimal;

/// Of a panel.
const HEIGHT: f64 = 232.0;
/// Above a panel: its name.
const HEAD: f64 = 30.0;
/// Below the title.
const TITLE: f64 = 46.0;
/// Below the last panel: the labels of t and its name.
const FOOT: f64 = 58.0;
/// From the end of a line to its label.
const GAP: f64 = 22.0;
/// What the legend takes of the first panel's head.
const LEGEND: f64 = 150.0;
/// From label to label.
const APART: f64 = 17.0;

const HUES: [&str; 4] = ["blue", "orange", "green", "violet"];

/// A line of the picture.
pub struct FlowLine {
    /// What stands at its end.
    pub name: String,
    /// Its colour, counted through them all: lines of one are a layer's directions, or one network.
    pub hue: usize,
    /// Whether it is of a reverse direction, through which the gradient goes the other way: it is drawn thinner.
    pub reverse: bool,
    /// By t.
    pub norms: Vec<f64>,
    /// What clipping multiplies it by; 1: nothing was clipped.
    pub clipped: f64,
}

/// The gradient norms of one network: one panel of the picture.
pub struct FlowPanel {
    /// The panel's heading.
    pub name: String,
    /// One line for each layer and direction.
    pub lines: Vec<FlowLine>,
}

/// Panels above each other over the same axes, so that they can be compared.
pub struct FlowPicture {
    /// The heading of the picture.
    pub title: String,
    /// The text alternative of the picture.
    pub description: String,
    /// One panel for each network, side by side.
    pub panels: Vec<FlowPanel>,
}

impl FlowPicture {
    /// Draws all panels on one scale.
    pub fn draw(&self) -> Drawing {
        let lines = || self.panels.iter().flat_map(|panel| &panel.lines);
        let steps = lines().map(|line| line.norms.len()).max().unwrap_or(0);
        let drawn = lines().flat_map(|line| {
            let clipped = line.clipped;
            line.norms.iter().flat_map(move |norm| [*norm, *norm * clipped])
        });
        let (from, until) = extent(drawn.filter(|norm| *norm > 0.0).map(f64::log10), |_| 0.5);
        let (from, until) = (from - 0.03 * (until - from), until + 0.05 * (until - from));
        let y = Axis { from, until, ticks: logarithmic_ticks(from, until, 6) };
        let last = steps.saturating_sub(1).max(1) as f64;
        let x = Axis { from: 0.0, until: last, ticks: ticks(last) };
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|text| text_width(text, TEXT_SIZE)).fold(0.0, f64::max).ceil()
        };
        let left = widest(&mut y.ticks.iter().map(|tick| &tick.text)).max(40.0) + 24.0;
        let right = WIDTH - RIGHT.max(GAP + 6.0 + widest(&mut lines().map(|line| &line.name)).min(300.0));
        let height = TITLE + self.panels.len() as f64 * (HEAD + HEIGHT + 14.0) - 14.0 + FOOT;
        let mut drawing = Drawing::new(&self.title, &self.description, [WIDTH, height], left);
        let mut top = TITLE;
        for (index, panel) in self.panels.iter().enumerate() {
            top += HEAD;
            let frame = FlowFrame { x: &x, y: &y, left, right, top, bottom: top + HEIGHT };
            frame.draw(&mut drawing, panel, index == 0 && lines().any(|line| line.clipped < 1.0));
            top = frame.bottom + 14.0;
        }
        let frame = FlowFrame { x: &x, y: &y, left, right, top: 0.0, bottom: top - 14.0 };
        for tick in &x.ticks {
            drawing.text(frame.x(tick.value), frame.bottom + 20.0, "", Anchor::Middle, &tick.text);
        }
        let way = if lines().any(|line| line.reverse) {
            "step t: the gradient goes this way →, in the reverse direction ←"
        } else {
            "step t, against time: the gradient goes this way →"
        };
        drawing.text(right, frame.bottom + 42.0, "", Anchor::End, way);
        drawing
    }
}

/// Where a panel stands.
struct FlowFrame<'a> {
    x: &'a Axis,
    y: &'a Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl FlowFrame<'_> {
    /// The last step stands on the left.
    fn x(&self, t: f64) -> f64 {
        self.right - (t - self.x.from) / (self.x.until - self.x.from) * (self.right - self.left)
    }

    /// Not finite where there is no logarithm.
    fn y(&self, norm: f64) -> f64 {
        let height = if norm > 0.0 { norm.log10() } else { f64::NAN };
        self.bottom - (height - self.y.from) / (self.y.until - self.y.from) * (self.bottom - self.top)
    }

    /// `legend`: tells what dotted lines are.
    fn draw(&self, drawing: &mut Drawing, panel: &FlowPanel, legend: bool) {
        for tick in &self.y.ticks {
            let at = self.y(tick.value);
            drawing.line("grid", [self.left, at], [self.right, at]);
            drawing.text(self.left - 8.0, at + 4.5, "", Anchor::End, &tick.text);
        }
        for tick in &self.x.ticks {
            let at = self.x(tick.value);
            drawing.line("axis", [at, self.bottom], [at, self.bottom + 5.0]);
        }
        drawing.line("axis", [self.left, self.bottom], [self.right, self.bottom]);
        let name = self.top - 10.0;
        let free = self.right - self.left - if legend { LEGEND } else { 0.0 };
        drawing.text(self.left, name, "name", Anchor::Start, &fitted(&panel.name, free, TEXT_SIZE));
        if legend {
            let text = "after clipping";
            let at = self.right - text_width(text, TEXT_SIZE);
            drawing.path("ink dotted", [(at - 34.0, name - 4.5), (at - 8.0, name - 4.5)].into_iter());
            drawing.text(at, name, "", Anchor::Start, text);
        }
        let points = |line: &FlowLine, factor: f64| -> Vec<(f64, f64)> {
            let norms = line.norms.iter().enumerate().rev();
            norms.map(|(t, norm)| (self.x(t as f64), self.y(factor * norm))).collect()
        };
        for line in &panel.lines {
            let hue = HUES[line.hue % HUES.len()];
            if line.clipped < 1.0 {
                drawing.path(&format!("{hue} dotted"), points(line, line.clipped).into_iter());
            }
            let class = if line.reverse { format!("{hue} fine") } else { hue.to_owned() };
            drawing.path(&class, points(line, 1.0).into_iter());
        }
        self.label(drawing, panel, points);
    }

    /// The names at the ends of the lines, moved apart, each with a piece of its line leading to it.
    fn label(&self, drawing: &mut Drawing, panel: &FlowPanel, points: impl Fn(&FlowLine, f64) -> Vec<(f64, f64)>) {
        let end = |line: &FlowLine| points(line, 1.0).into_iter().rfind(|(_, y)| y.is_finite());
        let mut ends: Vec<(&FlowLine, (f64, f64))> =
            panel.lines.iter().filter_map(|line| Some((line, end(line)?))).collect();
        ends.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let heights = apart(&ends.iter().map(|(_, (_, y))| *y).collect::<Vec<_>>(), self.top + 6.0, self.bottom);
        for ((line, (x, y)), height) in ends.iter().zip(heights) {
            let hue = HUES[line.hue % HUES.len()];
            // A line that ended on the way has its name there, if that is clear of the others' ends.
            let to = (x + GAP - 6.0, height);
            drawing.path(&format!("{hue} fine"), [(*x, *y), (x + 6.0, height), to].into_iter());
            drawing.text(x + GAP, height + 4.5, "name halo", Anchor::Start, &line.name);
        }
    }
}

/// Round steps, and the last one where it is not near one of them.
fn ticks(last: f64) -> Vec<Tick> {
    let mut ticks = round_ticks(0.0, last, 9, true);
    let greatest = ticks.last().map_or(0.0, |tick| tick.value);
    let apart = ticks.get(1).map_or(1.0, |tick| tick.value);
    if last - greatest > 0.4 * apart {
        ticks.push(Tick { value: last, text: decimal(last, 0) });
    }
    ticks
}

/// Heights in ascending order, moved as little as keeps them apart and between two bounds, where there is room.
fn apart(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut moved = heights.to_vec();
    for i in 1..moved.len() {
        moved[i] = moved[i].max(moved[i - 1] + APART);
    }
    let mut most = bottom;
    for height in moved.iter_mut().rev() {
        *height = height.min(most);
        most = *height - APART;
    }
    let mut least = top;
    for height in &mut moved {
        *height = height.max(least);
        least = *height + APART;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, norms: Vec<f64>) -> FlowLine {
        FlowLine { name: name.into(), hue: 0, reverse: false, norms, clipped: 1.0 }
    }

    fn svg(lines: Vec<FlowLine>) -> String {
        let panels = vec![FlowPanel { name: "p".into(), lines }];
        FlowPicture { title: "t".into(), description: "d".into(), panels }.draw().file()
    }

    #[test]
    fn the_last_step_stands_on_the_left_and_the_names_at_the_lines_ends() {
        let svg = svg(vec![line("alone", vec![1.0, 10.0])]);
        let place = |text: &str| {
            let line = svg.lines().find(|line| line.ends_with(&format!(">{text}</text>"))).unwrap();
            line.split(" x=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(place("1") < place("0") && place("0") < place("alone"), "{svg}");
    }

    #[test]
    fn names_are_moved_apart_and_stay_inside() {
        assert_eq!(apart(&[10.0, 11.0, 80.0], 0.0, 100.0), [10.0, 27.0, 80.0]);
        assert_eq!(apart(&[95.0, 99.0], 0.0, 100.0), [83.0, 100.0]);
        assert_eq!(apart(&[0.0, 0.0], 20.0, 100.0), [20.0, 37.0]);
    }

    #[test]
    fn nothing_that_a_norm_can_be_breaks_the_picture() {
        for norms in [vec![], vec![0.0], vec![1.0], vec![0.0, f64::NAN, 1e-38], vec![f64::INFINITY, 1e300, 0.0]] {
            let svg = svg(vec![line("a", norms.clone()), FlowLine { clipped: 0.01, ..line("b", norms) }]);
            let drawn = svg.lines().filter(|line| line.starts_with("<path") || line.starts_with("<line"));
            drawn.for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
    }
}
