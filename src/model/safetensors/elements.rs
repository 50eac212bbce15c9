//! Conversion between tensor elements and bytes, piece by piece: no tensor exists as bytes and numbers at the same
//! time.

use std::io::{self, Read, Write};

use safetensors::tensor::Dtype;

use crate::allocate::reserve;
use crate::error::{Error, Result};
use crate::real::Real;

/// Bytes per piece; a multiple of every element size.
const PIECE: usize = 64 << 10;

/// Writes numbers in little-endian order.
pub(crate) fn write<R: Real>(to: &mut (impl Write + ?Sized), numbers: impl IntoIterator<Item = R>) -> io::Result<()> {
    let mut piece = Vec::with_capacity(PIECE);
    for number in numbers {
        number.put_le_bytes(&mut piece);
        if piece.len() == PIECE {
            to.write_all(&piece)?;
            piece.clear();
        }
    }
    to.write_all(&piece)
}

/// Reads `bytes` bytes as words of `N` bytes. `bytes` must be a multiple of `N`.
pub(super) fn words<const N: usize>(
    from: &mut (impl Read + ?Sized),
    mut bytes: u64,
    mut take: impl FnMut([u8; N]) -> Result<()>,
) -> Result<()> {
    let mut piece = vec![0; bytes.min(PIECE as u64) as usize];
    while bytes > 0 {
        let piece = &mut piece[..bytes.min(PIECE as u64) as usize];
        from.read_exact(piece).map_err(truncated)?;
        bytes -= piece.len() as u64;
        piece.as_chunks().0.iter().try_for_each(|word| take(*word))?;
    }
    Ok(())
}

/// Reads numbers from a file that is long enough for them.
pub(crate) fn read<R: Real>(name: &str, from: &mut (impl Read + ?Sized), bytes: u64) -> Result<Vec<R>> {
    let mut numbers = with_capacity(name, bytes / size_of::<R>() as u64)?;
    let mut word = |bytes: &[u8]| {
        numbers.push(R::from_le_bytes(bytes));
        Ok(())
    };
    match size_of::<R>() {
        8 => words::<8>(from, bytes, |bytes| word(&bytes))?,
        _ => words::<4>(from, bytes, |bytes| word(&bytes))?,
    }
    Ok(numbers)
}

/// Reserves memory for the elements of a tensor.
fn with_capacity<T>(name: &str, count: u64) -> Result<Vec<T>> {
    let mut numbers = Vec::new();
    reserve(&mut numbers, usize::try_from(count).unwrap_or(usize::MAX), name)?;
    Ok(numbers)
}

/// Reads elements of any floating-point type as `R`.
pub(super) fn values<R: Real>(name: &str, kind: Dtype, from: &mut impl Read, bytes: u64) -> Result<Vec<R>> {
    check(name, kind)?;
    let size = kind.bitsize() as u64 / 8;
    let mut values = with_capacity(name, bytes / size)?;
    let mut push = |value: f64| {
        values.push(narrowed(name, value)?);
        Ok(())
    };
    match kind {
        Dtype::F16 => words(from, bytes, |word| push(from_f16(u16::from_le_bytes(word)).into()))?,
        Dtype::BF16 => words(from, bytes, |word| push(from_bf16(u16::from_le_bytes(word)).into()))?,
        Dtype::F64 => words(from, bytes, |word| push(f64::from_le_bytes(word)))?,
        _ => words(from, bytes, |word| push(f32::from_le_bytes(word).into()))?,
    }
    Ok(values)
}

/// Fails for element types that cannot be read as f32.
pub(super) fn check(name: &str, kind: Dtype) -> Result<()> {
    match kind {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => Ok(()),
        other => Err(Error::value(name, "element type F32, F64, F16 or BF16", format!("{other:?}"))),
    }
}

/// Passes every element to `take` as the nearest f64. Returns false, without a call, if an element is not one real
/// number of whole bytes.
pub(super) fn each(kind: Dtype, from: &mut impl Read, bytes: u64, mut take: impl FnMut(f64)) -> Result<bool> {
    let mut take = |value| {
        take(value);
        Ok(())
    };
    match kind {
        Dtype::F64 => words(from, bytes, |word| take(f64::from_le_bytes(word)))?,
        Dtype::F32 => words(from, bytes, |word| take(f32::from_le_bytes(word).into()))?,
        Dtype::F16 => words(from, bytes, |word| take(from_f16(u16::from_le_bytes(word)).into()))?,
        Dtype::BF16 => words(from, bytes, |word| take(from_bf16(u16::from_le_bytes(word)).into()))?,
        Dtype::F8_E5M2 => words(from, bytes, |[byte]| take(from_f16(u16::from(byte) << 8).into()))?,
        Dtype::F8_E4M3 => words(from, bytes, |[byte]| take(from_e4m3(byte)))?,
        Dtype::F8_E8M0 => words(from, bytes, |[byte]| take(from_e8m0(byte)))?,
        Dtype::I64 => words(from, bytes, |word| take(i64::from_le_bytes(word) as f64))?,
        Dtype::U64 => words(from, bytes, |word| take(u64::from_le_bytes(word) as f64))?,
        Dtype::I32 => words(from, bytes, |word| take(i32::from_le_bytes(word).into()))?,
        Dtype::U32 => words(from, bytes, |word| take(u32::from_le_bytes(word).into()))?,
        Dtype::I16 => words(from, bytes, |word| take(i16::from_le_bytes(word).into()))?,
        Dtype::U16 => words(from, bytes, |word| take(u16::from_le_bytes(word).into()))?,
        Dtype::I8 => words(from, bytes, |word| take(i8::from_le_bytes(word).into()))?,
        Dtype::U8 | Dtype::BOOL => words(from, bytes, |[byte]| take(byte.into()))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The error for a file that is shorter than its header promises, or cannot be read.
pub(crate) fn truncated(error: io::Error) -> Error {
    Error::Io { path: "the tensors".into(), source: error }
}

/// IEEE 754's binary16: a sign, 5 bits of exponent with bias 15, 10 of fraction.
fn from_f16(bits: u16) -> f32 {
    let [sign, exponent, fraction] = [bits >> 15, bits >> 10 & 31, bits & 1023].map(u32::from);
    let magnitude = match exponent {
        // Subnormal: a multiple of 2⁻²⁴, which f32 holds as a normal number.
        0 => (fraction as f32 / (1 << 24) as f32).to_bits(),
        31 => 255 << 23 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign << 31 | magnitude)
}

/// The upper half of an f32.
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A sign, 4 bits of exponent with bias 7, 3 of fraction; all ones are NaN, and there is no infinity (Micikevicius et
/// al. 2022).
fn from_e4m3(byte: u8) -> f64 {
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f64::from(byte & 7));
    let magnitude = match (exponent, byte & 127) {
        (_, 127) => f64::NAN,
        (0, _) => fraction * 2f64.powi(-9),
        _ => (8.0 + fraction) * 2f64.powi(exponent - 10),
    };
    if byte >> 7 == 1 { -magnitude } else { magnitude }
}

/// A power of two with bias 127, the scale of a block of smaller numbers; all ones are NaN.
fn from_e8m0(byte: u8) -> f64 {
    if byte == u8::MAX { f64::NAN } else { 2f64.powi(i32::from(byte) - 127) }
}

fn narrowed<R: Real>(name: &str, wide: f64) -> Result<R> {
    let narrow = R::from_f64(wide);
    if narrow.is_infinite() && wide.is_finite() {
        Err(Error::value(format!("an element of {name}"), "a number that f32 can hold", wide))
    } else {
        Ok(narrow)
    }
}
