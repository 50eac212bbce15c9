//! What the pictures of a run show.

use bptt::train::{Best, Metrics};

use super::report::Figure;

use super::chart::{Band, Chart, Line};

/// More points than this say nothing more on a chart of this width.
const POINTS: usize = 600;

/// The loss of what needs no network, to be drawn beside the run's.
pub(crate) struct Baseline {
    pub(crate) name: String,
    pub(crate) loss: f64,
}

/// The training loss, the validation loss and the baseline. `per_epoch`: x counts epochs of so many steps.
pub(crate) fn loss_svg(
    title: String,
    y_name: &str,
    history: &[Metrics],
    per_epoch: Option<u64>,
    baseline: Option<&Baseline>,
) -> String {
    let x = |step: f64| per_epoch.map_or(step, |steps| step / steps as f64);
    let bins = |size: usize| {
        let middle = |bin: &[Metrics]| {
            let n = bin.len() as f64;
            let step = bin.iter().map(|metrics| metrics.step as f64).sum::<f64>() / n;
            (x(step), bin.iter().map(|metrics| metrics.loss).sum::<f64>() / n)
        };
        history.chunks(size.max(1)).map(middle).collect::<Vec<_>>()
    };
    let measured = history.iter().filter_map(|metrics| Some((x(metrics.step as f64), metrics.val_loss?)));
    let mean = match per_epoch.filter(|steps| *steps > 1 && history.len() as u64 >= 4 * steps) {
        Some(steps) => ("training, mean of an epoch".to_owned(), steps as usize),
        None => {
            let size = rounded_up(history.len().div_ceil(80));
            (if size > 1 { format!("training, mean of {size} steps") } else { "training".into() }, size)
        }
    };
    let line = |name: &str, class, points| Line { name: name.into(), class, points };
    let mut lines = vec![line(&mean.0, "blue", bins(mean.1)), line("validation", "orange", measured.collect())];
    if mean.1 > 1 {
        lines.insert(0, line("each step", "faint", bins(history.len().div_ceil(POINTS))));
    }
    if let (Some(baseline), Some(last)) = (baseline, history.last()) {
        lines.push(line(&baseline.name, "thin", vec![(0.0, baseline.loss), (x(last.step as f64), baseline.loss)]));
    }
    lines.retain(|line| !line.points.is_empty());
    let values = || lines.iter().flat_map(|line| &line.points).map(|(_, loss)| *loss);
    let (least, most) = values().fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), v| (a.min(v), b.max(v)));
    Chart {
        title,
        x_name: if per_epoch.is_some() { "epoch" } else { "step" }.into(),
        y_name: y_name.into(),
        logarithmic: least > 0.0 && most > 6.0 * least,
        x_labels: None,
        x_from_0: true,
        bands: Vec::new(),
        lines,
    }
    .svg()
}

/// 1, 2 or 5 times a power of ten.
fn rounded_up(count: usize) -> usize {
    let power = 10usize.pow(count.max(1).ilog10());
    [1, 2, 5, 10].map(|factor| factor * power).into_iter().find(|size| *size >= count).unwrap_or(count)
}

/// Truth, forecast and naive forecast over the rows after training.
pub(crate) struct Forecast<'a> {
    pub(crate) title: String,
    pub(crate) name: &'a str,
    pub(crate) label_name: &'a str,
    /// Numbers, where the labels are such; otherwise x counts rows.
    pub(crate) positions: Option<Vec<f64>>,
    pub(crate) labels: &'a [String],
    /// The series, all of it.
    pub(crate) truth: &'a [f64],
    /// The first row that is forecast, and the forecasts from there on.
    pub(crate) first: usize,
    pub(crate) forecast: &'a [f64],
    /// Names and first rows of the parts, in order.
    pub(crate) parts: Vec<(&'a str, usize)>,
}

impl Forecast<'_> {
    pub(crate) fn svg(&self) -> String {
        let end = self.first + self.forecast.len();
        // The end of a long series, so that its single steps can be seen.
        let start = self.first.max(end.saturating_sub(POINTS));
        let x = |row: usize| self.positions.as_ref().map_or(row as f64, |positions| positions[row]);
        let points = |value: &dyn Fn(usize) -> f64| (start..end).map(|row| (x(row), value(row))).collect();
        let line = |name: &str, class, points| Line { name: name.into(), class, points };
        let lines = vec![
            line("truth", "ink", points(&|row| self.truth[row])),
            line("last value", "thin", points(&|row| self.truth[row - 1])),
            line("forecast", "blue", points(&|row| self.forecast[row - self.first])),
        ];
        let ends = self.parts.iter().skip(1).map(|(_, first)| *first).chain([end]);
        let bands = self.parts.iter().zip(ends).filter(|(_, until)| *until > start).map(|((name, from), until)| Band {
            name: (*name).into(),
            from: x((*from).max(start)),
            until: x(until.min(end - 1)),
        });
        Chart {
            title: self.title.clone(),
            x_name: self.label_name.into(),
            y_name: self.name.into(),
            logarithmic: false,
            x_labels: self.positions.is_none().then(|| self.labels.to_vec()),
            x_from_0: false,
            bands: bands.collect(),
            lines,
        }
        .svg()
    }
}

pub(crate) fn loss(
    title: String,
    y_name: &str,
    history: &[Metrics],
    per_epoch: Option<u64>,
    baseline: Option<&Baseline>,
    _: Option<Best>,
) -> Figure {
    Figure {
        file: "loss.svg".into(),
        caption: String::new(),
        svg: loss_svg(title, y_name, history, per_epoch, baseline),
    }
}

pub(crate) fn gradient_norm(_: &[Metrics], _: Option<u64>, _: Option<f64>) -> Figure {
    Figure { file: "gradient_norm.svg".into(), caption: String::new(), svg: String::new() }
}

pub(crate) fn sample(_: &str, _: &str, _: f64) -> Figure {
    Figure { file: "sample.svg".into(), caption: String::new(), svg: String::new() }
}
