"""Registries of names, imported on first use; other packages add theirs by entry point.

Nothing is registered by importing a module. A name claimed twice is an error naming both.
"""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from glider.core.errors import SetupError, UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """One kind of plug-in: built-ins in a table, others by entry-point group."""

    def __init__(self, *, kind: str, group: str, builtin: dict[str, str]) -> None:
        self.kind, self.group = kind, group
        self._builtin = builtin

    def _foreign(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in found or point.name in self._builtin:
                raise SetupError(
                    f"{self.kind} {point.name!r} is claimed twice, once by {point.value}"
                )
            found[point.name] = point
        return found

    def names(self) -> list[str]:
        """Every known name, sorted."""
        return sorted({*self._builtin, *self._foreign()})

    def get(self, name: str) -> T:
        """The object called `name`.

        Raises:
            UnknownName: with the nearest names.
            SetupError: the plug-in is there but does not load.
        """
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return cast(T, getattr(import_module(module), attribute))
        foreign = self._foreign()
        if name not in foreign:
            raise UnknownName(self.kind, name, self.names())
        try:
            return cast(T, foreign[name].load())
        except Exception as exc:  # a stranger's module may fail in any way at all
            raise SetupError(f"{self.kind} {name!r} does not load: {exc}") from exc
