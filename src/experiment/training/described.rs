//! Describes a training run in words.

use std::fmt::Write;

use super::run::TrainingRun;
use crate::ParameterGroup;
use crate::experiment::measure::loss;
use crate::experiment::model::model_file;
use crate::experiment::settings::Settings;
use crate::format::{grouped, path_text};
use crate::train::Decay;

impl TrainingRun<'_> {
    /// What is known before the first step, as names and texts; an empty name continues the previous line.
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![("device".to_owned(), self.device.describe())];
        let mut more = |name: &str, lines: Vec<String>| {
            for (index, line) in lines.into_iter().enumerate() {
                facts.push((if index == 0 { name.to_owned() } else { String::new() }, line));
            }
        };
        more("", self.device.note.iter().flat_map(|note| note.lines().map(str::to_owned)).collect());
        more("ranks", self.shared.clone());
        more("kernel", self.kernel().into_iter().collect());
        more("data", self.experiment.task.describe());
        more("model", vec![model_file::describe(&self.experiment.model)]);
        more(
            "",
            self.experiment
                .start
                .iter()
                .map(|start| format!("starts from the weights of {}", path_text(&start.path)))
                .collect(),
        );
        more("training", self.describe_training());
        more("memory", self.memory.describe());
        more("run", vec![path_text(self.folder.path())]);
        more("", self.resume_notes());
        more("", self.folder.note().iter().map(|note| (*note).to_owned()).collect());
        facts
    }

    /// Where the run resumes, and what is to be known of that; empty for a new run.
    pub fn resume_notes(&self) -> Vec<String> {
        self.resumed.iter().flat_map(|from| from.describe(&self.arithmetic)).collect()
    }

    fn describe_training(&self) -> Vec<String> {
        let Settings { run, optimizer, .. } = &self.experiment.settings;
        let rule = serde_json::to_value(optimizer.kind).ok();
        let rule = rule.as_ref().and_then(|rule| rule["rule"].as_str()).unwrap_or("?").to_owned();
        let per_epoch = grouped(run.steps_per_epoch(self.batches_per_epoch()));
        let length = match self.experiment.settings.epochs {
            Some(1) => format!("1 epoch of {per_epoch} steps"),
            Some(epochs) => format!("{epochs} epochs of {per_epoch} steps"),
            None => format!("{} steps, {per_epoch} per epoch", grouped(run.steps(self.batches_per_epoch()))),
        };
        let accumulate = if run.accumulate > 1 { format!(" × {}", run.accumulate) } else { String::new() };
        let clip = optimizer.clip_norm.map(|norm| format!(", clip {norm}")).unwrap_or_default();
        let (batch, rate, seed) =
            (self.experiment.settings.batch, optimizer.learning_rate, self.experiment.settings.seed);
        let mut lines = vec![format!("{length}, batch {batch}{accumulate}, {rule} {rate}{clip}, seed {seed}")];
        lines.extend(loss::describe(&self.experiment.task.head().loss));
        if !run.schedule.is_constant() {
            lines.push(describe_schedule(&self.experiment.settings));
        }
        lines.extend(self.experiment.settings.parameter_groups.iter().map(describe_group));
        if let Some(decay) = self.experiment.settings.ema_decay {
            lines.push(format!("validates and stores the moving average of the weights, decay {decay}"));
        }
        if let Some(patience) = run.patience {
            lines.push(format!("ends after {patience} validations without improvement"));
        }
        lines
    }
}

/// A parameter group in words.
fn describe_group(group: &ParameterGroup) -> String {
    let ParameterGroup { pattern, learning_rate_factor: factor, weight_decay, frozen } = group;
    let decay = weight_decay.map(|decay| format!(", weight decay {decay}")).unwrap_or_default();
    let settings = if *frozen { "frozen".into() } else { format!("{factor} × the learning rate{decay}") };
    format!("{pattern}: {settings}")
}

/// The schedule of the learning rate in words.
fn describe_schedule(settings: &Settings) -> String {
    let schedule = &settings.run.schedule;
    let mut words = match schedule.warmup {
        0 => String::new(),
        steps => format!("the rate rises over {} steps", grouped(steps)),
    };
    let decay = match schedule.decay {
        Decay::Constant => return words,
        Decay::Step { every, factor } => format!("falls to {factor} of it after every {} steps", grouped(every)),
        Decay::Exponential { every, factor } => format!("falls to {factor} of it over every {} steps", grouped(every)),
        Decay::Cosine { floor } => format!("falls along a cosine to {floor} of it"),
        Decay::Plateau { patience, factor } => {
            format!("falls to {factor} of it after {patience} validations without improvement")
        }
    };
    let _ = write!(words, "{}{decay}", if words.is_empty() { "the rate " } else { ", then " });
    words
}
