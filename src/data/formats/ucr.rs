//! The plain text of the UCR archive: a series per line, its label first.

use std::path::Path;

use super::super::sequences::sequence_inputs::SequencesBuilder;
use crate::allocate;
use crate::data::input::encoding::{quoted, utf8};
use crate::data::sequences::labels::DistinctNames;
use crate::data::values::number::{CellReader, is_missing};
use crate::data::{InputLimit, LabelledSequences, Labels, MissingPolicy};
use crate::error::{Error, Result};

impl LabelledSequences {
    /// Reads lines of a label and the values of a series, separated by tabs, commas or spaces. The archive pads shorter
    /// series with NaN; an earlier NaN or `?` is a missing value. The labels are classes; see
    /// [`LabelledSequences::labels_as`]. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] names the line and the step, both counted from 1; also if it exceeds the default [`InputLimit`].
    pub fn from_ucr(bytes: &[u8], path: &Path, missing: MissingPolicy) -> Result<Self> {
        Self::ucr_within(bytes, path, missing, InputLimit::default())
    }

    /// Like [`from_ucr`](Self::from_ucr), with a memory limit.
    pub(super) fn ucr_within(bytes: &[u8], path: &Path, missing: MissingPolicy, limit: InputLimit) -> Result<Self> {
        let lines = utf8(bytes, path)?.lines().map(str::trim).zip(1..).filter(|(content, _)| !content.is_empty());
        let (mut labels, mut begins) = (DistinctNames::default(), Vec::new());
        let mut sequences = SequencesBuilder::new(path, limit);
        let mut width = None;
        for (content, line) in lines {
            let fields: Vec<&str> = if content.contains('\t') {
                content.split('\t').map(str::trim).collect()
            } else if content.contains(',') {
                content.split(',').map(str::trim).collect()
            } else {
                content.split_whitespace().collect()
            };
            let refuse = |message: String| Err(Error::data(path, format!(", line {line}"), message));
            let expected = *width.get_or_insert(fields.len());
            if fields.len() != expected {
                return refuse(format!("expected {expected} fields as in the first line, got {}", fields.len()));
            }
            let [label, values @ ..] = fields.as_slice() else { continue };
            // A class may be named like a missing number, as in `labels_as`.
            if label.is_empty() {
                return refuse(format!("expected a label first, got {}", quoted(label)));
            }
            let Some(last) = values.iter().rposition(|value| !is_missing(value)) else {
                return refuse("expected values after the label, got none".into());
            };
            let cells = CellReader { path, line, dimension: 1, missing };
            let values = cells.read(values[..=last].iter().copied())?;
            sequences.push(&[values])?;
            labels.push(label)?;
            allocate::push(&mut begins, line, "the lines of sequences")?;
        }
        let Some(sequences) = sequences.into_steps() else {
            return Err(Error::data(path, "", "expected a label and the values of a series in each line, got no line"));
        };
        Ok(Self { lines: begins, ..Self::new(sequences, Labels::from_distinct(labels)) })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::SequenceInputs;
    use crate::data::corruption::{below, number, rng, survives};

    fn read(text: &str) -> Result<LabelledSequences, String> {
        let read = LabelledSequences::from_ucr(text.as_bytes(), Path::new("a.tsv"), MissingPolicy::Refuse);
        read.map(|read| LabelledSequences { lines: Vec::new(), ..read }).map_err(|error| error.to_string())
    }

    fn draw(rng: &mut ChaCha8Rng) -> (LabelledSequences, String) {
        let (n, longest) = (1 + below(5, rng), 1 + below(9, rng));
        let separator = ["\t", ",", "  "][below(3, rng)];
        let (mut sequences, mut names, mut text) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..n {
            let steps = 1 + below(longest, rng);
            let values = Array2::from_shape_simple_fn((steps, 1), || number(rng));
            let name = ["-1", "1", "7"][below(3, rng)];
            let mut fields = vec![name.to_owned()];
            fields.extend(values.iter().map(f64::to_string));
            fields.resize(1 + longest, "NaN".into());
            text += &(fields.join(separator) + "\n");
            names.push(name);
            sequences.push(values);
        }
        (LabelledSequences::new(SequenceInputs::wide(sequences), Labels::from_names(&names)), text)
    }

    #[test]
    fn a_written_file_is_read_back() {
        let mut rng = rng(0);
        for _ in 0..500 {
            let (labelled, text) = draw(&mut rng);
            assert_eq!(read(&text), Ok(labelled));
        }
    }

    #[test]
    fn corrupted_files_do_not_panic() {
        survives(
            |rng| draw(rng).1.into_bytes(),
            |bytes| LabelledSequences::from_ucr(bytes, Path::new("a.tsv"), MissingPolicy::Forward),
        );
    }

    #[test]
    fn labels_with_an_exponent_are_read() {
        let labelled = read("   2.0000000e+00   1.5e0  -1\n  -1.0000000e+00 2 3\n").unwrap();
        assert_eq!(labelled.labels, Labels::Classes { names: vec!["-1".into(), "2".into()], of: vec![1, 0] });
        assert_eq!(labelled.input, SequenceInputs::wide(vec![array![[1.5], [-1.0]], array![[2.0], [3.0]]]));
    }

    #[test]
    fn a_series_keeps_its_line_number() {
        let labelled =
            LabelledSequences::from_ucr(b"\n1\t2\n\n1.0\t3\n", Path::new("a.tsv"), MissingPolicy::Refuse).unwrap();
        assert_eq!(labelled.lines, [2, 4]);
        assert_eq!(labelled.labels, Labels::from_names(&["1", "1"]));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = |text: &str| read(text).unwrap_err();
        assert_eq!(error("1\t2\t3\n1\t2\t3\t4\n"), "a.tsv, line 2: expected 3 fields as in the first line, got 4");
        assert_eq!(error("1\t2\tx\n"), "a.tsv, line 1, dimension 1, step 2: expected a finite number, got \"x\"");
        assert_eq!(error("1\tNaN\t3\n"), "a.tsv, line 1, dimension 1, step 1: expected a finite number, got \"NaN\"");
        assert!(error("1\t2\tinf\n").contains("step 2: expected a finite number, got \"inf\""));
        assert!(error("1\n").contains("line 1: expected values after the label"));
        assert!(error("1,NaN,NaN\n").contains("line 1: expected values after the label"));
        assert!(error(",1,2\n").contains("line 1: expected a label first"));
        // Whether such a word is the name of a class is known once all labels are.
        for word in ["?", "NaN", "none"] {
            let Ok(LabelledSequences { labels: Labels::Classes { names, .. }, .. }) = read(&format!("a,1\n{word},2\n"))
            else {
                panic!("{word}")
            };
            assert!(names.contains(&word.into()), "{word}");
        }
        assert!(error("\n\n").contains("got no line"));
        assert!(error(&format!("a {}x", "1 ".repeat(5_000_000))).contains("step 5000001"));
    }
}
