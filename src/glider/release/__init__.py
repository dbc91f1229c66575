"""Export a trained judge to files that other programs load, with a model card."""

from typing import TYPE_CHECKING, Any

from glider.core.lazy import attribute

if TYPE_CHECKING:
    from glider.release.card import card_of
    from glider.release.exporting import Exported, export
    from glider.release.settings import ExportSettings

_HOMES = {
    "ExportSettings": "glider.release.settings",
    "Exported": "glider.release.exporting",
    "card_of": "glider.release.card",
    "export": "glider.release.exporting",
}
__all__ = ["ExportSettings", "Exported", "card_of", "export"]


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
