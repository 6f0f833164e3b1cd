"""Items of classification in a store: written, found again, and batched with each ECG decoded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from ecgqa.records import GROUNDING, LEADS
from ecgqa.store import open_store
from ecgqa.store.batches import BatchLoader
from ecgqa.store.decode import Decoder
from ecgqa.store.findings_dataset import FindingsDataset
from ecgqa.store.grounding import grounding_files, grounding_of
from ecgqa.tables import read_table
from support.tiny_findings import CLASSES, build_findings_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_findings_store(tmp_path_factory.mktemp("findings"))


@pytest.fixture(scope="module")
def items(folder: Path) -> pl.DataFrame:
    found = grounding_of(open_store(folder)).items
    return found.filter(pl.col("split") == "train")


@pytest.fixture
def dataset(folder: Path, items: pl.DataFrame) -> FindingsDataset:
    return FindingsDataset.of_items(Decoder.mapped(open_store(folder)), items)


def test_a_store_holds_its_items(folder: Path) -> None:
    store = open_store(folder)
    assert set(grounding_files(published=False)) <= store.manifest["files"].keys()
    found = grounding_of(store)
    assert found.classes == CLASSES
    questions = store.questions()
    for row in found.items.sample(40, seed=1).iter_rows(named=True):  # each item is what a question of its ECG says
        name = CLASSES[row["class_id"]]
        own = questions.filter(
            pl.col("ecg_row").list.first() == row["ecg_row"], pl.col("attribute").list.first() == name
        )
        whole = row["leads"] == 4095
        answer = own.filter(pl.col("template_id").is_in([1, 27]) if whole else pl.col("template_id") == 34)[
            "answer"
        ].item()
        lead = LEADS[row["leads"].bit_length() - 1]
        assert row["label"] == (answer.to_list() == ["yes"] if whole else f"lead {lead}" in answer.to_list())
        assert row["split"] == own["split"][0] and row["verified"] == whole


def test_items_that_a_store_lacks_are_made_and_kept(folder: Path, tmp_path: Path) -> None:
    """Those of a store of an older version, and the published ones when they are first asked for."""
    store = open_store(folder)
    expected = grounding_of(store)
    table, described = (folder / name for name in grounding_files(published=False))
    before = table.read_bytes()
    described.write_text(json.dumps({"format": 0, "classes": ["stale"], "notes": {}}))
    assert grounding_of(store).classes == expected.classes
    assert json.loads(described.read_text())["classes"] == CLASSES and table.read_bytes() == before
    published = grounding_of(store, published=True)
    assert (folder / grounding_files(published=True)[0]).is_file()
    assert published.items.filter(pl.col("split") == "test")["verified"].all()
    assert published.items.height < expected.items.height
    assert grounding_of(store, published=True).items.equals(published.items)
    open_store(folder)  # what was added is no damage
    assert read_table(table, GROUNDING).equals(expected.items)


def test_a_batch_shows_the_leads_and_the_items_of_each_look(dataset: FindingsDataset, items: pl.DataFrame) -> None:
    rows = np.array([5, 0, 17, 5, 40])
    batch = dataset.batch(rows)
    whole, length = dataset.decoder(dataset.ecg_row[rows])
    assert torch.equal(batch.length, length) and torch.equal(batch.row, torch.from_numpy(rows))
    for place in range(len(rows)):
        for lead in range(12):
            shown = whole[place, lead] if batch.leads[place, lead] else torch.zeros(200)
            assert torch.equal(batch.ecg[place, lead], shown)
        mask = sum(1 << lead for lead in range(12) if batch.leads[place, lead])
        known = items.filter(pl.col("ecg_row") == dataset.ecg_row[rows[place]], pl.col("leads") == mask)
        mine = batch.look == place
        assert batch.attribute[mine].tolist() == known["class_id"].to_list()
        assert batch.label[mine].tolist() == [float(label) for label in known["label"]]
    assert len(set(np.diff(dataset.offset).tolist())) > 1  # ragged, or the test shows nothing
    some = dataset.subset(rows).batch(np.arange(len(rows)))
    for name in ("ecg", "leads", "look", "attribute", "label"):
        assert torch.equal(getattr(some, name), getattr(batch, name)), name


def test_each_ecg_of_a_batch_is_decoded_once(dataset: FindingsDataset) -> None:
    asked: list[NDArray[np.int64]] = []

    def decode(rows: NDArray[np.int64]) -> Any:
        asked.append(rows)
        return Decoder.__call__(dataset.decoder, rows)

    same = np.flatnonzero(dataset.ecg_row == dataset.ecg_row[0])
    assert len(same) > 3
    batch = dataset.batch(np.append(same, len(dataset) - 1), decoder=decode)  # type: ignore[arg-type]
    assert [len(rows) for rows in asked] == [2] and len(batch) == len(same) + 1


@pytest.mark.parametrize("together", [1, 4])
def test_every_look_comes_once_an_epoch_over_all_ranks(dataset: FindingsDataset, together: int) -> None:
    def epoch(number: int, rank: int = 0, world: int = 1) -> list[list[int]]:
        loader = BatchLoader(
            dataset, 8, shuffle=True, seed=3, rank=rank, world_size=world, questions_per_ecg=together  # type: ignore[arg-type]
        )  # fmt: skip
        loader.set_epoch(number)
        return [batch.row.tolist() for batch in loader]

    first = epoch(0)
    assert sorted(row for rows in first for row in rows) == list(range(len(dataset)))
    assert epoch(0) == first != epoch(1)
    parts = [epoch(0, rank, 2) for rank in range(2)]
    assert len(parts[0]) == len(parts[1])
    assert {row for part in parts for rows in part for row in rows} == set(range(len(dataset)))
