"""Asking a language model: a run that can be killed at any moment, finishes what is missing and pays nothing twice."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa import run_folder
from ecgqa.artefacts import MANIFEST
from ecgqa.errors import EcgqaError
from ecgqa.llm.cost import Budget, Prices
from ecgqa.llm.experiment import Experiment
from ecgqa.llm.journal import Journal, Reply, shortened
from ecgqa.llm.results import PREDICTIONS_FILE, prediction_rows

if TYPE_CHECKING:
    from inspect_ai.model import Model
    from inspect_ai.solver import Generate, Solver, TaskState

GIVE_UP_AFTER = 20
"""So many failed calls in a row, without a success between them, end the run: the server is down or refuses us."""


@dataclass(frozen=True)
class Caller:
    """The model and how it is called.

    model: Inspect's name, such as openai/gpt-4o or anthropic/...; with base_url the name that an OpenAI-compatible
    server knows. accept_model: the name under which the server may answer, where it is another. Keys come from the
    environment (OPENAI_API_KEY and the like) and from nowhere else.
    """

    model: str
    base_url: str | None = None
    accept_model: str | None = None
    temperature: float = 0.0
    max_tokens: int = 512
    connections: int = 16
    retries: int = 5
    timeout_s: int = 120
    batch: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What of it decides the replies."""
        return {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens}

    @property
    def slug(self) -> str:
        """The model's name as part of a file name."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.model.rsplit("/", 1)[-1]).strip("-") or "model"

    def build(self) -> Model:
        """Inspect's model; raises EcgqaError if the provider is unknown or its key is lacking."""
        from inspect_ai.model import GenerateConfig, get_model

        config = GenerateConfig(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            max_connections=self.connections,
            max_retries=self.retries,
            timeout=self.timeout_s * (self.retries + 1),
            attempt_timeout=self.timeout_s,
            batch=self.batch or None,
        )
        # OpenAI's client retries by itself too: tries would multiply.
        once: dict[str, Any] = {"max_retries": 0} if self.base_url or self.model.startswith("openai") else {}
        try:
            if self.base_url is None:
                return _discreet(get_model(self.model, config=config, memoize=False, **once))
            key = os.environ.get("ECGQA_LLM_API_KEY") or os.environ.get("OPENAI_API_KEY") or "none"
            name = self.model if self.model.startswith("openai-api/") else f"openai-api/ecgqa/{self.model}"
            return _discreet(get_model(name, config=config, base_url=self.base_url, api_key=key, memoize=False, **once))
        except Exception as error:
            raise EcgqaError(
                f"the model {self.model} cannot be used: {masked(str(error)).splitlines()[0]}",
                expected="a name such as openai/gpt-4o or anthropic/..., with its key in the environment",
                fix="export OPENAI_API_KEY=..., or --base-url URL for an OpenAI-compatible server of your own",
            ) from None


def run(
    experiment: Experiment,
    caller: Caller,
    out: str | Path,
    *,
    name: str | None = None,
    prices: Prices | None = None,
    budget: float | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Ask every question that has no reply yet; returns the counts of the run.

    The folder `out` gets replies.jsonl (prompt, raw reply, tokens of each question, as they arrive), Inspect's logs in
    logs/, predictions.parquet (a row for every question: ok, unparseable, refused or failed) and, once every question
    has a reply or has failed, manifest.json. The same command again asks what is missing. Raises EcgqaError if the
    server refuses every call, answers for another model, or if the budget ends the run; what was answered is kept.
    """
    folder = run_folder.absolute(out)
    prices = prices or Prices()
    identity = {"settings": experiment.settings | caller.settings, "inputs": experiment.inputs}
    kind = run_folder.ASKING
    with run_folder.claimed(folder):
        described = {"name": name, "base_url": _without_secrets(caller.base_url), "prices": asdict(prices)}
        run_folder.begin(folder, described, identity, overwrite=overwrite, kind=kind)
        journal = Journal(folder)
        try:
            asking = _Asking(
                experiment,
                caller,
                journal,
                Budget(budget, prices, prices.of_replies(journal.replies.values()), caller.max_tokens),
            )
            if asking.missing:
                (folder / MANIFEST).unlink(missing_ok=True)  # a finished run with failed calls is open again
            asking.ask_all(folder)
        finally:
            journal.close()
            _write_predictions(folder, experiment, journal, name or caller.slug)
        counts = asking.counts()
        asking.raise_if_stopped(counts)
        run_folder.finish(
            folder,
            identity,
            kind,
            counts=counts,
            cost={"dollars": round(asking.budget.spent, 6), "prices": asdict(prices)},
            served_by=sorted({reply.model for reply in journal.replies.values()}),
            subset={"name": experiment.subset.name, "digest": experiment.subset.digest},
        )
    return counts


def _write_predictions(folder: Path, experiment: Experiment, journal: Journal, name: str) -> None:
    from ecgqa.records import PREDICTIONS
    from ecgqa.tables import write_table

    write_table(prediction_rows(experiment.asked, journal.replies, name), folder / PREDICTIONS_FILE, PREDICTIONS)


class _Asking:
    """The questions of one start of a run on their way to the server and back."""

    def __init__(self, experiment: Experiment, caller: Caller, journal: Journal, budget: Budget) -> None:
        self.experiment, self.caller, self.journal, self.budget = experiment, caller, journal, budget
        self.missing = [one for one in experiment.asked if one.key not in journal.replies]
        self.fatal: str | None = None
        self.failures_in_a_row = 0
        self.problems: Counter[str] = Counter()

    def ask_all(self, folder: Path) -> None:
        """Ask what is missing; returns when each has a reply, has failed, or the run must stop."""
        if not self.missing:
            return
        from inspect_ai import eval as evaluate

        from ecgqa.llm.task import make_task
        from ecgqa.progress import progress

        model = self.caller.build()
        with progress(f"asking {self.caller.model}", len(self.missing), unit="questions") as advance:
            task = make_task(self.missing, self._solver(advance), "ecg_questions")
            logs = evaluate(
                task,
                model=model,
                display="none",
                log_dir=str(folder / "logs"),
                log_level="error",
                log_model_api=False,
                log_realtime=False,
                log_images=False,
                max_samples=2 * self.caller.connections,
                fail_on_error=False,
                ctl_server=False,
            )
        if any(log.status == "cancelled" for log in logs):
            raise KeyboardInterrupt
        if any(log.status == "error" for log in logs) and self.fatal is None:
            message = next((log.error.message for log in logs if log.error), "unknown")
            self.fatal = f"the run broke off: {masked(message).splitlines()[0]}"

    def _solver(self, advance: Callable[..., None]) -> Solver:
        from inspect_ai.solver import solver

        from ecgqa.llm.task import chat, sample_name

        by_name = {sample_name(one): one for one in self.missing}

        @solver(name="ecgqa/ask")
        def ask() -> Solver:
            async def solve(state: TaskState, generate: Generate) -> TaskState:
                prompt = self.experiment.prompter.prompt(by_name[str(state.sample_id)])
                reserved = None if self.fatal else self.budget.begin(prompt)
                if reserved is None:
                    return state
                state.messages = chat(prompt)
                began = time.monotonic()
                reply: Reply | None = None
                try:
                    state = await generate(state)
                    reply = _reply_of(state, prompt, time.monotonic() - began)
                    if not self._is_acceptable(reply.model):
                        reply = None
                except Exception as error:
                    self._failed(error)
                    raise
                finally:
                    self.budget.end(reserved, reply)
                if reply is not None:
                    self.failures_in_a_row = 0
                    self.journal.add(reply)
                    advance(1, f"${self.budget.spent:.2f}" if self.budget.prices.are_known else "")
                return state

            return solve

        return ask()

    def _is_acceptable(self, served: str) -> bool:
        wanted = self.caller.model.rsplit("/", 1)[-1]
        names = (wanted, self.caller.model, self.caller.accept_model or wanted)
        if not served or any(_same_model(served, one) for one in names):
            return True
        self.fatal = self.fatal or f"asked for the model {wanted}, the server answered as {served}"
        return False

    def _failed(self, error: Exception) -> None:
        self.failures_in_a_row += 1
        text = masked(str(error)).strip().splitlines()
        self.problems[f"{type(error).__name__}: {text[0][:200] if text else ''}"] += 1
        if self.failures_in_a_row >= GIVE_UP_AFTER:
            self.fatal = self.fatal or f"{self.failures_in_a_row} calls in a row failed, {self._worst()}"

    def _worst(self) -> str:
        return self.problems.most_common(1)[0][0] if self.problems else "for no stated reason"

    def counts(self) -> dict[str, Any]:
        """Questions, replies, tokens and failures of the whole run."""
        replies = self.journal.replies
        wanted = {one.key for one in self.experiment.asked}
        kept = [reply for key, reply in replies.items() if key in wanted]
        return {
            "questions": len(self.experiment.asked),
            "replies": len(kept),
            "failed": len(self.experiment.asked) - len(kept) - self.budget.refused,
            "left_by_budget": self.budget.refused,
            "input_tokens": sum(reply.input_tokens for reply in kept),
            "cached_tokens": sum(reply.cached_tokens for reply in kept),
            "output_tokens": sum(reply.output_tokens for reply in kept),
            "problems": dict(self.problems.most_common(10)),
        }

    def raise_if_stopped(self, counts: dict[str, Any]) -> None:
        """Raise EcgqaError if the run did not come to its end; the same command goes on."""
        have = f"{counts['replies']:,} of {counts['questions']:,} questions have their reply"
        if self.fatal:
            fix = "start the server or set its key, then give the same command again"
            if "answered as" in self.fatal:
                fix = "name the right --model, or --accept-model NAME if both are the same"
            raise EcgqaError(self.fatal, found=have, fix=fix)
        if self.budget.refused:
            raise EcgqaError(
                f"the budget of ${self.budget.dollars:.2f} ends the run",
                found=f"${self.budget.spent:.4f} spent; {have}; the predictions so far are written",
                fix="raise --budget and give the same command again: nothing is asked twice",
            )


def _reply_of(state: TaskState, prompt: Any, seconds: float) -> Reply:
    output, asked = state.output, prompt.asked
    usage = output.usage
    return Reply(
        split=asked.split,
        version=asked.version,
        sample_id=asked.sample_id,
        prompt_digest=prompt.digest,
        prompt=prompt.text,
        reply=shortened(output.completion),
        stop_reason=str(output.choices[0].stop_reason) if output.choices else "no choice",
        model=output.model,
        input_tokens=usage.input_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        cached_tokens=(usage.input_tokens_cache_read or 0) if usage else 0,
        seconds=round(seconds, 3),
    )


def _same_model(served: str, wanted: str) -> bool:
    """Equal but for case and a date or revision behind the name (gpt-4o, gpt-4o-2024-08-06)."""
    one, other = served.casefold().rsplit("/", 1)[-1], wanted.casefold().rsplit("/", 1)[-1]
    return one == other or re.fullmatch(re.escape(other) + r"[-@:](?:\d[\w.\-]*|latest)", one) is not None


def _discreet(model: Model) -> Model:
    """`model`, whose errors no longer hold keys that a server repeats in them: they would end up in Inspect's logs."""
    generate = model.api.generate

    async def generate_discreetly(*args: Any, **kwargs: Any) -> Any:
        try:
            result = await generate(*args, **kwargs)
        except Exception as error:
            _mask(error)
            raise
        if isinstance(result, tuple):  # what the server said goes into the log beside the result
            for part in result:
                _mask(part)
        return result

    model.api.generate = generate_discreetly  # type: ignore[method-assign]
    return model


def _mask(told: Any) -> None:
    """Take keys out of an exception, or of a record of a call."""
    if isinstance(told, Exception):
        told.args = tuple(masked(value) if isinstance(value, str) else value for value in told.args)
    for name in ("message", "body", "response"):
        value = getattr(told, name, None)
        if value is not None and masked(text := json.dumps(value, default=str)) != text:
            setattr(told, name, json.loads(masked(text)))


def masked(text: str) -> str:
    """`text` without the value of any key or token of the environment."""
    for name, value in os.environ.items():
        if value and len(value) >= 8 and re.search(r"(?:API_KEY|TOKEN|SECRET|PASSWORD)$", name):
            text = text.replace(value, "***")
    return text


def _without_secrets(url: str | None) -> str | None:
    """A server's address without user, password and query."""
    if url is None:
        return None
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))
