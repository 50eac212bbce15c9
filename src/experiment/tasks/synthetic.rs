//! Synthetic tasks with exactly known baselines.

use std::io::Write;

use serde_json::json;

use super::super::config::agree::in_flag;
use super::super::config::{TaskConfig, TaskName};
use super::super::device::network::Network;
use super::super::measure::comparison;
use super::super::measure::comparison::{BaselineName, Comparison};
use super::super::model::codec::Codec;
use super::super::model::model_file::ModelFile;
use super::super::model::origin::Origin;
use super::objective;
use super::task::{MeasureOptions, Order, Pending, Results, Task};
use crate::data::{AddingTask, Batches, CopyTask, Examples, SequentialBatches, ShuffledBatches, SyntheticExamples};
use crate::format::{grouped, short};
use crate::plot::Baseline;
use crate::{Error, Head, Readout, Result};

/// The number of examples per split. Training examples are generated on demand.
const TRAINING: usize = 100_000;
const OTHERS: usize = 1000;

pub(crate) struct SyntheticTask<T> {
    task: TaskName,
    words: String,
    inputs: usize,
    head: Head,
    training: SyntheticExamples<T>,
    validation: SyntheticExamples<T>,
    test: SyntheticExamples<T>,
    /// The baseline and its loss.
    baseline: (&'static str, f64),
    /// There is no training file.
    origin: Origin,
}

/// The task of the settings.
pub(crate) fn load(data: &mut TaskConfig, seed: u64, model: Option<&ModelFile>) -> Result<Box<dyn Task>> {
    let refused = |error| in_flag("--length", error);
    Ok(match data.name {
        Some(TaskName::Copy) => {
            let task = copying(*data.length.get_or_insert(10), seed).map_err(refused)?;
            Box::new(task.predicting(&mut data.predict, model)?)
        }
        _ => {
            let task = adding(*data.length.get_or_insert(50), seed).map_err(refused)?;
            Box::new(task.predicting(&mut data.predict, model)?)
        }
    })
}

impl<T> SyntheticTask<T> {
    /// With the readout of the settings or the model.
    fn predicting(self, predict: &mut Option<Readout>, model: Option<&ModelFile>) -> Result<Self> {
        Ok(Self { head: objective::head(self.head, predict, model)?, ..self })
    }
}

fn adding(length: usize, seed: u64) -> Result<SyntheticTask<AddingTask>> {
    let task = AddingTask { length };
    let [training, validation, test] = parts(|first, count| task.examples(seed, first, count))?;
    Ok(SyntheticTask {
        task: TaskName::Adding,
        words: format!("the adding problem, length {length}"),
        inputs: AddingTask::INPUTS,
        head: task.head(),
        training,
        validation,
        test,
        baseline: ("always 1", task.baseline()),
        origin: Origin::default(),
    })
}

fn copying(delay: usize, seed: u64) -> Result<SyntheticTask<CopyTask>> {
    let task = CopyTask::new(delay);
    let [training, validation, test] = parts(|first, count| task.examples(seed, first, count))?;
    let CopyTask { symbols, recall, .. } = task;
    let length = task.length();
    Ok(SyntheticTask {
        task: TaskName::Copy,
        words: format!("the copying problem, {recall} of {symbols} symbols, delay {delay}, length {length}"),
        inputs: task.inputs(),
        head: task.head(),
        training,
        validation,
        test,
        baseline: ("no memory", task.baseline()),
        origin: Origin::default(),
    })
}

/// Training, validation and test use consecutive example numbers, so that no example is in two splits.
fn parts<T>(examples: impl Fn(u64, usize) -> Result<SyntheticExamples<T>>) -> Result<[SyntheticExamples<T>; 3]> {
    let validation = TRAINING as u64;
    Ok([examples(0, TRAINING)?, examples(validation, OTHERS)?, examples(validation + OTHERS as u64, OTHERS)?])
}

impl<T> Task for SyntheticTask<T>
where
    SyntheticExamples<T>: Examples,
{
    fn name(&self) -> String {
        match self.task {
            TaskName::Adding => "adding".into(),
            TaskName::Copy => "copy".into(),
        }
    }

    fn describe(&self) -> Vec<String> {
        let count = |examples: &SyntheticExamples<T>| grouped(examples.len() as u64);
        let (training, validation, test) = (count(&self.training), count(&self.validation), count(&self.test));
        vec![self.words.clone(), format!("training {training} sequences, validation {validation}, test {test}")]
    }

    fn input_size(&self) -> usize {
        self.inputs
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        Codec::Task { task: self.task }
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(Some(Box::new(ShuffledBatches::new(&self.training, order.rows, order.buckets, order.seed)?)))
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(Some(Box::new(SequentialBatches::new(&self.validation, rows)?)))
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn baseline(&self) -> Option<Baseline> {
        Some(Baseline { name: self.baseline.0.into(), loss: self.baseline.1 })
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let loss = network.evaluate(&SequentialBatches::new(&self.test, rows)?).await?;
            let (who, baseline) = self.baseline;
            let mut results = Results::default();
            results.summary.insert("test".into(), json!({"loss": loss, "baseline_loss": baseline}));
            results.lines.push(format!("{:<10}{}, baseline {} ({who})", "test loss", short(loss), short(baseline)));
            let name = match self.task {
                TaskName::Adding => BaselineName { key: "mean", words: "the constant answer 1 (the mean)" },
                TaskName::Copy => BaselineName { key: "no_memory", words: "a guess without memory" },
            };
            let measure = comparison::ComparedMetric::Error("loss");
            results.comparisons.push(Comparison::new("test", measure, loss, name, baseline));
            Ok(results)
        })
    }

    fn predictions<'a>(&'a self, _: &'a mut Network, _: usize, _: &'a mut (dyn Write + Send)) -> Pending<'a, ()> {
        Box::pin(async move {
            Err(Error::Unsupported("a synthetic task has no file to predict from; `bptt eval` measures it".into()))
        })
    }
}
