//! `bptt train`.

use std::path::Path;

use bptt::experiment::RunRanks;
use bptt::experiment::files::checkpoints;
use bptt::experiment::files::folder::Folder;
use bptt::experiment::ranks::StepBytes;
use bptt::experiment::resume::{ResumableRun, ResumeRequest};
use bptt::experiment::settings::Settings;
use bptt::experiment::training::{Experiment, FollowedRun, Missing, TrainedSteps, TrainingRun};
use bptt::format::{grouped, path_json, path_text, shell_quoted, short};
use bptt::train::{KeepWeights, Metrics, Observer, StepCounts, StopReason};
use serde_json::{Value, json};

use super::display::TrainingDisplay;
use crate::cli::args::TrainArgs;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{eprint_line, heading, print_data, print_json, print_line};
use crate::cli::terminal::{interrupt, profile_table};
use crate::cli::{config_file, provenance, ranks};

/// Prints text for people, unless `--json` or `--quiet` is set.
#[derive(Clone, Copy)]
struct Terminal {
    is_silent: bool,
}

impl Terminal {
    fn print(self, line: &str) {
        if !self.is_silent {
            print_line(line);
        }
    }
}

pub(crate) async fn train(args: &TrainArgs) -> Result<(), Failure> {
    match ranks::join(args.rank_sums)? {
        Some(ranks) if !ranks.leads() => follow(args, &ranks).await,
        ranks => lead(args, ranks.as_ref()).await,
    }
}

/// The run that flags resume, and the experiment of either run; `None` if it has finished. All ranks come here, and rank 0 is the
/// first to open a folder.
fn load(args: &TrainArgs, ranks: Option<&RunRanks>) -> bptt::Result<Option<(Option<ResumableRun>, Experiment)>> {
    let opened = match ranks {
        None => settings(args, false)?,
        Some(ranks) => {
            let opened = ranks.after_first(|| settings(args, !ranks.leads()))?;
            ranks.check_alike(opened.is_none(), OTHER_FOLDER)?;
            opened
        }
    };
    let Some((resumed, settings)) = opened else { return Ok(None) };
    let experiment = RunRanks::all(ranks, Experiment::load_resumed(settings, resumed.as_ref()))?;
    Ok(Some((resumed, experiment)))
}

/// The run that flags resume and the settings of either run; `None` if it has finished.
fn settings(args: &TrainArgs, follows: bool) -> bptt::Result<Option<(Option<ResumableRun>, Settings)>> {
    if !follows {
        Folder::check_free(args.out.as_deref(), checkpoints::is_beginning)?;
    }
    let Some(path) = &args.resume else {
        let settings = config_file::resolve(args.config.as_deref(), &args.settings, args.data.as_ref())?;
        return Ok(Some((None, settings)));
    };
    let flags = args.settings.config(args.data.as_ref())?;
    let request = ResumeRequest {
        flags: &flags,
        elsewhere: args.out.is_some(),
        read_config: config_file::read,
        follows,
        measures_again: false,
    };
    let Some(run) = ResumableRun::open(path, &request)? else { return Ok(None) };
    let settings = Settings::new(run.given.clone())?;
    Ok(Some((Some(run), settings)))
}

/// Why one rank finds a run finished and another does not.
const OTHER_FOLDER: &str = "for one of them the run has finished, for the other it has not; the run's folder must be the same on every machine";

/// Trains on this rank as rank 0 says, without a word.
async fn follow(args: &TrainArgs, ranks: &RunRanks) -> Result<(), Failure> {
    let Some((resumed, mut experiment)) = load(args, Some(ranks))? else { return Ok(()) };
    if args.dump_config {
        return Ok(());
    }
    let (run, network) = FollowedRun::open(&mut experiment, resumed, ranks).await?;
    interrupt::listen()?;
    match run.follow(network, &mut Follower, args.json).await? {
        StopReason::Stopped => Err(stopped(Some(ranks))),
        _ => Ok(()),
    }
}

/// Passes on the signals that this rank receives.
struct Follower;

impl Observer for Follower {
    fn step(&mut self, _: &Metrics, _: StepCounts) -> bptt::Result<()> {
        Ok(())
    }

    fn stop(&mut self, _step: u64) -> bool {
        interrupt::asked()
    }

    fn wants_checkpoint(&mut self, _: u64) -> bool {
        interrupt::asked() || interrupt::asked_to_save()
    }
}

/// Trains as the only rank, or as rank 0 of several.
async fn lead(args: &TrainArgs, ranks: Option<&RunRanks>) -> Result<(), Failure> {
    let terminal = Terminal { is_silent: args.json || args.show.quiet };
    let Some((resumed, mut experiment)) = load(args, ranks)? else {
        args.resume.iter().for_each(|path| print_finished(path, args.json, terminal));
        return Ok(());
    };
    experiment.start.iter().filter_map(|start| start.note.as_ref()).for_each(eprint_line);
    if args.dump_config {
        experiment.batches()?;
        print_data(&format!("{}\n", experiment.settings.config().to_toml()?.trim_end()));
        return Ok(());
    }
    let (run, mut network) = TrainingRun::open(&mut experiment, resumed, args.out.as_deref(), ranks).await?;
    run.facts().iter().for_each(|(name, text)| terminal.print(&heading(name, text)));
    let launcher = ranks.map(|ranks| format!("mpirun -n {} ", ranks.size())).unwrap_or_default();
    let resume = format!("{launcher}bptt train --resume {}", shell_quoted(run.folder.path()));
    if ranks.is_some() {
        terminal.print(&heading("resume", &format!("{resume}, should a rank end early")));
    }
    terminal.print("");
    interrupt::listen()?;
    let mut missing = Missing::notifying(|words| eprint_line(format_args!("missing   {words}")));
    let show = args.show;
    let display = |length: &_, before: &_| TrainingDisplay::new("", length, before, show);
    let mut steps = run.train(&mut network, display, &mut missing).await?;
    describe_outcome(&steps, run.keep_weights()).iter().for_each(|line| terminal.print(line));
    terminal.print("");
    if steps.skipped > 0 {
        let text = format!("{} steps, whose loss or gradient norm was not finite", grouped(steps.skipped));
        terminal.print(&heading("skipped", &text));
        terminal.print("");
    }
    if run.profiles() {
        let rows = network.profile().await.map(|profile| profile_table::rows(&profile, 1.0));
        let rows = missing.keep("profile", rows).unwrap_or_default();
        profile_table::table(&rows, run.device.is_cpu()).into_iter().chain([String::new()]).for_each(eprint_line);
    }
    let is_stopped = steps.outcome.stop_reason == StopReason::Stopped;
    // A launcher that was asked to stop soon kills its processes.
    let results =
        if is_stopped && ranks.is_some() { None } else { run.measure(network, args.json, &mut missing).await };
    let mut results = results.unwrap_or_default();
    results.lines.iter().for_each(|line| terminal.print(line));
    terminal.print("");
    let of_results = std::mem::take(&mut results.summary);
    let provenance = provenance::provenance().map(|(name, text)| (name.to_owned(), text));
    run.write_results(&mut steps, results, provenance.into(), &mut missing);
    run.memory.describe_peak().iter().for_each(|line| terminal.print(&heading("memory", line)));
    if let Some(names) = missing.keep("the names of the run's files", run.file_names()) {
        terminal.print(&heading("files", &names.join(" ")));
    }
    if args.json {
        let mut summary = provenance::to_json();
        summary.extend(run.summary(&steps, &missing)?);
        summary.extend(of_results);
        print_json(Value::Object(summary));
    }
    if is_stopped {
        terminal.print(&heading("resume", &resume));
        return Err(stopped(ranks));
    }
    Ok(run.finish()?)
}

/// What stopped the run: a signal that this process received, or another rank.
fn stopped(ranks: Option<&RunRanks>) -> Failure {
    let own = if interrupt::asked() { interrupt::signal() } else { 0 };
    let all = ranks.and_then(|ranks| ranks.numbers(own.unsigned_abs().into()).ok()).unwrap_or_default();
    Failure::Stopped(all.into_iter().max().map_or(own, |signal| signal as i32))
}

fn print_finished(run: &Path, json: bool, terminal: Terminal) {
    if json {
        print_json(json!({"run": path_json(run), "over": true}));
    } else {
        terminal.print(&format!(
            "{}: the run has finished; there is nothing to resume. --epochs or --steps, the new total length, extends it \
             in a new folder",
            path_text(run)
        ));
    }
}

/// How training ended, in lines.
fn describe_outcome(steps: &TrainedSteps, keep: KeepWeights) -> Vec<String> {
    let TrainedSteps { outcome, loss, pace, sent, .. } = steps;
    let last = &outcome.last;
    let over = if loss.steps > 1 { format!(" over the last {} steps", loss.steps) } else { String::new() };
    let validation = last.val_loss.map(|loss| format!(", validation {}", short(loss))).unwrap_or_default();
    let best = outcome.best.filter(|best| best.step < last.step || last.val_loss.is_none());
    let best = best.map(|best| {
        let epoch = if best.epoch > 1 { format!(" (epoch {})", best.epoch) } else { String::new() };
        format!(", lowest {} after step {}{epoch}", short(best.val_loss), grouped(best.step))
    });
    let why = match outcome.stop_reason {
        StopReason::NoImprovement => ": stopped early, since the validation loss no longer improved",
        StopReason::Stopped => ": stopped by a signal; the weights so far are stored",
        _ => "",
    };
    let kept = outcome.best.filter(|best| keep == KeepWeights::Best && best.step < last.step);
    let kept = kept.map(|best| format!("from step {}, with the lowest validation loss", grouped(best.step)));
    let sent = sent.map(|StepBytes { most, all }| {
        let (most, all) = (grouped(most), grouped(all));
        format!("{most} bytes a step from each rank at most, {all} from all of them")
    });
    let mut lines = vec![
        heading("done", &format!("{} steps in {pace}{why}", grouped(last.step))),
        heading("loss", &format!("{}{over}{validation}{}", short(loss.mean), best.unwrap_or_default())),
    ];
    lines.extend(sent.map(|words| heading("sent", &words)));
    lines.extend(kept.map(|words| heading("weights", &words)));
    lines
}
