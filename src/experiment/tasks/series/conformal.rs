//! Conformal ranges, fitted to the validation windows once the network is trained.

use super::super::objective::check_quantiles;
use crate::data::{Conformal, Examples, Windows};
use crate::experiment::config::SeriesConfig;
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::network::Network;
use crate::experiment::measure::quantiles::Quantiles;
use crate::experiment::measure::ranges::Ranges;
use crate::format::grouped;
use crate::{Error, Loss, Result};

/// The default range around a point forecast.
const RANGE: [f64; 2] = [0.1, 0.9];

/// The quantiles of the conformal ranges that `data` want around the forecasts of a network with this loss; `None` if
/// they want none.
///
/// # Errors
/// If the quantiles do not ascend.
pub(super) fn levels(data: &mut SeriesConfig, loss: &Loss) -> Result<Option<Quantiles>> {
    if data.conformal != Some(true) {
        return Ok(None);
    }
    if loss.takes_counts() {
        return Err(unsupported(
            "--conformal shifts quantiles by fractions, and those of --loss negative-binomial are whole counts: take \
             --loss quantile, gaussian or student-t",
        ));
    }
    let of_loss = Quantiles::of_series(loss, data.quantiles.as_deref().unwrap_or_default());
    if !of_loss.values().is_empty() {
        return Ok(Some(of_loss));
    }
    let given = data.quantiles.get_or_insert_with(|| RANGE.to_vec());
    check_quantiles(given)?;
    Ok(Some(Quantiles::around_point(given)))
}

/// The conformal ranges of an applied model, if `data` want these quantiles.
///
/// # Errors
/// If the model has others.
pub(super) fn of_model(levels: Option<&Quantiles>, fitted: Option<Conformal>) -> Result<Option<Conformal>> {
    let (Some(levels), Some(fitted)) = (levels, fitted) else { return Ok(None) };
    if levels.values() == fitted.levels {
        return Ok(Some(fitted));
    }
    let of_model = Quantiles::around_point(&fitted.levels).words();
    Err(unsupported(format!("--quantiles {}: the ranges of the model were fitted for {of_model}", levels.words())))
}

/// Refuses validation windows from which these quantiles cannot be estimated.
///
/// # Errors
/// [`Error::Unsupported`] with the number that is needed.
pub(super) fn check(levels: &Quantiles, validation: Option<&Windows>) -> Result<()> {
    let (least, got) = (Conformal::least_examples(levels.values()), validation.map_or(0, Windows::len));
    if got >= least {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "--conformal: the quantiles {} need the errors of at least {} validation windows, and the split leaves {}: take a \
         longer validation part (--split, --validation), or a narrower range (--quantiles)",
        levels.words(),
        grouped(least as u64),
        grouped(got as u64)
    )))
}

/// The shifts of these quantiles, from the errors of the trained network in the validation windows.
///
/// # Errors
/// Those of the device and of [`Conformal::fit`].
pub(super) async fn fit(
    (loss, levels): (&Loss, &Quantiles),
    windows: &Windows,
    network: &mut Network,
    rows: usize,
) -> Result<Conformal> {
    let predictions = network.predict(windows, rows).await?;
    let forecasts = Ranges::unshifted(loss, levels.clone()).decode(windows, &predictions)?.by_quantile;
    Conformal::fit(levels.values(), levels.point(), &forecasts, windows)
}

/// The source of conformal ranges, in words.
pub(super) fn describe(conformal: &Conformal) -> String {
    let examples = grouped(conformal.examples as u64);
    format!(
        "ranges: conformal, shifted by the errors in {examples} validation windows, so that their coverage there holds by \
         construction"
    )
}
