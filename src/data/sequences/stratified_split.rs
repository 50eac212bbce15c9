//! A random split of labelled sequences, stratified by class.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::allocate;
use crate::data::common::batching::shuffle;
use crate::data::{Labels, SeriesSplit};
use crate::error::{Error, Result};
use crate::sizes::Count;

/// Temporary memory per sequence: its entry in the list of its class, which doubles as it grows and is copied, and in
/// that of its split.
const LISTS: usize = size_of::<[usize; 8]>();

impl Labels {
    /// Training, validation and test, in this order: the indices of `n` sequences with these labels in each split,
    /// drawn from `seed`. A split has its share of each class, rounded up or down; a class that is too small for all
    /// splits goes to training first. Sequences without classes count as one class.
    ///
    /// # Errors
    /// [`Error::Value`] if the shares are negative or do not add up to 1, or if a split with a share gets no sequence;
    /// [`Error::NoMemory`].
    pub fn split(&self, n: usize, shares: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
        SeriesSplit::check_shares(shares)?;
        allocate::probe(Count::from(n) * LISTS, "the lists of sequences")?;
        let sum: f64 = shares.iter().sum();
        let shares = shares.map(|share| share / sum);
        let mut classes = BTreeMap::<u32, Vec<usize>>::new();
        for sequence in 0..n {
            let class = match self {
                Labels::Classes { of, .. } => of.get(sequence).copied().unwrap_or_default(),
                Labels::None | Labels::Values(_) => 0,
            };
            classes.entry(class).or_default().push(sequence);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The lower half of the streams belongs to the run: initialisation and shuffling.
        rng.set_stream(1 << 63);
        let mut parts = [const { Vec::new() }; 3];
        // The shares of the classes so far, minus what the splits got.
        let mut owed = [0.0; 3];
        // The largest come last: they can compensate for the small ones.
        let mut classes: Vec<Vec<usize>> = classes.into_values().collect();
        classes.sort_by_key(Vec::len);
        for members in &mut classes {
            shuffle(members, &mut rng);
            let counts = counts(members.len(), shares, &mut owed);
            let mut rest = members.as_slice();
            for (part, count) in parts.iter_mut().zip(counts) {
                let (taken, left) = rest.split_at(count);
                part.extend_from_slice(taken);
                rest = left;
            }
        }
        for ((name, share), part) in ["training", "validation", "test"].into_iter().zip(shares).zip(&mut parts) {
            part.sort_unstable();
            if share > 0.0 && part.is_empty() {
                let got = match (classes.len(), classes.iter().map(Vec::len).max()) {
                    (0 | 1, _) | (_, None) => format!("none of {n}"),
                    (all, Some(1)) => format!("none of {n}: {all} classes of one sequence each"),
                    (all, Some(most)) => format!("none of {n}: {all} classes of {most} sequences each at most"),
                };
                return Err(Error::value(format!("the {name} split"), "at least 1 sequence", got));
            }
        }
        Ok(parts)
    }
}

/// How many of a class go into each split: its share rounded down, and one more where the deficit is largest.
fn counts(members: usize, shares: [f64; 3], owed: &mut [f64; 3]) -> [usize; 3] {
    // Shares are decimal fractions: almost whole counts are whole.
    const WHOLE: f64 = 1e-9;
    let wanted = shares.map(|share| share * members as f64);
    let mut counts = wanted.map(|wanted| (wanted + WHOLE) as usize);
    for part in 0..3 {
        owed[part] += wanted[part] - counts[part] as f64;
    }
    let mut open: Vec<usize> = (0..3).filter(|part| wanted[*part] - counts[*part] as f64 > WHOLE).collect();
    // The fractions of the open splits add up to the number that is left, so there are more of them.
    for _ in counts.iter().sum::<usize>()..members {
        let unseen = open.iter().position(|part| *part == 0 && counts[0] == 0);
        let most = || (0..open.len()).max_by(|a, b| owed[open[*a]].total_cmp(&owed[open[*b]]).then(b.cmp(a)));
        let Some(next) = unseen.or_else(most) else { break };
        let part = open.remove(next);
        counts[part] += 1;
        owed[part] -= 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(counts: &[usize]) -> (Labels, usize) {
        let of: Vec<u32> =
            counts.iter().zip(0..).flat_map(|(count, class)| std::iter::repeat_n(class, *count)).collect();
        let names = (0..counts.len()).map(|class| class.to_string()).collect();
        let n = of.len();
        (Labels::Classes { names, of }, n)
    }

    fn class_counts(labels: &Labels, part: &[usize], classes: usize) -> Vec<usize> {
        let Labels::Classes { of, .. } = labels else { panic!() };
        (0..classes as u32).map(|class| part.iter().filter(|sequence| of[**sequence] == class).count()).collect()
    }

    fn split(counts: &[usize], shares: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
        let (labels, n) = labels(counts);
        labels.split(n, shares, seed)
    }

    #[test]
    fn splits_hold_every_sequence_once_with_each_class_in_proportion() {
        let sizes = [[100, 50, 7, 1], [3, 3, 3, 3], [1, 1, 1, 97], [40, 40, 40, 40]];
        for (seed, sizes) in sizes.iter().enumerate() {
            for shares in [[0.7, 0.15, 0.15], [0.5, 0.5, 0.0], [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], [0.1, 0.5, 0.4]] {
                let (labels, n) = labels(sizes);
                let parts = labels.split(n, shares, seed as u64).unwrap();
                let mut all = parts.concat();
                all.sort_unstable();
                assert_eq!(all, (0..sizes.iter().sum()).collect::<Vec<_>>());
                for (part, share) in parts.iter().zip(shares) {
                    assert!(part.is_sorted());
                    for (count, size) in class_counts(&labels, part, 4).into_iter().zip(sizes) {
                        assert!((count as f64 - share * *size as f64).abs() < 1.0, "{count} of {size} for {share}");
                    }
                    let size = share * all.len() as f64;
                    assert!((part.len() as f64 - size).abs() < 3.0, "{} for {size}", part.len());
                }
                assert!(class_counts(&labels, &parts[0], 4).iter().all(|count| *count > 0));
            }
        }
    }

    #[test]
    fn large_classes_compensate_for_classes_too_small_to_split() {
        let parts = split(&[3, 1, 1], [0.6, 0.2, 0.2], 0).unwrap();
        assert_eq!(parts.map(|part| part.len()), [3, 1, 1]);
    }

    #[test]
    fn a_split_depends_only_on_its_seed() {
        let split = |seed| split(&[30, 30], [0.6, 0.2, 0.2], seed).unwrap();
        assert_eq!(split(5), split(5));
        assert_ne!(split(5), split(6));
    }

    #[test]
    fn a_fraction_of_1_takes_every_sequence() {
        let parts = split(&[5, 2], [1.0, 0.0, 0.0], 0).unwrap();
        assert_eq!(parts, [(0..7).collect::<Vec<_>>(), vec![], vec![]]);
    }

    #[test]
    fn impossible_split_fractions_are_refused() {
        let refused = |sizes: &[usize], shares| split(sizes, shares, 0).unwrap_err().to_string();
        assert!(refused(&[9], [0.5, 0.6, 0.0]).contains("add up to 1"));
        assert!(refused(&[9], [1.5, -0.5, 0.0]).contains("at least 0"));
        assert!(refused(&[9], [f64::NAN, 0.5, 0.5]).contains("at least 0"));
        assert_eq!(
            refused(&[1; 40], [0.7, 0.15, 0.15]),
            "the validation split: expected at least 1 sequence, got none of 40: 40 classes of one sequence each"
        );
        assert_eq!(refused(&[2], [0.4, 0.3, 0.3]), "the test split: expected at least 1 sequence, got none of 2");
        assert!(refused(&[], [1.0, 0.0, 0.0]).contains("got none of 0"));
    }
}
