"""Charts with a caption, among them the two that show how far to trust a judge's numbers.

Built from plain lists, so that a bench and a calibration show the same chart with the same caption.
The macro `charts` of `charts.html` puts them side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from glider.pages import svg
from glider.pages.svg import Bin, Kept, Scale


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, the question that it answers, and how to read it."""

    drawing: Markup
    asks: str
    reading: str


def reliability_chart(
    bins: Sequence[Bin],
    *,
    scale: Scale = (0.0, 1.0),
    across: str = "judge's probability",
    up: str = "share that was correct",
) -> Chart:
    """The judge's predictions against people's labels."""
    return Chart(
        svg.reliability(bins, title=f"{up} by {across}", scale=scale, across=across, up=up),
        "Are its probabilities calibrated?",
        "On the dashed line, predictions match people on average; bars are 95\N{NBSP}% intervals.",
    )


def risk_chart(
    curve: Sequence[Kept],
    *,
    up: str = "disagreement",
    bound: float | None = None,
    chosen: Kept | None = None,
) -> Chart:
    """The risk-coverage curve."""
    return Chart(
        svg.risk_coverage(curve, title=f"{up} by share kept", up=up, bound=bound, chosen=chosen),
        "Does it know when it is wrong?",
        "Leaving out the least confident judgments (towards the left) should lower the line. "
        "Band: 95\N{NBSP}% interval.",
    )
