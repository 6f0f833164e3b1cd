"""Learning rates: the original's values, and the shape of each schedule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from ecgqa.errors import EcgqaError
from ecgqa.training.schedule import ScheduleConfig, fixed, learning_rate, tri_stage


@pytest.mark.parity
def test_the_original_rates(parity_cases: Path) -> None:
    found = [path.parent for path in sorted(parity_cases.glob("*lr_schedule*/config.json"))]
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        config = json.loads((folder / "config.json").read_text())
        inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
        for index, settings in enumerate(config["tri"]):
            steps, golden = inputs[f"tri{index}.steps"].tolist(), outputs[f"tri{index}.lr64"].tolist()
            ours = [
                tri_stage(
                    step,
                    settings["max_update"],
                    settings["lr"],
                    phases=tuple(settings["phase_ratio"]),
                    start_scale=settings["init_lr_scale"],
                    end_scale=settings["final_lr_scale"],
                )
                for step in steps
            ]
            assert ours == pytest.approx(golden, rel=1e-12), folder.name
        steps, golden = inputs["fixed.steps"].tolist(), outputs["fixed.lr64"].tolist()
        settings = config["fixed"]
        ours = [fixed(step, settings["lr"], settings["warmup_updates"]) for step in steps]
        assert ours == pytest.approx(golden, rel=1e-12), folder.name


@given(
    name=st.sampled_from(["tri_stage", "cosine", "fixed"]),
    total=st.integers(1, 3000),
    share=st.floats(0, 1),
    warmup=st.floats(0, 0.5),
)
def test_a_rate_is_positive_and_never_above_the_peak(name: str, total: int, share: float, warmup: float) -> None:
    config = ScheduleConfig(name=name, warmup=warmup, hold=0.2, decay=0.3)  # type: ignore[arg-type]
    rate = learning_rate(int(share * total), total, 1e-3, config)
    assert 0 < rate <= 1e-3 * (1 + 1e-9)


def test_shapes() -> None:
    cosine = ScheduleConfig(name="cosine", warmup=0.1, end_scale=0.1)
    rates = [learning_rate(update, 100, 1.0, cosine) for update in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (n + 1) for n in range(10)])
    assert rates[10] == 1.0 and rates[100] == pytest.approx(0.1) and rates[55] == pytest.approx(0.55)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    default = ScheduleConfig()
    assert learning_rate(300, 1000, 2.0, default) == 2.0
    assert learning_rate(1000, 1000, 2.0, default) == pytest.approx(0.1)
    assert learning_rate(5000, 1000, 2.0, default) == pytest.approx(0.1)


def test_impossible_settings_are_told() -> None:
    with pytest.raises(EcgqaError, match="shares"):
        ScheduleConfig(warmup=2)
    with pytest.raises(EcgqaError, match="end_scale"):
        ScheduleConfig(end_scale=0)
