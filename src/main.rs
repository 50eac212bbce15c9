//! The `bptt` program.
fn main() {}
