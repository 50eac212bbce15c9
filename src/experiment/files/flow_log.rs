//! `training.flow-every`: the norms of ∂L/∂h_t of every Nth step.

use ndarray::Array2;
use serde_json::{Map, Value, json};

use super::checkpoints::Position;
use super::folder::{Folder, Log, json_line};
use super::names::FLOW;
use crate::format::grouped;
use crate::plot::{Drawing, GradientLine, GradientPanel, gradient_flow};
use crate::{HiddenGradientNorms, Recurrent, Result};

/// Number of steps shown in the picture.
const LINES: usize = 4;

/// Writes `flow.jsonl`, and keeps what a picture needs.
pub struct FlowLog {
    every: u64,
    /// The suffix of each (layer, direction) in PyTorch's names: `l0`, `l0_reverse`.
    suffixes: Vec<String>,
    /// Whether each reads its rows from their ends.
    reverse: Vec<bool>,
    file: Log,
    /// Those whose index is a power of two, and the last one.
    kept: Vec<(u64, HiddenGradientNorms)>,
    taken: u64,
}

impl FlowLog {
    /// Of a run that begins, or that goes on from a position.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the file cannot be written or read; [`Error::Data`](crate::Error::Data)
    /// where it is shorter than the run left it, for a line that does not have the norms of this network, and for a
    /// link or a folder in its place.
    pub fn new(folder: &Folder, every: u64, recurrent: &Recurrent, from: Option<&Position>) -> Result<Self> {
        let all = 0..recurrent.num_layer_directions();
        let suffixes: Vec<String> = all.clone().map(|index| recurrent.suffix(index)).collect();
        let reverse = all.map(|index| recurrent.is_reverse(index)).collect();
        let (mut kept, mut taken) = (Vec::new(), 0);
        let line = |line: &[u8]| {
            let flow = read(&suffixes, line).ok_or("the norms are not of this network")?;
            keep(&mut kept, &mut taken, flow);
            Ok(())
        };
        let file = match from.and_then(|position| position.flow) {
            None => folder.log(FLOW)?,
            Some(bytes) => folder.log_from(FLOW, bytes, line)?,
        };
        Ok(Self { every, suffixes, reverse, file, kept, taken })
    }

    /// Waits until everything is on the disk; returns how many bytes these are.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where it cannot be written.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync()
    }

    /// The first step is included: it shows the network at initialisation.
    pub fn wants(&self, step: u64) -> bool {
        step == 1 || step.is_multiple_of(self.every)
    }

    /// Writes the norms of a step.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where it cannot be written.
    pub fn take(&mut self, step: u64, flow: &HiddenGradientNorms) -> Result<()> {
        let norms = self.suffixes.iter().zip(flow.norms.rows());
        let norms: Map<_, _> = norms.map(|(name, norms)| (name.clone(), json!(norms.to_vec()))).collect();
        self.file.append(&json_line(&json!({"step": step, "norms": norms}))?)?;
        keep(&mut self.kept, &mut self.taken, (step, flow.clone()));
        Ok(())
    }

    /// Leaves the file on the disk; the picture, a panel for each (layer, direction), unless no step was taken.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the file cannot be written.
    pub fn finish(mut self, name: &str) -> Result<Option<Drawing>> {
        self.sync()?;
        let Some(last) = self.kept.len().checked_sub(1) else { return Ok(None) };
        let lines = LINES.min(last + 1);
        let chosen: Vec<&(u64, HiddenGradientNorms)> =
            (0..lines).map(|n| &self.kept[n * last / (lines - 1).max(1)]).collect();
        let panel = |(index, of): (usize, &String)| {
            let line = |(colour, (step, flow)): (usize, &&(u64, HiddenGradientNorms))| {
                let (name, norms) = (format!("step {}", grouped(*step)), flow.norms.row(index).to_vec());
                GradientLine { name, colour, is_reverse: self.reverse[index], norms, clip_factor: 1.0 }
            };
            GradientPanel {
                name: format!("‖∂L/∂h‖ of {of}"), lines: chosen.iter().enumerate().map(line).collect()
            }
        };
        let panels: Vec<GradientPanel> = self.suffixes.iter().enumerate().map(panel).collect();
        let description = "The gradient of the training loss, before clipping, goes back through time as the arrow shows. \
                           Where a line falls straight, each step costs the same factor, and what lies far back is hardly \
                           learned from; with a loss at every step, each adds its own.";
        Ok(Some(gradient_flow(&format!("{name}: gradient flow in training"), description, &panels)))
    }
}

/// A line as written.
fn read(suffixes: &[String], line: &[u8]) -> Option<(u64, HiddenGradientNorms)> {
    let line: Value = serde_json::from_slice(line).ok()?;
    // JSON has null for numbers that are not finite.
    let row = |suffix: &String| {
        let norms = line["norms"][suffix].as_array()?;
        Some(norms.iter().map(|norm| norm.as_f64().unwrap_or(f64::NAN)).collect::<Vec<_>>())
    };
    let rows = suffixes.iter().map(row).collect::<Option<Vec<_>>>()?;
    let shape = (rows.len(), rows.first()?.len());
    let norms = Array2::from_shape_vec(shape, rows.into_iter().flatten().collect()).ok()?;
    Some((line["step"].as_u64()?, HiddenGradientNorms { norms }))
}

fn keep(kept: &mut Vec<(u64, HiddenGradientNorms)>, taken: &mut u64, flow: (u64, HiddenGradientNorms)) {
    if *taken > 0 && !taken.is_power_of_two() {
        kept.pop();
    }
    *taken += 1;
    kept.push(flow);
}
