//! What the steps and outputs of a C header are in the terms of a model's data.

use super::super::config::MissingName;
use super::super::config::TaskName;
use super::super::measure::quantiles::Quantiles;
use super::super::measure::ranges::Ranges;
use super::codec::Codec;
use super::label_codec::LabelCodec;
use super::model_file::describe;
use super::sequences_codec::SequencesCodec;
use crate::data::{
    CalendarEncoding, CalendarField, ColumnCodec, MissingPolicy, RelativeTo, Scaling, SensorCodec, SeriesCodec,
    TextUnit, Vocabulary,
};
use crate::interchange::c::{CColumn, CFeatures, CInput, COutput, CReading, CRelative, CRows, CTokens, CValues};
use crate::{Error, Loss, Model, Readout, Result};

/// What a step takes, what it returns, and notes for its user.
pub struct CInterface {
    /// What a step takes.
    pub input: CInput,
    /// What a step returns.
    pub output: COutput,
    /// Notes, a line each.
    pub notes: Vec<String>,
}

/// The steps and outputs of a header for this model, in the units of its data.
///
/// # Errors
/// [`Error::Unsupported`] for what a header cannot compute: inputs that are not stored with the model.
pub fn c_interface(codec: &Codec, model: &Model) -> Result<CInterface> {
    let loss = model.head.as_ref().map_or(Loss::SquaredError, |head| head.loss.clone());
    let mut notes = vec![format!("Model: {}.", describe(model)), format!("Data: {}.", codec.describe())];
    let (input, output) = match codec {
        Codec::Text { vocabulary } => {
            notes.push("Reads a text character by character; an output is the probability of each next token.".into());
            (tokens(vocabulary), COutput::Numbers)
        }
        Codec::Classes { vocabulary, classes } => {
            notes.push(
                "Reads a line of text character by character; the output after the last is that of the line.".into(),
            );
            (tokens(vocabulary), COutput::Classes(classes.clone()))
        }
        Codec::Rolls { keys } => {
            notes.push(
                "Reads a frame a step, 1 for each key that sounds and 0 for others; an output is the probability that each \
                 key sounds in the next frame."
                    .into(),
            );
            (CInput::Named(keys.names()), COutput::Named(keys.names()))
        }
        Codec::Audio(codec) => {
            notes.push(format!("Makes a frame of sound of each that it reads, at {} Hz; full scale is 1.", codec.rate));
            let channels = |what: &str, levels: &[f64]| -> Vec<CColumn> {
                let channel = |(index, unit): (usize, &f64)| CColumn {
                    name: format!("{what} {}", index + 1),
                    offset: 0.0,
                    unit: *unit,
                };
                levels.iter().enumerate().map(channel).collect()
            };
            let dry = channels("channel", &codec.dry);
            let features = vec![CFeatures::Values { columns: 0..dry.len(), missing: false }];
            (rows(dry, features, CReading::Stream), values(channels("channel", &codec.wet)))
        }
        Codec::Sequences(codec) => {
            let is_at_steps = model.head.as_ref().is_some_and(|head| head.readout == Readout::PerStep);
            notes.push(
                if is_at_steps {
                    "Reads a sequence step by step; an output is that of its step."
                } else {
                    "Reads a sequence step by step; an output is that of the steps so far, and after the last that of the \
                     whole."
                }
                .into(),
            );
            notes.extend(filled(codec.missing == MissingName::Ffill, "dimension"));
            (dimensions(codec), labels(&codec.labels))
        }
        Codec::Sensor { sensor, .. } => {
            notes.push("Estimates columns of a table from others of the same row and of those before.".into());
            notes.extend(filled(sensor.missing == MissingPolicy::Forward, "column"));
            (sensor_rows(sensor), values(sensor.targets.iter().map(column).collect()))
        }
        Codec::Series { series, quantiles, .. } => series_rows(series, &loss, quantiles, &mut notes)?,
        Codec::Task { task: TaskName::Adding } => {
            (CInput::Named(["number", "mark"].map(String::from).to_vec()), COutput::Numbers)
        }
        Codec::Task { task: TaskName::Copy } => (CInput::Tokens(CTokens::Ids), COutput::Numbers),
    };
    Ok(CInterface { input, output, notes })
}

/// The note on missing values that were filled in training, which whoever gives the steps has to fill likewise: the
/// header takes numbers alone. `of`: what has a previous value.
fn filled(is_filled: bool, of: &str) -> Option<String> {
    is_filled.then(|| format!("In training, missing values were filled with the previous one of their {of}."))
}

fn tokens(vocabulary: &Vocabulary) -> CInput {
    CInput::Tokens(match vocabulary.unit() {
        TextUnit::Bytes => CTokens::Bytes,
        TextUnit::Characters => CTokens::Characters(vocabulary.known_characters().to_vec()),
    })
}

fn column(codec: &ColumnCodec) -> CColumn {
    named(&codec.name, &codec.scaling)
}

fn named(name: &str, scaling: &Scaling) -> CColumn {
    CColumn { name: name.into(), offset: scaling.offset, unit: scaling.unit }
}

fn rows(columns: Vec<CColumn>, features: Vec<CFeatures>, reading: CReading) -> CInput {
    CInput::Rows(CRows { columns, features, reading, ..CRows::default() })
}

fn values(targets: Vec<CColumn>) -> COutput {
    COutput::Values(CValues { targets, horizon: 1, ..CValues::default() })
}

fn labels(labels: &LabelCodec) -> COutput {
    match labels {
        LabelCodec::Classes(classes) => COutput::Classes(classes.clone()),
        LabelCodec::Values(scalings) => values(
            scalings.iter().zip(1..).map(|(scaling, number)| named(&format!("value {number}"), scaling)).collect(),
        ),
    }
}

fn dimensions(codec: &SequencesCodec) -> CInput {
    let columns = codec.names().iter().zip(&codec.scaling).map(|(name, scaling)| named(name, scaling)).collect();
    let (count, masked) = (codec.scaling.len(), codec.missing == MissingName::Mask);
    let mut features = vec![CFeatures::Values { columns: 0..count, missing: masked }];
    if masked {
        features.push(CFeatures::Masks { columns: (0..count).collect(), missing: 1 });
    }
    rows(columns, features, CReading::Stream)
}

/// Scaled values and masks of columns, of which the first has the number `first`.
fn masked(codecs: &[&ColumnCodec], first: usize) -> Vec<CFeatures> {
    let mut features = Vec::new();
    let mut begin = first;
    for group in codecs.chunk_by(|a, b| a.masked == b.masked) {
        let columns = begin..begin + group.len();
        begin = columns.end;
        features.push(CFeatures::Values { columns, missing: group[0].masked });
    }
    let columns: Vec<usize> = (first..).zip(codecs).filter(|(_, codec)| codec.masked).map(|(index, _)| index).collect();
    if !columns.is_empty() {
        features.push(CFeatures::Masks { columns, missing: 0 });
    }
    features
}

fn sensor_rows(codec: &SensorCodec) -> CInput {
    let columns: Vec<&ColumnCodec> = codec.now.iter().collect();
    let reading = if codec.carry_state { CReading::Stream } else { CReading::Window(codec.window) };
    rows(codec.now.iter().map(column).collect(), masked(&columns, 0), reading)
}

fn series_rows(codec: &SeriesCodec, loss: &Loss, stored: &[f64], notes: &mut Vec<String>) -> Result<(CInput, COutput)> {
    if let Some(column) = codec.statics.first() {
        return Err(Error::Unsupported(format!(
            "the network reads static columns of each series ({}), which are in the data and not in the model: a header \
             would lack them; train with `ids` in their place, or export it as ONNX",
            column.name
        )));
    }
    let horizon = codec.frame.horizon;
    let targets: Vec<&ColumnCodec> = if codec.panel { vec![&codec.targets[0]] } else { codec.targets.iter().collect() };
    let past: Vec<&ColumnCodec> = targets.iter().copied().chain(&codec.features).collect();
    let known: Vec<&ColumnCodec> = codec.known.iter().collect();
    let mut columns: Vec<CColumn> = past.iter().map(|codec| column(codec)).collect();
    if codec.panel {
        columns[0].name = "the series".into();
    }
    let mut features = masked(&past, 0);
    let later = if horizon == 1 { "in the next row".to_owned() } else { format!("{horizon} rows later") };
    let ahead = |name: &str| format!("{name}, {later}");
    if !known.is_empty() {
        features.extend(masked(&known, columns.len()));
        columns.extend(known.iter().map(|codec| named(&ahead(&codec.name), &codec.scaling)));
    }
    for input in &codec.calendar {
        let (name, place) = (input.field.name(), columns.len());
        let mut put = |name: String| columns.push(CColumn { name, offset: 0.0, unit: 1.0 });
        put(ahead(&format!("{name}, counted from 0{}", from(input.field))));
        features.push(match input.encoding {
            CalendarEncoding::Classes => CFeatures::Classes { column: place, positions: input.field.classes() },
            CalendarEncoding::Sines => {
                let cycle = cycle(input.field);
                if cycle.is_none() {
                    put(ahead(&format!("number of {name}s in its month or year")));
                }
                CFeatures::Sines { column: place, cycle }
            }
        });
    }
    let relative = match codec.relative {
        RelativeTo::None => CRelative::None,
        RelativeTo::Last => CRelative::Last,
        RelativeTo::Mean => CRelative::Mean,
        RelativeTo::Standard => CRelative::Standard,
    };
    let reading = CReading::Forecast { window: codec.frame.window, relative };
    let members = if codec.panel { codec.targets.iter().map(column).collect() } else { Vec::new() };
    let next = if horizon == 1 { "row".to_owned() } else { format!("{horizon} rows") };
    notes.push(format!("Forecasts the next {next} after a window of {} rows.", codec.frame.window));
    notes.extend(filled(codec.missing == MissingPolicy::Forward, "column"));
    if relative != CRelative::None {
        notes.push(
            "A window is seen relative to its own values (--relative), which are known when all of it is there: a forecast \
             takes a whole window. A network trained with --relative none also reads row by row."
                .into(),
        );
    }
    let input = CRows { columns, features, segment: codec.segment, members, ids: codec.ids, reading };
    let of_targets = targets.iter().map(|codec| column(codec)).collect();
    let mut output = CValues { targets: of_targets, horizon, ..CValues::default() };
    if codec.panel {
        output.targets[0].name = "the series".into();
    }
    match &codec.conformal {
        Some(_) if loss.is_likelihood() => notes.push(
            "The outputs are the parameters of the predicted distributions; the conformal shifts of their quantiles \
             (--conformal) are not in this header."
                .into(),
        ),
        Some(conformal) => {
            let ranges = Ranges::new(loss, stored, Some(conformal.clone()));
            output.around_point = ranges.quantiles().point().is_some();
            output.levels = ranges.quantiles().values().to_vec();
            output.shifts.clone_from(&conformal.shifts);
        }
        None => output.levels = Quantiles::of(loss).values().to_vec(),
    }
    Ok((CInput::Rows(input), COutput::Values(output)))
}

/// The length of the cycle of a calendar field, if it is always the same.
fn cycle(field: CalendarField) -> Option<u16> {
    match field {
        CalendarField::Minute => Some(60),
        CalendarField::Hour => Some(24),
        CalendarField::Weekday => Some(7),
        CalendarField::Month => Some(12),
        CalendarField::Quarter => Some(4),
        CalendarField::Day | CalendarField::Week | CalendarField::DayOfYear => None,
    }
}

/// Where a field begins, if that is not known.
fn from(field: CalendarField) -> &'static str {
    match field {
        CalendarField::Weekday => " on Mondays",
        CalendarField::Week => " in week 1 of ISO 8601",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Frame;
    use crate::experiment::config::ScaleName;
    use crate::{Cell, Head, Recurrent};

    fn columns(names: &[&str]) -> Vec<ColumnCodec> {
        let scaling = Scaling { offset: 0.0, unit: 1.0 };
        names.iter().map(|name| ColumnCodec { name: (*name).into(), scaling, masked: false }).collect()
    }

    fn notes(codec: &Codec) -> String {
        let model = Model::new(Recurrent::new(Cell::Gru, 1, 2), Head::new(1, Loss::SquaredError, Readout::Final));
        c_interface(codec, &model).unwrap().notes.join("\n")
    }

    #[test]
    fn series_and_sensors_note_that_missing_values_were_filled_in_training_if_they_were() {
        for (missing, is_noted) in [(MissingPolicy::Forward, true), (MissingPolicy::Refuse, false)] {
            let sensor = SensorCodec {
                label_name: "t".into(),
                dates: None,
                decimal: None,
                missing,
                targets: columns(&["a"]),
                now: columns(&["b"]),
                window: 3,
                carry_state: false,
            };
            let series = SeriesCodec {
                label_name: "t".into(),
                dates: None,
                decimal: None,
                frame: Frame { window: 3, horizon: 1 },
                missing,
                targets: columns(&["a"]),
                features: Vec::new(),
                known: Vec::new(),
                calendar: Vec::new(),
                relative: RelativeTo::None,
                segment: 1,
                panel: false,
                long: None,
                statics: Vec::new(),
                ids: false,
                conformal: None,
            };
            let scale = ScaleName::Standard;
            let words = "missing values were filled with the previous one of their column";
            for codec in [Codec::Sensor { scale, sensor }, Codec::Series { scale, series, quantiles: Vec::new() }] {
                let notes = notes(&codec);
                assert_eq!(notes.contains(words), is_noted, "{notes}");
            }
        }
    }
}
