"""MIMIC-IV-ECG: ids, paths, patients and machine statements out of `record_list.csv` and `machine_measurements.csv`.

Source: Gow et al. 2023, PhysioNet, doi:10.13026/4nqg-sb35. An ECG's id is its `study_id`; a record lies at
files/p1000/p10000032/s40689238/40689238. Sex and age stand in MIMIC-IV itself, which is not open, and stay null.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from ecgqa.errors import EcgqaError
from ecgqa.sources.base import Source

if TYPE_CHECKING:
    import polars as pl

RECORD_LIST: Final = "record_list.csv"
MEASUREMENTS: Final = "machine_measurements.csv"


class MimicIvEcg(Source):
    """A folder holding `record_list.csv` and `files/`."""

    kind: ClassVar[str] = "mimic-iv-ecg"

    @cached_property
    def _metadata(self) -> pl.DataFrame:
        from ecgqa.sources.metadata_csv import integer, read_csv, with_ids

        path = self.root / RECORD_LIST
        frame, notes = with_ids(read_csv(path, needs=["subject_id", "study_id"]), "study_id", path)
        self._note(notes)
        return frame.with_columns(integer("subject_id"))

    def metadata(self) -> pl.DataFrame:
        """`record_list.csv` as published, with `ecg_id` (= `study_id`) in front; `subject_id` is Int64 as well."""
        import polars as pl

        return self._metadata.select(pl.col("study_id").alias("ecg_id"), pl.all())

    def measurements(self) -> pl.LazyFrame:
        """`machine_measurements.csv`, unread: `ecg_id` (= `study_id`), `report_0` … as strings, numbers as strings.

        A report column may be empty in its first thousands of rows, so that no type can be guessed from them. Numbers
        carry the machine's own marker for "not measured", 29999.
        """
        import polars as pl

        path = self.root / MEASUREMENTS
        if not path.is_file():
            raise EcgqaError(
                f"no such file: {path}", expected="the machine measurements", fix="ecgqa fetch mimic-iv-ecg"
            )
        frame = pl.scan_csv(path, infer_schema=False)
        try:
            names = frame.collect_schema().names()
        except pl.exceptions.PolarsError as error:
            raise EcgqaError(f"{path} cannot be read as csv: {str(error).splitlines()[0]}") from None
        if "study_id" not in names:
            raise EcgqaError(f"{path} lacks the column study_id", found=", ".join(names)[:200])
        return frame.select(pl.col("study_id").cast(pl.Int64, strict=False).alias("ecg_id"), pl.all())

    def digest(self) -> str:
        """SHA-256 over the metadata file."""
        from ecgqa.artefacts import digest_file, digest_of

        return digest_of([self.kind, digest_file(self.root / RECORD_LIST)])

    def _read_records(self, rate: str) -> pl.DataFrame:
        import polars as pl

        from ecgqa.sources.metadata_csv import moment, refuse_paths_outside

        frame = self._metadata
        for name in ("path", "ecg_time"):
            if name not in frame.columns:
                frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        published = pl.col("path").str.strip_chars().str.replace(r"\.(hea|dat)$", "")
        patient = pl.col("subject_id").cast(pl.String)
        study = pl.col("study_id").cast(pl.String)
        by_rule = pl.format("files/p{}/p{}/s{}/{}", patient.str.slice(0, 4), patient, study, study)
        records = frame.select(
            pl.lit(self.kind).alias("source"),
            pl.col("study_id").alias("ecg_id"),
            pl.col("subject_id").alias("patient_id"),
            moment("ecg_time").alias("recorded_at"),
            pl.coalesce(pl.when(published != "").then(published), by_rule).alias("path"),
            pl.lit(float(rate)).alias("fs_hz"),
        )
        without = records.filter(pl.col("path").is_null())
        if without.height:
            self._note([f"{RECORD_LIST}: {without.height} rows have neither path nor subject_id and are left out"])
            records = records.filter(pl.col("path").is_not_null())
        refuse_paths_outside(records["path"], self.root / RECORD_LIST)
        return records
