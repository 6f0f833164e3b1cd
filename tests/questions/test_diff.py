"""Released questions answered again: agreement, disagreements with their evidence, what cannot be answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from oracle import cohort

from ecgqa.attributes import collect_attributes
from ecgqa.attributes.build import write_attributes
from ecgqa.attributes.vocabulary import FEATURES, VOCABULARIES, ptbxl_vocabulary
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.questions.asked import AskedReader, lead_named
from ecgqa.questions.build import BuiltDataset, build_questions
from ecgqa.questions.diff import diff_questions
from ecgqa.questions.grid import question_grid
from ecgqa.questions.released import read_questions, write_dataset
from ecgqa.questions.sampling import Limits
from ecgqa.questions.wording import built_in_wording, fill
from ecgqa.records import ATTRIBUTES
from ecgqa.sources import open_source

TABLE, RECORDS = cohort(200, seed=8)
WORDS = ptbxl_vocabulary()


@pytest.fixture(scope="module")
def built() -> BuiltDataset:
    return build_questions(TABLE, RECORDS, seed=1, limits=Limits().scaled(0.04))


def test_built_questions_agree_with_the_attributes_they_were_built_from(built: BuiltDataset) -> None:
    report = diff_questions(built.questions, TABLE, RECORDS, WORDS)
    one_version = built.questions.filter(pl.col("version") == "template")
    everything = report.by_attribute_type()["all"]
    assert (everything.n, everything.agree, everything.not_understood) == (one_version.height, one_version.height, 0)
    assert set(report.by_template) == set(one_version["template_id"])
    assert not report.disagreements and not report.notes


def test_paraphrases_are_understood_too(built: BuiltDataset) -> None:
    paraphrased = built.questions.filter(pl.col("version") == "paraphrased")
    report = diff_questions(paraphrased, TABLE, RECORDS, WORDS)
    assert report.by_attribute_type()["all"].agree == paraphrased.height


def test_every_sentence_leads_back_to_its_question() -> None:
    reader = AskedReader(WORDS)
    for question in question_grid(WORDS):
        words = built_in_wording()[question.template.template_id]
        for swapped in (False, True) if question.template.form == "choose" else (False,):
            for sentence in (words.plain, words.paraphrases[-1]):
                asked = reader.read(question.template.template_id, None, fill(sentence, question, swapped=swapped))
                assert asked is not None and asked.question.name == question.name and asked.swapped == swapped


def test_a_wrong_answer_is_found_with_its_evidence(built: BuiltDataset) -> None:
    at = built.questions.with_row_index().filter(pl.col("version") == "template", pl.col("template_id") == 27)
    victim = at.row(0, named=True)
    wrong = ["no"] if victim["answer"] == ["yes"] else ["yes"]
    changed = built.questions.with_row_index().with_columns(
        pl.when(pl.col("sample_id") == victim["sample_id"], pl.col("split") == victim["split"])
        .then(pl.lit(wrong))
        .otherwise(pl.col("answer"))
        .alias("answer")
    )
    metadata = pl.DataFrame({"ecg_id": victim["ecg_id"], "static_noise": [" I-AVF,  "], "report": ["sinus rhythm"]})
    report = diff_questions(changed.drop("index"), TABLE, RECORDS, WORDS, metadata=metadata)
    (found,) = report.disagreements
    assert (found.template_id, found.ecg_id, found.given) == (27, victim["ecg_id"], wrong)
    assert found.ours == victim["answer"]
    (evidence,) = found.evidence
    assert any("any kind of noises = " in line and "(metadata)" in line for line in evidence["attributes"])
    assert evidence["source"] == {"static_noise": "I-AVF,"}
    assert f"ECG {victim['ecg_id'][0]}" in report.as_text() and "1 answer differs" in report.as_text()
    assert json.loads(json.dumps(report.as_json()))["disagreements"][0]["ours"] == victim["answer"]


def test_what_cannot_be_answered_is_counted_apart(built: BuiltDataset) -> None:
    some = built.questions.filter(pl.col("version") == "template", pl.col("template_id").is_in([27, 22]))
    without_axis = TABLE.filter(pl.col("attribute_type").cast(pl.String) != "heart_axis")
    report = diff_questions(some, without_axis, RECORDS, WORDS)
    n_axis = (some["template_id"] == 22).sum()
    assert (report.by_template[22].without_attributes, report.by_template[22].answerable) == (n_axis, 0)
    strange = some.with_columns(
        pl.lit("Is there an undulating rhubarb?").alias("question"), pl.lit(["rhubarb"]).alias("attribute")
    ).filter(pl.col("template_id") == 27)
    report = diff_questions(strange, TABLE, RECORDS, WORDS)
    assert report.by_template[27].not_understood == strange.height
    assert "rhubarb" in report.notes[0]
    elsewhere = some.filter(pl.col("template_id") == 27).with_columns(pl.lit([999_999]).alias("ecg_id"))
    assert diff_questions(elsewhere, TABLE, RECORDS, WORDS).by_template[27].answerable == 0


@pytest.mark.parametrize(
    ("text", "lead"),
    [
        ("Is there noise in lead aVL?", "lead aVL"),
        ("Does lead III show noise?", "lead III"),
        ("Does the V1 lead show noise?", "lead V1"),
        ("Is it seen in the limb leads?", "limb leads"),
        ("Can I see noise?", None),
        ("In lead I or lead II?", None),
    ],
)
def test_the_lead_of_a_sentence(text: str, lead: str | None) -> None:
    found = lead_named(text)
    assert (found.name if found else None) == lead


def test_the_attribute_field_decides_over_a_malformed_sentence() -> None:
    asked = AskedReader(WORDS).read(
        37,
        ("supraventricular extrasystoles", "ventricular extrasystoles"),
        "Which of both, supraventricular extrasystoles or suprasupraventricular extrasystoles?",
    )
    assert asked is not None
    assert set(asked.question.asked) == {"supraventricular extrasystoles", "ventricular extrasystoles"}
    assert asked.swapped  # the grid lists the ventricular ones first


def test_the_command(built: BuiltDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ecgqa.attributes.build import BuiltAttributes

    write_dataset(built.questions, tmp_path / "fragen ü", answers=built.answers, split_ecgs=built.split_ecgs)
    table = BuiltAttributes(TABLE, frozenset(RECORDS["ecg_id"]), "ptbxl")
    write_attributes(table, RECORDS, tmp_path / "attributes", inputs={}, config={})
    arguments = ["questions", "diff", str(tmp_path / "fragen ü"), str(tmp_path / "attributes")]
    assert main([*arguments, "--json", str(tmp_path / "diff.json")]) == 0
    assert "100.00 %" in capsys.readouterr().out
    assert json.loads((tmp_path / "diff.json").read_text())["by_template"]["27"]["not_understood"] == 0
    assert main([*arguments[:3], str(tmp_path / "nothing")]) == 1
    assert "no such folder" in capsys.readouterr().err


# -- the release ---------------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_released_noise_questions(real_data: Path) -> None:
    source = open_source(real_data / "ptbxl")
    table = collect_attributes(source, pool="released").attributes
    released = read_questions(real_data / "ecgqa" / "ptbxl")
    report = diff_questions(released, table, source.records(), WORDS)
    noise = report.by_attribute_type()["noise"]
    assert (noise.n, noise.agree) == (10_000, 10_000)
    numeric = report.by_attribute_type()["numeric_feature"]
    assert numeric.n == 4_663 and numeric.not_understood == 0


def _labels(questions: pl.DataFrame) -> pl.DataFrame:
    """Attribute rows that the answers to templates 68 to 70 imply, as far as they imply any."""
    abnormal: dict[tuple[int, str], bool] = {}
    for template_id, (first, second), answer in questions.select("template_id", "ecg_id", "answer").iter_rows():
        for feature in set(answer) - {"none"}:
            abnormal[first, feature] = template_id != 69
            abnormal[second, feature] = template_id != 68
    rows = [
        (ecg_id, "numeric_feature", feature, None, "no" if is_abnormal else "yes", None, None, "waveform")
        for (ecg_id, feature), is_abnormal in sorted(abnormal.items())
    ]
    return pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row")


@pytest.mark.real_data
def test_released_mimic_comparisons_fit_together(real_data: Path) -> None:
    """No signal is at hand there: the labels that the answers imply answer every question that they decide."""
    released = read_questions(real_data / "ecgqa" / "mimic-iv-ecg")
    table = _labels(released)
    ids = released["ecg_id"].explode().unique()
    records = pl.DataFrame({"ecg_id": ids, "patient_id": ids, "recorded_at": None}).with_columns(
        pl.col("recorded_at").cast(pl.Datetime("us"))
    )
    for version in ("template", "paraphrased"):
        report = diff_questions(released.filter(pl.col("version") == version), table, records, WORDS)
        numeric = report.by_attribute_type()["numeric_feature"]
        assert numeric.n == 4_364 and numeric.not_understood == 0
        assert numeric.answerable > 400
        assert numeric.agree == numeric.answerable
    assert set(table["attribute"]) == set(FEATURES)


@pytest.mark.real_data
@pytest.mark.parametrize("source", ["ptbxl", "mimic-iv-ecg"])
def test_released_question_ids_are_those_of_the_grid(real_data: Path, source: str) -> None:
    if source not in VOCABULARIES:
        pytest.skip(f"no vocabulary for {source}")
    reader = AskedReader(VOCABULARIES[source]())
    released = read_questions(real_data / "ecgqa" / source)
    n_asked = 0
    for template_id, question_id, text, attribute in (
        released.select("template_id", "question_id", "question", "attribute").unique().iter_rows()
    ):
        asked = reader.read(template_id, None if attribute is None else tuple(attribute), text)
        assert asked is not None and asked.question.question_id == question_id
        n_asked += 1
    assert n_asked >= 6


def test_plots_of_the_beats_behind_numeric_and_axis_answers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from ecgqa.questions.beat_plots import with_plots
    from ecgqa.questions.diff import DiffReport, Disagreement, diff_dataset
    from ecgqa.sources.synthetic.writer import write_wfdb

    time_s = np.arange(5000) / 500
    one = sum(1000 * np.exp(-0.5 * ((time_s - at) / 0.012) ** 2) for at in np.arange(0.6, 9.6, 0.8))
    for name in ("1", "3"):
        write_wfdb(tmp_path / name, np.tile(one, (12, 1)).astype(np.int16), 500)
    (tmp_path / "3.dat").write_bytes(b"cut")
    paths = {ecg_id: tmp_path / str(ecg_id) for ecg_id in (1, 3)}

    def differing(template_id: int, sample_id: int, ecgs: list[int], attributes: list[str]) -> Disagreement:
        evidence = [{"ecg_id": ecg_id, "attributes": []} for ecg_id in ecgs]
        return Disagreement("test", template_id, sample_id, "?", ecgs, ["yes"], ["no"], attributes, evidence)

    cases = [
        differing(39, 5, [1], ["above the normal range of p duration"]),
        differing(20, 6, [1], ["left axis deviation"]),
        differing(27, 7, [1], ["static noise"]),
        differing(68, 8, [2, 3], list(FEATURES)),
    ]
    found, notes = with_plots(cases, paths, "released", tmp_path / "plöts")
    plots = sorted(path.name for path in (tmp_path / "plöts").iterdir())
    assert plots == ["test_t20_6_ecg1.png", "test_t39_5_ecg1.png"]
    assert [["plot" in entry for entry in one.evidence] for one in found] == [[True], [True], [False], [False, False]]
    assert len(notes) == 2 and all(note.startswith("1 plots could not be drawn") for note in notes)
    assert f"plot: {tmp_path / 'plöts' / plots[1]}" in DiffReport(tmp_path, {}, found).as_text()
    with pytest.raises(EcgqaError, match="waveforms"):
        diff_dataset(tmp_path, tmp_path, plots=tmp_path / "x")
