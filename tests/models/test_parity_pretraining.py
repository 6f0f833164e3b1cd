"""wav2vec 2.0, W2V+CMSC and the CMSC loss give the original's numbers, gradients included, on its own random draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ecgqa.models import build_model
from ecgqa.models.upstream import architecture
from ecgqa.models.wav2vec2 import Prediction, Wav2Vec2
from ecgqa.training import losses
from ecgqa.training.masking import skip_itself
from ecgqa.training.objectives.wav2vec2 import Wav2Vec2ObjectiveConfig, gumbel_temperature, terms_of
from ecgqa.training.recipe import load_recipe

pytestmark = pytest.mark.parity

WAV2VEC2 = ("wav2vec2", "wav2vec2_cmsc")


def close(ours: Tensor, golden: Tensor, what: str) -> None:
    tolerance = 2e-5 + 1e-5 * golden[golden.isfinite()].abs().max().item()
    message = lambda text: f"{what}: {text}"
    torch.testing.assert_close(ours.to(golden.dtype), golden, atol=tolerance, rtol=0.0, msg=message)


def lengths(padding_mask: Tensor | None, source: Tensor) -> Tensor:
    if padding_mask is None:
        return torch.full((len(source),), source.shape[-1])
    return (~padding_mask[:, 0]).sum(-1)


def batches(inputs: dict[str, Tensor]) -> list[str]:
    return sorted({key.split(".")[0] for key in inputs})


class Case:
    """One golden folder: the original's settings, and our model with its weights."""

    def __init__(self, folder: Path, upstream_name: str, compat: str = "published") -> None:
        self.folder, self.config = folder, json.loads((folder / "config.json").read_text())
        names = ("weights", "inputs", "outputs")
        self.weights, self.inputs, self.outputs = (load_file(folder / f"{name}.safetensors") for name in names)
        self.upstream = architecture(upstream_name)
        settings = self.upstream.settings(self.config["model"]) | {"compat": compat}
        settings |= dict.fromkeys(("dropout", "attention_dropout", "input_dropout", "feature_dropout"), 0.0)
        model = build_model(self.upstream.model, settings)
        assert isinstance(model, Wav2Vec2)
        self.model = model.eval()
        self.model.load_state_dict(self.upstream.renaming.ours(self.weights), strict=True)

    def negatives(self, batch: str) -> Tensor:
        """Int64 (B, M, K) from the raw draws (B, K * M)."""
        draws = self.inputs[f"{batch}.negative_draws"]
        return skip_itself(draws.unflatten(1, (-1, self.config["model"]["num_negatives"])))

    def predict(self, batch: str, *, temperature: float = 1.0) -> Prediction:
        source, mask = self.inputs[f"{batch}.source"], self.inputs[f"{batch}.mask_indices"]
        noise = self.inputs[f"{batch}.gumbel_noise"]
        settings = self.model.config
        noise = noise.view(len(source), -1, settings.n_codebooks, settings.n_codes)
        length = lengths(self.inputs.get(f"{batch}.padding_mask"), source)
        out: Prediction = self.model(source, length, mask, temperature=temperature, noise=noise)
        return out

    def terms(self, out: Prediction, batch: str, cmsc_weight: float = 0.0) -> dict[str, Tensor]:
        """The terms of the loss by their golden names, and their sum "loss"."""
        diversity, penalty = self.config["criterion"]["loss_weights"]
        settings = Wav2Vec2ObjectiveConfig(
            temperature=self.config["model"]["logit_temp"],
            diversity_weight=diversity,
            feature_weight=penalty,
            cmsc_weight=cmsc_weight,
            cmsc_temperature=self.config["criterion"].get("temp", 0.1),
        )
        ids = (self.inputs.get(f"{batch}.{name}", torch.zeros(len(out.held))) for name in ("patient_id", "segment"))
        terms = terms_of(out, self.negatives(batch), *ids, settings, repaired=False)
        names = {
            "infonce_sum": terms.info_nce,
            "diversity_scaled": terms.diversity,
            "feature_penalty_scaled": terms.penalty,
            "loss": terms.loss,
        }
        return names | ({"cmsc_scaled": terms.cmsc} if cmsc_weight else {})


def found(root: Path) -> list[tuple[Path, str]]:
    every = [(path.parent, json.loads(path.read_text())) for path in sorted(root.glob("*/config.json"))]
    chosen = [(folder, str(config.get("upstream_model_name"))) for folder, config in every]
    return [(folder, name) for folder, name in chosen if name in WAV2VEC2] or pytest.skip("no case of this kind")


def position_major(x: Tensor) -> Tensor:
    """(B, M, ...) as the original flattens it: all rows of the batch for the first place, then the second."""
    return x.transpose(0, 1).flatten(0, 1)


@torch.inference_mode()
def test_every_step_gives_the_original_numbers(parity_cases: Path) -> None:
    for folder, name in found(parity_cases):
        case = Case(folder, name)
        back = case.upstream.renaming.theirs(case.model.state_dict())
        assert back.keys() == case.weights.keys() and all(torch.equal(back[k], case.weights[k]) for k in back)
        for batch in batches(case.inputs):
            out, where = case.predict(batch), f"{folder.name} batch {batch}"
            assert bool(out.held.all())
            logits = losses.frame_logits(
                out.predicted, out.targets, out.codes, case.negatives(batch), case.config["model"]["logit_temp"]
            )
            one_hot = torch.nn.functional.one_hot(out.codes, case.model.config.n_codes).float()
            ours = {
                "final_proj": out.predicted,
                "project_q": out.targets,
                "quantizer.prob_perplexity": losses.perplexity(out.probabilities, out.held),
                "quantizer.code_perplexity": losses.perplexity(one_hot, out.held),
                "logits": position_major(logits),
                "similarity": logits.permute(2, 0, 1),
                "feature_penalty": out.energy.mean(),
                "pooled_features": out.pooled,
            }
            for key, value in ours.items():
                if f"{batch}.{key}" in case.outputs:
                    close(value, case.outputs[f"{batch}.{key}"], f"{where} {key}")
            if f"{batch}.quantizer.codes" in case.outputs:
                assert torch.equal(out.codes, case.outputs[f"{batch}.quantizer.codes"]), where
            if f"{batch}.negative_index" in case.outputs:
                m = out.held.shape[1]
                places = case.negatives(batch) + m * torch.arange(len(out.held))[:, None, None]
                assert torch.equal(places.flatten(1), case.outputs[f"{batch}.negative_index"]), where
            correct = (logits[:, :, 0] > logits[:, :, 1:].max(-1).values)[out.held].sum()
            assert int(correct) == int(case.outputs[f"{batch}.correct"]), where


@torch.inference_mode()
def test_loss_terms(parity_cases: Path) -> None:
    for folder, name in found(parity_cases):
        case = Case(folder, name)
        for batch in batches(case.inputs):
            out = case.predict(batch)
            for prefix, weight in ((batch, 1.0), (f"{batch}.weight_half", 0.5)):
                if f"{prefix}.loss_total" not in case.outputs:
                    continue
                terms = case.terms(out, batch, weight if name == "wav2vec2_cmsc" else 0.0)
                close(terms.pop("loss"), case.outputs[f"{prefix}.loss_total"], f"{folder.name} {prefix} total")
                for key, value in terms.items():
                    close(value, case.outputs[f"{prefix}.loss.{key}"], f"{folder.name} {prefix} {key}")


def test_training_gradients(parity_cases: Path) -> None:
    for folder, name in found(parity_cases):
        case = Case(folder, name)
        case.model.train()
        for batch in batches(case.inputs):
            prefix = f"{batch}.train."
            if f"{prefix}loss" not in case.outputs:
                continue
            updates = case.config.get("num_updates_for_train_part", 0)
            temperature = gumbel_temperature(updates, *case.config["model"]["latent_temp"])
            if f"{prefix}temp" in case.outputs:
                assert temperature == pytest.approx(float(case.outputs[f"{prefix}temp"]), rel=1e-6)
            case.model.zero_grad()
            out = case.predict(batch, temperature=temperature)
            total = case.terms(out, batch, 1.0 if name == "wav2vec2_cmsc" else 0.0)["loss"]
            torch.testing.assert_close(total, case.outputs[f"{prefix}loss"], rtol=1e-5, atol=0.0)
            total.backward()  # type: ignore[no-untyped-call]
            compare_gradients(case, prefix, f"{folder.name} batch {batch}")


def compare_gradients(case: Case, prefix: str, where: str) -> None:
    gradients = case.upstream.renaming.theirs(
        {name: p.grad for name, p in case.model.named_parameters() if p.grad is not None}
    )
    for key, golden in case.outputs.items():
        if key.startswith(f"{prefix}grad_l2."):
            ours = gradients[key.removeprefix(f"{prefix}grad_l2.")].norm()
            torch.testing.assert_close(ours, golden, rtol=1e-4, atol=1e-7, msg=lambda t, k=key: f"{where} {k}: {t}")
        elif key.startswith(f"{prefix}grad."):
            ours, largest = gradients[key.removeprefix(f"{prefix}grad.")], golden.abs().max().item()
            message: Any = lambda t, k=key: f"{where} {k}: {t}"
            torch.testing.assert_close(ours, golden, rtol=0.0, atol=1e-4 * largest, msg=message)


def cmsc_cases(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    every = [(path.parent, json.loads(path.read_text())) for path in sorted(root.glob("*/config.json"))]
    chosen = [(folder, config) for folder, config in every if config.get("criterion", {}).get("_name") == "cmsc"]
    return chosen or pytest.skip("no case of this kind")


def test_cmsc_loss_and_its_gradient(parity_cases: Path) -> None:
    for folder, config in cmsc_cases(parity_cases):
        inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
        for batch in batches(inputs):
            features = inputs[f"{batch}.features"].clone().requires_grad_()
            unit = losses.unit_length(features, through_norm=False)
            cosine, positive = losses.segment_similarity(
                unit, inputs[f"{batch}.patient_id"], inputs[f"{batch}.segment"]
            )
            loss = losses.cmsc(cosine, positive, config["criterion"]["temp"])
            close(loss, outputs[f"{batch}.loss"], f"{folder.name} batch {batch}")
            loss.backward()  # type: ignore[no-untyped-call]
            assert features.grad is not None
            for ours, golden in zip(features.grad, outputs[f"{batch}.grad_features"], strict=True):
                atol = 1e-4 * golden.abs().max().item() + 1e-7
                torch.testing.assert_close(ours, golden, rtol=0.0, atol=atol)


@torch.inference_mode()
def test_repaired_an_ecg_gives_alone_what_it_gives_padded_beside_others(parity_cases: Path) -> None:
    """Predictions, targets, pooled features and the penalty's share of every row; unrepaired, padding changes them."""
    for folder, name in found(parity_cases):
        for batch in batches(Case(folder, name).inputs):
            repaired, kept = (_rows_alone(Case(folder, name, compat), batch) for compat in ("off", "published"))
            assert max(repaired) < 5e-5, folder.name
            if f"{batch}.padding_mask" in Case(folder, name).inputs:
                assert max(kept) > 1e-3, folder.name


def _rows_alone(case: Case, batch: str) -> list[float]:
    """How far each row's results move when it is computed alone, cut to its own length."""
    together, source = case.predict(batch), case.inputs[f"{batch}.source"]
    mask = case.inputs[f"{batch}.mask_indices"]
    length = lengths(case.inputs.get(f"{batch}.padding_mask"), source)
    moved = []
    for row, n in enumerate(length.tolist()):
        n_frames = int(case.model.n_frames(torch.tensor(n)))
        alone: Prediction = case.model(source[row : row + 1, :, :n], torch.tensor([n]), mask[row : row + 1, :n_frames])
        for key in ("predicted", "targets", "pooled", "energy"):
            ours, theirs = getattr(alone, key)[0], getattr(together, key)[row]
            moved.append(float((ours - theirs).abs().max() / theirs.abs().max()))
    return moved


@pytest.mark.parametrize(
    ("recipe", "upstream_name", "n_parameters", "listing"),
    [
        ("wav2vec2-base", "wav2vec2", 90_883_072, "wav2vec2"),
        ("w2v_cmsc_rlm-base", "wav2vec2_cmsc", 90_883_072, "w2v_cmsc_rlm"),
        ("w2v_cmsc_rlm-small", "wav2vec2_cmsc", 62_531_584, "w2v_cmsc_rlm_small"),
        ("cmsc-base", "ecg_transformer", 90_373_248, "cmsc_ecg_transformer"),
        ("simclr-base", "ecg_transformer", 90_373_248, "simclr_ecg_transformer"),
        ("3kg-base", "ecg_transformer", 90_373_248, "3kg_ecg_transformer"),
    ],
)
def test_shipped_recipes_have_the_published_tensors(
    recipe: str, upstream_name: str, n_parameters: int, listing: str, parity_cases: Path
) -> None:
    shipped = load_recipe(recipe)
    with torch.device("meta"):
        model = build_model(shipped.model_name, shipped.model)
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters
    theirs = architecture(upstream_name).renaming.theirs(model.state_dict())
    keys = parity_cases.parent / "design" / "state_dicts" / f"{listing}.txt"
    if keys.is_file():
        rows = [line.split("\t") for line in keys.read_text().splitlines() if not line.startswith("#")]
        assert {name: str(tuple(tensor.shape)) for name, tensor in theirs.items()} == {row[0]: row[1] for row in rows}
