"""What a run will cost, has cost, and may cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ecgqa.errors import EcgqaError
from ecgqa.llm.journal import Reply
from ecgqa.llm.prompts import Prompt

CHARACTERS_PER_TOKEN: Final = 3.6
"""Of English prose with medical words under the byte-pair vocabularies in use; for forecasts only."""
TOKENS_PER_IMAGE: Final = 1100
"""A drawing in high detail; providers differ by a factor of two."""
OUTPUT_TOKENS: Final = {"published": 12, "few-shot": 12, "cot": 350}
"""Expected length of a reply by prompt style; for forecasts only."""


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens; cached input costs `cached` (the input price if not given)."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def __post_init__(self) -> None:
        if min(self.input, self.output, self.cached or 0.0) < 0:
            raise EcgqaError("a price is not negative", found=f"{self.input}, {self.output}, {self.cached}")

    def of(self, input_tokens: float, output_tokens: float, cached_tokens: float = 0.0) -> float:
        """Dollars for so many tokens; `input_tokens` are those not read from the provider's cache."""
        cached = self.input if self.cached is None else self.cached
        return (input_tokens * self.input + output_tokens * self.output + cached_tokens * cached) / 1e6

    def of_replies(self, replies: Iterable[Reply]) -> float:
        """Dollars that these replies have cost."""
        return sum(self.of(one.input_tokens, one.output_tokens, one.cached_tokens) for one in replies)

    @property
    def are_known(self) -> bool:
        return self.input > 0 or self.output > 0


@dataclass(frozen=True)
class Forecast:
    """Expected size of a run."""

    calls: int
    input_tokens: int
    output_tokens: int
    dollars: float


def forecast(prompts: Iterable[Prompt], style: str, prices: Prices) -> Forecast:
    """Calls, tokens and dollars of asking all `prompts`; tokens are estimated from characters."""
    calls = input_tokens = 0
    for prompt in prompts:
        calls += 1
        input_tokens += prompt_tokens(prompt)
    output_tokens = calls * OUTPUT_TOKENS[style]
    return Forecast(calls, input_tokens, output_tokens, prices.of(input_tokens, output_tokens))


def prompt_tokens(prompt: Prompt) -> int:
    """Estimated tokens of one prompt."""
    characters = sum(len(part.text) for message in prompt.messages for part in message.parts)
    return round(characters / CHARACTERS_PER_TOKEN) + prompt.n_images * TOKENS_PER_IMAGE + 8 * len(prompt.messages)


class Budget:
    """Lets a call begin only while what is spent, and what calls under way may cost, stay within `dollars`."""

    def __init__(self, dollars: float | None, prices: Prices, spent: float, max_output_tokens: int) -> None:
        if dollars is not None and not prices.are_known:
            raise EcgqaError(
                "a budget needs prices", fix="--price-input and --price-output, in dollars per million tokens"
            )
        self.dollars, self.prices, self.spent = dollars, prices, spent
        self.max_output_tokens = max_output_tokens
        self.under_way = 0.0
        self.refused = 0

    def begin(self, prompt: Prompt) -> float | None:
        """Reserve the most that a call may cost; None if the budget does not allow it."""
        most = self.prices.of(1.5 * prompt_tokens(prompt), self.max_output_tokens)
        if self.dollars is not None and self.spent + self.under_way + most > self.dollars:
            self.refused += 1
            return None
        self.under_way += most
        return most

    def end(self, reserved: float, reply: Reply | None) -> None:
        """Book what a call has cost (None: it failed)."""
        self.under_way -= reserved
        if reply is not None:
            self.spent += self.prices.of_replies([reply])
