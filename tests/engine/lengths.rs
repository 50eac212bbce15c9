//! Bounds on the length of files, functions and impl blocks of `src/`, so that each can be read at a sitting.
//!
//! Tests do not count. The code is formatted by rustfmt, so an item ends at the first `}` with the indentation of its
//! first line.

use std::fs;
use std::path::{Path, PathBuf};

use crate::floors::{is_test, rust_files};

const FILE: usize = 500;
const FUNCTION: usize = 80;
const IMPL: usize = 300;

/// Items that read better in one piece: the file, the first line of the item (empty for the file itself), and the
/// reason.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

struct Item {
    file: String,
    /// The first line; empty for a file.
    line: String,
    length: usize,
    limit: usize,
}

/// The lines of a file without its module of tests.
fn without_tests(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    let is_tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{');
    while let Some(begin) = lines.windows(2).position(is_tests) {
        let length = lines[begin..].iter().position(|line| *line == "}").unwrap();
        lines.drain(begin..=begin + length);
    }
    lines
}

/// The limit of the item that begins with a line, if it is a function or an impl block.
fn limit(line: &str) -> Option<usize> {
    let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with("//")).collect();
    let qualifiers = |word: &&&str| word.starts_with("pub") || ["const", "async", "unsafe", "in"].contains(*word);
    let first = words.iter().find(|word| !qualifiers(word) && !word.ends_with(')'))?;
    match *first {
        "fn" => Some(FUNCTION),
        word if word == "impl" || word.starts_with("impl<") => Some(IMPL),
        _ => None,
    }
}

/// A file and its functions and impl blocks, with their lengths.
fn items(file: &str, text: &str) -> Vec<Item> {
    let lines = without_tests(text);
    let mut items = vec![Item { file: file.into(), line: String::new(), length: lines.len(), limit: FILE }];
    for (begin, line) in lines.iter().enumerate() {
        let Some(limit) = limit(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest == "}" || rest == "};");
        // An item of one line ends there, and a declaration without a body at its semicolon.
        let is_short = |line: &&str| line.starts_with(indent) && (line.ends_with(';') || line.ends_with('}'));
        let length = if is_short(line) { 1 } else { 1 + lines[begin..].iter().position(ends).unwrap_or(0) };
        items.push(Item { file: file.into(), line: line.trim().into(), length, limit });
    }
    items
}

#[test]
fn files_functions_and_impl_blocks_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = Vec::new();
    rust_files(&root.join("src"), &mut files);
    let mut all = Vec::new();
    for path in files.iter().filter(|path| !is_test(path.strip_prefix(root).unwrap())) {
        let name = path.strip_prefix(root).unwrap().display().to_string().replace('\\', "/");
        all.extend(items(&name, &fs::read_to_string(path).unwrap()));
    }
    assert!(all.len() > 2000, "{} items", all.len());
    let is_exception = |item: &Item| EXCEPTIONS.iter().any(|(file, line, _)| item.file == *file && item.line == *line);
    let long: Vec<&Item> = all.iter().filter(|item| item.length > item.limit).collect();
    let text = |item: &&Item| format!("{} {}: {} lines, at most {}", item.file, item.line, item.length, item.limit);
    let new: Vec<String> = long.iter().filter(|item| !is_exception(item)).map(text).collect();
    assert!(new.is_empty(), "too long; split where the topics change:\n{}", new.join("\n"));
    for (file, line, _) in EXCEPTIONS {
        let is_long = long.iter().any(|item| item.file == file && item.line == line);
        assert!(is_long, "{file} {line} is short enough: remove the exception");
    }
}

#[test]
fn lengths_are_counted_from_first_to_last_line_without_tests() {
    let text = "pub(crate) fn short() {}\n\nimpl<T> A for B {\n    async fn long(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n}\n\n\
                #[cfg(test)]\nmod tests {\n    fn not_counted() {\n    }\n}\n";
    let items = items("a.rs", text);
    let lengths: Vec<(&str, usize)> = items.iter().map(|item| (item.line.as_str(), item.length)).collect();
    let want = [("", 10), ("pub(crate) fn short() {}", 1), ("impl<T> A for B {", 7), ("async fn long(", 5)];
    assert_eq!(lengths, want);
}
