"""What is shown to a language model: each view, each set of leads on its own look, and nothing about the patient."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion, asked_questions
from ecgqa.llm.experiment import Experiment
from ecgqa.llm.prompts import Prompter
from ecgqa.llm.views import Material, make_views
from ecgqa.records import ALL_LEADS, ATTRIBUTES, FINDINGS, LEADS, RECORDS, QuestionType, lead_set
from ecgqa.sources.synthetic.writer import write_cohort
from ecgqa.store import open_store
from ecgqa.store.build import build_store
from ecgqa.tables import read_table, write_table
from support.llm_questions import llm_questions, write_questions

LIMB, CHEST = lead_set(LEADS[:6]), lead_set(LEADS[6:])


def asked(template_id: int, kind: str, question: str, candidates: list[str], *ecg_ids: int) -> AskedQuestion:
    frame = pl.DataFrame(
        {"template_id": [template_id], "question_id": [0], "sample_id": [7], "question_type": [kind],
         "attribute_type": ["noise"], "question": [question], "answer": [["yes"]], "ecg_id": [list(ecg_ids)],
         "attribute": [None], "split": ["test"], "version": ["template"], "candidates": [candidates]}
    )  # fmt: skip
    (one,) = asked_questions(frame)
    return one


WHOLE_ECG = asked(1, "single-verify", "Is sinus rhythm there?", ["no", "not sure", "yes"], 1)
ONE_LEAD = asked(26, "single-verify", "Is there static noise in lead V1?", ["no", "yes"], 1)
LIMBS = asked(17, "single-verify", "Do the limb leads show low qrs voltages?", ["no", "yes"], 1)
EACH_LEAD = asked(34, "single-query", "Which leads show static noise?", [*(f"lead {x}" for x in LEADS), "none"], 1)
PAIR = asked(48, "comparison_consecutive-query", "What is new?", ["sinus rhythm", "none"], 1, 2)
NAMED_PLACE = asked(1, "single-verify", "Is it ischemic in inferior leads?", ["no", "yes"], 1)


@pytest.fixture(scope="module")
def findings() -> pl.DataFrame:
    """Class scores that say where they were looked at: 0.5 and a bit by lead set."""
    looks = [ALL_LEADS, LIMB, CHEST, *(1 << place for place in range(12))]
    rows = [
        ("x", ecg_id, "test", leads, name, p, threshold, None, "upper bound")
        for ecg_id in (1, 2)
        for place, leads in enumerate(looks)
        for name, p, threshold in (("sinus rhythm", 0.6 + place / 100 + ecg_id / 1000, 0.5), ("drift", 0.4, 0.3),
                                   ("quiet", 0.7, 0.9))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FINDINGS.polars, orient="row")


def test_findings_are_those_of_the_leads_asked_about(findings: pl.DataFrame) -> None:
    (view,) = make_views("findings", Material(findings=findings))
    (block,) = view.blocks(WHOLE_ECG)
    assert (block.heading, block.text) == ("Interpretation of the ECG:", "sinus rhythm: 0.601\ndrift: 0.400")
    (block,) = view.blocks(ONE_LEAD)
    assert block.heading == "Interpretation of the ECG in lead V1:" and "sinus rhythm: 0.691" in block.text
    (block,) = view.blocks(LIMBS)
    assert block.heading == "Interpretation of the ECG in limb leads:" and "sinus rhythm: 0.611" in block.text
    blocks = view.blocks(EACH_LEAD)
    assert [block.heading for block in blocks] == [f"Interpretation of the ECG in lead {lead}:" for lead in LEADS]
    assert len({block.text for block in blocks}) == 12  # each on a look of its own
    first, second = view.blocks(PAIR)
    assert first.heading == "Interpretation of the previous ECG:" and "0.601" in first.text
    assert second.heading == "Interpretation of the recent ECG:" and "0.602" in second.text
    (block,) = view.blocks(NAMED_PLACE)
    assert block.heading == "Interpretation of the ECG:"  # the name says where; the view is not narrowed


def test_the_published_cut_is_at_one_half(findings: pl.DataFrame) -> None:
    (view,) = make_views("findings-at-half", Material(findings=findings))
    (block,) = view.blocks(WHOLE_ECG)
    assert block.text == "quiet: 0.700\nsinus rhythm: 0.601"


def test_a_look_that_is_missing_is_an_error_that_says_which(findings: pl.DataFrame) -> None:
    (view,) = make_views("findings", Material(findings=findings.filter(pl.col("leads") != 1 << 6)))
    with pytest.raises(EcgqaError, match="ECG 1 seen in lead V1") as error:
        view.blocks(EACH_LEAD)
    assert "ecgqa findings predict" in str(error.value)


def test_nothing_above_threshold_is_said(findings: pl.DataFrame) -> None:
    low = findings.with_columns(pl.lit(0.01, dtype=pl.Float32).alias("probability"))
    text = Prompter(make_views("findings", Material(findings=low)), "published").prompt(WHOLE_ECG).text
    assert "Interpretation of the ECG:\n(nothing)" in text


@pytest.mark.parametrize("view", ["findings", "attributes", "features", "image", "nonsense", "findings+image"])
def test_lacking_material_is_said(view: str) -> None:
    with pytest.raises(EcgqaError):
        make_views(view, Material())


def test_the_published_structure(findings: pl.DataFrame) -> None:
    views = make_views("findings", Material(findings=findings))
    prompter = Prompter(views, "published")
    (message,) = prompter.prompt(WHOLE_ECG).messages
    intro, block, ending, instruction = message.text.split("\n\n")
    assert message.role == "user" and "score" in intro and "interpretations of each ECG" in intro
    assert block == "Interpretation of the ECG:\nsinus rhythm: 0.601\ndrift: 0.400"
    assert ending == "Question: Is sinus rhythm there?\nOptions: no, not sure, yes"
    assert "only with options" in instruction and "without any explanation" in instruction
    # "None" follows the options of every question but the yes-or-no ones.
    for question_type in QuestionType:
        one = asked(1, question_type.value, "?", ["lead I", "none"], 1)
        assert (one.options[-1] == "None") == (not question_type.value.endswith("verify"))


def test_chain_of_thought_ends_with_an_answer_line(findings: pl.DataFrame) -> None:
    text = Prompter(make_views("findings", Material(findings=findings)), "cot").prompt(WHOLE_ECG).text
    assert "step by step" in text and "'Answer:'" in text and "without any explanation" not in text


def test_few_shot_needs_exemplars_and_only_few_shot() -> None:
    for style, exemplars in (("few-shot", []), ("published", [WHOLE_ECG])):
        with pytest.raises(EcgqaError, match="exemplars"):
            Prompter([], style, exemplars)  # type: ignore[arg-type]
    messages = Prompter([], "few-shot", [PAIR, WHOLE_ECG]).prompt(ONE_LEAD).messages
    assert [message.role for message in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[1].text == "yes" and "V1" in messages[-1].text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic cohort with its questions and store, and an attribute table."""
    folder = tmp_path_factory.mktemp("views")
    cohort = write_cohort(folder / "cohort", n_patients=30, workers=1)
    assert main(["attributes", "build", str(cohort), str(folder / "attributes")]) == 0
    assert main(["questions", "build", str(folder / "attributes"), str(folder / "questions"), "--seed", "1"]) == 0
    build_store(folder / "store", questions_root=folder / "questions", records_root=cohort, versions=["template"])
    return folder


def few(world: Path, tmp_path: Path, n: int = 6, split: str = "train") -> Path:
    """A subset of questions of different kinds."""
    from ecgqa.questions.subset import Subset

    frame = open_store(world / "store").questions(split, "template")
    some = frame.unique("question_type", maintain_order=True).head(n)
    return Subset.of("few", some, {}).write(tmp_path / "few.json")


def test_no_prompt_tells_who_the_patient_is(world: Path, tmp_path: Path) -> None:
    """Neither ids, names, ages, dates nor paths; whatever the view."""
    store, subset = world / "store", few(world, tmp_path)
    experiment = Experiment.make(store, view="attributes+features+image", attributes=world / "attributes",
                                 subset=subset)  # fmt: skip
    records = read_table(store / "records.parquet", RECORDS)
    for one in experiment.asked:
        text = experiment.prompter.prompt(one).text
        told = records.filter(pl.col("ecg_id").is_in(one.ecg_ids))
        for record in told.iter_rows(named=True):
            assert record["path"] not in text and Path(record["path"]).name not in text
            assert not re.search(rf"(?<![\d.]){record['ecg_id']:05d}(?![\d.])", text)
            moment: datetime = record["recorded_at"]
            assert moment.strftime("%Y-%m-%d") not in text and str(moment.year) not in text
        assert not re.search(r"\b(?:ecg_id|patient|age|years|male|female|sex)\b", text, re.IGNORECASE)
        assert text.count("[image sha256:") == len(one.ecg_ids)


def test_views_are_joined_in_their_order(world: Path, tmp_path: Path) -> None:
    subset = few(world, tmp_path, n=2)
    made = [Experiment.make(world / "store", view=view, attributes=world / "attributes", subset=subset)
            for view in ("attributes+image", "image+attributes", "attributes")]  # fmt: skip
    both, turned, one = (experiment.prompter.prompt(experiment.asked[0]) for experiment in made)
    assert both.text.index("Attributes of") < both.text.index("[image") and both.n_images == 1
    assert turned.text.index("[image") < turned.text.index("Attributes of")
    assert len({both.digest, turned.digest, one.digest}) == 3
    assert made[0].settings != made[1].settings and "signals" in made[0].inputs and "signals" not in made[2].inputs


def test_attributes_are_told_with_leads_units_and_ranges(world: Path, tmp_path: Path) -> None:
    table = read_table(world / "attributes" / "attributes.parquet", ATTRIBUTES)
    (view,) = make_views("attributes", Material(attributes=table))
    for ecg_id in table["ecg_id"].unique().head(5):
        (block,) = view.blocks(asked(1, "single-verify", "?", ["no", "yes"], ecg_id))
        of_ecg = table.filter(pl.col("ecg_id") == ecg_id)
        for name, lead, value in of_ecg.filter(pl.col("attribute_type") == "noise").select(
            "attribute", pl.col("lead").cast(pl.String), pl.col("value").cast(pl.String)
        ).iter_rows():  # fmt: skip
            if lead is not None and value == "yes":
                assert re.search(rf"noise: {name} in leads .*\b{lead}\b", block.text)
        number = of_ecg.filter(pl.col("attribute") == "qrs duration")["number"].item()
        if number is not None:
            assert f"qrs duration {number:.3f} s (" in block.text
    with pytest.raises(EcgqaError, match="nothing about ECG 987654"):
        view.blocks(asked(1, "single-verify", "?", ["no", "yes"], 987654))


def test_features_are_told_with_units_and_only_the_leads_asked(world: Path) -> None:
    from ecgqa.llm.signals import StoreSignals

    store = open_store(world / "store")
    (view,) = make_views("features", Material(signals=StoreSignals(store)))
    frame = store.questions("train", "template")
    for per_lead, n_leads in ((26, 1), (22, 12)):
        one = next(asked_questions(frame.filter(pl.col("template_id") == per_lead).head(1)))
        (block,) = view.blocks(one)
        for expected in (r"ventricular rate: \d+ /min", r"qrs duration: \d+ ms \(", r"heart axis: -?\d+ degrees"):
            assert re.search(expected, block.text)
        assert len(re.findall(r"^lead ", block.text, re.MULTILINE)) == n_leads


def test_exemplars_come_from_train_only(world: Path, tmp_path: Path) -> None:
    store = open_store(world / "store")
    subset = few(world, tmp_path, split="test")
    experiment = Experiment.make(world / "store", style="few-shot", shots=5, subset=subset)
    prompt = experiment.prompter.prompt(experiment.asked[0])
    train = set(store.questions("train", "template")["question"])
    shown = [re.findall(r"Question: (.*)\nOptions", message.text)[0] for message in prompt.messages[:-1:2]]
    assert len(shown) == 5 and set(shown) <= train
    again = Experiment.make(world / "store", style="few-shot", shots=5, subset=subset)
    other = Experiment.make(world / "store", style="few-shot", shots=5, subset=subset, seed=1)
    assert again.inputs == experiment.inputs != other.inputs
    # Without a train split there is nothing to take them from.
    lonely = tmp_path / "test.parquet"
    from ecgqa.records import QUESTIONS

    frame = store.questions("test", "template").select(list(QUESTIONS.columns))
    write_table(frame, lonely, QUESTIONS)
    with pytest.raises(EcgqaError):
        Experiment.make(lonely, style="few-shot", shots=5)


def test_an_image_is_a_png_sent_as_such(world: Path, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    from ecgqa.llm.task import chat

    experiment = Experiment.make(world / "store", view="image", subset=few(world, tmp_path, n=1))
    (message,) = chat(experiment.prompter.prompt(experiment.asked[0]))
    image = next(part for part in message.content if getattr(part, "type", "") == "image")
    assert image.image.startswith("data:image/png;base64,iVBOR")


def test_inspect_finds_the_task(tmp_path: Path) -> None:
    """By the entry point that pyproject.toml declares, as `inspect eval ecgqa/ecg_questions` does."""
    pytest.importorskip("inspect_ai")
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = tmp_path / "site" / "ecgqa_declared-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ecgqa-declared\nVersion: 0\n")
    lines = [f"{name} = {where}" for name, where in declared["inspect_ai"].items()]
    (installed / "entry_points.txt").write_text("[inspect_ai]\n" + "\n".join(lines) + "\n")
    questions = write_questions(llm_questions(5), tmp_path / "questions.parquet")
    program = (
        "import sys; from inspect_ai._eval.loader import load_tasks; "
        "(task,) = load_tasks(['ecgqa/ecg_questions'], {'questions': sys.argv[1]}); "
        "print(task.name, len(task.dataset), task.dataset[0].target)"
    )
    path = os.pathsep.join([str(installed.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program, str(questions)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["ecg_questions", "5"] and "no" in done.stdout


def test_digests_follow_the_findings(findings: pl.DataFrame) -> None:
    def digest(table: pl.DataFrame) -> str:
        return make_views("findings", Material(findings=table))[0].inputs["findings"]

    shuffled = findings.sample(fraction=1, shuffle=True, seed=1)
    assert digest(findings) == digest(shuffled) == digest(pl.concat([shuffled.head(5), shuffled.tail(-5)]))
    changed = findings.with_columns((pl.col("probability") + 0.001).cast(pl.Float32))
    assert digest(findings) != digest(changed)
