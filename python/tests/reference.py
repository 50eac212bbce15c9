"""The cells written out in NumPy, after the equations of PyTorch's documentation, and nothing else."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_step(x, h, c, w_ih, w_hh, b_ih, b_hh):
    i, f, g, o = np.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, c, w_ih, w_hh, b_ih, b_hh):
    (r, z, n), (hr, hz, hn) = np.split(x @ w_ih.T + b_ih, 3, axis=1), np.split(h @ w_hh.T + b_hh, 3, axis=1)
    r, z = sigmoid(r + hr), sigmoid(z + hz)
    return (1 - z) * np.tanh(n + r * hn) + z * h, c


def rnn_step(x, h, c, w_ih, w_hh, b_ih, b_hh):
    return np.tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh), c


STEPS = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}


def direction(cell, x, lengths, weights, h, c, reverse):
    """One layer in one direction: the output, 0 at padding, and each row's final h and c."""
    h, c, output = h.copy(), c.copy(), np.zeros((*x.shape[:2], h.shape[1]))
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        new_h, new_c = STEPS[cell](x[t], h, c, *weights)
        goes_on = (t < lengths)[:, None]
        h, c = np.where(goes_on, new_h, h), np.where(goes_on, new_c, c)
        output[t] = np.where(goes_on, h, 0)
    return output, h, c


def forward(cell, weights, x, lengths=None, h0=None, c0=None, prefix="rnn."):
    """Stacked layers, in both directions where there are weights for them. x is [T, B, I]."""
    lengths = np.full(x.shape[1], len(x)) if lengths is None else np.asarray(lengths)
    layers = sum(f"{prefix}weight_ih_l{layer}" in weights for layer in range(64))
    suffixes = ("", "_reverse") if f"{prefix}weight_ih_l0_reverse" in weights else ("",)
    size = weights[f"{prefix}weight_hh_l0"].shape[1]
    zeros = np.zeros((layers * len(suffixes), x.shape[1], size))
    h0, c0 = zeros if h0 is None else h0, zeros if c0 is None else c0
    hs, cs = [], []
    for layer in range(layers):
        outputs = []
        for number, suffix in enumerate(suffixes):
            of = layer * len(suffixes) + number
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            own = [np.asarray(weights[f"{prefix}{name}_l{layer}{suffix}"], float) for name in names]
            output, h, c = direction(cell, x, lengths, own, h0[of], c0[of], suffix == "_reverse")
            outputs.append(output), hs.append(h), cs.append(c)
        x = np.concatenate(outputs, axis=2)
    return x, np.stack(hs), np.stack(cs)


def slope(f, at, index, width=1e-6):
    """The central difference of f in one number of an array."""
    there, back = at.copy(), at.copy()
    there[index] += width
    back[index] -= width
    return (f(there) - f(back)) / (2 * width)
