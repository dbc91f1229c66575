"""Is the promise of a policy kept? Blocked good texts on held-out halves, beside the stated bound.

    python benchmarks/promise.py --data DATA

Each of --reps repetitions splits a file's prompts at random into halves. One half is the labelled
run behind `blocks_at_most: x`: the threshold is chosen by its scores and labels, with the code
that `glider serve` uses. The other half is what is then served: of its prompts with a good text,
how many have a good text blocked? A good text is one that people labelled at the pass mark or
above.

The judges are those of guarantees.py: one annotator against the mean of the others, ROUGE-L,
length, and the kept bare scores of the embedded model. Five files more under glider-nano are read
from results/nano-bare-scores.json where it is there; `--runs` makes it from run folders of
`glider judge FILE -c record --no-explain --limit 300 --seed 7 -m fast/glider-nano`.

*Above x* is the share of repetitions in which the held-out half had more than x blocked. Its own
size makes it vary, so *drawn anew* is the test: the labelled prompts are drawn with replacement
from the file, which is then the population whose share is known; the promise is broken if that
share is above x, which may happen in 5 of 100 cases. A repetition with too few labels promises
nothing and breaks nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import guarantees
import numpy as np
from common import facts, parser, save, settings, table, with_data
from guarantees import Case
from numpy.random import Generator

from glider.calibration.blocking import BlockingScores
from glider.stats.clustered import clustered_share
from glider.stats.statistic import Floats

SCORES = Path(__file__).resolve().parent / "results" / "nano-bare-scores.json"
SETS = {
    "semeval2013_answers": 2,
    "cefr_sp_wiki": 4,
    "xstest_refusals": 1,
    "mlqe_pe_da": 70,
    "qags": 1,
}
"""File and pass mark."""
BOUNDS = (0.05, 0.1)


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.set_defaults(reps=200)
    made.add_argument("--runs", type=Path, nargs="*", help="run folders to take scores from")
    args = made.parse_args()
    if args.runs:
        guarantees.keep_scores(args.runs, SCORES)
        args.runs = [folder.name for folder in args.runs]
    rows = []
    for case in cases(args.data):
        rng = np.random.default_rng([args.seed, len(rows)])
        rows += [measured(case, bound, args.reps, rng) for bound in BOUNDS]
    text = tables(rows)
    save(
        args.out,
        "promise",
        {"facts": facts(), "settings": settings(args), "cases": rows, "table": text},
    )
    print(text)


def cases(data: Path) -> Iterator[Case]:
    """Those of `guarantees.py`, and five files under glider-nano where its scores were kept."""
    yield from guarantees.cases(data)
    for name, mark in SETS.items() if SCORES.exists() else ():
        yield guarantees.embedded(data, name, mark, scores=SCORES, judge="glider-nano")


def measured(case: Case, bound: float, reps: int, rng: Generator) -> dict[str, Any]:
    """One row: how often a threshold was found, what it blocked, and how often above the bound."""
    good = case.passes > 0
    prompts, of_item = np.unique(case.cluster, return_inverse=True)
    # Of each prompt the lowest score of its good texts; infinite where it has none.
    lowest = np.full(len(prompts), np.inf)
    np.minimum.at(lowest, of_item[good], case.score[good])
    highest = float(case.score.max())
    above, rates, broken, caught = [], [], [], []
    found = 0
    for _ in range(reps):
        order = rng.permutation(len(prompts))
        ours, others = np.array_split(order, 2)
        mark = threshold(lowest[ours], bound, highest)
        found += mark is not None
        above.append(False)
        if mark is not None:
            rates.append(share(lowest[others], mark))
            above[-1] = rates[-1] > bound
            bad = ~good & np.isin(of_item, others)
            if bad.any():
                caught.append(float((case.score[bad] < mark).mean()))
        # The same with prompts drawn with replacement, so that the population is known.
        mark = threshold(lowest[rng.integers(len(prompts), size=len(ours))], bound, highest)
        broken.append(mark is not None and share(lowest, mark) > bound)
    return {
        "case": case.name,
        "judge": case.judge,
        "items": len(case),
        "prompts": len(prompts),
        "good_prompts": int(np.isfinite(lowest).sum()),
        "bound": bound,
        "found": found / reps,
        "blocked": float(np.mean(rates)) if rates else None,
        "caught": float(np.mean(caught)) if caught else None,
        "above": _share(above),
        "broken": _share(broken),
    }


def threshold(lowest: Floats, bound: float, highest: float) -> float | None:
    """Return the threshold that the server would choose by these prompts' good texts."""
    known = tuple(map(float, np.sort(lowest[np.isfinite(lowest)])))
    scores = BlockingScores(good=known, good_beside_failures=(), typical=(), decided={})
    found = scores.threshold(bound, failures_block=True, highest=highest)
    return None if found is None else found.block_below


def share(lowest: Floats, mark: float) -> float:
    """Of the prompts with a good text, those with a blocked one."""
    return float((lowest[np.isfinite(lowest)] < mark).mean())


def _share(found: list[bool]) -> dict[str, float]:
    kept = clustered_share(np.array(found, np.bool_), np.arange(len(found)))
    return {"share": kept.value, "low": kept.low, "high": kept.high, "n": kept.n}


def tables(rows: list[dict[str, Any]]) -> str:
    heads = ["case", "judge", "prompts", "with a good text", "at most", "threshold found",
             "blocked of the good", "blocked of the bad", "above, held-out half",
             "broken, drawn anew"]  # fmt: skip

    def cell(value: Any) -> str:
        if isinstance(value, dict):
            return f"{value['share']:.3f} ({value['low']:.3f}..{value['high']:.3f})"
        return "-" if value is None else f"{value:.3f}"

    return table(
        heads,
        [
            [r["case"], r["judge"], r["prompts"], r["good_prompts"], r["bound"],
             *(cell(r[key]) for key in ("found", "blocked", "caught", "above", "broken"))]
            for r in rows
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
