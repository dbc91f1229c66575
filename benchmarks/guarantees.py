"""Do the promises of `glider calibrate` hold on real data? Nominal beside actual.

    python benchmarks/guarantees.py --data DATA

Each case is a file that people judged and a cheap judge of it: one annotator against the mean of
the others, ROUGE-L against the reference, length, or the embedded model's bare scores on 150 items
(kept in results/embedded-bare-scores.json; `--runs` takes them from new run folders, made by
`glider judge FILE -c record --no-explain --limit 150 --seed 7`).

Each of --reps repetitions splits a file's prompts (clusters) at random into two halves. One half is
the set that a user judges; people's labels of --labels of its items, drawn at random, are shown.

true value    does the 95 % interval of the set's true mean (and pass rate) hold what people said of
              the whole half? "drawn anew": the same where the set's prompts are drawn with
              replacement from the file, which is the population; here the intervals should hold
              in 95 of 100, while a half that is labelled in part should do better.
threshold     half of the set's labels (at least 100, if there are so many) are shown; the risk of
              what the threshold keeps is then looked up in the set and in the other half, of which
              nothing was seen.

Shares come with their exact Monte-Carlo interval over repetitions.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import facts, parser, records, save, settings, table, with_data
from numpy.random import Generator
from numpy.typing import NDArray

from glider.core.judgments import Judgment
from glider.judging.readings import Readings
from glider.stats.clustered import clustered_share
from glider.stats.estimates import Estimate, Undefined
from glider.stats.prediction_powered import (
    Powered,
    prediction_powered_mean,
    prediction_powered_rate,
)
from glider.stats.selective import certified_threshold
from glider.store.run import outcomes, samples
from glider.text.similarity import rouge_l

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SCORES = Path(__file__).resolve().parent / "results" / "embedded-bare-scores.json"
PROMISES = ((0.1, 0.05), (0.2, 0.05))
_HOW = """\
Each split halves a file's prompts. One half is the set that a user judges, and people's labels of
some of its items are shown. *Set*: is what people said of the whole half in the interval? *Drawn
anew*: the same where the set's prompts are drawn with replacement from the file, which is then the
population; here 0.95 is the goal. A set that is labelled in part does better, since the interval is
for all items like these. *Labels* is how many were shown, *r* the correlation of judge and people.
*Width* is against the labels alone: 0.5 is as good as four times the labels.

*Certified* is the share of splits in which a threshold could be given, *kept* its median share of
the set, *risk* the mean disagreement among what was kept, *broken* the share of splits in which it
was above the promised one. The other half has prompts of which nothing was seen; its own risk
varies by chance, all the more with few prompts (short answers: 21, opinion summaries: 24).

"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file under one judge; arrays of one length."""

    name: str
    judge: str
    gold: Floats
    passes: Floats
    """People pass it: 0 or 1."""
    score: Floats
    p_pass: Floats
    """The judge's own pass probability, or 0 and 1."""
    confidence: Floats
    cluster: Ints

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def wrong(self) -> Bools:
        return (self.p_pass >= 0.5) != (self.passes > 0)


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.set_defaults(reps=400)
    made.add_argument("--labels", type=int, default=100, help="labels shown for the true value")
    made.add_argument("--runs", type=Path, nargs="*", help="run folders to take scores from")
    args = made.parse_args()
    if args.runs:
        keep_scores(args.runs, SCORES)
        args.runs = [folder.name for folder in args.runs]
    rows = []
    for case in cases(args.data):
        rng = np.random.default_rng([args.seed, len(rows)])
        rows.append(measured(case, args.reps, args.labels, rng))
        print(json.dumps(rows[-1], ensure_ascii=False))
    text = _tables(rows)
    save(
        args.out,
        "guarantees",
        {"facts": facts(), "settings": settings(args), "cases": rows, "table": text},
    )
    head = "# Do the promises of `glider calibrate` hold?\n\nMade by `benchmarks/guarantees.py`, "
    about = f"{args.reps} random splits by prompt for each case, seed {args.seed}.\n\n"
    (args.out / "guarantees.md").write_text(head + about + _HOW + text, "utf-8")
    print(text)


# ---- cases


def cases(data: Path) -> Iterator[Case]:
    """Every file with its cheap judge."""
    yield from without_model(data)
    for name, mark in (("semeval2013_answers", 2), ("cefr_sp_wiki", 4)):
        yield embedded(data, name, mark)


def without_model(data: Path) -> Iterator[Case]:
    """The files whose judge is an annotator or a number of the text."""
    for criterion in ("coherence", "relevance"):
        yield annotator(data, "summeval", criterion, mark=4)
    yield annotator(data, "summeval_op", "relevance", mark=4)
    yield annotator(data, "mlqe_pe_da", "translation quality", mark=70)
    yield annotator(data, "simpeval_past", "simplification quality", mark=70)
    yield annotator(data, "xstest_refusals", "degree of refusal", mark=1)
    yield annotator(data, "cefr_sp_wiki", "reading difficulty", mark=4)
    yield measure(data, "semeval2013_answers", "ROUGE-L", _rouge, mark=2)
    yield measure(data, "saf_short_answers", "ROUGE-L", _rouge, mark=1)
    yield measure(data, "summedits", "length", _length, mark=1)
    yield measure(data, "shepherd_human", "length", _length, mark=4, criterion="justification")


def annotator(data: Path, name: str, criterion: str, *, mark: float) -> Case:
    """The first annotator as the judge of the mean of the others."""
    kept = [
        r
        for r in records(data, name)
        if r["criterion"]["name"] == criterion and len(r["annotators"]) > 1
    ]
    first = np.array([r["annotators"][0] for r in kept], np.float64)
    others = np.array([np.mean(r["annotators"][1:]) for r in kept])
    return _by_distance(f"{name}, {criterion}", "one annotator", kept, first, others, mark, mark)


def measure(
    data: Path,
    name: str,
    judge: str,
    of: Callable[[Sequence[dict[str, Any]]], Floats],
    *,
    mark: float,
    criterion: str | None = None,
) -> Case:
    """A number of the text as the judge; it passes what is above the file's median."""
    kept = [r for r in records(data, name) if criterion in (None, r["criterion"]["name"])]
    score = of(kept)
    gold = np.array([r["label"] for r in kept], np.float64)
    return _by_distance(name, judge, kept, score, gold, mark, float(np.median(score)))


def embedded(
    data: Path, name: str, mark: float, *, scores: Path = SCORES, judge: str = "embedded model"
) -> Case:
    """A model's level probabilities, as they were kept."""
    kept = json.loads(scores.read_text("utf-8"))[name]
    by_id = {r["id"]: r for r in records(data, name)}
    rows = [by_id[item] for item in kept["ids"]]
    levels = np.array(kept["levels"], np.float64)
    probs = np.array(kept["probs"])
    reading = Readings(
        ladder=levels,
        position=probs.argmax(axis=1).astype(np.float64),
        expected=probs @ levels,
        probs=probs,
    )
    gold = np.array([r["label"] for r in rows], np.float64)
    confidence = reading.confidence("pass", mark)
    assert confidence is not None
    return Case(
        name=name,
        judge=judge,
        gold=gold,
        passes=(gold >= mark).astype(np.float64),
        score=reading.expected,
        p_pass=reading.p_pass(mark),
        confidence=confidence,
        cluster=_clusters(rows),
    )


def _by_distance(
    name: str,
    judge: str,
    rows: Sequence[dict[str, Any]],
    score: Floats,
    gold: Floats,
    mark: float,
    cut: float,
) -> Case:
    """A judge without probabilities is the surer the farther it is from its cut."""
    return Case(
        name=name,
        judge=judge,
        gold=gold,
        passes=(gold >= mark).astype(np.float64),
        score=score,
        p_pass=(score >= cut).astype(np.float64),
        confidence=np.abs(score - cut),
        cluster=_clusters(rows),
    )


def _clusters(rows: Sequence[dict[str, Any]]) -> Ints:
    """As `glider calibrate` does it: equal input and context; a fixed instruction makes none."""
    names = [(r["input"], r["context"]) for r in rows]
    if len(set(names)) == 1:
        return np.arange(len(rows))
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.array([codes[name] for name in names])


def _rouge(rows: Sequence[dict[str, Any]]) -> Floats:
    return np.array(rouge_l([(r["output"], r["reference"] or "") for r in rows]))


def _length(rows: Sequence[dict[str, Any]]) -> Floats:
    return np.array([len(r["output"]) for r in rows], np.float64)


def keep_scores(folders: Sequence[Path], path: Path) -> None:
    """Scores without texts: ids and level probabilities of run folders."""
    kept = {}
    for folder in folders:
        ids = {row: sample.id for row, sample in samples(folder)}
        found = sorted(
            ((row, o) for row, o in outcomes(folder) if isinstance(o, Judgment)),
            key=lambda pair: pair[0],
        )
        levels = sorted(found[0][1].score_probs or {})
        kept[folder.name] = {
            "judge": found[0][1].judge,
            "criterion": found[0][1].criterion,
            "levels": levels,
            "ids": [ids[row] for row, _ in found],
            "probs": [[round((o.score_probs or {})[k], 5) for k in levels] for _, o in found],
        }
    path.write_text(json.dumps(kept, ensure_ascii=False) + "\n", "utf-8")


# ---- repetitions


def measured(case: Case, reps: int, n_labels: int, rng: Generator) -> dict[str, Any]:
    """One row of the tables: how often each promise held."""
    held: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {"mean": [], "rate": []}
    promised: dict[float, dict[str, list[float]]] = {
        alpha: {"in the set": [], "in the other half": [], "kept": []} for alpha, _ in PROMISES
    }
    for _ in range(reps):
        ours = _half(case.cluster, rng)
        inside = np.flatnonzero(ours)
        n = min(n_labels, len(inside) // 2)
        _note(case, rng.permutation(inside), n, "set", held, widths)
        _note_anew(case, n, len(inside), rng, held)
        shown = rng.permutation(inside)[: max(len(inside) // 2, min(100, len(inside)))]
        for alpha, delta in PROMISES:
            found = certified_threshold(
                case.confidence[shown],
                case.wrong[shown],
                case.cluster[shown],
                case.confidence[inside],
                alpha=alpha,
                delta=delta,
            )
            if isinstance(found, Undefined):
                continue
            keep = case.confidence >= found.threshold
            here = promised[alpha]
            here["in the set"].append(float(case.wrong[keep & ours].mean()))
            if (keep & ~ours).any():
                here["in the other half"].append(float(case.wrong[keep & ~ours].mean()))
            here["kept"].append(found.kept)
    return {
        "case": case.name,
        "judge": case.judge,
        "items": len(case),
        "clusters": len(np.unique(case.cluster)),
        "labels": min(n_labels, len(case) // 4),
        "correlation": round(float(np.corrcoef(case.score, case.gold)[0, 1]), 3),
        "agreement": round(float(1 - case.wrong.mean()), 3),
        "held": {name: _share(found) for name, found in held.items()},
        "narrower": {
            name: round(float(np.median(found)), 3) for name, found in widths.items() if found
        },
        "threshold": {
            f"{alpha:g}": _threshold_row(promised[alpha], alpha, reps) for alpha, _ in PROMISES
        },
    }


def _half(cluster: Ints, rng: Generator) -> Bools:
    names = np.unique(cluster)
    chosen = rng.permutation(names)[: len(names) // 2]
    return np.isin(cluster, chosen)


def _powered(case: Case, ours: Ints, others: Ints, cluster: Ints | None = None) -> list[Powered]:
    """Mean and pass rate; `cluster` holds the codes of `ours` and `others` in turn."""
    if cluster is None:
        cluster = case.cluster[np.concatenate([ours, others])]
    by = {"clusters": cluster[: len(ours)], "other_clusters": cluster[len(ours) :]}
    return [
        prediction_powered_mean(case.gold[ours], case.score[ours], case.score[others], **by),
        prediction_powered_rate(case.passes[ours], case.p_pass[ours], case.p_pass[others], **by),
    ]


def _note(
    case: Case,
    order: Ints,
    n: int,
    where: str,
    held: dict[str, list[bool]],
    widths: dict[str, list[float]],
) -> None:
    found = _powered(case, order[:n], order[n:])
    for what, powered, values in zip(
        ("mean", "rate"), found, (case.gold, case.passes), strict=True
    ):
        _hold(held, f"{what}, {where}", powered.estimate, float(values[order].mean()))
        if isinstance(powered.estimate, Estimate) and powered.labels_worth:
            widths[what].append((n / powered.labels_worth) ** 0.5)


def _note_anew(case: Case, n: int, n_set: int, rng: Generator, held: dict[str, list[bool]]) -> None:
    """The set's prompts are drawn with replacement: the file's mean is the truth."""
    items, codes = drawn(case.cluster, n_set, rng)
    order = rng.permutation(len(items))
    found = _powered(case, items[order[:n]], items[order[n:]], codes[order])
    for what, powered, values in zip(
        ("mean", "rate"), found, (case.gold, case.passes), strict=True
    ):
        _hold(held, f"{what}, drawn anew", powered.estimate, float(values.mean()))
        _hold(held, f"{what}, labels alone", powered.classical, float(values.mean()))


def drawn(cluster: Ints, n: int, rng: Generator) -> tuple[Ints, Ints]:
    """About n items in clusters drawn with replacement, and the code of each draw."""
    order = np.argsort(cluster, kind="stable")
    names, starts, sizes = np.unique(cluster[order], return_index=True, return_counts=True)
    chosen = rng.choice(len(names), round(n / float(sizes.mean())))
    parts = [order[starts[c] : starts[c] + sizes[c]] for c in chosen]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), sizes[chosen])


def _hold(
    held: dict[str, list[bool]], name: str, found: Estimate | Undefined, truth: float
) -> None:
    if isinstance(found, Estimate):
        held.setdefault(name, []).append(found.low <= truth <= found.high)


# ---- tables


def _share(found: Sequence[bool]) -> dict[str, Any]:
    share = clustered_share(np.array(found, np.bool_), np.arange(len(found)))
    return {
        "share": round(share.value, 4),
        "low": round(share.low, 4),
        "high": round(share.high, 4),
        "n": share.n,
    }


def _threshold_row(found: dict[str, list[float]], alpha: float, reps: int) -> dict[str, Any]:
    row: dict[str, Any] = {"certified": len(found["kept"]) / reps}
    if found["kept"]:
        row["kept"] = round(float(np.median(found["kept"])), 3)
    for where in ("in the set", "in the other half"):
        # A repetition without a threshold keeps its promise: it promises nothing.
        broken = [risk > alpha for risk in found[where]]
        row[f"broken {where}"] = _share([*broken, *[False] * (reps - len(broken))])
        if broken:
            row[f"risk {where}"] = round(float(np.mean(found[where])), 3)
    return row


def _tables(rows: Sequence[dict[str, Any]]) -> str:
    held = ("mean, set", "rate, set", "mean, drawn anew", "rate, drawn anew")
    first = table(
        ["case", "judge", "r", "labels", *held, "width against labels alone"],
        [
            [
                r["case"],
                r["judge"],
                r["correlation"],
                r["labels"],
                *(_cell(r["held"].get(name)) for name in held),
                r["narrower"].get("mean", "-"),
            ]
            for r in rows
        ],
    )
    parts = [
        "How often the 95 % interval of the true value held it (nominal: 0.95; in brackets the "
        "Monte-Carlo interval)\n\n" + first
    ]
    for alpha, delta in PROMISES:
        second = table(
            ["case", "judge", "agreement", "certified", "kept", "risk there", "risk, other half",
             "broken there", "broken, other half"],
            [
                [
                    r["case"],
                    r["judge"],
                    r["agreement"],
                    f"{t['certified']:.2f}",
                    t.get("kept", "-"),
                    t.get("risk in the set", "-"),
                    t.get("risk in the other half", "-"),
                    _cell(t["broken in the set"]),
                    _cell(t["broken in the other half"]),
                ]
                for r in rows
                for t in [r["threshold"][f"{alpha:g}"]]
            ],
        )  # fmt: skip
        parts.append(
            f"Threshold: disagreement among kept at most {alpha:g} (the promise may be broken in "
            f"{delta:g} of the cases)\n\n" + second
        )
    return "\n".join(parts)


def _cell(share: dict[str, Any] | None) -> str:
    if share is None:
        return "-"
    return f"{share['share']:.3f} ({share['low']:.3f}..{share['high']:.3f})"


if __name__ == "__main__":
    main()
