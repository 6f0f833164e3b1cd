"""The small readers behind `fetch`: the catalogue, lists of checksums, lists of ids."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.sources.catalogue import KINDS, release, versions
from ecgqa.sources.checksums import read_checksums, safe_path
from ecgqa.sources.selection import ids_in_file, ids_in_questions


@pytest.mark.parametrize(("kind", "version"), [(k, v) for k in KINDS for v in versions(k)])
def test_every_release_of_the_catalogue_is_usable(kind, version):
    entry = release(kind, version)
    assert len(entry.mirrors) >= 2
    for mirror in entry.mirrors:
        parts = urlsplit(mirror.url)
        assert parts.scheme == "https"
        assert version in parts.path
        assert "{" not in mirror.url
    notice = entry.notice()
    assert "{" not in notice
    assert entry.licence in notice
    assert all(part.bytes > 0 and part.files > 0 for part in entry.parts.values())


def test_ptbxl_names_and_sizes(real_data):
    entry = release("ptbxl")
    root = real_data / "ptbxl"
    files = [*root.glob("records500/00000/*"), *root.glob("records100/00000/*")]
    assert files
    for file in files:
        path = file.relative_to(root).as_posix()
        part = entry.parts[entry.part_of(path)]
        assert part.name == path.split("/")[0]
        assert part.id_of(path) == int(file.name[:5])
        size = file.stat().st_size
        assert entry.size_of(path) == size if file.suffix == ".dat" else abs(entry.size_of(path) - size) < 200
    assert entry.part_of("ptbxl_database.csv") == "metadata"


@given(st.text(max_size=60))
def test_a_safe_path_stays_below_its_folder(tmp_path_factory, path):
    root = tmp_path_factory.getbasetemp() / "root"
    if safe_path(path):
        assert (root / path).resolve().is_relative_to(root.resolve())
        assert (root / path).resolve() != root.resolve()


def test_published_names_are_safe():
    for path in ("records500/00000/00001_hr.dat", "files/p1000/p10000032/s40689238/40689238.hea", "ä ö/x.csv"):
        assert safe_path(path)
    for path in ("", "/", "a//b", "a/", "./a", "a/.", "nul", "a/CON.txt", "c:x", "\\\\server\\x", "a\nb", "x" * 300):
        assert not safe_path(path)


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z0-9_. -]{1,8}[a-z]){0,3}", fullmatch=True), st.binary(), min_size=1)
)
def test_lists_of_checksums_in_each_common_form(tmp_path_factory, files):
    files = {path: body for path, body in files.items() if safe_path(path)}
    if not files:
        return
    listing = tmp_path_factory.mktemp("sums") / "SHA256SUMS.txt"
    digests = {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}
    for form in ("{} {}\n", "{}  {}\n", "{} *{}\n", "{}  ./{}\r\n"):
        listing.write_bytes("".join(form.format(d, p) for p, d in digests.items()).encode())
        assert dict(read_checksums(listing)) == digests


@given(
    st.sets(st.integers(0, 10**11), min_size=1),
    st.sampled_from(["{}\n", "7\t{}\n", "7,{}\r\n", "7, {}\n", '"7","{}"\n']),
)
def test_lists_of_ids_in_each_common_form(tmp_path_factory, ids, form):
    path = tmp_path_factory.mktemp("ids") / "ids.txt"
    path.write_text("".join(form.format(i) for i in sorted(ids)), newline="")
    assert ids_in_file(path) == ids
    path.write_text("ecg_id,age\n" + "".join(f"{i},9\n" for i in sorted(ids)), encoding="utf-8-sig")
    assert ids_in_file(path) == ids


@pytest.mark.parametrize(
    "text", ["", "\n\n", "abc\n", "1\n2\nx\n", "1.5\n", "-3\n", "9" * 40, "ecg_id,age\n,4\n", "\x00"]
)
def test_lists_that_are_none(tmp_path, text):
    path = tmp_path / "ids.txt"
    path.write_text(text)
    with pytest.raises(EcgqaError):
        ids_in_file(path)
    path.write_bytes(b"\xff\xfe1\n")
    with pytest.raises(EcgqaError):
        ids_in_file(path)


def test_ids_of_the_released_questions(real_data):
    ids = ids_in_questions(real_data / "ecgqa", "ptbxl")
    assert len(ids) == 11_566 + 1_274 + 3_214
    mimic = ids_in_questions(real_data / "ecgqa" / "mimic-iv-ecg", "mimic-iv-ecg")
    assert len(mimic) > 62_251, "the split list of valid, and the shard of test, which has none here"


@pytest.mark.parametrize("body", ["{", "[1]", "[{}]", '[{"ecg_id": null}]', '[{"ecg_id": ["x"]}]'])
def test_a_shard_that_is_none(tmp_path, body):
    (tmp_path / "template" / "valid").mkdir(parents=True)
    (tmp_path / "template" / "valid" / "0.json").write_text(body)
    with pytest.raises(EcgqaError, match="not a shard"):
        ids_in_questions(tmp_path, "ptbxl")
