"""Recurrent networks (RNN, LSTM, GRU), trained by backpropagation through time on the CPU and on any GPU.

Two levels. `bptt.train` does what the program `bptt train` does, from a file or a frame, and returns a `Run`.
`Trainer` and `Recurrent` train on NumPy arrays of your own, step by step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _bptt
from ._bptt import (
    BpttError,
    Cell,
    DataError,
    DeviceError,
    DeviceLost,
    Head,
    Model,
    NonFinite,
    Optimizer,
    OutOfMemory,
    Recurrent,
    Trainer,
)
from ._runs import Forecast, Report, Run, load, train

if TYPE_CHECKING:
    from .estimators import SequenceClassifier, SequenceRegressor, SeriesForecaster

__version__: str = _bptt.__version__

__all__ = [
    "BpttError",
    "Cell",
    "DataError",
    "DeviceError",
    "DeviceLost",
    "Forecast",
    "Head",
    "Model",
    "NonFinite",
    "Optimizer",
    "OutOfMemory",
    "Recurrent",
    "Report",
    "Run",
    "SequenceClassifier",
    "SequenceRegressor",
    "SeriesForecaster",
    "Trainer",
    "load",
    "train",
]

# They import scikit-learn, which is only needed for them. Without it each name stands for what says so when it is used, so
# that `from bptt import *` and what looks at a module's names work.
_ESTIMATORS = ("SequenceClassifier", "SequenceRegressor", "SeriesForecaster")


class _Missing(type):
    """The class of an estimator without scikit-learn."""

    needs: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise ImportError(cls.needs)

    def __getattr__(cls, name: str) -> Any:
        raise AttributeError(f"{name}: {cls.needs}")


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        try:
            from . import estimators
        except ImportError as error:
            return _Missing(name, (), {"needs": f"bptt.{name} needs scikit-learn 1.6 or later: {error}"})
        return getattr(estimators, name)
    raise AttributeError(f"module 'bptt' has no attribute {name!r}")
