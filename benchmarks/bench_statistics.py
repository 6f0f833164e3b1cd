"""How long does it take to count a question set of 400,000 questions for `ecgqa stats`?

The reference counts the same main tables with dictionaries, row by row: kinds by split, answers by template, questions
per ECG, words, pairs of labels. Both run here, one after the other, on one set of made-up questions. Prints one JSON
line.

Usage: python benchmarks/bench_statistics.py [--questions 400000] [--ecgs 16000] [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from itertools import combinations

import polars as pl

from bench_score import made_up
from ecgqa.questions.statistics import count_questions

TARGET_RATIO = 4.0
TARGET_CPU_S = 5.0


def by_rows(questions: pl.DataFrame) -> Counter[object]:
    """The obvious alternative."""
    found: Counter[object] = Counter()
    for row in questions.iter_rows(named=True):
        for kind in ("question_type", "attribute_type", "template_id"):
            found[kind, row[kind], row["split"], row["version"]] += 1
        for label in row["answer"]:
            found["answer", row["template_id"], label] += 1
        for ecg_id in row["ecg_id"]:
            found["ecg", row["split"], ecg_id] += 1
        found["words", row["version"], len(row["question"].split())] += 1
        for pair in combinations(sorted(row["answer"]), 2):
            found["pair", pair] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--questions", type=int, default=400_000)
    parser.add_argument("--ecgs", type=int, default=16_000)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    # A tenth is made up and repeated under other numbers: making questions takes longer than counting them.
    tenth, _ = made_up(options.questions // 10, options.ecgs)
    questions = pl.concat(
        [tenth.with_columns(pl.col("sample_id") + copy * tenth.height) for copy in range(10)], rechunk=True
    )
    started = time.process_time()
    counted = count_questions(questions)
    ours_s = time.process_time() - started
    started = time.process_time()
    rows = by_rows(questions)
    rows_s = time.process_time() - started
    assert all(rows["pair", (pair.first, pair.second)] == pair.n for pair in counted.answer_pairs)
    result = {
        "benchmark": "statistics",
        "questions": questions.height,
        "ours_cpu_s": round(ours_s, 2),
        "rows_cpu_s": round(rows_s, 2),
        "ratio": round(rows_s / ours_s, 1),
        "target_ratio": TARGET_RATIO,
        "target_cpu_s": TARGET_CPU_S,
    }
    print(json.dumps(result))
    return int(options.check and (result["ratio"] < TARGET_RATIO or ours_s > TARGET_CPU_S))


if __name__ == "__main__":
    sys.exit(main())
