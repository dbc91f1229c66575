"""Turn settings into flags, and flags back into settings.

A command takes whole settings values; `from_flags` gives it one option for each field.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from glider.core.settings import Flag, flags_of


def from_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a flag for every field of every settings value it takes.

    A field that two of the values share becomes one flag and is passed to both. A flag that is
    not given leaves each value's own default.
    """
    signature = inspect.signature(command, eval_str=True)
    taken = {p.name: p.annotation for p in signature.parameters.values() if _is_settings(p)}
    parameters: dict[str, inspect.Parameter] = {}
    for given in signature.parameters.values():
        if given.name not in taken:
            parameters[given.name] = given.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        for field, kind, flag in flags_of(taken[given.name]):
            shared = parameters.get(field.name)
            parameters[field.name] = _option(field, kind, flag, shared)

    def run(**values: Any) -> None:
        made = {name: _made(settings, values) for name, settings in taken.items()}
        others = {p: values[p] for p in signature.parameters if p not in taken}
        command(**others, **made)

    run.__name__, run.__doc__, run.__module__ = (
        command.__name__, command.__doc__, command.__module__,
    )  # fmt: skip
    run.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    return run


def _is_settings(parameter: inspect.Parameter) -> bool:
    kind = parameter.annotation
    return is_dataclass(kind) and any(True for _ in flags_of(kind))  # type: ignore[arg-type]


def _option(
    field: "Field[Any]", kind: Any, flag: Flag, shared: inspect.Parameter | None
) -> inspect.Parameter:
    default: Any = inspect.Parameter.empty if field.default is MISSING else field.default
    words, panel = flag.help, flag.panel or None
    if shared is not None:
        if shared.default != default:
            default = None
        first = get_args(shared.annotation)[1]
        words, panel = f"{first.help} {words}", first.rich_help_panel
    if _is_many(kind):
        kind, default = list[get_args(kind)[0]], None  # type: ignore[misc]
    if default is None and type(None) not in get_args(kind):
        kind = kind | None
    names = flag.names or (() if _is_bool(kind) and default is not False else _own_name(field.name))
    option = typer.Option(*names, help=words, rich_help_panel=panel, min=flag.min, max=flag.max)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _is_many(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_bool(kind: Any) -> bool:
    return kind is bool or (get_origin(kind) in (Union, UnionType) and bool in get_args(kind))


def _own_name(field: str) -> tuple[str]:
    return ("--" + field.replace("_", "-"),)


def _made(settings: type, values: dict[str, Any]) -> Any:
    given = {}
    for field, kind, flag in flags_of(settings):
        value = values[field.name]
        if value is None or (_is_many(kind) and not value):
            continue
        value = flag.parse(value) if flag.parse is not None else value
        given[field.name] = tuple(value) if _is_many(kind) else value
    return settings(**given)
