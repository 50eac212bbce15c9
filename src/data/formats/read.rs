//! Reads a file of labelled sequences in any of the formats.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

#[cfg(feature = "csv")]
use crate::data::LongColumns;
use crate::data::input::gzip::decompressed;
use crate::data::{ImageLayout, InputLimit, LabelKind, LabelledSequences, LabelsPer, MissingPolicy, read_input};
use crate::error::{Error, Result};

/// Options for what a file leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// How missing values are handled: an empty field, `?`, and NaN, NA, N/A, null and the like.
    pub missing: MissingPolicy,
    /// How labels are read; `None`: decided by the file or the form of the labels, see
    /// [`LabelledSequences::labels_as`].
    pub labels: Option<LabelKind>,
    /// What has a label (`.csv`, `.npy`, `.npz`; in other formats it is a sequence).
    pub labels_per: LabelsPer,
    /// How an image becomes a sequence (idx).
    pub image: ImageLayout,
    /// The size limit of each file.
    pub limit: InputLimit,
    /// The columns (`.csv`).
    #[cfg(feature = "csv")]
    pub columns: LongColumns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileFormat {
    Ts,
    Ucr,
    Idx,
    Npy,
    Npz,
    Long,
}

impl FileFormat {
    /// Whether the steps of a sequence can have labels of their own.
    fn has_labels_at_steps(self) -> bool {
        match self {
            Self::Long | Self::Npy | Self::Npz => true,
            Self::Ts | Self::Ucr | Self::Idx => false,
        }
    }

    /// Detected from the first bytes if they are unmistakable, otherwise from the extension, without that of gzip.
    fn recognise(bytes: &[u8], path: &Path) -> Option<Self> {
        let begins = [(b"\x93NUMPY".as_slice(), Self::Npy), (b"PK\x03\x04", Self::Npz), (b"\0\0\x08", Self::Idx)];
        if let Some((_, format)) = begins.into_iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return Some(format);
        }
        let extension = |path: &Path| path.extension().map(|name| name.to_string_lossy().to_ascii_lowercase());
        let name = match extension(path).as_deref() {
            Some("gz") => path.with_extension(""),
            _ => PathBuf::from(path),
        };
        match extension(&name).as_deref() {
            Some("ts") => Some(Self::Ts),
            Some("tsv" | "txt") => Some(Self::Ucr),
            Some("csv") => Some(Self::Long),
            Some("npy") => Some(Self::Npy),
            Some("npz") => Some(Self::Npz),
            Some("idx") => Some(Self::Idx),
            _ if bytes.starts_with(b"@") || bytes.starts_with(b"#") => Some(Self::Ts),
            _ => None,
        }
    }
}

impl LabelledSequences {
    /// Reads a file, and for formats with separate labels (idx, `.npy`) the file of its labels. The format is detected
    /// from the first bytes and the extension. Both files may be compressed with gzip.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read; [`Error::Data`] if it is invalid, not a regular file, or exceeds
    /// [`ReadOptions::limit`].
    pub fn read(path: &Path, labels: Option<&Path>, options: &ReadOptions) -> Result<Self> {
        let bytes = read_input(path, options.limit)?;
        let labels = labels.map(|path| Ok::<_, Error>((read_input(path, options.limit)?, path))).transpose()?;
        Self::from_bytes(&bytes, path, labels.as_ref().map(|(bytes, path)| (bytes.as_slice(), *path)), options)
    }

    /// Like [`read`](Self::read), from the contents of the files; the paths are for extensions and error messages.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn from_bytes(
        bytes: &[u8],
        path: &Path,
        labels: Option<(&[u8], &Path)>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let bytes = &*whole(bytes, path, options.limit)?;
        let Some(format) = FileFormat::recognise(bytes, path) else {
            let message = "expected a file of labelled sequences: .ts, .tsv, .txt, .csv, .npy, .npz or idx";
            return Err(Error::data(path, "", message));
        };
        if options.labels_per == LabelsPer::Step && !format.has_labels_at_steps() {
            let message = "expected a .csv, .npy or .npz file, in which each step may have a label, got a format with \
                           one label for each sequence";
            return Err(Error::data(path, "", message));
        }
        let labels = match labels {
            None => None,
            Some((bytes, path)) if matches!(format, FileFormat::Idx | FileFormat::Npy) => {
                Some((whole(bytes, path, options.limit)?, path))
            }
            Some((_, labels)) => {
                let message = format!("expected no label file for {}, which has its own labels", path.display());
                return Err(Error::data(labels, "", message));
            }
        };
        let labels = labels.as_ref().map(|(bytes, path)| (&**bytes, *path));
        let labelled = match format {
            FileFormat::Ts => Self::ts_within(bytes, path, options.missing, options.limit),
            FileFormat::Ucr => Self::ucr_within(bytes, path, options.missing, options.limit),
            FileFormat::Idx => Self::idx_within((bytes, path), labels, options.image, options.limit),
            FileFormat::Npy => Self::npy_within((bytes, path), labels, options),
            #[cfg(feature = "npz")]
            FileFormat::Npz => Self::npz_within(bytes, path, options),
            #[cfg(not(feature = "npz"))]
            FileFormat::Npz => Err(without_feature(path, "an .npz archive", "npz")),
            #[cfg(feature = "csv")]
            FileFormat::Long => {
                let ReadOptions { columns, missing, labels_per, limit, .. } = options;
                Self::long_within(bytes, path, columns, *missing, *labels_per, *limit)
            }
            #[cfg(not(feature = "csv"))]
            FileFormat::Long => Err(without_feature(path, "a .csv file", "csv")),
        }?;
        // These formats declare the kind of labels.
        let told = matches!(format, FileFormat::Ts | FileFormat::Idx) && options.labels.is_none();
        let path = labels.map_or(path, |(_, path)| path);
        if told { Ok(labelled) } else { labelled.labels_as(options.labels).map_err(|error| error.in_file(path)) }
    }
}

/// The error that a format is not compiled in.
#[cfg(not(all(feature = "csv", feature = "npz")))]
fn without_feature(path: &Path, what: &str, feature: &str) -> Error {
    Error::data(
        path,
        "",
        format!("expected a format that is compiled in, got {what}, which needs the feature `{feature}` of bptt"),
    )
}

/// The contents of a file, decompressed.
fn whole<'a>(bytes: &'a [u8], path: &Path, limit: InputLimit) -> Result<Cow<'a, [u8]>> {
    let bytes = decompressed(bytes, path, limit)?;
    if bytes.is_empty() {
        Err(Error::data(path, "", "expected labelled sequences or their labels, got an empty file"))
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], path: &str, labels: Option<&[u8]>) -> Result<LabelledSequences, String> {
        let labels = labels.map(|bytes| (bytes, Path::new("labels")));
        let labelled = LabelledSequences::from_bytes(bytes, Path::new(path), labels, &ReadOptions::default());
        labelled.map_err(|error| error.to_string())
    }

    #[test]
    fn a_format_is_recognised_by_content_or_extension() {
        let format = |bytes: &[u8], path: &str| FileFormat::recognise(bytes, Path::new(path));
        assert_eq!(format(b"", "a.TS"), Some(FileFormat::Ts));
        assert_eq!(format(b"", "a.ts.gz"), Some(FileFormat::Ts));
        assert_eq!(format(b"", "A_TRAIN.tsv"), Some(FileFormat::Ucr));
        assert_eq!(format(b"", "a.csv"), Some(FileFormat::Long));
        assert_eq!(format(b"", "a.npz"), Some(FileFormat::Npz));
        assert_eq!(format(b"# words", "a"), Some(FileFormat::Ts));
        assert_eq!(format(b"\0\0\x08\x03", "t10k-images-idx3-ubyte.gz"), Some(FileFormat::Idx));
        assert_eq!(format(b"\x93NUMPY\x01", "a.txt"), Some(FileFormat::Npy));
        assert_eq!(format(b"PK\x03\x04", "a"), Some(FileFormat::Npz));
        assert_eq!(format(b"1,2,3", "a"), None);
    }

    #[test]
    fn every_format_is_read() {
        let ts = b"@classLabel true a b\n@data\n1,2:a\n";
        assert_eq!(read(ts, "a.ts", None), read(ts, "b.ts", None));
        assert_eq!(read(b"b\t1\t2\n", "a.tsv", None).unwrap().input, read(ts, "a.ts", None).unwrap().input);
        let labels: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 1, 5];
        let image = read(&[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 255], "a", Some(labels)).unwrap();
        assert_eq!(image.input.values(&[0], 0).collect::<Vec<_>>(), [1.0]);
        #[cfg(feature = "csv")]
        assert_eq!(
            read(b"id,time,label,v\n1,1,a,1\n1,2,a,2\n", "a.csv", None).unwrap().input,
            read(ts, "a.ts", None).unwrap().input
        );
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn a_gzipped_file_reads_like_the_plain_one() {
        let ts = b"@classLabel true a b\n@data\n1,2:a\n";
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, ts).unwrap();
        assert_eq!(read(&encoder.finish().unwrap(), "a.ts.gz", None), read(ts, "a.ts", None));
    }

    #[cfg(all(feature = "csv", feature = "gzip", feature = "npz"))]
    #[test]
    fn one_limit_covers_compressed_stored_and_in_memory_sizes() {
        use super::super::archive::tests::archive;
        use super::super::npy::tests::npy;
        let refused = |bytes: &[u8], path: &str, limit| {
            let options = ReadOptions { limit: InputLimit(limit), ..ReadOptions::default() };
            LabelledSequences::from_bytes(bytes, Path::new(path), None, &options).err().map(|error| error.to_string())
        };
        // A number of one byte takes four.
        let x = npy("|u1", false, &[1000, 1], &[7; 1000]);
        let expected =
            "a.npy: expected at most 3999 bytes, got 4000 in memory for its sequences; an input-limit of 1MiB";
        assert!(refused(&x, "a.npy", 3999).unwrap().starts_with(expected), "{:?}", refused(&x, "a.npy", 3999));
        assert_eq!(refused(&x, "a.npy", 4000), None);
        let idx = [&[0, 0, 8, 2, 0, 0, 0, 100, 0, 0, 0, 10][..], &[7; 1000]].concat();
        assert_eq!(refused(&idx, "a.npy", 3999), refused(&x, "a.npy", 3999));
        assert_eq!(refused(&idx, "a.npy", 4000), None);
        // The size of text is not known in advance.
        for (line, header, path) in [("7:a\n", "@classLabel true a\n@data\n", "a.ts"), ("a\t7\n", "", "a.tsv")] {
            let text = format!("{header}{}", line.repeat(1000));
            let told = refused(text.as_bytes(), path, 11_000).unwrap();
            let expected = format!("{path}: expected at most 11000 bytes, got more in memory for its sequences; ");
            assert!(told.starts_with(&expected), "{told}");
            assert_eq!(refused(text.as_bytes(), path, 12_000), None);
        }
        let long: String = (0..1000).map(|n| format!("{},{n},7\n", n / 10)).collect();
        let told = refused(format!("id,time,v\n{long}").as_bytes(), "a.csv", 10_000).unwrap();
        assert!(told.starts_with("a.csv: expected at most 10000 bytes, got more in memory for its seq"), "{told}");
        assert_eq!(refused(format!("id,time,v\n{long}").as_bytes(), "a.csv", 16_000), None);
        let zeros = npy("|u1", false, &[1, 100_000], &[0; 100_000]);
        let zip = archive(&[("x.npy", &zeros, true)]);
        assert!(zip.len() < 2000);
        assert!(
            refused(&zip, "a.npz", 100_000).unwrap().contains(" in its arrays; an input-limit of 1MiB allows them")
        );
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
        let gz = encoder.finish().unwrap();
        assert!(refused(&gz, "a.npy.gz", 100_000).unwrap().contains("got more in the gzip data"));
        assert_eq!((refused(&zip, "a.npz", 500_000), refused(&gz, "a.npy.gz", 500_000)), (None, None));
    }

    #[test]
    fn labels_of_steps_are_refused_of_a_format_that_has_none() {
        let options = ReadOptions { labels_per: LabelsPer::Step, ..ReadOptions::default() };
        let ts = b"@classLabel true a b\n@data\n1,2:a\n";
        let error = LabelledSequences::from_bytes(ts, Path::new("a.ts"), None, &options).unwrap_err().to_string();
        let expected =
            "a.ts: expected a .csv, .npy or .npz file, in which each step may have a label, got a format with one";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_file_without_sequences_is_refused() {
        assert!(read(b"1,2,3", "a", None).unwrap_err().contains(".ts, .tsv, .txt, .csv, .npy, .npz or idx"));
        for path in ["a", "a.idx", "a.csv.gz"] {
            let error = read(b"", path, None).unwrap_err();
            assert_eq!(error, format!("{path}: expected labelled sequences or their labels, got an empty file"));
        }
        let image = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 255];
        assert!(read(&image, "a.idx", Some(b"")).unwrap_err().starts_with("labels: expected labelled sequences"));
        assert!(read(b"x", "a.npy", None).unwrap_err().contains("expected an npy file"));
        let error = read(b"@classLabel true a b\n@data\n1,2:a\n", "a.ts", Some(b"")).unwrap_err();
        assert_eq!(error, "labels: expected no label file for a.ts, which has its own labels");
        let missing = LabelledSequences::read(Path::new("no such file.ts"), None, &ReadOptions::default()).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }));
    }

    /// The same sequences, of two steps, and values as labels, in every format that holds them.
    #[cfg(all(feature = "csv", feature = "npz"))]
    fn in_every_format(numbers: &[f64], labels: &[f64]) -> Vec<(&'static str, LabelledSequences)> {
        use super::super::archive::tests::archive;
        use super::super::npy::tests::npy;
        let pairs = || numbers.chunks(2).zip(labels);
        let mut files: Vec<(&str, String)> = Vec::new();
        let cases: String = pairs().map(|(x, y)| format!("{},{}:{y}\n", x[0], x[1])).collect();
        files.push(("a.ts", format!("@targetLabel true\n@data\n{cases}")));
        files.push(("a.tsv", pairs().map(|(x, y)| format!("{y:?}\t{}\t{}\n", x[0], x[1])).collect()));
        let row = |(n, (x, y)): (usize, (&[f64], &f64))| format!("{n},0,{y},{}\n{n},1,{y},{}\n", x[0], x[1]);
        files.push(("a.csv", format!("id,time,label,v\n{}", pairs().enumerate().map(row).collect::<String>())));
        let mut all: Vec<(&str, LabelledSequences)> =
            files.into_iter().map(|(path, text)| (path, read(text.as_bytes(), path, None).unwrap())).collect();
        let n = labels.len();
        let little = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let big = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        // In Fortran's order the first steps of all sequences come before the second.
        let by_step: Vec<f64> = [0, 1].iter().flat_map(|t| numbers.iter().skip(*t).step_by(2).copied()).collect();
        let x = npy("<f8", false, &[n, 2], &little(numbers));
        let y = npy("<f8", false, &[n], &little(labels));
        for (name, file) in [
            ("f8", x.clone()),
            ("f8, big endian", npy(">f8", false, &[n, 2, 1], &big(numbers))),
            ("f8, Fortran", npy("<f8", true, &[n, 2], &little(&by_step))),
        ] {
            all.push((name, read(&file, "a.npy", Some(&y)).unwrap()));
        }
        let whole: Vec<u8> = numbers.iter().flat_map(|number| (*number as i64).to_be_bytes()).collect();
        all.push(("i8", read(&npy(">i8", false, &[n, 2], &whole), "a.npy", Some(&y)).unwrap()));
        let zip = archive(&[("x.npy", &x, true), ("y.npy", &y, false)]);
        all.push(("npz", read(&zip, "a.npz", None).unwrap()));
        all
    }

    #[cfg(all(feature = "csv", feature = "npz"))]
    #[test]
    fn small_differences_of_large_numbers_reach_the_network_from_every_format() {
        use crate::data::{Labels, Scaling, ScalingKind, SequenceInputs};
        for offset in [0.0, 1e8, -3e9, 1e15] {
            let numbers: Vec<f64> = (0..12).map(|n| offset + f64::from(n * n % 7)).collect();
            let labels: Vec<f64> = (0..6).map(|n| offset + f64::from(n) + 0.5).collect();
            let expected = Scaling::fit(ScalingKind::Standard, &numbers);
            let expected: Vec<f32> = numbers.iter().map(|number| expected.scale(*number) as f32).collect();
            for (format, labelled) in in_every_format(&numbers, &labels) {
                let values: Vec<f64> = labelled.input.values(&[0, 1, 2, 3, 4, 5], 0).collect();
                let scaling = Scaling::fit_rounded(ScalingKind::Standard, &values, labelled.input.precision());
                let Labels::Values(read) = &labelled.labels else { panic!("{format}: {:?}", labelled.labels) };
                assert!(read.iter().eq(&labels), "{format}, {offset}: {read:?}");
                let SequenceInputs::Dense(scaled) = labelled.scaled(&[scaling]).unwrap().input else { panic!() };
                assert!(
                    (0..6).flat_map(|of| scaled.numbers(of)).map(|number| number as f32).eq(expected.iter().copied()),
                    "{format}, {offset}: {scaled:?}"
                );
            }
        }
    }

    #[cfg(feature = "csv")]
    #[test]
    fn missing_value_words_are_the_same_in_every_text_format() {
        use crate::data::SeriesTable;
        let words = ["?", "NA", "n/a", "NaN", "-nan", "null", "None", "#N/A", "<NA>", "."];
        let options = ReadOptions { missing: MissingPolicy::Forward, ..ReadOptions::default() };
        for (word, is_one) in
            words.iter().map(|word| (*word, true)).chain([("-", false), ("x", false), ("#REF!", false)])
        {
            let files = [
                ("a.ts", format!("@classLabel true a b\n@data\n1,{word},3:a\n")),
                ("a.tsv", format!("b\t1\t{word}\t3\n")),
                ("a.csv", format!("id,time,label,v\n1,1,a,1\n1,2,a,{word}\n1,3,a,3\n")),
            ];
            for (path, text) in &files {
                let read = LabelledSequences::from_bytes(text.as_bytes(), Path::new(path), None, &options);
                if is_one {
                    assert!(read.unwrap().input.values(&[0], 0).eq([1.0, 1.0, 3.0]), "{word:?}, {path}")
                } else {
                    assert!(read.unwrap_err().to_string().contains("expected a finite number"), "{word:?}, {path}")
                }
            }
            let text = format!("t,v\n1,1\n2,{word}\n3,3\n");
            let read = SeriesTable::from_csv(text.as_bytes(), Path::new("a.csv"), &["v"], None);
            assert_eq!(read.map(|table| table.columns[0].values[1].is_nan()).ok(), is_one.then_some(true), "{word:?}");
        }
    }

    #[cfg(not(feature = "npz"))]
    #[test]
    fn a_format_that_is_not_compiled_in_is_refused_with_its_feature() {
        let error = read(b"PK\x03\x04", "a.npz", None).unwrap_err();
        assert!(error.ends_with("which needs the feature `npz` of bptt"), "{error}");
    }
}
