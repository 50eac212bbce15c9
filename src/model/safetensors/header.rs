//! The header of a safetensors file: written before and read before the tensors.

use std::collections::HashMap;
use std::io::Read;

use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo};

use super::unsupported;
use crate::error::Result;

/// The maximum digits of a number in the header: offsets up to a petabyte, whose sums do not overflow.
const MOST_DIGITS: usize = 15;

/// The maximum size of a header in the format.
const MOST_BYTES: u64 = 100_000_000;

/// The maximum number of commas and brackets in a header; a tensor needs about ten. While parsing, each may become a
/// value many times its size.
const MOST_MARKS: usize = 1 << 20;

/// How many bytes of a foreign file are read to identify it.
const SHOWN: u64 = 4096;

/// The contents of a file, known before any tensor is read.
#[derive(Debug)]
pub(crate) struct SafetensorsHeader {
    pub(crate) notes: HashMap<String, String>,
    /// In the order of their bytes.
    pub(crate) tensors: Vec<TensorEntry>,
}

/// A tensor in a file.
#[derive(Clone, Debug)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) kind: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: u64,
}

impl SafetensorsHeader {
    /// Reads and checks the header of a file of `length` bytes. The tensors' bytes follow without gaps.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if header and length do not form a safetensors file.
    pub(crate) fn read(from: &mut impl Read, length: u64) -> Result<Self> {
        let unreadable = |begin: &[u8], error| super::unreadable(begin, length, error);
        let mut begin = Vec::new();
        take(from, 8, &mut begin)?;
        let Some(size) = begin.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else {
            return Err(unreadable(&begin, SafeTensorError::HeaderTooSmall));
        };
        if size > MOST_BYTES || size > length.saturating_sub(8) {
            take(from, SHOWN, &mut begin)?;
            return Err(unreadable(&begin, SafeTensorError::InvalidHeaderLength));
        }
        take(from, size, &mut begin)?;
        let header = &begin[8..];
        if (header.len() as u64) < size {
            return Err(unreadable(&begin, SafeTensorError::InvalidHeaderLength));
        }
        check(header)?;
        let text = str::from_utf8(header).map_err(|error| unreadable(&begin, SafeTensorError::InvalidHeader(error)))?;
        let metadata: Metadata = serde_json::from_str(text)
            .map_err(|error| unreadable(&begin, SafeTensorError::InvalidHeaderDeserialization(error)))?;
        if (metadata.data_len() as u64).checked_add(8 + size) != Some(length) {
            return Err(unreadable(&begin, SafeTensorError::MetadataIncompleteBuffer));
        }
        drop(begin);
        let entry = |name: String| {
            let TensorInfo { dtype, shape, data_offsets: (first, end) } = metadata.info(&name)?.clone();
            Some((first, TensorEntry { name, kind: dtype, shape, bytes: (end - first) as u64 }))
        };
        let mut tensors: Vec<(usize, TensorEntry)> = metadata.offset_keys().into_iter().filter_map(entry).collect();
        // Empty tensors share their offset with the next one.
        tensors.sort_by(|(a, first), (b, second)| (a, first.bytes, &first.name).cmp(&(b, second.bytes, &second.name)));
        let tensors = tensors.into_iter().map(|(_, entry)| entry).collect();
        Ok(Self { notes: metadata.metadata().clone().unwrap_or_default(), tensors })
    }
}

/// Appends the available bytes, up to `count`.
fn take(from: &mut impl Read, count: u64, to: &mut Vec<u8>) -> Result<()> {
    from.take(count).read_to_end(to).map(|_| ()).map_err(super::elements::truncated)
}

/// The beginning of a file with these tensors, all of one element type and ordered by name, and with a metadata entry.
/// The tensors' bytes follow in the same order.
///
/// # Errors
/// [`Error::Unsupported`] if the format does not allow a name, a shape or the header's length.
pub(crate) fn begin<'a>(
    kind: Dtype,
    tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    note: Option<(&str, &str)>,
) -> Result<Vec<u8>> {
    let mut end = 0;
    let infos = tensors.into_iter().map(|(name, shape)| {
        let first = end;
        end += shape.iter().product::<usize>() * (kind.bitsize() / 8);
        (name.to_owned(), TensorInfo { dtype: kind, shape: shape.to_vec(), data_offsets: (first, end) })
    });
    let infos = infos.collect();
    let notes = note.map(|(name, text)| HashMap::from([(name.to_owned(), text.to_owned())]));
    let metadata = Metadata::new(notes, infos).map_err(unsupported)?;
    let mut header = vec![0; 8];
    serde_json::to_writer(&mut header, &metadata).map_err(unsupported)?;
    // The tensors start at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    let size = (header.len() - 8) as u64;
    if size > MOST_BYTES {
        return Err(unsupported(format!("the header takes {size} bytes, and the format allows {MOST_BYTES}")));
    }
    header[..8].copy_from_slice(&size.to_le_bytes());
    Ok(header)
}

/// Rejects what the parser accepts: duplicate names, of which it would keep the last, offsets whose sums overflow, and
/// more values than any file of tensors has.
fn check(header: &[u8]) -> Result<()> {
    let (mut names, mut depth, mut digits, mut marks) = (Vec::new(), 0_usize, 0, 0);
    let (mut text, mut escaped) = (None, false);
    for (at, byte) in header.iter().enumerate() {
        match (text, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(begin), b'"') => {
                // A string outside every inner object is a key.
                if depth == 1 {
                    names.push(&header[begin..at]);
                }
                text = None;
            }
            (Some(_), _) => {}
            (None, b'"') => text = Some(at + 1),
            (None, b'{' | b'[') => (depth, marks) = (depth + 1, marks + 1),
            (None, b'}' | b']') => depth = depth.saturating_sub(1),
            (None, b',') => marks += 1,
            (None, _) => {}
        }
        digits = if text.is_none() && byte.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > MOST_DIGITS {
            return Err(unsupported(format!(
                "expected numbers of at most {MOST_DIGITS} digits in the header, got more"
            )));
        }
        if marks > MOST_MARKS {
            return Err(unsupported(format!(
                "expected a header of at most {MOST_MARKS} commas and brackets (some 100,000 tensors), got more"
            )));
        }
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let name = String::from_utf8_lossy(pair[0]);
            Err(unsupported(format!("the header names {name} twice")))
        }
        None => Ok(()),
    }
}
