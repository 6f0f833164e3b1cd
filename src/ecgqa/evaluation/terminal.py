"""Tables of scores and statistics for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from ecgqa.evaluation.attribute_scores import MACRO, MICRO, AttributeScores
from ecgqa.evaluation.attribute_scores import METRICS as ATTRIBUTE_METRICS
from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.compare import Comparison
from ecgqa.evaluation.scores import Scores
from ecgqa.evaluation.wording import DISCLAIMER, group_name, number, p_value, signed, span, with_span

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ecgqa.questions.statistics import QuestionStatistics

SHOWN = ("em_candidates", "em_set", "option_f1_micro", "auroc_macro", "auprc_macro")


def print_scores(scores: Scores, *, breakdown: str | None = None, metric: str = "em_candidates") -> None:
    """Leaderboard of all runs, the question types, and (optionally) one more breakdown."""
    console = _console()
    about = scores.about
    console.print(
        f"[bold]{about['n_questions']:,} questions[/bold] about {about['n_ecgs']:,} ECGs "
        f"({', '.join(about['splits'])}; {', '.join(about['versions'])}; subset: {_plain(about['subset'])}), "
        f"digest {about['questions_digest'][:12]}"
    )
    console.print(_leaderboard(scores))
    _print_groups(console, scores, "question_type", metric)
    if breakdown and breakdown not in ("question_type", "overall", "macro"):
        _print_groups(console, scores, breakdown, metric)
    for run in scores.runs:
        facts = about["runs"][run]
        if facts["n_missing"]:
            console.print(f"{_plain(run)}: {facts['n_missing']:,} questions without a prediction, counted as failed.")
        if facts["n_outside_candidates"]:
            console.print(f"{_plain(run)}: {facts['n_outside_candidates']:,} answers outside the candidates.")
    console.print(
        f"[dim]percent, with 95 % intervals from {about['n_resamples']:,} resamples of ECGs; * = sees no ECG. "
        f"{DISCLAIMER}[/dim]"
    )


def _leaderboard(scores: Scores) -> Table:
    table = _table("run", [*SHOWN, f"em_candidates {scores.macro}", "not ok"])
    ranked = sorted(scores.runs, key=lambda run: -(scores.value(run, "em_candidates") or 0.0))
    for run in ranked:
        cells = [_cell(scores.row(run, metric)) for metric in SHOWN]
        cells.append(_cell(scores.row(run, "em_candidates", "macro", scores.macro)))
        bad = scores.outcomes.filter(pl.col("run") == run, pl.col("breakdown") == "overall", pl.col("status") != "ok")[
            "n_questions"
        ].sum()
        table.add_row(_run_label(run), *cells, f"{bad:,}")
    return table


def _print_groups(console: Console, scores: Scores, breakdown: str, metric: str) -> None:
    found = scores.table.filter(pl.col("breakdown") == breakdown, pl.col("metric") == metric)
    ranked = sorted(scores.runs, key=lambda run: -(scores.value(run, metric) or 0.0))
    runs = [run for run in ranked if run not in BASELINES][:3] + [run for run in ranked if run in BASELINES][:2]
    table = _table(f"{metric} by {breakdown.replace('_', ' ')}", [*map(_run_label, runs), "n", "ECGs"])
    for group in found["group"].unique(maintain_order=True):
        rows = [scores.row(run, metric, breakdown, group) for run in runs]
        known = next(row for row in rows if row["n_questions"] is not None)
        counts = (f"{known['n_questions']:,}", f"{known['n_ecgs']:,}")
        table.add_row(_plain(group_name(group)), *map(_cell, rows), *counts)
    console.print(table)


def print_comparison(comparison: Comparison) -> None:
    """Difference per group with interval and p-values."""
    console = _console()
    first = comparison.table.row(0, named=True)
    a, b = _plain(first["run_a"]), _plain(first["run_b"])
    console.print(f"[bold]{a}[/bold] minus [bold]{b}[/bold], {first['metric']}, in percentage points")
    names = ["A", "B", "difference", "95 % interval", "p", "p (Holm)", "only A", "only B", "n", "ECGs"]
    table = _table("questions", names)
    for row in comparison.table.iter_rows(named=True):
        table.add_row(
            _plain(group_name(row["group"])),
            number(row["value_a"]),
            number(row["value_b"]),
            signed(row["difference"]),
            f"{signed(row['low'])} to {signed(row['high'])}" if row["low"] is not None else "–",
            p_value(row["p"]),
            p_value(row["p_holm"]),
            *(f"{row[name]:,}" if row[name] is not None else "–" for name in ("n_only_a", "n_only_b")),
            f"{row['n_questions']:,}",
            f"{row['n_ecgs']:,}",
        )
    console.print(table)
    console.print(
        f"[dim]p: sign-flip test over ECGs, {comparison.about['n_permutations']:,} permutations; Holm: corrected over "
        f"the question types; only A, only B: questions that only one of the two gets right. {DISCLAIMER}[/dim]"
    )


def print_attribute_scores(scores: AttributeScores) -> None:
    """One table per run: its attributes, best first, then macro and micro."""
    console = _console()
    for run in scores.runs:
        rows = scores.table.filter(pl.col("run") == run)
        attributes = rows.head(-2).sort("auroc", "n", descending=True, nulls_last=True)
        table = _table(_plain(run), ["items", "yes", "ECGs", "majority", *ATTRIBUTE_METRICS])
        for row in pl.concat([attributes, rows.tail(2)]).iter_rows(named=True):
            cells = [
                with_span({"value": row[metric], "low": row[f"{metric}_low"], "high": row[f"{metric}_high"]})
                for metric in ATTRIBUTE_METRICS
            ]
            name = _plain(row["attribute"])
            summary = row["attribute"] in (MACRO, MICRO)
            counts = (f"{row[count]:,}" for count in ("n", "positives", "ecgs"))
            table.add_row(f"[bold]{name}[/bold]" if summary else name, *counts, number(row["majority"]), *cells)
        console.print(table)
    console.print(
        f"[dim]percent, with 95 % intervals from {scores.about['n_resamples']:,} resamples of ECGs; accuracy at each "
        f"attribute's own threshold, majority: that of always giving its commoner label. {DISCLAIMER}[/dim]"
    )


def _cell(row: dict[str, object]) -> str:
    value = row.get("value")
    return f"{number(value if isinstance(value, float) else None)}\n[dim]{span(row)}[/dim]" if span(row) else "–"


def _run_label(run: str) -> str:
    return f"{_plain(run)}*" if run in BASELINES else _plain(run)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _table(first: str, others: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


def print_statistics(counted: QuestionStatistics) -> None:
    """The statistics of a question set: counts by kind and part, answers, reuse, texts, pairs of labels, leaks."""
    console = _console()
    patients = "" if counted.n_patients is None else f" of {counted.n_patients:,} patients"
    console.print(
        f"[bold]{counted.n_questions:,} questions[/bold] ({counted.n_samples:,} samples) about "
        f"{counted.n_ecgs:,} ECGs{patients}"
    )
    parts = [f"{split} {version}" for version, split in counted.parts]
    for title, counts in (
        ("question type", counted.question_types),
        ("attribute type", counted.attribute_types),
        ("labels right at once", counted.n_answers),
    ):
        table = _table(title, ["all", *parts])
        for count in counts:
            table.add_row(group_name(count.name), f"{count.n:,}", *(f"{n:,}" for n in count.by_part))
        console.print(table)
    table = _table("template", ["questions", "none", "answers", "most frequent answers"])
    for template in counted.answers:
        top = ", ".join(f"{label} {number(n / template.n)}" for label, n in template.answers[:3])
        name = f"{template.template_id} {group_name(template.question_type)}"
        table.add_row(
            name, f"{template.n:,}", number(template.n_none / template.n), str(len(template.answers)), _plain(top)
        )
    console.print(table)
    table = _table("", ["n", "mean", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"])
    for name, spread in [
        *((f"questions per ECG, {split}", spread) for split, spread in counted.ecg_reuse.items()),
        *((f"words, {version}", spread) for version, spread in counted.words.items()),
    ]:
        table.add_row(name, f"{spread.n:,}", *(f"{value:,.4g}" for value in (spread.mean, *spread.quantiles)))
    console.print(table)
    for title, pairs in (("right together", counted.answer_pairs), ("on one ECG", counted.attribute_pairs)):
        if pairs:
            table = _table(title, ["n", "either has both"])
            for pair in pairs[:10]:
                table.add_row(_plain(f"{pair.first} + {pair.second}"), f"{pair.n:,}", number(pair.jaccard))
            console.print(table)
    if counted.shared:
        table = _table("in two splits", ["shared", "of", "percent"])
        for shared in counted.shared:
            name = f"{shared.what}: {shared.second} in {shared.first}"
            table.add_row(name, f"{shared.n:,}", f"{shared.n_second:,}", number(shared.n / shared.n_second))
        console.print(table)
    console.print(
        "[dim]shares in percent; no ECG and no patient may be in two splits, no paraphrase of test in train. "
        f"{DISCLAIMER}[/dim]"
    )
