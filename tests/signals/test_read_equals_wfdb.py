"""Our reader and `wfdb` give equal arrays, whatever the storage format, gain, baseline and order of channels."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_writing import MIMIC_ORDER, canonical, signal, write, write_by_hand

from ecgqa.records import INVALID_SAMPLE, LEADS
from ecgqa.signals import wfdb_samples
from ecgqa.signals.read import read_ecg, read_header


def assert_equal(path: Path, names: tuple[str, ...] = LEADS) -> None:
    ecg = read_ecg(path)
    by_lead = {name.lower(): name for name in names}
    digital, physical = canonical(path, [by_lead[lead.lower()] for lead in LEADS])
    assert ecg.digital.dtype == np.int16
    assert ecg.digital.flags.c_contiguous
    there = ecg.digital != INVALID_SAMPLE
    assert np.array_equal(ecg.digital[there], digital[there])
    assert np.array_equal(there, ~np.isnan(physical))
    assert np.array_equal(ecg.millivolts(), physical.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("fmt", ["16", "24", "32", "80", "212", "508", "516", "524"])
@pytest.mark.parametrize("n_samples", [1, 7, 300])
def test_every_storage_format_that_wfdb_writes(tmp_path: Path, fmt: str, n_samples: int) -> None:
    reach = 120 if fmt in ("80", "508") else 2000
    values = signal(n_samples, reach=reach)
    path = write(tmp_path, values, fmt=fmt, gain=50.0, baseline=3)
    assert_equal(path)
    assert np.array_equal(read_ecg(path).digital, values.T - 3)


def _packed_310(values: np.ndarray) -> bytes:
    """Three 10-bit samples in two 16-bit words: bits 1 to 10 of each word, and the third in the five high bits."""
    a, b, c = (values.reshape(-1, 3) & 0x3FF).T
    words = np.stack([(a << 1) | ((c & 0x1F) << 11), (b << 1) | ((c >> 5) << 11)], axis=1)
    return words.astype("<u2").tobytes()


def _packed_311(values: np.ndarray) -> bytes:
    """Three 10-bit samples in the low thirty bits of a 32-bit word."""
    a, b, c = (values.reshape(-1, 3) & 0x3FF).T
    return (a | (b << 10) | (c << 20)).astype("<u4").tobytes()


_BY_HAND = {
    "61": lambda values: values.astype(">i2").tobytes(),
    "160": lambda values: (values + 32768).astype("<u2").tobytes(),
    "310": _packed_310,
    "311": _packed_311,
    "8": lambda values: np.diff(values, axis=0, prepend=0 * values[:1]).astype("i1").tobytes(),
}


@pytest.mark.parametrize("fmt", sorted(_BY_HAND))
def test_storage_formats_that_wfdb_only_reads(tmp_path: Path, fmt: str) -> None:
    values = signal(200, reach=60 if fmt == "8" else 500)
    path = write_by_hand(tmp_path, values, field=f"{fmt} 50(3)/mV", first=0)
    (tmp_path / "rec.dat").write_bytes(_BY_HAND[fmt](values))
    assert np.array_equal(read_ecg(path).digital, values.T - 3)
    if fmt != "61":  # wfdb 4.3.1 lists this format and fails on it
        assert_equal(path)


def test_the_order_of_mimic_iv_ecg_is_by_name_not_by_position(tmp_path: Path) -> None:
    values = signal()
    path = write_by_hand(tmp_path, values, names=MIMIC_ORDER, field="16 200.0(0)/mV")
    ecg = read_ecg(path, expected_fs_hz=500)
    assert np.array_equal(ecg.digital[LEADS.index("aVF")], values[:, 4])
    assert np.array_equal(ecg.digital[LEADS.index("aVL")], values[:, 5])
    assert_equal(path, MIMIC_ORDER)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_gain_baseline_order_and_signal(data: st.DataObject) -> None:
    n_samples = data.draw(st.integers(1, 40))
    order = tuple(data.draw(st.permutations(LEADS)))
    baseline = data.draw(st.lists(st.integers(-3000, 3000), min_size=12, max_size=12))
    gain = data.draw(st.lists(st.floats(0.5, 5000).map(lambda g: round(g, 3)), min_size=12, max_size=12))
    fmt = data.draw(st.sampled_from(["16", "24"]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(-29_000, 29_000, (n_samples, 12))
    invalid = data.draw(st.lists(st.tuples(st.integers(0, n_samples - 1), st.integers(0, 11)), max_size=5))
    for row, channel in invalid:
        values[row, channel] = -(2**15) if fmt == "16" else -(2**23)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), values, names=order, gain=gain, baseline=baseline, fmt=fmt)
        assert_equal(path, order)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_samples=st.integers(1, 50), baseline=st.integers(-40_000, 40_000))
def test_both_paths_agree_where_both_can_read(seed: int, n_samples: int, baseline: int) -> None:
    values = np.random.default_rng(seed).integers(-(2**15), 2**15, (n_samples, 12))
    with tempfile.TemporaryDirectory() as folder:
        path = write_by_hand(Path(folder), values, field=f"16 1000({baseline})/mV")
        fast = read_ecg(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wfdb_samples, "is_common_form", lambda header: False)
            general = read_ecg(path)
    assert np.array_equal(fast.digital, general.digital)
    assert np.array_equal(fast.gain_per_mv, general.gain_per_mv)
    assert fast.flags == general.flags


def test_two_data_files_and_skew(tmp_path: Path) -> None:
    values = signal(60)
    data = values.astype("<i2")
    lines = ["rec 12 500 50"]
    for channel, lead in enumerate(LEADS):
        half = "a" if channel < 6 else "b"
        skew = ":10" if channel == 8 else ""
        lines.append(f"rec_{half}.dat 16{skew} 500(7)/mV 16 0 0 0 0 {lead}")
    (tmp_path / "rec.hea").write_text("\n".join(lines) + "\n")
    (tmp_path / "rec_a.dat").write_bytes(data[:50, :6].tobytes())
    (tmp_path / "rec_b.dat").write_bytes(data[:, 6:].tobytes())
    assert_equal(tmp_path / "rec")
    skewed = read_ecg(tmp_path / "rec")
    assert np.array_equal(skewed.digital[LEADS.index("V3"), :40], values[10:50, 8] - 7)
    assert (skewed.digital[LEADS.index("V3"), 40:] == INVALID_SAMPLE).all()
    assert skewed.flags == ("invalid:V3",)


def test_samples_per_frame_are_all_kept(tmp_path: Path) -> None:
    values = signal(100)
    frames = values.reshape(50, 2, 12).transpose(0, 2, 1).astype("<i2")
    lines = ["rec 12 250 50", *(f"rec.dat 16x2 1000/mV 16 0 0 0 0 {lead}" for lead in LEADS)]
    (tmp_path / "rec.hea").write_text("\n".join(lines) + "\n")
    (tmp_path / "rec.dat").write_bytes(frames.tobytes())
    ecg = read_ecg(tmp_path / "rec", expected_fs_hz=500)
    assert np.array_equal(ecg.digital, values.T)
    assert ecg.fs_hz == 500


def test_multi_segment_record_with_a_gap(tmp_path: Path) -> None:
    first, second = signal(40, 1), signal(30, 2)
    write_by_hand(tmp_path, first, name="one")
    write_by_hand(tmp_path, second, name="two", names=MIMIC_ORDER)
    (tmp_path / "whole.hea").write_text("whole/3 12 500 95\none 40\n~ 25\ntwo 30\n")
    ecg = read_ecg(tmp_path / "whole")
    assert np.array_equal(ecg.digital[:, :40], first.T)
    assert (ecg.digital[:, 40:65] == INVALID_SAMPLE).all()
    assert np.array_equal(ecg.digital[LEADS.index("aVL"), 65:], second[:, 5])
    assert "invalid:I" in ecg.flags


def test_fixed_layout_multi_segment_equals_wfdb(tmp_path: Path) -> None:
    write_by_hand(tmp_path, signal(40, 1), name="one", field="16 400(5)/mV")
    write_by_hand(tmp_path, signal(30, 2), name="two", field="16 400(5)/mV")
    (tmp_path / "whole.hea").write_text("whole/2 12 500 70\none 40\ntwo 30\n")
    physical = wfdb.rdrecord(str(tmp_path / "whole")).p_signal.T
    assert np.array_equal(read_ecg(tmp_path / "whole").millivolts(), physical.astype(np.float32))


@pytest.mark.real_data
def test_real_records_equal_wfdb_and_their_checksums(real_data: Path) -> None:
    ptbxl = sorted((real_data / "ptbxl").glob("records*/*/*.hea"))
    ludb = sorted((real_data / "ludb" / "data").glob("*.hea"))
    assert len(ptbxl) >= 120
    assert len(ludb) >= 100
    for header in [*ptbxl[:: max(1, len(ptbxl) // 60)], *ludb[::4]]:
        path = header.with_suffix("")
        assert read_ecg(path, verify=True).flags == ()
        assert_equal(path, tuple(line.name for line in read_header(path).signals))


@pytest.mark.real_data
def test_real_mimic_headers_put_avf_before_avl(real_data: Path, tmp_path: Path) -> None:
    for header in (real_data / "mimic-iv-ecg").rglob("*.hea"):
        values = signal(5000, seed=1)
        (tmp_path / header.name).write_bytes(header.read_bytes())
        (tmp_path / header.name).with_suffix(".dat").write_bytes(values.astype("<i2").tobytes())
        ecg = read_ecg(tmp_path / header.name, expected_fs_hz=500)
        assert np.array_equal(ecg.digital[LEADS.index("aVL")], values[:, 5])
        assert np.allclose(ecg.gain_per_mv, 200)
        assert ecg.recorded_at is not None
        assert ecg.recorded_at.year == 2180
        assert ecg.comments == ("<subject_id>: 10000032",)
