"""Uploads are parsed as untrusted: nothing beyond the uploaded bytes is read, whatever they say."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import requests

from ecgqa.errors import EcgqaError
from ecgqa.explorer.uploads import MAX_KEPT, MAX_VALUES, Uploads, parse_upload
from ecgqa.records import LEADS
from ecgqa.signals.read import read_ecg

CSV = "time_s," + ",".join(LEADS) + "\n" + "".join(f"{n / 500}," + ",".join(["0.1"] * 12) + "\n" for n in range(1000))


@pytest.fixture(scope="module")
def record(exhibit) -> dict[str, bytes]:
    path = sorted(exhibit.cohort.rglob("*.hea"))[3]
    return {path.name: path.read_bytes(), path.with_suffix(".dat").name: path.with_suffix(".dat").read_bytes()}


def header_of(record: dict[str, bytes]) -> tuple[str, str, bytes]:
    (name,) = (one for one in record if one.endswith(".hea"))
    (data,) = (one for one in record if one.endswith(".dat"))
    return name, data, record[name]


def test_a_wfdb_record_is_read_as_from_disk(record, exhibit) -> None:
    name, ecg = parse_upload(record)
    expected = read_ecg(sorted(exhibit.cohort.rglob("*.hea"))[3])
    assert name.endswith(".hea")
    assert np.array_equal(ecg.digital, expected.digital) and ecg.fs_hz == expected.fs_hz


def test_a_table_is_read() -> None:
    _, ecg = parse_upload({"mine.csv": CSV.encode()})
    assert ecg.fs_hz == 500 and np.allclose(ecg.millivolts(), 0.1, atol=1e-3)


@pytest.mark.parametrize(
    "named", ["/etc/passwd", "../../../etc/passwd", "..\\secret.dat", "secret.dat", "http://host/x.dat", "~", "-", "."]
)
def test_a_header_reaches_no_other_file(record, named: str) -> None:
    name, data, text = header_of(record)
    hostile = text.replace(data.encode(), named.encode())
    with pytest.raises(EcgqaError):
        parse_upload({name: hostile, data: record[data]})
    one_channel = text.replace(data.encode(), named.encode(), 1)
    with pytest.raises(EcgqaError):
        parse_upload({name: one_channel, data: record[data]})


@pytest.mark.parametrize(
    "file_name", ["../x.dat", "/tmp/x.dat", "a/b.dat", "", ".hidden.dat", "x" * 200 + ".dat", "ü.dat"]
)
def test_file_names_that_lead_elsewhere_are_refused(record, file_name: str) -> None:
    name, data, text = header_of(record)
    with pytest.raises(EcgqaError):
        parse_upload({name: text.replace(data.encode(), file_name.encode()), file_name: record[data]})


def hostile_headers(text: str, data: str) -> dict[str, str]:
    first, *rest = text.splitlines()
    lines = [line for line in rest if not line.startswith("#")]
    name = first.split()[0]
    return {
        "no header": "\x00\xff not a header",
        "empty lines": "\n\n\n",
        "another length": f"{name} 12 500 4000\n" + "\n".join(lines),
        "endless": f"{name} 12 500 999999999999\n" + "\n".join(lines),
        "many channels": f"{name} 4096 500 5000\n" + "\n".join(lines),
        "negative": f"{name} -12 500 -5000\n" + "\n".join(lines),
        "segments": f"{name}/2 12 500 5000\n{name} 2500\n{name} 2500\n",
        "itself in segments": "upload/1 12 500 5000\nupload 5000\n",
        "compressed": f"{name} 12 500 5000\n" + "\n".join(line.replace(" 16 ", " 516 ", 1) for line in lines),
        "many per frame": f"{name} 12 500 5000\n" + "\n".join(line.replace(" 16 ", " 16x999999 ", 1) for line in lines),
        "huge offset": f"{name} 12 500 5000\n" + "\n".join(line.replace(" 16 ", " 16+999999999 ", 1) for line in lines),
        "huge skew": f"{name} 12 500 5000\n" + "\n".join(line.replace(" 16 ", " 16:999999999 ", 1) for line in lines),
        "no rate": f"{name} 12 nan 5000\n" + "\n".join(lines),
        "a rate of light": f"{name} 12 1e300 5000\n" + "\n".join(lines),
        "a rate of stones": f"{name} 12 1e-300 5000\n" + "\n".join(lines),
        "one lead twelve times": f"{name} 12 500 5000\n" + "\n".join(f"{data} 16 1000/mV 16 0 0 0 0 II" for _ in lines),
        "no voltage": f"{name} 12 500 5000\n" + "\n".join(line.replace("/mV", "/mmHg") for line in lines),
    }


KINDS = list(hostile_headers("x 1 1 1\ny", "y"))


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_headers_end_in_a_plain_message(record, kind: str) -> None:
    name, data, text = header_of(record)
    hostile = hostile_headers(text.decode(), data)[kind]
    before = set(Path(tempfile.gettempdir()).glob("ecgqa-upload-*"))
    with pytest.raises(EcgqaError) as told:
        parse_upload({name: hostile.encode("latin-1"), data: record[data]})
    assert "ecgqa-upload" not in str(told.value)
    assert set(Path(tempfile.gettempdir()).glob("ecgqa-upload-*")) <= before


def test_what_a_header_may_claim_is_bounded(record) -> None:
    name, data, text = header_of(record)
    claimed = MAX_VALUES // 12 + 1
    long = text.replace(b" 5000", f" {claimed}".encode(), 1)
    with pytest.raises(EcgqaError, match="more than an upload may hold"):
        parse_upload({name: long, data: record[data]})
    with pytest.raises(EcgqaError, match="too large to be a header"):
        parse_upload({name: text + b"#" + b"x" * 100_000, data: record[data]})
    for cut in (0, 1, 4000, len(record[data]) - 1):
        with pytest.raises(EcgqaError):
            parse_upload({name: text, data: record[data][:cut]})


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.csv": CSV.encode(), "b.csv": CSV.encode()},
        {"a.hea": b"a 1 500 1"},
        {"a.dat": b"1234"},
        {"a.exe": b"MZ"},
        {"a.csv": b""},
        {"a.csv": b"\xff\xfe\x00"},
        {"a.csv": b"," * 100_000},
        {"a.csv": b",".join(b"I" for _ in range(1000)) + b"\n1\n"},
        {"a.csv": b"I,II\n1,2\n"},
        {"a.csv": CSV.replace("0.1", "=cmd()").encode()},
        {"a.csv": CSV.replace("0.1", '"0.1').encode()},
        {"a.csv": CSV.replace("0.1", "1e300").encode()},
        {"a.csv": (CSV.split("\n")[0] + "\n" + "0," * 5000).encode()},
        {"a.csv": ("I," + CSV).encode()},
    ],
)
def test_files_that_are_no_record(files: dict[str, bytes]) -> None:
    with pytest.raises(EcgqaError):
        parse_upload(files)


def test_only_the_latest_are_kept() -> None:
    uploads = Uploads()
    keys = [uploads.add({f"{n}.csv": CSV.encode()}) for n in range(MAX_KEPT + 2)]
    assert len(set(keys)) == len(keys)
    with pytest.raises(EcgqaError, match="no longer kept"):
        uploads.get(keys[0])
    assert uploads.get(keys[-1])[0] == f"{MAX_KEPT + 1}.csv"


def test_over_the_wire(server: str, record) -> None:
    answer = requests.post(
        f"{server}/api/upload", files=[("file", (name, data)) for name, data in record.items()], timeout=30
    )
    assert answer.status_code == 200, answer.text
    key = answer.json()["key"]
    signal = requests.get(f"{server}/api/ecg/{key}/signal", timeout=30).content
    assert np.array_equal(np.frombuffer(signal, "<i2").reshape(12, -1), parse_upload(record)[1].digital)
    assert requests.get(f"{server}/api/ecg/{key}/beats", timeout=30).json()["n_beats"] > 3
    asked = {"question": "is the QRS duration above the normal range?", "ecgs": [key]}
    told = requests.post(f"{server}/api/ask", json=asked, timeout=30)
    assert told.json()["answer"] in (["yes"], ["no"])

    rows = "".join(",".join(["0.1"] * 12) + "\n" for _ in range(600))
    plain = {"file": ("plain.csv", ",".join(LEADS) + "\n" + rows)}
    without = requests.post(f"{server}/api/upload", files=plain, timeout=30)
    assert without.status_code == 422 and "rate" in without.json()["error"]
    with_rate = requests.post(f"{server}/api/upload", files=plain, data={"fs_hz": "250"}, timeout=30)
    assert with_rate.json()["trace"]["fs_hz"] == 250
    for rate in ("x", "nan", "-1", "1e9"):
        assert requests.post(f"{server}/api/upload", files=plain, data={"fs_hz": rate}, timeout=30).status_code == 422


def test_forms_that_are_none(server: str) -> None:
    many = [("file", (f"{n}.csv", "x")) for n in range(5)]
    twice = [("file", ("a.csv", "x")), ("file", ("a.csv", "y"))]
    for given in ({"files": many}, {"files": twice}, {"data": b"x"}, {"data": {"fs_hz": "5" * 5000}}, {"json": {}}):
        answer = requests.post(f"{server}/api/upload", timeout=30, **given)
        assert answer.status_code in (400, 422), answer.text
        assert "Traceback" not in answer.text
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    broken = requests.post(f"{server}/api/upload", data=b"--b\r\nbroken", headers=kind, timeout=30)
    assert broken.status_code in (400, 422)
