//! Dropout masks from Philox-4x32-10 (Salmon, Moraes, Dror & Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3*,
//! SC11), a function of a counter and a key. A mask is computed wherever it is used, in the forward and again in the
//! backward pass, and never stored. It is the same on every device, however rows and time steps are split. The four
//! output words belong to four consecutive units, which are what one GPU thread owns. Philox needs only 32-bit integer
//! products and xor, which WGSL has.
//!
//! `shaders/masks.wgsl` is the GPU version.

use crate::error::{Error, Result};
use crate::model::Recurrent;

/// Selects the dropout masks of later training passes: see [`Layers::set_dropout`](crate::Layers::set_dropout).
///
/// A unit's random number is word `unit mod 4` of Philox-4x32-10 with the counter (`unit / 4`, t, row, 2·(layer·D +
/// direction) + k), where k is 0 for dropout between layers; for recurrent dropout k is 1 and t is 0. The key is the
/// first two words for the counter (`step`, `step` / 2³², 0, 0) with the key (`seed`, `seed` / 2³²), all modulo 2³².
/// The unit is dropped if its number is below rate · 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DropoutKey {
    /// The seed, constant over a run.
    pub seed: u64,
    /// The training step. Equal steps have equal masks.
    pub step: u64,
    /// The index of the pass's first row among all rows of the step, which may be split over several passes. The last
    /// row's index must be below 2³².
    pub first_row: usize,
}

/// The kind of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskKind {
    /// Between layers, with a new mask at every step.
    Between,
    /// In the recurrent product, with one mask for all steps.
    Recurrent,
}

/// A dropout rate as used by the passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DropRate {
    /// A unit is dropped if its random number is below this.
    pub(crate) threshold: u32,
    /// The factor of the kept units: 1 / (1 − rate).
    pub(crate) scale: f64,
}

impl DropRate {
    fn new(rate: f64) -> Self {
        // Float-to-integer conversion saturates.
        Self { threshold: (rate * 4_294_967_296.0).round() as u32, scale: 1.0 / (1.0 - rate) }
    }

    /// Whether the rate is above 0.
    pub(crate) fn drops(&self) -> bool {
        self.threshold > 0
    }
}

/// A [`DropoutKey`] combined with a model's rates, once per pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DropoutParams {
    pub(crate) key: [u32; 2],
    pub(crate) first_row: u32,
    pub(crate) between: DropRate,
    pub(crate) recurrent: DropRate,
}

impl DropoutParams {
    /// The parameters of a pass over `rows` rows.
    ///
    /// # Errors
    /// [`Error::Value`] if a row index exceeds the counter.
    pub(crate) fn new(key: DropoutKey, recurrent: &Recurrent, rows: usize) -> Result<Self> {
        let DropoutKey { seed, step, first_row } = key;
        let most = (1u64 << 32).saturating_sub(rows as u64);
        if first_row as u64 > most {
            return Err(Error::value("DropoutKey::first_row", format!("at most {most}"), first_row));
        }
        let halves = |number: u64| [number as u32, (number >> 32) as u32];
        let [low, high] = halves(step);
        let [first, second, ..] = philox([low, high, 0, 0], halves(seed));
        Ok(Self {
            key: [first, second],
            first_row: first_row as u32,
            between: DropRate::new(recurrent.dropout),
            recurrent: DropRate::new(recurrent.recurrent_dropout),
        })
    }

    /// The parameters for the pass's rows from `row` on.
    pub(crate) fn at_row(self, row: usize) -> Self {
        Self { first_row: self.first_row + row as u32, ..self }
    }

    /// The random numbers of units 4·`group` to 4·`group` + 3 of a (layer, direction), at step `t` and the pass's row
    /// `row`.
    pub(crate) fn words(
        &self,
        stream: MaskKind,
        layer_direction: usize,
        t: usize,
        row: usize,
        group: usize,
    ) -> [u32; 4] {
        let stream = match stream {
            MaskKind::Between => 0,
            MaskKind::Recurrent => 1,
        };
        philox([group as u32, t as u32, self.first_row + row as u32, 2 * layer_direction as u32 + stream], self.key)
    }
}

/// Philox-4x32 with ten rounds.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        let (product_a, product_c) = (0xd251_1f53 * u64::from(a), 0xcd9e_8d57 * u64::from(c));
        let high = |product: u64| (product >> 32) as u32;
        counter = [high(product_c) ^ b ^ key[0], product_c as u32, high(product_a) ^ d ^ key[1], product_a as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cell;

    #[test]
    fn philox_matches_the_published_test_vectors() {
        let ones = u32::MAX;
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let answers = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, want) in answers {
            assert_eq!(philox(counter, key), want, "{counter:x?} {key:x?}");
        }
    }

    #[test]
    fn a_dropout_threshold_is_its_fraction_of_all_words() {
        assert_eq!(DropRate::new(0.0), DropRate { threshold: 0, scale: 1.0 });
        assert_eq!(DropRate::new(0.5), DropRate { threshold: 1 << 31, scale: 2.0 });
        assert_eq!(DropRate::new(0.25).threshold, 1 << 30);
        assert_eq!(DropRate::new(1.0 - f64::EPSILON).threshold, u32::MAX);
    }

    #[test]
    fn rows_beyond_the_counter_are_refused() {
        let recurrent = Recurrent::new(Cell::Gru, 1, 1).recurrent_dropout(0.5);
        let draw =
            |first_row, rows| DropoutParams::new(DropoutKey { first_row, ..DropoutKey::default() }, &recurrent, rows);
        let last = u32::MAX as usize - 2;
        assert_eq!(draw(last, 3).unwrap().first_row, u32::MAX - 2);
        let error = draw(last, 4).unwrap_err().to_string();
        assert_eq!(error, "DropoutKey::first_row: expected at most 4294967292, got 4294967293");
    }
}
