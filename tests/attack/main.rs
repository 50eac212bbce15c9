//! A machine that dies, a disk that fails, and files, names and flags from anywhere: whatever the program is given, it
//! ends in bounded time and memory with an exit code of the table in docs/program.md, and either with the bytes that it
//! has without all this, or with an error. It never panics or aborts, prints neither megabytes nor control characters,
//! and changes no file that was there before.
//!
//! Each test is one kind of trouble, in some dozen cases that are drawn at random from the number of the case.
//! BPTT_CASES tells how many cases of each kind there are instead, BPTT_CASE names the one that is to be repeated
//! alone, and BPTT_PROGRAM another build of the program that goes through them. `scripts/attack` is the long form.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

mod call;
mod case;
mod changes;
mod runs;
mod tree;

// What goes through the kinds of trouble one after the other.
mod flags;
mod forged;
mod inputs;
mod kills;
mod links;
mod models;
mod names;

// Faults of a disk are brought in by a library that stands before the C library's calls.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod file_faults;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod power_loss;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod preloaded;
