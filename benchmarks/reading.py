"""How much of what the small model writes can be read, and whether its quotes are where we say.

    python benchmarks/reading.py

The default model judges the demo's texts and seeded real records in the form it was trained in, and
few of them (--few) in two it was not, held to the grammar and not: share of answers read, failures
by code, and highlights by how they were placed. Without grammar it may not end in a form it was not
trained on, so answers are shorter there (--free-tokens). Every place is checked against the text
here, apart from the code that found it.

Then the question whether requantising changed the scores: the expected scores of the same records
from the base's file as published (Q4_1) and from the one we keep (q8_0).
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from common import drawn_tasks, facts, parser, save, settings, table, with_data

from glider.backends.base import Backend
from glider.backends.embedded import EmbeddedBackend
from glider.core.errors import ModelFileError
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.formats import make_format
from glider.judging.judge import Judge
from glider.models.catalog import CATALOG, DEFAULT, AdapterModel, GgufModel, fetch_original
from glider.stats.estimates import Estimate, proportion

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "nano, score first": ("nano", {}),
    "nano, reason first": ("nano", {"order": "reason-first"}),
    "glider": ("glider", {}),
}
_OWN = "nano, score first"
_BASE = default.base if isinstance(default := CATALOG[DEFAULT], AdapterModel) else DEFAULT
_DEMO_CRITERIA = ("faithfulness", "instruction-following", "conciseness")


class Free(Backend):
    """A backend whose model is not held to any grammar."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.id, self.limits = inner.id, inner.limits
        self.capabilities = replace(inner.capabilities, grammar=False)

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        return self._inner.submit(replace(request, grammar=None))

    def close(self) -> None:
        """Leave the model loaded; it is not ours."""


def demo_tasks() -> list[JudgeTask]:
    """The demo's texts, each under its three criteria."""
    lines = files("glider.demo").joinpath("samples.jsonl").read_text("utf-8").splitlines()
    criteria = [load_criterion(name) for name in _DEMO_CRITERIA]
    known = ("id", "input", "context", "reference", "output")
    samples = [
        Sample.of(**{k: v for k, v in json.loads(line).items() if k in known}) for line in lines
    ]
    return [JudgeTask(sample, criterion) for sample in samples for criterion in criteria]


def read_all(
    backend: Backend, form: str, tasks: Sequence[JudgeTask], max_tokens: int | None
) -> dict[str, Any]:
    """Judge every task; count what could be read and where the quotes are."""
    name, options = _FORMATS[form]
    judge = Judge(backend, format=make_format(name, **options), max_tokens=max_tokens)
    failures: Counter[str] = Counter()
    matches: Counter[str] = Counter()
    spans = wrong = judged = 0
    for number, outcome in judge.stream(enumerate(tasks)):
        if isinstance(outcome, Failure):
            failures[f"{outcome.stage}/{outcome.code}"] += 1
        if not isinstance(outcome, Judgment):
            continue
        judged += 1
        sample = tasks[number].sample
        for highlight in outcome.highlights:
            matches[highlight.match] += 1
            for span in highlight.spans:
                spans += 1
                stands = sample[span.field][span.start : span.end]
                exact = stands == highlight.phrase
                folded = highlight.match == "folded" and 0 <= span.start < span.end <= len(
                    sample[span.field]
                )
                wrong += not (exact or folded)
    return {
        "format": form,
        "asked": len(tasks),
        "judged": judged,
        "failures": dict(failures.most_common()),
        "highlights": dict(matches.most_common()),
        "spans": spans,
        "spans_wrong": wrong,
    }


# ---- the same scores from both files


def published_gguf(folder: Path) -> Path:
    """The default model's base as its maker published it."""
    model, target = CATALOG[_BASE], folder / f"{_BASE}.gguf"
    assert isinstance(model, GgufModel)
    fetch_original(model, target, lambda _what, _done, _all: None)
    return target


def expected_scores(model: str, tasks: Sequence[JudgeTask]) -> list[float]:
    """The probability-weighted score of each task, by bare scores."""
    with Judge(EmbeddedBackend(model), format=make_format("nano", explain=False)) as judge:
        found = [outcome.or_raise() for outcome in judge.judge_many(tasks)]
    return [outcome.expected for outcome in found]  # type: ignore[union-attr, misc]


def _ranks(values: Sequence[float]) -> list[float]:
    """Rank of each value, ties sharing their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2
        start = end + 1
    return ranks


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks. 1 is the same order."""
    import numpy as np

    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def agreement(tasks: Sequence[JudgeTask]) -> dict[str, Any]:
    """How far the expected scores of both files are apart, in levels."""
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as folder:
        before = expected_scores(str(published_gguf(Path(folder))), tasks)
    after = expected_scores(_BASE, tasks)
    apart = [abs(x - y) for x, y in zip(before, after, strict=True)]
    return {
        "n": len(tasks),
        "mean_absolute_difference": sum(apart) / len(apart),
        "largest_difference": max(apart),
        "rank_correlation": rank_correlation(before, after),
        "published": before,
        "kept": after,
    }


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--demo", type=int, default=90, help="judgments of the demo's texts")
    made.add_argument("--records", type=int, default=150, help="records of each data set")
    made.add_argument("--few", type=int, default=30, help="of each, in the other forms")
    made.add_argument("--free-tokens", type=int, default=768, help="longest answer without grammar")
    made.add_argument("--agree", type=int, default=100, help="records for the two files")
    args = made.parse_args()
    sets = {"demo": demo_tasks()[: args.demo]}
    for name in ("saf_short_answers", "summeval"):
        if args.records:
            sets[name] = drawn_tasks(args.data, name, args.records, args.seed)
    result: dict[str, Any] = {
        "facts": facts(),
        "settings": settings(args),
        "runs": [],
    }
    with EmbeddedBackend() as backend:
        for held in (True, False):
            for form in _FORMATS:
                for name, tasks in sets.items():
                    asked = tasks if form == _OWN else tasks[: args.few]
                    if held:
                        run = read_all(backend, form, asked, None)
                    else:
                        run = read_all(Free(backend), form, asked, args.free_tokens)
                    run |= {"data": name, "grammar": held}
                    result["runs"].append(run)
                    print(f"{form}, {name}, grammar {held}: {run['judged']}", file=sys.stderr)
    result["agreement"] = None
    if args.agree:
        half = args.agree // 2
        tasks = [
            task
            for name, n in (("saf_short_answers", args.agree - half), ("summeval", half))
            for task in drawn_tasks(args.data, name, n, args.seed)
        ]
        try:
            result["agreement"] = agreement(tasks)
        except ModelFileError as error:
            print(f"not compared: {error}", file=sys.stderr)
    result["table"] = _tables(result)
    print(result["table"])
    print(save(args.out, "reading", result), file=sys.stderr)
    sys.exit(1 if any(run["spans_wrong"] for run in result["runs"]) else 0)


def _tables(result: dict[str, Any]) -> str:
    rows = []
    for run in result["runs"]:
        found = run["highlights"]
        total = sum(found.values())
        rows.append(
            (
                run["format"],
                run["data"],
                "held" if run["grammar"] else "free",
                _percent(run["judged"], run["asked"]),
                ", ".join(f"{code} {n}" for code, n in run["failures"].items()) or "none",
                *(_percent(found.get(m, 0), total) for m in ("exact", "folded", "unplaced")),
                total,
                run["spans_wrong"],
            )
        )
    heads = ("form", "data", "grammar", "read", "failures", "exact", "folded", "unplaced")
    text = table((*heads, "highlights", "wrong places"), rows)
    same = result["agreement"]
    if same:
        text += (
            f"\nQ4_1 as published against q8_0 as kept, {same['n']} records: expected scores "
            f"differ by {same['mean_absolute_difference']:.3f} levels on average "
            f"({same['largest_difference']:.3f} at most), "
            f"rank correlation {same['rank_correlation']:.3f}.\n"
        )
    return text


def _percent(part: int, whole: int) -> str:
    """A share with its 95 % interval."""
    share = proportion(part, whole)
    if not isinstance(share, Estimate):
        return "-"
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] of {whole}"


if __name__ == "__main__":
    main()
