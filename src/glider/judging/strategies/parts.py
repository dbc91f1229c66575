"""Strategies that judge parts apart and add them up outside the model.

`decompose` is after DnA-Eval (Li et al. 2024, arXiv 2405.15329): aspects and their weights are
settled from what was asked alone, each aspect is judged in a call of its own, and the sum is ours.
`scenario` is after Themis (Hu et al. 2025, arXiv 2502.02988): a sample is led to one kind of task,
which brings its aspects and weights with it.

A part that fails, fails the whole: a sum without it would be another question.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

import yaml

from glider.core.base import Frozen
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import MissingPart, SetupError, UnknownName
from glider.core.generation import Generation, Labels
from glider.core.judgments import Comparison, Cut, Failure, Judgment, Step
from glider.formats.grammar import literal, one_of
from glider.judging.judge import Work
from glider.judging.pairs import PairTask, opposed
from glider.judging.strategies.base import (
    Course,
    Plan,
    Result,
    Strategy,
    ask,
    asking_more,
    changed,
    given_texts,
    in_words,
    plain,
)


class Aspect(Frozen):
    """One thing to look at, apart from all others."""

    name: str
    about: str = ""
    weight: float | None = None
    """Its importance beside the others, in any unit."""


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """What one of several outcomes is called, and its share in the whole; shares add up to 1."""

    name: str
    share: float


# ---- adding up


def summed(work: Work, parts: Sequence[ScoredPart], outcomes: Sequence[Result]) -> Result:
    """The weighted sum of the parts' expected scores; of pairs, of their probabilities.

    Returns:
        The first failure, if a part failed. The score is the level nearest to the sum. There are
        no level probabilities of a sum: the parts' own do not tell how they go together.
    """
    steps: list[Step] = []
    for part, outcome in zip(parts, outcomes, strict=True):
        if isinstance(outcome, Failure):
            return outcome.model_copy(update={"message": f"{part.name}: {outcome.message}"})
        if isinstance(outcome, Comparison) and outcome.p_first is None:
            return outcome
        steps += [part_step(part, outcome), *outcome.steps]
    return together(work, parts, outcomes, mixed=False).with_steps(tuple(steps))


def part_step(part: ScoredPart, outcome: Judgment | Comparison) -> Step:
    """What a part came to."""
    score = outcome.p_first if isinstance(outcome, Comparison) else outcome.expected_or_score
    return Step(name=part.name, weight=part.share, score=score)


def together(
    work: Work, parts: Sequence[ScoredPart], outcomes: Sequence[Result], *, mixed: bool
) -> Judgment | Comparison:
    """One outcome of outcomes that are all there.

    Args:
        mixed: level probabilities are averaged as well: right for several opinions on one
            question, not for a sum over several questions.
    """
    if isinstance(work, PairTask):
        return _one_comparison(work, parts, [o for o in outcomes if isinstance(o, Comparison)])
    judgments = [o for o in outcomes if isinstance(o, Judgment)]
    return _one_judgment(work.criterion.rubric, parts, judgments, mixed=mixed)


def _one_judgment(
    rubric: Rubric, parts: Sequence[ScoredPart], judgments: Sequence[Judgment], *, mixed: bool
) -> Judgment:
    pairs = list(zip(parts, judgments, strict=True))
    expected = sum(part.share * judgment.expected_or_score for part, judgment in pairs)
    score = min(rubric.scores, key=lambda level: abs(level - expected))
    known = [j.score_probs for j in judgments if j.score_probs is not None]
    probs: dict[int, float] | None = None
    if mixed and len(known) == len(judgments):
        probs = {
            level: sum(part.share * p[level] for part, p in zip(parts, known, strict=True))
            for level in rubric.scores
        }
        score = max(probs, key=probs.__getitem__)
    masses = [j.mass for j in judgments if j.mass is not None]
    reasons = [f"{part.name}: {j.reasoning}" for part, j in pairs if j.reasoning]
    return judgments[0].model_copy(
        update={
            "score": score,
            "normalized": rubric.normalize(score),
            "expected": expected,
            "score_probs": probs,
            "mass": min(masses) if masses else None,
            "reasoning": "\n".join(reasons) or None,
            "highlights": tuple(dict.fromkeys(h for j in judgments for h in j.highlights)),
            "sampled": (),
            "cuts": _shortest(judgments),
            "repaired": tuple(dict.fromkeys(r for j in judgments for r in j.repaired)),
            "adjusted": tuple(dict.fromkeys(a for j in judgments for a in j.adjusted)),
            "warnings": tuple(dict.fromkeys(w for j in judgments for w in j.warnings)),
            "raw_text": "\n\n".join(j.raw_text for j in judgments),
            "steps": (),
        }
    )


def _one_comparison(
    work: PairTask, parts: Sequence[ScoredPart], comparisons: Sequence[Comparison]
) -> Comparison:
    rubric = work.tasks[0].criterion.rubric
    p_first = _even(
        sum(
            part.share * comparison.p_first
            for part, comparison in zip(parts, comparisons, strict=True)
            if comparison.p_first is not None
        )
    )
    orders: list[Judgment | Failure] = []
    shares: list[float] = []
    for number in range(min(len(c.orders) for c in comparisons)):
        in_order = [c.orders[number] for c in comparisons]
        failure = next((o for o in in_order if isinstance(o, Failure)), None)
        if failure is not None:
            orders.append(failure)
            continue
        judgment = _one_judgment(
            rubric, parts, [o for o in in_order if isinstance(o, Judgment)], mixed=True
        )
        orders.append(judgment)
        second_shown = _even(judgment.expected_or_score)
        shares.append(second_shown if number else 1 - second_shown)
    preferred = None
    if p_first != 0.5:
        preferred = work.first if p_first > 0.5 else work.second
    return comparisons[0].model_copy(
        update={
            "preferred": preferred,
            "p_first": p_first,
            "flipped": opposed(*shares) if len(shares) == 2 else None,
            "orders": tuple(orders),
            "steps": (),
        }
    )


def _even(share: float) -> float:
    """A third of a half, three times, is a tie."""
    return 0.5 if math.isclose(share, 0.5, abs_tol=1e-9) else share


def _shortest(judgments: Sequence[Judgment]) -> tuple[Cut, ...]:
    """Of each field that was shortened for some part, the least that was judged."""
    cuts: dict[str, Cut] = {}
    for cut in (cut for judgment in judgments for cut in judgment.cuts):
        known = cuts.get(cut.field)
        if known is None or cut.kept < known.kept:
            cuts[cut.field] = cut
    return tuple(cuts.values())


def apart(work: Work, aspects: Sequence[Aspect], steps: tuple[Step, ...] = ()) -> Plan:
    """Every aspect judged on its own, on the criterion's own scale; weights are all there."""
    whole = sum(aspect.weight or 0.0 for aspect in aspects)
    parts = [ScoredPart(aspect.name, (aspect.weight or 0.0) / whole) for aspect in aspects]
    return Plan(
        works=tuple(changed(work, criterion=_narrowed(work, aspect)) for aspect in aspects),
        fold=partial(summed, work, parts),
        steps=steps,
    )


def _narrowed(work: Work, aspect: Aspect) -> Criterion:
    about = f" ({aspect.about})" if aspect.about else ""
    return asking_more(
        work.criterion,
        f"Judge one aspect alone: {aspect.name}{about}. Every other aspect is judged elsewhere.",
        title=f"{work.criterion.heading}: {aspect.name}",
    )


# ---- decompose

_N_ASPECTS = 3
_ASKED_AGAINST = "Answers to this will be judged by the following criterion."
_ASK_ASPECTS = (
    "List three different qualities that a good answer to exactly this has, those that matter "
    "most. Number them, one a line: its name, a colon, and in a few words what it means. Nothing "
    "else."
)
_ASK_WEIGHTS = (
    "How much should each of these aspects count, in percent, 100 in all? One a line, as "
    "NAME: NUMBER%. Nothing else."
)
# Numbered: without, a 135M model wrote one line three times (1 of 6 readable; with, 7 of 7).
_ASPECTS_GRAMMAR = """\
start: "1. " ASPECT "\\n2. " ASPECT "\\n3. " ASPECT
ASPECT: /[A-Z][a-z]{2,15}( [a-z]{2,15}){0,2}: [^\\n:.]{8,80}/
"""
_LISTED = re.compile(r"^\W*(?:\d{1,2}[.):]\s*)?\W*(.{2,60}?)[*_\s]*(?::|\s[-–—])\s*[*_]*\s*(\S.*)$")
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,2})?)\s*%?[\s.*_]*$")


class Decompose(Strategy):
    """Aspects judged in calls of their own, and summed by weights, both settled beforehand."""

    name = "decompose"

    def __init__(self, aspects: Sequence[str | Aspect] = ()) -> None:
        """Choose the aspects, or leave them to the model: three for each task.

        Args:
            aspects: names or `NAME=WEIGHT`. Where no weights are given the model settles them.

        Raises:
            SetupError: fewer than two, one twice, some with a weight and some without.
        """
        self._aspects = tuple(_aspect(a) if isinstance(a, str) else a for a in aspects)
        if not self._aspects:
            return
        names = [aspect.name.casefold() for aspect in self._aspects]
        if len(names) < 2 or len(set(names)) < len(names):
            raise SetupError("decompose needs two or more different aspects")
        weights = [aspect.weight for aspect in self._aspects]
        if None in weights and any(weight is not None for weight in weights):
            raise SetupError("give every aspect a weight (NAME=WEIGHT), or none")
        if any(w is not None and not (w > 0 and math.isfinite(w)) for w in weights):
            raise SetupError("an aspect's weight is a number above 0")

    @property
    def id(self) -> str:
        told = (a.name if a.weight is None else f"{a.name}={a.weight:g}" for a in self._aspects)
        # Judge ids are split at their last space.
        return f"{self.name}({','.join(told)})".replace(" ", "_") if self._aspects else self.name

    @property
    def writes(self) -> bool:
        return not self._aspects or self._aspects[0].weight is None

    def plan(self, work: Work) -> Plan | Course:
        return self._written(work) if self.writes else apart(work, self._aspects)

    def _written(self, work: Work) -> Course:
        given = (given_texts(work.sample.fields), f"{_ASKED_AGAINST}\n{in_words(work.criterion)}")
        aspects = list(self._aspects)
        if not aspects:
            aspects = _aspects_in(
                (
                    yield ask(
                        "aspects", *given, _ASK_ASPECTS, max_tokens=160, grammar=_ASPECTS_GRAMMAR
                    )
                )
            )
        listed = "\n".join(f"{a.name}: {a.about}" if a.about else a.name for a in aspects)
        lines = (f"{literal(f'{a.name}: ')} PERCENT" for a in aspects)
        grammar = "start: " + ' "\\n" '.join(lines) + "\nPERCENT: /[1-9][0-9]?%/\n"
        weights = _weights_in(
            (yield ask("weights", *given, listed, _ASK_WEIGHTS, max_tokens=80, grammar=grammar)),
            len(aspects),
        )
        return apart(
            work,
            [
                a.model_copy(update={"weight": weight})
                for a, weight in zip(aspects, weights, strict=True)
            ],
        )


def _aspect(text: str) -> Aspect:
    name, equals, weight = text.partition("=")
    if not plain(name):
        raise SetupError(f"an aspect is NAME or NAME=WEIGHT, not {text!r}")
    try:
        return Aspect(name=plain(name), weight=float(weight) if equals else None)
    except ValueError:
        raise SetupError(f"the weight of aspect {name!r} is no number: {weight!r}") from None


def _aspects_in(written: Generation) -> list[Aspect]:
    found: dict[str, Aspect] = {}
    for line in written.text.splitlines():
        if match := _LISTED.match(line):
            name, about = plain(match[1]).strip("*_ "), plain(match[2])
            if name:
                found.setdefault(name.casefold(), Aspect(name=name, about=about[:200]))
    if len(found) < 2:
        raise MissingPart("list of aspects", raw_text=written.text)
    return list(found.values())[:_N_ASPECTS]


def _weights_in(written: Generation, n: int) -> list[float]:
    matches = [_PERCENT.search(line) for line in written.text.splitlines()]
    weights = [float(match[1]) for match in matches if match is not None]
    if len(weights) != n or not sum(weights) > 0:
        raise MissingPart(f"list of {n} weights", raw_text=written.text)
    return weights


# ---- scenario


_KIND = "Kind: "


class Scenario(Frozen):
    """One kind of task, and what matters in it."""

    name: str
    title: str
    about: str
    aspects: tuple[Aspect, ...]


@cache
def scenarios() -> dict[str, Scenario]:
    """Every scenario by name, in the order they are offered."""
    text = files("glider").joinpath("judging", "strategies", "scenarios.yaml").read_text("utf-8")
    found = [Scenario.model_validate(item) for item in yaml.safe_load(text)]
    return {scenario.name: scenario for scenario in found}


class ByScenario(Strategy):
    """The sample's kind of task settles the aspects and their weights.

    A sample that names its scenario in its metadata (a column `scenario`) is led there; any other
    is put to the model, whose likeliest answer counts.
    """

    name = "scenario"

    def plan(self, work: Work) -> Plan | Course:
        named = work.sample.metadata.get("scenario")
        if named is None:
            return self._asked(work)
        key = str(named).strip().casefold().replace(" ", "-")
        if key not in scenarios():
            raise UnknownName("scenario", str(named), list(scenarios()))
        return apart(work, scenarios()[key].aspects, (_led(scenarios()[key], "named by the row"),))

    def _asked(self, work: Work) -> Course:
        letters = {chr(ord("A") + n): s for n, s in enumerate(scenarios().values())}
        listed = "\n".join(f"{letter} = {s.title}: {s.about}" for letter, s in letters.items())
        wanted = f"Which kind of task is this? Answer with one letter.\n{listed}"
        written = yield ask(
            "scenario",
            given_texts(work.sample.fields) or f"Criterion of the task: {in_words(work.criterion)}",
            wanted,
            max_tokens=8,
            grammar=f"start: {one_of(list(letters))}\n",
            opening=_KIND,
            labels=Labels(texts=tuple(letters), after=_KIND),
        )
        letter, how = _letter_in(written, tuple(letters))
        return apart(work, letters[letter].aspects, (_led(letters[letter], how),))


def _led(scenario: Scenario, how: str) -> Step:
    return Step(name="led to", text=f"{scenario.name}, {how}")


def _letter_in(written: Generation, letters: tuple[str, ...]) -> tuple[str, str]:
    """The likeliest letter; the one written where probabilities are not known."""
    odds = {
        letter: math.exp(logprob)
        for letter, logprob in (written.label_logprobs or {}).items()
        if letter in letters and logprob > -math.inf
    }
    if odds:
        letter = max(odds, key=odds.__getitem__)
        return letter, f"by the model with probability {odds[letter] / sum(odds.values()):.2f}"
    said = written.text.removeprefix(_KIND).strip().strip("*.:()\"' ")
    if said not in letters:
        raise MissingPart("scenario", raw_text=written.text)
    return said, "as the model wrote"
