"""The commands `ecgqa llm sample` and `ecgqa llm run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal


def sample(
    questions: Path,
    out: Path,
    *,
    split: Literal["train", "valid", "test"] = "test",
    version: Literal["template", "paraphrased"] | None = None,
    share: float = 0.1,
    seed: int = 42,
    ids: Path | None = None,
    where: str | None = None,
    name: str | None = None,
) -> None:
    """Choose the questions that a language model will be asked, and write them down as a named subset.

    Example: ecgqa llm sample stores/ptbxl tenth.json --version paraphrased

    Without more, a tenth of each question type and attribute type is drawn, as in the published experiments. The subset
    keeps a digest of its questions: results on it can be told to be about the same ones.

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        out: File to write (.json).
        split: Split to choose from.
        version: Wording to choose from; needed where there are both.
        share: Share of each question type and attribute type to draw; 1 takes all.
        seed: Seed of the drawing.
        ids: Take exactly the sample ids in this file, one per line, such as the published list.
        where: Conditions that must all hold, e.g. "template_id=1,5-9; question_type=single-verify|single-query".
        name: Name of the subset (default: the file's name).
    """
    from ecgqa.evaluation.load import load_questions
    from ecgqa.questions.subset import draw_subset, filtered, listed_subset

    frame = filtered(load_questions(questions, split, version), where.split(";") if where else [])
    name = name or out.stem
    chosen = listed_subset(frame, name, ids) if ids is not None else draw_subset(frame, name, share=share, seed=seed)
    chosen.write(out)
    print(f"{len(chosen.sample_ids):,} of {frame.height:,} {split} questions: {out} (digest {chosen.digest[:12]})")


def run(
    questions: Path,
    *,
    out: Path,
    model: str = "symbolic",
    view: str = "findings",
    prompt: Literal["published", "few-shot", "cot"] = "published",
    subset: Path | None = None,
    split: Literal["train", "valid", "test"] = "test",
    version: Literal["template", "paraphrased"] | None = None,
    findings: Path | None = None,
    attributes: Path | None = None,
    shots: int = 0,
    base_url: str | None = None,
    accept_model: str | None = None,
    name: str | None = None,
    temperature: float = 0.0,
    max_tokens: int | None = None,
    connections: int = 16,
    retries: int = 5,
    timeout_s: int = 120,
    batch: bool = False,
    price_input: float = 0.0,
    price_output: float = 0.0,
    price_cached: float | None = None,
    budget: float | None = None,
    dry_run: bool = False,
    show: int = 1,
    overwrite: bool = False,
) -> None:
    """Ask a language model the questions, showing it the ECGs in the chosen view; resumable, with a budget.

    Without --model nobody is asked: the symbolic reader puts a classifier's findings into the templates' own rules.

    Example: ecgqa llm run stores/ptbxl --findings findings.parquet --out runs/symbolic

    Example: ecgqa llm run stores/ptbxl --subset tenth.json --view findings --findings findings.parquet
             --model openai/gpt-4o-mini --price-input 0.15 --price-output 0.60 --budget 5 --out runs/gpt-4o-mini

    Keys come from the environment only (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...). A server of your own (vLLM, llama.cpp,
    Ollama) needs --base-url and no key. Try --dry-run first: it asks nothing, and shows what would be sent and what it
    would cost. A run that was stopped, by whatever, goes on with the same command and asks nothing twice. Inspect's own
    viewer shows every exchange: inspect view --log-dir OUT/logs

    Args:
        questions: A store folder (needed for the views features and image), a data set, or a questions.parquet.
        out: Folder of the run.
        model: symbolic (needs --findings), oracle (needs --attributes: the ceiling of every reader of findings), or
            Inspect's name of a language model (openai/gpt-4o, anthropic/claude-..., google/gemini-..., hf/...); with
            --base-url the name that the server knows.
        view: What is shown of an ECG: findings (a classifier's), findings-at-half (cut at 0.5, as published),
            attributes (the true ones: a ceiling), features (measured intervals and amplitudes), image (the drawing),
            none; several joined by "+".
        prompt: published (answer only), few-shot (after --shots exchanges from train), or cot (reasons first).
        subset: Questions chosen by ecgqa llm sample; all of split and version when left out.
        split: Split to ask, without a subset.
        version: Wording to ask, without a subset.
        findings: Table of a classifier's findings (ecgqa findings predict), for the view findings.
        attributes: Attribute table (ecgqa attributes build), for the view attributes.
        shots: Exemplars of a few-shot prompt.
        base_url: Address of an OpenAI-compatible server, e.g. http://localhost:8000/v1.
        accept_model: Name under which the server may answer, where it is not the model's own.
        name: Name of the run in reports (default: the model's name).
        temperature: Sampling temperature.
        max_tokens: Longest reply in tokens (default: 128, and 1,024 for cot).
        connections: Calls in flight at once.
        retries: Times that a failed call is tried again.
        timeout_s: Seconds that one try may take.
        batch: Use the provider's batch endpoint where it has one: half the price, hours instead of minutes.
        price_input: Dollars per million input tokens.
        price_output: Dollars per million output tokens.
        price_cached: Dollars per million input tokens read from the provider's cache (default: the input price).
        budget: Stop before more than so many dollars are spent.
        dry_run: Ask nothing; print calls, tokens and price, and the first prompts as they would be sent.
        show: How many prompts a dry run prints.
        overwrite: Replace another run in the folder.
    """
    from ecgqa.llm.offline import READERS, run_offline

    if model in READERS:
        from ecgqa.llm.experiment import chosen_questions, read_attributes, read_findings

        frame, chosen = chosen_questions(questions, split, version, subset)
        if dry_run:
            print(f"the {model} reader answers {frame.height:,} questions; it asks nobody and costs nothing")
            return
        tables = {"findings": read_findings(findings), "attributes": read_attributes(attributes)}
        _print_counts(
            run_offline(model, frame, chosen, out, name=name, overwrite=overwrite, **tables), questions, out, subset
        )
        return
    from ecgqa.llm.cost import Prices
    from ecgqa.llm.experiment import Experiment

    experiment = Experiment.make(
        questions,
        view=view,
        style=prompt,
        split=split,
        version=version,
        findings=findings,
        attributes=attributes,
        subset=subset,
        shots=shots,
    )
    prices = Prices(price_input, price_output, price_cached)
    if dry_run:
        _print_forecast(experiment, prompt, prices, show)
        return
    from ecgqa.llm.run import Caller
    from ecgqa.llm.run import run as ask

    caller = Caller(
        model=model,
        base_url=base_url,
        accept_model=accept_model,
        temperature=temperature,
        max_tokens=max_tokens or (1024 if prompt == "cot" else 128),
        connections=connections,
        retries=retries,
        timeout_s=timeout_s,
        batch=batch,
    )
    counts = ask(experiment, caller, out, name=name, prices=prices, budget=budget, overwrite=overwrite)
    _print_counts(counts, questions, out, subset)


def _print_counts(counts: dict[str, Any], questions: Path, out: Path, subset: Path | None) -> None:
    from ecgqa.evaluation.wording import command

    print(f"{counts['replies']:,} of {counts['questions']:,} questions answered, {counts['failed']:,} failed: {out}")
    for problem, n in counts["problems"].items():
        print(f"  {n:,} x {problem}")
    chosen = ("--subset", subset) if subset else ()
    print(f"next: {command('score', questions, out / 'predictions.parquet', *chosen)}")


def _print_forecast(experiment: object, style: str, prices: object, show: int) -> None:
    from ecgqa.llm.cost import Prices, forecast
    from ecgqa.llm.experiment import Experiment

    assert isinstance(experiment, Experiment) and isinstance(prices, Prices)
    prompts = [experiment.prompter.prompt(one) for one in experiment.asked[:show]]
    for prompt in prompts:
        print(f"--- {prompt.asked.split}/{prompt.asked.version}/{prompt.asked.sample_id}\n{prompt.text}\n")
    found = forecast((experiment.prompter.prompt(one) for one in experiment.asked), style, prices)
    print(f"subset  {experiment.subset.name} (digest {experiment.subset.digest[:12]})")
    print(f"calls   {found.calls:,}")
    print(f"tokens  about {found.input_tokens:,} in, {found.output_tokens:,} out")
    print(
        f"price   about ${found.dollars:,.2f}"
        if prices.are_known
        else "price   unknown: give --price-input and --price-output"
    )
