//! A worker: takes runs from the folder of a sweep until there are none left.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::claim::{Claim, Claimed, Claims};
use super::draw::Draw;
use super::driver::{CLAIMS, Sweep};
use super::record::{Record, Records, Work, read, to_json};
use super::standing::Standing;
use crate::experiment::config::{Config, RunConfig};
use crate::experiment::device::network::Network;
use crate::experiment::device::open::Place;
use crate::experiment::files::checkpoints::{FINISHED, files, step_of};
use crate::experiment::files::folder::Folder;
use crate::experiment::files::history::each_metrics;
use crate::experiment::files::names;
use crate::experiment::resume::{ResumableRun, ResumeRequest};
use crate::experiment::settings::Settings;
use crate::experiment::training::{Experiment, Missing, ResumedProgress, TrainedSteps, TrainingLength, TrainingRun};
use crate::format::{grouped, path_text, short};
use crate::train::{KeepWeights, Metrics, Observer, StepCounts, StopReason};
use crate::{Error, HiddenGradientNorms, Result};

/// The record of a run in its own folder, for a worker that is killed before the sweep has it.
const OWN_RECORD: &str = "sweep.json";

/// Between two looks at what other workers do.
const POLL: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// Where a worker runs.
#[derive(Clone, Debug, Default)]
pub struct WorkOptions {
    /// The device; `None`: that of the sweep's settings.
    pub device: Option<String>,
    /// CPU threads; `None`: those of the sweep's settings.
    pub threads: Option<usize>,
    /// The workers of this machine that share its cores, where the threads are not set; 0 is one.
    pub jobs: usize,
    /// The place of this process among those of a launcher; `None` without one.
    pub place: Option<Place>,
    /// Names and texts for the report of each run.
    pub facts: Vec<(String, String)>,
}

/// Receives what a worker does, and may stop it.
pub trait Watch {
    /// Receives the steps of a run.
    type Display: Observer;

    /// The observer of the steps of a run; `name` is `trial 7`.
    ///
    /// # Errors
    /// Any: it ends the worker.
    fn display(&mut self, name: &str, length: &TrainingLength, before: &ResumedProgress) -> Result<Self::Display>;

    /// The device of a run, before its first step.
    fn device(&mut self, text: &str);

    /// A line of words about a run or the worker, as a name and a text.
    fn line(&mut self, name: &str, text: &str);

    /// Whether to stop as soon as possible.
    fn stops(&self) -> bool;
}

impl Sweep {
    /// Takes runs until none is left: `true`, or until `watch` stops it: `false`. What it was doing then is kept, and goes on
    /// from there.
    ///
    /// # Errors
    /// Of the folder, and of a device that is lost; a lack of memory, the first time that the results of a trained network are
    /// measured. Other errors of a run are the result of its trial.
    pub async fn work<W: Watch>(&self, options: &WorkOptions, watch: &mut W) -> Result<bool> {
        let (mut records, mut draws) = (self.records(), Vec::new());
        let timeout = Duration::from_secs(self.plan.claim_timeout);
        let mut claims = Claims::new(self.path().join(CLAIMS), timeout);
        let (mut pause, mut is_waiting) = (POLL[0], false);
        loop {
            let standing = self.standing(&mut records, &mut draws)?;
            if standing.next.is_empty() {
                return Ok(true);
            }
            if watch.stops() {
                return Ok(false);
            }
            if self.take_one(&standing, &draws, &mut claims, &mut records, options, watch).await? {
                (pause, is_waiting) = (POLL[0], false);
                continue;
            }
            if !is_waiting && pause > POLL[1] / 2 {
                let runs = standing.next.len();
                let runs = if runs == 1 { "1 run".to_owned() } else { format!("{} runs", grouped(runs as u64)) };
                watch.line("waiting", &format!("for {runs} of other workers"));
                is_waiting = true;
            }
            sleep(pause);
            pause = (pause * 2).min(POLL[1]);
        }
    }

    /// Claims a piece of work and does it. `false` if all are other workers'.
    async fn take_one<W: Watch>(
        &self,
        standing: &Standing,
        draws: &[Draw],
        claims: &mut Claims,
        records: &mut Records,
        options: &WorkOptions,
        watch: &mut W,
    ) -> Result<bool> {
        for work in &standing.next {
            let (work, folder) = (*work, self.path().join(work.folder()));
            let claim = match claims.take(&work.name(), reached(&folder))? {
                Claimed::Busy => continue,
                Claimed::GivenUp(times) => {
                    let reason =
                        format!("its process ended {times} times without a step forward, as for lack of memory");
                    records.put_failure(work, reached(&folder), reason)?;
                    return Ok(true);
                }
                Claimed::Own(claim) => claim,
            };
            records.refresh()?;
            // Its last worker came to its end while this one claimed it.
            if records.get(work).is_some() {
                return Ok(true);
            }
            wait_for(&folder, watch);
            let draw = draws.get(work.trial - 1).cloned().unwrap_or_default();
            let task = Task { sweep: self, work, draw: &draw, folder: &folder, claim: &claim };
            let result = if watch.stops() { Ok(Done::Stopped) } else { task.run(options, watch).await };
            match result {
                Ok(Done::Record(record)) => {
                    records.put(work, record)?;
                    claim.release();
                }
                Ok(Done::Stopped) => claim.release(),
                // Another worker has it by now, and what it finds counts.
                Ok(Done::Unmeasured(_)) | Err(_) if claim.is_lost() => {}
                Ok(Done::Unmeasured(error)) => {
                    watch.line(&task.name(), "trained, but could not be measured; the next worker measures it");
                    claim.release();
                    return Err(error);
                }
                Err(error) if self.is_of_trial(&error)? && !Folder::is_in_use(&folder) => {
                    watch.line(&task.name(), &format!("failed: {error}"));
                    records.put_failure(work, reached(&folder), error.to_string())?;
                }
                Err(error) => {
                    claim.release();
                    return Err(error);
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether an error is the result of a trial, and not of the machine, the disk, or data that have changed.
    fn is_of_trial(&self, error: &Error) -> Result<bool> {
        Ok(match error {
            error if error.is_of_machine() => false,
            // As of a window that is longer than the series.
            Error::Data { .. } => !self.has_other_data()?,
            _ => true,
        })
    }
}

/// Waits while another process writes into the folder of a run: a worker that was taken for dead, or `bptt train --resume`.
fn wait_for(folder: &Path, watch: &mut impl Watch) {
    let (began, mut is_told) = (Instant::now(), false);
    while Folder::is_in_use(folder) && !watch.stops() {
        if !is_told && began.elapsed() > POLL[1] / 2 {
            watch.line("waiting", &format!("for {}, which another process writes", path_text(folder)));
            is_told = true;
        }
        sleep(POLL[1] / 10);
    }
}

/// The step of the last checkpoint of a run.
fn reached(folder: &Path) -> u64 {
    let last = files(folder).unwrap_or_default().into_iter().next();
    last.and_then(|path| step_of(path.file_name()?.to_str()?)).unwrap_or(0)
}

/// How far a worker came with a piece of work.
enum Done {
    /// To its end.
    Record(Record),
    /// It was stopped before.
    Stopped,
    /// It is trained, and could not be measured for what may pass.
    Unmeasured(Error),
}

/// A piece of work that this worker has claimed.
struct Task<'a> {
    sweep: &'a Sweep,
    work: Work,
    draw: &'a Draw,
    folder: &'a Path,
    claim: &'a Claim,
}

impl Task<'_> {
    fn name(&self) -> String {
        if self.sweep.plan.seeds == 1 {
            format!("trial {}", self.work.trial)
        } else {
            format!("trial {}, seed {}", self.work.trial, self.work.seed)
        }
    }

    /// Trains up to the end of the rung.
    async fn run<W: Watch>(&self, options: &WorkOptions, watch: &mut W) -> Result<Done> {
        let base = &self.sweep.plan.base.run;
        let device = options.device.clone().or(base.device.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = options.jobs.max(1) * options.place.map_or(1, |place| place.local_size);
        let share = (workers > 1).then(|| (cores / workers).max(1));
        let threads = options.threads.or(base.threads).or(share);
        let resumed = if self.folder.join(names::CONFIG).is_file() {
            if self.folder.join(FINISHED).is_file() && self.folder.join(OWN_RECORD).is_file() {
                return read(&self.folder.join(OWN_RECORD)).map(Done::Record);
            }
            let device = Some(device.clone().unwrap_or_else(|| "auto".into()));
            let flags = Config { run: RunConfig { device, threads, ..RunConfig::default() }, ..Config::default() };
            let asked = ResumeRequest::of_part(&flags, self.sweep.read_config);
            // One that `bptt train --resume` finished lacks the record of the sweep.
            ResumableRun::open(self.folder, &ResumeRequest { measures_again: true, ..asked })?
        } else {
            None
        };
        let settings = match &resumed {
            Some(run) => run.given.clone(),
            None => {
                let mut config = self.sweep.plan.settings(self.draw, Some(self.work.seed))?;
                (config.run.device, config.run.threads) = (device, threads);
                config
            }
        };
        let saved = resumed.as_ref().and_then(|run| run.saved.as_ref()).map_or(0, |(saved, _)| saved.step);
        let mut settings = Settings::new(settings)?;
        settings.place = options.place;
        let mut experiment = Experiment::load_resumed(settings, resumed.as_ref())?;
        let (run, network) = TrainingRun::open(&mut experiment, resumed, Some(self.folder), None).await?;
        self.train(run, network, saved, options, watch).await
    }

    /// Trains the open run, whose last checkpoint is after `saved` steps.
    async fn train<W: Watch>(
        &self,
        run: TrainingRun<'_>,
        mut network: Network,
        saved: u64,
        options: &WorkOptions,
        watch: &mut W,
    ) -> Result<Done> {
        let length = run.length();
        let until = self.sweep.plan.steps(self.work.rung, length.steps, length.timed_every);
        let keep = run.keep_weights();
        if saved >= until && until < length.steps {
            // Its last worker was killed between the checkpoint and the record.
            return self.record(until, keep).map(Done::Record);
        }
        if self.work.rung == 1
            && let Some((rung, step)) = self.sweep.plan.merged(&length)
        {
            let words =
                format!("rungs {rung} and {} both end after {} steps, at a validation", rung + 1, grouped(step));
            watch.line(&self.name(), &words);
        }
        let mut missing = Missing::default();
        watch.device(&run.device.describe());
        // The first says after which step.
        run.resume_notes().iter().skip(1).for_each(|note| watch.line(&self.name(), note));
        let name = self.name();
        let display = |length: &TrainingLength, before: &ResumedProgress| {
            let display = watch.display(&name, length, before)?;
            Ok(UntilRung { display, until, claim: self.claim })
        };
        let mut steps = run.train(&mut network, display, &mut missing).await?;
        let done = steps.outcome.last.step;
        if self.claim.is_lost() {
            watch.line(&name, "stopped: another worker took it, since this one showed no sign of life");
            return Ok(Done::Stopped);
        }
        if steps.outcome.stop_reason == StopReason::Stopped {
            let record = if done >= until { Some(self.record(done, keep)?) } else { None };
            let what = if record.is_some() { self.rung() } else { "stopped; it goes on from here".into() };
            watch.line(&name, &describe(&steps, &what));
            return Ok(record.map_or(Done::Stopped, Done::Record));
        }
        let mut record = Record { ended: true, ..self.record(done, keep)? };
        let results = match run.measure_or_fail(network, true, &mut missing).await {
            Ok(results) => results,
            Err(error) => return Ok(Done::Unmeasured(error)),
        };
        if let Some(results) = results {
            record.validation = numbers(results.summary.get("validation"));
            record.test = numbers(results.summary.get("test"));
            run.write_results(&mut steps, results, options.facts.clone(), &mut missing);
        }
        missing.words().iter().for_each(|words| watch.line("missing", &format!("{name}: {words}")));
        run.folder.write(OWN_RECORD, &to_json(&record)?)?;
        run.finish()?;
        let early = steps.outcome.stop_reason == StopReason::NoImprovement;
        watch.line(&name, &describe(&steps, if early { "ended early" } else { "" }));
        Ok(Done::Record(record))
    }

    fn rung(&self) -> String {
        format!("rung {} of {}", self.work.rung, self.sweep.plan.rungs())
    }

    /// What the log of the run says of its first `step` steps.
    fn record(&self, step: u64, keep: KeepWeights) -> Result<Record> {
        let (mut last, mut lowest) = (None, None::<f64>);
        each_metrics(&self.folder.join(names::METRICS), |metrics| {
            if metrics.step <= step {
                // A rung ends with a validation; one that is not finite has no number in the log.
                last = metrics.val_loss.filter(|_| metrics.step == step);
                let is_lower = |loss: &f64| lowest.is_none_or(|lowest| *loss < lowest);
                lowest = metrics.val_loss.filter(|loss| loss.is_finite()).filter(is_lower).or(lowest);
            }
        })?;
        let val_loss = if keep == KeepWeights::Best { lowest } else { last };
        let (validation, test) = Default::default();
        Ok(Record { step, val_loss, ended: false, validation, test, failed: None })
    }
}

/// How the steps went, in words.
fn describe(steps: &TrainedSteps, what: &str) -> String {
    let TrainedSteps { outcome, pace, skipped, .. } = steps;
    let validation = outcome.last.val_loss.map(|loss| format!(", validation {}", short(loss))).unwrap_or_default();
    let skipped = if *skipped > 0 { format!(", {} of them skipped", grouped(*skipped)) } else { String::new() };
    let what = if what.is_empty() { String::new() } else { format!(": {what}") };
    format!("{} steps{skipped} in {pace}{validation}{what}", grouped(outcome.last.step))
}

/// The numbers of a part in a summary.
fn numbers(part: Option<&Value>) -> Map<String, Value> {
    let numbers = part.and_then(Value::as_object).into_iter().flatten().filter(|(_, value)| value.is_number());
    numbers.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Stops a run at the end of a rung, and where another worker took it.
struct UntilRung<'a, D> {
    display: D,
    until: u64,
    claim: &'a Claim,
}

impl<D: Observer> Observer for UntilRung<'_, D> {
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()> {
        self.display.step(metrics, work)
    }

    fn wants_hidden_gradient_norms(&mut self, step: u64) -> bool {
        self.display.wants_hidden_gradient_norms(step)
    }

    fn hidden_gradient_norms(&mut self, step: u64, norms: &HiddenGradientNorms) -> Result<()> {
        self.display.hidden_gradient_norms(step, norms)
    }

    fn stop(&mut self, step: u64) -> bool {
        step >= self.until || self.claim.is_lost() || self.display.stop(step)
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        self.display.wants_checkpoint(step)
    }
}

impl Sweep {
    /// A trial's runs in words, as messages name them.
    pub(super) fn folder_of(&self, trial: usize, seed: usize) -> String {
        path_text(&self.path().join(Work { trial, seed, rung: 1 }.folder()))
    }
}
