"""Settings of a mixture: which sets, how much of each, and how their items become prompts."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from glider.core.base import Frozen
from glider.core.errors import SetupError
from glider.corpus.augment import Augment
from glider.corpus.derived import DerivedPairs
from glider.formats import make_format
from glider.formats.base import Format

LARGEST = 1 << 16
"""FLAMe's limit on the examples from one task."""


class SetShare(Frozen):
    """How much one set contributes to the mixture."""

    weight: float = Field(default=1.0, gt=0)
    cap: int | None = Field(default=None, ge=1)


class Mixture(Frozen):
    """Settings that determine the contents of the files."""

    format: str = "nano"
    order: str | None = None
    layout: str | None = None
    reason_words: int | None = Field(default=None, ge=1)
    """Maximum number of words in a reason; default: 30, as in nano."""
    sets: Mapping[str, SetShare] = Field(default_factory=dict)
    """Set name to share; if empty, every set that may be trained on."""
    leave_out: tuple[str, ...] = ("hhh_alignment",)
    """Sets to exclude from that default: hhh_alignment is the source of benchmark glider_hh."""
    allow: tuple[str, ...] = ()
    """Sets to include although their `use` is not `train`, on the user's responsibility."""
    cap: int = Field(default=LARGEST, ge=1)
    """Maximum number of items from any one set."""
    size: int | None = Field(default=None, ge=1)
    """Total number of training items; default: as many as shares and caps allow. A pair shown in
    both orders is one item and two examples."""
    pairs: float = Field(default=1.0, ge=0, le=1)
    """Maximum share of examples that compare two outputs. If it is below 1 and `size` is set, pairs
    fill this share as far as they suffice, and single outputs fill the rest."""
    other_languages: float = Field(default=1.0, ge=0, le=1)
    """Maximum share of non-English items."""
    level_share: float = Field(default=0.6, gt=0, le=1)
    """Maximum share of one level within a part of a set; dominant levels are thinned out."""
    explained: float = Field(default=1.0, ge=0, le=1)
    """Maximum share of items with quotes and a reason, if the format allows bare scores."""
    copies: int = Field(default=1, ge=1)
    """Maximum uses of one item if `size` exceeds the supply; each use is worded differently."""
    repeats: int = Field(default=20, ge=1)
    """Maximum uses of one reason within a set; further items get a bare score."""
    rationales: Literal["people", "teacher"] = "people"
    """Whose reasons are learnt: people's alone, or a teacher model's where people wrote none."""
    marks: bool = False
    """Train on score and quotes if people highlighted passages but wrote no usable reason."""
    minimal_pairs: bool = False
    """Mark what differs where two texts on one prompt differ in one place and in their label, if
    people marked nothing (`glider.corpus.minimal_pairs`). With `marks` for texts without a reason.
    """
    highlights: bool = True
    """False: the same examples, their answers without quotes, as in GLIDER's ablation. A format
    whose grammar requires quotes still serves them; compare scores."""
    derived: DerivedPairs = DerivedPairs()
    """Training pairs made from single outputs, in addition to the limits of shares and sizes."""
    both_orders: bool = True
    soft: bool = True
    """Keep several annotators' ratings, and labels between two levels, as a distribution."""
    max_prompt_tokens: int | None = Field(default=None, ge=64)
    dev: float = Field(default=0.1, ge=0, lt=1)
    """Share of each set's items that is held out for development."""
    augment: Augment = Augment()
    seed: int = 0


def format_for(settings: Mixture) -> Format:
    """Return the format of the prompts.

    Raises:
        UnknownName: there is no such format.
        SetupError: the format does not support the settings.
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
