//! The norms of ∂L/∂h_t over the steps, from the last one to the first as the gradient flows.

use super::chart::{Chart, Mark, Panel, Scale};
use super::drawing::Drawing;

const COLOURS: [&str; 4] = ["blue", "orange", "green", "violet"];

/// The norms of a layer and direction.
pub struct GradientLine {
    /// The name in the legend.
    pub name: String,
    /// The number of its colour. The directions of a layer have the same.
    pub colour: usize,
    /// Whether it belongs to the reverse direction, in which the gradient flows forward in time: it is thinner.
    pub is_reverse: bool,
    /// The norm at each t.
    pub norms: Vec<f64>,
    /// The factor of clipping: 1 if the gradient was not clipped.
    pub clip_factor: f64,
}

/// The lines to compare in one panel.
pub struct GradientPanel {
    /// The name of the panel.
    pub name: String,
    /// The lines, in the order of drawing.
    pub lines: Vec<GradientLine>,
}

/// Panels of gradient norms above one another on the same axes.
pub fn gradient_flow(title: &str, description: &str, panels: &[GradientPanel]) -> Drawing {
    let lines = || panels.iter().flat_map(|panel| &panel.lines);
    let x_name = if lines().any(|line| line.is_reverse) {
        "step t: the gradient flows →, in the reverse direction ←"
    } else {
        "step t: the gradient flows back in time →"
    };
    let panels = panels.iter().map(|panel| Panel {
        name: panel.name.clone(),
        height: 232.0,
        y_scale: Scale::Logarithmic,
        marks: panel.lines.iter().flat_map(GradientLine::marks).collect(),
        ..Panel::default()
    });
    Chart {
        title: title.into(),
        description: description.into(),
        x_name: x_name.into(),
        x_scale: Scale::Whole,
        x_from_0: true,
        x_reversed: true,
        y_shared: true,
        panels: panels.collect(),
        ..Chart::default()
    }
    .draw()
}

impl GradientLine {
    fn marks(&self) -> Vec<Mark> {
        let colour = COLOURS[self.colour % COLOURS.len()];
        let points = |factor: f64| self.norms.iter().enumerate().map(|(t, norm)| (t as f64, norm * factor)).collect();
        let mut marks = Vec::new();
        if self.clip_factor < 1.0 {
            // The legend has one dotted line for all.
            marks.push(Mark::line("after clipping", "ink dotted", Vec::new()));
            marks.push(Mark::line("", format!("{colour} dotted"), points(self.clip_factor)));
        }
        let class = if self.is_reverse { format!("{colour} fine") } else { colour.into() };
        marks.push(Mark::line(&self.name, class, points(1.0)));
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart::tests::no_text_lies_over_another;
    use super::*;

    fn line(name: &str, norms: Vec<f64>) -> GradientLine {
        GradientLine { name: name.into(), colour: 0, is_reverse: false, norms, clip_factor: 1.0 }
    }

    fn svg(lines: Vec<GradientLine>) -> String {
        gradient_flow("t", "d", &[GradientPanel { name: "p".into(), lines }]).file()
    }

    #[test]
    fn the_last_step_is_on_the_left() {
        let svg = svg(vec![line("alone", vec![3.0, 30.0])]);
        let place = |text: &str| {
            let line = svg.lines().find(|line| line.ends_with(&format!(">{text}</text>"))).unwrap();
            line.split(" x=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(place("1") < place("0"), "{svg}");
    }

    #[test]
    fn the_legend_names_every_line_and_no_name_overlaps_another() {
        let names: Vec<String> = (0..12).map(|n| format!("run {n} ×0.98 per step")).collect();
        let svg = svg(names.iter().map(|name| line(name, vec![1.0, 10.0])).collect());
        no_text_lies_over_another(&svg);
        names.iter().for_each(|name| assert_eq!(svg.matches(&format!(">{name}<")).count(), 1, "{svg}"));
    }

    #[test]
    fn nothing_that_a_norm_can_be_breaks_the_picture() {
        for norms in [vec![], vec![0.0], vec![1.0], vec![0.0, f64::NAN, 1e-38], vec![f64::INFINITY, 1e300, 0.0]] {
            let svg = svg(vec![line("a", norms.clone()), GradientLine { clip_factor: 0.01, ..line("b", norms) }]);
            let drawn = svg.lines().filter(|line| line.starts_with("<path") || line.starts_with("<line"));
            drawn.for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
    }
}
