"""The commands `ecgqa export hf` and `ecgqa export croissant`."""

from __future__ import annotations

from pathlib import Path


def hf(
    questions: Path, dest: Path, *, signals: bool = False, source: str | None = None, overwrite: bool = False
) -> None:
    """Write a question set as a folder that Hugging Face datasets loads, with data card and Croissant metadata.

    Example: ecgqa export hf my-store my-dataset --signals

    Parquet files for each wording and split, README.md (the data card, with licence and citations of the sources) and
    croissant.json. Nothing is uploaded. In Python: datasets.load_dataset("my-dataset", "paraphrased", split="train").

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        dest: Folder to write.
        signals: Add the ECGs that are asked about, as int16 with gains (a store only; 120 kB each).
        source: Where the ECGs come from, which decides licence and citations: ptbxl, mimic-iv-ecg, synthetic, or a name
            of your own; a store knows it itself.
        overwrite: Replace a folder made from other inputs.
    """
    from ecgqa.artefacts import read_manifest
    from ecgqa.publish.hugging_face import export_hugging_face

    folder = export_hugging_face(questions, dest, signals=signals, source=source, overwrite=overwrite)
    for name, rows in read_manifest(folder)["counts"].items():
        print(f"{folder / name}: " + ", ".join(f"{split} {n:,}" for split, n in rows.items()))
    print(f"next: read {folder / 'README.md'}; it is the data card, and yours to complete before you share the folder")


def croissant(folder: Path, *, source: str | None = None) -> None:
    """Write croissant.json beside the tables of a store or a built data set: files with digests, columns with meanings.

    Example: ecgqa export croissant my-store

    Croissant 1.0 of MLCommons: dataset search engines and loaders read it.

    Args:
        folder: A store folder, or a data set made by ecgqa questions build.
        source: Where the ECGs come from: ptbxl, mimic-iv-ecg, synthetic, or a name of your own; a store knows it.
    """
    from ecgqa.publish.croissant import croissant as write

    print(f"written: {write(folder, source=source)}")
