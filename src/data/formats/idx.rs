//! The idx format of MNIST (LeCun, Cortes and Burges): arrays of bytes after a header of big-endian sizes.

use std::path::Path;

use super::super::sequences::sequence_inputs::IN_MEMORY;
use crate::data::sequences::labels::DistinctNames;
use crate::data::{InputLimit, LabelledSequences, Labels, PackedSequences, SequenceInputs};
use crate::error::{Error, Result};
use crate::sizes::Count;

/// How an image becomes a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageLayout {
    /// Each row is a step: T rows, I columns.
    #[default]
    Rows,
    /// Each pixel is a step, row by row: T = rows · columns, I = 1.
    Pixels,
}

struct Idx<'a> {
    shape: Vec<usize>,
    values: &'a [u8],
}

impl Idx<'_> {
    fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<Idx<'a>> {
        let refuse = |message: String| Err(Error::data(path, "", message));
        let Some(([0, 0, kind, rank], sizes)) = bytes.split_first_chunk::<4>() else {
            let begin = &bytes[..bytes.len().min(4)];
            return refuse(format!("expected an idx file, which begins with 0, 0, 8 and its rank, got {begin:?}"));
        };
        if *kind != 8 {
            let name = match kind {
                9 => "signed bytes",
                11 => "16-bit integers",
                12 => "32-bit integers",
                13 => "32-bit floats",
                14 => "64-bit floats",
                _ => "an unknown type",
            };
            return refuse(format!("expected an idx file of unsigned bytes (type 8), got type {kind}: {name}"));
        }
        let rank = usize::from(*rank);
        let Some((sizes, values)) = sizes.split_at_checked(4 * rank) else {
            return refuse(format!("expected a header of {} bytes, got a file of {}", 4 + 4 * rank, bytes.len()));
        };
        let size = |bytes: &[u8]| bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let shape: Vec<usize> = sizes.chunks_exact(4).map(size).collect();
        if shape.is_empty() || shape.contains(&0) {
            return refuse(format!("expected at least one dimension, each of at least 1, got {shape:?}"));
        }
        let expected = shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        if expected != Some(values.len()) {
            let expected = expected.map_or("too many to count".into(), |bytes| bytes.to_string());
            let got = values.len();
            return refuse(format!("expected {expected} bytes after the header for {shape:?}, got {got}"));
        }
        Ok(Idx { shape, values })
    }
}

impl LabelledSequences {
    /// Reads the idx file of images, \[N, rows, columns\], and that of their labels, \[N\]; the paths are for error
    /// messages. Bytes are scaled from 0…255 to 0…1. In arrays of other ranks the first axis is N and the second the
    /// rows; the remaining axes are flattened into I. The classes are the numbers that occur.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that is not a complete idx file of bytes, is longer than its header declares, or if
    /// the two files have different N; also if it exceeds the default [`InputLimit`].
    pub fn from_idx(images: (&[u8], &Path), labels: Option<(&[u8], &Path)>, image: ImageLayout) -> Result<Self> {
        Self::idx_within(images, labels, image, InputLimit::default())
    }

    /// Like [`from_idx`](Self::from_idx), with a memory limit.
    pub(super) fn idx_within(
        images: (&[u8], &Path),
        labels: Option<(&[u8], &Path)>,
        image: ImageLayout,
        limit: InputLimit,
    ) -> Result<Self> {
        let (bytes, path) = images;
        let Idx { shape, values } = Idx::parse(bytes, path)?;
        let [n, inner @ ..] = shape.as_slice() else { return Err(Error::data(path, "", "expected images")) };
        if inner.is_empty() {
            let message = "expected images, an idx file of rank 2 or more, got one of rank 1, which is for labels";
            return Err(Error::data(path, "", message));
        }
        let axes = if image == ImageLayout::Pixels { inner.len().min(2) } else { 1 };
        let (steps, dimensions) = (inner[..axes].iter().product(), inner[axes..].iter().product::<usize>());
        let memory = Count::from(values.len()) * size_of::<f32>();
        limit.check(memory.get(), path, "", IN_MEMORY)?;
        let mut sequences = PackedSequences::new(dimensions);
        for image in values.chunks_exact(steps * dimensions) {
            sequences.push_with(steps, |t, i| Ok((f32::from(image[t * dimensions + i]) / 255.0).into()))?;
        }
        let labels = match labels {
            None => Labels::None,
            Some((bytes, path)) => {
                let Idx { shape, values } = Idx::parse(bytes, path)?;
                if shape != [*n] {
                    let message = format!("expected labels of shape [{n}], one for each image, got {shape:?}");
                    return Err(Error::data(path, "", message));
                }
                let mut names = DistinctNames::default();
                for class in values {
                    names.push(&class.to_string())?;
                }
                Labels::from_distinct(names)
            }
        };
        Ok(Self::new(SequenceInputs::Dense(sequences), labels))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::corruption::{below, rng, survives};

    fn write(shape: &[u32], values: &[u8]) -> Vec<u8> {
        let sizes = shape.iter().flat_map(|size| size.to_be_bytes());
        [0, 0, 8, shape.len() as u8].into_iter().chain(sizes).chain(values.iter().copied()).collect()
    }

    fn read(images: &[u8], labels: Option<&[u8]>, image: ImageLayout) -> Result<LabelledSequences, String> {
        let labels = labels.map(|bytes| (bytes, Path::new("b")));
        LabelledSequences::from_idx((images, Path::new("a")), labels, image).map_err(|error| error.to_string())
    }

    fn draw(rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u8>) {
        let shape: Vec<u32> = (0..2 + below(3, rng)).map(|_| 1 + below(4, rng) as u32).collect();
        let values = (0..shape.iter().product()).map(|_| below(256, rng) as u8).collect();
        (shape, values)
    }

    #[test]
    fn images_are_read_as_rows_or_pixels_from_0_to_1() {
        let images = write(&[2, 2, 3], &[0, 51, 255, 0, 0, 0, 255, 0, 0, 0, 0, 102]);
        let labels = write(&[2], &[9, 4]);
        let rows = read(&images, Some(&labels), ImageLayout::Rows).unwrap();
        let first = array![[0.0, 0.2, 1.0], [0.0, 0.0, 0.0]];
        assert_eq!(rows.input, SequenceInputs::dense(vec![first, array![[1.0, 0.0, 0.0], [0.0, 0.0, 0.4]]]));
        assert_eq!(rows.labels, Labels::Classes { names: vec!["4".into(), "9".into()], of: vec![1, 0] });
        let pixels = read(&images, None, ImageLayout::Pixels).unwrap();
        let SequenceInputs::Dense(sequences) = &pixels.input else { panic!() };
        assert!(sequences.numbers(0).map(|number| number as f32).eq([0.0, 0.2, 1.0, 0.0, 0.0, 0.0]));
        assert_eq!(pixels.labels, Labels::None);
    }

    #[test]
    fn a_written_file_is_read_back() {
        let mut rng = rng(0);
        for _ in 0..500 {
            let (shape, values) = draw(&mut rng);
            let image = if below(2, &mut rng) == 0 { ImageLayout::Rows } else { ImageLayout::Pixels };
            let labelled = read(&write(&shape, &values), None, image).unwrap();
            let steps =
                shape[1..].iter().take(if image == ImageLayout::Rows { 1 } else { 2 }).product::<u32>() as usize;
            let SequenceInputs::Dense(sequences) = &labelled.input else { panic!() };
            let n = shape[0] as usize;
            assert!(sequences.len() == n && (0..n).all(|image| sequences.length(image) == steps));
            let numbers = (0..n).flat_map(|image| sequences.numbers(image));
            let bytes: Vec<u8> = numbers.map(|value| (value * 255.0).round() as u8).collect();
            assert_eq!(bytes, values);
        }
    }

    #[test]
    fn corrupted_files_do_not_panic() {
        let draw = |rng: &mut ChaCha8Rng| {
            let (shape, values) = draw(rng);
            write(&shape, &values)
        };
        survives(draw, |bytes| LabelledSequences::from_idx((bytes, Path::new("a")), None, ImageLayout::Pixels));
        let images = write(&[3, 1, 1], &[1, 2, 3]);
        let images = (images.as_slice(), Path::new("a"));
        survives(
            |rng| write(&[3], &[below(3, rng) as u8; 3]),
            |bytes| LabelledSequences::from_idx(images, Some((bytes, Path::new("b"))), ImageLayout::Rows),
        );
    }

    #[test]
    fn an_incomplete_idx_file_is_refused() {
        let error = |bytes: &[u8]| read(bytes, None, ImageLayout::Rows).unwrap_err();
        assert_eq!(error(b""), "a: expected an idx file, which begins with 0, 0, 8 and its rank, got []");
        assert!(error(b"\x89PNG\r\n").contains("got [137, 80, 78, 71]"));
        assert!(error(&[0, 0, 13, 1, 0, 0, 0, 0]).contains("got type 13: 32-bit floats"));
        assert!(error(&[0, 0, 8, 3, 0, 0, 0, 1]).contains("expected a header of 16 bytes, got a file of 8"));
        let images = write(&[2, 2, 2], &[1; 8]);
        assert_eq!(error(&images[..23]), "a: expected 8 bytes after the header for [2, 2, 2], got 7");
        assert!(
            error(&[&images, &[0][..]].concat()).contains("expected 8 bytes after the header for [2, 2, 2], got 9")
        );
        assert!(error(&write(&[u32::MAX; 3], &[1])).contains("too many to count"));
        assert!(error(&write(&[u32::MAX, 1, 1], &[1])).contains("expected 4294967295 bytes"));
        assert!(error(&write(&[u32::MAX, 0], &[])).contains("each of at least 1"));
        assert!(error(&write(&[], &[1])).contains("at least one dimension"));
        assert!(error(&write(&[2], &[1, 2])).contains("rank 1, which is for labels"));
    }

    #[test]
    fn there_is_one_label_per_image() {
        let images = write(&[2, 1, 1], &[1, 2]);
        let error = |labels: &[u8]| read(&images, Some(labels), ImageLayout::Rows).unwrap_err();
        let message = "b: expected labels of shape [2], one for each image, got";
        assert_eq!(error(&write(&[3], &[1, 2, 3])), format!("{message} [3]"));
        assert_eq!(error(&images), format!("{message} [2, 1, 1]"));
    }
}
