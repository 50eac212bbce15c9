//! Decides whether numeric labels are class names or values.

use std::borrow::Cow;
use std::collections::HashMap;

use ndarray::Array2;

use super::labels::DistinctNames;
use crate::data::values::number::{is_missing, number};
use crate::data::values::numeric_name::{is_code, value};
use crate::data::{DecimalMark, LabelledSequences, Labels, LabelsPer};
use crate::error::{Error, Result};

/// How numeric labels are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// As names of classes; equal numbers are one class, however they are written.
    Classes,
    /// As numbers.
    Values,
}

/// Up to this many classes need only whole numbers as names and some sequences each.
const FEW: usize = 20;

impl LabelledSequences {
    /// Sets whether labels are classes or values. By default, if all are single numbers, their form decides, with a
    /// note: they are values if not all are whole or almost all are different; classes if there are two different
    /// numbers, or up to 20 with five sequences each on average, or 0, 1, 2, … or 1, 2, 3, … without a gap and two
    /// sequences each (or steps, if each step has a label). A number with leading zeros is a code, and so a name.
    /// Missing labels of steps do not count; if all are, there are no labels.
    ///
    /// # Errors
    /// [`Error::Value`] for a missing label among names, for whole numbers that fit neither rule, for a label among
    /// numbers that is not one, for a number that is written as two codes, and for labels that cannot be read as
    /// requested.
    pub fn labels_as(mut self, told: Option<LabelKind>) -> Result<Self> {
        if self.labels_per == LabelsPer::Step && (0..self.labels.len()).all(|label| self.labels.is_missing(label)) {
            self.labels = Labels::None;
        }
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
                    let expected = format!("one for each {}, to be its class", self.labels_per.name());
                    return Err(Error::value("the labels", expected, got));
                }
                let mut names = DistinctNames::default();
                for value in values {
                    if value.is_nan() { names.push_missing()? } else { names.push(&(value + 0.0).to_string())? }
                }
                Labels::from_distinct(names)
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
    /// Refuses names that are the same number, written as two codes.
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

    /// Class names that differ only in upper and lower case.
    fn alike(&self) -> Option<String> {
        let Labels::Classes { names, .. } = self else { return None };
        let mut seen = HashMap::new();
        let (first, second) = names.iter().find_map(|name| Some((seen.insert(name.to_lowercase(), name)?, name)))?;
        Some(format!("{first:?} and {second:?} are different classes that differ only in upper and lower case"))
    }
}

/// A label as a number; otherwise what was expected.
type Number = Result<f64, &'static str>;

/// The labels as written, and as numbers if they are. There may be as many as the file has bytes.
enum LabelNumbers<'a> {
    Values(Vec<f64>),
    /// The distinct labels, and the index of each sequence or step.
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

    /// How many there are, including missing ones.
    fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Names { of, .. } => of.len(),
        }
    }

    /// Each that is not missing, with its index.
    fn numbers(&self) -> impl Iterator<Item = (usize, Number)> {
        let (values, of): (&[f64], &[u32]) = match self {
            Self::Values(values) => (values, &[]),
            Self::Names { of, .. } => (&[], of),
        };
        let values = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let of = of.iter().enumerate().filter(|(_, class)| **class != Labels::MISSING);
        values.map(|(label, value)| (label, Ok(*value))).chain(of.map(move |(label, class)| match self {
            Self::Names { numbers, .. } => (label, numbers.get(*class as usize).copied().unwrap_or(Err("a class"))),
            Self::Values(_) => (label, Err("a class")),
        }))
    }

    /// As written.
    fn name(&self, label: usize) -> Cow<'_, str> {
        match self {
            Self::Values(values) => values.get(label).map(f64::to_string).unwrap_or_default().into(),
            Self::Names { names, of, .. } => {
                let name = of.get(label).and_then(|class| names.get(*class as usize));
                name.map_or("", String::as_str).into()
            }
        }
    }

    /// The first label whose name satisfies the condition.
    fn position(&self, is_such: impl Fn(&str) -> bool) -> Option<usize> {
        match self {
            Self::Values(values) => values.iter().position(|value| !value.is_nan() && is_such(&value.to_string())),
            Self::Names { names, of, .. } => {
                let such: Vec<bool> = names.iter().map(|name| is_such(name)).collect();
                of.iter().position(|class| such.get(*class as usize).copied().unwrap_or_default())
            }
        }
    }

    /// The detected kind and the reason; `None` for names that are not numbers.
    fn look(&self, labelled: &LabelledSequences) -> Result<Option<(LabelKind, &'static str)>> {
        let values: Vec<f64> = self.numbers().filter_map(|(_, number)| number.ok()).collect();
        let odd = self.numbers().find(|(_, number)| number.is_err()).map(|(label, _)| label);
        let missing = self.position(|name| number(name).is_err() && is_missing(name));
        if values.is_empty() || self.position(is_code).is_some() {
            if let Some(missing) = missing {
                let what = labelled.label_name(missing);
                let expected = "a label; --labels-as classes reads each as a class name";
                return Err(Error::value(what, expected, format!("a missing value, {:?}", self.name(missing))));
            }
            if values.is_empty() {
                self.check_meant(labelled)?;
            }
            return Ok(None);
        }
        let looks = look(&values, labelled.labels_per);
        let Some(odd) = odd else {
            return match looks {
                Ok(looks) => Ok(Some(looks)),
                Err(got) => {
                    let expected = "labels that are clearly classes or values: choose with --labels-as classes or --labels-as values";
                    Err(Error::value("the labels", expected, got))
                }
            };
        };
        let name = &*self.name(odd);
        let what = labelled.label_name(odd);
        if is_missing(name) {
            return Err(Error::value(what, "a number, as others are", format!("a missing value, {name:?}")));
        }
        match looks {
            Ok((LabelKind::Classes, _)) => Ok(None),
            // A few words among many numbers are mistakes; they would make every number a class.
            _ => {
                let all = self.numbers().count();
                let expected = format!(
                    "a number, as {} of {all} labels are; --labels-as classes reads each as a class name",
                    values.len()
                );
                Err(Error::value(what, expected, format!("{name:?}")))
            }
        }
    }

    /// Refuses labels that are numbers except for their notation, almost all of them different.
    fn check_meant(&self, labelled: &LabelledSequences) -> Result<()> {
        let Self::Names { names, of, .. } = self else { return Ok(()) };
        // A class without sequences is no evidence.
        let meant: Vec<_> = names.iter().map(|name| DecimalMark::meant(name)).collect();
        let present = || of.iter().enumerate().filter(|(_, class)| **class != Labels::MISSING);
        let written = present().map(|(_, class)| meant.get(*class as usize)?.as_ref());
        let Some(values) = written.map(|of| Some(of?.0)).collect::<Option<Vec<f64>>>() else { return Ok(()) };
        let first = present().next().and_then(|(label, class)| Some((label, meant.get(*class as usize)?.as_ref()?)));
        let Some((first, (_, (expected, got)))) = first else { return Ok(()) };
        let mut distinct = values.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        if distinct.len() > 2 && 10 * distinct.len() >= 9 * values.len() {
            let what = labelled.label_name(first);
            Err(Error::value(what, expected, format!("{got}; --labels-as classes reads each as a class name")))
        } else {
            Ok(())
        }
    }

    fn values(&self, labelled: &LabelledSequences) -> Result<Labels> {
        let mut values = Array2::from_elem((self.len(), 1), f64::NAN);
        for (label, number) in self.numbers() {
            values[[label, 0]] = number.map_err(|expected| {
                let got = format!("{:?}", self.name(label));
                Error::value(labelled.label_name(label), format!("{expected}, as --labels-as values takes it"), got)
            })?;
        }
        Ok(Labels::Values(values))
    }
}

/// The detected kind of numeric labels and the reason; otherwise a description of them.
fn look(values: &[f64], per: LabelsPer) -> Result<(LabelKind, &'static str), String> {
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
    // The usual numbering of classes.
    let run = (first == 0.0 || first == 1.0) && last - first == (count - 1) as f64;
    if count <= 2 || (count <= FEW && 5 * count <= n) {
        return Ok((LabelKind::Classes, "since there are few distinct whole numbers"));
    }
    if run && 2 * count <= n {
        return Ok((LabelKind::Classes, "since they are whole numbers without a gap"));
    }
    if !run && 10 * count >= 9 * n {
        return Ok((LabelKind::Values, "since almost all are different"));
    }
    Err(format!("{count} different whole numbers for {n} {}, which could be either", per.plural()))
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
            ("ages of many", turn(300, 71, 20), "the labels: expected labels that are clearly classes or values"),
            (
                "one sequence a number",
                turn(18, 18, 1),
                "the labels: expected labels that are clearly classes or values",
            ),
            (
                "a number for two or three",
                turn(50, 20, 5),
                "the labels: expected labels that are clearly classes or values",
            ),
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
        let told = "--labels-as classes reads each as a class name";
        assert_eq!(error, format!("the label of sequence 3: expected a label; {told}, got a missing value, \"NA\""));
        assert_eq!(read(&names, Some(LabelKind::Classes)).unwrap().labels, Labels::from_names(&names));
    }

    #[test]
    fn classes_that_differ_in_case_only_are_named() {
        let names = ["True", "no", "TRUE", "True"].map(String::from);
        let notes = read(&names, None).unwrap().notes.concat();
        assert!(notes.ends_with("are different classes that differ only in upper and lower case"), "{notes}");
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
