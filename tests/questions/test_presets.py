"""Presets and rules: each named option changes what it names, and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from oracle import cohort

from ecgqa.attributes.build import BuiltAttributes, write_attributes
from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.questions.build import build_questions
from ecgqa.questions.facts import gather_facts
from ecgqa.questions.presets import PRESETS, Rules, preset_for, read_rules, rule_names
from ecgqa.questions.sampling import Limits, read_limits
from ecgqa.questions.templates import templates_of
from ecgqa.records import ATTRIBUTES

TABLE, RECORDS = cohort(160, seed=12)
LIMITS = Limits().scaled(0.1)


def build(templates: list[int], **options: object) -> pl.DataFrame:
    rules = Rules(limits=LIMITS, **options)  # type: ignore[arg-type]
    built = build_questions(TABLE, RECORDS, seed=2, templates=templates, rules=rules)
    return built.questions.filter(pl.col("version") == "template")


def test_the_presets_are_those_of_the_two_releases() -> None:
    assert set(PRESETS) == {"released-ptbxl", "released-mimic-iv-ecg"}
    assert preset_for(None, "ptbxl") == ("released-ptbxl", PRESETS["released-ptbxl"])
    assert preset_for(None, "mimic-iv-ecg")[0] == "released-mimic-iv-ecg"
    assert preset_for(None, "my-hospital")[0] == "released-ptbxl"
    assert preset_for("released-mimic-iv-ecg", "my-hospital")[0] == "released-mimic-iv-ecg"
    assert [len(templates_of(preset.vocabulary)) for preset in PRESETS.values()] == [70, 60]


@pytest.mark.parametrize(("name", "vocabulary"), [("mine", "ptbxl"), ("released-mimic-iv-ecg", "ptbxl")])
def test_presets_that_do_not_fit_are_refused(name: str, vocabulary: str) -> None:
    with pytest.raises(EcgqaError, match="preset"):
        preset_for(name, vocabulary)


def test_rules_are_read() -> None:
    rules = read_rules("consecutive=neighbours, test_share=0.3,most_sets=100", Rules())
    assert (rules.consecutive, rules.test_share, rules.most_sets) == ("neighbours", 0.3, 100)
    assert read_rules("", Rules()) == Rules()
    assert set(rule_names()) | {"limits"} == set(Rules().as_config())
    assert read_limits("choose=1/2/3", LIMITS).choose == (1, 2, 3)
    assert read_limits("choose=1/2/3", LIMITS).query == LIMITS.query


@pytest.mark.parametrize(
    "text", ["consecutive=some", "test_share=2", "test_share=x", "most_sets=0", "limits=3", "colour=red", "="]
)
def test_bad_rules_are_refused(text: str) -> None:
    with pytest.raises(EcgqaError, match="rule"):
        read_rules(text, Rules())


def test_neighbours_only() -> None:
    order = RECORDS.sort("patient_id", "recorded_at", "ecg_id")
    following = {}
    for _, ecgs in order.group_by("patient_id", maintain_order=True):
        ids = ecgs["ecg_id"].to_list()
        following |= dict(pairwise(ids))
    pairs = build([47, 49], consecutive="neighbours")["ecg_id"].to_list()
    assert pairs and all(following.get(first) == second for first, second in pairs)
    assert any(following.get(first) != second for first, second in build([47, 49])["ecg_id"].to_list())


def test_unmeasured_features() -> None:
    unknown = TABLE.filter(
        pl.col("attribute_type").cast(pl.String) == "numeric_feature", pl.col("value").cast(pl.String) == "unknown"
    )
    ecg_id, feature = unknown.row(0)[0], unknown.row(0)[2]
    column = ptbxl_vocabulary().features.index(feature)

    def view(name: str, **options: object) -> tuple[bool, bool]:
        facts = gather_facts(TABLE, RECORDS, ptbxl_vocabulary(), Rules(**options))  # type: ignore[arg-type]
        row = facts.ecg_id.tolist().index(ecg_id)
        at = column if name == "abnormal feature" else 3 * column
        return bool(facts.views[name].known[row, at]), bool(facts.views[name].holds[row, at])

    assert view("abnormal feature") == (True, True)
    assert view("abnormal feature", unmeasured_in_comparisons="left-out") == (False, False)
    assert view("range") == (False, False)
    assert view("range", unmeasured_in_ranges="in-no-range") == (True, False)
    answers = build([41], unmeasured_in_ranges="in-no-range")["answer"].to_list()
    assert ["none"] in answers and ["none"] not in build([41])["answer"].to_list()


def test_unplaced_stage() -> None:
    unplaced = TABLE.filter(
        pl.col("attribute_type").cast(pl.String) == "stage_of_infarction",
        pl.col("value").cast(pl.String) == "uncertain",
    )["ecg_id"]
    default, counted = (set(one["ecg_id"].explode()) for one in (build([25]), build([25], unplaced_stage="none")))
    assert not default & set(unplaced)
    assert counted & set(unplaced)


def test_doubtful_and_noises_of_a_choice() -> None:
    def not_sure(**options: object) -> dict[tuple[str, int, str], list[int]]:
        counts: dict[tuple[str, int, str], list[int]] = {}
        for split, question_id, text, answer in (
            build([1], **options).select("split", "question_id", "question", "answer").iter_rows()
        ):
            counts.setdefault((split, question_id, text), [0, 0])[answer == ["not sure"]] += answer in (
                ["yes"],
                ["not sure"],
            )
        return counts

    assert all(unsure <= yes for yes, unsure in not_sure().values())
    assert any(unsure > yes for yes, unsure in not_sure(doubtful="own-limit").values())

    noises: dict[int, set[str]] = {}
    of_noise = TABLE.filter(pl.col("attribute_type").cast(pl.String) == "noise", pl.col("lead").is_not_null())
    for ecg_id, noise in of_noise.select("ecg_id", "attribute").iter_rows():
        noises.setdefault(ecg_id, set()).add(noise)

    def carries_both(frame: pl.DataFrame) -> bool:
        answered = frame.filter(pl.col("answer").list.first() != "none")
        return all(set(asked) <= noises[ecg[0]] for ecg, asked in answered.select("ecg_id", "attribute").iter_rows())

    assert carries_both(build([31]))
    assert not carries_both(build([31], noises_of_a_choice="any"))


def test_shares_of_the_splits() -> None:
    built = build_questions(TABLE, RECORDS, seed=2, templates=[27], rules=Rules(test_share=0.5, valid_share=0.5))
    people = {
        split: RECORDS.filter(pl.col("ecg_id").is_in(ids))["patient_id"] for split, ids in built.split_ecgs.items()
    }
    n = RECORDS["patient_id"].n_unique()
    assert people["test"].n_unique() == round(0.5 * n)


def test_answers_of_valid_only() -> None:
    """An answer that only a valid ECG gives is dropped from the list and its sample, or kept."""
    ids = RECORDS.sort("ecg_id").unique("patient_id", keep="first")["ecg_id"].sort().to_list()
    splits = {"train": ids[:10], "valid": ids[10:12], "test": ids[12:20]}
    rows = [(one, "scp_code", "normal ecg", None, "no", None, None, "metadata") for one in ids]
    rows += [(one, "scp_code", "atrial flutter", None, "yes", None, None, "metadata") for one in ids[:20]]
    rows.append((ids[10], "scp_code", "sinus rhythm", None, "yes", None, None, "metadata"))
    table = pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row")

    def answers(**options: object) -> tuple[list[str], int]:
        built = build_questions(table, RECORDS, seed=0, splits=splits, templates=[10], rules=Rules(**options))  # type: ignore[arg-type]
        return built.answers.by_template[10], built.questions.filter(pl.col("split") == "valid").height // 2

    assert answers() == (["atrial flutter", "none"], 1)
    assert answers(answers_of_valid_only="kept") == (["atrial flutter", "none", "sinus rhythm"], 2)


def test_most_sets_bounds_the_pairs_compared() -> None:
    asked = build([61], most_sets=2)
    assert 0 < len({tuple(sorted(answer)) for answer in asked["answer"].to_list()}) <= 3


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preset") / "attributes"
    table = BuiltAttributes(TABLE, frozenset(RECORDS["ecg_id"]), "ptbxl")
    return write_attributes(table, RECORDS, folder, inputs={}, config={})


def test_the_command_chooses_the_preset(attributes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["questions", "build", str(attributes)]
    small = ["--scale", "0.05", "--templates", "25,26,47"]
    assert main([*common, str(tmp_path / "a"), *small]) == 0
    config = json.loads((tmp_path / "a" / "manifest.json").read_text())["config"]
    assert config["preset"] == "released-ptbxl" and config["rules"]["consecutive"] == "all"
    assert main([*common, str(tmp_path / "b"), *small, "--preset", "released-mimic-iv-ecg"]) == 1
    assert "does not fit attributes of ptbxl" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    changed = ["--rules", "consecutive=neighbours", "--limits", "query=1/1/1"]
    assert main([*common, str(tmp_path / "c"), *small, *changed]) == 0
    rules = json.loads((tmp_path / "c" / "manifest.json").read_text())["config"]["rules"]
    assert rules["consecutive"] == "neighbours" and rules["limits"]["query"] == [0.05, 0.05, 0.05]
    assert main([*common, str(tmp_path / "d"), "--rules", "consecutive=nearest"]) == 1
    assert "neighbours" in capsys.readouterr().err
    assert main([*common, str(tmp_path / "e"), *small, "--wording", f"release:{tmp_path / 'a'}"]) == 0
    assert "wording: sentence: released for templates 25-26, 47" in capsys.readouterr().out


def test_one_table_beside_the_shards(attributes: Path, tmp_path: Path) -> None:
    from ecgqa.questions.check import check_dataset
    from ecgqa.questions.released import read_questions
    from ecgqa.records import QUESTIONS
    from ecgqa.tables import read_table

    dest = tmp_path / "q"
    assert main(["questions", "build", str(attributes), str(dest), "--scale", "0.05"]) == 0
    assert read_table(dest / "questions.parquet", QUESTIONS).equals(read_questions(dest))
    assert "questions.parquet" in json.loads((dest / "manifest.json").read_text())["files"]
    report = check_dataset(dest)
    assert report.n_errors == 0, report.as_text()
