"""PTB-XL (and cohorts in its layout): ids, paths and patients out of `ptbxl_database.csv`.

Source: Wagner et al. 2022, PhysioNet, doi:10.13026/kfzx-aw45. Releases 1.0.1 (21,837 ECGs), 1.0.2 (21,801) and 1.0.3
(21,799) have the same folders; some write whole numbers as "15709.0", and columns are found by name, wherever they
stand.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ecgqa.sources.base import Source

if TYPE_CHECKING:
    import polars as pl

DATABASE: Final = "ptbxl_database.csv"
STATEMENTS: Final = "scp_statements.csv"
COHORT_KIND: Final = "synthetic-cohort"
"""Kind in the manifest of a cohort that `ecgqa synth` wrote."""
MASKED_AGE: Final = 300.0
"""PTB-XL's age of everyone older than 89 years."""
AGE_IF_MASKED: Final = 90.0
"""What the records table says instead; read it as "90 or older"."""
_PATH_COLUMN: Final = {"500": "filename_hr", "100": "filename_lr"}
_SUFFIX: Final = {"500": "hr", "100": "lr"}
_WANTED: Final = ("patient_id", "age", "sex", "recording_date")


class Ptbxl(Source):
    """A folder holding `ptbxl_database.csv` with `records500/` and, perhaps, `records100/`."""

    kind: ClassVar[str] = "ptbxl"
    rates: ClassVar[tuple[str, ...]] = ("500", "100")

    @cached_property
    def _metadata(self) -> pl.DataFrame:
        from ecgqa.sources.metadata_csv import integer, read_csv, with_ids

        path = self.root / DATABASE
        frame, notes = with_ids(read_csv(path, needs=["ecg_id"]), "ecg_id", path)
        missing = [name for name in (*_WANTED, *_PATH_COLUMN.values()) if name not in frame.columns]
        if missing:
            notes.append(f"{path.name} lacks the columns {', '.join(missing)}")
        if "patient_id" in frame.columns:
            frame = frame.with_columns(integer("patient_id"))
        self._note(notes)
        return frame

    @cached_property
    def _cohort(self) -> dict[str, Any] | None:
        """The manifest of a synthetic cohort, None for anything else in this layout."""
        from ecgqa.artefacts import MANIFEST, read_manifest

        if not (self.root / MANIFEST).is_file():
            return None
        manifest = read_manifest(self.root)
        return manifest if manifest.get("kind") == COHORT_KIND else None

    @property
    def name(self) -> str:
        """ "synthetic" for a synthetic cohort, else "ptbxl"."""
        return "synthetic" if self._cohort else self.kind

    def metadata(self) -> pl.DataFrame:
        """`ptbxl_database.csv`, every column as string, but `ecg_id` and `patient_id` as Int64."""
        return self._metadata

    def statements(self) -> pl.DataFrame:
        """`scp_statements.csv`, every column as string; the code is column `code`."""
        from ecgqa.sources.metadata_csv import read_csv

        frame = read_csv(self.root / STATEMENTS)
        return frame.rename({frame.columns[0]: "code"})

    def digest(self) -> str:
        """SHA-256 over the metadata file, and over how a synthetic cohort was made."""
        from ecgqa.artefacts import digest_file, digest_of

        made = {key: self._cohort.get(key) for key in ("config", "ecgqa_version")} if self._cohort else None
        return digest_of([self.kind, digest_file(self.root / DATABASE), made])

    def _read_records(self, rate: str) -> pl.DataFrame:
        import polars as pl

        from ecgqa.sources.metadata_csv import moment, refuse_paths_outside

        frame = self._metadata
        absent = [name for name in (*_WANTED, _PATH_COLUMN[rate]) if name not in frame.columns]
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)
        age = pl.col("age").str.strip_chars().cast(pl.Float64, strict=False)
        sex = pl.col("sex").str.strip_chars().str.replace(r"\.0+$", "")
        published = pl.col(_PATH_COLUMN[rate]).str.strip_chars().str.replace(r"\.(hea|dat)$", "")
        records = frame.select(
            pl.lit(self.name).alias("source"),
            "ecg_id",
            pl.col("patient_id").cast(pl.Int64),
            moment("recording_date").alias("recorded_at"),
            pl.coalesce(pl.when(published != "").then(published), _path_by_rule(rate)).alias("path"),
            pl.lit(float(rate)).alias("fs_hz"),
            sex.replace_strict({"0": "male", "1": "female"}, default=None, return_dtype=pl.String).alias("sex"),
            pl.when(age >= MASKED_AGE).then(AGE_IF_MASKED).when(age.is_between(0, 150)).then(age).alias("age"),
        )
        refuse_paths_outside(records["path"], self.root / DATABASE)
        return records


def _path_by_rule(rate: str) -> pl.Expr:
    """records500/21000/21837_hr: the id, below the thousand it belongs to."""
    import polars as pl

    thousand = (pl.col("ecg_id") // 1000 * 1000).cast(pl.String).str.zfill(5)
    name = pl.col("ecg_id").cast(pl.String).str.zfill(5)
    return pl.format(f"records{rate}/{{}}/{{}}_{_SUFFIX[rate]}", thousand, name)
