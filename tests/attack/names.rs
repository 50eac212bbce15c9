//! Names of files, columns and classes that are hard to write, to print and to hold.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::call::{cut, is_control};
use super::case::{Case, each};
use super::changes::{argument, word};
use super::runs::data;
use super::tree::Tree;

/// A file's name, without an ending.
fn name(case: &Case<'_>) -> OsString {
    let names: [&[u8]; 16] = [
        b"\xff\xfe",
        b"caf\xe9",
        b"a\nb",
        b"\n",
        b"\x1b[31mred\x1b[0m",
        b"\x1b]0;title\x07",
        b"a\rb\tc",
        "\u{202e}gpj".as_bytes(),
        b"-x",
        b" ",
        b"it's \"quoted\"",
        b"$(touch x)`touch y`;touch z",
        b"<script>alert(1)</script>&amp;".split_at(8).0,
        b"{}%s%n",
        "\u{9b}2J".as_bytes(),
        &[b'n'; 200],
    ];
    OsString::from_vec(case.pick(&names).to_vec())
}

/// Whether no picture and page of a run has what a terminal or a browser would take for more than text.
fn pages_are_text(run: &Path) -> Result<(), String> {
    for path in Tree::of(run).files() {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !["svg", "html"].contains(&ending) {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(run.join(path)).unwrap_or_default()).into_owned();
        if let Some(at) = text.find(|c| is_control(c) && c != '\r') {
            return Err(format!(
                "{path:?} has the control character in {:?}",
                cut(&text[at..].chars().take(30).collect::<String>())
            ));
        }
        if text.contains("<script>alert(1)") {
            return Err(format!("{path:?} has markup that comes from data"));
        }
    }
    Ok(())
}

/// Takes a run in the folder `out` through everything that a run can be given to; each goes or is refused.
fn through_all(case: &Case<'_>, out: &OsString) -> Result<(), String> {
    let path = Path::new(".").join(out);
    let run = |words: &str, more: &str| case.bptt(words).word(&path).words(more).go();
    let cpu = "--device cpu --threads 1";
    for (words, more) in [
        ("eval", cpu.to_owned()),
        ("eval --json", cpu.into()),
        ("predict", format!("{cpu} --out predicted.csv")),
        ("inspect", String::new()),
        ("inspect --json", String::new()),
        ("export", "out.onnx".into()),
        ("flow --json", cpu.into()),
        ("forecast", format!("{cpu} --rows 2 --svg forecast.svg")),
        ("sample", format!("{cpu} --length 40")),
        ("plan", cpu.into()),
        ("plan --json", cpu.into()),
    ] {
        if case.chance(60) {
            run(words, &more)?;
        }
    }
    let resume = |words: &str| case.bptt(words).words("--resume").word(&path).changes(out).go();
    resume("train --json")?;
    // As one that was killed before it was over.
    let _ = fs::remove_file(case.folder().join(out).join("checkpoints/finished"));
    resume("train --threads 1")?;
    case.bptt("train --threads 1 --device cpu --out longer --resume").word(&path).words("--epochs 3").go()?;
    case.bptt("train --threads 1 --device cpu --out repeated --config").word(path.join("config.toml")).go()?;
    for run in [Path::new(out), Path::new("longer"), Path::new("repeated"), Path::new("")] {
        pages_are_text(&case.folder().join(run))?;
    }
    Ok(())
}

#[test]
fn files_with_any_name_are_read_written_and_printed_as_text_or_refused() {
    each("odd paths", 20, |case| {
        data(case.folder());
        let (file, flags) = case.pick(&[
            ("series.csv", "--target a,b --missing ffill --window 3"),
            ("text.txt", "--window 8"),
            ("classes.ts", ""),
            ("values.csv", "--labels-as values"),
            ("rolls.json", ""),
            ("names", ""),
        ]);
        let flag = match file {
            "series.csv" => "--csv=",
            "text.txt" => "--text=",
            "rolls.json" => "--rolls=",
            "names" => "--classes=",
            _ => "--sequences=",
        };
        let mut own = name(case);
        if let Some((_, ending)) = file.rsplit_once('.') {
            own.push(format!(".{ending}"));
        }
        fs::rename(case.folder().join(file), case.folder().join(&own)).unwrap();
        let mut out = name(case);
        out.push("-run");
        let mut data = OsString::from(flag);
        data.push(Path::new(".").join(&own));
        let mut to = OsString::from("--out=");
        to.push(Path::new(".").join(&out));
        let json = if case.chance(50) { "--json" } else { "" };
        let words = format!("train {flags} --hidden 3 --batch 8 --epochs 1 --device cpu --threads 1 {json}");
        let ended = case.bptt(&words).word(data).word(&to).go()?;
        if ended.code == 0 {
            through_all(case, &out)?;
        }
        Ok(())
    });
}

/// As a field of comma-separated text.
fn field(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\"\"").replace('\0', ""))
}

#[test]
fn columns_and_classes_with_any_name_are_printed_as_text_or_refused() {
    each("odd names in data", 30, |case| {
        data(case.folder());
        let write = |file: &str, text: &str| fs::write(case.folder().join(file), text).unwrap();
        let (odd, other) = (word(case), word(case));
        let plain = |word: &str| word.replace([' ', '\n', '\t', '\r', ':', '\0', ','], "_");
        let flags = match case.below(6) {
            0 => {
                let rows: String = (0..50).map(|row| format!("{row},{},{}\n", row * 7 % 10, row % 5)).collect();
                write("odd.csv", &format!("{},{},{}\n{rows}", field(&other), field(&odd), field(&format!("{odd}2"))));
                "series odd.csv --window 3 --features all --horizon 2"
            }
            1 => {
                let rows: String =
                    (0..24).map(|n| format!("{},{}:{}\n", n % 7, n % 3, plain([&odd, &other, "c"][n % 3]))).collect();
                write("odd.ts", &format!("@classLabel true {} {} c\n@data\n{rows}", plain(&odd), plain(&other)));
                "sequences odd.ts"
            }
            2 => {
                let label = |n: usize| field([odd.as_str(), other.as_str(), "c"][n % 3]);
                let rows: String = (0..24)
                    .flat_map(|n| (0..3).map(move |t| (n, t)))
                    .map(|(n, t)| format!("{},{t},{},{},{}\n", field(&format!("{odd}{n}")), label(n), n % 7, t))
                    .collect();
                write("odd.csv", &format!("id,time,label,{},{}\n{rows}", field(&odd), field(&format!("{other}2"))));
                "sequences odd.csv --labels-as classes"
            }
            3 => {
                let text: String =
                    (0..60).map(|n| format!("{n} {} {} \n", cut_to(&odd, 40), cut_to(&other, 40))).collect();
                write("odd.txt", &text);
                "text odd.txt --window 8"
            }
            4 => {
                // A class is called what its file is.
                let class: String = plain(&odd).replace('/', "_").chars().take(60).collect();
                fs::create_dir(case.folder().join("odd")).unwrap();
                let lines: String =
                    (0..20).map(|n| format!("{}{n}\n", cut_to(&other, 20).replace('\n', " "))).collect();
                write(&format!("odd/a{class}.txt"), &lines);
                write("odd/b.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\n");
                "classes odd"
            }
            _ => {
                let rows: String =
                    (0..50).map(|row| format!("{},{}\n", field(&format!("{odd}{row}")), row * 7 % 10)).collect();
                write("odd.csv", &format!("{},x\n{rows}", field(&other)));
                "series odd.csv --window 3 --train-until 30"
            }
        };
        let json = if case.chance(50) { "--json" } else { "" };
        let words = format!("train {flags} --hidden 3 --batch 8 --epochs 1 --device cpu --threads 1 --out run {json}");
        let ended = case.bptt(&words).go()?;
        if ended.code == 0 {
            through_all(case, &"run".into())?;
        }
        Ok(())
    });
}

fn cut_to(word: &str, characters: usize) -> String {
    word.chars().take(characters).collect()
}

#[test]
fn a_missing_file_named_by_a_flag_is_printed_as_text() {
    each("odd values of flags", 40, |case| {
        data(case.folder());
        let odd = if case.chance(50) { name(case) } else { OsString::from_vec(argument(case).into_bytes()) };
        let (words, flag) = case.pick(&[
            ("train --device cpu", "--csv="),
            ("train --device cpu", "--text="),
            ("train --device cpu", "--sequences="),
            ("train --device cpu", "--rolls="),
            ("train --device cpu", "--classes="),
            ("train --device cpu", "--config="),
            ("train --device cpu", "--init-from="),
            ("train --device cpu", "--resume="),
            ("train series series.csv --device cpu", "--target="),
            ("train series series.csv --device cpu --target b", "--features="),
            ("train sequences values.csv --device cpu", "--label="),
            ("train sequences classes.ts --device cpu", "--class-weights="),
            ("train --device cpu", "--train-until="),
            ("train", "--device="),
            ("eval --device cpu", ""),
            ("inspect", ""),
            ("inspect --json", ""),
            ("export", ""),
            ("bench --device cpu", "--compare="),
            ("no-such-command", ""),
            ("train --device cpu --steps 1 --window 3 --hidden 2", "--out=file/"),
        ]);
        fs::write(case.folder().join("file"), "").unwrap();
        let mut last = OsString::from(flag);
        last.push(&odd);
        if flag == "--device=" && ["", " ", "\n"].iter().any(|any| odd.as_bytes() == any.as_bytes()) {
            // It is a part of every device's name.
            return Ok(());
        }
        case.bptt(words).word(last).go()?;
        Ok(())
    });
}
