"""The symbolic reader against an independent oracle on all templates, and its run folder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.attributes.vocabulary import Vocabulary, mimic_vocabulary, ptbxl_vocabulary
from ecgqa.cli.main import main
from ecgqa.evaluation.load import load_predictions, select
from ecgqa.evaluation.score import score
from ecgqa.llm.offline import answer_all, vocabulary_of
from ecgqa.llm.oracle import OracleReader
from ecgqa.llm.symbolic import Findings, SymbolicReader, shifted
from ecgqa.questions.asked import Asked
from ecgqa.questions.build import build_questions
from ecgqa.questions.facts import gather_facts
from ecgqa.questions.grid import question_grid
from ecgqa.questions.grounding import lead_sets_asked
from ecgqa.questions.sampling import Limits
from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import ALL_LEADS, FINDINGS, LEADS, PREDICTIONS, QUESTIONS, lead_set
from ecgqa.tables import read_table, write_table
from questions.oracle import cohort

WORDS = ptbxl_vocabulary()
LIMB, CHEST = lead_set(LEADS[:6]), lead_set(LEADS[6:])


def findings_table(rows: list[tuple[int, int, str, float]], threshold: float = 0.5) -> pl.DataFrame:
    """FINDINGS of (ecg_id, leads, attribute, probability)."""
    whole = [("test", ecg, "valid", leads, name, p, threshold, None, "test") for ecg, leads, name, p in rows]
    return pl.DataFrame(whole, schema=FINDINGS.polars, orient="row")


def certain_cohort(n_ecgs: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A cohort about which a classifier can know everything: nothing is uncertain, voltages are told by lead group."""
    attributes, records = cohort(n_ecgs, seed)
    in_groups = pl.col("attribute").is_in(WORDS.forms_in_groups) & pl.col("lead").is_not_null()
    whole_group = pl.col("lead").count().over("ecg_id", "attribute") == 6
    doubtful = (pl.col("value").cast(pl.String) == "uncertain") & (pl.col("attribute_type") == "stage_of_infarction")
    attributes = attributes.filter(~doubtful & (~in_groups | whole_group))
    certain = pl.col("value").cast(pl.String).replace("uncertain", "yes").cast(attributes.schema["value"])
    return attributes.with_columns(certain), records


def true_findings(attributes: pl.DataFrame, records: pl.DataFrame, words: Vocabulary) -> pl.DataFrame:
    """The findings of a classifier that is right and sure of everything."""
    facts = gather_facts(attributes, records, words)
    rows: list[tuple[int, int, str, float]] = []
    by_lead = {name: facts.views[name] for name in ("form in lead", "noise")}
    whole = ("symptom", "normal", "abnormal", "axis", "stage or none", "extra systole", "any extra systole", "range")
    for row, ecg_id in enumerate(facts.ecg_id.tolist()):
        for name in whole:
            view = facts.views[name]
            rows += [(ecg_id, ALL_LEADS, option, float(view.holds[row, place]))
                     for place, option in enumerate(view.options)]  # fmt: skip
        noise = by_lead["noise"]
        rows += [(ecg_id, ALL_LEADS, option, float(noise.holds[row, place].any()))
                 for place, option in enumerate(noise.options)]  # fmt: skip
        for view in by_lead.values():
            for leads in [*(1 << place for place in range(12)), LIMB, CHEST]:
                held = view.holds[row][:, [place for place in range(12) if leads >> place & 1]].all(axis=1)
                rows += [
                    (ecg_id, leads, option, float(value)) for option, value in zip(view.options, held, strict=True)
                ]
    return findings_table(rows)


def test_true_findings_give_the_answers_of_the_attributes_in_all_70_templates() -> None:
    attributes, records = certain_cohort(120, seed=4)
    questions = build_questions(attributes, records, seed=2, limits=Limits().scaled(0.02)).questions
    questions = questions.filter(pl.col("version") == "template")
    assert set(questions["template_id"]) == set(TEMPLATES)
    reader = SymbolicReader(Findings(true_findings(attributes, records, WORDS)))
    rows, problems = answer_all(questions, reader, WORDS)
    assert not problems
    wrong = [
        (row[0], row[1], row[2], given)
        for row, given in zip(
            questions.select("template_id", "question", "answer").iter_rows(), rows["answer"].to_list(), strict=True
        )
        if set(row[2]) != set(given)
    ]
    assert not wrong, wrong[:3]
    oracle, problems = answer_all(questions, OracleReader(attributes, WORDS), WORDS)
    assert not problems and oracle["answer"].list.sort().to_list() == questions["answer"].list.sort().to_list()


def ask(
    template_id: int, findings: pl.DataFrame, *ecg_ids: int, leads: tuple[int, ...] = (), **named: str
) -> list[str]:
    """The answer to the question of a template with these words, where its leads and names are those."""
    words = named.pop("vocabulary", "")
    vocabulary = mimic_vocabulary() if words else WORDS
    (question,) = (
        one
        for one in question_grid(vocabulary)
        if one.template.template_id == template_id and one.words == named and (not leads or one.leads == leads)
    )
    answers = SymbolicReader(Findings(findings)).answer(Asked(question), np.array([ecg_ids]))
    if not answers.known[0]:
        return ["failed", answers.problem]
    return answers.of(0, list(answers.words))[0]


def test_a_threshold_decides_and_not_one_half() -> None:
    for probability, answer in ((0.3, "yes"), (0.2, "no"), (0.19, "no")):
        table = findings_table([(1, ALL_LEADS, "sinus rhythm", probability)], threshold=np.float32(0.2))
        assert ask(1, table, 1, scp="sinus rhythm") == [answer]


def test_shifting_keeps_the_order_and_puts_the_threshold_at_one_half() -> None:
    p = np.concatenate([np.linspace(0, 1, 1001), [0.2, np.nextafter(np.float32(0.2), np.float32(1))]]).astype(
        np.float32
    )
    for threshold in (0.0, 1e-4, 0.2, 0.5, 0.999, 1.0):
        moved = shifted(p, np.float32(threshold))
        assert ((moved > 0.5) == (p > np.float32(threshold))).all()
        assert (np.diff(moved[np.argsort(p)]) >= 0).all() and moved.min() >= 0 and moved.max() <= 1
    assert shifted(0.3, 0.5) == pytest.approx(0.3)


def test_leads_are_looked_at_by_themselves() -> None:
    shown = {"V1", "V2"}
    rows = [(1, 1 << place, "baseline drift", 0.9 if lead in shown else 0.1) for place, lead in enumerate(LEADS)]
    table = findings_table([*rows, (1, ALL_LEADS, "baseline drift", 0.9)])
    assert ask(34, table, 1, noise="baseline drift") == ["lead V1", "lead V2"]
    assert ask(26, table, 1, noise="baseline drift", lead="lead V1") == ["yes"]
    assert ask(26, table, 1, noise="baseline drift", lead="lead V3") == ["no"]
    assert ask(27, table, 1, noise="baseline drift") == ["yes"]
    # What was not looked at is not answered from the whole ECG.
    failed, why = ask(26, table.filter(pl.col("leads") == ALL_LEADS), 1, noise="baseline drift", lead="lead V1")
    assert failed == "failed" and "V1" in why


def test_relations_between_two_ecgs() -> None:
    table = findings_table([(1, ALL_LEADS, "sinus rhythm", 0.9), (2, ALL_LEADS, "sinus rhythm", 0.2)])
    names = dict(zip(("resolved", "new", "remaining", "absent"), range(43, 47), strict=True))
    for ecgs, holds in (((1, 2), "resolved"), ((2, 1), "new"), ((1, 1), "remaining"), ((2, 2), "absent")):
        for relation, template_id in names.items():
            assert TEMPLATES[template_id].relation == relation
            assert ask(template_id, table, *ecgs, scp="sinus rhythm") == ["yes" if relation == holds else "no"]


def test_a_name_that_says_where_is_looked_up_there() -> None:
    name = "myocardial infarction in posterior leads"
    ours, published = lead_set(("V1", "V2", "V3")), lead_set(("V4", "V5", "V6"))
    for seen, p in ((ours, 0.9), (published, 0.9), (ours, 0.1)):
        rows = [(1, seen, "myocardial infarction", p), (1, ALL_LEADS, "myocardial infarction", 1 - p)]
        assert ask(1, findings_table(rows), 1, scp=name) == ["yes" if p > 0.5 else "no"]
    both = [(1, ours, "myocardial infarction", 0.1), (1, published, "myocardial infarction", 0.9)]
    assert ask(1, findings_table(both), 1, scp=name) == ["no"]


def test_one_of_several_holds_always() -> None:
    low = findings_table([(1, ALL_LEADS, name, 0.1 + place / 10) for place, name in enumerate(WORDS.axes)])
    assert ask(22, low, 1) == [WORDS.axes[-1]]
    high = findings_table([(1, ALL_LEADS, name, 0.6 + place / 10) for place, name in enumerate(WORDS.axes)])
    assert ask(22, high, 1) == [WORDS.axes[-1]]
    stages = [(1, ALL_LEADS, name, 0.1) for name in WORDS.stages]
    for infarction, expected in ((0.9, "unknown stage"), (0.1, "none of")):
        rows = findings_table([*stages, (1, ALL_LEADS, "myocardial infarction", infarction)])
        assert ask(25, rows, 1)[0].startswith(expected)
    # Rhythms may all be absent.
    assert ask(10, findings_table([(1, ALL_LEADS, name, 0.1) for name in WORDS.rhythm]), 1) == ["none"]


def test_mimic_names_are_found_whatever_their_case() -> None:
    words = mimic_vocabulary()
    rhythm, placed = words.rhythm[0], "Myocardial infarction in septal leads"
    assert rhythm != rhythm.swapcase() and placed in words.symptoms
    rows = [(1, ALL_LEADS, rhythm.swapcase(), 0.9), (1, lead_set(("V1", "V2")), "myocardial infarction", 0.8)]
    table = findings_table(rows)
    for name, answer in ((rhythm, "yes"), (placed, "yes"), (words.rhythm[1], "no")):
        assert ask(1, table, 1, vocabulary="mimic", scp=name) == [answer]
    assert vocabulary_of([*words.rhythm, "yes"]).name == "mimic-iv-ecg"
    assert vocabulary_of([*WORDS.rhythm, "yes"]).name == "ptbxl"


def test_the_lead_sets_that_may_be_asked() -> None:
    sets = lead_sets_asked()
    assert {ALL_LEADS, 1, 1 << 11, LIMB, CHEST, lead_set(("V1", "V2", "V3", "V4"))} <= set(sets) and len(sets) < 30


def test_eighty_thousand_questions_take_seconds() -> None:
    attributes, records = certain_cohort(60, seed=5)
    few = build_questions(attributes, records, seed=2, limits=Limits().scaled(0.02)).questions
    many = pl.concat([few] * (80_000 // few.height + 1)).head(80_000)
    reader = SymbolicReader(Findings(true_findings(attributes, records, WORDS)))
    began = time.process_time()
    rows, _ = answer_all(many, reader, WORDS)
    assert rows.height == 80_000 and time.process_time() - began < 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    attributes, records = certain_cohort(60, seed=6)
    questions = build_questions(attributes, records, seed=2, limits=Limits().scaled(0.02)).questions
    write_table(questions, folder / "questions.parquet", QUESTIONS)
    write_table(true_findings(attributes, records, WORDS), folder / "findings.parquet", FINDINGS)
    attributes.write_parquet(folder / "attributes.parquet")
    return folder


def test_the_run_folder_is_like_any_other(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions, subset = world / "questions.parquet", tmp_path / "some.json"
    which = ["--split", "valid", "--version", "template"]
    assert main(["llm", "sample", str(questions), str(subset), *which, "--share", "0.5"]) == 0
    common = ["llm", "run", str(questions), "--subset", str(subset)]
    symbolic, oracle = tmp_path / "symbolic", tmp_path / "oracle"
    assert main([*common, "--findings", str(world / "findings.parquet"), "--out", str(symbolic)]) == 0
    table = read_table(world / "questions.parquet", QUESTIONS)
    chosen = select(table, load_predictions([symbolic / "predictions.parquet"]), str(subset))
    assert score(chosen.questions, chosen.predictions, n_resamples=10).table.filter(
        (pl.col("breakdown") == "overall") & (pl.col("metric") == "em_set")
    )["value"].to_list() == [1.0]
    manifest = json.loads((symbolic / "manifest.json").read_text())
    digest = json.loads(subset.read_text())["digest"]
    assert manifest["subset"] == {"name": "some", "digest": digest} and manifest["cost"]["dollars"] == 0
    before = (symbolic / "predictions.parquet").read_bytes()
    capsys.readouterr()
    # Another run is not written over this one, and the oracle asks for what it needs.
    assert main([*common, "--model", "oracle", "--attributes", str(world / "attributes.parquet"),
                 "--out", str(symbolic)]) == 1  # fmt: skip
    assert "another run" in capsys.readouterr().err and (symbolic / "predictions.parquet").read_bytes() == before
    assert main([*common, "--model", "oracle", "--out", str(oracle)]) == 1
    assert "--attributes" in capsys.readouterr().err and not oracle.exists()
    assert main([*common, "--out", str(oracle)]) == 1 and "--findings" in capsys.readouterr().err


def test_questions_about_unseen_ecgs_have_failed_and_say_so(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = read_table(world / "findings.parquet", FINDINGS)
    seen = findings.filter(pl.col("ecg_id") % 2 == 0, pl.col("leads") == ALL_LEADS)
    write_table(seen, tmp_path / "half.parquet", FINDINGS)
    out = tmp_path / "run"
    command = ["llm", "run", str(world / "questions.parquet"), "--split", "valid", "--version", "template"]
    assert main([*command, "--findings", str(tmp_path / "half.parquet"), "--out", str(out)]) == 0
    assert "the findings hold nothing about it in all leads" in capsys.readouterr().out
    rows = read_table(out / "predictions.parquet", PREDICTIONS)
    failed = rows.filter(pl.col("status") == "failed")
    assert 0 < failed.height < rows.height and failed["answer"].list.len().max() == 0
    write_table(findings.filter(pl.col("ecg_id") < 0), tmp_path / "none.parquet", FINDINGS)
    assert main([*command, "--findings", str(tmp_path / "none.parquet"), "--out", str(tmp_path / "none")]) == 1
