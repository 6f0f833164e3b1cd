"""The sections of the page about scores, from headline to calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.report.findings import MAIN, Findings
from ecgqa.evaluation.report.markup import cell, details, paragraph, plain, section, table, text
from ecgqa.evaluation.report.plots import dot_rows, legend, reliability, share_bar
from ecgqa.evaluation.wording import group_name, metric_title, number, p_value, signed, span, with_span

LEADERBOARD = ("em_candidates", "em_set", "option_f1_micro", "option_f1_macro", "auroc_macro", "auprc_macro")
N_WORST = 10
N_CLASSES = 40
MIN_WORST = 20
"""Templates with fewer questions are not called worst: their interval says nothing."""


def headline(findings: Findings) -> str:
    """Best model, best baseline, and the difference between them."""
    scores = findings.scores
    comparison = findings.headline
    if comparison is None:
        run = findings.focus
        return f'<dl class="hero">{_figure(run, scores.row(run, MAIN))}</dl>' + paragraph(
            f"{run} is the best of these runs by {metric_title(MAIN)}. " + _missing_side(findings)
        )
    row = comparison.row("overall")
    macro = comparison.row("macro")
    model, baseline = row["run_a"], row["run_b"]
    verdict = (
        "is above" if row["low"] is not None and row["low"] > 0 else
        "is below" if row["high"] is not None and row["high"] < 0 else "cannot be told from"
    )  # fmt: skip
    difference = (
        f"<div><dt>difference, paired</dt><dd>{text(signed(row['difference']))}"
        f"<small>{text(_signed_span(row))}, p {text(_p(row['p']))}</small></dd></div>"
    )
    told = (
        f"On {row['n_questions']:,} questions about {row['n_ecgs']:,} ECGs, {model} {verdict} {baseline}, the best "
        f"run that sees no ECG. As the {group_name(macro['group'])} the difference "
        f"is {signed(macro['difference'])} points ({_signed_span(macro)}, p {_p(macro['p'])})."
    )
    chosen = (
        " Best model and best baseline were picked on these same questions, which flatters both a little."
        if len(findings.models) > 1
        else ""
    )
    return (
        f'<dl class="hero">{_figure(model, scores.row(model, MAIN))}'
        f"{_figure(baseline + ' (sees no ECG)', scores.row(baseline, MAIN))}{difference}</dl>"
        + paragraph(told + chosen)
    )


def leaderboard(findings: Findings) -> str:
    """All runs, all main metrics."""
    scores = findings.scores
    shown = [metric for metric in LEADERBOARD if any(scores.value(run, metric) is not None for run in scores.runs)]
    best = {metric: max((scores.value(run, metric) or 0.0) for run in scores.runs) for metric in shown}
    macro_best = max((scores.value(run, MAIN, "macro", scores.macro) or 0.0) for run in scores.runs)
    rows = []
    for run in findings.ranked:
        macro = scores.row(run, MAIN, "macro", scores.macro)
        cells = [cell(macro, best=macro["value"] == macro_best)]
        for metric in shown:
            row = scores.row(run, metric)
            part = row["n_used"] is not None and row["n_used"] < row["n_questions"] and metric.startswith("au")
            note = f"n = {row['n_used']:,}" if part else ""
            cells.append(cell(row, best=row["value"] == best[metric], note=note))
        rows.append(("baseline" if run in BASELINES else "", run, cells))
    head = ["run", f"{metric_title(MAIN)}, {group_name(scores.macro)}", *map(metric_title, shown)]
    about = scores.about
    caption = (
        f"Percent with 95 % intervals; n = {about['n_questions']:,} questions about {about['n_ecgs']:,} ECGs unless a "
        "smaller n is given. Grey: sees no ECG. Bold: highest of its column."
    )
    marks = [
        (run, "sees no ECG" if run in BASELINES else "", [(_series(findings, run), run, scores.row(run, MAIN))])
        for run in findings.ranked
    ]
    plot = dot_rows(
        marks,
        label=f"{metric_title(MAIN)} of every run",
        reference=findings.expected_chance,
        reference_name="one candidate drawn at random, expected",
    )
    key = legend([], "one candidate drawn at random, expected")
    return section(
        "leaderboard", "All runs", f"<h3>{text(metric_title(MAIN).capitalize())}, percent</h3>", plot, key,
        table(head, rows, caption=caption),
    )  # fmt: skip


def by_group(findings: Findings, name: str, title: str, breakdown: str, explain: str, *, with_table: bool) -> str:
    """A dot plot of the runs in focus per group, and the numbers behind it."""
    scores, groups = findings.scores, findings.groups(breakdown)
    series = findings.series
    rows = [
        (
            _name(findings, breakdown, group["group"]),
            f"n = {group['n_questions']:,}, {group['n_ecgs']:,} ECGs",
            [(number_of, run, scores.row(run, MAIN, breakdown, group["group"])) for run, number_of in series.items()],
        )
        for group in groups
    ]
    key = legend([(number_of, run) for run, number_of in series.items()])
    plot = dot_rows(rows, label=f"{metric_title(MAIN)} by {title.lower()}")
    numbers = _group_table(findings, breakdown, groups, title)
    return section(
        name, title, paragraph(explain), key, plot, numbers if with_table else details("The numbers, all runs", numbers)
    )


def _group_table(findings: Findings, breakdown: str, groups: list[dict[str, Any]], title: str) -> str:
    scores = findings.scores
    rows = []
    for group in groups:
        found = [scores.row(run, MAIN, breakdown, group["group"]) for run in findings.ranked]
        best = max((row["value"] or 0.0) for row in found)
        cells = [cell(row, best=row["value"] == best) for row in found]
        counts = [plain(f"{group['n_questions']:,}"), plain(f"{group['n_ecgs']:,}")]
        rows.append(("", _name(findings, breakdown, group["group"]), [*counts, *cells]))
    if breakdown == "question_type":
        found = [scores.row(run, MAIN, "macro", scores.macro) for run in findings.ranked]
        counts = [plain(f"{found[0]['n_questions']:,}"), plain(f"{found[0]['n_ecgs']:,}")]
        best = max((row["value"] or 0.0) for row in found)
        cells = [cell(row, best=row["value"] == best) for row in found]
        rows.append(("", f"{scores.macro}: {group_name(scores.macro)}", [*counts, *cells]))
    caption = f"{metric_title(MAIN)}, percent with 95 % intervals, by {title.lower()}"
    return table([title.lower(), "questions", "ECGs", *findings.ranked], rows, caption=caption)


def paired_tests(findings: Findings) -> str:
    """Every model against the best baseline, by question type."""
    parts: list[str] = []
    for comparison in findings.comparisons:
        rows = []
        for row in comparison.table.iter_rows(named=True):
            cells = [
                plain(number(row["value_a"])), plain(number(row["value_b"])),
                f"<td>{text(signed(row['difference']))}<small>{text(_signed_span(row))}</small></td>",
                plain(p_value(row["p"])), plain(p_value(row["p_holm"])),
                plain(_count(row["n_only_a"])), plain(_count(row["n_only_b"])),
                plain(_count(row["n_questions"])), plain(_count(row["n_ecgs"])),
            ]  # fmt: skip
            rows.append(("", group_name(row["group"]), cells))
        a, b = comparison.table["run_a"][0], comparison.table["run_b"][0]
        head = ["questions", a, b, "difference", "p", "p (Holm)", f"only {a}", f"only {b}", "questions", "ECGs"]
        block = table(head, rows, caption=f"{a} minus {b}, {metric_title(MAIN)}, percentage points")
        parts.append(details(f"{a} minus {b}", block) if parts else block)
    if not parts:
        return ""
    explain = (
        "Difference on the same questions with a 95 % interval from the same resamples of ECGs. p: the sign of the "
        "difference is flipped per ECG; Holm: corrected over the question types. 'only' counts the questions that one "
        "run alone gets right."
    )
    return section("tests", "Paired tests against the best baseline", paragraph(explain), *parts)


def calibration(findings: Findings) -> str:
    """Reliability of the scores of the runs in focus."""
    found = findings.scores.calibration
    if found.is_empty():
        return ""
    series, rows = [], []
    for run, number_of in findings.series.items():
        bins = found.filter(pl.col("run") == run).to_dicts()
        if not bins:
            continue
        series.append((number_of, run, bins))
        total = sum(row["n_options"] for row in bins)
        error = sum(row["n_options"] * abs(row["mean_score"] - row["fraction_right"]) for row in bins) / total
        rows.append(("", run, [plain(number(error)), plain(f"{total:,}")]))
    if not series:
        return ""
    explain = (
        "Options grouped by the score they were given, in tenths of the range. On the dashed line, scores are "
        "probabilities; below it a run is too sure of itself. The size of a point grows with its number of options."
    )
    head = ["run", "calibration error", "options"]
    caption = "Mean distance from the dashed line over options, in percentage points"
    return section(
        "calibration", "Are the scores probabilities?", paragraph(explain),
        legend([(number_of, run) for number_of, run, _ in series]),
        f'<div class="two"><figure>{reliability(series)}</figure><div>{table(head, rows, caption=caption)}</div></div>',
    )  # fmt: skip


def confusion(findings: Findings) -> str:
    """What was answered to verify questions, by what was right."""
    parts = []
    shown = [findings.focus, *[run for run in findings.series if run != findings.focus]]
    for position, run in enumerate(shown):
        found = findings.scores.confusion.filter(pl.col("run") == run)
        if found.is_empty():
            continue
        counts = found.group_by("right", "given").agg(pl.col("n_questions").sum())
        named = {(row["right"], row["given"]): row["n_questions"] for row in counts.iter_rows(named=True)}
        given = sorted({answer for _, answer in named}, key=lambda answer: (answer.startswith("("), answer))
        rows = []
        for right in sorted({right for right, _ in named}):
            total = sum(named.get((right, answer), 0) for answer in given)
            cells = [_shared(named.get((right, answer), 0), total, answer == right) for answer in given]
            rows.append(("", f"right: {right}", [*cells, plain(f"{total:,}")]))
        head = ["", *(answer if answer.startswith("(") else f"said {answer}" for answer in given), "questions"]
        block = table(head, rows, caption=f"{run}: answers to verify questions, with percent of the row")
        parts.append(block if position == 0 else details(run, block))
    return section("verify", "Verify questions", *parts) if parts else ""


def outcomes(findings: Findings) -> str:
    """How many questions were answered at all."""
    rows = []
    for run in findings.ranked:
        counts = findings.outcome_counts(run)
        facts = findings.scores.about["runs"][run]
        said = f"{run}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items())
        bar = share_bar([(name, name, count) for name, count in counts.items()], said)
        cells = [
            f"<td>{bar}</td>",
            *(plain(f"{counts.get(name, 0):,}") for name in ("ok", "unparseable", "refused", "failed")),
        ]
        cells += [plain(f"{facts['n_missing']:,}"), plain(f"{facts['n_outside_candidates']:,}")]
        rows.append(("baseline" if run in BASELINES else "", run, cells))
    head = ["run", "", "ok", "unparseable", "refused", "failed", "of these missing", "outside candidates"]
    explain = (
        "Everything but ok counts as wrong and stays in the denominator of exact match and F1. Missing: no prediction "
        "row at all. Outside candidates: answers that name something the question did not offer."
    )
    return section(
        "outcomes", "Was there an answer?", paragraph(explain), table(head, rows, caption="Questions by outcome")
    )


def worst(findings: Findings) -> str:
    """Templates where the run in focus does worst, beside the best baseline."""
    scores, run = findings.scores, findings.focus
    baseline = findings.baselines[0] if findings.baselines and findings.baselines[0] != run else None
    found = scores.table.filter(
        pl.col("run") == run, pl.col("breakdown") == "template", pl.col("metric") == MAIN,
        pl.col("n_questions") >= MIN_WORST,
    ).sort("value", "group")  # fmt: skip
    if found.height < 2:
        return ""
    rows, about = [], scores.about["templates"]
    for row in found.head(N_WORST).iter_rows(named=True):
        cells = [plain(f"{row['n_questions']:,}"), plain(f"{row['n_ecgs']:,}"), cell(row)]
        if baseline:
            cells.append(cell(scores.row(baseline, MAIN, "template", row["group"])))
        rows.append(("", f"{row['group']}: {about[row['group']]['question']}", cells))
    head = ["template, one of its questions", "questions", "ECGs", run, *([baseline] if baseline else [])]
    caption = f"Templates of at least {MIN_WORST} questions with the lowest {metric_title(MAIN)} of {run}, percent"
    return section("worst", "Hardest templates", table(head, rows, caption=caption))


def answer_classes(findings: Findings) -> str:
    """Each answer class of the run in focus."""
    run = findings.focus
    found = findings.scores.classes.filter(pl.col("run") == run).sort(["n_right", "answer"], descending=[True, False])
    rows = [
        (
            "",
            row["answer"],
            [
                *(plain(f"{row[name]:,}") for name in ("n_options", "n_right", "n_given")),
                *(plain(number(row[name])) for name in ("f1", "auroc", "auprc")),
            ],
        )
        for row in found.head(N_CLASSES).iter_rows(named=True)
    ]
    head = ["answer", "offered", "right", "given", "F1", "AUROC", "average precision"]
    more = (
        f" The {N_CLASSES} most frequent of {found.height}; all are in scores.json." if found.height > N_CLASSES else ""
    )
    block = table(head, rows, caption=f"{run}: single answers, percent, without intervals.{more}")
    return section("answers", "By answer", details(f"Table of answers ({run})", block))


def _figure(label: str, row: Mapping[str, Any]) -> str:
    return (
        f"<div><dt>{text(label)}</dt><dd>{number(row['value'])} %<small>{text(span(row))}, 95 % interval"
        f"</small></dd></div>"
    )


def _missing_side(findings: Findings) -> str:
    if not findings.models:
        return "None of the runs looks at an ECG: add a model's predictions to compare it with them."
    return (
        f"Its score: {with_span(findings.scores.row(findings.focus, MAIN))}. There is no baseline beside it, so how "
        "much the ECG contributes cannot be told: add the files that ecgqa baselines writes."
    )


def _name(findings: Findings, breakdown: str, group: str) -> str:
    if breakdown != "template":
        return group_name(group)
    about = findings.scores.about["templates"][group]
    return f"{group}: {group_name(about['question_type'])}, {group_name(about['attribute_type'])}"


def _series(findings: Findings, run: str) -> int:
    return findings.series.get(run, 4 if run in BASELINES else 0)


def _signed_span(row: Mapping[str, Any]) -> str:
    return "no interval" if row["low"] is None else f"{signed(row['low'])} to {signed(row['high'])}"


def _p(p: float | None) -> str:
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _shared(count: int, total: int, right: bool) -> str:
    kind = " class=best" if right else ""
    return f"<td{kind}>{count:,}<small>{number(count / total if total else None)} %</small></td>"
