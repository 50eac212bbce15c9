//! `bptt sweep`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bptt::experiment::config::{Config, RunConfig, SweepConfig};
use bptt::experiment::sweep::{Sweep, Watch, WorkOptions};
use bptt::experiment::training::{ResumedProgress, TrainingLength};
use bptt::format::{left, path_json, path_text, shell_quoted};
use bptt::train::{Metrics, Observer, StepCounts};
use bptt::{Error, Result};
use serde_json::{Value, json};

use super::args::SweepArgs;
use crate::cli::args::{SettingsArgs, ShowArgs};
use crate::cli::exit::Failure;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::printed::{eprint_line, heading, print_json, print_line};
use crate::cli::train::display::TrainingDisplay;
use crate::cli::{config_file, provenance, ranks};

pub(crate) async fn sweep(args: &SweepArgs) -> Result<(), Failure> {
    // The first process of a launcher speaks for all; the others join its sweep.
    let joins = ranks::follows();
    if joins && args.out.is_none() && args.worker.is_none() {
        let reason = "expected --out FOLDER with a launcher's processes, which share the sweep in it";
        return Err(Error::Unsupported(reason.into()).into());
    }
    let is_silent = args.json || args.show.quiet || joins;
    let print = |line: &str| {
        if !is_silent {
            print_line(line);
        }
    };
    let (sweep, options) = open(args)?;
    sweep.describe().iter().for_each(|(name, text)| print(&heading(name, text)));
    print("");
    interrupt::listen()?;
    if !work(&sweep, &options, args, is_silent)? {
        let command = sweep.resumed_by();
        print(&heading("resume", &command));
        if args.json && !joins {
            print_json(json!({"sweep": path_json(sweep.path()), "resume": command}));
        }
        return Err(Failure::Stopped(interrupt::signal()));
    }
    let results = sweep.results()?.ok_or_else(|| {
        let folder = path_text(sweep.path());
        Error::Failed(format!(
            "{folder}: results of the sweep were deleted while it ran; the same command computes them"
        ))
    })?;
    if joins {
        return Ok(());
    }
    sweep.write(&results, options.facts)?;
    print("");
    results.lines.iter().for_each(|line| print(line));
    print("");
    print(&heading("files", &Sweep::files().join(" ")));
    if args.json {
        let mut summary = provenance::to_json();
        summary.extend(results.summary);
        print_json(Value::Object(summary));
    }
    Ok(())
}

/// The sweep that the flags begin or join, and where its runs are computed here.
fn open(args: &SweepArgs) -> Result<(Sweep, WorkOptions)> {
    let RunConfig { device, threads, .. } = args.run.0.clone();
    let facts = provenance::provenance().map(|(name, text)| (name.to_owned(), text)).into();
    let options = WorkOptions { device, threads, jobs: args.jobs.unwrap_or(1), place: ranks::place(), facts };
    let settings = SettingsArgs::of_sweep(args.run.clone(), args.set.clone(), args.sweep.0.clone());
    if let Some(path) = &args.worker {
        let own = Config { run: RunConfig { device: None, threads: None, ..args.run.0.clone() }, ..Config::default() };
        if own != Config::default() || args.sweep.0 != SweepConfig::default() {
            return Err(Error::Unsupported(
                "--worker keeps the sweep's own settings: expected no other flag with it but --device, --threads, --jobs, \
                 --json, --log-every and --quiet"
                    .into(),
            ));
        }
        return Ok((Sweep::join(path, config_file::read)?, options));
    }
    let Some(file) = &args.file else {
        return Err(Error::Unsupported("expected a configuration file with [sweep]: bptt sweep FILE".into()));
    };
    if file.join("sweep.toml").is_file() {
        let message = format!(
            "expected a configuration file, got the folder of a sweep; `bptt sweep --worker {}` continues it",
            shell_quoted(file)
        );
        return Err(Error::Data { path: file.into(), place: String::new(), message });
    }
    let given = config_file::resolve_config(Some(file), &settings, None)?;
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let sweep = Sweep::open(given, name.as_deref().unwrap_or("sweep"), args.out.as_deref(), config_file::read)?;
    Ok((sweep, options))
}

/// Takes runs with as many threads of this process as there are jobs, until none are left: `true`.
///
/// # Errors
/// The first of any of them; the others are then stopped.
fn work(sweep: &Sweep, options: &WorkOptions, args: &SweepArgs, is_silent: bool) -> Result<bool> {
    let shared = Shared { is_silent, show: args.show, ended: AtomicBool::new(false), device: Mutex::new(None) };
    let one = || {
        let mut terminal = Terminal { shared: &shared, has_bar: options.jobs == 1 };
        let done = bptt::block_on(sweep.work(options, &mut terminal));
        // The others would go on for long, and then report the same.
        shared.ended.fetch_or(done.is_err(), Ordering::Relaxed);
        done
    };
    if options.jobs == 1 {
        return one();
    }
    let results: Vec<Result<bool>> = std::thread::scope(|scope| {
        let start = |number: usize| std::thread::Builder::new().name(format!("job {number}")).spawn_scoped(scope, one);
        let threads: Vec<_> = (1..=options.jobs).map(start).collect();
        let ended = |thread: std::thread::ScopedJoinHandle<'_, Result<bool>>| {
            thread.join().unwrap_or_else(|_| Err(Error::Failed("a job of the sweep ended unexpectedly".into())))
        };
        let started = |thread: std::io::Result<_>| {
            thread
                .map_err(|error| Error::Failed(format!("--jobs {}: a thread cannot be started: {error}", options.jobs)))
        };
        threads.into_iter().map(|thread| started(thread).and_then(ended)).collect()
    });
    // What stopped the others comes before that they were stopped.
    let mut all = true;
    for result in results {
        all &= result?;
    }
    Ok(all)
}

/// What the jobs of this process share.
struct Shared {
    is_silent: bool,
    show: ShowArgs,
    /// Whether one of them ended with an error.
    ended: AtomicBool,
    /// The device that was printed last.
    device: Mutex<Option<String>>,
}

/// Shows what a job does.
struct Terminal<'a> {
    shared: &'a Shared,
    /// Bars of several jobs would overwrite each other.
    has_bar: bool,
}

/// The steps of a run, which ends with the other jobs.
struct JobDisplay<'a> {
    display: TrainingDisplay,
    ended: &'a AtomicBool,
}

impl Observer for JobDisplay<'_> {
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()> {
        self.display.step(metrics, work)
    }

    fn stop(&mut self, step: u64) -> bool {
        self.ended.load(Ordering::Relaxed) || self.display.stop(step)
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        self.display.wants_checkpoint(step)
    }
}

impl<'a> Watch for Terminal<'a> {
    type Display = JobDisplay<'a>;

    fn display(&mut self, name: &str, length: &TrainingLength, before: &ResumedProgress) -> Result<JobDisplay<'a>> {
        let quiet = self.shared.show.quiet || !self.has_bar && self.shared.show.log_every.is_none();
        let show = ShowArgs { quiet, ..self.shared.show };
        let display = TrainingDisplay::new(name, length, before, show)?.sparse();
        Ok(JobDisplay { display, ended: &self.shared.ended })
    }

    fn device(&mut self, text: &str) {
        let Ok(mut last) = self.shared.device.lock() else { return };
        if last.as_deref() != Some(text) {
            *last = Some(text.to_owned());
            self.line("device", text);
        }
    }

    fn line(&mut self, name: &str, text: &str) {
        if name == "missing" {
            eprint_line(heading(name, text));
        } else if !self.shared.is_silent {
            print_line(format!("{}{text}", left(name, 10) + if name.chars().count() > 9 { "  " } else { "" }));
        }
    }

    fn stops(&self) -> bool {
        interrupt::asked() || self.shared.ended.load(Ordering::Relaxed)
    }
}
