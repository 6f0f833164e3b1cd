"""The consensus delineator: what it finds on known beats, that nothing makes it fail, that it follows the clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.delineation import NOT_MEASURABLE, POINTS, Delineation, delineate, wave_network
from ecgqa.signals.delineation.consensus import delineate_consensus
from ecgqa.signals.delineation.network_input import network_input, resampled, usable_leads
from ecgqa.signals.delineation.wave_network import layers_of, shipped_layers, wave_probabilities
from ecgqa.signals.delineation.waves import find_waves

FS_HZ = 500.0
# What each wave adds to each lead, in mV: frontal leads of a normal axis, V1 with a deep S.
P_MV = np.array([0.08, 0.15, 0.07, -0.11, 0.01, 0.11, 0.05, 0.07, 0.07, 0.07, 0.07, 0.06])
R_MV = np.array([0.7, 1.1, 0.4, -0.9, 0.15, 0.75, -0.9, -0.6, 0.6, 1.2, 1.3, 1.0])
T_MV = np.array([0.2, 0.35, 0.15, -0.27, 0.03, 0.25, 0.05, 0.4, 0.45, 0.4, 0.35, 0.25])
P_BEFORE_MS, T_AFTER_MS = 160.0, 280.0


def made_up(
    beats_s: npt.NDArray[np.float64],
    *,
    seconds: float = 10.0,
    fs_hz: float = FS_HZ,
    p: float = 1.0,
    t: float = 1.0,
    width: float = 1.0,
    noise_mv: float = 0.008,
) -> npt.NDArray[np.float32]:
    """(12, n) millivolts with a P, QRS and T at known times: bells of 22, 11 and 45 ms, Q and S beside R."""
    time = np.arange(round(seconds * fs_hz)) / fs_hz
    signal = np.random.default_rng(5).normal(0, noise_mv, (12, time.size))

    def add(at_s: float, sigma_ms: float, height: npt.NDArray[np.float64]) -> None:
        signal[:] += height[:, None] * np.exp(-0.5 * ((time - at_s) / (sigma_ms / 1000)) ** 2)

    for beat, at in enumerate(beats_s):
        before = beats_s[beat] - beats_s[beat - 1] if beat else 1.0
        add(at - P_BEFORE_MS / 1000, 22, p * P_MV)
        add(at, 11 * width, R_MV)
        add(at - 0.026 * width, 9 * width, -0.12 * R_MV)
        add(at + 0.028 * width, 10 * width, -0.22 * R_MV)
        add(at + T_AFTER_MS / 1000 * min(1.0, before) ** 0.5, 45, t * T_MV)
    return signal.astype(np.float32)


REGULAR = np.arange(0.7, 9.6, 0.8)


def near(found: npt.NDArray[np.int32], expected_s: npt.NDArray[np.float64], within_ms: float) -> npt.NDArray[np.bool_]:
    """Whether each beat's point was found, and found near."""
    return (found != NOT_MEASURABLE) & (np.abs(found / FS_HZ - expected_s) * 1000 <= within_ms)


def test_every_wave_of_a_normal_rhythm() -> None:
    found = delineate(made_up(REGULAR), FS_HZ, edge_waves=True)
    assert found.n_beats == REGULAR.size
    inner = slice(1, -1)
    for lead in ("II", "V4", "V5"):
        assert near(found.point("r_peak", lead), REGULAR, 8).all()
        assert near(found.point("p_peak", lead), REGULAR - P_BEFORE_MS / 1000, 16)[inner].all()
        assert near(found.point("t_peak", lead), REGULAR + T_AFTER_MS / 1000 * 0.8**0.5, 24)[inner].all()
    assert (found.confidence[:, inner] > 0.5).all()


def test_points_of_a_beat_are_in_order() -> None:
    found = delineate(made_up(REGULAR), FS_HZ)
    order = [name for name in POINTS if name not in ("q_peak", "s_peak")]
    everything = np.concatenate((found.consensus[:, None], found.by_lead), axis=1)
    for k in range(everything.shape[1]):
        points = np.stack([everything[POINTS.index(name), k] for name in order])
        for beat in points.T:
            assert (np.diff(beat[beat != NOT_MEASURABLE]) >= 0).all()


def test_no_p_wave_where_there_is_none() -> None:
    rng = np.random.default_rng(1)
    irregular = np.cumsum(np.concatenate(([0.6], rng.uniform(0.5, 1.1, 10))))
    irregular = irregular[irregular < 9.6]
    found = delineate(made_up(irregular, p=0.0), FS_HZ, edge_waves=True)
    assert found.n_beats == irregular.size
    assert (found.point("p_onset") != NOT_MEASURABLE).sum() <= 1
    assert (found.point("t_onset") != NOT_MEASURABLE).sum() >= irregular.size - 2


@pytest.mark.parametrize("rate_per_minute", [40, 60, 75, 100, 120, 140])
def test_rates(rate_per_minute: int) -> None:
    beats = np.arange(0.6, 9.7, 60 / rate_per_minute)
    found = delineate(made_up(beats), FS_HZ, edge_waves=True)
    assert found.n_beats == beats.size
    assert near(found.point("r_peak", "II"), beats, 8).all()
    p_found = near(found.point("p_peak", "II"), beats - P_BEFORE_MS / 1000, 30)[1:-1]
    if rate_per_minute <= 100:  # at faster rates these P waves begin on the T wave
        assert p_found.mean() > 0.8


def test_a_weak_p_wave_is_believed_where_the_others_are_clear() -> None:
    level = np.zeros((4, 900))
    for at in range(50, 900, 100):
        level[1, at - 20 : at - 8] = 0.9
        level[2, at - 4 : at + 6] = 0.9
    level[1, 430:442] = 0.2
    level[1, 505:517] = 0.2  # as weak, but far from where P waves are
    level[1, 530:542] = 0.0
    level[0] = 1 - level.sum(axis=0)
    waves = find_waves(np.repeat(level.T[None], 3, axis=0).astype(np.float32))
    found = np.isfinite(waves.onset[0, 0])
    assert waves.n_beats == 9
    assert found.tolist() == [True, True, True, True, True, False, True, True, True]
    assert abs(waves.onset[0, 0, 4] - waves.onset[0, 0, 3] - 100) < 1.5
    assert abs(waves.offset[0, 0, 4] - waves.offset[0, 0, 3] - 100) < 1.5


def test_few_unclear_p_waves_are_not_believed() -> None:
    level = np.zeros((4, 900))
    for at in range(50, 900, 100):
        level[2, at - 4 : at + 6] = 0.9
    level[1, 330:342] = 0.5
    level[0] = 1 - level.sum(axis=0)
    rows = np.repeat(level.T[None], 3, axis=0).astype(np.float32)
    assert not np.isfinite(find_waves(rows).onset[0]).any()
    rows[:, 330:342, 1] = 0.8
    assert np.isfinite(find_waves(rows).onset[0, 0]).sum() == 1


def levels(qrs: npt.NDArray[np.int64], p_before: npt.NDArray[np.int64], p_level: float) -> npt.NDArray[np.float32]:
    """(3, T, 4) probabilities: complexes at known samples, each with a P wave that ends so long before it."""
    level = np.zeros((4, qrs[-1] + 100))
    for at, before in zip(qrs, p_before, strict=True):
        level[2, at - 4 : at + 6] = 0.9
        if before:
            level[1, at - before - 12 : at - before] = p_level
    level[0] = 1 - level.sum(axis=0)
    return np.repeat(level.T[None], 3, axis=0).astype(np.float32)


def test_atria_that_beat_on_their_own_lead_to_no_complex() -> None:
    qrs = np.arange(100, 1000, 100)
    wandering = np.array([6, 20, 34, 10, 24, 31, 8, 16, 29])
    assert np.isnan(find_waves(levels(qrs, wandering, 0.9)).onset[0]).all()
    steady = 10 + wandering // 6
    assert np.isfinite(find_waves(levels(qrs, steady, 0.9)).onset[0]).all()


def test_unclear_p_waves_of_an_irregular_rhythm_are_not_believed() -> None:
    some = np.array([8, 0, 0, 8, 0, 8, 0, 0, 8])
    regular, irregular = np.arange(100, 1000, 100), np.array([100, 170, 290, 350, 470, 530, 640, 710, 830])
    for qrs, believed in ((regular, True), (irregular, False)):
        found = np.isfinite(find_waves(levels(qrs, some, 0.5)).onset[0, 0])
        assert found.sum() == (4 if believed else 0)


def test_wide_complexes_are_wide() -> None:
    narrow = delineate(made_up(REGULAR), FS_HZ).milliseconds("qrs_onset", "qrs_offset")
    wide = delineate(made_up(REGULAR, width=1.7, p=0.0), FS_HZ).milliseconds("qrs_onset", "qrs_offset")
    assert 60 < np.median(narrow) < 115
    assert np.median(wide) > np.median(narrow) + 25


@pytest.mark.parametrize("fs_hz", [100.0, 128.0, 250.0, 257.3, 360.0, 1000.0])
def test_other_sampling_rates_give_the_same_times(fs_hz: float) -> None:
    reference = delineate(made_up(REGULAR, noise_mv=0.0), FS_HZ)
    found = delineate(made_up(REGULAR, noise_mv=0.0, fs_hz=fs_hz), fs_hz)
    assert found.fs_hz == fs_hz
    assert found.n_beats == reference.n_beats
    for name in ("p_onset", "qrs_onset", "r_peak", "qrs_offset", "t_offset"):
        expected, got = reference.point(name)[1:-1] / FS_HZ, found.point(name)[1:-1] / fs_hz
        assert np.abs(expected - got).max() < 0.02


def test_one_lead_alone_and_missing_leads() -> None:
    signal = made_up(REGULAR)
    alone = delineate(signal, FS_HZ, lead="II")
    assert alone.n_beats == REGULAR.size
    assert (alone.point("qrs_onset", "II") != NOT_MEASURABLE).all()
    assert (alone.point("qrs_onset", "V1") == NOT_MEASURABLE).all()
    signal[[0, 4]] = np.nan
    signal[7] = 0.25
    found = delineate(signal, FS_HZ)
    assert found.n_beats == REGULAR.size
    for lead in ("I", "aVL", "V2"):
        assert (found.by_lead[:, LEADS.index(lead)] == NOT_MEASURABLE).all()


def test_long_recordings_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = np.arange(0.7, 29.5, 0.83)
    signal = made_up(beats, seconds=30.0)
    whole = delineate(signal, FS_HZ)
    assert whole.n_beats == beats.size
    monkeypatch.setattr(wave_network, "LONGEST_PIECE", 1600)
    assert np.array_equal(delineate(signal, FS_HZ).by_lead, whole.by_lead)


def test_one_minute() -> None:
    beats = np.arange(0.7, 59.5, 0.83)
    found = delineate(made_up(beats, seconds=60.0), FS_HZ)
    assert found.n_beats == beats.size


def test_two_beats_and_short_pieces() -> None:
    assert delineate(made_up(np.array([0.5, 1.3]), seconds=1.9), FS_HZ).n_beats == 2
    for n in (0, 1, 2, 7, 50, 199):
        assert delineate(np.zeros((12, n), dtype=np.float32), FS_HZ).n_beats == 0


@pytest.mark.parametrize("value", [0.0, 1.5, np.nan, np.inf, -np.inf, 1e30])
def test_signals_without_a_heart(value: float) -> None:
    found = delineate(np.full((12, 5000), value, dtype=np.float32), FS_HZ)
    assert found.n_beats == 0
    assert found.to_frame().is_empty()


def test_noise_alone_has_no_beats() -> None:
    noise = np.random.default_rng(3).normal(0, 0.05, (12, 5000))
    assert delineate(noise, FS_HZ).n_beats <= 1


def check_shape(found: Delineation, n_samples: int) -> None:
    """What holds of every result, whatever the signal was."""
    assert found.consensus.shape == (len(POINTS), found.n_beats)
    assert found.by_lead.shape == (len(POINTS), len(LEADS), found.n_beats)
    assert found.consensus.dtype == found.by_lead.dtype == np.int32
    for values in (found.consensus, found.by_lead):
        assert (values >= NOT_MEASURABLE).all()
        assert (values < max(n_samples, 1)).all()
    assert (np.diff(found.point("qrs_onset")) > 0).all()
    assert (found.point("qrs_onset") <= found.point("qrs_offset")).all()
    assert np.isfinite(found.confidence).all()
    assert found.to_frame().height == found.n_beats * (len(LEADS) + 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n_samples=st.integers(0, 3000),
    fs_hz=st.floats(60, 2000),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.0, 1e-6, 0.05, 1.0, 50.0, 1e8, 1e30]),
    holes=st.integers(0, 12),
)
def test_any_signal_gives_a_result(n_samples: int, fs_hz: float, seed: int, scale: float, holes: int) -> None:
    rng = np.random.default_rng(seed)
    signal = np.cumsum(rng.normal(0, scale, (12, n_samples)), axis=1) * rng.random((12, 1))
    signal[:, :: rng.integers(2, 200)] += scale * rng.normal()
    for _ in range(holes):
        row, at = rng.integers(12), rng.integers(max(n_samples, 1))
        signal[row, at : at + rng.integers(1, 2000)] = rng.choice([np.nan, np.inf, -np.inf, 0.0])
    check_shape(delineate(signal, fs_hz, edge_waves=bool(seed % 2)), n_samples)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.just(12), st.integers(0, 120)), elements=st.floats(allow_nan=True)))
def test_any_few_values_give_a_result(values: npt.NDArray[np.float64]) -> None:
    check_shape(delineate(values, 100.0), values.shape[1])


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_spoilt_heart_beats_give_a_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    beats = np.cumsum(rng.uniform(0.25, 1.6, 8))
    signal = made_up(beats, p=rng.uniform(-1, 1), t=rng.uniform(-1, 2), width=rng.uniform(0.7, 2.5)).astype(float)
    signal += rng.normal(0, rng.choice([0.0, 0.05, 0.3]), signal.shape)
    start = rng.integers(4000)
    signal[rng.integers(12), start : start + 800] = rng.choice([np.nan, 5.0, -5.0])
    check_shape(delineate(signal, FS_HZ), signal.shape[1])


def test_refusals() -> None:
    signal = made_up(REGULAR)
    for call in (
        lambda: delineate(signal),
        lambda: delineate(signal, 0.0),
        lambda: delineate(signal, float("nan")),
        lambda: delineate(signal[:3], FS_HZ),
        lambda: delineate(signal, FS_HZ, lead="V9"),
        lambda: delineate(signal, FS_HZ, method="other"),
    ):
        with pytest.raises(EcgqaError):
            call()


def test_frame_has_a_row_per_beat_and_lead() -> None:
    found = delineate(made_up(REGULAR, p=0.0), FS_HZ)
    frame = found.to_frame()
    assert frame.columns == ["beat", "lead", *POINTS]
    assert frame["lead"].to_list()[:13] == ["all", *LEADS]
    assert frame["p_onset"].null_count() >= frame.height - 13
    second = frame.filter((frame["beat"] == 1) & (frame["lead"] == "V3"))
    assert second["r_peak"].item() == found.point("r_peak", "V3")[1]


def test_waves_of_the_first_and_last_cycle_are_reported_on_demand() -> None:
    signal = made_up(REGULAR)
    found, everything = delineate(signal, FS_HZ), delineate(signal, FS_HZ, edge_waves=True)
    for lead in (None, "V2"):
        there = {name: found.point(name, lead) != NOT_MEASURABLE for name in POINTS}
        assert there["r_peak"].all()
        assert there["p_peak"].tolist() == [False, False, *[True] * (REGULAR.size - 3), False]
        assert there["t_peak"].tolist() == [False, *[True] * (REGULAR.size - 3), False, False]
        assert (everything.point("p_peak", lead) != NOT_MEASURABLE).all()
        assert (everything.point("t_peak", lead)[:-1] != NOT_MEASURABLE).all()
    assert np.array_equal(everything.without_edge_waves().by_lead, found.by_lead)
    for n_beats in (0, 1, 2, 3, 4):
        few = delineate(made_up(REGULAR[:n_beats], seconds=0.5 + 0.8 * n_beats), FS_HZ)
        assert few.n_beats == n_beats
        assert (few.point("p_peak") != NOT_MEASURABLE).sum() == max(0, n_beats - 3)


@pytest.mark.parametrize(("shown_ms", "is_beat"), [(0, False), (25, False), (85, True)])
def test_a_complex_that_the_end_cuts_off_is_a_beat_if_most_of_it_shows(shown_ms: int, is_beat: bool) -> None:
    signal = made_up(REGULAR)
    onset = delineate(signal, FS_HZ).point("qrs_onset")[-1]
    found = delineate(signal[:, : onset + shown_ms // 2], FS_HZ)
    assert found.n_beats == REGULAR.size - 1 + is_beat
    offset = delineate(signal, FS_HZ).point("qrs_offset")[0]
    found = delineate(signal[:, offset - shown_ms // 2 :], FS_HZ)
    assert found.n_beats == REGULAR.size - 1 + is_beat


def test_resampling_keeps_means_and_marks_gaps() -> None:
    signal = np.arange(24, dtype=np.float64).reshape(2, 12)
    assert np.allclose(resampled(signal, 400.0), signal.reshape(2, 3, 4).mean(axis=2))
    by_thirds = np.repeat(signal, 2, axis=1).reshape(2, 8, 3).mean(axis=2)
    assert np.allclose(resampled(signal, 150.0), by_thirds)
    signal[1, 4] = np.nan
    for fs_hz in (150.0, 400.0):
        assert np.isnan(resampled(signal, fs_hz)[1]).any()
        assert np.isfinite(resampled(signal, fs_hz)[0]).all()


def test_usable_leads_leave_out_flat_and_mostly_missing_ones() -> None:
    signal = made_up(REGULAR, fs_hz=100.0)
    signal[2] = 0.3
    signal[3, :600] = np.nan
    signal[4, :400] = np.nan
    assert usable_leads(signal).tolist() == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]


def test_network_is_blind_to_gain_and_drift() -> None:
    signal = made_up(REGULAR, fs_hz=100.0)
    tilted = 3 * signal + np.linspace(0, 2, signal.shape[1], dtype=np.float32)
    middle = slice(200, 800)
    assert np.abs(network_input(signal)[:, middle] - network_input(tilted)[:, middle]).max() < 0.15


def test_network_equals_its_training_form() -> None:
    torch = pytest.importorskip("torch")
    from ecgqa.signals.delineation.fit import WaveNetwork, folded

    torch.manual_seed(0)
    network = WaveNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    network.eval()
    x = torch.randn(1, 12, 320)
    with torch.no_grad():
        expected = network(x, torch.ones(1, 12)).softmax(2)[0].permute(0, 2, 1).numpy()
    found = wave_probabilities(x[0].numpy(), layers_of(folded(network)))
    assert np.abs(found - expected).max() < 1e-5


def test_shipped_parameters_say_where_they_come_from() -> None:
    import json
    from importlib import resources

    file = resources.files("ecgqa.signals.delineation").joinpath("wave_network.npz")
    with file.open("rb") as stream, np.load(stream) as stored:
        provenance = json.loads(str(stored["provenance"]))
        assert sum(stored[name].nbytes for name in stored.files) < 300_000
    assert provenance["licence"] == "Open Data Commons Attribution License 1.0"
    assert {"source", "doi", "records", "seed", "steps"} <= set(provenance)
    assert set(shipped_layers()) >= {"e1", "e2", "e3", "d3", "d2", "d1", "out"}


def test_fitting_is_repeatable() -> None:
    pytest.importorskip("torch")
    from ecgqa.signals.delineation.augment import taken_apart
    from ecgqa.signals.delineation.fit import fit, folded

    signal = made_up(REGULAR)
    labels = np.zeros(signal.shape, dtype=np.int8)
    for at in REGULAR:
        for label, start, end in ((1, -0.22, -0.11), (2, -0.04, 0.05), (3, 0.15, 0.36)):
            labels[:, max(0, round((at + start) * FS_HZ)) : round((at + end) * FS_HZ)] = label
    example = taken_apart(signal, labels)
    once, again = (folded(fit([example], steps=2, batch_size=2, seed=4, report=0)) for _ in range(2))
    assert all(np.array_equal(once[name], again[name]) for name in once)


@pytest.mark.real_data
def test_annotated_records(real_data: Path) -> None:
    """F1 against LUDB's marks in lead II, 75 ms to either side; beyond the marked span that much is looked at."""
    from wfdb import rdann

    from ecgqa.signals.read import read_ecg

    folder = real_data / "ludb" / "data"
    records = sorted(folder.glob("*.hea"), key=lambda path: int(path.stem))[::5]
    if not records:
        pytest.skip("no LUDB records")
    for symbol, points in (("p", POINTS[0:3:2]), ("N", ("qrs_onset", "qrs_offset")), ("t", ("t_onset", "t_offset"))):
        for name, step in zip(points, (-1, 1), strict=True):
            hits = n_marks = n_found = 0
            for path in records:
                notes = rdann(str(path.with_suffix("")), "ii")
                bracket = "(" if step < 0 else ")"
                marks = [
                    notes.sample[i + step]
                    for i, s in enumerate(notes.symbol)
                    if s == symbol and 0 <= i + step < len(notes.symbol) and notes.symbol[i + step] == bracket
                ]
                found = delineate(read_ecg(path)).point(name, "II")
                found = found[(found >= notes.sample[0] - 37.5) & (found <= notes.sample[-1] + 37.5)]
                n_marks, n_found = n_marks + len(marks), n_found + len(found)
                hits += sum(bool(found.size) and np.abs(found - mark).min() <= 37.5 for mark in marks)
            assert 2 * hits / (n_marks + n_found) > 0.95, name


def test_parameters_may_be_given() -> None:
    signal = made_up(REGULAR)
    given_layers = delineate_consensus(signal, FS_HZ, layers=shipped_layers())
    assert np.array_equal(given_layers.by_lead, delineate(signal, FS_HZ).by_lead)
