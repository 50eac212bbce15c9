//! `bptt backtest`.

use bptt::experiment::backtest::{Backtest, Fold};
use bptt::experiment::config::BUNDLED;
use bptt::experiment::training::{Missing, ResumedProgress, TrainedSteps, TrainingLength, TrainingRun};
use bptt::format::{grouped, path_json, shell_quoted, short};
use bptt::train::StopReason;
use serde_json::{Value, json};

use super::args::BacktestArgs;
use crate::cli::exit::Failure;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::printed::{eprint_line, heading, print_json, print_line};
use crate::cli::train::display::TrainingDisplay;
use crate::cli::{config_file, provenance};

pub(crate) async fn backtest(args: &BacktestArgs) -> Result<(), Failure> {
    let is_silent = args.json || args.show.quiet;
    let print = |line: &str| {
        if !is_silent {
            print_line(line);
        }
    };
    let backtest = open(args)?;
    backtest.describe().iter().for_each(|(name, text)| print(&heading(name, text)));
    print("");
    interrupt::listen()?;
    let mut missing = Missing::notifying(|words| eprint_line(format_args!("missing   {words}")));
    let mut device = None;
    for fold in backtest.folds() {
        if backtest.is_finished(fold) {
            print(&format!("{}finished before", begins(&backtest, fold)));
            continue;
        }
        if interrupt::asked() || !run(&backtest, fold, args, is_silent, &mut device, &mut missing).await? {
            let command = format!("bptt backtest --resume {}", shell_quoted(backtest.path()));
            print(&heading("resume", &command));
            if args.json {
                print_json(json!({"backtest": path_json(backtest.path()), "resume": command}));
            }
            return Err(Failure::Stopped(interrupt::signal()));
        }
    }
    let results = backtest.results()?;
    let facts = provenance::provenance().map(|(name, text)| (name.to_owned(), text));
    backtest.write(&results, facts.into())?;
    print("");
    results.lines.iter().for_each(|line| print(line));
    print(&heading("files", &Backtest::files().join(" ")));
    if args.json {
        let mut summary = provenance::to_json();
        summary.extend(results.summary);
        if !missing.words().is_empty() {
            summary.insert("missing".into(), json!(missing.words()));
        }
        print_json(Value::Object(summary));
    }
    Ok(())
}

/// The backtest that the flags begin or resume.
fn open(args: &BacktestArgs) -> Result<Backtest, Failure> {
    let series = args.series.data()?;
    let mut settings = args.settings.clone();
    settings.backtest = args.folds.0.clone();
    if let Some(path) = &args.resume {
        let flags = settings.config(series.as_ref())?;
        return Ok(Backtest::resume(path, &flags, config_file::read)?);
    }
    let mut given = config_file::resolve_config(args.config.as_deref(), &settings, series.as_ref())?;
    // Without data, the sunspots are used.
    if let (None, Some(data)) = (&args.config, &mut given.data)
        && !data.is_named()
    {
        data.set_file(Some(BUNDLED.into()))?;
    }
    Ok(Backtest::open(given, args.out.as_deref(), config_file::read)?)
}

/// `fold 3    after 1956-12: `, before what becomes of the fold.
fn begins(backtest: &Backtest, fold: &Fold) -> String {
    heading(&format!("fold {}", fold.number), &format!("after {}: ", backtest.origin(fold)))
}

/// Trains the network of a fold, or forecasts with that of the first. `false` if a signal stopped it.
async fn run(
    backtest: &Backtest,
    fold: &Fold,
    args: &BacktestArgs,
    is_silent: bool,
    device: &mut Option<String>,
    missing: &mut Missing,
) -> Result<bool, Failure> {
    if !backtest.trains(fold) {
        backtest.forecast_fold(fold).await?;
        if !is_silent {
            print_line(format!("{}forecast with the network of fold 1", begins(backtest, fold)));
        }
        return Ok(true);
    }
    let begin = |run: &TrainingRun<'_>| {
        let here = run.device.describe();
        if !is_silent && device.as_ref() != Some(&here) {
            print_line(heading("device", &here));
        }
        *device = Some(here);
        if !is_silent {
            run.resume_notes().iter().for_each(|note| print_line(format!("{}{note}", begins(backtest, fold))));
        }
    };
    let name = format!("fold {}", fold.number);
    let display = |length: &TrainingLength, before: &ResumedProgress| {
        Ok(TrainingDisplay::new(name, length, before, args.show)?.sparse())
    };
    let facts = provenance::provenance().map(|(name, text)| (name.to_owned(), text));
    let Some(steps) = backtest.train_fold(fold, facts.into(), begin, display, missing).await? else { return Ok(true) };
    let is_stopped = steps.outcome.stop_reason == StopReason::Stopped;
    if !is_silent {
        let TrainedSteps { outcome, pace, skipped, .. } = steps;
        let rows = grouped(fold.train_end as u64);
        let validation = outcome.last.val_loss.map(|loss| format!(", validation {}", short(loss))).unwrap_or_default();
        let skipped = if skipped > 0 { format!(", {} of them skipped", grouped(skipped)) } else { String::new() };
        let stopped = if is_stopped { ": stopped by a signal; the weights so far are stored" } else { "" };
        print_line(format!(
            "{}{rows} training rows, {} steps{skipped} in {pace}{validation}{stopped}",
            begins(backtest, fold),
            grouped(outcome.last.step)
        ));
    }
    Ok(!is_stopped)
}
