"""The scale itself: its levels listed from the top down, and the same levels renumbered.

A judge that follows the descriptions of the levels gives the same level. Only the wording of the
question changes, never the ranking or the meaning of a level.
"""

from collections.abc import Sequence

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, ProbeTask, Rng, Subject, Trial
from glider.audit.shapes import grade, singles
from glider.core.criteria import Criterion, Rubric, listed_top_down

_NOTHING = "no text to judge"
_NUMBERINGS = {"from-0": (0, 1), "from-1": (1, 1), "tens": (10, 10)}
"""Number of the lowest level, and the step."""


class RubricOrder(Probe):
    """Levels listed from the top down."""

    name = "rubric-order"
    title = "Rubric order"
    asks = "Lists the levels of the rubric from the highest down."
    advice = (
        "Keep one order of levels for all that you compare; where the effect is large, average "
        "over both orders."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        return [
            Trial(
                subject,
                {
                    "plain": grade(subject.sample, subject.criterion),
                    # Both have the same hash, which ignores order.
                    "top down": grade(
                        subject.sample, listed_top_down(subject.criterion), apart="top down"
                    ),
                },
            )
            for subject in singles(subjects)
        ]

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        return [
            effect(
                "score", "Score, levels top down", trials, lambda t: t.rise("plain", "top down"),
                rng, unit="shift", bound=0.1, nothing=_NOTHING,
                means="Listing the levels from the top down changes the score by {value} of the "
                "scale on average.",
            ),
            effect(
                "changed", "Level changed by it", trials, lambda t: t.changed("plain", "top down"),
                rng, unit="share", bound=0.2, nothing=_NOTHING,
                means="Listing the levels from the top down changed the level of {value} of the "
                "texts.",
            ),
        ]  # fmt: skip


class ScaleLabels(Probe):
    """The same levels numbered from 0, from 1, and in tens."""

    name = "labels"
    title = "Scale labels"
    asks = "Numbers the same levels from 0, from 1, and in tens."
    advice = (
        "Keep one numbering for all that you compare, and choose the one with which the judge "
        "agrees best with people (`glider calibrate`)."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for subject in singles(subjects):
            asks: dict[str, ProbeTask] = {"plain": grade(subject.sample, subject.criterion)}
            for role, (start, step) in _NUMBERINGS.items():
                numbered = renumbered(subject.criterion, start, step)
                if numbered.rubric.scores != subject.criterion.rubric.scores:
                    asks[role] = grade(subject.sample, numbered)
            found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        found = []
        for role, (start, step) in _NUMBERINGS.items():
            asked = [trial for trial in trials if role in trial.asks]
            if not asked and trials:
                continue  # the user's own numbering
            said = f"{start}, {start + step}, {start + 2 * step} …"
            found += [
                effect(
                    role, f"Score, numbered {said}", asked,
                    lambda t, role=role: t.rise("plain", role), rng,  # type: ignore[misc]
                    unit="shift", bound=0.1, nothing=_NOTHING,
                    means=f"Numbering the levels {said} changes the score by {{value}} of the "
                    "scale on average.",
                ),
                effect(
                    f"{role}-changed", f"Level changed, {said}", asked,
                    lambda t, role=role: t.changed("plain", role), rng,  # type: ignore[misc]
                    unit="share", bound=0.2, nothing=_NOTHING,
                    means=f"Numbering the levels {said} changed the level of {{value}} of the "
                    "texts.",
                ),
            ]  # fmt: skip
        return found


def renumbered(criterion: Criterion, start: int, step: int) -> Criterion:
    """The same levels under the numbers start, start + step, ..."""
    texts = criterion.rubric.levels.values()
    levels = {start + number * step: text for number, text in enumerate(texts)}
    return Criterion(
        name=f"{criterion.name} ({min(levels)} to {max(levels)})",
        title=criterion.heading,
        question=criterion.question,
        rubric=Rubric(levels=levels),
    )
