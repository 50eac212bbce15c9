//! Trials by a tree-structured Parzen estimator: J. Bergstra, R. Bardenet, Y. Bengio & B. Kégl, "Algorithms for
//! Hyper-Parameter Optimization", NeurIPS 2011. Each setting is estimated by itself.

use super::draw::Draw;
use crate::Result;
use crate::experiment::config::Space;

/// Values for trial `number`, from earlier trials with their ranks, of which the least is the best.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) in a build without the feature `tpe`.
#[cfg(feature = "tpe")]
pub(super) fn suggest(space: &Space, seed: u64, number: usize, told: &[(&Draw, usize)]) -> Result<Draw> {
    use ::tpe::{TpeOptimizerBuilder, categorical_range, histogram_estimator, parzen_estimator, range};
    use rand_chacha::ChaCha8Rng;

    use super::draw::generator;
    use crate::Error;
    use crate::experiment::config::Dimension;

    fn ask(dimension: &Dimension, rng: &mut ChaCha8Rng, told: &[(f64, usize)]) -> Option<f64> {
        let choices = dimension.values().filter(|_| dimension.is_list()).map(|values| values.len());
        let (estimator, range) = match choices {
            Some(choices) => (histogram_estimator(), categorical_range(choices).ok()?),
            None => (parzen_estimator(), range(0.0, 1.0).ok()?),
        };
        let mut optimizer = TpeOptimizerBuilder::new().gamma(GOOD).build(estimator, range).ok()?;
        for (position, rank) in told {
            // The range of the estimator has no upper end.
            let position = match choices {
                Some(choices) => (position * choices as f64).floor().min(choices as f64 - 1.0),
                None => position.min(1.0 - f64::EPSILON),
            };
            optimizer.tell(position, *rank as f64).ok()?;
        }
        let asked = optimizer.ask(rng).ok()?;
        Some(choices.map_or(asked, |choices| (asked.floor() + 0.5) / choices as f64))
    }

    let mut rng = generator(seed, number);
    let mut draw = Draw::new();
    for (name, dimension) in &space.0 {
        let told: Vec<(f64, usize)> =
            told.iter().filter_map(|(draw, rank)| Some((dimension.position(draw.get(name)?)?, *rank))).collect();
        let position = ask(dimension, &mut rng, &told);
        let position = position.ok_or_else(|| Error::Failed(format!("{name}: TPE has no value for trial {number}")))?;
        draw.insert(name.clone(), dimension.at(position.clamp(0.0, 1.0)));
    }
    Ok(draw)
}

/// The share of the trials that count as good.
#[cfg(feature = "tpe")]
const GOOD: f64 = 0.25;

/// As with the feature, which this build lacks.
#[cfg(not(feature = "tpe"))]
pub(super) fn suggest(_: &Space, _: u64, _: usize, _: &[(&Draw, usize)]) -> Result<Draw> {
    check()?;
    Ok(Draw::new())
}

/// Refuses a build that has no TPE.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) says how to build one.
pub(super) fn check() -> Result<()> {
    if cfg!(feature = "tpe") {
        return Ok(());
    }
    Err(crate::experiment::config::agree::unsupported(
        "--method tpe: this program was built without it; `cargo install --path . --features tpe` builds it with the \
         crate tpe, and random and grid need nothing",
    ))
}

#[cfg(all(test, feature = "tpe"))]
mod tests {
    use super::super::draw::random;
    use super::*;

    const SPACE: &str = "\"training.lr\" = { log-uniform = [1e-4, 1e-1] }\n\"model.hidden\" = { integers = [1, 99] }\n\
                         \"model.cell\" = [\"rnn\", \"gru\", \"lstm\"]";

    /// The distance from the best settings: 0.003, 80 and gru.
    fn loss(draw: &Draw) -> f64 {
        let number = |name: &str| draw[name].as_f64().unwrap();
        (number("training.lr") / 0.003).ln().abs()
            + (number("model.hidden") - 80.0).abs() / 50.0
            + if draw["model.cell"] == "gru" { 0.0 } else { 0.5 }
    }

    #[test]
    fn later_rounds_are_better_than_random_ones_and_follow_from_the_seed() {
        let space: Space = toml::from_str(SPACE).unwrap();
        let run = |seed: u64| {
            let mut draws: Vec<Draw> = (1..=8).map(|number| random(&space, seed, number)).collect();
            while draws.len() < 48 {
                let mut order: Vec<usize> = (0..draws.len()).collect();
                order.sort_by(|a, b| loss(&draws[*a]).total_cmp(&loss(&draws[*b])));
                let told: Vec<(&Draw, usize)> =
                    order.iter().enumerate().map(|(rank, at)| (&draws[*at], rank)).collect();
                let first = draws.len() + 1;
                let next: Vec<Draw> =
                    (first..first + 8).map(|number| suggest(&space, seed, number, &told).unwrap()).collect();
                draws.extend(next);
            }
            draws
        };
        let mean = |draws: &[Draw]| draws.iter().map(loss).sum::<f64>() / draws.len() as f64;
        let (mut random, mut last) = (0.0, 0.0);
        for seed in 1..=5 {
            let draws = run(seed);
            assert_eq!(draws, run(seed));
            random += mean(&draws[..8]);
            last += mean(&draws[40..]);
        }
        assert!(last < 0.6 * random, "{last} after {random}");
    }
}
