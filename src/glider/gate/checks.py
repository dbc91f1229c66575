"""A check: a figure, a bound, and the rule that the whole interval must be within the bound.

`mean_score:faithfulness >= 3.5` holds if the interval's lower end is at least 3.5, is broken if its
upper end is below, and is not sure otherwise; only `holds` passes. An undefined figure neither
holds nor is broken, and never passes. `no worse than 0.1` is about the difference to a baseline run
over the same samples: it holds if the interval of (this - baseline) lies at or above -0.1.

Nothing here reads a file; figures come from `runs.py`, `results.py` and `outcomes.py`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from glider.core.errors import SetupError
from glider.stats.estimates import Estimate, Undefined

Op = Literal[">=", ">", "<=", "<", "no worse than"]
Finding = Literal["holds", "broken", "unclear", "undefined"]

_CHECK = re.compile(
    r"\s*(?P<metric>[A-Za-z]\w*)(?::(?P<of>.+?))?(?:@(?P<level>-?\d+))?"
    r"\s*(?P<op>>=|<=|>|<|\bno\s+worse\s+than\b)\s*(?P<bound>-?\d+(?:\.\d+)?)(?P<percent>\s*%)?\s*"
)
_EXAMPLE = (
    "'mean_score:faithfulness >= 3.5', 'coverage >= 98%', 'pass_rate:tone@4 no worse than 0.05'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, as it was written."""

    text: str
    metric: str
    of: str = ""
    """Criterion or benchmark; may be empty if there is only one."""
    level: int | None = None
    """`pass_rate`: the lowest score that passes."""
    op: Op
    bound: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample to show, with the judge's reason."""

    sample_id: str
    score: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFigure:
    """The figure of a check, notes on it, and its worst samples."""

    figure: Estimate | Undefined
    notes: tuple[str, ...] = ()
    worst: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFigure:
    """A check with its result."""

    check: Check
    measured: CheckFigure

    @property
    def finding(self) -> Finding:
        """Where the interval lies relative to the bound."""
        figure = self.measured.figure
        if isinstance(figure, Undefined):
            return "undefined"
        return finding(figure, self.check.op, self.check.bound)

    def passes(self, *, lenient: bool = False) -> bool:
        """Whether the whole interval is within the bound; `lenient`: not all of it beyond."""
        return self.finding == "holds" or (lenient and self.finding == "unclear")

    @property
    def in_words(self) -> str:
        """The finding in plain words."""
        if self.check.op == "no worse than":
            return {"holds": "not worse", "broken": "worse"}.get(self.finding, "too little data")
        return {"holds": "holds", "broken": "broken", "unclear": "not sure"}.get(
            self.finding, "no figure"
        )

    @property
    def why(self) -> str:
        """Why this check does not pass, in a sentence; empty if it holds."""
        figure, check = self.measured.figure, self.check
        if isinstance(figure, Undefined):
            return f"There is no figure: {figure.reason}."
        if self.finding == "holds":
            return ""
        bound = f"-{check.bound:g}" if check.op == "no worse than" else f"{check.bound:g}"
        if self.finding == "broken":
            side = "above" if check.op in ("<=", "<") else "below"
            return f"The whole interval lies {side} {bound}."
        needed = rows_needed(figure, check.op, check.bound)
        if needed is None:
            return f"The estimate equals the bound {bound}: more rows would not help."
        many = f"about {needed:,}" if needed < 1_000_000 else "more than a million"
        return (
            f"The interval crosses {bound}; if the estimate stays the same, {many} rows "
            f"would decide (there are {figure.n:,})."
        )


def parse_check(text: str) -> Check:
    """Read `METRIC[:NAME][@LEVEL] OP BOUND`.

    Raises:
        SetupError: invalid syntax; the message shows the format.
    """
    found = _CHECK.fullmatch(text)
    if found is None:
        raise SetupError(
            f"not a check: {text!r}", hint=f"METRIC:NAME OP BOUND, for example {_EXAMPLE}"
        )
    op = cast(Op, " ".join(found["op"].split()))
    bound = float(found["bound"]) / (100 if found["percent"] else 1)
    if op == "no worse than" and bound < 0:
        raise SetupError(f"{text!r}: the allowed loss must be 0 or more")
    if (found["metric"] == "pass_rate") != (found["level"] is not None):
        raise SetupError(
            f"{text!r}: pass_rate needs the lowest score that passes; no other metric takes one",
            hint="pass_rate:NAME@4 >= 0.9",
        )
    return Check(
        text=" ".join(text.split()),
        metric=found["metric"],
        of=found["of"] or "",
        level=int(found["level"]) if found["level"] else None,
        op=op,
        bound=bound,
    )


def parse_checks(texts: Sequence[str]) -> list[Check]:
    """Several checks; at least one.

    Raises:
        SetupError: there is none, or one cannot be read.
    """
    if not texts:
        raise SetupError("nothing to check", hint=f"--check {_EXAMPLE.split(', ')[0]}")
    return [parse_check(text) for text in texts]


def finding(figure: Estimate, op: Op, bound: float) -> Finding:
    """Return whether the interval is entirely on the right side, entirely on the wrong side, or
    across the bound.
    """
    low, high = figure.low, figure.high
    if op in ("<=", "<"):
        low, high, bound = -high, -low, -bound
    elif op == "no worse than":
        bound = -bound
    strict = op in (">", "<")
    if low > bound or (low == bound and not strict):
        return "holds"
    if high < bound or (high == bound and strict):
        return "broken"
    return "unclear"


def rows_needed(figure: Estimate, op: Op, bound: float) -> int | None:
    """Rows needed until the interval no longer crosses the bound, if the estimate stays.

    An interval shrinks with the root of n, so n grows with the square of how far it must shrink.
    None where the estimate lies on the bound itself.
    """
    distance = figure.value - (-bound if op == "no worse than" else bound)
    if abs(distance) < 1e-9:
        return None
    reach = figure.value - figure.low if distance > 0 else figure.high - figure.value
    return max(figure.n + 1, math.ceil(figure.n * (reach / distance) ** 2))
