"""The report of a set of runs: JSON, Markdown and one self-contained HTML page."""

from ecgqa.evaluation.report.build import report

__all__ = ["report"]
