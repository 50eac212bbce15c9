//! The names of the file of forecasts and of its columns, by which a backtest reads it back. Those of the network's
//! forecasts are in `measure::quantiles`.

/// The file of the forecasts after training, in a run's folder.
pub(crate) const FORECASTS: &str = "forecast.csv";

/// The column of the true values.
pub(crate) const TRUTH: &str = "truth";

/// The column of a quantile of a baseline; `key` is the column of the baseline itself.
pub(crate) fn column_of_baseline(key: &str, quantile: &str) -> String {
    format!("{key}_{quantile}")
}
