//! Parameter groups: other learning rates and weight decays for some tensors, which are chosen by name.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::Layout;
use crate::optim::{Optimizer, OptimizerStep};
use crate::real::Real;

/// Tensors that are updated with settings of their own, or not at all. Of
/// [`EngineOptions::parameter_groups`](crate::EngineOptions::parameter_groups), the first one whose pattern matches a
/// tensor's name decides; a tensor that none matches has the optimizer's own settings.
///
/// A pattern is matched against the whole of a name in the [`Layout`]: `*` stands for any characters, `?` for one. A
/// tied embedding is one tensor with two names, and a pattern that matches either of them matches it.
///
/// A frozen tensor is one with `requires_grad = False` in PyTorch: no update changes it, its optimizer state stays 0,
/// and its gradient counts neither in the norm that [`StepReport`](crate::StepReport) has nor in clipping. The gradient
/// itself is still computed and can be read. With a learning-rate factor of 0 the weights stay too, but the gradient
/// counts in the norm, and the optimizer state is updated.
///
/// ```
/// use bptt::{EngineOptions, ParameterGroup, TrainerOptions};
///
/// let engine = EngineOptions::default().parameter_groups([
///     ParameterGroup::new("embedding.*").frozen(),
///     ParameterGroup::new("head.*").learning_rate_factor(10.0).weight_decay(0.0),
/// ]);
/// let options = TrainerOptions::default().engine(engine);
/// # drop(options);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ParameterGroup {
    /// The pattern of the tensors' names.
    pub pattern: String,
    /// The factor of the optimizer's learning rate, and so of every rate that a schedule sets.
    pub learning_rate_factor: f64,
    /// The weight decay λ instead of the optimizer's; `None`: the optimizer's.
    pub weight_decay: Option<f64>,
    /// Whether the tensors are never updated. The other settings then have no effect.
    pub frozen: bool,
}

impl ParameterGroup {
    /// The tensors whose names match `pattern`, so far with the optimizer's own settings.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), learning_rate_factor: 1.0, weight_decay: None, frozen: false }
    }

    /// Sets the factor of the optimizer's learning rate.
    pub fn learning_rate_factor(mut self, factor: f64) -> Self {
        self.learning_rate_factor = factor;
        self
    }

    /// Sets the weight decay λ: [`weight_decay`](Self#structfield.weight_decay).
    pub fn weight_decay(mut self, weight_decay: impl Into<Option<f64>>) -> Self {
        self.weight_decay = weight_decay.into();
        self
    }

    /// Excludes the tensors from every update.
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Value`] for a factor that f32 does not hold, or a negative weight decay.
    fn validate(&self) -> Result<()> {
        let (least, most) = (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX));
        let factor = self.learning_rate_factor;
        if factor != 0.0 && !(least..=most).contains(&factor) {
            let expected = format!("0, or a number from {least:e} to {most:e}");
            return Err(Error::value(format!("learning_rate_factor of '{}'", self.pattern), expected, factor));
        }
        match self.weight_decay.filter(|decay| !(*decay >= 0.0 && decay.is_finite())) {
            Some(decay) => {
                let name = format!("weight_decay of '{}'", self.pattern);
                Err(Error::value(name, "a finite number of at least 0", decay))
            }
            None => Ok(()),
        }
    }

    fn settings(&self) -> Option<GroupSettings> {
        let Self { learning_rate_factor, weight_decay, frozen, .. } = *self;
        (!frozen).then_some(GroupSettings { learning_rate_factor, weight_decay })
    }
}

/// What a group changes of the optimizer's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GroupSettings {
    pub(crate) learning_rate_factor: f64,
    weight_decay: Option<f64>,
}

impl GroupSettings {
    /// The optimizer's own settings.
    const NONE: Self = Self { learning_rate_factor: 1.0, weight_decay: None };

    /// A step with these settings.
    pub(crate) fn of(&self, update: &OptimizerStep) -> OptimizerStep {
        let Optimizer { learning_rate, weight_decay, .. } = update.optimizer;
        let optimizer = Optimizer {
            learning_rate: self.learning_rate_factor * learning_rate,
            weight_decay: self.weight_decay.unwrap_or(weight_decay),
            ..update.optimizer
        };
        OptimizerStep { optimizer, ..*update }
    }
}

/// Consecutive tensors of the layout that are updated with the same settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UpdateRange {
    /// The tensors' indices.
    pub(crate) tensors: Range<usize>,
    pub(crate) settings: GroupSettings,
}

impl UpdateRange {
    /// Their numbers in the flat block.
    pub(crate) fn numbers(&self, layout: &Layout) -> Range<usize> {
        let all = layout.tensors();
        all[self.tensors.start].offset..all[self.tensors.end - 1].range().end
    }
}

/// All tensors but the frozen ones, in order, in as few ranges as their settings allow: one without groups.
///
/// # Errors
/// [`Error::Value`] for a setting out of its range, a pattern that decides for no tensor, and if every tensor is
/// frozen.
pub(crate) fn update_ranges(groups: &[ParameterGroup], layout: &Layout) -> Result<Vec<UpdateRange>> {
    let named = layout.named();
    // The group of each tensor.
    let mut of_tensors: Vec<Option<&ParameterGroup>> = vec![None; layout.tensors().len()];
    for group in groups {
        group.validate()?;
        let matching = named.iter().filter(|(name, _)| matches(&group.pattern, name));
        let matching: Vec<usize> = matching.map(|(_, tensor)| *tensor).collect();
        let open: Vec<usize> = matching.iter().copied().filter(|tensor| of_tensors[*tensor].is_none()).collect();
        if open.is_empty() {
            let earlier = matching.first().and_then(|tensor| of_tensors[*tensor]);
            return Err(no_tensor(group, earlier, &named));
        }
        open.into_iter().for_each(|tensor| of_tensors[tensor] = Some(group));
    }
    let mut ranges: Vec<UpdateRange> = Vec::new();
    for (tensor, group) in of_tensors.into_iter().enumerate() {
        let Some(settings) = group.map_or(Some(GroupSettings::NONE), ParameterGroup::settings) else { continue };
        match ranges.last_mut() {
            Some(last) if last.tensors.end == tensor && last.settings == settings => last.tensors.end += 1,
            _ => ranges.push(UpdateRange { tensors: tensor..tensor + 1, settings }),
        }
    }
    if ranges.is_empty() {
        return Err(Error::value("parameter_groups", "a tensor that is not frozen", "groups that freeze all of them"));
    }
    Ok(ranges)
}

/// Checks the settings that each range has in this step against the range of `R`.
pub(crate) fn check_steps<R: Real>(ranges: &[UpdateRange], update: &OptimizerStep) -> Result<()> {
    let own = ranges.iter().filter(|range| range.settings != GroupSettings::NONE);
    own.map(|range| range.settings.of(update)).try_for_each(|step| step.optimizer.validate_in::<R>())
}

/// The error for a group whose pattern matches nothing, or nothing that an `earlier` group has left.
fn no_tensor(group: &ParameterGroup, earlier: Option<&ParameterGroup>, named: &[(&str, usize)]) -> Error {
    let names = || named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let expected = match earlier {
        None => format!("one that matches any of {}", names()),
        Some(earlier) => {
            format!("one that matches a tensor that no earlier group does ('{}' comes first)", earlier.pattern)
        }
    };
    Error::value("the pattern of a parameter group", expected, format!("'{}'", group.pattern))
}

/// Whether a pattern with `*` and `?` matches the whole of a name.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of_name) = (0, 0);
    // The last `*`, and the first letter behind those that it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while of_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of_name));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[of_name] => {
                at += 1;
                of_name += 1;
            }
            _ => {
                let Some((place, behind)) = star else { return false };
                // It stands for one more letter.
                star = Some((place, behind + 1));
                (at, of_name) = (place + 1, behind + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Embedding, Head, Loss, Model, Readout, Recurrent};

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, expected) in [
            ("head.weight", "head.weight", true),
            ("head", "head.weight", false),
            ("weight", "head.weight", false),
            ("head.*", "head.weight", true),
            ("*", "head.weight", true),
            ("*weight", "head.weight", true),
            ("*.bias*_l?", "rnn.bias_ih_l0", true),
            ("*.bias*_l?", "rnn.bias_ih_l0_reverse", false),
            ("*ih*l1*", "rnn.weight_ih_l1_reverse", true),
            ("**", "", true),
            ("?", "", false),
            ("", "a", false),
            ("*a*b", "xaxbxaxb", true),
            ("*a*b", "xaxbxaxc", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn layout(tied: bool) -> Layout {
        let model = Model::new(Recurrent::new(Cell::Gru, 4, 4), Head::new(5, Loss::CrossEntropy, Readout::PerStep));
        Layout::new(&Model { embedding: Some(Embedding { vocabulary: 5, tied }), ..model })
    }

    #[test]
    fn ranges_are_as_few_as_the_settings_allow_and_the_first_match_decides() {
        let ranges = |groups: &[ParameterGroup]| {
            let ranges = update_ranges(groups, &layout(false)).unwrap();
            ranges.into_iter().map(|range| (range.tensors, range.settings.learning_rate_factor)).collect::<Vec<_>>()
        };
        let group = ParameterGroup::new;
        // embedding.weight, then weight_ih, weight_hh, bias_ih, bias_hh of rnn, then head.weight, head.bias.
        assert_eq!(ranges(&[]), [(0..7, 1.0)]);
        assert_eq!(ranges(&[group("rnn.*")]), [(0..7, 1.0)]);
        assert_eq!(ranges(&[group("rnn.*").learning_rate_factor(2.0)]), [(0..1, 1.0), (1..5, 2.0), (5..7, 1.0)]);
        assert_eq!(ranges(&[group("rnn.bias*").frozen()]), [(0..3, 1.0), (5..7, 1.0)]);
        let first = [group("*.bias*").frozen(), group("*").learning_rate_factor(3.0)];
        assert_eq!(ranges(&first), [(0..3, 3.0), (5..6, 3.0)]);
        let same = [group("rnn.weight*").learning_rate_factor(2.0), group("rnn.bias*").learning_rate_factor(2.0)];
        assert_eq!(ranges(&same), [(0..1, 1.0), (1..5, 2.0), (5..7, 1.0)]);
    }

    #[test]
    fn a_tied_embedding_is_matched_by_either_of_its_names() {
        for pattern in ["embedding.*", "head.weight"] {
            let ranges = update_ranges(&[ParameterGroup::new(pattern).frozen()], &layout(true)).unwrap();
            assert_eq!(ranges.len(), 1, "{pattern}");
            assert_eq!(ranges[0].tensors, 1..6, "{pattern}");
        }
    }

    #[test]
    fn groups_that_decide_nothing_or_freeze_everything_are_refused() {
        let refused = |groups: &[ParameterGroup]| update_ranges(groups, &layout(true)).unwrap_err().to_string();
        let group = ParameterGroup::new;
        let message = refused(&[group("haed.*").frozen()]);
        for part in ["'haed.*'", "embedding.weight", "head.weight, ", "rnn.weight_hh_l0"] {
            assert!(message.contains(part), "{message}");
        }
        let message = refused(&[group("*").weight_decay(0.0), group("head.*").frozen()]);
        assert!(message.contains("'*' comes first") && message.contains("'head.*'"), "{message}");
        assert!(refused(&[group("*").frozen()]).contains("a tensor that is not frozen"));
        for bad in [
            group("*").learning_rate_factor(-1.0),
            group("*").learning_rate_factor(f64::NAN),
            group("*").learning_rate_factor(1e-40),
            group("*").learning_rate_factor(1e39),
            group("*").weight_decay(-1.0),
            group("*").weight_decay(f64::INFINITY),
        ] {
            assert!(refused(std::slice::from_ref(&bad)).contains(" of '*'"), "{bad:?}");
        }
    }
}
