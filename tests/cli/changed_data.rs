//! Data that changed since a run began: whatever moved between files or changed its name, the run is not gone on with.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::common::program::{read, refused, succeeds, train};

const TINY: &str = "--hidden 3 --batch 8 --epochs 1";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

/// The run `a`, as one that was stopped before its end was told.
fn reopen(folder: &Path) {
    let _ = fs::remove_file(folder.join("a/checkpoints/finished"));
}

/// Neither a resumed run nor a repeated one takes the files as they are now.
#[track_caller]
fn is_refused(folder: &Path, parts: &[&str]) {
    for arguments in ["train --resume a", "train --config a/config.toml --device cpu"] {
        reopen(folder);
        refused(folder, arguments, 1, parts);
    }
}

/// Lines of a class and two numbers, without a header.
fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{}\t{}\t{}\n", n % 2, n % 2, n * 7 % 5)).collect()
}

#[test]
fn rows_moved_from_the_test_file_to_the_training_file_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (training, test) = (lines(0..24), lines(24..32));
    let put = |training: &[String], test: &[String]| {
        write(folder, "a_TRAIN.tsv", &training.concat());
        write(folder, "a_TEST.tsv", &test.concat());
    };
    put(&training, &test);
    train(folder, "a", &format!("sequences a_TRAIN.tsv --test-file a_TEST.tsv {TINY}"));
    put(&[&training[..], &test[..3]].concat(), &test[3..]);
    let words =
        ["a_TRAIN.tsv", "expected the files as the run had them, by names, lengths and bytes", "sequences FILE"];
    is_refused(folder, &words);
    put(&training[..20], &[&training[20..], &test[..]].concat());
    is_refused(folder, &words);
    put(&test, &training);
    is_refused(folder, &words);
    // Elsewhere they are the same ones.
    put(&training, &test);
    fs::create_dir(folder.join("moved")).unwrap();
    ["a_TRAIN.tsv", "a_TEST.tsv"]
        .iter()
        .for_each(|name| fs::rename(folder.join(name), folder.join("moved").join(name)).unwrap());
    reopen(folder);
    succeeds(folder, "train sequences moved/a_TRAIN.tsv --resume a --test-file moved/a_TEST.tsv");
    fs::rename(folder.join("moved/a_TEST.tsv"), folder.join("moved/other.tsv")).unwrap();
    reopen(folder);
    let renamed = "train sequences moved/a_TRAIN.tsv --resume a --test-file moved/other.tsv";
    refused(folder, renamed, 1, &["by names, lengths and bytes"]);
}

#[test]
fn letters_moved_between_classes_and_renamed_files_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("words")).unwrap();
    let mut words = [String::new(), String::new()];
    for n in 0..12 {
        writeln!(words[0], "a{n}").unwrap();
        writeln!(words[1], "bee{n}").unwrap();
    }
    let put = |a: &str, b: &str| {
        write(folder, "words/a.txt", a);
        write(folder, "words/b.txt", b);
    };
    put(&words[0], &words[1]);
    train(folder, "a", &format!("classes words {TINY}"));
    // One behind the other, with the names before them, the bytes are the same: b is a name and a letter.
    put(&format!("{}b", words[0]), words[1].strip_prefix('b').unwrap());
    is_refused(folder, &["words", "by names, lengths and bytes", "classes FOLDER"]);
    put(&words[1], &words[0]);
    is_refused(folder, &["words"]);
    put(&words[0], &words[1]);
    fs::rename(folder.join("words/b.txt"), folder.join("words/c.txt")).unwrap();
    is_refused(folder, &["words"]);
    fs::rename(folder.join("words/c.txt"), folder.join("words/b.txt")).unwrap();
    reopen(folder);
    succeeds(folder, "train --resume a");
}

#[test]
fn a_digest_of_joined_files_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a_TRAIN.tsv", &lines(0..24).concat());
    write(folder, "a_TEST.tsv", &lines(24..32).concat());
    train(folder, "a", &format!("sequences a_TRAIN.tsv --test-file a_TEST.tsv {TINY}"));
    let config = read(folder, "a/config.toml");
    let digest = config.lines().find_map(|line| line.strip_prefix("sha256 = ")).unwrap().trim_matches('"');
    // That of the bytes of both, one behind the other.
    let joined = "0b59bd12c83d6862d26307ca3ace4de11efc020f51cc740d64d62fc4ecd1dc2f";
    write(folder, "old.toml", &config.replace(digest, joined));
    let words = ["a_TRAIN.tsv", joined, "without the borders between them", "bptt train sequences FILE --config"];
    refused(folder, "train --config old.toml --device cpu", 1, &words);
    // As it says.
    let named = "sequences a_TRAIN.tsv --config old.toml --test-file a_TEST.tsv";
    train(folder, "new", named);
    assert!(read(folder, "new/config.toml").contains(digest));
    train(folder, "single", &format!("sequences a_TRAIN.tsv {TINY}"));
    assert!(
        read(folder, "single/config.toml")
            .contains("sha256 = \"b910cd2043665492a8a4daac12ec95258544c9d753fc7fd3e25a1037d780ba4b\"")
    );
}
