//! What the page of bptt computes, in a web worker: five rooms, each a small experiment of the crate [`bptt`] that is taken
//! a few steps at a time.
//!
//! The rooms are plain Rust, so that tests and `examples/losses.rs` run them without a browser. On `wasm32` the module
//! `bindings` exports them to JavaScript; values become plain objects, and errors `Error` objects with the library's sentence and a `kind`.

pub mod device;
pub mod errors;
pub mod limits;
pub mod line;
pub mod network;
pub mod series;
pub mod text;
pub mod three_steps;
pub mod through_time;

#[cfg(target_arch = "wasm32")]
mod bindings;

/// The version of the library.
pub fn version() -> String {
    format!("bptt {}", bptt::VERSION)
}
