"""The model card of a finished run: what it is, what it learned from, how well it answers, what it is not for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecgqa.artefacts import write_text
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.report.markdown import plain, table, text_table
from ecgqa.evaluation.wording import number
from ecgqa.run_folder import TRAINING, finished

FILE: Final = "MODEL_CARD.md"
_SETTINGS: Final = ("model", "objective", "data", "optimizer", "schedule", "run")
_SHOWN: Final = (("em_candidates", "exact match"), ("em_set", "exact match, strict"), ("auroc_macro", "AUROC, macro"))


def model_card(run: str | Path, *, scores: str | Path | None = None) -> Path:
    """Write MODEL_CARD.md into the folder of a finished run; returns its path.

    scores: a file of `ecgqa score --out` (or scores.json of a report), whose runs are listed. Raises EcgqaError if
    the run is not finished, or the file holds no scores.
    """
    folder = Path(run)
    manifest = finished(folder)
    if manifest is None:
        raise EcgqaError(f"{folder} holds no finished run", fix="ecgqa train with the same recipe goes on")
    recipe = _read(folder / TRAINING.file)
    model = _read(folder / "model.json")
    objective = recipe.get("objective", {}).get("name", "")
    parts = [
        f"# {plain(recipe.get('name', folder.name))}",
        "**Research use only, not for clinical use.** The model does not know when an ECG is unlike those it has seen, "
        "and nothing it says is medical advice.",
        "## What it is",
        _facts(manifest, recipe, model),
        "## What it learned from",
        _data(manifest, recipe),
        "## How well it does",
        _validation(manifest),
        _scores(Path(scores)) if scores else _NO_SCORES.get(objective, _NO_SCORES_ENCODER),
        "## What it cannot do",
        f"- {_BOUNDS.get(objective, _BOUND_ENCODER)}\n"
        "- What counts as right follows the statements of the records, mistakes included.\n"
        "- Age, sex, device and hospital of the training ECGs bound what it has seen; how well it does on others is "
        "measured nowhere in this folder.",
        "## The same again",
        "All settings are in `recipe.json`; a run is a pure function of them, of the store (by digest in "
        "`manifest.json`) and of the kind of hardware.\n\n"
        "```sh\necgqa train recipe.json --data.store STORE --out RUN\n```",
        _all_settings(recipe),
    ]
    return write_text(folder / FILE, "\n\n".join(parts) + "\n")


_BOUNDS: Final = {
    "question_answering": "It chooses among the answers of its data set; what no question asks about does not "
    "exist for it.",
    "classification": "It knows the attributes of its data set and no others; a probability is not calibrated.",
}
_BOUND_ENCODER: Final = "It answers nothing by itself: it is a start for models that do."

_NO_SCORES: Final = {
    "question_answering": "Scores on test questions are not part of a training run: `ecgqa predict`, then `ecgqa score "
    "--out scores.json`, then `ecgqa card RUN --scores scores.json` puts them here, beside those of the baselines.",
    "classification": "Scores on test items are not part of a training run: `ecgqa findings predict`, then `ecgqa "
    "findings score`.",
}
_NO_SCORES_ENCODER: Final = "What its features are worth is told by `ecgqa probe`, beside an untrained encoder."


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EcgqaError(f"{path} cannot be read: {error}") from None
    return values if isinstance(values, dict) else {}


def _facts(manifest: Mapping[str, Any], recipe: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{name} {value:,}" for name, value in (model.get("sizes") or {}).items() if value is not None)
    rows = [
        ("architecture", recipe.get("model", {}).get("name", "")),
        ("task", model.get("task") or recipe.get("objective", {}).get("name", "")),
        ("parameters", f"{manifest['counts']['parameters']:,}"),
        ("sizes", sizes),
        ("input", "12-lead ECG in millivolts, leads I, II, III, aVR, aVL, aVF, V1-V6"),
        ("weights", "best.safetensors"),
        ("made by", f"ecgqa {manifest['ecgqa_version']}"),
    ]
    return _table(rows)


def _data(manifest: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    data, inputs, counts = recipe.get("data", {}), manifest["inputs"], manifest["counts"]
    started = f"the weights with digest {inputs['start_from'][:16]}" if "start_from" in inputs else "random weights"
    rows = [
        ("store, by digest", str(inputs.get("store", ""))[:16]),
        ("split", str(data.get("train_split"))),
        ("wording", data.get("version") or ""),
        ("training items", f"{counts['training_items']:,}"),
        ("updates", f"{counts['updates']:,} of {recipe.get('run', {}).get('batch_size')} items; {manifest['stopped']}"),
        ("started from", started),
        ("seed", str(recipe.get("run", {}).get("seed"))),
        ("time, device", f"{manifest['elapsed_s']:,.0f} s on {manifest['device']}"),
    ]
    return _table(rows)


def _validation(manifest: Mapping[str, Any]) -> str:
    best = dict(manifest["best"])
    update = best.pop("update")
    told = ", ".join(f"{plain(name)} {value:.4f}" for name, value in best.items() if isinstance(value, float))
    return f"On the validation split, which also chose the checkpoint: {told} after update {update:,}."


def _scores(path: Path) -> str:
    """Overall scores of all runs in the file, with intervals."""
    found = _read(path)
    rows = [row for row in found.get("scores", []) if row.get("breakdown") == "overall"]
    if not rows:
        raise EcgqaError(f"{path} holds no scores", expected="a file of ecgqa score --out, or scores.json of a report")
    cells = {(row["run"], row["metric"]): row for row in rows}
    names = list(dict.fromkeys(row["run"] for row in rows))
    shown = [(metric, title) for metric, title in _SHOWN if any((name, metric) in cells for name in names)]
    lines = []
    for name in names:
        label = f"{plain(name)} (sees no ECG)" if name in BASELINES else plain(name)
        lines.append([label, *(_score(cells.get((name, metric), {})) for metric, _ in shown)])
    about = found.get("about", {})
    told = (
        f"{about.get('n_questions', 0):,} questions about {about.get('n_ecgs', 0):,} ECGs, split "
        f"{', '.join(about.get('splits', []))}, wording {', '.join(about.get('versions', []))}; percent, with 95 % "
        "intervals that resample ECGs."
    )
    return told + "\n\n" + "\n".join(table(["run", *(title for _, title in shown)], lines))


def _score(row: Mapping[str, Any]) -> str:
    from ecgqa.evaluation.wording import with_span

    return with_span(row) if row else number(None)


def _all_settings(recipe: Mapping[str, Any]) -> str:
    rows = [
        (f"{section}.{name}", json.dumps(value))
        for section in _SETTINGS
        for name, value in recipe.get(section, {}).items()
        if name != "store"
    ]
    return f"<details><summary>All settings</summary>\n\n{_table(rows)}\n\n</details>"


def _table(rows: list[tuple[str, str]]) -> str:
    return text_table(["", ""], [row for row in rows if row[1]])
