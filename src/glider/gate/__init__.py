"""Fail a build when a judge's figures are not surely good enough."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glider.gate.outcomes import assert_gate

__all__ = ["assert_gate"]


# pytest imports this package at every start, in projects that never judge anything.
def __getattr__(name: str) -> Any:
    if name == "assert_gate":
        from glider.gate.outcomes import assert_gate

        return assert_gate
    raise AttributeError(f"module 'glider.gate' has no attribute {name!r}")
