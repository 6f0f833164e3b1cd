"""The command `ecgqa ask`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ecgqa.asking import Reader
    from ecgqa.signals.read import Ecg


def ask(
    record_and_question: list[str],
    *,
    run: Path | None = None,
    classifier: Path | None = None,
    model: str | None = None,
    base_url: str | None = None,
    view: str = "features",
    prompt: Literal["published", "cot"] = "published",
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Ask one question in free words about one ECG, or two, and show what the answer rests on.

    Example: ecgqa ask records500/00000/00001_hr "Is the QRS duration above the normal range?"

    Example: ecgqa ask store-ptbxl:17 store-ptbxl:18 "Is atrial fibrillation new?" --classifier runs/se_wrn

    The question is understood as the nearest of the 70 templates, which is named with its confidence. Without more,
    intervals, heart axis and noise are answered from measurements; everything else needs something trained. Research
    use only, not for clinical use.

    Args:
        record_and_question: One WFDB record (path without extension, or STORE:ECG_ID), or two, the earlier first; then
            the question, in quotes.
        run: Folder of a run trained to answer questions.
        classifier: Folder of a run trained to find attributes; the symbolic reader answers from its findings.
        model: A language model (see ecgqa llm run); it is shown the ECG in --view.
        base_url: Address of an OpenAI-compatible server for --model.
        view: What the language model is shown: features, image, findings (those of --classifier), joined by "+".
        prompt: How it is asked: published (answer only) or cot (reasons first).
        plot: Draw the ECG with its beats marked into this file (.svg, .png or .pdf); two ECGs give two files.
        json: Print everything as JSON.
    """
    from ecgqa.asking import ask as answer
    from ecgqa.errors import EcgqaError

    *records, question = record_and_question
    if not records:
        raise EcgqaError(
            "a record and a question are needed", fix='ecgqa ask RECORD "Is there noise in lead V1?" (in quotes)'
        )
    if len(records) > 2:
        raise EcgqaError(
            "a question is about one record or two",
            found=f"{len(records)} records; the question was taken to be {question!r}",
            fix="put the question in quotes",
        )
    ecgs = [read(record) for record in records]
    answered = answer(ecgs, question, _reader(run, classifier, model, base_url, view, prompt))
    if json:
        from json import dumps

        print(dumps(answered.as_json(), indent=2, ensure_ascii=False))
    else:
        print(answered.as_text())
    if plot is not None:
        from ecgqa.signals.draw import save_drawing

        for place in range(len(ecgs)):
            path = plot if len(ecgs) == 1 else plot.with_name(f"{plot.stem}-{place + 1}{plot.suffix}")
            save_drawing(answered.draw(place), path)
            if not json:
                print(f"drawing: {path}")


def read(record: str) -> Ecg:
    """The ECG of a WFDB record, or of a row of a store ("STORE:ECG_ID")."""
    from ecgqa.signals.read import read_ecg

    folder, _, ecg_id = record.rpartition(":")
    if folder and ecg_id.isdigit() and (Path(folder) / "manifest.json").is_file():
        from ecgqa.store import open_store

        return open_store(folder).ecg(int(ecg_id))
    return read_ecg(record, allow_missing_leads=True)


def _reader(
    run: Path | None, classifier: Path | None, model: str | None, base_url: str | None, view: str, prompt: str
) -> Reader:
    from ecgqa.asking import FindingsReader, LanguageReader, MeasuringReader, TrainedReader
    from ecgqa.errors import EcgqaError

    if run is not None and (classifier is not None or model is not None):
        raise EcgqaError(
            "one reader answers",
            expected="--run, --classifier or --model; --classifier with --model for --view findings",
        )
    if run is not None:
        return TrainedReader(run)
    findings = None if classifier is None else FindingsReader(classifier)
    if model is not None:
        from ecgqa.llm.run import Caller

        caller = Caller(model=model, base_url=base_url, max_tokens=1024 if prompt == "cot" else 128)
        return LanguageReader(caller, view, prompt, findings)
    return findings or MeasuringReader()
