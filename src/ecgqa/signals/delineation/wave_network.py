"""The wave network: for each lead and moment, how likely it belongs to a P wave, a QRS complex, a T wave or none.

A convolutional network (about 100,000 parameters) run with matrix products alone. Every lead passes the same small
encoder, the leads that are present are pooled, a dilated trunk looks at the rhythm, and every lead is decoded with
what the trunk says; it therefore takes any number of leads. `fit.py` holds the same network for training and tells
where the parameters come from.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

PARAMETER_FILE: Final = "wave_network.npz"
BLOCK: Final = 8
"""Inputs are filled up to a multiple of this: the coarsest stage has one eighth of the samples."""
LONGEST_PIECE: Final = 6400
"""Samples (64 s) that are worked off at once; their working memory is kept for the next call."""
SURROUNDINGS: Final = 400
"""Samples before and after a piece that are shown with it: more than the network looks to either side."""
DILATIONS: Final = (1, 2, 4, 2)


@dataclass(frozen=True, eq=False)
class Layer:
    """weight (kernel x inputs, outputs) and bias (outputs,) of one convolution."""

    weight: Array
    bias: Array
    with_bias: Array = field(init=False)
    """(kernel x inputs + 1, outputs): the bias as a last row, for inputs that end with a one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "with_bias", np.concatenate((self.weight, self.bias[None])))


@cache
def shipped_layers() -> dict[str, Layer]:
    """The parameters that come with the package."""
    with (
        resources.files("ecgqa.signals.delineation").joinpath(PARAMETER_FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        return layers_of({name: stored[name] for name in stored.files if name != "provenance"})


def layers_of(arrays: dict[str, npt.NDArray[np.floating]]) -> dict[str, Layer]:
    """Layers by name from `NAME_weight` and `NAME_bias` arrays."""
    names = [name.removesuffix("_weight") for name in arrays if name.endswith("_weight")]
    layers = {}
    for name in names:
        weight = np.ascontiguousarray(arrays[f"{name}_weight"], dtype=np.float32)
        layers[name] = Layer(weight, np.ascontiguousarray(arrays[f"{name}_bias"], dtype=np.float32))
    return layers


def wave_probabilities(signal: Array, layers: dict[str, Layer]) -> Array:
    """(n_leads, T) from `network_input` -> (n_leads, T, 4): none, P, QRS, T; sums to 1.

    Long inputs are worked off in pieces, each seen with what surrounds it. The result may lie in memory that this
    thread's next call writes over.
    """
    n_leads, length = signal.shape
    if length <= LONGEST_PIECE:
        return _in_one_piece(signal, layers)
    out = np.empty((n_leads, length, 4), dtype=np.float32)
    inner = LONGEST_PIECE - 2 * SURROUNDINGS
    for start in range(0, length, inner):
        first, last = max(start - SURROUNDINGS, 0), min(start + inner + SURROUNDINGS, length)
        end = min(start + inner, length)
        out[:, start:end] = _in_one_piece(signal[:, first:last], layers)[:, start - first : end - first]
    return out


def _in_one_piece(signal: Array, layers: dict[str, Layer]) -> Array:
    n_leads, given = signal.shape
    length = -(-given // BLOCK) * BLOCK
    space = _space(n_leads, length)
    x = space.padded("x", length, 1, 7)
    x[:, 7 : 7 + given, 0] = signal
    x[:, 7 + given :] = 0.0
    e1 = space.convolved(x, layers["e1"], 16, stride=2, into=("e1", 1))
    e2 = space.convolved(e1, layers["e2"], 4, stride=2, into=("e2", 1))
    e3 = space.convolved(e2, layers["e3"], 4, stride=2, into=("e3", 0))
    h = np.concatenate((e3.mean(axis=0), e3.max(axis=0)), axis=1)
    h = _rectify(h @ layers["inward"].weight + layers["inward"].bias)
    for i, dilation in enumerate(DILATIONS):
        h += space.dilated(f"trunk{i}", h, layers[f"trunk{i}"], dilation)
    d3 = space.product("d3", e3, layers["d3"])
    d3 += h @ layers["outward"].weight
    _rectify(d3)
    inner = e2[:, 1:-1]
    inner += space.product("up3", d3, layers["up3"]).reshape(inner.shape)
    d2 = space.convolved(e2, layers["d2"], 3, into=("d2", 0))
    inner = e1[:, 1:-1]
    inner += space.product("up2", d2, layers["up2"]).reshape(inner.shape)
    d1 = space.convolved(e1, layers["d1"], 3, into=("d1", 1))
    logits = space.convolved(d1, layers["out"], 3, into=("out", 0), rectify=False)
    return _softmax(logits.reshape(n_leads, length, 4))[:, :given]


class _Space:
    """The arrays of one pass, kept for the next: giving a few MB back and asking for them again costs a third more."""

    def __init__(self, n_leads: int, length: int) -> None:
        self.shape = n_leads, length
        self._arrays: dict[str, Array] = {}
        self._scratch = np.empty(0, dtype=np.float32)

    def padded(self, name: str, length: int, channels: int, padding: int) -> Array:
        """(n_leads, length + 2 padding, channels), zero at both ends as long as only the inside is written."""
        if name not in self._arrays:
            self._arrays[name] = np.zeros((self.shape[0], length + 2 * padding, channels), dtype=np.float32)
        return self._arrays[name]

    def product(self, name: str, x: Array, layer: Layer) -> Array:
        """(n, T, C) by (C, outputs), not rectified."""
        out = np.matmul(x, layer.weight, out=self.padded(name, x.shape[1], layer.weight.shape[1], 0))
        out += layer.bias
        return out

    def convolved(
        self, x: Array, layer: Layer, kernel: int, *, into: tuple[str, int], stride: int = 1, rectify: bool = True
    ) -> Array:
        """Convolution of (n, T, C) without more padding, written inside an array padded as `into` = name, padding."""
        n, length, channels = x.shape
        n_out = (length - kernel) // stride + 1
        width = kernel * channels + 1
        size = n * n_out * width
        if self._scratch.size < size:
            self._scratch = np.empty(size, dtype=np.float32)
        windows = self._scratch[:size].reshape(n, n_out, width)
        strides = (x.strides[0], stride * x.strides[1], x.strides[2])
        shape = (n, n_out, width - 1)
        windows[..., :-1] = np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)
        windows[..., -1] = 1.0  # meets the bias
        name, padding = into
        whole = self.padded(name, n_out, layer.weight.shape[1], padding)
        inside = whole[:, padding : padding + n_out]
        np.matmul(windows, layer.with_bias, out=inside)
        if rectify:
            _rectify(inside)
        return whole

    def dilated(self, name: str, x: Array, layer: Layer, dilation: int) -> Array:
        """(T, C) -> (T, outputs): kernel of 5 samples `dilation` apart, zeros beyond both ends, rectified."""
        length, channels = x.shape
        windows = self._arrays.get(name)
        if windows is None:
            windows = self._arrays[name] = np.zeros((length, 5 * channels + 1), dtype=np.float32)
            windows[:, -1] = 1.0
        for tap in range(5):
            shift = (tap - 2) * dilation
            inside = slice(max(-shift, 0), max(length - max(shift, 0), 0))
            windows[inside, tap * channels : (tap + 1) * channels] = x[max(shift, 0) : max(length + min(shift, 0), 0)]
        out: Array = windows @ layer.with_bias
        return _rectify(out)


_kept = threading.local()


def _space(n_leads: int, length: int) -> _Space:
    space: _Space | None = getattr(_kept, "space", None)
    if space is None or space.shape != (n_leads, length):
        space = _Space(n_leads, length)
        _kept.space = space
    return space


def _rectify(x: Array) -> Array:
    """In place; np.maximum with a number takes almost three times as long."""
    return np.clip(x, 0.0, np.inf, out=x)


_ONES: Final = np.ones((4, 4), dtype=np.float32)


def _softmax(logits: Array) -> Array:
    # Logits of this network stay far below the range of exp in float32; clipping guards against absurd input.
    np.clip(logits, -30.0, 30.0, out=logits)
    np.exp(logits, out=logits)
    logits /= logits @ _ONES  # every row's sum, four times: quicker than a sum over so short an axis
    return logits
