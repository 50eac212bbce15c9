//! Which units dropout drops: Philox-4x32-10 (Salmon, Moraes, Dror & Shaw, *Parallel Random Numbers: As Easy as 1, 2,
//! 3*, SC11), a function of a counter and a key. A mask is computed where it is used, forward and again backward, and
//! stored nowhere; it is the same on every device, however rows and time steps are cut. Its four words belong to four
//! units side by side, which is what a thread of the GPU path owns, and it needs nothing but products and xor: WGSL has
//! no other integers than those of 32 bits.
//!
//! `shaders/masks.wgsl` is the same for the GPU.

use crate::error::{Error, Result};
use crate::model::Recurrent;

/// Which masks dropout draws in the training passes to come: see [`Layers::set_dropout`](crate::Layers::set_dropout).
///
/// A unit's draw is word `unit mod 4` of Philox-4x32-10 with the counter (`unit / 4`, t, row, 2·(layer·D + direction) + k):
/// for dropout between layers k is 0, for recurrent dropout k is 1 and t is 0. The key is the first two words for the
/// counter (`step`, `step` / 2³², 0, 0) with the key (`seed`, `seed` / 2³²), all modulo 2³². The unit is dropped where its
/// draw lies below rate · 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DropoutKey {
    /// The same for a whole run.
    pub seed: u64,
    /// Another one for each training step; the same one draws the same masks again.
    pub step: u64,
    /// The first row's number among all rows of the step, of which a pass may take a part. Below 2³², with all rows.
    pub first_row: usize,
}

/// Which of the two masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskKind {
    /// What a layer hands to the next one, another mask at every step.
    Between,
    /// What of h enters the recurrent product, one mask for all steps.
    Recurrent,
}

/// A rate as the passes take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DropRate {
    /// A unit is dropped where its draw lies below this.
    pub(crate) threshold: u32,
    /// What the others are multiplied by: 1 / (1 − rate).
    pub(crate) scale: f64,
}

impl DropRate {
    fn new(rate: f64) -> Self {
        // A conversion from a float ends at the largest number.
        Self { threshold: (rate * 4_294_967_296.0).round() as u32, scale: 1.0 / (1.0 - rate) }
    }

    /// Whether any draw lies below the threshold.
    pub(crate) fn drops(&self) -> bool {
        self.threshold > 0
    }
}

/// [`DropoutKey`] over a model's rates, computed once a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DropoutParams {
    pub(crate) key: [u32; 2],
    pub(crate) first_row: u32,
    pub(crate) between: DropRate,
    pub(crate) recurrent: DropRate,
}

impl DropoutParams {
    /// The draw of a pass over `rows` rows.
    ///
    /// # Errors
    /// [`Error::Value`] where a row's number is beyond the counter.
    pub(crate) fn new(masks: DropoutKey, recurrent: &Recurrent, rows: usize) -> Result<Self> {
        let DropoutKey { seed, step, first_row } = masks;
        let most = (1u64 << 32).saturating_sub(rows as u64);
        if first_row as u64 > most {
            return Err(Error::value("masks.first_row", format!("at most {most}"), first_row));
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

    /// The draw of the pass's rows from `row` on.
    pub(crate) fn at_row(self, row: usize) -> Self {
        Self { first_row: self.first_row + row as u32, ..self }
    }

    /// The draws of the units from 4·`group` on, of a (layer, direction) at step `t` of the pass's row `row`.
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
    fn philox_answers_as_the_known_answers_of_its_authors_say() {
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
    fn a_rates_threshold_is_its_share_of_all_words() {
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
        assert_eq!(error, "masks.first_row: expected at most 4294967292, got 4294967293");
    }
}
