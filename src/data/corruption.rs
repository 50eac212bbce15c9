//! Corrupts files for the tests of parsers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{LabelledSequences, PianoRolls, Piece};
use crate::error::Result;
use crate::model::uniform;

pub(super) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Uniform in 0..n.
pub(super) fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
    (uniform(rng) * n as f64) as usize
}

/// Numbers of any size and sign that are exact in text and f64, and nearly so in f32.
pub(super) fn number(rng: &mut ChaCha8Rng) -> f64 {
    let exponent = 45.0 * uniform(rng) - 30.0;
    (2.0 * uniform(rng) - 1.0) * 10f64.powf(exponent)
}

/// Checks that `parse` returns an error or a valid value for corrupted files and for random bytes.
pub(super) fn survives(write: impl Fn(&mut ChaCha8Rng) -> Vec<u8>, parse: impl Fn(&[u8]) -> Result<LabelledSequences>) {
    let mut rng = rng(1);
    let mut refused = 0;
    for _ in 0..3000 {
        let bytes = match below(10, &mut rng) {
            0 => (0..below(200, &mut rng)).map(|_| below(256, &mut rng) as u8).collect(),
            _ => damaged(write(&mut rng), &mut rng),
        };
        match parse(&bytes) {
            Ok(labelled) => labelled.validate().unwrap(),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().len() < 2000, "{error}");
            }
        }
    }
    assert!(refused > 300, "only {refused} damaged files were refused");
}

/// `bytes` with a few bytes changed, inserted, deleted or repeated, or truncated.
pub(super) fn damaged(mut bytes: Vec<u8>, rng: &mut ChaCha8Rng) -> Vec<u8> {
    for _ in 0..=below(4, rng) {
        let at = below(bytes.len(), rng);
        let end = bytes.len().min(at + below(12, rng));
        match below(6, rng) {
            _ if bytes.is_empty() => {}
            0 => bytes.truncate(at),
            1 => bytes[at] = below(256, rng) as u8,
            // Bytes of sizes and separators.
            2 => bytes[at] = b"\0\xff\x7f\x80,:?-@\n0123456789e\" \t"[below(24, rng)],
            3 => bytes.insert(at, below(256, rng) as u8),
            4 => drop(bytes.drain(at..end)),
            _ => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
        }
    }
    bytes
}

/// Pieces of at least two steps with keys below `keys`, all of which occur.
pub(super) fn random_pieces(pieces: usize, keys: usize, rng: &mut ChaCha8Rng) -> Vec<Piece> {
    let mut step = || (0..keys as u32).filter(|_| below(3, rng) == 0).collect::<Vec<_>>();
    let mut drawn: Vec<Piece> = (0..pieces).map(|piece| (0..2 + piece % 4).map(|_| step()).collect()).collect();
    drawn[0][0] = (0..keys as u32).collect();
    drawn
}

/// Checks that `parse` returns an error or valid piano rolls for corrupted files and for random bytes.
pub(super) fn rolls_survive(valid: [&str; 2], parse: impl Fn(&[u8]) -> Result<PianoRolls>) {
    let mut rng = rng(3);
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bytes = valid[below(2, &mut rng)].as_bytes().to_vec();
        for _ in 0..below(4, &mut rng) {
            if bytes.is_empty() {
                break;
            }
            let (at, other) = (below(bytes.len(), &mut rng), below(256, &mut rng) as u8);
            match below(5, &mut rng) {
                0 => bytes[at] = other,
                1 => bytes[at] = b"0123456789-[]{},\"\n:e"[below(20, &mut rng)],
                2 => bytes.insert(at, b"09[],\"\n"[below(7, &mut rng)]),
                3 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        if below(20, &mut rng) == 0 {
            bytes.fill_with(|| below(256, &mut rng) as u8);
        }
        match parse(&bytes) {
            Ok(rolls) => assert!(rolls.pieces().iter().all(|piece| piece.len() >= 2)),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().starts_with("a") && error.to_string().len() < 300, "{error}");
            }
        }
    }
    assert!((1000..2750).contains(&refused), "{refused}");
}
