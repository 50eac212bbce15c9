//! A piece of music beside its prediction.

use std::ops::RangeInclusive;

use super::axis::Tick;
use super::chart::{Cell, Chart, Mark, Panel, Scale, Shape};
use super::drawing::Drawing;

/// The most steps in the picture: the cells of more would be too narrow to see.
const STEPS: usize = 360;
/// Keys per octave. The number of a MIDI key that is a C is a multiple of it.
const OCTAVE: usize = 12;
/// Probabilities are rounded to steps of 1 in this, so that more neighbours are equal and become one cell.
const LEVELS: f32 = 50.0;

/// The notes of a piece, and their probability as the network predicted it from the steps before.
pub struct PianoRoll<'a> {
    /// The title of the picture.
    pub title: String,
    /// The MIDI number of the first key: 21 for a piano with 88 keys.
    pub first_key: usize,
    /// The number of keys K.
    pub keys: usize,
    /// \[T, K\]: whether the key is played.
    pub truth: &'a [bool],
    /// \[T, K\]: probabilities between 0 and 1.
    pub predicted: &'a [f32],
}

impl PianoRoll<'_> {
    /// The notes in the upper panel and the probabilities in the lower one, of the keys that occur in either.
    pub fn draw(&self) -> Drawing {
        let all = self.truth.len() / self.keys.max(1);
        let steps = all.min(STEPS);
        let keys = self.used_keys(steps);
        let played = |at: usize| if self.truth[at] { 1.0 } else { 0.0 };
        let probability = |at: usize| self.predicted.get(at).copied().unwrap_or_default();
        let mark = |name: &str, class: &str, opacities, opacity: &dyn Fn(usize) -> f32| {
            Mark::new(name, class, Shape::Cells(self.cells(steps, &keys, opacity), opacities))
        };
        let hit = |at: usize| played(at) * probability(at);
        let false_positive = |at: usize| (1.0 - played(at)) * probability(at);
        let truth = vec![mark("", "black", &[], &played)];
        let predicted = vec![
            mark("not expected", "missed", &[1.0], &played),
            mark("played: 10, 50, 100%", "right", &[0.1, 0.5, 1.0], &hit),
            mark("not played: 10, 50, 100%", "wrong", &[0.1, 0.5, 1.0], &false_positive),
        ];
        let panels = [("played", truth), ("predicted", predicted)].map(|(name, mut marks)| {
            marks.push(Mark::new("", "band", Shape::Band([0.0, steps as f64])));
            let range = [*keys.start() as f64, *keys.end() as f64 + 1.0];
            // 88 keys still fit on a screen.
            let height = (300.0 / (range[1] - range[0])).clamp(3.0, 7.0) * (range[1] - range[0]);
            Panel {
                name: name.into(),
                height,
                y_scale: Scale::Fixed(range, self.octaves(&keys)),
                marks,
                ..Panel::default()
            }
        });
        let description = "Above what is played, below the probability of each key before it is played: blue where the \
                           note came, orange where it did not, grey where a note came that was not expected.";
        let x_name = if steps < all { format!("step, the first {steps} of {all}") } else { "step".into() };
        let (title, description, panels) = (self.title.clone(), description.into(), panels.into());
        Chart { title, description, x_name, x_scale: Scale::Whole, x_from_0: true, panels, ..Chart::default() }.draw()
    }

    /// From the lowest key that is played or expected to the highest, with one more on both sides.
    fn used_keys(&self, steps: usize) -> RangeInclusive<usize> {
        let keys = self.keys.max(1);
        let is_used = |key: &usize| {
            let is_used = |at: usize| self.truth[at] || self.predicted.get(at).is_some_and(|p| *p >= 0.2);
            (0..steps).any(|step| is_used(step * keys + key))
        };
        let lowest = (0..keys).find(is_used).unwrap_or(0);
        let highest = (0..keys).rfind(is_used).unwrap_or(keys - 1);
        lowest.saturating_sub(1)..=(highest + 1).min(keys - 1)
    }

    /// A tick at the lower edge of each C. Middle C is MIDI key 60 and C4.
    fn octaves(&self, keys: &RangeInclusive<usize>) -> Vec<Tick> {
        let octaves = keys.clone().filter(|key| (self.first_key + key).is_multiple_of(OCTAVE));
        let text = |key| format!("C{}", ((self.first_key + key) / OCTAVE) as i64 - 1);
        octaves.map(|key| Tick { value: key as f64, text: text(key) }).collect()
    }

    /// Cells with an opacity for each element of \[T, K\], of which equal neighbours in time are one.
    fn cells(&self, steps: usize, keys: &RangeInclusive<usize>, opacity: &dyn Fn(usize) -> f32) -> Vec<Cell> {
        let key = |key: usize| {
            let level = |step: usize| (LEVELS * opacity(step * self.keys + key).clamp(0.0, 1.0)).round() as u8;
            let levels: Vec<u8> = (0..steps).map(level).collect();
            stretches(&levels).into_iter().map(move |(from, until, level)| Cell {
                x: [from as f64, until as f64],
                y: [key as f64, key as f64 + 1.0],
                opacity: f64::from(level) / f64::from(LEVELS),
                ..Cell::default()
            })
        };
        keys.clone().flat_map(key).collect()
    }
}

/// The stretches of equal values above 0: their first index, the one after their last, and the value.
fn stretches(values: &[u8]) -> Vec<(usize, usize, u8)> {
    let mut end = 0;
    let stretch = |equal: &[u8]| {
        let begin = end;
        end += equal.len();
        (begin, end, equal[0])
    };
    values.chunk_by(PartialEq::eq).map(stretch).filter(|(_, _, value)| *value > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_stretch_and_nothing_is_none() {
        let values = [0, 3, 3, 0, 0, 2, 5, 5, 0];
        assert_eq!(stretches(&values), [(1, 3, 3), (5, 6, 2), (6, 8, 5)]);
    }

    #[test]
    fn what_came_is_blue_what_did_not_is_orange_and_what_was_not_expected_is_grey() {
        // Key 1 comes as expected, key 2 is expected and does not come, key 3 comes unexpected.
        let (truth, predicted) = ([false, true, false, true], [0.0, 0.9, 0.6, 0.0]);
        let roll = PianoRoll { title: "t".into(), first_key: 60, keys: 4, truth: &truth, predicted: &predicted };
        let svg = roll.draw().file();
        let count = |class: &str, opacity: &str| {
            let cells = svg.lines().filter(|line| line.contains(&format!("<rect class=\"{class}\"")));
            cells.filter(|line| line.ends_with(opacity)).count()
        };
        assert_eq!((count("right", "\"0.90\"/>"), count("wrong", "\"0.60\"/>")), (1, 1));
        // Grey is in the legend, too.
        assert_eq!((count("black", "/>"), count("missed", "/>")), (2, 2 + 1));
        assert!(svg.contains(">C4<"));
    }

    #[test]
    fn an_empty_piece_and_what_is_not_finite_do_not_break_the_picture() {
        for (truth, predicted) in [(&[][..], &[][..]), (&[true, false], &[f32::NAN, f32::INFINITY])] {
            let svg = PianoRoll { title: "t".into(), first_key: 21, keys: 2, truth, predicted }.draw().file();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
