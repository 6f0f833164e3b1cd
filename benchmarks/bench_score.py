"""How long do scores with intervals take for a test split of 82,146 questions about 3,214 ECGs, 1,000 resamples?

The reference is the obvious loop: draw rows with replacement, and from them compute anew, with numpy, every metric that
is a ratio of sums in every group (areas under curves are left out of it, which favours the loop; its intervals are also
too narrow, since questions about one ECG are not independent). It runs for a few resamples, extrapolated linearly;
both run here, one after the other, on one set of made-up questions and scores. Prints one JSON line.

Usage: python benchmarks/bench_score.py [--questions 82146] [--ecgs 3214] [--resamples 1000] [--check]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import numpy as np
import polars as pl

from ecgqa.evaluation.metrics import ratios
from ecgqa.evaluation.score import Scorer, score_runs
from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import NONE, PREDICTIONS, QUESTIONS
from ecgqa.tables import conform

TARGET_RATIO = 8.0
TARGET_CPU_S = 12.0
LOOP_RESAMPLES = 6
CLASSES = [f"finding {number:03}" for number in range(103)]


def made_up(n: int, n_ecgs: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions over all templates with two to sixty options, and one run's scores of some skill."""
    rng = np.random.default_rng(0)
    template_ids = sorted(TEMPLATES)
    offered = {}
    for template_id in template_ids:
        kind = TEMPLATES[template_id].question_type.value
        if kind.endswith("verify"):
            offered[template_id] = ["no", "yes"]
        else:
            size = 2 if kind.endswith("choose") else int(rng.choice([4, 6, 12, 20, 60]))
            offered[template_id] = [*sorted(rng.choice(CLASSES, size, replace=False).tolist()), NONE]
    rows, predicted = [], []
    for sample_id, template_id in enumerate(rng.choice(template_ids, n).tolist()):
        template, candidates = TEMPLATES[template_id], offered[template_id]
        options = [name for name in candidates if name != NONE]
        right = {options[rng.integers(len(options))]} if NONE not in candidates or rng.random() < 0.7 else set()
        ecgs = (rng.choice(n_ecgs, template.question_type.n_ecgs, replace=False) + 1).tolist()
        values = np.clip(rng.normal([0.7 if name in right else 0.2 for name in options], 0.25), 0, 1)
        given = [name for name, value in zip(options, values, strict=True) if value > 0.5]
        rows.append(
            (template_id, template_id, sample_id, template.question_type.value, template.attribute_type.value, "?",
             sorted(right) or [NONE], ecgs, None, "test", "template", candidates)
        )  # fmt: skip
        predicted.append((sample_id, "test", "template", "model", given or [NONE], values.tolist(), "ok", None))
    return (
        conform(pl.DataFrame(rows, schema=QUESTIONS.polars, orient="row"), QUESTIONS),
        conform(pl.DataFrame(predicted, schema=PREDICTIONS.polars, orient="row"), PREDICTIONS),
    )


def loop_s(scorer: Scorer, measured: object, n_resamples: int) -> float:
    """CPU seconds of the obvious loop for `n_resamples`."""
    found = ratios(scorer.asked, measured.answered)  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    started = time.process_time()
    for _ in range(n_resamples):
        rows = rng.integers(0, len(scorer.asked), len(scorer.asked))
        for breakdown in scorer.breakdowns:
            group = breakdown.group[rows]
            for top, bottom in found.values():
                total = np.bincount(group, weights=bottom[rows], minlength=len(breakdown.names))
                np.bincount(group, weights=top[rows], minlength=len(breakdown.names)) / np.maximum(total, 1)
    return time.process_time() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=82_146)
    parser.add_argument("--ecgs", type=int, default=3_214)
    parser.add_argument("--resamples", type=int, default=1_000)
    parser.add_argument("--check", action="store_true", help="exit with 1 below the target")
    arguments = parser.parse_args()

    questions, predictions = made_up(arguments.questions, arguments.ecgs)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu, wall = time.process_time(), time.monotonic()
    scorer = Scorer(questions, n_resamples=arguments.resamples, seed=0)
    scores, measured = score_runs(scorer, predictions)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    loop = loop_s(scorer, measured["model"], LOOP_RESAMPLES) * arguments.resamples / LOOP_RESAMPLES
    result = {
        "benchmark": "score",
        "questions": arguments.questions,
        "ecgs": arguments.ecgs,
        "resamples": arguments.resamples,
        "numbers_with_interval": scores.table.filter(pl.col("low").is_not_null()).height,
        "ecgqa_wall_s": round(wall, 2),
        "ecgqa_cpu_s": round(cpu, 2),
        "ecgqa_extra_peak_mb": round(peak_mb - before_mb),
        "loop_cpu_s_extrapolated": round(loop, 1),
        "ratio": round(loop / cpu, 1),
        "target_ratio": TARGET_RATIO,
    }
    print(json.dumps(result))
    return 1 if arguments.check and (loop / cpu < TARGET_RATIO or cpu > TARGET_CPU_S) else 0


if __name__ == "__main__":
    sys.exit(main())
