"""Where the ECGs and the templates of a question set come from: licences and citations that have to travel with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecgqa.artefacts import MANIFEST
from ecgqa.errors import EcgqaError
from ecgqa.sources.catalogue import Release, release

_IDS: Final = {"ptbxl": "cc-by-4.0", "mimic-iv-ecg": "odbl", "synthetic": "cc-by-4.0"}
"""Licence of the whole as the Hugging Face Hub and SPDX name it, by source of the ECGs."""
_URLS: Final = {
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "odbl": "https://opendatacommons.org/licenses/odbl/1-0/",
}


@dataclass(frozen=True)
class Origin:
    """What a question set is made from."""

    source: str
    """ptbxl, mimic-iv-ecg, synthetic, or the name of a collection of one's own."""
    parts: tuple[Release, ...]
    """The published data sets in it, each with its licence and citations."""

    @property
    def licence(self) -> str:
        """Identifier of the licence of the whole, "other" where it is not known."""
        return _IDS.get(self.source, "other")

    @property
    def licence_url(self) -> str | None:
        return _URLS.get(self.licence)

    @property
    def citations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for part in self.parts for text in part.citations))


def origin_of(source: str) -> Origin:
    """The origin of questions about ECGs of `source`; the templates are those of ECG-QA in any case."""
    templates = release("questions")
    known = (release(source), templates) if source in ("ptbxl", "mimic-iv-ecg") else (templates,)
    return Origin(source, known)


def source_of(place: Path, given: str | None) -> str:
    """The source of a store or data set: as `given`, else as a store's manifest says, else that of a released one.

    Raises EcgqaError for other questions: their ECGs may be anybody's.
    """
    if given is not None:
        return given
    folder = place if place.is_dir() else place.parent
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    source = manifest.get("inputs", {}).get("source") if manifest.get("kind") == "store" else None
    if isinstance(source, str):
        return source
    from ecgqa.questions.releases import source_of_release

    released = source_of_release(folder)
    if released is not None and manifest.get("kind") != "question dataset":
        return released
    raise EcgqaError(
        f"{place} does not say where its ECGs come from",
        expected="--source, as it decides the licence: ptbxl, mimic-iv-ecg, synthetic, or a name of your own",
        fix="add --source, or export the store made from these questions",
    )
