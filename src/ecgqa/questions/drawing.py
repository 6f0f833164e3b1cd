"""Drawing the samples of all questions, one template of one split at a time, in this process or spread over others."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ecgqa.executors import InlineExecutor, run_tasks
from ecgqa.progress import progress
from ecgqa.questions.facts import Facts, Ints
from ecgqa.questions.facts_files import load_facts, save_facts
from ecgqa.questions.grid import GridQuestion, question_grid
from ecgqa.questions.pairs import PairSampler
from ecgqa.questions.presets import Rules
from ecgqa.questions.sampling import seed_of
from ecgqa.questions.singles import Drawn, single_samples
from ecgqa.records import Split

Samples = list[tuple[int, Drawn]]
"""Samples with the position of their question in the grid."""


@dataclass
class Drawing:
    """What drawing needs: facts, the rows of each split, the grid."""

    facts: Facts
    parts: dict[Split, Ints]
    grid: list[GridQuestion] = field(init=False)
    _pairs: dict[tuple[Split, Rules], PairSampler] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.grid = question_grid(self.facts.vocabulary)

    def template(self, template_id: int, split: Split, rules: Rules, seed: int) -> Samples:
        """Samples of one template. Each question draws by a seed of its own name, so that nothing else matters."""
        rows, limits = self.parts[split], rules.limits.of(split)
        found: Samples = []
        for number, question in enumerate(self.grid):
            if question.template.template_id != template_id:
                continue
            child = seed_of(seed, split.value, question.name)
            if question.template.relation is None:
                samples = single_samples(question, self.facts, rows, limits, child, rules)
            else:
                samples = self._sampler(split, rules).samples(question, child)
            found += [(number, sample) for sample in samples]
        return found

    def _sampler(self, split: Split, rules: Rules) -> PairSampler:
        if (split, rules) not in self._pairs:
            self._pairs.clear()  # the pairs of one split at a time: millions, for a large collection
            self._pairs[split, rules] = PairSampler(self.facts, self.parts[split], rules.limits.of(split), rules)
        return self._pairs[split, rules]


@lru_cache(maxsize=1)
def _opened(folder: str) -> Drawing:
    return Drawing(*load_facts(Path(folder)))


def _remote(folder: str, template_id: int, split: str, rules: Rules, seed: int) -> Samples:
    return _opened(folder).template(template_id, Split(split), rules, seed)


def draw_samples(
    drawing: Drawing,
    templates: Collection[int],
    rules: Rules,
    seed: int,
    *,
    executor: Executor | None = None,
    work: Path | None = None,
) -> dict[Split, Samples]:
    """Samples of every template and split, in the order of the grid: the same however they are spread.

    executor: where to draw (default: in this process).
    work: folder for the facts that other processes map into memory; on a cluster every worker must see it
        (default: a temporary folder of this machine).
    """
    tasks = [(template_id, split) for split in Split for template_id in sorted(templates)]
    sizes: dict[int, int] = {}
    for question in drawing.grid:
        sizes[question.template.template_id] = sizes.get(question.template.template_id, 0) + 1
    total = sum(sizes.get(template_id, 0) for template_id, _ in tasks)
    with progress("drawing questions", total, unit="questions") as advance:

        def done(position: int) -> None:
            advance(sizes.get(tasks[position][0], 0))

        if executor is None or isinstance(executor, InlineExecutor):
            here = [(template_id, split, rules, seed) for template_id, split in tasks]
            results = run_tasks(executor or InlineExecutor(), drawing.template, here, done)
        else:
            with TemporaryDirectory() as temporary:
                folder = save_facts(drawing.facts, drawing.parts, work or Path(temporary))
                there = [(str(folder), template_id, split.value, rules, seed) for template_id, split in tasks]
                try:
                    results = run_tasks(executor, _remote, there, done)
                finally:
                    if work is not None:
                        shutil.rmtree(work, ignore_errors=True)
    drawn: dict[Split, Samples] = {split: [] for split in Split}
    for (_, split), samples in zip(tasks, results, strict=True):
        drawn[split] += samples
    return drawn
