//! Signals that are read from others, beside the truth.

use super::chart::Mark;
use super::drawing::Drawing;
use super::forecast::{PANELS, RowAxis};
use super::steps::POINTS;

/// Estimates of rows beside the truth.
pub struct SignalChart<'a> {
    /// The title of the picture.
    pub title: String,
    /// What to look for.
    pub description: String,
    /// The rows of the signal.
    pub rows: RowAxis<'a>,
    /// The row of the first value of each line.
    pub first: usize,
    /// The targets; the first six have a panel each.
    pub targets: Vec<SignalTarget<'a>>,
}

/// The lines of a target, in the order of drawing.
pub struct SignalTarget<'a> {
    /// The name of the target.
    pub name: &'a str,
    /// Its lines.
    pub lines: Vec<SignalLine<'a>>,
}

/// A value for each row.
pub struct SignalLine<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// Its class in the style sheet: a colour.
    pub class: &'a str,
    /// The values; NaN is not drawn.
    pub values: &'a [f64],
}

impl SignalChart<'_> {
    /// Draws the end of a long signal, so that its rows can be distinguished.
    pub fn draw(&self) -> Drawing {
        let lines = self.targets.iter().flat_map(|target| &target.lines);
        let count = lines.map(|line| line.values.len()).max().unwrap_or_default();
        let skipped = count.saturating_sub(POINTS);
        let mark = |line: &SignalLine<'_>| {
            let values = line.values.iter().enumerate().skip(skipped);
            let points = values.map(|(row, value)| (self.rows.x(self.first + row), *value));
            Mark::line(line.name, line.class, points.collect())
        };
        let targets = self.targets.iter().take(PANELS);
        let targets = targets.map(|target| (target.name, target.lines.iter().map(mark).collect()));
        self.rows.draw(&self.title, self.description.clone(), self.first + count, targets.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_signal_is_drawn_with_a_line_for_each_name() {
        let values: Vec<f64> = (0..1000).map(|row| f64::from(row % 50)).collect();
        let positions: Vec<f64> = (0..1200).map(|row| f64::from(row) * 0.5).collect();
        let rows = RowAxis { name: "ms", positions: Some(&positions), labels: &[] };
        let line = |name, class| SignalLine { name, class, values: &values };
        let targets = vec![SignalTarget { name: "y", lines: vec![line("truth", "ink"), line("network", "blue")] }];
        let chart = SignalChart { title: "t".into(), description: "d".into(), rows, first: 200, targets };
        let svg = chart.draw().file();
        assert!(svg.contains(">truth<") && svg.contains(">network<") && svg.contains(">ms<"), "{svg}");
        let begin = "<path class=\"blue\" d=\"M";
        let longest = svg.lines().filter(|line| line.contains(begin)).map(|line| line.split('L').count()).max();
        assert_eq!(longest, Some(POINTS));
        let empty = SignalChart { title: "t".into(), description: "d".into(), rows, first: 0, targets: Vec::new() };
        assert!(!empty.draw().file().contains("NaN"));
    }
}
