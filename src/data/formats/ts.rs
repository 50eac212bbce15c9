//! The `.ts` format of the UEA and UCR archives, which sktime and aeon read and write.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ndarray::Array2;

use super::super::sequences::sequence_inputs::SequencesBuilder;
use crate::allocate;
use crate::data::input::encoding::{quoted, utf8};
use crate::data::values::number::{CellReader, number};
use crate::data::values::numeric_name::{canonical, value};
use crate::data::{InputLimit, LabelledSequences, Labels, MissingPolicy, list_names};
use crate::error::{Error, Result};

/// The header above `@data`.
#[derive(Default)]
struct TsHeader {
    /// I.
    dimensions: Option<usize>,
    /// T of every case, if all are equal.
    length: Option<usize>,
    equal_length: bool,
    label: Option<TsLabel>,
    seen: HashSet<String>,
}

/// What follows the last colon of a case.
enum TsLabel {
    Nothing,
    Class(Vec<String>),
    Value,
}

impl LabelledSequences {
    /// Reads a `.ts` file: one case per line, its dimensions separated by colons and their values by commas, with a
    /// class, a value or nothing after the last colon. Cases may have different lengths. `?` and NaN are missing
    /// values. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] names the line, and for a value its dimension and step, all counted from 1; also if it exceeds
    /// the default [`InputLimit`].
    pub fn from_ts(bytes: &[u8], path: &Path, missing: MissingPolicy) -> Result<Self> {
        Self::ts_within(bytes, path, missing, InputLimit::default())
    }

    /// Like [`from_ts`](Self::from_ts), with a memory limit.
    pub(super) fn ts_within(bytes: &[u8], path: &Path, missing: MissingPolicy, limit: InputLimit) -> Result<Self> {
        let lines = utf8(bytes, path)?.lines().map(str::trim).zip(1..);
        let mut lines = lines.filter(|(content, _)| !content.is_empty() && !content.starts_with('#'));
        let header = TsHeader::read(&mut lines, path)?;
        let classes: HashMap<_, u32> = match &header.label {
            Some(TsLabel::Class(names)) => names.iter().map(|name| canonical(name)).zip(0..).collect(),
            _ => HashMap::new(),
        };
        let (mut of, mut values, mut begins) = (Vec::new(), Vec::new(), Vec::new());
        let mut sequences = SequencesBuilder::new(path, limit);
        let mut dimensions = header.dimensions;
        for (content, line) in lines {
            let place = || format!(", line {line}");
            let refuse = |message: String| Err(Error::data(path, place(), message));
            let mut fields: Vec<&str> = content.split(':').collect();
            let label = match &header.label {
                Some(TsLabel::Class(_) | TsLabel::Value) => fields.pop().map(str::trim),
                _ => None,
            };
            let expected = *dimensions.get_or_insert(fields.len().max(1));
            if fields.len() != expected {
                let label = if label.is_some() { " before the label" } else { "" };
                return refuse(format!("expected {expected} dimensions{label}, got {}", fields.len()));
            }
            let mut columns: Vec<Vec<f64>> = Vec::with_capacity(fields.len());
            for (field, dimension) in fields.into_iter().zip(1..) {
                let column = CellReader { path, line, dimension, missing }.read(field.split(','))?;
                let steps = columns.first().map_or(column.len(), Vec::len);
                if column.len() != steps {
                    let place = format!(", line {line}, dimension {dimension}");
                    let message = format!("expected {steps} steps as in dimension 1, got {}", column.len());
                    return Err(Error::data(path, place, message));
                }
                columns.push(column);
            }
            let steps = columns.first().map_or(0, Vec::len);
            let all = header.length.or(sequences.first()).unwrap_or(steps);
            if header.equal_length && steps != all {
                return refuse(format!("expected {all} steps, as all cases have, got {steps}"));
            }
            sequences.push(&columns)?;
            allocate::push(&mut begins, line, "the lines of sequences")?;
            match (&header.label, label) {
                (Some(TsLabel::Class(names)), Some(label)) => match classes.get(&canonical(label)) {
                    Some(class) => allocate::push(&mut of, *class, "the labels of sequences")?,
                    None => {
                        let names = list_names(names.iter().map(String::as_str));
                        return refuse(format!("expected a label among {names}, got {}", quoted(label)));
                    }
                },
                (Some(TsLabel::Value), Some(label)) => match number(label) {
                    Ok(value) => allocate::push(&mut values, value, "the labels of sequences")?,
                    Err(expected) => return refuse(format!("expected {expected} as label, got {}", quoted(label))),
                },
                _ => {}
            }
        }
        let Some(sequences) = sequences.into_steps() else {
            return Err(Error::data(path, "", "expected cases below @data, got none"));
        };
        let labels = match header.label {
            Some(TsLabel::Class(names)) => Labels::Classes { names, of },
            Some(TsLabel::Value) => Labels::Values(Array2::from_shape_fn((values.len(), 1), |(n, _)| values[n])),
            _ => Labels::None,
        };
        Ok(Self { lines: begins, ..Self::new(sequences, labels) })
    }
}

impl TsHeader {
    /// Reads up to and including `@data`.
    fn read<'t>(lines: &mut impl Iterator<Item = (&'t str, usize)>, path: &Path) -> Result<Self> {
        let mut header = Self::default();
        for (content, line) in lines {
            let place = format!(", line {line}");
            let Some(content) = content.strip_prefix('@') else {
                let message = format!("expected @data before the first case, got {}", quoted(content));
                return Err(Error::data(path, place, message));
            };
            let mut words = content.split_whitespace();
            let tag = words.next().unwrap_or_default().to_ascii_lowercase();
            let words: Vec<&str> = words.collect();
            if tag == "data" {
                header.check().map_err(|message| Error::data(path, place, message))?;
                return Ok(header);
            }
            header.take(&tag, &words).map_err(|message| Error::data(path, format!("{place}, @{tag}"), message))?;
        }
        Err(Error::data(path, "", "expected a line @data and cases below it, got the end of the file"))
    }

    /// Reads one line. Names, descriptions and whether values are missing are ignored: the cases show them.
    fn take(&mut self, tag: &str, words: &[&str]) -> Result<(), String> {
        if !self.seen.insert(tag.into()) {
            return Err("expected once, got a second one".into());
        }
        match tag {
            "timestamps" if truth(words)? => {
                Err("expected false, got true: the values' times are not read, since a step has no duration".into())
            }
            "univariate" if truth(words)? => self.set_dimensions(1),
            "dimension" | "dimensions" => count(words).and_then(|count| self.set_dimensions(count)),
            "equallength" => {
                self.equal_length = truth(words)?;
                Ok(())
            }
            "serieslength" => {
                self.length = Some(count(words)?);
                Ok(())
            }
            "classlabel" if truth(words)? => {
                let names = &words[1..];
                if names.is_empty() {
                    return Err("expected the names of the classes after true, got none".into());
                }
                let mut seen = HashMap::new();
                for name in names {
                    if let Some(other) = seen.insert(value(name), name) {
                        let other = if other == name { "twice".into() } else { format!("and {}", quoted(other)) };
                        return Err(format!("expected each class once, got {} {other}", quoted(name)));
                    }
                }
                self.set_label(TsLabel::Class(names.iter().map(|name| (*name).into()).collect()))
            }
            "targetlabel" if truth(words)? => self.set_label(TsLabel::Value),
            "classlabel" | "targetlabel" => {
                self.label.get_or_insert(TsLabel::Nothing);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn set_dimensions(&mut self, count: usize) -> Result<(), String> {
        match self.dimensions.replace(count) {
            Some(other) if other != count => Err(format!("expected {other} dimensions as above, got {count}")),
            _ => Ok(()),
        }
    }

    fn set_label(&mut self, label: TsLabel) -> Result<(), String> {
        match self.label.replace(label) {
            Some(TsLabel::Class(_) | TsLabel::Value) => Err("expected classes or a value as label, got both".into()),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        match &self.label {
            Some(_) => Ok(()),
            None => Err("expected @classLabel or @targetLabel above the data, got neither".into()),
        }
    }
}

fn truth(words: &[&str]) -> Result<bool, String> {
    match words.first().map(|word| word.to_ascii_lowercase()).as_deref() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err(format!("expected true or false, got {}", quoted(&words.join(" ")))),
    }
}

fn count(words: &[&str]) -> Result<usize, String> {
    match words.first().map(|word| word.parse()) {
        Some(Ok(count)) if count > 0 => Ok(count),
        _ => Err(format!("expected a number of at least 1, got {}", quoted(&words.join(" ")))),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use ndarray::array;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::SequenceInputs;
    use crate::data::corruption::{below, number, rng, survives};

    fn read(text: &str) -> Result<LabelledSequences, String> {
        let read = LabelledSequences::from_ts(text.as_bytes(), Path::new("a.ts"), MissingPolicy::Refuse);
        read.map(|read| LabelledSequences { lines: Vec::new(), ..read }).map_err(|error| error.to_string())
    }

    fn draw(rng: &mut ChaCha8Rng) -> LabelledSequences {
        let (n, dimensions, longest) = (1 + below(5, rng), 1 + below(4, rng), 1 + below(9, rng));
        let sequence = |rng: &mut ChaCha8Rng| {
            let steps = 1 + below(longest, rng);
            Array2::from_shape_simple_fn((steps, dimensions), || number(rng))
        };
        let sequences = (0..n).map(|_| sequence(rng)).collect();
        let labels = match below(3, rng) {
            0 => Labels::None,
            1 => Labels::Values(Array2::from_shape_simple_fn((n, 1), || number(rng))),
            _ => {
                let names = ["Standing", "2", "läuft"].map(String::from).to_vec();
                Labels::Classes { names, of: (0..n).map(|_| below(3, rng) as u32).collect() }
            }
        };
        LabelledSequences::new(SequenceInputs::wide(sequences), labels)
    }

    fn write(labelled: &LabelledSequences, rng: &mut ChaCha8Rng) -> String {
        let SequenceInputs::Wide(sequences) = &labelled.input else { panic!() };
        let sequences: Vec<Array2<f64>> = (0..sequences.len())
            .map(|of| {
                let shape = (sequences.length(of), sequences.width());
                Array2::from_shape_vec(shape, sequences.numbers(of).collect()).unwrap()
            })
            .collect();
        let dimensions = sequences[0].ncols();
        let mut text = format!("# any words\n@problemName Drawn\n@TIMESTAMPS false\n@univariate {}\n", dimensions == 1);
        let equal = sequences.iter().all(|steps| steps.nrows() == sequences[0].nrows());
        if below(2, rng) == 0 {
            write!(text, "@dimensions {dimensions}\n@equalLength {equal}\n").unwrap();
        }
        if equal {
            writeln!(text, "@seriesLength {}", sequences[0].nrows()).unwrap();
        }
        match &labelled.labels {
            Labels::None => text += "@classLabel false\n",
            Labels::Values(_) => text += "@targetLabel true\n",
            Labels::Classes { names, .. } => writeln!(text, "@classlabel True {}", names.join(" ")).unwrap(),
        }
        text += "@data\n";
        for (n, steps) in sequences.iter().enumerate() {
            let column = |i| steps.column(i).iter().map(f64::to_string).collect::<Vec<_>>().join(",");
            let mut fields: Vec<String> = (0..dimensions).map(column).collect();
            match &labelled.labels {
                Labels::None => {}
                Labels::Values(values) => fields.push(values[[n, 0]].to_string()),
                Labels::Classes { names, of } => fields.push(names[of[n] as usize].clone()),
            }
            text += &(fields.join(":") + if below(2, rng) == 0 { "\n" } else { "\r\n\r\n" });
        }
        text
    }

    #[test]
    fn a_written_file_is_read_back() {
        let mut rng = rng(0);
        for _ in 0..500 {
            let labelled = draw(&mut rng);
            assert_eq!(read(&write(&labelled, &mut rng)), Ok(labelled));
        }
    }

    #[test]
    fn corrupted_files_do_not_panic() {
        let parse = |missing| move |bytes: &[u8]| LabelledSequences::from_ts(bytes, Path::new("a.ts"), missing);
        survives(|rng| write(&draw(rng), rng).into_bytes(), parse(MissingPolicy::Refuse));
        survives(|rng| write(&draw(rng), rng).into_bytes(), parse(MissingPolicy::Forward));
    }

    #[test]
    fn cases_have_dimensions_steps_and_text_labels() {
        let text = "#c\n@Dimensions 2\n@ClassLabel TRUE up down\n@DATA\n1,2:3,4:down\n5:6:up\n";
        let sequences = vec![array![[1.0, 3.0], [2.0, 4.0]], array![[5.0, 6.0]]];
        let labels = Labels::Classes { names: vec!["up".into(), "down".into()], of: vec![1, 0] };
        assert_eq!(read(text), Ok(LabelledSequences::new(SequenceInputs::wide(sequences), labels)));
    }

    #[test]
    fn a_case_keeps_its_line_number_and_equal_numbers_are_one_class() {
        let text = "#c\n@classLabel true 1.0 2 x\n\n@data\n1,2:1\n\n# of the second kind\n5:2.0\n6:1.00\n";
        let labelled = LabelledSequences::from_ts(text.as_bytes(), Path::new("a.ts"), MissingPolicy::Refuse).unwrap();
        assert_eq!(labelled.lines, [5, 8, 9]);
        let names = ["1.0", "2", "x"].map(String::from).to_vec();
        assert_eq!(labelled.labels, Labels::Classes { names, of: vec![0, 1, 0] });
        let twice = read("@classLabel true 1 1.0\n").unwrap_err();
        assert_eq!(twice, "a.ts, line 1, @classlabel: expected each class once, got \"1.0\" and \"1\"");
        assert!(read("@classLabel true 01 1\n").unwrap_err().contains("got \"1\" and \"01\""));
    }

    #[test]
    fn a_missing_value_is_refused_by_name_or_filled() {
        let text = "@classLabel true a b\n@data\n1,2,3:4,?,NaN:a\n";
        let place = "a.ts, line 3, dimension 2, step 2";
        assert_eq!(read(text), Err(format!("{place}: expected a finite number, got \"?\"")));
        let filled = LabelledSequences::from_ts(text.as_bytes(), Path::new("a.ts"), MissingPolicy::Forward).unwrap();
        assert_eq!(filled.input, SequenceInputs::wide(vec![array![[1.0, 4.0], [2.0, 4.0], [3.0, 4.0]]]));
    }

    #[test]
    fn a_wrong_case_is_named_by_its_line() {
        let head = "@univariate false\n@equalLength true\n@classLabel true a b\n@data\n";
        let error = |cases: &str| read(&format!("{head}{cases}")).unwrap_err();
        assert_eq!(error("1,2:3,4:c\n"), "a.ts, line 5: expected a label among a, b, got \"c\"");
        assert_eq!(error("1,2:3,4:a\n1,2:a\n"), "a.ts, line 6: expected 2 dimensions before the label, got 1");
        assert_eq!(error("1,2:3:a\n"), "a.ts, line 5, dimension 2: expected 2 steps as in dimension 1, got 1");
        assert_eq!(error("1,2:3,4:a\n1,2,3:4,5,6:a"), "a.ts, line 6: expected 2 steps, as all cases have, got 3");
        assert!(error("1,inf:3,4:a\n").contains("line 5, dimension 1, step 2: expected a finite number"));
        assert!(error("1,2:3,:a\n").contains("dimension 2, step 2: expected a finite number, got \"\""));
        assert!(error("").contains("got none"));
        assert!(error(&format!("{}1:2:a", "1,".repeat(5_000_000))).len() < 300);
        assert!(error(&"x".repeat(10_000_000)).len() < 300);
        assert!(read("@targetLabel true\n@data\n1,2:x\n").unwrap_err().contains("line 3: expected a finite number"));
        assert!(
            read("@seriesLength 3\n@equalLength true\n@classLabel false\n@data\n1,2\n").unwrap_err().contains("line 5")
        );
    }

    #[test]
    fn a_wrong_header_is_named_by_its_line() {
        assert!(read("").unwrap_err().contains("got the end of the file"));
        assert!(read("@classLabel true a b\n").unwrap_err().contains("got the end of the file"));
        assert!(read("@classLabel true a b\n1,2:a\n").unwrap_err().contains("line 2: expected @data before"));
        assert!(read("@data\n1:a\n").unwrap_err().contains("line 1: expected @classLabel or @targetLabel"));
        assert!(read("@timeStamps true\n").unwrap_err().starts_with("a.ts, line 1, @timestamps: expected false"));
        assert!(
            read("@missing false\n@univariate maybe\n").unwrap_err().contains("line 2, @univariate: expected true")
        );
        for dimensions in ["0", "-1", "99999999999999999999", ""] {
            assert!(read(&format!("@dimensions {dimensions}\n")).unwrap_err().contains("at least 1"));
        }
        assert!(
            read("@univariate true\n@dimensions 3\n").unwrap_err().contains("expected 1 dimensions as above, got 3")
        );
        assert!(read("@classLabel true\n").unwrap_err().contains("got none"));
        assert!(read("@classLabel true a b a\n").unwrap_err().contains("got \"a\" twice"));
        assert!(read("@classLabel true a\n@classLabel true a\n").unwrap_err().contains("got a second one"));
        assert!(read("@classLabel true a\n@targetLabel true\n").unwrap_err().contains("got both"));
        let huge = "@dimensions 18446744073709551615\n@classLabel false\n@data\n1\n";
        assert!(read(huge).unwrap_err().contains("got 1"));
    }
}
