"""Every text of a page can be read on its ground, in light and dark."""

import re

import pytest

from glider.pages.page import resource

CSS = resource("pages/style.css")
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
}


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "grounds", "ratio"),
    [
        ("ink", "paper sheet sunk mark mark-deep accent-tint", 4.5),
        ("soft", "paper sheet sunk accent-tint", 4.5),
        ("accent", "paper sheet", 4.5),
        ("paper", "accent", 4.5),
        ("bad", "paper sheet bad-tint", 4.5),
        ("warn", "warn-tint sheet paper", 4.5),
        ("mark-number", "mark mark-deep sheet paper", 4.5),
        ("accent-fill", "sheet sunk paper", 3),
        ("second-fill", "sheet", 3),
    ],
)
def test_contrast(theme, text, grounds, ratio):
    for ground in grounds.split():
        pair = sorted(luminance(TOKENS[name][theme]) for name in (text, ground))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= ratio, ground
