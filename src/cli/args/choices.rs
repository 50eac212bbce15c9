//! What a flag has a choice of, with the words that its help has for each.

use bptt::experiment::config::{
    CellName, LabelsAsName, LossName, MissingName, OnNan, OptimizerName, ReadName, ScaleName, ScheduleName, TaskName,
};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;

/// One of the names that `T` has in a configuration file, each with its help.
fn choice<T>(names: &'static [(&'static str, &'static str)]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let values = names.iter().map(|(name, help)| match help.is_empty() {
        true => PossibleValue::new(*name),
        false => PossibleValue::new(*name).help(*help),
    });
    PossibleValuesParser::new(values).try_map(|name| serde_json::from_value(serde_json::Value::String(name)))
}

pub(crate) fn cell() -> impl TypedValueParser<Value = CellName> {
    choice(&[("rnn", ""), ("lstm", ""), ("gru", "")])
}

pub(crate) fn optimizer() -> impl TypedValueParser<Value = OptimizerName> {
    choice(&[("sgd", ""), ("momentum", ""), ("nesterov", ""), ("rmsprop", ""), ("adam", ""), ("adamw", "")])
}

pub(crate) fn task() -> impl TypedValueParser<Value = TaskName> {
    choice(&[
        ("adding", "The adding problem: the sum of two marked numbers in a sequence of LENGTH"),
        ("copy", "The copying memory problem: repeat 10 symbols after a delay of LENGTH"),
    ])
}

pub(crate) fn loss() -> impl TypedValueParser<Value = LossName> {
    choice(&[
        ("squared", "The squared error: forecasts tend to the mean"),
        ("absolute", "The absolute error: forecasts tend to the median, and outliers count for less"),
        ("huber", "Huber's: squared up to --huber-delta, absolute beyond it"),
        ("quantile", "The pinball loss of --quantiles: a range with the chance that it holds"),
    ])
}

pub(crate) fn schedule() -> impl TypedValueParser<Value = ScheduleName> {
    choice(&[
        ("constant", "It does not"),
        ("step", "By --decay-factor after every --decay-every steps"),
        ("exponential", "By --decay-factor over every --decay-every steps, a little with each"),
        ("cosine", "Along half a cosine to --decay-floor of it at the end"),
        ("plateau", "By --decay-factor after --decay-patience validations without improvement"),
    ])
}

pub(crate) fn on_nan() -> impl TypedValueParser<Value = OnNan> {
    choice(&[
        ("stop", "It ends, with the weights before that step"),
        ("skip", "The step changes nothing, and it goes on; at 10 such steps in a row it ends"),
        (
            "back",
            "It goes on from the weights of the last --val-every, at half the rate, with the batches behind the bad one; 5 times",
        ),
    ])
}

pub(crate) fn scale() -> impl TypedValueParser<Value = ScaleName> {
    choice(&[("standard", "Mean 0 and standard deviation 1"), ("min-max", "From 0 to 1"), ("none", "As they are")])
}

pub(crate) fn missing() -> impl TypedValueParser<Value = MissingName> {
    choice(&[
        ("error", "Nothing: the first is named, and the run does not begin"),
        ("ffill", "The value before them"),
        ("mask", "0 in the network's units, and a column more that tells where"),
    ])
}

pub(crate) fn read() -> impl TypedValueParser<Value = ReadName> {
    choice(&[("rows", "A row of pixels a step"), ("pixels", "A pixel a step")])
}

pub(crate) fn labels_as() -> impl TypedValueParser<Value = LabelsAsName> {
    choice(&[("classes", "Each is the name of a class"), ("values", "Each is a number")])
}
