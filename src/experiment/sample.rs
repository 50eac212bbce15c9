//! Generates text with a trained model.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::config::agree::unsupported;
use super::device::open::DeviceOptions;
use super::loaded_model::LoadedModel;
use super::model::codec::Codec;
use super::tasks::generate::generate;
use crate::Result;
use crate::data::Vocabulary;
use crate::format::{grouped, path_text};
use crate::train::Sampling;

/// The text to continue.
pub struct Prompt {
    tokens: Vec<u32>,
    /// Notes on it.
    pub note: Option<String>,
}

impl LoadedModel {
    /// The vocabulary of a text model.
    fn vocabulary(&self) -> Result<&Vocabulary> {
        let Codec::Text { vocabulary } = &self.file.codec else {
            return Err(unsupported(format!(
                "only a model of a text can be sampled; {} is of {}",
                path_text(&self.file.path),
                self.file.codec.kind()
            )));
        };
        if self.file.model.recurrent.has_reverse() {
            return Err(unsupported(
                "sampling needs a network that reads forward only; this one has a reverse direction",
            ));
        }
        Ok(vocabulary)
    }

    /// The prompt for a text; if it is empty or `None`, the start of a line.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the model is not of a text or has a reverse direction.
    pub fn prompt(&self, text: Option<&str>) -> Result<Prompt> {
        let vocabulary = self.vocabulary()?;
        let Some(prime) = text.filter(|text| !text.is_empty()) else {
            return Ok(beginning_of_line(vocabulary, text.is_some()));
        };
        let tokens = vocabulary.encode(prime);
        let unknown = tokens.iter().filter(|token| Some(**token) == vocabulary.unknown()).count();
        let count = grouped(unknown as u64);
        let note = format!("note: {count} characters of --prime are unknown to the vocabulary");
        Ok(Prompt { tokens, note: (unknown > 0).then_some(note) })
    }

    /// Generates `length` tokens after a prompt, and passes the bytes of each to `each` until it returns `false`.
    ///
    /// # Errors
    /// Those of the device, the sampling and `each`.
    pub async fn sample(
        &self,
        device: &DeviceOptions,
        prompt: &Prompt,
        length: usize,
        (sampling, seed): (Sampling, u64),
        each: &mut impl FnMut(&[u8]) -> Result<bool>,
    ) -> Result<()> {
        let vocabulary = self.vocabulary()?;
        let mut network = self.network(device).await?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut each = |token| each(&vocabulary.decode(&[token])?);
        generate(&mut network, vocabulary, &prompt.tokens, length, sampling, &mut rng, &mut each).await
    }
}

/// The network's first input if there is no prompt: a line end, or the unknown character if its text had no line ends.
/// `is_set`: an empty text was given.
fn beginning_of_line(vocabulary: &Vocabulary, is_set: bool) -> Prompt {
    let tokens = vocabulary.encode("\n");
    let known = tokens.iter().all(|token| Some(*token) != vocabulary.unknown());
    let note = if !known {
        Some(
            "note: no text to continue, and the text of the training has no line ends: the sample begins as after a \
             character that the network does not know",
        )
    } else if is_set {
        Some("note: --prime is empty: the sample starts like a new line")
    } else {
        None
    };
    Prompt { tokens, note: note.map(str::to_owned) }
}
