"""Who reviews which items in which order: written once, identical on every machine.

Order, held-out share and repeats follow from a salted hash of person and item, so they need no
storage. If each item goes to K people, they are the K that a hash ranks first: a person who
joins or leaves adds or removes a share, and answered items stay on their person's list. In a queue
an item belongs to nobody before somebody free is given it (`queue.py`).
"""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from glider.core.base import Frozen
from glider.core.errors import RunError, SetupError
from glider.review.items import Drawn
from glider.store.atomic import write_json
from glider.store.manifest import AnyManifest, read_manifest

Mode = Literal["verify", "label", "compare", "synth", "form"]
FOLDER = "review"
_REPEAT_GAP = 5
"""Minimum items between an item and its repeat, or half of all items if there are few."""


class Question(Frozen):
    """One question of a form."""

    key: str = Field(min_length=1, max_length=40)
    text: str = Field(min_length=1)
    choices: tuple[str, ...] = Field(default=("yes", "partly", "no", "cannot tell"), min_length=2)
    of: Literal["one", "two"] | None = None
    """Asked only of judgments of one text, or only of two that are compared; None: of all."""


SYNTH_QUESTIONS = (
    Question(key="text_real", text="Does the text read like a real one of its kind?"),
    Question(key="text_whole", text="Do its parts belong together, and is nothing missing?"),
    Question(key="criterion_clear", text="Is it clear what the criterion asks for?"),
    Question(key="criterion_fits", text="Does the criterion fit this text?"),
    Question(key="levels_apart", text="Can the rubric's levels be told apart?", of="one"),
    Question(key="levels_rise", text="Does each level ask for more than the one below?", of="one"),
    Question(key="score_right", text="Is the score right?", of="one"),
    Question(key="better_right", text="Is the better output the one that is named?", of="two"),
    Question(key="reason_right", text="Is the reason right?"),
    Question(key="marks_right", text="Do the marks show what decides the score?"),
)
"""The questions about made data: material, criterion, rubric and judgment."""
REJECTED_QUESTIONS = (
    Question(key="rejected_score_wrong", text="Is the rejected judgment's score wrong?", of="one"),
    Question(
        key="rejected_better_wrong", text="Does the rejected judgment name the worse one?", of="two"
    ),
    Question(key="rejected_reason_wrong", text="Is its reason wrong?"),
    Question(key="rejected_marks_wrong", text="Do its quotes fail to show what decides?"),
)
"""Asked where made data has a rejected judgment beside the right one."""


def questions_of(questions: Sequence[Question], *, of_two: bool) -> tuple[Question, ...]:
    """Return those that are asked of a judgment of two texts, or of one."""
    given = "two" if of_two else "one"
    return tuple(question for question in questions if question.of in (None, given))


class ReviewPlan(AnyManifest):
    """What people are asked."""

    version: int = 1
    run_id: str
    created_at: str
    mode: Mode
    salt: str
    people: tuple[str, ...]
    adjudicators: tuple[str, ...] = ()
    """People who settle what the others disagree on."""
    apart: int = Field(default=1, ge=1)
    """Steps between two people's scores from which they disagree."""
    marks_below: float | None = Field(default=None, gt=0, le=1)
    """Word F1 of two people's marks below which they disagree; None: marks are not compared."""
    each: int | None = None
    """Number of people per item; None for all of them."""
    queue: bool = False
    """Whoever is free gets the next item."""
    repeat: float = Field(default=0.0, ge=0, le=0.5)
    """Share of a person's items that are shown twice."""
    holdout: float = Field(default=0.0, ge=0, le=1)
    """Share of a person's items whose judgment is never shown."""
    questions: tuple[Question, ...] = ()
    items: tuple[Drawn, ...]

    @property
    def everybody(self) -> tuple[str, ...]:
        """All who answer: people and adjudicators."""
        return (*self.people, *self.adjudicators)

    @property
    def asks_score(self) -> bool:
        """Whether people give their own score or name the better output."""
        return self.mode in ("verify", "label", "compare")

    @property
    def shows(self) -> Literal["never", "first", "after"]:
        """When the judge's answer is shown: before any question, or after the blind answer."""
        if self.mode == "synth":
            return "first"
        return "after" if self.mode in ("verify", "compare") else "never"


class Visit(Frozen):
    """One presentation of an item to a person."""

    item: str
    time: Literal[1, 2] = 1
    shows_judgment: bool = True
    """After the blind answer; False for held-out items and for repeats."""

    @property
    def id(self) -> str:
        """Unique among a person's visits."""
        return self.item if self.time == 1 else f"{self.item}-2"


def new_plan(
    run_id: str,
    items: Sequence[Drawn],
    people: Sequence[str],
    *,
    mode: Mode = "verify",
    adjudicators: Sequence[str] = (),
    apart: int = 1,
    marks_below: float | None = None,
    each: int | None = None,
    queue: bool = False,
    repeat: float = 0.0,
    holdout: float = 0.0,
    questions: Sequence[Question] = (),
) -> ReviewPlan:
    """Create a plan with a new salt.

    Raises:
        SetupError: no people, a duplicate, or a name that cannot be a file name.
    """
    check_people([*people, *adjudicators])
    if each is not None and not 1 <= each <= len(people):
        raise SetupError(f"each item is looked at by 1 to {len(people)} people, not {each}")
    plan = ReviewPlan(
        run_id=run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=mode,
        salt=secrets.token_hex(8),
        people=tuple(people),
        adjudicators=tuple(adjudicators),
        apart=apart,
        marks_below=marks_below,
        each=each,
        queue=queue,
        repeat=repeat,
        holdout=holdout,
        questions=tuple(questions),
        items=tuple(items),
    )
    check_plan(plan)
    return plan


def check_plan(plan: ReviewPlan) -> None:
    """Check that adjudication and a queue fit the rest.

    Raises:
        SetupError: there are no scores to disagree on; a queue has no number of people, or repeats.
    """
    if plan.adjudicators and not plan.asks_score:
        raise SetupError(f"--mode {plan.mode} asks for no score that people could disagree on",
                         hint="adjudication goes with --mode label, verify or compare")  # fmt: skip
    if plan.queue and plan.each is None:
        raise SetupError("a queue needs to know how many people each item gets",
                         hint="--queue --each 1")  # fmt: skip
    if plan.queue and plan.repeat:
        raise SetupError("in a queue nothing comes twice to the same person",
                         hint="leave out --queue or --repeat")  # fmt: skip


def check_people(people: Sequence[str]) -> None:
    """Check that names can be file names.

    Raises:
        SetupError: there is none, one is a duplicate, or one has other characters than letters,
            digits, `-` and `_`.
    """
    if not people:
        raise SetupError("nobody is named", hint="--annotators ana,ben")
    for name in people:
        if not name or not all(char.isalnum() or char in "-_" for char in name) or len(name) > 40:
            raise SetupError(
                f"{name!r} cannot be a name here",
                hint="letters, digits, - and _, at most 40; no e-mail addresses",
            )
    folded = [name.casefold() for name in people]
    if len(set(folded)) < len(folded):
        raise SetupError("two people have the same name")


def visits(plan: ReviewPlan, person: str, answered: Collection[str] = ()) -> list[Visit]:
    """Return a person's visits, in order.

    Args:
        answered: ids of visits this person has answered; they stay, whoever joins or leaves.
    """
    kept = set(answered)
    mine = [
        item.id
        for item in plan.items
        if (not plan.queue and _is_mine(plan, person, item.id))
        or {item.id, _second(item.id)} & kept
    ]
    mine.sort(key=lambda item: chance(plan, "order", person, item))
    shown = plan.shows == "after"
    found = [
        Visit(item=item, shows_judgment=shown and not is_held_out(plan, person, item))
        for item in mine
    ]
    gap = min(_REPEAT_GAP, len(mine) // 2)
    early = mine[: len(mine) - gap]
    by_lot = sorted(early, key=lambda item: chance(plan, "repeat", person, item))
    again = {*by_lot[: round(plan.repeat * len(mine))]}
    again |= {item for item in mine if _second(item) in kept}
    placed = [(float(at), visit) for at, visit in enumerate(found)]
    for at, item in enumerate(mine):
        if item in again:
            # At a random place between gap + 1 items later and the end.
            later = len(mine) - at - gap
            place = at + gap + 0.5 + chance(plan, "again", person, item) * max(later - 1, 0)
            placed.append((place, Visit(item=item, time=2, shows_judgment=False)))
    return [visit for _, visit in sorted(placed, key=lambda one: one[0])]


def is_held_out(plan: ReviewPlan, person: str, item: str) -> bool:
    """Whether this person never sees the judge's answer to this item."""
    return chance(plan, "holdout", person, item) < plan.holdout


def _second(item: str) -> str:
    return Visit(item=item, time=2).id


def _is_mine(plan: ReviewPlan, person: str, item: str) -> bool:
    if plan.each is None:
        return True
    ranked = sorted(plan.people, key=lambda name: chance(plan, "whose", name, item))
    return person in ranked[: plan.each]


def chance(plan: ReviewPlan, what: str, person: str, item: str) -> float:
    """Return a number in [0, 1) that depends only on the arguments."""
    digest = hashlib.sha256("\0".join([plan.salt, what, person, item]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def shown_first(plan: ReviewPlan, person: str, item: str, names: Sequence[str]) -> list[str]:
    """Return two outputs in the order in which this person sees them."""
    swapped = chance(plan, "side", person, item) < 0.5
    return list(reversed(names)) if swapped else list(names)


def load_plan(run: Path) -> ReviewPlan:
    """Load the plan from a run's `review` folder.

    Raises:
        RunError: there is none, or it is damaged.
    """
    return read_manifest(run / FOLDER, ReviewPlan, "review")


def save_plan(run: Path, plan: ReviewPlan) -> None:
    """Write a plan; it replaces an older one atomically.

    Raises:
        RunError: it cannot be written.
    """
    try:
        (run / FOLDER).mkdir(exist_ok=True)
    except OSError as exc:
        raise RunError(f"cannot write {run / FOLDER}: {exc.strerror or exc}") from exc
    write_json(run / FOLDER / "manifest.json", plan.model_dump(mode="json"))
