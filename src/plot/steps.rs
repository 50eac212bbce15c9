//! The steps of a run as points of a chart: every step, and groups of them.

use super::axis::round_step;
use super::chart::{Chart, Mark, Panel, Scale};
use super::drawing::Drawing;
use crate::Result;
use crate::format::{grouped, share};
use crate::train::Metrics;

/// The number of points that a chart of this width can show.
pub(super) const POINTS: usize = 600;

/// The maximum number of points of a line, and of groups.
const MOST: u64 = 2 * POINTS as u64;

/// The number of values that a median is taken of, at most.
const SAMPLE: u64 = 1 << 16;

/// A step of less weight is drawn as the mean of it and the step before.
const LIGHT: f64 = 0.5;

/// The epochs of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epochs {
    /// Steps per epoch, at least 1.
    pub steps: u64,
    /// Whether the x axis is in epochs, not in steps.
    pub on_axis: bool,
    /// The weight of each epoch's last step, whose batch may be smaller: above 0, at most 1. That of the others is 1.
    pub last_weight: f64,
}

impl Epochs {
    /// The weight of a step in means.
    pub(super) fn weight(&self, metrics: &Metrics) -> f64 {
        if metrics.step.is_multiple_of(self.steps.max(1)) { self.last_weight } else { 1.0 }
    }

    /// The loss of a step as drawn. That of a few examples would be a spike, so it is averaged with the step `before`.
    pub(super) fn drawn_loss(&self, before: Option<&Metrics>, metrics: &Metrics) -> f64 {
        let weight = self.weight(metrics);
        match before.filter(|_| weight < LIGHT) {
            Some(before) if before.step + 1 == metrics.step && self.weight(before) >= LIGHT => {
                (before.loss + weight * metrics.loss) / (1.0 + weight)
            }
            _ => metrics.loss,
        }
    }

    /// A sentence about the weights, if they differ.
    pub(super) fn caption(&self) -> Option<String> {
        (self.last_weight < 1.0 && self.steps > 1).then(|| {
            let share = share(self.last_weight);
            let drawn = match self.last_weight {
                ..LIGHT => ", and it is drawn as the mean of it and the step before",
                _ => "",
            };
            format!("An epoch's last batch is smaller: in means its loss has {share} of the weight of others{drawn}.")
        })
    }
}

/// The steps of a run that updated the weights. They are read again for each picture, as those of a long run
/// do not fit in memory.
pub trait Steps {
    /// The number of steps.
    fn count(&self) -> u64;
    /// The number of steps with a validation, or more.
    fn validations(&self) -> u64;
    /// Calls `take` with the metrics of every step, in order.
    ///
    /// # Errors
    /// If the steps cannot be read.
    fn each(&self, take: &mut dyn FnMut(&Metrics)) -> Result<()>;
}

/// The x axis of a run, and the groups of its steps.
#[derive(Clone, Copy)]
pub(super) struct StepAxis {
    /// Steps per epoch if the axis is in epochs.
    per_epoch: Option<u64>,
    /// Steps per group.
    pub(super) group: u64,
}

impl StepAxis {
    /// For `count` steps. Groups are epochs, or a round number of steps where epochs are too few or too many.
    pub(super) fn new(count: u64, per_epoch: Option<u64>) -> Self {
        let is_useful = |steps: &u64| *steps > 1 && (4..=MOST).contains(&(count / steps));
        let round = round_step(count.div_ceil(80).max(1) as f64, 1) as u64;
        Self { per_epoch, group: per_epoch.filter(is_useful).unwrap_or(round) }
    }

    pub(super) fn x(&self, step: f64) -> f64 {
        self.per_epoch.map_or(step, |steps| step / steps.max(1) as f64)
    }

    /// `an epoch`, `20 steps`.
    fn group_name(&self) -> String {
        if self.per_epoch == Some(self.group) { "an epoch".into() } else { format!("{} steps", grouped(self.group)) }
    }

    /// `after epoch 3`, `after step 1,200`.
    pub(super) fn after(&self, step: u64) -> String {
        match self.per_epoch.filter(|steps| step.is_multiple_of(*steps)) {
            Some(steps) => format!("after epoch {}", grouped(step / steps.max(1))),
            None => format!("after step {}", grouped(step)),
        }
    }

    /// The line through every step, named `alone`; or behind the line through the groups, which `summary` names.
    pub(super) fn marks(&self, alone: &str, each_step: Curve, summary: &str, groups: Vec<(f64, f64)>) -> Vec<Mark> {
        if self.group == 1 {
            return vec![Mark::line(alone, "blue", each_step.points())];
        }
        let name = format!("{summary} of {}", self.group_name());
        vec![Mark::line("each step", "faint", each_step.points()), Mark::line(name, "blue", groups)]
    }

    pub(super) fn draw(&self, title: String, description: String, panels: Vec<Panel>) -> Drawing {
        let (x_name, x_scale) =
            if self.per_epoch.is_some() { ("epoch", Scale::Linear) } else { ("step", Scale::Whole) };
        let x_name = x_name.into();
        Chart { title, description, x_name, x_scale, x_from_0: true, panels, ..Chart::default() }.draw()
    }
}

/// A line through points that arrive one by one. Of many points it keeps the least and the greatest of each interval,
/// which look the same.
pub(super) struct Curve {
    /// Points per interval; 0 if all are kept.
    interval: u64,
    seen: u64,
    /// The least and the greatest point of the interval.
    extremes: Option<[(f64, f64); 2]>,
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// For `count` points.
    pub(super) fn new(count: u64) -> Self {
        let interval = if count <= MOST { 0 } else { count.div_ceil(MOST / 2) };
        Self { interval, seen: 0, extremes: None, points: Vec::new() }
    }

    pub(super) fn add(&mut self, point: (f64, f64)) {
        if self.interval == 0 {
            self.points.push(point);
            return;
        }
        if point.1.is_finite() {
            let [least, greatest] = self.extremes.unwrap_or([point; 2]);
            self.extremes = Some([
                if point.1 < least.1 { point } else { least },
                if point.1 > greatest.1 { point } else { greatest },
            ]);
        }
        self.seen += 1;
        if self.seen == self.interval {
            self.end_interval();
        }
    }

    fn end_interval(&mut self) {
        if let Some(mut extremes) = self.extremes.take() {
            extremes.sort_by(|a, b| a.0.total_cmp(&b.0));
            self.points.extend(extremes);
        }
        self.seen = 0;
    }

    pub(super) fn points(mut self) -> Vec<(f64, f64)> {
        self.end_interval();
        self.points
    }
}

/// What a group of values is reduced to.
pub(super) trait Summary {
    fn add(&mut self, value: f64, weight: f64);
    /// The summary of the values so far, which are removed.
    fn take(&mut self) -> f64;
}

/// A line with one point for each group of steps.
pub(super) struct GroupedCurve<S> {
    axis: StepAxis,
    pub(super) summary: S,
    count: u64,
    /// The sum of the steps' numbers.
    steps: f64,
    points: Vec<(f64, f64)>,
}

impl<S: Summary> GroupedCurve<S> {
    pub(super) fn new(axis: StepAxis, summary: S) -> Self {
        Self { axis, summary, count: 0, steps: 0.0, points: Vec::new() }
    }

    pub(super) fn add(&mut self, step: u64, value: f64, weight: f64) {
        self.summary.add(value, weight);
        (self.count, self.steps) = (self.count + 1, self.steps + step as f64);
        if self.count == self.axis.group {
            self.end_group();
        }
    }

    fn end_group(&mut self) {
        if self.count > 0 {
            let middle = self.steps / self.count as f64;
            self.points.push((self.axis.x(middle), self.summary.take()));
            (self.count, self.steps) = (0, 0.0);
        }
    }

    pub(super) fn points(&mut self) -> Vec<(f64, f64)> {
        self.end_group();
        std::mem::take(&mut self.points)
    }
}

/// A weighted mean.
#[derive(Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    weight: f64,
}

impl Summary for Mean {
    fn add(&mut self, value: f64, weight: f64) {
        (self.sum, self.weight) = (self.sum + weight * value, self.weight + weight);
    }

    fn take(&mut self) -> f64 {
        let Self { sum, weight } = std::mem::take(self);
        sum / weight
    }
}

/// A median without weights. Of very many values it takes an evenly spaced sample.
pub(super) struct Median {
    /// One in this many values is taken.
    pub(super) every: u64,
    seen: u64,
    values: Vec<f64>,
}

impl Median {
    /// For up to `count` values.
    pub(super) fn new(count: u64) -> Self {
        Self { every: count.div_ceil(SAMPLE).max(1), seen: 0, values: Vec::new() }
    }
}

impl Summary for Median {
    fn add(&mut self, value: f64, _: f64) {
        if self.seen.is_multiple_of(self.every) {
            self.values.push(value);
        }
        self.seen += 1;
    }

    /// The upper one of two in the middle.
    fn take(&mut self) -> f64 {
        self.values.sort_by(f64::total_cmp);
        let median = self.values.get(self.values.len() / 2).copied().unwrap_or(f64::NAN);
        self.values.clear();
        self.seen = 0;
        median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Steps for &[Metrics] {
        fn count(&self) -> u64 {
            self.len() as u64
        }

        fn validations(&self) -> u64 {
            self.iter().filter(|metrics| metrics.val_loss.is_some()).count() as u64
        }

        fn each(&self, take: &mut dyn FnMut(&Metrics)) -> Result<()> {
            self.iter().for_each(take);
            Ok(())
        }
    }

    fn metrics(step: u64, loss: f64) -> Metrics {
        Metrics { step, epoch: 1, loss, val_loss: None, grad_norm: 1.0, lr: 0.1, skipped: false }
    }

    #[test]
    fn a_long_history_keeps_its_extremes() {
        let value = |step: u64| match step {
            77_777 => 9.0,
            77_778 => -9.0,
            5 => f64::NAN,
            step => (step % 2) as f64,
        };
        let mut points = Curve::new(100_000);
        (1..=100_000).for_each(|step| points.add((step as f64, value(step))));
        let points = points.points();
        assert!(points.len() as u64 <= MOST, "{}", points.len());
        assert!(points.contains(&(77_777.0, 9.0)) && points.contains(&(77_778.0, -9.0)));
        assert!(points.is_sorted_by_key(|(x, _)| *x));
    }

    #[test]
    fn no_run_has_more_points_or_groups_or_values_at_hand_than_a_chart_shows() {
        for (count, per_epoch) in
            [(1, None), (1200, None), (1201, None), (3_000_000, Some(2)), (3_000_000, Some(1_000_000))]
        {
            let axis = StepAxis::new(count, per_epoch);
            let (mut curve, mut all) = (Curve::new(count), Median::new(count));
            let mut groups = GroupedCurve::new(axis, Median::new(axis.group));
            for step in 1..=count {
                curve.add((step as f64, 1.0 / step as f64));
                all.add(step as f64, 1.0);
                groups.add(step, step as f64, 1.0);
                assert!(curve.points.len() as u64 <= MOST && groups.points.len() as u64 <= MOST);
                assert!(groups.summary.values.len() as u64 <= SAMPLE);
            }
            assert!(!groups.points().is_empty());
            assert!(all.values.len() as u64 <= SAMPLE);
            let median = all.take();
            assert!((median - count as f64 / 2.0).abs() <= 1.0 + count as f64 / 1e4, "{median} of {count}");
        }
    }

    #[test]
    fn a_small_last_batch_weighs_little_and_makes_no_spike() {
        // Two epochs of three steps, of which the last holds a fourth of the examples.
        let losses = [1.0, 1.0, 9.0, 0.5, 0.5, 4.5];
        let history: Vec<Metrics> = (1..).zip(losses).map(|(step, loss)| metrics(step, loss)).collect();
        let epochs = Epochs { steps: 3, on_axis: true, last_weight: 0.25 };
        let drawn = |epochs: &Epochs| -> Vec<f64> {
            let before = [None].into_iter().chain(history.iter().map(Some));
            before.zip(&history).map(|(before, metrics)| epochs.drawn_loss(before, metrics)).collect()
        };
        assert_eq!(drawn(&epochs), [1.0, 1.0, 2.6, 0.5, 0.5, 1.3]);
        let mut mean = Mean::default();
        history[..3].iter().for_each(|metrics| mean.add(metrics.loss, epochs.weight(metrics)));
        assert_eq!(mean.take(), (2.0 + 0.25 * 9.0) / 2.25);
        assert!(
            epochs.caption().is_some_and(|caption| caption.contains("25.0%") && caption.contains("the step before"))
        );
        let alike = Epochs { last_weight: 1.0, ..epochs };
        assert_eq!((drawn(&alike), alike.caption()), (losses.to_vec(), None));
    }

    #[test]
    fn groups_are_epochs_or_a_round_number_of_steps() {
        let names = [Some(100), Some(1000), None].map(|per_epoch| StepAxis::new(3000, per_epoch).group_name());
        assert_eq!(names, ["an epoch", "50 steps", "50 steps"]);
        assert_eq!(StepAxis::new(3000, Some(100)).after(200), "after epoch 2");
        assert_eq!(StepAxis::new(3000, Some(100)).after(201), "after step 201");
    }
}
