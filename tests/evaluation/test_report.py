"""The report: complete, self-contained, safe against its own data; and the commands around it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.evaluation import Scores
from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.load import load_predictions, load_questions, select
from ecgqa.evaluation.metrics import METRICS
from ecgqa.evaluation.report import report
from ecgqa.records import PREDICTIONS, QUESTIONS
from ecgqa.tables import write_table
from support.answered_questions import predictions_table, questions_table

QUICK = {"n_resamples": 20, "n_permutations": 100}
HOSTILE = "</script><script>alert('x')</script><img src=http://evil.example/a onerror=alert(1)>\"' |`*\x1b[31m"


class Reader(HTMLParser):
    """Collects tags and attributes, and checks that elements are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def read_page(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def runs(questions: pl.DataFrame) -> pl.DataFrame:
    model = predictions_table(questions, run="model", status=lambda row: "refused" if row % 17 == 0 else "ok")
    baselines = [
        BASELINES[name].answer(questions, questions, 0).select(list(PREDICTIONS.columns))
        for name in ("chance", "majority_type")
    ]
    return pl.concat([model, predictions_table(questions, run="other", scores=False, seed=3), *baselines])


def test_the_page_is_complete_and_needs_nothing_else(tmp_path: Path) -> None:
    questions = questions_table(300)
    findings = report(questions, runs(questions), tmp_path / "report", command="ecgqa report a b", **QUICK)
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    reader = read_page(tmp_path / "report" / "report.html")
    for word in ("Research use only, not for clinical use", "ecgqa report a b", *METRICS, "refused", "chance", "model"):
        assert word in text, word
    assert not re.findall(r"(?:https?:)?//[a-z0-9]", text.replace("http://www.w3.org", ""))
    for tag, attributes in reader.tags:
        assert tag not in ("iframe", "object", "embed", "base", "form")
        assert not attributes.get("src", "data:").startswith("http") and not any(
            name.startswith("on") for name in attributes
        )
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden"), "a plot without a name"
        if tag == "img":
            assert attributes.get("alt")
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    links = [attributes["href"][1:] for tag, attributes in reader.tags if tag == "a"]
    assert len(ids) == len(set(ids)) and set(links) <= set(ids) and len(links) >= 9
    assert findings.headline is not None and findings.headline.row("overall")["p"] <= 1


def test_every_number_of_the_leaderboard_is_in_json_and_markdown(tmp_path: Path) -> None:
    questions = questions_table(200)
    findings = report(questions, runs(questions), tmp_path / "r", **QUICK)
    scores = Scores.read(tmp_path / "r" / "scores.json")
    markdown = (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    for run in findings.scores.runs:
        value = scores.value(run, "em_candidates")
        assert value == findings.scores.value(run, "em_candidates") and f"{100 * value:.1f}" in markdown  # type: ignore[operator]
    found = json.loads((tmp_path / "r" / "scores.json").read_text())
    assert len(found["comparisons"]) == 2 and found["examples"] and set(found["definitions"]) == set(METRICS)
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["kind"] == "report" and manifest["counts"]["runs"] == 4


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    questions = questions_table(60, templates=[1, 8]).with_columns(pl.lit(HOSTILE).alias("question"))
    questions = questions.with_columns(
        pl.col(name).list.eval(pl.when(pl.element() == "septal").then(pl.lit(HOSTILE)).otherwise(pl.element()))
        for name in ("answer", "candidates")
    )
    predictions = predictions_table(questions, run=HOSTILE)
    findings = report(
        questions, predictions, tmp_path / "r", title=HOSTILE, subset=HOSTILE, command=HOSTILE,
        about={"questions": HOSTILE, "predictions": [HOSTILE], "dataset": HOSTILE}, **QUICK,
    )  # fmt: skip
    assert findings.examples
    reader = read_page(tmp_path / "r" / "report.html")
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not any(tag == "img" for tag, _ in reader.tags)
    markdown = (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    assert "<script" not in markdown.split("```")[0] and "\x1b" not in markdown


@pytest.mark.parametrize("kept", [["model"], ["chance"], ["chance", "majority_type"], ["other"]])
def test_any_mix_of_runs_makes_a_page(tmp_path: Path, kept: list[str]) -> None:
    questions = questions_table(40, templates=[68])
    report(questions, runs(questions).filter(pl.col("run").is_in(kept)), tmp_path / "r", **QUICK)
    read_page(tmp_path / "r" / "report.html")


def test_the_same_inputs_make_the_same_bytes(tmp_path: Path) -> None:
    questions = questions_table(60)
    for name in ("a", "b"):
        report(questions, runs(questions), tmp_path / name, **QUICK)
    for file in ("report.html", "report.md", "scores.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    questions = questions_table(20)
    with pytest.raises(EcgqaError, match="not made by ecgqa"):
        report(questions, runs(questions), tmp_path, **QUICK)
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == ["precious.txt"]


def test_subsets(tmp_path: Path) -> None:
    questions = questions_table(50)
    predictions = predictions_table(questions).head(30)
    assert select(questions, predictions).questions.height == 50
    answered = select(questions, predictions, "answered")
    assert answered.questions.height == 30 and answered.subset == "answered by the run"
    ids = tmp_path / "sampled ids.txt"
    ids.write_text("3\n5\n8\n")
    listed = select(questions, predictions, str(ids))
    assert listed.questions["sample_id"].to_list() == [3, 5, 8] and listed.predictions.height == 3
    assert listed.subset == "sampled ids"
    for text, message in (("3\n999\n", "not among"), ("three", "no list")):
        ids.write_text(text)
        with pytest.raises(EcgqaError, match=message):
            select(questions, predictions, str(ids))
    with pytest.raises(EcgqaError, match="no such subset"):
        select(questions, predictions, "answerd")
    elsewhere = predictions.with_columns(pl.lit("train").cast(predictions.schema["split"]).alias("split"))
    with pytest.raises(EcgqaError, match="answer none"):
        select(questions, elsewhere)


def test_files_are_found_or_refused(tmp_path: Path) -> None:
    questions = questions_table(20)
    path = write_table(questions, tmp_path / "q.parquet", QUESTIONS)
    assert load_questions(path, "test", "template").height == 20
    with pytest.raises(EcgqaError, match="no question of split train"):
        load_questions(path, "train")
    with pytest.raises(EcgqaError, match="no such split"):
        load_questions(path, "tset")
    with pytest.raises(EcgqaError, match="no questions at"):
        load_questions(tmp_path / "nothing here")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EcgqaError):
        load_questions(broken)
    with pytest.raises(EcgqaError, match="column"):
        load_predictions([path])
    first = write_table(predictions_table(questions), tmp_path / "p" / "a.parquet", PREDICTIONS)
    assert load_predictions([tmp_path / "p"]).height == 20
    with pytest.raises(EcgqaError, match="occurs in two files"):
        load_predictions([tmp_path / "p", first])
    with pytest.raises(EcgqaError, match="holds no predictions"):
        (tmp_path / "empty").mkdir()
        load_predictions([tmp_path / "empty"])


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = questions_table(120)
    path = str(write_table(questions, tmp_path / "my questions ü.parquet", QUESTIONS))
    a = str(write_table(predictions_table(questions, run="[bold]a"), tmp_path / "a.parquet", PREDICTIONS))
    b = str(write_table(predictions_table(questions, run="b", seed=9), tmp_path / "b.parquet", PREDICTIONS))
    assert main(["score", path, a, b, "--n_resamples", "20", "--breakdown", "template"]) == 0
    said = capsys.readouterr().out
    assert "[bold]a" in said and "not for clinical use" in said and "template" in said
    assert main(["compare", path, a, b, "--n_resamples", "20", "--out", str(tmp_path / "c.json")]) == 0
    assert "[bold]a minus b" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["comparisons"]
    dest = tmp_path / "my report"
    arguments = ["report", path, a, b, "--dest", str(dest), "--n_resamples", "20"]
    assert main(arguments) == 0 and main(arguments) == 0
    assert main([*arguments, "--seed", "1"]) == 1
    assert main([*arguments, "--seed", "1", "--overwrite", "true"]) == 0
    for wrong in (
        ["score", path, a, a],
        ["score", path, str(tmp_path / "no.parquet")],
        ["score", path, a, "--metric", "accuracy"],
        ["score", path, a, "--breakdown", "colour"],
        ["compare", path, a],
        ["compare", path, a, b, "--a", "nobody"],
    ):
        capsys.readouterr()
        assert main(wrong) == 1, wrong
        assert capsys.readouterr().err.startswith("error: ")
