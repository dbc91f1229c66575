"""Do the intervals hold the truth 95 times in 100, and do the tests reject a null 5 times in 100?

    python benchmarks/simulation.py
    python benchmarks/simulation.py --page           # docs/intervals.md anew from the results

People's labels and a judge's scores are two correlated normal numbers, cut into five levels: at
even places, or so that seven labels in ten are the highest one. In clustered data three tenths of
the variance of either are the cluster's. So the whole joint table of levels is known, and with it
the true value of each statistic; no truth is simulated. Each cell draws new data `--reps` times,
makes the interval that Glider reports, and counts how often it has the truth in it.

The nulls are two judges that are equally good by construction. Brackets are 95 % Clopper-Pearson
intervals of the counts. One core, about five minutes. Writes results/simulation.json and
docs/intervals.md.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, facts, machine, parser, save, settings, table
from scipy.stats import multivariate_normal, norm

from glider.stats.agreement import cohen_kappa, mean_absolute_error
from glider.stats.classification import accuracy, auc, macro_f1
from glider.stats.correlation import kendall, pearson, spearman
from glider.stats.estimates import (
    Degenerate,
    Estimate,
    Undefined,
    exact_proportion,
    proportion,
)
from glider.stats.multiplicity import holm
from glider.stats.resampling import Swapped, bootstrap, paired_difference, paired_permutation
from glider.stats.statistic import Floats, Statistic

LEVELS = np.arange(1.0, 6.0)
CORRELATION = 0.7
OF_CLUSTER = 0.3
CUTS = {"even labels": (0.15, 0.35, 0.65, 0.85), "skewed labels": (0.04, 0.08, 0.15, 0.30)}
STATISTICS: dict[str, Statistic[[]]] = {
    "Pearson": pearson,
    "Spearman": spearman,
    "Kendall tau-b": kendall,
    "kappa": cohen_kappa,
    "accuracy": accuracy,
    "macro-F1": macro_f1,
    "AUC": auc,
    "MAE": mean_absolute_error,
}


@dataclass(frozen=True)
class Design:
    """How many clusters of how many items each."""

    name: str
    clusters: int
    size: int

    @property
    def of_item(self) -> "np.ndarray[Any, Any]":
        return np.arange(self.clusters * self.size) // self.size


DESIGNS = (
    Design("30 items", 30, 1),
    Design("100 items", 100, 1),
    Design("5 clusters of 20", 5, 20),
    Design("12 clusters of 10", 12, 10),
    Design("100 clusters of 5", 100, 5),
)


# ---- the population


def latent(design: Design, rng: np.random.Generator) -> Floats:
    """Standard normal numbers, alike within clusters where these have more than one item."""
    shared = OF_CLUSTER if design.size > 1 else 0.0
    own = rng.normal(size=(design.clusters, design.size))
    common = rng.normal(size=(design.clusters, 1))
    return np.asarray(math.sqrt(shared) * common + math.sqrt(1 - shared) * own).ravel()


def levels(values: Floats, cuts: Sequence[float]) -> Floats:
    return LEVELS[np.searchsorted(norm.ppf(cuts), values)]


def draw(
    design: Design, cuts: Sequence[float], rng: np.random.Generator, judges: int = 1
) -> tuple[Floats, list[Floats]]:
    """Gold and the scores of equally good judges, whose errors have nothing in common."""
    gold = latent(design, rng)
    error = math.sqrt(1 - CORRELATION**2)
    scores = [CORRELATION * gold + error * latent(design, rng) for _ in range(judges)]
    return levels(gold, cuts), [levels(score, cuts) for score in scores]


def classes(name: str, gold: Floats, cuts: Sequence[float]) -> Floats:
    """Gold as the statistic wants it: for AUC two classes, the second with at least a third."""
    at = 4.0 if cuts == CUTS["even labels"] else 5.0
    return (gold >= at) * 1.0 if name == "AUC" else gold


def truth(name: str, cuts: Sequence[float]) -> float:
    """The statistic of the population: of the table of levels, its shares as weights."""
    edges = np.concatenate([[-9], norm.ppf(cuts), [9]])
    both = multivariate_normal(cov=[[1, CORRELATION], [CORRELATION, 1]])
    below = np.array([[both.cdf([a, b]) for b in edges] for a in edges])
    shares = np.diff(np.diff(below, axis=0), axis=1).clip(0)
    score, gold = (axis.ravel() for axis in np.meshgrid(LEVELS, LEVELS, indexing="ij"))
    # Of a billion items, so that sample and population do not differ.
    return STATISTICS[name](score, classes(name, gold, cuts), shares.ravel() * 1e9)


# ---- intervals


def coverage(
    design: Design, labels: str, sims: int, n_resamples: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Per statistic how often the interval had the truth in it."""
    cuts, clusters = CUTS[labels], design.of_item
    truths = {name: truth(name, cuts) for name in STATISTICS}
    made: dict[str, list[Estimate | Undefined]] = {name: [] for name in STATISTICS}
    made |= {"accuracy, Wilson": [], "accuracy, Clopper-Pearson": []}
    for _ in range(sims):
        gold, (score,) = draw(design, cuts, rng)
        for name, statistic in STATISTICS.items():
            made[name].append(
                _interval(statistic, score, classes(name, gold, cuts), clusters, n_resamples, rng)
            )
        hits = int((gold == score).sum())
        made["accuracy, Wilson"].append(proportion(hits, len(gold)))
        made["accuracy, Clopper-Pearson"].append(exact_proportion(hits, len(gold)))
    rows = []
    for name, figures in made.items():
        value = truths[name.partition(",")[0]]
        given = [figure for figure in figures if isinstance(figure, Estimate)]
        held = sum(figure.low <= value <= figure.high for figure in given)
        rows.append(
            {
                "design": design.name,
                "labels": labels,
                "statistic": name,
                "truth": round(value, 5),
                "held": held,
                "missed_below": sum(value < figure.low for figure in given),
                "missed_above": sum(value > figure.high for figure in given),
                "given": len(given),
                "undefined": len(figures) - len(given),
                "mean_width": round(
                    float(np.mean([figure.high - figure.low for figure in given])), 4
                ),
                "methods": dict(Counter(figure.method.split(" over")[0] for figure in given)),
            }
        )
    return rows


def _interval(
    statistic: Statistic[[]],
    score: Floats,
    gold: Floats,
    clusters: "np.ndarray[Any, Any]",
    n_resamples: int,
    rng: np.random.Generator,
) -> Estimate | Undefined:
    try:
        prepared = statistic.on(score, gold)
    except Degenerate as reason:
        return Undefined(str(reason), len(gold), 0)
    return bootstrap(prepared, clusters, rng=rng, n_resamples=n_resamples)


# ---- tests


def as_is(scores: Floats) -> Floats:
    return scores


def standard(scores: Floats) -> Floats:
    """As z-scores, which Pearson's correlation does not see."""
    return (scores - scores.mean()) / scores.std()


NULLS: tuple[tuple[str, str, float, Callable[[Floats], Floats]], ...] = (
    ("accuracy", "accuracy", 1.0, as_is),
    ("MAE", "MAE", 1.0, as_is),
    ("Pearson", "Pearson", 1.0, as_is),
    ("Kendall tau-b", "Kendall tau-b", 1.0, as_is),
    ("macro-F1", "macro-F1", 1.0, as_is),
    ("Pearson, b on half the scale", "Pearson", 0.5, as_is),
    ("Pearson, b on half the scale, z-scores", "Pearson", 0.5, standard),
)


def rejections(
    design: Design, labels: str, sims: int, n_resamples: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """How often two equally good judges are told apart at 5 %."""
    cuts, clusters = CUTS[labels], design.of_item
    counts: dict[str, Counter[str]] = {name: Counter() for name, *_ in NULLS}
    for _ in range(sims):
        gold, (a, b) = draw(design, cuts, rng, judges=2)
        for name, which, stretch, form in NULLS:
            first, second = form(a), form(b * stretch)
            statistic, count = STATISTICS[which], counts[name]
            try:
                both = statistic.on(np.concatenate([first, second]), np.tile(gold, 2))
                p = paired_permutation(Swapped(both), clusters, rng=rng, n_permutations=n_resamples)
            except Degenerate:
                count["undefined"] += 1
                continue
            count["permutation"] += p <= 0.05
            difference = paired_difference(
                statistic.on(first, gold),
                statistic.on(second, gold),
                clusters,
                rng=rng,
                n_resamples=n_resamples,
            )
            if isinstance(difference, Estimate):
                count["bootstrap"] += not difference.low <= 0 <= difference.high
            else:
                count["no interval"] += 1
    return [
        {
            "design": design.name,
            "labels": labels,
            "statistic": name,
            "tests": sims - count["undefined"],
            "permutation": count["permutation"],
            "intervals": sims - count["undefined"] - count["no interval"],
            "bootstrap": count["bootstrap"],
        }
        for name, count in counts.items()
    ]


def families(
    design: Design, judges: int, sims: int, n_permutations: int, rng: np.random.Generator
) -> dict[str, Any]:
    """How often any of several equally good judges is told from the first."""
    clusters, plain, adjusted = design.of_item, 0, 0
    for _ in range(sims):
        gold, (first, *others) = draw(design, CUTS["even labels"], rng, judges=judges)
        p = [
            paired_permutation(
                Swapped(accuracy.on(np.concatenate([first, other]), np.tile(gold, 2))),
                clusters,
                rng=rng,
                n_permutations=n_permutations,
            )
            for other in others
        ]
        plain += min(p) <= 0.05
        adjusted += float(holm(p).min()) <= 0.05
    return {
        "design": design.name,
        "comparisons": judges - 1,
        "sims": sims,
        "any_unadjusted": plain,
        "any_holm": adjusted,
    }


# ---- the page


def share(hits: int, n: int) -> str:
    """A share in per cent with its interval."""
    if not n:
        return "-"
    figure = exact_proportion(hits, n)
    assert isinstance(figure, Estimate)
    return f"{100 * figure.value:.1f} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def page(result: dict[str, Any]) -> str:
    """docs/intervals.md."""
    made, asked = result["facts"], result["settings"]
    blocks = (
        "# Do intervals hold the truth?",
        f"Made by `benchmarks/simulation.py` on {machine(made)}, {made['date'][:10]}: "
        f"{asked['reps']:,} draws a cell, {asked['resamples']} resamples for each interval and "
        f"test, seed {asked['seed']}. On real data: "
        "[guarantees.md](../benchmarks/results/guarantees.md).",
        "People's labels and a judge's scores are two normal numbers that correlate at "
        f"{CORRELATION:g}, cut into five levels: at even places, or so that seven labels in ten "
        "are the highest one (*skewed*). In clusters three tenths of the variance of either are "
        "the cluster's. The truth is known from the whole table of levels. Brackets are 95 % "
        "Clopper-Pearson intervals of the counts. *accuracy, Wilson* and *accuracy, "
        "Clopper-Pearson* take items as independent; all other intervals are made as in `glider "
        "bench`, over clusters.",
        "## Where they do not hold",
        _exceptions(result),
        "## The tables",
        tables(result),
    )
    return "\n\n".join(blocks)


def _exceptions(result: dict[str, Any]) -> str:
    """What a reader should know before trusting a 95 % interval, with the figures."""
    few, many = DESIGNS[:-1], DESIGNS[-1:]
    clustered = [design for design in DESIGNS if design.size > 1]
    wilson, exact = (
        _reach(result, f"accuracy, {name}", clustered) for name in ("Wilson", "Clopper-Pearson")
    )
    compared = [row for row in result["null"] if row["intervals"]]
    worst = max(compared, key=lambda row: row["bootstrap"] / row["intervals"])
    outside = 100 * worst["bootstrap"] / worst["intervals"]
    rejected = 100 * worst["permutation"] / worst["tests"]
    return "\n".join(
        (
            "- Macro-F1 with skewed labels, where some classes have hardly an item: its interval "
            f"holds the truth {_reach(result, 'macro-F1', few)} times in 100, and "
            f"{_reach(result, 'macro-F1', many)} times with {many[0].name}.",
            "- Intervals of a share that take items as independent, where skewed labels come in "
            f"clusters: Wilson's holds {wilson} times in 100, Clopper and Pearson's {exact}. "
            "`glider gate` and `glider calibrate` count clusters instead (Korn and Graubard), "
            "which these tables do not try.",
            "- Two judges that are equally good: 0 is outside the interval of their difference in "
            f"{worst['statistic']} {outside:.0f} times in 100 ({worst['design']}, "
            f"{worst['labels']}). Go by the permutation test, which rejects {rejected:.0f} times.",
            "",
            f"All other intervals of `glider bench` hold {_others(result)} times in 100, where 95 "
            "are promised.",
        )
    )


def _reach(result: dict[str, Any], statistic: str, designs: Sequence[Design]) -> str:
    """Coverage of a statistic with skewed labels, from the lowest to the highest."""
    names = {design.name for design in designs}
    return _span(
        row
        for row in result["coverage"]
        if row["statistic"] == statistic
        and row["labels"] == "skewed labels"
        and row["design"] in names
    )


def _others(result: dict[str, Any]) -> str:
    """Coverage of everything that is resampled over clusters, but macro-F1."""
    names = STATISTICS.keys() - {"macro-F1"}
    return _span(row for row in result["coverage"] if row["statistic"] in names)


def _span(rows: Iterable[dict[str, Any]]) -> str:
    shares = [100 * row["held"] / row["given"] for row in rows]
    low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
    return low if low == high else f"{low} to {high}"


def tables(result: dict[str, Any]) -> str:
    """Coverage, single tests, families of tests."""
    designs = list(dict.fromkeys(row["design"] for row in result["coverage"]))
    parts = []
    for labels in CUTS:
        rows = [row for row in result["coverage"] if row["labels"] == labels]
        names = list(dict.fromkeys(row["statistic"] for row in rows))
        cells = {(row["statistic"], row["design"]): row for row in rows}
        parts.append(
            f"95 % intervals, {labels}: how many in 100 held the truth\n\n"
            + table(
                ("statistic", *designs),
                ([name, *(_held(cells[name, design]) for design in designs)] for name in names),
            )
        )
    parts.append(
        "Two equally good judges: how many in 100 tests reject at 5 %\n\n"
        + table(
            ("statistic", "data", "permutation test", "0 outside the interval of the difference"),
            (
                (
                    row["statistic"],
                    f"{row['design']}, {row['labels']}",
                    share(row["permutation"], row["tests"]),
                    share(row["bootstrap"], row["intervals"]),
                )
                for row in result["null"]
            ),
        )
    )
    parts.append(
        "Several equally good judges against one: how many in 100 tables have a false finding\n\n"
        + table(
            ("data", "comparisons", "p as it is", "Holm"),
            (
                (
                    row["design"],
                    row["comparisons"],
                    share(row["any_unadjusted"], row["sims"]),
                    share(row["any_holm"], row["sims"]),
                )
                for row in result["family"]
            ),
        )
    )
    return "\n".join(parts)


def _held(row: dict[str, Any]) -> str:
    without = f", {row['undefined']} undefined" if row["undefined"] else ""
    return share(row["held"], row["given"]) + without


def main() -> None:
    """Simulate, write."""
    made = parser(__doc__)
    made.set_defaults(reps=1000)
    made.add_argument("--resamples", type=int, default=599, help="of each interval and test")
    made.add_argument("--docs", type=Path, default=HERE.parent / "docs" / "intervals.md")
    made.add_argument("--page", action="store_true", help="simulate nothing")
    args = made.parse_args()
    if not args.page:
        simulate(args)
    result = json.loads((args.out / "simulation.json").read_text("utf-8"))
    args.docs.write_text(page(result), "utf-8")


def simulate(args: argparse.Namespace) -> None:
    """All cells, as results/simulation.json."""
    rng = np.random.default_rng(args.seed)
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args)}
    result |= {"coverage": [], "null": [], "family": []}
    start = time.perf_counter()
    for labels in CUTS:
        for design in DESIGNS:
            result["coverage"] += coverage(design, labels, args.reps, args.resamples, rng)
            print(f"{labels}, {design.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    for design in (DESIGNS[1], DESIGNS[3]):
        for labels in CUTS:
            result["null"] += rejections(design, labels, args.reps, args.resamples, rng)
            print(f"null, {design.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    for design in (DESIGNS[1], DESIGNS[3]):
        result["family"].append(families(design, 7, args.reps, args.resamples, rng))
    result["seconds"] = round(time.perf_counter() - start, 1)
    result["table"] = tables(result)
    print(result["table"])
    print(save(args.out, "simulation", result), file=sys.stderr)


if __name__ == "__main__":
    main()
