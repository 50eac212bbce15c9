//! A run that is shared out to ranks: what they must have in common, and how they begin together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::agree::differing;
use super::device::open::Place;
use super::files::arithmetic::Arithmetic;
use crate::communicator::Communicator;
use crate::format::grouped;
use crate::{Error, Result};

/// One of the ranks that share a run, and its place. See [`communicator`](crate::communicator).
#[derive(Clone, Debug)]
pub struct RunRanks {
    communicator: Arc<dyn Communicator>,
    /// The name of its machine.
    machine: String,
    place: Place,
    /// Whether all ranks know of an error of one of them.
    failed: Arc<AtomicBool>,
}

/// The bytes that ranks send to each other in a step, as [`bytes_sent_per_step`](crate::train::bytes_sent_per_step) counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepBytes {
    /// By the rank that sends most. Their parts of a sum may differ by an element.
    pub most: u64,
    /// By all ranks together.
    pub all: u64,
}

impl StepBytes {
    /// Of the bytes of each rank.
    pub fn of(ranks: impl Iterator<Item = u64>) -> Self {
        ranks.fold(Self { most: 0, all: 0 }, |Self { most, all }, sent| Self { most: most.max(sent), all: all + sent })
    }
}

impl RunRanks {
    /// A rank at a place on a machine; `None` if there is only one.
    pub fn new(communicator: Arc<dyn Communicator>, machine: impl Into<String>, place: Place) -> Option<Self> {
        (communicator.size() > 1).then(|| Self { communicator, machine: machine.into(), place, failed: Arc::default() })
    }

    /// What joins it to the others.
    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.communicator
    }

    /// Its number, from 0.
    pub fn rank(&self) -> usize {
        self.communicator.rank()
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.communicator.size()
    }

    /// Whether it is rank 0, which alone prints and writes.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Its place on its machine.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether every rank has ended with an error of [`together`](Self::together), and none is left waiting.
    pub fn have_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// A result of this rank, once every rank has one: each waits for the others here.
    ///
    /// # Errors
    /// The rank's own error; [`Error::Failed`] with that of the first other rank that has one, and those of the
    /// communicator.
    pub fn together<T>(&self, local: Result<T>) -> Result<T> {
        let all = match self.exchanged(Call::Together, &local.as_ref().err().map(Error::to_string)) {
            Ok(all) => all,
            // The rank's own error says more.
            Err(error) => return local.and(Err(error)),
        };
        self.failed.fetch_or(all.iter().any(Option::is_some), Ordering::Relaxed);
        let value = local?;
        match all.iter().enumerate().find_map(|(rank, words)| Some((rank, words.as_ref()?))) {
            Some((rank, words)) => Err(Error::Failed(format!("rank {rank}: {words}"))),
            None => Ok(value),
        }
    }

    /// A result of this rank, once every rank has one, of which rank 0 has its own before the others begin.
    ///
    /// # Errors
    /// Those of [`together`](Self::together).
    pub fn after_first<T>(&self, local: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.leads() {
            let first = self.together(local())?;
            self.together(Ok(first))
        } else {
            self.together(Ok(()))?;
            self.together(local())
        }
    }

    /// The same as [`together`](Self::together) where there may be no ranks.
    ///
    /// # Errors
    /// Those of [`together`](Self::together).
    pub fn all<T>(ranks: Option<&Self>, local: Result<T>) -> Result<T> {
        match ranks {
            Some(ranks) => ranks.together(local),
            None => local,
        }
    }

    /// Checks that all ranks found the same. `what` says for what reason one may not.
    ///
    /// # Errors
    /// [`Error::Failed`], on all of them, names the first rank that differs from rank 0; those of the communicator.
    pub fn check_alike(&self, own: bool, what: &str) -> Result<()> {
        let all = self.exchanged(Call::Alike, &own)?;
        match all.iter().position(|other| *other != all[0]) {
            Some(rank) => self.together(Err(Error::Failed(format!("rank {rank} differs from rank 0: {what}")))),
            None => Ok(()),
        }
    }

    /// A number of every rank, in their order.
    ///
    /// # Errors
    /// Those of the communicator.
    pub fn numbers(&self, own: u64) -> Result<Vec<u64>> {
        self.exchanged(Call::Numbers, &own)
    }

    /// The bytes of all ranks from those of each; `None` where a rank has not counted them.
    ///
    /// # Errors
    /// Those of the communicator.
    pub(crate) fn sent(&self, own: Option<u64>) -> Result<Option<StepBytes>> {
        let all: Option<Vec<u64>> = self.exchanged(Call::Sent, &own)?.into_iter().collect();
        Ok(all.map(|all| StepBytes::of(all.into_iter())))
    }

    /// What rank 0 decides.
    ///
    /// # Errors
    /// Those of the communicator.
    pub(crate) fn decided(&self, by_first: bool) -> Result<bool> {
        Ok(self.exchanged(Call::Decided, &by_first)?[0])
    }

    /// Checks that every rank has the same program, settings, data and checkpoint: `identity` has them under `settings`,
    /// `data` and `checkpoint`.
    ///
    /// # Errors
    /// [`Error::Failed`] names the first rank that differs from rank 0, and in what; those of the communicator.
    pub(crate) fn check_same(&self, mut identity: Value) -> Result<()> {
        identity["program"] = json!(crate::VERSION);
        let all = self.exchanged(Call::Same, &identity)?;
        match all.iter().enumerate().find_map(|(rank, other)| Some((rank, difference(&all[0], other)?))) {
            Some((rank, words)) => self.together(Err(Error::Failed(format!(
                "rank {rank} differs from rank 0: {words}; every rank needs the same program, settings and data"
            )))),
            None => Ok(()),
        }
    }

    /// The arithmetic of the device of every rank, in their order.
    ///
    /// # Errors
    /// Those of the communicator.
    pub(crate) fn arithmetics(&self, own: &Arithmetic) -> Result<Vec<Arithmetic>> {
        self.exchanged(Call::Arithmetics, own)
    }

    /// The ranks and their devices in words: the number on each machine, and the ranks of each device.
    ///
    /// # Errors
    /// Those of the communicator.
    pub(crate) fn describe(&self, device: &str) -> Result<Vec<String>> {
        Ok(describe(&self.exchanged(Call::Describe, &[self.machine.clone(), device.to_owned()])?))
    }

    /// What every rank gives in this call, in their order.
    ///
    /// # Errors
    /// [`Error::Failed`] if another rank makes another call; those of the communicator.
    fn exchanged<T: Serialize + DeserializeOwned>(&self, call: Call, own: &T) -> Result<Vec<T>> {
        let message = serde_json::to_vec(&(call, own)).map_err(|error| Error::Failed(error.to_string()))?;
        let of_call = |message: Vec<u8>| match serde_json::from_slice(&message) {
            Ok((theirs, value)) if call == theirs => Some(value),
            _ => None,
        };
        let all: Option<Vec<T>> = self.communicator.gather(&message)?.into_iter().map(of_call).collect();
        all.ok_or_else(|| Error::Failed("the ranks do not make the same calls".into()))
    }
}

/// What an exchange is for, so that ranks which do not make the same calls notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Call {
    Together,
    Alike,
    Numbers,
    Sent,
    Decided,
    Same,
    Arithmetics,
    Describe,
}

fn describe(all: &[[String; 2]]) -> Vec<String> {
    let mut machines: Vec<(&str, usize)> = Vec::new();
    let mut devices: Vec<(&str, Vec<String>)> = Vec::new();
    for (rank, [machine, device]) in all.iter().enumerate() {
        match machines.iter_mut().find(|(name, _)| name == machine) {
            Some((_, count)) => *count += 1,
            None => machines.push((machine, 1)),
        }
        match devices.iter_mut().find(|(name, _)| name == device) {
            Some((_, ranks)) => ranks.push(rank.to_string()),
            None => devices.push((device, vec![rank.to_string()])),
        }
    }
    let machines: Vec<String> = machines.iter().map(|(name, count)| format!("{count} on {name}")).collect();
    let mut lines = vec![format!("{}: {}", grouped(all.len() as u64), machines.join(", "))];
    if devices.len() > 1 {
        lines.extend(devices.iter().map(|(device, ranks)| {
            let word = if ranks.len() == 1 { "rank" } else { "ranks" };
            format!("{word} {}: {device}", ranks.join(", "))
        }));
        lines.push(
            "different devices: the fastest waits for the slowest, and rank 0's weights are sent to all in every step"
                .into(),
        );
    }
    lines
}

const OTHER_DATA: &str = "its data files have other contents: ";

/// The first difference of two identities in words.
fn difference(first: &Value, other: &Value) -> Option<String> {
    let words = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
    if first["program"] != other["program"] {
        return Some(format!("its program is version {}, not {}", words(&other["program"]), words(&first["program"])));
    }
    let settings = |value: &Value| value["settings"].as_object().cloned().unwrap_or_default();
    if let Some([setting, here, there]) = differing(&settings(first), &settings(other)) {
        let of_data = if setting.ends_with("sha256") { OTHER_DATA } else { "" };
        return Some(format!("{of_data}{setting} is {there} there, not {here}"));
    }
    if first["data"] != other["data"] {
        return Some(OTHER_DATA.trim_end_matches(": ").into());
    }
    (first["checkpoint"] != other["checkpoint"]).then(|| {
        let (here, there) = (words(&first["checkpoint"]), words(&other["checkpoint"]));
        format!(
            "its checkpoint is that of step {there}, not {here}; the run's folder must be the same on every machine"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_described_by_machine_and_by_device_where_these_differ() {
        let of = |all: &[[&str; 2]]| describe(&all.iter().map(|of| of.map(str::to_owned)).collect::<Vec<_>>());
        assert_eq!(of(&[["a", "CPU"], ["a", "CPU"]]), ["2: 2 on a"]);
        let mixed = of(&[["a", "NVIDIA"], ["b", "AMD"], ["a", "NVIDIA"]]);
        assert_eq!(mixed[..3], ["3: 2 on a, 1 on b", "ranks 0, 2: NVIDIA", "rank 1: AMD"]);
    }

    #[test]
    fn the_first_difference_of_two_ranks_is_named() {
        let of = |lr: f64, data: &str, step: Option<u64>| json!({"program": "1", "settings": {"training": {"lr": lr}}, "data": data, "checkpoint": step});
        let first = of(0.1, "x", Some(3));
        assert_eq!(difference(&first, &first), None);
        let words = |other: Value| difference(&first, &other).unwrap();
        assert_eq!(words(of(0.2, "y", None)), "training.lr is 0.2 there, not 0.1");
        assert_eq!(words(of(0.1, "y", Some(3))), "its data files have other contents");
        assert!(words(of(0.1, "x", None)).starts_with("its checkpoint is that of step none, not 3"));
        let mut older = first.clone();
        older["program"] = json!("0");
        assert_eq!(words(older), "its program is version \"0\", not \"1\"");
    }
}
