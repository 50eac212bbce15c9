//! Lines of text with classes, one file per class.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use crate::data::input::encoding;
use crate::data::input::file::MemoryUse;
use crate::data::{InputLimit, LabelledSequences, Labels, SequenceInputs, Vocabulary, read_input};
use crate::error::{Error, Result};

/// Lines of text with one class each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledLines {
    classes: Vec<String>,
    of: Vec<u32>,
    lines: Vec<String>,
    /// The number of each line in its file.
    numbers: Vec<usize>,
    /// The numbers of blank lines in all files.
    blank: Vec<usize>,
}

impl LabelledLines {
    /// Reads the files `*.txt` of a folder in UTF-8. Each file is a class, named after the file without `.txt`, in the
    /// order of the names; each line is a sequence, trimmed. Blank lines are skipped and counted. A file instead of a
    /// folder has lines without classes. `each` receives the path and all bytes of every file.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder or a file cannot be read; [`Error::Data`] if there is no file, if one has no lines
    /// or is not UTF-8, with the line and the byte offset, and if all files together exceed `limit`.
    pub fn read(path: &Path, limit: InputLimit, each: &mut dyn FnMut(&Path, &[u8])) -> Result<Self> {
        // Of all files together.
        let mut left = limit;
        let mut content = |path: &Path| {
            let bytes = read_input(path, left)?;
            left.0 -= bytes.len() as u64;
            Ok::<_, Error>(bytes)
        };
        let mut read = Self::default();
        let mut memory = MemoryUse::new(limit, path, "in memory for its lines");
        // Something that is neither a folder nor a file is refused here.
        if !path.is_dir() {
            let bytes = content(path)?;
            each(path, &bytes);
            read.add(&bytes, path, &mut memory)?;
            return Ok(read);
        }
        let mut files = files(path)?;
        files.sort();
        if files.is_empty() {
            return Err(Error::data(path, "", "expected a file NAME.txt for each class, got none"));
        }
        for (name, path) in files {
            let bytes = content(&path)?;
            each(&path, &bytes);
            read.class(name, &bytes, &path, &mut memory)?;
        }
        Ok(read)
    }

    /// Adds a class with the lines of its file.
    fn class(&mut self, name: String, bytes: &[u8], path: &Path, memory: &mut MemoryUse<'_>) -> Result<()> {
        self.add(bytes, path, memory)?;
        self.of.resize(self.lines.len(), self.classes.len() as u32);
        self.classes.push(name);
        Ok(())
    }

    fn add(&mut self, bytes: &[u8], path: &Path, memory: &mut MemoryUse<'_>) -> Result<()> {
        // For each line its text and number, and later a token per character.
        const OF_LINE: usize = size_of::<String>() + size_of::<usize>() + size_of::<Vec<u32>>();
        let before = self.lines.len();
        for (line, number) in encoding::utf8(bytes, path)?.lines().map(str::trim).zip(1..) {
            if line.is_empty() {
                self.blank.push(number)
            } else {
                memory.add(OF_LINE + line.len() * (1 + size_of::<u32>()))?;
                self.lines.push(line.into());
                self.numbers.push(number);
            }
        }
        if self.lines.len() == before { Err(Error::data(path, "", "expected lines of text, got none")) } else { Ok(()) }
    }

    /// The lines, by class.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The numbers of blank lines, counted from 1 in each file, one file after the other. For a folder only their count
    /// is meaningful, since the files are not recorded.
    pub fn blank(&self) -> &[usize] {
        &self.blank
    }

    /// The class of each line, if there are classes.
    pub fn labels(&self) -> Labels {
        if self.classes.is_empty() {
            Labels::None
        } else {
            Labels::Classes { names: self.classes.clone(), of: self.of.clone() }
        }
    }

    /// The number of lines that repeat an earlier one of their class.
    pub fn repeats(&self) -> usize {
        self.lines.len() - self.distinct().len()
    }

    /// Training, validation and test, in this order: the indices of the lines in each split, drawn from `seed`.
    /// Duplicate lines of a class stay together, so that no training line is tested; otherwise like [`Labels::split`],
    /// with each distinct line counted once.
    ///
    /// # Errors
    /// Those of [`Labels::split`].
    pub fn split(&self, shares: [f64; 3], seed: u64) -> Result<[Vec<usize>; 3]> {
        let distinct = self.distinct();
        let labels = match self.labels() {
            Labels::Classes { names, of } => {
                Labels::Classes { names, of: distinct.iter().map(|equal| of[equal[0]]).collect() }
            }
            other => other,
        };
        let parts = labels.split(distinct.len(), shares, seed)?;
        Ok(parts.map(|part| {
            let mut lines: Vec<usize> = part.iter().flat_map(|line| distinct[*line].iter().copied()).collect();
            lines.sort_unstable();
            lines
        }))
    }

    /// The indices of equal lines of a class, in the order of the first of each.
    fn distinct(&self) -> Vec<Vec<usize>> {
        let mut distinct = Vec::<Vec<usize>>::new();
        let mut index = HashMap::<(Option<&u32>, &String), usize>::new();
        for (number, line) in self.lines.iter().enumerate() {
            match index.entry((self.of.get(number), line)) {
                Entry::Occupied(entry) => distinct[*entry.get()].push(number),
                Entry::Vacant(entry) => {
                    entry.insert(distinct.len());
                    distinct.push(vec![number]);
                }
            }
        }
        distinct
    }

    /// The lines as sequences of token ids.
    pub fn labelled(&self, vocabulary: &Vocabulary) -> LabelledSequences {
        let tokens = self.lines.iter().map(|line| vocabulary.encode(line)).collect();
        LabelledSequences {
            lines: self.numbers.clone(),
            ..LabelledSequences::new(SequenceInputs::Tokens(tokens), self.labels())
        }
    }
}

/// The classes of a folder and their files.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let io = |source| Error::Io { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_none_or(|extension| extension != "txt") || !path.is_file() {
            continue;
        }
        match path.file_stem().and_then(|name| name.to_str()) {
            Some(name) => files.push((name.to_owned(), path)),
            None => return Err(Error::data(&path, "", "expected a class's name in UTF-8, got another file name")),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::model::uniform;

    fn unbound() -> MemoryUse<'static> {
        MemoryUse::new(InputLimit::default(), Path::new("a"), "in memory")
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
        folder
    }

    fn refusal(files: &[(&str, &[u8])]) -> String {
        LabelledLines::read(folder(files).path(), InputLimit::default(), &mut |_, _| {}).unwrap_err().to_string()
    }

    #[test]
    fn each_file_is_a_class_and_each_line_a_sequence() {
        let folder = folder(&[
            ("b.c.txt", "\u{feff}Müller\r\n\r\n  \t\nAbt \n".as_bytes()),
            ("a.txt", b"x\ny"),
            ("notes.md", b"\xFF"),
            ("z.txt", b"last\n"),
        ]);
        std::fs::create_dir(folder.path().join("folder.txt")).unwrap();
        let mut all = Vec::new();
        let lines = LabelledLines::read(folder.path(), InputLimit::default(), &mut |path, bytes| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            all.push((name, String::from_utf8(bytes.to_vec()).unwrap()));
        });
        let lines = lines.unwrap();
        assert_eq!(lines.lines(), ["x", "y", "Müller", "Abt", "last"]);
        assert_eq!(lines.blank(), [2, 3]);
        let read = [("a.txt", "x\ny"), ("b.c.txt", "\u{feff}Müller\r\n\r\n  \t\nAbt \n"), ("z.txt", "last\n")];
        assert_eq!(all, read.map(|(name, bytes)| (name.to_owned(), bytes.to_owned())));
        let names = ["a", "b.c", "z"].map(String::from).to_vec();
        let labels = Labels::Classes { names, of: vec![0, 0, 1, 1, 2] };
        assert_eq!(lines.labels(), labels);
        let vocabulary = Vocabulary::characters(&"xyMlera".chars().collect(), 1).unwrap();
        let labelled = lines.labelled(&vocabulary);
        let SequenceInputs::Tokens(tokens) = &labelled.input else { panic!() };
        assert_eq!(tokens[..3], [vec![5], vec![6], vec![0, 7, 3, 3, 2, 4]]);
        assert_eq!((labelled.labels, labelled.lines), (labels, vec![1, 2, 1, 4, 1]));
    }

    #[test]
    fn written_lines_are_read_back() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut below = |n: usize| (uniform(&mut rng) * n as f64) as usize;
        for _ in 0..1000 {
            let mut expected = Vec::new();
            let mut written = [String::new(), String::new()];
            for text in &mut written {
                for _ in 0..=below(6) {
                    let line: String = (0..=below(9)).map(|_| ['a', 'ß', '漢', '🦀', ','][below(5)]).collect();
                    text.push_str(&line);
                    text.push_str(["\n", "\r\n", "\n\n", " \n \r\n"][below(4)]);
                    expected.push(line);
                }
            }
            let mut lines = LabelledLines::default();
            for text in &written {
                lines.class("a".into(), text.as_bytes(), Path::new("a.txt"), &mut unbound()).unwrap();
            }
            assert_eq!(lines.lines(), expected);
        }
    }

    #[test]
    fn corrupted_files_are_read_or_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut below = |n: usize| (uniform(&mut rng) * n as f64) as usize;
        let valid = "Ärger\nÖl\r\nzwölf\n漢字\n".as_bytes();
        let mut refused = 0;
        for _ in 0..2000 {
            let mut bytes = valid.to_vec();
            (0..below(3)).for_each(|_| bytes[below(valid.len())] = below(256) as u8);
            bytes.truncate(below(valid.len() + 1));
            let mut lines = LabelledLines::default();
            match lines.class("b".into(), &bytes, Path::new("b.txt"), &mut unbound()) {
                Ok(()) => assert!(!lines.lines().is_empty() && lines.lines().iter().all(|line| !line.is_empty())),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().starts_with("b.txt"), "{error}");
                }
            }
        }
        assert!((400..1600).contains(&refused), "{refused}");
    }

    #[test]
    fn a_line_of_ten_million_characters_is_one_sequence() {
        let long = vec![b'a'; 10_000_000];
        let lines = LabelledLines::read(
            folder(&[("a.txt", &long), ("b.txt", b"b")]).path(),
            InputLimit::default(),
            &mut |_, _| {},
        )
        .unwrap();
        assert_eq!(lines.lines()[0].len(), 10_000_000);
    }

    #[test]
    fn duplicate_lines_of_a_class_share_a_split() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut below = |n: usize| (uniform(&mut rng) * n as f64) as usize;
        let mut lines = LabelledLines::default();
        for class in ["a", "b"] {
            let text: String = (0..300).map(|_| format!("{}\n", below(100))).collect();
            lines.class(class.into(), text.as_bytes(), Path::new(class), &mut unbound()).unwrap();
        }
        let mut across = false;
        for seed in 0..10 {
            let parts = lines.split([0.6, 0.2, 0.2], seed).unwrap();
            assert!(parts.iter().all(|part| part.is_sorted()));
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..600).collect::<Vec<_>>());
            let texts = |part: &[usize], class| -> BTreeSet<&String> {
                part.iter().filter(|line| lines.of[**line] == class).map(|line| &lines.lines[*line]).collect()
            };
            for class in [0, 1] {
                let [training, validation, test] = [0, 1, 2].map(|part| texts(&parts[part], class));
                assert!(training.is_disjoint(&validation) && training.is_disjoint(&test));
                assert!(validation.is_disjoint(&test));
                // Each part has its share of what is different.
                let all = (training.len() + validation.len() + test.len()) as f64;
                assert!((training.len() as f64 - 0.6 * all).abs() < 1.0, "{} of {all}", training.len());
            }
            across |= !texts(&parts[0], 0).is_disjoint(&texts(&parts[2], 1));
        }
        assert!(across);
        let distinct: BTreeSet<_> = lines.of.iter().zip(&lines.lines).collect();
        assert_eq!(lines.repeats(), 600 - distinct.len());
    }

    #[test]
    fn unique_lines_are_split_stratified_by_class() {
        let mut lines = LabelledLines::default();
        for class in ["a", "b"] {
            let text: String = (0..40).map(|n| format!("{n}\n")).collect();
            lines.class(class.into(), text.as_bytes(), Path::new(class), &mut unbound()).unwrap();
        }
        let shares = [0.7, 0.15, 0.15];
        assert_eq!(lines.split(shares, 4).unwrap(), lines.labels().split(80, shares, 4).unwrap());
        assert_eq!(lines.repeats(), 0);
    }

    #[test]
    fn a_single_file_has_lines_without_classes() {
        let folder = folder(&[("a.txt", b"x\n\ny\n")]);
        let lines = LabelledLines::read(&folder.path().join("a.txt"), InputLimit::default(), &mut |_, _| {}).unwrap();
        assert_eq!((lines.lines(), lines.labels()), (&["x".to_owned(), "y".to_owned()][..], Labels::None));
    }

    #[test]
    fn a_folder_without_classes_and_files_without_lines_are_refused() {
        assert!(refusal(&[("b.md", b"x")]).ends_with("expected a file NAME.txt for each class, got none"));
        let empty = refusal(&[("a.txt", b"x"), ("b.txt", b" \r\n\n")]);
        assert!(empty.ends_with("b.txt: expected lines of text, got none"), "{empty}");
        assert!(matches!(
            LabelledLines::read(Path::new("/nowhere/at/all"), InputLimit::default(), &mut |_, _| {}),
            Err(Error::Io { .. })
        ));
    }

    #[test]
    fn another_encoding_is_named_by_file_line_and_offset() {
        let error = refusal(&[("a.txt", b"x"), ("b.txt", b"one\ntw\xF6")]);
        assert!(error.contains("b.txt, line 2, byte offset 6: expected UTF-8 text, got the byte 0xF6"), "{error}");
    }
}
