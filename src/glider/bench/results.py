"""The results of `glider bench`: figures, each with interval, n and coverage.

One `results.json` beside the runs; the Markdown table, the page and the gate are made from it.
"""

from typing import Any, Literal

from glider.core.base import Frozen
from glider.stats.estimates import Estimate, Undefined

Protocol = Literal["strict", "judged only"]
"""`strict`: a failed judgment counts as wrong, or as no information where nothing can be wrong.
`judged only`: failures are left out, as most papers do; coverage tells how many."""

Split = Literal["part", "subset", "language"]

_LONGEST = 300
"""Maximum code points shown of a message."""


class Figure(Frozen):
    """One number of one system on one benchmark, or the reason why there is none."""

    benchmark: str
    part: str = ""
    """Empty: over all parts (their mean)."""
    by: Split = "part"
    """What `part` names: one of the parts whose mean the whole is, or a subset or a language of the
    items, which may cut across them (a mean over its own parts, too)."""
    system: str
    metric: str
    protocol: Protocol = "strict"
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    """Number of items behind the figure."""
    asked: int
    judged: int
    method: str = ""
    undefined: str = ""
    """Reason why there is no value."""

    @classmethod
    def of(cls, estimate: Estimate | Undefined, **where: Any) -> "Figure":
        """Build a figure from an estimate; `where` has the other keys."""
        if isinstance(estimate, Undefined):
            return cls(value=None, n=estimate.n, undefined=estimate.reason, **where)
        return cls(
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            n=estimate.n,
            method=estimate.method,
            **where,
        )


class Difference(Frozen):
    """Two systems on the same items: a minus b, with a paired test."""

    benchmark: str
    metric: str
    a: str
    b: str
    part: str = ""
    """For an aggregate: the group of benchmarks; empty: all."""
    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    """Unadjusted p of the paired test."""
    p_adjusted: float | None = None
    """Adjusted over all differences of the table (Holm)."""
    n: int
    method: str = ""
    undefined: str = ""


class Lost(Frozen):
    """Items of a benchmark that a judge could not judge, all for the same reason."""

    benchmark: str
    system: str
    """The judge, independent of how its answers are read."""
    reason: str
    """`stage/code`."""
    n: int
    asked: int
    example: str
    """The first message."""

    def __str__(self) -> str:
        """One line for people."""
        message = " ".join(self.example.split())[:_LONGEST]
        return (
            f"{self.benchmark}: {self.system} did not judge {self.n:,} of {self.asked:,} items: "
            f"{self.reason}, e.g. {message}"
        )


class Results(Frozen):
    """All results of a bench."""

    version: int = 1
    made_at: str
    glider: str
    settings: dict[str, Any]
    """Benchmarks, limit, seed, resamples, systems with their judge ids."""
    samples: dict[str, list[str]]
    """Benchmark to the ids of the items drawn."""
    figures: tuple[Figure, ...]
    differences: tuple[Difference, ...] = ()
    overall: tuple[Difference, ...] = ()
    """Differences of aggregates, which have intervals and no tests."""
    lost: tuple[Lost, ...] = ()
    """Reasons for failed judgments."""
    notes: tuple[str, ...] = ()
    """Data problems: ties, constant gold, duplicates, missing labels."""


def estimate_of(one: Figure | Difference) -> Estimate | Undefined:
    """Convert a figure back to an estimate; undefined without an interval."""
    lost = one.asked - one.judged if isinstance(one, Figure) else 0
    if one.value is None or one.low is None or one.high is None:
        return Undefined(one.undefined or "it has no interval", one.n, lost)
    return Estimate(one.value, one.low, one.high, one.n, lost, one.method)
