//! The interface of every kind of data.

use std::io::Write;
use std::pin::Pin;

use serde_json::{Map, Value};
use wgpu::{WasmNotSend, WasmNotSendSync};

use super::super::device::network::Network;
use super::super::measure::comparison;
use super::super::measure::comparison::{Comparison, Verdict};
use super::super::model::codec::Codec;
use super::super::model::origin::Origin;
use crate::data::Batches;
use crate::format::{cell, left, right, widest};
use crate::plot::{Baseline, Drawing};
use crate::report::Table;
use crate::{Error, Head, Result};

/// A future that is `Send`, except on the web.
pub trait SendFuture: Future + WasmNotSend {}

impl<F: Future + WasmNotSend> SendFuture for F {}

/// A future of a task that waits for the device.
pub type Pending<'a, T> = Pin<Box<dyn SendFuture<Output = Result<T>> + 'a>>;

/// What a network is trained for: its batches and its measurement.
pub trait Task: WasmNotSendSync {
    /// The name for the run's folder.
    fn name(&self) -> String;
    /// The data in words, a line each.
    fn describe(&self) -> Vec<String>;
    /// I.
    fn input_size(&self) -> usize;
    /// The head that the task needs.
    fn head(&self) -> Head;
    /// What is stored with the weights, so that they can be used on other data.
    fn codec(&self) -> Codec;
    /// The same with what is fitted to the predictions of the trained network; `None` if nothing is. `rows`: sequences at
    /// a time.
    fn calibrated<'a>(&'a self, _network: &'a mut Network, _rows: usize) -> Pending<'a, Option<Codec>> {
        Box::pin(async { Ok(None) })
    }
    /// The batches to learn from; `None` where the data are only to be measured.
    ///
    /// # Errors
    /// Where the data cannot be ordered as asked, such as [`Error::Value`] for no rows, or have no labels to learn.
    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>>;
    /// The batches to validate with, `rows` sequences at a time.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows.
    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>>;
    /// Whether each batch continues with the final states of the previous one.
    fn carries_state(&self) -> bool {
        false
    }
    /// Why the network must read forward only; `None`: it may have a reverse direction.
    fn forward_only(&self) -> Option<&'static str> {
        None
    }
    /// The unit of the pace.
    fn unit(&self) -> Unit {
        Unit::Sequences
    }
    /// What the model was trained on, for later evaluations.
    fn origin(&self) -> &Origin;
    /// How the data relate to the training data of a model, in words, if there is something to report.
    fn relation(&self) -> Option<&str> {
        None
    }
    /// The baseline on the validation split.
    fn baseline(&self) -> Option<Baseline>;
    /// T of the longest measured sequence; 0: not longer than in training.
    fn longest_measured(&self) -> usize {
        0
    }
    /// The approximate bytes of predictions that [`results`](Self::results) holds at once; 0: few.
    fn results_bytes(&self) -> u64 {
        0
    }
    /// Measures the network on validation and test data. The program calls [`results`].
    fn results<'a>(&'a self, network: &'a mut Network, measure: MeasureOptions) -> Pending<'a, Results>;
    /// Writes the predictions of every example as comma-separated text.
    fn predictions<'a>(
        &'a self,
        network: &'a mut Network,
        rows: usize,
        out: &'a mut (dyn Write + Send),
    ) -> Pending<'a, ()>;
}

/// How examples become batches.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Sequences per batch.
    pub rows: usize,
    /// Number of groups of sequences of similar length.
    pub buckets: usize,
    /// The seed of the order.
    pub seed: u64,
}

/// How a network is measured.
#[derive(Clone, Copy, Debug)]
pub struct MeasureOptions {
    /// Sequences at a time.
    pub rows: usize,
    /// The random seed.
    pub seed: u64,
    /// Whether to measure a whole split, however long it takes, or only the start of a huge one.
    pub whole: bool,
    /// Whether to build the JSON summary.
    pub json: bool,
}

/// The unit of the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole sequences.
    Sequences,
    /// Characters of a text.
    Characters,
    /// Rows of a table.
    Rows,
    /// Frames of a sound.
    Frames,
}

/// The results of a task.
#[derive(Default)]
pub struct Results {
    /// In words, one line each.
    pub lines: Vec<String>,
    /// For the summary in JSON.
    pub summary: Map<String, Value>,
    /// The main results as names and numbers, for the report.
    pub key_figures: Vec<(String, String)>,
    /// Pictures by file name: each is a file and is in the report.
    pub figures: Vec<(&'static str, Drawing)>,
    /// Tables for the report.
    pub tables: Vec<Table>,
    /// Other files for the run's folder.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// The comparisons with the baselines.
    pub comparisons: Vec<Comparison>,
    /// Whether the network is worth it, if one metric says so.
    pub verdict: Option<Verdict>,
    /// What is missing, and why.
    pub missing: Vec<(&'static str, Error)>,
}

/// Measures the network on what it did not learn from. The lines begin with whether it is worth it, and end with
/// whether it beats each baseline.
///
/// # Errors
/// Those of [`Task::results`].
pub async fn results(task: &dyn Task, network: &mut Network, measure: MeasureOptions) -> Result<Results> {
    let mut results = task.results(network, measure).await?;
    if let Some(verdict) = &results.verdict {
        results.lines.splice(0..0, [verdict.words(), String::new()]);
        results.summary.insert("verdict".into(), verdict.json());
    }
    let sentences = comparison::sentences(&results.comparisons);
    if !sentences.is_empty() {
        results.lines.push(String::new());
        results.lines.extend(sentences);
        if measure.json {
            results.summary.insert("baselines".into(), comparison::summary(&results.comparisons).into());
        }
    }
    Ok(results)
}

impl Results {
    /// The result of an independent part; `None` if it failed, which is recorded.
    pub(crate) fn attempt<T>(&mut self, what: &'static str, made: Result<T>) -> Option<T> {
        made.map_err(|error| self.missing.push((what, error))).ok()
    }

    /// A file for the run's folder with what `write` writes.
    pub(crate) fn put_file(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) {
        let mut contents = Vec::new();
        let written = write(&mut contents);
        if self.attempt(name, written).is_some() {
            self.files.push((name, contents));
        }
    }

    /// A table for the terminal and the report; its first column is text, the others are numbers.
    pub(crate) fn put_table(&mut self, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        // In the terminal the name is in the heading of the first column.
        self.put_lines(&[&[""], columns.get(1..).unwrap_or_default()].concat(), &rows);
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        self.tables.push(Table { caption: caption.into(), columns, rows });
    }

    /// Aligned lines for the terminal only.
    pub(crate) fn put_lines(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let cells = |row: &[&str]| row.iter().map(|text| cell(text)).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| cells(&row.iter().map(String::as_str).collect::<Vec<_>>())).collect();
        let head = cells(head);
        // This width aligns most tables with each other.
        let first = widest(rows.iter().filter_map(|row| row.first())).max(10);
        let widths: Vec<usize> = head
            .iter()
            .enumerate()
            .map(|(column, name)| if column == 0 { first } else { name.chars().count().max(9) })
            .collect();
        let line = |cells: &Vec<String>| {
            let padded = |(column, (cell, width)): (usize, (&String, &usize))| match column {
                0 => left(cell, *width),
                _ => right(cell, *width),
            };
            cells.iter().zip(&widths).enumerate().map(padded).collect::<Vec<_>>().join("  ")
        };
        self.lines.push(line(&head));
        self.lines.extend(rows.iter().map(line));
    }
}
