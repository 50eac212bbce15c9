//! A memory plan in words and as JSON.

use serde_json::{Map, Value, json};

use super::plan::MemoryPlan;
use crate::experiment::device::free_memory::most_resident;
use crate::format::{bytes, grouped};
use crate::{Error, MemoryPart, Result};

impl MemoryPlan {
    /// Why the machine has not enough memory for the rest of the plan, in words; `None` where it has, or does not report it.
    pub fn shortage(&self) -> Option<String> {
        let (needed, free) = (self.total() - self.host.program, self.free?);
        (needed > free.bytes).then(|| format!("takes {} more than now, and there is {}", bytes(needed), free.words()))
    }

    /// Refuses a plan that the machine has not enough memory for.
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

    /// The parts that are not empty, with their bytes.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        let parts = self.memory.parts().map(|(part, bytes)| (part.name(), bytes));
        parts.chain(self.host.parts()).filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// B × T of what is on the device at once, in words.
    pub fn shape(&self) -> String {
        format!("{} × {} steps", grouped(self.rows as u64), grouped(self.steps as u64))
    }

    /// A line of what does not depend on the batch, one of what does, and how the batch is cut.
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

    /// What the GPU's driver uses of the same memory, which no plan holds.
    pub fn describe_driver(&self) -> Option<String> {
        let driver = bytes(self.driver_bytes?);
        Some(format!("plus the GPU's driver, which uses the same memory: {driver} before the first step"))
    }

    /// The peak of the process and how far it was above the plan, where a driver uses the same memory.
    pub fn describe_peak(&self) -> Option<String> {
        let most = Some(most_resident()).filter(|most| self.driver_bytes.is_some() && *most > 0)?;
        let beyond = bytes(most.saturating_sub(self.total()));
        Some(format!("{} at its peak, of which the GPU's driver and what it compiled are some {beyond}", bytes(most)))
    }

    /// How a batch is cut, and why.
    pub fn describe_cuts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rows < self.batch {
            let parts = grouped(self.batch.div_ceil(self.rows) as u64);
            lines.push(format!(
                "a batch of {} in {parts} parts of {} rows, with the same result",
                self.batch, self.rows
            ));
        }
        if self.recompute {
            lines.push("recompute: each step goes forward twice, and keeps the states between chunks".into());
        }
        if let (Some(budget), Some(largest)) = (&self.budget, self.largest) {
            lines.push(format!("the largest batch at once is {}, in {}", grouped(largest as u64), budget.words));
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
