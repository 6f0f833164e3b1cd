"""`ecgqa attributes build` and `ecgqa questions build` as a user types them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ecgqa.cli.main import main

STATEMENTS = [
    "{'NORM': 100.0, 'SR': 0.0}",
    "{'LVH': 50.0, 'SR': 0.0}",
    "{'IMI': 100.0, 'STD_': 0.0, 'AFIB': 0.0}",
    "{'NDT': 100.0, 'CLBBB': 100.0, 'SR': 0.0}",
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in PTB-XL's layout (metadata only) whose name has a space and a letter outside ASCII."""
    folder = tmp_path_factory.mktemp("data") / "Köhler ECGs"
    folder.mkdir()
    columns = [
        "ecg_id",
        "patient_id",
        "age",
        "sex",
        "recording_date",
        "report",
        "scp_codes",
        "validated_by_human",
        "infarction_stadium1",
        "infarction_stadium2",
        "baseline_drift",
        "static_noise",
        "burst_noise",
        "electrodes_problems",
        "extra_beats",
        "filename_hr",
    ]
    with (folder / "ptbxl_database.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for ecg_id in range(1, 121):
            writer.writerow(
                {
                    "ecg_id": ecg_id,
                    "patient_id": 1000 + ecg_id // 2,
                    "age": 60,
                    "sex": ecg_id % 2,
                    "recording_date": f"1990-01-01 00:{ecg_id // 60:02}:{ecg_id % 60:02}",
                    "report": "sinus rhythm. st segments are depressed in v5,6." if ecg_id % 10 else "",
                    "scp_codes": STATEMENTS[ecg_id * 7 % 4],
                    "validated_by_human": "True",
                    "static_noise": " , I-V1,  " if ecg_id % 3 == 0 else "",
                    "extra_beats": "VES1,alles" if ecg_id % 5 == 0 else "",
                    "infarction_stadium1": "Stadium I" if ecg_id % 8 == 0 else "",
                    "filename_hr": f"records500/00000/{ecg_id:05}_hr",
                }
            )
    return folder


@pytest.fixture
def attributes(cohort: Path, tmp_path: Path) -> Path:
    assert main(["attributes", "build", str(cohort), str(tmp_path / "a ö")]) == 0
    return tmp_path / "a ö"


def test_the_way_to_a_dataset(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attributes = tmp_path / "a ö"
    assert main(["attributes", "build", str(cohort), str(attributes)]) == 0
    assert "120 ECGs, 61 patients" in capsys.readouterr().out
    questions = tmp_path / "q"
    assert main(["questions", "build", str(attributes), str(questions), "--scale", "0.5"]) == 0
    told = capsys.readouterr().out
    assert (
        "single-verify" in told
        and "heart_axis is not known of any ECG" in told
        and "next: ecgqa questions check" in told
    )
    manifest = json.loads((questions / "manifest.json").read_text())
    assert manifest["left_out"]["22"] and manifest["config"]["seed"] == 0
    before = {path: path.read_bytes() for path in questions.rglob("*.json")}
    assert main(["questions", "check", str(questions)]) == 0
    assert main(["questions", "build", str(attributes), str(questions), "--scale", "0.5"]) == 0  # again: nothing to do
    again = tmp_path / "again"
    assert main(["questions", "build", str(attributes), str(again), "--scale", "0.5"]) == 0
    for path, content in before.items():
        if path.name != "manifest.json":
            assert (again / path.relative_to(questions)).read_bytes() == content == path.read_bytes()


def test_only_some_templates(attributes: Path, tmp_path: Path) -> None:
    assert main(["questions", "build", str(attributes), str(tmp_path / "q"), "--templates", "1,26-28"]) == 0
    asked = {
        sample["template_id"]
        for path in (tmp_path / "q").glob("template/*/*.json")
        for sample in json.loads(path.read_text())
    }
    assert asked == {1, 26, 27, 28}


def test_split_lists_alone_will_do(attributes: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for split, ids in (("train", range(2, 60)), ("valid", range(60, 80)), ("test", range(80, 120))):
        (lists / f"{split}_ecgs.tsv").write_text("".join(f"{n}\t{i}\n" for n, i in enumerate(ids)))
    assert main(["questions", "build", str(attributes), str(tmp_path / "q"), "--splits", str(lists)]) == 0
    assert (tmp_path / "q" / "test_ecgs.tsv").read_bytes() == (lists / "test_ecgs.tsv").read_bytes()


def test_released_pool_leaves_blank_reports_out(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attributes", "build", str(cohort), str(tmp_path / "a"), "--pool", "released"]) == 0
    assert "108 ECGs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--templates", "1,99"], "no templates 99"),
        (["--scale", "0"], "the scale is 0.0"),
        (["--limits", "choose=1"], "is no limit"),
        (["--splits", "nowhere"], "nowhere"),
        (["--templates", "20-22"], "not a single question"),
    ],
)
def test_wrong_options_are_told_and_leave_nothing(
    attributes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["questions", "build", str(attributes), str(tmp_path / "q"), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "q").exists() and not (tmp_path / ".q.partial").exists()


def test_other_folders_are_refused(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attributes", "build", str(tmp_path), str(tmp_path / "x")]) == 1
    assert main(["questions", "build", str(cohort), str(tmp_path / "y")]) == 1
    assert "manifest.json" in capsys.readouterr().err
    assert list(tmp_path.glob("[xy]")) == []


def test_a_damaged_table_is_refused(attributes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = attributes / "attributes.parquet"
    table.write_bytes(table.read_bytes()[:200])
    assert main(["questions", "build", str(attributes), str(tmp_path / "q")]) == 1
    assert "cannot be read as Parquet" in capsys.readouterr().err
