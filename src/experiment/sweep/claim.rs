//! Who runs what: several workers, on one machine or on many, share a folder and take runs from it.
//!
//! A claim is a file that exactly one worker could create: a hard link or, where there are none, `O_EXCL`, which local and
//! network file systems do as one step. Its modification time is set anew as long as the worker lives. One that stays the
//! same for the time-out, by the clock of whoever waits for it, is dead: the next worker creates the next claim of the same
//! run, and again only one can. No claim is deleted or renamed, so that there is no moment at which two hold the last one.
//!
//! A worker on the same machine need not wait: the claim's file is locked as long as its process lives.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::experiment::files::folder::io_error;

/// Claims of one run at the same step after which it is given up: its workers died one after the other.
const ATTEMPTS: u32 = 10;

/// Signs of life within the time-out.
const BEATS: u32 = 6;

/// The most bytes of a claim.
const BYTES: u64 = 4096;

/// What a claim's file contains.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    /// The machine since its last start; empty where it is not known.
    machine: String,
    process: u32,
    /// The step that the run had reached.
    step: u64,
}

/// What became of a wish for a run.
pub(super) enum Claimed {
    /// It is this worker's.
    Own(Claim),
    /// Another worker's, as far as is known.
    Busy,
    /// Its workers died this many times without a step forward.
    GivenUp(u32),
}

/// Takes claims in a folder.
pub(super) struct Claims {
    folder: PathBuf,
    timeout: Duration,
    machine: String,
    /// The last sign of life of other workers' claims, and when it was first seen.
    seen: HashMap<PathBuf, (SystemTime, Instant)>,
}

/// A run of this worker, until it is dropped.
pub(super) struct Claim {
    /// Locked until the process ends, or the claim is dropped.
    file: Arc<File>,
    path: PathBuf,
    lost: Arc<AtomicBool>,
    /// Ends the thread that shows signs of life when dropped.
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Claims {
    pub(super) fn new(folder: PathBuf, timeout: Duration) -> Self {
        Self { folder, timeout, machine: machine(), seen: HashMap::new() }
    }

    /// Claims the run of a name, which has reached a step, unless another worker has it.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub(super) fn take(&mut self, name: &str, step: u64) -> Result<Claimed> {
        let last = self.last(name)?;
        if last > 0 && !self.is_dead(&self.path(name, last))? {
            return Ok(Claimed::Busy);
        }
        // One that was let go of did no harm.
        let died = (1..=last).rev().map(|number| self.path(name, number)).filter(|path| !released(path).exists());
        let here = |path: &PathBuf| self.note(path).is_some_and(|note| note.step == step);
        let attempts = died.take_while(here).count() as u32;
        if attempts >= ATTEMPTS {
            return Ok(Claimed::GivenUp(attempts));
        }
        let path = self.path(name, last + 1);
        match self.create(&path, step)? {
            Some(file) => Ok(Claimed::Own(Claim::beat(file, path, self.path(name, last + 2), self.timeout / BEATS))),
            None => Ok(Claimed::Busy),
        }
    }

    /// Creates a claim, locked and with its note; `None` if another worker was first.
    fn create(&self, path: &Path, step: u64) -> Result<Option<File>> {
        // Under another name before: a claim whose worker was killed at once has its note too.
        let (file, temporary) = temporary(&self.folder)?;
        let linked = self.fill(&file, step).map_err(io_error(&temporary)).map(|()| fs::hard_link(&temporary, path));
        let _ = fs::remove_file(&temporary);
        match linked? {
            Ok(()) => return Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            // This file system has no hard links.
            Err(_) => {}
        }
        match File::create_new(path) {
            Ok(file) => self.fill(&file, step).map_err(io_error(path)).map(|()| Some(file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(io_error(path)(error)),
        }
    }

    /// Locks a claim's file and then writes its note, which tells others that its lock says something.
    fn fill(&self, mut file: &File, step: u64) -> std::io::Result<()> {
        let is_locked = file.try_lock().is_ok();
        let machine = if is_locked { self.machine.clone() } else { String::new() };
        let text = serde_json::to_vec(&Note { machine, process: std::process::id(), step })?;
        file.write_all(&text)?;
        file.sync_all()
    }

    fn path(&self, name: &str, number: u32) -> PathBuf {
        self.folder.join(format!("{name}.claim-{number}"))
    }

    /// The number of the last claim; 0 if there is none.
    fn last(&self, name: &str) -> Result<u32> {
        let mut number = 0;
        // They are numbered without a gap.
        while self.path(name, number + 1).try_exists().map_err(io_error(&self.folder))? {
            number += 1;
        }
        Ok(number)
    }

    fn note(&self, path: &Path) -> Option<Note> {
        let mut text = Vec::new();
        File::open(path).ok()?.take(BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether the worker of a claim is dead.
    fn is_dead(&mut self, path: &Path) -> Result<bool> {
        if released(path).try_exists().map_err(io_error(path))? {
            return Ok(true);
        }
        // Opened, since a network file system then asks its server how the file is now.
        let file = File::options().read(true).write(true).open(path).map_err(io_error(path))?;
        let beat = file.metadata().and_then(|metadata| metadata.modified()).map_err(io_error(path))?;
        let note = self.note(path);
        if note.is_some_and(|note| !note.machine.is_empty() && note.machine == self.machine) {
            match file.try_lock() {
                Ok(()) => return Ok(true),
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(_)) => {}
            }
        }
        let now = Instant::now();
        let (last, since) = *self.seen.entry(path.into()).or_insert((beat, now));
        if last != beat {
            self.seen.insert(path.into(), (beat, now));
            return Ok(false);
        }
        Ok(now.duration_since(since) >= self.timeout)
    }
}

/// A new file in a folder, and its path.
fn temporary(folder: &Path) -> Result<(File, PathBuf)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{}-{number}.part", std::process::id()));
        match File::create_new(&path) {
            // Of a process with the same number, on another machine or before.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map_err(io_error(&path)).map(|file| (file, path)),
        }
    }
}

/// The file that tells that the worker of a claim has let go of it.
fn released(claim: &Path) -> PathBuf {
    let mut path = claim.as_os_str().to_owned();
    path.push(".released");
    path.into()
}

impl Claim {
    /// Shows signs of life every `period`, and looks whether there is a `next` claim.
    fn beat(file: File, path: PathBuf, next: PathBuf, period: Duration) -> Self {
        let (file, lost) = (Arc::new(file), Arc::new(AtomicBool::new(false)));
        let (end, ended) = channel::<()>();
        let (beaten, is_lost) = (Arc::clone(&file), Arc::clone(&lost));
        let beating = std::thread::Builder::new().name("claim".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(period) {
                // A worker whose sign of life fails is taken for dead by others, as it should be.
                let _ = beaten.set_modified(SystemTime::now());
                if next.exists() {
                    is_lost.store(true, Ordering::Relaxed);
                }
            }
        });
        Self { file, path, lost, beating: beating.ok().map(|thread| (end, thread)) }
    }

    /// Whether another worker took the run, since this one showed no sign of life for too long.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Lets go of the run, so that nobody waits for it.
    pub(super) fn release(self) {
        // Otherwise it is taken for dead after the time-out.
        let _ = File::create_new(released(&self.path));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.beating.take() {
            drop(end);
            let _ = thread.join();
        }
        let _ = self.file.unlock();
    }
}

/// What tells a machine, since its last start, from all others; empty where nothing does.
fn machine() -> String {
    // Locks are those of a kernel, which containers share.
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(folder: &Path, machine: &str, milliseconds: u64) -> Claims {
        let claims = Claims::new(folder.into(), Duration::from_millis(milliseconds));
        Claims { machine: machine.into(), ..claims }
    }

    fn own(claimed: Claimed) -> Claim {
        match claimed {
            Claimed::Own(claim) => claim,
            Claimed::Busy => panic!("busy"),
            Claimed::GivenUp(count) => panic!("given up after {count}"),
        }
    }

    #[test]
    fn one_of_many_workers_gets_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let start = std::sync::Barrier::new(8);
        let take = || {
            let mut claims = claims(path, "a", 60_000);
            start.wait();
            claims.take("run", 0).unwrap()
        };
        let taken: Vec<Claimed> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|claimed| matches!(claimed, Claimed::Own(_))).count(), 1);
        assert!(
            matches!(claims(path, "a", 1).take("run", 0).unwrap(), Claimed::Busy),
            "it lives, however short the time"
        );
    }

    #[test]
    fn the_run_of_a_process_that_died_on_this_machine_is_taken_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut others = claims(folder.path(), "a", 60_000);
        drop(own(others.take("run", 0).unwrap()));
        drop(own(others.take("run", 0).unwrap()));
        assert_eq!(others.last("run").unwrap(), 2);
    }

    #[test]
    fn the_run_of_another_machine_is_taken_when_it_showed_no_sign_of_life_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let claim = own(claims(folder.path(), "a", 60).take("run", 0).unwrap());
        let mut other = claims(folder.path(), "b", 300);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(600) {
            assert!(matches!(other.take("run", 0).unwrap(), Claimed::Busy));
            std::thread::sleep(Duration::from_millis(20));
        }
        // As a process ends that is killed: nothing is released.
        drop(claim);
        let dead = Instant::now();
        let taken = loop {
            if let Claimed::Own(claim) = other.take("run", 0).unwrap() {
                break claim;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(dead.elapsed() >= Duration::from_millis(250), "{:?}", dead.elapsed());
        assert!(!taken.is_lost());
    }

    #[test]
    fn a_worker_that_lost_its_run_notices_and_one_that_lets_go_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let slow = own(claims(folder.path(), "a", 60).take("run", 0).unwrap());
        // As another worker does that takes it for dead.
        fs::write(folder.path().join("run.claim-2"), "").unwrap();
        let began = Instant::now();
        while !slow.is_lost() {
            assert!(began.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        own(claims(folder.path(), "a", 60_000).take("other", 0).unwrap()).release();
        assert!(matches!(claims(folder.path(), "b", 60_000).take("other", 0).unwrap(), Claimed::Own(_)));
    }

    #[test]
    fn a_run_that_kills_its_workers_is_given_up_unless_it_gets_further() {
        let folder = tempfile::tempdir().unwrap();
        let mut others = claims(folder.path(), "a", 60_000);
        (1..ATTEMPTS).for_each(|_| drop(own(others.take("run", 7).unwrap())));
        drop(own(others.take("run", 8).unwrap()));
        (1..ATTEMPTS).for_each(|_| drop(own(others.take("run", 8).unwrap())));
        assert!(matches!(others.take("run", 8).unwrap(), Claimed::GivenUp(ATTEMPTS)));
    }
}
