"""A question set as a folder that `datasets.load_dataset` reads, and that can be uploaded to the Hub as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ecgqa.artefacts import artefact_folder, atomic_path, write_json, write_text
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.load import load_questions
from ecgqa.evaluation.scores import questions_digest
from ecgqa.publish.croissant import Table, croissant_of
from ecgqa.publish.data_card import SPLIT_NAMES, data_card
from ecgqa.publish.origin import origin_of, source_of
from ecgqa.questions.statistics import count_questions
from ecgqa.records import QUESTIONS, RECORDS, Column, Split, Version

if TYPE_CHECKING:
    from ecgqa.store import Store

KIND: Final = "Hugging Face folder"
ECGS: Final = "ecgs"
_ROWS_PER_FILE: Final = 1_000_000
_ECGS_PER_FILE: Final = 1000
"""120 MB: the Hub asks for files below 500 MB, and memory holds one at a time."""
SIGNAL: Final = {
    "signal": Column(
        pl.Binary(), "int16 little-endian, 12 leads in canonical order x n_samples; mV = int16 / gain_per_mv"
    )
}
ECG_COLUMNS: Final = {
    name: column for name, column in RECORDS.columns.items() if name not in ("path", "signal_row")
} | {"split": QUESTIONS.columns["split"]}


@dataclass(frozen=True)
class Config:
    """One table of the folder (a configuration, in the words of the Hub): what it holds and where its files are."""

    name: str
    columns: dict[str, Column]
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def pattern(self, split: str) -> str:
        return f"{self.name}/{SPLIT_NAMES[split]}-*.parquet"


def export_hugging_face(
    path: str | Path, dest: str | Path, *, signals: bool = False, source: str | None = None, overwrite: bool = False
) -> Path:
    """Write the questions at `path` (a store, or a data set in the published layout) to the folder `dest`.

    One configuration for each wording, `template` and `paraphrased`, with the splits train, validation and test; with
    `signals`, which needs a store, a configuration `ecgs` with the ECGs that are asked about (int16, 120 kB each).
    README.md is the data card, whose head tells `datasets` of configurations and features; croissant.json describes
    the files to other tools. source: of the ECGs, for licence and citation; needed only where `path` does not tell.

    Returns `dest`. Raises EcgqaError as `load_questions` does, without a source, and for signals of what is no store.
    """
    path, dest = Path(path), Path(dest)
    questions = load_questions(path)
    store = _store(path) if signals else None
    origin = origin_of(source_of(path, source))
    inputs = {"questions_digest": questions_digest(questions), "signals": store.manifest["inputs"] if store else None}
    with artefact_folder(
        dest, kind=KIND, inputs=inputs, config={"source": origin.source, "signals": signals}, overwrite=overwrite
    ) as draft:
        if draft.complete:
            return dest
        configs = _write_questions(questions, draft.path)
        records = store.records if store else None
        if store:
            configs.append(_write_ecgs(store, questions, draft.path))
        counted = count_questions(questions, records=records)
        title = f"Questions about ECGs ({origin.source})"
        card = card_head(configs, origin.licence, title) + data_card(title, counted, origin, configs)
        write_text(draft.path / "README.md", card)
        tables = [Table(config.name, config.columns, f"{config.name}/*.parquet") for config in configs]
        write_json(draft.path / "croissant.json", croissant_of(draft.path, tables, title, origin))
        draft.counts = {config.name: config.rows for config in configs}
    return dest


def card_head(configs: Sequence[Config], licence: str, title: str) -> str:
    """The YAML block in which the Hub and `datasets` read configurations, features and licence."""
    import yaml

    total = max(sum(config.rows.values()) for config in configs)
    head = {
        "pretty_name": title,
        "license": licence,
        "language": ["en"],
        "task_categories": ["question-answering"],
        "tags": ["ecg", "electrocardiogram", "medical", "question-answering"],
        "size_categories": [_size(total)],
        "configs": [
            {
                "config_name": config.name,
                "data_files": [{"split": SPLIT_NAMES[split], "path": config.pattern(split)} for split in config.rows],
                **({"default": True} if place == 0 else {}),
            }
            for place, config in enumerate(configs)
        ],
        "dataset_info": [
            {
                "config_name": config.name,
                "features": [_feature(name, column.dtype) for name, column in config.columns.items()],
                "splits": [
                    {"name": SPLIT_NAMES[split], "num_bytes": config.bytes[split], "num_examples": n}
                    for split, n in config.rows.items()
                ],
            }
            for config in configs
        ],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n"


def _store(path: Path) -> Store:
    from ecgqa.store import open_store

    if not (path / "signals.npy").is_file():
        raise EcgqaError(
            f"{path} holds no signals",
            expected="a store, for --signals",
            fix="ecgqa store build packs questions and ECGs; or leave out --signals",
        )
    return open_store(path)


def _write_questions(questions: pl.DataFrame, folder: Path) -> list[Config]:
    configs = []
    plain = _plain(questions.select(list(QUESTIONS.columns)))
    for version in sorted(Version, key=lambda version: version is Version.TEMPLATE):  # paraphrased first: the default
        config = Config(version.value, QUESTIONS.columns)
        for split in Split:
            rows = plain.filter(pl.col("version") == version.value, pl.col("split") == split.value)
            if rows.height:
                _write(config, split.value, rows.height, rows.iter_slices(_ROWS_PER_FILE), _ROWS_PER_FILE, folder)
        if config.rows:
            configs.append(config)
    return configs


def _write_ecgs(store: Store, questions: pl.DataFrame, folder: Path) -> Config:
    """The ECGs of each split: those that its questions ask about."""
    from ecgqa.progress import progress

    config = Config(ECGS, ECG_COLUMNS | SIGNAL)
    asked = questions.select("split", "ecg_row").explode("ecg_row").unique().sort("ecg_row")
    for split in Split:
        rows = asked.filter(pl.col("split") == split.value)["ecg_row"].to_list()
        if not rows:
            continue
        records = _plain(store.records.with_columns(pl.lit(split.value).alias("split")).select(list(ECG_COLUMNS)))

        with progress(f"ECGs of {split.value}", len(rows), unit="ECGs") as advance:

            def slices(
                rows: list[int] = rows, records: pl.DataFrame = records, advance: Callable[..., None] = advance
            ) -> Iterator[pl.DataFrame]:
                for start in range(0, len(rows), _ECGS_PER_FILE):
                    part = rows[start : start + _ECGS_PER_FILE]
                    packed = [store.signals[row].astype("<i2", copy=False).tobytes() for row in part]
                    yield records[part].with_columns(pl.Series("signal", packed, dtype=pl.Binary))
                    advance(len(part))

            _write(config, split.value, len(rows), slices(), _ECGS_PER_FILE, folder)
    return config


def _write(config: Config, split: str, n: int, slices: Iterator[pl.DataFrame], per_file: int, folder: Path) -> None:
    """Write the slices as files named in the way of the Hub, and note rows and bytes."""
    n_files = -(-n // per_file)
    config.rows[split], config.bytes[split] = n, 0
    for place, part in enumerate(slices):
        path = folder / config.name / f"{SPLIT_NAMES[split]}-{place:05}-of-{n_files:05}.parquet"
        with atomic_path(path) as temporary:
            # Few ECGs in a row group, so that a reader need not hold a whole file.
            part.write_parquet(temporary, compression="zstd", row_group_size=100 if "signal" in part.columns else None)
        config.bytes[split] += int(part.estimated_size())


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Enumerations as strings, which every reader of Parquet knows."""
    return frame.with_columns(pl.col(name).cast(pl.String) for name, kind in frame.schema.items() if kind == pl.Enum)


_DTYPES: Final[dict[Any, str]] = {
    pl.Int16: "int16", pl.Int32: "int32", pl.Int64: "int64", pl.Float32: "float32", pl.Float64: "float64",
    pl.String: "string", pl.Enum: "string", pl.Binary: "binary", pl.Boolean: "bool", pl.Datetime: "timestamp[us]",
}  # fmt: skip


def _feature(name: str, dtype: pl.DataType) -> dict[str, str]:
    if isinstance(dtype, pl.List):
        return {"name": name, "list": _DTYPES[type(dtype.inner)]}
    return {"name": name, "dtype": _DTYPES[type(dtype)]}


def _size(n: int) -> str:
    """The Hub's class of sizes."""
    names = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M"]
    return next((name for name, most in zip(names, (1e3, 1e4, 1e5, 1e6, 1e7), strict=True) if n < most), "n>10M")
