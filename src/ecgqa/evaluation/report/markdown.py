"""The report as Markdown, for a repository or a message."""

from __future__ import annotations

from collections.abc import Sequence

from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.metrics import METRICS
from ecgqa.evaluation.report.findings import MAIN, Findings
from ecgqa.evaluation.report.sections import LEADERBOARD
from ecgqa.evaluation.wording import DISCLAIMER, group_name, metric_title, p_value, signed, with_span


def markdown(findings: Findings) -> str:
    """Headline, leaderboard, question types, tests, what was scored, definitions."""
    scores, about = findings.scores, findings.scores.about
    lines = [f"# {plain(findings.title)}", "", f"**{DISCLAIMER}**", ""]
    lines += [
        f"{about['n_questions']:,} questions about {about['n_ecgs']:,} ECGs; split {', '.join(about['splits'])}; "
        f"wording {', '.join(about['versions'])}; subset: {plain(about['subset'])}. Percent, 95 % intervals from "
        f"{about['n_resamples']:,} resamples of ECGs. \\* sees no ECG.",
        "",
    ]
    shown = [metric for metric in LEADERBOARD if any(scores.value(run, metric) is not None for run in scores.runs)]
    rows = []
    for run in findings.ranked:
        macro = with_span(scores.row(run, MAIN, "macro", scores.macro))
        unanswered = about["n_questions"] - findings.outcome_counts(run).get("ok", 0)
        rows.append([_run(run), macro, *(with_span(scores.row(run, metric)) for metric in shown), f"{unanswered:,}"])
    head = ["run", f"{MAIN} {scores.macro}", *shown, "without answer"]
    lines += ["## All runs", "", *table(head, rows), ""]
    rows = [
        [group_name(group["group"]), f"{group['n_questions']:,}", f"{group['n_ecgs']:,}"]
        + [with_span(scores.row(run, MAIN, "question_type", group["group"])) for run in findings.ranked]
        for group in findings.groups("question_type")
    ]
    head = ["question type", "n", "ECGs", *map(_run, findings.ranked)]
    lines += [f"## Question types: {metric_title(MAIN)}", "", *table(head, rows), ""]
    for comparison in findings.comparisons:
        first = comparison.table.row(0, named=True)
        rows = [
            [
                group_name(row["group"]),
                signed(row["difference"]),
                "–" if row["low"] is None else f"{signed(row['low'])} to {signed(row['high'])}",
                p_value(row["p"]),
                p_value(row["p_holm"]),
                f"{row['n_questions']:,}",
            ]
            for row in comparison.table.iter_rows(named=True)
        ]
        lines += [f"## {_run(first['run_a'])} minus {_run(first['run_b'])}, percentage points", ""]
        lines += [*table(["questions", "difference", "95 % interval", "p", "p (Holm)", "n"], rows), ""]
    lines += ["## What was scored", "", f"- digest of the questions: `{about['questions_digest']}`"]
    lines += [f"- {name}: {plain(about[name])}" for name in ("questions", "dataset") if about.get(name)]
    if findings.command:
        lines += [
            "",
            "```",
            "".join(letter for letter in findings.command if letter.isprintable() and letter != "`"),
            "```",
        ]
    lines += ["", "## Definitions", ""]
    lines += [f"- **{name}**: {metric.definition} `{metric.formula}`" for name, metric in METRICS.items()]
    lines += [f"- **{name}** (baseline): {baseline.definition}." for name, baseline in BASELINES.items()]
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a pipe table, numbers to the right; every cell must be `plain` already."""
    ruler = [":--", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (head, ruler, *rows)]


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table of any texts, to the left."""
    lines = table([plain(name) for name in head], [[plain(cell) for cell in row] for row in rows])
    return "\n".join([lines[0], "|" + " :-- |" * len(head), *lines[2:]])


def plain(value: object) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no line breaks, no column breaks."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(value))
    for letter in "\\`*_[]|":
        shown = shown.replace(letter, f"\\{letter}")
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _run(run: str) -> str:
    return plain(run) + ("\\*" if run in BASELINES else "")
