//! The confusion matrix of a classifier.

use std::cmp::Reverse;

use super::chart::{Cell, Chart, Mark, Panel, Scale, Shape};
use super::drawing::{Drawing, SMALL_SIZE, TEXT_SIZE, fitted, text_width};
use crate::format::{grouped, percent, share};
use crate::train::ConfusionMatrix;

/// The greatest width of a name.
const LONGEST_NAME: f64 = 170.0;
/// The width of a matrix of many classes.
const WIDTH: f64 = 640.0;
/// The most classes in the picture.
const MOST: usize = 100;
/// The opacities of the shares in the legend.
const OPACITIES: [f64; 4] = [0.1, 0.316, 0.707, 1.0];
const SHARES: &str = "1, 10, 50, 100% of the row";

/// How often each class was predicted for each true class.
pub struct Confusion<'a> {
    /// Followed by the accuracy and the baseline, if it is known.
    pub title: &'a str,
    /// The names of the classes, in the order of the matrix.
    pub classes: &'a [String],
    /// The counts.
    pub matrix: &'a ConfusionMatrix,
    /// The accuracy of always predicting the largest class of training.
    pub majority: Option<f64>,
}

/// The numbers that fit into the cells.
#[derive(PartialEq)]
enum Numbers {
    CountAndShare,
    Count,
    /// The share of the row in percent.
    Percent,
}

impl Confusion<'_> {
    /// Draws the matrix. Of more than 100 classes it has those with the most mistakes.
    pub fn draw(&self) -> Drawing {
        let shown = self.shown();
        let names: Vec<String> =
            shown.iter().map(|class| fitted(&self.classes[*class], LONGEST_NAME, TEXT_SIZE)).collect();
        let widest = names.iter().map(|name| text_width(name, TEXT_SIZE)).fold(0.0, f64::max);
        let width = (WIDTH / names.len().max(1) as f64).clamp(21.0, (widest + 10.0).max(96.0));
        let (numbers, height) = self.numbers(&shown, width);
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for (row, truth) in shown.iter().enumerate() {
            for (predicted, count) in self.matrix.row(*truth) {
                let Ok(column) = shown.binary_search(&predicted) else { continue };
                let cell = self.cell([*truth, predicted], [row, column], count, &numbers);
                if row == column { right.push(cell) } else { wrong.push(cell) }
            }
        }
        let with_total =
            |(class, name): (&usize, &String)| format!("{name} · {}", grouped(self.matrix.support(*class)));
        let rows = shown.iter().zip(&names).map(with_total).collect();
        let panel = Panel {
            name: match numbers {
                Numbers::Percent => "true class · its count; numbers in percent of the row",
                _ => "true class · its count",
            }
            .into(),
            height: height * names.len().max(1) as f64,
            y_scale: Scale::Names(rows),
            marks: vec![
                Mark::new(format!("right: {SHARES}"), "right", Shape::Cells(right, &OPACITIES)),
                Mark::new(format!("wrong: {SHARES}"), "wrong", Shape::Cells(wrong, &OPACITIES)),
            ],
            ..Panel::default()
        };
        Chart {
            title: self.title(shown.len()),
            description:
                "Rows are true classes, columns are predicted classes: blue on the diagonal is right, and orange \
                          shows which classes are confused."
                    .into(),
            x_name: "predicted class".into(),
            plot_width: Some(width * names.len().max(1) as f64),
            x_scale: Scale::Names(names),
            panels: vec![panel],
            ..Chart::default()
        }
        .draw()
    }

    fn title(&self, shown: usize) -> String {
        let right =
            self.matrix.pairs().filter(|((truth, predicted), _)| truth == predicted).map(|(_, count)| count).sum();
        let accuracy = percent(right, self.matrix.total());
        let majority = self.majority.map(|majority| format!(", largest class of training {}", share(majority)));
        let cut = match self.classes.len() {
            all if all > shown => format!("; the {shown} of {} classes with most mistakes", grouped(all as u64)),
            _ => String::new(),
        };
        format!("{}: accuracy {accuracy}{}{cut}", self.title, majority.unwrap_or_default())
    }

    /// The classes in the picture, in ascending order.
    fn shown(&self) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.classes.len()).collect();
        if shown.len() > MOST {
            let mistakes = |class: usize| {
                let (false_positives, false_negatives) = self.matrix.mistakes(class);
                false_positives.saturating_add(false_negatives)
            };
            shown.sort_by_cached_key(|class| Reverse(mistakes(*class)));
            shown.truncate(MOST);
            shown.sort_unstable();
        }
        shown
    }

    /// The numbers that fit into cells of a width, and the height that they need.
    fn numbers(&self, shown: &[usize], width: f64) -> (Numbers, f64) {
        let counts = shown.iter().flat_map(|truth| self.matrix.row(*truth)).map(|(_, count)| count);
        let widest = text_width(&grouped(counts.max().unwrap_or_default()), SMALL_SIZE) + 2.0;
        if width >= widest.max(48.0) {
            (Numbers::CountAndShare, (0.62 * width).clamp(38.0, 60.0))
        } else {
            (if width >= widest { Numbers::Count } else { Numbers::Percent }, width.min(30.0))
        }
    }

    fn cell(&self, classes: [usize; 2], [row, column]: [usize; 2], count: u64, numbers: &Numbers) -> Cell {
        let total = self.matrix.support(classes[0]);
        let share = count as f64 / total.max(1) as f64;
        let whole = (100.0 * share).round();
        let lines = match numbers {
            Numbers::CountAndShare => vec![grouped(count), percent(count, total)],
            Numbers::Count => vec![grouped(count)],
            // The colour alone shows less than half a percent.
            Numbers::Percent => (whole >= 1.0).then(|| format!("{whole:.0}")).into_iter().collect(),
        };
        let [truth, predicted] = classes.map(|class| &self.classes[class]);
        Cell {
            x: [column, column + 1].map(|edge| edge as f64),
            y: [row + 1, row].map(|edge| edge as f64),
            // The root makes small shares visible.
            opacity: share.sqrt().clamp(0.06, 1.0),
            lines,
            tooltip: format!("{truth} predicted as {predicted}: {}, {}", grouped(count), percent(count, total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(names: &[&str], counts: &[u64]) -> String {
        let classes: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        let matrix = matrix(classes.len(), counts);
        Confusion { title: "test", classes: &classes, matrix: &matrix, majority: None }.draw().file()
    }

    /// Of counts row by row.
    fn matrix(classes: usize, counts: &[u64]) -> ConfusionMatrix {
        let pair = |(at, count): (usize, &u64)| ((at / classes, at % classes), *count);
        ConfusionMatrix::from_counts(classes, counts.iter().enumerate().map(pair)).unwrap()
    }

    #[test]
    fn the_title_contains_the_accuracy_and_the_majority_of_training_if_known() {
        let svg = draw(&["a", "b"], &[60, 10, 5, 25]);
        assert!(svg.contains("<title>test: accuracy 85.0%</title>"), "{svg}");
        assert!(svg.contains("<title>b predicted as a: 5, 16.7%</title>"));
        let classes = ["a".to_owned(), "b".to_owned()];
        let matrix = matrix(2, &[60, 10, 5, 25]);
        let known = Confusion { title: "test", classes: &classes, matrix: &matrix, majority: Some(0.3) };
        let svg = known.draw().file();
        assert!(svg.contains("<title>test: accuracy 85.0%, largest class of training 30.0%</title>"), "{svg}");
        assert!(draw(&[], &[]).contains("accuracy 0%"));
    }

    #[test]
    fn cells_hold_counts_and_shares_then_counts_then_shares_of_the_row() {
        let names: Vec<String> = (0..40).map(|n| format!("class {n}")).collect();
        let svg = |classes: usize, count: u64| {
            let names: Vec<&str> = names[..classes].iter().map(String::as_str).collect();
            draw(&names, &vec![count; classes * classes])
        };
        assert!(svg(4, 1234).contains(">1,234<") && svg(4, 1234).contains(">25.0%<"));
        assert!(svg(18, 1234).contains(">1,234<") && !svg(18, 1234).contains(">5.6%<"));
        assert!(!svg(40, 123_456).contains(">123,456<") && svg(40, 123_456).contains(">3<"));
    }

    #[test]
    fn of_many_classes_the_picture_has_those_with_most_mistakes() {
        let classes: Vec<String> = (0..100_000).map(|n| format!("class {n}")).collect();
        // Every tenth class has 90 mistakes in 900, the others one.
        let counts = (0..1000).flat_map(|class| {
            let wrong = if class % 10 == 0 { 90 } else { 1 };
            [((class, class), 900 - wrong), ((class, class + 1), wrong)]
        });
        let matrix = ConfusionMatrix::from_counts(classes.len(), counts).unwrap();
        let svg = Confusion { title: "test", classes: &classes, matrix: &matrix, majority: None }.draw().file();
        assert!(svg.contains("accuracy 98.9%; the 100 of 100,000 classes with most mistakes"), "{svg}");
        assert!(svg.contains(">class 30<") && !svg.contains(">class 35<") && svg.len() < 1 << 20, "{}", svg.len());
        assert!(svg.contains("class 30 predicted as class 30: 810, 90.0%"));
    }

    #[test]
    fn class_names_cannot_bring_markup_into_the_picture() {
        let svg = draw(&["<script>alert(1)</script>", "a & b"], &[1, 1, 0, 0]);
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && svg.contains("a &amp; b"), "{svg}");
    }
}
