"""What Inspect finds under the name `ecgqa` (entry point `inspect_ai` of the package)."""

from ecgqa.llm.task import answer_set, ecg_questions, prompted

__all__ = ["answer_set", "ecg_questions", "prompted"]
