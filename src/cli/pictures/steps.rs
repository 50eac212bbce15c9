//! The steps of a run as points of a chart: each, and in groups.

use bptt::train::Metrics;

use super::super::progress::grouped;
use super::numbers::share;

/// More points than this say nothing more on a chart of this width.
pub(super) const POINTS: usize = 600;

/// How a run's steps make epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Epochs {
    /// Steps in each, at least 1.
    pub(crate) steps: u64,
    /// Whether x counts them, and not steps.
    pub(crate) counted: bool,
    /// How much the last step of each weighs beside the others, for its last batch may be smaller: above 0, at most 1.
    pub(crate) last: f64,
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

    /// The losses with each light one averaged with the one before: a few examples say little, and would be spikes.
    pub(super) fn without_spikes(&self, history: &[Metrics]) -> Vec<Metrics> {
        let mut drawn = history.to_vec();
        for (pair, drawn) in history.windows(2).zip(drawn.iter_mut().skip(1)) {
            let weight = self.weight(&pair[1]);
            if weight < LIGHT && pair[0].step + 1 == pair[1].step && self.weight(&pair[0]) >= LIGHT {
                drawn.loss = (pair[0].loss + weight * pair[1].loss) / (1.0 + weight);
            }
        }
        drawn
    }

    /// The mean of groups of steps, each by its weight.
    pub(super) fn mean(&self, group: &[Metrics]) -> f64 {
        let weights = || group.iter().map(|metrics| self.weight(metrics));
        group.iter().zip(weights()).map(|(metrics, weight)| weight * metrics.loss).sum::<f64>() / weights().sum::<f64>()
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

/// How steps are placed and grouped.
pub(super) struct Steps<'a> {
    history: &'a [Metrics],
    /// x counts epochs of so many steps.
    per_epoch: Option<u64>,
    /// Steps in a group.
    pub(super) group: usize,
}

impl<'a> Steps<'a> {
    /// Groups are epochs where there are some of them, and as many steps as leave about 80 groups otherwise.
    pub(super) fn new(history: &'a [Metrics], per_epoch: Option<u64>) -> Self {
        let group = match per_epoch.filter(|steps| *steps > 1 && history.len() as u64 >= 4 * steps) {
            Some(steps) => steps as usize,
            None => rounded_up(history.len().div_ceil(80)),
        };
        Self { history, per_epoch, group }
    }

    pub(super) fn x(&self, step: f64) -> f64 {
        self.per_epoch.map_or(step, |steps| step / steps.max(1) as f64)
    }

    pub(super) fn x_name(&self) -> &'static str {
        if self.per_epoch.is_some() { "epoch" } else { "step" }
    }

    /// `an epoch`, `20 steps`.
    pub(super) fn group_name(&self) -> String {
        match self.per_epoch.is_some_and(|steps| steps as usize == self.group) {
            true => "an epoch".into(),
            false => format!("{} steps", grouped(self.group as u64)),
        }
    }

    /// `after epoch 3`, `after step 1,200`.
    pub(super) fn after(&self, metrics: &Metrics) -> String {
        match self.per_epoch.filter(|steps| metrics.step.is_multiple_of(*steps)) {
            Some(steps) => format!("after epoch {}", grouped(metrics.step / steps.max(1))),
            None => format!("after step {}", grouped(metrics.step)),
        }
    }

    /// Every step, or where they are many the least and the greatest of each stretch: the line looks the same.
    pub(super) fn each(&self, value: impl Fn(&Metrics) -> f64) -> Vec<(f64, f64)> {
        let point = |metrics: &Metrics| (self.x(metrics.step as f64), value(metrics));
        if self.history.len() <= 2 * POINTS {
            return self.history.iter().map(point).collect();
        }
        let ends = |stretch: &[Metrics]| {
            let points = stretch.iter().map(point).filter(|(_, y)| y.is_finite());
            let least = points.clone().reduce(|a, b| if b.1 < a.1 { b } else { a });
            let greatest = points.reduce(|a, b| if b.1 > a.1 { b } else { a });
            let mut ends = [least, greatest];
            ends.sort_by(|a, b| a.map(|(x, _)| x).partial_cmp(&b.map(|(x, _)| x)).unwrap_or(std::cmp::Ordering::Equal));
            ends.into_iter().flatten()
        };
        self.history.chunks(self.history.len().div_ceil(POINTS)).flat_map(ends).collect()
    }

    /// A value for each group, in its middle.
    pub(super) fn grouped(&self, of_group: impl Fn(&[Metrics]) -> f64) -> Vec<(f64, f64)> {
        let point = |group: &[Metrics]| {
            let step = group.iter().map(|metrics| metrics.step as f64).sum::<f64>() / group.len() as f64;
            (self.x(step), of_group(group))
        };
        self.history.chunks(self.group).map(point).collect()
    }
}

/// The upper one of two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// 1, 2 or 5 times a power of ten.
fn rounded_up(count: usize) -> usize {
    let power = 10usize.pow(count.max(1).ilog10());
    [1, 2, 5, 10].map(|factor| factor * power).into_iter().find(|size| *size >= count).unwrap_or(count).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_keeps_its_extremes() {
        let metrics =
            |step: u64| Metrics { step, epoch: 1, loss: 0.0, val_loss: None, grad_norm: 1.0, lr: 0.1, skipped: false };
        let history: Vec<Metrics> = (1..=100_000).map(metrics).collect();
        let value = |metrics: &Metrics| match metrics.step {
            77_777 => 9.0,
            77_778 => -9.0,
            5 => f64::NAN,
            step => (step % 2) as f64,
        };
        let points = Steps::new(&history, None).each(value);
        assert!(points.len() <= 2 * POINTS, "{}", points.len());
        assert!(points.contains(&(77_777.0, 9.0)) && points.contains(&(77_778.0, -9.0)));
        assert!(points.is_sorted_by_key(|(x, _)| *x));
    }

    #[test]
    fn a_small_last_batch_weighs_little_and_makes_no_spike() {
        let metrics = |step: u64, loss: f64| Metrics {
            step,
            epoch: 1,
            loss,
            val_loss: None,
            grad_norm: 1.0,
            lr: 0.1,
            skipped: false,
        };
        // Two epochs of three steps, of which the last holds a fourth of the examples.
        let losses = [1.0, 1.0, 9.0, 0.5, 0.5, 4.5];
        let history: Vec<Metrics> = (1..).zip(losses).map(|(step, loss)| metrics(step, loss)).collect();
        let epochs = Epochs { steps: 3, counted: true, last: 0.25 };
        let drawn: Vec<f64> = epochs.without_spikes(&history).iter().map(|metrics| metrics.loss).collect();
        assert_eq!(drawn, [1.0, 1.0, 2.6, 0.5, 0.5, 1.3]);
        assert_eq!(epochs.mean(&history[..3]), (2.0 + 0.25 * 9.0) / 2.25);
        assert!(
            epochs.caption().is_some_and(|caption| caption.contains("25.0%") && caption.contains("the step before"))
        );
        let alike = Epochs { last: 1.0, ..epochs };
        assert_eq!((alike.without_spikes(&history), alike.caption()), (history, None));
    }

    #[test]
    fn groups_are_epochs_or_a_round_number_of_steps() {
        let metrics =
            |step: u64| Metrics { step, epoch: 1, loss: 0.0, val_loss: None, grad_norm: 1.0, lr: 0.1, skipped: false };
        let history: Vec<Metrics> = (1..=3000).map(metrics).collect();
        let names = [Some(100), Some(1000), None].map(|per_epoch| Steps::new(&history, per_epoch).group_name());
        assert_eq!(names, ["an epoch", "50 steps", "50 steps"]);
        assert_eq!(Steps::new(&history, Some(100)).after(&history[199]), "after epoch 2");
        assert_eq!(Steps::new(&history, Some(100)).after(&history[200]), "after step 201");
    }
}
