//! Forecasts of series beside the truth.

use super::chart::{Area, Band, Chart, Dot, Line, Panel, TALL};
use super::drawing::Drawing;
use super::steps::POINTS;
use crate::format::share;

/// More panels than this do not fit on a page.
const PANELS: usize = 6;

/// The rows of the data, as the x axis has them.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// What the labels are called.
    pub name: &'a str,
    /// The rows as numbers, where they are such; otherwise x counts rows and shows their labels.
    pub positions: Option<&'a [f64]>,
    /// The labels of the rows, by their number.
    pub labels: &'a [String],
}

impl Rows<'_> {
    /// Past the last row in the steps of the last two.
    fn x(&self, row: usize) -> f64 {
        let Some(positions) = self.positions else { return row as f64 };
        match (positions.get(row), positions) {
            (Some(position), _) => *position,
            (None, [.., before, last]) => last + (last - before) * (row + 1 - positions.len()) as f64,
            (None, _) => row as f64,
        }
    }

    /// Whether there is nothing between the positions, as with years.
    fn count(&self) -> bool {
        self.positions.is_some_and(|positions| positions.iter().all(|position| position.fract() == 0.0))
    }

    /// The labels of an x axis that counts rows; `+1`, `+2`, … past the last row.
    fn x_labels(&self, end: usize) -> Option<Vec<String>> {
        let past = (1..=end.saturating_sub(self.labels.len())).map(|step| format!("+{step}"));
        self.positions.is_none().then(|| self.labels.iter().cloned().chain(past).collect())
    }
}

/// Truth, forecasts and naive forecasts over the rows after training.
pub struct ForecastChart<'a> {
    /// The heading of the picture.
    pub title: String,
    /// The rows that the picture can show.
    pub rows: Rows<'a>,
    /// The first row that is forecast.
    pub first: usize,
    /// H: how many rows are forecast at a time.
    pub horizon: usize,
    /// The period of the naive forecast beside it: 1 is the last value's, another a season's.
    pub period: usize,
    /// The quantiles of the targets' ranges.
    pub range: Option<[f64; 2]>,
    /// The targets, one panel each.
    pub targets: Vec<ForecastTarget<'a>>,
    /// Names and first rows of the parts, in order.
    pub parts: Vec<(&'a str, usize)>,
}

/// A forecast column.
pub struct ForecastTarget<'a> {
    /// The name of the target's column.
    pub name: &'a str,
    /// The column, all of it.
    pub truth: &'a [f64],
    /// \[N, H\]: element n, h is of row `first` + n + h, and was made from the rows before `first` + n.
    pub forecast: &'a [f64],
    /// The outermost quantiles, likewise.
    pub range: Option<[&'a [f64]; 2]>,
}

/// What the legend calls a range of quantiles.
fn range_name(range: Option<[f64; 2]>) -> String {
    range.map(|[low, high]| format!("quantiles {low} to {high}")).unwrap_or_default()
}

/// `1 step`, `24 steps`.
fn steps(count: usize) -> String {
    if count == 1 { "1 step".into() } else { format!("{count} steps") }
}

impl ForecastChart<'_> {
    /// A panel a target, the first six of them. Of longer horizons it shows the first step and the last.
    pub fn draw(&self) -> Drawing {
        let horizon = self.horizon.max(1);
        let count = self.targets.iter().map(|target| target.forecast.len() / horizon).max().unwrap_or_default();
        let end = self.first + (count + horizon).saturating_sub(1);
        let panels = self.targets.len().min(PANELS);
        let height = if panels > 1 { 150.0 } else { TALL };
        let targets = self.targets.iter().take(PANELS).enumerate();
        let panels = targets.map(|(index, target)| self.panel(target, end, height, index == 0)).collect();
        let range =
            self.range.map(|[low, high]| format!(" The shaded range should hold {} of the truth.", share(high - low)));
        let trailing = "a forecast that trails the truth by as much as the dashed line has learned to repeat it";
        let beside = match self.period {
            1 => format!("the forecast that nothing changes; {trailing}"),
            _ => "the forecast that everything is as it was a season before".into(),
        };
        let description = format!(
            "The forecast should follow the truth more closely than the dashed line, {beside}.{}",
            range.unwrap_or_default()
        );
        Chart {
            title: self.title.clone(),
            description,
            x_name: self.rows.name.into(),
            x_labels: self.rows.x_labels(end),
            x_counts: self.rows.count(),
            x_from_0: false,
            panels,
        }
        .draw()
    }

    fn panel(&self, target: &ForecastTarget<'_>, end: usize, height: f64, first_panel: bool) -> Panel {
        let horizon = self.horizon.max(1);
        // The end of a long series, so that its single steps can be seen.
        let start = self.first.max(end.saturating_sub(POINTS));
        let points = |value: &dyn Fn(usize) -> Option<f64>| {
            (start..end).filter_map(|row| Some((self.rows.x(row), value(row)?))).collect::<Vec<_>>()
        };
        let truth = |row: usize| target.truth.get(row).copied();
        let of_step = |values: &[f64], row: usize, step: usize| {
            let n = (row + 1).checked_sub(self.first + step)?;
            values.get(n * horizon + step - 1).copied()
        };
        let ahead = |step: usize| points(&|row: usize| of_step(target.forecast, row, step));
        let range = |step: usize, class: &'static str| {
            let [low, high] = target.range?;
            let points = (start..end)
                .filter_map(|row| Some((self.rows.x(row), [of_step(low, row, step)?, of_step(high, row, step)?])));
            Some(Area { name: String::new(), class, points: points.collect() })
        };
        // As many whole periods before as the longest of the steps needs.
        let before = horizon.div_ceil(self.period.max(1)) * self.period.max(1);
        let naive = points(&|row| truth(row.checked_sub(before)?).filter(|_| row + 1 >= self.first + horizon));
        let naive_name = match before {
            1 => "last value".to_owned(),
            _ => format!("value {before} steps before"),
        };
        let mut lines = match horizon {
            1 => vec![Line::new(naive_name, "thin", naive), Line::new("forecast", "blue", ahead(1))],
            _ => vec![
                Line::new(naive_name, "thin", naive),
                Line::new(format!("{horizon} steps ahead"), "orange", ahead(horizon)),
                Line::new("1 step ahead", "blue", ahead(1)),
            ],
        };
        lines.insert(0, Line::new("truth", "ink", points(&truth)));
        // All panels have the same lines.
        lines.iter_mut().filter(|_| !first_panel).for_each(|line| line.name.clear());
        let ends = self.parts.iter().skip(1).map(|(_, first)| *first).chain([end]);
        let bands = self.parts.iter().zip(ends).enumerate().filter(|(_, (_, until))| *until > start);
        let bands = bands.map(|(index, ((name, from), until))| Band {
            name: if first_panel { (*name).into() } else { String::new() },
            from: self.rows.x((*from).max(start)),
            until: self.rows.x(until.min(end - 1)),
            // Every other one, so that two neighbours differ.
            shaded: index % 2 == 1,
        });
        let mut panel = Panel::new(target.name, height, lines);
        panel.bands = bands.collect();
        // Of longer horizons the last step's, which is the widest.
        panel.areas = range(horizon, if horizon == 1 { "blue" } else { "orange" }).into_iter().collect();
        if first_panel {
            panel.areas.iter_mut().for_each(|area| area.name = range_name(self.range));
        }
        panel
    }
}

/// Forecasts that read nothing of what comes after their first row, from one row or several.
pub struct RolloutChart<'a> {
    /// The heading of the picture.
    pub title: String,
    /// The rows that the picture can show.
    pub rows: Rows<'a>,
    /// H: how many rows a forecast goes on for before the network reads its own.
    pub horizon: usize,
    /// The quantiles of the forecasts' ranges.
    pub range: Option<[f64; 2]>,
    /// The targets, one panel each.
    pub targets: Vec<RolloutTarget<'a>>,
}

/// A forecast column.
pub struct RolloutTarget<'a> {
    /// The name of the target's column.
    pub name: &'a str,
    /// What is known of the column.
    pub truth: &'a [f64],
    /// The forecasts, each from its own first row on.
    pub forecasts: Vec<Onward>,
}

/// A forecast from a row on.
pub struct Onward {
    /// The first row that is forecast.
    pub first: usize,
    /// The forecast values, one for each row.
    pub values: Vec<f64>,
    /// The outermost quantiles.
    pub range: Option<[Vec<f64>; 2]>,
}

impl RolloutChart<'_> {
    /// A panel a target, the first six of them: what is known, and the forecasts going on from it.
    pub fn draw(&self) -> Drawing {
        let targets = || self.targets.iter().take(PANELS);
        let forecasts = || targets().flat_map(|target| &target.forecasts);
        let known = targets().map(|target| target.truth.len()).max().unwrap_or_default();
        let end = forecasts().map(|of| of.first + of.values.len()).max().unwrap_or_default().max(known);
        let first = forecasts().map(|of| of.first).min().unwrap_or(end);
        let longest = forecasts().map(|of| of.values.len()).max().unwrap_or_default();
        // Enough of the past to see what there is to go on with.
        let start = first.saturating_sub((2 * longest).max(40)).max(end.saturating_sub(2 * POINTS));
        let height = if targets().count() > 1 { 150.0 } else { TALL };
        let x = |row: usize| self.rows.x(row);
        let panel = |(index, target): (usize, &RolloutTarget<'_>)| {
            let name = |name: &'static str| if index == 0 { name } else { "" };
            let value = |row: usize| target.truth.get(row).copied();
            let truth = (start..end.min(target.truth.len())).map(|row| (x(row), target.truth[row])).collect();
            let mut lines = vec![Line::new(name("truth"), "ink", truth)];
            let (mut dots, mut areas) = (Vec::new(), Vec::new());
            for (number, Onward { first, values, range }) in target.forecasts.iter().enumerate() {
                // Joined to the last value it goes on from.
                let from = first.checked_sub(1).and_then(|row| Some((x(row), value(row)?)));
                if let Some([low, high]) = range {
                    let heights =
                        low.iter().zip(high).enumerate().map(|(n, (low, high))| (x(first + n), [*low, *high]));
                    let beyond: Vec<_> = heights.clone().skip(self.horizon.saturating_sub(1)).collect();
                    let within = heights.take(self.horizon);
                    let points = from.map(|(x, y)| (x, [y, y])).into_iter().chain(within).collect();
                    let named = |name: String| if number == 0 && index == 0 { name } else { String::new() };
                    areas.push(Area { name: named(range_name(self.range)), class: "blue", points });
                    if beyond.len() > 1 {
                        let name = format!("not widened beyond {}", steps(self.horizon));
                        areas.push(Area { name: named(name), class: "beyond", points: beyond });
                    }
                }
                let points = from.into_iter().chain(values.iter().enumerate().map(|(n, v)| (x(first + n), *v)));
                lines.push(Line::new(if number == 0 { name("forecast") } else { "" }, "blue", points.collect()));
                dots.extend(from.map(|at| Dot { text: String::new(), class: "blue", at }));
            }
            let mut panel = Panel::new(target.name, height, lines);
            if end > known && known > 0 {
                let band = name("after the data").into();
                panel.bands.push(Band { name: band, from: x(known - 1), until: x(end - 1), shaded: true });
            }
            panel.dots = dots;
            panel.areas = areas;
            panel
        };
        let panels = targets().enumerate().map(panel).collect();
        let mut description = if longest > self.horizon {
            "From each dot on the network reads its own forecasts instead of the data: look whether level and rhythm \
                 stay plausible while errors add up."
        } else {
            "From each dot on nothing of the data is known: look how far level and rhythm are met."
        }
        .to_owned();
        if self.range.is_some() && longest > self.horizon {
            description += " Within the dashed outline each range is as if the forecasts before it had come: in truth it is wider.";
        }
        Chart {
            title: self.title.clone(),
            description,
            x_name: self.rows.name.into(),
            x_labels: self.rows.x_labels(end),
            x_counts: self.rows.count(),
            x_from_0: false,
            panels,
        }
        .draw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|row| format!("row <{row}>")).collect()
    }

    /// The points of the first path of a class with more than a legend's two.
    fn points<'a>(svg: &'a str, class: &str) -> Vec<&'a str> {
        let begin = format!("<path class=\"{class}\" d=\"M");
        let paths = svg.lines().filter_map(|line| line.strip_prefix(&begin)?.strip_suffix("\"/>"));
        paths.map(|path| path.split('L').collect::<Vec<_>>()).next().unwrap_or_default()
    }

    #[test]
    fn a_perfect_forecast_of_any_step_ahead_lies_on_the_truth() {
        let truth: Vec<f64> = (0..30).map(|row| (row * row % 17) as f64).collect();
        let (first, horizon) = (10, 4);
        let forecast: Vec<f64> = (0..17).flat_map(|n| truth[first + n..][..horizon].to_vec()).collect();
        let labels = labels(30);
        let rows = Rows { name: "t", positions: None, labels: &labels };
        let targets = vec![ForecastTarget { name: "a", truth: &truth, forecast: &forecast, range: None }];
        let svg = ForecastChart {
            title: "t".into(),
            rows,
            first,
            horizon,
            period: 1,
            range: None,
            targets,
            parts: vec![("test", first)],
        }
        .draw()
        .file();
        let (truth, near, far) = (points(&svg, "ink"), points(&svg, "blue"), points(&svg, "orange"));
        assert_eq!((truth.len(), near.len(), far.len()), (20, 17, 17));
        assert_eq!(near, truth[..17]);
        assert_eq!(far, truth[3..]);
        assert!(svg.contains(">4 steps ahead<") && svg.contains(">value 4 steps before<"));
        assert!(!svg.contains("row <"), "labels are escaped");
    }

    #[test]
    fn each_target_has_a_panel_and_the_first_alone_a_legend() {
        let (truth, forecast) = ([1.0, 2.0, 3.0, 2.0], [2.0, 2.5]);
        let names: Vec<String> = (0..8).map(|n| format!("column {n}")).collect();
        let target = |name| ForecastTarget { name, truth: &truth, forecast: &forecast, range: None };
        let targets = names.iter().map(|name| target(name)).collect();
        let labels = labels(4);
        let rows = Rows { name: "t", positions: None, labels: &labels };
        let parts = Vec::new();
        let svg =
            ForecastChart { title: "t".into(), rows, first: 2, horizon: 1, period: 1, range: None, targets, parts }
                .draw()
                .file();
        assert_eq!(svg.matches(">truth<").count(), 1);
        assert!(svg.contains(">column 5<") && !svg.contains(">column 6<"));
    }

    #[test]
    fn the_dashed_line_is_the_naive_forecast_of_the_period() {
        let truth: Vec<f64> = (0..40).map(|row| f64::from(row % 7 * row)).collect();
        let labels = labels(40);
        let rows = Rows { name: "t", positions: None, labels: &labels };
        let draw = |horizon: usize, period: usize| {
            let forecast = vec![1.0; 10 * horizon];
            let targets = vec![ForecastTarget { name: "a", truth: &truth, forecast: &forecast, range: None }];
            let parts = vec![("test", 20)];
            ForecastChart { title: "t".into(), rows, first: 20, horizon, period, range: None, targets, parts }
                .draw()
                .file()
        };
        for (horizon, period, name) in [
            (1, 1, ">last value<"),
            (1, 7, ">value 7 steps before<"),
            (3, 7, ">value 7 steps before<"),
            (9, 7, ">value 14 steps before<"),
        ] {
            assert!(draw(horizon, period).contains(name), "{horizon} {period}");
        }
        assert!(draw(3, 7).contains("a season before") && draw(3, 1).contains("nothing changes"));
    }

    #[test]
    fn ranges_beyond_the_horizon_are_marked_and_none_within() {
        let (truth, labels) = ([1.0, 2.0, 3.0], labels(3));
        let rows = Rows { name: "t", positions: None, labels: &labels };
        let draw = |horizon: usize| {
            let range = Some([vec![3.0, 2.0, 3.0], vec![5.0, 6.0, 5.0]]);
            let forecasts = vec![Onward { first: 3, values: vec![4.0; 3], range }];
            let targets = vec![RolloutTarget { name: "a", truth: &truth, forecasts }];
            RolloutChart { title: "t".into(), rows, horizon, range: Some([0.1, 0.9]), targets }.draw().file()
        };
        let (near, far) = (draw(3), draw(2));
        assert!(!near.contains("\"area beyond\"") && !near.contains("not widened"));
        // In the panel and in the legend.
        assert_eq!((far.matches("\"area beyond\"").count(), far.matches("\"area blue\"").count()), (2, 2));
        assert!(far.contains(">not widened beyond 2 steps<") && draw(1).contains(">not widened beyond 1 step<"));
    }

    #[test]
    fn a_rolled_forecast_goes_on_from_the_last_value_into_rows_without_labels() {
        let truth = [1.0, 2.0, 3.0];
        let labels = labels(3);
        let rows = Rows { name: "t", positions: None, labels: &labels };
        let onward = || Onward { first: 3, values: vec![4.0, 5.0], range: None };
        let target = || RolloutTarget { name: "a", truth: &truth, forecasts: vec![onward()] };
        let draw =
            |rows| RolloutChart { title: "t".into(), rows, horizon: 1, range: None, targets: vec![target()] }.draw();
        let svg = draw(rows).file();
        let (truth, forecast) = (points(&svg, "ink"), points(&svg, "blue"));
        assert_eq!((truth.len(), forecast.len()), (3, 3));
        assert_eq!(truth[2], forecast[0]);
        assert!(svg.contains(">+2<") && svg.contains(">after the data<"));
        let years = [1.0, 2.0, 3.0].map(|year| year + 2000.0);
        let rows = Rows { positions: Some(&years), ..rows };
        assert_eq!([2, 3, 4].map(|row| rows.x(row)), [2003.0, 2004.0, 2005.0]);
        assert!(!draw(rows).file().contains("+2"));
    }

    #[test]
    fn nothing_to_draw_and_what_is_not_finite_do_not_break_the_picture() {
        let rows = Rows { name: "t", positions: None, labels: &[] };
        let empty = || ForecastTarget { name: "a", truth: &[], forecast: &[], range: Some([&[], &[]]) };
        let range = Some([0.1, 0.9]);
        for targets in [Vec::new(), vec![empty()]] {
            let parts = vec![("test", 0)];
            ForecastChart { title: "t".into(), rows, first: 0, horizon: 1, period: 1, range, targets, parts }.draw();
        }
        RolloutChart { title: "t".into(), rows, horizon: 1, range, targets: Vec::new() }.draw();
        let onward = |first, values: &[f64]| Onward {
            first,
            values: values.to_vec(),
            range: Some([values.to_vec(), vec![f64::NAN; values.len()]]),
        };
        let forecasts = vec![onward(0, &[f64::INFINITY]), onward(2, &[])];
        let target = RolloutTarget { name: "a", truth: &[f64::NAN, 1.0], forecasts };
        let svg = RolloutChart { title: "t".into(), rows, horizon: 1, range, targets: vec![target] }.draw().file();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
