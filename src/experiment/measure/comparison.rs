//! Compares a network with baselines, in words and as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::format::{grouped, share, short};

/// More targets than this are counted instead of listed.
const LISTED: usize = 4;

/// The names of a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BaselineName {
    /// Its key in the summary: `last_value`.
    pub(crate) key: &'static str,
    /// In a sentence: `the last value`.
    pub(crate) words: &'static str,
}

/// The compared metric, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComparedMetric {
    /// Lower is better.
    Error(&'static str),
    /// From 0 to 1; higher is better.
    Share(&'static str),
}

/// The network compared with a baseline, on a split that it did not learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The split's key in the summary.
    pub(crate) part: &'static str,
    /// The target; `None` if there is only one.
    pub(crate) target: Option<String>,
    pub(crate) metric: ComparedMetric,
    pub(crate) baseline: BaselineName,
    pub(crate) network: f64,
    /// The value of the baseline.
    pub(crate) other: f64,
}

impl Comparison {
    pub(crate) fn new(
        part: &'static str,
        metric: ComparedMetric,
        network: f64,
        baseline: BaselineName,
        other: f64,
    ) -> Self {
        Self { part, target: None, metric, baseline, network, other }
    }

    /// Whether both can be compared: not for an empty split or without a baseline.
    pub(crate) fn is_known(&self) -> bool {
        !self.other.is_nan()
    }

    /// Whether the network is better. NaN beats nothing, and an equal result does not count.
    pub(crate) fn is_beaten(&self) -> bool {
        match self.metric {
            ComparedMetric::Error(_) => self.network < self.other,
            ComparedMetric::Share(_) => self.network > self.other,
        }
    }

    fn name(&self) -> &'static str {
        match self.metric {
            ComparedMetric::Error(name) | ComparedMetric::Share(name) => name,
        }
    }

    /// `18.67 against 30.44 (39 % better)`.
    fn numbers(&self) -> String {
        let difference = self.difference().map(|words| format!(" ({words})")).unwrap_or_default();
        format!("{} against {}{difference}", self.text(self.network), self.text(self.other))
    }

    fn text(&self, value: f64) -> String {
        match self.metric {
            _ if value.is_nan() => "not a number".to_owned(),
            ComparedMetric::Error(_) => short(value),
            ComparedMetric::Share(_) => share(value),
        }
    }

    /// By how much it is better or worse; `None` if that is not a number.
    pub(crate) fn difference(&self) -> Option<String> {
        let Self { network, other, .. } = *self;
        if network == other {
            return Some("equal".into());
        }
        let word = if self.is_beaten() { "better" } else { "worse" };
        match self.metric {
            ComparedMetric::Share(_) => {
                let points = 100.0 * (network - other).abs();
                let digits = if points < 0.95 { 2 } else { usize::from(points < 9.95) };
                points.is_finite().then(|| format!("{points:.digits$} percentage points {word}"))
            }
            ComparedMetric::Error(_) => {
                let ratio = network / other;
                if !ratio.is_finite() || ratio < 0.0 {
                    return None;
                }
                Some(match 100.0 * (ratio - 1.0).abs() {
                    _ if ratio >= 1e6 => format!("{} times as large", short(ratio)),
                    _ if ratio >= 9.95 => format!("{} times as large", grouped(ratio.round() as u64)),
                    percent if percent < 0.1 => format!("less than 0.1 % {word}"),
                    percent if ratio < 0.001 => format!("{:.1} % {word}", percent.min(99.9)),
                    percent if percent < 9.95 || ratio < 0.01 => format!("{percent:.1} % {word}"),
                    percent => format!("{percent:.0} % {word}"),
                })
            }
        }
    }

    fn json(&self) -> Value {
        let Self { network, other, .. } = *self;
        json!({
            "measure": self.name(), "network": network, "baseline": other, "ratio": network / other,
            "higher_is_better": matches!(self.metric, ComparedMetric::Share(_)), "beaten": self.is_beaten(),
        })
    }
}

/// Whether a network is worth it: whether it is better than every baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The network compared with the best baseline.
    best: Comparison,
    /// The number of baselines.
    count: usize,
}

impl Verdict {
    /// From the comparisons with all baselines, by one metric on one split; `None` if there is none.
    pub(crate) fn of(comparisons: &[Comparison]) -> Option<Self> {
        let known = || comparisons.iter().filter(|comparison| comparison.is_known());
        let is_better = |a: &&Comparison, b: &&Comparison| match a.metric {
            ComparedMetric::Error(_) => a.other.total_cmp(&b.other),
            ComparedMetric::Share(_) => b.other.total_cmp(&a.other),
        };
        Some(Self { best: known().min_by(is_better)?.clone(), count: known().count() })
    }

    /// `worth it: beats the best of 3 baselines, the last value, by 35 % (test RMSE 21.61 against 33.42)`.
    pub fn words(&self) -> String {
        let Self { best, count } = self;
        let which = match count {
            1 => format!("the only baseline, {}", best.baseline.words),
            _ => format!("the best of {count} baselines, {}", best.baseline.words),
        };
        let difference = best.difference().unwrap_or_default();
        // How much better belongs to the verb, and how much worse to the numbers.
        let (verb, by, worse) = match difference.strip_suffix(" better") {
            Some(margin) => ("worth it: beats", format!(", by {margin}"), String::new()),
            None if difference.is_empty() => ("not worth it: does not beat", String::new(), String::new()),
            None => ("not worth it: does not beat", String::new(), format!(", {difference}")),
        };
        let [network, other] = [best.network, best.other].map(|value| best.text(value));
        format!("{verb} {which}{by} ({} {} {network} against {other}{worse})", best.part, best.name())
    }

    pub(crate) fn json(&self) -> Value {
        let Self { best, count } = self;
        let mut json = best.json();
        json["worth_it"] = best.is_beaten().into();
        json["words"] = self.words().into();
        json["part"] = best.part.into();
        json["best_baseline"] = best.baseline.key.into();
        json["baselines"] = json!(count);
        json
    }
}

/// By split, then by baseline, and by target if there are several.
pub(crate) fn summary(comparisons: &[Comparison]) -> Map<String, Value> {
    let mut parts = Map::new();
    for comparison in comparisons.iter().filter(|comparison| comparison.is_known()) {
        let part = parts.entry(comparison.part).or_insert_with(|| json!({}));
        match &comparison.target {
            None => part[comparison.baseline.key] = comparison.json(),
            Some(target) => part[comparison.baseline.key]["targets"][target] = comparison.json(),
        }
    }
    parts
}

/// One sentence per baseline, for the most important split: test, or else the last one.
pub fn sentences(comparisons: &[Comparison]) -> Vec<String> {
    let known = || comparisons.iter().filter(|comparison| comparison.is_known());
    let of = |wanted: &str| known().any(|comparison| comparison.part == wanted).then(|| wanted.to_owned());
    let Some(part) = of("test").or_else(|| of("validation")) else { return Vec::new() };
    // In their original order.
    let mut groups: Vec<Vec<&Comparison>> = Vec::new();
    let mut index = BTreeMap::new();
    for comparison in known().filter(|comparison| comparison.part == part) {
        let at = *index.entry((comparison.baseline.key, comparison.name())).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(comparison);
    }
    groups.iter().map(|group| sentence(group, &part)).collect()
}

/// For one baseline and one metric.
fn sentence(group: &[&Comparison], part: &str) -> String {
    let first = group[0];
    let (who, measure, all) = (first.baseline.words, first.name(), group.len());
    let beaten = group.iter().filter(|comparison| comparison.is_beaten()).count();
    if let [alone] = group {
        let verb = if beaten == 1 { "beats" } else { "does not beat" };
        return format!("the network {verb} {who} on the {part} split: {measure} {}", alone.numbers());
    }
    let begin = match beaten {
        0 => format!("the network beats {who} on the {part} split for none of {all} targets"),
        _ if beaten == all => format!("the network beats {who} on the {part} split for all {all} targets"),
        _ => format!("the network beats {who} on the {part} split for {beaten} of {all} targets"),
    };
    if all > LISTED {
        return format!("{begin}, by their {measure}");
    }
    let of = |comparison: &&Comparison| {
        format!("{} {}", comparison.target.as_deref().unwrap_or_default(), comparison.numbers())
    };
    format!("{begin}: {measure} of {}", group.iter().map(of).collect::<Vec<_>>().join(", of "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: BaselineName = BaselineName { key: "last_value", words: "the last value" };
    const MAJORITY: BaselineName = BaselineName { key: "majority", words: "the largest class" };

    fn rmse(part: &'static str, network: f64, other: f64) -> Comparison {
        Comparison::new(part, ComparedMetric::Error("RMSE"), network, LAST, other)
    }

    fn accuracy(network: f64, other: f64) -> Comparison {
        Comparison::new("test", ComparedMetric::Share("accuracy"), network, MAJORITY, other)
    }

    #[test]
    fn a_win_or_loss_is_reported_with_its_margin() {
        let told = |comparison: Comparison| sentences(&[comparison]).remove(0);
        let on = "the last value on the test split: RMSE";
        assert_eq!(
            told(rmse("test", 74.4, 55.8)),
            format!("the network does not beat {on} 74.40 against 55.80 (33 % worse)")
        );
        assert_eq!(told(rmse("test", 18.7, 30.4)), format!("the network beats {on} 18.70 against 30.40 (38 % better)"));
        assert!(told(rmse("test", 1.0, 1.0004)).ends_with("(less than 0.1 % better)"));
        assert!(
            told(rmse("test", 1.0, 1.0)).contains("does not beat") && told(rmse("test", 1.0, 1.0)).ends_with("(equal)")
        );
        assert!(told(rmse("test", 0.0001, 0.5)).ends_with("(99.9 % better)"));
        assert!(told(rmse("test", 300.0, 1.0)).ends_with("(300 times as large)"));
        assert!(told(rmse("test", 999_999.0, 1.0)).ends_with("(999,999 times as large)"));
        for (network, words) in [(1e6, "1.00e6"), (3e30, "3.00e30"), (f64::MAX, "1.80e308")] {
            assert!(told(rmse("test", network, 1.0)).ends_with(&format!("({words} times as large)")), "{network}");
        }
        assert!(told(accuracy(0.932, 0.111)).ends_with("accuracy 93.2% against 11.1% (82 percentage points better)"));
        assert!(told(accuracy(0.5, 0.5)).contains("does not beat the largest class"));
    }

    #[test]
    fn a_network_is_worth_it_if_it_beats_the_best_baseline() {
        let of = |network: f64, others: &[f64]| {
            let names = [LAST, BaselineName { key: "drift", words: "the drift" }, MAJORITY];
            let all = others
                .iter()
                .zip(names)
                .map(|(other, name)| Comparison { baseline: name, ..rmse("test", network, *other) });
            Verdict::of(&all.collect::<Vec<_>>())
        };
        let words = |network: f64, others: &[f64]| of(network, others).unwrap().words();
        let (won, lost) = (of(3.0, &[6.0, 4.0, f64::NAN]).unwrap(), of(5.0, &[6.0, 4.0, 9.0]).unwrap());
        assert_eq!(
            won.words(),
            "worth it: beats the best of 2 baselines, the drift, by 25 % (test RMSE 3.000 against 4.000)"
        );
        assert_eq!(
            lost.words(),
            "not worth it: does not beat the best of 3 baselines, the drift (test RMSE 5.000 against 4.000, 25 % worse)"
        );
        assert_eq!((&won.json()["worth_it"], &lost.json()["worth_it"]), (&json!(true), &json!(false)));
        assert_eq!((&won.json()["best_baseline"], &won.json()["baselines"]), (&json!("drift"), &json!(2)));
        let only = "does not beat the only baseline, the last value (test RMSE";
        assert_eq!(words(4.0, &[4.0]), format!("not worth it: {only} 4.000 against 4.000, equal)"));
        assert_eq!(words(f64::NAN, &[4.0]), format!("not worth it: {only} not a number against 4.000)"));
        assert_eq!(of(1.0, &[f64::NAN]), None);
        let accuracy = Verdict::of(&[accuracy(0.8, 0.6), accuracy(0.8, 0.7)]).unwrap().words();
        assert!(accuracy.contains("by 10 percentage points (test accuracy 80.0% against 70.0%)"), "{accuracy}");
    }

    #[test]
    fn nan_neither_beats_nor_is_beaten() {
        for network in [f64::NAN, f64::INFINITY] {
            let comparison = rmse("test", network, 2.0);
            assert!(!comparison.is_beaten() && sentences(&[comparison])[0].contains("does not beat"));
        }
        assert!(sentences(&[rmse("test", f64::NAN, 2.0)])[0].ends_with("RMSE not a number against 2.000"));
        assert!(sentences(&[rmse("test", 1.0, 0.0)])[0].ends_with("RMSE 1.000 against 0"));
        // Nothing was measured.
        let nothing = [rmse("test", f64::NAN, f64::NAN)];
        assert!(sentences(&nothing).is_empty() && summary(&nothing).is_empty());
    }

    #[test]
    fn the_test_split_is_compared_or_validation_if_there_is_none() {
        let both = [rmse("validation", 1.0, 2.0), rmse("test", 3.0, 2.0)];
        assert!(sentences(&both)[0].starts_with("the network does not beat the last value on the test split"));
        assert!(sentences(&both[..1])[0].starts_with("the network beats the last value on the validation split"));
        let json = Value::Object(summary(&both));
        assert_eq!(json["validation"]["last_value"]["beaten"], true);
        assert_eq!(
            (&json["test"]["last_value"]["beaten"], &json["test"]["last_value"]["ratio"]),
            (&json!(false), &json!(1.5))
        );
    }

    #[test]
    fn targets_share_a_sentence_and_many_are_counted() {
        let of = |name: &str, network: f64| Comparison { target: Some(name.into()), ..rmse("test", network, 2.0) };
        let two = [of("a", 1.0), of("b", 4.0), accuracy(0.5, 0.4)];
        assert_eq!(sentences(&two).len(), 2);
        let expected =
            "for 1 of 2 targets: RMSE of a 1.000 against 2.000 (50 % better), of b 4.000 against 2.000 (100 % worse)";
        assert!(sentences(&two)[0].ends_with(expected), "{}", sentences(&two)[0]);
        assert_eq!(Value::Object(summary(&two))["test"]["last_value"]["targets"]["b"]["beaten"], false);
        let many: Vec<Comparison> = (0..9).map(|n| of(&n.to_string(), f64::from(n))).collect();
        assert!(sentences(&many)[0].ends_with("for 2 of 9 targets, by their RMSE"));
        assert!(sentences(&two[..1])[0].ends_with("(50 % better)"));
    }
}
