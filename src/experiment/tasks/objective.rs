//! The objective of a network: the steps that predict, and the loss.

use super::super::config::agree::{as_the_model, unsupported, words};
use super::super::config::{LossConfig, SeriesConfig};
use super::super::measure::quantiles::DEFAULT;
use super::super::model::codec::Codec;
use super::super::model::model_file::ModelFile;
use crate::{Error, Head, Loss, Readout, Result};

/// The default head of the data, `natural`, with the readout of the settings or the model. If every step has a target,
/// there is no choice.
///
/// # Errors
/// If there is no choice, or the model has another readout.
pub(crate) fn head(natural: Head, predict: &mut Option<Readout>, model: Option<&ModelFile>) -> Result<Head> {
    if let Some(at) = predict.filter(|at| (*at == Readout::PerStep) != (natural.readout == Readout::PerStep)) {
        let expected = if natural.readout == Readout::PerStep {
            "every: a prediction at each step"
        } else {
            "last or mean: one prediction a row"
        };
        let got = words(&at);
        return Err(Error::Value { what: "predict".into(), expected: expected.into(), got });
    }
    let at = match head_of(model) {
        // The settings of an existing network are in its file only.
        Some(head) => as_the_model("predict", &mut predict.take(), Some(head.readout), natural.readout)?,
        None => *predict.get_or_insert(natural.readout),
    };
    Ok(Head { readout: at, ..natural })
}

/// The head for classes. Two classes have one output, whose targets are smoothed instead of the loss. Smoothing affects
/// training only, so a model may be trained further with another value.
///
/// # Errors
/// See [`head`].
pub(crate) fn of_classes(
    natural: Head,
    predict: &mut Option<Readout>,
    label_smoothing: &mut Option<f64>,
    model: Option<&ModelFile>,
) -> Result<Head> {
    let smoothing = *label_smoothing.get_or_insert(0.0);
    let loss = match natural.loss {
        Loss::CrossEntropy if smoothing > 0.0 => Loss::SmoothedCrossEntropy { smoothing },
        ref natural => natural.clone(),
    };
    head(Head { loss, ..natural }, predict, model)
}

/// The head for a series with `targets` numbers per forecast.
///
/// # Errors
/// See [`head`]; also if the settings contradict each other or the model.
pub(crate) fn of_series(targets: usize, series: &mut SeriesConfig, model: Option<&ModelFile>) -> Result<Head> {
    let loss = series_loss(series, model)?;
    head(Head::new(targets * loss.outputs_per_target(), loss, Readout::Final), &mut series.predict, model)
}

/// The head of a sensor with `targets` numbers at the last step of a window or, as the state is carried on, at each step.
///
/// # Errors
/// See [`of_series`]; also for quantiles.
pub(crate) fn of_sensor(
    targets: usize,
    carries_state: bool,
    series: &mut SeriesConfig,
    model: Option<&ModelFile>,
) -> Result<Head> {
    let loss = series_loss(series, model)?;
    if matches!(loss, Loss::Quantile { .. }) || loss.is_likelihood() {
        return Err(unsupported(format!(
            "--loss {}: with --now a row has one estimate; squared, absolute or huber",
            config_of(&loss)
        )));
    }
    let readout = if carries_state { Readout::PerStep } else { Readout::Final };
    head(Head::new(targets, loss, readout), &mut series.predict, model)
}

fn head_of(model: Option<&ModelFile>) -> Option<&Head> {
    model.and_then(|model| model.model.head.as_ref())
}

fn series_loss(series: &mut SeriesConfig, model: Option<&ModelFile>) -> Result<Loss> {
    let of_model = head_of(model).map(|head| &head.loss);
    if let Some(LossConfig::Huber { delta: delta @ None }) = &mut series.loss {
        *delta = Some(if let Some(Loss::Huber { delta }) = of_model { *delta } else { 1.0 });
    }
    let natural = if series.quantiles.is_some() { LossConfig::Quantile } else { LossConfig::Squared };
    let loss = as_the_model("loss", &mut series.loss, of_model.map(config_of), natural)?;
    if series.quantiles.is_some() && !loss.has_quantiles() && series.conformal != Some(true) {
        return Err(unsupported(format!(
            "--quantiles (series.quantiles) has no meaning for the loss {loss}: they are those of quantile, gaussian, \
             student-t and negative-binomial, or of --conformal"
        )));
    }
    if loss.has_quantiles() {
        let of_model = match (of_model, model.map(|model| &model.codec)) {
            (Some(Loss::Quantile { quantiles }), _) => Some(quantiles.clone()),
            (Some(_), Some(Codec::Series { quantiles, .. })) if !quantiles.is_empty() => Some(quantiles.clone()),
            (Some(_), _) => Some(DEFAULT.to_vec()),
            (None, _) => None,
        };
        let quantiles = as_the_model("quantiles", &mut series.quantiles, of_model, DEFAULT.to_vec())?;
        check_quantiles(&quantiles)?;
    }
    Ok(match loss {
        LossConfig::Squared => Loss::SquaredError,
        LossConfig::Absolute => Loss::AbsoluteError,
        LossConfig::Huber { delta } => Loss::Huber { delta: delta.unwrap_or(1.0) },
        LossConfig::Quantile => Loss::Quantile { quantiles: series.quantiles.clone().unwrap_or_default() },
        LossConfig::Gaussian => Loss::Gaussian,
        LossConfig::StudentT => Loss::StudentT,
        LossConfig::NegativeBinomial => Loss::NegativeBinomial,
    })
}

/// Refuses quantiles that do not ascend.
///
/// # Errors
/// [`Error::Value`].
pub(super) fn check_quantiles(quantiles: &[f64]) -> Result<()> {
    if !quantiles.is_empty() && quantiles.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(Error::Value {
        what: "--quantiles (series.quantiles)".into(),
        expected: "at least one, each greater than the one before".into(),
        got: words(&quantiles),
    })
}

fn config_of(loss: &Loss) -> LossConfig {
    match loss {
        Loss::AbsoluteError => LossConfig::Absolute,
        Loss::Huber { delta } => LossConfig::Huber { delta: Some(*delta) },
        Loss::Quantile { .. } => LossConfig::Quantile,
        Loss::Gaussian => LossConfig::Gaussian,
        Loss::StudentT => LossConfig::StudentT,
        Loss::NegativeBinomial => LossConfig::NegativeBinomial,
        _ => LossConfig::Squared,
    }
}
