//! What a sweep does: its settings, its rounds and its rungs.

use std::ops::Range;

use serde_json::{Map, Value};

use super::draw::{self, Draw};
use super::tpe;
use crate::experiment::config::agree::{unsupported, words};
use crate::experiment::config::merge::merge_flags;
use crate::experiment::config::{BatchSize, Config, MethodName, MetricName, RunConfig, SweepConfig};
use crate::experiment::training::TrainingLength;
use crate::format::grouped;
use crate::{Error, Result};

const TRIALS: usize = 20;
/// The most trials: each has a folder, and every worker holds their results.
const MOST_TRIALS: usize = 100_000;
const ROUND: usize = 8;
const RUNGS: u32 = 3;
/// Seconds.
const CLAIM_TIMEOUT: u64 = 120;

/// Settings that are no part of what is trained, or that a sweep sets itself.
const NOT_SWEPT: [(&str, &str); 6] = [
    ("run.seed", "--seeds is the number of runs of a trial, which differ in their seed"),
    ("run.device", "the device does not make a network better"),
    ("run.threads", "the threads do not change the results"),
    ("run.profile", "a profile does not change the results"),
    ("run.kernel", "the kernel does not change the results"),
    ("training.checkpoints", "checkpoints do not change the results"),
];

/// A sweep's settings, all filled in.
#[derive(Clone)]
pub(super) struct Plan {
    /// The settings of every trial but those that vary.
    pub(super) base: Config,
    pub(super) sweep: SweepConfig,
    pub(super) trials: usize,
    pub(super) method: MethodName,
    pub(super) metric: MetricName,
    pub(super) seeds: usize,
    /// η, with the number of rungs.
    halving: Option<(u32, u32)>,
    round: usize,
    pub(super) claim_timeout: u64,
    /// The seed of the draws, and of the first run of each trial.
    pub(super) seed: u64,
}

impl Plan {
    /// Fills in what the settings leave open.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Value`] for settings that do not go together.
    pub(super) fn new(mut given: Config) -> Result<Self> {
        let mut sweep = std::mem::take(&mut given.sweep);
        if sweep.space.is_empty() {
            return Err(unsupported(
                "expected settings that vary in [sweep.space], as in \"training.lr\" = { log-uniform = [1e-4, 1e-1] }; \
                 examples/sweep.toml has more",
            ));
        }
        given.data.get_or_insert_with(crate::experiment::config::Data::sunspots);
        let method = *sweep.method.get_or_insert_default();
        let trials = trials(&sweep, method)?;
        let seeds = within("--seeds (sweep.seeds)", *sweep.seeds.get_or_insert(1), 1..=1000)?;
        let round = round(&mut sweep, method, trials)?;
        let halving = halving(&mut sweep, round)?;
        sweep.trials = Some(trials);
        let metric = *sweep.metric.get_or_insert_default();
        let claim_timeout = *sweep.claim_timeout.get_or_insert(CLAIM_TIMEOUT);
        let seed = *given.run.seed.get_or_insert(1);
        let plan = Self { base: given, sweep, trials, method, metric, seeds, halving, round, claim_timeout, seed };
        plan.check_space()?;
        if method == MethodName::Tpe {
            tpe::check()?;
        }
        Ok(plan)
    }

    /// Refuses settings that cannot vary, that the data do not have, and that are fixed too.
    fn check_space(&self) -> Result<()> {
        let base = self.base.to_map()?;
        for (name, dimension) in &self.sweep.space.0 {
            let refused = |message: String| Err(unsupported(format!("sweep.space, {name}: {message}")));
            if let Some((_, reason)) = NOT_SWEPT.iter().find(|(other, _)| other == name) {
                return refused(format!("it cannot vary: {reason}"));
            }
            let (section, key) = name.split_once('.').unwrap_or((name, ""));
            if ["sweep", "backtest"].contains(&section) {
                return refused(format!("expected a setting of a run, and [{section}] has none"));
            }
            if base.get(section).is_some_and(|keys| keys.get(key).is_some()) && section != "run" {
                return refused(format!("it is fixed in [{section}] too: leave one of them out"));
            }
            for value in dimension.examples() {
                self.settings(&Draw::from([(name.clone(), value)]), None)?;
            }
        }
        Ok(())
    }

    /// The settings of a run of a trial with one of its seeds, counted from 1. `None`: without a seed of its own.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names a setting that there is not, or that does not take the value.
    pub(super) fn settings(&self, draw: &Draw, seed: Option<usize>) -> Result<Config> {
        let mut sections = Map::new();
        for (name, value) in draw {
            let (section, key) = name.split_once('.').unwrap_or((name, ""));
            let keys = sections.entry(section).or_insert_with(|| Map::new().into());
            keys.as_object_mut().into_iter().for_each(|keys| drop(keys.insert(key.into(), value.clone())));
        }
        let drawn: Config = serde_json::from_value(Value::Object(sections)).map_err(|error| {
            let values: Vec<String> = draw.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            unsupported(format!("sweep.space, {}: {error}", values.join(", ")))
        })?;
        if let (Some(of_base), Some(of_draw)) = (&self.base.data, &drawn.data)
            && of_base.kind() != of_draw.kind()
        {
            let (section, kind) = (of_draw.kind().section(), of_base.kind());
            let own = kind.section();
            return Err(unsupported(format!(
                "sweep.space: the data are {kind}, whose settings are in [{own}], and not in [{section}]"
            )));
        }
        let seed = seed.map(|number| self.seed_of(number));
        let run = RunConfig { seed, ..drawn.run.clone() };
        merge_flags(self.base.clone(), &Config { run, ..drawn })
    }

    /// The seed of run `number` of a trial, counted from 1.
    pub(super) fn seed_of(&self, number: usize) -> u64 {
        self.seed.saturating_add(number as u64 - 1)
    }

    /// The trials of each round, counted from 1: what is drawn and, with halving, ranked together.
    pub(super) fn rounds(&self) -> impl Iterator<Item = Range<usize>> {
        (1..=self.trials).step_by(self.round).map(|first| first..(first + self.round).min(self.trials + 1))
    }

    /// The settings of the trials of a round. `told`: the settings of all trials of earlier rounds with their ranks.
    ///
    /// # Errors
    /// Those of TPE.
    pub(super) fn draws(&self, round: Range<usize>, told: &[(&Draw, usize)]) -> Result<Vec<Draw>> {
        let (space, seed) = (&self.sweep.space, self.seed);
        let one = |number: usize| match self.method {
            MethodName::Grid => Ok(draw::combination(space, number - 1)),
            MethodName::Tpe if !told.is_empty() => tpe::suggest(space, seed, number, told),
            MethodName::Random | MethodName::Tpe => Ok(draw::random(space, seed, number)),
        };
        round.map(one).collect()
    }

    /// The number of rungs; 1 without halving.
    pub(super) fn rungs(&self) -> u32 {
        self.halving.map_or(1, |(_, rungs)| rungs)
    }

    /// The steps up to the end of a rung, counted from 1, of a run of `steps` steps with a validation after every `every`
    /// of them: at a rung's end there is one.
    pub(super) fn steps(&self, rung: u32, steps: u64, every: u64) -> u64 {
        let Some((factor, rungs)) = self.halving.filter(|(_, rungs)| rung < *rungs) else { return steps };
        let share = u64::from(factor).saturating_pow(rungs - rung);
        steps.div_ceil(share).next_multiple_of(every.max(1)).min(steps)
    }

    /// A rung, and the step after which it and the next one end: in a run of few validations, rounding may leave nothing
    /// between them.
    pub(super) fn merged(&self, length: &TrainingLength) -> Option<(u32, u64)> {
        let end = |rung| self.steps(rung, length.steps, length.timed_every);
        (1..self.rungs()).find(|rung| end(*rung) == end(rung + 1)).map(|rung| (rung, end(rung)))
    }

    /// Refuses rungs of which two are the same.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names them.
    pub(super) fn check_rungs(&self, length: &TrainingLength) -> Result<()> {
        let Some((rung, step)) = self.merged(length) else { return Ok(()) };
        let every = match length.timed_every {
            1 => "step".to_owned(),
            every => format!("{} steps", grouped(every)),
        };
        Err(unsupported(format!(
            "--rungs {}: expected each to end at a step of its own, got rungs {rung} and {} that both end after {} of {} steps, \
             since a rung ends at a validation and there is one every {every}: take fewer rungs, a smaller \
             training.val-every, or longer runs",
            self.rungs(),
            rung + 1,
            grouped(step),
            grouped(length.steps)
        )))
    }

    /// Refuses a batch that depends on what else runs: trials would not be the same every time.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(super) fn check_batch(&self) -> Result<()> {
        let is_auto = |name: &str, value: &Value| name == "training.batch" && value == "auto";
        let fixed = matches!(self.base.training.batch, Some(BatchSize::Fitting(_)));
        let mut drawn = self
            .sweep
            .space
            .0
            .iter()
            .flat_map(|(name, dimension)| dimension.examples().into_iter().map(move |value| (name, value)));
        if !fixed && !drawn.any(|(name, value)| is_auto(name, &value)) {
            return Ok(());
        }
        Err(unsupported(
            "training.batch: expected a number of sequences in a sweep, got auto, which is what fits the memory that is free \
             when a run begins: the same seed could find another winner. `bptt plan --batch auto` prints a number that fits",
        ))
    }

    /// How many of the trials of a rung go on to the next.
    pub(super) fn survivors(&self, trials: usize) -> usize {
        self.halving.map_or(trials, |(factor, _)| (trials / factor as usize).max(1))
    }

    /// The settings other than the device, the threads and the time-out; they make the sweep.
    pub(super) fn identity(config: &Config) -> Config {
        let mut config = config.clone();
        (config.run.device, config.run.threads, config.sweep.claim_timeout) = (None, None, None);
        config
    }

    /// All settings in one file.
    pub(super) fn config(&self) -> Config {
        Config { sweep: self.sweep.clone(), ..self.base.clone() }
    }

    /// The trials in words: names and texts, of which an empty name continues the line before.
    pub(super) fn describe(&self) -> Vec<(&'static str, String)> {
        let how = match self.method {
            MethodName::Grid => "every combination".to_owned(),
            MethodName::Random => format!("drawn at random with seed {}", self.seed),
            MethodName::Tpe => format!(
                "drawn by TPE with seed {}, in rounds of {} from the results of the rounds before (sweep.round)",
                self.seed, self.round
            ),
        };
        let seeds = match self.seeds {
            1 => String::new(),
            seeds => format!(", each with {seeds} seeds"),
        };
        let mut facts = vec![("trials", format!("{}, {how}{seeds}", grouped(self.trials as u64)))];
        let space = self.sweep.space.0.iter();
        facts.extend(space.enumerate().map(|(index, (name, dimension))| {
            (if index == 0 { "space" } else { "" }, format!("{name} = {}", form(&dimension.to_value())))
        }));
        if let Some((factor, rungs)) = self.halving {
            let shares: Vec<String> =
                (1..rungs).map(|rung| format!("1/{}", factor.saturating_pow(rungs - rung))).collect();
            facts.push((
                "halving",
                format!(
                    "the best 1/{factor} of the trials go on, by validation loss, after {} of the steps",
                    shares.join(" and ")
                ),
            ));
        }
        let direction = if self.metric.is_higher_better() { "highest" } else { "lowest" };
        let metric = match self.metric {
            MetricName::ValLoss => "validation loss".to_owned(),
            metric => format!("{} of the validation split", words(&metric)),
        };
        facts.push(("metric", format!("the {direction} {metric} wins; the test split is not looked at")));
        facts
    }
}

/// A value of the space as it is written in TOML.
fn form(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.iter().map(|(key, value)| format!("{key} = {}", form(value))).collect();
            format!("{{ {} }}", keys.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(form).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn within(what: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
    if range.contains(&value) {
        return Ok(value);
    }
    let expected =
        format!("a whole number from {} to {}", grouped(*range.start() as u64), grouped(*range.end() as u64));
    Err(Error::Value { what: what.into(), expected, got: grouped(value as u64) })
}

fn trials(sweep: &SweepConfig, method: MethodName) -> Result<usize> {
    if method != MethodName::Grid {
        return within("--trials (sweep.trials)", sweep.trials.unwrap_or(TRIALS), 1..=MOST_TRIALS);
    }
    if let Some((name, _)) = sweep.space.0.iter().find(|(_, dimension)| dimension.values().is_none()) {
        return Err(unsupported(format!(
            "--method grid: {name} is a distribution: expected a list, {{ range = [A, B], step = S }} or \
             {{ integers = [A, B] }} for a grid; random and tpe draw from it"
        )));
    }
    let all = draw::combinations(&sweep.space).unwrap_or(usize::MAX);
    match sweep.trials {
        Some(trials) if trials != all => Err(unsupported(format!(
            "--trials {}: a grid has every combination, here {}; leave it out, or take --method random",
            grouped(trials as u64),
            grouped(all as u64)
        ))),
        _ => within("the combinations of the grid", all, 1..=MOST_TRIALS),
    }
}

fn round(sweep: &mut SweepConfig, method: MethodName, trials: usize) -> Result<usize> {
    match (method, sweep.round) {
        (MethodName::Tpe, given) => {
            let round = within("--round (sweep.round)", given.unwrap_or(ROUND), 1..=MOST_TRIALS)?;
            sweep.round = Some(round);
            Ok(round)
        }
        (_, None) => Ok(trials),
        (method, Some(_)) => Err(unsupported(format!(
            "--round (sweep.round) is how many trials TPE draws at once, and --method {} draws all of them",
            words(&method)
        ))),
    }
}

fn halving(sweep: &mut SweepConfig, round: usize) -> Result<Option<(u32, u32)>> {
    let Some(factor) = sweep.halving else {
        return match sweep.rungs {
            Some(_) => Err(unsupported("--rungs (sweep.rungs) is for successive halving: set --halving, as in 3")),
            None => Ok(None),
        };
    };
    let factor_as_size = within("--halving (sweep.halving)", factor as usize, 2..=100)?;
    // As many as leave a trial to compare with at the last one.
    let natural = (round.max(1).ilog(factor_as_size) + 1).clamp(2, RUNGS);
    let rungs = *sweep.rungs.get_or_insert(natural);
    within("--rungs (sweep.rungs)", rungs as usize, 2..=10)?;
    Ok(Some((factor, rungs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan> {
        Plan::new(Config::parse(text, "s.toml".as_ref())?)
    }

    const SPACE: &str = "[sweep.space]\ntraining.lr = { log-uniform = [1e-4, 1e-1] }\n";

    #[test]
    fn rungs_end_at_validations_and_the_last_one_at_the_end() {
        let plan = plan(&format!("[sweep]\ntrials = 24\nhalving = 3\n{SPACE}")).unwrap();
        assert_eq!(plan.rungs(), 3);
        assert_eq!([1, 2, 3].map(|rung| plan.steps(rung, 900, 10)), [100, 300, 900]);
        assert_eq!([1, 2, 3].map(|rung| plan.steps(rung, 1000, 70)), [140, 350, 1000]);
        assert_eq!([1, 2, 3].map(|rung| plan.steps(rung, 5, 7)), [5, 5, 5]);
        assert_eq!([24, 8, 2, 1].map(|trials| plan.survivors(trials)), [8, 2, 1, 1]);
    }

    #[test]
    fn a_trial_is_the_settings_with_its_values_as_flags() {
        let plan = plan(&format!("[model]\ncell = \"gru\"\nhidden = 8\n[run]\nseed = 5\n[sweep]\nseeds = 2\n{SPACE}"));
        let plan = plan.unwrap();
        let draw = Draw::from([("training.lr".to_owned(), 0.25.into()), ("model.cell".to_owned(), "rnn".into())]);
        let config = plan.settings(&draw, Some(2)).unwrap();
        assert_eq!((config.training.lr, config.model.hidden, config.run.seed), (Some(0.25), Some(8), Some(6)));
        assert_eq!(config.model.cell, Some(crate::experiment::config::CellName::Rnn));
        assert!(config.sweep.is_empty());
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (text, part) in [
            ("[sweep]\ntrials = 3\n".to_owned(), "settings that vary in [sweep.space]"),
            (format!("[sweep]\nmethod = \"grid\"\n{SPACE}"), "training.lr is a distribution"),
            (format!("[sweep]\nround = 4\n{SPACE}"), "how many trials TPE draws at once"),
            (format!("[sweep]\nrungs = 4\n{SPACE}"), "set --halving"),
            (format!("[sweep]\nhalving = 1\n{SPACE}"), "a whole number from 2 to 100"),
            (format!("[sweep]\nseeds = 0\n{SPACE}"), "a whole number from 1 to 1,000"),
            (format!("[sweep]\ntrials = 0\n{SPACE}"), "a whole number from 1 to 100,000"),
            (format!("[training]\nlr = 0.1\n{SPACE}"), "it is fixed in [training] too"),
            (format!("{SPACE}run.seed = [1, 2]\n"), "it cannot vary"),
            (format!("{SPACE}training.learning = [1, 2]\n"), "unknown field `learning`"),
            (format!("{SPACE}model.hidden = [\"x\"]\n"), "model.hidden = \"x\""),
            (format!("{SPACE}text.window = [8]\n"), "the data are a series"),
            (
                "[sweep]\nmethod = \"grid\"\ntrials = 3\n[sweep.space]\nmodel.hidden = [4, 8]".to_owned(),
                "here 2; leave it out",
            ),
        ] {
            let error = plan(&text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
