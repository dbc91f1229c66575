"""Does `glider serve` keep its deadlines with the real model, and how many scores can it give?

    python benchmarks/serve_deadlines.py --data DATA

`glider serve` runs as a program of its own with the default model; this script is the client and
asks for bare scores of real texts, all different. First 8 connections
ask without a pause: the server's capacity. Then requests come at random moments (a Poisson
process), each with a deadline, at half of that capacity and at twice it. What is admitted must be
answered within its deadline, seen from the client; what cannot be must be refused at once.

With `--llama`, the same texts go to llama.cpp's server with the same model file and a plain prompt
that asks for one digit, 8 at once.
"""

import argparse
import asyncio
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from common import (
    PEERS,
    drawn_tasks,
    facts,
    ours_environment,
    parser,
    save,
    settings,
    span,
    table,
    with_data,
)

from glider.core.tasks import JudgeTask
from glider.stats.estimates import proportion

_AT_ONCE = 8


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--sets", nargs="+", default=["saf_short_answers", "semeval2013_answers"])
    made.add_argument("--seconds", type=float, default=30.0, help="of load, each time")
    made.add_argument("--deadline-ms", type=int, default=2000)
    made.add_argument("--llama", action="store_true", help="llama.cpp's server beside it")
    args = made.parse_args()
    runs = [run for rep in range(args.reps) for run in asyncio.run(measured(args, rep))]
    text = tables(runs, args.deadline_ms)
    save(
        args.out,
        "serve_deadlines",
        {"facts": facts(), "settings": settings(args), "runs": runs, "table": text},
    )
    print(text)


async def measured(args: argparse.Namespace, rep: int) -> list[dict[str, Any]]:
    """Measure one repetition, with texts of its own."""
    texts = bodies(args.data, args.sets, seed=args.seed + rep)
    runs = []
    async with served() as url:
        capacity = await closed_loop(f"{url}/v1/judge", texts, args.seconds)
        runs.append({"load": "as fast as it can", "rep": rep, **capacity})
        for share in (0.5, 2.0):
            rate = share * capacity["per_s"]
            found = await open_loop(f"{url}/v1/judge", texts, rate, args, seed=rep)
            runs.append({"load": f"{share:g} of that", "rep": rep, "rate": rate, **found})
    if args.llama:
        async with llama() as url:
            prompts = [plain_prompt(body) for body in texts]
            found = await closed_loop(f"{url}/chat/completions", prompts, args.seconds)
            runs.append({"load": "llama.cpp's server", "rep": rep, **found})
    return runs


def bodies(data: Path, sets: list[str], seed: int, n: int = 1_000) -> list[dict[str, Any]]:
    """Return requests for bare scores, as many of each set, in random order."""
    tasks = [task for name in sets for task in drawn_tasks(data, name, n // len(sets), seed)]
    random.Random(seed).shuffle(tasks)
    return [asked(task) for task in tasks]


def asked(task: JudgeTask) -> dict[str, Any]:
    sample, criterion = task.sample, task.criterion
    body: dict[str, Any] = {
        "criterion": {
            "name": criterion.name,
            "question": criterion.question,
            "rubric": {str(score): level for score, level in criterion.rubric.levels.items()},
        },
        "output": sample.judged[0].text,
        "reasons": "none",
    }
    for role in ("input", "context", "reference"):
        field = sample.with_role(role)  # type: ignore[arg-type]
        if field is not None:
            body[role] = field.text
    return body


def plain_prompt(body: dict[str, Any]) -> dict[str, Any]:
    """Return the chat request that a user would write by hand."""
    levels = "\n".join(f"{k}: {v}" for k, v in body["criterion"]["rubric"].items())
    texts = "\n\n".join(
        f"{name}:\n{body[name]}"
        for name in ("input", "context", "reference", "output")
        if name in body
    )
    asked = f"{texts}\n\n{body['criterion']['question']}\n{levels}\n\nAnswer with the number alone."
    return {"messages": [{"role": "user", "content": asked}], "max_tokens": 4, "temperature": 0}


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """Start `glider serve`, and wait until it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", "serve", "--port", "0"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={"NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin",
             "HOME": tempfile.gettempdir()} | ours_environment(),
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            found = re.search(r"http://\S+", line)
            if found:
                break
        else:
            raise RuntimeError(f"glider serve ended with {process.wait()}")
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)


@asynccontextmanager
async def llama() -> AsyncIterator[str]:
    """Start llama.cpp's server with the default model's file, adapter included."""
    process = subprocess.Popen(
        [sys.executable, str(PEERS / "llama_server.py"), "--slots", str(_AT_ONCE)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(30)


async def closed_loop(url: str, texts: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Ask from 8 connections, each as soon as it has its answer."""
    todo = iter(texts * 100)
    took: list[float] = []
    others = 0
    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()

        async def ask() -> None:
            nonlocal others
            while time.perf_counter() - began < seconds:
                before = time.perf_counter()
                async with session.post(url, json=next(todo)) as answer:
                    told = await answer.json(content_type=None)
                    if answer.status != 200 or failed(told):
                        others += 1
                    else:
                        took.append(1000 * (time.perf_counter() - before))

        await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
        whole = time.perf_counter() - began
    return {
        "asked": len(took) + others, "scored": len(took), "per_s": len(took) / whole,
        "p50_ms": quantile(took, 0.5), "p99_ms": quantile(took, 0.99), "failed": others,
    }  # fmt: skip


async def open_loop(
    url: str, texts: list[dict[str, Any]], rate: float, args: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Ask at random moments, `rate` a second, whatever is still open."""
    rng = random.Random(seed)
    answered: list[float] = []
    refused: list[float] = []
    begun: list[float] = []
    failures = 0
    header = {"Glider-Deadline-Ms": str(args.deadline_ms)}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: dict[str, Any]) -> None:
            nonlocal failures
            before = time.perf_counter()
            async with session.post(url, json=body, headers=header) as answer:
                told = await answer.json()
            ms = 1000 * (time.perf_counter() - before)
            if answer.status == 503 and told["error"]["code"] == "deadline":
                (begun if told["error"]["begun"] else refused).append(ms)
            elif answer.status != 200 or failed(told):
                failures += 1
            else:
                answered.append(ms)

        began = time.perf_counter()
        due, number, open_ = 0.0, 0, []
        while (due := due + rng.expovariate(rate)) < args.seconds:
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            open_.append(asyncio.ensure_future(ask(texts[number % len(texts)])))
            number += 1
        await asyncio.gather(*open_)
    kept = sum(ms <= args.deadline_ms for ms in answered)
    return {
        "asked": number, "scored": len(answered), "refused": len(refused), "failed": failures,
        "admitted": len(answered) + len(begun), "kept": kept,
        "p50_ms": quantile(answered, 0.5), "p99_ms": quantile(answered, 0.99),
        "refused_p50_ms": quantile(refused, 0.5), "refused_p99_ms": quantile(refused, 0.99),
    }  # fmt: skip


def failed(told: Any) -> bool:
    """Whether an answer holds a failure instead of a score."""
    return any(outcome.get("kind") == "failure" for outcome in told.get("outcomes", ()))


def quantile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def tables(runs: list[dict[str, Any]], deadline_ms: int) -> str:
    heads = [
        "load", "asked", "scores a second", "p50 ms", "p99 ms", "refused",
        f"of admitted within {deadline_ms:,} ms", "refused after, p50 ms", "p99 ms",
    ]  # fmt: skip
    rows = []
    for load in dict.fromkeys(run["load"] for run in runs):
        here = [run for run in runs if run["load"] == load]
        admitted = sum(run.get("admitted", 0) for run in here)
        within = "–"
        if admitted:
            share = proportion(sum(run["kept"] for run in here), admitted)
            within = f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}], n {admitted:,}"
        rows.append(
            [
                load,
                f"{sum(run['asked'] for run in here):,}",
                span([run["per_s"] for run in here], 1) if "per_s" in here[0] else "–",
                *(figures(here, key) for key in ("p50_ms", "p99_ms")),
                f"{sum(run.get('refused', 0) for run in here):,}",
                within,
                *(figures(here, key) for key in ("refused_p50_ms", "refused_p99_ms")),
            ]
        )
    return table(heads, rows)


def figures(runs: list[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs if run.get(key) is not None]
    return span(values, 0 if values and statistics.median(values) >= 20 else 1) if values else "–"


if __name__ == "__main__":
    main()
