//! A model in a file: its form, its weights, and what else its owner keeps with them.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::config::Model;
use super::description::{Description, KEY};
use super::layout::Layout;
use super::safetensors::SafetensorsFile;
use super::state_dict::StateDict;
use crate::error::{Error, Result};
use crate::files::{WholeFile, open_input};
use crate::real::Real;

/// A model with its weights, as one file: a safetensors file of the weights under PyTorch's names, whose metadata has the
/// [`Model`] and what else is to be kept with it. `bptt train` writes the same file, and `bptt eval`, `predict`, `inspect` and
/// the other commands read it.
///
/// ```
/// use bptt::{Cell, Cpu, EngineOptions, Head, Loss, Model, Optimizer, Readout, Recurrent, SavedModel, Trainer, Wait};
///
/// # let folder = std::env::temp_dir().join(format!("bptt-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("sums.safetensors");
/// let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(3, Loss::CrossEntropy, Readout::Final));
/// let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(1e-2), 1)?;
/// // … train it …
/// trainer.saved_model().wait()?.with_metadata("threshold", &0.7)?.save(&path)?;
///
/// let saved = SavedModel::load(&path)?;
/// let engine = saved.engine(&Cpu::new(), &EngineOptions::default())?; // or saved.trainer(…), to train on
/// assert_eq!(saved.metadata("threshold")?, Some(0.7));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), bptt::Error>(())
/// ```
///
/// The optimizer's state and the progress of a run are not part of it: see [`train::Checkpoint`](crate::train::Checkpoint).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SavedModel<R = f32> {
    /// The weights by PyTorch's names.
    pub weights: StateDict<R>,
    pub(crate) description: Description,
}

impl SavedModel {
    /// Reads a file. Weights in F16 and BF16 are converted exactly, those in F64 are rounded: see
    /// [`load_in`](Self::load_in).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read. [`Error::Data`] with the file's name if it is not a model that bptt saved, if
    /// its description has a key, a cell or another name that this version does not know (the message names it, and the
    /// version that wrote it), if a size is out of range, or if its tensors are not those of the model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_in(path)
    }
}

impl<R: Real> SavedModel<R> {
    /// A model with weights in its own layout: [`Trainer::saved_model`](crate::Trainer::saved_model) makes one from a trainer.
    pub fn new(model: Model, weights: StateDict<R>) -> Self {
        Self { weights, description: Description::new(model) }
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.description.model
    }

    /// The number of updates that training had made when it was saved, if known. The weights may be from an earlier one, if
    /// those of the lowest validation loss were kept.
    pub fn step(&self) -> Option<u64> {
        self.description.step
    }

    /// Sets the number of updates.
    pub fn with_step(mut self, step: impl Into<Option<u64>>) -> Self {
        self.description.step = step.into();
        self
    }

    /// The version of bptt that wrote the file, such as `0.1.0`.
    pub fn written_by(&self) -> &str {
        self.description.written_by()
    }

    /// The value that was stored under `key`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the value is of another type.
    pub fn metadata<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.description.metadata(key)
    }

    /// Stores a value of your own under `key`, as JSON.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a value that JSON cannot represent.
    pub fn with_metadata(mut self, key: &str, value: &impl Serialize) -> Result<Self> {
        self.description.set_metadata(key, value)?;
        Ok(self)
    }

    /// Writes a file, in place of one that has this name. On an error, also on a full disk, the earlier file stays as it was.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written, or, with the path of its folder, if it is in place but may not outlive a
    /// failure of power; those of [`write_to`](Self::write_to).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut file = WholeFile::create(path)?;
        let written = self.write_to(&mut file);
        file.finish(written, |temporary, path| fs::rename(temporary, path).map(|()| true))
    }

    /// Reads a file with weights as f32 or f64, whichever `R` is.
    ///
    /// # Errors
    /// Those of [`load`](SavedModel::load).
    pub fn load_in(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, length) = open_input(path)?;
        Self::read_from(file, length).map_err(|error| match error {
            Error::Io { source, .. } => Error::Io { path: path.into(), source },
            other => Error::data(path, "", other.to_string()),
        })
    }

    /// Writes the bytes of a file. Buffers no more than a piece of one tensor.
    ///
    /// # Errors
    /// Those of [`Model::validate`]; [`Error::StateDict`] if the weights are not those of the model; [`Error::Unsupported`]
    /// for a cell that another crate defines; [`Error::Io`], without a file name, if `to` fails.
    pub fn write_to(&self, to: &mut impl Write) -> Result<()> {
        self.model().validate()?;
        Layout::new(self.model()).check(&self.weights)?;
        let text = self.description.to_text()?;
        let mut to = BufWriter::new(to);
        self.weights.write_safetensors(&mut to, Some((KEY, &text)))?;
        to.flush().map_err(super::safetensors::unwritten)
    }

    /// Reads a file of `length` bytes. Sizes in the file are checked before memory is allocated for them.
    ///
    /// # Errors
    /// [`Error::Io`], without a file name, if it cannot be read; the others of [`load`](SavedModel::load), as
    /// [`Error::Unsupported`] and the like without the file's name.
    pub fn read_from(from: impl Read, length: u64) -> Result<Self> {
        Self::from_file(SafetensorsFile::open(from, length)?)
    }

    /// From a file whose header has been read.
    pub(crate) fn from_file(file: SafetensorsFile<impl Read>) -> Result<Self> {
        let description = Description::parse(described(&file)?)?;
        let weights = file.state_dict_in()?;
        Self::from_parts(description, weights)
    }

    /// From a description and weights, which must fit it.
    pub(crate) fn from_parts(description: Description, weights: StateDict<R>) -> Result<Self> {
        Layout::new(&description.model).check(&weights)?;
        Ok(Self { weights, description })
    }
}

/// The description in a file's metadata.
///
/// # Errors
/// [`Error::Unsupported`] if there is none.
pub(crate) fn described<F: Read>(file: &SafetensorsFile<F>) -> Result<&str> {
    file.note(KEY).ok_or_else(|| {
        let message = "expected a model that bptt saved, got tensors without its description; see `bptt inspect`";
        Error::Unsupported(message.into())
    })
}
