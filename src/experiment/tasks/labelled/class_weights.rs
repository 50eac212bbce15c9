//! Class weights of the loss.

use std::collections::HashMap;
use std::fmt::Write;

use crate::experiment::config::{ABOVE_0, is_above_0};
use crate::format::grouped;
use crate::{Error, Result};

const FLAG: &str = "--class-weights";

/// Maximum number of classes in a message.
const NAMED: usize = 20;

/// The weights of `classes`, of which `counts` are in the training split. `balanced` is n / (k n_class), for n
/// sequences in k classes with training examples: each class then counts equally (scikit-learn's `class_weight`). A
/// class that is not listed has weight 1, and so has a class without training examples under `balanced`.
///
/// # Errors
/// [`Error::Value`] for an unknown or repeated class, and for an invalid weight.
pub(crate) fn class_weights(entries: &[String], classes: &[String], counts: &[usize]) -> Result<Vec<f64>> {
    let refused = |expected: String, got: &str| Error::Value { what: FLAG.into(), expected, got: format!("{got:?}") };
    if let [one] = entries
        && one.trim() == "balanced"
    {
        let n: usize = counts.iter().sum();
        let k = counts.iter().filter(|count| **count > 0).count();
        let weight = |count: &usize| if *count == 0 { 1.0 } else { n as f64 / (k * count) as f64 };
        return Ok(counts.iter().map(weight).collect());
    }
    let mut weights = vec![None; classes.len()];
    // The first of equal ones.
    let known: HashMap<&str, usize> =
        classes.iter().enumerate().map(|(class, name)| (name.as_str(), class)).rev().collect();
    for entry in entries {
        let Some((name, weight)) = entry.rsplit_once('=') else {
            return Err(refused("balanced, or CLASS=WEIGHT,…".into(), entry));
        };
        let name = name.trim();
        let Some(class) = known.get(name).copied() else {
            let mut names = classes[..classes.len().min(NAMED)].join(", ");
            if let Some(more) = classes.len().checked_sub(NAMED).filter(|more| *more > 0) {
                let _ = write!(names, ", … and {} more", grouped(more as u64));
            }
            return Err(refused(format!("one of the classes {names}"), name));
        };
        let weight = weight.trim().parse().ok().filter(|weight| is_above_0(*weight));
        let weight = weight.ok_or_else(|| refused(format!("{ABOVE_0} after ="), entry))?;
        if weights[class].replace(weight).is_some() {
            return Err(refused("each class once".into(), entry));
        }
    }
    Ok(weights.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(entries: &[&str], counts: [usize; 3]) -> Result<Vec<f64>> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        class_weights(&owned(entries), &owned(&["a", "b", "c=d"]), &counts)
    }

    #[test]
    fn balanced_classes_count_equally_with_a_mean_weight_of_1() {
        let counts = [1, 4, 15];
        let balanced = weights(&["balanced"], counts).unwrap();
        let shares: Vec<f64> = balanced.iter().zip(counts).map(|(weight, count)| weight * count as f64).collect();
        assert!(shares.iter().all(|share| (share - 20.0 / 3.0).abs() < 1e-12), "{shares:?}");
        assert_eq!(weights(&["balanced"], [3, 0, 1]).unwrap(), [4.0 / 6.0, 1.0, 2.0]);
    }

    #[test]
    fn classes_are_weighted_by_name_and_the_others_by_1() {
        assert_eq!(weights(&["c=d=5", " a = 0.5"], [1; 3]).unwrap(), [0.5, 1.0, 5.0]);
        let error = |entries: &[&str]| weights(entries, [1; 3]).unwrap_err().to_string();
        assert_eq!(error(&["e=1"]), format!("{FLAG}: expected one of the classes a, b, c=d, got \"e\""));
        for bad in ["a=0", "a=-1", "a=inf", "a=x", "a=", "a=1e-60"] {
            assert!(error(&[bad]).contains("a finite number above 0"), "{bad}");
        }
        for (entries, expected) in [(&["a=1", "a=2"][..], "each class once"), (&["even"], "balanced, or CLASS=WEIGHT")]
        {
            assert!(error(entries).contains(expected), "{entries:?}");
        }
        assert!(error(&["balanced", "a=1"]).contains("balanced, or CLASS=WEIGHT"));
    }

    #[test]
    fn a_message_names_only_some_of_many_classes() {
        let classes: Vec<String> = (0..100_000).map(|class| format!("c{class}")).collect();
        let error = class_weights(&["x=2".into()], &classes, &[]).unwrap_err().to_string();
        assert!(error.contains("c0, c1, ") && error.contains("c19, … and 99,980 more") && error.len() < 500, "{error}");
    }
}
