"""Strategies that change what is asked, and leave one work one work.

`rules`, `questions` and `reference` are after LLMBar (Zeng et al. 2023, arXiv 2310.07641); the
words are ours. `swap` and `mean` make plain what a Judge can do anyway: both orders, several
answers.
"""

import re
from dataclasses import replace

from glider.core.errors import MissingField, MissingPart, TaskError
from glider.core.generation import Generation, Message
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.judging.judge import Judge, Work
from glider.judging.strategies.base import (
    Ask,
    Course,
    Plan,
    Strategy,
    ask,
    asking_more,
    changed,
    given_texts,
    in_words,
    plain,
)
from glider.judging.strategies.driver import StrategyJudge
from glider.text.defuse import defuse

_RULES = (
    "Whether an output does what was asked, honestly and to the letter, counts first; only after "
    "that, how helpful, detailed or pleasant it is.",
    "It should hold no more and no less than was asked for. A fine answer to something else is a "
    "bad answer.",
)
_ORDER_RULE = "Which output is shown first must not matter."

_MAX_QUESTIONS = 3
_ASK_QUESTIONS = (
    "Answers to this will be judged by the following criterion.",
    "Write at most three short questions that tell a good answer to exactly this from a bad one, "
    "the most important first. Each must be about what is asked for here and have a yes or no for "
    "an answer. Number them, one a line, and write nothing else.",
)
_QUESTIONS_GRAMMAR = """\
start: "1. " QUESTION ("\\n2. " QUESTION ("\\n3. " QUESTION)?)?
QUESTION: /[^\\s?][^\\n?]{8,160}\\?/
"""
_BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s*")

_ANSWER_BRIEFLY = "Answer correctly and as briefly as you can, in at most a hundred words."
_REFERENCE_TOKENS = 256


class Rules(Strategy):
    """LLMBar's rules stand with the question."""

    name = "rules"

    def plan(self, work: Work) -> Plan:
        rules = _RULES if isinstance(work, JudgeTask) else (*_RULES, _ORDER_RULE)
        listed = "\n".join(f"{n}. {rule}" for n, rule in enumerate(rules, start=1))
        criterion = asking_more(work.criterion, f"Rules:\n{listed}")
        return Plan((changed(work, criterion=criterion),))


class Questions(Strategy):
    """At most three questions about this very input are written first and shown.

    LLMBar calls them metrics. The model sees the input and the criterion, never an output.
    """

    name = "questions"
    writes = True

    def plan(self, work: Work) -> Course:
        because, wanted = _ASK_QUESTIONS
        texts = given_texts(work.sample.fields)
        if not texts:
            names = [field.name for field in work.sample.fields]
            raise MissingField(work.criterion.name, "input", names)
        written = yield ask(
            "questions",
            texts,
            f"{because}\n{in_words(work.criterion)}",
            wanted,
            max_tokens=200,
            grammar=_QUESTIONS_GRAMMAR,
        )
        listed = "\n".join(f"{n}. {q}" for n, q in enumerate(_questions(written), start=1))
        more = f"Ask yourself of {{output}}, the most important first:\n{listed}"
        return Plan((changed(work, criterion=asking_more(work.criterion, more)),))


def _questions(written: Generation) -> list[str]:
    # A line that is no question is talk around them, or the one that was cut off.
    lines = (plain(_BULLET.sub("", line)).strip("*_ ") for line in written.text.splitlines())
    questions = list(dict.fromkeys(line for line in lines if line.endswith(("?", "？", "؟"))))
    if not questions:
        raise MissingPart("question", raw_text=written.text)
    return questions[:_MAX_QUESTIONS]


class Reference(Strategy):
    """A sample without a reference gets an answer that the model itself writes first."""

    name = "reference"
    writes = True

    def plan(self, work: Work) -> Plan | Course:
        if work.sample.with_role("reference") is not None:
            return Plan((work,))
        return self._written(work)

    def _written(self, work: Work) -> Course:
        # Asked as anybody would ask it: small models given it in tags repeat it.
        written = yield Ask(
            name=self.name,
            messages=(Message("system", _ANSWER_BRIEFLY), Message("user", _as_asked(work))),
            max_tokens=_REFERENCE_TOKENS,
        )
        text = written.text.strip()
        if not text:
            raise MissingPart("reference", raw_text=written.text)
        criterion = asking_more(
            work.criterion,
            "{reference} was written by a model as a help. It may be wrong, and another output "
            "may be as good.",
        )
        return Plan(
            (changed(work, sample=_with_reference(work.sample, text), criterion=criterion),)
        )


def _as_asked(work: Work) -> str:
    """The input as it is, after whatever came with it.

    Raises:
        MissingField: there is no input to answer.
    """
    asked = work.sample.with_role("input")
    if asked is None:
        raise MissingField(work.criterion.name, "input", [f.name for f in work.sample.fields])
    besides = [field for field in work.sample.fields if field is not asked]
    texts = given_texts(besides), defuse(asked.text)
    return "\n\n".join(text for text in texts if text)


def _with_reference(sample: Sample, text: str) -> Sample:
    taken = {field.name.casefold() for field in sample.fields}
    name = next(n for n in ("reference", "model reference", "own reference") if n not in taken)
    own = Field(name=name, text=text, role="reference")
    first = next(n for n, field in enumerate(sample.fields) if field.role == "judged")
    fields = (*sample.fields[:first], own, *sample.fields[first:])
    return Sample(id=sample.id, fields=fields, metadata=sample.metadata)


class Swap(Strategy):
    """Pairs are asked in both orders and averaged; a single text has no order."""

    name = "swap"

    def plan(self, work: Work) -> Plan:
        if isinstance(work, JudgeTask):
            raise TaskError(
                "there is one output and so no order to swap",
                hint="swap is for comparing two outputs",
            )
        return Plan((replace(work, both_orders=True),))


class Mean(Strategy):
    """Several answers are drawn for every prompt; their expected scores are averaged, not voted."""

    name = "mean"

    def __init__(self, samples: int = 4) -> None:
        """Choose how many."""
        self._samples = samples

    @property
    def id(self) -> str:
        return f"{self.name}={self._samples}"

    def beneath(self, judge: Judge) -> Judge:
        """The same judge, drawing more.

        Raises:
            SetupError: its format writes the score first, so every sample would be the same.
        """
        if isinstance(judge, StrategyJudge):
            return StrategyJudge(self.beneath(judge.inner), judge.strategy)
        return Judge(**judge.options | {"samples": self._samples})

    def plan(self, work: Work) -> Plan:
        return Plan((work,))
