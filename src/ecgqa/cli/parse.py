"""From a typed, documented function to its command line: arguments, help that shows an example, YAML configuration."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Callable, Collection
from typing import Any

from jsonargparse import ArgumentParser, set_parsing_settings

set_parsing_settings(docstring_parse_attribute_docstrings=True)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions as written, and after each argument what may be given and what happens without it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)

    def _expand_help(self, action: argparse.Action) -> str:
        text = (action.help or "").rstrip(". ").replace("%", "%%") % {}
        default, choices = action.default, _choices(action)
        notes = [choices] if choices else []
        shown = default if isinstance(default, (int, float, str)) and not isinstance(default, bool) else None
        if shown is not None and default != argparse.SUPPRESS and "default" not in text.lower():
            notes.append(f"default: {shown}")
        return f"{text} ({'; '.join(notes)})" if notes else text

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return action.dest
        name = max(action.option_strings, key=lambda option: (not option.endswith("+"), len(option)))
        short = [option for option in action.option_strings if len(option) == 2]
        value = "" if action.nargs == 0 or _is_switch(action) else f" {action.dest.rsplit('.', 1)[-1].upper()}"
        return ", ".join([*short, name]) + value

    def _format_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None) -> str:
        if usage:
            return f"usage: {usage}\n\n"
        positionals = " ".join(_usage_name(action) for action in actions if not action.option_strings)
        return f"usage: {' '.join(self._prog.split())} {positionals} [OPTIONS]\n\n".replace("  ", " ")


def _usage_name(action: argparse.Action) -> str:
    more = "..." if re.match(r"list\[(?:pathlib|str)|<class 'list'>", str(getattr(action, "_typehint", ""))) else ""
    return f"[{action.dest}]" if action.nargs in ("?", "*") else action.dest + more


def _choices(action: argparse.Action) -> str:
    typehint = str(getattr(action, "_typehint", ""))
    found = re.search(r"Literal\[([^\]]*)\]", typehint)
    return " | ".join(re.findall(r"'([^']*)'", found.group(1))) if found else ""


def _is_switch(action: argparse.Action) -> bool:
    return getattr(action, "_typehint", None) is bool


def call(function: Callable[..., Any], prog: str, words: list[str]) -> Any:
    """Parse `words` by the signature and docstring of `function`, and call it; returns what it returns.

    Parameters without default are positional, the others are `--name value`; `--flag` alone means `--flag true`, and
    `--some-name` is `--some_name`. A last positional parameter of type list[Path] or list[str] takes any number of
    words; a first one that may be None can be left out.
    `--config FILE.yaml` reads any of them from a file. Exits with status 2 if the words do not fit.
    """
    first = _optional_first(function)
    names = " ".join(parameter.name for parameter in _positionals(function))
    parser = ArgumentParser(
        prog=prog,
        usage=f"{prog} [{first}] {names} [OPTIONS]" if first else None,
        description=_description(function),
        formatter_class=Formatter,
        print_config=None,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_function_arguments(function, as_group=False, as_positional=True, sub_configs=False)
    values = parser.parse_args(_completed(function, words))
    return function(**{key: value for key, value in vars(values).items() if key != "config"})


def _description(function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function) or ""
    return re.split(r"^(?:Args|Arguments|Returns|Raises):", text, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _completed(function: Callable[..., Any], words: list[str]) -> list[str]:
    """`words` in the form that the parser of `function` takes."""
    parameters = inspect.signature(function).parameters
    switches = {name for name, parameter in parameters.items() if parameter.annotation in (bool, "bool")}
    return _gathered(function, _placed(function, _first_named(function, tidied(words, switches, parameters))))


def tidied(words: list[str], switches: Collection[str], known: Collection[str] | None = None) -> list[str]:
    """`words` with hyphens in (known) option names as underscores, and `true` after switches that stand alone."""
    done = []
    for position, word in enumerate(words):
        if word.startswith("--"):
            name, separator, value = word[2:].partition("=")
            underscored = name.replace("-", "_")
            name = underscored if known is None or underscored in known else name
            word = f"--{name}{separator}{value}"
            following = words[position + 1] if position + 1 < len(words) else ""
            if name in switches and not separator and following.lower() not in ("true", "false", "yes", "no"):
                word += "=true"
        done.append(word)
    return done


def _without_default(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if one.default is one.empty and one.kind is not one.KEYWORD_ONLY]


def _positionals(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Parameters that are given by their place: no default, not keyword-only, never None."""
    return [one for one in _without_default(function) if "None" not in str(one.annotation)]


def _optional_first(function: Callable[..., Any]) -> str | None:
    """Name of the first parameter given by its place if it may be None; the parser takes that one by name only."""
    first = _without_default(function)[:1]
    return first[0].name if first and "None" in str(first[0].annotation) else None


def _first_named(function: Callable[..., Any], words: list[str]) -> list[str]:
    """`words` with the first one as the value of the optional first parameter, if there are enough for all."""
    first, names = _optional_first(function), [parameter.name for parameter in _positionals(function)]
    plain, options = _plain_and_options(words)
    n_named = sum(word[2:].partition("=")[0] in names for word in options)
    if first is None or len(plain) + n_named <= len(names):
        return words
    return [f"--{first}={plain[0]}", *plain[1:], *options]


def _plain_and_options(words: list[str]) -> tuple[list[str], list[str]]:
    """Words given by their place, and the options with their values."""
    plain: list[str] = []
    options: list[str] = []
    is_value = False
    for word in words:
        is_option = word.startswith("-") and word != "-"
        (options if is_option or is_value else plain).append(word)
        is_value = is_option and "=" not in word and word not in ("-h", "--help")
    return plain, options


def _placed(function: Callable[..., Any], words: list[str]) -> list[str]:
    """`words` with positional parameters that were named (`--attributes FOLDER`) put where they belong."""
    names = [parameter.name for parameter in _positionals(function)]
    named: dict[str, str] = {}
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        name, separator, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        if name in names:
            named[name] = value if separator else next(waiting, "")
        else:
            rest.append(word)
    plain, options = _plain_and_options(rest)
    if not named or len(plain) < len(names) - len(named):
        return words  # nothing to move, or something is missing: then the parser says what
    in_order = [named[name] if name in named else plain.pop(0) for name in names]
    return [*in_order, *plain, *options]


def _gathered(function: Callable[..., Any], words: list[str]) -> list[str]:
    """`words` with the values of a last positional parameter that is a list gathered into one YAML list."""
    positionals = _positionals(function)
    if not positionals or positionals[-1].annotation not in ("list[Path]", "list[str]"):
        return words
    plain, options = _plain_and_options(words)
    many = plain[len(positionals) - 1 :]
    if len(plain) == len(positionals) - 1 and not any(word.startswith("--config") for word in options):
        return [*plain, "[]", *options]  # none at all: the command says what it makes of that
    if not many or (len(many) == 1 and many[0].startswith("[")):
        return [*plain, *options]
    return [*plain[: len(positionals) - 1], json.dumps(many), *options]
