"""Segments for pretraining: right pieces of right ECGs, every ECG once, and an order that seed and epoch decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from store_dataset import write_ecg

from ecgqa.errors import EcgqaError
from ecgqa.store import Store, open_store
from ecgqa.store.build import build_store
from ecgqa.store.segments import SegmentBatch, SegmentLoader
from support.ecg_file import write_signal

FS_HZ = 100
PATIENTS = {1: 10, 2: 10, 3: 11, 4: 12, 5: 12, 6: 12, 7: None, 8: None, 9: 13, 10: 13}
LENGTHS = {3: 130, 8: 70, 9: 40}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[int, np.ndarray]]:
    """Ten ECGs of 2 s, three of them shorter, of patients with one to three; ECG 10 shows no signal at all."""
    root = tmp_path_factory.mktemp("segments")
    records = root / "records"
    signals = {}
    for ecg_id in PATIENTS:
        signals[ecg_id] = write_ecg(records, ecg_id, n_samples=LENGTHS.get(ecg_id, 200), fs_hz=FS_HZ)
    write_signal(records, 10, np.zeros((12, 200), dtype="<i2"), fs_hz=FS_HZ)
    rows = "".join(f"{ecg_id},{'' if patient is None else patient}\n" for ecg_id, patient in PATIENTS.items())
    (records / "records.csv").write_text("path,patient_id\n" + rows)
    return open_store(build_store(root / "store", records_root=records, samples=200)), signals


def loader(store: Store, batch_size: int = 4, **options: object) -> SegmentLoader:
    given = {"seconds": 0.5, "shuffle": True, "seed": 3} | options
    return SegmentLoader(store, np.arange(store.n_ecgs), batch_size, **given)  # type: ignore[arg-type]


def starts_of(batch: SegmentBatch, store: Store, signals: dict[int, np.ndarray]) -> list[int]:
    """Where each segment was cut, found by looking for its samples in the file that was written."""
    found = []
    for ecg, row, length in zip(batch.ecg.numpy(), batch.row.tolist(), batch.length.tolist(), strict=True):
        whole = signals[store.records["ecg_id"][row]] / 1000
        fits = [
            start
            for start in range(whole.shape[1] - length + 1)
            if np.allclose(whole[:, start : start + length], ecg[:, :length], atol=1e-6)
        ]
        assert len(fits) == 1
        assert not ecg[:, length:].any()
        found += fits
    return found


def test_pairs_are_consecutive_pieces_of_one_ecg(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, signals = made
    pairs = loader(store, n_segments=2)
    assert pairs.n_left_out == 3  # 70 and 40 samples are no two segments of 50, and one ECG is silent
    seen = []
    for batch in pairs:
        starts = starts_of(batch, store, signals)
        assert batch.segment.tolist() == [0, 1] * (len(batch) // 2)
        assert batch.row[::2].tolist() == batch.row[1::2].tolist()
        assert [second - first for first, second in zip(starts[::2], starts[1::2], strict=True)] == [50] * (
            len(batch) // 2
        )
        assert (batch.length == 50).all()
        seen += batch.row[::2].tolist()
    assert sorted(seen) == sorted(pairs.rows.tolist()) == [0, 1, 2, 3, 4, 5, 6]


def test_rows_of_a_patient_share_a_number(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, _ = made
    for positives, n_numbers in (("patient", 5), ("record", 8)):
        numbers = {}
        for batch in loader(store, positives=positives, seconds=0.6):
            numbers |= dict(zip(batch.row.tolist(), batch.patient.tolist(), strict=True))
        assert len(numbers) == 8
        assert len(set(numbers.values())) == n_numbers
        assert (numbers[0] == numbers[1]) is (positives == "patient")
        assert numbers[6] != numbers[7]  # both of unknown patients


def test_positives_from_other_ecgs_of_the_patient(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, signals = made
    pairs = loader(store, n_segments=2, pairs="records")
    partners = set()
    for epoch in range(8):
        pairs.set_epoch(epoch)
        for batch in pairs:
            starts = starts_of(batch, store, signals)
            for place in range(0, len(batch), 2):
                first, second = batch.row[place].item(), batch.row[place + 1].item()
                assert batch.patient[place] == batch.patient[place + 1]
                partners.add((first, second))
                if first == second:  # the patient has no other ECG: consecutive pieces
                    assert starts[place + 1] - starts[place] == 50
    family = {0: {1}, 1: {0}, 2: {2}, 3: {4, 5}, 4: {3, 5}, 5: {3, 4}, 6: {6}}
    assert partners == {(first, second) for first, others in family.items() for second in others}


def test_places_and_order_follow_from_seed_and_epoch(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, signals = made

    def epoch_of(number: int, **options: object) -> list[tuple[int, int]]:
        one = loader(store, **options)
        one.set_epoch(number)
        return [
            pair for batch in one for pair in zip(batch.row.tolist(), starts_of(batch, store, signals), strict=True)
        ]

    assert epoch_of(0) == epoch_of(0, prefetch=0) == epoch_of(0, resident=True)
    assert epoch_of(0) != epoch_of(1)
    assert dict(epoch_of(0)) != dict(epoch_of(1))
    assert dict(epoch_of(0)) == dict(epoch_of(0, batch_size=3))
    assert len({start for number in range(6) for _, start in epoch_of(number)}) > 20
    fixed = epoch_of(5, random_crop=False, shuffle=False)
    assert fixed == [(row, 0) for row in range(8)]


def test_ranks_share_an_epoch(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, _ = made
    for world_size in (2, 3):
        ranks = [loader(store, 2, rank=rank, world_size=world_size) for rank in range(world_size)]
        assert len({len(rank) for rank in ranks}) == 1
        plans = [rank.plan() for rank in ranks]
        assert {len(plan) for plan in plans} == {len(ranks[0])}
        for step in zip(*plans, strict=True):
            assert len({len(rows) for rows in step}) == 1
        assert {int(row) for plan in plans for rows in plan for row in rows} == set(ranks[0].rows.tolist())
        whole = loader(store, 2, rank=0, world_size=world_size, drop_last=True).plan()
        assert all(len(rows) == 2 for rows in whole)
    pieces = [dict(_ecgs(loader(store, 2, rank=rank, world_size=2))) for rank in (0, 1)]
    alone = dict(_ecgs(loader(store, 4)))
    for row, ecg in (pieces[0] | pieces[1]).items():
        assert torch.equal(alone[row], ecg)


def _ecgs(one: SegmentLoader) -> list[tuple[int, torch.Tensor]]:
    return [(int(row), ecg) for batch in one for row, ecg in zip(batch.row, batch.ecg, strict=True)]


def test_resuming_an_epoch(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, _ = made
    whole = [batch.ecg for batch in loader(store, 2)]
    later = loader(store, 2)
    later.skip(2)
    for one, other in zip(later, whole[2:], strict=True):
        assert torch.equal(one.ecg, other)
    assert len(list(later)) == len(whole)


def test_whole_ecgs(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, signals = made
    whole = loader(store, 20, seconds=None, shuffle=False)
    (batch,) = whole
    assert batch.ecg.shape == (9, 12, 200)
    assert batch.length.tolist() == [LENGTHS.get(ecg_id, 200) for ecg_id in range(1, 10)]
    assert starts_of(batch, store, signals) == [0] * 9


def test_what_cannot_be_cut(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, _ = made
    with pytest.raises(EcgqaError, match="cannot be cut"):
        loader(store, seconds=3.0)
    with pytest.raises(EcgqaError, match="is long enough"):
        loader(store, seconds=1.5, n_segments=2)
    with pytest.raises(EcgqaError, match="n_segments"):
        loader(store, n_segments=3)


def test_batches_of_another_epoch_do_not_mix(made: tuple[Store, dict[int, np.ndarray]]) -> None:
    store, _ = made
    one = loader(store, 2, prefetch=0)
    expected = [batch.ecg for batch in one]
    running = iter(one)
    got = [next(running).ecg]
    one.set_epoch(7)
    got += [batch.ecg for batch in running]
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
