"""Scored: a system's answers with human labels, as arrays of equal length.

A failed judgment has no score; `judged` marks it and every figure states how it treats it. Each
system defines how a score is read from a judgment (`greedy`: the most probable level,
`expected`: the mean over the levels, for classes the likeliest), so one run can be two systems.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from glider.core.judgments import Comparison, Failure, Judgment
from glider.gold.items import Item

Reading = Literal["greedy", "expected"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """n items of one benchmark as scored by one system. All arrays have shape (n,)."""

    benchmark: str
    system: str
    gold: Floats
    """Human label, on the item's own scale; for pairs 0, 1 or 0.5."""
    score: Floats
    """The system's score on the scale of the labels; for pairs P(second is better). 0 if not
    judged: check `judged` first."""
    judged: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    """Codes from 0."""
    part: NDArray[np.int64]
    """Codes into `parts`."""
    parts: tuple[str, ...]
    scales: tuple[tuple[float, float], ...]
    """Lowest and highest label of each part."""
    ids: tuple[str, ...]
    """Item ids in order: sample id and criterion. Two systems are paired by them."""
    text: NDArray[np.int64] | None = None
    """Codes of the judged texts: items that ask several criteria of one text share theirs. None:
    each item has its own text."""
    group: NDArray[np.int64] | None = None
    """Codes into `groups`; None where there are no named subsets."""
    groups: tuple[str, ...] = ()
    """Subsets, which may cut across the parts; empty text: of none."""
    language: NDArray[np.int64] | None = None
    """Codes into `languages`; None if rows are not items."""
    languages: tuple[str, ...] = ()
    orders: Floats | None = None
    """Pairs only, shape (n, 2): P(second is better) as shown, and with the outputs swapped; NaN
    where that order was not asked or not judged."""
    levels: Floats | None = None
    """The most probable level on the labels' scale, for class figures (accuracy, F1), since a
    mean over levels is not a level. None: they take the level nearest to `score`."""

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def n_judged(self) -> int:
        """Number of items with a score."""
        return int(self.judged.sum())

    def only(self, keep: NDArray[np.bool_]) -> Self:
        """The items where `keep` is true; parts keep their codes."""
        return replace(
            self,
            gold=self.gold[keep],
            score=self.score[keep],
            judged=self.judged[keep],
            cluster=self.cluster[keep],
            part=self.part[keep],
            ids=tuple(name for name, kept in zip(self.ids, keep, strict=True) if kept),
            text=None if self.text is None else self.text[keep],
            group=None if self.group is None else self.group[keep],
            language=None if self.language is None else self.language[keep],
            orders=None if self.orders is None else self.orders[keep],
            levels=None if self.levels is None else self.levels[keep],
        )

    @classmethod
    def of(
        cls,
        benchmark: str,
        system: str,
        items: Sequence[Item],
        scores: Sequence[float | None],
        *,
        orders: Floats | None = None,
        levels: Sequence[float | None] | None = None,
    ) -> Self:
        """From one score (or None) per item, on the scale of the labels, and likeliest levels."""
        part, parts = _codes(item.part for item in items)
        group, groups = _codes(item.group for item in items)
        language, languages = _codes(item.lang for item in items)
        scales = {item.part: item.scale for item in reversed(items)}
        return cls(
            benchmark=benchmark,
            system=system,
            gold=np.array([item.gold for item in items], np.float64),
            score=_numbers(scores),
            judged=np.array([s is not None for s in scores], np.bool_),
            cluster=cluster_codes(items),
            part=part,
            parts=parts,
            scales=tuple(scales[part] for part in parts),
            ids=tuple(item_id(item) for item in items),
            text=_texts(items),
            group=group if any(groups) else None,
            groups=groups if any(groups) else (),
            language=language,
            languages=languages,
            orders=orders,
            levels=None if levels is None else _numbers(levels),
        )


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([0.0 if value is None else value for value in values], np.float64)


def cluster_codes(items: Sequence[Item]) -> NDArray[np.int64]:
    """The clusters of items as codes from 0, shape (n,)."""
    return _codes(item.cluster for item in items)[0]


def _texts(items: Sequence[Item]) -> NDArray[np.int64]:
    """Return a code for each text; a repetition under the same criterion gets a new one.

    So the k-th single ratings under all criteria of a text go together.
    """
    times: Counter[tuple[object, ...]] = Counter()
    keys = []
    for item in items:
        texts = tuple(field.text for field in item.sample.fields)
        keys.append((texts, times[texts, item.part]))
        times[texts, item.part] += 1
    return _codes(keys)[0]


_Key = TypeVar("_Key", bound=Hashable)


def _codes(names: Iterable[_Key]) -> tuple[NDArray[np.int64], tuple[_Key, ...]]:
    """Return names as codes from 0, in order of first occurrence, and the name of each code."""
    codes: dict[_Key, int] = {}
    found = [codes.setdefault(name, len(codes)) for name in names]
    return np.array(found, np.int64), tuple(codes)


def item_id(item: Item) -> str:
    """Return the identifier of an item within its set, the same in any run."""
    return f"{item.sample.id} {item.criterion.name}"


def scored(
    benchmark: str,
    system: str,
    items: Sequence[Item],
    outcomes: Mapping[int, Judgment | Failure | Comparison],
    reading: Reading = "expected",
) -> Scored:
    """Read a run's outcomes, keyed by the item's number; an item without one is not judged."""
    scores: list[float | None] = []
    levels: list[float | None] = []
    orders = np.full((len(items), 2), np.nan)
    for number, item in enumerate(items):
        outcome = outcomes.get(number)
        match outcome:
            case Judgment():
                scores.append(item.on_gold_scale(_read(outcome, reading)))
                levels.append(item.on_gold_scale(float(outcome.score)))
            case Comparison(p_first=p) if p is not None:
                scores.append(1 - p)
                levels.append(None)
                for place, part in enumerate(outcome.orders):
                    if isinstance(part, Judgment):
                        second = _read(part, reading)
                        orders[number, place] = 1 - second if place else second
            case _:
                scores.append(None)
                levels.append(None)
    if any(item.is_pair for item in items):
        return Scored.of(benchmark, system, items, scores, orders=orders)
    return Scored.of(benchmark, system, items, scores, levels=levels)


def _read(judgment: Judgment, reading: Reading) -> float:
    if reading == "greedy" or judgment.expected is None:
        return float(judgment.score)
    return judgment.expected
