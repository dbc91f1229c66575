"""How far to trust a judge's numbers, as two charts: reliability, and risk against coverage.

From plain lists, so that a bench and a calibration show the same thing in the same words.
"""

from collections.abc import Sequence

from glider.pages import svg
from glider.pages.svg import Bin, Kept, Scale


def reliability_figure(
    bins: Sequence[Bin],
    *,
    scale: Scale = (0.0, 1.0),
    across: str = "judge's probability",
    up: str = "share that was right",
) -> str:
    """The reliability diagram with its reading help."""
    drawing = svg.reliability(bins, title=f"{up} by {across}", scale=scale, across=across, up=up)
    return svg.figure(
        drawing,
        "<strong>Do its numbers mean what they say?</strong> On the dashed line people agree with "
        "them on average; lines reach over 95&nbsp;% intervals.",
    )


def risk_figure(
    curve: Sequence[Kept],
    *,
    up: str = "disagreement",
    bound: float | None = None,
    chosen: Kept | None = None,
) -> str:
    """The risk-coverage curve with its reading help."""
    drawing = svg.risk_coverage(
        curve, title=f"{up} by share kept", up=up, bound=bound, chosen=chosen
    )
    return svg.figure(
        drawing,
        "<strong>Does it know when it is unsure?</strong> If what it doubts most is left out "
        "(to the left), the line should fall. Band: 95&nbsp;% interval.",
    )


def calibration_charts(
    bins: Sequence[Bin],
    curve: Sequence[Kept],
    *,
    scale: Scale = (0.0, 1.0),
    across: str = "judge's probability",
    up: str = "share that was right",
    risk: str = "disagreement",
    bound: float | None = None,
    chosen: Kept | None = None,
) -> str:
    """Both charts side by side, for a page made by `shell`; an empty list leaves its chart out."""
    drawn = [reliability_figure(bins, scale=scale, across=across, up=up)] if bins else []
    drawn += [risk_figure(curve, up=risk, bound=bound, chosen=chosen)] if curve else []
    return f'<div class="charts">{"".join(drawn)}</div>' if drawn else ""
