"""The commands `ecgqa store build` and `ecgqa store info`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def build(
    questions: Path | None,
    dest: Path,
    records: Path | None = None,
    ecgs: str | None = None,
    splits: str | None = None,
    versions: str | None = None,
    missing: Literal["error", "skip"] = "error",
    rate: Literal["500", "100"] = "500",
    samples: int | None = None,
    reports: Path | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Pack questions and the ECGs they ask about, or ECGs alone, into one store for training.

    Examples: ecgqa store build data/ecgqa/ptbxl stores/ptbxl --records data/ptbxl --missing skip
              ecgqa store build stores/all-ecgs --records data/ptbxl
              ecgqa store build data/ecgqa/ptbxl stores/both --records data/ptbxl --ecgs all

    The second is for pretraining, which needs no questions; the third packs the ECGs that no question asks about, too.
    Each distinct ECG is written once (int16, 12 leads, 120 kB for 10 s at 500 Hz), each question as one small row that
    points to it. An interrupted build goes on where it stopped when the same command is given again.

    Args:
        questions: folder with template/ and paraphrased/ (published layout, or written by ecgqa map); without it the
            store holds ECGs alone
        dest: folder of the new store
        records: folder of the ECGs (PTB-XL, MIMIC-IV-ECG, or any folder of WFDB records); without it the paths of a
            mapped data set, else the cache of ecgqa fetch
        ecgs: ECGs to pack besides those asked about: all, a file of ids (one a line, or a split list such as
            train_ecgs.tsv), or ids separated by commas (default: none with questions, all without)
        splits: splits to pack, comma separated: train,valid,test (default: all there are)
        versions: wordings to pack, comma separated: template,paraphrased (default: all there are)
        missing: ECGs that are absent or unreadable: error stops, skip leaves them and their questions out
        rate: sampling rate in Hz where a source offers two
        samples: samples per lead; shorter ECGs are padded at the end (default: all ECGs must be equally long)
        reports: csv with the columns ecg_id and report (such as a translation of PTB-XL's reports) whose texts take
            the place of the source's own
        workers: ECGs read at once (default: one per processor core, 8 at most)
        overwrite: replace a finished store made from other inputs or settings
    """
    from shlex import quote

    from ecgqa.store.build import build_store
    from ecgqa.store.info import describe, summary

    folder = build_store(
        dest,
        questions_root=questions,
        records_root=records,
        ecgs=None if ecgs is None else _ids(ecgs),
        splits=_words(splits),
        versions=_words(versions),
        missing=missing,
        rate=rate,
        samples=samples,
        reports=reports,
        workers=workers,
        overwrite=overwrite,
    )
    print(summary(describe(folder)))
    print(f"next: ecgqa store info {quote(str(folder))}")


def info(path: Path, json: bool = False) -> None:
    """Tell what a store holds: ECGs, questions by split and type, sizes, flags, origin.

    Example: ecgqa store info stores/ptbxl

    Args:
        path: folder of the store
        json: print everything as JSON instead
    """
    from ecgqa.store.info import describe, details

    description = describe(path)
    if json:
        from json import dumps

        print(dumps(description, indent=2, ensure_ascii=False))
    else:
        print(details(description))


def _ids(text: str) -> Literal["all"] | set[int]:
    """The ECGs that "all", "17,23" or the name of a file stands for."""
    from ecgqa.sources.selection import ids_in_file

    if text.strip() == "all":
        return "all"
    words = [word.strip() for word in text.split(",")]
    if all(word.isascii() and word.isdecimal() for word in words):
        return {int(word) for word in words}
    return ids_in_file(text)


def _words(text: str | None) -> list[str] | None:
    """The words of "train,valid"."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
