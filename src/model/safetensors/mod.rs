//! The safetensors file format. Tensors are read and written one by one; no file is held in memory as bytes.

mod elements;
mod header;

use std::io::{self, Read, Write};

use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensorError};

pub(crate) use elements::{read as read_numbers, truncated, write as write_numbers};
pub(crate) use header::{SafetensorsHeader, TensorEntry, begin};

use super::state_dict::StateDict;
use crate::error::{Error, Result};
use crate::real::Real;

impl<R: Real> StateDict<R> {
    /// Writes a safetensors file of the dict's number type, F32 or F64, with one metadata entry, `note`, as (name,
    /// text). (Several entries would have no fixed order in the file.) Buffers no more than a piece of one tensor.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the format does not allow a name; [`Error::Io`], without a file name, if `to` fails.
    pub fn write_safetensors(&self, to: &mut impl Write, note: Option<(&str, &str)>) -> Result<()> {
        let shapes = self.iter().map(|(name, array)| (name, array.shape()));
        to.write_all(&begin(dtype::<R>(), shapes, note)?).map_err(unwritten)?;
        self.iter().try_for_each(|(_, array)| write_numbers(to, array.iter().copied())).map_err(unwritten)
    }

    /// The bytes of a safetensors file: see [`write_safetensors`](Self::write_safetensors).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the format does not allow a name.
    pub fn to_safetensors(&self, note: Option<(&str, &str)>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_safetensors(&mut bytes, note)?;
        Ok(bytes)
    }
}

impl StateDict {
    /// The metadata entry `name` of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the bytes are not a safetensors file.
    pub fn safetensors_note(bytes: &[u8], name: &str) -> Result<Option<String>> {
        Ok(SafetensorsFile::open(bytes, bytes.len() as u64)?.note(name).map(str::to_owned))
    }

    /// Reads the bytes of a safetensors file: see [`SafetensorsFile::state_dict`].
    ///
    /// # Errors
    /// The errors of [`SafetensorsFile::open`] and [`SafetensorsFile::state_dict`].
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        SafetensorsFile::open(bytes, bytes.len() as u64)?.state_dict()
    }
}

/// A safetensors file whose header has been read. Names and shapes are known before any tensor is.
#[derive(Debug)]
pub struct SafetensorsFile<F> {
    header: SafetensorsHeader,
    /// Positioned at the first tensor.
    file: F,
}

impl<F: Read> SafetensorsFile<F> {
    /// Reads the header of a file of `length` bytes and checks it against the length, before memory is allocated for
    /// what it declares.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is not a safetensors file; for a `torch.save` file, the message says how to convert
    /// it. [`Error::Io`], without a file name, if it cannot be read.
    pub fn open(mut file: F, length: u64) -> Result<Self> {
        Ok(Self { header: SafetensorsHeader::read(&mut file, length)?, file })
    }

    /// The metadata entry `name`.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.header.notes.get(name).map(String::as_str)
    }

    /// The names and shapes of the tensors, in the order of the file.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.header.tensors.iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice()))
    }

    /// Reads the tensors as f32. F16 and BF16 are converted exactly, F64 is rounded.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor of integers or another element type, or an f64 outside the range of f32;
    /// [`Error::NoMemory`] if memory runs out; [`Error::Io`], without a file name, if the file cannot be read.
    pub fn state_dict(self) -> Result<StateDict> {
        self.state_dict_in()
    }

    /// Reads the tensors as f32 or f64, whichever `R` is: see [`state_dict`](Self::state_dict). Only f64 that is read
    /// as f32 is rounded.
    ///
    /// # Errors
    /// Same as [`state_dict`](Self::state_dict).
    pub fn state_dict_in<R: Real>(mut self) -> Result<StateDict<R>> {
        // In the order of names, so that the same tensor is always reported, and before allocating.
        let wrong = self.header.tensors.iter().filter(|entry| elements::check(&entry.name, entry.kind).is_err());
        if let Some(entry) = wrong.min_by_key(|entry| &entry.name) {
            elements::check(&entry.name, entry.kind)?;
        }
        let tensors = self.header.tensors.into_iter().map(|TensorEntry { name, kind, shape, bytes }| {
            let values = elements::values(&name, kind, &mut self.file, bytes)?;
            let array = ArrayD::from_shape_vec(IxDyn(&shape), values);
            let array = array.map_err(|error| Error::Unsupported(format!("{name}: {error}")))?;
            Ok((name, array))
        });
        tensors.collect()
    }

    /// Calls `take` for every tensor with its stored element type, in the order of the file.
    ///
    /// # Errors
    /// The errors of `take`; [`Error::Io`], without a file name, if the file cannot be read.
    pub fn each(mut self, mut take: impl FnMut(StoredTensor<'_>) -> Result<()>) -> Result<()> {
        for entry in &self.header.tensors {
            let mut data = (&mut self.file).take(entry.bytes);
            take(StoredTensor { entry, data: &mut data })?;
            io::copy(&mut data, &mut io::sink()).map_err(truncated)?;
        }
        Ok(())
    }
}

/// A tensor of a safetensors file with its stored element type: see [`SafetensorsFile::each`].
pub struct StoredTensor<'a> {
    entry: &'a TensorEntry,
    data: &'a mut dyn Read,
}

impl StoredTensor<'_> {
    /// The name of the tensor.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The element type as named by the format, such as `F32` or `I64`.
    pub fn element_type(&self) -> String {
        self.entry.kind.to_string()
    }

    /// The size of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    /// Calls `take` once for every element in row-major order. A boolean becomes 0 or 1, an integer beyond 2^53 the
    /// nearest f64. Returns false, without a call, if the elements are not real numbers of whole bytes (complex
    /// numbers, 4-bit and 6-bit numbers).
    ///
    /// # Errors
    /// [`Error::Io`], without a file name, if the file cannot be read.
    pub fn for_each(&mut self, take: impl FnMut(f64)) -> Result<bool> {
        elements::each(self.entry.kind, &mut self.data, self.entry.bytes, take)
    }
}

impl std::fmt::Debug for StoredTensor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entry.fmt(f)
    }
}

/// The element type of numbers.
pub(crate) fn dtype<R>() -> Dtype {
    if size_of::<R>() == 8 { Dtype::F64 } else { Dtype::F32 }
}

/// The error of a failed write.
pub(crate) fn unwritten(source: io::Error) -> Error {
    Error::Io { path: "the tensors".into(), source }
}

/// Why a file of `count` bytes that begins with `bytes` is not a safetensors file.
fn unreadable(bytes: &[u8], count: u64, error: SafeTensorError) -> Error {
    if is_torch_save(bytes) {
        return Error::Unsupported(
            "expected a safetensors file, got one of torch.save, which holds a program (a pickle) and not only tensors; \
             convert it: python -c \"import torch, safetensors.torch as s; \
             s.save_file(torch.load('x.pt', weights_only=True), 'x.safetensors')\""
                .into(),
        );
    }
    if let Some(what) = other_kind(bytes) {
        return Error::Unsupported(format!("not a safetensors file: {what}"));
    }
    match (&error, bytes.first_chunk()) {
        (SafeTensorError::HeaderTooSmall, _) | (_, None) => unsupported(format!("expected a file, got {count} bytes")),
        (SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength, Some(length)) => {
            let length = u64::from_le_bytes(*length);
            unsupported(format!(
                "expected a header of {length} bytes, as stated in the first 8 bytes, got a file of {count} bytes"
            ))
        }
        (SafeTensorError::MetadataIncompleteBuffer, _) => {
            let reason = "its tensors do not match its header: the file was truncated or extended";
            unsupported(format!("got a file of {count} bytes, and {reason}"))
        }
        _ => unsupported(error),
    }
}

/// Describes a file of another kind by its first bytes: known formats by name, a text by its first words.
fn other_kind(bytes: &[u8]) -> Option<String> {
    let known = [
        (&b"\x89HDF\r\n"[..], "HDF5 (Keras, .h5)"),
        (b"\x93NUMPY", "a NumPy array (.npy)"),
        (b"GGUF", "GGUF (llama.cpp)"),
        (b"\x1f\x8b", "compressed by gzip"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(format!("it is {what}"));
    }
    // A header is shorter than 100 MB, so the last of the first 8 bytes is zero.
    let begin = &bytes[..bytes.len().min(SHOWN)];
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // Truncated within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&begin[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let is_text = bytes.len() >= 8 && text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    let line = text.trim_start().lines().next().unwrap_or_default();
    let line: String = line.chars().take(24).collect();
    is_text.then(|| format!("it begins with \"{}…\"", line.trim_end()))
}

/// How many bytes of a text are shown.
const SHOWN: usize = 64;

/// Whether the bytes are a `torch.save` file: an archive whose first entry is `NAME/data.pkl`, or, before PyTorch 1.6,
/// a pickle of the number 0x1950a86a20f9469cfc6c.
fn is_torch_save(bytes: &[u8]) -> bool {
    const BEFORE: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    // In an archive, the length of the first name is at byte 26 and the name at byte 30.
    let name = || {
        let length = u16::from_le_bytes([*bytes.get(26)?, *bytes.get(27)?]);
        bytes.get(30..30 + usize::from(length))
    };
    bytes.starts_with(BEFORE)
        || bytes.starts_with(b"PK\x03\x04") && name().is_some_and(|name| name.ends_with(b"/data.pkl"))
}

fn unsupported(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("safetensors: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a header and so many bytes of zero.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    /// A file of one tensor, `w`.
    fn one(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!(r#"{{"w":{{"dtype":"{kind}","shape":{shape},"data_offsets":[0,{}]}}}}"#, data.len());
        let mut bytes = file(&header, 0);
        bytes.extend(data);
        bytes
    }

    #[track_caller]
    fn refused(bytes: &[u8], parts: &[&str]) {
        let message = StateDict::from_safetensors(bytes).unwrap_err().to_string();
        parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} is not in {message:?}"));
    }

    fn read(kind: &str, words: &[u16]) -> Vec<f32> {
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let dict = StateDict::from_safetensors(&one(kind, &format!("[{}]", words.len()), &data)).unwrap();
        dict.get("w").unwrap().iter().copied().collect()
    }

    #[test]
    fn half_precision_converts_to_f32_exactly() {
        let words = [0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x3555, 0x7c00, 0xfc00];
        let tiny = 2f32.powi(-24);
        let numbers = [1.0, -2.0, 65504.0, tiny, 1023.0 * tiny, 1024.0 * tiny, 1365.0 / 4096.0];
        assert_eq!(read("F16", &words), [&numbers[..], &[f32::INFINITY, f32::NEG_INFINITY]].concat());
        assert_eq!(read("F16", &[0x8000])[0].to_bits(), (-0.0_f32).to_bits());
        assert!(read("F16", &[0x7e01])[0].is_nan());
        // Every finite number of binary16, in order, is above the one before.
        let all: Vec<f32> = read("F16", &(0..0x7c00).collect::<Vec<_>>());
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(read("BF16", &[0x3f80, 0xc049, 0x0080]), [1.0, -3.140625, f32::MIN_POSITIVE]);
    }

    #[test]
    fn double_precision_is_rounded_and_refused_out_of_range() {
        let bytes = |value: f64| one("F64", "[1]", &value.to_le_bytes());
        let read = |value| StateDict::from_safetensors(&bytes(value)).unwrap().get("w").unwrap()[[0]];
        assert_eq!(read(0.1), 0.1_f32);
        assert_eq!(read(f64::INFINITY), f32::INFINITY);
        assert!(read(f64::NAN).is_nan());
        refused(&bytes(1e39), &["an element of w", "a number that f32 can hold", "1000000"]);
    }

    #[test]
    fn every_element_type_of_at_least_a_byte_is_read() {
        let stored = |kind: &str, data: &[u8]| {
            let bytes = one(kind, "[1]", data);
            let (mut elements, mut readable) = (Vec::new(), false);
            let file = SafetensorsFile::open(&bytes[..], bytes.len() as u64).unwrap();
            let seen = file.each(|mut tensor| {
                assert_eq!((tensor.name(), tensor.shape(), tensor.element_type()), ("w", &[1][..], kind.into()));
                readable = tensor.for_each(|element| elements.push(element))?;
                Ok(())
            });
            seen.unwrap();
            readable.then_some(elements)
        };
        let is =
            |kind, data: &[u8], element: f64| assert_eq!(stored(kind, data), Some(vec![element]), "{kind} {data:?}");
        is("F64", &0.1_f64.to_le_bytes(), 0.1);
        is("F32", &0.1_f32.to_le_bytes(), f64::from(0.1_f32));
        is("F16", &0x3555_u16.to_le_bytes(), 1365.0 / 4096.0);
        is("BF16", &0xc049_u16.to_le_bytes(), -3.140625);
        is("I64", &(-5_i64).to_le_bytes(), -5.0);
        is("U64", &u64::MAX.to_le_bytes(), 18446744073709551615.0);
        is("I32", &i32::MIN.to_le_bytes(), -2147483648.0);
        is("U32", &u32::MAX.to_le_bytes(), 4294967295.0);
        is("I16", &(-300_i16).to_le_bytes(), -300.0);
        is("U16", &65535_u16.to_le_bytes(), 65535.0);
        is("I8", &[0x80], -128.0);
        is("U8", &[0x80], 128.0);
        is("BOOL", &[1], 1.0);
        // The tables of the formats: one, the greatest, the least above 0, and a negative number.
        for (byte, number) in [(0x38, 1.0), (0x7e, 448.0), (0x01, 2f64.powi(-9)), (0x08, 2f64.powi(-6)), (0xb8, -1.0)] {
            is("F8_E4M3", &[byte], number);
        }
        for (byte, number) in
            [(0x3c, 1.0), (0x7b, 57344.0), (0x01, 2f64.powi(-16)), (0xbc, -1.0), (0x7c, f64::INFINITY)]
        {
            is("F8_E5M2", &[byte], number);
        }
        for (byte, number) in [(127, 1.0), (0, 2f64.powi(-127)), (254, 2f64.powi(127))] {
            is("F8_E8M0", &[byte], number);
        }
        for (kind, byte) in [("F8_E4M3", 0xff), ("F8_E5M2", 0x7e), ("F8_E8M0", 0xff)] {
            assert!(stored(kind, &[byte]).unwrap()[0].is_nan(), "{kind}");
        }
        assert_eq!(stored("C64", &[0; 8]), None);
        let packed = one("F4", "[2]", &[0]);
        let file = SafetensorsFile::open(&packed[..], packed.len() as u64).unwrap();
        file.each(|mut tensor| tensor.for_each(|_| {}).map(|readable| assert!(!readable))).unwrap();
    }

    #[test]
    fn integer_tensors_are_refused_by_name() {
        refused(&one("I64", "[1]", &[0; 8]), &["w: expected element type F32", "got I64"]);
        refused(&one("BOOL", "[1]", &[0]), &["got BOOL"]);
        refused(&one("COMPLEX128", "[1]", &[0; 16]), &["COMPLEX128"]);
        let two = r#"{"b":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[],"data_offsets":[4,5]}}"#;
        (0..20).for_each(|_| refused(&file(two, 5), &["a: ", "U8"]));
    }

    #[test]
    fn overlapping_tensors_and_gaps_are_refused() {
        let header = |second: &str| {
            let first = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
            format!(r#"{first},"b":{{"dtype":"F32","shape":[2],"data_offsets":{second}}}}}"#)
        };
        assert!(StateDict::from_safetensors(&file(&header("[8,16]"), 16)).is_ok());
        refused(&file(&header("[4,12]"), 12), &["invalid offset for tensor `b`"]);
        refused(&file(&header("[12,20]"), 20), &["invalid offset for tensor `b`"]);
        refused(&file(&header("[16,8]"), 16), &["invalid offset for tensor `b`"]);
        refused(&file(&header("[8,20]"), 20), &["invalid shape, data type, or offset"]);
    }

    #[test]
    fn a_duplicate_name_is_refused() {
        let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        refused(&file(twice, 4), &["names a twice"]);
        let inner = r#"{"__metadata__":{"a":"{\"a\":","b":"\\"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        assert!(StateDict::from_safetensors(&file(inner, 4)).is_ok());
    }

    #[test]
    fn a_truncated_or_extended_file_is_refused() {
        let whole = one("F32", "[2]", &[0; 8]);
        assert!(StateDict::from_safetensors(&whole).is_ok());
        for length in 0..whole.len() {
            let part = &whole[..length];
            assert!(StateDict::from_safetensors(part).is_err(), "{length} bytes");
            assert!(StateDict::safetensors_note(part, "bptt").is_err(), "{length} bytes");
        }
        refused(&whole[..7], &["got 7 bytes"]);
        refused(&whole[..20], &["expected a header of", "got a file of 20"]);
        refused(&whole[..whole.len() - 1], &["the file was truncated or extended"]);
        refused(&[&whole[..], &[0]].concat(), &["the file was truncated or extended"]);
    }

    #[test]
    fn a_header_or_tensor_beyond_all_memory_is_refused_before_allocation() {
        let mut bytes = file("{}", 0);
        for length in [4 << 30, u64::MAX, 100_000_001] {
            bytes[..8].copy_from_slice(&length.to_le_bytes());
            refused(&bytes, &[&format!("expected a header of {length} bytes"), "got a file of 10"]);
        }
        refused(&one("F32", "[4611686018427387904]", &[0; 4]), &["at most 15 digits"]);
        refused(&one("F32", "[999999999999999,999999999999999]", &[0; 4]), &["overflow"]);
        refused(&one("F32", "[0,999999999999999,999999999999999]", &[]), &["w: "]);
        // Offsets whose end would wrap around 2^64.
        let size = ((1_u64 << 58) - 1) * 8;
        let tensors: Vec<String> = (0..8)
            .map(|i| {
                let (begin, end) = (i * size, (i + 1) * size);
                format!(r#""{i}":{{"dtype":"F64","shape":[{}],"data_offsets":[{begin},{end}]}}"#, size / 8)
            })
            .collect();
        refused(&file(&format!("{{{}}}", tensors.join(",")), 0), &["at most 15 digits"]);
    }

    #[test]
    fn a_header_with_too_many_entries_is_refused_before_allocation() {
        let zeros = |count: usize| {
            format!(r#"{{"w":{{"dtype":"F32","shape":[{}0],"data_offsets":[0,0]}}}}"#, "0,".repeat(count))
        };
        assert!(StateDict::from_safetensors(&file(&zeros(1000), 0)).is_ok());
        refused(&file(&zeros(1 << 20), 0), &["at most 1048576 commas and brackets"]);
        refused(&file(&"[".repeat((1 << 20) + 1), 0), &["at most 1048576 commas and brackets"]);
    }

    #[test]
    fn a_header_that_is_not_tensor_json_is_refused() {
        let headers = ["", "{", "[]", "null", "{\"a\":1}", "{\"a\":{}}", "{\"a\"", "\"", "\\", "]]", "{\"a\":\"\\"];
        headers.iter().for_each(|header| refused(&file(header, 0), &["safetensors: "]));
        refused(&one("F33", "[1]", &[0; 4]), &["F33"]);
        refused(&one("F32", "[-1]", &[0; 4]), &["invalid"]);
        let mut bytes = file("{}", 0);
        bytes[8] = 0xff;
        refused(&bytes, &["UTF-8"]);
    }

    #[test]
    fn a_file_of_another_kind_is_recognised_by_its_first_bytes() {
        refused(
            b"First Citizen:\nBefore we proceed any further, hear me speak.",
            &["not a safetensors file: it begins with \"First Citizen:…\""],
        );
        refused("Größe;Preis\n1;2\n".as_bytes(), &["it begins with \"Größe;Preis…\""]);
        refused("ß".repeat(40).as_bytes(), &["it begins with \"ßßß"]);
        refused(b"t,x\r\n1,2\r\n", &["it begins with \"t,x…\""]);
        refused(b"\x89HDF\r\n\x1a\n\0\0\0\0", &["HDF5 (Keras, .h5)"]);
        refused(b"\x93NUMPY\x01\0v\0", &["a NumPy array"]);
        // Eight bytes of a length are no text.
        refused(&[9, 0, 0, 0, 0, 0, 0, 0, b'{'], &["expected a header of 9 bytes"]);
    }

    #[test]
    fn a_torch_save_file_is_refused_with_the_conversion() {
        let name = b"model/data.pkl";
        let mut archive = b"PK\x03\x04\0\0\x08\x08".to_vec();
        archive.resize(26, 0);
        archive.extend([name.len() as u8, 0, 0, 0]);
        archive.extend(name);
        refused(&archive, &["torch.save", "torch.load('x.pt', weights_only=True)"]);
        refused(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", &["torch.save"]);
        let other = [&archive[..30], b"model/data.txt"].concat();
        let message = StateDict::from_safetensors(&other).unwrap_err().to_string();
        assert!(!message.contains("torch.save") && message.contains("expected a header of"), "{message}");
    }

    #[test]
    fn written_tensors_and_metadata_are_read_back() {
        let dict: StateDict = [
            ("b".to_owned(), ndarray::arr2(&[[1.0, -2.5]]).into_dyn()),
            ("a".to_owned(), ndarray::arr0(3.0).into_dyn()),
        ]
        .into_iter()
        .collect();
        let bytes = dict.to_safetensors(Some(("bptt", "{\"format\":1}"))).unwrap();
        assert_eq!(StateDict::from_safetensors(&bytes).unwrap(), dict);
        assert_eq!(StateDict::safetensors_note(&bytes, "bptt").unwrap().as_deref(), Some("{\"format\":1}"));
        assert_eq!(StateDict::safetensors_note(&bytes, "other").unwrap(), None);
    }
}
