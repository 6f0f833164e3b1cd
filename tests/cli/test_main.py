"""The command line is quick, teaches, and turns problems into messages."""

import pickle
import subprocess
import sys
from importlib import import_module

import pytest

from ecgqa import __version__
from ecgqa.cli import main as cli
from ecgqa.errors import EcgqaError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ecgqa", *arguments], capture_output=True, text=True)


def test_help_lists_every_command_and_loads_nothing_heavy():
    code = "import sys; from ecgqa.cli.main import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert all(name in done.stdout for group in cli.COMMANDS.values() for name in group)
    assert "not for clinical use" in done.stdout
    heavy = {"numpy", "polars", "torch", "wfdb", "scipy", "jsonargparse", "rich", "matplotlib"}
    assert not heavy & {name.strip(" '[]") for name in done.stderr.split(",")}


@pytest.mark.parametrize("name", [name for group in cli.COMMANDS.values() for name in group])
def test_every_command_explains_itself(name, capsys):
    module, function = cli.COMMANDS[next(g for g, c in cli.COMMANDS.items() if name in c)][name][0].split(":")
    assert getattr(import_module(module), function).__doc__
    assert cli.main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: ecgqa {name}" in shown
    assert f"ecgqa {name}" in shown.split("usage:")[1].split("\n", 1)[1], "the help shows no example"


def test_version_unknown_commands_and_groups(capsys):
    assert cli.main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert cli.main(["scor"]) == 2
    assert "did you mean: ecgqa score" in capsys.readouterr().err
    assert cli.main(["store"]) == 2
    assert "ecgqa store build" in capsys.readouterr().err
    assert cli.main([]) == 2


def test_wrong_arguments_end_with_status_2(capsys):
    assert cli.main(["score", "--no-such-option", "1"]) == 2
    assert "no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "status", "text"),
    [
        (EcgqaError("wrong", expected="this", found="that", fix="ecgqa fetch ptbxl"), 1, "ecgqa fetch ptbxl"),
        (FileNotFoundError(2, "No such file or directory", "a b.csv"), 1, "a b.csv"),
        (OSError(28, "No space left on device"), 1, "No space left"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, 'pip install "ecgqa[train]"'),
        (KeyboardInterrupt(), 130, "same command again"),
        (MemoryError(), 1, "out of memory"),
        (ValueError("inner"), 1, "fault of ecgqa"),
    ],
)
def test_problems_become_messages(problem, status, text, capsys):
    def action() -> int:
        raise problem

    assert cli._guarded(action) == status
    shown = capsys.readouterr().err
    assert text in shown
    assert "Traceback" not in shown


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(f"{sys.executable} -m ecgqa --help | head -1", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_errors_cross_processes_whole():
    error = EcgqaError("m", expected="e", found="f", fix="x")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_module_and_script_are_the_same():
    assert run("--version").stdout == f"ecgqa {__version__}\n"
