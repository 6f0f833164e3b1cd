"""Each thing that can be wrong with a dataset is found, named with its place, and nothing else is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from released_samples import Sample, pair, sample, valid_samples, write_ptbxl_records, write_root

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.questions.check import CheckReport, check_dataset
from ecgqa.questions.check_splits import check_patients
from ecgqa.questions.findings import Findings, Severity
from ecgqa.questions.mapping import map_dataset

TRAIN = "{}/train/00000.json"


def both(template: list[Sample], paraphrased: list[Sample] | None = None) -> dict[str, list[Sample] | bytes]:
    return {TRAIN.format("template"): template, TRAIN.format("paraphrased"): paraphrased or template}


def codes(report: CheckReport, severity: Severity | None = None) -> set[str]:
    return {item.code for item in report.findings.items if severity in (None, item.severity)}


def finding(report: CheckReport, code: str) -> Any:
    (found,) = [item for item in report.findings.items if item.code == code]
    return found


def test_a_valid_dataset_has_no_errors_or_warnings(tmp_path: Path) -> None:
    report = check_dataset(write_root(tmp_path))
    assert codes(report) == {"patients-not-checked"}
    assert report.n_errors == 0
    assert report.n_samples == {"template/train": 4, "paraphrased/train": 4}
    assert report.release.name == "unknown"


CHOOSE = {"template_id": 30, "question_id": 1770, "question_type": "single-choose"}
BOTH_NOISES = ["static noise", "burst noise"]
WRONG_SAMPLES: dict[str, list[tuple[str, Sample]]] = {
    "template-unknown": [("unknown template", {"template_id": 71})],
    "template-unlisted": [("template without a row", {"template_id": 27})],
    "question-type-unknown": [("no such type", {"question_type": "single-guess"})],
    "question-type-mismatch": [("query instead of verify", {"question_type": "single-query"})],
    "attribute-type-unknown": [("no such type", {"attribute_type": "colour"})],
    "attribute-type-mismatch": [("axis instead of noise", {"attribute_type": "heart_axis"})],
    "answer-empty": [("empty", {"answer": []})],
    "answer-twice": [("twice", {"answer": ["yes", "yes"]})],
    "answer-unlisted": [("not listed", {"answer": ["maybe"]}), ("not in this template", {"answer": ["not sure"]})],
    "none-combined": [("with none", {**CHOOSE, "attribute": BOTH_NOISES, "answer": ["static noise", "none"]})],
    "verify-answer": [("two", {"answer": ["yes", "no"]}), ("a name", {"answer": ["static noise"]})],
    "choose-answer": [("not asked", {**CHOOSE, "attribute": ["static noise", "hum"], "answer": ["burst noise"]})],
    "choose-attributes": [
        ("one", {**CHOOSE, "attribute": ["static noise"], "answer": ["none"]}),
        ("the same", {**CHOOSE, "attribute": ["static noise"] * 2, "answer": ["none"]}),
        ("three", {**CHOOSE, "attribute": [*BOTH_NOISES, "hum"], "answer": ["none"]}),
    ],
    "ecg-count": [("two for a single", {"ecg_id": [1, 2]}), ("one for a pair", pair(4, ecg_id=[1]))],
    "attribute-missing": [("null", {"attribute": None}), ("empty", {"attribute": []})],
    "attribute-unexpected": [("a pair with one", pair(4, attribute=["qt interval"], ecg_id=[2, 1]))],
    "question-blank": [("empty", {"question": ""}), ("blank", {"question": " \t "})],
    "placeholder": [
        ("unfilled", {"question": "Is there noise in ${lead}?"}),
        ("braces", {"question": "Is {noise1} on?"}),
    ],
    "question-spaces": [("double", {"question": "Is  it?"}), ("trailing", {"question": "Is it? "})],
    "pair-same-ecg": [("twice the same", pair(4, ecg_id=[2, 2]))],
    "ecg-not-in-split-first": [("unlisted", {"ecg_id": [99]}), ("of valid", {"ecg_id": [11]})],
    "ecg-not-in-split-second": [("unlisted", pair(4, ecg_id=[1, 99]))],
    "pair-across-splits": [("train and valid", pair(4, ecg_id=[1, 11]))],
    "sample-id-gap": [("gap", {"sample_id": 6})],
    "sample-id-twice": [("twice", {"sample_id": 3})],
    "sample-id-order": [("back", {"sample_id": 1})],
    "shard-border": [("beyond", {"sample_id": 10_000})],
    "question-id-template": [("two templates", {"question_id": 2472})],
    "question-id-attribute": [("two attributes", {"attribute": ["burst noise"]})],
    "question-id-text": [("two wordings", pair(4, ecg_id=[2, 1], question="Which features?"))],
    "contradiction": [("other answer", {"ecg_id": [1], "answer": ["no"]})],
    "duplicate": [("again", {"ecg_id": [1]})],
    "erratum-late-stage-question": [("1.0.0", {"question": "Is this late stage of myocardial infarction?"})],
    "erratum-late-stage-answer": [("1.0.1", {"answer": ["late stage of myocardial infarction"]})],
    "erratum-doubled-extrasystoles": [
        ("released", {"question": "Which, supraventricular extrasystoles or suprasupraventricular extrasystoles?"}),
        ("copies", {"question": "Which, ventricular extrasystoles or ventricular ventricular extrasystoles?"}),
    ],
    "erratum-idioventricualr": [("typing error", {"question": "Is it paroxysmal idioventricualr rhythm?"})],
}


@pytest.mark.parametrize(
    ("code", "changes"), [pytest.param(code, c, id=f"{code}: {n}") for code, cs in WRONG_SAMPLES.items() for n, c in cs]
)
def test_each_wrong_sample_is_found(tmp_path: Path, code: str, changes: Sample) -> None:
    wrong = sample(4, ecg_id=[3]) | changes
    report = check_dataset(write_root(tmp_path, both([*valid_samples(), wrong])))
    found = finding(report, code)
    by_question_id = {"question-id-template", "question-id-attribute", "question-id-text"}
    assert found.count >= (1 if code in by_question_id else 2)  # samples: once in each version
    if code not in by_question_id | {"shard-border"}:
        assert any(f"template/train/00000.json sample {wrong['sample_id']}" in text for text in found.examples)
    if found.severity is Severity.ERROR:
        assert report.n_errors > 0


@pytest.mark.parametrize(
    "good",
    [
        sample(4, ecg_id=[3], question="Is there static noise in lead V1?"),  # leads share a question id
        sample(
            4,
            **CHOOSE,
            ecg_id=[3],
            question="Which noise is it, burst noise or static noise?",  # the two options may be swapped
            attribute=["burst noise", "static noise"],
            answer=["none"],
        ),
        sample(
            4,
            template_id=40,
            question_id=9,
            question_type="single-choose",
            attribute_type="numeric_feature",
            attribute=["below the normal range of p duration", "within the normal range of p duration"],
            answer=["within the normal range"],
            question="Which range?",
        ),
        sample(4, template_id=1, question_id=1, attribute_type="scp_code", answer=["not sure"], question="Is it?"),
        pair(4, ecg_id=[2, 1], answer=["none"]),
        sample(4, ecg_id=[3], question="Is ST–T “odd” (>0.1 mV/5%)?"),
    ],
)
def test_what_the_release_does_is_not_reported(tmp_path: Path, good: Sample) -> None:
    report = check_dataset(write_root(tmp_path, both([*valid_samples(), good])))
    assert codes(report) == {"patients-not-checked"}


DISAGREEMENTS: list[tuple[str, Sample]] = [
    ("template-id", {"template_id": 1, "attribute_type": "scp_code"}),
    ("question-id", {"question_id": 1710}),
    ("attribute-type", {"attribute_type": "scp_code"}),
    ("answer-set", {"answer": ["no"]}),
    ("first", {"ecg_id": [2]}),
    ("second", pair(0, ecg_id=[1, 3])),
    ("attribute-text", {"attribute": ["burst noise"]}),
]


@pytest.mark.parametrize(("field", "changes"), DISAGREEMENTS)
def test_versions_must_agree(tmp_path: Path, field: str, changes: Sample) -> None:
    other = [sample(0) | changes, *valid_samples()[1:]]
    report = check_dataset(write_root(tmp_path, both(valid_samples(), other)))
    found = finding(report, f"versions-{field}")
    assert found.count == 1 and "sample 0" in found.examples[0]


def test_order_of_answers_and_wording_may_differ_between_versions(tmp_path: Path) -> None:
    other = [s | {"answer": s["answer"][::-1], "question": "Say: " + s["question"]} for s in valid_samples()]
    report = check_dataset(write_root(tmp_path, both(valid_samples(), other)))
    assert codes(report) == {"patients-not-checked"}


def test_samples_of_one_version_only(tmp_path: Path) -> None:
    report = check_dataset(write_root(tmp_path / "a", both(valid_samples(), valid_samples()[:3])))
    assert finding(report, "only-not-paraphrased").examples == ("template/train/00000.json sample 3",)
    report = check_dataset(write_root(tmp_path / "b", {"template/train/00000.json": valid_samples()}))
    assert "one-version" in codes(report)


def test_shards(tmp_path: Path) -> None:
    def run(name: str, parts: dict[str, list[Sample] | bytes]) -> CheckReport:
        return check_dataset(write_root(tmp_path / name, parts))

    report = run("first", {"template/train/00000.json": [sample(1)]})
    assert finding(report, "shard-first").examples == ("template/train/00000.json: first sample 1",)
    report = run("short", {f"template/train/{n:05d}.json": [sample(n)] for n in (0, 10_000)})
    assert finding(report, "shard-short").count == 1
    report = run("name", {"template/train/all.json": [sample(0)]})
    assert "shard-name" in codes(report)
    report = run("padding", {"template/train/00000.json": [sample(0)], "template/train/010000.json": [sample(10_000)]})
    assert "shard-padding" in codes(report)
    report = run("empty", {"template/train/00000.json": [sample(0)], "template/test/00000.json": b"[]"})
    assert "shard-empty" in codes(report, Severity.WARNING)


def test_split_lists(tmp_path: Path) -> None:
    def run(name: str, splits: dict[str, list[int]]) -> CheckReport:
        return check_dataset(write_root(tmp_path / name, splits=splits))

    assert finding(run("both", {"train": [1, 2], "test": [2, 3]}), "ecg-in-two-lists").examples == ("ECG 2",)
    assert finding(run("twice", {"train": [1, 2, 2]}), "split-list-twice").examples == ("2",)
    assert finding(run("none", {"valid": [5]}), "split-list-absent").examples == ("train_ecgs.tsv",)
    root = write_root(tmp_path / "damaged")
    (root / "train_ecgs.tsv").write_text("zero\tone\n")
    assert "split-list" in codes(check_dataset(root), Severity.ERROR)
    (root / "train_ecgs.tsv").write_text("1\t1\n0\t2\n")
    assert "split-list-index" in codes(check_dataset(root), Severity.WARNING)


def test_an_ecg_asked_about_in_two_splits(tmp_path: Path) -> None:
    parts: Any = {f"template/{split}/00000.json": [sample(0)] for split in ("train", "test")}
    report = check_dataset(write_root(tmp_path, parts))
    assert finding(report, "ecg-in-two-splits").examples == ("ECG 1",)


def test_answer_lists(tmp_path: Path) -> None:
    root = write_root(tmp_path / "a")
    (root / "answers.csv").write_text("index,class\n0,no\n1,No\n2,no\n")
    report = check_dataset(root)
    assert {"class-twice", "class-unlisted"} <= codes(report, Severity.ERROR)
    assert "erratum-case-slip" in codes(report, Severity.WARNING)
    (root / "answers.csv").unlink()
    assert "answer-lists" in codes(check_dataset(root), Severity.ERROR)


def test_structure_problems_are_counted_and_the_rest_is_checked(tmp_path: Path) -> None:
    bad = [sample(0), sample(1) | {"answer": "yes"}, sample(2) | {"answer": "no"}, sample(3, answer=["maybe"])]
    files = {"template/train/00000.json": bad, "template/valid/00000.json": b"[{", "template/test/00000.json": b"\xff"}
    report = check_dataset(write_root(tmp_path, files))  # type: ignore[arg-type]
    structure = [item for item in report.findings.items if item.code == "structure"]
    assert sorted(item.count for item in structure) == [1, 1, 2]
    assert finding(report, "answer-unlisted").examples[0].startswith("template/train/00000.json sample 3")


def test_all_files_broken(tmp_path: Path) -> None:
    report = check_dataset(write_root(tmp_path, {"template/train/00000.json": b"{}"}))
    assert report.n_errors == 1 and report.n_samples == {"template/train": 0}
    assert "structure" in report.as_text()


def patients(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"ecg_id": pl.Int64, "patient_id": pl.Int64, "day": pl.Int64}, orient="row")
    return frame.with_columns(pl.datetime(2000, 1, pl.col("day")).alias("recorded_at"))


def pairs(*rows: tuple[str, int, int]) -> pl.DataFrame:
    columns = {"file": pl.String, "sample_id": pl.Int64, "split": pl.String, "question_type": pl.String}
    return pl.DataFrame(
        [("f", number, "train", f"comparison_{kind}-query", a, b) for number, (kind, a, b) in enumerate(rows)],
        schema=columns | {"first": pl.Int64, "second": pl.Int64},
        orient="row",
    )


def test_patients_and_times() -> None:
    records = patients([(1, 7, 1), (2, 7, 2), (3, 8, 3), (4, 7, 2), (5, 9, 1)])

    def run(*rows: tuple[str, int, int], splits: dict[str, list[int]] | None = None) -> dict[str, tuple[str, ...]]:
        findings = Findings()
        check_patients(pairs(*rows), splits or {}, records, findings)
        return {item.code: item.examples for item in findings.items}

    assert run(("consecutive", 1, 2), ("irrelevant", 1, 3)) == {}
    assert run(("consecutive", 1, 3)) == {"consecutive-patients": ("f sample 0: ECGs 1 and 3",)}
    assert run(("consecutive", 2, 1)) == {"consecutive-order": ("f sample 0: ECGs 2 and 1",)}
    assert run(("consecutive", 2, 4)) == {"consecutive-same-time": ("f sample 0: ECGs 2 and 4",)}
    assert run(("irrelevant", 1, 2)) == {"irrelevant-patient": ("f sample 0: ECGs 1 and 2",)}
    assert run(("irrelevant", 1, 66)) == {"ecg-unknown": ("ECG 66",)}
    leak = run(splits={"train": [1, 3], "valid": [2], "test": [5]})
    assert leak == {"patient-in-two-splits": ("patient 7: ECGs 1, 2",)}


def test_mapped_dataset_with_gaps_on_purpose(tmp_path: Path) -> None:
    root, records = write_root(tmp_path / "q"), write_ptbxl_records(tmp_path / "e", [1])
    map_dataset(root, records=records, dest=tmp_path / "out", missing="skip")
    report = check_dataset(tmp_path / "out")
    assert codes(report) == {"patients-not-checked", "extra-key"}
    assert report.release.thinned


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({"question": "Is it at late stage of myocardial infarction?", "attribute": ["x"]}, "1.0.0"),
        ({"answer": ["late stage of myocardial infarction"]}, "1.0.1 (or 1.0.2 before May 2024)"),
    ],
)
def test_old_releases_are_told_by_the_late_stage(tmp_path: Path, changes: Sample, version: str) -> None:
    stage = sample(0, template_id=24, question_type="single-choose", attribute_type="stage_of_infarction") | changes
    report = check_dataset(write_root(tmp_path, {"template/train/00000.json": [stage]}))
    assert report.release.version == version


def test_the_withdrawn_mimic_version_is_told_by_its_answers(tmp_path: Path) -> None:
    root = write_root(tmp_path)
    names = ["AV-junctional rhythm", "wandering pacemaker", "rSr' type in V1 or V2", *map(str, range(182))]
    (root / "answers.csv").write_text("index,class\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    assert check_dataset(root).release.version == "1.0.2 before 2024-04-11 (withdrawn)"


def test_made_by_ecgqa(tmp_path: Path) -> None:
    root = write_root(tmp_path)
    (root / "manifest.json").write_text(json.dumps({"kind": "questions", "ecgqa_version": "0.1.0"}))
    assert check_dataset(root).release.name == "made by ecgqa"
    (root / "manifest.json").write_text("[" * 100_000)
    assert check_dataset(root).release.name == "unknown"


@pytest.mark.real_data
def test_a_release_with_a_shortened_shard(real_data: Path, tmp_path: Path) -> None:
    root = write_root(tmp_path, {"template/valid/60000.json": [sample(60_000, ecg_id=[2])]}, lists=False)
    for name in ("answers.csv", "answers_for_each_template.csv", "valid_ecgs.tsv"):
        (root / name).write_bytes((real_data / "ecgqa/ptbxl" / name).read_bytes())
    report = check_dataset(root)
    expected = ("template/valid/60000.json: 1 samples, 4,663 in the release",)
    assert finding(report, "shard-size").examples == expected


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = write_root(tmp_path / "a ü"), write_root(tmp_path / "b", both([sample(0, answer=["perhaps"])]))
    assert main(["questions", "check", str(good)]) == 0
    assert "0 errors" in capsys.readouterr().out
    target = tmp_path / "out" / "report.json"
    assert main(["questions", "check", str(bad), "--json", str(target)]) == 1
    shown = capsys.readouterr().out
    assert "[answer-unlisted] 2 x" in shown and "'perhaps'" in shown
    report = json.loads(target.read_text())
    assert report["counts"]["error"] == sum(f["count"] for f in report["findings"] if f["severity"] == "error")
    assert main(["questions", "check", str(tmp_path)]) == 1
    assert "no question dataset" in capsys.readouterr().err
    with pytest.raises(EcgqaError):
        check_dataset(good, records=tmp_path / "nothing")


KEYS = ["template_id", "question_id", "sample_id", "question_type", "attribute_type", "question", "answer", "ecg_id"]
VALUE: Callable[[], Any] = lambda: st.one_of(
    st.none(),
    st.integers(-5, 80),
    st.text(max_size=5),
    st.lists(st.integers(0, 12) | st.text(max_size=3), max_size=3),
    st.sampled_from(["single-choose", "comparison_consecutive-verify", "numeric_feature", ["none", "yes"], [1, 11]]),
)


@settings(max_examples=80, deadline=None)
@given(changes=st.lists(st.dictionaries(st.sampled_from([*KEYS, "attribute"]), VALUE(), max_size=3), max_size=4))
def test_no_dataset_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, changes: list[Sample]) -> None:
    samples = [sample(number) | change for number, change in enumerate(changes)]
    report = check_dataset(write_root(tmp_path_factory.mktemp("any"), both(samples)))
    assert json.dumps(report.as_json()) and report.as_text()


@pytest.mark.real_data
def test_released_shards_are_clean_and_recognised(real_data: Path) -> None:
    report = check_dataset(real_data / "ecgqa/ptbxl", records=real_data / "ptbxl")
    assert codes(report) == set()
    assert (report.release.source, report.release.version) == ("ptbxl", "1.0.2")
    assert report.completeness[0].startswith(
        "template/train: 1 of 27 shards, 10,000 of 267,539 samples; missing 000000"
    )
    report = check_dataset(real_data / "ecgqa/mimic-iv-ecg")
    assert codes(report) == {"erratum-case-slip", "split-list-absent", "patients-not-checked"}
    assert (report.release.source, report.release.version) == ("mimic-iv-ecg", "1.0.2")
