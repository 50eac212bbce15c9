//! Cases of a kind: each is drawn from its number, and all are gone through whatever becomes of one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

use super::call::Call;

/// What became of the cases of a kind.
#[derive(Default)]
struct Tally {
    /// How often the program ended with which exit code; 137: it was killed, as the case wanted.
    codes: BTreeMap<i32, u64>,
    failures: Vec<String>,
}

/// One case, with a folder of its own.
pub(crate) struct Case<'a> {
    folder: TempDir,
    rng: RefCell<ChaCha8Rng>,
    tally: &'a RefCell<Tally>,
}

/// Goes through cases of a kind: `short` of them, or as many as BPTT_CASES says, or the one that BPTT_CASE names.
pub(crate) fn each(kind: &str, short: u64, check: impl Fn(&Case<'_>) -> Result<(), String>) {
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let numbers = match (number("BPTT_CASE"), number("BPTT_CASES")) {
        (Some(one), _) => one..one + 1,
        (None, count) => 0..count.unwrap_or(short),
    };
    let (began, count) = (Instant::now(), numbers.end - numbers.start);
    let tally = RefCell::default();
    for number in numbers {
        let case = Case::new(kind, number, &tally);
        if let Err(reason) = check(&case) {
            let failure = format!("case {number}: {reason}");
            println!("{kind}, {failure}");
            tally.borrow_mut().failures.push(failure);
        }
    }
    let Tally { codes, failures } = tally.into_inner();
    let codes = codes.iter().map(|(code, times)| format!("{code}: {times}")).collect::<Vec<_>>().join(", ");
    // What `scripts/attack` makes its table of.
    println!("attack\t{kind}\t{count}\t{codes}\t{}\t{:.0} s", failures.len(), began.elapsed().as_secs_f64());
    assert!(
        failures.is_empty(),
        "{} of {count} cases failed; BPTT_CASE=N cargo test --test attack -- {kind} repeats one alone:\n{}",
        failures.len(),
        failures.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n")
    );
}

impl<'a> Case<'a> {
    fn new(kind: &str, number: u64, tally: &'a RefCell<Tally>) -> Self {
        let kind = kind.bytes().fold(0u64, |seed, byte| seed.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte));
        let rng = RefCell::new(ChaCha8Rng::seed_from_u64(kind.wrapping_add(number)));
        Self { folder: folder(), rng, tally }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program in the case's folder, with arguments that have no spaces in them.
    pub(crate) fn bptt(&self, arguments: &str) -> Call<'_> {
        Call::new(self.folder()).words(arguments).counted(|code| self.count(code))
    }

    pub(crate) fn count(&self, code: i32) {
        *self.tally.borrow_mut().codes.entry(code).or_default() += 1;
    }

    pub(crate) fn number(&self) -> u64 {
        self.rng.borrow_mut().next_u64()
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        (self.number() % bound.max(1) as u64) as usize
    }

    /// Whether something happens that does in `of` of a hundred cases.
    pub(crate) fn chance(&self, of: usize) -> bool {
        self.below(100) < of
    }

    /// From 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.below(1 << 24) as f64 / f64::from(1 << 24)
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A folder in memory where there is such a place: a run waits for the disk some thirty times.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}
