//! Files that were changed at random, each read or refused: what `fuzz/` looks for, within bounds and without a fuzzer.
//!
//! BPTT_INPUTS tells how many of each kind, beside the few thousand of every run:
//! `BPTT_INPUTS=10000000 nice cargo test --release --test mutated`.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

#[path = "common/targets.rs"]
mod targets;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bptt::data::{AddingTask, Examples, SUNSPOTS, SequentialBatches};
use bptt::ndarray::{ArrayD, IxDyn};
use bptt::train::{KeepWeights, Metrics, Observer, RunLength, RunOptions, StepCounts, WriteSeek, run};
use bptt::{Cell, Cpu, Embedding, Layout, Model, Optimizer, Recurrent, SavedModel, StateDict, Trainer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A number below `bound`.
fn below(bound: usize, rng: &mut ChaCha8Rng) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// Two places in order.
fn range(length: usize, rng: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let first = below(length + 1, rng);
    first..first + below((length - first).min(24) + 1, rng)
}

/// One change: of a bit, a byte, a number; something put in, taken out or doubled; a part of another file.
fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], rng: &mut ChaCha8Rng) {
    let length = bytes.len();
    match below(9, rng) {
        0 if length > 0 => bytes[below(length, rng)] ^= 1 << below(8, rng),
        1 if length > 0 => bytes[below(length, rng)] = rng.next_u32() as u8,
        2 if length > 0 => bytes[below(length, rng)] = *b"\0\xff\n,:\"'[]{}-.9 \x80".get(below(16, rng)).unwrap(),
        3 => drop(bytes.drain(range(length, rng))),
        4 => {
            let part = bytes[range(length, rng)].to_vec();
            let at = below(length + 1, rng);
            bytes.splice(at..at, part);
        }
        5 => {
            let at = range(length, rng);
            bytes.splice(at, words[below(words.len(), rng)].bytes());
        }
        6 => {
            let seed = &seeds[below(seeds.len(), rng)];
            let part = seed[range(seed.len(), rng)].to_vec();
            bytes.splice(range(length, rng), part);
        }
        7 if length >= 8 => {
            let number = [0, 1, u64::MAX, u64::MAX / 2, 1 << 32, length as u64, rng.next_u64()][below(7, rng)];
            let width = [1, 2, 4, 8][below(4, rng)];
            let at = below(length - width + 1, rng);
            bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        }
        _ => bytes.truncate(below(length + 1, rng)),
    }
}

/// What stands in texts of every kind.
const WORDS: [&str; 14] = [
    "nan",
    "inf",
    "-1",
    "1e999",
    "18446744073709551615",
    "0.1",
    "true",
    "",
    "\r\n",
    "é",
    "\u{feff}",
    "?",
    "\"\"",
    "1.2.3",
];

/// Changes `seeds` over and over and hands them to `target`, which panics at what is wrong.
fn mutate(target: fn(&[u8]), seeds: &[Vec<u8>], words: &[&str]) {
    let count: u64 = std::env::var("BPTT_INPUTS").map_or(4000, |count| count.parse().unwrap());
    let words = [&WORDS, words].concat();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    seeds.iter().for_each(|seed| target(seed));
    for _ in 0..count {
        let mut bytes = seeds[below(seeds.len(), &mut rng)].clone();
        for _ in 0..1 + below(4, &mut rng) {
            change(&mut bytes, seeds, &words, &mut rng);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            println!("the input: b\"{}\"", bytes.escape_ascii());
            resume_unwind(panic);
        }
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn mutated_csv_is_read_or_refused() {
    let seeds = texts(&[
        &SUNSPOTS[..200],
        "day,a,b\n2024-01-01,1,2\n2024-01-02,,nan\n2024-01-03,3,4e5\n",
        "time;\"a \"\"x\"\"\";b\r\n1;1,5;2\r\n2;;\r\n",
        "id,time,label,x,y\na,0,up,1,2\na,1,up,3,?\nb,0,down,5,6\n",
        "id\ttime\tlabel\tx\n1\t2\t0.5\t1\n",
    ]);
    mutate(targets::csv, &seeds, &["2024-02-30", "id", "time", "label", "1,2,3\n", ";", "\t"]);
}

#[test]
fn mutated_ts_files_are_read_or_refused() {
    let seeds = texts(&[
        "# words\n@problemName A\n@timestamps false\n@univariate true\n@classLabel true up down\n@data\n1,2,3:up\n4,?:down\n",
        "@univariate false\n@dimensions 2\n@equalLength true\n@seriesLength 2\n@targetlabel true\n@data\n1,2:3,4:0.5\n",
        "@missing true\n@univariate true\n@classLabel false\n@data\nNaN,1\n",
        "@timestamps true\n@univariate true\n@classLabel true a\n@data\n(0,1.5),(1,2.5):a\n",
    ]);
    let words = ["@data\n", "@classLabel true", "@seriesLength", "@dimensions 3", "@equalLength", "(", "):", ":"];
    mutate(targets::ts, &seeds, &words);
}

/// Version 1.0, the header padded as NumPy does.
fn array(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    let padded = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\0", &(padded.len() as u16).to_le_bytes()[..], padded.as_bytes(), data].concat()
}

#[test]
fn mutated_wav_files_are_read_or_refused() {
    let chunk =
        |name: &str, contents: &[u8]| [name.as_bytes(), &(contents.len() as u32).to_le_bytes(), contents].concat();
    let file = |tag: u16, channels: u16, bits: u16, data: &[u8]| {
        let frame = channels * bits / 8;
        let fields = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
        let (rate, rest) =
            ([8000u32, 16_000].map(u32::to_le_bytes).concat(), [frame, bits].map(u16::to_le_bytes).concat());
        let chunks =
            [chunk("fmt ", &[fields, rate, rest].concat()), chunk("LIST", b"abcd"), chunk("data", data)].concat();
        [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WAVE", &chunks].concat()
    };
    let floats: Vec<u8> = (0..12).flat_map(|number| (number as f32 / 12.0).to_le_bytes()).collect();
    let bytes: Vec<u8> = (0..48).collect();
    let seeds = [
        file(1, 1, 16, &bytes),
        file(1, 2, 24, &bytes),
        file(1, 3, 32, &bytes),
        file(3, 2, 32, &floats),
        [b"RF64\xFF\xFF\xFF\xFFWAVE", &chunk("ds64", &bytes[..28])[..], &file(3, 1, 64, &bytes)[12..]].concat(),
    ];
    mutate(targets::wav, &seeds, &["RIFF", "RF64", "WAVE", "fmt ", "data", "ds64", "LIST"]);
}

#[test]
fn mutated_npy_files_are_read_or_refused() {
    let numbers: Vec<u8> = (0..12).flat_map(|number| (number as f32 / 4.0).to_le_bytes()).collect();
    let seeds = [
        array("<f4", "False", "(2, 3, 2)", &numbers),
        array("<f8", "True", "(2, 3)", &numbers),
        array("|u1", "False", "(48,)", &numbers),
        array(">i8", "False", "(6,)", &numbers),
        array("<U3", "False", "(4,)", &numbers),
        array("|b1", "False", "(4, 6, 2)", &[0, 1].repeat(24)),
    ];
    let words = ["(", ",)", "True", "'<f2'", "'|S5'", "'|O'", "shape", "descr", "4294967296", "0, "];
    mutate(targets::npy, &seeds, &words);
}

#[test]
fn mutated_configurations_are_read_or_refused() {
    let seeds = texts(&[
        "[run]\ndevice = \"cpu\"\nseed = 7\n\n[data]\ncsv = \"a.csv\"\ntarget = [\"a\", \"b\"]\nsplit = [0.7, 0.2, 0.1]\n",
        "[model]\ncell = \"gru\"\nhidden = 0x20\nbidirectional = true\ndropout = 0.5\nforget-bias = -1.0\n",
        "[training]\nlr = 1e-3\nschedule = \"cosine\"\nepochs = 3\nclip = 0\non-nan = \"back\"\nclass-weights = [\"a=2\"]\n",
        "[data]\ntext = '''a\n'''\nkeys = \"21-108\"\nbytes = false\n[training]\nquantiles = [0.1, 0.5]\n",
    ]);
    let words =
        ["[model]\n", "lr = ", "seed = -1\n", "1979-05-27", "inf", "nan", "{}", "[[run]]\n", "0b1", "'''", "a.b = 1\n"];
    mutate(targets::toml, &seeds, &words);
}

struct Kept(Vec<Cursor<Vec<u8>>>);

impl Observer for Kept {
    fn step(&mut self, _: &Metrics, _: StepCounts) -> bptt::Result<()> {
        Ok(())
    }

    fn wants_checkpoint(&mut self, _: u64) -> bool {
        true
    }

    fn checkpoint(&mut self, _: u64) -> bptt::Result<Option<(&mut dyn WriteSeek, String)>> {
        self.0.push(Cursor::default());
        Ok(self.0.last_mut().map(|file| (file as _, "a note".into())))
    }
}

#[test]
fn mutated_checkpoints_are_read_or_refused() {
    let task = AddingTask { length: 3 };
    let examples = task.examples(1, 0, 4).unwrap();
    let batches = SequentialBatches::new(&examples as &dyn Examples, 2).unwrap();
    let model = Model::new(Recurrent::new(Cell::Lstm, AddingTask::INPUTS, 2), task.head());
    let mut trainer = Trainer::new(&Cpu::<f32>::new(), &model, Optimizer::adam(0.1), 1).unwrap();
    let duration = RunLength::Steps(2);
    let options = RunOptions::new(duration).validate_every(1).keep(KeepWeights::Best).max_rollbacks(1);
    let mut kept = Kept(Vec::new());
    pollster::block_on(run(&mut trainer, &batches, Some(&batches), &options, &mut kept)).unwrap();
    mutate(
        targets::checkpoint,
        &kept.0.into_iter().map(Cursor::into_inner).collect::<Vec<_>>(),
        &["parameters", "slot 0", "F64", "null", "\"shape\":[", "data_offsets", "{", "}"],
    );
}

#[test]
fn mutated_safetensors_files_are_read_or_refused() {
    let tensor = |name: &str, shape: &[usize]| {
        let numbers = (0..shape.iter().product()).map(|index: usize| index as f32).collect();
        (name.to_owned(), ArrayD::from_shape_vec(IxDyn(shape), numbers).unwrap())
    };
    let file = |tensors: Vec<_>, note| StateDict::from_iter(tensors).to_safetensors(note).unwrap();
    let seeds = [
        file(vec![tensor("rnn.weight_ih_l0", &[4, 2]), tensor("head.bias", &[3])], Some(("bptt", "{\"format\":1}"))),
        file(vec![tensor("empty", &[0, 2]), tensor("one", &[])], None),
    ];
    let half = br#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#;
    let half = [&(half.len() as u64).to_le_bytes()[..], half, &[0; 4]].concat();
    let model = Model::headless(Recurrent::new(Cell::Gru, 2, 1)).embedding(Embedding::new(3));
    let weights = Layout::new(&model).to_state_dict(&vec![0.5_f32; Layout::new(&model).len()]);
    let mut saved = Vec::new();
    SavedModel::new(model, weights).with_step(9).write_to(&mut saved).unwrap();
    let words =
        ["F16", "F64", "I64", "BOOL", "F8_E4M3", "__metadata__", "\"shape\":[", "data_offsets", "4294967296", "{", "}"];
    mutate(targets::safetensors, &[&seeds[..], &[half, saved]].concat(), &words);
}
