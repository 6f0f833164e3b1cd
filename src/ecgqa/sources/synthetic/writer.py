"""The cohort on disk, in PTB-XL's own layout: WFDB records, ptbxl_database.csv, scp_statements.csv, and the truth."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.artefacts import artefact_folder, write_text
from ecgqa.errors import EcgqaError
from ecgqa.executors import leave_interrupts_to_parent, usable_processors
from ecgqa.progress import progress
from ecgqa.records import ATTRIBUTES, LEADS
from ecgqa.sources.synthetic.patients import RecordPlan, plan_patient
from ecgqa.sources.synthetic.record import GAIN_PER_MV, MadeRecord, make_record
from ecgqa.sources.synthetic.statements import statements_csv
from ecgqa.tables import write_table

KIND: Final = "synthetic-cohort"
MODEL_VERSION: Final = 1
"""Raised whenever the same seed gives other bytes."""

_CHUNK: Final = 32
_BYTES_PER_RECORD: Final = 130_000
_DEVICES: Final = ("simulator A", "simulator B", "simulator C")
_WFDB_LEADS: Final = tuple(lead.upper() if lead.startswith("a") else lead for lead in LEADS)

Numbered = tuple[int, RecordPlan]
Rows = tuple[dict[str, Any], list[tuple[Any, ...]], dict[str, Any]]


def write_cohort(
    dest: str | Path,
    *,
    n_patients: int = 1500,
    seed: int = 0,
    workers: int | None = None,
    records100: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a synthetic cohort to the folder `dest` and return it; an equal finished cohort is left as it is.

    Args:
        dest: folder to make. It appears whole or not at all.
        n_patients: patients; each has one to five records, about 1.6 on average.
        seed: everything follows from it. The same seed and number of patients give the same bytes with any `workers`.
        workers: processes; None takes the processors of this machine.
        records100: also write records100/ (100 Hz), as PTB-XL does.
        overwrite: replace a cohort made with other settings.

    Raises EcgqaError for numbers out of range, a full disk, or a folder that is not ours.
    """
    if not 1 <= n_patients <= 60_000:
        raise EcgqaError(f"{n_patients} patients cannot be made", expected="1 to 60000 (ECG ids have five digits)")
    if seed < 0:
        raise EcgqaError(f"seed {seed} is negative", expected="a whole number from 0")
    if workers is not None and workers < 1:
        raise EcgqaError(f"{workers} worker processes make nothing", expected="1 or more")
    config = {"n_patients": n_patients, "seed": seed, "records100": records100, "model_version": MODEL_VERSION}
    with artefact_folder(dest, kind=KIND, inputs={}, config=config, overwrite=overwrite) as draft:
        if draft.complete:
            return Path(dest)
        plans = number_records([plan for patient in range(1, n_patients + 1) for plan in plan_patient(seed, patient)])
        _check_space(draft.path, len(plans), records100)
        for folder in sorted({Path(_file_name(ecg_id, rate)).parent for ecg_id, _ in plans for rate in (500, 100)}):
            if records100 or folder.parts[0] == "records500":
                (draft.path / folder).mkdir(parents=True)
        rows: list[Rows] = []
        with progress("synthetic ECGs", len(plans), unit="records") as advance:
            for part in _parts(draft.path, seed, plans, workers, records100):
                rows += part
                advance(len(part))
        rows.sort(key=lambda row: row[0]["ecg_id"])
        _write_tables(draft.path, rows)
        draft.counts = {"patients": n_patients, "records": len(plans)}
    return Path(dest)


def number_records(plans: list[RecordPlan]) -> list[Numbered]:
    """Plans with their ECG ids: 1, 2, … by date, so that within a patient ids follow the dates."""
    ordered = sorted(plans, key=lambda plan: (plan.recorded_at, plan.patient_id, plan.number))
    return list(enumerate(ordered, start=1))


def _check_space(folder: Path, n_records: int, records100: bool) -> None:
    needed = int(n_records * _BYTES_PER_RECORD * (1.2 if records100 else 1.0))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EcgqaError(
            f"not enough room for {n_records} records below {folder.parent}",
            expected=f"{needed / 1e6:.0f} MB free",
            found=f"{free / 1e6:.0f} MB",
            fix="free some space, choose another destination, or fewer patients",
        )


def _parts(root: Path, seed: int, plans: list[Numbered], workers: int | None, records100: bool) -> Iterator[list[Rows]]:
    """Write the records in chunks, here or in worker processes, and yield the table rows as chunks are finished."""
    chunks = [plans[start : start + _CHUNK] for start in range(0, len(plans), _CHUNK)]
    count = min(workers or usable_processors(), len(chunks))
    if count <= 1:
        for chunk in chunks:
            yield _write_chunk(root, seed, chunk, records100)
        return
    executor = ProcessPoolExecutor(count, initializer=leave_interrupts_to_parent)
    try:
        waiting: set[Future[list[Rows]]] = {
            executor.submit(_write_chunk, root, seed, chunk, records100) for chunk in chunks
        }
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _write_chunk(root: Path, seed: int, chunk: list[Numbered], records100: bool) -> list[Rows]:
    rows = []
    for ecg_id, plan in chunk:
        made = make_record(seed, plan)
        write_wfdb(root / _file_name(ecg_id, 500), made.digital, 500)
        if records100:
            write_wfdb(root / _file_name(ecg_id, 100), _at_100_hz(made.digital), 100)
        rows.append(_rows(ecg_id, plan, made, seed))
    return rows


def write_wfdb(path: Path, digital: NDArray[np.int16], fs_hz: int) -> None:
    """Write `path`.dat (format 16, interleaved, little-endian) and `path`.hea with initial values and checksums."""
    n_leads, n_samples = digital.shape
    name = path.name
    lines = [f"{name} {n_leads} {fs_hz} {n_samples}"]
    checksums = digital.sum(axis=1, dtype=np.int64) & 0xFFFF
    for lead, first, checksum in zip(_WFDB_LEADS, digital[:, 0].tolist(), checksums.tolist(), strict=True):
        lines.append(f"{name}.dat 16 {GAIN_PER_MV:.1f}(0)/mV 16 0 {first} {checksum} 0 {lead}")
    path.with_name(f"{name}.dat").write_bytes(np.ascontiguousarray(digital.T, dtype="<i2").tobytes())
    path.with_name(f"{name}.hea").write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _at_100_hz(digital: NDArray[np.int16]) -> NDArray[np.int16]:
    from scipy.signal import resample_poly

    slow = resample_poly(digital.astype(np.float64), 1, 5, axis=1)
    return np.asarray(np.clip(np.rint(slow), -32767, 32767), dtype=np.int16)


def _file_name(ecg_id: int, fs_hz: int) -> str:
    suffix = "hr" if fs_hz == 500 else "lr"
    return f"records{fs_hz}/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_{suffix}"


def _rows(ecg_id: int, plan: RecordPlan, made: MadeRecord, seed: int) -> Rows:
    rng = np.random.default_rng([seed, plan.patient_id, 6])  # per patient: he is seen at one place
    site, nurse, device = int(rng.integers(0, 5)), int(rng.integers(0, 12)), _DEVICES[int(rng.integers(3))]
    seen = made.metadata
    row = {
        "ecg_id": ecg_id,
        "patient_id": float(plan.patient_id),
        "age": float(int(plan.age)),
        "sex": 0 if plan.male else 1,
        "height": None if plan.height_cm is None else float(plan.height_cm),
        "weight": None if plan.weight_kg is None else float(plan.weight_kg),
        "nurse": float(nurse),
        "site": float(site),
        "device": device,
        "recording_date": plan.recorded_at.strftime("%Y-%m-%d %H:%M:%S"),
        "report": seen["report"],
        "scp_codes": seen["scp_codes"],
        "heart_axis": seen["heart_axis"],
        "infarction_stadium1": seen["infarction_stadium1"],
        "infarction_stadium2": seen["infarction_stadium2"],
        "validated_by": 0.0,
        "second_opinion": "False",
        "initial_autogenerated_report": "False",
        "validated_by_human": "True",
        **{name: seen[name] for name in ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")},
        "extra_beats": seen["extra_beats"],
        "pacemaker": seen["pacemaker"],
        "strat_fold": plan.strat_fold,
        "filename_lr": _file_name(ecg_id, 100),
        "filename_hr": _file_name(ecg_id, 500),
    }
    attributes = [
        (ecg_id, kind, name, None, value, number, unit, "parameters")
        for kind, name, value, number, unit in made.attributes
    ]
    return row, attributes, {"ecg_id": ecg_id, "seed": seed, **made.parameters}


_INTEGERS: Final = ("ecg_id", "sex", "strat_fold")
_FLOATS: Final = ("patient_id", "age", "height", "weight", "nurse", "site", "validated_by")


def _write_tables(root: Path, rows: list[Rows]) -> None:
    names = list(rows[0][0])
    schema = {
        name: pl.Int64() if name in _INTEGERS else pl.Float64() if name in _FLOATS else pl.String() for name in names
    }
    metadata = pl.DataFrame([row for row, _, _ in rows], schema=schema)
    write_text(root / "ptbxl_database.csv", metadata.write_csv())
    write_text(root / "scp_statements.csv", statements_csv())
    attributes = [row for _, part, _ in rows for row in part]
    write_table(
        pl.DataFrame(attributes, schema=ATTRIBUTES.polars, orient="row"), root / "attributes.parquet", ATTRIBUTES
    )
    parameters = pl.DataFrame([row for _, _, row in rows], infer_schema_length=None)
    parameters.write_parquet(root / "parameters.parquet", compression="zstd")
