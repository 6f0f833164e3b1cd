"""The statistics of a question set as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from ecgqa.evaluation.report.markup import details, document, paragraph, plain, section, table
from ecgqa.evaluation.report.plots import bar_rows, legend
from ecgqa.evaluation.wording import group_name, number
from ecgqa.questions.statistics import Count, Pair, QuestionStatistics, Spread
from ecgqa.questions.wording import built_in_wording

NAVIGATION = (
    ("types", "Question types"), ("attributes", "Attribute types"), ("templates", "Templates"), ("answers", "Answers"),
    ("reuse", "Reuse of ECGs"), ("texts", "Texts"), ("together", "Labels together"), ("shared", "Leaks"),
)  # fmt: skip
N_ANSWERS = 12
"""Labels of a template that are drawn; the others are one bar."""


def question_page(counted: QuestionStatistics, title: str) -> str:
    """The whole page."""
    patients = "" if counted.n_patients is None else f" of {counted.n_patients:,} patients"
    lead = f"{counted.n_questions:,} questions ({counted.n_samples:,} samples) about {counted.n_ecgs:,} ECGs{patients}"
    sections = [
        _by_part("types", "Question types", counted, counted.question_types, {}),
        _by_part("attributes", "Attribute types", counted, counted.attribute_types, {}),
        _by_part(
            "templates", "Templates", counted, counted.templates,
            {str(number): wording.plain for number, wording in built_in_wording().items()},
        ),
        _answers(counted),
        section(
            "reuse", "Reuse of ECGs",
            paragraph("How many questions ask about one ECG; a comparison asks about both of its ECGs."),
            _spreads("split", counted.ecg_reuse),
        ),
        section(
            "texts", "Texts",
            paragraph("Distinct: " + ", ".join(f"{name} {n:,}" for name, n in counted.texts.items()) + "."),
            _spreads("words of a question", counted.words),
        ),
        _together(counted),
        _shared(counted),
    ]  # fmt: skip
    return document(title, lead, sections, NAVIGATION)


def part_names(counted: QuestionStatistics) -> list[str]:
    """Names of the parts: the split, and the wording where there are two."""
    versions = {version for version, _ in counted.parts}
    return [split if len(versions) == 1 else f"{split}, {version}" for version, split in counted.parts]


def _by_part(name: str, title: str, counted: QuestionStatistics, counts: Sequence[Count], notes: dict[str, str]) -> str:
    parts = part_names(counted)
    series = {part: place % 5 for place, part in enumerate(parts)}
    bars = [
        (
            group_name(count.name) if name != "templates" else f"Template {count.name}",
            notes.get(count.name, ""),
            [(series[part], part, n) for part, n in zip(parts, count.by_part, strict=True)],
        )
        for count in counts
    ]
    rows = [
        ("", group_name(count.name), [plain(f"{n:,}") for n in (count.n, *count.by_part)])
        for count in counts
    ]  # fmt: skip
    shown = table(["", "all", *parts], rows, caption=f"{title}, number of questions")
    legend_of_parts = legend([(place, part) for part, place in series.items()]) if len(parts) > 1 else ""
    return section(name, title, legend_of_parts, bar_rows(bars, title), details("As a table", shown))


def _answers(counted: QuestionStatistics) -> str:
    parts = [
        paragraph(
            "The right answers of each template. A question may have several, so shares can add up to more than 100 %."
        )
    ]
    for template in counted.answers:
        shown = [(label, n) for label, n in template.answers[:N_ANSWERS]]
        rest = template.answers[N_ANSWERS:]
        bars = [(label, f"{number(n / template.n)} %", [(0, "questions", n)]) for label, n in shown]
        if rest:
            bars.append((f"{len(rest)} others", "", [(4, "together", sum(n for _, n in rest))]))
        wording = built_in_wording().get(template.template_id)
        none = f", {number(template.n_none / template.n)} % none" if template.n_none else ""
        asked = wording.plain if wording else ""
        title = (
            f"Template {template.template_id}, {group_name(template.question_type)}: {asked} "
            f"({template.n:,} questions, {len(template.answers)} answers{none})"
        )
        parts.append(details(title, bar_rows(bars, title)))
    labels = [(count.name, [plain(f"{count.n:,}")]) for count in counted.n_answers]
    rows = [("", "none" if name == "0" else name, cells) for name, cells in labels]
    return section("answers", "Answers", *parts, table(["labels right at once", "questions"], rows, caption="Labels"))


def _spreads(first: str, spreads: dict[str, Spread]) -> str:
    head = [first, "n", "mean", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"]
    rows = [
        ("", name, [plain(f"{spread.n:,}"), *(plain(f"{value:,.4g}") for value in (spread.mean, *spread.quantiles))])
        for name, spread in spreads.items()
    ]
    return table(head, rows, caption="Mean and quantiles")


def _together(counted: QuestionStatistics) -> str:
    parts = []
    for title, pairs in (
        ("Right together in one question", counted.answer_pairs),
        ("Shown together by one ECG", counted.attribute_pairs),
    ):
        if pairs:
            parts.append(table(["", "n", "of the first", "either has both"], _pair_rows(pairs), caption=title))
    return section("together", "Labels together", *parts) if parts else ""


def _pair_rows(pairs: Sequence[Pair]) -> list[tuple[str, str, list[str]]]:
    return [
        (
            "",
            f"{pair.first} + {pair.second}",
            [plain(f"{pair.n:,}"), plain(f"{number(pair.n / pair.n_first)} %"), plain(f"{number(pair.jaccard)} %")],
        )
        for pair in pairs
    ]


def _shared(counted: QuestionStatistics) -> str:
    if not counted.shared:
        return ""
    rows = [
        (
            "",
            f"{shared.what} of {shared.second} that are in {shared.first}, too",
            [plain(f"{shared.n:,}"), plain(f"{shared.n_second:,}"), plain(f"{number(shared.n / shared.n_second)} %")],
        )
        for shared in counted.shared
    ]
    explained = (
        "An ECG or a patient in two splits is a leak. Template questions read the same in every split, and train and "
        "valid share their paraphrases; those of test are its own, so a paraphrase of test that is in train is a leak."
    )
    if counted.n_patients is None:
        explained += " Patients are not known here: give the records."
    return section(
        "shared", "Leaks between splits", paragraph(explained),
        table(["", "shared", "of", "part"], rows, caption="What two splits have in common"),
    )  # fmt: skip
