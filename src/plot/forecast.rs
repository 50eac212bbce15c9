//! Forecasts of series beside the truth.

pub(super) mod backtest;

use super::chart::{Chart, LOW, Mark, Panel, Scale, Shape, TALL};
use super::drawing::Drawing;
use super::steps::POINTS;
use crate::format::share;

/// The number of targets that fit on a page.
pub(super) const PANELS: usize = 6;

/// The x axis of a series: its rows.
#[derive(Clone, Copy)]
pub struct RowAxis<'a> {
    /// The name of the labels' column.
    pub name: &'a str,
    /// The labels as numbers if they are numbers: the x of each row. Otherwise x is the number of the row.
    pub positions: Option<&'a [f64]>,
    /// The labels of the rows.
    pub labels: &'a [String],
}

impl RowAxis<'_> {
    /// The x of a row. Rows after the last one continue at the distance of the last two.
    pub(super) fn x(&self, row: usize) -> f64 {
        let Some(positions) = self.positions else { return row as f64 };
        match (positions.get(row), positions) {
            (Some(position), _) => *position,
            (None, [.., before, last]) => last + (last - before) * (row + 1 - positions.len()) as f64,
            (None, _) => row as f64,
        }
    }

    /// Rows after the last one are labelled `+1`, `+2`, ….
    fn scale(&self, end: usize) -> Scale {
        match self.positions {
            Some(positions) if positions.iter().all(|position| position.fract() == 0.0) => Scale::Whole,
            Some(_) => Scale::Linear,
            None => {
                let past = (1..=end.saturating_sub(self.labels.len())).map(|step| format!("+{step}"));
                Scale::Rows(self.labels.iter().cloned().chain(past).collect())
            }
        }
    }

    /// A chart of the rows before `end`, with a panel for each target's name and marks.
    pub(super) fn draw(
        &self,
        title: &str,
        description: String,
        end: usize,
        targets: Vec<(&str, Vec<Mark>)>,
    ) -> Drawing {
        let height = if targets.len() > 1 { LOW } else { TALL };
        let panel = |(name, marks): (&str, _)| Panel { name: name.into(), height, marks, ..Panel::default() };
        let panels = targets.into_iter().map(panel).collect();
        let (title, x_name, x_scale) = (title.into(), self.name.into(), self.scale(end));
        Chart { title, description, x_name, x_scale, panels, ..Chart::default() }.draw()
    }
}

/// The name of a range of quantiles in the legend.
fn range_name(range: Option<[f64; 2]>) -> String {
    range.map(|[low, high]| format!("quantiles {low} to {high}")).unwrap_or_default()
}

/// Forecasts of every window after the training split, beside the truth and a naive forecast.
pub struct ForecastChart<'a> {
    /// The title of the picture.
    pub title: String,
    /// The rows of the series.
    pub rows: RowAxis<'a>,
    /// The first row with a forecast.
    pub first: usize,
    /// H: the number of rows that are forecast at a time.
    pub horizon: usize,
    /// The period of the naive forecast: 1 for the last value, otherwise that of the season.
    pub period: usize,
    /// The outermost quantiles of a quantile forecast.
    pub range: Option<[f64; 2]>,
    /// The targets; the first six have a panel each.
    pub targets: Vec<ForecastTarget<'a>>,
    /// The name and the first row of each part, in order.
    pub parts: Vec<(&'a str, usize)>,
}

/// The forecasts of a column.
pub struct ForecastTarget<'a> {
    /// The name of the column.
    pub name: &'a str,
    /// The whole column.
    pub truth: &'a [f64],
    /// \[N, H\]: element (n, h) is the forecast of row `first` + n + h from the rows before `first` + n.
    pub forecast: &'a [f64],
    /// The outermost quantiles, in the same form.
    pub range: Option<[&'a [f64]; 2]>,
}

impl ForecastChart<'_> {
    /// Draws the forecasts of one step ahead and, if the horizon is longer, of its last step.
    pub fn draw(&self) -> Drawing {
        let horizon = self.horizon.max(1);
        let count = self.targets.iter().map(|target| target.forecast.len() / horizon).max().unwrap_or_default();
        let end = self.first + (count + horizon).saturating_sub(1);
        let targets = self.targets.iter().take(PANELS).map(|target| (target.name, self.marks(target, end)));
        let naive = match self.period {
            1 => {
                "the forecast that nothing changes; a forecast that is behind the truth like the dashed line has only \
                 learned to repeat it"
            }
            _ => "the forecast that repeats the values of a season before",
        };
        let mut description = format!("The forecast should be closer to the truth than the dashed line, {naive}.");
        if let Some([low, high]) = self.range {
            description += &format!(" The shaded range should contain {} of the truth.", share(high - low));
        }
        self.rows.draw(&self.title, description, end, targets.collect())
    }

    fn marks(&self, target: &ForecastTarget<'_>, end: usize) -> Vec<Mark> {
        let horizon = self.horizon.max(1);
        // The end of a long series, so that its steps can be distinguished.
        let start = self.first.max(end.saturating_sub(POINTS));
        let points = |value: &dyn Fn(usize) -> Option<f64>| {
            (start..end).filter_map(|row| Some((self.rows.x(row), value(row)?))).collect::<Vec<_>>()
        };
        let truth = |row: usize| target.truth.get(row).copied();
        let ahead = |values: &[f64], row: usize, step: usize| {
            let n = (row + 1).checked_sub(self.first + step)?;
            values.get(n * horizon + step - 1).copied()
        };
        let forecast = |name: String, class: &str, step: usize| {
            Mark::line(name, class, points(&|row| ahead(target.forecast, row, step)))
        };
        // The whole periods that the last step needs.
        let before = horizon.div_ceil(self.period.max(1)) * self.period.max(1);
        let naive = points(&|row| truth(row.checked_sub(before)?).filter(|_| row + 1 >= self.first + horizon));
        let naive_name = if before == 1 { "last value".to_owned() } else { format!("value {before} steps before") };
        let ends = self.parts.iter().skip(1).map(|(_, first)| *first).chain([end]);
        let parts = self.parts.iter().zip(ends).enumerate().filter(|(_, (_, until))| *until > start);
        let mut marks: Vec<Mark> = parts
            .map(|(index, ((name, from), until))| {
                let range = [(*from).max(start), until.min(end - 1)].map(|row| self.rows.x(row));
                Mark::new(*name, if index % 2 == 1 { "band" } else { "page" }, Shape::Band(range))
            })
            .collect();
        // The last step has the widest range.
        if let Some([low, high]) = target.range {
            let range = |row| Some((self.rows.x(row), [ahead(low, row, horizon)?, ahead(high, row, horizon)?]));
            let class = if horizon == 1 { "blue" } else { "orange" };
            marks.push(Mark::new(range_name(self.range), class, Shape::Area((start..end).filter_map(range).collect())));
        }
        marks.push(Mark::line("truth", "ink", points(&truth)));
        marks.push(Mark::line(naive_name, "thin", naive));
        if horizon == 1 {
            marks.push(forecast("forecast".into(), "blue", 1));
        } else {
            marks.push(forecast(format!("{horizon} steps ahead"), "orange", horizon));
            marks.push(forecast("1 step ahead".into(), "blue", 1));
        }
        marks
    }
}

/// Forecasts that read none of the data after their first row, from one row or several.
pub struct RolloutChart<'a> {
    /// The title of the picture.
    pub title: String,
    /// The rows of the series.
    pub rows: RowAxis<'a>,
    /// H: the number of rows after which the network reads its own forecasts.
    pub horizon: usize,
    /// The outermost quantiles of a quantile forecast.
    pub range: Option<[f64; 2]>,
    /// Whether the range is that of sample paths after these rows: otherwise it takes the forecasts before it as exact.
    pub widened: bool,
    /// The targets; the first six have a panel each.
    pub targets: Vec<RolloutTarget<'a>>,
}

/// The forecasts of a column.
pub struct RolloutTarget<'a> {
    /// The name of the column.
    pub name: &'a str,
    /// The known values of the column.
    pub truth: &'a [f64],
    /// The forecasts, in any order.
    pub forecasts: Vec<RolledOut>,
}

/// A forecast of consecutive rows.
pub struct RolledOut {
    /// The first row of the forecast.
    pub first: usize,
    /// The values, one per row.
    pub values: Vec<f64>,
    /// The outermost quantiles, one pair per row.
    pub range: Option<[Vec<f64>; 2]>,
}

impl RolledOut {
    fn end(&self) -> usize {
        self.first + self.values.len()
    }
}

impl RolloutChart<'_> {
    /// Draws the known values and the forecasts that continue them.
    pub fn draw(&self) -> Drawing {
        let targets = || self.targets.iter().take(PANELS);
        let forecasts = || targets().flat_map(|target| &target.forecasts);
        let known = targets().map(|target| target.truth.len()).max().unwrap_or_default();
        let end = forecasts().map(RolledOut::end).max().unwrap_or_default().max(known);
        let first = forecasts().map(|forecast| forecast.first).min().unwrap_or(end);
        let longest = forecasts().map(|forecast| forecast.values.len()).max().unwrap_or_default();
        // Enough of the past to show what the forecasts continue.
        let start = first.saturating_sub((2 * longest).max(40)).max(end.saturating_sub(2 * POINTS));
        let future = [known.saturating_sub(1), end.saturating_sub(1)].map(|row| self.rows.x(row));
        let future = || Mark::new("after the data", "band", Shape::Band(future));
        let marks = |target: &RolloutTarget<'_>| {
            let mut marks: Vec<Mark> = (end > known && known > 0).then(future).into_iter().collect();
            let known = start..end.min(target.truth.len());
            target.forecasts.iter().for_each(|forecast| marks.extend(self.range(target, forecast)));
            marks.push(Mark::line("truth", "ink", known.map(|row| (self.rows.x(row), target.truth[row])).collect()));
            target.forecasts.iter().for_each(|forecast| marks.extend(self.forecast(target, forecast)));
            marks
        };
        let targets = targets().map(|target| (target.name, marks(target))).collect();
        let mut description = if longest > self.horizon {
            "After each dot the network reads its own forecasts instead of the data: level and rhythm should stay \
             plausible while errors add up."
        } else {
            "After each dot none of the data is known: level and rhythm should match the truth."
        }
        .to_owned();
        if self.range.is_some() && longest > self.horizon && self.widened {
            description += " The range there is that of sample paths.";
        } else if self.range.is_some() && longest > self.horizon {
            description += " Within the dashed outline each range assumes that the forecasts before it were right: the \
                            true one is wider.";
        }
        self.rows.draw(&self.title, description, end, targets)
    }

    /// The known value that a forecast continues.
    fn origin(&self, target: &RolloutTarget<'_>, forecast: &RolledOut) -> Option<(f64, f64)> {
        let row = forecast.first.checked_sub(1)?;
        Some((self.rows.x(row), *target.truth.get(row)?))
    }

    /// The line of a forecast and the dot at its beginning.
    fn forecast(&self, target: &RolloutTarget<'_>, forecast: &RolledOut) -> Vec<Mark> {
        let origin = self.origin(target, forecast);
        let values = forecast.values.iter().enumerate().map(|(n, value)| (self.rows.x(forecast.first + n), *value));
        let line = Mark::line("forecast", "blue", origin.into_iter().chain(values).collect());
        [line].into_iter().chain(origin.map(|point| Mark::new("", "blue", Shape::Dot(point)))).collect()
    }

    /// The range of a forecast, within the horizon and beyond it.
    fn range(&self, target: &RolloutTarget<'_>, forecast: &RolledOut) -> Vec<Mark> {
        let Some([low, high]) = &forecast.range else { return Vec::new() };
        let heights = low.iter().zip(high).enumerate();
        let heights = heights.map(|(n, (low, high))| (self.rows.x(forecast.first + n), [*low, *high]));
        let origin = self.origin(target, forecast).map(|(x, y)| (x, [y, y]));
        let rows = if self.widened { low.len() } else { self.horizon };
        let within = origin.into_iter().chain(heights.clone().take(rows)).collect();
        let beyond: Vec<_> = heights.skip(rows.saturating_sub(1)).collect();
        let mut marks = vec![Mark::new(range_name(self.range), "blue", Shape::Area(within))];
        if beyond.len() > 1 {
            let steps = if self.horizon == 1 { "1 step".into() } else { format!("{} steps", self.horizon) };
            marks.push(Mark::new(format!("not widened beyond {steps}"), "beyond", Shape::Area(beyond)));
        }
        marks
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
        let rows = RowAxis { name: "t", positions: None, labels: &labels };
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
        let rows = RowAxis { name: "t", positions: None, labels: &labels };
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
        let rows = RowAxis { name: "t", positions: None, labels: &labels };
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
    fn ranges_beyond_the_horizon_are_marked_unless_widened_and_none_within() {
        let (truth, labels) = ([1.0, 2.0, 3.0], labels(3));
        let rows = RowAxis { name: "t", positions: None, labels: &labels };
        let draw = |horizon: usize, widened: bool| {
            let range = Some([vec![3.0, 2.0, 3.0], vec![5.0, 6.0, 5.0]]);
            let forecasts = vec![RolledOut { first: 3, values: vec![4.0; 3], range }];
            let targets = vec![RolloutTarget { name: "a", truth: &truth, forecasts }];
            RolloutChart { title: "t".into(), rows, horizon, range: Some([0.1, 0.9]), widened, targets }.draw().file()
        };
        let (near, far, wide) = (draw(3, false), draw(2, false), draw(2, true));
        assert!(!near.contains("\"area beyond\"") && !near.contains("not widened"));
        // In the panel and in the legend.
        assert_eq!((far.matches("\"area beyond\"").count(), far.matches("\"area blue\"").count()), (2, 2));
        assert!(far.contains(">not widened beyond 2 steps<") && draw(1, false).contains(">not widened beyond 1 step<"));
        assert!(
            !wide.contains("area beyond") && !wide.contains("not widened") && wide.contains("that of sample paths")
        );
        assert_eq!(wide.matches("\"area blue\"").count(), 2);
    }

    #[test]
    fn a_rolled_forecast_goes_on_from_the_last_value_into_rows_without_labels() {
        let truth = [1.0, 2.0, 3.0];
        let labels = labels(3);
        let rows = RowAxis { name: "t", positions: None, labels: &labels };
        let rolled = || RolledOut { first: 3, values: vec![4.0, 5.0], range: None };
        let target = || RolloutTarget { name: "a", truth: &truth, forecasts: vec![rolled()] };
        let draw = |rows| {
            RolloutChart { title: "t".into(), rows, horizon: 1, range: None, widened: false, targets: vec![target()] }
                .draw()
        };
        let svg = draw(rows).file();
        let (truth, forecast) = (points(&svg, "ink"), points(&svg, "blue"));
        assert_eq!((truth.len(), forecast.len()), (3, 3));
        assert_eq!(truth[2], forecast[0]);
        assert!(svg.contains(">+2<") && svg.contains(">after the data<"));
        let years = [1.0, 2.0, 3.0].map(|year| year + 2000.0);
        let rows = RowAxis { positions: Some(&years), ..rows };
        assert_eq!([2, 3, 4].map(|row| rows.x(row)), [2003.0, 2004.0, 2005.0]);
        assert!(!draw(rows).file().contains("+2"));
    }

    #[test]
    fn nothing_to_draw_and_what_is_not_finite_do_not_break_the_picture() {
        let rows = RowAxis { name: "t", positions: None, labels: &[] };
        let empty = || ForecastTarget { name: "a", truth: &[], forecast: &[], range: Some([&[], &[]]) };
        let range = Some([0.1, 0.9]);
        for targets in [Vec::new(), vec![empty()]] {
            let parts = vec![("test", 0)];
            ForecastChart { title: "t".into(), rows, first: 0, horizon: 1, period: 1, range, targets, parts }.draw();
        }
        RolloutChart { title: "t".into(), rows, horizon: 1, range, widened: false, targets: Vec::new() }.draw();
        let rolled = |first, values: &[f64]| RolledOut {
            first,
            values: values.to_vec(),
            range: Some([values.to_vec(), vec![f64::NAN; values.len()]]),
        };
        let forecasts = vec![rolled(0, &[f64::INFINITY]), rolled(2, &[])];
        let target = RolloutTarget { name: "a", truth: &[f64::NAN, 1.0], forecasts };
        let svg = RolloutChart { title: "t".into(), rows, horizon: 1, range, widened: false, targets: vec![target] }
            .draw()
            .file();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
