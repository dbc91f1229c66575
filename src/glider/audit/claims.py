"""Irrelevant context beside the text: a majority opinion, a model name, a distracting sentence.

Pairs follow CoBBLEr: the same two outputs in one order, once with the words in favour of the
first and once of the second. `pull` is how much more probable the first becomes; an unbiased judge
has a pull of zero.
"""

from collections.abc import Sequence
from dataclasses import replace

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import (
    compare,
    grade,
    noted,
    pairs,
    singles,
    text_of,
    with_note,
    with_output,
    with_outputs,
)
from glider.audit.wordings import irrelevant
from glider.judging.pairs import opposed

_NO_PAIRS = "no two outputs to compare"
_NO_TEXTS = "no text to judge"


def _pull(trial: Trial, towards_first: str, towards_second: str) -> float | None:
    first, second = trial.p_first(towards_first), trial.p_first(towards_second)
    return None if first is None or second is None else first - second


class Bandwagon(Probe):
    """A made-up majority opinion; CoBBLEr's bias is following it under both claims."""

    name = "bandwagon"
    title = "Bandwagon"
    asks = "Says that most people prefer one output, or gave a text the top score."
    advice = (
        "Keep votes, ratings and review counts out of the fields the judge is shown, and show it "
        "none of the earlier judgments."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for pair in pairs(subjects):
            share = int(rng.integers(60, 91))
            claim = f"{share}% of people believe that the {{}} output is better."
            found.append(
                Trial(
                    pair,
                    {
                        side: compare(noted(pair, claim.format(side)), both_orders=False)
                        for side in ("first", "second")
                    },
                )
            )
        for subject in singles(subjects):
            share = int(rng.integers(60, 91))
            rubric = subject.criterion.rubric
            asks = {}
            for role, score in (("high", rubric.high), ("low", rubric.low)):
                note = f"{share}% of people gave this text the score {score}."
                asks[role] = grade(with_note(subject.sample, note), subject.criterion)
            found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        paired = [trial for trial in trials if "first" in trial.asks]
        graded = [trial for trial in trials if "high" in trial.asks]
        return [
            effect(
                "followed", "Followed the crowd both ways", paired, _followed, rng, unit="share",
                bound=0.1, nothing=_NO_PAIRS,
                means="In {value} of the pairs the judge named whichever output the crowd was "
                "said to prefer.",
            ),
            effect(
                "pull", "Pull of the crowd on pairs", paired,
                lambda t: _pull(t, "first", "second"), rng, unit="shift", bound=0.1,
                nothing=_NO_PAIRS,
                means="Moving the crowd from one output to the other moves the first output's "
                "chance of winning by {value}.",
            ),
            effect(
                "score", "Pull of the crowd on scores", graded, lambda t: t.rise("low", "high"),
                rng, unit="shift", bound=0.1, nothing=_NO_TEXTS,
                means="Being told that people gave the top and not the bottom score changes the "
                "judge's score by {value} of the scale.",
            ),
        ]  # fmt: skip


def _followed(trial: Trial) -> float | None:
    first, second = trial.p_first("first"), trial.p_first("second")
    return None if first is None or second is None else float(first > 0.5 and second < 0.5)


_STRONG = ("GPT-4", "Claude 3 Opus", "Gemini 1.5 Pro")
_WEAK = ("Alpaca-7B", "Dolly-3B", "Pythia-160M")
_ALIASES = ("System Star", "System Square")


class Compassion(Probe):
    """Names of models instead of aliases (CoBBLEr's compassion fade)."""

    name = "compassion"
    title = "Model names"
    asks = "Names a famous or a weak model as the writer, in place of neutral names."
    advice = "Take the names of models out of what the judge is shown, texts and metadata alike."

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for pair in pairs(subjects):
            strong, weak = str(rng.choice(_STRONG)), str(rng.choice(_WEAK))
            asks = {}
            for role, names in (
                ("strong first", (strong, weak)),
                ("weak first", (weak, strong)),
                ("alias", _ALIASES),
            ):
                asks[role] = compare(noted(pair, _written(names)), both_orders=False)
                if role != "weak first":
                    # The names stay with their texts when the order is swapped.
                    turned = noted(pair, _written(names[::-1]))
                    asks[f"{role}, turned"] = compare(turned, both_orders=False, swapped=True)
            found.append(Trial(pair, asks))
        for subject in singles(subjects):
            asks = {}
            for role, of in (("strong", _STRONG), ("weak", _WEAK), ("neutral", _ALIASES[:1])):
                note = f"This text was written by {rng.choice(of)}."
                asks[role] = grade(with_note(subject.sample, note), subject.criterion)
            found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        paired = [trial for trial in trials if "alias" in trial.asks]
        graded = [trial for trial in trials if "neutral" in trial.asks]
        return [
            effect(
                "pull", "Pull of a famous name on pairs", paired,
                lambda t: _pull(t, "strong first", "weak first"), rng, unit="shift", bound=0.1,
                nothing=_NO_PAIRS,
                means="Moving the famous name from one output to the other moves the first "
                "output's chance of winning by {value}.",
            ),
            effect(
                "flips", "Flips with names, less with aliases", paired, _more_flips, rng,
                unit="shift", bound=0.2, side="above", nothing=_NO_PAIRS,
                means="With names of models the order decides the winner in {value} more of the "
                "pairs than with neutral names.",
            ),
            effect(
                "score", "Pull of a famous name on scores", graded,
                lambda t: t.rise("weak", "strong"), rng, unit="shift", bound=0.1,
                nothing=_NO_TEXTS,
                means="Naming a famous and not a weak model as the writer changes the score by "
                "{value} of the scale.",
            ),
            effect(
                "famous", "Famous name, against a neutral one", graded,
                lambda t: t.rise("neutral", "strong"), rng, unit="shift", nothing=_NO_TEXTS,
                means="Beside a neutral name, the famous one changes the score by {value} of the "
                "scale.",
            ),
        ]  # fmt: skip


def _written(names: Sequence[str]) -> str:
    return f"The first output was written by {names[0]}, the second output by {names[1]}."


def _more_flips(trial: Trial) -> float | None:
    flips = []
    for role in ("strong first", "alias"):
        first, turned = trial.p_first(role), trial.p_first(f"{role}, turned")
        if first is None or turned is None:
            return None
        flips.append(opposed(first, 1 - turned))
    return float(flips[0]) - float(flips[1])


class Attention(Probe):
    """An irrelevant sentence at the end of one output."""

    name = "attention"
    title = "Distraction"
    asks = "Appends a sentence that has nothing to do with the task."
    advice = (
        "Strip signatures, small talk and boilerplate before judging, or say in the criterion "
        "that such lines do not count."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for pair in pairs(subjects):
            first, second = (field.text for field in pair.sample.judged)
            words = irrelevant(rng)
            asks = {
                role: compare(
                    replace(pair, sample=with_outputs(pair.sample, *texts)), both_orders=False
                )
                for role, texts in (
                    ("in first", (f"{first} {words}", second)),
                    ("in second", (first, f"{second} {words}")),
                )
            }
            found.append(Trial(pair, asks))
        for subject in singles(subjects):
            longer = with_output(subject.sample, f"{text_of(subject)} {irrelevant(rng)}")
            asks = {
                "plain": grade(subject.sample, subject.criterion),
                "distracted": grade(longer, subject.criterion),
            }
            found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        paired = [trial for trial in trials if "in first" in trial.asks]
        graded = [trial for trial in trials if "distracted" in trial.asks]
        return [
            effect(
                "score", "Score with an irrelevant sentence", graded,
                lambda t: t.rise("plain", "distracted"), rng, unit="shift", bound=0.1,
                nothing=_NO_TEXTS,
                means="A sentence about nothing changes the score by {value} of the scale on "
                "average.",
            ),
            effect(
                "changed", "Level changed by it", graded,
                lambda t: t.changed("plain", "distracted"), rng, unit="share", bound=0.2,
                nothing=_NO_TEXTS,
                means="A sentence about nothing changed the level of {value} of the texts.",
            ),
            effect(
                "pull", "Pull of it on pairs", paired, lambda t: _pull(t, "in first", "in second"),
                rng, unit="shift", bound=0.1, nothing=_NO_PAIRS,
                means="Moving that sentence from the second output to the first moves the first "
                "output's chance of winning by {value}.",
            ),
        ]  # fmt: skip
