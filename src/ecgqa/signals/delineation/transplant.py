"""Gives the beats of one annotated ECG the QRS complexes and T waves of another, after its own P waves.

Few annotated ECGs have wide complexes, and most of those no P waves; a network that sees only these takes the one for
the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MARGIN: Final = 4
"""Samples (8 ms) beyond QRS onset and T offset that belong to the piece."""
LONGEST: Final = 360
"""Samples (720 ms): a piece that takes longer holds no single beat."""
WIDE: Final = 70
"""Samples (140 ms): complexes wider than this in all leads together are rare, and are chosen half of the time."""
FREE: Final = 6
"""Samples that stay free before the next wave."""


@dataclass(frozen=True, eq=False)
class Beat:
    """QRS onset to T offset of one beat, all leads."""

    lifted: npt.NDArray[np.float32]
    """(12, n) millivolts minus the line from first to last sample."""
    labels: npt.NDArray[np.int8]
    """(12, n)"""

    @property
    def qrs_samples(self) -> int:
        """From the first QRS onset in any lead to the last offset."""
        return int((self.labels == 2).any(axis=0).sum())


def beats_of(millivolts: npt.NDArray[np.float32], labels: npt.NDArray[np.int8]) -> list[Beat]:
    """Every beat whose QRS complex and T wave are annotated in all leads."""
    found = []
    for first, last in _qrs_to_t(labels):
        begin, end = max(first - MARGIN, 0), min(last + MARGIN, labels.shape[1])
        piece, marks = millivolts[:, begin:end], labels[:, begin:end].copy()
        complete = [bool((marks == label).any(axis=1).all()) for label in (2, 3)]
        if all(complete) and (marks >= 0).all():
            marks[marks == 1] = 0
            found.append(Beat(piece - _line(piece), marks))
    return found


def transplanted(
    millivolts: npt.NDArray[np.float32], labels: npt.NDArray[np.int8], donors: Sequence[Beat], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """The same ECG with every QRS complex and T wave that has the room for it replaced by those of a donor."""
    signal, marks = millivolts.copy(), labels.copy()
    wide = [donor for donor in donors if donor.qrs_samples > WIDE]
    choice = wide if wide and rng.random() < 0.5 else donors
    donor = choice[int(rng.integers(len(choice)))]
    n = labels.shape[1]
    anything: npt.NDArray[np.bool_] = np.any(labels > 0, axis=0)
    for first, last in _qrs_to_t(labels):
        begin, end = max(first - MARGIN, 0), min(last + MARGIN, n)
        length = donor.lifted.shape[1]
        stop = max(end, begin + length)
        if stop >= n or anything[end + 1 : stop + FREE].any() or (labels[:, begin:stop] == 1).any():
            continue
        signal[:, begin:stop] = _line(signal[:, begin:stop])
        signal[:, begin : begin + length] += donor.lifted
        marks[:, begin:stop] = 0
        marks[:, begin : begin + length] = donor.labels
    return signal, marks


def _line(piece: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    share = np.linspace(0, 1, piece.shape[1], dtype=np.float32)
    return piece[:, :1] + (piece[:, -1:] - piece[:, :1]) * share


def _qrs_to_t(labels: npt.NDArray[np.int8]) -> list[tuple[int, int]]:
    """First sample of each QRS complex in any lead and one past the last of the T wave after it."""
    starts = np.flatnonzero(np.diff((labels == 2).any(axis=0).astype(np.int8)) == 1) + 1
    is_t = (labels == 3).any(axis=0)
    found = []
    for i, start in enumerate(starts):
        limit = min(int(starts[i + 1]) if i + 1 < len(starts) else labels.shape[1], int(start) + LONGEST)
        t = np.flatnonzero(is_t[start:limit])
        if t.size:
            found.append((int(start), int(start + t[-1] + 1)))
    return found
