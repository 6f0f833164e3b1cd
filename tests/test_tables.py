"""The four tables keep their schema through Parquet, and say plainly when a file is not one of them."""

import polars as pl
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES, LEADS, PREDICTIONS, TABLES, options_of
from ecgqa.tables import conform, read_table, scan_table, write_table

ROW = {"ecg_id": 1, "attribute_type": "noise", "attribute": "static noise", "lead": "aVL", "value": "yes",
       "number": None, "unit": None, "origin": "metadata"}  # fmt: skip


@pytest.mark.parametrize("schema", TABLES.values(), ids=list(TABLES))
def test_every_table_survives_the_round_trip_empty(tmp_path, schema):
    path = write_table(schema.empty(), tmp_path / "table.parquet", schema)
    assert read_table(path, schema).schema == schema.polars


def test_rows_and_further_columns_survive(tmp_path):
    frame = pl.DataFrame([ROW, ROW | {"lead": None, "ecg_id": 2}]).with_columns(note=pl.lit("kept"))
    path = write_table(frame, tmp_path / "ä b.parquet", ATTRIBUTES)
    back = read_table(path, ATTRIBUTES)
    assert back.columns == [*ATTRIBUTES.columns, "note"]
    assert back["lead"].to_list() == ["aVL", None]
    assert scan_table(path, ATTRIBUTES).slice(1, 1).collect()["ecg_id"].to_list() == [2]


def test_schema_with_units_travels_in_the_file(tmp_path):
    path = write_table(pl.DataFrame([ROW]), tmp_path / "t.parquet", ATTRIBUTES)
    metadata = pl.read_parquet_metadata(path)
    assert metadata["ecgqa.table"] == "attributes"
    assert "unit of number" in metadata["ecgqa.schema"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lead": "V7"}, "does not fit"),
        ({"value": "perhaps"}, "does not fit"),
        ({"ecg_id": None}, "nulls"),
        ({"ecg_id": "one"}, "does not fit"),
    ],
)
def test_wrong_values_are_refused_and_write_nothing(tmp_path, change, message):
    with pytest.raises(EcgqaError, match=message):
        write_table(pl.DataFrame([ROW | change]), tmp_path / "t.parquet", ATTRIBUTES)
    assert not list(tmp_path.iterdir())


def test_a_missing_column_is_named():
    with pytest.raises(EcgqaError, match="'origin' is missing"):
        conform(pl.DataFrame([ROW]).drop("origin"), ATTRIBUTES)


def test_files_that_are_no_table(tmp_path):
    with pytest.raises(EcgqaError, match="no such file"):
        read_table(tmp_path / "nothing.parquet", PREDICTIONS)
    good = write_table(pl.DataFrame([ROW]), tmp_path / "t.parquet", ATTRIBUTES)
    with pytest.raises(EcgqaError, match="is no predictions table"):
        scan_table(good, PREDICTIONS)
    (tmp_path / "cut.parquet").write_bytes(good.read_bytes()[:-20])
    with pytest.raises(EcgqaError, match="cannot be read as Parquet"):
        read_table(tmp_path / "cut.parquet", ATTRIBUTES)


def test_options_leave_out_none_only():
    assert options_of(["lead I", "none", "none of myocardial infarction"]) == [
        "lead I",
        "none of myocardial infarction",
    ]
    assert len(LEADS) == len(set(LEADS)) == 12
