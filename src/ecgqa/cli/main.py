"""The `ecgqa` command: finds the subcommand, parses its typed signature, and turns problems into plain messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module

from ecgqa import __version__
from ecgqa.errors import EcgqaError

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Start here": {
        "demo": ("ecgqa.cli.demo:demo", "the whole journey in small, offline, ending with a report"),
        "doctor": ("ecgqa.cli.doctor:doctor", "what is installed and at hand, and how to get the rest"),
    },
    "Data": {
        "fetch": ("ecgqa.cli.fetch:fetch", "download PTB-XL, MIMIC-IV-ECG or the released questions"),
        "synth": ("ecgqa.cli.synth:synth", "write a synthetic 12-lead cohort in PTB-XL's layout"),
        "attributes build": ("ecgqa.cli.attributes:build", "ECGs -> attribute table"),
        "questions build": ("ecgqa.cli.questions:build", "attribute table -> questions in the published layout"),
        "questions check": ("ecgqa.cli.questions:check", "report everything wrong with a question data set"),
        "questions diff": ("ecgqa.cli.questions:diff", "answer released questions from our attributes, and compare"),
        "stats": ("ecgqa.cli.stats:stats", "what a question set holds, and what its splits share"),
        "map": ("ecgqa.cli.map:map_questions", "add the path of each ECG to published questions"),
        "plot": ("ecgqa.cli.plot:plot", "draw an ECG on its grid, true to size"),
        "store build": ("ecgqa.cli.store:build", "ECGs + questions -> training store"),
        "store info": ("ecgqa.cli.store:info", "what a store holds"),
        "export hf": ("ecgqa.cli.export:hf", "a Hugging Face datasets folder with its data card"),
        "export croissant": ("ecgqa.cli.export:croissant", "Croissant metadata beside a question table"),
    },
    "Models": {
        "train": ("ecgqa.cli.train:train", "train a model by a recipe"),
        "predict": ("ecgqa.cli.predict:predict", "a trained model's answers as prediction rows"),
        "probe": ("ecgqa.cli.probe:probe", "how much a trained ECG encoder sees, by a linear probe"),
        "checkpoint import": ("ecgqa.cli.checkpoint:import_", "a checkpoint of the original -> a folder like a run's"),
        "checkpoint export": ("ecgqa.cli.checkpoint:export", "a run -> a checkpoint in the original's layout"),
        "checkpoint info": ("ecgqa.cli.checkpoint:info", "what a file or folder of weights holds"),
        "card": ("ecgqa.cli.card:card", "a model card of a finished run"),
        "baselines": ("ecgqa.cli.baselines:baselines", "chance, majority and question-only answers as prediction rows"),
        "findings items": ("ecgqa.cli.findings:items", "what a store's questions say of single ECGs"),
        "findings predict": ("ecgqa.cli.findings:predict", "what a trained classifier finds on ECGs"),
    },
    "Language models": {
        "llm sample": ("ecgqa.cli.llm:sample", "choose the questions to ask, as a named subset"),
        "llm run": ("ecgqa.cli.llm:run", "ask a language model, or a reader that costs nothing; resumable"),
    },
    "One ECG": {
        "ask": ("ecgqa.cli.ask:ask", "one ECG, one question in free words, one answer, with what it rests on"),
    },
    "Results": {
        "score": ("ecgqa.cli.score:score", "prediction rows -> scores with intervals"),
        "findings score": ("ecgqa.cli.findings:score", "findings -> accuracy, AUROC, AUPRC per attribute"),
        "compare": ("ecgqa.cli.compare:compare", "paired test between two runs"),
        "report": ("ecgqa.cli.report:report", "tables, JSON, Markdown and one HTML page"),
        "explore": ("ecgqa.cli.explore:explore", "a local web page: traces, questions and answers side by side"),
    },
}

_FLAT = {name: entry for group in COMMANDS.values() for name, entry in group.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 data wrong, 2 command wrong, 130 interrupted)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(lambda: _dispatch(words))


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"ecgqa {__version__}")
        return 0
    name, rest = _find(words)
    if name is None:
        print(_unknown(words), file=sys.stderr)
        return 2
    return _run(name, rest)


def _find(words: list[str]) -> tuple[str | None, list[str]]:
    if len(words) > 1 and f"{words[0]} {words[1]}" in _FLAT:
        return f"{words[0]} {words[1]}", words[2:]
    if words[0] in _FLAT:
        return words[0], words[1:]
    return None, []


def _run(name: str, rest: list[str]) -> int:
    from ecgqa.cli.parse import call

    module, function_name = _FLAT[name][0].split(":")
    function: Callable[..., object] = getattr(import_module(module), function_name)
    if getattr(function, "takes_words", False):  # its options depend on what its arguments name
        result = function(rest)
    else:
        result = call(function, f"ecgqa {name}", rest)
    return result if isinstance(result, int) else 0


def _guarded(action: Callable[[], int]) -> int:
    """Run `action`; problems of the user's input or machine become messages, never tracebacks."""
    try:
        status = action()
        sys.stdout.flush()
        return status
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing half-written is left; the same command again goes on from here.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except EcgqaError as error:
        return _fail(error)
    except ModuleNotFoundError as error:
        extra = {"torch": "train", "tokenizers": "train", "safetensors": "train", "matplotlib": "plot"}
        extra |= {"inspect_ai": "llm", "openai": "llm"}
        extra |= {"starlette": "explore", "uvicorn": "explore", "python_multipart": "explore"}
        package = (error.name or "").split(".")[0]
        if package not in extra:
            return _fail(error)
        return _fail(EcgqaError(f"this command needs {package}", fix=f'pip install "ecgqa[{extra[package]}]"'))
    except MemoryError:
        return _fail(EcgqaError("out of memory", fix="close other programs, or work on fewer records at once"))
    except OSError as error:
        return _fail(error)
    except Exception as error:
        return _fail(error)


def _fail(error: BaseException) -> int:
    if os.environ.get("ECGQA_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, EcgqaError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = (
            f"unexpected {type(error).__name__}: {error}\n"
            "  this is a fault of ecgqa; ECGQA_DEBUG=1 before the command shows where, for a report"
        )
    print(f"error: {text}", file=sys.stderr)
    return 1


def _overview() -> str:
    lines = [
        f"ecgqa {__version__}: questions and answers about electrocardiograms, from raw records to a scored result",
        "",
        "usage: ecgqa COMMAND [ARGUMENTS]      ecgqa COMMAND --help explains one command",
    ]
    width = max(map(len, _FLAT)) + 2
    for group, commands in COMMANDS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<{width}}{summary}" for name, (_, summary) in commands.items()]
    lines += ["", "First time?  ecgqa demo", "Research software, not for clinical use."]
    return "\n".join(lines)


def _unknown(words: list[str]) -> str:
    from difflib import get_close_matches

    subcommands = [name for name in _FLAT if name.startswith(f"{words[0]} ")]
    if subcommands:
        shown = "\n".join(f"  ecgqa {name:<20}{_FLAT[name][1]}" for name in subcommands)
        return f"usage: ecgqa {words[0]} SUBCOMMAND\n{shown}"
    near = get_close_matches(" ".join(words[:2]), _FLAT, n=1) or get_close_matches(words[0], _FLAT, n=1)
    hint = f"did you mean: ecgqa {near[0]}" if near else "ecgqa --help lists the commands"
    return f"error: no command {words[0]!r}\n  {hint}"


if __name__ == "__main__":
    sys.exit(main())
