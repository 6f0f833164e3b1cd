"""What a language model is shown of an ECG, one file per view: a view is named where it is defined, below."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion, leads_text

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.llm.signals import Signals

VIEWS = {
    "findings": "ecgqa.llm.views.findings:FindingsView",
    "findings-at-half": "ecgqa.llm.views.findings:at_half",
    "attributes": "ecgqa.llm.views.attributes:AttributesView",
    "features": "ecgqa.llm.views.features:FeaturesView",
    "image": "ecgqa.llm.views.image:ImageView",
    "none": "ecgqa.llm.views.none:NoView",
}
"""Where each view is made, from Material; `none` shows nothing: the question-only floor for language models."""


@dataclass(frozen=True)
class Block:
    """One piece of a prompt: a heading and text, or an image."""

    heading: str
    text: str = ""
    png: bytes | None = None


@dataclass(frozen=True)
class Material:
    """What views are made from; each takes what it needs and says what is lacking."""

    signals: Signals | None = None
    findings: pl.DataFrame | None = None
    attributes: pl.DataFrame | None = None


class View(Protocol):
    """Shows the ECGs of a question."""

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        """What to show, in order."""

    @property
    def inputs(self) -> dict[str, str]:
        """Digests of what it shows, by name."""


def make_views(names: str, material: Material) -> list[View]:
    """The views of "findings+image", in that order; raises EcgqaError for unknown ones and for lacking material."""
    made: list[View] = []
    for name in names.split("+"):
        if name not in VIEWS:
            raise EcgqaError(f"no view is called {name!r}", expected=", ".join(VIEWS) + ", or several joined by +")
        module, attribute = VIEWS[name].split(":")
        made.append(getattr(import_module(module), attribute)(material))
    return made


def heading(what: str, asked: AskedQuestion, ecg: int, leads: tuple[int, ...]) -> str:
    """ "Interpretation of the first ECG in lead V1:"."""
    which = asked.headings[ecg] or "ECG"
    where = leads_text(leads)
    return f"{what} of the {which}{f' in {where}' if where else ''}:"


def digest_of_table(frame: pl.DataFrame) -> str:
    """A digest of a table's contents, in whatever order and chunks."""
    import io
    from hashlib import sha256

    stream = io.BytesIO()
    ordered = frame.select(sorted(frame.columns)).rechunk()
    ordered.sort(ordered.columns, nulls_last=True).write_ipc(stream, compression="uncompressed")
    return sha256(stream.getvalue()).hexdigest()


def signals_of(material: Material, view: str) -> Signals:
    """The signals that a view needs; raises EcgqaError if there are none."""
    if material.signals is None:
        raise EcgqaError(
            f"the view {view} needs the signals of the ECGs",
            expected="a store",
            fix="give a store built by ecgqa store build instead of bare questions",
        )
    return material.signals
