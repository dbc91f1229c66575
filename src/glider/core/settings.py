"""User settings, declared once with type, default and help.

A settings class is a frozen dataclass whose fields are `Annotated[type, Flag(...)]`. Python users
create one; the command line derives its flags from the same fields (`glider/cli/flags.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, fields
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Flag:
    """What a setting means, and how it is written at the command line."""

    help: str
    panel: str = ""
    """Heading that it stands under in `--help`."""
    names: tuple[str, ...] = ()
    """The flag's names; of the field's own name if there are none."""
    min: float | None = None
    max: float | None = None
    parse: Callable[[Any], Any] | None = None
    """From what is typed to the field's value, where they are not the same."""


def flags_of(settings: type) -> Iterator[tuple[Field[Any], Any, Flag]]:
    """Every field of a settings class that is a flag: the field, its bare type, its flag."""
    hints = get_type_hints(settings, include_extras=True)
    for field in fields(settings):
        for mark in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(mark, Flag):
                yield field, hints[field.name].__origin__, mark
