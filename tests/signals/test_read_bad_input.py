"""Bad records end in one clear error, or in a flag; hostile headers reach nothing outside their folder."""

from __future__ import annotations

import os
import pickle
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_writing import signal, write, write_by_hand

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE, LEADS
from ecgqa.signals.leads import canonical_lead, lead_order
from ecgqa.signals.read import read_ecg, read_header


def problem(path: Path, **options: object) -> str:
    with pytest.raises(EcgqaError) as caught:
        read_ecg(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


# -- names of leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lead"),
    [("AVR", "aVR"), ("avl", "aVL"), ("i", "I"), ("Lead II", "II"), ("ecg_v1", "V1"), ("DIII", "III"), ("C6", "V6")],
)
def test_spellings(name: str, lead: str) -> None:
    assert canonical_lead(name) == lead


@pytest.mark.parametrize("name", ["MLII", "-aVR", "VX", "V7", "IV", "", "1", "V"])
def test_what_is_no_lead(name: str) -> None:
    assert canonical_lead(name) is None


@given(st.permutations(LEADS), st.lists(st.sampled_from(["vx", "vy", "Resp", "MLII"]), unique=True, max_size=3))
def test_order_finds_every_lead_wherever_it_stands(leads: list[str], extra: list[str]) -> None:
    names = tuple(extra[:1] + [lead.upper() for lead in leads] + extra[1:])
    order = lead_order(names)
    assert [names[channel].lower() for channel in order.channels if channel is not None] == [x.lower() for x in LEADS]
    assert sorted(order.extra) == sorted(extra)


def test_unknown_lead_names_what_was_found_and_expected(tmp_path: Path) -> None:
    text = problem(write_by_hand(tmp_path, signal(), names=(*LEADS[:11], "X9")))
    assert "V6" in text
    assert "'X9'" in text
    assert "aVR, aVL, aVF" in text


def test_doubled_lead(tmp_path: Path) -> None:
    text = problem(write_by_hand(tmp_path, signal(), names=(*LEADS[:11], "v1")), allow_missing_leads=True)
    assert "V1 is there twice" in text


def test_further_channels_are_left_out_and_told(tmp_path: Path) -> None:
    values = signal(n_channels=15)
    ecg = read_ecg(write_by_hand(tmp_path, values, names=("vx", *LEADS, "vy", "vz")))
    assert np.array_equal(ecg.digital, values[:, 1:13].T)
    assert ecg.flags == ("extra:vx", "extra:vy", "extra:vz")


def test_missing_leads_only_when_allowed(tmp_path: Path) -> None:
    values = signal(n_channels=2)
    path = write_by_hand(tmp_path, values, names=("V1", "ii"))
    assert "not in the record" in problem(path)
    ecg = read_ecg(path, allow_missing_leads=True)
    assert np.array_equal(ecg.digital[1], values[:, 1])
    assert np.array_equal(ecg.digital[6], values[:, 0])
    assert (ecg.digital[0] == INVALID_SAMPLE).all()
    assert np.isnan(ecg.millivolts()[0]).all()
    assert len([flag for flag in ecg.flags if flag.startswith("missing:")]) == 10
    assert np.isfinite(ecg.gain_per_mv).all()


# -- units, gain, rate, baseline --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "per_mv"), [("mV", 2.0), ("uV", 2000.0), ("µV", 2000.0), ("μV", 2000.0), ("V", 0.002), ("nV", 2e6)]
)
def test_units_become_millivolts(tmp_path: Path, units: str, per_mv: float) -> None:
    ecg = read_ecg(write_by_hand(tmp_path, signal(), field=f"16 2/{units}"))
    assert np.allclose(ecg.gain_per_mv, per_mv)


def test_latin_1_micro_sign(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal(), field="16 2/uV")
    header = path.with_suffix(".hea")
    header.write_bytes(header.read_text().replace("uV", "µV").encode("latin-1"))
    assert np.allclose(read_ecg(path).gain_per_mv, 2000)


@pytest.mark.parametrize("units", ["mmHg", "bpm", "adu"])
def test_unit_that_is_no_voltage(tmp_path: Path, units: str) -> None:
    assert "unit of voltage" in problem(write_by_hand(tmp_path, signal(), field=f"16 200/{units}"))


@pytest.mark.parametrize("gain", ["nan/mV", "inf/mV", "1e999/mV", "abc/mV", "--5"])
def test_gain_that_is_no_number(tmp_path: Path, gain: str) -> None:
    assert "breaks the WFDB format" in problem(write_by_hand(tmp_path, signal(), field=f"16 {gain}"))


def test_gain_zero_means_200_and_is_flagged(tmp_path: Path) -> None:
    ecg = read_ecg(write_by_hand(tmp_path, signal(), field="16 0/mV"))
    assert np.allclose(ecg.gain_per_mv, 200)
    assert ecg.flags == tuple(f"default-gain:{lead}" for lead in LEADS)


def test_negative_gain_turns_the_signal_not_the_gain(tmp_path: Path) -> None:
    values = signal()
    ecg = read_ecg(write_by_hand(tmp_path, values, field="16 -500(10)/mV"))
    assert np.allclose(ecg.gain_per_mv, 500)
    assert np.allclose(ecg.millivolts(), (values.T - 10) / -500.0)


def test_baseline_defaults_to_the_adc_zero(tmp_path: Path) -> None:
    values = signal()
    path = write_by_hand(tmp_path, values, field="16 500/mV")
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("/mV 16 0 ", "/mV 16 25 "))
    assert np.array_equal(read_ecg(path).digital, values.T - 25)


def test_header_without_the_last_fields(tmp_path: Path) -> None:
    values = signal()
    write_by_hand(tmp_path, values)
    lines = ["rec 12 500", *(f"rec.dat 16 400(2)/mV {lead}" for lead in LEADS)]
    (tmp_path / "rec.hea").write_text("\r\n".join(lines))
    ecg = read_ecg(tmp_path / "rec")
    assert np.array_equal(ecg.digital, values.T - 2)


def test_no_rate_means_250_and_is_flagged(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal(), record_line="rec 12")
    assert read_ecg(path).fs_hz == 250
    assert read_ecg(path).flags == ("default-rate:fs_hz",)
    assert "250 Hz" in problem(path, expected_fs_hz=500)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(-(2**15) + 1, 2**15 - 1), min_size=1, max_size=20),
    baseline=st.integers(-(2**31) + 1, 2**31 - 1),
)
def test_removing_the_baseline_never_wraps_around(values: list[int], baseline: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        digital = np.tile(np.array(values)[:, None], (1, 12))
        ecg = read_ecg(write_by_hand(Path(folder), digital, field=f"16 1000({baseline})/mV"))
    true_mv = (np.array(values) - baseline) / 1000
    step_mv = 1 / ecg.gain_per_mv[0]
    assert np.abs(ecg.millivolts()[0] - true_mv).max() <= step_mv / 2 + 1e-6 * np.abs(true_mv).max()
    reach = np.abs(np.array(values) - baseline).max()
    assert ("coarser:I" in ecg.flags) == (reach > 32767)
    if reach <= 32767:
        assert np.array_equal(ecg.digital[0], np.array(values) - baseline)


def test_24_bit_values_keep_their_millivolts(tmp_path: Path) -> None:
    values = signal(reach=3_000_000)
    ecg = read_ecg(write(tmp_path, values, fmt="24", gain=1e6))
    assert "coarser:V6" in ecg.flags
    assert np.abs(ecg.millivolts() - values.T / 1e6).max() < 1e-4


# -- what the samples show --------------------------------------------------------------------------------------------


def test_flat_invalid_and_clipped_leads_are_flagged(tmp_path: Path) -> None:
    values = signal(1000)
    values[:, 3] = 17
    values[5, 4] = INVALID_SAMPLE
    values[100:140, 5] = 5000
    values[:, 6] = INVALID_SAMPLE
    values[300:310, 7] = 5000
    ecg = read_ecg(write_by_hand(tmp_path, values))
    assert ecg.flags == ("flat:aVR", "invalid:aVL", "clipped:aVF", "invalid:V1")
    assert np.isnan(ecg.millivolts()[4, 5])
    assert np.isnan(ecg.millivolts()[6]).all()
    assert np.isfinite(np.delete(ecg.millivolts(), [4, 6], axis=0)).all()


def test_checksum_and_first_value_are_compared_on_request(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal())
    assert read_ecg(path, verify=True).flags == ()
    data = bytearray(path.with_suffix(".dat").read_bytes())
    data[2] ^= 1
    path.with_suffix(".dat").write_bytes(data)
    assert read_ecg(path).flags == ()
    assert read_ecg(path, verify=True).flags == ("initial:II", "checksum:II")


# -- headers that lie -------------------------------------------------------------------------------------------------


def test_data_file_cut_short_or_too_long(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal(100))
    data = path.with_suffix(".dat")
    whole = data.read_bytes()
    data.write_bytes(whole[:-10])
    text = problem(path)
    assert "cut short" in text
    assert "2400 bytes" in text
    assert "2390 bytes" in text
    data.write_bytes(whole + bytes(24))
    assert "longer than its header says" in problem(path)
    data.write_bytes(b"")
    assert "is empty" in problem(path)


@pytest.mark.parametrize("fmt", ["24", "212", "80"])
def test_data_file_cut_short_in_other_formats(tmp_path: Path, fmt: str) -> None:
    path = write(tmp_path, signal(101, reach=100), fmt=fmt)
    data = path.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-30])
    assert "cut short" in problem(path)


@pytest.mark.parametrize(
    "line",
    [
        "rec 12 500 1000000000000",
        "rec 12 500 99999999999999999999999999",
        "rec 99999999 500 300",
        "rec 0 500 300",
        "rec -12 500 300",
        "rec 12 500 -300",
        "rec 11 500 300",
        "rec 13 500 300",
        "rec 12 0 300",
        "rec 12 -500 300",
        "rec 12 nan 300",
        "rec 12 inf 300",
        "rec 12 abc 300",
        "rec twelve 500 300",
        "rec",
        "\0\0\0\0",
        "rec/12 12 500 300",
        "rec/99999999999 12 500 300",
    ],
)
def test_counts_that_lie_allocate_nothing(tmp_path: Path, line: str) -> None:
    path = write_by_hand(tmp_path, signal(), record_line=line)
    tracemalloc.start()
    try:
        problem(path)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_claims_of_compressed_and_segmented_records_allocate_nothing(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal(), record_line="rec 12 500 100000000000", field="516 1000/mV")
    assert "too long" in problem(path)
    (tmp_path / "whole.hea").write_text("whole/2 12 500 100000000300\nrec 300\n~ 100000000000\n")
    assert "too long" in problem(tmp_path / "whole")


def test_a_record_that_is_its_own_segment(tmp_path: Path) -> None:
    (tmp_path / "loop.hea").write_text("loop/1 12 500 300\nloop 300\n")
    assert "segment" in problem(tmp_path / "loop")


@pytest.mark.parametrize("name", ["../secret.dat", "/etc/passwd", "..", "sub/rec.dat", "C:rec.dat", "-", "..\\x.dat"])
def test_header_cannot_reach_outside_its_folder(tmp_path: Path, name: str) -> None:
    values = signal()
    (tmp_path / "secret.dat").write_bytes(values.astype("<i2").tobytes())
    path = write_by_hand(tmp_path / "inner", values, file_name=name)
    assert "outside its own folder" in problem(path)
    (tmp_path / "inner" / "whole.hea").write_text(f"whole/1 12 500 300\n{name} 300\n")
    assert "outside its own folder" in problem(tmp_path / "inner" / "whole")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_headers_end_in_one_kind_of_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_by_hand(Path(folder), signal(20))
        header = bytearray(path.with_suffix(".hea").read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            position = data.draw(st.integers(0, len(header) - 1))
            header[position] = data.draw(st.one_of(st.sampled_from(b"0159 /+:x()-e.\n#"), st.integers(0, 255)))
        path.with_suffix(".hea").write_bytes(header[: data.draw(st.integers(0, len(header)))] or header)
        try:
            ecg = read_ecg(path, verify=True)
        except EcgqaError:
            return
        assert ecg.digital.shape[0] == 12
        assert (ecg.gain_per_mv > 0).all()


# -- files ------------------------------------------------------------------------------------------------------------


def test_path_with_spaces_and_letters_of_all_kinds(tmp_path: Path) -> None:
    values = signal()
    folder = tmp_path / "Ärzte & ñandú 心電図"
    for path in (write_by_hand(folder, values), write_by_hand(folder, values, name="b", field="16+0 1000/mV")):
        for spelled in (path, str(path), path.with_suffix(".hea"), path.with_suffix(".dat")):
            assert np.array_equal(read_ecg(spelled).digital, values.T)


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_by_hand(tmp_path, signal())
    monkeypatch.chdir(tmp_path)
    assert read_ecg("rec").n_samples == 300


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "no folder" in problem(tmp_path / "none" / "rec")
    assert "no such file" in problem(tmp_path / "rec")
    path = write_by_hand(tmp_path, signal())
    path.with_suffix(".dat").unlink()
    assert "rec.dat" in problem(path)
    assert problem(Path("a\0b"))
    assert problem(tmp_path / ("x" * 5000))


def test_empty_header_folder_in_its_place_and_pipe(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal())
    path.with_suffix(".hea").write_text("")
    assert "empty" in problem(path)
    path.with_suffix(".hea").unlink()
    path.with_suffix(".hea").mkdir()
    assert "a folder" in problem(path)
    path.with_suffix(".hea").rmdir()
    os.mkfifo(path.with_suffix(".hea"))
    assert "a pipe or device" in problem(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal())
    path.with_suffix(".dat").chmod(0)
    assert "no permission" in problem(path)


def test_time_comments_and_crossing_a_process_pool(tmp_path: Path) -> None:
    path = write_by_hand(
        tmp_path, signal(), record_line="rec 12 500 300 08:44:00.5 23/07/2180", tail="# <subject_id>: 10000032\n#x\n"
    )
    ecg = pickle.loads(pickle.dumps(read_ecg(path)))
    assert ecg.recorded_at.isoformat() == "2180-07-23T08:44:00.500000"
    assert ecg.comments == ("<subject_id>: 10000032", "x")
    assert read_header(path).n_samples == 300


def test_a_date_that_is_none_does_not_cost_the_signal(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path, signal(), record_line="rec 12 500 300 25:99:00 31/02/2180")
    assert read_ecg(path).recorded_at is None
