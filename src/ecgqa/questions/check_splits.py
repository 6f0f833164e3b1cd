"""Rules between samples and ECGs: split lists, leaks between splits, patients and times of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.questions.findings import Findings, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def check_split_files(root: Path, findings: Findings) -> dict[str, list[int]]:
    """Read the `*_ecgs.tsv` files one by one, report damaged ones and repeated ids, return the others."""
    from ecgqa.questions.answer_lists import read_split_list
    from ecgqa.records import Split

    lists: dict[str, list[int]] = {}
    for split in Split:
        path = root / f"{split.value}_ecgs.tsv"
        if not path.is_file():
            continue
        try:
            frame = read_split_list(path)
        except EcgqaError as error:
            findings.add(_ERROR, "split-list", error.message)
            continue
        ids = frame["ecg_id"]
        if frame["index"].to_list() != list(range(frame.height)):
            findings.add(_WARNING, "split-list-index", f"{path.name}: the running index is not 0, 1, 2, …")
        if ids.n_unique() < ids.len():
            twice = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
            findings.add(
                _ERROR,
                "split-list-twice",
                f"{path.name} lists an ECG twice",
                twice.len(),
                [str(ecg_id) for ecg_id in twice.head(3)],
            )
        lists[split.value] = ids.to_list()
    return lists


def check_splits(frame: pl.DataFrame, split_ecgs: Mapping[str, list[int]], findings: Findings) -> None:
    """Each ECG in one split only, and every sample's ECGs in the list of its split."""
    listed = _listed(split_ecgs)
    twice = listed.filter(pl.col("ecg_id").is_duplicated()).group_by("ecg_id", maintain_order=True).agg("split")
    twice = twice.filter(pl.col("split").list.n_unique() > 1)
    findings.add(_ERROR, "ecg-in-two-lists", "ECG in the lists of two splits", twice.height, _examples(twice, "ecg_id"))
    used = _used(frame)
    two = used.unique().group_by("ecg_id", maintain_order=True).agg("split").filter(pl.col("split").list.len() > 1)
    findings.add(_ERROR, "ecg-in-two-splits", "ECG asked about in two splits", two.height, _examples(two, "ecg_id"))

    present = sorted(set(frame["split"].cast(pl.String).unique()) - set(split_ecgs))
    findings.add(
        _NOTE,
        "split-list-absent",
        "no list of ECGs for the split, membership not checked",
        len(present),
        [f"{split}_ecgs.tsv" for split in present],
    )
    home = listed.unique("ecg_id", keep="first").rename({"split": "home"})
    checked = frame.filter(pl.col("split").cast(pl.String).is_in(list(split_ecgs)))
    columns = ["file", "sample_id", "split", "first", "second"]
    checked = checked.select(columns).with_columns(pl.col("split").cast(pl.String))
    for number in ("first", "second"):
        checked = checked.join(home, left_on=number, right_on="ecg_id", how="left", maintain_order="left")
        checked = checked.rename({"home": f"{number}_home"})
    for number in ("first", "second"):
        here = pl.col(f"{number}_home")
        stranger = checked.filter(
            pl.col(number).is_not_null() & (here != pl.col("split")).fill_null(True)
        ).with_columns(
            pl.format("ECG {} is in the list of {}", pl.col(number), here.fill_null("no split")).alias("detail")
        )
        findings.add_rows(
            _ERROR,
            f"ecg-not-in-split-{number}",
            f"the {number} ECG is not in the list of the split",
            stranger,
            "detail",
        )
    across = checked.filter(pl.col("second").is_not_null() & (pl.col("first_home") != pl.col("second_home")))
    findings.add_rows(_ERROR, "pair-across-splits", "the two ECGs of a pair belong to different splits", across)


def check_pairs(frame: pl.DataFrame, findings: Findings) -> None:
    """A pair is two different ECGs."""
    same = frame.filter(pl.col("first") == pl.col("second"))
    findings.add_rows(_ERROR, "pair-same-ecg", "a pair with the same ECG twice", same)


def check_patients(
    frame: pl.DataFrame, split_ecgs: Mapping[str, list[int]], records: pl.DataFrame, findings: Findings
) -> None:
    """With metadata: patients in one split only; consecutive pairs of one patient in order of time, others of two.

    `records` has the columns ecg_id, patient_id, recorded_at (records table).
    """
    known = records.select("ecg_id", "patient_id", "recorded_at").unique("ecg_id", keep="first")
    used = pl.concat([_used(frame), _listed(split_ecgs)]).unique(maintain_order=True)
    joined = used.join(known, on="ecg_id", how="left", maintain_order="left")
    unknown = joined.filter(pl.col("patient_id").is_null()).unique("ecg_id", maintain_order=True)
    findings.add(
        _ERROR, "ecg-unknown", "ECG without a patient in the metadata", unknown.height, _examples(unknown, "ecg_id")
    )
    by_patient = joined.drop_nulls("patient_id").group_by("patient_id", maintain_order=True)
    leaks = by_patient.agg(pl.col("split").n_unique().alias("n"), pl.col("ecg_id")).filter(pl.col("n") > 1)
    examples = [f"patient {row[0]}: ECGs {', '.join(map(str, row[2][:4]))}" for row in leaks.head(3).iter_rows()]
    findings.add(_ERROR, "patient-in-two-splits", "patient with ECGs in two splits (leak)", leaks.height, examples)

    pairs = frame.filter(pl.col("second").is_not_null()).select(
        "file", "sample_id", pl.col("question_type").cast(pl.String), "first", "second"
    )
    for number in ("first", "second"):
        pairs = pairs.join(known, left_on=number, right_on="ecg_id", how="left", maintain_order="left")
        pairs = pairs.rename({"patient_id": f"patient_{number}", "recorded_at": f"time_{number}"})
    pairs = pairs.with_columns(pl.format("ECGs {} and {}", "first", "second").alias("detail"))
    same = pl.col("patient_first") == pl.col("patient_second")
    consecutive = pl.col("question_type").str.starts_with("comparison_consecutive")
    irrelevant = pl.col("question_type").str.starts_with("comparison_irrelevant")
    findings.add_rows(
        _ERROR,
        "consecutive-patients",
        "consecutive pair of two different patients",
        pairs.filter(consecutive & ~same),
        "detail",
    )
    findings.add_rows(
        _ERROR,
        "consecutive-order",
        "consecutive pair whose first ECG is not the earlier one",
        pairs.filter(consecutive & (pl.col("time_first") > pl.col("time_second"))),
        "detail",
    )
    findings.add_rows(
        _WARNING,
        "consecutive-same-time",
        "consecutive pair recorded at the same moment",
        pairs.filter(consecutive & (pl.col("time_first") == pl.col("time_second"))),
        "detail",
    )
    findings.add_rows(
        _ERROR,
        "irrelevant-patient",
        "irrelevant pair of one and the same patient",
        pairs.filter(irrelevant & same),
        "detail",
    )


def _used(frame: pl.DataFrame) -> pl.DataFrame:
    """Distinct (split, ecg_id) of the samples."""
    split = pl.col("split").cast(pl.String)
    parts = [
        frame.select(split, pl.col(name).alias("ecg_id")).unique(maintain_order=True) for name in ("first", "second")
    ]
    return pl.concat(parts).drop_nulls().unique(maintain_order=True)


def _listed(split_ecgs: Mapping[str, list[int]]) -> pl.DataFrame:
    schema = {"split": pl.String(), "ecg_id": pl.Int64()}
    parts = [
        pl.DataFrame({"split": [split] * len(ids), "ecg_id": ids}, schema=schema) for split, ids in split_ecgs.items()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def _examples(frame: pl.DataFrame, column: str) -> list[str]:
    return [f"ECG {value}" for value in frame[column].head(3)]
