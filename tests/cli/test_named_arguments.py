"""Required arguments may also be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgqa.cli.parse import call


def example(first: Path, second: Path, limit: int = 3, quiet: bool = False) -> tuple[str, str, int, bool]:
    """An example.

    Args:
        first: one
        second: two
        limit: three
        quiet: four
    """
    return str(first), str(second), limit, quiet


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "b"], ("a", "b", 3, False)),
        (["a", "--second", "b"], ("a", "b", 3, False)),
        (["--second=b", "a", "--limit", "5"], ("a", "b", 5, False)),
        (["--first", "a", "b", "--quiet"], ("a", "b", 3, True)),
        (["--limit", "5", "--second", "b", "--first", "a"], ("a", "b", 5, False)),
    ],
)
def test_named_or_in_order(words: list[str], expected: tuple[str, str, int, bool]) -> None:
    assert call(example, "ecgqa example", words) == expected


@pytest.mark.parametrize("words", [["--second", "b"], ["a"], [], ["a", "b", "c"]])
def test_missing_or_too_many_arguments(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        call(example, "ecgqa example", words)
    assert stop.value.code == 2
