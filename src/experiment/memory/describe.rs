//! A memory plan in words and as JSON.

use serde_json::{Map, Value, json};

use super::plan::MemoryPlan;
use crate::experiment::device::free_memory::most_resident;
use crate::format::{bytes, grouped};
use crate::{Error, MemoryPart, Result};

impl MemoryPlan {
    /// Why the machine does not have enough memory for the rest of the plan; `None` if it has, or does not report it.
    pub fn shortage(&self) -> Option<String> {
        let (needed, free) = (self.total() - self.host.program, self.free?);
        (needed > free.bytes)
            .then(|| format!("needs {} more memory than now, and there is {}", bytes(needed), free.words()))
    }

    /// Refuses a plan that does not fit into the machine's memory.
    ///
    /// # Errors
    /// [`Error::Failed`] with both sizes.
    pub fn check_free(&self) -> Result<()> {
        if let Some(words) = self.shortage() {
            return Err(Error::Failed(format!(
                "not enough memory: training {words}: take fewer hidden units, a shorter window, --recompute, a smaller \
                 --batch, or --memory, which does a batch in parts; `bptt plan` shows what takes how much"
            )));
        }
        Ok(())
    }

    /// The categories in use, with their bytes.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        let parts = self.memory.parts().map(|(part, bytes)| (part.name(), bytes));
        parts.chain(self.host.parts()).filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// B × T of what is on the device at once, in words.
    pub fn shape(&self) -> String {
        format!("{} × {} steps", grouped(self.rows as u64), grouped(self.steps as u64))
    }

    /// One line for what does not depend on the batch, one for what does, and how the batch is split.
    pub fn describe(&self) -> Vec<String> {
        let of = |of_batch: bool| {
            let parts = self.memory.parts().filter(|(part, bytes)| part.depends_on_batch() == of_batch && *bytes > 0);
            let words: Vec<String> = parts.map(|(part, count)| format!("{} {}", part.name(), bytes(count))).collect();
            words.join(", ")
        };
        let host = self.host.total();
        let beside = if host > 0 { format!(", program, data and batch {}", bytes(host)) } else { String::new() };
        let mut lines = vec![format!("{}: {}{beside}", bytes(self.total()), of(false))];
        lines.push(format!("{}: {}", self.shape(), of(true)));
        lines.extend(self.describe_cuts());
        lines.extend(self.describe_driver());
        lines
    }

    /// The memory of the GPU's driver, which is not planned.
    pub fn describe_driver(&self) -> Option<String> {
        let driver = bytes(self.driver_bytes?);
        Some(format!("plus the GPU's driver, which uses the same memory: {driver} before the first step"))
    }

    /// The peak of the process and its excess over the plan, if a driver shares the memory.
    pub fn describe_peak(&self) -> Option<String> {
        let most = Some(most_resident()).filter(|most| self.driver_bytes.is_some() && *most > 0)?;
        let beyond = bytes(most.saturating_sub(self.total()));
        Some(format!("{} at its peak; about {beyond} of it are the GPU's driver and its compiled kernels", bytes(most)))
    }

    /// How a batch is split, and why.
    pub fn describe_cuts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let own = self.batch.div_ceil(self.ranks);
        if self.ranks > 1 {
            let (batch, ranks) = (self.batch, grouped(self.ranks as u64));
            lines.push(format!(
                "a batch of {batch} on {ranks} ranks, at most {own} rows on each; the memory is that of one"
            ));
        }
        if self.rows < own {
            let parts = grouped(own.div_ceil(self.rows) as u64);
            let batch = if self.ranks > 1 { "these".to_owned() } else { format!("a batch of {own}") };
            lines.push(format!("{batch} in {parts} micro-batches of {} rows, with the same result", self.rows));
        }
        if self.recompute {
            lines.push("recompute: each forward step runs twice; only the states between chunks are kept".into());
        }
        if let (Some(budget), Some(largest)) = (&self.budget, self.largest) {
            lines.push(format!(
                "the largest batch that fits at once is {}, in {}",
                grouped(largest as u64),
                budget.words
            ));
        }
        lines
    }

    /// The plan as JSON, in bytes.
    pub fn json(&self) -> Map<String, Value> {
        let parts: Map<String, Value> = MemoryPart::ALL
            .into_iter()
            .map(|part| (part.name().replace(' ', "_"), json!(self.memory.of(part))))
            .chain(self.host.parts().map(|(name, bytes)| (name.replace(", ", "_and_"), json!(bytes))))
            .collect();
        let value = json!({
            "steps": self.steps,
            "batch": self.batch,
            "micro_batch": self.rows,
            "recompute": self.recompute,
            "bytes": parts,
            "total_bytes": self.total(),
            "driver_bytes": self.driver_bytes,
            "budget_bytes": self.budget.as_ref().map(|budget| budget.bytes),
            "budget": self.budget.as_ref().map(|budget| budget.words.clone()),
            "largest_batch": self.largest,
        });
        if let Value::Object(map) = value { map } else { Map::new() }
    }
}
