//! What lies in a folder, so that it can be seen whether anything of it is another.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    File {
        length: u64,
        hash: u64,
    },
    Folder,
    Link(PathBuf),
    /// A pipe, a socket, a device.
    Other,
}

/// Paths below a folder and what is there, links not followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

impl Tree {
    pub(crate) fn of(folder: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(path) = folders.pop() {
            let Ok(within) = fs::read_dir(folder.join(&path)) else { continue };
            for entry in within.flatten() {
                let path = path.join(entry.file_name());
                let Ok(kind) = entry.file_type() else { continue };
                let entry = if kind.is_symlink() {
                    Entry::Link(fs::read_link(entry.path()).unwrap_or_default())
                } else if kind.is_dir() {
                    folders.push(path.clone());
                    Entry::Folder
                } else if kind.is_file() {
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    let mut hash = DefaultHasher::new();
                    bytes.hash(&mut hash);
                    Entry::File { length: bytes.len() as u64, hash: hash.finish() }
                } else {
                    Entry::Other
                };
                entries.insert(path, entry);
            }
        }
        Self(entries)
    }

    /// The first path that is another in `after`, what lies at or below one of `changes` aside.
    pub(crate) fn changed(&self, after: &Self, changes: &[PathBuf]) -> Option<String> {
        let others = self.0.iter().filter(|(path, _)| !changes.iter().any(|change| path.starts_with(change)));
        others.into_iter().find_map(|(path, entry)| match after.0.get(path) {
            None => Some(format!("{path:?} is gone")),
            Some(now) => (now != entry).then(|| format!("{path:?} was {entry:?} and is {now:?}")),
        })
    }

    /// The first path that is new in `after`.
    pub(crate) fn added(&self, after: &Self) -> Option<String> {
        after.0.keys().find(|path| !self.0.contains_key(*path)).map(|path| format!("{path:?} is new"))
    }

    /// The paths of the files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. })).map(|(path, _)| path.as_path())
    }
}

/// Copies a folder and all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
