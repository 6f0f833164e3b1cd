"""`ecgqa probe`: features of the right ECGs meet the right labels, and no held-out patient is learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.registry import build_model
from ecgqa.store import Store, open_store
from ecgqa.store.build import build_store
from ecgqa.store.decode import Decoder
from ecgqa.training.checkpoint import save_best
from ecgqa.training.features import FrozenEncoder, amplitude_statistics, encoder_features
from ecgqa.training.model_file import write_model_file
from ecgqa.training.probe import known_findings, probe
from support.ecg_file import write_signal

SMALL: dict[str, Any] = {
    "n_layers": 1, "width": 16, "feedforward": 32, "n_heads": 2, "conv_layers": [(8, 4, 4), (8, 4, 4)],
    "conv_norm": "none", "positions_kernel": 8, "positions_groups": 2, "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
N_TRAIN, N_VALID, FS_HZ = 60, 30, 100


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Odd ECGs are tall; the first ten of valid and of train belong to the same patients."""
    root = tmp_path_factory.mktemp("probe")
    records, questions = root / "records", root / "questions"
    records.mkdir()
    rng = np.random.default_rng(0)
    for ecg_id in range(1, N_TRAIN + N_VALID + 1):
        n_samples = 200 if ecg_id % 5 else 150
        signal = (0.5 + ecg_id % 2) * np.sin(np.arange(n_samples) / 7 + ecg_id)[:, None] * np.linspace(1, 2, 12)
        signal += 0.1 * rng.standard_normal(signal.shape)
        write_signal(records, ecg_id, np.round(1000 * signal.T).astype("<i2"), fs_hz=FS_HZ)
    patient = {ecg_id: ecg_id - N_TRAIN if N_TRAIN < ecg_id <= N_TRAIN + 10 else ecg_id for ecg_id in range(1, 91)}
    rows = "".join(f"{ecg_id},{of}\n" for ecg_id, of in patient.items())
    (records / "records.csv").write_text("path,patient_id\n" + rows)
    for split, ids in (("train", range(1, N_TRAIN + 1)), ("valid", range(N_TRAIN + 1, N_TRAIN + N_VALID + 1))):
        samples = [
            {
                "template_id": template_id, "question_id": template_id, "sample_id": 4 * number + place,
                "question_type": "single-verify", "attribute_type": "scp_code", "question": text, "answer": [answer],
                "ecg_id": [ecg_id], "attribute": ["high qrs voltage"],
            }
            for number, ecg_id in enumerate(ids)
            for place, (template_id, text, answer) in enumerate(
                [
                    (1, "Does this ECG show high qrs voltage?", "yes" if ecg_id % 2 else "no"),
                    (1, "Is high qrs voltage seen?", "yes" if ecg_id % 2 or ecg_id % 12 == 0 else "no"),
                    (17, "Does this ECG show high qrs voltage in lead I?", "no"),
                    (1, "Does it show high qrs voltage, then?", "not sure"),
                ]
            )
        ]  # fmt: skip
        folder = questions / "template" / split
        folder.mkdir(parents=True)
        (folder / "00000.json").write_text(json.dumps(samples))
    (questions / "answers.csv").write_text("index,class\n0,no\n1,not sure\n2,yes\n")
    lists = "".join(f"{template},\"['no', 'not sure', 'yes']\"\n" for template in (1, 17))
    (questions / "answers_for_each_template.csv").write_text("template_id,classes\n" + lists)
    built = build_store(root / "store", questions_root=questions, records_root=records, samples=200)
    return open_store(built)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question answering model that was never trained."""
    folder = tmp_path_factory.mktemp("runs") / "some-run"
    folder.mkdir()
    torch.manual_seed(11)
    sizes = {"n_answers": 3, "vocab_size": 20}
    model = build_model("ecg_transformer", SMALL, **sizes)
    write_model_file(folder, "ecg_transformer", model.config, sizes)
    save_best(folder, model, {})
    return folder


def test_labels_are_those_of_whole_ecgs_that_do_not_contradict(store: Store) -> None:
    items = known_findings(store)
    label = dict(zip(items["ecg_row"], items["label"], strict=True))
    ids = store.records["ecg_id"].to_list()
    assert {ids[row] for row in label} == {ecg_id for ecg_id in range(1, 91) if ecg_id % 12}
    assert all(value == (ids[row] % 2 == 1) for row, value in label.items())


def test_probe_finds_what_there_is(store: Store, run: Path) -> None:
    found = probe(run, store.folder, n_resamples=50)
    assert list(found.scores) == ["some-run", "untrained encoder", "amplitude statistics"]
    assert found.scores["amplitude statistics"].auroc > 0.95
    assert found.scores["some-run"].auroc > 0.8  # heights pass through any encoder that does not normalise
    assert found.attributes == ["high qrs voltage"]
    assert found.about["train_ecgs"] == 55 - 10  # without those of held-out patients, and without contradictions
    assert found.about["held_out_ecgs"] == 28
    assert probe(run, store.folder, n_resamples=50) == found


def test_command(store: Store, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "probe.json"
    words = ["probe", str(run), str(store.folder), "--resamples", "20", "--out", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "45 train ECGs, 28 of other patients (valid), 1 attributes" in printed
    assert "some-run - untrained encoder:" in printed
    assert json.loads(out.read_text())["scores"]["some-run"]["by_column"]
    assert main(["probe", str(run), str(store.folder), "--held_out", "train"]) == 1
    assert "no such part to hold out" in capsys.readouterr().err
    assert main(["probe", str(run), str(store.folder), "--held_out", "test"]) == 1
    assert "says nothing about whole ECGs of test" in capsys.readouterr().err


def test_a_store_without_questions_is_refused(store: Store, run: Path, tmp_path: Path) -> None:
    records = Path(store.folder).parent / "records"
    alone = build_store(tmp_path / "alone", records_root=records, samples=200)
    with pytest.raises(EcgqaError, match="says nothing about whole ECGs"):
        probe(run, alone)


def test_features_are_means_of_the_encoders_frames(store: Store) -> None:
    torch.manual_seed(3)
    encoder = EcgEncoder(EcgEncoderConfig(**SMALL))
    rows = np.array([5, 4, 30])
    found = encoder_features(encoder, store, rows, device=torch.device("cpu"), batch_size=2)
    with torch.inference_mode():
        for place, row in enumerate(rows):
            ecg, length = Decoder.mapped(store)(np.array([row]))
            frames, valid = encoder.eval()(ecg[..., : int(length)], None)
            assert valid is None
            np.testing.assert_allclose(found[place], frames.mean(1)[0].numpy(), atol=1e-5)


def test_the_encoder_is_found_where_models_keep_it(store: Store) -> None:
    encoder = EcgEncoder(EcgEncoderConfig(**SMALL))
    holder = nn.Module()
    holder.ecg_encoder = encoder
    rows = np.array([0, 1])
    place = torch.device("cpu")
    one, other = (encoder_features(model, store, rows, device=place) for model in (encoder, holder))
    np.testing.assert_array_equal(one, other)
    with pytest.raises(EcgqaError, match="holds no ECG transformer"):
        FrozenEncoder(nn.Sequential(nn.Linear(2, 2)))


def test_amplitudes_are_those_of_the_valid_samples(store: Store) -> None:
    found = amplitude_statistics(store, np.array([4, 0]))  # ECG 5 has 150 of 200 samples
    ecg, length = Decoder.mapped(store)(np.array([4]))
    lead = ecg[0, 7, : int(length)].numpy()
    expected = [lead.mean(), lead.std(), lead.min(), lead.max(), np.abs(np.diff(lead)).sum() / len(lead)]
    np.testing.assert_allclose(found[0, 7::12], expected, rtol=2e-2)
