"""Which release a dataset looks like, by what evidence, and which of that release's shards are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from ecgqa.artefacts import MANIFEST, digest_file
from ecgqa.questions.answer_lists import AnswerLists
from ecgqa.questions.errata import LATE_STAGE
from ecgqa.questions.layout import ANSWERS, SHARD_SIZE, TEMPLATE_ANSWERS, ShardFile, name_width, shard_name
from ecgqa.questions.record_paths import kind_of_ids

SIZES: Final[dict[str, dict[str, int | None]]] = {
    "ptbxl": {"train": 267_539, "valid": 64_663, "test": 82_146},
    # The number of valid samples was never published; its last shard begins at 220,000.
    "mimic-iv-ecg": {"train": 829_267, "valid": None, "test": 274_364},
}
"""Samples per split of the release 1.0.2 (README, counted shards, a user's log)."""
_LAST_SHARD: Final = {("mimic-iv-ecg", "valid"): 220_000}

_DIGESTS: Final = {
    "092d3a2d3f463446b697af4754b330b76a495437a7dcf96662a330f77a172de0": ("ptbxl", ANSWERS),
    "e7d2850227793b786c49dc8d276b2e29b440123862f0a9140c0214bbc403db10": ("ptbxl", TEMPLATE_ANSWERS),
    "29cf2c60a3e5a7298efc7fd01fce563a604f03a702b17c74ff477e944a4c0fbf": ("ptbxl", "train_ecgs.tsv"),
    "9ba6b91a46cc92fb2aeee80e0f84abeaab2a7daf40868772e90dec50311d6295": ("ptbxl", "valid_ecgs.tsv"),
    "d51ab4ef925993dba32958939eedc1bb9ecfabea56af7da3f63d24b3d2c9b8c7": ("ptbxl", "test_ecgs.tsv"),
    "2a23e9a5da30134a33daea9f96815ba1d1a191c5f3605fa03fcb3b58b6ede21e": ("mimic-iv-ecg", ANSWERS),
    "c40feb63462ee207698c37e6608fc8f4c3d76e5670b80431b421343f7670c4e8": ("mimic-iv-ecg", TEMPLATE_ANSWERS),
    "b6f8193a5e03bcf61f27fbee016fdd098fb7ace7ee1eb8167f94bcb687bbe557": ("mimic-iv-ecg", "valid_ecgs.tsv"),
}
"""SHA-256 of the small files of the release 1.0.2."""
_EARLY_MIMIC: Final = frozenset({"AV-junctional rhythm", "wandering pacemaker", "rSr' type in V1 or V2"})
_NAMES: Final = {"ptbxl": "PTB-XL", "mimic-iv-ecg": "MIMIC-IV-ECG"}


@dataclass
class Release:
    """What a dataset looks like."""

    name: str
    """For people, e.g. "ECG-QA 1.0.2, PTB-XL version"."""
    source: str | None
    """ptbxl or mimic-iv-ecg if it is a release (or mapped from one), else None."""
    version: str | None
    evidence: list[str] = field(default_factory=list)
    thinned: bool = False
    """True if samples were left out on purpose (mapped with --missing skip)."""


def source_of_release(root: Path) -> str | None:
    """ptbxl or mimic-iv-ecg if the answer lists at `root` are those of the release, byte by byte."""
    for name in (ANSWERS, TEMPLATE_ANSWERS):
        if (root / name).is_file():
            source, of = _DIGESTS.get(digest_file(root / name), (None, ""))
            if of == name:
                return source
    return None


def identify(root: Path, frame: pl.DataFrame, answers: AnswerLists | None, n_mapped_files: int = 0) -> Release:
    """The release that the samples and the files beside them look like."""
    evidence: list[str] = []
    manifest = _manifest(root)
    thinned = False
    if manifest is not None:
        made_by = f"manifest.json: {manifest.get('kind')} written by ecgqa {manifest.get('ecgqa_version')}"
        evidence.append(made_by)
        counts = manifest.get("counts")
        n_skipped = counts.get("n_skipped") if isinstance(counts, dict) else None
        thinned = isinstance(n_skipped, int) and n_skipped > 0
        if thinned:
            evidence.append(f"{n_skipped:,} samples were left out when it was mapped")
    if n_mapped_files:
        evidence.append(f"ecg_path in {n_mapped_files} files: mapped questions")
    same: dict[str, list[str]] = {"ptbxl": [], "mimic-iv-ecg": []}
    for name in (ANSWERS, TEMPLATE_ANSWERS, "train_ecgs.tsv", "valid_ecgs.tsv", "test_ecgs.tsv"):
        if (root / name).is_file():
            source, of = _DIGESTS.get(digest_file(root / name), ("", ""))
            if of == name:
                same[source].append(name)
    for source, names in same.items():
        if names:
            evidence.append(f"as in the {_NAMES[source]} release 1.0.2, byte by byte: {', '.join(names)}")
    best = max(same, key=lambda source: len(same[source]))
    made = manifest is not None and manifest.get("kind") != "mapped questions"
    # The split lists alone do not make a release: other datasets are made for the same split.
    listed = bool({ANSWERS, TEMPLATE_ANSWERS} & set(same[best]))
    late = _late_stage(frame, answers)
    if not made and (listed or late):
        source = best if listed else "ptbxl"
        version, why = _version(source, frame, late)
        mapped = ", mapped to record paths" if manifest is not None or n_mapped_files else ""
        return Release(f"ECG-QA {version}, {_NAMES[source]} version{mapped}", source, version, evidence + why, thinned)
    if not made and answers is not None and _EARLY_MIMIC.issubset(answers.classes) and len(answers.classes) == 185:
        evidence.append("answers.csv has the 185 answers of the first MIMIC-IV-ECG version (188 since 2024-04-11)")
        version = "1.0.2 before 2024-04-11 (withdrawn)"
        return Release(f"ECG-QA {version}, MIMIC-IV-ECG version", None, version, evidence, thinned)
    if manifest is not None and made:
        return Release("made by ecgqa", None, None, evidence, thinned)
    if frame.height:
        ids = frame["first"].drop_nulls()
        kind = kind_of_ids([int(ids.min())])  # type: ignore[arg-type]
        evidence.append(f"ECG ids {ids.min()!r} to {ids.max()!r} lie in the range of {_NAMES[kind]}")
    evidence.append("the answer lists are those of no known release")
    return Release("unknown", None, None, evidence, thinned)


def _manifest(root: Path) -> dict[str, object] | None:
    try:
        value = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "ecgqa_version" in value else None


def _late_stage(frame: pl.DataFrame, answers: AnswerLists | None) -> set[str]:
    """Where "late stage" occurs: question, answer, lists."""
    places = set()
    stage = frame.filter(pl.col("template_id").is_in([23, 24, 25]))
    for place, column in (("question", "question"), ("question", "attribute_text"), ("answer", "answer_text")):
        if stage[column].cast(pl.String).str.contains(LATE_STAGE, literal=True).any():
            places.add(place)
    if answers is not None and LATE_STAGE in answers.classes:
        places.add("lists")
    return places


def _version(source: str, frame: pl.DataFrame, late: set[str]) -> tuple[str, list[str]]:
    if source == "mimic-iv-ecg":
        old = [
            row
            for row in ("question", "answer_text", "attribute_text")
            if frame[row].cast(pl.String).str.contains("idioventricualr", literal=True).any()
        ]
        if old:
            return "1.0.2 before 2024-04-11", ['"idioventricualr" in the samples']
        return "1.0.2", ["MIMIC-IV-ECG questions exist since 1.0.2"]
    if "question" in late:
        return "1.0.0", ['"late stage of myocardial infarction" in questions (renamed in 1.0.1)']
    if "answer" in late or "lists" in late:
        where = " and ".join(sorted(late))
        return "1.0.1 (or 1.0.2 before May 2024)", [f'"late stage of myocardial infarction" still in {where}']
    stages = frame.filter(pl.col("template_id").is_in([23, 24, 25])).height
    why = (
        f'{stages:,} samples about stages, none says "late stage"'
        if stages
        else "no samples about stages to tell 1.0.1"
    )
    return "1.0.2", [f'{why}; the lists say "old stage"']


def differing_shards(release: Release, files: Sequence[ShardFile], n_samples: Mapping[str, int]) -> list[str]:
    """Shards that do not have as many samples as in the release they belong to; `n_samples` by ShardFile.where."""
    if release.source is None or release.thinned:
        return []
    found = []
    for file in files:
        total, start = SIZES[release.source][file.split], int(file.path.stem) if file.path.stem.isdecimal() else -1
        expected = min(SHARD_SIZE, (total or 0) - start)
        n = n_samples.get(file.where, 0)
        if start >= 0 and total is not None and n != max(expected, 0):
            found.append(f"{file.where}: {n:,} samples, {max(expected, 0):,} in the release")
    return found


def completeness(release: Release, files: Sequence[ShardFile], n_samples: Mapping[str, int]) -> list[str]:
    """One line per version and split: shards present of those released, and which are missing.

    n_samples: rows by "version/split".
    """
    lines = []
    present: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if file.path.stem.isdecimal():
            present.setdefault((file.version, file.split), set()).add(int(file.path.stem))
    for version in ("template", "paraphrased"):
        for split in ("train", "valid", "test"):
            starts = present.get((version, split), set())
            expected, total = _expected(release.source, split, starts)
            if not expected:
                continue
            missing = [start for start in expected if start not in starts]
            extra = sorted(starts - set(expected))
            n = n_samples.get(f"{version}/{split}", 0)
            line = f"{version}/{split}: {len(expected) - len(missing)} of {len(expected)} shards, {n:,}"
            line += f" of {total:,} samples" if total else " samples"
            if missing:
                line += f"; missing {_spans(missing, name_width(expected[-1]))}"
            elif total and n == total:
                line += "; complete"
            if extra:
                line += f"; not in the release: {_spans(extra, name_width(expected[-1]))}"
            lines.append(line)
    return lines


def _expected(source: str | None, split: str, starts: set[int]) -> tuple[list[int], int | None]:
    """First samples of the shards a split should have, and its number of samples (None if not known)."""
    if source is None:  # of an unknown dataset only gaps can be seen
        return list(range(0, max(starts, default=-1) + 1, SHARD_SIZE)), None
    total = SIZES[source][split]
    last = _LAST_SHARD.get((source, split), ((total or 1) - 1) // SHARD_SIZE * SHARD_SIZE)
    return list(range(0, last + 1, SHARD_SIZE)), total


def _spans(starts: list[int], width: int) -> str:
    runs: list[list[int]] = []
    for start in starts:
        if runs and start == runs[-1][1] + SHARD_SIZE:
            runs[-1][1] = start
        else:
            runs.append([start, start])
    names = [(shard_name(a, width).removesuffix(".json"), shard_name(b, width).removesuffix(".json")) for a, b in runs]
    return ", ".join(a if a == b else f"{a} to {b}" for a, b in names)
