"""Every command line shown in the README and the docs exists, with the options it uses."""

import re
from pathlib import Path

import pytest

from ecgqa.cli.main import COMMANDS, main
from ecgqa.training.recipe import shipped_recipes

ROOT = Path(__file__).parents[1]
NAMES = sorted((name for group in COMMANDS.values() for name in group), key=len, reverse=True)


def shown_commands() -> list[str]:
    """Command lines in code blocks, continuation lines joined, comments cut."""
    lines = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|;", line.split(" #")[0]):
                    if part.strip().startswith("ecgqa "):
                        lines.append(part.strip())
    return sorted(set(lines))


def test_commands_were_found():
    assert len(shown_commands()) > 20


@pytest.mark.parametrize("line", shown_commands())
def test_shown_commands_exist_with_their_options(line, capsys):
    words = line.removeprefix("ecgqa ")
    name = next((name for name in NAMES if words == name or words.startswith(f"{name} ")), None)
    assert name, f"no such command: {line}"
    shown = words.removeprefix(name).split()
    recipe = (
        [shown[0] if shown and shown[0] in shipped_recipes() else "ecg_transformer-tiny"] if name == "train" else []
    )
    assert main([*name.split(), *recipe, "--help"]) == 0
    known = capsys.readouterr().out.replace("_", "-")
    for option in re.findall(r"(--[\w.-]+)", words):
        assert re.search(rf"{re.escape(option.replace('_', '-'))}\b", known), f"{name} has no {option}: {line}"
