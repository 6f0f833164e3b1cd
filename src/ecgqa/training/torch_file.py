"""The files that `torch.save` writes, read without executing anything; tensors come one by one, on demand."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ecgqa.errors import EcgqaError
from ecgqa.training.safe_pickle import StoredArray, StoredTensor, read_pickle

if TYPE_CHECKING:
    from torch import Tensor

BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2}
MOST_PICKLE_BYTES = 1 << 30
"""The instructions of real checkpoints, which hold every validation score, stay far below this."""

_STREAM_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_VERSION = 1001


class TorchFile:
    """A file of `torch.save`: its `content` as plain data, and the bytes of its tensors.

    layout: "zip" (PyTorch 1.6 and later) or "stream" (before). Raises EcgqaError for anything else, damaged or odd.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise EcgqaError(f"no such file: {self.path}", expected="a checkpoint (.pt)")
        self.n_bytes = self.path.stat().st_size
        with self._named(), self.path.open("rb") as stream:
            start = stream.read(512)
            stream.seek(0)
            self.layout = "zip" if start[:4] == b"PK\x03\x04" else "stream"
            self._places: dict[str, int] = {}
            self._checksums: dict[str, int] = {}
            if self.layout == "zip":
                self.content, self.arrays = self._open_zip(stream)
            else:
                _refuse_other_formats(start)
                self.content, self.arrays = self._open_stream(stream)

    def tensor(self, stored: StoredTensor) -> Tensor:
        """The values of a tensor that `content` mentions, in memory of their own."""
        import torch

        array = stored.array
        dtype = getattr(torch, array.dtype)
        if not stored.n_values:
            return torch.empty(stored.shape, dtype=dtype)
        with self._named():
            raw = self._read(array)
            flat = torch.frombuffer(bytearray(raw), dtype=dtype)
            return flat.as_strided(stored.shape, stored.stride, stored.offset).clone().contiguous()

    def _open_zip(self, stream: IO[bytes]) -> tuple[Any, dict[str, StoredArray]]:
        with zipfile.ZipFile(self.path) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_entry(entry)
            if sum(entry.file_size for entry in entries) > self.n_bytes:
                raise EcgqaError("its parts overlap: it claims more bytes than it has")
            names = {entry.filename: entry for entry in entries}
            roots = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
            if len(roots) != 1 or f"{roots[0]}/constants.pkl" in names:
                raise EcgqaError(
                    "it is a zip file, but no checkpoint", expected="one data.pkl, as torch.save writes it"
                )
            root = roots[0]
            order = f"{root}/byteorder"
            if order in names and archive.read(order) != b"little":
                raise EcgqaError("it was written on a machine of another byte order", expected="little-endian")
            instructions = names[f"{root}/data.pkl"]
            if instructions.file_size > MOST_PICKLE_BYTES:
                raise EcgqaError("its instructions are too long for a checkpoint")
            with archive.open(instructions) as opened:
                content, arrays = read_pickle(_Bounded(opened, instructions.file_size))
        for key, array in arrays.items():
            part = names.get(f"{root}/data/{key}")
            if part is None or part.file_size != _n_bytes(array):
                raise EcgqaError(f"the array {key} is missing or has another size than stated")
            stream.seek(part.header_offset + 26)  # the lengths of what stands between header and data
            n_name, n_extra = struct.unpack("<HH", stream.read(4))
            self._places[key] = part.header_offset + 30 + n_name + n_extra
            self._checksums[key] = part.CRC
        return content, arrays

    def _open_stream(self, file: IO[bytes]) -> tuple[Any, dict[str, StoredArray]]:
        stream = _Bounded(file, self.n_bytes)
        if read_pickle(stream)[0] != _STREAM_MAGIC or read_pickle(stream)[0] != _STREAM_VERSION:
            raise EcgqaError("it is a pickle, but not one of torch.save", expected="a checkpoint (.pt)")
        machine = read_pickle(stream)[0]
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise EcgqaError("it was written on a machine of another byte order", expected="little-endian")
        content, arrays = read_pickle(stream)
        keys = read_pickle(stream)[0]
        if type(keys) is not list or any(type(key) is not str for key in keys) or set(keys) != arrays.keys():
            raise EcgqaError("the list of its arrays does not fit")
        place = self.n_bytes - stream.left
        for key in keys:
            file.seek(place)
            count = file.read(8)
            if len(count) < 8 or struct.unpack("<q", count)[0] != arrays[key].n_values:
                raise EcgqaError(f"the array {key} is missing or has another size than stated")
            self._places[key] = place + 8
            place += 8 + _n_bytes(arrays[key])
        if place > self.n_bytes:
            raise EcgqaError("it is truncated: arrays are missing at its end")
        return content, arrays

    def _read(self, array: StoredArray) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(self._places[array.key])
            data = stream.read(_n_bytes(array))
        if len(data) < _n_bytes(array) or self._checksums.get(array.key, zlib.crc32(data)) != zlib.crc32(data):
            raise EOFError(f"the array {array.key} is not what was written")
        return data

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which file a problem is in."""
        try:
            yield
        except EcgqaError as error:
            error.message = f"{self.path} cannot be used: {error.message}"
            raise
        except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, struct.error) as error:
            raise EcgqaError(
                f"{self.path} is truncated or damaged: {error}", fix="copy or download the checkpoint again"
            ) from None
        except OSError as error:  # a place before the beginning of the file, among others
            raise EcgqaError(f"{self.path} cannot be read: {error.strerror or error}") from None


class _Bounded:
    """A stream of which at most `left` bytes are read, whatever a size in it claims."""

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self.stream, self.left = stream, left

    def read(self, n: int = -1, /) -> bytes:
        data = self.stream.read(self.left if n < 0 else min(n, self.left))
        self.left -= len(data)
        return data

    def readline(self) -> bytes:
        data = self.stream.readline(min(self.left, 1 << 20))
        self.left -= len(data)
        return data


def _n_bytes(array: StoredArray) -> int:
    return array.n_values * BYTES.get(array.dtype, 1)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name:
        raise EcgqaError(f"it holds the odd file name {name!r}", expected="names as torch.save writes them")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
        raise EcgqaError(
            f"its part {name} is compressed or encrypted, as torch.save never writes it",
            fix="if you packed it yourself, unpack the .pt from that archive first",
        )


def _refuse_other_formats(start: bytes) -> None:
    """Raise EcgqaError for what is recognisably something else."""
    what = None
    if not start:
        what = "it is empty"
    elif start.startswith((b"version https://git-lfs", b"<!", b"<h", b"<H")):
        what = "it is a web page or a pointer to a file elsewhere: the download did not bring the file itself"
    elif start[257:262] == b"ustar":
        what = "it is a tar file, as PyTorch before 0.2 wrote checkpoints"
    elif start[8:9] == b"{" and len(start) > 9:
        what = "it is a safetensors file: ecgqa checkpoint info reads it"
    elif start[:1] != b"\x80":
        what = "it is no file of torch.save"
    if what:
        raise EcgqaError(what, expected="a checkpoint (.pt) as the original's training writes it")
