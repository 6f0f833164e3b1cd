"""Filters, counts and agreement are those that a plain query over the tables gives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.metrics import exact_match
from ecgqa.evaluation.outcomes import KEY, answer, ask
from ecgqa.explorer.explorer import Explorer
from ecgqa.explorer.filters import FIELDS, Filters, read_filters

COLUMNS = {name: "template_id" if name == "template" else name for name in FIELDS}


def plainly(frame: pl.DataFrame, filters: Filters) -> pl.DataFrame:
    """The questions that pass, by row-wise Python."""

    def passes(row: dict) -> bool:
        for name in FIELDS:
            value = row[COLUMNS[name]]
            values = {str(one) for one in value} if isinstance(value, list) else {str(value)} - {"None"}
            if getattr(filters, name) and not values & set(getattr(filters, name)):
                return False
        if any(word not in row["question"].lower() for word in filters.search.lower().split()):
            return False
        return filters.ecg is None or filters.ecg in row["ecg_row"]

    kept = [number for number, row in enumerate(frame.iter_rows(named=True)) if passes(row)]
    return frame.with_row_index("row")[kept]


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("split", "test"), ("version", "template")],
        [("question_type", "single-verify"), ("question_type", "single-choose"), ("answer", "yes")],
        [("attribute_type", "noise"), ("search", "NOISE  lead")],
        [("template", "1"), ("template", "26"), ("split", "train")],
        [("attribute", "sinus rhythm"), ("answer", "no")],
        [("ecg", "3"), ("version", "paraphrased")],
        [("answer", "there is no such answer")],
        [("search", ".*[")],
    ],
)
def test_filters_and_counts(explorer: Explorer, pairs: list[tuple[str, str]]) -> None:
    catalogue, filters = explorer.catalogue, read_filters(pairs)
    expected = plainly(catalogue.frame, filters)
    found = catalogue.find_with_facets(filters)
    assert found.rows.tolist() == expected["row"].to_list() == catalogue.find(filters).tolist()
    for name in FIELDS:
        without = read_filters([pair for pair in pairs if pair[0] != name])
        values = plainly(catalogue.frame, without)[COLUMNS[name]]
        lists = [value if isinstance(value, list) else [value] for value in values.drop_nulls().to_list()]
        counts = {str(value): sum(value in one for one in lists) for value in {x for one in lists for x in one}}
        assert {one["name"]: one["n"] for one in found.facets[name] if one["n"]} == counts, name


def test_agreement_is_that_of_the_scores(explorer: Explorer, predictions: pl.DataFrame) -> None:
    frame = explorer.catalogue.frame
    runs = explorer.runs(wait=True)
    asked = ask(frame.with_row_index("row").filter(pl.col("split") == "test", pl.col("version") == "paraphrased"))
    right: dict[str, set[int]] = {}
    wrong: dict[str, set[int]] = {}
    for name in predictions["run"].unique():
        mine = predictions.filter(pl.col("run") == name)
        is_right = asked.frame.select("row", *KEY).with_columns(
            pl.Series("right", exact_match(asked, answer(asked, mine)))
        )
        rows = is_right.join(mine.select(KEY), on=KEY, how="semi")
        right[name] = set(rows.filter("right")["row"])
        wrong[name] = set(rows.filter(~pl.col("right"))["row"])

    def find(*pairs: tuple[str, str]) -> set[int]:
        return set(explorer.catalogue.find(read_filters(pairs), runs).tolist())

    any_right, any_wrong = set().union(*right.values()), set().union(*wrong.values())
    assert find(("agreement", "all_right")) == any_right - any_wrong != set()
    assert find(("agreement", "all_wrong")) == any_wrong - any_right != set()
    assert find(("agreement", "disagree")) == any_right & any_wrong != set()
    pair = right["question_only"] & wrong["chance"]
    assert find(("agreement", "pair"), ("right", "question_only"), ("wrong", "chance")) == pair != set()
    everyone = np.ones(len(frame), bool)
    listed = next(one for one in runs.pairs(everyone) if (one["right"], one["wrong"]) == ("question_only", "chance"))
    assert listed["n"] == len(pair)
    assert len(right["patchy"]) + len(wrong["patchy"]) < len(asked)  # those never asked are neither
    refused = find(("run", "patchy"), ("given", "(refused)"))
    assert refused and refused <= wrong["patchy"]


def test_rows_are_found_by_their_key(explorer: Explorer) -> None:
    for row in (0, 17, len(explorer.catalogue) - 1):
        assert explorer.catalogue.row_of(*explorer.catalogue.key(row).values()) == row
    assert explorer.catalogue.row_of("test", "template", 10**12) is None


def test_every_ecg_has_its_questions(explorer: Explorer) -> None:
    frame = explorer.catalogue.frame.with_row_index("row")
    for ecg in (0, explorer.store.n_ecgs - 1):
        expected = frame.filter(pl.col("ecg_row").list.contains(ecg))["row"].to_list()
        assert explorer.catalogue.of_ecg(ecg).tolist() == expected
    assert explorer.catalogue.n_of_ecgs().sum() == frame.explode("ecg_row").select("row", "ecg_row").unique().height


@pytest.mark.parametrize(
    "pairs",
    [
        [("agreement", "maybe")],
        [("agreement", "pair"), ("right", "chance")],
        [("given", "yes")],
        [("ecg", "-1")],
        [("ecg", "１")],
        [("search", "x" * 301)],
        [("answer", str(n)) for n in range(501)],
    ],
)
def test_what_cannot_be_meant_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(EcgqaError):
        read_filters(pairs)
