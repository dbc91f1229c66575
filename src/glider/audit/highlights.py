"""Highlights: do they occur in the text, and did they determine the score?

The second question is the deletion test, run once the highlights are known: the text without its
highlighted words, against the text without as many other words. If highlights show what determines
the score, the first deletion moves it more.
"""

from collections.abc import Sequence

import numpy as np

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import grade, singles, text_of, with_output
from glider.bench.deletions import pushed, without
from glider.bench.highlights import marked
from glider.core.judgments import Judgment

_NONE = "the judge gave no highlights; a judge that writes only scores gives them with --explain"


class Highlights(Probe):
    """Share of highlights that occur in the text, and the deletion test."""

    name = "highlights"
    title = "Highlights"
    asks = "Looks for the quoted words in the text, and judges again without them."
    advice = (
        "Where quotes are not in the text, hold the judge to a grammar; where taking them out "
        "moves the score no more than other words, do not show them as reasons."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        return [Trial(s, {"plain": grade(s.sample, s.criterion)}) for s in singles(subjects)]

    def more(self, trials: Sequence[Trial], rng: Rng) -> list[Trial]:
        found = []
        for trial in trials:
            judgment, subject = trial.judgment("plain"), trial.subject
            text = text_of(subject)
            own = marked(text, _places(judgment)) if judgment else np.zeros(0, np.bool_)
            others = pushed(own, rng)
            if others is None:
                continue
            asks = dict(trial.asks)
            for role, mask in (("without", own), ("without others", others)):
                rest = with_output(subject.sample, without(text, mask))
                asks[role] = grade(rest, subject.criterion)
            found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        first = [trial for trial in trials if "without" not in trial.asks]
        deleted = [trial for trial in trials if "without" in trial.asks]
        judged = [judgment for trial in first if (judgment := trial.judgment("plain"))]
        explained = any(judgment.highlights for judgment in judged)
        quoting = [t for t in first if (j := t.judgment("plain")) is None or j.highlights]
        return [
            effect(
                "exact", "Quotes that stand in the text", quoting if explained else [], _exact,
                rng, unit="share", neutral=1.0, bound=0.1, nothing=_NONE,
                means="{value} of the quoted phrases stand in the text letter for letter.",
            ),
            effect(
                "given", "Judgments with a quote", first if explained else [], _given, rng,
                unit="share", nothing=_NONE,
                means="{value} of the judgments point to words of the text.",
            ),
            effect(
                "deletion", "Score moved by taking them out, less by others", deleted, _surplus,
                rng, unit="shift", nothing=_NONE if not explained else "no text left to compare",
                means="Taking the highlighted words out moves the score by {value} of the scale "
                "more than taking out as many other words; at or below 0 the highlights do not "
                "show what decided.",
            ),
        ]  # fmt: skip


def _places(judgment: Judgment) -> list[tuple[int, int]]:
    return [(span.start, span.end) for h in judgment.highlights for span in h.spans]


def _exact(trial: Trial) -> float | None:
    judgment = trial.judgment("plain")
    if judgment is None:
        return None
    return sum(h.match == "exact" for h in judgment.highlights) / len(judgment.highlights)


def _given(trial: Trial) -> float | None:
    judgment = trial.judgment("plain")
    return None if judgment is None else float(bool(judgment.highlights))


def _surplus(trial: Trial) -> float | None:
    own, others = trial.rise("plain", "without"), trial.rise("plain", "without others")
    return None if own is None or others is None else abs(own) - abs(others)
