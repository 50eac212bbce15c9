//! Labelled sequences from NumPy arrays x, lengths and y.

use std::path::Path;

use super::super::sequences::sequence_inputs::IN_MEMORY;
use super::npy::{Element, Npy};
use crate::allocate;
use crate::data::sequences::labels::DistinctNames;
use crate::data::values::number::is_missing;
use crate::data::{LabelledSequences, Labels, LabelsPer, MissingPolicy, PackedSequences, ReadOptions, SequenceInputs};
use crate::error::{Error, Result};
use crate::sizes::Count;

impl LabelledSequences {
    /// Reads x, \[N, T, I\] or \[N, T\] with I = 1, from one `.npy` file and y from another: integers, strings or
    /// booleans \[N\] are classes, floats \[N\] or \[N, O\] values. A NaN in x is a missing value. The paths are for
    /// error messages.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that is not a complete array, for mismatched shapes, and for numbers that are not
    /// finite or that f64 cannot hold, named by sequence, step and dimension, counted from 1; for sequences that need
    /// more memory than [`InputLimit::default`](crate::data::InputLimit::default); [`read`](Self::read) takes another
    /// limit, and labels of steps.
    pub fn from_npy(x: (&[u8], &Path), y: Option<(&[u8], &Path)>, missing: MissingPolicy) -> Result<Self> {
        Self::npy_within(x, y, &ReadOptions { missing, ..ReadOptions::default() })
    }

    pub(super) fn npy_within(x: (&[u8], &Path), y: Option<(&[u8], &Path)>, options: &ReadOptions) -> Result<Self> {
        let array = |(bytes, path)| Array::parse(bytes, path, "");
        read(&array(x)?, None, y.map(array).transpose()?.as_ref(), options)
    }
}

/// An array and its name for errors.
pub(super) struct Array<'a> {
    npy: Npy<'a>,
    path: &'a Path,
    place: &'static str,
}

impl<'a> Array<'a> {
    pub(super) fn parse(bytes: &'a [u8], path: &'a Path, place: &'static str) -> Result<Self> {
        Ok(Self { npy: Npy::parse(bytes, path, place)?, path, place })
    }

    fn refuse<T>(&self, place: String, message: String) -> Result<T> {
        Err(Error::data(self.path, format!("{}{place}", self.place), message))
    }

    fn refuse_shape<T>(&self, expected: &str) -> Result<T> {
        self.refuse(String::new(), format!("expected shape {expected}, got {:?}", self.npy.shape))
    }
}

/// x, lengths and y as labelled sequences; without lengths all have T steps.
pub(super) fn read(
    x: &Array<'_>,
    lengths: Option<&Array<'_>>,
    y: Option<&Array<'_>>,
    options: &ReadOptions,
) -> Result<LabelledSequences> {
    let (n, steps, dimensions) = match x.npy.shape.as_slice() {
        [n, steps] => (*n, *steps, 1),
        [n, steps, dimensions] => (*n, *steps, *dimensions),
        _ => return x.refuse_shape("[N, T, I] or [N, T]"),
    };
    if x.npy.is_text() {
        return x.refuse(String::new(), "expected numbers, got text".into());
    }
    if n > 0 && (steps == 0 || dimensions == 0) {
        return x.refuse_shape("[N, T, I] or [N, T], of at least a step and a number");
    }
    let lengths = lengths.map(|lengths| read_lengths(lengths, n, steps)).transpose()?;
    let length = |sequence: usize| lengths.as_ref().map_or(steps, |lengths| lengths[sequence]);
    let wide = !x.npy.is_single();
    let number = if wide { size_of::<f64>() } else { size_of::<f32>() };
    let (all, ends) = match &lengths {
        None => (Count::from(n) * steps, 0),
        Some(lengths) => (lengths.iter().map(|length| Count::from(*length)).sum(), n),
    };
    let memory = all * dimensions * number + Count::from(ends) * size_of::<usize>();
    options.limit.check(memory.get(), x.path, x.place, IN_MEMORY)?;
    let mut sequences = PackedSequences::new(dimensions);
    let mut last = vec![None; if n > 0 { dimensions } else { 0 }];
    for sequence in 0..n {
        last.fill(None);
        let index = |t, i| [sequence, t, i];
        sequences.push_with(length(sequence), |t, i| {
            let element = x.npy.at(&index(t, i)[..x.npy.shape.len()]);
            let number = match element.number() {
                Ok(number) if number.is_nan() => options.missing.stand_in(last[i]),
                number => number,
            };
            match number {
                Ok(number) => {
                    let number = if wide { number } else { f64::from(number as f32) };
                    last[i] = Some(number);
                    Ok(number)
                }
                Err(expected) => {
                    let place = format!(", sequence {}, step {}, dimension {}", sequence + 1, t + 1, i + 1);
                    x.refuse(place, format!("expected {expected}, got {}", shown(&element)))
                }
            }
        })?;
    }
    let input = if wide { SequenceInputs::Wide(sequences) } else { SequenceInputs::Dense(sequences) };
    let labels = y.map_or(Ok(Labels::None), |y| match options.labels_per {
        LabelsPer::Sequence => y.read_labels(LabelShape { leading: &[n], steps }, |_| 1),
        LabelsPer::Step => y.read_labels(LabelShape { leading: &[n, steps], steps }, length),
    })?;
    Ok(LabelledSequences::new(input, labels).labels_per(options.labels_per))
}

fn read_lengths(lengths: &Array<'_>, n: usize, steps: usize) -> Result<Vec<usize>> {
    if lengths.npy.shape != [n] {
        return lengths.refuse_shape(&format!("[{n}], one for each sequence of x"));
    }
    let length = |sequence: usize| {
        let element = lengths.npy.at(&[sequence]);
        let length = match element {
            Element::Integer(length) => usize::try_from(length).ok().filter(|length| (1..=steps).contains(length)),
            // Arithmetic in NumPy turns integers into floats.
            Element::Float(length) if length.fract() == 0.0 && (1.0..=steps as f64).contains(&length) => {
                Some(length as usize)
            }
            _ => None,
        };
        match length {
            Some(length) => Ok(length),
            None => {
                let message = format!("expected a whole number from 1 to T = {steps}, got {}", described(&element));
                lengths.refuse(format!(", sequence {}", sequence + 1), message)
            }
        }
    };
    (0..n).map(length).collect()
}

/// The shape that labels must have.
struct LabelShape<'a> {
    /// \[N\], or \[N, T\] for labels of steps; values may have an axis more.
    leading: &'a [usize],
    /// T of x.
    steps: usize,
}

impl LabelShape<'_> {
    fn is_of_steps(&self) -> bool {
        self.leading.len() == 2
    }

    /// In a message: for values, which may have an axis more, or for classes.
    fn expected(&self, values: bool) -> String {
        let per = if self.is_of_steps() { "step" } else { "sequence" };
        match self.leading.iter().map(usize::to_string).collect::<Vec<_>>().join(", ") {
            leading if values => format!("[{leading}] or [{leading}, O], one row for each {per} of x"),
            leading => format!("[{leading}], one class for each {per} of x"),
        }
    }

    /// What to do about another shape.
    fn advice(&self, shape: &[usize]) -> &'static str {
        match shape {
            [n, steps] | [n, steps, _] if !self.is_of_steps() && (*n, *steps) == (self.leading[0], self.steps) => {
                "; --predict every reads a label for each step"
            }
            _ => "",
        }
    }
}

impl Array<'_> {
    /// The labels of sequences, of which each has so many: floats are values, all others the names of classes. Those of
    /// steps may be missing: NaN, or a text that stands for a missing value.
    fn read_labels(&self, shape: LabelShape<'_>, count: impl Fn(usize) -> usize) -> Result<Labels> {
        let (npy, rank) = (&self.npy, shape.leading.len());
        let outputs = match npy.shape.strip_prefix(shape.leading) {
            Some([]) => 1,
            Some([outputs]) if npy.is_float() => *outputs,
            _ => {
                let (expected, advice) = (shape.expected(npy.is_float()), shape.advice(&npy.shape));
                let message = format!("expected shape {expected}, got {:?}{advice}", npy.shape);
                return self.refuse(String::new(), message);
            }
        };
        let sequences = 0..shape.leading[0];
        let places = || sequences.clone().flat_map(|sequence| (0..count(sequence)).map(move |step| [sequence, step]));
        let element = |place: [usize; 2], output: usize| {
            let index = [&place[..rank], &[output]].concat();
            npy.at(&index[..npy.shape.len()])
        };
        let refuse = |[sequence, step]: [usize; 2], message: String| {
            let step = if shape.is_of_steps() { format!(", step {}", step + 1) } else { String::new() };
            self.refuse(format!(", sequence {}{step}", sequence + 1), message)
        };
        if npy.is_float() {
            let mut values = allocate::array((places().count(), outputs), "the labels")?;
            for (place, mut row) in places().zip(values.rows_mut()) {
                for (output, value) in row.iter_mut().enumerate() {
                    *value = match element(place, output).number() {
                        Ok(number) if shape.is_of_steps() || !number.is_nan() => number,
                        _ => {
                            let got = shown(&element(place, output));
                            return refuse(place, format!("expected a finite number, got {got}"));
                        }
                    };
                }
                let missing = row.iter().filter(|value| value.is_nan()).count();
                if missing > 0 && missing < outputs {
                    let message = format!("expected {outputs} numbers, or NaN alone, got {missing} NaN among them");
                    return refuse(place, message);
                }
            }
            return Ok(Labels::Values(values));
        }
        let mut names = DistinctNames::default();
        for place in places() {
            match element(place, 0) {
                Element::Text(None) => return refuse(place, "expected text, got invalid text".into()),
                Element::Text(Some(text)) if shape.is_of_steps() && is_missing(text.trim()) => names.push_missing()?,
                element => names.push(&shown(&element))?,
            }
        }
        Ok(Labels::from_distinct(names))
    }
}

/// With what it is, where that is what is wrong with it.
fn described(element: &Element) -> String {
    match element {
        Element::Integer(_) | Element::Float(_) => shown(element),
        Element::Bool(bool) => format!("the boolean {bool}"),
        Element::Text(text) => format!("the text {:?}", text.as_deref().unwrap_or_default()),
    }
}

fn shown(element: &Element) -> String {
    match element {
        Element::Float(number) => number.to_string(),
        Element::Integer(number) => number.to_string(),
        Element::Bool(bool) => bool.to_string(),
        Element::Text(text) => text.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ndarray::array;
    use rand_chacha::ChaCha8Rng;

    use super::super::npy::tests::npy;
    use super::*;
    use crate::data::corruption::{below, number, survives};
    use crate::data::{Scaling, ScalingKind};

    pub(crate) fn floats(shape: &[usize], numbers: &[f32]) -> Vec<u8> {
        npy("<f4", false, shape, &numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
    }

    fn from_npy(x: &[u8], y: Option<&[u8]>) -> Result<LabelledSequences, String> {
        let y = y.map(|bytes| (bytes, Path::new("y.npy")));
        LabelledSequences::from_npy((x, Path::new("x.npy")), y, MissingPolicy::Refuse)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn classes(names: &[&str], of: &[u32]) -> Labels {
        Labels::Classes { names: names.iter().map(|name| (*name).into()).collect(), of: of.to_vec() }
    }

    #[test]
    fn a_2d_array_has_one_dimension() {
        let sequences = vec![array![[1.0], [2.0], [3.0]], array![[4.0], [5.0], [6.0]]];
        let labelled = from_npy(&floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), None).unwrap();
        assert_eq!(labelled, LabelledSequences::new(SequenceInputs::dense(sequences), Labels::None));
    }

    #[test]
    fn a_3d_array_is_sequences_by_steps_by_dimensions() {
        let labelled = from_npy(&npy("|i1", true, &[2, 1, 2], &[1, 2, 3, 0xff]), None).unwrap();
        assert_eq!(labelled.input, SequenceInputs::dense(vec![array![[1.0, 3.0]], array![[2.0, -1.0]]]));
    }

    #[test]
    fn a_spread_from_rounding_counts_as_zero_in_f4_and_as_real_in_f8() {
        let numbers = [0.3f32, 0.300_000_07, 0.3, 0.300_000_07];
        let unit = |x: &[u8]| {
            let input = from_npy(x, None).unwrap().input;
            let values: Vec<f64> = input.values(&[0, 1], 0).collect();
            Scaling::fit_rounded(ScalingKind::Standard, &values, input.precision()).unit
        };
        assert_eq!(unit(&floats(&[2, 2], &numbers)), 1.0);
        let wide = numbers.map(|number| f64::from(number).to_le_bytes()).concat();
        assert!(unit(&npy("<f8", false, &[2, 2], &wide)) < 1e-7);
    }

    #[test]
    fn missing_numbers_are_filled_per_dimension_and_sequence() {
        let x = floats(&[2, 2, 2], &[1.0, 2.0, f32::NAN, 3.0, 4.0, f32::NAN, 5.0, 6.0]);
        let read = |x: &[u8], missing| LabelledSequences::from_npy((x, Path::new("x.npy")), None, missing);
        let error = read(&x, MissingPolicy::Forward).unwrap_err().to_string();
        let expected = "expected a first number to fill forward from, got NaN";
        assert_eq!(error, format!("x.npy, sequence 2, step 1, dimension 2: {expected}"));
        let x = floats(&[1, 3, 2], &[1.0, 2.0, f32::NAN, 3.0, f32::NAN, f32::NAN]);
        let filled = SequenceInputs::dense(vec![array![[1.0, 2.0], [1.0, 3.0], [1.0, 3.0]]]);
        assert_eq!(read(&x, MissingPolicy::Forward).unwrap().input, filled);
        let masked = read(&x, MissingPolicy::Mask).unwrap().input;
        assert_eq!(masked.values(&[0], 0).map(f64::is_nan).collect::<Vec<_>>(), [false, true, true]);
        assert!(read(&floats(&[1, 1], &[f32::INFINITY]), MissingPolicy::Mask).is_err());
    }

    #[test]
    fn the_dtype_of_y_decides_between_classes_and_values() {
        let x = floats(&[3, 1], &[0.0; 3]);
        let labels = |y: &[u8]| from_npy(&x, Some(y)).unwrap().labels;
        assert_eq!(labels(&npy("|i1", false, &[3], &[10, 0xff, 9])), classes(&["-1", "9", "10"], &[2, 0, 1]));
        assert_eq!(labels(&npy("|b1", false, &[3], &[1, 0, 1])), classes(&["false", "true"], &[1, 0, 1]));
        let text = ['b', 'a', 'b'].map(|letter| u32::from(letter).to_be_bytes()).concat();
        assert_eq!(labels(&npy(">U1", false, &[3], &text)), classes(&["a", "b"], &[1, 0, 1]));
        assert_eq!(labels(&floats(&[3], &[1.0, 2.0, 3.0])), Labels::Values(array![[1.0], [2.0], [3.0]]));
        let two = labels(&floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(two, Labels::Values(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    }

    #[test]
    fn mismatched_arrays_are_refused() {
        let x = floats(&[2, 2], &[1.0; 4]);
        let error = |x: &[u8], y: Option<&[u8]>| from_npy(x, y).unwrap_err();
        assert_eq!(error(&floats(&[4], &[1.0; 4]), None), "x.npy: expected shape [N, T, I] or [N, T], got [4]");
        assert!(error(&floats(&[1, 2, 1, 2], &[1.0; 4]), None).contains("got [1, 2, 1, 2]"));
        assert_eq!(error(&npy("<U1", false, &[1, 1], &[65, 0, 0, 0]), None), "x.npy: expected numbers, got text");
        let place = "x.npy, sequence 2, step 1, dimension 1: expected a finite number, got";
        assert_eq!(error(&floats(&[2, 2], &[1.0, 1.0, f32::NAN, 1.0]), None), format!("{place} NaN"));
        let wide = npy("<f8", false, &[2, 1], &[1.0, f64::NEG_INFINITY].map(f64::to_le_bytes).concat());
        assert_eq!(error(&wide, None), format!("{place} -inf"));
        let message = "y.npy: expected shape [2] or [2, O], one row for each sequence of x, got";
        assert_eq!(error(&x, Some(&floats(&[3], &[1.0; 3]))), format!("{message} [3]"));
        assert_eq!(error(&x, Some(&floats(&[1, 2, 2], &[1.0; 4]))), format!("{message} [1, 2, 2]"));
        let nan = floats(&[2], &[0.0, f32::NAN]);
        assert_eq!(error(&x, Some(&nan)), "y.npy, sequence 2: expected a finite number, got NaN");
        assert!(error(&x, Some(&npy("|u1", false, &[2, 1], &[0; 2]))).contains("one class for each sequence"));
        assert!(error(&x, Some(&npy("<U1", false, &[2], &[0xff; 8]))).contains("y.npy, sequence 1: expected text"));
        assert!(error(&x, Some(b"")).starts_with("y.npy: expected an npy file"));
    }

    fn at_steps(x: &[u8], y: &[u8]) -> Result<Labels, String> {
        let options = ReadOptions { labels_per: LabelsPer::Step, ..ReadOptions::default() };
        let (x, y) = ((x, Path::new("x.npy")), (y, Path::new("y.npy")));
        LabelledSequences::npy_within(x, Some(y), &options).map(|read| read.labels).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_of_steps_have_an_axis_of_steps() {
        let x = floats(&[2, 2], &[0.0; 4]);
        let whole = at_steps(&x, &npy("|u1", false, &[2, 2], &[7, 5, 5, 9])).unwrap();
        assert_eq!(whole, classes(&["5", "7", "9"], &[1, 0, 0, 2]));
        let text = ["b", "", "a", "NA"].map(|text| {
            let mut letters = text.chars().map(u32::from).chain([0, 0]);
            [letters.next().unwrap(), letters.next().unwrap()].map(u32::to_le_bytes).concat()
        });
        let missing = Labels::MISSING;
        let text = at_steps(&x, &npy("<U2", false, &[2, 2], &text.concat())).unwrap();
        assert_eq!(text, classes(&["a", "b"], &[1, missing, 0, missing]));
        let Labels::Values(one) = at_steps(&x, &floats(&[2, 2], &[1.0, f32::NAN, 3.0, 4.0])).unwrap() else { panic!() };
        assert!(one.dim() == (4, 1) && one[[0, 0]] == 1.0 && one[[1, 0]].is_nan() && one[[3, 0]] == 4.0, "{one}");
        let two = [1.0, 2.0, f32::NAN, f32::NAN, 5.0, 6.0, 7.0, 8.0];
        let Labels::Values(two) = at_steps(&x, &floats(&[2, 2, 2], &two)).unwrap() else { panic!() };
        assert!(two.dim() == (4, 2) && two[[0, 1]] == 2.0 && two.row(1).iter().all(|value| value.is_nan()), "{two}");
    }

    #[test]
    fn labels_of_steps_of_another_shape_are_refused_with_both() {
        let x = floats(&[2, 2], &[0.0; 4]);
        let error = |y: &[u8]| at_steps(&x, y).unwrap_err();
        let message = "y.npy: expected shape [2, 2] or [2, 2, O], one row for each step of x, got";
        for shape in [&[2][..], &[2, 3], &[3, 2], &[4], &[2, 2, 1, 1]] {
            let numbers = vec![1.0; shape.iter().product()];
            assert_eq!(error(&floats(shape, &numbers)), format!("{message} {shape:?}"));
        }
        let classes = error(&npy("|u1", false, &[2, 2, 1], &[0; 4]));
        assert_eq!(classes, "y.npy: expected shape [2, 2], one class for each step of x, got [2, 2, 1]");
        let some = floats(&[2, 2, 2], &[1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0, 7.0, 8.0]);
        let some = error(&some);
        assert_eq!(some, "y.npy, sequence 1, step 2: expected 2 numbers, or NaN alone, got 1 NaN among them");
        let infinite = error(&floats(&[2, 2], &[1.0, 2.0, f32::INFINITY, 4.0]));
        assert_eq!(infinite, "y.npy, sequence 2, step 1: expected a finite number, got inf");
        // Where labels belong to sequences, the message says how to read them for steps.
        let advice = "; --predict every reads a label for each step";
        let of_sequences = from_npy(&x, Some(&npy("|u1", false, &[2, 2], &[0; 4]))).unwrap_err();
        assert_eq!(
            of_sequences,
            format!("y.npy: expected shape [2], one class for each sequence of x, got [2, 2]{advice}")
        );
        assert!(from_npy(&x, Some(&floats(&[2, 2, 3], &[0.0; 12]))).unwrap_err().ends_with(advice));
    }

    #[test]
    fn corrupted_files_do_not_panic() {
        let x = |rng: &mut ChaCha8Rng| {
            let shape: Vec<usize> = (0..2 + below(2, rng)).map(|_| 1 + below(3, rng)).collect();
            floats(&shape, &(0..shape.iter().product()).map(|_| number(rng) as f32).collect::<Vec<_>>())
        };
        survives(x, |bytes| LabelledSequences::from_npy((bytes, Path::new("x.npy")), None, MissingPolicy::Forward));
        let fixed = floats(&[3, 1], &[0.0; 3]);
        let y = |rng: &mut ChaCha8Rng| match below(3, rng) {
            0 => npy("|u1", false, &[3], &[0, 1, 1]),
            1 => npy("<U1", false, &[3], &[65, 0, 0, 0, 66, 0, 0, 0, 65, 0, 0, 0]),
            _ => floats(&[3, 1], &[1.0, 2.0, number(rng) as f32]),
        };
        let x = (fixed.as_slice(), Path::new("x.npy"));
        let parse = |y: &[u8]| LabelledSequences::from_npy(x, Some((y, Path::new("y.npy"))), MissingPolicy::Refuse);
        survives(y, parse);
    }
}
