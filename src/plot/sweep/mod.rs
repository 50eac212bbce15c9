//! The trials of a sweep: parallel coordinates, and the best so far.

use super::axis::{Axis, extent};
use super::chart::{Chart, Mark, Panel, Scale, Shape, TALL};
use super::drawing::{Anchor, Drawing, RIGHT, SMALL_SIZE, TEXT_SIZE, WIDTH, fitted, text_width};

/// Where the coordinates begin and end.
const TOP: f64 = 84.0;
const BOTTOM: f64 = 344.0;
const HEIGHT: f64 = 372.0;

/// The most axes side by side, without that of the metric; the others are left out.
const AXES: usize = 10;

/// The trials of a sweep.
pub struct SweepChart {
    /// The title of the picture.
    pub title: String,
    /// What the trials are ranked by.
    pub metric: String,
    /// Whether the greatest value is the best.
    pub is_higher_better: bool,
    /// The settings that vary.
    pub axes: Vec<SweepAxis>,
    /// The trials, in the order in which they were drawn.
    pub lines: Vec<SweepLine>,
}

/// A setting.
pub struct SweepAxis {
    /// The name.
    pub name: String,
    /// Some values with their positions, from 0 at the bottom to 1 at the top.
    pub ticks: Vec<(f64, String)>,
}

/// A trial.
pub struct SweepLine {
    /// Its number.
    pub number: usize,
    /// Its position on each axis.
    pub positions: Vec<f64>,
    /// Its value of the metric; NaN without one.
    pub value: f64,
    /// Whether it was trained to its end.
    pub is_trained: bool,
    /// Whether it is the best.
    pub is_best: bool,
}

impl SweepChart {
    /// Draws both parts.
    pub fn draw(&self) -> Drawing {
        self.coordinates().above(self.progress())
    }

    /// A vertical axis for each setting and one for the metric, and a line across them for each trial.
    fn coordinates(&self) -> Drawing {
        let axes = &self.axes[..self.axes.len().min(AXES)];
        let scale = self.scale();
        let is_logarithmic = matches!(scale, Scale::Logarithmic);
        let values = self.lines.iter().map(|line| if is_logarithmic { line.value.log10() } else { line.value });
        let (from, until) = extent(values, |value| 0.1 * value.abs().max(0.1));
        let direction = if self.is_higher_better { "highest" } else { "lowest" };
        let more = match self.axes.len() - axes.len() {
            0 => String::new(),
            more => format!(" {more} more settings have no room."),
        };
        let description = format!(
            "A line for each trial, through its settings and to its {} at the right; the strong one has the {direction}, and the pale ones were left at a rung. Where \
             the good lines lie close together, the setting matters.{more}",
            self.metric
        );
        let (left, right) = (72.0, WIDTH - RIGHT - 64.0);
        let mut drawing = Drawing::new(&self.title, &description, [WIDTH, HEIGHT], 24.0);
        let x = |index: usize| left + (right - left) * index as f64 / axes.len() as f64;
        let y = |position: f64| BOTTOM - position * (BOTTOM - TOP);
        let value_at = Axis { ends: [from, until], is_logarithmic, ticks: scale.ticks(from, until, 6, 0.0) };
        // The best is drawn over the others.
        let known = || self.lines.iter().filter(|line| line.value.is_finite());
        let order = known().filter(|line| !line.is_best).chain(known().filter(|line| line.is_best));
        for line in order {
            let class = match (line.is_best, line.is_trained) {
                (true, _) => "blue",
                (false, true) => "blue fine",
                (false, false) => "orange fine many",
            };
            let points = line.positions.iter().take(axes.len()).enumerate().map(|(index, at)| [x(index), y(*at)]);
            drawing.path(class, points.chain([[right, y(value_at.position(line.value))]]));
        }
        for (index, axis) in axes.iter().enumerate() {
            draw_axis(&mut drawing, x(index), &axis.name, (right - left) / axes.len() as f64, &axis.ticks);
        }
        let ticks = value_at.ticks.iter().map(|tick| (value_at.position(tick.value), tick.text.clone()));
        draw_axis(&mut drawing, right, &self.metric, 128.0, &ticks.collect::<Vec<_>>());
        drawing
    }

    /// The scale of the metric: logarithmic where its values differ much.
    fn scale(&self) -> Scale {
        let values = self.lines.iter().map(|line| line.value).filter(|value| value.is_finite());
        let (least, most) = values.fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), value| (a.min(value), b.max(value)));
        if least > 0.0 && most > 8.0 * least { Scale::Logarithmic } else { Scale::Linear }
    }

    /// The metric of each trial, and the best of those up to it.
    fn progress(&self) -> Drawing {
        let is_better = |a: f64, b: f64| if self.is_higher_better { a > b } else { a < b };
        let mut best = f64::NAN;
        let mut steps = Vec::new();
        for line in &self.lines {
            if line.value.is_finite() && (best.is_nan() || is_better(line.value, best)) {
                steps.push((line.number as f64, best));
                best = line.value;
            }
            steps.push((line.number as f64, best));
        }
        let dots = self.lines.iter().filter(|line| line.value.is_finite()).map(|line| {
            let (name, class) =
                if line.is_trained { ("trained to its end", "blue") } else { ("left at a rung", "orange") };
            Mark::new(name, class, Shape::Dot((line.number as f64, line.value)))
        });
        let marks = [Mark::line("best so far", "ink", steps)].into_iter().chain(dots).collect();
        let (name, y_scale) = (self.metric.clone(), self.scale());
        let panel = Panel { name, height: TALL / 1.3, y_scale, marks, ..Panel::default() };
        Chart {
            title: format!("{} of each trial", self.metric),
            description:
                "Where the line has been level for long, more trials of the same space will hardly help. A trial \
                          that was left is where it was then."
                    .into(),
            x_name: "trial".into(),
            x_scale: Scale::Whole,
            panels: vec![panel],
            ..Chart::default()
        }
        .draw()
    }
}

/// A vertical axis with its name above and its ticks at the left.
fn draw_axis(drawing: &mut Drawing, x: f64, name: &str, width: f64, ticks: &[(f64, String)]) {
    drawing.text("small", [x, TOP - 16.0], Anchor::Middle, &fitted(name, width - 8.0, SMALL_SIZE));
    drawing.line("axis", [x, TOP], [x, BOTTOM]);
    for (position, text) in ticks {
        let y = BOTTOM - position * (BOTTOM - TOP);
        drawing.line("axis", [x - 4.0, y], [x, y]);
        let text = fitted(text, width.min(120.0) - 16.0, TEXT_SIZE);
        let anchor = if x - 8.0 - text_width(&text, TEXT_SIZE) < 4.0 {
            [4.0 + text_width(&text, TEXT_SIZE), y]
        } else {
            [x - 8.0, y]
        };
        drawing.text("small halo", [anchor[0], anchor[1] + 4.0], Anchor::End, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_markup;
    use super::*;

    fn chart(values: &[f64], higher: bool) -> SweepChart {
        let ticks = vec![(0.0, "0.1".to_owned()), (1.0, "<b>&".to_owned())];
        SweepChart {
            title: "<t>".into(),
            metric: "loss & co".into(),
            is_higher_better: higher,
            axes: ["a", "b<"].map(|name| SweepAxis { name: name.into(), ticks: ticks.clone() }).into(),
            lines: values
                .iter()
                .enumerate()
                .map(|(index, value)| SweepLine {
                    number: index + 1,
                    positions: vec![0.2, 0.8],
                    value: *value,
                    is_trained: index % 3 < 2,
                    is_best: index == 1,
                })
                .collect(),
        }
    }

    #[test]
    fn a_trial_without_a_value_has_no_line_and_the_best_is_drawn_last() {
        let svg = chart(&[0.5, 0.25, 0.75, f64::NAN], false).draw().file();
        check_markup(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let across: Vec<&str> = svg.lines().filter(|line| line.starts_with("<path") && line.contains("L")).collect();
        assert_eq!(across.iter().take_while(|line| !line.contains("\"ink\"")).count(), 3, "{across:?}");
        assert!(across[2].contains("class=\"blue\""), "{across:?}");
    }

    #[test]
    fn the_best_so_far_is_the_lowest_or_the_highest_up_to_each_trial() {
        for (higher, levels) in [(false, 2), (true, 1)] {
            let svg = chart(&[0.5, f64::NAN, 0.25, 0.3], higher).progress().file();
            // The last is that of the legend.
            let path = svg.lines().filter(|line| line.contains("class=\"ink\"")).max_by_key(|line| line.len()).unwrap();
            let points = path.split("d=\"").nth(1).unwrap().split(['M', 'L']).skip(1);
            let heights: std::collections::BTreeSet<&str> =
                points.map(|point| point.split([' ', '"']).nth(1).unwrap()).collect();
            assert_eq!(heights.len(), levels, "{path}");
        }
    }

    #[test]
    fn no_values_at_all_are_a_picture_too() {
        for values in [&[][..], &[f64::NAN], &[1.0]] {
            let svg = chart(values, false).draw().file();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
