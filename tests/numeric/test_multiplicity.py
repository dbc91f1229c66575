"""Adjusted p-values by hand and against scipy."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from glider.stats.multiplicity import benjamini_hochberg, holm


def test_holm_by_hand():
    # Rising 0.01 0.02 0.03 0.04 times 4 3 2 1: 0.04 0.06 0.06 0.04, never falling: 0.04 0.06 0.06 0.06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])


def test_benjamini_hochberg_by_hand_and_by_scipy():
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    p = np.random.default_rng(2).random(50) ** 2
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_edges(adjust):
    assert adjust([]).tolist() == []
    assert adjust([0.2]) == pytest.approx([0.2])
    assert adjust([0.02, 0.02]) == pytest.approx([0.04, 0.04] if adjust is holm else [0.02, 0.02])
    for wrong in ([1.1], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            adjust(wrong)
