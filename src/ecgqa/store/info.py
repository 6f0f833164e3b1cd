"""What a store holds, as numbers and as text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecgqa.artefacts import digest_of
from ecgqa.store import layout
from ecgqa.store.open import open_store


def describe(path: str | Path) -> dict[str, Any]:
    """Counts, sizes in bytes and origin of the store in folder `path`, from its manifest alone."""
    store = open_store(path)
    manifest = store.manifest
    counts, sizes = manifest["counts"], manifest["files"]
    n_ecgs, n_questions = counts["ecgs"], counts["questions"]
    return {
        "folder": str(store.folder),
        "ecgs": n_ecgs,
        "fs_hz": store.fs_hz,
        "samples_per_lead": store.n_samples,
        "questions": n_questions,
        "by_type": counts["by_type"],
        "answers": counts["answers"],
        "reports": counts.get("reports", 0),
        "flagged_ecgs": counts["flagged_ecgs"],
        "grounding": manifest.get("grounding", {"items": {}, "classes": 0}),
        "skipped": {"ecgs": counts["ecgs_skipped"], "questions": counts["questions_skipped"]},
        "bytes": sizes,
        "bytes_per_ecg": round((sizes[layout.SIGNALS] + sizes[layout.RECORDS_FILE]) / max(n_ecgs, 1), 1),
        "bytes_per_question": round(sizes[layout.QUESTIONS_FILE] / max(n_questions, 1), 1),
        "source": manifest["inputs"]["source"],
        "digest": digest_of({key: manifest[key] for key in ("kind", "inputs", "config")}),
        "ecgqa_version": manifest["ecgqa_version"],
    }


def summary(description: dict[str, Any]) -> str:
    """Two lines: what was packed, and what was left out."""
    questions, reports = (f"{description[what]:,}" if description[what] else "no" for what in ("questions", "reports"))
    lines = [
        f"{description['folder']}: {description['ecgs']:,} ECGs ({description['samples_per_lead']} samples at "
        f"{description['fs_hz']:g} Hz), {questions} questions, {reports} reports, "
        f"{sum(description['bytes'].values()) / 1e6:,.1f} MB"
    ]
    skipped = description["skipped"]
    if skipped["ecgs"]:
        lines.append(
            f"left out: {skipped['ecgs']:,} ECGs and {skipped['questions']:,} questions, "
            f"listed in {Path(description['folder']) / layout.SKIPPED}"
        )
    return "\n".join(lines)


def details(description: dict[str, Any]) -> str:
    """The whole description as text for a terminal."""
    flags = ", ".join(f"{kind} {count:,}" for kind, count in description["flagged_ecgs"].items()) or "none"
    per_question = f", {description['bytes_per_question']:.1f} bytes per question" if description["questions"] else ""
    return "\n".join(
        [
            summary(description),
            "",
            *_question_table(description),
            f"flagged ECGs {flags}",
            f"on disk      {description['bytes_per_ecg']:,.0f} bytes per ECG{per_question}",
            f"source       {description['source']}",
            f"digest       {description['digest'][:16]}",
        ]
    )


def _question_table(description: dict[str, Any]) -> list[str]:
    """Questions by type and split, answers and items; nothing for a store of ECGs alone."""
    if not description["questions"]:
        return []
    columns = sorted({(row["version"], row["split"]) for row in description["by_type"]}, key=_place)
    names = [f"{version} {split}" for version, split in columns]
    types = dict.fromkeys(row["question_type"] for row in description["by_type"])
    number = {(row["question_type"], row["version"], row["split"]): row["questions"] for row in description["by_type"]}
    rows = [[kind, *(f"{number.get((kind, *column), 0):,}" for column in columns)] for kind in types]
    totals = [f"{sum(number.get((kind, *column), 0) for kind in types):,}" for column in columns]
    known = description["grounding"]
    return [
        *_aligned([["question type", *names], *rows, ["all", *totals]]),
        "",
        f"answers      {description['answers']} classes, none included",
        f"items        {sum(known['items'].values()):,} of {known['classes']} attributes in sets of leads",
    ]


def _place(column: tuple[str, str]) -> tuple[bool, int]:
    from ecgqa.records import Split, Version

    return column[0] != Version.TEMPLATE, list(Split).index(Split(column[1]))


def _aligned(table: list[list[str]]) -> Iterable[str]:
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for row in table:
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join([row[0].ljust(widths[0]), *rest]).rstrip()
