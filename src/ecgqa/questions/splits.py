"""Splitting ECGs by patient into train, valid and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ecgqa.errors import EcgqaError
from ecgqa.questions.facts import Facts, Ints
from ecgqa.questions.sampling import keys_of, seed_of
from ecgqa.records import Split


def split_by_patient(
    facts: Facts, seed: int, *, test_share: float = 0.2, valid_share: float = 0.1
) -> dict[Split, Ints]:
    """Rows of `facts` per split, ascending; every patient's ECGs stay together.

    `test_share` is a share of all patients, `valid_share` of those that are not in test (the release: 72, 8 and 20 %).

    With at least three patients no split is empty. Raises EcgqaError with fewer.
    """
    patients = np.unique(facts.patient_id)
    if len(patients) < 3:
        raise EcgqaError("too few patients to split", expected="at least 3 patients", found=str(len(patients)))
    order = patients[np.argsort(keys_of(patients, seed_of(seed, "splits")), kind="stable")]
    n_test = max(1, round(test_share * len(order)))
    n_valid = max(1, round(valid_share * (len(order) - n_test)))
    parts = {
        Split.TRAIN: order[n_test + n_valid :],
        Split.VALID: order[n_test : n_test + n_valid],
        Split.TEST: order[:n_test],
    }
    return {split: np.flatnonzero(np.isin(facts.patient_id, members)) for split, members in parts.items()}


def split_by_lists(facts: Facts, lists: Mapping[str, Sequence[int]]) -> dict[Split, Ints]:
    """Rows of `facts` per split, ascending, as given by lists of ECG ids; ids without facts are counted in the notes.

    Raises EcgqaError for an unknown split, an ECG or a patient in two splits, or lists without any known ECG.
    """
    unknown = [name for name in lists if name not in tuple(Split)]
    if unknown:
        raise EcgqaError(f"no such split: {unknown[0]!r}", expected=" or ".join(Split))
    parts = {}
    owner = np.full(len(facts), -1)
    for number, split in enumerate(Split):
        ids = np.unique(np.asarray(lists.get(split.value, ()), dtype=np.int64))
        row = np.searchsorted(facts.ecg_id, ids)
        found = row < len(facts)
        found[found] = facts.ecg_id[row[found]] == ids[found]
        facts.notes[f"ECGs of the {split.value} list without attributes"] += int((~found).sum())
        rows = parts[split] = row[found].astype(np.int64)
        twice = rows[owner[rows] >= 0]
        if len(twice):
            raise EcgqaError(f"ECG {facts.ecg_id[twice[0]]} is in two splits", expected="each ECG in one split")
        owner[rows] = number
    used = owner >= 0
    if not used.any():
        raise EcgqaError(
            "none of the ECGs in the split lists has attributes",
            fix="use the split lists that belong to this source, or leave --splits out",
        )
    pairs = np.unique(np.stack([facts.patient_id[used], owner[used]]), axis=1)
    leaks = pairs[0][1:][pairs[0][1:] == pairs[0][:-1]]
    if len(leaks):
        raise EcgqaError(
            f"patient {leaks[0]} is in two splits ({len(leaks)} such patients)", expected="each patient in one split"
        )
    return parts
