"""Each address answers with what lies in the store and the tables beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import requests

from ecgqa.asking import MeasuringReader, ask
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.load import select
from ecgqa.evaluation.score import score
from ecgqa.explorer.explorer import Explorer, open_explorer
from ecgqa.records import FINDINGS
from ecgqa.signals.delineation import delineate
from ecgqa.store import open_store
from ecgqa.store.build import build_store
from ecgqa.tables import write_table
from support.served import served


def get(server: str, path: str, **parameters: object) -> dict:
    answer = requests.get(f"{server}/api/{path}", params=parameters, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_overview(server: str, explorer: Explorer) -> None:
    found = get(server, "overview")
    assert (found["n_questions"], found["n_ecgs"]) == (len(explorer.catalogue), explorer.store.n_ecgs)
    assert found["runs"] == ["chance", "majority_template", "question_only", "patchy"]
    assert found["has"] == {"attributes": True, "findings": False, "reports": True}
    assert found["reader"] is None


def test_pages_of_questions_are_the_whole_list(server: str, explorer: Explorer) -> None:
    first = get(server, "questions", split="valid")
    seen = []
    for page in range(1, -(-first["total"] // first["per_page"]) + 1):
        seen += get(server, "questions", split="valid", page=page)["questions"]
    expected = explorer.catalogue.frame.filter(pl.col("split") == "valid")
    assert [one["sample_id"] for one in seen] == expected["sample_id"].to_list()
    assert [one["question"] for one in seen] == expected["question"].to_list()
    assert get(server, "questions", split="valid", page=10_000)["questions"] == []


def test_a_question_with_everything_about_it(server: str, explorer: Explorer) -> None:
    frame = explorer.catalogue.frame
    row = frame.with_row_index("row").filter(
        pl.col("split") == "test", pl.col("version") == "paraphrased", pl.col("ecg_id").list.len() == 2
    )["row"][1]
    key, expected = explorer.catalogue.key(row), frame.row(row, named=True)
    found = get(server, "question/{split}/{version}/{sample_id}".format(**key), split="test", version="paraphrased")
    assert found["question"] == {name: value for name, value in expected.items() if name != "ecg_row"}
    assert [one["record"]["ecg_id"] for one in found["ecgs"]] == expected["ecg_id"]
    assert found["place"]["next"]["sample_id"] == explorer.catalogue.key(row + 1)["sample_id"]
    assert found["place"]["previous"]["sample_id"] == explorer.catalogue.key(row - 1)["sample_id"]
    replies = {one["run"]: one["reply"] for one in found["replies"]}
    assert len(replies["chance"]["scores"]) == len(found["options"])
    attributes = explorer.ecgs.attributes.filter(pl.col("ecg_id") == expected["ecg_id"][0])
    assert {one["attribute"] for one in found["ecgs"][0]["attributes"]} == set(attributes["attribute"])
    assert {one["origin"] for one in found["ecgs"][0]["attributes"]} == set(attributes["origin"].cast(pl.String))
    about = frame.filter(pl.col("ecg_row").list.contains(expected["ecg_row"][1])).height - 1
    assert found["ecgs"][1]["others"]["total"] == about
    reports = explorer.store.reports
    assert found["ecgs"][0]["report"] == reports.filter(pl.col("ecg_id") == expected["ecg_id"][0])["text"][0]
    outside = get(server, "question/{split}/{version}/{sample_id}".format(**key), split="train")
    assert outside["place"]["index"] is None


def test_samples_travel_unchanged(server: str, explorer: Explorer) -> None:
    answer = requests.get(f"{server}/api/ecg/5/signal", timeout=30)
    about = json.loads(answer.headers["X-Trace"])
    samples = np.frombuffer(answer.content, "<i2").reshape(12, about["n_samples"])
    assert np.array_equal(samples, explorer.store.signals[5])
    assert about["gain_per_mv"] == explorer.store.records["gain_per_mv"][5].to_list()
    assert about["fs_hz"] == explorer.store.fs_hz == 500


def test_beats_are_those_of_the_delineation(server: str, explorer: Explorer) -> None:
    found = get(server, "ecg/5/beats")
    expected = delineate(explorer.ecgs.ecg(5))
    assert found["n_beats"] == expected.n_beats > 3
    times = [None if sample < 0 else sample / 500 for sample in expected.point("t_offset").tolist()]
    assert found["consensus"]["t_offset"] == times
    assert found["by_lead"]["r_peak"]["V2"] == [
        None if sample < 0 else sample / 500 for sample in expected.point("r_peak", "V2").tolist()
    ]


def test_results_are_those_of_the_report(server: str, explorer: Explorer, predictions: pl.DataFrame) -> None:
    deadline = time.monotonic() + 60
    while (answer := requests.get(f"{server}/api/results", timeout=30)).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = answer.json()
    chosen = select(explorer.catalogue.frame, predictions)
    expected = score(chosen.questions, chosen.predictions)
    for run in expected.runs:
        mine = next(
            one
            for one in found["overall"]
            if (one["run"], one["metric"], one["breakdown"]) == (run, "em_candidates", "overall")
        )
        truth = expected.row(run, "em_candidates")
        assert (mine["value"], mine["low"], mine["high"]) == (truth["value"], truth["low"], truth["high"])
    assert found["confusion"] == expected.confusion.to_dicts()
    # One click from a cell of the confusion table stands exactly its questions.
    for cell in [one for one in found["confusion"] if one["run"] == "patchy"][:12]:
        if cell["given"] == "(failed)":  # counted as failed, since no row says what was answered
            continue
        listed = get(
            server, "questions", run=cell["run"], given=cell["given"], answer=cell["right"],
            question_type=cell["question_type"],
        )  # fmt: skip
        assert listed["total"] == cell["n_questions"], cell
    pair = next(one for one in found["pairs"] if one["n"])
    listed = get(server, "questions", agreement="pair", right=pair["right"], wrong=pair["wrong"])
    assert listed["total"] == pair["n"]
    assert set(listed["marks"][0]) <= {-1, 0, 1}


def test_asking_answers_as_ecgqa_ask_does(server: str, explorer: Explorer) -> None:
    for rows, question in (
        ([3], "is the QRS duration above the normal range?"),
        ([4, 9], "compared to the first ECG, is the RR interval of the second ECG longer?"),
    ):
        answer = requests.post(f"{server}/api/ask", json={"question": question, "ecgs": rows}, timeout=60)
        try:
            expected = ask([explorer.ecgs.ecg(row) for row in rows], question, MeasuringReader()).as_json()
        except EcgqaError as error:
            assert (answer.status_code, answer.json()["error"]) == (422, error.message)
            continue
        assert answer.status_code == 200 and answer.json() == json.loads(json.dumps(expected))
    assert expected
    for question, told in (("", "no question"), ("x" * 501, "too long"), ("what is the weather?", "not understood")):
        answer = requests.post(f"{server}/api/ask", json={"question": question, "ecgs": [3]}, timeout=60)
        assert answer.status_code == 422 and told in answer.json()["error"]
    for body in ({"question": "x"}, {"question": "x", "ecgs": []}, {"question": "x", "ecgs": [1, 2, 3]}, ["x"]):
        assert requests.post(f"{server}/api/ask", json=body, timeout=60).status_code == 422


def test_statistics_count_everything(server: str, explorer: Explorer) -> None:
    found = get(server, "stats")
    n = len(explorer.catalogue)
    for name in ("question_type", "attribute_type", "template", "n_answers", "words"):
        assert sum(row["n"] for row in found[name]) == n, name
    assert sum(row["n"] for row in found["reuse"]["classes"]) == explorer.store.n_ecgs
    held = {row["what"] for row in found["shared"]}
    assert {"ECGs", "patients"} < held
    assert all(row["n"] == 0 for row in found["shared"] if row["what"] in ("ECGs", "patients"))
    assert sum(row["n"] for row in found["question_type"]) == sum(
        sum(row["by_split"].values()) for row in found["question_type"]
    )
    both = next(row for row in found["together"])
    first, second = both["name"].split(" + ")
    together = explorer.store.questions().unique(["split", "sample_id"])["answer"]
    assert both["n"] == sum(first in answer and second in answer for answer in together.to_list())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("ecg/999999", "rows 0 to"),
        ("ecg/-1", "no number"),
        ("ecg/5/signals", "nothing at this address"),
        ("ecg/99999?by=id", "no ECG 99999"),
        ("question/test/template/abc", "no number"),
        ("question/nowhere/template/1", "no question nowhere"),
        ("questions?agreement=pair&right=chance&wrong=nobody", "no run"),
        ("questions?page=x", "no number"),
        ("results?split=nowhere", "no split"),
        ("results?split=train", "no run has predictions of train"),
        ("ecg/" + "a" * 32, "no longer kept"),
    ],
)
def test_errors_say_what_is_wrong(server: str, path: str, told: str) -> None:
    for _ in range(50):
        answer = requests.get(f"{server}/api/{path}", timeout=30)
        if answer.status_code != 202:
            break
        time.sleep(0.1)
    assert answer.status_code == 404
    found = answer.json()
    assert told in f"{found['error']} {found['expected']}"
    assert "Traceback" not in answer.text


def test_a_store_without_predictions_and_questions(bare: Explorer, tmp_path, exhibit) -> None:
    ecgs = build_store(tmp_path / "ecgs", records_root=exhibit.cohort, ecgs=[1, 2, 3])
    alone = Explorer(open_store(ecgs))
    with served(bare) as one, served(alone) as two:
        assert get(one.rstrip("/"), "questions")["runs"] == []
        answer = requests.get(f"{one}api/results", timeout=30)
        assert answer.status_code == 404 and "ecgqa predict" in answer.json()["fix"]
        assert get(two.rstrip("/"), "questions")["total"] == 0
        assert get(two.rstrip("/"), "stats")["n_questions"] == 0
        assert get(two.rstrip("/"), "ecg/2")["record"]["ecg_id"] == 3


def test_findings_stand_beside_a_question(exhibit, bare: Explorer, tmp_path) -> None:
    ecg_id = bare.ecgs.record(0)["ecg_id"]
    rows = [
        (ecg_id, 4095, "sinus rhythm", 0.9, 0.5),
        (ecg_id, 1, "q waves present", 0.4, 0.6),
        (ecg_id + 1, 4095, "x", 1, 0),
    ]
    table = pl.DataFrame(
        [
            {"source": "synthetic", "ecg_id": one, "split": "test", "leads": leads, "attribute": name,
             "probability": probability, "threshold": threshold, "label": None, "run": "classifier"}
            for one, leads, name, probability, threshold in rows
        ]
    )  # fmt: skip
    path = write_table(table, tmp_path / "findings.parquet", FINDINGS)
    found = open_explorer(exhibit.store, findings=path).ecg(0)["findings"]
    told = [(one["attribute"], one["leads"], round(one["probability"], 2), one["shown"]) for one in found]
    assert told == [("sinus rhythm", [], 0.9, True), ("q waves present", ["I"], 0.4, False)]


def test_what_does_not_belong_to_the_store_is_refused_at_the_start(
    exhibit, predictions: pl.DataFrame, tmp_path
) -> None:
    other = predictions.filter(pl.col("run") == "chance").with_columns(pl.col("sample_id") + 10**9)
    with pytest.raises(EcgqaError, match="belong to no question"):
        Explorer(open_store(exhibit.store), other).check(patience_s=30)
    with pytest.raises(EcgqaError):
        open_explorer(exhibit.store, run=tmp_path / "no run").check(patience_s=30)
    with pytest.raises(EcgqaError, match="one reader"):
        open_explorer(exhibit.store, run=tmp_path, classifier=tmp_path)


def test_the_command_serves_until_it_is_interrupted(exhibit, tmp_path) -> None:
    words = [str(exhibit.store), str(exhibit.predictions), "--port", "0", "--open", "false"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ecgqa", "explore", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        server = process.stdout.readline().split()[-1].rstrip("/")
        assert "not for clinical use" in process.stdout.readline()
        assert len(get(server, "overview")["runs"]) == 6
        assert requests.get(f"{server}/api/results", timeout=30).status_code == 202  # work that is not waited for
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=20)[1]
    finally:
        process.kill()
    assert (process.returncode, told) == (0, "")
