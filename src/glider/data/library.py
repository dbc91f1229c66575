"""Criteria by the name they ship under, or from a user's file.

A file is YAML (one criterion, a list, or several documents) or JSON (one, or a list). Whatever
is wrong in it is said with file and line: a key twice, a key nobody knows, a level that is no
number. Nothing is filled in and nothing unknown is passed over.

A name that ends in .yaml, .yml or .json, or that holds a slash, is a file; others are shipped.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from itertools import repeat
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from glider.core.criteria import Criterion
from glider.core.errors import CriterionError, RubricError, SetupError, UnknownName
from glider.data.yaml_files import documents, read_text, repeated

_SUFFIXES = (".yaml", ".yml", ".json")
_SAID = {
    "missing": "is missing",
    "string_type": "must be text",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
}


def load_criterion(name_or_path: str | Path) -> Criterion:
    """Load one criterion, by its shipped name or from a file with exactly one.

    Raises:
        UnknownName: no shipped criterion of that name.
        CriterionError: the file is missing, cannot be used, or has several criteria.
        RubricError: its rubric has duplicate levels, too few, or out of order.
    """
    criteria = load_criteria(name_or_path)
    if len(criteria) > 1:
        names = ", ".join(criterion.name for criterion in criteria)
        raise CriterionError(f"{name_or_path}: holds {len(criteria)} criteria: {names}")
    return criteria[0]


def load_criteria(name_or_path: str | Path) -> list[Criterion]:
    """Load all criteria of a file, in its order, or the one shipped under a name.

    Raises:
        UnknownName, CriterionError, RubricError: as `load_criterion`.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.lower().endswith(_SUFFIXES) or "/" in name:
        return _from_file(Path(name_or_path))
    if name not in _shipped_names():
        raise UnknownName(
            "criterion",
            name,
            _shipped_names(),
            hint="for a criterion of your own, name a file ending in .yaml or .json",
        )
    return [_shipped(name)]


def library() -> dict[str, Criterion]:
    """Every shipped criterion by name, sorted."""
    return {name: _shipped(name) for name in _shipped_names()}


@cache
def _shipped_names() -> tuple[str, ...]:
    entries = files("glider").joinpath("criteria").iterdir()
    return tuple(sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml")))


@cache
def _shipped(name: str) -> Criterion:
    entry = files("glider").joinpath("criteria", f"{name}.yaml")
    (criterion,) = _criteria(entry.read_text("utf-8"), f"{name}.yaml")
    return criterion


def _from_file(path: Path) -> list[Criterion]:
    if not path.name.lower().endswith(_SUFFIXES):
        raise CriterionError(f"{path}: a criterion file ends in .yaml, .yml or .json")
    try:
        text = read_text(path, CriterionError)
    except CriterionError as exc:
        if not isinstance(exc.__cause__, FileNotFoundError):
            raise
        near = get_close_matches(path.stem, _shipped_names(), n=1)
        hint = f"one called {near[0]!r} is shipped" if near else None
        raise CriterionError(f"{path}: no such file", hint=hint) from None
    return _criteria(text, str(path))


def criteria_asked(asked: "str | Criterion | Sequence[str | Criterion]") -> list[Criterion]:
    """The criteria of a run: names, YAML files or criteria; none for "record" alone.

    With "record" each row brings its own.

    Raises:
        SetupError: none is named, or one twice.
        CriterionError: a file that cannot be used.
        UnknownName: no criterion of that name is shipped.
    """
    asked = [asked] if isinstance(asked, str | Criterion) else list(asked)
    if not asked:
        raise SetupError(
            "no criterion given", hint="--criterion NAME; `glider criteria` lists the shipped ones"
        )
    if asked == ["record"]:
        return []
    found: list[Criterion] = []
    for one in asked:
        found += [one] if isinstance(one, Criterion) else load_criteria(one)
    repeated = {c.name for c in found if sum(o.name == c.name for o in found) > 1}
    if repeated:
        raise SetupError(f"criterion given twice: {', '.join(sorted(repeated))}")
    return found


def _criteria(text: str, path: str) -> list[Criterion]:
    read = _json_entries if path.lower().endswith(".json") else _yaml_entries
    found: dict[str, Criterion] = {}
    for data, lines in read(text, path):
        criterion = _criterion(data, lines, path)
        if criterion.name in found:
            raise CriterionError(
                f"{_at(path, lines, 'name')}: criterion {criterion.name!r} is there twice"
            )
        found[criterion.name] = criterion
    if not found:
        raise CriterionError(f"{path}: holds no criterion")
    return list(found.values())


def _criterion(data: Any, lines: Mapping[str, int], path: str) -> Criterion:
    if not isinstance(data, Mapping):
        raise CriterionError(
            f"{_at(path, lines)}: a criterion is a mapping with name, question and rubric, "
            f"not {type(data).__name__}"
        )
    try:
        return Criterion.model_validate(data)
    except RubricError as exc:
        where = _at(path, lines, _level(exc.level) if exc.level is not None else "rubric")
        raise RubricError(f"{where}: {exc.message}", level=exc.level, hint=exc.hint) from exc
    except ValidationError as exc:
        problems = []
        for error in exc.errors(include_url=False):
            key = str(error["loc"][0]) if error["loc"] else ""
            where = ".".join(map(str, error["loc"]))
            problems.append(f"{_at(path, lines, key)}: {where} {_said(error, key)}".strip())
        raise CriterionError("; ".join(problems)) from exc


def _said(error: Any, key: str) -> str:
    if error["type"] == "extra_forbidden":
        near = get_close_matches(key, list(Criterion.model_fields), n=1)
        return "is no key of a criterion" + (f"; did you mean {near[0]!r}?" if near else "")
    return _SAID.get(error["type"], str(error["msg"]).removeprefix("Value error, "))


def _at(path: str, lines: Mapping[str, int], key: str = "") -> str:
    line = lines.get(key, lines.get("rubric" if key.startswith("rubric ") else ""))
    return path if line is None else f"{path}:{line}"


# Plain data, with the line of each key; under "" the line where the criterion begins.

_Entries = Iterator[tuple[Any, dict[str, int]]]


def _yaml_entries(text: str, path: str) -> _Entries:
    for node, data in documents(text, path, CriterionError):
        if isinstance(node, yaml.SequenceNode):
            yield from zip(data, map(_key_lines, node.value, data, repeat(path)), strict=True)
        elif data is not None:  # nothing stands between two `---`
            yield data, _key_lines(node, data, path)


def _key_lines(node: yaml.Node, data: Any, path: str) -> dict[str, int]:
    """The line of each key, and of each level of the rubric."""
    lines = {"": node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[str(key.value)] = key.start_mark.line + 1
            if key.value == "rubric" and isinstance(value, yaml.MappingNode):
                _refuse_true_and_false(value, path)
                levels = zip(data["rubric"], value.value, strict=False)
                lines |= {_level(one): at.start_mark.line + 1 for one, (at, _) in levels}
    return lines


def _refuse_true_and_false(rubric: yaml.MappingNode, path: str) -> None:
    """Levels `no` and `yes` are false and true, which Python holds to be 0 and 1."""
    for key, _ in rubric.value:
        if key.tag == "tag:yaml.org,2002:bool":
            raise RubricError(
                f"{path}:{key.start_mark.line + 1}: level {key.value} is true or false in YAML",
                hint="number the levels: 0 for no, 1 for yes",
            )


def _level(key: object) -> str:
    return f"rubric {key!r}"


def _json_entries(text: str, path: str) -> _Entries:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                in_rubric = key.strip().lstrip("+-").isdecimal()
                raise repeated(key, path, in_rubric, CriterionError)
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as exc:
        raise CriterionError(f"{path}:{exc.lineno}: not JSON: {exc.msg}") from exc
    except (ValueError, RecursionError) as exc:
        raise CriterionError(f"{path}: not JSON: {exc}") from exc
    for value in data if isinstance(data, list) else [data]:
        yield value, {}
