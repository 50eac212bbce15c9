//! The steps of a run as points of a chart: each, and in groups.

use std::cmp::Ordering;

use crate::Result;
use crate::format::{grouped, share};
use crate::train::Metrics;

/// More points than this say nothing more on a chart of this width.
pub(super) const POINTS: usize = 600;

/// The most points of a line, where a stretch has its least and its greatest, and the most groups.
const MOST: u64 = 2 * POINTS as u64;

/// How a run's steps make epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epochs {
    /// Steps in each, at least 1.
    pub steps: u64,
    /// Whether x counts them, and not steps.
    pub counted: bool,
    /// How much the last step of each weighs beside the others, for its last batch may be smaller: above 0, at most 1.
    pub last: f64,
}

/// A step that weighs less than this is drawn as the mean of it and the step before.
const LIGHT: f64 = 0.5;

impl Epochs {
    /// Steps in each, where x counts them.
    pub(super) fn per_epoch(&self) -> Option<u64> {
        self.counted.then_some(self.steps)
    }

    fn weight(&self, metrics: &Metrics) -> f64 {
        if metrics.step.is_multiple_of(self.steps.max(1)) { self.last } else { 1.0 }
    }

    /// A loss as it is drawn: a light one is averaged with the one before, since a few examples say little and would be
    /// spikes.
    pub(super) fn drawn(&self, before: Option<&Metrics>, metrics: &Metrics) -> f64 {
        let weight = self.weight(metrics);
        match before.filter(|_| weight < LIGHT) {
            Some(before) if before.step + 1 == metrics.step && self.weight(before) >= LIGHT => {
                (before.loss + weight * metrics.loss) / (1.0 + weight)
            }
            _ => metrics.loss,
        }
    }

    /// Adds a step to the mean of a group, each by its weight.
    pub(super) fn add(&self, mean: &mut Mean, metrics: &Metrics) {
        let weight = self.weight(metrics);
        (mean.sum, mean.weight) = (mean.sum + weight * metrics.loss, mean.weight + weight);
    }

    /// What a caption says of it.
    pub(super) fn caption(&self) -> Option<String> {
        (self.last < 1.0 && self.steps > 1).then(|| {
            let light = if self.last < LIGHT { ", and is drawn as the mean of it and the step before" } else { "" };
            let share = share(self.last);
            format!("An epoch's last batch is smaller: its loss weighs {share} of another's in means{light}.")
        })
    }
}

/// The steps of a run that changed something, one after the other and as often as they are asked for: a long run's are
/// nowhere but in its file.
pub trait Steps {
    /// The number of steps.
    fn count(&self) -> u64;
    /// With a validation, at most.
    fn validations(&self) -> u64;
    /// The metrics of the last step.
    fn last(&self) -> Option<Metrics>;
    /// Calls `take` with the metrics of every step, in order.
    fn each(&self, take: &mut dyn FnMut(&Metrics)) -> Result<()>;
}

/// A mean of weighted losses.
#[derive(Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    /// The mean of what was added, and none of it from here on.
    pub(super) fn take(&mut self) -> f64 {
        let Self { sum, weight } = std::mem::take(self);
        sum / weight
    }
}

/// How steps are placed and grouped.
pub(super) struct Scale {
    count: u64,
    /// x counts epochs of so many steps.
    per_epoch: Option<u64>,
    /// Steps in a group.
    pub(super) group: u64,
}

impl Scale {
    /// Groups are epochs where there are some of them, and as many steps as leave about 80 groups otherwise.
    pub(super) fn new(count: u64, per_epoch: Option<u64>) -> Self {
        let some = |steps: &u64| *steps > 1 && (4..=MOST).contains(&(count / steps));
        let group = per_epoch.filter(some).unwrap_or_else(|| rounded_up(count.div_ceil(80)));
        Self { count, per_epoch, group }
    }

    pub(super) fn x(&self, step: f64) -> f64 {
        self.per_epoch.map_or(step, |steps| step / steps.max(1) as f64)
    }

    pub(super) fn x_name(&self) -> &'static str {
        if self.per_epoch.is_some() { "epoch" } else { "step" }
    }

    /// `an epoch`, `20 steps`.
    pub(super) fn group_name(&self) -> String {
        if self.per_epoch == Some(self.group) { "an epoch".into() } else { format!("{} steps", grouped(self.group)) }
    }

    /// `after epoch 3`, `after step 1,200`.
    pub(super) fn after(&self, step: u64) -> String {
        match self.per_epoch.filter(|steps| step.is_multiple_of(*steps)) {
            Some(steps) => format!("after epoch {}", grouped(step / steps.max(1))),
            None => format!("after step {}", grouped(step)),
        }
    }

    /// The points of every step.
    pub(super) fn points(&self) -> Points {
        Points::of(self.count)
    }

    /// Cuts the steps into groups.
    pub(super) fn groups(&self) -> Groups {
        Groups { size: self.group, count: 0, steps: 0.0 }
    }
}

/// Points one after the other: each, or where they are many the least and the greatest of each stretch: the line looks the
/// same.
pub(super) struct Points {
    /// Points in a stretch; 0: each is kept.
    stretch: u64,
    seen: u64,
    least: Option<(f64, f64)>,
    greatest: Option<(f64, f64)>,
    points: Vec<(f64, f64)>,
}

impl Points {
    /// Of so many.
    pub(super) fn of(count: u64) -> Self {
        let stretch = if count <= MOST { 0 } else { count.div_ceil(MOST / 2) };
        Self { stretch, seen: 0, least: None, greatest: None, points: Vec::new() }
    }

    pub(super) fn add(&mut self, point: (f64, f64)) {
        if self.stretch == 0 {
            self.points.push(point);
            return;
        }
        if point.1.is_finite() {
            self.least = Some(self.least.filter(|least| least.1 <= point.1).unwrap_or(point));
            self.greatest = Some(self.greatest.filter(|greatest| greatest.1 >= point.1).unwrap_or(point));
        }
        self.seen += 1;
        if self.seen == self.stretch {
            self.end();
        }
    }

    fn end(&mut self) {
        let mut ends = [self.least.take(), self.greatest.take()];
        ends.sort_by(|a, b| a.map(|(x, _)| x).partial_cmp(&b.map(|(x, _)| x)).unwrap_or(Ordering::Equal));
        self.points.extend(ends.into_iter().flatten());
        self.seen = 0;
    }

    pub(super) fn all(mut self) -> Vec<(f64, f64)> {
        self.end();
        self.points
    }
}

/// Steps one after the other, as groups of so many.
pub(super) struct Groups {
    size: u64,
    count: u64,
    /// The sum of the group's.
    steps: f64,
}

impl Groups {
    /// Counts a step; where it is the last of its group, tells the group's middle.
    pub(super) fn add(&mut self, step: u64) -> Option<f64> {
        (self.count, self.steps) = (self.count + 1, self.steps + step as f64);
        if self.count == self.size { self.rest() } else { None }
    }

    /// The middle of a last group that is smaller.
    pub(super) fn rest(&mut self) -> Option<f64> {
        let (count, steps) = (std::mem::take(&mut self.count), std::mem::take(&mut self.steps));
        (count > 0).then(|| steps / count as f64)
    }
}

/// Values of which a median is taken are as many at the most, which are evenly spread over all.
const SAMPLE: u64 = 1 << 16;

/// The median of values one after the other: where they are very many, of some of them.
pub(super) struct Median {
    /// One of so many is taken.
    pub(super) every: u64,
    seen: u64,
    values: Vec<f64>,
}

impl Median {
    /// Of up to so many.
    pub(super) fn of(count: u64) -> Self {
        Self { every: count.div_ceil(SAMPLE).max(1), seen: 0, values: Vec::new() }
    }

    pub(super) fn add(&mut self, value: f64) {
        if self.seen.is_multiple_of(self.every) {
            self.values.push(value);
        }
        self.seen += 1;
    }

    /// The upper one of two in the middle, and none of the values from here on.
    pub(super) fn take(&mut self) -> f64 {
        self.values.sort_by(f64::total_cmp);
        let median = self.values.get(self.values.len() / 2).copied().unwrap_or(f64::NAN);
        self.values.clear();
        self.seen = 0;
        median
    }
}

/// 1, 2 or 5 times a power of ten.
fn rounded_up(count: u64) -> u64 {
    let power = 10u64.pow(count.max(1).ilog10());
    [1, 2, 5, 10].map(|factor| factor * power).into_iter().find(|size| *size >= count).unwrap_or(count).max(1)
}

#[cfg(test)]
impl Steps for &[Metrics] {
    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn validations(&self) -> u64 {
        self.iter().filter(|metrics| metrics.val_loss.is_some()).count() as u64
    }

    fn last(&self) -> Option<Metrics> {
        <[Metrics]>::last(self).copied()
    }

    fn each(&self, take: &mut dyn FnMut(&Metrics)) -> Result<()> {
        self.iter().for_each(take);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut points = Scale::new(100_000, None).points();
        (1..=100_000).for_each(|step| points.add((step as f64, value(step))));
        let points = points.all();
        assert!(points.len() as u64 <= MOST, "{}", points.len());
        assert!(points.contains(&(77_777.0, 9.0)) && points.contains(&(77_778.0, -9.0)));
        assert!(points.is_sorted_by_key(|(x, _)| *x));
    }

    #[test]
    fn no_run_has_more_points_or_groups_or_values_at_hand_than_a_chart_shows() {
        for (count, per_epoch) in
            [(1, None), (1200, None), (1201, None), (3_000_000, Some(2)), (3_000_000, Some(1_000_000))]
        {
            let scale = Scale::new(count, per_epoch);
            let (mut points, mut groups, mut middles) = (scale.points(), scale.groups(), 0);
            let (mut all, mut of_group) = (Median::of(count), Median::of(scale.group));
            for step in 1..=count {
                points.add((step as f64, 1.0 / step as f64));
                all.add(step as f64);
                of_group.add(step as f64);
                if groups.add(step).is_some() {
                    middles += 1;
                    of_group.take();
                }
                assert!(points.points.len() as u64 <= MOST && middles <= MOST);
                assert!(of_group.values.len() as u64 <= SAMPLE);
            }
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
        let epochs = Epochs { steps: 3, counted: true, last: 0.25 };
        let drawn = |epochs: &Epochs| -> Vec<f64> {
            let before = [None].into_iter().chain(history.iter().map(Some));
            before.zip(&history).map(|(before, metrics)| epochs.drawn(before, metrics)).collect()
        };
        assert_eq!(drawn(&epochs), [1.0, 1.0, 2.6, 0.5, 0.5, 1.3]);
        let mut mean = Mean::default();
        history[..3].iter().for_each(|metrics| epochs.add(&mut mean, metrics));
        assert_eq!(mean.take(), (2.0 + 0.25 * 9.0) / 2.25);
        assert!(
            epochs.caption().is_some_and(|caption| caption.contains("25.0%") && caption.contains("the step before"))
        );
        let alike = Epochs { last: 1.0, ..epochs };
        assert_eq!((drawn(&alike), alike.caption()), (losses.to_vec(), None));
    }

    #[test]
    fn groups_are_epochs_or_a_round_number_of_steps() {
        let names = [Some(100), Some(1000), None].map(|per_epoch| Scale::new(3000, per_epoch).group_name());
        assert_eq!(names, ["an epoch", "50 steps", "50 steps"]);
        assert_eq!(Scale::new(3000, Some(100)).after(200), "after epoch 2");
        assert_eq!(Scale::new(3000, Some(100)).after(201), "after step 201");
    }
}
