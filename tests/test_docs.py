"""Every command line shown in the README and the docs exists, with the options it uses."""

import re
from importlib import import_module
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


def test_every_page_is_in_the_navigation_and_every_entry_is_there():
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert named == there


def test_every_name_in_the_reference_exists():
    """What mkdocstrings would show: modules and their members."""
    for page in (ROOT / "docs" / "api").glob("*.md"):
        blocks = re.findall(r"^::: (\S+)(?:\n +options: \{members: \[(.*?)\]\})?", page.read_text(), flags=re.MULTILINE)
        assert blocks or page.stem == "index"
        for module, members in blocks:
            found = import_module(module)
            for member in filter(None, members.split(", ")):
                assert hasattr(found, member), f"{page.name}: {module} has no {member}"


def test_each_command_of_the_published_readme_stands_beside_ours():
    page = (ROOT / "docs" / "from-the-original.md").read_text(encoding="utf-8")
    for command in (
        "build_ext", "mapping_ptbxl_samples.py", "mapping_mimic_iv_ecg_samples.py", "preprocess_ecgqa.py",
        "--config-name base", "preprocess_ecgqa_for_classification.py", "base_total", "nejedly2021_total",
        "se_wrn_total", "random_sample.py", "sampled_ecgqa_ids.txt", "llm_modeling.py",
    ):  # fmt: skip
        row = next((line for line in page.splitlines() if command in line and line.startswith("|")), "")
        assert "ecgqa" in row.split("|")[2], command
