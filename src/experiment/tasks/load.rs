//! Loads the task for any kind of data.

use super::super::config::agree::unsupported;
use super::super::config::{Data, DataKind};
use super::super::files::names::CONFIG;
use super::super::measure::loss;
use super::super::model::codec::Codec;
use super::super::model::model_file::ModelFile;
use super::super::settings::Settings;
use super::labelled::{classes, sequences};
use super::rolls::RollsTask;
use super::series::series_task::SeriesTask;
use super::signals::audio_task::AudioTask;
use super::signals::sensor_task::SensorTask;
use super::synthetic;
use super::task::Task;
use super::text::TextTask;
use crate::{Error, Result};

/// Refuses a folder in place of a file, and the reverse. A missing path is reported when it is opened.
fn check_files(settings: &mut Settings, has_model: bool) -> Result<()> {
    let kind = settings.kind;
    for (key, path) in settings.files() {
        let reason = match key {
            // Checked when it is opened: a run, or a file.
            "init-from" => None,
            // Evaluation and prediction also accept a file of lines.
            "file" if kind == DataKind::Classes && (has_model || !path.is_file()) => None,
            "file" if kind == DataKind::Classes => {
                Some("expected a folder with a text file for each class, got a file")
            }
            _ if !path.is_dir() => None,
            _ if path.join(CONFIG).is_file() => {
                Some("expected a file, got the folder of a run: `bptt train` takes one with --config or --resume")
            }
            "file" if kind == DataKind::Text => {
                Some("expected a file, got a folder; `bptt train classes` reads a folder of texts")
            }
            _ => Some("expected a file, got a folder"),
        };
        if let Some(reason) = reason {
            return Err(Error::Data {
                path,
                place: String::new(),
                // Neither has a flag where it is named beside its kind.
                message: if ["file", "wet"].contains(&key) {
                    format!("{}: {reason}", kind.section())
                } else {
                    format!("--{key}: {reason}")
                },
            });
        }
    }
    Ok(())
}

/// Reads the data that the settings name, and fills in what they left open. With `model` the data and their labels
/// are encoded as it encodes them; otherwise what there is to know of them is fitted to the training split.
///
/// # Errors
/// [`Error::Io`] where a file cannot be read; [`Error::Data`] for what a file holds, by file, line and column;
/// [`Error::Unsupported`] for data of another kind than the model's, for settings that name no data, and for settings
/// that do not fit the data or the model.
pub fn load(settings: &mut Settings, model: Option<&ModelFile>) -> Result<Box<dyn Task>> {
    if let Some(kind) = model.map(|model| model.codec.kind()).filter(|kind| *kind != settings.kind) {
        return Err(Error::Unsupported(format!("the model is of {kind}, the data are {}", settings.kind)));
    }
    if !settings.data().is_named() {
        return Err(unsupported(match settings.kind {
            DataKind::Task => "expected the name of a task: `task adding` or `task copy`".into(),
            DataKind::Classes => "expected a folder: `classes FOLDER`".into(),
            DataKind::Audio => "expected two files: `audio DRY WET`".into(),
            kind => format!("expected a file: `{} FILE`", kind.section()),
        }));
    }
    check_files(settings, model.is_some())?;
    let (seed, applies) = (settings.seed, settings.applies());
    Ok(match settings.data() {
        Data::Text(data) => Box::new(TextTask::load(data, applies, model)?),
        Data::Rolls(data) => Box::new(RollsTask::load(data, applies, model)?),
        Data::Series(data)
            if data.now.is_some() || matches!(model, Some(ModelFile { codec: Codec::Sensor { .. }, .. })) =>
        {
            Box::new(SensorTask::load(data, applies, model)?)
        }
        Data::Series(data) => Box::new(SeriesTask::load(data, applies, model)?),
        Data::Audio(data) => Box::new(AudioTask::load(data, applies, model)?),
        Data::Task(data) => synthetic::load(data, seed, model)?,
        Data::Sequences(data) => Box::new(sequences::load(data, applies, seed, model)?),
        Data::Classes(data) => Box::new(classes::load(data, applies, seed, model)?),
    })
}

/// Refuses data of other columns, classes or characters than the model's.
///
/// # Errors
/// [`Error::Data`] names the model's file.
pub fn check_fits(file: &ModelFile, task: &dyn Task) -> Result<()> {
    let (inputs, head) = (file.model.vocabulary(), file.model.head.as_ref());
    let refused = |message| Error::Data { path: file.path.clone(), place: String::new(), message };
    if inputs == task.input_size() && head.map(loss::plain) == Some(loss::plain(&task.head())) {
        Ok(())
    } else {
        Err(refused(format!(
            "the model reads {inputs} numbers per step and predicts {}; the data have {} and need {}",
            head.map_or(0, |head| head.outputs),
            task.input_size(),
            task.head().outputs
        )))
    }
}
