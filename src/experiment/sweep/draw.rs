//! Which settings a trial has. They follow from the space, the seed and the number of the trial and, for TPE, from the
//! results of the rounds before, and from nothing else: neither kills nor the number of workers change them.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

use crate::experiment::config::Space;
use crate::model::uniform;

/// The settings of a trial that vary, by name.
pub(super) type Draw = BTreeMap<String, Value>;

/// Combinations of a space whose dimensions all have values; `None` for one that has a distribution. Never more than
/// `usize` holds.
pub(super) fn combinations(space: &Space) -> Option<usize> {
    space.0.values().try_fold(1_usize, |count, dimension| Some(count.saturating_mul(dimension.values()?.len())))
}

/// Combination `index`; the last setting varies fastest.
pub(super) fn combination(space: &Space, mut index: usize) -> Draw {
    let mut draw = Draw::new();
    for (name, dimension) in space.0.iter().rev() {
        let values = dimension.values().unwrap_or_default();
        let value = values.get(index % values.len().max(1)).cloned().unwrap_or_default();
        index /= values.len().max(1);
        draw.insert(name.clone(), value);
    }
    draw
}

/// Independent values for trial `number`, from a stream of random numbers of its own.
pub(super) fn random(space: &Space, seed: u64, number: usize) -> Draw {
    let mut rng = generator(seed, number);
    space.0.iter().map(|(name, dimension)| (name.clone(), dimension.at(uniform(&mut rng)))).collect()
}

pub(super) fn generator(seed: u64, number: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number as u64);
    rng
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn space(text: &str) -> Space {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let space = space("\"model.layers\" = { integers = [1, 3] }\n\"model.cell\" = [\"gru\", \"lstm\"]");
        assert_eq!(combinations(&space), Some(6));
        let all: BTreeSet<String> = (0..6).map(|index| format!("{:?}", combination(&space, index))).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(combination(&space, 1)["model.layers"], 2);
    }

    #[test]
    fn a_distribution_has_no_combinations() {
        assert_eq!(combinations(&space("\"training.lr\" = { uniform = [0, 1] }")), None);
    }

    #[test]
    fn a_trial_is_drawn_the_same_whichever_others_are_and_differs_from_them_and_by_the_seed() {
        let space =
            space("\"training.lr\" = { log-uniform = [1e-4, 1e-1] }\n\"model.hidden\" = { integers = [1, 999] }");
        let all: Vec<Draw> = (1..=50).map(|number| random(&space, 1, number)).collect();
        assert_eq!(random(&space, 1, 37), all[36]);
        assert_ne!(random(&space, 2, 37), all[36]);
        let different: BTreeSet<String> = all.iter().map(|draw| format!("{draw:?}")).collect();
        assert_eq!(different.len(), 50);
        // As it was when it was written: a change would draw others in a sweep that goes on.
        let first = format!("{:?}", all[0]);
        assert_eq!(first, FIRST);
    }

    const FIRST: &str = r#"{"model.hidden": Number(852), "training.lr": Number(0.0001421)}"#;
}
