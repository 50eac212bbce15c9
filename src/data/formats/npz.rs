//! NumPy's `.npz` archives: one `.npy` file per array.

use std::path::Path;

use super::archive::Archive;
use super::arrays::{Array, read};
use crate::data::input::encoding::quoted;
use crate::data::{LabelledSequences, MissingPolicy, ReadOptions};
use crate::error::{Error, Result};

impl LabelledSequences {
    /// Reads the arrays `x`, and if they exist `lengths` and `y`, of an `.npz` file. `lengths`, \[N\], has the number
    /// of steps of each sequence; values after it are not read. `x` and `y` are as in [`from_npy`](Self::from_npy).
    ///
    /// # Errors
    /// [`Error::Data`] as there, naming the array, for a truncated or altered archive, and for arrays larger than
    /// [`InputLimit::default`](crate::data::InputLimit::default); [`read`](Self::read) takes another limit, and labels
    /// of steps.
    pub fn from_npz(bytes: &[u8], path: &Path, missing: MissingPolicy) -> Result<Self> {
        Self::npz_within(bytes, path, &ReadOptions { missing, ..ReadOptions::default() })
    }

    pub(super) fn npz_within(bytes: &[u8], path: &Path, options: &ReadOptions) -> Result<Self> {
        let limit = options.limit;
        let mut archive = Archive::open(bytes, path, limit)?;
        limit.check(archive.size_of(&["x.npy", "lengths.npy", "y.npy"])?, path, "", "in its arrays")?;
        let Some(x) = archive.read("x.npy")? else {
            let names: Vec<&str> = archive.names().collect();
            let message = format!("expected x.npy in the archive, got {}", quoted(&names.join(", ")));
            return Err(Error::data(path, "", message));
        };
        let (lengths, y) = (archive.read("lengths.npy")?, archive.read("y.npy")?);
        let lengths = lengths.as_deref().map(|bytes| Array::parse(bytes, path, ", lengths.npy")).transpose()?;
        let y = y.as_deref().map(|bytes| Array::parse(bytes, path, ", y.npy")).transpose()?;
        read(&Array::parse(&x, path, ", x.npy")?, lengths.as_ref(), y.as_ref(), options)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use rand_chacha::ChaCha8Rng;

    use super::super::archive::tests::archive;
    use super::super::arrays::tests::{classes, floats};
    use super::super::npy::tests::npy;
    use super::*;
    use crate::data::corruption::{below, number, rng, survives};
    use crate::data::{Labels, LabelsPer, SequenceInputs};

    fn from_npz(files: &[(&str, &[u8], bool)]) -> Result<LabelledSequences, String> {
        LabelledSequences::from_npz(&archive(files), Path::new("a.npz"), MissingPolicy::Refuse)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn written_arrays_are_read_back() {
        let mut rng = rng(0);
        for _ in 0..500 {
            let [n, steps, dimensions] = [(); 3].map(|()| 1 + below(4, &mut rng));
            let numbers: Vec<f32> = (0..n * steps * dimensions).map(|_| number(&mut rng) as f32).collect();
            let lengths: Vec<usize> = (0..n).map(|_| 1 + below(steps, &mut rng)).collect();
            let of: Vec<u8> = (0..n).map(|_| below(3, &mut rng) as u8).collect();
            let sequence = |n: usize| {
                let number = |(t, i)| numbers[(n * steps + t) * dimensions + i];
                Array2::from_shape_fn((lengths[n], dimensions), number)
            };
            let names: Vec<String> = of.iter().map(u8::to_string).collect();
            let expected = LabelledSequences::new(
                SequenceInputs::dense((0..n).map(sequence).collect()),
                Labels::from_names(&names),
            );
            let x = floats(&[n, steps, dimensions], &numbers);
            let lengths: Vec<u8> = lengths.iter().flat_map(|length| (*length as i64).to_le_bytes()).collect();
            let lengths = npy("<i8", false, &[n], &lengths);
            let y = npy("|u1", false, &[n], &of);
            let deflated = [(); 3].map(|()| below(2, &mut rng) == 0);
            let files = [
                ("y.npy", y.as_slice(), deflated[0]),
                ("x.npy", &x, deflated[1]),
                ("lengths.npy", &lengths, deflated[2]),
            ];
            assert_eq!(from_npz(&files), Ok(expected));
        }
    }

    #[test]
    fn arrays_written_by_numpy_are_read() {
        let read =
            |bytes: &[u8]| LabelledSequences::from_npz(bytes, Path::new("a.npz"), MissingPolicy::Refuse).unwrap();
        let input = SequenceInputs::wide(vec![array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], array![[6.0, 7.0]]]);
        let labels = classes(&["läuft", "walk"], &[1, 0]);
        let stored = read(include_bytes!("../../../tests/fixtures/stored.npz"));
        assert_eq!(stored, LabelledSequences::new(input, labels));
        let input = SequenceInputs::dense(vec![array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], array![[6.0, 7.0]]]);
        let labels = classes(&["false", "true"], &[1, 0]);
        let deflated = read(include_bytes!("../../../tests/fixtures/deflated.npz"));
        assert_eq!(deflated, LabelledSequences::new(input, labels));
    }

    #[test]
    fn values_beyond_a_length_are_not_read() {
        let x = floats(&[2, 2], &[1.0, f32::NAN, 2.0, 3.0]);
        let lengths = npy("|u1", false, &[2], &[1, 2]);
        let labelled = from_npz(&[("x.npy", &x, false), ("lengths.npy", &lengths, false)]).unwrap();
        assert_eq!(labelled.input, SequenceInputs::dense(vec![array![[1.0]], array![[2.0], [3.0]]]));
    }

    #[test]
    fn labels_of_steps_end_with_their_sequence() {
        let x = floats(&[2, 2], &[1.0, f32::NAN, 2.0, 3.0]);
        let (lengths, y) = (npy("|u1", false, &[2], &[1, 2]), npy("|u1", false, &[2, 2], &[4, 9, 5, 4]));
        let files = [("x.npy", x.as_slice(), false), ("lengths.npy", &lengths, false), ("y.npy", &y, false)];
        let options = ReadOptions { labels_per: LabelsPer::Step, ..ReadOptions::default() };
        let labelled = LabelledSequences::npz_within(&archive(&files), Path::new("a.npz"), &options).unwrap();
        assert_eq!(labelled.labels, classes(&["4", "5"], &[0, 1, 0]));
        labelled.validate().unwrap();
    }

    #[test]
    fn lengths_may_be_integers_stored_as_floats() {
        let x = floats(&[2, 2], &[1.0, f32::NAN, 2.0, 3.0]);
        let read = |lengths: &[f32]| from_npz(&[("x.npy", &x, false), ("lengths.npy", &floats(&[2], lengths), false)]);
        assert_eq!(read(&[1.0, 2.0]).unwrap().input, SequenceInputs::dense(vec![array![[1.0]], array![[2.0], [3.0]]]));
        for (wrong, got) in [(1.5, "1.5"), (0.0, "0"), (3.0, "3"), (f32::NAN, "NaN")] {
            let error = read(&[1.0, wrong]).unwrap_err();
            assert!(error.contains("sequence 2: expected a whole number from 1 to T = 2, got "), "{error}");
            assert!(error.ends_with(got), "{error}");
        }
    }

    #[test]
    fn mismatched_arrays_are_named() {
        let x = floats(&[2, 2], &[1.0; 4]);
        let with = |name: &str, bytes: &[u8]| from_npz(&[("x.npy", &x, true), (name, bytes, true)]).unwrap_err();
        let lengths = |lengths: &[u8]| with("lengths.npy", &npy("|i1", false, &[lengths.len()], lengths));
        let place = "a.npz, lengths.npy, sequence 2: expected a whole number from 1 to T = 2, got";
        assert_eq!(lengths(&[1, 0]), format!("{place} 0"));
        assert_eq!(lengths(&[1, 3]), format!("{place} 3"));
        assert_eq!(lengths(&[1, 0xff]), format!("{place} -1"));
        assert!(lengths(&[1]).contains("expected shape [2], one for each sequence of x, got [1]"));
        assert!(with("lengths.npy", &floats(&[2], &[1.5, 2.0])).contains("sequence 1: expected a whole number"));
        assert!(with("y.npy", b"no").contains("a.npz, y.npy: expected an npy file"));
        let none = from_npz(&[("X.npy", &x, true), ("y.npy", &x, true)]).unwrap_err();
        assert_eq!(none, "a.npz: expected x.npy in the archive, got \"X.npy, y.npy\"");
    }

    #[test]
    fn corrupted_files_do_not_panic() {
        let write = |rng: &mut ChaCha8Rng| {
            let [n, steps] = [(); 2].map(|()| 1 + below(3, rng));
            let x = floats(&[n, steps], &(0..n * steps).map(|_| number(rng) as f32).collect::<Vec<_>>());
            let y = npy("|u1", false, &[n], &vec![1; n]);
            archive(&[("x.npy", &x, below(2, rng) == 0), ("y.npy", &y, below(2, rng) == 0)])
        };
        survives(write, |bytes| LabelledSequences::from_npz(bytes, Path::new("a.npz"), MissingPolicy::Refuse));
    }
}
