//! Parsers of flag values, which are also used for configuration files.

use bptt::Error;
use bptt::data::{CalendarInput, WavFormat};
use bptt::experiment::config::{Auto, BatchSize, COUNT, GroupConfig, Names, NumberRange, SIZE, THREADS};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;

/// How the sums over ranks are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RankSums {
    /// In the order of ranks: the same bits in every run
    #[default]
    RankOrder,
    /// As the MPI library prefers, without the promise of the same bits
    AnyOrder,
}

/// Names separated by commas. A quoted name may contain commas: `"a, b",c`. A quote inside is doubled.
pub(crate) fn names(text: &str) -> Result<Names, String> {
    let (mut all, mut name) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut letters = text.chars().peekable();
    loop {
        match letters.next() {
            None if quoted => return Err("expected a closing quote".into()),
            Some('"') if quoted && letters.peek() == Some(&'"') => name.extend(letters.next()),
            Some('"') if quoted => quoted = false,
            Some('"') if name.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            letter if letter.is_none() || letter == Some(',') && !quoted => {
                if name.is_empty() && !was_quoted {
                    return Err("expected a name before and after each comma, got none".into());
                }
                all.push(std::mem::take(&mut name));
                was_quoted = false;
                if letter.is_none() {
                    return Ok(all);
                }
            }
            letter => name.extend(letter),
        }
    }
}

/// Parameter groups: a single one, or quoted ones between commas.
pub(crate) fn groups(text: &str) -> Result<Vec<GroupConfig>, String> {
    let groups = if text.starts_with('"') { names(text)? } else { vec![text.to_owned()] };
    groups.iter().map(|group| group.parse()).collect()
}

/// Calendar fields separated by commas, each with its encoding.
pub(crate) fn calendar(text: &str) -> Result<Vec<CalendarInput>, String> {
    let mut inputs: Vec<CalendarInput> = Vec::new();
    for name in names(text)? {
        let input: CalendarInput = name.parse().map_err(|error| match error {
            Error::Value { expected, got, .. } => format!("expected {expected}, got {got}"),
            other => other.to_string(),
        })?;
        if inputs.iter().any(|other| other.field == input.field) {
            return Err(format!("expected each field once, got {} twice", input.field.name()));
        }
        inputs.push(input);
    }
    Ok(inputs)
}

pub(crate) fn batch(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Fitting(Auto::Auto)),
        _ => match whole::<1, SIZE>(text) {
            Ok(rows) => Ok(BatchSize::Rows(rows)),
            Err(expected) => Err(format!("{expected}, or auto")),
        },
    }
}

/// A whole number within bounds.
pub(crate) fn whole<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let range = NumberRange::Whole(LEAST as u64, MOST as u64);
    let number = text.parse().ok().filter(|number| range.contains_whole(*number as u64));
    number.ok_or_else(|| format!("expected {range}"))
}

/// A number within a range.
fn within(range: NumberRange, text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| range.contains(*number)).ok_or_else(|| format!("expected {range}"))
}

pub(crate) fn count(text: &str) -> Result<u64, String> {
    whole::<1, COUNT>(text).map(|count| count as u64)
}

/// The number of jobs: each is a thread with threads of its own.
pub(crate) fn jobs(text: &str) -> Result<usize, String> {
    whole::<1, THREADS>(text)
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    within(NumberRange::Share, text)
}

pub(crate) fn below_1(text: &str) -> Result<f64, String> {
    within(NumberRange::Below1, text)
}

pub(crate) fn signed(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| NumberRange::SIGNED.contains_whole(*number));
    number.ok_or_else(|| format!("expected {}", NumberRange::SIGNED))
}

/// A parameter of the network.
pub(crate) fn single(text: &str) -> Result<f64, String> {
    within(NumberRange::Single, text)
}

/// A gradient norm limit.
pub(crate) fn norm(text: &str) -> Result<f64, String> {
    within(NumberRange::Norm, text)
}

pub(crate) fn at_least_0(text: &str) -> Result<f64, String> {
    within(NumberRange::AtLeast0, text)
}

/// The shares of three splits; their sum is checked with the data.
pub(crate) fn shares(text: &str) -> Result<Vec<f64>, String> {
    let numbers = text.split(',').map(|number| number.trim().parse::<f64>().ok().filter(|share| share.is_finite()));
    numbers.collect::<Option<_>>().ok_or_else(|| "expected numbers between commas, as in 0.7,0.15,0.15".into())
}

pub(crate) fn quantiles(text: &str) -> Result<Vec<f64>, String> {
    let numbers = text.split(',').map(|number| within(NumberRange::Quantile, number.trim()).ok());
    numbers.collect::<Option<_>>().ok_or_else(|| "expected numbers above 0 and below 1".into())
}

/// Choices, each with its meaning if the name does not explain it.
pub(crate) type Choices = &'static [(&'static str, &'static str)];

pub(crate) const REFITS: Choices = &[
    ("scratch", "every fold trains a new network"),
    ("continue", "every fold trains the network of the fold before on"),
    ("none", "the network of the first fold forecasts from every origin"),
];

pub(crate) const METHODS: Choices = &[
    ("grid", "every combination of lists, ranges and integers"),
    ("random", "drawn independently"),
    ("tpe", "drawn by a tree-structured Parzen estimator, in rounds; a build with the feature tpe"),
];

pub(crate) const METRICS: Choices = &[
    ("val-loss", "the loss that training reports"),
    ("accuracy", "the highest wins"),
    ("balanced-accuracy", "the highest wins"),
    ("macro-f1", "the highest wins"),
    ("rmse", ""),
    ("mae", ""),
    ("mase", ""),
    ("smape", ""),
    ("wape", ""),
    ("r-squared", "the highest wins"),
    ("bits-per-character", ""),
    ("esr", ""),
];

pub(crate) const CELLS: Choices = &[("rnn", ""), ("lstm", ""), ("gru", "")];

pub(crate) const DIRECTIONS: Choices = &[
    ("forward", "from the first step to the last"),
    ("reverse", "from the last step to the first"),
    ("both", "with weights for each"),
];

pub(crate) const ACTIVATIONS: Choices = &[("tanh", ""), ("relu", ""), ("sigmoid", ""), ("identity", "")];

pub(crate) const OPTIMIZERS: Choices = &[
    ("sgd", "gradient descent"),
    ("momentum", "gradient descent with a momentum of 0.9"),
    ("nesterov", "the same with Nesterov's momentum"),
    ("rmsprop", "RMSprop"),
    ("adam", "Adam"),
    ("adamw", "Adam with decoupled weight decay"),
];

pub(crate) const SCHEDULES: Choices = &[
    ("constant", "no decay"),
    ("step", "times `factor` (0.5) every `every` steps (an epoch)"),
    ("exponential", "the same factor, spread evenly over the steps"),
    ("cosine", "half a cosine, down to `floor` (0) of the rate"),
    ("plateau", "times `factor` (0.5) after `patience` (5) validations without improvement"),
];

pub(crate) const LOSSES: Choices = &[
    ("squared", "squared error; forecasts tend to the mean"),
    ("absolute", "absolute error; forecasts tend to the median"),
    ("huber", "squared up to `delta` (1, in units of the scaled target), absolute beyond it"),
    ("quantile", "pinball loss of --quantiles"),
    ("gaussian", "negative log-likelihood of a normal distribution"),
    ("student-t", "of Student's t distribution, for outliers"),
    ("negative-binomial", "of a negative binomial distribution, for counts"),
];

pub(crate) const CALENDAR: Choices = &[
    ("minute", "of the hour"),
    ("hour", "of the day"),
    ("weekday", "from Monday on"),
    ("day", "of the month"),
    ("week", "of the year, by ISO 8601"),
    ("month", "of the year"),
    ("quarter", "of the year"),
    ("dayofyear", "from 1 to 365 or 366"),
];

pub(crate) const TASKS: Choices = &[
    ("adding", "the adding problem, the sum of two marked numbers in a sequence"),
    ("copy", "the copying memory problem, repeating 10 symbols after a delay"),
];

pub(crate) const ON_NAN: Choices = &[
    ("stop", "end the run with the weights before that step"),
    ("skip", "skip the step; end the run after 10 in a row"),
    ("back", "return to the weights of the last validation, at half the rate; at most 5 times"),
];

pub(crate) const SCALES: Choices = &[
    ("standard", "mean 0 and standard deviation 1"),
    ("min-max", "from 0 to 1"),
    ("mean-absolute", "divided by the mean absolute value, without an offset"),
    ("none", "unchanged"),
];

pub(crate) const SCALED_OVER: Choices =
    &[("series", "each by its own training rows"), ("all", "all by the training rows of all")];

pub(crate) const WEIGHED: Choices = &[
    ("windows", "each window, so that a series weighs by its length"),
    ("series", "each series, whatever its length"),
];

pub(crate) const RELATIVES: Choices = &[
    ("none", "by the scaling of the column alone"),
    ("last", "from the window's last value"),
    ("mean", "from the window's mean"),
    ("standard", "from the window's mean, in units of its standard deviation"),
];

pub(crate) const MISSING: Choices = &[
    ("error", "refuse the file and name the first one"),
    ("ffill", "repeat the previous value"),
    ("mask", "0 after scaling, with one more input that marks them"),
];

pub(crate) const READ: Choices = &[("rows", "a row of an image"), ("pixels", "a pixel")];

pub(crate) const LABELS_AS: Choices = &[("classes", "names of classes"), ("values", "numbers to predict")];

pub(crate) const KEEP: Choices = &[("last", "those of the last step"), ("best", "those of the lowest validation loss")];

pub(crate) const INITS: Choices = &[
    ("uniform", "within ±1/√H"),
    ("orthogonal", "a random orthogonal matrix per gate"),
    ("identity", "the identity per gate; with relu the IRNN"),
];

pub(crate) const READOUTS: Choices =
    &[("last", "the last step"), ("mean", "the mean over all steps"), ("every", "each step, where each has a target")];

pub(crate) const KERNELS: Choices = &[
    ("auto", "whichever is faster at these sizes"),
    ("sequence", "one dispatch per sequence; at most 1024 hidden units"),
    ("step", "one dispatch per step"),
];

pub(crate) const PRECISIONS: Choices = &[("f32", "32 bits"), ("f16", "16 bits")];

pub(crate) const DECIMAL: Choices = &[(".", ""), (",", "")];

pub(crate) const DATES: Choices = &[("day-first", ""), ("month-first", ""), ("year-first", "")];

/// A choice as `T` names it in a configuration file.
pub(crate) fn one_of<T>(choices: Choices) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let names = PossibleValuesParser::new(choices.iter().map(|(name, _)| *name));
    names.try_map(|name| serde_json::from_value(serde_json::Value::String(name)))
}

/// How the samples of a wav file are stored.
pub(crate) fn sample_format(text: &str) -> Result<WavFormat, String> {
    match text {
        "16" => Ok(WavFormat::Pcm16),
        "24" => Ok(WavFormat::Pcm24),
        "32" => Ok(WavFormat::Pcm32),
        "float" => Ok(WavFormat::Float32),
        _ => Err("expected 16, 24, 32 or float".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sections::{SECTIONS, section as section_of};
    use super::*;

    #[test]
    fn a_name_with_a_comma_is_quoted() {
        let read = |text| names(text).map(|names| names.join("|"));
        assert_eq!(read("a"), Ok("a".into()));
        assert_eq!(read("a,b c"), Ok("a|b c".into()));
        assert_eq!(read(r#""a, b",c"#), Ok("a, b|c".into()));
        assert_eq!(read(r#"c,"5"" pipe, new","""#), Ok("c|5\" pipe, new|".into()));
        assert_eq!(read(r#""Smith, J"=2,b=1"#), Ok("Smith, J=2|b=1".into()));
        assert_eq!(read(r#"5" pipe,b"#), Ok("5\" pipe|b".into()));
        for text in ["", ",", "a,", ",a", "a,,b", r#""a"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
    #[test]
    fn a_flag_refuses_the_numbers_that_the_library_refuses() {
        let texts =
            ["-1", "0", "1e-300", "0.5", "1", "2", "64", "65", "1024", "1025", "16777217", "4294967296", "1e300"];
        for section in SECTIONS.iter().filter(|section| !["backtest", "sweep"].contains(section)) {
            for setting in section_of(section).expect("a section") {
                let is_number =
                    ["0.5", "1", "2"].iter().any(|text| setting.parse(text).is_ok_and(|value| is_number(&value)));
                let range = NumberRange::of(section, setting.key);
                // A switch, a text, three shares or bytes, which are checked where they are read.
                let is_other = ["split", "memory", "input-limit"].contains(&setting.key);
                assert_eq!(range.is_some(), is_number && !is_other, "{section}.{}", setting.key);
                for text in texts.iter().filter(|_| range.is_some()) {
                    let number: f64 = text.parse().expect("a number");
                    let is_within = range.is_some_and(|range| range.contains(number));
                    assert_eq!(setting.parse(text).is_ok(), is_within, "{section}.{} {text}", setting.key);
                }
            }
        }
    }

    /// Whether it is a number, or a list that begins with one.
    fn is_number(value: &serde_json::Value) -> bool {
        value.is_number() || value.get(0).is_some_and(serde_json::Value::is_number)
    }
}
