"""`ecgqa plot`: true millimetres, marks where waves are, plain words where there is nothing to draw."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecgqa.cli.main import main
from ecgqa.sources.synthetic.writer import write_cohort

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cohort = write_cohort(tmp_path_factory.mktemp("cohort") / "cohort", n_patients=1, workers=1)
    return next(cohort.rglob("*_hr.hea"))


def test_the_sheet_is_true_to_size(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(record), "--out", str(tmp_path / "é.svg"), "--marks", "waves"]) == 0
    said = re.search(r"\((\d+) x (\d+) mm\)", capsys.readouterr().out)
    text = (tmp_path / "é.svg").read_text(encoding="utf-8")
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    assert said and size
    for millimetres, points in zip(said.groups(), size.groups(), strict=True):
        assert float(points) / 72 * 25.4 == pytest.approx(float(millimetres), abs=0.6)
    assert all(f">{lead}<" in text for lead in ("aVR", "V1", "V6")) and "| QRS" in text


@pytest.mark.parametrize("layout", ["3x4", "6x2", "12x1"])
def test_layouts_and_kinds_of_file(record: Path, tmp_path: Path, layout: str) -> None:
    out = tmp_path / f"{layout}.png"
    assert main(["plot", str(record), "--out", str(out), "--layout", layout, "--marks", "beats", "--dpi", "50"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_told(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path / "nothing")]) == 1
    assert "no such file" in capsys.readouterr().err
    assert main(["plot", str(record), "--out", str(tmp_path / "x.docx")]) == 1
    assert ".svg, .png or .pdf" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
