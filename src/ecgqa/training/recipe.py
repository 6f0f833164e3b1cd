"""The recipe: everything that decides a training run, read from YAML, overridden key by key, checked once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ecgqa.errors import EcgqaError
from ecgqa.models.registry import describe, entry, make_config
from ecgqa.training.schedule import ScheduleConfig


@dataclass
class DataConfig:
    """What is learned from.

    Args:
        store: folder of the training store (`ecgqa store build` makes it).
        version: wording of the questions; null takes all that the store holds.
        train_split: split to train on.
        valid_split: split that chooses the best checkpoint.
        max_train_questions: train on this many questions, drawn once by run.seed; null takes all.
        max_valid_questions: evaluate on this many questions, drawn once by run.seed; null takes all.
        questions_per_ecg: draw up to so many questions about the same ECG into a batch, which makes it cheaper.
        vocab_size: largest vocabulary of the tokenizer trained on the questions.
        resident: keep the whole int16 store in the accelerator's memory.
    """

    store: str = ""
    version: Literal["template", "paraphrased"] | None = None
    train_split: str = "train"
    valid_split: str = "valid"
    max_train_questions: int | None = None
    max_valid_questions: int | None = None
    questions_per_ecg: int = 1
    vocab_size: int = 2000
    resident: bool = False


@dataclass
class ObjectiveConfig:
    """What is optimised.

    Args:
        name: the objective; "question_answering" is binary cross-entropy on answer classes.
        loss: "all" takes every answer class, as published; "candidates" only those that may answer the question;
            "questions" also lets every question count the same, however many candidates it has.
    """

    name: str = "question_answering"
    loss: Literal["all", "candidates", "questions"] = "all"


@dataclass
class OptimizerConfig:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        lr: peak learning rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: decay per update, times the learning rate.
        clip_norm: largest gradient norm; 0 does not clip.
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0


@dataclass
class RunConfig:
    """How long, how fast and where.

    Args:
        steps: updates to do; null takes `epochs` instead.
        epochs: passes over the training questions, where `steps` is null.
        batch_size: questions per update, over all processes and micro-batches together.
        accumulation: micro-batches that make up one update in each process; more need less memory.
        precision: "fp32" (TF32 where the hardware has it) or "bf16" (mixed, by autocast).
        seed: seed of everything.
        eval_every: updates between evaluations on valid_split; a checkpoint follows each.
        save_every: updates between checkpoints besides; 0 for none.
        log_every: updates between lines of metrics.jsonl.
        patience: evaluations without a better score before stopping early; 0 never stops early.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads of PyTorch; null leaves its choice.
        compile: compile the model with torch.compile.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 64
    accumulation: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 1
    eval_every: int = 1000
    save_every: int = 0
    log_every: int = 50
    patience: int = 0
    device: str = "auto"
    threads: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise EcgqaError("a recipe sets either run.steps or run.epochs", found=f"{self.steps=}, {self.epochs=}")
        for name in ("batch_size", "accumulation", "eval_every", "log_every"):
            if getattr(self, name) < 1:
                raise EcgqaError(f"run.{name} is 1 or more", found=str(getattr(self, name)))
        if (self.steps or 1) < 1 or (self.epochs or 1) <= 0:
            raise EcgqaError("run.steps and run.epochs are positive", found=f"{self.steps=}, {self.epochs=}")


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "run": RunConfig,
    "objective": ObjectiveConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
}

PLACE_ONLY = (
    "data.store",
    "data.resident",
    "run.device",
    "run.threads",
    "run.compile",
    "run.log_every",
    "run.save_every",
)
"""Settings that may change between the first start of a run and its resumption: they do not name another run."""


@dataclass
class Recipe:
    """A complete description of one training run. `model` is the configuration dataclass of `model_name`."""

    name: str
    model_name: str
    model: Any
    run: RunConfig
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, in the layout of the YAML file."""
        sections = {section: describe(getattr(self, section)) for section in SECTIONS}
        return {"name": self.name, "model": {"name": self.model_name, **describe(self.model)}, **sections}

    def identity(self) -> dict[str, Any]:
        """Dotted settings that decide the outcome of the run."""
        return {key: value for key, value in flatten(self.to_dict()) if key != "name" and key not in PLACE_ONLY}


def shipped_recipes() -> dict[str, Path]:
    """Recipes that come with the package, by name."""
    folder = Path(str(resources.files("ecgqa") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_recipe(source: str | Path) -> dict[str, Any]:
    """Nested values of a recipe given by the path of a YAML or JSON file, or by the name of a shipped one."""
    import yaml

    shipped = shipped_recipes()
    path = Path(source)
    if not path.is_file():
        if str(source) not in shipped:
            near = difflib.get_close_matches(path.stem, shipped, n=1)
            raise EcgqaError(
                f"no recipe {str(source)!r}",
                expected=f"a YAML file, or one of {', '.join(shipped)}",
                fix=f"did you mean {near[0]}?" if near else None,
            )
        path = shipped[str(source)]
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EcgqaError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise EcgqaError(f"{path} is no recipe", expected=f"the sections model, {', '.join(SECTIONS)}")
    values.pop("inputs", None)  # recipe.json of a run folder says what it was made from, too
    values.setdefault("name", path.stem)
    return values


def make_recipe(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A checked recipe from nested values, with dotted `overrides` such as {"run.steps": 2000}.

    Raises EcgqaError for unknown keys (naming the nearest known one), wrong types and impossible values.
    """
    from jsonargparse import ArgumentError

    merged = dict(flatten(values)) | dict(overrides or {})
    model_name = str(merged.get("model.name", "ecg_transformer"))
    check_keys(merged, model_name)
    parser = recipe_parser(model_name, exit_on_error=False)
    given = unflatten({key: value for key, value in merged.items() if key != "name"})
    try:
        parsed = parser.parse_object(given)
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        raise EcgqaError(f"the recipe does not fit: {_short(error)}") from None
    return assemble(str(merged.get("name", model_name)), parsed.as_dict())


def assemble(name: str, values: dict[str, Any]) -> Recipe:
    """The recipe from one plain mapping per section, whose types are right."""
    model = dict(values["model"])
    model_name = model.pop("name")
    sections = {section: config(**values[section]) for section, config in SECTIONS.items()}
    return Recipe(name=name, model_name=model_name, model=make_config(model_name, model), **sections)


def load_recipe(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """`make_recipe` of `read_recipe`."""
    return make_recipe(read_recipe(source), overrides)


def recipe_parser(model_name: str, *, exit_on_error: bool = True, **options: Any) -> Any:
    """A jsonargparse parser with every setting of a recipe for `model_name` as `--section.key`."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=exit_on_error, default_env=False, **options)
    for section, config in SECTIONS.items():
        parser.add_class_arguments(config, section)
    parser.add_argument("--model.name", default=model_name, help="registered name of the architecture")
    parser.add_class_arguments(entry(model_name).config, "model")
    return parser


def known_keys(model_name: str) -> list[str]:
    """Every dotted key that a recipe for this model may hold."""
    keys = ["name", "model.name", *(f"model.{item.name}" for item in fields(entry(model_name).config))]
    return keys + [f"{section}.{item.name}" for section, config in SECTIONS.items() for item in fields(config)]


def switches() -> list[str]:
    """Dotted keys that are yes or no, for any model."""
    every = ((section, item) for section, config in SECTIONS.items() for item in fields(config))
    return [f"{section}.{item.name}" for section, item in every if item.type in (bool, "bool")]


def check_keys(keys: Mapping[str, Any] | list[str], model_name: str) -> None:
    """Raise EcgqaError for the first dotted key that no recipe for this model knows."""
    known = known_keys(model_name)
    for key in keys:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
        if not near:
            by_last = {item.split(".")[-1]: item for item in known}
            near = [by_last[last] for last in difflib.get_close_matches(key.split(".")[-1], by_last, n=1)]
        section = key.split(".")[0]
        inside = [item for item in known if item.startswith(f"{section}.")] or known
        raise EcgqaError(
            f"a recipe for {model_name} has no key {key!r}",
            expected=", ".join(inside),
            fix=f"did you mean {near[0]!r}?" if near else None,
        )


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def unflatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return nested


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:500]
