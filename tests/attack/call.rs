//! One call of the program, within bounds of time and memory, and what has to hold of every one.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::tree::Tree;

/// The exit codes of the table in docs/program.md.
const CODES: [i32; 6] = [0, 1, 2, 3, 130, 143];

/// The address space, in KiB: what asks for more of it is to be an error.
const MEMORY: u64 = 2 << 20;

/// Seconds of processor time. The cases take a hundredth of it: nothing depends on how fast the machine is.
const PROCESSOR: u64 = 60;

/// For what waits for something that never comes.
const WAIT: Duration = Duration::from_secs(90);

/// Bytes of standard output. A script that completes every flag has a hundred thousand.
const RESULTS: usize = 512 << 10;

/// The same of JSON, in which names are not cut.
const JSON: usize = 32 << 20;

/// Bytes of standard error.
const MESSAGES: usize = 32 << 10;

/// A signal's number on every Unix.
const KILL: i32 = 9;

/// A call that is being put together.
pub(crate) struct Call<'a> {
    folder: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    changes: Vec<PathBuf>,
    signal: Option<(Duration, &'static str)>,
    may_be_killed: bool,
    count: Box<dyn Fn(i32) + 'a>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct StopReason {
    /// 137 of what was killed.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The call in words, for messages.
    pub(crate) words: String,
}

impl StopReason {
    /// An error about the call, with what it said.
    pub(crate) fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{}: {what}; exit code {}, {}", self.words, self.code, cut(&self.stderr)))
    }

    /// An error where it did not succeed.
    pub(crate) fn success(self) -> Result<Self, String> {
        if self.code == 0 { Ok(self) } else { self.wrong("expected success") }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            changes: Vec::new(),
            signal: None,
            may_be_killed: false,
            count: Box::new(|_| {}),
        }
    }

    /// More arguments, that have no spaces in them.
    pub(crate) fn words(mut self, words: &str) -> Self {
        self.arguments.extend(words.split_whitespace().map(OsString::from));
        self
    }

    /// One more, whatever it is.
    pub(crate) fn word(mut self, word: impl AsRef<OsStr>) -> Self {
        self.arguments.push(word.as_ref().into());
        self
    }

    pub(crate) fn counted(mut self, count: impl Fn(i32) + 'a) -> Self {
        self.count = Box::new(count);
        self
    }

    #[cfg_attr(
        not(all(target_os = "linux", target_env = "gnu")),
        expect(dead_code, reason = "what preloads a library")
    )]
    pub(crate) fn variable(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().into()));
        self
    }

    /// What lies at this path of the folder, or below it, is the call's to change.
    pub(crate) fn changes(mut self, path: impl AsRef<Path>) -> Self {
        self.changes.push(path.as_ref().into());
        self
    }

    /// Sends a signal after some time, and again after as much: to the second one it ends at once. `KILL` may end it.
    pub(crate) fn signal(mut self, after: Duration, signal: &'static str) -> Self {
        self.may_be_killed |= signal == "KILL";
        self.signal = Some((after, signal));
        self
    }

    /// It kills itself, or may.
    #[cfg_attr(
        not(all(target_os = "linux", target_env = "gnu")),
        expect(dead_code, reason = "what preloads a library")
    )]
    pub(crate) fn may_be_killed(mut self) -> Self {
        self.may_be_killed = true;
        self
    }

    fn in_words(&self) -> String {
        let mut words = String::from("bptt");
        self.arguments.iter().for_each(|word| {
            words.push(' ');
            words.push_str(&cut(&word.to_string_lossy()));
        });
        words
    }

    /// Runs it, and says what is wrong with it that is wrong with any call.
    pub(crate) fn go(self) -> Result<StopReason, String> {
        let before = Tree::of(&self.folder);
        let program = std::env::var_os("BPTT_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_bptt").into());
        let limits = format!("ulimit -c 0; ulimit -v {MEMORY}; ulimit -t {PROCESSOR}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &limits]).arg(program).args(&self.arguments).current_dir(&self.folder);
        command.env_remove("RUST_BACKTRACE");
        // With it the program need not begin itself anew to keep a driver quiet.
        command.env("NODEVICE_SELECT", "1").envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = reader(
            child.stdout.take(),
            if self.arguments.iter().any(|word| word == "--json") { JSON } else { RESULTS },
        );
        let stderr = reader(child.stderr.take(), MESSAGES);
        let (status, in_time) = self.wait(&mut child);
        let ((stdout, stdout_more), (stderr, stderr_more)) = (stdout.join().unwrap(), stderr.join().unwrap());
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        (self.count)(code);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = StopReason { code, stdout: text(&stdout), stderr: text(&stderr), words: self.in_words() };
        let after = Tree::of(&self.folder);
        if let Some(what) = before.changed(&after, &self.changes) {
            return ended.wrong(&format!("{what}, which is not this call's"));
        }
        // Before it listens for them, signals end it as they end any program.
        let asked = in_time && self.signal.is_some_and(|(_, name)| status.signal() == Some(number_of(name)));
        if asked || in_time && status.signal() == Some(KILL) && self.may_be_killed {
            return Ok(ended);
        }
        if !in_time {
            return ended.wrong(&format!("did not end within {} seconds", WAIT.as_secs()));
        }
        let said = format!("{}{}", ended.stdout, ended.stderr);
        if let Some(signal) = status.signal() {
            return ended.wrong(&format!("ended by signal {signal}"));
        }
        if !CODES.contains(&code) {
            return ended.wrong("an exit code that docs/program.md does not have");
        }
        for word in ["panicked at", "memory allocation of", "fatal runtime error"] {
            if said.contains(word) {
                return ended.wrong(&format!("{word:?} is in what it printed"));
            }
        }
        // What these print into a pipe is for other programs, and as the data have it.
        let is_data =
            ["predict", "sample"].iter().any(|command| self.arguments.first().is_some_and(|word| word == command));
        if stdout_more && !is_data || stderr_more {
            return ended.wrong("printed more than is of use to anybody");
        }
        let shown = if is_data { &ended.stderr } else { &said };
        if let Some(at) = shown.find(is_control) {
            let from = (0..=at).rev().find(|from| at - from >= 40 && shown.is_char_boundary(*from)).unwrap_or(0);
            return ended.wrong(&format!("printed the control character in \"{}\"", cut(&shown[from..])));
        }
        let has_error = ended.stderr.lines().any(|line| line.starts_with("error: "));
        if has_error != matches!(code, 1..=3) {
            return ended.wrong("an exit code that does not go with what standard error says");
        }
        if code == 2
            && let Some(what) = before.added(&after)
        {
            return ended.wrong(&format!("not begun, but {what}"));
        }
        Ok(ended)
    }

    /// How it ended, and whether it did by itself.
    fn wait(&self, child: &mut Child) -> (ExitStatus, bool) {
        let began = Instant::now();
        let mut signal = self.signal;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status, true);
            }
            let waited = began.elapsed();
            if let Some((after, name)) = signal
                && waited >= after
            {
                signal = Some((waited + after, name));
                let id = child.id().to_string();
                Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status().unwrap();
            }
            if waited > WAIT {
                let _ = child.kill();
                return (child.wait().unwrap(), false);
            }
            sleep(Duration::from_micros(if waited < Duration::from_secs(1) { 300 } else { 5000 }));
        }
    }
}

fn number_of(signal: &str) -> i32 {
    match signal {
        "INT" => 2,
        "TERM" => 15,
        _ => KILL,
    }
}

/// What may not reach a terminal: control characters, of which only those that part lines and fields are text, and
/// those that turn the direction of writing.
pub(crate) fn is_control(c: char) -> bool {
    (c.is_control() && !"\n\t".contains(c))
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Reads to the end and keeps `most` bytes; whether there were more.
fn reader(from: Option<impl Read + Send + 'static>, most: usize) -> thread::JoinHandle<(Vec<u8>, bool)> {
    let mut from = from.unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = from.by_ref().take(most as u64).read_to_end(&mut kept);
        let more = std::io::copy(&mut from, &mut std::io::sink()).unwrap_or(0);
        (kept, more > 0)
    })
}

/// Words that may be as long as they like, for a message.
pub(crate) fn cut(words: &str) -> String {
    let escaped: String = words.chars().take(400).flat_map(char::escape_debug).collect();
    let more = words.chars().count().saturating_sub(400);
    if more > 0 { format!("{escaped}… and {more} more") } else { escaped }
}
