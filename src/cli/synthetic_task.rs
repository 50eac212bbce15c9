//! A synthetic task, whose baseline is known exactly.

use bptt::data::{Adding, Copying, Examples, InOrder, Synthetic};
use bptt::train::evaluate;
use bptt::{Engine, Head, Result, Trainer};
use serde_json::{Map, json};

use super::pictures::Baseline;
use super::progress::{grouped, short};
use super::settings::SyntheticSettings;
use super::task::{Results, Task};

pub(crate) struct SyntheticTask<T> {
    name: &'static str,
    words: String,
    inputs: usize,
    head: Head,
    training: Synthetic<T>,
    validation: Synthetic<T>,
    test: Synthetic<T>,
    /// Who the baseline is, and its loss.
    baseline: (&'static str, f64),
}

impl SyntheticTask<Adding> {
    pub(crate) fn adding(settings: &SyntheticSettings, seed: u64) -> Result<Self> {
        let task = Adding { length: settings.length };
        let [training, validation, test] = parts(settings, |first, count| task.examples(seed, first, count))?;
        Ok(Self {
            name: "adding",
            words: format!("the adding problem, length {}", task.length),
            inputs: Adding::INPUTS,
            head: task.head(),
            training,
            validation,
            test,
            baseline: ("always 1", task.baseline()),
        })
    }
}

impl SyntheticTask<Copying> {
    pub(crate) fn copying(settings: &SyntheticSettings, seed: u64) -> Result<Self> {
        let task = Copying::new(settings.length);
        let [training, validation, test] = parts(settings, |first, count| task.examples(seed, first, count))?;
        let Copying { delay, symbols, recall } = task;
        Ok(Self {
            name: "copy",
            words: format!(
                "the copying problem, {recall} of {symbols} symbols, delay {delay}, length {}",
                task.length()
            ),
            inputs: task.inputs(),
            head: task.head(),
            training,
            validation,
            test,
            baseline: ("no memory", task.baseline()),
        })
    }
}

/// Training, validation and test: examples that follow each other, so that none is in two of them.
fn parts<T>(
    settings: &SyntheticSettings,
    examples: impl Fn(u64, usize) -> Result<Synthetic<T>>,
) -> Result<[Synthetic<T>; 3]> {
    let SyntheticSettings { train, validation, test, .. } = *settings;
    Ok([examples(0, train)?, examples(train as u64, validation)?, examples((train + validation) as u64, test)?])
}

impl<T> Task for SyntheticTask<T>
where
    Synthetic<T>: Examples,
{
    fn name(&self) -> String {
        self.name.into()
    }

    fn describe(&self) -> Vec<String> {
        let count = |examples: &Synthetic<T>| grouped(examples.len() as u64);
        let (training, validation, test) = (count(&self.training), count(&self.validation), count(&self.test));
        vec![self.words.clone(), format!("training {training} sequences, validation {validation}, test {test}")]
    }

    fn input_size(&self) -> usize {
        self.inputs
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn training(&self) -> &dyn Examples {
        &self.training
    }

    fn validation(&self) -> Option<&dyn Examples> {
        Some(&self.validation)
    }

    fn baseline(&self) -> Option<Baseline> {
        Some(Baseline { name: self.baseline.0.into(), loss: self.baseline.1 })
    }

    async fn results<E: Engine>(&self, trainer: &mut Trainer<E>, rows: usize) -> Result<Results> {
        let loss = evaluate(trainer, &InOrder::new(&self.test, rows)?).await?;
        let (who, baseline) = self.baseline;
        let mut summary = Map::new();
        summary.insert("test".into(), json!({"loss": loss, "baseline_loss": baseline}));
        let line = format!("{:<10}{}, beside {} for {who}", "test loss", short(loss), short(baseline));
        Ok(Results { lines: vec![line], summary, files: Vec::new() })
    }
}
