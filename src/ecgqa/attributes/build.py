"""Attributes of a source as one artefact: the table, the records it belongs to, and what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from ecgqa import artefacts, tables
from ecgqa.attributes.ptbxl import ptbxl_attributes
from ecgqa.attributes.vocabulary import VOCABULARIES, Vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES, RECORDS

KIND = "table of attributes"
POOLS = ("released", "all")


class MetadataSource(Protocol):
    """The part of a source that attributes need."""

    @property
    def kind(self) -> str: ...
    @property
    def root(self) -> Path: ...
    def metadata(self) -> pl.DataFrame: ...


@dataclass(frozen=True)
class BuiltAttributes:
    attributes: pl.DataFrame
    """Rows of the attribute table, for the ECGs of the pool."""
    ecg_ids: frozenset[int]
    vocabulary: str
    notes: dict[str, int] = field(default_factory=dict)
    """What could not be read, with counts."""
    not_understood: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Statements or codes that no rule knows, the most frequent first, with counts; by heading."""
    asked: tuple[str, ...] | None = None
    """Attributes of the vocabulary that the source says anything about, where it is not all of them."""


def build_attributes(source: MetadataSource, *, pool: str = "all") -> pl.DataFrame:
    """Attribute table (ATTRIBUTES) of a source: see `collect_attributes`."""
    return collect_attributes(source, pool=pool).attributes


def collect_attributes(
    source: MetadataSource,
    *,
    pool: str = "all",
    only: Collection[int] | None = None,
    statements: Path | None = None,
    mapping: Path | None = None,
) -> BuiltAttributes:
    """Attributes of a source: PTB-XL's layout (with those of its own `attributes.parquet`), MIMIC-IV-ECG, WFDB folder.

    `pool` "released" keeps the ECGs that the published questions are drawn from: report present, checked by a human.
    `only` keeps these ids. `statements` and `mapping` tell what a plain WFDB folder's ECGs show: `folder_attributes`.
    Raises EcgqaError for a source whose metadata no reader here knows.
    """
    if pool not in POOLS:
        raise EcgqaError(f"no pool {pool!r}", expected=" or ".join(POOLS))
    if pool == "released" and source.kind not in ("ptbxl", "synthetic"):
        raise EcgqaError(f"the released pool of a {source.kind} source is not known", fix="choose --pool all")
    if source.kind == "wfdb":
        from ecgqa.attributes.folder import folder_attributes

        return folder_attributes(source, only, statements=statements, mapping=mapping)
    if statements is not None or mapping is not None:
        raise EcgqaError(
            f"a {source.kind} source has statements of its own", fix="leave out --statements and --mapping"
        )
    if source.kind == "mimic-iv-ecg":
        from ecgqa.attributes.mimic import mimic_attributes

        return mimic_attributes(source, only)
    if source.kind not in ("ptbxl", "synthetic"):
        raise EcgqaError(
            f"attributes of a {source.kind} source cannot be built yet", expected="a folder in PTB-XL's layout"
        )
    metadata = source.metadata()
    if "ecg_id" not in metadata.columns:
        raise EcgqaError(f"the metadata of {source.root} has no column ecg_id", found=", ".join(metadata.columns[:8]))
    notes: Counter[str] = Counter()
    n_rows = metadata.height
    metadata = metadata.unique("ecg_id", keep="first", maintain_order=True)
    notes["rows with a repeated ecg_id"] += n_rows - metadata.height
    if pool == "released":
        metadata = released_pool(metadata)
    if only is not None:
        metadata = metadata.filter(pl.col("ecg_id").cast(pl.Int64, strict=False).is_in(sorted(only)))
    attributes = ptbxl_attributes(metadata, notes)
    ecg_ids = frozenset(attributes["ecg_id"].unique())
    own = Path(source.root) / "attributes.parquet"
    if own.is_file():
        added = tables.read_table(own, ATTRIBUTES).select(list(ATTRIBUTES.columns))
        attributes = pl.concat([attributes, added.filter(pl.col("ecg_id").is_in(list(ecg_ids)))])
    attributes = attributes.sort("ecg_id", maintain_order=True)
    return BuiltAttributes(attributes, ecg_ids, "ptbxl", {note: n for note, n in sorted(notes.items()) if n})


def released_pool(metadata: pl.DataFrame) -> pl.DataFrame:
    """The rows of PTB-XL's metadata that the published questions draw from (16,054 of 21,799 in 1.0.3)."""
    needed = ("validated_by_human", "report")
    missing = [name for name in needed if name not in metadata.columns]
    if missing:
        raise EcgqaError(f"the released pool cannot be told: column {missing[0]!r} is missing", fix="choose --pool all")
    validated = pl.col("validated_by_human").cast(pl.String).str.to_lowercase().is_in(["true", "1", "1.0"])
    report = pl.col("report").cast(pl.String).str.strip_chars().fill_null("") != ""
    return metadata.filter(validated & report)


def write_attributes(
    built: BuiltAttributes,
    records: pl.DataFrame,
    dest: str | Path,
    *,
    inputs: dict[str, Any],
    config: dict[str, Any],
    notes: Sequence[str] = (),
    overwrite: bool = False,
    measure: Callable[[BuiltAttributes], BuiltAttributes] | None = None,
) -> Path:
    """Write attributes.parquet and records.parquet (the ECGs of the pool) as one artefact folder.

    `measure` adds what takes long; it is not called when `dest` is finished already.
    """
    with artefacts.artefact_folder(dest, kind=KIND, inputs=inputs, config=config, overwrite=overwrite) as draft:
        if not draft.complete:
            built = measure(built) if measure else built
            kept = records.filter(pl.col("ecg_id").is_in(sorted(built.ecg_ids))).sort("ecg_id")
            tables.write_table(built.attributes, draft.path / "attributes.parquet", ATTRIBUTES)
            tables.write_table(kept, draft.path / "records.parquet", RECORDS)
            draft.counts = {
                "ecgs": kept.height,
                "patients": kept["patient_id"].drop_nulls().n_unique() + kept["patient_id"].null_count(),
                "rows": built.attributes.height,
                "by_type": dict(built.attributes.group_by("attribute_type").len().sort("attribute_type").iter_rows()),
            }
            draft.extra = {"vocabulary": built.vocabulary, "notes": built.notes, "source_notes": list(notes)}
            if built.asked is not None:
                draft.extra["asked"] = list(built.asked)
            if built.not_understood:
                draft.extra["not_understood"] = built.not_understood
    return Path(dest)


def vocabulary_of(manifest: Mapping[str, Any]) -> Vocabulary:
    """Vocabulary of an attribute folder: all of its source's, or what a collection of one's own says anything about."""
    vocabulary = VOCABULARIES[manifest["vocabulary"]]()
    return vocabulary if manifest.get("asked") is None else vocabulary.only(manifest["asked"])


def read_attributes(folder: str | Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Attribute table, records table and manifest of an attribute folder; raises EcgqaError if it is unfinished."""
    manifest = artefacts.read_manifest(folder, kind=KIND)
    if manifest.get("vocabulary") not in VOCABULARIES:
        raise EcgqaError(
            f"{folder} uses an unknown vocabulary",
            expected=" or ".join(VOCABULARIES),
            found=str(manifest.get("vocabulary")),
            fix="make it again with ecgqa attributes build",
        )
    attributes = tables.read_table(Path(folder) / "attributes.parquet", ATTRIBUTES)
    return attributes, tables.read_table(Path(folder) / "records.parquet", RECORDS), manifest
