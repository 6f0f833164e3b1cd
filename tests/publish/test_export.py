"""The Hugging Face folder and its Croissant metadata: what is read back is what was put in."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from ecgqa.artefacts import digest_file
from ecgqa.cli.main import main
from ecgqa.publish import export_hugging_face, hugging_face
from ecgqa.records import QUESTIONS
from ecgqa.store import open_store
from ecgqa.tables import write_table
from support.answered_questions import questions_table
from support.tiny_store import build_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_store(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def folder(store: Path) -> Path:
    dest = store.parent / "hugging face"
    assert main(["export", "hf", str(store), str(dest), "--signals", "--source", "synthetic"]) == 0
    return dest


def head(folder: Path) -> dict[str, object]:
    """The YAML block of a card."""
    _, block, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(block)


def test_every_file_that_the_card_names_holds_the_rows_and_columns_that_it_promises(store: Path, folder: Path):
    card = head(folder)
    promised = {info["config_name"]: info for info in card["dataset_info"]}
    assert list(promised) == ["template", "ecgs"] and card["license"] == "cc-by-4.0"
    for config in card["configs"]:
        info = promised[config["config_name"]]
        rows = {split["name"]: split["num_examples"] for split in info["splits"]}
        assert list(rows) == ["train", "validation", "test"] == [part["split"] for part in config["data_files"]]
        for part in config["data_files"]:
            frame = pl.read_parquet(folder / part["path"])
            assert frame.height == rows[part["split"]]
            assert frame.columns == [feature["name"] for feature in info["features"]]
    asked = pl.read_parquet(folder / "template" / "*.parquet").sort("split", "sample_id")
    own = open_store(store).questions().sort(pl.col("split").cast(pl.String), "sample_id")
    assert asked.equals(own.select(list(QUESTIONS.columns)).cast(dict(asked.schema)))


def test_the_ecgs_come_back_bit_by_bit(store: Path, folder: Path):
    opened = open_store(store)
    ecgs = pl.read_parquet(folder / "ecgs" / "*.parquet")
    assert sorted(ecgs["ecg_id"]) == sorted(opened.records["ecg_id"])
    row_of = {ecg_id: row for row, ecg_id in enumerate(opened.records["ecg_id"])}
    for row in ecgs.iter_rows(named=True):
        signal = np.frombuffer(row["signal"], "<i2").reshape(12, row["n_samples"])
        assert np.array_equal(signal, opened.signals[row_of[row["ecg_id"]]])


def test_many_ecgs_are_spread_over_files_that_say_how_many_they_are(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hugging_face, "_ECGS_PER_FILE", 3)
    folder = export_hugging_face(store, tmp_path / "many", signals=True, source="synthetic")
    rows = {path.name: pl.read_parquet(path).height for path in sorted((folder / "ecgs").glob("train-*"))}
    n = sum(rows.values())
    n_files = -(-n // 3)
    assert list(rows) == [f"train-{place:05}-of-{n_files:05}.parquet" for place in range(n_files)]
    assert list(rows.values())[:-1] == [3] * (n_files - 1) and n_files > 2
    ids = pl.read_parquet(folder / "ecgs" / "*.parquet")["ecg_id"]
    assert ids.n_unique() == len(ids) == open_store(store).n_ecgs


@pytest.mark.skipif(find_spec("datasets") is None, reason="datasets is not installed")
def test_datasets_loads_it(folder: Path, tmp_path: Path):
    from datasets import load_dataset

    questions = load_dataset(str(folder), "template", split="validation", cache_dir=str(tmp_path))
    assert questions[0]["split"] == "valid" and questions[0]["answer"]
    ecg = load_dataset(str(folder), "ecgs", split="test", cache_dir=str(tmp_path))[0]
    assert len(ecg["signal"]) == 2 * 12 * ecg["n_samples"]


def test_croissant_names_every_file_with_its_digest_and_every_column(folder: Path):
    described = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    files = {part["contentUrl"]: part for part in described["distribution"] if part["@type"] == "cr:FileObject"}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}
    assert set(files) == there
    assert all(part["sha256"] == digest_file(folder / name) for name, part in files.items())
    sets = {part["@id"]: part["includes"] for part in described["distribution"] if part["@type"] == "cr:FileSet"}
    for records in described["recordSet"]:
        pattern = {sets[field["source"]["fileSet"]["@id"]] for field in records["field"]}
        columns = [field["source"]["extract"]["column"] for field in records["field"]]
        assert columns == pl.read_parquet(folder / pattern.pop()).columns


@pytest.mark.skipif(find_spec("mlcroissant") is None, reason="mlcroissant is not installed")
def test_mlcroissant_reads_a_store(store: Path):
    import mlcroissant

    assert main(["export", "croissant", str(store), "--source", "synthetic"]) == 0
    dataset = mlcroissant.Dataset(jsonld=str(store / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert next(iter(dataset.records("questions")))["questions/sample_id"] == 0


def test_licence_and_citations_follow_the_source(tmp_path: Path):
    path = write_table(questions_table(20), tmp_path / "questions.parquet", QUESTIONS)
    for source, licence, cited in (("mimic-iv-ecg", "odbl", "Gow B"), ("ptbxl", "cc-by-4.0", "Wagner P")):
        dest = tmp_path / source
        assert main(["export", "hf", str(path), str(dest), "--source", source]) == 0
        card = (dest / "README.md").read_text(encoding="utf-8")
        assert head(dest)["license"] == licence
        assert cited in card and "Oh J" in card and "not for clinical use" in card
    dest = tmp_path / "own"
    assert main(["export", "hf", str(path), str(dest), "--source", "my|clinic"]) == 0
    assert head(dest)["license"] == "other" and "not known" in (dest / "README.md").read_text(encoding="utf-8")


def test_what_cannot_be_exported_is_said(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write_table(questions_table(20), tmp_path / "questions.parquet", QUESTIONS)
    assert main(["export", "hf", str(path), str(tmp_path / "out"), "--signals", "--source", "ptbxl"]) == 1
    assert "ecgqa store build" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["export", "hf", str(path), str(tmp_path / "out")]) == 1  # nobody knows whose ECGs they are
    assert "--source" in capsys.readouterr().err
    assert main(["export", "croissant", str(tmp_path / "nothing")]) == 1
    assert "no questions.parquet" in capsys.readouterr().err


@pytest.mark.real_data
def test_released_questions_are_known_by_their_answer_lists(real_data: Path, tmp_path: Path):
    for name, licence in (("ptbxl", "cc-by-4.0"), ("mimic-iv-ecg", "odbl")):
        assert main(["export", "hf", str(real_data / "ecgqa" / name), str(tmp_path / name)]) == 0
        assert head(tmp_path / name)["license"] == licence
