"""Read a row's human label as a number, in the same way for every command."""

from typing import Any

from glider.core.errors import DataError
from glider.data.values import Unfit, number_of

Scale = tuple[float, float]
"""Lowest and highest label."""
PAIR_LABELS = (0.0, 0.5, 1.0)
"""Of two outputs: the first is better, a tie, the second is better."""


def label_of(value: Any, *, pair: bool, path: str = "", line: int | None = None) -> float | None:
    """A label; None where there is none (null, blank, NaN).

    Args:
        pair: of two outputs. A label that pairs cannot have says that the file counts otherwise,
            such as 1 and 2, so that its other labels mean something else too.
        path: of the file, for the message.

    Raises:
        Unfit: it is no number.
        DataError: the labels of these pairs are on another scale.
    """
    number = number_of(value)
    if pair and number is not None and number not in PAIR_LABELS:
        raise DataError(
            f"the label {number:g} of a pair is not 0, 0.5 or 1: these labels are on another scale",
            path=path,
            line=line,
            hint="0: the first output is better; 1: the second; 0.5: a tie",
        )
    return number


def scale_of(value: Any) -> Scale | None:
    """Between what a row says its labels lie: two rising numbers; None where it says nothing.

    Raises:
        Unfit: it is something else.
    """
    if value is None:
        return None
    ends = [number_of(end) for end in value] if isinstance(value, list) else []
    match ends:
        case [float(low), float(high)] if low < high:
            return low, high
    raise Unfit("a scale that is not [lowest, highest]")
