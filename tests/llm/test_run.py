"""Runs against a real HTTP server: killed, refused, cut and slowed, they end with every question asked once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("inspect_ai")

from ecgqa.cli.main import main
from ecgqa.evaluation.load import load_predictions, select
from ecgqa.evaluation.score import score
from ecgqa.llm.cost import Prices
from ecgqa.llm.journal import read_replies
from ecgqa.records import PREDICTIONS, Status
from ecgqa.tables import read_table
from support.llm_questions import llm_questions, number_in, write_questions
from support.llm_server import LlmServer, Reply

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def frame() -> pl.DataFrame:
    return llm_questions(24)


@pytest.fixture
def questions(frame: pl.DataFrame, tmp_path: Path) -> Path:
    return write_questions(frame, tmp_path / "questions.parquet")


def perfect(frame: pl.DataFrame, prompt: str) -> str:
    return ", ".join(frame["answer"][number_in(prompt)])


def words(questions: Path, out: Path, server: LlmServer, *more: str) -> list[str]:
    fixed = ["llm", "run", str(questions), "--model", "test-model", "--base-url", server.url, "--view", "none"]
    return [*fixed, "--out", str(out), "--retries", "1", "--timeout-s", "20", *more]


def counts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())["counts"]
    return found


def test_a_perfect_reader_scores_one(frame: pl.DataFrame, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with LlmServer(lambda prompt, _: perfect(frame, prompt)) as server:
        assert main(words(questions, out, server, "--price-input", "2", "--price-output", "10")) == 0
        assert sum(server.answered.values()) == 24
        assert main(words(questions, out, server, "--price-input", "2", "--price-output", "10")) == 0
        assert sum(server.answered.values()) == 24  # a second run asks nothing
        assert server.bodies[0]["temperature"] == 0.0
    rows = read_table(out / "predictions.parquet", PREDICTIONS)
    assert rows["run"].unique().to_list() == ["test-model"]
    chosen = select(frame, load_predictions([out / "predictions.parquet"]))
    table = score(chosen.questions, chosen.predictions, n_resamples=10).table
    for metric in ("em_candidates", "em_set"):
        overall = table.filter((pl.col("breakdown") == "overall") & (pl.col("metric") == metric))
        assert overall["value"].item() == 1.0
    replies = list(read_replies(out))
    cost = json.loads((out / "manifest.json").read_text())["cost"]["dollars"]
    assert cost == pytest.approx(Prices(2, 10).of_replies(replies)) and cost > 0
    assert all("Options: " in reply.prompt and reply.reply for reply in replies)


def test_inspect_by_itself_gives_the_same_score(frame: pl.DataFrame, questions: Path, tmp_path: Path) -> None:
    """The task as `inspect eval` runs it: a reader that is wrong about the first question of each kind."""
    from inspect_ai import eval as evaluate
    from inspect_ai.model import get_model

    from ecgqa.llm.task import ecg_questions

    def script(prompt: str, attempt: int) -> Reply:
        return "I cannot answer." if number_in(prompt) < 4 else perfect(frame, prompt)

    with LlmServer(script) as server:
        model = get_model("openai-api/ecgqa/test-model", base_url=server.url, api_key="none", memoize=False)
        (log,) = evaluate(ecg_questions(str(questions)), model=model, display="none", log_dir=str(tmp_path / "logs"))
        out = tmp_path / "run"
        assert main(words(questions, out, server)) == 0
    assert log.status == "success" and log.results is not None
    accuracy = log.results.scores[0].metrics["accuracy"].value
    chosen = select(frame, load_predictions([out / "predictions.parquet"]))
    table = score(chosen.questions, chosen.predictions, n_resamples=10).table
    ours = table.filter((pl.col("breakdown") == "overall") & (pl.col("metric") == "em_set"))["value"].item()
    assert accuracy == pytest.approx(20 / 24) == pytest.approx(ours)


def naughty(frame: pl.DataFrame, prompt: str, attempt: int) -> Reply:
    """What a server does to question n: by n modulo 12, most of it on the first attempt only."""
    number, right = number_in(prompt), perfect(frame, prompt)
    match number % 12:
        case 1 if attempt == 1:
            return {"status": 429}
        case 2 if attempt == 1:
            return {"status": 500}
        case 3 if attempt == 1:
            return {"cut": True, "text": right}
        case 4:
            return {"slow": 0.5, "text": right}
        case 5:
            return "I'm sorry, I cannot interpret medical recordings."
        case 6:
            return f"Well. Many things can be said.\n\n**Final answer:** {right}\n"
        case 7:
            return "It depends."
        case 8:
            return ""
        case 9:
            return json.dumps({"reasoning": "yes, no, lead V1", "answer": frame["answer"][number].to_list()})
    return right


def test_outcomes_are_counted_and_kept(frame: pl.DataFrame, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with LlmServer(lambda prompt, attempt: naughty(frame, prompt, attempt)) as server:
        assert main(words(questions, out, server)) == 0
        assert all(n == 1 for n in server.answered.values()) and len(server.answered) == 24
    rows = read_table(out / "predictions.parquet", PREDICTIONS).sort("sample_id")
    expected = {5: Status.REFUSED, 7: Status.UNPARSEABLE, 8: Status.UNPARSEABLE}
    for row in rows.iter_rows(named=True):
        status = expected.get(row["sample_id"] % 12, Status.OK)
        assert row["status"] == status, row
        assert set(row["answer"]) == (set(frame["answer"][row["sample_id"]]) if status is Status.OK else set())
    assert counts(out)["replies"] == 24 and counts(out)["failed"] == 0


def test_what_never_succeeds_has_failed(frame: pl.DataFrame, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    ill = {3, 11}

    def script(prompt: str, attempt: int) -> Reply:
        return {"status": 500} if number_in(prompt) in ill else perfect(frame, prompt)

    with LlmServer(script) as server:
        assert main(words(questions, out, server)) == 0
        asked = [n for prompt, n in server.asked.items() if number_in(prompt) in ill]
        assert asked and max(asked) == 2  # no endless retrying
    rows = read_table(out / "predictions.parquet", PREDICTIONS)
    assert set(rows.filter(pl.col("status") == "failed")["sample_id"]) == ill and rows.height == 24
    assert counts(out)["failed"] == 2
    # A finished run with failures asks just these again.
    ill.clear()
    with LlmServer(script) as server:
        assert main(words(questions, out, server)) == 0
        assert sum(server.asked.values()) == 2
    assert counts(out)["failed"] == 0


def test_a_budget_stops_and_a_larger_one_goes_on(
    frame: pl.DataFrame, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    prices = ("--price-input", "1000", "--price-output", "1000", "--max-tokens", "4", "--connections", "2")
    with LlmServer(lambda prompt, _: perfect(frame, prompt)) as server:
        assert main(words(questions, out, server, *prices, "--budget", "0.8")) == 1
        first = sum(server.answered.values())
        assert 0 < first < 24
        assert "budget" in capsys.readouterr().err and not (out / "manifest.json").exists()
        spent = Prices(1000, 1000).of_replies(read_replies(out))
        assert spent <= 0.8
        assert read_table(out / "predictions.parquet", PREDICTIONS).height == 24
        assert main(words(questions, out, server, *prices, "--budget", "100")) == 0
        assert sum(server.answered.values()) == 24 and all(n == 1 for n in server.answered.values())


def test_keys_are_in_no_artefact(
    frame: pl.DataFrame,
    questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def script(prompt: str, attempt: int) -> Reply:
        if number_in(prompt) == 2:
            return {"status": 400, "message": f"Incorrect API key provided: {KEY}"}
        return perfect(frame, prompt)

    with LlmServer(script) as server:
        main(words(questions, tmp_path / "run", server))
        assert server.keys == {f"Bearer {KEY}"}
    out, err = capsys.readouterr()
    assert KEY not in out + err
    kept = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(kept) >= 5
    import zipfile

    for path in kept:
        assert KEY.encode() not in path.read_bytes(), path
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                assert all(KEY.encode() not in archive.read(name) for name in archive.namelist()), path


def test_a_server_that_refuses_everything_ends_the_run(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LlmServer(lambda *_: {"status": 401, "message": "no such key"}) as server:
        assert main(words(questions, tmp_path / "run", server, "--connections", "4")) == 1
        assert sum(server.asked.values()) <= 24
    assert "calls in a row failed" in capsys.readouterr().err


def test_a_server_that_answers_for_another_model(
    frame: pl.DataFrame, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with LlmServer(lambda prompt, _: {"text": perfect(frame, prompt), "model": "other-7b"}) as server:
        assert main(words(questions, out, server)) == 1
        assert "answered as other-7b" in capsys.readouterr().err
        assert not list(read_replies(out))
        assert main(words(questions, out, server, "--accept-model", "other-7b")) == 0
    dated = tmp_path / "dated"
    with LlmServer(lambda prompt, _: perfect(frame, prompt), model="test-model-2026-01-31") as server:
        assert main(words(questions, dated, server)) == 0


def test_a_huge_reply_is_shortened(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    write_questions(llm_questions(1), questions)
    with LlmServer(lambda *_: "words " * 1_700_000 + "\nAnswer: no") as server:
        assert main(words(questions, out, server)) == 0
    rows = read_table(out / "predictions.parquet", PREDICTIONS)
    assert rows["answer"].to_list() == [["no"]] and len(rows["raw"][0]) < 250_000


def test_another_run_in_the_folder_is_left_alone(frame: pl.DataFrame, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with LlmServer(lambda prompt, _: perfect(frame, prompt)) as server:
        assert main(words(questions, out, server)) == 0
        before = (out / "replies.jsonl").read_bytes()
        assert main(words(questions, out, server, "--temperature", "1")) == 1
        assert (out / "replies.jsonl").read_bytes() == before


def test_a_dry_run_shows_and_asks_nothing(questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LlmServer(lambda *_: "yes") as server:
        more = ("--dry-run", "true", "--price-input", "1000", "--price-output", "1000", "--show", "2")
        assert main(words(questions, tmp_path / "run", server, *more)) == 0
        assert not server.asked
    out = capsys.readouterr().out
    assert out.count("Options: ") == 2 and "calls   24" in out and "price   about $" in out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_asked_twice(tmp_path: Path) -> None:
    frame = llm_questions(120)
    questions, out = write_questions(frame, tmp_path / "questions.parquet"), tmp_path / "run"
    with LlmServer(lambda prompt, attempt: naughty(frame, prompt, attempt)) as server:
        command = [sys.executable, "-m", "ecgqa", *words(questions, out, server, "--connections", "16")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        told: dict[int, int] = {}  # how often a question had been answered when its reply lay on disk
        for kill in range(1, 4):
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and process.poll() is None:
                if (out / "replies.jsonl").is_file() and len(list(read_replies(out))) >= 25 * kill:
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (out / "manifest.json").exists()
            answered = {number_in(prompt): n for prompt, n in server.answered.items()}
            assert all(answered[number] == n for number, n in told.items()), "asked again after its reply was stored"
            told |= {reply.sample_id: answered[reply.sample_id] for reply in read_replies(out)}
        with (out / "replies.jsonl").open("a") as stream:
            stream.write('{"split": "test", "versi')
        assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
        answered = {number_in(prompt): n for prompt, n in server.answered.items()}
        assert all(answered[number] == n for number, n in told.items())
    replies = [reply.sample_id for reply in read_replies(out)]
    assert sorted(replies) == list(range(120))
    rows = read_table(out / "predictions.parquet", PREDICTIONS)
    assert rows["sample_id"].sort().to_list() == list(range(120))
    wrong = {5, 7, 8}
    right = sum(number % 12 not in wrong for number in range(120))
    assert (rows["status"] == "ok").sum() == right == counts(out)["replies"] - sum(n % 12 in wrong for n in range(120))
