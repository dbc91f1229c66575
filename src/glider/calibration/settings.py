"""Settings: where human labels come from."""

from dataclasses import dataclass
from typing import Annotated

from glider.core.errors import SetupError
from glider.core.settings import Flag

_LABELS = "Labels"


def scale_of(written: str) -> tuple[float, float]:
    """The ends of `LOW:HIGH`.

    Raises:
        SetupError: invalid format, or the first number is not the lower one.
    """
    try:
        low, high = (float(end) for end in written.split(":"))
    except ValueError:
        raise SetupError(f"--scale takes LOW:HIGH, such as 0:100, not {written!r}") from None
    if not low < high:
        raise SetupError(f"--scale {written}: the first number must be the lower one")
    return low, high


@dataclass(frozen=True, kw_only=True)
class LabelSettings:
    """Where the human labels of a run's items are, and on which scale."""

    labels: Annotated[
        str | None,
        Flag(
            "File with the columns id and label, or a reviewed run [the run's own labels, or its "
            "review].",
            _LABELS,
        ),
    ] = None
    maps: Annotated[tuple[str, ...], Flag("id=COLUMN or label=COLUMN.", _LABELS, ("--map",))] = ()
    encoding: Annotated[str, Flag("Encoding of text files.", _LABELS)] = "utf-8"
    scale: Annotated[str | None, Flag("LOW:HIGH of the labels [the rubric's scale].", _LABELS)] = (
        None
    )
    cluster: Annotated[
        str | None,
        Flag(
            "Field or column shared by items that are not independent [same input and context]; "
            "`none`: all are independent.",
            _LABELS,
        ),
    ] = None
    criterion: Annotated[
        str | None, Flag("Which criterion, if the run has several.", _LABELS, ("--criterion", "-c"))
    ] = None
