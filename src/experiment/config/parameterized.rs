//! Choices with parameters, as in `step:every=100,factor=0.5`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::values::{ABOVE_0, COUNT, is_above_0};
use crate::ParameterGroup;

/// The learning-rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ScheduleConfig {
    /// Constant.
    Constant,
    /// Multiplied by a factor at intervals.
    Step {
        /// The interval in steps; `None`: an epoch.
        every: Option<u64>,
        /// The factor, from 0 to 1; 0.5 by default.
        factor: f64,
    },
    /// Multiplied by a small factor at each step.
    Exponential {
        /// Number of steps over which it falls by `factor`; `None`: an epoch.
        every: Option<u64>,
        /// The factor, from 0 to 1; 0.5 by default.
        factor: f64,
    },
    /// Along half a cosine.
    Cosine {
        /// The share of the rate at the end; 0 by default.
        floor: f64,
    },
    /// Multiplied by a factor when the validation loss stops improving.
    Plateau {
        /// Validations without improvement before the reduction; 5 by default.
        patience: u64,
        /// The factor, from 0 to 1; 0.5 by default.
        factor: f64,
    },
}

/// The message for another loss.
const LOSSES: &str = "expected squared, absolute, huber, quantile, gaussian, student-t or negative-binomial";

/// The loss of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LossConfig {
    /// The squared error: forecasts tend to the mean.
    Squared,
    /// The absolute error: forecasts tend to the median.
    Absolute,
    /// The Huber loss: squared up to `delta`, linear beyond it.
    Huber {
        /// `delta`, in units of the scaled target; `None`: that of the model, or 1.
        delta: Option<f64>,
    },
    /// The pinball loss of the quantiles.
    Quantile,
    /// The negative log-likelihood of a normal distribution.
    Gaussian,
    /// The negative log-likelihood of Student's t distribution.
    StudentT,
    /// The negative log-likelihood of a negative binomial distribution of counts.
    NegativeBinomial,
}

/// A parameter group: a pattern of tensors' names, and their settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupConfig(pub ParameterGroup);

impl FromStr for ScheduleConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut given = Given::read(text)?;
        let schedule = match given.name {
            "constant" => Self::Constant,
            "step" => Self::Step { every: given.take("every", count)?, factor: given.factor()? },
            "exponential" => Self::Exponential { every: given.take("every", count)?, factor: given.factor()? },
            "cosine" => Self::Cosine { floor: given.take("floor", share)?.unwrap_or(0.0) },
            "plateau" => {
                Self::Plateau { patience: given.take("patience", count)?.unwrap_or(5), factor: given.factor()? }
            }
            _ => return Err("expected constant, step, exponential, cosine or plateau".into()),
        };
        given.end(schedule)
    }
}

impl FromStr for LossConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut given = Given::read(text)?;
        let loss = match given.name {
            "squared" => Self::Squared,
            "absolute" => Self::Absolute,
            "huber" => Self::Huber { delta: given.take("delta", above_0)? },
            "quantile" => Self::Quantile,
            "gaussian" => Self::Gaussian,
            "student-t" => Self::StudentT,
            "negative-binomial" => Self::NegativeBinomial,
            _ => {
                return Err(LOSSES.into());
            }
        };
        given.end(loss)
    }
}

impl LossConfig {
    /// Whether forecasts are quantiles: those of the loss itself, or of the distribution that the network predicts.
    pub(crate) fn has_quantiles(self) -> bool {
        match self {
            Self::Quantile | Self::Gaussian | Self::StudentT | Self::NegativeBinomial => true,
            Self::Squared | Self::Absolute | Self::Huber { .. } => false,
        }
    }
}

impl FromStr for GroupConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut given = Given::read(text)?;
        let mut group = ParameterGroup::new(given.name);
        group.frozen = given.take("frozen", nothing)?.is_some();
        let (factor, decay) = (given.take("lr", factor)?, given.take("weight-decay", at_least_0)?);
        let is_empty = !group.frozen && factor.is_none() && decay.is_none();
        group.learning_rate_factor = factor.unwrap_or(1.0);
        group.weight_decay = decay;
        let group = given.end(group)?;
        if group.pattern.is_empty() || is_empty {
            return Err(
                "expected a pattern with settings, as in embedding.*:frozen or head.*:lr=10x,weight-decay=0".into()
            );
        }
        if group.frozen && (factor.is_some() || decay.is_some()) {
            return Err("expected no other setting beside frozen".into());
        }
        Ok(Self(group))
    }
}

impl fmt::Display for ScheduleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, every, factor) = match self {
            Self::Constant => return f.write_str("constant"),
            Self::Cosine { floor } => return write!(f, "cosine:floor={floor}"),
            Self::Plateau { patience, factor } => return write!(f, "plateau:patience={patience},factor={factor}"),
            Self::Step { every, factor } => ("step", every, factor),
            Self::Exponential { every, factor } => ("exponential", every, factor),
        };
        let every = every.map(|every| format!("every={every},")).unwrap_or_default();
        write!(f, "{name}:{every}factor={factor}")
    }
}

impl fmt::Display for LossConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Squared => f.write_str("squared"),
            Self::Absolute => f.write_str("absolute"),
            Self::Huber { delta: None } => f.write_str("huber"),
            Self::Huber { delta: Some(delta) } => write!(f, "huber:delta={delta}"),
            Self::Quantile => f.write_str("quantile"),
            Self::Gaussian => f.write_str("gaussian"),
            Self::StudentT => f.write_str("student-t"),
            Self::NegativeBinomial => f.write_str("negative-binomial"),
        }
    }
}

impl fmt::Display for GroupConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParameterGroup { pattern, learning_rate_factor: factor, weight_decay, frozen } = &self.0;
        let settings = [
            frozen.then(|| "frozen".to_owned()),
            (*factor != 1.0).then(|| format!("lr={factor}x")),
            weight_decay.map(|decay| format!("weight-decay={decay}")),
        ];
        let settings: Vec<String> = settings.into_iter().flatten().collect();
        // A group may also have the optimizer's own settings, which keeps its tensors from later groups.
        let settings = if settings.is_empty() { "lr=1x".to_owned() } else { settings.join(",") };
        write!(f, "{pattern}:{settings}")
    }
}

impl TryFrom<String> for GroupConfig {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GroupConfig> for String {
    fn from(group: GroupConfig) -> Self {
        group.to_string()
    }
}

impl TryFrom<String> for ScheduleConfig {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for LossConfig {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ScheduleConfig> for String {
    fn from(schedule: ScheduleConfig) -> Self {
        schedule.to_string()
    }
}

impl From<LossConfig> for String {
    fn from(loss: LossConfig) -> Self {
        loss.to_string()
    }
}

/// A choice as written, being parsed.
struct Given<'a> {
    name: &'a str,
    /// The parameters not yet read.
    parameters: Vec<(&'a str, &'a str)>,
    /// The parameters of the choice.
    keys: Vec<&'static str>,
}

impl<'a> Given<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let (name, parameters) = match text.split_once(':') {
            None => (text, Vec::new()),
            Some((name, rest)) => {
                let pairs = rest.split(',').map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (key.trim(), value.trim())
                });
                (name, pairs.collect())
            }
        };
        Ok(Self { name: name.trim(), parameters, keys: Vec::new() })
    }

    fn take<T>(&mut self, key: &'static str, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
        self.keys.push(key);
        let Some(at) = self.parameters.iter().position(|(of, _)| *of == key) else { return Ok(None) };
        let (_, value) = self.parameters.remove(at);
        parse(value).map(Some).map_err(|expected| format!("{key}: expected {expected}, got '{value}'"))
    }

    fn factor(&mut self) -> Result<f64, String> {
        Ok(self.take("factor", share)?.unwrap_or(0.5))
    }

    /// The choice, unless an unknown parameter is left.
    fn end<T>(self, choice: T) -> Result<T, String> {
        let Some((key, _)) = self.parameters.first() else { return Ok(choice) };
        let name = self.name;
        Err(match self.keys[..] {
            [] => format!("expected no parameter of {name}, got '{key}'"),
            _ if self.keys.contains(key) => format!("expected '{key}' once"),
            _ => format!("expected {} of {name}, got '{key}'", self.keys.join(" or ")),
        })
    }
}

fn count(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=COUNT as u64).contains(number));
    number.ok_or_else(|| format!("a whole number from 1 to {COUNT}"))
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    number.ok_or_else(|| "a number from 0 to 1".into())
}

fn nothing(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { Err("no value".into()) }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.strip_suffix('x').and_then(|factor| factor.parse().ok());
    let factor = factor.filter(|factor| *factor == 0.0 || is_above_0(*factor));
    factor.ok_or_else(|| "a factor of the learning rate, as in 10x or 0.1x".into())
}

fn at_least_0(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number >= 0.0 && number.is_finite());
    number.ok_or_else(|| "a finite number of at least 0".into())
}

fn above_0(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| is_above_0(*number)).ok_or_else(|| ABOVE_0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_settings_are_read_back() {
        for (text, written) in [
            ("constant", "constant"),
            ("step", "step:factor=0.5"),
            ("step:every=100,factor=0.1", "step:every=100,factor=0.1"),
            ("exponential: factor = 0.9 , every = 7", "exponential:every=7,factor=0.9"),
            ("cosine", "cosine:floor=0"),
            ("cosine:floor=0.1", "cosine:floor=0.1"),
            ("plateau:patience=3", "plateau:patience=3,factor=0.5"),
        ] {
            let schedule: ScheduleConfig = text.parse().unwrap();
            assert_eq!(schedule.to_string(), written);
            assert_eq!(written.parse(), Ok(schedule));
        }
        for (text, written) in [("huber", "huber"), ("huber:delta=1.5", "huber:delta=1.5"), ("absolute", "absolute")] {
            assert_eq!(text.parse::<LossConfig>().unwrap().to_string(), written);
        }
        for (text, written) in [
            ("embedding.*:frozen", "embedding.*:frozen"),
            ("head.* : weight-decay = 0 , lr = 10x", "head.*:lr=10x,weight-decay=0"),
            ("*:lr=0.5x", "*:lr=0.5x"),
            ("*:lr=1x", "*:lr=1x"),
            ("*:lr=0x", "*:lr=0x"),
        ] {
            let group: GroupConfig = text.parse().unwrap();
            assert_eq!(group.to_string(), written);
            assert_eq!(written.parse(), Ok(group));
        }
    }

    #[test]
    fn unknown_names_and_parameters_and_wrong_numbers_are_named() {
        let schedule = |text: &str| text.parse::<ScheduleConfig>().unwrap_err();
        assert_eq!(schedule("linear"), "expected constant, step, exponential, cosine or plateau");
        assert_eq!(schedule("constant:every=3"), "expected no parameter of constant, got 'every'");
        assert_eq!(schedule("step:floor=0.1"), "expected every or factor of step, got 'floor'");
        assert_eq!(schedule("step:every=1,every=2"), "expected 'every' once");
        assert_eq!(schedule("step:"), "expected every or factor of step, got ''");
        assert_eq!(schedule("step:every"), "every: expected a whole number from 1 to 4294967295, got ''");
        assert_eq!(schedule("step:every=0"), "every: expected a whole number from 1 to 4294967295, got '0'");
        assert_eq!(schedule("step:factor=2"), "factor: expected a number from 0 to 1, got '2'");
        assert_eq!(schedule("cosine:floor=nan"), "floor: expected a number from 0 to 1, got 'nan'");
        let loss = |text: &str| text.parse::<LossConfig>().unwrap_err();
        assert_eq!(loss("mse"), LOSSES);
        assert_eq!(loss("huber:delta=0"), "delta: expected a finite number above 0, got '0'");
        let group = |text: &str| text.parse::<GroupConfig>().unwrap_err();
        let form = "expected a pattern with settings, as in embedding.*:frozen or head.*:lr=10x,weight-decay=0";
        for text in ["", "head.*", ":frozen"] {
            assert_eq!(group(text), form, "{text}");
        }
        assert_eq!(group("head.*:"), "expected frozen or lr or weight-decay of head.*, got ''");
        assert_eq!(group("head.*:rate=10x"), "expected frozen or lr or weight-decay of head.*, got 'rate'");
        assert_eq!(group("head.*:frozen=true"), "frozen: expected no value, got 'true'");
        assert_eq!(group("head.*:frozen,lr=2x"), "expected no other setting beside frozen");
        for rate in ["10", "-1x", "x", "nanx", "1e39x"] {
            let expected = format!("lr: expected a factor of the learning rate, as in 10x or 0.1x, got '{rate}'");
            assert_eq!(group(&format!("head.*:lr={rate}")), expected);
        }
        assert_eq!(group("head.*:weight-decay=-1"), "weight-decay: expected a finite number of at least 0, got '-1'");
    }
}
