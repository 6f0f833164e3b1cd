"""The wave network: for each lead and moment, how likely it belongs to a P wave, a QRS complex, a T wave or none.

A convolutional network (about 100,000 parameters) run with matrix products alone. Every lead passes the same small
encoder, the leads that are present are pooled, a dilated trunk looks at the rhythm, and every lead is decoded with
what the trunk says; it therefore takes any number of leads. `fit.py` holds the same network for training and tells
where the parameters come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

PARAMETER_FILE: Final = "wave_network.npz"
BLOCK: Final = 8
"""The length of the input must be a multiple of this (the coarsest stage sees one eighth of the samples)."""
DILATIONS: Final = (1, 2, 4, 2)


@dataclass(frozen=True, eq=False)
class Layer:
    """weight (kernel x inputs, outputs) and bias (outputs,) of one convolution."""

    weight: Array
    bias: Array


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
    """(n_leads, T) from `network_input`, T a multiple of `BLOCK` -> (n_leads, T, 4): none, P, QRS, T; sums to 1."""
    n_leads, length = signal.shape
    e1 = _convolved(signal[:, :, None], layers["e1"], kernel=16, stride=2, padding=7)
    e2 = _convolved(e1, layers["e2"], kernel=4, stride=2, padding=1)
    e3 = _convolved(e2, layers["e3"], kernel=4, stride=2, padding=1)
    h = np.concatenate((e3.mean(axis=0), e3.max(axis=0)), axis=1)
    h = _dense(h, layers["inward"], rectify=True)
    for i, dilation in enumerate(DILATIONS):
        h += _dilated(h, layers[f"trunk{i}"], dilation)
    d3 = _dense(e3, layers["d3"])
    d3 += _dense(h, layers["outward"])
    np.maximum(d3, 0, out=d3)
    e2 += _dense(d3, layers["up3"]).reshape(e2.shape)
    d2 = _convolved(e2, layers["d2"], kernel=3, stride=1, padding=1)
    e1 += _dense(d2, layers["up2"]).reshape(e1.shape)
    d1 = _convolved(e1, layers["d1"], kernel=3, stride=1, padding=1)
    logits = _convolved(d1, layers["out"], kernel=3, stride=1, padding=1, rectify=False)
    return _softmax(logits.reshape(n_leads, length, 4))


def _dense(x: Array, layer: Layer, rectify: bool = False) -> Array:
    out: Array = np.matmul(x, layer.weight)
    out += layer.bias
    return np.maximum(out, 0, out=out) if rectify else out


def _convolved(x: Array, layer: Layer, kernel: int, stride: int, padding: int, rectify: bool = True) -> Array:
    """(n, T, C) -> (n, T / stride, outputs), zeros beyond both ends."""
    n, length, channels = x.shape
    padded = np.zeros((n, length + 2 * padding, channels), dtype=np.float32)
    padded[:, padding : padding + length] = x
    step = padded.strides[1]
    windows = np.lib.stride_tricks.as_strided(
        padded,
        (n, (length + 2 * padding - kernel) // stride + 1, kernel * channels),
        (padded.strides[0], stride * step, step // channels),
        writeable=False,
    )
    return _dense(np.ascontiguousarray(windows), layer, rectify)


def _dilated(x: Array, layer: Layer, dilation: int) -> Array:
    """(T, C) -> (T, outputs): kernel of 5 samples `dilation` apart, rectified."""
    length, channels = x.shape
    padded = np.zeros((length + 4 * dilation, channels), dtype=np.float32)
    padded[2 * dilation : 2 * dilation + length] = x
    windows = np.concatenate([padded[i * dilation : i * dilation + length] for i in range(5)], axis=1)
    return _dense(windows, layer, rectify=True)


def _softmax(logits: Array) -> Array:
    # Logits of this network stay far below the range of exp in float32; clipping guards against absurd input.
    np.clip(logits, -30.0, 30.0, out=logits)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=2, keepdims=True)
    return logits
