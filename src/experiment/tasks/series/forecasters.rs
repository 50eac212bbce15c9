//! The forecasters that are compared: the network and the baselines.

use crate::experiment::measure::comparison::BaselineName;
use crate::experiment::measure::series_errors::Forecaster;

pub(crate) const NETWORK: Forecaster = Forecaster { name: "network", prefix: "", baseline: None, repeats: false };
pub(crate) const LAST_VALUE: Forecaster = Forecaster {
    name: "last value",
    prefix: "naive_",
    baseline: Some(BaselineName { key: "last_value", words: "the last value" }),
    repeats: true,
};
pub(crate) const SEASONAL: Forecaster = Forecaster {
    name: "seasonal naive",
    prefix: "seasonal_",
    baseline: Some(BaselineName { key: "seasonal_naive", words: "the season before" }),
    repeats: true,
};
pub(crate) const DRIFT: Forecaster = Forecaster {
    name: "drift",
    prefix: "drift_",
    baseline: Some(BaselineName { key: "drift", words: "the drift" }),
    repeats: false,
};
pub(crate) const LINEAR: Forecaster = Forecaster {
    name: "linear AR",
    prefix: "linear_",
    baseline: Some(BaselineName { key: "linear_autoregression", words: "the linear autoregression" }),
    repeats: false,
};
