//! Inputs that are no files, never end, or hold more than they seem to.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::case::{Case, each};
use super::changes::change_bytes;
use super::runs::{OUT, RUNS, Run, Wholes, data};
use super::tree::copy;

/// Commands whose last word is a file to read.
const READERS: [&str; 24] = [
    "train --device cpu --threads 1 --steps 1 --out out series",
    "train --device cpu --threads 1 --steps 1 --out out text",
    "train --device cpu --threads 1 --steps 1 --out out text --bytes",
    "train --device cpu --threads 1 --steps 1 --out out sequences",
    "train --device cpu --threads 1 --steps 1 --out out rolls",
    "train --device cpu --threads 1 --steps 1 --out out classes",
    "train sequences x.npy --device cpu --threads 1 --steps 1 --out out --labels",
    "train sequences classes.ts --device cpu --threads 1 --steps 1 --out out --test-file",
    "train series series.csv --device cpu --threads 1 --steps 1 --out out --target a --missing ffill --test-file",
    "train --device cpu --threads 1 --steps 1 --out out --config",
    "train --device cpu --threads 1 --steps 1 --out out --init-from",
    "train --device cpu --threads 1 --out out --resume",
    "plan --device cpu --threads 1 --csv",
    "plan --device cpu --threads 1 --text",
    "eval --device cpu --threads 1 run --csv",
    "predict --device cpu --threads 1 run --csv",
    "forecast --device cpu --threads 1 run --csv",
    "eval --device cpu --threads 1",
    "flow --device cpu --threads 1",
    "inspect",
    "inspect --json",
    "gradcheck --device cpu --threads 1 --elements 1",
    "predict --device cpu --threads 1 names --classes",
    "bench --device cpu --threads 1 --seconds 0.05 --warmup-s 0 --hidden 4 --compare",
];

/// Endings by which the kind of a file is known.
const ENDINGS: [&str; 10] = ["csv", "ts", "npy", "npz", "json", "txt", "safetensors", "toml", "gz", "tsv"];

fn begin(case: &Case<'_>, wholes: &Wholes) -> Result<(), String> {
    data(case.folder());
    copy(&wholes.of(Run::named("sunspots"))?.0.join(OUT), &case.folder().join(OUT));
    Ok(())
}

#[test]
fn special_files_and_endless_inputs_are_read_within_bounds() {
    let wholes = Wholes::default();
    each("odd inputs", 80, |case| {
        begin(case, &wholes)?;
        let path = case.folder().join(format!("odd.{}", case.pick(&ENDINGS)));
        let mut socket = None;
        match case.below(12) {
            0..=2 => symlink("/dev/zero", &path).unwrap(),
            3 => symlink("/dev/null", &path).unwrap(),
            4 => symlink("/dev/urandom", &path).unwrap(),
            5 => symlink(path.file_name().unwrap(), &path).unwrap(),
            6..=8 => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
            9 => socket = Some(UnixListener::bind(&path).unwrap()),
            10 => fs::write(&path, "").unwrap(),
            _ => {
                fs::create_dir(&path).unwrap();
                symlink("/dev/zero", path.join("config.toml")).unwrap();
                symlink("/dev/zero", path.join("model.safetensors")).unwrap();
                symlink("/dev/zero", path.join("a.txt")).unwrap();
                fs::write(path.join("b.txt"), "b\n").unwrap();
            }
        }
        let ended = case.bptt(case.pick(&READERS)).word(path.file_name().unwrap()).go();
        drop(socket);
        ended.map(drop)
    });
}

/// An array as NumPy writes it.
fn npy(shape: &str, bytes: &mut dyn Iterator<Item = u8>) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = format!("{header:<117}\n");
    let mut file = [b"\x93NUMPY\x01\0", &(padded.len() as u16).to_le_bytes()[..], padded.as_bytes()].concat();
    file.extend(bytes);
    file
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    member.write_all(bytes).unwrap();
    member.finish().unwrap()
}

/// Writes a file that has very many of something, or one of it that is very long, `many` told; the flags that read it.
fn large(case: &Case<'_>, many: usize) -> &'static str {
    let write = |name: &str, bytes: &[u8]| fs::write(case.folder().join(name), bytes).unwrap();
    let join = |count: usize, word: &dyn Fn(usize) -> String, between: &str| {
        (0..count).map(word).collect::<Vec<_>>().join(between)
    };
    let lines = |count: usize, line: &dyn Fn(usize) -> String| join(count, &|n| line(n) + "\n", "");
    match case.below(18) {
        0 => {
            // Columns.
            let header = join(many, &|column| format!("c{column}"), ",");
            let row = |row: usize| {
                join(many, &|column| (if column == 0 { row } else { (row * 7 + column) % 9 }).to_string(), ",")
            };
            write("odd.csv", format!("{header}\n{}", lines(40, &row)).as_bytes());
            "series odd.csv --target c1 --features all --window 3"
        }
        1 => {
            // As before, and no target is told.
            let header = join(many, &|column| format!("c{column}"), ",");
            let row = |row: usize| join(many, &|column| (row + column).to_string(), ",");
            write("odd.csv", format!("{header}\n{}", lines(12, &row)).as_bytes());
            "series odd.csv --window 3"
        }
        2 => {
            // A name.
            write(
                "odd.csv",
                format!("t,{}\n{}", "n".repeat(many * 4), lines(60, &|row| format!("{row},{}", row % 7))).as_bytes(),
            );
            "series odd.csv --window 3"
        }
        3 | 4 => {
            // Names of classes, of which few occur.
            let names = join(many, &|class| format!("k{class}"), " ");
            let rows = lines(40, &|n| format!("{},{}:k{}", n % 5, n % 3, n % 4));
            write("odd.ts", format!("@classLabel true {names}\n@data\n{rows}").as_bytes());
            "sequences odd.ts"
        }
        5 | 6 => {
            // Classes that occur.
            let classes = many / 4;
            let names = join(classes, &|class| format!("k{class}"), " ");
            let rows = lines(classes * 4, &|n| format!("{},{}:k{}", n % 5, n % 3, n % classes));
            write("odd.ts", format!("@classLabel true {names}\n@data\n{rows}").as_bytes());
            "sequences odd.ts"
        }
        7 => {
            // A field that does not end.
            write("odd.csv", format!("\"{}", "n".repeat(many * 20)).as_bytes());
            "series odd.csv"
        }
        8 => {
            // Sequences of one byte.
            let rows = many * 20;
            write("x.npy", &npy(&format!("({rows}, 1, 1)"), &mut (0..rows).map(|n| (n % 5) as u8)));
            write("y.npy", &npy(&format!("({rows},)"), &mut (0..rows).map(|n| (n % 2) as u8)));
            "sequences x.npy --labels y.npy --labels-as classes"
        }
        9 => {
            // Zeros shrink to a thousandth, and members of an archive stand behind each other.
            write("odd.ts.gz", &compressed(&vec![0; 8 << 20]).repeat(many / 100));
            "sequences odd.ts.gz"
        }
        10 => {
            // The same of what could be read.
            let begin = compressed(b"@classLabel true a b\n@data\n");
            let rows = compressed("1,2:a\n2,1:b\n".repeat(100_000).as_bytes());
            write("odd.ts.gz", &[begin, rows.repeat(many / 100)].concat());
            "sequences odd.ts.gz --batch 4096"
        }
        11 => {
            // Depth.
            write("odd.json", format!("{{\"train\":[{}]}}", "[".repeat(many)).as_bytes());
            "rolls odd.json"
        }
        12 => {
            // Frames without keys, of one piece.
            write(
                "odd.json",
                format!(
                    "{{\"train\":[[{}]],\"valid\":[[[1],[2]]],\"test\":[[[2],[1]]]}}",
                    vec!["[1]"; many * 4].join(",")
                )
                .as_bytes(),
            );
            "rolls odd.json --batch 1"
        }
        13 => {
            // Characters.
            let text: String = (0..many as u32).filter_map(|n| char::from_u32(0x4e00 + n % 60_000)).collect();
            write("odd.txt", text.as_bytes());
            "text odd.txt --window 8 --steps 1"
        }
        14 => {
            // Sequences by name, of one step.
            let rows = lines(many * 2, &|n| format!("s{n},0,{},{}", ["a", "b"][n % 2], n % 7));
            write("odd.csv", format!("id,time,label,x\n{rows}").as_bytes());
            "sequences odd.csv --labels-as classes --batch 4096"
        }
        15 => {
            // Files.
            fs::create_dir(case.folder().join("many")).unwrap();
            for class in 0..many / 20 {
                write(
                    &format!("many/k{class}.txt"),
                    format!("one{class}\ntwo{class}\nthree\nfour{class}\n").as_bytes(),
                );
            }
            "classes many"
        }
        16 => {
            // A line.
            write(
                "odd.ts",
                format!("@classLabel true a b\n@data\n{}:a\n1:b\n2:a\n3:b\n4:a\n5:b\n", "1,".repeat(many * 4))
                    .as_bytes(),
            );
            "sequences odd.ts"
        }
        _ => {
            // Labels of rows.
            let label = "n".repeat(many);
            write("odd.csv", format!("t,x\n{}", lines(60, &|row| format!("{label}{row},{}", row % 7))).as_bytes());
            "series odd.csv --window 3"
        }
    }
}

#[test]
fn a_small_file_needs_little_memory_and_time() {
    each("small files that hold much", 40, |case| {
        let flags = large(case, case.pick(&[1_000, 10_000, 60_000]));
        let (command, length) =
            case.pick(&[("train --out out --hidden 2", "--steps 2"), ("plan --hidden 2", "--steps 2")]);
        let length = if flags.contains("--steps") { "" } else { length };
        let words = format!("{command} {flags} {length} --device cpu --threads 1");
        let ended = case.bptt(&words).go()?;
        if ended.code == 0 && command.starts_with("train") {
            case.bptt("eval out --device cpu --threads 1 --json").go()?;
            case.bptt("inspect out").go()?;
        }
        Ok(())
    });
}

#[test]
fn corrupted_data_are_read_or_refused() {
    let wholes = Wholes::default();
    each("mutated data", 80, |case| {
        begin(case, &wholes)?;
        let files = [
            "series.csv",
            "text.txt",
            "classes.ts",
            "values.csv",
            "x.npy",
            "y.npy",
            "rolls.json",
            "names/one.txt",
            "dry.wav",
            "wet.wav",
        ];
        let name = case.pick(&files);
        let path = case.folder().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let other = fs::read(case.folder().join(case.pick(&files))).unwrap();
        (0..1 + case.below(4)).for_each(|_| change_bytes(&mut bytes, &other, case));
        fs::write(&path, bytes).unwrap();
        let file = name.split('/').next().unwrap_or(name);
        let run = RUNS.into_iter().find(|run| run.1.contains(file)).unwrap();
        let words = format!("train {} --device cpu --threads 1 --out out", run.1);
        let ended = case.bptt(&words).go()?;
        if ended.code == 0 {
            case.bptt("eval out --device cpu --threads 1 --json").go()?;
            case.bptt("predict out --device cpu --threads 1").go()?;
            if name.ends_with(".wav") {
                case.bptt("apply out dry.wav --out applied.wav --device cpu --threads 1").go()?;
            }
        }
        Ok(())
    });
}
