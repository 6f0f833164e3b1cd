"""Building a store: each distinct ECG packed once, the questions pointed at them, the manifest last."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ecgqa.artefacts import Draft, artefact_folder, digest_of, write_json
from ecgqa.errors import EcgqaError
from ecgqa.progress import progress
from ecgqa.records import QUESTIONS, RECORDS
from ecgqa.store import layout
from ecgqa.store.grounding import write_grounding
from ecgqa.store.inputs import Questions, Recordings, find_recordings, load_questions
from ecgqa.store.packing import JOURNAL, Form, Packed, close_gaps, pack
from ecgqa.store.reports import REPORTS, find_reports
from ecgqa.tables import write_table

SHOWN = 5


def build_store(
    dest: Path,
    *,
    questions_root: Path | None = None,
    records_root: Path | None = None,
    ecgs: Literal["all"] | Collection[int] | None = None,
    splits: Sequence[str] | None = None,
    versions: Sequence[str] | None = None,
    missing: Literal["error", "skip"] = "error",
    rate: Literal["500", "100"] = "500",
    samples: int | None = None,
    reports: Path | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the store of the questions below `questions_root` to `dest`; returns `dest`.

    questions_root: None makes a store of ECGs alone.
    records_root: folder of the ECGs; None takes the paths of a mapped data set, else the cache of `ecgqa fetch`.
    ecgs: ids of ECGs to pack besides those asked about, or "all" of the source; None: all if there are no questions.
    missing: what to do about ECGs that are absent or unreadable: stop, or leave them and their questions out.
    samples: samples per lead; shorter ECGs are padded on the right with INVALID_SAMPLE. None: all must be equal.
    reports: csv (ecg_id, report) of texts that take the place of the source's own reports, such as a translation.
    executor: runs the reading (default: threads of this process, `workers` of them); its workers must see both the
        ECGs and `dest` under the same paths.

    A run that was killed goes on where it stopped when it is started again. Raises EcgqaError for bad input (nothing
    is left behind) and for a full disk (what is done is kept for the next run).
    """
    dest = Path(dest)
    for name, number in (("samples", samples), ("workers", workers)):
        if number is not None and number < 1:
            raise EcgqaError(f"{name} must be at least 1", found=str(number))
    questions = load_questions(Path(questions_root) if questions_root is not None else None, splits, versions)
    recordings = find_recordings(questions, Path(records_root) if records_root is not None else None, rate, ecgs)
    written = find_reports(recordings.folder, recordings.frame["ecg_id"], reports)
    n_parallel = workers or min(8, os.cpu_count() or 1)
    config = {"splits": splits, "versions": versions, "missing": missing, "rate": rate, "samples": samples}
    if ecgs is not None:
        config["ecgs"] = ecgs if isinstance(ecgs, str) else digest_of(sorted(ecgs))
    inputs = {"questions": questions.digest, "records": recordings.digest, "source": recordings.source}
    if written.height:
        inputs["reports"] = digest_of(written.to_dict(as_series=False))
    with (
        _full_disk_explained(dest),
        artefact_folder(
            dest, kind=layout.KIND, inputs=inputs, config=config, overwrite=overwrite, resume=True
        ) as draft,
        nullcontext(executor) if executor else ThreadPoolExecutor(n_parallel, "ecgqa-pack") as pool,
    ):
        if not draft.complete:
            _fill(draft, questions, recordings, written, missing == "skip", samples, pool, n_parallel)
    return dest


def _fill(
    draft: Draft,
    questions: Questions,
    recordings: Recordings,
    reports: pl.DataFrame,
    skip: bool,
    samples: int | None,
    executor: Executor,
    n_parallel: int,
) -> None:
    wanted = pl.concat([questions.ecgs, recordings.extra]).unique()
    lost = _absent(wanted, recordings)
    if lost and not skip:
        _refuse(draft, lost, wanted.len(), "are missing")
    frame = _answerable(questions.frame, lost)
    needed = pl.concat([frame["ecg_id"].explode(), recordings.extra.filter(~recordings.extra.is_in(list(lost)))])
    keep = recordings.frame["ecg_id"].is_in(needed.unique().implode())
    records = recordings.frame.filter(keep)
    paths = [path for path, kept in zip(recordings.paths, keep, strict=True) if kept]
    if not paths:
        _refuse(draft, lost, wanted.len(), "are missing: nothing is left to pack")
    form = _form_of(paths, samples)
    _check_space(draft, len(paths) * layout.bytes_per_ecg(form.n_samples))
    with progress("packing ECGs", len(paths), unit="ECGs") as advance:
        outcomes = pack(paths, draft.path, form, executor=executor, n_parallel=n_parallel, advance=advance)
    ids = records["ecg_id"].to_list()
    _refuse_mixture(draft, outcomes, ids, form, samples)
    unreadable = {ids[packed.row]: packed.problem for packed in outcomes if packed.problem is not None}
    if unreadable and not skip:
        _refuse(draft, unreadable, len(paths), "cannot be read")
    if len(unreadable) == len(paths):
        _refuse(draft, unreadable, len(paths), "cannot be read: nothing is left to pack")
    packed = close_gaps(outcomes, draft.path, form)
    lost |= unreadable
    records = records.filter(~pl.col("ecg_id").is_in(list(unreadable)))
    frame = _answerable(frame, unreadable)
    write_table(_with_signals(records, packed, form), draft.path / layout.RECORDS_FILE, RECORDS)
    frame = _with_rows(frame, records["ecg_id"])
    path = draft.path / layout.QUESTIONS_FILE
    write_table(frame, path, QUESTIONS, row_group_size=layout.QUESTION_ROW_GROUP)
    write_json(draft.path / layout.ANSWERS, asdict(questions.answers))
    packed_rows = records.select("ecg_id", pl.arange(pl.len(), dtype=pl.Int32()).alias("ecg_row"))
    reports = reports.join(packed_rows, on="ecg_id", how="inner", maintain_order="left")
    if reports.height:
        write_table(reports, draft.path / layout.REPORTS_FILE, REPORTS)
    grounding = write_grounding(frame, draft.path)
    if lost:
        rows = sorted(lost.items())
        table = pl.DataFrame({"ecg_id": [row[0] for row in rows], "reason": [row[1] for row in rows]})
        table.write_csv(draft.path / layout.SKIPPED)
    _describe(draft, frame, packed, form, questions, lost)
    draft.counts["reports"] = reports.height
    draft.extra["grounding"] = grounding.summary
    (draft.path / JOURNAL).unlink(missing_ok=True)


def _absent(wanted: pl.Series, recordings: Recordings) -> dict[int, str]:
    """Wanted ECGs that have no recording: unknown to the source, or without a header file."""
    known = recordings.frame["ecg_id"].to_list()
    lost: dict[int, str] = dict.fromkeys(sorted(set(wanted.to_list()) - set(known)), "not listed in the source")
    for ecg_id, path in zip(known, recordings.paths, strict=True):
        if not os.path.exists(f"{path}.hea"):  # noqa: PTH110  (Path is slow for 10^6 of them)
            lost[ecg_id] = f"no such file: {path}.hea"
    return dict(sorted(lost.items()))


def _refuse(draft: Draft, lost: dict[int, str], total: int, what: str) -> None:
    shutil.rmtree(draft.path, ignore_errors=True)
    first = "; ".join(f"{ecg_id} ({reason})" for ecg_id, reason in list(lost.items())[:SHOWN])
    more = f"; and {len(lost) - SHOWN:,} more" if len(lost) > SHOWN else ""
    raise EcgqaError(
        f"{len(lost):,} of {total:,} ECGs {what}",
        found=first + more,
        fix="--missing skip leaves them and their questions out, or name another folder with --records"
        if len(lost) < total
        else "name the folder that holds the recordings with --records",
    )


def _refuse_mixture(draft: Draft, outcomes: list[Packed], ids: list[int], form: Form, samples: int | None) -> None:
    """Other rates or lengths are no missing data: leaving them out silently would change what is measured."""
    differing = [packed for packed in outcomes if packed.differs]
    if not differing:
        return
    shutil.rmtree(draft.path, ignore_errors=True)
    forms = sorted({str(packed.problem) for packed in differing})
    rates = {text.split(" at ")[1] for text in forms} | {f"{form.fs_hz:g} Hz"}
    longest = max(form.n_samples, *(int(text.split(" ")[0]) for text in forms))
    raise EcgqaError(
        f"{len(differing):,} of {len(ids):,} ECGs differ from the others in sampling rate or length, "
        f"the first of them ECG {ids[differing[0].row]}",
        expected=f"{form.n_samples} samples at {form.fs_hz:g} Hz",
        found="; ".join(forms[:SHOWN]) + (f"; and {len(forms) - SHOWN} other forms" if len(forms) > SHOWN else ""),
        fix=f"--samples {longest} pads shorter ECGs at the end"
        if len(rates) == 1
        else "build one store for each sampling rate",
    )


def _answerable(frame: pl.DataFrame, lost: dict[int, str]) -> pl.DataFrame:
    """The questions that ask about none of the `lost` ECGs."""
    if not lost:
        return frame
    gone = pl.Series(list(lost), dtype=pl.Int64())
    return frame.filter(~pl.col("ecg_id").list.eval(pl.element().is_in(gone.implode())).list.any())


def _form_of(paths: list[str], samples: int | None) -> Form:
    """Rate and length of the first ECG that can be read (the others must agree with it)."""
    from ecgqa.signals.read import read_ecg

    problem: EcgqaError | None = None
    for path in paths:
        try:
            ecg = read_ecg(path)
        except EcgqaError as error:
            problem = problem or error
            continue
        return Form(float(ecg.fs_hz), samples or ecg.digital.shape[1], samples is not None)
    assert problem is not None
    raise EcgqaError(f"none of the {len(paths):,} ECGs can be read; the first: {problem.message}", found=problem.found)


def _check_space(draft: Draft, needed: int) -> None:
    signals = draft.path / layout.SIGNALS
    held = signals.stat().st_blocks * 512 if signals.is_file() else 0
    free = shutil.disk_usage(draft.path).free
    if free < needed - held:
        if not held:
            shutil.rmtree(draft.path, ignore_errors=True)
        raise EcgqaError(
            f"not enough room on the disk of {draft.path.parent}",
            expected=f"{(needed - held) / 1e9:.2f} GB free",
            found=f"{free / 1e9:.2f} GB",
            fix="free some, or choose a destination on another disk",
        )


@contextmanager
def _full_disk_explained(dest: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number not in (errno.ENOSPC, errno.EDQUOT) and "os error 28" not in str(error):
            raise
        raise EcgqaError(
            f"the disk that holds {dest} is full",
            fix="free some room and give the same command again: it goes on where it stopped",
        ) from None


def _with_signals(records: pl.DataFrame, packed: list[Packed], form: Form) -> pl.DataFrame:
    """Table 1 completed by what the headers and samples say; the source's own date wins over the header's."""
    dates = [datetime.fromisoformat(one.recorded_at) if one.recorded_at else None for one in packed]
    return records.with_columns(
        pl.coalesce("recorded_at", pl.Series(dates, dtype=pl.Datetime("us"))).alias("recorded_at"),
        pl.lit(form.fs_hz).alias("fs_hz"),
        pl.Series("n_samples", [one.n_samples for one in packed], dtype=pl.Int32()),
        pl.Series("gain_per_mv", [list(one.gain_per_mv) for one in packed], dtype=pl.List(pl.Float64())),
        pl.Series("signal_row", [one.row for one in packed], dtype=pl.Int32()),
        pl.Series("flags", [list(one.flags) for one in packed], dtype=pl.List(pl.String())),
    )


def _with_rows(frame: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    rows = pl.arange(ids.len(), dtype=pl.Int32(), eager=True)
    to_row = pl.element().replace_strict(ids, rows, return_dtype=pl.Int32())
    return frame.with_columns(pl.col("ecg_id").list.eval(to_row).alias("ecg_row"))


def _describe(
    draft: Draft,
    frame: pl.DataFrame,
    packed: list[Packed],
    form: Form,
    questions: Questions,
    lost: dict[int, str],
) -> None:
    parts = frame.group_by("version", "split", maintain_order=True).len("questions")
    offsets = parts["questions"].cum_sum() - parts["questions"]
    by_type = frame.group_by("version", "split", "question_type", maintain_order=True).len("questions")
    flags: dict[str, int] = {}
    for one in packed:
        for kind in sorted({flag.split(":")[0] for flag in one.flags}):
            flags[kind] = flags.get(kind, 0) + 1
    draft.counts = {
        "ecgs": len(packed),
        "questions": frame.height,
        "ecgs_skipped": len(lost),
        "questions_skipped": questions.frame.height - frame.height,
        "answers": len(questions.answers.classes),
        "by_type": by_type.to_dicts(),
        "flagged_ecgs": dict(sorted(flags.items())),
    }
    details: dict[str, Any] = {
        "parts": parts.with_columns(offsets.alias("offset")).to_dicts(),
        "signals": {"fs_hz": form.fs_hz, "n_samples": form.n_samples, "dtype": "<i2"},
    }
    if lost:
        details["skipped"] = {"first": dict(list(lost.items())[:SHOWN]), "all": layout.SKIPPED}
    draft.extra = details
