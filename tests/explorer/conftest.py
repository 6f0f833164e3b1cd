"""A small synthetic store with predictions, opened in an explorer and served on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.evaluation.load import load_predictions
from ecgqa.explorer.explorer import Explorer, open_explorer
from ecgqa.store import open_store
from support.served import served


@dataclass(frozen=True)
class Exhibit:
    """Where the files of the small store lie."""

    cohort: Path
    attributes: Path
    store: Path
    predictions: Path


@pytest.fixture(scope="session")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Exhibit:
    root = tmp_path_factory.mktemp("exhibit")
    found = Exhibit(root / "cohort", root / "attributes", root / "my store", root / "predictions")
    questions = root / "questions"
    for words in (
        ["synth", str(found.cohort), "--patients", "60", "--workers", "1"],
        ["attributes", "build", str(found.cohort), str(found.attributes)],
        ["questions", "build", str(found.attributes), str(questions), "--scale", "0.03"],
        ["store", "build", str(questions), str(found.store), "--records", str(found.cohort), "--workers", "1"],
        ["baselines", str(found.store), "--split", "test", "--version", "paraphrased", "--out", str(found.predictions)],
    ):
        assert main(words) == 0, words
    return found


@pytest.fixture(scope="session")
def predictions(exhibit: Exhibit) -> pl.DataFrame:
    """Three baselines, and one run that refused, failed or was never asked here and there."""
    found = load_predictions([exhibit.predictions])
    kept = found.filter(pl.col("run").is_in(["chance", "majority_template", "question_only"]))
    patchy = kept.filter(pl.col("run") == "question_only").with_columns(pl.lit("patchy").alias("run"))
    patchy = patchy.with_row_index("row").filter(pl.col("row") % 3 != 0)
    refused = pl.col("row") % 5 == 1
    nothing = pl.lit(None, dtype=pl.List(pl.Float32))
    patchy = patchy.with_columns(
        pl.when(refused).then(pl.lit("refused")).otherwise(pl.col("status").cast(pl.String)).alias("status"),
        pl.when(refused).then(pl.lit([], dtype=pl.List(pl.String))).otherwise("answer").alias("answer"),
        pl.when(refused).then(nothing).otherwise("scores").alias("scores"),
        pl.lit("<b>I will not</b>").alias("raw"),
    ).with_columns(pl.col("status").cast(kept.schema["status"]))
    return pl.concat([kept, patchy.select(kept.columns)])


@pytest.fixture(scope="session")
def explorer(exhibit: Exhibit, predictions: pl.DataFrame) -> Explorer:
    attributes = pl.read_parquet(exhibit.attributes / "attributes.parquet")
    return Explorer(open_store(exhibit.store), predictions, attributes=attributes)


@pytest.fixture(scope="session")
def bare(exhibit: Exhibit) -> Explorer:
    """The same store without anything beside it."""
    return open_explorer(exhibit.store)


@pytest.fixture(scope="session")
def server(explorer: Explorer) -> Iterator[str]:
    """Address of the page."""
    with served(explorer) as address:
        yield address.rstrip("/")
