"""What asking a language model costs this machine, and that a run killed again and again asks nothing twice.

2,000 questions go to a scripted OpenAI-compatible server on loopback, 64 calls in flight. First in one go: processor
time per call, start-up apart (a run of few questions). Then killed (SIGKILL) five times on the way: it must end with
2,000 rows, no question asked again after its reply was stored, the right score and the right cost.

Usage: python benchmarks/bench_llm.py [--check] [N]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ecgqa.evaluation.load import load_predictions, select
from ecgqa.evaluation.score import score
from ecgqa.llm.cost import Prices
from ecgqa.llm.journal import read_replies
from support.llm_questions import llm_questions, number_in, write_questions
from support.llm_server import LlmServer

FEW = 20
KILLS = 5
MOST_MS = 25.0
PRICES = Prices(2.0, 10.0)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    n = int(words[0]) if words else 2000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start_up = processor_s(root, FEW)
        whole = processor_s(root, n)
        per_call = 1000 * (whole - start_up) / (n - FEW)
        print(f"{n} calls, 64 in flight: {per_call:.1f} ms of processor time each, start-up {start_up:.1f} s")
        problems = killed(root, n)
    for problem in problems:
        print(f"WRONG: {problem}")
    return int("--check" in sys.argv[1:] and (bool(problems) or per_call > MOST_MS))


def command(questions: Path, out: Path, server: LlmServer) -> list[str]:
    return [
        sys.executable, "-m", "ecgqa", "llm", "run", str(questions), "--model", "test-model", "--base-url", server.url,
        "--view", "none", "--out", str(out), "--connections", "64", "--price-input", str(PRICES.input),
        "--price-output", str(PRICES.output),
    ]  # fmt: skip


def processor_s(root: Path, n: int) -> float:
    """Processor time of a run of n questions, in seconds."""
    frame = llm_questions(n)
    questions = write_questions(frame, root / f"{n}.parquet")
    with LlmServer(lambda prompt, _: ", ".join(frame["answer"][number_in(prompt)])) as server:
        process = subprocess.Popen(command(questions, root / f"run-{n}", server), env=ENVIRONMENT, stdout=-3, stderr=-3)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the run of {n} questions failed")
    return usage.ru_utime + usage.ru_stime


def killed(root: Path, n: int) -> list[str]:
    """What went wrong in a run that was killed on the way."""
    frame = llm_questions(n)
    questions, out = write_questions(frame, root / "killed.parquet"), root / "killed"
    problems: list[str] = []
    told: dict[int, int] = {}
    with LlmServer(lambda prompt, _: ", ".join(frame["answer"][number_in(prompt)])) as server:
        for kill in range(1, KILLS + 1):
            process = subprocess.Popen(command(questions, out, server), env=ENVIRONMENT, stdout=-3, stderr=-3)
            while process.poll() is None and n_stored(out) < kill * n // (KILLS + 1):
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
            problems += asked_again(server, told)
            answered = {number_in(prompt): count for prompt, count in server.answered.items()}
            told |= {reply.sample_id: answered[reply.sample_id] for reply in read_replies(out)}
            print(f"killed with {len(told)} replies stored")
        if subprocess.run(command(questions, out, server), env=ENVIRONMENT, capture_output=True).returncode:
            problems.append("the last start failed")
        problems += asked_again(server, told)
        n_answered = sum(server.answered.values())
        prompts = {number_in(prompt): prompt for prompt in server.answered}
    replies = list(read_replies(out))
    predictions = load_predictions([out / "predictions.parquet"])
    chosen = select(frame, predictions)
    overall = score(chosen.questions, chosen.predictions, n_resamples=10).table.filter(
        (pl.col("breakdown") == "overall") & (pl.col("metric") == "em_set")
    )["value"].item()  # fmt: skip
    cost = json.loads((out / "manifest.json").read_text())["cost"]["dollars"]
    print(
        f"{predictions.height} rows, {len(replies)} replies of {n_answered} answered, score {overall:.3f}, ${cost:.4f}"
    )
    if predictions.height != n or sorted(reply.sample_id for reply in replies) != list(range(n)):
        problems.append(f"not exactly {n} rows and replies")
    if overall != 1.0:
        problems.append(f"a perfect reader scores {overall}")
    # The server's own account of every question, once: see LlmServer._serve.
    answers = [", ".join(answer) for answer in frame["answer"].to_list()]
    asked = sum(len(prompts[number]) // 4 for number in range(n))
    due = PRICES.of(asked, sum(max(1, len(answer) // 4) for answer in answers))
    if abs(cost - due) > 1e-6:
        problems.append(f"the cost is ${cost:.6f}, ${due:.6f} are due")
    return problems


def n_stored(out: Path) -> int:
    try:
        return (out / "replies.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def asked_again(server: LlmServer, told: dict[int, int]) -> list[str]:
    """Questions that were answered once more after their reply was stored."""
    answered = {number_in(prompt): count for prompt, count in server.answered.items()}
    return [f"question {number} asked again" for number, count in told.items() if answered[number] != count]


if __name__ == "__main__":
    sys.exit(main())
