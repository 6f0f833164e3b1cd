"""Replies as prediction rows, which `ecgqa score`, `compare` and `report` treat like any model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ecgqa.llm.asked import AskedQuestion
from ecgqa.llm.journal import Reply
from ecgqa.llm.parsing import parse_reply
from ecgqa.records import PREDICTIONS, Status

if TYPE_CHECKING:
    import polars as pl

PREDICTIONS_FILE: Final = "predictions.parquet"


def prediction_rows(
    asked: Sequence[AskedQuestion], replies: Mapping[tuple[str, str, int], Reply], run: str
) -> pl.DataFrame:
    """A PREDICTIONS frame with one row for every question; one without a reply has failed."""
    import polars as pl

    vocabulary = sorted({name for one in asked for name in one.candidates})
    rows: list[tuple[object, ...]] = []
    for one in asked:
        reply = replies.get(one.key)
        if reply is None:
            rows.append((one.sample_id, one.split, one.version, run, [], None, Status.FAILED.value, None))
            continue
        parsed = parse_reply(reply.reply, one.candidates, vocabulary)
        status = parsed.status
        if status is not Status.OK and reply.stop_reason == "content_filter":
            status = Status.REFUSED
        rows.append((one.sample_id, one.split, one.version, run, parsed.answer, None, status.value, reply.reply))
    return pl.DataFrame(rows, schema=PREDICTIONS.polars, orient="row")
