"""From prediction rows and question rows to scores, comparisons and reports."""

from ecgqa.evaluation.score import score
from ecgqa.evaluation.scores import Scores

__all__ = ["Scores", "score"]
