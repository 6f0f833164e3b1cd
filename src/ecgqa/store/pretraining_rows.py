"""Which ECGs of a store may be learned from without answers: those of the test questions are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ecgqa.artefacts import MANIFEST
from ecgqa.errors import EcgqaError
from ecgqa.records import Split
from ecgqa.store.open import Store, open_store
from ecgqa.store.segments import patient_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING: Final = "nothing"
"""In place of a list: leave no ECG out."""

_HOW: Final = (
    "--objective.leave_out FOLDER leaves out the test ECGs of a question folder or of another store, "
    "--objective.leave_out FILE those of a list"
)

_PUBLISHED: Final = ("ptbxl", "mimic-iv-ecg")


@dataclass(frozen=True)
class PretrainingRows:
    """Rows of a store to learn from and to watch the loss on, int64 and ascending, and what a user should be told."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    notes: list[str]


def pretraining_rows(
    store: Store,
    *,
    leave_out: str | Path | None = None,
    leave_out_patients: bool = True,
    valid_share: float = 0.05,
    seed: int = 1,
) -> PretrainingRows:
    """The ECGs of `store`, without those that a test asks about, in two parts that share no patient.

    leave_out: the ECGs to leave out besides those of the store's own test questions: a question folder (its
        test_ecgs.tsv, else its test shards), a file of ECG ids, another store (its test questions), or "nothing",
        which takes all ECGs, also those of the store's own test questions.
    leave_out_patients: leave the other ECGs of these patients out, too.
    valid_share: share of the patients whose ECGs form the validation part, drawn by `seed`.
    """
    if not 0 <= valid_share < 1:
        raise EcgqaError("valid_share lies in [0, 1)", found=str(valid_share))
    notes: list[str] = []
    patient = patient_numbers(store)
    out = np.zeros(store.n_ecgs, dtype=np.bool_)
    if str(leave_out) == NOTHING:
        notes.append("no ECG is left out, not even those of test questions: scores on them would be flattered")
    else:
        named = _named(store, leave_out, notes)
        out = np.isin(store.records["ecg_id"].to_numpy(), np.fromiter(named, dtype=np.int64, count=len(named)))
        n_named = int(out.sum())
        if leave_out_patients and n_named:
            out = np.isin(patient, patient[out])
        if n_named:
            others = f" and {int(out.sum()) - n_named:,} others of their patients" if leave_out_patients else ""
            notes.append(f"{n_named:,} ECGs of the test questions{others} are left out")
    kept = np.flatnonzero(~out)
    distinct = np.unique(patient[kept])
    generator = np.random.default_rng([seed, *b"pretraining valid patients"])
    n_valid = min(max(round(valid_share * len(distinct)), 1 if valid_share else 0), len(distinct) - 1)
    chosen = generator.permutation(distinct)[: max(n_valid, 0)]
    is_valid = np.isin(patient[kept], chosen)
    train, valid = kept[~is_valid], kept[is_valid]
    if not len(train):
        raise EcgqaError(
            f"{store.folder} holds no ECG to learn from",
            expected="ECGs that no test question asks about",
            found=f"{store.n_ecgs:,} ECGs, {int(out.sum()):,} of them left out",
            fix=f"--objective.leave_out {NOTHING} takes them all",
        )
    notes.append(f"{len(train):,} ECGs to learn from, {len(valid):,} of other patients to watch the loss on")
    return PretrainingRows(train, valid, notes)


def _named(store: Store, leave_out: str | Path | None, notes: list[str]) -> set[int]:
    """Ids of the ECGs to leave out; `notes` gets a sentence where none are known."""
    own = _test_ecgs(store)
    if leave_out is None:
        if not own and store.manifest["counts"]["questions"]:
            notes.append("the store holds no test questions: none of its ECGs is left out")
        elif not own:
            source = store.manifest["inputs"].get("source")
            fetch = f" (ecgqa fetch questions brings the published list of {source})" if source in _PUBLISHED else ""
            notes.append(
                f"the store holds ECGs without questions, so it is not known which of them a test asks about: none is "
                f"left out; {_HOW}{fetch}"
            )
        return own
    listed = _listed(Path(leave_out))
    if not listed & set(store.records["ecg_id"].to_list()):
        notes.append(f"none of the {len(listed):,} ECGs that {leave_out} names is in the store")
    return own | listed


def _test_ecgs(store: Store) -> set[int]:
    """ECGs that the test questions of a store ask about."""
    if not any(part["split"] == Split.TEST for part in store.manifest["parts"]):
        return set()
    return set(store.questions(Split.TEST)["ecg_id"].explode().unique().to_list())


def _listed(path: Path) -> set[int]:
    """The ids that a store, a question folder or a file names."""
    from ecgqa.questions.layout import dataset_root
    from ecgqa.questions.released import read_questions
    from ecgqa.sources.selection import ids_in_file

    if not path.is_dir():
        return ids_in_file(path)
    if (path / "signals.npy").is_file() and (path / MANIFEST).is_file():
        found = _test_ecgs(open_store(path))
        if not found:
            raise EcgqaError(f"{path} holds no test questions", expected="a store with a test split")
        return found
    table = path / "test_ecgs.tsv"
    if table.is_file():
        return ids_in_file(table)
    return set(read_questions(dataset_root(path), splits=[Split.TEST])["ecg_id"].explode().unique().to_list())
