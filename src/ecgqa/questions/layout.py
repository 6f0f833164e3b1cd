"""Where the files of a published question folder stand: its root, its shards and their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecgqa.errors import EcgqaError
from ecgqa.records import Split, Version

ANSWERS: Final = "answers.csv"
TEMPLATE_ANSWERS: Final = "answers_for_each_template.csv"
SHARD_SIZE: Final = 10_000
LAYOUT: Final = "a folder with template/ and/or paraphrased/, answers.csv and answers_for_each_template.csv"


@dataclass(frozen=True)
class ShardFile:
    """Where one shard stands in a dataset."""

    path: Path
    version: str
    split: str

    @property
    def where(self) -> str:
        """Short name for messages, e.g. template/train/120000.json."""
        return f"{self.version}/{self.split}/{self.path.name}"


def dataset_root(root: str | Path) -> Path:
    """The folder that holds template/ and paraphrased/: `root`, or its parent when `root` is one of those two.

    Raises EcgqaError that says where to look instead if `root` is neither.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise EcgqaError(f"no such folder: {root}", expected=LAYOUT, fix="ecgqa fetch questions")
    if _holds_versions(root):
        return root
    resolved = root.resolve()
    for inner, outer in ((resolved, resolved.parent), (resolved.parent, resolved.parent.parent)):
        if inner.name in tuple(Version) and (outer / ANSWERS).is_file():
            return outer if root.is_absolute() else _relative_parent(root, outer)
    below = sorted(child.name for child in root.iterdir() if child.is_dir() and _holds_versions(child))
    raise EcgqaError(
        f"{root} is no question dataset: it has neither template/ nor paraphrased/",
        expected=LAYOUT,
        found=", ".join(sorted(child.name for child in root.iterdir())[:8]) or "an empty folder",
        fix=f"name {' or '.join(str(root / name) for name in below)}" if below else "ecgqa fetch questions",
    )


def _relative_parent(root: Path, outer: Path) -> Path:
    for candidate in (root.parent, root.parent.parent):
        if candidate.resolve() == outer:
            return candidate
    return outer


def _holds_versions(folder: Path) -> bool:
    return any((folder / version).is_dir() for version in Version)


def shard_files(
    root: Path, *, splits: Sequence[str] | None = None, versions: Sequence[str] | None = None
) -> list[ShardFile]:
    """The shards present below a dataset root: by version, split, and number of the first sample."""
    found = []
    for version in Version:
        for split in Split:
            folder = root / version / split
            if (versions is not None and version not in versions) or (splits is not None and split not in splits):
                continue
            if folder.is_dir():
                paths = [path for path in folder.glob("*.json") if not path.name.startswith(".") and path.is_file()]
                paths.sort(key=lambda path: (not path.stem.isdecimal(), len(path.stem.lstrip("0")), path.stem))
                found += [ShardFile(path, version.value, split.value) for path in paths]
    return found


def shard_name(first_sample: int, width: int) -> str:
    """File name of the shard whose first sample is `first_sample`."""
    return f"{first_sample:0{width}d}.json"


def name_width(last_sample: int, shard_size: int = SHARD_SIZE) -> int:
    """Digits of the shard names of a split: those of its last shard, at least five.

    As in the release: six for PTB-XL train (last 260000), five for its valid and test, six for MIMIC-IV-ECG.
    """
    return max(5, len(str(last_sample // shard_size * shard_size)))
