"""A row's own criterion: its question and its rubric."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from glider.core.base import first_problem
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import CriterionError, RubricError
from glider.data.labels import scale_of
from glider.data.rows import Row
from glider.data.values import Unfit

_PROMETHEUS_LEVEL = re.compile(r"^Score (\d+):", re.MULTILINE)


def criterion_of(row: Row) -> Criterion | None:
    """The criterion a row of the presets `record` or `prometheus` brings; None without one.

    It is written as in a criterion file (`name`, `question`, `rubric`), or with `description` for
    the question and the rubric in a column of its own. Without a rubric, an integer scale of at
    most 11 levels gives levels that say only where they stand between the lowest and the highest.

    Raises:
        CriterionError: the row has a question and no levels to answer with.
    """
    named, rubric = row.data.get("criterion"), row.data.get("rubric")
    if named is None and rubric is None:
        return None
    try:
        if isinstance(rubric, str):
            return _from_prometheus(rubric)
        if not isinstance(named, Mapping):
            raise CriterionError("a row's criterion is an object with name and question")
        rubric = rubric or named.get("rubric")
        levels = _own_levels(rubric) if rubric else _generic_levels(row.data.get("scale"))
        return Criterion(
            name=named.get("name", ""),
            question=named.get("description") or named.get("question") or "",
            rubric=Rubric(levels=levels),
        )
    except (CriterionError, RubricError) as exc:
        raise CriterionError(f"{row.path}:{row.line}: {exc.message}", hint=exc.hint) from exc
    except ValidationError as exc:
        raise CriterionError(f"{row.path}:{row.line}: {first_problem(exc).what}") from exc


def _own_levels(rubric: Any) -> dict[Any, Any]:
    if not isinstance(rubric, Mapping):
        raise CriterionError("a row's rubric maps scores to descriptions")
    # A column of Parquet has every level that any row has, empty in the others.
    rubric = {level: text for level, text in rubric.items() if text is not None}
    try:
        # Data sets list levels in either direction; the meaning is the same.
        return dict(sorted(rubric.items(), key=lambda level: int(level[0])))
    except ValueError:
        return dict(rubric)  # Rubric says which level is not a number


def _generic_levels(scale: Any) -> dict[int, str]:
    try:
        ends = scale_of(scale)
    except Unfit:
        ends = None
    if ends is None or not all(end.is_integer() for end in ends) or ends[1] - ends[0] > 10:
        raise CriterionError(
            "the row has no rubric, and no scale of 2 to 11 whole numbers",
            hint="name a criterion with its own rubric",
        )
    low, high = map(int, ends)
    steps = high - low
    levels = {
        score: f"between: {score - low} above the lowest and {high - score} below the highest"
        for score in range(low, high + 1)
    }
    levels[low] = "the lowest: what is asked for is missing or wrong throughout"
    levels[high] = "the highest: what is asked for is there in full"
    if steps == 1:
        levels[low] = "the lowest of two: no, this does not hold"
        levels[high] = "the highest of two: yes, this holds"
    return levels


def _from_prometheus(text: str) -> Criterion:
    """Prometheus writes `[question]`, then `Score 1: ...` line by line."""
    question, *rest = _PROMETHEUS_LEVEL.split(text)
    question = question.strip().removeprefix("[").removesuffix("]").strip()
    levels = {int(score): what.strip() for score, what in zip(rest[::2], rest[1::2], strict=True)}
    if not levels or not question:
        raise CriterionError("the rubric is not a question and lines of 'Score N: ...'")
    return Criterion(name="instance rubric", question=question, rubric=Rubric(levels=levels))
