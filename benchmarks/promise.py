"""Is the promise of a policy kept? Blocked good texts on held-out halves, beside the stated bound.

    python benchmarks/promise.py --data DATA

Each of --reps repetitions splits a file's prompts at random into halves. One half is the labelled
run behind `blocks_at_most: x`: the threshold is chosen by its scores and labels, with the code
that `glider serve` uses. The other half is what is then served: of its prompts with a good text,
how many have a good text blocked? A good text is one that people labelled at the pass mark or
above.

Five files are judged by glider-nano: bare scores of 300 items each, kept in
results/nano-bare-scores.json; `--runs` takes them from new run folders, made by `glider judge
FILE -c record --no-explain --limit 300 --seed 7 -m fast/glider-nano`. The others have the cheap
judges of guarantees.py on all items: one annotator against the mean of the others, ROUGE-L,
length.

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
from glider.stats.statistic import Bools, Ints

SCORES = Path(__file__).resolve().parent / "results" / "nano-bare-scores.json"
SETS = {
    "semeval2013_answers": 2,
    "cefr_sp_wiki": 4,
    "xstest_refusals": 1,
    "mlqe_pe_da": 70,
    "qags": 1,
}
"""File and pass mark."""
BOUNDS = (0.05, 0.1, 0.2)


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
    """Five files under glider-nano, then those of `guarantees.py` that need no model."""
    for name, mark in SETS.items():
        yield guarantees.embedded(data, name, mark, scores=SCORES, judge="glider-nano")
    yield from guarantees.without_model(data)


def measured(case: Case, bound: float, reps: int, rng: Generator) -> dict[str, Any]:
    """One row: how often a threshold was found, what it blocked, and how often above the bound."""
    good, prompts = case.passes > 0, np.unique(case.cluster)
    above, rates, broken, caught = [], [], [], []
    found = 0
    for _ in range(reps):
        ours = np.isin(case.cluster, rng.permutation(prompts)[: len(prompts) // 2])
        mark = threshold(case, np.flatnonzero(ours & good), case.cluster[ours & good], bound)
        found += mark is not None
        above.append(False)
        if mark is not None:
            rate = share(case, ~ours & good, mark)
            rates.append(rate)
            above[-1] = rate > bound
            if (~ours & ~good).any():
                caught.append(float((case.score[~ours & ~good] < mark).mean()))
        # The same with prompts drawn with replacement, so that the population is known.
        items, codes = guarantees.drawn(case.cluster, len(case) // 2, rng)
        kept = good[items]
        mark = threshold(case, items[kept], codes[kept], bound)
        broken.append(mark is not None and share(case, good, mark) > bound)
    return {
        "case": case.name,
        "judge": case.judge,
        "items": len(case),
        "prompts": len(prompts),
        "good_prompts": len(np.unique(case.cluster[good])),
        "bound": bound,
        "found": found / reps,
        "blocked": float(np.mean(rates)) if rates else None,
        "caught": float(np.mean(caught)) if caught else None,
        "above": _share(above),
        "broken": _share(broken),
    }


def threshold(case: Case, items: Ints, clusters: Ints, bound: float) -> float | None:
    """Return the threshold that the server would choose by these good texts."""
    lowest: dict[int, float] = {}
    for item, name in zip(items, clusters, strict=True):
        value = float(case.score[item])
        lowest[int(name)] = min(value, lowest.get(int(name), value))
    scores = BlockingScores(
        good=tuple(sorted(lowest.values())), good_beside_failures=(), typical=(), decided={}
    )
    found = scores.threshold(bound, failures_block=True, highest=float(case.score.max()))
    return None if found is None else found.block_below


def share(case: Case, good: Bools, mark: float) -> float:
    """Of the prompts with a good text, those with a blocked one."""
    hit = np.unique(case.cluster[good & (case.score < mark)])
    return len(hit) / len(np.unique(case.cluster[good]))


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
