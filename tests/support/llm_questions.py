"""Questions whose text names them, so that a scripted server knows which one it is asked."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from ecgqa.records import QUESTIONS
from ecgqa.tables import write_table

KINDS = (
    (1, "single-verify", ["no", "not sure", "yes"]),
    (21, "single-choose", ["left axis deviation", "normal heart axis", "none"]),
    (19, "single-query", ["lead I", "lead II", "lead V1", "none"]),
    (10, "single-query", ["atrial fibrillation", "sinus arrhythmia", "sinus rhythm", "none"]),
)


def llm_questions(n: int, split: str = "test") -> pl.DataFrame:
    """n questions of one ECG each, of four templates in turn."""
    rows = []
    for number in range(n):
        template_id, question_type, candidates = KINDS[number % len(KINDS)]
        options = [name for name in candidates if name != "none"]
        place = number // len(KINDS) % len(candidates)
        two = question_type == "single-query" and place == 1
        answer = options[:2] if two else [candidates[place]]
        row = (
            template_id,
            number,
            number,
            question_type,
            "scp_code",
            f"Question number {number}?",
            answer,
            [number % 97],
        )
        rows.append((*row, None, split, "template", candidates))
    return pl.DataFrame(rows, schema=QUESTIONS.polars, orient="row")


def write_questions(frame: pl.DataFrame, path: Path) -> Path:
    write_table(frame, path, QUESTIONS)
    return path


def number_in(prompt: str) -> int:
    """The number of the question that a prompt asks."""
    found = re.findall(r"Question: Question number (\d+)\?", prompt)
    return int(found[-1])
