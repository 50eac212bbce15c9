//! What `scripts/web` needs besides cargo: the JavaScript around the compiled wasm, its size as a server sends it, and a
//! server for this machine alone.

mod serve;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

/// The most bytes of the wasm, compressed.
const MOST: usize = 1_500_000;

const USAGE: &str = "usage: bptt-web-tool bind WASM FOLDER | bptt-web-tool serve FOLDER PORT";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["bind", wasm, folder] => bind(Path::new(wasm), Path::new(folder)),
        ["serve", folder, port] => serve::serve(Path::new(folder), port),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes `bptt_web.js` and `bptt_web_bg.wasm` into a folder, and refuses wasm that is too large.
fn bind(wasm: &Path, folder: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name("bptt_web").web(true)?.typescript(false);
    // The JavaScript finds the wasm beside itself.
    bindgen.omit_default_module_path(false);
    // What a debugger and a linker need, which is not sent.
    bindgen.remove_name_section(true).remove_producers_section(true);
    bindgen.generate(folder).map_err(|error| format!("{}: {error:#}", wasm.display()))?;
    let bound = folder.join("bptt_web_bg.wasm");
    let bytes = fs::read(&bound).map_err(|error| format!("{}: {error}", bound.display()))?;
    let compressed = compressed(&bytes)?;
    println!("{}: {} bytes, {compressed} compressed by gzip", bound.display(), bytes.len());
    if compressed > MOST {
        return Err(format!("expected at most {MOST} bytes compressed by gzip, got {compressed}").into());
    }
    Ok(())
}

/// The bytes that gzip makes of these.
fn compressed(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}
