//! Tells the program its version, with the commit that it is built of where there is a repository.

use std::path::Path;
use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    // A package that was unpacked within somebody else's repository is not of its commits.
    let own = git(&["ls-files", "build.rs"]).is_some_and(|listed| !listed.is_empty());
    let commit = git(&["describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]).filter(|_| own);
    let commit = commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
    println!("cargo::rustc-env=BPTT_VERSION={}{commit}", env!("CARGO_PKG_VERSION"));
    // One that is not there would make every build begin anew.
    let of_git = ["HEAD", "logs/HEAD"].iter().filter_map(|path| git(&["rev-parse", "--git-path", path]));
    for path in of_git.filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    for path in ["build.rs", "Cargo.toml", "src", "shaders"] {
        println!("cargo::rerun-if-changed={path}");
    }
}
