//! `bptt train --flow-every N`: the norms of ∂L/∂h_t of every Nth step.

use bptt::{Flow, Recurrent, Result};
use serde_json::{Map, json};

use super::folder::{Folder, Growing};
use super::gradcheck::stack_name;
use super::pictures::{Drawing, FlowLine, FlowPanel, FlowPicture};
use super::progress::{grouped, line};

/// Steps that the picture shows.
const LINES: usize = 4;

/// Writes `flow.jsonl`, and keeps what a picture needs.
pub(crate) struct FlowLog {
    every: u64,
    stacks: Vec<String>,
    file: Growing,
    /// Those whose number among all is a power of two, and the last.
    kept: Vec<(u64, Flow)>,
    taken: u64,
}

impl FlowLog {
    pub(crate) fn new(folder: &Folder, every: u64, recurrent: &Recurrent) -> Result<Self> {
        let stacks = (0..recurrent.stacks()).map(|stack| stack_name(recurrent, stack)).collect();
        Ok(Self { every, stacks, file: folder.begin("flow.jsonl")?, kept: Vec::new(), taken: 0 })
    }

    /// The first step too: there the network is as it began.
    pub(crate) fn wants(&self, step: u64) -> bool {
        step == 1 || step.is_multiple_of(self.every)
    }

    pub(crate) fn take(&mut self, step: u64, flow: &Flow) -> Result<()> {
        let norms = self.stacks.iter().zip(flow.norms.rows());
        let norms: Map<_, _> = norms.map(|(name, norms)| (name.clone(), json!(norms.to_vec()))).collect();
        self.file.append(&line(&json!({"step": step, "norms": norms}))?)?;
        if self.taken > 0 && !self.taken.is_power_of_two() {
            self.kept.pop();
        }
        self.taken += 1;
        self.kept.push((step, flow.clone()));
        Ok(())
    }

    /// Gives the file its name; the picture, a panel for each (layer, direction), unless no step was taken.
    pub(crate) fn finish(self, name: &str) -> Result<Option<Drawing>> {
        self.file.commit()?;
        let Some(last) = self.kept.len().checked_sub(1) else { return Ok(None) };
        let lines = LINES.min(last + 1);
        let chosen: Vec<&(u64, Flow)> = (0..lines).map(|n| &self.kept[n * last / (lines - 1).max(1)]).collect();
        let panel = |(stack, of): (usize, &String)| {
            let line = |(hue, (step, flow)): (usize, &&(u64, Flow))| {
                let (name, norms) = (format!("step {}", grouped(*step)), flow.norms.row(stack).to_vec());
                FlowLine { name, hue, second: false, norms, clipped: 1.0 }
            };
            FlowPanel { name: format!("‖∂L/∂h‖ of {of}"), lines: chosen.iter().enumerate().map(line).collect() }
        };
        let panels = self.stacks.iter().enumerate().map(panel).collect();
        let description = "The gradient of the training loss, before clipping, goes back through time from left to right. \
                           Where a line falls straight, each step costs the same factor, and what lies far back is hardly \
                           learned from; with a loss at every step, each adds its own.";
        let (title, description) = (format!("{name}: gradient flow in training"), description.into());
        Ok(Some(FlowPicture { title, description, panels }.draw()))
    }
}
