//! What a run makes of itself once its weights are there. None of it may cost the run its end: what fails is told, and the run
//! is finished without it.

use std::fs;

use bptt::experiment::files::folder::{Folder, check_own};
use bptt::format::shell_quoted;
use bptt::{Error, Result};

use crate::cli::terminal::printed::note;

/// The file that is there while the network is measured. In it is how often that was begun.
const MEASURING: &str = "checkpoints/measuring";

/// So often it is begun, where each time the process ended before the measurement did: killed for its memory, it would be
/// killed again.
const TRIES: u32 = 2;

/// What a run is finished without.
#[derive(Default)]
pub(crate) struct Missing(Vec<String>);

impl Missing {
    /// What was made; otherwise it is told, and missing.
    pub(crate) fn keep<T>(&mut self, what: &str, made: Result<T>) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(error) => {
                let error = match &error {
                    // Its path is that of what is missing.
                    Error::Io { source, .. } => source.to_string(),
                    error => error.to_string(),
                };
                self.without(format!("{what}: {error}"));
                None
            }
        }
    }

    fn without(&mut self, words: String) {
        note(format_args!("missing   {words}"));
        self.0.push(words);
    }

    /// For the report: names and texts; a name is empty where the text belongs to the line before.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let name = |index| if index == 0 { "missing".to_owned() } else { String::new() };
        self.0.iter().enumerate().map(|(index, words)| (name(index), words.clone())).collect()
    }

    /// In words, each with its reason.
    pub(crate) fn words(&self) -> &[String] {
        &self.0
    }
}

/// Measures the network of the run in `folder`, unless that ended the process again and again.
pub(crate) async fn measure<T>(
    folder: &Folder,
    missing: &mut Missing,
    measure: impl Future<Output = Result<T>>,
) -> Option<T> {
    let path = folder.path().join(MEASURING);
    let is_own = || check_own(&path).unwrap_or(false);
    let text = is_own().then(|| fs::read_to_string(&path).unwrap_or_default());
    let begun = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let again = format!("`bptt eval {}` measures the network", shell_quoted(folder.path()));
    let measured = if begun >= TRIES {
        missing.without(format!("results: they were begun {begun} times, and each time the process ended; {again}"));
        None
    } else {
        // Where the disk has no room for it, results may still be printed.
        let _ = folder.write(MEASURING, format!("{}\n", begun + 1).as_bytes());
        let measured = missing.keep("results", measure.await);
        if measured.is_none() {
            note(format_args!("          {again}"));
        }
        measured
    };
    if is_own() {
        let _ = fs::remove_file(&path);
    }
    measured
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;

    #[test]
    fn a_measurement_that_fails_is_missing_and_one_that_ended_the_process_twice_is_not_begun_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(Some(&parent.path().join("run")), "run", |_| false).unwrap();
        folder.make("checkpoints").unwrap();
        let (path, mut missing) = (folder.path().join(MEASURING), Missing::default());
        assert_eq!(block_on(measure(&folder, &mut missing, async { Ok(7) })), Some(7));
        assert!(missing.words().is_empty() && !path.exists());
        let failed = async { Err::<u32, _>(Error::Failed("no room".into())) };
        assert_eq!(block_on(measure(&folder, &mut missing, failed)), None);
        assert_eq!((missing.words(), path.exists()), (&["results: no room".to_owned()][..], false));
        // As two processes leave it that were killed on the way.
        for before in ["", "1\n"] {
            fs::write(&path, before).unwrap();
            let begun = async { Ok(fs::read_to_string(&path).unwrap().trim().parse::<u32>().unwrap()) };
            let expected = before.trim().parse().unwrap_or(0) + 1;
            assert_eq!(block_on(measure(&folder, &mut missing, begun)), Some(expected));
        }
        fs::write(&path, "2\n").unwrap();
        assert_eq!(block_on(measure::<()>(&folder, &mut missing, async { panic!("begun again") })), None);
        assert!(missing.words()[1].starts_with("results: they were begun 2 times") && !path.exists());
        let facts = missing.facts();
        assert_eq!((facts[0].0.as_str(), facts[1].0.as_str(), facts.len()), ("missing", "", 2));
    }
}
