"""Studies on top of training: tuning, selection, tail-patching, self-rationalization, teaching."""

from typing import TYPE_CHECKING, Any

from glider.core.lazy import attribute

if TYPE_CHECKING:
    from glider.studies.rationalizing.run import MadePairs, rationalize
    from glider.studies.rationalizing.settings import AnswererSettings, RationalizationSettings
    from glider.studies.selecting.select import Selection, select
    from glider.studies.selecting.settings import SelectionSettings
    from glider.studies.tail_patching.run import tail_patch
    from glider.studies.tail_patching.settings import PatchSettings
    from glider.studies.tail_patching.weights import TailPatch
    from glider.studies.teaching.run import TaughtExamples, make_taught, teach
    from glider.studies.teaching.settings import TeacherSettings, TeachingSettings
    from glider.studies.tuning.run import Tuned, tune
    from glider.studies.tuning.settings import TuningSettings

_RATIONALIZING, _SELECTING = "glider.studies.rationalizing.run", "glider.studies.selecting.select"
_TUNING, _PATCHING = "glider.studies.tuning.run", "glider.studies.tail_patching"
_HOMES = {
    "AnswererSettings": "glider.studies.rationalizing.settings",
    "MadePairs": _RATIONALIZING,
    "PatchSettings": f"{_PATCHING}.settings",
    "RationalizationSettings": "glider.studies.rationalizing.settings",
    "Selection": _SELECTING,
    "SelectionSettings": "glider.studies.selecting.settings",
    "TailPatch": f"{_PATCHING}.weights",
    "TaughtExamples": "glider.studies.teaching.run",
    "TeacherSettings": "glider.studies.teaching.settings",
    "TeachingSettings": "glider.studies.teaching.settings",
    "Tuned": _TUNING,
    "TuningSettings": "glider.studies.tuning.settings",
    "make_taught": "glider.studies.teaching.run",
    "rationalize": _RATIONALIZING,
    "select": _SELECTING,
    "tail_patch": f"{_PATCHING}.run",
    "teach": "glider.studies.teaching.run",
    "tune": _TUNING,
}
__all__ = [
    "AnswererSettings",
    "MadePairs",
    "PatchSettings",
    "RationalizationSettings",
    "Selection",
    "SelectionSettings",
    "TailPatch",
    "TaughtExamples",
    "TeacherSettings",
    "TeachingSettings",
    "Tuned",
    "TuningSettings",
    "make_taught",
    "rationalize",
    "select",
    "tail_patch",
    "teach",
    "tune",
]


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
