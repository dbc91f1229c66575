"""A weight of 2 is the item written twice, a weight of 0 is the item left out: of every statistic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glider.stats import agreement, classification, correlation, overlap, pairwise
from glider.stats.estimates import Degenerate

LEVELS = st.integers(1, 5)
ITEMS = st.lists(st.tuples(LEVELS, LEVELS, st.integers(0, 3)), min_size=1, max_size=12)

OF_TWO = {
    "pearson": correlation.pearson,
    "spearman": correlation.spearman,
    "kendall": correlation.kendall,
    "agreement": agreement.percent_agreement,
    "error": agreement.mean_absolute_error,
    "themis": agreement.themis_agreement,
    "kappa": agreement.cohen_kappa,
    "linear": lambda *a: agreement.cohen_kappa(*a, weighting="linear"),
    "quadratic": lambda *a: agreement.cohen_kappa(*a, weighting="quadratic"),
    "balanced": classification.balanced_accuracy,
    "f1": classification.macro_f1,
    "matthews": classification.matthews,
    "auc": lambda x, y, *w: classification.auc(x, np.greater(y, 2), *w),
    "alpha": lambda x, y, *w: agreement.krippendorff_alpha(np.column_stack([x, y]), *w),
    "ordinal": lambda x, y, *w: agreement.krippendorff_alpha(
        np.column_stack([x, y]), *w, level="ordinal"
    ),
    "nominal": lambda x, y, *w: agreement.krippendorff_alpha(
        np.column_stack([x, y]), *w, level="nominal"
    ),
    "acceptable": lambda x, y, *w: agreement.acceptable_accuracy(
        np.column_stack([x, y]), np.full((len(x), 2), 3), *w
    ),
    "variation": lambda x, y, *w: agreement.degree_of_variation(
        np.column_stack([x, y]), np.full((len(x), 2), 3), *w
    ),
    "mr": lambda x, y, *w: classification.mr_score(
        np.column_stack([np.less(x, 3), np.less(x, 5), np.greater(x, 1)]), np.less(y, 3), *w
    ),
    "consistent": lambda x, y, *w: pairwise.consistent_accuracy(
        np.column_stack([x, y]) / 6, np.less(x, 3), *w
    ),
    "flips": lambda x, y, *w: pairwise.flip_rate(np.column_stack([x, y]) / 6, *w),
    "slots": lambda x, y, *w: pairwise.first_slot_share(np.column_stack([x, y]) / 6, *w),
    "overlap": lambda x, y, *w: overlap.f1(np.column_stack([np.minimum(x, y), x, y]), *w),
}


def value(call, *arrays):
    try:
        return call(*arrays)
    except Degenerate:
        return None


@pytest.mark.parametrize("name", OF_TWO)
@given(items=ITEMS)
@settings(max_examples=60)
def test_weights_are_repetition(name, items):
    x, y, w = (np.array(column, np.float64) for column in zip(*items, strict=True))
    times = w.astype(int)
    weighted = value(OF_TWO[name], x, y, w)
    repeated = value(OF_TWO[name], np.repeat(x, times), np.repeat(y, times))
    assert (weighted is None) == (repeated is None)
    if weighted is not None:
        assert weighted == pytest.approx(repeated, abs=1e-9)
        # The order of the items does not matter.
        assert weighted == pytest.approx(value(OF_TWO[name], x[::-1], y[::-1], w[::-1]), abs=1e-9)
