//! `bptt train`.

use std::path::Path;

use bptt::data::Examples;
use bptt::train::{Metrics, Outcome, run};
use bptt::{Backend, Engine, Error, Layout, Loss, Result, Trainer, TrainerOptions};
use serde_json::{Map, Value, json};

use super::Failure;
use super::args::TrainArgs;
use super::device::{self, Chosen, Device};
use super::devices::bytes;
use super::folder::Folder;
use super::pictures;
use super::progress::{Plan, Progress, grouped, short};
use super::series_task::SeriesTask;
use super::settings::{DataSettings, Settings};
use super::synthetic_task::SyntheticTask;
use super::task::Task;

pub(crate) fn train(args: &TrainArgs) -> Result<(), Failure> {
    let mut settings = Settings::resolve(args).map_err(Failure::usage)?;
    Folder::check_free(args.out.as_deref())?;
    match settings.data.clone() {
        DataSettings::Series(mut series) => {
            let task = SeriesTask::load(&mut series)?;
            settings.data = DataSettings::Series(series);
            on_device(args, settings, &task)?;
        }
        DataSettings::Adding(data) => {
            let task = SyntheticTask::adding(&data, settings.seed)?;
            on_device(args, settings, &task)?;
        }
        DataSettings::Copy(data) => {
            let task = SyntheticTask::copying(&data, settings.seed)?;
            on_device(args, settings, &task)?;
        }
    }
    Ok(())
}

fn on_device(args: &TrainArgs, mut settings: Settings, task: &impl Task) -> Result<()> {
    let chosen = device::choose(&settings.device, settings.threads)?;
    settings.device.clone_from(&chosen.name);
    match &chosen.device {
        Device::Cpu(backend) => pollster::block_on(on_backend(args, settings, task, &chosen, backend)),
        Device::Gpu(backend) => pollster::block_on(on_backend(args, settings, task, &chosen, backend)),
    }
}

async fn on_backend<B: Backend>(
    args: &TrainArgs,
    mut settings: Settings,
    task: &impl Task,
    chosen: &Chosen,
    backend: &B,
) -> Result<()> {
    let options = settings.run_options();
    let (steps, per_epoch) = (options.steps(task.training().len()), options.steps_per_epoch(task.training().len()));
    settings.training.validate_every.get_or_insert(per_epoch);
    let options = settings.run_options();
    let model = settings.network(task.input_size(), task.head());
    let trainer_options = TrainerOptions {
        initialisation: settings.initialisation(),
        micro_batch: settings.training.micro_batch,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::with_options(backend, &model, settings.optimizer, settings.seed, trainer_options)?;
    let rows = settings.training.batch.min(settings.training.micro_batch.unwrap_or(usize::MAX));
    let memory = memory(&mut trainer, task.training(), rows)?;

    let folder = Folder::create(args.out.as_deref(), &task.name())?;
    folder.write("config.toml", settings.to_toml()?.as_bytes())?;
    let say = |line: String| {
        if !args.json {
            super::say(line);
        }
    };
    say(heading("device", &backend.describe()));
    chosen.note.iter().flat_map(|note| note.lines()).for_each(|line| say(heading("", line)));
    for (index, line) in task.describe().iter().enumerate() {
        say(heading(if index == 0 { "data" } else { "" }, line));
    }
    let parameters = Layout::new(&model).len() as u64;
    say(heading("model", &describe_model(&settings, task, parameters)));
    say(heading("training", &describe_training(&settings, steps, per_epoch)));
    say(heading("memory", &format!("{} for weights, optimizer and a batch", bytes(memory))));
    say(heading("run", &format!("{}\n", folder.path().display())));

    let (examples, batch) = (task.training().len() as u64, settings.training.batch as u64);
    let sequences = move |step: u64| step / per_epoch * examples + (step % per_epoch * batch).min(examples);
    let every = options.validate_every.unwrap_or(per_epoch);
    let epochs = settings.training.epochs;
    let mut progress = Progress::new(&folder, Plan { steps, epochs, timed_every: every }, sequences, args.json)?;
    let outcome = run(&mut trainer, task.training(), task.validation(), &options, &mut progress).await;
    let pace = progress.pace(steps);
    let history = progress.finish()?;
    let by_epoch = epochs.map(|_| per_epoch);
    let baseline = task.baseline().filter(|_| task.validation().is_some());
    if !history.is_empty() {
        let (title, of) =
            (format!("{}, {}: loss", task.name(), settings.model.cell.name()), loss_name(task.head().loss));
        let picture = pictures::loss(title, of, &history, by_epoch, baseline.as_ref());
        folder.write("loss.svg", picture.file().as_bytes())?;
    }
    // After an error of a step too: the trainer then holds the last good weights.
    folder.write("model.safetensors", &trainer.state_dict().await?.to_safetensors()?)?;
    let outcome = outcome.map_err(|error| stopped(error, &history, folder.path()))?;

    let results = task.results(&mut trainer, rows).await?;
    for (name, contents) in &results.files {
        folder.write(name, contents.as_bytes())?;
    }
    say(describe_outcome(&outcome, &history, every, pace));
    say(String::new());
    results.lines.iter().for_each(|line| say(line.clone()));
    say(String::new());
    say(files(&folder)?);
    if args.json {
        let mut summary = summary(&folder, &settings, backend, parameters, memory, &outcome, pace);
        summary.extend(results.summary);
        super::say(Value::Object(summary));
    }
    Ok(())
}

/// What the engine will hold once it has seen a training batch, by its plan.
fn memory<E: Engine>(trainer: &mut Trainer<E>, examples: &dyn Examples, rows: usize) -> Result<u64> {
    let first: Vec<usize> = (0..rows.min(examples.len())).collect();
    trainer.engine().planned_bytes(&examples.batch(&first).sequence)
}

fn heading(name: &str, text: &str) -> String {
    format!("{name:<10}{text}")
}

fn describe_model(settings: &Settings, task: &impl Task, parameters: u64) -> String {
    let model = &settings.model;
    let cell = model.cell.name();
    let activation = model.activation.map(|f| format!(" ({f:?})").to_lowercase()).unwrap_or_default();
    let layers = if model.layers > 1 { format!(", {} layers", model.layers) } else { String::new() };
    let directions = if model.bidirectional { ", both directions" } else { "" };
    let (inputs, hidden, outputs) = (task.input_size(), model.hidden, task.head().outputs);
    let parameters = grouped(parameters);
    format!("{cell}{activation} {inputs} → {hidden} → {outputs}{layers}{directions}, {parameters} parameters")
}

fn describe_training(settings: &Settings, steps: u64, per_epoch: u64) -> String {
    let (training, optimizer) = (&settings.training, &settings.optimizer);
    let rule = serde_json::to_value(optimizer.rule).ok();
    let rule = rule.as_ref().and_then(|rule| rule["rule"].as_str()).unwrap_or("?").to_owned();
    let length = match training.epochs {
        Some(1) => format!("1 epoch of {per_epoch} steps"),
        Some(epochs) => format!("{epochs} epochs of {per_epoch} steps"),
        None => format!("{} steps", grouped(steps)),
    };
    let clip = optimizer.clip_norm.map(|norm| format!(", clip {norm}")).unwrap_or_default();
    let rate = optimizer.learning_rate;
    format!("{length}, batch {}, {rule} {rate}{clip}, seed {}", training.batch, settings.seed)
}

fn describe_outcome(outcome: &Outcome, history: &[Metrics], every: u64, (seconds, rate): (f64, f64)) -> String {
    let last = &outcome.last;
    // One batch says little: the mean since the validation before.
    let recent = &history[history.len().saturating_sub(every as usize)..];
    let mean = recent.iter().map(|metrics| metrics.loss).sum::<f64>() / recent.len() as f64;
    let over = if recent.len() > 1 { format!(" over the last {} steps", recent.len()) } else { String::new() };
    let validation = last.val_loss.map(|loss| format!(", validation {}", short(loss))).unwrap_or_default();
    let best = outcome.best.filter(|best| best.step < last.step);
    let best = best.map(|best| format!(", at its lowest {} after step {}", short(best.val_loss), grouped(best.step)));
    let (steps, rate) = (grouped(last.step), grouped(rate as u64));
    let done = heading("done", &format!("{steps} steps in {seconds:.1} s, {rate} sequences/s\n"));
    done + &heading("loss", &format!("{}{over}{validation}{}", short(mean), best.unwrap_or_default()))
}

fn loss_name(loss: Loss) -> &'static str {
    match loss {
        Loss::SquaredError => "squared error",
        Loss::BinaryCrossEntropy => "binary cross-entropy",
        Loss::CrossEntropy => "cross-entropy",
    }
}

/// The run's files by name.
fn files(folder: &Folder) -> Result<String> {
    let path = folder.path();
    let entries = std::fs::read_dir(path).map_err(super::folder::io_error(path))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(heading("files", &names.join(" ")))
}

fn stopped(error: Error, history: &[Metrics], path: &Path) -> Error {
    match error {
        Error::NonFinite { step, what } => {
            let kept = format!("the weights before it are in {}", path.join("model.safetensors").display());
            let seen =
                history.last().map(|last| format!(" (loss before it: {})", short(last.loss))).unwrap_or_default();
            Error::Unsupported(format!(
                "step {step}: the {what} is not finite{seen}; {kept}; try a smaller --lr or --clip"
            ))
        }
        other => other,
    }
}

fn summary(
    folder: &Folder,
    settings: &Settings,
    backend: &impl Backend,
    parameters: u64,
    memory: u64,
    outcome: &Outcome,
    (seconds, rate): (f64, f64),
) -> Map<String, Value> {
    let value = json!({
        "run": folder.path(),
        "device": backend.describe(),
        "cell": settings.model.cell,
        "hidden": settings.model.hidden,
        "seed": settings.seed,
        "parameters": parameters,
        "memory_bytes": memory,
        "epochs": outcome.last.epoch,
        "steps": outcome.last.step,
        "seconds": seconds,
        "sequences_per_second": rate,
        "loss": outcome.last.loss,
        "val_loss": outcome.last.val_loss,
        "best": outcome.best,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
