//! A piece of music beside what was expected of it.

use super::drawing::{Anchor, Drawing, RIGHT, WIDTH};
use super::heat;

const LEFT: f64 = 72.0;
/// Steps beyond these are not drawn: their cells would be narrower than the eye sees.
const STEPS: usize = 360;
/// MIDI keys of an octave, and the names of the octaves begin with C.
const OCTAVE: usize = 12;

/// The notes of a piece, and the probability that the network gave each before it heard the step.
pub struct PianoRoll<'a> {
    /// The heading of the picture.
    pub title: String,
    /// The MIDI number of the first key: 21 for a piano's 88.
    pub first_key: usize,
    /// The number of keys K.
    pub keys: usize,
    /// \[T, keys\]: whether the key sounds.
    pub truth: &'a [bool],
    /// \[T, keys\], each between 0 and 1.
    pub predicted: &'a [f32],
}

impl PianoRoll<'_> {
    /// The truth above, the probabilities below, both over the keys that matter.
    pub fn draw(&self) -> Drawing {
        let keys = self.keys.max(1);
        let all = self.truth.len() / keys;
        let steps = all.min(STEPS);
        let (lowest, highest) = self.range(steps);
        let count = highest + 1 - lowest;
        let width = ((WIDTH - LEFT - RIGHT) / steps.max(1) as f64).min(16.0);
        // 88 keys still fit on a screen.
        let height = (300.0 / count as f64).clamp(3.0, 7.0);
        let tall = count as f64 * height;
        let (truth, predicted) = (74.0, 74.0 + tall + 40.0);
        let description = "Above what is played, below the probability of each key before it is heard: blue where the \
                           note came, orange where it did not, grey where a note came that was not expected.";
        let page = [WIDTH, (predicted + tall + 84.0).ceil()];
        let mut drawing = Drawing::new(&self.title, description, page, LEFT);
        for (name, top) in [("played", truth), ("predicted", predicted)] {
            drawing.text(LEFT, top - 9.0, "", Anchor::Start, name);
            let at = |step: usize, key: usize| [LEFT + step as f64 * width, top + (highest - key) as f64 * height];
            let end = LEFT + steps as f64 * width;
            drawing.rectangle("band", [LEFT, top], [end - LEFT, tall]);
            for key in (lowest..=highest).filter(|key| (self.first_key + key).is_multiple_of(OCTAVE)) {
                // Below the C, between it and the B.
                let [_, y] = at(0, key);
                drawing.line("grid", [LEFT, y + height], [end, y + height]);
                // Middle C, MIDI 60, is C4.
                let octave = ((self.first_key + key) / OCTAVE) as i64 - 1;
                drawing.text(LEFT - 8.0, y + height / 2.0 + 4.0, "small", Anchor::End, &format!("C{octave}"));
            }
            for key in lowest..=highest {
                let sounds = |step: usize| self.truth.get(step * keys + key).copied().unwrap_or_default();
                for (from, until, _) in stretches(steps, |step| u8::from(sounds(step))) {
                    let class = if top == truth { "black" } else { "missed" };
                    drawing.rectangle(class, at(from, key), [(until - from) as f64 * width, height]);
                }
                if top == truth {
                    continue;
                }
                // In fiftieths, so that stretches of the same colour become one cell, with the sign for a note that came.
                let shade = |step: usize| {
                    let probability = self.predicted.get(step * keys + key).copied().unwrap_or_default();
                    let fiftieths = (50.0 * probability.clamp(0.0, 1.0)).round() as i8;
                    if sounds(step) { fiftieths } else { -fiftieths }
                };
                for (from, until, shade) in stretches(steps, shade) {
                    let size = [(until - from) as f64 * width, height];
                    let class = if shade > 0 { "right" } else { "wrong" };
                    heat::cell(&mut drawing, class, at(from, key), size, f64::from(shade.unsigned_abs()) / 50.0);
                }
            }
        }
        self.name_steps(&mut drawing, predicted + tall, width, [steps, all]);
        let key = [(0.1, "10%"), (0.5, "50%"), (1.0, "100%")];
        heat::key(&mut drawing, &["right", "wrong"], [LEFT, page[1] - 30.0], &key);
        drawing
    }

    /// The lowest and the highest key that is played or expected, with one more on either side.
    fn range(&self, steps: usize) -> (usize, usize) {
        let keys = self.keys.max(1);
        let matters = |key: usize| {
            let cells = || (0..steps).map(|step| step * keys + key);
            cells().any(|at| self.truth[at]) || cells().any(|at| self.predicted.get(at).is_some_and(|p| *p >= 0.2))
        };
        let lowest = (0..keys).find(|key| matters(*key)).unwrap_or(0);
        let highest = (0..keys).rfind(|key| matters(*key)).unwrap_or(keys - 1);
        (lowest.saturating_sub(1), (highest + 1).min(keys - 1))
    }

    fn name_steps(&self, drawing: &mut Drawing, bottom: f64, width: f64, [steps, all]: [usize; 2]) {
        let every = [4, 8, 16, 32, 64].into_iter().find(|every| *every as f64 * width >= 48.0).unwrap_or(128);
        for step in (0..steps).step_by(every) {
            let x = LEFT + step as f64 * width;
            drawing.line("axis", [x, bottom], [x, bottom + 5.0]);
            drawing.text(x, bottom + 20.0, "", Anchor::Middle, &step.to_string());
        }
        let name = if steps < all { format!("step, the first {steps} of {all}") } else { "step".into() };
        drawing.text(WIDTH - RIGHT, bottom + 42.0, "", Anchor::End, &name);
    }
}

/// The stretches of steps with the same value, those of the value 0 left out.
fn stretches<V: PartialEq + Default + Copy>(steps: usize, value: impl Fn(usize) -> V) -> Vec<(usize, usize, V)> {
    let mut stretches: Vec<(usize, usize, V)> = Vec::new();
    for step in 0..steps {
        let value = value(step);
        match stretches.last_mut().filter(|(_, until, last)| *until == step && *last == value) {
            Some((_, until, _)) => *until += 1,
            None if value == V::default() => {}
            None => stretches.push((step, step + 1, value)),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_stretch_and_nothing_is_none() {
        let values = [0, 3, 3, 0, 0, 2, 5, 5, 0];
        assert_eq!(stretches(9, |step| values[step]), [(1, 3, 3), (5, 6, 2), (6, 8, 5)]);
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
        assert_eq!((count("black", "/>"), count("missed", "/>")), (2, 2));
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
