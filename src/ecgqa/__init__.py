"""Ask and answer questions about electrocardiograms, from raw records to a scored, comparable result."""

from __future__ import annotations

__version__ = "0.1.0"
