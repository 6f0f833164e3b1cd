"""The command `ecgqa train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DESCRIPTION = """Train a model by a recipe, or go on where an interrupted training stopped.

Example: ecgqa train ecgqa-tiny --data.store stores/ptbxl --out runs/tiny --run.steps 2000

A recipe is a YAML file, or the name of one that comes with ecgqa: {shipped}.
Every setting of the recipe can be given as --section.key value; the defaults shown are those of the recipe named.
The run folder gets checkpoints (safetensors), metrics.jsonl and TensorBoard events (tensorboard --logdir FOLDER).
Ctrl-C saves the state; the same command again goes on, with the same result as without the interruption.
Several processes or machines: torchrun --nproc-per-node N -m ecgqa train ...
"""


def train(words: list[str]) -> None:
    """Parse the words after `ecgqa train` and train; its options depend on the recipe they name."""
    import shlex

    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.training.distributed import process_rank
    from ecgqa.training.run import summary
    from ecgqa.training.run import train as run_training

    recipe, out, overwrite = _parse(words)
    try:
        folder = run_training(recipe, out, overwrite=overwrite)
    except KeyboardInterrupt:
        if process_rank() == 0:
            print(f"state saved in {out}")
        raise
    if process_rank() != 0:
        return
    facts = summary(folder)
    best, counts = facts["best"], facts["counts"]
    score = ", ".join(f"{key} {value:.4f}" for key, value in best.items() if key != "update")
    print(f"finished: {folder}")
    print(f"  {counts['updates']:,} updates ({facts['stopped']}) in {facts['elapsed_s']:,.0f} s on {facts['device']}")
    print(f"  best on {recipe.data.valid_split}: {score} after update {best['update']:,} (best.safetensors)")
    if recipe.objective_name != "question_answering":
        return
    store = shlex.quote(recipe.data.store)
    predictions = shlex.quote(str(Path(out) / "test.parquet"))
    print(f"next: ecgqa predict {shlex.quote(str(out))} {store} --split test --out {predictions}")


def _parse(words: list[str]) -> tuple[Any, Path, bool]:
    """The recipe, the run folder and whether to replace it."""
    from ecgqa.cli.parse import Formatter, tidied
    from ecgqa.training.recipe import (
        Kind,
        assemble,
        check_keys,
        flatten,
        make_recipe,
        read_recipe,
        recipe_parser,
        shipped_recipes,
        switches,
        unflatten,
    )

    words = tidied(words, {"overwrite", *switches()})
    source = next((word for place, word in enumerate(words) if _is_positional(words, place)), None)
    values: dict[str, Any] = read_recipe(source) if source else {}
    name = str(values.pop("name", "run"))
    given = dict(flatten(values))
    kind = Kind.named_in({key: _option(words, key) or given.get(key) for key in ("model.name", "objective.name")})
    check_keys(given, kind)
    check_keys([word[2:].partition("=")[0] for word in words if word.startswith("--") and "." in word], kind)
    parser = recipe_parser(
        kind,
        prog="ecgqa train",
        description=DESCRIPTION.format(shipped=", ".join(shipped_recipes())),
        formatter_class=Formatter,
    )
    parser.add_argument("recipe", help="YAML file of a recipe, or the name of a shipped one")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/ and the recipe's name)")
    parser.add_argument("--overwrite", type=bool, default=False, help="replace another run in that folder")
    if source:
        recipe = make_recipe(values)  # wrong values of the file are told as such, before those of the command line
        parser.set_defaults({key: value for key, value in flatten(recipe.to_dict()) if key in given})
    parsed = parser.parse_args(words).as_dict()
    out = parsed.pop("out") or Path("runs") / name
    overwrite = bool(parsed.pop("overwrite"))
    parsed.pop("recipe")
    return assemble(name, unflatten(dict(flatten(parsed)))), Path(out), overwrite


def _is_positional(words: list[str], place: int) -> bool:
    if words[place].startswith("-"):
        return False
    before = words[place - 1] if place else ""
    return not (before.startswith("--") and "=" not in before)


def _option(words: list[str], name: str) -> str | None:
    for place, word in enumerate(words):
        if word == f"--{name}" and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return None


train.takes_words = True  # type: ignore[attr-defined]
