"""scikit-learn's own checks, and what they do not cover."""

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
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


STEPS = dict(cell="gru", hidden=3, optimizer="sgd", clip=None, dtype="float64", random_state=3, threads=1)


@pytest.mark.parametrize("outputs", (0, 1, 3))
def test_weights_of_rows_count_the_same_in_batches_of_any_size(outputs, numbers):
    # With so small a rate, the steps of an epoch add up, and the steps of batches are that of all rows in parts.
    X, weights = numbers.normal(size=(12, 5, 2)), np.array([0.0, 1, 5, 0.5, 2, 1, 3, 0, 7, 1, 1, 2])
    estimator = SequenceRegressor if outputs else SequenceClassifier
    y = numbers.normal(size=(12, outputs)) if outputs else np.arange(12) % 3

    def fit(weights=weights, **settings):
        return estimator(**{**STEPS, "epochs": 1, "lr": 1e-8, **settings}).fit(X, y, sample_weight=weights)

    start = fit(lr=0.0).weights_
    whole = fit(batch=12)
    for batch in (1, 2, 5):
        parts = fit(batch=batch)
        for name, weight in start.items():
            moved = (parts.weights_[name] - weight) * batch / 10
            np.testing.assert_allclose(moved, whole.weights_[name] - weight, rtol=1e-3, atol=1e-14)
        # The curve is weighted too.
        assert parts.loss_curve_ == pytest.approx(whole.loss_curve_, rel=1e-4)
    # Only relative weights count.
    for name, weight in fit(batch=1).weights_.items():
        np.testing.assert_array_equal(fit(8 * weights, batch=1).weights_[name], weight)


def test_in_batches_of_one_a_row_of_weight_2_moves_the_network_twice_as_far(numbers):
    X, y = numbers.normal(size=(2, 5, 1)), np.array([0, 1])

    def moved(weights):
        of = {
            lr: SequenceClassifier(**STEPS, lr=lr, epochs=1, batch=1, scale=False).fit(X, y, sample_weight=weights).weights_
            for lr in (0.0, 1e-6)
        }
        return np.concatenate([(of[1e-6][name] - of[0.0][name]).ravel() for name in of[0.0]])

    # The mean weight is 1.5 and 1: 2 / 1.5 of the first row with 1 / 1.5 of the second, and so on.
    first, second = moved([2, 1]) * 1.5 - moved([1, 1]), moved([1, 2]) * 1.5 - moved([1, 1])
    np.testing.assert_allclose(first + second, moved([1, 1]), rtol=1e-3, atol=1e-12)
    assert np.abs(first - second).max() > 1e-8
    np.testing.assert_allclose(moved([3, 1]) * 2, 3 * first + second, rtol=1e-3, atol=1e-12)


def test_a_row_of_weight_0_has_no_influence_in_batches_of_one(numbers):
    X, slopes = numbers.normal(size=(10, 5, 2)), numbers.normal(size=10)
    weights = np.where(np.arange(10) % 3 == 0, 0.0, 2.0)
    settings = dict(STEPS, epochs=3, batch=1)
    own = SequenceRegressor(**settings).fit(X, slopes, sample_weight=weights)
    X[weights == 0], slopes[weights == 0] = 1e3, -1e6
    other = SequenceRegressor(**settings).fit(X, slopes, sample_weight=weights)
    for name, weight in own.weights_.items():
        np.testing.assert_array_equal(other.weights_[name], weight)
    assert other.loss_curve_ == own.loss_curve_


def test_equal_weights_train_as_none_do(rising):
    X, _, slopes = rising
    y = np.stack([slopes, -slopes], axis=1)
    plain = SequenceRegressor(**STEPS, epochs=2).fit(X, y)
    equal = SequenceRegressor(**STEPS, epochs=2).fit(X, y, sample_weight=np.full(len(X), 0.3))
    np.testing.assert_allclose(equal.predict(X), plain.predict(X), rtol=1e-9)
    assert equal.model_ == plain.model_


def test_what_varies_by_rounding_alone_is_constant(numbers):
    X = np.stack([np.full((50, 7), 0.1), numbers.normal(size=(50, 7))], axis=2)
    y = np.stack([np.full(50, 0.7), X[:, -1, 1]], axis=1)
    for weights in (None, numbers.uniform(size=50)):
        fitted = SequenceRegressor(epochs=1, random_state=1).fit(X, y, sample_weight=weights)
        assert fitted.x_deviation_[0] == 1 and fitted.x_deviation_[1] > 0.5
        assert fitted.y_deviation_[0] == 1 and fitted.y_deviation_[1] > 0.5
    # Less than rounding is not: a feature of small numbers varies.
    small = SequenceRegressor(epochs=1, random_state=1).fit(1e-30 * X, y)
    assert 1e-31 < small.x_deviation_[1] < 1e-29


def test_a_forecaster_sees_windows_as_constant_that_vary_by_the_rounding_of_their_level(numbers):
    level = 1e6 * numbers.normal(size=60)
    X, y = np.repeat(level[:, None], 7, axis=1), np.repeat(level[:, None], 2, axis=1)
    # Seen from the mean, which is rounded.
    assert np.ptp(X - X.mean(axis=1, keepdims=True)) > 0
    forecaster = SeriesForecaster(epochs=1, random_state=1).fit(X, y)
    assert (forecaster.x_deviation_ == 1).all() and (forecaster.y_deviation_ == 1).all()


@pytest.mark.parametrize("estimator", (SequenceClassifier, SequenceRegressor, SeriesForecaster))
def test_a_fit_that_raises_leaves_an_estimator_that_is_not_fitted(estimator, rising):
    X, _, slopes = rising
    y = slopes > 0 if estimator is SequenceClassifier else slopes
    fitted = estimator(epochs=1, random_state=1).fit(X, y)
    fitted.set_params(epochs=0)
    with pytest.raises(ValueError, match="epochs: expected at least 1"):
        fitted.fit(X[:, :, :1], y)
    with pytest.raises(NotFittedError):
        fitted.predict(X)
    assert not hasattr(fitted, "weights_") and not hasattr(fitted, "loss_curve_")
    # Nor one that has never been fitted.
    fresh = estimator(cell="lstn")
    with pytest.raises(ValueError, match="cell: expected"):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
