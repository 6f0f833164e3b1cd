"""Real checkpoint files of the original give its logits, and the tensors of all its models find their places."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model
from ecgqa.models.upstream import MODULES, architecture
from ecgqa.store.batch import Batch
from ecgqa.training.checkpoint import load_best
from ecgqa.training.checkpoint_export import export_checkpoint
from ecgqa.training.checkpoint_import import import_checkpoint, make_plan
from ecgqa.training.model_file import read_model_file
from ecgqa.training.safe_pickle import StoredArray, StoredTensor
from ecgqa.training.torch_file import TorchFile
from ecgqa.training.upstream_checkpoint import UpstreamCheckpoint

pytestmark = pytest.mark.parity

PREFIXES = {"qa": "qa.", "upper_bound": "ub."}


def checkpoints(root: Path) -> list[tuple[str, Path]]:
    """(prefix of its tensors in the case's files, path) of every checkpoint of every case."""
    found = [
        (prefix, path)
        for path in sorted(root.glob("*/*/*.pt"))
        for name, prefix in PREFIXES.items()
        if path.parent.name == name or path.parent.name == f"{name}_legacy_keys"
    ]
    if not found:
        pytest.skip("no case of this kind")
    return found


def lengths(mask: torch.Tensor) -> torch.Tensor:
    return (~mask[:, 0]).sum(-1)


def logits_of(folder: Path, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    model: Any = read_model_file(folder).build()
    load_best(folder, model)
    model.eval()
    if "source" in inputs:
        source = inputs["source"]
        out: torch.Tensor = model(source, lengths(inputs["padding_mask"]), torch.ones(source.shape[:2]).bool())
        return out
    ecgs = [inputs["ecg"], inputs["ecg_2"]] if "ecg_2" in inputs else [inputs["ecg"]]
    masks = [inputs[key] for key in ("ecg_padding_mask", "ecg_2_padding_mask") if key in inputs]
    n, k = len(ecgs[0]), len(ecgs)
    text_length = (~inputs["text_padding_mask"]).sum(-1)
    batch = Batch(
        torch.cat(ecgs),
        torch.cat([lengths(mask) for mask in masks]),
        torch.arange(n * k).view(k, n).T,
        inputs["text"],
        text_length,
        *[torch.zeros(n, 1)] * 2,
        torch.arange(n),
    )
    answered: torch.Tensor = model(batch)
    return answered


@torch.inference_mode()
def test_checkpoint_files_give_the_original_logits(parity_cases: Path, tmp_path: Path) -> None:
    for number, (prefix, path) in enumerate(checkpoints(parity_cases)):
        case = path.parent.parent
        inputs, outputs, weights = (
            {key.removeprefix(prefix): tensor for key, tensor in load_file(case / f"{name}.safetensors").items()
             if key.startswith(prefix)}
            for name in ("inputs", "outputs", "weights")
        )  # fmt: skip
        out = tmp_path / str(number)
        done = import_checkpoint(path, out)
        assert not done.dropped and done.compat == "published"
        golden = outputs["logits"]
        tolerance = 2e-5 + 1e-5 * golden.abs().max().item()
        torch.testing.assert_close(logits_of(out, inputs), golden, atol=tolerance, rtol=0.0)
        # Back in the original's layout it is the same file.
        export_checkpoint(out, tmp_path / "back.pt")
        back = torch.load(tmp_path / "back.pt", weights_only=True)
        modern = {name.replace("weight_g", "parametrizations.weight.original0"): name for name in weights}
        modern = {name.replace("weight_v", "parametrizations.weight.original1"): old for name, old in modern.items()}
        assert back["model"].keys() == modern.keys()
        assert all(torch.equal(back["model"][name], weights[old]) for name, old in modern.items())
        assert back["cfg"] == json.loads(json.dumps(back["cfg"])) and back["cfg"]["model"]["_name"] == done.upstream
        assert back["cfg"]["model"] == TorchFile(path).content["cfg"]["model"]


@torch.inference_mode()
def test_files_of_before_zip_and_of_half_precision(parity_cases: Path, tmp_path: Path) -> None:
    """The same checkpoints as older and as half-precision training would have written them."""
    for prefix, path in checkpoints(parity_cases):
        content = torch.load(path, weights_only=False)
        inputs, outputs = (
            {key.removeprefix(prefix): value for key, value in load_file(path.parent.parent / name).items()
             if key.startswith(prefix)}
            for name in ("inputs.safetensors", "outputs.safetensors")
        )  # fmt: skip
        torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        import_checkpoint(tmp_path / "old.pt", tmp_path / "old", overwrite=True)
        torch.testing.assert_close(logits_of(tmp_path / "old", inputs), outputs["logits"], atol=1e-4, rtol=1e-4)
        content["model"] = {name: tensor.half() for name, tensor in content["model"].items()}
        torch.save(content, tmp_path / "half.pt")
        import_checkpoint(tmp_path / "half.pt", tmp_path / "half", overwrite=True)
        difference = (logits_of(tmp_path / "half", inputs) - outputs["logits"]).abs().max()
        assert 0 < difference < 0.02 * outputs["logits"].abs().max()


LISTS: dict[str, tuple[str, ...]] = {
    "3kg_ecg_transformer": ("3kg", "_3kg", "ecg_transformer"),
    "cmsc_ecg_transformer": ("cmsc", "ecg_transformer"),
    "simclr_ecg_transformer": ("simclr", "ecg_transformer"),
    "m3ae_pretrain": ("m3ae",),
    "medvill_pretrain": ("medvill",),
    "qa_blind_transformer_ptbxl": ("blind_transformer_qa",),
    "qa_deaf_transformer_ptbxl": ("deaf_transformer_qa",),
    "qa_ecg_transformer_base_mimic": ("ecg_language_transformer_classifier",),
    "qa_ecg_transformer_base_ptbxl": ("ecg_language_transformer_classifier",),
    "qa_ecg_transformer_small_ptbxl": ("ecg_language_transformer_classifier",),
    "qa_medvill_finetuned_ptbxl": ("ecg_language_transformer_classifier",),
    "qa_m3ae_ptbxl": ("m3ae_qa",),
    "qa_resnet_lstm_ptbxl": ("resnet_lstm_classifier",),
    "ub_ecg_transformer_scratch": ("ecg_transformer_classifier",),
    "ub_w2v_cmsc_rlm_finetuned_ptbxl": ("ecg_transformer_classifier",),
    "ub_nejedly2021_ptbxl": ("nejedly2021resnet_classifier",),
    "ub_se_wrn_ptbxl": ("se_wrn_classifier",),
    "w2v_cmsc_rlm": ("wav2vec2_cmsc",),
    "w2v_cmsc_rlm_small": ("wav2vec2_cmsc",),
    "wav2vec2": ("wav2vec2",),
}
"""Lists of all tensors of the original's models, and the registered names that such a checkpoint may state."""


def listed(path: Path) -> tuple[dict[str, StoredTensor], int]:
    """Tensors by name as a checkpoint describes them, and the stated number of parameters."""
    weights, n_parameters = {}, 0
    for line in path.read_text().splitlines():
        if line.startswith("# parameters"):
            n_parameters = int(line.split()[2].rstrip(";").replace(",", ""))
        if not line.startswith("#") and line.strip():
            name, shape, dtype = line.split("\t")
            size = ast.literal_eval(shape)
            stride = tuple(math.prod(size[place + 1 :]) for place in range(len(size)))
            weights[name] = StoredTensor(StoredArray(str(len(weights)), dtype, math.prod(size)), 0, size, stride)
    return weights, n_parameters


@pytest.mark.parametrize("name", LISTS)
def test_every_tensor_of_the_published_models_finds_its_place(parity_cases: Path, name: str) -> None:
    """Nothing missing, nothing left over, the stated number of parameters; no memory is used for them."""
    path = parity_cases.parent / "design" / "state_dicts" / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"no list {name}")
    known = [one for one in LISTS[name] if one in MODULES]
    if not known:
        pytest.skip(f"{' or '.join(LISTS[name])} is not registered")
    weights, n_parameters = listed(path)
    file = cast(TorchFile, SimpleNamespace(path=path, n_bytes=4 * sum(stored.n_values for stored in weights.values())))
    checkpoint = UpstreamCheckpoint(file, weights, {}, {}, {})
    assert set(known) & set(checkpoint.looks_like)
    for upstream in known:
        plan = make_plan(checkpoint, upstream)
        assert set(plan.dropped) <= set(weights) and len(plan.tensors) == len(weights) - len(plan.dropped)
        if not plan.dropped:
            assert plan.n_parameters == n_parameters
        of = architecture(upstream)
        back = of.renaming.theirs(cast(dict[str, torch.Tensor], plan.tensors))
        assert back.keys() == weights.keys() - set(plan.dropped)
        with torch.device("meta"):
            build_model(of.model, plan.config, **plan.sizes).load_state_dict(
                {key: torch.empty(stored.shape) for key, stored in plan.tensors.items()}, strict=True
            )


def test_every_case_is_the_same_as_a_file_and_back(parity_cases: Path, tmp_path: Path) -> None:
    """Weights and settings of each golden case, saved as the original saves them; and the way back without its own."""
    seen = 0
    for path in sorted(parity_cases.glob("*/config.json")):
        described = json.loads(path.read_text())
        upstream, weights = described.get("upstream_model_name"), path.with_name("weights.safetensors")
        if upstream not in MODULES or "model" not in described or not weights.is_file():
            continue
        seen += 1
        narrowed = {key: value for key, value in described.items() if isinstance(value, int)}  # of small copies
        theirs, config = load_file(weights), {"_name": upstream, **described["model"], **narrowed}
        origin: Any = "medvill" if "MedViLL" in described["upstream_class"] else "scratch"
        torch.save({"cfg": {"model": config}, "model": theirs}, tmp_path / "theirs.pt")
        out = tmp_path / path.parent.name
        import_checkpoint(tmp_path / "theirs.pt", out, origin=origin)
        before = read_model_file(out)
        assert export_checkpoint(out, tmp_path / "back.pt") == upstream
        back = torch.load(tmp_path / "back.pt", weights_only=True)
        assert back["cfg"]["model"] == config
        kept = back["model"]
        assert theirs.keys() - kept.keys() == set(json.loads((out / "manifest.json").read_text())["dropped"])
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in kept.items())
        # As a run of our own: the original's settings are made from ours, and mean the same.
        (out / "upstream.json").unlink()
        try:
            export_checkpoint(out, tmp_path / "own.pt", architecture=upstream)
        except EcgqaError as error:
            if architecture(upstream).original is None and "cannot be told" in error.message:
                continue  # there is no way back but for imported ones, and the user is told so
            raise
        own = torch.load(tmp_path / "own.pt", weights_only=True)
        del own["ecgqa"]
        torch.save(own, tmp_path / "own.pt")
        import_checkpoint(tmp_path / "own.pt", tmp_path / "own", origin=origin, overwrite=True)
        assert read_model_file(tmp_path / "own") == before
    if not seen:
        pytest.skip("no case of this kind")
