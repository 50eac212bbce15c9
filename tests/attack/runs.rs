//! Runs of every kind, small enough that one takes a moment, and whether two of them came to the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bptt::data::{WavFormat, WavSpec, WavWriter};
use bptt::ndarray::Array2;
use bptt::train::Checkpoint;
use tempfile::TempDir;

use super::call::{Call, StopReason};
use super::case::{Case, folder};

/// The folder of every run.
pub(crate) const OUT: &str = "run";

/// What every run has.
const EVERY: &str = "--device cpu --threads 1 --set training.checkpoint-every=1 --out run";

/// A kind of run: its name, and what `bptt train` is given.
#[derive(Clone, Copy)]
pub(crate) struct Run(pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const RUNS: [Run; 18] = [
    Run(
        "sunspots",
        "series bundled:sunspots --window 8 --hidden 4 --epochs 2 --batch 64 --set training.val-every=3 --keep best",
    ),
    Run(
        "several columns",
        "series series.csv --target a,b --features c --known d --horizon 3 --quantiles 0.1,0.5,0.9 --missing mask --window 5 \
         --hidden 3 --batch 16 --epochs 3",
    ),
    Run(
        "values beyond f32",
        "series beyond.csv --scale none --window 2 --batch 4 --epochs 1 --set training.val-every=5 --set training.on-nan=back",
    ),
    Run("windows of a text", "text text.txt --window 8 --hidden 5 --batch 4 --layers 2 --dropout 0.3 --steps 12"),
    Run(
        "lanes of a text",
        "text text.txt --carry-state --window 12 --batch 4 --hidden 6 --cell gru --set model.recurrent-dropout=0.1 --schedule cosine \
         --set training.val-every=5 --steps 12",
    ),
    Run("bytes", "text text.txt --bytes --embedding 4 --window 8 --hidden 4 --tied --batch 8 --steps 10"),
    Run(
        "classes of sequences",
        "sequences classes.ts --hidden 4 --batch 8 --bidirectional --set sequences.buckets=2 --epochs 4 --class-weights balanced",
    ),
    Run(
        "values of sequences",
        "sequences values.csv --hidden 3 --batch 6 --epochs 4 --labels-as values --set sequences.predict=mean",
    ),
    Run("arrays", "sequences x.npy --labels y.npy --labels-as classes --hidden 3 --batch 4 --epochs 3"),
    Run(
        "lines in classes",
        "classes names --cell gru --hidden 5 --batch 16 --epochs 2 --set classes.label-smoothing=0.1",
    ),
    Run("rolls", "rolls rolls.json --hidden 4 --batch 4 --epochs 3"),
    Run(
        "sensor",
        "series series.csv --target a --now c,d --carry-state --missing ffill --window 6 --hidden 3 --batch 2 --epochs 4",
    ),
    Run("sound", "audio dry.wav wet.wav --window 16 --hidden 3 --batch 4 --epochs 3"),
    Run("adding", "task adding --length 8 --cell gru --hidden 4 --recompute --batch 8 --steps 12"),
    Run(
        "copying",
        "task copy --length 3 --cell rnn --hidden 4 --batch 8 --set training.accumulate=2 --set training.micro-batch=3 --steps 8",
    ),
    Run(
        "event files",
        "series bundled:sunspots --window 6 --hidden 3 --batch 64 --epochs 3 --set training.tensorboard=true --set training.flow-every=2",
    ),
    Run(
        "plateau",
        "series bundled:sunspots --window 4 --hidden 2 --batch 64 --epochs 8 --schedule plateau:patience=1 --warmup 3 --patience 2 --set training.val-every=3",
    ),
    Run(
        "momentum",
        "series bundled:sunspots --window 4 --hidden 2 --batch 32 --epochs 2 --optimizer nesterov --set training.checkpoints=1 --set training.val-every=2",
    ),
];

impl Run {
    /// The command that begins it.
    pub(crate) fn arguments(self) -> String {
        format!("train {} {EVERY}", self.1)
    }

    /// By its name.
    pub(crate) fn named(name: &str) -> Self {
        RUNS.into_iter().find(|run| run.0 == name).unwrap()
    }
}

/// Writes the files that the runs read.
pub(crate) fn data(folder: &Path) {
    let write = |name: &str, contents: &[u8]| fs::write(folder.join(name), contents).unwrap();
    let mut text = String::new();
    (0..120).for_each(|n| writeln!(text, "{n} and {} are {}.", n * 7 % 13, n + n * 7 % 13).unwrap());
    write("text.txt", text.as_bytes());
    let mut series = String::from("day,a,b,c,d\n");
    for row in 0..60 {
        let gap = if row % 17 == 5 { String::new() } else { (row * 7 % 10).to_string() };
        writeln!(series, "{row},{gap},{},{},{}", row * 3 % 8, row % 5, row % 7).unwrap();
    }
    write("series.csv", series.as_bytes());
    let value = |row: u32| if row == 30 { "3e38".into() } else { format!("0.{}", row * 7 % 10) };
    let rows: String = (0..80).map(|row| format!("{row},{}\n", value(row))).collect();
    write("beyond.csv", format!("t,x\n{rows}").as_bytes());
    let mut classes = String::from("@classLabel true low mid high\n@data\n");
    let mut values = String::from("id,time,label,x,y\n");
    for n in 0..24 {
        let (class, length) = (n % 3, 3 + n % 4);
        let numbers: Vec<String> = (0..length).map(|t| (class * 10 + (n + t) % 7).to_string()).collect();
        writeln!(classes, "{0}:{0}:{1}", numbers.join(","), ["low", "mid", "high"][class]).unwrap();
        for (time, number) in numbers.iter().enumerate() {
            writeln!(values, "s{n},{time},{}.5,{number},{}", class * 2, time * n % 5).unwrap();
        }
    }
    write("classes.ts", classes.as_bytes());
    write("values.csv", values.as_bytes());
    let array = |shape: &str, numbers: &[f32]| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let padded = format!("{header:<117}\n");
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        [b"\x93NUMPY\x01\0", &(padded.len() as u16).to_le_bytes()[..], padded.as_bytes(), &numbers].concat()
    };
    let numbers: Vec<f32> = (0..20 * 4 * 2).map(|n| (n * 7 % 23) as f32 / 11.0 - (n / 8 % 2) as f32).collect();
    write("x.npy", &array("(20, 4, 2)", &numbers));
    write("y.npy", &array("(20,)", &(0..20).map(|n| (n % 2) as f32).collect::<Vec<_>>()));
    fs::create_dir(folder.join("names")).unwrap();
    for (class, ending) in [("one", "ov"), ("two", "elli"), ("three", "son")] {
        let lines: String = (0..20).map(|n| format!("{}{n}{ending}\n", ["Ab", "Ro", "Ti", "Mu"][n % 4])).collect();
        write(&format!("names/{class}.txt"), lines.as_bytes());
    }
    let piece = |length: usize| {
        let frames: Vec<String> = (0..length).map(|step| format!("[{},64]", 60 + step % 2)).collect();
        format!("[{}]", frames.join(","))
    };
    let pieces = |from: usize, to: usize| (from..to).map(piece).collect::<Vec<_>>().join(",");
    let rolls = format!("{{\"train\":[{}],\"valid\":[{}],\"test\":[{}]}}", pieces(6, 14), pieces(7, 9), pieces(8, 11));
    write("rolls.json", rolls.as_bytes());
    let sound = |name: &str, sample: &dyn Fn(usize) -> f32| {
        let spec = WavSpec { rate: 8000, channels: 1, format: WavFormat::Pcm16 };
        let mut bytes = Vec::new();
        let mut writer = WavWriter::new(&mut bytes, spec, 300).unwrap();
        writer.write(Array2::from_shape_fn((300, 1), |(frame, _)| sample(frame)).view()).unwrap();
        writer.finish().unwrap();
        write(name, &bytes);
    };
    let dry = |frame: usize| (frame * 7 % 31) as f32 / 31.0 - 0.5;
    sound("dry.wav", &dry);
    sound("wet.wav", &|frame| (3.0 * dry(frame)).tanh());
}

/// Runs that nothing happened to, each done once.
#[derive(Default)]
pub(crate) struct Wholes(RefCell<BTreeMap<&'static str, Whole>>);

struct Whole {
    folder: TempDir,
    took: Duration,
}

impl Wholes {
    /// The folder in which the run lies, with its data, and how long it took.
    pub(crate) fn of(&self, run: Run) -> Result<(PathBuf, Duration), String> {
        let mut wholes = self.0.borrow_mut();
        if !wholes.contains_key(run.0) {
            let folder = folder();
            data(folder.path());
            let began = Instant::now();
            Call::new(folder.path()).words(&run.arguments()).go()?.success()?;
            wholes.insert(run.0, Whole { folder, took: began.elapsed() });
        }
        let whole = &wholes[run.0];
        Ok((whole.folder.path().into(), whole.took))
    }
}

/// Brings a run that something happened to to its end, whatever is left of it.
pub(crate) fn bring_to_its_end(case: &Case<'_>, run: Run) -> Result<StopReason, String> {
    let begin = || case.bptt(&run.arguments()).changes(OUT).go();
    if !case.folder().join(OUT).exists() {
        return begin()?.success();
    }
    let resumed = case.bptt("train --resume run --threads 1").changes(OUT).go()?;
    if resumed.code == 0 {
        return Ok(resumed);
    }
    // A folder in which nothing had begun may be one to begin in.
    let begun = begin()?;
    if begun.code == 0 { Ok(begun) } else { resumed.wrong("nothing accepts what is left of the run") }
}

/// Files of a run whose bytes tell of times and machines. Of a checkpoint, whose note does, the rest is compared.
fn is_of_the_clock(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let endings = ["timings.jsonl", "report.html", ".lock"];
    endings.contains(&name)
        || name.ends_with(".ckpt")
        || path.components().any(|part| part.as_os_str() == "tensorboard")
}

/// Every file of a run, below its folder.
fn files(run: &Path) -> Vec<PathBuf> {
    super::tree::Tree::of(run).files().map(Path::to_owned).collect()
}

fn last_checkpoint(run: &Path) -> Result<Checkpoint, String> {
    let names = files(run).into_iter().filter(|name| name.extension().is_some_and(|ending| ending == "ckpt"));
    let last = names.max().ok_or("no checkpoint is left")?;
    let bytes = fs::read(run.join(&last)).map_err(|error| error.to_string())?;
    Checkpoint::from_bytes(&bytes).map(|(checkpoint, _)| checkpoint).map_err(|error| format!("{last:?}: {error}"))
}

/// A file of a run; of its settings without the folder that the data lie in.
fn contents(run: &Path, name: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(run.join(name)).ok()?;
    if name != Path::new("config.toml") {
        return Some(bytes);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines = text.lines().map(|line| match (line.split_once("= \"/"), line.rsplit_once('/')) {
        (Some((key, _)), Some((_, name))) => format!("{key}= {name}\n"),
        _ => format!("{line}\n"),
    });
    Some(lines.collect::<String>().into_bytes())
}

/// What a run has whatever happens to its measurement and its pictures.
const KEPT: [&str; 5] =
    ["checkpoints/finished", "checkpoints/model.json", "config.toml", "metrics.jsonl", "model.safetensors"];

/// Holds a run to one that nothing happened to.
pub(crate) fn same(whole: &Path, run: &Path) -> Result<(), String> {
    same_but(whole, run, "")
}

/// The same of a run that may have said that it is finished without some of its files.
pub(crate) fn same_but(whole: &Path, run: &Path, said: &str) -> Result<(), String> {
    // Checkpoints before the last one may have stayed where removing them was what failed, and so may parts of files
    // and the mark of a measurement.
    let names = |run: &Path| {
        let others = |path: &PathBuf| {
            let is_kept =
                path.extension().is_none_or(|ending| ending != "ckpt") && path != Path::new("checkpoints/measuring");
            let is_kept = is_kept && path.extension().is_none_or(|ending| ending != "part");
            is_kept && !path.starts_with("tensorboard")
        };
        files(run).into_iter().filter(others).collect::<Vec<_>>()
    };
    let (expected, got) = (names(whole), names(run));
    if let Some(more) = got.iter().find(|name| !expected.contains(name)) {
        return Err(format!("{more:?} is more than the files of a run that nothing happened to"));
    }
    let is_told = |name: &Path| {
        let told = |what: &str| said.contains(&format!("missing   {what}: "));
        let of_steps = ["loss.svg", "gradient_norm.svg"].iter().any(|picture| name == Path::new(picture));
        let is_told = told("results") || told(&name.display().to_string());
        !KEPT.iter().any(|kept| name == Path::new(kept)) && (is_told || of_steps && told("the pictures of the steps"))
    };
    for name in expected.iter().filter(|name| !is_told(name)) {
        if !got.contains(name) {
            return Err(format!("{name:?} is missing, and it is not said that it is"));
        }
        if !is_of_the_clock(name) && contents(whole, name) != contents(run, name) {
            return Err(format!("{name:?} is another than that of a run that nothing happened to"));
        }
    }
    if last_checkpoint(whole)? == last_checkpoint(run)? {
        Ok(())
    } else {
        Err("the last checkpoint is another than that of a run that nothing happened to".into())
    }
}
