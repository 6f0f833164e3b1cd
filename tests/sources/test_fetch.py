"""`fetch` as a whole against a real server: whole trees, interruptions, wrong folders, and the command line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from ecgqa.artefacts import read_manifest
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.sources import fetch as module
from ecgqa.sources.fetch import fetch
from ecgqa.sources.ledger import LEDGER
from ecgqa.sources.transport import Patience
from support.faulty_server import Fault, FaultyServer

QUICK = Patience(attempts=2, connect_s=2, silence_s=1, backoff_s=0.01, slow_window_s=1)


def ptbxl(n: int, *, size: int = 600, both_rates: bool = False) -> dict[str, bytes]:
    """A small tree in PTB-XL's layout; the bytes of each file differ."""
    files = {
        "ptbxl_database.csv": b"ecg_id,patient_id\n" + b"".join(b"%d,1\n" % i for i in range(1, n + 1)),
        "scp_statements.csv": b",description\nNORM,normal ECG\n",
        "LICENSE.txt": b"CC BY 4.0\n",
    }
    for ecg_id in range(1, n + 1):
        for rate, suffix in (("500", "hr"), ("100", "lr"))[: 1 + both_rates]:
            stem = f"records{rate}/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_{suffix}"
            files[stem + ".hea"] = f"{ecg_id:05d}_{suffix} 12 {rate}\n".encode()
            files[stem + ".dat"] = hashlib.sha256(stem.encode()).digest() * (size // 32)
    return files


@pytest.fixture
def server():
    with FaultyServer(ptbxl(20, both_rates=True)) as running:
        running.publish()
        yield running


def get(server: FaultyServer, dest: Path, kind: str = "ptbxl", **options):
    return fetch(kind, dest, mirrors=[server.url], patience=QUICK, **options)


def same(server: FaultyServer, dest: Path, prefix: str = "") -> bool:
    return all((dest / p).read_bytes() == body for p, body in server.files.items() if p.startswith(prefix))


def visible(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}


def test_default_is_records500_with_metadata_and_a_second_run_asks_for_nothing(server, tmp_path):
    dest = tmp_path / "Größe, data"
    report = get(server, dest)
    expected = {p for p in server.files if not p.startswith("records100")}
    assert visible(dest) == expected | {"manifest.json"}
    assert same(server, dest, "records500")
    assert report.complete
    assert (report.files, report.fetched, report.kept) == (43, 43, 0)
    manifest = read_manifest(dest, kind="download")
    assert manifest["inputs"]["version"] == "1.0.3"
    assert manifest["parts"] == {"metadata": {"files": 3, "of": 3}, "records500": {"files": 40, "of": 40}}
    before = server.count()
    again = get(server, dest)
    assert (again.fetched, again.kept) == (0, 43)
    assert server.count() == before
    more = get(server, dest, what="all")
    assert (more.fetched, more.kept) == (40, 43)
    assert read_manifest(dest)["parts"]["records100"] == {"files": 40, "of": 40}


def test_metadata_only(server, tmp_path):
    assert get(server, tmp_path / "x", what="metadata").files == 3
    assert not list((tmp_path / "x").glob("records*"))


def test_only_the_ecgs_of_a_list_and_unknown_ones_are_named(server, tmp_path):
    split = tmp_path / "train_ecgs.tsv"
    split.write_text("0\t3\n1\t7\n2\t21000\n")
    report = get(server, tmp_path / "x", ids=split)
    names = {p for p in visible(tmp_path / "x") if p.startswith("records")}
    assert names == {f"records500/00000/0000{i}_hr.{e}" for i in (3, 7) for e in ("dat", "hea")}
    assert report.unknown_ids == [21000]
    assert report.complete
    assert read_manifest(tmp_path / "x")["config"]["ids"] == 2
    split.write_text("99999\n")
    with pytest.raises(EcgqaError, match="none of the 1 ids"):
        get(server, tmp_path / "y", ids=split)


def test_only_the_ecgs_of_a_question_set(server, tmp_path):
    root = tmp_path / "q" / "ptbxl"
    (root / "template" / "valid").mkdir(parents=True)
    (root / "template" / "train").mkdir()
    (root / "train_ecgs.tsv").write_text("0\t2\n")
    (root / "template" / "train" / "000000.json").write_text("not read: the list tells")
    (root / "template" / "valid" / "00000.json").write_text(json.dumps([{"ecg_id": [4, 5]}, {"ecg_id": [4]}]))
    for given in (root, root.parent):
        dest = tmp_path / given.name
        get(server, dest / "x", questions=given)
        assert {int(p.stem[:5]) for p in (dest / "x").rglob("*.dat")} == {2, 4, 5}


def test_mimic_layout(tmp_path):
    stems = [f"files/p1000/p1000003{i}/s4068923{i}/4068923{i}" for i in range(3)]
    with FaultyServer({s + e: s.encode() for s in stems for e in (".dat", ".hea")}) as server:
        server.files["record_list.csv"] = b"subject_id,study_id,file_name,ecg_time,path\n"
        server.publish()
        ids = tmp_path / "ids.csv"
        ids.write_text("subject_id,study_id\n1,40689231\n")
        report = get(server, tmp_path / "x", "mimic-iv-ecg", ids=ids)
        assert {p for p in visible(tmp_path / "x") if p.startswith("files")} == {stems[1] + ".dat", stems[1] + ".hea"}
        assert report.complete


def test_a_missing_record_is_a_line_and_the_next_run_tries_just_that(server, tmp_path, capsys):
    lost = "records500/00000/00007_hr.dat"
    body = server.files.pop(lost)
    arguments = ["fetch", "ptbxl", "--dest", str(tmp_path / "x"), "--mirror", server.url]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "CC BY 4.0" in said.err
    assert lost in said.out
    assert "not complete" in said.out
    assert not (tmp_path / "x" / "manifest.json").exists()
    assert lost in (tmp_path / "x" / "fetch-failed.tsv").read_text()
    server.files[lost] = body
    before = server.count()
    assert main(arguments) == 0
    assert server.asked()[before:] == [lost]
    assert "next: ecgqa map" in capsys.readouterr().out
    assert not (tmp_path / "x" / "fetch-failed.tsv").exists()
    assert (tmp_path / "x" / "manifest.json").exists()


def test_wrong_bytes_are_fetched_again_once_then_reported(server, tmp_path):
    good, bad = "records500/00000/00001_hr.dat", "records500/00000/00002_hr.dat"
    server.faults[good] = [Fault(body=b"x" * 608)]
    server.faults[bad] = [Fault(body=b"x" * 608)] * 9
    report = get(server, tmp_path / "x")
    assert list(report.failed) == [bad]
    assert "checksum" in report.failed[bad]
    assert (server.count(good), server.count(bad)) == (2, 2)
    assert not (tmp_path / "x" / bad).exists()


def test_damage_and_loss_on_disk_are_repaired(server, tmp_path):
    dest = tmp_path / "x"
    get(server, dest)
    (dest / "records500/00000/00003_hr.dat").write_bytes(b"short")
    (dest / "records500/00000/00004_hr.hea").unlink()
    body = server.files.pop("records500/00000/00004_hr.hea")
    assert not get(server, dest).complete
    assert not (dest / "manifest.json").exists(), "it would vouch for a file that is gone"
    server.files["records500/00000/00004_hr.hea"] = body
    assert get(server, dest).fetched == 1
    assert same(server, dest, "records500")
    assert (dest / "manifest.json").exists()


def test_a_folder_filled_by_other_means_is_adopted(server, tmp_path):
    dest = tmp_path / "x"
    for path, body in server.files.items():
        if path != "records500/00000/00009_hr.dat":
            (dest / path).parent.mkdir(parents=True, exist_ok=True)
            (dest / path).write_bytes(body)
    (dest / "ptbxl_database.csv").write_bytes(b"somebody's own edit")
    report = get(server, dest)
    assert report.fetched == 2
    assert (dest / "ptbxl_database.csv.before-fetch").read_bytes() == b"somebody's own edit"
    assert same(server, dest)


@pytest.mark.parametrize("kind", ["strange files", "artefact", "file", "other version"])
def test_a_folder_that_is_not_ours_is_left_alone(server, tmp_path, kind):
    dest = tmp_path / "x"
    options = {}
    if kind == "file":
        dest.write_text("a file")
    elif kind == "other version":
        get(server, dest, what="metadata")
        options = {"version": "1.0.1"}
    else:
        dest.mkdir()
        (dest / "thesis.docx").write_text("years of work")
        if kind == "artefact":
            (dest / "manifest.json").write_text(json.dumps({"kind": "store"}))
    before = server.count()
    with pytest.raises(EcgqaError) as caught:
        get(server, dest, **options)
    assert "--dest" in str(caught.value)
    assert server.count() == before


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil", "a/\x01", "./../x"])
def test_names_that_leave_the_folder_are_refused(server, tmp_path, name):
    server.files["SHA256SUMS.txt"] += f"{'0' * 64}  {name}\n".encode()
    with pytest.raises(EcgqaError, match="outside"):
        get(server, tmp_path / "a" / "x")
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("listing", [b"", b"<html>login</html>", b"\n\n", b"hello world\n", b"\xff\xfe\x00"])
def test_a_list_that_is_none(server, tmp_path, listing):
    server.files["SHA256SUMS.txt"] = listing
    with pytest.raises(EcgqaError):
        get(server, tmp_path / "x")
    assert visible(tmp_path) == set()


def test_no_network(tmp_path):
    with pytest.raises(EcgqaError) as caught:
        fetch("ptbxl", tmp_path / "x", mirrors=["http://127.0.0.1:9/"], patience=QUICK)
    assert "connection refused" in str(caught.value)
    assert "--mirror" in str(caught.value)


def test_gives_up_when_nothing_answers_any_more(server, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgqa.sources.transfers.MAX_FAILED_IN_A_ROW", 5)
    for path in server.files:
        if path.startswith("records"):
            server.faults[path] = [Fault(status=500)] * 9
    report = get(server, tmp_path / "x", connections=2)
    assert "gave up" in report.gave_up
    assert not report.complete
    assert len(report.failed) == 5
    server.faults.clear()
    assert get(server, tmp_path / "x").complete


def test_space_is_checked_before_anything_large_is_fetched(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 66_000_000))
    with pytest.raises(EcgqaError, match="not enough room") as caught:
        get(server, tmp_path / "x")
    assert "66.0 MB free" in str(caught.value)
    assert set(server.asked()) == {"SHA256SUMS.txt"}


def test_full_disk(server, tmp_path, monkeypatch):
    real = Path.replace
    written = []

    def replace(self, target):
        if str(target).endswith(".dat"):
            written.append(target)
            if len(written) > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(EcgqaError, match="disk is full") as caught:
        get(server, tmp_path / "x", connections=3)
    assert "same command again" in str(caught.value)
    assert not (tmp_path / "x" / "manifest.json").exists()
    monkeypatch.undo()
    assert get(server, tmp_path / "x").complete
    assert same(server, tmp_path / "x", "records500")


def test_no_permission(server, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(EcgqaError, match="permission"):
        get(server, tmp_path / "x")


def test_dry_run_writes_nothing(server, tmp_path, capsys):
    dest = tmp_path / "x y"
    assert main(["fetch", "ptbxl", "--dest", str(dest), "--mirror", server.url, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "43,6" in out  # two files for each of 21,799 records, from the catalogue
    assert server.url in out
    assert str(dest) in out
    assert "free" in out
    assert not dest.exists()
    assert {r.method for r in server.requests} == {"HEAD"}
    get(server, dest)
    (dest / "records500/00000/00003_hr.dat").unlink()
    before = {p: p.stat().st_mtime_ns for p in dest.rglob("*")}
    report = get(server, dest, dry_run=True)
    assert (report.files, report.kept) == (43, 42)
    assert {p: p.stat().st_mtime_ns for p in dest.rglob("*")} == before


def test_eight_connections_are_much_faster_than_one(tmp_path):
    with FaultyServer(ptbxl(110), delay_s=0.02) as server:
        server.publish()
        seconds = {}
        for connections in (1, 8):
            started = time.monotonic()
            get(server, tmp_path / str(connections), connections=connections)
            seconds[connections] = time.monotonic() - started
        assert seconds[8] * 3 < seconds[1], seconds
        assert server.connections <= 1 + 1 + 1 + 8, "one for each list, then one a thread, used again"


def test_cache_folder_is_the_default(server, tmp_path, monkeypatch):
    from ecgqa.sources.cache import resolve_root

    monkeypatch.setenv("ECGQA_CACHE", str(tmp_path / "c"))
    with pytest.raises(EcgqaError, match="cache"):
        resolve_root(None, "ptbxl")
    body = server.files.pop("records500/00000/00007_hr.dat")
    report = fetch("ptbxl", mirrors=[server.url], patience=QUICK)
    assert report.dest == tmp_path / "c" / "ptbxl"
    with pytest.raises(EcgqaError, match="cache"):
        resolve_root(None, "ptbxl")
    server.files["records500/00000/00007_hr.dat"] = body
    fetch("ptbxl", mirrors=[server.url], patience=QUICK)
    assert resolve_root(None, "ptbxl") == report.dest


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "mitdb"},
        {"version": "9.9"},
        {"what": "files"},
        {"connections": 0},
        {"mirrors": ["file:///tmp/"]},
        {"mirrors": ["physionet.org"]},
        {"dest": "/"},
        {"ids": "no such file"},
        {"questions": "no such folder"},
        {"kind": "questions", "ids": "x"},
        {"kind": "questions", "version": "../../evil repo"},
    ],
    ids=str,
)
def test_wrong_arguments_are_explained(tmp_path, options):
    options = {"kind": "ptbxl", "dest": tmp_path / "x", **options}
    with pytest.raises(EcgqaError):
        fetch(options.pop("kind"), **options)


def start(server: FaultyServer, dest: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ecgqa", "fetch", "ptbxl", "--dest", str(dest), "--mirror", server.url, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(server: FaultyServer, requests: int) -> None:
    until = time.monotonic() + 15
    while server.count() < requests:
        assert time.monotonic() < until, "the download does not begin"
        time.sleep(0.01)


def test_killed_in_the_middle_then_only_the_rest_is_fetched(tmp_path):
    with FaultyServer(ptbxl(100), delay_s=0.02) as server:
        server.publish()
        dest = tmp_path / "x"
        process = start(server, dest, "--connections", "4")
        wait_for(server, 60)
        process.kill()
        process.communicate(timeout=5)
        whole = {p for p in visible(dest) if p in server.files}
        assert len(whole) > 40
        assert all((dest / p).read_bytes() == server.files[p] for p in whole)
        assert not (dest / "manifest.json").exists()
        before = server.count()
        server.delay_s = 0
        assert get(server, dest).complete
        assert sorted(server.asked()[before:]) == sorted(set(server.files) - whole)
        assert same(server, dest)
        assert not list(dest.rglob("*.partial*"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_promptly_even_when_the_server_hangs(tmp_path):
    with FaultyServer(ptbxl(50)) as server:
        server.publish()
        for path in server.files:
            if path.startswith("records"):
                server.faults[path] = [Fault(hang_s=30)]
        process = start(server, tmp_path / "x")
        wait_for(server, 8)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - started < 2.5
        assert process.returncode == 130
        assert "Interrupted" in err
        assert "Traceback" not in err


def test_two_runs_at_once(tmp_path):
    with FaultyServer(ptbxl(50), delay_s=0.1) as server:
        server.publish()
        process = start(server, tmp_path / "x", "--connections", "1")
        try:
            wait_for(server, 4)
            with pytest.raises(EcgqaError, match="another run"):
                get(server, tmp_path / "x")
        finally:
            process.kill()
            process.communicate(timeout=5)


def test_a_torn_ledger_costs_a_reading_not_a_download(server, tmp_path):
    dest = tmp_path / "x"
    get(server, dest)
    ledger = dest / LEDGER
    ledger.write_bytes(ledger.read_bytes()[:-400])
    before = server.count()
    report = get(server, dest)
    assert report.complete
    assert (report.fetched, report.kept) == (0, 43)
    assert server.count() == before
    assert re.match(r"# ptbxl 1\.0\.3\n", ledger.read_text())
