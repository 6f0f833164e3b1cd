"""Files that would run code, fill memory or mislead are refused, and nothing in them is ever run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import struct
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ecgqa.errors import EcgqaError
from ecgqa.training.safe_pickle import Refused, read_pickle
from ecgqa.training.torch_file import TorchFile
from ecgqa.training.upstream_checkpoint import UpstreamCheckpoint


class Runs:
    """Calls a function when it is unpickled the usual way."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class SetsState:
    def __setstate__(self, state: Any) -> None:
        Path(state).touch()

    def __reduce__(self) -> Any:
        return SetsState, (), "ran"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that any payload would leave behind; opening what is refused must leave it absent."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


PAYLOADS: dict[str, Callable[[], Any]] = {
    "system": lambda: Runs(os.system, "touch ran"),
    "eval": lambda: Runs(eval, "open('ran', 'w')"),
    "exec": lambda: Runs(exec, "open('ran', 'w')"),
    "popen": lambda: Runs(subprocess.Popen, ["touch", "ran"]),
    "getattr": lambda: Runs(getattr, Path("ran"), "touch"),
    "load": lambda: Runs(torch.load, "ran"),
    "state": SetsState,
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "model": lambda evil: {"model": {"w": evil}},
    "metrics": lambda evil: {"model": {"w": torch.zeros(2)}, "extra_state": {"metrics": [[(1, evil)]]}},
    "optimizer": lambda evil: {"model": {"w": torch.zeros(2)}, "last_optimizer_state": {"state": {0: evil}}},
    "argument": lambda evil: {"model": {"w": Runs(torch._utils._rebuild_parameter, torch.zeros(2), True, evil)}},
}


def test_the_payloads_would_run(ran: Path) -> None:
    """Else this file would show nothing."""
    for name in ("system", "eval", "exec", "state"):
        pickle.loads(pickle.dumps(PAYLOADS[name]()))
        assert ran.exists(), name
        ran.unlink()


@pytest.mark.parametrize("layout", ["zip", "stream"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_are_refused_by_name(ran: Path, payload: str, place: str, protocol: int, layout: str) -> None:
    path = ran.with_name("evil.pt")
    content = PLACES[place](PAYLOADS[payload]())
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=layout == "zip")
    with pytest.raises(EcgqaError, match="names ") as caught:
        UpstreamCheckpoint.read(path)
    assert "evil.pt" in str(caught.value) and not ran.exists()


def stored(kind: str, key: str) -> bytes:
    """Instructions for an object kept outside the pickle."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    return b"\x80\x02(" + text(kind) + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\x01tQ."


HANDMADE: dict[str, bytes] = {
    "instance": b"(S'touch ran'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch ran'\no.",
    "extension": b"\x82\x01.",
    "persistent line": b"Ptouch ran\n.",
    "new object": b"\x80\x02cos\nsystem\nX\x09\x00\x00\x00touch ran\x85\x81.",
    "attribute of an allowed name": b"\x80\x04\x8c\x0ctorch._utils\x8c\x20_rebuild_tensor_v2.__globals__.get\x93.",
    "name of an odd type": b"\x80\x04]\x8c\x06system\x93.",
    "call of a number": b"\x80\x02K\x01)R.",
    "call of a text": b"\x80\x02X\x06\x00\x00\x00system)R.",
    "state of a name": b"\x80\x02ctorch\nFloatStorage\n}b.",
    "call of an array type": b"\x80\x02ctorch\nFloatStorage\nK\x05\x85R.",
    "array outside": stored("storage", "../etc"),
    "array of another kind": stored("module", "0"),
    "persistent number": b"\x80\x02K\x01Q.",
    "shared memory": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("name", HANDMADE)
def test_instructions_no_checkpoint_needs_are_refused(ran: Path, name: str) -> None:
    with pytest.raises(EcgqaError) as caught:
        read_pickle(io.BytesIO(HANDMADE[name]))
    assert isinstance(caught.value, Refused) or "damaged" in caught.value.message
    assert not ran.exists()


def doubled(times: int, end: bytes) -> bytes:
    """A tuple of two tuples of two ... : small in the file, endless to walk through."""
    return b"\x80\x02)" + b"2\x86" * times + end


@pytest.mark.parametrize(
    "instructions",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a place in a table of two milliards
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # a text of eight exabytes
        b"\x80\x04B\xff\xff\xff\x7fabc.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02}" + doubled(60, b"")[2:] + b"K\x01s.",  # as a key
        b"\x80\x04\x8f(" + doubled(60, b"")[2:] + b"\x90.",  # in a set
        b"\x80\x04" + doubled(60, b"")[2:] + b"\x8c\x01x\x93.",  # as a name
        b"\x80\x02(" + doubled(60, b"")[2:] * 5 + b"tQ.",  # as an array
    ],
)
def test_pickles_that_would_fill_memory_or_never_end(instructions: bytes) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(EcgqaError):
            read_pickle(io.BytesIO(instructions))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20_000_000


def test_endless_configurations_are_refused(tmp_path: Path) -> None:
    bomb: Any = "x"
    for _ in range(60):
        bomb = [bomb, bomb]
    wide: Any = [bomb]
    loop: list[Any] = []
    loop.append(loop)
    for config in (bomb, wide, loop):
        path = tmp_path / "bomb.pt"
        torch.save({"model": {"w": torch.zeros(2)}, "cfg": {"model": config}}, path)
        with pytest.raises(EcgqaError, match="too deeply"):
            UpstreamCheckpoint.read(path)


def tensor_call(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """Instructions for one tensor over an array of four numbers."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"

    array = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
    place = b"\x8a\x08" + struct.pack("<q", offset)
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + array + place + numbers(shape) + numbers(stride) + b"\x89)tR."
    return b"\x80\x02" + call


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (-1, (2,), (1,)),
        (0, (2,), (4,)),
        (0, (10**12,), (0,)),
        (0, (2,), (1, 1)),
        (0, (-2, -2), (1, 1)),
        (0, (2**62, 2**62), (1, 1)),
    ],
)
def test_tensors_that_reach_beyond_their_array(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    assert read_pickle(io.BytesIO(tensor_call(1, (3,), (1,))))[0].shape == (3,)
    with pytest.raises(EcgqaError, match="damaged"):
        read_pickle(io.BytesIO(tensor_call(offset, shape, stride)))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.pt"
    torch.save({"model": {"w": torch.arange(400.0).reshape(20, 20).T, "n": torch.tensor(3)}}, path)
    return path


@pytest.mark.parametrize("layout", ["zip", "stream"])
def test_truncated_files_are_told(tmp_path: Path, layout: str) -> None:
    path, cut = tmp_path / "good.pt", tmp_path / "cut.pt"
    torch.save({"model": {"w": torch.randn(500)}}, path, _use_new_zipfile_serialization=layout == "zip")
    data = path.read_bytes()
    for n_bytes in [0, 1, 4, 40, *range(60, len(data), 97), len(data) - 1]:
        cut.write_bytes(data[:n_bytes])
        with pytest.raises(EcgqaError, match=r"cut\.pt"):
            UpstreamCheckpoint.read(cut)


def test_changed_numbers_are_noticed(good: Path) -> None:
    data = bytearray(good.read_bytes())
    place = data.index(struct.pack("<3f", 7, 8, 9))
    data[place] ^= 1
    good.write_bytes(data)
    checkpoint = UpstreamCheckpoint.read(good)
    with pytest.raises(EcgqaError, match="damaged"):
        checkpoint.file.tensor(checkpoint.weights["w"])


def rezipped(path: Path, change: Callable[[zipfile.ZipFile, str, bytes], None]) -> Path:
    """A copy of a checkpoint whose parts `change` writes."""
    out = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            change(after, name, before.read(name))
    return out


ODD_ZIPS: dict[str, Callable[[zipfile.ZipFile, str, bytes], Any]] = {
    "compressed": lambda out, name, data: out.writestr(name, data, zipfile.ZIP_DEFLATED),
    "up": lambda out, name, data: out.writestr(f"../{name}", data),
    "inner up": lambda out, name, data: out.writestr(f"a/../../{name}", data),
    "absolute": lambda out, name, data: out.writestr(f"/{name}", data),
    "drive": lambda out, name, data: out.writestr(f"C:\\{name}", data),
    "no pickle": lambda out, name, data: out.writestr(name.replace("data.pkl", "data.txt"), data),
    "no array": lambda out, name, data: None if "/data/" in name else out.writestr(name, data),
    "short array": lambda out, name, data: out.writestr(name, data[:-4] if "/data/" in name else data),
    "big endian": lambda out, name, data: out.writestr(name, b"big" if name.endswith("byteorder") else data),
    "two pickles": lambda out, name, data: [out.writestr(name, data), out.writestr(f"b/{name}", data)],
    "script": lambda out, name, data: (
        [out.writestr(name, data), out.writestr("good/constants.pkl", b"x")]
        if name.endswith("data.pkl")
        else out.writestr(name, data)
    ),
}


@pytest.mark.parametrize("name", ODD_ZIPS)
def test_odd_archives_are_refused(good: Path, name: str) -> None:
    before = set(good.parent.parent.rglob("*"))
    changed = rezipped(good, ODD_ZIPS[name])
    with pytest.raises(EcgqaError, match=r"changed\.pt"):
        UpstreamCheckpoint.read(changed)
    assert set(good.parent.parent.rglob("*")) - before == {changed}


def test_archives_whose_parts_overlap_are_refused(good: Path) -> None:
    """Many entries that point to the same bytes: small on disk, huge when unpacked."""
    data = good.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack("<II", data[end + 12 : end + 20])
    if start == 0xFFFFFFFF:
        pytest.skip("written as zip64")
    n = struct.unpack("<H", data[end + 10 : end + 12])[0]
    directory = data[start : start + size]
    times = 200
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", n * times, n * times)
    tail[12:16] = struct.pack("<I", size * times)
    good.write_bytes(data[:start] + directory * times + bytes(tail))
    with pytest.raises(EcgqaError, match=r"good\.pt"):
        TorchFile(good)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer"),
        (b"hello", "no file of torch.save"),
        (b"\x80\x02K\x01.", "not one of torch.save"),
        (pickle.dumps({"model": 1}), "not one of torch.save"),
        (b"\x00" * 257 + b"ustar" + b"\x00" * 200, "tar"),
        (struct.pack("<Q", 20) + b'{"a": 1}' + b" " * 20, "safetensors"),
        (b"PK\x03\x04 and nothing more", "truncated or damaged"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(EcgqaError, match=told) as caught:
        TorchFile(path)
    assert "other.pt" in str(caught.value)


@pytest.mark.parametrize(
    "content", [3, [1], {}, {"model": {}}, {"model": {"w": 3}}, {"model": {"w": [torch.zeros(2)]}}]
)
def test_files_without_a_model(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(EcgqaError, match="holds no model"):
        UpstreamCheckpoint.read(path)


def test_tensors_come_as_they_were(tmp_path: Path) -> None:
    """Views, transposes, shared arrays, empty and scalar tensors, every data type, parameters."""
    whole = torch.randn(6, 8)
    tensors = {
        "whole": whole,
        "view": whole[1:4, 2:],
        "transposed": whole.T,
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(7),
        "half": whole.half(),
        "bfloat": whole.bfloat16(),
        "double": whole.double(),
        "bool": whole > 0,
        "bytes": (whole > 0).to(torch.uint8),
        "parameter": torch.nn.Parameter(whole),
    }
    for layout in (True, False):
        path = tmp_path / "good.pt"
        torch.save({"model": tensors}, path, _use_new_zipfile_serialization=layout)
        checkpoint = UpstreamCheckpoint.read(path)
        assert checkpoint.weights.keys() == tensors.keys()
        for name, tensor in tensors.items():
            read = checkpoint.file.tensor(checkpoint.weights[name])
            assert read.dtype == tensor.dtype and read.is_contiguous() and torch.equal(read, tensor), name


@pytest.mark.parametrize("layout", ["zip", "stream"])
def test_files_changed_at_random_are_read_or_refused(tmp_path: Path, layout: str) -> None:
    """Whatever a broken disk or a stranger makes of a checkpoint, the user gets a message."""
    path, changed = tmp_path / "good.pt", tmp_path / "changed.pt"
    content = {"model": {f"layer.{i}": torch.randn(3) for i in range(6)}, "cfg": {"model": {"_name": "x"}}}
    torch.save(content, path, _use_new_zipfile_serialization=layout == "zip")
    data, generator, refused = path.read_bytes(), random.Random(5), 0
    for _ in range(250):
        spoilt = bytearray(data)
        for _ in range(generator.choice([1, 2, 5])):
            place = generator.randrange(len(spoilt))
            spoilt[place : place + generator.randrange(2, 30)] = bytes([generator.randrange(256)])
        changed.write_bytes(bytes(spoilt))
        try:
            checkpoint = UpstreamCheckpoint.read(changed)
            for stored_tensor in checkpoint.weights.values():
                checkpoint.file.tensor(stored_tensor)
        except EcgqaError:
            refused += 1
    assert refused > 100
