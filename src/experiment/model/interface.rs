//! Describes each input and output of a model in the terms of its data, for programs that run it without this one.

use serde_json::{Value, json};

use super::super::config::{MissingName, TaskName};
use super::super::measure::quantiles::Quantiles;
use super::codec::Codec;
use super::label_codec::LabelCodec;
use super::sequences_codec::SequencesCodec;
use crate::data::{
    CalendarEncoding, CalendarInput, ColumnCodec, RelativeTo, Scaling, SensorCodec, SeriesCodec, StaticCodec,
    StaticEncoding, TextUnit, Vocabulary,
};
use crate::{Loss, Model, Readout};

/// `input`: the meaning of each number of a step, in order, or of each token. `outputs`: the meaning of each number of
/// a prediction, in order. A scaling is x ↦ (x − offset) / unit on inputs, and its inverse on outputs.
pub fn interface(codec: &Codec, model: &Model) -> Value {
    let loss = model.head.as_ref().map_or(Loss::SquaredError, |head| head.loss.clone());
    let (input, outputs) = match codec {
        Codec::Text { vocabulary } => {
            (tokens(vocabulary), next("the probability that this token is the next", tokens(vocabulary)))
        }
        Codec::Classes { vocabulary, classes } => (tokens(vocabulary), of_classes(classes)),
        Codec::Rolls { keys } => (
            json!({"keys": keys.names()}),
            next("the probability that this key sounds in the next frame", json!(keys.names())),
        ),
        Codec::Audio(codec) => (
            json!({"is": "one frame of sound a step", "rate": codec.rate, "columns": sound(&codec.dry)}),
            json!({"is": "the frame of sound that is made", "each": sound(&codec.wet)}),
        ),
        Codec::Sequences(codec) => {
            let mut outputs = labels(&codec.labels);
            if model.head.as_ref().is_some_and(|head| head.readout == Readout::PerStep) {
                outputs["at"] = json!("every step");
            }
            (dimensions(codec), outputs)
        }
        Codec::Series { series, .. } => (columns(series), forecasts(series, &loss)),
        Codec::Sensor { sensor, .. } => (sensor_columns(sensor), estimates(sensor)),
        Codec::Task { task: TaskName::Adding } => {
            (json!({"columns": ["number", "mark"]}), json!({"is": "the sum of the two marked numbers"}))
        }
        Codec::Task { task: TaskName::Copy } => {
            (json!({"is": "symbols"}), json!({"is": "the probability of each symbol"}))
        }
    };
    json!({"scaling": "(value - offset) / unit", "input": input, "outputs": outputs})
}

fn next(is: &str, each: Value) -> Value {
    json!({"is": is, "each": each})
}

fn tokens(vocabulary: &Vocabulary) -> Value {
    match vocabulary.unit() {
        TextUnit::Bytes => json!({"tokens": "bytes"}),
        TextUnit::Characters => {
            let known: Vec<u32> = (0..vocabulary.len() as u32 - 1).collect();
            let characters = vocabulary.decode(&known).unwrap_or_default();
            let characters: Vec<String> = String::from_utf8_lossy(&characters).chars().map(String::from).collect();
            json!({"tokens": characters, "unknown": vocabulary.unknown()})
        }
    }
}

fn column(name: &str, scaling: &Scaling) -> Value {
    json!({"column": name, "offset": scaling.offset, "unit": scaling.unit})
}

fn dimensions(codec: &SequencesCodec) -> Value {
    let name = |index: usize| codec.dimensions.get(index).cloned().unwrap_or_else(|| (index + 1).to_string());
    let of = |index: usize, scaling: &Scaling| column(&name(index), scaling);
    let mut columns: Vec<Value> = codec.scaling.iter().enumerate().map(|(index, scaling)| of(index, scaling)).collect();
    if codec.missing == MissingName::Mask {
        let mask = |index| json!({"mask": name(index), "present": 0, "missing": 1});
        columns.extend((0..codec.scaling.len()).map(mask));
    }
    json!({"columns": columns})
}

fn labels(labels: &LabelCodec) -> Value {
    match labels {
        LabelCodec::Classes(classes) => of_classes(classes),
        LabelCodec::Values(scalings) => {
            let value = |(index, scaling): (usize, &Scaling)| json!({"value": index + 1, "offset": scaling.offset, "unit": scaling.unit});
            json!({"is": "scaled values", "each": scalings.iter().enumerate().map(value).collect::<Vec<_>>()})
        }
    }
}

fn of_classes(classes: &[String]) -> Value {
    match classes {
        // A single logit separates two classes.
        [other, one] => json!({"is": "the probability of the class", "each": [one], "otherwise": other}),
        _ => json!({"is": "the probability of this class", "each": classes}),
    }
}

/// The inputs of a calendar field; a position counts from 0, and weekdays from Monday.
fn calendar(input: CalendarInput, ahead: usize) -> Vec<Value> {
    let field = input.field.name();
    match input.encoding {
        CalendarEncoding::Sines => ["sin", "cos"]
            .map(|of| json!({"calendar": field, "is": format!("{of}(2 pi position / cycle)"), "rows_ahead": ahead}))
            .to_vec(),
        CalendarEncoding::Classes => (0..input.field.classes())
            .map(|position| json!({"calendar": field, "is": "1 at this position and 0 at others", "position": position, "rows_ahead": ahead}))
            .collect(),
    }
}

/// Targets, features and their masks; then the known columns and theirs and the calendar, shifted ahead by the horizon.
fn columns(codec: &SeriesCodec) -> Value {
    let mut columns = Vec::new();
    let mut put = |group: &[&ColumnCodec], ahead: usize| {
        let with_lead = |mut value: Value| {
            value["rows_ahead"] = json!(ahead);
            value
        };
        columns.extend(group.iter().map(|codec| with_lead(column(&codec.name, &codec.scaling))));
        let masked = group.iter().filter(|codec| codec.masked);
        columns.extend(masked.map(|codec| with_lead(json!({"mask": codec.name, "present": 1, "missing": 0}))));
    };
    let members = if codec.panel { &codec.targets[..1] } else { &codec.targets[..] };
    put(&members.iter().chain(&codec.features).collect::<Vec<_>>(), 0);
    put(&codec.known.iter().collect::<Vec<_>>(), codec.frame.horizon);
    columns.extend(codec.calendar.iter().flat_map(|input| calendar(*input, codec.frame.horizon)));
    let mut input = json!({"columns": columns, "window": codec.frame.window});
    let of_member = members_inputs(codec);
    if !of_member.is_empty() {
        input["after_the_rows_of_a_step"] = json!(of_member);
    }
    if codec.segment > 1 {
        input["rows_per_step"] = json!(codec.segment);
    }
    if codec.panel {
        let series = codec.targets.iter().map(|codec| column(&codec.name, &codec.scaling));
        input["panel"] = json!({
            "is": "a batch row reads one of these series in place of the first column, and forecasts it",
            "series": series.collect::<Vec<_>>(),
        });
    }
    let seen = match codec.relative {
        RelativeTo::None => return input,
        RelativeTo::Last => "offset is the last value that the window shows of the column",
        RelativeTo::Mean => "offset is the mean of the values that the window shows of the column",
        RelativeTo::Standard => {
            "offset is the mean m of the values that the window shows of the column, and unit is \
             sqrt(s^2 + 1e-5 u^2): s is their standard deviation, divided by n, and u the unit given here"
        }
    };
    input["relative"] = json!({"of": "targets, and their forecasts", "is": seen});
    input
}

/// What is the same in all rows of a series of a panel.
fn members_inputs(codec: &SeriesCodec) -> Vec<Value> {
    let one = "1 for this one and 0 for others";
    let of_column = |statics: &StaticCodec| -> Vec<Value> {
        match &statics.encoding {
            StaticEncoding::Number { scaling, masked } => {
                let mask = masked.then(|| json!({"mask": statics.name, "present": 1, "missing": 0}));
                std::iter::once(column(&statics.name, scaling)).chain(mask).collect()
            }
            StaticEncoding::Classes(classes) => {
                classes.iter().map(|class| json!({"static": statics.name, "class": class, "is": one})).collect()
            }
        }
    };
    let ids = codec.targets.iter().filter(|_| codec.ids).map(|target| json!({"series": target.name, "is": one}));
    codec.statics.iter().flat_map(of_column).chain(ids).collect()
}

/// The channels of a sound, whose full scale is 1.
fn sound(levels: &[f64]) -> Value {
    let channel = |(index, level): (usize, &f64)| json!({"channel": index + 1, "offset": 0.0, "unit": level});
    levels.iter().enumerate().map(channel).collect()
}

/// The inputs of a sensor, then their masks.
fn sensor_columns(codec: &SensorCodec) -> Value {
    let mut columns: Vec<Value> = codec.now.iter().map(|codec| column(&codec.name, &codec.scaling)).collect();
    let masked = codec.now.iter().filter(|codec| codec.masked);
    columns.extend(masked.map(|codec| json!({"mask": codec.name, "present": 1, "missing": 0})));
    let mut input = json!({"columns": columns});
    if !codec.carry_state {
        input["window"] = json!(codec.window);
    }
    input
}

fn estimates(codec: &SensorCodec) -> Value {
    let each: Vec<Value> = codec.targets.iter().map(|codec| column(&codec.name, &codec.scaling)).collect();
    let mut estimates = json!({"is": "scaled estimates of the last row that was read", "each": each});
    if codec.carry_state {
        estimates["at"] = json!("every step");
    }
    estimates
}

/// The parameters of the distribution that a head with this loss predicts, and how they are scaled; none for another loss.
fn parameters(loss: &Loss) -> (&'static [&'static str], &'static str) {
    match loss {
        Loss::Gaussian => {
            (&["mean", "deviation"], "normal; mean * unit + offset and deviation * unit are in the units of the data")
        }
        Loss::StudentT => (
            &["location", "scale", "freedom"],
            "Student's t; location * unit + offset and scale * unit are in the units of the data, freedom has no unit",
        ),
        Loss::NegativeBinomial => (
            &["mean", "dispersion"],
            "negative binomial, of counts; mean * unit and dispersion / sqrt(unit) are those of the counts, whose variance \
             is mean + dispersion * mean^2",
        ),
        _ => (&[], ""),
    }
}

/// By step, then target, then quantile or parameter of a distribution.
fn forecasts(codec: &SeriesCodec, loss: &Loss) -> Value {
    let quantiles = Quantiles::of(loss);
    let (parameters, is) = parameters(loss);
    let mut each = Vec::new();
    for step in 1..=codec.frame.horizon {
        // That of one series in a panel.
        for target in if codec.panel { &codec.targets[..1] } else { &codec.targets[..] } {
            let mut of = |key: &str, of: Option<Value>| {
                let mut value = column(&target.name, &target.scaling);
                value["step"] = json!(step);
                if let Some(of) = of {
                    value[key] = of;
                }
                each.push(value);
            };
            match (quantiles.values(), parameters) {
                ([], []) => of("quantile", None),
                ([], parameters) => parameters.iter().for_each(|name| of("parameter", Some(json!(name)))),
                (several, _) => several.iter().for_each(|quantile| of("quantile", Some(json!(quantile)))),
            }
        }
    }
    let mut forecasts = json!({"is": "scaled forecasts, step rows after the last that was read", "each": each});
    if let Some(conformal) = &codec.conformal {
        let is =
            "by level, what is added to each value after sorting; sorted again, but for one value between its levels";
        forecasts["conformal"] = json!({"levels": conformal.levels, "shifts": conformal.shifts, "is": is});
    }
    if !parameters.is_empty() {
        forecasts["distribution"] = json!(is);
    }
    if quantiles.values().len() > 1 {
        forecasts["sort"] = json!("quantiles of one column and step may cross: sort the values in ascending order");
    }
    forecasts
}
