"""How PyTorch's CPU threads wait for each other; to be settled before PyTorch is imported."""

from __future__ import annotations

import os


def wait_quietly() -> None:
    """Let idle OpenMP threads sleep instead of spinning, unless the user's environment says otherwise.

    The thread that makes batches ahead has a thread pool of its own: with spinning, two pools on few cores (or another
    busy program) cost five times the processor time. Has no effect once PyTorch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
