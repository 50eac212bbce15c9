//! Data for networks: series cut into windows, signals with targets of the same times, texts by characters, classified
//! lines of text, piano rolls, labelled sequences, and synthetic tasks with known answers.
//!
//! Labelled sequences are read from these files, see [`LabelledSequences::read`]; each may be compressed with gzip
//! (feature `gzip`).
//!
//! | File | Content | Feature |
//! |---|---|---|
//! | `.ts` | UEA and UCR archives, sktime, aeon | |
//! | `.tsv`, `.txt` | UCR archive: a series per line, its label first | |
//! | idx | MNIST: bytes, images as rows or as pixels | |
//! | `.npy` | a NumPy array | |
//! | `.npz` | several NumPy arrays | `npz` |
//! | `.csv` | long form: a row for each step of each sequence | `csv` |

pub(super) mod common;
#[cfg(test)]
mod corruption;
mod formats;
mod input;
mod piano_rolls;
mod sequences;
pub(super) mod series;
mod signals;
mod synthetic;
mod text;
mod times;
pub(super) mod values;

pub use common::{
    Batches, Examples, Frame, PrefetchedBatches, Scaling, ScalingKind, SequentialBatches, SeriesSplit, ShuffledBatches,
};
pub use formats::{Audio, Clipping, ImageLayout, ReadOptions, WavFormat, WavReader, WavSpec, WavWriter};
#[cfg(feature = "csv")]
pub use formats::{LongColumns, SEPARATORS, SUNSPOTS, csv_columns, number_columns};
pub use input::{InputLimit, open_input, read_input, read_settings, utf8};
pub use piano_rolls::{NextStep, PianoKeys, PianoRolls, Piece};
#[cfg(feature = "experiment")]
pub(crate) use sequences::LabelIndex;
pub use sequences::{LabelKind, LabelledSequences, Labels, LabelsPer, PackedSequences, SequenceInputs, Subset};
pub use series::{
    CalendarEncoding, CalendarField, CalendarInput, Column, ColumnCodec, ColumnRoles, Conformal, EncodedSeries,
    Forecast, ForecastErrors, LinearAutoregression, LongForm, NaiveScale, RelativeTo, Rollout, SensorCodec, Series,
    SeriesCodec, SeriesTable, StaticCodec, StaticColumn, StaticEncoding, TargetErrors, Windows, forecast_errors,
};
pub use signals::{Signal, SignalLanes, SignalWindows};
pub use synthetic::{AddingTask, CopyTask, SyntheticExamples};
pub use text::{
    CharacterCounts, ContiguousStreams, LabelledLines, RandomWindows, Text, TextSplit, TextUnit, Vocabulary,
};
pub use times::{DateOrder, TimeGaps, UnevenSteps};
pub use values::{DecimalMark, MissingPolicy, list_names};
