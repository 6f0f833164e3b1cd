"""Files and folders appear whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ecgqa.artefacts import artefact_folder, atomic_path, digest_file, digest_of, read_manifest, write_json, write_text
from ecgqa.errors import EcgqaError

IDENTITY = {"kind": "thing", "inputs": {"a": "1"}, "config": {"size": 3}}


def build(dest, text="new", **changes):
    with artefact_folder(dest, **(IDENTITY | changes)) as draft:
        if not draft.complete:
            (draft.path / "data.txt").write_text(text)
            draft.counts["rows"] = 1
    return draft


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_atomic_path_leaves_the_old_file_when_the_writer_fails(tmp_path):
    target = write_text(tmp_path / "ordner mit ü" / "file.txt", "old")
    with pytest.raises(ValueError, match="boom"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ValueError("boom")
    assert target.read_text() == "old"
    assert visible(target.parent) == ["file.txt"]


def test_folder_appears_with_its_manifest_and_a_second_run_does_nothing(tmp_path):
    dest = tmp_path / "a" / "thing"
    build(dest)
    manifest = read_manifest(dest, kind="thing")
    assert manifest["counts"] == {"rows": 1}
    assert manifest["files"] == {"data.txt": 3}
    before = (dest / "manifest.json").stat().st_mtime_ns
    assert build(dest, "other").complete
    assert (dest / "manifest.json").stat().st_mtime_ns == before
    assert visible(dest.parent) == ["thing"]


def test_other_settings_are_refused_until_overwrite(tmp_path):
    dest = tmp_path / "thing"
    build(dest)
    with pytest.raises(EcgqaError) as raised:
        build(dest, config={"size": 4})
    assert "size was 3, now 4" in str(raised.value)
    assert "--overwrite true" in str(raised.value)
    build(dest, "newer", config={"size": 4}, overwrite=True)
    assert (dest / "data.txt").read_text() == "newer"
    assert visible(tmp_path) == ["thing"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_not_ours_is_never_touched(tmp_path, overwrite):
    dest = tmp_path / "holiday"
    write_text(dest / "photo.txt", "precious")
    with pytest.raises(EcgqaError, match="not made by ecgqa"):
        build(dest, overwrite=overwrite)
    write_json(dest / "manifest.json", {"kind": "other"})
    with pytest.raises(EcgqaError, match="holds a other"):
        build(dest, overwrite=overwrite)
    assert (dest / "photo.txt").read_text() == "precious"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "thing").mkdir()
    build(tmp_path / "thing")
    assert (tmp_path / "thing" / "data.txt").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failed_build_leaves_nothing_new(tmp_path, overwrite):
    dest = tmp_path / "thing"
    if overwrite:
        build(dest, "old")
    with pytest.raises(RuntimeError), artefact_folder(dest, **IDENTITY, overwrite=overwrite) as draft:
        (draft.path / "data.txt").write_text("half")
        raise RuntimeError
    assert visible(tmp_path) == (["thing"] if overwrite else [])
    assert not overwrite or (dest / "data.txt").read_text() == "old"


def test_resume_keeps_the_draft_of_the_same_identity_only(tmp_path):
    dest = tmp_path / "thing"
    with pytest.raises(RuntimeError), artefact_folder(dest, **IDENTITY, resume=True) as draft:
        (draft.path / "part.txt").write_text("1")
        raise RuntimeError
    assert not dest.exists()
    with pytest.raises(RuntimeError), artefact_folder(dest, **IDENTITY, resume=True) as draft:
        assert draft.resumed
        assert (draft.path / "part.txt").read_text() == "1"
        raise RuntimeError
    with artefact_folder(dest, **(IDENTITY | {"config": {"size": 9}}), resume=True) as draft:
        assert not draft.resumed
        assert not (draft.path / "part.txt").exists()
    assert visible(tmp_path) == ["thing"]


def test_two_runs_at_once_the_second_is_refused(tmp_path):
    dest = tmp_path / "thing"
    with artefact_folder(dest, **IDENTITY):
        code = f"""
            from ecgqa.artefacts import artefact_folder
            with artefact_folder({str(dest)!r}, kind="thing", inputs={{}}, config={{}}): pass
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert "another run is writing" in done.stderr


def test_a_killed_build_is_completed_by_a_rerun(tmp_path):
    dest = tmp_path / "thing"
    code = f"""
        import os, signal
        from ecgqa.artefacts import artefact_folder
        with artefact_folder({str(dest)!r}, kind="thing", inputs={{"a": "1"}}, config={{"size": 3}}) as draft:
            (draft.path / "data.txt").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    assert done.returncode == -signal.SIGKILL
    assert not dest.exists()
    build(dest)
    assert (dest / "data.txt").read_text() == "new"
    assert visible(tmp_path) == ["thing"]


def test_a_kill_between_the_two_renames_is_repaired(tmp_path):
    dest = tmp_path / "thing"
    build(dest, "old")
    os.replace(dest, tmp_path / ".thing.old")
    assert build(dest).complete
    assert (dest / "data.txt").read_text() == "old"
    os.replace(dest, tmp_path / ".thing.partial")
    assert build(dest).complete
    assert visible(tmp_path) == ["thing"]


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_damaged_manifests_are_told(tmp_path, content):
    write_text(tmp_path / "manifest.json", content)
    with pytest.raises(EcgqaError):
        read_manifest(tmp_path)


def test_missing_manifest_and_other_kind_are_told(tmp_path):
    with pytest.raises(EcgqaError, match="unfinished"):
        read_manifest(tmp_path)
    write_json(tmp_path / "manifest.json", {"kind": "store"})
    with pytest.raises(EcgqaError, match="is not a run"):
        read_manifest(tmp_path, kind="run")
    with pytest.raises(EcgqaError, match="no such folder"):
        read_manifest(tmp_path / "nowhere")


def test_digests_are_those_of_the_bytes_and_ignore_key_order(tmp_path):
    write_text(tmp_path / "empty", "")
    assert digest_file(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of({"a": 1, "b": 2}) == digest_of(json.loads('{"b": 2, "a": 1}'))
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_destinations_that_cannot_be(tmp_path):
    write_text(tmp_path / "file", "x")
    with pytest.raises(EcgqaError, match="is a file"):
        build(tmp_path / "file")
    with pytest.raises(EcgqaError, match="not a folder"):
        build(tmp_path / "file" / "below")
    with pytest.raises(EcgqaError, match="refusing"):
        build("/")
