//! The forecasts of a backtest over the truth, and their errors by fold and by step ahead.

use super::super::chart::{Chart, Mark, Panel, Scale, TALL};
use super::super::drawing::Drawing;
use super::{RolloutChart, RolloutTarget, RowAxis};

/// The classes of the lines: the network, and what it is compared with.
const CLASSES: [&str; 5] = ["blue", "thin", "orange", "violet", "green"];

/// Forecasts from several origins, and their errors beside those of others.
pub struct BacktestChart<'a> {
    /// The title of the picture.
    pub title: String,
    /// The rows of the series.
    pub rows: RowAxis<'a>,
    /// K: the number of rows of a forecast.
    pub horizon: usize,
    /// The outermost quantiles of a quantile forecast.
    pub range: Option<[f64; 2]>,
    /// The targets with their forecasts; the first six have a panel each.
    pub targets: Vec<RolloutTarget<'a>>,
    /// The name of the error.
    pub measure: &'a str,
    /// The label of each origin.
    pub origins: Vec<String>,
    /// The errors of each forecaster, the network first.
    pub lines: Vec<ErrorLine<'a>>,
}

/// The errors of a forecaster; NaN if unknown.
pub struct ErrorLine<'a> {
    /// The name of the forecaster.
    pub name: &'a str,
    /// One for each origin.
    pub by_fold: Vec<f64>,
    /// One for each step ahead.
    pub by_step: Vec<f64>,
}

impl BacktestChart<'_> {
    /// Draws the forecasts, and below them the errors by fold and by step, unless there is only one.
    pub fn draw(self) -> Drawing {
        let Self { title, rows, horizon, range, targets, measure, origins, lines } = self;
        let errors = |of: for<'b> fn(&'b ErrorLine<'b>) -> &'b [f64], first: usize| {
            let points = |line| (first..).map(|x| x as f64).zip(of(line).iter().copied()).collect();
            let classes = CLASSES.into_iter().chain(std::iter::repeat("faint"));
            let marks = lines.iter().zip(classes).map(|(line, class)| Mark::line(line.name, class, points(line)));
            // The network is drawn over the others, and named first.
            let mut marks: Vec<Mark> = marks.collect();
            marks.extend(lines.first().map(|line| Mark::line("", CLASSES[0], points(line))));
            vec![Panel { name: measure.into(), height: TALL / 1.5, y_from_0: true, marks, ..Panel::default() }]
        };
        let folds = (origins.len() > 1).then(|| {
            Chart {
                title: format!("{measure} by fold"),
                description:
                    "Where the network's line is below the others in most folds, it is better whatever the year; \
                              a single fold may be luck."
                        .into(),
                x_name: "origin".into(),
                x_scale: Scale::Rows(origins),
                panels: errors(|line| &line.by_fold, 0),
                ..Chart::default()
            }
            .draw()
        });
        let steps = (horizon > 1).then(|| {
            Chart {
                title: format!("{measure} by step ahead"),
                description:
                    "The errors of all folds at each step: they usually grow with it, and how fast tells which \
                              forecast to use how far ahead."
                        .into(),
                x_name: "steps ahead".into(),
                x_scale: Scale::Whole,
                panels: errors(|line| &line.by_step, 1),
                ..Chart::default()
            }
            .draw()
        });
        let forecasts = RolloutChart { title, rows, horizon, range, widened: false, targets }.draw();
        folds.into_iter().chain(steps).fold(forecasts, Drawing::above)
    }
}

#[cfg(test)]
mod tests {
    use super::super::RolledOut;
    use super::*;

    fn chart<'a>(labels: &'a [String], truth: &'a [f64], folds: usize, horizon: usize) -> BacktestChart<'a> {
        let rolled = |fold: usize| RolledOut { first: 4 + fold, values: vec![1.0; horizon], range: None };
        BacktestChart {
            title: "t".into(),
            rows: RowAxis { name: "t", positions: None, labels },
            horizon,
            range: None,
            targets: vec![RolloutTarget { name: "a", truth, forecasts: (0..folds).map(rolled).collect() }],
            measure: "RMSE",
            origins: labels[..folds].to_vec(),
            lines: ["network", "drift"]
                .map(|name| ErrorLine { name, by_fold: vec![1.0; folds], by_step: vec![2.0; horizon] })
                .into(),
        }
    }

    #[test]
    fn errors_have_a_picture_by_fold_and_by_step_where_there_are_several() {
        let labels: Vec<String> = (0..12).map(|row| format!("row {row}")).collect();
        let truth = [1.0; 12];
        let svg = |folds, horizon| chart(&labels, &truth, folds, horizon).draw().file();
        let has = |svg: &str| [">RMSE by fold<", ">RMSE by step ahead<"].map(|title| svg.contains(title));
        assert_eq!(has(&svg(3, 4)), [true, true]);
        assert_eq!((has(&svg(1, 4)), has(&svg(3, 1)), has(&svg(1, 1))), ([false, true], [true, false], [false; 2]));
        let all = svg(3, 4);
        assert_eq!((all.matches("<svg").count(), all.matches("</g>").count()), (1, 2));
        // As high as its three parts.
        let height: f64 = all.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(height > 900.0, "{height}");
    }
}
