"""Criteria: a question and its rubric.

A rubric has 2 to 11 integer levels, each with a description; gaps are allowed. Only the rubric
defines what a score means. A question may name fields in braces: `{output}`, `{context}`,
`{persona}`. A format replaces them by its own name for the field, and a sample without the field is
refused. Braces of a formula (`x^{n}`) or around anything but a name (`{"a": 1}`) are text.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import field_serializer, model_validator

from glider.core.base import Frozen, content_hash
from glider.core.errors import MissingField, RubricError
from glider.core.samples import Sample

_ONE_OF_TWO = re.compile(r"\b(?:first|second|1|2|a|b)\b", re.IGNORECASE)
_ROLES = ("input", "context", "reference", "output")
_BRACED = re.compile(rf"\{{({'|'.join(_ROLES)})\}}|(?<![\\\w^$}}])\{{([^\W\d]\w*(?:[ .-]\w+)*)\}}")
_TWO_BRACES = re.compile(r"\{\{ *([^\W\d][\w .-]*?) *\}\}")  # as other tools' templates name fields


class Rubric(Frozen):
    """Scores with their descriptions, in strictly rising order."""

    levels: Mapping[int, str]

    @model_validator(mode="before")
    @classmethod
    def _from_mapping(cls, value: Any) -> Any:
        # A rubric is written as the bare mapping {1: "...", 2: "..."} in YAML and JSONL.
        levels = (
            value["levels"] if isinstance(value, Mapping) and set(value) == {"levels"} else value
        )
        if not isinstance(levels, Mapping):
            raise RubricError(f"a rubric maps scores to descriptions, not {levels!r:.80}")
        scores = _whole_scores(levels)
        if list(scores) != sorted(scores):
            raise RubricError(f"levels must rise; got {list(scores)}")
        return {"levels": scores}

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 2 <= len(self.levels) <= 11:
            raise RubricError(
                f"a rubric needs 2 to 11 levels, this one has {len(self.levels)}",
                hint="describe at least the lowest and the highest score",
            )
        return self

    @field_serializer("levels")
    def _plain(self, levels: Mapping[int, str]) -> dict[int, str]:
        return dict(sorted(levels.items()))

    @cached_property
    def scores(self) -> tuple[int, ...]:
        """Every valid score, rising."""
        return tuple(self.levels)

    @property
    def low(self) -> int:
        """The lowest score."""
        return self.scores[0]

    @property
    def high(self) -> int:
        """The highest score."""
        return self.scores[-1]

    def normalize(self, score: float) -> float:
        """The score in 0..1: lowest level 0, highest 1."""
        return (score - self.low) / (self.high - self.low)


def _whole_scores(levels: Mapping[Any, Any]) -> dict[int, str]:
    scores: dict[int, str] = {}
    for key, description in levels.items():
        score = _whole(key)
        if score is None:
            raise RubricError(
                f"level {key!r} is not a whole number", level=key, hint=_numbering(list(levels))
            )
        if score in scores:
            raise RubricError(f"level {score} is there twice", level=key)
        if isinstance(description, bool):
            raise RubricError(
                f"level {score} is described as {str(description).lower()}: YAML reads yes, no, on "
                "and off so",
                level=key,
                hint=f'put it in quotes: {score}: "{"yes" if description else "no"}"',
            )
        if description is not None and not isinstance(description, str):
            raise RubricError(
                f"level {score} is described as {description}, which is no text",
                level=key,
                hint=f'say what earns it, or put it in quotes: {score}: "{description}"',
            )
        if description is None or not description.strip():
            raise RubricError(f"level {score} has no description", level=key)
        scores[score] = description.strip()
    return scores


def _whole(key: Any) -> int | None:
    """The score that a level is; 2.0 is 2."""
    text = re.sub(r"\.0+$", "", str(key).strip())
    try:
        return int(text)
    except ValueError:
        return None


def _numbering(levels: list[Any]) -> str:
    """How to write levels that are no whole numbers."""
    if any(isinstance(key, bool) for key in levels):
        return "YAML reads yes and no as true and false; number the levels: 0 for no, 1 for yes"
    try:
        doubled = [2 * float(str(key)) for key in levels]
    except ValueError:
        ends = f"1 to {len(levels)}" if len(levels) > 1 else "1, 2, ..."
        return f"number the levels, the highest the best: {ends}"
    if all(number.is_integer() for number in doubled):
        shown = ", ".join(f"{number:.0f} for {number / 2:g}" for number in doubled[:3])
        return f"double them: {shown}" + (", ..." if len(doubled) > 3 else "")
    return "number the levels: whole numbers, the highest the best"


class Criterion(Frozen):
    """One named question with its rubric ("pass criteria" in the GLIDER paper)."""

    name: str
    question: str
    rubric: Rubric
    title: str = ""
    group: str = ""

    @model_validator(mode="before")
    @classmethod
    def _rubric_from_mapping(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not str(value.get("name", "")).strip():
            raise ValueError("a criterion needs a name")
        if isinstance(value, Mapping) and not str(value.get("question", "")).strip():
            raise ValueError("a criterion needs a question")
        return value

    @property
    def heading(self) -> str:
        """The title shown to people; the name if there is none."""
        return self.title or self.name

    @cached_property
    def content_id(self) -> str:
        """Hash of everything the judge is asked: name, title, question, rubric."""
        return content_hash([self.name, self.heading, self.question, self.rubric.model_dump()])

    def question_for(self, sample: Sample, labels: Mapping[str, str]) -> str:
        """The question, with each braced field replaced by the format's name for it.

        Args:
            labels: field name to label, for every field of the sample.

        Raises:
            MissingField: the question names a field that the sample does not have.
        """

        def label(match: re.Match[str]) -> str:
            role = match[1] or match[2]
            if role in labels and role not in _ROLES:
                return labels[role]
            if role == "output":
                return " and ".join(labels[field.name] for field in sample.judged)
            field = sample.with_role(role) if role in _ROLES else None  # type: ignore[arg-type]
            if field is None:
                raise MissingField(self.name, role, [f.name for f in sample.fields])
            return labels[field.name]

        return _BRACED.sub(label, _TWO_BRACES.sub(r"{\1}", self.question)).strip()


class LiteralCriterion(Criterion):
    """A criterion whose braces are text: of published prompts, which are asked as they stand."""

    def question_for(self, sample: Sample, labels: Mapping[str, str]) -> str:
        """The question itself."""
        return self.question.strip()


def as_text(words: str) -> str:
    """A model's words in a question: braces around anything but the four names are text."""
    return _BRACED.sub(lambda match: match[0] if match[1] else f"{{ {match[2]} }}", words)


def names_a_field(question: str) -> bool:
    """The question has braces around one of the four names that every sample may have."""
    return any(f"{{{name}}}" in question for name in _ROLES)


def pairwise(criterion: Criterion) -> Criterion:
    """The same question about two outputs: 0 means that the first is better, 1 the second.

    The question is told with the highest level, unless the levels compare outputs themselves.
    """
    top = criterion.rubric.levels[criterion.rubric.high]
    best = "" if _compares(criterion.rubric) else f" The best an output can be: {top}"
    return Criterion(
        name=criterion.name,
        title=f"{criterion.heading}, compared",
        group=criterion.group,
        question=(
            "Which of the two outputs, {output}, is better under this criterion? The order in "
            f"which they are shown must not matter. {criterion.question.strip()}{best}"
        ),
        rubric=Rubric(levels={0: "the first output is better", 1: "the second output is better"}),
    )


class _TopDown(Rubric):
    """The same levels with the same numbers, listed from the highest down; rising in files."""

    @cached_property
    def scores(self) -> tuple[int, ...]:
        return tuple(sorted(self.levels))


def listed_top_down(criterion: Criterion) -> Criterion:
    """The criterion with its levels listed from the highest to the lowest; its content id stays."""
    levels = dict(sorted(criterion.rubric.levels.items(), reverse=True))
    return criterion.model_copy(update={"rubric": _TopDown.model_construct(levels=levels)})


def _compares(rubric: Rubric) -> bool:
    """Its two levels say the same of one output and of the other ("output 2 is better")."""
    if len(rubric.levels) != 2:
        return False
    low, high = (text.casefold().rstrip(".") for text in rubric.levels.values())
    return low != high and _ONE_OF_TWO.sub("", low) == _ONE_OF_TWO.sub("", high)


def merged(name: str, criteria: tuple[Criterion, ...], rubric: Rubric) -> Criterion:
    """Several requirements folded into one criterion with one score (GLIDER's multi-criteria)."""
    lines = [f"{n}. {c.heading}: {c.question.strip()}" for n, c in enumerate(criteria, start=1)]
    return Criterion(name=name, question="\n".join(lines), rubric=rubric)
