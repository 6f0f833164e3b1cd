"""Checkpoints of the original: every layout imports to the same model, goes back unchanged, and misfits are named."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecgqa.artefacts import write_json
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.models import build_model, make_config
from ecgqa.models.tokenizer import train_tokenizer
from ecgqa.models.upstream import architecture
from ecgqa.store import open_store
from ecgqa.training.checkpoint import read_weights, save_best
from ecgqa.training.checkpoint_export import export_checkpoint
from ecgqa.training.checkpoint_import import import_checkpoint
from ecgqa.training.checkpoint_info import weights_info
from ecgqa.training.model_file import read_model_file, write_model_file
from ecgqa.training.prediction import predict
from ecgqa.training.start import Start

TRANSFORMER = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8, 2, 2)] * 3",
    "conv_pos": 4,
    "conv_pos_groups": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.1,
    "dropout_input": 0.0,
    "feature_grad_mult": 0.1,
}
ORIGINALS: dict[str, dict[str, Any]] = {
    "ecg_language_transformer_classifier": {
        **TRANSFORMER,
        "max_text_size": 20,
        "num_labels": 5,
        "vocab_size": 60,
        "sep_token": 3,
        "no_pretrained_weights": True,
    },
    "ecg_transformer_classifier": {**TRANSFORMER, "final_dropout": 0.1, "num_labels": 3},
    "nejedly2021resnet_classifier": {
        "num_blocks": 2,
        "num_filters": 8,
        "kernel_size": "[7, 5]",
        "stride": 2,
        "conv_bias": False,
        "final_dropout": 0.5,
        "use_mha": True,
        "indicate_leads": True,
        "num_labels": 3,
        "in_d": 12,
        "leadwise": False,
    },
    "se_wrn_classifier": {
        "num_filters": "[8, 8, 16]",
        "num_blocks": 2,
        "kernel_size": 5,
        "ratio": 8,
        "conv_bias": False,
        "final_dropout": 0.3,
        "num_labels": 3,
        "in_d": 12,
        "leadwise": False,
        "widening_factor": 1,
    },
}
QA = "ecg_language_transformer_classifier"
HEADS = [name for name in ORIGINALS if name != QA]


def weights_of(upstream: str, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of the original's model, every tensor random."""
    of, settings = architecture(upstream), ORIGINALS[upstream]
    model = build_model(of.model, of.settings(settings), **of.sizes(settings))
    generator = torch.Generator().manual_seed(seed)
    return of.renaming.theirs(
        {
            name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor + 3
            for name, tensor in model.state_dict().items()
        }
    )


def content_of(upstream: str) -> dict[str, Any]:
    """What the original's training saves."""
    weights = weights_of(upstream)
    return {
        "args": None,
        "cfg": {
            "_name": None,
            "model": {"_name": upstream, "args": None, **ORIGINALS[upstream]},
            "optimization": {"lr": [1e-4], "max_update": 50},
            "optimizer": {"_name": "adam", "adam_betas": "(0.9, 0.98)"},
        },
        "model": weights,
        "criterion": None,
        "optimizer_history": [{"lr_scheduler_state": {"best": 0.5}, "num_updates": 4}],
        "task_state": {},
        "extra_state": {"metrics": {"valid": [1, 2]}, "val_loss": 0.5, "train_iterator": {"epoch": 3}},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": []},
    }


def spelled_as_before_2025(content: dict[str, Any]) -> dict[str, Any]:
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = content["model"]
    for new, before in old.items():
        weights = {name.replace(new, before): tensor for name, tensor in weights.items()}
    return content | {"model": weights}


def with_arguments(content: dict[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in content["cfg"]["model"].items() if key not in ("_name", "args")}
    arguments = argparse.Namespace(arch=content["cfg"]["model"]["_name"], lr=[1e-4], **settings)
    return {key: value for key, value in content.items() if key != "cfg"} | {"args": arguments}


def cast(content: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return content | {
        "model": {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in content["model"].items()
        }
    }


LAYOUTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "as written today": lambda content: content,
    "before 2025": spelled_as_before_2025,
    "arguments": with_arguments,
    "wrapped": lambda content: content | {"model": {f"module.{k}": v for k, v in content["model"].items()}},
    "half": lambda content: cast(content, torch.float16),
    "bfloat16": lambda content: cast(content, torch.bfloat16),
    "double": lambda content: cast(content, torch.float64),
    "parameters": lambda content: (
        content | {"model": {k: torch.nn.Parameter(v, False) for k, v in content["model"].items()}}
    ),
}


def save(content: Any, path: Path, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("upstream", ORIGINALS)
def test_every_layout_gives_the_same_model(tmp_path: Path, upstream: str, layout: str) -> None:
    content = LAYOUTS[layout](content_of(upstream))
    for container in (True, False):
        path = save(content, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=container)
        done = import_checkpoint(path, tmp_path / "out", overwrite=True)
        of, settings = architecture(upstream), ORIGINALS[upstream]
        described = read_model_file(tmp_path / "out")
        assert (done.upstream, done.model) == (upstream, of.model) == (upstream, described.name)
        assert make_config(of.model, described.config) == make_config(of.model, of.settings(settings) | of.published)
        read, facts = read_weights(tmp_path / "out")
        expected = of.renaming.ours(weights_of(upstream))
        assert read.keys() == expected.keys() and facts["update"] == 4
        dtype = {"half": torch.float16, "bfloat16": torch.bfloat16}.get(layout, torch.float32)
        for name, tensor in expected.items():
            rounded = tensor.to(dtype).float() if tensor.is_floating_point() else tensor
            assert read[name].dtype == rounded.dtype and torch.equal(read[name], rounded), name
        described.build().load_state_dict(read, strict=True)


def test_weights_alone_import_by_their_shapes(tmp_path: Path) -> None:
    """Without settings the published ones hold, with layers and sizes as the tensors have them."""
    upstream = "ecg_transformer_classifier"
    of = architecture(upstream)
    model = build_model(of.model, {"n_layers": 3}, n_classes=164)
    for content in (model.state_dict(), {"model": model.state_dict()}):
        weights = content.get("model", content)
        theirs: Any = of.renaming.theirs(weights)
        path = save({"model": theirs} if "model" in content else theirs, tmp_path / "weights.pt")
        done = import_checkpoint(path, tmp_path / "out", overwrite=True)
        described = read_model_file(tmp_path / "out")
        assert done.upstream == upstream and described.config["n_layers"] == 3 and described.sizes == {"n_classes": 164}
    path = save({"model": weights_of(upstream)}, tmp_path / "small.pt")
    with pytest.raises(EcgqaError, match="is no ecg_transformer_classifier") as caught:
        import_checkpoint(path, tmp_path / "small")
    assert "of another shape" in (caught.value.found or "") and "--settings" in (caught.value.fix or "")
    (tmp_path / "model.yaml").write_text(json.dumps({"model": ORIGINALS[upstream]}))
    import_checkpoint(path, tmp_path / "small", settings=tmp_path / "model.yaml")
    assert read_model_file(tmp_path / "small").config["width"] == 16


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["model"].pop(name)


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "missing": (without("encoder.encoder.layers.1.fc1.bias"), "1 missing: encoder.encoder.layers.1.fc1.bias"),
    "surplus": (lambda content: content["model"].update(odd=torch.zeros(2)), "1 left over: odd"),
    "shape": (lambda content: content["model"].update({"proj.bias": torch.zeros(9)}), "another shape: proj.bias (3,)"),
    "layers": (
        lambda content: content["cfg"]["model"].update(encoder_layers=3),
        "16 missing: encoder.encoder.layers.2.",
    ),
    "labels": (lambda content: content["cfg"]["model"].update(num_labels=4), "2 of another shape: proj.weight"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_named(tmp_path: Path, misfit: str) -> None:
    spoil, told = MISFITS[misfit]
    content = content_of("ecg_transformer_classifier")
    spoil(content)
    path = save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(EcgqaError, match="is no ecg_transformer_classifier") as caught:
        import_checkpoint(path, tmp_path / "out")
    assert told in (caught.value.found or "")
    assert not (tmp_path / "out").exists() and [one.name for one in tmp_path.glob("*") if "out" in one.name] in (
        [],
        [".out.lock"],
    )


ODD_SETTINGS: dict[str, Any] = {
    "encoder_layers": 10**9,
    "encoder_embed_dim": -16,
    "conv_feature_layers": "[(8, 2, 2)] * 999999999",
    "conv_pos": None,
    "num_labels": 10**12,
    "final_dropout": "much",
    "encoder_attention_heads": [2] * 10_000,
}


@pytest.mark.parametrize("key", ODD_SETTINGS)
def test_odd_settings_are_refused_before_anything_is_built(tmp_path: Path, key: str) -> None:
    content = content_of("ecg_transformer_classifier")
    content["cfg"]["model"][key] = ODD_SETTINGS[key]
    with pytest.raises(EcgqaError):
        import_checkpoint(save(content, tmp_path / "checkpoint.pt"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_that_are_lacking_are_named(tmp_path: Path) -> None:
    content = content_of("ecg_transformer_classifier")
    del content["cfg"]["model"]["conv_pos_groups"]
    path = save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(EcgqaError, match="conv_pos_groups") as caught:
        import_checkpoint(path, tmp_path / "out")
    assert "--settings" in (caught.value.fix or "")
    (tmp_path / "more.yaml").write_text("conv_pos_groups: 2\n")
    import_checkpoint(path, tmp_path / "out", settings=tmp_path / "more.yaml")


def test_the_wrong_architecture_is_told_which_it_is(tmp_path: Path) -> None:
    path = save(content_of(QA), tmp_path / "checkpoint.pt")
    with pytest.raises(EcgqaError, match="holds no se_wrn_classifier") as caught:
        import_checkpoint(path, tmp_path / "out", architecture="se_wrn_classifier")
    assert QA in (caught.value.found or "") and QA in (caught.value.fix or "")
    with pytest.raises(EcgqaError, match="not known here") as caught:
        import_checkpoint(path, tmp_path / "out", architecture="gpt")
    assert QA in (caught.value.found or "")
    content = content_of(QA)
    content["cfg"]["model"]["_name"] = None
    assert import_checkpoint(save(content, path), tmp_path / "out").upstream == QA
    path = save({"model": {"some.weight": torch.zeros(2)}}, path)
    with pytest.raises(EcgqaError, match="does not say which model it is"):
        import_checkpoint(path, tmp_path / "other")


def test_tensors_without_meaning_are_left_out_and_told(tmp_path: Path) -> None:
    content = content_of("ecg_transformer_classifier")
    content["model"]["encoder.mask_emb"] = torch.zeros(16)
    content["model"]["encoder.embeddings.position_ids"] = torch.arange(4)
    done = import_checkpoint(save(content, tmp_path / "checkpoint.pt"), tmp_path / "out")
    assert sorted(done.dropped) == ["encoder.embeddings.position_ids", "encoder.mask_emb"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["dropped"] == done.dropped


def origin(settings: dict[str, Any]) -> dict[str, Any]:
    return ORIGINALS[QA] | {"no_pretrained_weights": False} | settings


@pytest.mark.parametrize(
    ("settings", "asked", "compat"),
    [
        ({"no_pretrained_weights": True}, None, "published"),
        ({"model_path": None}, None, "published"),
        ({"model_path": "/x/outputs/MedViLL/checkpoint_best.pt"}, None, "pooling"),
        ({"model_path": "/x/a.pt", "args": {"model": {"_name": "medvill"}}}, None, "pooling"),
        ({"model_path": "/x/a.pt", "args": {"model": {"_name": "wav2vec2_cmsc"}}}, None, "published"),
        ({"model_path": "/x/a.pt"}, "medvill", "pooling"),
        ({"model_path": "/x/a.pt"}, "scratch", "published"),
        ({"model_path": "/x/a.pt"}, None, None),
    ],
)
def test_models_from_medvill_honour_the_text_mask(
    tmp_path: Path, settings: dict[str, Any], asked: Any, compat: str | None
) -> None:
    """Both kinds have the same tensors: where the file does not tell, the user must."""
    content = content_of(QA)
    content["cfg"]["model"] = {"_name": QA, **origin(settings)}
    path = save(content, tmp_path / "checkpoint.pt")
    if compat is None:
        with pytest.raises(EcgqaError, match="does not tell whether that was MedViLL") as caught:
            import_checkpoint(path, tmp_path / "out", origin=asked)
        assert "--origin" in (caught.value.fix or "")
    else:
        assert import_checkpoint(path, tmp_path / "out", origin=asked).compat == compat
        assert read_model_file(tmp_path / "out").config["compat"] == compat
    repaired = import_checkpoint(path, tmp_path / "repaired", compat="off")
    assert repaired.compat == "off" == read_model_file(tmp_path / "repaired").config["compat"]


def own_run(folder: Path, upstream: str, **settings: Any) -> Path:
    """A folder as training leaves it."""
    of = architecture(upstream)
    config = make_config(of.model, of.settings(ORIGINALS[upstream]) | settings)
    sizes = of.sizes(ORIGINALS[upstream])
    model = build_model(of.model, config, **sizes)
    folder.mkdir()
    save_best(folder, model, {"update": 7})
    write_model_file(folder, of.model, config, sizes)
    if upstream == QA:
        write_json(folder / "answers.json", list("abcde"))
        train_tokenizer(["is the rhythm fast?"], 40).save(folder / "tokenizer.json")
    else:
        write_json(folder / "classes.json", {"items": "repaired", "fs_hz": 500.0, "classes": list("abc")})
    return folder


@pytest.mark.parametrize("compat", ["off", "published"])
@pytest.mark.parametrize("upstream", ORIGINALS)
def test_an_exported_run_imports_as_the_same_run(tmp_path: Path, upstream: str, compat: str) -> None:
    run = own_run(tmp_path / "run", upstream, compat=compat)
    path = tmp_path / "sub" / "checkpoint_best.pt"
    assert export_checkpoint(run, path) == upstream
    plain = torch.load(path, weights_only=True)
    of = architecture(upstream)
    assert plain["cfg"]["model"]["_name"] == upstream and plain["optimizer_history"][-1]["num_updates"] == 7
    assert {"train_iterator"} <= plain["extra_state"].keys() and plain["args"] is None
    assert plain["model"].keys() == weights_of(upstream).keys()
    assert of.sizes(plain["cfg"]["model"]) == of.sizes(ORIGINALS[upstream])
    assert of.settings(plain["cfg"]["model"]) == of.settings(ORIGINALS[upstream])
    import_checkpoint(path, tmp_path / "again")
    for name in ("model.json", "answers.json", "tokenizer.json", "classes.json"):
        assert (run / name).is_file() == (tmp_path / "again" / name).is_file()
        if (run / name).is_file():
            assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    first, second = read_weights(run)[0], read_weights(tmp_path / "again")[0]
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    # Without our own description it is the original's, whose defects are kept.
    del plain["ecgqa"]
    done = import_checkpoint(save(plain, tmp_path / "theirs.pt"), tmp_path / "theirs")
    assert done.compat == "published"


@pytest.mark.parametrize("upstream", ORIGINALS)
def test_an_imported_checkpoint_goes_back_unchanged(tmp_path: Path, upstream: str) -> None:
    content = content_of(upstream)
    import_checkpoint(save(content, tmp_path / "theirs.pt"), tmp_path / "out")
    export_checkpoint(tmp_path / "out", tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert back["cfg"] == content["cfg"] and back["optimizer_history"] == content["optimizer_history"]
    assert back["extra_state"]["train_iterator"] == {"epoch": 3} and back["extra_state"]["val_loss"] == 0.5
    assert back["model"].keys() == content["model"].keys()
    assert all(torch.equal(back["model"][name], tensor) for name, tensor in content["model"].items())


@pytest.mark.parametrize(
    "ours",
    [
        3,
        {"upstream": "se_wrn_classifier"},
        {"upstream": QA, "config": {"n_layers": "many"}, "sizes": {}, "files": {}},
        {"upstream": QA, "config": {"x": 1}, "sizes": {"n_answers": 5, "vocab_size": 60}, "files": {}},
        {"files": {"answers.json": [1, 2, 3, 4, 5]}},
        {"files": {"answers.json": "abcde"}},
        {"files": {"tokenizer.json": "{}"}},
        {"files": {"tokenizer.json": 3}},
        {"upstream": "\x1b[2Jsystem"},
        {"config": {"n_layers": 10**9}},
    ],
)
def test_odd_descriptions_in_an_exported_file_are_refused(tmp_path: Path, ours: Any) -> None:
    export_checkpoint(own_run(tmp_path / "run", QA), tmp_path / "good.pt")
    content = torch.load(tmp_path / "good.pt", weights_only=True)
    few = isinstance(ours, dict) and len(ours) == 1
    content["ecgqa"] = {**content["ecgqa"], **ours} if few and "upstream" not in ours else ours
    if isinstance(ours, dict) and "\x1b" in ours.get("upstream", ""):
        content["ecgqa"] = {"upstream": ours["upstream"], "config": {}, "sizes": {}, "files": {}}
    with pytest.raises(EcgqaError) as caught:
        import_checkpoint(save(content, tmp_path / "odd.pt"), tmp_path / "out")
    assert "\x1b" not in str(caught.value) and not (tmp_path / "out").exists()


def test_an_encoder_as_wide_as_its_convolutions_has_no_projection(tmp_path: Path) -> None:
    upstream = "ecg_transformer_classifier"
    of, settings = architecture(upstream), ORIGINALS[upstream] | {"conv_feature_layers": "[(16, 2, 2)] * 2"}
    weights = of.renaming.theirs(build_model(of.model, of.settings(settings), n_classes=3).state_dict())
    assert not any("post_extract_proj" in name for name in weights)
    content = content_of(upstream) | {"model": weights, "cfg": {"model": {"_name": upstream, **settings}}}
    import_checkpoint(save(content, tmp_path / "theirs.pt"), tmp_path / "out")
    logits = read_model_file(tmp_path / "out").build()(
        torch.randn(2, 12, 80), torch.full((2,), 80), torch.ones(2, 12) > 0
    )
    assert logits.shape == (2, 3)


@pytest.mark.parametrize("settings", [{"layer_norm_first": True}, {"extractor_mode": "layer_norm"}, {"in_d": 8}])
def test_variants_that_are_not_built_here_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Some have the same tensors, and would silently compute something else."""
    content = content_of(QA)
    content["cfg"]["model"] |= settings
    with pytest.raises(EcgqaError, match="is not built here"):
        import_checkpoint(save(content, tmp_path / "checkpoint.pt"), tmp_path / "out")


def test_what_the_original_cannot_build_is_not_exported(tmp_path: Path) -> None:
    run = own_run(tmp_path / "run", QA, conv_norm="none")
    with pytest.raises(EcgqaError, match="cannot build") as caught:
        export_checkpoint(run, tmp_path / "back.pt")
    assert "conv_norm 'none'" in (caught.value.found or "") and not (tmp_path / "back.pt").exists()
    with pytest.raises(EcgqaError, match="is se_wrn here"):
        export_checkpoint(run, tmp_path / "back.pt", architecture="se_wrn_classifier")
    with pytest.raises(EcgqaError, match="no such folder"):
        export_checkpoint(tmp_path / "absent", tmp_path / "back.pt")


@pytest.fixture
def qa_for(tiny_store: Path, tmp_path: Path) -> Path:
    """A checkpoint of the original for the tiny store, with its answers and tokenizer beside it."""
    store = open_store(tiny_store)
    tokenizer = train_tokenizer(store.questions("train")["question"].to_list(), 60)
    tokenizer.save(tmp_path / "tokenizer.json")
    lines = [f"{index},{name}" for index, name in enumerate(sorted([*store.answers, "none"]))]
    (tmp_path / "answers.csv").write_text("\n".join(["index,class", *lines]) + "\n")
    settings = ORIGINALS[QA] | {"num_labels": len(store.answers), "vocab_size": tokenizer.vocab_size}
    content = content_of(QA)
    of = architecture(QA)
    model = build_model(of.model, of.settings(settings), **of.sizes(settings))
    content |= {"model": of.renaming.theirs(model.state_dict()), "cfg": {"model": {"_name": QA, **settings}}}
    return save(content, tmp_path / "qa.pt")


def test_an_imported_model_answers_questions(qa_for: Path, tiny_store: Path, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    by_csv = import_checkpoint(qa_for, tmp_path / "csv", answers=tmp_path / "answers.csv", tokenizer=tokenizer)
    import_checkpoint(qa_for, tmp_path / "store", answers=tiny_store, tokenizer=tokenizer)
    assert not by_csv.lacking
    assert json.loads((tmp_path / "csv" / "answers.json").read_text()) == open_store(tiny_store).answers
    rows = predict(tmp_path / "csv", tiny_store)
    assert rows.drop("run").equals(predict(tmp_path / "store", tiny_store).drop("run")) and rows.height > 0
    assert Start.read(tmp_path / "csv").model_name == "ecg_transformer"
    assert import_checkpoint(qa_for, tmp_path / "bare").lacking == ["answers.json", "tokenizer.json"]
    with pytest.raises(EcgqaError, match=r"answers\.json is damaged or missing"):
        predict(tmp_path / "bare", tiny_store)


def test_companions_of_another_model_are_refused(qa_for: Path, tmp_path: Path) -> None:
    def refused(told: str, **options: Any) -> None:
        with pytest.raises(EcgqaError, match=told):
            import_checkpoint(qa_for, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    (tmp_path / "few.csv").write_text("index,class\n0,yes\n1,none\n")
    refused("are not those of this model", answers=tmp_path / "few.csv")
    (tmp_path / "other.csv").write_text("id,name\n0,yes\n")
    refused("lists no answers", answers=tmp_path / "other.csv")
    refused("no such file", answers=tmp_path / "absent.csv")
    train_tokenizer([f"{a}{b}" for a in "abcdefghijklm" for b in "nopqrstuvwxyz"], 300).save(tmp_path / "large.json")
    refused("not that of this model", tokenizer=tmp_path / "large.json")


def test_a_second_import_completes_or_asks(qa_for: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = import_checkpoint(qa_for, out)
    stamp = (out / "best.safetensors").stat().st_mtime_ns
    assert import_checkpoint(qa_for, out) == first and (out / "best.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(EcgqaError, match="already holds"):
        import_checkpoint(qa_for, out, compat="off")
    shutil.rmtree(out)
    out.mkdir()
    (out / "mine.txt").write_text("x")
    with pytest.raises(EcgqaError, match="not made by ecgqa"):
        import_checkpoint(qa_for, out, overwrite=True)


def test_commands(qa_for: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, back = str(tmp_path / "out dir"), str(tmp_path / "back.pt")
    assert main(["checkpoint", "info", str(qa_for)]) == 0
    told = capsys.readouterr().out
    assert QA in told and "encoder.encoder.layers x 2" in told and "float32" in told and "checkpoint import" in told
    assert main(["checkpoint", "import", str(qa_for), out, "--answers", str(tmp_path / "answers.csv")]) == 0
    told = capsys.readouterr().out
    assert "still lacking for predictions: tokenizer.json" in told and "--tokenizer FILE" in told
    assert main(["checkpoint", "info", out]) == 0
    assert "ecg_transformer (for question answering)" in capsys.readouterr().out
    assert main(["checkpoint", "info", f"{out}/best.safetensors", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    parameters = sum(p.numel() for p in read_model_file(Path(out)).build().parameters())
    assert described["parameters"] == parameters == sum(described["tree"].values())
    assert main(["checkpoint", "export", out, back]) == 0
    assert weights_info(back).n_parameters == parameters
    Path(back).write_bytes(b"nothing")
    capsys.readouterr()
    assert main(["checkpoint", "info", back]) == 1 and main(["checkpoint", "import", back, out]) == 1
    assert main(["checkpoint", "info", str(tmp_path / "absent")]) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told and "unexpected" not in told
