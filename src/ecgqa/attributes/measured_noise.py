"""Noise by lead from the waveform, for sources that do not say where their recordings are noisy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.ptbxl import NOISE_COLUMNS
from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS, AttributeType, Origin, Value

if TYPE_CHECKING:
    from ecgqa.attributes.build import BuiltAttributes
    from ecgqa.signals.read import Ecg

CHOICES: Final = ("auto", "waveform", "stated")
_OWN_DRIFT: Final = "baseline wander"
"""MIMIC-IV-ECG's own word for the one kind of noise that its statements tell."""

_NOISE: Final = pl.col("attribute_type") == AttributeType.NOISE
_SUMMARY: Final = _NOISE & (pl.col("attribute") == names.ANY_NOISE)


def noises_to_measure(built: BuiltAttributes, choice: str) -> tuple[str, ...]:
    """Kinds of noise that the waveform has to tell.

    "auto": those that `built` states of no ECG at all, "waveform": also those that it states (but for the baseline
    wander of machine statements), "stated": none. Raises EcgqaError for another choice.
    """
    if choice not in CHOICES:
        raise EcgqaError(f"no choice {choice!r} for noise", expected=", ".join(CHOICES))
    kinds = tuple(NOISE_COLUMNS.values())
    if _OWN_DRIFT in names.VOCABULARIES[built.vocabulary]().noises:
        kinds = tuple(kind for kind in kinds if kind != "baseline drift")
        stated = False
    else:
        stated = not built.attributes.filter(_SUMMARY).is_empty()
    return () if choice == "stated" or (choice == "auto" and stated) else kinds


def noise_rows(
    ecg_id: int, ecg: Ecg, noises: Sequence[str]
) -> list[tuple[int, str, str, str | None, str, float | None, str | None, str]]:
    """Attribute rows: the leads that show each of `noises`, with the size of it, and whether there is any.

    A lead that the file does not have has no noise; one without contact has electrode problems.
    """
    from ecgqa.signals.quality import signal_quality

    quality = signal_quality(ecg)
    size = {"baseline_drift": quality.drift_mv, "static_noise": quality.noise_mv, "burst_noise": quality.burst_mv}
    found = [
        (NOISE_COLUMNS[kind], lead, float(size[kind][LEADS.index(lead)]) if kind in size else None)
        for kind, leads in quality.found().items()
        for lead in leads
        if NOISE_COLUMNS[kind] in noises and f"missing:{lead}" not in ecg.flags
    ]
    noise, origin = AttributeType.NOISE.value, Origin.WAVEFORM.value
    seen = Value.YES if found else Value.NO
    return [
        *((ecg_id, noise, name, lead, "yes", mv, None if mv is None else "mV", origin) for name, lead, mv in found),
        (ecg_id, noise, names.ANY_NOISE, None, seen.value, None, None, origin),
    ]


def with_measured_noise(stated: pl.DataFrame, measured: pl.DataFrame, noises: Sequence[str]) -> pl.DataFrame:
    """ATTRIBUTES `stated` with the noise rows of `measured` in place of theirs; kinds not in `noises` stay.

    Where some kinds stay, an ECG has noise if either says so, and is unknown where nothing is stated.
    """
    if set(noises) == set(NOISE_COLUMNS.values()):
        return pl.concat([stated.filter(~(_NOISE & pl.col("ecg_id").is_in(measured["ecg_id"].implode()))), measured])
    noisy = measured.filter(pl.col("lead").is_not_null())
    kept = stated.filter(~(_NOISE & pl.col("attribute").is_in(list(noises))))
    now = _SUMMARY & (pl.col("value") == Value.NO) & pl.col("ecg_id").is_in(noisy["ecg_id"].unique().implode())
    kept = kept.with_columns(
        pl.when(now).then(pl.lit(word)).otherwise(pl.col(name).cast(pl.String)).cast(stated.schema[name]).alias(name)
        for name, word in (("value", Value.YES.value), ("origin", Origin.WAVEFORM.value))
    )
    return pl.concat([kept, noisy])
