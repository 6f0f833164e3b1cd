"""The command `ecgqa attributes build`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def build(
    records: Path,
    dest: Path,
    pool: Literal["all", "released"] = "all",
    present: bool = False,
    waveforms: Literal["auto", "released", "ecgqa", "none"] = "auto",
    noise: Literal["auto", "waveform", "stated"] = "auto",
    statements: Path | None = None,
    mapping: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Make the attribute table of a folder of ECGs: what each ECG shows, in the words that questions use.

    Example: ecgqa attributes build physionet.org/ptb-xl attributes/ptbxl --pool released

    Reads the metadata (statements with their certainty, noise, extra systoles, stage of infarction, leads named in the
    report), and measures the heart axis, six numeric features (RR, P, PR, QRS, QT, QTc) and, where the source does not
    state it, noise by lead on the 500 Hz waveforms that are there; a synthetic cohort brings these along in its
    attributes.parquet. Research use only.

    Args:
        records: folder in PTB-XL's layout (holding ptbxl_database.csv), real or synthetic, or of MIMIC-IV-ECG (holding
            record_list.csv and machine_measurements.csv), or any folder of WFDB records
        dest: folder of the result: attributes.parquet, records.parquet, manifest.json
        pool: all ECGs, or those that the released questions are drawn from (checked by a human, report not blank)
        present: leave out ECGs whose 500 Hz record is not there (part of a data set was copied or fetched)
        waveforms: how to measure: as behind the released questions (released), by the consensus of twelve leads
            (ecgqa), or not at all (none); auto is none for a folder with its own attributes.parquet, else released
        noise: where noise by lead comes from: what the source states, and the waveform for kinds that it never states
            (auto); the waveform for all kinds (waveform); never the waveform (stated). Needs waveforms to be measured
        statements: csv telling what each record of a plain WFDB folder shows: a column ecg_id, path, record, file_name
            or ID, all others hold statements (default: records.csv of the folder, and "Dx" comments of the headers)
        mapping: csv telling what those statements mean: columns code and attribute (a name that questions use, an SCP
            code, or nothing), if wanted column and value (yes, uncertain); SCP codes and the SNOMED CT codes of the
            PhysioNet/CinC Challenge 2021 are known without it. See docs/own-dataset.md
        overwrite: replace a finished result made from other inputs or settings
    """
    from functools import partial
    from shlex import quote

    from ecgqa.artefacts import digest_file, digest_of, read_manifest
    from ecgqa.attributes.build import collect_attributes, write_attributes
    from ecgqa.errors import EcgqaError
    from ecgqa.sources import open_source

    source = open_source(records)
    only = source.present() if present else None
    if only is not None and not only:
        raise EcgqaError(f"no record of {records} is there", fix=f"ecgqa fetch {source.kind}, or leave out --present")
    own = source.root / "attributes.parquet"
    method = waveforms if waveforms != "auto" else "none" if own.is_file() else "released"
    built = collect_attributes(source, pool=pool, only=only, statements=statements, mapping=mapping)
    inputs = {"source": source.digest(), "present": digest_of(sorted(only)) if only is not None else None}
    inputs |= {"own_attributes": digest_file(own) if own.is_file() else None}
    if source.kind == "mimic-iv-ecg":
        inputs |= {"measurements": digest_file(source.root / "machine_measurements.csv")}
    inputs |= {name: digest_file(file) for name, file in (("statements", statements), ("mapping", mapping)) if file}
    table = source.records()
    measure = None
    if method != "none":
        from ecgqa.attributes.waveform import with_waveforms

        inputs["waveforms"] = digest_of(sorted(source.present()))
        measure = partial(with_waveforms, source=source, records=table, method=method, noise=noise)
    elif noise == "waveform":
        raise EcgqaError("noise cannot be measured without waveforms", fix="choose --waveforms released or ecgqa")
    write_attributes(
        built,
        table,
        dest,
        inputs=inputs,
        config={"pool": pool, "present": present, "waveforms": method, "noise": noise},
        notes=list(source.notes),
        overwrite=overwrite,
        measure=measure,
    )
    manifest = read_manifest(dest)
    counts = manifest["counts"]
    print(f"{dest}: {counts['rows']} attribute rows of {counts['ecgs']} ECGs, {counts['patients']} patients")
    for kind, rows in counts["by_type"].items():
        print(f"  {kind:<22}{rows:>9}")
    for note in source.notes:
        print(f"  note: {note}")
    for note, count in manifest["notes"].items():
        print(f"  note: {count} x {note}")
    for heading, listed in manifest.get("not_understood", {}).items():
        print(f"  {heading} (first 10; more in manifest.json):")
        for text, count in listed[:10]:
            print(f"    {count:>9} x {text}")
    print(f"next: ecgqa questions build {quote(str(dest))} questions")
