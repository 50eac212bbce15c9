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
    each: &mut impl FnMut(u32) -> Result<bool>,
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

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::{Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, States, Trainer, block_on};

    #[test]
    fn a_sample_is_the_one_of_states_that_pass_through_the_host() {
        let vocabulary = Vocabulary::bytes();
        let head = Head::new(vocabulary.len(), Loss::CrossEntropy, Readout::PerStep);
        let model = Model::new(Recurrent::new(Cell::Lstm, vocabulary.len(), 9).layers(2), head);
        let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap();
        let (prime, mut rng) = (vocabulary.encode("to be"), ChaCha8Rng::seed_from_u64(5));
        let (mut want, mut input, mut states): (Vec<u32>, _, Option<States>) = (Vec::new(), prime.clone(), None);
        for _ in 0..40 {
            let mut sequence = Sequence::tokens(Array2::from_shape_vec((input.len(), 1), input).unwrap());
            sequence.initial = states;
            let logits = block_on(trainer.logits(&sequence)).unwrap();
            let last = logits.logits.outer_iter().next_back().unwrap().iter().copied().collect::<Vec<_>>();
            let id = SAMPLED.pick(&last, None, &mut rng).unwrap() as u32;
            want.push(id);
            (input, states) = (vec![id], Some(logits.states));
        }
        let (mut network, mut sample) = (Network::from(trainer), Vec::new());
        let mut take = |id| {
            sample.push(id);
            Ok(sample.len() < 40)
        };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        block_on(generate(&mut network, &vocabulary, &prime, 50, SAMPLED, &mut rng, &mut take)).unwrap();
        assert_eq!(sample, want);
    }
}
