"""PyTorch's modules as models, and back. It imports torch, which nothing else of the package does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ._bptt import Cell, Head, Model

__all__ = ["from_module", "load_into", "to_module"]


def from_module(
    recurrent: nn.RNNBase, linear: nn.Linear | None = None, *, loss: str | None = None, **head: Any
) -> tuple[Model, dict[str, np.ndarray]]:
    """The model of an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, and its weights. With an ``nn.Linear`` behind it, the
    model has a head with this loss, the squared error by default; ``head`` are further settings of `Head`, such as
    ``readout="every"``. The arrays are copies: neither PyTorch's training changes them nor they the module. Those of
    bfloat16 are float32.

    ``readout="last"``, the default, reads the final state: ``output[-1]`` of a module in one direction, and
    ``torch.cat([h_n[-2], h_n[-1]], 1)`` of a bidirectional one, whose reverse direction ends at the first step. A module
    whose head reads ``output[-1]`` of both directions is another function.

    >>> model, weights = from_module(net.lstm, net.fc, loss="cross-entropy")
    >>> trainer = bptt.Trainer(model, weights=weights)
    """
    cells = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn"}
    name = next((name for kind, name in cells.items() if isinstance(recurrent, kind)), None)
    if name is None:
        raise TypeError(f"expected an nn.LSTM, nn.GRU or nn.RNN, got {type(recurrent).__name__}")
    if linear is None and (head or loss is not None):
        names = ", ".join([*([] if loss is None else ["loss"]), *head])
        raise ValueError(f"{names}: expected an nn.Linear too, since a model without one has no head")
    cell = Cell("rnn", recurrent.nonlinearity) if isinstance(recurrent, nn.RNN) else Cell(name)
    model = Model(
        cell,
        recurrent.input_size,
        recurrent.hidden_size,
        None if linear is None else Head(linear.out_features, loss or "squared-error", **head),
        layers=recurrent.num_layers,
        direction="both" if recurrent.bidirectional else "forward",
        bias=recurrent.bias,
        dropout=recurrent.dropout,
        proj_size=recurrent.proj_size or None,
    )
    tensors = {f"rnn.{name}": tensor for name, tensor in recurrent.state_dict().items()}
    if linear is not None:
        if linear.in_features != model.output_size:
            raise ValueError(f"linear: expected {model.output_size} inputs, got {linear.in_features}")
        if linear.bias is None:
            raise ValueError("linear: expected a bias, which the head has, got bias=False")
        tensors |= {f"head.{name}": tensor for name, tensor in linear.state_dict().items()}
    return model, {name: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A copy. NumPy has no bfloat16, nor other short types of PyTorch; float32 has all of their numbers."""
    tensor = tensor.detach().cpu()
    return np.array(tensor.numpy() if tensor.dtype in (torch.float32, torch.float64) else tensor.float().numpy())


def to_module(model: Model, weights: Mapping[str, Any]) -> tuple[nn.RNNBase, nn.Linear | None]:
    """The PyTorch module of a model, which reads rows as [T, B, I], and the linear layer of its head."""
    if model.direction == "reverse":
        raise ValueError("direction: PyTorch's modules read forward or in both directions, got reverse")
    if model.vocabulary is not None or model.recurrent_dropout:
        raise ValueError("expected a model without an embedding and recurrent dropout, which PyTorch's modules lack")
    sizes = (model.input_size, model.hidden_size, model.layers)
    more = dict(bias=model.bias, dropout=model.dropout, bidirectional=model.direction == "both")
    recurrent: nn.RNNBase
    if model.cell.name == "rnn":
        activation = model.cell.activation
        if activation not in ("tanh", "relu"):
            raise ValueError(f"activation: PyTorch's nn.RNN has tanh and relu, got {activation}")
        recurrent = nn.RNN(*sizes, nonlinearity=activation, **more)
    elif model.cell.name == "gru":
        recurrent = nn.GRU(*sizes, **more)
    else:
        recurrent = nn.LSTM(*sizes, proj_size=model.proj_size or 0, **more)
    linear = None if model.head is None else nn.Linear(model.output_size, model.head.outputs)
    load_into(weights, recurrent, linear)
    return recurrent, linear


def load_into(weights: Mapping[str, Any], recurrent: nn.RNNBase, linear: nn.Linear | None = None) -> None:
    """Loads weights into modules of the same form, with ``strict=True``. Without ``linear``, those of the head are left
    out.

    A head of ``readout="last"`` reads ``output[-1]``, or ``torch.cat([h_n[-2], h_n[-1]], 1)`` of both directions.
    """
    for name in weights:
        if not name.startswith(("rnn.", "head.")):
            raise ValueError(f"{name}: expected names that begin with rnn. or head., which the modules have; leave it out")
    for prefix, module in (("rnn.", recurrent), ("head.", linear)):
        if module is not None:
            own = {name.removeprefix(prefix): it for name, it in weights.items() if name.startswith(prefix)}
            tensors = {name: torch.from_numpy(np.array(it)) for name, it in own.items()}
            module.load_state_dict(tensors, strict=True)
