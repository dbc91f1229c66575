"""Length: the same content at greater length, and longer against shorter (CoBBLEr's salience).

The padded copy repeats half of the text's own sentences, so it adds no content in any language.
Preferences are counted on pairs whose winner is the same in both orders. That a judge marks the
copy down is not a bias (many criteria ask for brevity); marking it up is.
"""

from collections.abc import Sequence

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import beside, compare, grade, singles, text_of, with_output
from glider.audit.wordings import padded

_EMPTY = "no text to make longer"


class LengthProbe(Probe):
    """Score of a padded copy, and the winner in a direct comparison."""

    name = "length"
    title = "Length"
    asks = "Pads a text with repetition: the copy should not score higher or win."
    advice = (
        'Name length in the rubric ("repetition does not count"), compare outputs of like '
        "length, or report scores within bands of length."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for subject in singles(subjects):
            longer = padded(text_of(subject), rng)
            if longer == text_of(subject):
                continue
            asks = {
                "plain": grade(subject.sample, subject.criterion),
                "padded": grade(with_output(subject.sample, longer), subject.criterion),
                "beside": compare(beside(subject, text_of(subject), longer)),
            }
            found.append(Trial(subject, asks))
        return found + [
            Trial(subject, {"pair": compare(subject)}) for subject in subjects if subject.is_pair
        ]

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        copies = [trial for trial in trials if "padded" in trial.asks]
        steady = [trial for trial in copies if not trial.flipped("beside")]
        found = [
            effect(
                "padded", "Score of the padded copy", copies, lambda t: t.rise("plain", "padded"),
                rng, unit="shift", bound=0.1, side="above", nothing=_EMPTY,
                means="Saying half of it twice changes the score by {value} of the scale.",
            ),
            effect(
                "padded-wins", "The padded copy won", steady,
                lambda t: t.prefers("beside", "output 2"), rng, unit="share", neutral=0.5,
                bound=0.2, side="above", nothing=_none_steady(copies),
                means="Beside the original, the padded copy won {value} of the time "
                "(pairs with one winner in both orders).",
            ),
        ]  # fmt: skip
        return found + self._of_pairs(trials, rng)

    def _of_pairs(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        """On the data's own pairs, where longer may be better: compare with people's choices."""
        unlike = [t for t in trials if "pair" in t.asks and _longer(t.subject) is not None]
        if not unlike:
            return []
        steady = [trial for trial in unlike if not trial.flipped("pair")]
        labelled = [trial for trial in steady if trial.subject.gold is not None]
        found = [
            effect(
                "longer-wins", "The longer output won", steady, _longer_won, rng, unit="share",
                neutral=0.5, nothing=_none_steady(unlike),
                means="On your pairs the longer output won {value} of the time; longer may be "
                "better, so compare with people.",
            )
        ]  # fmt: skip
        if labelled:
            found.append(
                effect(
                    "longer-than-people", "Longer won, beyond people", labelled, _beyond_people,
                    rng, unit="shift", bound=0.1, side="above", nothing="",
                    means="The judge preferred the longer output by {value} more often than "
                    "people did on the same pairs.",
                )
            )  # fmt: skip
        return found


def _none_steady(trials: Sequence[Trial]) -> str:
    if not trials:
        return _EMPTY
    return "the order decided every pair, so no preference for length can be seen"


def _longer(pair: Subject) -> str | None:
    """Name of the longer output; None if both are equally long."""
    first, second = pair.sample.judged
    if len(first.text) == len(second.text):
        return None
    return first.name if len(first.text) > len(second.text) else second.name


def _longer_won(trial: Trial) -> float | None:
    longer = _longer(trial.subject)
    assert longer is not None
    return trial.prefers("pair", longer)


def _beyond_people(trial: Trial) -> float | None:
    won, gold = _longer_won(trial), trial.subject.gold
    assert gold is not None
    second = trial.subject.sample.judged[1].name
    people = gold if _longer(trial.subject) == second else 1 - gold
    return None if won is None else won - people
