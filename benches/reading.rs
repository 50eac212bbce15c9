//! Reading files of doubling size: time should double too.
//!
//! `cargo bench --bench reading`. `scripts/input-growth` also measures memory.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use bptt::data::{
    ColumnRoles, LabelledSequences, MissingPolicy, PianoRolls, ReadOptions, Series, SeriesTable, csv_columns,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A text of a head and at least `bytes` bytes of rows.
fn rows(head: String, bytes: usize, row: impl Fn(usize) -> String) -> Vec<u8> {
    let (mut text, mut n) = (head, 0);
    while text.len() < bytes {
        text.push_str(&row(n));
        n += 1;
    }
    text.into_bytes()
}

fn series(bytes: &[u8]) {
    let path = Path::new("a.csv");
    let names = csv_columns(bytes, path).expect("names");
    let names: Vec<&str> = names[1..].iter().map(String::as_str).collect();
    let table = SeriesTable::from_csv(bytes, path, &names, None).expect("a table");
    let features = names[1..].iter().map(|name| (*name).to_owned()).collect();
    let roles = ColumnRoles { targets: vec![names[0].to_owned()], features, known: Vec::new() };
    black_box(Series::new(table, &roles, MissingPolicy::Refuse).expect("a series"));
}

fn sequences(bytes: &[u8], path: &str) {
    black_box(LabelledSequences::from_bytes(bytes, Path::new(path), None, &ReadOptions::default()).expect("sequences"));
}

/// A kind of file: its name, a function that generates one of a given size, and a function that reads it.
type Kind = (&'static str, fn(usize) -> Vec<u8>, fn(&[u8]));

const KINDS: [Kind; 6] = [
    ("series, rows", |bytes| rows("t,x\n".into(), bytes, |n| format!("{n},{}\n", n * n % 17)), series),
    (
        "series, columns",
        |bytes| {
            let count = bytes / 16;
            let line = |first: &str, cell: &dyn Fn(usize) -> String| {
                (0..count).fold(first.to_owned(), |mut line, column| {
                    write!(line, ",{}", cell(column)).expect("a string takes it");
                    line
                }) + "\n"
            };
            let head = line("t", &|column| format!("x{column}"));
            let rows = (0..4).map(|row| line(&row.to_string(), &|column| ((row + column) % 7).to_string()));
            (head + &rows.collect::<String>()).into_bytes()
        },
        series,
    ),
    (
        "sequences, long form",
        |bytes| {
            let row = |n: usize| format!("{},{},{},{}\n", n / 20, n % 20, n / 20 % 2, n % 13);
            rows("id,time,label,x\n".into(), bytes, row)
        },
        |bytes| sequences(bytes, "a.csv"),
    ),
    (
        "sequences, .ts",
        |bytes| {
            rows("@classLabel true a b\n@data\n".into(), bytes, |n| format!("{},2,3,4:{}\n", n % 17, ["a", "b"][n % 2]))
        },
        |bytes| sequences(bytes, "a.ts"),
    ),
    (
        "sequences, classes",
        |bytes| {
            let count = bytes / 20;
            let names: String = (0..count).map(|n| format!(" c{n}")).collect();
            let cases: String = (0..count).map(|n| format!("1,2:c{n}\n")).collect();
            format!("@classLabel true{names}\n@data\n{cases}").into_bytes()
        },
        |bytes| sequences(bytes, "a.ts"),
    ),
    (
        "rolls, .json",
        |bytes| {
            let mut text = rows("[[[60,62]".into(), bytes, |n| format!(",[60,64,{}]", 60 + n % 12));
            text.extend(b"]]");
            text
        },
        |bytes| {
            black_box(PianoRolls::from_json(bytes, Path::new("a.json"), None).expect("rolls"));
        },
    ),
];

fn reading(criterion: &mut Criterion) {
    for (name, make, read) in KINDS {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for size in [1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21] {
            let bytes = make(size);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &bytes, |bencher, bytes| {
                bencher.iter(|| read(bytes));
            });
        }
    }
}

criterion_group!(benches, reading);
criterion_main!(benches);
