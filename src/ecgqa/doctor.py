"""What this machine has of what the commands need: extras, data, text encoders, accelerators."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from ecgqa import __version__

EXTRAS: Final = {
    "train": (("torch", "safetensors", "tokenizers"), "train, predict, probe, checkpoint"),
    "plot": (("matplotlib",), "plot, drawings in reports"),
    "llm": (("inspect_ai", "openai"), "llm run, ask --model"),
    "explore": (("starlette", "uvicorn"), "explore"),
    "cluster": (("dask", "distributed"), "--cluster"),
}
"""Extras of the package: what they bring, and which commands need them."""
DATA: Final = {"ptbxl": "PTB-XL", "mimic-iv-ecg": "MIMIC-IV-ECG", "questions": "released questions"}
BERT: Final = "bert-base-uncased"


@dataclass(frozen=True)
class Finding:
    """One thing that is there or not; `fix` is the command that gets it."""

    name: str
    present: bool
    told: str
    fix: str = ""


def examine() -> dict[str, list[Finding]]:
    """Everything that was looked at, by heading. Reads no data and asks no network."""
    return {
        "Program": [_program(), *(_extra(name, *needed) for name, needed in EXTRAS.items())],
        "Data": [_cached(kind, title) for kind, title in DATA.items()],
        "Models": [_bert(), _accelerator(), _disk()],
    }


def _program() -> Finding:
    return Finding("ecgqa", True, f"{__version__}, Python {platform.python_version()}, {os.cpu_count()} processors")


def _extra(name: str, packages: tuple[str, ...], commands: str) -> Finding:
    found = {package: _version(package) for package in packages}
    missing = [package for package, known in found.items() if known is None]
    if missing:
        return Finding(name, False, f"{', '.join(missing)} missing; for {commands}", f'pip install "ecgqa[{name}]"')
    return Finding(name, True, ", ".join(f"{package} {known}" for package, known in found.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cached(kind: str, title: str) -> Finding:
    from ecgqa.sources.cache import cache_folder, is_complete

    folder = cache_folder(kind)
    if is_complete(kind):
        return Finding(title, True, str(folder))
    state = "a download that is not finished" if folder.exists() and any(folder.iterdir()) else "not in the cache"
    own = "" if kind == "questions" else "   or name yours with --records FOLDER"
    return Finding(title, False, f"{state} ({folder})", f"ecgqa fetch {kind}{own}")


def _bert() -> Finding:
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub")
    found = sorted(hub.expanduser().glob(f"models--*{BERT}/snapshots/*/*"))
    names = {path.name for path in found}
    if names & {"vocab.txt", "tokenizer.json"}:
        weights = "with weights" if names & {"model.safetensors", "pytorch_model.bin"} else "without weights"
        return Finding(BERT, True, f"{weights}, in {found[0].parent}")
    return Finding(
        BERT,
        False,
        "not in the Hugging Face cache; only the published recipes ask for it, and they do with words of their own",
        f"hf download {BERT}   or --data.tokenizer FOLDER",
    )


def _accelerator() -> Finding:
    if _version("torch") is None:
        return Finding("GPU", False, "torch is not installed, so it cannot be asked")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding("GPU", True, ", ".join(names))
    return Finding("GPU", False, "none that torch sees: the tiny and small recipes train on processors")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding("disk", free > 10, f"{free:,.0f} GB free here; a store of all of PTB-XL takes 2.7 GB")
