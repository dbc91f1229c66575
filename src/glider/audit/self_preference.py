"""Self-preference: the judge's own outputs against others' (CoBBLEr's egocentric bias).

Only the data can say who wrote what. A judge whose model writes well deserves to win, so the
verdict is about the excess over human labels; without labels the numbers are only shown.
"""

from collections.abc import Sequence

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, ProbeTask, Rng, Subject, Trial
from glider.audit.shapes import compare, grade
from glider.stats.estimates import Undefined

_NOTHING = (
    "the data does not say which outputs the judge's own model wrote: supply a column with the "
    "writer of each output (--writers COLUMN) and the judge's name in it (--own NAME)"
)


class SelfPreference(Probe):
    """How often the judge's own output wins, on pairs with one winner in both orders."""

    name = "self-preference"
    title = "Self-preference"
    asks = "Compares outputs that the judge's own model wrote with others'."
    advice = (
        "Do not let a model judge itself: take a judge of another family, or a jury, for "
        "comparisons that its own outputs are part of."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        mixed = [s for s in subjects if s.is_pair and sum(s.own) == 1]
        return [*(Trial(s, {"pair": compare(s)}) for s in mixed), *_answers(subjects)]

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        pairs = [trial for trial in trials if "pair" in trial.asks]
        steady = [trial for trial in pairs if not trial.flipped("pair")]
        labelled = [trial for trial in steady if trial.subject.gold is not None]
        answers = [trial for trial in trials if "own 0" in trial.asks]
        found: list[Effect] = []
        if labelled:
            found.append(
                effect(
                    "beyond-people", "Own output won, beyond people", labelled, _beyond_people,
                    rng, unit="shift", bound=0.1, side="above", nothing="",
                    means="The judge preferred its own output by {value} more often than people "
                    "did on the same pairs.",
                )
            )  # fmt: skip
        if pairs:
            found.append(
                effect(
                    "own-wins", "The judge's own output won", steady, _own_won, rng,
                    unit="share", neutral=0.5, nothing="the order decided every pair",
                    means="On pairs with one winner in both orders, the judge's own output won "
                    "{value} of the time; it may be the better one, so compare with people.",
                )
            )  # fmt: skip
        if answers:
            found.append(
                effect(
                    "own-scores", "Own outputs' score, less others'", answers, _gap, rng,
                    unit="shift", nothing="",
                    means="On the same inputs the judge's own outputs scored {value} of the "
                    "scale more than others'; they may be better, so compare with people.",
                )
            )  # fmt: skip
        return found or [_nothing_marked()]


def _answers(subjects: Sequence[Subject]) -> list[Trial]:
    """Return single outputs for one input and criterion that has both own and other writers."""
    groups: dict[tuple[str, str], list[Subject]] = {}
    for subject in subjects:
        asked = subject.sample.with_role("input")
        if subject.own and not subject.is_pair and asked is not None:
            key = asked.text, subject.criterion.content_id
            groups.setdefault(key, []).append(subject)
    trials = []
    for group in groups.values():
        asks: dict[str, ProbeTask] = {}
        for kind, own in (("own", True), ("other", False)):
            for number, subject in enumerate(s for s in group if s.own[0] is own):
                asks[f"{kind} {number}"] = grade(subject.sample, subject.criterion)
        if {"own 0", "other 0"} <= asks.keys():
            trials.append(Trial(group[0], asks))
    return trials


def _own_won(trial: Trial) -> float | None:
    pair = trial.subject
    return trial.prefers("pair", pair.sample.judged[pair.own.index(True)].name)


def _beyond_people(trial: Trial) -> float | None:
    won, gold = _own_won(trial), trial.subject.gold
    assert gold is not None
    people = gold if trial.subject.own[1] else 1 - gold
    return None if won is None else won - people


def _gap(trial: Trial) -> float | None:
    """Mean score of own outputs minus that of the others; None if any could not be judged."""
    means = []
    for kind in ("own", "other"):
        scores = [trial.score(role) for role in trial.asks if role.startswith(kind)]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            return None
        means.append(sum(known) / len(known))
    return means[0] - means[1]


def _nothing_marked() -> Effect:
    return Effect(
        name="own-wins",
        title="The judge's own output won",
        estimate=Undefined(_NOTHING, 0, 0),
        asked=0,
        judged=0,
        unit="share",
        means="",
    )
