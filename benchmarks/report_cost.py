"""What does a full report of 100,000 outcomes cost: figures, tests, Markdown, page?

    python benchmarks/report_cost.py
    python benchmarks/report_cost.py --shape wide --profile      # where the time goes

The outcomes are made up: labels of five levels, scores that follow them more or less, one failed
judgment in a hundred, four items to a prompt. `long` is one set of 25,000 items, `wide` 50 sets of
250 items in three parts; either has two judges (by their mean and by their likeliest level) and
six simple rules or two, eight metrics each. Reading a run folder and computing the rules' scores
is not in it. Each repetition is a process of its own, whose peak memory is counted.

`digest` is of all figures and differences: a change that is only about speed keeps it.
"""

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
from common import facts, parser, save, settings, span, table

from glider.bench.benchmark import FigureSettings
from glider.bench.markdown import markdown
from glider.bench.page import page
from glider.bench.scored import Scored
from glider.bench.table import measure
from glider.core.base import content_hash
from glider.gold.sets import LabelledSet

METRICS = ("pearson", "spearman", "kendall", "mae", "agr22", "qwk", "accuracy", "macro_f1")
JUDGES = ("judge, expected", "judge, greedy")
RULES = ("majority", "length", "rouge_l", "chrf", "embedding", "random")
SHAPES = {
    # sets, items of each, parts, rules
    "long": (1, 25_000, 1, 2),
    "wide": (50, 250, 3, 6),
}


def made_up(benchmark: int, system: int, n: int, parts: int, seed: int) -> Scored:
    """A system's scores on a set; the labels are the same for all systems."""
    gold = np.random.default_rng([seed, benchmark]).integers(1, 6, n).astype(np.float64)
    rng = np.random.default_rng([seed, benchmark, system])
    score = np.clip(gold + rng.normal(0, 1.0 if system < len(JUDGES) else 2.5, n), 1, 5)
    return Scored(
        benchmark=f"set-{benchmark}",
        system=(*JUDGES, *RULES)[system],
        gold=gold,
        score=np.rint(score) if system % 2 else score,
        judged=rng.random(n) >= (0.01 if system < len(JUDGES) else 0.0),
        cluster=np.arange(n) // 4,
        part=np.arange(n) % parts,
        parts=tuple(f"part {k}" for k in range(parts)),
        scales=((1.0, 5.0),) * parts,
        ids=tuple(map(str, range(n))),
    )


def one(shape: str, shrink: int, seed: int) -> dict[str, Any]:
    """Make the outcomes, then the report, and say what that took."""
    sets, n, parts, rules = SHAPES[shape]
    sets, n = max(1, sets // shrink), n if sets > 1 else n // shrink
    scored = [
        made_up(b, s, n, parts, seed) for b in range(sets) for s in range(len(JUDGES) + rules)
    ]
    labelled = {
        name: LabelledSet(
            name=name, title=name, data="none", kind="graded", family=f"task {name[-1]}",
            labels_by="nobody", licence="none", use="train", metrics=METRICS,
        )
        for name in dict.fromkeys(each.benchmark for each in scored)
    }  # fmt: skip
    start, started = time.perf_counter(), time.process_time()
    found = measure(
        scored, labelled, settings=FigureSettings(seed=seed),
        kinds=dict.fromkeys(RULES, "baseline"),
        readings=dict.fromkeys(JUDGES, JUDGES[0]),
    )  # fmt: skip
    measured = time.perf_counter()
    size = len(markdown(found)) + len(page(found))
    done = time.perf_counter()
    numbers = [each.model_dump() for each in (*found.figures, *found.differences)]
    return {
        "shape": shape,
        "outcomes": sum(map(len, scored)),
        "figures": len(found.figures),
        "differences": len(found.differences),
        "seconds": done - start,
        "processor_seconds": time.process_time() - started,
        "seconds_of_pages": done - measured,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "report_characters": size,
        "digest": content_hash(numbers),
    }


def in_a_process(shape: str, args: argparse.Namespace) -> dict[str, Any]:
    """`one` in a fresh process, whose memory is its own."""
    options = [f"--shape={shape}", f"--shrink={args.shrink}", f"--seed={args.seed}", "--one"]
    done = subprocess.run(
        [sys.executable, __file__, *options], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def report(runs: list[dict[str, Any]]) -> str:
    """One row for each shape."""
    rows = []
    for shape in dict.fromkeys(run["shape"] for run in runs):
        own = [run for run in runs if run["shape"] == shape]
        rows.append(
            [
                shape,
                f"{own[0]['outcomes']:,}",
                f"{own[0]['figures']:,}",
                f"{own[0]['differences']:,}",
                span([run["seconds"] for run in own]),
                span([run["processor_seconds"] for run in own]),
                span([run["seconds_of_pages"] for run in own]),
                span([run["peak_mb"] for run in own], 0),
            ]
        )
    heads = (
        "shape",
        "outcomes",
        "figures",
        "tests",
        "seconds",
        "of a processor",
        "pages",
        "peak MB",
    )
    return table(heads, rows)


def main() -> None:
    """Every shape, every repetition."""
    made = parser(__doc__)
    made.add_argument("--shape", choices=[*SHAPES, "all"], default="all")
    made.add_argument("--shrink", type=int, default=1, help="so many times fewer outcomes")
    made.add_argument("--profile", action="store_true", help="of one run, and nothing is written")
    made.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = made.parse_args()
    shapes = list(SHAPES) if args.shape == "all" else [args.shape]
    if args.profile:
        with cProfile.Profile(time.process_time) as profile:
            for shape in shapes:
                one(shape, args.shrink, args.seed)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    if args.one:
        print(json.dumps(one(shapes[0], args.shrink, args.seed)))
        return
    runs = [in_a_process(shape, args) for _ in range(args.reps) for shape in shapes]
    told = report(runs)
    print(told)
    given = settings(args)
    save(
        args.out, "report_cost", {"facts": facts(), "settings": given, "runs": runs, "table": told}
    )


if __name__ == "__main__":
    main()
