//! What a network is asked for: at which steps it predicts, and by what loss it learns.

use super::super::config::agree::{as_the_model, unsupported, words};
use super::super::config::{LossName, ModelConfig, TrainingConfig};
use super::super::measure::quantiles::Quantiles;
use super::super::model::model_file::ModelFile;
use crate::{Error, Head, Loss, Readout, Result};

/// The quantiles that are forecast where none are named.
const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// `natural`, the head of data as they are, which predicts where the settings or the model say. What is told at every step
/// has no choice.
///
/// # Errors
/// Where that is no choice, or the model has another.
pub(crate) fn head(natural: Head, asked: &mut ModelConfig, model: Option<&ModelFile>) -> Result<Head> {
    if let Some(at) = asked.predict.filter(|at| (*at == Readout::PerStep) != (natural.readout == Readout::PerStep)) {
        let expected = if natural.readout == Readout::PerStep {
            "every: each step is told"
        } else {
            "last or mean: a row is told once"
        };
        let got = format!("{at:?}").to_lowercase();
        return Err(Error::Value { what: "--predict (model.predict)".into(), expected: expected.into(), got });
    }
    let at = match head_of(model) {
        // The settings of a network that is there are in its file alone.
        Some(head) => as_the_model("predict", &mut asked.predict.take(), Some(head.readout), natural.readout)?,
        None => *asked.predict.get_or_insert(natural.readout),
    };
    Ok(Head { readout: at, ..natural })
}

/// The head of classes, two of which have one output, whose targets are smoothed instead of the loss. Smoothing is of
/// training alone: a model goes on with another.
///
/// # Errors
/// As of [`head`].
pub(crate) fn of_classes(
    natural: Head,
    asked: &mut ModelConfig,
    learning: &mut TrainingConfig,
    model: Option<&ModelFile>,
) -> Result<Head> {
    let smoothing = *learning.label_smoothing.get_or_insert(0.0);
    let loss = match natural.loss {
        Loss::CrossEntropy if smoothing > 0.0 => Loss::SmoothedCrossEntropy { smoothing },
        ref natural => natural.clone(),
    };
    head(Head { loss, ..natural }, asked, model)
}

/// The head of a series of `targets` numbers a forecast.
///
/// # Errors
/// As of [`head`], and where the settings contradict each other or the model.
pub(crate) fn of_series(
    targets: usize,
    asked: &mut ModelConfig,
    learning: &mut TrainingConfig,
    model: Option<&ModelFile>,
) -> Result<Head> {
    let loss = series_loss(learning, head_of(model).map(|head| &head.loss))?;
    head(Head::new(targets * Quantiles::of(&loss).count(), loss, Readout::Final), asked, model)
}

fn head_of(model: Option<&ModelFile>) -> Option<&Head> {
    model.and_then(|model| model.model.head.as_ref())
}

fn series_loss(training: &mut TrainingConfig, of_model: Option<&Loss>) -> Result<Loss> {
    let natural = match training {
        TrainingConfig { huber_delta: Some(_), .. } => LossName::Huber,
        TrainingConfig { quantiles: Some(_), .. } => LossName::Quantile,
        _ => LossName::Squared,
    };
    let name = as_the_model("loss", &mut training.loss, of_model.map(name_of), natural)?;
    for (flag, is_given, of) in [
        ("--huber-delta (training.huber-delta)", training.huber_delta.is_some(), LossName::Huber),
        ("--quantiles (training.quantiles)", training.quantiles.is_some(), LossName::Quantile),
    ] {
        if is_given && of != name {
            return Err(unsupported(format!("{flag} has no meaning for the loss {name:?}").to_lowercase()));
        }
    }
    Ok(match name {
        LossName::Squared => Loss::SquaredError,
        LossName::Absolute => Loss::AbsoluteError,
        LossName::Huber => {
            let of_model = of_model.and_then(|loss| if let Loss::Huber { delta } = loss { Some(*delta) } else { None });
            Loss::Huber { delta: as_the_model("huber-delta", &mut training.huber_delta, of_model, 1.0)? }
        }
        LossName::Quantile => {
            let of_model =
                of_model.and_then(|loss| if let Loss::Quantile { quantiles } = loss { Some(quantiles) } else { None });
            let given = &mut training.quantiles;
            let quantiles = as_the_model("quantiles", given, of_model.cloned(), QUANTILES.to_vec())?;
            if quantiles.is_empty() || !quantiles.is_sorted_by(|a, b| a < b) {
                return Err(Error::Value {
                    what: "--quantiles (training.quantiles)".into(),
                    expected: "at least one, each greater than the one before".into(),
                    got: words(&quantiles),
                });
            }
            Loss::Quantile { quantiles }
        }
    })
}

fn name_of(loss: &Loss) -> LossName {
    match loss {
        Loss::AbsoluteError => LossName::Absolute,
        Loss::Huber { .. } => LossName::Huber,
        Loss::Quantile { .. } => LossName::Quantile,
        _ => LossName::Squared,
    }
}
