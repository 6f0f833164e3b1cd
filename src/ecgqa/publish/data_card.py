"""The data card: what a question set holds, how it was made, whose it is, and what it is not for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecgqa import __version__
from ecgqa.evaluation.report.markdown import plain, text_table
from ecgqa.evaluation.wording import group_name, number
from ecgqa.publish.origin import Origin
from ecgqa.questions.statistics import QuestionStatistics
from ecgqa.records import Split, Version

if TYPE_CHECKING:
    from ecgqa.publish.hugging_face import Config

SPLIT_NAMES = {Split.TRAIN.value: "train", Split.VALID.value: "validation", Split.TEST.value: "test"}
"""What the Hub calls our splits; the column `split` keeps our names."""

_SOURCES = {
    "ptbxl": "PTB-XL: 12-lead ECGs of 10 s, recorded 1989 to 1996, read by cardiologists",
    "mimic-iv-ecg": "MIMIC-IV-ECG: 12-lead ECGs of 10 s, with the statements of the recording machine",
    "synthetic": "a synthetic cohort of ecgqa: no ECG is of a person",
}


def data_card(title: str, counted: QuestionStatistics, origin: Origin, configs: Sequence[Config]) -> str:
    """The card as Markdown."""
    patients = "" if counted.n_patients is None else f" of {counted.n_patients:,} patients"
    parts = [
        f"# {plain(title)}",
        f"{counted.n_questions:,} questions in English about {counted.n_ecgs:,} 12-lead ECGs{patients}, with the "
        "right answers and the answers that may be given. Seven kinds of question: one ECG, two ECGs of a patient in a "
        "row, or two ECGs of different patients; yes or no, one or both or none of two, any number of a list.",
        "**Research use only, not for clinical use.** The answers follow statements and measurements by fixed rules; "
        "they are not a diagnosis, and a model that gives them is not a medical device.",
        "## Load",
        _load(configs),
        "## What is in it",
        text_table(
            ["configuration", "split", "rows"],
            [(config.name, SPLIT_NAMES[split], f"{n:,}") for config in configs for split, n in config.rows.items()],
        ),
        _kinds(counted),
        *(
            f"### Columns of {_named(same)}\n\n"
            + text_table(
                ["column", "meaning"],
                [
                    (name, column.meaning + (f", {column.unit}" if column.unit else ""))
                    for name, column in same[0].columns.items()
                ],
            )
            for same in _alike(configs)
        ),
        "## How it was made",
        f"ECGs: {_SOURCES.get(origin.source, plain(origin.source))}. The 70 templates and their answer spaces are "
        f"those of ECG-QA. Written by ecgqa {__version__}; docs/construction.md of ecgqa states each rule.",
        "## Known limits",
        _limits(counted),
        "## Licence and citation",
        _licence(origin),
    ]
    return "\n\n".join(parts) + "\n"


def _load(configs: Sequence[Config]) -> str:
    name = configs[0].name
    lines = [
        "import numpy as np",
        "from datasets import load_dataset",
        "",
        f'questions = load_dataset("FOLDER", "{name}", split="train")',
    ]
    if any(config.name == "ecgs" for config in configs):
        lines += [
            'ecg = load_dataset("FOLDER", "ecgs", split="train")[0]',
            'signal = np.frombuffer(ecg["signal"], "<i2").reshape(12, -1)      # I, II, III, aVR, aVL, aVF, V1-V6',
            'signal_mv = signal / np.array(ecg["gain_per_mv"])[:, None]          # -32768 marks a missing sample',
        ]
    return "```python\n" + "\n".join(lines) + "\n```"


def _kinds(counted: QuestionStatistics) -> str:
    """Questions of each kind, with the most frequent answer: what a model that sees no ECG gets right."""
    best: dict[str, int] = {}
    for template in counted.answers:
        best[template.question_type] = best.get(template.question_type, 0) + template.answers[0][1]
    samples = {kind: sum(template.n for template in counted.answers if template.question_type == kind) for kind in best}
    rows = [
        (group_name(count.name), f"{count.n:,}", f"{number(count.n / counted.n_questions)} %",
         f"{number(best[count.name] / samples[count.name])} %")
        for count in counted.question_types
    ]  # fmt: skip
    return text_table(["kind of question", "questions", "share", "most frequent label of its template"], rows)


def _alike(configs: Sequence[Config]) -> list[list[Config]]:
    """Configurations grouped by their columns."""
    groups: dict[tuple[str, ...], list[Config]] = {}
    for config in configs:
        groups.setdefault(tuple(config.columns), []).append(config)
    return list(groups.values())


def _named(configs: Sequence[Config]) -> str:
    return " and ".join(config.name for config in configs)


def _limits(counted: QuestionStatistics) -> str:
    reuse = ", ".join(f"{split} {spread.median:,.4g}" for split, spread in counted.ecg_reuse.items())
    lines = [f"- ECGs are asked about many times (median: {reuse}): resample ECGs, not questions, for an interval."]
    for shared in counted.shared:
        if shared.what in ("ECGs", "patients"):
            lines.append(
                f"- {shared.n:,} of {shared.n_second:,} {shared.what} of {shared.second} are in {shared.first}, too."
            )
        elif Version.PARAPHRASED in shared.what and (shared.first, shared.second) == ("train", "test"):
            lines.append(f"- {shared.n:,} of {shared.n_second:,} distinct texts of test are in train, too.")
    if counted.n_patients is None:
        lines.append("- Whether a patient is in two splits cannot be told from these files.")
    lines.append("- A model that sees no ECG gets many questions right: compare with such baselines.")
    return "\n".join(lines)


def _licence(origin: Origin) -> str:
    lines = [f"- {part.title}: {part.licence}, <{part.licence_url}>" for part in origin.parts]
    if origin.licence == "other":
        lines.insert(
            0, f"- ECGs of {plain(origin.source)}: ask whoever gave them to you; their licence is not known here."
        )
    return "\n".join([*lines, "", "Please cite:", "", *(f"- {text}" for text in origin.citations)])
