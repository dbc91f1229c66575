"""Known faults planted in a run's texts: did the judge find them?

A run folder may hold `planted.json`: which text has which fault, where, and which other text is the
same without it. The demo has such a file; you can write your own.

A fault is *found* if its text is scored at or below the middle of the rubric under the criterion of
the fault. A clean text is *blamed* if it is scored so under the criterion of its twin's fault. Both
were fixed before any judge saw the demo's texts. A failed judgment finds nothing, blames nothing,
and stays in the denominator.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from glider.core.base import Frozen
from glider.core.errors import RunError
from glider.core.judgments import Judgment
from glider.stats.estimates import Estimate, Undefined, proportion
from glider.store.atomic import write_json
from glider.store.run import outcomes

_FILE = "planted.json"
MIDDLE = 0.5
"""Share of the rubric at or below which a score says that something is wrong."""
RULE = (
    "A fault is found if its text is scored at or below the middle of the rubric under the "
    "criterion of the fault; a clean text is blamed if it is scored so under the criterion of its "
    "twin's fault."
)


class PlantedFault(Frozen):
    """One fault, in one text."""

    sample: str
    """Id of the text that has it."""
    twin: str
    """Id of the same text without it."""
    criterion: str
    """Name of the criterion that it breaks."""
    kind: str
    what: str
    """What is wrong, in a sentence."""
    where: str
    """The words that are wrong, as they stand in the text."""


@dataclass(frozen=True, slots=True)
class JudgedFault:
    """The result for one fault; None: not judged."""

    fault: PlantedFault
    row: int | None
    """Row of the text with the fault."""
    score: int | None
    expected: float | None
    twin_row: int | None
    twin_score: int | None
    twin_expected: float | None
    found: bool
    blamed: bool
    """The clean twin was scored as if it had the fault."""


@dataclass(frozen=True, slots=True)
class PlantedFigures:
    """How many faults a judge found and how many clean texts it blamed, 95 % intervals (Wilson)."""

    verdicts: Sequence[JudgedFault]
    found: Estimate | Undefined
    blamed: Estimate | Undefined
    below_twin: Estimate | Undefined
    """Texts with a fault whose expected score is below that of their clean twin: a coin gets
    half."""

    @property
    def reading(self) -> str:
        """One sentence that sums up the figures."""
        told = self.below_twin
        if isinstance(told, Undefined):
            return ""
        if told.low > 0.5:
            return "This judge tells a faulty text from its clean twin better than chance."
        return (
            "On these texts this judge does not tell a faulty text from its clean twin better than "
            "chance: calibrate or tune it on your own labels, or use another model."
        )

    @property
    def lines(self) -> list[tuple[str, int, Estimate | Undefined]]:
        """Title, count and figure of each line."""
        named = {
            "Planted faults found": self.found,
            "Clean texts blamed": self.blamed,
            "Scored below the clean twin": self.below_twin,
        }
        return [
            (name, round(f.value * f.n) if isinstance(f, Estimate) else 0, f)
            for name, f in named.items()
        ]


def write_planted(run: Path, faults: Iterable[PlantedFault]) -> None:
    """Write the faults of a run's texts next to its journal."""
    write_json(run / _FILE, [fault.model_dump() for fault in faults])


def planted_figures(run: Path) -> PlantedFigures | None:
    """Figures on a run's planted faults; None if the run has none.

    Raises:
        RunError: the file of faults is damaged.
    """
    faults = _faults(run)
    if not faults:
        return None
    wanted = {(name, f.criterion) for f in faults for name in (f.sample, f.twin)}
    judged: dict[tuple[str, str], tuple[int, Judgment | None]] = {}
    for row, outcome in outcomes(run):
        if (outcome.sample_id, outcome.criterion) in wanted:
            judgment = outcome if isinstance(outcome, Judgment) else None
            judged[outcome.sample_id, outcome.criterion] = row, judgment
    return figures_of(faults, judged)


def figures_of(
    faults: Sequence[PlantedFault], judged: Mapping[tuple[str, str], tuple[int, Judgment | None]]
) -> PlantedFigures:
    """The figures from each text's row and judgment, by its id and criterion."""
    verdicts = [_judged_fault(fault, judged) for fault in faults]
    n = len(verdicts)
    failed = sum(v.score is None for v in verdicts)
    twins_failed = sum(v.twin_score is None for v in verdicts)
    pairs = [
        (v.expected, v.twin_expected)
        for v in verdicts
        if v.expected is not None and v.twin_expected is not None
    ]
    return PlantedFigures(
        verdicts=verdicts,
        found=proportion(sum(v.found for v in verdicts), n, skipped=failed),
        blamed=proportion(sum(v.blamed for v in verdicts), n, skipped=twins_failed),
        below_twin=proportion(sum(a < b for a, b in pairs), n, skipped=n - len(pairs)),
    )


def _judged_fault(
    fault: PlantedFault, judged: Mapping[tuple[str, str], tuple[int, Judgment | None]]
) -> JudgedFault:
    row, own = judged.get((fault.sample, fault.criterion), (None, None))
    twin_row, twin = judged.get((fault.twin, fault.criterion), (None, None))
    return JudgedFault(
        fault=fault,
        row=row,
        score=own.score if own else None,
        expected=_expected(own),
        twin_row=twin_row,
        twin_score=twin.score if twin else None,
        twin_expected=_expected(twin),
        found=own is not None and own.normalized <= MIDDLE,
        blamed=twin is not None and twin.normalized <= MIDDLE,
    )


def _expected(judgment: Judgment | None) -> float | None:
    return None if judgment is None else judgment.expected_or_score


def _faults(run: Path) -> list[PlantedFault]:
    file = run / _FILE
    try:
        return [PlantedFault.model_validate(each) for each in json.loads(file.read_bytes())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, ValidationError) as exc:
        raise RunError(f"{file} is damaged: {exc}") from exc
