"""The published layout is read exactly, written back byte by byte, and bad files are named."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from released_samples import BY_TEMPLATE, CLASSES, SPLITS, pair, sample, valid_samples, write_ptbxl_records, write_root

from ecgqa.errors import EcgqaError
from ecgqa.questions import shards
from ecgqa.questions.layout import dataset_root, name_width, shard_files
from ecgqa.questions.released import (
    AnswerLists,
    read_answer_lists,
    read_questions,
    read_split_ecgs,
    with_candidates,
    write_dataset,
)
from ecgqa.questions.shards import KEYS, format_shard, parse_shard
from ecgqa.records import QUESTIONS, AttributeType, QuestionType


def dumped(samples: list[dict[str, Any]]) -> bytes:
    return json.dumps(samples, indent=4).encode()


# -- reading ---------------------------------------------------------------------------------------------------------


def test_reads_every_field_in_order(tmp_path: Path) -> None:
    frame = read_questions(write_root(tmp_path))
    assert dict(frame.schema) == dict(QUESTIONS.polars)
    assert frame["version"].to_list() == ["template"] * 4 + ["paraphrased"] * 4
    for row, expected in zip(frame.head(4).iter_rows(named=True), valid_samples(), strict=True):
        assert {key: row[key] for key in KEYS} == expected


def test_candidates_follow_the_template_list(tmp_path: Path) -> None:
    frame = read_questions(write_root(tmp_path), versions=["template"])
    assert frame["candidates"].to_list() == [
        ["no", "yes"],
        ["no", "yes"],
        ["burst noise", "none", "static noise"],
        ["none", "p duration", "qt interval"],
    ]


@pytest.mark.parametrize(
    ("template_id", "asked", "expected"),
    [
        (30, ["static noise", "burst noise"], ["burst noise", "none", "static noise"]),
        (
            40,
            ["below the normal range of p duration", "within the normal range of p duration"],
            ["below the normal range", "none", "within the normal range"],
        ),
        # " of " inside an answer of the list is no range: nothing is cut
        (
            24,
            ["old stage of myocardial infarction", "early stage of myocardial infarction"],
            ["early stage of myocardial infarction", "old stage of myocardial infarction", "none"],
        ),
    ],
)
def test_choose_offers_the_two_asked_and_none(
    tmp_path: Path, template_id: int, asked: list[str], expected: list[str]
) -> None:
    question = sample(0, template_id=template_id, question_type="single-choose", attribute=asked, answer=["none"])
    frame = read_questions(write_root(tmp_path, {"template/test/00000.json": [question]}))
    assert frame["candidates"].to_list() == [expected]


def test_subset_of_splits_and_versions(tmp_path: Path) -> None:
    parts = {f"{v}/{s}/00000.json": [sample(0)] for v in ("template", "paraphrased") for s in ("train", "test")}
    root = write_root(tmp_path, parts)
    frame = read_questions(root, splits=["test"], versions=["paraphrased"])
    assert frame.select("version", "split").rows() == [("paraphrased", "test")]
    with pytest.raises(EcgqaError, match="no questions of split 'valid'"):
        read_questions(root, splits=["valid"])
    with pytest.raises(EcgqaError, match="no such version: 'other'"):
        read_questions(root, versions=["other"])
    with pytest.raises(EcgqaError, match="must be a list"):
        read_questions(root, splits="test")


def test_shards_are_read_in_order_of_number(tmp_path: Path) -> None:
    names = [90_000, 100_000, 0]
    root = write_root(tmp_path, {f"template/train/{first:05d}.json": [sample(first)] for first in names})
    (root / "template/train/._00000.json").write_bytes(b"\x00")  # macOS leaves such files behind
    assert read_questions(root)["sample_id"].to_list() == [0, 90_000, 100_000]


def test_mapped_and_reformatted_datasets_read_alike(tmp_path: Path) -> None:
    plain = read_questions(write_root(tmp_path / "plain"))
    mapped = [sample_ | {"ecg_path": ["/dätä/x"]} for sample_ in valid_samples()]
    for name, data in {
        "mapped": dumped(mapped),
        "compact": json.dumps(valid_samples(), separators=(",", ":")).encode(),
        "indent 2": json.dumps(valid_samples(), indent=2).encode(),
        "other key order": json.dumps([dict(reversed(s.items())) for s in valid_samples()]).encode(),
        "further keys": dumped([s | {"note": {"a": [1.5, None]}} for s in valid_samples()]),
        "windows": dumped(valid_samples()).replace(b"\n", b"\r\n"),
    }.items():
        files = {f"{version}/train/00000.json": data for version in ("template", "paraphrased")}
        assert read_questions(write_root(tmp_path / name, files)).equals(plain), name


@pytest.mark.parametrize("inside", ["paraphrased", "template/train"])
def test_version_folder_is_understood_as_its_parent(tmp_path: Path, inside: str, monkeypatch: Any) -> None:
    root = write_root(tmp_path / "ecg qä")
    assert dataset_root(root / inside) == root
    monkeypatch.chdir(root / inside)
    assert read_questions(".").height == 8


def test_wrong_folders_say_where_to_look(tmp_path: Path) -> None:
    write_root(tmp_path / "ptbxl")
    with pytest.raises(EcgqaError) as caught:
        read_questions(tmp_path)
    assert str(tmp_path / "ptbxl") in str(caught.value.fix)
    with pytest.raises(EcgqaError, match="no such folder"):
        read_questions(tmp_path / "nothing")
    with pytest.raises(EcgqaError, match="neither template"):
        read_questions(write_ptbxl_records(tmp_path / "records", [1]))
    with pytest.raises(EcgqaError, match=r"answers\.csv"):
        read_questions(write_root(tmp_path / "bare", lists=False))


NUL = "\x00"
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "truncated": (dumped(valid_samples())[:-200], "cut off"),
    "truncated in a string": (dumped([sample(0)])[:150], "cut off"),
    "object instead of list": (json.dumps(sample()).encode(), "is no list of samples"),
    "null": (b"null", "is no list of samples"),
    "list of lists": (b"[[1]]", "is no object"),
    "null sample": (b"[null]", "is no object"),
    "byte order mark": (b"\xef\xbb\xbf" + dumped([sample()]), "byte order mark"),
    "utf-16": (dumped([sample()]).decode().encode("utf-16"), "byte order mark"),
    "latin-1": (json.dumps([sample(question="Ödem")], ensure_ascii=False).encode("latin-1"), "not UTF-8"),
    "nan": (dumped([sample(sample_id=float("nan"))]), "NaN is not JSON"),
    "infinity": (dumped([sample(question_id=float("inf"))]), "Infinity is not JSON"),
    "trailing comma": (dumped([sample()])[:-2] + b",\n]", "not JSON"),
    "two lists": (dumped([sample()]) * 2, "not JSON"),
    "html": (b"<!DOCTYPE html><html>404</html>", "not JSON"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "not JSON"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "deep in a sample": (b'[{"template_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "nested too deeply"),
    "huge number": (b'[{"template_id": ' + b"9" * 10_000 + b"}]", "not JSON"),
    "binary": (bytes(range(256)), "not UTF-8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_named(tmp_path: Path, name: str) -> None:
    data, message = BAD_FILES[name]
    root = write_root(tmp_path, {"template/train/00000.json": [sample(0)], "template/valid/10000.json": data})
    with pytest.raises(EcgqaError, match=message) as caught:
        read_questions(root)
    assert "template/valid/10000.json" in caught.value.message


BAD_VALUES: dict[str, tuple[str, Any]] = {
    "template id as text": ("template_id", "26"),
    "template id as float": ("template_id", 26.0),
    "template id as boolean": ("template_id", True),
    "template id null": ("template_id", None),
    "template id too large": ("template_id", 40_000),
    "question id negative": ("question_id", -1),
    "question id too large": ("question_id", 2**31),
    "sample id too large": ("sample_id", 2**63),
    "sample id enormous": ("sample_id", 10**4000),
    "question a list": ("question", ["Is it?"]),
    "question null": ("question", None),
    "question with half a surrogate": ("question", "\ud800"),
    "question type null": ("question_type", None),
    "question type unknown": ("question_type", "single-guess"),
    "attribute type unknown": ("attribute_type", "colour"),
    "answer a string": ("answer", "yes"),
    "answer null": ("answer", None),
    "answer of null": ("answer", [None]),
    "answer of numbers": ("answer", [1]),
    "ecg id a number": ("ecg_id", 1),
    "ecg id empty": ("ecg_id", []),
    "ecg id of three": ("ecg_id", [1, 2, 3]),
    "ecg id as text": ("ecg_id", ["1"]),
    "ecg id as float": ("ecg_id", [1.5]),
    "ecg id null": ("ecg_id", [1, None]),
    "ecg id negative": ("ecg_id", [-1]),
    "attribute a string": ("attribute", "static noise"),
    "attribute of null": ("attribute", [None]),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_value_names_file_sample_and_key(tmp_path: Path, name: str) -> None:
    key, value = BAD_VALUES[name]
    bad = dumped([sample(0), sample(7) | {key: value}])
    root = write_root(tmp_path, {"template/train/00000.json": bad})
    with pytest.raises(EcgqaError) as caught:
        read_questions(root)
    assert "template/train/00000.json" in caught.value.message
    assert key in caught.value.message
    assert key == "sample_id" or "sample_id 7" in caught.value.message


@pytest.mark.parametrize("key", KEYS)
def test_missing_and_duplicate_keys(tmp_path: Path, key: str) -> None:
    without = {name: value for name, value in sample(3).items() if name != key}
    with pytest.raises(EcgqaError, match=f"'{key}': is missing"):
        read_questions(write_root(tmp_path / "a", {"template/train/00000.json": [sample(0), without]}))
    text = dumped([sample(3)]).replace(b"    {\n", f'    {{\n        "{key}": null,\n'.encode())
    with pytest.raises(EcgqaError, match=f"'{key}': occurs twice"):
        read_questions(write_root(tmp_path / "b", {"template/train/00000.json": text}))


def test_unknown_template_is_named(tmp_path: Path) -> None:
    root = write_root(tmp_path, {"template/train/00000.json": [sample(0), sample(5, template_id=99)]})
    with pytest.raises(EcgqaError, match="template id 99 is unknown") as caught:
        read_questions(root)
    assert "sample 5" in str(caught.value.found)


def test_too_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_BYTES", 100)
    with pytest.raises(EcgqaError, match="too large to be a shard"):
        read_questions(write_root(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("answers.csv", "class,index\nno,0\n", "wrong columns"),
        ("answers.csv", "index,class\n1,no\n", "out of order"),
        ("answers.csv", "index,class\n0,no,yes\n", "wrong number of columns"),
        ("answers.csv", 'index,class\n0,"no\n', "damaged"),
        ("answers.csv", "", "wrong columns"),
        ("answers_for_each_template.csv", 'template_id,classes\n1,"[no]"\n', "not a list of answers"),
        ("answers_for_each_template.csv", "template_id,classes\n1,__import__('os')\n", "not a list of answers"),
        ("answers_for_each_template.csv", "template_id,classes\n1," + "(" * 5000 + "\n", "not a list of answers"),
        ("answers_for_each_template.csv", "template_id,classes\nx,[]\n", "template id"),
        ("answers_for_each_template.csv", "template_id,classes\n1,[]\n1,[]\n", "template id"),
    ],
)
def test_damaged_answer_lists(tmp_path: Path, name: str, text: str, message: str) -> None:
    root = write_root(tmp_path)
    (root / name).write_text(text)
    with pytest.raises(EcgqaError, match=message) as caught:
        read_answer_lists(root)
    assert name in caught.value.message


@pytest.mark.parametrize("text", ["0\tx\n", "0 1\n", "0\n", "0\t1\t2\n", "\t\n"])
def test_damaged_split_list(tmp_path: Path, text: str) -> None:
    root = write_root(tmp_path)
    (root / "train_ecgs.tsv").write_text(text)
    with pytest.raises(EcgqaError, match=r"train_ecgs\.tsv"):
        read_split_ecgs(root)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_writes_the_same_files(tmp_path: Path) -> None:
    root = write_root(tmp_path / "a")
    lists = read_answer_lists(root)
    assert lists == AnswerLists(CLASSES, BY_TEMPLATE)
    assert read_split_ecgs(root) == SPLITS
    write_dataset(read_questions(root), tmp_path / "b", answers=lists, split_ecgs=SPLITS)
    assert contents(tmp_path / "b") == contents(root)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_shard_names_and_borders(tmp_path: Path) -> None:
    frame = read_questions(write_root(tmp_path / "a"), versions=["template"]).head(1)
    ids = [0, 9, 10, 25, 99_990, 100_000]
    many = pl.concat([frame.with_columns(pl.lit(i, dtype=pl.Int64).alias("sample_id")) for i in reversed(ids)])
    write_dataset(many, tmp_path / "b", answers=AnswerLists([], {}), split_ecgs={}, shard_size=10)
    names = [file.path.name for file in shard_files(tmp_path / "b")]
    assert names == ["000000.json", "000010.json", "000020.json", "099990.json", "100000.json"]
    assert [s["sample_id"] for s in json.loads((tmp_path / "b/template/train/000000.json").read_bytes())] == [0, 9]


def test_name_widths_are_those_of_the_release() -> None:
    assert [name_width(n - 1) for n in (267_539, 64_663, 82_146)] == [6, 5, 5]  # PTB-XL train, valid, test
    assert [name_width(n - 1) for n in (829_267, 220_001, 274_364)] == [6, 6, 6]  # MIMIC-IV-ECG
    assert name_width(0) == 5


def test_refuses_repeated_ids_and_foreign_shards(tmp_path: Path) -> None:
    frame = read_questions(write_root(tmp_path / "a"))
    with pytest.raises(EcgqaError, match="more than once in template/train"):
        write_dataset(pl.concat([frame, frame]), tmp_path / "b", answers=AnswerLists([], {}), split_ecgs={})
    assert not (tmp_path / "b").exists()
    (tmp_path / "a/template/train/00000.json").rename(tmp_path / "a/template/train/70000.json")
    with pytest.raises(EcgqaError, match="already holds other questions"):
        write_dataset(frame, tmp_path / "a", answers=AnswerLists([], {}), split_ecgs={})


def test_with_candidates_needs_a_list_for_every_template(tmp_path: Path) -> None:
    frame = read_questions(write_root(tmp_path))
    with pytest.raises(EcgqaError, match="template id 26 is unknown"):
        with_candidates(frame, {30: ["none"], 70: ["none"]})


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LIST = st.lists(TEXT | st.text(string.ascii_letters + " ", max_size=8), max_size=3)
ARBITRARY = st.fixed_dictionaries(
    {
        "template_id": st.sampled_from(sorted(BY_TEMPLATE)),
        "question_id": st.integers(0, 2**31 - 1),
        "sample_id": st.integers(0, 40_000),
        "question_type": st.sampled_from([member.value for member in QuestionType]),
        "attribute_type": st.sampled_from([member.value for member in AttributeType]),
        "question": TEXT,
        "answer": LIST,
        "ecg_id": st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=2),
        "attribute": st.none() | LIST,
    }
).map(lambda row: {key: row[key] for key in KEYS})
TABLES = st.lists(ARBITRARY, min_size=1, max_size=6, unique_by=lambda row: row["sample_id"])


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_any_table_survives_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    rows = sorted(rows, key=lambda row: row["sample_id"])
    frame = pl.DataFrame(rows, schema={key: QUESTIONS.polars[key] for key in KEYS}).with_columns(
        pl.lit("valid").alias("split"), pl.lit("template").alias("version")
    )
    first, second = (tmp_path_factory.mktemp("dataset") for _ in range(2))
    lists = AnswerLists(CLASSES, BY_TEMPLATE)
    write_dataset(frame, first, answers=lists, split_ecgs={"valid": [2, 1]})
    again = read_questions(first)
    assert [{key: row[key] for key in KEYS} for row in again.iter_rows(named=True)] == rows
    write_dataset(again, second, answers=lists, split_ecgs={"valid": [2, 1]})
    assert contents(first) == contents(second)


@settings(max_examples=200, deadline=None)
@given(st.lists(ARBITRARY, max_size=4))
def test_format_is_json_dump_and_both_parsers_agree(rows: list[Any]) -> None:
    data = dumped(rows)
    assert format_shard([tuple(row.values()) for row in rows]).encode() == data
    quick, full = parse_shard(data, "x"), shards._parse_in_full(data, "x")
    assert not quick.problems and quick.frame.equals(full.frame)
    assert quick.released_format


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_never_pass_the_scan_alone(data: st.DataObject) -> None:
    """One byte of a released shard is changed, removed or added: both parsers must still say the same."""
    original = dumped([sample(3), pair(4)])
    position = data.draw(st.integers(0, len(original) - 1))
    byte = data.draw(st.sampled_from([b"", b"0", b"-", b",", b'"', b"\\", b"\n", b" ", b"}", b"]", b"\xff", b"null"]))
    width = data.draw(st.integers(0, 2))
    damaged = original[:position] + byte + original[position + width :]
    quick, full = parse_shard(damaged, "x"), shards._parse_in_full(damaged, "x")
    assert quick.problems == full.problems
    assert quick.frame.equals(full.frame)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | TEXT, st.lists).map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_end_in_a_frame_or_problems(data: bytes) -> None:
    shard = parse_shard(data, "x")
    assert shard.problems or data.strip() == b"[]"


@pytest.mark.real_data
def test_released_shards_come_back_byte_by_byte(real_data: Path, tmp_path: Path) -> None:
    for source, n_files in (("ptbxl", 9), ("mimic-iv-ecg", 5)):
        root = real_data / "ecgqa" / source
        frame = read_questions(root)
        assert frame["candidates"].list.len().min() >= 2  # type: ignore[operator]
        outside = frame.select(pl.col("answer").list.set_difference("candidates").list.len().sum()).item()
        assert outside == 0
        write_dataset(frame, tmp_path / source, answers=read_answer_lists(root), split_ecgs=read_split_ecgs(root))
        written = contents(tmp_path / source)
        assert len(written) == n_files
        assert written == contents(root)
