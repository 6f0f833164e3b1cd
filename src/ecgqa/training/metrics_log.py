"""The numbers of a run as JSON lines, and for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecgqa.artefacts import write_text

METRICS = "metrics.jsonl"
TIMINGS = ("items_per_s", "elapsed_s")
"""The only values of a line that two equal runs may differ in."""


class MetricsLog:
    """Appends to metrics.jsonl and the event file of a run folder; begins behind `update`, where the run goes on."""

    def __init__(self, folder: Path, update: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["update"] <= update]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=update + 1 if update else None)

    def write(self, split: str, update: int, **values: Any) -> None:
        """Add one line."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"split": split, "update": update, **values}) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float):
                self._events.add_scalar(f"{split}/{name}", value, update)

    def close(self) -> None:
        self._events.close()


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; a last line cut short by a kill is left out."""
    path = Path(folder) / METRICS
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
