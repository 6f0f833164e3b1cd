"""Baselines: what each answers, that they never peek, and what they do with the unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import optimize, sparse

from ecgqa.cli.main import main
from ecgqa.evaluation import score
from ecgqa.evaluation.baselines import BASELINES, BASIS, expected_chance
from ecgqa.evaluation.majority import decided
from ecgqa.evaluation.word_model import PENALTY, WordModel, _logistic, features_of
from ecgqa.records import NONE, PREDICTIONS, QUESTIONS, options_of
from ecgqa.tables import conform, read_table, write_table
from support.answered_questions import questions_table


def train_and_test(n: int = 600) -> tuple[pl.DataFrame, pl.DataFrame]:
    train = questions_table(n, seed=5).with_columns(
        pl.lit("train").cast(QUESTIONS.columns["split"].dtype).alias("split")
    )
    return train, questions_table(200, seed=6)


@pytest.mark.parametrize("name", list(BASELINES))
def test_every_baseline_gives_a_scoreable_answer(name: str) -> None:
    train, test = train_and_test()
    predictions = conform(BASELINES[name].answer(train, test, 0), PREDICTIONS)
    assert predictions.height == test.height and set(predictions["run"]) == {name}
    joined = predictions.sort("sample_id").with_columns(test.sort("sample_id")["candidates"])
    for row in joined.iter_rows(named=True):
        options = options_of(row["candidates"])
        assert set(row["answer"]) <= {*options, NONE}
        by_score = [option for option, value in zip(options, row["scores"], strict=True) if value > 0.5]
        assert sorted(by_score or [NONE]) == sorted(row["answer"])  # thresholding the scores gives the answer
    scores = score(test, predictions, n_resamples=20)
    assert scores.value(name, "em_set") == scores.value(name, "em_candidates")
    assert scores.value(name, "auroc_macro") is not None


@pytest.mark.parametrize("name", list(BASELINES))
def test_no_baseline_looks_at_answers_or_ecgs_of_the_questions(name: str) -> None:
    train, test = train_and_test(200)
    blind = test.with_columns(pl.lit([NONE]).alias("answer"), pl.col("ecg_id").list.eval(pl.element() * 0 + 7))
    plain = BASELINES[name].answer(train, test, 3)
    assert_frame_equal(plain, BASELINES[name].answer(train, blind, 3))
    assert_frame_equal(plain, BASELINES[name].answer(train.reverse(), test.reverse(), 3))  # nor at the order of rows


def test_chance_comes_out_as_expected() -> None:
    test = questions_table(4000)
    found = score(test, BASELINES["chance"].answer(test, test, 1), n_resamples=20)
    assert found.value("chance", "em_candidates") == pytest.approx(expected_chance(test).mean(), abs=0.025)
    assert found.value("chance", "auroc_macro") == pytest.approx(0.5, abs=0.03)


def test_majority_takes_the_most_frequent_set_of_the_finest_group_seen() -> None:
    train, test = train_and_test(9)
    rows = []
    for template, attribute, answer, count in (
        (8, "a", ["anterior"], 5), (8, "a", ["septal", "anterior"], 6), (8, "b", ["none"], 20), (20, "a", ["no"], 9),
    ):  # fmt: skip
        kind = train.filter(pl.col("template_id") == template)[0]
        rows += [
            kind.with_columns(pl.Series("attribute", [[attribute]]), pl.Series("answer", [answer]))
        ] * count  # fmt: skip
    train = pl.concat(rows).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("sample_id"))
    asked = pl.concat(
        [
            test.filter(pl.col("template_id") == 8)[0].with_columns(pl.Series("attribute", [["a"]])),
            test.filter(pl.col("template_id") == 8)[1].with_columns(pl.Series("attribute", [["never seen"]])),
            test.filter(pl.col("template_id") == 1)[0],  # same question type as 20, unseen template
            test.filter(pl.col("template_id") == 57)[0],  # unseen type, but a verify question
            test.filter(pl.col("template_id") == 3)[0],  # no choose question in training
        ]
    ).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("sample_id"))
    found = BASELINES["majority_attribute"].answer(train, asked, 0)
    assert found["answer"].list.sort().to_list() == [["anterior", "septal"], ["none"], ["no"], ["no"], ["none"]]
    assert found[BASIS].to_list() == ["attribute", "template", "type", "form", "no group"]
    # scores: anterior right in 11 of 11, septal in 6 of 11, the rest never
    np.testing.assert_allclose(found["scores"][0].to_list(), [1.0, 0.0, 0.0, 6 / 11], atol=1e-6)


def test_majority_answers_only_what_is_offered() -> None:
    train, test = train_and_test()
    test = test.filter(pl.col("template_id") == 8).with_columns(
        pl.Series("candidates", [["lateral", "septal"]] * 22)[: len(test.filter(pl.col("template_id") == 8))]
    )
    for name in ("majority_type", "question_only"):
        for answer in BASELINES[name].answer(train, test, 0)["answer"]:
            assert set(answer) <= {"lateral", "septal", NONE}


def test_scores_move_just_across_one_half_and_keep_their_order() -> None:
    moved = decided(["a", "b", "c", "d"], [0.2, 0.4, 0.6, 0.9], ["a", "b"])
    assert 0.5 < moved[0] < moved[1] < 0.502 and 0.498 < moved[2] < moved[3] < 0.5
    assert decided(["a", "b"], [0.1, 0.8], ["b"]) == [0.1, 0.8]


def test_words_are_learnt() -> None:
    train, test = train_and_test()
    marked = ["is the rate fast?", "is the rate slow?"]

    def reword(frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.filter(pl.col("template_id") == 1)
        which = np.arange(frame.height) % 2
        return frame.with_columns(
            pl.Series("question", [marked[number] for number in which]),
            pl.Series("answer", [["yes"] if number else ["no"] for number in which]),
        )

    found = BASELINES["question_only"].answer(reword(train), reword(test), 0)
    assert score(reword(test), found, n_resamples=5).value("question_only", "em_candidates") == 1.0
    model = WordModel.fit(reword(train))
    (said, probabilities, known), (_, _, unknown) = model.answers_to(["Slow?", "zzz"], [["no", "yes"], ["no", "yes"]])
    assert said == ["yes"] and probabilities[1] > 0.7 and known and not unknown
    assert features_of("ST/T change, ST/T?") == {"st/t", "change", "st/t change", "change st/t"}


def test_answers_never_offered_in_training_get_the_base_rate() -> None:
    train, test = train_and_test(100)
    strange = test.filter(pl.col("template_id") == 8).with_columns(pl.lit(["new", "none"]).alias("candidates"))
    scores = BASELINES["question_only"].answer(train, strange, 0)["scores"].explode()
    assert scores.is_between(0, 1).all() and scores.n_unique() == 1


@pytest.mark.real_data
def test_released_shards_that_share_no_template(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = real_data / "ecgqa" / "ptbxl"
    out = tmp_path / "bäse lines"
    assert main(["baselines", str(root), "--split", "valid", "--version", "template", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "no group" in said
    assert main(["score", str(root), str(out), "--n_resamples", "20", "--out", str(tmp_path / "s.json")]) == 0
    assert (tmp_path / "s.json").is_file()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = train_and_test(100)
    path, out = tmp_path / "questions.parquet", tmp_path / "out"
    write_table(pl.concat([train, test]), path, QUESTIONS)
    assert main(["baselines", str(path), "--out", str(out), "--only", "[chance, majority_type]"]) == 0
    assert {file.name for file in out.glob("*.parquet")} == {"chance.parquet", "majority_type.parquet"}
    assert BASIS in read_table(out / "chance.parquet", PREDICTIONS).columns
    assert main(["baselines", str(path), "--out", str(out), "--only", "[chance, majority_type]"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["baselines", str(path), "--out", str(out), "--only", "[chance]"]) == 1  # other contents, not replaced
    assert main(["baselines", str(path), "--out", str(tmp_path / "x"), "--only", "[luck]"]) == 1
    assert main(["baselines", str(path), "--out", str(tmp_path / "x"), "--split", "train"]) == 1
    assert main(["baselines", str(path), "--out", str(tmp_path / "x"), "--split", "valid"]) == 1
    assert not (tmp_path / "x").exists()
    write_table(test, path, QUESTIONS)
    assert main(["baselines", str(path), "--out", str(tmp_path / "y")]) == 0
    assert {file.stem for file in (tmp_path / "y").glob("*.parquet")} == {"chance", "nothing"}


def test_the_regression_finds_the_minimum() -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix((rng.random((80, 12)) < 0.3).astype(float))
    total = rng.integers(1, 40, 80).astype(float)
    hits = rng.binomial(total.astype(int), 0.3).astype(float)

    def loss(point: np.ndarray) -> float:
        logits = matrix @ point[:-1] + point[-1]
        return float(total @ np.logaddexp(0, logits) - hits @ logits + PENALTY / 2 * point[:-1] @ point[:-1])

    weights, bias = _logistic(matrix, hits, total)
    best = optimize.minimize(loss, np.zeros(13), method="BFGS", options={"gtol": 1e-7})
    assert loss(np.append(weights, bias)) == pytest.approx(best.fun, rel=1e-6)
    never, _ = _logistic(matrix, np.zeros(80), total)  # never right: no overflow, no error
    assert np.isfinite(never).all()
