"""Published figures, reproduced from published outputs: does our arithmetic give what papers say?

    python benchmarks/published.py

No model runs. Human ratings, summaries and counts of answers that others published go through
Glider's own readers, baselines and statistics; beside each figure stands what the literature
says, where that was seen, and why the two differ. `--data` is the folder of the labelled sets.

`read`: seen in the named source while this was written. `recalled`: from memory of the paper, its
text was not at hand; treat it as a pointer. Writes results/published.json and published.md.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from common import facts, records, save, settings, with_data
from numpy.typing import NDArray

from glider.bench.baselines import ROUGE_L
from glider.bench.ceiling import agreement, human
from glider.gold.items import Item
from glider.gold.sets import load_set
from glider.stats.agreement import krippendorff_alpha, percent_agreement
from glider.stats.correlation import kendall, pearson, spearman
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.pairwise import consistent_accuracy
from glider.stats.resampling import bootstrap
from glider.stats.statistic import Prepared, average, mean_of, ratio_of
from glider.text.similarity import rouge_l

HERE = Path(__file__).resolve().parent
Floats = NDArray[np.float64]

CRITERIA = ("coherence", "consistency", "fluency", "relevance")
DOCASREF = "SigmaWe/DocAsRef, experiments/results/result_summeval.md"
GEVAL = "G-Eval (Liu et al. 2023), the paper's text"
SUMMEVAL = "SummEval (Fabbri et al. 2021), the paper's text"
QAGS = "QAGS (Wang et al. 2020)"
PART_OF_IT = "About 70 % of the set is here; the rest was held back."
NO_EXTRACTIVE = "74 of 100 articles; the 4 extractive systems of 16 are not here"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: ours beside the literature's."""

    topic: str
    what: str
    ours: Estimate | Undefined
    why: str
    """The difference in a sentence; or what the figure is, where there is nothing to compare."""
    theirs: float | None = None
    source: str = ""
    seen: Literal["read", "recalled", ""] = ""

    def as_data(self) -> dict[str, Any]:
        """For the JSON file."""
        known = self.ours if isinstance(self.ours, Estimate) else None
        return {
            "topic": self.topic,
            "what": self.what,
            "literature": self.theirs,
            "source": self.source,
            "seen": self.seen,
            "value": known.value if known else None,
            "low": known.low if known else None,
            "high": known.high if known else None,
            "n": self.ours.n,
            "method": known.method if known else "",
            "undefined": "" if known else str(self.ours.reason),  # type: ignore[union-attr]
            "literature_inside": (
                known.low <= self.theirs <= known.high
                if known and self.theirs is not None
                else None
            ),
            "why": self.why,
        }


class Data:
    """Sets and records of the data folder, and the one source of chance."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)

    def items(self, name: str, **changes: Any) -> list[Item]:
        """The items of a set; `changes` are of its settings."""
        return load_set(name).model_copy(update=changes).items(self.folder)

    def records(self, name: str) -> list[dict[str, Any]]:
        return records(self.folder, name)

    def estimate(
        self, statistic: Callable[[Floats], float], clusters: Sequence[Any]
    ) -> Estimate | Undefined:
        codes = np.unique(list(map(str, clusters)), return_inverse=True)[1]
        return bootstrap(statistic, codes, rng=self.rng)


# ---- ROUGE-L on SummEval


def summeval_rouge(data: Data) -> Iterator[Row]:
    """ROUGE-L against the reference and against the article, by document and by system."""
    items = data.items("summeval", group="meta.system")
    found = {
        "reference": np.array(
            rouge_l([(i.sample["output"], i.sample["reference"]) for i in items])
        ),
        "article": np.array(rouge_l([(i.sample["output"], i.sample["context"]) for i in items])),
    }
    theirs = {
        ("reference", "Spearman"): (0.146, 0.123, 0.099, 0.205),
        ("reference", "Pearson"): (0.153, 0.178, 0.133, 0.221),
        ("article", "Spearman"): (0.106, 0.289, 0.183, 0.187),
        ("article", "Pearson"): (0.100, 0.296, 0.185, 0.211),
    }
    lifted = ". They copy the article, and their absence is the likely reason for a lower figure"
    for (target, name), values in theirs.items():
        of = spearman if name == "Spearman" else pearson
        for criterion, value in zip(CRITERIA, values, strict=True):
            yield Row(
                topic="SummEval, ROUGE-L",
                what=f"{criterion}: {name} inside documents, against the {target}",
                theirs=value,
                source=DOCASREF,
                seen="read",
                ours=_inside_documents(data, items, found[target], criterion, of),
                why=f"{NO_EXTRACTIVE}{lifted if target == 'article' else ''}."
                + _flat(items, criterion),
            )
    for criterion, value in zip(CRITERIA, (0.128, 0.115, 0.105, 0.311), strict=True):
        yield Row(
            topic="SummEval, ROUGE-L",
            what=f"{criterion}: Spearman inside documents, against the reference",
            theirs=value,
            source=f"{GEVAL}, table 1",
            seen="read",
            ours=_inside_documents(data, items, found["reference"], criterion, spearman),
            why=(
                f"{NO_EXTRACTIVE}. For relevance the reproduction above, with one reference as "
                "here, also stays below the table's figure."
                if criterion == "relevance"
                else f"{NO_EXTRACTIVE}."
            ),
        )
    for criterion, value in zip(CRITERIA, (0.0735, 0.1471, 0.2583, 0.2353), strict=True):
        yield Row(
            topic="SummEval, ROUGE-L",
            what=f"{criterion}: Kendall over systems, against the reference",
            theirs=value,
            source=f"{SUMMEVAL}, table 2",
            seen="read",
            ours=_over_systems(data, items, found["reference"], criterion),
            why=(
                "The paper takes 11 references and 16 systems, here are one and the 12 abstractive "
                "ones. Of 66 pairs of systems one more in order moves tau by 0.03, so an interval "
                "over articles alone does not tell how far another set of systems would be."
            ),
        )


def _rows(items: Sequence[Item], criterion: str) -> list[int]:
    return [n for n, item in enumerate(items) if item.part == criterion]


def _inside_documents(
    data: Data, items: Sequence[Item], scores: Floats, criterion: str, of: Any
) -> Estimate | Undefined:
    """The mean over documents of the correlation over their summaries."""
    documents: dict[str, list[int]] = {}
    for n in _rows(items, criterion):
        documents.setdefault(items[n].cluster, []).append(n)
    values = []
    for rows in documents.values():
        try:
            values.append(of(scores[rows], [items[n].gold for n in rows]))
        except Degenerate:
            continue  # all summaries of the document have one label
    return data.estimate(mean_of(values), range(len(values)))


def _flat(items: Sequence[Item], criterion: str) -> str:
    golds: dict[str, set[float]] = {}
    for n in _rows(items, criterion):
        golds.setdefault(items[n].cluster, set()).add(items[n].gold)
    flat = sum(len(values) == 1 for values in golds.values())
    return f" Left out: {flat} whose summaries all have one label." if flat else ""


def _over_systems(
    data: Data, items: Sequence[Item], scores: Floats, criterion: str
) -> Estimate | Undefined:
    """Kendall's tau between the systems' mean scores; documents are resampled."""
    rows = _rows(items, criterion)
    systems = sorted({items[n].group for n in rows})
    gold = np.array([items[n].gold for n in rows])
    own = scores[rows]
    member = np.array([[items[n].group == name for n in rows] for name in systems], np.float64)

    def tau(weights: Floats) -> float:
        counted = member * weights
        return kendall(counted @ own / counted.sum(axis=1), counted @ gold / counted.sum(axis=1))

    return data.estimate(tau, [items[n].cluster for n in rows])


# ---- ROUGE-L on QAGS


def qags_rouge(data: Data) -> Iterator[Row]:
    """ROUGE-L against the article; the references are not in the published annotations."""
    items = data.items("qags")
    scores = np.array(ROUGE_L.scores(items), np.float64)
    theirs = {
        "QAGS cnndm": (("Pearson", 0.357), ("Spearman", 0.324)),
        "QAGS xsum": (("Pearson", 0.024), ("Spearman", -0.011)),
    }
    for part, figures in theirs.items():
        rows = [n for n, item in enumerate(items) if item.part == part]
        gold = [items[n].gold for n in rows]
        for name, value in figures:
            of = pearson if name == "Pearson" else spearman
            ours = data.estimate(of.on(scores[rows], gold), [items[n].cluster for n in rows])
            yield Row(
                topic="QAGS, ROUGE-L",
                what=f"{part[5:]}: {name}, against the article",
                theirs=value,
                source=f"{GEVAL}, table 3",
                seen="read",
                ours=ours,
                why=(
                    f"{PART_OF_IT} ROUGE here is F1 without stemming. The table does not say what "
                    "its ROUGE was taken against."
                ),
            )
    for part, value in (("cnndm", 0.2409), ("xsum", 0.0886)):
        yield Row(
            topic="QAGS, ROUGE-L",
            what=f"{part}: Pearson, against the reference summary",
            theirs=value,
            source=f"{QAGS}, first table",
            seen="recalled",
            ours=Undefined("the published annotations hold no reference summaries", 0, 0),
            why="Not to be compared with the figures against the article.",
        )


# ---- people among themselves


def agreement_in_papers(data: Data) -> Iterator[Row]:
    """Krippendorff's alpha where a paper gives one."""
    summeval = data.records("summeval")
    documents = [r["context"] for r in summeval]
    raters = (
        ("experts", "annotators", 0.7127, "The release holds the experts' second round. "),
        ("crowd", "crowd", 0.4920, ""),
    )
    for who, key, value, note in raters:
        ratings = [r["annotators"] if key == "annotators" else r["meta"][key] for r in summeval]
        yield Row(
            topic="People among themselves",
            what=f"SummEval {who}: alpha (interval), four criteria together",
            theirs=value,
            source=f"{SUMMEVAL}, section 5.1",
            seen="read",
            ours=data.estimate(krippendorff_alpha.on(ratings, level="interval"), documents),
            why=f"{note}{NO_EXTRACTIVE}.",
        )
    for part, value in (("cnndm", 0.51), ("xsum", 0.34)):
        chosen = [r for r in data.records("qags") if r["source"] == f"QAGS {part}"]
        sentences = [(r["context"], votes) for r in chosen for votes in r["annotators"]]
        statistic = krippendorff_alpha.on([votes for _, votes in sentences], level="nominal")
        yield Row(
            topic="People among themselves",
            what=f"QAGS {part}: alpha (nominal) of three workers per sentence",
            theirs=value,
            source=QAGS,
            seen="recalled",
            ours=data.estimate(statistic, [document for document, _ in sentences]),
            why=PART_OF_IT,
        )


RATED = {
    "summeval": "",
    "summeval_op": "",
    "qags": "A worker's rating of a summary is the mean over its sentences.",
    "faithbench": (
        "Gold of the set is the worst of the ratings, here it is the majority of the others. Only "
        "summaries in which somebody marked something have ratings."
    ),
    "dices_safety": "About 70 raters see the same text and differ by who they are.",
    "cefr_sp_wiki": "Two teachers.",
    "mlqe_pe_da": "",
    "asset_simplification": "15 workers, each with a use of the scale of their own.",
    "simpeval_past": "",
    "recipes_crowd": "",
    "xstest_refusals": "Two annotators of one study.",
    "ukp_convincing_arguments": (
        "Too high for argument pairs at large: the release keeps pairs on which the workers "
        "largely agreed."
    ),
    "cobbler_human_pairs": "Too high: the set keeps the pairs on which 5 or 6 of 6 agree.",
}


def ceilings(data: Data) -> Iterator[Row]:
    """One person against the others, for every set that has single ratings; and their alpha."""
    for name, note in RATED.items():
        made = load_set(name)
        items = data.items(name)
        of = pearson if made.kind == "graded" else percent_agreement
        what = "Pearson with the others' mean" if of is pearson else "agreement with the majority"
        scored = human(name, items, made.kind)
        assert not isinstance(scored, Undefined)
        parts: list[tuple[Prepared, NDArray[np.int64]]] = []
        for code in range(len(scored.parts)):
            rows = np.flatnonzero(scored.part == code)
            statistic = (
                of.on(scored.score[rows], scored.gold[rows])
                if made.kind != "pairs"
                else _right(scored.score[rows], scored.gold[rows])
            )
            parts.append((statistic, rows))
        whole = average(parts, len(scored))
        plural = f", mean of {len(parts)} parts" if len(parts) > 1 else ""
        yield Row(
            topic="Human ceiling",
            what=f"{made.title}: one person, {what}{plural}",
            ours=data.estimate(whole, scored.cluster.tolist()),
            why=f"Rows are single ratings. {note}".strip(),
        )
        alphas = agreement(items, made.kind, rng=data.rng)
        for part, alpha in alphas.items():
            where = f" ({part})" if len(alphas) > 1 else ""
            yield Row(
                topic="Human ceiling",
                what=f"{made.title}{where}: alpha",
                ours=alpha,
                why=note,
            )


def _right(score: Floats, gold: Floats) -> Prepared:
    """Share of votes for the side that most of the others chose; where they split, a half."""
    return ratio_of(1 - np.abs(score - gold), np.ones(len(gold)), "there are no votes")


# ---- LLMBar


# From the repository's statistics.json of each subset (princeton-nlp/LLMBar, Dataset/LLMBar/*/
# evaluators/*/Vanilla_NoRules): pairs, right as shown, right when swapped, right in both, same
# answer in both.
COUNTS: dict[str, dict[str, tuple[int, int, int, int, int]]] = {
    "GPT-4": {
        "Natural": (100, 92, 95, 92, 97),
        "Neighbor": (134, 87, 85, 79, 120),
        "GPTInst": (92, 71, 70, 66, 83),
        "GPTOut": (47, 35, 37, 33, 41),
        "Manual": (46, 34, 35, 32, 41),
    },
    "LLaMA-2-70B": {
        "Natural": (100, 76, 78, 64, 74),
        "Neighbor": (134, 26, 25, 17, 117),
        "GPTInst": (92, 23, 23, 11, 67),
        "GPTOut": (47, 25, 27, 19, 33),
        "Manual": (46, 15, 13, 7, 32),
    },
}
LLMBAR = "LLMBar (Zeng et al. 2024), the repository's statistics"


def llmbar(data: Data) -> Iterator[Row]:
    """Accuracy and agreement of the two orders, from the published counts; and people's."""
    published = {
        ("GPT-4", "Natural"): (0.935, 0.97),
        ("GPT-4", "Adversarial"): (0.731, 0.890),
        ("LLaMA-2-70B", "Natural"): (0.77, 0.74),
        ("LLaMA-2-70B", "Adversarial"): (0.324, None),
    }
    for (model, group), (right, same) in published.items():
        subsets = ["Natural"] if group == "Natural" else list(COUNTS[model])[1:]
        orders = [_orders(*COUNTS[model][name]) for name in subsets]
        for name, of, value in (
            ("accuracy, mean of the orders", _mean_accuracy, right),
            ("same answer in both orders", _same, same),
            ("right in both orders", _both, None),
        ):
            first = 0
            parts = []
            for block in orders:
                parts.append((of(block), np.arange(first, first + len(block))))
                first += len(block)
            yield Row(
                topic="LLMBar, position",
                what=f"{model}, vanilla, {group}: {name}",
                theirs=value,
                source=LLMBAR if value is not None else "",
                seen="read" if value is not None else "",
                ours=data.estimate(average(parts, first), range(first)),
                why=(
                    "All 419 pairs, from counts: every pair is a cluster of its own. Adversarial "
                    "is the mean of four subsets."
                ),
            )
    yield Row(
        topic="LLMBar, people",
        what="agreement of expert annotators",
        theirs=0.94,
        source="LLMBar (Zeng et al. 2024), a page about the paper",
        seen="read",
        ours=Undefined("the annotators' single answers were not published", 0, 0),
        why="Labels alone are in the repository; the figure cannot be made again from them.",
    )


def _orders(n: int, shown: int, swapped: int, both: int, same: int) -> Floats:
    """Answers that give these counts, shape (n, 2); 1 is right, NaN could not be read.

    The second output is taken as the better one. A pair that is wrong twice and yet not counted
    as the same answer had an answer that could not be read.
    """
    wrong = n - shown - swapped + both
    unread = both + wrong - same
    if not 0 <= unread <= wrong:
        raise ValueError(f"counts of {n} pairs contradict each other")
    kinds = [(1.0, 1.0)] * both + [(1, 0)] * (shown - both) + [(0, 1)] * (swapped - both)
    return np.array(kinds + [(0, 0)] * (wrong - unread) + [(0, np.nan)] * unread)


def _mean_accuracy(orders: Floats) -> Prepared:
    return mean_of((orders == 1).mean(axis=1))


def _same(orders: Floats) -> Prepared:
    return mean_of(orders[:, 0] == orders[:, 1])


def _both(orders: Floats) -> Prepared:
    return consistent_accuracy.on(orders, np.ones(len(orders)))


# ---- the whole


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--out", type=Path, default=HERE / "results", help="folder for the results")
    with_data(made)
    args = made.parse_args()
    data = Data(args.data, args.seed)
    rows = [
        row
        for make in (summeval_rouge, qags_rouge, agreement_in_papers, llmbar, ceilings)
        for row in make(data)
    ]
    text = markdown(rows)
    result = {"facts": facts(), "settings": settings(args), "rows": [r.as_data() for r in rows]}
    save(args.out, "published", result | {"table": text})
    (args.out / "published.md").write_text(text, "utf-8")
    print(text)


def markdown(rows: Sequence[Row]) -> str:
    """One table per topic."""
    lines = [
        "# Published figures beside ours",
        "",
        "Made by `python benchmarks/published.py`; intervals are 95 %. *read*: seen in the named "
        "source; *recalled*: from memory of the paper, a pointer only. A figure of the literature "
        "inside our interval has a check mark.",
    ]
    for topic in dict.fromkeys(row.topic for row in rows):
        lines += ["", f"## {topic}", ""]
        cells = [
            (row.what, _literature(row), _ours(row.ours), row.ours.n or "", row.why)
            for row in rows
            if row.topic == topic
        ]
        lines += ["| figure | literature | ours | n | difference |", "|---|---|---|--:|---|"]
        lines += [f"| {' | '.join(map(str, row))} |" for row in cells]
    return "\n".join(lines) + "\n"


def _literature(row: Row) -> str:
    if row.theirs is None:
        return "none at hand"
    mark = " ✓" if row.as_data()["literature_inside"] else ""
    # As many digits as the source gives, at least three.
    shown = max(f"{row.theirs:.3f}", str(row.theirs), key=len)
    return f"{shown}{mark} ({row.seen}: {row.source})"


def _ours(ours: Estimate | Undefined) -> str:
    if isinstance(ours, Undefined):
        return f"undefined: {ours.reason}"
    return f"{ours.value:.3f} [{ours.low:.3f}, {ours.high:.3f}]"


if __name__ == "__main__":
    main()
