"""The published metrics against golden values of the original's validation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.curves import class_curves
from ecgqa.evaluation.metrics import exact_match
from ecgqa.evaluation.outcomes import answer, ask
from ecgqa.evaluation.score import class_averages, score
from ecgqa.records import PREDICTIONS, QUESTIONS
from ecgqa.tables import conform

pytestmark = pytest.mark.parity
TYPES = {
    0: "single-verify", 1: "single-choose", 2: "single-query", 3: "comparison_consecutive-verify",
    5: "comparison_consecutive-query", 6: "comparison_irrelevant-verify", 8: "comparison_irrelevant-query",
}  # fmt: skip
ATTRIBUTES = ["scp_code", "noise", "stage_of_infarction", "extra_systole", "heart_axis", "numeric_feature"]
CRITERION = "BinaryCrossEntropyWithLogitsCriterion"


def case_folders(root: Path) -> list[Path]:
    found = []
    for config in sorted(root.glob("*/config.json")):
        if json.loads(config.read_text()).get("upstream_class") == CRITERION:
            found.append(config.parent)
    return found


def tables(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """A case as tables 3 and 4, its attribute ids, and the golden outputs."""
    numpy_files = pytest.importorskip("safetensors.numpy")
    given = numpy_files.load_file(folder / "inputs.safetensors")
    golden = numpy_files.load_file(folder / "outputs.safetensors")
    batches = sorted({name.split(".")[0] for name in given})
    rows, predicted, attribute_ids, matched = [], [], [], []
    for batch in batches:
        start = np.cumsum(np.append(0, given[f"{batch}.valid_classes_lengths"]))
        # sigmoid in float32, as the original computes it
        scores = (1 / (1 + np.exp(-given[f"{batch}.logits"].astype(np.float32)))).astype(np.float32)
        matched += given_matches(golden, batch)
        attribute_ids += given[f"{batch}.attribute_id"].tolist()
        for row in range(len(scores)):
            valid = given[f"{batch}.valid_classes_flat"][start[row] : start[row + 1]]
            kind = TYPES[int(given[f"{batch}.question_type2"][row])]
            attribute = int(given[f"{batch}.question_type3"][row]) % 6
            names = [f"answer {number:02}" for number in valid]
            gold = [f"answer {number:02}" for number in valid if given[f"{batch}.answer"][row, number]]
            rows.append(
                (1, 1, len(rows), kind, ATTRIBUTES[attribute], "?", gold or ["none"], [len(rows)], None, "test",
                 "template", names)
            )  # fmt: skip
            predicted.append(
                (len(predicted), "test", "template", "original", ["none"], scores[row, valid].tolist(), "ok", None)
            )
    questions = pl.DataFrame(rows, schema=QUESTIONS.polars, orient="row")
    predictions = pl.DataFrame(predicted, schema=PREDICTIONS.polars, orient="row")
    golden["exact_match"] = np.array(matched)
    return conform(questions, QUESTIONS), conform(predictions, PREDICTIONS), np.array(attribute_ids), golden


def given_matches(golden: dict[str, np.ndarray], batch: str) -> list[bool]:
    return golden[f"{batch}.exact_match"].tolist()


def test_every_published_number(parity_cases: Path) -> None:
    folders = case_folders(parity_cases)
    assert folders, "no golden case of the published criterion"
    for folder in folders:
        questions, predictions, attribute_ids, golden = tables(folder)
        asked = ask(questions)
        answered = answer(asked, predictions)
        right = exact_match(asked, answered)
        np.testing.assert_array_equal(right, golden["exact_match"])

        scores = score(questions, predictions, n_resamples=20)
        run = "original"
        seen = 0
        for name, breakdown, group in published_keys():
            for metric, ours in (
                ("em_accuracy", "em_candidates"), ("auroc", "auroc_macro"), ("auprc", "auprc_published"),
            ):  # fmt: skip
                key = f"metric.{name}_{metric}"
                if key in golden:
                    seen += 1
                    compare(scores.value(run, ours, breakdown, group), golden[key], metric)
        assert seen > 100
        for metric, ours in (
            ("em_accuracy", "em_candidates"), ("auroc", "auroc_macro"), ("auprc", "auprc_published"),
            ("accuracy", "option_accuracy"), ("precision", "option_precision"), ("recall", "option_recall"),
            ("f1", "option_f1_micro"),
        ):  # fmt: skip
            compare(scores.value(run, ours), golden[f"metric.{metric}"], metric)

        # the original also groups by attribute id, which the tables do not carry
        known = attribute_ids[asked.option_question] >= 0
        group = attribute_ids[asked.option_question][known]
        n_groups = int(attribute_ids.max()) + 1
        cell = group * len(asked.classes) + asked.option_class[known]
        curves = class_curves(cell, answered.score[known], asked.option_gold[known])
        averages = class_averages(curves, curves.cell // len(asked.classes), n_groups)
        for number in range(n_groups):
            compare(right[attribute_ids == number].mean(), golden[f"metric.attribute_id_{number}_em_accuracy"], "em")
            compare(averages["auroc_macro"][0][number], golden[f"metric.attribute_id_{number}_auroc"], "auroc")
            compare(averages["auprc_published"][0][number], golden[f"metric.attribute_id_{number}_auprc"], "auprc")


def published_keys() -> list[tuple[str, str, str]]:
    keys = [(f"question_type1_{n}", "comparison", kind) for n, kind in enumerate(
        ["single", "comparison_consecutive", "comparison_irrelevant"])]  # fmt: skip
    keys += [(f"question_type2_{n}", "question_type", kind) for n, kind in TYPES.items()]
    for n, kind in TYPES.items():
        for number, attribute in enumerate(ATTRIBUTES):
            keys.append((f"question_type3_{6 * n + number}", "question_and_attribute_type", f"{kind} / {attribute}"))
    return keys


def compare(ours: float | None, theirs: np.ndarray, metric: str) -> None:
    value = float("nan") if ours is None else float(ours)
    tolerance = 1e-6 if metric in ("auroc", "auprc") else 6e-6  # the original rounds the others to five decimals
    np.testing.assert_allclose(value, float(theirs), atol=tolerance, rtol=0, equal_nan=True)
