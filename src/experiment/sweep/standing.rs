//! How far a sweep is: what is to be done next, and how the trials rank.

use std::cmp::Ordering;

use super::draw::Draw;
use super::plan::Plan;
use super::record::{Record, Records, Work};
use crate::experiment::config::MetricName;
use crate::experiment::config::agree::words;

/// A trial at the last rung that it came to the end of.
pub(super) struct Trial {
    /// From 1.
    pub(super) number: usize,
    pub(super) draw: Draw,
    pub(super) rung: u32,
    /// The greatest number of steps of its runs.
    pub(super) steps: u64,
    /// The validation loss of each seed.
    pub(super) losses: Vec<f64>,
    /// The metric of each seed, once all its runs have ended.
    pub(super) metrics: Vec<f64>,
    /// Whether it was trained to its end.
    pub(super) ended: bool,
    /// Why it has no result.
    pub(super) failed: Option<String>,
}

/// The trials of all rounds so far, and what is left to do.
pub(super) struct Standing {
    pub(super) trials: Vec<Trial>,
    /// What can be done now; empty at the end.
    pub(super) next: Vec<Work>,
    /// Whether the settings of the next round are still to be drawn: all trials before have their results.
    pub(super) wants_draws: bool,
}

impl Standing {
    /// `draws`: the settings of the trials of the rounds that are drawn, in their order.
    pub(super) fn new(plan: &Plan, records: &Records, draws: &[Draw]) -> Self {
        let (mut standing, mut drawn) =
            (Self { trials: Vec::new(), next: Vec::new(), wants_draws: false }, draws.iter());
        for round in plan.rounds() {
            let trials: Vec<Trial> =
                round.clone().zip(drawn.by_ref()).map(|(number, draw)| Trial::new(number, draw.clone())).collect();
            if trials.len() < round.len() {
                standing.wants_draws = true;
                break;
            }
            standing.add_round(plan, records, trials);
            if !standing.next.is_empty() {
                break;
            }
        }
        standing
    }

    /// Follows the trials of a round from rung to rung as far as there are records.
    fn add_round(&mut self, plan: &Plan, records: &Records, mut trials: Vec<Trial>) {
        let mut going: Vec<usize> = (0..trials.len()).collect();
        for rung in 1..=plan.rungs() {
            let works = going.iter().flat_map(|index| {
                let trial = trials[*index].number;
                (1..=plan.seeds).map(move |seed| Work { trial, seed, rung })
            });
            self.next.extend(works.filter(|work| records.get(*work).is_none()));
            if !self.next.is_empty() {
                break;
            }
            going.iter().for_each(|index| trials[*index].take(plan, records, rung));
            let survivors = plan.survivors(going.len());
            going.retain(|index| trials[*index].failed.is_none());
            going.sort_by(|a, b| trials[*a].by_loss(&trials[*b]));
            going.truncate(survivors);
            going.sort_unstable();
        }
        self.trials.extend(trials);
    }

    /// The trials from the best to the worst.
    pub(super) fn ranked(&self, plan: &Plan) -> Vec<&Trial> {
        let mut trials: Vec<&Trial> = self.trials.iter().collect();
        trials.sort_by(|a, b| a.compare(b, plan));
        trials
    }
}

impl Trial {
    fn new(number: usize, draw: Draw) -> Self {
        let (losses, metrics) = Default::default();
        Self { number, draw, rung: 0, steps: 0, losses, metrics, ended: false, failed: None }
    }

    /// Takes over the records of all seeds at a rung.
    fn take(&mut self, plan: &Plan, records: &Records, rung: u32) {
        let work = |seed| Work { trial: self.number, seed, rung };
        let of_seed: Vec<&Record> = (1..=plan.seeds).filter_map(|seed| records.get(work(seed))).collect();
        self.rung = rung;
        self.steps = of_seed.iter().map(|record| record.step).max().unwrap_or(0);
        self.ended = of_seed.iter().all(|record| record.ended);
        self.losses = of_seed.iter().map(|record| record.val_loss.unwrap_or(f64::NAN)).collect();
        let which = |seed: usize| if plan.seeds > 1 { format!("seed {seed}: ") } else { String::new() };
        let failed = of_seed.iter().zip(1..).find_map(|(record, seed)| Some(which(seed) + record.failed.as_ref()?));
        let unknown = || {
            let seed = self.losses.iter().position(|loss| !loss.is_finite())? + 1;
            Some(format!("{}the validation loss is not finite", which(seed)))
        };
        self.failed = failed.or_else(unknown);
        if self.failed.is_some() || !self.ended {
            return;
        }
        self.metrics = match plan.metric {
            MetricName::ValLoss => self.losses.clone(),
            metric => of_seed.iter().map(|record| of_validation(record, metric).unwrap_or(f64::NAN)).collect(),
        };
        if let Some(index) = self.metrics.iter().position(|value| !value.is_finite()) {
            let has: Vec<&str> = of_seed[index].validation.keys().map(String::as_str).collect();
            let has = if has.is_empty() { "could not be measured".into() } else { format!("has {}", has.join(", ")) };
            let (which, metric) = (which(index + 1), words(&plan.metric));
            self.failed = Some(format!("{which}no {metric} of the validation split: it {has}"));
        }
    }

    pub(super) fn loss(&self) -> f64 {
        mean(&self.losses)
    }

    fn by_loss(&self, other: &Self) -> Ordering {
        self.loss().total_cmp(&other.loss()).then(self.number.cmp(&other.number))
    }

    /// From the best to the worst: those that came further first, and those without a result last.
    fn compare(&self, other: &Self, plan: &Plan) -> Ordering {
        // All that came to the last rung have ended, and have their metric.
        let is_last = self.rung == plan.rungs() && other.rung == plan.rungs();
        let by_metric = || match (is_last, plan.metric.is_higher_better()) {
            (false, _) => Ordering::Equal,
            (true, true) => mean(&other.metrics).total_cmp(&mean(&self.metrics)),
            (true, false) => mean(&self.metrics).total_cmp(&mean(&other.metrics)),
        };
        let both_failed = self.failed.is_some() && other.failed.is_some();
        self.failed
            .is_some()
            .cmp(&other.failed.is_some())
            .then_with(|| if both_failed { Ordering::Equal } else { other.rung.cmp(&self.rung) })
            .then_with(|| if both_failed { Ordering::Equal } else { by_metric().then_with(|| self.by_loss(other)) })
            .then(self.number.cmp(&other.number))
    }
}

/// A number of the validation split.
fn of_validation(record: &Record, metric: MetricName) -> Option<f64> {
    record.validation.get(&words(&metric).replace('-', "_"))?.as_f64()
}

/// The mean; NaN of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample; `None` of fewer than two values.
pub(super) fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}
