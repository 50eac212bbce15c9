//! What a run is about, whatever its data.

use std::io::Write;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::super::device::network::Network;
use super::super::measure::comparison;
use super::super::measure::comparison::Comparison;
use super::super::model::codec::Codec;
use super::super::model::origin::Origin;
use crate::data::Batches;
use crate::format::{cell, left, right, widest};
use crate::plot::{Baseline, Drawing};
use crate::report::Table;
use crate::{Error, Head, Result};

/// What a task returns that waits for the device.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// What a network is trained for: where its batches come from, and how well it does.
pub trait Task {
    /// What the run's folder is called after.
    fn name(&self) -> String;
    /// The data in words, a line each.
    fn describe(&self) -> Vec<String>;
    /// I.
    fn input_size(&self) -> usize;
    /// The head that the task needs.
    fn head(&self) -> Head;
    /// What has to travel with the weights, so that they can be used on other data.
    fn codec(&self) -> Codec;
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
    /// Whether each batch goes on with the states of the one before.
    fn carries_state(&self) -> bool {
        false
    }
    /// Why the network can read in one direction alone; `None`: it can read in two.
    fn one_direction(&self) -> Option<&'static str> {
        None
    }
    /// What the pace is counted in.
    fn unit(&self) -> Unit {
        Unit::Sequences
    }
    /// What it is trained on, for whoever measures the model later.
    fn origin(&self) -> &Origin;
    /// How the data stand to those that a model was trained on, in words; `None` where there is nothing to say.
    fn relation(&self) -> Option<&str> {
        None
    }
    /// What needs no network, on the validation part.
    fn baseline(&self) -> Option<Baseline>;
    /// T of the longest sequence that it is measured on; 0: none is longer than those to learn from.
    fn longest_measured(&self) -> usize {
        0
    }
    /// About the bytes that [`results`](Self::results) holds at once of what the network says; 0: few.
    fn results_bytes(&self) -> u64 {
        0
    }
    /// Measures the network on what it did not learn from. The program asks [`results`].
    fn results<'a>(&'a self, network: &'a mut Network, measure: MeasureOptions) -> Pending<'a, Results>;
    /// Writes what the network says of every example as comma-separated text.
    fn predictions<'a>(&'a self, network: &'a mut Network, rows: usize, out: &'a mut dyn Write) -> Pending<'a, ()>;
}

/// How examples become batches.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Sequences a batch.
    pub rows: usize,
    /// Groups of sequences of similar length.
    pub buckets: usize,
    /// The seed of the order.
    pub seed: u64,
}

/// How a network is measured.
#[derive(Clone, Copy, Debug)]
pub struct MeasureOptions {
    /// Sequences at a time.
    pub rows: usize,
    /// What is drawn is drawn from this.
    pub seed: u64,
    /// Whether all of a part is measured, however long that takes, or of a huge one only its beginning.
    pub whole: bool,
    /// Whether the summary is asked for.
    pub json: bool,
}

/// What the pace is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole sequences.
    Sequences,
    /// Characters of a text.
    Characters,
}

/// What came of a task.
#[derive(Default)]
pub struct Results {
    /// In words, a line each.
    pub lines: Vec<String>,
    /// For the summary in JSON.
    pub summary: Map<String, Value>,
    /// The results in a few names and numbers, for the report.
    pub key_figures: Vec<(String, String)>,
    /// Pictures by their files' names: each is a file, and a part of the report.
    pub figures: Vec<(&'static str, Drawing)>,
    /// For the report.
    pub tables: Vec<Table>,
    /// Other files for the run's folder.
    pub files: Vec<(&'static str, String)>,
    /// The network beside what needs none.
    pub comparisons: Vec<Comparison>,
    /// What there was to be besides, and why it is not.
    pub missing: Vec<(&'static str, Error)>,
}

/// Measures the network on what it did not learn from, and ends the lines with whether it beats what needs no network.
///
/// # Errors
/// Those of [`Task::results`].
pub async fn results(task: &dyn Task, network: &mut Network, measure: MeasureOptions) -> Result<Results> {
    let mut results = task.results(network, measure).await?;
    let sentences = comparison::sentences(&results.comparisons);
    if !sentences.is_empty() {
        results.lines.push(String::new());
        results.lines.extend(sentences);
        results.summary.insert("baselines".into(), comparison::summary(&results.comparisons).into());
    }
    Ok(results)
}

impl Results {
    /// What was made of a part that the others do not need; otherwise it is missing.
    pub(crate) fn attempt<T>(&mut self, what: &'static str, made: Result<T>) -> Option<T> {
        made.map_err(|error| self.missing.push((what, error))).ok()
    }

    /// A table for the terminal and the report; the first column of both is words, the others numbers.
    pub(crate) fn put_table(&mut self, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        // In the terminal it shows in its first word what a row is.
        self.put_lines(&[&[""], columns.get(1..).unwrap_or_default()].concat(), &rows);
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        self.tables.push(Table { caption: caption.into(), columns, rows });
    }

    /// Aligned lines for the terminal alone.
    pub(crate) fn put_lines(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let cells = |row: &[&str]| row.iter().map(|text| cell(text)).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| cells(&row.iter().map(String::as_str).collect::<Vec<_>>())).collect();
        let head = cells(head);
        // Names and numbers have room in most tables, so that these stand below each other alike.
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
