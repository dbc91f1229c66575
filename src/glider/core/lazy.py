"""Names that a package imports on first use, so that importing the package is fast."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def attribute(package: str, homes: Mapping[str, str], name: str) -> Any:
    """What `package.name` is, for the package's `__getattr__`.

    Args:
        homes: name to the module that has it.

    Raises:
        AttributeError: the package offers no such name.
    """
    if name in homes:
        return getattr(import_module(homes[name]), name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
