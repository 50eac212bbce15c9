//! What the bits of a run's steps depend on, as stored in checkpoints. A run that is resumed elsewhere reports what
//! differs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Backend;

/// The consequence at the end of each note.
const CONSEQUENCE: &str = "from here on the last bits may differ";

/// The name of the number of ranks, which is there for several.
const RANKS: &str = "ranks";

/// Names and values of [`Backend::arithmetic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arithmetic(BTreeMap<String, String>);

impl Arithmetic {
    /// What the arithmetic of this backend depends on.
    pub fn of(backend: &impl Backend) -> Self {
        Self(backend.arithmetic().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The same for a run that is shared out to ranks, whose sums are taken in their order.
    pub(crate) fn of_ranks(mut self, size: usize) -> Self {
        if size > 1 {
            self.0.insert(RANKS.to_owned(), size.to_string());
        }
        self
    }

    /// Describes what differs `now`; `None` if the bits are the same.
    pub(crate) fn differs(&self, now: &Self) -> Option<String> {
        let without = |name: &str| if name == RANKS { "1" } else { "not known" };
        let value = |of: &Self, name: &str| of.0.get(name).cloned().unwrap_or_else(|| without(name).into());
        let words = |name: &str| {
            let (before, now) = (value(self, name), value(now, name));
            (before != now).then(|| format!("{name}: {before} before, {now} now"))
        };
        // For another device, the other differences do not matter.
        let names: Vec<&String> =
            self.0.keys().chain(now.0.keys().filter(|name| !self.0.contains_key(*name))).collect();
        let differing = words("device")
            .map_or_else(|| names.iter().filter_map(|name| words(name)).collect::<Vec<_>>(), |device| vec![device]);
        (!differing.is_empty()).then(|| format!("{}; {CONSEQUENCE}", differing.join("; ")))
    }
}

/// The note for a checkpoint that does not record its arithmetic.
pub(crate) fn unknown(program: Option<&str>) -> String {
    let by = program.map(|program| format!(", by {program},")).unwrap_or_default();
    format!("the checkpoint{by} does not record what its bits depend on, as newer ones do: {CONSEQUENCE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arithmetic(pairs: &[(&str, &str)]) -> Arithmetic {
        Arithmetic(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn only_the_differing_property_is_named() {
        let cpu = arithmetic(&[("device", "CPU"), ("a·b + c", "rounded once"), ("order of sums", "1")]);
        let older = arithmetic(&[("device", "CPU"), ("a·b + c", "rounded twice"), ("order of sums", "1")]);
        assert_eq!(cpu.differs(&cpu), None);
        let words = older.differs(&cpu).unwrap();
        assert!(words.starts_with("a·b + c: rounded twice before, rounded once now; from here on"), "{words}");
        let gpu = arithmetic(&[("device", "H100"), ("driver", "1"), ("order of sums", "1, for a GPU")]);
        assert!(gpu.differs(&cpu).unwrap().starts_with("device: H100 before, CPU now; from here on"));
        let updated = arithmetic(&[("device", "H100"), ("driver", "2"), ("order of sums", "1, for a GPU")]);
        assert!(gpu.differs(&updated).unwrap().starts_with("driver: 1 before, 2 now; from"));
        // What only one of them has is reported too.
        let more = arithmetic(&[("device", "CPU"), ("a·b + c", "rounded once"), ("order of sums", "1"), ("x", "y")]);
        assert!(cpu.differs(&more).unwrap().starts_with("x: not known before, y now;"));
        let four = cpu.clone().of_ranks(4);
        assert_eq!((four.differs(&four), cpu.clone().of_ranks(1) == cpu), (None, true));
        assert!(four.differs(&cpu).unwrap().starts_with("ranks: 4 before, 1 now; from here on"));
    }
}
