//! `bptt train`.

use bptt::data::Batches;
use bptt::experiment::config::OnNan;
use bptt::experiment::device::network::Network;
use bptt::experiment::device::open::OpenDevice;
use bptt::experiment::files::checkpoints::Checkpoints;
use bptt::experiment::files::flow_log::FlowLog;
use bptt::experiment::files::folder::Folder;
use bptt::experiment::files::history::Known;
use bptt::experiment::files::tensorboard::Tensorboard;
use bptt::experiment::files::{checkpoints, names};
use bptt::experiment::measure::{comparison, loss};
use bptt::experiment::memory;
use bptt::experiment::memory::MemoryPlan;
use bptt::experiment::model::model_file;
use bptt::experiment::model::model_file::ModelFile;
use bptt::experiment::model::origin::Origin;
use bptt::experiment::resume;
use bptt::experiment::resume::{Asked, Interrupted};
use bptt::experiment::settings::Settings;
use bptt::experiment::setup::{build_model, new_network, trained_network, training_planner};
use bptt::experiment::tasks::task::{Measure, Order, Results, Task};
use bptt::experiment::tasks::{load, task};
use bptt::format::{grouped, path_json, path_text, shell_quoted, short};
use bptt::plot::{Baseline, Drawing, Epochs, Steps};
use bptt::report::Report;
use bptt::train::{BestValidation, Decay, KeepWeights, Outcome, StopReason};
use bptt::{Error, Model, Result, StateDict, plot};
use serde_json::{Map, Value, json};

use super::ending::{self, Missing};
use super::progress::Progress;
use super::shown::{Pace, Plan};
use super::words::{RecentLoss, describe_outcome, describe_schedule, loss_name};
use crate::cli::args::{ShowArgs, TrainArgs};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, note, say, say_data, say_json};
use crate::cli::terminal::{interrupt, profile_table};
use crate::cli::{config_file, provenance};

pub(crate) async fn train(args: &TrainArgs) -> Result<(), Failure> {
    let interrupted = match &args.resume {
        None => None,
        Some(path) => match Interrupted::open(
            path,
            &Asked {
                flags: &args.settings.config(args.data.as_ref())?,
                elsewhere: args.out.is_some(),
                read: &config_file::read,
            },
        )? {
            None => {
                match (args.json, args.show.quiet) {
                    (true, _) => say_json(json!({"run": path_json(path), "over": true})),
                    (false, false) => {
                        say(format!(
                            "{}: the run is over; there is nothing to go on with. With --epochs or --steps, the length of \
                             all, a longer run begins with its end, in a folder of its own",
                            path_text(path)
                        ));
                    }
                    (false, true) => {}
                }
                return Ok(());
            }
            interrupted => interrupted,
        },
    };
    let settings = match &interrupted {
        None => config_file::resolve(args.config.as_deref(), &args.settings, args.data.as_ref()),
        Some(run) => Settings::new(run.given.clone()),
    };
    let mut settings = settings?;
    Folder::check_free(args.out.as_deref(), checkpoints::is_beginning)?;
    // A checkpoint goes before the weights that a run began with, which need no longer be there then.
    let gone = settings.init_from.clone().filter(|path| path.metadata().is_err());
    let start = match gone.zip(interrupted.as_ref()) {
        Some((path, from)) => from.model(&path)?,
        None => None,
    };
    let mut start = match start {
        None => settings.open_start()?.inspect(|model| model.note.iter().for_each(note)),
        start => start,
    };
    memory::check_files(&mut settings)?;
    let task = load::load(&mut settings, start.as_ref())?;
    let task = task.as_ref();
    let model = build_model(&mut settings, task, start.as_ref())?;
    if args.dump_config {
        batches(&settings, task)?;
        say_data(&format!("{}\n", config_file::to_toml(settings.config())?.trim_end()));
        return Ok(());
    }
    let device = OpenDevice::open(&settings.device_options()).await?;
    settings.set_device(&device.name);
    let planner = training_planner(&device, &settings, &model)?;
    let memory = memory::plan_memory(&mut settings, &planner, task, false)?;
    memory.check_free()?;
    let mut network = new_network(&device, &settings, &model, task, start.as_ref())?;
    // The network has them.
    start.iter_mut().for_each(|start| start.weights = StateDict::default());
    let training = batches(&settings, task)?;
    let training = training.as_ref();
    settings.set_epoch(settings.run.steps_per_epoch(training.per_epoch()));
    let rows = memory.rows;
    let validation = validation(&settings, task, rows)?;
    let description = model_file::description(&model, &task.codec(), &origin(task, start.as_ref()))?;
    let (folder, from) = match interrupted {
        Some(mut from) => match from.folder.take() {
            Some(folder) => (folder, Some(from)),
            None => {
                let per_epoch = settings.run.steps_per_epoch(training.per_epoch());
                from.check_length(per_epoch, settings.run.steps(training.per_epoch()))?;
                let folder = Folder::create(args.out.as_deref(), &task.name(), checkpoints::is_beginning)?;
                let config = config(&settings, Some(&from))?;
                from.begin_longer(&folder, &config, &description)?;
                // The last of all: with it the folder is a run, which has its beginning then.
                folder.write_config(names::CONFIG, config.as_bytes())?;
                (folder, Some(from))
            }
        },
        None => {
            let folder = Folder::create(args.out.as_deref(), &task.name(), checkpoints::is_beginning)?;
            folder.write_config(names::CONFIG, config(&settings, None)?.as_bytes())?;
            (folder, None)
        }
    };
    let run = Run {
        settings: &settings,
        task,
        model: &model,
        memory,
        device: &device,
        kernel: device.describe_kernel(&model, rows),
        folder: &folder,
        from: from.as_ref(),
        batches: training.per_epoch(),
        json: args.json,
        show: args.show,
        description,
    };
    let facts = run.facts(start.as_ref());
    facts.iter().for_each(|(name, text)| run.say(&heading(name, text)));
    run.say("");
    network.set_profile(settings.profile)?;
    let mut missing = Missing::default();
    let learned = run.learn(&mut network, training, validation.as_deref(), &mut missing).await?;
    if settings.profile {
        let rows = network.profile().await.map(|profile| profile_table::rows(&profile, 1.0));
        let rows = missing.keep("profile", rows).unwrap_or_default();
        profile_table::table(&rows, device.is_cpu()).into_iter().chain([String::new()]).for_each(note);
    }
    let measure = Measure { rows, seed: settings.seed, whole: false, json: args.json };
    let results = ending::measure(&folder, &mut missing, run.results(network, measure)).await;
    let ended = learned.outcome.stop_reason;
    run.tell(facts, learned, results.unwrap_or_default(), missing)?;
    match ended {
        StopReason::Stopped => {
            run.say(&heading("go on", &format!("bptt train --resume {}", shell_quoted(folder.path()))));
            Err(Failure::Stopped(interrupt::signal()))
        }
        StopReason::Finished | StopReason::NoImprovement => Ok(checkpoints::finish(&folder)?),
    }
}

/// What the network learns from.
fn batches<'a>(settings: &Settings, task: &'a dyn Task) -> Result<Box<dyn Batches + 'a>> {
    let order = Order { rows: settings.batch, buckets: settings.buckets, seed: settings.seed };
    task.training(order)?.ok_or_else(|| Error::Unsupported("the split leaves nothing to train on".into()))
}

/// What the weights come from in the end: the task's data, after those that the weights at the beginning come from.
fn origin(task: &dyn Task, start: Option<&ModelFile>) -> Origin {
    let mut origin = task.origin().clone();
    let before = start.and_then(|start| start.origin.as_ref()).map_or(&[][..], |origin| &origin.data);
    let before: Vec<_> = before.iter().filter(|it| !origin.data.contains(it)).cloned().collect();
    origin.data.splice(0..0, before);
    origin
}

/// The run's configuration, whose first lines say what repeats the run.
fn config(settings: &Settings, from: Option<&Interrupted>) -> Result<String> {
    let text = config_file::to_toml(settings.config())?;
    Ok(match from.and_then(Interrupted::beginning) {
        // Its own first line is that of a run that begins with these settings.
        Some(beginning) => beginning + text.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    })
}

/// What the network is validated with, which not every run needs.
fn validation<'a>(
    settings: &Settings,
    task: &'a dyn Task,
    rows: usize,
) -> Result<Option<Box<dyn Batches + 'a>>, Failure> {
    let validation = task.validation(rows)?;
    let plateau = matches!(settings.run.schedule.decay, Decay::Plateau { .. });
    let by_it = [
        ("--patience", settings.run.patience.is_some()),
        ("--keep best", settings.run.keep == KeepWeights::Best),
        ("--schedule plateau", plateau),
    ];
    let by_it: Vec<&str> = by_it.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
    if validation.is_none() && !by_it.is_empty() {
        let (flags, go) = (by_it.join(" and "), if by_it.len() == 1 { "goes" } else { "go" });
        let reason = format!("{flags} {go} by the validation loss, and the split leaves nothing to validate");
        return Err(Error::Unsupported(reason).into());
    }
    Ok(validation)
}

/// What came of the steps.
struct Learned {
    outcome: Outcome,
    loss: RecentLoss,
    pace: Pace,
    /// Steps that changed nothing.
    skipped: u64,
    figures: Vec<(&'static str, Drawing)>,
}

/// The file of the report.
const REPORT: &str = "report.html";

/// What is known before the first step.
struct Run<'a> {
    settings: &'a Settings,
    task: &'a dyn Task,
    model: &'a Model,
    memory: MemoryPlan,
    device: &'a OpenDevice,
    /// How a GPU takes the recurrent steps, in words.
    kernel: Option<String>,
    folder: &'a Folder,
    /// Where the run goes on, if it has begun before.
    from: Option<&'a Interrupted>,
    /// Of an epoch.
    batches: u64,
    /// What describes the model in its file.
    description: String,
    /// Whether nothing is printed but the summary.
    json: bool,
    /// How the steps are shown.
    show: ShowArgs,
}

impl Run<'_> {
    fn say(&self, line: &str) {
        if !self.json && !self.show.quiet {
            say(line);
        }
    }

    /// Takes the steps, and stores the weights and what the steps tell.
    async fn learn(
        &self,
        network: &mut Network,
        training: &dyn Batches,
        validation: Option<&dyn Batches>,
        missing: &mut Missing,
    ) -> Result<Learned> {
        interrupt::listen()?;
        let Settings { run, epochs, .. } = self.settings;
        let (steps, timed_every) = (run.steps(self.batches), self.validate_every());
        let plan = Plan { steps, epochs: *epochs, timed_every, unit: self.task.unit() };
        let saved = self.from.and_then(|from| from.saved.as_ref());
        let position = saved.map(|(_, position)| position);
        let flow = self.settings.flow_every;
        let flow = flow.map(|every| FlowLog::new(self.folder, every, &self.model.recurrent, position)).transpose()?;
        let checkpoints =
            Checkpoints::new(self.folder, self.device.arithmetic(), &self.description, self.settings.checkpoints)?;
        let tensorboard = self.settings.tensorboard;
        let after = saved.map(|(saved, _)| saved.step);
        let tensorboard = tensorboard.then(|| Tensorboard::new(self.folder, after)).transpose()?;
        let mut progress = Progress::new(self.folder, plan, flow, (checkpoints, tensorboard), position, self.show)?;
        let checkpoint = saved.map(|(saved, _)| saved.read()).transpose()?;
        let outcome = network.run(checkpoint, training, validation, run, &mut progress).await;
        let pace = progress.pace();
        let (history, flow) = progress.finish()?;
        let Known { skipped, last, .. } = *history.known();
        let best = outcome.as_ref().ok().and_then(|outcome| outcome.best);
        let mut figures = Vec::new();
        // After an error of a step too: the network then holds the last good weights.
        let kept = self.keep(network, last.map_or(0, |last| last.step)).await;
        let drawn = self.figures(&history, best, self.weight_of_last_step(training));
        figures.extend(missing.keep("the pictures of the steps", drawn).unwrap_or_default());
        let flow = flow.and_then(|flow| missing.keep("flow.svg", flow.finish(&self.name())).flatten());
        figures.extend(flow.map(|flow| ("flow.svg", flow)));
        self.write_figures(&figures, missing);
        // What ended the steps may well keep the weights from being stored, and says more.
        let outcome = outcome.map_err(|error| self.stopped(error, history.known(), kept.is_ok()))?;
        kept?;
        let loss = missing.keep("the mean of the last losses", RecentLoss::of(&history, timed_every));
        let loss = loss.unwrap_or(RecentLoss { mean: outcome.last.loss, steps: 1 });
        describe_outcome(&outcome, loss, &pace, run.keep).iter().for_each(|line| self.say(line));
        self.say("");
        if skipped > 0 {
            let text = format!("{} steps, whose loss or gradient norm was not finite", grouped(skipped));
            self.say(&heading("skipped", &text));
            self.say("");
        }
        Ok(Learned { outcome, loss, pace, skipped, figures })
    }

    /// Measures the network on what it did not learn from.
    async fn results(&self, mut network: Network, measure: Measure) -> Result<Results> {
        network.set_profile(false)?;
        if loss::measured(self.model) != *self.model {
            let weights = network.state_dict().await?;
            // One of the two is enough.
            drop(network);
            network = trained_network(self.device, self.model, &weights)?;
        }
        task::results(self.task, &mut network, measure).await
    }

    /// Stores the weights as they are after `step` steps.
    async fn keep(&self, network: &mut Network, step: u64) -> Result<()> {
        let description = model_file::with_step(&self.description, step)?;
        let mut file = self.folder.begin(names::MODEL)?;
        let written = network.write_weights(&mut file, (model_file::KEY, &description)).await;
        file.end(written)
    }

    /// What ended the steps, with what is left of the run; `kept`: the weights are stored.
    fn stopped(&self, error: Error, history: &Known, kept: bool) -> Error {
        let folder = self.folder.path();
        match error {
            Error::DeviceLost(reason) => match checkpoints::latest(self.folder) {
                Some(last) => Error::DeviceLost(format!(
                    "{reason}; the last checkpoint is {}, and `bptt train --resume {}` goes on from it",
                    path_text(&last),
                    shell_quoted(folder)
                )),
                None => Error::DeviceLost(reason),
            },
            Error::NonFinite { step, what } => {
                let Settings { run, on_nan, .. } = self.settings;
                let which = match run.keep {
                    KeepWeights::Best if history.validations > 0 => "of the lowest validation loss",
                    _ => "before it",
                };
                let kept = match kept {
                    true => format!("; the weights {which} are in {}", path_text(&folder.join(names::MODEL))),
                    false => String::new(),
                };
                let before = match on_nan {
                    OnNan::Stop => String::new(),
                    OnNan::Skip => format!(", nor was it in the {} steps before", self.settings.max_skipped_updates()),
                    OnNan::Back => format!(", after the run went back {} times", run.max_rollbacks),
                };
                let seen =
                    history.last.map(|last| format!(" (loss before it: {})", short(last.loss))).unwrap_or_default();
                Error::Failed(format!(
                    "step {step}: the {what} is not finite{before}{seen}{kept}; try a smaller --lr or --clip"
                ))
            }
            other => other,
        }
    }

    /// What a title begins with.
    fn name(&self) -> String {
        format!("{}, {}", self.task.name(), self.settings.cell.name())
    }

    /// The pictures that every run has, by their files' names.
    fn figures(
        &self,
        history: &dyn Steps,
        best: Option<BestValidation>,
        last: f64,
    ) -> Result<Vec<(&'static str, Drawing)>> {
        if history.count() == 0 {
            return Ok(Vec::new());
        }
        let Settings { run, epochs, optimizer, .. } = self.settings;
        let steps = run.steps_per_epoch(self.batches);
        let per_epoch = epochs.map(|_| steps);
        let epochs = Epochs { steps, counted: epochs.is_some(), last };
        let name = self.name();
        let baseline: Option<Baseline> = self.task.baseline().filter(|_| best.is_some());
        let of = loss_name(&self.task.head().loss);
        let loss = plot::loss(format!("{name}: loss"), of, history, epochs, baseline.as_ref())?;
        let norm = plot::gradient_norm(&format!("{name}: gradient norm"), history, per_epoch, optimizer.clip_norm)?;
        Ok(vec![("loss.svg", loss), ("gradient_norm.svg", norm)])
    }

    /// How much the last step of an epoch weighs beside the first, for a picture: an epoch's last batch may be smaller.
    fn weight_of_last_step(&self, training: &dyn Batches) -> f64 {
        let Settings { run, .. } = self.settings;
        let steps = run.steps_per_epoch(self.batches);
        let weight = |step: u64| -> Option<f64> {
            let first = step * run.accumulate;
            let batches = first..self.batches.min(first + run.accumulate);
            batches.map(|number| Some(training.batch(number).ok()?.total_weight())).sum()
        };
        // Where a file can no longer be read all weigh alike.
        let weights = weight(0).zip(weight(steps.saturating_sub(1)));
        let share = weights.map(|(first, last)| last / first).filter(|share| *share > 0.0 && *share < 1.0);
        share.unwrap_or(1.0)
    }

    fn write_figures(&self, figures: &[(&'static str, Drawing)], missing: &mut Missing) {
        for (name, picture) in figures {
            missing.keep(name, self.folder.write(name, picture.file().as_bytes()));
        }
    }

    /// Stores and prints what the network does with what it did not learn from.
    fn tell(
        &self,
        facts: Vec<(String, String)>,
        learned: Learned,
        results: Results,
        mut missing: Missing,
    ) -> Result<()> {
        let Learned { outcome, loss, pace, skipped, mut figures } = learned;
        results.lines.iter().for_each(|line| self.say(line));
        self.say("");
        for (what, error) in results.missing {
            missing.keep::<()>(what, Err(error));
        }
        self.write_figures(&results.figures, &mut missing);
        figures.extend(results.figures);
        for (name, contents) in &results.files {
            missing.keep(name, self.folder.write(name, contents.as_bytes()));
        }
        let provenance = provenance::provenance().map(|(name, text)| (name.to_owned(), text));
        let report = Report {
            title: self.name(),
            verdict: comparison::sentences(&results.comparisons),
            key_figures: key_figures(&outcome, &pace, results.key_figures),
            facts: joined(facts.into_iter().chain(provenance).chain(missing.facts()).collect()),
            tables: results.tables,
            figures: figures.into_iter().map(|(_, picture)| picture).collect(),
            command: self.command(),
        };
        missing.keep(REPORT, self.folder.write(REPORT, report.html().as_bytes()));
        self.memory.describe_peak().iter().for_each(|line| self.say(&heading("memory", line)));
        if let Some(files) = missing.keep("the names of the run's files", files(self.folder)) {
            self.say(&heading("files", &files));
        }
        if self.json {
            let mut summary = self.summary(&outcome, loss, &pace, skipped)?;
            summary.extend(results.summary);
            if !missing.words().is_empty() {
                summary.insert("missing".into(), json!(missing.words()));
            }
            say_json(Value::Object(summary));
        }
        Ok(())
    }

    /// What repeats the run.
    fn command(&self) -> String {
        let config = self.folder.path().join(names::CONFIG);
        let text = std::fs::read_to_string(&config).unwrap_or_default();
        let longer = resume::repeated_by(&text).map(str::to_owned);
        longer.unwrap_or_else(|| format!("bptt train --config {}", shell_quoted(&config)))
    }

    fn validate_every(&self) -> u64 {
        self.settings.run.validate_every.unwrap_or(1)
    }

    /// The first screen: names and texts; a name is empty where the text belongs to the line before.
    fn facts(&self, start: Option<&ModelFile>) -> Vec<(String, String)> {
        let mut facts = vec![("device".to_owned(), self.device.describe())];
        let mut more = |name: &str, lines: Vec<String>| {
            for (index, line) in lines.into_iter().enumerate() {
                facts.push((if index == 0 { name.to_owned() } else { String::new() }, line));
            }
        };
        more("", self.device.note.iter().flat_map(|note| note.lines().map(str::to_owned)).collect());
        more("kernel", self.kernel.iter().cloned().collect());
        more("data", self.task.describe());
        more("model", vec![model_file::describe(self.model)]);
        more("", start.iter().map(|start| format!("begins with the weights of {}", path_text(&start.path))).collect());
        more("training", self.describe_training());
        more("memory", self.memory.describe());
        more("run", vec![path_text(self.folder.path())]);
        more("", self.from.iter().flat_map(|from| from.describe(&self.device.arithmetic())).collect());
        more("", self.folder.note().iter().map(|note| (*note).to_owned()).collect());
        facts
    }

    fn parameters(&self) -> u64 {
        model_file::parameters(self.model)
    }

    fn describe_training(&self) -> Vec<String> {
        let Settings { run, optimizer, .. } = self.settings;
        let rule = serde_json::to_value(optimizer.kind).ok();
        let rule = rule.as_ref().and_then(|rule| rule["rule"].as_str()).unwrap_or("?").to_owned();
        let per_epoch = grouped(run.steps_per_epoch(self.batches));
        let length = match self.settings.epochs {
            Some(1) => format!("1 epoch of {per_epoch} steps"),
            Some(epochs) => format!("{epochs} epochs of {per_epoch} steps"),
            None => format!("{} steps, {per_epoch} an epoch", grouped(run.steps(self.batches))),
        };
        let accumulate = if run.accumulate > 1 { format!(" × {}", run.accumulate) } else { String::new() };
        let clip = optimizer.clip_norm.map(|norm| format!(", clip {norm}")).unwrap_or_default();
        let (batch, rate, seed) = (self.settings.batch, optimizer.learning_rate, self.settings.seed);
        let mut lines = vec![format!("{length}, batch {batch}{accumulate}, {rule} {rate}{clip}, seed {seed}")];
        lines.extend(loss::describe(&self.task.head().loss));
        if !run.schedule.is_constant() {
            lines.push(describe_schedule(self.settings));
        }
        if let Some(patience) = run.patience {
            lines.push(format!("ends after {patience} validations without improvement"));
        }
        lines
    }

    /// What the lines of text say, for other programs. The settings are those of `config.toml`.
    fn summary(&self, outcome: &Outcome, loss: RecentLoss, pace: &Pace, skipped: u64) -> Result<Map<String, Value>> {
        let value = json!({
            "run": path_json(self.folder.path()),
            "device": self.device.describe(),
            "data": self.task.describe(),
            "model": model_file::describe(self.model),
            "parameters": self.parameters(),
            "settings": self.settings.config().to_map()?,
            "memory": self.memory.json(),
            "epochs": outcome.last.epoch,
            "steps": outcome.last.step,
            "skipped": skipped,
            "ended": outcome.stop_reason,
            "seconds": pace.seconds,
            "sequences_per_second": pace.sequences,
            "time_steps_per_second": pace.time_steps,
            "loss": loss.mean,
            "loss_over_steps": loss.steps,
            "val_loss": outcome.last.val_loss,
            "best": outcome.best,
        });
        let mut summary = provenance::to_json();
        if let Value::Object(map) = value {
            summary.extend(map);
        }
        Ok(summary)
    }
}

/// The report's first row: what every run has, and the task's own before it.
fn key_figures(outcome: &Outcome, pace: &Pace, mut of_task: Vec<(String, String)>) -> Vec<(String, String)> {
    let best = outcome.best.map(|best| ("lowest validation loss".to_owned(), short(best.val_loss)));
    of_task.extend(best);
    of_task.push(("steps".into(), grouped(outcome.last.step)));
    of_task.push(("time".into(), pace.time()));
    of_task
}

/// Facts whose text has several lines, out of lines whose name may be empty.
fn joined(lines: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    for (name, text) in lines {
        match facts.last_mut().filter(|_| name.is_empty()) {
            Some((_, before)) => *before = format!("{before}\n{text}"),
            None => facts.push((name, text)),
        }
    }
    facts
}

/// The run's files by name.
fn files(folder: &Folder) -> Result<String> {
    let path = folder.path();
    let entries = std::fs::read_dir(path).map_err(bptt::experiment::files::folder::io_error(path))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names.join(" "))
}
