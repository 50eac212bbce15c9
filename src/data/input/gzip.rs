//! Decompresses gzip files, which are recognised by their first bytes.

use std::borrow::Cow;
use std::path::Path;

use crate::data::InputLimit;
#[cfg(feature = "gzip")]
use crate::data::input::file::read_at_most;
use crate::error::{Error, Result};

/// `bytes`, decompressed if they are gzip data.
pub(in crate::data) fn decompressed<'a>(bytes: &'a [u8], path: &Path, limit: InputLimit) -> Result<Cow<'a, [u8]>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        inflate(bytes, path, limit).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(bytes))
    }
}

#[cfg(feature = "gzip")]
fn inflate(bytes: &[u8], path: &Path, limit: InputLimit) -> Result<Vec<u8>> {
    // One byte more than allowed is enough to know.
    let most = limit.0.saturating_add(1);
    match read_at_most(flate2::read::MultiGzDecoder::new(bytes), most, "what gzip compressed")? {
        (inflated, Ok(())) if inflated.len() as u64 > limit.0 => Err(limit.exceeded(path, "", "in the gzip data")),
        (inflated, Ok(())) => Ok(inflated),
        (inflated, Err(error)) => {
            let message = format!("expected complete gzip data, got {error} after {} bytes of output", inflated.len());
            Err(Error::data(path, "", message))
        }
    }
}

#[cfg(not(feature = "gzip"))]
fn inflate(_: &[u8], path: &Path, _: InputLimit) -> Result<Vec<u8>> {
    Err(Error::data(
        path,
        "",
        "expected data that are not compressed, got gzip data, which need the feature `gzip` of bptt",
    ))
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn data_that_inflate_beyond_the_limit_are_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[0; 1000]).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(inflate(&bytes, Path::new("a.gz"), InputLimit(1000)).unwrap(), [0; 1000]);
        let twice = [&bytes[..], &bytes].concat();
        for (bytes, most) in [(&bytes, 999), (&twice, 1999)] {
            let error = inflate(bytes, Path::new("a.gz"), InputLimit(most)).unwrap_err().to_string();
            let expected =
                format!("a.gz: expected at most {most} bytes, got more in the gzip data; a larger input-limit allows");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn compressed_data_are_complete_or_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&[7; 100_000]).unwrap();
        let bytes = encoder.finish().unwrap();
        let path = Path::new("a.gz");
        assert_eq!(*decompressed(&bytes, path, InputLimit::default()).unwrap(), [7; 100_000]);
        assert_eq!(*decompressed(b"plain", path, InputLimit::default()).unwrap(), *b"plain");
        for end in 2..bytes.len() {
            let error = decompressed(&bytes[..end], path, InputLimit::default()).unwrap_err().to_string();
            assert!(error.contains("expected complete gzip data"), "{error}");
        }
        let mut changed = bytes.clone();
        let last = changed.len() - 8;
        changed[last] ^= 1;
        assert!(decompressed(&changed, path, InputLimit::default()).is_err());
    }
}
