//! Processes that end in the middle of it.

use std::time::Duration;

use super::call::Call;
use super::case::each;
use super::forged::Interrupted;
use super::runs::{OUT, RUNS, Run, Wholes, bring_to_its_end, data, same, same_but};
use super::tree::copy;

#[test]
fn a_run_killed_or_stopped_at_any_moment_resumes_to_the_bytes_of_an_uninterrupted_one() {
    let wholes = Wholes::default();
    each("kills", 32, |case| {
        let run = case.pick(&RUNS);
        let (whole, took) = wholes.of(run)?;
        data(case.folder());
        let mut said = String::new();
        for _ in 0..1 + case.below(3) {
            // Mostly within the run, at times behind its end.
            let after = Duration::from_secs_f64(took.as_secs_f64() * 1.1 * case.share());
            let signal = case.pick(&["KILL", "KILL", "KILL", "INT", "TERM"]);
            let begun = case.folder().join(OUT).join("config.toml").is_file();
            let arguments = if begun { "train --resume run --threads 1".into() } else { run.arguments() };
            if !begun && case.folder().join(OUT).exists() {
                break;
            }
            let ended = case.bptt(&arguments).changes(OUT).signal(after, signal).go()?;
            let expected: &[i32] = match signal {
                "INT" => &[0, 130],
                "TERM" => &[0, 143],
                _ => &[0, 137],
            };
            if !expected.contains(&ended.code) {
                return ended.wrong(&format!("{}, {signal}: expected one of {expected:?}", run.0));
            }
            said.push_str(&ended.stderr);
        }
        said.push_str(&bring_to_its_end(case, run)?.stderr);
        // A measurement that was killed twice is not begun again.
        same_but(&whole.join(OUT), &case.folder().join(OUT), &said).map_err(|reason| format!("{}: {reason}", run.0))
    });
}

#[test]
fn only_one_of_two_processes_can_resume_a_run() {
    let (wholes, interrupted) = (Wholes::default(), Interrupted::default());
    each("two at once", 16, |case| {
        let run = Run::named(case.pick(&["sunspots", "lanes of a text", "lines in classes"]));
        let (whole, _) = wholes.of(run)?;
        copy(&interrupted.of(run), case.folder());
        let wait = Duration::from_secs_f64(0.02 * case.share());
        let folder = case.folder();
        let resume = |wait| {
            std::thread::sleep(wait);
            Call::new(folder).words("train --resume run --threads 1").changes(OUT).go()
        };
        let ended = std::thread::scope(|scope| {
            let other = scope.spawn(|| resume(wait));
            [resume(Duration::ZERO), other.join().unwrap()]
        });
        let [one, other] = ended;
        let (one, other) = (one?, other?);
        [&one, &other].iter().for_each(|ended| case.count(ended.code));
        if one.code != 0 && other.code != 0 {
            return one.wrong("neither of the two went on with the run");
        }
        for ended in [one, other] {
            if ended.code != 0 && !ended.stderr.contains("that no other process uses") {
                return ended.wrong("expected to be kept out by the other");
            }
        }
        same(&whole.join(OUT), &case.folder().join(OUT)).map_err(|reason| format!("{}: {reason}", run.0))
    });
}
