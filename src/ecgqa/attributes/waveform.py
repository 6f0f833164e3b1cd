"""Attributes that the waveforms of a whole collection tell: six numeric features, heart axis, noise by lead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ecgqa.errors import EcgqaError
from ecgqa.executors import as_they_finish, leave_interrupts_to_parent, usable_processors
from ecgqa.progress import progress
from ecgqa.records import ATTRIBUTES, LEADS, AttributeType, Origin, Value

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.attributes.build import BuiltAttributes
    from ecgqa.signals.read import Ecg

METHODS: Final = ("released", "ecgqa")
MEASURED_TYPES: Final = (AttributeType.HEART_AXIS.value, AttributeType.NUMERIC_FEATURE.value)
CHUNK: Final = 32
"""Records that one task of a worker holds."""

Row = tuple[int, str, str, str | None, str, float | None, str | None, str]


class WaveformSource(Protocol):
    """The part of a source that waveform attributes need."""

    @property
    def root(self) -> Path: ...
    def present(self) -> frozenset[int]: ...


class Measured(NamedTuple):
    """What the waveforms of some records gave."""

    rows: list[Row]
    notes: Counter[str]
    n_records: int
    invalid: tuple[int, ...] = ()
    """ECGs with invalid samples (NaN) in some lead."""


def waveform_attributes(
    source: WaveformSource,
    records: pl.DataFrame,
    method: str = "released",
    executor: Executor | None = None,
    *,
    notes: Counter[str] | None = None,
    workers: int | None = None,
    invalid: set[int] | None = None,
    noises: Sequence[str] = (),
) -> pl.DataFrame:
    """Numeric features, heart axis and `noises` of `records` (RECORDS) from their waveforms, as ATTRIBUTES rows.

    An ECG whose lead II cannot be delineated has no numeric features, one of whose I, II or aVF has no measurable QRS
    no axis, one whose waveform is absent or damaged neither; each is counted in `notes`. A feature that no beat shows
    has the value unknown. Rows are ordered by ECG whatever the number of workers.

    Args:
        source: where the records are.
        records: ECGs to measure.
        method: "released" (single leads, wavelet; as behind the released questions) or "ecgqa" (twelve-lead consensus).
        executor: runs the measuring; its workers must see the records. Default: local processes.
        notes: counts of what could not be measured are added here.
        workers: local processes (default: one per usable processor).
        invalid: ids of ECGs that have invalid samples (NaN) in some lead are added here.
        noises: kinds of noise to look for in each lead; see `measured_noise.py`.

    Raises EcgqaError for an unknown method.
    """
    import polars as pl

    if method not in METHODS:
        raise EcgqaError(f"unknown method {method!r}", expected=" or ".join(METHODS))
    notes = Counter() if notes is None else notes
    there = source.present()
    wanted = records.select("ecg_id", "path").sort("ecg_id").rows()
    jobs = [(ecg_id, str(source.root / path)) for ecg_id, path in wanted if ecg_id in there]
    notes["waveform not there"] += len(wanted) - len(jobs)
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    rows: list[Row] = []
    with progress("waveforms", len(jobs), unit="ECGs") as advance:
        for measured in _run(chunks, partial(measure_records, method=method, noises=tuple(noises)), executor, workers):
            rows += measured.rows
            notes.update(measured.notes)
            if invalid is not None:
                invalid.update(measured.invalid)
            advance(measured.n_records)
    rows.sort(key=lambda row: row[0])  # stable: the rows of an ECG stay in their order
    return pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row")


def with_waveforms(
    built: BuiltAttributes,
    source: WaveformSource,
    records: pl.DataFrame,
    method: str,
    executor: Executor | None = None,
    *,
    noise: str = "auto",
) -> BuiltAttributes:
    """`built` with the axis and the numeric features of its ECGs measured, in place of any it had before.

    An axis that the metadata state stays. `noise`: which kinds of noise are measured, see `noises_to_measure`.

    Arguments and errors as for `waveform_attributes`; what could not be measured joins the notes. ECGs of
    MIMIC-IV-ECG that have invalid samples are left out, as they are from the released questions.
    """
    from dataclasses import replace

    import polars as pl

    from ecgqa.attributes.measured_noise import noises_to_measure, with_measured_noise

    notes = Counter(built.notes)
    mine = records.filter(pl.col("ecg_id").is_in(sorted(built.ecg_ids)))
    invalid: set[int] = set()
    noises = noises_to_measure(built, noise)
    measured = waveform_attributes(source, mine, method, executor, notes=notes, invalid=invalid, noises=noises)
    noisy = pl.col("attribute_type") == AttributeType.NOISE
    stated_rows = with_measured_noise(built.attributes, measured.filter(noisy), noises) if noises else built.attributes
    measured = measured.filter(~noisy)
    stated = (pl.col("attribute_type") == AttributeType.HEART_AXIS) & (pl.col("origin") == Origin.METADATA)
    has_axis = built.attributes.filter(stated)["ecg_id"].unique()
    replaced = pl.col("attribute_type").cast(pl.String).is_in(MEASURED_TYPES) & ~stated
    needed = (pl.col("attribute_type") != AttributeType.HEART_AXIS) | ~pl.col("ecg_id").is_in(has_axis.implode())
    attributes = pl.concat([stated_rows.filter(~replaced), measured.filter(needed)]).sort("ecg_id", maintain_order=True)
    ecg_ids = built.ecg_ids
    if invalid and built.vocabulary == "mimic-iv-ecg":
        notes["ECGs with invalid samples (NaN) are left out"] += len(invalid)
        ecg_ids = ecg_ids - invalid
        attributes = attributes.filter(~pl.col("ecg_id").is_in(sorted(invalid)))
    kept = {note: n for note, n in sorted(notes.items()) if n}
    asked = None if built.asked is None else (*built.asked, *noises)
    return replace(built, attributes=attributes, ecg_ids=ecg_ids, notes=kept, asked=asked)


def _run(
    chunks: list[list[tuple[int, str]]],
    measure: Callable[[list[tuple[int, str]]], Measured],
    executor: Executor | None,
    workers: int | None,
) -> Iterator[Measured]:
    if executor is not None:
        yield from as_they_finish(executor, measure, chunks)
        return
    n_workers = min(workers or usable_processors(), len(chunks))
    if n_workers <= 1 or len(chunks) <= 2:
        yield from (measure(chunk) for chunk in chunks)
        return
    import multiprocessing

    # A forked child of a process with threads (polars has some) may hang; a spawned one cannot.
    pool = ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn"), initializer=leave_interrupts_to_parent)
    try:
        yield from as_they_finish(pool, measure, chunks)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def measure_records(records: Iterable[tuple[int, str]], method: str, noises: Sequence[str] = ()) -> Measured:
    """Measure records given as (ecg_id, path without extension), one after the other."""
    from ecgqa.attributes.measured_noise import noise_rows
    from ecgqa.signals.read import read_ecg

    measure = {"released": measure_released, "ecgqa": measure_consensus}[method]
    rows: list[Row] = []
    notes: Counter[str] = Counter()
    n_records = 0
    invalid: list[int] = []
    for ecg_id, path in records:
        n_records += 1
        try:
            ecg = read_ecg(path, allow_missing_leads=True)
        except EcgqaError:
            notes["waveform could not be read"] += 1
            continue
        if any(flag.startswith("invalid:") for flag in ecg.flags):
            invalid.append(ecg_id)
        try:
            rows += measure(ecg_id, ecg, notes)
        except EcgqaError:  # a sampling rate at which nothing can be measured
            notes["waveform could not be measured"] += 1
        if noises:
            rows += noise_rows(ecg_id, ecg, noises)
    return Measured(rows, notes, n_records, tuple(invalid))


def measure_released(ecg_id: int, ecg: Ecg, notes: Counter[str]) -> list[Row]:
    """Rows of one ECG, measured as behind the released questions; what could not be measured is counted in `notes`."""
    from ecgqa.attributes.heart_axis import AXIS_LEADS, released_axis
    from ecgqa.attributes.numeric_features import released_features
    from ecgqa.signals.delineation.released import delineate_lead, exact_millivolts
    from ecgqa.signals.delineation.single_lead import Outcome

    millivolts = exact_millivolts(ecg)
    signal_of = {lead: millivolts[LEADS.index(lead)] for lead in AXIS_LEADS}
    leads = {lead: delineate_lead(signal, ecg.fs_hz) for lead, signal in signal_of.items()}
    rows: list[Row] = []
    if leads["II"].outcome is Outcome.DELINEATED:
        rows += _feature_rows(ecg_id, released_features(leads["II"]), notes)
    else:
        notes[f"no numeric features: lead II {leads['II'].outcome}"] += 1
    axis = released_axis(signal_of, leads)
    return rows + _axis_rows(ecg_id, axis, notes)


def measure_consensus(ecg_id: int, ecg: Ecg, notes: Counter[str]) -> list[Row]:
    """Rows of one ECG, measured on what its twelve leads say together; counts in `notes` as `measure_released`."""
    from ecgqa.attributes.heart_axis import consensus_axis
    from ecgqa.attributes.numeric_features import consensus_features
    from ecgqa.signals.delineation import delineate

    delineation = delineate(ecg, method="ecgqa", edge_waves=True)  # medians over few beats: each one counts
    rows: list[Row] = []
    if delineation.n_beats:
        rows += _feature_rows(ecg_id, consensus_features(delineation), notes)
    else:
        notes["no numeric features: no beats found"] += 1
    return rows + _axis_rows(ecg_id, consensus_axis(ecg.millivolts(), delineation), notes)


def _feature_rows(ecg_id: int, features: dict[str, float], notes: Counter[str]) -> list[Row]:
    from ecgqa.attributes.numeric_features import value_of

    rows: list[Row] = []
    for feature, seconds in features.items():
        value = value_of(feature, seconds)
        if value is Value.UNKNOWN:
            notes[f"{feature} not measurable"] += 1
        number = None if value is Value.UNKNOWN else seconds
        rows.append((ecg_id, AttributeType.NUMERIC_FEATURE, feature, None, value, number, "s", Origin.WAVEFORM))
    return rows


def _axis_rows(ecg_id: int, axis: tuple[str, float] | None, notes: Counter[str]) -> list[Row]:
    if axis is None:
        notes["heart axis not measurable"] += 1
        return []
    name, degrees = axis
    return [(ecg_id, AttributeType.HEART_AXIS, name, None, Value.YES, degrees, "deg", Origin.WAVEFORM)]
