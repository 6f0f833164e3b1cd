"""Mapping writes what parse, add ecg_path and json.dump(indent=4) would, or says which ECGs are missing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from released_samples import Sample, pair, sample, valid_samples, write_ptbxl_records, write_root

from ecgqa.artefacts import read_manifest
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.questions.mapping import _Mapper, map_dataset
from ecgqa.questions.record_paths import MimicPaths, PtbxlPaths
from ecgqa.questions.released import read_questions


def reference(samples: list[Sample], path_of: Any, present: set[int] | None = None) -> bytes:
    """What the published mapping step writes."""
    mapped = []
    for one in json.loads(json.dumps(samples)):
        if present is None or present.issuperset(one["ecg_id"]):
            one["ecg_path"] = [path_of(ecg_id) for ecg_id in one["ecg_id"]]
            mapped.append(one)
    return json.dumps(mapped, indent=4).encode()


def ptbxl(prefix: str) -> Any:
    return lambda ecg_id: f"{prefix}records500/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_hr"


def test_adds_paths_to_both_versions_and_copies_the_lists(tmp_path: Path) -> None:
    root = write_root(tmp_path / "questions")
    records = write_ptbxl_records(tmp_path / "ptb xl ü", [1, 2])
    done = map_dataset(root, records=records, dest=tmp_path / "out")
    assert (done.n_files, done.n_samples, done.n_ecgs, done.n_missing) == (2, 8, 2, 0)
    expected = reference(valid_samples(), ptbxl(f"{records}/"))
    for version in ("template", "paraphrased"):
        assert (tmp_path / "out" / version / "train/00000.json").read_bytes() == expected
    for name in ("answers.csv", "answers_for_each_template.csv", "train_ecgs.tsv", "valid_ecgs.tsv", "test_ecgs.tsv"):
        assert (tmp_path / "out" / name).read_bytes() == (root / name).read_bytes()
    assert read_manifest(tmp_path / "out", kind="mapped questions")["counts"]["n_samples"] == 8
    assert read_questions(tmp_path / "out").equals(read_questions(root))


def test_paths_of_the_published_layout(tmp_path: Path) -> None:
    ids = [1, 999, 1000, 21837]
    paths = PtbxlPaths(write_ptbxl_records(tmp_path, ids))
    assert [paths.find(ecg_id) for ecg_id in ids] == [
        "records500/00000/00001_hr",
        "records500/00000/00999_hr",
        "records500/01000/01000_hr",
        "records500/21000/21837_hr",
    ]
    low = PtbxlPaths(write_ptbxl_records(tmp_path, [12662], folder="records100", suffix="lr"), records100=True)
    assert low.find(12662) == "records100/12000/12662_lr"
    assert low.find(1) is None and list(low.missing) == [1]


def test_relative_and_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_root(tmp_path / "questions")
    write_ptbxl_records(tmp_path / "ecgs", [1, 2])
    monkeypatch.chdir(tmp_path)
    map_dataset(root, records="ecgs", relative=True)
    mapped = (tmp_path / "output/ptbxl/template/train/00000.json").read_bytes()
    assert mapped == reference(valid_samples(), ptbxl(""))
    map_dataset(root, records="ecgs/", dest="absolute")
    first = json.loads((tmp_path / "absolute/template/train/00000.json").read_bytes())[0]
    assert first["ecg_path"] == [f"{tmp_path}/ecgs/records500/00000/00001_hr"]


def test_each_ecg_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = PtbxlPaths._is_there
    monkeypatch.setattr(PtbxlPaths, "_is_there", lambda self, path: asked.append(path) or original(self, path))
    root = write_root(tmp_path / "questions")
    map_dataset(root, records=write_ptbxl_records(tmp_path / "ecgs", [1, 2]), dest=tmp_path / "out")
    assert sorted(asked) == ["records500/00000/00001_hr", "records500/00000/00002_hr"]


@pytest.mark.parametrize("removed", ["00002_hr.dat", "00002_hr.hea"])
def test_missing_ecgs_stop_everything(tmp_path: Path, removed: str) -> None:
    root = write_root(tmp_path / "questions")
    records = write_ptbxl_records(tmp_path / "ecgs", [1, 2])
    (records / "records500/00000" / removed).unlink()
    with pytest.raises(EcgqaError, match="1 of the 2 ECGs") as caught:
        map_dataset(root, records=records, dest=tmp_path / "new/out")
    assert "2" in str(caught.value.found)
    assert "ecgqa fetch ptbxl" in str(caught.value.fix) and "--missing skip" in str(caught.value.fix)
    assert [p.name for p in (tmp_path / "new").iterdir() if not p.name.endswith(".lock")] == []


def test_skip_leaves_out_samples(tmp_path: Path) -> None:
    root = write_root(tmp_path / "questions")
    records = write_ptbxl_records(tmp_path / "ecgs", [1])
    done = map_dataset(root, records=records, dest=tmp_path / "out", missing="skip")
    assert (done.n_samples, done.n_skipped, done.n_ecgs, done.n_missing, done.first_missing) == (4, 4, 1, 1, [2])
    expected = reference(valid_samples(), ptbxl(f"{records}/"), {1})
    assert (tmp_path / "out/template/train/00000.json").read_bytes() == expected


def test_a_shard_of_which_nothing_remains_is_an_empty_list(tmp_path: Path) -> None:
    root = write_root(tmp_path / "q", {"template/train/00000.json": [sample(0)], "template/test/00000.json": [pair(0)]})
    map_dataset(root, records=write_ptbxl_records(tmp_path / "e", [1]), dest=tmp_path / "out", missing="skip")
    assert (tmp_path / "out/template/test/00000.json").read_bytes() == b"[]"
    assert read_questions(tmp_path / "out").height == 1


@pytest.mark.parametrize("missing", ["error", "skip"])
def test_nothing_there_is_an_error_in_any_case(tmp_path: Path, missing: Any) -> None:
    records = write_ptbxl_records(tmp_path / "ecgs", [500])
    with pytest.raises(EcgqaError, match="none of the 2 ECGs"):
        map_dataset(write_root(tmp_path / "q"), records=records, dest=tmp_path / "out", missing=missing)
    assert not (tmp_path / "out").exists()


def test_second_run_and_other_settings(tmp_path: Path) -> None:
    root, records = write_root(tmp_path / "q"), write_ptbxl_records(tmp_path / "e", [1, 2])
    assert not map_dataset(root, records=records, dest=tmp_path / "out").already_complete
    stamp = (tmp_path / "out/template/train/00000.json").stat().st_mtime_ns
    again = map_dataset(root, records=records, dest=tmp_path / "out")
    assert again.already_complete and again.n_samples == 8
    assert (tmp_path / "out/template/train/00000.json").stat().st_mtime_ns == stamp
    with pytest.raises(EcgqaError, match="other inputs or settings"):
        map_dataset(root, records=records, dest=tmp_path / "out", relative=True)
    done = map_dataset(root, records=records, dest=tmp_path / "out", relative=True, overwrite=True)
    assert not done.already_complete
    write_root(root, {"template/test/00000.json": [sample(0)]})
    with pytest.raises(EcgqaError, match="other inputs"):
        map_dataset(root, records=records, dest=tmp_path / "out", relative=True)


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    root, records = write_root(tmp_path / "q"), write_ptbxl_records(tmp_path / "e", [1, 2])
    with pytest.raises(EcgqaError, match="not made by ecgqa"):
        map_dataset(root, records=records, dest=root)
    assert read_questions(root).height == 8


def test_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, records = write_root(tmp_path / "q"), write_ptbxl_records(tmp_path / "e", [1, 2])
    calls = []

    def interrupt(self: _Mapper, data: bytes, where: str) -> tuple[bytes, int, int]:
        calls.append(where)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return b"[]", 1, 0

    monkeypatch.setattr(_Mapper, "map_shard", interrupt)
    with pytest.raises(KeyboardInterrupt):
        map_dataset(root, records=records, dest=tmp_path / "new/out")
    assert [p.name for p in (tmp_path / "new").iterdir() if not p.name.endswith(".lock")] == []


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, records = write_root(tmp_path / "q"), write_ptbxl_records(tmp_path / "e", [1, 2])

    def no_space(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(EcgqaError, match="No space left"):
        map_dataset(root, records=records, dest=tmp_path / "new/out")
    assert [p.name for p in (tmp_path / "new").iterdir() if not p.name.endswith(".lock")] == []


def test_malformed_shard_is_named(tmp_path: Path) -> None:
    root = write_root(tmp_path / "q", {"template/train/00000.json": [sample(0), sample(1) | {"ecg_id": "1"}]})
    with pytest.raises(
        EcgqaError, match=r"template/train/00000\.json, sample 1 of the file \(sample_id 1\), key 'ecg_id'"
    ):
        map_dataset(root, records=write_ptbxl_records(tmp_path / "e", [1]), dest=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def write_mimic(root: Path, listed: dict[int, str], present: list[int]) -> Path:
    root.mkdir(parents=True)
    rows = "".join(f"10000032,{study},{study},2180-07-23 08:44:00,{path}\n" for study, path in listed.items())
    (root / "record_list.csv").write_text("subject_id,study_id,file_name,ecg_time,path\n" + rows)
    for study in present:
        for extension in ("hea", "dat"):
            file = root / f"{listed[study]}.{extension}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return root


def test_mimic_takes_paths_from_the_record_list(tmp_path: Path) -> None:
    studies = {number: f"files/p1000/p10000032/s{number}/{number}" for number in (40689238, 44458630, 49036311)}
    records = write_mimic(tmp_path / "mimic", studies, [40689238, 44458630])
    samples = [sample(0, ecg_id=[40689238]), pair(1, ecg_id=[44458630, 40689238])]
    splits = {"train": list(studies)}
    root = write_root(tmp_path / "q", {"template/train/000000.json": samples}, splits=splits)
    done = map_dataset(root, records=records, dest=tmp_path / "out")
    assert done.kind == "mimic-iv-ecg"
    mapped = (tmp_path / "out/template/train/000000.json").read_bytes()
    assert mapped == reference(samples, lambda study: f"{records}/{studies[study]}")

    paths = MimicPaths(records)
    assert paths.find(49036311) is None  # listed, but its files are not there
    assert paths.find(1) is None  # not listed
    assert list(paths.missing) == [49036311, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study_id\n1\n", "cannot be read"),
        ("study_id,path\nx,files/a\n", "cannot be read"),
        ("", "cannot be read"),
        ("study_id,path\n1,files/a\n1,files/b\n", "more than once"),
        ("study_id,path\n1,/etc/passwd\n", "leads out of the folder"),
        ("study_id,path\n1,files/../../x\n", "leads out of the folder"),
    ],
)
def test_damaged_record_list(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "record_list.csv").write_text(text)
    with pytest.raises(EcgqaError, match=message) as caught:
        MimicPaths(tmp_path)
    assert "record_list.csv" in caught.value.message


def test_wrong_records_folder(tmp_path: Path) -> None:
    root = write_root(tmp_path / "q")
    with pytest.raises(EcgqaError, match="no such folder"):
        map_dataset(root, records=tmp_path / "nothing")
    with pytest.raises(EcgqaError, match="has no records500/"):
        map_dataset(root, records=tmp_path)
    write_ptbxl_records(tmp_path / "low", [1], folder="records100", suffix="lr")
    with pytest.raises(EcgqaError, match="has no records500/"):
        map_dataset(root, records=tmp_path / "low")
    mimic = write_mimic(tmp_path / "mimic", {40689238: "files/x"}, [])
    with pytest.raises(EcgqaError, match="questions are about ptbxl ECGs, the records are those of mimic-iv-ecg"):
        map_dataset(root, records=mimic)
    with pytest.raises(EcgqaError, match="no 100 Hz records"):
        map_dataset(root, records=mimic, kind="mimic-iv-ecg", records100=True)


def test_without_folder_the_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGQA_CACHE", str(tmp_path / "cache"))
    root = write_root(tmp_path / "q")
    with pytest.raises(EcgqaError) as caught:
        map_dataset(root, dest=tmp_path / "out")
    assert "ecgqa fetch ptbxl" in str(caught.value.fix)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, records = write_root(tmp_path / "a b"), write_ptbxl_records(tmp_path / "e", [1])
    monkeypatch.chdir(tmp_path)
    assert main(["map", str(root), "--records", str(records)]) == 1
    assert "1 of the 2 ECGs" in capsys.readouterr().err
    assert not os.path.exists("output/ptbxl")  # noqa: PTH110
    arguments = ["map", str(root / "paraphrased"), "--records", str(records), "--missing", "skip"]
    assert main(arguments) == 0
    assert "4 samples" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "complete already" in capsys.readouterr().out


# -- splicing equals parsing and dumping -----------------------------------------------------------------------------

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
PRESENT = set(range(0, 40, 2))


def arbitrary(text: st.SearchStrategy[str]) -> st.SearchStrategy[Sample]:
    strings = st.lists(text, max_size=3)
    return st.builds(
        lambda *parts: (
            sample(parts[0])
            | dict(zip(("question", "answer", "ecg_id", "attribute"), parts[1:5], strict=True))
            | ({"ecg_path": parts[5]} if parts[5] else {})
            | parts[6]
        ),
        st.integers(0, 99_999),
        text,
        strings,
        st.lists(st.integers(0, 40), min_size=1, max_size=2),
        st.none() | strings,
        strings,
        st.just({}) | st.dictionaries(text.map("x".__add__), st.floats(allow_nan=False, allow_infinity=False) | text),
    )


@settings(max_examples=250, deadline=None)
@given(
    samples=st.lists(arbitrary(PLAIN), max_size=5) | st.lists(arbitrary(ANY), max_size=5),
    indent=st.sampled_from([4, 4, 4, 2, None]),
    prefix=st.sampled_from(["", "/ptb xl/", '/dätä "q" \\ 心电/']),
)
def test_splice_equals_parse_and_dump(samples: list[Sample], indent: int | None, prefix: str) -> None:
    class Paths(PtbxlPaths):
        def __init__(self) -> None:
            self.missing, self._known, self._folder, self._suffix = {}, {}, "records500", "hr"

        def _is_there(self, path: str) -> bool:
            return int(path[-8:-3]) in PRESENT

    mapper = _Mapper(Paths(), prefix)
    for _ in range(2):  # the second time from the remembered texts
        text, n_kept, n_skipped = mapper.map_shard(json.dumps(samples, indent=indent).encode(), "x")
        assert text == reference(samples, ptbxl(prefix), PRESENT)
        assert n_kept + n_skipped == len(samples)


@pytest.mark.real_data
def test_real_shards_map_as_published(real_data: Path, tmp_path: Path) -> None:
    root, records = real_data / "ecgqa/ptbxl", real_data / "ptbxl"
    present = {int(path.name[:5]) for path in records.glob("records500/*/*_hr.dat")}
    with pytest.raises(EcgqaError, match="are missing below"):
        map_dataset(root, records=records, dest=tmp_path / "out")
    done = map_dataset(root, records=records, dest=tmp_path / "out", missing="skip")
    assert 0 < done.n_samples < 29_326 and done.n_samples + done.n_skipped == 29_326
    for file in sorted(root.rglob("*.json")):
        expected = reference(json.loads(file.read_bytes()), ptbxl(f"{records}/"), present)
        assert (tmp_path / "out" / file.relative_to(root)).read_bytes() == expected
