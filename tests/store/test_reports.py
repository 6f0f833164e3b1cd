"""Reports beside the ECGs of a store: as the source wrote them, translated where asked, paired with unlike ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.models.tokenizer import train_tokenizer
from ecgqa.sources import open_source
from ecgqa.sources.synthetic import write_cohort
from ecgqa.store import Store, open_store
from ecgqa.store.build import build_store
from ecgqa.store.report_batches import ReportLoader, Reports
from ecgqa.store.reports import find_reports


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort é") / "cohort"
    write_cohort(folder, n_patients=30, seed=5, workers=1)
    return folder


@pytest.fixture(scope="module")
def store(cohort: Path) -> Store:
    return open_store(build_store(cohort.parent / "store", records_root=cohort))


def test_a_store_keeps_what_the_source_wrote(store: Store, cohort: Path) -> None:
    reports, records = store.reports, store.records
    assert reports.height == store.n_ecgs == store.manifest["counts"]["reports"]
    assert reports["ecg_id"].to_list() == records["ecg_id"].gather(reports["ecg_row"]).to_list()
    written = open_source(cohort).metadata()
    for ecg_id, text, codes in written.select("ecg_id", "report", "scp_codes").iter_rows():
        (row,) = reports.filter(pl.col("ecg_id") == ecg_id).to_dicts()
        assert row["text"] == text.strip()
        assert row["diagnoses"] and all(f"'{code}'" in codes for code in row["diagnoses"])
        assert len(row["diagnoses"]) == codes.count(":")


def test_translations_take_the_place_of_the_own_texts(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "translated.csv"
    ids = open_source(cohort).records()["ecg_id"].to_list()
    rows = "".join(f"{ecg_id}.0,sinus rhythm number {ecg_id}\n" for ecg_id in [*ids[:4], 999_999])
    table.write_text(f"ecg_id,report\n{rows}")
    words = ["store", "build", "--records", str(cohort), "--dest", str(tmp_path / "store")]
    assert main([*words, "--reports", str(table)]) == 0
    assert "4 reports" in capsys.readouterr().out
    reports = open_store(tmp_path / "store").reports
    assert reports["text"].to_list() == [f"sinus rhythm number {ecg_id}" for ecg_id in ids[:4]]
    assert all(reports["diagnoses"].list.len() > 0)
    assert main(words) != 0  # the same folder, other reports
    assert "overwrite" in capsys.readouterr().err
    table.write_text("ecg_id,report\n999999,nothing\n")
    with pytest.raises(EcgqaError, match="names none of the"):
        find_reports(open_source(cohort), pl.Series(ids), table)


def test_a_store_without_reports_says_so(cohort: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(cohort, tmp_path / "silent")
    (tmp_path / "silent" / "manifest.json").unlink()
    path = tmp_path / "silent" / "ptbxl_database.csv"
    pl.read_csv(path, infer_schema=False).drop("report").write_csv(path)
    silent = open_store(build_store(tmp_path / "store", records_root=tmp_path / "silent"))
    assert silent.manifest["counts"]["reports"] == 0
    with pytest.raises(EcgqaError, match="holds no reports"):
        _ = silent.reports


@pytest.mark.real_data
def test_machine_statements_are_joined_and_read(real_data: Path) -> None:
    source = open_source(real_data / "mimic-iv-ecg")
    ids = source.records()["ecg_id"]
    reports = find_reports(source, ids)
    assert reports.height
    for row in reports.to_dicts():
        (said,) = source.measurements().filter(pl.col("ecg_id") == row["ecg_id"]).collect().to_dicts()  # type: ignore[attr-defined]
        statements = [said[f"report_{n}"] for n in range(18) if said.get(f"report_{n}")]
        assert statements and row["text"] == " ".join(statements)
        assert row["diagnoses"] == sorted(set(row["diagnoses"]))


@pytest.mark.real_data
def test_reports_of_real_records(real_data: Path) -> None:
    source = open_source(real_data / "ptbxl")
    reports = find_reports(source, pl.Series([1, 2, 21837]))
    assert reports["text"].to_list()[1] == "sinusbradykardie sonst normales ekg"
    assert reports["diagnoses"].to_list()[1] == ["NORM", "SBRAD"]


def loader(store: Store, **options: object) -> ReportLoader:
    reports = Reports(store, train_tokenizer(store.reports["text"].to_list(), 300).encode_words)
    settings = {"mismatched": 0.5, "shuffle": True, "seed": 1} | options
    return ReportLoader(store, reports, np.arange(store.n_ecgs), 8, **settings)  # type: ignore[arg-type]


def test_mismatched_reports_are_really_those_of_others_both_ways(store: Store) -> None:
    """The original's exchange of two rows copied one over the other, and rebuilt the tokens from the unexchanged."""
    texts = dict(store.reports.select("ecg_row", "text").iter_rows())
    diagnoses = {row: set(codes) for row, codes in store.reports.select("ecg_row", "diagnoses").iter_rows()}
    made = loader(store)
    encode = train_tokenizer(list(texts.values()), 300).encode
    gets = {}
    for batch in made:
        for place, (row, other) in enumerate(zip(batch.row.tolist(), batch.text_row.tolist(), strict=True)):
            gets[row] = other
            ids = batch.text[place, : int(batch.text_length[place])].tolist()
            assert ids == encode([texts[other]])[0], "the tokens are those of the report that the row says"
            assert bool(batch.belongs[place]) == (row == other)
            assert not batch.text[place, len(ids) :].any() and (batch.word[place, len(ids) :] == -1).all()
    wrong = {row: other for row, other in gets.items() if row != other}
    assert sorted(gets) == sorted(gets.values()) == list(range(store.n_ecgs)), "every report is used once"
    assert 0.3 * len(gets) < len(wrong) <= 0.5 * len(gets)
    for row, other in wrong.items():
        assert wrong[other] == row, "both ways"
        assert texts[row] != texts[other] and diagnoses[row] != diagnoses[other]


def test_who_gets_whose_report_follows_from_seed_and_epoch_alone(store: Store) -> None:
    def drawn(made: ReportLoader, epoch: int) -> dict[int, int]:
        made.set_epoch(epoch)
        return {row: other for b in made for row, other in zip(b.row.tolist(), b.text_row.tolist(), strict=True)}

    alone = loader(store)
    first, second = drawn(alone, 0), drawn(alone, 1)
    assert first != second and drawn(alone, 0) == first
    shared = [loader(store, rank=rank, world_size=2) for rank in (0, 1)]
    assert drawn(shared[0], 0) | drawn(shared[1], 0) == first


def test_reports_that_say_the_same_are_never_exchanged(store: Store) -> None:
    rows = np.arange(store.n_ecgs)
    reports = Reports(store, train_tokenizer(store.reports["text"].to_list(), 300).encode_words)
    normal = rows[[set(codes) == {"NORM", "SR"} for codes in store.reports["diagnoses"].to_list()]]
    assert len(normal) > 3
    gets = reports.exchanged(normal, 0.9, np.random.default_rng(0))
    assert (gets == normal).all()
    mixed = np.concatenate([normal, np.setdiff1d(rows, normal)[:1]])
    gets = reports.exchanged(mixed, 0.99, np.random.default_rng(0))
    moved = mixed[gets != mixed]
    assert len(moved) in (0, 2) and (len(moved) == 0 or mixed[-1] in moved)
