"""The recipe: everything that decides a training run, read from YAML, overridden key by key, checked once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ecgqa.errors import EcgqaError
from ecgqa.models.registry import describe, entry, make_config, models_for
from ecgqa.training.objectives.base import OBJECTIVES, objective_class
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
        tokenizer: "own" learns sub-words from the training texts; else BERT's, by the name of a folder that holds
            vocab.txt or tokenizer.json, of such a file, or on the Hugging Face hub (bert-base-uncased). Of several,
            separated by commas, the first that is at hand is taken.
        vocab_size: largest vocabulary of a tokenizer of our own.
        text_weights: start the embeddings of words from BERT's, where its weights lie beside its tokenizer.
        resident: keep the whole int16 store in the accelerator's memory; null does so on a GPU with room for it.
    """

    store: str = ""
    version: Literal["template", "paraphrased"] | None = None
    train_split: str = "train"
    valid_split: str = "valid"
    max_train_questions: int | None = None
    max_valid_questions: int | None = None
    questions_per_ecg: int = 1
    tokenizer: str = "own"
    vocab_size: int = 2000
    text_weights: bool = True
    resident: bool | None = None


@dataclass
class OptimizerConfig:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        lr: peak learning rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: decay per update, times the learning rate.
        clip_norm: largest gradient norm; 0 does not clip.
        average: decay per update of an exponential moving average of the weights, which then is what is evaluated
            and kept as the best checkpoint; 0 keeps none.
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    average: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.average < 1:
            raise EcgqaError("optimizer.average lies in [0, 1)", found=str(self.average))


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
        start_from: folder of a run, or of an imported checkpoint, whose weights the model starts from, as far as both
            have the same parts (a pretrained encoder under a new head).
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
    start_from: str | None = None

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
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
}

PLACE_ONLY = (
    "data.store",
    "data.resident",
    "data.tokenizer",
    "run.device",
    "run.threads",
    "run.compile",
    "run.log_every",
    "run.save_every",
    "run.start_from",
)
"""Settings that may change between the first start of a run and its resumption: they do not name another run."""


@dataclass
class Recipe:
    """A complete description of one training run.

    `model` is the configuration dataclass of `model_name`, `objective` that of `objective_name`.
    """

    name: str
    model_name: str
    model: Any
    objective_name: str
    objective: Any
    run: RunConfig
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, in the layout of the YAML file."""
        sections = {section: describe(getattr(self, section)) for section in SECTIONS}
        model = {"name": self.model_name, **describe(self.model)}
        objective = {"name": self.objective_name, **describe(self.objective)}
        return {"name": self.name, "model": model, "objective": objective, **sections}

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
        raise EcgqaError(f"{path} is no recipe", expected=f"the sections model, objective, {', '.join(SECTIONS)}")
    for own in ("inputs", "identity"):  # recipe.json of a run folder says what it is a run of, too
        values.pop(own, None)
    values.setdefault("name", path.stem)
    return values


def make_recipe(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A checked recipe from nested values, with dotted `overrides` such as {"run.steps": 2000}.

    Raises EcgqaError for unknown keys (naming the nearest known one), wrong types and impossible values.
    """
    from jsonargparse import ArgumentError

    merged = dict(flatten(values)) | dict(overrides or {})
    kind = Kind.named_in(merged)
    check_keys(merged, kind)
    parser = recipe_parser(kind, exit_on_error=False)
    given = unflatten({key: value for key, value in merged.items() if key != "name"})
    try:
        parsed = parser.parse_object(given)
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        raise EcgqaError(f"the recipe does not fit: {_short(error)}") from None
    return assemble(str(merged.get("name", kind.model)), parsed.as_dict())


class Kind(NamedTuple):
    """Names of a recipe's model and objective, which decide what other settings there are."""

    model: str
    objective: str

    @classmethod
    def named_in(cls, values: Mapping[str, Any]) -> Kind:
        """The names in dotted `values`; raises EcgqaError for unknown ones and if they do not belong together."""
        kind = cls(
            str(values.get("model.name") or "ecg_transformer"),
            str(values.get("objective.name") or "question_answering"),
        )
        task = objective_class(kind.objective).task
        if entry(kind.model).task is not task:
            raise EcgqaError(
                f"the objective {kind.objective} does not train the model {kind.model}",
                expected=f"a model for {task}: {', '.join(models_for(task))}",
                found=f"{kind.model}, a model for {entry(kind.model).task}",
                fix="set --model.name and --objective.name that belong together",
            )
        return kind

    def sections(self) -> dict[str, type]:
        """The configuration class of every section."""
        return {
            "model": entry(self.model).config,
            "objective": objective_class(self.objective).config,
            **SECTIONS,
        }


def assemble(name: str, values: dict[str, Any]) -> Recipe:
    """The recipe from one plain mapping per section, whose types are right."""
    model, objective = dict(values["model"]), dict(values["objective"])
    kind = Kind(model.pop("name"), objective.pop("name"))
    sections = {section: config(**values[section]) for section, config in SECTIONS.items()}
    made = objective_class(kind.objective).config(**objective)
    return Recipe(name, kind.model, make_config(kind.model, model), kind.objective, made, **sections)


def load_recipe(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """`make_recipe` of `read_recipe`."""
    return make_recipe(read_recipe(source), overrides)


def recipe_parser(kind: Kind, *, exit_on_error: bool = True, **options: Any) -> Any:
    """A jsonargparse parser with every setting of a recipe of this kind as `--section.key`."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=exit_on_error, default_env=False, **options)
    parser.add_argument("--model.name", default=kind.model, help="registered name of the architecture")
    parser.add_argument("--objective.name", default=kind.objective, help="what is optimised")
    for section, config in kind.sections().items():
        parser.add_class_arguments(config, section)
    return parser


def known_keys(kind: Kind) -> list[str]:
    """Every dotted key that a recipe of this kind may hold."""
    keys = [f"{section}.{item.name}" for section, config in kind.sections().items() for item in fields(config)]
    return ["name", "model.name", "objective.name", *keys]


def switches() -> list[str]:
    """Dotted keys that are yes or no, for any model and objective."""
    every = [(section, item) for section, config in SECTIONS.items() for item in fields(config)]
    every += [("objective", item) for name in OBJECTIVES for item in fields(objective_class(name).config)]
    return [f"{section}.{item.name}" for section, item in every if item.type in (bool, "bool", "bool | None")]


def check_keys(keys: Mapping[str, Any] | list[str], kind: Kind) -> None:
    """Raise EcgqaError for the first dotted key that no recipe of this kind knows."""
    known = known_keys(kind)
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
            f"a recipe for {kind.model} has no key {key!r}",
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
