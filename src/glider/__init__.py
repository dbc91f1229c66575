"""Glider: small, explainable judges of text: a score, the reasoning, the spans that decided it."""

from __future__ import annotations

from importlib import import_module

from glider._version import __version__

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    from glider.core.criteria import Criterion, Rubric
    from glider.core.judgments import (
        Comparison,
        Failure,
        Highlight,
        Judgment,
        Outcome,
        Span,
    )
    from glider.core.samples import Field, Sample
    from glider.core.tasks import JudgeTask
    from glider.data.library import load_criterion
    from glider.judging.judge import Judge
    from glider.judging.pairs import PairTask

# Imported when first used: `import glider` stays fast.
_HOMES = {
    "Comparison": "glider.core.judgments",
    "Criterion": "glider.core.criteria",
    "Failure": "glider.core.judgments",
    "Field": "glider.core.samples",
    "Highlight": "glider.core.judgments",
    "Judge": "glider.judging.judge",
    "JudgeTask": "glider.core.tasks",
    "Judgment": "glider.core.judgments",
    "Outcome": "glider.core.judgments",
    "PairTask": "glider.judging.pairs",
    "Rubric": "glider.core.criteria",
    "Sample": "glider.core.samples",
    "Span": "glider.core.judgments",
    "load_criterion": "glider.data.library",
}

__all__ = [
    "Comparison",
    "Criterion",
    "Failure",
    "Field",
    "Highlight",
    "Judge",
    "JudgeTask",
    "Judgment",
    "Outcome",
    "PairTask",
    "Rubric",
    "Sample",
    "Span",
    "__version__",
    "load_criterion",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'glider' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
