"""`ask` with every reader: what is measured agrees with the truth, what is trained with its own predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.asking import AskedAnswer, FindingsReader, LanguageReader, MeasuringReader, TrainedReader, ask
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.llm.run import Caller
from ecgqa.records import ATTRIBUTES, LEADS
from ecgqa.signals.read import Ecg, read_ecg
from ecgqa.sources.synthetic.writer import write_cohort
from ecgqa.tables import read_table
from ecgqa.training.recipe import make_recipe
from support.llm_server import LlmServer


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort") / "cohort", n_patients=5, workers=1)


@pytest.fixture(scope="module")
def records(cohort: Path) -> list[Path]:
    return sorted(path.with_suffix("") for path in cohort.rglob("*.hea"))


def test_measured_answers_are_true(cohort: Path, records: list[Path]) -> None:
    truth = read_table(cohort / "attributes.parquet", ATTRIBUTES)
    right = n = 0
    for record in records:
        ecg, of_ecg = read_ecg(record), truth.filter(pl.col("ecg_id") == int(record.name[:5]))
        axis = of_ecg.filter(pl.col("attribute_type") == "heart_axis")["attribute"].item()
        n, right = n + 1, right + (ask([ecg], "What is the heart axis?", MeasuringReader()).reading.answer == [axis])
        for feature, value in of_ecg.filter(pl.col("attribute_type") == "numeric_feature").select(
            "attribute", pl.col("value").cast(pl.String)
        ).iter_rows():  # fmt: skip
            if value == "unknown":
                continue
            answered = ask([ecg], f"Is the {feature} within the normal range?", MeasuringReader())
            n, right = n + 1, right + (answered.reading.answer == ["yes" if value == "yes" else "no"])
    assert n > 35 and right / n > 0.85


def test_noise_is_found_in_its_lead(records: list[Path]) -> None:
    clean = read_ecg(records[0])
    digital = clean.digital.copy()
    drift = 900 * np.sin(2 * np.pi * 0.3 * np.arange(digital.shape[1]) / clean.fs_hz)
    digital[LEADS.index("V2")] += drift.astype(np.int16)
    ecg = Ecg(digital, clean.gain_per_mv, clean.fs_hz)
    answered = ask([ecg], "Which leads have baseline drift?", MeasuringReader())
    assert answered.reading.answer == ["lead V2"]
    assert ask([ecg], "Any baseline drift in lead V2?", MeasuringReader()).reading.answer == ["yes"]
    assert "lead V2: " in ask([ecg], "Any baseline drift in lead V2?", MeasuringReader()).as_text()


def test_what_cannot_be_measured_is_said(records: list[Path]) -> None:
    ecg = read_ecg(records[0])
    with pytest.raises(EcgqaError, match="nothing trained was given") as error:
        ask([ecg], "Is there atrial fibrillation?", MeasuringReader())
    assert "--classifier" in str(error.value) and "atrial fibrillation" in str(error.value)
    flat = Ecg(np.zeros_like(ecg.digital), ecg.gain_per_mv, ecg.fs_hz)
    with pytest.raises(EcgqaError, match="measured well enough"):
        ask([flat], "How long is the PR interval?", MeasuringReader())


def test_questions_that_do_not_fit(records: list[Path]) -> None:
    ecg = read_ecg(records[0])
    with pytest.raises(EcgqaError, match="not understood") as error:
        ask([ecg], "How old is the patient?", MeasuringReader())
    assert "stage of infarction" in str(error.value)  # the nearest are named
    with pytest.raises(EcgqaError, match="asks about two ECGs"):
        ask([ecg], "Which numeric features are still abnormal in the second ECG?", MeasuringReader())
    with pytest.raises(EcgqaError, match="asks about one ECG"):
        ask([ecg, ecg], "What is the heart axis?", MeasuringReader())
    with pytest.raises(EcgqaError, match="one ECG or two"):
        ask([ecg] * 3, "What is the heart axis?", MeasuringReader())
    with pytest.raises(EcgqaError, match="no question"):
        ask([ecg], " ", MeasuringReader())


def test_two_ecgs_are_compared(records: list[Path]) -> None:
    ecg = read_ecg(records[0])
    for feature in ("rr interval", "qt interval"):
        single = ask([ecg], f"Is the {feature} within the normal range?", MeasuringReader()).reading.answer
        pair = ask([ecg, ecg], f"Relative to the first ECG, is the {feature} still normal in the second ECG?",
                   MeasuringReader())  # fmt: skip
        assert pair.reading.answer == single and len(pair.measured) == 2


def test_a_classifier_answers_by_its_findings(tmp_path: Path) -> None:
    from ecgqa.store import open_store
    from ecgqa.training import train
    from ecgqa.training.findings import predict_findings
    from support.tiny_findings import build_findings_store, findings_recipe

    store = build_findings_store(tmp_path)
    run = train(findings_recipe(store), tmp_path / "run")
    opened, reader = open_store(store), FindingsReader(run)
    table = predict_findings(run, store, leads="each")
    for ecg_id in (1, 2, 7):
        ecg = opened.ecg(ecg_id)
        answered = ask([ecg], "Which leads have baseline drift?", reader)
        shown = table.filter(pl.col("ecg_id") == ecg_id, pl.col("attribute") == "baseline drift",
                             pl.col("probability") > pl.col("threshold"))["leads"].to_list()  # fmt: skip
        expected = [f"lead {lead}" for place, lead in enumerate(LEADS) if 1 << place in shown]
        assert answered.reading.answer == (expected or ["none"])
        assert {one.leads for one in answered.reading.findings} == {f"lead {lead}" for lead in LEADS}
        json.dumps(answered.as_json())
    assert "sinus rhythm" in ask([opened.ecg(1)], "Is there sinus rhythm?", reader).as_text()
    pytest.importorskip("inspect_ai")
    with LlmServer(
        lambda prompt, _: "lead V1" if prompt.count("Interpretation of the ECG in lead") == 12 else ""
    ) as llm:
        caller = Caller("test-model", base_url=llm.url, retries=0)
        shown = LanguageReader(caller, "findings", findings=reader)
        assert ask([opened.ecg(1)], "Which leads have baseline drift?", shown).reading.answer == ["lead V1"]
    with pytest.raises(EcgqaError, match="no ECG 999"):
        opened.ecg(999)
    with pytest.raises(EcgqaError, match="sampling rate"):
        ask([Ecg(opened.ecg(1).digital, opened.ecg(1).gain_per_mv, 500.0)], "Is there sinus rhythm?", reader)


@pytest.mark.parametrize("model", ["ecg_transformer", "ecgqa"])
def test_a_trained_model_answers_as_it_predicts(model: str, tmp_path: Path) -> None:
    from ecgqa.store import open_store
    from ecgqa.training import predict, train
    from support.tiny_recipe import tiny_recipe
    from support.tiny_store import build_tiny_store

    store = build_tiny_store(tmp_path)
    recipe = tiny_recipe(store, run__steps=20)
    if model == "ecgqa":  # what it says of a candidate depends on the others
        settings = {
            "name": "sets",
            "model": {"name": "ecgqa"},
            "objective": {"name": "question_answering", "loss": "sets"},
        }
        run_settings = {"steps": 20, "batch_size": 16, "eval_every": 10, "device": "cpu", "threads": 1}
        recipe = make_recipe({**settings, "data": {"vocab_size": 100}, "run": run_settings}, {"data.store": str(store)})
    run = train(recipe, tmp_path / "run")
    reader, opened = TrainedReader(run), open_store(store)
    rows, questions = predict(run, store, split="test"), opened.questions("test")
    for row, question in zip(rows.iter_rows(named=True), questions.iter_rows(named=True), strict=True):
        ecgs = [opened.ecg(ecg_id) for ecg_id in question["ecg_id"]]
        options = [option for option in question["candidates"] if option != "none"]
        found = reader._answerer.probabilities(question["question"], ecgs, options)
        assert list(found) == options and list(found.values()) == pytest.approx(row["scores"], abs=1e-5)
    answered = ask([opened.ecg(1)], "Is there left axis deviation?", reader)
    assert set(answered.reading.scores) == {"yes", "no"} and answered.reading.answer[0] in ("yes", "no", "none")


def test_a_language_model_is_shown_the_measurements(
    records: list[Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("inspect_ai")

    def script(prompt: str, attempt: int) -> str:
        assert "ventricular rate: " in prompt and str(records[0].name[:5]) not in prompt
        return "The QT is long.\n\n**Answer:** yes"

    with LlmServer(script) as server:
        caller = Caller("test-model", base_url=server.url, retries=0)
        answered = ask([read_ecg(records[0])], "Is the QTc prolonged?", LanguageReader(caller, style="cot"))
        assert answered.reading.answer == ["yes"] and "The QT is long" in answered.as_text()
        command = ["ask", str(records[0]), "Is the QTc prolonged?", "--model", "test-model", "--base-url", server.url]
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["answer"] == ["yes"]
    with LlmServer(lambda *_: {"status": 400}) as server:
        caller = Caller("test-model", base_url=server.url, retries=0)
        with pytest.raises(EcgqaError, match="did not answer"):
            ask([read_ecg(records[0])], "Is the QTc prolonged?", LanguageReader(caller))


def test_the_command(records: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = map(str, records[:2])
    drawing = tmp_path / "out" / "beats.png"
    assert main(["ask", one, "What is the heart axis?", "--plot", str(drawing)]) == 0
    out = capsys.readouterr().out
    assert "heart axis: " in out and "template 22" in out and "Research use only" in out
    assert drawing.read_bytes()[:4] == b"\x89PNG"
    question = "Which numeric features are still normal in the second ECG relative to the first ECG?"
    assert main(["ask", one, two, question, "--plot", str(drawing)]) in (0, 1)
    for words, told in (
        (["ask", str(tmp_path / "nowhere"), "What is the axis?"], "no such file"),
        (["ask", one], "a record and a question"),
        (["ask", one, "what", "is", "the", "axis"], "in quotes"),
        (["ask", one, "What is the axis?", "--run", "a", "--classifier", "b"], "one reader"),
        (["ask", one, "What is the axis?", "--run", str(tmp_path)], "no trained model"),
    ):
        capsys.readouterr()
        assert main(words) == 1
        assert told in capsys.readouterr().err


def test_the_beats_are_marked_in_the_drawing(records: list[Path]) -> None:
    answered: AskedAnswer = ask([read_ecg(records[0])], "Is there noise?", MeasuringReader())
    lines = [
        one for one in answered.draw().axes[0].collections if len(one.get_segments()) >= answered.measured[0].n_beats
    ]
    assert answered.measured[0].n_beats > 4 and len(lines) >= 3  # two grids, and the beats
