"""Where views look an ECG's signal up: in a store, or among ECGs in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ecgqa.signals.read import Ecg
    from ecgqa.store import Store


class Signals(Protocol):
    """ECGs by row."""

    @property
    def digest(self) -> str:
        """Of what the signals are."""

    def ecg(self, row: int) -> tuple[NDArray[np.float32], float]:
        """Millivolts (12, n_samples), NaN where there is no valid sample, and sampling rate in Hz."""


class StoreSignals:
    """The signals of a store."""

    def __init__(self, store: Store) -> None:
        from ecgqa.artefacts import digest_of

        self._store, self.digest = store, digest_of(store.manifest.get("inputs"))

    def ecg(self, row: int) -> tuple[NDArray[np.float32], float]:
        ecg = self._store.ecg_at(row)
        return ecg.millivolts(), ecg.fs_hz


class GivenSignals:
    """ECGs in memory; row i is the i-th of them."""

    def __init__(self, ecgs: Sequence[Ecg]) -> None:
        from ecgqa.artefacts import digest_of

        self._ecgs = list(ecgs)
        self.digest = digest_of([ecg.digital.tobytes().hex() for ecg in self._ecgs])

    def ecg(self, row: int) -> tuple[NDArray[np.float32], float]:
        return self._ecgs[row].millivolts(), self._ecgs[row].fs_hz
