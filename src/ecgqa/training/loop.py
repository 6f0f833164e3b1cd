"""The one training loop: updates, evaluations and checkpoints of any objective, resumable to the bit."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from ecgqa.errors import EcgqaError
from ecgqa.progress import progress
from ecgqa.training.checkpoint import LAST, load_last, save_best, save_last
from ecgqa.training.distributed import World
from ecgqa.training.metrics_log import MetricsLog
from ecgqa.training.moving_average import MovingAverage
from ecgqa.training.objectives.base import Objective
from ecgqa.training.recipe import Recipe
from ecgqa.training.schedule import learning_rate
from ecgqa.training.start import Start

_RANK_STRIDE = 1_000_003  # keeps the dropout of the processes apart


@dataclass
class Progress:
    """Where a run stands; with weights and optimiser state, all that going on needs."""

    update: int = 0
    epoch: int = 0
    batch_in_epoch: int = 0
    window_loss: float = 0.0
    window_terms: float = 0.0
    evaluated_at: int = 0
    best_score: float | None = None
    best_update: int = 0
    without_gain: int = 0
    elapsed_s: float = 0.0


class Interrupted(KeyboardInterrupt):
    """Asked to stop; the state is saved."""


class Trainer:
    """Trains one objective's model in one run folder."""

    def __init__(self, recipe: Recipe, objective: Objective, folder: Path, world: World) -> None:
        self.recipe, self.objective, self.folder, self.world = recipe, objective, folder, world
        run = recipe.run
        self.micro_batch = micro_batch_size(run.batch_size, run.accumulation, world.size)
        self.n_batches = objective.n_batches(self.micro_batch, world)
        if objective.n_train < world.size or self.n_batches < 1:
            raise EcgqaError(
                "more processes than training items",
                expected=f"at most {objective.n_train} processes",
                found=f"{world.size}",
                fix="start fewer processes",
            )
        self.updates_per_epoch = -(-self.n_batches // run.accumulation)
        self.total = run.steps or max(1, round((run.epochs or 0) * self.updates_per_epoch))
        torch.manual_seed(run.seed)
        self.model = objective.build_model().to(world.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=recipe.optimizer.lr,
            betas=recipe.optimizer.betas,
            eps=recipe.optimizer.eps,
            weight_decay=recipe.optimizer.weight_decay,
            fused=True,
        )
        self.average = MovingAverage(self.model, recipe.optimizer.average) if recipe.optimizer.average else None
        self.at = Progress()
        self.replica = self._replicate()
        self._stop = False

    def _replicate(self) -> nn.Module:
        model: nn.Module = self.model
        if self.recipe.run.compile:
            model = torch.compile(model, dynamic=True)  # type: ignore[assignment]
        if self.world.size > 1:
            model = nn.parallel.DistributedDataParallel(model)
        return model

    def resume(self) -> bool:
        """Go on from the folder's last checkpoint; False if it has none yet."""
        if not (self.folder / LAST).is_file():
            return False
        weights = self.average.weights if self.average else None
        self.at = Progress(**load_last(self.folder, self.model, self.optimizer, weights)["progress"])
        return True

    def begin_from(self, start: Start) -> str:
        """Take over the weights that `start` has for this model; returns a sentence on which."""
        told = start.put_into(self.model)
        if self.average:
            self.average.restart()
        return told

    def run(self) -> Progress:
        """Train to the end; raises Interrupted when asked to stop, with the state saved."""
        log = MetricsLog(self.folder, self.at.update) if self.world.is_first else None
        started = time.monotonic() - self.at.elapsed_s
        try:
            done = self.at.update  # by an earlier start: they say nothing about the speed of this one
            what = f"training from update {done}" if done else "training"
            with (
                _asked_to_stop(self),
                progress(what, self.total - done, unit="updates") as advance,
                closing(self._groups()) as groups,  # closing ends the thread that makes batches ahead
            ):
                self._train(groups, log, started, advance)
        finally:
            if log:
                log.close()
        return self.at

    def _train(self, groups: Iterator[list[Any]], log: MetricsLog | None, started: float, advance: Any) -> None:
        at, run = self.at, self.recipe.run
        window_started, window_items, note = time.monotonic(), 0, ""
        while True:
            if at.update and at.evaluated_at != at.update and self._is_due(run.eval_every):
                try:
                    note = self._evaluate(log, started)
                except Interrupted:
                    self._save(started)
                    raise
                window_started, window_items = time.monotonic(), 0
            if at.update >= self.total or self._ran_dry():
                self._save(started)
                return
            group = next(groups)
            loss, norm, items, stop = self._update(group)
            at.update += 1
            at.batch_in_epoch += len(group)
            if at.batch_in_epoch >= self.n_batches:
                at.epoch, at.batch_in_epoch = at.epoch + 1, 0
            window_items += items
            if at.update % run.log_every == 0 or at.update == self.total:
                rate = window_items / max(time.monotonic() - window_started, 1e-9)
                mean = at.window_loss / at.window_terms
                if log:
                    lr = self.optimizer.param_groups[0]["lr"]
                    timing = {"items_per_s": round(rate, 1), "elapsed_s": round(time.monotonic() - started, 2)}
                    log.write("train", at.update, epoch=at.epoch, loss=mean, lr=lr, gradient_norm=norm, **timing)
                at.window_loss = at.window_terms = 0.0
                window_started, window_items = time.monotonic(), 0
                shown_rate = f"{rate:.0f} {self.objective.unit}/s"
            else:
                shown_rate = ""
            advance(1, " ".join(filter(None, (f"loss {loss:.4f}", note, shown_rate))))
            if stop:
                self._save(started)
                raise Interrupted
            if run.save_every and at.update % run.save_every == 0 and not self._is_due(run.eval_every):
                self._save(started)

    def _is_due(self, every: int) -> bool:
        return self.at.update % every == 0 or self.at.update >= self.total

    def _ran_dry(self) -> bool:
        return 0 < self.recipe.run.patience <= self.at.without_gain

    def _groups(self) -> Generator[list[Any]]:
        """The micro-batches of each update to come, from where the run stands; an epoch's last group may be shorter."""
        epoch, skip = self.at.epoch, self.at.batch_in_epoch
        while True:
            group: list[Any] = []
            with closing(self.objective.batches(epoch, skip, self.micro_batch, self.world)) as batches:
                for batch in batches:
                    group.append(batch)
                    if len(group) == self.recipe.run.accumulation:
                        yield group
                        group = []
            if group:
                yield group
            epoch, skip = epoch + 1, 0

    def _update(self, group: list[Any]) -> tuple[float, float, int, bool]:
        """One update; returns mean loss, gradient norm, items seen by all processes, and whether to stop."""
        recipe, world, at = self.recipe, self.world, self.at
        # Each update has its own seed, so that dropout after a resumption is the dropout of an uninterrupted run.
        torch.manual_seed(recipe.run.seed + at.update + _RANK_STRIDE * world.rank)
        rate = learning_rate(at.update, self.total, recipe.optimizer.lr, recipe.schedule)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.objective.begin_update(at.update)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(4, dtype=torch.float64, device=world.device)
        for place, batch in enumerate(group):
            last = place == len(group) - 1
            apart = isinstance(self.replica, nn.parallel.DistributedDataParallel) and not last
            with self.replica.no_sync() if apart else nullcontext():  # type: ignore[operator,union-attr]
                with self._precision():
                    loss, terms, items = self.objective.loss(self.replica, batch)
                loss.backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([loss.detach().double(), terms.double(), _number(items, sums), _number(0, sums)])
        sums[3] = float(self._stop)
        total_loss, total_terms, total_items, stop = world.add_up(sums).tolist()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        # DDP has averaged over processes what is a sum of terms: undo that, and divide by the terms of all of them.
        torch._foreach_mul_(gradients, world.size / total_terms)
        clip = recipe.optimizer.clip_norm
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), clip if clip > 0 else math.inf))
        if not (math.isfinite(total_loss) and math.isfinite(norm)):
            self._diverged(group, total_loss / total_terms, norm)
        self.optimizer.step()
        if self.average:
            self.average.update(at.update)
        at.window_loss += total_loss
        at.window_terms += total_terms
        return total_loss / total_terms, norm, int(total_items), stop > 0

    def _diverged(self, group: list[Any], loss: float, norm: float) -> None:
        at = self.at
        kept = (
            f"the state before is kept in {self.folder / LAST}" if (self.folder / LAST).is_file() else "none saved yet"
        )
        raise EcgqaError(
            f"training diverged in update {at.update + 1} (epoch {at.epoch}, batch {at.batch_in_epoch})",
            expected="a finite loss and gradient",
            found=f"loss {loss}, gradient norm {norm}; {self.objective.name_batch(group[0])}; {kept}",
            fix="lower --optimizer.lr, set --optimizer.clip_norm 1, or use --run.precision fp32",
        )

    def _evaluate(self, log: MetricsLog | None, started: float) -> str:
        at = self.at
        self.model.eval()

        def tick() -> None:
            if self._stop and self.world.size == 1:
                raise Interrupted

        with self.average.in_place() if self.average else nullcontext():
            with self._precision():
                values = self.objective.evaluate(self.model, self.micro_batch, self.world, tick=tick)
            score = values[self.objective.monitor]
            at.evaluated_at = at.update
            if at.best_score is None or score > at.best_score:
                at.best_score, at.best_update, at.without_gain = score, at.update, 0
                if self.world.is_first:
                    save_best(self.folder, self.model, {"update": at.update, **values})
                    self.objective.keep_best(self.folder, at.update)
            else:
                at.without_gain += 1
        if log:
            log.write("valid", at.update, epoch=at.epoch, **values, elapsed_s=round(time.monotonic() - started, 2))
        self._save(started)
        return f"valid {self.objective.monitor} {score:.3f} (best {at.best_score:.3f})"

    def _save(self, started: float) -> None:
        self.at.elapsed_s = time.monotonic() - started
        if self.world.is_first:
            weights = self.average.weights if self.average else None
            save_last(self.folder, self.model, self.optimizer, {"progress": asdict(self.at)}, weights)

    def _precision(self) -> Any:
        if self.recipe.run.precision == "bf16":
            return torch.autocast(self.world.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def ask_to_stop(self) -> None:
        """Stop after the update under way, saving the state."""
        self._stop = True


def micro_batch_size(batch_size: int, accumulation: int, n_processes: int) -> int:
    """Items of one micro-batch in one process; raises EcgqaError if the batch cannot be shared evenly."""
    parts = accumulation * n_processes
    if batch_size % parts:
        raise EcgqaError(
            f"run.batch_size {batch_size} cannot be shared by {n_processes} processes x {accumulation} micro-batches",
            expected=f"a multiple of {parts}",
            fix=f"--run.batch_size {max(parts, round(batch_size / parts) * parts)}",
        )
    return batch_size // parts


def _number(value: float, like: Tensor) -> Tensor:
    return torch.tensor(value, dtype=like.dtype, device=like.device)


@contextmanager
def _asked_to_stop(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C and a scheduler's TERM end the run after the update under way; a second Ctrl-C ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        trainer.ask_to_stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
