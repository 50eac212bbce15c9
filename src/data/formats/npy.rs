//! NumPy's `.npy` format, versions 1 to 3 (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::path::Path;

use crate::data::input::encoding::quoted;
use crate::data::values::number::is_exact;
use crate::error::{Error, Result};

/// An array in the bytes of a file.
pub(super) struct Npy<'a> {
    pub(super) shape: Vec<usize>,
    kind: ElementType,
    /// Bytes per element.
    size: usize,
    big_endian: bool,
    /// Elements between neighbours along an axis.
    strides: Vec<usize>,
    data: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ElementType {
    Float,
    Signed,
    Unsigned,
    Bool,
    Text,
}

/// One number or text of an array.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Element {
    Float(f64),
    Integer(i128),
    Bool(bool),
    /// `None` if it contains an invalid character.
    Text(Option<String>),
}

impl<'a> Npy<'a> {
    /// `place` is for error messages, besides the path.
    pub(super) fn parse(bytes: &'a [u8], path: &Path, place: &str) -> Result<Self> {
        Self::parts(bytes).map_err(|message| Error::data(path, place, message))
    }

    fn parts(bytes: &'a [u8]) -> Result<Self, String> {
        let Some(rest) = bytes.strip_prefix(b"\x93NUMPY") else {
            let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(6)]);
            return Err(format!("expected an npy file, which begins with \"\\x93NUMPY\", got {begin:?}"));
        };
        let header = match rest {
            [1, _, low, high, rest @ ..] => Some((u32::from(u16::from_le_bytes([*low, *high])), rest)),
            [2 | 3, _, a, b, c, d, rest @ ..] => Some((u32::from_le_bytes([*a, *b, *c, *d]), rest)),
            [version, _, ..] if !(1..=3).contains(version) => {
                return Err(format!("expected version 1, 2 or 3 of the npy format, got {version}"));
            }
            _ => None,
        };
        let (length, rest) = header.ok_or_else(|| format!("expected a header, got a file of {} bytes", bytes.len()))?;
        let Some((header, data)) = rest.split_at_checked(length as usize) else {
            return Err(format!("expected a header of {length} bytes, got {}", rest.len()));
        };
        let Some(NpyHeader { descr, fortran_order, shape }) =
            std::str::from_utf8(header).ok().and_then(NpyHeader::parse)
        else {
            let got = quoted(String::from_utf8_lossy(header).trim_end());
            return Err(format!("expected a header with descr, fortran_order and shape of one array, got {got}"));
        };
        let Some((kind, size, big_endian)) = element_type(descr) else {
            let types = "f4, f8, i1 to i8, u1 to u8, b1 or U";
            return Err(format!("expected elements of type {types}, got {}", quoted(descr)));
        };
        let bytes = shape.iter().try_fold(size, |bytes, size| bytes.checked_mul(*size));
        if bytes != Some(data.len()) {
            let bytes = bytes.map_or("too many to count".into(), |bytes| bytes.to_string());
            return Err(format!("expected {bytes} bytes for shape {shape:?} of {descr}, got {}", data.len()));
        }
        // An empty axis would allow any size of the others.
        if shape.contains(&0) {
            return Err(format!("expected an array with elements, got shape {shape:?}"));
        }
        let mut strides = vec![1; shape.len()];
        for i in 1..shape.len() {
            if fortran_order {
                strides[i] = strides[i - 1] * shape[i - 1]
            } else {
                strides[shape.len() - 1 - i] = strides[shape.len() - i] * shape[shape.len() - i]
            }
        }
        Ok(Self { shape, kind, size, big_endian, strides, data })
    }

    pub(super) fn is_float(&self) -> bool {
        self.kind == ElementType::Float
    }

    /// Whether f32 holds every number of the type exactly.
    pub(super) fn is_single(&self) -> bool {
        match self.kind {
            ElementType::Float => self.size == 4,
            ElementType::Signed | ElementType::Unsigned => self.size <= 2,
            ElementType::Bool => true,
            ElementType::Text => false,
        }
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind == ElementType::Text
    }

    /// The element at an index within the shape.
    pub(super) fn at(&self, index: &[usize]) -> Element {
        let element: usize = index.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum();
        let bytes = &self.data[element * self.size..(element + 1) * self.size];
        match self.kind {
            ElementType::Float if self.size == 4 => {
                Element::Float(f32::from_bits(unsigned(bytes, self.big_endian) as u32).into())
            }
            ElementType::Float => Element::Float(f64::from_bits(unsigned(bytes, self.big_endian))),
            ElementType::Signed => {
                let unused = 64 - 8 * self.size as u32;
                let value = (unsigned(bytes, self.big_endian) << unused) as i64 >> unused;
                Element::Integer(value.into())
            }
            ElementType::Unsigned => Element::Integer(unsigned(bytes, self.big_endian).into()),
            ElementType::Bool => Element::Bool(bytes[0] != 0),
            ElementType::Text => {
                let characters = bytes.chunks_exact(4).map(|bytes| unsigned(bytes, self.big_endian) as u32);
                let text: Option<String> = characters.map(char::from_u32).collect();
                Element::Text(text.map(|text| text.trim_end_matches('\0').to_owned()))
            }
        }
    }
}

impl Element {
    /// As a number, NaN for a float NaN; otherwise what was expected.
    pub(super) fn number(&self) -> Result<f64, &'static str> {
        match self {
            Element::Float(number) if number.is_infinite() => Err("a finite number"),
            Element::Float(number) => Ok(*number),
            Element::Integer(number) if !is_exact(*number) => Err(
                "a whole number that f64 holds, as it holds all up to 2^53 = 9007199254740992 (of type f8 it may be rounded)",
            ),
            Element::Integer(number) => Ok(*number as f64),
            Element::Bool(bool) => Ok(f64::from(u8::from(*bool))),
            Element::Text(_) => Err("a number"),
        }
    }
}

/// At most 8 bytes.
fn unsigned(bytes: &[u8], big_endian: bool) -> u64 {
    let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
}

/// The element type, bytes per element and byte order of NumPy's name for a type: `<f4`, `|b1`, `>U7`.
fn element_type(descr: &str) -> Option<(ElementType, usize, bool)> {
    let big_endian = match descr.as_bytes().first()? {
        b'<' | b'|' => false,
        b'=' => cfg!(target_endian = "big"),
        b'>' => true,
        _ => return None,
    };
    let (kind, size) = descr[1..].split_at_checked(1)?;
    let size: usize = size.parse().ok()?;
    let (kind, size) = match (kind, size) {
        ("f", 4 | 8) => (ElementType::Float, size),
        ("i", 1 | 2 | 4 | 8) => (ElementType::Signed, size),
        ("u", 1 | 2 | 4 | 8) => (ElementType::Unsigned, size),
        ("b", 1) => (ElementType::Bool, size),
        ("U", 1..) => (ElementType::Text, size.checked_mul(4)?),
        _ => return None,
    };
    Some((kind, size, big_endian))
}

/// The header's dictionary, a Python literal.
struct NpyHeader<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> NpyHeader<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut literal = Literal { rest: text };
        literal.symbol('{').then_some(())?;
        while !literal.symbol('}') {
            let key = literal.string()?;
            literal.symbol(':').then_some(())?;
            match key {
                "descr" => descr = Some(literal.string()?),
                "fortran_order" => fortran_order = Some(literal.truth()?),
                "shape" => shape = Some(literal.tuple()?),
                _ => return None,
            }
            if !literal.symbol(',') && !literal.rest.trim_start().starts_with('}') {
                return None;
            }
        }
        literal.rest.trim().is_empty().then_some(())?;
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn symbol(&mut self, symbol: char) -> bool {
        self.word(symbol.encode_utf8(&mut [0; 4]))
    }

    fn truth(&mut self) -> Option<bool> {
        let truth = self.word("True");
        (truth || self.word("False")).then_some(truth)
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = ['\'', '"'].into_iter().find(|quote| self.symbol(*quote))?;
        let (string, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(string)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.symbol('(').then_some(())?;
        let mut sizes = Vec::new();
        while !self.symbol(')') {
            let rest = self.rest.trim_start();
            let end = rest.find(|character: char| !character.is_ascii_digit())?;
            sizes.push(rest[..end].parse().ok()?);
            self.rest = &rest[end..];
            if !self.symbol(',') && !self.rest.trim_start().starts_with(')') {
                return None;
            }
        }
        Some(sizes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The bytes of an array in version 1.
    pub(crate) fn npy(descr: &str, fortran_order: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let order = if fortran_order { "True" } else { "False" };
        let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes}), }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn elements(bytes: &[u8]) -> Vec<Element> {
        let npy = Npy::parse(bytes, Path::new("a.npy"), "").unwrap();
        (0..npy.shape[0]).map(|i| npy.at(&[i])).collect()
    }

    fn error(bytes: &[u8]) -> String {
        Npy::parse(bytes, Path::new("a.npy"), "").err().map_or("none".into(), |error| error.to_string())
    }

    #[test]
    fn every_dtype_is_read_in_both_byte_orders() {
        let both = |kind: &str, little: &[u8], size: usize, expected: &[Element]| {
            let big: Vec<u8> = little.chunks(size).flat_map(|bytes| bytes.iter().rev().copied()).collect();
            assert_eq!(elements(&npy(&format!("<{kind}"), false, &[expected.len()], little)), expected);
            assert_eq!(elements(&npy(&format!(">{kind}"), true, &[expected.len()], &big)), expected);
        };
        both(
            "f4",
            &[-1.5f32, f32::MAX].map(f32::to_le_bytes).concat(),
            4,
            &[-1.5, f32::MAX.into()].map(Element::Float),
        );
        both("f8", &[-0.1f64, 1e300].map(f64::to_le_bytes).concat(), 8, &[-0.1, 1e300].map(Element::Float));
        let (low, high) = (i64::MIN.into(), u64::MAX.into());
        both("i1", &[0x80, 1], 1, &[-128, 1].map(Element::Integer));
        both("i2", &[0xfe, 0xff, 1, 2], 2, &[-2, 513].map(Element::Integer));
        both("i4", &(-7i32).to_le_bytes(), 4, &[-7].map(Element::Integer));
        both("i8", &i64::MIN.to_le_bytes(), 8, &[low].map(Element::Integer));
        both("u1", &[0x80, 1], 1, &[128, 1].map(Element::Integer));
        both("u2", &[0xfe, 0xff], 2, &[65534].map(Element::Integer));
        both("u4", &u32::MAX.to_le_bytes(), 4, &[u32::MAX.into()].map(Element::Integer));
        both("u8", &u64::MAX.to_le_bytes(), 8, &[high].map(Element::Integer));
        both("b1", &[0, 1, 2], 1, &[false, true, true].map(Element::Bool));
        let text = ["ab", "é"].map(|text| Element::Text(Some(text.into())));
        both("U2", &[u32::from('a'), u32::from('b'), u32::from('é'), 0].map(u32::to_le_bytes).concat(), 4, &text);
        assert_eq!(elements(&npy("<U1", false, &[1], &[0xff; 4])), [Element::Text(None)]);
    }

    #[test]
    fn an_index_finds_the_same_element_in_c_and_fortran_order() {
        let (c, fortran): (Vec<u8>, _) = (
            (0..24).collect(),
            npy("|u1", true, &[2, 3, 4], &{
                let index = |k: u8| (k % 2) * 12 + (k / 2 % 3) * 4 + k / 6;
                (0..24).map(index).collect::<Vec<u8>>()
            }),
        );
        let c = npy("|u1", false, &[2, 3, 4], &c);
        let [c, fortran] = [&c, &fortran].map(|bytes| Npy::parse(bytes, Path::new("a.npy"), "").unwrap());
        for (n, t, i) in (0..24).map(|k| (k / 12, k / 4 % 3, k % 4)) {
            assert_eq!(c.at(&[n, t, i]), Element::Integer((n * 12 + t * 4 + i) as i128));
            assert_eq!(c.at(&[n, t, i]), fortran.at(&[n, t, i]));
        }
    }

    #[test]
    fn headers_are_read_in_every_notation() {
        let version = |version: u8, header: &str| {
            let length = header.len() as u32;
            [b"\x93NUMPY", &[version, 0][..], &length.to_le_bytes(), header.as_bytes(), &[1, 2]].concat()
        };
        let expected = [1, 2].map(Element::Integer);
        for header in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }          \n",
            "{\"shape\":(2),\"fortran_order\":True,\"descr\":\"|i1\"}",
            " { 'fortran_order' : False , 'descr' : '=u1' , 'shape' : ( 2 , ) } ",
        ] {
            assert_eq!(elements(&version(2, header)), expected);
            assert_eq!(elements(&version(3, header)), expected);
        }
        for header in [
            "",
            "{",
            "{}",
            "{'descr': '|u1', 'fortran_order': False}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)",
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (2,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-2,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '|u1' 'fortran_order': False, 'shape': (2,)}",
            "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), 'more': 1}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)} 3",
        ] {
            assert!(error(&version(2, header)).contains("expected a header with descr"), "{header}");
        }
    }

    #[test]
    fn an_incomplete_array_is_refused() {
        assert_eq!(error(b""), "a.npy: expected an npy file, which begins with \"\\x93NUMPY\", got \"\"");
        assert!(error(b"PK\x03\x04abc").contains("got \"PK"));
        assert!(error(b"\x93NUMPY\x04\0\0\0").contains("expected version 1, 2 or 3 of the npy format, got 4"));
        assert!(error(b"\x93NUMPY\x01\0\x10").contains("expected a header, got a file of 9 bytes"));
        assert!(error(b"\x93NUMPY\x02\0\xff\xff\xff\xff{").contains("expected a header of 4294967295 bytes, got 1"));
        let whole = npy("<f4", false, &[2, 3], &[0; 24]);
        let message = "a.npy: expected 24 bytes for shape [2, 3] of <f4, got";
        assert_eq!(error(&whole[..whole.len() - 1]), format!("{message} 23"));
        assert_eq!(error(&[&whole, &[0][..]].concat()), format!("{message} 25"));
        assert!(error(&npy("<f4", false, &[usize::MAX, 2], &[0; 24])).contains("too many to count"));
        assert!(error(&npy("<f4", false, &[1 << 40, 0], &[])).contains("expected an array with elements"));
        for descr in ["<f2", "<c8", "|S3", "|O", "<M8[ns]", "<U0", "f4", "<", "", "<é4", "<U18446744073709551615"] {
            assert!(error(&npy(descr, false, &[1], &[0; 8])).contains("expected elements of type"), "{descr}");
        }
    }

    #[test]
    fn an_integer_is_read_exactly_or_refused() {
        let numbers = |bytes: &[u8]| elements(bytes).iter().map(Element::number).collect::<Vec<_>>();
        let exact = [1i64 << 53, -(1 << 53), (1 << 53) + 2];
        let read = numbers(&npy("<i8", false, &[3], &exact.map(i64::to_le_bytes).concat()));
        assert_eq!(read, exact.map(|number| Ok(number as f64)));
        let lost = [(1i64 << 53) + 1, 1_700_000_000_000_000_001];
        let read = numbers(&npy(">i8", false, &[2], &lost.map(i64::to_be_bytes).concat()));
        assert!(read.iter().all(|number| number.is_err_and(|expected| expected.contains("2^53"))), "{read:?}");
    }
}
