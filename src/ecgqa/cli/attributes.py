"""The command `ecgqa attributes build`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def build(
    records: Path,
    dest: Path,
    pool: Literal["all", "released"] = "all",
    present: bool = False,
    overwrite: bool = False,
) -> None:
    """Make the attribute table of a folder of ECGs: what each ECG shows, in the words that questions use.

    Example: ecgqa attributes build physionet.org/ptb-xl attributes/ptbxl --pool released

    Reads the metadata only (statements with their certainty, noise, extra systoles, stage of infarction, leads named in
    the report), and the attributes.parquet that a synthetic cohort brings along; no signal is opened.

    Args:
        records: folder in PTB-XL's layout (holding ptbxl_database.csv), real or synthetic
        dest: folder of the result: attributes.parquet, records.parquet, manifest.json
        pool: all ECGs, or those that the released questions are drawn from (checked by a human, report not blank)
        present: leave out ECGs whose 500 Hz record is not there (part of a data set was copied or fetched)
        overwrite: replace a finished result made from other inputs or settings
    """
    from shlex import quote

    from ecgqa.artefacts import digest_file, digest_of, read_manifest
    from ecgqa.attributes.build import collect_attributes, write_attributes
    from ecgqa.errors import EcgqaError
    from ecgqa.sources import open_source

    source = open_source(records)
    only = source.present() if present else None
    if only is not None and not only:
        raise EcgqaError(f"no record of {records} is there", fix=f"ecgqa fetch {source.kind}, or leave out --present")
    built = collect_attributes(source, pool=pool, only=only)
    own = source.root / "attributes.parquet"
    inputs = {"source": source.digest(), "present": digest_of(sorted(only)) if only is not None else None}
    inputs |= {"own_attributes": digest_file(own) if own.is_file() else None}
    table = source.records()
    write_attributes(
        built,
        table,
        dest,
        inputs=inputs,
        config={"pool": pool, "present": present},
        notes=list(source.notes),
        overwrite=overwrite,
    )
    counts = read_manifest(dest)["counts"]
    print(f"{dest}: {counts['rows']} attribute rows of {counts['ecgs']} ECGs, {counts['patients']} patients")
    for kind, rows in counts["by_type"].items():
        print(f"  {kind:<22}{rows:>9}")
    for note in source.notes:
        print(f"  note: {note}")
    for note, count in built.notes.items():
        print(f"  note: {count} x {note}")
    print(f"next: ecgqa questions build {quote(str(dest))} questions")
