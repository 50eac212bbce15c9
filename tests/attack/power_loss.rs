//! Machines that lose their power: of what a process did to files, that is left which it waited for, and of the rest
//! some.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::case::{Case, each};
use super::preloaded::{CALLS, Fault, KILLED, count};
use super::runs::{OUT, RUNS, Wholes, bring_to_its_end, data, same_but};

/// A file or a folder by the number that it gets when it comes to exist.
type Id = usize;

/// What a name does in a folder.
#[derive(Clone)]
enum Change {
    Put { path: PathBuf, id: Id },
    Take { path: PathBuf },
    Move { from: PathBuf, to: PathBuf },
}

impl Change {
    /// The folder in which it is.
    fn folder(&self) -> &Path {
        let path = match self {
            Self::Put { path, .. } | Self::Take { path } | Self::Move { to: path, .. } => path,
        };
        path.parent().unwrap_or(Path::new(""))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Id>) {
        match self {
            Self::Put { path, id } => drop(names.insert(path.clone(), *id)),
            Self::Take { path } => drop(names.remove(path)),
            Self::Move { from, to } => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
}

#[derive(Default)]
struct File {
    is_folder: bool,
    /// What it held when it was last waited for.
    synced: Option<Vec<u8>>,
    /// Whether it was written to since.
    dirty: bool,
}

/// The disk as a record tells of it.
#[derive(Default)]
struct Disk {
    files: Vec<File>,
    /// As the process sees it, and as it would be found.
    names: BTreeMap<PathBuf, Id>,
    safe: BTreeMap<PathBuf, Id>,
    pending: Vec<Change>,
}

impl Disk {
    fn file(&mut self, path: &Path, is_folder: bool) -> Id {
        if let Some(id) = self.names.get(path) {
            return *id;
        }
        self.files.push(File { is_folder, ..File::default() });
        let id = self.files.len() - 1;
        self.change(Change::Put { path: path.into(), id });
        id
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    /// What is below a folder of the process before it begins is safe.
    fn begin(folder: &Path) -> Self {
        let mut disk = Self::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(path) = folders.pop() {
            let id = disk.file(&path, true);
            disk.files[id].is_folder = true;
            for entry in fs::read_dir(folder.join(&path)).into_iter().flatten().flatten() {
                let path = path.join(entry.file_name());
                if entry.path().is_dir() {
                    folders.push(path);
                } else {
                    let id = disk.file(&path, false);
                    disk.files[id].synced = fs::read(entry.path()).ok();
                }
            }
        }
        disk.pending.clear();
        disk.safe = disk.names.clone();
        disk
    }

    /// Everything that the record tells.
    fn replay(&mut self, record: &Path) {
        let text = fs::read_to_string(record).unwrap_or_default();
        let mut open: BTreeMap<String, Id> = BTreeMap::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let path = |index: usize| -> PathBuf {
                Path::new(fields.get(index).copied().unwrap_or_default())
                    .components()
                    .filter(|part| part.as_os_str() != ".")
                    .collect()
            };
            match fields[0] {
                "o" => {
                    let id = self.file(&path(2), false);
                    open.insert(fields[1].into(), id);
                }
                "w" | "t" => {
                    if let Some(id) = open.get(fields[1]) {
                        self.files[*id].dirty = true;
                    }
                }
                "c" => drop(open.remove(fields[1])),
                "s" => {
                    let snapshot = format!("{}.{}", record.display(), fields[1]);
                    if let Some(id) = fields.get(2).and_then(|file| open.get(*file)) {
                        self.files[*id].synced = fs::read(snapshot).ok();
                        self.files[*id].dirty = false;
                    }
                }
                "d" => {
                    let Some(id) = fields.get(2).and_then(|file| open.get(*file)).copied() else { continue };
                    let folder = self.names.iter().find(|(_, it)| **it == id).map(|(path, _)| path.clone());
                    let Some(folder) = folder else { continue };
                    let (done, rest) = self.pending.iter().cloned().partition(|change| change.folder() == folder);
                    self.pending = rest;
                    let done: Vec<Change> = done;
                    done.iter().for_each(|change| change.apply(&mut self.safe));
                }
                "m" => drop(self.file(&path(2), true)),
                "n" => self.change(Change::Move { from: path(2), to: path(3) }),
                "u" => self.change(Change::Take { path: path(2) }),
                _ => {}
            }
        }
    }

    /// What is found when the power is back: in each folder the first changes that nobody waited for may have come to
    /// the disk, and of files any part. `now` has them as they were.
    fn after_power_loss(mut self, case: &Case<'_>, now: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let current: BTreeMap<Id, PathBuf> = self.names.iter().map(|(path, id)| (*id, path.clone())).collect();
        let mut left: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let none = case.chance(40);
        for change in std::mem::take(&mut self.pending) {
            let left = left.entry(change.folder().into()).or_insert_with(|| if none { 0 } else { case.below(6) });
            if *left > 0 {
                *left -= 1;
                change.apply(&mut self.safe);
            }
        }
        let mut found = BTreeMap::new();
        for (path, id) in &self.safe {
            let file = &self.files[*id];
            let whole =
                path.ancestors().skip(1).all(|folder| folder == Path::new("") || self.safe.contains_key(folder));
            if !whole || path == Path::new("") {
                continue;
            }
            if file.is_folder {
                found.insert(path.clone(), None);
                continue;
            }
            let synced = file.synced.clone().unwrap_or_default();
            if !file.dirty {
                found.insert(path.clone(), Some(synced));
                continue;
            }
            let now = current.get(id).and_then(|path| fs::read(now.join(path)).ok()).unwrap_or_default();
            // What was waited for stays where the file has only grown since.
            let kept = if now.starts_with(&synced) { synced.len() } else { 0 };
            let bytes = match case.below(4) {
                0 => synced,
                1 => now[..kept + case.below(now.len() - kept + 1)].to_vec(),
                2 => [&now[..kept], &vec![0; now.len() - kept]].concat(),
                _ => now,
            };
            found.insert(path.clone(), Some(bytes));
        }
        found
    }
}

#[test]
fn a_run_resumes_to_the_same_bytes_after_power_loss() {
    let wholes = Wholes::default();
    each("power losses", 40, |case| {
        let run = case.pick(&RUNS);
        let (whole, _) = wholes.of(run)?;
        data(case.folder());
        let record = case.folder().with_extension("record");
        let calls: String = CALLS.iter().map(|(letter, _)| letter).collect();
        // As many calls as a run has, more or less.
        let at = 1 + case.below(250) as u64;
        let fault = Fault { calls, at, what: KILLED, lasts: false };
        let mut disk = Disk::begin(case.folder());
        let ended = case.bptt(&run.arguments()).changes(OUT).preloaded(Some(&record), Some(&fault)).go()?;
        let told = |reason: String| format!("{}, power lost at call {at}: {reason}", run.0);
        disk.replay(&record);
        let made = count(&record, "osnw");
        let found = disk.after_power_loss(case, case.folder());
        for number in 0..=made {
            let _ = fs::remove_file(format!("{}.{number}", record.display()));
        }
        let _ = fs::remove_file(&record);
        let _ = fs::remove_dir_all(case.folder().join(OUT));
        for (path, contents) in found.iter().filter(|(path, _)| path.starts_with(OUT)) {
            let path = case.folder().join(path);
            match contents {
                None => fs::create_dir_all(path).map_err(|error| error.to_string())?,
                Some(bytes) => fs::write(path, bytes).map_err(|error| error.to_string())?,
            }
        }
        let out = case.folder().join(OUT);
        let is_over = ended.code == 0 && out.join("checkpoints/finished").exists();
        let said = if is_over { String::new() } else { bring_to_its_end(case, run).map_err(told)?.stderr };
        same_but(&whole.join(OUT), &out, &said).map_err(told)
    });
}
