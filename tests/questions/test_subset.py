"""Named selections of questions: drawn the published way, listed, filtered; their digest is of what they ask."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.questions.subset import Subset, draw_subset, filtered, listed_subset
from ecgqa.records import QUESTIONS
from support.answered_questions import predictions_table, questions_table
from support.llm_questions import llm_questions, write_questions


def test_a_tenth_of_each_kind_with_halves_to_the_even_number() -> None:
    frame = llm_questions(400).with_columns(
        pl.when(pl.col("sample_id") < 100).then(pl.lit("noise")).otherwise(pl.col("attribute_type").cast(pl.String))
        .alias("attribute_type")
    ).cast({"attribute_type": QUESTIONS.columns["attribute_type"].dtype})  # fmt: skip
    chosen = draw_subset(frame, "tenth")
    kinds = ["question_type", "attribute_type"]
    there = {row[:2]: row[2] for row in frame.group_by(kinds).len().rows()}
    drawn = frame.filter(pl.col("sample_id").is_in(chosen.sample_ids)).group_by(kinds).len()
    assert {n % 10 for n in there.values()} & {5}  # a half among them
    assert {row[:2]: row[2] for row in drawn.rows()} == {kind: round(n / 10) for kind, n in there.items()}
    assert len(chosen.sample_ids) == sum(round(n / 10) for n in there.values())
    assert draw_subset(frame.sample(fraction=1, shuffle=True, seed=3), "tenth") == chosen  # whatever the order
    other = draw_subset(frame, "tenth", seed=43)
    assert other.sample_ids != chosen.sample_ids and other.digest != chosen.digest
    assert draw_subset(frame, "all", share=1.0).sample_ids == tuple(range(400))


def test_what_cannot_be_drawn() -> None:
    frame = llm_questions(8)
    for share in (0.0, 1.5, 0.01):
        with pytest.raises(EcgqaError):
            draw_subset(frame, "x", share=share)
    mixed = pl.concat([frame, frame.with_columns(pl.lit("valid").cast(frame.schema["split"]).alias("split"))])
    with pytest.raises(EcgqaError, match="one split"):
        draw_subset(mixed, "x", share=1.0)


def test_the_digest_follows_what_is_asked(tmp_path: Path) -> None:
    frame = llm_questions(20)
    chosen = Subset.of("all", frame, {})
    path = chosen.write(tmp_path / "all.json")
    assert Subset.read(path) == chosen
    reworded = frame.with_columns(
        pl.when(pl.col("sample_id") == 3).then(pl.lit("Else?")).otherwise("question").alias("question")
    )
    assert Subset.of("all", reworded, {}).digest != chosen.digest
    with pytest.raises(EcgqaError, match="have changed"):
        chosen.select(reworded)
    with pytest.raises(EcgqaError, match="1 of the 20 questions"):
        chosen.select(frame.head(19))
    assert chosen.select(pl.concat([frame, llm_questions(20, "valid")])).height == 20


def test_conditions() -> None:
    frame = llm_questions(40)
    assert set(filtered(frame, ["template_id=1,19-20"])["template_id"]) == {1, 19}
    assert set(filtered(frame, ["question_type=single-choose|single-verify"])["template_id"]) == {1, 21}
    assert filtered(frame, ["answer=lead I", "ecg_id=2"])["sample_id"].to_list() == [2]
    for condition in ("nonsense", "colour=red", "template_id=99", "question_type=single-nothing"):
        with pytest.raises(EcgqaError):
            filtered(frame, [condition])


def test_a_list_of_ids(tmp_path: Path) -> None:
    frame = llm_questions(30)
    ids = tmp_path / "ids.txt"
    ids.write_text("3\n1\n2\n")
    assert listed_subset(frame, "listed", ids).sample_ids == (1, 2, 3)
    for text in ("3\n99\n", "one\n"):
        ids.write_text(text)
        with pytest.raises(EcgqaError):
            listed_subset(frame, "listed", ids)
    with pytest.raises(EcgqaError, match="no such list"):
        listed_subset(frame, "listed", tmp_path / "nowhere.txt")


def test_the_commands_and_the_score_of_a_subset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = questions_table(200)
    questions, subset = write_questions(frame, tmp_path / "questions.parquet"), tmp_path / "tenth.json"
    predictions_table(frame).write_parquet(tmp_path / "model.parquet")
    where = ["--where", "template_id=1-20; question_type=single-verify|single-choose|single-query"]
    assert main(["llm", "sample", str(questions), str(subset), "--share", "0.3", *where]) == 0
    stored = json.loads(subset.read_text())
    assert stored["digest"][:12] in capsys.readouterr().out
    assert main(["score", str(questions), str(tmp_path / "model.parquet"), "--subset", str(subset)]) == 0
    out = capsys.readouterr().out
    assert f"tenth ({stored['digest'][:8]})" in out and f"{len(stored['sample_ids'])}" in out
    for broken in ("{}", "[1", '{"kind": "store"}'):
        subset.write_text(broken)
        assert main(["score", str(questions), str(tmp_path / "model.parquet"), "--subset", str(subset)]) == 1
        assert "is no subset" in capsys.readouterr().err


@pytest.mark.real_data
def test_the_published_list_is_taken_as_it_is(real_data: Path, tmp_path: Path) -> None:
    """8,154 sample ids out of the 82,146 test questions of the release."""
    ids = real_data / "ecgqa" / "examples" / "sampled_ecgqa_ids.txt"
    questions, out = write_questions(llm_questions(82_146), tmp_path / "questions.parquet"), tmp_path / "published.json"
    assert main(["llm", "sample", str(questions), str(out), "--ids", str(ids)]) == 0
    chosen = Subset.read(out)
    assert len(chosen.sample_ids) == 8154 and (chosen.sample_ids[0], chosen.sample_ids[-1]) == (6, 81_529)
    assert chosen.how == {"listed": "sampled_ecgqa_ids.txt"} and chosen.name == "published"
