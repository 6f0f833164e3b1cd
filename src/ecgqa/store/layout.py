"""What lies where in a store folder, down to the bytes of the signal array."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

from ecgqa.errors import EcgqaError

KIND: Final = "store"
SIGNALS: Final = "signals.npy"
RECORDS_FILE: Final = "records.parquet"
QUESTIONS_FILE: Final = "questions.parquet"
ANSWERS: Final = "answers.json"
REPORTS_FILE: Final = "reports.parquet"
SKIPPED: Final = "skipped.csv"
N_LEADS: Final = 12

QUESTION_ROW_GROUP: Final = 16_384
"""Rows per Parquet row group of the questions: small enough that the first row costs a few milliseconds to read."""


def bytes_per_ecg(n_samples: int) -> int:
    """Bytes of one ECG in `signals.npy` (12 leads of int16)."""
    return N_LEADS * n_samples * 2


def signals_header(n_ecgs: int, n_samples: int) -> bytes:
    """The `.npy` header of the signal array; NumPy pads it so that a shrinking `n_ecgs` never changes its length."""
    import numpy as np

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<i2", "fortran_order": False, "shape": (n_ecgs, N_LEADS, n_samples)}
    )
    return stream.getvalue()


def signals_shape(path: Path) -> tuple[tuple[int, int, int], int]:
    """Shape (n_ecgs, 12, n_samples) of a signal array and the offset of its first sample, from header and file size.

    Raises EcgqaError if the file is absent, is no such array, or is shorter or longer than its header says.
    """
    import numpy as np

    broken = f"{path} is damaged"
    rebuild = "build the store again with --overwrite true"
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError("unknown .npy version")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            offset = stream.tell()
    except FileNotFoundError:
        raise EcgqaError(f"{path} is missing", expected="the ECGs of the store", fix=rebuild) from None
    except Exception as error:  # NumPy lets errors of Python's own tokenizer through, among others
        raise EcgqaError(f"{broken}: {(str(error).splitlines() or [type(error).__name__])[0]}", fix=rebuild) from None
    if fortran or dtype != np.dtype("<i2") or len(shape) != 3 or shape[1] != N_LEADS or min(shape) < 0:
        raise EcgqaError(broken, expected="int16 (n_ecgs, 12, n_samples)", found=f"{dtype} {shape}", fix=rebuild)
    expected, found = offset + shape[0] * bytes_per_ecg(shape[2]), path.stat().st_size
    if expected != found:
        raise EcgqaError(broken, expected=f"{expected:,} bytes for {shape[0]:,} ECGs", found=f"{found:,}", fix=rebuild)
    return (shape[0], shape[1], shape[2]), offset
