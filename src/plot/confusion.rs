//! What a classifier took for what.

use super::drawing::{Anchor, Drawing, RIGHT, TEXT_SIZE, TITLE_SIZE, escape, fitted, text_width};
use super::heat;
use crate::format::{grouped, percent, share};
use crate::train::ConfusionMatrix;

const LEFT: f64 = 24.0;
/// Names are shortened to this, in pixels.
const LONGEST_NAME: f64 = 170.0;
/// What the columns of a matrix of many classes share.
const COLUMNS: f64 = 640.0;
/// Below this height of a row its name is set smaller.
const LOW_ROW: f64 = 24.0;

/// Beyond so many classes the picture has those alone with which most goes wrong: nobody reads a matrix of thousands.
pub(super) const MOST: usize = 100;

/// Counts of truth and prediction.
pub struct Confusion<'a> {
    /// Followed by the accuracy and, where it is known, that of the majority.
    pub title: &'a str,
    /// The names of the classes, in the order of the matrix.
    pub classes: &'a [String],
    /// The counts to draw.
    pub matrix: &'a ConfusionMatrix,
    /// The accuracy of who always tells the class that is largest in training.
    pub majority: Option<f64>,
}

impl Confusion<'_> {
    /// Draws the matrix, with its most frequent mistakes below.
    pub fn draw(&self) -> Drawing {
        let matrix = self.matrix;
        let (shown, cut) = self.shown();
        let names: Vec<&str> = shown.iter().map(|class| self.classes[*class].as_str()).collect();
        let classes = shown.len();
        let totals: Vec<u64> = shown.iter().map(|class| matrix.support(*class)).collect();
        let right = matrix.pairs().filter(|((truth, predicted), _)| truth == predicted).map(|(_, count)| count).sum();
        let majority = self.majority.map(|majority| format!(", largest class of training {}", share(majority)));
        let accuracy = percent(right, matrix.total());
        let title = format!("{}: accuracy {accuracy}{}{cut}", self.title, majority.unwrap_or_default());

        // What did not occur counts 0.
        let occurred = shown.iter().flat_map(|truth| matrix.row(*truth));
        let occurred = occurred.filter(|(predicted, _)| shown.binary_search(predicted).is_ok()).map(|(_, count)| count);
        let largest = occurred.chain((classes > 0).then_some(0)).max();
        let grid = MatrixGrid::new(&names, largest.map(grouped).unwrap_or_default());
        let [width, height] = grid.cell;
        let (end, bottom) = (grid.left + classes as f64 * width, grid.top + classes as f64 * height);
        let last = totals.iter().map(|total| text_width(&grouped(*total), 11.0)).fold(20.0, f64::max);
        let right = (end + 8.0 + last).max(end + grid.overhang).max(LEFT + text_width(&title, TITLE_SIZE)).max(540.0);
        let page = [(right + RIGHT).ceil(), bottom.ceil() + 46.0];
        let description = "A row is a true class, a column what the network said: blue on the diagonal is right, and \
                           orange shows which classes it takes for which.";
        let mut drawing = Drawing::new(&title, description, page, LEFT);
        drawing.text(grid.left - 8.0, grid.top - 24.0, "small", Anchor::End, "predicted →");
        drawing.text(grid.left - 8.0, grid.top - 8.0, "small", Anchor::End, "truth ↓");
        for (truth, name) in names.iter().enumerate() {
            let y = grid.top + (truth as f64 + 0.5) * height;
            let (class, size) = name_size(height);
            let label = fitted(name, LONGEST_NAME, size);
            drawing.text(grid.left - 8.0, y + 0.35 * size, class, Anchor::End, &label);
            for (predicted, count) in matrix.row(shown[truth]) {
                if let Ok(column) = shown.binary_search(&predicted) {
                    let cell = MatrixCell {
                        place: [truth, column],
                        names: [name, names[column]],
                        count,
                        total: totals[truth],
                    };
                    cell.draw(&mut drawing, &grid);
                }
            }
            drawing.text(end + 8.0, y + 4.0, "small", Anchor::Start, &grouped(totals[truth]));
        }
        for n in 0..=classes {
            let (x, y) = (grid.left + n as f64 * width, grid.top + n as f64 * height);
            drawing.line("grid", [x, grid.top], [x, bottom]);
            drawing.line("grid", [grid.left, y], [end, y]);
        }
        grid.name_columns(&mut drawing, &names);
        let steps =
            [(strength(1, 100), "1%"), (strength(1, 10), "10%"), (strength(1, 2), "50%"), (1.0, "100% of the row")];
        let key = heat::key(&mut drawing, &["right", "wrong"], [LEFT, page[1] - 30.0], &steps);
        let numbers = if grid.counts {
            "at the right: the row's sum"
        } else {
            "numbers: percent of the row; at the right: its sum"
        };
        drawing.text(key, page[1] - 18.5, "small", Anchor::Start, numbers);
        drawing
    }

    /// The classes that have a row and a column, ascending, and what there is to say where these are not all.
    fn shown(&self) -> (Vec<usize>, String) {
        let mut shown: Vec<usize> = (0..self.classes.len()).collect();
        if shown.len() <= MOST {
            return (shown, String::new());
        }
        let mistakes = |class: usize| {
            let (false_positives, false_negatives) = self.matrix.mistakes(class);
            false_positives.saturating_add(false_negatives)
        };
        shown.sort_by_cached_key(|class| std::cmp::Reverse(mistakes(*class)));
        shown.truncate(MOST);
        shown.sort_unstable();
        (shown, format!("; the {MOST} of {} classes with most mistakes", grouped(self.classes.len() as u64)))
    }
}

/// A pair of classes that occurred.
struct MatrixCell<'a> {
    /// Its row and column.
    place: [usize; 2],
    /// The true class and the predicted one.
    names: [&'a str; 2],
    count: u64,
    /// Of the row.
    total: u64,
}

impl MatrixCell<'_> {
    /// The count, and below it where there is room its share of the row; all in words where a pointer rests on it.
    fn draw(&self, drawing: &mut Drawing, grid: &MatrixGrid) {
        let Self { place: [truth, predicted], names, count, total } = *self;
        let [width, height] = grid.cell;
        let (x, y) = (grid.left + predicted as f64 * width, grid.top + truth as f64 * height);
        let (number, share) = (grouped(count), percent(count, total));
        let words = format!("{} taken for {}: {number}, {share}", names[0], names[1]);
        let (strength, class) = (strength(count, total), if truth == predicted { "right" } else { "wrong" });
        drawing.put(format_args!("<g><title>{}</title>", escape(&words)));
        heat::cell(drawing, class, [x, y], grid.cell, strength);
        let (middle, base) = (x + width / 2.0, y + height / 2.0);
        let ink = |size: &str| format!("{}{size}", heat::ink(strength));
        if grid.shares {
            drawing.text(middle, base - 2.0, &ink(""), Anchor::Middle, &number);
            drawing.text(middle, base + 13.0, &ink(" small"), Anchor::Middle, &share);
        } else {
            let whole = (100.0 * count as f64 / total as f64).round();
            // Less than half a percent is left to the colour.
            let text = match grid.counts {
                true => number,
                false if whole < 1.0 => String::new(),
                false => format!("{whole:.0}"),
            };
            let (class, size) = if width < 30.0 { (" tiny", 9.0) } else { (" small", 11.0) };
            drawing.text(middle, base + 0.35 * size, &ink(class), Anchor::Middle, &text);
        }
        drawing.put("</g>");
    }
}

/// The class and the size of the names beside rows of this height.
fn name_size(height: f64) -> (&'static str, f64) {
    if height < LOW_ROW { ("name small", 11.0) } else { ("name", TEXT_SIZE) }
}

/// How strong the colour of a share is. The root lifts the small ones, which are the ones to look for.
fn strength(count: u64, total: u64) -> f64 {
    (count as f64 / total.max(1) as f64).sqrt().clamp(0.06, 1.0)
}

/// Where the cells stand and what has room in them.
struct MatrixGrid {
    cell: [f64; 2],
    /// Of the first cell.
    left: f64,
    top: f64,
    /// Whether the columns' names have no room side by side and stand aslant.
    aslant: bool,
    /// How far they reach beyond the last column.
    overhang: f64,
    /// Whether the counts have room; their shares of the row stand in the cells otherwise, in percent.
    counts: bool,
    /// Whether both have.
    shares: bool,
}

impl MatrixGrid {
    /// For classes of these names and counts of which the largest is `number`.
    fn new(classes: &[&str], number: String) -> Self {
        let name = |name: &&str| text_width(name, TEXT_SIZE).min(LONGEST_NAME);
        let name = classes.iter().map(name).fold(0.0, f64::max);
        let width = (COLUMNS / classes.len().max(1) as f64).clamp(21.0, (name + 10.0).max(96.0));
        let shares = width >= 48.0 && text_width(&number, TEXT_SIZE) <= width - 4.0;
        let height = if shares { (0.62 * width).clamp(38.0, 60.0) } else { width.min(30.0) };
        let aslant = name > width - 8.0;
        // The last name's far end, at 45°, from the middle of its column on.
        let reach = name * std::f64::consts::FRAC_1_SQRT_2;
        Self {
            cell: [width, height],
            left: LEFT + name.max(72.0) + 8.0,
            top: if aslant { 66.0 + reach } else { 86.0 }.ceil(),
            aslant,
            overhang: if aslant { reach + 8.0 - width / 2.0 } else { 0.0 },
            counts: text_width(&number, if width < 30.0 { 9.0 } else { 11.0 }) <= width - 2.0,
            shares,
        }
    }

    fn name_columns(&self, drawing: &mut Drawing, classes: &[&str]) {
        for (index, name) in classes.iter().enumerate() {
            let (x, y) = (self.left + (index as f64 + 0.5) * self.cell[0], self.top - 8.0);
            if self.aslant {
                let (class, size) = name_size(self.cell[1]);
                drawing.put(format_args!("<g transform=\"translate({:.1} {y:.1}) rotate(-45)\">", x + 3.0));
                drawing.text(0.0, 0.0, class, Anchor::Start, &fitted(name, LONGEST_NAME, size));
                drawing.put("</g>");
            } else {
                drawing.text(x, y, "name", Anchor::Middle, &fitted(name, self.cell[0] - 4.0, TEXT_SIZE));
            }
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
    fn the_title_tells_the_accuracy_beside_the_majority_of_training_where_that_is_known() {
        let svg = draw(&["a", "b"], &[60, 10, 5, 25]);
        assert!(svg.contains("<title>test: accuracy 85.0%</title>"), "{svg}");
        assert!(svg.contains("<title>b taken for a: 5, 16.7%</title>"));
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
        // Of each a hundredth class 90 of 900 are told to be the next, and of the others all are right but one.
        let counts = (0..1000).flat_map(|class| {
            let wrong = if class % 10 == 0 { 90 } else { 1 };
            [((class, class), 900 - wrong), ((class, class + 1), wrong)]
        });
        let matrix = ConfusionMatrix::from_counts(classes.len(), counts).unwrap();
        let svg = Confusion { title: "test", classes: &classes, matrix: &matrix, majority: None }.draw().file();
        assert!(svg.contains("accuracy 98.9%; the 100 of 100,000 classes with most mistakes"), "{svg}");
        assert!(svg.contains(">class 30<") && !svg.contains(">class 35<") && svg.len() < 1 << 20, "{}", svg.len());
        assert!(svg.contains("class 30 taken for class 30: 810, 90.0%"));
    }

    #[test]
    fn class_names_cannot_bring_markup_into_the_picture() {
        let svg = draw(&["<script>alert(1)</script>", "a & b"], &[1, 1, 0, 0]);
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && svg.contains("a &amp; b"), "{svg}");
    }
}
