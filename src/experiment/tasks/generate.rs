//! Generates text token by token.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::super::device::network::Network;
use crate::data::Vocabulary;
use crate::train::Sampling;
use crate::{Error, Result, Sequence};

/// The sampling of the report's text: a temperature above the most probable one reads better.
pub(crate) const SAMPLED: Sampling = Sampling { temperature: 0.8, top_k: None, top_p: None };

/// Draws `count` tokens after `prime`, one by one, and hands each to `each` until that has enough.
///
/// # Errors
/// Those of `each`; of [`Sampling::pick`], where no logit is a number; of the sequence, such as a prime without tokens;
/// and of the device.
pub async fn generate(
    network: &mut Network,
    vocabulary: &Vocabulary,
    prime: &[u32],
    count: usize,
    sampling: Sampling,
    rng: &mut ChaCha8Rng,
    each: &mut dyn FnMut(u32) -> Result<bool>,
) -> Result<()> {
    let excluded = vocabulary.unknown().map(|id| id as usize);
    let mut session = network.session(1)?;
    let tokens = Array2::from_shape_vec((prime.len(), 1), prime.to_vec());
    let mut sequence = Sequence::tokens(tokens.map_err(|error| Error::Unsupported(error.to_string()))?);
    for _ in 0..count {
        let logits = session.step(&sequence).await?;
        let last: Vec<f32> = logits.outer_iter().next_back().iter().flat_map(|step| step.iter().copied()).collect();
        let id = sampling.pick(&last, excluded, rng)? as u32;
        if !each(id)? {
            return Ok(());
        }
        sequence = Sequence::tokens(Array2::from_elem((1, 1), id));
    }
    Ok(())
}
