//! The command lines in the documents are ones that the program understands.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Commands of a document with the lines that they stand in: those of its shell blocks, and those between backticks
/// that have no placeholder.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    // A line that a backslash ends goes on in the next.
    let mut begun = String::new();
    for (line, number) in text.lines().zip(1..) {
        match (line.strip_prefix("```"), block) {
            (Some(_), Some(_)) => block = None,
            (Some(language), None) => block = Some(language),
            (None, Some("sh")) => {
                begun += line.split(" #").next().unwrap_or_default();
                if let Some(begin) = begun.strip_suffix('\\') {
                    begun = begin.to_owned();
                    continue;
                }
                let whole = std::mem::take(&mut begun);
                let command = whole.trim();
                let arguments =
                    ["bptt ", "cargo run --release -- "].iter().find_map(|begin| command.strip_prefix(begin));
                found.extend(arguments.map(|arguments| (number, arguments.to_owned())));
            }
            (None, Some(_)) => {}
            (None, None) => {
                let is_placeholder = |word: &str| word.contains('…') || word.chars().all(|c| c.is_ascii_uppercase());
                let whole = line.split('`').skip(1).step_by(2).flat_map(|code| code.split(" && "));
                let whole = whole.filter_map(|code| code.strip_prefix("bptt "));
                let whole = whole.filter(|arguments| !arguments.split_whitespace().any(is_placeholder));
                found.extend(whole.map(|arguments| (number, arguments.to_owned())));
            }
        }
    }
    found
}

/// The words of a command line, some in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_line_in_the_documents_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md"), root.join("BENCHMARKS.md")];
    paths.extend(root.join("docs").read_dir().unwrap().map(|entry| entry.unwrap().path()));
    let mut count = 0;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        for (line, arguments) in commands(&fs::read_to_string(path).unwrap()) {
            count += 1;
            // With --help at its end a command line is read, and nothing is done.
            let mut command = Command::new(env!("CARGO_BIN_EXE_bptt"));
            let output = command.args(words(&arguments)).arg("--help").output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}, line {line}: bptt {arguments}\n{stderr}", path.display());
        }
    }
    assert!(count > 50, "{count}");
}
