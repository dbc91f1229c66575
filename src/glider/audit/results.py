"""The results of an audit: `audit.json`, from which page, terminal and exit code are derived.

The verdict depends on the interval, not on the point estimate: `fail` only if the whole interval is
beyond the bound, `pass` only if it is within, `unsure` if it crosses or too little could be judged.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from glider.audit.probe import PROBES, Effect, Side, Unit, known_probes
from glider.core.base import Frozen
from glider.core.errors import SetupError, UnknownName
from glider.stats.estimates import Undefined

Verdict = Literal["pass", "unsure", "fail", "undefined", "shown"]

_ENOUGH = 0.9
"""Share that must be judged for a pass: a judge must not pass by failing."""


class ProbeFinding(Frozen):
    """One number of one probe."""

    probe: str
    name: str
    title: str
    unit: Unit
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    """Number of values behind the number."""
    asked: int
    judged: int
    method: str = ""
    undefined: str = ""
    """Reason why there is no value, and what to supply."""
    neutral: float
    """The value for an unbiased judge."""
    bound: float | None
    """Maximum distance from `neutral`."""
    side: Side
    verdict: Verdict
    """`shown`: reported without a verdict."""
    means: str
    """Its meaning, in a sentence."""

    @property
    def key(self) -> str:
        """The key for --fail-above."""
        return f"{self.probe}.{self.name}"


class ProbeReport(Frozen):
    """One probe with its numbers; its verdict is the worst of theirs."""

    name: str
    title: str
    asks: str
    advice: str
    findings: tuple[ProbeFinding, ...]

    @property
    def verdict(self) -> Verdict:
        """`fail` before `unsure` before `pass`; `undefined` if there is no verdict."""
        found = {finding.verdict for finding in self.findings}
        order: tuple[Verdict, ...] = ("fail", "unsure", "pass", "undefined", "shown")
        return next(verdict for verdict in order if verdict in found)


class Audit(Frozen):
    """All results of an audit."""

    version: int = 1
    made_at: str
    glider: str
    judge: str
    settings: dict[str, Any]
    data: str
    """Name of the file, without its folder."""
    subjects: int
    """Number of outputs (or pairs) probed under a criterion."""
    samples: int
    criteria: tuple[str, ...]
    unreadable: int
    """Rows of the data without a sample, which were not judged."""
    asked: int
    judged: int
    failures: dict[str, int]
    """Number of failed judgments by `stage/code`; each order of a pair counts."""
    notes: tuple[str, ...] = ()
    """Caveats about the numbers."""
    probes: tuple[ProbeReport, ...]

    @property
    def failed(self) -> list[ProbeFinding]:
        """Numbers whose whole interval is beyond the bound."""
        return [f for probe in self.probes for f in probe.findings if f.verdict == "fail"]


def finding(probe: str, effect: Effect, bounds: Mapping[str, float]) -> ProbeFinding:
    """Return an effect with its verdict.

    Args:
        bounds: values of --fail-above: `probe` applies to the numbers that have a default bound,
            `probe.name` to any.
    """
    bound = effect.bound
    if bound is not None:
        bound = bounds.get(probe, bound)
    bound = bounds.get(f"{probe}.{effect.name}", bound)
    estimate = effect.estimate
    known = None if isinstance(estimate, Undefined) else estimate
    return ProbeFinding(
        probe=probe,
        name=effect.name,
        title=effect.title,
        unit=effect.unit,
        value=known.value if known else None,
        low=known.low if known else None,
        high=known.high if known else None,
        n=estimate.n,
        asked=effect.asked,
        judged=effect.judged,
        method=known.method if known else "",
        undefined=estimate.reason if isinstance(estimate, Undefined) else "",
        neutral=effect.neutral,
        bound=bound,
        side=effect.side,
        verdict=_verdict(effect, bound),
        means="" if known is None else effect.means.format(value=spoken(known.value, effect.unit)),
    )


def _verdict(effect: Effect, bound: float | None) -> Verdict:
    estimate = effect.estimate
    if isinstance(estimate, Undefined):
        return "undefined"
    if bound is None:
        return "shown"
    top, bottom = effect.neutral + bound, effect.neutral - bound
    if estimate.low > top or (effect.side == "both" and estimate.high < bottom):
        return "fail"
    within = estimate.high <= top and (effect.side == "above" or estimate.low >= bottom)
    return "pass" if within and effect.judged >= _ENOUGH * effect.asked else "unsure"


def spoken(value: float, unit: Unit) -> str:
    """Format a number for people: a share in per cent, a shift with its sign."""
    if unit == "share":
        return f"{100 * value:.0f}\N{NBSP}%"
    written = f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
    return "0.00" if written[1:] == "0.00" else written


def span(found: ProbeFinding) -> str:
    """Format the interval for people; empty if there is none."""
    if found.low is None or found.high is None:
        return ""
    return f"{spoken(found.low, found.unit)} to {spoken(found.high, found.unit)}"


VERDICTS: Mapping[Verdict, str] = {
    "fail": "too far",
    "unsure": "not sure",
    "pass": "within bounds",
    "undefined": "not measured",
    "shown": "for information",
}
"""Verdicts in plain words."""


def headline(audit: Audit) -> str:
    """Summarize the audit in a sentence."""
    found = [probe.verdict for probe in audit.probes]
    said = [
        f"{found.count(verdict)} {words}" for verdict, words in VERDICTS.items() if verdict in found
    ]
    return f"Of {_plural(len(found), 'probe')}: {', '.join(said)}."


def remedy(probe: ProbeReport) -> str:
    """Return the advice for a probe's verdict; empty if it passes."""
    if probe.verdict == "unsure":
        return f"Audit more texts to be sure (`--limit`). If it is so: {_lower(probe.advice)}"
    return probe.advice if probe.verdict == "fail" else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _plural(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def parse_bounds(written: Sequence[str]) -> dict[str, float]:
    """Parse `["position=0.2", "injection.success=0.05"]` into bounds by key.

    Raises:
        SetupError: not of the form PROBE=NUMBER or PROBE.NAME=NUMBER.
        UnknownName: no such probe.
    """
    bounds = {}
    for word in written:
        key, _, number = word.partition("=")
        if key.partition(".")[0] not in PROBES.names():
            raise UnknownName("probe", key.partition(".")[0], known_probes())
        try:
            bounds[key] = float(number)
        except ValueError:
            raise SetupError(
                f"--fail-above takes PROBE=NUMBER, not {word!r}",
                hint="such as position=0.2 or injection.success=0.05",
            ) from None
        if not 0 <= bounds[key] <= 2:
            raise SetupError(f"--fail-above {word!r}: a bound lies between 0 and 2")
    return bounds


def check_bounds(bounds: Mapping[str, float], reports: Sequence[ProbeReport]) -> None:
    """Check that every bound is for a measured number.

    Raises:
        UnknownName: a misspelt name must not pass for a kept bound.
    """
    keys = [finding.key for report in reports for finding in report.findings]
    probes = [report.name for report in reports]
    for key in bounds:
        if key not in keys and key not in probes:
            raise UnknownName("number of this audit", key, [*probes, *keys])
