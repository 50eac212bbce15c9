"""scikit-learn's own checks, and what they do not cover."""

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from bptt import SequenceClassifier, SequenceRegressor, SeriesForecaster  # noqa: E402

# In double precision, so that a weight of 2 and a row given twice agree to the last digits that the checks compare. The
# difference grows with every step: after 100 of them at a rate of 0.1 it is 1.5e-7, above the 1e-7 that is allowed, at
# 0.04 below 1e-11.
QUICK = dict(cell="gru", hidden=8, epochs=100, lr=0.04, batch=256, dtype="float64", random_state=0, threads=1)


@parametrize_with_checks([SequenceClassifier(**QUICK), SequenceRegressor(**QUICK), SeriesForecaster(**QUICK)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture
def rising(numbers):
    """Sequences of 12 steps with 2 numbers, whose class is whether the first rises."""
    slopes = numbers.normal(size=120)
    X = np.stack([slopes[:, None] * np.arange(12), numbers.normal(size=(120, 12))], axis=2)
    return X + 0.1 * numbers.normal(size=X.shape), np.where(slopes > 0, "up", "down"), slopes


def test_classes_of_sequences_are_learned_and_searched_over_in_a_pipeline(rising):
    X, y, _ = rising
    flatter = FunctionTransformer(np.tanh)
    search = GridSearchCV(
        make_pipeline(flatter, SequenceClassifier(epochs=8, random_state=1)),
        {"sequenceclassifier__cell": ["gru", "rnn"], "sequenceclassifier__hidden": [4, 8]},
        cv=3,
    )
    search.fit(X, y)
    assert search.best_score_ > 0.9
    assert set(search.predict(X)) == {"up", "down"}


def test_numbers_of_sequences_are_learned_one_or_several(rising):
    X, _, slopes = rising
    for y in (slopes, np.stack([slopes, -2 * slopes], axis=1)):
        estimator = SequenceRegressor(epochs=40, random_state=1).fit(X, y)
        assert estimator.predict(X).shape == y.shape and estimator.score(X, y) > 0.9
    assert cross_val_score(SequenceRegressor(epochs=30, random_state=1), X, slopes, cv=3).min() > 0.8


def test_a_clone_learns_the_same_and_a_pickle_predicts_the_same(rising):
    X, y, _ = rising
    first = SequenceClassifier(epochs=3, random_state=4, direction="both").fit(X, y)
    second = clone(first).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    np.testing.assert_array_equal(first.predict_proba(X), pickle.loads(pickle.dumps(first)).predict_proba(X))


def test_a_forecaster_follows_a_series_beyond_the_levels_that_it_has_seen():
    t = np.arange(300)
    series = np.sin(2 * np.pi * t / 12) + 0.05 * t
    X, y = SeriesForecaster.windows(series[:240], window=24, horizon=6)
    assert X.shape == (211, 24) and y.shape == (211, 6)
    np.testing.assert_array_equal(y[0], series[24:30])
    forecaster = SeriesForecaster(epochs=60, random_state=1).fit(X, y)
    error = np.abs(forecaster.forecast(series[216:240]) - series[240:246]).max()
    assert error < 0.4
    # The level goes along.
    np.testing.assert_allclose(
        forecaster.forecast(series[216:240] + 100), forecaster.forecast(series[216:240]) + 100, atol=1e-4
    )


def test_wrong_settings_and_shapes_are_told(rising):
    X, y, slopes = rising
    with pytest.raises(ValueError, match="cell: expected lstm, gru or rnn"):
        SequenceClassifier(cell="lstn").fit(X, y)
    with pytest.raises(ValueError, match="epochs: expected at least 1, got 0"):
        SequenceRegressor(epochs=0).fit(X, slopes)
    with pytest.raises(ValueError, match="expected 2 numbers a step, as in fit, got 1"):
        SequenceRegressor(epochs=1).fit(X, slopes).predict(X[:, :, :1])
    with pytest.raises(ValueError, match="expected at least 30 rows, got 10"):
        SeriesForecaster.windows(np.arange(10), 24, 6)


@pytest.mark.parametrize("estimator", (SequenceClassifier, SequenceRegressor, SeriesForecaster))
def test_sequences_of_another_length_than_in_fit_are_predicted(estimator, rising):
    X, _, slopes = rising
    y = slopes > 0 if estimator is SequenceClassifier else slopes
    fitted = estimator(epochs=1, random_state=1).fit(X, y)
    assert fitted.n_features_in_ == 2
    assert fitted.predict(X[:, :8]).shape == (120,) and fitted.predict(X[:3, -5:]).shape == (3,)
    with pytest.raises(ValueError, match="expected 2 numbers a step, as in fit, got 1"):
        fitted.predict(X[:, :, 0])
    with pytest.raises(ValueError, match="X contains NaN"):
        fitted.predict(np.full_like(X, np.nan))
    # One number a step is [N, T, 1] too.
    flat = estimator(epochs=1, random_state=1).fit(X[:, :, 0], y)
    np.testing.assert_array_equal(flat.predict(X[:, :, 0]), flat.predict(X[:, :, :1]))
    assert flat.predict(X[:, :8, :1]).shape == (120,)


@pytest.mark.parametrize("columns", (1, 2))
def test_a_forecast_continues_a_series_from_its_last_window(columns):
    t = np.arange(100.0)
    series = np.sin(t / 3) if columns == 1 else np.stack([np.sin(t / 3), np.cos(t / 3)], axis=1)
    X, y = SeriesForecaster.windows(series, window=10, horizon=2)
    forecaster = SeriesForecaster(epochs=2, random_state=1).fit(X, y)
    np.testing.assert_array_equal(forecaster.forecast(series), forecaster.forecast(series[-10:]))
    with pytest.raises(ValueError, match="series: expected at least the 10 rows of a window, got 9"):
        forecaster.forecast(series[:9])


def test_a_readout_at_every_step_is_refused_at_fit_with_the_reason(rising):
    X, y, slopes = rising
    for estimator, targets in ((SequenceClassifier, y), (SequenceRegressor, slopes)):
        with pytest.raises(ValueError, match="readout: expected 'last' or 'mean', since a sequence has one target"):
            estimator(readout="every").fit(X, targets)
