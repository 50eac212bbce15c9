"""Types of the Rust module. Arrays: x is [T, B, I], or token ids [T, B]; with batch_first, rows come first."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Path = str | os.PathLike[str]
_States = ArrayLike | tuple[ArrayLike, ArrayLike | None] | list[ArrayLike | None]
_StatesOut = tuple[NDArray[Any], NDArray[Any] | None]

__version__: str

class BpttError(Exception): ...
class DataError(ValueError): ...
class DeviceError(BpttError): ...
class DeviceLost(DeviceError): ...
class OutOfMemory(DeviceError): ...
class NonFinite(BpttError): ...

@final
class Cell:
    def __new__(cls, name: str, activation: str | None = None) -> Cell: ...
    @property
    def name(self) -> str: ...
    @property
    def activation(self) -> str | None: ...

@final
class Head:
    def __new__(
        cls,
        outputs: int,
        loss: str = "squared-error",
        *,
        readout: str = "last",
        reduction: str = "mean",
        delta: float | None = None,
        quantiles: Sequence[float] | None = None,
        smoothing: float | None = None,
    ) -> Head: ...
    @property
    def outputs(self) -> int: ...
    @property
    def loss(self) -> str: ...
    @property
    def readout(self) -> str: ...
    @property
    def reduction(self) -> str: ...
    @property
    def delta(self) -> float | None: ...
    @property
    def quantiles(self) -> list[float] | None: ...
    @property
    def smoothing(self) -> float | None: ...

@final
class Model:
    def __new__(
        cls,
        cell: Cell | str,
        input_size: int,
        hidden_size: int,
        head: Head | None = None,
        *,
        layers: int = 1,
        direction: str = "forward",
        bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        proj_size: int | None = None,
        vocabulary: int | None = None,
        tied: bool = False,
    ) -> Model: ...
    @staticmethod
    def from_json(text: str) -> Model: ...
    def to_json(self) -> str: ...
    @property
    def cell(self) -> Cell: ...
    @property
    def head(self) -> Head | None: ...
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def direction(self) -> str: ...
    @property
    def bias(self) -> bool: ...
    @property
    def dropout(self) -> float: ...
    @property
    def recurrent_dropout(self) -> float: ...
    @property
    def proj_size(self) -> int | None: ...
    @property
    def vocabulary(self) -> int | None: ...
    @property
    def tied(self) -> bool: ...
    @property
    def output_size(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    def rename(
        self,
        tensors: Mapping[str, Any],
        recurrent: str = "rnn.",
        head: str = "head.",
        embedding: str = "embedding.",
        *,
        from_recurrent: str = "rnn.",
        from_head: str = "head.",
        from_embedding: str = "embedding.",
    ) -> dict[str, NDArray[Any]]: ...
    def save(self, path: _Path, weights: Mapping[str, Any]) -> None: ...
    @staticmethod
    def load(path: _Path) -> tuple[Model, dict[str, NDArray[Any]]]: ...

@final
class Optimizer:
    def __new__(
        cls,
        rule: str = "adam",
        learning_rate: float = 1e-3,
        *,
        weight_decay: float | None = None,
        momentum: float | None = None,
        nesterov: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> Optimizer: ...
    @property
    def rule(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def momentum(self) -> float | None: ...
    @property
    def nesterov(self) -> bool: ...
    @property
    def clip_norm(self) -> float | None: ...
    @property
    def clip_value(self) -> float | None: ...

@final
class Trainer:
    def __new__(
        cls,
        model: Model,
        optimizer: Optimizer | None = None,
        *,
        seed: int = 1,
        device: str = "auto",
        threads: int | None = None,
        dtype: str = "float32",
        micro_batch: int | None = None,
        recompute: bool = False,
        carry_state: bool = False,
        ema_decay: float | None = None,
        input_gradient: bool = False,
        memory: int | None = None,
        max_skipped_updates: int = 0,
        weights: Mapping[str, Any] | None = None,
    ) -> Trainer: ...
    def step(
        self,
        x: ArrayLike,
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial: _States | None = None,
        batch_first: bool = False,
    ) -> float: ...
    def loss(
        self,
        x: ArrayLike,
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial: _States | None = None,
        batch_first: bool = False,
    ) -> float: ...
    def accumulate(
        self,
        x: ArrayLike,
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial: _States | None = None,
        batch_first: bool = False,
    ) -> None: ...
    def update(self) -> float: ...
    def gradients(self) -> dict[str, NDArray[Any]]: ...
    def input_gradient(self, *, batch_first: bool = False) -> tuple[NDArray[Any] | None, _StatesOut]: ...
    def state_dict(self) -> dict[str, NDArray[Any]]: ...
    def load_state_dict(self, weights: Mapping[str, Any]) -> None: ...
    def predict(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        initial: _States | None = None,
        batch_first: bool = False,
        return_states: bool = False,
    ) -> Any: ...
    def flow(
        self,
        x: ArrayLike,
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial: _States | None = None,
        batch_first: bool = False,
    ) -> NDArray[np.float64]: ...
    def save(self, path: _Path) -> None: ...
    def set_learning_rate(self, learning_rate: float) -> None: ...
    def reset_state(self) -> None: ...
    def steps(self) -> int: ...
    @property
    def model(self) -> Model: ...
    @property
    def device(self) -> str: ...

@final
class Recurrent:
    def __new__(
        cls,
        model: Model,
        *,
        seed: int = 1,
        device: str = "auto",
        threads: int | None = None,
        dtype: str = "float32",
        weights: Mapping[str, Any] | None = None,
    ) -> Recurrent: ...
    def forward(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        initial: _States | None = None,
        batch_first: bool = False,
        dropout: tuple[int, int] | None = None,
    ) -> tuple[NDArray[Any], _StatesOut]: ...
    def backward(
        self,
        output: ArrayLike | None = None,
        *,
        h_n: ArrayLike | None = None,
        c_n: ArrayLike | None = None,
        batch_first: bool = False,
    ) -> tuple[NDArray[Any] | None, _StatesOut]: ...
    def gradients(self) -> dict[str, NDArray[Any]]: ...
    def clear_gradients(self) -> None: ...
    def state_dict(self) -> dict[str, NDArray[Any]]: ...
    def load_state_dict(self, weights: Mapping[str, Any]) -> None: ...
    @property
    def model(self) -> Model: ...
    @property
    def device(self) -> str: ...

def setting_names(data: str) -> list[tuple[str, list[str]]]: ...
def train(
    sections: str,
    out: _Path | None = None,
    resume: _Path | None = None,
    facts: Sequence[tuple[str, str]] = ...,
    progress: Callable[[str], object] | None = None,
) -> str: ...

@final
class TrainedModel:
    def __new__(cls, path: _Path) -> TrainedModel: ...
    @property
    def kind(self) -> str: ...
    @property
    def form(self) -> Model: ...
    def state_dict(self) -> dict[str, NDArray[np.float32]]: ...
    def forecast(
        self,
        file: _Path | None = None,
        rows: int | None = None,
        paths: int | None = None,
        device: str | None = None,
        threads: int | None = None,
    ) -> tuple[str, bytes, str]: ...
    def texts(self, names: Sequence[str]) -> list[bool]: ...
    def predict(self, sections: str | None = None, device: str | None = None, threads: int | None = None) -> bytes: ...
    def evaluate(
        self, sections: str | None = None, device: str | None = None, threads: int | None = None
    ) -> tuple[str, list[str]]: ...
