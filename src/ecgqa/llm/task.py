"""ECG questions as an Inspect task: `inspect eval ecgqa/ecg_questions -T questions=STORE`; `ecgqa llm run` uses it too.

Inspect (https://inspect.aisi.org.uk) brings providers, retries and limits, batch endpoints and the log viewer.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from ecgqa.llm.asked import AskedQuestion
from ecgqa.llm.parsing import parse_reply
from ecgqa.llm.prompts import Message, Prompt, Prompter
from ecgqa.records import NONE, Status


def make_task(asked: Sequence[AskedQuestion], solve: Solver, name: str) -> Task:
    """A task over these questions; a sample's input is its question, the solver writes the messages."""
    samples = [
        Sample(
            id=sample_name(one),
            input=one.question,
            target=list(one.answer),
            metadata={"candidates": list(one.candidates), "template_id": one.template_id},
        )
        for one in asked
    ]
    return Task(dataset=MemoryDataset(samples, name=name), solver=solve, scorer=answer_set(), name=name)


def sample_name(asked: AskedQuestion) -> str:
    """Id of a question in logs: split/version/number."""
    return f"{asked.split}/{asked.version}/{asked.sample_id}"


@solver
def prompted(asked: Sequence[AskedQuestion], prompter: Prompter) -> Solver:
    """Replace the input by the prompt of its question, and generate."""
    by_name = {sample_name(one): one for one in asked}

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.messages = chat(prompter.prompt(by_name[str(state.sample_id)]))
        return await generate(state)

    return solve


def chat(prompt: Prompt) -> list[ChatMessage]:
    """A prompt as Inspect's messages."""
    return [_message(message) for message in prompt.messages]


def _message(message: Message) -> ChatMessage:
    if message.role == "assistant":
        return ChatMessageAssistant(content=message.text)
    if all(part.png is None for part in message.parts):
        return ChatMessageUser(content=message.text)
    content: list[Any] = [
        ContentText(text=part.text)
        if part.png is None
        else ContentImage(image="data:image/png;base64," + base64.b64encode(part.png).decode("ascii"))
        for part in message.parts
    ]
    return ChatMessageUser(content=content)


@scorer(metrics=[accuracy(), stderr()])
def answer_set() -> Scorer:
    """Right if the set of options named is the set of right answers: em_set of `ecgqa score`."""

    async def score(state: TaskState, target: Target) -> Score:
        parsed = parse_reply(state.output.completion, state.metadata["candidates"])
        right = parsed.status is Status.OK and set(parsed.answer) == (set(target.target) or {NONE})
        return Score(value="C" if right else "I", answer=", ".join(parsed.answer) or str(parsed.status))

    return score


@task
def ecg_questions(
    questions: str,
    view: str = "none",
    prompt: str = "published",
    split: str = "test",
    version: str | None = None,
    findings: str | None = None,
    attributes: str | None = None,
    subset: str | None = None,
    shots: int = 0,
) -> Task:
    """Questions about ECGs, for `inspect eval`; the arguments are those of `ecgqa llm run`."""
    from ecgqa.llm.experiment import Experiment

    experiment = Experiment.make(
        questions,
        view=view,
        style=prompt,
        split=split,
        version=version,
        findings=findings,
        attributes=attributes,
        subset=subset,
        shots=shots,
    )
    return make_task(experiment.asked, prompted(experiment.asked, experiment.prompter), "ecg_questions")
