"""The command `ecgqa card`."""

from __future__ import annotations

from pathlib import Path


def card(run: Path, *, scores: Path | None = None) -> None:
    """Write MODEL_CARD.md into the folder of a finished run: what it is, what it learned from, how well it does.

    Example: ecgqa card run --scores scores.json

    The data card of a question set is the README.md that ecgqa export hf writes.

    Args:
        run: Folder of a finished run (ecgqa train).
        scores: File of ecgqa score --out, or scores.json of a report: its runs are listed with their intervals.
    """
    from ecgqa.publish.model_card import model_card

    print(f"written: {model_card(run, scores=scores)}")
