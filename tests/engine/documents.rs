//! The documents name files, functions and each other: each of them exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the repository that a path in a document may begin with.
const FOLDERS: [&str; 10] =
    ["src/", "shaders/", "tests/", "docs/", "scripts/", "examples/", "benches/", "fuzz/", ".ci/", ".github/"];

/// Those that the archive of a release lacks: other packages, and what is for the repository's host.
const NOT_PACKAGED: [&str; 3] = ["fuzz/", "scripts/shader-stats", ".github/"];

/// Pages whose tables have a file in the first cell and, in the second, names from that file.
const PAGES_OF_NAMES: [&str; 3] = ["docs/adding-a-cell.md", "docs/adding-a-loss.md", "docs/adding-a-kind-of-data.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README.md and its like, and the pages of the manual.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["", "docs"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                found.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
            }
        }
    }
    found.sort();
    found
}

/// The lines of a document without fenced blocks, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((number, line))
    })
}

/// What stands between backticks in a line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A path from the root of the repository, where the text is one: a file or folder below one of the folders, or any
/// source.
fn source_path(text: &str) -> Option<&str> {
    let is_path = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let is_source = [".rs", ".wgsl", ".py"].iter().any(|ending| text.ends_with(ending));
    let is_below = FOLDERS.iter().any(|folder| text.starts_with(folder));
    (is_path && (is_source || is_below)).then_some(text)
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut missing = Vec::new();
    let mut count = 0;
    // Cargo writes this file into an archive.
    let is_archive = root().join(".cargo_vcs_info.json").exists();
    let is_left_out = |path: &str| is_archive && NOT_PACKAGED.iter().any(|folder| path.starts_with(folder));
    // What has been is not there any more.
    for document in documents().iter().filter(|document| *document != "CHANGELOG.md") {
        for (number, line) in prose(&read(document)) {
            for path in code(line).filter_map(source_path).filter(|path| !is_left_out(path)) {
                count += 1;
                if !root().join(path).exists() {
                    missing.push(format!("{document}:{number}: {path}"));
                }
            }
        }
    }
    assert!(count > 150, "{count}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_link_between_the_documents_resolves() {
    let mut missing = Vec::new();
    let mut count = 0;
    for document in documents() {
        let folder = Path::new(&document).parent().unwrap();
        for (number, line) in prose(&read(&document)) {
            let targets = line.match_indices("](").map(|(at, _)| line[at + 2..].split(')').next().unwrap());
            for target in targets.filter(|target| !target.contains("://")) {
                count += 1;
                let (path, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = if path.is_empty() { PathBuf::from(&document) } else { folder.join(path) };
                let is_there = root().join(&path).exists();
                let is_anchor = || {
                    prose(&read(path.to_str().unwrap())).any(|(_, line)| {
                        line.starts_with('#') && anchor(line.trim_start_matches('#').trim()) == heading
                    })
                };
                if !is_there || !heading.is_empty() && !is_anchor() {
                    missing.push(format!("{document}:{number}: {target}"));
                }
            }
        }
    }
    assert!(count > 40, "{count}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn pages_of_the_manual_link_only_to_each_other() {
    let mut outside = Vec::new();
    for document in documents().iter().filter(|document| document.starts_with("docs/")) {
        for (number, line) in prose(&read(document)) {
            if line.contains("](../") || line.contains("](/") {
                outside.push(format!("{document}:{number}: {line}"));
            }
        }
    }
    assert!(outside.is_empty(), "{outside:#?}");
}

#[test]
fn the_pages_for_contributors_name_existing_items() {
    let mut missing = Vec::new();
    let mut count = 0;
    for page in PAGES_OF_NAMES {
        for (number, line) in prose(&read(page)).filter(|(_, line)| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').collect();
            let text: String = code(cells[1]).filter_map(source_path).map(read).collect();
            let words: BTreeSet<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
            for name in code(cells[2]).filter(is_name) {
                count += 1;
                if !name.split("::").all(|part| words.contains(part)) {
                    missing.push(format!("{page}:{number}: {} has no {name}", cells[1].trim()));
                }
            }
        }
    }
    assert!(count > 80, "{count}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_contents_list_every_page_of_the_manual() {
    let contents = read("docs/SUMMARY.md");
    for page in documents().iter().filter_map(|document| document.strip_prefix("docs/")) {
        let listed = contents.matches(&format!("({page})")).count();
        assert_eq!(listed, usize::from(page != "SUMMARY.md"), "docs/SUMMARY.md lists {page} {listed} times");
    }
}
