"""Fail a build unless figures are shown to be good enough, by their whole interval."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glider.gate.gate import GateAnswer, gate_run
    from glider.gate.outcomes import assert_gate

_HOMES = {
    "GateAnswer": "glider.gate.gate",
    "assert_gate": "glider.gate.outcomes",
    "gate_run": "glider.gate.gate",
}
__all__ = ["GateAnswer", "assert_gate", "gate_run"]


# pytest imports this package at every start, in projects that never judge anything.
def __getattr__(name: str) -> Any:
    from glider.core.lazy import attribute

    return attribute(__name__, _HOMES, name)
