"""Rows into samples: which column is which field, by a preset, by `--map`, or both.

A preset says how another tool writes its records; `--map output=answer` overrides it, and any
other name on the left becomes an extra field that is shown and not judged. A source column may
be a path: `docs[0].text`, `messages[-1].content`. A column really called so comes first.

An input, context or reference that is null, blank or (in a preset) not there is left out of the
sample; a judged text must be there, and may be empty. Values that are no text become compact
JSON; nothing else is filled in.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from typing import Any

from pydantic import ValidationError

from glider.core.base import content_hash
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import BadRecord, CriterionError, RubricError, SetupError, UnknownName
from glider.core.samples import Field, Role, Sample
from glider.data.rows import Row

_ROLES: dict[str, Role] = {"input": "input", "context": "context", "reference": "reference"}
_TARGETS = ("id", *_ROLES, "output", "outputs")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")
_WRITTEN = (date, time, Decimal)  # Parquet has them, JSON does not
_PROMETHEUS_LEVEL = re.compile(r"^Score (\d+):", re.MULTILINE)


class _Unfit(ValueError):
    """The row is no sample; `sample_from` adds where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a row become which fields of a sample."""

    fields: Mapping[str, tuple[str, ...]]
    """Field name to the columns it may come from; the first that is there counts."""
    judged: tuple[str, ...] = ("output",)
    outputs: str | None = None
    """A column with a list of texts to compare; where a row has it, `output` is not asked for."""
    id: str = "id"
    mapped: frozenset[str] = frozenset()
    """Fields and parts the user mapped: their column must be there."""
    kept: tuple[str, ...] = ()
    """Columns copied to the sample's metadata."""
    reshape: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Turns a chat row into plain columns; what the user mapped is read from the row itself."""


def sample_from(row: Row, columns: Columns) -> Sample:
    """The sample a row holds.

    The id is the id column's, or else a hash of the texts.

    Raises:
        BadRecord: a column is missing or holds something that is no text.
    """
    try:
        return _sample(row.data, columns)
    except _Unfit as exc:
        raise BadRecord(str(exc), path=row.path, line=row.line) from exc
    except ValidationError as exc:
        problem = exc.errors()[0]["msg"].removeprefix("Value error, ")
        raise BadRecord(problem, path=row.path, line=row.line) from exc


def _sample(data: Mapping[str, Any], columns: Columns) -> Sample:
    shaped = columns.reshape(data) if columns.reshape else data

    def value_of(name: str, sources: Sequence[str], *, needed: bool) -> Any:
        """What the first column that is there holds; None where none is and none is needed."""
        row = data if name in columns.mapped else shaped
        for source in sources:
            value, missing = _look_up(row, source)
            if missing is None and value is not None:
                return value
        if needed and missing is not None:
            raise _Unfit(missing())
        return None

    compared: Any = None
    if columns.outputs is not None:
        compared = value_of("outputs", [columns.outputs], needed="outputs" in columns.mapped)
    judged = {name: columns.fields[name] for name in columns.judged if compared is None}
    shown: list[Field] = []
    for name, sources in columns.fields.items():
        if name in columns.judged:
            continue
        value = value_of(name, sources, needed=name in columns.mapped)
        text = "" if value is None else _text(name, value)
        if text.strip():
            shown.append(Field(name=name, text=text, role=_ROLES.get(name, "other")))
    for name, sources in judged.items():
        value = value_of(name, sources, needed=True)
        if value is None:
            raise _Unfit(f"{name!r} is null, and there is nothing else to judge")
        shown.append(Field(name=name, text=_text(name, value), role="judged"))
    if compared is not None:
        shown += _compared(compared, shaped, columns)
    own_id = value_of("id", [columns.id], needed="id" in columns.mapped)
    named = "" if own_id is None else _text("id", own_id).strip()
    return Sample(
        id=named or content_hash([part.model_dump() for part in shown]),
        fields=tuple(shown),
        metadata={name: data[name] for name in columns.kept if name in data},
    )


def _compared(values: Any, row: Mapping[str, Any], columns: Columns) -> list[Field]:
    if row.get("output") is not None and "output" in columns.fields:
        raise _Unfit(
            "there is an 'output' and there are 'outputs': one to judge, or some to compare?"
        )
    if not isinstance(values, list) or len(values) < 2:
        raise _Unfit("'outputs' must be a list of two or more texts to compare")
    if any(value is None for value in values):
        raise _Unfit("one of the 'outputs' is null")
    texts = [_text(f"output {number}", value) for number, value in enumerate(values, start=1)]
    return [
        Field(name=f"output {number}", text=text, role="judged")
        for number, text in enumerate(texts, start=1)
    ]


# Looking up and writing out


def _look_up(row: Mapping[str, Any], source: str) -> tuple[Any, Callable[[], str] | None]:
    """The value a path leads to; or None, and what says what is missing on the way.

    Most columns may be missing, so the sentence is only made when it is needed.
    """
    if source in row:
        return row[source], None
    place, walked = 0, ""
    value: Any = row
    while place < len(source):
        step = _STEP.match(source, place)
        if step is None:
            return None, partial(_missing, source, row)
        name, index = step[1], step[2]
        if name is not None:
            if not isinstance(value, Mapping):
                return None, f"{walked!r} holds no named values, so no {source!r}".__str__
            if name not in value:
                return None, partial(_missing, name, value, inside=walked)
            value = value[name]
        else:
            if not isinstance(value, list) or not -len(value) <= int(index) < len(value):
                size = f"{len(value)} values" if isinstance(value, list) else "no list"
                return None, f"{walked!r} holds {size}, so there is no {source!r}".__str__
            value = value[int(index)]
        place = step.end()
        walked = source[:place]
    return value, None


def value_at(data: Mapping[str, Any], path: str) -> Any:
    """What a column or path (`meta.subset`) holds; None where it leads nowhere."""
    return _look_up(data, path)[0]


def _missing(name: str, row: Mapping[str, Any], *, inside: str = "") -> str:
    names = [str(key) for key in row]
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return (
        f"no column {name!r}"
        + (f" in {inside!r}" if inside else "")
        + f"; there are {listed or 'none'}"
        + (f"; did you mean {near[0]!r}?" if near else "")
    )


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, _WRITTEN):
        return str(value)
    if name == "context" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "\n\n".join(value)
    try:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_written
        )
    except RecursionError:
        raise _Unfit(f"{name!r} is nested too deeply") from None
    except (TypeError, ValueError) as exc:
        raise _Unfit(f"{name!r} cannot be written as text: {exc}") from exc


def _written(value: Any) -> str:
    if isinstance(value, _WRITTEN):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")


# Chats


def _turns(value: Any, name: str) -> list[tuple[str, str]]:
    """Role and text of every message of a chat."""
    if not isinstance(value, list):
        raise _Unfit(f"{name!r} must be a list of messages with role and content")
    turns = []
    for number, message in enumerate(value, start=1):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise _Unfit(f"message {number} of {name!r} has no role")
        turns.append((message["role"], _said(message, f"message {number} of {name!r}")))
    return turns


def _said(message: Mapping[str, Any], place: str) -> str:
    content = message.get("content")
    parts = [content] if isinstance(content, str) else content or []
    if not isinstance(parts, list):
        raise _Unfit(f"{place} has content that is no text")
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            raise _Unfit(f"{place} has a part that is no text; only text can be judged")
        texts.append(text)
    if message.get("tool_calls"):
        texts.append(_text("tool_calls", message["tool_calls"]))
    if not texts:
        raise _Unfit(f"{place} says nothing")
    return "\n".join(texts)


def _history(turns: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What came before the judged text: the talk as input, the system's words as context."""
    system = [text for role, text in turns if role in ("system", "developer")]
    talk = [f"{role}: {text}" for role, text in turns if role not in ("system", "developer")]
    named = {"input": "\n".join(talk), "context": "\n\n".join(system)}
    return {name: text for name, text in named.items() if text}


def _messages(row: Mapping[str, Any]) -> dict[str, Any]:
    value, missing = _look_up(row, "messages")
    if missing is not None:
        raise _Unfit(missing())
    turns = _turns(value, "messages")
    spoken = [number for number, (role, _) in enumerate(turns) if role == "assistant"]
    if not spoken:
        raise _Unfit("'messages' has no assistant turn to judge")
    last = spoken[-1]
    return {"id": row.get("id"), **_history(turns[:last]), "output": turns[last][1]}


def _preferences(row: Mapping[str, Any]) -> dict[str, Any]:
    """TRL's prompt, chosen, rejected; without a prompt, the talk before the last turn is it."""
    outputs: list[str] = []
    before: list[tuple[str, str]] = []
    for name in ("chosen", "rejected"):
        value, missing = _look_up(row, name)
        if missing is not None:
            raise _Unfit(missing())
        if isinstance(value, list):
            turns = _turns(value, name)
            if not turns:
                raise _Unfit(f"{name!r} has no messages")
            before = before or turns[:-1]
            value = turns[-1][1]
        elif not isinstance(value, str):
            raise _Unfit(f"{name!r} must be a text or a list of messages")
        outputs.append(value)
    prompt = row.get("prompt")
    if isinstance(prompt, list):
        before = _turns(prompt, "prompt")
    asked = {"input": prompt} if isinstance(prompt, str) else _history(before)
    return {"id": row.get("id"), **asked, "outputs": outputs}


# Presets


def _fields(**sources: str | tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: (s,) if isinstance(s, str) else s for name, s in sources.items()}


_PLAIN = _fields(input="input", context="context", reference="reference", output="output")

PRESETS: dict[str, Columns] = {
    "judgements": Columns(
        fields=_PLAIN,
        outputs="outputs",
        kept=("label", "kind", "lang", "source", "annotators", "rationale", "meta"),
    ),
    "deepeval": Columns(
        fields=_fields(
            input="input",
            context=("retrieval_context", "context"),
            reference="expected_output",
            output="actual_output",
        )
    ),
    "ragas": Columns(
        fields=_fields(
            input="user_input",
            context="retrieved_contexts",
            reference="reference",
            output="response",
        )
    ),
    "prometheus": Columns(
        fields=_fields(input="instruction", reference="reference_answer", output="response")
    ),
    "trl": Columns(fields=_PLAIN, outputs="outputs", reshape=_preferences),
    "mlflow": Columns(fields=_fields(input="inputs", reference="expectations", output="outputs")),
    "openevals": Columns(
        fields=_fields(
            input="inputs", context="context", reference="reference_outputs", output="outputs"
        )
    ),
    "autoevals": Columns(
        fields=_fields(input="input", context="context", reference="expected", output="output")
    ),
    "glider": Columns(fields=_PLAIN, outputs="outputs"),
    "messages": Columns(fields=_PLAIN, reshape=_messages),
}
"""How each tool writes what was asked, what it rests on, and what was answered."""

_SIGNS: tuple[tuple[str, frozenset[str]], ...] = (
    ("judgements", frozenset({"criterion", "label"})),
    ("deepeval", frozenset({"actual_output"})),
    ("ragas", frozenset({"user_input", "response"})),
    ("prometheus", frozenset({"instruction", "response"})),
    ("trl", frozenset({"chosen", "rejected"})),
    ("mlflow", frozenset({"inputs", "outputs", "expectations"})),
    ("openevals", frozenset({"inputs", "outputs"})),
    ("autoevals", frozenset({"output", "expected"})),
    ("glider", frozenset({"output"})),
    ("glider", frozenset({"outputs"})),
    ("messages", frozenset({"messages"})),
)


def guess_preset(columns: Collection[str]) -> str:
    """The preset whose marking columns are all there; the first of this order.

    judgements (criterion, label), deepeval (actual_output), ragas (user_input, response),
    prometheus (instruction, response), trl (chosen, rejected), mlflow (inputs, outputs,
    expectations), openevals (inputs, outputs), autoevals (output, expected), glider (output or
    outputs), messages (messages).

    Raises:
        SetupError: the columns fit none of them.
    """
    for name, signs in _SIGNS:
        if signs <= set(columns):
            return name
    raise SetupError(
        f"no preset fits the columns {', '.join(sorted(columns))}",
        hint="name the column to judge with --map output=COLUMN, or a preset with --preset",
    )


def parse_maps(maps: Sequence[str]) -> dict[str, str]:
    """`["output=answer", "persona=card"]` as field to column.

    Raises:
        SetupError: not of the form field=column, a field named twice or oddly.
    """
    parsed: dict[str, str] = {}
    for written in maps:
        target, equals, source = (part.strip() for part in written.partition("="))
        if not (target and equals and source):
            raise SetupError(f"--map {written!r} is not of the form field=column")
        if target in parsed:
            raise SetupError(f"--map gives {target!r} twice")
        if target not in _TARGETS and target.casefold() in _TARGETS:
            raise SetupError(f"--map has no field {target!r}; write {target.casefold()!r}")
        _check_name(target)
        parsed[target] = source
    if "output" in parsed and "outputs" in parsed:
        raise SetupError("--map gives both output and outputs: one to judge, or some to compare?")
    return parsed


def columns_for(
    seen: Collection[str],
    *,
    preset: str | None = None,
    maps: Mapping[str, str] | None = None,
    judged: Sequence[str] = (),
) -> Columns:
    """The columns to read, from what the user said and, for the rest, from what is there.

    Args:
        seen: column names of the first row; used only where no preset is named.
        preset: a name from PRESETS; guessed from `seen` if not given.
        maps: what `parse_maps` gives.
        judged: fields to judge in place of `output`; one that is not mapped is a column's name.

    Raises:
        UnknownName: no such preset.
        SetupError: no preset fits and nothing says what to judge.
    """
    maps = maps or {}
    if preset is None:
        said = bool(judged) or "output" in maps or "outputs" in maps
        try:
            preset = guess_preset(seen)
        except SetupError:
            if not said:
                raise
            preset = "glider"
    if preset not in PRESETS:
        raise UnknownName("preset", preset, list(PRESETS))
    base = PRESETS[preset]
    fields = dict(base.fields)
    fields |= {name: (source,) for name, source in maps.items() if name not in ("id", "outputs")}
    for name in judged:
        _check_name(name)
        fields.setdefault(name, (name,))
    outputs = maps.get("outputs", base.outputs)
    if judged or "output" in maps:
        outputs = None
    if "outputs" in maps or (judged and "output" not in (*judged, *maps)):
        fields.pop("output", None)
    return replace(
        base,
        fields=fields,
        judged=tuple(judged) or (() if "outputs" in maps else base.judged),
        outputs=outputs,
        id=maps.get("id", base.id),
        mapped=frozenset(maps) | (frozenset(judged) - frozenset(base.fields)),
    )


def _check_name(name: str) -> None:
    try:
        Field(name=name, text="")
    except ValidationError as exc:
        raise SetupError(exc.errors()[0]["msg"].removeprefix("Value error, ")) from exc


# A row's own criterion


def criterion_of(row: Row) -> Criterion | None:
    """The criterion a row of the presets `judgements` or `prometheus` brings; None without one.

    The rubric is the row's own. Without one, an integer scale of at most 11 levels gives levels
    that say only where they stand between the lowest and the highest.

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
            raise CriterionError("a row's criterion is an object with name and description")
        levels = _own_levels(rubric) if rubric else _generic_levels(row.data.get("scale"))
        return Criterion(
            name=named.get("name", ""),
            question=named.get("description", ""),
            rubric=Rubric(levels=levels),
        )
    except (CriterionError, RubricError) as exc:
        raise CriterionError(f"{row.path}:{row.line}: {exc.message}", hint=exc.hint) from exc
    except ValidationError as exc:
        problem = exc.errors()[0]["msg"].removeprefix("Value error, ")
        raise CriterionError(f"{row.path}:{row.line}: {problem}") from exc


def _own_levels(rubric: Any) -> dict[Any, Any]:
    if not isinstance(rubric, Mapping):
        raise CriterionError("a row's rubric maps scores to descriptions")
    try:
        # Data sets list levels in either direction; the meaning is the same.
        return dict(sorted(rubric.items(), key=lambda level: int(level[0])))
    except ValueError:
        return dict(rubric)  # Rubric says which level is not a number


def _generic_levels(scale: Any) -> dict[int, str]:
    match scale:
        case [int(low), int(high)] if 1 <= high - low <= 10:
            steps = high - low
        case _:
            raise CriterionError(
                "the row has no rubric, and no scale of 2 to 11 whole numbers",
                hint="name a criterion with its own rubric",
            )
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
