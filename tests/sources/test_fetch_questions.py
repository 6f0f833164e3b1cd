"""The questions: one archive, unpacked to the published layout, and nothing that it was not asked for."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from ecgqa.artefacts import read_manifest
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.sources import catalogue
from ecgqa.sources.fetch import fetch
from ecgqa.sources.transport import Patience
from support.faulty_server import Fault, FaultyServer

QUICK = Patience(attempts=2, connect_s=2, silence_s=1, backoff_s=0.01)
COMMIT = "3eabbce" + "0" * 33
TREE = {
    "LICENSE": b"CC BY 4.0",
    "README.md": b"# ECG-QA",
    "mapping_ptbxl_samples.py": b"print()",
    "ecgqa/ptbxl/answers.csv": b"index,class\n0,none\n",
    "ecgqa/ptbxl/train_ecgs.tsv": b"0\t1\n",
    "ecgqa/ptbxl/template/train/000000.json": json.dumps([{"ecg_id": [1]}]).encode() * 3000,
    "ecgqa/mimic-iv-ecg/answers.csv": b"index,class\n0,None\n",
    "ecgqa/mimic-iv-ecg/paraphrased/test/270000.json": b"[]",
    "llm_modeling/metadata/ptbxl/qa_class.csv": b"index,class\n",
    "llm_modeling/examples/sampled_ecgqa_ids.txt": b"6\n",
    "llm_modeling/llm_modeling.py": b"import os",
}


def archive(tree=TREE, *, commit: str | None = COMMIT, extra: list[tarfile.TarInfo] = ()) -> bytes:
    """What GitHub's codeload sends: git archive's tar with the commit in its global header."""
    stream = io.BytesIO()
    headers = {"comment": commit} if commit else {}
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
        for member in extra:
            tar.addfile(member)
        for name, body in tree.items():
            member = tarfile.TarInfo(f"ecg-qa-{COMMIT}/{name}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return stream.getvalue()


@pytest.fixture
def pinned(monkeypatch):
    """Let the catalogue know the digests of this small archive in the place of the real ones."""
    known = {
        name.removeprefix("ecgqa/"): hashlib.sha256(body).hexdigest()
        for name, body in TREE.items()
        if name.endswith(".csv") and name.startswith("ecgqa/")
    }
    details = catalogue._catalogue()["questions"]["releases"]["3eabbce"]
    monkeypatch.setitem(details, "sha256", known)


@pytest.fixture
def server(pinned):
    with FaultyServer({"q.tar.gz": archive()}) as running:
        running.ranges, running.chunked = False, True  # as codeload answers
        yield running


def get(server: FaultyServer, dest: Path, **options):
    return fetch("questions", dest, mirrors=[server.url + "q.tar.gz"], patience=QUICK, **options)


def visible(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}


def test_layout_manifest_and_a_second_run_that_asks_for_nothing(server, tmp_path):
    dest = tmp_path / "dé st"
    report = get(server, dest)
    wanted = {name.removeprefix("ecgqa/"): body for name, body in TREE.items() if name.startswith("ecgqa/")}
    wanted |= {
        "LICENSE": TREE["LICENSE"],
        "llm_metadata/ptbxl/qa_class.csv": b"index,class\n",
        "examples/sampled_ecgqa_ids.txt": b"6\n",
    }
    assert visible(dest) == set(wanted) | {"manifest.json"}
    assert all((dest / path).read_bytes() == body for path, body in wanted.items())
    assert not list(dest.glob(".ecg-qa*")), "the archive is not kept"
    manifest = read_manifest(dest, kind="download")
    assert manifest["inputs"]["commit"] == COMMIT
    assert manifest["parts"] == {"ptbxl": {"files": 3}, "mimic-iv-ecg": {"files": 2}}
    assert (report.fetched, report.kept) == (8, 0)
    again = get(server, dest)
    assert (again.fetched, again.kept) == (0, 8)
    assert server.count() == 1
    (dest / "ptbxl/answers.csv").write_text("damaged")
    assert get(server, dest).fetched == 1
    assert (dest / "ptbxl/answers.csv").read_bytes() == TREE["ecgqa/ptbxl/answers.csv"]


def test_one_half_then_the_other(server, tmp_path):
    get(server, tmp_path / "x", what="ptbxl")
    assert not (tmp_path / "x" / "mimic-iv-ecg").exists()
    get(server, tmp_path / "x", what="mimic-iv-ecg")
    assert set(read_manifest(tmp_path / "x")["parts"]) == {"ptbxl", "mimic-iv-ecg"}


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "evil",
    [
        tarfile.TarInfo(f"ecg-qa-{COMMIT}/ecgqa/ptbxl/../../../evil"),
        tarfile.TarInfo("/tmp/evil"),
        tarfile.TarInfo("../evil"),
        link(f"ecg-qa-{COMMIT}/ecgqa/ptbxl/answers.csv", "/etc/passwd"),
        link(f"ecg-qa-{COMMIT}/ecgqa/ptbxl/template", "/tmp"),
        link(f"ecg-qa-{COMMIT}/ecgqa/ptbxl/answers.csv", "../../x", tarfile.LNKTYPE),
        link(f"ecg-qa-{COMMIT}/ecgqa/ptbxl/fifo", "", tarfile.FIFOTYPE),
    ],
    ids=lambda m: f"{m.name[-14:]}-{m.type.decode()}",
)
def test_an_archive_that_reaches_outside_is_refused(server, tmp_path, evil):
    server.files["q.tar.gz"] = archive(extra=[evil])
    with pytest.raises(EcgqaError, match="not used"):
        get(server, tmp_path / "a" / "x")
    assert visible(tmp_path) == set()
    assert not [p for p in tmp_path.rglob("*") if p.is_symlink()]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (archive(commit="f" * 40), "another commit"),
        (archive({"README.md": b"nothing"}), "no questions"),
        (archive({k: v for k, v in TREE.items() if k != "ecgqa/ptbxl/answers.csv"}), "lacks 1"),
        (archive(TREE | {"ecgqa/ptbxl/answers.csv": b"tampered"}), "not the released file"),
        (archive(TREE | {"ecgqa/ptbxl/template/x.json": b"version https://git-lfs.github.com/spec/v1\n"}), "LFS"),
        (b"PK\x03\x04 a zip", "damaged"),
        (gzip.compress(b"not a tar" * 200), "damaged"),
        (archive()[:-40], "damaged"),
        (b"", "damaged"),
        (b"<html>rate limited</html>", "web page"),
    ],
    ids=["commit", "empty repository", "file lacking", "file tampered", "lfs", "zip", "no tar", "cut", "empty", "html"],
)
def test_a_wrong_archive(server, tmp_path, body, match):
    server.files["q.tar.gz"] = body
    with pytest.raises(EcgqaError, match=match):
        get(server, tmp_path / "x")
    assert not (tmp_path / "x" / "manifest.json").exists()
    server.files["q.tar.gz"] = archive()
    assert get(server, tmp_path / "x").complete, "the wrong archive is not taken up again"


def test_a_cut_download_is_tried_again(server, tmp_path):
    server.faults["q.tar.gz"] = [Fault(cut=300)]
    assert get(server, tmp_path / "x").complete
    assert server.count() == 2


def test_any_other_commit_is_recorded_but_not_compared(server, tmp_path):
    server.files["q.tar.gz"] = archive(TREE | {"ecgqa/ptbxl/answers.csv": b"newer"}, commit="abc" + "1" * 37)
    get(server, tmp_path / "x", version="master")
    assert read_manifest(tmp_path / "x")["inputs"] == {
        "source": "questions",
        "version": "master",
        "checksums": None,
        "commit": "abc" + "1" * 37,
    }


def test_killed_between_download_and_unpacking(server, tmp_path):
    dest = tmp_path / "x"
    get(server, dest, what="ptbxl")
    (dest / "manifest.json").unlink()
    (dest / ".ecg-qa-3eabbce.tar.gz").write_bytes(archive())
    assert get(server, dest).complete
    assert server.count() == 1


def test_command_line_and_dry_run(server, tmp_path, capsys):
    arguments = ["fetch", "questions", "--dest", str(tmp_path / "x"), "--mirror", server.url + "q.tar.gz"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "x").exists()
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "next: ecgqa fetch ptbxl --questions" in said.out
    assert "arxiv.org/abs/2306.15681" in said.err


def test_pinned_digests_are_those_of_the_released_files(real_data):
    known = catalogue.release("questions").sha256
    checked = 0
    for path, digest in known.items():
        file = real_data / "ecgqa" / path
        if file.is_file():
            assert hashlib.sha256(file.read_bytes()).hexdigest() == digest, path
            checked += 1
    assert checked >= 10
