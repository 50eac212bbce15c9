//! Whether labels that are numbers are class names or values.

use std::borrow::Cow;
use std::collections::HashMap;

use ndarray::Array2;

use crate::data::values::number::{is_missing, number};
use crate::data::values::numeric_name::{is_code, value};
use crate::data::{DecimalMark, LabelledSequences, Labels};
use crate::error::{Error, Result};

/// What labels are, where they can be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// Each is the name of a class; one number is one class, however it is written.
    Classes,
    /// Each is a number.
    Values,
}

/// So many classes need no more than whole numbers as their names and some sequences each.
const FEW: usize = 20;

impl LabelledSequences {
    /// With labels that are classes or values as given. Otherwise those that are all numbers, one a sequence, are what they
    /// look like, which is noted: values where not all are whole, or where hardly two are alike; classes where two
    /// numbers occur, or up to 20 of them five times each on average, or 0, 1, 2, … or 1, 2, 3, … without a gap twice each.
    /// A number with zeros before it is a code, and a name.
    ///
    /// # Errors
    /// [`Error::Value`] for a label that is a missing value beside names, for whole numbers that fit neither rule, for
    /// numbers that one label is none of, for a number that is written as two codes, and for labels that cannot be what
    /// they are said to be.
    pub fn labels_as(mut self, told: Option<LabelKind>) -> Result<Self> {
        let numbers = LabelNumbers::of(&self.labels);
        let told = match (told, &self.labels) {
            (_, Labels::None) => return Ok(self),
            (Some(told), _) => told,
            (None, Labels::Values(values)) if values.ncols() > 1 => LabelKind::Values,
            (None, _) => match numbers.look(&self)? {
                None => LabelKind::Classes,
                Some((looks, why)) => {
                    self.notes.push(match looks {
                        LabelKind::Classes => format!("labels are classes, {why}; --labels-as values: numbers"),
                        LabelKind::Values => format!("labels are values, {why}; --labels-as classes: names"),
                    });
                    looks
                }
            },
        };
        self.labels = match (told, &self.labels) {
            (LabelKind::Classes, Labels::Values(values)) => {
                if values.ncols() != 1 {
                    let got = format!("{} values each", values.ncols());
                    return Err(Error::value("the labels", "one for each sequence, to be its class", got));
                }
                Labels::from_names(&values.iter().map(|value| (value + 0.0).to_string()).collect::<Vec<_>>())
            }
            (LabelKind::Values, Labels::Classes { .. }) => numbers.values(&self)?,
            _ => self.labels,
        };
        if told == LabelKind::Classes {
            self.labels.check_codes()?;
            self.notes.extend(self.labels.alike());
        }
        Ok(self)
    }
}

impl Labels {
    /// Refuses names that are one number, written as two codes.
    pub(super) fn check_codes(&self) -> Result<()> {
        let Labels::Classes { names, .. } = self else { return Ok(()) };
        let mut seen = HashMap::new();
        for name in names {
            if let Some(other) = seen.insert(value(name), name) {
                let expected = format!("each number written in one way, as {other:?}");
                return Err(Error::value("the labels", expected, format!("{name:?} too")));
            }
        }
        Ok(())
    }

    /// Class names that differ in case alone.
    fn alike(&self) -> Option<String> {
        let Labels::Classes { names, .. } = self else { return None };
        let mut seen = HashMap::new();
        let (first, second) = names.iter().find_map(|name| Some((seen.insert(name.to_lowercase(), name)?, name)))?;
        Some(format!("{first:?} and {second:?} are different classes, by small and capital letters alone"))
    }
}

/// A label as a number; otherwise what was expected.
type Number = Result<f64, &'static str>;

/// The labels as they are written, and as numbers where they are some. There may be as many as bytes of the file.
enum LabelNumbers<'a> {
    Values(Vec<f64>),
    /// The different ones, and which each sequence has.
    Names {
        names: &'a [String],
        numbers: Vec<Number>,
        of: &'a [u32],
    },
}

impl<'a> LabelNumbers<'a> {
    fn of(labels: &'a Labels) -> Self {
        match labels {
            Labels::None => Self::Values(Vec::new()),
            Labels::Values(values) => Self::Values(values.iter().copied().collect()),
            Labels::Classes { names, of } => {
                Self::Names { names, numbers: names.iter().map(|name| number(name)).collect(), of }
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Names { of, .. } => of.len(),
        }
    }

    /// Of each label. A class that there is not is passed over, as one of its own would be.
    fn numbers(&self) -> impl Iterator<Item = Number> {
        let (values, of): (&[f64], &[u32]) = match self {
            Self::Values(values) => (values, &[]),
            Self::Names { of, .. } => (&[], of),
        };
        values.iter().map(|value| Ok(*value)).chain(of.iter().map(move |class| match self {
            Self::Names { numbers, .. } => numbers.get(*class as usize).copied().unwrap_or(Err("a class")),
            Self::Values(_) => Err("a class"),
        }))
    }

    /// As it is written.
    fn name(&self, sequence: usize) -> Cow<'_, str> {
        match self {
            Self::Values(values) => values.get(sequence).map(f64::to_string).unwrap_or_default().into(),
            Self::Names { names, of, .. } => {
                let name = of.get(sequence).and_then(|class| names.get(*class as usize));
                name.map_or("", String::as_str).into()
            }
        }
    }

    /// The first label whose name is such.
    fn position(&self, is_such: impl Fn(&str) -> bool) -> Option<usize> {
        match self {
            Self::Values(values) => values.iter().position(|value| is_such(&value.to_string())),
            Self::Names { names, of, .. } => {
                let such: Vec<bool> = names.iter().map(|name| is_such(name)).collect();
                of.iter().position(|class| such.get(*class as usize).copied().unwrap_or_default())
            }
        }
    }

    /// What they look like, and why; `None` for names that are no numbers.
    fn look(&self, labelled: &LabelledSequences) -> Result<Option<(LabelKind, &'static str)>> {
        let values: Vec<f64> = self.numbers().filter_map(Result::ok).collect();
        let odd = self.numbers().position(|number| number.is_err());
        let missing = self.position(|name| number(name).is_err() && is_missing(name));
        if values.is_empty() || self.position(is_code).is_some() {
            if let Some(missing) = missing {
                let what = format!("the label of {}", labelled.name(missing));
                let expected = "a label; --labels-as classes takes each for the name of a class";
                return Err(Error::value(what, expected, format!("a missing value, {:?}", self.name(missing))));
            }
            if values.is_empty() {
                self.check_meant(labelled)?;
            }
            return Ok(None);
        }
        let looks = look(&values);
        let Some(odd) = odd else {
            return match looks {
                Ok(looks) => Ok(Some(looks)),
                Err(got) => {
                    let expected =
                        "labels that are classes or values: say which with --labels-as classes or --labels-as values";
                    Err(Error::value("the labels", expected, got))
                }
            };
        };
        let name = &*self.name(odd);
        let what = format!("the label of {}", labelled.name(odd));
        if is_missing(name) {
            return Err(Error::value(what, "a number, as others are", format!("a missing value, {name:?}")));
        }
        match looks {
            Ok((LabelKind::Classes, _)) => Ok(None),
            // A few words among many numbers are mistakes, and would make of each number a class.
            _ => {
                let all = self.len();
                let expected = format!(
                    "a number, as {} of {all} labels are; --labels-as classes takes each for the name of a class",
                    values.len()
                );
                Err(Error::value(what, expected, format!("{name:?}")))
            }
        }
    }

    /// Refuses labels that are all numbers but for how they are written, of which hardly two are alike.
    fn check_meant(&self, labelled: &LabelledSequences) -> Result<()> {
        let Self::Names { names, of, .. } = self else { return Ok(()) };
        // One that no sequence has says nothing.
        let meant: Vec<_> = names.iter().map(|name| DecimalMark::meant(name)).collect();
        let written = of.iter().map(|class| meant.get(*class as usize)?.as_ref());
        let Some(values) = written.map(|of| Some(of?.0)).collect::<Option<Vec<f64>>>() else { return Ok(()) };
        let first = of.first().and_then(|class| meant.get(*class as usize)?.as_ref());
        let Some((_, (expected, got))) = first else { return Ok(()) };
        let mut distinct = values.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        if distinct.len() > 2 && 10 * distinct.len() >= 9 * values.len() {
            let what = format!("the label of {}", labelled.name(0));
            Err(Error::value(what, expected, format!("{got}; --labels-as classes takes each for the name of a class")))
        } else {
            Ok(())
        }
    }

    fn values(&self, labelled: &LabelledSequences) -> Result<Labels> {
        let mut values = Array2::zeros((self.len(), 1));
        for (sequence, (value, number)) in values.iter_mut().zip(self.numbers()).enumerate() {
            *value = number.map_err(|expected| {
                let what = format!("the label of {}", labelled.name(sequence));
                let got = format!("{:?}", self.name(sequence));
                Error::value(what, format!("{expected}, as --labels-as values takes it"), got)
            })?;
        }
        Ok(Labels::Values(values))
    }
}

/// What numbers look like as labels, and why; otherwise what they are.
fn look(values: &[f64]) -> Result<(LabelKind, &'static str), String> {
    let n = values.len();
    let mut distinct: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let count = distinct.len();
    let [Some(first), Some(last)] = [distinct.first(), distinct.last()].map(Option::<&f64>::copied) else {
        return Err("none".into());
    };
    if distinct.iter().any(|value| value.fract() != 0.0) {
        return Ok((LabelKind::Values, "since not all are whole numbers"));
    }
    // As classes are numbered.
    let run = (first == 0.0 || first == 1.0) && last - first == (count - 1) as f64;
    if count <= 2 || (count <= FEW && 5 * count <= n) {
        return Ok((LabelKind::Classes, "since they are few different whole numbers"));
    }
    if run && 2 * count <= n {
        return Ok((LabelKind::Classes, "since they are whole numbers without a gap"));
    }
    if !run && 10 * count >= 9 * n {
        return Ok((LabelKind::Values, "since hardly two are alike"));
    }
    Err(format!("{count} different whole numbers for {n} sequences, which could be either"))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::SequenceInputs;

    fn labelled(labels: Labels) -> LabelledSequences {
        LabelledSequences::new(SequenceInputs::Tokens(Vec::new()), labels)
    }

    fn read(names: &[String], told: Option<LabelKind>) -> Result<LabelledSequences, String> {
        labelled(Labels::from_names(names)).labels_as(told).map_err(|error| error.to_string())
    }

    fn written(numbers: impl Iterator<Item = f64>) -> Vec<String> {
        numbers.map(|number| number.to_string()).collect()
    }

    #[test]
    fn labels_are_classified_by_their_form_or_refused_as_ambiguous() {
        let turn = |n: i32, kinds: i32, first: i32| written((0..n).map(move |k| f64::from(k % kinds + first)));
        let (classes, values) = ("labels are classes, ", "labels are values, ");
        for (what, names, begin) in [
            ("two whole numbers", turn(4, 2, 7), classes),
            ("-1 and 1", written([-1.0, 1.0, 1.0].into_iter()), classes),
            ("ratings", turn(50, 5, 1), classes),
            ("digits without some", written((0..60).map(|k| f64::from([3, 5, 8][k % 3]))), classes),
            ("as many classes as an archive has", turn(450, 50, 1), classes),
            ("two of each class", turn(104, 52, 0), classes),
            ("fractions", written((0..50).map(|k| f64::from(k) / 4.0)), values),
            ("few fractions", written((0..50).map(|k| f64::from(k % 3) / 2.0)), values),
            ("ages of some", written((0..40).map(|k| f64::from(k * 3 % 71 + 20))), values),
            ("counts that seldom recur", written((0..100).map(|k| f64::from(k * k))), values),
            ("ages of many", turn(300, 71, 20), "the labels: expected labels that are classes or values"),
            ("one sequence a number", turn(18, 18, 1), "the labels: expected labels that are classes or values"),
            ("a number for two or three", turn(50, 20, 5), "the labels: expected labels that are classes or values"),
        ] {
            let told = match read(&names, None) {
                Ok(read) => {
                    let is_classes = matches!(read.labels, Labels::Classes { .. });
                    assert_eq!(is_classes, begin == classes, "{what}");
                    read.notes.concat()
                }
                Err(error) => error,
            };
            assert!(told.starts_with(begin) && told.contains("--labels-as"), "{what}: {told}");
            // What is told is what it is.
            assert!(matches!(read(&names, Some(LabelKind::Classes)).unwrap().labels, Labels::Classes { .. }), "{what}");
            let numbers: Vec<f64> = names.iter().map(|name| name.parse().unwrap()).collect();
            let Labels::Values(read) = read(&names, Some(LabelKind::Values)).unwrap().labels else { panic!("{what}") };
            assert!(read.iter().eq(&numbers), "{what}");
        }
    }

    #[test]
    fn names_are_classes_without_a_note() {
        for names in [&["up", "down", "up"][..], &["01", "02", "10", "11"], &["0", "1", "2 or more", "0", "1", "1"]] {
            let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
            let read = read(&names, None).unwrap();
            assert_eq!((read.labels, read.notes), (Labels::from_names(&names), Vec::new()));
        }
        assert_eq!(labelled(Labels::None).labels_as(Some(LabelKind::Values)).unwrap().labels, Labels::None);
    }

    #[test]
    fn a_number_is_one_class_however_it_is_written() {
        let names = ["1.0", "2", "1", "+2.00", "1e0"].map(String::from);
        let expected = Labels::Classes { names: vec!["1".into(), "2".into()], of: vec![0, 1, 0, 1, 0] };
        assert_eq!(Labels::from_names(&names), expected);
        assert_eq!(read(&names, None).unwrap().labels, expected);
        let floats = labelled(Labels::Values(array![[1.0], [2.0], [1.0], [2.0], [1.0]]));
        assert_eq!(floats.clone().labels_as(None).unwrap().labels, expected);
        assert_eq!(floats.labels_as(Some(LabelKind::Classes)).unwrap().labels, expected);
        let codes = read(&["01", "1", "2"].map(String::from), None).unwrap_err();
        assert_eq!(codes, "the labels: expected each number written in one way, as \"01\", got \"1\" too");
    }

    #[test]
    fn a_label_that_is_not_a_number_is_named() {
        let with = |odd: &str| {
            let mut names = written((0..30).map(|k| f64::from(k) + 0.5));
            names[6] = odd.into();
            names
        };
        let error = read(&with("x"), None).unwrap_err();
        assert!(error.starts_with("the label of sequence 7: expected a number, as 29 of 30 labels are"), "{error}");
        let error = read(&with("x"), Some(LabelKind::Values)).unwrap_err();
        assert!(error.starts_with("the label of sequence 7: expected a finite number, as --labels-as"), "{error}");
        let mut few: Vec<String> = (0..30).map(|k| (k % 3).to_string()).collect();
        few[4] = "?".into();
        let error = read(&few, None).unwrap_err();
        assert_eq!(error, "the label of sequence 5: expected a number, as others are, got a missing value, \"?\"");
    }

    #[test]
    fn a_missing_label_among_names_is_refused_unless_declared_a_class() {
        let names = ["up", "down", "NA", "up"].map(String::from);
        let error = read(&names, None).unwrap_err();
        let told = "--labels-as classes takes each for the name of a class";
        assert_eq!(error, format!("the label of sequence 3: expected a label; {told}, got a missing value, \"NA\""));
        assert_eq!(read(&names, Some(LabelKind::Classes)).unwrap().labels, Labels::from_names(&names));
    }

    #[test]
    fn classes_that_differ_in_case_only_are_named() {
        let names = ["True", "no", "TRUE", "True"].map(String::from);
        let notes = read(&names, None).unwrap().notes.concat();
        assert!(notes.ends_with("are different classes, by small and capital letters alone"), "{notes}");
        assert!(notes.contains("\"True\"") && notes.contains("\"TRUE\""), "{notes}");
    }

    #[test]
    fn labels_that_are_numbers_but_badly_written_are_refused() {
        for (form, expected) in [
            ("{} %", "a number without a unit"),
            ("$ {}", "a number without a unit"),
            ("({})", "a number with a hyphen as its minus"),
            ("{},5", "a number with a decimal point"),
        ] {
            let names: Vec<String> = (1..41).map(|k| form.replace("{}", &k.to_string())).collect();
            let error = read(&names, None).unwrap_err();
            assert!(error.starts_with(&format!("the label of sequence 1: expected {expected}, got ")), "{error}");
            assert!(read(&names, Some(LabelKind::Classes)).is_ok());
            // Of classes there are several each.
            let few: Vec<String> = (0..40).map(|k| names[k % 4].clone()).collect();
            assert!(read(&few, None).is_ok());
        }
    }

    #[test]
    fn a_vector_of_values_is_not_a_class() {
        let two = labelled(Labels::Values(array![[1.0, 2.0], [0.0, 2.0]]));
        assert_eq!(two.clone().labels_as(None).unwrap(), two);
        let error = two.labels_as(Some(LabelKind::Classes)).unwrap_err().to_string();
        assert_eq!(error, "the labels: expected one for each sequence, to be its class, got 2 values each");
    }
}
