"""Estimators for scikit-learn on sequences: X is [N, T, I], or [N, T] with one number a step.

They are imported on first use, since they need scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._bptt import Head, Model, Optimizer, Trainer

__all__ = ["SequenceClassifier", "SequenceRegressor", "SeriesForecaster"]


def _root(variance: Any, size: Any, count: int) -> Any:
    """The deviation, or 1 of what does not vary: a variance of `count` numbers of this size that is no more than their
    rounding, as scikit-learn's StandardScaler has it (Chan, Golub and LeVeque 1983)."""
    epsilon = np.finfo(np.float64).eps
    rounding = count * epsilon * variance + (count * epsilon * size) ** 2
    return np.where(variance > rounding, np.sqrt(variance), 1.0)


class _Sequences(BaseEstimator):
    """What the estimators have in common: the network and its training."""

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden: int = 32,
        layers: int = 1,
        direction: str = "forward",
        dropout: float = 0.0,
        readout: str = "last",
        epochs: int = 100,
        batch: int = 32,
        lr: float = 0.01,
        optimizer: str = "adam",
        clip: float | None = 1.0,
        weight_decay: float | None = None,
        scale: bool = True,
        device: str = "cpu",
        threads: int | None = None,
        dtype: str = "float32",
        random_state: Any = None,
    ) -> None:
        self.cell = cell
        self.hidden = hidden
        self.layers = layers
        self.direction = direction
        self.dropout = dropout
        self.readout = readout
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.optimizer = optimizer
        self.clip = clip
        self.weight_decay = weight_decay
        self.scale = scale
        self.device = device
        self.threads = threads
        self.dtype = dtype
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")

    def _forget(self) -> None:
        """Removes what an earlier `fit` has left, so that one that fails leaves nothing of two."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.endswith("__")]:
            delattr(self, name)

    def _read(self, X: Any, y: Any = "no_validation", *, reset: bool, **of_y: Any) -> Any:
        """Checks X, and y with it. X is [N, T, I] then."""
        if reset:
            self._forget()
        axes = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        if not reset and (axes == 3 or self._has_steps):
            # Only I has to be that of fit, and not T, which scikit-learn would take for the number of features.
            read = check_array(X, allow_nd=True, dtype=np.float64, estimator=self, input_name="X")
        else:
            read = validate_data(self, X, y, reset=reset, allow_nd=True, dtype=np.float64, **of_y)
        X, y = read if isinstance(read, tuple) else (read, None)
        if X.ndim not in (2, 3):
            raise ValueError(f"X: expected [N, T, I], or [N, T] with I = 1, got shape {X.shape}")
        has_steps = X.ndim == 3
        X = X if has_steps else X.reshape(*X.shape, 1)
        if reset:
            self._inputs = X.shape[2]
            self._has_steps = has_steps
            if has_steps:
                self.n_features_in_ = self._inputs
        elif X.shape[2] != self._inputs:
            raise ValueError(f"X: expected {self._inputs} numbers a step, as in fit, got {X.shape[2]}")
        return X if y is None else (X, y)

    def _fit(self, X: Any, targets: Any, weights: Any, head: Head, level: float = 0.0) -> None:
        """Trains on X [N, T, I] with targets [N, ·] or classes [N]. `level` is the size of what was subtracted from the
        first column."""
        if not isinstance(self.epochs, (int, np.integer)) or self.epochs < 1:
            raise ValueError(f"epochs: expected at least 1, got {self.epochs!r}")
        if not isinstance(self.batch, (int, np.integer)) or self.batch < 1:
            raise ValueError(f"batch: expected at least 1, got {self.batch!r}")
        if self.readout not in ("last", "mean"):
            reason = ", since a sequence has one target; Trainer learns one at each step" if self.readout == "every" else ""
            raise ValueError(f"readout: expected 'last' or 'mean'{reason}, got {self.readout!r}")
        random = check_random_state(self.random_state)
        # Rows count as they do in the loss.
        self.x_mean_, self.x_deviation_ = np.zeros(X.shape[2]), np.ones(X.shape[2])
        if self.scale:
            self.x_mean_ = np.average(X.mean(axis=1), axis=0, weights=weights)
            variance = np.average(((X - self.x_mean_) ** 2).mean(axis=1), axis=0, weights=weights)
            size = np.abs(self.x_mean_)
            size[0] = max(size[0], level)
            self.x_deviation_ = _root(variance, size, X.shape[0] * X.shape[1])
        layers = dict(layers=self.layers, direction=self.direction, dropout=self.dropout)
        model = Model(self.cell, X.shape[2], self.hidden, head, **layers)
        optimizer = Optimizer(self.optimizer, self.lr, clip_norm=self.clip, weight_decay=self.weight_decay)
        seed = int(random.randint(np.iinfo(np.int32).max))
        trained, rows = model, np.arange(len(X))
        if weights is not None:
            # A row of weight 0 is as if it were not there.
            rows = np.flatnonzero(weights)
            # A batch's loss is divided by its number of rows and the mean weight of all, so that a row counts as much in
            # each batch. The loss that is a mean would be divided by the weights of the batch itself; the one that is a sum
            # is also one over outputs.
            summed = Head(head.outputs, head.loss, readout=head.readout, reduction="sum")
            trained = Model(self.cell, X.shape[2], self.hidden, summed, **layers)
            weights = weights / weights[rows].mean() / (1 if head.loss == "cross-entropy" else head.outputs)
        trainer = Trainer(trained, optimizer, seed=seed, device=self.device, threads=self.threads, dtype=self.dtype)
        x = self._scaled(X)
        self.loss_curve_ = []
        for _ in range(self.epochs):
            random.shuffle(rows)
            losses = []
            for first in range(0, len(rows), self.batch):
                part = rows[first : first + self.batch]
                own = None if weights is None else weights[part] / len(part)
                losses.append((trainer.step(x[:, part], targets[part], weights=own), len(part)))
            self.loss_curve_.append(sum(loss * count for loss, count in losses) / len(rows))
        self.model_ = model
        self.weights_ = trainer.state_dict()
        self.n_steps_ = trainer.steps()

    def _scaled(self, X: Any) -> Any:
        """[T, N, I], scaled."""
        return np.ascontiguousarray(((X - self.x_mean_) / self.x_deviation_).swapaxes(0, 1), dtype=self.dtype)

    def _outputs(self, X: Any) -> Any:
        """The network's predictions, [N, O]."""
        x = self._scaled(X)
        trainer = Trainer(
            self.model_, device=self.device, threads=self.threads, dtype=self.dtype, weights=self.weights_
        )
        parts = [trainer.predict(x[:, first : first + 512])[0] for first in range(0, x.shape[1], 512)]
        return np.concatenate(parts).astype(np.float64)

    # A fitted estimator is pickled and cloned as its numbers; the form of the network is text then.
    def __getstate__(self) -> Any:
        state = super().__getstate__().copy()
        if "model_" in state:
            state["model_"] = state["model_"].to_json()
        return state

    def __setstate__(self, state: Any) -> None:
        if "model_" in state:
            state = {**state, "model_": Model.from_json(state["model_"])}
        super().__setstate__(state)


class SequenceClassifier(ClassifierMixin, _Sequences):
    """Predicts the class of each sequence.

    X is [N, T, I], or [N, T] with one number a step; y has N classes of any type. A network reads sequences of any length:
    with [N, T, I], T may be another one than in `fit`. With [N, T] it may not, since scikit-learn has T for the number of
    features.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceClassifier:
        """Trains; ``sample_weight`` has a weight for each sequence, which counts relative to the mean of all."""
        X, y = self._read(X, y, reset=True)
        check_classification_targets(y)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self.classes_, classes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected at least 2 classes, got 1 class, {self.classes_[0]!r}")
        self._fit(X, classes, weights, Head(len(self.classes_), "cross-entropy", readout=self.readout))
        return self

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, [N, classes], in the order of ``classes_``."""
        check_is_fitted(self)
        shares = self._outputs(self._read(X, reset=False))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """The most probable class of each sequence."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]


class SequenceRegressor(RegressorMixin, _Sequences):
    """Predicts a number of each sequence, or several.

    X is [N, T, I], or [N, T] with one number a step; y is [N] or [N, K]. T may be another one than in `fit` with [N, T, I].
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceRegressor:
        """Trains; ``sample_weight`` has a weight for each sequence, which counts relative to the mean of all."""
        X, y = self._read(X, y, reset=True, multi_output=True, y_numeric=True)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self._fit_numbers(X, np.asarray(y, dtype=np.float64), weights)
        return self

    def _fit_numbers(self, X: Any, y: Any, weights: Any, level: float = 0.0) -> None:
        self._is_flat = y.ndim == 1
        y = y.reshape(len(y), -1)
        self.y_mean_ = np.average(y, axis=0, weights=weights)
        variance = np.average((y - self.y_mean_) ** 2, axis=0, weights=weights)
        self.y_deviation_ = _root(variance, np.maximum(np.abs(self.y_mean_), level), len(y))
        targets = (y - self.y_mean_) / self.y_deviation_
        self._fit(X, targets, weights, Head(y.shape[1], "squared-error", readout=self.readout), level)

    def _numbers(self, X: Any) -> Any:
        y = self._outputs(X) * self.y_deviation_ + self.y_mean_
        return y[:, 0] if self._is_flat else y

    def predict(self, X: Any) -> Any:
        """[N] or [N, K], as y."""
        check_is_fitted(self)
        return self._numbers(self._read(X, reset=False))


class SeriesForecaster(SequenceRegressor):
    """Forecasts the rows after each window of a series.

    Each window is seen relative to its own mean, and so is what follows: the forecast goes along with the level of a
    series. X is [N, T] windows of one series, or [N, T, I], whose first column is the one that is forecast; y is [N],
    the next value, or [N, horizon]. `windows` cuts a series into both, and `forecast` continues a series.
    """

    @staticmethod
    def windows(series: Any, window: int, horizon: int = 1) -> tuple[Any, Any]:
        """All windows of a series [T] or [T, I], and the rows of its first column that follow each: [N, window] or
        [N, window, I], and [N, horizon], or [N] for a horizon of 1."""
        series = np.asarray(series, dtype=np.float64)
        if series.ndim not in (1, 2):
            raise ValueError(f"series: expected [T] or [T, I], got shape {series.shape}")
        if window < 1 or horizon < 1:
            raise ValueError(f"window and horizon: expected at least 1, got {window} and {horizon}")
        count = len(series) - window - horizon + 1
        if count < 1:
            raise ValueError(f"series: expected at least {window + horizon} rows, got {len(series)}")
        X = np.stack([series[first : first + window] for first in range(count)])
        column = series if series.ndim == 1 else series[:, 0]
        y = np.stack([column[first + window : first + window + horizon] for first in range(count)])
        return X, y[:, 0] if horizon == 1 else y

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SeriesForecaster:
        """Trains on windows and what follows each."""
        X, y = self._read(X, y, reset=True, multi_output=True, y_numeric=True)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self.window_ = X.shape[1]
        X, level = self._relative(X)
        y = np.asarray(y, dtype=np.float64)
        y = y - (level if y.ndim == 1 else level[:, None])
        self._fit_numbers(X, y, weights, np.abs(level).max())
        return self

    def predict(self, X: Any) -> Any:
        """What follows each window."""
        check_is_fitted(self)
        X, level = self._relative(self._read(X, reset=False))
        y = self._numbers(X)
        return y + (level if y.ndim == 1 else level[:, None])

    def forecast(self, series: Any) -> Any:
        """The rows after the last one of a series [T] or [T, I], as many as the horizon, from its last window."""
        check_is_fitted(self)
        series = np.asarray(series, dtype=np.float64)
        if series.ndim not in (1, 2):
            raise ValueError(f"series: expected [T] or [T, I], got shape {series.shape}")
        if len(series) < self.window_:
            raise ValueError(f"series: expected at least the {self.window_} rows of a window, got {len(series)}")
        series = series[-self.window_ :]
        return np.atleast_1d(self.predict(series[None])[0])

    @staticmethod
    def _relative(X: Any) -> tuple[Any, Any]:
        """Windows whose first column is seen from its mean, and that mean."""
        level = X[:, :, 0].mean(axis=1)
        X = X.copy()
        X[:, :, 0] -= level[:, None]
        return X, level
