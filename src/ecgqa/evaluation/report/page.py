"""The report on predictions as one HTML page."""

from __future__ import annotations

from typing import Any

from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.metrics import METRICS
from ecgqa.evaluation.report import sections
from ecgqa.evaluation.report.findings import Example, Findings
from ecgqa.evaluation.report.markup import document, paragraph, plain, section, table, text
from ecgqa.evaluation.wording import group_name

NAVIGATION = (
    ("leaderboard", "All runs"), ("types", "Question types"), ("tests", "Paired tests"), ("attributes", "Attributes"),
    ("templates", "Templates"), ("verify", "Verify"), ("calibration", "Calibration"), ("outcomes", "Outcomes"),
    ("examples", "Examples"), ("scored", "What was scored"), ("definitions", "Definitions"),
)  # fmt: skip


def page(findings: Findings) -> str:
    """The whole page."""
    body = [
        sections.leaderboard(findings),
        sections.by_group(
            findings, "types", "Question types", "question_type",
            "The seven question types of the ECG-QA paper: one ECG, two consecutive ECGs of a patient, or two ECGs "
            "of different patients; verify (yes or no), choose (one, both or none of two) and query (any number of "
            "answers).",
            with_table=True,
        ),
        sections.paired_tests(findings),
        sections.by_group(
            findings, "attributes", "Attribute types", "attribute_type", "What the question is about.", with_table=False
        ),
        sections.by_group(
            findings, "templates", "Templates", "template", "Each question template that occurs.", with_table=False
        ),
        sections.worst(findings),
        sections.confusion(findings),
        sections.calibration(findings),
        sections.outcomes(findings),
        sections.answer_classes(findings),
        _examples(findings),
        _scored(findings),
        _definitions(),
    ]  # fmt: skip
    about = findings.scores.about
    lead = (
        f"{about['n_questions']:,} questions about {about['n_ecgs']:,} ECGs; {_listed(about['splits'])} split, "
        f"{_listed(about['versions'])} wording, subset: {about['subset']}"
    )
    return document(
        findings.title, lead, body, NAVIGATION, headline=sections.headline(findings),
        ending="its numbers are in scores.json beside it",
    )  # fmt: skip


def _examples(findings: Findings) -> str:
    if not findings.examples:
        return ""
    explain = "A few questions picked by fixed seed, to show what the numbers count. Not typical, not chosen by hand."
    return section("examples", "Examples", paragraph(explain), *(_example(example) for example in findings.examples))


def _example(example: Example) -> str:
    sample = example.sample
    rows = []
    for given in example.answers:
        mark = (
            '<span class="mark-right">right</span>'
            if given["right"]
            else f'<span class="mark-wrong">{text(given["why"])}</span>'
        )
        rows.append(
            (
                "baseline" if given["run"] in BASELINES else "",
                given["run"],
                [plain(given["answer"]), f"<td>{mark}</td>"],
            )
        )
    facts = (
        f"{group_name(sample['question_type'])}, template {sample['template_id']}, {sample['split']} sample "
        f"{sample['sample_id']}, ECG {' and '.join(map(str, sample['ecg_id']))}"
    )
    pictures = "".join(
        f'<figure><img src="{uri}" alt="Twelve-lead drawing of ECG {ecg_id}">'
        f"<figcaption>ECG {ecg_id}, 25 mm/s, 10 mm/mV</figcaption></figure>"
        for ecg_id, uri in example.drawings
    )
    return (
        f"<article><small>{text(example.kind)}</small><h3>{text(sample['question'])}</h3>"
        f"<p><small>{text(facts)}</small></p>"
        f"<p>Candidates: {text('; '.join(sample['candidates']))}</p>"
        f"<p><strong>Right: {text('; '.join(sample['answer']))}</strong></p>"
        f"{table(['run', 'answer', ''], rows, caption='Answers given', kind='text')}{pictures}</article>"
    )


def _scored(findings: Findings) -> str:
    about = findings.scores.about
    facts: list[tuple[str, Any]] = [
        ("questions", about.get("questions", "given as a table")),
        ("data set", about.get("dataset", "not stated")),
        ("split", _listed(about["splits"])),
        ("wording", _listed(about["versions"])),
        ("subset", f"{about['subset']}, n = {about['n_questions']:,} questions, {about['n_ecgs']:,} ECGs"),
        ("templates, answer classes", f"{about['n_templates']}, {about['n_answer_classes']}"),
        ("digest of the questions", about["questions_digest"]),
        ("predictions", _listed(map(str, about.get("predictions", [])))),
        ("intervals", f"95 %, {about['n_resamples']:,} resamples of ECGs, seed {about['seed']}"),
    ]  # fmt: skip
    listed = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts if value)
    again = (
        f"<h3>The same report again</h3><pre><code>{text(findings.command)}</code></pre>" if findings.command else ""
    )
    return section("scored", "What was scored", f'<dl class="facts">{listed}</dl>', again)


def _definitions() -> str:
    rows = [
        ("", f"{metric.title} ({name})", [plain(metric.definition), f"<td><code>{text(metric.formula)}</code></td>"])
        for name, metric in METRICS.items()
    ]
    explained = (
        "Intervals: ECGs, not questions, are drawn with replacement; a question counts as often as its ECG was drawn, "
        "one about two ECGs as often as both together (product; pigeonhole bootstrap, Owen 2007), which makes "
        "intervals of comparison questions rather too wide than too narrow. Percentiles 2.5 and 97.5, widened where "
        "needed to hold the estimate. AUROC and average precision: resampled through the influence of each question "
        "(first order). A fraction seen as 0 or 100 % gets the exact binomial interval with one trial per ECG. "
        "c: candidate options without 'none'; s_c: score of option c; TP, FP, FN, TN count options."
    )
    runs = [("", name, [plain(baseline.definition)]) for name, baseline in BASELINES.items()]
    return section(
        "definitions", "Definitions",
        table(["metric", "definition", "formula"], rows, caption="Metrics", kind="text"),
        paragraph(explained),
        table(["baseline", "answer"], runs, caption="Baselines; none of them sees an ECG", kind="text"),
    )  # fmt: skip


def _listed(values: Any) -> str:
    return ", ".join(values)
