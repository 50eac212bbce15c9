//! What the bits of a run's steps depend on, as stored in checkpoints. A run that is resumed elsewhere reports what
//! differs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Backend;

/// The consequence at the end of each note.
const CONSEQUENCE: &str = "from here on the last bits may differ";

/// The name of the number of ranks, which is there for several.
const RANKS: &str = "ranks";

/// Between the name of what a rank does not share with rank 0, and its number.
const OF_RANK: &str = " of rank ";

/// The value of what is not recorded.
const UNKNOWN: &str = "not known";

/// Names and values of [`Backend::arithmetic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arithmetic(BTreeMap<String, String>);

impl Arithmetic {
    /// What the arithmetic of this backend depends on.
    pub fn of(backend: &impl Backend) -> Self {
        Self(backend.arithmetic().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// What that of a run depends on which is shared out to ranks, from that of each in their order: rank 0's, the number of
    /// ranks, in whose order sums are taken, and what another rank does not share with rank 0.
    pub(crate) fn of_ranks(all: &[Self]) -> Self {
        let Some((first, others)) = all.split_first() else { return Self(BTreeMap::new()) };
        let mut values = first.0.clone();
        if !others.is_empty() {
            values.insert(RANKS.to_owned(), all.len().to_string());
        }
        for (index, other) in others.iter().enumerate() {
            for name in first.names(other).filter(|name| first.0.get(*name) != other.0.get(*name)) {
                let value = other.0.get(name).map_or(UNKNOWN, String::as_str);
                values.insert(format!("{name}{OF_RANK}{}", index + 1), value.to_owned());
            }
        }
        Self(values)
    }

    /// Describes what differs `now`, and on which ranks if not on all; `None` if the bits are the same.
    pub(crate) fn differs(&self, now: &Self) -> Option<String> {
        let [before, size] = [self, now].map(|of| of.0.get(RANKS).map_or("1", String::as_str));
        let mut differing = Vec::new();
        if before != size {
            differing.push(format!("{RANKS}: {before} before, {size} now"));
        }
        // Of other ranks where there are as many.
        let ranks = if before == size { size.parse().unwrap_or(1) } else { 1 };
        let mut found: Vec<([String; 3], Vec<usize>)> = Vec::new();
        for rank in 0..ranks {
            for difference in self.of_rank(rank).differences(&now.of_rank(rank)) {
                match found.iter_mut().find(|(other, _)| *other == difference) {
                    Some((_, on)) => on.push(rank),
                    None => found.push((difference, vec![rank])),
                }
            }
        }
        differing.extend(found.into_iter().map(|([name, before, now], on)| {
            let numbers: Vec<String> = on.iter().map(usize::to_string).collect();
            let on = match (on.len() == ranks, on.len()) {
                (true, _) => String::new(),
                (false, 1) => format!("{OF_RANK}{}", numbers.join("")),
                (false, _) => format!(" of ranks {}", numbers.join(", ")),
            };
            format!("{name}{on}: {before} before, {now} now")
        }));
        (!differing.is_empty()).then(|| format!("{}; {CONSEQUENCE}", differing.join("; ")))
    }

    /// That of one rank, without their number.
    fn of_rank(&self, rank: usize) -> Self {
        let (mut values, mut own) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in self.0.iter().filter(|(name, _)| *name != RANKS) {
            match name.rsplit_once(OF_RANK).map(|(name, of)| (name, of.parse::<usize>())) {
                Some((name, Ok(of))) if of == rank => drop(own.insert(name.to_owned(), value.clone())),
                Some((_, Ok(_))) => {}
                _ => drop(values.insert(name.clone(), value.clone())),
            }
        }
        values.extend(own);
        Self(values)
    }

    /// The names of either.
    fn names<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a String> {
        self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)))
    }

    /// The names of what differs `now`, with both values.
    fn differences(&self, now: &Self) -> Vec<[String; 3]> {
        let value = |of: &Self, name: &str| of.0.get(name).map_or(UNKNOWN, String::as_str).to_owned();
        let of = |name: &str| {
            let (before, now) = (value(self, name), value(now, name));
            (before != now).then(|| [name.to_owned(), before, now])
        };
        // For another device, the other differences do not matter.
        of("device").map_or_else(|| self.names(now).filter_map(|name| of(name)).collect(), |device| vec![device])
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
    }

    #[test]
    fn what_differs_on_a_rank_is_told_with_its_number() {
        let cpu = arithmetic(&[("device", "CPU"), ("a·b + c", "rounded once")]);
        let other = arithmetic(&[("device", "CPU"), ("a·b + c", "rounded twice")]);
        let gpu = arithmetic(&[("device", "H100"), ("driver", "1")]);
        let of = |all: &[&Arithmetic]| Arithmetic::of_ranks(&all.iter().map(|of| (*of).clone()).collect::<Vec<_>>());
        let four = of(&[&cpu; 4]);
        assert_eq!((four.differs(&four), of(&[&cpu]) == cpu), (None, true));
        assert_eq!(four.differs(&cpu).unwrap(), format!("ranks: 4 before, 1 now; {CONSEQUENCE}"));
        let words = |before: &[&Arithmetic], now: &[&Arithmetic]| of(before).differs(&of(now));
        assert_eq!(words(&[&cpu, &gpu, &other], &[&cpu, &gpu, &other]), None);
        let all = words(&[&cpu; 3], &[&other; 3]).unwrap();
        assert!(all.starts_with("a·b + c: rounded once before, rounded twice now; from"), "{all}");
        let some = words(&[&cpu; 3], &[&cpu, &other, &other]).unwrap();
        assert!(some.starts_with("a·b + c of ranks 1, 2: rounded once before, rounded twice now; from"), "{some}");
        let one = words(&[&cpu, &gpu], &[&cpu, &cpu]).unwrap();
        assert_eq!(one, format!("device of rank 1: H100 before, CPU now; {CONSEQUENCE}"));
        let first = words(&[&cpu, &gpu], &[&gpu, &gpu]).unwrap();
        assert_eq!(first, format!("device of rank 0: CPU before, H100 now; {CONSEQUENCE}"));
    }
}
