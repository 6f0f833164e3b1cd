"""The commands `ecgqa questions ...`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal


def check(path: Path, records: Path | None = None, json: Path | None = None) -> int:
    """Report everything wrong with a question dataset, and say which release it looks like.

    Example: ecgqa questions check ecgqa/ptbxl --records physionet.org/ptb-xl --json findings.json

    Checks structure, ids, types, answers, pairs, splits, agreement of the two wordings, duplicates and known errata.
    Ends with status 1 if there are errors (warnings and notes do not count).

    Args:
        path: Folder of questions, holding template/ and/or paraphrased/ (released, mapped, or made by ecgqa).
        records: Folder of the ECGs' data set; its metadata tell patients and times, to find leaks between splits.
        json: File to write the whole report to, as JSON.
    """
    from ecgqa.artefacts import write_json
    from ecgqa.questions.check import check_dataset

    report = check_dataset(path, records=records)
    print(report.as_text())
    if json is not None:
        write_json(json, report.as_json())
        print(f"report written to {json}")
    return 1 if report.n_errors else 0


def diff(
    released: Path,
    attributes: Path,
    records: Path | None = None,
    json: Path | None = None,
    limit: int = 20,
    plots: Path | None = None,
) -> int:
    """Answer released questions from our attributes, and show where the answers differ.

    Example: ecgqa questions diff ecgqa/ptbxl attributes/ptbxl --records physionet.org/ptb-xl --json diff.json

    Uses the rules that questions are built by. Prints agreement by template and attribute type, then each
    disagreement with the attribute rows our answer rests on. A difference is an error of the release, of the
    attributes, or of a rule. Where the waveform decides (heart axis, numeric features), --plots draws the beats with
    the points that were measured. Ends with status 1 if an answer differs.

    Args:
        released: Folder of questions in the published layout; any subset of its shards.
        attributes: Folder made by ecgqa attributes build (or its attributes.parquet).
        records: Folder of the ECGs' data set; the metadata cells behind an answer are then quoted.
        json: File to write everything to, all disagreements included.
        limit: Number of disagreements to print (and to plot).
        plots: Folder for plots of the beats behind numeric and axis answers that differ; needs --records, matplotlib.
    """
    from ecgqa.artefacts import write_json
    from ecgqa.questions.diff import diff_dataset

    report = diff_dataset(released, attributes, records=records, plots=plots, most_plotted=limit)
    print(report.as_text(limit))
    if json is not None:
        write_json(json, report.as_json())
        print(f"report written to {json}")
    return 1 if report.disagreements else 0


def build(
    attributes: Path,
    dest: Path,
    seed: int = 0,
    splits: Path | None = None,
    preset: Literal["released-ptbxl", "released-mimic-iv-ecg"] | None = None,
    templates: str | None = None,
    scale: float = 1.0,
    limits: str | None = None,
    rules: str | None = None,
    wording: str = "built-in",
    cluster: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Make a question dataset in the published layout from an attribute table.

    Example: ecgqa questions build attributes/ptbxl questions --splits ecgqa/ptbxl --wording release:ecgqa/ptbxl

    Writes template/ and paraphrased/ (shards of 10,000), the answer lists, the ECGs of each split, and
    questions.parquet with all questions as one table. The same attributes, settings and seed give the same bytes,
    however the work is spread. docs/construction.md explains every limit and rule.

    Args:
        attributes: folder made by ecgqa attributes build
        dest: folder of the new dataset
        seed: number from which every random choice follows
        splits: folder holding train_ecgs.tsv, valid_ecgs.tsv and test_ecgs.tsv, e.g. a released dataset (default: the
            patients are split 80:20 into train and test, then 90:10 into train and valid)
        preset: rules of answering and sampling (default: the preset that fits the attributes)
        templates: templates to use, e.g. 1,2,5-9 (default: all)
        scale: factor on all sampling limits; 0.2 makes a small dataset
        limits: single limits of the preset changed, as name=train/valid/test, e.g. choose=5/1/1,compare_yes=50/25/25
        rules: single rules of the preset changed, e.g. consecutive=neighbours,unmeasured_in_comparisons=left-out
        wording: built-in, or the sentences of a released dataset as release:FOLDER, or example:FILE (a csv with
            template_id and question); joined by commas, the next fills what the one before lacks
        cluster: address of a Dask scheduler whose workers see the destination folder (tcp://host:8786), or local for
            one on this machine
        workers: processes on this machine (default: 1 below 5,000 ECGs, else one per processor)
        overwrite: replace a finished dataset made from other inputs or settings
    """
    from dataclasses import replace
    from shlex import quote

    from ecgqa.artefacts import artefact_folder, digest_file, digest_of, read_manifest
    from ecgqa.attributes.build import read_attributes, vocabulary_of
    from ecgqa.errors import EcgqaError
    from ecgqa.executors import open_executor
    from ecgqa.questions.answer_lists import read_split_ecgs
    from ecgqa.questions.build import build_questions
    from ecgqa.questions.learned_wording import read_wording
    from ecgqa.questions.presets import preset_for, read_rules
    from ecgqa.questions.released import write_dataset
    from ecgqa.questions.sampling import read_limits
    from ecgqa.questions.templates import TEMPLATES, read_template_ids
    from ecgqa.records import QUESTIONS
    from ecgqa.tables import write_table

    chosen = list(TEMPLATES) if templates is None else read_template_ids(templates)
    lists = None if splits is None else read_split_ecgs(splits)
    if lists is not None and not lists:
        raise EcgqaError(f"no split lists in {splits}", expected="train_ecgs.tsv, valid_ecgs.tsv, test_ecgs.tsv")
    table, records, manifest = read_attributes(attributes)
    vocabulary = vocabulary_of(manifest)
    preset_name, named = preset_for(preset, vocabulary.name)
    applied = read_rules(rules or "", named.rules)
    applied = replace(applied, limits=read_limits(limits or "", applied.limits).scaled(scale))
    learned = read_wording(wording)
    inputs = {
        "attributes": digest_file(attributes / "attributes.parquet"),
        "records": digest_file(attributes / "records.parquet"),
        "splits": None if lists is None else digest_of(lists),
        "wording": digest_of({number: asdict(sentences) for number, sentences in learned.wording.items()}),
    }
    config = {"seed": seed, "preset": preset_name, "templates": chosen, "rules": applied.as_config()}
    workers = workers or (1 if records.height < 5_000 else None)
    with artefact_folder(dest, kind="question dataset", inputs=inputs, config=config, overwrite=overwrite) as draft:
        if not draft.complete:
            with open_executor(cluster, workers) as executor:
                built = build_questions(
                    table,
                    records,
                    seed=seed,
                    splits=lists,
                    vocabulary=vocabulary,
                    templates=chosen,
                    rules=applied,
                    wording=learned.wording,
                    executor=executor,
                    work=draft.path / "facts",
                )
            write_dataset(built.questions, draft.path, answers=built.answers, split_ecgs=built.split_ecgs)
            write_table(built.questions, draft.path / "questions.parquet", QUESTIONS)
            ecgs = {split: len(ids) for split, ids in built.split_ecgs.items()}
            draft.counts = {"ecgs": ecgs, "samples": built.counts()}
            draft.extra = {
                "left_out": {str(template_id): why for template_id, why in built.left_out.items()},
                "notes": built.notes,
                "wording": learned.summary(),
            }
    print(_summary(dest, read_manifest(dest)))
    print(f"next: ecgqa questions check {quote(str(dest))}")


def _summary(dest: Path, manifest: dict[str, Any]) -> str:
    samples, ecgs = manifest["counts"]["samples"], manifest["counts"]["ecgs"]
    splits = list(ecgs)
    rows = [
        ("ECGs", [ecgs[split] for split in splits]),
        *((question_type, [by_split[split] for split in splits]) for question_type, by_split in samples.items()),
        ("all questions", [sum(by_split[split] for by_split in samples.values()) for split in splits]),
    ]
    lines = [f"{dest}: {sum(rows[-1][1])} questions, each in two wordings"]
    lines.append(f"  {'':<32}" + "".join(f"{split:>10}" for split in splits))
    lines += [f"  {name:<32}" + "".join(f"{number:>10}" for number in numbers) for name, numbers in rows]
    reasons: dict[str, list[str]] = {}
    for template_id, why in manifest["left_out"].items():
        reasons.setdefault(why, []).append(template_id)
    lines += [f"  without templates {', '.join(ids)}: {why}" for why, ids in reasons.items()]
    lines += [f"  wording: {line}" for line in manifest.get("wording", [])]
    lines += [f"  note: {count} x {note}" for note, count in manifest["notes"].items()]
    return "\n".join(lines)
