//! A server of the files of one folder, for this machine alone.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Result;

/// The most bytes of a request's line and headers.
const REQUEST: u64 = 64 << 10;

/// How long a browser may take to ask.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until it is killed. Port 0 is any free one.
pub(crate) fn serve(folder: &Path, port: &str) -> Result<()> {
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let port: u16 = port.parse().map_err(|_| format!("expected a port from 0 to 65535, got {port:?}"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!("port {port} is taken: name another one, or 0 for any"),
        _ => format!("port {port}: {error}"),
    })?;
    println!("http://{}/", listener.local_addr()?);
    std::io::stdout().flush()?;
    for stream in listener.incoming().flatten() {
        let folder = folder.clone();
        // A browser that goes away is no error of the server.
        thread::spawn(move || answer(&stream, &folder));
    }
    Ok(())
}

/// Answers one request.
fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(REQUEST));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    // The headers say nothing that matters here, and must be read before the answer.
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, body) = match (method, found(folder, target)) {
        ("GET" | "HEAD", Some(path)) => match fs::read(&path) {
            Ok(bytes) => ("200 OK", kind(&path), bytes),
            Err(error) => ("500 Internal Server Error", "text/plain; charset=utf-8", error.to_string().into_bytes()),
        },
        ("GET" | "HEAD", None) => ("404 Not Found", "text/plain; charset=utf-8", b"no such file\n".to_vec()),
        _ => ("405 Method Not Allowed", "text/plain; charset=utf-8", b"expected GET or HEAD\n".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

/// The file in the folder that a request names.
fn found(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let relative = Path::new(path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let path = folder.join(relative);
    let path = if path.is_dir() { path.join("index.html") } else { path };
    // A link out of the folder leads to nothing.
    path.canonicalize().ok().filter(|path| path.is_file() && path.starts_with(folder))
}

/// What a file holds, by its name. A browser compiles wasm as it arrives only under its own type.
fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("txt" | "csv") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found() {
        let folder = std::env::temp_dir().join(format!("bptt-web-tool-{}", std::process::id()));
        fs::create_dir_all(folder.join("site/wasm")).unwrap();
        fs::write(folder.join("secret"), "x").unwrap();
        fs::write(folder.join("site/index.html"), "x").unwrap();
        fs::write(folder.join("site/wasm/a.wasm"), "x").unwrap();
        let site = folder.join("site").canonicalize().unwrap();
        assert_eq!(found(&site, "/"), Some(site.join("index.html")));
        assert_eq!(found(&site, "/?room=2"), Some(site.join("index.html")));
        assert_eq!(found(&site, "/wasm/a.wasm").as_deref().map(kind), Some("application/wasm"));
        for other in ["/../secret", "//etc/passwd", "/wasm", "/none", "secret", ""] {
            assert_eq!(found(&site, other), None, "{other}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
