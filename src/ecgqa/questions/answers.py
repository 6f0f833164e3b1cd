"""Sets of answers as bit words: comparing, grouping and spelling them out, for any number of options."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ecgqa.questions.facts import Bools
from ecgqa.questions.sampling import keys_of

Words = npt.NDArray[np.uint64]


def pack(members: Bools) -> Words:
    """(n, words): each row's set of columns as bits, 64 to a word."""
    n, options = members.shape
    padded = np.zeros((n, -(-options // 64) * 64), dtype=np.bool_)
    padded[:, :options] = members
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def unpack(words: Words, n_options: int) -> Bools:
    """The inverse of `pack` for one row (words,) -> (n_options,)."""
    return np.unpackbits(words.astype("<u8").view(np.uint8), count=n_options, bitorder="little").astype(np.bool_)


def unpack_rows(words: Words, n_options: int) -> Bools:
    """The inverse of `pack`: (n, words) -> (n, n_options)."""
    if not len(words):
        return np.zeros((0, n_options), dtype=np.bool_)
    as_bytes = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
    return np.unpackbits(as_bytes, axis=1, count=n_options, bitorder="little").astype(np.bool_)


def signature(words: Words) -> npt.NDArray[np.uint64]:
    """One 64-bit number per set: the word itself when one word is enough, else a mix of all; 0 is the empty set."""
    if words.shape[-1] == 1:
        return words[..., 0]
    mixed = np.zeros(words.shape[:-1], dtype=np.uint64)
    for column in range(words.shape[-1]):
        word = words[..., column]
        # A word of zeros adds nothing, so that the empty set stays 0.
        mixed ^= np.where(word == 0, np.uint64(0), keys_of(word.view(np.int64), column + 1))
    return mixed


def relate(first: Words, second: Words, relation: str) -> Words:
    """Members of the relation between the set on ECG 1 and the set on ECG 2 (shapes broadcast).

    resolved: on the first only; new: on the second only; remaining: on both.
    """
    match relation:
        case "resolved":
            return first & ~second
        case "new":
            return second & ~first
        case "remaining":
            return first & second
    raise ValueError(relation)
