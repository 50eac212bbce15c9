//! The library that lets calls on files fail, compiled from its source, and what it is told through variables: which
//! calls it counts (`SHIM_CALLS`, letters of [`CALLS`]), which of them fails (`SHIM_AT`, from 1), how (`SHIM_WHAT`),
//! whether all later ones do too (`SHIM_LASTS`), and where it writes down what was done (`SHIM_RECORD`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::call::Call;

/// Letters of calls, and what these do.
pub(crate) const CALLS: [(char, &str); 9] = [
    ('o', "opening a file"),
    ('r', "reading"),
    ('w', "writing"),
    ('s', "syncing"),
    ('n', "renaming"),
    ('t', "cutting a file"),
    ('u', "removing"),
    ('m', "making a folder"),
    ('l', "linking"),
];

/// The process is killed.
pub(crate) const KILLED: i32 = -1;

/// Only a part of the bytes is taken.
pub(crate) const PART: i32 = -2;

/// What happens to a call.
pub(crate) struct Fault {
    /// Letters of those that are counted.
    pub(crate) calls: String,
    /// Which of them, from 1.
    pub(crate) at: u64,
    /// An error of the system by its number, [`KILLED`] or [`PART`].
    pub(crate) what: i32,
    /// Whether it happens to every later one too.
    pub(crate) lasts: bool,
}

impl Fault {
    pub(crate) fn in_words(&self) -> String {
        let calls = CALLS.iter().filter(|(letter, _)| self.calls.contains(*letter)).map(|(_, words)| *words);
        let calls = calls.collect::<Vec<_>>().join(" or ");
        let what = match self.what {
            KILLED => "the process is killed".into(),
            PART => "a part is taken".into(),
            number => std::io::Error::from_raw_os_error(number).to_string(),
        };
        let lasts = if self.lasts { ", and from then on" } else { "" };
        format!("at call {} of {calls}{lasts}: {what}", self.at)
    }
}

impl Call<'_> {
    /// With the library before it, which writes down in files whose names begin with `record` what was done, and lets a
    /// call fail.
    pub(crate) fn preloaded(self, record: Option<&Path>, fault: Option<&Fault>) -> Self {
        let mut call = self.variable("LD_PRELOAD", library());
        if let Some(record) = record {
            call = call.variable("SHIM_RECORD", record);
        }
        if let Some(fault) = fault {
            call = call.variable("SHIM_CALLS", &fault.calls).variable("SHIM_AT", fault.at.to_string());
            call = call.variable("SHIM_WHAT", fault.what.to_string());
            call = call.variable("SHIM_LASTS", i32::from(fault.lasts).to_string());
            if fault.what == KILLED {
                call = call.may_be_killed();
            }
        }
        call
    }
}

/// How often a call of such a letter stands in a record.
pub(crate) fn count(record: &Path, letters: &str) -> u64 {
    let text = fs::read(record).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let codes = letters.bytes().map(|letter| format!("#\t{letter}")).collect::<Vec<_>>();
    text.lines().filter(|line| codes.iter().any(|code| code == line)).count() as u64
}

/// The library, compiled by the compiler that compiled this.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(folder).unwrap();
        // Processes may be at it at the same time.
        let (path, own) = (folder.join("shim.so"), folder.join(format!("shim.{}.so", std::process::id())));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attack/shim.rs");
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let options = ["--edition", "2024", "--crate-type", "cdylib", "-O", "-C", "panic=abort", "-o"];
        let done = Command::new(compiler).args(options).arg(&own).arg(source).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::rename(own, &path).unwrap();
        path
    })
}
