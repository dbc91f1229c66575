"""A chart with its reading help, and the two that say how far to trust a judge's numbers.

From plain lists, so that a bench and a calibration show the same thing in the same words. The macro
`charts` of `charts.html` sets them side by side.
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
    up: str = "share that was right",
) -> Chart:
    """What the judge says against what people say."""
    return Chart(
        svg.reliability(bins, title=f"{up} by {across}", scale=scale, across=across, up=up),
        "Do its numbers mean what they say?",
        "On the dashed line people agree with them on average; bars reach over 95\N{NBSP}% "
        "intervals.",
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
        "Does it know when it is unsure?",
        "If the judgments with the most doubt are left out (to the left), the line should fall. "
        "Band: 95\N{NBSP}% interval.",
    )
