//! The description of a model in the metadata of its file, as JSON. `docs/networks.md` describes the form.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::config::Model;
use super::writer::{FORMAT, Writer};
use crate::error::{Error, Result};
use crate::version::RELEASE;

/// The name of the description in the file's metadata.
pub(crate) const KEY: &str = "bptt";

/// What a file says of its model, beside the weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    /// The version of the form, and of the crate that wrote it.
    #[serde(serialize_with = "own_format")]
    format: u32,
    #[serde(serialize_with = "own_release")]
    bptt: String,
    /// The network.
    pub(crate) model: Model,
    /// What the data taught, and what the model was trained on: the program's, and not read here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Box<RawValue>>,
    /// The step that training had reached. The weights may be from an earlier one, with the lowest validation loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<u64>,
    /// The user's own entries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, Box<RawValue>>,
}

/// What is written is of this version, whoever wrote what was read.
fn own_format<S: Serializer>(_: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(FORMAT)
}

fn own_release<S: Serializer>(_: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(RELEASE)
}

impl Description {
    /// Of a network alone.
    pub(crate) fn new(model: Model) -> Self {
        let bptt = RELEASE.into();
        Self { format: FORMAT, bptt, model, data: None, origin: None, step: None, metadata: BTreeMap::new() }
    }

    /// Reads a description and validates its network.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the key that is wrong or unknown to this version, and the version that wrote it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let writer: Writer = serde_json::from_str(text)
            .map_err(|error| Error::Unsupported(format!("the model's description: {error}")))?;
        if writer.format < FORMAT {
            return Err(Error::Unsupported(format!(
                "expected a model of format {FORMAT}, got format {}: an earlier version of bptt wrote it, and only that one \
                 reads it",
                writer.format
            )));
        }
        let it: Self =
            serde_json::from_str(text).map_err(|error| Error::Unsupported(writer.refusal("", text, &error)))?;
        it.model.validate().map_err(|error| Error::Unsupported(format!("the model's description: {error}")))?;
        Ok(it)
    }

    /// The JSON, as this version writes it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a cell that another crate defines.
    pub(crate) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Unsupported(error.to_string()))
    }

    /// The user's own entry `key`.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub(crate) fn metadata<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.read(&format!("metadata.{key}"), self.metadata.get(key).map(|value| &**value))
    }

    /// Reads `json`, the value of the key `part`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the key that is wrong or unknown, and the version that wrote it.
    pub(crate) fn read<T: DeserializeOwned>(&self, part: &str, json: Option<&RawValue>) -> Result<Option<T>> {
        let Some(json) = json.map(RawValue::get) else { return Ok(None) };
        let writer = Writer { format: self.format, bptt: Some(self.bptt.clone()) };
        let read = serde_json::from_str(json);
        read.map(Some).map_err(|error| Error::Unsupported(writer.refusal(part, json, &error)))
    }

    /// Sets an entry of the user's own.
    ///
    /// # Errors
    /// Those of [`raw`].
    pub(crate) fn set_metadata(&mut self, key: &str, value: &impl Serialize) -> Result<()> {
        let value = raw(&format!("metadata.{key}"), value)?;
        self.metadata.insert(key.into(), value);
        Ok(())
    }

    /// The version of the crate that wrote it.
    pub(crate) fn written_by(&self) -> &str {
        &self.bptt
    }
}

/// The JSON of `value`, for the key `part`.
///
/// # Errors
/// [`Error::Unsupported`] for a value that JSON cannot represent.
pub(crate) fn raw(part: &str, value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
        .map_err(|error| Error::Unsupported(format!("the model's description: `{part}`: {error}")))
}
