"""Make training examples from labelled sets and own files: prompts as served, with answers."""

from typing import TYPE_CHECKING, Any

from glider.core.lazy import attribute

if TYPE_CHECKING:
    from glider.corpus.make import MadeData, make_data
    from glider.corpus.own_preferences import MadePreferences, make_preferences
    from glider.corpus.settings import DataSettings

_HOMES = {
    "DataSettings": "glider.corpus.settings",
    "MadeData": "glider.corpus.make",
    "MadePreferences": "glider.corpus.own_preferences",
    "make_data": "glider.corpus.make",
    "make_preferences": "glider.corpus.own_preferences",
}
__all__ = ["DataSettings", "MadeData", "MadePreferences", "make_data", "make_preferences"]


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
