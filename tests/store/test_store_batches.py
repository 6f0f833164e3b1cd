"""Batches: right values, nothing padded that need not be, and an order that only seed and epoch decide."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from store_dataset import TRAIN, Dataset

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE
from ecgqa.store import Store, open_store
from ecgqa.store.batches import Batch, BatchLoader, QuestionDataset, torch_collate
from ecgqa.store.decode import Decoder
from ecgqa.store.prefetch import prefetched

Encode = Callable[[list[str]], list[list[int]]]


@pytest.fixture
def train(store: Store, encode: Encode) -> QuestionDataset:
    return QuestionDataset(store, split="train", version="template", encode=encode)


def check(batch: Batch, dataset: QuestionDataset, signals: dict[int, np.ndarray], encode: Encode) -> None:
    """Every value of `batch` follows from the samples that were written."""
    answers = dataset.store.answers
    assert batch.ecg.dtype == torch.float32
    assert batch.candidates.dtype == torch.bool
    for place, row in enumerate(batch.row.tolist()):
        question = TRAIN[row]
        for k in range(batch.ecg.shape[1]):
            if k < len(question["ecg_id"]):
                expected = signals[question["ecg_id"][k]] / 1000
                np.testing.assert_allclose(batch.ecg[place, k], expected, atol=1e-6)
                assert batch.ecg_length[place, k] == expected.shape[1]
            else:
                assert not batch.ecg[place, k].any()
                assert batch.ecg_length[place, k] == 0
        ids = encode([question["question"]])[0]
        assert batch.text_length[place] == len(ids)
        assert batch.text[place].tolist() == ids + [0] * (batch.text.shape[1] - len(ids))
        chosen = {answers[column] for column in batch.target[place].nonzero().flatten().tolist()}
        assert chosen == set(question["answer"]) - {"none"}
        offered = {answers[column] for column in batch.candidates[place].nonzero().flatten().tolist()}
        assert offered == set(dataset.frame["candidates"][row]) - {"none"}
    assert batch.text.shape[1] == batch.text_length.max()


def test_batches_hold_what_was_written(train: QuestionDataset, dataset: Dataset, encode: Encode) -> None:
    for resident in (False, True):
        loader = BatchLoader(train, 2, shuffle=True, seed=0, resident=resident)
        batches = list(loader)
        assert len(batches) == len(loader) == 4
        assert sorted(row for batch in batches for row in batch.row.tolist()) == list(range(7))
        for batch in batches:
            check(batch, train, dataset.signals, encode)
            assert {len(TRAIN[row]["ecg_id"]) for row in batch.row.tolist()} == {batch.ecg.shape[1]}


def test_a_batch_of_chosen_rows_may_mix_one_and_two_ecgs(
    train: QuestionDataset, dataset: Dataset, encode: Encode
) -> None:
    batch = train.batch([6, 0, 2, 3])
    assert batch.ecg.shape[:2] == (4, 2)
    check(batch, train, dataset.signals, encode)


def test_both_ways_of_decoding_give_the_same(dataset: Dataset) -> None:
    dataset.write_ecgs(11, n_samples=60)
    decoder = Decoder.mapped(open_store(dataset.build(samples=100)))
    rows = np.array([2, 1, -1, 0])
    one, all_ = decoder.one_by_one(rows), decoder.all_at_once(rows)
    assert torch.equal(one, all_)
    assert not one[2].any()
    assert torch.equal(decoder.all_at_once(np.array([0, 2])), one[[3, 0]])
    assert decoder(rows)[1].tolist() == [100, 60, 0, 100]


def test_invalid_samples_become_zero_millivolts(dataset: Dataset, encode: Encode) -> None:
    path = dataset.records / "11.dat"
    samples = np.fromfile(path, dtype="<i2").reshape(100, 12)
    samples[10:20, -1] = INVALID_SAMPLE  # lead I stands last in the file
    samples.tofile(path)
    store = open_store(dataset.build())
    assert store.records["flags"].to_list()[1] == ["invalid:I"]
    train = QuestionDataset(store, split="train", version="template", encode=encode)
    ecg = train[0].ecg[0, 0]
    assert not ecg[0, 10:20].any()
    np.testing.assert_allclose(ecg[1:], dataset.signals[11][1:] / 1000, atol=1e-6)


def test_each_distinct_ecg_of_a_batch_is_decoded_once(train: QuestionDataset) -> None:
    read: list[int] = []

    class Counting:
        device, shape = torch.device("cpu"), train.decoder.signals.shape

        def __getitem__(self, row: int) -> torch.Tensor:
            read.append(row)
            return train.decoder.signals[row]

    decoder = Decoder(Counting(), train.decoder.scale_mv, train.decoder.length, train.decoder.has_invalid)  # type: ignore[arg-type]
    train.batch([0, 4, 2, 6, 3, 5], decoder=decoder)
    assert sorted(read) == [0, 1, 2]


def test_order_follows_from_seed_and_epoch_alone(train: QuestionDataset) -> None:
    def order(loader: BatchLoader) -> list[list[int]]:
        return [batch.row.tolist() for batch in loader]

    loader = BatchLoader(train, 2, shuffle=True, seed=3)
    first = order(loader)
    assert order(loader) == first
    assert order(BatchLoader(train, 2, shuffle=True, seed=3, prefetch=0)) == first
    seen = {str(order(loader)) for epoch in range(6) if loader.set_epoch(epoch) is None}
    assert len(seen) > 1
    loader.set_epoch(0)
    assert order(loader) == first
    assert order(BatchLoader(train, 2, shuffle=True, seed=4)) != first
    plain = BatchLoader(train, 7, shuffle=False, seed=0)
    assert order(plain) == [[5, 0, 1, 3, 4], [2, 6]] or order(plain)[1] == [2, 6]


def test_skip_resumes_an_epoch_once(train: QuestionDataset) -> None:
    loader = BatchLoader(train, 1, shuffle=True, seed=0)
    loader.set_epoch(5)
    whole = [batch.row.tolist() for batch in loader]
    loader.skip(3)
    assert [batch.row.tolist() for batch in loader] == whole[3:]
    assert [batch.row.tolist() for batch in loader] == whole


class FakeDataset:
    """Just what the order of an epoch depends on."""

    def __init__(self, n_ecgs: list[int], text_length: list[int]) -> None:
        ecg_rows = np.random.default_rng(0).integers(0, 20, (len(n_ecgs), 2))
        self.ecg_rows = np.where(np.arange(2) < np.array(n_ecgs, dtype=np.int64)[:, None], ecg_rows, -1)
        self.n_ecgs, self.text_length = np.array(n_ecgs, dtype=np.int64), np.array(text_length, dtype=np.int64)
        self.decoder = None


@settings(max_examples=150, deadline=None)
@given(
    questions=st.lists(st.tuples(st.integers(1, 2), st.integers(1, 40)), min_size=0, max_size=300),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 4),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    questions_per_ecg=st.integers(1, 6),
)
def test_every_rank_gets_as_many_batches_and_every_question_is_asked(
    questions: list[tuple[int, int]],
    batch_size: int,
    world_size: int,
    shuffle: bool,
    drop_last: bool,
    questions_per_ecg: int,
) -> None:
    dataset = FakeDataset([n for n, _ in questions], [length for _, length in questions])
    plans = []
    for rank in range(world_size):
        loader = BatchLoader(
            dataset,  # type: ignore[arg-type]
            batch_size,
            shuffle=shuffle,
            seed=1,
            rank=rank,
            world_size=world_size,
            drop_last=drop_last,
            questions_per_ecg=questions_per_ecg,
        )
        plans.append(loader.plan(4))
        assert len(plans[-1]) == len(loader)
    asked: list[int] = []
    for step in zip(*plans, strict=True):
        assert len({len(rows) for rows in step}) == 1
        assert 0 < len(step[0]) <= batch_size
        assert len({int(n) for rows in step for n in dataset.n_ecgs[rows]}) == 1
        asked += [int(row) for rows in step for row in rows]
        if drop_last:
            assert len(step[0]) == batch_size
    if drop_last:
        assert len(asked) == len(set(asked))
    else:
        assert set(asked) == set(range(len(questions)))
        assert len(asked) - len(questions) < 2 * world_size
    if world_size == 1:
        assert len(asked) == len(set(asked))


def test_questions_of_like_length_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 4_000)
    loader = BatchLoader(FakeDataset([1] * 4_000, lengths.tolist()), 32, shuffle=True, seed=0)  # type: ignore[arg-type]
    padding = sum(len(rows) * lengths[rows].max() - lengths[rows].sum() for rows in loader.plan())
    assert padding < 0.05 * lengths.sum()


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_questions_about_an_ecg_share_a_batch(shuffle: bool, world_size: int) -> None:
    dataset = FakeDataset([1] * 960 + [2] * 960, list(range(1920)))
    generator = np.random.default_rng(0)
    dataset.ecg_rows[:960, 0] = generator.permutation(np.repeat(np.arange(60), 16))
    dataset.ecg_rows[960:] = generator.permutation(np.repeat(np.arange(240).reshape(120, 2), 8, axis=0))
    loader = BatchLoader(
        dataset,  # type: ignore[arg-type]
        32,
        shuffle=shuffle,
        seed=0,
        rank=world_size - 1,
        world_size=world_size,
        questions_per_ecg=8,
    )
    plan = loader.plan()
    for rows in plan:
        used = np.unique(dataset.ecg_rows[rows])
        assert len(used[used >= 0]) <= 32 // 8 * dataset.n_ecgs[rows[0]]
    assert (str(loader.plan(1)) != str(plan)) == shuffle
    assert str(loader.plan()) == str(plan)


def test_pytorch_data_loader_works_on_the_data_set(train: QuestionDataset, dataset: Dataset, encode: Encode) -> None:
    loader = torch.utils.data.DataLoader(train, batch_size=3, collate_fn=torch_collate, num_workers=1)
    batches = list(loader)
    assert [batch.row.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    for batch in batches:
        check(batch, train, dataset.signals, encode)
    assert len(train[-1]) == 1
    assert train[-1].row.tolist() == [6]
    with pytest.raises(IndexError):
        train[7]


def test_answers_outside_the_list_are_refused(store: Store, encode: Encode) -> None:
    store.__dict__["answers"] = [name for name in store.answers if name != "lead II"]
    with pytest.raises(EcgqaError, match="'lead II' is not in the store's answer list"):
        QuestionDataset(store, split="train", version="template", encode=encode)


def test_wrong_ranks_and_sizes_are_refused(train: QuestionDataset) -> None:
    with pytest.raises(EcgqaError, match="batch_size"):
        BatchLoader(train, 0, shuffle=False, seed=0)
    with pytest.raises(EcgqaError, match="rank"):
        BatchLoader(train, 1, shuffle=False, seed=0, rank=2, world_size=2)


def test_prefetching_passes_errors_on_and_ends_its_thread() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    iterator = prefetched(failing(), 2)
    assert next(iterator) == 1
    with pytest.raises(ValueError, match="broken"):
        next(iterator)

    made: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(1_000_000):
            made.append(number)
            yield number

    ahead = prefetched(endless(), 2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.05)
    assert len(made) <= 7
    ahead.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "ecgqa-prefetch"]
    assert list(prefetched(iter(range(50)), 3)) == list(range(50))
