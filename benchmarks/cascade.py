"""What does a cascade win? Agreement against judgments a minute, with the share passed on.

    python benchmarks/cascade.py --bench DIR [DIR ...] --systems nano small \
        --models fast/nano fast/ADAPTER
    python benchmarks/cascade.py --bench DIR [DIR ...] --systems nano small --seconds 0.2 0.9

DIR is a folder of `glider bench` with runs of both judges on the same items. What `-m nano
--cascade small --cascade-until T` would have answered follows from the two runs: the first judge's
answer where it is confident enough, else the second's. So nothing is judged again; only the seconds
of a judgment are measured, each model alone on some of the items, or given.
"""

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, facts, save, table
from levers import Stored, measured, stored, work_of

from glider.bench.results import Difference, Results
from glider.bench.run import Outcome
from glider.bench.scored import Scored
from glider.bench.table import ALL
from glider.judging.settings import JudgeSettings
from glider.judging.strategies.cascade import SureEnough
from glider.stats.clustered import clustered_share

_UNTIL = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_CASCADE = "cascade"


def seconds_of(model: str, own: Mapping[str, Stored], n: int, reps: int, seed: int) -> list[float]:
    """Seconds a judgment takes with this model, loading not counted; one for each repetition."""
    works = [work_of(item) for one in own.values() for item in one.items]
    drawn = random.Random(seed).sample(works, min(n, len(works)))
    found = []
    for _ in range(reps):
        # Opened anew: an engine keeps what it has read.
        with JudgeSettings(model=model, explain=False, truncate=True).open() as judge:
            began = time.perf_counter()
            list(judge.judge_many(drawn))
            found.append((time.perf_counter() - began) / len(drawn))
    return found


def cascaded(
    first: Stored, second: Stored, until: float
) -> tuple[dict[int, Outcome], dict[int, bool]]:
    """The outcome of each item and whether it was passed on; `until` 0 passes on failures alone."""
    sure = SureEnough(until)
    answers: dict[int, Outcome] = {}
    passed: dict[int, bool] = {}
    for row in range(len(first.items)):
        own = first.outcomes.get(row)
        found = None if own is None else sure.confidence(own)
        passed[row] = found is None or found < until
        answer = second.outcomes.get(row) if passed[row] else own
        if answer is not None:
            answers[row] = answer
    return answers, passed


def share_passed(own: Sequence[Stored], passed: Sequence[Mapping[int, bool]]) -> dict[str, float]:
    """The share passed on over all sets, with its interval over prompts."""
    clusters = [f"{one.name} {item.cluster}" for one in own for item in one.items]
    codes = np.unique(np.array(clusters), return_inverse=True)[1]
    flags = np.array([each[row] for each in passed for row in range(len(each))])
    found = clustered_share(flags, codes)
    return {"value": found.value, "low": found.low, "high": found.high}


def point(
    until: float, first: Mapping[str, Stored], second: Mapping[str, Stored], names: Sequence[str],
    args: argparse.Namespace,
) -> tuple[dict[str, Any], Results]:  # fmt: skip
    """One threshold: the share passed on, the agreement, and the difference from both judges."""
    systems: list[Scored] = []
    passed = []
    for name, one in first.items():
        answers, gone = cascaded(one, second[name], until)
        passed.append(gone)
        systems += [
            one.scored(names[0]), second[name].scored(names[1]), one.scored(_CASCADE, answers),
        ]  # fmt: skip
    results = measured(first, systems, args.seed, args.resamples)
    told = {
        "until": until,
        "passed_on": share_passed(list(first.values()), passed),
        "agreement": ends(aggregate(results, _CASCADE)),
        "less_first": ends(less(results, _CASCADE, names[0])),
        "less_second": ends(less(results, _CASCADE, names[1])),
    }
    return told, results


def aggregate(results: Results, system: str) -> Any:
    """A system's mean over all sets, between random (0) and perfect (1)."""
    return next(
        f for f in results.figures
        if (f.benchmark, f.system, f.metric, f.part) == (ALL, system, "aggregate", "")
    )  # fmt: skip


def less(results: Results, a: str, b: str) -> Difference:
    """One system less another over all sets."""
    found = next(d for d in results.overall if {d.a, d.b} == {a, b} and not d.part)
    if found.a == a or found.value is None:
        return found
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return found.model_copy(update={"value": -found.value, "low": low, "high": high})


def ends(figure: Any) -> dict[str, Any]:
    """Value, interval and n."""
    return {"value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n}


def words(figure: Mapping[str, Any], sign: str = "") -> str:
    """A value with its interval."""
    value = format(figure["value"], f"{sign}.2f")
    low, high = figure["low"], figure["high"]
    return value if low is None else f"{value} [{low:.2f}, {high:.2f}]"


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--bench", type=Path, nargs="+", required=True)
    made.add_argument("--systems", nargs=2, required=True, help="the first judge, and the second")
    made.add_argument("--models", nargs=2, help="the same, as models to be timed")
    made.add_argument("--seconds", nargs=2, type=float, help="seconds a judgment, in their place")
    made.add_argument("--timed", type=int, default=48, help="items timed")
    made.add_argument("--reps", type=int, default=3)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--resamples", type=int, default=999)
    made.add_argument("--name", default="cascade", help="of the result's file")
    made.add_argument("--out", type=Path, default=HERE / "results")
    args = made.parse_args()
    if bool(args.models) == bool(args.seconds):
        made.error("give --models or --seconds")
    names = args.systems
    first, second = (stored(args.bench, name) for name in names)
    first = {name: one for name, one in first.items() if name in second}
    for name, one in first.items():
        if [i.sample.content_id for i in one.items] != [
            i.sample.content_id for i in second[name].items
        ]:
            made.error(f"{name}: the two judges saw other items")
    if args.models:
        taken = [seconds_of(m, first, args.timed, args.reps, args.seed) for m in args.models]
    else:
        taken = [[seconds] for seconds in args.seconds]
    cost = [statistics.median(each) for each in taken]
    points = []
    for until in _UNTIL:
        told, results = point(until, first, second, names, args)
        told["per_minute"] = 60 / (cost[0] + told["passed_on"]["value"] * cost[1])
        points.append(told)
    alone = {name: ends(aggregate(results, name)) for name in names}
    rows = [["–", "0 %", f"{60 / cost[0]:.0f}", words(alone[names[0]]), "–", "–"]]
    for told in points:
        share = told["passed_on"]
        rows.append([
            f"{told['until']:g}",
            f"{share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}]",
            f"{told['per_minute']:.0f}", words(told["agreement"]),
            words(told["less_first"], "+"), words(told["less_second"], "+"),
        ])  # fmt: skip
    rows.append([f"{names[1]} alone", "–", f"{60 / cost[1]:.0f}", words(alone[names[1]]), "–", "–"])
    heads = [
        "`--cascade-until`", "passed on", "judgments a minute", "between random and perfect",
        f"less {names[0]} alone", f"less {names[1]} alone",
    ]  # fmt: skip
    found = table(heads, rows)
    print(found)
    result = {
        "facts": facts(), "systems": list(names), "models": args.models, "seconds": taken,
        "sets": {name: len(one.items) for name, one in first.items()},
        "alone": alone, "points": points, "seed": args.seed, "table": found,
    }  # fmt: skip
    save(args.out, args.name, result)


if __name__ == "__main__":
    main()
