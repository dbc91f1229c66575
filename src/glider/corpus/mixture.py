"""The settings of a mixture: which sets, how much of each, and how their items are asked."""

from collections.abc import Mapping

from pydantic import Field

from glider.core.base import Frozen
from glider.core.errors import SetupError
from glider.corpus.augment import Augment
from glider.corpus.derived import DerivedPairs
from glider.formats import make_format
from glider.formats.base import Format

LARGEST = 1 << 16
"""FLAMe's limit of examples from one task."""


class SetShare(Frozen):
    """How much of the mixture one set may be."""

    weight: float = Field(default=1.0, gt=0)
    cap: int | None = Field(default=None, ge=1)


class Mixture(Frozen):
    """What the files are made of."""

    format: str = "nano"
    order: str | None = None
    layout: str | None = None
    reason_words: int | None = Field(default=None, ge=1)
    """Most words of a reason; nano's 30 without it."""
    sets: Mapping[str, SetShare] = Field(default_factory=dict)
    """Name to share; without any, every set that may be trained on."""
    leave_out: tuple[str, ...] = ("hhh_alignment",)
    """Sets not taken even so: hhh_alignment is the source of the benchmark glider_hh."""
    allow: tuple[str, ...] = ()
    """Sets whose `use` is not `train`, taken on the user's own word."""
    cap: int = Field(default=LARGEST, ge=1)
    """Most items of any one set."""
    size: int | None = Field(default=None, ge=1)
    """Training items in all; without it, as many as shares and caps leave. A pair asked in both
    orders is one item and two examples."""
    pairs: float = Field(default=1.0, ge=0, le=1)
    """Largest share of examples that compare two outputs. Below 1, a `size` has as many while
    pairs last, and single outputs are the rest."""
    other_languages: float = Field(default=1.0, ge=0, le=1)
    """Largest share of items that are not English."""
    level_share: float = Field(default=0.6, gt=0, le=1)
    """Largest share of one level within a part of a set; a level that dominates is thinned out."""
    explained: float = Field(default=1.0, ge=0, le=1)
    """Largest share of items whose answer has quotes and a reason, where a bare score can stand."""
    copies: int = Field(default=1, ge=1)
    """Most uses of one item where the size asks for more than there is; each in other words."""
    repeats: int = Field(default=20, ge=1)
    """Most uses of one reason within a set; further ones have a bare score."""
    marks: bool = False
    """Learn score and quotes where people marked places and wrote no usable reason."""
    derived: DerivedPairs = DerivedPairs()
    """Training pairs made of the items' single outputs, beside all that shares and sizes limit."""
    both_orders: bool = True
    soft: bool = True
    """Keep several people's ratings, and labels between two levels, as a distribution."""
    max_prompt_tokens: int | None = Field(default=None, ge=64)
    dev: float = Field(default=0.1, ge=0, lt=1)
    """Share of each set's items that is kept for development."""
    augment: Augment = Augment()
    seed: int = 0


def format_for(settings: Mixture) -> Format:
    """The format that is asked in.

    Raises:
        UnknownName: no such format.
        SetupError: the format does not take the settings.
    """
    options: dict[str, str | int | None] = {
        "order": settings.order,
        "layout": settings.layout,
        "reason_words": settings.reason_words,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if given and settings.format != "nano":
        raise SetupError(f"{', '.join(given)}: for the nano format, not {settings.format!r}")
    return make_format(settings.format, **given)
