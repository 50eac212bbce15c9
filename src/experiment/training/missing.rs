//! Failures after training. Once the weights are stored, a failure does not fail the run: it is recorded as missing.

use std::fs;

use crate::experiment::files::folder::Folder;
use crate::experiment::files::own_file::check_own;
use crate::format::shell_quoted;
use crate::{Error, Result};

/// This file exists while the network is measured. It contains the number of attempts.
const MEASURING: &str = "checkpoints/measuring";

/// Maximum number of attempts if the process ends during each one: killed for its memory, it would be killed again.
const TRIES: u32 = 2;

/// What a finished run is missing, with reasons.
pub struct Missing {
    words: Vec<String>,
    notify: fn(&str),
}

impl Default for Missing {
    fn default() -> Self {
        Self::notifying(|_| ())
    }
}

impl Missing {
    /// Calls `notify` with each failure as it occurs.
    pub fn notifying(notify: fn(&str)) -> Self {
        Self { words: Vec::new(), notify }
    }

    /// The value of a result; `None` if it failed, which is recorded.
    pub fn keep<T>(&mut self, what: &str, made: Result<T>) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(error) => {
                self.without(format!("{what}: {}", reason(&error)));
                None
            }
        }
    }

    fn without(&mut self, words: String) {
        (self.notify)(&words);
        self.words.push(words);
    }

    /// For the report: names and texts; an empty name continues the previous line.
    pub(super) fn facts(&self) -> Vec<(String, String)> {
        let name = |index| if index == 0 { "missing".to_owned() } else { String::new() };
        self.words.iter().enumerate().map(|(index, words)| (name(index), words.clone())).collect()
    }

    /// Each missing result with its reason.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// Why a result is missing.
fn reason(error: &Error) -> String {
    match error {
        // The path is that of the missing file.
        Error::Io { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

/// How often a measurement of the run in `folder` was begun and did not end.
fn begun(folder: &Folder) -> u32 {
    let path = folder.path().join(MEASURING);
    let text = check_own(&path).unwrap_or(false).then(|| fs::read_to_string(&path).unwrap_or_default());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What measures the network later.
fn again(folder: &Folder) -> String {
    format!("`bptt eval {}` measures the network", shell_quoted(folder.path()))
}

/// Whether to measure the network of the run in `folder`: not if that ended the process repeatedly, which is recorded.
pub(super) fn measures(folder: &Folder, missing: &mut Missing) -> bool {
    let begun = begun(folder);
    if begun >= TRIES {
        let again = again(folder);
        missing.without(format!("results: they were computed {begun} times, and each time the process ended; {again}"));
        end(folder);
    }
    begun < TRIES
}

/// Measures the network of the run in `folder`.
pub(super) async fn measure<T>(
    folder: &Folder,
    missing: &mut Missing,
    measure: impl Future<Output = Result<T>>,
) -> Option<T> {
    begin(folder);
    let measured = kept(folder, missing, measure.await);
    end(folder);
    measured
}

/// The same for a run that is to be measured again after what may pass: a failure of the machine, data that can no
/// longer be read, and the first lack of memory.
///
/// # Errors
/// What may pass.
pub(super) async fn measure_or_fail<T>(
    folder: &Folder,
    missing: &mut Missing,
    measure: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    begin(folder);
    let measured = measure.await;
    // A lack of memory counts like a process that was killed for it.
    if let Err(error) = &measured
        && error.is_lack_of_memory()
        && begun(folder) < TRIES
    {
        return measured.map(Some);
    }
    end(folder);
    match measured {
        // The data could be read before.
        Err(error) if error.is_of_machine() || matches!(error, Error::Data { .. }) => Err(error),
        measured => Ok(kept(folder, missing, measured)),
    }
}

/// What was measured; `None` if it failed, which is recorded.
fn kept<T>(folder: &Folder, missing: &mut Missing, measured: Result<T>) -> Option<T> {
    if let Err(error) = &measured {
        missing.without(format!("results: {}; {}", reason(error), again(folder)));
    }
    measured.ok()
}

/// Counts an attempt.
fn begin(folder: &Folder) {
    // If the disk is full, results may still be printed.
    let _ = folder.write(MEASURING, format!("{}\n", begun(folder) + 1).as_bytes());
}

/// Forgets the attempts.
fn end(folder: &Folder) {
    let path = folder.path().join(MEASURING);
    if check_own(&path).unwrap_or(false) {
        let _ = fs::remove_file(&path);
    }
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;

    #[test]
    fn a_measurement_is_made_again_after_what_may_pass_and_a_second_lack_of_memory_is_its_result() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(Some(&parent.path().join("run")), "run", |_| false).unwrap();
        folder.make("checkpoints").unwrap();
        let mut missing = Missing::default();
        let mut measured = |result: Result<u32>| block_on(measure_or_fail(&folder, &mut missing, async { result }));
        let full = || Error::Io { path: "a".into(), source: std::io::ErrorKind::StorageFull.into() };
        let lack = || Error::NoMemory { what: "errors".into(), bytes: 8, remedy: "take less" };
        // However often the machine fails.
        for _ in 0..3 {
            assert!(matches!(measured(Err(full())), Err(Error::Io { .. })));
            assert!(matches!(measured(Err(Error::DeviceLost("unplugged".into()))), Err(Error::DeviceLost(_))));
            let data = Error::Data { path: "a".into(), place: String::new(), message: "truncated".into() };
            assert!(matches!(measured(Err(data)), Err(Error::Data { .. })));
        }
        assert!(matches!(measured(Err(lack())), Err(Error::NoMemory { .. })));
        assert_eq!(measured(Ok(7)).unwrap(), Some(7));
        assert!(matches!(measured(Err(lack())), Err(Error::NoMemory { .. })));
        assert_eq!(measured(Err(lack())).unwrap(), None);
        // What another attempt would not change.
        assert_eq!(measured(Err(Error::Failed("no".into()))).unwrap(), None);
        let words = missing.words();
        assert!(
            words.len() == 2 && words[0].starts_with("results: not enough memory for errors (8 bytes)"),
            "{words:?}"
        );
        assert!(!folder.path().join(MEASURING).exists());
    }

    #[test]
    fn a_failed_measurement_is_missing_and_one_that_crashed_twice_is_not_retried() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(Some(&parent.path().join("run")), "run", |_| false).unwrap();
        folder.make("checkpoints").unwrap();
        let (path, mut missing) = (folder.path().join(MEASURING), Missing::default());
        assert_eq!(block_on(measure(&folder, &mut missing, async { Ok(7) })), Some(7));
        assert!(missing.words().is_empty() && !path.exists());
        let failed = async { Err::<u32, _>(Error::Failed("no room".into())) };
        assert_eq!(block_on(measure(&folder, &mut missing, failed)), None);
        assert_eq!((missing.words().len(), path.exists()), (1, false));
        let again = format!("`bptt eval {}` measures the network", shell_quoted(folder.path()));
        assert_eq!(missing.words()[0], format!("results: no room; {again}"));
        // As two processes leave it that were killed on the way.
        for before in ["", "1\n"] {
            fs::write(&path, before).unwrap();
            let begun = async { Ok(fs::read_to_string(&path).unwrap().trim().parse::<u32>().unwrap()) };
            let expected = before.trim().parse().unwrap_or(0) + 1;
            assert!(measures(&folder, &mut missing));
            assert_eq!(block_on(measure(&folder, &mut missing, begun)), Some(expected));
        }
        fs::write(&path, "2\n").unwrap();
        assert!(!measures(&folder, &mut missing));
        assert!(missing.words()[1].starts_with("results: they were computed 2 times") && !path.exists());
        let facts = missing.facts();
        assert_eq!((facts[0].0.as_str(), facts[1].0.as_str(), facts.len()), ("missing", "", 2));
    }
}
