"""Settings of a review: items, people, questions; and of the page's server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from glider.core.errors import SetupError
from glider.core.settings import Flag

_ITEMS, _PEOPLE, _SERVER = "Items", "People and questions", "Server"


def share_of(written: Any) -> float:
    """Parse `10%` or `0.1` as a number from 0 to 1.

    Raises:
        SetupError: it is neither.
    """
    text = str(written).strip()
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SetupError(f"a share is written 10% or 0.1, not {text!r}")
    return value


def names_of(written: Any) -> tuple[str, ...]:
    """Parse names separated by commas."""
    return tuple(name.strip() for name in ",".join(written).split(",") if name.strip())


@dataclass(frozen=True, kw_only=True)
class ReviewSettings:
    """Settings of a review; None means the default, or an existing review's value."""

    sample: Annotated[int | None, Flag("Items to draw [all].", _ITEMS, min=1)] = None
    by: Annotated[
        str | None,
        Flag(
            "Draw as many of each score, criterion or doubt; or by worth: more of the items on "
            "which a calibration depends most [all alike].",
            _ITEMS,
        ),
    ] = None
    criterion: Annotated[
        str | None, Flag("Only items under this one.", _ITEMS, ("--criterion", "-c"))
    ] = None
    seed: Annotated[int | None, Flag("Of the draw [0].", _ITEMS)] = None
    annotators: Annotated[
        tuple[str, ...],
        Flag("Names between commas: letters, digits, - and _.", _PEOPLE, parse=names_of),
    ] = ()
    mode: Annotated[
        str | None,
        Flag(
            "verify: own answer, then three verdicts on the judge's. label: own answer alone. "
            "compare: pairs. synth: questions on made data. form: only your own questions "
            "[verify; compare for a run of pairs; form with --form].",
            _PEOPLE,
        ),
    ] = None
    each: Annotated[int | None, Flag("People for each item [all of them].", _PEOPLE, min=1)] = None
    queue: Annotated[
        bool,
        Flag(
            "With --each, whoever is free gets the next item; otherwise each item has its people.",
            _PEOPLE,
        ),
    ] = False
    adjudicators: Annotated[
        tuple[str, ...],
        Flag(
            "Names of people who settle what the others disagree on: they see the others' "
            "answers, not the judge's.",
            _PEOPLE,
            parse=names_of,
        ),
    ] = ()
    apart: Annotated[
        int | None,
        Flag("Steps between two scores from which an item is adjudicated [1].", _PEOPLE, min=1),
    ] = None
    marks_below: Annotated[
        float | None,
        Flag(
            "Adjudicate an item, too, if the word F1 of two people's marks is below this, such as "
            "0.5 [marks are not compared].",
            _PEOPLE,
            min=0,
            max=1,
        ),
    ] = None
    repeat: Annotated[
        str | None,
        Flag("Share of a person's items that come twice, such as 10% [none].", _PEOPLE),
    ] = None
    holdout: Annotated[
        str | None,
        Flag("Share whose judgment is never shown, to measure its pull [none].", _PEOPLE),
    ] = None
    form: Annotated[
        Path | None,
        Flag("YAML file with questions of your own: `questions: [{key, text, choices}]`.", _PEOPLE),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the page is served."""

    host: Annotated[str, Flag("Address to listen on.", _SERVER)] = "127.0.0.1"
    port: Annotated[
        int,
        Flag("Port; keep it: a browser keeps unsent answers by it. 0 takes any.", _SERVER, min=0),
    ] = 8137
    allow_remote: Annotated[
        bool, Flag("Others than this machine may connect, unencrypted.", _SERVER)
    ] = False
    new_links: Annotated[bool, Flag("Make new links; the old ones open nothing then.", _SERVER)] = (
        False
    )
