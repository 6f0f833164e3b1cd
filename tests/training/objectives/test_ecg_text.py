"""Pretraining on ECGs with reports: what is hidden, that every part of the loss learns, what fine-tuning takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model
from ecgqa.models.medvill import Hiding
from ecgqa.models.tokenizer import Tokenizer, train_tokenizer
from ecgqa.training import train
from ecgqa.training.checkpoint import BEST, LAST, read_tensors
from ecgqa.training.distributed import World
from ecgqa.training.hidden_words import choose, draw, one_token_words
from ecgqa.training.loop import Interrupted, Trainer
from ecgqa.training.objectives.base import make_objective
from ecgqa.training.objectives.m3ae import IGNORE, hide
from ecgqa.training.recipe import Recipe, load_recipe
from ecgqa.training.start import Start

HERE = World(0, 1, torch.device("cpu"))
TINY = {"run.device": "cpu", "run.threads": 1, "objective.valid_share": 0.2}
SHORT = {"run.steps": 2, "run.batch_size": 8, "run.eval_every": 2, "run.log_every": 1}


def recipe_of(name: str, store: Path, **more: Any) -> Recipe:
    return load_recipe(name, {"data.store": str(store), **TINY, **more})


def words_of(*lengths: int) -> torch.Tensor:
    """A special token, words of these numbers of tokens, a special token."""
    numbers = [number for number, length in enumerate(lengths) for _ in range(length)]
    return torch.tensor([[-1, *numbers, -1]])


def test_words_are_hidden_as_wholes_and_as_many_as_asked() -> None:
    word = words_of(1, 3, 2, 1, 1, 4, 1, 1, 1, 1).expand(2000, -1)
    chosen = choose(word, 0.25, torch.Generator().manual_seed(1))
    assert not chosen[word < 0].any()
    for number in range(10):
        parts = chosen[:, (word == number)[0]]
        assert (parts.all(1) == parts.any(1)).all(), "all of a word or nothing"
    count = chosen.sum(1)
    assert count.min() >= 4 and count.max() <= 4 + 3  # a quarter of 16 tokens, and the rest of the last word
    assert (chosen.float().mean(0)[1:-1] > 0.1).all(), "every word has its chance"
    each = choose(one_token_words(word), 0.25, torch.Generator().manual_seed(1))
    assert (each.sum(1) == 4).all()


def test_rows_are_hidden_by_their_own_length() -> None:
    word = torch.full((3, 22), -1)
    for row, length in enumerate((1, 8, 20)):
        word[row, 1 : 1 + length] = torch.arange(length)
    assert choose(word, 0.25).sum(1).tolist() == [1, 2, 5]
    assert not choose(torch.full((2, 3), -1), 0.25).any()


def test_of_the_hidden_eight_in_ten_are_masked_and_one_is_replaced() -> None:
    chosen = torch.rand(200, 100, generator=torch.Generator().manual_seed(0)) < 0.5
    hiding, replacement = draw(chosen, 50, torch.Generator().manual_seed(2))
    assert (hiding[~chosen] == Hiding.SHOWN).all() and (hiding[chosen] != Hiding.SHOWN).all()
    shares = [(hiding[chosen] == kind).float().mean().item() for kind in (Hiding.MASKED, Hiding.REPLACED, Hiding.KEPT)]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert replacement.min() == 0 and replacement.max() == 49
    text = torch.randint(10, 50, chosen.shape)
    shown, labels = hide(text, hiding, replacement, mask_id=4)
    assert torch.equal(labels, torch.where(chosen, text, IGNORE))
    assert (shown[hiding == Hiding.MASKED] == 4).all()
    untouched = (hiding == Hiding.SHOWN) | (hiding == Hiding.KEPT)
    assert torch.equal(shown[untouched], text[untouched])
    assert torch.equal(shown[hiding == Hiding.REPLACED], replacement[hiding == Hiding.REPLACED])


def test_tokens_know_their_word() -> None:
    tokenizer = train_tokenizer(["sinus rhythm", "sinus bradycardia, otherwise normal"], 45, mask=True)
    ((ids, words),) = tokenizer.encode_words(["sinus rhythm, normal"])
    assert ids == tokenizer.encode(["sinus rhythm, normal"])[0] and len(ids) == len(words)
    assert words[0] == words[-1] == -1 and sorted(set(words[1:-1])) == list(range(4))
    for number, text in enumerate(("sinus", "rhythm", ",", "normal")):
        of_word = [index for index, word in zip(ids, words, strict=True) if word == number]
        assert tokenizer.decode(of_word).strip() == text
    ((cut, of),) = tokenizer.limited(5).encode_words(["sinus rhythm, normal"])
    assert len(cut) == len(of) == 5 and of[-1] == -1 and cut[-1] == tokenizer.separator_id
    assert tokenizer.mask_id == 4 and train_tokenizer(["a"], 10).mask_id is None


@pytest.mark.parametrize("name", ["m3ae", "medvill"])
def test_every_part_of_the_loss_learns(name: str, cohort_store: Path) -> None:
    """A handful of ECGs is learned by heart: the words, whose report it is, and what removed frames looked like."""
    changes: dict[str, Any] = {"model.conv_norm": "none", "optimizer.lr": 0.003}
    objective: Any = make_objective(recipe_of(f"{name}-pretrain-tiny", cohort_store, **changes))
    torch.manual_seed(0)
    model = objective.build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)
    batch = next(iter(objective.batches(0, 0, 8, HERE)))
    parts = ["words", "match"] + (["frames"] if name == "m3ae" else [])

    def values() -> dict[str, float]:
        model.eval()
        with torch.no_grad():
            terms = objective.terms(model, batch, torch.Generator().manual_seed(1))
        return {part: float(terms[part] / terms["terms"]) for part in parts}

    before = values()
    for update in range(150):
        model.train()
        optimizer.zero_grad()
        terms = objective.terms(model, batch, torch.Generator().manual_seed(update))
        (terms["loss"] / terms["terms"]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    still = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not still, "every parameter takes part, or several processes could not train together"
    after = values()
    for part, most in (("words", 0.6), ("match", 0.7), ("frames", 0.97)):
        assert part not in parts or after[part] < most * before[part], (part, before, after)


@pytest.mark.parametrize("name", ["m3ae", "medvill"])
def test_an_interrupted_run_ends_with_the_same_bits(
    name: str, cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {**SHORT, "run.steps": 10, "run.eval_every": 4, "run.accumulation": 2, "objective.leads_masking": 0.5}
    recipe = recipe_of(f"{name}-pretrain-tiny", cohort_store, **more)
    whole = train(recipe, tmp_path / "whole")
    update = Trainer._update

    def stop_early(self: Trainer, group: list[Any]) -> tuple[float, float, int, bool]:
        return (*update(self, group)[:3], self.at.update == 6)  # within the second epoch

    monkeypatch.setattr(Trainer, "_update", stop_early)
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "part")
    monkeypatch.undo()
    part = train(recipe, tmp_path / "part")
    ours, theirs = read_tensors(part / LAST)[0], read_tensors(whole / LAST)[0]
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_short_reports_and_test_ecgs_are_left_out(cohort_store: Path, tmp_path: Path) -> None:
    objective: Any = make_objective(recipe_of("medvill-pretrain-tiny", cohort_store))
    lengths = objective.reports.n_tokens(objective.usable["train"])
    limit = int(sorted(lengths)[len(lengths) // 2])
    ids = objective.store.records["ecg_id"][objective.usable["train"][:3].tolist()].to_list()
    (tmp_path / "tests.txt").write_text("\n".join(map(str, ids)))
    left = {"objective.min_tokens": limit, "objective.leave_out": str(tmp_path / "tests.txt")}
    fewer: Any = make_objective(recipe_of("medvill-pretrain-tiny", cohort_store, **left))
    assert (fewer.reports.n_tokens(fewer.usable["train"]) >= limit).all()
    assert 0 < fewer.n_train < objective.n_train
    assert not set(fewer.store.records["ecg_id"][fewer.usable["train"].tolist()].to_list()) & set(ids)
    assert any(f"without a report of {limit} tokens" in note for note in fewer.notes)
    assert any("left out" in note for note in fewer.notes)
    with pytest.raises(EcgqaError, match="no report to learn from"):
        make_objective(recipe_of("medvill-pretrain-tiny", cohort_store, **{"objective.min_tokens": 999}))


@pytest.fixture(scope="module")
def runs(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pretrained")
    return {
        name: train(recipe_of(f"{name}-pretrain-tiny", cohort_store, **SHORT), root / name)
        for name in ("m3ae", "medvill")
    }


@pytest.mark.parametrize(("name", "fresh"), [("m3ae", "head, separator"), ("medvill", "proj")])
def test_question_answering_takes_everything_over_but_the_head(
    name: str, fresh: str, runs: dict[str, Path], data_for_question_answering: dict[str, Any], tmp_path: Path
) -> None:
    more = {"run.start_from": str(runs[name]), "run.device": "cpu", **SHORT}
    recipe = load_recipe(f"{name}_qa-tiny", data_for_question_answering | more)
    objective: Any = make_objective(recipe)
    pretrained = Tokenizer.load(runs[name] / "tokenizer.json")
    assert objective.tokenizer.to_json() == pretrained.to_json(), "words keep their numbers"
    model = objective.build_model()
    start = Start.read(runs[name])
    said = start.put_into(model)
    assert f"; fresh: {fresh};" in said or said.endswith(f"; fresh: {fresh}"), said
    for key, tensor in model.state_dict().items():
        if key.split(".")[0] not in fresh.split(", "):
            assert torch.equal(tensor, start.weights[key]), key
    assert (train(recipe, tmp_path / "run") / BEST).is_file()


def test_m3ae_takes_the_ecg_tower_of_a_wav2vec2_run(cohort_store: Path) -> None:
    objective: Any = make_objective(recipe_of("m3ae-pretrain-tiny", cohort_store))
    model, settings = objective.build_model(), objective.recipe.model
    size = {key: getattr(settings, key) for key in ("n_layers", "width", "feedforward", "n_heads", "decimate",
            "conv_layers", "conv_norm", "positions_kernel", "positions_groups")}  # fmt: skip
    theirs = build_model("wav2vec2", {**size, "n_codes": 8, "prediction_width": 8})
    said = Start(Path("w2v"), "wav2vec2", theirs.state_dict()).put_into(model)
    for key, tensor in model.ecg_encoder.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[key]), key
    assert "text_encoder" in said and "ecg_encoder" not in said.split("fresh:")[1].split(";")[0]


def test_another_tokenizer_than_that_of_the_start_is_refused(
    runs: dict[str, Path], tiny_store: Path, tmp_path: Path
) -> None:
    train_tokenizer(["other words"], 60).save(tmp_path / "other.json")
    more = {"run.start_from": str(runs["medvill"]), "data.tokenizer": str(tmp_path / "other.json")}
    with pytest.raises(EcgqaError, match="numbers its words otherwise") as caught:
        make_objective(load_recipe("medvill_qa-tiny", {"data.store": str(tiny_store), **more}))
    assert "--data.tokenizer own" in (caught.value.fix or "")
