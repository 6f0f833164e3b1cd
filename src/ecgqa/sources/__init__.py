"""Where ECGs come from: ids, record paths, patients, times and metadata of each data set."""

from __future__ import annotations

from ecgqa.sources.base import Source
from ecgqa.sources.detect import KINDS, open_source

__all__ = ["KINDS", "Source", "open_source"]
